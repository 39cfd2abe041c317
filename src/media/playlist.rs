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
//!   sooner waits, `deadline` says until when. With more than `PENDING_SEGMENTS_MAX` waiting the
//!   version is made at once and counted.
//! * The oldest leaves while more than the window is listed and three targets remain without it
//!   (R32, R34). Only where `listed_max` is reached does it leave earlier; that is counted.
//! * What left is to be kept for its duration and that of the longest version that listed it (R35).
//! * Sequence numbers are 64 bits, go on from what the constructor was given, and never go back
//!   (R11, R12, R33, R44); the discontinuity sequence rises exactly when a tag leaves (R36).
//! * `EXT-X-INDEPENDENT-SEGMENTS` stands in the header until a segment closes that does not begin
//!   with a key frame, and never again from then on. Its going is the one header edit beyond R31:
//!   the alternatives are to claim what is untrue, or never to claim it since any stream might be
//!   cut by force one day.
//! * A publisher that leaves changes nothing here: the last version stays, players retry (sheet §6,
//!   default (b)). One that returns brings a segment with `discontinuity`. `end` writes the
//!   `EXT-X-ENDLIST` (R38), which is final.
//!
//! Reads no clock, touches no file, holds no media: `slot` is the caller's name for that.
//! Source: draft-pantos-http-live-streaming-12 §6.2, RFC 8216 §6.2.

use core::time::Duration;

use heapless::{Deque, Vec};

use crate::limits::{
    FIRST_SEGMENT_MS_MAX, PENDING_SEGMENTS_MAX, PLAYLIST_SEGMENTS_MAX, RETIRED_PER_UPDATE_MAX,
    TARGET_DURATION_S_MAX, TARGET_EXCESS_MS_MAX, WINDOW_MAX,
};
use crate::status::{Counter, Status};
use crate::time::{Instant, Ticks};
use crate::wire::m3u8::{Durations, Line, put, rounded_seconds};
use crate::wire::writer::{Full, Writer};

/// How a playlist is kept. Values out of bounds are moved to the nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaylistConfig {
    /// Wanted duration of a segment.
    pub segment: Ticks,
    /// Segments to list, 3 to `WINDOW_MAX`; more are listed while R34 asks for it.
    pub window_segments: usize,
    /// Segments that may be listed or waiting at most, above the window and up to
    /// `PLAYLIST_SEGMENTS_MAX`: the slots that the caller can spare.
    pub listed_max: usize,
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
}

/// A live media playlist.
#[derive(Debug)]
pub struct Playlist {
    config: PlaylistConfig,
    /// Listed segments, then waiting ones.
    entries: Deque<Entry, PLAYLIST_SEGMENTS_MAX>,
    listed: usize,
    /// Settled target duration, seconds.
    target_s: Option<u32>,
    /// Sequence number of the oldest entry.
    media_sequence: u64,
    discontinuity_sequence: u64,
    durations: Durations,
    /// Every segment so far began with a key frame.
    independent: bool,
    updated_at: Option<Instant>,
    version: u64,
    ended: bool,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    micros: u64,
    discontinuity: bool,
    slot: usize,
    /// Duration of the longest version that listed it, microseconds.
    longest: u64,
}

/// Not yet reported to the process's counters.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    segments: u64,
    updates_early: u64,
    window_cut: u64,
    overlong: u64,
}

impl Playlist {
    /// An empty playlist, not to be shown yet.
    #[must_use]
    pub fn new(mut config: PlaylistConfig) -> Self {
        config.window_segments = config.window_segments.clamp(3, WINDOW_MAX);
        let least = config.window_segments + PENDING_SEGMENTS_MAX + 1;
        config.listed_max = config.listed_max.clamp(least, PLAYLIST_SEGMENTS_MAX);
        let target_s = config.target_duration_s.map(|s| s.clamp(1, TARGET_DURATION_S_MAX));
        Self {
            config,
            entries: Deque::new(),
            listed: 0,
            target_s,
            media_sequence: config.media_sequence,
            discontinuity_sequence: config.discontinuity_sequence,
            durations: Durations::new(),
            independent: true,
            updated_at: None,
            version: 0,
            ended: false,
            counts: Counts::default(),
        }
    }

    /// Takes a finished segment, which has the sequence number that `next_sequence` said, and
    /// lists it at once or later. After `end` it is retired at once.
    pub fn closed(&mut self, now: Instant, closed: Closed) -> Change {
        if self.ended {
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
            micros: self.durations.next(ticks.min(limit)),
            discontinuity: closed.discontinuity,
            slot: closed.slot,
            longest: 0,
        };
        if self.entries.push_back(entry).is_err() {
            // Unreachable: a version is made before the last place is taken.
            return self.refused(now, closed.slot);
        }
        self.poll(now)
    }

    /// Makes a new version if one is due.
    pub fn poll(&mut self, now: Instant) -> Change {
        if self.waiting() == 0 || self.ended {
            return Change::default();
        }
        let due = self.deadline().is_none_or(|deadline| now >= deadline);
        if !due {
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

    /// When `poll` will make the next version; `None` if nothing waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let updated_at = self.updated_at.filter(|_| self.waiting() > 0)?;
        let half = u64::from(self.target_s?) * 500_000;
        Some(updated_at.after(Duration::from_micros(half)))
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
    pub fn discontinuities(&self) -> u64 {
        let tags = self.entries.iter().filter(|entry| entry.discontinuity).count();
        self.discontinuity_sequence.saturating_add(u64::try_from(tags).unwrap_or(u64::MAX))
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
        (self.media_sequence..)
            .zip(self.entries.iter())
            .take(self.listed)
            .map(|(sequence, entry)| Listed { sequence, slot: entry.slot, micros: entry.micros })
    }

    /// Duration of the current version, microseconds.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.listed().map(|listed| listed.micros).sum()
    }

    /// Renders the current version; at most `PLAYLIST_BYTES_MAX`. Segments are named by
    /// `segment_name`. Not to be called before `is_listed`.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit(&self, w: &mut Writer<'_>, epoch: u32) -> Result<(), Full> {
        debug_assert!(self.is_listed());
        Line::Header.emit(w)?;
        Line::Version(3).emit(w)?;
        Line::TargetDuration(self.target_s.unwrap_or(1).into()).emit(w)?;
        Line::MediaSequence(self.media_sequence).emit(w)?;
        Line::DiscontinuitySequence(self.discontinuity_sequence).emit(w)?;
        if self.independent {
            Line::IndependentSegments.emit(w)?;
        }
        let listed = (self.media_sequence..).zip(self.entries.iter());
        for (sequence, entry) in listed.take(self.listed) {
            emit_segment(w, entry.discontinuity, entry.micros, epoch, sequence)?;
        }
        if self.ended {
            Line::EndList.emit(w)?;
        }
        Ok(())
    }

    /// Adds what happened since the last call to the process's counters.
    pub fn report(&mut self, status: &Status) {
        let counts = core::mem::take(&mut self.counts);
        status.add(Counter::Segments, counts.segments);
        status.add(Counter::UpdatesEarly, counts.updates_early);
        status.add(Counter::WindowCut, counts.window_cut);
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
        let total = self.micros();
        for (n, entry) in self.entries.iter().enumerate() {
            let seconds = rounded_seconds(entry.micros);
            assert!(seconds <= self.target_s.unwrap_or(0).into(), "R9");
            assert_eq!(entry.longest >= total, n < self.listed, "R35");
        }
    }

    /// Segments that no version lists yet.
    fn waiting(&self) -> usize {
        self.entries.len() - self.listed
    }

    /// Lists what waits, removes what may leave.
    fn publish(&mut self, now: Instant) -> Change {
        let added = u64::try_from(self.waiting()).unwrap_or(0);
        self.counts.segments += added;
        self.listed = self.entries.len();
        self.updated_at = Some(now);
        self.version += 1;
        let mut retired = Vec::new();
        while !retired.is_full()
            && let Some(segment) = self.retire(now)
        {
            if retired.push(segment).is_err() {
                break;
            }
        }
        let total = self.micros();
        for entry in &mut self.entries {
            entry.longest = entry.longest.max(total);
        }
        Change { updated: true, retired }
    }

    /// Removes the oldest segment if it may or must leave.
    fn retire(&mut self, now: Instant) -> Option<Retired> {
        if self.listed <= self.config.window_segments {
            return None;
        }
        let oldest = *self.entries.front()?;
        let targets = u64::from(self.target_s?) * 3_000_000;
        if self.micros() - oldest.micros < targets {
            // Room for what may wait until the next version, and the one that forces it.
            if self.listed + PENDING_SEGMENTS_MAX < self.config.listed_max {
                return None;
            }
            self.counts.window_cut += 1;
        }
        self.entries.pop_front()?;
        self.listed -= 1;
        let sequence = self.media_sequence;
        self.media_sequence += 1;
        self.discontinuity_sequence += u64::from(oldest.discontinuity);
        let keep = Duration::from_micros(oldest.micros + oldest.longest);
        Some(Retired { slot: oldest.slot, sequence, keep_until: now.after(keep) })
    }

    /// A segment that is not taken goes back to the caller.
    fn refused(&self, now: Instant, slot: usize) -> Change {
        let mut change = Change::default();
        let retired = Retired { slot, sequence: self.next_sequence(), keep_until: now };
        let kept = change.retired.push(retired);
        debug_assert!(kept.is_ok());
        change
    }
}

/// A playlist of a recording, written as it grows and never held.
///
/// The target duration is known last: write segments to one place, then `header`, those lines and
/// `EXT-X-ENDLIST` (which `end` writes) to another.
#[derive(Debug)]
pub struct VodPlaylist {
    sequence: u64,
    durations: Durations,
    longest_micros: u64,
    independent: bool,
}

impl VodPlaylist {
    /// A playlist whose first segment has the sequence number 0.
    #[must_use]
    pub const fn new() -> Self {
        Self { sequence: 0, durations: Durations::new(), longest_micros: 0, independent: true }
    }

    /// Writes the lines of the next segment, at most 96 bytes. `slot` is not used.
    ///
    /// # Errors
    /// `Full` if they do not fit; the segment is not counted then, though a part may be written.
    pub fn segment(&mut self, w: &mut Writer<'_>, epoch: u32, closed: &Closed) -> Result<(), Full> {
        let mut durations = self.durations;
        let micros = durations.next(closed.duration.max(Ticks(1)));
        emit_segment(w, closed.discontinuity, micros, epoch, self.sequence)?;
        self.durations = durations;
        self.sequence += 1;
        self.longest_micros = self.longest_micros.max(micros);
        self.independent &= closed.independent;
        Ok(())
    }

    /// Writes the header of all that was written so far, at most 256 bytes. There is no
    /// discontinuity sequence: nothing leaves (and R13 forbids it).
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn header(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        Line::Header.emit(w)?;
        Line::Version(3).emit(w)?;
        Line::TargetDuration(rounded_seconds(self.longest_micros).max(1)).emit(w)?;
        Line::MediaSequence(0).emit(w)?;
        Line::Vod.emit(w)?;
        if self.independent {
            Line::IndependentSegments.emit(w)?;
        }
        Ok(())
    }

    /// Writes the last line.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn end(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        Line::EndList.emit(w)
    }

    /// Sequence number of the segment that comes next.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.sequence
    }
}

impl Default for VodPlaylist {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes a segment's file name: no two lives of a stream share an epoch, so that no name ever
/// means two segments.
///
/// # Errors
/// `Full` if it does not fit.
pub fn segment_name(w: &mut Writer<'_>, epoch: u32, sequence: u64) -> Result<(), Full> {
    put(w, format_args!("{epoch:08x}-{sequence}.ts"))
}

fn emit_segment(
    w: &mut Writer<'_>,
    discontinuity: bool,
    micros: u64,
    epoch: u32,
    sequence: u64,
) -> Result<(), Full> {
    if discontinuity {
        Line::Discontinuity.emit(w)?;
    }
    Line::Segment { micros, title: "" }.emit(w)?;
    segment_name(w, epoch, sequence)?;
    w.u8(b'\n')
}

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
mod tests {
    use super::*;
    use crate::limits::{PLAYLIST_BYTES_MAX, PLAYLIST_LINE_BYTES_MAX};
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000;

    fn config() -> PlaylistConfig {
        PlaylistConfig {
            segment: Ticks::from_millis(6_000),
            window_segments: 5,
            listed_max: PLAYLIST_SEGMENTS_MAX,
            target_duration_s: None,
            media_sequence: 0,
            discontinuity_sequence: 0,
        }
    }

    fn segment(ms: i64) -> Closed {
        Closed {
            duration: Ticks::from_millis(ms),
            discontinuity: false,
            independent: true,
            slot: 0,
        }
    }

    fn text(playlist: &Playlist) -> String {
        let mut buffer = vec![0; PLAYLIST_BYTES_MAX];
        let mut w = Writer::new(&mut buffer);
        playlist.emit(&mut w, 0xab).unwrap();
        String::from_utf8(w.written().to_vec()).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant(seconds * SECOND)
    }

    /// A playlist that took `n` segments of 6 s in real time, and the time after.
    fn steady(config: PlaylistConfig, n: u64) -> (Playlist, u64) {
        let mut p = Playlist::new(config);
        for i in 1..=n {
            assert!(p.closed(at(6 * i), segment(6_000)).updated);
            p.check_invariants();
        }
        (p, 6 * n)
    }

    #[test]
    fn playlist_is_not_listed_before_its_first_segment() {
        let mut p = Playlist::new(config());
        assert!(!p.is_listed());
        assert_eq!(p.poll(at(100)), Change::default());
        assert_eq!(p.end(at(100)), Change::default());
        assert!(p.closed(at(101), segment(6_000)).updated);
        assert!(p.is_listed());
        assert_eq!(
            text(&p),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXTINF:6.000000,\n000000ab-0.ts\n"
        );
    }

    #[test]
    fn r9_r10_target_is_settled_by_the_first_segment_with_room_to_grow() {
        // 1.05 × first ≤ T + 0.499 and T ≥ the configured 6 s.
        for (ms, target) in
            [(500, 6), (6_000, 6), (6_189, 6), (6_190, 7), (10_000, 11), (10_500, 11)]
        {
            let mut p = Playlist::new(config());
            let _ = p.closed(at(0), segment(ms));
            assert_eq!(p.target_duration_s(), Some(target), "{ms}");
            let _ = p.closed(at(9), segment(2_000));
            assert_eq!(p.target_duration_s(), Some(target), "constant");
        }
    }

    #[test]
    fn r10_target_by_setting_is_not_moved_by_segments() {
        for (setting, target) in [(0, 1), (8, 8), (1_000, TARGET_DURATION_S_MAX)] {
            let mut p =
                Playlist::new(PlaylistConfig { target_duration_s: Some(setting), ..config() });
            assert_eq!(p.target_duration_s(), Some(target));
            let _ = p.closed(at(0), segment(6_000));
            assert_eq!(p.target_duration_s(), Some(target));
        }
    }

    #[test]
    fn cut_limit_is_bounded_before_and_exact_after_the_target_is_settled() {
        let mut p = Playlist::new(config());
        assert_eq!(p.cut_limit(), Ticks::from_millis(FIRST_SEGMENT_MS_MAX));
        let _ = p.closed(at(0), segment(6_000));
        assert_eq!(p.cut_limit(), Ticks::from_millis(6_499));
        let long =
            Playlist::new(PlaylistConfig { segment: Ticks::from_millis(20_000), ..config() });
        assert_eq!(long.cut_limit(), Ticks::from_millis(30_000));
    }

    #[test]
    fn r9_segment_over_the_limit_is_listed_at_the_limit_and_counted() {
        let status = Status::new();
        let (mut p, now) = steady(config(), 1);
        let most = 6_000 + TARGET_EXCESS_MS_MAX;
        let _ = p.closed(at(now + 7), segment(most));
        assert!(text(&p).contains("#EXTINF:6.499000,"));
        p.report(&status);
        assert_eq!(status.get(Counter::SegmentsOverlong), 0);
        let _ = p.closed(at(now + 14), segment(most + 1));
        assert_eq!(text(&p).matches("#EXTINF:6.499000,").count(), 2);
        p.report(&status);
        assert_eq!(status.get(Counter::SegmentsOverlong), 1);
        assert_eq!(status.get(Counter::Segments), 3);
    }

    #[test]
    fn r33_media_sequence_rises_with_each_removal_from_its_start() {
        let (p, _) = steady(PlaylistConfig { media_sequence: 1_000, ..config() }, 9);
        assert_eq!(p.media_sequence(), 1_004);
        assert_eq!(p.next_sequence(), 1_009);
        assert!(text(&p).contains("#EXT-X-MEDIA-SEQUENCE:1004\n"));
        assert!(text(&p).contains("\n000000ab-1004.ts\n"));
        assert_eq!(p.listed().count(), 5);
    }

    #[test]
    fn r34_three_targets_remain_though_the_window_is_smaller() {
        let (mut p, mut now) = steady(config(), 5);
        for _ in 0..40 {
            now += 3;
            let _ = p.closed(at(now), segment(1_000));
            assert!(p.micros() >= 18 * SECOND);
            p.check_invariants();
        }
        assert_eq!(p.listed().count(), 18, "18 of 1 s, and none more than needed");
    }

    #[test]
    fn r34_yields_only_where_there_is_no_room() {
        let status = Status::new();
        let mut p = Playlist::new(PlaylistConfig { listed_max: 10, ..config() });
        for i in 0..30 {
            let _ = p.closed(at(3 * i), segment(1_000));
            p.check_invariants();
        }
        assert_eq!(p.listed().count(), 7);
        p.report(&status);
        assert_eq!(status.get(Counter::WindowCut), 23);
    }

    #[test]
    fn r34_window_is_reached_over_several_versions() {
        let mut p = Playlist::new(PlaylistConfig { window_segments: 3, ..config() });
        let _ = p.closed(at(0), segment(6_000));
        for i in 1..=30 {
            let _ = p.closed(at(3 * i), segment(600));
        }
        // Three targets in long segments: from now on the short ones may all leave.
        let retired: Vec<_, 8> =
            (1..8).map(|i| p.closed(at(90 + 6 * i), segment(6_000)).retired.len()).collect();
        assert!(retired.contains(&RETIRED_PER_UPDATE_MAX), "{retired:?}");
        assert_eq!(p.listed().count(), 3);
    }

    #[test]
    fn window_is_moved_to_its_bound() {
        let listed = |window_segments| {
            let wide = PlaylistConfig { window_segments, ..config() };
            steady(wide, 100).0.listed().count()
        };
        assert_eq!(listed(WINDOW_MAX), WINDOW_MAX);
        assert_eq!(listed(WINDOW_MAX + 1), WINDOW_MAX);
    }

    #[test]
    fn r35_retired_segment_is_kept_for_itself_and_the_longest_list() {
        let (mut p, now) = steady(config(), 5);
        let change = p.closed(at(now + 6), segment(6_000));
        let wanted = Retired { slot: 0, sequence: 0, keep_until: at(now + 6 + 6 + 30) };
        assert_eq!(change.retired.as_slice(), [wanted]);
    }

    #[test]
    fn r36_discontinuity_sequence_rises_when_the_tag_leaves() {
        // The sheet's example: [A][B][D C][E].
        let mut p =
            Playlist::new(PlaylistConfig { window_segments: 3, media_sequence: 10, ..config() });
        let mut now = 0;
        let mut push = |p: &mut Playlist, discontinuity| {
            now += 6;
            let _ = p.closed(at(now), Closed { discontinuity, ..segment(6_000) });
            (p.media_sequence(), p.discontinuity_sequence())
        };
        for (discontinuity, wanted) in [
            (false, (10, 0)),
            (false, (10, 0)),
            (true, (10, 0)),
            (false, (11, 0)),
            (false, (12, 0)),
            (false, (13, 1)),
        ] {
            assert_eq!(push(&mut p, discontinuity), wanted);
        }
        assert!(text(&p).contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
        assert!(!text(&p).contains("#EXT-X-DISCONTINUITY\n"));
    }

    #[test]
    fn r37_version_waits_for_half_a_target_after_the_one_before() {
        let (mut p, now) = steady(config(), 1);
        assert_eq!(p.deadline(), None);
        assert!(!p.closed(at(now + 1), segment(1_000)).updated);
        assert_eq!(p.deadline(), Some(at(now + 3)));
        assert!(!p.poll(Instant(at(now + 3).0 - 1)).updated);
        assert_eq!(p.listed().count(), 1);
        assert!(p.poll(at(now + 3)).updated);
        assert_eq!(p.listed().count(), 2);
        assert_eq!(p.deadline(), None);
    }

    #[test]
    fn r37_burst_is_published_early_and_counted() {
        let status = Status::new();
        let (mut p, now) = steady(config(), 1);
        for _ in 0..PENDING_SEGMENTS_MAX {
            assert!(!p.closed(at(now), segment(6_000)).updated);
        }
        assert!(p.closed(at(now), segment(6_000)).updated);
        assert_eq!(p.listed().count(), 1 + PENDING_SEGMENTS_MAX + 1);
        p.report(&status);
        assert_eq!(status.get(Counter::UpdatesEarly), 1);
    }

    #[test]
    fn r38_end_lists_what_waits_and_is_final() {
        let (mut p, now) = steady(config(), 2);
        let _ = p.closed(at(now + 1), segment(1_000));
        assert!(p.end(at(now + 1)).updated);
        let ended = text(&p);
        assert!(ended.ends_with("-2.ts\n#EXT-X-ENDLIST\n"));
        let change = p.closed(at(now + 9), Closed { slot: 7, ..segment(6_000) });
        assert!(!change.updated);
        assert_eq!(change.retired[0].slot, 7, "given back");
        assert!(!p.poll(at(now + 99)).updated && !p.end(at(now + 99)).updated);
        assert_eq!(text(&p), ended);
        p.check_invariants();
    }

    #[test]
    fn r40_live_playlist_has_no_type() {
        assert!(!text(&steady(config(), 9).0).contains("PLAYLIST-TYPE"));
    }

    #[test]
    fn independent_segments_goes_with_the_first_forced_cut_for_good() {
        let tag = "#EXT-X-INDEPENDENT-SEGMENTS\n";
        let (mut p, now) = steady(config(), 2);
        assert!(text(&p).contains(tag));
        let forced = Closed { independent: false, ..segment(6_000) };
        let _ = p.closed(at(now + 6), forced);
        for i in 2..20 {
            assert!(!text(&p).contains(tag));
            let _ = p.closed(at(now + 6 * i), segment(6_000));
        }
    }

    #[test]
    fn largest_playlist_fits_its_bound() {
        let mut p = Playlist::new(PlaylistConfig {
            segment: Ticks::from_millis(60_000),
            media_sequence: u64::MAX - 1_000,
            discontinuity_sequence: u64::MAX - 1_000,
            window_segments: 60,
            target_duration_s: Some(60),
            ..config()
        });
        for i in 0..300 {
            let closed = Closed {
                discontinuity: true,
                independent: i > 200,
                ..segment(if i % 70 == 0 { 60_499 } else { 1_001 })
            };
            let _ = p.closed(at(31 * i), closed);
            p.check_invariants();
            assert!(text(&p).len() < PLAYLIST_BYTES_MAX);
        }
        assert!(p.listed().count() > 60);
    }

    #[test]
    fn vod_playlist_is_written_as_it_grows() {
        let mut vod = VodPlaylist::new();
        let (mut body, mut head) = ([0; 400], [0; 256]);
        let mut w = Writer::new(&mut body);
        vod.segment(&mut w, 1, &segment(6_006)).unwrap();
        let forced = Closed { discontinuity: true, independent: false, ..segment(9_500) };
        vod.segment(&mut w, 1, &forced).unwrap();
        vod.segment(&mut Writer::new(&mut [0; 20]), 1, &segment(99_000)).unwrap_err();
        vod.end(&mut w).unwrap();
        assert_eq!(vod.next_sequence(), 2, "what did not fit is not counted");
        let mut h = Writer::new(&mut head);
        vod.header(&mut h).unwrap();
        let whole = [h.written(), w.written()].concat();
        assert_eq!(
            String::from_utf8(whole).unwrap(),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:6.006000,\n00000001-0.ts\n\
             #EXT-X-DISCONTINUITY\n#EXTINF:9.500000,\n00000001-1.ts\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn longest_lines_of_a_segment_fit_their_bound() {
        let mut vod = VodPlaylist { sequence: u64::MAX - 1, ..VodPlaylist::new() };
        let longest =
            Closed { duration: Ticks(1 << 53), discontinuity: true, independent: true, slot: 0 };
        let mut lines = [0; PLAYLIST_LINE_BYTES_MAX];
        let mut w = Writer::new(&mut lines);
        vod.segment(&mut w, u32::MAX, &longest).unwrap();
        let text = core::str::from_utf8(w.written()).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    /// One version as a player reads it; shares nothing with the code under test.
    #[derive(Clone, Debug, Default)]
    struct Snapshot {
        at: u64,
        target: u64,
        sequence: u64,
        discontinuity_sequence: u64,
        independent: bool,
        ended: bool,
        /// Microseconds, discontinuity, URI.
        segments: std::vec::Vec<(u64, bool, String)>,
    }

    impl Snapshot {
        fn read(at: u64, text: &str) -> Self {
            let mut s = Self { at, ..Self::default() };
            let mut seen = std::collections::BTreeSet::new();
            let (mut micros, mut discontinuity) = (None, false);
            assert_eq!(text.lines().next(), Some("#EXTM3U"), "R1");
            for line in text.lines() {
                if let Some(value) = line.strip_prefix("#EXTINF:") {
                    let (whole, fraction) =
                        value.strip_suffix(',').unwrap().split_once('.').unwrap();
                    assert_eq!(fraction.len(), 6);
                    micros = Some(format!("{whole}{fraction}").parse().unwrap());
                } else if line == "#EXT-X-DISCONTINUITY" {
                    discontinuity = true;
                } else if line.starts_with('#') {
                    let (tag, value) = line.split_once(':').unwrap_or((line, "0"));
                    assert!(seen.insert(tag.to_owned()), "R9, R11, R12, R15, R44: {tag} twice");
                    let value = value.parse().unwrap();
                    match tag {
                        "#EXT-X-TARGETDURATION" => s.target = value,
                        "#EXT-X-MEDIA-SEQUENCE" => s.sequence = value,
                        "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                            assert!(s.segments.is_empty() && !discontinuity, "R12");
                            s.discontinuity_sequence = value;
                        }
                        "#EXT-X-INDEPENDENT-SEGMENTS" => s.independent = true,
                        "#EXT-X-ENDLIST" => s.ended = true,
                        "#EXTM3U" | "#EXT-X-VERSION" => {}
                        _ => panic!("unknown tag {tag}"),
                    }
                } else {
                    let micros: u64 = micros.take().expect("R6");
                    let discontinuity = core::mem::take(&mut discontinuity);
                    s.segments.push((micros, discontinuity, line.to_owned()));
                }
            }
            assert!(!s.segments.is_empty(), "never empty");
            assert!(seen.contains("#EXT-X-TARGETDURATION"), "R9");
            for (micros, ..) in &s.segments {
                assert!((micros + 500_000) / 1_000_000 <= s.target, "R9: {micros}");
            }
            s
        }

        fn total(&self) -> u64 {
            self.segments.iter().map(|s| s.0).sum()
        }

        /// Checks the change from `old` to this version.
        fn follows(&self, old: &Self) {
            assert!(!old.ended, "R31: ENDLIST is final");
            assert_eq!(self.target, old.target, "R10");
            assert!(self.sequence >= old.sequence, "R11");
            let gone = usize::try_from(self.sequence - old.sequence).unwrap();
            assert!(gone <= old.segments.len(), "R32: nothing leaves unseen");
            let kept = &old.segments[gone..];
            assert!(self.segments.starts_with(kept), "R31, R32, R33: old lines stay as they were");
            let added = self.segments.len() - kept.len();
            let tags = old.segments[..gone].iter().filter(|s| s.1).count();
            let raised = self.discontinuity_sequence - old.discontinuity_sequence;
            assert_eq!(raised, u64::try_from(tags).unwrap(), "R12, R36");
            assert!(gone == 0 || self.total() >= 3 * self.target * SECOND, "R34");
            assert!(old.independent || !self.independent, "never comes back");
            if !self.ended {
                assert!(added > 0, "R37: a new segment in each version");
                let early = self.at - old.at < self.target * SECOND / 2;
                assert!(!early || added > 2, "R37");
            }
        }
    }

    #[derive(Clone, Debug)]
    struct Step {
        wait_ms: u64,
        ms: i64,
        discontinuity: bool,
        independent: bool,
        slot: usize,
    }

    fn step() -> impl Strategy<Value = Step> {
        let wait = prop_oneof![2 => 0u64..500, 5 => 1_000u64..7_000, 1 => 0u64..60_000];
        let ms = prop_oneof![6 => 1_500i64..6_600, 2 => 200i64..1_500, 1 => 6_400i64..15_000];
        (wait, ms, 0u8..8, 0u8..30, any::<usize>()).prop_map(|(wait_ms, ms, d, i, slot)| Step {
            wait_ms,
            ms,
            discontinuity: d == 0,
            independent: i != 0,
            slot,
        })
    }

    /// Feeds `steps` to a playlist and keeps every version.
    fn live(config: PlaylistConfig, steps: &[Step], ends: bool) {
        let mut p = Playlist::new(config);
        let mut history: std::vec::Vec<Snapshot> = std::vec::Vec::new();
        let mut retired_all = std::vec::Vec::new();
        let mut now = Instant(7);
        let mut see = |p: &Playlist, now: Instant, change: Change| {
            p.check_invariants();
            if change.updated {
                let snapshot = Snapshot::read(now.0, &text(p));
                if let Some(old) = history.last() {
                    snapshot.follows(old);
                }
                history.push(snapshot);
            }
            for retired in change.retired {
                assert!(!p.listed().any(|l| l.sequence == retired.sequence));
                retired_all.push((now.0, retired));
            }
        };
        for step in steps {
            let until = now.after(Duration::from_millis(step.wait_ms));
            // The service's tick of 100 ms.
            while now < until {
                now = until.min(now.after(Duration::from_millis(100)));
                let change = p.poll(now);
                see(&p, now, change);
            }
            let closed = Closed {
                duration: Ticks::from_millis(step.ms),
                discontinuity: step.discontinuity,
                independent: step.independent,
                slot: step.slot,
            };
            let change = p.closed(now, closed);
            see(&p, now, change);
        }
        if ends {
            let change = p.end(now);
            see(&p, now, change);
        }
        check_whole(&history, steps, &config);
        for (when, retired) in retired_all {
            let name = format!("000000ab-{}.ts", retired.sequence);
            let listing = |s: &&Snapshot| s.segments.iter().any(|s| s.2 == name);
            let longest = history.iter().filter(listing).map(Snapshot::total).max();
            let index = usize::try_from(retired.sequence - config.media_sequence).unwrap();
            assert_eq!(retired.slot, steps[index].slot, "the slot of that sequence");
            let own = history.iter().find(listing).unwrap();
            let own = own.segments.iter().find(|s| s.2 == name).unwrap().0;
            assert!(retired.keep_until.0 >= when + own + longest.unwrap(), "R35");
        }
    }

    /// Checks what only the whole history and the input together show.
    fn check_whole(history: &[Snapshot], steps: &[Step], config: &PlaylistConfig) {
        for s in history {
            let first = usize::try_from(s.sequence - config.media_sequence).unwrap();
            for (n, (micros, discontinuity, uri)) in (0..).zip(&s.segments) {
                let step = &steps[first + usize::try_from(n).unwrap()];
                assert_eq!(uri, &format!("000000ab-{}.ts", s.sequence + n));
                assert_eq!(*discontinuity, step.discontinuity);
                assert!(!s.independent || step.independent, "truthful");
                let ms = step.ms.unsigned_abs().min(s.target * 1_000 + 499);
                assert!(micros.abs_diff(ms * 1_000) <= 1);
            }
            // Discontinuity sequence of the last segment, counted from the input alone.
            let last = first + s.segments.len();
            let tags = steps[..last].iter().filter(|s| s.discontinuity).count();
            let listed = s.segments.iter().filter(|s| s.1).count();
            let gone = u64::try_from(tags - listed).unwrap();
            assert_eq!(s.discontinuity_sequence, config.discontinuity_sequence + gone);
        }
    }

    proptest! {
        #[test]
        fn r9_to_r12_and_r31_to_r37_hold_over_any_history(
            steps in prop::collection::vec(step(), 1..120),
            window_segments in 0usize..70,
            target_duration_s in prop_oneof![Just(None), (1u32..9).prop_map(Some)],
            media_sequence in 0u64..1_000_000,
            discontinuity_sequence in 0u64..1_000,
            ends in any::<bool>(),
        ) {
            let config = PlaylistConfig {
                window_segments,
                target_duration_s,
                media_sequence,
                discontinuity_sequence,
                ..config()
            };
            live(config, &steps, ends);
        }
    }
}
