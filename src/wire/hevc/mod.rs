//! HEVC: the configuration record, NAL units, and the few facts of them that segmenting needs.
//!
//! Sources: ISO/IEC 14496-15 §8.3.3.1 (record), §E.3 (name in playlists), ITU-T H.265 §7.3 and
//! annex B (units, sets). Units are told apart by the same lengths and start codes as those of
//! H.264: `h264::nals` and `h264::annexb` walk both. Does not decode pictures and does not reorder
//! them; writing Annex B is `media::annexb`'s work.
//!
//! Quirks tolerated: version 0 of the record (old encoders), arrays in any order, supplemental
//! information in the record (2 KiB from libx265: not a parameter set, left out), empty sets.

mod nal;
mod profile;
mod sps;

pub use crate::wire::h264::SpsError;
pub use nal::{NalType, first_slice, is_annexb, is_random_access};
pub use profile::{CodecString, Profile};
pub use sps::Sps;

use crate::wire::h264::LengthBytes;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// A configuration record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HevcConfigError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: NAL lengths of three bytes, which are reserved.
    #[error("hevc configuration has nal lengths of 3 bytes, which is illegal")]
    LengthBytes,
    /// Malformed: the record holds start codes instead; its sets can be read with `h264::annexb`.
    #[error("hevc configuration holds start codes instead of a record")]
    AnnexB,
    /// Unsupported: a version that is not defined.
    #[error("hevc configuration has version {0}, not 1")]
    Version(u8),
}

/// An `HEVCDecoderConfigurationRecord`; the parameter sets stay in the caller's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HevcConfig<'a> {
    /// Profile, tier and level as the record's head says them.
    pub profile: Profile,
    /// Size of the length in front of each NAL unit.
    pub length_bytes: LengthBytes,
    version: u8,
    /// Segmentation, parallelism, chroma, depths, frame rate: the parameter sets say the same.
    samples: [u8; 8],
    /// Frame rate kind, temporal layers and their nesting, in place.
    layers: u8,
    count: u8,
    arrays: &'a [u8],
    tail: &'a [u8],
}

impl<'a> HevcConfig<'a> {
    // | version (8) | profile, tier, level (96) | 1111 segmentation (12) | 111111 parallelism (2) |
    // | 111111 chroma (2) | 11111 luma depth - 8 (3) | 11111 chroma depth - 8 (3) | rate (16) |
    // | rate kind (2) layers (3) nested (1) length bytes - 1 (2) | array count (8) |
    // | { complete (1) 0 (1) type (6) | count (16) | { length (16) | unit } … } … |

    /// Reads a record. Bytes behind the arrays are kept as they are.
    ///
    /// # Errors
    /// `HevcConfigError`; `AnnexB` asks the caller to read parameter sets with `h264::annexb`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HevcConfigError> {
        if matches!(bytes, [0, 0, 1, ..] | [0, 0, 0, 1, ..]) {
            return Err(HevcConfigError::AnnexB);
        }
        let mut r = Reader::new(bytes);
        let version = r.u8("hevc configuration version")?;
        if version > 1 {
            return Err(HevcConfigError::Version(version));
        }
        let profile = Profile::parse(r.array("hevc profile, tier and level")?);
        let samples = r.array("hevc sample format")?;
        let layers = r.u8("nal length size")?;
        let length_bytes = match layers & 3 {
            0 => LengthBytes::One,
            1 => LengthBytes::Two,
            2 => return Err(HevcConfigError::LengthBytes),
            _ => LengthBytes::Four,
        };
        let count = r.u8("hevc array count")?;
        let whole = r.rest();
        let start = r.position();
        for _ in 0..count {
            Array::parse(&mut r)?;
        }
        let arrays = Reader::new(whole).take(r.position() - start, "hevc arrays")?;
        let (layers, tail) = (layers & 0xfc, r.rest());
        Ok(Self { profile, length_bytes, version, samples, layers, count, arrays, tail })
    }

    /// Writes the record as it was read.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.u8(self.version)?;
        w.bytes(&self.profile.bytes())?;
        w.bytes(&self.samples)?;
        w.u8(self.layers | self.length_bytes.code())?;
        w.u8(self.count)?;
        w.bytes(self.arrays)?;
        w.bytes(self.tail)
    }

    /// The video, sequence and picture parameter sets in this order, without lengths; empty ones
    /// are left out.
    pub fn sets(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let (arrays, count) = (self.arrays, self.count);
        [NalType::Vps, NalType::Sps, NalType::Pps]
            .into_iter()
            .flat_map(move |kind| Arrays::new(arrays, count).filter(move |a| a.kind == kind))
            .flat_map(Array::units)
            .filter(|unit| !unit.is_empty())
    }

    /// The name that playlists give the codec, from the record's head.
    #[must_use]
    pub fn codec_string(&self) -> CodecString {
        self.profile.codec_string()
    }
}

/// Units of one type.
#[derive(Clone, Copy, Debug)]
struct Array<'a> {
    kind: NalType,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    fn parse(r: &mut Reader<'a>) -> Result<Self, Short> {
        let kind = NalType::from_code(r.u8("hevc array type")? & 0x3f);
        let count = r.u16("hevc array length")?;
        let whole = r.rest();
        let start = r.position();
        for _ in 0..count {
            let length = r.u16("parameter set length")?;
            r.take(usize::from(length), "parameter set")?;
        }
        let bytes = Reader::new(whole).take(r.position() - start, "hevc array")?;
        Ok(Self { kind, bytes })
    }

    fn units(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut rest = Reader::new(self.bytes);
        core::iter::from_fn(move || {
            let length = rest.u16("parameter set length").ok()?;
            rest.take(usize::from(length), "parameter set").ok()
        })
    }
}

/// The arrays of a record, whose lengths have been checked.
#[derive(Clone, Debug)]
struct Arrays<'a> {
    rest: Reader<'a>,
    left: u8,
}

impl<'a> Arrays<'a> {
    const fn new(bytes: &'a [u8], count: u8) -> Self {
        Self { rest: Reader::new(bytes), left: count }
    }
}

impl<'a> Iterator for Arrays<'a> {
    type Item = Array<'a>;

    fn next(&mut self) -> Option<Array<'a>> {
        self.left = self.left.checked_sub(1)?;
        Array::parse(&mut self.rest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Head of a record by libx265 through ffmpeg 5.1, Main at level 2; arrays follow.
    const HEAD: [u8; 22] = [
        1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 60, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0,
        0x0f,
    ];

    fn record(arrays: &[(u8, &[&[u8]])]) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        bytes.push(u8::try_from(arrays.len()).unwrap());
        for (kind, units) in arrays {
            bytes.push(0x80 | kind);
            bytes.extend(u16::try_from(units.len()).unwrap().to_be_bytes());
            for unit in *units {
                bytes.extend(u16::try_from(unit.len()).unwrap().to_be_bytes());
                bytes.extend(*unit);
            }
        }
        bytes
    }

    #[test]
    fn record_gives_sets_in_the_order_of_decoding_and_nothing_else() {
        let bytes = record(&[
            (39, &[&[0x4e, 1, 5]]),
            (34, &[&[0x44, 1, 1], &[], &[0x44, 1, 2]]),
            (33, &[&[0x42, 1, 3]]),
            (32, &[&[0x40, 1, 4]]),
        ]);
        let config = HevcConfig::parse(&bytes).unwrap();
        let sets: Vec<_> = config.sets().collect();
        assert_eq!(sets, [[0x40, 1, 4], [0x42, 1, 3], [0x44, 1, 1], [0x44, 1, 2]]);
        assert_eq!(config.length_bytes, LengthBytes::Four);
        assert_eq!(config.codec_string(), "hvc1.1.6.L60.90");
    }

    #[test]
    fn record_refuses_every_truncation() {
        let bytes = record(&[(32, &[&[0x40, 1]]), (33, &[&[0x42, 1, 3]])]);
        for end in 0..bytes.len() {
            assert!(HevcConfig::parse(&bytes[..end]).is_err(), "{end} bytes");
        }
        assert!(HevcConfig::parse(&bytes).is_ok());
    }

    #[test]
    fn record_refuses_lengths_of_three_bytes_start_codes_and_other_versions() {
        let mut bytes = record(&[]);
        bytes[0] = 0;
        assert!(HevcConfig::parse(&bytes).is_ok(), "old encoders");
        bytes[21] = 0x0e;
        assert_eq!(HevcConfig::parse(&bytes), Err(HevcConfigError::LengthBytes));
        bytes[0] = 2;
        assert_eq!(HevcConfig::parse(&bytes), Err(HevcConfigError::Version(2)));
        assert_eq!(HevcConfig::parse(&[0, 0, 0, 1, 0x40]), Err(HevcConfigError::AnnexB));
    }

    proptest! {
        #[test]
        fn record_that_can_be_read_survives_the_wire(
            bytes in proptest::collection::vec(
                prop_oneof![4 => 0u8..4, 1 => Just(0xa1u8), 1 => any::<u8>()], 0..80),
            head: bool,
        ) {
            let bytes = if head { [&HEAD[..], &bytes].concat() } else { bytes };
            if let Ok(config) = HevcConfig::parse(&bytes) {
                let mut buffer = [0; 128];
                let mut w = Writer::new(&mut buffer);
                config.emit(&mut w).unwrap();
                prop_assert_eq!(w.finish(), &bytes[..]);
                prop_assert!(config.sets().map(<[u8]>::len).sum::<usize>() < bytes.len());
            }
        }
    }
}
