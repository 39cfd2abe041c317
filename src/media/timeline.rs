//! Maps the wire's wrapping milliseconds of one stream to 90 kHz ticks that never go back.
//!
//! ```text
//!             wire ms                            ticks
//!  video at ──► step ──► position ──► clamp ──► dts ──► + lead + composition ──► pts
//!  audio at ──► step ──► position ──► sample count ───► + lead ────────────────► pts
//! ```
//!
//! * **Step.** A track's position moves by the signed difference of its own timestamps times 90,
//!   exactly: nothing accumulates. A difference that is a continuous step once a known wrap is
//!   added (24-bit ms, 2^32 and 2^33 ticks, 31-bit ms; 32-bit ms wraps by itself) is that step.
//!   Both tracks cross a wrap each for itself, at whatever message it comes.
//! * **Tracks.** The second track to appear is placed by its distance from the first on the wire:
//!   the sender's own relation. Further apart than `TRACKS_APART_MS_MAX` they do not share a
//!   clock: the second is placed where the first stands on arrival (see *Drift*).
//! * **Jump.** More than `TIME_GAP_MS_MAX` ahead or `TIME_REGRESS_MS_MAX` behind. Where the other
//!   track stands at the new time without having jumped, it was a gap of this track alone and
//!   goes on without discontinuity. Otherwise the track goes on at the end of all that was placed,
//!   `jump` is set, and the other track follows with its relation kept, without a `jump` of its
//!   own; should it then start before its own last sample, both move on together.
//! * **Lead.** Presentation is `COMPOSITION_LEAD_MS` later than decoding for video and audio alike,
//!   from the first sample on, so that a negative composition time needs no correction.
//! * **Audio** is counted in samples from an anchor, rounded once per frame. The anchor moves when
//!   the wire is `AUDIO_DRIFT_MS_MAX` ahead (lost audio), or behind for `AUDIO_BEHIND_MS_MAX`.
//! * **Drift.** Two separate clocks run apart by their crystals. The distance of the two positions
//!   on arrival is averaged over about 256 audio frames; what the average was after 512 is the
//!   target, and audio is moved towards it by 1 tick in 1000 (at most 0.1 %) while the average is
//!   over 10 ms away. Video is never moved. Distances over a second off (a stalled track) are not
//!   averaged.
//!
//! Reads no clock, knows no codec; it does not decide where segments are cut.
//! Source: RTMP 1.0 §4 (serial arithmetic), FLV E.4.3.1 (composition time), H.222.0 §2.7.4.

use crate::limits::{
    AUDIO_EARLY_MS, COMPOSITION_LEAD_MS, COMPOSITION_MS_MAX, COMPOSITION_MS_MIN, FRAME_MS_DEFAULT,
    JUMP_FOLLOW_MS_MAX, TIME_GAP_MS_MAX, TIME_REGRESS_MS_MAX, TRACKS_APART_MS_MAX,
};
use crate::media::sample_count::{SampleCount, Skew};
use crate::status::{Counter, Status};
use crate::time::{Millis, TICKS_PER_SECOND, Ticks};

/// When one video access unit decodes and shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoTime {
    /// Decode time; strictly increasing over the life of the timeline.
    pub dts: Ticks,
    /// Presentation time; never before `dts`.
    pub pts: Ticks,
    /// Whether the sender's time starts anew here: a discontinuity.
    pub jump: bool,
}

/// When one audio frame (or the first of a message) sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioTime {
    /// Presentation time; strictly increasing over the life of the timeline.
    pub pts: Ticks,
    /// Whether the sender's time starts anew here: a discontinuity.
    pub jump: bool,
}

/// What the timeline had to do to the sender's time, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Discontinuities, restarts included.
    pub jumps: u64,
    /// Wraps passed, per track.
    pub wraps: u64,
    /// Samples moved to 1 ms after the one before.
    pub clamped: u64,
    /// Composition times taken as 0.
    pub composition_refused: u64,
    /// Corrections of the audio anchor.
    pub reanchored: u64,
}

/// The time of one stream: one video and one audio track, each optional.
#[derive(Clone, Debug)]
pub struct Timeline {
    video: Track,
    audio: Track,
    count: SampleCount,
    skew: Skew,
    /// The last jump, which the other track may still have to follow.
    jump: Option<Jump>,
    generation: u64,
    started: bool,
    /// The largest end placed, on the presentation axis.
    end: i64,
    /// Where the next sample goes on if the sender's time starts anew with it; `end` if not said.
    origin: Option<Ticks>,
    /// Duration of the last video frame.
    frame: i64,
    counts: Counts,
    reported: Counts,
}

impl Timeline {
    /// Starts so that the first sample decodes at `epoch` and shows a lead later. `epoch` lies
    /// within ±2^61, so that a century can follow.
    #[must_use]
    pub fn new(epoch: Ticks) -> Self {
        Self {
            video: Track::new(epoch.0),
            audio: Track::new(epoch.0 - AUDIO_EARLY_MS * TICKS_PER_MS),
            count: SampleCount::new(epoch.0),
            skew: Skew::OneClock,
            jump: None,
            generation: 0,
            started: false,
            end: epoch.0 + LEAD,
            origin: None,
            frame: FRAME_MS_DEFAULT * TICKS_PER_MS,
            counts: Counts::default(),
            reported: Counts::default(),
        }
    }

    /// Places one access unit: `at` is its decode time, `composition_ms` what presentation is
    /// later.
    pub fn video(&mut self, at: Millis, composition_ms: i32) -> VideoTime {
        let spot = self.place(Kind::Video, at);
        let mut composition_ms = i64::from(composition_ms);
        if !(COMPOSITION_MS_MIN..=COMPOSITION_MS_MAX).contains(&composition_ms) {
            self.counts.composition_refused += 1;
            composition_ms = 0;
        }
        let composition = composition_ms * TICKS_PER_MS;
        let step = spot.position - self.video.last;
        let dts = if self.video.used && step <= 0 {
            self.counts.clamped += 1;
            self.video.last + TICKS_PER_MS
        } else {
            if self.video.used && !spot.fresh && step <= TICKS_PER_SECOND {
                self.frame = step;
            }
            spot.position
        };
        let pts = dts + LEAD + composition;
        self.video.used = true;
        self.video.last = dts;
        self.end = self.end.max(pts.max(dts + LEAD) + self.frame);
        debug_assert!(pts >= dts);
        VideoTime { dts: Ticks(dts), pts: Ticks(pts), jump: spot.jump }
    }

    /// Places one audio message of `samples` per channel at `sample_rate` hertz. Where either is
    /// unknown (0) or absurd, the wire's time is used as it is.
    pub fn audio(&mut self, at: Millis, samples: u32, sample_rate: u32) -> AudioTime {
        self.audio_at(at, Ticks::ZERO, samples, sample_rate)
    }

    /// The same where the sender says the time more finely than its milliseconds can: `offset` is
    /// below a millisecond. What was counted in samples stays as it is.
    pub fn audio_at(
        &mut self,
        at: Millis,
        offset: Ticks,
        samples: u32,
        sample_rate: u32,
    ) -> AudioTime {
        debug_assert!((0..=TICKS_PER_MS).contains(&offset.0));
        let before = self.audio.at.map(|placed| placed.position);
        let spot = self.place(Kind::Audio, at);
        let mut position = spot.position;
        if let (Some(before), Some(video), false) = (before, self.video.at, spot.fresh) {
            let nudge = self.skew.nudge(position - video.position, position - before);
            position += nudge;
            self.audio.move_by(nudge);
            self.count.move_by(nudge);
        }
        let sample_rate = if samples == 0 { 0 } else { sample_rate };
        if self.count.settle(position + offset.0, spot.fresh, sample_rate) {
            self.counts.reanchored += 1;
        }
        let counted = self.count.now();
        let from = if self.audio.used && counted <= self.audio.last {
            self.counts.clamped += 1;
            self.audio.last + TICKS_PER_MS
        } else {
            counted
        };
        self.audio.used = true;
        self.audio.last = from;
        self.count.add(samples);
        self.end = self.end.max(from.max(self.count.now()) + LEAD);
        AudioTime { pts: Ticks(from + LEAD), jump: spot.jump }
    }

    /// Presentation time of what is neither picture nor sound and has this time on the wire: as far
    /// from the last picture, or sound, as the wire says; beside it, if that cannot be.
    #[must_use]
    pub fn moment(&self, at: Millis) -> Option<Ticks> {
        let last = self.video.at.or(self.audio.at)?;
        let ticks = distance(last.at, at).unwrap_or(0);
        Some(Ticks(last.position + ticks + LEAD))
    }

    /// Forgets the sender's clocks: the publisher left and came back, or its configuration
    /// changed. The next sample goes on at `end` and carries `jump`.
    pub const fn restart(&mut self) {
        self.video.at = None;
        self.audio.at = None;
        self.jump = None;
        self.skew = Skew::OneClock;
    }

    /// Says where on the decode axis the next sample goes on if the sender's time starts anew with
    /// it, which is not before `end`: another stream's clock decides. None if nobody does.
    pub const fn offer(&mut self, origin: Option<Ticks>) {
        self.origin = origin;
    }

    /// The time on the wire of the last sample of video, or of audio where there is none, and its
    /// position on the decode axis.
    #[must_use]
    pub fn last(&self) -> Option<(Millis, Ticks)> {
        let later = |a: Placed, b: Placed| if b.position > a.position { b } else { a };
        let last = match (self.video.at, self.audio.at) {
            (Some(video), Some(audio)) => later(video, audio),
            (video, audio) => video.or(audio)?,
        };
        Some((last.at, Ticks(last.position)))
    }

    /// The largest end placed: where presentation goes on after a restart. One lead after the
    /// epoch before the first sample.
    #[must_use]
    pub const fn end(&self) -> Ticks {
        Ticks(self.end)
    }

    /// What was corrected since the timeline began.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Adds what was corrected since the last call to the process's counters.
    pub fn report(&mut self, status: &Status) {
        let (now, then) = (self.counts, self.reported);
        status.add(Counter::MediaJumps, now.jumps - then.jumps);
        status.add(Counter::MediaWraps, now.wraps - then.wraps);
        status.add(Counter::MediaClamped, now.clamped - then.clamped);
        status.add(
            Counter::MediaCompositionRefused,
            now.composition_refused - then.composition_refused,
        );
        status.add(Counter::MediaReanchored, now.reanchored - then.reanchored);
        self.reported = now;
    }

    /// For tests and fuzzers.
    ///
    /// # Panics
    /// Where the state contradicts itself.
    pub fn check_invariants(&self) {
        if self.video.used {
            assert!(self.end >= self.video.last + LEAD, "end covers video");
        }
        if self.audio.used {
            assert!(self.end >= self.audio.last + LEAD, "end covers audio");
        }
        assert!(self.frame > 0, "a frame lasts");
        assert!(self.frame <= TICKS_PER_SECOND, "a frame is no gap");
        for placed in [self.video.at, self.audio.at].into_iter().flatten() {
            assert!(placed.generation <= self.generation, "no future generation");
            assert!(self.started, "placed is started");
        }
    }

    /// Finds the position of a sample and moves its track there.
    fn place(&mut self, kind: Kind, at: Millis) -> Spot {
        let (own, other) = match kind {
            Kind::Video => (self.video, self.audio.at),
            Kind::Audio => (self.audio, self.video.at),
        };
        let (position, generation, spot_kind) = match (own.at, other) {
            (None, None) => self.start(),
            (None, Some(other)) => self.join(kind, at, other),
            (Some(placed), _) => {
                let step = step(placed.at, at).filter(|step| {
                    placed.position + step.ticks >= own.last - TIME_REGRESS_MS_MAX * TICKS_PER_MS
                        && !(step.ticks < 0 && has_jumped_to(other, placed, at))
                });
                if let Some(step) = step {
                    self.counts.wraps += u64::from(step.wrapped);
                    let position = placed.position + step.ticks;
                    (position, placed.generation, Way::Continued)
                } else if let Some(other) = other {
                    self.rejoin(kind, at, placed, other)
                } else {
                    self.jump(at, placed)
                }
            }
        };
        let track = match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        };
        track.at = Some(Placed { at, position, generation });
        Spot {
            position,
            fresh: !matches!(spot_kind, Way::Continued),
            jump: matches!(spot_kind, Way::Jumped),
        }
    }

    /// The first sample of all, or the first after a restart.
    fn start(&mut self) -> (i64, u64, Way) {
        let way = if self.started {
            self.counts.jumps += 1;
            self.generation += 1;
            Way::Jumped
        } else {
            Way::Joined
        };
        self.started = true;
        (self.begins_at(), self.generation, way)
    }

    /// The first sample of the second track.
    fn join(&mut self, kind: Kind, at: Millis, other: Placed) -> (i64, u64, Way) {
        let position = if let Some(ticks) = distance(other.at, at) {
            other.position + ticks
        } else {
            self.skew = Skew::new();
            other.position
        };
        (self.lift(kind, position), other.generation, Way::Joined)
    }

    /// A sample that does not continue its own track, while there is another.
    fn rejoin(&mut self, kind: Kind, at: Millis, own: Placed, other: Placed) -> (i64, u64, Way) {
        let last = match kind {
            Kind::Video => self.video.last,
            Kind::Audio => self.audio.last,
        };
        let follows = other.generation > own.generation;
        if let Some(ticks) = distance(other.at, at) {
            let position = other.position + ticks;
            if follows {
                self.skew = Skew::OneClock;
                return (self.lift(kind, position), other.generation, Way::Joined);
            }
            if position >= last - TIME_REGRESS_MS_MAX * TICKS_PER_MS {
                self.skew = Skew::OneClock;
                return (position, other.generation, Way::Joined);
            }
        }
        let recent =
            self.jump.filter(|jump| other.position - jump.to <= JUMP_FOLLOW_MS_MAX * TICKS_PER_MS);
        let Some(jump) = recent.filter(|_| follows) else {
            return self.jump(at, own);
        };
        let moved = ticks_between(own.at, at);
        let position = if (moved - jump.moved).abs() <= TRACKS_APART_MS_MAX * TICKS_PER_MS {
            own.position + moved + jump.shift
        } else {
            self.skew = Skew::new();
            other.position
        };
        (self.lift(kind, position), other.generation, Way::Joined)
    }

    /// A sample that fits nothing known: it goes on where all that was placed ends.
    fn jump(&mut self, at: Millis, own: Placed) -> (i64, u64, Way) {
        let to = self.begins_at();
        let moved = ticks_between(own.at, at);
        self.jump = Some(Jump { to, moved, shift: to - (own.position + moved) });
        self.skew = Skew::new();
        self.counts.jumps += 1;
        self.generation += 1;
        (to, self.generation, Way::Jumped)
    }

    /// Where a time begins that is not related to the one before.
    fn begins_at(&self) -> i64 {
        let least = self.end - LEAD;
        self.origin.map_or(least, |origin| origin.0.max(least))
    }

    /// Raises `position` to where the track may go on, and the other track by as much: their
    /// relation stays.
    fn lift(&mut self, kind: Kind, position: i64) -> i64 {
        let floor = match kind {
            Kind::Video if self.video.used => self.video.last + TICKS_PER_MS,
            Kind::Audio if self.audio.used => self.count.now().max(self.audio.last + TICKS_PER_MS),
            Kind::Video => self.video.last,
            Kind::Audio => self.audio.last,
        };
        let short = (floor - position).max(0);
        match kind {
            Kind::Video => {
                self.audio.move_by(short);
                self.count.move_by(short);
            }
            Kind::Audio => self.video.move_by(short),
        }
        position + short
    }
}

const TICKS_PER_MS: i64 = TICKS_PER_SECOND / 1_000;
const LEAD: i64 = COMPOSITION_LEAD_MS * TICKS_PER_MS;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Video,
    Audio,
}

/// How a sample found its position.
#[derive(Clone, Copy, Debug)]
enum Way {
    Continued,
    Joined,
    Jumped,
}

#[derive(Clone, Copy, Debug)]
struct Spot {
    position: i64,
    /// Not a continuation of the track's last sample: the sample count starts here.
    fresh: bool,
    jump: bool,
}

/// One track. All positions are on the decode axis, a lead before presentation.
#[derive(Clone, Copy, Debug)]
struct Track {
    at: Option<Placed>,
    /// Last output; the lowest allowed first one while not `used`. Outlives restarts.
    last: i64,
    used: bool,
}

impl Track {
    const fn new(floor: i64) -> Self {
        Self { at: None, last: floor, used: false }
    }

    const fn move_by(&mut self, ticks: i64) {
        if let Some(placed) = &mut self.at {
            placed.position += ticks;
        }
    }
}

/// The last sample of a track as the sender stamped it, and where that was placed.
#[derive(Clone, Copy, Debug)]
struct Placed {
    at: Millis,
    position: i64,
    /// Jumps that had happened on the clock this belongs to.
    generation: u64,
}

/// A jump that one track made.
#[derive(Clone, Copy, Debug)]
struct Jump {
    to: i64,
    /// What the sender's time moved by.
    moved: i64,
    /// What was added to cancel that.
    shift: i64,
}

/// A continuous step of one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    ticks: i64,
    wrapped: bool,
}

/// The periods after which senders' clocks were seen to wrap, in ticks, but for 2^32 ms, which
/// serial arithmetic covers: 2^24 ms (no extended timestamp), 2^32 and 2^33 ticks (milliseconds
/// made from an RTP or MPEG clock), 2^31 ms (sign bit masked off).
const PERIODS: [i64; 4] = [(1 << 24) * TICKS_PER_MS, 1 << 32, 1 << 33, (1 << 31) * TICKS_PER_MS];

/// Signed distance on the wire, in serial arithmetic.
fn ticks_between(from: Millis, to: Millis) -> i64 {
    i64::from(to.since(from)) * TICKS_PER_MS
}

/// The step from one sample of a track to its next, if it is continuous.
fn step(from: Millis, to: Millis) -> Option<Step> {
    let ahead = TIME_GAP_MS_MAX * TICKS_PER_MS;
    let back = -TIME_REGRESS_MS_MAX * TICKS_PER_MS;
    // A sample out of order may step back over a wrap, but no further ahead.
    readings(from, to)
        .find(|&(ticks, wraps)| ticks >= back && ticks <= if wraps < 0 { -1 } else { ahead })
        .map(|(ticks, wraps)| Step { ticks, wrapped: wraps != 0 })
}

/// The distance from a sample of one track to one of the other, if they can share a clock.
pub(super) fn distance(from: Millis, to: Millis) -> Option<i64> {
    readings(from, to)
        .map(|(ticks, _)| ticks)
        .find(|ticks| ticks.abs() <= TRACKS_APART_MS_MAX * TICKS_PER_MS)
}

/// Whether the other track has jumped to about `at`. A step back as far as that is just no jump; it
/// belongs to the same one.
fn has_jumped_to(other: Option<Placed>, own: Placed, at: Millis) -> bool {
    let near = TIME_REGRESS_MS_MAX * TICKS_PER_MS;
    other.is_some_and(|other| {
        other.generation > own.generation
            && distance(other.at, at).is_some_and(|ticks| ticks.abs() <= near)
    })
}

/// What the distance of two timestamps may mean in ticks: with no wrap between, one passed, or
/// one passed backwards.
fn readings(from: Millis, to: Millis) -> impl Iterator<Item = (i64, i64)> {
    let plain = ticks_between(from, to);
    let over = PERIODS
        .into_iter()
        .filter(move |&period| wraps_at(period, from, to))
        .map(move |period| (plain + period, 1));
    let under = PERIODS
        .into_iter()
        .filter(move |&period| wraps_at(period, to, from))
        .map(move |period| (plain - period, -1));
    core::iter::once((plain, 0)).chain(over).chain(under)
}

/// Whether a clock of this period can have wrapped from `high` to `low`. The shortest is only
/// believed near its top and bottom: a sender that lost 4.66 h elsewhere did jump.
fn wraps_at(period: i64, high: Millis, low: Millis) -> bool {
    period != (1 << 24) * TICKS_PER_MS || (high.0 > 0xf0_0000 && low.0 < 0x10_0000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AAC: u32 = 1024;
    const HZ: u32 = 48_000;

    /// A camera with both tracks on one clock: 25 frames a second, AAC as it falls between.
    /// Returns (video − audio presentation) − (video − audio wire) for the last of each.
    fn run(t: &mut Timeline, from_ms: u32, ms: u32) -> (Vec<VideoTime>, Vec<AudioTime>) {
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        let mut n = 0u64;
        for at in (0..ms).step_by(40) {
            video.push(t.video(Millis(from_ms.wrapping_add(at)), 0));
            while n * 1024 / 48 < u64::from(at) + 40 {
                let wire = u32::try_from(n * 1024 / 48).unwrap();
                audio.push(t.audio(Millis(from_ms.wrapping_add(wire)), AAC, HZ));
                n += 1;
            }
            t.check_invariants();
        }
        (video, audio)
    }

    #[test]
    fn timeline_starts_at_its_epoch_with_a_lead() {
        let mut t = Timeline::new(Ticks(900));
        assert_eq!(t.end(), Ticks(900 + LEAD));
        let v = t.video(Millis(123_456), 80);
        assert_eq!(v, VideoTime { dts: Ticks(900), pts: Ticks(900 + LEAD + 7200), jump: false });
        let a = t.audio(Millis(123_446), AAC, HZ);
        assert_eq!(a, AudioTime { pts: Ticks(900 + LEAD - 900), jump: false });
    }

    #[test]
    fn video_is_exact_to_the_tick_after_a_year() {
        let mut t = Timeline::new(Ticks(0));
        let mut ms = 0u64;
        while ms < 366 * 86_400_000 {
            let v = t.video(Millis(u32::try_from(ms & 0xffff_ffff).unwrap()), 0);
            assert_eq!(v.dts.0, i64::try_from(ms).unwrap() * 90);
            assert!(!v.jump);
            ms += 9_973;
        }
    }

    #[test]
    fn video_regress_up_to_a_second_is_clamped_and_counted() {
        let mut t = Timeline::new(Ticks(0));
        t.video(Millis(5_000), 0);
        t.video(Millis(5_040), 0);
        assert_eq!(t.video(Millis(5_040), 0).dts, Ticks(41 * 90));
        let v = t.video(Millis(4_100), 0);
        assert_eq!((v.dts, v.jump), (Ticks(42 * 90), false));
        assert_eq!(t.video(Millis(5_080), 0).dts, Ticks(80 * 90), "the source's time is kept");
        assert_eq!(t.counts().clamped, 2);
    }

    #[test]
    fn video_walking_back_in_small_steps_is_a_jump_in_the_end() {
        let mut t = Timeline::new(Ticks(0));
        t.video(Millis(100_000), 0);
        let jumps = (1..10).filter(|i| t.video(Millis(100_000 - i * 500), 0).jump).count();
        assert!(jumps >= 2, "{jumps}");
    }

    #[test]
    fn video_jumps_at_more_than_10_s_ahead_or_1_s_behind() {
        const AHEAD: i64 = TIME_GAP_MS_MAX;
        const BACK: i64 = TIME_REGRESS_MS_MAX;
        let cases: [(i64, bool); 4] =
            [(AHEAD, false), (AHEAD + 1, true), (-BACK, false), (-BACK - 1, true)];
        for (ms, jump) in cases {
            let mut t = Timeline::new(Ticks(0));
            t.video(Millis(50_000), 0);
            let before = t.end();
            let v = t.video(Millis(u32::try_from(50_000 + ms).unwrap()), 0);
            assert_eq!(v.jump, jump, "{ms}");
            if jump {
                assert_eq!(v.pts, before, "goes on at the end of what was placed");
            }
        }
    }

    #[test]
    fn composition_outside_its_bounds_is_taken_as_0_and_counted() {
        let mut t = Timeline::new(Ticks(0));
        let mut pts_after = |at, cts| {
            let v = t.video(Millis(at), cts);
            v.pts.0 - v.dts.0 - LEAD
        };
        let bound = |ms: i64| i32::try_from(ms).unwrap();
        let (least, most) = (bound(COMPOSITION_MS_MIN), bound(COMPOSITION_MS_MAX));
        assert_eq!(pts_after(0, most), COMPOSITION_MS_MAX * TICKS_PER_MS);
        assert_eq!(pts_after(40, most + 1), 0);
        assert_eq!(pts_after(80, least), COMPOSITION_MS_MIN * TICKS_PER_MS);
        assert_eq!(pts_after(120, least - 1), 0);
        assert_eq!(pts_after(160, i32::MIN), 0);
        assert_eq!(pts_after(200, i32::MAX), 0);
        assert_eq!(t.counts().composition_refused, 4);
    }

    #[test]
    fn negative_composition_late_in_the_stream_moves_nothing() {
        let mut t = Timeline::new(Ticks(0));
        let (v, a) = (t.video(Millis(0), 0), t.audio(Millis(0), AAC, HZ));
        assert_eq!(v.pts, a.pts);
        let v = t.video(Millis(40), -200);
        assert_eq!(v.dts, v.pts);
        let v = t.video(Millis(80), 40);
        assert_eq!(v.pts.0, LEAD + 120 * 90);
    }

    #[test]
    fn audio_counts_samples_without_drift() {
        let mut t = Timeline::new(Ticks(0));
        for n in 0..3_000_000u64 {
            let ms = u32::try_from(n * 1024 * 1000 / 44_100).unwrap();
            let a = t.audio(Millis(ms), 1024, 44_100);
            let exact = i64::try_from((2 * n * 1024 * 90_000 + 44_100) / (2 * 44_100)).unwrap();
            assert_eq!(a.pts.0, exact + LEAD, "frame {n}");
        }
        assert_eq!(t.counts().reanchored, 0);
    }

    #[test]
    fn audio_ignores_jitter_and_reanchors_over_a_gap() {
        let mut t = Timeline::new(Ticks(0));
        t.audio(Millis(0), 480, HZ);
        for (n, wire) in [(1, 60), (2, 12), (3, 79), (4, 40)] {
            let a = t.audio(Millis(wire), 480, HZ);
            assert_eq!(a.pts.0, i64::from(n) * 900 + LEAD);
        }
        let a = t.audio(Millis(9_000), 480, HZ);
        assert_eq!((a.pts.0, a.jump), (9_000 * 90 + LEAD, false), "lost audio is a gap");
        assert_eq!(t.counts().reanchored, 1);
    }

    #[test]
    fn audio_stamped_in_bursts_is_not_reanchored() {
        let mut t = Timeline::new(Ticks(0));
        for n in 0..1_000u32 {
            let a = t.audio(Millis(n / 10 * 10 * 10), 480, HZ);
            assert_eq!(a.pts.0, i64::from(n) * 900 + LEAD);
        }
    }

    #[test]
    fn audio_that_stays_behind_steps_back_without_disorder() {
        let mut t = Timeline::new(Ticks(0));
        let mut last = -1;
        for n in 0..200u32 {
            let ms = if n < 100 { n * 10 } else { n * 10 - 300 };
            let a = t.audio(Millis(ms), 480, HZ);
            assert!(a.pts.0 > last);
            last = a.pts.0;
        }
        assert_eq!(last, (199 * 10 - 300) * 90 + LEAD, "back on the wire's time");
        assert_eq!(t.counts().reanchored, 1);
    }

    #[test]
    fn audio_of_unknown_length_uses_the_wire() {
        for (samples, rate) in [(0, HZ), (AAC, 0), (u32::MAX, 8_000), (0, 0)] {
            let mut t = Timeline::new(Ticks(0));
            for ms in [0, 20, 41, 60] {
                assert_eq!(t.audio(Millis(ms), samples, rate).pts.0, i64::from(ms) * 90 + LEAD);
            }
        }
    }

    #[test]
    fn audio_rate_change_goes_on_where_the_count_stood() {
        let mut t = Timeline::new(Ticks(0));
        t.audio(Millis(0), 1024, 44_100);
        t.audio(Millis(23), 1024, 48_000);
        let a = t.audio(Millis(44), 1024, 48_000);
        assert_eq!(a.pts.0, 2_090 + 1_920 + LEAD);
    }

    #[test]
    fn audio_alone_silent_for_a_minute_is_a_gap() {
        let mut t = Timeline::new(Ticks(0));
        run(&mut t, 0, 1_000);
        for ms in (1_000..61_000).step_by(40) {
            assert!(!t.video(Millis(ms), 0).jump);
        }
        let a = t.audio(Millis(61_000), AAC, HZ);
        assert_eq!((a.pts.0, a.jump), (61_000 * 90 + LEAD, false));
    }

    #[test]
    fn tracks_jump_together_and_keep_their_relation() {
        for to in [500_000u32, 4_000_000_000, 3_000] {
            for audio_first in [false, true] {
                let mut t = Timeline::new(Ticks(0));
                run(&mut t, 200_000, 10_000);
                let end = t.end();
                let (v, a);
                if audio_first {
                    a = t.audio(Millis(to - 35), AAC, HZ);
                    assert!(t.video(Millis(210_000), 0).dts.0 > 0, "left over from before");
                    v = t.video(Millis(to), 0);
                } else {
                    v = t.video(Millis(to), 0);
                    a = t.audio(Millis(to - 35), AAC, HZ);
                }
                assert_eq!((v.jump, a.jump), (!audio_first, audio_first), "one discontinuity");
                assert!(v.pts >= end && a.pts.0 >= end.0 - 40 * 90);
                let v = t.video(Millis(to + 40), 0);
                let a = t.audio(Millis(to - 35 + 21), AAC, HZ);
                let relation = v.dts.0 + LEAD - a.pts.0;
                assert!((relation - (54 * 90)).abs() <= 30 + 1, "{relation} {audio_first} {to}");
                assert!(!v.jump && !a.jump);
            }
        }
    }

    #[test]
    fn one_bad_timestamp_leaves_the_relation_as_it_was() {
        let mut t = Timeline::new(Ticks(0));
        run(&mut t, 0, 10_000);
        assert!(t.video(Millis(9_999_999), 0).jump);
        assert!(!t.audio(Millis(10_005), AAC, HZ).jump);
        let v = t.video(Millis(10_080), 0);
        assert_eq!((v.dts.0, v.jump), (10_080 * 90, false));
        assert_eq!(t.counts().jumps, 1);
    }

    #[test]
    fn first_video_stamped_0_joins_the_audio_clock() {
        let mut t = Timeline::new(Ticks(0));
        t.video(Millis(0), 0);
        t.audio(Millis(5_000_000), AAC, HZ);
        let v = t.video(Millis(5_000_040), 0);
        assert_eq!((v.dts.0, v.jump), (40 * 90, false));
    }

    #[test]
    fn tracks_share_a_clock_unless_they_are_too_far_apart() {
        for (apart, shared) in [(TRACKS_APART_MS_MAX, true), (TRACKS_APART_MS_MAX + 1, false)] {
            let mut t = Timeline::new(Ticks(0));
            let v = t.video(Millis(50_000), 0);
            let a = t.audio(Millis(50_000 + u32::try_from(apart).unwrap()), AAC, HZ);
            let placed = if shared { apart * TICKS_PER_MS } else { 0 };
            assert_eq!(a.pts.0 - v.pts.0, placed, "{apart}");
        }
    }

    #[test]
    fn audio_before_video_is_placed_there_up_to_its_bound() {
        for (early, moved) in [(AUDIO_EARLY_MS, 0), (AUDIO_EARLY_MS + 1, 1)] {
            let mut t = Timeline::new(Ticks(0));
            t.video(Millis(50_000), 0);
            let a = t.audio(Millis(50_000 - u32::try_from(early).unwrap()), AAC, HZ);
            assert_eq!(a.pts.0 - LEAD, -AUDIO_EARLY_MS * TICKS_PER_MS);
            let v = t.video(Millis(50_040), 0);
            assert_eq!(v.dts.0, (40 + moved) * TICKS_PER_MS, "video moves with it");
        }
    }

    #[test]
    fn separate_clocks_are_aligned_on_arrival_and_jump_together() {
        let mut t = Timeline::new(Ticks(0));
        let audio_base = 3_000_000_000u32;
        for ms in (0..10_000).step_by(20) {
            let v = t.video(Millis(ms), 0);
            let a = t.audio(Millis(audio_base + ms), 960, HZ);
            assert_eq!(v.dts.0 + LEAD, a.pts.0);
            assert!(!v.jump && !a.jump);
        }
        // Both clocks leap by the same.
        let v = t.video(Millis(1_000_000), 0);
        let a = t.audio(Millis(audio_base + 1_000_000), 960, HZ);
        assert_eq!((v.jump, a.jump), (true, false));
        assert_eq!(v.dts.0 + LEAD, a.pts.0);
        // Both clocks start anew at unrelated values.
        let v = t.video(Millis(77), 0);
        let a = t.audio(Millis(2_000_000_000), 960, HZ);
        assert_eq!((v.jump, a.jump), (true, false));
        assert_eq!(v.dts.0 + LEAD, a.pts.0);
        assert_eq!(t.counts().jumps, 2);
    }

    #[test]
    fn separate_clocks_that_drift_are_followed_tick_by_tick() {
        let mut t = Timeline::new(Ticks(0));
        // The audio clock runs 200 ppm fast: 0.72 s in an hour, were it not followed.
        let (mut last, mut frame) = (None, 0u32);
        for ms in (0..3_600_000u32).step_by(40) {
            let v = t.video(Millis(ms), 0);
            while u64::from(frame) * 20 <= u64::from(ms) * 5_001 / 5_000 {
                let a = t.audio(Millis(2_000_000_000 + frame * 20), 960, HZ);
                assert!(!a.jump);
                if let Some(last) = last {
                    assert!((1_799..=1_800).contains(&(a.pts.0 - last)), "no jumps");
                }
                last = Some(a.pts.0);
                frame += 1;
            }
            let apart = (last.unwrap() - LEAD - v.dts.0).abs();
            assert!(apart < 60 * 90, "{} ms apart at {ms}", apart / 90);
        }
        assert_eq!(t.counts().reanchored, 0);
    }

    #[test]
    fn separate_clocks_keep_their_relation_over_a_common_leap() {
        for ahead in [0, 15, 300] {
            let mut t = Timeline::new(Ticks(0));
            t.video(Millis(0), 0);
            t.audio(Millis(3_000_000_000), 960, HZ);
            let v = t.video(Millis(1_000_000), 0);
            let a = t.audio(Millis(3_001_000_000 + ahead), 960, HZ);
            assert_eq!((v.jump, a.jump), (true, false));
            assert_eq!(a.pts.0 - v.dts.0 - LEAD, i64::from(ahead) * 90);
        }
    }

    #[test]
    fn track_that_jumps_long_after_the_other_has_its_own_discontinuity() {
        let most = u32::try_from(JUMP_FOLLOW_MS_MAX).unwrap() + 20;
        for (wait, jumps) in [(most, 1), (most + 20, 2)] {
            let mut t = Timeline::new(Ticks(0));
            run(&mut t, 0, 1_000);
            for ms in (0..wait).step_by(20) {
                t.video(Millis(50_000_000 + ms), 0);
                t.audio(Millis(1_000 + ms), 960, HZ);
            }
            let a = t.audio(Millis(3_000_000_000), 960, HZ);
            assert_eq!(a.jump, jumps == 2);
            assert_eq!(t.counts().jumps, jumps);
        }
    }

    #[test]
    fn track_that_jumps_second_to_an_earlier_time_moves_both_on() {
        let mut t = Timeline::new(Ticks(0));
        run(&mut t, 0, 1_000);
        let a = t.audio(Millis(500_200), 960, HZ);
        assert!(a.jump);
        let v = t.video(Millis(500_000), 0);
        assert!(!v.jump && v.dts.0 > 960 * 90);
        let next = t.audio(Millis(500_220), 960, HZ);
        assert_eq!(next.pts.0 - LEAD - v.dts.0, 220 * 90);
    }

    #[test]
    fn track_that_would_just_step_back_goes_with_the_one_that_jumped() {
        for (from, to) in [(5_000, 5_974), (3_126_565_933, 3_222_010_611)] {
            let mut t = Timeline::new(Ticks(0));
            run(&mut t, from, 2_000);
            assert!(t.audio(Millis(to), AAC, HZ).jump);
            assert!(!t.video(Millis(to), 0).jump);
            let v = t.video(Millis(to + 40), 0);
            let a = t.audio(Millis(to + 100), 4_000, 40_000);
            assert_eq!(v.dts.0 + LEAD - a.pts.0, (40 - 100) * 90);
        }
    }

    #[test]
    fn forward_jump_of_a_known_period_is_a_jump() {
        for period_ms in [1 << 24, 47_721_859, 95_443_718] {
            let mut t = Timeline::new(Ticks(0));
            t.video(Millis(100), 0);
            assert!(t.video(Millis(period_ms + 140), 0).jump, "{period_ms}");
        }
    }

    #[test]
    fn drop_of_24_bits_far_from_their_top_is_a_jump() {
        let mut t = Timeline::new(Ticks(0));
        t.video(Millis((1 << 24) + 3_000_000), 0);
        assert!(t.video(Millis(3_000_040), 0).jump);
    }

    #[test]
    fn restart_goes_on_after_everything_with_one_jump() {
        let mut t = Timeline::new(Ticks(0));
        run(&mut t, 1_000, 4_000);
        let end = t.end();
        t.restart();
        t.restart();
        let a = t.audio(Millis(0), AAC, HZ);
        let v = t.video(Millis(12), 0);
        assert_eq!((a.pts, a.jump), (end, true));
        assert_eq!((v.dts.0 + LEAD, v.jump), (end.0 + 12 * 90, false));
    }

    #[test]
    fn restart_before_anything_is_no_jump() {
        let mut t = Timeline::new(Ticks(0));
        t.restart();
        assert!(!t.video(Millis(9), 0).jump);
    }

    #[test]
    fn report_adds_each_correction_once() {
        let status = Status::new();
        let mut t = Timeline::new(Ticks(0));
        t.video(Millis(0), -5_000);
        t.video(Millis(0), 0);
        t.report(&status);
        t.report(&status);
        assert_eq!(status.get(Counter::MediaClamped), 1);
        assert_eq!(status.get(Counter::MediaCompositionRefused), 1);
        assert_eq!(status.get(Counter::MediaJumps), 0);
    }

    #[derive(Clone, Debug)]
    enum Input {
        Video(u32, i32),
        Audio(u32, u32, u32),
        Restart,
    }

    /// Timestamps as hostile as they come: near each other, near the wraps, anywhere.
    fn input() -> impl Strategy<Value = Input> {
        let at = prop_oneof![
            0u32..5_000,
            0xff_0000u32..0x100_1000,
            47_721_000u32..47_723_000,
            0x7fff_f000u32..0x8000_1000,
            0xffff_f000u32..=0xffff_ffff,
            any::<u32>(),
        ];
        let rate = prop_oneof![Just(48_000u32), Just(44_100u32), Just(0u32), any::<u32>()];
        let samples = prop_oneof![Just(1024u32), Just(1152u32), Just(0u32), any::<u32>()];
        let cts = prop_oneof![-1_500i32..500, any::<i32>()];
        prop_oneof![
            8 => (at.clone(), cts).prop_map(|(at, cts)| Input::Video(at, cts)),
            8 => (at, samples, rate).prop_map(|(at, n, hz)| Input::Audio(at, n, hz)),
            1 => Just(Input::Restart),
        ]
    }

    proptest! {
        #[test]
        fn time_is_monotone_whatever_arrives(inputs in prop::collection::vec(input(), 1..200)) {
            let mut t = Timeline::new(Ticks(0));
            let (mut dts, mut pts) = (i64::MIN, i64::MIN);
            let mut end = t.end();
            for input in inputs {
                match input {
                    Input::Video(at, cts) => {
                        let v = t.video(Millis(at), cts);
                        prop_assert!(v.dts.0 > dts);
                        prop_assert!(v.pts >= v.dts);
                        prop_assert!(v.pts < t.end());
                        dts = v.dts.0;
                    }
                    Input::Audio(at, samples, rate) => {
                        let a = t.audio(Millis(at), samples, rate);
                        prop_assert!(a.pts.0 > pts);
                        prop_assert!(a.pts <= t.end());
                        pts = a.pts.0;
                    }
                    Input::Restart => t.restart(),
                }
                prop_assert!(t.end() >= end);
                end = t.end();
                t.check_invariants();
            }
        }

        #[test]
        fn gaps_below_the_limits_never_drift(
            start in any::<u32>(),
            steps in prop::collection::vec((1u32..10_000, -200i32..=10_000), 1..100),
        ) {
            let mut t = Timeline::new(Ticks(7));
            let mut at = start;
            let mut exact = 7i64;
            t.video(Millis(at), 0);
            for (step, cts) in steps {
                at = at.wrapping_add(step);
                exact += i64::from(step) * 90;
                let v = t.video(Millis(at), cts);
                prop_assert_eq!(v.dts.0, exact);
                prop_assert_eq!(v.pts.0, exact + LEAD + i64::from(cts) * 90);
                prop_assert!(!v.jump);
            }
        }

        #[test]
        fn relation_survives_any_common_jump(
            from in any::<u32>(),
            to in any::<u32>(),
            apart in 0u32..400,
            video_first in any::<bool>(),
        ) {
            let mut t = Timeline::new(Ticks(0));
            run(&mut t, from, 2_000);
            let jumped_v = Millis(to);
            let jumped_a = Millis(to.wrapping_sub(apart));
            if video_first {
                t.video(jumped_v, 0);
                t.audio(jumped_a, AAC, HZ);
            } else {
                t.audio(jumped_a, AAC, HZ);
                t.video(jumped_v, 0);
            }
            prop_assert!(t.counts().jumps <= 1);
            if t.counts().jumps == 1 {
                let v = t.video(jumped_v.wrapping_add(40), 0);
                let a = t.audio(jumped_a.wrapping_add(100), 4_000, 40_000);
                // 100 ms of wire against one frame of 21.3: a gap, placed exactly.
                let relation = v.dts.0 + LEAD - a.pts.0;
                prop_assert_eq!(relation, (40 + i64::from(apart) - 100) * 90);
            }
        }
    }
}
