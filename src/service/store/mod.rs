//! The segments of all streams, in recycled slots on tmpfs, and their playlists.
//!
//! Each stream owns as many slots as its window and the retention after it need. A slot is used
//! again when its segment has left the playlist for as long as RFC 8216 §6.2.2 asks and no
//! response holds it; if one still may, the slot gets new pages instead, so that no player ever
//! receives bytes of another segment. Segments and playlists are also ordinary files in the
//! folder, complete when their name appears; so the next run goes on with them. Writing to tmpfs
//! does not block; nothing here waits, and nothing here knows what is in a segment.
//!
//! The slots of a live window are made at start. Those that a longer playlist needs are made when
//! they are first used, and closed between uses; `governor` keeps all of a stream's within its
//! share of tmpfs. A presentation that has ended goes in steps: see `ending`.
//!
//! | folder | holds |
//! |---|---|
//! | `.slots/N` | the slots, made at start |
//! | `live/cam/5f3a0c11-12.ts` | a hard link to the slot with segment 12 |
//! | `live/cam/index.m3u8` | the playlist, replaced by rename |
//! | `live/cam/master.m3u8`, `iframes.m3u8` | those beside it, likewise |
//! | `live/cam/.index.m3u8.0`, `.1` | the files of a playlist that only grows: see `scroll` |

mod adopt;
mod ending;
mod governor;
mod groups;
mod keys;
mod names;
mod packed;
mod ranges;
mod refusal;
mod rooms;
mod row;
mod scroll;
mod sink;
mod slots;
mod stream;
mod text;
mod variant;
mod view;

pub use ending::Cause;
pub use keys::{KeyRefusal, SegmentKey};
pub(crate) use keys::{encryption_method, scratch_bytes};
pub(crate) use names::{masked, masked_pair};
pub use refusal::{NoStreamPlace, StoreError};
pub use sink::StreamSink;
pub use view::{Away, PlaylistView, SegmentView, StreamFacts, StreamView};

use crate::config::settings::Config;
use crate::media::container::Container;
use crate::media::playlist::{
    Advice, Change, Closed, Dates, Marks, Planned, Playlist, PlaylistConfig, Seen, SegmentId, Span,
};
use crate::media::sink::Segment;
use crate::service::ledger::{Ledger, Numbers};
use crate::service::store::adopt::Left;
use crate::service::store::governor::Share;
use crate::service::store::groups::Groups;
use crate::service::store::keys::Keyring;
use crate::service::store::names::{MASTER, PLAYLIST, SLOTS, SegmentName, TEMPORARY, is_ours};
use crate::service::store::row::{Row, Use};
use crate::service::store::stream::{Stream, kbit_s};
use crate::service::store::text::Text;
use crate::service::store::variant::Variant;
use crate::status::Status;
use crate::storage::narrow;
use crate::sys::clock;
use crate::sys::folder::Folder;
use crate::sys::tmpfs::{self, Claim, Facts};
use crate::time::{Instant, Ticks, UnixMillis};
use core::mem::take;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// All slots and playlists.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Makes names unique over restarts.
    epoch: u32,
    rows: Box<[Row]>,
    rows_per_stream: usize,
    /// The first of a stream's rows, whose slots are made at start and stay open.
    rows_live: usize,
    slots: Folder,
    streams: Box<[Option<Stream>]>,
    /// What each place takes of the tmpfs.
    shares: Box<[Share]>,
    /// What each may take, in bytes.
    share_bytes: u64,
    /// Of streams that have no place.
    texts: Vec<(Text, Variant)>,
    /// Of streams that have no place.
    playlists: Vec<Playlist>,
    config: PlaylistConfig,
    /// How long a publisher may be away before its playlist ends, if it does.
    away_max: Option<Duration>,
    advice: Advice,
    keyring: Keyring,
    groups: Groups,
    /// What must not come again, whatever becomes of a stream.
    ledger: Ledger,
    status: Rc<Status>,
    /// Dates segments: seconds since 1970, `None` while nobody knows.
    wall: fn() -> Option<u64>,
    /// Dates segments in playlists; `None` if they are not to be dated.
    clock: Option<fn() -> Option<UnixMillis>>,
    /// Keeps other processes out of `root`.
    _claim: Claim,
}

impl Store {
    /// Makes the folder, goes on with what an earlier run left in it, removes the rest, and makes
    /// all slots. The clock of the run is taken to be at its start.
    ///
    /// # Errors
    /// The folder cannot be used or has no room for the slots.
    pub fn open(config: &Config, epoch: u32, status: Rc<Status>) -> Result<Self, StoreError> {
        let root = config.hls_dir.clone();
        tmpfs::create_folder(&root, 0o755)?;
        let claim = Claim::take(&root)?;
        let streams = narrow(config.limits_streams);
        let space = rooms::space(config, Facts::read(&root)?.in_memory);
        let mut ledger = Ledger::new();
        let left = adopt::look(&root, space, |path, numbers| ledger.note(path, numbers));
        let goes_on = |path: &Path| left.iter().any(|stream| stream.holds(&root, path));
        tmpfs::clear_leftovers(&root, |path| {
            path.file_name().is_some_and(is_ours) && !goes_on(path)
        })?;
        let facts = Facts::read(&root)?;
        if !facts.in_memory {
            log::warn!(
                "hls.dir is not on a tmpfs dir={} cost=\"every segment is written to storage: \
                 at 4 Mbit/s 43 GB a day, which wears an SD card out\"",
                root.display()
            );
        }
        let taken: u64 = left.iter().map(Left::bytes).sum();
        facts.require(&root, config.tmpfs_bytes().saturating_sub(taken))?;
        tmpfs::create_folder(&root.join(SLOTS), 0o755)?;
        let folder =
            Folder::open(&root.join(SLOTS)).map_err(|cause| StoreError::Slots { cause })?;
        let rows = rooms::rows(config, (&root, &folder), &left)?;
        let away_max = Duration::from_secs(config.hls_away_end_s.into());
        let texts = || {
            let variant = Variant::new(space.config.segment, rooms::pictured(config));
            (Text::new(space.text_bytes), variant)
        };
        let mut store = Self {
            root,
            epoch,
            rows,
            rows_per_stream: space.slots,
            rows_live: narrow(config.slots_per_stream()),
            slots: folder,
            streams: (0..streams).map(|_| None).collect(),
            shares: (0..streams).map(|_| Share::new()).collect(),
            share_bytes: config.share_bytes(),
            texts: (0..streams).map(|_| texts()).collect(),
            // Those that go on bring their own.
            playlists: (left.len()..streams).map(|_| Playlist::new(space.config)).collect(),
            config: space.config,
            away_max: config.ends_away().then_some(away_max),
            advice: space.advice,
            keyring: Keyring::new(config),
            groups: Groups::new(&config.groups, space.config.segment, streams),
            ledger,
            status,
            wall: clock::synchronised,
            clock: config.dates_live().then_some(clock::synchronised_millis),
            _claim: claim,
        };
        store.go_on(left);
        store.account_all();
        Ok(store)
    }

    /// Dates segments by `wall` from now on, in place of the kernel's clock.
    pub const fn set_wall(&mut self, wall: fn() -> Option<u64>) {
        self.wall = wall;
    }

    /// Dates segments in playlists by `clock` from now on, where they are dated.
    pub const fn set_clock(&mut self, clock: fn() -> Option<UnixMillis>) {
        if self.clock.is_some() {
            self.clock = Some(clock);
        }
    }

    /// The place of the stream at `path` (`live/cam`), for a publisher that comes now: its own
    /// from before, a free one, or that of the stream that has been away longest.
    ///
    /// # Errors
    /// `NoStreamPlace`.
    pub fn publish(&mut self, path: &str, now: Instant) -> Result<usize, NoStreamPlace> {
        let max = self.streams.len();
        if let Some(ended) = self.stream(path).filter(|&stream| self.is_ended(stream)) {
            self.take_down(ended, now);
        }
        let found = self.stream(path).or_else(|| self.streams.iter().position(Option::is_none));
        let index = found.or_else(|| self.evict(now)).ok_or(NoStreamPlace { max })?;
        if self.stream(path).is_none() {
            let stream = self.new_stream((index, path), now).ok_or(NoStreamPlace { max })?;
            if let Some(place) = self.streams.get_mut(index) {
                *place = Some(stream);
            }
        }
        self.groups.comes(index);
        if let Some(Some(stream)) = self.streams.get_mut(index) {
            stream.publisher = Some(now);
            stream.facts = StreamFacts::default();
        }
        Ok(index)
    }

    /// The number of the stream at `path`, if it has a place.
    #[must_use]
    pub fn stream(&self, path: &str) -> Option<usize> {
        self.streams.iter().position(|s| s.as_ref().is_some_and(|s| s.path == path))
    }

    /// The path of a stream.
    #[must_use]
    pub fn path(&self, stream: usize) -> Option<&str> {
        Some(self.streams.get(stream)?.as_ref()?.path.as_str())
    }

    /// The publisher of a stream has left; its playlist stays.
    pub fn leave(&mut self, stream: usize, now: Instant) {
        if let Some(Some(stream)) = self.streams.get_mut(stream) {
            stream.publisher = None;
            stream.away_since = now;
        }
        self.groups.goes(stream);
        self.offer_beside(stream);
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
        self.list_due(now);
        self.end_due(now);
        self.forget_due(now);
    }

    /// Lists every segment that had to wait: the program stops. What left a playlist stays, for
    /// whoever else serves the folder.
    pub fn list_all(&mut self) {
        self.list_due(Instant(u64::MAX));
    }

    /// The playlist at `path`, such as `live/cam/index.m3u8`.
    #[must_use]
    pub fn playlist(&self, path: &str) -> Option<PlaylistView<'_>> {
        let (stream, file) = path.rsplit_once('/')?;
        if file == MASTER
            && let Some(view) = self.groups.view(stream)
        {
            return Some(view);
        }
        let index = self.stream(stream)?;
        let stream = self.streams.get(index)?.as_ref()?;
        let target_s = stream.playlist.target_duration_s().unwrap_or(0);
        if file != PLAYLIST || !stream.playlist.is_listed() {
            return stream.variant.view(file, target_s);
        }
        Some(PlaylistView {
            body: stream.text.body(),
            version: in_epoch(self.epoch, stream.versions_before + stream.playlist.version()),
            edition: stream.text.scroll.edition().map(|edition| (index, edition)),
            target_ms: target_s.saturating_mul(1000),
            max_age_s: 0,
            is_ended: stream.playlist.is_ended(),
            packed: stream.text.packed(),
        })
    }

    /// The file of a long playlist, by what `PlaylistView::edition` said; none if it was replaced
    /// long ago.
    #[must_use]
    pub fn edition(&self, (stream, edition): (usize, u64)) -> Option<&fs::File> {
        self.streams.get(stream)?.as_ref()?.text.scroll.file(edition)
    }

    /// The segment at `path`, such as `live/cam/5f3a0c11-12.ts`: listed, or still kept.
    #[must_use]
    pub fn segment(&self, path: &str) -> Option<SegmentView> {
        let (stream, file) = path.rsplit_once('/')?;
        let id = SegmentId::read(file)?;
        // A segment has one name: no other case, sign or leading zero.
        if SegmentName::new(id).bytes() != file.as_bytes() {
            return None;
        }
        let index = self.stream(stream)?;
        let playlist = &self.streams.get(index)?.as_ref()?.playlist;
        let slot = playlist.slot(id.sequence).or_else(|| self.find(index, id.sequence))?;
        let row = self.rows.get(slot).filter(|row| row.id(id.sequence) == id)?;
        Some(SegmentView {
            slot,
            generation: row.generation,
            bytes: row.bytes.try_into().ok()?,
            version: in_epoch(id.epoch, id.sequence),
            created_unix: row.created_unix,
            planned: match row.state {
                Use::Retired { keep_until, .. } => Some(Planned::until(keep_until)),
                Use::Free | Use::Writing | Use::Listed { .. } => playlist.planned(id.sequence),
            },
            content_type: id.container.media_type(),
        })
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

    /// Numbers go on with what `ledger` remembers, and are remembered there.
    pub fn set_ledger(&mut self, mut ledger: Ledger) {
        ledger.merge(&self.ledger);
        for stream in self.streams.iter_mut().flatten() {
            stream.versions_before = ledger.begin(&stream.path).version;
        }
        self.ledger = ledger;
    }

    /// What numbers are in use.
    pub const fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If a listed segment's slot says otherwise.
    pub fn check_invariants(&self) {
        self.groups.check_invariants();
        for (index, stream) in self.streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            for listed in stream.playlist.listed() {
                let row = self.rows.get(listed.slot).map(|row| row.state);
                assert_eq!(row, Some(Use::Listed { sequence: listed.sequence }));
                assert_eq!(listed.slot / self.rows_per_stream, index);
            }
        }
    }

    /// Makes the playlist versions that are due.
    fn list_due(&mut self, now: Instant) {
        for stream in 0..self.streams.len() {
            let change = self.playlist_mut(stream).map(|playlist| playlist.poll(now));
            if let Some(change) = change {
                self.apply(stream, &change);
            }
        }
    }

    fn playlist_mut(&mut self, stream: usize) -> Option<&mut Playlist> {
        self.streams.get_mut(stream)?.as_mut().map(|stream| &mut stream.playlist)
    }

    fn new_stream(&mut self, (index, path): (usize, &str), now: Instant) -> Option<Stream> {
        let folder = self.root.join(path);
        let opened = fs::create_dir_all(&folder).and_then(|()| Folder::open(&folder));
        if let Err(cause) = &opened {
            log::error!("stream has no folder stream={} cause=\"{cause}\"", masked(path));
        }
        let mut playlist = self.playlists.pop()?;
        let numbers = self.ledger.begin(path);
        let own = numbers.discontinuity;
        let beside = self.begin_beside((index, path), own, numbers != Numbers::ZERO);
        let (discontinuities, target_s) = beside.unwrap_or((own, None));
        let config = PlaylistConfig {
            media_sequence: numbers.sequence,
            discontinuity_sequence: discontinuities,
            ..self.config
        };
        playlist.renew(config);
        playlist.settle(target_s);
        playlist.advise(self.advice);
        self.seat(path, opened.ok(), playlist, numbers, now)
    }

    /// A stream with its playlist, whose numbers go on from `numbers`.
    fn seat(
        &mut self,
        path: &str,
        folder: Option<Folder>,
        playlist: Playlist,
        numbers: Numbers,
        now: Instant,
    ) -> Option<Stream> {
        let name = path.try_into().ok()?;
        let (mut text, mut variant) = self.texts.pop()?;
        text.clear();
        variant.begin(playlist.next_sequence());
        let lasts = Duration::from_micros(playlist.micros());
        let gone_at = playlist.is_ended().then(|| now.after(lasts));
        Some(Stream {
            path: name,
            folder,
            versions_before: numbers.version,
            playlist,
            resumes: numbers != Numbers::ZERO,
            gone_at,
            cues: 0,
            key: None,
            text,
            variant,
            writing: None,
            begun: None,
            dates: Dates::new(),
            publisher: None,
            away_since: now,
            kbit_s: 0,
            facts: StreamFacts::default(),
        })
    }

    /// Gives up the stream that has been away longest, if one has been away for a while. Its files
    /// go with it.
    fn evict(&mut self, now: Instant) -> Option<usize> {
        let index = self.evictable(now)?;
        let first = index * self.rows_per_stream;
        for row in first..first + self.rows_per_stream {
            self.forget(row);
        }
        self.groups.forget(index);
        let stream = self.streams.get_mut(index)?.take()?;
        log::info!(
            "stream given up stream={} away_s={} cause=\"its place was needed\"",
            masked(&stream.path),
            now.since(stream.away_since).as_secs()
        );
        self.ledger.note(&stream.path, stream.numbers());
        let folder = self.root.join(stream.path.as_str());
        stream.remove_names();
        // The folders of the application go too, up to the first that holds something else.
        let empty = |folder: &&Path| *folder != self.root && fs::remove_dir(folder).is_ok();
        let _gone = folder.ancestors().take_while(empty).count();
        self.texts.push((stream.text, stream.variant));
        self.playlists.push(stream.playlist);
        Some(index)
    }

    /// Lists the finished segment in `slot`.
    fn finish(&mut self, stream: usize, slot: usize, segment: &Segment, now: Instant) {
        let Some(place) = self.streams.get_mut(stream).and_then(Option::as_mut) else { return };
        let sequence = place.playlist.next_sequence();
        place.kbit_s = kbit_s(segment);
        let had = place.playlist.discontinuities();
        let beside = self.groups.ends(stream, segment, had, now, &self.status);
        // Beside others it resumes with the numbers that they have.
        let alone = segment.discontinuity | take(&mut place.resumes);
        let discontinuity = beside.map_or(alone, |ending| ending.tags > 0);
        let passed = beside.map_or(0, |ending| ending.tags.saturating_sub(1));
        let segment = &Segment { discontinuity, ..*segment };
        let span = Span::of(segment, sequence);
        let moments = (place.begun.take(), seen(self.clock, now));
        let first = place.playlist.media_sequence();
        let group = beside.zip(self.groups.group_mut(stream));
        let group = group.map(|(ending, group)| (group, ending.number));
        let date = place.dates.date_beside(span, moments, first, group);
        place.playlist.settle(beside.and_then(|ending| ending.target_s));
        let mut container = Container::Ts;
        if let Some(row) = self.rows.get_mut(slot) {
            container = row.container;
            row.key = place.key;
            place.playlist.set_key(place.key.map(|key| key.tag));
            let Some(bytes) = keys::seal(row, sequence, segment.bytes) else {
                return self.discard(slot);
            };
            if let Err(cause) = row.slot.end(bytes) {
                log::error!("slot cannot be cut off slot={slot} cause=\"{cause}\"");
            }
            if row.closes && row.holds == 0 {
                row.slot.close();
            }
            row.bytes = bytes;
            row.start = segment.start;
            row.created_unix = (self.wall)();
            row.state = Use::Listed { sequence };
            row.epoch = self.epoch;
            place.variant.closed(sequence, segment, &mut row.frames);
        }
        let name = SegmentName::new(SegmentId { epoch: self.epoch, sequence, container });
        if let (Some(row), Some(folder)) = (self.rows.get(slot), &place.folder)
            && let Err(cause) = self.slots.link(row.name.as_bytes(), folder, name.bytes())
        {
            let stream = masked(&place.path);
            log::error!(
                "segment has no name stream={stream} sequence={sequence} cause=\"{cause}\""
            );
        }
        let closed = Closed {
            duration: segment.duration,
            discontinuity,
            independent: segment.independent,
            slot,
        };
        self.listed(stream, slot);
        self.govern(stream, segment.duration);
        let marks = Marks { date, container, passed };
        if let Some(change) = self.playlist_mut(stream).map(|p| p.closed_with(now, closed, marks)) {
            let target_s = self.playlist_mut(stream).and_then(|p| p.target_duration_s());
            self.settle_beside(stream, target_s);
            self.apply(stream, &change);
        }
    }

    /// Does what a change of the playlist asks for.
    fn apply(&mut self, stream: usize, change: &Change) {
        for retired in &change.retired {
            self.retire(stream, retired);
        }
        let Some(place) = self.streams.get_mut(stream).and_then(Option::as_mut) else { return };
        place.playlist.report(&self.status);
        if !change.updated {
            return;
        }
        self.ledger.note(&place.path, place.numbers());
        let edition = place.versions_before + place.playlist.version();
        let Stream { path, folder, playlist, text, variant, .. } = place;
        let names = (folder.as_ref(), PLAYLIST, TEMPORARY);
        if playlist.is_long() {
            text.scroll((playlist, self.epoch, edition), names, path);
        } else {
            text.replace(names, path, |w| playlist.emit(w, self.epoch));
        }
        variant.update((folder.as_ref(), path, self.epoch), playlist, change, &self.rows);
        self.offer_beside(stream);
    }
}

/// What the wall clock says now, if it can be believed.
fn seen(clock: Option<fn() -> Option<UnixMillis>>, now: Instant) -> Option<Seen> {
    Some(Seen { wall: clock?()?, now })
}

/// A number that is not used in another run.
fn in_epoch(epoch: u32, number: u64) -> u64 {
    u64::from(epoch) << 32 | number & 0xffff_ffff
}
