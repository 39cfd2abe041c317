//! Chunk headers and payload slices of a message, for `writev`: the payload is not copied.
//!
//! A `Gather` holds the two headers that a message needs, however many chunks it has, and how much
//! of it has been sent; `pieces` gives what is left as slices, from any byte on. The payload stays
//! in its ring. When it is overwritten while a slow peer still takes it, the rest goes out as
//! zeros: the message stays whole on the wire, and the peer continues at the next keyframe.
//! Not here: which message comes next, and writing.
//!
//! ```text
//! first ── payload[..c] ── next ── payload[c..2c] ── next ── payload[2c..]
//! ```
//!
//! Source: RTMP 1.0 §5.3.1; Errata §5.1. The first header is of type 0, or of type 1 where media
//! follows on media (`enchunk`); the others are of type 3, with the extended timestamp again.
//! A sender drains its `Outbox` before it begins a message, and sends nothing else within one.

use std::io::IoSlice;

use crate::limits;
use crate::proto::rtmp::data::ON_META_DATA;
use crate::proto::rtmp::enchunk::{Chunk, Enchunker, Outgoing};
use crate::storage::Label;
use crate::time::Millis;
use crate::wire::rtmp::message::MessageType;

/// Chunk stream of audio and data, as ffmpeg has it.
const CSID_AUDIO: u32 = 4;

/// Chunk stream of video.
const CSID_VIDEO: u32 = 6;

/// What comes before metadata on its way to a server.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData";

/// Stands in for payload that is lost.
const ZEROS: &[u8] = &[0; 1024];

/// Exhausted: a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message has {bytes} bytes, at most {max} are sent")]
pub struct TooLong {
    /// Its payload bytes.
    pub bytes: usize,
    /// The limit.
    pub max: u32,
}

/// Where metadata goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// A server that we publish to: `@setDataFrame` first.
    Server,
    /// A player.
    Player,
}

/// How far a message has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// `sent` bytes of the header of the chunk that starts at `payload` are sent.
    Header {
        payload: usize,
        sent: usize,
    },
    /// The payload before `payload` is sent, and the header of its chunk.
    Payload {
        payload: usize,
    },
    End,
}

/// A message on its way; 136 bytes on a 64-bit machine, without its payload.
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    first: Chunk,
    next: Option<Chunk>,
    prefix: &'static [u8],
    /// Payload bytes, prefix included.
    length: usize,
    at: At,
}

impl Gather {
    /// An audio, video or data message of a ring, whose payload has `bytes` bytes.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn message(
        enchunker: &mut Enchunker,
        stream: u32,
        label: Label,
        bytes: usize,
    ) -> Result<Self, TooLong> {
        let kind = MessageType::from(label.kind);
        Self::begin(enchunker, stream, kind, label.at, (&[], bytes))
    }

    /// A stream's metadata, of which `bytes` bytes are kept: one AMF0 value.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn metadata(
        enchunker: &mut Enchunker,
        stream: u32,
        towards: Towards,
        at: Millis,
        bytes: usize,
    ) -> Result<Self, TooLong> {
        let prefix = match towards {
            Towards::Server => SET_DATA_FRAME,
            Towards::Player => ON_META_DATA,
        };
        Self::begin(enchunker, stream, MessageType::DataAmf0, at, (prefix, bytes))
    }

    /// Notes that `n` bytes were sent; gives how many of them belong to what followed.
    pub fn sent(&mut self, n: usize) -> usize {
        let mut left = n;
        while left > 0 && self.at != At::End {
            let step = left.min(self.run(self.at));
            self.at = self.after(self.at, step);
            left -= step;
        }
        self.check_invariants();
        left
    }

    /// What is left to send, in order. `payload` is what the message was begun for, whole, and
    /// empty once it was overwritten or, kept aside, replaced; missing bytes are sent as zeros.
    #[must_use]
    pub const fn pieces<'g>(&'g self, payload: &'g [u8]) -> Pieces<'g> {
        Pieces { gather: self, at: self.at, payload }
    }

    /// Whether all of it was sent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.at == At::End
    }

    /// Whether some of it was sent: nothing else may be until it is complete.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.at != At::Header { payload: 0, sent: 0 }
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If a position lies outside the message.
    pub fn check_invariants(&self) {
        match self.at {
            At::Header { payload, sent } => {
                assert!(payload == 0 || payload < self.length);
                assert!(sent < self.header(payload).len());
            }
            At::Payload { payload } => assert!(payload < self.length),
            At::End => {}
        }
    }

    fn begin(
        enchunker: &mut Enchunker,
        stream: u32,
        kind: MessageType,
        timestamp: Millis,
        (prefix, bytes): (&'static [u8], usize),
    ) -> Result<Self, TooLong> {
        let too_long = TooLong { bytes, max: limits::MESSAGE_BYTES_MAX };
        let whole = bytes.checked_add(prefix.len()).ok_or(too_long)?;
        let length = u32::try_from(whole).map_err(|_| too_long)?;
        if length > limits::MESSAGE_BYTES_MAX {
            return Err(too_long);
        }
        let csid = if kind == MessageType::Video { CSID_VIDEO } else { CSID_AUDIO };
        let outgoing = Outgoing { csid, kind, stream, timestamp, length };
        let mut headers = enchunker.begin(outgoing);
        // Every message has a first chunk, also an empty one.
        let first = headers.next().ok_or(too_long)?;
        let next = headers.next();
        let at = At::Header { payload: 0, sent: 0 };
        Ok(Self { first, next, prefix, length: whole, at })
    }

    /// The header of the chunk that starts at `payload`.
    fn header(&self, payload: usize) -> &[u8] {
        match &self.next {
            Some(next) if payload > 0 => next.header(),
            Some(_) | None => self.first.header(),
        }
    }

    /// Where the chunk that holds `payload` ends.
    fn chunk_end(&self, payload: usize) -> usize {
        let chunk = self.first.data_len.max(1);
        self.length.min((payload / chunk + 1) * chunk)
    }

    /// Bytes from `at` to the end of this header, or of this chunk's payload.
    fn run(&self, at: At) -> usize {
        match at {
            At::Header { payload, sent } => self.header(payload).len() - sent,
            At::Payload { payload } => self.chunk_end(payload) - payload,
            At::End => 0,
        }
    }

    /// The position `n` bytes after `at`, within this run.
    fn after(&self, at: At, n: usize) -> At {
        let is_whole = n == self.run(at);
        match at {
            At::Header { payload, sent } if !is_whole => At::Header { payload, sent: sent + n },
            At::Header { .. } if self.length == 0 => At::End,
            At::Header { payload, .. } => At::Payload { payload },
            At::Payload { payload } if !is_whole => At::Payload { payload: payload + n },
            At::Payload { payload } if payload + n == self.length => At::End,
            At::Payload { payload } => At::Header { payload: payload + n, sent: 0 },
            At::End => At::End,
        }
    }
}

/// What one `writev` takes, of one message or of several in order.
pub type Slices<'g> = heapless::Vec<IoSlice<'g>, { limits::GATHER_SLICES }>;

/// Slices of a message from where it stands to its end.
#[derive(Clone, Debug)]
pub struct Pieces<'g> {
    gather: &'g Gather,
    at: At,
    payload: &'g [u8],
}

impl<'g> Pieces<'g> {
    /// Appends as many slices as there is room for; says whether that was all.
    pub fn fill(mut self, slices: &mut Slices<'g>) -> bool {
        while !slices.is_full() {
            let Some(piece) = self.next() else {
                return true;
            };
            let fits = slices.push(IoSlice::new(piece)).is_ok();
            debug_assert!(fits);
        }
        self.next().is_none()
    }

    /// The payload from `from` up to `to`, or the first part of it.
    fn slice(&self, from: usize, to: usize) -> &'g [u8] {
        let prefix = self.gather.prefix;
        if from < prefix.len() {
            return prefix.get(from..to.min(prefix.len())).unwrap_or_default();
        }
        let (from, to) = (from - prefix.len(), to - prefix.len());
        let to_here = to.min(self.payload.len());
        match self.payload.get(from..to_here) {
            Some(bytes) if !bytes.is_empty() => bytes,
            Some(_) | None => ZEROS.get(..to - from).unwrap_or(ZEROS),
        }
    }
}

impl<'g> Iterator for Pieces<'g> {
    type Item = &'g [u8];

    fn next(&mut self) -> Option<&'g [u8]> {
        let piece = match self.at {
            At::Header { payload, sent } => self.gather.header(payload).get(sent..)?,
            At::Payload { payload } => self.slice(payload, self.gather.chunk_end(payload)),
            At::End => return None,
        };
        debug_assert!(!piece.is_empty());
        self.at = self.gather.after(self.at, piece.len());
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rtmp::dechunk::{Dechunker, Rings};
    use crate::proto::rtmp::enchunk::Outbox;
    use crate::status::Status;
    use crate::storage::FrameRing;
    use crate::wire::rtmp::message::SetChunkSize;
    use proptest::prelude::*;

    const STREAM: u32 = 7;

    /// A message as it goes in and as it comes out: type, time, payload.
    type Message = (u8, u32, Vec<u8>);

    fn label(kind: u8, at: u32) -> Label {
        Label { kind, at: Millis(at), keyframe: false }
    }

    fn filled(bytes: usize) -> Vec<u8> {
        (1..=251u8).cycle().take(bytes).collect()
    }

    /// All bytes of a message, taken with writes of at most these sizes in turn.
    fn written(mut gather: Gather, payload: &[u8], writes: &[usize]) -> Vec<u8> {
        let mut wire = Vec::new();
        let mut writes = writes.iter().cycle();
        while !gather.is_complete() {
            let mut slices = Slices::new();
            gather.pieces(payload).fill(&mut slices);
            let offered: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            let n = offered.len().min(*writes.next().unwrap());
            wire.extend_from_slice(&offered[..n]);
            drop(slices);
            assert_eq!(gather.sent(n), 0);
            assert!(gather.is_begun() || n == 0);
        }
        assert_eq!(gather.pieces(payload).next(), None);
        assert_eq!(gather.sent(5), 5);
        wire
    }

    fn dechunked(wire: &[u8]) -> Vec<Message> {
        let (mut scratch, mut media) = (FrameRing::new(256 << 10, 8), FrameRing::new(4 << 20, 8));
        let media_at = [Some((STREAM, &mut media)), None, None, None];
        let mut rings = Rings { scratch: &mut scratch, media: media_at };
        let (mut dechunker, status) = (Dechunker::new(), Status::new());
        let (mut got, mut rest) = (Vec::new(), wire);
        loop {
            let progress = dechunker.advance(rest, &mut rings, &status).unwrap();
            rest = &rest[progress.consumed..];
            let Some(arrival) = progress.arrival else { break };
            assert_eq!(arrival.stream, STREAM);
            let ring = rings.media[0].as_ref().map(|(_, ring)| &**ring).unwrap();
            let kind = u8::from(arrival.kind);
            let ring = if kind == 18 { &*rings.scratch } else { ring };
            got.push((kind, arrival.at.0, ring.bytes(arrival.place).unwrap().to_vec()));
        }
        assert!(rest.is_empty());
        got
    }

    fn with_chunk_size(bytes: u32) -> (Outbox, Vec<u8>) {
        let mut out = Outbox::new();
        out.set_chunk_size(SetChunkSize { bytes }).unwrap();
        let wire = out.pending().to_vec();
        out.sent(wire.len());
        (out, wire)
    }

    fn round_trip(chunk: u32, messages: &[Message], writes: &[usize]) {
        let (mut out, mut wire) = with_chunk_size(chunk);
        for (kind, at, payload) in messages {
            let label = label(*kind, *at);
            let gather = Gather::message(out.enchunker(), STREAM, label, payload.len()).unwrap();
            wire.extend(written(gather, payload, writes));
        }
        assert_eq!(dechunked(&wire), messages, "chunk size {chunk}");
    }

    #[test]
    fn gather_refers_to_payload_and_copies_none() {
        let mut enchunker = Enchunker::new();
        let payload = filled(300);
        let gather = Gather::message(&mut enchunker, 1, label(9, 40), 300).unwrap();
        let pieces: Vec<&[u8]> = gather.pieces(&payload).collect();
        let first = [6, 0, 0, 40, 0, 1, 44, 9, 1, 0, 0, 0];
        let want: [&[u8]; 6] =
            [&first, &payload[..128], &[0xc6], &payload[128..256], &[0xc6], &payload[256..]];
        assert_eq!(pieces, want);
        assert!(core::ptr::eq(pieces[3], &raw const payload[128..256]));
    }

    #[test]
    fn gather_survives_every_chunk_size() {
        let at = [0, 40, 16_777_215, u32::MAX];
        for chunk in (1..300).chain((300..65_537).step_by(771)).chain([16_384, 65_536]) {
            let bytes = usize::try_from(chunk).unwrap();
            let lengths = [bytes - 1, bytes, bytes + 1, 2 * bytes];
            let messages: Vec<Message> =
                at.iter().zip(lengths).map(|(at, n)| (9, *at, filled(n.min(70_000)))).collect();
            round_trip(chunk, &messages, &[usize::MAX]);
        }
    }

    #[test]
    fn gather_continues_at_every_byte() {
        for (chunk, at) in [(1, 16_777_300), (7, 40), (100, 16_777_300), (128, u32::MAX)] {
            let message = (9, at, filled(200));
            for first in 1..900 {
                round_trip(chunk, core::slice::from_ref(&message), &[first, usize::MAX]);
            }
            round_trip(chunk, &[message], &[1]);
        }
    }

    #[test]
    fn gather_sends_empty_messages() {
        round_trip(128, &[(8, 40, vec![]), (8, 0xff_ffff, vec![]), (8, 0, vec![1])], &[3]);
    }

    #[test]
    fn gather_sends_zeros_for_payload_that_was_overwritten() {
        let (mut out, mut wire) = with_chunk_size(1000);
        let payload = filled(5000);
        let mut gather = Gather::message(out.enchunker(), STREAM, label(9, 0), 5000).unwrap();
        let sent: Vec<u8> =
            gather.pieces(&payload).flatten().copied().take(12 + 1500 + 1).collect();
        assert_eq!(gather.sent(sent.len()), 0);
        wire.extend(sent);
        wire.extend(written(gather, &[], &[usize::MAX]));
        let (_, _, got) = &dechunked(&wire)[0];
        assert_eq!(got[..1500], payload[..1500]);
        assert_eq!(got[1500..], [0; 3500]);
    }

    #[test]
    fn gather_begins_metadata_as_its_reader_wants_it() {
        let value = b"\x03\x00\x00\x09";
        let server = Towards::Server;
        for (towards, prefix) in [(server, SET_DATA_FRAME), (Towards::Player, ON_META_DATA)] {
            for chunk in 1..40 {
                let (mut out, mut wire) = with_chunk_size(chunk);
                let gather =
                    Gather::metadata(out.enchunker(), STREAM, towards, Millis(0), value.len());
                wire.extend(written(gather.unwrap(), value, &[5]));
                assert_eq!(dechunked(&wire), [(18, 0, [prefix, value].concat())]);
            }
        }
    }

    #[test]
    fn gather_fills_one_write_and_says_whether_that_was_all() {
        let mut enchunker = Enchunker::new();
        let most = limits::GATHER_SLICES / 2 * 128;
        for (bytes, is_all) in [(most, true), (most + 1, false)] {
            let payload = filled(bytes);
            let gather = Gather::message(&mut enchunker, 1, label(8, 0), bytes).unwrap();
            let mut slices = Slices::new();
            assert_eq!(gather.pieces(&payload).fill(&mut slices), is_all);
            assert_eq!(slices.len(), limits::GATHER_SLICES);
            assert!(!gather.pieces(&payload).fill(&mut slices));
        }
    }

    #[test]
    fn gather_refuses_messages_beyond_the_limit() {
        let mut enchunker = Enchunker::new();
        let max = limits::MESSAGE_BYTES_MAX;
        let most = usize::try_from(max).unwrap();
        assert!(Gather::message(&mut enchunker, 1, label(9, 0), most).is_ok());
        for bytes in [most + 1, usize::MAX] {
            let refused = Gather::message(&mut enchunker, 1, label(9, 0), bytes);
            assert_eq!(refused.unwrap_err(), TooLong { bytes, max });
        }
        let (server, at) = (Towards::Server, Millis(0));
        assert!(Gather::metadata(&mut enchunker, 1, server, at, most - 10).is_err());
    }

    #[test]
    fn gather_is_small_enough_to_keep_by_the_dozen() {
        assert!(size_of::<Gather>() <= 136);
    }

    fn messages() -> impl Strategy<Value = Vec<Message>> {
        let kind = prop_oneof![Just(8u8), Just(9), Just(18)];
        let at = prop_oneof![any::<u32>(), 0xff_fff0..0x100_0010u32, 0..200u32];
        let message = (kind, at, 0..3000usize).prop_map(|(k, at, n)| (k, at, filled(n)));
        proptest::collection::vec(message, 1..8)
    }

    proptest! {
        #[test]
        fn gather_is_undone_by_dechunk(
            chunk in prop_oneof![1..300u32, 1..65_537u32],
            messages in messages(),
            writes in proptest::collection::vec(1..2000usize, 1..20),
        ) {
            round_trip(chunk, &messages, &writes);
        }
    }
}
