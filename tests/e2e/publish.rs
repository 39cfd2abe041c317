//! Real publishers: ffmpeg, GStreamer, librtmp, nginx-rtmp. Every access unit is compared, then the
//! stream is played by ffmpeg and by a browser while it is live.
//!
//! Each publisher writes what it sends into a file as well: that file is the truth, so a
//! publisher's own rewriting of times is not held against the program. `judges` shows with nginx's
//! recorder that the file is what went over the wire.

use std::time::Duration;

use crate::support::flv::{self, Sent};
#[allow(unused_imports, reason = "the other files find publishers here")]
pub use crate::support::peers::{Nginx, PUBLISHERS, Publisher, ffmpeg, gstreamer};
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::Rillcast;
use crate::support::session::{self, Expect};
use crate::support::{media, outside};

/// Follows to the end of the publisher; then what it sent, with what nothing could have received
/// (before a relay was connected) cut off.
fn follow_to_end(
    rillcast: &Rillcast,
    publisher: &mut Running,
    truth: &str,
    relayed: bool,
) -> (crate::support::follow::Follower, Sent) {
    let mut follower = rillcast.follow("cam");
    follower.until(Duration::from_secs(60), |_| publisher.ended().is_some());
    publisher.succeed(Duration::from_secs(1));
    let mut sent = flv::sent(&flv::read_file(truth));
    if relayed {
        trim(&mut sent, &follower);
    }
    session::whole(&mut follower, &sent, Duration::from_secs(5));
    (follower, sent)
}

/// A relay connects after its source: what it did not get cannot come out. At most two seconds.
fn trim(sent: &mut Sent, follower: &crate::support::follow::Follower) {
    let mut demux = crate::support::ts::Demux::default();
    let first = demux.segment(&follower.segments.first().expect("a segment").bytes);
    let nals =
        |pes: &crate::support::ts::Pes| crate::support::es::annex_b(&pes.data).unwrap_or_default();
    let video = first.of(first.video_pid().expect("video")).next().map(nals).expect("a picture");
    let slice = video
        .iter()
        .find(|nal| matches!(nal.first().map(|b| b & 31), Some(1 | 5)))
        .expect("a slice");
    let audio = first
        .of(first.audio_pid().expect("audio"))
        .next()
        .map(|pes| crate::support::es::adts(&pes.data));
    let frame = audio.expect("audio").expect("ADTS").remove(0).bytes;
    let from = sent
        .video
        .iter()
        .position(|unit| unit.nals.contains(slice))
        .expect("its first picture was sent");
    assert!(sent.video[from].ms - sent.video[0].ms <= 2000, "the relay lost {from} pictures");
    sent.video.drain(..from);
    let from =
        sent.audio.iter().position(|one| one.bytes == frame).expect("its first frame was sent");
    assert!(sent.audio[from].ms - sent.audio[0].ms <= 2100, "the relay lost {from} audio frames");
    sent.audio.drain(..from);
}

/// Publishes 12 s in real time; plays it live in a browser and in ffmpeg; judges all of it.
fn real_publisher(name: &str, publisher: Publisher) {
    let rillcast = Rillcast::start(&[("hls.window_segments", "8")]);
    let scratch = Scratch::new("publisher");
    let truth = scratch.join("truth.flv");
    let mut running =
        publisher(&media::plain(12), &rillcast.publish_url("cam"), &truth, &scratch.join("log"));
    let url = rillcast.playlist_url("cam");
    let (browser, player) = (live_browser(&rillcast, &url), url.clone());
    let player = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(5));
        outside::ffmpeg_plays(&player, 4)
    });
    let (follower, sent) = follow_to_end(&rillcast, &mut running, &truth, false);
    assert!(
        sent.video.len() > 250 && sent.audio.len() > 450,
        "{name} sent only {} and {}",
        sent.video.len(),
        sent.audio.len()
    );
    // GStreamer stamps audio with the time it was made at, which wanders by some milliseconds; ours
    // counts samples and follows from 50 ms on.
    let audio_slack = if name.contains("ffmpeg") { 0 } else { 50 * 90 };
    let expect = Expect { audio_slack, ..Expect::default() };
    session::judge(&rillcast, "cam", name, &follower, &sent, expect);
    let seconds = browser.join().expect("browser");
    println!(
        "{name}: {}",
        outside::played(&seconds, (320, 240), 3.0)
            .unwrap_or_else(|e| panic!("{name}: chromium: {e}"))
    );
    let (frames, _) = player.join().expect("player").unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(frames >= 95, "{name}: ffmpeg played {frames} pictures in 4 s");
    println!("{name}: ffmpeg played {frames} pictures live");
}

/// A browser that opens the playlist once it has some segments.
fn live_browser(rillcast: &Rillcast, url: &str) -> std::thread::JoinHandle<Vec<outside::Second>> {
    let (mut follower, url) = (rillcast.follow("cam"), url.to_owned());
    std::thread::spawn(move || {
        follower.until(Duration::from_secs(20), |f| {
            f.last.as_ref().is_some_and(|list| list.entries.len() >= 3)
        });
        outside::chromium_plays(&url, 6)
    })
}

#[test]
fn ffmpeg_publishes_and_every_unit_comes_out() {
    real_publisher(PUBLISHERS[0].0, PUBLISHERS[0].1);
}

#[test]
fn gstreamer_publishes_and_every_unit_comes_out() {
    real_publisher(PUBLISHERS[1].0, PUBLISHERS[1].1);
}

#[test]
fn librtmp_publishes_and_every_unit_comes_out() {
    real_publisher(PUBLISHERS[2].0, PUBLISHERS[2].1);
}

#[test]
fn nginx_pushes_and_every_unit_it_relayed_comes_out() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("push");
    let nginx = Nginx::start(&scratch, &format!("push {};", rillcast.publish_url("cam")));
    let truth = scratch.join("truth.flv");
    let url = format!("rtmp://{}/live/cam", nginx.rtmp);
    let mut running = ffmpeg(&media::plain(12), &url, &truth, &scratch.join("log"));
    let browser = live_browser(&rillcast, &rillcast.playlist_url("cam"));
    let (follower, sent) = follow_to_end(&rillcast, &mut running, &truth, true);
    session::judge(&rillcast, "cam", "nginx-rtmp push", &follower, &sent, Expect::default());
    println!(
        "nginx-rtmp push: {}",
        outside::played(&browser.join().expect("browser"), (320, 240), 3.0).unwrap()
    );
}

/// hls.js plays the live stream from another origin.
#[test]
fn hls_js_plays_the_live_stream() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("hlsjs");
    let truth = scratch.join("truth.flv");
    let url = rillcast.publish_url("cam");
    let mut running = ffmpeg(&media::b_frames(14), &url, &truth, &scratch.join("log"));
    let mut follower = rillcast.follow("cam");
    follower.until(Duration::from_secs(20), |f| {
        f.last.as_ref().is_some_and(|list| list.entries.len() >= 2)
    });
    let seconds = outside::hls_js_plays(&rillcast.playlist_url("cam"), 6);
    println!("hls.js: {}", outside::played(&seconds, (320, 240), 3.0).unwrap());
    running.succeed(Duration::from_secs(20));
}

/// The page that the program itself serves plays the stream.
#[test]
fn own_page_plays_the_stream_in_a_browser() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("page");
    let mut running = ffmpeg(
        &media::plain(12),
        &rillcast.publish_url("cam"),
        &scratch.join("truth.flv"),
        &scratch.join("log"),
    );
    let mut follower = rillcast.follow("cam");
    follower.until(Duration::from_secs(20), |f| {
        f.last.as_ref().is_some_and(|list| list.entries.len() >= 3)
    });
    let seconds = outside::chromium_page(&format!("http://{}/", rillcast.http), 6);
    println!("own page: {}", outside::played(&seconds, (320, 240), 2.0).unwrap());
    running.succeed(Duration::from_secs(20));
}

#[test]
fn testcard_plays_in_a_browser_and_in_ffmpeg() {
    let rillcast = Rillcast::start_with(&[], &["--testcard"]);
    let list = process::wait_for(
        "the test card's stream in /status.json or its folder",
        Duration::from_secs(15),
        || {
            let streams = std::fs::read_dir(rillcast.scratch.path().join("hls")).ok()?;
            streams
                .flatten()
                .flat_map(|app| std::fs::read_dir(app.path()).into_iter().flatten().flatten())
                .find_map(|key| {
                    let list = key.path().join("index.m3u8");
                    (std::fs::read_to_string(&list).ok()?.matches("#EXTINF").count() >= 3)
                        .then_some(key.path())
                })
        },
    );
    let path = list.strip_prefix(rillcast.scratch.path()).unwrap().join("index.m3u8");
    let url = format!("http://{}/{}", rillcast.http, path.display());
    let seconds = outside::chromium_plays(&url, 5);
    let last = seconds.last().expect("a video element").clone();
    println!("test card: {}", outside::played(&seconds, (last.width, last.height), 2.0).unwrap());
    assert!(last.width >= 160, "{last:?}");
    let (frames, _) = outside::ffmpeg_plays(&url, 3).unwrap();
    assert!(frames >= 15, "{frames} pictures in 3 s");
}

/// tshark reads one whole session and finds nothing malformed in what the program answered.
#[test]
fn tshark_dissects_a_session_without_complaint() {
    let rillcast = Rillcast::start(&[]);
    let capture = outside::Capture::start(rillcast.rtmp.port());
    let scratch = Scratch::new("tshark");
    let mut running = ffmpeg(
        &media::plain(4),
        &rillcast.publish_url("cam"),
        &scratch.join("truth.flv"),
        &scratch.join("log"),
    );
    running.succeed(Duration::from_secs(20));
    let seen = capture.dissect();
    assert_eq!(seen.malformed, Vec::<String>::new(), "{}", seen.ours);
    for words in ["NetConnection.Connect.Success", "NetStream.Publish.Start"] {
        assert!(seen.ours.contains(words), "no {words} in\n{}", seen.ours);
    }
    println!("tshark: {} lines of our answers, none malformed", seen.ours.lines().count());
}
