//! Letters of any size, drawn by strokes.
//!
//! Each printable ASCII character is a few strokes on a grid twelve units high, so one page of data
//! serves a slate's small print and a clock that is read from across a room. Shapes are made of
//! straight lines and quarter ellipses and drawn with a round pen; everything is integer arithmetic
//! and the same on every board. Allocates for each character: draw before the stream starts.
//! Source: our own drawing.

use crate::media::testcard::picture::{Colour, Picture, Sprite};

/// A size and weight of lettering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Font {
    /// Height of a capital, in luma samples.
    pub cap: usize,
    /// Width of the pen, in hundredths of the capital's height.
    pub pen: usize,
}

impl Font {
    /// For running text.
    pub(crate) const fn regular(cap: usize) -> Self {
        Self { cap, pen: 13 }
    }

    /// For titles and the clock.
    pub(crate) const fn bold(cap: usize) -> Self {
        Self { cap, pen: 18 }
    }

    /// Writes `text` with the upper left of its first capital at `x`, `y`; clips at the edges.
    pub(crate) fn write(
        self,
        picture: &mut Picture,
        text: &str,
        x: usize,
        y: usize,
        colour: Colour,
    ) {
        let mut at = x;
        for letter in text.bytes() {
            picture.stamp(&self.letter(letter), at, y, colour);
            at += self.advance(letter);
        }
    }

    /// Width of `text` from the first stroke's middle to the last one's, in luma samples.
    pub(crate) fn width(self, text: &str) -> usize {
        let advances: usize = text.bytes().map(|letter| self.advance(letter)).sum();
        advances.saturating_sub(self.units(2 * GAP) / 2)
    }

    /// The shape of one character.
    pub(crate) fn letter(self, letter: u8) -> Sprite {
        self.drawing(strokes(letter))
    }

    /// The shape of strokes written as `GLYPHS` are: a circle, a bracket.
    pub(crate) fn drawing(self, strokes: &str) -> Sprite {
        self.drawing_within(strokes, 0)
    }

    /// As `drawing`, with so many samples more on all sides.
    fn drawing_within(self, strokes: &str, margin: usize) -> Sprite {
        let (right, below) = extent(strokes);
        let pen = self.pen * self.cap * FINE / 200;
        let origin = pen.div_ceil(FINE) + margin;
        let width = self.units(2 * right) / 2 + 2 * origin + 1;
        let height = self.units(2 * below) / 2 + 2 * origin + 1;
        let mut canvas = Canvas {
            masks: vec![0; width * height],
            width,
            origin: signed(origin * FINE),
            pen: signed(pen),
            unit: signed(self.cap * FINE),
        };
        canvas.draw(strokes);
        Sprite {
            width,
            origin,
            coverage: canvas
                .masks
                .iter()
                .map(|mask| u8::try_from(mask.count_ones()).unwrap_or(Sprite::COVERED))
                .collect(),
        }
    }

    fn advance(self, letter: u8) -> usize {
        let (right, _) = extent(strokes(letter));
        let right = if letter == b' ' { 2 } else { right };
        self.units(2 * right + 2 * GAP) / 2
    }

    /// Luma samples in so many grid units.
    const fn units(self, units: usize) -> usize {
        units * self.cap / GRID
    }
}

/// Grid units in the height of a capital.
const GRID: usize = 12;

/// Grid units between the strokes of neighbouring letters.
const GAP: usize = 4;

/// Steps in which shapes are placed, per luma sample.
const FINE: usize = 16;

/// Straight pieces that a quarter ellipse is drawn with.
const ARC: usize = 16;

/// Sines of sixteenths of a right angle, in 2^-12.
const SINES: [i64; ARC + 1] = [
    0, 401, 799, 1189, 1567, 1931, 2276, 2598, 2896, 3166, 3406, 3612, 3784, 3920, 4017, 4076, 4096,
];

type Point = (i64, i64);

/// Sixteen bits for each luma sample, one for each place in it that the pen may have covered.
struct Canvas {
    masks: Vec<u16>,
    width: usize,
    origin: i64,
    pen: i64,
    unit: i64,
}

impl Canvas {
    fn draw(&mut self, strokes: &str) {
        for stroke in strokes.split_ascii_whitespace() {
            let mut rest = stroke.as_bytes();
            let mut from = self.point(&mut rest);
            self.line(from, from);
            while let Some((kind, tail)) = rest.split_first() {
                rest = tail;
                if *kind == b'-' {
                    let to = self.point(&mut rest);
                    self.line(from, to);
                    from = to;
                } else {
                    let corner = self.point(&mut rest);
                    let to = self.point(&mut rest);
                    self.arc(from, corner, to);
                    from = to;
                }
            }
        }
    }

    /// A quarter ellipse that leaves towards `corner` and arrives from it.
    fn arc(&mut self, from: Point, corner: Point, to: Point) {
        let mut last = from;
        for (sine, cosine) in SINES.iter().zip(SINES.iter().rev()).skip(1) {
            let on = |a: i64, c: i64, b: i64| {
                c + ((a - c) * (4096 - sine) + (b - c) * (4096 - cosine)) / 4096
            };
            let next = (on(from.0, corner.0, to.0), on(from.1, corner.1, to.1));
            self.line(last, next);
            last = next;
        }
    }

    /// Covers every place within half a pen of the line.
    fn line(&mut self, from: Point, to: Point) {
        let fine = signed(FINE);
        let first = |a: i64, b: i64| index((a.min(b) - self.pen) / fine);
        let last = |a: i64, b: i64| index((a.max(b) + self.pen) / fine + 1);
        let (left, right) = (first(from.0, to.0), last(from.0, to.0).min(self.width));
        let (top, below) = (first(from.1, to.1), last(from.1, to.1));
        let along = (to.0 - from.0, to.1 - from.1);
        let length = along.0 * along.0 + along.1 * along.1;
        let reach = self.pen * self.pen;
        let covered = |x: i64, y: i64| {
            let (x, y) = (x - from.0, y - from.1);
            let on = x * along.0 + y * along.1;
            if on <= 0 {
                x * x + y * y <= reach
            } else if on >= length {
                let (x, y) = (x - along.0, y - along.1);
                x * x + y * y <= reach
            } else {
                let off = x * along.1 - y * along.0;
                off * off <= reach * length
            }
        };
        let rows = self.masks.chunks_exact_mut(self.width).enumerate();
        for (row, masks) in rows.take(below).skip(top) {
            let masks = masks.iter_mut().enumerate();
            for (column, mask) in
                masks.take(right).skip(left).filter(|(_, mask)| **mask != u16::MAX)
            {
                for place in 0..16 {
                    let x = signed(column * FINE) + place % 4 * 4 + 2;
                    let y = signed(row * FINE) + place / 4 * 4 + 2;
                    if covered(x, y) {
                        *mask |= 1 << place;
                    }
                }
            }
        }
    }

    /// Takes the next point off a stroke: two hexadecimal digits of grid units.
    fn point(&self, rest: &mut &[u8]) -> Point {
        let Some(([x, y], tail)) = rest.split_first_chunk() else {
            debug_assert!(false, "a stroke ends within a point");
            *rest = &[];
            return (self.origin, self.origin);
        };
        *rest = tail;
        let place = |digit: u8| self.origin + signed(hex(digit)) * self.unit / signed(GRID);
        (place(*x), place(*y))
    }
}

/// The largest grid units to the right and below in `strokes`.
fn extent(strokes: &str) -> (usize, usize) {
    let mut digits = strokes.bytes().filter(u8::is_ascii_hexdigit).map(hex);
    let mut extent = (0, 0);
    while let (Some(x), Some(y)) = (digits.next(), digits.next()) {
        extent = (extent.0.max(x), extent.1.max(y));
    }
    extent
}

/// The strokes of a character; what cannot be printed shows as a question mark.
fn strokes(letter: u8) -> &'static str {
    let unknown = "03(0030(6063(6636-38 3c";
    let place = usize::from(letter).checked_sub(usize::from(b' '));
    place.and_then(|at| GLYPHS.get(at)).copied().unwrap_or(unknown)
}

fn hex(digit: u8) -> usize {
    usize::from(if digit.is_ascii_digit() { digit - b'0' } else { digit.saturating_sub(b'a' - 10) })
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn index(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// The printable characters from the space on. Strokes are parted by spaces and begin with a point,
/// x then y, each one hexadecimal digit; capitals stand between y 0 and c, small letters between 4
/// and c, tails reach to f. `-` draws a line to a point, `(` a quarter ellipse towards a corner and
/// then to a point. A point alone is a dot.
const GLYPHS: [&str; 95] = [
    "",
    "00-08 0c",
    "00-03 30-33",
    "20-1c 60-5c 04-74 08-78",
    "62(6131(0103(0636(6669(6b3b(0b0a 30-3c",
    "02(0020(4042(4424(0402 4a(4868(888a(8c6c(4c4a 80-0c",
    "8c-23(1040(6062(6524(0809(0c3c(7c87",
    "00-03",
    "20(0306(092c",
    "00(2326(290c",
    "32-3a 04-68 64-08",
    "33-39 06-66",
    "1b-0e",
    "07-57",
    "0c",
    "60-0c",
    "03(0030(6063-69(6c3c(0c09-03",
    "03-30-3c",
    "03(0030(6063(6556-0c-6c",
    "02(0030(6063(6636-26 36(6669(6c3c(0c0a",
    "40-09-69 46-4c",
    "60-00-05-25(6569(6c3c(0c0a",
    "40(0509(0c3c(6c69(6636(0609",
    "00-60-2c",
    "36(0603(0030(6063(6636 36(0609(0c3c(6c69(6636",
    "2c(6763(6030(0003(0636(6663",
    "05 0b",
    "15 1b-0e",
    "63-06-69",
    "04-64 08-68",
    "03-66-09",
    "03(0030(6063(6636-38 3c",
    "6c-4c(0c06(0040(8085-86(8868(6866 66(6444(2426(2848(6866",
    "0c-30-6c 18-58",
    "00-0c-3c(6c69(6636-06 36(6663(6030-00",
    "63(6030(0003-09(0c3c(6c69",
    "00-0c-2c(6c68-64(6020-00",
    "60-00-0c-6c 06-56",
    "60-00-0c 06-56",
    "63(6030(0003-09(0c3c(6c69-67-37",
    "00-0c 60-6c 06-66",
    "00-0c",
    "50-59(5c2c(0c0a",
    "00-0c 60-08 25-6c",
    "00-0c-6c",
    "0c-00-48-80-8c",
    "0c-00-6c-60",
    "03(0030(6063-69(6c3c(0c09-03",
    "0c-00-30(6063-64(6737-07",
    "03(0030(6063-69(6c3c(0c09-03 49-7d",
    "0c-00-30(6063-64(6737-07 37-6c",
    "62(6030(0003(0636(6669(6c3c(0c0a",
    "00-60 30-3c",
    "00-09(0c3c(6c69-60",
    "00-3c-60",
    "00-2c-43-6c-80",
    "00-6c 60-0c",
    "00-36-60 36-3c",
    "00-60-0c-6c",
    "20-00-0e-2e",
    "00-6c",
    "00-20-2e-0e",
    "04-30-64",
    "0e-6e",
    "00-23",
    "64-6c 67(6434(0407-09(0c3c(6c69",
    "00-0c 07(0434(6467-69(6c3c(0c09",
    "66(6434(0407-09(0c3c(6c6a",
    "60-6c 67(6434(0407-09(0c3c(6c69",
    "08-68-67(6434(0407-09(0c3c(5c6b",
    "40(1013-1c 04-44",
    "64-6d(6f3f(0f0e 67(6434(0407-09(0c3c(6c69",
    "00-0c 07(0434(6467-6c",
    "04-0c 01",
    "24-2d(2f0f 21",
    "00-0c 54-09 27-6c",
    "00-0a(0c2c",
    "04-0c 07(0424(4447-4c 47(4464(8487-8c",
    "04-0c 07(0434(6467-6c",
    "07(0434(6467-69(6c3c(0c09-07",
    "04-0f 07(0434(6467-69(6c3c(0c09",
    "64-6f 67(6434(0407-09(0c3c(6c69",
    "04-0c 07(0434-44",
    "65(6434(0406(0838(686a(6c3c(0c0b",
    "10-1a(1c3c-4c 04-44",
    "04-09(0c3c(6c69 64-6c",
    "04-3c-64",
    "04-2c-45-6c-84",
    "04-6c 64-0c",
    "04-3c 64-2f",
    "04-64-0c-6c",
    "30(1013(1606(1619(1c3c",
    "00-0e",
    "00(2023(2636(2629(2c0c",
    "07(0525(3536(3747(6765",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_well_formed_and_its_own() {
        for (at, glyph) in GLYPHS.iter().enumerate() {
            for stroke in glyph.split_ascii_whitespace() {
                let points = stroke.bytes().filter(u8::is_ascii_hexdigit).count();
                let lines = stroke.bytes().filter(|b| *b == b'-').count();
                let arcs = stroke.bytes().filter(|b| *b == b'(').count();
                assert_eq!(stroke.len(), points + lines + arcs, "{stroke}");
                assert_eq!(points, 2 * (1 + lines + 2 * arcs), "{stroke}");
            }
            for (other, same) in GLYPHS.iter().enumerate().skip(at + 1) {
                // The letter O and the digit 0 are told apart by their neighbours.
                assert!(glyph != same || (at, other) == (16, 47), "{at} and {other}: {glyph}");
            }
        }
    }

    #[test]
    fn letters_are_whole_within_their_sprite() {
        for letter in b' '..=b'~' {
            for cap in [5, 12, 31, 100] {
                let ink = |margin| {
                    let sprite = Font::bold(cap).drawing_within(strokes(letter), margin);
                    sprite.coverage.iter().map(|c| u32::from(*c)).sum::<u32>()
                };
                assert_eq!(ink(0), ink(3), "{} at {cap}", char::from(letter));
            }
        }
    }

    #[test]
    fn a_stroke_is_as_wide_as_the_pen() {
        let sprite = Font { cap: 120, pen: 20 }.letter(b'I');
        let middle = sprite.coverage.chunks_exact(sprite.width).nth(60).unwrap();
        let covered: u32 = middle.iter().map(|c| u32::from(*c)).sum();
        assert_eq!(covered, 24 * 16);
    }

    #[test]
    fn width_is_the_sum_of_what_write_moves() {
        let font = Font::regular(24);
        assert_eq!(font.width(""), 0);
        assert_eq!(font.width("H"), 12);
        assert_eq!(font.width("HH"), 12 + 20);
        assert_eq!(font.width("\u{e9}"), 2 * 12 + 8, "two bytes that are not ASCII");
    }
}
