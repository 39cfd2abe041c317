//! A publisher that sends as fast as the socket takes it, or each message at its millisecond; and
//! players that count what comes.
//!
//! Cheap enough not to be measured along: the bytes stand ready, sending is one `write` a message
//! or a mebibyte. One thread paces many streams, and one reads for all players. Loopback only.

use super::flv::{Stream, message};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for a server's answer or for room in its socket.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that may publish now.
pub(crate) struct Publisher {
    socket: TcpStream,
    pub(crate) stream_id: u32,
    chunk: usize,
}

/// A connection with a message stream.
struct Opened {
    socket: TcpStream,
    replies: Replies,
    stream_id: u32,
}

impl Publisher {
    /// Handshake, `connect`, `createStream`, `publish`.
    pub(crate) fn connect(to: SocketAddr, name: &str, chunk: usize) -> Self {
        let Opened { mut socket, mut replies, stream_id } = Opened::new(to, Some(name), chunk);
        let mut out = Vec::new();
        let mut publish = command("publish", 5.0);
        publish.push(5);
        string(&mut publish, name);
        string(&mut publish, "live");
        message(&mut out, 4, 0, 20, stream_id, &publish, chunk);
        socket.write_all(&out).unwrap();
        let status = replies.wait(&mut socket, "onStatus");
        let status = String::from_utf8_lossy(&status);
        assert!(status.contains("NetStream.Publish.Start"), "{to} says {status}");
        Self { socket, stream_id, chunk }
    }

    /// Sends all of `stream` as fast as it is taken, says goodbye and waits for the server to
    /// close. Seconds until the last byte was taken.
    pub(crate) fn burst(mut self, stream: &Stream) -> f64 {
        let start = Instant::now();
        for part in stream.bytes.chunks(1 << 20) {
            self.socket.write_all(part).expect("the burst was not taken whole");
        }
        let seconds = start.elapsed().as_secs_f64();
        self.close();
        seconds
    }

    /// Unpublishes and waits until the server has read everything.
    pub(crate) fn close(mut self) {
        let mut out = Vec::new();
        let mut unpublish = command("FCUnpublish", 6.0);
        unpublish.push(5);
        string(&mut unpublish, "x");
        message(&mut out, 3, 0, 20, 0, &unpublish, self.chunk);
        let mut delete = command("deleteStream", 7.0);
        delete.push(5);
        number(&mut delete, f64::from(self.stream_id));
        message(&mut out, 3, 0, 20, 0, &delete, self.chunk);
        let _ = self.socket.write_all(&out);
        let _ = self.socket.shutdown(Shutdown::Write);
        let mut rest = [0; 4096];
        while matches!(self.socket.read(&mut rest), Ok(1..)) {}
    }
}

impl Opened {
    /// Handshake, `connect` and `createStream`, with what a publisher of a name says in between.
    fn new(to: SocketAddr, publishes: Option<&str>, chunk: usize) -> Self {
        let mut socket = TcpStream::connect(to).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut hello = vec![0x5a; 1537];
        hello[0] = 3;
        hello[1..9].fill(0);
        socket.write_all(&hello).unwrap();
        let mut answer = vec![0; 1 + 2 * 1536];
        socket.read_exact(&mut answer).unwrap();
        socket.write_all(&answer[1..1537]).unwrap();

        let mut replies = Replies::default();
        let mut out = Vec::new();
        let announced = u32::try_from(chunk).unwrap().to_be_bytes();
        message(&mut out, 2, 0, 1, 0, &announced, 128);
        let url = format!("rtmp://{to}/live");
        let mut connect = command("connect", 1.0);
        connect.push(3);
        for (key, value) in [("app", "live"), ("type", "nonprivate"), ("tcUrl", &url)] {
            connect.extend_from_slice(&u16::try_from(key.len()).unwrap().to_be_bytes());
            connect.extend_from_slice(key.as_bytes());
            string(&mut connect, value);
        }
        connect.extend_from_slice(&[0, 0, 9]);
        message(&mut out, 3, 0, 20, 0, &connect, chunk);
        socket.write_all(&out).unwrap();
        replies.wait(&mut socket, "_result");

        out.clear();
        if let Some(name) = publishes {
            for (verb, number) in [("releaseStream", 2.0), ("FCPublish", 3.0)] {
                let mut body = command(verb, number);
                body.push(5);
                string(&mut body, name);
                message(&mut out, 3, 0, 20, 0, &body, chunk);
            }
        }
        let mut create = command("createStream", 4.0);
        create.push(5);
        message(&mut out, 3, 0, 20, 0, &create, chunk);
        socket.write_all(&out).unwrap();
        // Some servers answer releaseStream and FCPublish, some do not: the number decides.
        let stream_id = loop {
            let body = replies.wait(&mut socket, "_result");
            if float(&body[11..]) == Some(4.0) {
                break float(&body[body.len() - 8..]).unwrap() as u32;
            }
        };
        Self { socket, replies, stream_id }
    }
}

/// Players of one stream, read by whoever calls `drain`.
pub(crate) struct Players {
    sockets: Vec<TcpStream>,
    room: Vec<u8>,
    pub(crate) bytes: u64,
}

impl Players {
    /// `count` connections that play `name`.
    pub(crate) fn connect(to: SocketAddr, name: &str, count: usize) -> Self {
        let play = |_| {
            let socket = played(to, name).socket;
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let sockets = (0..count).map(play).collect();
        Self { sockets, room: vec![0; 1 << 18], bytes: 0 }
    }

    /// Reads all that is there now.
    pub(crate) fn drain(&mut self) {
        for socket in &mut self.sockets {
            while let Ok(n) = socket.read(&mut self.room) {
                assert!(n > 0, "the server left a player");
                self.bytes += n as u64;
                if n < self.room.len() {
                    break;
                }
            }
        }
    }
}

/// A connection that was told that it plays `name`.
fn played(to: SocketAddr, name: &str) -> Opened {
    let mut opened = Opened::new(to, None, 4096);
    let mut play = command("play", 5.0);
    play.push(5);
    string(&mut play, name);
    number(&mut play, -1000.0);
    let mut out = Vec::new();
    message(&mut out, 8, 0, 20, opened.stream_id, &play, 4096);
    opened.socket.write_all(&out).unwrap();
    let status = opened.replies.wait(&mut opened.socket, "onStatus");
    let status = String::from_utf8_lossy(&status);
    assert!(status.contains("NetStream.Play"), "{to} says {status}");
    opened
}

/// Plays `name` until the first keyframe is whole: the time that took once playing was accepted,
/// and bytes of the keyframe.
pub(crate) fn first_keyframe(to: SocketAddr, name: &str) -> (Duration, usize) {
    let Opened { mut socket, mut replies, .. } = played(to, name);
    let accepted = Instant::now();
    loop {
        // H.264, keyframe, and no sequence header.
        let (kind, body) = replies.message(&mut socket);
        if kind == 9 && body.starts_with(&[0x17, 1]) {
            return (accepted.elapsed(), body.len());
        }
    }
}

/// One stream of several that one thread keeps in time.
pub(crate) struct Paced<'a> {
    pub(crate) publisher: Publisher,
    pub(crate) stream: &'a Stream,
    /// Begins so much after the others, so that streams do not beat in step.
    pub(crate) delay: Duration,
    /// When the write of each keyframe began: before the server can have its last byte, so that the
    /// time of the write counts against it.
    pub(crate) keys: Vec<Instant>,
    next: usize,
}

impl<'a> Paced<'a> {
    pub(crate) fn new(publisher: Publisher, stream: &'a Stream, delay: Duration) -> Self {
        assert_eq!(publisher.stream_id, 1, "the bytes were made for message stream 1");
        Self { publisher, stream, delay, keys: Vec::new(), next: 0 }
    }

    fn due(&self, start: Instant) -> Option<Instant> {
        let message = self.stream.messages.get(self.next)?;
        Some(start + self.delay + Duration::from_millis(message.at_ms.into()))
    }

    fn send(&mut self) {
        let message = &self.stream.messages[self.next];
        self.next += 1;
        let bytes = &self.stream.bytes[message.bytes.clone()];
        if message.key {
            self.keys.push(Instant::now());
        }
        self.publisher.socket.write_all(bytes).expect("the server left a publisher");
    }
}

/// Sends every message of every stream at its time, one write each, for `length`.
pub(crate) fn pace(streams: &mut [Paced<'_>], length: Duration) {
    let start = Instant::now();
    loop {
        let due = streams.iter().enumerate().filter_map(|(i, s)| Some((s.due(start)?, i))).min();
        let Some((due, i)) = due.filter(|(due, _)| *due < start + length) else { return };
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        streams[i].send();
    }
}

/// The server's messages while a publisher is being set up.
#[derive(Default)]
struct Replies {
    held: Vec<u8>,
    chunk: Option<usize>,
    headers: Vec<(u8, [u8; 11])>,
    partial: Vec<(u8, Vec<u8>)>,
}

impl Replies {
    /// The body of the next command of this name.
    fn wait(&mut self, socket: &mut TcpStream, name: &str) -> Vec<u8> {
        loop {
            let (kind, body) = self.message(socket);
            match kind {
                1 => self.chunk = Some(u32::from_be_bytes(body[..4].try_into().unwrap()) as usize),
                20 => {
                    let verb = String::from_utf8_lossy(&body[3..3 + usize::from(body[2])]);
                    assert!(verb != "_error", "refused: {}", String::from_utf8_lossy(&body));
                    if verb == name {
                        return body;
                    }
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, socket: &mut TcpStream) -> (u8, Vec<u8>) {
        loop {
            let first = self.take(socket, 1)[0];
            let (fmt, csid) = (first >> 6, first & 63);
            assert!(csid > 1, "servers answer on small chunk streams");
            let length = [11, 7, 3, 0][usize::from(fmt)];
            let fresh = self.take(socket, length);
            if !self.headers.iter().any(|(id, _)| *id == csid) {
                self.headers.push((csid, [0; 11]));
            }
            let header = &mut self.headers.iter_mut().find(|(id, _)| *id == csid).unwrap().1;
            header[..length].copy_from_slice(&fresh);
            let header = *header;
            let bytes = u32::from_be_bytes([0, header[3], header[4], header[5]]) as usize;
            let held = self.partial.iter().position(|(id, _)| *id == csid);
            let mut body = held.map(|i| self.partial.swap_remove(i).1).unwrap_or_default();
            let n = (bytes - body.len()).min(self.chunk.unwrap_or(128));
            body.extend(self.take(socket, n));
            if body.len() == bytes {
                return (header[6], body);
            }
            self.partial.push((csid, body));
        }
    }

    fn take(&mut self, socket: &mut TcpStream, n: usize) -> Vec<u8> {
        while self.held.len() < n {
            let mut buffer = [0; 4096];
            let got = socket.read(&mut buffer).expect("no answer from the server");
            assert!(got > 0, "the server closed during set-up");
            self.held.extend_from_slice(&buffer[..got]);
        }
        self.held.drain(..n).collect()
    }
}

fn command(verb: &str, transaction: f64) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, verb);
    number(&mut body, transaction);
    body
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(2);
    out.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, value: f64) {
    out.push(0);
    out.extend_from_slice(&value.to_be_bytes());
}

fn float(bytes: &[u8]) -> Option<f64> {
    Some(f64::from_be_bytes(bytes.get(..8)?.try_into().ok()?))
}
