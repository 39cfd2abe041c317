//! A picture in 4:2:0 as the encoder takes it, and the few ways to paint one.
//!
//! Painting never fails: what lies outside is not painted. Every macroblock that was painted on is
//! marked, so that the encoder sends only those. Knows no letters (`font`) and no card (`layout`).
//! Source: H.264 §6.2 (formats); BT.601-7 §2.5.1 and BT.709-6 §3 (colour).

/// Samples on a side of a luma macroblock.
pub(crate) const MACROBLOCK: usize = 16;

/// A colour as the picture holds it: luma and two differences, 8 bits, narrow range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// Luma, 16 (black) to 235 (white).
    pub y: u8,
    /// Blue difference, 16 to 240, 128 is none.
    pub cb: u8,
    /// Red difference, 16 to 240, 128 is none.
    pub cr: u8,
}

impl Colour {
    /// Reference black.
    pub const BLACK: Self = Self::grey(16);
    /// Reference white.
    pub const WHITE: Self = Self::grey(235);

    /// A colour without colour; `y` is 16 to 235.
    #[must_use]
    pub const fn grey(y: u8) -> Self {
        let (cb, cr) = (128, 128);
        Self { y, cb, cr }
    }

    /// From red, green and blue of 0 to 255.
    #[must_use]
    pub fn from_rgb([red, green, blue]: [u8; 3], matrix: Matrix) -> Self {
        let (kr, kb) = match matrix {
            Matrix::Bt601 => (2990, 1140),
            Matrix::Bt709 => (2126, 722),
        };
        let (r, g, b) = (i32::from(red), i32::from(green), i32::from(blue));
        // Luma of 0 to 255, times 10000.
        let luma = kr * r + (10_000 - kr - kb) * g + kb * b;
        let difference =
            |c: i32, k: i32| 128 + rounded((c * 10_000 - luma) * 112, 255 * (10_000 - k));
        Self {
            y: sample(16 + rounded(luma * 219, 255 * 10_000)),
            cb: sample(difference(b, kb)),
            cr: sample(difference(r, kr)),
        }
    }
}

/// How red, green and blue make luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// Standard definition.
    Bt601,
    /// High definition.
    Bt709,
}

impl Matrix {
    /// What players assume of a picture of this height in lines.
    #[must_use]
    pub const fn of_height(height: usize) -> Self {
        if height < 720 { Self::Bt601 } else { Self::Bt709 }
    }
}

/// A rectangle in luma samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

/// One plane of samples, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    samples: Box<[u8]>,
    width: usize,
    height: usize,
}

impl Plane {
    fn new(width: usize, height: usize, sample: u8) -> Self {
        Self { samples: vec![sample; width * height].into_boxed_slice(), width, height }
    }

    /// All samples, row by row.
    #[must_use]
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Samples in a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// `N` by `N` samples whose upper left is at `x`, `y`.
    pub(crate) fn block<const N: usize>(&self, x: usize, y: usize) -> [[u8; N]; N] {
        let mut block = [[0; N]; N];
        let rows = self.samples.chunks_exact(self.width).skip(y);
        for (place, row) in block.iter_mut().zip(rows) {
            if let Some(samples) = row.get(x..x + N) {
                place.copy_from_slice(samples);
            }
        }
        block
    }

    /// `N` samples to the right of and including `x`, `y`.
    pub(crate) fn row<const N: usize>(&self, x: usize, y: usize) -> [u8; N] {
        let from = y * self.width + x;
        let row = self.samples.get(from..).and_then(<[u8]>::first_chunk);
        debug_assert!(row.is_some());
        row.copied().unwrap_or([0; N])
    }

    /// `N` samples below and including `x`, `y`.
    pub(crate) fn column<const N: usize>(&self, x: usize, y: usize) -> [u8; N] {
        let mut column = [0; N];
        let rows = self.samples.chunks_exact(self.width).skip(y);
        for (place, row) in column.iter_mut().zip(rows) {
            *place = row.get(x).copied().unwrap_or(0);
        }
        column
    }

    /// Replaces `N` by `N` samples whose upper left is at `x`, `y`.
    pub(crate) fn set_block<const N: usize>(&mut self, x: usize, y: usize, block: &[[u8; N]; N]) {
        let rows = self.samples.chunks_exact_mut(self.width).skip(y);
        for (row, samples) in rows.zip(block) {
            if let Some(place) = row.get_mut(x..x + N) {
                place.copy_from_slice(samples);
            }
        }
    }

    fn fill(&mut self, area: Area, sample: u8) {
        let right = (area.x + area.width).min(self.width);
        for row in self.samples.chunks_exact_mut(self.width).skip(area.y).take(area.height) {
            if let Some(place) = row.get_mut(area.x..right) {
                place.fill(sample);
            }
        }
    }

    /// Moves the sample at `x`, `y` towards `to`.
    fn blend(&mut self, x: usize, y: usize, to: u8, weight: (i32, i32)) {
        if x >= self.width {
            return;
        }
        if let Some(place) = self.samples.get_mut(y * self.width + x) {
            *place = blended(*place, to, weight);
        }
    }
}

/// The three planes of a picture; chroma is half as wide and half as high.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Luma.
    pub y: Plane,
    /// Blue difference.
    pub cb: Plane,
    /// Red difference.
    pub cr: Plane,
}

impl Planes {
    /// Takes the memory for a picture of whole macroblocks, all of one colour.
    pub(crate) fn new(width: usize, height: usize, colour: Colour) -> Self {
        debug_assert!(width.is_multiple_of(MACROBLOCK));
        debug_assert!(height.is_multiple_of(MACROBLOCK));
        Self {
            y: Plane::new(width, height, colour.y),
            cb: Plane::new(width / 2, height / 2, colour.cb),
            cr: Plane::new(width / 2, height / 2, colour.cr),
        }
    }
}

/// A shape with soft edges: how much of each luma sample it covers.
#[derive(Clone, Debug)]
pub(crate) struct Sprite {
    /// Samples in a row.
    pub width: usize,
    /// How far the upper left lies above and to the left of the shape's own origin.
    pub origin: usize,
    /// Row by row, 0 to `COVERED`.
    pub coverage: Box<[u8]>,
}

impl Sprite {
    /// Coverage of a sample that is wholly inside.
    pub(crate) const COVERED: u8 = 16;

    /// What the sprite may paint on when its origin is at `x`, `y`.
    pub(crate) fn area(&self, x: usize, y: usize) -> Area {
        let (left, top) = (self.origin.saturating_sub(x), self.origin.saturating_sub(y));
        let height = self.coverage.len() / self.width.max(1);
        Area {
            x: x.saturating_sub(self.origin),
            y: y.saturating_sub(self.origin),
            width: self.width.saturating_sub(left),
            height: height.saturating_sub(top),
        }
    }

    /// How much of one of its own samples is covered; nothing outside.
    fn covered(&self, x: Option<usize>, y: Option<usize>) -> u8 {
        let row = y.and_then(|y| self.coverage.chunks_exact(self.width).nth(y));
        let covered = row.zip(x).and_then(|(row, x)| row.get(x));
        covered.copied().unwrap_or(0)
    }
}

/// A picture being painted, with the macroblocks painted on since they were last cleared.
#[derive(Clone, Debug)]
pub struct Picture {
    planes: Planes,
    touched: Box<[bool]>,
}

impl Picture {
    /// Takes the memory for a picture of whole macroblocks, black.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            planes: Planes::new(width, height, Colour::BLACK),
            touched: vec![true; width / MACROBLOCK * (height / MACROBLOCK)].into_boxed_slice(),
        }
    }

    /// Paints a rectangle; an edge at an odd place takes the whole chroma sample.
    pub(crate) fn fill(&mut self, area: Area, colour: Colour) {
        if area.width == 0 || area.height == 0 {
            return;
        }
        let (right, below) = (area.x + area.width, area.y + area.height);
        let half = Area {
            x: area.x / 2,
            y: area.y / 2,
            width: right.div_ceil(2) - area.x / 2,
            height: below.div_ceil(2) - area.y / 2,
        };
        self.planes.y.fill(area, colour.y);
        self.planes.cb.fill(half, colour.cb);
        self.planes.cr.fill(half, colour.cr);
        self.touch(area);
    }

    /// Paints a shape whose origin is at `x`, `y`.
    pub(crate) fn stamp(&mut self, sprite: &Sprite, x: usize, y: usize, colour: Colour) {
        self.stamp_grey(sprite, x, y, colour);
        let area = sprite.area(x, y);
        for row in area.y / 2..(area.y + area.height).div_ceil(2) {
            for column in area.x / 2..(area.x + area.width).div_ceil(2) {
                let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, below)| {
                    let x = (2 * column + right + sprite.origin).checked_sub(x);
                    let y = (2 * row + below + sprite.origin).checked_sub(y);
                    i32::from(sprite.covered(x, y))
                });
                let weight = (corners.iter().sum(), 4 * i32::from(Sprite::COVERED));
                self.planes.cb.blend(column, row, colour.cb, weight);
                self.planes.cr.blend(column, row, colour.cr, weight);
            }
        }
    }

    /// As `stamp` and much faster; neither the shape nor what is below it may have a colour.
    pub(crate) fn stamp_grey(&mut self, sprite: &Sprite, x: usize, y: usize, colour: Colour) {
        let (left, top) = (sprite.origin.saturating_sub(x), sprite.origin.saturating_sub(y));
        let area = sprite.area(x, y);
        let rows = self.planes.y.samples.chunks_exact_mut(self.planes.y.width);
        let shape = sprite.coverage.chunks_exact(sprite.width);
        for (samples, coverage) in rows.skip(area.y).zip(shape.skip(top)) {
            let samples = samples.iter_mut().skip(area.x);
            for (place, weight) in samples.zip(coverage.iter().skip(left)) {
                match *weight {
                    0 => {}
                    Sprite::COVERED => *place = colour.y,
                    weight => *place = blended(*place, colour.y, (weight.into(), 16)),
                }
            }
        }
        self.touch(area);
    }

    /// Forgets which macroblocks were painted on.
    pub(crate) fn clear_touched(&mut self) {
        self.touched.fill(false);
    }

    /// The samples.
    #[must_use]
    pub const fn planes(&self) -> &Planes {
        &self.planes
    }

    /// Which macroblocks were painted on, in raster order.
    pub(crate) fn touched(&self) -> &[bool] {
        &self.touched
    }

    fn touch(&mut self, area: Area) {
        let wide = self.planes.y.width / MACROBLOCK;
        let (left, top) = (area.x / MACROBLOCK, area.y / MACROBLOCK);
        let right = (area.x + area.width).div_ceil(MACROBLOCK).min(wide);
        let below = (area.y + area.height).div_ceil(MACROBLOCK);
        for row in self.touched.chunks_exact_mut(wide).take(below).skip(top) {
            if let Some(marks) = row.get_mut(left..right) {
                marks.fill(true);
            }
        }
    }
}

/// `from`, moved towards `to` by so many parts of so many.
fn blended(from: u8, to: u8, (parts, whole): (i32, i32)) -> u8 {
    let from = i32::from(from);
    sample(from + rounded((i32::from(to) - from) * parts, whole))
}

/// To the nearest, halves away from zero; `by` is positive.
const fn rounded(value: i32, by: i32) -> i32 {
    (value + by / 2 * value.signum()) / by
}

/// Clamps to what a sample holds.
pub(crate) fn sample(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_match_the_published_bars() {
        // 75 % bars as BT.601 and BT.709 tables print them; 191 of 255 is a little less.
        let near = |colour: Colour, (y, cb, cr): (u8, u8, u8)| {
            colour.y.abs_diff(y) <= 1 && colour.cb.abs_diff(cb) <= 1 && colour.cr.abs_diff(cr) <= 1
        };
        let bars = [
            [191; 3],
            [191, 191, 0],
            [0, 191, 191],
            [0, 191, 0],
            [191, 0, 191],
            [191, 0, 0],
            [0, 0, 191],
        ];
        let bt709 = [
            (180, 128, 128),
            (168, 44, 136),
            (145, 147, 44),
            (133, 63, 52),
            (63, 193, 204),
            (51, 109, 212),
            (28, 212, 120),
        ];
        let bt601 = [
            (180, 128, 128),
            (162, 44, 142),
            (131, 156, 44),
            (112, 72, 58),
            (84, 184, 198),
            (65, 100, 212),
            (35, 212, 114),
        ];
        for (rgb, want) in bars.into_iter().zip(bt709) {
            let colour = Colour::from_rgb(rgb, Matrix::Bt709);
            assert!(near(colour, want), "{rgb:?} is {colour:?}");
        }
        for (rgb, want) in bars.into_iter().zip(bt601) {
            let colour = Colour::from_rgb(rgb, Matrix::Bt601);
            assert!(near(colour, want), "{rgb:?} is {colour:?}");
        }
    }

    #[test]
    fn fill_paints_and_touches_what_it_covers_and_no_more() {
        let mut picture = Picture::new(64, 48);
        picture.clear_touched();
        let area = Area { x: 16, y: 20, width: 17, height: 4 };
        picture.fill(area, Colour { y: 200, cb: 90, cr: 160 });
        let marks: Vec<_> = (0..12).filter(|at| picture.touched()[*at]).collect();
        assert_eq!(marks, [5, 6]);
        for (at, y) in picture.planes().y.samples().iter().enumerate() {
            let inside = (16..33).contains(&(at % 64)) && (20..24).contains(&(at / 64));
            assert_eq!(*y, if inside { 200 } else { 16 });
        }
        let [cb] = picture.planes().cb.row(16, 10);
        assert_eq!(cb, 90);
    }

    #[test]
    fn painting_outside_does_nothing() {
        let mut picture = Picture::new(32, 32);
        let before = picture.planes().clone();
        picture.clear_touched();
        picture.fill(Area { x: 32, y: 0, width: 100, height: 100 }, Colour::WHITE);
        picture.fill(Area { x: 0, y: 32, width: 100, height: 100 }, Colour::WHITE);
        let sprite = Sprite { width: 4, origin: 0, coverage: vec![16; 16].into_boxed_slice() };
        picture.stamp(&sprite, 32, 0, Colour::WHITE);
        picture.stamp(&sprite, 4000, 4000, Colour::WHITE);
        assert_eq!(*picture.planes(), before);
    }

    #[test]
    fn stamp_blends_by_coverage_and_clips_at_the_edge() {
        let mut picture = Picture::new(32, 32);
        let sprite = Sprite { width: 4, origin: 2, coverage: vec![8; 16].into_boxed_slice() };
        picture.stamp(&sprite, 0, 0, Colour::WHITE);
        let [inside, edge] = [picture.planes().y.row::<1>(1, 1), picture.planes().y.row::<1>(2, 2)];
        assert_eq!((inside, edge), ([126], [16]));
    }
}
