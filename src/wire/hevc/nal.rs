//! NAL unit types of HEVC, and where decoding can start.
//!
//! Sources: H.265 §7.3.1.2 (header of two bytes), table 7-1 (types), §7.3.6.1 (slice header).

use crate::wire::h264::{LengthBytes, Nal, lengths_cover};

/// What a NAL unit holds (H.265 table 7-1), as far as somebody here asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalType {
    /// A slice of a picture that is shown before the random access picture in front of it and may
    /// refer to pictures before that one: RASL, 8 and 9.
    SkippedLeading(u8),
    /// A slice of a picture with broken links, which starts everything anew: BLA, 16 to 18.
    BrokenLink(u8),
    /// A slice of a picture that starts everything anew: IDR, 19 and 20.
    Idr(u8),
    /// A slice of a clean random access picture: decoding can start here, though pictures that
    /// are shown before it may refer to others before it: CRA, 21.
    CleanAccess,
    /// A slice of any other picture, by its number: 0 to 7, 10 to 15, 22 to 31.
    Slice(u8),
    /// Video parameter set, 32.
    Vps,
    /// Sequence parameter set, 33.
    Sps,
    /// Picture parameter set, 34.
    Pps,
    /// Access unit delimiter, 35.
    Aud,
    /// Filler data, 38.
    Filler,
    /// Supplemental enhancement information before the picture, 39.
    Sei,
    /// Any other, by its number: 36, 37, 40 to 63.
    Unknown(u8),
}

impl NalType {
    // | forbidden zero (1) type (6) layer (6) temporal id + 1 (3) |

    /// The type in the first byte of a unit.
    #[must_use]
    pub const fn of(first: u8) -> Self {
        Self::from_code(first >> 1 & 0x3f)
    }

    /// The type of a number; six bits are looked at.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code & 0x3f {
            code @ (8 | 9) => Self::SkippedLeading(code),
            code @ 16..=18 => Self::BrokenLink(code),
            code @ (19 | 20) => Self::Idr(code),
            21 => Self::CleanAccess,
            code @ 0..=31 => Self::Slice(code),
            32 => Self::Vps,
            33 => Self::Sps,
            34 => Self::Pps,
            35 => Self::Aud,
            38 => Self::Filler,
            39 => Self::Sei,
            code => Self::Unknown(code),
        }
    }

    /// The number of the type, 0 to 63.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::SkippedLeading(code)
            | Self::BrokenLink(code)
            | Self::Idr(code)
            | Self::Slice(code)
            | Self::Unknown(code) => code,
            Self::CleanAccess => 21,
            Self::Vps => 32,
            Self::Sps => 33,
            Self::Pps => 34,
            Self::Aud => 35,
            Self::Filler => 38,
            Self::Sei => 39,
        }
    }

    /// Whether the unit holds picture data; an access unit without any shows nothing.
    #[must_use]
    pub const fn is_coded(self) -> bool {
        self.code() < 32
    }

    /// Whether decoding can start at the picture that the slice is of: BLA, IDR or CRA. The
    /// reserved types 22 and 23 are of such pictures too, which nobody may send yet.
    #[must_use]
    pub const fn is_random_access(self) -> bool {
        matches!(self, Self::BrokenLink(_) | Self::Idr(_) | Self::CleanAccess)
    }

    /// Whether it is a parameter set.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Vps | Self::Sps | Self::Pps)
    }
}

/// Whether the slice in a NAL unit is the first of its picture; `None` if the unit holds none.
#[must_use]
pub fn first_slice(nal: &[u8]) -> Option<bool> {
    let [first, _, header, ..] = nal else { return None };
    NalType::of(*first).is_coded().then_some(header & 0x80 != 0)
}

/// Whether decoding can start at this access unit: all slices of a picture have one type, so the
/// first decides. Looks no further.
pub fn is_random_access<'a>(nals: impl IntoIterator<Item = Nal<'a>>) -> bool {
    nals.into_iter()
        .filter_map(|nal| nal.bytes.first())
        .map(|first| NalType::of(*first))
        .find(|kind| kind.is_coded())
        .is_some_and(NalType::is_random_access)
}

/// Whether `data` holds start codes although lengths of `length_bytes` were announced; see
/// `h264::is_annexb`.
#[must_use]
pub fn is_annexb(data: &[u8], length_bytes: LengthBytes) -> bool {
    let [first, second] = match data {
        [0, 0, 0, 1, first, second, ..] | [0, 0, 1, first, second, ..] => [*first, *second],
        _ => return false,
    };
    // The forbidden bit is clear, the temporal id is one, and the type is not reserved.
    let plausible = first & 0x80 == 0 && second & 7 != 0 && first >> 1 < 41;
    plausible && !lengths_cover(data, length_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::h264::annexb;
    use proptest::prelude::*;

    fn starts(units: &[&[u8]]) -> bool {
        is_random_access(units.iter().map(|bytes| Nal { bytes, offset: 0 }))
    }

    #[test]
    fn nal_types_keep_their_number() {
        for code in 0..64 {
            assert_eq!(NalType::from_code(code).code(), code);
            assert_eq!(NalType::of(code << 1 | 1), NalType::from_code(code));
            assert_eq!(NalType::from_code(code).is_coded(), code < 32);
            let random = (16..=21).contains(&code);
            assert_eq!(NalType::from_code(code).is_random_access(), random, "{code}");
        }
        assert_eq!(NalType::of(0x26), NalType::Idr(19));
        assert_eq!(NalType::of(0x2a), NalType::CleanAccess);
        assert_eq!(NalType::of(0x46), NalType::Aud);
    }

    #[test]
    fn decoding_starts_at_idr_cra_and_bla_and_the_first_slice_decides() {
        let sei = &[0x4e, 1, 5][..];
        for (first, starts_here) in
            [(0x26, true), (0x28, true), (0x2a, true), (0x20, true), (0x02, false), (0x12, false)]
        {
            assert_eq!(starts(&[&[0x46, 1, 0x50], sei, &[first, 1, 0xaf]]), starts_here);
            assert!(!starts(&[&[0x02, 1, 0xd0], &[first, 1, 0x2f]]));
        }
        assert!(!starts(&[sei]));
        assert!(!starts(&[]));
    }

    #[test]
    fn first_slice_is_told_by_its_first_bit() {
        assert_eq!(first_slice(&[0x26, 1, 0xaf]), Some(true));
        assert_eq!(first_slice(&[0x26, 1, 0x2f]), Some(false));
        assert_eq!(first_slice(&[0x42, 1, 0xaf]), None);
        assert_eq!(first_slice(&[0x26, 1]), None);
    }

    #[test]
    fn annexb_is_told_from_lengths_that_look_like_it() {
        let delimited = [0, 0, 0, 1, 0x46, 1, 0x50, 0, 0, 0, 1, 0x40, 1, 7];
        assert!(is_annexb(&delimited, LengthBytes::Four));
        assert!(is_annexb(&[0, 0, 1, 0x40, 1, 7], LengthBytes::Four));
        let mut long = vec![0, 0, 1, 0x2a, 0x26, 1];
        long.resize(4 + 298, 0x55);
        assert!(!is_annexb(&long, LengthBytes::Four), "a unit of 298 bytes");
        assert!(!is_annexb(&[0, 0, 0, 1, 0xc6, 1, 0x50], LengthBytes::Four), "forbidden bit");
        assert!(!is_annexb(&[], LengthBytes::Four));
    }

    proptest! {
        #[test]
        fn nal_facts_survive_any_bytes(bytes in proptest::collection::vec(0u8..72, 0..60)) {
            let _ = first_slice(&bytes);
            let _ = is_annexb(&bytes, LengthBytes::Four);
            let _ = is_random_access(annexb(&bytes));
        }
    }
}
