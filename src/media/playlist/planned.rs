//! How long a segment may be expected to be there, for those who keep copies of it.
//!
//! A listed segment leaves when as much new media has come as is listed up to its end, once the
//! window is full; then it is kept as R35 asks. That is a plan: a publisher may stop, and a window
//! may be cut. Decides nothing about removal. Source: R39, draft-pantos-http-live-streaming-12
//! §6.2.2.

use core::time::Duration;

use super::Playlist;
use crate::time::Instant;

/// When a segment leaves, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// It leaves its playlist then, or now if that is later.
    pub leaves: Instant,
    /// It is kept for so long after that.
    pub kept: Duration,
}

impl Planned {
    /// The plan for a segment that has left: it is kept until then.
    #[must_use]
    pub const fn until(leaves: Instant) -> Self {
        Self { leaves, kept: Duration::ZERO }
    }

    /// How long it will be there from now on.
    #[must_use]
    pub fn left(self, now: Instant) -> Duration {
        // What has left does not wait for anybody.
        if self.kept.is_zero() {
            return self.leaves.since(now);
        }
        self.leaves.since(now) + self.kept
    }
}

impl Playlist {
    /// The plan for a listed segment; `None` if nothing leaves any more, or it is not listed.
    #[must_use]
    pub fn planned(&self, sequence: u64) -> Option<Planned> {
        let updated_at = self.updated_at.filter(|_| !self.ended && !self.is_event())?;
        let at = usize::try_from(sequence.checked_sub(self.media_sequence)?).ok()?;
        let entry = self.entries.iter().take(self.listed).nth(at)?;
        let missing = self.config.window_segments.saturating_sub(self.listed);
        let missing = u64::try_from(missing).unwrap_or(0) * u64::from(self.target_s?) * 1_000_000;
        let until_its_end: u64 = self.entries.iter().take(at + 1).map(|entry| entry.micros).sum();
        let longest = self.longest.micros().max(self.micros() + missing);
        Some(Planned {
            leaves: updated_at.after(Duration::from_micros(missing + until_its_end)),
            kept: Duration::from_micros(entry.micros + longest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Closed, PlaylistConfig, PlaylistKind};
    use super::*;
    use crate::time::Ticks;

    const SECOND: u64 = 1_000_000;

    /// A playlist of `count` segments of 2 s, target 2 s and window 4; one came each 2 s.
    fn playlist(count: u64) -> (Playlist, Vec<(u64, Instant)>) {
        let mut playlist = Playlist::new(PlaylistConfig {
            segment: Ticks::from_millis(2_000),
            window_segments: 4,
            listed_max: 40,
            kind: PlaylistKind::Live { window: Ticks::ZERO },
            target_duration_s: Some(2),
            media_sequence: 100,
            discontinuity_sequence: 0,
        });
        let mut left = Vec::new();
        for n in 0..count {
            let duration = Ticks::from_millis(2_000);
            let closed = Closed { duration, discontinuity: false, independent: true, slot: 0 };
            let change = playlist.closed(Instant(n * 2 * SECOND), closed);
            left.extend(change.retired.iter().map(|one| (one.sequence, one.keep_until)));
        }
        (playlist, left)
    }

    #[test]
    fn segment_goes_when_it_was_planned_to_go_r39() {
        for listed in 1..8 {
            let (before, _) = playlist(listed);
            let (_, left) = playlist(listed + 20);
            let now = Instant((listed - 1) * 2 * SECOND);
            for one in before.listed() {
                let planned = before.planned(one.sequence).unwrap();
                let gone = left.iter().find(|(sequence, _)| *sequence == one.sequence).unwrap().1;
                assert_eq!(now.after(planned.left(now)), gone, "{} of {listed}", one.sequence);
            }
        }
    }

    #[test]
    fn segment_of_a_stale_window_has_its_retention_left() {
        let (playlist, _) = playlist(6);
        let planned = playlist.planned(102).unwrap();
        let hour = Instant(3_600 * SECOND);
        assert_eq!(planned.left(hour), Duration::from_secs(2 + 8));
        let retired = Planned::until(Instant(9 * SECOND));
        assert_eq!(retired.left(Instant(4 * SECOND)), Duration::from_secs(5));
        assert_eq!(retired.left(hour), Duration::ZERO);
    }

    #[test]
    fn nothing_is_planned_for_what_is_not_listed_or_has_ended() {
        let (mut playlist, _) = playlist(6);
        assert_eq!(playlist.planned(101), None);
        assert_eq!(playlist.planned(106), None);
        assert!(playlist.planned(105).is_some());
        assert!(playlist.end(Instant(20 * SECOND)).updated);
        assert_eq!(playlist.planned(105), None);
    }
}
