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
