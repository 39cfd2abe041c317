//! RTMP within TLS: real publishers and players, TLS 1.2 and 1.3, and peers that took the wrong
//! port.
//!
//! The box shows the certificate that it makes for itself; what it would say to a certificate that
//! it does not believe is in `rtmps_client`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::flv;
use crate::support::media;
use crate::support::process::{self, Running};
use crate::support::rillcast::Rillcast;
use crate::support::session;

/// A box with both ports, and the address of the one within TLS.
pub fn start() -> (Rillcast, SocketAddr) {
    start_with(&[])
}

/// The same with further settings.
pub fn start_with(settings: &[(&str, &str)]) -> (Rillcast, SocketAddr) {
    let rtmps = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let folder = process::Scratch::new("rtmps");
    let (listen, dir) = (rtmps.to_string(), folder.join("data"));
    let own = [("rtmps.listen", listen.as_str()), ("tls.dir", dir.as_str())];
    (Rillcast::start(&[&own, settings].concat()), rtmps)
}

/// The pin that a box prints.
pub fn pin(rillcast: &Rillcast) -> String {
    let line = rillcast.wait_line(&["publish to rtmps://"]);
    line.rsplit_once("pin=").unwrap().1.trim().to_owned()
}

fn url(rtmps: SocketAddr) -> String {
    format!("rtmps://{rtmps}/live/cam")
}

/// Plays a stream into a file for so many seconds; how many pictures came.
fn pictures(play: &mut Command, file: &str, log: &str) -> usize {
    let mut player = Running::start("player", play, log);
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while player.ended().is_none() && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    player.signal("INT");
    let _status = player.finish(Duration::from_secs(5));
    flv::sent(&flv::read_file(file)).video.len()
}

#[test]
fn ffmpeg_and_gstreamer_play_over_tls_what_ffmpeg_publishes_over_tls() {
    let (rillcast, rtmps) = start();
    let path = |name: &str| rillcast.scratch.join(name);
    let truth = path("truth.flv");
    let mut publisher =
        super::publish::ffmpeg(&media::plain(12), &url(rtmps), &truth, &path("publish.log"));
    rillcast.wait_line(&["stream=live/"]);
    let (ff, gst) = (path("ff.flv"), path("gst.flv"));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-nostdin", "-i", &url(rtmps), "-t", "4", "-c", "copy"]);
    ffmpeg.args(["-f", "flv", &ff]);
    let line = format!(
        "-e rtmp2src location={} tls-validation-flags=0 num-buffers=100 ! filesink location={gst}",
        url(rtmps)
    );
    let mut gstreamer = Command::new("gst-launch-1.0");
    gstreamer.args(line.split_whitespace());
    let (ff_log, gst_log) = (path("ff.log"), path("gst.log"));
    let by_gst = std::thread::spawn(move || pictures(&mut gstreamer, &gst, &gst_log));
    let by_ff = pictures(&mut ffmpeg, &ff, &ff_log);
    let by_gst = by_gst.join().unwrap();
    println!("rtmps: ffmpeg got {by_ff} pictures, gstreamer {by_gst}");
    assert!(by_ff >= 60, "{by_ff}");
    assert!(by_gst >= 20, "{by_gst}");
    let mut follower = rillcast.follow("cam");
    follower.until(Duration::from_secs(30), |_| publisher.ended().is_some());
    publisher.succeed(Duration::from_secs(1));
    let sent = flv::sent(&flv::read_file(&truth));
    session::whole(&mut follower, &sent, Duration::from_secs(5));
    follower.assert_clean();
}

#[test]
fn gstreamer_publishes_over_tls() {
    let (rillcast, rtmps) = start();
    let truth = rillcast.scratch.join("truth.flv");
    let sink = "rtmp2sink tls-validation-flags=0";
    let log = rillcast.scratch.join("publish.log");
    let mut publisher =
        super::publish::gstreamer(sink, &media::plain(4), &url(rtmps), &truth, &log);
    publisher.succeed(Duration::from_secs(30));
    rillcast.wait_line(&["stream left"]);
    assert!(rillcast.counter("segments") >= 3.0);
}

/// What openssl says of a handshake.
fn shake(rtmps: SocketAddr, version: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &rtmps.to_string(), version]);
    command.stdin(Stdio::null());
    process::run("openssl", &mut command, Duration::from_secs(10)).text
}

#[test]
fn openssl_agrees_on_tls_1_2_and_1_3_and_on_nothing_older() {
    let (_rillcast, rtmps) = start();
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let text = shake(rtmps, option);
        assert!(text.contains(&format!("New, {version}, Cipher is")), "{text}");
        assert!(text.contains("CN = rillcast"), "{text}");
    }
    assert!(shake(rtmps, "-tls1_1").contains("Cipher is (NONE)"));
}

#[test]
fn peer_on_the_wrong_port_gets_one_clear_line() {
    let (rillcast, rtmps) = start();
    let mut plain = TcpStream::connect(rtmps).unwrap();
    plain.write_all(&[3; 1537]).unwrap();
    let mut end = Vec::new();
    let _closed = plain.read_to_end(&mut end);
    rillcast.wait_line(&["ingest refused", "does not speak TLS", "rtmp.listen"]);
    let mut secure = TcpStream::connect(rillcast.rtmp).unwrap();
    secure.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).unwrap();
    let _closed = secure.read_to_end(&mut end);
    rillcast.wait_line(&["ingest refused", "tls"]);
    assert_eq!(rillcast.lines_with(&["ingest refused"]).len(), 2, "{}", rillcast.log());
    assert_eq!(rillcast.counter("tls_unfinished"), 1.0);
}

#[test]
fn half_a_handshake_ends_at_the_deadline_and_garbage_at_once() {
    let (rillcast, rtmps) = start();
    let mut half = TcpStream::connect(rtmps).unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    let mut garbage = TcpStream::connect(rtmps).unwrap();
    garbage.write_all(&[22, 3, 1, 0, 8, 255, 255, 255, 255, 0, 0, 0, 0]).unwrap();
    let mut end = Vec::new();
    let _closed = garbage.read_to_end(&mut end);
    rillcast.wait_line(&["ingest refused", "TLS"]);
    half.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _closed = half.read_to_end(&mut end);
    rillcast.wait_line(&["no handshake in time"]);
    assert_eq!(rillcast.counter("tls_unfinished"), 2.0);
}

#[test]
fn connections_beyond_the_places_for_tls_are_refused_and_places_come_back() {
    let (rillcast, rtmps) = start_with(&[("limits.tls", "1")]);
    let first = TcpStream::connect(rtmps).unwrap();
    let mut second = TcpStream::connect(rtmps).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap_or(0), 0);
    rillcast.wait_line(&["ingest refused", "every place for TLS is taken: raise limits.tls"]);
    assert_eq!(rillcast.counter("rtmp_refused"), 1.0);
    drop(first);
    rillcast.wait_line(&["ingest closed"]);
    assert!(shake(rtmps, "-tls1_3").contains("Cipher is TLS_"));
}

#[test]
fn one_certificate_file_without_the_other_is_refused() {
    let scratch = process::Scratch::new("half");
    let rtmps = ("rtmps.listen", "127.0.0.1:0");
    for (set, words) in [
        (vec![rtmps, ("tls.key", "/nowhere/key.pem")], "belong together"),
        (
            vec![rtmps, ("tls.key", "/nowhere/k.pem"), ("tls.certificate", "/nowhere/c.pem")],
            "/nowhere/c.pem",
        ),
    ] {
        let (rtmp, http) = (process::free_port(), process::free_port());
        let mut command = crate::support::rillcast::serve(&scratch, rtmp, http, &set);
        let done = process::run("rillcast serve", &mut command, Duration::from_secs(10));
        assert_eq!(done.status.code(), Some(2), "{}", done.text);
        assert!(done.text.contains(words), "{}", done.text);
    }
}
