//! When the next version is due: not too soon after the last one (R37), and not for a rest.
//!
//! A rest is a segment shorter than a second: what was cut off where a camera went, or where its
//! parameters changed. While the playlist has dates, which it has not where such short ones are
//! wanted, a rest is listed together with the segment behind it, or at the end of the presentation.
//! The reason is a player: Chromium finds its place in a new version by the segment whose date is
//! within a second of where the last one ended. While a shorter one is the last, that is the same
//! segment again; its decoder is fed it twice, and ends with `Parsed buffers not in DTS sequence`.
//! It reckons dates where none stand, so that to leave that of the rest away does not help.

use core::time::Duration;

use super::Playlist;
use crate::limits::REST_US_MAX;
use crate::time::Instant;

impl Playlist {
    /// When `poll` will make the next version; `None` if nothing waits, or only the next segment
    /// brings it about.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let updated_at = self.updated_at.filter(|_| self.waiting() > 0 && !self.ends_in_rest())?;
        let half = u64::from(self.target_s?) * 500_000;
        Some(updated_at.after(Duration::from_micros(half)))
    }

    /// Whether what waits may be listed now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.ends_in_rest() && self.deadline().is_none_or(|deadline| now >= deadline)
    }

    /// Segments that no version lists yet.
    pub(super) fn waiting(&self) -> usize {
        self.entries.len() - self.listed
    }

    /// Whether the newest segment is one that must not be the last of a playlist with dates.
    fn ends_in_rest(&self) -> bool {
        self.entries.back().is_some_and(|last| last.micros < REST_US_MAX)
            && self.entries.iter().rev().any(|entry| entry.marks.date.is_some())
    }
}
