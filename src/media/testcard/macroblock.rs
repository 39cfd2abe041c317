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
    luma: Counts<4>,
    cb: Counts<2>,
    cr: Counts<2>,
}

/// One number for each block of a plane, by row.
type Counts<const N: usize> = [[u8; N]; N];

/// AC levels of each block of a plane, by row; none where all are zero.
type Levels<const N: usize> = [[Option<Block>; N]; N];

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
    let blue_edges = Edges::<8>::of(&shown.cb, place);
    let red_edges = Edges::<8>::of(&shown.cr, place);
    let blue_wanted = source.cb.block(place.column * 8, place.row * 8);
    let red_wanted = source.cr.block(place.column * 8, place.row * 8);
    let mode = Mode::best(|mode| {
        let (cb, cr) = (blue_edges.chroma(mode)?, red_edges.chroma(mode)?);
        Some(distance(&blue_wanted, &cb) + distance(&red_wanted, &cr))
    });
    let cb = Chroma::code(&blue_wanted, blue_edges.chroma(mode), (&mut shown.cb, place));
    let cr = Chroma::code(&red_wanted, red_edges.chroma(mode), (&mut shown.cr, place));
    let pattern = if cb.ac.is_some() || cr.ac.is_some() {
        2
    } else {
        u32::from(cb.dc != [0; 4] || cr.dc != [0; 4])
    };

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
    levels: &Levels<N>,
    totals: &mut Counts<N>,
    (column, row): (usize, usize),
    (left, above): (Option<Counts<N>>, Option<Counts<N>>),
) -> Result<(), Full> {
    let context = Context::Neighbours(mean(totals, (column, row), left, above));
    let [_dc, ac @ ..] = levels[row][column].map_or([0; 16], zigzag);
    totals[row][column] = bits.residual(&ac, context)?;
    Ok(())
}

/// nC of a block (H.264 §9.2.1).
#[expect(clippy::indexing_slicing, reason = "callers walk blocks within N by N")]
fn mean<const N: usize>(
    own: &Counts<N>,
    (column, row): (usize, usize),
    left: Option<Counts<N>>,
    above: Option<Counts<N>>,
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
    ac: Option<Levels<4>>,
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
        let residual = Residual::<4>::of(&want, &block);
        let dc = quantise_luma_dc(residual.dc);
        residual.add_to(&mut block, &scale_luma_dc(dc));
        shown.set_block(x, y, &block);
        let ac = residual.levels();
        Self { mode, dc, ac }
    }
}

struct Chroma {
    dc: [i32; 4],
    ac: Option<Levels<2>>,
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
        let residual = Residual::<2>::of(want, &block);
        let [[a, b], [c, d]] = residual.dc;
        let dc = quantise_chroma_dc([a, b, c, d]);
        let [a, b, c, d] = scale_chroma_dc(dc);
        residual.add_to(&mut block, &[[a, b], [c, d]]);
        plane.set_block(column * 8, row * 8, &block);
        let ac = residual.levels();
        Self { dc, ac }
    }
}

/// A residual of N by N samples as M by M blocks.
struct Residual<const M: usize> {
    /// DC coefficients, not quantised.
    dc: [[i32; M]; M],
    /// AC levels; none where all are zero.
    ac: Levels<M>,
}

impl<const M: usize> Residual<M> {
    /// Transforms the difference between what is wanted and what is predicted.
    #[expect(clippy::indexing_slicing, reason = "M blocks of 4 are N samples")]
    fn of<const N: usize>(want: &[[u8; N]; N], predicted: &[[u8; N]; N]) -> Self {
        const { assert!(N == 4 * M) };
        let mut dc = [[0; M]; M];
        let mut ac = [[None; M]; M];
        for row in 0..M {
            for column in 0..M {
                let mut block = Block::default();
                let rows = want[4 * row..].iter().zip(&predicted[4 * row..]);
                for (place, (want, predicted)) in block.iter_mut().zip(rows) {
                    let samples = want[4 * column..].iter().zip(&predicted[4 * column..]);
                    for (place, (want, predicted)) in place.iter_mut().zip(samples) {
                        *place = i32::from(*want).wrapping_sub(i32::from(*predicted));
                    }
                }
                // Most blocks of lettering are inside or outside a stroke.
                let first = block[0][0];
                if block.as_flattened().iter().all(|value| *value == first) {
                    dc[row][column] = 16 * first;
                    continue;
                }
                let coefficients = forward(block);
                dc[row][column] = coefficients[0][0];
                let levels = quantise_ac(coefficients);
                let any = levels.as_flattened().iter().any(|level| *level != 0);
                ac[row][column] = any.then_some(levels);
            }
        }
        Self { dc, ac }
    }

    /// Adds to the prediction what the decoder will add.
    #[expect(clippy::indexing_slicing, reason = "M blocks of 4 are N samples")]
    fn add_to<const N: usize>(&self, block: &mut [[u8; N]; N], dc: &[[i32; M]; M]) {
        const { assert!(N == 4 * M) };
        for row in 0..M {
            for column in 0..M {
                let (ac, dc) = (self.ac[row][column], dc[row][column]);
                let residual = match ac {
                    Some(levels) => inverse(scale_ac(levels, dc)),
                    None => [[(dc + 32) >> 6; 4]; 4],
                };
                for y in 0..4 {
                    for x in 0..4 {
                        let place = &mut block[4 * row + y][4 * column + x];
                        *place = sample(i32::from(*place) + residual[y][x]);
                    }
                }
            }
        }
    }

    /// The AC levels, if there are any.
    fn levels(self) -> Option<Levels<M>> {
        let any = self.ac.as_flattened().iter().any(Option::is_some);
        any.then_some(self.ac)
    }
}

/// Sum of absolute differences.
fn distance<const N: usize>(left: &[[u8; N]; N], right: &[[u8; N]; N]) -> u32 {
    let pairs = left.as_flattened().iter().zip(right.as_flattened());
    // At most 256 times 255. Checked addition would keep this loop, the busiest, from being
    // vectorised.
    pairs.fold(0, |sum: u32, (a, b)| sum.wrapping_add(a.abs_diff(*b).into()))
}
