//! Streams that go to other servers and come from them: nginx-rtmp, ffmpeg, ourselves, and servers
//! that are broken.
//!
//! What arrives is compared with what was sent, byte for byte of every frame.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::support::flv::{self, Tag};
use crate::support::process::{self, Outcome, Running, Scratch, wait_for};
use crate::support::rillcast::{BINARY, Rillcast};
use crate::support::{http, media};

pub fn rillcast(args: &[&str]) -> Outcome {
    process::run("rillcast", Command::new(BINARY).args(args), Duration::from_secs(30))
}

/// `rillcast pull` of so many seconds, running.
pub fn puller(url: &str, output: &str, scratch: &Scratch) -> Running {
    puller_with(&[url, output], scratch)
}

/// The same with options.
pub fn puller_with(args: &[&str], scratch: &Scratch) -> Running {
    let mut command = Command::new(BINARY);
    command.arg("pull").args(args);
    Running::start("rillcast pull", &mut command, &scratch.join("pull.log"))
}

/// Frames of one kind, without configurations.
fn frames(tags: &[Tag], kind: u8) -> Vec<&[u8]> {
    let frames = tags.iter().filter(|tag| tag.kind == kind && !tag.is_config());
    frames.map(|tag| tag.body.as_slice()).collect()
}

/// Every frame that came was sent, in that order and with none left out between; gives how many.
pub fn arrived(sent: &[Tag], came: &[Tag]) -> usize {
    let mut count = 0;
    for kind in [flv::VIDEO, flv::AUDIO] {
        let (sent, came) = (frames(sent, kind), frames(came, kind));
        assert!(!came.is_empty(), "no frame of kind {kind}");
        let first = sent.iter().position(|frame| *frame == came[0]).expect("a frame of ours");
        assert!(sent.len() >= first + came.len(), "frames that nobody sent");
        assert_eq!(sent[first..first + came.len()], came[..], "kind {kind}");
        count += came.len();
    }
    assert!(came.iter().any(Tag::is_video_config) && came.iter().any(Tag::is_audio_config));
    count
}

fn status(rillcast: &Rillcast) -> String {
    http::get(rillcast.http, "/status.json").expect("status").text()
}

fn wait_status(rillcast: &Rillcast, part: &str) {
    let what = format!("`{part}` in the status");
    wait_for(&what, Duration::from_secs(20), || status(rillcast).contains(part).then_some(()));
}

pub fn nginx(scratch: &Scratch) -> (Running, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let rtmp = format!(
        "rtmp {{ access_log off; server {{ listen {address}; chunk_size 4096;\n\
         application live {{ live on; }} }} }}\n"
    );
    (process::nginx(scratch, &rtmp, address), address)
}

#[test]
fn pushed_file_comes_back_whole_from_ourselves_and_from_nginx() {
    let file = media::plain(4);
    let sent = flv::read_file(&file);
    let scratch = Scratch::new("relay");
    let ours = Rillcast::start(&[]);
    let (_nginx, theirs) = nginx(&scratch);
    for (name, address) in [("ourselves", ours.rtmp), ("nginx", theirs)] {
        let url = format!("rtmp://{address}/live/cam");
        let output = scratch.join(&format!("{name}.flv"));
        let mut pull = puller(&url, &output, &scratch);
        std::thread::sleep(Duration::from_millis(300));
        let pushed = rillcast(&["push", &file, &url]);
        assert!(pushed.status.success(), "{name}: {}", pushed.text);
        std::thread::sleep(Duration::from_millis(500));
        pull.signal("INT");
        assert!(pull.finish(Duration::from_secs(5)).success(), "{name}: {}", pull.text());
        let count = arrived(&sent, &flv::read_file(&output));
        assert!(count > 200, "{name}: {count} frames");
        println!("{name}: {count} frames, {}", pull.text().trim());
    }
}

#[test]
fn pushed_file_reaches_ffmpeg_that_listens() {
    let file = media::plain(4);
    let scratch = Scratch::new("relay");
    let url = format!("rtmp://127.0.0.1:{}/live/cam", process::free_port());
    let output = scratch.join("out.flv");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-listen", "1", "-i", &url, "-c", "copy", &output]);
    let mut ffmpeg = Running::start("ffmpeg -listen", &mut command, &scratch.join("log"));
    std::thread::sleep(Duration::from_millis(700));
    let pushed = rillcast(&["push", &file, &url, "--fast"]);
    assert!(pushed.status.success(), "{}", pushed.text);
    ffmpeg.finish(Duration::from_secs(10));
    let (sent, came) = (flv::read_file(&file), flv::read_file(&output));
    let count = arrived(&sent, &came);
    assert_eq!(count, frames(&sent, flv::VIDEO).len() + frames(&sent, flv::AUDIO).len());
}

#[test]
fn ffmpeg_publishes_to_a_pull_that_listens() {
    let file = media::plain(4);
    let scratch = Scratch::new("relay");
    let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let url = format!("rtmp://{address}/live/cam");
    let output = scratch.join("out.flv");
    let mut command = Command::new(BINARY);
    command.args(["pull", &url, &output, "--listen"]);
    let mut pull = Running::start("rillcast pull", &mut command, &scratch.join("pull.log"));
    // Whoever only looks whether somebody listens is not a publisher.
    wait_for("a listener", Duration::from_secs(5), || process::accepts(address).then_some(()));
    let mut ffmpeg =
        crate::publish::ffmpeg(&file, &url, &scratch.join("truth.flv"), &scratch.join("log"));
    ffmpeg.succeed(Duration::from_secs(15));
    pull.succeed(Duration::from_secs(5));
    let (sent, came) = (flv::read_file(&scratch.join("truth.flv")), flv::read_file(&output));
    let count = arrived(&sent, &came);
    assert_eq!(count, frames(&sent, flv::VIDEO).len() + frames(&sent, flv::AUDIO).len());
}

#[test]
fn stream_goes_on_to_nginx_while_it_is_on_the_air() {
    let file = media::plain(6);
    let sent = flv::read_file(&file);
    let scratch = Scratch::new("relay");
    let (_nginx, theirs) = nginx(&scratch);
    let upstream = format!("rtmp://{theirs}/live/secret-key");
    let box_ = Rillcast::start(&[("push.cloud.stream", "live/cam"), ("push.cloud.url", &upstream)]);
    wait_status(&box_, "\"state\":\"waiting\"");
    let output = scratch.join("out.flv");
    let mut pull = puller(&upstream, &output, &scratch);
    for round in 0..2 {
        let url = box_.publish_url("cam");
        let pushed = rillcast(&["push", &file, &url]);
        assert!(pushed.status.success(), "{round}: {}", pushed.text);
        if round == 0 {
            wait_status(&box_, "\"state\":\"waiting\"");
            std::thread::sleep(Duration::from_millis(300));
            pull.signal("INT");
            assert!(pull.finish(Duration::from_secs(5)).success(), "{}", pull.text());
            let count = arrived(&sent, &flv::read_file(&output));
            assert!(count > 300, "{count} frames");
        }
    }
    assert_eq!(box_.lines_with(&["push opened name=cloud"]).len(), 2, "{}", box_.log());
    wait_status(&box_, "\"failures\":0");
    assert!(!box_.log().contains("secret-key"), "{}", box_.log());
}

#[test]
fn stream_is_fetched_always_or_only_while_somebody_watches() {
    let file = media::plain(14);
    let source = Rillcast::start(&[]);
    let url = source.publish_url("cam");
    let mut command = Command::new(BINARY);
    command.args(["push", &file, &url]);
    let scratch = Scratch::new("relay");
    let mut push = Running::start("rillcast push", &mut command, &scratch.join("push.log"));
    source.wait_line(&["stream published"]);
    let box_ = Rillcast::start(&[
        ("pull.all.stream", "live/all"),
        ("pull.all.url", &url),
        ("pull.door.stream", "live/door"),
        ("pull.door.url", &url),
        ("pull.door.when", "watched"),
        ("pull.door.idle_s", "2"),
    ]);
    box_.wait_line(&["pull opened name=all"]);
    assert!(box_.lines_with(&["name=door"]).is_empty());
    let path = Rillcast::playlist_path("door");
    // Whoever asks first waits until it is there.
    let first = http::get(box_.http, &path).unwrap();
    assert_eq!(first.status, 200);
    box_.wait_line(&["pull opened name=door"]);
    box_.wait_line(&["pull closed name=door", "nobody watches"]);
    let mut all = box_.follow("all");
    assert!(all.until(Duration::from_secs(10), |f| f.segments.len() >= 3));
    push.finish(Duration::from_secs(20));
    box_.wait_line(&["pull ended name=all", "upstream"]);
}

/// A server that does one thing with every connection.
fn broken(what: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://{}/live/key", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for socket in listener.incoming().flatten() {
            kept.push(socket.try_clone().unwrap());
            what(socket);
        }
    });
    url
}

#[test]
fn broken_upstreams_have_their_reasons_and_disturb_nobody() {
    use std::io::{Read, Write};
    let hangs = broken(|_| {});
    let closes = broken(|socket| socket.shutdown(std::net::Shutdown::Both).unwrap());
    let garbage = broken(|mut socket| {
        socket.write_all(&[0x47; 4000]).ok();
        let _ = socket.read(&mut [0; 64]);
    });
    let refuses = format!("rtmp://127.0.0.1:{}/live/key", process::free_port());
    let settings: Vec<(String, String)> =
        [("hangs", hangs), ("closes", closes), ("garbage", garbage), ("refuses", refuses)]
            .into_iter()
            .flat_map(|(name, url)| {
                let stream = (format!("push.{name}.stream"), "live/cam".to_owned());
                [stream, (format!("push.{name}.url"), url)]
            })
            .collect();
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let box_ = Rillcast::start(&settings);
    let mut follower = box_.follow("cam");
    let file = media::plain(14);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(rillcast(&["push", &file, &box_.publish_url("cam")]).status.success())
        });
        assert!(follower.until(Duration::from_secs(20), |f| f.segments.len() >= 12));
    });
    follower.assert_clean();
    for (name, words) in [
        ("hangs", "did not answer the handshake for 10 s"),
        ("closes", "upstream"),
        ("garbage", "is this an RTMP server?"),
        ("refuses", "cannot be reached"),
    ] {
        box_.wait_line(&["push ended", &format!("name={name}"), words]);
    }
    let closes = box_.lines_with(&["name=closes"]).len();
    assert!((3..=5).contains(&closes), "pauses double: {closes} attempts in 14 s");
}

#[test]
fn section_that_cannot_work_is_refused_at_start() {
    let done = |settings: &[&str]| {
        let args: Vec<&str> = ["budget"].into_iter().chain(settings.iter().copied()).collect();
        rillcast(&args)
    };
    let missing = done(&["--set", "push.a.url=rtmp://h/a/secret"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(missing.text.contains("push.a.stream is missing"), "{}", missing.text);
    let scratch = Scratch::new("relay");
    std::fs::create_dir_all(scratch.join("hls")).unwrap();
    let settings =
        [("push.a.stream", "live/cam"), ("push.a.url", "rtmp://h/a/b"), ("push.a.bogus", "1")];
    let (rtmp, http) = (process::free_port(), process::free_port());
    let mut command = crate::support::rillcast::serve(&scratch, rtmp, http, &settings);
    let done = process::run("rillcast serve", &mut command, Duration::from_secs(10));
    assert_eq!(done.status.code(), Some(2));
    assert!(done.text.contains("push.a: no RTMP option has this name"), "{}", done.text);
}
