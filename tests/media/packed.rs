//! Packed audio: what the segments of a stream without video are where the setting asks for it.
//!
//! `R` numbers are those of RFC 8216 rules in the reference sheet of the HLS side: R14 tags before
//! changes, R23 times go on, R24 the time in front.

use crate::camera::{Camera, PPS, SPS, adts, judge};
use proptest::prelude::*;
use rillcast::limits::TIMELINE_EPOCH;
use rillcast::media::container::Container;
use rillcast::wire::id3::{Frame, Frames, TIMESTAMP_OWNER};

fn radio() -> Camera {
    let mut camera = Camera::new(2_000);
    camera.pipeline.pack_audio(true);
    camera
}

/// AAC at 48 kHz alone.
fn aac(camera: &mut Camera, from: u32, to: u32) {
    for frame in (from * 48).div_ceil(1024)..(to * 48).div_ceil(1024) {
        camera.aac(frame * 1024 / 48, 180);
    }
}

/// The time that a packed segment begins with, and what is behind it.
fn unpack(bytes: &[u8]) -> (i64, &[u8]) {
    let (mut frames, size) = Frames::parse(bytes).unwrap();
    let time = frames.next().and_then(|frame| match frame {
        Frame::Private { owner, data } if owner == TIMESTAMP_OWNER => data.try_into().ok(),
        Frame::Private { .. } | Frame::Text { .. } | Frame::Other { .. } => None,
    });
    (i64::from_be_bytes(time.expect("the time of the first sample")), &bytes[size..])
}

#[test]
fn r24_packed_audio_begins_with_its_time_and_holds_every_frame() {
    let mut camera = radio();
    camera.aac_config(0, [0x11, 0x90]);
    aac(&mut camera, 0, 20_000);
    camera.leave();
    assert!(camera.tape.segments.len() >= 9);
    assert!(camera.tape.containers.iter().all(|container| *container == Container::Adts));
    let (mut frames, mut ticks) = (Vec::new(), TIMELINE_EPOCH.0 + 18_000);
    for (segment, bytes) in &camera.tape.segments {
        let (time, rest) = unpack(bytes);
        assert!((time - ticks).abs() <= 1, "{time} {ticks}: R23");
        assert!(!segment.discontinuity && segment.independent);
        let held = adts(rest);
        ticks = time + i64::try_from(held.len()).unwrap() * 1_920;
        frames.extend(held);
    }
    let sent: Vec<_> = camera.sounds.iter().map(|sound| sound.parts[0].clone()).collect();
    assert_eq!(frames, sent);
}

#[test]
fn audio_alone_is_in_packets_unless_the_setting_asks() {
    let mut camera = Camera::new(2_000);
    camera.aac_config(0, [0x11, 0x90]);
    aac(&mut camera, 0, 6_000);
    camera.end();
    assert!(camera.tape.containers.iter().all(|container| *container == Container::Ts));
}

#[test]
fn camera_with_video_is_in_packets_whatever_the_setting() {
    let mut camera = radio();
    camera.configure(0);
    camera.run(0, 0, 6_000, 25);
    camera.end();
    assert!(camera.tape.containers.iter().all(|container| *container == Container::Ts));
}

#[test]
fn r14_video_that_comes_later_begins_a_transport_stream_behind_a_discontinuity() {
    let mut camera = radio();
    camera.aac_config(0, [0x11, 0x90]);
    aac(&mut camera, 0, 5_000);
    camera.video_config(5_000, &SPS, &PPS);
    camera.run(0, 5_000, 11_000, 25);
    camera.leave();
    let packed =
        camera.tape.containers.iter().take_while(|container| container.is_packed()).count();
    let (containers, segments) = (&camera.tape.containers, &camera.tape.segments);
    assert!(packed >= 2 && containers[packed..].iter().all(|one| *one == Container::Ts));
    let flags: Vec<bool> = segments.iter().map(|(segment, _)| segment.discontinuity).collect();
    assert!(flags[packed] && flags.iter().filter(|flag| **flag).count() == 1, "{flags:?}");
    let judged = judge(&segments[packed..]);
    assert_eq!(judged[0].pictures.len(), 50, "from its keyframe on");
    let packed_end = segments[packed - 1].0.start.plus(segments[packed - 1].0.duration);
    assert_eq!(segments[packed].0.start, packed_end);
    let heard: usize =
        segments[..packed].iter().map(|(_, bytes)| adts(unpack(bytes).1).len()).sum();
    let later: usize = judged.iter().flat_map(|s| &s.sounds).map(|out| adts(&out.data).len()).sum();
    assert_eq!(heard + later, camera.sounds.len(), "no frame is lost");
}

#[test]
fn r14_publisher_without_video_after_one_with_it_is_packed_behind_a_discontinuity() {
    let mut camera = radio();
    camera.configure(0);
    camera.run(0, 0, 4_000, 25);
    camera.leave();
    camera.aac_config(0, [0x11, 0x90]);
    aac(&mut camera, 0, 4_000);
    camera.leave();
    camera.configure(0);
    camera.run(0, 0, 4_000, 25);
    camera.leave();
    let kinds: Vec<bool> = camera.tape.containers.iter().map(|one| one.is_packed()).collect();
    let flags: Vec<bool> = camera.tape.segments.iter().map(|one| one.0.discontinuity).collect();
    let changes = (0..kinds.len()).filter(|&n| n > 0 && kinds[n] != kinds[n - 1]);
    assert_eq!(changes.clone().count(), 2, "{kinds:?}");
    assert!(changes.into_iter().all(|n| flags[n]), "{flags:?}");
}

#[test]
fn r14_packed_audio_of_another_encoding_is_behind_a_discontinuity() {
    let mut camera = radio();
    camera.aac_config(0, [0x11, 0x90]);
    aac(&mut camera, 0, 4_000);
    camera.aac_config(4_000, [0x12, 0x10]);
    for n in 0..172u32 {
        camera.aac(4_000 + n * 1024 * 10 / 441, 180);
    }
    camera.leave();
    let flags: Vec<bool> = camera.tape.segments.iter().map(|one| one.0.discontinuity).collect();
    assert_eq!(flags.iter().filter(|flag| **flag).count(), 1, "{flags:?}");
    let heads: Vec<u8> =
        camera.tape.segments.iter().map(|(_, bytes)| unpack(bytes).1[2] & 0x3c).collect();
    for (n, pair) in heads.windows(2).enumerate() {
        assert_eq!(pair[0] != pair[1], flags[n + 1], "the frequency changes behind the tag");
    }
}

#[test]
fn mp3_alone_is_packed_as_it_came() {
    let mut camera = radio();
    // 48 kHz, 128 kbit/s: 384 bytes a frame.
    let frame = |n: u8| [&[0xff, 0xfb, 0x94, 0xc4][..], &[n; 380]].concat();
    let mut sent = Vec::new();
    for n in 0..200u32 {
        let frame = frame(n.to_le_bytes()[0]);
        camera.send(false, n * 24, &[&[0x2f][..], &frame].concat());
        sent.extend(frame);
    }
    camera.leave();
    assert!(camera.tape.containers.iter().all(|container| *container == Container::Mpeg));
    let heard: Vec<u8> =
        camera.tape.segments.iter().flat_map(|(_, bytes)| unpack(bytes).1.to_vec()).collect();
    assert_eq!(heard, sent);
}

#[test]
fn packed_audio_that_fills_its_slot_goes_on_in_the_next() {
    let mut camera = Camera::with(20_000, 188 * 200, 1 << 20);
    camera.pipeline.pack_audio(true);
    camera.aac_config(0, [0x11, 0x90]);
    aac(&mut camera, 0, 18_000);
    camera.leave();
    assert!(camera.tape.segments.len() > 2);
    let heard: usize =
        camera.tape.segments.iter().map(|(_, bytes)| adts(unpack(bytes).1).len()).sum();
    assert_eq!(heard, camera.sounds.len());
    assert!(camera.tape.segments.iter().all(|(segment, _)| !segment.discontinuity));
}

proptest! {
    /// Whatever comes in whatever order, every segment is of one kind and whole.
    #[test]
    fn r14_kinds_change_behind_discontinuities_only(
        turns in prop::collection::vec((0..6u8, 1..40u32), 1..40),
    ) {
        let mut camera = radio();
        camera.aac_config(0, [0x11, 0x90]);
        let mut at = 0;
        for (turn, count) in turns {
            match turn {
                0 => camera.video_config(at, &SPS, &PPS),
                1 => camera.idr(at, 0, 500),
                2 => camera.leave(),
                3 if count % 2 == 0 => camera.aac_config(at, [0x11, 0x90]),
                3 => camera.aac_config(at, [0x12, 0x10]),
                _ => for _ in 0..count {
                    camera.aac(at, 180);
                    at += 21;
                },
            }
        }
        camera.leave();
        let mut before = None;
        for ((segment, bytes), kind) in camera.tape.segments.iter().zip(&camera.tape.containers) {
            prop_assert!(before.is_none_or(|one| one == *kind) || segment.discontinuity);
            before = Some(*kind);
            if kind.is_packed() {
                let (_, rest) = unpack(bytes);
                prop_assert!(!adts(rest).is_empty());
            } else {
                prop_assert_eq!(bytes.len() % 188, 0);
                prop_assert_eq!(bytes[0], 0x47);
            }
        }
    }
}
