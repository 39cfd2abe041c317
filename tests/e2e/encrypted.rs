//! RTMPE, and RTMPE in HTTP requests: librtmp publishes and plays, ffmpeg where one has it, and
//! ourselves to ourselves. What arrives is compared with what was sent, every message.
//!
//! Debian's ffmpeg is built without RTMPE; `FFMPEG_RTMPE` may name one that has it.

use std::process::Command;
use std::time::Duration;

use crate::play;
use crate::publish::PUBLISHERS;
use crate::relay::{arrived, rillcast};
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::{BINARY, Rillcast};
use crate::support::{flv, media};

const ON: [(&str, &str); 1] = [("rtmp.encryption", "true")];

/// An ffmpeg that speaks RTMPE, if there is one.
fn ffmpeg() -> Option<String> {
    let program = std::env::var("FFMPEG_RTMPE").unwrap_or_else(|_| "ffmpeg".to_owned());
    let listed = Command::new(&program).arg("-protocols").output().ok()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let has = text.lines().any(|line| line.trim() == "rtmpte");
    if !has {
        println!("{program} has no rtmpe; FFMPEG_RTMPE may name one that has");
    }
    has.then_some(program)
}

#[test]
fn librtmp_publishes_and_plays_over_rtmpe() {
    // Its other player, GStreamer's rtmpsrc, crashes over RTMPE.
    let (publisher, rtmpdump) = (2, 1);
    assert!(PUBLISHERS[publisher].0.contains("librtmp"));
    let rillcast = Rillcast::start(&ON);
    let url = format!("rtmpe://{}/live/cam", rillcast.rtmp);
    play::plays_at(&rillcast, &url, publisher, rtmpdump);
    assert!(rillcast.counter("rtmpe_opened") >= 2.0);
}

#[test]
fn ffmpeg_publishes_and_plays_over_rtmpe_and_in_http_requests() {
    let Some(ffmpeg) = ffmpeg() else { return };
    let (file, sent) = (media::plain(9), flv::read_file(&media::plain(9)));
    for scheme in ["rtmpe", "rtmpte"] {
        let rillcast = Rillcast::start(&ON);
        let address = if scheme == "rtmpe" { rillcast.rtmp } else { rillcast.http };
        let url = format!("{scheme}://{address}/live/cam");
        let scratch = Scratch::new("encrypted");
        let mut command = Command::new(&ffmpeg);
        command.args(["-v", "warning", "-nostdin", "-re", "-i", &file, "-c", "copy"]);
        command.args(["-f", "flv", "-flvflags", "no_duration_filesize", &url]);
        let mut publisher = Running::start("ffmpeg", &mut command, &scratch.join("publisher.log"));
        rillcast.wait_line(&["stream published"]);
        let output = scratch.join("got.flv");
        let mut command = Command::new(&ffmpeg);
        command.args(["-v", "warning", "-nostdin", "-y", "-i", &url, "-t", "3", "-c", "copy"]);
        command.args(["-f", "flv", &output]);
        let mut player = Running::start("ffmpeg plays", &mut command, &scratch.join("player.log"));
        player.succeed(Duration::from_secs(15));
        publisher.finish(Duration::from_secs(20));
        let bytes = std::fs::read(&output).unwrap();
        let got = flv::read(flv::whole(&bytes)).unwrap();
        let pictures = play::one_piece(scheme, &sent, &got, flv::VIDEO);
        assert!(pictures > 50, "{scheme}: {pictures} pictures");
        assert!(rillcast.counter("rtmpe_opened") >= 2.0);
        println!("pass  {scheme}: {pictures} pictures");
    }
}

#[test]
fn pushed_file_comes_back_whole_by_each_scheme() {
    let file = media::plain(4);
    let sent = flv::read_file(&file);
    let scratch = Scratch::new("schemes");
    let ours = Rillcast::start(&ON);
    for scheme in ["rtmpe", "rtmpt", "rtmpte"] {
        let address = if scheme == "rtmpe" { ours.rtmp } else { ours.http };
        let url = format!("{scheme}://{address}/live/{scheme}");
        let output = scratch.join(&format!("{scheme}.flv"));
        let mut command = Command::new(BINARY);
        command.args(["pull", &url, &output]);
        let mut pull = Running::start("rillcast pull", &mut command, &scratch.join("pull.log"));
        std::thread::sleep(Duration::from_millis(500));
        let pushed = rillcast(&["push", &file, &url]);
        assert!(pushed.status.success(), "{scheme}: {}", pushed.text);
        std::thread::sleep(Duration::from_millis(1000));
        pull.signal("INT");
        assert!(pull.finish(Duration::from_secs(5)).success(), "{scheme}: {}", pull.text());
        let count = arrived(&sent, &flv::read_file(&output));
        assert!(count > 200, "{scheme}: {count} frames");
        println!("{scheme}: {count} frames, {}", pull.text().trim());
    }
}

#[test]
fn stream_goes_on_and_comes_by_each_scheme() {
    let far = Rillcast::start(&ON);
    let urls = [("rtmpe", far.rtmp), ("rtmpt", far.http), ("rtmpte", far.http)]
        .map(|(scheme, address)| (scheme, format!("{scheme}://{address}/live/{scheme}")));
    let mut settings = Vec::new();
    for (scheme, url) in &urls {
        settings.push((format!("push.{scheme}.stream"), "live/cam".to_owned()));
        settings.push((format!("push.{scheme}.url"), url.clone()));
        settings.push((format!("pull.{scheme}.stream"), format!("back/{scheme}")));
        settings.push((format!("pull.{scheme}.url"), url.clone()));
    }
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let near = Rillcast::start(&settings);
    let file = media::plain(9);
    let mut command = Command::new(BINARY);
    command.args(["push", &file, &near.publish_url("cam")]);
    let scratch = Scratch::new("schemes");
    let mut push = Running::start("rillcast push", &mut command, &scratch.join("push.log"));
    for (scheme, _) in &urls {
        near.wait_line(&["push opened", &format!("name={scheme}")]);
        near.wait_line(&["pull opened", &format!("name={scheme}")]);
        let path = format!("/hls/back/{scheme}/index.m3u8");
        process::wait_for("a playlist", Duration::from_secs(15), || {
            (crate::support::http::get(near.http, &path).ok()?.status == 200).then_some(())
        });
    }
    push.finish(Duration::from_secs(20));
    for (scheme, _) in &urls {
        near.wait_line(&["push closed", &format!("name={scheme}")]);
    }
}

#[test]
fn rtmpe_is_refused_with_its_line_where_it_is_off() {
    process::need("rtmpdump");
    let rillcast = Rillcast::start(&[]);
    let url = format!("rtmpe://{}/live/cam", rillcast.rtmp);
    let done = process::run(
        "rtmpdump",
        Command::new("rtmpdump").args(["-r", &url, "-o", "/dev/null"]),
        Duration::from_secs(10),
    );
    assert!(!done.status.success());
    let line = rillcast.wait_line(&["ingest refused", "peer wants rtmpe"]);
    assert!(line.contains("rtmp.encryption"), "{line}");
    assert!(rillcast.counter("rtmpe_refused") >= 1.0);
    assert!(rillcast.counter("rtmpe_opened") < 1.0);
    let pushed = self::rillcast(&["push", "testcard", &url]);
    assert!(pushed.text.contains("closed the connection during the handshake"), "{}", pushed.text);
}
