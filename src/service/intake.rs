//! From the socket to the rings: what publishers and upstreams have in common.
//!
//! Bytes are read into the place of a connection, or straight into the ring of the stream that
//! they belong to, and come out as whole messages; media goes to its stream where it lies. Knows
//! no session and no handshake, waits for nothing and decides nothing.
//! Source: RTMP 1.0 §5.3, §7.1.6.

use crate::limits::{
    OUTBOX_BYTES, PLAYER_OUTBOX_BYTES, PLAYER_RX_BYTES, PLAYER_SCRATCH_BYTES, READ_TIME_MAX,
    READS_PER_TURN, RX_BYTES, SCRATCH_BYTES,
};
use crate::proto::rtmp::dechunk::{Arrival, ChunkError, Dechunker, Rings};
use crate::proto::rtmp::enchunk::Outbox;
use crate::service::stream::{PublisherId, Streams};
use crate::status::Status;
use crate::storage::{ByteRing, FrameRing};
use crate::time::Instant;
use crate::wire::flv::TagKind;
use crate::wire::rtmp::aggregate::{AggregateError, Walk};
use crate::wire::rtmp::message::MessageType;
use std::io::{self, IoSliceMut};

/// What one connection has had of the loop's time since it last waited.
#[derive(Debug)]
pub struct Share {
    reads: u32,
    since: Instant,
}

impl Share {
    /// One that begins.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { reads: 0, since: now }
    }

    /// Counts a read that is dealt with by `now`. Whether others come first, and then another
    /// share.
    pub fn is_used_up(&mut self, now: Instant) -> bool {
        self.reads += 1;
        self.reads >= READS_PER_TURN || self.is_over(now)
    }

    /// When it began.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now.since(self.since) >= READ_TIME_MAX
    }
}

/// The buffers of one connection, allocated at start and used by one after another.
#[derive(Debug)]
pub struct Place {
    /// Bytes as they came.
    pub rx: ByteRing,
    /// Commands and data messages.
    pub scratch: FrameRing,
    /// What is to be sent.
    pub out: Outbox,
}

impl Place {
    /// Private memory of one place, in bytes.
    pub const BYTES: usize = RX_BYTES + SCRATCH_BYTES + OUTBOX_BYTES + size_of::<Self>();

    /// The same of a place for little input.
    pub const SLIM_BYTES: usize =
        PLAYER_RX_BYTES + PLAYER_SCRATCH_BYTES + PLAYER_OUTBOX_BYTES + size_of::<Self>();

    /// A place for a connection that may bring media.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "takes memory")]
    pub fn new() -> Self {
        Self {
            rx: ByteRing::new(RX_BYTES),
            scratch: FrameRing::scratch(SCRATCH_BYTES),
            out: Outbox::new(),
        }
    }

    /// A place for a connection that says little.
    #[must_use]
    pub fn for_player() -> Self {
        Self {
            rx: ByteRing::new(PLAYER_RX_BYTES),
            scratch: FrameRing::scratch(PLAYER_SCRATCH_BYTES),
            out: Outbox::with_room(PLAYER_OUTBOX_BYTES),
        }
    }

    /// Sends what the peer takes of what waits.
    ///
    /// # Errors
    /// The socket's, but for `WouldBlock`.
    pub fn flush(&mut self, mut socket: impl io::Write) -> io::Result<()> {
        while !self.out.pending().is_empty() {
            match socket.write(self.out.pending()) {
                Ok(bytes) => self.out.sent(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes over what `other` holds, unless that is too much or half a message.
    pub fn take_over(&mut self, other: &mut Self) -> bool {
        let held = other.rx.look();
        let Some(room) = self.rx.window().get_mut(..held.len()) else { return false };
        room.copy_from_slice(held);
        if other.scratch.reservations() > 0 || self.out.take_over(&mut other.out).is_err() {
            return false;
        }
        self.rx.filled(held.len());
        other.rx.consume(held.len());
        true
    }

    /// As it was when it was new.
    pub fn reset(&mut self) {
        self.out.reset();
        let held = self.rx.len();
        self.rx.consume(held);
    }
}

/// What one read brought.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes in all; 0 at the end.
    pub bytes: usize,
    /// Whether it filled all room there was: more is likely waiting.
    pub filled: bool,
}

/// The way of a connection's bytes.
#[derive(Debug)]
pub struct Intake {
    /// Where it stands.
    pub dechunker: Dechunker,
    /// Bytes that went straight into a message's place in the last read.
    direct: usize,
}

impl Intake {
    /// Nothing has come yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a connection begins")]
    pub const fn new() -> Self {
        Self { dechunker: Dechunker::new(), direct: 0 }
    }

    /// Reads once: what is left of a large chunk goes straight into its message's place, the rest
    /// into `rx`, with one system call.
    ///
    /// # Errors
    /// The socket's.
    pub fn receive(
        &mut self,
        rx: &mut ByteRing,
        rings: &mut Rings<'_>,
        mut socket: impl io::Read,
    ) -> io::Result<Received> {
        let room = rx.window();
        self.direct = 0;
        let (bytes, all) = match self.dechunker.direct(rings) {
            None => (socket.read(room)?, room.len()),
            Some(straight) => {
                let (first, second) = (straight.len(), room.len());
                let mut both = [IoSliceMut::new(straight), IoSliceMut::new(room)];
                let bytes = socket.read_vectored(&mut both)?;
                self.direct = bytes.min(first);
                (bytes, first + second)
            }
        };
        rx.filled(bytes - self.direct);
        Ok(Received { bytes, filled: bytes == all })
    }

    /// Counts what the last read put into a message's place; to be said before `next`.
    pub fn received(&mut self) {
        self.dechunker.received(core::mem::take(&mut self.direct));
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// The peer breaks the rules of chunks.
    pub fn next(
        &mut self,
        rx: &mut ByteRing,
        rings: &mut Rings<'_>,
        status: &Status,
    ) -> Result<Option<Arrival>, ChunkError> {
        let progress = self.dechunker.advance(rx.look(), rings, status)?;
        rx.consume(progress.consumed);
        Ok(progress.arrival)
    }
}

/// Gives a media message, which lies in the ring of `stream`, to that stream; an aggregate is
/// taken apart where it lies. Says whether `id` is still the publisher.
///
/// # Errors
/// An aggregate that contradicts itself.
pub fn deliver(
    streams: &Streams,
    stream: usize,
    id: PublisherId,
    arrival: &Arrival,
    now: Instant,
) -> Result<bool, AggregateError> {
    if arrival.kind != MessageType::Aggregate {
        let Some(kind) = tag_kind(arrival.kind) else { return Ok(true) };
        return Ok(streams.media(stream, id, kind, arrival.at, arrival.place, now));
    }
    let mut walk = Walk::new(arrival.at);
    loop {
        let Some(cell) = streams.get(stream) else { return Ok(true) };
        let (kind, at, place) = {
            let cell = cell.borrow();
            let whole = cell.ring.bytes(arrival.place).unwrap_or_default();
            let Some(part) = walk.next(whole) else { return Ok(true) };
            let part = part?;
            let from = part.payload.as_ptr().addr() - whole.as_ptr().addr();
            (part.kind, part.timestamp, arrival.place.part(from, part.payload.len()))
        };
        let (Some(kind), Some(place)) = (tag_kind(kind), place) else { continue };
        if !streams.media(stream, id, kind, at, place, now) {
            return Ok(false);
        }
    }
}

/// The kind of media that a message is, if it is media by itself.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "two of all types are media")]
pub const fn tag_kind(kind: MessageType) -> Option<TagKind> {
    match kind {
        MessageType::Audio => Some(TagKind::Audio),
        MessageType::Video => Some(TagKind::Video),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn share_ends_after_so_many_reads_or_so_much_time() {
        let start = Instant(5_000_000);
        let mut share = Share::new(start);
        for _ in 1..READS_PER_TURN {
            assert!(!share.is_used_up(start));
        }
        assert!(share.is_used_up(start));
        let mut share = Share::new(start);
        let short = READ_TIME_MAX.saturating_sub(Duration::from_micros(1));
        assert!(!share.is_used_up(start.after(short)));
        assert!(share.is_used_up(start.after(READ_TIME_MAX)));
    }
}
