//! A small H.264 encoder: constrained baseline, still bands and a few changing macroblocks.
//!
//! IDR pictures are made of bands, one slice each, so that a band without change can be coded once
//! and repeated. All other pictures are one P slice in which what was not painted on is skipped.
//! One reference picture, no reordering, no deblocking, fixed quantiser. No rate control: the
//! pictures are ours and small. Does not pace, does not know what it draws.
//! Source: H.264 §7.3.2.1 (SPS), §7.3.2.2 (PPS), §7.3.3 (slice header), annex A.3 (levels), E.1.1
//! (VUI).

use core::ops::Range;

use crate::media::testcard::cavlc::{BitWriter, LENGTH_BYTES, nal_unit};
use crate::media::testcard::macroblock::{Place, Totals, write_intra};
use crate::media::testcard::picture::{Colour, MACROBLOCK, Matrix, Picture, Planes};
use crate::media::testcard::transform::QP;
use crate::wire::writer::{Full, Writer};

/// What the sequence parameter set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Visible width, even.
    pub width: usize,
    /// Visible height, even.
    pub height: usize,
    /// Pictures per second.
    pub frames_per_second: u32,
}

/// Codes pictures of one size one after the other. Takes all its memory in `new`.
#[derive(Debug)]
pub(crate) struct Encoder {
    shown: Planes,
    totals: Box<[Totals]>,
    columns: usize,
    frame_num: u32,
}

impl Encoder {
    /// Takes the memory: one picture and 24 bytes for each macroblock.
    pub(crate) fn new(sequence: Sequence) -> Self {
        let (width, height) = sequence.coded();
        let columns = width / MACROBLOCK;
        Self {
            shown: Planes::new(width, height, Colour::BLACK),
            totals: vec![Totals::default(); columns * (height / MACROBLOCK)].into_boxed_slice(),
            columns,
            frame_num: 0,
        }
    }

    /// Codes a band of an IDR picture as one slice; `rows` are in macroblocks. The bands of a
    /// picture follow each other from the top and together are all of it.
    pub(crate) fn idr_band(
        &mut self,
        picture: &Picture,
        rows: Range<usize>,
        buffer: &mut [u8],
    ) -> Result<usize, Full> {
        self.frame_num = 0;
        nal_unit(buffer, NAL_IDR, |bits| {
            slice_header(bits, number(rows.start * self.columns), Slice::Idr)?;
            for row in rows.clone() {
                for column in 0..self.columns {
                    let place = self.place(column, row, rows.start);
                    let shown = &mut self.shown;
                    let totals = write_intra(bits, (picture.planes(), shown), place, 0)?;
                    self.set_totals(place, totals);
                }
            }
            Ok(())
        })
    }

    /// Codes what was painted on since the picture before; the rest is skipped, that is repeated.
    pub(crate) fn p_picture(
        &mut self,
        picture: &Picture,
        buffer: &mut [u8],
    ) -> Result<usize, Full> {
        let frame_num = (self.frame_num + 1) % (1 << FRAME_NUM_BITS);
        let bytes = nal_unit(buffer, NAL_P, |bits| {
            slice_header(bits, 0, Slice::P { frame_num })?;
            let mut skipped = 0;
            self.totals.fill(Totals::default());
            for (at, touched) in picture.touched().iter().enumerate() {
                if !touched {
                    skipped += 1;
                    continue;
                }
                bits.ue(skipped)?;
                skipped = 0;
                let place = self.place(at % self.columns, at / self.columns, 0);
                let shown = &mut self.shown;
                let totals = write_intra(bits, (picture.planes(), shown), place, INTRA_IN_P)?;
                self.set_totals(place, totals);
            }
            if skipped > 0 {
                bits.ue(skipped)?;
            }
            Ok(())
        })?;
        self.frame_num = frame_num;
        Ok(bytes)
    }

    fn place(&self, column: usize, row: usize, row_first: usize) -> Place {
        let at = row * self.columns + column;
        let totals = |at: usize| self.totals.get(at).copied();
        Place {
            column,
            row,
            left: if column > 0 { totals(at - 1) } else { None },
            above: if row > row_first { totals(at - self.columns) } else { None },
        }
    }

    fn set_totals(&mut self, place: Place, totals: Totals) {
        let at = place.row * self.columns + place.column;
        if let Some(stored) = self.totals.get_mut(at) {
            *stored = totals;
        }
    }
}

impl Sequence {
    /// Width and height in whole macroblocks.
    pub(crate) const fn coded(self) -> (usize, usize) {
        (self.width.next_multiple_of(MACROBLOCK), self.height.next_multiple_of(MACROBLOCK))
    }

    /// The `AVCDecoderConfigurationRecord` (14496-15 §5.3.3.1) with SPS and PPS.
    pub(crate) fn configuration(self, buffer: &mut [u8]) -> Result<usize, Full> {
        let (mut sps, mut pps) = ([0; 64], [0; 16]);
        let sps_bytes = nal_unit(&mut sps, NAL_SPS, |bits| self.parameters(bits))?;
        let pps_bytes = nal_unit(&mut pps, NAL_PPS, picture_parameters)?;
        let sps = sps.get(LENGTH_BYTES..sps_bytes).unwrap_or_default();
        let pps = pps.get(LENGTH_BYTES..pps_bytes).unwrap_or_default();
        let mut w = Writer::new(buffer);
        // | version | profile, constraints, level | 111111, length size - 1 | 111, SPS count | …
        w.u8(1)?;
        w.bytes(sps.get(1..4).unwrap_or_default())?;
        w.bytes(&[0xff, 0xe1])?;
        w.u16(u16::try_from(sps.len()).unwrap_or(0))?;
        w.bytes(sps)?;
        w.u8(1)?;
        w.u16(u16::try_from(pps.len()).unwrap_or(0))?;
        w.bytes(pps)?;
        Ok(w.position())
    }

    /// The lowest level, times ten, whose limits hold (H.264 table A-1).
    pub(crate) fn level(self) -> u8 {
        let (width, height) = self.coded();
        let (columns, rows) = (number(width / MACROBLOCK), number(height / MACROBLOCK));
        let macroblocks = columns * rows;
        LEVELS
            .into_iter()
            .find(|(_, per_second, per_frame)| {
                let side = columns.max(rows);
                macroblocks * self.frames_per_second <= *per_second
                    && macroblocks <= *per_frame
                    && side * side <= 8 * per_frame
            })
            .map_or(LEVEL_MAX, |(level, ..)| level)
    }

    /// `seq_parameter_set_data`.
    fn parameters(self, bits: &mut BitWriter<'_>) -> Result<(), Full> {
        let (width, height) = self.coded();
        bits.bits(PROFILE_BASELINE, 8)?;
        // constraint_set0 and 1: constrained baseline, which every decoder plays.
        bits.bits(0b1100_0000, 8)?;
        bits.bits(u32::from(self.level()), 8)?;
        bits.ue(0)?; // seq_parameter_set_id
        bits.ue(FRAME_NUM_BITS - 4)?;
        bits.ue(2)?; // pic_order_cnt_type: output order is decoding order
        bits.ue(1)?; // max_num_ref_frames
        bits.bits(0, 1)?; // gaps_in_frame_num_value_allowed_flag
        bits.ue(number(width / MACROBLOCK) - 1)?;
        bits.ue(number(height / MACROBLOCK) - 1)?;
        bits.bits(0b11, 2)?; // frame_mbs_only_flag, direct_8x8_inference_flag
        let (right, below) = (number(width - self.width) / 2, number(height - self.height) / 2);
        let cropped = right > 0 || below > 0;
        bits.bits(u32::from(cropped), 1)?;
        if cropped {
            for offset in [0, right, 0, below] {
                bits.ue(offset)?;
            }
        }
        bits.bits(1, 1)?; // vui_parameters_present_flag
        self.usability(bits)
    }

    /// `vui_parameters`: square samples, colours, fixed frame rate, no reordering.
    fn usability(self, bits: &mut BitWriter<'_>) -> Result<(), Full> {
        bits.bits(1, 1)?; // aspect_ratio_info_present_flag
        bits.bits(1, 8)?; // aspect_ratio_idc: square
        bits.bits(0, 1)?; // overscan_info_present_flag
        bits.bits(1, 1)?; // video_signal_type_present_flag
        bits.bits(5, 3)?; // video_format: unspecified
        bits.bits(0, 1)?; // video_full_range_flag
        bits.bits(1, 1)?; // colour_description_present_flag
        let colours = match Matrix::of_height(self.height) {
            Matrix::Bt601 => 6,
            Matrix::Bt709 => 1,
        };
        for _primaries_transfer_matrix in 0..3 {
            bits.bits(colours, 8)?;
        }
        bits.bits(0, 1)?; // chroma_loc_info_present_flag
        bits.bits(1, 1)?; // timing_info_present_flag
        bits.bits(1, 32)?; // num_units_in_tick: one field
        bits.bits(2 * self.frames_per_second, 32)?; // time_scale
        bits.bits(1, 1)?; // fixed_frame_rate_flag
        bits.bits(0b000, 3)?; // no HRD for NAL or VCL, pic_struct_present_flag
        bits.bits(1, 1)?; // bitstream_restriction_flag
        bits.bits(1, 1)?; // motion_vectors_over_pic_boundaries_flag
        bits.ue(0)?; // max_bytes_per_pic_denom: no limit
        bits.ue(0)?; // max_bits_per_mb_denom: no limit
        bits.ue(0)?; // log2_max_mv_length_horizontal
        bits.ue(0)?; // log2_max_mv_length_vertical
        bits.ue(0)?; // max_num_reorder_frames
        bits.ue(1) // max_dec_frame_buffering
    }
}

/// `pic_parameter_set_rbsp`.
fn picture_parameters(bits: &mut BitWriter<'_>) -> Result<(), Full> {
    bits.ue(0)?; // pic_parameter_set_id
    bits.ue(0)?; // seq_parameter_set_id
    bits.bits(0b00, 2)?; // CAVLC, bottom_field_pic_order_in_frame_present_flag
    bits.ue(0)?; // num_slice_groups_minus1
    bits.ue(0)?; // num_ref_idx_l0_default_active_minus1
    bits.ue(0)?; // num_ref_idx_l1_default_active_minus1
    bits.bits(0b000, 3)?; // weighted_pred_flag, weighted_bipred_idc
    bits.se(QP - 26)?; // pic_init_qp_minus26
    bits.se(0)?; // pic_init_qs_minus26
    bits.se(0)?; // chroma_qp_index_offset
    // deblocking_filter_control_present_flag, constrained_intra_pred_flag,
    // redundant_pic_cnt_present_flag
    bits.bits(0b100, 3)
}

#[derive(Clone, Copy, Debug)]
enum Slice {
    Idr,
    P { frame_num: u32 },
}

/// `slice_header`. All IDR pictures have the same `idr_pic_id`: it must differ only between IDR
/// pictures that follow each other directly (H.264 §7.4.3), which ours never do.
fn slice_header(bits: &mut BitWriter<'_>, first: u32, slice: Slice) -> Result<(), Full> {
    bits.ue(first)?;
    match slice {
        Slice::Idr => {
            bits.ue(7)?; // slice_type: I, as all slices of this picture
            bits.ue(0)?; // pic_parameter_set_id
            bits.bits(0, FRAME_NUM_BITS)?;
            bits.ue(0)?; // idr_pic_id
            bits.bits(0b00, 2)?; // no_output_of_prior_pics_flag, long_term_reference_flag
        }
        Slice::P { frame_num } => {
            bits.ue(5)?; // slice_type: P, as all slices of this picture
            bits.ue(0)?; // pic_parameter_set_id
            bits.bits(frame_num, FRAME_NUM_BITS)?;
            // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0,
            // adaptive_ref_pic_marking_mode_flag
            bits.bits(0b000, 3)?;
        }
    }
    bits.se(0)?; // slice_qp_delta
    bits.ue(1) // disable_deblocking_filter_idc
}

/// Counts of macroblocks and samples, bounded by `limits`.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

const NAL_P: u8 = 0x61;
const NAL_IDR: u8 = 0x65;
const NAL_SPS: u8 = 0x67;
const NAL_PPS: u8 = 0x68;
const PROFILE_BASELINE: u32 = 66;
const FRAME_NUM_BITS: u32 = 8;

/// Where intra types begin in a P slice (H.264 table 7-13).
const INTRA_IN_P: u32 = 5;

/// Level times ten, macroblocks per second, macroblocks per frame (H.264 table A-1). Below 2.1 the
/// allowed bit rate may be less than ours.
const LEVELS: [(u8, u32, u32); 10] = [
    (21, 19_800, 792),
    (22, 20_250, 1_620),
    (30, 40_500, 1_620),
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (42, 522_240, 8_704),
    (50, 589_824, 22_080),
    (51, 983_040, 36_864),
    (LEVEL_MAX, 2_073_600, 36_864),
];
const LEVEL_MAX: u8 = 52;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testcard::picture::Area;

    const fn sequence(width: usize, height: usize, frames_per_second: u32) -> Sequence {
        Sequence { width, height, frames_per_second }
    }

    #[test]
    fn level_is_the_lowest_that_holds() {
        assert_eq!(sequence(320, 240, 25).level(), 21);
        assert_eq!(sequence(640, 480, 25).level(), 30);
        assert_eq!(sequence(1280, 720, 25).level(), 31);
        assert_eq!(sequence(1280, 720, 50).level(), 32);
        assert_eq!(sequence(1920, 1080, 25).level(), 40);
        assert_eq!(sequence(1920, 1080, 60).level(), 42);
        assert_eq!(sequence(3840, 2160, 25).level(), 51);
        assert_eq!(sequence(3840, 2160, 60).level(), 52);
    }

    #[test]
    fn configuration_says_constrained_baseline() {
        let mut buffer = [0; 128];
        let bytes = sequence(1280, 720, 25).configuration(&mut buffer).unwrap();
        assert_eq!(buffer[..9], [1, 66, 0xc0, 31, 0xff, 0xe1, 0, buffer[7], 0x67]);
        let pps = 8 + usize::from(buffer[7]);
        assert_eq!(buffer[pps], 1);
        assert_eq!(usize::from(buffer[pps + 2]) + pps + 3, bytes);
        assert_eq!(buffer[pps + 3], 0x68);
        for short in 0..bytes {
            assert!(sequence(1280, 720, 25).configuration(&mut buffer[..short]).is_err());
        }
    }

    #[test]
    fn what_the_decoder_shows_stays_near_the_source() {
        let sequence = sequence(96, 64, 25);
        let mut picture = Picture::new(96, 64);
        let mut encoder = Encoder::new(sequence);
        let mut buffer = vec![0; 64 << 10];
        let mut luck = 1u32;
        for step in 0..40 {
            for _ in 0..6 {
                luck = luck.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [a, b, c, d] = luck.to_be_bytes();
                let area = Area {
                    x: usize::from(a) % 96,
                    y: usize::from(b) % 64,
                    width: usize::from(c) % 40,
                    height: usize::from(d) % 40,
                };
                picture.fill(area, Colour { y: a, cb: b, cr: c });
            }
            if step % 10 == 0 {
                let top = encoder.idr_band(&picture, 0..1, &mut buffer).unwrap();
                encoder.idr_band(&picture, 1..4, &mut buffer[top..]).unwrap();
            } else {
                encoder.p_picture(&picture, &mut buffer).unwrap();
            }
            picture.clear_touched();
            let pairs = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
            let (want, have) = (picture.planes(), &encoder.shown);
            let far = [
                pairs(want.y.samples(), have.y.samples()),
                pairs(want.cb.samples(), have.cb.samples()),
                pairs(want.cr.samples(), have.cr.samples()),
            ];
            assert!(far.iter().all(|far| *far < Some(32)), "{far:?}");
        }
    }

    /// NAL units with lengths, as Annex B.
    fn annex_b(mut units: &[u8], out: &mut Vec<u8>) {
        while let Some((length, rest)) = units.split_first_chunk() {
            let (unit, rest) = rest.split_at(u32::from_be_bytes(*length).try_into().unwrap());
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(unit);
            units = rest;
        }
    }

    /// Paints noise of a strength, 1 to 220, that makes its kind of block.
    fn paint_noise(picture: &mut Picture, luck: &mut u32, strength: u8) {
        let mut random = || {
            *luck = luck.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            luck.to_be_bytes()
        };
        let toned = |value: u8| 128 - strength / 2 + value % strength;
        for _ in 0..2500 {
            let ([a, b, c, _], [y, cb, cr, _]) = (random(), random());
            let area = Area {
                x: usize::from(a) % 96,
                y: usize::from(b) % 64,
                width: 1 + usize::from(c) % 2,
                height: 1,
            };
            let (y, cb, cr) = (toned(y), toned(cb), toned(cr));
            picture.fill(area, Colour { y, cb, cr });
        }
    }

    /// What ffmpeg decodes of an Annex B stream, without a word.
    fn ffmpeg(stream: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("noise.h264");
        std::fs::write(&file, stream).unwrap();
        let strict = ["-v", "warning", "-xerror", "-err_detect", "explode"];
        let raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-"];
        let output = std::process::Command::new("ffmpeg")
            .args(strict)
            .args(["-f", "h264", "-i"])
            .arg(file)
            .args(raw)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        output.stdout
    }

    #[test]
    fn ffmpeg_shows_sample_for_sample_what_the_encoder_believes() {
        let sequence = sequence(96, 64, 25);
        let mut picture = Picture::new(96, 64);
        let mut encoder = Encoder::new(sequence);
        let mut buffer = vec![0; 256 << 10];
        let (mut stream, mut believed) = (Vec::new(), Vec::<u8>::new());
        let bytes = nal_unit(&mut buffer, NAL_SPS, |bits| sequence.parameters(bits)).unwrap();
        annex_b(&buffer[..bytes], &mut stream);
        let bytes = nal_unit(&mut buffer, NAL_PPS, picture_parameters).unwrap();
        annex_b(&buffer[..bytes], &mut stream);
        let mut luck = 7;
        for step in 0..48 {
            let strength = (1 + step % 8 * (step % 5)).max(step % 12 * 20);
            paint_noise(&mut picture, &mut luck, strength);
            let mut bytes = 0;
            if step % 12 == 0 {
                for rows in [0..1, 1..3, 3..4] {
                    bytes += encoder.idr_band(&picture, rows, &mut buffer[bytes..]).unwrap();
                }
            } else {
                bytes = encoder.p_picture(&picture, &mut buffer).unwrap();
            }
            picture.clear_touched();
            annex_b(&buffer[..bytes], &mut stream);
            let Planes { y, cb, cr } = &encoder.shown;
            for plane in [y, cb, cr] {
                believed.extend_from_slice(plane.samples());
            }
        }
        assert!(ffmpeg(&stream) == believed, "the pictures differ");
    }

    #[test]
    fn a_still_picture_is_a_few_bytes() {
        let mut encoder = Encoder::new(sequence(1280, 720, 25));
        let mut picture = Picture::new(1280, 720);
        let mut buffer = vec![0; 64 << 10];
        encoder.idr_band(&picture, 0..45, &mut buffer).unwrap();
        picture.clear_touched();
        assert_eq!(encoder.p_picture(&picture, &mut buffer), Ok(4 + 7));
    }
}
