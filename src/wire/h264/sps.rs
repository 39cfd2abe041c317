//! The sequence parameter set: picture size, profile, level, field coding, timing.
//!
//! Source: H.264 §7.3.2.1.1 and annex E. A hint for people and playlists, and the reason to mark a
//! discontinuity when it changes; nothing is allocated or decoded by its numbers.
//!
//! Quirk tolerated: usability information (VUI) that is cut or senseless counts as absent, for
//! decoders play such streams.

use super::nal::NalType;
use super::rbsp::{Rbsp, RbspError};
use crate::limits::VIDEO_SIDE_PIXELS_MAX;

/// A parameter set, of H.264 or HEVC, that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpsError {
    /// Malformed: the bits end or are no code.
    #[error(transparent)]
    Rbsp(#[from] RbspError),
    /// Malformed: another unit, by the number of its type.
    #[error("nal unit of type {0} is not a sequence parameter set")]
    Type(u8),
    /// Malformed: a value beyond what the standard allows.
    #[error("sequence parameter set has {field} {value}, more than {max}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// The largest allowed.
        max: u32,
    },
    /// Malformed: nothing of the picture is left after cropping.
    #[error("picture of {width}x{height} is cropped away")]
    Crop {
        /// Coded width in pixels.
        width: u32,
        /// Coded height in pixels.
        height: u32,
    },
}

/// What a sequence parameter set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Profile number: 66 baseline, 77 main, 100 high.
    pub profile: u8,
    /// Constraint flags.
    pub constraints: u8,
    /// Level times ten.
    pub level: u8,
    /// Width in pixels after cropping, at least 1.
    pub width: u32,
    /// Height in pixels after cropping, at least 1.
    pub height: u32,
    /// 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample, 8 to 14.
    pub bit_depth: u8,
    /// Whether every picture is a frame; otherwise it may be interlaced.
    pub frames_only: bool,
    /// The clock of the pictures, if said.
    pub timing: Option<Timing>,
}

/// The clock of the pictures; one frame lasts two of its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Clock units in one tick, not 0.
    pub units_in_tick: u32,
    /// Clock units in one second, not 0.
    pub time_scale: u32,
    /// Whether every frame lasts equally long.
    pub fixed: bool,
}

impl Timing {
    /// Frames per 1000 seconds, rounded down.
    #[must_use]
    pub fn millihertz(&self) -> u64 {
        u64::from(self.time_scale) * 1000 / (2 * u64::from(self.units_in_tick))
    }
}

impl Sps {
    /// Reads a NAL unit, header included.
    ///
    /// # Errors
    /// `SpsError` if it is another unit, ends early, or says what the standard forbids.
    pub fn parse(nal: &[u8]) -> Result<Self, SpsError> {
        let Some((header, payload)) = nal.split_first() else {
            return Err(RbspError::Ended("nal header").into());
        };
        let kind = NalType::of(*header);
        if kind != NalType::Sps {
            return Err(SpsError::Type(kind.code()));
        }
        let mut r = Rbsp::new(payload);
        let profile = r.byte("profile")?;
        let constraints = r.byte("constraints")?;
        let level = r.byte("level")?;
        bounded(&mut r, "set id", 31)?;
        let samples = if has_samples(profile) { Samples::parse(&mut r)? } else { Samples::BASIC };
        bounded(&mut r, "frame number length", 12)?;
        skip_picture_order(&mut r)?;
        r.ue("reference frames")?;
        r.bit("frame number gaps")?;
        let (width, height, frames_only) = picture(&mut r, &samples)?;
        Ok(Self {
            profile,
            constraints,
            level,
            width,
            height,
            chroma_format: samples.chroma_format,
            bit_depth: samples.bit_depth,
            frames_only,
            timing: timing(&mut r).ok().flatten(),
        })
    }

    /// The name that playlists give the codec, `avc1.PPCCLL`.
    #[must_use]
    pub fn codec_string(&self) -> super::CodecString {
        super::codec_string(self.profile, self.constraints, self.level)
    }
}

/// Whether sets of this profile describe their samples.
const fn has_samples(profile: u8) -> bool {
    matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244)
}

/// How a picture is sampled.
struct Samples {
    chroma_format: u8,
    /// Three planes coded as three monochrome pictures.
    separate_planes: bool,
    bit_depth: u8,
}

impl Samples {
    const BASIC: Self = Self { chroma_format: 1, separate_planes: false, bit_depth: 8 };

    fn parse(r: &mut Rbsp<'_>) -> Result<Self, SpsError> {
        let chroma_format = bounded(r, "chroma format", 3)?;
        let separate_planes = chroma_format == 3 && r.bit("separate planes")?;
        let bit_depth = bounded(r, "luma depth", 6)? + 8;
        bounded(r, "chroma depth", 6)?;
        r.bit("lossless bypass")?;
        if r.bit("scaling matrix")? {
            let lists = if chroma_format == 3 { 12 } else { 8 };
            for list in 0..lists {
                if r.bit("scaling list")? {
                    skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(Self { chroma_format, separate_planes, bit_depth })
    }
}

/// Skips one list (H.264 §7.3.2.1.1.1): deltas stop when a scale becomes zero.
fn skip_scaling_list(r: &mut Rbsp<'_>, size: u32) -> Result<(), SpsError> {
    let mut next = 8i32;
    for _ in 0..size {
        if next != 0 {
            let delta = r.se("scaling delta")?;
            next = next.wrapping_add(delta) & 0xff;
        }
    }
    Ok(())
}

fn skip_picture_order(r: &mut Rbsp<'_>) -> Result<(), SpsError> {
    match bounded(r, "picture order type", 2)? {
        0 => {
            bounded(r, "picture order length", 12)?;
        }
        1 => {
            r.bit("picture order always zero")?;
            r.se("picture order offset")?;
            r.se("picture order field offset")?;
            let cycle = bounded(r, "picture order cycle", 255)?;
            for _ in 0..cycle {
                r.se("picture order frame offset")?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Width and height after cropping, and whether every picture is a frame.
fn picture(r: &mut Rbsp<'_>, samples: &Samples) -> Result<(u32, u32, bool), SpsError> {
    let columns = side(r, "width in macroblocks")?;
    let rows = side(r, "height in map units")?;
    let frames_only = r.bit("frames only")?;
    if !frames_only {
        r.bit("adaptive fields")?;
    }
    r.bit("direct inference")?;
    let field_rows = if frames_only { 1 } else { 2 };
    let (width, height) = (columns * 16, rows * 16 * field_rows);
    if !r.bit("cropping")? {
        return Ok((width, height, frames_only));
    }
    let mut edges = [0u64; 4];
    for edge in &mut edges {
        *edge = u64::from(r.ue("crop edge")?);
    }
    let [left, right, top, bottom] = edges;
    // H.264 table 6-1 and equations 7-19 to 7-22.
    let chroma = if samples.separate_planes { 0 } else { samples.chroma_format };
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma == 1 { 2 } else { 1 } * u64::from(field_rows);
    let left_over = |coded: u32, cut: u64| {
        let cut = u32::try_from(cut).ok()?;
        coded.checked_sub(cut).filter(|pixels| *pixels > 0)
    };
    match (left_over(width, (left + right) * unit_x), left_over(height, (top + bottom) * unit_y)) {
        (Some(width), Some(height)) => Ok((width, height, frames_only)),
        _ => Err(SpsError::Crop { width, height }),
    }
}

/// The clock in the usability information (H.264 §E.1.1), `None` if there is none.
fn timing(r: &mut Rbsp<'_>) -> Result<Option<Timing>, RbspError> {
    const EXTENDED_SAR: u32 = 255;
    if !r.bit("usability information")? {
        return Ok(None);
    }
    if r.bit("aspect ratio")? && r.bits(8, "aspect ratio")? == EXTENDED_SAR {
        r.bits(32, "sample aspect ratio")?;
    }
    if r.bit("overscan")? {
        r.bit("overscan")?;
    }
    if r.bit("video signal")? {
        r.bits(4, "video format")?;
        if r.bit("colour description")? {
            r.bits(24, "colour description")?;
        }
    }
    if r.bit("chroma location")? {
        r.ue("chroma location of top field")?;
        r.ue("chroma location of bottom field")?;
    }
    if !r.bit("timing")? {
        return Ok(None);
    }
    let timing = Timing {
        units_in_tick: r.bits(32, "units in tick")?,
        time_scale: r.bits(32, "time scale")?,
        fixed: r.bit("fixed frame rate")?,
    };
    Ok((timing.units_in_tick > 0 && timing.time_scale > 0).then_some(timing))
}

/// A length in units of 16 pixels, coded one less.
fn side(r: &mut Rbsp<'_>, field: &'static str) -> Result<u32, SpsError> {
    const MAX: u32 = VIDEO_SIDE_PIXELS_MAX / 16 - 1;
    let value = r.ue(field)?;
    if value > MAX {
        return Err(SpsError::Range { field, value, max: MAX });
    }
    Ok(value + 1)
}

/// An unsigned code of at most `max`.
pub(in crate::wire) fn bounded(
    r: &mut Rbsp<'_>,
    field: &'static str,
    max: u8,
) -> Result<u8, SpsError> {
    let value = r.ue(field)?;
    match u8::try_from(value) {
        Ok(small) if small <= max => Ok(small),
        _ => Err(SpsError::Range { field, value, max: u32::from(max) }),
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

    const HD: &str = "6764001facd9405005bb011000000300100000030320f1831960";

    /// Written by libx264 through ffmpeg 5.1, with the size, rate and format asked of it.
    #[test]
    fn sps_of_libx264_says_what_was_asked_of_it() {
        for (set, want) in [
            (HD, "1280x720 25 avc1.64001f chroma 1 depth 8 frames true"),
            (
                "67640028acd940780227e5c044000003000400000300f03c60c658",
                "1920x1080 30 avc1.640028 chroma 1 depth 8 frames true",
            ),
            (
                "67640028acd94078044fde0220000003002000000783e2c5b2c0",
                "1920x1080 30 avc1.640028 chroma 1 depth 8 frames false",
            ),
            (
                "67f40016919b281405ff138088000003000800000300f078b16cb0",
                "640x360 15 avc1.f40016 chroma 3 depth 8 frames true",
            ),
            (
                "677a000dbcd9415087888fc044000003000400000300c83c50a658",
                "322x242 25 avc1.7a000d chroma 2 depth 8 frames true",
            ),
            (
                "676e001ea6cd940a03db011000000300100000030320f162d960",
                "640x480 25 avc1.6e001e chroma 1 depth 10 frames true",
            ),
            (
                "6742c00bd902c4ec0440000003004000000c83c50a92",
                "176x144 25 avc1.42c00b chroma 1 depth 8 frames true",
            ),
            (
                "6764001ef3650280f6c05b20000003002000000641e2c5b2c0",
                "640x480 25 avc1.64001e chroma 0 depth 8 frames true",
            ),
            (
                "6764001eacd940b4126c069404040694000003000400000300c83c58b658",
                "720x576 25 avc1.64001e chroma 1 depth 8 frames true",
            ),
        ] {
            let sps = Sps::parse(&hex(set)).unwrap();
            let found = format!(
                "{}x{} {} {} chroma {} depth {} frames {}",
                sps.width,
                sps.height,
                sps.timing.unwrap().millihertz() / 1000,
                sps.codec_string(),
                sps.chroma_format,
                sps.bit_depth,
                sps.frames_only
            );
            assert_eq!(found, want);
        }
    }

    /// Bits of a set that no encoder at hand writes.
    struct Bits(Vec<bool>);

    impl Bits {
        fn bits(mut self, value: u32, n: u32) -> Self {
            self.0.extend((0..n).rev().map(|i| value >> i & 1 == 1));
            self
        }

        fn ue(self, value: u32) -> Self {
            let code = value + 1;
            let length = code.ilog2();
            self.bits(0, length).bits(code, length + 1)
        }

        fn se(self, value: i32) -> Self {
            let twice = value.unsigned_abs() * 2;
            self.ue(if value > 0 { twice - 1 } else { twice })
        }

        fn nal(self) -> Vec<u8> {
            let mut nal = vec![0x67];
            let mut zeros = 0;
            for byte in self.bits(1, 1).0.chunks(8) {
                let byte = byte
                    .iter()
                    .enumerate()
                    .fold(0, |sum, (i, bit)| sum | u8::from(*bit) << (7 - i));
                if zeros >= 2 && byte <= 3 {
                    nal.push(3);
                    zeros = 0;
                }
                zeros = if byte == 0 { zeros + 1 } else { 0 };
                nal.push(byte);
            }
            nal
        }
    }

    /// From the reference frames on, 64 by 48 pixels.
    fn small(bits: Bits) -> Vec<u8> {
        bits.ue(1).bits(0, 1).ue(3).ue(2).bits(0b1_1_0_0, 4).nal()
    }

    #[test]
    fn sps_with_scaling_lists_and_cyclic_order_is_read_to_its_size() {
        let mut bits = Bits(Vec::new()).bits(0x64_00_1e, 24).ue(0).ue(1).ue(0).ue(0).bits(0b0_1, 2);
        // The first list in full, the second ended by a scale of zero, a large one, others absent.
        bits = bits.bits(1, 1);
        for delta in 0..16 {
            bits = bits.se(if delta % 2 == 0 { 3 } else { -2 });
        }
        bits = bits.bits(1, 1).se(-8).bits(0, 4).bits(1, 1);
        for _ in 0..64 {
            bits = bits.se(1);
        }
        bits = bits.bits(0, 1);
        bits = bits.ue(4).ue(1).bits(0, 1).se(-2).se(1).ue(2).se(2).se(-4);
        let sps = Sps::parse(&small(bits)).unwrap();
        assert_eq!((sps.width, sps.height), (64, 48));
        assert_eq!(sps.timing, None);
    }

    #[test]
    fn sps_refuses_values_beyond_the_standard() {
        let start = || Bits(Vec::new()).bits(0x42_00_1e, 24).ue(0);
        assert!(matches!(
            Sps::parse(&start().ue(13).nal()),
            Err(SpsError::Range { field: "frame number length", value: 13, max: 12 })
        ));
        let wide = start().ue(0).ue(2).ue(1).bits(0, 1).ue(1056).ue(2).nal();
        assert!(matches!(
            Sps::parse(&wide),
            Err(SpsError::Range { field: "width in macroblocks", value: 1056, max: 1055 })
        ));
        let cut = start().ue(0).ue(2).ue(1).bits(0, 1).ue(0).ue(0).bits(0b111, 3);
        let cut = cut.ue(4).ue(4).ue(0).ue(0).bits(0, 1).nal();
        assert_eq!(Sps::parse(&cut), Err(SpsError::Crop { width: 16, height: 16 }));
        assert_eq!(Sps::parse(&[0x68, 1]), Err(SpsError::Type(8)));
    }

    #[test]
    fn sps_cut_anywhere_is_an_error_or_has_no_timing() {
        let whole = hex(HD);
        let good = Sps::parse(&whole).unwrap();
        for end in 0..whole.len() {
            if let Ok(sps) = Sps::parse(&whole[..end]) {
                assert!(end >= 10, "{end} bytes");
                let timing = sps.timing;
                assert_eq!(Sps { timing: good.timing, ..sps }, good);
                assert!(timing.is_none() || timing == good.timing, "{end} bytes");
            }
        }
    }

    proptest! {
        #[test]
        fn sps_of_any_bytes_is_an_error_or_a_picture(
            profile in prop_oneof![Just(66u8), Just(100), Just(244), any::<u8>()],
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let nal = [&[0x67, profile, 0, 31][..], &bytes].concat();
            if let Ok(sps) = Sps::parse(&nal) {
                prop_assert!((1..=VIDEO_SIDE_PIXELS_MAX).contains(&sps.width));
                prop_assert!((1..=2 * VIDEO_SIDE_PIXELS_MAX).contains(&sps.height));
            }
        }

        #[test]
        fn sps_with_a_flipped_bit_never_panics(at in 8usize..26 * 8) {
            let mut nal = hex(HD);
            nal[at / 8] ^= 0x80 >> (at % 8);
            let _ = Sps::parse(&nal);
        }
    }
}
