//! Rules of what segments hold: R14, R20 to R27.

use super::*;
use crate::limits::{
    HISTORY_BREAK_TICKS, HISTORY_EXTINF_TICKS_OFF_MAX, HISTORY_PIDS_MAX, HISTORY_TRACKS_MAX,
    HISTORY_UNIT_HEAD_BYTES,
};
use crate::wire::ts::psi::{Pat, crc32};
use proptest::prelude::*;

/// Four segments, of which the third is made by `make`; whether it has a DISCONTINUITY.
fn third(discontinuity: bool, make: fn(&mut Mux) -> Vec<u8>) -> Vec<String> {
    one(2, discontinuity, make)
}

/// Four segments, of which one is made by `make`.
fn one(which: usize, discontinuity: bool, make: fn(&mut Mux) -> Vec<u8>) -> Vec<String> {
    let mut mux = Mux::new();
    let mut live = Live::of(&mut mux, &[2000; 4]);
    let mut mux = Mux::new();
    for (n, segment) in live.segments.iter_mut().enumerate() {
        segment.bytes = if n == which { make(&mut mux) } else { mux.segment(2000) };
    }
    live.segments[which].discontinuity = discontinuity;
    live.found(same)
}

#[test]
fn r14_tracks_and_parameters_change_behind_a_discontinuity_only() {
    let changes: [fn(&mut Mux) -> Vec<u8>; 2] = [
        |mux| {
            mux.sps = 2;
            mux.segment(2000)
        },
        |mux| {
            mux.channels = 1;
            mux.segment(2000)
        },
    ];
    for change in changes {
        assert_eq!(third(false, change), ["R14"]);
        assert_eq!(third(true, change), Vec::<String>::new());
    }
    let track: fn(&mut Mux) -> Vec<u8> = |mux| {
        mux.types[1] = 0x03;
        mux.segment(2000)
    };
    assert_eq!(third(false, track), ["R14"]);
    assert_eq!(third(true, track), Vec::<String>::new());
    let inside: fn(&mut Mux) -> Vec<u8> = |mux| {
        let mut bytes = mux.segment(1000);
        mux.sps = 3;
        bytes.extend(mux.segment(1000));
        bytes
    };
    assert_eq!(third(true, inside), ["R14"]);
}

#[test]
fn r20_segment_is_a_transport_stream_of_one_program() {
    let two = third(true, |mux| {
        let mut bytes = mux.segment(2000);
        let section = [0, 0xb0, 17, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 0, 2, 0xf0, 1];
        bytes[4] = 0;
        bytes[5..21].copy_from_slice(&section);
        bytes[21..25].copy_from_slice(&crc32(&section).to_be_bytes());
        bytes
    });
    assert!(two.contains(&"R20".to_owned()), "{two:?}");
    let lost = one(3, true, |mux| {
        let mut bytes = mux.segment(2000);
        let last = bytes.len() - PACKET_BYTES;
        bytes[last] = 0;
        bytes
    });
    assert_eq!(lost, ["R20"]);
    assert_eq!(Pat::OURS.program, 1);
}

#[test]
fn r21_segment_begins_with_pat_and_pmt() {
    let behind = third(false, |mux| {
        let bytes = mux.segment(2000);
        [&bytes[2 * PACKET_BYTES..3 * PACKET_BYTES], &bytes[..2 * PACKET_BYTES]]
            .into_iter()
            .chain([&bytes[3 * PACKET_BYTES..]])
            .flatten()
            .copied()
            .collect()
    });
    assert!(behind.contains(&"R21 advice".to_owned()), "{behind:?}");
    let none = third(true, |mux| mux.segment(2000)[2 * PACKET_BYTES..].to_vec());
    assert!(none.contains(&"R21".to_owned()), "{none:?}");
}

#[test]
fn r22_segment_has_a_key_frame_with_its_parameters() {
    assert_eq!(third(false, |mux| mux.segment_of(2000, |_| false)), ["R22"]);
    let bare = third(false, |mux| {
        let mut bytes = mux.segment(2000);
        let at = bytes.windows(5).position(|w| w == [0, 0, 0, 1, 0x67]).unwrap();
        // A unit that is no parameter set, of the same length.
        bytes[at + 4] = 0x0c;
        bytes
    });
    assert_eq!(bare, ["R22"]);
}

#[test]
fn r22_parameters_are_looked_for_where_units_begin() {
    let mut report = super::super::finding::Report::new(Allowance::default());
    let site = super::super::finding::Site::new(Instant(0), "");
    let mut mux = Mux::new();
    let bytes = mux.segment(40);
    // The key frame behind more than is looked at: supplemental words in continued packets.
    let mut long = bytes[..3 * PACKET_BYTES].to_vec();
    let start = long.windows(4).rposition(|w| w == [0, 0, 0, 1]).unwrap();
    long[start + 4] = 6;
    for n in 0..=HISTORY_UNIT_HEAD_BYTES / PAYLOAD_BYTES {
        let counter = u8::try_from((n + 1) % 16).unwrap();
        let header =
            Header { pid: PIDS[2], start: false, adaptation: false, payload: true, counter };
        long.extend(header.bytes());
        long.extend([6; PAYLOAD_BYTES]);
    }
    super::super::content::read(&long, true, site, &mut report);
    assert_eq!(report.findings().len(), 1, "{:?}", report.findings());
}

#[test]
fn r23_times_and_counters_go_on_unless_there_is_a_discontinuity() {
    let changes: [fn(&mut Mux) -> Vec<u8>; 2] = [
        |mux| {
            mux.at = mux.at.plus(HISTORY_BREAK_TICKS).plus(Ticks(1));
            mux.segment(2000)
        },
        |mux| {
            mux.at = Ticks(90_000 * 3600);
            mux.segment(2000)
        },
    ];
    for change in changes {
        let found = third(false, change);
        assert!(found.len() >= 2, "tracks and clock: {found:?}");
        assert!(found.iter().all(|rule| rule == "R23" || rule == "R6"), "{found:?}");
        assert_eq!(third(true, change), Vec::<String>::new());
    }
    let counter: fn(&mut Mux) -> Vec<u8> = |mux| {
        mux.counters[3] = (mux.counters[3] + 1) & 15;
        mux.segment(2000)
    };
    assert_eq!(third(false, counter), ["R23"]);
    assert_eq!(third(true, counter), Vec::<String>::new());
}

#[test]
fn r23_times_and_counters_go_on_inside_a_segment() {
    let back: fn(&mut Mux) -> Vec<u8> = |mux| {
        let (at, mut bytes) = (mux.at, mux.segment(1000));
        mux.at = at;
        bytes.extend(mux.segment(2000));
        bytes
    };
    let found = third(true, back);
    assert!(found.len() >= 2 && found.iter().all(|rule| rule == "R23"), "{found:?}");
    let hole: fn(&mut Mux) -> Vec<u8> = |mux| {
        let mut bytes = mux.segment(2000);
        bytes.drain(9 * PACKET_BYTES..10 * PACKET_BYTES);
        bytes
    };
    assert_eq!(third(true, hole), ["R23"]);
}

/// Packed audio of one segment: an ID3 tag with its time, and a frame.
fn packed(at: Ticks) -> Vec<u8> {
    let owner = b"com.apple.streaming.transportStreamTimestamp\0";
    let frame = u8::try_from(owner.len() + 8).unwrap();
    let mut bytes = b"ID3\x04\0\0\0\0\0".to_vec();
    bytes.push(frame + 10);
    bytes.extend(b"PRIV\0\0\0");
    bytes.extend([frame, 0, 0]);
    bytes.extend(owner);
    bytes.extend(at.wire().to_be_bytes());
    bytes.extend([0xff, 0xf1, 0x50, 0x80, 1, 0x3f, 0xfc, 0, 0]);
    bytes
}

#[test]
fn r24_packed_audio_begins_with_its_time_which_goes_on() {
    let run = |edit: fn(usize, Vec<u8>) -> Vec<u8>, skew: i64| {
        let mut live = Live::new();
        let start = Ticks((1 << 33) - 450_000);
        for (n, segment) in live.segments.iter_mut().enumerate() {
            let skew = if n > 5 { skew } else { 0 };
            let at = i64::try_from(n).unwrap() * 180_000 + skew;
            segment.bytes = edit(n, packed(start.plus(Ticks(at))));
        }
        live.found(same)
    };
    assert_eq!(run(|_, bytes| bytes, 0), Vec::<String>::new());
    assert_eq!(run(|_, bytes| bytes, HISTORY_EXTINF_TICKS_OFF_MAX.0), Vec::<String>::new());
    assert_eq!(run(|_, bytes| bytes, HISTORY_EXTINF_TICKS_OFF_MAX.0 + 9), ["R23"]);
    assert_eq!(run(|n, bytes| if n == 14 { bytes[73..].to_vec() } else { bytes }, 0), ["R24"]);
    let above = |n, mut bytes: Vec<u8>| {
        if n == 14 {
            bytes[65] = 0xff;
        }
        bytes
    };
    assert_eq!(run(above, 0), ["R24"]);
}

#[test]
fn r25_text_segments_say_where_their_times_begin() {
    let run = |text: &'static str| {
        let mut live = Live::of(&mut Mux::new(), &[2000; 2]);
        live.segments.iter_mut().for_each(|segment| segment.bytes = text.into());
        live.found(same)
    };
    let mapped = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n";
    assert_eq!(run(mapped), Vec::<String>::new());
    assert_eq!(run("WEBVTT\n\n"), ["R25 advice"; 2]);
}

#[test]
fn r27_segments_are_split_on_packets_and_key_frames() {
    let cut = third(false, |mux| {
        let mut bytes = mux.segment(2000);
        bytes.extend([0x47; 20]);
        bytes
    });
    assert_eq!(cut, ["R27"]);
    assert_eq!(third(false, |mux| mux.segment_of(2000, |at| at == 9)), ["R27 advice"]);
    let mut mux = Mux::new();
    let mut live = Live::of(&mut mux, &[2000; 2]);
    live.header = "#EXT-X-INDEPENDENT-SEGMENTS\n";
    assert_eq!(live.found(same), Vec::<String>::new());
    live.segments[1].bytes = Mux::new().segment_of(2000, |at| at == 9);
    live.segments[1].discontinuity = true;
    assert_eq!(live.found(same), ["R27"]);
}

#[test]
fn more_tracks_than_the_limit_are_not_looked_at() {
    let streams: Vec<PmtStream<'_>> = (0..HISTORY_TRACKS_MAX + 4)
        .map(|n| PmtStream {
            stream_type: 0x06,
            pid: 0x200 + u16::try_from(n).unwrap(),
            descriptors: &[],
        })
        .collect();
    let pmt = Pmt { pcr_pid: 0x200, version: 0, program_descriptors: &[], streams: &streams };
    let mut bytes = vec![0; 2 * PACKET_BYTES];
    let mut w = Writer::new(&mut bytes);
    emit_pat(&mut w, 0).unwrap();
    emit_pmt(&mut w, &pmt, 0).unwrap();
    for pid in 0x200..0x200 + u16::try_from(HISTORY_PIDS_MAX + 4).unwrap() {
        let header = Header { pid, start: false, adaptation: false, payload: true, counter: 0 };
        bytes.extend(header.bytes());
        bytes.extend([0; PAYLOAD_BYTES]);
    }
    let mut report = super::super::finding::Report::new(Allowance::default());
    let site = super::super::finding::Site::new(Instant(0), "");
    let content = super::super::content::read(&bytes, false, site, &mut report);
    let super::super::content::Content::Transport(transport) = content else { panic!("packets") };
    assert_eq!(transport.tracks.len(), HISTORY_TRACKS_MAX);
    assert_eq!(transport.counters.len(), HISTORY_PIDS_MAX);
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        changes in proptest::collection::vec((0usize..20_000, any::<u8>()), 0..20),
    ) {
        let mut report = super::super::finding::Report::new(Allowance::default());
        let site = super::super::finding::Site::new(Instant(0), "");
        let mut segment = Mux::new().segment(400);
        for (at, byte) in changes {
            let at = at % segment.len();
            segment[at] = byte;
        }
        super::super::content::read(&segment, true, site, &mut report);
        for start in [&b"ID3"[..], b"WEBVTT", b"G"] {
            bytes.splice(..0, start.iter().copied());
            super::super::content::read(&bytes, true, site, &mut report);
        }
        prop_assert!(report.findings().len() <= HISTORY_FINDINGS_MAX);
    }
}
