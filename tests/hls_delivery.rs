//! What players and caches are told of each resource: type, how long it may be kept, in which
//! forms it is to be had.
//!
//! Each row of the table of the reference sheet's §11 is asked for over a real socket. The store is
//! the real one, with segments of known bytes (`support/house.rs`). `http_conformance` has what is
//! the same for all resources. Rules cited: R3, R11, R26, R39, R42.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says so when it fails"
)]

use core::cell::Cell;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;

use miniz_oxide::inflate::decompress_to_vec;
use rillcast::limits::PLAYLIST_WAIT_TIME;
use rillcast::service::clock;
use rillcast::service::http::{HttpContext, HttpSettings};
use rillcast::status::Counter;
use rillcast::sys::net::Listener;
use rillcast::wire::http::parse_date;

#[path = "support/house.rs"]
mod house;

use house::{EPOCH, Shelf, padded};

const T: u64 = 784_111_777;
const LIST: &str = "/hls/live/cam/index.m3u8";
const SETTINGS: &[&str] =
    &["limits.streams=2", "limits.slot_bytes=256KiB", "hls.window_segments=10"];

struct House {
    shelf: Shelf,
    stream: usize,
    ctx: HttpContext,
    address: SocketAddr,
    /// Keeps the port.
    _news: std::os::fd::OwnedFd,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    status: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// The value of a field that may come once.
    fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} comes twice: {self:?}");
        value
    }

    fn max_age(&self) -> u64 {
        let value = self.field("Cache-Control").unwrap().strip_prefix("public, max-age=").unwrap();
        value.split(',').next().unwrap().parse().unwrap()
    }

    fn date(&self, name: &str) -> Option<u64> {
        self.field(name).map(|text| parse_date(text.as_bytes()).unwrap())
    }
}

impl House {
    fn new(epoch: u32, wall: fn() -> Option<u64>) -> Self {
        let shelf = Shelf::in_epoch(epoch, SETTINGS, wall);
        let stream = shelf.stream("live/cam");
        let settings = HttpSettings { wall, ..HttpSettings::standard(8, 1935) };
        let (store, status) = (Rc::clone(&shelf.store), Rc::clone(&shelf.status));
        let ctx = HttpContext::new(store, status, settings).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 8, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let news = ctx.listen(listener).unwrap();
        ctx.tick(clock::now());
        Self { shelf, stream, ctx, address, _news: news }
    }

    /// A house where `count` segments have come.
    fn with_segments(count: u8) -> Self {
        let house = Self::new(EPOCH, || Some(T));
        (0..count).for_each(|n| house.put(n));
        house
    }

    fn put(&self, n: u8) {
        self.shelf.put(self.stream, padded(&format!("segment {n} ")).as_bytes());
    }

    fn get(&self, path: &str, fields: &str) -> Answer {
        self.ask("GET", path, fields)
    }

    /// One request on a connection of its own, served by turns.
    fn ask(&self, method: &str, path: &str, fields: &str) -> Answer {
        self.ask_meanwhile(method, path, fields, |_| {})
    }

    /// The same; `meanwhile` is called between two turns, with their number.
    fn ask_meanwhile(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        meanwhile: impl Fn(usize),
    ) -> Answer {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_nonblocking(true).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: box\r\nConnection: close\r\n{fields}\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let (mut bytes, mut room, turns) = (Vec::new(), [0; 4096], Cell::new(0));
        loop {
            self.ctx.turn();
            match client.read(&mut room) {
                Ok(0) => break,
                Ok(n) => bytes.extend(&room[..n]),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
            turns.set(turns.get() + 1);
            meanwhile(turns.get());
            assert!(turns.get() < 20_000, "no end after {:?}", String::from_utf8_lossy(&bytes));
            std::thread::sleep(Duration::from_micros(200));
        }
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
        let pair = |line: &str| line.split_once(": ").map(|(k, v)| (k.to_owned(), v.to_owned()));
        let answer = Answer {
            status,
            fields: lines.map(|line| pair(line).unwrap()).collect(),
            body: bytes[end + 4..].to_vec(),
        };
        let length = answer.field("Content-Length").map(|text| text.parse::<usize>().unwrap());
        let has_body = method != "HEAD" && answer.status != "304";
        assert!(!has_body || length.unwrap_or(0) == answer.body.len(), "{answer:?}");
        answer
    }

    fn playlist(&self) -> String {
        self.shelf.playlist("live/cam/index.m3u8")
    }

    /// Paths of the listed segments.
    fn listed(&self) -> Vec<String> {
        let text = self.playlist();
        let names = text.lines().filter(|line| !line.starts_with('#'));
        names.map(|name| format!("/hls/live/cam/{name}")).collect()
    }

    fn packed(&self) -> u64 {
        self.shelf.status.get(Counter::PlaylistsPacked)
    }
}

/// What a reader of others finds in a gzip member (RFC 1952 §2.3).
fn unpacked(member: &[u8]) -> String {
    assert_eq!(member[..4], [0x1f, 0x8b, 8, 0], "no flags, so the header is ten bytes");
    String::from_utf8(decompress_to_vec(&member[10..member.len() - 8]).unwrap()).unwrap()
}

const GZIP: &str = "Accept-Encoding: gzip, deflate\r\n";

#[test]
fn r3_live_playlist_is_typed_and_asked_for_again_each_time() {
    let house = House::with_segments(3);
    let answer = house.get(LIST, "");
    assert_eq!(answer.status, "200");
    assert_eq!(answer.field("Content-Type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(answer.field("Cache-Control"), Some("no-cache"));
    assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(answer.field("Expires"), None, "1.1 has Cache-Control");
    assert_eq!(answer.field("Content-Encoding"), None);
    assert_eq!(answer.body, house.playlist().as_bytes());
    let tag = format!("If-None-Match: {}\r\n", answer.field("ETag").unwrap());
    let known = house.get(LIST, &tag);
    assert_eq!((known.status.as_str(), known.body.len()), ("304", 0));
    for name in ["ETag", "Cache-Control", "Vary"] {
        assert_eq!(known.field(name), answer.field(name), "{name} of 304, RFC 9110 §15.4.5");
    }
    house.put(3);
    assert_eq!(house.get(LIST, &tag).status, "200", "there is another version");
}

#[test]
fn r42_playlist_is_offered_with_gzip() {
    let house = House::with_segments(8);
    let plain = house.get(LIST, "");
    let packed = house.get(LIST, GZIP);
    assert_eq!(packed.field("Content-Encoding"), Some("gzip"));
    assert_eq!(packed.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(packed.field("Content-Type"), plain.field("Content-Type"));
    assert_eq!(packed.field("Cache-Control"), plain.field("Cache-Control"));
    assert_eq!(unpacked(&packed.body).as_bytes(), plain.body);
    assert!(packed.body.len() * 2 < plain.body.len());
    let head = house.ask("HEAD", LIST, GZIP);
    assert_eq!((head.fields, head.body.len()), (packed.fields, 0));
    for taken in ["gzip;q=0", "identity", "br, deflate"] {
        let answer = house.get(LIST, &format!("Accept-Encoding: {taken}\r\n"));
        assert_eq!(answer, plain, "{taken}");
    }
    for taken in ["x-gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1", "*"] {
        let answer = house.get(LIST, &format!("Accept-Encoding: {taken}\r\n"));
        assert_eq!(answer.field("Content-Encoding"), Some("gzip"), "{taken}");
    }
}

#[test]
fn r42_each_form_of_a_playlist_has_its_own_tag() {
    let house = House::with_segments(8);
    let tags = [("", house.get(LIST, "")), (GZIP, house.get(LIST, GZIP))]
        .map(|(taken, answer)| (taken, answer.field("ETag").unwrap().to_owned()));
    assert_ne!(tags[0].1, tags[1].1, "RFC 9110 §8.8.3.3");
    for (taken, _) in &tags {
        for (of, tag) in &tags {
            let answer = house.get(LIST, &format!("{taken}If-None-Match: {tag}\r\n"));
            let status = if taken == of { "304" } else { "200" };
            assert_eq!(answer.status, status, "{taken:?} {of:?}");
            assert!(status == "200" || answer.field("Content-Encoding").is_none());
            assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
        }
    }
}

#[test]
fn r42_version_is_packed_once_and_only_if_somebody_takes_it() {
    let house = House::with_segments(8);
    (0..5).for_each(|_| drop(house.get(LIST, "")));
    assert_eq!(house.packed(), 0, "who does not ask pays nothing");
    (0..5).for_each(|_| drop(house.get(LIST, GZIP)));
    assert_eq!(house.packed(), 1);
    house.put(9);
    house.put(10);
    assert_eq!(house.packed(), 1, "versions that nobody asked for so");
    assert_eq!(unpacked(&house.get(LIST, GZIP).body), house.playlist());
    assert_eq!(house.packed(), 2);
}

#[test]
fn segments_are_not_packed() {
    let house = House::with_segments(3);
    let path = &house.listed()[0];
    let answer = house.get(path, GZIP);
    assert_eq!((answer.field("Content-Encoding"), answer.field("Vary")), (None, None));
    assert!(answer.body.starts_with(b"segment 0 "));
    let part = house.get(path, &format!("{GZIP}Range: bytes=0-6\r\n"));
    assert_eq!((part.status.as_str(), &part.body[..]), ("206", &b"segment"[..]));
}

#[test]
fn r39_segment_expires_when_it_is_planned_to_go() {
    let house = House::with_segments(10);
    let mut ages = Vec::new();
    for path in house.listed() {
        let answer = house.get(&path, "");
        assert_eq!(answer.field("Content-Type"), Some("video/mp2t"));
        assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));
        assert!(answer.field("Cache-Control").unwrap().ends_with(", immutable"));
        assert_eq!(answer.date("Date"), Some(T));
        assert_eq!(answer.date("Expires"), Some(T + answer.max_age()));
        ages.push(answer.max_age());
    }
    // 2 s each; the test takes the rest of one or two.
    assert!(ages.windows(2).all(|pair| (1..=2).contains(&(pair[1] - pair[0]))), "{ages:?}");
    let gone = house.listed()[0].clone();
    let before = house.get(&gone, "").max_age();
    house.put(10);
    assert!(!house.listed().contains(&gone));
    let retired = house.get(&gone, "");
    assert_eq!(retired.status, "200", "R35");
    // The store's clock has gone on by 2 s when it left, the responder's has not.
    assert!((before - 2..=before + 2).contains(&retired.max_age()), "{before} {retired:?}");
}

#[test]
fn r39_without_a_clock_no_date_is_said_and_seconds_are() {
    let house = House::new(EPOCH, || None);
    (0..4).for_each(|n| house.put(n));
    let answer = house.get(&house.listed()[0], "");
    assert!(answer.max_age() > 0);
    for name in ["Date", "Expires", "Last-Modified"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_eq!(house.get(LIST, "").field("Expires"), None);
}

#[test]
fn what_is_not_there_is_said_and_kept_by_nobody() {
    let house = House::new(EPOCH, || Some(T));
    let other = house.get("/hls/live/other/index.m3u8", GZIP);
    assert_eq!((&*other.status, other.field("Cache-Control")), ("404", Some("no-store")));
    let late = clock::now().after(PLAYLIST_WAIT_TIME * 2);
    let starting = house.ask_meanwhile("GET", LIST, GZIP, |turn| {
        if turn == 100 {
            house.ctx.tick(late);
        }
    });
    assert_eq!(starting.status, "503", "never a playlist without a segment");
    assert_eq!(starting.field("Cache-Control"), Some("no-store"));
    assert_eq!(house.shelf.status.get(Counter::HttpExpected), 1);
    (0..4).for_each(|n| house.put(n));
    assert_eq!(house.get(LIST, GZIP).status, "200");
    let next = house.listed()[3].replace("-3.ts", "-4.ts");
    assert_eq!(house.get(&next, "").status, "404", "R26: not before it is complete");
    assert_eq!(house.get(&next, "").field("Cache-Control"), Some("no-store"));
    let old = house.listed()[0].clone();
    (4..60).for_each(|n| house.put(n));
    assert_eq!(house.get(&old, "").status, "404", "it has expired");
    let preflight = house.ask("OPTIONS", LIST, "Origin: http://x\r\n");
    assert_eq!(preflight.status, "204");
    assert_eq!(preflight.field("Access-Control-Allow-Methods"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(preflight.field("Access-Control-Allow-Headers"), Some("Range"));
}

#[test]
fn player_that_is_early_waits_for_the_first_segment() {
    let house = House::new(EPOCH, || Some(T));
    let answer = house.ask_meanwhile("GET", LIST, "", |turn| match turn {
        100 => house.put(0),
        101.. => house.ctx.tick(clock::now()),
        _ => {}
    });
    assert_eq!(answer.status, "200");
    assert_eq!(answer.body, house.playlist().as_bytes());
    assert_eq!(house.shelf.status.get(Counter::HttpRequests), 1, "asked again and again, by none");
}

/// The numbers begin again in this house: nothing but the epoch keeps the two apart.
#[test]
fn r11_no_cache_can_take_one_life_of_the_program_for_another() {
    let lives = [EPOCH, EPOCH + 1].map(|epoch| House::new(epoch, || Some(T)));
    for life in &lives {
        (0..4).for_each(|n| life.put(n));
    }
    let [one, other] = &lives;
    assert!(one.listed().iter().all(|path| !other.listed().contains(path)));
    for path in one.listed() {
        assert_eq!(other.get(&path, "").status, "404");
    }
    for taken in ["", GZIP] {
        let tag = one.get(LIST, taken).field("ETag").unwrap().to_owned();
        let answer = other.get(LIST, &format!("{taken}If-None-Match: {tag}\r\n"));
        assert_eq!(answer.status, "200");
    }
    let (one, other) = (one.get(&one.listed()[0], ""), other.get(&other.listed()[0], ""));
    assert_ne!(one.field("ETag"), other.field("ETag"));
}
