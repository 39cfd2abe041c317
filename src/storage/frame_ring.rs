//! The recent messages of one stream, each contiguous.
//!
//! A message's length is known from its first chunk, so its whole place is reserved then; messages
//! that interleave are assembled side by side. A reservation never wraps: what does not fit before
//! the end starts at the beginning. Complete messages are read by any number of cursors; a cursor
//! that is too slow is overrun and continues at the next keyframe. Nobody waits for a reader.
//! Does not know what a message holds beyond its label.
//!
//! ```text
//!          tail = head - capacity                                   head
//!            │  complete │ complete │ open (video) │ complete │ open  │
//!            └── overwritten next                                     └── next reservation
//! ```

use crate::limits::{ASIDE_BYTES_MAX, KEYFRAMES_INDEXED, RESERVATIONS_MAX};
use crate::storage::widen;
use crate::time::Millis;

/// Where a message lies: valid until the ring has been written once around past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position since the ring began, in bytes; never wraps.
    start: u64,
    /// Offset in the buffer.
    offset: usize,
    /// Bytes of the message.
    bytes: usize,
}

impl Place {
    /// The place of a message that is kept nowhere: empty.
    pub const NOWHERE: Self = Self { start: 0, offset: 0, bytes: 0 };

    /// Bytes of the message.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the message has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The part of this place from `from`, `bytes` long; `None` when it lies outside.
    #[must_use]
    pub fn part(&self, from: usize, bytes: usize) -> Option<Self> {
        let end = from.checked_add(bytes)?;
        let start = self.start.checked_add(u64::try_from(from).ok()?)?;
        (end <= self.bytes).then_some(Self { start, offset: self.offset + from, bytes })
    }
}

/// What is known of a complete message without looking inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Message type as on the wire: 8 audio, 9 video, 18 data.
    pub kind: u8,
    /// Message timestamp.
    pub at: Millis,
    /// Whether a reader may begin here.
    pub keyframe: bool,
}

/// What is kept aside for readers that join later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// The latest video sequence header.
    VideoHeader,
    /// The latest audio sequence header.
    AudioHeader,
    /// The latest metadata.
    Metadata,
}

/// Why a reservation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The message would take more than half of the ring.
    #[error("message of {bytes} bytes does not fit, at most {max} do")]
    TooLong {
        /// Bytes asked for.
        bytes: usize,
        /// Longest message the ring takes.
        max: usize,
    },
    /// Too many messages are being assembled at once.
    #[error("more than {max} messages are interleaved")]
    TooMany {
        /// Most that may be open.
        max: usize,
    },
    /// An unfinished message would be overwritten: it has been open for a whole ring.
    #[error("an unfinished message was overtaken by {bytes} bytes of others")]
    Overtaken {
        /// Bytes received since it began.
        bytes: u64,
    },
}

/// A reader's position: the sequence number of the next message it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

/// What a cursor finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// The next message.
    Message(Label, &'a [u8]),
    /// Messages were overwritten before they were read; the cursor now stands at a keyframe, or
    /// behind the newest message when no keyframe is left.
    Overrun {
        /// Messages missed.
        lost: u64,
    },
    /// Nothing new.
    Empty,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    place: Place,
    label: Label,
}

/// The ring. Allocated once: `bytes` of payload and `entries` labels.
#[derive(Debug)]
pub struct FrameRing {
    bytes: Box<[u8]>,
    head: u64,
    open: heapless::Vec<Place, RESERVATIONS_MAX>,
    entries: Box<[Entry]>,
    next: u64,
    keyframes: heapless::Deque<u64, KEYFRAMES_INDEXED>,
    asides: [AsideBytes; 3],
}

#[derive(Debug)]
struct AsideBytes {
    bytes: Box<[u8]>,
    len: Option<usize>,
    /// Counts what was put here: a reader that sends it in parts must not mix two of them.
    edition: u32,
}

impl AsideBytes {
    fn keep(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(..bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.len = Some(bytes.len());
        self.edition = self.edition.wrapping_add(1);
        true
    }
}

impl FrameRing {
    /// Allocates a ring of `bytes` payload bytes and `entries` messages.
    #[must_use]
    pub fn new(bytes: usize, entries: usize) -> Self {
        Self::with_asides(bytes, entries, ASIDE_BYTES_MAX)
    }

    /// A ring whose messages are read when they arrive: lists one, keeps nothing aside.
    #[must_use]
    pub fn scratch(bytes: usize) -> Self {
        Self::with_asides(bytes, 1, 0)
    }

    fn with_asides(bytes: usize, entries: usize, aside_bytes: usize) -> Self {
        let empty = Entry {
            place: Place::NOWHERE,
            label: Label { kind: 0, at: Millis(0), keyframe: false },
        };
        let aside =
            || AsideBytes { bytes: vec![0; aside_bytes].into_boxed_slice(), len: None, edition: 0 };
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            head: 0,
            open: heapless::Vec::new(),
            entries: vec![empty; entries.max(1)].into_boxed_slice(),
            next: 0,
            keyframes: heapless::Deque::new(),
            asides: [aside(), aside(), aside()],
        }
    }

    /// Private memory that `new(bytes, entries)` takes, in bytes.
    #[must_use]
    pub const fn footprint(bytes: usize, entries: usize) -> usize {
        bytes + entries * size_of::<Entry>() + 3 * ASIDE_BYTES_MAX
    }

    /// Reserves a contiguous place of `bytes`, to be filled through `window`.
    ///
    /// # Errors
    /// `TooLong`, `TooMany`, or `Overtaken` when an unfinished message stands in the way; nothing
    /// is changed then.
    pub fn reserve(&mut self, bytes: usize) -> Result<Place, RingError> {
        let capacity = self.bytes.len();
        if bytes > capacity / 2 {
            return Err(RingError::TooLong { bytes, max: capacity / 2 });
        }
        let mut start = self.head;
        let mut offset = self.offset_of(start);
        if offset + bytes > capacity {
            start += widen(capacity - offset);
            offset = 0;
        }
        let head = start + widen(bytes);
        if let Some(oldest) = self.open.iter().map(|place| place.start).min()
            && oldest + widen(capacity) < head
        {
            return Err(RingError::Overtaken { bytes: head - oldest });
        }
        let place = Place { start, offset, bytes };
        if self.open.push(place).is_err() {
            return Err(RingError::TooMany { max: RESERVATIONS_MAX });
        }
        self.head = head;
        Ok(place)
    }

    /// The bytes of an open reservation, to be filled.
    pub fn window(&mut self, place: Place) -> &mut [u8] {
        debug_assert!(self.open.contains(&place));
        self.bytes.get_mut(place.offset..place.offset + place.bytes).unwrap_or_default()
    }

    /// Copies the bytes of `from`, which may just have been closed, to the front of `to`.
    pub fn copy(&mut self, from: Place, to: Place) {
        debug_assert!(from.bytes <= to.bytes);
        if from.bytes <= to.bytes && self.place_is_live(from) {
            self.bytes.copy_within(from.offset..from.offset + from.bytes, to.offset);
        }
    }

    /// Ends a reservation. Its bytes stay readable until they are overwritten.
    pub fn close(&mut self, place: Place) {
        if let Some(i) = self.open.iter().position(|open| *open == place) {
            self.open.swap_remove(i);
        }
    }

    /// Lists a complete message, which may be part of a reservation (an aggregate holds several).
    pub fn push(&mut self, place: Place, label: Label) {
        let slot = self.slot_of(self.next);
        if let Some(entry) = self.entries.get_mut(slot) {
            *entry = Entry { place, label };
        }
        if label.keyframe {
            if self.keyframes.is_full() {
                self.keyframes.pop_front();
            }
            // Cannot fail: one was taken out when it was full.
            let pushed = self.keyframes.push_back(self.next);
            debug_assert!(pushed.is_ok());
        }
        self.next += 1;
        debug_assert!(self.place_is_live(place));
    }

    /// Keeps a copy of `bytes` for later readers. Returns whether it fitted.
    pub fn set_aside(&mut self, what: Aside, bytes: &[u8]) -> bool {
        let [video, audio, metadata] = &mut self.asides;
        let aside = match what {
            Aside::VideoHeader => video,
            Aside::AudioHeader => audio,
            Aside::Metadata => metadata,
        };
        aside.keep(bytes)
    }

    /// Keeps a copy of the message at `place` for later readers. Returns whether it fitted.
    pub fn keep_aside(&mut self, what: Aside, place: Place) -> bool {
        let [video, audio, metadata] = &mut self.asides;
        let aside = match what {
            Aside::VideoHeader => video,
            Aside::AudioHeader => audio,
            Aside::Metadata => metadata,
        };
        let from = self.bytes.get(place.offset..place.offset + place.bytes).unwrap_or_default();
        aside.keep(from)
    }

    /// A new publisher begins: forgets what was kept aside, and where readers might begin.
    pub fn restart(&mut self) {
        for aside in &mut self.asides {
            aside.len = None;
            aside.edition = aside.edition.wrapping_add(1);
        }
        self.keyframes.clear();
    }

    /// The message that `cursor` stands at, if it is still held.
    #[must_use]
    pub fn peek(&self, cursor: Cursor) -> Option<(Label, Place)> {
        if cursor.0 >= self.next {
            return None;
        }
        self.entry(cursor.0).map(|entry| (entry.label, entry.place))
    }

    /// Reads the message at `cursor` and moves it on.
    pub fn read(&self, cursor: &mut Cursor) -> Read<'_> {
        if cursor.0 >= self.next {
            return Read::Empty;
        }
        if let Some(entry) = self.entry(cursor.0) {
            cursor.0 += 1;
            return Read::Message(entry.label, self.bytes(entry.place).unwrap_or_default());
        }
        let from = cursor.0;
        cursor.0 = self
            .keyframes
            .iter()
            .copied()
            .find(|k| *k > from && self.entry(*k).is_some())
            .unwrap_or(self.next);
        Read::Overrun { lost: cursor.0 - from }
    }

    /// What was kept aside, if anything.
    #[must_use]
    pub fn aside(&self, what: Aside) -> Option<&[u8]> {
        self.aside_edition(what).map(|(_, bytes)| bytes)
    }

    /// What was kept aside, if anything, with a number that changes when it does.
    #[must_use]
    pub fn aside_edition(&self, what: Aside) -> Option<(u32, &[u8])> {
        let [video, audio, metadata] = &self.asides;
        let aside = match what {
            Aside::VideoHeader => video,
            Aside::AudioHeader => audio,
            Aside::Metadata => metadata,
        };
        Some((aside.edition, aside.bytes.get(..aside.len?)?))
    }

    /// The bytes at `place`; `None` once they were overwritten.
    #[must_use]
    pub fn bytes(&self, place: Place) -> Option<&[u8]> {
        if !self.place_is_live(place) {
            return None;
        }
        self.bytes.get(place.offset..place.offset + place.bytes)
    }

    /// A cursor at the newest keyframe still held, or at the next message.
    #[must_use]
    pub fn join(&self) -> Cursor {
        let keyframe = self.keyframes.iter().rev().copied().find(|k| self.entry(*k).is_some());
        Cursor(keyframe.unwrap_or(self.next))
    }

    /// A cursor at the next message.
    #[must_use]
    pub const fn end(&self) -> Cursor {
        Cursor(self.next)
    }

    /// Messages being assembled.
    #[must_use]
    pub fn reservations(&self) -> usize {
        self.open.len()
    }

    /// Bytes of payload the ring holds.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If an open place is overwritten, overlaps another or lies outside.
    pub fn check_invariants(&self) {
        for (i, a) in self.open.iter().enumerate() {
            assert!(a.offset + a.bytes <= self.bytes.len());
            assert!(a.start + widen(a.bytes) <= self.head);
            assert!(self.place_is_live(*a));
            for b in self.open.iter().skip(i + 1) {
                let apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
                assert!(apart);
            }
        }
        assert!(self.keyframes.iter().all(|k| *k < self.next));
    }

    fn entry(&self, sequence: u64) -> Option<&Entry> {
        if sequence >= self.next || sequence + widen(self.entries.len()) < self.next {
            return None;
        }
        let entry = self.entries.get(self.slot_of(sequence))?;
        self.place_is_live(entry.place).then_some(entry)
    }

    fn place_is_live(&self, place: Place) -> bool {
        place.start + widen(self.bytes.len()) >= self.head
    }

    fn offset_of(&self, position: u64) -> usize {
        remainder(position, self.bytes.len())
    }

    fn slot_of(&self, sequence: u64) -> usize {
        remainder(sequence, self.entries.len())
    }
}

#[expect(clippy::as_conversions, reason = "a remainder is below its usize divisor")]
#[expect(clippy::cast_possible_truncation, reason = "a remainder is below its usize divisor")]
const fn remainder(position: u64, divisor: usize) -> usize {
    (position % (if divisor == 0 { 1 } else { divisor }) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VIDEO: Label = Label { kind: 9, at: Millis(0), keyframe: false };
    const KEY: Label = Label { kind: 9, at: Millis(0), keyframe: true };

    fn put(ring: &mut FrameRing, label: Label, bytes: &[u8]) {
        let place = ring.reserve(bytes.len()).unwrap();
        ring.window(place).copy_from_slice(bytes);
        ring.close(place);
        ring.push(place, label);
        ring.check_invariants();
    }

    #[test]
    fn frame_ring_keeps_interleaved_messages_apart() {
        let mut ring = FrameRing::new(64, 8);
        let mut cursor = ring.end();
        let video = ring.reserve(6).unwrap();
        let audio = ring.reserve(3).unwrap();
        ring.window(video)[..3].copy_from_slice(b"vid");
        ring.window(audio).copy_from_slice(b"aud");
        ring.close(audio);
        ring.push(audio, Label { kind: 8, ..VIDEO });
        ring.window(video)[3..].copy_from_slice(b"eo!");
        ring.close(video);
        ring.push(video, VIDEO);
        assert_eq!(ring.read(&mut cursor), Read::Message(Label { kind: 8, ..VIDEO }, b"aud"));
        assert_eq!(ring.read(&mut cursor), Read::Message(VIDEO, b"video!"));
        assert_eq!(ring.read(&mut cursor), Read::Empty);
    }

    #[test]
    fn frame_ring_never_wraps_a_message() {
        let mut ring = FrameRing::new(10, 8);
        put(&mut ring, VIDEO, b"12345");
        put(&mut ring, VIDEO, b"678");
        let mut cursor = ring.end();
        put(&mut ring, VIDEO, b"abcde");
        assert_eq!(ring.read(&mut cursor), Read::Message(VIDEO, b"abcde"));
    }

    #[test]
    fn frame_ring_overrun_cursor_continues_at_keyframe() {
        let mut ring = FrameRing::new(12, 16);
        let mut cursor = ring.end();
        put(&mut ring, KEY, b"aaaa");
        put(&mut ring, VIDEO, b"bbbb");
        put(&mut ring, VIDEO, b"cccc");
        put(&mut ring, KEY, b"dddd");
        put(&mut ring, VIDEO, b"eeee");
        assert_eq!(ring.read(&mut cursor), Read::Overrun { lost: 3 });
        assert_eq!(ring.read(&mut cursor), Read::Message(KEY, b"dddd"));
        assert_eq!(ring.read(&mut cursor), Read::Message(VIDEO, b"eeee"));
    }

    #[test]
    fn frame_ring_overrun_without_keyframe_goes_to_the_end() {
        let mut ring = FrameRing::new(8, 2);
        let mut cursor = ring.end();
        for _ in 0..4 {
            put(&mut ring, VIDEO, b"x");
        }
        assert_eq!(ring.read(&mut cursor), Read::Overrun { lost: 4 });
        assert_eq!(ring.read(&mut cursor), Read::Empty);
    }

    #[test]
    fn frame_ring_remembers_its_latest_keyframes_and_no_more() {
        for (more, lost) in [(0, 1), (1, 2)] {
            let keyframes = KEYFRAMES_INDEXED + more;
            let mut ring = FrameRing::new(1 << 10, keyframes);
            let mut cursor = ring.end();
            put(&mut ring, VIDEO, b"x");
            for _ in 0..keyframes {
                put(&mut ring, KEY, b"x");
            }
            assert_eq!(ring.read(&mut cursor), Read::Overrun { lost });
        }
    }

    #[test]
    fn frame_ring_refuses_to_overwrite_an_open_message() {
        let mut ring = FrameRing::new(16, 8);
        let stuck = ring.reserve(4).unwrap();
        put(&mut ring, VIDEO, b"12345678");
        assert_eq!(ring.reserve(8), Err(RingError::Overtaken { bytes: 24 }));
        ring.check_invariants();
        ring.close(stuck);
        assert!(ring.reserve(8).is_ok());
    }

    #[test]
    fn frame_ring_bounds_length_and_interleaving() {
        let mut ring = FrameRing::new(1 << 10, 8);
        assert_eq!(ring.reserve(513), Err(RingError::TooLong { bytes: 513, max: 512 }));
        for _ in 0..RESERVATIONS_MAX {
            ring.reserve(1).unwrap();
        }
        assert_eq!(ring.reserve(1), Err(RingError::TooMany { max: RESERVATIONS_MAX }));
    }

    #[test]
    fn frame_ring_joins_at_the_newest_keyframe() {
        let mut ring = FrameRing::new(64, 8);
        assert_eq!(ring.join(), ring.end());
        put(&mut ring, KEY, b"1");
        put(&mut ring, KEY, b"2");
        put(&mut ring, VIDEO, b"3");
        let mut cursor = ring.join();
        assert_eq!(ring.read(&mut cursor), Read::Message(KEY, b"2"));
    }

    #[test]
    fn frame_ring_keeps_headers_aside() {
        let mut ring = FrameRing::new(64, 8);
        assert!(ring.set_aside(Aside::AudioHeader, &[0xaf, 0, 0x12, 0x10]));
        assert!(!ring.set_aside(Aside::Metadata, &vec![0; ASIDE_BYTES_MAX + 1]));
        assert_eq!(ring.aside(Aside::Metadata), None);
        assert!(ring.set_aside(Aside::Metadata, &vec![0; ASIDE_BYTES_MAX]));
        assert_eq!(ring.aside(Aside::AudioHeader), Some(&[0xaf, 0, 0x12, 0x10][..]));
        assert_eq!(ring.aside(Aside::VideoHeader), None);
        ring.restart();
        assert_eq!(ring.aside(Aside::AudioHeader), None);
    }

    #[test]
    fn place_part_stays_inside() {
        let mut ring = FrameRing::new(64, 8);
        let place = ring.reserve(8).unwrap();
        ring.window(place).copy_from_slice(b"01234567");
        ring.close(place);
        let part = place.part(2, 3).unwrap();
        assert_eq!(ring.bytes(part), Some(&b"234"[..]));
        assert_eq!(place.part(6, 3), None);
        assert_eq!(place.part(usize::MAX, 2), None);
    }

    const BYTES: usize = 128;
    const ENTRIES: usize = 16;

    #[derive(Clone, Debug)]
    enum Step {
        Reserve(usize),
        Finish(usize, Label),
        Cancel(usize),
    }

    /// Messages of which the bytes are too many first, or so short that the entries are.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        prop_oneof![Just(BYTES / 2 + 6), Just(BYTES / ENTRIES)].prop_flat_map(|most| {
            let kind = proptest::sample::select(&[8u8, 9, 18][..]);
            let label = (kind, any::<u32>(), proptest::bool::weighted(0.3))
                .prop_map(|(kind, at, keyframe)| Label { kind, at: Millis(at), keyframe });
            let step = prop_oneof![
                3 => (0..most).prop_map(Step::Reserve),
                3 => (0usize..4, label).prop_map(|(i, label)| Step::Finish(i, label)),
                1 => (0usize..4).prop_map(Step::Cancel),
            ];
            proptest::collection::vec(step, 1..300)
        })
    }

    /// What a message was when it was reserved and listed.
    #[derive(Clone, Debug)]
    struct Kept {
        start: usize,
        content: Vec<u8>,
        label: Label,
    }

    /// Keeps every message for ever, each in its own `Vec`, and counts what was reserved since.
    #[derive(Debug, Default)]
    struct Model {
        head: usize,
        done: Vec<Kept>,
    }

    impl Model {
        /// Where the next `n` bytes begin: not across the end of the buffer.
        fn reserve(&mut self, n: usize) -> usize {
            let left = BYTES - self.head % BYTES;
            let start = if n > left { self.head + left } else { self.head };
            self.head = start + n;
            start
        }

        /// Whether message `i` cannot have been overwritten, nor its entry.
        fn holds(&self, i: usize) -> bool {
            self.done[i].start + BYTES >= self.head && i + ENTRIES >= self.done.len()
        }

        /// Where a reader may begin, of the messages from `from` on.
        fn keyframes(&self, from: usize) -> impl DoubleEndedIterator<Item = usize> {
            (from..self.done.len()).filter(|i| self.done[*i].label.keyframe && self.holds(*i))
        }

        /// What a cursor at message `i` must find.
        fn check(&self, ring: &FrameRing, i: usize) -> Result<(), TestCaseError> {
            let mut cursor = Cursor(widen(i));
            let read = ring.read(&mut cursor);
            if self.holds(i) {
                let Kept { content, label, .. } = &self.done[i];
                prop_assert_eq!(read, Read::Message(*label, content));
                prop_assert_eq!(cursor.0, widen(i) + 1);
                let (peeked, place) = ring.peek(Cursor(widen(i))).unwrap();
                prop_assert_eq!((peeked, ring.bytes(place)), (*label, Some(&content[..])));
            } else {
                let next = widen(self.keyframes(i).next().unwrap_or(self.done.len()));
                prop_assert_eq!(read, Read::Overrun { lost: next - widen(i) });
                prop_assert_eq!(cursor.0, next);
                prop_assert_eq!(ring.peek(Cursor(widen(i))), None);
            }
            Ok(())
        }
    }

    proptest! {
        /// What the ring still holds equals the model byte for byte and label for label, what it
        /// has lost may be lost, and what is open is untouched by others.
        #[test]
        fn frame_ring_equals_a_naive_model(steps in steps()) {
            let mut ring = FrameRing::new(BYTES, ENTRIES);
            let mut model = Model::default();
            let mut open: Vec<(Place, usize, Vec<u8>)> = Vec::new();
            let mut fill = 0u8;
            for step in steps {
                match step {
                    Step::Reserve(n) => if let Ok(place) = ring.reserve(n) {
                        fill = fill.wrapping_add(1);
                        let content = vec![fill; n];
                        ring.window(place).copy_from_slice(&content);
                        open.push((place, model.reserve(n), content));
                    },
                    Step::Finish(i, label) if i < open.len() => {
                        let (place, start, content) = open.remove(i);
                        prop_assert_eq!(ring.bytes(place), Some(&content[..]));
                        ring.close(place);
                        ring.push(place, label);
                        // The newest message can be read, however long it was open.
                        let read = ring.read(&mut Cursor(widen(model.done.len())));
                        prop_assert_eq!(read, Read::Message(label, &content));
                        model.done.push(Kept { start, content, label });
                    }
                    Step::Cancel(i) if i < open.len() => ring.close(open.remove(i).0),
                    Step::Finish(..) | Step::Cancel(_) => {}
                }
                ring.check_invariants();
                for (place, _, content) in &open {
                    prop_assert_eq!(ring.bytes(*place), Some(&content[..]));
                }
                for i in 0..model.done.len() {
                    model.check(&ring, i)?;
                }
                let end = model.done.len();
                prop_assert_eq!(ring.read(&mut Cursor(widen(end))), Read::Empty);
                let joined = model.keyframes(0).next_back().unwrap_or(end);
                prop_assert_eq!(ring.join().0, widen(joined));
            }
        }
    }
}
