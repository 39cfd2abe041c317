//! Which slot the next segment goes to, who may still refer to a slot's pages, and when its name
//! goes.
//!
//! Source: RFC 8216 §6.2.2.

use crate::service::store::Store;
use crate::service::store::names::{SegmentName, masked};
use crate::service::store::row::{Row, Use};
use crate::status::Counter;
use crate::time::Instant;
use std::os::fd::BorrowedFd;

impl Store {
    /// The file of a slot.
    #[must_use]
    pub fn file(&self, slot: usize) -> Option<BorrowedFd<'_>> {
        self.rows.get(slot).map(|row| row.slot.file())
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
        }
    }

    /// Ends one `hold`.
    pub fn release(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            debug_assert!(row.holds > 0);
            row.holds = row.holds.saturating_sub(1);
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
    /// is best, one that has kept some is taken.
    pub(super) fn begin(&mut self, stream: usize, now: Instant) -> Option<usize> {
        self.turn_key(stream)?;
        let index = self.pick(stream, now, 0)?;
        self.prepare(index, now).or_else(|| {
            let index = self.pick(stream, now, SEGMENT_BYTES_MIN)?;
            self.prepare(index, now)
        })
    }

    /// The best slot among those that have pages for `bytes`.
    fn pick(&self, stream: usize, now: Instant, bytes: usize) -> Option<usize> {
        let first = stream * self.rows_per_stream;
        let rows = self.rows.get(first..first + self.rows_per_stream)?;
        let ranked = rows.iter().enumerate().filter(|(_, row)| row.slot.allocated() >= bytes);
        let ranked = ranked.filter_map(|(i, row)| Some((row.rank(now, bytes)?, first + i)));
        Some(ranked.min()?.1)
    }

    /// Makes a slot ready for a segment. `None` if there are no pages for it.
    fn prepare(&mut self, index: usize, now: Instant) -> Option<usize> {
        let Row { state, epoch, .. } = *self.rows.get(index)?;
        // Of what an earlier run has left, the time was an upper bound.
        let kept = matches!(state, Use::Retired { keep_until, .. } if keep_until > now);
        if kept && epoch == self.epoch {
            self.status.add(Counter::RetentionCut, 1);
        }
        self.forget(index);
        let row = self.rows.get_mut(index)?;
        if row.is_referred_to() {
            if let Err(cause) = row.slot.renew() {
                log::error!("slot cannot be renewed slot={index} cause=\"{cause}\"");
                return None;
            }
            // Those who refer to the old pages keep them; they have nothing to do with the new.
            row.local = false;
            self.status.add(Counter::SlotsRenewed, 1);
        }
        if let Err(cause) = row.slot.reserve(SEGMENT_BYTES_MIN) {
            log::warn!("slot has no pages slot={index} cause=\"{cause}\"");
            return None;
        }
        row.generation = row.generation.wrapping_add(1);
        row.state = Use::Writing;
        Some(index)
    }

    /// The segment being written in `slot` is not worth keeping.
    pub(super) fn discard(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            debug_assert!(row.state == Use::Writing);
            row.state = Use::Free;
        }
    }

    /// Takes the name of a segment that need not be kept; its slot is free.
    pub(super) fn forget(&mut self, row: usize) {
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
const SEGMENT_BYTES_MIN: usize = 4 << 10;
