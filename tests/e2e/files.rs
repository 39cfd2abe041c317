//! `rillcast segment` and `rillcast testcard`: files in, files out, the same judges.

use std::process::Command;
use std::time::Duration;

use crate::support::follow;
use crate::support::media;
use crate::support::process::{self, Outcome, Scratch};
use crate::support::rillcast::{self, BINARY};
use crate::support::session::{self, Expect};
use crate::support::{flv, outside};

fn segment(input: &str, output: &str) -> Outcome {
    // What came is compared with what goes out, to the frame.
    rillcast::segment(input, output, &["media.fill_silence=false"])
}

/// Segments a file and compares all of it.
fn whole(name: &str, path: &str, expect: Expect) {
    let scratch = Scratch::new("segment");
    let output = scratch.join("out");
    let done = segment(path, &output);
    assert!(done.status.success(), "{name}: {}\n{}", done.status, done.text);
    let (list, segments) = follow::from_folder(output.as_ref(), "index.m3u8")
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(list.ended, "{name}: no EXT-X-ENDLIST");
    assert_eq!(list.kind.as_deref(), Some("VOD"), "{name}");
    let text = std::fs::read_to_string(format!("{output}/index.m3u8")).unwrap();
    outside::hls_parser(&text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
    session::judge_segments(name, &segments, &flv::sent(&flv::read_file(path)), expect);
    if expect.decodes {
        outside::ffmpeg_decodes(&format!("{output}/index.m3u8"))
            .unwrap_or_else(|e| panic!("{name}: the playlist: {e}"));
    }
    let listed = segments.len();
    let on_disk = std::fs::read_dir(&output)
        .unwrap()
        .flatten()
        .filter(|f| f.path().extension().is_some_and(|e| e == "ts"))
        .count();
    assert_eq!(listed, on_disk, "{name}: segment files that the playlist does not list");
    println!("{name}: segmented in {:?}", done.took);
}

/// Tries every case and then says which failed; each has printed why.
fn every(cases: &[(&str, String, Expect)]) {
    let failed: Vec<&str> = cases
        .iter()
        .filter(|(name, path, expect)| {
            std::panic::catch_unwind(|| whole(name, path, *expect)).is_err()
        })
        .map(|(name, ..)| *name)
        .collect();
    assert!(failed.is_empty(), "of {} files these failed: {failed:?}", cases.len());
}

#[test]
fn segment_writes_a_whole_vod_for_every_kind_of_file() {
    let plain = Expect::default();
    every(&[
        ("segment: plain", media::plain(10), plain),
        ("segment: b-frames", media::b_frames(10), plain),
        ("segment: aac 48000", media::aac_48000(10), plain),
        ("segment: mp3 44100", media::mp3(8, 44_100), plain),
        ("segment: mp3 22050", media::mp3(8, 22_050), plain),
        ("segment: silence", media::silence(8), plain),
        ("segment: video only", media::video_only(8), plain),
        ("segment: audio only", media::audio_only(8), plain),
        ("segment: slow pictures", media::slow_picture(8), plain),
        (
            "segment: a keyframe every 5 s",
            media::long_gop(15),
            Expect { forced_cuts: true, ..plain },
        ),
    ]);
}

#[test]
fn segment_keeps_constructed_files_whole() {
    let scratch = Scratch::new("made");
    let b_frames = flv::read_file(&media::b_frames(10));
    let plain = flv::read_file(&media::plain(5));
    let larger = flv::read_file(&media::larger(5));
    let changes = Expect { runs: 2, audio_slack: 90, decodes: false, ..Expect::default() };
    // ffmpeg remarks on a stream that appears later.
    let any = Expect { runs: 0, forced_cuts: true, decodes: false, ..Expect::default() };
    let silent = Expect { decodes: false, ..Expect::default() };
    let one = Expect::default();
    let cases: Vec<(&str, String, Expect)> = [
        ("segment: negative composition times", media::negative_cts(&b_frames, 80), one),
        ("segment: picture size changes", media::joined(&plain, &larger), changes),
        ("segment: aac configuration repeated", media::repeated_aac_config(&plain, 1000), one),
        ("segment: he-aac as signalled (constructed)", media::he_aac_signalled(8), silent),
        ("segment: video 2 s late", media::delayed(&plain, flv::VIDEO, 2000), any),
        ("segment: audio 2 s late", media::delayed(&plain, flv::AUDIO, 2000), any),
        ("segment: 24-bit wrap", media::shifted(&plain, 0xff_ffff - 2000), one),
        ("segment: 31-bit wrap", media::shifted(&plain, (1 << 31) - 2000), one),
        ("segment: 32-bit wrap", media::shifted(&plain, u32::MAX - 2000), one),
        ("segment: 32 bits of 90 kHz", media::shifted(&plain, 47_721_858 - 2000), one),
        ("segment: 33 bits of 90 kHz", media::shifted(&plain, 95_443_717 - 2000), one),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, (name, tags, expect))| {
        let path = scratch.join(&format!("{n}.flv"));
        std::fs::write(&path, flv::write(&tags)).unwrap();
        (name, path, expect)
    })
    .collect();
    every(&cases);
}

#[test]
fn segment_names_the_byte_and_keeps_what_was_good_when_a_file_breaks() {
    let scratch = Scratch::new("bad");
    let good = std::fs::read(media::plain(5)).unwrap();
    let tags = flv::read(&good).unwrap();
    let broken = tags.iter().position(|tag| tag.ms >= 3500).unwrap();
    let offset = tags[broken].offset;
    // Cut off inside a tag; and a tag whose length runs over the end of the file.
    let cut = good[..offset + 20].to_vec();
    let mut long = good.clone();
    long[offset + 1..offset + 4].copy_from_slice(&[0xff, 0xff, 0xff]);
    for (name, bytes) in [("cut off", cut), ("too long", long)] {
        let (input, output) =
            (scratch.join(&format!("{name}.flv")), scratch.join(&format!("{name}-out")));
        std::fs::write(&input, bytes).unwrap();
        let done = segment(&input, &output);
        assert_eq!(done.status.code(), Some(2), "{name}: {}", done.text);
        let near = offset..offset + 21;
        let named = done
            .text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .any(|n: usize| near.contains(&n));
        assert!(named, "{name}: no byte offset near {offset} in `{}`", done.text);
        let (list, segments) = follow::from_folder(output.as_ref(), "index.m3u8")
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(list.ended);
        session::judge_segments(
            &format!("{name} at byte {offset}"),
            &segments,
            &flv::sent(&tags[..broken]),
            Expect::default(),
        );
    }
    let input = scratch.join("text.flv");
    std::fs::write(&input, "this is no FLV, whatever its name says").unwrap();
    let done = segment(&input, &scratch.join("text-out"));
    assert_eq!(done.status.code(), Some(2), "{}", done.text);
    assert!(
        done.text.contains("byte 0")
            || done.text.contains("byte=0")
            || done.text.contains("offset 0"),
        "{}",
        done.text
    );
}

#[test]
fn testcard_file_is_decoded_by_ffmpeg_and_segmented_whole() {
    let scratch = Scratch::new("card");
    let path = scratch.join("card.flv");
    let mut command = Command::new(BINARY);
    command.args(["testcard", &path, "--seconds", "6"]);
    let done = process::run("rillcast testcard", &mut command, Duration::from_secs(30));
    assert!(done.status.success(), "{}", done.text);
    let sent = flv::sent(&flv::read_file(&path));
    let (frames, _) = outside::ffmpeg_decodes(&path).unwrap();
    assert_eq!(frames as usize, sent.video.len());
    let span = sent.video.last().unwrap().ms - sent.video[0].ms;
    assert!((5000..=6000).contains(&span), "{span} ms of pictures in 6 s");
    assert!(sent.audio.len() > 100, "{} audio frames", sent.audio.len());
    whole("segment: test card", &path, Expect::default());
}
