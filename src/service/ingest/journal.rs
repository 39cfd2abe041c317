//! How many lines a log takes about peers.
//!
//! Whoever can open a connection can cause lines. A few at once are told, then a few each second;
//! how many were not is told from time to time. Formats nothing and reads no clock.

use crate::limits::{LOG_LINES_BURST, LOG_LINES_PER_S, LOG_WITHHELD_PAUSE};
use crate::time::Instant;
use core::cell::Cell;

/// Microseconds after which another line is allowed.
const LINE_MICROS: u64 = 1_000_000 / LOG_LINES_PER_S;

/// Microseconds in which as many lines are allowed as may come at once.
const BURST_MICROS: u64 = LINE_MICROS * LOG_LINES_BURST;

/// Lines of one kind.
#[derive(Debug)]
pub(super) struct Journal {
    /// Up to when lines are paid for; a burst's worth ahead of the clock at most.
    paid: Cell<u64>,
    withheld: Cell<u64>,
    /// When it was last said how many.
    said: Cell<Instant>,
}

impl Journal {
    pub(super) const fn new() -> Self {
        Self { paid: Cell::new(0), withheld: Cell::new(0), said: Cell::new(Instant(0)) }
    }

    /// Whether a line may be written now. From time to time says how many could not.
    pub(super) fn takes(&self, now: Instant) -> bool {
        let paid = self.paid.get().max(now.0).saturating_add(LINE_MICROS);
        if paid > now.0.saturating_add(BURST_MICROS) {
            self.withheld.set(self.withheld.get() + 1);
            return false;
        }
        self.paid.set(paid);
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

    #[test]
    fn journal_takes_a_burst_and_then_a_few_each_second() {
        let journal = Journal::new();
        let count = |second: u64| {
            let now = Instant(60_000_000 + second * 1_000_000);
            (0..10_000).filter(|_| journal.takes(now)).count()
        };
        assert_eq!(count(0), 100);
        assert_eq!(journal.withheld.get(), 9_900);
        assert_eq!(count(1), 5);
        assert_eq!(journal.withheld.get(), 9_995, "the first 9900 have been said");
        assert_eq!(count(11), 50);
        assert_eq!(journal.withheld.get(), 9_950, "and these");
        assert_eq!(count(1000), 100);
    }
}
