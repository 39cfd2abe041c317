//! Timed metadata: cue points and texts of the publisher as ID3 tags in the segments.
//!
//! `R` numbers are those of RFC 8216 rules in the reference sheet of the HLS side: R14 tags before
//! changes, R24 the time in packed audio.

use crate::camera::{Camera, LEAD, adts, assert_nothing_is_lost, judge};
use crate::ts::{Demux, Pes};
use proptest::prelude::*;
use rillcast::limits::TIMELINE_EPOCH;
use rillcast::media::cue::Cue;
use rillcast::status::Counter;
use rillcast::time::Millis;
use rillcast::wire::id3::{Frame, Frames, TIMESTAMP_OWNER};
use rillcast::wire::ts::psi::{PmtSection, section};

/// PID of the metadata track.
const METADATA: u16 = 0x102;

fn camera() -> Camera {
    let mut camera = Camera::new(2_000);
    camera.pipeline.carry_metadata(true);
    camera
}

/// `onTextData` with one text.
fn text(value: &str) -> Vec<u8> {
    let mut body = b"\x02\x00\x0aonTextData\x03\x00\x04text\x02".to_vec();
    body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    body.extend(value.as_bytes());
    body.extend(b"\x00\x00\x09");
    body
}

fn send(camera: &mut Camera, at: u32, body: &[u8]) {
    let cue = Cue::parse(body).unwrap();
    let Camera { pipeline, ring, tape, status, .. } = camera;
    pipeline.timed(Millis(at), &cue, ring, tape, status);
}

/// The metadata of each segment.
fn metadata(camera: &Camera) -> Vec<Vec<Pes>> {
    let mut demux = Demux::default();
    let segments = camera.tape.segments.iter().map(|(_, bytes)| {
        let parts = demux.segment(bytes);
        assert!(parts.faults.is_empty(), "{:?}", parts.faults);
        let pmt = parts.pmt.as_ref().unwrap();
        assert_eq!(pmt.streams.last(), Some(&(METADATA, 0x15)), "named whether it is used or not");
        assert_eq!(pmt.descriptors.last().unwrap(), b"\x26\x0d\xff\xffID3 \xffID3 \x00\x0f");
        let pmt = PmtSection::parse(section(&bytes[188 + 4..2 * 188]).unwrap()).unwrap();
        let pointer = b"\x25\x0f\xff\xffID3 \xffID3 \x00\x1f\x00\x01";
        assert_eq!(pmt.program_descriptors, pointer);
        parts.of(METADATA).cloned().collect()
    });
    segments.collect()
}

#[test]
fn r14_metadata_is_named_in_every_segment_and_stands_at_its_time() {
    let mut camera = camera();
    camera.configure(0);
    camera.run(0, 0, 5_000, 25);
    send(&mut camera, 4_990, &text("Tor"));
    camera.run(0, 5_000, 9_000, 25);
    let long = "x".repeat(900);
    send(&mut camera, 8_970, &text(&long));
    camera.leave();
    let found = metadata(&camera);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1, 0, 1]);
    for (pes, (at, value)) in found.iter().flatten().zip([(4_990, "Tor"), (8_970, &long)]) {
        assert_eq!(i64::try_from(pes.pts).unwrap(), TIMELINE_EPOCH.0 + LEAD + at * 90);
        assert_eq!((pes.stream_id, pes.declared), (0xbd, pes.data.len() + 8));
        let (mut frames, size) = Frames::parse(&pes.data).unwrap();
        let (description, value) = (&b"onTextData.text"[..], value.as_bytes());
        assert_eq!(frames.next(), Some(Frame::Text { description, value }));
        assert_eq!(size, pes.data.len());
    }
    assert!(camera.tape.segments.iter().all(|(segment, _)| !segment.discontinuity));
    assert_eq!(camera.count(Counter::MetadataDropped), 0);
}

#[test]
fn stream_has_no_metadata_track_unless_the_setting_asks() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 2_000, 25);
    send(&mut camera, 1_000, &text("Tor"));
    camera.run(0, 2_000, 5_000, 25);
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert!(judged.iter().all(|segment| segment.pmt.streams.len() == 2));
    assert!(judged.iter().all(|segment| !segment.order.contains(&METADATA)));
}

#[test]
fn metadata_that_no_segment_can_hold_is_counted() {
    let mut camera = camera();
    camera.configure(0);
    camera.inter(0, 0, 500);
    send(&mut camera, 0, &text("early"));
    assert_eq!(camera.count(Counter::MetadataDropped), 1, "before the first keyframe");
    camera.run(0, 0, 3_000, 25);
    send(&mut camera, 2_990, b"\x02\x00\x0aonTextData\x03\x00\x00\x09");
    assert_eq!(camera.count(Counter::MetadataDropped), 2, "nothing to say");
    send(&mut camera, 2_990, &text(&"x".repeat(4_000)));
    assert_eq!(camera.count(Counter::MetadataDropped), 3, "too long");
    camera.leave();
    send(&mut camera, 2_990, &text("late"));
    assert_eq!(metadata(&camera).concat().len(), 0);
}

#[test]
fn r24_metadata_of_packed_audio_stands_between_frames_with_its_time() {
    let mut camera = camera();
    camera.pipeline.pack_audio(true);
    camera.aac_config(0, [0x11, 0x90]);
    for n in 0..140u32 {
        camera.aac(n * 1024 / 48, 180);
        if n == 70 {
            send(&mut camera, 1_500, &text("Tor"));
        }
    }
    camera.leave();
    let bytes = &camera.tape.segments[0].1;
    let (_, first) = Frames::parse(bytes).unwrap();
    let at = (first..bytes.len()).find(|&at| bytes[at..].starts_with(b"ID3\x04")).unwrap();
    let (frames, size) = Frames::parse(&bytes[at..]).unwrap();
    let frames: Vec<_> = frames.collect();
    let time = TIMELINE_EPOCH.0 + LEAD + 1_500 * 90;
    let time = time.to_be_bytes();
    assert_eq!(frames[0], Frame::Private { owner: TIMESTAMP_OWNER, data: &time });
    assert_eq!(frames[1], Frame::Text { description: b"onTextData.text", value: b"Tor" });
    assert_eq!(adts(&bytes[first..at]).len(), 71, "all that came before it");
    assert!(!adts(&bytes[at + size..]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever texts come whenever, sound and pictures are what they were, and counters go on.
    #[test]
    fn metadata_moves_nothing_else(
        texts in prop::collection::vec((0..6_000u32, 0..900usize), 0..20),
    ) {
        let mut plain = Camera::new(2_000);
        let mut with = camera();
        for camera in [&mut plain, &mut with] {
            camera.configure(0);
            for from in (0..6_000).step_by(200) {
                camera.run(0, from, from + 200, 25);
                for (at, size) in texts.iter().filter(|(at, _)| at / 200 * 200 == from) {
                    send(camera, *at, &text(&"x".repeat(*size)));
                }
            }
            camera.leave();
        }
        let sent: usize = metadata(&with).iter().map(Vec::len).sum();
        prop_assert_eq!(sent, texts.len());
        let mut stripped = with.tape.segments.clone();
        for (_, bytes) in &mut stripped {
            let (packets, _) = bytes.as_chunks::<188>();
            let ours = |p: &&[u8; 188]| p[1] & 0x1f != 1 || p[2] != 2;
            *bytes = packets.iter().filter(ours).flatten().copied().collect();
        }
        for ((a, plain), (b, with)) in plain.tape.segments.iter().zip(&stripped) {
            prop_assert_eq!((a.start, a.duration), (b.start, b.duration));
            prop_assert_eq!(&plain[376..], &with[376..], "all behind the tables");
        }
        let _judged = judge(&plain.tape.segments);
    }
}
