//! A slate: the still picture that stands for a camera that is away, and silence with it.
//!
//! Says whose signal is missing. Everything is coded once, in `new`: one IDR picture, the pictures
//! of the rest of a second, which skip every macroblock and so repeat it, and one silent frame. A
//! slate is then read like a loop, in the order of its timestamps, and costs nothing but copies.
//! Messages are FLV tag bodies, which are RTMP payloads. Reads no clock and does not pace.
//! Source: FLV §E.4; H.264 §7.3.4 (`mb_skip_run`); 14496-3.

use super::TestCardError;
use super::audio;
use super::font::Font;
use super::h264::{Encoder, Sequence};
use super::picture::{Area, Colour, MACROBLOCK, Picture};
use crate::limits::{
    CARD_HEIGHT, CARD_HEIGHT_DEFAULT, CARD_MESSAGE_BYTES_MAX, CARD_WIDTH, CARD_WIDTH_DEFAULT,
    SLATE_FRAMES_PER_SECOND,
};
use crate::media::testcard::CardKind;
use crate::time::Millis;
use crate::wire::aac::AudioSpecificConfig;
use crate::wire::flv::{AudioBody, FrameType, VideoBody};
use crate::wire::writer::{Full, Writer};

/// An endless stream of messages in the order of their timestamps.
#[derive(Debug)]
pub struct Slate {
    video_header: Box<[u8]>,
    audio_header: Box<[u8]>,
    /// Pictures of a second: an IDR picture, and those that repeat it.
    pictures: Box<[Box<[u8]>]>,
    silence: Box<[u8]>,
    /// Messages so far.
    video: u64,
    audio: u64,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlateMessage<'a> {
    /// Audio or video.
    pub kind: CardKind,
    /// When it is to be shown; wraps as RTMP does.
    pub timestamp: Millis,
    /// The body of its tag.
    pub body: &'a [u8],
}

impl Slate {
    /// Draws and codes a slate that names `name`, of a camera's `size`, or of the test card's where
    /// that is not known or cannot be coded. Takes about 3.2 bytes for each sample of a picture
    /// while it works, and some 10 KiB afterwards.
    ///
    /// # Errors
    /// `Buffer`; a slate never needs so much.
    pub fn new(name: &str, size: Option<(u16, u16)>) -> Result<Self, TestCardError> {
        let fits = |(width, height): &(u16, u16)| {
            CARD_WIDTH.contains(width) && CARD_HEIGHT.contains(height) && (width | height) % 2 == 0
        };
        let card = (CARD_WIDTH_DEFAULT, CARD_HEIGHT_DEFAULT);
        let (width, height) = size.filter(fits).unwrap_or(card);
        let sequence = Sequence {
            width: width.into(),
            height: height.into(),
            frames_per_second: SLATE_FRAMES_PER_SECOND,
        };
        let (coded_width, coded_height) = sequence.coded();
        let mut picture = Picture::new(coded_width, coded_height);
        paint(&mut picture, sequence, name);
        let mut encoder = Encoder::new(sequence);
        let mut room = vec![0; CARD_MESSAGE_BYTES_MAX].into_boxed_slice();
        let mut pictures = Vec::new();
        for nth in 0..SLATE_FRAMES_PER_SECOND {
            let frame_type = if nth == 0 { FrameType::Key } else { FrameType::Inter };
            let mut w = Writer::new(&mut room);
            VideoBody::AvcFrame { frame_type, composition_ms: 0, offset_ns: 0, nals: &[] }
                .emit(&mut w)?;
            let at = w.position();
            let rest = room.get_mut(at..).unwrap_or_default();
            let bytes = if nth == 0 {
                encoder.idr_band(&picture, 0..coded_height / MACROBLOCK, rest)?
            } else {
                encoder.p_picture(&picture, rest)?
            };
            picture.clear_touched();
            pictures.push(room.get(..at + bytes).unwrap_or_default().into());
        }
        let mut w = Writer::new(&mut room);
        VideoBody::AvcConfig { record: &[] }.emit(&mut w)?;
        let at = w.position();
        let bytes = sequence.configuration(room.get_mut(at..).unwrap_or_default())?;
        let video_header = room.get(..at + bytes).unwrap_or_default().into();
        let config = AudioSpecificConfig::parse(&audio::CONFIGURATION).ok();
        let silent = config.and_then(|config| config.silent_frame()).unwrap_or_default();
        let header = AudioBody::AacConfig { config: &audio::CONFIGURATION };
        Ok(Self {
            video_header,
            audio_header: coded(&mut room, |w| header.emit(w))?,
            pictures: pictures.into_boxed_slice(),
            silence: coded(&mut room, |w| {
                AudioBody::AacFrame { offset_ns: 0, data: &silent }.emit(w)
            })?,
            video: 0,
            audio: 0,
        })
    }

    /// The sequence headers of video and audio, which come first.
    #[must_use]
    pub const fn headers(&self) -> (&[u8], &[u8]) {
        (&self.video_header, &self.audio_header)
    }

    /// Milliseconds after the start at which the next message is due; does not wrap.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.video_ms().min(self.audio_ms())
    }

    /// The next message.
    pub fn message(&mut self) -> SlateMessage<'_> {
        let timestamp = Millis(u32::try_from(self.due_ms() & u64::from(u32::MAX)).unwrap_or(0));
        if self.audio_ms() < self.video_ms() {
            self.audio += 1;
            return SlateMessage { kind: CardKind::Audio, timestamp, body: &self.silence };
        }
        let nth = self.video % u64::from(SLATE_FRAMES_PER_SECOND);
        self.video += 1;
        let picture = usize::try_from(nth).ok().and_then(|nth| self.pictures.get(nth));
        let body = picture.map(AsRef::as_ref).unwrap_or_default();
        SlateMessage { kind: CardKind::Video, timestamp, body }
    }

    fn video_ms(&self) -> u64 {
        self.video * 1000 / u64::from(SLATE_FRAMES_PER_SECOND)
    }

    fn audio_ms(&self) -> u64 {
        self.audio * audio::FRAME_SAMPLES * 1000 / audio::SAMPLE_RATE
    }
}

/// What `emit` writes.
fn coded(
    room: &mut [u8],
    emit: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<Box<[u8]>, Full> {
    let mut w = Writer::new(room);
    emit(&mut w)?;
    Ok(w.written().into())
}

/// The name in the middle, and what is the matter below it.
fn paint(picture: &mut Picture, sequence: Sequence, name: &str) {
    let Sequence { width, height, .. } = sequence;
    let (coded_width, coded_height) = sequence.coded();
    picture.fill(Area { x: 0, y: 0, width: coded_width, height: coded_height }, GROUND);
    let middle = height / 2;
    let large = fitting(name, width, height / 8);
    let x = width.saturating_sub(large.width(name)) / 2;
    large.write(picture, name, x, middle.saturating_sub(large.cap + height / 24), Colour::WHITE);
    let small = fitting(WORDS, width, height / 14);
    let x = width.saturating_sub(small.width(WORDS)) / 2;
    small.write(picture, WORDS, x, middle + height / 24, INK);
}

/// Letters of `cap`, or as small as it takes to get `text` into nine tenths of `width`.
fn fitting(text: &str, width: usize, cap: usize) -> Font {
    let most = width * 9 / 10;
    let wide = Font::bold(cap).width(text).max(1);
    Font::bold(if wide > most { (cap * most / wide).max(1) } else { cap })
}

const WORDS: &str = "no signal";
const GROUND: Colour = Colour::grey(30);
const INK: Colour = Colour::grey(170);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::STREAM_PATH_BYTES_MAX;
    use crate::wire::flv;

    #[test]
    fn messages_come_in_order_and_each_second_begins_with_an_idr_picture() {
        let mut slate = Slate::new("live/cam", Some((640, 360))).unwrap();
        let (mut last, mut pictures, mut frames) = (0, 0, 0);
        while slate.due_ms() < 10_000 {
            let due = slate.due_ms();
            assert!(due >= last);
            last = due;
            let message = slate.message();
            assert_eq!(u64::from(message.timestamp.0), due);
            match message.kind {
                CardKind::Video => {
                    let key = flv::is_keyframe(flv::TagKind::Video, message.body);
                    assert_eq!(key, due.is_multiple_of(1000), "at {due}");
                    pictures += 1;
                }
                CardKind::Audio => frames += 1,
            }
        }
        assert_eq!(pictures, 10 * SLATE_FRAMES_PER_SECOND);
        assert_eq!(frames, 469, "AAC frames of 1024 samples in 10 s of 48 kHz");
    }

    #[test]
    fn pictures_that_repeat_cost_next_to_nothing() {
        let slate = Slate::new("live/cam", Some((1920, 1080))).unwrap();
        assert!(slate.pictures[1..].iter().all(|picture| picture.len() < 32));
        assert!(slate.pictures[0].len() < 64 << 10, "{}", slate.pictures[0].len());
        assert!(slate.silence.len() < 32);
    }

    #[test]
    fn size_that_cannot_be_coded_is_that_of_the_test_card() {
        let of = |size| Slate::new("live/cam", size).unwrap().video_header;
        let card = of(None);
        assert_eq!(of(Some((1280, 720))), card);
        for odd in [(641, 360), (64, 64), (7680, 4320), (0, 0)] {
            assert_eq!(of(Some(odd)), card, "{odd:?}");
        }
        assert_ne!(of(Some((640, 360))), card);
    }

    #[test]
    fn name_of_any_length_and_letter_is_painted() {
        let long = "ä/".repeat(STREAM_PATH_BYTES_MAX / 3);
        for name in ["", "x", &long] {
            for size in [(160, 128), (4096, 2304), (128 + 32, 2304)] {
                Slate::new(name, Some(size)).unwrap();
            }
        }
    }
}
