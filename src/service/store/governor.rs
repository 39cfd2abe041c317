//! Keeps each stream's segments within its share of the tmpfs.
//!
//! What a stream takes is counted in pages, in every state of a slot. A segment that leaves the
//! list is kept for as long as the list was (R35), so that a window costs twice its bytes, and a
//! shorter one gives room back only later. Therefore the window is shortened ahead of need: when
//! what is listed, kept and coming would not fit. The order, each step only where the one before
//! does not help:
//!
//! 1. pages of slots that nobody needs are given back;
//! 2. the window shrinks, down to three target durations (R34), and grows again;
//! 3. what left the list goes earlier than it should, the oldest first, counted;
//! 4. the segment is cut early, and the next waits for room.
//!
//! An event may not slide: it ends. Source: RFC 8216 §6.2.2.

use crate::media::playlist::Retired;
use crate::service::store::Store;
use crate::service::store::ending::Cause;
use crate::service::store::names::masked;
use crate::service::store::row::Use;
use crate::service::store::slots::SEGMENT_BYTES_MIN;
use crate::storage::widen;
use crate::time::{Instant, Ticks};
use core::ops::Range;

/// What tmpfs takes memory by.
pub(super) const PAGE_BYTES: u64 = 4 << 10;

/// What one place takes of the tmpfs, in bytes of whole pages.
#[derive(Debug)]
pub(super) struct Share {
    /// By all of its slots.
    used: u64,
    /// By those that are listed, or wait for it.
    listed: u64,
    /// By those that left the list and are kept.
    kept: u64,
    /// Of a large segment lately.
    peak: u64,
    /// The window is shorter than it should be, which has been said.
    squeezed: bool,
    /// The first of the kept need not be kept after this.
    forget_at: Option<Instant>,
    /// Which slot beside those of the live window comes next.
    pub(super) turn: usize,
}

impl Share {
    /// Nothing is taken.
    pub(super) const fn new() -> Self {
        Self { used: 0, listed: 0, kept: 0, peak: 0, squeezed: false, forget_at: None, turn: 0 }
    }

    /// How long a window of `segments` may be, in microseconds, when the share has `bytes` and the
    /// window lasts `micros`; `None` for as long as it should. A long one leaves room for a camera
    /// whose bit rate rises: it takes many versions to shorten it, and what left the list before
    /// stays as long as before.
    fn window_max(&self, bytes: u64, micros: u64, segments: Option<u64>) -> Option<u64> {
        let (coming, weight) = segments.map_or((1, 4), |segments| (4 + segments / 3, 5));
        let room = bytes.saturating_sub(self.peak.saturating_mul(coming));
        if self.listed + self.kept > room {
            return Some(0);
        }
        let need = self.listed.saturating_mul(weight) / 2;
        (need > room).then(|| {
            let most = u128::from(micros) * u128::from(room) / u128::from(need.max(1));
            u64::try_from(most).unwrap_or(u64::MAX)
        })
    }
}

impl Store {
    /// Makes sure that the first `bytes` of a slot can be written, if the share has room for them.
    pub(super) fn reserve(&mut self, stream: usize, index: usize, bytes: usize) -> bool {
        let Some(row) = self.rows.get(index) else { return false };
        if bytes <= row.slot.allocated() {
            return true;
        }
        let more = widen(row.slot.step(bytes)).saturating_sub(row.counted);
        if bytes > row.slot.capacity() || !self.make_room(stream, None, more) {
            return false;
        }
        let Some(row) = self.rows.get_mut(index) else { return false };
        let reserved = row.slot.reserve(bytes);
        self.account(index);
        reserved.is_ok()
    }

    /// Whether a segment may begin, in the slot that was picked for it. Makes room for one like
    /// those before; where an event has none, it ends.
    pub(super) fn may_begin(&mut self, stream: usize, slot: Option<usize>, now: Instant) -> bool {
        let peak = self.shares.get(stream).map_or(0, |share| share.peak);
        let own = slot.and_then(|slot| self.rows.get(slot)).map_or(0, |row| row.counted);
        let more = peak.max(widen(SEGMENT_BYTES_MIN)).saturating_sub(own);
        let fits = slot.is_some() && self.make_room(stream, slot, more);
        let Some(place) = self.streams.get(stream).and_then(Option::as_ref) else { return false };
        let playlist = &place.playlist;
        if !playlist.is_event() || (fits && !playlist.is_full()) {
            return true;
        }
        let cause = if playlist.is_full() { Cause::Long } else { Cause::Full };
        // Before its first segment there is nothing to end.
        !self.end(stream, now, cause)
    }

    /// Counts what the slot's pages take now.
    pub(super) fn account(&mut self, index: usize) {
        let stream = index / self.rows_per_stream.max(1);
        let (Some(row), Some(share)) = (self.rows.get_mut(index), self.shares.get_mut(stream))
        else {
            return;
        };
        let now = widen(row.slot.allocated()).next_multiple_of(PAGE_BYTES);
        share.used = (share.used + now).saturating_sub(row.counted);
        row.counted = now;
    }

    /// Counts all that is there at start.
    pub(super) fn account_all(&mut self) {
        let others = self.rows_per_stream - self.rows_live;
        for index in 0..self.rows.len() {
            let (stream, at) = (index / self.rows_per_stream, index % self.rows_per_stream);
            let state = self.rows.get(index).map_or(Use::Free, |row| row.state);
            match state {
                Use::Listed { .. } => self.listed(stream, index),
                Use::Free | Use::Writing | Use::Retired { .. } => self.account(index),
            }
            let (Some(row), Some(share)) = (self.rows.get(index), self.shares.get_mut(stream))
            else {
                return;
            };
            if let Use::Retired { keep_until, .. } = state {
                share.kept += row.counted;
                share.forget_at = Some(share.forget_at.unwrap_or(keep_until).min(keep_until));
            }
            if state != Use::Free && at >= self.rows_live {
                // Those behind are free.
                share.turn = (at - self.rows_live + 1) % others.max(1);
            }
        }
    }

    /// A segment has been finished, and counts as listed.
    pub(super) fn listed(&mut self, stream: usize, index: usize) {
        self.account(index);
        let counted = self.rows.get(index).map_or(0, |row| row.counted);
        if let Some(share) = self.shares.get_mut(stream) {
            share.listed += counted;
            share.peak = counted.max(share.peak - share.peak / 8);
        }
    }

    /// A segment has left the list.
    pub(super) fn retire(&mut self, stream: usize, retired: &Retired) {
        let Some(row) = self.rows.get_mut(retired.slot) else { return };
        let (sequence, keep_until) = (retired.sequence, retired.keep_until);
        if let (Use::Listed { .. }, Some(share)) = (row.state, self.shares.get_mut(stream)) {
            share.listed = share.listed.saturating_sub(row.counted);
            share.kept += row.counted;
            share.forget_at = Some(share.forget_at.unwrap_or(keep_until).min(keep_until));
        }
        row.state = Use::Retired { sequence, keep_until };
    }

    /// A slot's segment goes.
    pub(super) fn uncount(&mut self, index: usize) {
        let stream = index / self.rows_per_stream.max(1);
        let (Some(row), Some(share)) = (self.rows.get(index), self.shares.get_mut(stream)) else {
            return;
        };
        match row.state {
            Use::Listed { .. } => share.listed = share.listed.saturating_sub(row.counted),
            Use::Retired { .. } => share.kept = share.kept.saturating_sub(row.counted),
            Use::Free | Use::Writing => {}
        }
    }

    /// Removes the names of those that need not be kept.
    pub(super) fn forget_due(&mut self, now: Instant) {
        for stream in 0..self.shares.len() {
            let due = self.shares.get(stream).and_then(|share| share.forget_at);
            if due.is_none_or(|due| due > now) {
                continue;
            }
            let first = stream * self.rows_per_stream;
            let mut next: Option<Instant> = None;
            for row in first..first + self.rows_per_stream {
                let Some(Use::Retired { keep_until, .. }) = self.rows.get(row).map(|r| r.state)
                else {
                    continue;
                };
                if keep_until <= now {
                    self.forget(row);
                } else {
                    next = Some(next.unwrap_or(keep_until).min(keep_until));
                }
            }
            if let Some(share) = self.shares.get_mut(stream) {
                share.forget_at = next;
            }
        }
    }

    /// Says how long the window may be, once a segment of `duration` is finished.
    pub(super) fn govern(&mut self, stream: usize, duration: Ticks) {
        let (Some(Some(place)), Some(share)) =
            (self.streams.get_mut(stream), self.shares.get_mut(stream))
        else {
            return;
        };
        let micros = place.playlist.micros() + duration.micros().unsigned_abs();
        let playlist = &place.playlist;
        let segments = playlist.listed_end().saturating_sub(playlist.media_sequence());
        let segments = playlist.is_long().then_some(segments);
        let most = share.window_max(self.share_bytes, micros, segments);
        place.playlist.squeeze(most);
        let (path, window_s) = (masked(&place.path), place.playlist.micros() / 1_000_000);
        if !share.squeezed && most.is_some_and(|most| most < place.playlist.micros()) {
            share.squeezed = true;
            log::warn!(
                "window shortened stream={path} window_s={window_s} share_kib={} cure=\"raise \
                 hls.tmpfs_mib, or lower hls.dvr_minutes or the camera's bit rate\"",
                self.share_bytes >> 10
            );
        } else if share.squeezed && most.is_none() && place.playlist.is_whole() {
            share.squeezed = false;
            log::info!("window whole again stream={path} window_s={window_s}");
        }
    }

    /// Makes sure that the share has room for `bytes` more, and lets one slot be. Says whether it
    /// has.
    fn make_room(&mut self, stream: usize, but: Option<usize>, bytes: u64) -> bool {
        let fits = |store: &Self| {
            let used = store.shares.get(stream).map_or(u64::MAX, |share| share.used);
            used.saturating_add(bytes) <= store.share_bytes
        };
        if fits(self) {
            return true;
        }
        let rows = stream * self.rows_per_stream..(stream + 1) * self.rows_per_stream;
        for index in rows.clone().filter(|&index| Some(index) != but) {
            if self.rows.get(index).is_some_and(|row| row.state == Use::Free && row.counted > 0) {
                self.strip(index);
                if fits(self) {
                    return true;
                }
            }
        }
        while let Some(index) = self.oldest_kept(rows.clone(), but) {
            self.cut_retention(index);
            self.forget(index);
            self.strip(index);
            if fits(self) {
                return true;
            }
        }
        false
    }

    /// The slot that has been kept longest.
    fn oldest_kept(&self, rows: Range<usize>, but: Option<usize>) -> Option<usize> {
        let first = rows.start;
        let kept =
            self.rows.get(rows)?.iter().enumerate().filter_map(|(at, row)| match row.state {
                Use::Retired { keep_until, .. } if Some(first + at) != but => {
                    Some((keep_until, first + at))
                }
                Use::Free | Use::Writing | Use::Listed { .. } | Use::Retired { .. } => None,
            });
        Some(kept.min()?.1)
    }

    /// Gives the pages of a free slot back.
    fn strip(&mut self, index: usize) {
        let Some(row) = self.rows.get_mut(index) else { return };
        debug_assert!(row.state == Use::Free);
        let stripped = if row.closes {
            row.slot.unmake(&self.slots, row.name.as_bytes())
        } else {
            row.slot.end(0).map_err(Into::into)
        };
        if let Err(cause) = stripped {
            log::error!("slot keeps its pages slot={index} cause=\"{cause}\"");
        }
        self.account(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn window_is_shortened_when_twice_its_bytes_and_a_segment_do_not_fit() {
        let share = |listed: u64, kept: u64, peak: u64| Share {
            listed: listed * MIB,
            kept: kept * MIB,
            peak: peak * MIB,
            ..Share::new()
        };
        let second = 1_000_000;
        let most = |share: Share, micros| share.window_max(15 * MIB, micros, None);
        assert_eq!(most(share(7, 7, 1), 14 * second), None);
        assert_eq!(most(share(8, 6, 1), 16 * second), Some(14 * second));
        assert_eq!(most(share(4, 11, 1), 8 * second), Some(0), "no room is left");
        assert_eq!(most(share(0, 0, 20), 0), None);
        assert_eq!(most(share(1, 0, 20), second), Some(0));
        let most = |share: Share, micros| share.window_max(15 * MIB, micros, Some(6));
        assert_eq!(most(share(3, 5, 1), 6 * second), None);
        assert_eq!(most(share(6, 0, 0), 6 * second), None);
        assert_eq!(most(share(4, 0, 1), 10 * second), Some(9 * second));
        assert_eq!(most(share(4, 6, 1), 10 * second), Some(0), "what is coming has no room");
    }
}
