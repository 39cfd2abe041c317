//! The segments of all streams, in recycled slots on tmpfs, and their playlists.
//!
//! Each stream owns as many slots as its window and the retention after it need. A slot is used
//! again when its segment has left the playlist for as long as RFC 8216 §6.2.2 asks and no
//! response holds it; if one still may, the slot gets new pages instead, so that no player ever
//! receives bytes of another segment. Segments and playlists are also ordinary files in the
//! folder, complete when their name appears. Writing to tmpfs does not block; nothing here waits,
//! and nothing here knows what is in a segment.
//!
//! | folder | holds |
//! |---|---|
//! | `.slots/N` | the slots, made at start |
//! | `live/cam/5f3a0c11-12.ts` | a hard link to the slot with segment 12 |
//! | `live/cam/index.m3u8` | the playlist, replaced by rename |

use crate::config::settings::Config;
use crate::limits::{
    PLAYLIST_BYTES_MAX, SEGMENT_NAME_BYTES_MAX, STREAM_PATH_BYTES_MAX, STREAM_PROBLEM_BYTES_MAX,
};
use crate::media::playlist::{Change, Closed, Playlist, PlaylistConfig, segment_name};
use crate::media::sink::{NoRoom, Segment, Sink};
use crate::status::{Counter, Status};
use crate::sys::clock;
use crate::sys::slots::Slot;
use crate::sys::tmpfs::{self, Claim, Facts, TmpfsError};
use crate::time::{Instant, Ticks};
use crate::wire::ts::packet::PACKET_BYTES;
use crate::wire::writer::Writer;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Name of a stream's playlist.
const PLAYLIST: &str = "index.m3u8";

/// Folder of the slots.
const SLOTS: &str = ".slots";

/// Media type of a segment (RFC 8216 §4).
const SEGMENT_TYPE: &str = "video/mp2t";

/// Why the store cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("hls.dir: {0}")]
    Folder(#[from] TmpfsError),
    /// A slot cannot be made.
    #[error(
        "hls.dir: slot {} of {slots}: {cause}; enlarge the tmpfs, or lower limits.slot_bytes, \
         limits.streams or hls.window_segments",
        number + 1
    )]
    Slot {
        /// Which one.
        number: usize,
        /// How many there should be.
        slots: usize,
        /// What the system says.
        cause: io::Error,
    },
}

/// Every place for a stream is taken by one that is live or was a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {max} streams are in use; raise limits.streams")]
pub struct NoStreamPlace {
    /// Value of `limits.streams`.
    pub max: usize,
}

/// A playlist as it is now.
#[derive(Clone, Copy, Debug)]
pub struct PlaylistView<'a> {
    /// The whole text.
    pub body: &'a [u8],
    /// Changes with every change of the text, also over restarts.
    pub version: u64,
    /// Target duration in milliseconds.
    pub target_ms: u32,
}

/// Where a segment is and what can be said about it.
#[derive(Clone, Copy, Debug)]
pub struct SegmentView {
    /// Slot that holds it.
    pub slot: usize,
    /// Use of the slot that it belongs to.
    pub generation: u32,
    /// Size in bytes.
    pub bytes: u64,
    /// Never the same for two segments.
    pub version: u64,
    /// When it was made, in seconds since 1970, if a clock knew.
    pub created_unix: Option<u64>,
    /// Seconds it may be kept.
    pub max_age_s: u32,
    /// Media type.
    pub content_type: &'static str,
}

/// What the page says about one stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamView<'a> {
    /// Application, may hold slashes.
    pub app: &'a str,
    /// Name.
    pub name: &'a str,
    /// Whether a publisher is connected and a playlist is there.
    pub live: bool,
    /// Picture width in pixels, 0 if unknown.
    pub width: u32,
    /// Picture height in pixels, 0 if unknown.
    pub height: u32,
    /// Mean bit rate of the last segment, 0 if unknown.
    pub kbit_s: u32,
    /// When the publisher came.
    pub since: Instant,
    /// What is wrong with the stream and what to do, in plain words.
    pub problem: Option<&'a str>,
}

/// What the pipeline has found out about a stream, for the page.
#[derive(Clone, Debug, Default)]
pub struct StreamFacts {
    /// Picture width in pixels.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
    /// What is wrong, in plain words.
    pub problem: heapless::String<STREAM_PROBLEM_BYTES_MAX>,
}

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Free,
    Writing,
    Listed { sequence: u64 },
    Retired { sequence: u64, keep_until: Instant },
}

#[derive(Debug)]
struct Row {
    slot: Slot,
    state: Use,
    /// Counts the segments that were written here.
    generation: u32,
    /// Responses that may still refer to its pages.
    holds: u32,
    /// A receiver on this machine may refer to its pages for as long as it likes.
    local: bool,
    bytes: usize,
    created_unix: Option<u64>,
}

/// One stream's place; kept while the publisher is away.
#[derive(Debug)]
struct Stream {
    path: heapless::String<STREAM_PATH_BYTES_MAX>,
    playlist: Playlist,
    text: Box<[u8]>,
    text_bytes: usize,
    /// Slot being written and bytes in it.
    writing: Option<(usize, usize)>,
    publisher: Option<Instant>,
    away_since: Instant,
    kbit_s: u32,
    facts: StreamFacts,
}

/// All slots and playlists.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Makes names unique over restarts.
    epoch: u32,
    rows: Box<[Row]>,
    rows_per_stream: usize,
    streams: Box<[Option<Stream>]>,
    texts: Vec<Box<[u8]>>,
    config: PlaylistConfig,
    status: Rc<Status>,
    /// Dates segments: seconds since 1970, `None` while nobody knows.
    wall: fn() -> Option<u64>,
    /// Keeps other processes out of `root`.
    _claim: Claim,
}

impl Store {
    /// Makes the folder, removes what an earlier run left in it, and makes all slots.
    ///
    /// # Errors
    /// The folder cannot be used or has no room for the slots.
    pub fn open(config: &Config, epoch: u32, status: Rc<Status>) -> Result<Self, StoreError> {
        let root = config.hls_dir.clone();
        tmpfs::create_folder(&root, 0o755)?;
        let claim = Claim::take(&root)?;
        tmpfs::clear_leftovers(&root, is_ours)?;
        let facts = Facts::read(&root)?;
        if !facts.in_memory {
            log::warn!(
                "hls.dir is not on a tmpfs dir={} cost=\"every segment is written to storage: \
                 at 4 Mbit/s 43 GB a day, which wears an SD card out\"",
                root.display()
            );
        }
        facts.require(&root, config.slots_bytes())?;
        tmpfs::create_folder(&root.join(SLOTS), 0o755)?;
        let rows_per_stream = wide(config.slots_per_stream());
        let slots = rows_per_stream * wide(config.limits_streams);
        let mut rows = Vec::with_capacity(slots);
        for number in 0..slots {
            let path = root.join(SLOTS).join(number.to_string());
            let slot = Slot::create(&path, wide(config.limits_slot_bytes))
                .map_err(|cause| StoreError::Slot { number, slots, cause })?;
            rows.push(Row::new(slot));
        }
        let streams = wide(config.limits_streams);
        let target = config.hls_target_duration_s;
        Ok(Self {
            root,
            epoch,
            rows: rows.into_boxed_slice(),
            rows_per_stream,
            streams: (0..streams).map(|_| None).collect(),
            texts: vec![vec![0; PLAYLIST_BYTES_MAX].into_boxed_slice(); streams],
            config: PlaylistConfig {
                segment: Ticks::from_millis(config.hls_segment_ms.into()),
                window_segments: wide(config.hls_window_segments),
                listed_max: rows_per_stream.saturating_sub(2),
                target_duration_s: (target > 0).then_some(target),
                media_sequence: 0,
                discontinuity_sequence: 0,
            },
            status,
            wall: clock::synchronised,
            _claim: claim,
        })
    }

    /// Dates segments by `wall` from now on, in place of the kernel's clock.
    pub const fn set_wall(&mut self, wall: fn() -> Option<u64>) {
        self.wall = wall;
    }

    /// The place of the stream at `path` (`live/cam`), for a publisher that comes now: its own
    /// from before, a free one, or that of the stream that has been away longest.
    ///
    /// # Errors
    /// `NoStreamPlace`.
    pub fn publish(&mut self, path: &str, now: Instant) -> Result<usize, NoStreamPlace> {
        let max = self.streams.len();
        let found = self.find(path).or_else(|| self.streams.iter().position(Option::is_none));
        let index = found.or_else(|| self.evict(now)).ok_or(NoStreamPlace { max })?;
        if self.find(path).is_none() {
            let stream = self.new_stream(path, now).ok_or(NoStreamPlace { max })?;
            if let Some(place) = self.streams.get_mut(index) {
                *place = Some(stream);
            }
        }
        if let Some(Some(stream)) = self.streams.get_mut(index) {
            stream.publisher = Some(now);
            stream.facts = StreamFacts::default();
        }
        Ok(index)
    }

    /// The number of the stream at `path`, if it has a place.
    #[must_use]
    pub fn stream(&self, path: &str) -> Option<usize> {
        self.find(path)
    }

    /// The publisher of a stream has left; its playlist stays.
    pub fn leave(&mut self, stream: usize, now: Instant) {
        if let Some(Some(stream)) = self.streams.get_mut(stream) {
            stream.publisher = None;
            stream.away_since = now;
        }
    }

    /// Memory of the stream's next segment.
    pub const fn sink(&mut self, stream: usize, now: Instant) -> StreamSink<'_> {
        StreamSink { store: self, stream, now }
    }

    /// What the page says about a stream.
    pub fn facts_mut(&mut self, stream: usize) -> Option<&mut StreamFacts> {
        self.streams.get_mut(stream)?.as_mut().map(|stream| &mut stream.facts)
    }

    /// Longest that the stream's next segment may last.
    #[must_use]
    pub fn cut_limit(&self, stream: usize) -> Option<Ticks> {
        Some(self.streams.get(stream)?.as_ref()?.playlist.cut_limit())
    }

    /// Lists segments that had to wait, and removes the names of those that need not be kept. To
    /// be called by the shared tick.
    pub fn tick(&mut self, now: Instant) {
        for stream in 0..self.streams.len() {
            let change = self.playlist_mut(stream).map(|playlist| playlist.poll(now));
            if let Some(change) = change {
                self.apply(stream, &change);
            }
        }
        for row in 0..self.rows.len() {
            if let Some(Use::Retired { keep_until, .. }) = self.rows.get(row).map(|r| r.state)
                && keep_until <= now
            {
                self.forget(row);
            }
        }
    }

    /// Lists every segment that had to wait: the program stops.
    pub fn list_all(&mut self) {
        self.tick(Instant(u64::MAX));
    }

    /// The playlist at `path`, such as `live/cam/index.m3u8`.
    #[must_use]
    pub fn playlist(&self, path: &str) -> Option<PlaylistView<'_>> {
        let (stream, file) = path.rsplit_once('/')?;
        let stream = self.streams.get(self.find(stream)?)?.as_ref()?;
        if file != PLAYLIST || !stream.playlist.is_listed() {
            return None;
        }
        Some(PlaylistView {
            body: stream.text.get(..stream.text_bytes)?,
            version: u64::from(self.epoch) << 32 | stream.playlist.version() & 0xffff_ffff,
            target_ms: stream.playlist.target_duration_s().unwrap_or(0).saturating_mul(1000),
        })
    }

    /// The segment at `path`, such as `live/cam/5f3a0c11-12.ts`: listed, or still kept.
    #[must_use]
    pub fn segment(&self, path: &str) -> Option<SegmentView> {
        let (stream, file) = path.rsplit_once('/')?;
        let (_, sequence) = file.strip_suffix(".ts")?.split_once('-')?;
        let wanted: u64 = sequence.parse().ok()?;
        let mut name = [0; SEGMENT_NAME_BYTES_MAX];
        let mut w = Writer::new(&mut name);
        segment_name(&mut w, self.epoch, wanted).ok()?;
        // A segment has one name: no other case, sign or leading zero.
        if w.written() != file.as_bytes() {
            return None;
        }
        let index = self.find(stream)?;
        let playlist = &self.streams.get(index)?.as_ref()?.playlist;
        let first = index * self.rows_per_stream;
        let rows = self.rows.get(first..first + self.rows_per_stream)?;
        let (offset, row) = rows.iter().enumerate().find(|(_, row)| match row.state {
            Use::Listed { sequence } | Use::Retired { sequence, .. } => sequence == wanted,
            Use::Free | Use::Writing => false,
        })?;
        let target = u64::from(playlist.target_duration_s().unwrap_or(1));
        let keep = target * self.config.window_segments.try_into().unwrap_or(u64::MAX);
        Some(SegmentView {
            slot: first + offset,
            generation: row.generation,
            bytes: row.bytes.try_into().ok()?,
            version: u64::from(self.epoch) << 32 | wanted & 0xffff_ffff,
            created_unix: row.created_unix,
            max_age_s: u32::try_from(keep.saturating_mul(2)).unwrap_or(u32::MAX),
            content_type: SEGMENT_TYPE,
        })
    }

    /// The file of a slot.
    #[must_use]
    pub fn file(&self, slot: usize) -> Option<BorrowedFd<'_>> {
        self.rows.get(slot).map(|row| row.slot.file())
    }

    /// The present use of a slot.
    #[must_use]
    pub fn generation(&self, slot: usize) -> u32 {
        self.rows.get(slot).map_or(0, |row| row.generation)
    }

    /// Notes that a response may refer to the slot's pages until `release`.
    pub fn hold(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            row.holds += 1;
        }
    }

    /// Ends one `hold`.
    pub fn release(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            debug_assert!(row.holds > 0);
            row.holds = row.holds.saturating_sub(1);
        }
    }

    /// Notes that a receiver on this machine may refer to the slot's pages for as long as it
    /// likes: they are replaced at the next use, not written again.
    pub fn mark_local(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot) {
            row.local = true;
        }
    }

    /// Holds on a slot.
    #[must_use]
    pub fn holds(&self, slot: usize) -> u32 {
        self.rows.get(slot).map_or(0, |row| row.holds)
    }

    /// Whether a slot was marked local.
    #[must_use]
    pub fn is_local(&self, slot: usize) -> bool {
        self.rows.get(slot).is_some_and(|row| row.local)
    }

    /// All streams, live or not.
    pub fn streams(&self) -> impl Iterator<Item = StreamView<'_>> + Clone {
        self.streams.iter().flatten().map(|stream| {
            let (app, name) = stream.path.rsplit_once('/').unwrap_or(("", &stream.path));
            StreamView {
                app,
                name,
                live: stream.publisher.is_some() && stream.playlist.is_listed(),
                width: stream.facts.width,
                height: stream.facts.height,
                kbit_s: stream.kbit_s,
                since: stream.publisher.unwrap_or(stream.away_since),
                problem: Some(stream.facts.problem.as_str()).filter(|text| !text.is_empty()),
            }
        })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If a listed segment's slot says otherwise.
    pub fn check_invariants(&self) {
        for (index, stream) in self.streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            for listed in stream.playlist.listed() {
                let row = self.rows.get(listed.slot).map(|row| row.state);
                assert_eq!(row, Some(Use::Listed { sequence: listed.sequence }));
                assert_eq!(listed.slot / self.rows_per_stream, index);
            }
        }
    }

    fn find(&self, path: &str) -> Option<usize> {
        self.streams.iter().position(|s| s.as_ref().is_some_and(|s| s.path == path))
    }

    fn playlist_mut(&mut self, stream: usize) -> Option<&mut Playlist> {
        self.streams.get_mut(stream)?.as_mut().map(|stream| &mut stream.playlist)
    }

    fn new_stream(&mut self, path: &str, now: Instant) -> Option<Stream> {
        let text = self.texts.pop()?;
        let created = fs::create_dir_all(self.root.join(path));
        if let Err(cause) = created {
            log::error!("stream folder cannot be made path={path} cause=\"{cause}\"");
        }
        Some(Stream {
            path: path.try_into().ok()?,
            playlist: Playlist::new(self.config),
            text,
            text_bytes: 0,
            writing: None,
            publisher: None,
            away_since: now,
            kbit_s: 0,
            facts: StreamFacts::default(),
        })
    }

    /// Gives up the stream that has been away longest, if one has. Its files go with it.
    fn evict(&mut self, now: Instant) -> Option<usize> {
        let away = |stream: &Stream| stream.publisher.is_none().then_some(stream.away_since);
        let streams = self.streams.iter().enumerate();
        let candidates = streams.filter_map(|(i, s)| Some((i, s.as_ref().and_then(away)?)));
        let (index, since) = candidates.min_by_key(|(_, since)| *since)?;
        let stream = self.streams.get_mut(index)?.take()?;
        log::info!(
            "stream given up path={} away_s={} cause=\"its place was needed\"",
            stream.path,
            now.since(since).as_secs()
        );
        let first = index * self.rows_per_stream;
        for row in first..first + self.rows_per_stream {
            self.unlink(&stream.path, row);
            if let Some(row) = self.rows.get_mut(row) {
                row.state = Use::Free;
            }
        }
        let folder = self.root.join(stream.path.as_str());
        for outcome in [fs::remove_file(folder.join(PLAYLIST)), fs::remove_dir(&folder)] {
            if let Err(cause) = outcome {
                log::debug!("leftover path={} cause=\"{cause}\"", folder.display());
            }
        }
        self.texts.push(stream.text);
        Some(index)
    }

    /// Picks and prepares the slot of the next segment.
    fn begin(&mut self, stream: usize, now: Instant) -> Option<usize> {
        let first = stream * self.rows_per_stream;
        let rows = self.rows.get(first..first + self.rows_per_stream)?;
        let (offset, row) = rows
            .iter()
            .enumerate()
            .filter_map(|(i, row)| Some((i, row.rank(now)?, row)))
            .fold(None, |best: Option<(usize, Rank, &Row)>, (i, rank, row)| match best {
                Some((_, least, _)) if least <= rank => best,
                _ => Some((i, rank, row)),
            })
            .map(|(i, _, row)| (i, row))?;
        if matches!(row.state, Use::Retired { keep_until, .. } if keep_until > now) {
            self.status.add(Counter::RetentionCut, 1);
        }
        let index = first + offset;
        self.forget(index);
        let row = self.rows.get_mut(index)?;
        if row.is_referred_to() {
            if let Err(cause) = row.slot.renew() {
                log::error!("slot cannot be renewed slot={index} cause=\"{cause}\"");
                return None;
            }
            // Those who refer to the old pages keep them; they have nothing to do with the new.
            row.local = false;
            self.status.add(Counter::SlotsRenewed, 1);
        }
        row.generation = row.generation.wrapping_add(1);
        row.state = Use::Writing;
        Some(index)
    }

    /// Lists the finished segment in `slot`.
    fn finish(&mut self, stream: usize, slot: usize, segment: &Segment, now: Instant) {
        let Some(place) = self.streams.get_mut(stream).and_then(Option::as_mut) else { return };
        let sequence = place.playlist.next_sequence();
        place.kbit_s = kbit_s(segment);
        if let Some(row) = self.rows.get_mut(slot) {
            if let Err(cause) = row.slot.end(segment.bytes) {
                log::error!("slot cannot be cut off slot={slot} cause=\"{cause}\"");
            }
            row.bytes = segment.bytes;
            row.created_unix = (self.wall)();
            row.state = Use::Listed { sequence };
        }
        let file = self.root.join(SLOTS).join(slot.to_string());
        let name = self.segment_path(&place_path(&self.streams, stream), sequence);
        if let Err(cause) = fs::hard_link(&file, &name) {
            log::error!("segment has no name path={} cause=\"{cause}\"", name.display());
        }
        let closed = Closed {
            duration: segment.duration,
            discontinuity: segment.discontinuity,
            independent: segment.independent,
            slot,
        };
        if let Some(change) = self.playlist_mut(stream).map(|p| p.closed(now, closed)) {
            self.apply(stream, &change);
        }
    }

    /// Does what a change of the playlist asks for.
    fn apply(&mut self, stream: usize, change: &Change) {
        for retired in &change.retired {
            if let Some(row) = self.rows.get_mut(retired.slot) {
                let (sequence, keep_until) = (retired.sequence, retired.keep_until);
                row.state = Use::Retired { sequence, keep_until };
            }
        }
        let Some(place) = self.streams.get_mut(stream).and_then(Option::as_mut) else { return };
        place.playlist.report(&self.status);
        if !change.updated {
            return;
        }
        let mut w = Writer::new(&mut place.text);
        if place.playlist.emit(&mut w, self.epoch).is_err() {
            log::error!("playlist is longer than {PLAYLIST_BYTES_MAX} bytes path={}", place.path);
        }
        place.text_bytes = w.position();
        let text = place.text.get(..place.text_bytes).unwrap_or_default();
        let folder = self.root.join(place.path.as_str());
        if let Err(cause) = replace(&folder, text) {
            log::error!("playlist cannot be written path={} cause=\"{cause}\"", folder.display());
        }
    }

    /// Takes the name of a segment that need not be kept; its slot is free.
    fn forget(&mut self, row: usize) {
        let stream = row / self.rows_per_stream.max(1);
        let path = place_path(&self.streams, stream);
        self.unlink(&path, row);
        if let Some(row) = self.rows.get_mut(row) {
            row.state = Use::Free;
        }
    }

    fn unlink(&self, path: &str, row: usize) {
        let Some(Use::Listed { sequence } | Use::Retired { sequence, .. }) =
            self.rows.get(row).map(|row| row.state)
        else {
            return;
        };
        let name = self.segment_path(path, sequence);
        if let Err(cause) = fs::remove_file(&name) {
            log::debug!("segment had no name path={} cause=\"{cause}\"", name.display());
        }
    }

    fn segment_path(&self, stream: &str, sequence: u64) -> PathBuf {
        let mut name = [0; SEGMENT_NAME_BYTES_MAX];
        let mut w = Writer::new(&mut name);
        let written = segment_name(&mut w, self.epoch, sequence);
        debug_assert!(written.is_ok());
        self.root.join(stream).join(OsStr::from_bytes(w.written()))
    }
}

/// Preference among slots: the least is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Free, and its pages may be written.
    Ready,
    /// Free, but somebody refers to its pages.
    Referred,
    /// Still to be kept; the one that has been kept longest goes first.
    Kept(Instant),
}

impl Row {
    const fn new(slot: Slot) -> Self {
        Self {
            slot,
            state: Use::Free,
            generation: 0,
            holds: 0,
            local: false,
            bytes: 0,
            created_unix: None,
        }
    }

    const fn is_referred_to(&self) -> bool {
        self.holds > 0 || self.local
    }

    fn rank(&self, now: Instant) -> Option<Rank> {
        match self.state {
            Use::Writing | Use::Listed { .. } => None,
            Use::Retired { keep_until, .. } if keep_until > now => Some(Rank::Kept(keep_until)),
            Use::Free | Use::Retired { .. } if self.is_referred_to() => Some(Rank::Referred),
            Use::Free | Use::Retired { .. } => Some(Rank::Ready),
        }
    }
}

/// The segment of one stream that is being written.
#[derive(Debug)]
pub struct StreamSink<'a> {
    store: &'a mut Store,
    stream: usize,
    now: Instant,
}

impl StreamSink<'_> {
    fn writing(&self) -> Option<(usize, usize)> {
        self.store.streams.get(self.stream)?.as_ref()?.writing
    }

    fn set_writing(&mut self, writing: Option<(usize, usize)>) {
        if let Some(Some(stream)) = self.store.streams.get_mut(self.stream) {
            stream.writing = writing;
        }
    }
}

impl Sink for StreamSink<'_> {
    fn begin(&mut self) -> Result<(), NoRoom> {
        let slot = self.store.begin(self.stream, self.now).ok_or(NoRoom)?;
        self.set_writing(Some((slot, 0)));
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        let Some((slot, at)) = self.writing() else { return false };
        let row = self.store.rows.get_mut(slot);
        row.is_some_and(|row| row.slot.reserve(at + bytes).is_ok())
    }

    fn written(&self) -> usize {
        self.writing().map_or(0, |(_, at)| at)
    }

    fn room(&mut self) -> &mut [[u8; PACKET_BYTES]] {
        let Some((slot, at)) = self.writing() else { return &mut [] };
        let Some(row) = self.store.rows.get_mut(slot) else { return &mut [] };
        row.slot.bytes_mut(at).as_chunks_mut().0
    }

    fn wrote(&mut self, packets: usize) {
        if let Some((slot, at)) = self.writing() {
            self.set_writing(Some((slot, at + packets * PACKET_BYTES)));
        }
    }

    fn rewrite(&mut self, at: usize, packet: &[u8; PACKET_BYTES]) {
        let Some((slot, _)) = self.writing() else { return };
        let Some(row) = self.store.rows.get_mut(slot) else { return };
        let (packets, _) = row.slot.bytes_mut(0).as_chunks_mut();
        if let Some(room) = packets.get_mut(at) {
            *room = *packet;
        }
    }

    fn finish(&mut self, segment: &Segment) {
        let Some((slot, at)) = self.writing() else { return };
        debug_assert!(at == segment.bytes);
        self.set_writing(None);
        self.store.finish(self.stream, slot, segment, self.now);
    }
}

/// Names that this program makes in its folder, and no others.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let segment = name.strip_suffix(".ts").and_then(|stem| stem.split_once('-'));
    let segment = segment.is_some_and(|(epoch, sequence)| {
        epoch.len() == 8
            && epoch.bytes().all(|b| b.is_ascii_hexdigit())
            && sequence.bytes().all(|b| b.is_ascii_digit())
    });
    let slot = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    segment || slot || name == PLAYLIST || name == TEMPORARY
}

/// Name of a playlist before it is complete.
const TEMPORARY: &str = ".index.m3u8.new";

/// Puts `text` in place of the playlist in `folder` at one stroke (rule R30).
fn replace(folder: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = folder.join(TEMPORARY);
    fs::File::create(&temporary)?.write_all(text)?;
    fs::rename(&temporary, folder.join(PLAYLIST))
}

fn place_path(
    streams: &[Option<Stream>],
    stream: usize,
) -> heapless::String<STREAM_PATH_BYTES_MAX> {
    let stream = streams.get(stream).and_then(Option::as_ref);
    stream.map(|stream| stream.path.clone()).unwrap_or_default()
}

fn kbit_s(segment: &Segment) -> u32 {
    let micros = segment.duration.micros().max(1).unsigned_abs();
    let bits = u64::try_from(segment.bytes).unwrap_or(u64::MAX).saturating_mul(8);
    u32::try_from(bits.saturating_mul(1000) / micros).unwrap_or(u32::MAX)
}

fn wide(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
