//! An FLV file as a publisher's bytes: every message cut into chunks before the clock starts.
//!
//! Written by itself, not with the project's own formats: what is measured must not also be what
//! measures. Source: FLV 10.1 annex E, RTMP 1.0 §5.3.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// One message, ready to be sent.
pub(crate) struct Message {
    /// Milliseconds since the stream began.
    pub(crate) at_ms: u32,
    /// Whether it is a keyframe with picture data.
    pub(crate) key: bool,
    /// Where its bytes are in the stream.
    pub(crate) bytes: Range<usize>,
}

/// A stream as it goes over the socket after `publish`.
pub(crate) struct Stream {
    pub(crate) bytes: Vec<u8>,
    pub(crate) messages: Vec<Message>,
    /// Bytes of the FLV tags that it carries: what gigabytes are counted in.
    pub(crate) flv_bytes: u64,
}

struct Tag<'a> {
    kind: u8,
    at_ms: u32,
    body: &'a [u8],
}

impl Tag<'_> {
    fn is_header(&self) -> bool {
        match self.kind {
            9 | 8 => self.body.get(1) == Some(&0),
            _ => true,
        }
    }

    fn is_key(&self) -> bool {
        self.kind == 9 && self.body.first() == Some(&0x17) && !self.is_header()
    }
}

/// `loops` times the file, one after the other; headers only once. Each loop is cut to whole
/// seconds, so that audio and video begin each one together.
pub(crate) fn stream(file: &Path, loops: u32, chunk: usize, stream_id: u32) -> Stream {
    let data = fs::read(file).unwrap();
    let tags = tags(&data);
    let last = tags.iter().map(|tag| tag.at_ms).max().unwrap();
    let loop_ms = (last + 500) / 1000 * 1000;
    let size = data.len() * loops as usize;
    let mut out = Stream {
        bytes: Vec::with_capacity(size + size / chunk * 2 + size / 64),
        messages: Vec::new(),
        flv_bytes: 0,
    };
    for turn in 0..loops {
        for tag in tags.iter().filter(|tag| tag.at_ms < loop_ms) {
            if turn > 0 && tag.is_header() {
                continue;
            }
            let (at_ms, start) = (tag.at_ms + turn * loop_ms, out.bytes.len());
            let csid = if tag.kind == 9 { 6 } else { 4 };
            message(&mut out.bytes, csid, at_ms, tag.kind, stream_id, tag.body, chunk);
            let bytes = start..out.bytes.len();
            out.messages.push(Message { at_ms, key: tag.is_key(), bytes });
            out.flv_bytes += tag.body.len() as u64 + 15;
        }
    }
    out
}

/// Appends one message, as a type 0 chunk and type 3 chunks.
pub(crate) fn message(
    out: &mut Vec<u8>,
    csid: u8,
    at_ms: u32,
    kind: u8,
    stream: u32,
    body: &[u8],
    chunk: usize,
) {
    assert!(at_ms < 0xff_ffff, "no extended timestamps here");
    out.push(csid);
    out.extend_from_slice(&at_ms.to_be_bytes()[1..]);
    out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    out.push(kind);
    out.extend_from_slice(&stream.to_le_bytes());
    for (i, part) in body.chunks(chunk).enumerate() {
        if i > 0 {
            out.push(0xc0 | csid);
        }
        out.extend_from_slice(part);
    }
}

fn tags(data: &[u8]) -> Vec<Tag<'_>> {
    assert_eq!(&data[..3], b"FLV");
    let u24 = |at: usize| u32::from_be_bytes([0, data[at], data[at + 1], data[at + 2]]);
    let (mut at, mut tags) = (13, Vec::new());
    while at + 11 <= data.len() {
        let bytes = u24(at + 1) as usize;
        let Some(body) = data.get(at + 11..at + 11 + bytes) else { break };
        let at_ms = u24(at + 4) | u32::from(data[at + 7]) << 24;
        if bytes > 0 {
            tags.push(Tag { kind: data[at] & 0x1f, at_ms, body });
        }
        at += 11 + bytes + 4;
    }
    tags
}
