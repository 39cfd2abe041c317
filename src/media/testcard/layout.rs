//! What the test card looks like: the still parts once, the clock and the marker as they move.
//!
//! From the top: name and size; colour bars with a circle; reversed bars; the clock panel, which
//! flashes on the second; the marker's lane; grey steps; the legend. Everything scales with
//! the picture. Edges of flat areas lie on macroblocks, where they cost nothing.
//! Source: our own design; bars as in SMPTE EG 1, 75 %.

use core::ops::Range;

use crate::media::testcard::font::Font;
use crate::media::testcard::h264::Sequence;
use crate::media::testcard::picture::{Area, Colour, MACROBLOCK, Matrix, Picture, Sprite};

/// What the moving parts show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Second of the day, 0 to 86399.
    pub second: u32,
    /// Frame within the second, from 0.
    pub frame: u32,
}

/// The moving parts: letters drawn in advance and what is on the picture now.
#[derive(Debug)]
pub(crate) struct Face {
    layout: Layout,
    clock: Digits,
    frame: Digits,
    /// Left edges of the six digits of the clock and the two of the frame number.
    places: [usize; 8],
    colons: [usize; 2],
    colon: Sprite,
    shown: Option<Shown>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    flash: bool,
    digits: [u8; 8],
    marker: Area,
}

/// Ten digits of one size.
#[derive(Debug)]
struct Digits {
    sprites: [Sprite; 10],
    advance: usize,
    y: usize,
}

impl Face {
    /// Draws the letters and takes their memory.
    pub(crate) fn new(sequence: Sequence) -> Self {
        let layout = Layout::of(sequence);
        let unit = layout.unit;
        let (large, small) = (Font::bold(7 * unit), Font::bold(4 * unit));
        let top = layout.panel.y + (layout.panel.height.saturating_sub(large.cap)) / 2;
        let clock = Digits::new(large, top);
        let frame = Digits::new(small, top + large.cap - small.cap);
        let colon_advance = large.width(":0") - large.width("0");
        let between = 2 * unit;
        let width = 6 * clock.advance + 2 * colon_advance + between + 2 * frame.advance;
        let mut at = (sequence.width.saturating_sub(width)) / 2;
        let mut places = [0; 8];
        let mut colons = [0; 2];
        let mut colons_left = colons.iter_mut();
        for (nth, place) in places.iter_mut().enumerate() {
            *place = at;
            at += if nth < 6 { clock.advance } else { frame.advance };
            match nth {
                1 | 3 => {
                    if let Some(colon) = colons_left.next() {
                        *colon = at;
                    }
                    at += colon_advance;
                }
                5 => at += between,
                _ => {}
            }
        }
        Self { layout, clock, frame, places, colons, colon: large.letter(b':'), shown: None }
    }

    /// Paints what differs from what was painted before. Does not allocate.
    pub(crate) fn paint(&mut self, picture: &mut Picture, moment: Moment) {
        let rate = self.layout.sequence.frames_per_second;
        let now = Shown {
            flash: moment.frame < flash_frames(rate),
            digits: digits(moment),
            marker: self.layout.marker(moment.frame),
        };
        let (ground, ink) =
            if now.flash { (Colour::WHITE, Colour::BLACK) } else { (Colour::BLACK, Colour::WHITE) };
        let before = self.shown.filter(|shown| shown.flash == now.flash);
        if before.is_none() {
            picture.fill(self.layout.panel, ground);
            for x in self.colons {
                picture.stamp_grey(&self.colon, x, self.clock.y, ink);
            }
        }
        let sizes = [&self.clock; 6].into_iter().chain([&self.frame; 2]);
        let places = self.places.into_iter().zip(now.digits).zip(sizes);
        for (nth, ((x, digit), size)) in places.enumerate() {
            let old = before.and_then(|shown| shown.digits.get(nth).copied());
            if old == Some(digit) {
                continue;
            }
            if let Some(old) = old.and_then(|old| size.sprite(old)) {
                picture.fill(old.area(x, size.y), ground);
            }
            if let Some(new) = size.sprite(digit) {
                picture.stamp_grey(new, x, size.y, ink);
            }
        }
        let marker = self.shown.map(|shown| shown.marker);
        if marker != Some(now.marker) {
            if let Some(old) = marker {
                picture.fill(old, LANE);
            }
            picture.fill(now.marker, Colour::WHITE);
        }
        self.shown = Some(now);
    }

    /// Rows of macroblocks that `paint` may touch.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.layout.rows.clone()
    }
}

impl Digits {
    fn new(font: Font, y: usize) -> Self {
        Self {
            sprites: core::array::from_fn(|digit| {
                font.letter(b"0123456789".get(digit).copied().unwrap_or(b'0'))
            }),
            advance: font.width("00") - font.width("0"),
            y,
        }
    }

    fn sprite(&self, digit: u8) -> Option<&Sprite> {
        self.sprites.get(usize::from(digit))
    }
}

/// Frames that the flash lasts: about a tenth of a second, as the beep.
pub(crate) fn flash_frames(frames_per_second: u32) -> u32 {
    ((frames_per_second + 5) / 10).max(1)
}

/// Hours, minutes, seconds and frame, two digits each.
fn digits(moment: Moment) -> [u8; 8] {
    let values =
        [moment.second / 3600 % 24, moment.second / 60 % 60, moment.second % 60, moment.frame];
    let mut digits = [0; 8];
    for (pair, value) in digits.as_chunks_mut::<2>().0.iter_mut().zip(values) {
        *pair = [value / 10 % 10, value % 10].map(|digit| u8::try_from(digit).unwrap_or(0));
    }
    digits
}

/// Paints all that does not move.
pub(crate) fn paint_still(picture: &mut Picture, sequence: Sequence) {
    let layout = Layout::of(sequence);
    layout.bars(picture);
    layout.lane(picture);
    layout.steps(picture);
    layout.words(picture);
    layout.corners(picture);
}

const LANE: Colour = Colour::grey(56);
const GROUND: Colour = Colour::grey(30);
const WORDS: Colour = Colour::grey(210);

/// Where things are, in luma samples; `unit` is an eightieth of the width at 16:9.
#[derive(Clone, Debug)]
struct Layout {
    sequence: Sequence,
    unit: usize,
    bars: Range<usize>,
    reversed: Range<usize>,
    panel: Area,
    sweep: Range<usize>,
    steps: Range<usize>,
    rows: Range<usize>,
}

impl Layout {
    fn of(sequence: Sequence) -> Self {
        let Sequence { width, height, .. } = sequence;
        let unit = (width / 80).min(height / 45).max(1);
        let line = |forty_fifths: usize| aligned(height * forty_fifths / 45);
        let sweep = line(37) - (4 * unit).next_multiple_of(MACROBLOCK)..line(37);
        Self {
            sequence,
            unit,
            bars: line(4)..line(21),
            reversed: line(21)..line(23),
            panel: Area {
                x: 0,
                y: line(23),
                width: sequence.coded().0,
                height: sweep.start.saturating_sub(line(23)),
            },
            rows: line(23) / MACROBLOCK..(sweep.start + 2 * unit).div_ceil(MACROBLOCK),
            sweep,
            steps: line(37)..line(41),
        }
    }

    /// The marker goes round once a second and passes the middle on the flash.
    fn marker(&self, frame: u32) -> Area {
        let rate = usize::try_from(self.sequence.frames_per_second).unwrap_or(1);
        let frame = usize::try_from(frame).unwrap_or(0);
        let phase = (2 * frame + rate) % (2 * rate);
        let x = self.track().start + phase * self.track().len() / (2 * rate) - self.unit / 2;
        Area {
            // Chroma samples are two wide; the lane and the marker have none, the mask is neat.
            x: x & !1,
            y: self.sweep.start + self.unit / 2,
            width: self.unit.max(2),
            height: 3 * self.unit / 2,
        }
    }

    /// Middles of the marker's first and last place.
    fn track(&self) -> Range<usize> {
        let middle = self.sequence.width / 2;
        middle - 32 * self.unit..middle + 32 * self.unit
    }

    fn bars(&self, picture: &mut Picture) {
        let matrix = Matrix::of_height(self.sequence.height);
        let colour = |rgb: [u8; 3]| Colour::from_rgb(rgb.map(|on| on * 191), matrix);
        for (nth, rgb) in BARS.into_iter().enumerate() {
            self.column((nth, BARS.len()), &self.bars, |area| {
                picture.fill(area, colour(rgb));
            });
        }
        let reversed = BARS.into_iter().rev().enumerate();
        for (nth, rgb) in reversed {
            let rgb = if nth % 2 == 0 { rgb } else { [0; 3] };
            let black = rgb == [0; 3];
            let colour = if black { Colour::BLACK } else { colour(rgb) };
            self.column((nth, BARS.len()), &self.reversed, |area| {
                picture.fill(area, colour);
            });
        }
        let cap = 15 * self.unit;
        let circle = Font { cap, pen: 2 }.drawing("06(0060(c0c6(cc6c(0c06");
        let x = (self.sequence.width - cap) / 2;
        let y = (self.bars.start + self.bars.end).saturating_sub(cap) / 2;
        picture.stamp(&circle, x, y, Colour::WHITE);
    }

    fn lane(&self, picture: &mut Picture) {
        let (track, unit, top) = (self.track(), self.unit, self.sweep.start);
        let hair = (unit / 8).max(1) * 2;
        picture.fill(self.across(&self.sweep), Colour::BLACK);
        let area = Area {
            x: (track.start - unit / 2) & !1,
            y: top + unit / 2,
            width: track.len() + unit + 2,
            height: 3 * unit / 2,
        };
        picture.fill(area, LANE);
        let font = Font::regular(unit);
        for tenth in 0..=10 {
            let x = track.start + tenth * track.len() / 10;
            let tall = if tenth == 5 { unit / 2 } else { 3 * unit / 8 };
            let tick = Area { x: x - hair / 2, y: top + 17 * unit / 8, width: hair, height: tall };
            picture.fill(tick, WORDS);
            let Some(label) = LABELS.get(tenth) else {
                continue;
            };
            let x = x.saturating_sub(font.width(label) / 2);
            font.write(picture, label, x, top + 23 * unit / 8, WORDS);
        }
        let above =
            Area { x: self.sequence.width / 2 - hair, y: top, width: 2 * hair, height: unit / 2 };
        picture.fill(above, Colour::WHITE);
        let y = top + 3 * unit / 4;
        let right = track.end + unit + unit / 2;
        let left = track.start.saturating_sub(unit + unit / 2 + font.width("early"));
        font.write(picture, "early", left, y, WORDS);
        font.write(picture, "late", right, y, WORDS);
    }

    fn steps(&self, picture: &mut Picture) {
        for nth in 0..GREYS.len() {
            let grey = GREYS.get(nth).copied().unwrap_or(16);
            self.column((nth, GREYS.len()), &self.steps, |area| {
                picture.fill(area, Colour::grey(grey));
            });
        }
    }

    fn words(&self, picture: &mut Picture) {
        let Sequence { width, height, frames_per_second } = self.sequence;
        let (unit, coded) = (self.unit, self.sequence.coded());
        picture.fill(self.across(&(0..self.bars.start)), GROUND);
        picture.fill(self.across(&(self.steps.end..coded.1)), GROUND);

        let title = Font::bold(9 * unit / 4);
        let y = self.bars.start.saturating_sub(title.cap) / 2;
        title.write(picture, "rillcast", 2 * unit, y, Colour::WHITE);
        let label = Font::regular(7 * unit / 4);
        let y = y + title.cap - label.cap;
        let x = 3 * unit + title.width("rillcast") + unit;
        label.write(picture, "test card", x, y, WORDS);
        let size = format!("{width}x{height}  {frames_per_second} fps");
        let x = width.saturating_sub(2 * unit + label.width(&size));
        label.write(picture, &size, x, y, WORDS);

        let legend = Font::regular(9 * unit / 8);
        let room = height.saturating_sub(self.steps.end);
        for (line, text) in LEGEND.into_iter().enumerate() {
            let x = width.saturating_sub(legend.width(text)) / 2;
            let y = self.steps.end + (9 * line + 5) * room / 20 - legend.cap / 2;
            legend.write(picture, text, x, y, WORDS);
        }
    }

    /// A right angle in each corner: what is missing, the display cuts off.
    fn corners(&self, picture: &mut Picture) {
        let Sequence { width, height, .. } = self.sequence;
        let (long, thick) = (2 * self.unit, (self.unit / 8).max(1) * 2);
        for x in [0, width - long] {
            for y in [0, height - thick] {
                picture.fill(Area { x, y, width: long, height: thick }, Colour::WHITE);
            }
        }
        for x in [0, width - thick] {
            for y in [0, height - long] {
                picture.fill(Area { x, y, width: thick, height: long }, Colour::WHITE);
            }
        }
    }

    /// One of several columns of about the same width, edges on macroblocks.
    fn column(&self, (nth, of): (usize, usize), lines: &Range<usize>, mut paint: impl FnMut(Area)) {
        let width = self.sequence.coded().0;
        let (x, right) = (aligned(nth * width / of), aligned((nth + 1) * width / of));
        paint(Area { x, width: right - x, ..self.across(lines) });
    }

    const fn across(&self, lines: &Range<usize>) -> Area {
        Area {
            x: 0,
            y: lines.start,
            width: self.sequence.coded().0,
            height: lines.end - lines.start,
        }
    }
}

/// The nearest edge of a macroblock.
const fn aligned(at: usize) -> usize {
    (at + MACROBLOCK / 2) / MACROBLOCK * MACROBLOCK
}

/// Grey, yellow, cyan, green, magenta, red, blue.
const BARS: [[u8; 3]; 7] =
    [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1]];

/// Black to white in equal steps; the first two are just below and just above black.
const GREYS: [u8; 14] = [10, 16, 22, 38, 57, 77, 97, 116, 136, 156, 175, 195, 215, 235];

/// Milliseconds by which sound is late when the beep is heard with the marker there.
const LABELS: [&str; 11] = ["", "-400", "", "-200", "", "0", "", "+200", "", "+400", ""];

const LEGEND: [&str; 2] = [
    "flash and beep come together, once a second",
    "the marker, when you hear the beep: ms by which sound is late",
];

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Sequence = Sequence { width: 1280, height: 720, frames_per_second: 25 };

    #[test]
    fn the_clock_is_read_off_the_second_of_the_day() {
        assert_eq!(digits(Moment { second: 86_399, frame: 24 }), [2, 3, 5, 9, 5, 9, 2, 4]);
        assert_eq!(digits(Moment { second: 3_661, frame: 0 }), [0, 1, 0, 1, 0, 1, 0, 0]);
    }

    #[test]
    fn the_marker_is_in_the_middle_on_the_flash_and_never_still() {
        let layout = Layout::of(HD);
        let middle = |frame| layout.marker(frame).x + layout.unit / 2;
        assert_eq!(middle(0), 640);
        for frame in 1..25 {
            assert_ne!(middle(frame), middle(frame - 1));
        }
        assert!(middle(12) > middle(1));
        assert!(middle(13) < middle(24));
    }

    #[test]
    fn painting_step_by_step_is_painting_afresh() {
        for (width, height) in [(1280, 720), (320, 240), (1080, 1920), (160, 128)] {
            let sequence = Sequence { width, height, frames_per_second: 10 };
            let (coded_width, coded_height) = sequence.coded();
            let mut still = Picture::new(coded_width, coded_height);
            paint_still(&mut still, sequence);
            let mut picture = still.clone();
            let mut face = Face::new(sequence);
            for step in 0..25 {
                let moment = Moment { second: 86_397 + step / 10, frame: step % 10 };
                face.paint(&mut picture, moment);
                let mut afresh = still.clone();
                Face::new(sequence).paint(&mut afresh, moment);
                assert!(picture.planes() == afresh.planes(), "{width}x{height} step {step}");
            }
        }
    }

    #[test]
    fn moving_parts_touch_only_their_rows() {
        for (width, height) in [(1920, 1080), (854, 480), (160, 128), (4096, 2304), (720, 1280)] {
            let sequence = Sequence { width, height, frames_per_second: 25 };
            let (coded_width, coded_height) = sequence.coded();
            let mut picture = Picture::new(coded_width, coded_height);
            paint_still(&mut picture, sequence);
            picture.clear_touched();
            let mut face = Face::new(sequence);
            for frame in 0..25 {
                face.paint(&mut picture, Moment { second: 0, frame });
            }
            let columns = coded_width / MACROBLOCK;
            let marks = picture.touched().iter().enumerate().filter(|(_, touched)| **touched);
            for (at, _) in marks {
                assert!(face.rows().contains(&(at / columns)), "{width}x{height}: {at}");
            }
        }
    }
}
