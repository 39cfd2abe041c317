//! What `media-doctor` says of our transport streams and playlists: a judge that shares no line
//! with ours, and a different reading of ISO/IEC 13818-1 and of RFC 8216.

use std::time::Duration;

use media_doctor::{
    CcAnomalyCheck, CodecSignallingCheck, Diagnostic, ParamSetsCheck, PatPmtVersionCheck, PcrCheck,
    PtsCheck, Report, Severity, SyncByteCheck, check_hls_playlist, check_playlist, run_all,
};

use super::support::process::Scratch;
use super::support::rillcast::{Rillcast, segment};
use super::support::{follow, media};

/// Errors and warnings in segments one after another.
fn stream_faults(bytes: &[u8]) -> Vec<String> {
    let checks: [&dyn Diagnostic; 7] = [
        &SyncByteCheck,
        &PatPmtVersionCheck,
        &CcAnomalyCheck,
        &PcrCheck,
        &PtsCheck,
        &CodecSignallingCheck,
        &ParamSetsCheck,
    ];
    let mut report = Report::new();
    run_all(bytes, &checks, &mut report);
    told(&report)
}

fn playlist_faults(text: &str) -> Vec<String> {
    let mut report = Report::new();
    check_hls_playlist(text, &mut report);
    check_playlist(text, &mut report);
    told(&report)
}

/// Errors and warnings, but for one: DVB recommends a PCR every 40 ms (TR 101 290), where the
/// standard asks for 100 (ISO/IEC 13818-1 §2.7.2), which our own judge holds us to.
fn told(report: &Report) -> Vec<String> {
    let heavy = report.findings().iter().filter(|finding| finding.severity != Severity::Info);
    let held = heavy.filter(|finding| finding.rule_id != "pcr-repetition");
    held.map(ToString::to_string).collect()
}

/// A file cut into segments: the playlist, and the bytes of all.
fn segmented(input: &str) -> (String, Vec<u8>) {
    let scratch = Scratch::new("doctor");
    let output = scratch.join("out");
    let done = segment(input, &output, &[]);
    assert!(done.status.success(), "{}", done.text);
    let (_, segments) = follow::from_folder(output.as_ref(), "index.m3u8").unwrap();
    let text = std::fs::read_to_string(format!("{output}/index.m3u8")).unwrap();
    (text, segments.into_iter().flat_map(|got| got.bytes).collect())
}

#[test]
fn media_doctor_finds_nothing_in_what_is_made_of_files() {
    for input in [
        media::plain(6),
        media::b_frames(6),
        media::aac_48000(6),
        media::mp3(6, 44_100),
        media::video_only(6),
        media::audio_only(6),
    ] {
        let (text, bytes) = segmented(&input);
        assert_eq!(stream_faults(&bytes), Vec::<String>::new(), "{input}");
        assert_eq!(playlist_faults(&text), Vec::<String>::new(), "{input}");
    }
}

#[test]
fn media_doctor_finds_nothing_in_a_live_window() {
    let rillcast = Rillcast::start(&[]);
    let _camera = rillcast.camera(1);
    let mut follower = rillcast.follow("cam");
    assert!(follower.until(Duration::from_secs(20), |f| f.segments.len() >= 6));
    let bytes: Vec<u8> = follower.segments.iter().flat_map(|got| got.bytes.clone()).collect();
    assert_eq!(stream_faults(&bytes), Vec::<String>::new());
    assert_eq!(playlist_faults(&follower.last_text), Vec::<String>::new());
}

#[test]
fn media_doctor_finds_what_is_broken() {
    let (text, bytes) = segmented(&media::plain(6));
    let lost = [&bytes[..188 * 40], &bytes[188 * 43..]].concat();
    assert!(!stream_faults(&lost).is_empty(), "three packets are lost");
    let (half, rest) = bytes.split_at(bytes.len() / 376 * 188);
    assert!(!stream_faults(&[rest, half].concat()).is_empty(), "time goes back");
    let target = text.lines().find(|line| line.starts_with("#EXT-X-TARGETDURATION")).unwrap();
    assert!(!playlist_faults(&text.replace(target, "")).is_empty(), "no target duration");
}
