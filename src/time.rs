//! The kinds of time, so that they cannot be added to each other.
//!
//! `Millis` is what RTMP and FLV carry and wraps after 49.7 days. `Ticks` is media time at 90 kHz,
//! unwrapped once by `media::timeline` and never wrapping. `Instant` is the monotonic clock, an
//! argument everywhere below `service`. `UnixMillis` is the wall clock, for display and dates only.
//! Nothing here reads a clock.

use core::time::Duration;

/// A 32-bit millisecond timestamp as RTMP and FLV carry it; wraps modulo 2^32 (RTMP 1.0 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Millis(pub u32);

impl Millis {
    /// Adds `delta` modulo 2^32.
    #[must_use]
    pub const fn wrapping_add(self, delta: u32) -> Self {
        Self(self.0.wrapping_add(delta))
    }

    /// Signed distance from `earlier` to `self` in milliseconds, in serial-number arithmetic.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// Media time in 90 kHz ticks since the stream's epoch; 64 bits, never wraps, may be negative
/// while offsets are being applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub i64);

/// Ticks in one second.
pub const TICKS_PER_SECOND: i64 = 90_000;

impl Ticks {
    /// The zero of media time.
    pub const ZERO: Self = Self(0);

    /// Ticks in `ms` milliseconds, exactly.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms * 90)
    }

    /// Sum of two tick counts.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Difference of two tick counts.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    /// Whole microseconds, rounded to nearest; negative times round towards zero.
    #[must_use]
    pub const fn micros(self) -> i64 {
        (self.0 * 100 + 4) / 9
    }

    /// The low 33 bits, as PCR base, PTS and DTS carry them (H.222.0 §2.4.3.5, §2.4.3.7).
    #[must_use]
    pub const fn wire(self) -> u64 {
        self.0.cast_unsigned() & ((1 << 33) - 1)
    }
}

/// A point on the monotonic clock, in microseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The instant `wait` later; saturates.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to `self`, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millis_distance_is_signed_across_the_wrap() {
        assert_eq!(Millis(5).since(Millis(u32::MAX)), 6);
        assert_eq!(Millis(u32::MAX).since(Millis(5)), -6);
        assert_eq!(Millis(u32::MAX).wrapping_add(6), Millis(5));
    }

    #[test]
    fn ticks_wire_keeps_33_bits() {
        assert_eq!(Ticks((1 << 33) + 7).wire(), 7);
        assert_eq!(Ticks(-1).wire(), (1 << 33) - 1);
    }

    #[test]
    fn ticks_micros_rounds_to_nearest() {
        assert_eq!(Ticks(90_000).micros(), 1_000_000);
        assert_eq!(Ticks(1).micros(), 11);
        assert_eq!(Ticks(5).micros(), 56);
    }
}
