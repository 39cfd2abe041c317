//! How often something may be done for peers: a few times at once, then so many each second.
//!
//! Reads no clock.

use crate::time::Instant;
use core::cell::Cell;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Up to when it is used; a burst's worth ahead of the clock at most.
    used: Cell<u64>,
    /// Microseconds of one time.
    each: u64,
    burst: u64,
}

impl Allowance {
    /// `burst` times at once and `per_s` each second.
    pub(super) const fn new(burst: u64, per_s: u64) -> Self {
        let each = 1_000_000 / per_s;
        Self { used: Cell::new(0), each, burst: each * burst }
    }

    /// Whether it may be done now, which is a time of it.
    pub(super) fn takes(&self, now: Instant) -> bool {
        let used = self.used.get().max(now.0).saturating_add(self.each);
        let may = used <= now.0.saturating_add(self.burst);
        if may {
            self.used.set(used);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{RTMPE_HANDSHAKES_BURST, RTMPE_HANDSHAKES_PER_S};
    use core::time::Duration;

    #[test]
    fn allowance_of_key_agreements_is_a_burst_and_then_a_few_each_second() {
        let allowance = Allowance::new(RTMPE_HANDSHAKES_BURST, RTMPE_HANDSHAKES_PER_S);
        let start = Instant(60_000_000);
        let count = |after: Duration| {
            (0..1000).map(|_| u64::from(allowance.takes(start.after(after)))).sum::<u64>()
        };
        assert_eq!(count(Duration::ZERO), RTMPE_HANDSHAKES_BURST);
        assert_eq!(count(Duration::from_secs(1)), RTMPE_HANDSHAKES_PER_S);
        assert_eq!(count(Duration::from_secs(1000)), RTMPE_HANDSHAKES_BURST);
    }
}
