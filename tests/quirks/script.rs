//! What a publisher of a quirk says, as bytes; and the program that hears it.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::flv::{self, Tag};
use crate::support::follow::Follower;
use crate::support::rillcast::Rillcast;
use crate::support::rtmp::{self, Message, NULL, Raw, number, object, string};
use crate::support::{judge_media, judge_ts, session, ts};

/// Whether C2 and what follows wait for the answer to the handshake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hello {
    Wait,
    AtOnce,
}

/// Bytes from behind the handshake on, and the media in them.
#[derive(Default)]
pub struct Script {
    bytes: Vec<u8>,
    chunk: usize,
    tags: Vec<Tag>,
}

impl Script {
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub fn message(&mut self, message: &Message) {
        self.bytes.extend(rtmp::chunked(message, self.chunk));
    }

    /// Media as bytes of the case's own.
    pub fn sent(&mut self, tag: &Tag, bytes: &[u8]) {
        self.tags.push(tag.clone());
        self.bytes(bytes);
    }

    pub fn media(&mut self, tags: &[Tag]) {
        for tag in tags {
            self.message(&Raw::tag(tag));
            self.tags.push(tag.clone());
        }
    }

    /// Announces a chunk size on a chunk stream, and keeps to it.
    pub fn chunk(&mut self, csid: u32, size: usize) {
        self.message(&Message::new(csid, 1, 0, &(size as u32).to_be_bytes()));
        self.chunk = size;
    }

    pub fn call(&mut self, stream: u32, name: &str, transaction: f64, arguments: &[&[u8]]) {
        let body = [&string(name)[..], &number(transaction), &arguments.concat()].concat();
        self.message(&Message::new(3, 20, stream, &body));
    }

    pub fn connect(&mut self, more: &[(&str, Vec<u8>)]) {
        let mut fields = vec![
            ("app", string("live")),
            ("type", string("nonprivate")),
            ("tcUrl", string("rtmp://127.0.0.1/live")),
        ];
        fields.extend(more.iter().cloned());
        self.call(0, "connect", 1.0, &[&object(&fields)]);
    }

    /// What is called from connect on, as this encoder does.
    pub fn publish(&mut self, encoder: &str) {
        self.call(0, "releaseStream", 2.0, &[&NULL, &string("cam")]);
        self.call(0, "FCPublish", 3.0, &[&NULL, &string("cam")]);
        self.call(0, "createStream", 4.0, &[&NULL]);
        let transaction = if encoder == "gstreamer" { 0.0 } else { 5.0 };
        self.call(1, "publish", transaction, &[&NULL, &string("cam"), &string("live")]);
    }

    pub fn open(&mut self, encoder: &str) {
        self.connect(&[("flashVer", string("FMLE/3.0 (compatible)"))]);
        self.publish(encoder);
    }

    pub fn metadata(&mut self, fields: &[(&str, Vec<u8>)]) {
        let body = [string("@setDataFrame"), string("onMetaData"), object(fields)].concat();
        self.message(&Message::new(5, 18, 1, &body));
    }
}

/// Three seconds: five pictures a second, a keyframe each second that takes three chunks, AAC at
/// 8 kHz. Slices and frames hold no picture and no sound; nobody decodes them.
pub fn clip() -> Vec<Tag> {
    let tag = |kind, ms, body: Vec<u8>| Tag { offset: 0, kind, ms, body };
    let sets =
        b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\x04\x67\x42\xc0\x1e\x01\0\x04\x68\xce\x3c\x80";
    let mut tags =
        vec![tag(flv::VIDEO, 0, sets.to_vec()), tag(flv::AUDIO, 0, vec![0xaf, 0, 0x15, 0x88])];
    for n in 0..15_u32 {
        let (head, kind, bytes) = if n % 5 == 0 { (0x17, 0x65, 300) } else { (0x27, 0x41, 60) };
        let mut body = vec![head, 1, 0, 0, 0];
        body.extend((bytes as u32).to_be_bytes());
        body.push(kind);
        body.extend((1..bytes).map(|i| ((i as u32 * 7 + n * 31) % 251) as u8 | 1));
        tags.push(tag(flv::VIDEO, n * 200, body));
    }
    for n in 0..23_u32 {
        let mut body = vec![0xaf, 1];
        body.extend((0..20).map(|i: u32| ((i * 11 + n * 17) % 251) as u8));
        tags.push(tag(flv::AUDIO, n * 128, body));
    }
    flv::sorted(tags)
}

/// Where the bytes are kept.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/rtmp")
}

/// Bytes as text: forty a line.
fn hex(bytes: &[u8]) -> String {
    let line = |part: &[u8]| part.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n";
    bytes.chunks(40).map(line).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// The bytes of a quirk, from its file; what `write` writes must be what is in it.
fn kept(name: &str, script: &Script) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    if std::env::var_os("QUIRKS").is_some_and(|value| value == "write") {
        std::fs::write(&path, hex(&script.bytes)).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let bytes = unhex(&text);
    assert!(bytes == script.bytes, "{name}.hex is not what its test makes; QUIRKS=write makes it");
    bytes
}

/// What came of it.
pub struct Played {
    pub name: &'static str,
    pub rillcast: Rillcast,
    pub answers: Vec<Message>,
    tags: Vec<Tag>,
    follower: Follower,
}

/// Sends the bytes of a quirk to a program of its own and reads to the end.
pub fn play(name: &'static str, hello: Hello, write: impl FnOnce(&mut Script)) -> Played {
    let mut script = Script { chunk: 128, ..Script::default() };
    write(&mut script);
    let bytes = kept(name, &script);
    let rillcast = Rillcast::start(&[]);
    let mut raw = Raw::open(rillcast.rtmp);
    if hello == Hello::AtOnce {
        let mut all = vec![0; 1 + 2 * 1536];
        all[0] = 3;
        all.extend(&bytes);
        raw.send(&all);
        raw.skip_handshake();
    } else {
        raw.handshake();
        raw.send(&bytes);
    }
    let mut answers = Vec::new();
    while let Some(answer) = raw.next(Duration::from_millis(400)) {
        answers.push(answer);
    }
    let sent = flv::sent(&script.tags);
    let mut follower = rillcast.follow("cam");
    if !script.tags.is_empty() {
        raw.leave();
        session::whole(&mut follower, &sent, Duration::from_secs(5));
    }
    Played { name, rillcast, answers, tags: script.tags, follower }
}

impl Played {
    pub fn log(&self) -> String {
        self.rillcast.log()
    }

    /// Every picture and every sound came out in so many runs, at its time, in sound segments.
    pub fn whole(&self, runs: usize) {
        let sent = flv::sent(&self.tags);
        assert!(!self.follower.segments.is_empty(), "{}: no segments: {}", self.name, self.log());
        self.follower.assert_clean();
        let rules = judge_media::Rules { runs, ..judge_media::Rules::default() };
        judge_media::compare(&sent, &self.follower.segments, rules).assert_clean(self.name);
        let rules = judge_ts::Rules::default();
        judge_ts::judge(&self.follower.segments, rules).assert_clean(self.name);
    }

    /// The connection ended with these words in one line of the log.
    pub fn refused(&self, words: &[&str]) {
        let words: Vec<&str> = ["ingest refused"].iter().chain(words).copied().collect();
        self.rillcast.wait_line(&words);
        let told = self.answers.iter().any(|one| rtmp::contains(&one.body, b"error"));
        assert!(told, "{}: the publisher is told", self.name);
    }

    /// Tracks that the segments name.
    pub fn tracks(&self) -> usize {
        let first = ts::Demux::default().segment(&self.follower.segments[0].bytes);
        first.pmt.map_or(0, |pmt| pmt.streams.len())
    }
}

#[test]
fn bytes_come_back_from_their_text() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(unhex(&hex(&bytes)), bytes);
    assert_eq!(hex(&bytes[..41]).lines().count(), 2);
}

#[test]
fn clip_is_read_as_what_it_is_said_to_be() {
    let sent = flv::sent(&clip());
    assert_eq!((sent.video.len(), sent.audio.len()), (15, 23));
    assert_eq!(sent.video.iter().filter(|unit| unit.idr).count(), 3);
    assert_eq!(sent.audio[0].rate, 8_000);
}
