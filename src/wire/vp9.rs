//! VP8 and VP9: the configuration record that both share, as far as a log and a playlist name the
//! codec.
//!
//! Source: VP Codec ISO Media File Format Binding v1.0, `VPCodecConfigurationRecord` and "Codecs
//! Parameter String". No transport stream for HLS carries these codecs.
//!
//! Quirk tolerated: the version and flags of the ISO box in front, which some encoders send and
//! others do not.

use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};
use core::fmt::Write;

/// Version 1 and no flags, as the ISO box begins.
const BOX_HEAD: [u8; 4] = [1, 0, 0, 0];

/// A `VPCodecConfigurationRecord`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VpConfig {
    /// Profile, 0 to 3.
    pub profile: u8,
    /// Level times ten; 0 is unknown.
    pub level: u8,
    /// Bits of a sample, four bits: 8, 10, 12.
    pub bit_depth: u8,
    /// Chroma subsampling, three bits: 0 and 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma: u8,
    /// Whether samples use their whole range.
    pub full_range: bool,
    /// Colour primaries, transfer characteristics, matrix coefficients (ISO/IEC 23091-2).
    pub colour: [u8; 3],
}

impl VpConfig {
    // | [version 1 (8) | flags (24)] | profile (8) | level (8) | depth (4) chroma (3) range (1) |
    // | primaries (8) | transfer (8) | matrix (8) | codec data length, 0 (16) |

    /// Reads a record with or without the head of its box; codec data is left unread.
    ///
    /// # Errors
    /// `Short` if it is truncated.
    pub fn parse(bytes: &[u8]) -> Result<Self, Short> {
        // Profile 1 at level 0 with samples of no bits would begin alike.
        let record = bytes.strip_prefix(&BOX_HEAD).unwrap_or(bytes);
        let mut r = Reader::new(record);
        let [profile, level, format] = r.array("vp profile and format")?;
        let colour = r.array("vp colour")?;
        r.u16("vp codec data length")?;
        let (bit_depth, chroma) = (format >> 4, format >> 1 & 7);
        Ok(Self { profile, level, bit_depth, chroma, full_range: format & 1 == 1, colour })
    }

    /// Writes the record with the head of its box, as most encoders do.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(&BOX_HEAD)?;
        let range = u8::from(self.full_range);
        let format = self.bit_depth << 4 | (self.chroma & 7) << 1 | range;
        w.bytes(&[self.profile, self.level, format])?;
        w.bytes(&self.colour)?;
        w.u16(0)
    }

    /// What playlists put behind `vp08.` or `vp09.`, such as `00.31.08`.
    #[must_use]
    pub fn codec_string(&self) -> CodecString {
        let mut name = CodecString::new();
        let (profile, level, depth) = (self.profile, self.level, self.bit_depth);
        let written = write!(name, "{profile:02}.{level:02}.{depth:02}");
        debug_assert!(written.is_ok());
        name
    }
}

/// What stands behind the codec's characters in a playlist.
pub type CodecString = heapless::String<11>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Profile 0, level 3.1, 8 bits, 4:2:0, colours of BT.709.
    const HD: [u8; 8] = [0, 31, 0x82, 1, 1, 1, 0, 0];

    #[test]
    fn config_is_read_with_and_without_the_head_of_its_box() {
        let boxed = [&BOX_HEAD[..], &HD].concat();
        let config = VpConfig::parse(&HD).unwrap();
        assert_eq!(VpConfig::parse(&boxed), Ok(config));
        assert_eq!(config.codec_string(), "00.31.08");
        assert_eq!((config.bit_depth, config.chroma, config.full_range), (8, 1, false));
        for end in 0..8 {
            assert!(VpConfig::parse(&HD[..end]).is_err(), "{end} bytes");
        }
        for end in 0..12 {
            assert!(VpConfig::parse(&boxed[..end]).is_err(), "{end} bytes with head");
        }
    }

    proptest! {
        #[test]
        fn config_survives_the_wire(
            profile in 0u8..4,
            level: u8,
            bit_depth in 8u8..13,
            chroma in 0u8..8,
            full_range: bool,
            colour: [u8; 3],
        ) {
            let config = VpConfig { profile, level, bit_depth, chroma, full_range, colour };
            let mut buffer = [0; 12];
            let mut w = Writer::new(&mut buffer);
            config.emit(&mut w).unwrap();
            prop_assert_eq!(VpConfig::parse(w.finish()), Ok(config));
            prop_assert!(config.codec_string().len() <= 11);
        }

        #[test]
        fn config_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(config) = VpConfig::parse(&bytes) {
                prop_assert!(config.codec_string().len() <= 11);
            }
        }
    }
}
