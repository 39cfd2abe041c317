//! What an earlier run has left in the folder, and how much of it goes on.
//!
//! A name in a stream's folder is a hard link to a slot, made when the segment in it was complete
//! and taken before the slot was used again: whatever ended that run, a name means a whole segment.
//! So a stream goes on if its playlist can be read, all that it lists is there, and what this run
//! would write of it is to the byte what is there. The segments keep their files, which become
//! slots of this run; those that have left the playlist are kept too, for as long as they may still
//! be asked for. A segment without a line, or half written, is dropped, and a stream that does
//! not go on is cleared as a whole; its numbers are told anyway.
//!
//! A tmpfs is empty after a reboot, so what is in one is of this boot. On storage it may be
//! older than what players have seen: there nothing is adopted.
//! Only looks; `super` takes what is found, and clears the rest.
//! Source: RFC 8216 §6.2.1, §6.2.2.

use crate::limits::{LEDGER_STREAMS_MAX, LEFTOVER_DEPTH_MAX, LEFTOVERS_MAX, STREAM_PATH_BYTES_MAX};
use crate::media::playlist::{
    AdoptError, Adopted, Advice, Change, Dates, Playlist, PlaylistConfig, SegmentId,
};
use crate::service::ledger::Numbers;
use crate::service::store::Store;
use crate::service::store::governor::PAGE_BYTES;
use crate::service::store::names::{PLAYLIST, SLOTS, SegmentName, SlotName, masked};
use crate::service::store::row::{Row, Use};
use crate::service::store::stream::Stream;
use crate::storage::{narrow, widen};
use crate::sys::folder::Folder;
use crate::sys::slots::Slot;
use crate::time::Instant;
use crate::wire::ts::packet::PACKET_BYTES;
use crate::wire::writer::Writer;
use core::cmp::Reverse;
use core::time::Duration;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A stream that goes on.
pub(super) struct Left {
    /// `live/cam`.
    path: String,
    folder: Folder,
    playlist: Playlist,
    dates: Dates,
    /// Its segments, each for the slot of its place here: those listed, first first, and then those
    /// that are kept, newest first.
    segments: Vec<LeftSegment>,
    /// Which they are, in the order of their numbers.
    ids: Vec<SegmentId>,
}

/// A segment that goes on.
struct LeftSegment {
    id: SegmentId,
    bytes: usize,
    /// Until when it is kept; none if it is listed.
    keep_until: Option<Instant>,
}

impl Left {
    /// Whether the file at `path`, below `root`, is one of its own.
    pub(super) fn holds(&self, root: &Path, path: &Path) -> bool {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let own = |id: SegmentId| {
            let known = self.ids.binary_search_by_key(&id.sequence, |id| id.sequence);
            let known = known.ok().and_then(|at| self.ids.get(at));
            known == Some(&id) && SegmentName::new(id).bytes() == name.as_bytes()
        };
        path.parent().and_then(|folder| folder.strip_prefix(root).ok()) == Some(self.path.as_ref())
            && (name == PLAYLIST || SegmentId::read(name).is_some_and(own))
    }

    /// Bytes that its segments take.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(LeftSegment::taken).sum()
    }

    /// How many of its first `slots` slots are taken.
    pub(super) fn slots(&self, slots: usize) -> usize {
        self.segments.len().min(slots)
    }
}

impl LeftSegment {
    /// Bytes of its pages.
    fn taken(&self) -> u64 {
        widen(self.bytes).next_multiple_of(PAGE_BYTES)
    }
}

/// The slot of `name` for the segment that goes on at the place `at` of a stream, if one does.
pub(super) fn row(
    left: Option<&Left>,
    at: usize,
    (slots, name): (&Folder, &SlotName),
    (capacity, closes): (usize, bool),
) -> io::Result<Option<Row>> {
    let Some((left, segment)) = left.and_then(|left| Some((left, left.segments.get(at)?))) else {
        return Ok(None);
    };
    let LeftSegment { id, bytes, keep_until } = *segment;
    let segment_name = SegmentName::new(id);
    left.folder.link(segment_name.bytes(), slots, name.as_bytes())?;
    let file = left.folder.file(segment_name.bytes(), true)?;
    let mut slot = Slot::adopt(file, capacity, bytes)?;
    if closes {
        slot.close();
    }
    let mut row = Row::new(slot, name.clone(), closes);
    let sequence = id.sequence;
    row.state = match keep_until {
        Some(keep_until) => Use::Retired { sequence, keep_until },
        None => Use::Listed { sequence },
    };
    row.epoch = id.epoch;
    row.container = id.container;
    row.bytes = bytes;
    Ok(Some(row))
}

impl Store {
    /// Gives the streams of `left` their places, in their order.
    pub(super) fn go_on(&mut self, left: Vec<Left>) {
        for (index, stream) in left.into_iter().enumerate() {
            let Left { path, folder, playlist, dates, .. } = stream;
            let numbers = self.ledger.begin(&path);
            self.begin_beside((index, &path), playlist.discontinuities(), true);
            let seated = self.seat(&path, Some(folder), playlist, numbers, Instant(0));
            if let Some(place) = self.streams.get_mut(index) {
                *place = seated.map(|stream| Stream { dates, ..stream });
            }
            self.apply(index, &Change { updated: true, ..Change::default() });
        }
    }
}

/// What there is room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) config: PlaylistConfig,
    pub(super) advice: Advice,
    /// Streams, and slots of each.
    pub(super) streams: usize,
    pub(super) slots: usize,
    /// What the segments of each may take, and the text of its playlist, in bytes.
    pub(super) share_bytes: u64,
    pub(super) text_bytes: usize,
    /// Whether the folder is on a tmpfs.
    pub(super) in_memory: bool,
}

/// Looks for streams below `root`, and calls `tell` for each that has numbers. Those that go on
/// are in the order of their paths. What cannot be read is passed over: clearing says more.
pub(super) fn look(root: &Path, space: Space, mut tell: impl FnMut(&str, Numbers)) -> Vec<Left> {
    let mut found = Found { seen: 0, folders: Vec::new() };
    found.walk(root, LEFTOVER_DEPTH_MAX);
    found.folders.sort_unstable();
    let mut left = Vec::new();
    for at in found.folders {
        let Some(path) = at.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        if path.len() > STREAM_PATH_BYTES_MAX || !path.contains('/') {
            continue;
        }
        match adopt(path, &at, space, left.len(), &mut tell) {
            Ok(stream) => {
                let segments = stream.segments.len();
                log::info!("stream goes on stream={} segments={segments}", masked(path));
                left.push(stream);
            }
            Err(cause) => {
                log::warn!("stream does not go on stream={} cause=\"{cause}\"", masked(path));
            }
        }
    }
    left
}

/// Why a stream does not go on.
#[derive(Debug, thiserror::Error)]
enum NotLeft {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its playlist cannot go on.
    #[error(transparent)]
    Playlist(#[from] AdoptError),
    /// Malformed: a segment is missing or torn.
    #[error("segment {0} is not there, or not whole")]
    Segment(u64),
    /// Unsupported: this run would write another text.
    #[error("the settings ask for another playlist")]
    Text,
    /// Unsupported: what is on storage may be older than what was shown.
    #[error("hls.dir is not on a tmpfs")]
    Storage,
    /// Exhausted: its share of tmpfs.
    #[error("its segments and the next take {bytes} bytes of {max}; raise hls.tmpfs_mib")]
    Share {
        /// What they take.
        bytes: u64,
        /// What they may take.
        max: u64,
    },
    /// Exhausted: places for streams.
    #[error("all {max} streams are in use; raise limits.streams")]
    Places {
        /// Value of `limits.streams`.
        max: usize,
    },
}

/// Folders that hold a playlist.
struct Found {
    seen: u32,
    folders: Vec<PathBuf>,
}

impl Found {
    fn walk(&mut self, folder: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            self.seen += 1;
            if self.seen > LEFTOVERS_MAX || self.folders.len() >= LEDGER_STREAMS_MAX {
                return;
            }
            let name = entry.file_name();
            // Of the entry itself: a link is neither folder nor file.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth > 0 && name != SLOTS {
                self.walk(&entry.path(), depth - 1);
            } else if kind.is_file() && name == PLAYLIST {
                self.folders.push(folder.to_owned());
            }
        }
    }
}

/// Looks at the stream in the folder `at`; `place` others go on.
fn adopt(
    path: &str,
    at: &Path,
    space: Space,
    place: usize,
    tell: &mut impl FnMut(&str, Numbers),
) -> Result<Left, NotLeft> {
    let folder = Folder::open(at)?;
    let text = folder.read(PLAYLIST.as_bytes(), space.text_bytes)?;
    let adopted = Adopted::read(&text)?;
    let (sequence, discontinuity) = (adopted.next_sequence(), adopted.discontinuities());
    tell(path, Numbers { sequence, discontinuity, version: 0 });
    if !space.in_memory {
        return Err(NotLeft::Storage);
    }
    if place >= space.streams {
        return Err(NotLeft::Places { max: space.streams });
    }
    // The clock of a run begins with it: this is now.
    let now = Instant(0);
    let playlist = adopted.playlist((space.config, space.advice), now, place * space.slots)?;
    let mut rendered = vec![0; space.text_bytes];
    let mut w = Writer::new(&mut rendered);
    if playlist.emit(&mut w, 0).is_err() || w.written() != text {
        return Err(NotLeft::Text);
    }
    let mut segments = Vec::new();
    for (sequence, name) in (adopted.media_sequence()..).zip(adopted.names()) {
        let segment = SegmentId::read(name).and_then(|id| open(&folder, id, None));
        segments.push(segment.ok_or(NotLeft::Segment(sequence))?);
    }
    // As much as the largest is left for the one that comes next.
    let largest = segments.iter().map(LeftSegment::taken).max().unwrap_or(0);
    let mut bytes = segments.iter().map(LeftSegment::taken).sum::<u64>() + largest;
    if bytes > space.share_bytes {
        return Err(NotLeft::Share { bytes, max: space.share_bytes });
    }
    // With all slots taken, the next segment takes the one that has been kept longest.
    let free = space.slots.saturating_sub(segments.len());
    let keep_until = now.after(Duration::from_micros(adopted.keep_micros()));
    let left = retired(at, adopted.media_sequence())?;
    let left = left.into_iter().zip(0..).filter_map(|(id, younger)| {
        // The oldest is the first to go where its slot is needed.
        open(&folder, id, Some(Instant(keep_until.0.saturating_sub(younger))))
    });
    let fits = |segment: &LeftSegment| {
        bytes += segment.taken();
        bytes <= space.share_bytes
    };
    segments.extend(left.take(free).take_while(fits));
    let mut ids: Vec<SegmentId> = segments.iter().map(|segment| segment.id).collect();
    ids.sort_unstable_by_key(|id| id.sequence);
    let (path, dates) = (path.to_owned(), adopted.dates());
    Ok(Left { path, folder, playlist, dates, segments, ids })
}

/// The segments in a folder that have left its playlist, newest first.
fn retired(at: &Path, media_sequence: u64) -> io::Result<Vec<SegmentId>> {
    let mut retired = Vec::new();
    for entry in fs::read_dir(at)?.take(narrow(LEFTOVERS_MAX)) {
        let named = entry?.file_name().to_str().and_then(SegmentId::read);
        retired.extend(named.filter(|id| id.sequence < media_sequence));
    }
    retired.sort_unstable_by_key(|id| Reverse(id.sequence));
    Ok(retired)
}

/// A segment by its name: a file of whole packets, or of audio without.
fn open(folder: &Folder, id: SegmentId, keep_until: Option<Instant>) -> Option<LeftSegment> {
    let file = folder.file(SegmentName::new(id).bytes(), true).ok()?;
    let bytes = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let whole = bytes > 0 && (id.container.is_packed() || bytes.is_multiple_of(PACKET_BYTES));
    whole.then_some(LeftSegment { id, bytes, keep_until })
}
