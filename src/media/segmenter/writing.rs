//! The writing half of the segmenter: opening and closing segments, laying pictures and audio into
//! them, and the program map that names their tracks.
//!
//! Decides nothing about where a segment ends; `super` does. A segment in which nothing was written
//! is dropped as if it had not begun.
//! Source: RFC 8216 §3; H.222.0 §2.4.3.6, §2.4.4, §2.7.2.

use crate::limits::{AUDIO_PES_BYTES_MAX, AUDIO_PES_TICKS_MAX, PCR_LEAD_TICKS, VIDEO_LATE_TICKS};
use crate::media::mux::{Head, Mux, Track, packet_bytes_for};
use crate::media::protected::{PROTECTED_H264, STREAM_TYPE_PROTECTED_H264};
use crate::media::segmenter::metadata::POINTER;
use crate::media::segmenter::sealing::Sealed;
use crate::media::segmenter::{
    First, Open, Outlet, Picture, Segmenter, Sound, Tracks, Video, room_for,
};
use crate::media::sink::{Note, Segment, Sink};
use crate::status::Counter;
use crate::time::Ticks;
use crate::wire::ts::pes::{PesHeader, STREAM_VIDEO};
use crate::wire::ts::psi::{Pmt, PmtStream};

impl Segmenter {
    /// Begins a segment at `start`, if there is room for it.
    pub(super) fn begin(&mut self, start: Ticks, with: Track, out: &mut Outlet<'_, impl Sink>) {
        debug_assert!(self.open.is_none());
        let container = self.container(with);
        if !self.is_admitted(start, with, out.sink) || out.sink.begin_as(container).is_err() {
            self.starve();
            return;
        }
        let discontinuity = core::mem::take(&mut self.discontinuity)
            | self.begin_beside_others(start, with, out.sink);
        let metadata = self.mux.metadata_counter();
        self.waiting_since = None;
        if container.is_packed() {
            // What comes after it has a clock of its own.
            self.mux.reset_clock();
            self.open = Some(Open::new(container, start, Track::Audio, (discontinuity, metadata)));
            return;
        }
        // A guess; what has packets is known, and written again, when the segment ends.
        // Audio that was held begins in the past: what counts is whether video is late by now.
        let now = self.last_audio.map_or(start, |last| last.max(start));
        let clock = if self.video_is_near(now) { Track::Video } else { with };
        self.cipher = out.sink.samples();
        let video = (with == Track::Video).then_some(self.format);
        let tracks = Tracks { container, video, audio: None, clock };
        self.with_pmt(tracks, |mux, pmt| mux.tables(pmt, out.sink));
        let guess =
            (clock != with).then(|| self.mux.clock_packet(clock, with, start, out.sink)).flatten();
        self.open =
            Some(Open { guess, ..Open::new(container, start, clock, (discontinuity, metadata)) });
    }

    /// Ends the segment at `next` and says where the following one starts: later than this one,
    /// whatever the order in which tracks came.
    pub(super) fn finish(&mut self, next: Ticks, sink: &mut impl Sink) -> Ticks {
        self.settle_clock(sink);
        let Some(open) = self.open.take() else { return next };
        let next = next.max(open.start.plus(Ticks(1)));
        if open.video.is_none() && open.audio.is_none() {
            sink.discard();
            if !open.container.is_packed() {
                self.mux.tables_discarded(open.metadata);
            }
            self.discontinuity |= open.discontinuity;
            return next;
        }
        let video = open.video.map(|(format, _)| format);
        let first = open.video.map(|(_, first)| first);
        let (container, clock) = (open.container, open.clock);
        let tracks = Tracks { container, video, audio: open.audio, clock };
        let new = self.named.is_some_and(|named| named != tracks);
        if new {
            self.version = (self.version + 1) % 32;
        }
        if !container.is_packed() {
            self.with_pmt(tracks, |mux, pmt| mux.tables_again(pmt, sink));
        }
        self.named = Some(tracks);
        sink.note(Note::Holds { pictures: open.pictures, audio: open.audio.is_some() });
        sink.finish(&Segment {
            start: open.start,
            duration: next.minus(open.start),
            bytes: sink.written(),
            discontinuity: open.discontinuity || new,
            independent: matches!(first, None | Some(First::Idr)),
            forced: first == Some(First::Other),
        });
        next
    }

    /// No picture has come to a segment that audio began and whose clock pictures were expected to
    /// carry: audio does.
    pub(super) fn settle_clock(&mut self, sink: &mut impl Sink) {
        let Some(open) = &mut self.open else { return };
        if open.video.is_some() {
            return;
        }
        if let Some(guess) = open.guess.take() {
            self.mux.clock_packet_again(guess, sink);
            open.clock = Track::Audio;
        }
    }

    fn with_pmt(&mut self, tracks: Tracks, write: impl FnOnce(&mut Mux, &Pmt<'_>)) {
        let is_sealed = self.cipher.is_some();
        let video = tracks.video.map(|format| PmtStream {
            stream_type: if is_sealed { STREAM_TYPE_PROTECTED_H264 } else { format.stream_type() },
            pid: Track::Video.pid(),
            descriptors: if is_sealed { &PROTECTED_H264 } else { format.descriptors() },
        });
        let audio = tracks.audio.as_ref().map(|format| PmtStream {
            stream_type: format.stream_type(),
            pid: Track::Audio.pid(),
            descriptors: format.descriptors(),
        });
        let streams = [video, audio, self.metadata_stream()];
        let streams: heapless::Vec<_, 3> = streams.into_iter().flatten().collect();
        let (pcr_pid, version) = (tracks.clock.pid(), self.version);
        let program_descriptors = if self.metadata { POINTER } else { &[] };
        let streams = streams.as_slice();
        write(&mut self.mux, &Pmt { pcr_pid, version, program_descriptors, streams });
    }

    /// Whether a PES packet of `bytes` and what is held fit what is left of the segment.
    pub(super) fn fits(&self, bytes: usize, sink: &mut impl Sink) -> bool {
        let held = self.held.iter().map(Sound::len).sum::<usize>();
        sink.reserve(room_for(bytes) + 2 * packet_bytes_for(held))
    }

    pub(super) fn write_picture(&mut self, picture: &Picture<'_>, out: &mut Outlet<'_, impl Sink>) {
        let Some(open) = self.open else {
            out.status.add(self.nowhere, 1);
            return;
        };
        let Ok(sealed) = self.seal_picture(picture, out.sink) else {
            out.status.add(Counter::MediaTooLarge, 1);
            return;
        };
        let bytes = sealed.as_ref().map_or(picture.unit.len(), Sealed::len);
        let pcr = self.clock_of_picture(open, picture.dts, out.sink);
        if !out.sink.reserve(packet_bytes_for(bytes)) {
            Sealed::give_back(sealed, out.sink);
            out.status.add(Counter::MediaWithoutSlot, 1);
            self.give_up(picture.dts, out);
            return;
        }
        let head = Head {
            track: Track::Video,
            pes: PesHeader {
                stream_id: STREAM_VIDEO,
                length: None,
                alignment: true,
                pts: picture.pts,
                dts: (picture.dts != picture.pts).then_some(picture.dts),
            },
            random_access: picture.unit.is_random_access(),
            pcr,
        };
        let at = out.sink.written();
        let clear = sealed.is_none().then(|| picture.unit.slices(picture.data, picture.sets));
        let slices = sealed.iter().map(Sealed::bytes).chain(clear.into_iter().flatten());
        self.mux.pes(&head, bytes, slices, out.sink);
        Sealed::give_back(sealed, out.sink);
        if head.random_access {
            let bytes = out.sink.written() - at;
            out.sink.note(Note::KeyPicture { dts: picture.dts, at, bytes });
        }
        if let Some(open) = &mut self.open {
            let first = (picture.sets.format(), First::of(picture.unit));
            open.video = open.video.or(Some(first));
            open.pictures = open.pictures.saturating_add(1);
            open.end = open.end.max(picture.dts.plus(self.frame));
        }
    }

    /// Writes the held audio as PES packets of at most `AUDIO_PES_TICKS_MAX`.
    pub(super) fn flush(&mut self, out: &mut Outlet<'_, impl Sink>) {
        let held = core::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while let Some(first) = rest.first() {
            let (now, later) = rest.split_at(pes_frames(rest).max(1));
            rest = later;
            if now.iter().any(|sound| sound.bytes(out.ring).is_none()) {
                out.status.add(Counter::MediaOverrun, 1);
                continue;
            }
            if self.open.is_none() {
                self.format_heard = Some(first.format);
                self.begin(first.dts, Track::Audio, out);
            }
            let bytes = now.iter().map(Sound::len).sum::<usize>();
            if self.open.is_some() && !out.sink.reserve(room_for(bytes)) {
                out.status.add(Counter::SlotsFull, 1);
                self.format_heard = Some(first.format);
                self.cut(first.dts, Track::Audio, out);
            }
            if self.is_packed() {
                self.write_packed(now, bytes, out);
            } else {
                self.write_sound(now, bytes, out);
            }
        }
    }

    /// Writes one PES packet of audio.
    fn write_sound(&mut self, frames: &[Sound], bytes: usize, out: &mut Outlet<'_, impl Sink>) {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return };
        let fits = bytes <= AUDIO_PES_BYTES_MAX;
        let Some(length) = u16::try_from(bytes).ok().filter(|_| fits) else {
            out.status.add(Counter::MediaTooLarge, 1);
            return;
        };
        let Some(open) = self.open else {
            out.status.add(self.nowhere, 1);
            return;
        };
        let Ok(sealed) = self.seal_sound(frames, out.ring, out.sink) else {
            out.status.add(Counter::MediaTooLarge, 1);
            return;
        };
        let pcr = self.clock_of_sound(open, first.dts, out.sink);
        if !out.sink.reserve(packet_bytes_for(bytes)) {
            Sealed::give_back(sealed, out.sink);
            out.status.add(Counter::MediaWithoutSlot, 1);
            self.give_up(first.dts, out);
            return;
        }
        let head = Head {
            track: Track::Audio,
            pes: PesHeader {
                stream_id: first.format.stream_id(),
                length: Some(length),
                alignment: first.format.is_aligned(),
                pts: first.pts,
                dts: None,
            },
            random_access: pcr.is_some(),
            pcr,
        };
        let clear = if sealed.is_some() { &[] } else { frames };
        let clear = clear.iter().flat_map(|sound| sound.slices(out.ring));
        let slices = sealed.iter().map(Sealed::bytes).chain(clear);
        self.mux.pes(&head, bytes, slices, out.sink);
        Sealed::give_back(sealed, out.sink);
        if let Some(open) = &mut self.open {
            open.audio = Some(last.format);
            open.end = open.end.max(last.dts.plus(last.duration));
        }
    }

    /// The clock reference of a picture at `dts`, if it carries the clock. Where audio does but is
    /// late, its clock is carried on; audio that waits for its PES packet is not late.
    fn clock_of_picture(&mut self, open: Open, dts: Ticks, sink: &mut impl Sink) -> Option<Ticks> {
        if open.clock == Track::Audio {
            self.mux.advance_clock(Track::Audio, dts.minus(AUDIO_PES_TICKS_MAX), sink);
            return None;
        }
        if open.video.is_some() || open.guess.is_some() {
            self.mux.advance_clock(Track::Video, dts, sink);
        }
        if open.video.is_some() { self.mux.clock_at(dts) } else { Some(self.mux.clock_first(dts)) }
    }

    /// The clock reference of audio at `dts`, if it carries the clock. Where pictures do but are
    /// late, their clock is carried on.
    fn clock_of_sound(&mut self, open: Open, dts: Ticks, sink: &mut impl Sink) -> Option<Ticks> {
        let late = match self.video {
            Video::Running { last } => dts > last.plus(VIDEO_LATE_TICKS),
            Video::Unknown | Video::Absent | Video::Starting | Video::Resuming => true,
        };
        if late {
            self.settle_clock(sink);
        }
        let clock = self.open.map_or(open.clock, |open| open.clock);
        if clock == Track::Audio {
            if open.audio.is_none() {
                return Some(self.mux.clock_first(dts));
            }
            self.mux.advance_clock(Track::Audio, dts, sink);
            return self.mux.clock_at(dts);
        }
        if open.guess.is_some() && open.video.is_none() && !late {
            // The clock of this segment is not settled: it has its first reference, and no more.
            return None;
        }
        let until = match self.video {
            // Audio that waited may be far behind a picture whose clock is still to come.
            Video::Running { last } if !late => dts.min(last),
            Video::Running { last } if self.video_runs(dts) => {
                // The next picture must not find the clock ahead of itself; nor may audio be
                // a second ahead of the clock (H.222.0 §2.4.2.6).
                let picture = last.plus(self.frame).plus(PCR_LEAD_TICKS).minus(Ticks(1));
                picture.max(dts.minus(VIDEO_LATE_TICKS)).min(dts)
            }
            Video::Running { .. }
            | Video::Unknown
            | Video::Absent
            | Video::Starting
            | Video::Resuming => dts,
        };
        self.mux.advance_clock(Track::Video, until, sink);
        None
    }
}

/// How many of `frames` share the first PES packet. Only its first frame has a time of its own, so
/// that all others must follow without a gap.
fn pes_frames(frames: &[Sound]) -> usize {
    let Some(first) = frames.first() else { return 0 };
    let (mut bytes, mut next) = (0, first.dts);
    frames
        .iter()
        .take_while(|sound| {
            let gap = sound.dts.minus(next);
            bytes += sound.len();
            next = sound.dts.plus(sound.duration);
            next.minus(first.dts) <= AUDIO_PES_TICKS_MAX
                && gap.0.abs() <= PES_GAP_TICKS_MAX
                && bytes <= AUDIO_PES_BYTES_MAX
                && sound.format == first.format
        })
        .count()
}

/// What rounding and the correction of drift may put between two frames: 0.1 ms.
const PES_GAP_TICKS_MAX: i64 = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::carriage::AudioFormat;
    use crate::media::segmenter::sound::Prefix;
    use crate::storage::{FrameRing, Place};

    /// Sounds without a gap, in places of so many bytes, that last so long.
    fn sounds(parts: [(usize, Ticks); 3]) -> Vec<Sound> {
        let mut dts = Ticks(0);
        let sound = |(bytes, duration)| {
            let place = match bytes {
                0 => Place::NOWHERE,
                _ => FrameRing::new(2 * bytes, 1).reserve(bytes).unwrap(),
            };
            let sound = Sound {
                pts: dts,
                dts,
                duration,
                prefix: Prefix::None,
                place,
                format: AudioFormat::Aac,
            };
            dts = dts.plus(duration);
            sound
        };
        parts.map(sound).to_vec()
    }

    #[test]
    fn pes_packet_lasts_so_long_and_no_longer() {
        for (more, frames) in [(0, 3), (1, 2)] {
            let last = Ticks(AUDIO_PES_TICKS_MAX.0 - 8_000 + more);
            let sounds = sounds([(0, Ticks(4_000)), (0, Ticks(4_000)), (0, last)]);
            assert_eq!(pes_frames(&sounds), frames);
        }
    }

    #[test]
    fn pes_packet_holds_so_many_bytes_and_no_more() {
        for (more, frames) in [(0, 3), (1, 2)] {
            let last = AUDIO_PES_BYTES_MAX - 60_000 + more;
            let time = Ticks(1_000);
            let sounds = sounds([(30_000, time), (30_000, time), (last, time)]);
            assert_eq!(pes_frames(&sounds), frames);
        }
    }
}
