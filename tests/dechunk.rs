//! The receiving half of the chunk stream, from bytes: goldens, the checklist of chunk stream
//! traps, and properties over every split and interleaving.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "a test says so when it fails"
)]

#[path = "support/vectors.rs"]
mod vectors;

use proptest::prelude::*;
use rillcast::limits::{
    CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX, CHUNK_STREAMS_MAX, CONTROL_BYTES_MAX, DIRECT_BYTES_MIN,
};
use rillcast::proto::rtmp::dechunk::{Bin, ChunkError, Dechunker, Rings};
use rillcast::status::{Counter, Status};
use rillcast::storage::{FrameRing, RingError};
use rillcast::wire::rtmp::chunk::BasicHeader;
use rillcast::wire::writer::Writer;
use std::collections::BTreeMap;
use vectors::hex;

/// Message stream id under which the tests publish.
const STREAM: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    csid: u32,
    at: u32,
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A dechunker with its rings, fed in pieces.
struct Receiver {
    dechunker: Dechunker,
    scratch: FrameRing,
    media: FrameRing,
    status: Status,
    held: Vec<u8>,
    got: Vec<Message>,
}

impl Receiver {
    fn new() -> Self {
        Self::with_media(1 << 20)
    }

    fn with_media(bytes: usize) -> Self {
        Self {
            dechunker: Dechunker::new(),
            scratch: FrameRing::new(256 << 10, 64),
            media: FrameRing::new(bytes, 64),
            status: Status::new(),
            held: Vec::new(),
            got: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), ChunkError> {
        self.held.extend_from_slice(bytes);
        loop {
            let media = [Some((STREAM, &mut self.media)), None, None, None];
            let mut rings = Rings { scratch: &mut self.scratch, media };
            let progress = self.dechunker.advance(&self.held, &mut rings, &self.status)?;
            self.held.drain(..progress.consumed);
            self.dechunker.check_invariants();
            self.scratch.check_invariants();
            self.media.check_invariants();
            let Some(arrival) = progress.arrival else { return Ok(()) };
            let payload = match arrival.bin {
                Bin::Scratch => self.scratch.bytes(arrival.place).unwrap().to_vec(),
                Bin::Media(_) => self.media.bytes(arrival.place).unwrap().to_vec(),
                Bin::Nowhere => vec![0; arrival.bytes as usize],
            };
            self.got.push(Message {
                csid: arrival.csid,
                at: arrival.at.0,
                kind: arrival.kind.into(),
                stream: arrival.stream,
                payload,
            });
        }
    }

    fn times(&self) -> Vec<u32> {
        self.got.iter().map(|m| m.at).collect()
    }
}

fn basic(fmt: u8, csid: u32) -> Vec<u8> {
    let mut buffer = [0; 3];
    let mut w = Writer::new(&mut buffer);
    BasicHeader { fmt, csid }.emit(&mut w).unwrap();
    w.finish().to_vec()
}

/// The chunks of one message with a type 0 header, as (header and data) pieces.
fn chunks(message: &Message, chunk: usize, repeat: bool) -> Vec<Vec<u8>> {
    chunks_of(0, message.at, message, chunk, repeat)
}

/// The chunks of one message whose header of type `fmt` says `time`, which type 3 has from before;
/// where that is extended, `repeat` has it on type 3 chunks too.
fn chunks_of(fmt: u8, time: u32, message: &Message, chunk: usize, repeat: bool) -> Vec<Vec<u8>> {
    let extended = time >= 0xff_ffff;
    let mut first = basic(fmt, message.csid);
    if fmt < 3 {
        let short = if extended { 0xff_ffff } else { time };
        first.extend_from_slice(&short.to_be_bytes()[1..]);
    }
    if fmt < 2 {
        first.extend_from_slice(&u32::try_from(message.payload.len()).unwrap().to_be_bytes()[1..]);
        first.push(message.kind);
    }
    if fmt == 0 {
        first.extend_from_slice(&message.stream.to_le_bytes());
    }
    if extended && (fmt < 3 || repeat) {
        first.extend_from_slice(&time.to_be_bytes());
    }
    let mut pieces = message.payload.chunks(chunk);
    first.extend_from_slice(pieces.next().unwrap_or_default());
    let mut out = vec![first];
    for piece in pieces {
        let mut next = basic(3, message.csid);
        if extended && repeat {
            next.extend_from_slice(&time.to_be_bytes());
        }
        next.extend_from_slice(piece);
        out.push(next);
    }
    out
}

fn video(csid: u32, at: u32, bytes: usize) -> Message {
    let payload = (0..bytes).map(|i| (i * 7 + csid as usize).to_le_bytes()[0]).collect();
    Message { csid, at, kind: 9, stream: STREAM, payload }
}

fn flat(message: &Message, chunk: usize) -> Vec<u8> {
    chunks(message, chunk, true).concat()
}

fn set_chunk_size(bytes: u32) -> Vec<u8> {
    [hex("020000000000040100000000"), bytes.to_be_bytes().to_vec()].concat()
}

#[test]
fn dechunk_reads_the_specification_examples() {
    // RTMP 1.0 §5.3.2.1: four audio messages, the last two as type 3 alone.
    let mut r = Receiver::new();
    for header in ["030003e80000200839300000", "83000014", "c3", "c3"] {
        r.feed(&[hex(header), vec![0; 32]].concat()).unwrap();
    }
    assert_eq!(r.times(), [1000, 1020, 1040, 1060]);
    assert!(r.got.iter().all(|m| m.stream == 12345 && m.kind == 8 && m.payload.len() == 32));
    // §5.3.2.2: one message of 307 bytes in chunks of 128, 128 and 51.
    let mut r = Receiver::new();
    let header = hex("040003e8000133093a300000");
    let wire = [header, vec![1; 128], hex("c4"), vec![2; 128], hex("c4"), vec![3; 51]].concat();
    r.feed(&wire).unwrap();
    assert_eq!(r.got.len(), 1);
    assert_eq!((r.got[0].at, r.got[0].stream, r.got[0].payload.len()), (1000, 12346, 307));
}

#[test]
fn dechunk_takes_every_form_of_chunk_stream_id() {
    for csid in [2, 3, 63, 64, 65, 319, 320, 365, 65_598, 65_599] {
        let mut r = Receiver::new();
        let message = video(csid, 40, 300);
        r.feed(&flat(&message, 128)).unwrap();
        assert_eq!(r.got, [message]);
    }
    // The 3-byte form of 64, which a sender should not use but may.
    let mut r = Receiver::new();
    r.feed(&[hex("010000 000028 000001 09 01000000"), vec![7]].concat()).unwrap();
    assert_eq!((r.got[0].csid, r.got[0].at), (64, 40));
}

#[test]
fn dechunk_extended_timestamps_at_the_edge() {
    for at in [16_777_214, 16_777_215, 16_777_216, u32::MAX] {
        for bytes in [5, 128, 129, 400] {
            let mut r = Receiver::new();
            let message = video(6, at, bytes);
            r.feed(&flat(&message, 128)).unwrap();
            assert_eq!(r.got, [message], "at {at}, {bytes} bytes");
        }
    }
}

/// A message at 1000 ms, and one whose header of type `fmt` says `time`.
fn edge(fmt: u8, time: u32, bytes: usize) -> [Message; 2] {
    let (first_bytes, kind) = if fmt == 2 { (bytes, 9) } else { (77, 8) };
    let at = if fmt == 0 { time } else { 1000 + time };
    [video(6, 1000, first_bytes), Message { kind, ..video(6, at, bytes) }]
}

/// Feeds whole, byte by byte and in sevens.
fn assert_read(wire: &[u8], sent: &[Message], case: &str) {
    for step in [wire.len(), 1, 7] {
        let mut r = Receiver::new();
        for part in wire.chunks(step) {
            r.feed(part).unwrap();
        }
        assert_eq!(r.got, sent, "{case}, {step} bytes at a time");
        assert!(r.held.is_empty(), "{case}");
    }
}

#[test]
fn dechunk_times_around_the_extended_field_in_each_header_type() {
    for time in [16_777_214, 16_777_215, 16_777_216] {
        for fmt in [0, 1, 2] {
            for (bytes, repeat) in
                [(5, true), (128, true), (129, true), (400, true), (129, false), (400, false)]
            {
                let [first, second] = edge(fmt, time, bytes);
                let second_wire = chunks_of(fmt, time, &second, 128, repeat).concat();
                let wire = [flat(&first, 128), second_wire].concat();
                let case = format!("type {fmt}, {time}, {bytes} bytes, repeat {repeat}");
                assert_read(&wire, &[first, second], &case);
            }
        }
    }
}

#[test]
fn dechunk_type_3_starts_a_message_after_each_header_type_around_the_extended_field() {
    for time in [16_777_214, 16_777_215, 16_777_216] {
        for fmt in [0, 1, 2] {
            for (bytes, repeat) in
                [5, 128, 129, 400].into_iter().flat_map(|n| [(n, true), (n, false)])
            {
                // Who leaves the field out is known by a continuation: short messages have none.
                let telling = video(7, 17_000_000, 300);
                let [first, second] = edge(fmt, time, bytes);
                let third = Message { at: second.at + time, ..second.clone() };
                let fourth = Message { at: third.at + time, ..second.clone() };
                let wire = [
                    chunks(&telling, 128, repeat).concat(),
                    flat(&first, 128),
                    chunks_of(fmt, time, &second, 128, repeat).concat(),
                    chunks_of(3, time, &third, 128, repeat).concat(),
                    chunks_of(3, time, &fourth, 128, repeat).concat(),
                ];
                let case = format!("type {fmt}, {time}, {bytes} bytes, repeat {repeat}");
                assert_read(&wire.concat(), &[telling, first, second, third, fourth], &case);
            }
        }
    }
}

#[test]
fn dechunk_reads_each_header_type_around_the_extended_field_from_bytes() {
    for (time, short, extended) in [
        (16_777_214, "fffffe", ""),
        (16_777_215, "ffffff", "00ffffff"),
        (16_777_216, "ffffff", "01000000"),
    ] {
        let mut r = Receiver::new();
        r.feed(&hex(&format!("06 {short} 000001 09 01000000 {extended} aa"))).unwrap();
        r.feed(&hex(&format!("46 {short} 000002 08 {extended} bbbb"))).unwrap();
        r.feed(&hex(&format!("86 {short} {extended} cccc"))).unwrap();
        r.feed(&hex(&format!("c6 {extended} dddd"))).unwrap();
        assert_eq!(r.times(), [time, 2 * time, 3 * time, 4 * time]);
        assert_eq!(r.got.iter().map(|m| m.kind).collect::<Vec<_>>(), [9, 8, 8, 8]);
        assert_eq!(r.got[3].payload, [0xdd, 0xdd]);
    }
}

#[test]
fn dechunk_extended_delta_wraps_modulo_2_32() {
    // librtmp: audio and video share a chunk stream, so a step back of 10 ms is a delta near 2^32.
    let mut r = Receiver::new();
    r.feed(&flat(&video(4, 1000, 4), 128)).unwrap();
    r.feed(&hex("44 ffffff 000004 09 fffffff6 01020304")).unwrap();
    assert_eq!(r.times(), [1000, 990]);
}

#[test]
fn dechunk_detects_encoders_that_do_not_repeat_the_extended_timestamp() {
    let mut r = Receiver::new();
    let first = video(6, 17_000_000, 300);
    let second = video(6, 17_000_040, 300);
    r.feed(&chunks(&first, 128, false).concat()).unwrap();
    r.feed(&chunks(&second, 128, false).concat()).unwrap();
    assert_eq!(r.got, [first, second]);
}

#[test]
fn dechunk_takes_encoders_that_repeat_the_extended_timestamp_at_times() {
    let mut r = Receiver::new();
    let mut sent = Vec::new();
    for n in 0..9 {
        let message = video(6, 17_000_000 + 40 * n, 300);
        r.feed(&chunks(&message, 128, n % 3 == 0).concat()).unwrap();
        sent.push(message);
    }
    assert_eq!(r.got, sent);
    // Inside a message that leaves it out, the end may look like the beginning of the field.
    let mut last = video(6, 0x0102_0304, 128 + 2);
    last.payload[128..].copy_from_slice(&[1, 2]);
    r.feed(&chunks(&last, 128, false).concat()).unwrap();
    assert_eq!(r.got.last(), Some(&last));
}

#[test]
fn dechunk_type_3_starts_a_message_with_the_last_field_as_delta() {
    let mut r = Receiver::new();
    r.feed(&hex("04 000064 000001 09 01000000 aa")).unwrap();
    r.feed(&hex("c4 bb")).unwrap(); // After a type 0 the timestamp repeats as delta, §5.3.1.2.4.
    r.feed(&hex("84 000007 cc")).unwrap();
    r.feed(&hex("c4 dd")).unwrap();
    assert_eq!(r.times(), [100, 200, 207, 214]);
    // With an extended delta the field comes again (Errata §5.1).
    r.feed(&hex("84 ffffff 01000000 ee")).unwrap();
    r.feed(&hex("c4 01000000 ff")).unwrap();
    assert_eq!(r.times()[4..], [214 + 0x100_0000, 214 + 0x200_0000]);
}

#[test]
fn dechunk_type_3_repeats_the_delta_of_a_type_1() {
    let mut r = Receiver::new();
    r.feed(&hex("04 0003e8 000001 09 01000000 aa")).unwrap();
    // Length and type are those of the type 1 as well.
    r.feed(&hex("44 000014 000002 08 bbbb")).unwrap();
    r.feed(&hex("c4 cccc c4 dddd")).unwrap();
    assert_eq!(r.times(), [1000, 1020, 1040, 1060]);
    assert!(r.got[1..].iter().all(|m| (m.kind, m.payload.len(), m.stream) == (8, 2, STREAM)));
    // Of several chunks each, the first type 3 begins the message and the others go on with it.
    let first = video(4, 1100, 300);
    let second = Message { at: 1140, ..first.clone() };
    r.feed(&chunks_of(1, 40, &first, 128, true).concat()).unwrap();
    r.feed(&chunks_of(3, 40, &second, 128, true).concat()).unwrap();
    assert_eq!(r.got[4..], [first, second]);
}

#[test]
fn dechunk_obeys_a_chunk_size_between_the_chunks_of_a_message() {
    let mut r = Receiver::new();
    let message = video(6, 0, 1000);
    let small = chunks(&message, 128, true);
    r.feed(&small[0]).unwrap();
    r.feed(&set_chunk_size(4096)).unwrap();
    r.feed(&[vec![0xc6], message.payload[128..].to_vec()].concat()).unwrap();
    assert_eq!(r.got, [message]);
}

#[test]
fn dechunk_refuses_impossible_chunk_sizes() {
    for bytes in [0, 0x8000_0000, u32::MAX] {
        let mut r = Receiver::new();
        assert_eq!(r.feed(&set_chunk_size(bytes)), Err(ChunkError::ChunkSize { bytes }));
    }
    let mut r = Receiver::new();
    r.feed(&set_chunk_size(0x7fff_ffff)).unwrap();
    let message = video(6, 0, 70_000);
    r.feed(&flat(&message, 70_000)).unwrap();
    assert_eq!(r.got, [message]);
}

#[test]
fn dechunk_chunks_are_of_the_default_size_until_told_otherwise() {
    let most = CHUNK_BYTES_DEFAULT as usize;
    let message = video(6, 0, most + 1);
    let whole = flat(&message, most + 1);
    let mut r = Receiver::new();
    r.feed(&flat(&message, most)).unwrap();
    assert_eq!(r.got, [message]);
    let mut r = Receiver::new();
    r.feed(&whole).unwrap();
    assert!(r.got.is_empty(), "the byte behind the first chunk is a header's");
}

#[test]
fn dechunk_abort_drops_only_the_named_partial_message() {
    let mut r = Receiver::new();
    let (lost, kept) = (video(6, 100, 300), video(7, 100, 300));
    r.feed(&chunks(&lost, 128, true)[0]).unwrap();
    r.feed(&chunks(&kept, 128, true)[0]).unwrap();
    r.feed(&hex("020000000000040200000000 00000006")).unwrap();
    r.feed(&hex("020000000000040200000000 00000009")).unwrap(); // Idle: nothing happens.
    r.feed(&chunks(&kept, 128, true)[1..].concat()).unwrap();
    // Errata §6: the aborted timestamp is still the base of the next delta.
    r.feed(&hex("46 000028 000001 09 ee")).unwrap();
    assert_eq!(r.got[0], kept);
    assert_eq!((r.got[1].csid, r.got[1].at), (6, 140));
    assert_eq!(r.status.get(Counter::RtmpPartialsDropped), 1);
}

#[test]
fn dechunk_restarts_when_a_full_header_interrupts_a_message() {
    let mut r = Receiver::new();
    r.feed(&chunks(&video(6, 0, 300), 128, true)[0]).unwrap();
    let again = video(6, 40, 200);
    r.feed(&flat(&again, 128)).unwrap();
    assert_eq!(r.got, [again]);
    r.feed(&chunks(&video(6, 0, 300), 128, true)[0]).unwrap();
    assert_eq!(r.feed(&hex("86 000028")), Err(ChunkError::Interrupted { have: 128, want: 300 }));
}

#[test]
fn dechunk_delivers_zero_length_messages_at_once() {
    let mut r = Receiver::new();
    let message = Message { csid: 4, at: 5, kind: 8, stream: STREAM, payload: vec![] };
    r.feed(&flat(&message, 128)).unwrap();
    assert_eq!(r.got, [message]);
}

#[test]
fn dechunk_takes_librtmp_pings_with_type_1_first_on_csid_2_only() {
    let mut r = Receiver::new();
    r.feed(&hex("42 000000 000006 04 0006 0001e240")).unwrap();
    assert_eq!((r.got[0].kind, r.got[0].payload.len()), (4, 6));
    for (header, fmt) in [("43 000000 000001 09", 1), ("84 000000", 2), ("c5", 3)] {
        let mut r = Receiver::new();
        assert_eq!(r.feed(&hex(header)), Err(ChunkError::NoHeader { fmt }), "{header}");
    }
}

#[test]
fn dechunk_bounds_lengths_streams_and_rings() {
    let control = |bytes| {
        let payload = vec![0; bytes as usize];
        let message = Message { csid: 2, at: 0, kind: 4, stream: 0, payload };
        Receiver::new().feed(&flat(&message, 128))
    };
    let (bytes, max) = (CONTROL_BYTES_MAX + 1, CONTROL_BYTES_MAX);
    assert_eq!(control(max), Ok(()));
    assert_eq!(control(bytes), Err(ChunkError::MessageTooLong { kind: 4, bytes, max }));
    let mut r = Receiver::new();
    let result = r.feed(&hex("06 000000 ffffff 09 01000000"));
    assert!(matches!(result, Err(ChunkError::MessageTooLong { bytes: 0xff_ffff, .. })));
    let mut r = Receiver::with_media(64 << 10);
    let result = r.feed(&hex("06 000000 008001 09 01000000"));
    assert_eq!(result, Err(ChunkError::Ring(RingError::TooLong { bytes: 32_769, max: 32_768 })));
    let mut r = Receiver::new();
    for csid in 0..u32::try_from(CHUNK_STREAMS_MAX).unwrap() {
        r.feed(&flat(&video(csid + 3, 0, 1), 128)).unwrap();
    }
    assert_eq!(
        r.feed(&flat(&video(900, 0, 1), 128)),
        Err(ChunkError::ChunkStreams { max: CHUNK_STREAMS_MAX })
    );
}

#[test]
fn dechunk_never_ending_message_is_bounded_by_the_ring() {
    let mut r = Receiver::with_media(64 << 10);
    r.feed(&chunks(&video(6, 0, 300), 128, true)[0]).unwrap();
    let mut result = Ok(());
    for i in 0..100 {
        result = result.and_then(|()| r.feed(&flat(&video(7, i, 1000), 128)));
    }
    assert!(matches!(result, Err(ChunkError::Ring(RingError::Overtaken { .. }))));
    assert!(r.got.len() > 60);
}

#[test]
fn dechunk_counts_media_nobody_publishes_and_keeps_no_byte() {
    let mut r = Receiver::new();
    let stray = Message { stream: 9, ..video(6, 0, 5000) };
    r.feed(&flat(&stray, 128)).unwrap();
    assert_eq!(r.got[0].payload.len(), 5000);
    assert_eq!(r.media.capacity(), 1 << 20);
}

#[test]
fn dechunk_direct_receive_equals_the_copy() {
    let message = video(6, 40, 10_000);
    let wire = [set_chunk_size(65_536), flat(&message, 65_536)].concat();
    let mut r = Receiver::new();
    let head = 16 + 12 + 100;
    r.feed(&wire[..head]).unwrap();
    let media = [Some((STREAM, &mut r.media)), None, None, None];
    let mut rings = Rings { scratch: &mut r.scratch, media };
    let room = r.dechunker.direct(&mut rings).expect("a large chunk is open");
    assert_eq!(room.len(), 9_900);
    room.copy_from_slice(&wire[head..]);
    r.dechunker.received(9_900);
    assert!(r.dechunker.direct(&mut rings).is_none());
    r.feed(&[]).unwrap();
    assert_eq!(r.got, [message]);
    assert_eq!(r.dechunker.position(), wire.len() as u64);
}

#[test]
fn dechunk_direct_receive_begins_where_it_is_worth_it() {
    for (short, worth) in [(0, true), (1, false)] {
        let bytes = DIRECT_BYTES_MIN as usize - short;
        let wire = [set_chunk_size(CHUNK_BYTES_MAX), flat(&video(6, 40, bytes), bytes)].concat();
        let mut r = Receiver::new();
        r.feed(&wire[..wire.len() - bytes]).unwrap();
        let media = [Some((STREAM, &mut r.media)), None, None, None];
        let mut rings = Rings { scratch: &mut r.scratch, media };
        assert_eq!(r.dechunker.direct(&mut rings).is_some(), worth, "{bytes} bytes");
    }
}

#[test]
fn dechunk_abandon_drops_what_is_no_longer_published() {
    let mut r = Receiver::new();
    let message = video(6, 0, 300);
    let parts = chunks(&message, 128, true);
    r.feed(&parts[0]).unwrap();
    let media = [Some((STREAM, &mut r.media)), None, None, None];
    let mut rings = Rings { scratch: &mut r.scratch, media };
    r.dechunker.abandon(Some(STREAM), &mut rings, &r.status);
    r.feed(&parts[1..].concat()).unwrap();
    assert_eq!(r.got[0].payload, vec![0; 300], "the rest is counted, not kept");
    assert_eq!(r.status.get(Counter::RtmpPartialsDropped), 1);
}

#[test]
fn dechunk_split_at_every_byte_equals_whole() {
    let messages = [
        Message { csid: 3, at: 0, kind: 20, stream: 0, payload: b"connect".to_vec() },
        video(6, 16_777_300, 400),
        Message { csid: 320, kind: 8, ..video(320, 23, 9) },
    ];
    let wire: Vec<u8> = messages.iter().flat_map(|m| flat(m, 128)).collect();
    for cut in 0..=wire.len() {
        let mut r = Receiver::new();
        r.feed(&wire[..cut]).unwrap();
        r.feed(&wire[cut..]).unwrap();
        assert_eq!(r.got, messages, "cut at {cut}");
    }
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let message = (
        prop_oneof![3u32..10, 60u32..70, 300u32..330, Just(65_599)],
        prop_oneof![any::<u32>(), 0xff_fff0u32..0x100_0010],
        prop_oneof![Just(8u8), Just(9), Just(18), Just(20)],
        proptest::collection::vec(any::<u8>(), 0..700),
    );
    let build = |(csid, at, kind, payload)| Message { csid, at, kind, stream: STREAM, payload };
    proptest::collection::vec(message.prop_map(build), 1..12)
}

proptest! {
    /// Messages of different chunk streams interleave freely; each comes out whole.
    #[test]
    fn dechunk_undoes_any_interleaving(
        messages in messages(),
        chunk in 1usize..300,
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 4000),
        cuts in proptest::collection::vec(1usize..64, 4000),
    ) {
        let mut queues: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for message in &messages {
            queues.entry(message.csid).or_default().extend(chunks(message, chunk, true));
        }
        let mut wire = set_chunk_size(u32::try_from(chunk).unwrap());
        let mut picks = picks.iter().cycle();
        while !queues.is_empty() {
            let csid = *picks.next().unwrap().get(&queues.keys().copied().collect::<Vec<_>>());
            let queue = queues.get_mut(&csid).unwrap();
            wire.extend(queue.remove(0));
            if queue.is_empty() {
                queues.remove(&csid);
            }
        }
        let mut r = Receiver::new();
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            r.feed(now).unwrap();
            rest = later;
        }
        prop_assert_eq!(r.got.len(), messages.len());
        for message in &messages {
            let same = |m: &&Message| m.csid == message.csid;
            let sent: Vec<_> = messages.iter().filter(same).collect();
            let got: Vec<_> = r.got.iter().filter(same).collect();
            prop_assert_eq!(sent, got);
        }
    }

    #[test]
    fn dechunk_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut r = Receiver::new();
        let _outcome = r.feed(&bytes);
        r.dechunker.check_invariants();
    }

    /// A type 0 header with hostile fields, then noise.
    #[test]
    fn dechunk_survives_hostile_headers(
        header in any::<[u8; 16]>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut r = Receiver::new();
        let _outcome = r.feed(&[&[3 + header[0] % 4][..], &header[1..], &bytes].concat());
        r.dechunker.check_invariants();
    }
}
