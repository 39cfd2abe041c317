//! Chunks in, messages out: the receiving half of the chunk stream.
//!
//! Each message gets its whole place in a ring at its first chunk and is filled there; payload is
//! copied once, or not at all when the caller receives straight into the place (`direct`). Set
//! Chunk Size and Abort are obeyed here; every other message is handed out. Does no I/O, knows no
//! commands, and keeps at most `CHUNK_STREAMS_MAX` chunk streams.
//! Source: RTMP 1.0 §5.3, §5.4.1, §5.4.2; Errata §5.1, §6.
//!
//! Quirks tolerated:
//! * a type 1 header first on chunk stream 2: librtmp sends its pings so;
//! * a type 0 or 1 header while a message is incomplete: the encoder restarted, the rest goes;
//! * no extended timestamp on type 3 chunks (old encoders, OBS), or on some: recognised chunk by
//!   chunk, where the next bytes differ from the timestamp; where a type 3 chunk begins a message
//!   they may differ, and it is as inside the last message that told.

use crate::limits::{
    CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX, CHUNK_STREAMS_MAX, COMMAND_BYTES_MAX, CONTROL_BYTES_MAX,
    DIRECT_BYTES_MIN, MESSAGE_BYTES_MAX, PUBLISHES_MAX,
};
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, Place, RingError, narrow, widen};
use crate::time::Millis;
use crate::wire::reader::{Reader, Short};
use crate::wire::rtmp::chunk::{BasicHeader, CSID_CONTROL, MessageHeader};
use crate::wire::rtmp::message::MessageType;

/// The rings that messages of one connection are assembled in.
#[derive(Debug)]
pub struct Rings<'a> {
    /// Commands, controls and data messages.
    pub scratch: &'a mut FrameRing,
    /// Media of the streams being published here, by message stream id.
    pub media: [Option<(u32, &'a mut FrameRing)>; PUBLISHES_MAX],
}

/// Where a message is being assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bin {
    /// The connection's own ring.
    Scratch,
    /// The ring of the stream published under this message stream id.
    Media(u32),
    /// Nowhere: nobody wants it; its bytes are counted and dropped.
    Nowhere,
}

/// A complete message. Its reservation is already closed; its bytes are readable until the next
/// call of `advance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The ring that holds it.
    pub bin: Bin,
    /// Its place there; meaningless for `Nowhere`.
    pub place: Place,
    /// Message type.
    pub kind: MessageType,
    /// Message stream id.
    pub stream: u32,
    /// Message timestamp.
    pub at: Millis,
    /// Chunk stream it came on.
    pub csid: u32,
    /// Payload bytes.
    pub bytes: u32,
}

/// How far `advance` came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Input bytes used; call again with the rest.
    pub consumed: usize,
    /// A complete message; `None` when more input is needed.
    pub arrival: Option<Arrival>,
}

/// Why a connection cannot go on. The position is in `Dechunker::position`, the chunk stream in
/// `Dechunker::csid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Malformed: nothing to inherit from.
    #[error("type {fmt} chunk header on a chunk stream that has had no type 0")]
    NoHeader {
        /// Header type seen.
        fmt: u8,
    },
    /// Misbehaved: a type 2 header inside a message.
    #[error("type 2 chunk header inside a message: {have} of {want} bytes have come")]
    Interrupted {
        /// Bytes of the message so far.
        have: u32,
        /// Bytes of the whole message.
        want: u32,
    },
    /// Malformed: Set Chunk Size outside 1 to 2^31 - 1.
    #[error("chunk size {bytes} is not between 1 and 2147483647")]
    ChunkSize {
        /// Value seen.
        bytes: u32,
    },
    /// Malformed: a control message ended early.
    #[error("control message: {0}")]
    Control(#[from] Short),
    /// Exhausted: a message longer than its kind may be.
    #[error("message of type {kind} has {bytes} bytes, at most {max} are taken")]
    MessageTooLong {
        /// Message type id.
        kind: u8,
        /// Bytes announced.
        bytes: u32,
        /// Limit.
        max: u32,
    },
    /// Exhausted: chunk streams.
    #[error("more than {max} chunk streams")]
    ChunkStreams {
        /// Limit.
        max: usize,
    },
    /// Exhausted: room for messages.
    #[error("{0}")]
    Ring(#[from] RingError),
}

/// What is remembered of a chunk stream between its chunks.
#[derive(Clone, Copy, Debug)]
struct ChunkStream {
    csid: u32,
    at: u32,
    delta: u32,
    length: u32,
    kind: u8,
    stream: u32,
    /// The extended field of the last type 0, 1 or 2 header, if it had one.
    extended: Option<u32>,
    partial: Option<Partial>,
}

#[derive(Clone, Copy, Debug)]
struct Partial {
    bin: Bin,
    place: Place,
    filled: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    /// Inside a chunk of the chunk stream at this index; `left` bytes of the chunk to come.
    Payload {
        index: usize,
        left: u32,
    },
}

/// The receiving half of one connection's chunk stream.
#[derive(Debug)]
pub struct Dechunker {
    state: State,
    chunk_bytes: u32,
    streams: heapless::Vec<ChunkStream, CHUNK_STREAMS_MAX>,
    /// The peer left out the extended timestamp on the last type 3 chunk that would tell.
    unrepeated: bool,
    position: u64,
    csid: u32,
}

impl Dechunker {
    /// Begins after the handshake, with the default chunk size.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a connection's start is not a zero value")]
    pub const fn new() -> Self {
        Self {
            state: State::Header,
            chunk_bytes: CHUNK_BYTES_DEFAULT,
            streams: heapless::Vec::new(),
            unrepeated: false,
            position: 0,
            csid: CSID_CONTROL,
        }
    }

    /// Uses `input` up to the end of the next message. Returns how much was used; what is left
    /// over without an arrival is an incomplete header and must be offered again with more.
    ///
    /// # Errors
    /// `ChunkError`; the connection must then be closed.
    pub fn advance(
        &mut self,
        input: &[u8],
        rings: &mut Rings<'_>,
        status: &Status,
    ) -> Result<Progress, ChunkError> {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            let used = match self.state {
                State::Header => match self.header(rest, rings, status)? {
                    Some(used) => used,
                    None => return Ok(Progress { consumed, arrival: None }),
                },
                State::Payload { index, left } => {
                    let used = self.payload(index, left, rest, rings);
                    if let State::Payload { left: 1.., .. } = self.state {
                        self.position += widen(used);
                        return Ok(Progress { consumed: consumed + used, arrival: None });
                    }
                    used
                }
            };
            consumed += used;
            self.position += widen(used);
            if let Some(arrival) = self.finish(rings) {
                let arrival = self.obey(arrival, rings, status)?;
                if arrival.is_some() {
                    return Ok(Progress { consumed, arrival });
                }
            }
        }
    }

    /// The rest of the current chunk's place, when it is worth receiving into directly. Only after
    /// `advance` has used all input; say how much came with `received`.
    pub fn direct<'r>(&self, rings: &'r mut Rings<'_>) -> Option<&'r mut [u8]> {
        let State::Payload { index, left } = self.state else { return None };
        if left < DIRECT_BYTES_MIN {
            return None;
        }
        let Partial { bin, place, filled } = self.streams.get(index)?.partial?;
        let from = narrow(filled);
        ring(bin, rings)?.window(place).get_mut(from..from + narrow(left))
    }

    /// Says that the first `n` bytes of the last `direct` were written.
    ///
    /// # Panics
    /// If that is more than the chunk has left.
    pub fn received(&mut self, n: usize) {
        let State::Payload { index, left } = &mut self.state else { return };
        let n32 = u32::try_from(n).unwrap_or(u32::MAX);
        assert!(n32 <= *left, "received past the end of the chunk");
        *left -= n32;
        if let Some(Some(partial)) = self.streams.get_mut(*index).map(|s| &mut s.partial) {
            partial.filled += n32;
        }
        self.position += widen(n);
    }

    /// Gives back what is being assembled for `stream`, which is no longer published, or for every
    /// stream when `None`. Chunks that still come are dropped.
    pub fn abandon(&mut self, stream: Option<u32>, rings: &mut Rings<'_>, status: &Status) {
        for partial in self.streams.iter_mut().filter_map(|s| s.partial.as_mut()) {
            let gone = match (stream, partial.bin) {
                (None, Bin::Scratch | Bin::Media(_)) => true,
                (Some(gone), Bin::Media(id)) => gone == id,
                (_, Bin::Scratch | Bin::Nowhere) => false,
            };
            if gone {
                if let Some(ring) = ring(partial.bin, rings) {
                    ring.close(partial.place);
                }
                partial.bin = Bin::Nowhere;
                status.add(Counter::RtmpPartialsDropped, 1);
            }
        }
    }

    /// Whether every message that began is complete.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.streams.iter().all(|stream| stream.partial.is_none())
    }

    /// Bytes of the chunk stream used so far, the handshake not counted.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The chunk stream of the last header.
    #[must_use]
    pub const fn csid(&self) -> u32 {
        self.csid
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If a partial message is longer than announced or the state points nowhere.
    pub fn check_invariants(&self) {
        assert!(self.chunk_bytes >= 1);
        assert!(self.chunk_bytes <= CHUNK_BYTES_MAX);
        for stream in &self.streams {
            if let Some(partial) = stream.partial {
                assert!(partial.filled <= stream.length);
            }
        }
        if let State::Payload { index, left } = self.state {
            let stream = self.streams.get(index);
            let partial = stream.and_then(|s| s.partial.map(|p| s.length - p.filled));
            assert!(partial.is_some_and(|missing| left <= missing));
        }
    }

    /// Reads a whole chunk header, or nothing. Returns the bytes used.
    fn header(
        &mut self,
        input: &[u8],
        rings: &mut Rings<'_>,
        status: &Status,
    ) -> Result<Option<usize>, ChunkError> {
        let mut r = Reader::new(input);
        let Ok(basic) = BasicHeader::parse(&mut r) else { return Ok(None) };
        let Ok((message, extended)) = MessageHeader::parse(basic.fmt, &mut r) else {
            return Ok(None);
        };
        self.csid = basic.csid;
        let index = self.stream_index(basic)?;
        let Some(stream) = self.streams.get_mut(index) else { return Ok(None) };
        let mut used = r.position();
        if basic.fmt == 3
            && let Some(value) = stream.extended
        {
            if let Some(partial) = stream.partial {
                let left = (stream.length - partial.filled).min(self.chunk_bytes);
                match repeat(value, r.rest()) {
                    // So few may be all that come: then it is as it was before.
                    Repeat::Undecided if self.unrepeated && left < 4 => {}
                    Repeat::Undecided => return Ok(None),
                    Repeat::Absent => self.unrepeated = true,
                    Repeat::Present => {
                        self.unrepeated = false;
                        used += 4;
                    }
                }
            } else if !self.unrepeated {
                // First chunk of a new message: whatever stands there is the field.
                if r.len() < 4 {
                    return Ok(None);
                }
                used += 4;
            }
        }
        if let (Some(partial), 0..=2) = (stream.partial, basic.fmt) {
            if basic.fmt == 2 {
                return Err(ChunkError::Interrupted { have: partial.filled, want: stream.length });
            }
            if let Some(ring) = ring(partial.bin, rings) {
                ring.close(partial.place);
            }
            stream.partial = None;
            status.add(Counter::RtmpPartialsDropped, 1);
        }
        if stream.partial.is_none() {
            stream.inherit(message, extended);
            stream.partial = Some(begin(stream, rings)?);
        }
        let filled = stream.partial.map_or(0, |partial| partial.filled);
        let left = (stream.length - filled).min(self.chunk_bytes);
        self.state = State::Payload { index, left };
        Ok(Some(used))
    }

    /// Index of the chunk stream of `basic`, made when it may be new.
    fn stream_index(&mut self, basic: BasicHeader) -> Result<usize, ChunkError> {
        if let Some(index) = self.streams.iter().position(|s| s.csid == basic.csid) {
            return Ok(index);
        }
        if basic.fmt > 1 || (basic.fmt == 1 && basic.csid != CSID_CONTROL) {
            return Err(ChunkError::NoHeader { fmt: basic.fmt });
        }
        self.streams
            .push(ChunkStream::new(basic.csid))
            .map_err(|_| ChunkError::ChunkStreams { max: CHUNK_STREAMS_MAX })?;
        Ok(self.streams.len() - 1)
    }

    /// Copies payload, and goes on over type 3 headers of the same chunk stream while they are one
    /// byte long: with 128-byte chunks this loop is where the time goes.
    fn payload(
        &mut self,
        index: usize,
        mut left: u32,
        input: &[u8],
        rings: &mut Rings<'_>,
    ) -> usize {
        let Some(stream) = self.streams.get_mut(index) else { return 0 };
        let Some(partial) = &mut stream.partial else { return 0 };
        let continuation = match (u8::try_from(stream.csid), stream.extended) {
            (Ok(csid @ 2..64), None) => Some(0xc0 | csid),
            _ => None,
        };
        let mut room = ring(partial.bin, rings).map(|ring| ring.window(partial.place));
        let mut rest = input;
        loop {
            let n = narrow(left).min(rest.len());
            let (now, later) = rest.split_at_checked(n).unwrap_or((rest, &[]));
            if let Some(room) = &mut room {
                let from = narrow(partial.filled);
                if let Some(to) = room.get_mut(from..from + n) {
                    to.copy_from_slice(now);
                }
            }
            let n = u32::try_from(n).unwrap_or(left);
            partial.filled += n;
            left -= n;
            rest = later;
            if left > 0 || partial.filled == stream.length {
                break;
            }
            match rest.split_first() {
                Some((byte, later)) if Some(*byte) == continuation => rest = later,
                _ => break,
            }
            left = (stream.length - partial.filled).min(self.chunk_bytes);
        }
        self.state = State::Payload { index, left };
        input.len() - rest.len()
    }

    /// At the end of a chunk: the message if it is complete.
    fn finish(&mut self, rings: &mut Rings<'_>) -> Option<Arrival> {
        let State::Payload { index, left: 0 } = self.state else { return None };
        self.state = State::Header;
        let stream = self.streams.get_mut(index)?;
        let partial = stream.partial.take_if(|partial| partial.filled == stream.length)?;
        if let Some(ring) = ring(partial.bin, rings) {
            ring.close(partial.place);
        }
        Some(Arrival {
            bin: partial.bin,
            place: partial.place,
            kind: MessageType::from(stream.kind),
            stream: stream.stream,
            at: Millis(stream.at),
            csid: stream.csid,
            bytes: stream.length,
        })
    }

    /// Obeys Set Chunk Size and Abort; hands every other message on.
    #[expect(clippy::wildcard_enum_match_arm, reason = "two types are obeyed, the rest goes on")]
    fn obey(
        &mut self,
        arrival: Arrival,
        rings: &mut Rings<'_>,
        status: &Status,
    ) -> Result<Option<Arrival>, ChunkError> {
        let value = |rings: &mut Rings<'_>| {
            let bytes = rings.scratch.bytes(arrival.place).unwrap_or_default();
            Reader::new(bytes).u32("value")
        };
        match arrival.kind {
            MessageType::SetChunkSize => {
                let bytes = value(rings)?;
                if bytes == 0 || bytes > 0x7fff_ffff {
                    return Err(ChunkError::ChunkSize { bytes });
                }
                self.chunk_bytes = bytes.min(CHUNK_BYTES_MAX);
                Ok(None)
            }
            MessageType::Abort => {
                let csid = value(rings)?;
                let stream = self.streams.iter_mut().find(|s| s.csid == csid);
                if let Some(partial) = stream.and_then(|s| s.partial.take()) {
                    if let Some(ring) = ring(partial.bin, rings) {
                        ring.close(partial.place);
                    }
                    status.add(Counter::RtmpPartialsDropped, 1);
                }
                Ok(None)
            }
            _ => Ok(Some(arrival)),
        }
    }
}

impl ChunkStream {
    const fn new(csid: u32) -> Self {
        Self { csid, at: 0, delta: 0, length: 0, kind: 0, stream: 0, extended: None, partial: None }
    }

    /// Takes over what the first header of a message says and keeps the rest (RTMP 1.0 §5.3.1.2).
    const fn inherit(&mut self, message: MessageHeader, extended: Option<u32>) {
        match message {
            MessageHeader::Full { timestamp, length, kind, stream } => {
                self.at = timestamp;
                // §5.3.1.2.4: a type 3 that follows repeats the timestamp as delta.
                self.delta = timestamp;
                self.length = length;
                self.kind = kind;
                self.stream = stream;
                self.extended = extended;
            }
            MessageHeader::SameStream { delta, length, kind } => {
                self.delta = delta;
                self.at = self.at.wrapping_add(delta);
                self.length = length;
                self.kind = kind;
                self.extended = extended;
            }
            MessageHeader::SameLength { delta } => {
                self.delta = delta;
                self.at = self.at.wrapping_add(delta);
                self.extended = extended;
            }
            MessageHeader::Same => self.at = self.at.wrapping_add(self.delta),
        }
    }
}

/// Whether the bytes after a type 3 header repeat the extended timestamp (Errata §5.1).
enum Repeat {
    Present,
    Absent,
    /// Too few bytes to tell.
    Undecided,
}

fn repeat(value: u32, rest: &[u8]) -> Repeat {
    let field = value.to_be_bytes();
    match rest.first_chunk::<4>() {
        Some(bytes) if *bytes == field => Repeat::Present,
        None if field.starts_with(rest) => Repeat::Undecided,
        Some(_) | None => Repeat::Absent,
    }
}

/// Reserves the place of a message that begins.
fn begin(stream: &ChunkStream, rings: &mut Rings<'_>) -> Result<Partial, ChunkError> {
    let (bin, max) = route(stream, rings);
    if stream.length > max {
        return Err(ChunkError::MessageTooLong { kind: stream.kind, bytes: stream.length, max });
    }
    let place = match ring(bin, rings) {
        Some(ring) => ring.reserve(narrow(stream.length))?,
        None => Place::NOWHERE,
    };
    Ok(Partial { bin, place, filled: 0 })
}

/// The ring a message belongs to and the longest that is taken.
fn route(stream: &ChunkStream, rings: &Rings<'_>) -> (Bin, u32) {
    match MessageType::from(stream.kind) {
        MessageType::Audio | MessageType::Video | MessageType::Aggregate => {
            let published = rings.media.iter().flatten().any(|(id, _)| *id == stream.stream);
            let bin = if published { Bin::Media(stream.stream) } else { Bin::Nowhere };
            (bin, MESSAGE_BYTES_MAX)
        }
        MessageType::SetChunkSize
        | MessageType::Abort
        | MessageType::Acknowledgement
        | MessageType::UserControl
        | MessageType::WindowAckSize
        | MessageType::SetPeerBandwidth => (Bin::Scratch, CONTROL_BYTES_MAX),
        MessageType::CommandAmf0
        | MessageType::CommandAmf3
        | MessageType::DataAmf0
        | MessageType::DataAmf3 => (Bin::Scratch, COMMAND_BYTES_MAX),
        MessageType::SharedObject | MessageType::SharedObjectAmf3 | MessageType::Unknown(_) => {
            (Bin::Nowhere, MESSAGE_BYTES_MAX)
        }
    }
}

fn ring<'r>(bin: Bin, rings: &'r mut Rings<'_>) -> Option<&'r mut FrameRing> {
    match bin {
        Bin::Scratch => Some(&mut *rings.scratch),
        Bin::Media(id) => rings
            .media
            .iter_mut()
            .flatten()
            .find(|(stream, _)| *stream == id)
            .map(|(_, ring)| &mut **ring),
        Bin::Nowhere => None,
    }
}
