//! Audio as the segmenter takes it: where the bytes lie, when they sound, what goes in front; and
//! silence, which lies nowhere.
//!
//! Source: ISO/IEC 14496-3 §1.A.2.2 (AAC); Opus-in-TS draft 0.1.3.

use crate::media::carriage::AudioFormat;
use crate::storage::{FrameRing, Place};
use crate::time::Ticks;
use crate::wire::aac::{self, ADTS_BYTES};
use crate::wire::mpa;
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
    /// A whole frame that says nothing; there are no bytes in the ring.
    Silent(Silent),
}

/// A frame that is made here because none came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    head: [u8; SILENT_HEAD_BYTES_MAX],
    head_bytes: usize,
    zeros: usize,
}

impl Silent {
    /// The frame that begins with `head`, in pieces, and ends with so many `zeros`. `None` if that
    /// is longer than any.
    #[must_use]
    pub fn new(head: [&[u8]; 2], zeros: usize) -> Option<Self> {
        let [first, second] = head;
        let head_bytes = first.len() + second.len();
        let mut silent = Self { head: [0; SILENT_HEAD_BYTES_MAX], head_bytes, zeros };
        let room = silent.head.get_mut(..head_bytes)?;
        let (start, end) = room.split_at_mut(first.len());
        start.copy_from_slice(first);
        end.copy_from_slice(second);
        (zeros <= ZEROS.len()).then_some(silent)
    }

    fn pieces(&self) -> [&[u8]; 3] {
        let head = self.head.get(..self.head_bytes).unwrap_or_default();
        [head, ZEROS.get(..self.zeros).unwrap_or_default(), &[]]
    }
}

/// Bytes of silence that are not zero at most: AAC of eight channels and its header.
const SILENT_HEAD_BYTES_MAX: usize = ADTS_BYTES + aac::SILENT_FRAME_BYTES_MAX;

/// The rest of a silent frame of MPEG audio.
static ZEROS: [u8; mpa::SILENT_FRAME_BYTES_MAX] = [0; mpa::SILENT_FRAME_BYTES_MAX];

impl Sound {
    /// Bytes in the PES packet.
    pub(super) fn len(&self) -> usize {
        self.place.len() + self.prefix.encoded_len()
    }

    /// Its bytes in the ring; `None` if they were overwritten. Silence has none there.
    pub(super) fn bytes<'a>(&self, ring: &'a FrameRing) -> Option<&'a [u8]> {
        if self.place.is_empty() { Some(&[]) } else { ring.bytes(self.place) }
    }
}

impl Prefix {
    /// Bytes of all pieces.
    fn encoded_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Adts(header) => header.len(),
            Self::Opus(header) => header.encoded_len(),
            Self::Silent(silent) => silent.head_bytes + silent.zeros,
        }
    }

    /// Its bytes, in order.
    pub(super) fn pieces(&self) -> [&[u8]; 3] {
        match self {
            Self::None => [&[]; 3],
            Self::Adts(header) => [header, &[], &[]],
            Self::Opus(header) => header.pieces(),
            Self::Silent(silent) => silent.pieces(),
        }
    }
}
