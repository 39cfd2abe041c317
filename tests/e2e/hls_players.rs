//! Players of HLS, opened once, over a camera that reboots: GStreamer's `hlsdemux2`, VLC, and
//! Chromium where the camera left in the middle of a second.

use std::process::Command;
use std::time::Duration;

use super::support::board::Board;
use super::support::follow::Follower;
use super::support::process::{self, Running};
use super::support::rillcast::Rillcast;
use super::support::serve::Folder;
use super::support::{media, outside, peers};

/// Seconds that each player plays at least, of those that the camera sends.
const LEAST_S: usize = 8;

/// GStreamer decodes what its demuxer for HLS makes of `url`, and names each picture in `log`.
fn gstreamer(url: &str, log: &str) -> Running {
    process::need("gst-launch-1.0");
    let line = format!(
        "uridecodebin3 uri={url} name=d d. ! queue ! videoconvert ! identity silent=false \
         name=seen ! fakesink d. ! queue ! audioconvert ! fakesink"
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-v").args(line.split_whitespace());
    Running::start("gst-launch-1.0", &mut command, log)
}

/// Pictures in a file that a player has recorded.
fn pictures(file: &str) -> usize {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "quiet", "-select_streams", "v", "-count_packets", "-of", "csv=p=0"]);
    command.args(["-show_entries", "stream=nb_read_packets", file]);
    let done = process::run("ffprobe", &mut command, Duration::from_secs(20));
    let digits = done.text.lines().next().unwrap_or_default().trim_end_matches(',');
    digits.parse().unwrap_or(0)
}

#[test]
fn gstreamer_and_vlc_play_on_when_the_camera_comes_back() {
    let rillcast = Rillcast::start(&[]);
    let url = rillcast.playlist_url("cam");
    let mut first = rillcast.camera(1);
    let mut follower = rillcast.follow("cam");
    assert!(follower.until(Duration::from_secs(20), |f| f.segments.len() >= 3));
    let mut gstreamer = gstreamer(&url, &rillcast.scratch.join("gst.log"));
    let recorded = rillcast.scratch.join("vlc.ts");
    let log = rillcast.scratch.join("vlc.log");
    let mut vlc = peers::vlc(&url, &recorded, &rillcast.scratch, &log);
    std::thread::sleep(Duration::from_secs(5));
    first.signal("KILL");
    std::thread::sleep(Duration::from_secs(2));
    let mut second = rillcast.camera(2);
    std::thread::sleep(Duration::from_secs(8));
    for player in [&mut gstreamer, &mut vlc] {
        assert!(player.ended().is_none(), "it ended: {}", player.text());
        player.signal("INT");
        player.finish(Duration::from_secs(20));
    }
    second.signal("KILL");
    let text = gstreamer.text();
    let seen = text.matches("seen: last-message = chain").count();
    println!("GStreamer: {seen} pictures; VLC: {}", pictures(&recorded));
    assert!(text.contains("GstHLSDemux2"), "{text}");
    assert!(!text.contains("ERROR"), "{text}");
    assert!(seen >= LEAST_S * 25, "{seen} pictures");
    assert!(pictures(&recorded) >= LEAST_S * 25, "{}", vlc.text());
}

/// Chromium finds its place by dates, within a second: a last segment that is shorter is decoded
/// again, and `Parsed buffers not in DTS sequence` ends it. So such a one is never the last.
#[test]
fn chromium_plays_on_behind_a_last_segment_shorter_than_a_second() {
    let clock = Board::new(true, 0);
    let rillcast = Rillcast::start_under(&[], &[], &clock.environment());
    let file = |name: &str| rillcast.scratch.join(name);
    let mut first = rillcast.camera_of(&media::plain_cut_off(), 1);
    let mut follower = rillcast.follow("cam");
    assert!(follower.until(Duration::from_secs(20), |f| f.segments.len() >= 3));
    let page = outside::native_page(&rillcast.playlist_url("cam"), file("page").as_ref());
    let page = Folder::start(page);
    let address = format!("http://{}/page.html", page.address);
    let mut command = outside::browser(&address, SECONDS, &file("profile"));
    let mut chromium = Running::start("chromium", &mut command, &file("chromium"));
    assert!(first.finish(Duration::from_secs(20)).success(), "{}", first.text());
    let short = |f: &Follower| f.segments.iter().position(|got| got.entry.extinf_us < 700_000);
    assert!(!follower.until(Duration::from_secs(4), |f| short(f).is_some()));
    assert!(follower.last_text.contains("PROGRAM-DATE-TIME"), "{}", follower.last_text);
    let _second = rillcast.camera_of(&media::plain(20), 2);
    assert!(follower.until(Duration::from_secs(10), |f| short(f).is_some()), "nothing is lost");
    let next = short(&follower).unwrap() + 1;
    assert!(follower.segments[next].entry.discontinuity, "{}", follower.last_text);
    chromium.finish(Duration::from_secs(u64::from(SECONDS) + 60));
    let seconds = outside::seconds(&chromium.text());
    let end = seconds.last().unwrap();
    println!("Chromium: {:.1} s, error {}", end.time, end.error);
    assert_eq!(end.error, "none", "{}", chromium.text());
    assert!(end.time >= 14.0, "{}", chromium.text());
}

/// Seconds that the browser is open: 6 behind the first segments, 3 without a camera, and so many
/// that it plays what comes after.
const SECONDS: u32 = 20;
