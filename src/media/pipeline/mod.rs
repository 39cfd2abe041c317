//! From messages to segments: one stream's whole way through the media layer.
//!
//! ```text
//! message ─► demux ─► timeline ─► segmenter ─► mux ─► sink
//! ```
//!
//! Watches configurations: a new one begins a segment behind a discontinuity, the same one again
//! is nothing. Tells in plain words which track cannot be carried. Holds no payload: that stays in
//! the stream's ring until it is laid into packets.

use crate::limits::{
    COMPOSITION_LEAD_MS, PARAMETER_BYTES_MAX, STREAM_PROBLEM_BYTES_MAX, TIMELINE_EPOCH,
};
use crate::media::annexb::{AccessUnit, ParameterSets, UnitError};
use crate::media::demux::{self, Unit};
use crate::media::mux::Track;
use crate::media::segmenter::{Outlet, Picture, Segmenter, Sound};
use crate::media::sink::Sink;
use crate::media::timeline::Timeline;
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, Place};
use crate::time::{Millis, TICKS_PER_SECOND, Ticks};
use crate::wire::aac::{AacError, AdtsHeader, AudioSpecificConfig, raw_frames};
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
    /// Presentation time of the MPEG audio frame that begins next.
    audio_next: Ticks,
    problem: heapless::String<STREAM_PROBLEM_BYTES_MAX>,
}

impl Pipeline {
    /// Memory that a pipeline allocates beside itself, in bytes.
    pub const PARAMETER_BYTES: usize = PARAMETER_BYTES_MAX;

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
            audio_next: TIMELINE_EPOCH,
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
        let mut out = Outlet { ring, sink, status };
        match unit {
            Ok(Unit::VideoConfig(record)) => self.video_config(record, &mut out),
            Ok(Unit::Picture { keyframe, composition_ms, offset, nals }) => {
                let picture = Coded { at: message.at, keyframe, composition_ms, offset, nals };
                self.picture(picture, &mut out);
            }
            Ok(Unit::AacConfig(config)) => self.aac_config(config, &mut out),
            Ok(Unit::Aac(data)) => self.aac(Heard { message, payload, data }, &mut out),
            Ok(Unit::Mp3(data)) => self.mpa(Heard { message, payload, data }, &mut out),
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
        self.segmenter.leave(&mut Outlet { ring, sink, status });
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

    /// Whether a segment may end or begin within `time` of media.
    #[must_use]
    pub fn may_cut_within(&self, time: Ticks) -> bool {
        self.segmenter.may_cut_within(time)
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

    fn video_config(&mut self, record: &[u8], out: &mut Outlet<'_, impl Sink>) {
        let had = !self.sets.is_empty();
        let changed = match AvcConfig::parse(record) {
            Ok(config) => self.sets.set(&config),
            Err(AvcConfigError::AnnexB) => self.sets.set_annexb(record),
            Err(_) => {
                out.status.add(Counter::MediaMalformed, 1);
                return;
            }
        };
        match changed {
            Ok(changed) => {
                self.segmenter.expect_video();
                self.parameters(had, changed, out);
            }
            Err(_) => out.status.add(Counter::MediaMalformed, 1),
        }
    }

    /// Notes what `changed` parameter sets mean; `had` says whether there were others.
    fn parameters(&mut self, had: bool, changed: bool, out: &mut Outlet<'_, impl Sink>) {
        if !changed {
            return;
        }
        let sps = self.sets.sps().and_then(|sps| Sps::parse(sps).ok());
        self.size = sps.map(|sps| PictureSize { width: sps.width, height: sps.height });
        if had {
            self.segmenter.change(Track::Video, out);
        }
    }

    fn picture(&mut self, coded: Coded<'_>, out: &mut Outlet<'_, impl Sink>) {
        let had = !self.sets.is_empty();
        let gathered = self.unit.gather(coded.nals, &mut self.sets);
        self.parameters(had, self.unit.parameters_changed(), out);
        match gathered {
            // A message of its own for parameter sets is no fault.
            Err(UnitError::NoSlice { .. }) if self.unit.parameters_changed() => return,
            Err(_) => {
                out.status.add(Counter::MediaMalformed, 1);
                return;
            }
            Ok(()) => {}
        }
        if self.sets.is_empty() {
            out.status.add(Counter::MediaBeforeKeyframe, 1);
            return;
        }
        if coded.keyframe {
            self.unit.claim_keyframe(&self.sets);
        }
        let time = self.timeline.video(coded.at, coded.composition_ms);
        if time.jump {
            self.segmenter.jump(out);
        }
        let picture = Picture {
            dts: time.dts,
            pts: time.pts.plus(coded.offset),
            unit: &self.unit,
            data: coded.nals,
            sets: &self.sets,
        };
        self.segmenter.picture(&picture, out);
    }

    fn aac_config(&mut self, config: &[u8], out: &mut Outlet<'_, impl Sink>) {
        match AudioSpecificConfig::parse(config) {
            Ok(config) => self.set_audio(Audio::Aac(config), out),
            // Empty ones are sent by encoders that have nothing to say yet.
            Err(_) if config.is_empty() => {}
            Err(_) => out.status.add(Counter::MediaMalformed, 1),
        }
    }

    fn aac(&mut self, heard: Heard<'_>, out: &mut Outlet<'_, impl Sink>) {
        let frames = raw_frames(heard.data);
        if frames.has_adts()
            && let Ok(header) = AdtsHeader::parse(heard.data)
            && !matches!(self.audio, Audio::Aac(config) if config.frequency == header.frequency)
        {
            self.set_audio(Audio::Aac(header.config()), out);
        }
        let Audio::Aac(config) = self.audio else {
            out.status.add(Counter::MediaBeforeKeyframe, 1);
            return;
        };
        let (samples, rate) = (u32::from(config.samples_per_frame()), config.sample_rate());
        for (i, frame) in (0u32..).zip(frames) {
            let adts = match config.adts_header(frame.len()) {
                Ok(adts) => adts,
                Err(AacError::FrameTooLong(_)) => {
                    out.status.add(Counter::MediaMalformed, 1);
                    continue;
                }
                Err(cause) => {
                    self.unsupported(format_args!(
                        "audio AAC cannot be carried, {cause}: set the camera to AAC-LC"
                    ));
                    out.status.add(Counter::MediaUnsupported, 1);
                    return;
                }
            };
            let Some(place) = heard.place_of(frame) else { continue };
            let behind = u64::from(i) * u64::from(samples) * 1000 / u64::from(rate.max(1));
            let behind = u32::try_from(behind).unwrap_or(u32::MAX);
            let time = self.timeline.audio(heard.message.at.wrapping_add(behind), samples, rate);
            if time.jump {
                self.segmenter.jump(out);
            }
            let sound = Sound {
                pts: time.pts,
                dts: time.pts.minus(COMPOSITION_LEAD),
                duration: duration(samples, rate),
                adts: Some(adts),
                place,
                stream_type: STREAM_TYPE_AAC,
            };
            self.segmenter.sound(sound, out);
        }
    }

    /// MPEG audio goes on as it is, a PES packet need not begin with a frame: only the frames
    /// that begin in it count, and the time is that of the first one.
    fn mpa(&mut self, heard: Heard<'_>, out: &mut Outlet<'_, impl Sink>) {
        let mut frames = Frames::new(heard.data);
        let mut samples = 0;
        let mut first = None;
        for frame in frames.by_ref() {
            samples += u32::from(frame.header.samples());
            first = first.or(Some(frame.header));
        }
        if let Ok(header) = FrameHeader::parse(frames.rest()) {
            samples += u32::from(header.samples());
            first = first.or(Some(header));
        }
        if let Some(header) = first {
            let (sample_rate, stream_type) = (header.sample_rate, header.stream_type());
            self.set_audio(Audio::Mpa { sample_rate, stream_type }, out);
        }
        let Audio::Mpa { sample_rate, stream_type } = self.audio else {
            out.status.add(Counter::MediaMalformed, 1);
            return;
        };
        let Some(place) = heard.place_of(heard.data).filter(|place| !place.is_empty()) else {
            return;
        };
        let duration = duration(samples, sample_rate);
        if samples > 0 {
            let time = self.timeline.audio(heard.message.at, samples, sample_rate);
            if time.jump {
                self.segmenter.jump(out);
            }
            self.audio_next = time.pts;
        }
        let pts = self.audio_next;
        self.audio_next = pts.plus(duration);
        let dts = pts.minus(COMPOSITION_LEAD);
        let sound = Sound { pts, dts, duration, adts: None, place, stream_type };
        self.segmenter.sound(sound, out);
    }

    fn set_audio(&mut self, audio: Audio, out: &mut Outlet<'_, impl Sink>) {
        if self.audio != audio {
            if self.audio != Audio::None {
                self.segmenter.change(Track::Audio, out);
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
    /// Whether the encoder says that it is one.
    keyframe: bool,
    composition_ms: i32,
    offset: Ticks,
    nals: &'a [u8],
}

/// Audio as it came: a message, its payload, and the codec's part of that.
#[derive(Clone, Copy)]
struct Heard<'a> {
    message: Message,
    payload: &'a [u8],
    data: &'a [u8],
}

impl Heard<'_> {
    /// The place in the ring of `part`, which lies inside the payload.
    fn place_of(&self, part: &[u8]) -> Option<Place> {
        let from = part.as_ptr().addr().checked_sub(self.payload.as_ptr().addr())?;
        self.message.place.part(from, part.len())
    }
}

fn duration(samples: u32, rate: u32) -> Ticks {
    Ticks(i64::from(samples) * TICKS_PER_SECOND / i64::from(rate.max(1)))
}
