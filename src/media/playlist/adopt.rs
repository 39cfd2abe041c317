//! A playlist that goes on after the program was started again: read from the text that the run
//! before has left.
//!
//! All that a text does not tell is taken for the worst of what can have been: the last version
//! was made just now (R37), and each of its segments was listed by one that was as long as it can
//! get (R35). Sequence numbers, target duration and each segment's lines are those of the text
//! (R10, R11, R31); the caller compares what is then rendered with it, so that a line which is not
//! understood here is never lost unseen. The segment that comes next does not continue the last:
//! it is the caller's to mark.
//! Source: RFC 8216 §6.2.1, §6.2.2.

use core::mem::take;

use super::lines::SegmentId;
use super::{Advice, Counts, Dates, Entry, Marks, Playlist, PlaylistConfig, cut_limit};
use crate::limits::{PENDING_SEGMENTS_MAX, SEQUENCE_MAX, TARGET_DURATION_S_MAX};
use crate::time::{Instant, UnixMillis};
use crate::wire::date;
use crate::wire::m3u8::{Durations, ListedSegment, M3u8Error, MediaPlaylist};

/// Why a playlist does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// Malformed: it is no playlist.
    #[error(transparent)]
    Malformed(#[from] M3u8Error),
    /// Malformed: a name or number that this program never writes.
    #[error("segment {sequence} is named {name}, which is none of its names")]
    Name {
        /// Its media sequence number.
        sequence: u64,
        /// Bytes of its name.
        name: usize,
    },
    /// Unsupported: the settings ask for what this playlist can no longer become.
    #[error("its target duration is {target_s} s, and the settings ask for another")]
    Target {
        /// Its target duration.
        target_s: u64,
    },
    /// Exhausted: more segments than the settings leave slots for.
    #[error("it lists {segments} segments, {max} can be kept")]
    TooMany {
        /// Segments listed.
        segments: usize,
        /// How many can be.
        max: usize,
    },
}

/// The text of a playlist, read.
#[derive(Clone, Copy, Debug)]
pub struct Adopted<'a> {
    text: MediaPlaylist<'a>,
    lines: &'a str,
}

impl<'a> Adopted<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// `Malformed`, also for numbers that are not ours.
    pub fn read(bytes: &'a [u8]) -> Result<Self, AdoptError> {
        let text = MediaPlaylist::parse(bytes)?;
        let lines = core::str::from_utf8(bytes).unwrap_or_default();
        for (number, tag) in [
            (text.media_sequence, "EXT-X-MEDIA-SEQUENCE"),
            (text.discontinuity_sequence, "EXT-X-DISCONTINUITY-SEQUENCE"),
        ] {
            if number > SEQUENCE_MAX {
                return Err(M3u8Error::Value { tag, line: 0 }.into());
            }
        }
        Ok(Self { text, lines })
    }

    /// Media sequence number of the segment that comes next.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        let segments = u64::try_from(self.text.segments).unwrap_or(u64::MAX);
        self.text.media_sequence.saturating_add(segments)
    }

    /// Media sequence number of the first segment.
    #[must_use]
    pub const fn media_sequence(&self) -> u64 {
        self.text.media_sequence
    }

    /// Discontinuity sequence number behind the last segment.
    #[must_use]
    pub fn discontinuities(&self) -> u64 {
        let tags = |(segment, _, passed): (ListedSegment<'_>, _, u8)| {
            u64::from(segment.discontinuity) + u64::from(passed)
        };
        let tags: u64 = self.segments().map(tags).sum();
        self.text.discontinuity_sequence.saturating_add(tags)
    }

    /// Names of the segments, first first.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.text.segments().map(|segment| segment.uri)
    }

    /// How long a segment that has left is to be kept at most from the last version on, in
    /// microseconds (R35): its own duration and that of the longest version.
    #[must_use]
    pub fn keep_micros(&self) -> u64 {
        self.longest().saturating_add(self.text.target_duration_s.saturating_mul(1_000_000))
    }

    /// The playlist, as one whose last version was made at `now`. The segments are in slots from
    /// `first_slot` on, in their order.
    ///
    /// # Errors
    /// `AdoptError`; then it cannot go on as it is.
    pub fn playlist(
        &self,
        (config, advice): (PlaylistConfig, Advice),
        now: Instant,
        first_slot: usize,
    ) -> Result<Playlist, AdoptError> {
        let mut playlist = Playlist::new(config);
        playlist.advise(advice);
        let target_s = self.target(&playlist)?;
        let segments = self.text.segments;
        let max = playlist.config.listed_max.saturating_sub(PENDING_SEGMENTS_MAX + 1);
        let too_many = AdoptError::TooMany { segments, max };
        if segments == 0 || segments > max {
            return Err(too_many);
        }
        let longest = self.longest();
        let listed = (self.text.media_sequence..).zip(first_slot..).zip(self.segments());
        for ((sequence, slot), (segment, date, passed)) in listed {
            let SegmentId { epoch, container, .. } = id(sequence, &segment)?;
            let ListedSegment { micros, discontinuity, .. } = segment;
            let (epoch, marks) = (Some(epoch), Marks { date, container, passed });
            playlist.micros += micros;
            playlist.tags += u64::from(discontinuity) + u64::from(passed);
            let key = None;
            playlist.entries.push_back(Entry { epoch, micros, discontinuity, marks, slot, key });
        }
        playlist.listed = playlist.entries.len();
        playlist.longest.note(self.next_sequence(), longest);
        playlist.target_s = Some(target_s);
        playlist.media_sequence = self.text.media_sequence;
        playlist.discontinuity_sequence = self.text.discontinuity_sequence;
        playlist.durations = Durations::new();
        // Where it is not said, whether it would be true is not known.
        playlist.independent = self.text.independent_segments;
        playlist.updated_at = Some(now);
        playlist.ended = self.text.ended;
        playlist.counts = Counts::default();
        Ok(playlist)
    }

    /// The dates that the next segment goes on behind.
    #[must_use]
    pub fn dates(&self) -> Dates {
        let mut last: Option<(u64, UnixMillis)> = None;
        for (sequence, (segment, date, _)) in (self.text.media_sequence..).zip(self.segments()) {
            let begins = date.map(|date| (sequence, date));
            last = begins.or(last).map(|(sequence, at)| {
                let millis = segment.micros.div_ceil(1000);
                (sequence, UnixMillis(at.0.saturating_add(millis)))
            });
        }
        last.map_or_else(Dates::new, |(sequence, end)| Dates::after(sequence, end))
    }

    /// The segments, each with its date and its discontinuity tags beyond the first.
    fn segments(
        &self,
    ) -> impl Iterator<Item = (ListedSegment<'a>, Option<UnixMillis>, u8)> + use<'a> {
        let (mut date, mut tags) = (None, 0u8);
        let lines = self.lines.lines().filter_map(move |line| {
            if let Some(text) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
                date = date::parse(text);
            }
            tags = tags.saturating_add(u8::from(line == "#EXT-X-DISCONTINUITY"));
            let is_address = !line.is_empty() && !line.starts_with('#');
            let passed = is_address.then(|| take(&mut tags).saturating_sub(1));
            passed.map(|passed| (date.take(), passed))
        });
        self.text.segments().zip(lines).map(|(segment, (date, passed))| (segment, date, passed))
    }

    /// Its target duration, if the settings can live with it: it never changes (R10).
    fn target(&self, playlist: &Playlist) -> Result<u32, AdoptError> {
        let target_s = self.text.target_duration_s;
        let fits = |target: &u32| {
            let asked = playlist.target_s.is_none_or(|asked| asked == *target);
            asked
                && (1..=TARGET_DURATION_S_MAX).contains(target)
                && cut_limit(*target) >= playlist.config.segment
        };
        let target = u32::try_from(target_s).ok().filter(fits);
        target.ok_or(AdoptError::Target { target_s })
    }

    /// What a version with as many segments lasts at most, microseconds.
    fn longest(&self) -> u64 {
        let segments = u64::try_from(self.text.segments).unwrap_or(u64::MAX);
        // Segments exceed the target duration by less than half a second.
        let most = self.text.target_duration_s.saturating_mul(1_000_000).saturating_add(500_000);
        most.saturating_mul(segments)
    }
}

/// What a segment's name says, if that is its number.
fn id(sequence: u64, segment: &ListedSegment<'_>) -> Result<SegmentId, AdoptError> {
    let id = SegmentId::read(segment.uri).filter(|id| id.sequence == sequence);
    id.ok_or(AdoptError::Name { sequence, name: segment.uri.len() })
}
