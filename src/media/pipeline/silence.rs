//! Silence in place of audio that stops.
//!
//! A camera may lose its sound and send pictures alone, for a while or from its next start on. A
//! program that loses a track is legal behind a discontinuity, but a browser that has begun with
//! sound waits for it for good (seen with Chromium's own HLS and with hls.js, 2026-11). So audio
//! that has once been heard goes on as frames that say nothing, in the encoding that was heard
//! last, until it comes back: AAC and layer III, whose silence can be written without an encoder.
//! Other codecs stop, as they do in the source.
//!
//! Counts samples like any audio; keeps a little behind the pictures, so that sound that is only
//! late is still heard. How late a sender's sound may be is learnt from the sender: where it keeps
//! step, silence comes soon enough for the clock of the program.
//! Source: ISO/IEC 14496-3 §4.4.2.1; ISO/IEC 11172-3 §2.4.1.7.

use crate::limits::{
    AUDIO_MISSED_TICKS_MAX, AUDIO_MISSED_TICKS_MIN, SILENCE_AHEAD_TICKS, SILENT_FRAMES_AT_ONCE,
};
use crate::media::carriage::AudioFormat;
use crate::media::pipeline::Pipeline;
use crate::media::pipeline::sounds::{Audio, COMPOSITION_LEAD, duration};
use crate::media::segmenter::{Outlet, Prefix, Silent, Sound};
use crate::media::sink::Sink;
use crate::status::Counter;
use crate::storage::Place;
use crate::time::Ticks;
use crate::wire::aac::AudioSpecificConfig;
use crate::wire::mpa::{self, FrameHeader};

/// Audio that was heard: what its silence is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Last {
    /// AAC, and what it is in segments.
    Aac(AudioSpecificConfig, AudioFormat),
    /// MPEG audio that began with this header.
    Mpeg([u8; mpa::HEADER_BYTES], AudioFormat),
}

/// A silent frame of the track.
#[derive(Clone, Copy, Debug)]
struct Form {
    audio: Audio,
    frame: Silent,
    format: AudioFormat,
    samples: u32,
    rate: u32,
}

/// What is known of a stream's audio, and how far it goes.
#[derive(Debug)]
pub(super) struct Silence {
    wanted: bool,
    /// What was heard last, over all publishers.
    last: Option<Last>,
    /// Where audio ends, on the scale of decode times, and silent frames since then.
    end: Option<Ticks>,
    frames: u32,
    /// Decode time of the last picture.
    picture: Ticks,
    /// How far this publisher's audio has been behind its pictures; `None` before it is heard.
    late: Option<Ticks>,
    /// The frame that stands for audio now, and how far it stays behind the pictures.
    fills: Option<(Form, Ticks)>,
}

impl Silence {
    pub(super) const fn new() -> Self {
        Self {
            wanted: false,
            last: None,
            end: None,
            frames: 0,
            picture: Ticks::ZERO,
            late: None,
            fills: None,
        }
    }

    /// Nothing continues from here on.
    pub(super) const fn break_off(&mut self) {
        self.end = None;
        self.frames = 0;
        self.fills = None;
    }

    /// What playlists call the encoding that was heard last.
    pub(super) fn name(&self) -> Option<&'static str> {
        Form::of(self.last?)?.audio.name()
    }

    /// How far behind the pictures audio must be to have stopped.
    fn patience(&self, announced: bool) -> Ticks {
        let twice = |late: Ticks| late.plus(late).plus(SILENCE_AHEAD_TICKS);
        let unheard = if announced { AUDIO_MISSED_TICKS_MAX } else { AUDIO_MISSED_TICKS_MIN };
        self.late.map_or(unheard, twice).clamp(AUDIO_MISSED_TICKS_MIN, AUDIO_MISSED_TICKS_MAX)
    }

    /// Where audio ends so far, with silent frames of `form`.
    fn until(&self, form: &Form) -> Option<Ticks> {
        let samples = i64::from(self.frames) * i64::from(form.samples);
        Some(self.end?.plus(duration(samples, form.rate)))
    }
}

impl Form {
    /// Silence in the encoding of `last`; none where it cannot be written.
    fn of(last: Last) -> Option<Self> {
        match last {
            Last::Aac(config, format) => {
                let body = config.silent_frame()?;
                let adts = config.adts_header(body.len()).ok()?;
                Some(Self {
                    audio: Audio::Aac(config),
                    frame: Silent::new([&adts, &body], 0)?,
                    format,
                    samples: config.samples_per_frame().into(),
                    rate: config.sample_rate(),
                })
            }
            Last::Mpeg(like, format) => {
                let (head, header) = FrameHeader::silent(like)?;
                let zeros = header.frame_bytes().checked_sub(head.len())?;
                Some(Self {
                    audio: Audio::Plain { sample_rate: header.sample_rate, format },
                    frame: Silent::new([&head, &[]], zeros)?,
                    format,
                    samples: header.samples().into(),
                    rate: header.sample_rate,
                })
            }
        }
    }
}

impl Pipeline {
    /// Lets audio that stops go on as silence, or not. Begins so: not.
    pub const fn fill_silence(&mut self, wanted: bool) {
        self.silence.wanted = wanted;
    }

    /// Audio is heard from `from` to `to`, on the scale of decode times; `last` is what its silence
    /// would be made of. `false`: silence has been written for that time, and it must be dropped.
    pub(super) fn hears(
        &mut self,
        last: Option<Last>,
        (from, to): (Ticks, Ticks),
        out: &mut Outlet<'_, impl Sink>,
    ) -> bool {
        if let Some((form, _)) = self.silence.fills {
            let half = Ticks(to.minus(from).0 / 2);
            if self.silence.until(&form).is_some_and(|until| from.plus(half) < until) {
                out.status.add(Counter::MediaOverSilence, 1);
                return false;
            }
            self.silence_until(from.plus(half), out);
            self.silence.fills = None;
            self.retract(STOPPED);
        } else {
            let late = self.silence.picture.minus(to).max(Ticks::ZERO);
            self.silence.late = Some(self.silence.late.map_or(late, |most| most.max(late)));
        }
        if self.silence.wanted {
            self.silence.last = last;
        }
        self.silence.end = Some(to);
        self.silence.frames = 0;
        true
    }

    /// No audio was ever heard.
    pub(super) const fn forget_silence(&mut self) {
        self.silence = Silence { wanted: self.silence.wanted, ..Silence::new() };
    }

    /// A picture is about to be written: audio that is far behind it has stopped.
    pub(super) fn keep_sounding(&mut self, dts: Ticks, out: &mut Outlet<'_, impl Sink>) {
        self.silence.picture = dts;
        let Some(last) = self.silence.last else { return };
        let end = *self.silence.end.get_or_insert(dts);
        if self.silence.fills.is_none() {
            let patience = self.silence.patience(self.audio != Audio::None);
            if dts.minus(end) < patience {
                return;
            }
            self.fall_silent(last, patience, (end, dts));
        }
        if let Some((_, behind)) = self.silence.fills {
            self.silence_until(dts.minus(behind), out);
        }
    }

    /// Audio ended at `end` and is missed at `dts`: silence begins, if there is one.
    fn fall_silent(&mut self, last: Last, patience: Ticks, (end, dts): (Ticks, Ticks)) {
        let last = match self.audio {
            // Announced, and then nothing came: what comes will be like that.
            Audio::Aac(config) => self.aac_format(&config).map(|format| Last::Aac(config, format)),
            Audio::None | Audio::Plain { .. } | Audio::Mute => Some(last),
        };
        let Some(form) = last.and_then(Form::of) else { return };
        self.silence.last = last;
        self.silence.fills = Some((form, patience.minus(SILENCE_AHEAD_TICKS)));
        if self.silence.late.is_none() {
            // Waited for in vain since the first picture, whose clock is long past.
            self.silence.end = Some(end.max(dts.minus(AUDIO_MISSED_TICKS_MIN)));
        }
        if self.audio == Audio::None {
            self.audio = form.audio;
        }
        self.tell(format_args!("{STOPPED}"));
    }

    /// The next publisher may keep time in another way.
    pub(super) const fn forget_lateness(&mut self) {
        self.silence.late = None;
    }

    /// What continues ends here: silence goes to the end of the last picture.
    pub(super) fn end_silence(&mut self, out: &mut Outlet<'_, impl Sink>) {
        self.silence_until(self.silence.picture, out);
        self.silence.break_off();
    }

    /// Writes frames that end at `until` or before, while silence stands for audio.
    fn silence_until(&mut self, until: Ticks, out: &mut Outlet<'_, impl Sink>) {
        let Some((form, _)) = self.silence.fills else { return };
        let duration = duration(form.samples.into(), form.rate);
        for _ in 0..SILENT_FRAMES_AT_ONCE {
            let Some(dts) = self.silence.until(&form) else { return };
            if dts.plus(duration) > until {
                return;
            }
            self.silence.frames += 1;
            let (pts, prefix) = (dts.plus(COMPOSITION_LEAD), Prefix::Silent(form.frame));
            let (place, format) = (Place::NOWHERE, form.format);
            self.segmenter.sound(Sound { pts, dts, duration, prefix, place, format }, out);
            out.status.add(Counter::MediaSilence, 1);
        }
        // Further behind than that, nobody would hear the rest in time.
        self.silence.end = Some(until);
        self.silence.frames = 0;
    }
}

/// What the page says meanwhile.
const STOPPED: &str = "the camera sends no sound any more: silence goes on in its place";
