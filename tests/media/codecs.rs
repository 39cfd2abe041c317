//! Codecs beyond H.264 and AAC: HEVC, AC-3, E-AC-3 and Opus from Enhanced RTMP bodies to segments,
//! to the bit and to the tick; tracks that are chosen; and what is said of those that cannot go on.
//!
//! Timestamps are in milliseconds as sent, and in ticks from `EPOCH` on as they come out.

use crate::camera::{AUDIO, Camera, EPOCH, HEVC, Judged, LEAD, Sent, VIDEO, judge};
use crate::enhanced::{
    CHANNELS, END, FRAMES, FRAMES_X, METADATA, PPS, SPS, START, VPS, ac3_frame, eac3_frame, hvcc,
    opus_head, opus_packet, opus_packets, prefixed,
};
use crate::{camera, enhanced, ts};
use proptest::prelude::*;
use rillcast::limits::{AUDIO_PES_BYTES_MAX, OPUS_PACKET_BYTES_MAX};
use rillcast::status::Counter;

/// Types of NAL units: a slice that refers to others, leading ones, and where decoding can start.
const TRAIL: u8 = 1;
const RADL: u8 = 7;
const RASL: u8 = 9;
const IDR: u8 = 19;
const CRA: u8 = 21;

fn hevc_config(camera: &mut Camera, at: u32) {
    let record = hvcc(&[&VPS, &SPS, &PPS]);
    camera.send(true, at, &enhanced::video(b"hvc1", START, true, None, &record));
}

/// A picture of one slice of `kind`, as `hvc1`.
fn hevc(camera: &mut Camera, at: u32, cts: i32, kind: u8) {
    let nal = camera.nal(kind << 1, 700);
    let data = prefixed(&[&nal]);
    let key = (16..=21).contains(&kind);
    let body = match cts {
        0 => enhanced::video(b"hvc1", FRAMES_X, key, None, &data),
        _ => enhanced::video(b"hvc1", FRAMES, key, Some(cts), &data),
    };
    camera.pictures.push(Sent { at, cts, parts: vec![nal] });
    camera.send(true, at, &body);
}

/// 25 pictures a second with two leading ones behind each of type `key`, every second.
fn hevc_run(camera: &mut Camera, from: u32, to: u32, key: u8, leading: u8) {
    for n in from / 40..to / 40 {
        let (kind, cts) = match n % 25 {
            0 => (key, 120),
            1 | 2 => (leading, 40),
            _ => (TRAIL, 80),
        };
        hevc(camera, n * 40, cts, kind);
    }
}

fn seen_pictures(judged: &[Judged]) -> Vec<(i64, i64, Vec<Vec<u8>>)> {
    let units = judged.iter().flat_map(|segment| &segment.pictures);
    units
        .map(|unit| {
            let kept = unit.nals.iter().filter(|nal| !matches!(nal[0] >> 1, 32..=35 | 38));
            (unit.dts, unit.pts, kept.cloned().collect())
        })
        .collect()
}

/// Every picture came out, to the bit, at its time, to the tick.
fn assert_pictures(camera: &Camera, judged: &[Judged]) {
    assert_pictures_since(camera.pictures[0].at, camera, judged);
}

/// The same where the first message was sent at `first`.
fn assert_pictures_since(first: u32, camera: &Camera, judged: &[Judged]) {
    let sent = camera.pictures.iter().map(|sent| {
        let dts = EPOCH + i64::from(sent.at - first) * 90;
        (dts, dts + LEAD + i64::from(sent.cts) * 90, sent.parts.clone())
    });
    assert!(seen_pictures(judged) == sent.collect::<Vec<_>>(), "pictures are what was sent");
}

#[test]
fn hevc_goes_through_to_the_bit_and_to_the_tick() {
    let mut camera = Camera::new(2_000);
    hevc_config(&mut camera, 0);
    let size = camera.pipeline.size().unwrap();
    assert_eq!((size.width, size.height), (320, 180));
    hevc_run(&mut camera, 0, 10_000, IDR, RADL);
    let judged = camera.end();
    assert_pictures(&camera, &judged);
    assert_eq!(judged.len(), 5);
    for segment in &judged {
        assert_eq!(segment.ms(), 2_000);
        assert_eq!(segment.tracks(), [(VIDEO, HEVC)]);
        assert_eq!(segment.pmt.descriptors, [b"\x05\x04HEVC".to_vec()]);
        assert!(segment.segment.independent && !segment.segment.forced);
        assert_eq!(segment.pictures[0].nals[1..4], [&VPS[..], &SPS, &PPS]);
    }
    assert_eq!(camera.count(Counter::MediaMalformed), 0);
    assert_eq!(camera.pipeline.problem(), "");
}

#[test]
fn hevc_of_old_encoders_comes_as_codec_12() {
    let mut camera = Camera::new(2_000);
    let record = hvcc(&[&VPS, &SPS, &PPS]);
    camera.send(true, 0, &[&[0x1c, 0, 0, 0, 0][..], &record].concat());
    for n in 0..100u32 {
        let nal = camera.nal(if n % 50 == 0 { IDR } else { TRAIL } << 1, 300);
        let head = [if n % 50 == 0 { 0x1c } else { 0x2c }, 1, 0, 0, 80];
        let at = n * 40;
        camera.pictures.push(Sent { at, cts: 80, parts: vec![nal.clone()] });
        camera.send(true, at, &[&head[..], &prefixed(&[&nal])].concat());
    }
    let judged = camera.end();
    assert_pictures(&camera, &judged);
    assert_eq!(judged.len(), 2);
}

#[test]
fn hevc_segments_start_at_every_kind_of_random_access_picture() {
    for (kind, independent) in
        [(16, false), (17, true), (18, true), (19, true), (20, true), (CRA, false)]
    {
        let mut camera = Camera::new(1_000);
        hevc_config(&mut camera, 0);
        hevc_run(&mut camera, 0, 4_000, kind, RADL);
        let judged = camera.end();
        assert_pictures(&camera, &judged);
        assert_eq!(judged.len(), 4, "type {kind}");
        for segment in &judged {
            assert_eq!(segment.segment.independent, independent, "type {kind}");
            assert!(!segment.segment.forced);
        }
    }
}

#[test]
fn hevc_leading_pictures_are_dropped_only_where_video_begins() {
    let mut camera = Camera::new(1_000);
    hevc_config(&mut camera, 0);
    hevc(&mut camera, 0, 0, TRAIL);
    camera.pictures.clear();
    hevc_run(&mut camera, 1_000, 4_000, CRA, RASL);
    // The two behind the first have no pictures to refer to; later ones have.
    camera.pictures.drain(1..3);
    let judged = camera.end();
    assert_pictures_since(0, &camera, &judged);
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), 1 + 2);
    assert_eq!(judged.len(), 3);
}

#[test]
fn hevc_parameter_sets_in_band_are_kept_once_and_remembered() {
    let mut camera = Camera::new(1_000);
    // Without a record: what stands in front of the first picture has to do, in Annex B.
    let slice = camera.nal(IDR << 1, 200);
    let delimiter = [0x46, 1, 0x10];
    let data: Vec<u8> = [&delimiter[..], &VPS, &SPS, &PPS, &slice]
        .iter()
        .flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat())
        .collect();
    camera.pictures.push(Sent { at: 0, cts: 0, parts: vec![slice] });
    camera.send(true, 0, &enhanced::video(b"hvc1", FRAMES_X, true, None, &data));
    hevc_run(&mut camera, 1_000, 2_000, IDR, RADL);
    let judged = camera.end();
    let pictures = seen_pictures(&judged);
    assert_eq!(pictures.len(), camera.pictures.len());
    for (seen, sent) in pictures.iter().zip(&camera.pictures) {
        assert_eq!(seen.2, sent.parts);
    }
    for segment in &judged {
        let kinds: Vec<u8> = segment.pictures[0].nals.iter().map(|nal| nal[0] >> 1).collect();
        assert_eq!(kinds, [35, 32, 33, 34, IDR]);
    }
    assert_eq!(judged.last().unwrap().pictures[0].nals[2], SPS);
}

#[test]
fn camera_that_turns_from_h264_to_hevc_starts_a_segment_behind_a_tag() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 3_000, 25);
    camera.pictures.clear();
    hevc_config(&mut camera, 3_000);
    // A picture that refers to others has no place in a segment of the other codec.
    hevc(&mut camera, 3_000, 0, TRAIL);
    camera.pictures.clear();
    for n in 76..150 {
        hevc(&mut camera, n * 40, 0, if (n - 76) % 25 == 0 { IDR } else { TRAIL });
        camera.aac(n * 40, 180);
    }
    let judged = camera.end();
    let types: Vec<u8> = judged.iter().map(|segment| segment.tracks()[0].1).collect();
    let turn = types.iter().position(|stream_type| *stream_type == HEVC).unwrap();
    assert!(types[..turn].iter().all(|stream_type| *stream_type == 0x1b));
    assert!(types[turn..].iter().all(|stream_type| *stream_type == HEVC));
    for (n, segment) in judged.iter().enumerate() {
        assert_eq!(segment.segment.discontinuity, n == turn, "segment {n}");
    }
    assert_eq!(seen_pictures(&judged[turn..]).len(), camera.pictures.len());
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), 1);
}

/// Audio of one kind: sends messages of `frames` each and gives what must come out.
struct Kind {
    codec: &'static [u8; 4],
    stream_type: u8,
    descriptors: &'static [u8],
    samples: u32,
    config: Option<Vec<u8>>,
    frame: fn(u32) -> Vec<u8>,
    split: fn(&[u8]) -> Vec<Vec<u8>>,
}

fn kinds() -> [Kind; 3] {
    [
        Kind {
            codec: b"ac-3",
            stream_type: 0x81,
            descriptors: b"\x05\x04AC-3",
            samples: 1536,
            config: None,
            frame: ac3_frame,
            split: |data| data.chunks(768).map(<[u8]>::to_vec).collect(),
        },
        Kind {
            codec: b"ec-3",
            stream_type: 0x87,
            descriptors: b"\x05\x04EAC3",
            samples: 1536,
            config: Some(Vec::new()),
            frame: |seed| eac3_frame(640, false, seed),
            split: |data| data.chunks(640).map(<[u8]>::to_vec).collect(),
        },
        Kind {
            codec: b"Opus",
            stream_type: 0x06,
            descriptors: b"\x05\x04Opus\x7f\x02\x80\x02",
            samples: 960,
            config: Some(opus_head(2)),
            frame: |seed| opus_packet(160 + (seed as usize * 29) % 400, seed),
            split: opus_packets,
        },
    ]
}

impl Kind {
    fn configure(&self, camera: &mut Camera, at: u32) {
        if let Some(config) = &self.config {
            camera.send(false, at, &enhanced::audio(self.codec, START, config));
        }
    }

    /// Frame number `n` at its time in whole milliseconds.
    fn send(&self, camera: &mut Camera, n: u32) {
        let at = n * self.samples / 48;
        let frame = (self.frame)(n);
        camera.send(false, at, &enhanced::audio(self.codec, FRAMES, &frame));
        camera.sounds.push(Sent { at, cts: 0, parts: vec![frame] });
    }

    /// Every frame came out, to the bit, at its time by counting samples, to the tick.
    fn assert_sounds(&self, camera: &Camera, judged: &[Judged]) {
        let (mut n, mut longest) = (0, 0);
        for sound in judged.iter().flat_map(|segment| &segment.sounds) {
            let pts = EPOCH + LEAD + n as i64 * i64::from(self.samples) * 90 / 48;
            assert_eq!(sound.pts, pts, "frame {n}");
            let frames = (self.split)(&sound.data);
            longest = longest.max(frames.len());
            for frame in frames {
                assert!(frame == camera.sounds[n].parts[0], "frame {n} is what was sent");
                n += 1;
            }
        }
        assert_eq!(n, camera.sounds.len());
        assert_eq!(longest, (95 * 48 / self.samples) as usize, "frames share PES packets");
    }
}

#[test]
fn ac3_and_opus_alone_go_through_to_the_bit_and_to_the_tick() {
    for kind in kinds() {
        let mut camera = Camera::new(2_000);
        kind.configure(&mut camera, 0);
        for n in 0..8_000 * 48 / kind.samples {
            kind.send(&mut camera, n);
        }
        let judged = camera.end();
        kind.assert_sounds(&camera, &judged);
        assert!(judged.len() >= 4);
        for segment in &judged {
            assert_eq!(segment.tracks(), [(AUDIO, kind.stream_type)]);
            assert_eq!(segment.pmt.descriptors, [kind.descriptors.to_vec()]);
        }
        let streams: Vec<u8> = stream_ids(&camera);
        assert!(streams.iter().all(|id| *id == 0xbd), "private stream 1");
        assert_eq!(camera.count(Counter::MediaMalformed), 0);
        assert_eq!(camera.count(Counter::MediaReanchored), 0);
    }
}

/// Stream ids of audio PES packets.
fn stream_ids(camera: &Camera) -> Vec<u8> {
    let mut demux = ts::Demux::default();
    let parts = camera.tape.segments.iter().map(|(_, bytes)| demux.segment(bytes));
    parts.flat_map(|parts| parts.pes).filter(|p| p.pid == AUDIO).map(|p| p.stream_id).collect()
}

#[test]
fn ac3_and_opus_beside_hevc_are_named_together() {
    for kind in kinds() {
        let mut camera = Camera::new(2_000);
        hevc_config(&mut camera, 0);
        kind.configure(&mut camera, 0);
        let mut n = 0;
        for at in (0..6_000).step_by(40) {
            hevc(&mut camera, at, 0, if at % 1_000 == 0 { IDR } else { TRAIL });
            while n * kind.samples / 48 < at + 40 {
                kind.send(&mut camera, n);
                n += 1;
            }
        }
        let judged = camera.end();
        kind.assert_sounds(&camera, &judged);
        assert_pictures(&camera, &judged);
        for segment in &judged {
            assert_eq!(segment.tracks(), [(VIDEO, HEVC), (AUDIO, kind.stream_type)]);
            let descriptors = [b"\x05\x04HEVC".to_vec(), kind.descriptors.to_vec()];
            assert_eq!(segment.pmt.descriptors, descriptors);
        }
    }
}

#[test]
fn eac3_frames_of_one_access_unit_stay_together() {
    let mut camera = Camera::new(1_000);
    let mut sent = Vec::new();
    for n in 0..64u32 {
        // Two access units in a message: 5.1 in the first frame, more channels in the second.
        let units: Vec<u8> = (0..2)
            .flat_map(|i| [eac3_frame(512, false, 2 * n + i), eac3_frame(256, true, n)].concat())
            .collect();
        camera.send(false, n * 64, &enhanced::audio(b"ec-3", FRAMES, &units));
        sent.extend(units);
    }
    let judged = camera.end();
    let sounds: Vec<_> = judged.iter().flat_map(|segment| &segment.sounds).collect();
    let seen: Vec<u8> = sounds.iter().flat_map(|sound| sound.data.clone()).collect();
    assert!(seen == sent);
    let mut units = 0;
    for sound in sounds {
        assert_eq!(sound.data.len() % 768, 0, "whole access units");
        assert_eq!(sound.pts, EPOCH + LEAD + units * 2_880, "32 ms each");
        units += sound.data.len() as i64 / 768;
    }
}

#[test]
fn ac3_that_is_cut_or_none_is_counted() {
    let mut camera = Camera::new(1_000);
    let whole = ac3_frame(1);
    for data in [&whole[..767], b"", b"not a frame", &[&whole[..], &[0x0b]].concat()] {
        camera.send(false, 0, &enhanced::audio(b"ac-3", FRAMES, data));
    }
    assert_eq!(camera.count(Counter::MediaMalformed), 4);
    let judged = camera.end();
    assert_eq!(judged[0].sounds[0].data, whole, "the whole one in front is kept");
}

#[test]
fn opus_packets_of_every_length_and_duration_keep_their_time() {
    let mut camera = Camera::new(2_000);
    camera.send(false, 0, &enhanced::audio(b"Opus", START, &opus_head(1)));
    let mut samples = 0u32;
    let mut sent = Vec::new();
    for (n, bytes) in (1..=600).chain([2_000, 7_650]).enumerate() {
        // 20, 2.5, 60 and 120 ms by turns.
        let (head, lasts): (&[u8], u32) = match n % 4 {
            0 => (&[31 << 3], 960),
            1 => (&[16 << 3], 120),
            2 => (&[3 << 3], 2_880),
            _ => (&[31 << 3 | 3, 6], 5_760),
        };
        let mut packet = head.to_vec();
        packet.resize(bytes.max(head.len()), n as u8);
        camera.send(false, samples / 48, &enhanced::audio(b"Opus", FRAMES, &packet));
        sent.push((EPOCH + LEAD + i64::from(samples) * 90 / 48, packet));
        samples += lasts;
    }
    let judged = camera.end();
    let mut sent = sent.into_iter();
    for sound in judged.iter().flat_map(|segment| &segment.sounds) {
        for (i, packet) in opus_packets(&sound.data).into_iter().enumerate() {
            let (pts, want) = sent.next().unwrap();
            assert!(packet == want);
            assert!(i > 0 || sound.pts == pts, "{} is not {pts}", sound.pts);
        }
    }
    assert_eq!(sent.next(), None);
    assert_eq!(judged[0].pmt.descriptors, [b"\x05\x04Opus\x7f\x02\x80\x01".to_vec()]);
}

#[test]
fn opus_packet_at_its_limit_goes_through_and_one_beyond_is_counted() {
    let mut camera = Camera::new(1_000);
    let longest = opus_packet(OPUS_PACKET_BYTES_MAX, 1);
    camera.send(false, 0, &enhanced::audio(b"Opus", FRAMES, &longest));
    let beyond = opus_packet(OPUS_PACKET_BYTES_MAX + 1, 2);
    camera.send(false, 20, &enhanced::audio(b"Opus", FRAMES, &beyond));
    // No frames, a cut packet, and none at all.
    for packet in [&[31 << 3 | 3, 0][..], &[31 << 3 | 3], &[]] {
        camera.send(false, 40, &enhanced::audio(b"Opus", FRAMES, packet));
    }
    assert_eq!(camera.count(Counter::MediaMalformed), 4);
    let judged = camera.end();
    assert_eq!(judged[0].sounds.len(), 1);
    assert!(opus_packets(&judged[0].sounds[0].data) == [longest]);
}

#[test]
fn audio_message_at_the_limit_of_a_pes_packet_goes_through_and_one_beyond_is_counted() {
    for (bytes, goes) in [(AUDIO_PES_BYTES_MAX, true), (AUDIO_PES_BYTES_MAX + 1, false)] {
        let mut camera = Camera::new(1_000);
        let mut data = vec![0xff, 0xfb, 0x90, 0];
        data.resize(bytes, 0x55);
        data.splice(417..421, [0xff, 0xfb, 0x90, 0]);
        camera.send(false, 0, &[&[0x2f][..], &data].concat());
        let judged = camera.end();
        assert_eq!(judged.len(), usize::from(goes), "{bytes} bytes");
        assert_eq!(camera.count(Counter::MediaTooLarge), u64::from(!goes));
    }
}

#[test]
fn audio_that_turns_to_another_codec_is_in_a_segment_of_its_own() {
    let mut camera = Camera::new(1_000);
    let [ac3, eac3, opus] = kinds();
    for (kind, from) in [(ac3, 0), (eac3, 3_000), (opus, 6_000)] {
        kind.configure(&mut camera, from);
        for n in from * 48 / kind.samples..(from + 3_000) * 48 / kind.samples {
            kind.send(&mut camera, n);
        }
    }
    let judged = camera.end();
    let types: Vec<u8> = judged.iter().map(|segment| segment.tracks()[0].1).collect();
    let mut order = types.clone();
    order.dedup();
    assert_eq!(order, [0x81, 0x87, 0x06]);
    for (n, segment) in judged.iter().enumerate().skip(1) {
        let turns = types[n] != types[n - 1];
        assert_eq!(segment.segment.discontinuity, turns, "segment {n}");
    }
}

#[test]
fn audio_that_turns_right_before_the_end_carries_its_own_clock() {
    // It waits for a keyframe that does not come: the publisher leaves, or video has ended.
    for wait in [0, 600] {
        let mut camera = Camera::new(1_000);
        let [ac3, _, opus] = kinds();
        hevc_config(&mut camera, 0);
        ac3.send(&mut camera, 0);
        hevc(&mut camera, 0, 0, IDR);
        for n in 0..=wait / 20 {
            opus.send(&mut camera, n);
        }
        let judged = camera.end();
        let last = judged.last().unwrap();
        assert_eq!((last.tracks(), last.pmt.pcr_pid), (vec![(AUDIO, 0x06)], AUDIO));
    }
}

#[test]
fn audio_whose_keyframe_never_comes_carries_its_own_clock() {
    // It waited as long as it can, and a segment began with it; no picture came to that segment.
    let mut camera = Camera::new(8_000);
    let [ac3, _, opus] = kinds();
    hevc_config(&mut camera, 0);
    for n in 0..78 {
        hevc(&mut camera, n * 20, 0, if n == 0 { IDR } else { TRAIL });
        match n * 20 {
            at @ 0..1_060 => opus.send(&mut camera, at / 20),
            at => {
                if at % 32 < 20 {
                    ac3.send(&mut camera, at / 32);
                }
            }
        }
    }
    ac3.send(&mut camera, 49);
    let judged = camera.end();
    let last = judged.last().unwrap();
    assert_eq!((last.tracks(), last.pmt.pcr_pid), (vec![(AUDIO, 0x81)], AUDIO));
    assert_eq!(last.pcrs.len(), 1, "in a packet of its own, in front");
}

#[test]
fn clock_of_audio_that_falls_silent_is_carried_on_beside_pictures() {
    let mut camera = Camera::new(8_000);
    let [ac3, ..] = kinds();
    for n in 0..70 {
        ac3.send(&mut camera, n);
    }
    hevc_config(&mut camera, 2_240);
    for n in 56..100 {
        hevc(&mut camera, n * 40, 0, if n == 56 { IDR } else { TRAIL });
    }
    for n in 125..140 {
        ac3.send(&mut camera, n);
    }
    let judged = camera.end();
    let mixed = &judged[0];
    assert_eq!((mixed.tracks().len(), mixed.pmt.pcr_pid), (2, AUDIO));
    assert_eq!(mixed.pictures.len(), 44);
}

#[test]
fn audio_that_waited_is_not_far_ahead_of_the_clock_of_a_late_picture() {
    let mut camera = Camera::new(8_000);
    let [ac3, _, opus] = kinds();
    hevc_config(&mut camera, 0);
    opus.send(&mut camera, 0);
    hevc(&mut camera, 700, 0, IDR);
    ac3.send(&mut camera, 90);
    opus.send(&mut camera, 160);
    hevc(&mut camera, 3_400, 0, TRAIL);
    let judged = camera.end();
    assert_eq!(judged.iter().map(|one| one.pictures.len()).sum::<usize>(), 2);
    assert!(judged.iter().flat_map(|one| &one.sounds).count() >= 2);
}

#[test]
fn tracks_beside_the_chosen_one_are_ignored_and_counted() {
    for (wish, stream_type, others) in
        [(None, 0x1b, 50 + 1), (Some(0), 0x1b, 50 + 1), (Some(2), HEVC, 50 + 1)]
    {
        let mut camera = Camera::new(1_000);
        camera.pipeline.choose(wish, None);
        // As OBS does it: track 0 without a wrapper, the others as one track each.
        camera.video_config(0, &camera::SPS, &camera::PPS);
        let record = enhanced::video(b"hvc1", START, true, None, &hvcc(&[&VPS, &SPS, &PPS]));
        camera.send(true, 0, &enhanced::tracked(&record, 6, 2));
        for n in 0..50u32 {
            camera.frame(n * 40, n % 25 == 0, 300);
            let nal = camera.nal(if n % 25 == 0 { IDR } else { TRAIL } << 1, 300);
            let body = enhanced::video(b"hvc1", FRAMES_X, n % 25 == 0, None, &prefixed(&[&nal]));
            camera.send(true, n * 40, &enhanced::tracked(&body, 6, 2));
        }
        let judged = camera.end();
        assert_eq!(judged.len(), 2);
        for segment in &judged {
            assert_eq!(segment.tracks(), [(VIDEO, stream_type)]);
            assert_eq!(segment.pictures.len(), 25);
        }
        assert_eq!(camera.count(Counter::MediaOtherTracks), others, "{wish:?}");
        assert_eq!(camera.count(Counter::MediaMalformed), 0);
    }
}

#[test]
fn tracks_of_one_message_are_told_apart() {
    for (wish, stream_type) in [(None, 0x06), (Some(7), 0x81), (Some(1), 0x06)] {
        let mut camera = Camera::new(1_000);
        camera.pipeline.choose(None, wish);
        for n in 0..100u32 {
            let both = [
                (1, enhanced::audio(b"Opus", FRAMES, &opus_packet(200, n))),
                (7, enhanced::audio(b"ac-3", FRAMES, &ac3_frame(n))),
            ];
            camera.send(false, n * 20, &enhanced::many(&both, 5));
        }
        let judged = camera.end();
        assert!(judged.iter().all(|segment| segment.tracks() == [(AUDIO, stream_type)]));
        assert_eq!(camera.count(Counter::MediaOtherTracks), 100);
    }
}

#[test]
fn next_publisher_may_have_another_first_track() {
    let mut camera = Camera::new(1_000);
    for track in [3, 5] {
        for n in 0..50u32 {
            let body = enhanced::audio(b"Opus", FRAMES, &opus_packet(200, n));
            camera.send(false, n * 20, &enhanced::tracked(&body, 5, track));
        }
        camera.leave();
    }
    let judged = judge(&camera.tape.segments);
    let packets: usize = judged
        .iter()
        .flat_map(|segment| &segment.sounds)
        .map(|sound| opus_packets(&sound.data).len())
        .sum();
    assert_eq!(packets, 100);
    assert_eq!(camera.count(Counter::MediaOtherTracks), 0);
}

#[test]
fn nanoseconds_add_to_the_presentation_time() {
    let mut camera = Camera::new(1_000);
    hevc_config(&mut camera, 0);
    for n in 0..25u32 {
        let nal = camera.nal(if n == 0 { IDR } else { TRAIL } << 1, 300);
        let body = enhanced::video(b"hvc1", FRAMES, n == 0, Some(80), &prefixed(&[&nal]));
        camera.send(true, n * 40, &enhanced::later(&body, n * 40_000));
    }
    let judged = camera.end();
    for (n, unit) in (0i64..).zip(judged.iter().flat_map(|segment| &segment.pictures)) {
        assert_eq!(unit.dts, EPOCH + n * 3_600);
        let ticks = (n * 40_000 * 9 + 50_000) / 100_000;
        assert_eq!(unit.pts, unit.dts + LEAD + 7_200 + ticks, "picture {n}");
    }

    // Audio is counted in samples from its first frame, whose time is told to half a millisecond.
    let mut camera = Camera::new(1_000);
    for n in 0..50u32 {
        let body = enhanced::audio(b"Opus", FRAMES, &opus_packet(200, n));
        camera.send(false, n * 20, &enhanced::later(&body, 500_000));
    }
    let judged = camera.end();
    assert_eq!(judged[0].sounds[0].pts, EPOCH + LEAD + 45);
    assert_eq!(judged[0].sounds[1].pts, EPOCH + LEAD + 45 + 4 * 1_800);
}

#[test]
fn colours_and_ends_are_no_media_and_no_error() {
    let mut camera = Camera::new(1_000);
    hevc_config(&mut camera, 0);
    for n in 0..50u32 {
        hevc(&mut camera, n * 40, 0, if n % 25 == 0 { IDR } else { TRAIL });
        // As OBS writes it: frame type 0.
        camera.send(true, n * 40, b"\x84hvc1\x02\0\x09colorInfo\x03\0\0\x09");
        camera.send(true, n * 40, &enhanced::video(b"hvc1", END, true, None, &[]));
        camera.send(true, n * 40, &enhanced::video(b"hvc1", METADATA, true, None, b"\x02"));
        camera.send(false, n * 40, &enhanced::audio(b"Opus", END, &[]));
        camera.send(false, n * 40, &enhanced::audio(b"Opus", CHANNELS, &[1, 2, 0, 0, 0, 3]));
        let packet = opus_packet(100, n);
        camera.send(false, n * 40, &enhanced::audio(b"Opus", FRAMES, &packet));
    }
    let judged = camera.end();
    assert_pictures(&camera, &judged);
    assert_eq!(judged.len(), 2, "an end ends nothing");
    assert_eq!(camera.count(Counter::MediaMalformed), 0);
    assert_eq!(camera.count(Counter::MediaUnsupported), 0);
    assert_eq!(camera.pipeline.problem(), "");
    assert!(!judged[1].segment.discontinuity);
}

#[test]
fn packet_types_that_are_not_defined_are_counted_and_change_nothing() {
    let mut camera = Camera::new(1_000);
    hevc_config(&mut camera, 0);
    for n in 0..25u32 {
        hevc(&mut camera, n * 40, 0, if n == 0 { IDR } else { TRAIL });
        camera.send(true, n * 40, b"\x99hvc1\0\0\0\x01");
        camera.send(false, n * 40, b"\x9eOpus\xfc");
    }
    let judged = camera.end();
    assert_pictures(&camera, &judged);
    assert_eq!(camera.count(Counter::MediaMalformed), 50);
    assert_eq!(camera.pipeline.problem(), "");
}

#[test]
fn what_cannot_be_carried_is_named_and_the_other_track_goes_on() {
    let av1 = [0x81, 0x08, 0x0c, 0, 0x0a, 0x0b];
    let vp9 = [1, 0, 0, 0, 0, 31, 0x82, 1, 1, 1, 0, 0];
    for (codec, config, text) in [
        (b"av01", &av1[..], "AV1 (av01.0.08M.08)"),
        (b"vp09", &vp9, "VP9 (vp09.00.31.08)"),
        (b"vp08", &[], "VP8"),
        (b"vvc1", &[], "VVC"),
        (b"zzzz", &[], "unknown video codec zzzz"),
    ] {
        let mut camera = Camera::new(1_000);
        camera.send(true, 0, &enhanced::video(codec, START, true, None, config));
        camera.aac_config(0, [0x11, 0x90]);
        for n in 0..100u32 {
            camera.send(true, n * 20, &enhanced::video(codec, FRAMES, n == 0, None, &[0x0a, 1]));
            camera.aac(n * 64 / 3, 180);
        }
        let problem = format!("video {text} cannot be carried: set the camera to H.264 or HEVC");
        assert_eq!(camera.pipeline.problem(), problem);
        assert_eq!(camera.count(Counter::MediaUnsupported), 101);
        let judged = camera.end();
        assert_eq!(camera::adts(&judged[0].sounds[0].data).len(), 4);
        assert!(judged.iter().all(|segment| segment.tracks() == [(AUDIO, 0x0f)]));
        assert_eq!(camera.pipeline.problem(), "", "the next publisher starts anew");
    }
}

#[test]
fn flac_and_channels_without_a_name_are_told_and_pictures_go_on() {
    let mut info = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0b\xb8\x03\x70".to_vec();
    info.resize(42, 0);
    let quad = [&opus_head(4)[..18], &[2, 4, 0, 0, 1, 2, 3]].concat();
    for (codec, config, text) in [
        (
            b"fLaC",
            info,
            "audio FLAC (48000 Hz, 2 channels) cannot be carried: set the camera to AAC",
        ),
        (
            b"Opus",
            quad,
            "audio Opus cannot be carried, opus of 4 channels in mapping family 2 has no channel \
             configuration: set the camera to stereo",
        ),
    ] {
        let mut camera = Camera::new(1_000);
        hevc_config(&mut camera, 0);
        camera.send(false, 0, &enhanced::audio(codec, START, &config));
        for n in 0..50u32 {
            hevc(&mut camera, n * 40, 0, if n % 25 == 0 { IDR } else { TRAIL });
            camera.send(false, n * 40, &enhanced::audio(codec, FRAMES, &opus_packet(9, n)));
        }
        assert_eq!(camera.pipeline.problem(), text);
        assert_eq!(camera.count(Counter::MediaUnsupported), 51);
        let judged = camera.end();
        assert_pictures(&camera, &judged);
        assert!(judged.iter().all(|segment| segment.tracks() == [(VIDEO, HEVC)]));
    }
}

#[test]
fn channels_in_an_order_of_their_own_are_told_and_heard() {
    let mut camera = Camera::new(1_000);
    camera.send(false, 0, &enhanced::audio(b"Opus", START, &opus_head(2)));
    camera.send(false, 0, &enhanced::audio(b"Opus", CHANNELS, &[2, 2, 1, 0]));
    for n in 0..100u32 {
        let body = enhanced::audio(b"Opus", FRAMES, &opus_packet(90, n));
        camera.send(false, n * 20, &body);
    }
    assert!(camera.pipeline.problem().starts_with("audio Opus has channels in an order"));
    assert!(camera.pipeline.problem().ends_with("set the camera to stereo"));
    assert_eq!(camera.count(Counter::MediaUnsupported), 1);
    assert_eq!(camera.end()[0].tracks(), [(AUDIO, 0x06)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Bodies of all codecs, whole, cut or made of anything, as several tracks or one, in any
    /// order: packets, tables and lengths are right, and the map names what there is.
    #[test]
    fn any_enhanced_bodies_make_sound_packets(
        bodies in proptest::collection::vec(
            (0u8..12, any::<u8>(), 0usize..40, any::<bool>(), 0u32..200), 1..120),
    ) {
        let mut camera = Camera::new(1_000);
        hevc_config(&mut camera, 0);
        let record = hvcc(&[&VPS, &SPS, &PPS]);
        let mut at = 0;
        for (n, (what, kind, cut, wrapped, step)) in (0u32..).zip(bodies) {
            at += step;
            let nal = camera.nal(kind & 0x7e, 90);
            let sets = prefixed(&[&VPS, &SPS, &PPS]);
            let picture = prefixed(&[&nal]);
            let (video, mut body) = match what {
                0 => (true, enhanced::video(b"hvc1", START, true, None, &record)),
                1 => (true, enhanced::video(b"hvc1", FRAMES, false, Some(-40), &picture)),
                2 => (true, enhanced::video(b"hvc1", FRAMES_X, true, None, &picture)),
                3 => (true, enhanced::video(b"avc1", FRAMES_X, true, None, &picture)),
                4 => (true, enhanced::video(b"av01", kind & 7, true, None, &nal)),
                5 => (false, enhanced::audio(b"Opus", START, &opus_head(kind & 3))),
                6 => (false, enhanced::audio(b"Opus", FRAMES, &nal)),
                7 => (false, enhanced::audio(b"Opus", FRAMES, &opus_packet(40, n))),
                8 => (false, enhanced::audio(b"ac-3", FRAMES, &ac3_frame(n))),
                9 => (false, enhanced::audio(b"ec-3", FRAMES, &eac3_frame(64, kind & 1 == 1, n))),
                10 => (false, enhanced::audio(b"mp4a", kind & 7, &nal)),
                _ => (true, enhanced::video(b"hvc1", FRAMES_X, true, None, &sets)),
            };
            if wrapped {
                body = enhanced::tracked(&body, if video { 6 } else { 5 }, kind & 1);
            }
            if cut < 8 {
                body.truncate(body.len().saturating_sub(cut * 5));
            }
            camera.send(video, at, &body);
        }
        camera.leave();
        judge(&camera.tape.segments);
    }
}

#[test]
fn hevc_and_opus_do_not_go_on_in_clear_where_samples_are_encrypted() {
    let mut camera = Camera::new(1_000);
    camera.pipeline.protect();
    let [.., opus] = kinds();
    hevc_config(&mut camera, 0);
    opus.configure(&mut camera, 0);
    for at in (0..3_000).step_by(40) {
        hevc(&mut camera, at, 0, if at % 1_000 == 0 { IDR } else { TRAIL });
    }
    assert_eq!(camera.count(Counter::MediaUnsupported), 76, "pictures and their configuration");
    for n in 0..150 {
        opus.send(&mut camera, n);
    }
    assert_eq!(camera.count(Counter::MediaUnsupported), 226);
    let cure = "set the camera to H.264, or hls.encryption to aes-128";
    assert!(camera.pipeline.problem().starts_with("video HEVC"), "{}", camera.pipeline.problem());
    assert!(camera.pipeline.problem().ends_with(cure), "{}", camera.pipeline.problem());
    camera.leave();
    assert!(camera.tape.segments.is_empty());
}
