//! How each codec is named in a program map and in PES headers.
//!
//! A format is what must not change inside a segment: all that the program map says of a track.
//! Knows no configuration and no frames.
//! Source: H.222.0 table 2-34; ATSC A/52 §A3.1, §A3.6, annex G (AC-3, E-AC-3); Opus-in-TS draft
//! 0.1.3 (registration and channel configuration).

use crate::media::protected::{ProtectedAudio, ProtectedCodec};
use crate::wire::ts::pes::{STREAM_AUDIO, STREAM_PRIVATE};
use crate::wire::ts::psi::{
    STREAM_TYPE_AAC, STREAM_TYPE_AC3, STREAM_TYPE_EAC3, STREAM_TYPE_H264, STREAM_TYPE_HEVC,
    STREAM_TYPE_PRIVATE,
};

/// What a video track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// H.264.
    H264,
    /// HEVC.
    Hevc,
}

impl VideoFormat {
    /// Stream type in the program map.
    #[must_use]
    pub const fn stream_type(self) -> u8 {
        match self {
            Self::H264 => STREAM_TYPE_H264,
            Self::Hevc => STREAM_TYPE_HEVC,
        }
    }

    /// Descriptors in the program map, back to back.
    #[must_use]
    pub const fn descriptors(self) -> &'static [u8] {
        match self {
            Self::H264 => &[],
            Self::Hevc => &const { registration(*b"HEVC") },
        }
    }
}

/// What an audio track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFormat {
    /// AAC with ADTS headers.
    Aac,
    /// MPEG-1 audio, or MPEG-2 audio at half the sample rates.
    Mpeg {
        /// Whether it is the latter.
        half_rate: bool,
    },
    /// AC-3.
    Ac3,
    /// E-AC-3.
    Eac3,
    /// Opus, each packet behind its control header.
    Opus {
        /// Channel configuration, 1 to 8.
        channels: u8,
    },
    /// AAC, AC-3 or E-AC-3 whose frames are encrypted.
    Protected(ProtectedAudio),
}

impl AudioFormat {
    /// Stream type in the program map.
    #[must_use]
    pub const fn stream_type(self) -> u8 {
        match self {
            Self::Aac => STREAM_TYPE_AAC,
            Self::Mpeg { half_rate: false } => 0x03,
            Self::Mpeg { half_rate: true } => 0x04,
            Self::Ac3 => STREAM_TYPE_AC3,
            Self::Eac3 => STREAM_TYPE_EAC3,
            Self::Opus { .. } => STREAM_TYPE_PRIVATE,
            Self::Protected(track) => track.stream_type(),
        }
    }

    /// Descriptors in the program map, back to back.
    #[must_use]
    pub fn descriptors(&self) -> &[u8] {
        match self {
            Self::Aac | Self::Mpeg { .. } => &[],
            Self::Ac3 => &const { registration(*b"AC-3") },
            Self::Eac3 => &const { registration(*b"EAC3") },
            Self::Opus { channels } => {
                OPUS.get(usize::from(*channels)).map(|both| &both[..]).unwrap_or_default()
            }
            Self::Protected(track) => track.descriptors(),
        }
    }

    /// Stream id in PES headers.
    #[must_use]
    pub const fn stream_id(self) -> u8 {
        match self {
            Self::Aac | Self::Mpeg { .. } => STREAM_AUDIO,
            Self::Ac3 | Self::Eac3 | Self::Opus { .. } => STREAM_PRIVATE,
            Self::Protected(track) => match track.codec() {
                ProtectedCodec::Aac => STREAM_AUDIO,
                ProtectedCodec::Ac3 | ProtectedCodec::Eac3 => STREAM_PRIVATE,
            },
        }
    }

    /// Whether each message holds whole access units: MPEG audio may begin with the end of one.
    #[must_use]
    pub const fn is_aligned(self) -> bool {
        !matches!(self, Self::Mpeg { .. })
    }
}

/// A registration descriptor (H.222.0 §2.6.8).
const fn registration([a, b, c, d]: [u8; 4]) -> [u8; 6] {
    [0x05, 4, a, b, c, d]
}

/// The descriptors of Opus by channel configuration.
static OPUS: [[u8; 10]; 9] =
    [opus(0), opus(1), opus(2), opus(3), opus(4), opus(5), opus(6), opus(7), opus(8)];

/// A registration descriptor, and an extension descriptor with the channel configuration.
const fn opus(channels: u8) -> [u8; 10] {
    [0x05, 4, b'O', b'p', b'u', b's', 0x7f, 2, 0x80, channels]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_as_decoders_look_for_them() {
        assert_eq!(VideoFormat::Hevc.stream_type(), 0x24);
        assert_eq!(VideoFormat::Hevc.descriptors(), b"\x05\x04HEVC");
        assert_eq!(VideoFormat::H264.descriptors(), b"");
        for (format, stream_type, descriptors, stream_id) in [
            (AudioFormat::Aac, 0x0f, &b""[..], 0xc0),
            (AudioFormat::Mpeg { half_rate: false }, 0x03, b"", 0xc0),
            (AudioFormat::Mpeg { half_rate: true }, 0x04, b"", 0xc0),
            (AudioFormat::Ac3, 0x81, b"\x05\x04AC-3", 0xbd),
            (AudioFormat::Eac3, 0x87, b"\x05\x04EAC3", 0xbd),
            (AudioFormat::Opus { channels: 2 }, 0x06, b"\x05\x04Opus\x7f\x02\x80\x02", 0xbd),
        ] {
            assert_eq!(format.stream_type(), stream_type);
            assert_eq!(format.descriptors(), descriptors);
            assert_eq!(format.stream_id(), stream_id);
        }
    }
}
