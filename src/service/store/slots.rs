//! Which slot the next segment goes to, who may still refer to a slot's pages, and when its name
//! goes.
//!
//! Source: RFC 8216 §6.2.2.

use crate::service::store::Store;
use crate::service::store::names::{SegmentName, masked};
use crate::service::store::row::{Rank, Row, Use};
use crate::status::Counter;
use crate::time::Instant;
use std::os::fd::BorrowedFd;

impl Store {
    /// The file of a slot.
    #[must_use]
    pub fn file(&self, slot: usize) -> Option<BorrowedFd<'_>> {
        self.rows.get(slot)?.slot.file()
    }

    /// The present use of a slot.
    #[must_use]
    pub fn generation(&self, slot: usize) -> u32 {
        self.rows.get(slot).map_or(0, |row| row.generation)
    }

    /// Notes that a response may refer to the slot's pages until `release`.
    pub fn hold(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            row.holds += 1;
            if let Err(cause) = row.slot.open(&self.slots, row.name.as_bytes(), false) {
                log::warn!("slot cannot be opened slot={slot} cause=\"{cause}\"");
            }
        }
    }

    /// Ends one `hold`.
    pub fn release(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            debug_assert!(row.holds > 0);
            row.holds = row.holds.saturating_sub(1);
            if row.closes && row.holds == 0 && row.state != Use::Writing {
                row.slot.close();
            }
        }
    }

    /// Notes that a receiver on this machine may refer to the slot's pages for as long as it
    /// likes: they are replaced at the next use, not written again.
    pub fn mark_local(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            row.local = true;
        }
    }

    /// Holds on a slot.
    #[must_use]
    pub fn holds(&self, slot: usize) -> u32 {
        self.rows.get(slot).map_or(0, |row| row.holds)
    }

    /// Whether a slot was marked local.
    #[must_use]
    pub fn is_local(&self, slot: usize) -> bool {
        self.rows.get(slot).is_some_and(|row| row.local)
    }

    /// Picks and prepares the slot of the next segment. If the tmpfs has no pages for the one that
    /// is best, one that has kept some is taken. An event that has no room ends.
    pub(super) fn begin(&mut self, stream: usize, now: Instant) -> Option<usize> {
        if self.is_ended(stream) {
            return None;
        }
        let picked = self.pick(stream, now);
        if !self.may_begin(stream, picked, now) {
            return None;
        }
        let index = picked?;
        self.turn_key(stream)?;
        self.prepare(index, now).or_else(|| {
            let index = self.best(stream, now, SEGMENT_BYTES_MIN)?;
            self.prepare(index, now)
        })
    }

    /// The best slot. Those of the live window go first, since they are open; then that which was
    /// used longest ago, so that a long playlist is not looked through for each segment.
    fn pick(&mut self, stream: usize, now: Instant) -> Option<usize> {
        let first = stream * self.rows_per_stream;
        let ready = |row: &Row| row.rank(now, 0) == Some(Rank::Ready);
        let live = self.rows.get(first..first + self.rows_live)?;
        if let Some(at) = live.iter().position(ready) {
            return Some(first + at);
        }
        let others = self.rows_per_stream - self.rows_live;
        let share = self.shares.get_mut(stream)?;
        let oldest = first + self.rows_live + share.turn;
        if others > 0 && self.rows.get(oldest).is_some_and(ready) {
            share.turn = (share.turn + 1) % others;
            return Some(oldest);
        }
        self.best(stream, now, 0)
    }

    /// The best slot among those that have pages for `bytes`.
    fn best(&self, stream: usize, now: Instant, bytes: usize) -> Option<usize> {
        let first = stream * self.rows_per_stream;
        let rows = self.rows.get(first..first + self.rows_per_stream)?;
        let ranked = rows.iter().enumerate().filter(|(_, row)| row.slot.allocated() >= bytes);
        let ranked = ranked.filter_map(|(i, row)| Some((row.rank(now, bytes)?, first + i)));
        Some(ranked.min()?.1)
    }

    /// The kept segment of `stream` with this sequence number.
    pub(super) fn find(&self, stream: usize, wanted: u64) -> Option<usize> {
        let first = stream * self.rows_per_stream;
        let rows = self.rows.get(first..first + self.rows_per_stream)?;
        let at = rows.iter().position(|row| match row.state {
            Use::Listed { sequence } | Use::Retired { sequence, .. } => sequence == wanted,
            Use::Free | Use::Writing => false,
        })?;
        Some(first + at)
    }

    /// Makes a slot ready for a segment. `None` if there are no pages for it.
    fn prepare(&mut self, index: usize, now: Instant) -> Option<usize> {
        let state = self.rows.get(index)?.state;
        if matches!(state, Use::Retired { keep_until, .. } if keep_until > now) {
            self.cut_retention(index);
        }
        self.forget(index);
        let row = self.rows.get_mut(index)?;
        if let Err(cause) = row.slot.open(&self.slots, row.name.as_bytes(), true) {
            log::error!("slot cannot be opened slot={index} cause=\"{cause}\"");
            return None;
        }
        if row.is_referred_to() {
            if let Err(cause) = row.slot.renew() {
                log::error!("slot cannot be renewed slot={index} cause=\"{cause}\"");
                return None;
            }
            // Those who refer to the old pages keep them; they have nothing to do with the new.
            row.local = false;
            self.status.add(Counter::SlotsRenewed, 1);
        }
        // Until it is written, nobody may take its pages.
        row.state = Use::Writing;
        self.account(index);
        if !self.reserve(index / self.rows_per_stream.max(1), index, SEGMENT_BYTES_MIN) {
            log::warn!("slot has no pages slot={index}");
            self.discard(index);
            return None;
        }
        let row = self.rows.get_mut(index)?;
        row.generation = row.generation.wrapping_add(1);
        Some(index)
    }

    /// The segment being written in `slot` is not worth keeping.
    pub(super) fn discard(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            debug_assert!(row.state == Use::Writing);
            row.state = Use::Free;
            if row.closes && row.holds == 0 {
                row.slot.close();
            }
        }
    }

    /// A segment goes that was to be kept. Of what an earlier run has left, the time was an upper
    /// bound.
    pub(super) fn cut_retention(&self, index: usize) {
        if self.rows.get(index).is_some_and(|row| row.epoch == self.epoch) {
            self.status.add(Counter::RetentionCut, 1);
        }
    }

    /// Takes the name of a segment that need not be kept; its slot is free.
    pub(super) fn forget(&mut self, row: usize) {
        self.uncount(row);
        let stream = self.streams.get(row / self.rows_per_stream.max(1));
        let stream = stream.and_then(Option::as_ref);
        let Some(row) = self.rows.get_mut(row) else { return };
        if let (Use::Listed { sequence } | Use::Retired { sequence, .. }, Some(stream)) =
            (row.state, stream)
            && let Some(folder) = &stream.folder
            && let Err(cause) = folder.remove(SegmentName::new(row.id(sequence)).bytes())
        {
            let stream = masked(&stream.path);
            log::debug!(
                "segment had no name stream={stream} sequence={sequence} cause=\"{cause}\""
            );
        }
        row.state = Use::Free;
    }
}

/// Bytes that a segment has room for as soon as it begins: its tables and a small picture.
pub(super) const SEGMENT_BYTES_MIN: usize = 4 << 10;
