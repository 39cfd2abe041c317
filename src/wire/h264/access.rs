//! Where decoding can start: slice types and recovery points.
//!
//! A frame type of "key" in FLV is a claim; a segment may start only where the NAL units say so.
//! Source: H.264 §7.3.3 (slice header), §7.3.2.3.1 and §D.1.8 (recovery point).

use super::nal::{Nal, NalType};
use super::rbsp::{Rbsp, RbspError};

/// How a slice is predicted (H.264 table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceType {
    /// From earlier pictures.
    P,
    /// From earlier and later pictures.
    B,
    /// From itself alone.
    I,
    /// Switching P.
    Sp,
    /// Switching I.
    Si,
}

/// The type of the slice in a NAL unit; `None` if the unit holds no slice or is malformed.
#[must_use]
pub fn slice_type(nal: &[u8]) -> Option<SliceType> {
    let (header, payload) = nal.split_first()?;
    if !matches!(NalType::of(*header).code(), 1 | 2 | 5) {
        return None;
    }
    let mut r = Rbsp::new(payload);
    r.ue("first macroblock").ok()?;
    // 5 to 9 say that all slices of the picture are of that type.
    match r.ue("slice type").ok()? {
        0 | 5 => Some(SliceType::P),
        1 | 6 => Some(SliceType::B),
        2 | 7 => Some(SliceType::I),
        3 | 8 => Some(SliceType::Sp),
        4 | 9 => Some(SliceType::Si),
        _ => None,
    }
}

/// Frames until the picture is whole when decoding starts here, if the unit is supplemental
/// information with a recovery point. Messages before it are skipped.
#[must_use]
pub fn recovery_point(nal: &[u8]) -> Option<u32> {
    const RECOVERY_POINT: usize = 6;
    let (header, payload) = nal.split_first()?;
    if NalType::of(*header) != NalType::Sei {
        return None;
    }
    let mut r = Rbsp::new(payload);
    loop {
        let kind = chained(&mut r).ok()?;
        let bytes = chained(&mut r).ok()?;
        if kind == RECOVERY_POINT {
            return r.ue("recovery frame count").ok();
        }
        for _ in 0..bytes {
            r.byte("supplemental message").ok()?;
        }
    }
}

/// Whether decoding can start at this access unit: its first slice is of an IDR picture, or an I
/// slice behind a recovery point. Looks no further than the first slice.
pub fn is_random_access<'a>(nals: impl IntoIterator<Item = Nal<'a>>) -> bool {
    let mut recovers = false;
    for nal in nals {
        let kind = nal.kind();
        if kind == NalType::Idr {
            return true;
        }
        if kind.is_coded() {
            let intra = matches!(slice_type(nal.bytes), Some(SliceType::I | SliceType::Si));
            return recovers && intra;
        }
        recovers |= recovery_point(nal.bytes).is_some();
    }
    false
}

/// A number as supplemental information writes it: bytes of 255 and a last one, summed up.
fn chained(r: &mut Rbsp<'_>) -> Result<usize, RbspError> {
    let mut sum = 0usize;
    loop {
        let byte = r.byte("supplemental message")?;
        sum = sum.saturating_add(usize::from(byte));
        if byte != 0xff {
            return Ok(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::h264::annexb;
    use proptest::prelude::*;

    /// User data of three bytes with an emulation prevention byte, then a recovery point of 0.
    const SEI: [u8; 11] = [0x06, 5, 3, 0, 0, 3, 1, 6, 1, 0xc4, 0x80];
    const I_SLICE: [u8; 3] = [0x41, 0b1000_1000, 0x80];
    const P_SLICE: [u8; 2] = [0x41, 0b1110_0000];
    const IDR: [u8; 3] = [0x65, 0x88, 0x84];

    fn starts(units: &[&[u8]]) -> bool {
        is_random_access(units.iter().map(|bytes| Nal { bytes, offset: 0 }))
    }

    #[test]
    fn slice_type_is_read_behind_the_first_macroblock() {
        assert_eq!(slice_type(&I_SLICE), Some(SliceType::I));
        assert_eq!(slice_type(&P_SLICE), Some(SliceType::P));
        assert_eq!(slice_type(&IDR), Some(SliceType::I));
        assert_eq!(slice_type(&SEI), None);
        assert_eq!(slice_type(&[0x41]), None);
    }

    #[test]
    fn recovery_point_is_found_behind_other_messages() {
        assert_eq!(recovery_point(&SEI), Some(0));
        for end in 0..9 {
            assert_eq!(recovery_point(&SEI[..end]), None, "{end} bytes");
        }
        assert_eq!(recovery_point(&[0x06, 0xff, 0xff, 0xff]), None);
        assert_eq!(recovery_point(&[0x06, 1, 0xff, 0xff, 0xff, 0, 6]), None);
    }

    #[test]
    fn decoding_starts_at_idr_or_at_intra_slice_behind_recovery_point() {
        assert!(starts(&[&[9, 0xf0], &IDR]));
        assert!(starts(&[&SEI, &I_SLICE]));
        assert!(!starts(&[&SEI, &P_SLICE]), "gradual refresh");
        assert!(!starts(&[&I_SLICE]), "earlier pictures may be needed later");
        assert!(!starts(&[&P_SLICE, &IDR]), "the first slice decides");
        assert!(!starts(&[&SEI]));
        assert!(!starts(&[]));
    }

    /// Written by libx264 through ffmpeg 5.1 with `open-gop=1`.
    #[test]
    fn decoding_starts_at_an_open_group_of_libx264() {
        let sei = [0x06, 0x06, 0x01, 0xc4, 0x80];
        let intra = [0x41, 0x88, 0xee, 0x42, 0xff, 0x63];
        let inter = [0x41, 0x9b, 0xdb, 0x7c, 0x99, 0x45];
        let bidirectional = [0x01, 0x9f, 0xfa, 0x79, 0x0b, 0x7f];
        assert_eq!(recovery_point(&sei), Some(0));
        assert!(starts(&[&sei, &intra]));
        assert_eq!(slice_type(&inter), Some(SliceType::P));
        assert_eq!(slice_type(&bidirectional), Some(SliceType::B));
    }

    proptest! {
        #[test]
        fn access_survives_any_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), first: u8,
        ) {
            let mut nal = bytes;
            nal.insert(0, first);
            let _ = slice_type(&nal);
            let _ = recovery_point(&nal);
            nal[0] = 6;
            let _ = recovery_point(&nal);
            let _ = is_random_access(annexb(&nal));
        }
    }
}
