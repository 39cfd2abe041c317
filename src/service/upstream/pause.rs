//! How long to leave an upstream alone before it is tried again.
//!
//! The pause doubles with every failure, and a part of it is random: after a power cut a building
//! full of boxes must not call the same server in the same second.

use crate::limits::{UPSTREAM_PAUSE_MAX, UPSTREAM_PAUSE_MIN, UPSTREAM_STEADY_TIME};
use core::time::Duration;

/// The pauses of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    next: Duration,
}

impl Pauses {
    /// Nothing has failed yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "not zero")]
    pub const fn new() -> Self {
        Self { next: UPSTREAM_PAUSE_MIN }
    }

    /// The pause after a connection that held for `held`; `chance` is any number.
    pub fn after(&mut self, held: Duration, chance: u32) -> Duration {
        if held >= UPSTREAM_STEADY_TIME {
            *self = Self::new();
        }
        let base = self.next;
        self.next = (base * 2).min(UPSTREAM_PAUSE_MAX);
        let extra = base / 2 * (chance % 1024) / 1024;
        (base + extra).min(UPSTREAM_PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_begin_anew_after_a_steady_minute() {
        let mut pauses = Pauses::new();
        let short = UPSTREAM_STEADY_TIME.saturating_sub(Duration::from_millis(1));
        let seconds: Vec<u64> = (0..8).map(|_| pauses.after(short, 0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses.after(UPSTREAM_STEADY_TIME, 0), UPSTREAM_PAUSE_MIN);
    }

    proptest! {
        #[test]
        fn pauses_stay_within_their_bounds(
            chances in proptest::collection::vec(any::<u32>(), 1..20),
        ) {
            let mut pauses = Pauses::new();
            for chance in chances {
                let pause = pauses.after(Duration::ZERO, chance);
                prop_assert!((UPSTREAM_PAUSE_MIN..=UPSTREAM_PAUSE_MAX).contains(&pause));
            }
        }
    }
}
