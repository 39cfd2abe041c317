//! Cuts one stream into segments.
//!
//! A cut happens at the first keyframe at or after the target duration; at the hard limit when no
//! keyframe comes; before an access unit that the slot cannot take; and wherever tracks, timestamps
//! or encoding stop continuing. Audio frames wait for a moment so that several share a PES packet,
//! and before the first keyframe so that the first segment begins with it. The PMT is written again
//! when a segment ends, so that it names exactly the tracks that have packets. Reads no clock and
//! touches no file.
//! Source: RFC 8216 §3, §4.3.2.3; H.222.0 §2.4.4.

use crate::limits::{
    AUDIO_FRAMES_HELD, AUDIO_PES_BYTES_MAX, AUDIO_PES_TICKS_MAX, CUT_SLACK_TICKS,
    FIRST_KEYFRAME_TICKS_MAX, PCR_LEAD_TICKS, SEGMENT_TICKS_MAX,
};
use crate::media::annexb::{AccessUnit, ParameterSets};
use crate::media::mux::{Head, Mux, Track, packet_bytes_for};
use crate::media::sink::{Segment, Sink};
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, Place};
use crate::time::Ticks;
use crate::wire::ts::packet::PACKET_BYTES;
use crate::wire::ts::pes::{PesHeader, STREAM_AUDIO, STREAM_VIDEO};
use crate::wire::ts::psi::{Pmt, PmtStream, STREAM_TYPE_H264};

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

/// An audio frame, or several that came in one message; its bytes stay in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Sound {
    /// Presentation time of the first frame that begins in it.
    pub pts: Ticks,
    /// The same on the scale of decode times: what a picture's decode time is compared with.
    pub dts: Ticks,
    /// Time it lasts.
    pub duration: Ticks,
    /// ADTS header to write in front, for AAC.
    pub adts: Option<[u8; 7]>,
    /// Its bytes in the ring.
    pub place: Place,
    /// Stream type of the track (H.222.0 table 2-34): 0x0f AAC, 0x03 and 0x04 MPEG audio.
    pub stream_type: u8,
}

/// Where the next segment may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Only at a keyframe: nothing before it can be decoded.
    Keyframe {
        /// First media time seen while waiting.
        since: Option<Ticks>,
    },
    /// At any picture: a player that follows can go on decoding. Audio waits for it.
    Picture,
    /// Anywhere.
    Anywhere,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    start: Ticks,
    end: Ticks,
    bytes: usize,
    clock: Track,
    has_video: bool,
    audio: Option<u8>,
    discontinuity: bool,
    independent: bool,
    forced: bool,
}

/// What a PMT names: tracks, and which of them carries the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tracks {
    video: bool,
    audio: Option<u8>,
    clock: Track,
}

/// The segmenter of one stream.
#[derive(Debug)]
pub struct Segmenter {
    target: Ticks,
    limit: Option<Ticks>,
    mux: Mux,
    open: Option<Open>,
    start: Start,
    /// Tracks of the last finished segment and the version of its PMT.
    named: Option<Tracks>,
    version: u8,
    held: heapless::Vec<Sound, AUDIO_FRAMES_HELD>,
    /// Audio waits in `held` for the keyframe that new parameters begin with.
    hold_audio: bool,
    /// The next keyframe begins a segment whatever the target says.
    cut_at_keyframe: bool,
    discontinuity: bool,
    expect_video: bool,
    last_video: Option<Ticks>,
    last_audio: Option<Ticks>,
    frame: Ticks,
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
            start: Start::Keyframe { since: None },
            named: None,
            version: 0,
            held: heapless::Vec::new(),
            hold_audio: false,
            cut_at_keyframe: false,
            discontinuity: false,
            expect_video: false,
            last_video: None,
            last_audio: None,
            frame: Ticks::ZERO,
        }
    }

    /// Sets the longest a segment may last, once the target duration is settled.
    pub const fn set_limit(&mut self, limit: Option<Ticks>) {
        self.limit = limit;
    }

    /// A video configuration has come: video is to be expected.
    pub const fn expect_video(&mut self) {
        self.expect_video = true;
    }

    /// Encoding changed: the next keyframe begins a segment behind a discontinuity. With `audio`,
    /// audio waits for it too.
    pub const fn change_at_keyframe(&mut self, audio: bool) {
        if self.open.is_some() || self.named.is_some() {
            self.cut_at_keyframe = true;
            self.discontinuity = true;
            self.hold_audio |= audio && self.expect_video;
        }
    }

    /// Timestamps stop continuing here: ends the segment; the next one is behind a discontinuity.
    pub fn jump(&mut self, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        let was_open = self.open.is_some();
        self.end(ring, sink, status);
        self.discontinuity = self.named.is_some();
        if was_open {
            self.start = if self.expect_video { Start::Picture } else { Start::Anywhere };
        }
        self.mux.reset_clock();
        self.last_video = None;
        self.last_audio = None;
    }

    /// The publisher has left: everything held is written and the last segment ends. What comes
    /// next is behind a discontinuity and starts at a keyframe.
    pub fn leave(&mut self, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        self.end(ring, sink, status);
        self.jump(ring, sink, status);
        self.start = Start::Keyframe { since: None };
        self.expect_video = false;
        self.cut_at_keyframe = false;
        self.hold_audio = false;
    }

    /// Writes a picture.
    pub fn picture(
        &mut self,
        picture: &Picture<'_>,
        ring: &FrameRing,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        self.expect_video = true;
        if let Some(last) = self.last_video {
            self.frame = picture.dts.minus(last);
        }
        self.last_video = Some(picture.dts);
        let key = picture.unit.is_random_access();
        if self.open.is_some() {
            let full = !self.fits(picture.unit.len(), sink);
            if full {
                status.add(Counter::SlotsFull, 1);
            }
            if full || self.cut_due(picture.dts, key, status) {
                self.close(picture.dts, ring, sink, status);
                self.start = Start::Anywhere;
            }
        }
        if self.open.is_none() && !self.begin_with(picture, key, sink, status) {
            return;
        }
        self.write_picture(picture, key, sink, status);
        if self.held_is_due() {
            self.flush(ring, sink, status);
        }
    }

    /// Takes an audio message; it is written when enough have come, or when a segment ends.
    pub fn sound(&mut self, sound: Sound, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        self.last_audio = Some(sound.dts);
        let changed = self.held.last().is_some_and(|last| last.stream_type != sound.stream_type);
        if (changed || self.pes_is_full(sound)) && !self.waits() {
            self.flush(ring, sink, status);
        }
        if self.held.is_full() {
            self.give_up_waiting(sound.dts, sink, status);
            if self.waits() {
                // A keyframe is still promised: the oldest audio would be heard before it.
                self.held.remove(0);
                status.add(Counter::MediaBeforeKeyframe, 1);
            } else {
                self.flush(ring, sink, status);
            }
        }
        if !self.waits() {
            self.cut_at_sound(sound.dts, ring, sink, status);
        }
        let pushed = self.held.push(sound);
        debug_assert!(pushed.is_ok());
        if !self.waits() && self.held_is_due() {
            self.flush(ring, sink, status);
        }
    }

    /// Whether a segment is being written.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If time or size of the open segment contradict each other.
    pub fn check_invariants(&self) {
        if let Some(open) = self.open {
            assert!(open.end >= open.start);
            assert!(open.bytes.is_multiple_of(PACKET_BYTES));
        }
        assert!(self.version < 32);
    }

    /// Whether audio must wait: for the first keyframe, or for one that new parameters begin with.
    const fn waits(&self) -> bool {
        (self.open.is_none() && !matches!(self.start, Start::Anywhere)) || self.hold_audio
    }

    /// The held audio is full and no keyframe has come: start without one where that is right.
    fn give_up_waiting(&mut self, now: Ticks, sink: &mut impl Sink, status: &Status) {
        let since = match self.start {
            Start::Keyframe { since } if self.expect_video => Some(since.unwrap_or(now)),
            Start::Keyframe { .. } | Start::Picture | Start::Anywhere => None,
        };
        if let (Some(since), None) = (since, self.open)
            && now.minus(since) < FIRST_KEYFRAME_TICKS_MAX
        {
            self.start = Start::Keyframe { since: Some(since) };
            return;
        }
        self.hold_audio = false;
        if self.open.is_none() {
            self.start = Start::Anywhere;
            if let Some(first) = self.held.first() {
                self.open(first.dts, Track::Audio, true, sink, status);
            }
        }
    }

    /// Whether the segment must end before the picture at `dts`.
    fn cut_due(&mut self, dts: Ticks, key: bool, status: &Status) -> bool {
        let Some(open) = self.open else { return false };
        let lasted = dts.minus(open.start);
        if key && (self.cut_at_keyframe || !open.has_video) {
            return true;
        }
        if key && lasted.plus(CUT_SLACK_TICKS) >= self.target {
            return true;
        }
        let forced = lasted.plus(self.frame) > self.limit.unwrap_or(SEGMENT_TICKS_MAX);
        if forced {
            status.add(Counter::SegmentsForced, 1);
        }
        forced
    }

    /// Ends the segment before the audio at `at`: at the target where there is no video, at the
    /// limit where video has stopped coming.
    fn cut_at_sound(&mut self, at: Ticks, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        let Some(open) = self.open else {
            if self.start == Start::Anywhere && !self.video_runs(at) {
                self.open(at, Track::Audio, true, sink, status);
            }
            return;
        };
        let longest = if open.has_video || self.video_runs(at) {
            self.limit.unwrap_or(SEGMENT_TICKS_MAX)
        } else {
            self.target
        };
        let due = at.minus(open.start).plus(CUT_SLACK_TICKS) >= longest;
        // A picture that is about to come would end the segment itself, and better.
        if due && !(open.has_video && self.video_runs(at)) {
            self.flush(ring, sink, status);
            self.close(at, ring, sink, status);
            self.open(at, Track::Audio, true, sink, status);
        }
    }

    /// Whether video has had a picture lately.
    fn video_runs(&self, now: Ticks) -> bool {
        self.expect_video
            && self.last_video.is_some_and(|last| now.minus(last) < AUDIO_STARVES_VIDEO)
    }

    /// Begins a segment with `picture` if it may. Says whether there is an open segment.
    fn begin_with(
        &mut self,
        picture: &Picture<'_>,
        key: bool,
        sink: &mut impl Sink,
        status: &Status,
    ) -> bool {
        if let (Start::Keyframe { since }, false) = (self.start, key) {
            let since = since.unwrap_or(picture.dts);
            self.start = Start::Keyframe { since: Some(since) };
            if picture.dts.minus(since) < FIRST_KEYFRAME_TICKS_MAX {
                status.add(Counter::MediaBeforeKeyframe, 1);
                return false;
            }
        }
        // Audio from before the clock starts would be late the moment it arrives.
        let clock = picture.dts.minus(PCR_LEAD_TICKS);
        let all = self.held.len();
        self.held.retain(|sound| sound.pts > clock);
        let dropped = u64::try_from(all - self.held.len()).unwrap_or(0);
        status.add(Counter::MediaBeforeKeyframe, dropped);
        self.open(picture.dts, Track::Video, key && picture.unit.is_idr(), sink, status)
    }

    /// Begins a segment at `start`. Says whether there was room for it.
    fn open(
        &mut self,
        start: Ticks,
        with: Track,
        independent: bool,
        sink: &mut impl Sink,
        status: &Status,
    ) -> bool {
        if sink.begin().is_err() {
            status.add(Counter::MediaWithoutSlot, 1);
            self.start = Start::Keyframe { since: None };
            return false;
        }
        // A guess; what has packets is known, and written again, when the segment ends.
        let tracks = Tracks { video: with == Track::Video, audio: None, clock: with };
        self.with_pmt(tracks, self.version, |mux, pmt| mux.tables(pmt, sink));
        self.open = Some(Open {
            start,
            end: start,
            bytes: 2 * PACKET_BYTES,
            clock: with,
            has_video: false,
            audio: None,
            discontinuity: self.discontinuity,
            independent,
            forced: !independent,
        });
        self.discontinuity = false;
        self.cut_at_keyframe = false;
        self.hold_audio = false;
        self.start = Start::Anywhere;
        true
    }

    fn write_picture(
        &mut self,
        picture: &Picture<'_>,
        key: bool,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        if !sink.reserve(packet_bytes_for(picture.unit.len())) {
            status.add(Counter::MediaTooLarge, 1);
            return;
        }
        let dts = (picture.dts != picture.pts).then_some(picture.dts);
        let head = Head {
            track: Track::Video,
            pes: PesHeader {
                stream_id: STREAM_VIDEO,
                length: None,
                alignment: true,
                pts: picture.pts,
                dts,
            },
            random_access: key,
            pcr: match self.open {
                Some(open) if open.clock == Track::Video => {
                    self.mux.advance_clock(Track::Video, picture.dts, sink);
                    self.mux.clock_at(picture.dts)
                }
                _ => None,
            },
        };
        let slices = picture.unit.slices(picture.data, picture.sets);
        self.mux.pes(&head, picture.unit.len(), slices, sink);
        if let Some(open) = &mut self.open {
            open.bytes = sink.written();
            open.has_video = true;
            open.end = open.end.max(picture.dts.plus(self.frame));
        }
    }

    /// Writes the held audio as PES packets of at most `AUDIO_PES_TICKS_MAX`.
    fn flush(&mut self, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        let held = core::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while let Some(first) = rest.first() {
            let count = pes_frames(rest).max(1);
            let (now, later) = rest.split_at(count);
            rest = later;
            if self.open.is_none() && !self.open(first.dts, Track::Audio, true, sink, status) {
                continue;
            }
            let bytes = now.iter().map(Sound::len).sum::<usize>();
            if !self.fits(bytes, sink) {
                status.add(Counter::SlotsFull, 1);
                self.finish(first.dts, sink);
                if !self.open(first.dts, Track::Audio, true, sink, status) {
                    continue;
                }
            }
            self.write_sound(now, bytes, ring, sink, status);
        }
    }

    fn write_sound(
        &mut self,
        frames: &[Sound],
        bytes: usize,
        ring: &FrameRing,
        sink: &mut impl Sink,
        status: &Status,
    ) {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return };
        let Ok(length) = u16::try_from(bytes) else {
            status.add(Counter::MediaTooLarge, 1);
            return;
        };
        if frames.iter().any(|sound| ring.bytes(sound.place).is_none()) {
            status.add(Counter::MediaOverrun, 1);
            return;
        }
        let mut pcr = None;
        if let Some(open) = self.open {
            let ahead = self.last_video.is_none_or(|video| first.dts > video.plus(VIDEO_LATE));
            if open.clock == Track::Audio || ahead {
                self.mux.advance_clock(open.clock, first.dts, sink);
            }
            if open.clock == Track::Audio {
                pcr = self.mux.clock_at(first.dts);
            }
        }
        let head = Head {
            track: Track::Audio,
            pes: PesHeader {
                stream_id: STREAM_AUDIO,
                length: Some(length),
                alignment: true,
                pts: first.pts,
                dts: None,
            },
            random_access: pcr.is_some(),
            pcr,
        };
        let slices = frames.iter().flat_map(|sound| {
            let adts = sound.adts.as_ref().map_or(&[][..], |adts| &adts[..]);
            [adts, ring.bytes(sound.place).unwrap_or_default()]
        });
        self.mux.pes(&head, bytes, slices, sink);
        if let Some(open) = &mut self.open {
            open.bytes = sink.written();
            open.audio = Some(last.stream_type);
            open.end = open.end.max(last.dts.plus(last.duration));
        }
    }

    /// Ends the segment at `next`, where the following one starts.
    fn close(&mut self, next: Ticks, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        if !self.hold_audio {
            self.flush(ring, sink, status);
        }
        self.finish(next, sink);
    }

    /// Ends the segment at its own end; nothing follows yet.
    fn end(&mut self, ring: &FrameRing, sink: &mut impl Sink, status: &Status) {
        self.hold_audio = false;
        self.flush(ring, sink, status);
        if let Some(open) = self.open {
            self.finish(open.end, sink);
        }
    }

    fn finish(&mut self, next: Ticks, sink: &mut impl Sink) {
        let Some(open) = self.open.take() else { return };
        let tracks = Tracks { video: open.has_video, audio: open.audio, clock: open.clock };
        let new = self.named.is_some_and(|named| named != tracks);
        if new {
            self.version = (self.version + 1) % 32;
        }
        self.with_pmt(tracks, self.version, |mux, pmt| mux.tables_again(pmt, sink));
        self.named = Some(tracks);
        sink.finish(&Segment {
            start: open.start,
            duration: next.minus(open.start),
            bytes: open.bytes,
            discontinuity: open.discontinuity || new,
            independent: open.independent,
            forced: open.forced,
        });
    }

    fn with_pmt(&mut self, tracks: Tracks, version: u8, write: impl FnOnce(&mut Mux, &Pmt<'_>)) {
        let video =
            PmtStream { stream_type: STREAM_TYPE_H264, pid: Track::Video.pid(), descriptors: &[] };
        let audio = PmtStream {
            stream_type: tracks.audio.unwrap_or(0),
            pid: Track::Audio.pid(),
            descriptors: &[],
        };
        let both = [video, audio];
        let streams = match (tracks.video, tracks.audio.is_some()) {
            (true, true) => &both[..],
            (true, false) => both.get(..1).unwrap_or_default(),
            (false, true) => both.get(1..).unwrap_or_default(),
            (false, false) => &[],
        };
        let pcr_pid = tracks.clock.pid();
        write(&mut self.mux, &Pmt { pcr_pid, version, program_descriptors: &[], streams });
    }

    /// Whether a PES packet of `bytes` and what is held fit what is left of the segment.
    fn fits(&self, bytes: usize, sink: &mut impl Sink) -> bool {
        let held = self.held.iter().map(Sound::len).sum::<usize>();
        let clock = 16 * PACKET_BYTES;
        sink.reserve(packet_bytes_for(bytes) + 2 * packet_bytes_for(held) + clock)
    }

    fn pes_is_full(&self, next: Sound) -> bool {
        let bytes = self.held.iter().map(Sound::len).sum::<usize>();
        bytes + next.len() > AUDIO_PES_BYTES_MAX
    }

    /// Whether one more frame like the last would make the PES packet too long.
    fn held_is_due(&self) -> bool {
        let (Some(first), Some(last)) = (self.held.first(), self.held.last()) else {
            return false;
        };
        let end = last.dts.plus(last.duration).plus(last.duration);
        !self.hold_audio && end.minus(first.dts) > AUDIO_PES_TICKS_MAX
    }
}

impl Sound {
    /// Bytes in the PES packet.
    fn len(&self) -> usize {
        self.place.len() + self.adts.map_or(0, |adts| adts.len())
    }
}

/// Audio this much ahead of the last picture no longer waits for video to end a segment.
const AUDIO_STARVES_VIDEO: Ticks = Ticks::from_millis(1_000);

/// Audio this much ahead of the last picture carries the clock on in the picture's stead.
const VIDEO_LATE: Ticks = Ticks::from_millis(200);

/// How many of `frames` share the first PES packet.
fn pes_frames(frames: &[Sound]) -> usize {
    let Some(first) = frames.first() else { return 0 };
    let mut bytes = 0;
    frames
        .iter()
        .take_while(|sound| {
            bytes += sound.len();
            let end = sound.dts.plus(sound.duration);
            end.minus(first.dts) <= AUDIO_PES_TICKS_MAX
                && bytes <= AUDIO_PES_BYTES_MAX
                && sound.stream_type == first.stream_type
        })
        .count()
}
