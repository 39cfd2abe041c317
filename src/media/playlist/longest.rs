//! The longest version that listed the oldest segment: what decides how long it is kept (R35).
//!
//! A queue of versions whose durations fall: a version that is no longer than a later one will
//! never be the longest for anybody. Each is noted and forgotten once, so that an update costs the
//! same whatever the length. Source: RFC 8216 §6.2.2.

use std::collections::VecDeque;

/// Versions that may still be the longest for a listed segment.
#[derive(Debug)]
pub(super) struct Longest {
    versions: VecDeque<Version>,
}

#[derive(Clone, Copy, Debug)]
struct Version {
    /// Sequence number behind the last segment that it listed.
    end: u64,
    micros: u64,
}

impl Longest {
    /// Memory for each segment.
    pub(super) const EACH_BYTES: usize = size_of::<Version>();

    /// Room for the versions of so many segments: no two end alike.
    pub(super) fn new(segments: usize) -> Self {
        Self { versions: VecDeque::with_capacity(segments) }
    }

    pub(super) fn clear(&mut self) {
        self.versions.clear();
    }

    /// There is a version that lists all segments before `end`.
    pub(super) fn note(&mut self, end: u64, micros: u64) {
        while self.versions.pop_back_if(|last| last.micros <= micros).is_some() {}
        if self.versions.back().is_none_or(|last| last.end < end) {
            self.versions.push_back(Version { end, micros });
        }
    }

    /// Versions that did not list the segment `oldest` do not count any more.
    pub(super) fn forget(&mut self, oldest: u64) {
        while self.versions.pop_front_if(|first| first.end <= oldest).is_some() {}
    }

    /// Duration of the longest, microseconds; 0 if there is none.
    pub(super) fn micros(&self) -> u64 {
        self.versions.front().map_or(0, |first| first.micros)
    }

    /// For tests.
    ///
    /// # Panics
    /// Where the queue is out of order.
    pub(super) fn check_invariants(&self) {
        let pairs = self.versions.iter().zip(self.versions.iter().skip(1));
        for (older, newer) in pairs {
            assert!(older.micros > newer.micros);
            assert!(older.end < newer.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn longest_is_that_of_all_versions_that_listed_the_oldest(
            steps in prop::collection::vec((0u64..3, 0u64..4, 1u64..100), 1..200),
        ) {
            let mut longest = Longest::new(200);
            let (mut oldest, mut end) = (0, 0);
            let mut all = Vec::new();
            for (leave, come, micros) in steps {
                end += come;
                oldest = end.min(oldest + leave);
                all.push((end, micros));
                longest.note(end, micros);
                longest.forget(oldest);
                longest.check_invariants();
                let listed = all.iter().filter(|(end, _)| *end > oldest);
                let wanted = listed.map(|(_, micros)| *micros).max();
                prop_assert_eq!(longest.micros(), wanted.unwrap_or(0));
            }
        }
    }
}
