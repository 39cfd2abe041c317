//! PES headers: where an access unit begins, and when it is decoded and shown.
//!
//! Source: ISO/IEC 13818-1 §2.4.3.6 and §2.4.3.7. Writes and reads the header with a presentation
//! time; does not split the payload into packets (`packet`, `media::mux`).

use crate::time::Ticks;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// Stream id of the first video stream.
pub const STREAM_VIDEO: u8 = 0xe0;

/// Stream id of the first MPEG audio stream, AAC included.
pub const STREAM_AUDIO: u8 = 0xc0;

/// Stream id of AC-3, Opus and timed metadata.
pub const STREAM_PRIVATE: u8 = 0xbd;

/// Bytes of a header with presentation and decode time, the longest that we write.
pub const HEADER_BYTES_MAX: usize = 19;

/// Bytes that the length field counts besides payload: two flag bytes and the length of the rest.
const COUNTED_BYTES: u16 = 3;

/// A PES header that cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PesError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: no start code.
    #[error("pes packet begins with {0:#08x}, not 0x000001")]
    NoStartCode(u32),
    /// Malformed: fixed bits of the flags or of a timestamp are wrong.
    #[error("pes header has wrong marker bits")]
    Marker,
    /// Malformed: the announced length is less than the header itself.
    #[error("pes length {0} is shorter than its own header")]
    Length(u16),
    /// Unsupported: there is no presentation time, or the stream has no such header.
    #[error("pes packet of stream {0:#04x} has no presentation time")]
    NoTime(u8),
    /// Exhausted: the payload does not fit the 16-bit length.
    #[error("pes payload of {0} bytes is longer than a length field can say")]
    TooLong(u16),
    /// Exhausted: the buffer is full.
    #[error(transparent)]
    Full(#[from] Full),
}

/// The header of one PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PesHeader {
    /// What kind of stream this is; see `STREAM_VIDEO` and its neighbours.
    pub stream_id: u8,
    /// Payload bytes behind the header; `None` is unbounded, for video only.
    pub length: Option<u16>,
    /// Whether the payload starts with a whole unit of its kind; needed for timed metadata.
    pub alignment: bool,
    /// When to show it; the low 33 bits are carried.
    pub pts: Ticks,
    /// When to decode it; left out when that is `pts`.
    pub dts: Option<Ticks>,
}

impl PesHeader {
    // | 000001 (24) | stream id (8) | length (16) | 10 scrambling (2) priority alignment copyright
    //   original (1 each) | pts, dts (2) escr, rate, trick, copy, crc, extension (1 each) |
    //   rest length (8) | pts (40) | dts (40) |

    /// Reads a header that has a presentation time. Returns it and its size in bytes; fields that
    /// we never write are skipped.
    ///
    /// # Errors
    /// `PesError` if it is malformed or has no presentation time.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), PesError> {
        let mut r = Reader::new(bytes);
        let start = r.u24("pes start code")?;
        if start != 1 {
            return Err(PesError::NoStartCode(start));
        }
        let stream_id = r.u8("pes stream id")?;
        // 13818-1 table 2-21: maps, padding, private 2, ECM, EMM, DSM-CC, H.222.1 E, directory.
        if matches!(stream_id, 0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff) {
            return Err(PesError::NoTime(stream_id));
        }
        let length = r.u16("pes length")?;
        let [flags, times, rest_bytes] = r.array("pes flags")?;
        if flags & 0xc0 != 0x80 {
            return Err(PesError::Marker);
        }
        let mut rest = Reader::new(r.take(usize::from(rest_bytes), "pes times")?);
        let (pts, dts) = match times >> 6 {
            0b10 => (decode(rest.array("pts")?, 2)?, None),
            0b11 => {
                let pts = decode(rest.array("pts")?, 3)?;
                (pts, Some(decode(rest.array("dts")?, 1)?))
            }
            0b01 => return Err(PesError::Marker),
            _ => return Err(PesError::NoTime(stream_id)),
        };
        let length = match length {
            0 => None,
            _ => Some(
                length
                    .checked_sub(COUNTED_BYTES + u16::from(rest_bytes))
                    .ok_or(PesError::Length(length))?,
            ),
        };
        let header = Self { stream_id, length, alignment: flags & 0x04 != 0, pts, dts };
        Ok((header, r.position()))
    }

    /// Bytes of the header: 14, or 19 with a decode time.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        if self.dts.is_some() { 19 } else { 14 }
    }

    /// Writes the header.
    ///
    /// # Errors
    /// `TooLong` if the payload cannot be said in 16 bits, `Full` if the header does not fit;
    /// nothing is written then.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), PesError> {
        debug_assert!(self.length.is_some() || self.stream_id & 0xf0 == 0xe0);
        let (flag, rest) = if self.dts.is_some() { (0xc0, 10u8) } else { (0x80, 5) };
        let length = match self.length {
            None => 0,
            Some(payload) => payload
                .checked_add(COUNTED_BYTES + u16::from(rest))
                .ok_or(PesError::TooLong(payload))?,
        };
        let mut w = Writer::new(w.take(self.encoded_len())?);
        w.u24(1)?;
        w.u8(self.stream_id)?;
        w.u16(length)?;
        w.u8(if self.alignment { 0x84 } else { 0x80 })?;
        w.u8(flag)?;
        w.u8(rest)?;
        match self.dts {
            None => w.bytes(&encode(self.pts, 2))?,
            Some(dts) => {
                w.bytes(&encode(self.pts, 3))?;
                w.bytes(&encode(dts, 1))?;
            }
        }
        Ok(())
    }
}

// | prefix (4) | ts 32..30 | 1 | ts 29..15 | 1 | ts 14..0 | 1 |

/// A timestamp field: the low 33 bits of `at` behind a four-bit `prefix`.
const fn encode(at: Ticks, prefix: u8) -> [u8; 5] {
    let ts = at.wire();
    let [.., high] = (ts >> 29 & 0x0e).to_be_bytes();
    let [.., b, c] = (ts >> 14 & 0xfffe).to_be_bytes();
    let [.., d, e] = (ts << 1 & 0xfffe).to_be_bytes();
    [prefix << 4 | high | 1, b, c | 1, d, e | 1]
}

/// The timestamp of a field with the given prefix.
fn decode(field: [u8; 5], prefix: u8) -> Result<Ticks, PesError> {
    let [b0, b1, b2, b3, b4] = field;
    if b0 >> 4 != prefix || b0 & b2 & b4 & 1 == 0 {
        return Err(PesError::Marker);
    }
    let high = i64::from(b0 >> 1 & 0x07) << 30;
    let middle = i64::from(u16::from_be_bytes([b1, b2]) >> 1) << 15;
    let low = i64::from(u16::from_be_bytes([b3, b4]) >> 1);
    Ok(Ticks(high | middle | low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(header: PesHeader) -> Vec<u8> {
        let mut buffer = [0; HEADER_BYTES_MAX];
        let mut w = Writer::new(&mut buffer);
        header.emit(&mut w).unwrap();
        w.finish().to_vec()
    }

    const AUDIO: PesHeader = PesHeader {
        stream_id: STREAM_AUDIO,
        length: Some(378),
        alignment: false,
        pts: Ticks(126_000),
        dts: None,
    };

    #[test]
    fn pes_header_refuses_payload_beyond_its_length_field() {
        let mut buffer = [0; HEADER_BYTES_MAX];
        let mut w = Writer::new(&mut buffer);
        let long = PesHeader { length: Some(65_528), ..AUDIO };
        assert_eq!(long.emit(&mut w), Err(PesError::TooLong(65_528)));
        assert_eq!(w.position(), 0);
        let fits = PesHeader { length: Some(65_527), ..AUDIO };
        assert_eq!(PesHeader::parse(&emitted(fits)), Ok((fits, 14)));
    }

    #[test]
    fn pes_header_refuses_every_truncation_and_wrong_markers() {
        let good = emitted(PesHeader { dts: Some(Ticks(1)), ..AUDIO });
        for end in 0..good.len() {
            assert!(PesHeader::parse(&good[..end]).is_err(), "{end} bytes");
        }
        for (at, bit) in [(6, 0x40), (9, 0x01), (11, 0x01), (13, 0x01), (9, 0x80)] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert_eq!(PesHeader::parse(&bad), Err(PesError::Marker), "byte {at}");
        }
    }

    #[test]
    fn pes_header_refuses_streams_without_time() {
        let padding = [0, 0, 1, 0xbe, 0, 8, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
        assert_eq!(PesHeader::parse(&padding), Err(PesError::NoTime(0xbe)));
        let timeless = [0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0];
        assert_eq!(PesHeader::parse(&timeless), Err(PesError::NoTime(0xe0)));
        let lying = [0, 0, 1, 0xc0, 0, 7, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
        assert_eq!(PesHeader::parse(&lying), Err(PesError::Length(7)));
    }

    proptest! {
        #[test]
        fn pes_header_survives_the_wire(
            length in proptest::option::of(0u16..65_000),
            alignment: bool,
            pts in 0i64..1 << 33,
            dts in proptest::option::of(0i64..1 << 33),
        ) {
            let header = PesHeader {
                stream_id: STREAM_VIDEO, length, alignment, pts: Ticks(pts), dts: dts.map(Ticks),
            };
            prop_assert_eq!(
                PesHeader::parse(&emitted(header)),
                Ok((header, header.encoded_len()))
            );
        }

        #[test]
        fn pes_header_keeps_33_bits_of_any_time(pts: i64) {
            let header = PesHeader { pts: Ticks(pts), ..AUDIO };
            let (read, _) = PesHeader::parse(&emitted(header)).unwrap();
            prop_assert_eq!(read.pts.wire(), Ticks(pts).wire());
        }

        #[test]
        fn pes_parse_survives_any_bytes(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = PesHeader::parse(&bytes);
            bytes.splice(..0, [0, 0, 1]);
            if let Ok((_, size)) = PesHeader::parse(&bytes) {
                prop_assert!(size <= bytes.len());
            }
        }
    }
}
