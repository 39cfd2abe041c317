//! `rillcast push` and `rillcast pull` against a server inside the test: what they said, decoded.
//!
//! Every option is seen on the wire, or seen to be absent from it; a server that asks for the
//! player hears what ffmpeg says to it. Upstreams that break off, talk nonsense or send us in
//! circles end the command with one line that names the reason.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::std_instead_of_core,
    clippy::wildcard_enum_match_arm,
    reason = "tests: threads and indexing are theirs, a panic is how they speak"
)]

use rillcast::limits;
use rillcast::proto::rtmp::dechunk::{Bin, Dechunker, Rings};
use rillcast::proto::rtmp::enchunk::Outbox;
use rillcast::proto::rtmp::event::{Admission, Event, PlayRefusal, Reason};
use rillcast::proto::rtmp::handshake;
use rillcast::proto::rtmp::options::TABLE;
use rillcast::proto::rtmp::server::Session;
use rillcast::status::Status;
use rillcast::storage::FrameRing;
use rillcast::time::Millis;
use rillcast::wire::amf0::{Emitter, Value, Values};
use rillcast::wire::rtmp::message::MessageType;
use rillcast::wire::rtmp::user_control::UserControl;
use rillcast::wire::writer::Writer;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant};

type Messages = Vec<(MessageType, Vec<u8>)>;

/// What the server does when it is asked to publish or play.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Accept,
    Refuse,
    /// Asks for the proof of the player's file.
    AskSwf,
    /// Answers connect with a redirect to the application here.
    Redirect(&'static str),
    /// Asks to reconnect as soon as it has accepted, the first time.
    Reconnect,
}

struct Server {
    port: u16,
    heard: mpsc::Receiver<Messages>,
}

impl Server {
    /// Serves connections one after another, and gives what each said.
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let mut answer = answer;
            while let Ok((socket, _)) = listener.accept() {
                if sender.send(converse(socket, answer, port)).is_err() {
                    return;
                }
                if answer == Answer::Reconnect {
                    answer = Answer::Accept;
                }
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Messages {
        self.heard.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}

fn converse(mut socket: TcpStream, answer: Answer, port: u16) -> Messages {
    let mut out = Outbox::new();
    let mut handshake = handshake::Server::new(handshake::Encryption::Refused);
    let mut fill = |bytes: &mut [u8]| bytes.fill(7);
    let mut dechunker = Dechunker::new();
    let mut session = Session::new(Admission::Open);
    let mut scratch = FrameRing::scratch(limits::SCRATCH_BYTES);
    let status = Status::new();
    let (mut input, mut messages, mut asked) = (Vec::new(), Messages::new(), None::<Instant>);
    loop {
        let pending = out.pending().to_vec();
        out.sent(pending.len());
        if socket.write_all(&pending).is_err() {
            return messages;
        }
        if asked.is_some_and(|asked| asked.elapsed() > Duration::from_millis(300)) {
            return messages;
        }
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut room = [0; 4096];
        match socket.read(&mut room) {
            Ok(0) => return messages,
            Ok(bytes) => input.extend_from_slice(&room[..bytes]),
            Err(_) => continue,
        }
        if !handshake.is_open() {
            let used = handshake.advance(&input, Millis(0), &mut fill, &mut out).unwrap();
            input.drain(..used);
            if !handshake.is_open() {
                continue;
            }
        }
        loop {
            let mut rings =
                Rings { scratch: &mut scratch, media: [const { None }; limits::PUBLISHES_MAX] };
            let progress = dechunker.advance(&input, &mut rings, &status).unwrap();
            input.drain(..progress.consumed);
            let Some(arrival) = progress.arrival else { break };
            if arrival.bin != Bin::Scratch {
                continue;
            }
            let payload = scratch.bytes(arrival.place).unwrap().to_vec();
            messages.push((arrival.kind, payload.clone()));
            if let Answer::Redirect(app) = answer {
                redirect(&format!("rtmp://127.0.0.1:{port}/{app}"), &mut out);
                continue;
            }
            let (kind, stream) = (arrival.kind, arrival.stream);
            let event = session.message(kind, stream, arrival.at, &payload, &mut out, &status);
            let (stream, plays) = match event.unwrap() {
                Some(Event::Publish { stream, .. }) => (stream, false),
                Some(Event::Play { stream, .. }) => (stream, true),
                _ => continue,
            };
            asked = Some(Instant::now());
            match (answer, plays) {
                (Answer::Refuse, false) => {
                    let words = "stream key is already in use";
                    session.reject_publish(stream, Reason::BadName, words, &mut out).unwrap();
                }
                (Answer::Refuse, true) => {
                    session
                        .reject_play(stream, PlayRefusal::NotFound, "no key here", &mut out)
                        .unwrap();
                }
                (_, false) => session.accept_publish(stream, &mut out).unwrap(),
                (_, true) => session.accept_play(stream, true, &mut out).unwrap(),
            }
            if answer == Answer::AskSwf {
                let mut room = [0; 2];
                let mut w = Writer::new(&mut room);
                UserControl::SwfRequest(&[]).emit(&mut w).unwrap();
                out.message(2, MessageType::UserControl, 0, Millis(0), w.written()).unwrap();
            }
            if answer == Answer::Reconnect {
                status_message("NetConnection.Connect.ReconnectRequest", None, &mut out);
            }
        }
    }
}

fn redirect(target: &str, out: &mut Outbox) {
    status_message("NetConnection.Connect.Rejected", Some(target), out);
}

fn status_message(code: &str, redirect: Option<&str>, out: &mut Outbox) {
    let mut room = [0; 512];
    let mut w = Writer::new(&mut room);
    let mut e = Emitter::new(&mut w);
    e.string(b"onStatus").unwrap();
    e.number(0.0).unwrap();
    e.null().unwrap();
    e.object().unwrap();
    e.key(b"level").unwrap();
    e.string(if redirect.is_some() { b"error" } else { b"status" }).unwrap();
    e.key(b"code").unwrap();
    e.string(code.as_bytes()).unwrap();
    if let Some(target) = redirect {
        e.key(b"ex").unwrap();
        e.object().unwrap();
        e.key(b"code").unwrap();
        e.number(302.0).unwrap();
        e.key(b"redirect").unwrap();
        e.string(target.as_bytes()).unwrap();
        e.end().unwrap();
    }
    e.end().unwrap();
    out.message(3, MessageType::CommandAmf0, 0, Millis(0), w.written()).unwrap();
}

fn rillcast(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rillcast")).args(args).output().unwrap()
}

fn push(url: &str, options: &[&str]) -> Output {
    rillcast(&[&["push", "testcard", url], options].concat())
}

fn pull(url: &str, options: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = file.path().to_str().unwrap().to_owned();
    rillcast(&[&["pull", url, &output], options].concat())
}

/// The one line of a command that was refused.
fn reason(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// The values of the first call of this name.
fn call<'m>(messages: &'m Messages, name: &str) -> Option<Vec<Value<'m>>> {
    messages.iter().filter(|(kind, _)| *kind == MessageType::CommandAmf0).find_map(|(_, body)| {
        let values: Vec<Value<'_>> = Values::new(body).map(Result::unwrap).collect();
        (values[0].string() == Some(name.as_bytes())).then_some(values)
    })
}

fn connect<'m>(messages: &'m Messages, property: &str) -> Option<Value<'m>> {
    call(messages, "connect").unwrap()[2].object().unwrap().get(property)
}

fn text<'m>(messages: &'m Messages, property: &str) -> Option<&'m str> {
    connect(messages, property)?.text()
}

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn options_of_publishers_are_seen_on_the_wire() {
    let server = Server::start(Answer::Accept);
    let url = format!("rtmp://127.0.0.1:{}/live/key", server.port);
    let options = [
        ["--rtmp_app", "other/inst"],
        ["--rtmp_playpath", "name?tok=1"],
        ["--rtmp_tcurl", "rtmp://shown/x"],
        ["--rtmp_conn", "S:one O:1 NN:n:2 O:0"],
        ["--rtmp_flashver", "agent 1"],
        ["--rtmp_swfurl", "http://s/p.swf"],
        ["--rtmp_pageurl", "http://p/"],
        ["--rtmp_enhanced_codecs", "hvc1,av01"],
        ["--rtmp_flush_interval", "7"],
        ["--tcp_nodelay", "1"],
    ];
    push(&url, &options.concat());
    let heard = server.heard();
    assert_eq!(text(&heard, "app"), Some("other/inst"));
    assert_eq!(text(&heard, "tcUrl"), Some("rtmp://shown/x"));
    assert_eq!(text(&heard, "flashVer"), Some("agent 1"));
    assert_eq!(text(&heard, "swfUrl"), Some("http://s/p.swf"));
    assert_eq!(text(&heard, "pageUrl"), None, "players say it");
    let Some(Value::StrictArray(codecs)) = connect(&heard, "fourCcList") else { panic!() };
    let codecs: Vec<_> = codecs.iter().map(|value| value.string().unwrap().to_vec()).collect();
    assert_eq!(codecs, [b"hvc1".to_vec(), b"av01".to_vec()]);
    assert_eq!(connect(&heard, "capsEx"), Some(Value::Number(1.0)));
    let connect = call(&heard, "connect").unwrap();
    assert_eq!(connect[3], Value::String(b"one"));
    assert_eq!(connect[4].object().unwrap().get("n"), Some(Value::Number(2.0)));
    for name in ["releaseStream", "FCPublish", "publish"] {
        assert_eq!(call(&heard, name).unwrap()[3], Value::String(b"name?tok=1"), "{name}");
    }
    assert_eq!(call(&heard, "publish").unwrap()[4], Value::String(b"live"));
}

#[test]
fn options_of_players_are_seen_on_the_wire() {
    let server = Server::start(Answer::AskSwf);
    let url = format!("rtmp://127.0.0.1:{}/live/key", server.port);
    let options = [
        ["--rtmp_pageurl", "http://p/"],
        ["--rtmp_swfverify", "http://s/v.swf"],
        ["--rtmp_swfhash", HASH],
        ["--rtmp_swfsize", "77"],
        ["--rtmp_live", "live"],
        ["--rtmp_subscribe", "sub"],
        ["--rtmp_buffer", "1234"],
    ];
    pull(&url, &options.concat());
    let heard = server.heard();
    assert_eq!(text(&heard, "pageUrl"), Some("http://p/"));
    assert_eq!(text(&heard, "swfUrl"), Some("http://s/v.swf"));
    assert_eq!(call(&heard, "FCSubscribe").unwrap()[3], Value::String(b"sub"));
    let play = call(&heard, "play").unwrap();
    assert_eq!(play[3..5], [Value::String(b"key"), Value::Number(-1000.0)]);
    let events: Vec<UserControl<'_>> = heard
        .iter()
        .filter(|(kind, _)| *kind == MessageType::UserControl)
        .map(|(_, body)| UserControl::parse(body).unwrap())
        .collect();
    let buffer = |event: &UserControl<'_>| {
        matches!(event, UserControl::SetBufferLength { buffer_ms: 1234, .. })
    };
    assert!(events.iter().any(buffer), "{events:?}");
    assert_eq!(proof(&heard).unwrap()[..10], [1, 1, 0, 0, 0, 77, 0, 0, 0, 77]);
}

/// What the first answer to a server says that asks for the player.
fn proof(messages: &Messages) -> Option<Vec<u8>> {
    messages.iter().filter(|(kind, _)| *kind == MessageType::UserControl).find_map(|(_, body)| {
        match UserControl::parse(body).unwrap() {
            UserControl::SwfResponse(proof) => Some(proof.to_vec()),
            _ => None,
        }
    })
}

/// A web server that gives its answers in order, the last one again and again.
struct Web {
    port: u16,
    asked: mpsc::Receiver<String>,
}

impl Web {
    fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            let mut answers = answers.into_iter().peekable();
            let mut last = Vec::new();
            while let Ok((mut peer, _)) = listener.accept() {
                last = answers.next().unwrap_or(last);
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if !matches!(peer.read(&mut byte), Ok(1)) {
                        break;
                    }
                    request.push(byte[0]);
                }
                peer.write_all(&last).ok();
                sender.send(String::from_utf8(request).unwrap()).ok();
            }
        });
        Self { port, asked }
    }
}

/// An SWF file of this body, compressed, and an answer that brings it.
fn compressed_player(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + body.len()).unwrap().to_le_bytes();
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(body, 9);
    let file = [&b"CWS\x0a"[..], &length, &zlib].concat();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len());
    [head.into_bytes(), file].concat()
}

fn not_found() -> Vec<u8> {
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()
}

#[test]
fn player_is_fetched_and_proved_as_ffmpeg_does_it() {
    let body: Vec<u8> =
        (0..90_000_u32).flat_map(|n| (n.wrapping_mul(n) / 7).to_be_bytes()).collect();
    let bytes = u32::try_from(8 + body.len()).unwrap().to_be_bytes();
    let moved = b"HTTP/1.1 301 Moved\r\nLocation: /real/p.swf\r\nContent-Length: 0\r\n\r\n";
    let file = compressed_player(&body);
    let web = Web::start(vec![moved.to_vec(), file.clone(), moved.to_vec(), file]);
    let player = format!("http://127.0.0.1:{}/p.swf", web.port);
    let server = Server::start(Answer::AskSwf);
    let url = format!("rtmp://127.0.0.1:{}/live/key", server.port);
    pull(&url, &["--rtmp_swfverify", &player]);
    let heard = server.heard();
    assert_eq!(text(&heard, "swfUrl"), Some(&*player));
    let ours = proof(&heard).unwrap();
    assert_eq!(ours[..10], [&[1, 1][..], &bytes, &bytes].concat());
    let asked: Vec<String> = web.asked.try_iter().collect();
    assert!(asked[0].starts_with("GET /p.swf HTTP/1.0\r\n"), "{asked:?}");
    assert!(asked[1].starts_with("GET /real/p.swf HTTP/1.0\r\n"), "{asked:?}");
    push(&url, &["--rtmp_swfverify", &player]);
    assert_eq!(proof(&server.heard()).unwrap(), ours, "a publisher's");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-rtmp_swfverify", &player, "-i", &url]);
    let ended = ffmpeg.args(["-t", "1", "-f", "null", "-"]).output().unwrap();
    let theirs = proof(&server.heard());
    assert_eq!(theirs.as_deref(), Some(&ours[..]), "{ended:?}");
}

#[test]
fn player_comes_by_https_from_a_server_that_the_upstream_s_authority_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        command.args(line.split(' ')).current_dir(&folder).stderr(std::process::Stdio::null());
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    let config = "[req]\ndistinguished_name=n\nx509_extensions=e\n[n]\n[e]\n\
        subjectAltName=DNS:localhost\n";
    std::fs::write(folder.path().join("cnf"), config).unwrap();
    let request = "req -x509 -config cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem";
    assert!(openssl(request).wait().unwrap().success());
    std::fs::write(folder.path().join("p.swf"), compressed_player(b"body")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut web = openssl(&format!("s_server -accept {port} -cert cert.pem -key key.pem -HTTP"));
    while TcpStream::connect(("localhost", port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let server = Server::start(Answer::AskSwf);
    let url = format!("rtmp://127.0.0.1:{}/live/key", server.port);
    let player = format!("https://localhost:{port}/p.swf");
    let told = reason(&pull(&url, &["--rtmp_swfverify", &player]));
    let ca = folder.path().join("cert.pem").to_str().unwrap().to_owned();
    pull(&url, &["--rtmp_swfverify", &player, "--ca_file", &ca]);
    web.kill().unwrap();
    web.wait().unwrap();
    assert!(told.contains("rtmp_swfverify: nobody trusted signed"), "{told}");
    assert_eq!(proof(&server.heard()).unwrap()[..6], [1, 1, 0, 0, 0, 12]);
}

#[test]
fn player_that_cannot_be_had_is_named_before_the_upstream_is_asked() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://{}/live/key", upstream.local_addr().unwrap());
    let told = |answer: Vec<u8>| {
        let web = Web::start(vec![answer]);
        let player = format!("http://127.0.0.1:{}/p.swf", web.port);
        reason(&pull(&url, &["--rtmp_swfverify", &player]))
    };
    let gone = told(not_found());
    assert!(
        gone.contains("player of rtmp_swfverify: web server answers with status 404"),
        "{gone}"
    );
    let page = told(b"HTTP/1.1 200 OK\r\n\r\n<html></html>".to_vec());
    assert!(page.contains("file is no SWF"), "{page}");
    let lzma = told(b"HTTP/1.1 200 OK\r\n\r\nZWS\x0d\x10\0\0\0...".to_vec());
    assert!(lzma.contains("LZMA (ZWS): set rtmp_swfhash"), "{lzma}");
    let other = reason(&pull(&url, &["--rtmp_swfverify", "ftp://h/p.swf"]));
    assert!(other.contains("rtmp_swfverify: address is not like http://"), "{other}");
    upstream.set_nonblocking(true).unwrap();
    assert!(upstream.accept().is_err(), "nobody was asked");
}

#[test]
fn server_fetches_the_player_until_it_has_it_and_then_no_more() {
    let web = Web::start(vec![not_found(), compressed_player(b"body")]);
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rillcast"));
    command.arg("serve").stderr(std::process::Stdio::null());
    for set in [
        "rtmp.listen=127.0.0.1:0".to_owned(),
        "http.listen=127.0.0.1:0".to_owned(),
        format!("hls.dir={}", folder.path().join("hls").display()),
        format!("state.dir={}", folder.path().join("state").display()),
        "pull.a.stream=live/cam".to_owned(),
        format!("pull.a.url=rtmp://{}/live/key", upstream.local_addr().unwrap()),
        format!("pull.a.swfverify=http://127.0.0.1:{}/p.swf", web.port),
    ] {
        command.args(["--set", &set]);
    }
    let mut serve = command.spawn().unwrap();
    let start = Instant::now();
    drop(upstream.accept().unwrap());
    assert!(start.elapsed() >= limits::UPSTREAM_PAUSE_MIN, "{:?}", start.elapsed());
    assert_eq!(web.asked.try_iter().count(), 2);
    drop(upstream.accept().unwrap());
    assert_eq!(web.asked.try_iter().count(), 0);
    serve.kill().unwrap();
    serve.wait().unwrap();
}

#[test]
fn every_option_of_the_table_is_taken_by_the_command_that_it_counts_for() {
    for option in TABLE {
        let line = format!("--{} ", option.name);
        let pages = ["push", "pull"].map(|page| rillcast(&[page, "--help"]).stdout);
        let pages = pages.map(|page| String::from_utf8(page).unwrap().contains(&line));
        assert!(pages[0] || pages[1], "{line}");
    }
    let refused = reason(&push("rtmp://127.0.0.1/live/key", &["--rtmp_live", "soon"]));
    assert!(refused.contains("rtmp_live takes one of"), "{refused}");
}

#[test]
fn refusals_are_one_line_without_the_stream_key() {
    let server = Server::start(Answer::Refuse);
    let url = |name: &str| format!("rtmp://127.0.0.1:{}/live/{name}", server.port);
    let told = reason(&push(&url("stream"), &[]));
    assert!(told.contains("upstream refuses the stream name"), "{told}");
    assert!(told.contains("it says \"… key is already in use\""), "{told}");
    let told = reason(&pull(&url("key"), &[]));
    assert!(told.contains("upstream has no such stream"), "{told}");
}

#[test]
fn circles_and_long_ways_of_redirects_end() {
    let server = Server::start(Answer::Redirect("live"));
    let url = format!("rtmp://127.0.0.1:{}/live/key", server.port);
    assert!(reason(&push(&url, &[])).contains("in a circle"));
    let server = Server::start(Answer::Redirect("other"));
    let url = format!("rtmp://127.0.0.1:{}/live/key", server.port);
    assert!(reason(&pull(&url, &[])).contains("in a circle"));
    let first = server.heard();
    assert_eq!(text(&first, "app"), Some("live"));
    assert_eq!(text(&server.heard(), "app"), Some("other"));
}

#[test]
fn reconnect_request_is_followed_with_headers_first() {
    let server = Server::start(Answer::Reconnect);
    let url = format!("rtmp://127.0.0.1:{}/live/key", server.port);
    let told = reason(&push(&url, &[]));
    assert!(told.contains("upstream closed the connection") || told.contains("broke"), "{told}");
    let first = server.heard();
    assert!(call(&first, "deleteStream").is_some());
    let second = server.heard();
    assert_eq!(call(&second, "publish").unwrap()[3], Value::String(b"key"));
}

#[test]
fn upstream_that_closes_at_any_byte_of_the_exchange_is_named() {
    // All that a server says until media may be sent.
    let said = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Server::start(Answer::Accept);
        let relay = std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(("127.0.0.1", inner.port)).unwrap();
            let (mut up, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut up, &mut to));
            let (mut said, mut room) = (Vec::new(), [0; 4096]);
            let (mut down, mut from) = (client, server);
            while let Ok(bytes @ 1..) = from.read(&mut room) {
                said.extend_from_slice(&room[..bytes]);
                down.write_all(&room[..bytes]).ok();
            }
            said
        });
        push(&format!("rtmp://127.0.0.1:{port}/live/key"), &[]);
        relay.join().unwrap()
    };
    assert!(said.len() > 3073);
    let stops = (0..said.len()).filter(|n| *n < 3 || *n > 3060 || n % 512 < 2);
    let stops: Vec<usize> = stops.collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://127.0.0.1:{}/live/key", listener.local_addr().unwrap().port());
    for stop in stops {
        let part = said[..stop].to_vec();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut socket, _) = listener.accept().unwrap();
                socket.write_all(&part).unwrap();
                socket.shutdown(std::net::Shutdown::Write).unwrap();
                std::io::copy(&mut socket, &mut std::io::sink()).ok();
            });
            let told = reason(&push(&url, &[]));
            assert!(told.contains("upstream closed the connection during"), "{stop}: {told}");
        });
    }
}

#[test]
fn garbage_silence_and_deaf_ports_have_their_words() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://127.0.0.1:{}/live/key", listener.local_addr().unwrap().port());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").unwrap();
            std::io::copy(&mut socket, &mut std::io::sink()).ok();
        });
        let told = reason(&push(&url, &[]));
        assert!(told.contains("is this an RTMP server?"), "{told}");
    });
    let start = Instant::now();
    let told = reason(&push(&url, &[]));
    assert!(told.contains("did not answer the handshake for 10 s"), "{told}");
    let least = limits::UPSTREAM_STEP_TIME_MAX;
    let most = least + limits::UPSTREAM_LOOK_TIME + Duration::from_secs(1);
    assert!((least..most).contains(&start.elapsed()), "{:?}", start.elapsed());
    drop(listener);
    assert!(reason(&pull(&url, &[])).contains("cannot be reached"));
}

#[test]
fn nobody_who_comes_to_a_pull_that_listens_has_its_words() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("rtmp://127.0.0.1:{}/live/key", free());
    let start = Instant::now();
    let told = reason(&pull(&url, &["--timeout", "1"]));
    assert!(told.contains("nobody has published within 1 s"), "{told}");
    assert!(start.elapsed() >= Duration::from_secs(1));
    let told = reason(&pull(&url.replace("rtmp:", "rtmpt:"), &["--listen"]));
    assert!(told.contains("listen takes plain RTMP alone"), "{told}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://{}/live/key", taken.local_addr().unwrap());
    let told = reason(&pull(&url, &["--listen", "1"]));
    assert!(told.contains("cannot listen there"), "{told}");
    let told = reason(&push(&url, &["--rtmp_listen"]));
    assert!(told.contains("listen is for `rillcast pull`"), "{told}");
}

#[test]
fn pull_that_listens_takes_the_stream_that_it_names_and_no_other() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.flv").to_str().unwrap().to_owned();
    std::thread::scope(|scope| {
        let pull =
            scope.spawn(|| rillcast(&["pull", &url, &output, "--timeout", "20", "--seconds", "1"]));
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let told = reason(&push(&format!("rtmp://127.0.0.1:{port}/live/spare"), &[]));
        assert!(told.contains("another stream is waited for"), "{told}");
        let told = reason(&self::pull(&url, &[]));
        assert!(told.contains("a publisher is waited for"), "{told}");
        push(&url, &[]);
        assert!(pull.join().unwrap().status.success());
    });
    let written = std::fs::read(&output).unwrap();
    assert!(written.len() > 10_000 && written.starts_with(b"FLV\x01\x05"), "{}", written.len());
}

#[test]
fn seconds_of_a_pull_are_bounded() {
    let most = limits::PULL_FILE_SECONDS_MAX;
    let told = reason(&pull("rtmp://127.0.0.1:1/a/b", &["--seconds", &(most + 1).to_string()]));
    assert!(told.contains(&format!("allowed is 1 to {most}")), "{told}");
    let told = reason(&pull("rtmp://127.0.0.1:1/a/b", &["--seconds", &most.to_string()]));
    assert!(told.contains("cannot be reached"), "{told}");
}
