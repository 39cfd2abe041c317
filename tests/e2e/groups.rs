//! Two sizes, two languages and a radio from one ffmpeg, offered under one master playlist: read by
//! parsers of others, watched by the checker, played by ffmpeg and by hls.js, which changes size
//! and language while it plays.

use std::process::Command;
use std::time::Duration;

use crate::support::outside::{self, Second};
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::{BINARY, Rillcast};
use crate::support::serve::Folder;
use crate::support::{http, readers};

const GROUP: &[(&str, &str)] = &[
    ("group.live/cam.variants", "live/hi,live/lo"),
    ("group.live/cam.audio", "live/hi en English,live/de de Deutsch"),
    ("group.live/cam.audio_only", "live/radio"),
];

/// One ffmpeg that publishes everything for so long.
fn publish(rillcast: &Rillcast, scratch: &Scratch, seconds: u32) -> Running {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-nostdin"]);
    for source in ["testsrc2=s=320x240:r=25", "sine=440:r=48000", "sine=880:r=48000"] {
        command.args(["-re", "-f", "lavfi", "-t", &seconds.to_string(), "-i", source]);
    }
    command.args(["-filter_complex", "[0:v]split=2[hi][b];[b]scale=160:120[lo]"]);
    let sound = ["-c:a", "aac", "-b:a", "64k", "-f", "flv"];
    for (size, key) in [("[hi]", "hi"), ("[lo]", "lo")] {
        command.args(["-map", size, "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast"]);
        command.args(["-pix_fmt", "yuv420p", "-g", "25", "-sc_threshold", "0"]);
        command.args(sound).arg(rillcast.publish_url(key));
    }
    for (track, key) in [("2:a", "de"), ("1:a", "radio")] {
        command.args(["-map", track]).args(sound).arg(rillcast.publish_url(key));
    }
    Running::start("ffmpeg", &mut command, &scratch.join("log"))
}

fn master_url(rillcast: &Rillcast) -> String {
    rillcast.playlist_url("cam").replace("index", "master")
}

/// The group's master, once all members are in it.
fn master(rillcast: &Rillcast) -> String {
    process::wait_for("the whole group", Duration::from_secs(30), || {
        let answer = http::get(rillcast.http, "/hls/live/cam/master.m3u8").ok()?;
        let text = answer.text();
        let whole = ["../hi/", "../lo/", "../de/", "../radio/"].iter().all(|m| text.contains(m));
        (answer.status == 200 && whole).then_some(text)
    })
}

/// Seconds that a player moved in, and that nothing fatal was noted.
fn moved(seconds: &[Second]) -> f64 {
    let last = seconds.last().expect("a video element");
    assert_eq!(last.error, "none");
    assert!(!last.notes.contains("fatal"), "{}", last.notes);
    let first = seconds.iter().find(|second| second.time > 0.0).map_or(0.0, |second| second.time);
    last.time - first
}

#[test]
fn r60_r62_r63_group_of_one_encoder_is_read_by_others_and_keeps_the_rules() {
    let rillcast = Rillcast::start(GROUP);
    let scratch = Scratch::new("group");
    let mut publisher = publish(&rillcast, &scratch, 40);
    let text = master(&rillcast);
    let said = outside::hls_parser(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(said, "ok variants=3 i_frames=2");
    let lines = readers::read(&text);
    let variants: Vec<&String> = lines.iter().filter(|l| l.starts_with("variant ")).collect();
    assert_eq!(variants.len(), 3, "{lines:?}");
    for (line, size) in variants.iter().zip(["320x240", "160x120", "none"]) {
        assert!(line.contains(size) && line.contains("mp4a.40.2"), "{line}");
    }
    assert!(text.contains("LANGUAGE=\"de\",NAME=\"Deutsch\",AUTOSELECT=YES,URI=\"../de/index"));
    let on_disk = std::fs::read_to_string(rillcast.folder("cam").join("master.m3u8")).unwrap();
    assert!(outside::hls_parser(&on_disk).is_ok(), "{on_disk}");
    let mut command = Command::new(BINARY);
    command.args(["check", &master_url(&rillcast), "--seconds", "15"]);
    let checked = process::run("rillcast check", &mut command, Duration::from_secs(40));
    assert!(checked.status.success(), "{}", checked.text);
    let status = http::get(rillcast.http, "/status.json").expect("an answer").text();
    assert!(status.contains("\"group_rough\":0,"), "{status}");
    publisher.finish(Duration::from_secs(60));
}

#[test]
fn group_is_played_by_ffmpeg_in_any_size_and_without_pictures() {
    let rillcast = Rillcast::start(GROUP);
    let scratch = Scratch::new("group");
    let mut publisher = publish(&rillcast, &scratch, 40);
    master(&rillcast);
    let url = master_url(&rillcast);
    let (frames, _) = outside::ffmpeg_plays(&url, 4).unwrap_or_else(|e| panic!("{e}"));
    assert!(frames >= 95, "{frames} pictures in 4 s");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "program=program_id:stream=codec_type,width"]);
    command.args(["-of", "compact", &url]);
    let probed = process::run("ffprobe", &mut command, Duration::from_secs(30)).text;
    assert!(probed.contains("width=320") && probed.contains("width=160"), "{probed}");
    assert!(probed.matches("program_id=").count() >= 3, "{probed}");
    sounds(&rillcast.playlist_url("radio"));
    publisher.finish(Duration::from_secs(60));
}

/// Players take the variant without pictures.
fn sounds(radio: &str) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-xerror", "-live_start_index", "0", "-i", radio]);
    command.args(["-t", "4", "-map", "0", "-f", "framecrc", "-"]);
    let done = process::run("ffmpeg plays", &mut command, Duration::from_secs(40));
    let sounds = done.text.lines().filter(|line| line.starts_with("0, ")).count();
    assert!(done.status.success() && sounds >= 180, "{sounds} frames of sound: {}", done.text);
    assert!(!done.text.contains("#media_type 0: video"), "{}", done.text);
    let seconds = outside::hls_js_plays(radio, 6);
    assert!(moved(&seconds) >= 3.0, "{seconds:?}");
}

#[test]
fn sound_of_a_camera_is_a_stream_of_its_own() {
    let rillcast = Rillcast::start(&[
        ("group.live/cam.variants", "live/hi,live/lo"),
        ("group.live/cam.audio_only", "live/hi#0"),
        ("limits.streams", "5"),
    ]);
    let scratch = Scratch::new("group");
    let mut publisher = publish(&rillcast, &scratch, 40);
    let text = process::wait_for("the whole group", Duration::from_secs(30), || {
        let text = http::get(rillcast.http, "/hls/live/cam/master.m3u8").ok()?.text();
        text.contains("../hi.audio0/index.m3u8").then_some(text)
    });
    assert!(outside::hls_parser(&text).is_ok(), "{text}");
    let mut command = Command::new(BINARY);
    command.args(["check", &master_url(&rillcast), "--seconds", "12"]);
    let checked = process::run("rillcast check", &mut command, Duration::from_secs(40));
    assert!(checked.status.success(), "{}", checked.text);
    sounds(&rillcast.playlist_url("hi.audio0"));
    publisher.finish(Duration::from_secs(60));
}

#[test]
fn hls_js_changes_size_and_language_and_does_not_halt() {
    let rillcast = Rillcast::start(GROUP);
    let scratch = Scratch::new("group");
    let mut publisher = publish(&rillcast, &scratch, 50);
    master(&rillcast);
    let script = "let n = 0; \
        hls.on(Hls.Events.LEVEL_SWITCHED, (_, d) => window.notes.push(\"level\" + d.level)); \
        hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, (_, d) => window.notes.push(\"track\" + d.id)); \
        setInterval(() => { n += 1; hls.nextLevel = n % hls.levels.length; \
        if (n % 2 == 0) hls.audioTrack = (n / 2) % hls.audioTracks.length; }, 3000);";
    let folder = Scratch::new("hlsjs");
    let page = outside::hls_js_page_with(&master_url(&rillcast), folder.path(), script);
    let page = Folder::start(page);
    let seconds = outside::chromium_page(&format!("http://{}/page.html", page.address), 24);
    let moved = moved(&seconds);
    assert!(moved >= 18.0, "{moved} s in 24: {seconds:?}");
    let widths: Vec<u32> = seconds.iter().map(|second| second.width).collect();
    assert!(widths.contains(&320) && widths.contains(&160), "{widths:?}");
    let notes = &seconds.last().unwrap().notes;
    for note in ["level0", "level1", "track0", "track1"] {
        assert!(notes.contains(note), "{note}: {notes}");
    }
    println!("hls.js: {moved:.1} s, {notes}");
    publisher.finish(Duration::from_secs(60));
}
