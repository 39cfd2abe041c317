//! The wall clock, while it can be believed.
//!
//! A board boots in 1970 or at the last shutdown; what is dated must wait until the kernel says
//! that something keeps the clock right. Deadlines use the monotonic clock, not this.
//! Source: adjtimex(2).

#![expect(unsafe_code, reason = "adjtimex has no safe wrapper")]

use std::time::{SystemTime, UNIX_EPOCH};

use nix::libc;

/// Seconds since 1970 at the start of 2024: before this no clock of ours is right.
const BELIEVABLE_FROM: u64 = 1_704_067_200;

/// Seconds since 1970, `None` while the clock is not synchronised or before 2024.
#[must_use]
pub fn synchronised() -> Option<u64> {
    if !is_synchronised() {
        return None;
    }
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    (unix >= BELIEVABLE_FROM).then_some(unix)
}

fn is_synchronised() -> bool {
    // SAFETY: `timex` is plain numbers; all zero is a valid value and asks to change nothing.
    let mut timex: libc::timex = unsafe { core::mem::zeroed() };
    // SAFETY: `timex` is valid for reads and writes and outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believed_time_is_not_before_2024() {
        let time = synchronised();
        assert!(time.is_none_or(|unix| unix >= BELIEVABLE_FROM));
        assert_eq!(time.is_some(), is_synchronised());
    }
}
