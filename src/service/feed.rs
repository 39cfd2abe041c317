//! What a connection sends of the streams it follows: an RTMP player's, or an upstream's.
//!
//! Payload is never copied: chunk headers and slices of the rings are gathered for one `writev`. A
//! follower reads with a cursor of its own; one that is too slow is overrun and goes on at the next
//! keyframe, and nobody waits for it. What was kept aside (metadata, sequence headers) goes first.
//! Asks nothing of the kernel itself and decides nothing about who may follow.
//! Source: RTMP 1.0 §5.3, §7.2.2.

use crate::limits::{FEED_MESSAGES, FEED_TURN_BYTES, PLAYS_MAX};
use crate::proto::rtmp::enchunk::{Enchunker, Outbox};
use crate::proto::rtmp::gather::{Gather, Slices, Towards};
use crate::service::stream::{PublisherId, Stream, Streams};
use crate::status::{Counter, Status};
use crate::storage::frame_ring::{Aside, Cursor, Read};
use crate::storage::{FrameRing, Label, Place};
use crate::time::Millis;
use crate::wire::flv::{self, TagKind};
use core::cell::Ref;
use std::io::{self, IoSlice};

/// Milliseconds between the last message of a publisher and the first of the next, on the clock
/// that a follower sees.
const SEAM_MS: u32 = 40;

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
    wants: Wants,
    /// How much of it is wanted, and where that began.
    length: Option<Millis>,
    began: Option<Millis>,
    /// All that is wanted was read.
    is_complete: bool,
    /// Added to timestamps, so that they do not go back when another publisher begins anew.
    shift: u32,
    last: Option<Millis>,
    /// The next media message decides `shift`.
    rejoins: bool,
}

/// What the peer asked for.
#[derive(Clone, Copy, Debug)]
struct Wants {
    audio: bool,
    video: bool,
    paused: bool,
}

/// Where the payload of a message is.
#[derive(Clone, Copy, Debug)]
enum Payload {
    Ring(Place),
    /// Kept aside, in this edition.
    Aside(Aside, u32),
    /// Overwritten after a part of it was sent.
    Lost,
}

/// A message that is to be sent next, or on its way.
#[derive(Clone, Debug)]
struct Item {
    gather: Gather,
    stream: usize,
    payload: Payload,
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
    /// As much of it was sent as was asked for; to be left.
    Complete(Millis),
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
    items: heapless::Deque<Item, FEED_MESSAGES>,
    towards: Towards,
    /// Whose message comes next.
    turn: usize,
}

impl Feed {
    /// Follows nothing yet.
    #[must_use]
    pub fn new(towards: Towards) -> Self {
        let (followers, items) = (heapless::Vec::new(), heapless::Deque::new());
        Self { followers, items, towards, turn: 0 }
    }

    /// Whether no message is on its way in part.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.items.front().is_none_or(|item| !item.gather.is_begun())
    }

    /// Message stream `id` follows `stream` from its newest keyframe on, for so long (0 is one
    /// picture) or to its end. Says whether there was a place for it.
    pub fn follow(
        &mut self,
        id: u32,
        stream: usize,
        length: Option<Millis>,
        streams: &Streams,
    ) -> bool {
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
            wants: Wants { audio: true, video: true, paused: false },
            length,
            began: None,
            is_complete: false,
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
        self.change(id, streams, |follower| follower.wants.paused = paused);
    }

    /// Message stream `id` wants audio, or no more of it.
    pub fn want_audio(&mut self, id: u32, wanted: bool, streams: &Streams) {
        self.change(id, streams, |follower| follower.wants.audio = wanted);
    }

    /// Message stream `id` wants video, or no more of it.
    pub fn want_video(&mut self, id: u32, wanted: bool, streams: &Streams) {
        self.change(id, streams, |follower| follower.wants.video = wanted);
    }

    /// Tells `say` what became of the followed streams since the last time: message stream id and
    /// news. Streams that are gone are left. That a publisher left is told behind the last of its
    /// messages: as long as one of them is to be sent, the news `is_due` and not told.
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
            if !follower.has_news(&present) {
                continue;
            }
            if follower.epoch != present.epoch() {
                say(follower.id, News::Gone)?;
                continue;
            }
            let (before, now) = (follower.publisher, present.publisher());
            let waits = self.items.iter().any(|item| item.stream == follower.stream);
            if let (true, Some(length)) = (follower.is_complete, follower.length) {
                if !waits {
                    say(follower.id, News::Complete(length))?;
                }
                continue;
            }
            if now.is_none() && (waits || follower.is_behind(&present.ring)) {
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

    /// Whether `watch` has something to tell, now or once more was sent.
    #[must_use]
    pub fn is_due(&self, streams: &Streams) -> bool {
        self.followers.iter().any(|follower| {
            let cell = streams.get(follower.stream);
            cell.is_some_and(|cell| follower.has_news(&cell.borrow()))
        })
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
            self.fill(streams, out.enchunker(), status);
            if self.items.is_empty() && out.pending().is_empty() {
                return Ok(Sent::All);
            }
            if moved >= FEED_TURN_BYTES {
                return Ok(Sent::Turn);
            }
            let guards = Guards::of(&self.items, streams);
            let written = self.gather(&guards, out).map(|slices| write(&slices));
            drop(guards);
            match written {
                Err(Overwritten { item }) => self.overrun(item, streams, out, status),
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
    /// If a message is begun before another is complete, or waits with nothing to send.
    pub fn check_invariants(&self) {
        for (index, item) in self.items.iter().enumerate() {
            item.gather.check_invariants();
            assert!(!item.gather.is_complete());
            assert!(index == 0 || !item.gather.is_begun());
        }
    }

    fn change(&mut self, id: u32, streams: &Streams, f: impl FnOnce(&mut Follower)) {
        let Some(follower) = self.followers.iter_mut().find(|f| f.id == id) else { return };
        let Some(cell) = streams.get(follower.stream) else { return };
        f(follower);
        follower.cursor = cell.borrow().ring.join();
        follower.starts = true;
    }

    /// Begins messages until there is no place or none is there.
    fn fill(&mut self, streams: &Streams, enchunker: &mut Enchunker, status: &Status) {
        while !self.items.is_full() {
            let Some(item) = self.next(streams, enchunker, status) else { return };
            let pushed = self.items.push_back(item);
            debug_assert!(pushed.is_ok(), "there was a place");
        }
    }

    /// The next message of whichever follower has one, each in its turn.
    fn next(
        &mut self,
        streams: &Streams,
        enchunker: &mut Enchunker,
        status: &Status,
    ) -> Option<Item> {
        let count = self.followers.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let Some(follower) = self.followers.get_mut(at) else { continue };
            let Some(cell) = streams.get(follower.stream) else { continue };
            let present = cell.borrow();
            // What a publisher has sent is still there when it has left.
            let other = present.publisher().is_some_and(|now| Some(now) != follower.publisher);
            if present.epoch() != follower.epoch || other {
                continue;
            }
            if let Some(next) = follower.next(&present.ring, status) {
                self.turn = (at + 1) % count;
                let (id, stream) = (follower.id, follower.stream);
                let Next { label, payload, bytes } = next;
                let gather = match payload {
                    Payload::Aside(Aside::Metadata, _) => {
                        Gather::metadata(enchunker, id, self.towards, label.at, bytes)
                    }
                    Payload::Aside(..) | Payload::Ring(_) | Payload::Lost => {
                        Gather::message(enchunker, id, label, bytes)
                    }
                };
                // What came in is not too long to go out.
                return Some(Item { gather: gather.ok()?, stream, payload });
            }
        }
        None
    }

    /// The slices to be written: the message on its way, the outbox, and then the others.
    fn gather<'a>(
        &'a self,
        guards: &'a Guards<'_>,
        out: &'a Outbox,
    ) -> Result<Slices<'a>, Overwritten> {
        let mut slices = Slices::new();
        let mut waits = !out.pending().is_empty();
        for (index, item) in self.items.iter().enumerate() {
            if waits && !item.gather.is_begun() {
                waits = slices.push(IoSlice::new(out.pending())).is_err();
            }
            let payload = guards.payload(item).ok_or(Overwritten { item: index })?;
            if !item.gather.pieces(payload).fill(&mut slices) {
                return Ok(slices);
            }
        }
        if waits {
            let _full = slices.push(IoSlice::new(out.pending()));
        }
        Ok(slices)
    }

    /// Notes that `bytes` were sent, in the order of `gather`.
    fn took(&mut self, bytes: usize, out: &mut Outbox) {
        let mut left = bytes;
        let mut waiting = out.pending().len();
        while left > 0 {
            let begun = self.items.front().is_some_and(|item| item.gather.is_begun());
            if waiting > 0 && !begun {
                let replies = left.min(waiting);
                out.sent(replies);
                left -= replies;
                waiting = 0;
                continue;
            }
            let Some(item) = self.items.front_mut() else { return };
            let more = item.gather.sent(left);
            out.passed(left - more);
            left = more;
            if item.gather.is_complete() {
                self.items.pop_front();
            }
        }
    }

    /// The payload of an item was overwritten before it was sent: what is on its way ends as
    /// zeros, what was to follow is dropped, and followers go on at their newest keyframes.
    fn overrun(&mut self, item: usize, streams: &Streams, out: &mut Outbox, status: &Status) {
        status.add(Counter::RtmpOverruns, 1);
        while self.items.len() > item {
            match self.items.back_mut() {
                Some(last) if last.gather.is_begun() => {
                    last.payload = Payload::Lost;
                    break;
                }
                Some(_) | None => drop(self.items.pop_back()),
            }
        }
        out.enchunker().forget();
        for follower in &mut self.followers {
            if let Some(cell) = streams.get(follower.stream) {
                follower.begin_again(cell.borrow().ring.join());
            }
        }
    }
}

/// Which item cannot be sent any more.
#[derive(Clone, Copy, Debug)]
struct Overwritten {
    item: usize,
}

/// A message as a follower gives it.
struct Next {
    label: Label,
    payload: Payload,
    bytes: usize,
}

impl Follower {
    /// Goes on at `cursor`, with its sequence headers first: those on the way there are lost.
    const fn begin_again(&mut self, cursor: Cursor) {
        self.cursor = cursor;
        self.starts = true;
        self.greeted = 1;
    }

    /// Whether something became of its stream that was not told.
    fn has_news(&self, present: &Stream) -> bool {
        self.is_complete || self.epoch != present.epoch() || self.publisher != present.publisher()
    }

    /// Whether the ring holds something that it has not read.
    fn is_behind(&self, ring: &FrameRing) -> bool {
        !self.wants.paused && ring.peek(self.cursor).is_some()
    }

    /// The next message it wants.
    fn next(&mut self, ring: &FrameRing, status: &Status) -> Option<Next> {
        while !self.wants.paused && !self.is_complete {
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
                    let label = Label { kind: kind.code(), at, keyframe: false };
                    let payload = Payload::Aside(*what, edition);
                    return Some(Next { label, payload, bytes: bytes.len() });
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
                    if !self.is_wanted(kind, label, payload, ring) {
                        continue;
                    }
                    let (_, place) = here?;
                    let at = match kind {
                        TagKind::Audio | TagKind::Video => self.time(label.at),
                        // Metadata comes without a time: it belongs to what came last.
                        TagKind::Script | TagKind::ScriptAmf3 | TagKind::Unknown(_) => {
                            let at = Millis(label.at.0.wrapping_add(self.shift));
                            self.last.filter(|_| label.at == Millis(0)).unwrap_or(at)
                        }
                    };
                    if self.completes(kind, at, payload) {
                        return None;
                    }
                    let label = Label { at, ..label };
                    return Some(Next { label, payload: Payload::Ring(place), bytes: place.len() });
                }
            }
        }
        None
    }

    /// Whether this message, at this time of the peer's, is behind the last one that is wanted.
    fn completes(&mut self, kind: TagKind, at: Millis, payload: &[u8]) -> bool {
        let is_media = matches!(kind, TagKind::Audio | TagKind::Video);
        if let Some(length) = self.length.filter(|_| is_media)
            && !flv::is_sequence_header(kind, payload)
        {
            match self.began {
                None => self.began = Some(at),
                Some(began) => {
                    // What is a little earlier than the first is not later by 49 days.
                    let passed = at.since(began).max(0).cast_unsigned();
                    self.is_complete = passed >= length.0;
                }
            }
        }
        self.is_complete
    }

    fn is_wanted(&mut self, kind: TagKind, label: Label, payload: &[u8], ring: &FrameRing) -> bool {
        let header = flv::is_sequence_header(kind, payload);
        match kind {
            TagKind::Video if !self.wants.video => false,
            TagKind::Audio if !self.wants.audio => false,
            TagKind::Video if self.starts && !header => {
                self.starts = !label.keyframe;
                label.keyframe
            }
            // Not before the picture that it belongs to.
            TagKind::Audio if self.starts && self.wants.video && !header => {
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
}

/// The streams whose rings the items are in, borrowed for one call.
struct Guards<'a>(heapless::Vec<(usize, Ref<'a, Stream>), PLAYS_MAX>);

impl<'a> Guards<'a> {
    fn of(items: &heapless::Deque<Item, FEED_MESSAGES>, streams: &'a Streams) -> Self {
        let mut guards = heapless::Vec::<(usize, Ref<'a, Stream>), PLAYS_MAX>::new();
        for Item { stream, .. } in items {
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

    /// The bytes of an item; none once they were overwritten.
    fn payload(&self, item: &Item) -> Option<&[u8]> {
        let listed = self.0.iter().find(|(listed, _)| *listed == item.stream);
        let ring = || Some(&listed?.1.ring);
        match item.payload {
            Payload::Ring(place) => ring()?.bytes(place),
            Payload::Aside(what, edition) => {
                let aside = ring()?.aside_edition(what);
                aside.filter(|(present, _)| *present == edition).map(|(_, bytes)| bytes)
            }
            Payload::Lost => Some(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;
    use crate::proto::rtmp::dechunk::{Dechunker, Rings};
    use crate::service::store::Store;
    use crate::service::stream::Right;
    use crate::time::Instant;
    use core::cell::RefCell;
    use core::time::Duration;
    use std::rc::Rc;

    const NOW: Instant = Instant(1_000_000);
    /// Message stream of the follower.
    const ID: u32 = 7;

    /// One stream with a ring of 256 KiB, and who publishes it.
    struct World {
        streams: Streams,
        status: Rc<Status>,
        publisher: PublisherId,
        stream: usize,
        feed: Feed,
        out: Outbox,
        wire: Vec<u8>,
        _folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir_in("/dev/shm").unwrap();
            let mut draft = Draft::new();
            draft.set("hls.dir", folder.path().to_str().unwrap()).unwrap();
            for pair in ["limits.streams=1", "limits.ring_bytes=262144", "limits.slot_bytes=262144"]
            {
                draft.set_pair(pair).unwrap();
            }
            let config = draft.check().unwrap();
            let status = Rc::new(Status::new());
            let store = Store::open(&config, 7, Rc::clone(&status)).unwrap();
            let streams = Streams::new(&config, Rc::new(RefCell::new(store)), Rc::clone(&status));
            let publisher = streams.new_publisher();
            let (stream, _) =
                streams.publish("live/cam", (publisher, Right::Own), NOW, Duration::ZERO).unwrap();
            let (feed, out) = (Feed::new(Towards::Player), Outbox::new());
            let wire = Vec::new();
            Self { streams, status, publisher, stream, feed, out, wire, _folder: folder }
        }

        /// A picture of so many bytes, all of them `fill` but the head.
        fn picture(&self, at: u32, key: bool, bytes: usize, fill: u8) {
            let mut payload = vec![fill; bytes];
            payload[..5].copy_from_slice(&[if key { 0x17 } else { 0x27 }, 1, 0, 0, 0]);
            self.send(TagKind::Video, at, &payload);
        }

        fn send(&self, kind: TagKind, at: u32, payload: &[u8]) {
            let place = {
                let mut stream = self.streams.get(self.stream).unwrap().borrow_mut();
                let place = stream.ring.reserve(payload.len()).unwrap();
                stream.ring.window(place).copy_from_slice(payload);
                stream.ring.close(place);
                place
            };
            let (stream, id) = (self.stream, self.publisher);
            assert!(self.streams.media(stream, id, kind, Millis(at), place, NOW));
        }

        /// Sends at most `most` bytes, `step` in a write.
        fn pump(&mut self, most: usize, step: usize) -> Sent {
            let mut left = most;
            let wire = &mut self.wire;
            let sent = self.feed.pump(&self.streams, &mut self.out, &self.status, |slices| {
                let mut took = 0;
                for slice in slices {
                    let now = slice.len().min(left).min(step - took);
                    wire.extend_from_slice(&slice[..now]);
                    took += now;
                    left -= now;
                }
                if took == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(took) }
            });
            self.feed.check_invariants();
            sent.unwrap()
        }

        /// The messages on the wire: type, time, payload.
        fn messages(&self) -> Vec<(u8, u32, Vec<u8>)> {
            let (mut scratch, mut media) = (FrameRing::new(1 << 20, 8), FrameRing::new(1 << 20, 8));
            let (mut dechunker, status) = (Dechunker::new(), Status::new());
            let (mut rest, mut got) = (&self.wire[..], Vec::new());
            loop {
                let media_at = [Some((ID, &mut media)), None, None, None];
                let mut rings = Rings { scratch: &mut scratch, media: media_at };
                let progress = dechunker.advance(rest, &mut rings, &status).unwrap();
                rest = &rest[progress.consumed..];
                let Some(arrival) = progress.arrival else { break };
                let ring = if arrival.kind == crate::wire::rtmp::message::MessageType::DataAmf0 {
                    &scratch
                } else {
                    &media
                };
                let bytes = ring.bytes(arrival.place).unwrap().to_vec();
                got.push((u8::from(arrival.kind), arrival.at.0, bytes));
            }
            got
        }
    }

    #[test]
    fn follower_gets_what_is_kept_aside_and_then_all_from_the_newest_keyframe() {
        let mut world = World::new();
        world.streams.metadata(world.stream, b"\x03\x00\x00\x09");
        world.send(TagKind::Video, 0, b"\x17\x00\x00\x00\x00cfg");
        world.send(TagKind::Audio, 0, b"\xaf\x00\x12\x10");
        for n in 0..7 {
            world.picture(n * 40, n % 3 == 0, 900, u8::try_from(n).unwrap());
        }
        assert!(world.feed.follow(ID, world.stream, None, &world.streams));
        world.send(TagKind::Audio, 245, b"\xaf\x01sound");
        world.streams.metadata(world.stream, b"\x03\x00\x00\x09");
        world.streams.data(world.stream, Millis(250), b"", b"\x02\x00\x01x");
        assert_eq!(world.pump(usize::MAX, usize::MAX), Sent::All);
        let got = world.messages();
        let kinds: Vec<_> = got.iter().map(|(kind, at, _)| (*kind, *at)).collect();
        let want = [(18, 240), (9, 240), (8, 240), (9, 240), (8, 245), (18, 245), (18, 250)];
        assert_eq!(kinds, want);
        assert_eq!(got[5].2, b"\x02\x00\x0aonMetaData\x03\x00\x00\x09");
        assert_eq!(got[0].2, b"\x02\x00\x0aonMetaData\x03\x00\x00\x09");
        assert_eq!(got[1].2, b"\x17\x00\x00\x00\x00cfg");
        assert_eq!(got[3].2[..2], [0x17, 1]);
        assert_eq!(
            world.status.get(Counter::RtmpBytesOut),
            crate::storage::widen(world.wire.len())
        );
    }

    #[test]
    fn slow_follower_is_overrun_and_goes_on_whole_at_a_keyframe() {
        for stuck_at in [0, 5, 13, 2_000, 30_000, 70_000] {
            let mut world = World::new();
            world.picture(0, true, 60_000, 1);
            assert!(world.feed.follow(ID, world.stream, None, &world.streams));
            world.picture(40, false, 60_000, 2);
            assert_eq!(world.pump(stuck_at, usize::MAX), Sent::Blocked);
            for n in 0..8u8 {
                world.picture(80 + u32::from(n) * 40, n == 6, 60_000, 10 + n);
            }
            assert_eq!(world.pump(usize::MAX, 7_777), Sent::All);
            // Once for what was on its way, once for what was not.
            assert!((1..=2).contains(&world.status.get(Counter::RtmpOverruns)), "{stuck_at}");
            let got = world.messages();
            let (head, last) = got.split_at(got.len() - 2);
            assert!(head.len() <= 2, "{stuck_at}: what was begun is complete");
            assert!(head.iter().all(|(_, _, bytes)| bytes.len() == 60_000));
            assert_eq!(last[0].2[..6], [0x17, 1, 0, 0, 0, 16], "{stuck_at}");
            assert_eq!(last[1].2[..6], [0x27, 1, 0, 0, 0, 17]);
        }
    }

    #[test]
    fn replies_go_between_messages_whatever_a_write_takes() {
        for step in [1, 7, 100, 4096, 70_000] {
            let mut world = World::new();
            for n in 0..3u8 {
                world.picture(u32::from(n) * 40, n == 0, 30_000, n);
            }
            assert!(world.feed.follow(ID, world.stream, None, &world.streams));
            world.pump(10_000, step);
            let kind = crate::wire::rtmp::message::MessageType::DataAmf0;
            world.out.message(5, kind, 0, Millis(0), &[5; 40]).unwrap();
            while world.pump(usize::MAX, step) != Sent::All {}
            let got: Vec<_> = world.messages().iter().map(|m| (m.0, m.2.len())).collect();
            assert_eq!(got, [(9, 30_000), (18, 40), (9, 30_000), (9, 30_000)], "{step}");
        }
    }

    #[test]
    fn turn_ends_after_so_many_bytes_and_so_many_messages_are_gathered() {
        let mut world = World::new();
        world.picture(0, true, 100_000, 1);
        world.picture(40, false, 100_000, 2);
        assert!(world.feed.follow(ID, world.stream, None, &world.streams));
        assert_eq!(world.pump(usize::MAX, 1000), Sent::All);
        assert!(world.wire.len() < FEED_TURN_BYTES);
        for n in 0..=FEED_MESSAGES {
            world.send(TagKind::Audio, u32::try_from(n).unwrap(), b"\xaf\x01x");
        }
        world.pump(0, 1);
        assert!(world.feed.items.is_full(), "the last one waits in the ring");
        assert_eq!(world.pump(usize::MAX, usize::MAX), Sent::All);
        assert_eq!(world.messages().len(), 2 + FEED_MESSAGES + 1);
        world.wire.clear();
        while world.wire.len() < FEED_TURN_BYTES {
            // As a fast camera would, while the follower is being served.
            world.picture(80, true, 120_000, 3);
            if world.pump(usize::MAX, usize::MAX) == Sent::Turn {
                return;
            }
        }
    }

    #[test]
    fn camera_that_comes_back_is_news_and_its_time_does_not_go_back() {
        let mut world = World::new();
        world.picture(5_000, true, 900, 1);
        assert!(world.feed.follow(ID, world.stream, None, &world.streams));
        world.pump(usize::MAX, usize::MAX);
        let mut news = Vec::new();
        let mut watch = |world: &mut World| {
            let said = world.feed.watch(&world.streams, |id, what| {
                news.push((id, what));
                Ok::<(), ()>(())
            });
            said.unwrap();
        };
        watch(&mut world);
        assert!(world.streams.leave(world.stream, world.publisher, NOW));
        watch(&mut world);
        world.publisher = world.streams.new_publisher();
        let path = "live/cam";
        world.streams.publish(path, (world.publisher, Right::Own), NOW, Duration::ZERO).unwrap();
        world.picture(0, false, 900, 2);
        world.picture(40, true, 900, 3);
        watch(&mut world);
        assert_eq!(news, [(ID, News::Unpublished), (ID, News::Published)]);
        world.wire.clear();
        world.out.enchunker().forget();
        world.pump(usize::MAX, usize::MAX);
        let got = world.messages();
        assert_eq!(got.len(), 1, "from the new camera's keyframe on");
        assert_eq!((got[0].1, got[0].2[5]), (5_000 + SEAM_MS, 3));
    }

    #[test]
    fn end_of_a_stream_is_told_behind_its_last_message() {
        let mut world = World::new();
        world.picture(0, true, 900, 1);
        assert!(world.feed.follow(ID, world.stream, None, &world.streams));
        world.pump(usize::MAX, usize::MAX);
        world.picture(40, false, 40_000, 2);
        world.picture(80, false, 900, 3);
        assert!(world.streams.leave(world.stream, world.publisher, NOW));
        let mut told = 0;
        let mut watch = |world: &mut World| {
            let said = world.feed.watch(&world.streams, |_, what| {
                assert_eq!(what, News::Unpublished);
                told += 1;
                Ok::<(), ()>(())
            });
            said.unwrap();
            told
        };
        assert_eq!(watch(&mut world), 0, "two wait in the ring");
        assert_eq!(world.pump(20_000, usize::MAX), Sent::Blocked);
        assert_eq!(watch(&mut world), 0, "one is on its way");
        assert!(world.feed.is_due(&world.streams));
        assert_eq!(world.pump(usize::MAX, usize::MAX), Sent::All);
        assert_eq!(world.messages().len(), 3);
        assert_eq!(watch(&mut world), 1);
        assert!(!world.feed.is_due(&world.streams));
    }

    #[test]
    fn play_of_so_many_milliseconds_ends_behind_them_and_of_none_behind_one_picture() {
        for (ms, want) in [(0, 1), (1, 1), (80, 2), (81, 3)] {
            let mut world = World::new();
            world.send(TagKind::Video, 0, b"\x17\x00\x00\x00\x00cfg");
            world.picture(5_000, true, 900, 1);
            assert!(world.feed.follow(ID, world.stream, Some(Millis(ms)), &world.streams));
            world.send(TagKind::Audio, 4_990, b"\xaf\x01early");
            for at in [5_040, 5_080, 5_120] {
                world.picture(at, false, 900, 2);
            }
            assert_eq!(world.pump(usize::MAX, usize::MAX), Sent::All);
            let pictures = world.messages().iter().filter(|m| m.2.get(1) == Some(&1)).count();
            // The frame of audio is before the end, but for a single picture.
            let early = usize::from(ms > 0);
            assert_eq!(pictures, want + early, "{ms}");
            assert!(world.feed.is_due(&world.streams));
            let mut told = None;
            let said = world.feed.watch(&world.streams, |id, what| {
                told = Some((id, what));
                Ok::<(), ()>(())
            });
            said.unwrap();
            assert_eq!(told, Some((ID, News::Complete(Millis(ms)))));
            world.feed.leave(ID);
            assert!(!world.feed.is_due(&world.streams));
        }
    }

    #[test]
    fn follower_gets_only_what_it_wants_and_follows_so_many() {
        let mut world = World::new();
        world.send(TagKind::Video, 0, b"\x17\x00\x00\x00\x00cfg");
        assert!(world.feed.follow(ID, world.stream, None, &world.streams));
        world.feed.want_video(ID, false, &world.streams);
        world.picture(0, true, 900, 1);
        world.send(TagKind::Audio, 5, b"\xaf\x01sound");
        world.pump(usize::MAX, usize::MAX);
        let kinds: Vec<_> = world.messages().iter().map(|m| m.0).collect();
        assert_eq!(kinds, [9, 8], "the header of a track costs nothing");
        world.feed.pause(ID, true, &world.streams);
        world.send(TagKind::Audio, 9, b"\xaf\x01sound");
        let before = world.wire.len();
        world.pump(usize::MAX, usize::MAX);
        assert_eq!(world.wire.len(), before);
        for more in 1..=PLAYS_MAX {
            let id = ID + u32::try_from(more).unwrap();
            let listed = world.feed.follow(id, world.stream, None, &world.streams);
            assert_eq!(listed, more < PLAYS_MAX, "{more}");
        }
    }
}
