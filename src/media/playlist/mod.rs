//! The media playlist of one stream over its whole life.
//!
//! ```text
//!  closed ──► waiting ──(0.5 target since the last version)──► listed ──► retired, kept until …
//! ```
//!
//! The rules (ids of the reference sheet; RFC 8216 clauses):
//!
//! * The target duration is settled by setting or when the first segment closes, and never changes
//!   (R10, §6.2.1). `cut_limit` says what the segmenter must not exceed; what exceeds it
//!   nevertheless (a gap inside the source) is listed with the longest legal duration and counted,
//!   so that R9 holds whatever comes.
//! * A version comes no earlier than half a target after the one before (R37): a segment closed
//!   sooner waits, `deadline` says until when. A rest, as a camera that goes leaves one behind,
//!   waits for the next segment (`due`). With more than `PENDING_SEGMENTS_MAX` waiting the version
//!   is made at once and counted.
//! * The oldest leaves while more than the window is listed and three targets remain without it
//!   (R32, R34). Only where `listed_max` is reached does it leave earlier; that is counted.
//! * An event (R40) loses nothing: it is ended where it is full, by the caller.
//! * No update costs more because the playlist is longer: totals are kept, not made.
//! * What left is to be kept for its duration and that of the longest version that listed it (R35).
//! * Sequence numbers are 64 bits, go on from what the constructor was given, and never go back
//!   (R11, R12, R33, R44); the discontinuity sequence rises exactly when a tag leaves (R36).
//! * `EXT-X-INDEPENDENT-SEGMENTS` stands in the header until a segment closes that does not begin
//!   with a key frame, and never again from then on. Its going is the one header edit beyond R31:
//!   the alternatives are to claim what is untrue, or never to claim it since any stream might be
//!   cut by force one day.
//! * Each segment has an `EXT-X-PROGRAM-DATE-TIME` of its own, or none: `dates` says which (R43).
//! * The key of a segment stands above the first segment of each key and so at the top of every
//!   version (R50, R52); `METHOD=NONE` where clear ones follow (R53).
//! * A publisher that leaves changes nothing here: the last version stays, players retry (sheet §6,
//!   default (b)). One that returns brings a segment with `discontinuity`. `end` writes the
//!   `EXT-X-ENDLIST` (R38), which is final.
//!
//! Reads no clock, touches no file, holds no media: `slot` is the caller's name for that.
//! Source: draft-pantos-http-live-streaming-12 §6.2, RFC 8216 §6.2.

mod adopt;
mod dates;
mod due;
mod group;
mod i_frames;
mod key;
mod lines;
mod longest;
mod offer;
mod planned;
mod ranges;
mod rate;
mod removal;
mod text;
mod vod;

pub use adopt::{AdoptError, Adopted};
pub use dates::{Dates, Seen, Span};
pub use group::{GroupAudio, GroupOffer, GroupVariant};
pub use i_frames::{IFrame, IFrames, emit_i_frames, lasting};
pub use key::{KeyTag, Method};
pub use lines::{SegmentId, segment_name};
pub use offer::{Measured, Offer};
pub use planned::Planned;
pub use ranges::{DateRange, RangeError};
pub use vod::VodPlaylist;

use std::collections::VecDeque;

use heapless::Vec;

use self::longest::Longest;
use self::ranges::Ranges;
use crate::limits::{
    FIRST_SEGMENT_MS_MAX, PENDING_SEGMENTS_MAX, PLAYLIST_ENTRIES_MAX, RETIRED_PER_UPDATE_MAX,
    TARGET_DURATION_S_MAX, TARGET_EXCESS_MS_MAX, WINDOW_MAX,
};
use crate::media::container::Container;
use crate::status::{Counter, Status};
use crate::time::{Instant, Ticks, UnixMillis};
use crate::wire::m3u8::{Durations, rounded_seconds};

/// Which changes a playlist makes (RFC 8216 §4.3.3.5, R40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistKind {
    /// Its window slides.
    Live {
        /// What it lists at least, where that is more than the window of segments.
        window: Ticks,
    },
    /// It only grows, until it ends: `EXT-X-PLAYLIST-TYPE:EVENT`.
    Event,
}

/// How a playlist is kept. Values out of bounds are moved to the nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaylistConfig {
    /// Wanted duration of a segment.
    pub segment: Ticks,
    /// Segments to list, 3 to `WINDOW_MAX`; more are listed while R34 asks for it.
    pub window_segments: usize,
    /// Segments that may be listed or waiting at most, above the window and up to
    /// `PLAYLIST_ENTRIES_MAX`: the slots that the caller can spare.
    pub listed_max: usize,
    /// Whether it slides or grows.
    pub kind: PlaylistKind,
    /// Target duration in seconds; settled by the first segment if absent.
    pub target_duration_s: Option<u32>,
    /// Sequence number of the first segment.
    pub media_sequence: u64,
    /// Discontinuity sequence number before the first segment's own tag.
    pub discontinuity_sequence: u64,
}

/// A finished segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// From its first decode time to that of the next segment.
    pub duration: Ticks,
    /// Whether it does not continue the one before.
    pub discontinuity: bool,
    /// Whether it begins with a key frame.
    pub independent: bool,
    /// The caller's name for where it is stored.
    pub slot: usize,
}

/// What else a playlist says to players.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Seconds before the live end at which to start, moved to three targets at least
    /// (RFC 8216 §4.3.5.2); 0 says nothing.
    pub start_offset_s: u32,
    /// Whether to say that each segment can be decoded alone, as long as it is so.
    pub independent: bool,
}

/// What else a playlist says of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Marks {
    /// When its first sample was made, if that is known.
    pub date: Option<UnixMillis>,
    /// What kind of file it is.
    pub container: Container,
    /// Discontinuities of streams beside this one that it has not had before, beyond its own: each
    /// has a tag, so that equal times have equal numbers (R60). At most `GROUP_TAGS_MAX` with it.
    pub passed: u8,
}

/// What a call did to the playlist.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct Change {
    /// Whether there is a new version to render.
    pub updated: bool,
    /// Segments that left, oldest first.
    pub retired: Vec<Retired, RETIRED_PER_UPDATE_MAX>,
}

/// A segment that left the playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Where it is stored.
    pub slot: usize,
    /// Its media sequence number.
    pub sequence: u64,
    /// Players may ask for it until then (R35).
    pub keep_until: Instant,
}

/// A segment of the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its media sequence number.
    pub sequence: u64,
    /// Where it is stored.
    pub slot: usize,
    /// Its listed duration in microseconds.
    pub micros: u64,
    /// Whether it does not continue the one before.
    pub discontinuity: bool,
    /// Discontinuity tags beyond that one.
    pub passed: u8,
    /// Its key, if it is encrypted.
    pub key: Option<KeyTag>,
}

/// A live media playlist.
#[derive(Debug)]
pub struct Playlist {
    config: PlaylistConfig,
    /// Listed segments, then waiting ones; room for `listed_max` of them is taken when it is made.
    entries: VecDeque<Entry>,
    listed: usize,
    /// Duration of the current version, microseconds.
    micros: u64,
    longest: Longest,
    /// Discontinuity tags of all entries.
    tags: u64,
    /// A window of live that is longer than this is shortened, microseconds.
    squeeze: Option<u64>,
    /// Settled target duration, seconds.
    target_s: Option<u32>,
    /// Sequence number of the oldest entry.
    media_sequence: u64,
    discontinuity_sequence: u64,
    durations: Durations,
    /// Every segment so far began with a key frame.
    independent: bool,
    advice: Advice,
    ranges: Ranges,
    /// Of the segments that close from now on.
    key: Option<KeyTag>,
    /// Lowest protocol version that knows the keys of all segments so far.
    protocol: u64,
    /// How often a line that was listed was taken away or changed.
    rewritten: u64,
    updated_at: Option<Instant>,
    version: u64,
    ended: bool,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// First part of its name, if that is not the present run's.
    epoch: Option<u32>,
    micros: u64,
    discontinuity: bool,
    marks: Marks,
    slot: usize,
    key: Option<KeyTag>,
}

/// Not yet reported to the process's counters.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    segments: u64,
    updates_early: u64,
    window_cut: u64,
    window_shortened: u64,
    overlong: u64,
}

impl Playlist {
    /// An empty playlist, not to be shown yet. Takes the memory for all of its life.
    #[must_use]
    pub fn new(config: PlaylistConfig) -> Self {
        let config = config.bounded();
        let room = config.listed_max;
        Self::within(config, VecDeque::with_capacity(room), Longest::new(room))
    }

    /// Memory that a playlist of so many segments takes beside itself.
    #[must_use]
    pub const fn bytes(segments: usize) -> usize {
        segments * (size_of::<Entry>() + Longest::EACH_BYTES)
    }

    /// Begins anew as `config` says, in the memory there is: no more segments than before.
    pub fn renew(&mut self, config: PlaylistConfig) {
        let mut entries = core::mem::take(&mut self.entries);
        let mut longest = core::mem::replace(&mut self.longest, Longest::new(0));
        entries.clear();
        longest.clear();
        let mut config = config.bounded();
        config.listed_max = config.listed_max.min(entries.capacity());
        let advice = self.advice;
        *self = Self { advice, ..Self::within(config, entries, longest) };
    }

    const fn within(config: PlaylistConfig, entries: VecDeque<Entry>, longest: Longest) -> Self {
        Self {
            config,
            entries,
            listed: 0,
            micros: 0,
            longest,
            tags: 0,
            squeeze: None,
            target_s: config.target_duration_s,
            media_sequence: config.media_sequence,
            discontinuity_sequence: config.discontinuity_sequence,
            durations: Durations::new(),
            independent: true,
            advice: Advice { start_offset_s: 0, independent: true },
            ranges: Ranges::new(),
            key: None,
            protocol: PROTOCOL_MIN,
            rewritten: 0,
            updated_at: None,
            version: 0,
            ended: false,
            counts: Counts {
                segments: 0,
                updates_early: 0,
                window_cut: 0,
                window_shortened: 0,
                overlong: 0,
            },
        }
    }

    /// Says that to players, from the first version on.
    pub const fn advise(&mut self, advice: Advice) {
        self.advice = advice;
    }

    /// Lists a date range together with the segment that closes next.
    ///
    /// # Errors
    /// `Repeated` if there is one with its ID, `Full` if there are too many.
    pub fn date_range(&mut self, range: DateRange) -> Result<(), RangeError> {
        self.ranges.add(self.next_sequence(), range)
    }

    /// Takes a finished segment, which has the sequence number that `next_sequence` said, and
    /// lists it at once or later. After `end` it is retired at once.
    pub fn closed(&mut self, now: Instant, closed: Closed) -> Change {
        self.closed_with(now, closed, Marks::default())
    }

    /// The same for a segment of which there is more to say.
    pub fn closed_with(&mut self, now: Instant, closed: Closed, marks: Marks) -> Change {
        if self.ended || self.is_full() {
            return self.refused(now, closed.slot);
        }
        let ticks = closed.duration.max(Ticks(1));
        let target_s = *self.target_s.get_or_insert(target_duration_s(ticks, self.config.segment));
        let limit = cut_limit(target_s);
        if ticks > limit {
            self.counts.overlong += 1;
        }
        self.independent &= closed.independent;
        let entry = Entry {
            epoch: None,
            micros: self.durations.next(ticks.min(limit)),
            discontinuity: closed.discontinuity,
            marks,
            slot: closed.slot,
            key: self.key,
        };
        self.tags += entry.tags();
        let protocol = entry.key.map_or(PROTOCOL_MIN, |key| key.method.version());
        self.protocol = self.protocol.max(protocol);
        self.entries.push_back(entry);
        self.poll(now)
    }

    /// Segments that close from now on are encrypted with `key`, or not at all.
    pub const fn set_key(&mut self, key: Option<KeyTag>) {
        self.key = key;
    }

    /// Settles the target duration, seconds, if no segment has done it: that of other streams which
    /// this one is offered beside.
    pub fn settle(&mut self, target_s: Option<u32>) {
        self.target_s = self.target_s.or(target_s);
    }

    /// Makes a new version if one is due.
    pub fn poll(&mut self, now: Instant) -> Change {
        if self.waiting() == 0 || self.ended {
            return Change::default();
        }
        if !self.is_due(now) {
            if self.waiting() <= PENDING_SEGMENTS_MAX {
                return Change::default();
            }
            self.counts.updates_early += 1;
        }
        self.publish(now)
    }

    /// Lists what waits and ends the presentation, for good. Does nothing before the first segment.
    pub fn end(&mut self, now: Instant) -> Change {
        if self.ended || self.entries.is_empty() {
            return Change::default();
        }
        let change = self.publish(now);
        self.ended = true;
        change
    }

    /// What no segment may exceed: the target duration and what rounding forgives. Before it is
    /// settled, a bound that a first segment should not exceed.
    #[must_use]
    pub fn cut_limit(&self) -> Ticks {
        let first = Ticks::from_millis(FIRST_SEGMENT_MS_MAX)
            .max(Ticks(self.config.segment.0.saturating_mul(3) / 2))
            .min(cut_limit(TARGET_DURATION_S_MAX));
        self.target_s.map_or(first, cut_limit)
    }

    /// Whether there is a version to show; it lists at least one segment then.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.listed > 0
    }

    /// Whether the presentation has ended.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Sequence number of the segment that closes next.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        let entries = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.media_sequence.saturating_add(entries)
    }

    /// Sequence number of the oldest segment.
    #[must_use]
    pub const fn media_sequence(&self) -> u64 {
        self.media_sequence
    }

    /// Discontinuity sequence number of the oldest segment, its own tag not counted.
    #[must_use]
    pub const fn discontinuity_sequence(&self) -> u64 {
        self.discontinuity_sequence
    }

    /// Discontinuity sequence number behind the newest segment.
    #[must_use]
    pub const fn discontinuities(&self) -> u64 {
        self.discontinuity_sequence.saturating_add(self.tags)
    }

    /// Settled target duration, seconds.
    #[must_use]
    pub const fn target_duration_s(&self) -> Option<u32> {
        self.target_s
    }

    /// Versions made so far.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Segments of the current version, oldest first.
    pub fn listed(&self) -> impl Iterator<Item = Listed> + '_ {
        (self.media_sequence..).zip(self.entries.iter()).take(self.listed).map(
            |(sequence, entry)| {
                let Entry { slot, micros, discontinuity, key, marks, .. } = *entry;
                Listed { sequence, slot, micros, discontinuity, passed: marks.passed, key }
            },
        )
    }

    /// Duration of the current version, microseconds.
    #[must_use]
    pub const fn micros(&self) -> u64 {
        self.micros
    }

    /// Whether no segment more can be taken. A live window slides before that.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.config.listed_max
    }

    /// Whether it may hold more than a window of segments.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.window_micros() > 0
    }

    /// Whether it only grows.
    #[must_use]
    pub const fn is_event(&self) -> bool {
        matches!(self.config.kind, PlaylistKind::Event)
    }

    /// Whether the window is as long as it should be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.listed >= self.config.window_segments && self.micros >= self.window_micros()
    }

    /// Shortens the window of live to `micros` with the versions to come, or no more if `None`;
    /// three target durations remain whatever is asked (R34).
    pub const fn squeeze(&mut self, micros: Option<u64>) {
        self.squeeze = micros;
    }

    /// Key of the newest listed segment, if it is encrypted.
    #[must_use]
    pub fn newest_key(&self) -> Option<KeyTag> {
        self.entries.get(self.listed.checked_sub(1)?)?.key
    }

    /// How often a line of a segment that is still listed was taken away: who keeps text must write
    /// all of it anew then.
    #[must_use]
    pub const fn rewritten(&self) -> u64 {
        self.rewritten
    }

    /// Where the listed segment with this sequence number is stored.
    #[must_use]
    pub fn slot(&self, sequence: u64) -> Option<usize> {
        let at = usize::try_from(sequence.checked_sub(self.media_sequence)?).ok()?;
        self.entries.get(at).filter(|_| at < self.listed).map(|entry| entry.slot)
    }

    /// Sequence number behind the newest listed segment.
    #[must_use]
    pub fn listed_end(&self) -> u64 {
        self.media_sequence.saturating_add(u64::try_from(self.listed).unwrap_or(u64::MAX))
    }

    /// Adds what happened since the last call to the process's counters.
    pub fn report(&mut self, status: &Status) {
        let counts = core::mem::take(&mut self.counts);
        status.add(Counter::Segments, counts.segments);
        status.add(Counter::UpdatesEarly, counts.updates_early);
        status.add(Counter::WindowCut, counts.window_cut);
        status.add(Counter::WindowShortened, counts.window_shortened);
        status.add(Counter::SegmentsOverlong, counts.overlong);
    }

    /// For tests and fuzzers.
    ///
    /// # Panics
    /// Where the state contradicts itself.
    pub fn check_invariants(&self) {
        assert!(self.listed <= self.entries.len());
        assert!(self.entries.len() <= self.config.listed_max);
        assert!(self.waiting() <= PENDING_SEGMENTS_MAX);
        assert!(!self.ended || self.waiting() == 0, "all is listed at the end");
        assert_eq!(self.updated_at.is_some(), self.listed > 0);
        assert!(self.entries.is_empty() || self.target_s.is_some());
        let total: u64 = self.listed().map(|listed| listed.micros).sum();
        assert_eq!(self.micros, total);
        let tags: u64 = self.entries.iter().map(Entry::tags).sum();
        assert_eq!(tags, self.tags);
        for entry in &self.entries {
            let seconds = rounded_seconds(entry.micros);
            assert!(seconds <= self.target_s.unwrap_or(0).into(), "R9");
        }
        self.longest.check_invariants();
        assert!(self.listed == 0 || self.longest.micros() >= total, "R35");
    }

    /// What the window lists at least, microseconds.
    fn window_micros(&self) -> u64 {
        match self.config.kind {
            PlaylistKind::Live { window } => window.micros().unsigned_abs(),
            PlaylistKind::Event => u64::MAX,
        }
    }
}

impl PlaylistConfig {
    /// Every value moved to the nearest bound.
    fn bounded(mut self) -> Self {
        self.window_segments = self.window_segments.clamp(3, WINDOW_MAX);
        let least = self.window_segments + PENDING_SEGMENTS_MAX + 1;
        let most = usize::try_from(PLAYLIST_ENTRIES_MAX).unwrap_or(usize::MAX);
        self.listed_max = self.listed_max.clamp(least, most);
        self.target_duration_s = self.target_duration_s.map(|s| s.clamp(1, TARGET_DURATION_S_MAX));
        self
    }
}

/// Version that knows durations in fractions of seconds (RFC 8216 §7).
const PROTOCOL_MIN: u64 = 3;

/// The smallest target duration that leaves a first segment 5 % to grow and is not below the
/// configured length, rounded.
fn target_duration_s(first: Ticks, segment: Ticks) -> u32 {
    let seconds = (1..TARGET_DURATION_S_MAX).find(|&seconds| {
        let limit = cut_limit(seconds).0;
        let grows = first.0.saturating_mul(105) <= limit * 100;
        grows && limit >= segment.0
    });
    seconds.unwrap_or(TARGET_DURATION_S_MAX)
}

/// What a segment may last under a target duration.
fn cut_limit(target_s: u32) -> Ticks {
    Ticks::from_millis(1_000 * i64::from(target_s) + TARGET_EXCESS_MS_MAX)
}

#[cfg(test)]
mod tests;
