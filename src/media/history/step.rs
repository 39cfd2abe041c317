//! From one version of a media playlist to the next: what may change and what must not (R8, R10 to
//! R12, R31 to R34, R36, R38, R40, R43, R52).
//!
//! Knows nothing of time: cadence and grace are `media`'s.
//! Source: draft-pantos-12 §6.2.1, §6.2.2; RFC 8216 §6.2.1, §6.2.2.

use super::finding::{Report, Site};
use super::version::{Entry, PlaylistType, Version};
use crate::limits::{HISTORY_DATE_MICROS_OFF_MAX, PLAYLIST_TARGETS_MIN};
use crate::storage::widen;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Segments of the old version that left.
    pub(super) removed: usize,
    /// Segments of the new version that the old one had.
    pub(super) kept: usize,
}

/// Judges a step; `restarted` is whether the server may have lost what it listed.
pub(super) fn judge(
    old: &Version,
    new: &Version,
    restarted: bool,
    site: Site<'_>,
    report: &mut Report,
) -> Step {
    let mut judge = Judge { old, new, restarted, site, report };
    judge.header();
    let step = judge.step();
    judge.numbers(step);
    judge.removal(step);
    judge.kept(step);
    judge.appended(step);
    judge.ends(step);
    judge.dates(step);
    debug_assert!(step.removed + step.kept <= old.entries.len() + new.entries.len());
    step
}

struct Judge<'a, 'r> {
    old: &'a Version,
    new: &'a Version,
    restarted: bool,
    site: Site<'a>,
    report: &'r mut Report,
}

impl Judge<'_, '_> {
    fn breach(&mut self, rule: u8, text: &'static str, numbers: [u64; 2]) {
        self.report.breach(self.site, rule, text, numbers);
    }

    fn header(&mut self) {
        let (old, new) = (self.old, self.new);
        if let (Some(before), Some(now)) = (old.target_s, new.target_s)
            && before != now
        {
            self.breach(10, "the target duration went from %a s to %b s", [before, now]);
        }
        if old.protocol != new.protocol {
            let versions = [old.protocol.unwrap_or(1), new.protocol.unwrap_or(1)];
            self.breach(8, "the version went from %a to %b", versions);
        }
        if old.kind != new.kind {
            self.breach(40, "the PLAYLIST-TYPE changed", [0; 2]);
        }
        if old.independent != new.independent || old.i_frames_only != new.i_frames_only {
            let text = "INDEPENDENT-SEGMENTS or I-FRAMES-ONLY came or went";
            self.breach(31, text, [0; 2]);
        } else if old.header != new.header {
            self.breach(31, "a tag about the whole playlist changed", [0; 2]);
        }
    }

    /// How the lists lie over each other: by number, or by name where the numbers are wrong.
    fn step(&mut self) -> Step {
        let (old, new) = (self.old, self.new);
        let named = new.entries.first().and_then(|first| {
            let same = |entry: &Entry| entry.uri == first.uri && entry.own == first.own;
            old.entries.iter().position(same)
        });
        let nothing = Step { removed: old.entries.len(), kept: 0 };
        let said = new.media_sequence.checked_sub(old.media_sequence);
        let Some(said) = said else {
            let text = "the media sequence number went back from %a to %b";
            self.breach(11, text, [old.media_sequence, new.media_sequence]);
            return named.map_or(nothing, |at| self.at(at));
        };
        let removed = usize::try_from(said).unwrap_or(usize::MAX);
        match named {
            Some(at) if at != removed && !old.i_frames_only => {
                let text = "%a segments left, the media sequence number rose by %b";
                self.breach(33, text, [widen(at), said]);
                self.at(at)
            }
            _ if removed < old.entries.len() => self.at(removed),
            _ => nothing,
        }
    }

    fn at(&self, removed: usize) -> Step {
        let rest = self.old.entries.len() - removed;
        Step { removed, kept: rest.min(self.new.entries.len()) }
    }

    /// R12, and R36 where nothing is left to compare.
    fn numbers(&mut self, step: Step) {
        let (old, new) = (self.old, self.new);
        let before = old.discontinuity_sequence.unwrap_or(0);
        let now = new.discontinuity_sequence.unwrap_or(0);
        // A counter that is not said where a tag left is judged by the segments that remain.
        if new.discontinuity_sequence.is_some() && now < before {
            let text = "the discontinuity sequence number went back from %a to %b";
            return self.breach(12, text, [before, now]);
        }
        if step.kept > 0 || new.media_sequence < old.media_sequence {
            return;
        }
        if let (Some(last), Some(first)) = (old.entries.last(), new.entries.first())
            && (first.dsn < last.dsn || (self.restarted && first.dsn == last.dsn))
        {
            let text = "the window is another one, its discontinuity sequence is %b, not above %a";
            self.breach(36, text, [last.dsn, first.dsn]);
        }
    }

    /// R32, R34, and what R40 says of removal.
    fn removal(&mut self, step: Step) {
        let (old, new) = (self.old, self.new);
        if step.kept > 0 && step.removed + step.kept < old.entries.len() {
            let gone = old.entries.len() - step.removed - step.kept;
            self.breach(32, "%a segments left at the end of the list", [widen(gone), 0]);
        }
        if step.removed == 0 {
            return;
        }
        match old.kind {
            Some(PlaylistType::Event) => {
                let text = "%a segments left an EVENT playlist";
                return self.breach(40, text, [widen(step.removed), 0]);
            }
            Some(PlaylistType::Vod) => {
                return self.breach(40, "a VOD playlist changed", [0; 2]);
            }
            None => {}
        }
        let least = new.target_micros().saturating_mul(u64::from(PLAYLIST_TARGETS_MIN));
        if !new.ended && !self.restarted && new.duration() < least {
            let text = "a segment left although %a ms remain, less than three times %b s";
            let target = new.target_s.unwrap_or(1);
            self.breach(34, text, [new.duration() / 1000, target]);
        }
    }

    /// R31, R36, R52: what stays is what it was.
    fn kept(&mut self, step: Step) {
        let (old, new) = (self.old, self.new);
        let pairs = old.entries.iter().skip(step.removed).zip(&new.entries).take(step.kept);
        for (at, (was, is)) in pairs.enumerate() {
            let number = new.media_sequence.saturating_add(widen(at));
            if was.uri != is.uri {
                return self.breach(31, "segment %a has another URI than before", [number, 0]);
            }
            let own = if at == 0 { was.lasting().eq(is.lasting()) } else { was.own == is.own };
            if !own || was.map != is.map {
                return self.breach(31, "the lines of segment %a changed", [number, 0]);
            }
            if was.dsn != is.dsn {
                let text = "the discontinuity sequence of a listed segment went from %a to %b";
                return self.breach(36, text, [was.dsn, is.dsn]);
            }
            if was.keys != is.keys {
                let text = if is.keys.is_none() {
                    "the KEY tag of segment %a is gone while it is listed"
                } else {
                    "another KEY tag applies to segment %a than before"
                };
                return self.breach(52, text, [number, 0]);
            }
            if was.date.is_some() && is.date.is_none() {
                return self.breach(31, "the date of segment %a is gone", [number, 0]);
            }
        }
    }

    /// R31: lines are appended behind those that are there.
    fn appended(&mut self, step: Step) {
        let old = self.old;
        if step.removed + step.kept < old.entries.len() {
            return;
        }
        let next = self.new.entries.get(step.kept);
        let lines = next.map_or(&self.new.tail, |entry| &entry.own);
        let said = old.tail.lines().all(|line| lines.lines().any(|other| other == line));
        if !said && step.kept > 0 {
            self.breach(31, "lines behind the last segment changed", [0; 2]);
        }
    }

    /// R38.
    fn ends(&mut self, step: Step) {
        if !self.old.ended {
            return;
        }
        if !self.new.ended {
            self.breach(38, "the ENDLIST was taken back", [0; 2]);
        } else if self.new.entries.len() > step.kept {
            self.breach(38, "segments came behind the ENDLIST", [0; 2]);
        } else if step.removed > 0 && self.old.kind.is_none() {
            self.breach(38, "segments left an ended playlist", [0; 2]);
        }
    }

    /// R43: a date names one moment of the media, in all versions.
    fn dates(&mut self, step: Step) {
        let (old, new) = (self.old, self.new);
        let before = dated(&old.entries);
        let now = dated(&new.entries);
        for (at, is) in now.iter().enumerate().take(step.kept) {
            let was = before.get(step.removed + at).copied().flatten();
            if let (Some(was), Some(is)) = (was, *is)
                && was.abs_diff(is) > HISTORY_DATE_MICROS_OFF_MAX
            {
                let text = "the date of a listed segment moved by %a ms";
                return self.breach(43, text, [was.abs_diff(is) / 1000, 0]);
            }
        }
        let mut end: Option<i64> = None;
        for (entry, date) in new.entries.iter().zip(now) {
            if let (Some(end), Some(date)) = (end, date)
                && end > HISTORY_DATE_MICROS_OFF_MAX.cast_signed() + date
            {
                let text = "a segment begins %a ms before the date at which the last one ends";
                return self.breach(43, text, [end.abs_diff(date) / 1000, 0]);
            }
            end = date.map(|date| date.saturating_add_unsigned(entry.micros));
        }
    }
}

/// The date of each segment, its own or by the durations since the last one that is said.
pub(super) fn dated(entries: &[Entry]) -> Vec<Option<i64>> {
    let mut next: Option<i64> = None;
    let mut dates = Vec::with_capacity(entries.len());
    for entry in entries {
        let date = entry.date.or(next.filter(|_| !entry.discontinuity));
        next = date.map(|date| date.saturating_add_unsigned(entry.micros));
        dates.push(date);
    }
    dates
}
