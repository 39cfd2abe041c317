//! Real players over RTMP: ffmpeg, rtmpdump, GStreamer with each of its two sources.
//!
//! Each player records what it gets; every message that it recorded is compared, byte for byte,
//! with what the publisher sent, without a hole from its first keyframe on. A table of publishers
//! and players is printed.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use crate::support::flv::{self, Tag};
use crate::support::peers::{self, PUBLISHERS};
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::Rillcast;
use crate::support::rtmp::{self, Message, Raw};
use crate::support::{http, media};

/// Bytes that the kernel keeps for the stalled player: little beside what it keeps for the sender.
const RECEIVES: usize = 128 << 10;

/// Records a stream of so many seconds: URL, file, seconds, log.
type Player = fn(&str, &str, u32, &str) -> Running;

const PLAYERS: [(&str, Player); 4] = [
    ("ffmpeg", peers::ffmpeg_player),
    ("rtmpdump", peers::rtmpdump),
    ("gstreamer rtmp2src", |u, f, _, l| peers::gstreamer_player("rtmp2src", u, f, l)),
    ("librtmp (rtmpsrc)", |u, f, _, l| peers::gstreamer_player("rtmpsrc", u, f, l)),
];

/// The bodies of one kind, without configuration.
fn bodies(tags: &[Tag], kind: u8) -> Vec<&[u8]> {
    let media = tags.iter().filter(|tag| tag.kind == kind && !tag.is_config());
    media.map(|tag| &tag.body[..]).filter(|body| body.len() > 5).collect()
}

/// What `got` has of one kind stands in `sent`, in one piece; says how many messages.
pub fn one_piece(what: &str, sent: &[Tag], got: &[Tag], kind: u8) -> usize {
    let (sent, got) = (bodies(sent, kind), bodies(got, kind));
    let at: HashMap<&[u8], usize> = sent.iter().enumerate().map(|(i, b)| (*b, i)).collect();
    let first = got.first().unwrap_or_else(|| panic!("{what}: nothing of kind {kind}"));
    let from = *at.get(first).unwrap_or_else(|| panic!("{what}: first of kind {kind} unknown"));
    for (i, body) in got.iter().enumerate() {
        assert!(sent.get(from + i) == Some(body), "{what}: message {i} of kind {kind} differs");
    }
    got.len()
}

/// Plays for three seconds while `publisher` sends, and compares.
fn plays(publisher: usize, player: usize) {
    let rillcast = Rillcast::start(&[]);
    plays_at(&rillcast, &rillcast.publish_url("cam"), publisher, player);
}

/// The same by this address of stream `cam`.
pub fn plays_at(rillcast: &Rillcast, url: &str, publisher: usize, player: usize) {
    let scratch = Scratch::new("play");
    let (truth, file) = (scratch.join("truth.flv"), scratch.join("got.flv"));
    let (publisher_name, publish) = PUBLISHERS[publisher];
    let (player_name, play) = PLAYERS[player];
    let what = format!("{publisher_name} to {player_name} by {url}");
    let mut sender = publish(&media::plain(9), url, &truth, &scratch.join("publisher.log"));
    process::wait_for("the stream", Duration::from_secs(8), || {
        http::get(rillcast.http, &Rillcast::playlist_path("cam")).ok().filter(|a| a.status == 200)
    });
    let mut receiver = play(url, &file, 3, &scratch.join("player.log"));
    process::wait_for("three seconds of media", Duration::from_secs(10), || {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let tags = flv::read(flv::whole(&bytes)).unwrap_or_default();
        (receiver.ended().is_some() || bodies(&tags, flv::VIDEO).len() > 75).then_some(())
    });
    if receiver.ended().is_none() {
        receiver.signal("INT");
        receiver.finish(Duration::from_secs(5));
    }
    sender.finish(Duration::from_secs(15));
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{what}: {error}"));
    let got = flv::read(flv::whole(&bytes)).unwrap();
    let sent = flv::read_file(&truth);
    let video = got.iter().find(|tag| tag.kind == flv::VIDEO && !tag.is_config());
    assert_eq!(video.unwrap().body[0] >> 4, 1, "{what}: begins at a keyframe");
    let pictures = one_piece(&what, &sent, &got, flv::VIDEO);
    let sounds = one_piece(&what, &sent, &got, flv::AUDIO);
    assert!(pictures > 50 && sounds > 80, "{what}: {pictures} pictures, {sounds} sounds");
    println!("pass  {what}: {pictures} pictures, {sounds} sounds");
}

#[test]
fn ffmpeg_plays_what_each_publisher_sends() {
    for publisher in 0..PUBLISHERS.len() {
        plays(publisher, 0);
    }
}

#[test]
fn rtmpdump_plays_what_each_publisher_sends() {
    for publisher in 0..PUBLISHERS.len() {
        plays(publisher, 1);
    }
}

#[test]
fn gstreamer_rtmp2src_plays_what_each_publisher_sends() {
    for publisher in 0..PUBLISHERS.len() {
        plays(publisher, 2);
    }
}

#[test]
fn librtmp_rtmpsrc_plays_what_each_publisher_sends() {
    for publisher in 0..PUBLISHERS.len() {
        plays(publisher, 3);
    }
}

#[test]
fn player_waits_for_a_stream_that_comes_or_is_told_that_it_did_not() {
    let rillcast = Rillcast::start(&[("rtmp.play_wait_s", "6")]);
    let scratch = Scratch::new("wait");
    let url = rillcast.publish_url("late");
    let file = scratch.join("got.flv");
    let mut early = Command::new("ffmpeg");
    early.args(["-v", "warning", "-nostdin", "-i", &url, "-c", "copy", "-t", "2", &file]);
    let mut early = Running::start("ffmpeg player", &mut early, &scratch.join("early.log"));
    std::thread::sleep(Duration::from_millis(1500));
    let truth = scratch.join("truth.flv");
    let _sender = PUBLISHERS[0].1(&media::plain(5), &url, &truth, &scratch.join("publisher.log"));
    early.succeed(Duration::from_secs(12));
    let never = rillcast.publish_url("never");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-rtmp_live", "live", "-i", &never]);
    command.args(["-f", "null", "-"]);
    let outcome = process::run("ffmpeg", &mut command, Duration::from_secs(5));
    assert!(outcome.text.contains("no such stream"), "{}", outcome.text);
}

#[test]
fn stalled_player_holds_nobody_back_and_goes_on_at_a_keyframe() {
    // The ring holds half a second of this stream, the kernel 4 MiB at most.
    let settings = [("limits.ring_bytes", "512KiB"), ("limits.slot_bytes", "4MiB")];
    let rillcast = Rillcast::start(&settings);
    let scratch = Scratch::new("stall");
    let url = rillcast.publish_url("cam");
    let (truth, file) = (scratch.join("truth.flv"), scratch.join("got.flv"));
    let mut sender =
        PUBLISHERS[0].1(&media::heavy(14), &url, &truth, &scratch.join("publisher.log"));
    process::wait_for("the stream", Duration::from_secs(8), || {
        http::get(rillcast.http, &Rillcast::playlist_path("cam")).ok().filter(|a| a.status == 200)
    });
    let mut player = peers::gstreamer_player("rtmp2src", &url, &file, &scratch.join("player.log"));
    let (other, log) = (scratch.join("other.flv"), scratch.join("other.log"));
    let mut other = peers::ffmpeg_player(&url, &other, 4, &log);
    let mut stalled = Stalled::new(&rillcast);
    other.succeed(Duration::from_secs(15));
    process::wait_for("an overrun", Duration::from_secs(20), || {
        let status = http::get(rillcast.http, "/status.json").ok()?;
        http::json_number(&status.text(), "rtmp_overruns").filter(|n| *n > 0.0)
    });
    let late = stalled.drain();
    sender.succeed(Duration::from_secs(25));
    player.signal("INT");
    player.finish(Duration::from_secs(5));
    let bytes = std::fs::read(&file).unwrap();
    let got = flv::read(flv::whole(&bytes)).unwrap();
    let truth = flv::read_file(&truth);
    one_piece("beside a stalled player", &truth, &got, flv::VIDEO);
    assert!(pieces(&truth, &late) > 1, "the stalled player goes on after what it lost");
}

/// rtmpdump says with its `play` for how long, and hears when that is over.
#[test]
fn rtmpdump_plays_as_long_as_it_asked_for_and_is_told_the_end() {
    process::need("rtmpdump");
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("length");
    let url = rillcast.publish_url("cam");
    let (truth, file) = (scratch.join("truth.flv"), scratch.join("got.flv"));
    let _sender = PUBLISHERS[0].1(&media::plain(8), &url, &truth, &scratch.join("publisher.log"));
    rillcast.wait_line(&["stream published"]);
    let mut dump = Command::new("rtmpdump");
    // Without `live`, or it leaves the duration out.
    dump.args(["-r", &url, "--stop", "2", "-o", &file]);
    let done = process::run("rtmpdump", &mut dump, Duration::from_secs(8));
    let got = flv::read(flv::whole(&std::fs::read(&file).unwrap())).unwrap();
    let first = got.iter().find(|tag| tag.kind == flv::VIDEO && !tag.is_config()).unwrap().ms;
    let span = got.iter().map(|tag| tag.ms - first.min(tag.ms)).max().unwrap();
    assert!(done.text.contains("Download complete"), "{}", done.text);
    assert!((1900..2000).contains(&span), "{span} ms of 2000: {}", done.text);
}

/// A player that does not read for a while.
struct Stalled {
    raw: Raw,
}

impl Stalled {
    fn new(rillcast: &Rillcast) -> Self {
        let mut raw = Raw::open(rillcast.rtmp);
        raw.handshake();
        raw.connect("live");
        let live = rtmp::number(-1000.0);
        let parts =
            [rtmp::string("play"), rtmp::number(0.0), vec![5], rtmp::string("cam"), live].concat();
        raw.message(&Message::new(8, 20, 1, &parts));
        raw.expect("onStatus");
        let small =
            nix::sys::socket::setsockopt(&raw.socket, nix::sys::socket::sockopt::RcvBuf, &RECEIVES);
        small.unwrap();
        Self { raw }
    }

    /// Reads what waits, up to 4 MiB of it in the kernel, and what comes behind until the publisher
    /// has left: the bodies of video messages. The first answer may take as long as the kernel
    /// waits between two probes of a closed window.
    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut video = Vec::new();
        while let Some(message) = self.raw.next(Duration::from_secs(10)) {
            match message.kind {
                flv::VIDEO => video.push(message.body),
                20 if rtmp::contains(&message.body, b"UnpublishNotify") => return video,
                _ => {}
            }
        }
        panic!("no word of the publisher's leaving after {} video messages", video.len());
    }
}

/// What a player got that was overrun: each piece but the first begins with the configuration and a
/// keyframe. Says how many pieces there are.
fn pieces(sent: &[Tag], got: &[Vec<u8>]) -> usize {
    let place: HashMap<&[u8], usize> =
        bodies(sent, flv::VIDEO).iter().enumerate().map(|(i, body)| (*body, i)).collect();
    let (mut count, mut last, mut configured) = (0, None, false);
    for body in got {
        if body.get(1) == Some(&0) {
            configured = true;
        } else if let Some(at) = place.get(&body[..]) {
            if last != at.checked_sub(1) || count == 0 {
                assert!(configured, "message {at} of a new piece without its configuration");
                assert_eq!(body[0], 0x17, "message {at} begins a piece and is no keyframe");
                count += 1;
            }
            (last, configured) = (Some(*at), false);
        }
    }
    count
}
