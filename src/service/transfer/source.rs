//! What `rillcast push` sends: the tags of an FLV file, or the test card.
//!
//! One tag at a time into one buffer. Does not pace, and does not look into media.
//! Source: Adobe Video File Format 10.1 §E.

use crate::limits::{CARD_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::media::testcard::{TestCard, TestCardError};
use crate::proto::rtmp::data::ON_META_DATA;
use crate::storage::{narrow, widen};
use crate::time::Millis;
use crate::wire::amf0::Values;
use crate::wire::flv::{FileError, FileHeader, TagHeader, TagKind};
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of the size that stands behind each tag.
const TRAILER_BYTES: usize = 4;

/// Why there is nothing more to send.
#[derive(Debug, thiserror::Error)]
pub enum SourceFault {
    /// The file cannot be read.
    #[error("{}: {cause}; check that the path is right and allowed", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Malformed: no FLV file.
    #[error("{}: {cause}; `ffmpeg -i IN -c copy OUT.flv` makes one", path.display())]
    Header {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: FileError,
    },
    /// Malformed: the file ends inside a tag.
    #[error("{}: the file ends inside a tag at byte {at}", path.display())]
    Truncated {
        /// Which.
        path: PathBuf,
        /// Where the tag begins.
        at: u64,
    },
    /// Exhausted: a tag.
    #[error("{}: tag at byte {at} has {len} bytes, at most {max} are sent", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Where it begins.
        at: u64,
        /// Its bytes.
        len: u32,
        /// The limit.
        max: u32,
    },
    /// The test card cannot be made.
    #[error("testcard: {0}")]
    Card(#[from] TestCardError),
}

/// One tag; its body is in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it holds.
    pub kind: TagKind,
    /// Its time; wraps.
    pub at: Millis,
    /// Bytes of the body.
    pub bytes: usize,
}

/// Where tags come from.
#[derive(Debug)]
pub enum TagSource {
    /// A file.
    File(FileTags),
    /// The test card, without an end.
    Card(Box<CardTags>),
}

impl TagSource {
    /// The next tag, its body in `body`; none at the end.
    ///
    /// # Errors
    /// `SourceFault`.
    pub fn next(&mut self, body: &mut Vec<u8>) -> Result<Option<Tag>, SourceFault> {
        match self {
            Self::File(file) => file.next(body),
            Self::Card(card) => card.next(body),
        }
    }
}

/// The tags of a file.
#[derive(Debug)]
pub struct FileTags {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
}

impl FileTags {
    /// Opens a file.
    ///
    /// # Errors
    /// `SourceFault`.
    pub fn open(path: &Path) -> Result<Self, SourceFault> {
        let owned = || path.to_owned();
        let io = |cause| SourceFault::Io { path: owned(), cause };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let mut head = Vec::new();
        let wanted = u64::from(FileHeader::BYTES);
        file.by_ref().take(wanted).read_to_end(&mut head).map_err(io)?;
        let header = FileHeader::parse(&head);
        let header = header.map_err(|cause| SourceFault::Header { path: owned(), cause })?;
        let at = u64::from(header.data_offset) + widen(TRAILER_BYTES);
        io::copy(&mut file.by_ref().take(at - wanted), &mut io::sink()).map_err(io)?;
        Ok(Self { path: owned(), file, at })
    }

    fn next(&mut self, body: &mut Vec<u8>) -> Result<Option<Tag>, SourceFault> {
        let truncated = || SourceFault::Truncated { path: self.path.clone(), at: self.at };
        let io = |cause| SourceFault::Io { path: self.path.clone(), cause };
        let read = |file: &mut BufReader<File>, bytes: usize, to: &mut Vec<u8>| {
            to.clear();
            file.by_ref().take(widen(bytes)).read_to_end(to)
        };
        let head_bytes = narrow(TagHeader::BYTES);
        match read(&mut self.file, head_bytes, body).map_err(io)? {
            0 => return Ok(None),
            have if have < head_bytes => return Err(truncated()),
            _ => {}
        }
        let header = TagHeader::parse(body).map_err(|_| truncated())?;
        let (len, max) = (header.length, MESSAGE_BYTES_MAX);
        if len > max {
            return Err(SourceFault::TooLong { path: self.path.clone(), at: self.at, len, max });
        }
        let bytes = narrow(len);
        // The size behind the last tag may be missing.
        if read(&mut self.file, bytes + TRAILER_BYTES, body).map_err(io)? < bytes {
            return Err(truncated());
        }
        body.truncate(bytes);
        self.at += widen(head_bytes + bytes + TRAILER_BYTES);
        Ok(Some(Tag { kind: header.kind, at: header.timestamp, bytes }))
    }
}

/// The tags of the test card.
#[derive(Debug)]
pub struct CardTags {
    card: TestCard,
    /// Headers that were given.
    given: usize,
}

impl CardTags {
    /// A card from its beginning.
    #[must_use]
    pub const fn new(card: TestCard) -> Self {
        Self { card, given: 0 }
    }

    fn next(&mut self, body: &mut Vec<u8>) -> Result<Option<Tag>, SourceFault> {
        body.resize(CARD_MESSAGE_BYTES_MAX, 0);
        let (kind, at, bytes) = if self.given < 3 {
            let mut room = vec![0; CARD_MESSAGE_BYTES_MAX];
            let headers = self.card.headers(&mut room)?;
            let (kind, header) = match self.given {
                0 => (TagKind::Script, headers.metadata),
                1 => (TagKind::Video, headers.video),
                _ => (TagKind::Audio, headers.audio),
            };
            self.given += 1;
            body.clear();
            if kind == TagKind::Script {
                body.extend_from_slice(ON_META_DATA);
            }
            body.extend_from_slice(header);
            (kind, Millis(0), body.len())
        } else {
            let message = self.card.next(body)?;
            (message.kind.tag(), message.timestamp, message.bytes)
        };
        body.truncate(bytes);
        Ok(Some(Tag { kind, at, bytes }))
    }
}

/// The value of a script tag that is metadata.
#[must_use]
pub fn metadata(body: &[u8]) -> Option<&[u8]> {
    let mut values = Values::new(body);
    let name = values.next()?.ok()?.string()?;
    (name == b"onMetaData").then(|| values.rest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn tags(bytes: &[u8]) -> Result<Vec<Tag>, SourceFault> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut source = FileTags::open(file.path())?;
        let (mut all, mut body) = (Vec::new(), Vec::new());
        while let Some(tag) = source.next(&mut body)? {
            assert_eq!(tag.bytes, body.len());
            all.push(tag);
        }
        Ok(all)
    }

    const START: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
    const AUDIO: &[u8] = b"\x08\0\0\x02\0\0\x07\0\0\0\0\xaf\x01\0\0\0\x0d";

    #[test]
    fn file_gives_its_tags_and_names_what_is_wrong() {
        let tag = Tag { kind: TagKind::Audio, at: Millis(7), bytes: 2 };
        assert_eq!(tags(&[START, AUDIO, AUDIO].concat()).unwrap(), [tag, tag]);
        // Without the last size.
        assert_eq!(tags(&[START, &AUDIO[..13]].concat()).unwrap(), [tag]);
        let cut = tags(&[START, &AUDIO[..12]].concat()).unwrap_err();
        assert!(matches!(cut, SourceFault::Truncated { at: 13, .. }), "{cut}");
        assert!(matches!(tags(b"GIF89a...").unwrap_err(), SourceFault::Header { .. }));
        assert!(matches!(tags(b"").unwrap_err(), SourceFault::Header { .. }));
        let long = (MESSAGE_BYTES_MAX + 1).to_be_bytes();
        let long = [START, b"\x09", &long[1..], &[0; 7]].concat();
        assert!(matches!(tags(&long).unwrap_err(), SourceFault::TooLong { .. }));
    }

    #[test]
    fn metadata_is_what_stands_behind_its_name() {
        assert_eq!(metadata(&[ON_META_DATA, b"\x05"].concat()), Some(&b"\x05"[..]));
        assert_eq!(metadata(b"\x02\x00\x01x\x05"), None);
        assert_eq!(metadata(b""), None);
    }
}
