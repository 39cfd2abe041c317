//! Players of HLS beside browsers and ffmpeg: GStreamer's `hlsdemux2` and VLC, opened once, over a
//! camera that reboots.

use std::process::Command;
use std::time::Duration;

use super::support::peers;
use super::support::process::{self, Running};
use super::support::rillcast::Rillcast;

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
