//! Transport stream packets: the 188-byte frame, its adaptation field, the clock reference.
//!
//! The muxer writes headers from here straight into a segment's pages, so `Header::bytes` is a
//! handful of shifts. Source: ISO/IEC 13818-1 §2.4.3.2 to §2.4.3.5. Does not count continuity and
//! does not decide when a clock reference is due: `media::mux` does.

use crate::time::Ticks;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::{Full, Writer};

/// Bytes of every packet.
pub const PACKET_BYTES: usize = 188;

/// Bytes of a packet after its four-byte header.
pub const PAYLOAD_BYTES: usize = 184;

/// First byte of every packet.
pub const SYNC: u8 = 0x47;

/// Identifier of packets that carry nothing.
pub const PID_NULL: u16 = 0x1fff;

/// A packet that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: the packet does not begin with the sync byte.
    #[error("packet begins with {0:#04x}, not 0x47")]
    NoSync(u8),
    /// Malformed: neither payload nor adaptation field, a reserved combination.
    #[error("packet of pid {0:#06x} has neither payload nor adaptation field")]
    Reserved(u16),
    /// Malformed: a demodulator marked the packet as damaged.
    #[error("packet of pid {0:#06x} is marked as damaged")]
    Damaged(u16),
    /// Unsupported: the payload is scrambled.
    #[error("packet of pid {0:#06x} is scrambled")]
    Scrambled(u16),
}

/// The first four bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which stream the packet belongs to, 13 bits.
    pub pid: u16,
    /// Whether a PES packet or a section starts in this packet.
    pub start: bool,
    /// Whether an adaptation field follows the header.
    pub adaptation: bool,
    /// Whether payload follows.
    pub payload: bool,
    /// Continuity counter, 4 bits; counts packets with payload per `pid`.
    pub counter: u8,
}

impl Header {
    // | sync 0x47 (8) | error (1) start (1) priority (1) pid (13) |
    // | scrambling (2) adaptation (1) payload (1) counter (4) |

    /// Reads a header.
    ///
    /// # Errors
    /// `PacketError` unless it is a clear, undamaged header with a body.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let [sync, high, low, control] = Reader::new(bytes).array("packet header")?;
        if sync != SYNC {
            return Err(PacketError::NoSync(sync));
        }
        let pid = u16::from_be_bytes([high & 0x1f, low]);
        if high & 0x80 != 0 {
            return Err(PacketError::Damaged(pid));
        }
        if control & 0xc0 != 0 {
            return Err(PacketError::Scrambled(pid));
        }
        if control & 0x30 == 0 {
            return Err(PacketError::Reserved(pid));
        }
        Ok(Self {
            pid,
            start: high & 0x40 != 0,
            adaptation: control & 0x20 != 0,
            payload: control & 0x10 != 0,
            counter: control & 0x0f,
        })
    }

    /// The header as it goes on the wire; bits of `pid` and `counter` beyond their width are cut.
    #[must_use]
    #[inline]
    pub const fn bytes(&self) -> [u8; 4] {
        debug_assert!(self.pid <= PID_NULL);
        debug_assert!(self.adaptation || self.payload);
        let [high, low] = (self.pid & PID_NULL).to_be_bytes();
        let start = if self.start { 0x40 } else { 0 };
        let adaptation = if self.adaptation { 0x20 } else { 0 };
        let payload = if self.payload { 0x10 } else { 0 };
        [SYNC, start | high, low, adaptation | payload | self.counter & 0x0f]
    }
}

/// A program clock reference: 27 MHz in two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcr {
    /// 90 kHz part, 33 bits.
    pub base: u64,
    /// 27 MHz remainder, 0 to 299.
    pub extension: u16,
}

impl Pcr {
    /// Bytes on the wire.
    pub const BYTES: usize = 6;

    // | base (33) | reserved, ones (6) | extension (9) |

    /// The reference of a media time; keeps the low 33 bits.
    #[must_use]
    pub const fn from_ticks(at: Ticks) -> Self {
        Self { base: at.wire(), extension: 0 }
    }

    /// Reads the six bytes. Every value has a meaning; an extension above 299 is kept.
    #[must_use]
    pub const fn parse(bytes: [u8; Self::BYTES]) -> Self {
        let [b0, b1, b2, b3, b4, b5] = bytes;
        let all = u64::from_be_bytes([0, 0, b0, b1, b2, b3, b4, b5]);
        Self { base: all >> 15, extension: u16::from_be_bytes([b4 & 0x01, b5]) }
    }

    /// The reference as it goes on the wire.
    #[must_use]
    pub const fn bytes(&self) -> [u8; Self::BYTES] {
        debug_assert!(self.base < 1 << 33);
        debug_assert!(self.extension < 1 << 9);
        let [high, low] = (self.extension & 0x1ff).to_be_bytes();
        let extension = u64::from_be_bytes([0, 0, 0, 0, 0, 0, high, low]);
        let all = (self.base & ((1 << 33) - 1)) << 15 | 0x3f << 9 | extension;
        let [_, _, bytes @ ..] = all.to_be_bytes();
        bytes
    }
}

/// The part of an adaptation field that we write and understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptationField {
    /// The clock or the counter breaks here, on purpose.
    pub discontinuity: bool,
    /// Decoding can start at the access unit that begins in this packet.
    pub random_access: bool,
    /// The clock, when this packet carries it.
    pub pcr: Option<Pcr>,
}

impl AdaptationField {
    /// A field that only stuffs.
    pub const STUFFING: Self = Self { discontinuity: false, random_access: false, pcr: None };

    // | length (8), of what follows | discontinuity, random access, priority, PCR, OPCR, splice,
    //   private, extension (1 each) | PCR (48) … | stuffing 0xff |

    /// Reads a field that starts with its length byte. Returns it and its whole size in bytes.
    ///
    /// # Errors
    /// `Short` if it runs past the end of `bytes` or holds less than its flags announce.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Short> {
        let mut r = Reader::new(bytes);
        let length = usize::from(r.u8("adaptation field length")?);
        let body = r.take(length, "adaptation field")?;
        if body.is_empty() {
            return Ok((Self::STUFFING, 1));
        }
        let mut body = Reader::new(body);
        let flags = body.u8("adaptation flags")?;
        let pcr =
            if flags & 0x10 != 0 { Some(Pcr::parse(body.array("clock reference")?)) } else { None };
        let field =
            Self { discontinuity: flags & 0x80 != 0, random_access: flags & 0x40 != 0, pcr };
        Ok((field, length + 1))
    }

    /// Bytes the field needs, its length byte included; 0 when it says nothing.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self.pcr {
            Some(_) => 2 + Pcr::BYTES,
            None if self.discontinuity || self.random_access => 2,
            None => 0,
        }
    }

    /// Writes the field in exactly `total` bytes, its length byte included; the rest is stuffing.
    /// 0 writes nothing, 1 writes a lone zero length.
    ///
    /// # Errors
    /// `Full` if `total` is less than `encoded_len`, more than a packet has, or does not fit.
    pub fn emit(&self, w: &mut Writer<'_>, total: usize) -> Result<(), Full> {
        if total < self.encoded_len() {
            return Err(Full { need: self.encoded_len(), have: total });
        }
        let (Ok(length), true) = (u8::try_from(total.saturating_sub(1)), total <= PAYLOAD_BYTES)
        else {
            return Err(Full { need: total, have: PAYLOAD_BYTES });
        };
        let mut w = Writer::new(w.take(total)?);
        if total == 0 {
            return Ok(());
        }
        w.u8(length)?;
        if length == 0 {
            return Ok(());
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        w.u8(flag(self.discontinuity, 0x80)
            | flag(self.random_access, 0x40)
            | flag(self.pcr.is_some(), 0x10))?;
        if let Some(pcr) = self.pcr {
            w.bytes(&pcr.bytes())?;
        }
        let stuffing = total - w.position();
        w.take(stuffing)?.fill(0xff);
        Ok(())
    }
}

/// One packet taken apart, for checks and tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its first four bytes.
    pub header: Header,
    /// Its adaptation field, if any.
    pub adaptation: Option<AdaptationField>,
    /// What remains; empty when the header announces no payload.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Takes one packet apart; bytes beyond the packet are not looked at.
    ///
    /// # Errors
    /// `PacketError` if it is short, damaged, scrambled, or its adaptation field leaves the packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let mut r = Reader::new(Reader::new(bytes).take(PACKET_BYTES, "packet")?);
        let header = Header::parse(r.take(4, "packet header")?)?;
        let adaptation = if header.adaptation {
            let (field, total) = AdaptationField::parse(r.rest())?;
            r.take(total, "adaptation field")?;
            Some(field)
        } else {
            None
        };
        Ok(Self { header, adaptation, payload: if header.payload { r.rest() } else { &[] } })
    }
}

/// Packets needed for a PES packet of `pes_bytes` (header included) whose first packet has an
/// adaptation field of `adaptation_bytes` (length byte included, at most 184), and the adaptation
/// bytes to add in the last packet: to the existing field if there is only one packet.
#[must_use]
pub const fn packet_count(pes_bytes: usize, adaptation_bytes: usize) -> (usize, usize) {
    debug_assert!(adaptation_bytes <= PAYLOAD_BYTES);
    let first = PAYLOAD_BYTES.saturating_sub(adaptation_bytes);
    if pes_bytes <= first {
        return (1, first - pes_bytes);
    }
    let after = pes_bytes - first;
    let packets = after.div_ceil(PAYLOAD_BYTES);
    (1 + packets, packets * PAYLOAD_BYTES - after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn emitted(field: AdaptationField, total: usize) -> Vec<u8> {
        let mut buffer = [0; PAYLOAD_BYTES];
        let mut w = Writer::new(&mut buffer);
        field.emit(&mut w, total).unwrap();
        w.finish().to_vec()
    }

    #[test]
    fn adaptation_field_refuses_less_room_than_it_needs() {
        let mut buffer = [0; 400];
        let field = AdaptationField { random_access: true, ..AdaptationField::STUFFING };
        let mut w = Writer::new(&mut buffer);
        assert_eq!(field.emit(&mut w, 1), Err(Full { need: 2, have: 1 }));
        assert_eq!(field.emit(&mut w, 185), Err(Full { need: 185, have: 184 }));
        assert_eq!(w.position(), 0);
    }

    #[test]
    fn adaptation_field_of_stuffing_has_every_size() {
        assert_eq!(emitted(AdaptationField::STUFFING, 0), []);
        assert_eq!(emitted(AdaptationField::STUFFING, 1), [0]);
        assert_eq!(emitted(AdaptationField::STUFFING, 2), [1, 0]);
        for total in 3..=PAYLOAD_BYTES {
            let bytes = emitted(AdaptationField::STUFFING, total);
            assert_eq!(bytes.len(), total);
            assert_eq!(usize::from(bytes[0]), total - 1);
            assert!(bytes[2..].iter().all(|b| *b == 0xff));
        }
    }

    #[test]
    fn header_refuses_what_a_player_could_not_use() {
        assert_eq!(Header::parse(&[0x48, 0, 0, 0x10]), Err(PacketError::NoSync(0x48)));
        assert_eq!(Header::parse(&[0x47, 0x81, 0, 0x10]), Err(PacketError::Damaged(0x100)));
        assert_eq!(Header::parse(&[0x47, 1, 0, 0x90]), Err(PacketError::Scrambled(0x100)));
        assert_eq!(Header::parse(&[0x47, 1, 0, 0x0f]), Err(PacketError::Reserved(0x100)));
        assert!(Header::parse(&[0x47, 1, 0]).is_err());
    }

    #[test]
    fn packet_refuses_adaptation_field_that_leaves_the_packet() {
        let mut packet = [0xff; PACKET_BYTES + 100];
        packet[..5].copy_from_slice(&[0x47, 1, 0, 0x30, 184]);
        assert!(matches!(Packet::parse(&packet), Err(PacketError::Short(_))));
        packet[4] = 183;
        assert_eq!(Packet::parse(&packet).unwrap().payload, &[]);
        assert!(Packet::parse(&packet[..187]).is_err());
    }

    fn pcr() -> impl Strategy<Value = Pcr> {
        (0u64..1 << 33, 0u16..300).prop_map(|(base, extension)| Pcr { base, extension })
    }

    /// Fills packets byte by byte, as a muxer that knows no arithmetic would.
    fn simulate(pes_bytes: usize, adaptation_bytes: usize) -> (usize, usize) {
        let mut left = pes_bytes;
        let mut packets = 0;
        loop {
            packets += 1;
            let mut room =
                if packets == 1 { PAYLOAD_BYTES - adaptation_bytes } else { PAYLOAD_BYTES };
            while room > 0 && left > 0 {
                room -= 1;
                left -= 1;
            }
            if left == 0 {
                return (packets, room);
            }
        }
    }

    proptest! {
        #[test]
        fn header_survives_the_wire(
            pid in 0u16..=PID_NULL,
            start: bool,
            control in 1u8..4,
            counter in 0u8..16,
        ) {
            let header = Header {
                pid, start, adaptation: control & 2 != 0, payload: control & 1 != 0, counter,
            };
            prop_assert_eq!(Header::parse(&header.bytes()), Ok(header));
        }

        #[test]
        fn pcr_survives_the_wire(pcr in pcr()) {
            prop_assert_eq!(Pcr::parse(pcr.bytes()), pcr);
        }

        #[test]
        fn adaptation_field_survives_the_wire(
            discontinuity: bool,
            random_access: bool,
            pcr in proptest::option::of(pcr()),
            extra in 0usize..170,
        ) {
            let field = AdaptationField { discontinuity, random_access, pcr };
            let total = (field.encoded_len() + extra).max(1);
            prop_assert_eq!(AdaptationField::parse(&emitted(field, total)), Ok((field, total)));
        }

        #[test]
        fn packet_count_agrees_with_filling_byte_by_byte(
            pes_bytes in 1usize..3000,
            adaptation_bytes in 0usize..=PAYLOAD_BYTES,
        ) {
            prop_assert_eq!(
                packet_count(pes_bytes, adaptation_bytes),
                simulate(pes_bytes, adaptation_bytes)
            );
        }

        #[test]
        fn packet_parse_survives_any_bytes(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Packet::parse(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = SYNC;
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() <= PAYLOAD_BYTES);
            }
        }
    }
}
