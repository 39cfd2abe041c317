//! An FLV file cut into the segments of a recording: the live pipeline, offline.
//!
//! Every segment is kept and the playlist ends with `EXT-X-ENDLIST`. Tags are parsed where a read
//! put them, in a ring as live messages are; packets are collected in memory that stays in the
//! cache and go out in large writes. A file that is broken gives what was good before the break.
//! Where segments are encrypted, each is collected whole in memory and written once, and keys are
//! files beside the playlist: nobody serves them, and whoever publishes the folder moves them to
//! where they are safe. Blocks on files; runs alone, never on the executor of a server.

use crate::config::settings::Config;
use crate::config::value::Encryption;
use crate::limits::{
    FILE_READ_BYTES, FILE_RING_BYTES, FILE_WRITE_PACKETS, KEY_LINE_BYTES_MAX,
    PLAYLIST_LINE_BYTES_MAX,
};
use crate::media::cipher::SampleCipher;
use crate::media::container::Container;
use crate::media::cue::Cue;
use crate::media::pipeline::{Message, Pipeline};
use crate::media::playlist::{Closed, Marks, VodPlaylist, segment_name};
use crate::media::sink::{NoRoom, Segment, Sink};
use crate::service::file_keys::FileKeys;
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, Place, RingError, narrow, widen};
use crate::time::{Ticks, UnixMillis};
use crate::wire::amf0::Values;
use crate::wire::date;
use crate::wire::flv::{FileError, FileHeader, TagHeader, TagKind};
use crate::wire::ts::packet::PACKET_BYTES;
use crate::wire::writer::Writer;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes of the size that stands behind each tag.
const TRAILER_BYTES: usize = 4;

/// What was made of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Segments written.
    pub segments: u64,
    /// Their duration.
    pub duration: Ticks,
    /// Tags read.
    pub tags: u64,
}

/// Why a file could not be cut to its end. What came before is kept.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// A file or folder cannot be used.
    #[error("{}: {cause}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Malformed: no FLV file.
    #[error("byte 0: {0}")]
    Header(#[from] FileError),
    /// Malformed: the file ends inside a tag.
    #[error("byte {at}: the file ends inside a tag: need {need} bytes, have {have}")]
    Truncated {
        /// Where the tag begins.
        at: u64,
        /// Bytes of the tag.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// Malformed: bytes that are no tag.
    #[error("byte {at}: tag type {kind} is unknown and no tag ends where it says")]
    NotATag {
        /// Where.
        at: u64,
        /// Type seen.
        kind: u8,
    },
    /// Exhausted: a tag longer than a message may be.
    #[error("byte {at}: {cause}; raise limits.ring_bytes")]
    TooLong {
        /// Where.
        at: u64,
        /// The ring's answer.
        cause: RingError,
    },
    /// Nothing in the file that can be carried.
    #[error("no segment: {}", if problem.is_empty() { "no audio or video" } else { problem })]
    Nothing {
        /// Which track cannot be carried.
        problem: String,
    },
}

/// Cuts `input` into segments and a playlist in `folder`, which is made if it is missing.
/// `progress` gets bytes read and bytes of the file.
///
/// Works in a ring that stays in the cache; a file with larger pictures or a higher rate than that
/// can hold is begun again with a ring of `limits.ring_bytes`, as live streams have.
///
/// # Errors
/// `FileFault`, after everything before the fault has been written and listed.
pub fn segment_file(
    input: &Path,
    folder: &Path,
    config: &Config,
    epoch: u32,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, FileFault> {
    // A file comes in blocks, and audio that waits lies in the one before: whatever is set for
    // live streams, a few must fit.
    let whole = narrow(config.limits_ring_bytes).max(4 * FILE_READ_BYTES);
    let status = Status::new();
    if whole > FILE_RING_BYTES {
        let ring = FrameRing::new(FILE_RING_BYTES, 1);
        let outcome = cut(input, folder, config, epoch, ring, &status, &mut progress);
        let small = matches!(outcome, Err(FileFault::TooLong { .. }));
        if !small && status.get(Counter::MediaOverrun) == 0 {
            return outcome;
        }
    }
    cut(input, folder, config, epoch, FrameRing::new(whole, 1), &status, &mut progress)
}

/// Cuts the whole file with one ring.
fn cut(
    input: &Path,
    folder: &Path,
    config: &Config,
    epoch: u32,
    ring: FrameRing,
    status: &Status,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Report, FileFault> {
    let opened = File::open(input).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = opened.map_err(|cause| fault(input, cause))?;
    fs::create_dir_all(folder).map_err(|cause| fault(folder, cause))?;
    let mut tags = Tags::new(file, ring);
    let mut pipeline = Pipeline::new(Ticks::from_millis(config.hls_segment_ms.into()));
    pipeline.pack_audio(config.hls_packed_audio);
    pipeline.carry_metadata(config.hls_id3);
    pipeline.fill_silence(config.media_fill_silence);
    if config.hls_encryption == Encryption::SampleAes {
        pipeline.protect();
    }
    let mut sink = FileSink::new(folder, epoch, config);
    let mut outcome = tags.header(input);
    while outcome.is_ok() && sink.fault.is_none() {
        let read = tags.next(input);
        let Ok(Some((tag, place))) = read else {
            outcome = read.map(drop);
            break;
        };
        let video = match tag.kind {
            TagKind::Video => true,
            TagKind::Audio => false,
            TagKind::Script => {
                let body = tags.ring.bytes(place).unwrap_or_default();
                if let Some(cue) = Cue::parse(body) {
                    pipeline.timed(tag.timestamp, &cue, &tags.ring, &mut sink, status);
                } else if config.hls_dates {
                    sink.made = sink.made.or(made(body));
                }
                continue;
            }
            TagKind::ScriptAmf3 | TagKind::Unknown(_) => continue,
        };
        pipeline.message(
            Message { video, at: tag.timestamp, place },
            &tags.ring,
            &mut sink,
            status,
        );
        progress(tags.position, size);
    }
    let problem = pipeline.problem().to_owned();
    pipeline.leave(&tags.ring, &mut sink, status);
    progress(tags.position, size);
    let listed = sink.list();
    if let Some(cause) = sink.fault.take() {
        return Err(fault(folder, cause));
    }
    outcome?;
    listed.map_err(|cause| fault(folder, cause))?;
    if sink.playlist.next_sequence() == 0 {
        return Err(FileFault::Nothing { problem });
    }
    let segments = sink.playlist.next_sequence();
    Ok(Report { segments, duration: sink.duration, tags: tags.count })
}

fn fault(path: &Path, cause: io::Error) -> FileFault {
    FileFault::Io { path: path.to_owned(), cause }
}

/// When the recording was made, if its description says so: `creation_time` in RFC 3339, as ffmpeg
/// writes it.
fn made(body: &[u8]) -> Option<UnixMillis> {
    let mut values = Values::new(body);
    if values.next()?.ok()?.string()? != b"onMetaData" {
        return None;
    }
    let date = values.next()?.ok()?.object()?.get("creation_time")?;
    date::parse(date.text()?)
}

/// Reads tags into a ring, many with one system call.
struct Tags {
    file: File,
    ring: FrameRing,
    block: Place,
    /// Bytes of the block that were read, and parsed.
    filled: usize,
    at: usize,
    ended: bool,
    position: u64,
    count: u64,
}

impl Tags {
    fn new(file: File, ring: FrameRing) -> Self {
        let block = Place::NOWHERE;
        Self { file, ring, block, filled: 0, at: 0, ended: false, position: 0, count: 0 }
    }

    /// Reads the file header and what stands before the first tag.
    fn header(&mut self, input: &Path) -> Result<(), FileFault> {
        self.want(usize::from(FileHeader::BYTES), input)?;
        let header = FileHeader::parse(self.rest())?;
        let skip = narrow(header.data_offset);
        let skip = skip.saturating_add(TRAILER_BYTES);
        if self.want(skip, input)? < skip {
            return Err(FileFault::Truncated { at: 0, need: skip, have: self.rest().len() });
        }
        self.consume(skip);
        Ok(())
    }

    /// The next tag and the place of its body; `None` at the end of the file.
    fn next(&mut self, input: &Path) -> Result<Option<(TagHeader, Place)>, FileFault> {
        let header_bytes = narrow(TagHeader::BYTES);
        let at = self.position;
        let have = self.want(header_bytes, input)?;
        if have == 0 {
            return Ok(None);
        }
        let truncated = |need| move |have| FileFault::Truncated { at, need, have };
        let tag = TagHeader::parse(self.rest()).map_err(|_| truncated(header_bytes)(have))?;
        let body = narrow(tag.length);
        let need = header_bytes + body;
        let have = self.want(need + TRAILER_BYTES, input)?;
        if have < need {
            return Err(truncated(need)(have));
        }
        let trailer = self.rest().get(need..need + TRAILER_BYTES);
        let ends = trailer.and_then(|t| t.try_into().ok()).map(u32::from_be_bytes);
        if let (TagKind::Unknown(kind), true) = (tag.kind, ends != Some(tag.previous_tag_size())) {
            return Err(FileFault::NotATag { at, kind });
        }
        let place = self.block.part(self.at + header_bytes, body).unwrap_or(Place::NOWHERE);
        self.consume((need + TRAILER_BYTES).min(have));
        self.count += 1;
        Ok(Some((tag, place)))
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
        self.position += widen(bytes);
        debug_assert!(self.at <= self.filled);
    }

    /// What was read and not parsed.
    fn rest(&self) -> &[u8] {
        let block = self.ring.bytes(self.block).unwrap_or_default();
        block.get(self.at..self.filled).unwrap_or_default()
    }

    /// Makes sure that `bytes` are there if the file has them. Says how many are there.
    fn want(&mut self, bytes: usize, input: &Path) -> Result<usize, FileFault> {
        while self.filled - self.at < bytes && !self.ended {
            if self.filled == self.block.len() || self.at + bytes > self.block.len() {
                self.next_block(bytes)?;
            }
            let room = self.ring.window(self.block).get_mut(self.filled..).unwrap_or_default();
            match self.file.read(room) {
                Ok(0) => self.ended = true,
                Ok(n) => self.filled += n,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(fault(input, cause)),
            }
        }
        Ok(self.filled - self.at)
    }

    /// Goes on in a new block, which begins with what is left of the old one.
    fn next_block(&mut self, bytes: usize) -> Result<(), FileFault> {
        let at = self.position;
        let (old, from, left) = (self.block, self.at, self.filled - self.at);
        self.ring.close(old);
        let block = self
            .ring
            .reserve(bytes.max(FILE_READ_BYTES))
            .map_err(|cause| FileFault::TooLong { at, cause })?;
        if let Some(part) = old.part(from, left) {
            self.ring.copy(part, block);
        }
        (self.block, self.at, self.filled) = (block, 0, left);
        Ok(())
    }
}

/// The segments as files of a folder.
struct FileSink {
    folder: PathBuf,
    epoch: u32,
    file: Option<File>,
    container: Container,
    staged: Box<[[u8; PACKET_BYTES]]>,
    /// Bytes of it that are taken.
    filled: usize,
    keys: FileKeys,
    /// Bytes of this segment that are in the file.
    written: usize,
    playlist: VodPlaylist,
    lines: Vec<u8>,
    duration: Ticks,
    /// When the recording was made, and where in media time it begins.
    made: Option<UnixMillis>,
    start: Option<Ticks>,
    fault: Option<io::Error>,
}

impl FileSink {
    fn new(folder: &Path, epoch: u32, config: &Config) -> Self {
        let keys = FileKeys::new(config);
        let packets = keys.packets(config).unwrap_or(FILE_WRITE_PACKETS);
        Self {
            folder: folder.to_owned(),
            epoch,
            file: None,
            container: Container::Ts,
            staged: vec![[0; PACKET_BYTES]; packets].into_boxed_slice(),
            filled: 0,
            keys,
            written: 0,
            playlist: VodPlaylist::new(),
            lines: Vec::new(),
            duration: Ticks::ZERO,
            made: None,
            start: None,
            fault: None,
        }
    }

    /// Writes the playlist of all that was finished.
    fn list(&mut self) -> io::Result<()> {
        if self.playlist.next_sequence() == 0 {
            return Ok(());
        }
        let mut header = [0; 4 * PLAYLIST_LINE_BYTES_MAX];
        let mut w = Writer::new(&mut header);
        let mut end = [0; PLAYLIST_LINE_BYTES_MAX];
        let mut e = Writer::new(&mut end);
        let written = self.playlist.header(&mut w).and_then(|()| self.playlist.end(&mut e));
        written.map_err(io::Error::other)?;
        let temporary = self.folder.join(".index.m3u8.new");
        let mut file = File::create(&temporary)?;
        file.write_all(w.written())?;
        file.write_all(&self.lines)?;
        file.write_all(e.written())?;
        fs::rename(&temporary, self.folder.join("index.m3u8"))
    }

    fn attempt(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.fault.is_none()
            && let Err(cause) = act(self)
        {
            self.fault = Some(cause);
        }
    }

    fn flush(&mut self) {
        self.attempt(|sink| {
            let staged = sink.staged.as_flattened_mut();
            let sequence = sink.playlist.next_sequence();
            let bytes = sink.keys.seal(sequence, staged, sink.filled)?;
            if let Some(file) = &mut sink.file {
                file.write_all(staged.get(..bytes).unwrap_or_default())?;
            }
            Ok(())
        });
        self.written += self.filled;
        self.filled = 0;
    }
}

impl Sink for FileSink {
    fn begin_as(&mut self, container: Container) -> Result<(), NoRoom> {
        self.container = container;
        self.attempt(|sink| {
            sink.keys.turn(&sink.folder, sink.epoch, sink.playlist.next_sequence())?;
            let mut name = [0; PLAYLIST_LINE_BYTES_MAX];
            let mut w = Writer::new(&mut name);
            segment_name(&mut w, sink.epoch, sink.playlist.next_sequence(), container)
                .map_err(io::Error::other)?;
            sink.file = Some(File::create(sink.folder.join(OsStr::from_bytes(w.written())))?);
            Ok(())
        });
        self.written = 0;
        self.filled = 0;
        if self.fault.is_none() { Ok(()) } else { Err(NoRoom) }
    }

    fn samples(&self) -> Option<SampleCipher> {
        self.keys.samples(self.playlist.next_sequence())
    }

    fn scratch(&mut self) -> Option<&mut Box<[u8]>> {
        Some(&mut self.keys.scratch)
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        self.fault.is_none() && self.written().saturating_add(bytes) <= self.capacity()
    }

    fn written(&self) -> usize {
        self.written + self.filled
    }

    fn room(&mut self) -> &mut [[u8; PACKET_BYTES]] {
        if self.filled == self.staged.as_flattened().len() && !self.keys.seals() {
            self.flush();
        }
        self.staged.get_mut(self.filled / PACKET_BYTES..).unwrap_or_default()
    }

    fn wrote(&mut self, packets: usize) {
        self.filled += packets * PACKET_BYTES;
        debug_assert!(self.filled <= self.staged.as_flattened().len());
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.staged.as_flattened_mut().get_mut(self.filled..).unwrap_or_default();
            if room.is_empty() {
                self.flush();
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room.split_at_mut(now.len()).0.copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
    }

    fn rewrite(&mut self, at: usize, packet: &[u8; PACKET_BYTES]) {
        if let Some(staged) = at.checked_sub(self.written / PACKET_BYTES) {
            if let Some(room) = self.staged.get_mut(staged) {
                *room = *packet;
            }
            return;
        }
        self.attempt(|sink| {
            let offset = widen(at * PACKET_BYTES);
            sink.file.as_ref().map_or(Ok(()), |file| file.write_all_at(packet, offset))
        });
    }

    fn capacity(&self) -> usize {
        if self.keys.seals() {
            // The last place is for the padding.
            self.staged.len().saturating_sub(1) * PACKET_BYTES
        } else {
            usize::MAX
        }
    }

    fn discard(&mut self) {
        // The next segment has the same name and begins by emptying the file.
        self.file = None;
        self.filled = 0;
    }

    fn finish(&mut self, segment: &Segment) {
        self.flush();
        self.file = None;
        self.duration = self.duration.plus(segment.duration);
        let closed = Closed {
            duration: segment.duration,
            discontinuity: segment.discontinuity,
            independent: segment.independent,
            slot: 0,
        };
        let first = *self.start.get_or_insert(segment.start);
        let millis = u64::try_from(segment.start.minus(first).micros() / 1000).unwrap_or(0);
        let date = self.made.map(|made| UnixMillis(made.0.saturating_add(millis)));
        self.attempt(|sink| {
            let mut line = [0; KEY_LINE_BYTES_MAX + PLAYLIST_LINE_BYTES_MAX];
            let mut w = Writer::new(&mut line);
            sink.playlist.key(&mut w, sink.keys.tag()).map_err(io::Error::other)?;
            let marks = Marks { date, container: sink.container, passed: 0 };
            let listed = sink.playlist.segment_with(&mut w, sink.epoch, &closed, marks);
            listed.map_err(io::Error::other)?;
            sink.lines.extend_from_slice(w.written());
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;

    /// An FLV file with one script tag of `bytes`.
    fn file(folder: &Path, bytes: usize) -> PathBuf {
        let length = u32::try_from(bytes).unwrap();
        let path = folder.join("in.flv");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x12").unwrap();
        file.write_all(&length.to_be_bytes()[1..]).unwrap();
        file.write_all(&vec![0; 7 + bytes]).unwrap();
        file.write_all(&(length + 11).to_be_bytes()).unwrap();
        path
    }

    #[test]
    fn tag_is_read_into_a_block_or_one_of_its_own_up_to_half_a_ring() {
        let folder = tempfile::tempdir().unwrap();
        let around = 11 + TRAILER_BYTES;
        let read = |bytes: usize| {
            let path = file(folder.path(), bytes);
            let ring = FrameRing::new(FILE_RING_BYTES, 1);
            let mut tags = Tags::new(File::open(&path).unwrap(), ring);
            tags.header(&path).unwrap();
            tags.next(&path).map(|tag| (tag.unwrap().1.len(), tags.block.len()))
        };
        let (block, most) = (FILE_READ_BYTES, FILE_RING_BYTES / 2);
        for (bytes, in_block) in [(100, block), (block, block + around), (most - around, most)] {
            assert_eq!(read(bytes).unwrap(), (bytes, in_block));
        }
        assert!(matches!(read(most - around + 1), Err(FileFault::TooLong { .. })));
    }

    #[test]
    fn tag_too_long_for_the_small_ring_is_read_with_the_large_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), FILE_RING_BYTES);
        let config = Draft::new().check().unwrap();
        let outcome = segment_file(&path, folder.path(), &config, 7, |_, _| {});
        assert!(matches!(outcome, Err(FileFault::Nothing { .. })), "{outcome:?}");
    }

    #[test]
    fn bytes_of_packed_audio_are_collected_over_the_end_of_the_room() {
        let folder = tempfile::tempdir().unwrap();
        let config = Draft::new().check().unwrap();
        let mut sink = FileSink::new(folder.path(), 7, &config);
        sink.begin_as(Container::Adts).unwrap();
        let room = FILE_WRITE_PACKETS * PACKET_BYTES;
        sink.append(&vec![1; room - 1]);
        sink.append(&vec![2; room + 2]);
        assert_eq!(sink.written(), 2 * room + 1);
        sink.finish(&Segment {
            start: Ticks::ZERO,
            duration: Ticks(1),
            bytes: sink.written(),
            discontinuity: false,
            independent: true,
            forced: false,
        });
        let bytes = fs::read(folder.path().join("00000007-0.aac")).unwrap();
        assert_eq!((bytes.len(), bytes[room - 2], bytes[room - 1]), (2 * room + 1, 1, 2));
        assert_eq!(sink.lines, b"#EXTINF:0.000011,\n00000007-0.aac\n");
    }

    #[test]
    fn packets_are_collected_before_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let config = Draft::new().check().unwrap();
        let mut sink = FileSink::new(folder.path(), 7, &config);
        sink.begin().unwrap();
        for n in 0..=FILE_WRITE_PACKETS {
            sink.room()[0] = [n.to_le_bytes()[0]; PACKET_BYTES];
            let bytes = fs::metadata(folder.path().join("00000007-0.ts")).unwrap().len();
            let written = if n < FILE_WRITE_PACKETS { 0 } else { FILE_WRITE_PACKETS };
            assert_eq!(bytes, u64::try_from(written * PACKET_BYTES).unwrap());
            sink.wrote(1);
        }
        sink.rewrite(1, &[0xaa; PACKET_BYTES]);
        sink.rewrite(FILE_WRITE_PACKETS, &[0xbb; PACKET_BYTES]);
        sink.finish(&Segment {
            start: Ticks::ZERO,
            duration: Ticks(1),
            bytes: sink.written(),
            discontinuity: false,
            independent: true,
            forced: false,
        });
        let bytes = fs::read(folder.path().join("00000007-0.ts")).unwrap();
        let (packets, _) = bytes.as_chunks::<PACKET_BYTES>();
        assert_eq!(packets.len(), FILE_WRITE_PACKETS + 1);
        for (n, byte) in [(0, 0), (1, 0xaa), (2, 2), (FILE_WRITE_PACKETS, 0xbb)] {
            assert_eq!(packets[n], [byte; PACKET_BYTES]);
        }
    }
}
