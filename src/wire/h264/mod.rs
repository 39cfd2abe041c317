//! H.264: the configuration record, NAL units, and the few facts of them that segmenting needs.
//!
//! Sources: ISO/IEC 14496-15 §5.3.3.1 (record), ITU-T H.264 §7.3 and annex B (units, sets). Does
//! not decode pictures and does not reorder them; writing Annex B is `media::annexb`'s work.
//!
//! Quirks tolerated: the record's chroma tail missing or cut, empty parameter sets in its lists, a
//! profile in its head that differs from the set's, lengths that run past the end of a message,
//! zero-length units, zero bytes behind a unit, and Annex B where lengths belong.

mod access;
mod nal;
mod rbsp;
mod sps;

pub use access::{SliceType, is_random_access, recovery_point, slice_type};
pub(in crate::wire) use nal::lengths_cover;
pub use nal::{AnnexB, LengthBytes, LengthPrefixed, Nal, NalType, annexb, is_annexb, nals};
pub(in crate::wire) use rbsp::Rbsp;
pub use rbsp::RbspError;
pub(in crate::wire) use sps::bounded;
pub use sps::{Sps, SpsError, Timing};

use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};
use core::fmt::Write;

/// A configuration record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvcConfigError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: NAL lengths of three bytes, which are reserved.
    #[error("avc configuration has nal lengths of 3 bytes, which is illegal")]
    LengthBytes,
    /// Malformed: the record holds start codes instead; its sets can be read with `annexb`.
    #[error("avc configuration holds start codes instead of a record")]
    AnnexB,
    /// Unsupported: a version that is not defined.
    #[error("avc configuration has version {0}, not 1")]
    Version(u8),
}

/// An `AVCDecoderConfigurationRecord`; the parameter sets stay in the caller's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvcConfig<'a> {
    /// Profile as the record's head says it.
    pub profile: u8,
    /// Constraint flags as the record's head says them.
    pub constraints: u8,
    /// Level times ten as the record's head says it.
    pub level: u8,
    /// Size of the length in front of each NAL unit.
    pub length_bytes: LengthBytes,
    sps: Sets<'a>,
    pps: Sets<'a>,
    tail: &'a [u8],
}

impl<'a> AvcConfig<'a> {
    // | version (8) | profile (8) | constraints (8) | level (8) | 111111 length bytes - 1 (2) |
    // | 111 sps count (5) | { length (16) | sps } … | pps count (8) | { length (16) | pps } … |
    // | high profiles: chroma, depths, extension sets |

    /// Reads a record. The tail is kept as it is: the parameter sets say the same.
    ///
    /// # Errors
    /// `AvcConfigError`; `AnnexB` asks the caller to read parameter sets with `annexb` instead.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AvcConfigError> {
        if matches!(bytes, [0, 0, 1, ..] | [0, 0, 0, 1, ..]) {
            return Err(AvcConfigError::AnnexB);
        }
        let mut r = Reader::new(bytes);
        let version = r.u8("avc configuration version")?;
        if version != 1 {
            return Err(AvcConfigError::Version(version));
        }
        let [profile, constraints, level] = r.array("avc profile and level")?;
        let length_bytes = match r.u8("nal length size")? & 3 {
            0 => LengthBytes::One,
            1 => LengthBytes::Two,
            2 => return Err(AvcConfigError::LengthBytes),
            _ => LengthBytes::Four,
        };
        let count = r.u8("sps count")? & 0x1f;
        let sps = Sets::parse(&mut r, count)?;
        let count = r.u8("pps count")?;
        let pps = Sets::parse(&mut r, count)?;
        Ok(Self { profile, constraints, level, length_bytes, sps, pps, tail: r.rest() })
    }

    /// Writes the record as it was read.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(&[1, self.profile, self.constraints, self.level])?;
        w.u8(0xfc | self.length_bytes.code())?;
        w.u8(0xe0 | self.sps.count)?;
        w.bytes(self.sps.bytes)?;
        w.u8(self.pps.count)?;
        w.bytes(self.pps.bytes)?;
        w.bytes(self.tail)
    }

    /// The sequence parameter sets, without lengths; empty ones are left out.
    #[must_use]
    pub const fn sps(&self) -> ParameterSets<'a> {
        ParameterSets { rest: Reader::new(self.sps.bytes) }
    }

    /// The picture parameter sets, without lengths; empty ones are left out.
    #[must_use]
    pub const fn pps(&self) -> ParameterSets<'a> {
        ParameterSets { rest: Reader::new(self.pps.bytes) }
    }

    /// The name that playlists give the codec, `avc1.PPCCLL` (RFC 6381 §3.3), from the first
    /// sequence parameter set; from the record's head if there is none.
    #[must_use]
    pub fn codec_string(&self) -> CodecString {
        match self.sps().next() {
            Some([_, profile, constraints, level, ..]) => {
                codec_string(*profile, *constraints, *level)
            }
            _ => codec_string(self.profile, self.constraints, self.level),
        }
    }
}

/// Writes a record for one sequence and one picture parameter set, with four-byte NAL lengths and
/// without a tail.
///
/// # Errors
/// `Full` if it does not fit, or a set is longer than a 16-bit length can say.
pub fn emit_config(w: &mut Writer<'_>, sps: &[u8], pps: &[u8]) -> Result<(), Full> {
    let [profile, constraints, level] = match sps {
        [_, profile, constraints, level, ..] => [*profile, *constraints, *level],
        _ => [0; 3],
    };
    w.bytes(&[1, profile, constraints, level])?;
    w.u8(0xfc | LengthBytes::Four.code())?;
    for (count, set) in [(0xe1, sps), (1, pps)] {
        let Ok(length) = u16::try_from(set.len()) else {
            return Err(Full { need: set.len(), have: usize::from(u16::MAX) });
        };
        w.u8(count)?;
        w.u16(length)?;
        w.bytes(set)?;
    }
    Ok(())
}

/// The name of a codec in a playlist: `avc1.` and six hexadecimal digits.
pub type CodecString = heapless::String<11>;

/// The name that playlists give the codec (RFC 6381 §3.3).
#[must_use]
pub fn codec_string(profile: u8, constraints: u8, level: u8) -> CodecString {
    let mut name = CodecString::new();
    let fits = write!(name, "avc1.{profile:02x}{constraints:02x}{level:02x}");
    debug_assert!(fits.is_ok());
    name
}

/// A list of parameter sets as a record holds it: each behind a 16-bit length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sets<'a> {
    count: u8,
    bytes: &'a [u8],
}

impl<'a> Sets<'a> {
    fn parse(r: &mut Reader<'a>, count: u8) -> Result<Self, Short> {
        let whole = r.rest();
        let start = r.position();
        for _ in 0..count {
            let length = r.u16("parameter set length")?;
            r.take(usize::from(length), "parameter set")?;
        }
        let bytes = Reader::new(whole).take(r.position() - start, "parameter sets")?;
        Ok(Self { count, bytes })
    }
}

/// An iterator over the parameter sets of a record, in its order.
#[derive(Clone, Debug)]
pub struct ParameterSets<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for ParameterSets<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let length = self.rest.u16("parameter set length").ok()?;
            let set = self.rest.take(usize::from(length), "parameter set").ok()?;
            if !set.is_empty() {
                return Some(set);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPS: [u8; 26] = [
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03,
        0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
    ];

    fn record(sps: &[u8], pps: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; 200];
        let mut w = Writer::new(&mut buffer);
        emit_config(&mut w, sps, pps).unwrap();
        w.finish().to_vec()
    }

    #[test]
    fn record_holds_the_sets_it_was_made_of() {
        let bytes = record(&SPS, &[0x68, 0xeb]);
        let config = AvcConfig::parse(&bytes).unwrap();
        assert_eq!(config.sps().collect::<Vec<_>>(), [&SPS[..]]);
        assert_eq!(config.pps().collect::<Vec<_>>(), [&[0x68, 0xeb][..]]);
        assert_eq!(config.codec_string(), "avc1.64001f");
        assert_eq!(config.length_bytes, LengthBytes::Four);
    }

    #[test]
    fn record_refuses_every_truncation() {
        let bytes = record(&SPS, &[0x68, 0xeb]);
        for end in 0..bytes.len() {
            assert!(AvcConfig::parse(&bytes[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn record_refuses_lengths_of_three_bytes_and_start_codes() {
        let mut bytes = record(&SPS, &[0x68]);
        bytes[4] = 0xfe;
        assert_eq!(AvcConfig::parse(&bytes), Err(AvcConfigError::LengthBytes));
        bytes[0] = 2;
        assert_eq!(AvcConfig::parse(&bytes), Err(AvcConfigError::Version(2)));
        assert_eq!(AvcConfig::parse(&[0, 0, 0, 1, 0x67]), Err(AvcConfigError::AnnexB));
    }

    #[test]
    fn record_with_several_sets_leaves_empty_ones_out() {
        let bytes =
            [1, 0x42, 0xc0, 0x1e, 0xfd, 0xe3, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x67, 2, 0, 1, 0x68, 0, 0];
        let config = AvcConfig::parse(&bytes).unwrap();
        assert_eq!(config.length_bytes, LengthBytes::Two);
        assert_eq!(config.sps().collect::<Vec<_>>(), [&[0x67, 1][..], &[0x67][..]]);
        assert_eq!(config.pps().collect::<Vec<_>>(), [&[0x68][..]]);
        assert_eq!(config.codec_string(), "avc1.42c01e");
        let mut buffer = [0; 21];
        let mut w = Writer::new(&mut buffer);
        config.emit(&mut w).unwrap();
        assert_eq!(w.finish(), &bytes);
    }

    proptest! {
        #[test]
        fn record_parse_survives_any_bytes(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = AvcConfig::parse(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            if let Ok(config) = AvcConfig::parse(&bytes) {
                prop_assert!(config.sps().count() <= 31);
                prop_assert!(config.pps().count() <= 255);
                let mut buffer = [0; 80];
                let mut w = Writer::new(&mut buffer);
                config.emit(&mut w).unwrap();
                prop_assert_eq!(AvcConfig::parse(w.finish()), Ok(config));
            }
        }
    }
}
