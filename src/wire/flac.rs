//! FLAC: the stream information, as far as a log names what cannot be carried.
//!
//! Source: RFC 9639 §7, §8.2; Enhanced RTMP v2 sends `fLaC` and this block as configuration. Does
//! not look into frames: no transport stream for HLS carries FLAC.

use crate::wire::reader::{Reader, Short};

/// Stream information that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlacError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: the bytes begin with something else.
    #[error("flac configuration begins with {0:#010x}, not \"fLaC\"")]
    NoMagic(u32),
    /// Malformed: the first block is another, by its type and its bytes.
    #[error("flac configuration begins with block {kind} of {bytes} bytes, not 0 of 34")]
    Block {
        /// Type of the block, seven bits.
        kind: u8,
        /// Its announced length.
        bytes: u32,
    },
}

/// The stream information block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Fewest samples in a block, per channel.
    pub block_samples_min: u16,
    /// Most samples in a block, per channel.
    pub block_samples_max: u16,
    /// Samples per second, 20 bits; 0 says that it is no sound.
    pub sample_rate: u32,
    /// 1 to 8.
    pub channels: u8,
    /// Bits of a sample, 1 to 32.
    pub bit_depth: u8,
}

impl StreamInfo {
    /// Bytes of the block behind its head.
    pub const BYTES: u32 = 34;

    // | "fLaC" (32) | last (1) type 0 (7) | length 34 (24) | block samples least, most (16 each) |
    // | frame bytes least, most (24 each) | rate (20) channels - 1 (3) depth - 1 (5) total (36) |
    // | md5 (128) |

    /// Reads a configuration; blocks behind the first are left unread.
    ///
    /// # Errors
    /// `FlacError` if it is truncated or something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, FlacError> {
        let mut r = Reader::new(bytes);
        let magic = r.array("flac magic")?;
        if &magic != b"fLaC" {
            return Err(FlacError::NoMagic(u32::from_be_bytes(magic)));
        }
        let kind = r.u8("flac block type")? & 0x7f;
        let length = r.u24("flac block length")?;
        if kind != 0 || length != Self::BYTES {
            return Err(FlacError::Block { kind, bytes: length });
        }
        let block_samples_min = r.u16("flac block samples")?;
        let block_samples_max = r.u16("flac block samples")?;
        r.take(6, "flac frame bytes")?;
        let format = r.u32("flac sample format")?;
        r.take(4, "flac total samples")?;
        r.take(16, "flac checksum")?;
        let [_, _, low, _] = format.to_be_bytes();
        let [.., last] = (format >> 4).to_be_bytes();
        Ok(Self {
            block_samples_min,
            block_samples_max,
            sample_rate: format >> 12,
            channels: (low >> 1 & 7) + 1,
            bit_depth: (last & 0x1f) + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Blocks of 4096, 48 kHz, stereo, 24 bits; written by hand after RFC 9639 §8.2.
    fn info() -> Vec<u8> {
        let mut bytes = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0".to_vec();
        // 48000 in 20 bits, 1 in 3, 23 in 5.
        bytes.extend((48_000u32 << 12 | 1 << 9 | 23 << 4).to_be_bytes());
        bytes.resize(8 + 34, 0);
        bytes
    }

    #[test]
    fn info_says_rate_channels_and_depth() {
        let want = StreamInfo {
            block_samples_min: 4096,
            block_samples_max: 4096,
            sample_rate: 48_000,
            channels: 2,
            bit_depth: 24,
        };
        assert_eq!(StreamInfo::parse(&info()), Ok(want));
        assert_eq!(info()[18..22], [0x0b, 0xb8, 0x03, 0x70]);
    }

    #[test]
    fn info_refuses_truncation_and_other_blocks() {
        let good = info();
        for end in 0..good.len() {
            assert!(StreamInfo::parse(&good[..end]).is_err(), "{end} bytes");
        }
        let mut other = good.clone();
        other[4] = 4;
        assert_eq!(StreamInfo::parse(&other), Err(FlacError::Block { kind: 4, bytes: 34 }));
        assert_eq!(StreamInfo::parse(b"OggS...."), Err(FlacError::NoMagic(0x4f67_6753)));
    }

    proptest! {
        #[test]
        fn info_of_any_bytes_stays_in_range(
            bytes in proptest::collection::vec(any::<u8>(), 34..40),
        ) {
            let info = StreamInfo::parse(&[&b"fLaC\0\0\0\x22"[..], &bytes].concat()).unwrap();
            prop_assert!(info.sample_rate < 1 << 20);
            prop_assert!((1..=8).contains(&info.channels));
            prop_assert!((1..=32).contains(&info.bit_depth));
            let _ = StreamInfo::parse(&bytes);
        }
    }
}
