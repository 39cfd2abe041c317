//! The headers of an FLV file and of its tags.
//!
//! Source: Adobe Video File Format 10.1 §E.2 to §E.4.1. The size of the previous tag, four bytes
//! behind every tag, is left to the caller: readers ignore it, since files in the wild lie.

use crate::time::Millis;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// A file header that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: another kind of file.
    #[error("file begins with {0:02x?}, not with the letters FLV")]
    Signature([u8; 3]),
    /// Malformed: the body would begin inside the header.
    #[error("file body begins at byte {0}, inside the header")]
    Offset(u32),
    /// Unsupported: a version that is not defined.
    #[error("flv version is {0}, not 1")]
    Version(u8),
}

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Whether the file claims to hold audio; often wrong in live recordings.
    pub audio: bool,
    /// Whether the file claims to hold video; often wrong in live recordings.
    pub video: bool,
    /// Where the body begins, in bytes from the start of the file, at least 9.
    pub data_offset: u32,
}

impl FileHeader {
    /// Bytes of the header; four more follow, the size of the tag before the first, which is 0.
    pub const BYTES: u8 = 9;

    // | 'F' 'L' 'V' (24) | version 1 (8) | 00000 audio 0 video (8) | data offset (32) |

    /// Reads a header.
    ///
    /// # Errors
    /// `FileError` if it is no FLV file of version 1.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let mut r = Reader::new(bytes);
        let signature = r.array("file signature")?;
        if signature != *b"FLV" {
            return Err(FileError::Signature(signature));
        }
        let version = r.u8("file version")?;
        if version != 1 {
            return Err(FileError::Version(version));
        }
        let flags = r.u8("file flags")?;
        let data_offset = r.u32("data offset")?;
        if data_offset < u32::from(Self::BYTES) {
            return Err(FileError::Offset(data_offset));
        }
        Ok(Self { audio: flags & 0x04 != 0, video: flags & 0x01 != 0, data_offset })
    }

    /// Writes the nine bytes.
    ///
    /// # Errors
    /// `Full` if they do not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(b"FLV\x01")?;
        let audio = if self.audio { 0x04 } else { 0 };
        w.u8(audio | u8::from(self.video))?;
        w.u32(self.data_offset)
    }
}

/// What a tag or a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// Audio, 8.
    Audio,
    /// Video, 9.
    Video,
    /// Script data in AMF0, 18.
    Script,
    /// Script data in AMF3, 15 (ER2).
    ScriptAmf3,
    /// Any other, by its number.
    Unknown(u8),
}

impl TagKind {
    /// The kind of a number: five bits in a tag, eight in an RTMP message.
    #[must_use]
    pub const fn of(code: u8) -> Self {
        match code {
            8 => Self::Audio,
            9 => Self::Video,
            15 => Self::ScriptAmf3,
            18 => Self::Script,
            other => Self::Unknown(other),
        }
    }

    /// The number of the kind.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::ScriptAmf3 => 15,
            Self::Script => 18,
            Self::Unknown(other) => other,
        }
    }
}

/// The header of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagHeader {
    /// What the tag holds.
    pub kind: TagKind,
    /// Whether the body is encrypted, which nothing here can read.
    pub filtered: bool,
    /// Bytes of the body, 24 bits.
    pub length: u32,
    /// Decode time; wraps.
    pub timestamp: Millis,
    /// Stream id, 24 bits; always 0 in files.
    pub stream: u32,
}

impl TagHeader {
    /// Bytes of the header.
    pub const BYTES: u32 = 11;

    // | 00 filtered (1) kind (5) | length (24) | time, low 24 | time, high 8 | stream (24) |

    /// Reads a header.
    ///
    /// # Errors
    /// `Short` if there are fewer than 11 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Short> {
        let mut r = Reader::new(bytes);
        let first = r.u8("tag type")?;
        let length = r.u24("tag length")?;
        let low = r.u24("tag timestamp")?;
        let high = r.u8("tag timestamp")?;
        Ok(Self {
            kind: TagKind::of(first & 0x1f),
            filtered: first & 0x20 != 0,
            length,
            timestamp: Millis(u32::from(high) << 24 | low),
            stream: r.u24("tag stream id")?,
        })
    }

    /// Writes the eleven bytes.
    ///
    /// # Errors
    /// `Full` if they do not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let filtered = if self.filtered { 0x20 } else { 0 };
        w.u8(filtered | self.kind.code() & 0x1f)?;
        w.u24(self.length)?;
        let [high, low @ ..] = self.timestamp.0.to_be_bytes();
        w.bytes(&low)?;
        w.u8(high)?;
        w.u24(self.stream)
    }

    /// What the four bytes behind the body say: header and body together.
    #[must_use]
    pub const fn previous_tag_size(&self) -> u32 {
        self.length.saturating_add(Self::BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_header_refuses_other_files_and_truncation() {
        let good = b"FLV\x01\x05\0\0\0\x09";
        for end in 0..good.len() {
            assert!(FileHeader::parse(&good[..end]).is_err(), "{end} bytes");
        }
        assert_eq!(FileHeader::parse(b"RIFF\0\0\0\0\0"), Err(FileError::Signature(*b"RIF")));
        assert_eq!(FileHeader::parse(b"FLV\x02"), Err(FileError::Version(2)));
        assert_eq!(FileHeader::parse(b"FLV\x01\x05\0\0\0\x08"), Err(FileError::Offset(8)));
    }

    #[test]
    fn tag_header_refuses_truncation() {
        for end in 0..11 {
            assert!(TagHeader::parse(&[9; 11][..end]).is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn file_header_survives_the_wire(audio: bool, video: bool, data_offset in 9u32..) {
            let header = FileHeader { audio, video, data_offset };
            let mut buffer = [0; 9];
            let mut w = Writer::new(&mut buffer);
            header.emit(&mut w).unwrap();
            prop_assert_eq!(FileHeader::parse(w.finish()), Ok(header));
        }

        #[test]
        fn headers_of_any_bytes_are_refused_or_survive_the_wire(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..20),
            signed: bool,
        ) {
            let mut buffer = [0; 11];
            if let Ok(header) = TagHeader::parse(&bytes) {
                let mut w = Writer::new(&mut buffer);
                header.emit(&mut w).unwrap();
                // The first byte has two bits that nobody may set.
                prop_assert_eq!(buffer[0], bytes[0] & 0x3f);
                prop_assert_eq!(&buffer[1..], &bytes[1..11]);
            }
            if signed {
                for (byte, head) in bytes.iter_mut().zip(b"FLV\x01") {
                    *byte = *head;
                }
            }
            if let Ok(header) = FileHeader::parse(&bytes) {
                let mut w = Writer::new(&mut buffer);
                header.emit(&mut w).unwrap();
                prop_assert_eq!(FileHeader::parse(w.finish()), Ok(header));
            }
        }

        #[test]
        fn tag_header_survives_the_wire(
            code in 0u8..32,
            filtered: bool,
            length in 0u32..1 << 24,
            timestamp: u32,
            stream in 0u32..1 << 24,
        ) {
            let header = TagHeader {
                kind: TagKind::of(code), filtered, length, timestamp: Millis(timestamp), stream,
            };
            prop_assert_eq!(header.kind.code(), code);
            let mut buffer = [0; 11];
            let mut w = Writer::new(&mut buffer);
            header.emit(&mut w).unwrap();
            prop_assert_eq!(TagHeader::parse(w.finish()), Ok(header));
        }
    }
}
