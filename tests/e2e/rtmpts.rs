//! RTMPTS: RTMP in HTTP requests within TLS, on the port of RTMPS; what else is asked there.
//!
//! Requests that a test writes itself go through stunnel, which has the client's end of the TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::flv;
use crate::support::http;
use crate::support::media;
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::Rillcast;
use crate::support::secure::within_tls;
use crate::tunnel::{ask, publish_and_play, refuse_wrong_requests};
use crate::{publish, relay, rtmps};

/// A box, and a port whose bytes go to its port for TLS.
fn start(settings: &[(&str, &str)]) -> (Rillcast, Running, SocketAddr) {
    let (rillcast, rtmps) = rtmps::start_with(settings);
    let (stunnel, port) = within_tls(&rillcast.scratch, rtmps);
    (rillcast, stunnel, port)
}

const OPEN: &[u8] = b"POST /open/1 HTTP/1.0\r\nContent-Length: 1\r\n\r\n\0";

/// Sends bytes and gives what comes until the end, if that is an answer.
fn say(port: SocketAddr, bytes: &[u8]) -> Option<http::Answer> {
    let mut socket = TcpStream::connect(port).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(bytes).ok()?;
    let mut came = Vec::new();
    socket.read_to_end(&mut came).ok()?;
    http::parse(&came).ok()
}

/// Says it until there is a place for it; the status of the answer.
fn status(port: SocketAddr, bytes: &[u8]) -> u16 {
    process::wait_for("a place", Duration::from_secs(30), || say(port, bytes)).status
}

#[test]
fn ffmpeg_publishes_and_players_play_in_requests_within_tls() {
    let (rillcast, rtmps) = rtmps::start();
    publish_and_play(&rillcast, &format!("rtmpts://{rtmps}/live/cam"));
    assert!(rillcast.counter("tunnels_opened") >= 3.0);
    assert_eq!(rillcast.counter("tls_unfinished"), 0.0);
    assert_eq!(rillcast.counter("rtmp_errors"), 0.0);
}

#[test]
fn own_pull_plays_in_requests_within_tls_what_ffmpeg_publishes_so() {
    let (rillcast, rtmps) = rtmps::start();
    let scratch = Scratch::new("rtmpts");
    let (truth, output) = (scratch.join("truth.flv"), scratch.join("out.flv"));
    let url = format!("rtmpts://{rtmps}/live/cam");
    let pin = rtmps::pin(&rillcast);
    let mut pull = relay::puller_with(&[&url, &output, "--pin", &pin], &scratch);
    let log = scratch.join("publish.log");
    let mut publisher = publish::ffmpeg(&media::plain(6), &url, &truth, &log);
    publisher.succeed(Duration::from_secs(30));
    std::thread::sleep(Duration::from_millis(700));
    pull.signal("INT");
    assert!(pull.finish(Duration::from_secs(5)).success(), "{}", pull.text());
    let count = relay::arrived(&flv::read_file(&truth), &flv::read_file(&output));
    assert!(count > 300, "{count} frames");
}

#[test]
fn wrong_requests_within_tls_have_the_statuses_that_they_have_without() {
    let (rillcast, _stunnel, port) = start(&[("limits.tunnels", "2")]);
    refuse_wrong_requests(&rillcast, port);
}

#[test]
fn what_is_no_tunnel_is_not_found_within_tls_and_counted() {
    let (rillcast, _stunnel, port) = start(&[]);
    let paths = ["/", "/status.json", "/style.css", "/hls/live/cam/index.m3u8", "/nothing"];
    for path in paths {
        assert_eq!(http::get(port, path).unwrap().status, 404, "{path}");
    }
    assert_eq!(ask(port, "OPTIONS", "/hls/live/cam/index.m3u8", &[]).status, 404);
    assert_eq!(ask(port, "PUT", "/", &[]).status, 405, "as on the plain port");
    assert_eq!(status(port, b"PRI * HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(rillcast.counter("https_refused"), 6.0);
    assert_eq!(http::get(rillcast.http, "/status.json").unwrap().status, 200);
    assert_eq!(rillcast.counter("rtmp_errors"), 0.0);
}

#[test]
fn session_goes_on_over_connections_within_tls_and_without() {
    let (rillcast, _stunnel, port) = start(&[]);
    let ports = [rillcast.http, port];
    for [first, second] in [[ports[0], ports[1]], [ports[1], ports[0]]] {
        let opened = ask(first, "POST", "/open/1", &[0]);
        let path = |verb: &str, n: u32| format!("/{verb}/{}/{n}", opened.text().trim_end());
        assert_eq!(ask(second, "POST", &path("idle", 0), &[0]).body, [1]);
        let mut hello = vec![7; 1537];
        hello[0] = 3;
        let answer = ask(first, "POST", &path("send", 1), &hello).body;
        assert_eq!((answer[0], answer.len()), (1, 1 + 1 + 2 * 1536));
        assert_eq!(ask(second, "POST", &path("send", 1), &hello).body, answer, "once more");
        assert_eq!(ask(first, "POST", &path("close", 2), &[0]).body, [0]);
        assert_eq!(ask(second, "POST", &path("idle", 3), &[0]).status, 404);
    }
}

#[test]
fn half_a_request_within_tls_ends_at_its_deadline_and_gives_its_places_back() {
    let (rillcast, _stunnel, port) = start(&[("limits.tls", "1")]);
    let start = Instant::now();
    assert_eq!(status(port, b"POST /open/1 HTTP/1.1\r\nHo"), 408);
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
    assert_eq!(rillcast.counter("http_timeouts"), 1.0);
    assert_eq!(status(port, OPEN), 200);
}

#[test]
fn connection_within_tls_without_a_place_for_http_is_told_so() {
    let (_rillcast, _stunnel, port) = start(&[("limits.viewers", "1")]);
    let mut held = TcpStream::connect(port).unwrap();
    held.write_all(b"POST /open/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n\0").unwrap();
    let mut room = [0; 15];
    held.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"HTTP/1.1 200 OK");
    assert_eq!(status(port, OPEN), 503);
    drop(held);
    process::wait_for("its place", Duration::from_secs(5), || {
        (status(port, OPEN) == 200).then_some(())
    });
}

#[test]
fn request_within_tls_is_no_publisher_that_is_refused() {
    let (rillcast, _stunnel, port) = start(&[("limits.publishers", "1")]);
    // Whoever looked whether the ports are open is gone by then.
    std::thread::sleep(Duration::from_millis(500));
    let before = rillcast.counter("rtmp_refused");
    let _held = TcpStream::connect(rillcast.rtmp).unwrap();
    for _ in 0..5 {
        assert_eq!(status(port, b"POST /idle/0/0 HTTP/1.0\r\nContent-Length: 0\r\n\r\n"), 404);
    }
    assert_eq!(rillcast.counter("rtmp_refused"), before);
    let _refused = TcpStream::connect(rillcast.rtmp).unwrap();
    process::wait_for("a refusal", Duration::from_secs(5), || {
        (rillcast.counter("rtmp_refused") > before).then_some(())
    });
}

#[test]
fn without_the_setting_nothing_is_opened_within_tls() {
    let (rillcast, _stunnel, port) = start(&[("rtmpt.enabled", "false")]);
    assert_eq!(ask(port, "POST", "/open/1", &[0]).status, 405);
    assert_eq!(ask(port, "GET", "/open/1", &[]).status, 404);
    assert_eq!(rillcast.counter("tunnels_opened"), 0.0);
}

#[test]
fn idle_connection_within_tls_takes_no_time_of_the_processor() {
    let (rillcast, _stunnel, port) = start(&[]);
    let mut held = TcpStream::connect(port).unwrap();
    let request = b"POST /idle/0/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    held.write_all(request).unwrap();
    let mut room = [0; 12];
    held.read_exact(&mut room).unwrap();
    let before = process_time(rillcast.id());
    std::thread::sleep(Duration::from_secs(4));
    let used = process_time(rillcast.id()) - before;
    assert!(used <= Duration::from_millis(200), "{used:?} in 4 s");
}

/// Time of the processor that a process has had.
fn process_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // The kernel's unit for user space is 10 ms everywhere.
    Duration::from_millis(ticks * 10)
}
