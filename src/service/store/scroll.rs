//! A long playlist, written in parts: what a segment adds, and no more.
//!
//! ```text
//!  |  room  | head | lines of the segments …            |  room  |
//!           ▲ written anew    ▲ dropped in front, added behind
//! ```
//!
//! The lines of a segment are written once; the head is written anew where it changes, so that an
//! update costs the same whatever the length. In the folder a playlist that slides is replaced by
//! rename; one that only grows is two files that take turns: each is brought up to date and then
//! given the playlist's name. Nobody ever reads half of one, and who opened the old one keeps it
//! (rule R30). Knows no playlist rules. Source: RFC 8216 §6.2.1.

use crate::limits::{KEY_LINE_BYTES_MAX, PLAYLIST_HEAD_BYTES_MAX, PLAYLIST_LINE_BYTES_MAX};
use crate::media::playlist::Playlist;
use crate::service::store::names::{TURNS, masked};
use crate::service::store::text::Text;
use crate::sys::folder::Folder;
use crate::wire::writer::{Full, Writer};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// How far a text has been written, and its files.
#[derive(Debug)]
pub(super) struct Scroll {
    /// Where the lines begin.
    lines: usize,
    /// Sequence numbers of the first segment that has lines, and behind the last.
    first: u64,
    next: u64,
    ended: bool,
    /// What `Playlist::rewritten` said.
    rewritten: u64,
    /// The last two files; the one in use is the first.
    files: [Option<Version>; 2],
    /// Which of `TURNS` is in use.
    turn: usize,
    /// The folder did not take the present text: the file in use holds an older one.
    is_behind: bool,
}

/// A file and what it holds of the text.
#[derive(Debug)]
struct Version {
    file: File,
    /// Which file this is.
    edition: u64,
    bytes: usize,
    /// Whether it holds the beginning of the present text.
    is_prefix: bool,
}

impl Scroll {
    /// Nothing is written.
    pub(super) const fn new() -> Self {
        let files = [None, None];
        let (lines, first, next, rewritten, turn) = (0, 0, 0, 0, 0);
        Self { lines, first, next, ended: false, rewritten, files, turn, is_behind: false }
    }

    /// The file in use, if it holds the present text: what it holds so far never changes.
    pub(super) fn edition(&self) -> Option<u64> {
        let [version, _] = &self.files;
        version.as_ref().filter(|_| !self.is_behind).map(|version| version.edition)
    }

    /// The file of an edition, in use or until just now.
    pub(super) fn file(&self, edition: u64) -> Option<&File> {
        let mut versions = self.files.iter().flatten();
        versions.find(|version| version.edition == edition).map(|version| &version.file)
    }
}

impl Text {
    /// Room for a long playlist of so many segments with so many keys, in bytes.
    pub(super) const fn scroll_bytes(segments: usize, keys: usize) -> usize {
        // A head in front, date ranges between, and the next head behind.
        let lines = PLAYLIST_LINE_BYTES_MAX * (segments + 1) + KEY_LINE_BYTES_MAX * keys;
        3 * PLAYLIST_HEAD_BYTES_MAX + lines
    }

    /// Takes the present version of a long `playlist`, whose number among all is `edition`, and
    /// puts it into `folder` under `name`. One that does not fit is cut off and said so; a folder
    /// that takes none is said so too.
    pub(super) fn scroll(
        &mut self,
        (playlist, epoch, edition): (&Playlist, u32, u64),
        (folder, name, temporary): (Option<&Folder>, &str, &str),
        stream: &str,
    ) {
        self.packed.forget();
        let grown = self.write(playlist, epoch).unwrap_or_else(|Full { .. }| {
            let (stream, room) = (masked(stream), self.room.len());
            log::error!("playlist is longer than {room} bytes stream={stream} name={name}");
            false
        });
        for version in self.scroll.files.iter_mut().flatten() {
            version.is_prefix &= grown;
        }
        let Some(folder) = folder else { return };
        let names = (name.as_bytes(), temporary.as_bytes());
        let written = if playlist.is_event() {
            self.append(folder, names, edition)
        } else {
            self.put(folder, names, edition)
        };
        self.scroll.is_behind = written.is_err();
        if let Err(cause) = written {
            let stream = masked(stream);
            log::error!("playlist cannot be written stream={stream} name={name} cause=\"{cause}\"");
        }
    }

    /// Writes what is new. Says whether the old text is the beginning of the present one.
    fn write(&mut self, playlist: &Playlist, epoch: u32) -> Result<bool, Full> {
        let (first, next) = (playlist.media_sequence(), playlist.listed_end());
        let known = self.scroll.first..=self.scroll.next;
        let rewritten = playlist.rewritten();
        let is_other = !known.contains(&first) || self.scroll.next > next;
        let is_anew = self.bytes == 0 || is_other || self.scroll.rewritten != rewritten;
        if is_anew {
            let lines = PLAYLIST_HEAD_BYTES_MAX;
            (self.start, self.bytes) = (lines, lines);
            let Scroll { files, turn, is_behind, .. } =
                core::mem::replace(&mut self.scroll, Scroll::new());
            let (next, ended) = (first, false);
            self.scroll = Scroll { lines, first, next, ended, rewritten, files, turn, is_behind };
        }
        while self.scroll.first < first {
            self.drop_first();
        }
        let news = usize::try_from(next - self.scroll.next).unwrap_or(0);
        let each = PLAYLIST_LINE_BYTES_MAX + KEY_LINE_BYTES_MAX;
        let need = each * (news + 1) + 2 * PLAYLIST_HEAD_BYTES_MAX;
        if self.room.len() - self.bytes < need {
            self.gather();
        }
        let mut w = Writer::new(self.room.get_mut(self.bytes..).unwrap_or_default());
        let added = playlist.emit_from(&mut w, epoch, self.scroll.next);
        let ended = if self.scroll.ended { Ok(()) } else { playlist.emit_end(&mut w) };
        self.bytes += w.position();
        self.scroll.next = next;
        self.scroll.ended = playlist.is_ended();
        let mut w = Writer::new(self.room.get_mut(self.bytes..).unwrap_or_default());
        playlist.emit_head(&mut w)?;
        let bytes = w.position();
        let is_same = self.set_head(bytes);
        added.and(ended).map(|()| is_same && !is_anew)
    }

    /// Takes the lines of the first segment away: all up to its address, and a key behind it, which
    /// the head says from now on.
    fn drop_first(&mut self) {
        let text = self.room.get(self.scroll.lines..self.bytes).unwrap_or_default();
        let mut bytes = 0;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        for line in lines.by_ref() {
            bytes += line.len();
            if !line.starts_with(b"#") {
                break;
            }
        }
        let key = lines.next().filter(|line| line.starts_with(b"#EXT-X-KEY:"));
        bytes += key.map_or(0, <[u8]>::len);
        self.scroll.lines += bytes;
        self.scroll.first += 1;
    }

    /// Moves all lines to where they have most room behind them.
    fn gather(&mut self) {
        debug_assert!(self.scroll.lines >= PLAYLIST_HEAD_BYTES_MAX);
        let gap = self.scroll.lines.saturating_sub(PLAYLIST_HEAD_BYTES_MAX);
        self.room.copy_within(self.scroll.lines..self.bytes, PLAYLIST_HEAD_BYTES_MAX);
        self.scroll.lines -= gap;
        self.bytes -= gap;
    }

    /// Puts the head, which was written in so many `bytes` behind all, in front of the lines. Says
    /// whether it stands there already.
    fn set_head(&mut self, bytes: usize) -> bool {
        let lines = self.scroll.lines;
        debug_assert!(bytes <= lines);
        let at = lines.saturating_sub(bytes);
        let head = self.bytes..self.bytes + bytes;
        let is_same = at == self.start && self.room.get(at..lines) == self.room.get(head.clone());
        if !is_same && self.room.get(head.clone()).is_some() {
            self.room.copy_within(head, at);
            self.start = at;
        }
        is_same
    }

    /// Puts a new file into the folder.
    fn put(
        &mut self,
        folder: &Folder,
        (name, temporary): (&[u8], &[u8]),
        edition: u64,
    ) -> io::Result<()> {
        let file = folder.replace(name, temporary, self.body())?;
        let bytes = self.body().len();
        let [present, before] = &mut self.scroll.files;
        *before = present.replace(Version { file, edition, bytes, is_prefix: true });
        Ok(())
    }

    /// Brings the file whose turn it is up to date and gives it the name. Where that fails it has
    /// its turn again: the other one still bears the name.
    fn append(
        &mut self,
        folder: &Folder,
        (name, temporary): (&[u8], &[u8]),
        edition: u64,
    ) -> io::Result<()> {
        let Scroll { files, turn, .. } = &mut self.scroll;
        let next = 1 - *turn;
        let own = TURNS.get(next).copied().unwrap_or_default().as_bytes();
        let [_, version] = files;
        let body = self.room.get(self.start..self.bytes).unwrap_or_default();
        if version.as_ref().is_none_or(|version| !version.is_prefix) {
            let file = folder.fresh(own)?;
            *version = Some(Version { file, edition, bytes: 0, is_prefix: true });
        }
        if let Some(version) = version {
            let rest = body.get(version.bytes..).unwrap_or_default();
            version.file.write_all_at(rest, u64::try_from(version.bytes).unwrap_or(u64::MAX))?;
            version.bytes = body.len();
        }
        folder.rename_link(own, temporary, name)?;
        *turn = next;
        files.reverse();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PLAYLIST_ENTRIES_MAX;
    use crate::media::playlist::{
        Advice, Closed, DateRange, KeyTag, Marks, Method, PlaylistConfig, PlaylistKind,
    };
    use crate::time::{Instant, Ticks, UnixMillis};
    use proptest::prelude::*;
    use std::fs;
    use std::io::Read as _;

    fn playlist(kind: PlaylistKind, listed_max: usize) -> Playlist {
        Playlist::new(PlaylistConfig {
            segment: Ticks::from_millis(2_000),
            window_segments: 3,
            listed_max,
            kind,
            target_duration_s: Some(2),
            media_sequence: 98,
            discontinuity_sequence: 9,
        })
    }

    fn whole(playlist: &Playlist) -> Vec<u8> {
        let mut room = vec![0; 1 << 20];
        let mut w = Writer::new(&mut room);
        playlist.emit(&mut w, 0xab).unwrap();
        w.written().to_vec()
    }

    fn closed(n: u32) -> Closed {
        Closed {
            duration: Ticks(i64::from(150_000 + n % 7 * 10_000)),
            discontinuity: n.is_multiple_of(5),
            independent: true,
            slot: 0,
        }
    }

    struct Shelf {
        root: tempfile::TempDir,
        folder: Folder,
        text: Text,
        edition: u64,
    }

    impl Shelf {
        fn new(segments: usize) -> Self {
            let root = tempfile::tempdir_in("/dev/shm").unwrap();
            let folder = Folder::open(root.path()).unwrap();
            Self {
                folder,
                root,
                text: Text::new(Text::scroll_bytes(segments, segments)),
                edition: 0,
            }
        }

        fn take(&mut self, playlist: &Playlist) {
            self.edition += 1;
            let names = (Some(&self.folder), "list", ".new");
            self.text.scroll((playlist, 0xab, self.edition), names, "live/cam");
            let wanted = whole(playlist);
            assert_eq!(String::from_utf8_lossy(self.text.body()), String::from_utf8_lossy(&wanted));
            assert_eq!(fs::read(self.root.path().join("list")).unwrap(), wanted);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn text_in_parts_is_the_text_as_a_whole(
            steps in prop::collection::vec((0u32..400, any::<u8>(), 0u64..5, -9i64..3), 1..120),
            event in any::<bool>(),
            ends in any::<bool>(),
            samples in any::<bool>(),
        ) {
            let window = Ticks::from_millis(40_000);
            let kind = if event { PlaylistKind::Event } else { PlaylistKind::Live { window } };
            let mut p = playlist(kind, 125);
            let mut shelf = Shelf::new(125);
            let method = if samples { Method::SampleAes } else { Method::Aes128 };
            let mut now = 0;
            p.advise(Advice { start_offset_s: 20, independent: true });
            for (number, (n, bits, wait, away)) in (98..).zip(steps) {
                now += wait * 1_000_000;
                let date = UnixMillis(1_767_608_430_123 + now / 1_000);
                match bits % 8 {
                    0 => p.set_key(None),
                    1 | 2 => p.set_key(Some(KeyTag { method, epoch: 0xab, number })),
                    3 => {
                        // Some are over, or nearly, when they come.
                        let start = UnixMillis(date.0.saturating_add_signed(away * 10_000));
                        let range = DateRange::new(&number.to_string(), "c", start, Some(2_000));
                        let _ = p.date_range(range.unwrap());
                    }
                    _ => {}
                }
                let closed = Closed { independent: bits % 16 > 0 || n > 3, ..closed(n) };
                let marks = Marks { date: (bits < 200).then_some(date), ..Marks::default() };
                if p.closed_with(Instant(now), closed, marks).updated {
                    shelf.take(&p);
                }
            }
            if ends && p.end(Instant(now)).updated {
                shelf.take(&p);
            }
        }
    }

    #[test]
    fn r30_reader_of_the_file_before_keeps_the_version_that_it_opened() {
        let mut p = playlist(PlaylistKind::Event, 100);
        let mut shelf = Shelf::new(100);
        let mut open: Option<(File, Vec<u8>)> = None;
        for n in 0..20 {
            assert!(p.closed(Instant(u64::from(n) * 2_000_000), closed(n)).updated);
            shelf.take(&p);
            if let Some((mut file, wanted)) = open.take() {
                let mut seen = Vec::new();
                file.read_to_end(&mut seen).unwrap();
                assert_eq!(seen, wanted, "no line more, and none less");
            }
            open = Some((File::open(shelf.root.path().join("list")).unwrap(), whole(&p)));
        }
        let names = fs::read_dir(shelf.root.path()).unwrap().count();
        assert_eq!(names, 3, "two that take turns, and the name");
    }

    #[test]
    fn folder_that_takes_no_file_for_a_while_has_the_whole_text_afterwards() {
        for event in [false, true] {
            let window = Ticks::from_millis(40_000);
            let kind = if event { PlaylistKind::Event } else { PlaylistKind::Live { window } };
            let mut p = playlist(kind, 100);
            let mut shelf = Shelf::new(100);
            let mut take = |shelf: &mut Shelf, n: u32| {
                assert!(p.closed(Instant(u64::from(n) * 2_000_000), closed(n)).updated);
                shelf.edition += 1;
                let names = (Some(&shelf.folder), "list", ".new");
                shelf.text.scroll((&p, 0xab, shelf.edition), names, "live/cam");
                whole(&p)
            };
            let list = shelf.root.path().join("list");
            for n in 0..4 {
                assert_eq!(take(&mut shelf, n), fs::read(&list).unwrap());
            }
            let before = fs::read(&list).unwrap();
            // What is in the way can neither be replaced nor removed as a file.
            fs::create_dir(shelf.root.path().join(".new")).unwrap();
            for n in 4..7 {
                let wanted = take(&mut shelf, n);
                assert_eq!(fs::read(&list).unwrap(), before, "never half of one");
                assert_eq!(shelf.text.body(), wanted, "it is served from memory where it is short");
                assert_eq!(shelf.text.scroll.edition(), None, "event: {event}");
            }
            fs::remove_dir(shelf.root.path().join(".new")).unwrap();
            for n in 7..10 {
                let wanted = take(&mut shelf, n);
                assert_eq!(fs::read(&list).unwrap(), wanted);
                let edition = shelf.text.scroll.edition().unwrap();
                let mut seen = vec![0; wanted.len()];
                shelf.text.scroll.file(edition).unwrap().read_exact_at(&mut seen, 0).unwrap();
                assert_eq!(seen, wanted);
            }
        }
    }

    #[test]
    fn edition_of_an_event_holds_what_was_said_of_it_for_as_long_as_it_grows() {
        let mut p = playlist(PlaylistKind::Event, 100);
        let mut shelf = Shelf::new(100);
        let _ = p.closed(Instant(0), closed(1));
        shelf.take(&p);
        let (edition, body) = (shelf.text.scroll.edition().unwrap(), whole(&p));
        for n in 1..50 {
            let _ = p.closed(Instant(u64::from(n) * 2_000_000), closed(n));
            shelf.take(&p);
            let mut seen = vec![0; body.len()];
            shelf.text.scroll.file(edition).unwrap().read_exact_at(&mut seen, 0).unwrap();
            assert_eq!(seen, body);
        }
        shelf.text.clear();
        assert!(shelf.text.scroll.file(edition).is_none());
    }

    #[test]
    fn longest_playlist_fits_its_room() {
        let segments = usize::try_from(PLAYLIST_ENTRIES_MAX).unwrap();
        let mut p = playlist(PlaylistKind::Event, segments + 1);
        let mut text = Text::new(Text::scroll_bytes(segments, segments));
        for n in 0..PLAYLIST_ENTRIES_MAX {
            assert!(!p.is_full());
            let closed = Closed { discontinuity: true, ..closed(n) };
            let key = KeyTag { method: Method::SampleAes, epoch: u32::MAX, number: u64::MAX };
            p.set_key(Some(KeyTag { number: key.number - u64::from(n), ..key }));
            let marks = Marks { date: Some(UnixMillis(u64::from(n))), ..Marks::default() };
            let _ = p.closed_with(Instant(u64::from(n) * 2_000_000), closed, marks);
        }
        assert!(p.is_full());
        let _ = p.end(Instant(u64::MAX));
        assert!(text.write(&p, u32::MAX).is_ok());
        assert!(text.body().ends_with(b"\n#EXT-X-ENDLIST\n"));
    }
}
