//! A camera goes away and comes back; meanwhile its stream shows a slate.
//!
//! The history checker holds every version to the rules, and here also to R37: a playlist that is
//! not ended never stands still.

use std::time::Duration;

use rillcast::media::history::Allowance;

use super::support::follow::{Follower, Got};
use super::support::hls_history::{self, Watch};
use super::support::rillcast::Rillcast;
use super::support::{http, outside};

const SETTINGS: &[(&str, &str)] = &[("hls.away", "slate"), ("hls.window_segments", "5")];
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits for so many segments more.
fn more(follower: &mut Follower, segments: usize) {
    let enough = follower.segments.len() + segments;
    let done = follower.until(PATIENCE, |f| f.segments.len() >= enough);
    assert!(done, "{} of {enough}: {:?}", follower.segments.len(), follower.faults);
}

/// Numbers of the segments that begin what does not continue the one before.
fn breaks(segments: &[Got]) -> Vec<usize> {
    let marked = segments.iter().enumerate().filter(|(_, got)| got.entry.discontinuity);
    marked.map(|(at, _)| at).collect()
}

#[test]
fn r37_playlist_moves_on_with_a_slate_while_the_camera_is_away() {
    let rillcast = Rillcast::start(SETTINGS);
    let mut first = rillcast.camera(1);
    let mut follower = rillcast.follow("cam");
    more(&mut follower, 4);
    let watch = Watch::start(&rillcast.playlist_url("cam"), Allowance::default());
    // Far enough into a segment that it has sound: one without would be marked for that.
    std::thread::sleep(Duration::from_millis(400));
    first.signal("KILL");
    rillcast.wait_line(&["slate shown", "stream=live/ca"]);
    more(&mut follower, 8);
    let status = http::get(rillcast.http, "/status.json").expect("status").text();
    assert!(status.contains("\"live\":false"), "the camera is away: {status}");
    let mut second = rillcast.camera(2);
    more(&mut follower, 6);
    let watched = watch.stop();
    second.signal("KILL");
    println!("{watched}");
    hls_history::assert_clean(&watched);
    follower.assert_clean();
    // The slate, and the camera behind it: all in one picture size, decoded without a complaint.
    let breaks = breaks(&follower.segments);
    assert_eq!(breaks.len(), 2, "{breaks:?}");
    let slate = &follower.segments[breaks[0]..breaks[1]];
    assert!(slate.len() >= 5, "{}", slate.len());
    let (frames, _) = outside::ffmpeg_decodes_segments(slate).expect("a decoder");
    let seconds: u64 = slate.iter().map(|got| got.entry.extinf_us).sum::<u64>() / 1_000_000;
    assert!(frames >= 5 * (seconds - 1) && frames <= 5 * (seconds + 1), "{frames} in {seconds} s");
    let size = |got: &Got| outside::size_of(&got.bytes);
    assert_eq!(size(&slate[1]), size(&follower.segments[0]), "the camera's own");
    assert_eq!(rillcast.counter("rtmp_takeovers"), 0.0);
}

#[test]
fn slate_is_of_a_stream_that_is_still_there() {
    let mut rillcast = Rillcast::start(SETTINGS);
    let mut first = rillcast.camera(1);
    let mut follower = rillcast.follow("cam");
    more(&mut follower, 2);
    first.signal("KILL");
    rillcast.wait_line(&["slate shown", "stream=live/ca"]);
    rillcast.signal("USR1");
    rillcast.wait_line(&["presentation ended", "stream=live/ca"]);
    let text = http::get(rillcast.http, &Rillcast::playlist_path("cam")).expect("it").text();
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "R38: {text}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(rillcast.lines_with(&["slate shown"]).len(), 1);
}
