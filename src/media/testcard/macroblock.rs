//! Codes one macroblock as Intra 16x16 and keeps what the decoder will show for it.
//!
//! Prediction is the best of vertical, horizontal and DC; a macroblock that its prediction meets
//! exactly (flat colour, a bar that goes on) costs about a byte and no transform.
//! Source: H.264 §7.3.5 (syntax), §8.3.3, §8.3.4 (prediction), §8.5 (residual), table 7-11 (types).

use crate::media::testcard::cavlc::{BitWriter, Context};
use crate::media::testcard::picture::{MACROBLOCK, Plane, Planes, sample};
use crate::media::testcard::transform::{
    Block, forward, inverse, quantise_ac, quantise_chroma_dc, quantise_luma_dc, scale_ac,
    scale_chroma_dc, scale_luma_dc, zigzag,
};
use crate::wire::writer::Full;

/// Levels coded in each 4x4 block of a macroblock: neighbours choose their tables by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    luma: [[u8; 4]; 4],
    cb: [[u8; 2]; 2],
    cr: [[u8; 2]; 2],
}

/// A macroblock to be coded: where it is and what lies around it in its slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Column, in macroblocks.
    pub column: usize,
    /// Row, in macroblocks.
    pub row: usize,
    /// Totals of the macroblock to the left, if it may be used.
    pub left: Option<Totals>,
    /// Totals of the macroblock above, if it may be used.
    pub above: Option<Totals>,
}

/// Writes the macroblock of `source` at `place`; `shown` is the decoder's picture. `type_first` is
/// the slice's number for the first intra type: 0 in I slices, 5 in P slices.
pub(crate) fn write_intra(
    bits: &mut BitWriter<'_>,
    (source, shown): (&Planes, &mut Planes),
    place: Place,
    type_first: u32,
) -> Result<Totals, Full> {
    let luma = Luma::code(&source.y, &mut shown.y, place);
    let edges_cb = Edges::<8>::of(&shown.cb, place);
    let edges_cr = Edges::<8>::of(&shown.cr, place);
    let want_cb = source.cb.block(place.column * 8, place.row * 8);
    let want_cr = source.cr.block(place.column * 8, place.row * 8);
    let mode = Mode::best(|mode| {
        let (cb, cr) = (edges_cb.chroma(mode)?, edges_cr.chroma(mode)?);
        Some(distance(&want_cb, &cb) + distance(&want_cr, &cr))
    });
    let cb = Chroma::code(&want_cb, edges_cb.chroma(mode), (&mut shown.cb, place));
    let cr = Chroma::code(&want_cr, edges_cr.chroma(mode), (&mut shown.cr, place));
    let chroma_ac = cb.ac.is_some() || cr.ac.is_some();
    let chroma_dc = cb.dc != [0; 4] || cr.dc != [0; 4];
    let pattern = if chroma_ac { 2 } else { u32::from(chroma_dc) };

    bits.ue(type_first + 1 + luma.mode.luma() + 4 * pattern + 12 * u32::from(luma.ac.is_some()))?;
    bits.ue(mode.chroma())?;
    bits.se(0)?;
    let mut totals = Totals::default();
    let left = place.left.map(|t| t.luma);
    let above = place.above.map(|t| t.luma);
    bits.residual(&zigzag(luma.dc), Context::Neighbours(mean(&totals.luma, (0, 0), left, above)))?;
    if let Some(ac) = luma.ac {
        for at in BLOCKS {
            write_ac(bits, &ac, &mut totals.luma, at, (left, above))?;
        }
    }
    if pattern > 0 {
        bits.residual(&cb.dc, Context::ChromaDc)?;
        bits.residual(&cr.dc, Context::ChromaDc)?;
    }
    if pattern == 2 {
        let around = (place.left.map(|t| t.cb), place.above.map(|t| t.cb));
        for at in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            write_ac(bits, &cb.ac.unwrap_or_default(), &mut totals.cb, at, around)?;
        }
        let around = (place.left.map(|t| t.cr), place.above.map(|t| t.cr));
        for at in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            write_ac(bits, &cr.ac.unwrap_or_default(), &mut totals.cr, at, around)?;
        }
    }
    Ok(totals)
}

/// Column and row of the luma blocks in the order that they are coded (H.264 §6.4.3).
const BLOCKS: [(usize, usize); 16] = [
    (0, 0),
    (1, 0),
    (0, 1),
    (1, 1),
    (2, 0),
    (3, 0),
    (2, 1),
    (3, 1),
    (0, 2),
    (1, 2),
    (0, 3),
    (1, 3),
    (2, 2),
    (3, 2),
    (2, 3),
    (3, 3),
];

#[expect(clippy::indexing_slicing, reason = "callers walk blocks within N by N")]
fn write_ac<const N: usize>(
    bits: &mut BitWriter<'_>,
    levels: &[[Block; N]; N],
    totals: &mut [[u8; N]; N],
    (column, row): (usize, usize),
    (left, above): (Option<[[u8; N]; N]>, Option<[[u8; N]; N]>),
) -> Result<(), Full> {
    let context = Context::Neighbours(mean(totals, (column, row), left, above));
    let [_dc, ac @ ..] = zigzag(levels[row][column]);
    totals[row][column] = bits.residual(&ac, context)?;
    Ok(())
}

/// nC of a block (H.264 §9.2.1).
#[expect(clippy::indexing_slicing, reason = "callers walk blocks within N by N")]
fn mean<const N: usize>(
    own: &[[u8; N]; N],
    (column, row): (usize, usize),
    left: Option<[[u8; N]; N]>,
    above: Option<[[u8; N]; N]>,
) -> u8 {
    let left = match column.checked_sub(1) {
        Some(column) => Some(own[row][column]),
        None => left.map(|left| left[row][N - 1]),
    };
    let above = match row.checked_sub(1) {
        Some(row) => Some(own[row][column]),
        None => above.map(|above| above[N - 1][column]),
    };
    match (left, above) {
        (Some(left), Some(above)) => (left + above).div_ceil(2),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 0,
    }
}

/// How a macroblock is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Vertical,
    Horizontal,
    Dc,
}

impl Mode {
    /// The mode of the smallest distance; one that meets exactly ends the search.
    fn best(mut distance: impl FnMut(Self) -> Option<u32>) -> Self {
        let mut best = (Self::Dc, u32::MAX);
        for mode in [Self::Vertical, Self::Horizontal, Self::Dc] {
            match distance(mode) {
                Some(0) => return mode,
                Some(far) if far < best.1 => best = (mode, far),
                _ => {}
            }
        }
        best.0
    }

    /// `Intra16x16PredMode` (H.264 table 8-4).
    const fn luma(self) -> u32 {
        match self {
            Self::Vertical => 0,
            Self::Horizontal => 1,
            Self::Dc => 2,
        }
    }

    /// `intra_chroma_pred_mode` (H.264 table 8-5).
    const fn chroma(self) -> u32 {
        match self {
            Self::Vertical => 2,
            Self::Horizontal => 1,
            Self::Dc => 0,
        }
    }
}

/// The decoder's samples next to a macroblock.
struct Edges<const N: usize> {
    left: Option<[u8; N]>,
    above: Option<[u8; N]>,
}

impl<const N: usize> Edges<N> {
    fn of(shown: &Plane, place: Place) -> Self {
        let (x, y) = (place.column * N, place.row * N);
        Self {
            left: place.left.map(|_| shown.column(x - 1, y)),
            above: place.above.map(|_| shown.row(x, y - 1)),
        }
    }

    /// Prediction of the modes that look the same in luma and chroma.
    fn straight(&self, mode: Mode) -> Option<[[u8; N]; N]> {
        match mode {
            Mode::Vertical => Some([self.above?; N]),
            Mode::Horizontal => Some(self.left?.map(|sample| [sample; N])),
            Mode::Dc => None,
        }
    }
}

impl Edges<MACROBLOCK> {
    fn luma(&self, mode: Mode) -> Option<[[u8; MACROBLOCK]; MACROBLOCK]> {
        let dc = average(
            self.left.as_ref().map(<[u8; 16]>::as_slice),
            self.above.as_ref().map(<[u8; 16]>::as_slice),
        );
        match mode {
            Mode::Dc => Some([[dc; MACROBLOCK]; MACROBLOCK]),
            Mode::Vertical | Mode::Horizontal => self.straight(mode),
        }
    }
}

impl Edges<8> {
    /// Each quarter has its own DC (H.264 §8.3.4.1 to §8.3.4.3).
    fn chroma(&self, mode: Mode) -> Option<[[u8; 8]; 8]> {
        if mode != Mode::Dc {
            return self.straight(mode);
        }
        let halves = |edge: &Option<[u8; 8]>| {
            let (first, second) = edge.as_ref()?.split_at(4);
            Some((<[u8; 4]>::try_from(first).ok()?, <[u8; 4]>::try_from(second).ok()?))
        };
        let (left, above) = (halves(&self.left), halves(&self.above));
        let (upper, lower) = (left.as_ref().map(|h| &h.0[..]), left.as_ref().map(|h| &h.1[..]));
        let (near, far) = (above.as_ref().map(|h| &h.0[..]), above.as_ref().map(|h| &h.1[..]));
        let row = |a: u8, b: u8| [a, a, a, a, b, b, b, b];
        let top = row(
            average(upper, near),
            if far.is_some() { average(None, far) } else { average(upper, None) },
        );
        let bottom = row(
            if lower.is_some() { average(lower, None) } else { average(None, near) },
            average(lower, far),
        );
        Some([top, top, top, top, bottom, bottom, bottom, bottom])
    }
}

/// Rounded mean of the edges there are; the middle grey if there are none.
fn average(left: Option<&[u8]>, above: Option<&[u8]>) -> u8 {
    let edges = left.unwrap_or_default().iter().chain(above.unwrap_or_default());
    let (count, sum) = edges.fold((0, 0), |(count, sum), s| (count + 1, sum + i32::from(*s)));
    if count == 0 { 128 } else { sample((sum + count / 2) / count) }
}

struct Luma {
    mode: Mode,
    dc: Block,
    ac: Option<[[Block; 4]; 4]>,
}

impl Luma {
    fn code(source: &Plane, shown: &mut Plane, place: Place) -> Self {
        let (x, y) = (place.column * MACROBLOCK, place.row * MACROBLOCK);
        let want = source.block(x, y);
        let edges = Edges::<MACROBLOCK>::of(shown, place);
        let mode = Mode::best(|mode| Some(distance(&want, &edges.luma(mode)?)));
        let mut block = edges.luma(mode).unwrap_or([[128; MACROBLOCK]; MACROBLOCK]);
        if block == want {
            shown.set_block(x, y, &block);
            let (dc, ac) = (Block::default(), None);
            return Self { mode, dc, ac };
        }
        let coefficients = split::<MACROBLOCK, 4>(&want, &block).map(|row| row.map(forward));
        let dc = quantise_luma_dc(coefficients.map(|row| row.map(|block| block[0][0])));
        let ac = coefficients.map(|row| row.map(quantise_ac));
        add(&mut block, &ac, &scale_luma_dc(dc));
        shown.set_block(x, y, &block);
        let ac = (ac != [[Block::default(); 4]; 4]).then_some(ac);
        Self { mode, dc, ac }
    }
}

struct Chroma {
    dc: [i32; 4],
    ac: Option<[[Block; 2]; 2]>,
}

impl Chroma {
    fn code(
        want: &[[u8; 8]; 8],
        predicted: Option<[[u8; 8]; 8]>,
        shown: (&mut Plane, Place),
    ) -> Self {
        let (plane, Place { column, row, .. }) = shown;
        let mut block = predicted.unwrap_or([[128; 8]; 8]);
        if block == *want {
            plane.set_block(column * 8, row * 8, &block);
            return Self { dc: [0; 4], ac: None };
        }
        let coefficients = split::<8, 2>(want, &block).map(|row| row.map(forward));
        let [[a, b], [c, d]] = coefficients.map(|row| row.map(|block| block[0][0]));
        let dc = quantise_chroma_dc([a, b, c, d]);
        let ac = coefficients.map(|row| row.map(quantise_ac));
        let [a, b, c, d] = scale_chroma_dc(dc);
        add(&mut block, &ac, &[[a, b], [c, d]]);
        plane.set_block(column * 8, row * 8, &block);
        let ac = (ac != [[Block::default(); 2]; 2]).then_some(ac);
        Self { dc, ac }
    }
}

/// The difference of two squares of samples, as 4x4 blocks.
#[expect(clippy::indexing_slicing, reason = "M blocks of 4 are N samples")]
fn split<const N: usize, const M: usize>(
    want: &[[u8; N]; N],
    have: &[[u8; N]; N],
) -> [[Block; M]; M] {
    const { assert!(N == 4 * M) };
    let mut blocks = [[Block::default(); M]; M];
    for y in 0..N {
        for x in 0..N {
            blocks[y / 4][x / 4][y % 4][x % 4] = i32::from(want[y][x]) - i32::from(have[y][x]);
        }
    }
    blocks
}

/// Adds the residual that the decoder will compute to the prediction.
#[expect(clippy::indexing_slicing, reason = "M blocks of 4 are N samples")]
fn add<const N: usize, const M: usize>(
    block: &mut [[u8; N]; N],
    ac: &[[Block; M]; M],
    dc: &[[i32; M]; M],
) {
    const { assert!(N == 4 * M) };
    for row in 0..M {
        for column in 0..M {
            let residual = inverse(scale_ac(ac[row][column], dc[row][column]));
            for (samples, residual) in block[4 * row..].iter_mut().zip(residual) {
                for (place, residual) in samples[4 * column..].iter_mut().zip(residual) {
                    *place = sample(i32::from(*place) + residual);
                }
            }
        }
    }
}

/// Sum of absolute differences.
fn distance<const N: usize>(left: &[[u8; N]; N], right: &[[u8; N]; N]) -> u32 {
    let pairs = left.as_flattened().iter().zip(right.as_flattened());
    pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}
