//! How many bytes of a publisher are worth a wake-up.
//!
//! A live stream is dozens of small messages a second, and waking for each costs more than the
//! message. Between messages the kernel is asked to report only once some tens of milliseconds of
//! the stream have come; inside a message, and where a segment may end, every byte counts, so that
//! no picture waits for its own end and no playlist for its segment. Reads no clock and asks
//! nothing of the kernel itself.

use crate::limits::GATHER_BYTES_MAX;
use crate::time::Instant;
use core::time::Duration;

/// Time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(1);

/// The rate of one publisher.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    bytes: u64,
    /// Bytes a second.
    rate: u64,
}

impl Pace {
    /// Nothing is known yet: every byte is worth it.
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, rate: 0 }
    }

    /// Counts what came.
    pub(super) fn count(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        let window = now.since(self.since);
        if window < WINDOW {
            return;
        }
        let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
        self.rate = self.bytes.saturating_mul(1_000_000) / micros;
        self.since = now;
        self.bytes = 0;
    }

    /// Bytes to wait for between two messages: what comes in `time`.
    pub(super) fn gather(&self, time: Duration) -> u32 {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let gather = self.rate.saturating_mul(micros) / 1_000_000;
        u32::try_from(gather).unwrap_or(u32::MAX).clamp(1, GATHER_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_gathers_a_share_of_the_rate_within_its_bounds() {
        const TIME: Duration = Duration::from_millis(50);
        let second = |s: u64| Instant(s * 1_000_000);
        let mut pace = Pace::new(second(0));
        pace.count(500_000, Instant(500_000));
        assert_eq!(pace.gather(TIME), 1, "not yet measured");
        pace.count(0, second(1));
        assert_eq!(pace.gather(TIME), 25_000);
        assert_eq!(pace.gather(TIME / 2), 12_500);
        let most = u64::from(GATHER_BYTES_MAX) * 20;
        pace.count(most - 1_000, second(2));
        assert!(pace.gather(TIME) < GATHER_BYTES_MAX);
        pace.count(most, second(3));
        assert_eq!(pace.gather(TIME), GATHER_BYTES_MAX);
        pace.count(100 * most, second(4));
        assert_eq!(pace.gather(TIME), GATHER_BYTES_MAX);
        pace.count(0, second(5));
        assert_eq!(pace.gather(TIME), 1);
    }
}
