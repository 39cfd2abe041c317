//! Profile, tier and level, which record and sequence parameter set say alike, and the name that
//! playlists make of them.
//!
//! Sources: H.265 §7.3.3, annex A; ISO/IEC 14496-15 §E.3 (name).

use core::fmt::Write;

/// Profile, tier and level of a whole stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Profile space, two bits; 0 in every stream there is.
    pub space: u8,
    /// Whether it is of the high tier.
    pub high_tier: bool,
    /// Profile number, five bits: 1 Main, 2 Main 10, 3 Main Still Picture, 4 extensions.
    pub number: u8,
    /// Profiles that it keeps to as well, number 0 in the top bit.
    pub compatibility: u32,
    /// Constraint flags, 48 bits.
    pub constraints: [u8; 6],
    /// Level times thirty: 93 is 3.1.
    pub level: u8,
}

impl Profile {
    /// Bytes on the wire.
    pub const BYTES: usize = 12;

    // | space (2) tier (1) number (5) | compatibility (32) | constraints (48) | level (8) |

    /// Reads the twelve bytes; every value has a meaning.
    #[must_use]
    pub const fn parse(bytes: [u8; Self::BYTES]) -> Self {
        let [first, c0, c1, c2, c3, f0, f1, f2, f3, f4, f5, level] = bytes;
        Self {
            space: first >> 6,
            high_tier: first & 0x20 != 0,
            number: first & 0x1f,
            compatibility: u32::from_be_bytes([c0, c1, c2, c3]),
            constraints: [f0, f1, f2, f3, f4, f5],
            level,
        }
    }

    /// The twelve bytes.
    #[must_use]
    pub const fn bytes(&self) -> [u8; Self::BYTES] {
        let tier = if self.high_tier { 0x20 } else { 0 };
        let first = self.space << 6 | tier | self.number & 0x1f;
        let [c0, c1, c2, c3] = self.compatibility.to_be_bytes();
        let [f0, f1, f2, f3, f4, f5] = self.constraints;
        [first, c0, c1, c2, c3, f0, f1, f2, f3, f4, f5, self.level]
    }

    /// The name that playlists give the codec (RFC 6381 §3.3, 14496-15 §E.3): parameter sets
    /// outside the pictures are `hvc1`.
    #[must_use]
    pub fn codec_string(&self) -> CodecString {
        let mut name = CodecString::new();
        let written = self.write(&mut name);
        debug_assert!(written.is_ok());
        name
    }

    fn write(&self, name: &mut CodecString) -> core::fmt::Result {
        name.write_str("hvc1.")?;
        name.write_str(match self.space {
            0 => "",
            1 => "A",
            2 => "B",
            _ => "C",
        })?;
        let tier = if self.high_tier { 'H' } else { 'L' };
        let compatibility = self.compatibility.reverse_bits();
        write!(name, "{}.{compatibility:X}.{tier}{}", self.number, self.level)?;
        // Bytes of zero at the end are left out.
        let used = self.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for byte in self.constraints.iter().take(used) {
            write!(name, ".{byte:X}")?;
        }
        Ok(())
    }
}

/// The name of a codec in a playlist, such as `hvc1.1.6.L93.90`.
pub type CodecString = heapless::String<40>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_14496_15() {
        let main = Profile {
            space: 0,
            high_tier: false,
            number: 1,
            compatibility: 0x6000_0000,
            constraints: [0x90, 0, 0, 0, 0, 0],
            level: 93,
        };
        assert_eq!(main.codec_string(), "hvc1.1.6.L93.90");
        let plain = Profile { constraints: [0; 6], high_tier: true, level: 120, ..main };
        assert_eq!(plain.codec_string(), "hvc1.1.6.H120");
        let ten = Profile { number: 2, compatibility: 0x2000_0000, level: 153, ..main };
        assert_eq!(ten.codec_string(), "hvc1.2.4.L153.90");
        let longest = Profile {
            space: 3,
            high_tier: true,
            number: 31,
            compatibility: u32::MAX,
            constraints: [0xff; 6],
            level: 255,
        };
        assert_eq!(longest.codec_string(), "hvc1.C31.FFFFFFFF.H255.FF.FF.FF.FF.FF.FF");
    }

    proptest! {
        #[test]
        fn profile_survives_the_wire(bytes: [u8; Profile::BYTES]) {
            prop_assert_eq!(Profile::parse(bytes).bytes(), bytes);
            prop_assert!(Profile::parse(bytes).codec_string().starts_with("hvc1."));
        }
    }
}
