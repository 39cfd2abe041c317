//! The sequence parameter set of HEVC: profile, picture size, sample depth.
//!
//! Source: H.265 §7.3.2.2.1, §7.3.3. A hint for people and playlists; nothing is allocated or
//! decoded by its numbers. Reads no further than the sample depth.

use super::nal::NalType;
use super::profile::Profile;
use crate::limits::VIDEO_SIDE_PIXELS_MAX;
use crate::wire::h264::{Rbsp, RbspError, SpsError, bounded};

/// What a sequence parameter set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Profile, tier and level of the whole stream.
    pub profile: Profile,
    /// Width in pixels after cropping, at least 1.
    pub width: u32,
    /// Height in pixels after cropping, at least 1.
    pub height: u32,
    /// 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample, 8 to 16.
    pub bit_depth: u8,
}

impl Sps {
    /// Reads a NAL unit, header included.
    ///
    /// # Errors
    /// `SpsError` if it is another unit, ends early, or says what the standard forbids.
    pub fn parse(nal: &[u8]) -> Result<Self, SpsError> {
        let [first, _, payload @ ..] = nal else {
            return Err(RbspError::Ended("nal header").into());
        };
        let kind = NalType::of(*first);
        if kind != NalType::Sps {
            return Err(SpsError::Type(kind.code()));
        }
        let mut r = Rbsp::new(payload);
        r.bits(4, "video parameter set id")?;
        let sub_layers = r.bits(3, "sub-layers")?;
        r.bit("temporal nesting")?;
        let mut bytes = [0; Profile::BYTES];
        for byte in &mut bytes {
            *byte = r.byte("profile, tier and level")?;
        }
        skip_sub_layers(&mut r, sub_layers)?;
        bounded(&mut r, "set id", 15)?;
        let chroma_format = bounded(&mut r, "chroma format", 3)?;
        let separate_planes = chroma_format == 3 && r.bit("separate planes")?;
        let chroma = if separate_planes { 0 } else { chroma_format };
        let (width, height) = picture(&mut r, chroma)?;
        let bit_depth = bounded(&mut r, "luma depth", 8)? + 8;
        Ok(Self { profile: Profile::parse(bytes), width, height, chroma_format, bit_depth })
    }
}

/// Skips profiles and levels of the temporal sub-layers, at most seven.
fn skip_sub_layers(r: &mut Rbsp<'_>, count: u32) -> Result<(), RbspError> {
    const MOST: u32 = 8;
    debug_assert!(count < MOST);
    let mut bits = 0;
    for _ in 0..count {
        bits += if r.bit("sub-layer profile")? { 88 } else { 0 };
        bits += if r.bit("sub-layer level")? { 8 } else { 0 };
    }
    if count > 0 {
        bits += 2 * (MOST - count);
    }
    for _ in 0..bits {
        r.bit("sub-layers")?;
    }
    Ok(())
}

/// Width and height after cropping.
fn picture(r: &mut Rbsp<'_>, chroma: u8) -> Result<(u32, u32), SpsError> {
    let width = side(r, "width")?;
    let height = side(r, "height")?;
    if !r.bit("conformance window")? {
        return Ok((width, height));
    }
    let mut edges = [0u64; 4];
    for edge in &mut edges {
        *edge = u64::from(r.ue("window edge")?);
    }
    let [left, right, top, bottom] = edges;
    // H.265 table 6-1.
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma == 1 { 2 } else { 1 };
    let left_over = |coded: u32, cut: u64| {
        let cut = u32::try_from(cut).ok()?;
        coded.checked_sub(cut).filter(|pixels| *pixels > 0)
    };
    match (left_over(width, (left + right) * unit_x), left_over(height, (top + bottom) * unit_y)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(SpsError::Crop { width, height }),
    }
}

/// A length in pixels, at least 1.
fn side(r: &mut Rbsp<'_>, field: &'static str) -> Result<u32, SpsError> {
    const MAX: u32 = VIDEO_SIDE_PIXELS_MAX;
    match r.ue(field)? {
        0 => Err(SpsError::Crop { width: 0, height: 0 }),
        value if value > MAX => Err(SpsError::Range { field, value, max: MAX }),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    const HD: &str = "42010101600000030090000003000003005da00280802d16595952930bc05a0200000300\
                      02000003003210";

    /// Written by libx265 through ffmpeg 5.1, with the size, format and layers asked of it.
    #[test]
    fn sps_of_libx265_says_what_was_asked_of_it() {
        for (set, want) in [
            (HD, "1280x720 hvc1.1.6.L93.90 chroma 1 depth 8"),
            (
                "42010122200000030090000003000003007ba003c0801107cad965654a4c2f01680800000300\
                 0800000300c840",
                "1920x1080 hvc1.2.4.H123.90 chroma 1 depth 10",
            ),
            (
                "4201010408000003009d0800000300003fb005220171c44f965654a4c2f01680800000030080\
                 00000c84",
                "642x362 hvc1.4.10.L63.9D.8 chroma 2 depth 8",
            ),
            (
                "4201010408000003009e0800000300003f9000a0402e3e272caca94985e02d01000003000100\
                 0003001908",
                "640x360 hvc1.4.10.L63.9E.8 chroma 3 depth 8",
            ),
            (
                // Two temporal sub-layers.
                "42010201600000030090000003000003003f0000a005020171f2e59594aca94985e02d010000\
                 030001000003001908",
                "640x360 hvc1.1.6.L63.90 chroma 1 depth 8",
            ),
        ] {
            let sps = Sps::parse(&hex(set)).unwrap();
            let said = format!(
                "{}x{} {} chroma {} depth {}",
                sps.width,
                sps.height,
                sps.profile.codec_string(),
                sps.chroma_format,
                sps.bit_depth
            );
            assert_eq!(said, want);
        }
    }

    #[test]
    fn sps_cut_anywhere_before_its_end_is_an_error_or_the_same() {
        let whole = hex(HD);
        let good = Sps::parse(&whole).unwrap();
        for end in 0..whole.len() {
            match Sps::parse(&whole[..end]) {
                Ok(sps) => assert_eq!(sps, good, "{end} bytes"),
                Err(_) => assert!(end < 30, "{end} bytes"),
            }
        }
    }

    #[test]
    fn sps_refuses_other_units_and_sides_beyond_the_limit() {
        assert_eq!(Sps::parse(&[0x40, 1, 1]), Err(SpsError::Type(32)));
        // The side is an Exp-Golomb code behind 15 bytes: 29 bits from 0b1 + 0b010 on.
        let side = |pixels: u32| {
            let mut bits: Vec<u8> = vec![0; 8 + 96];
            bits[7] = 1;
            bits.extend([1, 0, 1, 0]);
            for value in [pixels, 16] {
                let code = value + 1;
                let width = 32 - code.leading_zeros();
                bits.extend((1..width).map(|_| 0));
                bits.extend((0..width).rev().map(|i| u8::from(code >> i & 1 == 1)));
            }
            bits.extend([0, 1, 1, 1]);
            bits.resize(bits.len().next_multiple_of(8), 0);
            let bytes = bits.chunks(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | bit));
            // Emulation prevention, as every encoder does it.
            let (mut nal, mut zeros) = (vec![0x42, 1], 0);
            for byte in bytes {
                if zeros == 2 && byte <= 3 {
                    nal.push(3);
                    zeros = 0;
                }
                zeros = if byte == 0 { zeros + 1 } else { 0 };
                nal.push(byte);
            }
            Sps::parse(&nal)
        };
        assert_eq!(side(VIDEO_SIDE_PIXELS_MAX).unwrap().width, VIDEO_SIDE_PIXELS_MAX);
        let (value, max) = (VIDEO_SIDE_PIXELS_MAX + 1, VIDEO_SIDE_PIXELS_MAX);
        assert_eq!(side(value), Err(SpsError::Range { field: "width", value, max }));
        assert_eq!(side(0), Err(SpsError::Crop { width: 0, height: 0 }));
    }

    proptest! {
        #[test]
        fn sps_of_any_bytes_is_an_error_or_a_picture(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            layers in 0u8..16,
        ) {
            let nal = [&[0x42, 1, layers][..], &bytes].concat();
            if let Ok(sps) = Sps::parse(&nal) {
                prop_assert!((1..=VIDEO_SIDE_PIXELS_MAX).contains(&sps.width));
                prop_assert!((1..=VIDEO_SIDE_PIXELS_MAX).contains(&sps.height));
            }
        }

        #[test]
        fn sps_with_a_flipped_bit_never_panics(at in 16usize..43 * 8) {
            let mut nal = hex(HD);
            nal[at / 8] ^= 0x80 >> (at % 8);
            let _ = Sps::parse(&nal);
        }
    }
}
