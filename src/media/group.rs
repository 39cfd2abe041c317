//! Streams that one presentation offers side by side: the clock they share, where they cut, and
//! their discontinuities.
//!
//! ```text
//!  member ──► origin: where its time stands among the others'   (when it starts, or jumps)
//!         ──► admits, begins: may a segment begin here, and behind which discontinuity
//!         ──► is_due: must it end here
//! ```
//!
//! * **Clock.** A member whose time on the wire is that of another one on the air, but for what
//!   networks hold back, has the same encoder: it is placed as far from the other as the wire says,
//!   so that equal time on the wire is equal media time. One with a clock of its own is placed by
//!   its arrival, and is only roughly aligned. The first of all goes on behind what there was.
//! * **Cuts.** A cut is due at the first random access point a segment's duration behind the last
//!   cut of the group. Whoever comes first says where that is; all others cut at their first one
//!   from there on, so that members with the same key frames cut at the same ones whatever the
//!   network does to their order, and nobody waits. With a steady encoder that is each k-th segment
//!   duration; an encoder that is a little beside it does not drift out of it. Members without
//!   pictures cut where key frames did, or where the next is to be expected.
//! * **Discontinuities** belong to the group, and have a place in its time. A member that breaks
//!   off takes the next one that it has not had. If there is none, one is made where no member has
//!   been yet: there it goes on, and all others mark the same one at the same place (R60). So a
//!   reboot of all is one discontinuity; who was away meanwhile has as many tags to make up.
//! * **Target duration** is the group's. Members without pictures begin when it is settled, or they
//!   would settle it before the first key frame distance is known.
//!
//! Presentation time less the composition lead is compared: members of one encoder may differ in
//! the order in which pictures are sent. Holds no media and reads no clock.
//! Source: RFC 8216 §6.2.4; draft-pantos-http-live-streaming-12 §6.2.4; rules R60, R64.

use crate::limits::{
    CUT_SLACK_TICKS, DATE_SLACK_US, DATE_SLEW_US_MAX, FIRST_SEGMENT_MS_MAX, GROUP_APART_MS_MAX,
    GROUP_CUTS_MAX, GROUP_MARKS_MAX, GROUP_MEMBERS_MAX, GROUP_SILENCE_MAX, TIMELINE_EPOCH,
};
use crate::media::timeline::distance;
use crate::time::{Instant, Millis, Ticks};
use heapless::{Deque, Vec};

/// What the members of one group share.
#[derive(Debug)]
pub struct Group {
    /// Wanted duration of a segment.
    segment: Ticks,
    members: Vec<Member, GROUP_MEMBERS_MAX>,
    /// The last places where members cut, oldest first, and how many there were in all.
    cuts: Deque<Cut, GROUP_CUTS_MAX>,
    cut_count: u64,
    /// Places of the last discontinuities, oldest first, and how many there were before those.
    marks: Deque<Ticks, GROUP_MARKS_MAX>,
    marks_before: u64,
    /// Target duration, seconds.
    target_s: Option<u32>,
    /// Wall time less media time, microseconds, and since which discontinuity.
    date: Option<(u64, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    has_pictures: bool,
    /// Whether somebody publishes it.
    is_here: bool,
    /// Its time, while somebody publishes it and something came.
    clock: Option<Clock>,
    /// Behind the last of what it has shown.
    end: Option<Ticks>,
    /// Which cut its open segment began at.
    cut: u64,
    /// Discontinuity sequence number of its open segment.
    writing: u64,
    /// Since when it has waited for the others.
    waits: Option<Ticks>,
}

/// A place where a member cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    at: Ticks,
    /// Whether a key frame is there.
    key: bool,
}

/// A time on the wire, its place, and when it came.
#[derive(Clone, Copy, Debug)]
struct Clock {
    at: Millis,
    position: Ticks,
    heard: Instant,
}

/// A member's place in its group, with what is known of it now.
#[derive(Debug)]
pub struct Share<'g> {
    /// The group.
    pub group: &'g mut Group,
    /// Which member.
    pub member: usize,
    /// The time.
    pub now: Instant,
    /// Discontinuity sequence number behind its newest segment.
    pub discontinuities: u64,
}

impl Group {
    /// A group without members, whose segments are meant to last `segment`.
    #[must_use]
    pub const fn new(segment: Ticks) -> Self {
        Self {
            segment,
            members: Vec::new(),
            cuts: Deque::new(),
            cut_count: 0,
            marks: Deque::new(),
            marks_before: 0,
            target_s: None,
            date: None,
        }
    }

    /// Adds a member, with or without pictures. False if there are too many.
    pub fn add(&mut self, has_pictures: bool) -> bool {
        let member = Member {
            has_pictures,
            is_here: false,
            clock: None,
            end: None,
            cut: 0,
            writing: 0,
            waits: None,
        };
        self.members.push(member).is_ok()
    }

    /// Somebody publishes the member.
    pub fn comes(&mut self, member: usize) {
        if let Some(member) = self.members.get_mut(member) {
            (member.is_here, member.clock, member.waits) = (true, None, None);
        }
    }

    /// Nobody publishes it any more.
    pub fn goes(&mut self, member: usize) {
        if let Some(member) = self.members.get_mut(member) {
            (member.is_here, member.clock) = (false, None);
        }
    }

    /// Discontinuity sequence number behind all discontinuities, for a member that begins.
    #[must_use]
    pub fn discontinuities(&self) -> u64 {
        self.marks_before.saturating_add(count(self.marks.len()))
    }

    /// A member begins whose numbers are no lower than `discontinuities`: neither are those of the
    /// group. Where others are on the way they make up for it.
    pub fn go_on_from(&mut self, discontinuities: u64) {
        let more = discontinuities.saturating_sub(self.discontinuities());
        self.marks_before = self.marks_before.saturating_add(more);
    }

    /// Whether nothing of any member has come yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.members.iter().all(|member| member.end.is_none())
    }

    /// Target duration, seconds, once it is settled.
    #[must_use]
    pub const fn target_s(&self) -> Option<u32> {
        self.target_s
    }

    /// Settles the target duration, if it is not yet.
    pub fn settle(&mut self, target_s: Option<u32>) {
        self.target_s = self.target_s.or(target_s);
    }

    /// What wall time is ahead of media time behind that discontinuity, where a member found `own`,
    /// in microseconds: what the first of all found. With `anew` it was not led there from another.
    pub fn date(&mut self, discontinuity: u64, own: i64, anew: bool) -> i64 {
        let beside = |offset: i64| (own - offset).abs();
        let offset = match self.date {
            Some((_, offset)) if !anew && beside(offset) <= DATE_SLEW_US_MAX => own,
            // Networks bring the members at different times.
            Some((since, offset)) if since >= discontinuity || beside(offset) <= DATE_SLACK_US => {
                offset
            }
            Some(_) | None => own,
        };
        let since = self.date.map_or(0, |(since, _)| since).max(discontinuity);
        self.date = Some((since, offset));
        offset
    }

    /// Whether the member's clock and that of another one on the air are not the same.
    #[must_use]
    pub fn is_rough(&self, member: usize, now: Instant) -> bool {
        let Some(own) = self.members.get(member).and_then(|member| member.clock) else {
            return false;
        };
        self.others(member, now).any(|clock| {
            let same = |apart: i64| (clock.position.0 + apart - own.position.0).abs();
            distance(clock.at, own.at).is_none_or(|apart| same(apart) > SAME_CLOCK_TICKS)
        })
    }

    /// The open segment of the member ends. It was to have this number; behind a break that nobody
    /// foresaw, which `breaks` says, it is one of its own, and all others follow when they can.
    /// Says whether they are late with it.
    pub fn ends(&mut self, member: usize, start: Ticks, breaks: bool, had: u64) -> (u64, bool) {
        let writing = self.members.get(member).map_or(had, |member| member.writing).max(had);
        if !breaks || writing > had {
            return (writing, false);
        }
        let known = self.reached(start);
        if known <= had {
            self.mark(start);
        }
        if let Some(member) = self.members.get_mut(member) {
            member.writing = had.saturating_add(1);
        }
        (had.saturating_add(1), known <= had && self.members.len() > 1)
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If places are out of order.
    pub fn check_invariants(&self) {
        let cuts = || self.cuts.iter().map(|cut| cut.at);
        assert!(cuts().zip(cuts().skip(1)).all(|(a, b)| a <= b), "cuts are in order");
        let marks = || self.marks.iter();
        assert!(marks().zip(marks().skip(1)).all(|(a, b)| a <= b), "marks are in order");
        assert!(self.cut_count >= count(self.cuts.len()));
    }

    /// Clocks of other members that were heard of lately.
    fn others(&self, member: usize, now: Instant) -> impl Iterator<Item = Clock> {
        let members = self.members.iter().enumerate();
        members.filter_map(move |(number, other)| {
            other.clock.filter(|clock| number != member && now.since(clock.heard) < SILENCE)
        })
    }

    /// The first place from `at` on where a cut is to be expected.
    fn next_cut(&self, at: Ticks) -> Ticks {
        let last = self.last_key().or(self.cuts.back().copied());
        let Some(Cut { at: last, .. }) = last else { return at };
        let segment = self.segment.0.max(1);
        let steps = (at.0 - last.0 + segment - 1).div_euclid(segment).max(0);
        Ticks(last.0 + steps * segment)
    }

    /// The last cut with a key frame.
    fn last_key(&self) -> Option<Cut> {
        self.cuts.iter().rev().find(|cut| cut.key).copied()
    }

    /// Discontinuity sequence number of what begins at `at`.
    fn reached(&self, at: Ticks) -> u64 {
        let reached = self.marks.iter().filter(|mark| mark.0 <= at.0 + CUT_SLACK_TICKS.0);
        self.marks_before.saturating_add(count(reached.count()))
    }

    /// A discontinuity at `at`, behind all that there are.
    fn mark(&mut self, at: Ticks) {
        if self.marks.is_full() && self.marks.pop_front().is_some() {
            self.marks_before = self.marks_before.saturating_add(1);
        }
        let at = self.marks.back().map_or(at, |last| at.max(*last));
        let marked = self.marks.push_back(at);
        debug_assert!(marked.is_ok(), "room was made");
    }

    /// The remembered cuts with their numbers.
    fn numbered(&self) -> impl DoubleEndedIterator<Item = (u64, Cut)> {
        let first = self.cut_count.saturating_sub(count(self.cuts.len()));
        let cuts = self.cuts.iter().enumerate();
        cuts.map(move |(place, cut)| (first.saturating_add(count(place) + 1), *cut))
    }

    /// Number of the last cut that is at most `reach` behind `at`, with a key frame if it must have
    /// one.
    fn cut_at(&self, at: Ticks, reach: Ticks, key: bool) -> u64 {
        let reached = |(_, cut): &(u64, Cut)| cut.at.0 <= at.0 + reach.0 && (cut.key || !key);
        self.numbered().rev().find(reached).map_or(0, |(number, _)| number)
    }

    /// Whether `at` is a segment's duration behind the last cut, but for `reach`. Key frames are
    /// counted from key frames: sound alone does not say where they are.
    fn is_next(&self, at: Ticks, reach: Ticks, key: bool) -> bool {
        let last = if key { self.last_key() } else { self.cuts.back().copied() };
        last.is_none_or(|last| at.0 + reach.0 >= last.at.0 + self.segment.0)
    }

    /// Notes that a member cuts at `at`, and gives the number of that cut.
    fn cut(&mut self, at: Ticks, reach: Ticks, key: bool) -> u64 {
        if !self.is_next(at, reach, key) {
            return self.cut_at(at, reach, key);
        }
        let cut = Cut { at, key };
        let half = self.segment.0 / 2;
        // Where sound was cut instead, which may be ahead.
        let near = |(_, cut): &(u64, Cut)| !cut.key && (cut.at.0 - at.0).abs() <= half;
        let place = if key { self.numbered().find(near) } else { None };
        if let Some((number, near)) = place {
            for known in self.cuts.iter_mut().filter(|known| **known == near) {
                *known = cut;
            }
            return number;
        }
        if self.cuts.back().is_some_and(|last| last.at > at) {
            return self.cut_at(at, reach, key);
        }
        if self.cuts.is_full() {
            self.cuts.pop_front();
        }
        let noted = self.cuts.push_back(cut);
        debug_assert!(noted.is_ok(), "room was made");
        self.cut_count = self.cut_count.saturating_add(1);
        self.cut_count
    }
}

impl Share<'_> {
    /// Where the member's time `at` on the wire belongs, on the decode axis, if the member starts
    /// with it or jumps to it. None for a member that there is not.
    #[must_use]
    pub fn origin(&self, at: Millis) -> Option<Ticks> {
        let group = &self.group;
        let own = group.members.get(self.member)?.end;
        let floor = own.map_or(i64::MIN, |end| end.0);
        let mut by_arrival: Option<Clock> = None;
        for clock in group.others(self.member, self.now) {
            let waited = elapsed(clock.heard, self.now);
            if let Some(apart) = distance(clock.at, at)
                && (apart - waited).abs() <= Ticks::from_millis(GROUP_APART_MS_MAX).0
                && clock.position.0 + apart >= floor
            {
                return Some(Ticks(clock.position.0 + apart));
            }
            if by_arrival.is_none_or(|best| best.heard < clock.heard) {
                by_arrival = Some(clock);
            }
        }
        if let Some(clock) = by_arrival {
            let position = clock.position.0 + elapsed(clock.heard, self.now);
            // Others may follow, and must not find themselves behind what they have shown.
            return Some(Ticks(position.max(own.map_or(position, |end| end.0 + JUMP_GUARD_TICKS))));
        }
        let end = group.members.iter().filter_map(|member| member.end).max();
        Some(end.map_or(BEGIN, |end| group.next_cut(Ticks(end.0 + JUMP_GUARD_TICKS))))
    }

    /// The member's time `at` on the wire was placed at `position`; all of it ends at `end`.
    pub fn heard(&mut self, (at, position): (Millis, Ticks), end: Ticks) {
        let heard = self.now;
        if let Some(member) = self.group.members.get_mut(self.member) {
            // Not everything that comes has a time of its own.
            let old = |clock: &Clock| clock.at == at && clock.position == position;
            if !member.clock.as_ref().is_some_and(old) {
                member.clock = Some(Clock { at, position, heard });
            }
            member.end = Some(member.end.map_or(end, |before| before.max(end)));
        }
    }

    /// Whether a segment may begin at `at`; with `broken`, one that does not continue the last.
    #[must_use]
    pub fn admits(&mut self, at: Ticks, broken: bool) -> bool {
        if self.waits_for_target(at) {
            return false;
        }
        if !broken || self.group.reached(at) > self.discontinuities {
            return true;
        }
        if self.group.discontinuities() <= self.discontinuities {
            let place = self.unseen(at);
            self.group.mark(place);
        }
        self.group.reached(at) > self.discontinuities
    }

    /// A segment begins at `at`, with a key frame or without; says whether behind a discontinuity.
    pub fn begins(&mut self, at: Ticks, reach: Ticks, key: bool) -> bool {
        let cut = self.group.cut(at, reach, key);
        let writing = self.group.reached(at);
        if let Some(member) = self.group.members.get_mut(self.member) {
            (member.cut, member.writing, member.waits) = (cut, writing, None);
        }
        writing > self.discontinuities
    }

    /// Whether the open segment must end before what is at `at`, a key frame or not, where another
    /// one can begin.
    #[must_use]
    pub fn is_due(&self, at: Ticks, reach: Ticks, key: bool) -> bool {
        let group = &self.group;
        let began = group.members.get(self.member).map_or(0, |member| member.cut);
        group.is_next(at, reach, key) || group.cut_at(at, reach, key) > began
    }

    /// Whether the member is without pictures, and others will soon say how long segments are.
    fn waits_for_target(&mut self, at: Ticks) -> bool {
        let pictures =
            self.group.members.iter().any(|member| member.has_pictures && member.is_here);
        let settled = self.group.target_s.is_some() || !pictures;
        let Some(member) = self.group.members.get_mut(self.member) else { return false };
        let patience = Ticks::from_millis(FIRST_SEGMENT_MS_MAX);
        !settled && !member.has_pictures && at.minus(*member.waits.get_or_insert(at)) < patience
    }

    /// A place from `at` on where no other member has been yet, and where a cut is to be expected.
    fn unseen(&self, at: Ticks) -> Ticks {
        let members = self.group.members.iter().enumerate();
        let ends = members.filter_map(|(number, member)| {
            let is_other = number != self.member && member.clock.is_some();
            member.end.filter(|_| is_other)
        });
        match ends.max() {
            Some(end) => self.group.next_cut(at.max(Ticks(end.0 + 2 * CUT_SLACK_TICKS.0))),
            None => at,
        }
    }
}

/// Where the first of all begins: those behind it must not begin below the epoch.
const BEGIN: Ticks = TIMELINE_EPOCH.plus(Ticks::from_millis(GROUP_APART_MS_MAX));

/// What the same time on the wire may be apart on one clock: nothing; and what rounding makes of
/// it.
const SAME_CLOCK_TICKS: i64 = 90;

/// What a member that starts or jumps goes on behind its own end, so that others that do so with it
/// and began a little earlier are behind theirs.
const JUMP_GUARD_TICKS: i64 = 45_000;

const SILENCE: core::time::Duration = GROUP_SILENCE_MAX;

/// Ticks from one instant to another.
fn elapsed(from: Instant, to: Instant) -> i64 {
    let micros = i64::try_from(to.since(from).as_micros()).unwrap_or(0);
    micros.saturating_mul(9) / 100
}

fn count(places: usize) -> u64 {
    crate::storage::widen(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: i64 = 90_000;
    const REACH: Ticks = CUT_SLACK_TICKS;

    /// So many members with pictures, on the air.
    fn group(members: usize) -> Group {
        let mut group = Group::new(Ticks(2 * S));
        for member in 0..members {
            assert!(group.add(true));
            group.comes(member);
        }
        group
    }

    fn share(group: &mut Group, member: usize, now: i64, discontinuities: u64) -> Share<'_> {
        let now = Instant(u64::try_from(now / 9 * 100).unwrap());
        Share { group, member, now, discontinuities }
    }

    /// The member's time on the wire `at` comes at `now` and was placed at `position`.
    fn heard(group: &mut Group, member: usize, now: i64, (at, position): (i64, i64)) {
        let at = Millis(u32::try_from(at / 90).unwrap());
        share(group, member, now, 0).heard((at, Ticks(position)), Ticks(position + 3_600));
    }

    fn origin(group: &mut Group, member: usize, now: i64, at: i64) -> Option<i64> {
        let at = Millis(u32::try_from(at / 90).unwrap());
        share(group, member, now, 0).origin(at).map(|origin| origin.0)
    }

    #[test]
    fn members_of_one_clock_are_placed_as_the_wire_says_and_others_by_arrival() {
        let mut group = group(3);
        assert_eq!(origin(&mut group, 0, 0, 0), Some(BEGIN.0), "the first of all");
        heard(&mut group, 0, S, (10 * S, 3 * S));
        assert_eq!(origin(&mut group, 1, S, 9 * S), Some(2 * S), "it is a second behind");
        let most = GROUP_APART_MS_MAX * 90;
        assert_eq!(origin(&mut group, 1, S, 10 * S + most), Some(3 * S + most));
        assert_eq!(origin(&mut group, 1, S, 10 * S + most + 90), Some(3 * S), "by arrival");
        assert_eq!(origin(&mut group, 1, 2 * S, 3_600 * S), Some(4 * S), "by arrival");
        heard(&mut group, 1, S, (10 * S, 3 * S));
        assert!(!group.is_rough(1, Instant(1_000_000)));
        heard(&mut group, 1, S, (500 * S, 3 * S));
        assert!(group.is_rough(0, Instant(1_000_000)) && group.is_rough(1, Instant(1_000_000)));
    }

    #[test]
    fn silent_members_are_no_measure() {
        let silence = i64::try_from(GROUP_SILENCE_MAX.as_millis()).unwrap() * 90;
        let mut group = group(2);
        heard(&mut group, 0, 0, (10 * S, 3 * S));
        let found = origin(&mut group, 1, silence - 90, 3_600 * S);
        assert_eq!(found, Some(3 * S + silence - 90), "by arrival");
        let found = origin(&mut group, 1, silence, 3_600 * S);
        assert_eq!(found, Some(3 * S + 3_600 + JUMP_GUARD_TICKS), "behind what there was");
    }

    #[test]
    fn jump_goes_on_behind_what_was_shown_with_room_for_those_that_follow() {
        let mut group = group(2);
        heard(&mut group, 0, S, (10 * S, 3 * S));
        heard(&mut group, 1, S, (10 * S, 3 * S));
        let to = origin(&mut group, 0, S, 900 * S).unwrap();
        assert_eq!(to, 3 * S + 3_600 + JUMP_GUARD_TICKS);
        heard(&mut group, 0, S, (900 * S, to));
        // The other one is a fifth of a second behind, and has the same clock again.
        assert_eq!(origin(&mut group, 1, S, 900 * S - S / 5), Some(to - S / 5));
    }

    #[test]
    fn cuts_are_where_the_first_comes_and_those_behind_cut_there() {
        let mut group = group(2);
        assert!(!share(&mut group, 0, 0, 0).begins(Ticks(0), REACH, true));
        assert!(!share(&mut group, 1, 0, 0).begins(Ticks(0), REACH, true));
        let due = |group: &mut Group, member, at: i64| {
            share(group, member, 0, 0).is_due(Ticks(at), REACH, true)
        };
        // An encoder whose key frames are a little closer does not drift out of step.
        for n in 1..200 {
            let at = n * (2 * S - REACH.0 / 2);
            assert!(!due(&mut group, 0, at - S), "{n}");
            assert!(due(&mut group, 0, at), "{n}");
            share(&mut group, 0, 0, 0).begins(Ticks(at), REACH, true);
            assert!(!due(&mut group, 1, at - S), "{n}");
            assert!(due(&mut group, 1, at), "{n}");
            share(&mut group, 1, 0, 0).begins(Ticks(at), REACH, true);
            assert!(!due(&mut group, 1, at), "{n}: once");
            group.check_invariants();
        }
    }

    #[test]
    fn member_that_is_behind_by_more_cuts_than_are_remembered_cuts_at_once() {
        let mut group = group(2);
        share(&mut group, 1, 0, 0).begins(Ticks(0), REACH, true);
        for n in 0..=i64::try_from(GROUP_CUTS_MAX).unwrap() + 1 {
            share(&mut group, 0, 0, 0).begins(Ticks(2 * S * n), REACH, true);
            assert!(group.cuts.len() <= GROUP_CUTS_MAX);
        }
        assert!(share(&mut group, 1, 0, 0).is_due(Ticks(20 * S), REACH, true));
    }

    #[test]
    fn sound_alone_is_cut_where_key_frames_are_though_it_comes_first() {
        let mut group = group(1);
        assert!(group.add(false));
        let reach = Ticks(960);
        // It begins beside the key frames, and is ahead by more than a second.
        share(&mut group, 1, 0, 0).begins(Ticks(9_000), reach, false);
        let mut cuts = std::vec::Vec::new();
        for at in (0..20 * S).step_by(1_920) {
            if share(&mut group, 1, 0, 0).is_due(Ticks(at), reach, false) {
                share(&mut group, 1, 0, 0).begins(Ticks(at), reach, false);
                cuts.push(at);
            }
            let shown = at - 3 * S / 2;
            if shown >= 0 && shown % (2 * S) < 1_920 {
                let key = Ticks(shown / (2 * S) * 2 * S);
                assert!(key.0 == 0 || share(&mut group, 0, 0, 0).is_due(key, REACH, true));
                share(&mut group, 0, 0, 0).begins(key, REACH, true);
            }
            group.check_invariants();
        }
        assert!(cuts.len() >= 9, "{cuts:?}");
        assert!(cuts.iter().all(|cut| (cut + S) % (2 * S) - S <= 960), "{cuts:?}");
    }

    #[test]
    fn r60_break_is_taken_where_nobody_has_been_and_by_everybody() {
        let mut group = group(2);
        for member in 0..2 {
            share(&mut group, member, 0, 0).begins(Ticks(0), REACH, true);
            heard(&mut group, member, S, (S, S));
        }
        // One breaks off inside the segment: it waits for the next cut.
        assert!(share(&mut group, 0, S, 0).admits(Ticks(S), false));
        assert!(!share(&mut group, 0, S, 0).admits(Ticks(S), true));
        assert!(!share(&mut group, 0, S, 0).admits(Ticks(S + 9_000), true));
        assert_eq!(group.discontinuities(), 1, "one, however often it asks");
        assert!(share(&mut group, 0, 2 * S, 0).admits(Ticks(2 * S), true));
        assert!(share(&mut group, 0, 2 * S, 0).begins(Ticks(2 * S), REACH, true));
        assert!(share(&mut group, 1, 2 * S, 0).begins(Ticks(2 * S), REACH, true));
        assert_eq!(group.ends(1, Ticks(2 * S), true, 0), (1, false));
        assert_eq!(group.ends(0, Ticks(2 * S), true, 0), (1, false));
        // The other one breaks off too, and takes one of its own.
        group.goes(0);
        assert!(share(&mut group, 1, 3 * S, 1).admits(Ticks(3 * S), true), "it is alone");
        assert_eq!(group.discontinuities(), 2);
        // What nobody foresaw is late for the others.
        group.comes(0);
        assert!(share(&mut group, 0, 5 * S, 1).begins(Ticks(5 * S), REACH, true));
        assert_eq!(group.ends(0, Ticks(5 * S), true, 1), (2, false));
        assert_eq!(group.ends(0, Ticks(7 * S), true, 2), (3, true));
        group.check_invariants();
    }

    #[test]
    fn r12_marks_that_are_forgotten_stay_counted() {
        let mut group = group(1);
        group.go_on_from(7);
        for n in 0..i64::try_from(GROUP_MARKS_MAX).unwrap() + 5 {
            let had = group.discontinuities();
            assert!(share(&mut group, 0, 0, had).admits(Ticks(n * S), true));
            assert_eq!(group.discontinuities(), had + 1);
            assert_eq!(group.reached(Ticks(n * S)), had + 1);
        }
        assert!(group.marks.len() <= GROUP_MARKS_MAX);
        group.go_on_from(3);
        assert!(group.discontinuities() > 7, "never lower");
        group.go_on_from(900);
        assert_eq!(group.discontinuities(), 900);
    }

    #[test]
    fn member_without_pictures_waits_for_the_target_duration_and_not_for_ever() {
        let mut group = group(1);
        assert!(group.add(false));
        group.comes(1);
        let admits = |group: &mut Group, at: i64| share(group, 1, 0, 0).admits(Ticks(at), false);
        assert!(!admits(&mut group, S));
        let most = Ticks::from_millis(FIRST_SEGMENT_MS_MAX).0;
        assert!(!admits(&mut group, S + most - 1) && admits(&mut group, S + most));
        group.settle(Some(4));
        group.settle(Some(2));
        assert_eq!(group.target_s(), Some(4), "R10");
        assert!(admits(&mut group, S));
        let mut group = self::group(0);
        assert!(group.add(false));
        group.comes(0);
        assert!(share(&mut group, 0, 0, 0).admits(Ticks(S), false), "there is nobody else");
    }

    #[test]
    fn members_are_bounded() {
        let mut group = group(GROUP_MEMBERS_MAX);
        assert!(!group.add(true));
    }

    #[test]
    fn r61_dates_are_those_of_the_first_until_time_breaks() {
        let mut group = group(2);
        assert_eq!(group.date(0, 5_000_000, true), 5_000_000);
        assert_eq!(group.date(0, 5_200_000, true), 5_000_000, "a network is slower");
        assert_eq!(group.date(0, 5_000_000 + DATE_SLEW_US_MAX, false), 5_001_000, "a crystal");
        assert_eq!(group.date(1, 5_300_000, true), 5_001_000, "a discontinuity of another one");
        assert_eq!(group.date(2, 9_000_000, true), 9_000_000, "all were away");
        assert_eq!(group.date(2, 5_001_000 + DATE_SLACK_US, true), 9_000_000);
    }

    proptest! {
        #[test]
        fn whatever_members_do_numbers_rise_and_nobody_waits_for_ever(
            steps in proptest::collection::vec((0usize..3, any::<bool>(), 1i64..40), 1..200),
        ) {
            let mut group = group(3);
            let mut had = [0; 3];
            let (mut now, mut waited) = (0, [0; 3]);
            for (member, broken, step) in steps {
                now += step * 9_000;
                heard(&mut group, member, now, (now, now));
                if share(&mut group, member, now, had[member]).admits(Ticks(now), broken) {
                    let mut share = share(&mut group, member, now, had[member]);
                    let marked = share.begins(Ticks(now), REACH, true);
                    prop_assert!(marked || !broken);
                    let (number, late) = group.ends(member, Ticks(now), broken, had[member]);
                    prop_assert!(!late && number >= had[member]);
                    prop_assert_eq!(number > had[member], marked);
                    (had[member], waited[member]) = (number, 0);
                } else {
                    waited[member] += 1;
                    prop_assert!(group.discontinuities() > had[member]);
                }
                group.check_invariants();
            }
        }
    }
}
