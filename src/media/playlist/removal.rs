//! Which segments leave a playlist, when, and for how long they are kept then.
//!
//! The oldest goes first, and its tags go with it (R32, R36). Knows no files: the caller keeps
//! what is to be kept. Source: RFC 8216 §6.2.1, §6.2.2.

use core::time::Duration;

use heapless::Vec;

use super::{Change, Entry, Playlist, Retired};
use crate::limits::PENDING_SEGMENTS_MAX;
use crate::time::Instant;

impl Entry {
    /// Discontinuity tags in front of it.
    pub(super) fn tags(&self) -> u64 {
        u64::from(self.discontinuity) + u64::from(self.marks.passed)
    }
}

impl Playlist {
    /// Lists what waits, removes what may leave.
    pub(super) fn publish(&mut self, now: Instant) -> Change {
        let waiting = self.entries.iter().rev().take(self.waiting());
        self.micros += waiting.map(|entry| entry.micros).sum::<u64>();
        self.counts.segments += u64::try_from(self.waiting()).unwrap_or(0);
        self.listed = self.entries.len();
        self.updated_at = Some(now);
        self.version += 1;
        let mut retired = Vec::new();
        while !retired.is_full()
            && let Some(segment) = self.retire(now)
        {
            if retired.push(segment).is_err() {
                break;
            }
        }
        // What an event lists stays (R40).
        if !self.ranges.is_empty() && !self.is_event() {
            let window = self.entries.iter().find_map(|entry| entry.marks.date);
            // All that waited is listed.
            let listed = self.media_sequence..self.next_sequence();
            self.rewritten += u64::from(self.ranges.retire(window, listed));
        }
        self.longest.note(self.listed_end(), self.micros);
        self.longest.forget(self.media_sequence);
        Change { updated: true, retired }
    }

    /// Removes the oldest segment if it may or must leave.
    fn retire(&mut self, now: Instant) -> Option<Retired> {
        if self.is_event() {
            return None;
        }
        let oldest = *self.entries.front()?;
        let rest = self.micros - oldest.micros;
        let wanted = self.listed <= self.config.window_segments || rest < self.window_micros();
        // Room for what may wait until the next version, and the one that forces it.
        let full = self.listed + PENDING_SEGMENTS_MAX >= self.config.listed_max;
        let squeezed = self.squeeze.is_some_and(|most| rest >= most);
        if wanted && !squeezed && !full {
            return None;
        }
        if rest < u64::from(self.target_s?) * 3_000_000 {
            if !full {
                return None;
            }
            self.counts.window_cut += 1;
        } else if wanted {
            self.counts.window_shortened += 1;
        }
        self.longest.forget(self.media_sequence);
        let keep = Duration::from_micros(oldest.micros + self.longest.micros());
        self.entries.pop_front()?;
        self.listed -= 1;
        self.micros = rest;
        let sequence = self.media_sequence;
        self.media_sequence += 1;
        self.discontinuity_sequence += oldest.tags();
        self.tags -= oldest.tags();
        Some(Retired { slot: oldest.slot, sequence, keep_until: now.after(keep) })
    }

    /// Removes the oldest segment of a presentation that is no longer to be had: it may still be
    /// asked for as long as the playlist lasted (R41).
    pub fn take_down(&mut self, now: Instant) -> Option<Retired> {
        let oldest = self.entries.pop_front()?;
        self.listed = self.listed.saturating_sub(1);
        let sequence = self.media_sequence;
        self.media_sequence += 1;
        self.tags -= oldest.tags();
        self.discontinuity_sequence += oldest.tags();
        let keep = Duration::from_micros(oldest.micros + self.longest.micros().max(self.micros));
        Some(Retired { slot: oldest.slot, sequence, keep_until: now.after(keep) })
    }

    /// A segment that is not taken goes back to the caller.
    pub(super) fn refused(&self, now: Instant, slot: usize) -> Change {
        let mut change = Change::default();
        let retired = Retired { slot, sequence: self.next_sequence(), keep_until: now };
        let kept = change.retired.push(retired);
        debug_assert!(kept.is_ok());
        change
    }
}
