//! AV1: the configuration record, as far as a log and a playlist name the codec.
//!
//! Source: AV1 Codec ISO Media File Format Binding §2.3 (record), §5 (name). Does not read the
//! sequence header behind it: no transport stream for HLS carries AV1.

use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};
use core::fmt::Write;

/// A configuration record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Av1ConfigError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Unsupported: the marker is missing or the version is not defined.
    #[error("av1 configuration begins with {0:#04x}, not 0x81")]
    Version(u8),
}

/// An `AV1CodecConfigurationRecord`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Av1Config<'a> {
    /// 0 Main, 1 High, 2 Professional; three bits.
    pub profile: u8,
    /// Index of the level, five bits: 8 is 4.0.
    pub level: u8,
    /// Whether it is of the high tier.
    pub high_tier: bool,
    /// More than eight bits, and twelve of them.
    depth: [bool; 2],
    /// Whether there is luma alone.
    pub monochrome: bool,
    /// Chroma subsampling and its position, four bits.
    pub chroma: u8,
    /// Frames before the first can be shown, less one, with the flag that says whether they are
    /// told; five bits.
    pub delay: u8,
    /// The sequence header, and metadata for the whole stream.
    pub units: &'a [u8],
}

impl<'a> Av1Config<'a> {
    // | 1 (1) version (7) | profile (3) level (5) | tier, high depth, twelve bits, monochrome
    //   (1 each) subsampling (2) position (2) | 000 (3) delay told (1) delay - 1 (4) | units |

    /// Reads a record.
    ///
    /// # Errors
    /// `Av1ConfigError` if it is truncated or of another version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Av1ConfigError> {
        let mut r = Reader::new(bytes);
        let version = r.u8("av1 configuration version")?;
        if version != VERSION {
            return Err(Av1ConfigError::Version(version));
        }
        let [level, format, delay] = r.array("av1 profile and format")?;
        Ok(Self {
            profile: level >> 5,
            level: level & 0x1f,
            high_tier: format & 0x80 != 0,
            depth: [format & 0x40 != 0, format & 0x20 != 0],
            monochrome: format & 0x10 != 0,
            chroma: format & 0x0f,
            delay: delay & 0x1f,
            units: r.rest(),
        })
    }

    /// Writes the record.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let [high, twelve] = self.depth;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let format = flag(self.high_tier, 0x80)
            | flag(high, 0x40)
            | flag(twelve, 0x20)
            | flag(self.monochrome, 0x10)
            | self.chroma & 0x0f;
        w.bytes(&[VERSION, self.profile << 5 | self.level & 0x1f, format, self.delay & 0x1f])?;
        w.bytes(self.units)
    }

    /// Bits of a sample: 8, 10 or 12.
    #[must_use]
    pub const fn bit_depth(&self) -> u8 {
        match self.depth {
            [true, true] => 12,
            [true, false] => 10,
            [false, _] => 8,
        }
    }

    /// The name that playlists give the codec, such as `av01.0.08M.08`.
    #[must_use]
    pub fn codec_string(&self) -> CodecString {
        let mut name = CodecString::new();
        let tier = if self.high_tier { 'H' } else { 'M' };
        let (profile, level, depth) = (self.profile, self.level, self.bit_depth());
        let written = write!(name, "av01.{profile}.{level:02}{tier}.{depth:02}");
        debug_assert!(written.is_ok());
        name
    }
}

/// The marker bit and version 1.
const VERSION: u8 = 0x81;

/// The name of a codec in a playlist.
pub type CodecString = heapless::String<16>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn config_names_level_tier_and_depth() {
        // Professional, 5.1, high tier, twelve bits, 4:2:2.
        let config = Av1Config::parse(&[0x81, 0x4d, 0xe8, 0x00]).unwrap();
        assert_eq!(config.codec_string(), "av01.2.13H.12");
        let ten = Av1Config::parse(&[0x81, 0x08, 0x4c, 0x00, 0x0a]).unwrap();
        assert_eq!((ten.codec_string().as_str(), ten.units), ("av01.0.08M.10", &[0x0a][..]));
    }

    #[test]
    fn config_refuses_truncation_and_other_versions() {
        for end in 0..4 {
            assert!(Av1Config::parse(&[0x81, 0, 0x0c, 0][..end]).is_err(), "{end} bytes");
        }
        assert_eq!(Av1Config::parse(&[1, 0, 0, 0]), Err(Av1ConfigError::Version(1)));
        assert_eq!(Av1Config::parse(&[0x82, 0, 0, 0]), Err(Av1ConfigError::Version(0x82)));
    }

    proptest! {
        #[test]
        fn config_survives_the_wire(
            mut bytes in proptest::collection::vec(any::<u8>(), 3..30),
        ) {
            let _ = Av1Config::parse(&bytes);
            bytes[2] &= 0x1f;
            bytes.insert(0, VERSION);
            let config = Av1Config::parse(&bytes).unwrap();
            let mut buffer = [0; 40];
            let mut w = Writer::new(&mut buffer);
            config.emit(&mut w).unwrap();
            prop_assert_eq!(w.finish(), &bytes[..]);
            prop_assert!(config.codec_string().len() >= 13);
        }
    }
}
