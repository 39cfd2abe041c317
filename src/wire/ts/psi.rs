//! Program tables: which program there is (PAT) and which streams it holds (PMT).
//!
//! Written at the start of every segment. One program, one section per table, one packet per
//! section: an HLS segment may hold no more than one program (RFC 8216 §3.2).
//! Source: ISO/IEC 13818-1 §2.4.4; the checksum is its annex A. Does not decide which descriptors
//! a codec needs: `media::mux` does, with the constants of this file.

use super::packet::{Header, PACKET_BYTES, PAYLOAD_BYTES};
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// Packets that carry the PAT.
pub const PID_PAT: u16 = 0;

/// Packets that carry the PMT of our only program.
pub const PID_PMT: u16 = 0x1000;

/// The number of our only program.
pub const PROGRAM: u16 = 1;

/// The transport stream id that we write.
pub const TRANSPORT_STREAM: u16 = 1;

/// Stream type of H.264.
pub const STREAM_TYPE_H264: u8 = 0x1b;

/// Stream type of HEVC.
pub const STREAM_TYPE_HEVC: u8 = 0x24;

/// Stream type of AAC with ADTS headers.
pub const STREAM_TYPE_AAC: u8 = 0x0f;

/// Stream type of timed metadata in PES packets.
pub const STREAM_TYPE_METADATA: u8 = 0x15;

/// Stream type of AC-3 (ATSC A/52 §A3.1).
pub const STREAM_TYPE_AC3: u8 = 0x81;

/// Stream type of E-AC-3 (ATSC A/52 §G3.1).
pub const STREAM_TYPE_EAC3: u8 = 0x87;

/// Stream type of private data in PES packets: Opus, behind its registration.
pub const STREAM_TYPE_PRIVATE: u8 = 0x06;

/// Bytes of a section before its body: table id, length, id, version, section numbers.
const SECTION_HEAD_BYTES: usize = 8;

/// Bytes of a section's checksum.
const CRC_BYTES: usize = 4;

/// The largest section that fits one packet after the pointer field.
const SECTION_BYTES_MAX: usize = PAYLOAD_BYTES - 1;

const TABLE_PAT: u8 = 0x00;
const TABLE_PMT: u8 = 0x02;

/// A table that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: another table than the one asked for.
    #[error("section is of table {found:#04x}, not {want:#04x}")]
    Table {
        /// Table id found.
        found: u8,
        /// Table id asked for.
        want: u8,
    },
    /// Malformed: the checksum does not match.
    #[error("section checksum leaves {0:#010x}, not zero")]
    Checksum(u32),
    /// Unsupported: several programs, several sections, or a table that is not yet valid.
    #[error("section is one of several or not yet current")]
    NotAlone,
}

/// The checksum of sections: CRC-32/MPEG-2. Over a section with its checksum it is zero.
#[must_use]
pub const fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        let [top, ..] = crc.to_be_bytes();
        crc = crc << 8 ^ entry(top ^ *byte);
        rest = tail;
    }
    crc
}

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a byte indexes 256 entries; `From` is not const"
)]
const fn entry(byte: u8) -> u32 {
    CRC_TABLE[byte as usize]
}

const CRC_TABLE: [u32; 256] = crc_table();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "evaluated by the compiler, index is below 256"
)]
const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0u32;
    while i < 256 {
        let mut crc = i << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc >> 31;
            crc = (crc << 1) ^ (carry * 0x04c1_1db7);
            bit += 1;
        }
        table[i as usize] = crc;
        i += 1;
    }
    table
}

/// The program association table of a stream with one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pat {
    /// Transport stream id.
    pub transport_stream: u16,
    /// Version, 5 bits.
    pub version: u8,
    /// Program number, not 0.
    pub program: u16,
    /// Packets that carry the program's PMT.
    pub pmt_pid: u16,
}

impl Pat {
    /// The table that every one of our segments starts with.
    pub const OURS: Self =
        Self { transport_stream: TRANSPORT_STREAM, version: 0, program: PROGRAM, pmt_pid: PID_PMT };

    /// Reads a section.
    ///
    /// # Errors
    /// `SectionError` unless it is the only, current PAT section, with one program.
    pub fn parse(section: &[u8]) -> Result<Self, SectionError> {
        let (head, mut body) = open(section, TABLE_PAT)?;
        let program = body.u16("program number")?;
        let pmt_pid = body.u16("program map pid")? & 0x1fff;
        if !body.is_empty() || program == 0 {
            return Err(SectionError::NotAlone);
        }
        Ok(Self { transport_stream: head.id, version: head.version, program, pmt_pid })
    }

    /// Writes the section.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let head = Head { table: TABLE_PAT, id: self.transport_stream, version: self.version };
        head.emit(w, 4, |w| {
            w.u16(self.program)?;
            w.u16(0xe000 | self.pmt_pid & 0x1fff)
        })
    }
}

/// One stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PmtStream<'a> {
    /// What the stream holds (13818-1 table 2-34).
    pub stream_type: u8,
    /// Packets that carry it.
    pub pid: u16,
    /// Its descriptors, back to back, at most 1023 bytes.
    pub descriptors: &'a [u8],
}

/// The program map table of our only program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pmt<'a> {
    /// Packets that carry the program's clock.
    pub pcr_pid: u16,
    /// Version, 5 bits; counts changes of content.
    pub version: u8,
    /// Descriptors of the program, back to back, at most 1023 bytes.
    pub program_descriptors: &'a [u8],
    /// The streams, in the order players will list them.
    pub streams: &'a [PmtStream<'a>],
}

impl Pmt<'_> {
    /// Writes the section.
    ///
    /// # Errors
    /// `Full` if it does not fit the buffer or one packet.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let streams: usize = self.streams.iter().map(|s| 5 + s.descriptors.len()).sum();
        let body = 4 + self.program_descriptors.len() + streams;
        let head = Head { table: TABLE_PMT, id: PROGRAM, version: self.version };
        head.emit(w, body, |w| {
            w.u16(0xe000 | self.pcr_pid & 0x1fff)?;
            descriptors(w, self.program_descriptors)?;
            for stream in self.streams {
                w.u8(stream.stream_type)?;
                w.u16(0xe000 | stream.pid & 0x1fff)?;
                descriptors(w, stream.descriptors)?;
            }
            Ok(())
        })
    }
}

/// A program map table as it was read: the streams stay in the caller's bytes.
#[derive(Clone, Debug)]
pub struct PmtSection<'a> {
    /// Program number.
    pub program: u16,
    /// Packets that carry the program's clock.
    pub pcr_pid: u16,
    /// Version, 5 bits.
    pub version: u8,
    /// Descriptors of the program, back to back.
    pub program_descriptors: &'a [u8],
    streams: Reader<'a>,
}

impl<'a> PmtSection<'a> {
    /// Reads a section; its checksum and every length in it are checked.
    ///
    /// # Errors
    /// `SectionError` unless it is the only, current section of a PMT.
    pub fn parse(section: &'a [u8]) -> Result<Self, SectionError> {
        let (head, mut body) = open(section, TABLE_PMT)?;
        let pcr_pid = body.u16("clock pid")? & 0x1fff;
        let length = body.u16("program descriptors length")? & 0x0fff;
        let program_descriptors = body.take(usize::from(length), "program descriptors")?;
        let mut walk = body.clone();
        while !walk.is_empty() {
            stream(&mut walk)?;
        }
        Ok(Self {
            program: head.id,
            pcr_pid,
            version: head.version,
            program_descriptors,
            streams: body,
        })
    }

    /// The streams in table order.
    pub fn streams(&self) -> impl Iterator<Item = PmtStream<'a>> + use<'a> {
        let mut rest = self.streams.clone();
        core::iter::from_fn(move || stream(&mut rest).ok())
    }
}

/// Writes the packet of our PAT.
///
/// # Errors
/// `Full` if fewer than 188 bytes are left; nothing is written then.
pub fn emit_pat(w: &mut Writer<'_>, counter: u8) -> Result<(), Full> {
    packet(w, PID_PAT, counter, |w| Pat::OURS.emit(w))
}

/// Writes the packet of `pmt`, on `PID_PMT`.
///
/// # Errors
/// `Full` if the section does not fit one packet or fewer than 188 bytes are left.
pub fn emit_pmt(w: &mut Writer<'_>, pmt: &Pmt<'_>, counter: u8) -> Result<(), Full> {
    packet(w, PID_PMT, counter, |w| pmt.emit(w))
}

/// The section that starts a packet's payload: behind the pointer field, up to its length.
///
/// # Errors
/// `Short` if the pointer or the section's length leave the payload.
pub fn section(payload: &[u8]) -> Result<&[u8], Short> {
    let mut r = Reader::new(payload);
    let pointer = r.u8("pointer field")?;
    r.take(usize::from(pointer), "pointed-over bytes")?;
    let whole = r.rest();
    r.u8("table id")?;
    let length = usize::from(r.u16("section length")? & 0x0fff);
    Reader::new(whole).take(3 + length, "section")
}

struct Head {
    table: u8,
    id: u16,
    version: u8,
}

impl Head {
    // | table (8) | 1011 length (12) | id (16) | 11 version (5) current (1) | no. (8) | last (8) |

    /// Writes head, body and checksum; `body_bytes` is what `body` will write.
    fn emit(
        &self,
        w: &mut Writer<'_>,
        body_bytes: usize,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let total = SECTION_HEAD_BYTES + body_bytes + CRC_BYTES;
        let (Ok(length), true) = (u16::try_from(total - 3), total <= SECTION_BYTES_MAX) else {
            return Err(Full { need: total, have: SECTION_BYTES_MAX });
        };
        let mut w = Writer::new(w.take(total)?);
        w.u8(self.table)?;
        w.u16(0xb000 | length)?;
        w.u16(self.id)?;
        w.u8(0xc1 | (self.version & 0x1f) << 1)?;
        w.u16(0)?;
        body(&mut w)?;
        debug_assert_eq!(w.position() + CRC_BYTES, total);
        let crc = crc32(w.written());
        w.u32(crc)
    }
}

/// Checks the frame of a section and returns its head and a reader of its body.
fn open(section: &[u8], want: u8) -> Result<(Head, Reader<'_>), SectionError> {
    let mut r = Reader::new(section);
    let table = r.u8("table id")?;
    if table != want {
        return Err(SectionError::Table { found: table, want });
    }
    let length = usize::from(r.u16("section length")? & 0x0fff);
    r.take(length, "section")?;
    let whole = Reader::new(section).take(3 + length, "section")?;
    let crc = crc32(whole);
    if crc != 0 {
        return Err(SectionError::Checksum(crc));
    }
    let body = whole.len().saturating_sub(CRC_BYTES);
    let mut r = Reader::new(Reader::new(whole).take(body, "section")?);
    r.take(3, "section length")?;
    let id = r.u16("section id")?;
    let version = r.u8("section version")?;
    let [number, last] = r.array("section numbers")?;
    if version & 1 == 0 || number != 0 || last != 0 {
        return Err(SectionError::NotAlone);
    }
    let head = Head { table, id, version: version >> 1 & 0x1f };
    Ok((head, r))
}

fn stream<'a>(r: &mut Reader<'a>) -> Result<PmtStream<'a>, Short> {
    let stream_type = r.u8("stream type")?;
    let pid = r.u16("stream pid")? & 0x1fff;
    let length = r.u16("stream descriptors length")? & 0x0fff;
    Ok(PmtStream {
        stream_type,
        pid,
        descriptors: r.take(usize::from(length), "stream descriptors")?,
    })
}

fn descriptors(w: &mut Writer<'_>, bytes: &[u8]) -> Result<(), Full> {
    let Ok(length @ 0..=1023) = u16::try_from(bytes.len()) else {
        return Err(Full { need: bytes.len(), have: 1023 });
    };
    w.u16(0xf000 | length)?;
    w.bytes(bytes)
}

fn packet(
    w: &mut Writer<'_>,
    pid: u16,
    counter: u8,
    section: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<(), Full> {
    let header = Header { pid, start: true, adaptation: false, payload: true, counter };
    let mut w = Writer::new(w.take(PACKET_BYTES)?);
    w.bytes(&header.bytes())?;
    w.u8(0)?;
    section(&mut w)?;
    let rest = PACKET_BYTES - w.position();
    w.take(rest)?.fill(0xff);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::packet::Packet;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc32_has_the_catalogued_check_value() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn pmt_refuses_more_than_one_packet_holds() {
        let pmt = Pmt { pcr_pid: 0x100, version: 0, program_descriptors: &[0; 168], streams: &[] };
        let mut buffer = [0; PACKET_BYTES];
        assert_eq!(
            emit_pmt(&mut Writer::new(&mut buffer), &pmt, 0),
            Err(Full { need: 184, have: 183 })
        );
    }

    #[test]
    fn section_refuses_any_flipped_bit_and_any_truncation() {
        let mut buffer = [0; PACKET_BYTES];
        emit_pat(&mut Writer::new(&mut buffer), 0).unwrap();
        let good = section(Packet::parse(&buffer).unwrap().payload).unwrap().to_vec();
        assert_eq!(Pat::parse(&good), Ok(Pat::OURS));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Pat::parse(&bad).is_err(), "bit {bit}");
        }
        for end in 0..good.len() {
            assert!(Pat::parse(&good[..end]).is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn pat_survives_the_wire(
            transport_stream: u16,
            version in 0u8..32,
            program in 1u16..,
            pmt_pid in 0u16..0x2000,
        ) {
            let pat = Pat { transport_stream, version, program, pmt_pid };
            let mut buffer = [0; PACKET_BYTES];
            let mut w = Writer::new(&mut buffer);
            pat.emit(&mut w).unwrap();
            prop_assert_eq!(Pat::parse(w.finish()), Ok(pat));
        }

        #[test]
        fn pmt_survives_the_wire(
            pcr_pid in 0u16..0x2000,
            version in 0u8..32,
            counter in 0u8..16,
            program in proptest::collection::vec(any::<u8>(), 0..30),
            streams in proptest::collection::vec(
                (any::<u8>(), 0u16..0x2000, proptest::collection::vec(any::<u8>(), 0..20)), 0..5),
        ) {
            let streams: Vec<PmtStream<'_>> = streams
                .iter()
                .map(|(stream_type, pid, d)| PmtStream {
                    stream_type: *stream_type, pid: *pid, descriptors: d,
                })
                .collect();
            let pmt = Pmt { pcr_pid, version, program_descriptors: &program, streams: &streams };
            let mut buffer = [0; PACKET_BYTES];
            emit_pmt(&mut Writer::new(&mut buffer), &pmt, counter).unwrap();
            let packet = Packet::parse(&buffer).unwrap();
            prop_assert_eq!(packet.header.pid, PID_PMT);
            prop_assert_eq!(packet.header.counter, counter);
            let read = PmtSection::parse(section(packet.payload).unwrap()).unwrap();
            prop_assert_eq!(read.program, PROGRAM);
            prop_assert_eq!(read.pcr_pid, pcr_pid);
            prop_assert_eq!(read.version, version);
            prop_assert_eq!(read.program_descriptors, &program[..]);
            prop_assert_eq!(read.streams().collect::<Vec<_>>(), streams);
        }

        #[test]
        fn section_parse_survives_any_bytes(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            table in prop_oneof![Just(TABLE_PAT), Just(TABLE_PMT)],
        ) {
            let _ = section(&bytes);
            // A right table id, length and checksum, so that hostile bodies are reached.
            let Ok(length) = u16::try_from(bytes.len()) else { return Ok(()) };
            let [high, low] = (0xb000 | (length + 4)).to_be_bytes();
            bytes.splice(..0, [table, high, low]);
            bytes.extend(crc32(&bytes).to_be_bytes());
            let _ = Pat::parse(&bytes);
            if let Ok(pmt) = PmtSection::parse(&bytes) {
                prop_assert!(pmt.streams().count() <= 40);
            }
        }
    }
}
