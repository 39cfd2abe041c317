//! ID3 tags: the time in front of packed audio, and metadata beside pictures and sound.
//!
//! Version 2.4: a head, then frames, each with its own. Two kinds are written: `PRIV`, bytes of an
//! owner, and `TXXX`, a described text in UTF-8. Every kind is read past. No footers, no extended
//! heads, no compression: nobody who sends timed metadata has them, and a tag with one is refused.
//! Source: id3v2.4.0-structure §3, id3v2.4.0-frames §4.2.6, §4.27; RFC 8216 §3.4.

use crate::time::Ticks;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// Bytes of the head of a tag, and of that of a frame.
const HEAD_BYTES: usize = 10;

/// The largest size of four bytes with seven bits each.
const SIZE_MAX: usize = (1 << 28) - 1;

/// Who owns the time in front of packed audio (RFC 8216 §3.4).
pub const TIMESTAMP_OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp";

/// Bytes of `timestamp`.
pub const TIMESTAMP_BYTES: usize = 2 * HEAD_BYTES + TIMESTAMP_OWNER.len() + 1 + 8;

/// Bytes that are no tag, or one that we do not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Id3Error {
    /// Malformed: fewer bytes than a head says.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: another beginning than `ID3`.
    #[error("tag begins with {0:#08x}, not with ID3")]
    NoTag(u32),
    /// Malformed: a size with its high bits set.
    #[error("tag has a size of {0:#010x}, in which high bits are set")]
    Size(u32),
    /// Unsupported: another version, or a tag with flags.
    #[error("tag is of version 2.{version} with flags {flags:#04x}, read is 2.4 without")]
    Version {
        /// Major version.
        version: u8,
        /// Flags of the tag.
        flags: u8,
    },
}

/// A frame of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `PRIV`
    Private {
        /// Whose it is.
        owner: &'a [u8],
        /// What only they know.
        data: &'a [u8],
    },
    /// `TXXX` in UTF-8.
    Text {
        /// What the text is.
        description: &'a [u8],
        /// The text.
        value: &'a [u8],
    },
    /// Any other.
    Other {
        /// Its four letters.
        id: [u8; 4],
        /// What is behind its head.
        data: &'a [u8],
    },
}

/// The frames of a tag. One that is broken ends it.
#[derive(Clone, Debug)]
pub struct Frames<'a>(Reader<'a>);

impl<'a> Frames<'a> {
    /// Reads the tag at the start of `bytes`; gives its frames and its size.
    ///
    /// # Errors
    /// `Id3Error` if there is none.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), Id3Error> {
        let mut r = Reader::new(bytes);
        let begins = r.u24("tag begin")?;
        if begins != 0x49_4433 {
            return Err(Id3Error::NoTag(begins));
        }
        let [version, _revision, flags] = r.array("tag version")?;
        if version != 4 || flags != 0 {
            return Err(Id3Error::Version { version, flags });
        }
        let size = r.u32("tag size")?;
        let size = unpacked(size).ok_or(Id3Error::Size(size))?;
        let frames = Reader::new(r.take(size, "frames")?);
        Ok((Self(frames), r.position()))
    }

    fn frame(&mut self) -> Option<Frame<'a>> {
        let id: [u8; 4] = self.0.array("frame id").ok()?;
        // Behind the last frame there may be zeroes.
        if id == [0; 4] {
            return None;
        }
        let size = unpacked(self.0.u32("frame size").ok()?)?;
        let _flags = self.0.u16("frame flags").ok()?;
        let data = self.0.take(size, "frame").ok()?;
        Some(match (&id, data) {
            (b"PRIV", data) => {
                let (owner, data) = terminated(data);
                Frame::Private { owner, data }
            }
            (b"TXXX", [3, text @ ..]) => {
                let (description, value) = terminated(text);
                Frame::Text { description, value: terminated(value).0 }
            }
            _ => Frame::Other { id, data },
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = self.frame();
        if frame.is_none() {
            self.0 = Reader::new(&[]);
        }
        frame
    }
}

/// A tag being written.
#[derive(Debug)]
pub struct TagWriter<'b> {
    head: &'b mut [u8],
    frames: Writer<'b>,
}

impl<'b> TagWriter<'b> {
    /// Begins a tag in `room`.
    ///
    /// # Errors
    /// `Full` if not even its head fits.
    pub fn new(room: &'b mut [u8]) -> Result<Self, Full> {
        let have = room.len();
        let (head, frames) =
            room.split_at_mut_checked(HEAD_BYTES).ok_or(Full { need: HEAD_BYTES, have })?;
        let most = frames.len().min(SIZE_MAX);
        let frames = Writer::new(frames.get_mut(..most).unwrap_or_default());
        Ok(Self { head, frames })
    }

    /// Writes a frame of `owner`.
    ///
    /// # Errors
    /// `Full` if it does not fit; nothing is written then.
    pub fn private(&mut self, owner: &[u8], data: &[u8]) -> Result<(), Full> {
        debug_assert!(!owner.contains(&0));
        self.frame(*b"PRIV", &[owner, &[0], data])
    }

    /// Writes a text that `description`, the pieces of which are joined, says of. Both end at their
    /// first zero byte.
    ///
    /// # Errors
    /// `Full` if it does not fit; nothing is written then.
    pub fn text(&mut self, description: [&str; 5], value: &str) -> Result<(), Full> {
        let [first, second, third, fourth, last] = description;
        let texts = [first, second, third, fourth, last, value];
        let [first, second, third, fourth, last, value] =
            texts.map(|text| terminated(text.as_bytes()).0);
        self.frame(*b"TXXX", &[&[3], first, second, third, fourth, last, &[0], value])
    }

    /// Ends the tag; says how many bytes of the room it takes, 0 if it has no frame.
    ///
    /// # Errors
    /// `Full` never: the room of the head is kept.
    pub fn finish(self) -> Result<usize, Full> {
        let size = self.frames.position();
        if size == 0 {
            return Ok(0);
        }
        let mut w = Writer::new(self.head);
        w.bytes(b"ID3\x04\0\0")?;
        w.u32(packed(size))?;
        Ok(HEAD_BYTES + size)
    }

    fn frame(&mut self, id: [u8; 4], pieces: &[&[u8]]) -> Result<(), Full> {
        let size = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let mut w = Writer::new(self.frames.take(HEAD_BYTES + size)?);
        w.bytes(&id)?;
        w.u32(packed(size))?;
        w.u16(0)?;
        pieces.iter().try_for_each(|piece| w.bytes(piece))
    }
}

/// The tag that packed audio begins with, whose first sample is heard at `pts` (RFC 8216 §3.4).
#[must_use]
pub fn timestamp(pts: Ticks) -> [u8; TIMESTAMP_BYTES] {
    let mut room = [0; TIMESTAMP_BYTES];
    let written = TagWriter::new(&mut room).and_then(|mut tag| {
        tag.private(TIMESTAMP_OWNER, &pts.wire().to_be_bytes())?;
        tag.finish()
    });
    debug_assert_eq!(written, Ok(TIMESTAMP_BYTES));
    room
}

/// Seven bits in each byte.
fn packed(size: usize) -> u32 {
    debug_assert!(size <= SIZE_MAX);
    let size = u32::try_from(size & SIZE_MAX).unwrap_or(0);
    (size & 0x0fe0_0000) << 3 | (size & 0x1f_c000) << 2 | (size & 0x3f80) << 1 | size & 0x7f
}

fn unpacked(size: u32) -> Option<usize> {
    let [a, b, c, d] = size.to_be_bytes().map(u32::from);
    let packed = a << 21 | b << 14 | c << 7 | d;
    ((a | b | c | d) < 0x80).then_some(packed)?.try_into().ok()
}

/// What is before the first zero byte, and what is behind it.
fn terminated(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r24_timestamp_is_the_tag_of_the_standard() {
        let tag = timestamp(Ticks((1 << 33) + 0x1_2345_6789));
        let mut golden = b"ID3\x04\x00\x00\x00\x00\x00\x3fPRIV\x00\x00\x00\x35\x00\x00".to_vec();
        golden.extend(b"com.apple.streaming.transportStreamTimestamp\0");
        golden.extend([0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89]);
        assert_eq!(tag.as_slice(), golden, "the low 33 bits, big-endian, in eight bytes");
        let (mut frames, size) = Frames::parse(&golden).unwrap();
        let data = &[0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89][..];
        assert_eq!(frames.next(), Some(Frame::Private { owner: TIMESTAMP_OWNER, data }));
        assert_eq!((frames.next(), size), (None, TIMESTAMP_BYTES));
    }

    #[test]
    fn texts_are_written_as_players_read_them() {
        let mut room = [0; 64];
        let mut tag = TagWriter::new(&mut room).unwrap();
        tag.text(["on", "Text", "", "", ""], "h\u{e9}\0never").unwrap();
        let size = tag.finish().unwrap();
        let golden = b"ID3\x04\0\0\0\0\0\x15TXXX\0\0\0\x0b\0\0\x03onText\0h\xc3\xa9";
        assert_eq!(room[..size], *golden);
        let (mut frames, _) = Frames::parse(golden).unwrap();
        let value = "h\u{e9}".as_bytes();
        assert_eq!(frames.next(), Some(Frame::Text { description: b"onText", value }));
    }

    #[test]
    fn tags_of_others_are_read_and_broken_ones_refused() {
        let tag = b"ID3\x04\0\0\0\0\x01\x10TIT2\0\0\0\x02\0\0\x03a\0\0\0\0".to_vec();
        let whole = [tag.clone(), vec![0; 0x90 - 16]].concat();
        let (mut frames, size) = Frames::parse(&whole).unwrap();
        assert_eq!(frames.next(), Some(Frame::Other { id: *b"TIT2", data: b"\x03a" }));
        assert_eq!((frames.next(), size), (None, 0x90 + HEAD_BYTES));
        assert!(matches!(Frames::parse(&tag), Err(Id3Error::Short(_))));
        assert_eq!(Frames::parse(b"TAG\x04").unwrap_err(), Id3Error::NoTag(0x54_4147));
        let version = Frames::parse(b"ID3\x03\0\0\0\0\0\0").unwrap_err();
        assert_eq!(version, Id3Error::Version { version: 3, flags: 0 });
        let size = Frames::parse(b"ID3\x04\0\0\0\0\x80\0").unwrap_err();
        assert_eq!(size, Id3Error::Size(0x8000));
    }

    #[test]
    fn tag_without_a_frame_or_room_is_none() {
        let mut room = [0; 32];
        assert_eq!(TagWriter::new(&mut room).unwrap().finish(), Ok(0));
        assert!(TagWriter::new(&mut room[..9]).is_err());
        let mut tag = TagWriter::new(&mut room).unwrap();
        assert!(tag.private(b"owner", &[0; 7]).is_err(), "13 bytes behind two heads");
        tag.private(b"owner", &[0; 6]).unwrap();
        assert_eq!(tag.finish(), Ok(32));
    }

    proptest! {
        #[test]
        fn frames_come_back_as_written(
            texts in prop::collection::vec(("[a-z]{0,20}", "[^\0]{0,200}"), 1..5),
            data in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut room = vec![0; 8 << 10];
            let mut tag = TagWriter::new(&mut room).unwrap();
            for (description, value) in &texts {
                tag.text(["x", ".", description, "", ""], value).unwrap();
            }
            tag.private(b"o", &data).unwrap();
            let size = tag.finish().unwrap();
            let (mut frames, read) = Frames::parse(&room).unwrap();
            prop_assert_eq!(read, size);
            for (description, value) in &texts {
                let description = format!("x.{description}");
                let (description, value) = (description.as_bytes(), value.as_bytes());
                prop_assert_eq!(frames.next(), Some(Frame::Text { description, value }));
            }
            prop_assert_eq!(frames.next(), Some(Frame::Private { owner: b"o", data: &data }));
            prop_assert_eq!(frames.next(), None);
        }

        #[test]
        fn sizes_have_seven_bits_in_each_byte(size in 0..=SIZE_MAX) {
            prop_assert_eq!(packed(size) & 0x8080_8080, 0);
            prop_assert_eq!(unpacked(packed(size)), Some(size));
        }

        #[test]
        fn reading_any_tag_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for (byte, head) in bytes.iter_mut().zip(b"ID3\x04\0\0\0\0\x01") {
                *byte = *head;
            }
            if let Ok((frames, size)) = Frames::parse(&bytes) {
                prop_assert!(size <= bytes.len());
                prop_assert!(frames.count() <= bytes.len());
            }
        }
    }
}
