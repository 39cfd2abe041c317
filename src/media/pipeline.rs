//! From messages to segments: one stream's whole way through the media layer.
//!
//! ```text
//! message ─► demux ─► timeline ─► segmenter ─► mux ─► sink
//! ```
//!
//! Watches configurations: a new one begins a segment behind a discontinuity, the same one again
//! is nothing. Tells in plain words which track cannot be carried. Holds no payload: that stays in
//! the stream's ring until it is laid into packets.

use crate::limits::{COMPOSITION_LEAD_MS, STREAM_PROBLEM_BYTES_MAX, TIMELINE_EPOCH};
use crate::media::annexb::{AccessUnit, ParameterSets};
use crate::media::demux::{self, Unit};
use crate::media::segmenter::{Picture, Segmenter, Sound};
use crate::media::sink::Sink;
use crate::media::timeline::Timeline;
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, Place};
use crate::time::{Millis, TICKS_PER_SECOND, Ticks};
use crate::wire::aac::{AudioSpecificConfig, raw_frames};
use crate::wire::h264::{AvcConfig, AvcConfigError, Sps};
use crate::wire::mpa::{FrameHeader, Frames};
use crate::wire::ts::psi::STREAM_TYPE_AAC;
use core::fmt::Write as _;

/// A message as the pipeline takes it.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Whether it is video; audio otherwise.
    pub video: bool,
    /// Its timestamp.
    pub at: Millis,
    /// Its payload in the ring.
    pub place: Place,
}

/// Size of the picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSize {
    /// Width after cropping.
    pub width: u32,
    /// Height after cropping.
    pub height: u32,
}

/// What the audio track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audio {
    None,
    Aac(AudioSpecificConfig),
    Mpa { sample_rate: u32, stream_type: u8 },
}

/// The media layer of one stream.
#[derive(Debug)]
pub struct Pipeline {
    timeline: Timeline,
    segmenter: Segmenter,
    sets: ParameterSets,
    unit: AccessUnit,
    size: Option<PictureSize>,
    audio: Audio,
    problem: heapless::String<STREAM_PROBLEM_BYTES_MAX>,
}

impl Pipeline {
    /// A pipeline that cuts segments of `target` or more. Allocates what it will ever need.
    #[must_use]
    pub fn new(target: Ticks) -> Self {
        Self {
            timeline: Timeline::new(TIMELINE_EPOCH),
            segmenter: Segmenter::new(target),
            sets: ParameterSets::new(),
            unit: AccessUnit::new(),
            size: None,
            audio: Audio::None,
            problem: heapless::String::new(),
        }
    }

    /// Takes a message, whose bytes lie in `ring`. What cannot be used is dropped and counted.
    pub fn message(
        &mut self,
        message: Message,
        ring: &FrameRing,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        let payload = ring.bytes(message.place).unwrap_or_default();
        let unit = if message.video { demux::video(payload) } else { demux::audio(payload) };
        match unit {
            Ok(Unit::VideoConfig(record)) => self.video_config(record, status),
            Ok(Unit::Picture { composition_ms, offset, nals }) => {
                let picture = Coded { at: message.at, composition_ms, offset, nals };
                self.picture(picture, ring, sink, status);
            }
            Ok(Unit::AacConfig(config)) => self.aac_config(config, status),
            Ok(Unit::Aac(data)) => self.aac(message, payload, data, ring, sink, status),
            Ok(Unit::Mp3(data)) => self.mpa(message, payload, data, ring, sink, status),
            Ok(Unit::Nothing) => {}
            Ok(Unit::OtherVideo(codec)) => {
                self.unsupported(format_args!(
                    "video {codec} cannot be carried: set the camera to H.264"
                ));
                status.add(Counter::MediaUnsupported, 1);
            }
            Ok(Unit::OtherAudio(codec)) => {
                self.unsupported(format_args!(
                    "audio {codec} cannot be carried: set the camera to AAC"
                ));
                status.add(Counter::MediaUnsupported, 1);
            }
            Err(_) => status.add(Counter::MediaMalformed, 1),
        }
        self.timeline.report(status);
    }

    /// The publisher has left: the last segment ends. What comes next is behind a discontinuity.
    pub fn leave(&mut self, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        self.segmenter.leave(ring, sink, status);
        self.timeline.restart();
        self.sets.clear();
        self.size = None;
        self.audio = Audio::None;
        self.problem.clear();
    }

    /// Sets the longest a segment may last, once the playlist knows.
    pub const fn set_limit(&mut self, limit: Option<Ticks>) {
        self.segmenter.set_limit(limit);
    }

    /// Size of the picture, if there is one.
    #[must_use]
    pub const fn size(&self) -> Option<PictureSize> {
        self.size
    }

    /// Which track cannot be carried and what to do, in plain words; empty if all can.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If a part contradicts itself.
    pub fn check_invariants(&self) {
        self.timeline.check_invariants();
        self.segmenter.check_invariants();
    }

    fn video_config(&mut self, record: &[u8], status: &Status) {
        let had = !self.sets.is_empty();
        let changed = match AvcConfig::parse(record) {
            Ok(config) => {
                if let Some(sps) = config.sps().next().and_then(|sps| Sps::parse(sps).ok()) {
                    self.size = Some(PictureSize { width: sps.width, height: sps.height });
                }
                self.sets.set(&config)
            }
            Err(AvcConfigError::AnnexB) => self.sets.set_annexb(record),
            Err(_) => {
                status.add(Counter::MediaMalformed, 1);
                return;
            }
        };
        match changed {
            Ok(true) if had => self.segmenter.change_at_keyframe(false),
            Ok(_) => self.segmenter.expect_video(),
            Err(_) => status.add(Counter::MediaMalformed, 1),
        }
    }

    fn picture(
        &mut self,
        coded: Coded<'_>,
        ring: &FrameRing,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        let had = !self.sets.is_empty();
        if self.unit.gather(coded.nals, &mut self.sets).is_err() {
            status.add(Counter::MediaMalformed, 1);
            return;
        }
        if self.sets.is_empty() {
            status.add(Counter::MediaBeforeKeyframe, 1);
            return;
        }
        if self.unit.parameters_changed() && had {
            self.segmenter.change_at_keyframe(false);
        }
        let time = self.timeline.video(coded.at, coded.composition_ms);
        if time.jump {
            self.segmenter.jump(ring, sink, status);
        }
        let picture = Picture {
            dts: time.dts,
            pts: time.pts.plus(coded.offset),
            unit: &self.unit,
            data: coded.nals,
            sets: &self.sets,
        };
        self.segmenter.picture(&picture, ring, sink, status);
    }

    fn aac_config(&mut self, config: &[u8], status: &Status) {
        match AudioSpecificConfig::parse(config) {
            Ok(config) => self.set_audio(Audio::Aac(config)),
            // Empty ones are sent by encoders that have nothing to say yet.
            Err(_) if config.is_empty() => {}
            Err(_) => status.add(Counter::MediaMalformed, 1),
        }
    }

    fn aac(
        &mut self,
        message: Message,
        payload: &[u8],
        data: &[u8],
        ring: &FrameRing,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        let frames = raw_frames(data);
        if frames.has_adts()
            && let Ok(header) = crate::wire::aac::AdtsHeader::parse(data)
            && !matches!(self.audio, Audio::Aac(config) if config.sample_rate() == header.config().sample_rate())
        {
            self.set_audio(Audio::Aac(header.config()));
        }
        let Audio::Aac(config) = self.audio else {
            status.add(Counter::MediaBeforeKeyframe, 1);
            return;
        };
        let samples = u32::from(config.samples_per_frame());
        let rate = config.sample_rate();
        let mut at = message.at;
        for (i, frame) in (0u32..).zip(frames) {
            if i > 0 {
                at = message.at.wrapping_add(i * samples * 1000 / rate.max(1));
            }
            let adts = match config.adts_header(frame.len()) {
                Ok(adts) => adts,
                Err(cause) => {
                    self.unsupported(format_args!(
                        "audio AAC cannot be carried, {cause}: set the camera to AAC-LC"
                    ));
                    status.add(Counter::MediaUnsupported, 1);
                    return;
                }
            };
            let Some(place) = part_of(message.place, payload, frame) else { continue };
            let time = self.timeline.audio(at, samples, rate);
            if time.jump {
                self.segmenter.jump(ring, sink, status);
            }
            let sound = Sound {
                pts: time.pts,
                dts: time.pts.minus(COMPOSITION_LEAD),
                duration: duration(samples, rate),
                adts: Some(adts),
                place,
                stream_type: STREAM_TYPE_AAC,
            };
            self.segmenter.sound(sound, ring, sink, status);
        }
    }

    /// MPEG audio goes on as it is, a PES packet need not begin with a frame: only the frames
    /// that begin in it count.
    fn mpa(
        &mut self,
        message: Message,
        payload: &[u8],
        data: &[u8],
        ring: &FrameRing,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        let mut frames = Frames::new(data);
        let mut samples = 0;
        for frame in frames.by_ref() {
            samples += u32::from(frame.header.samples());
            let (sample_rate, stream_type) = (frame.header.sample_rate, frame.header.stream_type());
            self.set_audio(Audio::Mpa { sample_rate, stream_type });
        }
        if let Ok(header) = FrameHeader::parse(frames.rest()) {
            samples += u32::from(header.samples());
            let (sample_rate, stream_type) = (header.sample_rate, header.stream_type());
            self.set_audio(Audio::Mpa { sample_rate, stream_type });
        }
        let Audio::Mpa { sample_rate, stream_type } = self.audio else {
            status.add(Counter::MediaMalformed, 1);
            return;
        };
        let Some(place) = part_of(message.place, payload, data) else { return };
        let time = self.timeline.audio(message.at, samples, sample_rate);
        if time.jump {
            self.segmenter.jump(ring, sink, status);
        }
        let duration = duration(samples, sample_rate);
        let (pts, dts) = (time.pts, time.pts.minus(COMPOSITION_LEAD));
        let sound = Sound { pts, dts, duration, adts: None, place, stream_type };
        self.segmenter.sound(sound, ring, sink, status);
    }

    fn set_audio(&mut self, audio: Audio) {
        if self.audio != audio {
            if self.audio != Audio::None {
                self.segmenter.change_at_keyframe(true);
            }
            self.audio = audio;
        }
    }

    fn unsupported(&mut self, text: core::fmt::Arguments<'_>) {
        if self.problem.is_empty() {
            // A text that is too long ends early; it still names the codec.
            let written = self.problem.write_fmt(text);
            debug_assert!(written.is_ok());
        }
    }
}

/// What presentation is later than decoding, on this timeline.
const COMPOSITION_LEAD: Ticks = Ticks::from_millis(COMPOSITION_LEAD_MS);

/// A picture as it came.
#[derive(Clone, Copy)]
struct Coded<'a> {
    at: Millis,
    composition_ms: i32,
    offset: Ticks,
    nals: &'a [u8],
}

/// The place of `part`, which lies inside `whole`, whose place is `place`.
fn part_of(place: Place, whole: &[u8], part: &[u8]) -> Option<Place> {
    let from = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    place.part(from, part.len())
}

fn duration(samples: u32, rate: u32) -> Ticks {
    Ticks(i64::from(samples) * TICKS_PER_SECOND / i64::from(rate.max(1)))
}
