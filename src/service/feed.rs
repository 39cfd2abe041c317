//! What a connection sends of the streams it follows: an RTMP player's, or an upstream's.
//!
//! Payload is never copied: chunk headers and slices of the rings are gathered for one `writev`. A
//! follower reads with a cursor of its own; one that is too slow is overrun and goes on at the next
//! keyframe, and nobody waits for it. What was kept aside (metadata, sequence headers) goes first.
//! Asks nothing of the kernel itself and decides nothing about who may follow.
//! Source: RTMP 1.0 §5.3, §5.4.2 (Abort), §7.2.2.

use crate::limits::{FEED_PIECES, FEED_TURN_BYTES, PLAYS_MAX};
use crate::proto::rtmp::enchunk::{ChunkHeaders, Outbox, Outgoing};
use crate::service::stream::{PublisherId, Stream, Streams};
use crate::status::{Counter, Status};
use crate::storage::frame_ring::{Aside, Cursor, Label, Read};
use crate::storage::{FrameRing, Place};
use crate::time::Millis;
use crate::wire::flv::{self, TagKind};
use crate::wire::rtmp::message::MessageType;
use core::cell::Ref;
use std::io::{self, IoSlice};

/// Chunk streams of media; replies and statuses have others.
const CSID_AUDIO: u32 = 4;
const CSID_VIDEO: u32 = 6;
const CSID_DATA: u32 = 7;

/// Longest chunk header.
const HEADER_BYTES_MAX: usize = 18;

/// Milliseconds between the last message of a publisher and the first of the next, on the clock
/// that a follower sees.
const SEAM_MS: u32 = 40;

/// Stands in for bytes of a chunk that were overwritten before they could be sent.
static NOTHING: [u8; 1024] = [0; 1024];

/// What a follower has to be sent before media.
const GREETING: [Aside; 3] = [Aside::Metadata, Aside::VideoHeader, Aside::AudioHeader];

/// A stream that one message stream of the connection follows.
#[derive(Clone, Debug)]
struct Follower {
    /// Message stream id.
    id: u32,
    stream: usize,
    epoch: u32,
    publisher: Option<PublisherId>,
    cursor: Cursor,
    /// How much of `GREETING` was sent.
    greeted: usize,
    /// Waits for a keyframe.
    starts: bool,
    paused: bool,
    audio: bool,
    video: bool,
    /// Added to timestamps, so that they do not go back when another publisher begins anew.
    shift: u32,
    last: Option<Millis>,
    /// The next media message decides `shift`.
    rejoins: bool,
}

/// A part of what is to be sent next, in order.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// A chunk's header.
    Header { bytes: [u8; HEADER_BYTES_MAX], len: u8, begins: bool },
    /// Bytes of a message in the ring of a stream.
    Ring { stream: usize, place: Place, csid: u32 },
    /// Bytes of what a stream keeps aside.
    Aside { stream: usize, what: Aside, edition: u32, from: usize, len: usize, csid: u32 },
    /// Bytes that wait in the outbox.
    Outbox { len: usize },
    /// Bytes that nobody will look at.
    Nothing { len: usize },
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Header { len, .. } => usize::from(*len),
            Self::Ring { place, .. } => place.len(),
            Self::Aside { len, .. } | Self::Outbox { len } | Self::Nothing { len } => *len,
        }
    }
}

/// Where the bytes of a message are.
#[derive(Clone, Copy, Debug)]
enum Bytes {
    Ring(Place),
    Aside(Aside, u32),
}

/// A message that is being cut into chunks.
#[derive(Clone, Debug)]
struct Cut {
    headers: ChunkHeaders,
    stream: usize,
    bytes: Bytes,
    csid: u32,
    from: usize,
    begins: bool,
}

/// What happened to a followed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Its publisher left.
    Unpublished,
    /// A publisher is there again.
    Published,
    /// Its place was given to another stream.
    Gone,
}

/// How far sending has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All there is.
    All,
    /// As much as the peer takes for now.
    Blocked,
    /// As much as one turn may; there is more.
    Turn,
}

/// The followed streams of one connection and what is on its way to the peer.
#[derive(Debug)]
pub struct Feed {
    followers: heapless::Vec<Follower, PLAYS_MAX>,
    pieces: heapless::Deque<Piece, FEED_PIECES>,
    /// Bytes of the first piece that are sent.
    sent: usize,
    /// Bytes of the outbox that are among the pieces.
    queued: usize,
    cut: Option<Cut>,
    turn: usize,
}

impl Feed {
    /// Follows nothing yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only meaningful at the start of a connection")]
    pub const fn new() -> Self {
        Self {
            followers: heapless::Vec::new(),
            pieces: heapless::Deque::new(),
            sent: 0,
            queued: 0,
            cut: None,
            turn: 0,
        }
    }

    /// Whether no stream is followed and nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.followers.is_empty() && self.pieces.is_empty()
    }

    /// Whether no message is on its way in part.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.pieces.is_empty() && self.cut.is_none()
    }

    /// Whether bytes of the outbox are among what is on its way.
    #[must_use]
    pub const fn has_queued(&self) -> bool {
        self.queued > 0
    }

    /// Message stream `id` follows `stream` from its newest keyframe on. Says whether there was a
    /// place for it.
    pub fn follow(&mut self, id: u32, stream: usize, streams: &Streams) -> bool {
        self.leave(id);
        let Some(cell) = streams.get(stream) else { return false };
        let present = cell.borrow();
        let follower = Follower {
            id,
            stream,
            epoch: present.epoch(),
            publisher: present.publisher(),
            cursor: present.ring.join(),
            greeted: 0,
            starts: true,
            paused: false,
            audio: true,
            video: true,
            shift: 0,
            last: None,
            rejoins: false,
        };
        self.followers.push(follower).is_ok()
    }

    /// Message stream `id` follows nothing any more. What is on its way still arrives.
    pub fn leave(&mut self, id: u32) {
        self.followers.retain(|follower| follower.id != id);
    }

    /// The numbers of the followed streams.
    pub fn streams(&self) -> impl Iterator<Item = usize> {
        self.followers.iter().map(|follower| follower.stream)
    }

    /// Message stream `id` wants no media for a while, or goes on at the live point.
    pub fn pause(&mut self, id: u32, paused: bool, streams: &Streams) {
        self.change(id, streams, |follower| follower.paused = paused);
    }

    /// Message stream `id` wants audio, or no more of it.
    pub fn want_audio(&mut self, id: u32, wanted: bool, streams: &Streams) {
        self.change(id, streams, |follower| follower.audio = wanted);
    }

    /// Message stream `id` wants video, or no more of it.
    pub fn want_video(&mut self, id: u32, wanted: bool, streams: &Streams) {
        self.change(id, streams, |follower| follower.video = wanted);
    }

    /// Tells `say` what became of the followed streams since the last time: message stream id and
    /// news. Streams that are gone are left.
    ///
    /// # Errors
    /// Those of `say`.
    pub fn watch<E>(
        &mut self,
        streams: &Streams,
        mut say: impl FnMut(u32, News) -> Result<(), E>,
    ) -> Result<(), E> {
        for follower in &mut self.followers {
            let Some(cell) = streams.get(follower.stream) else { continue };
            let present = cell.borrow();
            let (before, now) = (follower.publisher, present.publisher());
            if follower.epoch != present.epoch() {
                say(follower.id, News::Gone)?;
                continue;
            }
            if before == now {
                continue;
            }
            follower.publisher = now;
            if before.is_some() {
                say(follower.id, News::Unpublished)?;
            }
            if now.is_some() {
                say(follower.id, News::Published)?;
                follower.cursor = present.ring.join();
                follower.greeted = 0;
                follower.starts = true;
                follower.rejoins = follower.last.is_some();
            }
        }
        let epoch = |stream| streams.get(stream).map(|cell| cell.borrow().epoch());
        self.followers.retain(|follower| epoch(follower.stream) == Some(follower.epoch));
        Ok(())
    }

    /// Sends what there is by `write`, which takes slices in order and says how many bytes it
    /// took. What waits in `out` goes between two messages.
    ///
    /// # Errors
    /// Those of `write`, but for `WouldBlock`.
    pub fn pump(
        &mut self,
        streams: &Streams,
        out: &mut Outbox,
        status: &Status,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Sent> {
        let mut moved = 0;
        loop {
            self.fill(streams, out, status);
            if self.pieces.is_empty() {
                return Ok(Sent::All);
            }
            if moved >= FEED_TURN_BYTES {
                return Ok(Sent::Turn);
            }
            let outcome = {
                let guards = Guards::of(&self.pieces, streams);
                match self.gather(&guards, out) {
                    Err(stale) => Err(stale),
                    Ok(slices) => Ok(write(&slices)),
                }
            };
            match outcome {
                Err(stale) => self.overrun(stale, streams, out, status),
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(Ok(bytes)) => {
                    self.took(bytes, out);
                    status.add(Counter::RtmpBytesOut, u64::try_from(bytes).unwrap_or(0));
                    moved += bytes;
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Sent::Blocked);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If the pieces and what is noted of them contradict each other.
    pub fn check_invariants(&self) {
        let first = self.pieces.front();
        assert!(first.is_none_or(|piece| self.sent < piece.len().max(1)));
        assert_eq!(self.queued, self.count_queued());
    }

    fn change(&mut self, id: u32, streams: &Streams, f: impl FnOnce(&mut Follower)) {
        let Some(follower) = self.followers.iter_mut().find(|f| f.id == id) else { return };
        let Some(cell) = streams.get(follower.stream) else { return };
        f(follower);
        follower.cursor = cell.borrow().ring.join();
        follower.starts = true;
        follower.rejoins = false;
    }

    /// Unsent bytes of the outbox among the pieces.
    fn count_queued(&self) -> usize {
        let queued = |piece: &Piece| match piece {
            Piece::Outbox { len } => *len,
            Piece::Header { .. } | Piece::Ring { .. } => 0,
            Piece::Aside { .. } | Piece::Nothing { .. } => 0,
        };
        let sent = self.pieces.front().map_or(0, |piece| queued(piece).min(self.sent));
        self.pieces.iter().map(queued).sum::<usize>() - sent
    }

    /// Cuts messages into pieces until there is no place or no message.
    fn fill(&mut self, streams: &Streams, out: &mut Outbox, status: &Status) {
        while self.pieces.capacity() - self.pieces.len() >= 2 {
            if let Some(cut) = &mut self.cut {
                let Some(chunk) = cut.headers.next() else {
                    self.cut = None;
                    continue;
                };
                let mut bytes = [0; HEADER_BYTES_MAX];
                let header = chunk.header();
                let len = header.len();
                if let Some(room) = bytes.get_mut(..len) {
                    room.copy_from_slice(header);
                }
                let begins = core::mem::take(&mut cut.begins);
                let len = u8::try_from(len).unwrap_or(0);
                let payload = match cut.bytes {
                    _ if chunk.data_len == 0 => None,
                    Bytes::Ring(place) => place
                        .part(cut.from, chunk.data_len)
                        .map(|place| Piece::Ring { stream: cut.stream, place, csid: cut.csid }),
                    Bytes::Aside(what, edition) => Some(Piece::Aside {
                        stream: cut.stream,
                        what,
                        edition,
                        from: cut.from,
                        len: chunk.data_len,
                        csid: cut.csid,
                    }),
                };
                cut.from += chunk.data_len;
                self.push(Piece::Header { bytes, len, begins });
                if let Some(payload) = payload {
                    self.push(payload);
                }
                continue;
            }
            let waiting = out.pending().len() - self.queued;
            if waiting > 0 {
                self.queued += waiting;
                self.push(Piece::Outbox { len: waiting });
                continue;
            }
            let Some((outgoing, stream, bytes)) = self.next(streams, status) else { return };
            let csid = outgoing.csid;
            let headers = out.enchunker().begin(outgoing);
            self.cut = Some(Cut { headers, stream, bytes, csid, from: 0, begins: true });
        }
    }

    fn push(&mut self, piece: Piece) {
        let pushed = self.pieces.push_back(piece);
        debug_assert!(pushed.is_ok(), "two places were free");
    }

    /// The next message of whichever follower has one, each in its turn.
    fn next(&mut self, streams: &Streams, status: &Status) -> Option<(Outgoing, usize, Bytes)> {
        let count = self.followers.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let Some(follower) = self.followers.get_mut(at) else { continue };
            let Some(cell) = streams.get(follower.stream) else { continue };
            let present = cell.borrow();
            if present.epoch() != follower.epoch || present.publisher() != follower.publisher {
                continue;
            }
            if let Some((outgoing, bytes)) = follower.next(&present.ring, status) {
                self.turn = (at + 1) % count;
                return Some((outgoing, follower.stream, bytes));
            }
        }
        None
    }

    /// The slices to be written, or which piece was overwritten.
    fn gather<'a>(
        &'a self,
        guards: &'a Guards<'_>,
        out: &'a Outbox,
    ) -> Result<heapless::Vec<IoSlice<'a>, FEED_PIECES>, usize> {
        let mut slices = heapless::Vec::new();
        let mut waiting = out.pending();
        for (index, piece) in self.pieces.iter().enumerate() {
            let sent = if index == 0 { self.sent } else { 0 };
            let (bytes, whole) = match piece {
                Piece::Header { bytes, len, .. } => (bytes.get(sent..usize::from(*len)), true),
                Piece::Ring { stream, place, .. } => {
                    (guards.ring(*stream).and_then(|ring| ring.bytes(*place)?.get(sent..)), true)
                }
                Piece::Aside { stream, what, edition, from, len, .. } => {
                    let aside = guards.ring(*stream).and_then(|ring| ring.aside_edition(*what));
                    let same = aside.filter(|(present, _)| present == edition);
                    (same.and_then(|(_, bytes)| bytes.get(from + sent..from + len)), true)
                }
                Piece::Outbox { len } => {
                    // What of it was sent is no longer pending.
                    let (bytes, rest) = waiting.split_at_checked(len - sent).unwrap_or_default();
                    waiting = rest;
                    (Some(bytes), true)
                }
                Piece::Nothing { len } => {
                    let left = (len - sent).min(NOTHING.len());
                    (NOTHING.get(..left), left == len - sent)
                }
            };
            let pushed = slices.push(IoSlice::new(bytes.ok_or(index)?));
            debug_assert!(pushed.is_ok(), "as many as pieces");
            if !whole {
                break;
            }
        }
        Ok(slices)
    }

    /// Notes that `bytes` of the pieces were sent.
    fn took(&mut self, mut bytes: usize, out: &mut Outbox) {
        while bytes > 0 {
            let Some(piece) = self.pieces.front() else { return };
            let left = piece.len() - self.sent;
            let now = left.min(bytes);
            if matches!(piece, Piece::Outbox { .. }) {
                out.sent(now);
                self.queued -= now;
            } else {
                out.passed(now);
            }
            bytes -= now;
            self.sent += now;
            if now == left {
                self.pieces.pop_front();
                self.sent = 0;
            }
        }
    }

    /// The piece at `stale` was overwritten before it was sent: ends its message as the protocol
    /// can, drops what was to follow, and begins again at the newest keyframes.
    fn overrun(&mut self, stale: usize, streams: &Streams, out: &mut Outbox, status: &Status) {
        status.add(Counter::RtmpOverruns, 1);
        let under_way = stale == 0 || (stale == 1 && self.sent > 0);
        let left = self.pieces.iter().nth(stale).map_or(0, Piece::len);
        let csid = self.pieces.iter().nth(stale).and_then(Piece::csid);
        let header = stale.checked_sub(1).and_then(|at| self.pieces.iter().nth(at));
        let begun = under_way || !matches!(header, Some(Piece::Header { begins: true, .. }));
        // A header that is not on its way yet goes with its payload.
        let keep = if under_way { stale } else { stale.saturating_sub(1) };
        while self.pieces.len() > keep {
            self.pieces.pop_back();
        }
        if under_way {
            let left = if stale == 0 { left - self.sent } else { left };
            if stale == 0 {
                self.sent = 0;
            }
            self.push(Piece::Nothing { len: left });
        }
        if let Some(csid) = csid.filter(|_| begun) {
            self.push(abort(csid));
        }
        self.queued = self.count_queued();
        self.cut = None;
        out.enchunker().forget();
        for follower in &mut self.followers {
            if let Some(cell) = streams.get(follower.stream) {
                follower.begin_again(cell.borrow().ring.join());
            }
        }
    }
}

impl Piece {
    const fn csid(&self) -> Option<u32> {
        match self {
            Self::Ring { csid, .. } | Self::Aside { csid, .. } => Some(*csid),
            Self::Header { .. } | Self::Outbox { .. } | Self::Nothing { .. } => None,
        }
    }
}

impl Follower {
    /// Goes on at `cursor`, with its sequence headers first: those on the way there are lost.
    const fn begin_again(&mut self, cursor: Cursor) {
        self.cursor = cursor;
        self.starts = true;
        self.greeted = 1;
    }

    /// The next message it wants.
    fn next(&mut self, ring: &FrameRing, status: &Status) -> Option<(Outgoing, Bytes)> {
        while !self.paused {
            let here = ring.peek(self.cursor);
            if let (Some((label, _)), Some(what)) = (here, GREETING.get(self.greeted)) {
                self.greeted += 1;
                if let Some((edition, bytes)) = ring.aside_edition(*what) {
                    let kind = match what {
                        Aside::Metadata => TagKind::Script,
                        Aside::VideoHeader => TagKind::Video,
                        Aside::AudioHeader => TagKind::Audio,
                    };
                    let at = Millis(label.at.0.wrapping_add(self.shift));
                    let outgoing = self.outgoing(kind, at, bytes.len())?;
                    return Some((outgoing, Bytes::Aside(*what, edition)));
                }
                continue;
            }
            match ring.read(&mut self.cursor) {
                Read::Empty => return None,
                Read::Overrun { .. } => {
                    status.add(Counter::RtmpOverruns, 1);
                    self.begin_again(self.cursor);
                }
                Read::Message(label, payload) => {
                    let kind = TagKind::of(label.kind);
                    if !self.wants(kind, &label, payload, ring) {
                        continue;
                    }
                    let (_, place) = here?;
                    let at = self.time(label.at);
                    let outgoing = self.outgoing(kind, at, payload.len())?;
                    return Some((outgoing, Bytes::Ring(place)));
                }
            }
        }
        None
    }

    fn wants(&mut self, kind: TagKind, label: &Label, payload: &[u8], ring: &FrameRing) -> bool {
        let header = flv::is_sequence_header(kind, payload);
        match kind {
            TagKind::Video if !self.video => false,
            TagKind::Audio if !self.audio => false,
            TagKind::Video if self.starts && !header => {
                self.starts = !label.keyframe;
                label.keyframe
            }
            // Not before the picture that it belongs to.
            TagKind::Audio if self.starts && self.video && !header => {
                ring.aside(Aside::VideoHeader).is_none()
            }
            TagKind::Audio | TagKind::Video | TagKind::Script => true,
            TagKind::ScriptAmf3 | TagKind::Unknown(_) => false,
        }
    }

    /// The time that the peer is told: it never goes back at the seam of two publishers.
    fn time(&mut self, at: Millis) -> Millis {
        if core::mem::take(&mut self.rejoins)
            && let Some(last) = self.last
        {
            self.shift = last.0.wrapping_add(SEAM_MS).wrapping_sub(at.0);
        }
        let at = Millis(at.0.wrapping_add(self.shift));
        self.last = Some(at);
        at
    }

    fn outgoing(&self, kind: TagKind, timestamp: Millis, bytes: usize) -> Option<Outgoing> {
        let (csid, kind) = match kind {
            TagKind::Audio => (CSID_AUDIO, MessageType::Audio),
            TagKind::Video => (CSID_VIDEO, MessageType::Video),
            TagKind::Script | TagKind::ScriptAmf3 | TagKind::Unknown(_) => {
                (CSID_DATA, MessageType::DataAmf0)
            }
        };
        let length = u32::try_from(bytes).ok()?;
        Some(Outgoing { csid, kind, stream: self.id, timestamp, length })
    }
}

/// An Abort Message in a chunk of its own (RTMP 1.0 §5.4.2).
fn abort(csid: u32) -> Piece {
    let [a, b, c, d] = csid.to_be_bytes();
    let bytes = [2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, a, b, c, d, 0, 0];
    Piece::Header { bytes, len: 16, begins: true }
}

/// The streams whose rings the pieces are in, borrowed for one call.
struct Guards<'a>(heapless::Vec<(usize, Ref<'a, Stream>), PLAYS_MAX>);

impl<'a> Guards<'a> {
    fn of(pieces: &heapless::Deque<Piece, FEED_PIECES>, streams: &'a Streams) -> Self {
        let mut guards = heapless::Vec::<(usize, Ref<'a, Stream>), PLAYS_MAX>::new();
        for piece in pieces {
            let (Piece::Ring { stream, .. } | Piece::Aside { stream, .. }) = piece else {
                continue;
            };
            if guards.iter().any(|(listed, _)| listed == stream) {
                continue;
            }
            if let Some(cell) = streams.get(*stream) {
                // One too many is as if it were overwritten.
                let _listed = guards.push((*stream, cell.borrow()));
            }
        }
        Self(guards)
    }

    fn ring(&self, stream: usize) -> Option<&FrameRing> {
        self.0.iter().find(|(listed, _)| *listed == stream).map(|(_, stream)| &stream.ring)
    }
}
