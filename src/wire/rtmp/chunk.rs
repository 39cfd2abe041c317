//! Chunk headers: basic header, message header, extended timestamp.
//!
//! The bytes in front of each chunk's data, one header at a time. What a header inherits from the
//! one before it on its chunk stream, and the extended timestamp of a type 3 chunk, belong to
//! `proto::rtmp::dechunk` and `proto::rtmp::enchunk`; nothing here keeps state.
//! Source: RTMP 1.0 §5.3.1; Errata §4.1 for the byte order of the 3-byte basic header.

use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// Lowest chunk stream id: protocol control (RTMP 1.0 §5.3.1.1).
pub const CSID_CONTROL: u32 = 2;

/// Highest chunk stream id that the 3-byte form can carry.
pub const CSID_MAX: u32 = 65_599;

/// First value of a 24-bit time field that must travel in the extended field (§5.3.1.3).
pub const EXTENDED_FROM: u32 = 0xff_ffff;

/// The first 1 to 3 bytes of a chunk: header type and chunk stream id.
//
// | fmt (2) | csid (6), 2..=63 |
// | fmt (2) | 0 (6)            | csid - 64 (8)          |
// | fmt (2) | 1 (6)            | csid - 64 (16, LE!)    |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicHeader {
    /// Message header type, 0 to 3.
    pub fmt: u8,
    /// Chunk stream id, 2 to 65 599.
    pub csid: u32,
}

impl BasicHeader {
    /// Reads a basic header of any form; the 3-byte form of 64 to 319 is accepted.
    ///
    /// # Errors
    /// `Short` if the header is not complete.
    pub fn parse(r: &mut Reader<'_>) -> Result<Self, Short> {
        let first = r.u8("basic header")?;
        let fmt = first >> 6;
        let csid = match first & 0x3f {
            0 => u32::from(r.u8("basic header csid")?) + 64,
            1 => {
                let [low, high] = r.array("basic header csid")?;
                u32::from(u16::from_le_bytes([low, high])) + 64
            }
            low => u32::from(low),
        };
        Ok(Self { fmt, csid })
    }

    /// Writes the shortest form.
    ///
    /// # Errors
    /// `Full` if it does not fit; part of it may then be written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        debug_assert!(self.fmt <= 3);
        debug_assert!((CSID_CONTROL..=CSID_MAX).contains(&self.csid));
        let fmt = self.fmt << 6;
        let [low, high, ..] = self.csid.wrapping_sub(64).to_le_bytes();
        match self.csid {
            0..=63 => {
                let [csid, ..] = self.csid.to_le_bytes();
                w.u8(fmt | csid)
            }
            64..=319 => w.bytes(&[fmt, low]),
            _ => w.bytes(&[fmt | 1, low, high]),
        }
    }

    /// Bytes that `emit` writes, 1 to 3.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self.csid {
            0..=63 => 1,
            64..=319 => 2,
            _ => 3,
        }
    }
}

/// What follows the basic header, by its type.
//
// | fmt | time (24) | length (24) | type (8) | message stream id (32, LE!) | extended time (0/32) |
// |  0  |     x     |      x      |    x     |              x              |    if time = ffffff  |
// |  1  |     x     |      x      |    x     |                             |    if time = ffffff  |
// |  2  |     x     |             |          |                             |    if time = ffffff  |
// |  3  |           |             |          |                             |    see module page   |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageHeader {
    /// Type 0: everything, with an absolute time.
    Full {
        /// Message time in milliseconds, whole 32 bits.
        timestamp: u32,
        /// Payload bytes, below 2^24.
        length: u32,
        /// Message type id.
        kind: u8,
        /// Message stream id.
        stream: u32,
    },
    /// Type 1: as the last message, but for time, length and type.
    SameStream {
        /// Milliseconds since the last message of this chunk stream, modulo 2^32.
        delta: u32,
        /// Payload bytes, below 2^24.
        length: u32,
        /// Message type id.
        kind: u8,
    },
    /// Type 2: as the last message, but for time.
    SameLength {
        /// Milliseconds since the last message of this chunk stream, modulo 2^32.
        delta: u32,
    },
    /// Type 3: a continuation, or a message that repeats everything.
    Same,
}

impl MessageHeader {
    /// Reads the header of type `fmt` and, for types 0 to 2, the extended timestamp. Also gives the
    /// extended timestamp alone if there was one; the header's own time already holds it.
    ///
    /// # Errors
    /// `Short` if header or extended timestamp is not complete; part of it is then consumed.
    pub fn parse(fmt: u8, r: &mut Reader<'_>) -> Result<(Self, Option<u32>), Short> {
        debug_assert!(fmt <= 3);
        Ok(match fmt {
            0 => {
                let time = r.u24("timestamp")?;
                let length = r.u24("message length")?;
                let kind = r.u8("message type")?;
                let stream = r.u32_le("message stream id")?;
                let (timestamp, extended) = extend(time, r)?;
                let header = Self::Full { timestamp, length, kind, stream };
                (header, extended)
            }
            1 => {
                let time = r.u24("timestamp delta")?;
                let length = r.u24("message length")?;
                let kind = r.u8("message type")?;
                let (delta, extended) = extend(time, r)?;
                let header = Self::SameStream { delta, length, kind };
                (header, extended)
            }
            2 => {
                let time = r.u24("timestamp delta")?;
                let (delta, extended) = extend(time, r)?;
                (Self::SameLength { delta }, extended)
            }
            _ => (Self::Same, None),
        })
    }

    /// Writes the header and, for types 0 to 2 with a time of at least `EXTENDED_FROM`, the
    /// extended timestamp. The extended timestamp of type 3 is the caller's.
    ///
    /// # Errors
    /// `Full` if it does not fit; part of it may then be written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let Some(time) = self.time() else {
            return Ok(());
        };
        w.u24(time.min(EXTENDED_FROM))?;
        match *self {
            Self::Full { length, kind, stream, .. } => {
                w.u24(length)?;
                w.u8(kind)?;
                w.u32_le(stream)?;
            }
            Self::SameStream { length, kind, .. } => {
                w.u24(length)?;
                w.u8(kind)?;
            }
            Self::SameLength { .. } | Self::Same => {}
        }
        match self.extended() {
            Some(extended) => w.u32(extended),
            None => Ok(()),
        }
    }

    /// Header type, 0 to 3.
    #[must_use]
    pub const fn fmt(&self) -> u8 {
        match self {
            Self::Full { .. } => 0,
            Self::SameStream { .. } => 1,
            Self::SameLength { .. } => 2,
            Self::Same => 3,
        }
    }

    /// The timestamp or delta; none for type 3.
    #[must_use]
    pub const fn time(&self) -> Option<u32> {
        match *self {
            Self::Full { timestamp, .. } => Some(timestamp),
            Self::SameStream { delta, .. } | Self::SameLength { delta } => Some(delta),
            Self::Same => None,
        }
    }

    /// The extended timestamp that `emit` writes after the header and that each type 3 chunk of the
    /// message repeats (Errata §5.1).
    #[must_use]
    pub fn extended(&self) -> Option<u32> {
        self.time().filter(|&time| time >= EXTENDED_FROM)
    }

    /// Bytes that `emit` writes, 0 to 15.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let fixed = match self {
            Self::Full { .. } => 11,
            Self::SameStream { .. } => 7,
            Self::SameLength { .. } => 3,
            Self::Same => 0,
        };
        fixed + if self.extended().is_some() { 4 } else { 0 }
    }
}

/// The whole time behind a 24-bit field, and the extended timestamp if one was read.
fn extend(time: u32, r: &mut Reader<'_>) -> Result<(u32, Option<u32>), Short> {
    if time < EXTENDED_FROM {
        return Ok((time, None));
    }
    let extended = r.u32("extended timestamp")?;
    Ok((extended, Some(extended)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(csid: u32, header: MessageHeader) -> Vec<u8> {
        let mut buffer = [0; 18];
        let mut w = Writer::new(&mut buffer);
        let basic = BasicHeader { fmt: header.fmt(), csid };
        basic.emit(&mut w).unwrap();
        header.emit(&mut w).unwrap();
        assert_eq!(w.position(), basic.encoded_len() + header.encoded_len());
        w.finish().to_vec()
    }

    fn parsed(bytes: &[u8]) -> Result<(BasicHeader, MessageHeader, Option<u32>), Short> {
        let mut r = Reader::new(bytes);
        let basic = BasicHeader::parse(&mut r)?;
        let (header, extended) = MessageHeader::parse(basic.fmt, &mut r)?;
        Ok((basic, header, extended))
    }

    fn headers() -> impl Strategy<Value = MessageHeader> {
        let time = prop_oneof![any::<u32>(), 0xff_fffd..=0x100_0001u32, Just(u32::MAX), 0..9u32];
        (time, 0..1u32 << 24, any::<u8>(), any::<u32>(), 0..4u8).prop_map(
            |(time, length, kind, stream, fmt)| match fmt {
                0 => MessageHeader::Full { timestamp: time, length, kind, stream },
                1 => MessageHeader::SameStream { delta: time, length, kind },
                2 => MessageHeader::SameLength { delta: time },
                _ => MessageHeader::Same,
            },
        )
    }

    #[test]
    fn basic_header_accepts_three_byte_form_of_short_ids() {
        for (bytes, csid) in [([0x41, 0, 0], 64), ([0x41, 0xff, 0], 319)] {
            let header = BasicHeader::parse(&mut Reader::new(&bytes)).unwrap();
            assert_eq!(header, BasicHeader { fmt: 1, csid });
            assert_eq!(header.encoded_len(), 2);
        }
    }

    #[test]
    fn header_is_short_at_every_proper_prefix() {
        let header = MessageHeader::Full { timestamp: 16_777_216, length: 5, kind: 9, stream: 1 };
        let bytes = emitted(365, header);
        assert_eq!(bytes.len(), 18);
        for n in 0..bytes.len() {
            assert!(parsed(&bytes[..n]).is_err(), "{n}");
        }
        let basic = BasicHeader { fmt: 0, csid: 365 };
        assert_eq!(parsed(&bytes), Ok((basic, header, Some(16_777_216))));
    }

    proptest! {
        #[test]
        fn header_parse_inverts_emit(csid in CSID_CONTROL..=CSID_MAX, header in headers()) {
            let bytes = emitted(csid, header);
            let (basic, back, extended) = parsed(&bytes).unwrap();
            prop_assert_eq!(basic.csid, csid);
            prop_assert_eq!(back, header);
            prop_assert_eq!(extended, header.extended());
        }

        #[test]
        fn header_parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = parsed(&bytes);
        }
    }
}
