//! Cuts one stream into segments.
//!
//! A cut happens at the first keyframe at or after the target duration; at the hard limit when no
//! keyframe comes; before an access unit that the slot cannot take; and wherever tracks, timestamps
//! or encoding stop continuing. Audio frames wait for a moment so that several share a PES packet,
//! and before the first keyframe so that the first segment begins with it. The PMT is written again
//! when a segment ends, so that it names exactly the tracks that have packets. Reads no clock and
//! touches no file. `writing` does what is decided here.
//! Source: RFC 8216 §3, §4.3.2.3; H.222.0 §2.4.4.

mod beside;
mod metadata;
mod open;
mod packed;
mod sealing;
mod sound;
mod writing;

use self::open::{First, Open, Tracks};
use self::packed::Packing;
pub use sound::{Prefix, Silent, Sound};

use crate::limits::{
    AUDIO_ALONE_TICKS, AUDIO_FRAMES_HELD, AUDIO_HELD_TICKS_MAX, AUDIO_PES_BYTES_MAX,
    AUDIO_PES_TICKS_MAX, COMPOSITION_LEAD_MS, CUT_SLACK_TICKS, FIRST_KEYFRAME_TICKS_MAX,
    FRAME_MS_DEFAULT, PCR_LEAD_TICKS, SEGMENT_TICKS_MAX, VIDEO_LATE_TICKS, VIDEO_STARVED_TICKS,
};
use crate::media::annexb::{AccessUnit, ParameterSets};
use crate::media::carriage::{AudioFormat, VideoFormat};
use crate::media::cipher::SampleCipher;
use crate::media::mux::{Mux, Track, packet_bytes_for};
use crate::media::sink::Sink;
use crate::status::{Counter, Status};
use crate::storage::FrameRing;
use crate::time::{TICKS_PER_SECOND, Ticks};
use crate::wire::ts::packet::PACKET_BYTES;

/// A picture to be written.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Decode time.
    pub dts: Ticks,
    /// Presentation time, at least the decode time.
    pub pts: Ticks,
    /// Its parts.
    pub unit: &'a AccessUnit,
    /// The message data that `unit` was gathered from.
    pub data: &'a [u8],
    /// Parameter sets of the track.
    pub sets: &'a ParameterSets,
}

/// What one call reads from, writes to and counts in.
#[derive(Debug)]
pub struct Outlet<'a, S> {
    /// Holds the bytes of audio that waits.
    pub ring: &'a FrameRing,
    /// Takes the segments.
    pub sink: &'a mut S,
    /// Takes the counts.
    pub status: &'a Status,
}

/// What is known of the video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Video {
    /// Nothing yet: the publisher has just come.
    Unknown,
    /// The publisher sends audio alone.
    Absent,
    /// Announced, or gone for long: nothing before its next keyframe can be decoded.
    Starting,
    /// Its time starts anew: the next picture goes on, whatever it is.
    Resuming,
    /// Pictures come.
    Running {
        /// Decode time of the last one.
        last: Ticks,
    },
}

/// A change of encoding that has not reached the segments yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// There is none.
    Done,
    /// The next keyframe (the next frame of audio alone) begins a segment behind a discontinuity.
    Pending,
    /// The same, and audio waits for that keyframe.
    HoldsAudio,
}

/// The segmenter of one stream.
#[derive(Debug)]
pub struct Segmenter {
    target: Ticks,
    limit: Option<Ticks>,
    mux: Mux,
    open: Option<Open>,
    video: Video,
    /// What the last picture was.
    format: VideoFormat,
    /// Video began at a picture whose leading ones refer to what never came.
    cut_off: bool,
    /// Media time since when something waits for a picture or a keyframe.
    waiting_since: Option<Ticks>,
    /// Tracks of the last finished segment and the version of its PMT.
    named: Option<Tracks>,
    version: u8,
    /// Of the samples of the open segment, if they are encrypted.
    cipher: Option<SampleCipher>,
    held: heapless::Vec<Sound, AUDIO_FRAMES_HELD>,
    change: Change,
    /// The next segment does not continue the last one.
    discontinuity: bool,
    last_audio: Option<Ticks>,
    packing: Packing,
    /// Segments can hold timed metadata.
    metadata: bool,
    /// What the audio is that comes next.
    format_heard: Option<AudioFormat>,
    /// Duration of a picture.
    frame: Ticks,
    /// When the last picture shows, less the lead of all presentation.
    shows: Ticks,
    /// What is counted of media that no segment takes.
    nowhere: Counter,
}

impl Segmenter {
    /// A segmenter that cuts at keyframes `target` apart or more.
    #[must_use]
    pub const fn new(target: Ticks) -> Self {
        Self {
            target,
            limit: None,
            mux: Mux::new(),
            open: None,
            video: Video::Unknown,
            format: VideoFormat::H264,
            cut_off: false,
            waiting_since: None,
            named: None,
            version: 0,
            cipher: None,
            held: heapless::Vec::new(),
            change: Change::Done,
            discontinuity: false,
            last_audio: None,
            packing: Packing::Never,
            metadata: false,
            format_heard: None,
            frame: FRAME,
            shows: Ticks::ZERO,
            nowhere: Counter::MediaWithoutSlot,
        }
    }

    /// What comes next is another stream: nothing stands before its first segment.
    pub fn forget(&mut self) {
        debug_assert!(self.open.is_none());
        (self.named, self.limit, self.discontinuity) = (None, None, false);
    }

    /// Sets the longest a segment may last, once the target duration is settled.
    pub const fn set_limit(&mut self, limit: Option<Ticks>) {
        self.limit = limit;
    }

    /// A video configuration has come: video is to be expected.
    pub const fn expect_video(&mut self) {
        self.packing = self.packing.with_video();
        if matches!(self.video, Video::Unknown | Video::Absent) {
            self.video = Video::Starting;
            self.waiting_since = None;
        }
    }

    /// The encoding of `track` changes: the next keyframe begins a segment behind a discontinuity.
    /// Audio that changes waits for it too, so that both change at the same place.
    pub fn change(&mut self, track: Track, out: &mut Outlet<'_, impl Sink>) {
        if self.open.is_none() && self.named.is_none() {
            return;
        }
        match (track, self.video) {
            (Track::Video, Video::Running { .. } | Video::Resuming) => {
                self.change = self.change.with(Change::Pending);
            }
            // No picture of the old encoding was written; metadata is always the same.
            (Track::Video, Video::Unknown | Video::Absent | Video::Starting)
            | (Track::Metadata, _) => {}
            (Track::Audio, _) => {
                if self.open.is_some() && !self.change.holds_audio() {
                    self.flush(out);
                }
                let waits = self.last_audio.is_some_and(|last| self.video_runs(last));
                let change = if waits { Change::HoldsAudio } else { Change::Pending };
                self.change = self.change.with(change);
            }
        }
    }

    /// Timestamps stop continuing here: ends the segment; the next one is behind a discontinuity.
    pub fn jump(&mut self, out: &mut Outlet<'_, impl Sink>) {
        self.end(out);
        self.break_off();
        if matches!(self.video, Video::Running { .. }) {
            self.video = Video::Resuming;
        }
    }

    /// The publisher has left: everything held is written and the last segment ends. What comes
    /// next is behind a discontinuity and starts at a keyframe.
    pub fn leave(&mut self, out: &mut Outlet<'_, impl Sink>) {
        self.end(out);
        self.break_off();
        self.video = Video::Unknown;
        self.packing = self.packing.alone();
        self.change = Change::Done;
        self.frame = FRAME;
    }

    /// Writes a picture.
    pub fn picture(&mut self, picture: &Picture<'_>, out: &mut Outlet<'_, impl Sink>) {
        let bytes = self.sealed_bytes(picture.unit.len());
        if room_for(bytes) + 2 * PACKET_BYTES > out.sink.capacity() {
            out.status.add(Counter::MediaTooLarge, 1);
            return;
        }
        let key = picture.unit.is_random_access();
        self.shows = picture.pts.minus(Ticks::from_millis(COMPOSITION_LEAD_MS));
        let begins = !matches!(self.video, Video::Running { .. } | Video::Resuming);
        if !self.can_follow(picture, key) || !self.take_up(picture.dts, key) {
            out.status.add(Counter::MediaBeforeKeyframe, 1);
            return;
        }
        if key {
            self.cut_off = begins && !picture.unit.is_idr();
        }
        let changes = self.is_packed() || key && self.change != Change::Done;
        if self.has_waited(picture.dts) {
            if key {
                self.drop_late_audio(picture.dts, out.status);
            } else {
                self.change_without_keyframe(out);
            }
        }
        if self.open.is_some() {
            if !self.fits(bytes, out.sink) {
                out.status.add(Counter::SlotsFull, 1);
                self.turn(changes);
                self.cut(picture.dts, Track::Video, out);
            } else if self.cut_due(picture.dts, key, out) {
                self.before_cut(picture.dts, out);
                self.turn(changes);
                self.cut(picture.dts, Track::Video, out);
            } else if self.held_is_older(picture.dts) {
                self.flush(out);
            }
        } else {
            self.drop_late_audio(picture.dts, out.status);
            self.turn(changes);
            self.begin(picture.dts, Track::Video, out);
        }
        self.write_picture(picture, out);
        if self.held_is_due() {
            self.flush(out);
        }
    }

    /// Takes an audio message; it is written when enough have come, or when a segment ends.
    pub fn sound(&mut self, sound: Sound, out: &mut Outlet<'_, impl Sink>) {
        self.last_audio = Some(sound.dts);
        if self.has_waited(sound.dts) || (self.change.holds_audio() && self.held.is_full()) {
            self.change_without_keyframe(out);
        }
        if self.waits(sound.dts) {
            if self.held.is_full() {
                // The oldest would be heard longest before the picture.
                self.held.remove(0);
                out.status.add(Counter::MediaBeforeKeyframe, 1);
            }
        } else {
            self.make_way(sound, out);
        }
        if self.held.push(sound).is_err() {
            debug_assert!(false, "room was made");
        }
        if !self.waits(sound.dts) && self.held_is_due() {
            self.flush(out);
        }
    }

    /// Whether a segment is being written.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the segment may end, or one begin, within `time` of media: a keyframe would end it.
    #[must_use]
    pub fn may_cut_within(&self, time: Ticks) -> bool {
        let Some(open) = self.open else { return true };
        let coming = open.end.minus(open.start).plus(time).plus(CUT_SLACK_TICKS);
        self.change != Change::Done || coming >= self.target
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If time or size of the open segment contradict each other.
    pub fn check_invariants(&self) {
        if let Some(open) = self.open {
            assert!(open.end >= open.start);
        } else {
            assert!(!matches!(self.video, Video::Running { .. }), "pictures go somewhere");
        }
        assert!(self.version < 32);
        assert!(self.frame > Ticks::ZERO);
        assert!(self.frame.0 <= TICKS_PER_SECOND);
    }

    /// Whether audio must wait: for new parameters' keyframe, or for the picture that the next
    /// segment begins with. Starts the wait.
    fn waits(&mut self, now: Ticks) -> bool {
        if self.change.holds_audio() {
            return true;
        }
        let patience = match self.video {
            _ if self.open.is_some() => return false,
            Video::Absent | Video::Running { .. } => return false,
            Video::Starting => FIRST_KEYFRAME_TICKS_MAX,
            // No keyframe is promised: rather begin than lose audio.
            Video::Unknown | Video::Resuming if self.held.is_full() => return false,
            Video::Unknown => AUDIO_ALONE_TICKS,
            Video::Resuming => AUDIO_HELD_TICKS_MAX,
        };
        now.minus(*self.waiting_since.get_or_insert(now)) < patience
    }

    /// Whether the picture at `dts` can be written; video runs then.
    fn take_up(&mut self, dts: Ticks, key: bool) -> bool {
        match self.video {
            Video::Running { last } => {
                let step = dts.minus(last);
                if step > Ticks::ZERO && step.0 <= TICKS_PER_SECOND {
                    self.frame = step;
                }
            }
            Video::Resuming => {}
            Video::Unknown | Video::Absent | Video::Starting => {
                self.expect_video();
                let since = *self.waiting_since.get_or_insert(dts);
                if !key && dts.minus(since) < FIRST_KEYFRAME_TICKS_MAX {
                    return false;
                }
            }
        }
        self.video = Video::Running { last: dts };
        true
    }

    /// Whether the picture can follow what was written. One cannot that refers to what was before
    /// the one that video began at: decoders that start there drop it too (H.265 §8.1.3). Nor can
    /// one of another codec, unless decoding starts there: one PID cannot have two stream types in
    /// one segment.
    fn can_follow(&mut self, picture: &Picture<'_>, key: bool) -> bool {
        if picture.unit.is_skipped_leading() && self.cut_off {
            return false;
        }
        let format = picture.sets.format();
        if self.open.and_then(|open| open.video).is_some_and(|(named, _)| named != format) {
            if !key {
                return false;
            }
            self.change = self.change.with(Change::Pending);
        }
        self.format = format;
        true
    }

    /// Whether the segment must end before the picture at `dts`.
    fn cut_due(&self, dts: Ticks, key: bool, out: &mut Outlet<'_, impl Sink>) -> bool {
        let Some(open) = self.open else { return false };
        let lasted = dts.minus(open.start);
        if open.container.is_packed() || key && self.change != Change::Done {
            return true;
        }
        // Late video goes on in a segment that has just begun.
        let enough = if open.video.is_some() { self.target } else { Ticks(self.target.0 / 2) };
        let due = lasted.plus(CUT_SLACK_TICKS) >= enough;
        if key && self.due_beside_others(out.sink).unwrap_or(due) {
            return true;
        }
        let forced = lasted.plus(self.frame) > self.limit.unwrap_or(SEGMENT_TICKS_MAX);
        if forced && !key {
            out.status.add(Counter::SegmentsForced, 1);
        }
        forced
    }

    /// Makes place and time for `sound`: begins a segment, ends one that is due, or ends the PES
    /// packet that would become too long.
    fn make_way(&mut self, sound: Sound, out: &mut Outlet<'_, impl Sink>) {
        if self.video == Video::Unknown {
            self.video = Video::Absent;
        }
        let alone = !self.video_runs(sound.dts);
        let changes = alone && self.change == Change::Pending;
        let Some(open) = self.open else {
            self.turn(changes);
            let first = *self.held.first().unwrap_or(&sound);
            self.format_heard = Some(first.format);
            self.begin(first.dts, Track::Audio, out);
            self.flush(out);
            return;
        };
        let lasted = sound.dts.minus(open.start);
        let overlong = lasted.plus(sound.duration) > self.limit.unwrap_or(SEGMENT_TICKS_MAX);
        let due = if open.video.is_some() || !alone {
            overlong
        } else {
            let half = Ticks(sound.duration.0 / 2);
            let group =
                out.sink.share().map(|share| share.is_due(sound.dts, half, false) || overlong);
            group.unwrap_or(lasted.plus(half) >= self.target)
        };
        // A picture that is about to come would end the segment itself, and better.
        if (due && !self.video_is_near(sound.dts)) || changes {
            self.before_cut(sound.dts, out);
            self.turn(changes);
            if open.video.is_none() && matches!(self.video, Video::Running { .. }) {
                // The segment is without video, and so is its PMT: decoding starts anew.
                self.video = Video::Starting;
            }
            self.format_heard = Some(sound.format);
            self.cut(sound.dts, Track::Audio, out);
            return;
        }
        let other = self.held.last().is_some_and(|last| last.format != sound.format);
        if other || self.held.is_full() || self.pes_is_full(sound) {
            self.flush(out);
        }
    }

    /// Audio from before the clock of the picture at `dts` would be late the moment it arrives.
    fn drop_late_audio(&mut self, dts: Ticks, status: &Status) {
        let clock = dts.minus(PCR_LEAD_TICKS);
        let all = self.held.len();
        self.held.retain(|sound| sound.pts > clock);
        let dropped = u64::try_from(all - self.held.len()).unwrap_or(0);
        status.add(Counter::MediaBeforeKeyframe, dropped);
    }

    /// Whether audio of another encoding has waited for its keyframe as long as it can at `now`.
    fn has_waited(&self, now: Ticks) -> bool {
        let long = |first: &Sound| now.minus(first.dts) >= AUDIO_HELD_TICKS_MAX;
        self.change.holds_audio() && self.held.first().is_some_and(long)
    }

    /// Audio of another encoding has waited as long as it can: it goes on without a keyframe.
    fn change_without_keyframe(&mut self, out: &mut Outlet<'_, impl Sink>) {
        self.change = Change::Pending;
        let first = self.held.first().map(|first| (first.dts, first.format));
        let (Some((dts, format)), Some(open)) = (first, self.open) else { return };
        if open.audio.is_some_and(|named| named != format) {
            // One PID cannot have two stream types in one segment.
            out.status.add(Counter::SegmentsForced, 1);
            self.turn(true);
            self.format_heard = Some(format);
            self.cut(dts, Track::Audio, out);
        }
    }

    /// With `changes`, what is pending takes effect with the segment that begins now.
    const fn turn(&mut self, changes: bool) {
        if changes {
            self.change = Change::Done;
            self.discontinuity = true;
        }
    }

    /// Whether video has had a picture lately.
    fn video_runs(&self, now: Ticks) -> bool {
        let patience = VIDEO_STARVED_TICKS.max(self.frame.plus(self.frame));
        matches!(self.video, Video::Running { last } if now.minus(last) < patience)
    }

    /// Whether the next picture is not late yet.
    fn video_is_near(&self, now: Ticks) -> bool {
        let late = self.frame.plus(VIDEO_LATE_TICKS);
        matches!(self.video, Video::Running { last } if now.minus(last) < late)
    }

    /// What belongs to the segment before what is at `dts` is written.
    fn before_cut(&mut self, dts: Ticks, out: &mut Outlet<'_, impl Sink>) {
        if !self.change.holds_audio() {
            self.flush(out);
        }
        self.settle_clock(out.sink);
        if let Some(open) = self.open {
            self.mux.advance_clock(open.clock, dts, out.sink);
        }
    }

    /// Ends the segment and begins the next one.
    fn cut(&mut self, at: Ticks, with: Track, out: &mut Outlet<'_, impl Sink>) {
        let at = self.finish(at, out.sink);
        self.begin(at, with, out);
    }

    /// There is no room for segments: what is lost leaves a hole, and video a need for a keyframe.
    fn starve(&mut self) {
        debug_assert!(self.open.is_none());
        self.break_off();
        if matches!(self.video, Video::Running { .. } | Video::Resuming) {
            self.video = Video::Starting;
        }
    }

    /// Nothing continues from here on.
    fn break_off(&mut self) {
        self.discontinuity = self.named.is_some();
        self.waiting_since = None;
        self.last_audio = None;
        self.mux.reset_clock();
    }

    /// A segment has no room where it was promised: it ends with what it has.
    fn give_up(&mut self, at: Ticks, out: &mut Outlet<'_, impl Sink>) {
        self.finish(at, out.sink);
        self.starve();
    }

    /// Ends the segment at its own end; nothing follows yet.
    fn end(&mut self, out: &mut Outlet<'_, impl Sink>) {
        if self.change.holds_audio() {
            // No picture follows that could carry the clock of what is held.
            let video = core::mem::replace(&mut self.video, Video::Absent);
            self.change_without_keyframe(out);
            self.flush(out);
            self.video = if self.open.is_some() { video } else { Video::Starting };
        }
        self.flush(out);
        if let Some(open) = self.open {
            self.finish(open.end, out.sink);
        }
    }

    fn pes_is_full(&self, next: Sound) -> bool {
        let bytes = self.held.iter().map(Sound::len).sum::<usize>();
        bytes + next.len() > AUDIO_PES_BYTES_MAX
    }

    /// Whether the held audio would find the clock of the picture at `dts` ahead of itself.
    fn held_is_older(&self, dts: Ticks) -> bool {
        let older = |first: &Sound| first.dts.plus(AUDIO_PES_TICKS_MAX) < dts;
        !self.change.holds_audio() && self.held.first().is_some_and(older)
    }

    /// Whether one more frame like the last would make the PES packet too long.
    fn held_is_due(&self) -> bool {
        let (Some(first), Some(last)) = (self.held.first(), self.held.last()) else {
            return false;
        };
        let end = last.dts.plus(last.duration).plus(last.duration);
        !self.change.holds_audio() && end.minus(first.dts) > AUDIO_PES_TICKS_MAX
    }
}

impl Change {
    const fn holds_audio(self) -> bool {
        matches!(self, Self::HoldsAudio)
    }

    /// Both changes together.
    const fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::HoldsAudio, _) | (_, Self::HoldsAudio) => Self::HoldsAudio,
            (Self::Pending, _) | (_, Self::Pending) => Self::Pending,
            (Self::Done, Self::Done) => Self::Done,
        }
    }
}

/// One picture while no two have been seen.
const FRAME: Ticks = Ticks::from_millis(FRAME_MS_DEFAULT);

/// Room for a PES packet of `bytes` and for the clock to be carried up to it.
const fn room_for(bytes: usize) -> usize {
    packet_bytes_for(bytes) + 16 * PACKET_BYTES
}
