//! One segment over its life: wanted, got, gone from the list, free to go (R26, R31, R35, R39, R50,
//! R51).
//!
//! Holds what the segment was found to hold, not its bytes. Follows no playlist (`follow`).
//! Source: draft-pantos-12 §6.2.2, §6.2.3; RFC 8216 §6.2.2, §6.2.3.

use core::time::Duration;

use super::Answer;
use super::content::{self, Content};
use super::finding::{Report, Site};
use super::keys::{Decipher, Method, Scheme};
use super::track::{DIGEST, digest};
use super::version::Entry;
use crate::limits::{HISTORY_RETRY_MICROS, HISTORY_TRIES_MAX};
use crate::storage::widen;
use crate::time::Instant;

/// See `HISTORY_RETRY_MICROS`.
const RETRY: Duration = Duration::from_micros(HISTORY_RETRY_MICROS);

/// Whether a segment's bytes were seen.
#[derive(Debug)]
pub(super) enum State {
    /// To be fetched, not before the instant; after so many failures.
    Wanted(Instant, u32),
    Got(Content),
    /// Not looked into: it did not come, or it is a part of something else.
    Passed,
}

/// From when it was no longer listed until it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grace {
    pub(super) until: Instant,
    pub(super) next: Instant,
    failed: bool,
}

/// One segment.
#[derive(Debug)]
pub(super) struct Record {
    /// Its place in the order of coming; a gap where segments were not seen.
    pub(super) id: u64,
    /// Its media sequence number.
    pub(super) sequence: u64,
    pub(super) url: String,
    pub(super) entry: Entry,
    /// Its date, its own or by the durations before it.
    pub(super) date: Option<i64>,
    pub(super) state: State,
    pub(super) bytes: u64,
    digest: u64,
    /// The longest playlist that listed it, microseconds.
    pub(super) longest: u64,
    pub(super) grace: Option<Grace>,
    pub(super) scheme: Scheme,
}

/// What is known beside the record when its segment arrives.
#[derive(Clone, Copy)]
pub(super) struct Given {
    pub(super) key: Option<[u8; 16]>,
    pub(super) decipher: Option<Decipher>,
    /// Whether the playlist says that all segments begin with a key frame.
    pub(super) independent: bool,
}

impl Record {
    pub(super) fn new(
        (id, sequence): (u64, u64),
        url: String,
        entry: &Entry,
        now: Instant,
    ) -> Self {
        let passed = entry.ranged || url.is_empty();
        Self {
            id,
            sequence,
            url,
            date: None,
            state: if passed { State::Passed } else { State::Wanted(now, 0) },
            bytes: 0,
            digest: DIGEST,
            longest: 0,
            grace: None,
            scheme: Scheme::of(entry.keys.as_deref()),
            entry: entry.clone(),
        }
    }

    /// Asks for it again later: the server has lost what it had, and may be excused.
    pub(super) fn postpone(&mut self, now: Instant) {
        if let Some(grace) = &mut self.grace {
            grace.next = now.after(RETRY);
        } else if let State::Wanted(at, _) = &mut self.state {
            *at = now.after(RETRY);
        }
    }

    /// It is no longer listed; it was at `listed`.
    pub(super) fn left(&mut self, listed: Instant, now: Instant) {
        let keep = Duration::from_micros(self.entry.micros.saturating_add(self.longest));
        // A part of a segment is not fetched, and so not again.
        let next = if self.url.is_empty() { Instant(u64::MAX) } else { now };
        self.grace = Some(Grace { until: listed.after(keep), next, failed: false });
    }

    /// Takes the segment's answer. True if there is now content to compare.
    pub(super) fn answered(
        &mut self,
        answer: &Answer<'_>,
        given: Given,
        report: &mut Report,
    ) -> bool {
        let tries = match self.state {
            State::Wanted(_, tries) => tries + 1,
            State::Got(_) | State::Passed => 0,
        };
        debug_assert!(tries <= HISTORY_TRIES_MAX);
        let url = self.url.clone();
        let site = Site::new(answer.now, &url);
        if !answer.is_whole() {
            // A server may be between two lives; what stays away is a breach.
            if tries < HISTORY_TRIES_MAX {
                self.state = State::Wanted(answer.now.after(RETRY), tries);
            } else if answer.status == 200 {
                self.state = State::Passed;
                let text = "a listed segment has %a bytes where %b are announced";
                let announced = answer.length.unwrap_or(0);
                report.breach(site, 26, text, [widen(answer.body.len()), announced]);
            } else {
                self.state = State::Passed;
                let text = "a listed segment is answered with %a";
                report.breach(site, 26, text, [u64::from(answer.status), 0]);
            }
            return false;
        }
        self.bytes = widen(answer.body.len());
        self.digest = digest(DIGEST, answer.body);
        self.expiry(answer, site, report);
        self.state = State::Got(self.content(answer.body, given, site, report));
        true
    }

    /// R35: judges what a segment that is no longer listed was answered with.
    pub(super) fn again(&mut self, answer: &Answer<'_>, target: Duration, report: &mut Report) {
        let Some(grace) = &mut self.grace else { return };
        let site = Site::new(answer.now, &self.url);
        grace.next = answer.now.after(target);
        // Once more where it counts: shortly before it may go.
        let last = Instant(grace.until.0.saturating_sub(2 * HISTORY_RETRY_MICROS));
        if answer.now < last {
            grace.next = grace.next.min(last);
        }
        if answer.now > grace.until {
            return;
        }
        let had_failed = core::mem::replace(&mut grace.failed, answer.status != 200);
        if answer.status != 200 && !had_failed {
            // A server may be between two lives: the playlist is asked first.
            grace.next = answer.now.after(RETRY);
        } else if answer.status != 200 {
            let text = "a removed segment is answered with %a, %b ms before it may go";
            let left = widen_millis(grace.until.since(answer.now));
            report.breach(site, 35, text, [u64::from(answer.status), left]);
            grace.next = grace.until.after(target);
        } else if answer.is_whole()
            && matches!(self.state, State::Got(_))
            && digest(DIGEST, answer.body) != self.digest
        {
            let text = "the bytes of a segment changed";
            report.breach(site, 31, text, [0; 2]);
            grace.next = grace.until.after(target);
        }
    }

    /// R39.
    fn expiry(&self, answer: &Answer<'_>, site: Site<'_>, report: &mut Report) {
        let Some(lasts) = answer.expires_s else { return };
        let needed = self.entry.micros.saturating_add(self.longest) / 1_000_000;
        if lasts.saturating_add(1) < needed {
            let text = "Expires says %a s, it must stay for %b s at least";
            report.advice(site, 39, text, [lasts, needed]);
        }
    }

    fn content(&self, body: &[u8], given: Given, site: Site<'_>, report: &mut Report) -> Content {
        match self.scheme.method {
            Method::Clear | Method::SampleAes => {
                let content = content::read(body, given.independent, site, report);
                self.samples(&content, site, report);
                content
            }
            Method::Aes128 => self.aes128(body, given, site, report),
            Method::Unknown => Content::Other,
        }
    }

    /// R50, sample by sample: the stream types say whether they are encrypted.
    fn samples(&self, content: &Content, site: Site<'_>, report: &mut Report) {
        let Content::Transport(transport) = content else { return };
        let says = self.scheme.method == Method::SampleAes;
        let is = transport.tracks.iter().any(super::track::Track::is_encrypted);
        if says && !is {
            report.breach(site, 50, "SAMPLE-AES applies, its tracks are clear", [0; 2]);
        } else if is && !says {
            report.breach(site, 50, "its tracks are encrypted, no KEY says so", [0; 2]);
        }
    }

    /// R50, R51: a whole segment encrypted.
    fn aes128(&self, body: &[u8], given: Given, site: Site<'_>, report: &mut Report) -> Content {
        if content::is_transport(body) {
            report.breach(site, 50, "AES-128 applies, it is clear", [0; 2]);
            return content::read(body, given.independent, site, report);
        }
        if body.is_empty() || !body.len().is_multiple_of(16) {
            let text = "AES-128 applies, its %a bytes are no whole blocks";
            report.breach(site, 51, text, [widen(body.len()), 0]);
            return Content::Other;
        }
        let (Some(key), Some(decipher)) = (given.key, given.decipher) else {
            return Content::Other;
        };
        let mut clear = body.to_vec();
        let padded = decipher(&key, &self.scheme.iv(self.sequence), &mut clear);
        if !padded || !is_media(&clear) {
            report.breach(site, 51, "its key and vector do not decrypt it", [0; 2]);
            return Content::Other;
        }
        content::read(&clear, given.independent, site, report)
    }
}

/// Whether deciphered bytes are what was enciphered.
fn is_media(bytes: &[u8]) -> bool {
    content::is_transport(bytes) || bytes.starts_with(b"ID3") || bytes.starts_with(b"WEBVTT")
}

fn widen_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
