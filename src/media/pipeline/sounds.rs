//! The audio half of the pipeline: from messages to frames with their time.
//!
//! All but MPEG audio goes on frame by frame, timed by counting samples; what a codec needs in
//! front of a frame is made here. Holds no payload.
//! Source: ISO/IEC 14496-3 §1.A.2.2; ISO/IEC 11172-3 §2.4; ATSC A/52; RFC 6716 §3.1.

use crate::limits::{AUDIO_FRAMES_PER_MESSAGE_MAX, COMPOSITION_LEAD_MS};
use crate::media::carriage::AudioFormat;
use crate::media::codecs::{aac_name, audio_name};
use crate::media::mux::Track;
use crate::media::pipeline::silence::Last;
use crate::media::pipeline::{Message, Pipeline};
use crate::media::protected::ProtectedAudio;
use crate::media::segmenter::{Outlet, Prefix, Sound};
use crate::media::sink::Sink;
use crate::status::Counter;
use crate::storage::Place;
use crate::time::{TICKS_PER_SECOND, Ticks};
use crate::wire::aac::{AacError, AdtsHeader, AudioSpecificConfig, raw_frames};
use crate::wire::mpa::{FrameHeader, Frames};
use crate::wire::opus::{self, ControlHeader, OpusHead};
use crate::wire::{ac3, mpa};

/// What the audio track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audio {
    None,
    Aac(AudioSpecificConfig),
    /// Any other; packets need nothing but this.
    Plain {
        sample_rate: u32,
        format: AudioFormat,
    },
    /// Opus in channels that cannot be said.
    Mute,
}

impl Audio {
    /// What playlists call it.
    pub(super) const fn name(&self) -> Option<&'static str> {
        match self {
            Self::None | Self::Mute => None,
            Self::Aac(config) => Some(aac_name(config)),
            Self::Plain { format, .. } => Some(audio_name(*format)),
        }
    }
}

impl Pipeline {
    pub(super) fn aac_config(&mut self, config: &[u8], out: &mut Outlet<'_, impl Sink>) {
        match AudioSpecificConfig::parse(config) {
            Ok(config) => self.set_audio(Audio::Aac(config), out),
            // Empty ones are sent by encoders that have nothing to say yet.
            Err(_) if config.is_empty() => {}
            Err(_) => out.status.add(Counter::MediaMalformed, 1),
        }
    }

    pub(super) fn aac(&mut self, heard: Heard<'_>, out: &mut Outlet<'_, impl Sink>) {
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
        let Some(format) = self.aac_format(&config) else {
            self.cannot_protect("audio AAC of this kind", "AAC-LC", out.status);
            return;
        };
        let (samples, rate) = (u32::from(config.samples_per_frame()), config.sample_rate());
        for (i, frame) in (0u32..).zip(frames) {
            if i >= AUDIO_FRAMES_PER_MESSAGE_MAX {
                out.status.add(Counter::MediaMalformed, 1);
                break;
            }
            let adts = match config.adts_header(frame.len()) {
                Ok(adts) => adts,
                Err(AacError::FrameTooLong(_)) => {
                    out.status.add(Counter::MediaMalformed, 1);
                    continue;
                }
                Err(cause) => {
                    self.tell(format_args!(
                        "audio AAC cannot be carried, {cause}: set the camera to AAC-LC"
                    ));
                    out.status.add(Counter::MediaUnsupported, 1);
                    return;
                }
            };
            let behind = after(i.saturating_mul(samples), rate);
            let last = Lasting { behind, samples, rate };
            self.frame(heard, frame, last, (Prefix::Adts(adts), format), out);
        }
    }

    /// What AAC of `config` is in segments; none if it cannot be said.
    pub(super) fn aac_format(&self, config: &AudioSpecificConfig) -> Option<AudioFormat> {
        if self.protects {
            return ProtectedAudio::aac(config).map(AudioFormat::Protected);
        }
        Some(AudioFormat::Aac)
    }

    /// MPEG audio goes on as it is, a PES packet need not begin with a frame: only the frames
    /// that begin in it count, and the time is that of the first one.
    pub(super) fn mpa(&mut self, heard: Heard<'_>, out: &mut Outlet<'_, impl Sink>) {
        if self.protects {
            self.cannot_protect("audio MP3", "AAC", out.status);
            return;
        }
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
            let half_rate = header.version != mpa::Version::Mpeg1;
            let (sample_rate, format) = (header.sample_rate, AudioFormat::Mpeg { half_rate });
            self.set_audio(Audio::Plain { sample_rate, format }, out);
        }
        let Audio::Plain { sample_rate, format: format @ AudioFormat::Mpeg { .. } } = self.audio
        else {
            out.status.add(Counter::MediaMalformed, 1);
            return;
        };
        let Some(place) = heard.place_of(heard.data).filter(|place| !place.is_empty()) else {
            return;
        };
        let duration = duration(samples.into(), sample_rate);
        if samples > 0 {
            let (at, offset) = (heard.message.at, heard.offset);
            let time = self.timeline.audio_at(at, offset, samples, sample_rate);
            if time.jump {
                self.jump(out);
            }
            self.audio_next = time.pts;
        }
        let pts = self.audio_next;
        self.audio_next = pts.plus(duration);
        let dts = pts.minus(COMPOSITION_LEAD);
        let last = heard.data.first_chunk().map(|like| Last::Mpeg(*like, format));
        if self.hears(last, (dts, dts.plus(duration)), out) {
            let sound = Sound { pts, dts, duration, prefix: Prefix::None, place, format };
            self.segmenter.sound(sound, out);
        }
    }

    /// AC-3 and E-AC-3 say in each frame what they are; whole frames go on as they came.
    pub(super) fn ac3(&mut self, heard: Heard<'_>, out: &mut Outlet<'_, impl Sink>) {
        let mut units = ac3::units(heard.data);
        let mut passed = 0;
        for (i, unit) in (0u32..).zip(units.by_ref()) {
            if i >= AUDIO_FRAMES_PER_MESSAGE_MAX {
                out.status.add(Counter::MediaMalformed, 1);
                return;
            }
            let Some(format) = self.ac3_format(&unit) else { continue };
            let (samples, rate) = (u32::from(unit.header.samples), unit.header.sample_rate);
            self.set_audio(Audio::Plain { sample_rate: rate, format }, out);
            let lasting = Lasting { behind: after(passed, rate), samples, rate };
            passed += samples;
            self.frame(heard, unit.bytes, lasting, (Prefix::None, format), out);
        }
        if !units.rest().is_empty() || passed == 0 {
            out.status.add(Counter::MediaMalformed, 1);
        }
    }

    /// What an access unit is in segments; none if that cannot be said.
    fn ac3_format(&self, unit: &ac3::Unit<'_>) -> Option<AudioFormat> {
        if self.protects {
            let track = ProtectedAudio::ac3(unit.bytes)?;
            return Some(AudioFormat::Protected(match self.audio {
                Audio::Plain { format: AudioFormat::Protected(before), .. } => track.or(before),
                Audio::Plain { .. } | Audio::None | Audio::Aac(_) | Audio::Mute => track,
            }));
        }
        Some(match unit.header.kind {
            ac3::Kind::Ac3 => AudioFormat::Ac3,
            ac3::Kind::Eac3 { .. } => AudioFormat::Eac3,
        })
    }

    pub(super) fn opus_config(&mut self, head: &[u8], out: &mut Outlet<'_, impl Sink>) {
        // An empty one says nothing; packets of one or two channels need none.
        if head.is_empty() {
            return;
        }
        match OpusHead::parse(head).map(|head| head.channel_configuration()) {
            Ok(Ok(channels)) => self.set_audio(opus_audio(channels), out),
            Ok(Err(cause)) => {
                self.set_audio(Audio::Mute, out);
                self.tell(format_args!(
                    "audio Opus cannot be carried, {cause}: set the camera to stereo"
                ));
                out.status.add(Counter::MediaUnsupported, 1);
            }
            Err(_) => out.status.add(Counter::MediaMalformed, 1),
        }
    }

    pub(super) fn opus(&mut self, heard: Heard<'_>, out: &mut Outlet<'_, impl Sink>) {
        if self.protects {
            self.cannot_protect("audio Opus", "AAC", out.status);
            return;
        }
        let (format, rate) = match self.audio {
            Audio::Plain { format: format @ AudioFormat::Opus { .. }, sample_rate } => {
                (format, sample_rate)
            }
            Audio::Mute => {
                out.status.add(Counter::MediaUnsupported, 1);
                return;
            }
            Audio::None | Audio::Aac(_) | Audio::Plain { .. } => {
                // Nobody said; a decoder for two channels takes one as well.
                self.set_audio(opus_audio(2), out);
                (AudioFormat::Opus { channels: 2 }, opus::SAMPLE_RATE)
            }
        };
        let header = ControlHeader::new(heard.data.len());
        let (Ok(samples), Ok(header)) = (opus::packet_samples(heard.data), header) else {
            out.status.add(Counter::MediaMalformed, 1);
            return;
        };
        let lasting = Lasting { behind: 0, samples: u32::from(samples), rate };
        self.frame(heard, heard.data, lasting, (Prefix::Opus(header), format), out);
    }

    /// Places a frame whose bytes are `part` of the message.
    fn frame(
        &mut self,
        heard: Heard<'_>,
        part: &[u8],
        Lasting { behind, samples, rate }: Lasting,
        (prefix, format): (Prefix, AudioFormat),
        out: &mut Outlet<'_, impl Sink>,
    ) {
        let Some(place) = heard.place_of(part) else { return };
        let at = heard.message.at.wrapping_add(behind);
        let time = self.timeline.audio_at(at, heard.offset, samples, rate);
        if time.jump {
            self.jump(out);
        }
        let (pts, dts) = (time.pts, time.pts.minus(COMPOSITION_LEAD));
        let duration = duration(samples.into(), rate);
        let last = match self.audio {
            Audio::Aac(config) => Some(Last::Aac(config, format)),
            Audio::None | Audio::Plain { .. } | Audio::Mute => None,
        };
        if self.hears(last, (dts, dts.plus(duration)), out) {
            let sound = Sound { pts, dts, duration, prefix, place, format };
            self.segmenter.sound(sound, out);
        }
    }

    fn set_audio(&mut self, audio: Audio, out: &mut Outlet<'_, impl Sink>) {
        if self.audio != audio {
            if self.audio != Audio::None {
                self.segmenter.change(Track::Audio, out);
            }
            self.audio = audio;
            self.describe(out.sink);
        }
    }
}

/// What presentation is later than decoding, on this timeline.
pub(super) const COMPOSITION_LEAD: Ticks = Ticks::from_millis(COMPOSITION_LEAD_MS);

/// Audio as it came: a message, its payload, and the codec's part of that.
#[derive(Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) message: Message,
    pub(super) payload: &'a [u8],
    pub(super) data: &'a [u8],
    /// To add to the time of the message.
    pub(super) offset: Ticks,
}

/// When a frame sounds, and for how long.
#[derive(Clone, Copy)]
struct Lasting {
    /// Milliseconds after the message's time.
    behind: u32,
    samples: u32,
    rate: u32,
}

impl Heard<'_> {
    /// The place in the ring of `part`, which lies inside the payload.
    fn place_of(&self, part: &[u8]) -> Option<Place> {
        let from = part.as_ptr().addr().checked_sub(self.payload.as_ptr().addr())?;
        self.message.place.part(from, part.len())
    }
}

const fn opus_audio(channels: u8) -> Audio {
    Audio::Plain { sample_rate: opus::SAMPLE_RATE, format: AudioFormat::Opus { channels } }
}

/// Milliseconds that `samples` last.
fn after(samples: u32, rate: u32) -> u32 {
    u32::try_from(u64::from(samples) * 1000 / u64::from(rate.max(1))).unwrap_or(u32::MAX)
}

/// Time that `samples` last.
pub(super) fn duration(samples: i64, rate: u32) -> Ticks {
    Ticks(samples * TICKS_PER_SECOND / i64::from(rate.max(1)))
}
