//! Audio as the segmenter takes it: where the bytes lie, when they sound, what goes in front.
//!
//! Source: ISO/IEC 14496-3 §1.A.2.2 (AAC); Opus-in-TS draft 0.1.3.

use crate::media::carriage::AudioFormat;
use crate::storage::{FrameRing, Place};
use crate::time::Ticks;
use crate::wire::opus::ControlHeader;

/// An audio frame, or several that came in one message; its bytes stay in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Sound {
    /// Presentation time of the first frame that begins in it.
    pub pts: Ticks,
    /// The same on the scale of decode times: what a picture's decode time is compared with.
    pub dts: Ticks,
    /// Time it lasts.
    pub duration: Ticks,
    /// What to write in front.
    pub prefix: Prefix,
    /// Its bytes in the ring.
    pub place: Place,
    /// What the track is.
    pub format: AudioFormat,
}

/// What a codec needs in front of each frame in a transport stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Nothing: MPEG audio, AC-3, E-AC-3.
    None,
    /// The header of AAC.
    Adts([u8; 7]),
    /// The header of Opus.
    Opus(ControlHeader),
}

impl Sound {
    /// Bytes in the PES packet.
    pub(super) fn len(&self) -> usize {
        self.place.len() + self.prefix.encoded_len()
    }

    /// Its bytes in the PES packet, in order.
    pub(super) fn slices<'a>(&'a self, ring: &'a FrameRing) -> [&'a [u8]; 4] {
        let [a, b, c] = self.prefix.pieces();
        [a, b, c, ring.bytes(self.place).unwrap_or_default()]
    }
}

impl Prefix {
    /// Bytes of all pieces.
    pub(super) fn encoded_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Adts(header) => header.len(),
            Self::Opus(header) => header.encoded_len(),
        }
    }

    /// Its bytes, in order.
    pub(super) fn pieces(&self) -> [&[u8]; 3] {
        match self {
            Self::None => [&[]; 3],
            Self::Adts(header) => [header, &[], &[]],
            Self::Opus(header) => header.pieces(),
        }
    }
}
