//! Lays access units into transport packets.
//!
//! Gathers the parts of a PES packet (header, start codes, parameter sets, payload slices) in order
//! and writes them once, into the memory of the segment. Keeps the continuity counters and the
//! program clock of one stream over all its segments. Decides nothing about segments.
//! Source: H.222.0 §2.4.3; packet arithmetic as in `wire::ts::packet::packet_count`.

use crate::limits::{PCR_INTERVAL_TICKS_MAX, PCR_LEAD_TICKS};
use crate::media::sink::Sink;
use crate::time::Ticks;
use crate::wire::ts::packet::{
    AdaptationField, Header, PACKET_BYTES, PAYLOAD_BYTES, Pcr, packet_count,
};
use crate::wire::ts::pes::{HEADER_BYTES_MAX, PesHeader};
use crate::wire::ts::psi::{PID_PAT, PID_PMT, Pmt, emit_pat, emit_pmt};
use crate::wire::writer::Writer;

/// A track of the program; its PID is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// H.264 or HEVC.
    Video,
    /// AAC, MPEG audio, AC-3, E-AC-3 or Opus.
    Audio,
    /// Timed ID3.
    Metadata,
}

impl Track {
    /// Packet identifier.
    #[must_use]
    pub const fn pid(self) -> u16 {
        match self {
            Self::Video => 0x100,
            Self::Audio => 0x101,
            Self::Metadata => 0x102,
        }
    }
}

/// What a PES packet needs besides its payload.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Its track.
    pub track: Track,
    /// Header fields.
    pub pes: PesHeader,
    /// Decoding can start here.
    pub random_access: bool,
    /// Clock reference to carry.
    pub pcr: Option<Ticks>,
}

/// A packet that carries only the clock, and what it would be on the other track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockPacket {
    place: usize,
    otherwise: Track,
    counter: u8,
    clock: Ticks,
}

/// Counters and clock of one stream.
#[derive(Debug)]
pub struct Mux {
    pat: u8,
    pmt: u8,
    video: u8,
    audio: u8,
    metadata: u8,
    clock: Option<Ticks>,
}

impl Mux {
    /// All counters at zero.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a stream's start is not a zero value")]
    pub const fn new() -> Self {
        Self { pat: 0, pmt: 0, video: 0, audio: 0, metadata: 0, clock: None }
    }

    /// Writes PAT and PMT: the first two packets of a segment.
    pub fn tables(&mut self, pmt: &Pmt<'_>, sink: &mut impl Sink) {
        let packet = pat_packet(self.pat);
        put(sink, &packet);
        let packet = pmt_packet(pmt, self.pmt);
        put(sink, &packet);
        self.pat = next(self.pat);
        self.pmt = next(self.pmt);
    }

    /// Writes the PMT of the segment again, after what it holds has become known.
    pub fn tables_again(&self, pmt: &Pmt<'_>, sink: &mut impl Sink) {
        sink.rewrite(1, &pmt_packet(pmt, self.pmt.wrapping_sub(1) & 0x0f));
    }

    /// The counter of the metadata track, which a segment that is discarded gives back.
    #[must_use]
    pub const fn metadata_counter(&self) -> u8 {
        self.metadata
    }

    /// The tables of the segment were never seen: their counters go back, and that of metadata to
    /// what it was.
    pub const fn tables_discarded(&mut self, metadata: u8) {
        self.metadata = metadata;
        self.pat = self.pat.wrapping_sub(1) & 0x0f;
        self.pmt = self.pmt.wrapping_sub(1) & 0x0f;
    }

    /// The clock reference to put on a packet of media time `at`; `None` when it would run
    /// backwards. A reference is due on every video access unit and every PES packet of audio
    /// that carries the clock.
    #[must_use]
    pub fn clock_at(&self, at: Ticks) -> Option<Ticks> {
        let clock = at.minus(PCR_LEAD_TICKS);
        self.clock.is_none_or(|last| last < clock).then_some(clock)
    }

    /// The clock reference that a segment begins with, at media time `at`. Where audio has carried
    /// the clock on meanwhile, it comes right after the last one.
    #[must_use]
    pub fn clock_first(&self, at: Ticks) -> Ticks {
        let clock = at.minus(PCR_LEAD_TICKS);
        self.clock.map_or(clock, |last| clock.max(last.plus(Ticks(1))))
    }

    /// Writes packets that carry only the clock until a reference at media time `at` would come
    /// soon enough after the last one.
    pub fn advance_clock(&mut self, track: Track, at: Ticks, sink: &mut impl Sink) {
        while let Some(last) = self.clock
            && last.plus(PCR_INTERVAL_TICKS_MAX) < at.minus(PCR_LEAD_TICKS)
            && sink.reserve(PACKET_BYTES)
        {
            let clock = last.plus(PCR_INTERVAL_TICKS_MAX);
            // A packet without payload repeats the last counter (H.222.0 §2.4.3.3).
            put(sink, &clock_packet(track, self.counter(track).wrapping_sub(1) & 0x0f, clock));
            self.clock = Some(clock);
        }
    }

    /// Writes a packet that carries only the clock of media time `at`, for a track that is expected
    /// to carry it. `None` where there is no room for it.
    pub fn clock_packet(
        &mut self,
        track: Track,
        otherwise: Track,
        at: Ticks,
        sink: &mut impl Sink,
    ) -> Option<ClockPacket> {
        let clock = self.clock_first(at);
        let place = sink.written() / PACKET_BYTES;
        if !sink.reserve(PACKET_BYTES) {
            return None;
        }
        put(sink, &clock_packet(track, self.counter(track).wrapping_sub(1) & 0x0f, clock));
        self.clock = Some(clock);
        let counter = self.counter(otherwise).wrapping_sub(1) & 0x0f;
        Some(ClockPacket { place, otherwise, counter, clock })
    }

    /// The other track carries the clock: writes that packet again, for it.
    pub fn clock_packet_again(&self, packet: ClockPacket, sink: &mut impl Sink) {
        let again = clock_packet(packet.otherwise, packet.counter, packet.clock);
        sink.rewrite(packet.place, &again);
    }

    /// Forgets the clock: the next reference may be anywhere (after a discontinuity).
    pub fn reset_clock(&mut self) {
        self.clock = None;
    }

    /// Writes one PES packet whose payload is `slices`, `bytes` in all. The caller has made sure
    /// that it fits (`packets_for`).
    pub fn pes<'a>(
        &mut self,
        head: &Head,
        bytes: usize,
        slices: impl Iterator<Item = &'a [u8]>,
        sink: &mut impl Sink,
    ) {
        let mut header = [0; HEADER_BYTES_MAX];
        let mut w = Writer::new(&mut header);
        let written = head.pes.emit(&mut w);
        debug_assert!(written.is_ok());
        let header = w.finish();
        let field = AdaptationField {
            discontinuity: false,
            random_access: head.random_access,
            pcr: head.pcr.map(Pcr::from_ticks),
        };
        if head.pcr.is_some() {
            self.clock = head.pcr;
        }
        let (packets, stuffing) = packet_count(header.len() + bytes, field.encoded_len());
        let mut source = Source { now: header, later: slices };
        let pid = head.track.pid();
        let counter = self.counter_mut(head.track);
        let mut done = 0;
        while done < packets {
            let (first, last) = (done == 0, done + 1 == packets);
            let room = sink.room();
            if !first && !last {
                let whole = source.whole_packets(pid, counter, room, packets - 1 - done);
                if whole > 0 {
                    sink.wrote(whole);
                    done += whole;
                    continue;
                }
            }
            let Some(packet) = room.first_mut() else { break };
            let own = if first { field } else { AdaptationField::STUFFING };
            let size = own.encoded_len() + if last { stuffing } else { 0 };
            let (adaptation, payload) = (size > 0, true);
            let header = Header { pid, start: first, adaptation, payload, counter: *counter };
            *counter = next(*counter);
            let mut w = Writer::new(packet);
            let written = w.bytes(&header.bytes()).and_then(|()| own.emit(&mut w, size));
            debug_assert!(written.is_ok());
            if let Ok(room) = w.take(PAYLOAD_BYTES - size) {
                source.fill(room);
            }
            sink.wrote(1);
            done += 1;
        }
        debug_assert!(source.is_empty(), "the slices hold more than was announced");
    }

    const fn counter(&self, track: Track) -> u8 {
        match track {
            Track::Video => self.video,
            Track::Audio => self.audio,
            Track::Metadata => self.metadata,
        }
    }

    const fn counter_mut(&mut self, track: Track) -> &mut u8 {
        match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
            Track::Metadata => &mut self.metadata,
        }
    }
}

/// Bytes in the segment that a PES packet with `bytes` of payload takes at most.
#[must_use]
pub const fn packet_bytes_for(bytes: usize) -> usize {
    let field = 2 + Pcr::BYTES;
    packet_count(HEADER_BYTES_MAX + bytes, field).0 * PACKET_BYTES
}

/// What is still to be copied into packets.
struct Source<'s, I> {
    now: &'s [u8],
    later: I,
}

impl<'s, 'a: 's, I: Iterator<Item = &'a [u8]>> Source<'s, I> {
    /// Copies as many whole packets as the current slice fills, at most `most`.
    fn whole_packets(
        &mut self,
        pid: u16,
        counter: &mut u8,
        room: &mut [[u8; PACKET_BYTES]],
        most: usize,
    ) -> usize {
        let (payloads, _) = self.now.as_chunks::<PAYLOAD_BYTES>();
        let count = most.min(payloads.len()).min(room.len());
        let (now, later) = self.now.split_at(count * PAYLOAD_BYTES);
        lay(pid, counter, room, now.as_chunks().0);
        self.now = later;
        count
    }

    /// Copies exactly `to.len()` bytes, across slices.
    fn fill(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            if self.now.is_empty() {
                let Some(slice) = self.later.next() else {
                    debug_assert!(false, "the slices hold less than was announced");
                    to.fill(0xff);
                    return;
                };
                self.now = slice;
                continue;
            }
            let n = to.len().min(self.now.len());
            let (from, rest) = self.now.split_at(n);
            let (room, after) = to.split_at_mut(n);
            room.copy_from_slice(from);
            self.now = rest;
            to = after;
        }
    }

    fn is_empty(&mut self) -> bool {
        self.now.is_empty() && self.later.all(<[u8]>::is_empty)
    }
}

/// Lays payloads into as many packets. This loop is where nearly every byte passes: it is written
/// once, for all kinds of slices.
#[inline(never)]
fn lay(
    pid: u16,
    counter: &mut u8,
    room: &mut [[u8; PACKET_BYTES]],
    payloads: &[[u8; PAYLOAD_BYTES]],
) {
    let header = Header { pid, start: false, adaptation: false, payload: true, counter: 0 };
    let header = u32::from_ne_bytes(header.bytes());
    let mut now = *counter;
    for (packet, payload) in room.iter_mut().zip(payloads) {
        let Some((head, body)) = packet.split_first_chunk_mut::<4>() else { break };
        *head = (header | u32::from_ne_bytes([0, 0, 0, now])).to_ne_bytes();
        body.copy_from_slice(payload);
        now = next(now);
    }
    *counter = now;
}

const fn next(counter: u8) -> u8 {
    (counter + 1) & 0x0f
}

fn put(sink: &mut impl Sink, packet: &[u8; PACKET_BYTES]) {
    if sink.reserve(PACKET_BYTES)
        && let Some(room) = sink.room().first_mut()
    {
        *room = *packet;
        sink.wrote(1);
    }
}

fn clock_packet(track: Track, counter: u8, clock: Ticks) -> [u8; PACKET_BYTES] {
    let field = AdaptationField {
        discontinuity: false,
        random_access: false,
        pcr: Some(Pcr::from_ticks(clock)),
    };
    let (pid, start, adaptation, payload) = (track.pid(), false, true, false);
    let header = Header { pid, start, adaptation, payload, counter };
    let mut packet = [0; PACKET_BYTES];
    let mut w = Writer::new(&mut packet);
    let written = w.bytes(&header.bytes()).and_then(|()| field.emit(&mut w, PAYLOAD_BYTES));
    debug_assert!(written.is_ok());
    packet
}

fn pat_packet(counter: u8) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    let written = emit_pat(&mut Writer::new(&mut packet), counter);
    debug_assert!(written.is_ok());
    packet
}

fn pmt_packet(pmt: &Pmt<'_>, counter: u8) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    let written = emit_pmt(&mut Writer::new(&mut packet), pmt, counter);
    debug_assert!(written.is_ok());
    packet
}

const _: () = assert!(PID_PAT != PID_PMT);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::container::Container;
    use crate::media::sink::{NoRoom, Segment};
    use crate::wire::ts::pes::{STREAM_AUDIO, STREAM_VIDEO};

    /// Packets, one at a time: the muxer may rely on no more room than that.
    struct Narrow {
        packets: Vec<[u8; PACKET_BYTES]>,
        next: [[u8; PACKET_BYTES]; 1],
    }

    impl Narrow {
        fn new() -> Self {
            Self { packets: Vec::new(), next: [[0; PACKET_BYTES]; 1] }
        }
    }

    impl Sink for Narrow {
        fn begin_as(&mut self, _container: Container) -> Result<(), NoRoom> {
            Ok(())
        }

        fn append(&mut self, _bytes: &[u8]) {}

        fn reserve(&mut self, _bytes: usize) -> bool {
            true
        }

        fn written(&self) -> usize {
            self.packets.len() * PACKET_BYTES
        }

        fn room(&mut self) -> &mut [[u8; PACKET_BYTES]] {
            &mut self.next
        }

        fn capacity(&self) -> usize {
            usize::MAX
        }

        fn wrote(&mut self, packets: usize) {
            assert_eq!(packets, 1);
            self.packets.push(self.next[0]);
        }

        fn rewrite(&mut self, at: usize, packet: &[u8; PACKET_BYTES]) {
            self.packets[at] = *packet;
        }

        fn discard(&mut self) {}

        fn finish(&mut self, _segment: &Segment) {}
    }

    fn head(track: Track, pcr: Option<Ticks>) -> Head {
        let (stream_id, length, dts) = match track {
            Track::Video => (STREAM_VIDEO, None, Some(Ticks(126_000))),
            Track::Audio | Track::Metadata => (STREAM_AUDIO, Some(100), None),
        };
        let pes = PesHeader { stream_id, length, alignment: false, pts: Ticks(133_200), dts };
        Head { track, pes, random_access: pcr.is_some(), pcr }
    }

    /// The payload of a packet: what is behind its header and adaptation field.
    fn payload(packet: &[u8; PACKET_BYTES]) -> &[u8] {
        let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
        &packet[4 + field..]
    }

    #[test]
    fn mux_writes_the_sheet_vector_of_a_first_packet() {
        let (mut mux, mut sink) = (Mux::new(), Narrow::new());
        let unit = [0x5a; 400];
        mux.pes(&head(Track::Video, Some(Ticks(63_000))), 400, [&unit[..]].into_iter(), &mut sink);
        let expected = [
            0x47, 0x41, 0x00, 0x30, 0x07, 0x50, 0x00, 0x00, 0x7b, 0x0c, 0x7e, 0x00, 0, 0, 1, 0xe0,
            0, 0, 0x80, 0xc0, 0x0a, 0x31, 0x00, 0x09, 0x10, 0xa1, 0x11, 0x00, 0x07, 0xd8, 0x61,
        ];
        assert_eq!(sink.packets[0][..31], expected);
        assert_eq!(sink.packets.len(), 3);
    }

    #[test]
    fn mux_stuffs_every_length_exactly_and_only_at_the_end() {
        for pcr in [None, Some(Ticks(63_000))] {
            let mut mux = Mux::new();
            let mut counter = 0;
            for bytes in 1..600usize {
                let data: Vec<u8> = (0..bytes).map(|i| (i % 199).to_le_bytes()[0]).collect();
                let (front, back) = data.split_at(bytes / 3);
                let mut sink = Narrow::new();
                let slices = [front, &[], back].into_iter();
                mux.pes(&head(Track::Audio, pcr), bytes, slices, &mut sink);
                let field = if pcr.is_some() { 8 } else { 0 };
                let packets = (14 + field + bytes).div_ceil(PAYLOAD_BYTES);
                assert_eq!(sink.packets.len(), packets, "{bytes}");
                let mut seen = Vec::new();
                for (n, packet) in sink.packets.iter().enumerate() {
                    assert_eq!(packet[3] & 0x0f, counter, "{bytes}");
                    counter = next(counter);
                    let whole = PAYLOAD_BYTES - if n == 0 { field } else { 0 };
                    assert!(n + 1 == packets || payload(packet).len() == whole, "{bytes}");
                    seen.extend_from_slice(payload(packet));
                }
                assert_eq!(seen[14..], data, "{bytes}");
            }
        }
    }

    #[test]
    fn mux_carries_the_clock_without_counting_the_packets() {
        let (mut mux, mut sink) = (Mux::new(), Narrow::new());
        let slices = || [&[1u8; 10][..]].into_iter();
        mux.pes(&head(Track::Video, mux.clock_at(Ticks(90_000))), 10, slices(), &mut sink);
        mux.advance_clock(Track::Video, Ticks(180_000), &mut sink);
        let at = mux.clock_at(Ticks(180_000));
        assert_eq!(at, Some(Ticks(180_000).minus(PCR_LEAD_TICKS)));
        mux.pes(&head(Track::Video, at), 10, slices(), &mut sink);
        let counters: Vec<u8> = sink.packets.iter().map(|packet| packet[3] & 0x0f).collect();
        assert_eq!(counters, [[0; 11].as_slice(), &[1]].concat());
        assert!(sink.packets[1..11].iter().all(|packet| packet[3] & 0x30 == 0x20));
        assert_eq!(mux.clock_at(Ticks(180_000)), None, "it does not stand still");
        assert_eq!(mux.clock_first(Ticks(90_000)), at.unwrap().plus(Ticks(1)));
    }

    #[test]
    fn mux_gives_the_clock_to_the_other_track_without_counting() {
        let (mut mux, mut sink) = (Mux::new(), Narrow::new());
        let slices = || [&[1u8; 10][..]].into_iter();
        mux.pes(&head(Track::Audio, None), 10, slices(), &mut sink);
        let at = Ticks(90_000);
        let packet = mux.clock_packet(Track::Video, Track::Audio, at, &mut sink).unwrap();
        assert_eq!(mux.clock_at(at), None, "it is the last reference");
        let before = sink.packets[1];
        mux.pes(&head(Track::Audio, None), 10, slices(), &mut sink);
        mux.clock_packet_again(packet, &mut sink);
        assert_eq!((before[1..4].to_vec(), sink.packets.len()), (vec![1, 0, 0x2f], 3));
        assert_eq!(sink.packets[1][1..4], [1, 1, 0x20], "as the packet of audio before it");
        assert_eq!(sink.packets[1][4..], before[4..]);
    }

    #[test]
    fn mux_carries_the_clock_where_its_next_is_due() {
        let (mut mux, mut sink) = (Mux::new(), Narrow::new());
        let at = Ticks(90_000);
        let slices = [&[1u8; 10][..]].into_iter();
        mux.pes(&head(Track::Video, mux.clock_at(at)), 10, slices, &mut sink);
        let due = at.plus(PCR_INTERVAL_TICKS_MAX);
        mux.advance_clock(Track::Video, due, &mut sink);
        assert_eq!(sink.packets.len(), 1);
        mux.advance_clock(Track::Video, due.plus(Ticks(1)), &mut sink);
        assert_eq!(sink.packets.len(), 2);
    }

    #[test]
    fn mux_counts_discarded_tables_back() {
        let pmt = Pmt { pcr_pid: 0x100, version: 0, program_descriptors: &[], streams: &[] };
        let (mut mux, mut sink) = (Mux::new(), Narrow::new());
        mux.tables(&pmt, &mut sink);
        mux.tables_discarded(0);
        mux.tables(&pmt, &mut sink);
        assert_eq!(sink.packets[0], sink.packets[2]);
        assert_eq!(sink.packets[1], sink.packets[3]);
        mux.tables_again(&pmt, &mut sink);
        assert_eq!(sink.packets[1], sink.packets[3]);
    }
}
