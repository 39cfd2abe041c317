//! One stream's place in the store.

use crate::limits::STREAM_PATH_BYTES_MAX;
use crate::media::playlist::{Dates, Playlist, Seen};
use crate::media::sink::Segment;
use crate::service::ledger::Numbers;
use crate::service::store::keys::SegmentKey;
use crate::service::store::names::{PLAYLIST, TURNS, masked};
use crate::service::store::text::Text;
use crate::service::store::variant::Variant;
use crate::service::store::view::StreamFacts;
use crate::storage::widen;
use crate::sys::folder::Folder;
use crate::time::Instant;

/// One stream's place; kept while the publisher is away.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) path: heapless::String<STREAM_PATH_BYTES_MAX>,
    /// Its folder; none if that cannot be made: then it is served, but has no files.
    pub(super) folder: Option<Folder>,
    /// Versions of the playlists before this one.
    pub(super) versions_before: u64,
    pub(super) playlist: Playlist,
    /// Of its newest segment.
    pub(super) key: Option<SegmentKey>,
    /// When the playlist, which has ended, is to go.
    pub(super) gone_at: Option<Instant>,
    /// The next segment does not continue what players may know of the stream.
    pub(super) resumes: bool,
    pub(super) text: Text,
    pub(super) variant: Variant,
    /// Slot being written and bytes in it.
    pub(super) writing: Option<(usize, usize)>,
    /// When that segment began.
    pub(super) begun: Option<Seen>,
    pub(super) dates: Dates,
    /// Cue points so far: no two date ranges have the same ID.
    pub(super) cues: u64,
    pub(super) publisher: Option<Instant>,
    pub(super) away_since: Instant,
    pub(super) kbit_s: u32,
    pub(super) facts: StreamFacts,
}

impl Stream {
    /// Takes the names of its playlist.
    pub(super) fn remove_names(&self) {
        let Some(folder) = &self.folder else { return };
        for name in [PLAYLIST].iter().chain(&TURNS).chain(&Variant::FILES) {
            if let Err(cause) = folder.remove(name.as_bytes()) {
                let stream = masked(&self.path);
                log::debug!("playlist had no name stream={stream} name={name} cause=\"{cause}\"");
            }
        }
    }

    /// The first of its numbers that are free.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            sequence: self.playlist.next_sequence(),
            discontinuity: self.playlist.discontinuities(),
            version: self.versions_before + self.playlist.version(),
        }
    }
}

/// Mean bit rate of a segment in kbit/s.
pub(super) fn kbit_s(segment: &Segment) -> u32 {
    let micros = segment.duration.micros().max(1).unsigned_abs();
    let bits = widen(segment.bytes).saturating_mul(8);
    u32::try_from(bits.saturating_mul(1000) / micros).unwrap_or(u32::MAX)
}
