//! Hostile and clumsy peers over real sockets. Each is refused or borne as the design says, with
//! one log line that finds it in a capture, while a good stream beside it comes out whole.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use crate::support::process;
use crate::support::rillcast::Rillcast;
use crate::support::rtmp::{self, Message, NULL, Raw};
use crate::support::session::{self, Expect};
use crate::support::{flv, http, media};
use rillcast::limits::{HANDSHAKE_TIME_MAX, SETUP_TIME_MAX, SILENCE_TIME_MAX};

/// Publishes a good stream while `hostile` acts, and judges the good stream whole.
fn beside_a_good_stream(name: &str, settings: &[(&str, &str)], hostile: impl FnOnce(&Rillcast)) {
    let rillcast = Rillcast::start(settings);
    let tags = flv::read_file(&media::plain(4));
    let sent = flv::sent(&tags);
    let mut good = Raw::start(rillcast.rtmp, "good", 4096);
    let half = tags.iter().position(|tag| tag.ms >= 2000).unwrap();
    good.tags(&tags[..half], 0.0);
    hostile(&rillcast);
    while good.next(Duration::from_millis(1)).is_some() {}
    assert!(!good.is_closed(), "{name}: the good stream was closed");
    good.tags(&tags[half..], 0.0);
    good.leave();
    let mut follower = rillcast.follow("good");
    session::whole(&mut follower, &sent, Duration::from_secs(8));
    session::judge(
        &rillcast,
        "good",
        &format!("beside {name}"),
        &follower,
        &sent,
        Expect::default(),
    );
}

/// The peer was closed in time, and one line says who, where and on which chunk stream.
fn closed_and_named(name: &str, rillcast: &Rillcast, raw: &mut Raw, csid: Option<u32>) {
    let took = raw.closes_within(Duration::from_secs(5));
    assert!(took.is_some(), "{name}: still open after 5 s");
    let line = one_line(name, rillcast, raw.local);
    let words = line.to_ascii_lowercase();
    assert!(words.contains("byte"), "{name}: no stream byte in `{line}`");
    if let Some(csid) = csid {
        let named =
            [format!("csid={csid}"), format!("csid {csid}"), format!("chunk stream {csid}")];
        assert!(
            named.iter().any(|text| words.contains(text.as_str())),
            "{name}: no csid {csid} in `{line}`"
        );
    }
    println!("{name}: closed after {took:?}: {line}");
}

/// The one warning or error about a peer.
fn one_line(name: &str, rillcast: &Rillcast, peer: SocketAddr) -> String {
    let peer = peer.to_string();
    rillcast.wait_line(&[&peer]);
    std::thread::sleep(Duration::from_millis(100));
    let about: Vec<String> = rillcast
        .lines_with(&[&peer])
        .into_iter()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"))
        .collect();
    assert_eq!(
        about.len(),
        1,
        "{name}: one line should say it, not {about:#?}\nin:\n{}",
        rillcast.log()
    );
    about.into_iter().next().unwrap()
}

type Act = fn(&mut Raw);

/// A header of type 0 and no payload.
fn head(csid: u32, length: u32, kind: u8, stream: u32) -> Vec<u8> {
    let mut bytes = rtmp::basic(0, csid);
    bytes.extend([0, 0, 0]);
    bytes.extend(&length.to_be_bytes()[1..]);
    bytes.push(kind);
    bytes.extend(stream.to_le_bytes());
    bytes
}

/// Name, chunk stream that the log must name, what a publisher does that ends its connection.
const FATAL: &[(&str, Option<u32>, Act)] = &[
    ("a message of 16 MiB", Some(6), |raw| {
        raw.send(&head(6, 0xff_ffff, 9, 1));
    }),
    ("a command of 1 MiB", Some(3), |raw| {
        raw.send(&head(3, 1 << 20, 20, 0));
    }),
    ("a chunk size message of 1000 bytes", Some(2), |raw| {
        raw.send(&head(2, 1000, 1, 0));
        raw.send(&[0; 128]);
    }),
    ("a chunk size of 0", Some(2), |raw| {
        raw.message(&Message::new(2, 1, 0, &[0; 4]));
    }),
    ("a chunk size with the top bit", Some(2), |raw| {
        raw.message(&Message::new(2, 1, 0, &[0x80, 0, 0x10, 0]));
    }),
    ("a chunk size of two bytes", Some(2), |raw| {
        raw.message(&Message::new(2, 1, 0, &[0, 1]));
    }),
    ("type 3 first on a chunk stream", Some(9), |raw| {
        raw.send(&[0xc9, 1, 2, 3]);
    }),
    ("type 2 first on a chunk stream", Some(10), |raw| {
        raw.send(&[0x8a, 0, 0, 1, 1, 2, 3]);
    }),
    ("type 2 inside a message", Some(6), |raw| {
        raw.send(&head(6, 9000, 9, 1));
        raw.send(&vec![0x27; raw.chunk]);
        raw.send(&[0x86, 0, 0, 1]);
        raw.send(&[0; 200]);
    }),
    ("more chunk streams than any encoder has", None, |raw| {
        for csid in 100..600 {
            // Each begins a message that it does not finish.
            let mut bytes = head(csid, 2000, 9, 1);
            bytes.resize(bytes.len() + 128, 0);
            if !raw.send(&bytes) {
                break;
            }
        }
    }),
];

/// Each at 128-byte chunks, after its own publish on its own key.
#[test]
fn broken_chunk_streams_are_closed_and_named() {
    beside_a_good_stream(
        "broken chunk streams",
        &[("limits.streams", "4"), ("limits.publishers", "8")],
        |rillcast| {
            for (n, (name, csid, act)) in FATAL.iter().enumerate() {
                let mut raw = Raw::start(rillcast.rtmp, &format!("bad{}", n % 2), 128);
                act(&mut raw);
                closed_and_named(name, rillcast, &mut raw, *csid);
            }
            assert!(rillcast.counter("rtmp_errors") >= FATAL.len() as f64);
        },
    );
}

#[test]
fn bytes_that_are_no_rtmp_are_closed_and_named() {
    // The first bytes of a TLS 1.2 ClientHello as OpenSSL sends it; see corpus/SOURCES.md.
    let tls = include_bytes!("../corpus/hostile/tls-client-hello.bin");
    let garbage: Vec<u8> =
        (0..4000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    beside_a_good_stream("bytes that are no RTMP", &[("limits.publishers", "8")], |rillcast| {
        for (name, bytes) in [
            ("TLS on the RTMP port", &tls[..]),
            ("HTTP on the RTMP port", b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"),
            ("garbage", &garbage),
            ("version 6 (RTMPE)", &[6; 1537]),
        ] {
            let mut raw = Raw::open(rillcast.rtmp);
            raw.send(bytes);
            let took = raw.closes_within(Duration::from_secs(3));
            assert!(took.is_some(), "{name}: still open after 3 s");
            let line = one_line(name, rillcast, raw.local);
            println!("{name}: closed after {took:?}: {line}");
        }
        let mut raw = Raw::open(rillcast.rtmp);
        raw.handshake();
        raw.send(&garbage);
        closed_and_named("garbage after the handshake", rillcast, &mut raw, None);
    });
}

/// A message that the peer never finishes: FIN in the middle. Nothing that was segmented is lost.
#[test]
fn connection_cut_inside_a_message_keeps_what_came_before() {
    beside_a_good_stream("a cut connection", &[], |rillcast| {
        let tags = media::before(&flv::read_file(&media::plain(4)), 3000);
        let mut raw = Raw::start(rillcast.rtmp, "cut", 128);
        raw.tags(&tags, 0.0);
        raw.send(&head(6, 5000, 9, 1));
        raw.send(&[0x27; 100]);
        raw.socket.shutdown(Shutdown::Write).unwrap();
        assert!(
            raw.closes_within(Duration::from_secs(3)).is_some(),
            "the program kept a closed connection"
        );
        let sent = flv::sent(&tags);
        let mut follower = rillcast.follow("cut");
        session::whole(&mut follower, &sent, Duration::from_secs(5));
        session::judge(
            rillcast,
            "cut",
            "what came before the cut",
            &follower,
            &sent,
            Expect::default(),
        );
    });
}

/// What a breach ends is the connection: what it had published stays listed and whole.
#[test]
fn breach_keeps_what_was_published_before_it() {
    beside_a_good_stream("a breach in mid-stream", &[], |rillcast| {
        let tags = media::before(&flv::read_file(&media::plain(4)), 3000);
        let mut raw = Raw::start(rillcast.rtmp, "breach", 128);
        raw.tags(&tags, 0.0);
        raw.send(&head(6, 0xff_ffff, 9, 1));
        closed_and_named("a breach in mid-stream", rillcast, &mut raw, Some(6));
        let sent = flv::sent(&tags);
        let mut follower = rillcast.follow("breach");
        session::whole(&mut follower, &sent, Duration::from_secs(5));
        session::judge(
            rillcast,
            "breach",
            "what came before the breach",
            &follower,
            &sent,
            Expect::default(),
        );
    });
}

/// Unknown is ignored and counted: types, events, commands, and messages without a body.
#[test]
fn unknown_and_empty_messages_are_borne() {
    let rillcast = Rillcast::start(&[]);
    let tags = flv::read_file(&media::plain(4));
    let sent = flv::sent(&tags);
    let mut raw = Raw::start(rillcast.rtmp, "cam", 128);
    for (n, part) in tags.chunks(20).enumerate() {
        let stream = 1;
        let odd = [
            Message::new(7, 99, stream, &[1, 2, 3]),
            Message::new(4, 8, stream, &[]),
            Message::new(6, 9, stream, &[]),
            Message::new(5, 18, stream, &[]),
            Message::new(2, 4, 0, &[0x7f, 0xff, 0, 0, 0, 1]),
            Message::new(2, 2, 0, &[0, 0, 0, 60]),
            Message::new(
                3,
                20,
                0,
                &rtmp::command(&[&rtmp::string("doesNotExist"), &rtmp::number(0.0), &NULL]),
            ),
            Message::new(3, 16, 0, &[0, 1]),
            Message::new(6, 9, stream, &[0x55]),
            Message::new(4, 8, stream, &[0xaf]),
            Message::new(6, 9, stream, &[0x27, 1]),
            Message::new(6, 9, stream, &[0x27, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0x41]),
        ];
        let mut odd = odd[n % odd.len()].clone();
        odd.ms = part[0].ms;
        assert!(raw.message(&odd), "closed at odd message {n}");
        raw.tags(part, 0.0);
    }
    raw.leave();
    let mut follower = rillcast.follow("cam");
    session::whole(&mut follower, &sent, Duration::from_secs(8));
    // The access unit whose NAL length runs over its end may come out empty or not at all: not as
    // media.
    session::judge(
        &rillcast,
        "cam",
        "unknown and empty messages",
        &follower,
        &sent,
        Expect::default(),
    );
    assert!(rillcast.counter("rtmp_unknown") >= 2.0);
}

#[test]
fn second_publisher_is_told_bad_name_and_the_first_goes_on() {
    let rillcast = Rillcast::start(&[]);
    let tags = flv::read_file(&media::plain(8));
    let sent = flv::sent(&tags);
    // It must go on: one that is quiet would give way.
    let mut good = Raw::start(rillcast.rtmp, "good", 4096);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            good.tags(&tags, 1.0);
            good.leave();
        });
        for round in 0..3 {
            let mut raw = Raw::open(rillcast.rtmp);
            raw.handshake();
            raw.connect("live");
            assert_eq!(raw.publish("good"), "NetStream.Publish.BadName", "round {round}");
            assert!(
                raw.closes_within(Duration::from_secs(5)).is_some(),
                "round {round}: left open"
            );
            println!("second publisher: {}", rillcast.wait_line(&[&raw.local.to_string()]));
        }
    });
    let mut follower = rillcast.follow("good");
    session::whole(&mut follower, &sent, Duration::from_secs(8));
    let name = "beside a second publisher";
    session::judge(&rillcast, "good", name, &follower, &sent, Expect::default());
}

#[test]
fn publisher_without_a_place_is_refused_and_counted() {
    beside_a_good_stream(
        "too many publishers",
        &[("limits.publishers", "2"), ("limits.streams", "4")],
        |rillcast| {
            let second = Raw::start(rillcast.rtmp, "second", 128);
            for round in 0..3 {
                let mut third = Raw::open(rillcast.rtmp);
                assert!(!third.served(), "round {round}: a third publisher was served");
                assert!(
                    third.closes_within(Duration::from_secs(3)).is_some(),
                    "round {round}: refused, but left open"
                );
            }
            assert!(rillcast.counter("rtmp_refused") >= 3.0);
            second.leave();
            let third = process::wait_for("the freed place", Duration::from_secs(5), || {
                let mut raw = Raw::open(rillcast.rtmp);
                raw.served().then_some(raw)
            });
            drop(third);
        },
    );
}

/// Media for a stream that is not being published is dropped; much of it ends the connection.
#[test]
fn media_before_publish_is_bounded() {
    beside_a_good_stream("media before publish", &[], |rillcast| {
        let mut raw = Raw::open(rillcast.rtmp);
        raw.handshake();
        raw.connect("live");
        raw.set_chunk(4096);
        for _ in 0..600 {
            if !raw.message(&Message::new(6, 9, 1, &[0x27; 4000])) {
                break;
            }
        }
        assert!(
            raw.closes_within(Duration::from_secs(3)).is_some(),
            "2.4 MB of stray media were borne"
        );
    });
}

#[test]
fn publish_before_connect_and_broken_commands_do_no_harm() {
    beside_a_good_stream("broken commands", &[("limits.publishers", "16")], |rillcast| {
        let deep: Vec<u8> = [rtmp::string("connect"), rtmp::number(1.0)]
            .concat()
            .into_iter()
            .chain((0..4000).flat_map(|_| [3, 0, 1, b'a']))
            .collect();
        let mut long = [rtmp::string("connect"), rtmp::number(1.0)].concat();
        long.extend([3, 0, 3, b'a', b'p', b'p', 2, 0xff, 0xff, b'x']);
        let mut counted = [rtmp::string("connect"), rtmp::number(1.0)].concat();
        counted.extend([8, 0xff, 0xff, 0xff, 0xff, 0, 0, 9]);
        let publish = rtmp::command(&[
            &rtmp::string("publish"),
            &rtmp::number(1.0),
            &NULL,
            &rtmp::string("x"),
            &rtmp::string("live"),
        ]);
        for (name, body) in [
            ("publish before connect", publish),
            ("a tower of objects", deep),
            ("a string past the end", long),
            ("a command that is no string", vec![0; 30]),
        ] {
            let mut raw = Raw::open(rillcast.rtmp);
            raw.handshake();
            raw.message(&Message::new(3, 20, 0, &body));
            closed_and_named(name, rillcast, &mut raw, Some(3));
        }
        // An array says how many it holds and ends where it ends; a name that nobody knows is an
        // error of its own.
        for (name, body, answered) in [
            ("an array of four billion", counted, 5),
            ("a name of 65535 bytes", rtmp::string(&"n".repeat(65_535)), 20),
        ] {
            let mut raw = Raw::open(rillcast.rtmp);
            raw.handshake();
            raw.message(&Message::new(3, 20, 0, &body));
            let answer = raw.next(Duration::from_secs(2));
            assert_eq!(answer.map(|message| message.kind), Some(answered), "{name}");
            assert!(!raw.is_closed(), "{name}");
        }
        assert_eq!(http::get(rillcast.http, "/status.json").unwrap().status, 200);
    });
}

/// Three peers send all that the socket takes in chunks of one byte, of which two carry one byte
/// of a message. Each has its share of the loop and no more, so that who asks meanwhile is
/// answered.
#[test]
fn flood_of_chunks_of_one_byte_has_its_share_and_no_more() {
    beside_a_good_stream("a flood of small chunks", &[("limits.publishers", "8")], |rillcast| {
        let over = std::sync::atomic::AtomicBool::new(false);
        let (rtmp, over) = (rillcast.rtmp, &over);
        std::thread::scope(|scope| {
            let floods: Vec<_> = (0..3)
                .map(|n| {
                    scope.spawn(move || {
                        let mut raw = Raw::start(rtmp, &format!("flood{n}"), 1);
                        // A picture of no codec in particular.
                        let body = vec![0x27; 60_000];
                        let bytes = rtmp::chunked(&Message::new(6, 9, 1, &body), 1);
                        while !over.load(std::sync::atomic::Ordering::Relaxed) {
                            assert!(raw.send(&bytes), "the flood was closed");
                        }
                        raw.sent
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(500));
            let mut waits = Vec::new();
            for _ in 0..40 {
                let asked = std::time::Instant::now();
                assert_eq!(http::get(rillcast.http, "/status.json").unwrap().status, 200);
                waits.push(asked.elapsed());
                std::thread::sleep(Duration::from_millis(50));
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            let sent: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
            waits.sort_unstable();
            println!("floods sent {sent} bytes; answers took {:?} to {:?}", waits[0], waits[39]);
            assert!(sent > 4 << 20, "{sent} bytes are no flood");
            assert!(waits[20] < Duration::from_millis(150), "{waits:?}");
        });
    });
}

/// Peers that stop speaking, at every stage, lose their places; deadlines are the program's own.
#[test]
fn silent_peers_are_closed_by_a_deadline() {
    let rillcast = Rillcast::start(&[("limits.publishers", "8"), ("limits.streams", "4")]);
    let start = std::time::Instant::now();
    let mut peers: Vec<(&str, Raw, Duration, &str)> = Vec::new();
    let (handshake, setup) = ("no handshake in time", "no publish in time");
    peers.push(("no byte at all", Raw::open(rillcast.rtmp), HANDSHAKE_TIME_MAX, handshake));
    let mut raw = Raw::open(rillcast.rtmp);
    raw.send(&[3; 700]);
    peers.push(("half a handshake", raw, HANDSHAKE_TIME_MAX, handshake));
    let mut raw = Raw::open(rillcast.rtmp);
    raw.handshake();
    peers.push(("no connect", raw, SETUP_TIME_MAX, setup));
    let mut raw = Raw::open(rillcast.rtmp);
    raw.handshake();
    raw.connect("live");
    peers.push(("no publish", raw, SETUP_TIME_MAX, setup));
    let mut raw = Raw::start(rillcast.rtmp, "never", 1 << 20);
    raw.send(&head(6, 1 << 20, 9, 1));
    raw.send(&[0x27; 50_000]);
    let silent = "publisher is silent";
    peers.push(("a chunk that never ends", raw, SILENCE_TIME_MAX, silent));
    let mut raw = Raw::start(rillcast.rtmp, "silent", 128);
    let tags = media::before(&flv::read_file(&media::plain(4)), 2500);
    raw.tags(&tags, 0.0);
    peers.push(("a publisher that fell silent", raw, SILENCE_TIME_MAX, silent));
    for (name, raw, limit, cause) in &mut peers {
        // A second for what was sent before it fell silent, and for the machine.
        let left = (*limit + Duration::from_secs(2)).saturating_sub(start.elapsed());
        let closed = raw.closes_within(left.max(Duration::from_millis(1)));
        assert!(closed.is_some(), "{name}: still open after {:?}", start.elapsed());
        let line = one_line(name, &rillcast, raw.local);
        assert!(line.contains(&format!("cause=\"{cause}\"")), "{name}: {line}");
        assert!(line.contains(" byte=") && line.contains(" csid="), "{name}: {line}");
        println!("{name}: closed after {:?} at most: {line}", start.elapsed());
    }
    let sent = flv::sent(&tags);
    let mut follower = rillcast.follow("silent");
    session::whole(&mut follower, &sent, Duration::from_secs(5));
    session::judge(
        &rillcast,
        "silent",
        "what the silent publisher had sent",
        &follower,
        &sent,
        Expect::default(),
    );
    drop(Raw::start(rillcast.rtmp, "silent", 128));
}

/// A trickle that is over in time is a handshake like any other.
#[test]
fn handshake_one_byte_at_a_time_is_read_whole() {
    let rillcast = Rillcast::start(&[]);
    let mut raw = Raw::open(rillcast.rtmp);
    let mut hello = vec![3];
    hello.resize(1537, 7);
    for byte in &hello {
        raw.socket.write_all(&[*byte]).unwrap();
    }
    raw.skip_handshake();
    raw.send(&[7; 1536]);
    raw.connect("live");
}

/// Viewers that hold their places do not stop the publisher, and one more is told so: it has an
/// answer that it can read, and a place when they are gone.
#[test]
fn silent_viewers_fill_only_their_own_places() {
    beside_a_good_stream("silent viewers", &[("limits.viewers", "4")], |rillcast| {
        let mut idle: Vec<Raw> = (0..12).map(|_| Raw::open(rillcast.http)).collect();
        assert!(idle.iter_mut().all(|raw| raw.send(b"G")));
        process::wait_for("viewers to have all places", Duration::from_secs(5), || {
            http::get(rillcast.http, "/status.json").ok().filter(|answer| answer.status == 503)
        });
        drop(idle);
        process::wait_for(
            "the HTTP port after silent viewers left",
            Duration::from_secs(5),
            || http::get(rillcast.http, "/status.json").ok().filter(|answer| answer.status == 200),
        );
    });
}

/// Paths that would leave the folder, or were never listed.
#[test]
fn paths_outside_the_streams_are_refused() {
    beside_a_good_stream("odd paths", &[], |rillcast| {
        for path in [
            "/hls/../../../etc/passwd",
            "/hls/live/../../../../etc/passwd",
            "/hls/%2e%2e/%2e%2e/etc/passwd",
            "/hls/live/none/index.m3u8",
            "/hls/",
            "/hls/live/good/..%2f..%2f",
            "/hls/live/good/index.m3u8/x",
            "//etc/passwd",
        ] {
            let answer = http::get(rillcast.http, path).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
            assert!(!answer.text().contains("root:"), "{path} served the password file");
        }
    });
}
