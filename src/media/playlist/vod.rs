//! The media playlist of a recording.
//!
//! Source: RFC 8216 §4.3.3.5, §6.2.1.

use crate::media::playlist::lines::SegmentLines;
use crate::media::playlist::{Closed, KeyTag, Marks};
use crate::time::Ticks;
use crate::wire::m3u8::{Durations, Line, rounded_seconds};
use crate::wire::writer::{Full, Writer};

/// A playlist of a recording, written as it grows and never held.
///
/// The target duration is known last: write segments to one place, then `header`, those lines and
/// `EXT-X-ENDLIST` (which `end` writes) to another.
#[derive(Debug)]
pub struct VodPlaylist {
    sequence: u64,
    durations: Durations,
    longest_micros: u64,
    independent: bool,
    key: Option<KeyTag>,
}

impl VodPlaylist {
    /// A playlist whose first segment has the sequence number 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sequence: 0,
            durations: Durations::new(),
            longest_micros: 0,
            independent: true,
            key: None,
        }
    }

    /// Writes the lines of the next segment, a transport stream without a date, at most 96 bytes.
    /// `slot` is not used.
    ///
    /// # Errors
    /// `Full` if they do not fit; the segment is not counted then, though a part may be written.
    pub fn segment(&mut self, w: &mut Writer<'_>, epoch: u32, closed: &Closed) -> Result<(), Full> {
        self.segment_with(w, epoch, closed, Marks::default())
    }

    /// The same for a segment of which there is more to say, at most `PLAYLIST_LINE_BYTES_MAX`.
    ///
    /// # Errors
    /// As `segment`.
    pub fn segment_with(
        &mut self,
        w: &mut Writer<'_>,
        epoch: u32,
        closed: &Closed,
        Marks { date, container, .. }: Marks,
    ) -> Result<(), Full> {
        let mut durations = self.durations;
        let micros = durations.next(closed.duration.max(Ticks(1)));
        let (discontinuity, sequence) = (closed.discontinuity, self.sequence);
        SegmentLines { discontinuity, date, micros, container, epoch, sequence }.emit(w)?;
        self.durations = durations;
        self.sequence += 1;
        self.longest_micros = self.longest_micros.max(micros);
        self.independent &= closed.independent;
        Ok(())
    }

    /// Writes the key tag of the segments that follow, at most `KEY_LINE_BYTES_MAX` bytes, if it is
    /// another than that of the ones before.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn key(&mut self, w: &mut Writer<'_>, key: Option<KeyTag>) -> Result<(), Full> {
        if self.key != key {
            KeyTag::emit(key, w)?;
            self.key = key;
        }
        Ok(())
    }

    /// Writes the header of all that was written so far, at most 256 bytes. There is no
    /// discontinuity sequence: nothing leaves (and R13 forbids it).
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn header(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        Line::Header.emit(w)?;
        Line::Version(self.key.map_or(3, |key| key.method.version())).emit(w)?;
        Line::TargetDuration(rounded_seconds(self.longest_micros).max(1)).emit(w)?;
        Line::MediaSequence(0).emit(w)?;
        Line::Vod.emit(w)?;
        if self.independent {
            Line::IndependentSegments.emit(w)?;
        }
        Ok(())
    }

    /// Writes the last line.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn end(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        Line::EndList.emit(w)
    }

    /// Sequence number of the segment that comes next.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.sequence
    }
}

impl Default for VodPlaylist {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PLAYLIST_LINE_BYTES_MAX;
    use crate::media::container::Container;
    use crate::time::UnixMillis;

    fn segment(ms: i64) -> Closed {
        Closed {
            duration: Ticks::from_millis(ms),
            discontinuity: false,
            independent: true,
            slot: 0,
        }
    }

    #[test]
    fn vod_playlist_is_written_as_it_grows() {
        let mut vod = VodPlaylist::new();
        let (mut body, mut head) = ([0; 400], [0; 256]);
        let mut w = Writer::new(&mut body);
        vod.segment(&mut w, 1, &segment(6_006)).unwrap();
        let forced = Closed { discontinuity: true, independent: false, ..segment(9_500) };
        vod.segment(&mut w, 1, &forced).unwrap();
        vod.segment(&mut Writer::new(&mut [0; 20]), 1, &segment(99_000)).unwrap_err();
        vod.end(&mut w).unwrap();
        assert_eq!(vod.next_sequence(), 2, "what did not fit is not counted");
        let mut h = Writer::new(&mut head);
        vod.header(&mut h).unwrap();
        let whole = [h.written(), w.written()].concat();
        assert_eq!(
            String::from_utf8(whole).unwrap(),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:6.006000,\n00000001-0.ts\n\
             #EXT-X-DISCONTINUITY\n#EXTINF:9.500000,\n00000001-1.ts\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn longest_lines_of_a_segment_fit_their_bound() {
        let mut vod = VodPlaylist { sequence: u64::MAX - 1, ..VodPlaylist::new() };
        let longest =
            Closed { duration: Ticks(1 << 53), discontinuity: true, independent: true, slot: 0 };
        let mut lines = [0; PLAYLIST_LINE_BYTES_MAX];
        let mut w = Writer::new(&mut lines);
        let date = Some(UnixMillis(u64::MAX));
        let marks = Marks { date, container: Container::Adts, passed: 0 };
        vod.segment_with(&mut w, u32::MAX, &longest, marks).unwrap();
        let text = core::str::from_utf8(w.written()).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
