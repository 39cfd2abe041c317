//! Cuts outgoing messages into chunks, and holds what waits to be sent.
//!
//! A message begins with a type 0 or, for media, a type 1 chunk, never with type 3: receivers
//! disagree on what that means. The extended timestamp repeats on each type 3 chunk (Errata §5.1).
//! `ChunkHeaders` gives headers alone, for a sender that gathers them with slices of payload it
//! does not own; `Outbox` copies small messages whole. Nothing here sends.
//! Source: RTMP 1.0 §5.3.1, §5.4.1.

use crate::limits;
use crate::time::Millis;
use crate::wire::rtmp::chunk::{BasicHeader, EXTENDED_FROM, MessageHeader};
use crate::wire::rtmp::message::{MessageType, SetChunkSize};
use crate::wire::writer::{Full, Writer};

/// Chunk streams that remember their last header; senders of this program use up to 5.
const LASTS: usize = 8;

/// Bytes of the longest first header: 3 basic, 11 message, 4 extended.
const FIRST_BYTES_MAX: usize = 18;

/// Bytes of the longest header of a continuation: 3 basic, 4 extended.
const NEXT_BYTES_MAX: usize = 7;

/// Exhausted: the peer does not read its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peer does not read: {pending} bytes wait, {need} more do not fit")]
pub struct OutboxFull {
    /// Bytes that wait to be sent.
    pub pending: usize,
    /// Bytes that did not fit.
    pub need: usize,
}

/// What the chunk headers say about an outgoing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Chunk stream id, 2 to 65 599.
    pub csid: u32,
    /// Message type.
    pub kind: MessageType,
    /// Message stream id.
    pub stream: u32,
    /// Message time.
    pub timestamp: Millis,
    /// Payload bytes, below 2^24.
    pub length: u32,
}

/// The outgoing half of a chunk stream: chunk size, and the last header of each chunk stream id.
#[derive(Clone, Debug)]
pub struct Enchunker {
    chunk_bytes: u32,
    last: heapless::Vec<Outgoing, LASTS>,
}

impl Enchunker {
    /// At the default chunk size, with nothing sent.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only meaningful at the start of a connection")]
    pub const fn new() -> Self {
        Self { chunk_bytes: limits::CHUNK_BYTES_DEFAULT, last: heapless::Vec::new() }
    }

    /// Largest chunk data from now on; the peer must have been sent a `SetChunkSize` of it.
    pub const fn set_chunk_bytes(&mut self, bytes: u32) {
        debug_assert!(bytes > 0);
        self.chunk_bytes = bytes;
    }

    /// The headers of a message, which must then be sent whole, in order with all others.
    pub fn begin(&mut self, message: Outgoing) -> ChunkHeaders {
        debug_assert!(message.length < 1 << 24);
        let header = self.header(&message);
        self.remember(message);
        ChunkHeaders {
            csid: message.csid,
            first: Some(header),
            extended: header.extended(),
            left: message.length,
            chunk_bytes: self.chunk_bytes,
        }
    }

    /// Forgets what was sent: the next message of each chunk stream begins with type 0.
    pub fn forget(&mut self) {
        self.last.clear();
    }

    /// The most bytes that a message of this length takes with all its headers.
    #[must_use]
    pub fn bytes_max(&self, length: usize) -> usize {
        let chunk = usize::try_from(self.chunk_bytes).unwrap_or(usize::MAX);
        let continuations = length.saturating_sub(1) / chunk;
        length + FIRST_BYTES_MAX + continuations * NEXT_BYTES_MAX
    }

    /// Type 1 where media follows on its own chunk stream and time does not go back, else type 0.
    fn header(&self, message: &Outgoing) -> MessageHeader {
        let kind = u8::from(message.kind);
        let length = message.length;
        let media = matches!(message.kind, MessageType::Audio | MessageType::Video);
        let last = self.last.iter().find(|last| last.csid == message.csid);
        if let (true, Some(last)) = (media, last) {
            let delta = message.timestamp.0.wrapping_sub(last.timestamp.0);
            if last.stream == message.stream && delta < EXTENDED_FROM {
                return MessageHeader::SameStream { delta, length, kind };
            }
        }
        MessageHeader::Full { timestamp: message.timestamp.0, length, kind, stream: message.stream }
    }

    /// Without a place the chunk stream is not remembered, and its messages begin with type 0.
    fn remember(&mut self, message: Outgoing) {
        let last = self.last.iter_mut().find(|last| last.csid == message.csid);
        match last {
            Some(last) => *last = message,
            None => drop(self.last.push(message)),
        }
    }
}

/// The chunks of one message, in order; the message's payload is cut as they say.
#[derive(Clone, Debug)]
pub struct ChunkHeaders {
    csid: u32,
    first: Option<MessageHeader>,
    extended: Option<u32>,
    left: u32,
    chunk_bytes: u32,
}

/// A chunk: its header, and how many bytes of payload follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    header: [u8; FIRST_BYTES_MAX],
    header_len: usize,
    /// Payload bytes of this chunk; 0 only for an empty message.
    pub data_len: usize,
}

impl Chunk {
    /// The header's bytes, 1 to 18.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.header.get(..self.header_len).unwrap_or_default()
    }
}

impl ChunkHeaders {
    fn emit(&self, header: Option<MessageHeader>, w: &mut Writer<'_>) -> Result<(), Full> {
        let header = header.unwrap_or(MessageHeader::Same);
        let basic = BasicHeader { fmt: header.fmt(), csid: self.csid };
        basic.emit(w)?;
        match (header, self.extended) {
            (MessageHeader::Same, Some(extended)) => w.u32(extended),
            _ => header.emit(w),
        }
    }
}

impl Iterator for ChunkHeaders {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        if self.first.is_none() && self.left == 0 {
            return None;
        }
        let first = self.first.take();
        let data = self.left.min(self.chunk_bytes);
        let mut header = [0; FIRST_BYTES_MAX];
        let mut w = Writer::new(&mut header);
        let written = self.emit(first, &mut w);
        debug_assert!(written.is_ok());
        let header_len = w.position();
        self.left -= data;
        Some(Chunk { header, header_len, data_len: usize::try_from(data).unwrap_or(usize::MAX) })
    }
}

/// Bytes that wait to be sent to one peer, in a buffer that is taken once.
#[derive(Debug)]
pub struct Outbox {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    total: u64,
    enchunker: Enchunker,
}

impl Outbox {
    /// An empty outbox of `limits::OUTBOX_BYTES`, at the default chunk size.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "takes its memory, which should be seen")]
    pub fn new() -> Self {
        Self::with_room(limits::OUTBOX_BYTES)
    }

    /// An empty outbox of so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self {
            buffer: vec![0; bytes].into_boxed_slice(),
            start: 0,
            end: 0,
            total: 0,
            enchunker: Enchunker::new(),
        }
    }

    /// Ready for another connection; the memory is kept.
    pub fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
        self.total = 0;
        self.enchunker = Enchunker::new();
    }

    /// Room for `n` bytes that are no message, to be filled by the caller: the handshake.
    ///
    /// # Errors
    /// `OutboxFull` if fewer are free; nothing is changed then.
    pub fn raw(&mut self, n: usize) -> Result<&mut [u8], OutboxFull> {
        let need = n;
        let pending = self.pending().len();
        if self.room() < n {
            return Err(OutboxFull { pending, need });
        }
        self.make_room(n);
        let end = self.end + n;
        let Some(room) = self.buffer.get_mut(self.end..end) else {
            return Err(OutboxFull { pending, need });
        };
        self.end = end;
        Ok(room)
    }

    /// Appends a whole message in chunks.
    ///
    /// # Errors
    /// `OutboxFull` if it does not fit; nothing is changed then.
    pub fn message(
        &mut self,
        csid: u32,
        kind: MessageType,
        stream: u32,
        timestamp: Millis,
        payload: &[u8],
    ) -> Result<(), OutboxFull> {
        let need = self.enchunker.bytes_max(payload.len());
        let pending = self.pending().len();
        let full = OutboxFull { pending, need };
        let length = u32::try_from(payload.len()).map_err(|_| full)?;
        if self.room() < need {
            return Err(full);
        }
        self.make_room(need);
        let headers = self.enchunker.begin(Outgoing { csid, kind, stream, timestamp, length });
        let mut w = Writer::new(self.buffer.get_mut(self.end..).unwrap_or_default());
        append(&mut w, headers, payload).map_err(|_| full)?;
        self.end += w.position();
        self.check_invariants();
        Ok(())
    }

    /// Announces a chunk size and uses it from the next message on.
    ///
    /// # Errors
    /// `OutboxFull` if the announcement does not fit; nothing is changed then.
    pub fn set_chunk_size(&mut self, announced: SetChunkSize) -> Result<(), OutboxFull> {
        let payload = announced.bytes.to_be_bytes();
        self.message(2, MessageType::SetChunkSize, 0, Millis(0), &payload)?;
        self.enchunker.set_chunk_bytes(announced.bytes);
        Ok(())
    }

    /// Takes over what another outbox has to send, and how far it has come. That one is as new.
    ///
    /// # Errors
    /// `OutboxFull` if it does not fit; nothing is changed then.
    pub fn take_over(&mut self, other: &mut Self) -> Result<(), OutboxFull> {
        self.reset();
        let waiting = other.pending();
        self.raw(waiting.len())?.copy_from_slice(waiting);
        self.total = other.total;
        self.enchunker = other.enchunker.clone();
        other.reset();
        Ok(())
    }

    /// Notes that `n` bytes were sent past it.
    pub fn passed(&mut self, n: usize) {
        self.total = self.total.saturating_add(u64::try_from(n).unwrap_or(0));
    }

    /// Notes that the first `n` pending bytes were sent.
    pub fn sent(&mut self, n: usize) {
        debug_assert!(n <= self.pending().len());
        let n = n.min(self.pending().len());
        self.start += n;
        self.total = self.total.saturating_add(u64::try_from(n).unwrap_or(0));
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        self.check_invariants();
    }

    /// The outgoing half of the chunk stream, for messages that are sent from elsewhere once
    /// nothing is pending here.
    pub const fn enchunker(&mut self) -> &mut Enchunker {
        &mut self.enchunker
    }

    /// What waits to be sent, in order.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Bytes that can be appended.
    #[must_use]
    pub fn room(&self) -> usize {
        self.buffer.len() - (self.end - self.start)
    }

    /// Bytes sent since the connection began, handshake included.
    #[must_use]
    pub const fn total_sent(&self) -> u64 {
        self.total
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If what waits lies outside the buffer.
    pub fn check_invariants(&self) {
        assert!(self.start <= self.end);
        assert!(self.end <= self.buffer.len());
        assert!(self.start < self.end || self.start == 0);
    }

    /// Moves what waits to the front if `n` more bytes do not fit behind it.
    fn make_room(&mut self, n: usize) {
        if self.buffer.len() - self.end < n {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }
}

fn append(w: &mut Writer<'_>, headers: ChunkHeaders, payload: &[u8]) -> Result<(), Full> {
    let mut rest = payload;
    for chunk in headers {
        w.bytes(chunk.header())?;
        let (data, tail) = rest.split_at_checked(chunk.data_len).unwrap_or((rest, &[]));
        w.bytes(data)?;
        rest = tail;
    }
    debug_assert!(rest.is_empty());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reader::Reader;
    use proptest::prelude::*;

    fn outgoing(csid: u32, kind: MessageType, stream: u32, time: u32, length: u32) -> Outgoing {
        Outgoing { csid, kind, stream, timestamp: Millis(time), length }
    }

    fn lens(headers: ChunkHeaders) -> Vec<(Vec<u8>, usize)> {
        headers.map(|chunk| (chunk.header().to_vec(), chunk.data_len)).collect()
    }

    #[test]
    fn enchunk_cuts_video_of_307_bytes_as_the_specification_does() {
        // RTMP 1.0 §5.3.2.2.
        let mut enchunker = Enchunker::new();
        let headers = enchunker.begin(outgoing(4, MessageType::Video, 12_346, 1000, 307));
        let first = vec![0x04, 0x00, 0x03, 0xe8, 0x00, 0x01, 0x33, 0x09, 0x3a, 0x30, 0x00, 0x00];
        let want = [(first, 128), (vec![0xc4], 128), (vec![0xc4], 51)];
        assert_eq!(lens(headers), want);
    }

    #[test]
    fn enchunk_repeats_extended_timestamp_on_continuations() {
        let mut enchunker = Enchunker::new();
        let headers = enchunker.begin(outgoing(6, MessageType::Video, 1, 16_777_216, 129));
        let got = lens(headers);
        assert_eq!(got[1], (vec![0xc6, 0x01, 0x00, 0x00, 0x00], 1));
        assert_eq!(got[0].0.len(), 16);
    }

    #[test]
    fn enchunk_begins_media_with_type_1_unless_time_goes_back_or_stream_changes() {
        let mut enchunker = Enchunker::new();
        let mut fmt = |kind, stream, time| {
            let mut headers = enchunker.begin(outgoing(6, kind, stream, time, 1));
            headers.next().unwrap().header()[0] >> 6
        };
        assert_eq!(fmt(MessageType::Video, 1, 100), 0);
        assert_eq!(fmt(MessageType::Video, 1, 140), 1);
        assert_eq!(fmt(MessageType::Audio, 1, 140), 1);
        assert_eq!(fmt(MessageType::Video, 1, 139), 0);
        assert_eq!(fmt(MessageType::Video, 2, 160), 0);
        assert_eq!(fmt(MessageType::CommandAmf0, 2, 160), 0);
        assert_eq!(fmt(MessageType::Video, 2, 160 + 0xff_ffff), 0);
    }

    #[test]
    fn enchunk_gives_one_chunk_for_an_empty_message() {
        let mut enchunker = Enchunker::new();
        let headers = enchunker.begin(outgoing(4, MessageType::Audio, 1, 0, 0));
        assert_eq!(lens(headers).len(), 1);
    }

    #[test]
    fn outbox_uses_the_new_chunk_size_after_its_announcement() {
        let mut out = Outbox::new();
        out.set_chunk_size(SetChunkSize { bytes: 4096 }).unwrap();
        let set = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0x10, 0];
        assert_eq!(out.pending(), set);
        out.message(3, MessageType::CommandAmf0, 0, Millis(0), &[7; 200]).unwrap();
        assert_eq!(out.pending().len(), 16 + 12 + 200);
        out.sent(16);
        assert_eq!(out.pending()[0], 3);
        out.sent(212);
        assert_eq!(out.total_sent(), 228);
        assert!(out.pending().is_empty());
    }

    #[test]
    fn outbox_says_full_and_keeps_what_it_has() {
        let mut out = Outbox::new();
        let mut accepted = 0;
        let full = loop {
            let sent = out.message(3, MessageType::CommandAmf0, 0, Millis(0), &[1; 1000]);
            match sent {
                Ok(()) => accepted += 1,
                Err(full) => break full,
            }
        };
        assert!(accepted > 10);
        assert_eq!(full.pending, out.pending().len());
        assert!(out.raw(limits::OUTBOX_BYTES).is_err());
        out.sent(5000);
        out.message(3, MessageType::CommandAmf0, 0, Millis(0), &[1; 1000]).unwrap();
    }

    proptest! {
        #[test]
        fn outbox_messages_read_back_as_sent(
            bytes in 1..300u32,
            messages in proptest::collection::vec(
                (2..70u32, any::<bool>(), 0..3u32, any::<u32>(), 0..500usize), 1..12),
        ) {
            let mut out = Outbox::new();
            out.set_chunk_size(SetChunkSize { bytes }).unwrap();
            out.sent(16);
            for (csid, media, stream, time, length) in messages {
                let kind = if media { MessageType::Video } else { MessageType::CommandAmf0 };
                let payload: Vec<u8> = (0..=255u8).cycle().take(length).collect();
                out.message(csid, kind, stream, Millis(time), &payload).unwrap();
                let wire = out.pending().to_vec();
                let mut r = Reader::new(&wire);
                let mut got = Vec::new();
                let mut extended = None;
                loop {
                    let basic = BasicHeader::parse(&mut r).unwrap();
                    prop_assert_eq!(basic.csid, csid);
                    let (_, ext) = MessageHeader::parse(basic.fmt, &mut r).unwrap();
                    if got.is_empty() {
                        prop_assert!(basic.fmt < 2);
                        extended = ext;
                    } else {
                        prop_assert_eq!(basic.fmt, 3);
                        if let Some(extended) = extended {
                            prop_assert_eq!(r.u32("extended"), Ok(extended));
                        }
                    }
                    let n = (length - got.len()).min(usize::try_from(bytes).unwrap());
                    got.extend_from_slice(r.take(n, "data").unwrap());
                    if got.len() == length {
                        break;
                    }
                }
                prop_assert!(r.is_empty());
                prop_assert_eq!(got, payload);
                out.sent(wire.len());
            }
        }
    }
}
