//! The history checker: everything that a client of one live presentation sees, held against every
//! rule that its server has.
//!
//! ```text
//!            next(now) ──► Fetch(want) ──► a caller fetches it ──► answered(want, answer)
//!  History ──┤                                                       │ refused(want, now)
//!            └► Wait(until)                                          ▼
//!                            findings: rule, weight, when, where, in what words
//! ```
//!
//! | file | judges |
//! |---|---|
//! | `version`, `master` | one text: R1 to R16, R36, R43, R44, R53, R54, R62, R63 |
//! | `step` | one version after another: R8, R10 to R12, R31 to R34, R36, R38, R40, R43, R52 |
//! | `follow` | versions in time: R3, R30, R37, R41; which segments come and go |
//! | `record`, `keys` | one segment, till its grace has ended: R26, R31, R35, R39, R50, R51 |
//! | `content`, `track` | what a segment holds: R14, R20 to R25, R27 |
//! | `joins` | one segment after another: R6, R14, R23 |
//! | `variants` | playlists of one presentation: R60 to R65 |
//!
//! The rules are those of draft-pantos-http-live-streaming-12 and RFC 8216, by the numbers of the
//! project's reference sheet. The checker holds no cipher and reads no clock; `now` and the
//! `Decipher` are given. Its memory is bounded by the `HISTORY_…` limits: it is a tool that runs
//! beside a server, and no part of the path of a camera's byte.
//!
//! Does not fetch, does not look into fragmented MP4, does not judge compressed playlists beyond
//! their headers (R42), and cannot see whether a segment's sending was held up by its making (R26).

mod address;
mod content;
mod finding;
mod follow;
mod joins;
mod keys;
mod master;
mod record;
mod step;
mod track;
mod variants;
mod version;

pub use finding::{Allowance, Class, Finding, Rule};
pub use keys::Decipher;

use core::time::Duration;

use self::content::Content;
use self::finding::{Report, Site};
use self::follow::Media;
use self::joins::Side;
use self::keys::Key;
use self::record::{Given, State};
use self::version::Kind;
use crate::limits::{
    HISTORY_KEY_TIME, HISTORY_KEYS_MAX, HISTORY_PLAYLISTS_MAX, HISTORY_POLL_MILLIS_MIN,
};
use crate::storage::widen;
use crate::time::Instant;

/// What a server answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// When it was asked.
    pub asked: Instant,
    /// When the answer was whole.
    pub now: Instant,
    /// HTTP status.
    pub status: u16,
    /// Content-Type, empty if there is none.
    pub content_type: &'a str,
    /// Content-Length.
    pub length: Option<u64>,
    /// Seconds from Date to Expires.
    pub expires_s: Option<u64>,
    /// Whether the body is compressed, and the client did not offer to take it so.
    pub is_coded: bool,
    /// The body.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Whether it is what was asked for, to its last byte.
    fn is_whole(&self) -> bool {
        let is_long_enough = self.length.is_none_or(|length| length == widen(self.body.len()));
        self.status == 200 && is_long_enough
    }
}

/// Something to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Its address, with scheme.
    pub url: String,
    /// Which playlist it is of; none for the address that was given.
    of: Option<usize>,
    what: What,
}

/// What is wanted of a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Playlist,
    Segment(u64),
    Key,
}

/// What a caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Fetch this, then say how it was answered.
    Fetch(Want),
    /// Come again then.
    Wait(Instant),
}

/// How much was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Media playlists that are followed.
    pub playlists: u64,
    /// Versions of them.
    pub versions: u64,
    /// Segments, each counted once.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Fetches of segments that were no longer listed.
    pub again: u64,
    /// Keys.
    pub keys: u64,
    /// Fetches that found no server.
    pub refused: u64,
}

/// One presentation, followed.
#[derive(Debug)]
pub struct History {
    url: String,
    report: Report,
    decipher: Option<Decipher>,
    media: Vec<Media>,
    /// Address, key, and when it is asked for next.
    keys: Vec<(String, Key, Instant)>,
    /// When the address that was given is asked for, until it is known what it is.
    first: Instant,
    numbers: Numbers,
}

impl History {
    /// Begins with the address of a master or media playlist. Without `decipher` what is within
    /// AES-128 is not looked into.
    #[must_use]
    pub fn new(url: &str, allowance: Allowance, decipher: Option<Decipher>) -> Self {
        Self {
            url: url.to_owned(),
            report: Report::new(allowance),
            decipher,
            media: Vec::new(),
            keys: Vec::new(),
            first: Instant(0),
            numbers: Numbers::default(),
        }
    }

    /// What to do at `now`.
    #[must_use]
    pub fn next(&self, now: Instant) -> Next {
        if self.media.is_empty() {
            if now < self.first {
                return Next::Wait(self.first);
            }
            let url = self.url.clone();
            return Next::Fetch(Want { url, of: None, what: What::Playlist });
        }
        if let Some((url, ..)) = self.keys.iter().find(|(_, _, at)| now >= *at) {
            return Next::Fetch(Want { url: url.clone(), of: None, what: What::Key });
        }
        for (at, media) in self.media.iter().enumerate() {
            if let Some((what, url)) = media.due(now) {
                return Next::Fetch(Want { url: url.to_owned(), of: Some(at), what });
            }
        }
        let keys = self.keys.iter().map(|(_, _, at)| *at);
        let wakes = self.media.iter().map(Media::wake).chain(keys);
        Next::Wait(wakes.min().unwrap_or(now))
    }

    /// Takes the answer to a fetch.
    pub fn answered(&mut self, want: &Want, answer: &Answer<'_>) {
        debug_assert!(answer.asked <= answer.now);
        match (want.what, want.of) {
            (What::Playlist, None) => self.first(answer),
            (What::Playlist, Some(at)) => self.playlist(at, answer),
            (What::Segment(id), Some(at)) => self.segment(at, id, answer),
            (What::Key, _) | (What::Segment(_), None) => self.key(&want.url, answer),
        }
        debug_assert!(self.media.len() <= HISTORY_PLAYLISTS_MAX);
        debug_assert!(self.keys.len() <= HISTORY_KEYS_MAX);
    }

    /// A fetch that found no server, which is no breach: it may be between two lives.
    pub fn refused(&mut self, _want: &Want, now: Instant) {
        self.numbers.refused += 1;
        self.restarted(now);
    }

    /// The caller has no way to fetch this: what depends on it is not judged.
    pub fn passed(&mut self, want: &Want) {
        match (want.what, want.of) {
            (What::Segment(id), Some(at)) => {
                if let Some(media) = self.media.get_mut(at) {
                    media.pass(id);
                }
            }
            (What::Playlist | What::Key | What::Segment(_), _) => {
                self.keys.retain(|(url, ..)| *url != want.url);
            }
        }
    }

    /// The caller knows that the server was started anew.
    pub fn restarted(&mut self, now: Instant) {
        let soon = now.after(Duration::from_millis(HISTORY_POLL_MILLIS_MIN));
        self.first = soon;
        for (_, _, at) in &mut self.keys {
            *at = soon.max(*at);
        }
        for media in &mut self.media {
            media.away(now);
        }
    }

    /// The end of the watch.
    pub fn finish(&mut self) {
        for media in &self.media {
            media.finish(&mut self.report);
        }
    }

    /// What was found, in the order in which it was.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.report.findings()
    }

    /// Findings beyond `HISTORY_FINDINGS_MAX`.
    #[must_use]
    pub const fn findings_more(&self) -> u64 {
        self.report.more()
    }

    /// How much was seen.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        Numbers { playlists: widen(self.media.len()), ..self.numbers }
    }

    /// The address that was given: what is it?
    fn first(&mut self, answer: &Answer<'_>) {
        self.first = answer.now.after(Duration::from_millis(HISTORY_POLL_MILLIS_MIN));
        if !answer.is_whole() {
            return;
        }
        let url = self.url.clone();
        follow::named(&url, answer, &mut self.report);
        let site = Site::new(answer.now, &url);
        match version::read(answer.body, site, &mut self.report) {
            Some(Kind::Media(_)) => {
                self.media.push(Media::new(url, None, answer.now));
                self.playlist(0, answer);
            }
            Some(Kind::Master(master)) => {
                for listed in master.playlists {
                    if self.media.len() >= HISTORY_PLAYLISTS_MAX {
                        break;
                    }
                    if let Some(url) = address::resolve(&url, &listed.uri)
                        && !self.media.iter().any(|media| media.url == url)
                    {
                        self.media.push(Media::new(url, Some(listed), answer.now));
                    }
                }
            }
            None => {}
        }
    }

    fn playlist(&mut self, at: usize, answer: &Answer<'_>) {
        let report = &mut self.report;
        let Some(media) = self.media.get_mut(at) else { return };
        media.forget(answer.now);
        if !media.is_answered(answer, report) || !media.is_news(answer) {
            return;
        }
        self.numbers.versions += 1;
        let url = media.url.clone();
        let site = Site::new(answer.now, &url);
        follow::named(&url, answer, report);
        if answer.is_coded {
            report.breach(site, 42, "it is compressed for who did not offer to take it", [0; 2]);
        }
        match version::read(answer.body, site, report) {
            Some(Kind::Media(version)) => media.version(version, answer, report),
            Some(Kind::Master(_)) => {
                report.breach(site, 4, "a media playlist became a master playlist", [0; 2]);
            }
            None => {}
        }
        self.collect_keys(at, answer.now);
        self.compare(at, answer.now);
    }

    /// Puts the keys of listed segments on the list of those to fetch.
    fn collect_keys(&mut self, at: usize, now: Instant) {
        self.keys.retain(|(url, ..)| self.media.iter().any(|media| media.uses(url)));
        let Some(media) = self.media.get(at) else { return };
        let encrypted =
            |record: &&record::Record| record.grace.is_none() && !record.scheme.uri.is_empty();
        for record in media.records.iter().filter(encrypted) {
            let Some(url) = address::resolve(&media.url, &record.scheme.uri) else { continue };
            let is_known = self.keys.iter().any(|(known, ..)| *known == url);
            if !is_known && self.keys.len() < HISTORY_KEYS_MAX {
                self.keys.push((url, Key::Wanted, now));
            }
        }
    }

    /// The first variant and the one at `at`, or all others.
    fn compare(&mut self, at: usize, now: Instant) {
        let Some((one, others)) = self.media.split_first() else { return };
        for (number, other) in (1..).zip(others) {
            if at == 0 || at == number {
                variants::versions(one, other, now, &mut self.report);
            }
        }
    }

    fn segment(&mut self, at: usize, id: u64, answer: &Answer<'_>) {
        let report = &mut self.report;
        let Some(media) = self.media.get_mut(at) else { return };
        let target = media.target();
        let independent = media.last.as_ref().is_some_and(|last| last.independent);
        let found = media.records.iter().position(|record| record.id == id);
        let Some(index) = found else { return };
        let excused = report.allowance().restart && media.is_away() && answer.status != 200;
        let Some(record) = media.records.get_mut(index) else { return };
        if excused {
            return record.postpone(answer.now);
        }
        if record.grace.is_some() {
            self.numbers.again += 1;
            return record.again(answer, target, report);
        }
        let wanted = address::resolve(&media.url, &record.scheme.uri);
        let key = self.keys.iter().find_map(|(url, key, _)| match key {
            Key::Got(key) if Some(url) == wanted.as_ref() => Some(*key),
            Key::Got(_) | Key::Wanted | Key::Missing => None,
        });
        let given = Given { key, decipher: self.decipher, independent };
        if !record.answered(answer, given, report) {
            return;
        }
        self.numbers.segments += 1;
        self.numbers.bytes += record.bytes;
        self.join(at, index, answer.now);
    }

    /// Compares a segment that came with its neighbours and with the other variants.
    fn join(&mut self, at: usize, index: usize, now: Instant) {
        let report = &mut self.report;
        let Some(media) = self.media.get(at) else { return };
        let Some(record) = media.records.get(index) else { return };
        let neighbours = [index.checked_sub(1).map(|i| (i, index)), Some((index, index + 1))];
        for (a, b) in neighbours.into_iter().flatten() {
            let (Some(a), Some(b)) = (media.records.get(a), media.records.get(b)) else { continue };
            let (State::Got(first), State::Got(second)) = (&a.state, &b.state) else { continue };
            if a.id.checked_add(1) == Some(b.id) {
                let before = Side { content: first, micros: a.entry.micros };
                let next = Side { content: second, micros: b.entry.micros };
                let site = Site::new(now, &b.url);
                joins::judge(before, next, b.entry.discontinuity, site, report);
            }
        }
        if media.last.as_ref().is_some_and(|last| last.ended)
            && index + 1 == media.records.len()
            && let State::Got(Content::Transport(transport)) = &record.state
        {
            joins::alone(transport, record.entry.micros, Site::new(now, &record.url), report);
        }
        variants::said(record, media, now, report);
        for (number, other) in self.media.iter().enumerate() {
            if number != at {
                variants::segments(record, other, now, report);
            }
        }
        let Some((one, others)) = self.media.split_first_mut() else { return };
        for (number, other) in (1..).zip(others) {
            if at == 0 || at == number {
                variants::edges(one, other, now, report);
            }
        }
    }

    fn key(&mut self, url: &str, answer: &Answer<'_>) {
        self.media.iter_mut().for_each(|media| media.forget(answer.now));
        if !self.media.iter().any(|media| media.uses(url)) {
            // It may go with the last segment that needs it.
            self.keys.retain(|(known, ..)| known != url);
            return;
        }
        let Some((_, key, at)) = self.keys.iter_mut().find(|(known, ..)| known == url) else {
            return;
        };
        *at = answer.now.after(HISTORY_KEY_TIME);
        let site = Site::new(answer.now, url);
        let new = keys::answered(answer.status, answer.body, site, &mut self.report);
        if let (Key::Got(was), Key::Got(is)) = (*key, new)
            && was != is
        {
            self.report.breach(site, 50, "the key of listed segments changed", [0; 2]);
        }
        self.numbers.keys += u64::from(*key == Key::Wanted);
        *key = new;
    }
}

#[cfg(test)]
mod tests;
