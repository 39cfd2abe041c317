//! NAL units: their types, and the two ways they are told apart in a stream of bytes.
//!
//! RTMP and FLV put a length before each unit, transport streams a start code (annex B); some
//! encoders send start codes where lengths belong. Sources: H.264 §7.4.1, annex B; 14496-15
//! §5.2.3. Looks at no bit behind a unit's first byte.

use crate::wire::reader::Reader;

/// What a NAL unit holds (H.264 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalType {
    /// A slice of a picture that others may be needed for.
    Slice,
    /// Slice data partition A.
    PartitionA,
    /// Slice data partition B.
    PartitionB,
    /// Slice data partition C.
    PartitionC,
    /// A slice of a picture that starts everything anew.
    Idr,
    /// Supplemental enhancement information.
    Sei,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Access unit delimiter.
    Aud,
    /// End of sequence.
    EndOfSequence,
    /// End of stream.
    EndOfStream,
    /// Filler data.
    Filler,
    /// Sequence parameter set extension.
    SpsExtension,
    /// Any other, by its number: 0 or 14 to 31.
    Unknown(u8),
}

impl NalType {
    /// The type in the first byte of a unit.
    #[must_use]
    pub const fn of(first: u8) -> Self {
        match first & 0x1f {
            1 => Self::Slice,
            2 => Self::PartitionA,
            3 => Self::PartitionB,
            4 => Self::PartitionC,
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Aud,
            10 => Self::EndOfSequence,
            11 => Self::EndOfStream,
            12 => Self::Filler,
            13 => Self::SpsExtension,
            other => Self::Unknown(other),
        }
    }

    /// The number of the type, 0 to 31.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Slice => 1,
            Self::PartitionA => 2,
            Self::PartitionB => 3,
            Self::PartitionC => 4,
            Self::Idr => 5,
            Self::Sei => 6,
            Self::Sps => 7,
            Self::Pps => 8,
            Self::Aud => 9,
            Self::EndOfSequence => 10,
            Self::EndOfStream => 11,
            Self::Filler => 12,
            Self::SpsExtension => 13,
            Self::Unknown(other) => other,
        }
    }

    /// Whether the unit holds picture data; an access unit without any shows nothing.
    #[must_use]
    pub const fn is_coded(self) -> bool {
        matches!(self.code(), 1..=5)
    }
}

/// One NAL unit, without length or start code and without zero bytes behind it; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nal<'a> {
    /// Its bytes, emulation prevention included.
    pub bytes: &'a [u8],
    /// Where it begins in the data that was walked.
    pub offset: usize,
}

impl Nal<'_> {
    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> NalType {
        NalType::of(self.bytes.first().copied().unwrap_or(0))
    }
}

/// Size of the length in front of each NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthBytes {
    /// One byte.
    One,
    /// Two bytes.
    Two,
    /// Four bytes: nearly every encoder.
    Four,
}

impl LengthBytes {
    /// How many bytes.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// As a configuration record says it: one less.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::One => 0,
            Self::Two => 1,
            Self::Four => 3,
        }
    }

    fn read(self, r: &mut Reader<'_>) -> Option<usize> {
        const FIELD: &str = "nal length";
        match self {
            Self::One => r.u8(FIELD).map(usize::from).ok(),
            Self::Two => r.u16(FIELD).map(usize::from).ok(),
            Self::Four => usize::try_from(r.u32(FIELD).ok()?).ok(),
        }
    }
}

/// Walks the length-prefixed NAL units of one access unit.
#[must_use]
pub const fn nals(data: &[u8], length_bytes: LengthBytes) -> LengthPrefixed<'_> {
    LengthPrefixed { rest: Reader::new(data), length_bytes, dropped: 0 }
}

/// An iterator over length-prefixed NAL units.
///
/// Empty units are skipped. A length that runs past the end ends the walk: the bytes from that
/// length on are dropped and counted, for a receiver loses less with the units before it.
#[derive(Clone, Debug)]
pub struct LengthPrefixed<'a> {
    rest: Reader<'a>,
    length_bytes: LengthBytes,
    dropped: usize,
}

impl LengthPrefixed<'_> {
    /// Bytes dropped at the end, lengths included; known once the walk has ended.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }
}

impl<'a> Iterator for LengthPrefixed<'a> {
    type Item = Nal<'a>;

    fn next(&mut self) -> Option<Nal<'a>> {
        while !self.rest.is_empty() {
            let have = self.rest.len();
            let taken = self.length_bytes.read(&mut self.rest).and_then(|length| {
                let offset = self.rest.position();
                let bytes = self.rest.take(length, "nal unit").ok()?;
                Some(Nal { bytes: trim(bytes), offset })
            });
            let Some(nal) = taken else {
                self.dropped = have;
                self.rest = Reader::new(&[]);
                return None;
            };
            if !nal.bytes.is_empty() {
                return Some(nal);
            }
        }
        None
    }
}

/// Whether `data` holds start codes although lengths of `length_bytes` were announced.
///
/// A start code may also be a length (`00000001` of a one-byte unit, `0000012a` of 298 bytes), so
/// data that lengths cover to the last byte is never taken for Annex B.
#[must_use]
pub fn is_annexb(data: &[u8], length_bytes: LengthBytes) -> bool {
    let first = match data {
        [0, 0, 0, 1, first, ..] | [0, 0, 1, first, ..] => *first,
        _ => return false,
    };
    // The forbidden bit is clear and the type is one that starts an access unit.
    if !matches!(first, 0..=0x7f) || !matches!(NalType::of(first).code(), 1..=9) {
        return false;
    }
    !lengths_cover(data, length_bytes)
}

/// Whether lengths of `length_bytes` lead through `data` to its last byte.
pub(in crate::wire) fn lengths_cover(data: &[u8], length_bytes: LengthBytes) -> bool {
    let mut lengths = nals(data, length_bytes);
    let whole = lengths.by_ref().last().is_some();
    whole && lengths.dropped() == 0
}

/// Walks the NAL units between start codes; bytes before the first start code are skipped.
#[must_use]
pub const fn annexb(data: &[u8]) -> AnnexB<'_> {
    AnnexB { data, at: 0 }
}

/// An iterator over NAL units between start codes of three or four bytes; empty ones are skipped.
#[derive(Clone, Debug)]
pub struct AnnexB<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Iterator for AnnexB<'a> {
    type Item = Nal<'a>;

    fn next(&mut self) -> Option<Nal<'a>> {
        loop {
            let rest = self.data.get(self.at..)?;
            let offset = self.at + start_code(rest)? + 3;
            let rest = self.data.get(offset..)?;
            let length = start_code(rest).unwrap_or(rest.len());
            self.at = offset + length;
            let bytes = trim(rest.get(..length)?);
            if !bytes.is_empty() {
                return Some(Nal { bytes, offset });
            }
        }
    }
}

/// Where the next `00 00 01` begins.
fn start_code(data: &[u8]) -> Option<usize> {
    data.windows(3).position(|window| window == [0, 0, 1])
}

/// A unit without the zero bytes behind it: `trailing_zero_8bits`, or an encoder's padding. A unit
/// itself never ends in zero (H.264 §7.4.1).
const fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [head @ .., 0] = bytes {
        bytes = head;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(data: &[u8], length_bytes: LengthBytes) -> (Vec<(usize, Vec<u8>)>, usize) {
        let mut walk = nals(data, length_bytes);
        let units = walk.by_ref().map(|nal| (nal.offset, nal.bytes.to_vec())).collect();
        (units, walk.dropped())
    }

    #[test]
    fn nals_keep_what_came_before_a_length_past_the_end() {
        let data = [0, 2, 0x41, 1, 0, 9, 0x41, 2];
        assert_eq!(walk(&data, LengthBytes::Two), (vec![(2, vec![0x41, 1])], 4));
        let huge = [0xff, 0xff, 0xff, 0xff, 0x41];
        assert_eq!(walk(&huge, LengthBytes::Four), (vec![], 5));
    }

    #[test]
    fn nals_skip_empty_units_and_trailing_zeros() {
        let data = [0, 3, 0x65, 0, 0, 1, 0, 2, 0x41, 7];
        assert_eq!(walk(&data, LengthBytes::One), (vec![(2, vec![0x65]), (8, vec![0x41, 7])], 0));
    }

    #[test]
    fn nals_report_a_cut_at_every_byte() {
        let data = [0, 0, 0, 2, 0x41, 1, 0, 0, 0, 3, 0x41, 2, 3];
        for end in 0..=data.len() {
            let (units, dropped) = walk(&data[..end], LengthBytes::Four);
            let kept = match end {
                0..6 => 0,
                6..13 => 6,
                _ => 13,
            };
            assert_eq!(dropped, end - kept, "{end} bytes");
            assert_eq!(units.len(), [0, 6, 13].iter().position(|k| *k == kept).unwrap());
        }
    }

    #[test]
    fn annexb_units_are_found_behind_both_start_codes() {
        let data = [9, 0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0, 0, 1, 0x68];
        let units: Vec<_> = annexb(&data).map(|nal| (nal.offset, nal.bytes)).collect();
        assert_eq!(units, [(5, &[9, 0xf0][..]), (12, &[0x67, 1][..]), (20, &[0x68][..])]);
    }

    #[test]
    fn annexb_is_told_from_lengths_that_look_like_it() {
        let mut long = vec![0, 0, 1, 0x2a, 0x41];
        long.resize(4 + 298, 0x55);
        assert!(!is_annexb(&long, LengthBytes::Four), "a unit of 298 bytes");
        let tiny = [0, 0, 0, 1, 9, 0, 0, 0, 2, 0x65, 1];
        assert!(!is_annexb(&tiny, LengthBytes::Four), "a unit of one byte");
        assert!(is_annexb(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 1], LengthBytes::Four));
        assert!(is_annexb(&[0, 0, 1, 0x65, 0x88, 0x80], LengthBytes::Four));
        assert!(!is_annexb(&[0, 0, 0, 1, 0x9f, 3], LengthBytes::Four), "forbidden bit");
        assert!(!is_annexb(&[], LengthBytes::Four));
    }

    #[test]
    fn nal_types_keep_their_number() {
        for code in 0..32 {
            assert_eq!(NalType::of(code).code(), code);
            assert_eq!(NalType::of(code | 0x60), NalType::of(code));
        }
        assert!(NalType::Idr.is_coded());
        assert!(!NalType::Sei.is_coded());
    }

    /// A unit that could be real: no start code inside, no zero at the end.
    fn unit() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(1u8.., 1..40)
    }

    proptest! {
        #[test]
        fn nals_and_annexb_find_the_same_units(units in proptest::collection::vec(unit(), 0..6)) {
            let (mut lengths, mut codes) = (Vec::new(), Vec::new());
            for unit in &units {
                lengths.extend(u32::try_from(unit.len()).unwrap().to_be_bytes());
                lengths.extend(unit);
                codes.extend([0, 0, 0, 1]);
                codes.extend(unit);
            }
            let (found, dropped) = walk(&lengths, LengthBytes::Four);
            prop_assert_eq!(dropped, 0);
            let found: Vec<_> = found.into_iter().map(|(_, unit)| unit).collect();
            prop_assert_eq!(found, units.clone());
            let found: Vec<_> = annexb(&codes).map(|nal| nal.bytes.to_vec()).collect();
            prop_assert_eq!(found, units);
            prop_assert!(!is_annexb(&lengths, LengthBytes::Four));
        }

        #[test]
        fn nals_of_any_bytes_stay_inside(
            data in proptest::collection::vec(0u8..8, 0..100),
            length_bytes in prop_oneof![
                Just(LengthBytes::One), Just(LengthBytes::Two), Just(LengthBytes::Four)],
        ) {
            let _ = is_annexb(&data, length_bytes);
            for nal in nals(&data, length_bytes).chain(annexb(&data)) {
                prop_assert!(!nal.bytes.is_empty());
                prop_assert_eq!(&data[nal.offset..nal.offset + nal.bytes.len()], nal.bytes);
            }
        }
    }
}
