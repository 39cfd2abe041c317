//! The program ends, in whatever way, and starts again: to a player it is the same stream.
//!
//! The camera is ffmpeg, which is started again as a camera would come back. The follower holds
//! every version to the one before, over the restart as well.

use std::time::{Duration, Instant};

use super::support::follow::Follower;
use super::support::http;
use super::support::process::Scratch;
use super::support::rillcast::Rillcast;
use super::support::rtmp::Raw;
use rillcast::limits::PLAYLIST_WAIT_TIME;

const SETTINGS: &[(&str, &str)] = &[("hls.window_segments", "5")];
const PATIENCE: Duration = Duration::from_secs(60);

fn seen(follower: &mut Follower, segments: usize) {
    let done = follower.until(PATIENCE, |f| f.segments.len() >= segments);
    assert!(done, "{} of {segments} segments: {:?}", follower.segments.len(), follower.faults);
}

/// What a player that went on would see of all lives together, by rule ids of the reference sheet.
fn goes_on(follower: &Follower, lives: u64) {
    // R10 to R12, R31 to R34 and R36 between each two versions.
    follower.assert_clean();
    let numbers: Vec<u64> = follower.segments.iter().map(|got| got.entry.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "R33: {numbers:?}");
    let marks = follower.segments.iter().filter(|got| got.entry.discontinuity).count();
    assert_eq!(marks as u64, lives - 1, "R14: one for each time that the camera came back");
    let last = follower.segments.last().expect("segments");
    assert_eq!(last.entry.discontinuity_sequence, lives - 1, "R36");
}

#[test]
fn stream_goes_on_when_the_program_is_killed_in_the_middle_of_a_segment() {
    let mut rillcast = Rillcast::start(SETTINGS);
    let mut follower = rillcast.follow("cam");
    for life in 1..=3u32 {
        let mut camera = rillcast.camera(life);
        // More than the window holds, so that segments leave it.
        let segments = follower.segments.len() + 8;
        seen(&mut follower, segments);
        if life == 3 {
            camera.signal("KILL");
            break;
        }
        std::thread::sleep(Duration::from_millis(400));
        follower.poll();
        let text = follower.last_text.clone();
        let retired = follower.last.as_ref().expect("a playlist").sequence - 1;
        rillcast.again("KILL", |_| {}, SETTINGS, life);
        camera.signal("KILL");
        // Before the camera is back, everything is as it was.
        let path = Rillcast::playlist_path("cam");
        let after = http::get(rillcast.http, &path).expect("an answer").text();
        assert_eq!(after, text, "R31: in life {life}");
        for got in follower.segments.iter().filter(|got| got.entry.sequence >= retired) {
            let answer = http::get(rillcast.http, &follower.resolve(&got.entry.uri)).unwrap();
            assert_eq!(answer.status, 200, "R35: segment {}", got.entry.sequence);
            assert!(answer.body == got.bytes, "segment {} is another", got.entry.sequence);
        }
        assert_eq!(rillcast.lines_with(&["stream goes on", "stream=live/ca"]).len(), 1);
    }
    goes_on(&follower, 3);
    assert_eq!(rillcast.counter("retention_cut"), 0.0, "R35");
}

#[test]
fn stream_goes_on_when_the_program_is_stopped_and_started() {
    let mut rillcast = Rillcast::start(SETTINGS);
    let mut follower = rillcast.follow("cam");
    let mut first = rillcast.camera(1);
    seen(&mut follower, 4);
    // Far enough into a segment that it has sound: one without would be marked for that.
    std::thread::sleep(Duration::from_millis(400));
    let (status, took) = rillcast.stop();
    assert!(status.success() && took < Duration::from_secs(1), "{status} after {took:?}");
    rillcast.again("TERM", |_| {}, SETTINGS, 2);
    first.signal("KILL");
    let mut second = rillcast.camera(2);
    let segments = follower.segments.len() + 6;
    seen(&mut follower, segments);
    second.signal("KILL");
    goes_on(&follower, 2);
}

#[test]
fn numbers_go_on_after_a_reboot() {
    let mut rillcast = Rillcast::start(SETTINGS);
    let (mut next, mut discontinuity) = (0, 0);
    for life in 1..=3u32 {
        let mut follower = rillcast.follow("cam");
        let mut camera = rillcast.camera(life);
        seen(&mut follower, 3);
        let first = &follower.segments[0].entry;
        assert!(first.sequence >= next, "R11: {} after {next}", first.sequence);
        assert_eq!(first.discontinuity, life > 1, "what comes after does not continue it");
        let tagged = first.discontinuity_sequence;
        assert!(life == 1 || tagged > discontinuity, "R12: {tagged} after {discontinuity}");
        follower.assert_clean();
        let last = &follower.segments.last().expect("segments").entry;
        (next, discontinuity) = (last.sequence + 1, last.discontinuity_sequence);
        // The power fails, and what was on the tmpfs is gone.
        let empty = |scratch: &Scratch| {
            std::fs::remove_dir_all(scratch.join("hls")).expect("the folder");
        };
        rillcast.again("KILL", empty, SETTINGS, life);
        camera.signal("KILL");
    }
    let kept = std::fs::read_to_string(rillcast.scratch.join("state/numbers")).expect("numbers");
    assert!(kept.lines().any(|line| line.ends_with(" live/cam")), "{kept}");
}

#[test]
fn player_that_asks_before_the_camera_is_back_waits_for_it() {
    let mut rillcast = Rillcast::start(SETTINGS);
    let path = Rillcast::playlist_path("cam");
    let mut first = rillcast.camera(1);
    let sequence = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        line.expect("R11").parse::<u64>().expect("a number")
    };
    rillcast.wait_line(&["stream published"]);
    // The player that is first has to wait, too.
    let before = http::get(rillcast.http, &path).expect("an answer");
    assert_eq!(before.status, 200);
    let empty = |scratch: &Scratch| {
        std::fs::remove_dir_all(scratch.join("hls")).expect("the folder");
    };
    rillcast.again("KILL", empty, SETTINGS, 1);
    first.signal("KILL");
    let asked = Instant::now();
    let other = http::get(rillcast.http, "/hls/live/other/index.m3u8").expect("an answer");
    assert_eq!(other.status, 404, "nobody expects it");
    assert!(asked.elapsed() < Duration::from_secs(1));
    std::thread::scope(|scope| {
        let player = scope.spawn(|| http::get(rillcast.http, &path).expect("an answer"));
        std::thread::sleep(Duration::from_secs(2));
        assert!(!player.is_finished(), "no camera is there");
        let mut second = rillcast.camera(2);
        let answer = player.join().expect("the player");
        assert_eq!(answer.status, 200);
        assert!(sequence(&answer.text()) > sequence(&before.text()), "R11");
        second.signal("KILL");
    });
    assert_eq!(rillcast.counter("http_expected"), 0.0);
}

#[test]
fn player_of_a_camera_that_sends_nothing_is_told_to_come_again() {
    let rillcast = Rillcast::start(SETTINGS);
    let _camera = Raw::start(rillcast.rtmp, "cam", 4096);
    let asked = Instant::now();
    let answer = http::get(rillcast.http, &Rillcast::playlist_path("cam")).expect("an answer");
    let took = asked.elapsed();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(took >= PLAYLIST_WAIT_TIME && took < PLAYLIST_WAIT_TIME * 2, "{took:?}");
    assert_eq!(rillcast.counter("http_expected"), 1.0);
}
