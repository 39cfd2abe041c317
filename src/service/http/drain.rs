//! Tells a slow peer from one that is gone, by what it has acknowledged.
//!
//! Counts bytes of one connection since its start; reads no clock and no socket.

use core::time::Duration;

use crate::limits::HTTP_SLOW_BYTES_S;
use crate::time::Instant;

/// What the peer has acknowledged, to tell slow from gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    acked: u64,
    moved_at: Instant,
    window_acked: u64,
    window_at: Instant,
}

impl Drain {
    pub(super) const fn from(acked: u64, now: Instant) -> Self {
        Self { acked, moved_at: now, window_acked: acked, window_at: now }
    }

    /// Takes what is acknowledged by `now`; says whether the peer has stood still for `limits.0`
    /// or been below `HTTP_SLOW_BYTES_S` for `limits.1`.
    pub(super) fn is_stalled(
        &mut self,
        acked: u64,
        unsent: u64,
        now: Instant,
        limits: (Duration, Duration),
    ) -> bool {
        if unsent == 0 {
            *self = Self::from(acked, now);
            return false;
        }
        if acked > self.acked {
            self.acked = acked;
            self.moved_at = now;
        }
        let window = now.since(self.window_at);
        if window >= limits.1 {
            let least = HTTP_SLOW_BYTES_S * limits.1.as_secs().max(1);
            if acked.saturating_sub(self.window_acked) < least {
                return true;
            }
            self.window_acked = acked;
            self.window_at = now;
        }
        now.since(self.moved_at) >= limits.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{HTTP_SLOW_TIME_MAX, HTTP_STALL_TIME_MAX};

    const LIMITS: (Duration, Duration) = (HTTP_STALL_TIME_MAX, HTTP_SLOW_TIME_MAX);

    #[test]
    fn drain_tells_slow_from_gone() {
        let second = |s: u64| Instant(s * 1_000_000);
        let mut drain = Drain::from(0, second(0));
        for s in 1..=60 {
            let acked = s * (9 << 10);
            assert!(!drain.is_stalled(acked, 1 << 20, second(s), LIMITS));
        }
        let acked = 60 * (9 << 10);
        assert!(!drain.is_stalled(acked, 1 << 20, second(69), LIMITS));
        assert!(drain.is_stalled(acked, 1 << 20, second(70), LIMITS));
    }

    #[test]
    fn drain_below_the_least_rate_is_stalled_after_its_window() {
        let second = |s: u64| Instant(s * 1_000_000);
        for (less, stalled) in [(0, false), (1, true)] {
            let mut drain = Drain::from(0, second(0));
            for s in 1..30 {
                assert!(!drain.is_stalled(s * 1000, 1 << 20, second(s), LIMITS));
            }
            let acked = 30 * HTTP_SLOW_BYTES_S - less;
            assert_eq!(drain.is_stalled(acked, 1 << 20, second(30), LIMITS), stalled);
        }
    }

    #[test]
    fn drain_with_nothing_unsent_is_never_stalled() {
        let mut drain = Drain::from(0, Instant(0));
        assert!(!drain.is_stalled(0, 0, Instant(u64::MAX), LIMITS));
    }
}
