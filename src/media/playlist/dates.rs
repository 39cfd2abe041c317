//! Which date a segment has: media time mapped to wall time once, and kept.
//!
//! ```text
//!  wall ▲          ┌─ behind a discontinuity: seen anew, never before the last end
//!       │        ╱ │
//!       │      ╱   one mapping: date = media time + offset, however late bytes come
//!       │    ╱
//!       └────────────► media
//! ```
//!
//! * The offset is the earliest that was seen over the mapping's first segment: what comes in a
//!   burst was made before it came, and no date may lie in the future. Arrival does not move it
//!   after that. Only where a whole run of segments is off on one side, because the sender's
//!   crystal is not ours, is it led after them by less than a date can say.
//! * Dates of one playlist never go back and name no moment twice (R43, RFC 8216 §6.2.1). At a
//!   discontinuity the offset is seen anew and the date is at least the end of the last segment. A
//!   wall clock that was moved, or a sender that paused and went on, ends the mapping: segments are
//!   undated until all that it dated have left the playlist, or until a discontinuity behind which
//!   the new date is a later one. Behind one where it is not, the old mapping dates the segment: it
//!   must have a date (R43).
//! * A segment has no date that began while the clock could not be believed; the mapping outlives
//!   that. Whether the clock was moved is asked of the monotonic clock, not of the media.
//!
//! Reads no clock. Source: RFC 8216 §4.3.2.6, §6.2.1.

use crate::limits::{
    CLOCK_STEP_US_MIN, DATE_DRIFT_SEGMENTS, DATE_FAULT_US_MAX, DATE_SLACK_US, DATE_SLEW_US_MAX,
};
use crate::media::group::Group;
use crate::media::sink::Segment;
use crate::time::{Instant, UnixMillis};

/// What both clocks said at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The wall clock.
    pub wall: UnixMillis,
    /// The monotonic clock.
    pub now: Instant,
}

impl Seen {
    fn micros(self) -> i64 {
        i64::try_from(self.wall.0).unwrap_or(i64::MAX / 1000).saturating_mul(1000)
    }

    /// What the wall clock is ahead of the monotonic one.
    fn ahead(self) -> i64 {
        self.micros().saturating_sub_unsigned(self.now.0)
    }
}

/// A segment in media time, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: i64,
    end: i64,
    discontinuity: bool,
    sequence: u64,
}

impl Span {
    /// What `segment` spans, which has this media sequence number.
    #[must_use]
    pub const fn of(segment: &Segment, sequence: u64) -> Self {
        let (start, end) = (segment.start.micros(), segment.start.plus(segment.duration).micros());
        Self { start, end, discontinuity: segment.discontinuity, sequence }
    }
}

/// The dates of one playlist.
#[derive(Clone, Debug)]
pub struct Dates {
    mapping: Option<Mapping>,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    /// Wall time less media time, microseconds.
    offset: i64,
    /// Wall time less monotonic time when it was last asked for.
    ahead: i64,
    /// Date of the end of the last segment that was dated, microseconds.
    end: i64,
    /// Its sequence number.
    last: u64,
    /// Segments in a row that came beside their dates: later if positive.
    beside: i8,
    /// It is not true any more.
    over: bool,
}

impl Dates {
    /// Nothing is dated yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a playlist's start is not a zero value")]
    pub const fn new() -> Self {
        Self { mapping: None }
    }

    /// The dates behind a playlist of an earlier run, whose last dated segment is `last` and which
    /// ends at `end`: none of them comes again.
    #[must_use]
    pub fn after(last: u64, end: UnixMillis) -> Self {
        let end = i64::try_from(end.0.saturating_mul(1000)).unwrap_or(i64::MAX);
        let mapping = Mapping { offset: 0, ahead: 0, end, last, beside: 0, over: true };
        Self { mapping: Some(mapping) }
    }

    /// The date of the segment `span`, the next one of the playlist, of which `listed_first` is the
    /// oldest. `begun` is when its first bytes came, `ended` when the first behind it did: `None`
    /// where the clock could not be believed.
    pub fn date(
        &mut self,
        span: Span,
        begun: Option<Seen>,
        ended: Option<Seen>,
        listed_first: u64,
    ) -> Option<UnixMillis> {
        self.date_beside(span, (begun, ended), listed_first, None)
    }

    /// The same beside other streams, whose dates are the same at the same time (R61): `beside` is
    /// their group, and the discontinuity sequence number of the segment.
    pub fn date_beside(
        &mut self,
        span: Span,
        (begun, ended): (Option<Seen>, Option<Seen>),
        listed_first: u64,
        beside: Option<(&mut Group, u64)>,
    ) -> Option<UnixMillis> {
        let begun = begun?;
        let seen = offset(span, begun, ended);
        let mut mapping = match self.mapping {
            Some(mapping) if mapping.last >= listed_first => mapping.then(span, begun, seen),
            // Nothing that was dated can be seen any more.
            Some(mapping) if mapping.then(span, begun, seen).over => Mapping::new(seen, begun),
            Some(mapping) => mapping.then(span, begun, seen),
            None => Mapping::new(seen, begun),
        };
        let dated = !mapping.over || span.discontinuity;
        if let Some((group, number)) = beside.filter(|_| !mapping.over) {
            let anew = span.discontinuity || self.mapping.is_none();
            let least = self.mapping.map_or(i64::MIN, |last| last.end.saturating_sub(span.start));
            mapping.offset = group.date(number, mapping.offset, anew).max(least);
        }
        if dated {
            mapping.end = span.end.saturating_add(mapping.offset);
            mapping.last = span.sequence;
        }
        self.mapping = Some(mapping);
        let micros = span.start.saturating_add(mapping.offset);
        dated.then_some(UnixMillis(u64::try_from(micros / 1000).unwrap_or(0)))
    }

    /// The date of media time `at`, microseconds, while segments are dated.
    #[must_use]
    pub fn of(&self, at: i64) -> Option<UnixMillis> {
        let mapping = self.mapping.filter(|mapping| !mapping.over)?;
        let micros = at.saturating_add(mapping.offset);
        Some(UnixMillis(u64::try_from(micros / 1000).unwrap_or(0)))
    }
}

impl Mapping {
    fn new(offset: i64, begun: Seen) -> Self {
        Self { offset, ahead: begun.ahead(), end: i64::MIN, last: 0, beside: 0, over: false }
    }

    /// The mapping for `span`, after what was seen of it.
    fn then(self, span: Span, begun: Seen, seen: i64) -> Self {
        let ahead = begun.ahead();
        let moved = (ahead - self.ahead).abs() >= CLOCK_STEP_US_MIN;
        let now = Self { ahead, over: self.over || moved, ..self };
        if !span.discontinuity {
            return now.followed(seen);
        }
        // The earliest that this segment may begin.
        let least = self.end.saturating_sub(span.start);
        if seen >= least.saturating_sub(DATE_FAULT_US_MAX) {
            return Self { offset: seen.max(least), beside: 0, over: false, ..now };
        }
        Self { offset: least, beside: 0, over: true, ..now }
    }

    /// Follows a sender whose clock runs away from ours.
    fn followed(self, seen: i64) -> Self {
        let late = seen.saturating_sub(self.offset);
        if late.abs() <= DATE_SLACK_US {
            return Self { beside: 0, ..self };
        }
        let side = if late > 0 { 1 } else { -1 };
        let same = self.beside.signum() != -side;
        let beside = if same { self.beside.saturating_add(side) } else { side };
        let now = Self { beside, ..self };
        if beside.unsigned_abs() < DATE_DRIFT_SEGMENTS {
            return now;
        }
        if late.abs() > DATE_FAULT_US_MAX {
            return Self { over: true, ..now };
        }
        Self { offset: self.offset + i64::from(side) * DATE_SLEW_US_MAX, ..now }
    }
}

/// Wall time less media time of `span`: the earliest that was seen, unless the clock was moved.
fn offset(span: Span, begun: Seen, ended: Option<Seen>) -> i64 {
    let first = begun.micros().saturating_sub(span.start);
    let steady = |ended: &Seen| (ended.ahead() - begun.ahead()).abs() < CLOCK_STEP_US_MIN;
    let last = ended.filter(steady).map(|ended| ended.micros().saturating_sub(span.end));
    last.map_or(first, |last| last.min(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-01-05T10:20:30Z.
    const T: i64 = 1_767_608_430_000;

    /// Segments of two seconds, and a window of six.
    struct Run {
        dates: Dates,
        media_ms: i64,
        sequence: u64,
        /// Wall time when the next segment begins; monotonic time is `mono_ms`.
        wall_ms: i64,
        mono_ms: i64,
        good: bool,
    }

    impl Run {
        fn new() -> Self {
            let (wall_ms, mono_ms) = (T, 5_000);
            let dates = Dates::new();
            Self { dates, media_ms: 3_000, sequence: 0, wall_ms, mono_ms, good: true }
        }

        fn seen(&self, after_ms: i64) -> Option<Seen> {
            let wall = UnixMillis(u64::try_from(self.wall_ms + after_ms).unwrap());
            let now = Instant(u64::try_from((self.mono_ms + after_ms) * 1000).unwrap());
            self.good.then_some(Seen { wall, now })
        }

        /// A segment whose bytes came within `took_ms`; the date, less `T`.
        fn segment(&mut self, discontinuity: bool, took_ms: i64) -> Option<i64> {
            let (start, end) = (self.media_ms * 1000, (self.media_ms + 2_000) * 1000);
            let span = Span { start, end, discontinuity, sequence: self.sequence };
            let (begun, ended) = (self.seen(0), self.seen(took_ms));
            let listed_first = self.sequence.saturating_sub(6);
            let date = self.dates.date(span, begun, ended, listed_first);
            self.media_ms += 2_000;
            self.sequence += 1;
            self.passes(took_ms);
            date.map(|date| i64::try_from(date.0).unwrap() - T)
        }

        fn passes(&mut self, ms: i64) {
            self.wall_ms += ms;
            self.mono_ms += ms;
        }

        fn steady(&mut self, segments: usize) -> Vec<Option<i64>> {
            (0..segments).map(|_| self.segment(false, 2_000)).collect()
        }
    }

    #[test]
    fn r43_dates_go_on_with_media_whatever_arrival_does() {
        let mut run = Run::new();
        assert_eq!(run.segment(false, 2_000), Some(0));
        for (n, took) in (1..).zip([3_100, 900, 2_000, 2_490, 1_510, 40, 3_960, 2_000]) {
            assert_eq!(run.segment(false, took), Some(n * 2_000));
        }
    }

    #[test]
    fn burst_at_the_start_is_dated_before_it_came() {
        let mut run = Run::new();
        assert_eq!(run.segment(false, 100), Some(-1_900), "it ends now");
        assert_eq!(run.steady(2), [Some(100), Some(2_100)]);
        let mut run = Run::new();
        assert_eq!(run.segment(false, 9_000), Some(0), "the sender fell silent at its end");
    }

    #[test]
    fn r43_dates_begin_with_the_segment_that_begins_under_a_good_clock() {
        let mut run = Run::new();
        run.good = false;
        run.wall_ms = 1_000;
        assert_eq!(run.steady(2), [None, None]);
        (run.wall_ms, run.good) = (T, true);
        assert_eq!(run.segment(false, 2_000), Some(0));
        run.good = false;
        assert_eq!(run.steady(2), [None, None]);
        run.good = true;
        run.passes(300);
        assert_eq!(run.segment(false, 2_000), Some(6_000), "the mapping is the same");
    }

    #[test]
    fn r43_discontinuity_is_dated_anew_and_never_before_the_last_end() {
        let mut run = Run::new();
        run.steady(2);
        run.passes(60_000);
        assert_eq!(run.segment(true, 2_000), Some(64_000), "the camera was away for a minute");
        run.wall_ms -= 2_000;
        run.mono_ms -= 2_000;
        assert_eq!(run.segment(true, 2_000), Some(66_000), "a burst came before it was due");
    }

    #[test]
    fn r43_clock_that_is_moved_dates_nothing_until_its_old_dates_are_gone() {
        for year in [-31_536_000_000, 31_536_000_000] {
            let mut run = Run::new();
            run.steady(3);
            run.wall_ms += year;
            // Segment 2 is the last that was dated; it leaves with segment 9.
            assert_eq!(run.steady(6), [None; 6]);
            assert_eq!(run.steady(2), [Some(year + 18_000), Some(year + 20_000)]);
        }
    }

    #[test]
    fn r43_discontinuity_after_the_clock_was_moved_takes_the_later_date_only() {
        for (moved, date) in [(3_600_000, 3_606_000), (-3_600_000, 6_000)] {
            let mut run = Run::new();
            run.steady(3);
            run.wall_ms += moved;
            assert_eq!(run.segment(true, 2_000), Some(date));
            assert_eq!(run.segment(false, 2_000), (moved > 0).then_some(date + 2_000));
        }
    }

    #[test]
    fn step_of_the_clock_is_told_from_its_being_led() {
        for (step, dates) in [(249, 3), (250, 0), (-249, 3), (-250, 0)] {
            let mut run = Run::new();
            run.steady(3);
            run.wall_ms += step;
            let dated = run.steady(3).iter().flatten().count();
            assert_eq!((dated, CLOCK_STEP_US_MIN), (dates, 250_000), "{step}");
        }
    }

    #[test]
    fn sender_whose_crystal_is_off_is_followed_by_less_than_a_date_says() {
        for took in [2_001, 1_999] {
            let mut run = Run::new();
            let dates: Vec<i64> = (0..3_000).map(|_| run.segment(false, took).unwrap()).collect();
            for (n, pair) in dates.windows(2).enumerate() {
                let step = pair[1] - pair[0] - 2_000;
                assert!(step.abs() * 1000 <= DATE_SLEW_US_MAX, "{step} at {n}");
            }
            let off = run.wall_ms - T - 2_000 - dates[2_999];
            let off = off + if took < 2_000 { 0 } else { -1 };
            let slack = DATE_SLACK_US / 1000 + i64::from(DATE_DRIFT_SEGMENTS) + 2;
            assert!(off.abs() <= slack, "{off} ms");
        }
    }

    #[test]
    fn sender_that_paused_without_a_word_is_dated_anew_after_a_run_of_segments() {
        for (pause, renews) in [(DATE_FAULT_US_MAX / 1000, false), (5_001, true)] {
            let mut run = Run::new();
            run.steady(4);
            run.passes(pause);
            let before = usize::from(DATE_DRIFT_SEGMENTS) - 1;
            assert!(run.steady(before).iter().all(Option::is_some));
            assert_eq!(run.segment(false, 2_000).is_none(), renews);
            assert_eq!(run.steady(5).iter().flatten().count(), if renews { 0 } else { 5 });
            let date = run.segment(false, 2_000).unwrap();
            let true_date = run.wall_ms - T - 2_000;
            assert_eq!((true_date - date).abs() < 1_000, renews, "{date} {true_date}");
        }
    }

    #[test]
    fn moment_of_a_stream_is_dated_while_its_segments_are() {
        let mut run = Run::new();
        assert_eq!(run.dates.of(0), None);
        run.steady(2);
        let date = run.dates.of(3_500_000).unwrap();
        assert_eq!(i64::try_from(date.0).unwrap(), T + 500);
        run.wall_ms += 3_600_000;
        run.steady(1);
        assert_eq!(run.dates.of(3_500_000), None);
    }

    proptest! {
        /// What a clock and a network may do, the listed dates name no moment twice.
        #[test]
        fn r43_listed_dates_never_go_back(
            turns in prop::collection::vec(
                (0..5_000i64, -20_000..20_000i64, 0..20u8, any::<bool>(), 0..10u8), 1..200,
            ),
        ) {
            let mut run = Run::new();
            let mut dated: Vec<(u64, i64)> = Vec::new();
            for (took, moved, chance, discontinuity, good) in turns {
                if chance == 0 {
                    run.wall_ms += moved * 1000;
                }
                run.good = good > 0;
                let sequence = run.sequence;
                let discontinuity = discontinuity && chance < 4;
                let date = run.segment(discontinuity, took);
                prop_assert!(date.is_some() || !discontinuity || !run.good, "R43 S");
                let Some(date) = date else { continue };
                let listed_first = sequence.saturating_sub(6);
                for (n, (before, end)) in dated.iter().enumerate() {
                    let slew = i64::try_from(dated.len() - n).unwrap();
                    prop_assert!(*before < listed_first || date >= end - slew);
                }
                dated.push((sequence, date + 2_000));
            }
        }
    }
}
