//! A test card that needs no camera: proves network, player and lip-sync with pictures made here.
//!
//! Colour bars, a clock with the frame number, a marker that goes round once a second, and on every
//! second a flash with a beep. Wall-clock seconds, IDR pictures, flashes and beeps coincide by
//! construction: counters begin at the whole second before the start, and eight seconds of sound
//! are a whole number of frames. Messages come as FLV tag bodies, which are RTMP payloads.
//!
//! | file | holds |
//! |---|---|
//! | `layout` | what the card looks like |
//! | `font`, `picture` | letters of any size; painting |
//! | `h264`, `macroblock`, `transform`, `cavlc` | the encoder, largest part first |
//! | `audio` | the beep, encoded in advance |
//! | `slate` | a still picture instead, for a camera that is away |
//!
//! All memory is taken in `new`. Reads no clock and does not pace: the caller sends each message
//! when `due_ms` says. Source: FLV §E.4; H.264; 14496-3.

mod audio;
mod cavlc;
pub(crate) mod font;
pub(crate) mod h264;
mod layout;
mod macroblock;
pub mod picture;
pub mod slate;
mod transform;

use crate::limits::{
    CARD_FRAMES_PER_SECOND, CARD_HEIGHT, CARD_MESSAGE_BYTES_MAX, CARD_WIDTH, DAY_MS,
};
use crate::media::testcard::h264::{Encoder, Sequence};
use crate::media::testcard::layout::{Face, Moment, paint_still};
use crate::media::testcard::picture::Picture;
use crate::storage::narrow;
use crate::time::Millis;
use crate::wire::amf0::Emitter;
use crate::wire::flv::{AudioBody, FileHeader, FrameType, TagHeader, TagKind, VideoBody};
use crate::wire::writer::{Full, Writer};

/// What the card shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestCardConfig {
    /// Visible width, even, within `limits::CARD_WIDTH`.
    pub width: u16,
    /// Visible height, even, within `limits::CARD_HEIGHT`.
    pub height: u16,
    /// Pictures per second, within `limits::CARD_FRAMES_PER_SECOND`.
    pub frames_per_second: u32,
    /// Milliseconds since midnight, on the clock to be shown, at which timestamp 0 will be sent;
    /// the first picture is the next one due then, less than one frame later.
    pub clock_start_ms: u32,
}

/// Why there is no card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TestCardError {
    /// Unsupported: outside the limits or odd.
    #[error(
        "test card of {width}x{height} is not possible: both must be even, {CARD_WIDTH:?} wide, \
         {CARD_HEIGHT:?} high"
    )]
    Size {
        /// Asked for.
        width: u16,
        /// Asked for.
        height: u16,
    },
    /// Unsupported: outside the limits.
    #[error("test card of {0} frames per second is not possible: {CARD_FRAMES_PER_SECOND:?} are")]
    Rate(u32),
    /// Exhausted: the caller's buffer; nothing is lost, the same message comes again.
    #[error("test card message does not fit its {0}")]
    Buffer(#[from] Full),
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKind {
    /// An AAC frame (FLV tag type 8).
    Audio,
    /// An access unit (FLV tag type 9).
    Video,
}

impl CardKind {
    /// The type of its tag.
    #[must_use]
    pub const fn tag(self) -> TagKind {
        match self {
            Self::Audio => TagKind::Audio,
            Self::Video => TagKind::Video,
        }
    }
}

/// What was written to the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardMessage {
    /// Audio or video.
    pub kind: CardKind,
    /// When it is to be shown and to be sent; wraps as RTMP does.
    pub timestamp: Millis,
    /// Bytes written.
    pub bytes: usize,
    /// Whether players can begin here.
    pub keyframe: bool,
}

/// The three bodies that come before the first message, all at timestamp 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardHeaders<'a> {
    /// `onMetaData` (tag type 18), AMF0.
    pub metadata: &'a [u8],
    /// AVC sequence header.
    pub video: &'a [u8],
    /// AAC sequence header.
    pub audio: &'a [u8],
}

/// An endless stream of messages in the order of their timestamps.
#[derive(Debug)]
pub struct TestCard {
    sequence: Sequence,
    picture: Picture,
    face: Face,
    encoder: Encoder,
    /// Slices of the bands above and below the moving one, as they are in every IDR picture.
    still_top: Box<[u8]>,
    still_bottom: Box<[u8]>,
    schedule: Schedule,
    keyframe_next: bool,
}

impl TestCard {
    /// Draws and codes all that does not move. Takes about 3.2 bytes for each sample of a picture.
    ///
    /// # Errors
    /// `Size` or `Rate` outside the limits.
    pub fn new(config: &TestCardConfig) -> Result<Self, TestCardError> {
        let TestCardConfig { width, height, .. } = *config;
        let rate = config.frames_per_second;
        let even = width % 2 == 0 && height % 2 == 0;
        if !even || !CARD_WIDTH.contains(&width) || !CARD_HEIGHT.contains(&height) {
            return Err(TestCardError::Size { width, height });
        }
        if !CARD_FRAMES_PER_SECOND.contains(&rate) {
            return Err(TestCardError::Rate(rate));
        }
        let sequence = Sequence {
            width: usize::from(width),
            height: usize::from(height),
            frames_per_second: rate,
        };
        let (coded_width, coded_height) = sequence.coded();
        let mut picture = Picture::new(coded_width, coded_height);
        paint_still(&mut picture, sequence);
        let face = Face::new(sequence);
        let mut encoder = Encoder::new(sequence);
        let rows = face.rows();
        let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX].into_boxed_slice();
        let top = encoder.idr_band(&picture, 0..rows.start, &mut buffer)?;
        let still_top = buffer.get(..top).unwrap_or_default().into();
        let below = rows.end..coded_height / picture::MACROBLOCK;
        let bottom = encoder.idr_band(&picture, below, &mut buffer)?;
        let still_bottom = buffer.get(..bottom).unwrap_or_default().into();
        Ok(Self {
            sequence,
            picture,
            face,
            encoder,
            still_top,
            still_bottom,
            schedule: Schedule::new(config),
            keyframe_next: true,
        })
    }

    /// Writes the next message's body; `CARD_MESSAGE_BYTES_MAX` bytes always suffice. Does not
    /// allocate and never ends.
    ///
    /// # Errors
    /// `Buffer` if it is too small; the same message comes again, a picture then as an IDR.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<CardMessage, TestCardError> {
        let timestamp = self.schedule.timestamp();
        match self.schedule.kind() {
            CardKind::Audio => {
                let mut w = Writer::new(buffer);
                let data = audio::frame(self.schedule.audio);
                AudioBody::AacFrame { offset_ns: 0, data }.emit(&mut w)?;
                self.schedule.audio += 1;
                let (kind, bytes, keyframe) = (CardKind::Audio, w.position(), false);
                Ok(CardMessage { kind, timestamp, bytes, keyframe })
            }
            CardKind::Video => {
                let moment = self.schedule.moment();
                self.face.paint(&mut self.picture, moment);
                let keyframe = self.keyframe_next || moment.frame == 0;
                // Until it is written: what is half written leaves the encoder without a reference.
                self.keyframe_next = true;
                let bytes = self.picture(keyframe, buffer)?;
                self.keyframe_next = false;
                self.picture.clear_touched();
                self.schedule.video += 1;
                let kind = CardKind::Video;
                Ok(CardMessage { kind, timestamp, bytes, keyframe })
            }
        }
    }

    /// Milliseconds after timestamp 0 at which the next message is due; does not wrap.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.schedule.due_ms()
    }

    /// Writes the bodies that come first. 512 bytes suffice.
    ///
    /// # Errors
    /// `Buffer` if they do not fit.
    pub fn headers<'a>(&self, buffer: &'a mut [u8]) -> Result<CardHeaders<'a>, TestCardError> {
        let metadata_bytes = self.metadata(buffer)?;
        let (metadata, rest) = buffer.split_at_mut(metadata_bytes);
        let mut w = Writer::new(rest);
        VideoBody::AvcConfig { record: &[] }.emit(&mut w)?;
        let at = w.position();
        let record_bytes = self.sequence.configuration(rest.get_mut(at..).unwrap_or_default())?;
        let (video, rest) = rest.split_at_mut(at + record_bytes);
        let mut w = Writer::new(rest);
        AudioBody::AacConfig { config: &audio::CONFIGURATION }.emit(&mut w)?;
        let audio = w.finish();
        Ok(CardHeaders { metadata, video, audio })
    }

    /// Writes the beginning of an FLV file: file header and the three header tags. Whole tags
    /// follow from `flv_next`; 1024 bytes suffice.
    ///
    /// # Errors
    /// `Buffer` if it does not fit.
    pub fn flv_start(&self, buffer: &mut [u8]) -> Result<usize, TestCardError> {
        let mut bodies = [0; 512];
        let headers = self.headers(&mut bodies)?;
        let mut w = Writer::new(buffer);
        let data_offset = FileHeader::BYTES.into();
        FileHeader { audio: true, video: true, data_offset }.emit(&mut w)?;
        // The size of the tag before the first.
        w.u32(0)?;
        for (kind, body) in [
            (TagKind::Script, headers.metadata),
            (TagKind::Video, headers.video),
            (TagKind::Audio, headers.audio),
        ] {
            let tag = tag_header(kind, body.len(), Millis(0));
            tag.emit(&mut w)?;
            w.bytes(body)?;
            w.u32(tag.previous_tag_size())?;
        }
        Ok(w.position())
    }

    /// As `next`, but a whole FLV tag with its trailing size; `bytes` counts all of it.
    ///
    /// # Errors
    /// `Buffer` as `next`; `CARD_MESSAGE_BYTES_MAX` suffice here too.
    pub fn flv_next(&mut self, buffer: &mut [u8]) -> Result<CardMessage, TestCardError> {
        let have = buffer.len();
        let (head, tail) = (narrow(TagHeader::BYTES), 4);
        // The trailer's room is set aside first, so that nothing fails once the message is made.
        let Some(room) = buffer.get_mut(head..have.saturating_sub(tail)) else {
            return Err(Full { need: head + tail, have }.into());
        };
        let message = self.next(room)?;
        let tag = tag_header(message.kind.tag(), message.bytes, message.timestamp);
        let mut w = Writer::new(buffer);
        tag.emit(&mut w)?;
        w.take(message.bytes)?;
        w.u32(tag.previous_tag_size())?;
        let bytes = w.position();
        Ok(CardMessage { bytes, ..message })
    }

    /// The picture of the last video message, as it was painted.
    #[must_use]
    pub const fn painted(&self) -> &Picture {
        &self.picture
    }

    /// Writes the body of a video message.
    fn picture(&mut self, keyframe: bool, buffer: &mut [u8]) -> Result<usize, Full> {
        // Of an IDR, its upper slices; of others, nothing yet: the encoder writes behind it.
        let (frame_type, nals) =
            if keyframe { (FrameType::Key, &*self.still_top) } else { (FrameType::Inter, &[][..]) };
        let mut w = Writer::new(buffer);
        VideoBody::AvcFrame { frame_type, composition_ms: 0, offset_ns: 0, nals }.emit(&mut w)?;
        let at = w.position();
        let rest = buffer.get_mut(at..).unwrap_or_default();
        if !keyframe {
            return Ok(at + self.encoder.p_picture(&self.picture, rest)?);
        }
        let moving = self.encoder.idr_band(&self.picture, self.face.rows(), rest)?;
        let mut w = Writer::new(rest);
        w.take(moving)?;
        w.bytes(&self.still_bottom)?;
        Ok(at + w.position())
    }

    /// `onMetaData` as an AMF0 string and ECMA array.
    fn metadata(&self, buffer: &mut [u8]) -> Result<usize, Full> {
        let Sequence { width, height, frames_per_second } = self.sequence;
        let numbers = [
            ("width", f64::from(short(width))),
            ("height", f64::from(short(height))),
            ("framerate", f64::from(frames_per_second)),
            ("videocodecid", 7.0),
            ("audiocodecid", 10.0),
            ("audiosamplerate", 48_000.0),
            ("audiosamplesize", 16.0),
        ];
        let mut w = Writer::new(buffer);
        let mut amf = Emitter::new(&mut w);
        amf.string(b"onMetaData")?;
        amf.ecma_array(short(numbers.len() + 2))?;
        for (name, value) in numbers {
            amf.key(name.as_bytes())?;
            amf.number(value)?;
        }
        amf.key(b"stereo")?;
        amf.boolean(true)?;
        amf.key(b"encoder")?;
        amf.string(b"rillcast test card")?;
        amf.end()?;
        Ok(w.position())
    }
}

/// Counts messages from the whole second before the card's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schedule {
    rate: u64,
    /// The clock at the whole second, in seconds of the day.
    second: u64,
    /// Milliseconds from the whole second to timestamp 0.
    lead_ms: u64,
    video: u64,
    audio: u64,
}

impl Schedule {
    fn new(config: &TestCardConfig) -> Self {
        let rate = u64::from(config.frames_per_second);
        let start_ms = u64::from(config.clock_start_ms % DAY_MS);
        let video = (start_ms % 1000 * rate).div_ceil(1000);
        let lead_ms = video * 1000 / rate;
        Self {
            rate,
            second: start_ms / 1000,
            lead_ms,
            video,
            audio: (lead_ms * AUDIO_MS.1).div_ceil(AUDIO_MS.0),
        }
    }

    /// The earlier of the two; the picture first when they are due together.
    fn kind(&self) -> CardKind {
        if self.video_ms() <= self.audio_ms() { CardKind::Video } else { CardKind::Audio }
    }

    fn due_ms(&self) -> u64 {
        self.video_ms().min(self.audio_ms()) - self.lead_ms
    }

    /// The low 32 bits of `due_ms`.
    fn timestamp(&self) -> Millis {
        Millis(u32::try_from(self.due_ms() & u64::from(u32::MAX)).unwrap_or(0))
    }

    fn moment(&self) -> Moment {
        let second = (self.second + self.video / self.rate) % u64::from(DAY_MS / 1000);
        Moment {
            second: u32::try_from(second).unwrap_or(0),
            frame: u32::try_from(self.video % self.rate).unwrap_or(0),
        }
    }

    fn video_ms(&self) -> u64 {
        self.video * 1000 / self.rate
    }

    fn audio_ms(&self) -> u64 {
        self.audio * AUDIO_MS.0 / AUDIO_MS.1
    }
}

/// Milliseconds of an audio frame, as a fraction: 1024 samples of 48 in a millisecond.
const AUDIO_MS: (u64, u64) = (64, 3);
const _: () = assert!(audio::FRAME_SAMPLES * 1000 * AUDIO_MS.1 == AUDIO_MS.0 * audio::SAMPLE_RATE);

fn tag_header(kind: TagKind, bytes: usize, timestamp: Millis) -> TagHeader {
    TagHeader { kind, filtered: false, length: short(bytes), timestamp, stream: 0 }
}

/// Lengths here are bounded by `CARD_MESSAGE_BYTES_MAX`.
fn short(value: usize) -> u32 {
    debug_assert!(value <= CARD_MESSAGE_BYTES_MAX);
    u32::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{CARD_FRAMES_DEFAULT, CARD_HEIGHT_DEFAULT, CARD_WIDTH_DEFAULT};

    const HD: TestCardConfig = TestCardConfig {
        width: CARD_WIDTH_DEFAULT,
        height: CARD_HEIGHT_DEFAULT,
        frames_per_second: CARD_FRAMES_DEFAULT,
        clock_start_ms: 43_200_000,
    };
    const SMALL: TestCardConfig = TestCardConfig { width: 160, height: 128, ..HD };

    fn messages(card: &mut TestCard, count: usize) -> Vec<CardMessage> {
        let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX];
        (0..count).map(|_| card.next(&mut buffer).unwrap()).collect()
    }

    #[test]
    fn messages_come_in_order_and_keyframes_every_second() {
        let messages = messages(&mut TestCard::new(&SMALL).unwrap(), 800);
        assert!(messages.windows(2).all(|w| w[1].timestamp.since(w[0].timestamp) >= 0));
        let video: Vec<_> = messages.iter().filter(|m| m.kind == CardKind::Video).collect();
        for (nth, picture) in video.iter().enumerate() {
            assert_eq!(picture.timestamp, Millis(u32::try_from(nth * 40).unwrap()));
            assert_eq!(picture.keyframe, nth % 25 == 0);
        }
        let audio = messages.iter().filter(|m| m.kind == CardKind::Audio);
        for (nth, frame) in audio.enumerate() {
            assert_eq!(frame.timestamp, Millis(u32::try_from(nth * 64 / 3).unwrap()));
        }
    }

    #[test]
    fn a_start_within_a_second_begins_at_the_next_frame_with_a_keyframe() {
        let config = TestCardConfig { clock_start_ms: 43_200_490, ..SMALL };
        let messages = messages(&mut TestCard::new(&config).unwrap(), 120);
        let video: Vec<_> = messages.iter().filter(|m| m.kind == CardKind::Video).collect();
        let keys: Vec<_> = video.iter().filter(|m| m.keyframe).map(|m| m.timestamp.0).collect();
        // The frame at .520 is the first; the second is over 480 ms later.
        assert_eq!(keys, [0, 480, 1480]);
        assert_eq!(messages[0].timestamp, Millis(0));
    }

    #[test]
    fn timestamps_wrap_and_the_clock_and_the_beep_go_on() {
        let mut card = TestCard::new(&SMALL).unwrap();
        let frames = (1u64 << 32) * 25 / 1000;
        card.schedule.video = frames;
        card.schedule.audio = ((1u64 << 32) * 3 / 64) - 2;
        let before = card.schedule.due_ms();
        let messages = messages(&mut card, 8);
        assert!(messages[0].timestamp.0 > u32::MAX - 100);
        assert!(messages[7].timestamp.0 < 200);
        assert!(messages.windows(2).all(|w| w[1].timestamp.since(w[0].timestamp) >= 0));
        assert!(card.due_ms() > before);
    }

    #[test]
    fn the_clock_passes_midnight() {
        let config = TestCardConfig { clock_start_ms: DAY_MS - 1000, ..SMALL };
        let mut schedule = Schedule::new(&config);
        assert_eq!(schedule.moment(), Moment { second: 86_399, frame: 0 });
        schedule.video += 26;
        assert_eq!(schedule.moment(), Moment { second: 0, frame: 1 });
    }

    #[test]
    fn a_short_buffer_loses_nothing() {
        let mut whole = TestCard::new(&SMALL).unwrap();
        let mut card = TestCard::new(&SMALL).unwrap();
        let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX];
        for nth in 0..60 {
            let want = whole.next(&mut buffer).unwrap();
            if nth % 7 == 3 {
                for size in [0, 1, 5, 6, want.bytes / 2, want.bytes - 1] {
                    assert!(card.next(&mut buffer[..size]).is_err());
                }
            }
            let have = card.next(&mut buffer).unwrap();
            assert_eq!((have.kind, have.timestamp), (want.kind, want.timestamp));
            assert!(have.keyframe || nth % 7 != 3 || have.kind == CardKind::Audio);
            assert_eq!(card.painted().planes(), whole.painted().planes());
        }
    }

    #[test]
    fn headers_are_flv_bodies() {
        let card = TestCard::new(&HD).unwrap();
        let mut buffer = [0; 512];
        let headers = card.headers(&mut buffer).unwrap();
        assert!(headers.metadata.starts_with(
            b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x09\x00\x05width\x00\x40\x94\x00"
        ));
        assert!(headers.metadata.ends_with(b"\x00\x12rillcast test card\x00\x00\x09"));
        assert!(headers.video.starts_with(&[0x17, 0, 0, 0, 0, 1, 66, 0xc0, 31, 0xff, 0xe1]));
        assert_eq!(headers.audio, [0xaf, 0, 0x11, 0x90]);
        let bytes = headers.metadata.len() + headers.video.len() + headers.audio.len();
        for short in 0..bytes {
            assert!(card.headers(&mut buffer[..short]).is_err());
        }
    }

    #[test]
    fn flv_bytes_match_the_reference() {
        let mut card = TestCard::new(&HD).unwrap();
        let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX];
        let bytes = card.flv_start(&mut buffer).unwrap();
        assert_eq!(buffer[..13], *b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        assert_eq!(buffer[13..24], [18, 0, 0, 212, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(buffer[bytes - 19..bytes - 8], [8, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(buffer[bytes - 8..bytes], [0xaf, 0, 0x11, 0x90, 0, 0, 0, 15]);
        for (first, rest) in [
            (9, [0, 0, 0, 0, 0, 0, 0, 0x17, 1]),
            (8, [0, 0, 0, 0, 0, 0, 0, 0xaf, 1]),
            (8, [0, 0, 21, 0, 0, 0, 0, 0xaf, 1]),
            (9, [0, 0, 40, 0, 0, 0, 0, 0x27, 1]),
        ] {
            let bytes = card.flv_next(&mut buffer).unwrap().bytes;
            let [length, size] =
                [bytes - 15, bytes - 4].map(|n| u32::try_from(n).unwrap().to_be_bytes());
            assert_eq!(buffer[0], first);
            assert_eq!(buffer[1..4], length[1..]);
            assert_eq!(buffer[4..13], rest);
            assert_eq!(buffer[bytes - 4..bytes], size);
        }
    }

    #[test]
    fn cards_outside_the_limits_are_refused() {
        let (left, right) = (*CARD_WIDTH.start(), *CARD_WIDTH.end());
        let (low, high) = (*CARD_HEIGHT.start(), *CARD_HEIGHT.end());
        for (width, height) in [
            (0, 0),
            (1281, 720),
            (1280, 721),
            (left - 2, 720),
            (right + 2, 720),
            (1280, low - 2),
            (1280, high + 2),
        ] {
            let config = TestCardConfig { width, height, ..HD };
            assert_eq!(TestCard::new(&config).err(), Some(TestCardError::Size { width, height }));
        }
        let (least, most) = (*CARD_FRAMES_PER_SECOND.start(), *CARD_FRAMES_PER_SECOND.end());
        for frames_per_second in [0, least - 1, most + 1] {
            let config = TestCardConfig { frames_per_second, ..HD };
            assert_eq!(TestCard::new(&config).err(), Some(TestCardError::Rate(frames_per_second)));
        }
    }

    #[test]
    fn every_size_and_rate_within_the_limits_makes_a_card() {
        let (left, right) = (*CARD_WIDTH.start(), *CARD_WIDTH.end());
        let (low, high) = (*CARD_HEIGHT.start(), *CARD_HEIGHT.end());
        for (width, height) in
            [(left, low), (right, high), (right, low), (left, high), (1080, 1920), (854, 480)]
        {
            let range = CARD_FRAMES_PER_SECOND;
            for frames_per_second in [*range.start(), *range.end()] {
                let config = TestCardConfig { width, height, frames_per_second, ..HD };
                let messages = messages(&mut TestCard::new(&config).unwrap(), 8);
                assert!(messages.iter().all(|m| m.bytes > 0));
            }
        }
    }
}
