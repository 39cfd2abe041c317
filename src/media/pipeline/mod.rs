//! From messages to segments: one stream's whole way through the media layer.
//!
//! ```text
//! message ─► demux ─► timeline ─► segmenter ─► mux ─► sink
//! ```
//!
//! Watches configurations: a new one begins a segment behind a discontinuity, the same one again
//! is nothing. Tells in plain words which track cannot be carried and what to set the camera to.
//! Holds no payload: that stays in the stream's ring until it is laid into packets.
//!
//! H.264 and HEVC, AAC, MPEG audio, AC-3, E-AC-3 and Opus are carried; of several tracks one each.
//! Audio that stops goes on as silence where that is wanted (`silence`).

mod detail;
mod silence;
mod sounds;
mod timed;

use crate::limits::{PARAMETER_BYTES_MAX, STREAM_PROBLEM_BYTES_MAX, TIMELINE_EPOCH};
use crate::media::annexb::{AccessUnit, ParameterSets, UnitError};
use crate::media::carriage::VideoFormat;
use crate::media::codecs::{Encoding, VideoEncoding};
use crate::media::demux::{self, Choice, Parts, Unit};
use crate::media::mux::Track;
use crate::media::pipeline::detail::{audio_detail, video_detail};
use crate::media::pipeline::silence::Silence;
use crate::media::pipeline::sounds::{Audio, COMPOSITION_LEAD, Heard};
use crate::media::segmenter::{Outlet, Picture, Segmenter};
use crate::media::sink::{Note, Sink};
use crate::media::timeline::Timeline;
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, Place};
use crate::time::{Millis, Ticks};
use crate::wire::h264::{self, AvcConfig, AvcConfigError};
use crate::wire::hevc::{self, HevcConfig, HevcConfigError};
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
    silence: Silence,
    video_track: Choice,
    audio_track: Choice,
    carries_metadata: bool,
    /// The samples of segments are encrypted.
    protects: bool,
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
            silence: Silence::new(),
            video_track: Choice::new(None),
            audio_track: Choice::new(None),
            carries_metadata: false,
            protects: false,
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
        let taken_apart = if message.video {
            demux::video(payload, &mut self.video_track)
        } else {
            demux::audio(payload, &mut self.audio_track)
        };
        let origin = sink.share().and_then(|share| share.origin(message.at));
        self.timeline.offer(origin);
        let mut out = Outlet { ring, sink, status };
        match taken_apart {
            Ok(parts) => {
                status.add(Counter::MediaOtherTracks, u64::from(parts.others));
                self.unit(message, payload, parts, &mut out);
            }
            Err(_) => status.add(Counter::MediaMalformed, 1),
        }
        if let Some(mut share) = sink.share()
            && let Some(last) = self.timeline.last()
        {
            share.heard(last, self.timeline.end().minus(COMPOSITION_LEAD));
        }
        self.timeline.report(status);
    }

    /// Chooses which tracks go on where a sender has several: by number, or the first that comes.
    /// Holds from the next publisher on, and for this one as long as nothing of it has come.
    pub const fn choose(&mut self, video_track: Option<u8>, audio_track: Option<u8>) {
        self.video_track.wish(video_track);
        self.audio_track.wish(audio_track);
    }

    /// Chooses whether a stream without video is packed audio; holds from the next publisher on.
    pub const fn pack_audio(&mut self, packs: bool) {
        self.segmenter.pack(packs);
    }

    /// Presentation time of data that has this time on the wire, once there is audio or video.
    #[must_use]
    pub fn moment(&self, at: Millis) -> Option<Ticks> {
        self.timeline.moment(at)
    }

    /// Segments carry encrypted samples: what cannot be encrypted is dropped and said so. The sink
    /// has the ciphers.
    pub const fn protect(&mut self) {
        self.protects = true;
    }

    /// The publisher has left: the last segment ends. What comes next is behind a discontinuity.
    pub fn leave(&mut self, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        let mut out = Outlet { ring, sink, status };
        self.end_silence(&mut out);
        self.forget_lateness();
        self.segmenter.leave(&mut out);
        self.timeline.restart();
        self.video_track.release();
        self.audio_track.release();
        self.sets.clear();
        self.size = None;
        self.audio = Audio::None;
        self.problem.clear();
        sink.note(Note::Encoding(&Encoding::UNKNOWN));
    }

    /// The place is another stream's from now on: nothing of the one before is remembered. Its
    /// publisher has left.
    pub fn forget(&mut self) {
        self.forget_silence();
        self.segmenter.forget();
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

    fn unit(
        &mut self,
        message: Message,
        payload: &[u8],
        Parts { unit, offset, .. }: Parts<'_>,
        out: &mut Outlet<'_, impl Sink>,
    ) {
        let heard = |data| Heard { message, payload, data, offset };
        match unit {
            Unit::VideoConfig(format, record) => self.video_config(format, record, out),
            Unit::Picture { format, keyframe, composition_ms, nals } => {
                let at = message.at;
                let picture = Coded { format, at, keyframe, composition_ms, offset, nals };
                self.picture(picture, out);
            }
            Unit::AacConfig(config) => self.aac_config(config, out),
            Unit::Aac(data) => self.aac(heard(data), out),
            Unit::Mp3(data) => self.mpa(heard(data), out),
            Unit::Ac3(data) => self.ac3(heard(data), out),
            Unit::OpusConfig(config) => self.opus_config(config, out),
            Unit::Opus(data) => self.opus(heard(data), out),
            Unit::Nothing => {}
            Unit::ChannelOrder(codec) => {
                self.tell(format_args!(
                    "audio {codec} has channels in an order of its own, which are heard in the \
                     order of the codec: set the camera to stereo"
                ));
                out.status.add(Counter::MediaUnsupported, 1);
            }
            Unit::OtherVideo(codec, config) => {
                self.tell(format_args!(
                    "video {codec}{} cannot be carried: set the camera to H.264 or HEVC",
                    video_detail(codec, config)
                ));
                out.status.add(Counter::MediaUnsupported, 1);
            }
            Unit::OtherAudio(codec, config) => {
                self.tell(format_args!(
                    "audio {codec}{} cannot be carried: set the camera to AAC",
                    audio_detail(codec, config)
                ));
                out.status.add(Counter::MediaUnsupported, 1);
            }
        }
    }

    fn video_config(
        &mut self,
        format: VideoFormat,
        record: &[u8],
        out: &mut Outlet<'_, impl Sink>,
    ) {
        if !self.may_carry(format, out) {
            return;
        }
        let had = !self.sets.is_empty();
        match self.read_config(format, record) {
            Some(Ok(changed)) => {
                self.segmenter.expect_video();
                self.parameters(had, changed, out);
            }
            Some(Err(_)) | None => out.status.add(Counter::MediaMalformed, 1),
        }
    }

    /// Takes over a configuration; `None` if it is none.
    fn read_config(
        &mut self,
        format: VideoFormat,
        record: &[u8],
    ) -> Option<Result<bool, UnitError>> {
        match format {
            VideoFormat::H264 => match AvcConfig::parse(record) {
                Ok(config) => Some(self.sets.set(&config)),
                Err(AvcConfigError::AnnexB) => Some(self.sets.set_annexb(format, record)),
                Err(_) => None,
            },
            VideoFormat::Hevc => match HevcConfig::parse(record) {
                Ok(config) => Some(self.sets.set_hevc(&config)),
                Err(HevcConfigError::AnnexB) => Some(self.sets.set_annexb(format, record)),
                Err(_) => None,
            },
        }
    }

    /// Notes what `changed` parameter sets mean; `had` says whether there were others.
    fn parameters(&mut self, had: bool, changed: bool, out: &mut Outlet<'_, impl Sink>) {
        if !changed {
            return;
        }
        self.size = self.sets.sps().and_then(|sps| size(self.sets.format(), sps));
        self.describe(out.sink);
        if had {
            self.segmenter.change(Track::Video, out);
        }
    }

    fn picture(&mut self, coded: Coded<'_>, out: &mut Outlet<'_, impl Sink>) {
        if !self.may_carry(coded.format, out) {
            return;
        }
        if self.sets.turn_to(coded.format) {
            self.segmenter.change(Track::Video, out);
        }
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
            self.jump(out);
        }
        self.keep_sounding(time.dts, out);
        let picture = Picture {
            dts: time.dts,
            pts: time.pts.plus(coded.offset),
            unit: &self.unit,
            data: coded.nals,
            sets: &self.sets,
        };
        self.segmenter.picture(&picture, out);
    }

    /// Whether pictures of `format` can go on: where samples are encrypted, H.264 alone can be.
    fn may_carry(&mut self, format: VideoFormat, out: &mut Outlet<'_, impl Sink>) -> bool {
        let may = !self.protects || format == VideoFormat::H264;
        if !may {
            self.cannot_protect("video HEVC", "H.264", out.status);
        }
        may
    }

    /// A track is dropped, since it would go on in clear.
    fn cannot_protect(&mut self, track: &str, instead: &str, status: &Status) {
        self.tell(format_args!(
            "{track} cannot be encrypted by samples: set the camera to {instead}, or \
             hls.encryption to aes-128"
        ));
        status.add(Counter::MediaUnsupported, 1);
    }

    /// Tells the sink how the tracks are encoded.
    fn describe(&self, sink: &mut impl Sink) {
        let sps = self.sets.sps();
        let video = sps.and_then(|sps| VideoEncoding::of(self.sets.format(), sps));
        // Silence may stand for audio that nobody announced this time.
        let audio = self.audio.name().or_else(|| self.silence.name());
        sink.note(Note::Encoding(&Encoding { video, audio }));
    }

    /// Timestamps stop continuing here.
    fn jump(&mut self, out: &mut Outlet<'_, impl Sink>) {
        self.end_silence(out);
        self.segmenter.jump(out);
    }

    /// Takes back what was said, if it was this.
    fn retract(&mut self, text: &str) {
        if self.problem == text {
            self.problem.clear();
        }
    }

    /// Says what is wrong, if nothing else has been said.
    fn tell(&mut self, text: core::fmt::Arguments<'_>) {
        if self.problem.is_empty() {
            // A text that is too long ends early; it still names the codec.
            let written = self.problem.write_fmt(text);
            debug_assert!(written.is_ok());
        }
    }
}

/// A picture as it came.
#[derive(Clone, Copy)]
struct Coded<'a> {
    format: VideoFormat,
    at: Millis,
    /// Whether the encoder says that it is one.
    keyframe: bool,
    composition_ms: i32,
    offset: Ticks,
    nals: &'a [u8],
}

/// Size of the picture that a sequence parameter set says.
fn size(format: VideoFormat, sps: &[u8]) -> Option<PictureSize> {
    let (width, height) = match format {
        VideoFormat::H264 => h264::Sps::parse(sps).map(|sps| (sps.width, sps.height)).ok()?,
        VideoFormat::Hevc => hevc::Sps::parse(sps).map(|sps| (sps.width, sps.height)).ok()?,
    };
    Some(PictureSize { width, height })
}
