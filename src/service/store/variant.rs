//! The master playlist of one stream and the I-frame playlist beside it, as they are served and as
//! they stand in the folder.
//!
//! Both follow the media playlist: they appear with its first version that they can say something
//! of, and are written after it. The master is written again only when its text changes. Beside a
//! long playlist, one of I-frames would cost as much as the whole of it with each version: there
//! is none, and the master names none. What the master says holds for a long one too. What they
//! say, `media::playlist` decides. Source: RFC 8216 §4.3.4, §6.2.1.

use super::names::{I_FRAMES, I_FRAMES_TEMPORARY, MASTER, MASTER_TEMPORARY, PLAYLIST, masked};
use super::row::Row;
use super::text::Text;
use super::view::PlaylistView;
use crate::limits::{
    I_FRAME_LINES_BYTES_MAX, I_FRAMES_PER_SEGMENT_MAX, MASTER_AGE_S, MASTER_BYTES_MAX,
};
use crate::media::playlist::{
    Change, IFrame, IFrames, Measured, Offer, Playlist, emit_i_frames, lasting,
};
use crate::media::sink::{Note, Segment};
use crate::service::web::fnv1a;
use crate::status::{Counter, Status};
use crate::storage::widen;
use crate::sys::folder::Folder;
use crate::time::Ticks;
use crate::wire::writer::Writer;

/// What the playlists beside the media playlist need of one stream.
#[derive(Debug)]
pub(super) struct Variant {
    offer: Offer,
    master: Text,
    i_frames: Text,
    /// Pictures that were listed and have left.
    i_frames_gone: u64,
    /// Of the segment that is being written.
    frames: IFrames,
    /// Decode time of the last of them, and the least distance of two.
    last: Option<Ticks>,
    apart: Ticks,
    holds: (u32, bool),
    is_ended: bool,
}

impl Variant {
    /// Bytes of the texts where so many segments are listed at most.
    pub(super) const fn bytes(listed_max: usize) -> usize {
        MASTER_BYTES_MAX + 256 + listed_max * I_FRAME_LINES_BYTES_MAX
    }

    /// Of a stream whose segments are meant to last `segment`, with pictures of so many listed at
    /// most.
    pub(super) fn new(segment: Ticks, listed_max: usize) -> Self {
        let most = i64::try_from(I_FRAMES_PER_SEGMENT_MAX).unwrap_or(i64::MAX);
        Self {
            offer: Offer::new(0),
            master: Text::new(MASTER_BYTES_MAX),
            i_frames: Text::new(Self::bytes(listed_max) - MASTER_BYTES_MAX),
            i_frames_gone: 0,
            frames: IFrames::new(),
            last: None,
            apart: Ticks(segment.0 / most),
            holds: (0, false),
            is_ended: false,
        }
    }

    /// Another stream begins, with the segment `sequence`.
    pub(super) fn begin(&mut self, sequence: u64) {
        self.offer = Offer::new(sequence);
        self.master.clear();
        self.i_frames.clear();
        // No segment has more pictures than this: what another life has counted is less.
        self.i_frames_gone = sequence.saturating_mul(widen(I_FRAMES_PER_SEGMENT_MAX));
        self.frames.clear();
        self.last = None;
        self.is_ended = false;
    }

    /// A segment begins, or nothing was worth keeping of the one that did.
    pub(super) fn turn(&mut self) {
        self.frames.clear();
        self.last = None;
    }

    /// Takes note of what the pipeline says.
    pub(super) fn note(&mut self, note: Note<'_>, status: &Status) {
        match note {
            Note::Encoding(encoding) => self.offer.encoded(encoding),
            Note::Holds { pictures, audio } => self.holds = (pictures, audio),
            Note::KeyPicture { dts, at, bytes } => {
                // Those that come closer than a player could show them are passed over.
                let early = self.last.is_some_and(|last| dts.minus(last) < self.apart);
                let (Ok(at), Ok(bytes)) = (at.try_into(), bytes.try_into()) else { return };
                if early {
                    return;
                }
                // Where the segment begins is said when it ends.
                if self.frames.push(IFrame { after: dts, at, bytes }).is_err() {
                    status.add(Counter::IFramesUnlisted, 1);
                }
                self.last = Some(dts);
            }
        }
    }

    /// The segment is complete; its pictures go to the row of its slot.
    pub(super) fn closed(&mut self, sequence: u64, segment: &Segment, frames: &mut IFrames) {
        for frame in &mut self.frames {
            frame.after = frame.after.minus(segment.start);
        }
        frames.clone_from(&self.frames);
        self.turn();
        let micros = segment.duration.micros().max(1).unsigned_abs();
        let (pictures, audio) = core::mem::take(&mut self.holds);
        let bytes = widen(segment.bytes);
        let measured = Measured { sequence, bytes, micros, pictures, audio };
        let rates = lasting(frames, micros).map(|(frame, micros)| (frame.bytes.into(), micros));
        self.offer.closed(measured, rates);
    }

    /// There is a new version of the media playlist: makes those that go with it.
    pub(super) fn update(
        &mut self,
        (folder, path, epoch): (Option<&Folder>, &str, u32),
        playlist: &Playlist,
        change: &Change,
        rows: &[Row],
    ) {
        let frames =
            |slot: usize| rows.get(slot).map(|row| row.frames.as_slice()).unwrap_or_default();
        let gone = change.retired.iter().map(|retired| frames(retired.slot).len());
        self.i_frames_gone = self.i_frames_gone.saturating_add(widen(gone.sum::<usize>()));
        self.is_ended = playlist.is_ended();
        let first = playlist.media_sequence();
        self.offer.listed(first, playlist.next_sequence());
        let is_short = !playlist.is_long();
        if is_short && playlist.listed().any(|listed| !frames(listed.slot).is_empty()) {
            let place = (folder, I_FRAMES, I_FRAMES_TEMPORARY);
            let sequence = self.i_frames_gone;
            self.i_frames
                .replace(place, path, |w| emit_i_frames(w, playlist, epoch, sequence, frames));
        } else {
            withdraw(&mut self.i_frames, folder, I_FRAMES, path);
        }
        if !self.offer.is_named(first) {
            withdraw(&mut self.master, folder, MASTER, path);
            return;
        }
        let mut room = [0; MASTER_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        let i_frames = (!self.i_frames.body().is_empty()).then_some(I_FRAMES);
        let emitted = self.offer.emit(&mut w, PLAYLIST, i_frames).and_then(|()| {
            // The key of what is newest: players begin there.
            playlist.newest_key().map_or(Ok(()), |key| key.emit_session(&mut w))
        });
        if emitted.is_err() || w.written() != self.master.body() {
            let place = (folder, MASTER, MASTER_TEMPORARY);
            self.master.replace(place, path, |out| emitted.and_then(|()| out.bytes(w.written())));
        }
    }

    /// What is known of it, once all of it has a name.
    pub(super) fn offer(&self, playlist: &Playlist) -> Option<&Offer> {
        Some(&self.offer).filter(|offer| offer.is_named(playlist.media_sequence()))
    }

    /// Whether there is an I-frame playlist.
    pub(super) fn has_i_frames(&self) -> bool {
        !self.i_frames.body().is_empty()
    }

    /// The files that go when the stream is given up.
    pub(super) const FILES: [&str; 2] = [MASTER, I_FRAMES];

    /// The playlist with the name `file`, if it is one of these and there is one.
    pub(super) fn view(&self, file: &str, target_s: u32) -> Option<PlaylistView<'_>> {
        let (text, max_age_s, is_ended) = match file {
            MASTER => (&self.master, master_age_s(target_s), false),
            I_FRAMES => (&self.i_frames, 0, self.is_ended),
            _ => return None,
        };
        view(text, target_s, (max_age_s, is_ended))
    }
}

/// A text that is known by what it says, if there is one.
pub(super) fn view(
    text: &Text,
    target_s: u32,
    (max_age_s, is_ended): (u32, bool),
) -> Option<PlaylistView<'_>> {
    let body = Some(text.body()).filter(|body| !body.is_empty())?;
    Some(PlaylistView {
        body,
        version: fnv1a(body),
        edition: None,
        target_ms: target_s.saturating_mul(1000),
        max_age_s,
        is_ended,
        packed: text.packed(),
    })
}

/// Seconds that a master playlist may be kept.
pub(super) fn master_age_s(target_s: u32) -> u32 {
    target_s.clamp(*MASTER_AGE_S.start(), *MASTER_AGE_S.end())
}

/// There is nothing to say any more.
fn withdraw(text: &mut Text, folder: Option<&Folder>, name: &str, stream: &str) {
    if text.body().is_empty() {
        return;
    }
    text.clear();
    if let Some(folder) = folder
        && let Err(cause) = folder.remove(name.as_bytes())
    {
        let stream = masked(stream);
        log::debug!("playlist had no name stream={stream} name={name} cause=\"{cause}\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(n: usize) -> Note<'static> {
        let dts = Ticks(i64::try_from(n).unwrap() * 9_000);
        Note::KeyPicture { dts, at: 376 * n, bytes: 376 }
    }

    #[test]
    fn pictures_beyond_those_listed_are_counted_and_close_ones_passed_over() {
        let status = Status::new();
        let mut variant = Variant::new(Ticks(9_000 * 12), 3);
        variant.turn();
        for n in 0..=I_FRAMES_PER_SEGMENT_MAX {
            variant.note(picture(n), &status);
        }
        assert_eq!(variant.frames.len(), I_FRAMES_PER_SEGMENT_MAX);
        assert_eq!(status.get(Counter::IFramesUnlisted), 1);
        let mut variant = Variant::new(Ticks(9_000 * 24), 3);
        for n in 0..10 {
            variant.note(picture(n), &status);
        }
        let listed: Vec<u32> = variant.frames.iter().map(|frame| frame.at / 376).collect();
        assert_eq!(listed, [0, 2, 4, 6, 8]);
        assert_eq!(status.get(Counter::IFramesUnlisted), 1, "nothing was lost");
    }

    #[test]
    fn r11_i_frames_of_another_life_are_counted_below_those_of_this_one() {
        let mut variant = Variant::new(Ticks(90_000), 3);
        variant.begin(7);
        assert_eq!(variant.i_frames_gone, 7 * widen(I_FRAMES_PER_SEGMENT_MAX));
        assert!(variant.view(I_FRAMES, 2).is_none() && variant.view(MASTER, 2).is_none());
    }

    #[test]
    fn master_may_be_kept_for_a_target_duration_within_bounds() {
        let mut variant = Variant::new(Ticks(90_000), 3);
        variant.master.replace((None, MASTER, ""), "live/cam", |w| w.bytes(b"#EXTM3U\n"));
        let age = |target_s| variant.view(MASTER, target_s).unwrap().max_age_s;
        assert_eq!((age(2), age(6), age(90)), (*MASTER_AGE_S.start(), 6, *MASTER_AGE_S.end()));
        assert!(variant.view("other.m3u8", 2).is_none());
    }
}
