//! How many lines a log takes about peers.
//!
//! Whoever can open a connection can cause lines. A few at once are told, then a few each second;
//! how many were not is told from time to time. Formats nothing and reads no clock.

use super::allowance::Allowance;
use crate::limits::{LOG_LINES_BURST, LOG_LINES_PER_S, LOG_WITHHELD_PAUSE};
use crate::time::Instant;
use core::cell::Cell;

/// Lines of one kind.
#[derive(Debug)]
pub(super) struct Journal {
    lines: Allowance,
    withheld: Cell<u64>,
    /// When it was last said how many.
    said: Cell<Instant>,
}

impl Journal {
    pub(super) const fn new() -> Self {
        let lines = Allowance::new(LOG_LINES_BURST, LOG_LINES_PER_S);
        Self { lines, withheld: Cell::new(0), said: Cell::new(Instant(0)) }
    }

    /// Whether a line may be written now. From time to time says how many could not.
    pub(super) fn takes(&self, now: Instant) -> bool {
        if !self.lines.takes(now) {
            self.withheld.set(self.withheld.get() + 1);
            return false;
        }
        if self.withheld.get() > 0 && now.since(self.said.get()) >= LOG_WITHHELD_PAUSE {
            self.said.set(now);
            let withheld = self.withheld.take();
            log::warn!("ingest lines withheld count={withheld} cause=\"too many in a short time\"");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn journal_takes_a_burst_and_then_a_few_each_second() {
        let journal = Journal::new();
        let start = Instant(60_000_000);
        let count = |after: Duration| {
            let now = start.after(after);
            (0..10_000).map(|_| u64::from(journal.takes(now))).sum::<u64>()
        };
        let (burst, second) = (LOG_LINES_BURST, Duration::from_secs(1));
        assert_eq!(count(Duration::ZERO), burst);
        assert_eq!(journal.withheld.get(), 10_000 - burst);
        assert_eq!(count(second), LOG_LINES_PER_S);
        assert_eq!(journal.withheld.get(), 10_000 - LOG_LINES_PER_S, "those before are said");
        let again = second + LOG_WITHHELD_PAUSE;
        let almost = count(again.saturating_sub(Duration::from_micros(1)));
        let withheld = 2 * 10_000 - LOG_LINES_PER_S - almost;
        assert_eq!(journal.withheld.get(), withheld, "the pause is not over");
        assert_eq!(count(again), 1);
        assert_eq!(journal.withheld.get(), 9_999, "those before are said");
        assert_eq!(count(Duration::from_secs(1000)), burst);
    }
}
