//! The one clock: everything below `service` takes `now` as an argument.

use std::sync::OnceLock;

use crate::time;

/// Time on the monotonic clock since the first call.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
pub fn now() -> time::Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let now = std::time::Instant::now();
    let start = START.get_or_init(|| now);
    time::Instant(0).after(now.saturating_duration_since(*start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_never_goes_back() {
        let first = now();
        assert!(now() >= first);
    }
}
