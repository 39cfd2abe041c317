//! A publisher that speaks RTMP byte by byte: any chunk size, any order, any mistake.
//!
//! Sources: RTMP 1.0 §5, §7. It is a test instrument: it can send what no encoder should. Does NOT
//! share code with the program.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::flv::{self, Tag};

/// One message with where it travels.
#[derive(Clone, Debug)]
pub struct Message {
    pub csid: u32,
    pub ms: u32,
    pub kind: u8,
    pub stream: u32,
    pub body: Vec<u8>,
}

impl Message {
    pub fn new(csid: u32, kind: u8, stream: u32, body: &[u8]) -> Self {
        Self { csid, ms: 0, kind, stream, body: body.to_vec() }
    }
}

/// Shortest basic header for a chunk stream id.
pub fn basic(fmt: u8, csid: u32) -> Vec<u8> {
    let top = fmt << 6;
    match csid {
        0..=63 => vec![top | csid as u8],
        64..=319 => vec![top, (csid - 64) as u8],
        _ => vec![top | 1, (csid - 64) as u8, ((csid - 64) >> 8) as u8],
    }
}

/// A whole message: type 0 header, then type 3 chunks.
pub fn chunked(message: &Message, size: usize) -> Vec<u8> {
    let extended = message.ms >= 0xff_ffff;
    let stamp = message.ms.to_be_bytes();
    let mut out = basic(0, message.csid);
    out.extend(if extended { &[0xff; 3][..] } else { &stamp[1..] });
    out.extend(&(message.body.len() as u32).to_be_bytes()[1..]);
    out.push(message.kind);
    out.extend(message.stream.to_le_bytes());
    for (n, part) in message.body.chunks(size).enumerate() {
        if n > 0 {
            out.extend(basic(3, message.csid));
        }
        if extended {
            out.extend(stamp);
        }
        out.extend(part);
    }
    if message.body.is_empty() && extended {
        out.extend(stamp);
    }
    out
}

/// Writes each header in the shortest form that the last one on its chunk stream allows, as Flash,
/// FMLE and librtmp do: type 3 may begin a message.
#[derive(Default)]
pub struct Shortest {
    last: BTreeMap<u32, (u32, Option<u32>, usize, u8)>,
    /// Messages begun with each type.
    pub begun: [usize; 4],
    /// Type 3 continuations leave out the extended time, as OBS does.
    pub no_repeat: bool,
}

impl Shortest {
    pub fn write(&mut self, message: &Message, size: usize) -> Vec<u8> {
        let (ms, length) = (message.ms, message.body.len());
        let fmt = match self.last.get(&message.csid) {
            None => 0,
            Some((last, delta, len, kind)) if (*len, *kind) == (length, message.kind) => {
                if *delta == Some(ms.wrapping_sub(*last)) { 3 } else { 2 }
            }
            Some(_) => 1,
        };
        let before = self.last.get(&message.csid).map_or(0, |last| last.0);
        let field = if fmt == 0 { ms } else { ms.wrapping_sub(before) };
        let delta = (fmt != 0).then_some(field);
        self.last.insert(message.csid, (ms, delta, length, message.kind));
        self.begun[usize::from(fmt)] += 1;
        let extended = field >= 0xff_ffff;
        let stamp = field.to_be_bytes();
        let mut out = basic(fmt, message.csid);
        if fmt < 3 {
            out.extend(if extended { &[0xff; 3][..] } else { &stamp[1..] });
        }
        if fmt < 2 {
            out.extend(&(length as u32).to_be_bytes()[1..]);
            out.push(message.kind);
        }
        if fmt == 0 {
            out.extend(message.stream.to_le_bytes());
        }
        if extended {
            out.extend(stamp);
        }
        for (n, part) in message.body.chunks(size).enumerate() {
            if n > 0 {
                out.extend(basic(3, message.csid));
                out.extend(if extended && !self.no_repeat { &stamp[..] } else { &[] });
            }
            out.extend(part);
        }
        out
    }
}

/// AMF0 values, as many as the commands need.
pub fn string(text: &str) -> Vec<u8> {
    let mut out = vec![2];
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.bytes());
    out
}

pub fn number(value: f64) -> Vec<u8> {
    let mut out = vec![0];
    out.extend(value.to_be_bytes());
    out
}

pub fn object(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![3];
    for (name, value) in fields {
        out.extend((name.len() as u16).to_be_bytes());
        out.extend(name.bytes());
        out.extend(value);
    }
    out.extend([0, 0, 9]);
    out
}

pub const NULL: [u8; 1] = [5];

pub fn command(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A connection with the program.
pub struct Raw {
    pub socket: TcpStream,
    pub local: SocketAddr,
    /// Size of the chunks that we send.
    pub chunk: usize,
    /// Bytes sent so far: where on the stream the program should say that it was.
    pub sent: usize,
    inbound: Vec<u8>,
    size_in: usize,
    partial: BTreeMap<u32, (u32, usize, u8, Vec<u8>)>,
    closed: bool,
}

impl Raw {
    /// Connects; nothing is sent.
    pub fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(2)).expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        socket.set_write_timeout(Some(Duration::from_secs(20))).expect("timeout");
        Self {
            local: socket.local_addr().expect("local address"),
            socket,
            chunk: 128,
            sent: 0,
            inbound: Vec::new(),
            size_in: 128,
            partial: BTreeMap::new(),
            closed: false,
        }
    }

    /// Sends bytes as they are; an error of a closed connection is the caller's to notice by
    /// reading.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let good = self.socket.write_all(bytes).is_ok();
        self.sent += if good { bytes.len() } else { 0 };
        good
    }

    pub fn message(&mut self, message: &Message) -> bool {
        let bytes = chunked(message, self.chunk);
        self.send(&bytes)
    }

    /// C0 C1, then S0 S1 S2, then C2.
    pub fn handshake(&mut self) {
        let mut hello = vec![3];
        hello.extend([0; 8]);
        hello.extend((0..1528_u32).map(|n| (n * 7 + 1) as u8));
        assert!(self.send(&hello), "the program closed before the handshake");
        let answer = self.exactly(3073).expect("S0 S1 S2");
        assert_eq!(answer[0], 3, "S0");
        let echo = answer[1..1537].to_vec();
        assert!(self.send(&echo), "the program closed before C2");
    }

    /// Reads S0 S1 S2 where everything of ours was sent already.
    pub fn skip_handshake(&mut self) {
        assert_eq!(self.exactly(3073).expect("S0 S1 S2")[0], 3, "S0");
    }

    /// Whether more came; `Ok(false)` when the peer closed or nothing came in time.
    fn more(&mut self, within: Duration) -> bool {
        if self.closed {
            return false;
        }
        self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1)))).expect("timeout");
        let mut part = [0; 65536];
        match self.socket.read(&mut part) {
            Ok(0) => {
                self.closed = true;
                false
            }
            Ok(n) => {
                self.inbound.extend(&part[..n]);
                true
            }
            Err(error) => {
                self.closed = !matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                );
                false
            }
        }
    }

    fn exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        let end = Instant::now() + Duration::from_secs(5);
        while self.inbound.len() < n {
            if !self.more(end.saturating_duration_since(Instant::now()))
                && (self.closed || Instant::now() >= end)
            {
                return None;
            }
        }
        Some(self.inbound.drain(..n).collect())
    }

    /// The next whole message, or nothing when the peer closed or the time is over.
    pub fn next(&mut self, within: Duration) -> Option<Message> {
        let end = Instant::now() + within;
        loop {
            if let Some(message) = self.parse() {
                return message;
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.closed || left.is_zero() {
                return None;
            }
            self.more(left);
        }
    }

    /// Takes chunks out of what has come; outer `None`: more bytes are needed.
    fn parse(&mut self) -> Option<Option<Message>> {
        loop {
            let b = &self.inbound;
            let first = *b.first()?;
            let (csid, mut at) = match first & 63 {
                0 => (64 + u32::from(*b.get(1)?), 2),
                1 => (64 + u32::from(*b.get(1)?) + 256 * u32::from(*b.get(2)?), 3),
                id => (u32::from(id), 1),
            };
            let fmt = first >> 6;
            let mut state = self.partial.get(&csid).cloned().unwrap_or_default();
            let head = b.get(at..at + [11, 7, 3, 0][usize::from(fmt)])?;
            at += head.len();
            let be = |b: &[u8]| b.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b));
            if fmt < 3 {
                assert_ne!(
                    be(&head[..3]),
                    0xff_ffff,
                    "no extended times are expected from a server"
                );
            }
            if fmt < 2 {
                state.1 = be(&head[3..6]) as usize;
                state.2 = head[6];
            }
            if fmt == 0 {
                state.0 = u32::from_le_bytes([head[7], head[8], head[9], head[10]]);
            }
            let take = (state.1 - state.3.len()).min(self.size_in);
            state.3.extend(b.get(at..at + take)?);
            self.inbound.drain(..at + take);
            let whole = state.3.len() == state.1;
            let body = if whole { std::mem::take(&mut state.3) } else { Vec::new() };
            let (stream, kind) = (state.0, state.2);
            self.partial.insert(csid, state);
            if whole {
                if kind == 1 {
                    self.size_in = be(&body) as usize;
                }
                return Some(Some(Message { csid, ms: 0, kind, stream, body }));
            }
        }
    }

    /// Waits for a command by name; other messages pass by.
    pub fn expect(&mut self, name: &str) -> Message {
        let end = Instant::now() + Duration::from_secs(5);
        let wanted = string(name);
        let mut passed = Vec::new();
        while let Some(message) = self.next(end.saturating_duration_since(Instant::now())) {
            if message.kind == 20 && message.body.starts_with(&wanted) {
                return message;
            }
            passed.push((message.kind, String::from_utf8_lossy(&message.body).into_owned()));
        }
        panic!("no `{name}` came (closed: {}), only {passed:?}", self.closed);
    }

    /// connect, releaseStream, FCPublish and createStream, as ffmpeg sends them.
    pub fn connect(&mut self, app: &str) {
        let url = format!("rtmp://127.0.0.1/{app}");
        let fields = [
            ("app", string(app)),
            ("type", string("nonprivate")),
            ("flashVer", string("FMLE/3.0 (compatible; e2e)")),
            ("tcUrl", string(&url)),
        ];
        let body = command(&[&string("connect"), &number(1.0), &object(&fields)]);
        self.message(&Message::new(3, 20, 0, &body));
        let answer = self.expect("_result");
        assert!(contains(&answer.body, b"NetConnection.Connect.Success"), "{answer:?}");
        for (n, name) in [(2.0, "releaseStream"), (3.0, "FCPublish")] {
            self.message(&Message::new(
                3,
                20,
                0,
                &command(&[&string(name), &number(n), &NULL, &string("cam")]),
            ));
        }
        self.message(&Message::new(
            3,
            20,
            0,
            &command(&[&string("createStream"), &number(4.0), &NULL]),
        ));
        loop {
            let answer = self.expect("_result");
            if answer.body[10..].starts_with(&number(4.0)) {
                break;
            }
        }
    }

    /// Whether a connect is accepted; a server without a place closes at once, or answers `_error`.
    pub fn served(&mut self) -> bool {
        let mut hello = vec![3];
        hello.resize(1537, 0);
        self.send(&hello);
        let Some(answer) = self.exactly(3073) else { return false };
        self.send(&answer[1..1537]);
        let fields = [("app", string("live")), ("tcUrl", string("rtmp://127.0.0.1/live"))];
        self.message(&Message::new(
            3,
            20,
            0,
            &command(&[&string("connect"), &number(1.0), &object(&fields)]),
        ));
        let end = Instant::now() + Duration::from_secs(3);
        while let Some(message) = self.next(end.saturating_duration_since(Instant::now())) {
            if message.kind == 20 {
                return message.body.starts_with(&string("_result"));
            }
        }
        false
    }

    /// publish on message stream 1; the answer's code.
    pub fn publish(&mut self, key: &str) -> String {
        let body =
            command(&[&string("publish"), &number(5.0), &NULL, &string(key), &string("live")]);
        self.message(&Message::new(8, 20, 1, &body));
        let answer = self.expect("onStatus");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let at = text.find("Net").unwrap_or(0);
        text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect()
    }

    /// Handshake, connect, publish; then our chunk size.
    pub fn start(address: SocketAddr, key: &str, chunk: usize) -> Self {
        let mut raw = Self::open(address);
        raw.handshake();
        raw.connect("live");
        let code = raw.publish(key);
        assert_eq!(code, "NetStream.Publish.Start");
        raw.set_chunk(chunk);
        raw
    }

    /// Publishes all tags, `speed` times as fast as they play, and leaves; 0 is "at once".
    pub fn publish_whole(address: SocketAddr, key: &str, chunk: usize, tags: &[Tag], speed: f64) {
        let mut raw = Self::start(address, key, chunk);
        raw.tags(tags, speed);
        raw.leave();
    }

    pub fn set_chunk(&mut self, chunk: usize) {
        if chunk != self.chunk {
            self.message(&Message::new(2, 1, 0, &(chunk as u32).to_be_bytes()));
            self.chunk = chunk;
        }
    }

    /// A tag as the message it would be: audio on csid 4, video on 6, data on 5.
    pub fn tag(tag: &Tag) -> Message {
        let mut body = Vec::new();
        if tag.kind == flv::DATA {
            body.extend(string("@setDataFrame"));
        }
        body.extend(&tag.body);
        Message {
            csid: match tag.kind {
                flv::AUDIO => 4,
                flv::VIDEO => 6,
                _ => 5,
            },
            ms: tag.ms,
            kind: tag.kind,
            stream: 1,
            body,
        }
    }

    /// Sends all tags, `speed` times as fast as they play; 0 is "at once".
    pub fn tags(&mut self, tags: &[Tag], speed: f64) {
        let start = Instant::now();
        let first = tags.first().map_or(0, |tag| tag.ms);
        for tag in tags {
            if speed > 0.0 {
                let due = start
                    + Duration::from_secs_f64(
                        f64::from(tag.ms.wrapping_sub(first)) / 1000.0 / speed,
                    );
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            assert!(
                self.message(&Self::tag(tag)),
                "the program closed at {} ms, byte {}",
                tag.ms,
                self.sent
            );
        }
    }

    /// FCUnpublish, deleteStream, close.
    pub fn leave(mut self) {
        self.message(&Message::new(
            3,
            20,
            0,
            &command(&[&string("FCUnpublish"), &number(6.0), &NULL, &string("cam")]),
        ));
        self.message(&Message::new(
            3,
            20,
            0,
            &command(&[&string("deleteStream"), &number(7.0), &NULL, &number(1.0)]),
        ));
        // What the peer still sends is read, so that closing is a FIN and not a reset.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        self.closes_within(Duration::from_secs(3));
    }

    /// How long until the peer closes; nothing when it does not.
    pub fn closes_within(&mut self, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        while !self.closed && start.elapsed() < limit {
            self.more(limit.saturating_sub(start.elapsed()));
            self.inbound.clear();
        }
        self.closed.then(|| start.elapsed())
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn chunked_reproduces_the_sheet_vectors() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut message = Message { csid: 4, ms: 1000, kind: 9, stream: 12346, body: vec![0; 307] };
    let bytes = chunked(&message, 128);
    assert_eq!(hex(&bytes[..12]), "040003e8000133093a300000");
    assert_eq!(
        (bytes.len(), bytes[12 + 128], bytes[12 + 128 + 1 + 128]),
        (12 + 307 + 2, 0xc4, 0xc4)
    );
    message = Message { csid: 6, ms: 16_777_216, kind: 9, stream: 1, body: vec![0; 200] };
    let bytes = chunked(&message, 128);
    assert_eq!(hex(&bytes[..16]), "06ffffff0000c8090100000001000000");
    assert_eq!(hex(&bytes[16 + 128..16 + 128 + 5]), "c601000000");
    assert_eq!(
        [basic(0, 63), basic(3, 64), basic(0, 319), basic(0, 365)].map(|b| hex(&b)),
        ["3f", "c000", "00ff", "012d01"]
    );
}
