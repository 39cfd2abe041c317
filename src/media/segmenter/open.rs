//! What is known of the segment being written, and what its program map names.
//!
//! Plain values; `super` decides with them and `writing` fills them in.

use crate::media::annexb::AccessUnit;
use crate::media::carriage::{AudioFormat, VideoFormat};
use crate::media::container::Container;
use crate::media::mux::{ClockPacket, Track};
use crate::time::Ticks;

/// A segment that is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) container: Container,
    pub(super) start: Ticks,
    pub(super) end: Ticks,
    pub(super) clock: Track,
    /// The clock of the first picture is on a packet of its own while no picture has come.
    pub(super) guess: Option<ClockPacket>,
    pub(super) video: Option<(VideoFormat, First)>,
    pub(super) audio: Option<AudioFormat>,
    pub(super) pictures: u32,
    pub(super) discontinuity: bool,
    /// Counter of the metadata track when it began.
    pub(super) metadata: u8,
}

/// What a PMT names: tracks, and which of them carries the clock. Packed audio has no PMT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tracks {
    pub(super) container: Container,
    pub(super) video: Option<VideoFormat>,
    pub(super) audio: Option<AudioFormat>,
    pub(super) clock: Track,
}

impl Open {
    pub(super) const fn new(
        container: Container,
        start: Ticks,
        clock: Track,
        (discontinuity, metadata): (bool, u8),
    ) -> Self {
        let (end, guess, video, audio, pictures) = (start, None, None, None, 0);
        Self {
            container,
            start,
            end,
            clock,
            guess,
            video,
            audio,
            pictures,
            discontinuity,
            metadata,
        }
    }
}

/// The first picture of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// An IDR picture.
    Idr,
    /// Decoding can start at it, though later pictures may refer to what was before it.
    RecoveryPoint,
    /// Decoding cannot start at it.
    Other,
}

impl First {
    pub(super) const fn of(unit: &AccessUnit) -> Self {
        if unit.is_idr() {
            Self::Idr
        } else if unit.is_random_access() {
            Self::RecoveryPoint
        } else {
            Self::Other
        }
    }
}
