//! The FLV file that a pull writes.
//!
//! Times begin at 0 with the first picture or sound. The header says what was in it once it is
//! ended. Reading them is `source`'s.
//! Source: Adobe Video File Format 10.1 §E.

use crate::storage::widen;
use crate::time::Millis;
use crate::wire::flv::{self, FileHeader, TagHeader, TagKind};
use crate::wire::writer::Writer;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// An FLV file that is being written.
pub(super) struct FlvFile {
    file: BufWriter<File>,
    /// Time of the first picture or sound, and the last time written.
    base: Option<Millis>,
    audio: bool,
    video: bool,
}

impl FlvFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&file_header(false, false))?;
        file.write_all(&[0; 4])?;
        Ok(Self { file, base: None, audio: false, video: false })
    }

    /// The time of a message in the file, in milliseconds.
    pub(super) fn place(&mut self, kind: TagKind, at: Millis, parts: &[&[u8]]) -> u64 {
        let body = parts.first().copied().unwrap_or_default();
        let is_media = matches!(kind, TagKind::Audio | TagKind::Video);
        if self.base.is_none() && is_media && !flv::is_sequence_header(kind, body) {
            self.base = Some(at);
        }
        let Some(base) = self.base else { return 0 };
        // What was sent before the first is not later by 49 days.
        at.since(base).max(0).cast_unsigned().into()
    }

    /// Writes a tag; gives the bytes of its body.
    pub(super) fn tag(&mut self, kind: TagKind, millis: u64, parts: &[&[u8]]) -> io::Result<u64> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let too_long = || io::Error::from(io::ErrorKind::FileTooLarge);
        let length = u32::try_from(bytes).map_err(|_| too_long())?;
        let timestamp = Millis(u32::try_from(millis).map_err(|_| too_long())?);
        let header = TagHeader { kind, filtered: false, length, timestamp, stream: 0 };
        let mut head = [0; 11];
        let mut w = Writer::new(&mut head);
        header.emit(&mut w).map_err(|_| too_long())?;
        self.file.write_all(w.written())?;
        for part in parts {
            self.file.write_all(part)?;
        }
        self.file.write_all(&(length + TagHeader::BYTES).to_be_bytes())?;
        self.audio |= kind == TagKind::Audio;
        self.video |= kind == TagKind::Video;
        Ok(widen(bytes))
    }

    /// Writes what is in the file into its header; what cannot be sought goes without.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.file.flush()?;
        if self.file.seek(SeekFrom::Start(0)).is_ok() {
            self.file.write_all(&file_header(self.audio, self.video))?;
        }
        self.file.flush()
    }
}

fn file_header(audio: bool, video: bool) -> [u8; 9] {
    let mut bytes = [0; 9];
    let header = FileHeader { audio, video, data_offset: u32::from(FileHeader::BYTES) };
    let emitted = header.emit(&mut Writer::new(&mut bytes));
    debug_assert!(emitted.is_ok());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_begins_at_its_first_picture_or_sound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.flv");
        let mut file = FlvFile::create(&path).unwrap();
        let header: &[u8] = b"\xaf\x00\x12\x10";
        let frame: &[u8] = b"\xaf\x01\x21";
        for (at, body, want) in
            [(9000, header, 0), (9500, frame, 0), (9523, frame, 23), (9499, frame, 0)]
        {
            let millis = file.place(TagKind::Audio, Millis(at), &[body]);
            assert_eq!(millis, want, "{at}");
            file.tag(TagKind::Audio, millis, &[body]).unwrap();
        }
        file.end().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..13], *b"FLV\x01\x04\0\0\0\x09\0\0\0\0");
        assert_eq!(bytes.len(), 13 + 4 * 15 + 4 + 3 * 3);
    }
}
