//! What is found: which rule, when, where, and in what words.
//!
//! Words are fixed texts with two numbers in them, so that a finding costs no formatting until it
//! is printed. The same finding at the same place is kept once and counted. Does not judge.

use core::fmt;

use crate::limits::{HISTORY_FINDINGS_MAX, HISTORY_PLACE_BYTES_MAX};
use crate::time::Instant;

/// A rule by the number it has in the project's reference sheet, `R1` to `R65`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule(pub u8);

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}", self.0)
    }
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A MUST is broken.
    Breach,
    /// The playlist did not go on for a while, and a camera that was away explains it (R37).
    Stale,
    /// A SHOULD is not followed.
    Advice,
    /// Something could not be judged; nothing is known to be wrong.
    Unjudged,
}

impl Class {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Breach => "breach",
            Self::Stale => "stale",
            Self::Advice => "advice",
            Self::Unjudged => "unjudged",
        }
    }
}

/// What a caller does not want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Allowance {
    /// The playlist waits while a camera is away.
    pub stale: bool,
    /// A server that was restarted may have lost its window; what it goes on with is judged.
    pub restart: bool,
    /// A SHOULD may be left out.
    pub advice: bool,
}

/// One thing that is not as the rules want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Its weight.
    pub class: Class,
    /// When it was first seen.
    pub at: Instant,
    /// How often it was seen.
    pub times: u32,
    text: &'static str,
    numbers: [u64; 2],
    place: String,
}

impl Finding {
    /// The words, without numbers: `%a` and `%b` stand for these.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// The playlist, segment or key that it is about.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// `R10 target duration went from 3 s to 4 s: /live/cam.m3u8`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.rule, self.class.word())?;
        let [a, b] = self.numbers;
        let mut rest = self.text;
        while let Some((before, after)) = rest.split_once('%') {
            f.write_str(before)?;
            let (number, tail) = match after.strip_prefix('a') {
                Some(tail) => (a, tail),
                None => (b, after.strip_prefix('b').unwrap_or(after)),
            };
            write!(f, "{number}")?;
            rest = tail;
        }
        f.write_str(rest)?;
        if !self.place.is_empty() {
            write!(f, ": {}", self.place)?;
        }
        if self.times > 1 {
            write!(f, " ({} times)", self.times)?;
        }
        Ok(())
    }
}

/// When and where something is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) at: Instant,
    pub(super) place: &'a str,
}

impl<'a> Site<'a> {
    pub(super) const fn new(at: Instant, place: &'a str) -> Self {
        Self { at, place }
    }
}

/// All findings so far.
#[derive(Debug)]
pub(super) struct Report {
    allowance: Allowance,
    findings: Vec<Finding>,
    /// Findings that had no place.
    more: u64,
}

impl Report {
    pub(super) const fn new(allowance: Allowance) -> Self {
        Self { allowance, findings: Vec::new(), more: 0 }
    }

    pub(super) fn breach(
        &mut self,
        site: Site<'_>,
        rule: u8,
        text: &'static str,
        numbers: [u64; 2],
    ) {
        self.add(site, (Class::Breach, Rule(rule)), text, numbers);
    }

    pub(super) fn advice(
        &mut self,
        site: Site<'_>,
        rule: u8,
        text: &'static str,
        numbers: [u64; 2],
    ) {
        self.add(site, (Class::Advice, Rule(rule)), text, numbers);
    }

    pub(super) fn add(
        &mut self,
        site: Site<'_>,
        (class, rule): (Class, Rule),
        text: &'static str,
        numbers: [u64; 2],
    ) {
        let allowed = match class {
            Class::Stale => self.allowance.stale,
            Class::Advice => self.allowance.advice,
            Class::Breach | Class::Unjudged => false,
        };
        if allowed {
            return;
        }
        let place = short(site.place);
        let same = |f: &&mut Finding| f.rule == rule && f.text == text && f.place == place;
        if let Some(known) = self.findings.iter_mut().find(same) {
            known.times = known.times.saturating_add(1);
        } else if self.findings.len() < HISTORY_FINDINGS_MAX {
            let place = place.to_owned();
            self.findings.push(Finding {
                rule,
                class,
                at: site.at,
                times: 1,
                text,
                numbers,
                place,
            });
        } else {
            self.more += 1;
        }
        debug_assert!(self.findings.len() <= HISTORY_FINDINGS_MAX);
    }

    pub(super) const fn allowance(&self) -> Allowance {
        self.allowance
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) const fn more(&self) -> u64 {
        self.more
    }
}

/// The end of a long place, which tells more than its beginning.
fn short(place: &str) -> &str {
    let from = place.len().saturating_sub(HISTORY_PLACE_BYTES_MAX);
    (from..place.len()).find_map(|at| place.get(at..)).unwrap_or_default()
}
