//! RTMPT: ffmpeg and librtmp publish and play in HTTP requests, also through a proxy; requests that
//! are wrong, repeated or never end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::{BINARY, Rillcast};
use crate::support::session;
use crate::support::{flv, http, media};
use crate::{publish, relay};

const NOBODY: &str = "0123456789abcdef";

/// Publishes by ffmpeg to `url`, plays by ffmpeg and rtmpdump meanwhile, compares every unit.
pub fn publish_and_play(rillcast: &Rillcast, url: &str) {
    process::need("rtmpdump");
    let scratch = Scratch::new("tunnel");
    let (truth, log) = (scratch.join("truth.flv"), scratch.join("log"));
    let mut publisher = publish::ffmpeg(&media::plain(12), url, &truth, &log);
    rillcast.wait_line(&["stream published"]);
    let mut follower = rillcast.follow("cam");
    follower.until(Duration::from_secs(20), |follower| follower.segments.len() >= 2);

    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-y", "-i", url, "-t", "3", "-c", "copy"]);
    let played = scratch.join("played.flv");
    command.arg(&played);
    let mut ffmpeg = Running::start("ffmpeg plays", &mut command, &scratch.join("ffmpeg.log"));
    let mut command = Command::new("rtmpdump");
    let dumped = scratch.join("dumped.flv");
    command.args(["-q", "-r", url, "-o", &dumped]);
    let dump = Running::start("rtmpdump", &mut command, &scratch.join("rtmpdump.log"));

    follower.until(Duration::from_secs(60), |_| publisher.ended().is_some());
    publisher.succeed(Duration::from_secs(1));
    ffmpeg.succeed(Duration::from_secs(10));
    let mut sent = flv::sent(&flv::read_file(&truth));
    session::whole(&mut follower, &sent, Duration::from_secs(5));
    // ffmpeg closes without sending what it has gathered for the next request: ten packets at most
    // (its option rtmp_flush_interval), among them those that end the stream.
    let (video, audio) = follower.units;
    let lost = (sent.video.len() - video, sent.audio.len() - audio);
    assert!(lost.0 + lost.1 < 10, "{lost:?} units are missing");
    sent.video.truncate(video);
    sent.audio.truncate(audio);
    session::judge(rillcast, "cam", "tunnel", &follower, &sent, session::Expect::default());
    drop(dump);
    let video = &sent.video;
    for file in [&played, &dumped] {
        let bytes = std::fs::read(file).expect("what a player wrote");
        let got = flv::sent(&flv::read(flv::whole(&bytes)).expect("tags"));
        assert!(got.video.len() >= 50, "{file}: {} pictures", got.video.len());
        for unit in &got.video[1..] {
            let known = video.iter().any(|one| one.nals == unit.nals);
            assert!(known, "{file}: a picture that nobody sent");
        }
    }
}

#[test]
fn ffmpeg_publishes_and_players_play_in_http_requests() {
    let rillcast = Rillcast::start(&[]);
    publish_and_play(&rillcast, &format!("rtmpt://{}/live/cam", rillcast.http));
    assert!(rillcast.counter("tunnels_opened") >= 3.0);
}

#[test]
fn ffmpeg_publishes_and_players_play_through_a_proxy() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("proxy");
    let (_running, proxy) = proxy(&scratch, rillcast.http, 100_000);
    publish_and_play(&rillcast, &format!("rtmpt://{proxy}/live/cam"));
}

/// A proxy that ends a connection after so many requests.
fn proxy(scratch: &Scratch, http: SocketAddr, requests: u32) -> (Running, SocketAddr) {
    let proxy = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let work = scratch.path().display();
    let configuration = format!(
        "http {{ access_log {work}/access.log; client_body_temp_path {work}/body;\n\
         proxy_temp_path {work}/proxy;\n\
         server {{ listen {proxy}; keepalive_requests {requests};\n\
         location / {{ proxy_pass http://{http}; }} }} }}\n"
    );
    (process::nginx(scratch, &configuration, proxy), proxy)
}

#[test]
fn push_and_pull_go_on_when_a_proxy_ends_their_connections() {
    let rillcast = Rillcast::start(&[("rtmp.encryption", "true")]);
    let scratch = Scratch::new("proxy");
    let (_running, proxy) = proxy(&scratch, rillcast.http, 10);
    let file = media::plain(6);
    for scheme in ["rtmpt", "rtmpte"] {
        let url = format!("{scheme}://{proxy}/live/{scheme}");
        let output = scratch.join(&format!("{scheme}.flv"));
        let mut command = Command::new(BINARY);
        command.args(["pull", &url, &output]);
        let mut pull = Running::start("rillcast pull", &mut command, &scratch.join("pull.log"));
        std::thread::sleep(Duration::from_millis(500));
        let pushed = relay::rillcast(&["push", &file, &url]);
        assert!(pushed.status.success(), "{scheme}: {}", pushed.text);
        std::thread::sleep(Duration::from_millis(1000));
        pull.signal("INT");
        assert!(pull.finish(Duration::from_secs(5)).success(), "{scheme}: {}", pull.text());
        let (sent, came) = (flv::read_file(&file), flv::read_file(&output));
        let count = relay::arrived(&sent, &came);
        assert!(count > 350, "{scheme}: {count} frames");
    }
    assert_eq!(rillcast.counter("tunnels_opened"), 4.0, "sessions go on");
    let asked = std::fs::read_to_string(scratch.join("access.log")).unwrap().lines().count();
    assert!(asked > 200, "{asked} requests over connections of 10");
}

#[test]
fn flush_interval_decides_how_many_requests_a_stream_takes() {
    let rillcast = Rillcast::start(&[]);
    let file = media::plain(4);
    let sends = |interval: &str| {
        let scratch = Scratch::new("proxy");
        let (_running, proxy) = proxy(&scratch, rillcast.http, 100_000);
        let url = format!("rtmpt://{proxy}/live/flush{interval}");
        let pushed = relay::rillcast(&["push", &file, &url, "--rtmp_flush_interval", interval]);
        assert!(pushed.status.success(), "{}", pushed.text);
        let log = std::fs::read_to_string(scratch.join("access.log")).unwrap();
        log.lines().filter(|line| line.contains("POST /send/")).count()
    };
    let (often, seldom) = (sends("1"), sends("100"));
    println!("requests: {often} with an interval of 1 packet, {seldom} with 100");
    assert!(seldom <= 100, "{seldom} in 4 s: one for each pause of 50 ms at most");
    assert!(often >= 150, "{often}");
}

#[test]
fn wrong_requests_are_refused_by_their_status() {
    let rillcast = Rillcast::start(&[("limits.tunnels", "2")]);
    refuse_wrong_requests(&rillcast, rillcast.http);
}

/// Asks at `port` for what is wrong, where two tunnels may be.
pub fn refuse_wrong_requests(rillcast: &Rillcast, port: SocketAddr) {
    let ask = |method: &str, path: &str, body: &[u8]| ask(port, method, path, body);
    assert_eq!(ask("POST", "/fcs/ident2", &[0]).status, 404);
    assert_eq!(ask("POST", "/fcs/other", &[0]).status, 405);
    assert_eq!(ask("GET", "/open/1", &[]).status, 400);
    for path in ["send", "idle", "close"] {
        assert_eq!(ask("POST", &format!("/{path}/{NOBODY}/0"), &[0]).status, 404);
        assert_eq!(ask("POST", &format!("/{path}/nobody/0"), &[0]).status, 404);
        assert_eq!(ask("POST", &format!("/{path}/{NOBODY}"), &[0]).status, 400);
    }
    let opened = ask("POST", "/open/1", &[0]);
    assert_eq!(opened.header("content-type"), Some("application/x-fcs"));
    let id = opened.text().trim_end().to_owned();
    assert_eq!((opened.status, id.len(), opened.body.len()), (200, 16, 17));
    let path = |verb: &str, number: u32| format!("/{verb}/{id}/{number}");
    assert_eq!(ask("GET", &path("idle", 0), &[]).status, 400);
    assert_eq!(ask("POST", &path("idle", 0), &[0]).body, [1]);
    assert_eq!(ask("POST", &path("idle", 2), &[0]).status, 400);

    // The answer to C0 and C1 comes again to who asks again, and then no more.
    let mut hello = vec![7; 1537];
    hello[0] = 3;
    let answer = ask("POST", &path("send", 1), &hello).body;
    assert_eq!((answer[0], answer.len()), (1, 1 + 1 + 2 * 1536));
    assert_eq!(ask("POST", &path("send", 1), &hello).body, answer);
    assert_eq!(ask("POST", &path("send", 2), &[]).body, [1]);

    let mut socket = TcpStream::connect(port).unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: ", path("send", 3));
    socket.write_all(format!("{head}16777217\r\n\r\n").as_bytes()).unwrap();
    let mut room = [0; 16];
    socket.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"HTTP/1.1 413 Con");

    assert_eq!(ask("POST", "/open/1", &[0]).status, 200);
    assert_eq!(ask("POST", "/open/1", &[0]).status, 503);
    assert_eq!(ask("POST", &path("close", 3), &[0]).body, [0]);
    assert_eq!(ask("POST", &path("idle", 4), &[0]).status, 404);
    process::wait_for("its place", Duration::from_secs(5), || {
        (ask("POST", "/open/1", &[0]).status == 200).then_some(())
    });
    let refused = rillcast.counter("tunnels_refused");
    assert!(refused >= 1.0);
}

/// Row 20 of the conformance table: 100, and then the final answer.
#[test]
fn client_that_waits_for_100_is_told_to_send_its_body() {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let rillcast = Rillcast::start(&[]);
    let id = ask(rillcast.http, "POST", "/open/1", &[0]).text();
    let mut socket = TcpStream::connect(rillcast.http).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut hello = vec![7; 1537];
    hello[0] = 3;
    // On one connection, which is kept.
    for (number, body, answered) in [(0, &hello[..], 1 + 1 + 2 * 1536), (1, &[7; 1536], 1)] {
        let head = format!(
            "POST /send/{}/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\n\r\n",
            id.trim_end(),
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut room = [0; CONTINUE.len()];
        socket.read_exact(&mut room).unwrap();
        assert_eq!(room, CONTINUE);
        socket.write_all(body).unwrap();
        let mut bytes = Vec::new();
        let whole = loop {
            let mut room = [0; 4096];
            let n = socket.read(&mut room).unwrap_or_else(|e| panic!("{number}: {e}: {bytes:?}"));
            assert!(n > 0, "closed");
            bytes.extend(&room[..n]);
            if let Ok(answer) = http::parse(&bytes)
                && answer.body.len() >= answered
            {
                break answer;
            }
        };
        assert_eq!((whole.status, whole.body.len()), (200, answered));
    }
    // Who asks for anything else is told that it is not to be had.
    let mut socket = TcpStream::connect(rillcast.http).unwrap();
    let head = "POST /open/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: more\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let mut room = [0; 12];
    socket.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"HTTP/1.1 417");
}

#[test]
fn abandoned_session_gives_its_place_back() {
    let rillcast = Rillcast::start(&[("limits.tunnels", "1")]);
    let start = Instant::now();
    let id = ask(rillcast.http, "POST", "/open/1", &[0]).text();
    let path = format!("/idle/{}/0", id.trim_end());
    process::wait_for("its place", Duration::from_secs(40), || {
        (ask(rillcast.http, "POST", "/open/1", &[0]).status == 200).then_some(())
    });
    assert!(start.elapsed() >= Duration::from_secs(19), "{:?}", start.elapsed());
    assert_eq!(ask(rillcast.http, "POST", &path, &[0]).status, 404);
}

#[test]
fn without_the_setting_nothing_is_opened() {
    let rillcast = Rillcast::start(&[("rtmpt.enabled", "false")]);
    assert_eq!(ask(rillcast.http, "POST", "/open/1", &[0]).status, 405);
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> http::Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-fcs\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    http::parse(&bytes).unwrap()
}
