//! The wall clock, while it can be believed.
//!
//! A board boots in 1970 and stays there until something sets its clock. The kernel keeps the
//! answer: `adjtimex(2)` says `TIME_ERROR` or `STA_UNSYNC` until a time service has told it
//! otherwise. Dates are sent (HTTP `Date`, `EXT-X-PROGRAM-DATE-TIME`) only while it is
//! synchronised. Deadlines use the monotonic clock, not this; sets nothing. The one unsafe call of
//! this file is the system call itself: `nix` has no safe form of it.

use core::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::libc;

use crate::time::UnixMillis;

/// Seconds since 1970 at the start of 2024: before this no clock of ours is right.
pub const BELIEVABLE_FROM: u64 = 1_704_067_200;

/// Seconds since 1970, `None` while the clock is not synchronised or before 2024.
#[must_use]
pub fn synchronised() -> Option<u64> {
    synchronised_millis().map(|unix| unix.0 / 1000)
}

/// The same in milliseconds.
#[must_use]
pub fn synchronised_millis() -> Option<UnixMillis> {
    if WallClock::read() != Ok(WallClock::Synchronised) {
        return None;
    }
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let millis = u64::try_from(unix.as_millis()).ok()?;
    (unix.as_secs() >= BELIEVABLE_FROM).then_some(UnixMillis(millis))
}

/// Seconds since 1970 by the wall clock, synchronised or not, `None` before 2024: a clock that ran
/// on while the power was off, or goes on from when it was.
#[must_use]
pub fn believable() -> Option<u64> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    (unix >= BELIEVABLE_FROM).then_some(unix)
}

/// What the kernel says of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WallClock {
    /// A time service keeps it right; dates may be shown.
    Synchronised,
    /// Nobody has said that it is right; dates would lie.
    Free,
}

impl WallClock {
    /// Asks the kernel; takes well under a microsecond.
    ///
    /// # Errors
    /// The kernel refuses the question: a sandbox without `adjtimex`.
    #[expect(unsafe_code, reason = "nix has no safe adjtimex")]
    pub fn read() -> Result<Self, Errno> {
        let mut timex = MaybeUninit::<libc::timex>::zeroed();
        // SAFETY: `timex` is a live, writable, properly aligned `struct timex` of integers, for
        // which all zeroes is a value. `modes` is zero, which makes the call a pure read that
        // needs no privilege; the kernel writes within the struct and keeps no pointer to it.
        let (state, timex) = unsafe {
            let state = libc::adjtimex(timex.as_mut_ptr());
            (state, timex.assume_init())
        };
        Errno::result(state).map(|state| Self::judge(state, timex.status))
    }

    /// Reads the kernel's two answers: clock state and status bits.
    const fn judge(state: libc::c_int, status: libc::c_int) -> Self {
        if state == libc::TIME_ERROR || status & libc::STA_UNSYNC != 0 {
            Self::Free
        } else {
            Self::Synchronised
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_free_when_either_answer_says_so() {
        const TIME_OK: libc::c_int = 0;
        assert_eq!(WallClock::judge(TIME_OK, 0), WallClock::Synchronised);
        let free = WallClock::Free;
        assert_eq!(WallClock::judge(libc::TIME_ERROR, 0), free);
        assert_eq!(WallClock::judge(TIME_OK, libc::STA_UNSYNC), free);
    }

    #[test]
    fn time_is_believed_while_synchronised_and_not_before_2024() {
        let time = synchronised();
        assert!(time.is_none_or(|unix| unix >= BELIEVABLE_FROM));
        assert_eq!(time.is_some(), WallClock::read() == Ok(WallClock::Synchronised));
    }

    #[test]
    fn clock_reading_changes_nothing() {
        let first = WallClock::read();
        assert_eq!(first, WallClock::read());
        assert!(first.is_ok(), "{first:?}");
    }
}
