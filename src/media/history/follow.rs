//! One media playlist followed: its versions in time, its segments (R3, R30, R35, R37, R41).
//!
//! An instant of publication is known only to lie between two fetches; a rule about time is broken
//! where it is broken for all instants in between. Fetches nothing itself.
//! Source: draft-pantos-12 §6.2.1, §6.2.2; RFC 8216 §6.2.1, §6.2.2.

use core::time::Duration;
use std::collections::VecDeque;

use super::address::resolve;
use super::finding::{Class, Report, Rule, Site};
use super::master::Listed;
use super::record::{Record, State};
use super::step::{self, Step};
use super::version::{Entry, Version};
use super::{Answer, What};
use crate::limits::{
    HISTORY_POLL_MILLIS_MAX, HISTORY_POLL_MILLIS_MIN, HISTORY_SEGMENTS_MAX, HISTORY_TRIES_MAX,
};
use crate::storage::widen;
use crate::time::Instant;

/// A media playlist and what became of its segments.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) url: String,
    /// What the master playlist says of it.
    pub(super) listed: Option<Listed>,
    pub(super) last: Option<Version>,
    pub(super) records: VecDeque<Record>,
    /// Digest-free copy of the last text, to see whether it changed.
    body: Vec<u8>,
    next_poll: Instant,
    /// When the last version was asked for last.
    asked: Instant,
    /// When the last version with a new segment came: not before, not after.
    came: Option<(Option<Instant>, Instant)>,
    /// The server was away since then.
    away: bool,
    /// Answers in a row that were no playlist.
    failures: u32,
    /// The next record's place in the order of coming.
    next_id: u64,
    /// Comparisons in a row that found the variants apart.
    pub(super) apart: u32,
}

impl Media {
    pub(super) fn new(url: String, listed: Option<Listed>, now: Instant) -> Self {
        Self {
            url,
            listed,
            last: None,
            records: VecDeque::new(),
            body: Vec::new(),
            next_poll: now,
            asked: now,
            came: None,
            away: false,
            failures: 0,
            next_id: 0,
            apart: 0,
        }
    }

    /// What to fetch at `now`, most urgent first.
    pub(super) fn due(&self, now: Instant) -> Option<(What, &str)> {
        if now >= self.next_poll {
            return Some((What::Playlist, &self.url));
        }
        let again = |record: &&Record| record.grace.is_some_and(|grace| now >= grace.next);
        if let Some(record) = self.records.iter().find(again) {
            return Some((What::Segment(record.id), &record.url));
        }
        let wanted = |record: &&Record| {
            record.grace.is_none() && matches!(record.state, State::Wanted(at, _) if now >= at)
        };
        let record = self.records.iter().find(wanted)?;
        Some((What::Segment(record.id), &record.url))
    }

    /// The next instant at which something is due.
    pub(super) fn wake(&self) -> Instant {
        let times = self.records.iter().filter_map(|record| match (record.grace, &record.state) {
            (Some(grace), _) => Some(grace.next),
            (None, State::Wanted(at, _)) => Some(*at),
            (None, _) => None,
        });
        times.fold(self.next_poll, Instant::min)
    }

    pub(super) fn target(&self) -> Duration {
        Duration::from_micros(self.last.as_ref().map_or(1_000_000, Version::target_micros))
    }

    /// The server took no connection, or lost what it had.
    pub(super) fn away(&mut self, now: Instant) {
        self.away = true;
        self.next_poll = now.after(Duration::from_millis(HISTORY_POLL_MILLIS_MIN));
    }

    /// Does not look into a segment.
    pub(super) fn pass(&mut self, id: u64) {
        self.records.retain(|record| record.id != id || record.grace.is_none());
        if let Some(record) = self.records.iter_mut().find(|record| record.id == id) {
            record.state = State::Passed;
        }
    }

    /// Whether the server is between two lives.
    pub(super) const fn is_away(&self) -> bool {
        self.away
    }

    /// R30, R41: an answer that is no playlist. True if the answer is one.
    pub(super) fn is_answered(&mut self, answer: &Answer<'_>, report: &mut Report) -> bool {
        self.schedule(answer.now);
        if answer.is_whole() {
            self.failures = 0;
            return true;
        }
        let url = self.url.clone();
        let site = Site::new(answer.now, &url);
        self.failures = self.failures.saturating_add(1);
        let ended = self.last.as_ref().is_some_and(|last| last.ended);
        if matches!(answer.status, 404 | 410) {
            // What ended may be withdrawn; what comes under its name later is another one.
            if ended {
                self.withdrawn(answer.now);
            }
            if !report.allowance().restart && self.last.is_some() && self.failures == 1 {
                report.breach(
                    site,
                    41,
                    "the playlist is withdrawn with %a, without ENDLIST",
                    [u64::from(answer.status), 0],
                );
            }
            self.away = true;
        } else if self.failures == HISTORY_TRIES_MAX {
            let rule = if answer.status == 200 { 30 } else { 41 };
            let text = "the playlist is answered with %a and %b bytes, not whole";
            let bytes = widen(answer.body.len());
            report.breach(site, rule, text, [u64::from(answer.status), bytes]);
        }
        false
    }

    /// The presentation is over and gone; its segments stay for a while (R41).
    fn withdrawn(&mut self, now: Instant) {
        let listed = self.asked;
        for record in self.records.iter_mut().filter(|record| record.grace.is_none()) {
            record.left(listed, now);
        }
        (self.last, self.came) = (None, None);
        self.next_id += 1;
        self.body.clear();
    }

    /// Whether a body is another than the last.
    pub(super) fn is_news(&mut self, answer: &Answer<'_>) -> bool {
        if self.body == answer.body {
            self.asked = answer.asked;
            return false;
        }
        self.body.clear();
        self.body.extend_from_slice(answer.body);
        true
    }

    /// Takes a new version.
    pub(super) fn version(&mut self, new: Version, answer: &Answer<'_>, report: &mut Report) {
        let url = self.url.clone();
        let site = Site::new(answer.now, &url);
        let restarted = self.away && report.allowance().restart;
        let step = match &self.last {
            Some(old) => step::judge(old, &new, restarted, site, report),
            None => Step { removed: 0, kept: 0 },
        };
        self.cadence(&new, step, answer, report);
        self.leave(step, restarted, answer.now);
        self.list(&new, step, answer.now);
        self.asked = answer.asked;
        self.last = Some(new);
        self.schedule(answer.now);
        debug_assert!(self.records.len() <= 2 * HISTORY_SEGMENTS_MAX);
    }

    /// The end of the watch.
    pub(super) fn finish(&self, report: &mut Report) {
        let Some((_, latest)) = self.came else { return };
        let ended = self.last.as_ref().is_none_or(|last| last.ended);
        let waited = self.asked.since(latest);
        if !ended && !self.away && waited > self.target() * 3 / 2 {
            let site = Site::new(self.asked, &self.url);
            let text = "nothing new for %a ms, more than 1.5 times %b s, when the watch ended";
            let numbers = [millis(waited), self.target().as_secs()];
            report.add(site, (Class::Stale, Rule(37)), text, numbers);
        }
    }

    /// Forgets segments that may go, and cares for no bytes of them.
    pub(super) fn forget(&mut self, now: Instant) {
        self.records.retain(|record| record.grace.is_none_or(|grace| now <= grace.until));
    }

    /// Whether a segment needs the key at this address.
    pub(super) fn uses(&self, key: &str) -> bool {
        self.records.iter().any(|record| {
            !record.scheme.uri.is_empty()
                && resolve(&self.url, &record.scheme.uri).as_deref() == Some(key)
        })
    }

    /// R37.
    fn cadence(&mut self, new: &Version, step: Step, answer: &Answer<'_>, report: &mut Report) {
        let fresh = new.entries.get(step.kept..).unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
        let ended = self.last.as_ref().is_some_and(|last| last.ended) || new.ended;
        let away = core::mem::take(&mut self.away);
        let Some((earliest, latest)) = self.came.replace((Some(self.asked), answer.now)) else {
            self.came = Some((None, answer.now));
            return;
        };
        let target = Duration::from_micros(new.target_micros());
        let site = Site::new(answer.now, &self.url);
        let longest = earliest.map(|earliest| answer.now.since(earliest));
        if let Some(longest) = longest
            && longest < target / 2
            && !away
            && !ended
        {
            let text = "a version came %a ms after the one before, less than half of %b s";
            report.breach(site, 37, text, [millis(longest), target.as_secs()]);
        }
        let shortest = self.asked.since(latest);
        if shortest > target * 3 / 2 && !away && !ended {
            let text = "a version came %a ms after the one before, more than 1.5 times %b s";
            let class = if is_return(fresh, target) { Class::Stale } else { Class::Breach };
            let numbers = [millis(shortest), target.as_secs()];
            report.add(site, (class, Rule(37)), text, numbers);
        }
    }

    /// Segments leave the list.
    fn leave(&mut self, step: Step, restarted: bool, now: Instant) {
        let listed = self.asked;
        if restarted {
            // What a server lost with its memory is not asked for again.
            let mut at = 0;
            self.records.retain(|record| {
                let is_listed = record.grace.is_none();
                at += usize::from(is_listed);
                is_listed && at > step.removed && at <= step.removed + step.kept
            });
            return;
        }
        let listed_records = self.records.iter_mut().filter(|record| record.grace.is_none());
        for (at, record) in listed_records.enumerate() {
            if at < step.removed || at >= step.removed + step.kept {
                record.left(listed, now);
                // What comes behind a list that was cut short continues nothing.
                self.next_id += u64::from(at >= step.removed);
            }
        }
    }

    /// Segments come to the list.
    fn list(&mut self, new: &Version, step: Step, now: Instant) {
        let dates = step::dated(&new.entries);
        if step.kept == 0 && self.last.as_ref().is_some_and(|old| old.end() != new.media_sequence) {
            self.next_id += 1;
        }
        let numbered = (new.media_sequence..).zip(new.entries.iter().zip(dates)).skip(step.kept);
        for (sequence, (entry, date)) in numbered {
            if self.records.len() >= 2 * HISTORY_SEGMENTS_MAX {
                break;
            }
            let url = if new.i_frames_only { None } else { resolve(&self.url, &entry.uri) };
            let ids = (self.next_id, sequence);
            let mut record = Record::new(ids, url.unwrap_or_default(), entry, now);
            record.date = date;
            self.next_id += 1;
            self.records.push_back(record);
        }
        let duration = new.duration();
        for record in self.records.iter_mut().filter(|record| record.grace.is_none()) {
            record.longest = record.longest.max(duration);
        }
    }

    fn schedule(&mut self, now: Instant) {
        let millis = millis(self.target()) / 8;
        let wait = millis.clamp(HISTORY_POLL_MILLIS_MIN, HISTORY_POLL_MILLIS_MAX);
        self.next_poll = now.after(Duration::from_millis(wait));
    }
}

/// R3.
pub(super) fn named(url: &str, answer: &Answer<'_>, report: &mut Report) {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let kind = answer.content_type.split(';').next().unwrap_or_default().trim();
    let kinds = ["application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl"];
    let end = path.rsplit_once('.').map_or("", |(_, end)| end);
    let is_named = ["m3u8", "m3u"].iter().any(|known| end.eq_ignore_ascii_case(known));
    if !is_named && !kinds.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        let site = Site::new(answer.now, url);
        report.breach(site, 3, "neither name nor Content-Type is a playlist's", [0; 2]);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a camera that was away is why `fresh` came late: the first segment says so, or the one
/// behind a rest of the session before, which was not worth a version of its own.
fn is_return(fresh: &[Entry], target: Duration) -> bool {
    match fresh {
        [first, ..] if first.discontinuity => true,
        [rest, next, ..] => next.discontinuity && Duration::from_micros(rest.micros) < target / 2,
        [_] | [] => false,
    }
}
