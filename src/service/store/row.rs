//! One slot's row: what it is used for, who may still refer to its pages, and which slot goes next.
//!
//! Decides by rank alone; `super` acts on it. Source: RFC 8216 §6.2.2.

use super::keys::SegmentKey;
use super::names::SlotName;
use crate::media::container::Container;
use crate::media::playlist::{IFrames, SegmentId};
use crate::sys::slots::Slot;
use crate::time::{Instant, Ticks};

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Free,
    Writing,
    Listed { sequence: u64 },
    Retired { sequence: u64, keep_until: Instant },
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) slot: Slot,
    /// Its file's name in the folder of the slots.
    pub(super) name: SlotName,
    pub(super) state: Use,
    /// First part of the name of the segment in it.
    pub(super) epoch: u32,
    /// What kind of file the segment is.
    pub(super) container: Container,
    /// Counts the segments that were written here.
    pub(super) generation: u32,
    /// Responses that may still refer to its pages.
    pub(super) holds: u32,
    /// A receiver on this machine may refer to its pages for as long as it likes.
    pub(super) local: bool,
    pub(super) bytes: usize,
    /// What its pages were counted as in its stream's share, in bytes.
    pub(super) counted: u64,
    /// Its slot is closed while it is neither written nor sent from.
    pub(super) closes: bool,
    pub(super) created_unix: Option<u64>,
    /// Of the segment, for as long as it may be asked for.
    pub(super) key: Option<SegmentKey>,
    /// Key pictures of its segment.
    pub(super) frames: IFrames,
    /// When its segment begins.
    pub(super) start: Ticks,
}

/// Preference among slots: the least is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Free, and its pages may be written.
    Ready,
    /// Free, but somebody refers to its pages.
    Referred,
    /// Still to be kept; the one that has been kept longest goes first.
    Kept(Instant),
}

impl Row {
    pub(super) const fn new(slot: Slot, name: SlotName, closes: bool) -> Self {
        Self {
            slot,
            name,
            state: Use::Free,
            epoch: 0,
            container: Container::Ts,
            generation: 0,
            holds: 0,
            local: false,
            bytes: 0,
            counted: 0,
            closes,
            created_unix: None,
            key: None,
            frames: IFrames::new(),
            start: Ticks::ZERO,
        }
    }

    /// Which segment it is, if it has the sequence number `sequence`.
    pub(super) const fn id(&self, sequence: u64) -> SegmentId {
        SegmentId { epoch: self.epoch, sequence, container: self.container }
    }

    pub(super) const fn is_referred_to(&self) -> bool {
        self.holds > 0 || self.local
    }

    /// Its rank for a segment that may need the slot's present pages, `bytes` of them.
    pub(super) fn rank(&self, now: Instant, bytes: usize) -> Option<Rank> {
        if bytes > 0 && self.is_referred_to() {
            return None;
        }
        match self.state {
            Use::Writing | Use::Listed { .. } => None,
            Use::Retired { keep_until, .. } if keep_until > now => Some(Rank::Kept(keep_until)),
            Use::Free | Use::Retired { .. } if self.is_referred_to() => Some(Rank::Referred),
            Use::Free | Use::Retired { .. } => Some(Rank::Ready),
        }
    }
}
