//! Half a minute among the worst of peers: a good publisher and a good player notice nothing, and
//! when it is over nothing is left behind.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::publish;
use crate::support::rillcast::Rillcast;
use crate::support::rtmp::{self, Message, NULL, Raw};
use crate::support::{flv, media, session};

/// How long the good stream lasts.
const SECONDS: u32 = 24;

/// Connections that come and go at once.
const STORM: usize = 2000;

/// What the program holds of the system.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    /// Memory it has asked for: what is taken at start counts, touched or not.
    data_kib: u64,
    /// Memory it has touched.
    anonymous_kib: u64,
}

impl Held {
    fn by(id: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("status");
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect(name);
            line.split_whitespace().nth(1).expect("KiB").parse().expect("number")
        };
        let (data_kib, anonymous_kib) = (kib("VmData:"), kib("RssAnon:"));
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).expect("fd").count();
        Self { descriptors, data_kib, anonymous_kib }
    }
}

/// Bytes that look like nothing, the same in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// What the hostile threads share.
struct Battle {
    rtmp: SocketAddr,
    http: SocketAddr,
    over: AtomicBool,
    rounds: AtomicU64,
}

impl Battle {
    fn goes_on(&self) -> bool {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        !self.over.load(Ordering::Relaxed)
    }
}

/// C0, C1 and C2 without a look at the answers; false when the port will not have it.
fn shaken(address: SocketAddr) -> Option<TcpStream> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    socket.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut hello = vec![0; 1 + 1536];
    hello[0] = 3;
    socket.write_all(&hello).ok()?;
    let mut answer = vec![0; 1 + 2 * 1536];
    socket.read_exact(&mut answer).ok()?;
    socket.write_all(&answer[1..1537]).ok()?;
    Some(socket)
}

/// Garbage after a good handshake.
fn garbage(battle: &Battle) {
    let mut noise = Noise(0x9e37_79b9);
    while battle.goes_on() {
        if let Some(mut socket) = shaken(battle.rtmp) {
            for _ in 0..20 {
                let n = 1 + (noise.next() % 3000) as usize;
                if socket.write_all(&noise.bytes(n)).is_err() {
                    break;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One byte at a time, first of the handshake and then of a message.
fn slowly(battle: &Battle) {
    while battle.goes_on() {
        let Ok(mut idle) = TcpStream::connect(battle.rtmp) else { continue };
        let Some(mut socket) = shaken(battle.rtmp) else { continue };
        for _ in 0..40 {
            let ended = idle.write_all(&[3]).is_err() || socket.write_all(&[4]).is_err();
            if ended || !battle.goes_on() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Refused, and goes on sending as fast as it can: its end must not hold up anybody.
fn refused_and_loud(battle: &Battle) {
    let loud = vec![0xc7; 1 << 20];
    while battle.goes_on() {
        if let Some(mut socket) = shaken(battle.rtmp) {
            let _ = socket.set_write_timeout(Some(Duration::from_millis(300)));
            while socket.write_all(&loud).is_ok() {}
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// A publisher that is killed inside a message and is back at once, under the same name.
fn killed_and_back(battle: &Battle) {
    let call = |csid, stream, parts: &[&[u8]]| {
        rtmp::chunked(&Message::new(csid, 20, stream, &rtmp::command(parts)), 128)
    };
    let app = rtmp::object(&[("app", rtmp::string("live"))]);
    let names = [rtmp::string("phoenix"), rtmp::string("live")];
    let mut bytes = call(3, 0, &[&rtmp::string("connect"), &rtmp::number(1.0), &app]);
    bytes.extend(call(3, 0, &[&rtmp::string("createStream"), &rtmp::number(2.0), &NULL]));
    let publish = [&rtmp::string("publish")[..], &rtmp::number(0.0), &NULL, &names[0], &names[1]];
    bytes.extend(call(8, 1, &publish));
    for tag in &flv::read_file(&media::plain(4))[..40] {
        bytes.extend(rtmp::chunked(&Raw::tag(tag), 128));
    }
    let cut = rtmp::chunked(&Message::new(6, 9, 1, &[0x27; 5000]), 128);
    bytes.extend(&cut[..2000]);
    while battle.goes_on() {
        if let Some(mut socket) = shaken(battle.rtmp) {
            let _ = socket.write_all(&bytes);
            std::thread::sleep(Duration::from_millis(50));
            let _ = socket.shutdown(Shutdown::Both);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Players that ask for everything and read nothing.
fn deaf_players(battle: &Battle) {
    let mut held = Vec::new();
    while battle.goes_on() {
        if let Ok(mut socket) = TcpStream::connect(battle.http) {
            let _ = socket.set_write_timeout(Some(Duration::from_millis(100)));
            let path = Rillcast::playlist_path("good");
            let request = format!("GET {path} HTTP/1.1\r\nHost: box\r\n\r\n").repeat(50);
            let _ = socket.write_all(request.as_bytes());
            held.push(socket);
        }
        if held.len() > 20 {
            held.clear();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Comes and goes, on both ports.
fn storm(battle: &Battle) {
    for n in 0..STORM {
        let address = if n % 4 == 0 { battle.http } else { battle.rtmp };
        if let Ok(mut socket) = TcpStream::connect(address)
            && n % 3 == 0
        {
            let _ = socket.write_all(&[3; 100]);
        }
        if battle.over.load(Ordering::Relaxed) {
            return;
        }
        if n % 100 == 0 {
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// What the program said it would take.
fn private_kib(rillcast: &Rillcast) -> u64 {
    let line = rillcast.wait_line(&["memory private_kib="]);
    let (_, rest) = line.split_once("private_kib=").expect("private_kib");
    rest.split_whitespace().next().expect("number").parse().expect("number")
}

#[test]
fn half_a_minute_among_hostile_peers_loses_and_leaves_nothing() {
    let settings = [("limits.streams", "4"), ("limits.publishers", "24")];
    let rillcast = Rillcast::start(&settings);
    let input = media::plain(SECONDS);
    // What a first stream allocates belongs to the program.
    let warm = flv::read_file(&media::plain(4));
    for key in ["good", "phoenix"] {
        Raw::publish_whole(rillcast.rtmp, key, 4096, &warm, 0.0);
    }
    let log = rillcast.scratch.join("ffmpeg.log");
    let truth = rillcast.scratch.join("truth.flv");
    let mut publisher = publish::ffmpeg(&input, &rillcast.publish_url("best"), &truth, &log);
    rillcast.wait_line(&["stream published", "live/be"]);
    std::thread::sleep(Duration::from_millis(500));
    let before = Held::by(rillcast.id());
    let battle = Arc::new(Battle {
        rtmp: rillcast.rtmp,
        http: rillcast.http,
        over: AtomicBool::new(false),
        rounds: AtomicU64::new(0),
    });
    let fighters: [fn(&Battle); 6] =
        [garbage, slowly, refused_and_loud, killed_and_back, deaf_players, storm];
    let fighters = fighters.map(|fight| {
        let battle = Arc::clone(&battle);
        std::thread::spawn(move || fight(&battle))
    });
    let mut player = rillcast.follow("best");
    let start = Instant::now();
    while publisher.ended().is_none() {
        player.poll();
        assert!(start.elapsed() < Duration::from_secs(u64::from(SECONDS) + 20), "stuck");
        std::thread::sleep(Duration::from_millis(100));
    }
    publisher.succeed(Duration::from_secs(1));
    battle.over.store(true, Ordering::Relaxed);
    for fighter in fighters {
        fighter.join().expect("a hostile thread found the program gone");
    }
    let sent = flv::sent(&flv::read_file(&truth));
    session::whole(&mut player, &sent, Duration::from_secs(8));
    player.assert_clean();
    session::judge_segments(
        "the good stream among hostile peers",
        &player.segments,
        &sent,
        session::Expect::default(),
    );

    // Deadlines end what is still there: handshakes after 10 s, deaf players after their own.
    let end = Instant::now() + Duration::from_secs(40);
    let mut after = Held::by(rillcast.id());
    // The good publisher's socket was counted before; it has gone.
    while after.descriptors >= before.descriptors && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(500));
        after = Held::by(rillcast.id());
    }
    let rounds = battle.rounds.load(Ordering::Relaxed);
    println!("rounds={rounds} before={before:?} after={after:?}");
    assert_eq!(after.descriptors, before.descriptors - 1, "{before:?} {after:?}");
    assert!(after.data_kib <= before.data_kib + 512, "{before:?} {after:?}");
    assert!(after.anonymous_kib <= private_kib(&rillcast) + 4096, "{before:?} {after:?}");
    let accepted = rillcast.counter("rtmp_accepted");
    assert!(accepted >= STORM as f64 / 2.0, "{accepted} accepted");
    assert!(rillcast.counter("rtmp_errors") <= accepted);
    let lines = rillcast.log().lines().count();
    println!("accepted={accepted} log_lines={lines}");
    assert!(lines < 600, "{lines} lines in the log");
}
