//! Segments from messages: what a player may rely on, whatever the publisher does.
//!
//! `R` numbers are those of RFC 8216 rules in the reference sheet of the HLS side: R14 tags before
//! changes, R21 tables first, R22 keyframes, R23 continuity.

use crate::camera::{
    AUDIO, Camera, I_SLICE, Judged, LEAD, Out, PPS, RECOVERY, SPS, Sent, VIDEO, adts,
    assert_nothing_is_lost, judge,
};
use crate::{enhanced, ts};
use proptest::prelude::*;
use rillcast::limits::{
    AUDIO_ALONE_TICKS, AUDIO_FRAMES_HELD, AUDIO_FRAMES_PER_MESSAGE_MAX, AUDIO_HELD_TICKS_MAX,
    AUDIO_PES_BYTES_MAX, COMPOSITION_LEAD_MS, CUT_SLACK_TICKS, FIRST_KEYFRAME_TICKS_MAX,
    FRAME_MS_DEFAULT, PARAMETER_BYTES_MAX, PCR_LEAD_TICKS, SEGMENT_TICKS_MAX,
    STREAM_PROBLEM_BYTES_MAX, TIMELINE_EPOCH, VIDEO_LATE_TICKS, VIDEO_STARVED_TICKS,
};
use rillcast::status::Counter;
use rillcast::time::Ticks;

const AAC: (u16, u8) = (AUDIO, 0x0f);
const AVC: (u16, u8) = (VIDEO, 0x1b);

fn flags(judged: &[Judged]) -> Vec<bool> {
    judged.iter().map(|segment| segment.segment.discontinuity).collect()
}

fn durations(judged: &[Judged]) -> Vec<i64> {
    judged.iter().map(Judged::ms).collect()
}

/// Milliseconds on the wire.
fn wire(ticks: Ticks) -> u32 {
    u32::try_from(ticks.0 / 90).unwrap()
}

/// Times of pictures are those sent, to the tick.
fn assert_times(camera: &Camera, judged: &[Judged]) {
    let first = camera.pictures[0].at;
    let units: Vec<_> = judged.iter().flat_map(|segment| &segment.pictures).collect();
    for (sent, unit) in camera.pictures.iter().zip(units) {
        let dts = TIMELINE_EPOCH.0 + i64::from(sent.at.wrapping_sub(first)) * 90;
        assert_eq!(unit.dts, dts, "DTS of {}", sent.at);
        assert_eq!(unit.pts, dts + LEAD + i64::from(sent.cts) * 90, "PTS of {}", sent.at);
    }
}

#[test]
fn segments_are_cut_at_keyframes_and_lose_nothing() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 10_000, 25);
    let judged = camera.end();
    assert_eq!(durations(&judged)[..4], [2_000; 4]);
    assert_eq!(durations(&judged)[4], 2_005, "the last one to the end of its audio");
    assert_nothing_is_lost(&camera, &judged);
    assert_times(&camera, &judged);
    for segment in &judged {
        assert_eq!(segment.tracks(), [AVC, AAC]);
        assert!(segment.segment.independent && !segment.segment.forced);
        assert_eq!(segment.order[0], VIDEO, "video first, with its clock");
    }
    assert_eq!(flags(&judged), [false; 5]);
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), 0);
    assert_eq!(camera.tape.discarded, 0);
}

#[test]
fn segment_ends_at_the_keyframe_that_rounding_put_before_the_target() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    for n in 0..301u32 {
        // 29.97 pictures a second in whole milliseconds: keyframes are due at 2.002 s or, where
        // the sender's clock is a little fast, at 1.999 s.
        camera.frame(n * 33_317 / 1000, n % 60 == 0, 500);
    }
    let judged = camera.end();
    assert_eq!(durations(&judged)[..5], [1_999; 5]);
}

#[test]
fn cut_is_foretold_so_that_nobody_waits_for_its_keyframe() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    let soon = Ticks::from_millis(80);
    assert!(camera.pipeline.may_cut_within(soon), "the first keyframe is waited for");
    let mut foretold = Vec::new();
    for n in 0..120u32 {
        let before = camera.tape.segments.len();
        let told = camera.pipeline.may_cut_within(soon);
        camera.frame(n * 40, n % 50 == 0, 500);
        assert!(told || camera.tape.segments.len() == before, "the cut at {} came untold", n * 40);
        if told {
            foretold.push(n);
        }
    }
    assert_eq!(foretold, [0, 47, 48, 49, 50, 97, 98, 99, 100], "two pictures, and the slack");
}

#[test]
fn keyframe_before_the_target_ends_the_segment_within_the_slack() {
    let due = 2_000 - wire(CUT_SLACK_TICKS);
    for (early, segments) in [(0, 2), (1, 1)] {
        let mut camera = Camera::new(2_000);
        camera.video_config(0, &SPS, &PPS);
        camera.idr(0, 0, 500);
        camera.inter(1_000, 0, 500);
        camera.idr(due - early, 0, 500);
        assert_eq!(camera.end().len(), segments, "{early}");
    }
}

#[test]
fn segment_without_keyframes_ends_at_the_limit_of_all() {
    let mut camera = Camera::new(2_000);
    camera.video_config(0, &SPS, &PPS);
    for n in 0..1_000 {
        camera.frame(n * 40, n == 0, 300);
    }
    let judged = camera.end();
    assert_eq!(judged[0].segment.duration, SEGMENT_TICKS_MAX);
    assert_eq!(camera.count(Counter::SegmentsForced), judged.len() as u64 - 1);
}

#[test]
fn single_picture_lasts_a_frame_as_long_as_none_is_known() {
    let mut camera = Camera::new(2_000);
    camera.video_config(0, &SPS, &PPS);
    camera.idr(0, 0, 500);
    assert_eq!(durations(&camera.end()), [FRAME_MS_DEFAULT]);
}

#[test]
fn pictures_wait_for_a_first_keyframe_and_no_longer() {
    let mut camera = Camera::new(2_000);
    camera.video_config(0, &SPS, &PPS);
    let patience = wire(FIRST_KEYFRAME_TICKS_MAX);
    for at in [0, 9_000, patience - 1] {
        camera.inter(at, 0, 500);
    }
    assert_eq!(camera.tape.slots_left, usize::MAX);
    camera.inter(patience, 0, 500);
    let judged = camera.end();
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), 3);
    assert!(judged[0].segment.forced);
    assert_eq!(judged[0].pictures.len(), 1);
}

#[test]
fn audio_before_the_first_keyframe_is_held_up_to_its_bound() {
    for (more, lost) in [(0, 0), (1, 1)] {
        let mut camera = Camera::new(2_000);
        camera.video_config(0, &SPS, &PPS);
        // 96 kHz: as many frames last less than the clock is ahead of the picture.
        camera.aac_config(0, [0x10, 0x10]);
        let frames = AUDIO_FRAMES_HELD + more;
        for n in 0..frames as u32 {
            camera.aac(n * 1024 / 96, 100);
        }
        camera.idr(frames as u32 * 1024 / 96, 0, 900);
        camera.sounds.drain(..lost);
        let judged = camera.end();
        assert_eq!(camera.count(Counter::MediaBeforeKeyframe), lost as u64);
        assert_nothing_is_lost(&camera, &judged);
    }
}

#[test]
fn audio_waits_for_the_picture_after_a_jump_and_no_longer() {
    for (early, begun) in [(1, false), (0, true)] {
        let mut camera = Camera::new(2_000);
        camera.configure(0);
        camera.run(0, 0, 4_000, 50);
        camera.aac(1_000_000, 180);
        let before = camera.tape.slots_left;
        camera.aac(1_000_000 + wire(AUDIO_HELD_TICKS_MAX) - early, 180);
        assert_eq!(camera.tape.slots_left < before, begun, "{early}");
    }
}

#[test]
fn audio_ends_a_segment_that_is_due_where_the_picture_is_late() {
    // The last picture is at 1.96 s and lasts 40 ms; a segment may last 2 s.
    let late = 1_960 + 40 + wire(VIDEO_LATE_TICKS);
    for (early, ended) in [(1, 0), (0, 1)] {
        let mut camera = Camera::new(2_000);
        camera.configure(0);
        camera.pipeline.set_limit(Some(Ticks::from_millis(2_000)));
        for n in 0..50 {
            camera.frame(n * 40, n == 0, 500);
        }
        camera.aac(late - early, 180);
        assert_eq!(camera.tape.segments.len(), ended, "{early}");
    }
}

#[test]
fn audio_is_alone_where_the_last_picture_is_long_ago() {
    let starved = 40 + wire(VIDEO_STARVED_TICKS);
    for (early, tagged) in [(1, false), (0, true)] {
        let mut camera = Camera::new(500);
        camera.configure(0);
        camera.frame(0, true, 500);
        camera.frame(40, false, 500);
        camera.aac(0, 180);
        // Another rate: it waits for a keyframe only while there are pictures.
        camera.aac(starved - early, 180);
        camera.aac_config(starved, [0x12, 0x10]);
        camera.aac(starved + 30, 180);
        assert_eq!(camera.tape.segments.len(), usize::from(tagged), "{early}");
    }
}

#[test]
fn audio_longer_than_a_pes_packet_is_dropped_and_counted() {
    for (more, dropped) in [(0, 0), (1, 1), (8, 1), (9, 1)] {
        let mut camera = Camera::new(2_000);
        let mut bytes = mp3_frame(1).repeat(2);
        bytes.resize(AUDIO_PES_BYTES_MAX + more, 0x55);
        camera.send(false, 0, &[&[0x2f][..], &bytes].concat());
        camera.send(false, 52, &[&[0x2f][..], &mp3_frame(2)].concat());
        let judged = camera.end();
        assert_eq!(camera.count(Counter::MediaTooLarge), dropped, "{more}");
        let sounds: usize = judged.iter().map(|segment| segment.sounds.len()).sum();
        assert_eq!(sounds as u64, 2 - dropped, "{more}");
    }
}

#[test]
fn parameters_too_long_to_keep_are_counted() {
    for (more, malformed) in [(0, 0), (1, 1)] {
        let mut camera = Camera::new(2_000);
        let mut sps = [&[0, 0, 0, 1][..], &SPS].concat();
        sps.resize(PARAMETER_BYTES_MAX + more, 0x55);
        camera.send(true, 0, &[&[0x17, 0, 0, 0, 0][..], &sps].concat());
        assert_eq!(camera.count(Counter::MediaMalformed), malformed);
    }
}

#[test]
fn audio_shares_pes_packets_of_at_most_100_ms_with_exact_times() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 6_000, 25);
    let judged = camera.end();
    let mut frames = 0i64;
    let mut most = 0;
    for sound in judged.iter().flat_map(|segment| &segment.sounds) {
        let count = adts(&sound.data).len();
        assert!(count * 1024 * 1000 / 48_000 <= 100);
        assert_eq!(sound.pts, TIMELINE_EPOCH.0 + LEAD + frames * 1_920, "samples, not ms");
        frames += count as i64;
        most = most.max(count);
    }
    assert_eq!(most, 4);
}

#[test]
fn audio_that_was_lost_leaves_its_gap_even_inside_a_pes_packet() {
    let mut camera = Camera::new(2_000);
    // 96 kHz: a frame lasts 11 ms.
    camera.aac_config(0, [0x10, 0x10]);
    for n in 0..300u32 {
        // 60 ms are missing after every 13th: sooner or later behind each place of a group.
        let lost = n / 13;
        camera.aac(n * 1024 / 96 + lost * 60, 180);
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    let mut sent = camera.sounds.iter();
    for sound in judged.iter().flat_map(|segment| &segment.sounds) {
        for n in 0..adts(&sound.data).len() as i64 {
            let at = sent.next().unwrap().at;
            let off = sound.pts + n * 960 - TIMELINE_EPOCH.0 - LEAD - i64::from(at) * 90;
            assert!(off.abs() <= 180, "frame at {at} is {off} ticks off");
        }
    }
}

#[test]
fn program_map_names_video_alone_and_audio_alone() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    for n in 0..100 {
        camera.frame(n * 40, n % 50 == 0, 500);
    }
    let judged = camera.end();
    assert!(judged.iter().all(|segment| segment.tracks() == [AVC]));
    assert_nothing_is_lost(&camera, &judged);

    let mut camera = Camera::new(2_000);
    camera.aac_config(0, [0x11, 0x90]);
    for n in 0..480 {
        camera.aac(n * 1024 / 48, 180);
    }
    let judged = camera.end();
    assert!(judged.iter().all(|segment| segment.tracks() == [AAC]));
    assert!(judged.iter().all(|segment| segment.pmt.pcr_pid == AUDIO));
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(judged.len(), 6);
    assert!(durations(&judged)[..5].iter().all(|ms| (1_980..=2_011).contains(ms)));
    assert_eq!(flags(&judged), [false; 6]);
}

#[test]
fn audio_alone_waits_only_a_moment_for_video() {
    let patience = wire(AUDIO_ALONE_TICKS);
    for (early, waits) in [(1, true), (0, false)] {
        let mut camera = Camera::new(2_000);
        camera.aac_config(0, [0x11, 0x90]);
        camera.aac(0, 60);
        camera.aac(patience - early, 60);
        assert_eq!(camera.tape.slots_left == usize::MAX, waits, "{early}");
    }
    // 8 kHz: a frame lasts 128 ms, and 64 of them eight seconds.
    let mut camera = Camera::new(2_000);
    camera.aac_config(0, [0x15, 0x88]);
    for n in 0..40 {
        camera.aac(n * 128, 60);
        let waits = n * 128 < patience;
        assert_eq!(camera.tape.slots_left == usize::MAX, waits, "{n}");
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(durations(&judged).iter().sum::<i64>(), 40 * 128);
}

#[test]
fn late_audio_and_late_video_come_behind_a_tag() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    for n in 0..100 {
        camera.frame(n * 40, n % 50 == 0, 500);
    }
    camera.run(0, 4_000, 8_000, 50);
    let judged = camera.end();
    let tracks: Vec<usize> = judged.iter().map(|segment| segment.tracks().len()).collect();
    assert_eq!(tracks, [1, 1, 2, 2]);
    assert_eq!(flags(&judged), [false, false, true, false]);
    assert_nothing_is_lost(&camera, &judged);

    let mut camera = Camera::new(2_000);
    camera.aac_config(0, [0x11, 0x90]);
    for n in 0..188 {
        camera.aac(n * 1024 / 48, 180);
    }
    camera.video_config(4_010, &SPS, &PPS);
    camera.run(0, 4_040, 8_000, 101);
    let judged = camera.end();
    assert!(judged.len() >= 3);
    assert_eq!(judged[0].tracks(), [AAC]);
    assert_eq!(judged.last().unwrap().tracks(), [AVC, AAC]);
    assert_eq!(flags(&judged).iter().filter(|tag| **tag).count(), 1);
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), 0);
}

#[test]
fn late_video_drops_what_cannot_be_decoded_until_its_keyframe() {
    let mut camera = Camera::new(2_000);
    camera.aac_config(0, [0x11, 0x90]);
    for n in 0..94 {
        camera.aac(n * 1024 / 48, 180);
    }
    camera.video_config(2_000, &SPS, &PPS);
    camera.inter(2_010, 0, 300);
    camera.inter(2_050, 0, 300);
    camera.idr(2_090, 0, 900);
    let judged = camera.end();
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), 2);
    assert_eq!(judged.iter().map(|segment| segment.pictures.len()).sum::<usize>(), 1);
}

#[test]
fn vanished_track_is_no_longer_named_and_that_is_tagged_once() {
    for video_stays in [true, false] {
        let mut camera = Camera::new(2_000);
        camera.configure(0);
        camera.pipeline.set_limit(Some(Ticks::from_millis(2_499)));
        camera.run(0, 0, 4_000, 50);
        if video_stays {
            for n in 100..500 {
                camera.frame(n * 40, n % 50 == 0, 400);
            }
        } else {
            for n in 188..940 {
                camera.aac(n * 1024 / 48, 180);
            }
        }
        let judged = camera.end();
        assert_nothing_is_lost(&camera, &judged);
        let both = judged.iter().take_while(|segment| segment.tracks().len() == 2).count();
        assert_eq!(both, 2);
        assert!(judged[1].ms() <= 2_499, "{}", judged[1].ms());
        let left = if video_stays { [AVC] } else { [AAC] };
        assert!(judged[2..].iter().all(|segment| segment.tracks() == left));
        assert_eq!(flags(&judged).iter().filter(|tag| **tag).count(), 1, "{:?}", flags(&judged));
    }
}

#[test]
fn video_that_comes_back_starts_at_a_keyframe_behind_a_tag() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.pipeline.set_limit(Some(Ticks::from_millis(2_499)));
    camera.run(0, 0, 4_000, 50);
    for n in 188..470 {
        camera.aac(n * 1024 / 48, 180);
    }
    let sent = camera.pictures.len();
    camera.inter(10_020, 0, 400);
    camera.inter(10_060, 0, 400);
    camera.pictures.truncate(sent);
    camera.run(0, 10_080, 14_000, 50);
    let judged = camera.end();
    let lost = camera.pictures.iter().filter(|sent| (10_061..12_000).contains(&sent.at)).count();
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), 2 + lost as u64);
    camera.pictures.retain(|sent| !(10_061..12_000).contains(&sent.at));
    assert_nothing_is_lost(&camera, &judged);
    let back = judged.iter().rposition(|segment| segment.segment.discontinuity).unwrap();
    assert_eq!(judged[back].tracks(), [AVC, AAC]);
    assert!(judged[back].pictures[0].random_access);
}

#[test]
fn clock_is_never_100_ms_away_at_1_picture_a_second_or_8_khz() {
    let mut camera = Camera::new(4_000);
    camera.video_config(0, &SPS, &PPS);
    for n in 0..20 {
        camera.frame(n * 1_000, n % 4 == 0, 3_000);
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert!(judged.iter().all(|segment| segment.pcrs.len() >= 30));

    let mut camera = Camera::new(4_000);
    camera.configure(0);
    let mut frame = 0;
    for n in 0..20u32 {
        camera.frame(n * 1_000, n % 4 == 0, 3_000);
        while frame * 1024 / 48 < (n + 1) * 1_000 {
            camera.aac(frame * 1024 / 48, 100);
            frame += 1;
        }
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(durations(&judged)[..4], [4_000; 4]);
}

#[test]
fn segment_is_cut_at_the_limit_when_no_keyframe_comes() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.pipeline.set_limit(Some(Ticks::from_millis(2_499)));
    camera.run(0, 0, 10_000, 1_000);
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert!(durations(&judged).iter().all(|ms| *ms <= 2_499), "{:?}", durations(&judged));
    assert!((10_000..10_022).contains(&durations(&judged).iter().sum::<i64>()));
    assert!(judged[0].segment.independent);
    assert!(judged[1..].iter().all(|segment| segment.segment.forced));
    assert_eq!(camera.count(Counter::SegmentsForced), judged.len() as u64 - 1);
    assert_eq!(flags(&judged), vec![false; judged.len()]);
}

#[test]
fn full_slot_is_cut_early_and_loses_nothing() {
    let mut camera = Camera::with(2_000, 48 << 10, 1 << 20);
    camera.configure(0);
    camera.run(0, 0, 6_000, 50);
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert!(judged.len() > 3);
    assert!((6_000..6_022).contains(&durations(&judged).iter().sum::<i64>()));
    assert!(camera.count(Counter::SlotsFull) > 0);
    assert_eq!(flags(&judged), vec![false; judged.len()]);
}

#[test]
fn picture_larger_than_a_slot_is_dropped_and_cuts_nothing() {
    let mut camera = Camera::with(2_000, 256 << 10, 2 << 20);
    camera.configure(0);
    camera.run(0, 0, 2_000, 50);
    camera.idr(2_000, 0, 300 << 10);
    let lost = camera.pictures.pop();
    assert!(lost.is_some());
    camera.run(0, 2_040, 4_000, 51);
    let judged = camera.end();
    assert_eq!(camera.count(Counter::MediaTooLarge), 1);
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(durations(&judged)[0], 2_040);
}

#[test]
fn missing_slots_leave_a_hole_behind_a_tag_and_go_on_at_a_keyframe() {
    let mut camera = Camera::new(1_000);
    camera.configure(0);
    camera.tape.slots_left = 2;
    camera.run(0, 0, 4_000, 25);
    camera.tape.slots_left = usize::MAX;
    camera.run(0, 4_000, 6_000, 25);
    let judged = camera.end();
    assert_eq!(flags(&judged), [false, false, true, false]);
    assert!(judged.iter().all(|segment| segment.segment.independent));
    assert_eq!(judged[2].segment.start.0 - judged[0].segment.start.0, 4_000 * 90);
    assert!(camera.count(Counter::MediaWithoutSlot) > 0);
}

#[test]
fn parameters_that_change_begin_a_segment_behind_a_tag_and_repeats_do_nothing() {
    let other = [0x67, 0x42, 0xc0, 0x1f];
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 5_000, 25);
    // The same again, three times: no tag (srs 4695).
    for _ in 0..3 {
        camera.configure(5_000);
    }
    camera.run(0, 5_000, 7_000, 25);
    camera.video_config(7_000, &other, &PPS);
    camera.run(0, 7_000, 11_000, 25);
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(durations(&judged)[..5], [2_000, 2_000, 2_000, 1_000, 2_000]);
    assert_eq!(flags(&judged), [false, false, false, false, true, false]);
    assert!(judged[4].pictures[0].nals.contains(&other.to_vec()));
    assert!(judged[3].pictures[0].nals.contains(&SPS.to_vec()));
}

#[test]
fn parameters_that_change_in_band_begin_a_segment_behind_a_tag() {
    let other = [0x67, 0x42, 0xc0, 0x1f];
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 3_000, 25);
    let idr = camera.nal(0x65, 700);
    camera.access_unit(3_000, 0, &[&other, &PPS, &idr]);
    camera.run(0, 3_040, 6_000, 25);
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(flags(&judged), [false, false, true, false]);
    assert_eq!(durations(&judged), [2_000, 1_000, 2_000, 1_000]);
    assert!(judged[3].pictures[0].nals.contains(&other.to_vec()), "the new ones are kept");
}

#[test]
fn pending_change_keeps_its_tag_for_the_keyframe_when_a_slot_is_full_before_it() {
    let other = [0x67, 0x42, 0xc0, 0x1f];
    let mut camera = Camera::with(10_000, 40 << 10, 1 << 20);
    camera.video_config(0, &SPS, &PPS);
    for n in 0..50 {
        camera.frame(n * 40, n % 100 == 0, 900);
    }
    camera.video_config(2_000, &other, &PPS);
    for n in 50..150 {
        camera.frame(n * 40, n % 100 == 0, 900);
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    let tagged: Vec<_> = judged.iter().filter(|segment| segment.segment.discontinuity).collect();
    assert_eq!(tagged.len(), 1);
    assert!(tagged[0].pictures[0].nals.contains(&other.to_vec()));
    assert!(judged.len() > 3);
}

#[test]
fn parameter_sets_in_a_message_of_their_own_are_taken() {
    let mut camera = Camera::new(2_000);
    for at in [0, 2_000] {
        camera.access_unit(at, 0, &[&SPS, &PPS]);
        camera.pictures.pop();
        camera.run(0, at, at + 2_000, 50);
        camera.sounds.clear();
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(durations(&judged), [2_000, 2_000]);
    assert_eq!(camera.pipeline.size().map(|size| size.width), None, "left");
}

#[test]
fn audio_of_another_kind_waits_for_the_keyframe_and_comes_behind_a_tag() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 3_000, 25);
    // 44.1 kHz from here on, announced 500 ms before a keyframe.
    camera.run(0, 3_000, 3_520, 25);
    camera.aac_config(3_520, [0x12, 0x10]);
    let mut frame = 0;
    for at in (3_520..8_000).step_by(40) {
        camera.frame(at, at % 1_000 == 0, 900);
        while 3_520 + frame * 1024 * 10 / 441 < at + 40 {
            camera.aac(3_520 + frame * 1024 * 10 / 441, 150);
            frame += 1;
        }
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(flags(&judged), [false, false, true, false]);
    assert_eq!(durations(&judged)[..3], [2_000, 2_000, 2_000]);
    let index = |sound: &Out| sound.data[2] >> 2 & 15;
    assert!(judged[..2].iter().flat_map(|s| &s.sounds).all(|sound| index(sound) == 3));
    assert!(judged[2..].iter().flat_map(|s| &s.sounds).all(|sound| index(sound) == 4));
}

#[test]
fn audio_alone_that_changes_its_kind_is_cut_there() {
    let mut camera = Camera::new(2_000);
    camera.aac_config(0, [0x11, 0x90]);
    for n in 0..140 {
        camera.aac(n * 1024 / 48, 180);
    }
    let frame = mp3_frame(1);
    let mut at = 140 * 1024 / 48;
    for _ in 0..100 {
        camera.send(false, at, &[&[0x2f][..], &frame].concat());
        at += 26;
    }
    let judged = camera.end();
    assert_eq!(flags(&judged), [false, false, true, false]);
    let kinds: Vec<_> = judged.iter().map(|segment| segment.tracks()[0].1).collect();
    assert_eq!(kinds, [0x0f, 0x0f, 0x03, 0x03]);
    let bytes: usize = judged[2..].iter().flat_map(|s| &s.sounds).map(|s| s.data.len()).sum();
    assert_eq!(bytes, 100 * frame.len());
}

/// A frame of layer III, 128 kbit/s at 44.1 kHz, whose payload holds no header.
fn mp3_frame(fill: u8) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90, 0];
    frame.resize(417, fill & 0x7f);
    frame
}

#[test]
fn mp3_goes_through_whole_in_groups_and_in_halves() {
    // 1: a frame per message. 2: three. 3: every frame is split over two messages.
    for way in 1..=3 {
        let mut camera = Camera::new(2_000);
        let stream: Vec<u8> = (0..240u8).flat_map(mp3_frame).collect();
        let mut sent = 0;
        let mut frames = 0u32;
        while sent < stream.len() {
            let bytes = match way {
                1 => 417,
                2 => 3 * 417,
                _ if frames == 0 => 417 + 200,
                _ => 417,
            };
            let to = (sent + bytes).min(stream.len());
            let at = frames * 11_520 / 441;
            camera.send(false, at, &[&[0x2f][..], &stream[sent..to]].concat());
            frames += if way == 2 { 3 } else { 1 + u32::from(way == 3 && frames == 0) };
            sent = to;
        }
        let judged = camera.end();
        let sounds: Vec<_> = judged.iter().flat_map(|segment| &segment.sounds).collect();
        let out: Vec<u8> = sounds.iter().flat_map(|sound| sound.data.clone()).collect();
        assert!(out == stream, "way {way}");
        assert!(judged.iter().all(|segment| segment.tracks() == [(AUDIO, 0x03)]), "way {way}");
        let total: i64 = judged.iter().map(|segment| segment.segment.duration.0).sum();
        assert!((total - 240 * 1152 * 90_000 / 44_100).abs() <= 90, "way {way}: {total}");
        let mut at = 0;
        for sound in sounds {
            // The time is that of the first frame that begins in the packet.
            let frame = i64::from(u32::try_from(usize::div_ceil(at, 417)).unwrap());
            let pts = TIMELINE_EPOCH.0 + LEAD + frame * 1152 * 90_000 / 44_100;
            assert!((sound.pts - pts).abs() <= 1, "way {way}: {} {pts}", sound.pts);
            at += sound.data.len();
        }
    }
}

/// The ADTS header of a frame of so many bytes.
fn adts_header(bytes: usize) -> [u8; 7] {
    let len = bytes + 7;
    [0xff, 0xf1, 0x4c, 0x80 | (len >> 11) as u8, (len >> 3) as u8, (len << 5) as u8 | 0x1f, 0xfc]
}

#[test]
fn message_has_so_many_audio_frames_and_the_rest_is_counted() {
    let most = AUDIO_FRAMES_PER_MESSAGE_MAX as usize;
    for (frames, lost) in [(most, 0), (most + 1, 1), (3 * most, 1)] {
        let mut camera = Camera::new(60_000);
        let one = [&adts_header(4)[..], &[0x21, 1, 2, 3]].concat();
        camera.send(false, 0, &[&[0xaf, 1][..], &one.repeat(frames)].concat());
        let mut ac3 = Camera::new(60_000);
        let frame = enhanced::ac3_frame(1);
        ac3.send(false, 0, &enhanced::audio(b"ac-3", enhanced::FRAMES, &frame.repeat(frames)));
        for mut camera in [camera, ac3] {
            let total: i64 = camera.end().iter().map(|one| one.segment.duration.0).sum();
            let each = total / most as i64;
            assert!([1_920, 2_880].contains(&each) && total == each * most as i64, "{total}");
            assert_eq!(camera.count(Counter::MediaMalformed), lost, "{frames} frames");
        }
    }
}

#[test]
fn adts_in_a_message_is_not_doubled() {
    let mut camera = Camera::new(2_000);
    let header = adts_header;
    for n in 0..100u32 {
        let (a, b) = (camera.nal(0x21, 100), camera.nal(0x21, 120));
        let payload = [&[0xaf, 1][..], &header(100), &a, &header(120), &b].concat();
        camera.send(false, n * 2 * 1024 / 48, &payload);
        for frame in [a, b] {
            camera.sounds.push(Sent { at: 0, cts: 0, parts: vec![frame] });
        }
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    let total: i64 = judged.iter().map(|segment| segment.segment.duration.0).sum();
    assert_eq!(total, 200 * 1_920);
}

#[test]
fn pictures_out_of_order_and_before_their_time_keep_theirs() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    for n in 0..150u32 {
        let cts = [80, 160, -40, -200][n as usize % 4];
        let nal = camera.nal(if n % 50 == 0 { 0x65 } else { 0x41 }, 600);
        camera.access_unit(n * 40, cts, &[&nal]);
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_times(&camera, &judged);
    assert_eq!(durations(&judged), [2_000, 2_000, 2_000]);
}

#[test]
fn last_segment_is_written_when_the_publisher_leaves_with_its_own_duration() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 3_200, 50);
    let judged = camera.end();
    assert_eq!(judged.len(), 2);
    assert_eq!(durations(&judged)[0], 2_000);
    assert!((1_200..=1_222).contains(&durations(&judged)[1]), "{:?}", durations(&judged));
    assert_nothing_is_lost(&camera, &judged);
    camera.leave();
    assert_eq!(camera.tape.segments.len(), 2, "leaving twice changes nothing");
}

#[test]
fn publisher_that_comes_again_continues_behind_a_tag_at_a_keyframe() {
    let mut camera = Camera::new(2_000);
    for round in 0..3 {
        camera.configure(0);
        let pictures = camera.pictures.len();
        if round > 0 {
            camera.inter(0, 0, 400);
            camera.inter(40, 0, 400);
            camera.pictures.truncate(pictures);
        }
        camera.run(80, 0, 4_000, 50);
        camera.leave();
    }
    let judged = judge(&camera.tape.segments);
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(flags(&judged), [false, false, true, false, true, false]);
    assert!(judged.iter().all(|segment| segment.segment.independent));
    assert!(judged.iter().all(|segment| segment.pmt.version == 0));
}

#[test]
fn audio_before_the_first_keyframe_is_kept_from_the_clock_on() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    for n in 0..47 {
        camera.aac(n * 1024 / 48, 180);
    }
    for at in (1_000..4_000).step_by(40) {
        camera.frame(at, at == 1_000 || at == 3_000, 800);
    }
    let judged = camera.end();
    // What would be late when it arrives is not sent: more than the clock's lead and the lead of
    // presentation before the picture.
    let early = 1_000 - (PCR_LEAD_TICKS.0 / 90 + COMPOSITION_LEAD_MS) as u32;
    let before = camera.sounds.len();
    camera.sounds.retain(|sound| sound.at > early);
    let late = (before - camera.sounds.len()) as u64;
    assert_eq!(camera.count(Counter::MediaBeforeKeyframe), late);
    assert!(late > 0);
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(judged[0].order[0], VIDEO);
    assert_eq!(durations(&judged), [2_000, 1_000]);
}

#[test]
fn streams_without_idr_are_cut_where_they_say_and_not_called_independent() {
    // With a recovery point, and with the encoder's word alone.
    for recovery in [true, false] {
        let mut camera = Camera::new(2_000);
        camera.configure(0);
        for n in 0..200u32 {
            let mut nal = camera.nal(0x41, 900);
            if n % 50 != 0 {
                camera.access_unit(n * 40, 0, &[&nal]);
                continue;
            }
            nal[..3].copy_from_slice(&I_SLICE);
            if recovery {
                camera.access_unit(n * 40, 0, &[&RECOVERY, &nal]);
            } else {
                camera.access_unit(n * 40, 0, &[&nal]);
            }
        }
        let judged = camera.end();
        assert_nothing_is_lost(&camera, &judged);
        assert_eq!(durations(&judged), [2_000; 4]);
        for segment in &judged {
            assert!(!segment.segment.independent && !segment.segment.forced);
            assert!(segment.pictures[0].random_access);
            assert!(segment.pictures[0].nals.contains(&SPS.to_vec()), "sets before it");
        }
        assert_eq!(camera.count(Counter::SegmentsForced), 0);
    }
}

#[test]
fn start_codes_instead_of_lengths_come_out_the_same() {
    let mut camera = Camera::new(2_000);
    for n in 0..100u32 {
        let nal = camera.nal(if n % 50 == 0 { 0x65 } else { 0x41 }, 700);
        let sets = [&[0, 0, 0, 1][..], &SPS, &[0, 0, 0, 1], &PPS, &[0, 0, 1]].concat();
        let before = if n % 50 == 0 { sets } else { vec![0, 0, 0, 1, 9, 0xf0, 0, 0, 1] };
        let data = [&before, &nal[..]].concat();
        camera.picture_data(n * 40, 0, &data, &[&nal]);
    }
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_times(&camera, &judged);
    assert_eq!(flags(&judged), [false, false]);
}

#[test]
fn time_that_jumps_ends_the_segment_and_nothing_is_lost() {
    for (to, key) in [(1_000_000, true), (1_000_000, false), (0, true), (0, false)] {
        let mut camera = Camera::new(2_000);
        camera.configure(500_000);
        camera.run(500_000, 0, 5_000, 50);
        // Audio may come first at the new time.
        camera.aac(to, 170);
        let base = if key { to } else { to + 40 };
        let from = if key { 0 } else { 40 };
        let mut frame = 1;
        for at in (from..4_000).step_by(40) {
            camera.frame(base - from + at, at % 2_000 == 0, 800);
            while frame * 1024 / 48 < at + 40 {
                camera.aac(base - from + frame * 1024 / 48, 170);
                frame += 1;
            }
        }
        let judged = camera.end();
        assert_nothing_is_lost(&camera, &judged);
        assert_eq!(flags(&judged).iter().filter(|tag| **tag).count(), 1, "{:?}", flags(&judged));
        assert_eq!(camera.count(Counter::MediaJumps), 1);
        assert!(judged.iter().all(|segment| segment.tracks() == [AVC, AAC]));
        let total: i64 = judged.iter().map(Judged::ms).sum();
        assert!((8_900..9_150).contains(&total), "{total}");
    }
}

#[test]
fn codecs_that_cannot_be_carried_are_named_once_and_the_rest_goes_on() {
    let mut camera = Camera::new(2_000);
    camera.video_config(0, &SPS, &PPS);
    for n in 0..100u32 {
        camera.frame(n * 40, n % 50 == 0, 500);
        camera.send(false, n * 40, &[0x7e, 0x55, 0x55]);
    }
    let problem = camera.pipeline.problem().to_owned();
    assert!(problem.contains("G.711") && problem.contains("AAC"), "{problem}");
    assert_eq!(camera.count(Counter::MediaUnsupported), 100);
    camera.send(true, 4_000, &[0x12, 0, 0]);
    assert_eq!(camera.pipeline.problem(), problem, "once");
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(camera.pipeline.problem(), "");
}

#[test]
fn every_codec_is_named_within_the_room_of_a_problem() {
    for first in 0..=u8::MAX {
        for payload in [&[first, 0, 0][..], &[first, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]] {
            for video in [true, false] {
                let mut camera = Camera::new(2_000);
                camera.send(video, 0, payload);
                let problem = camera.pipeline.problem();
                // The longest ends as the shortest do.
                assert!(problem.is_empty() || problem.contains(": set the camera to "));
                assert!(problem.len() < STREAM_PROBLEM_BYTES_MAX, "{problem}");
            }
        }
    }
}

#[test]
fn video_gap_does_not_stretch_the_picture_after_it() {
    let mut camera = Camera::new(2_000);
    camera.configure(0);
    camera.run(0, 0, 1_000, 100);
    camera.inter(9_000, 0, 500);
    let judged = camera.end();
    assert_nothing_is_lost(&camera, &judged);
    assert_eq!(durations(&judged).iter().sum::<i64>(), 9_040);
}

#[derive(Clone, Debug)]
enum Act {
    VideoConfig(u8),
    AacConfig(u8),
    Picture { key: bool, cts: i32, bytes: usize },
    Aac { bytes: usize },
    Mp3 { from: usize, to: usize },
    Raw { video: bool, bytes: Vec<u8> },
    Step { ms: u32 },
    Jump { at: u32 },
    Limit { ms: i64 },
    Slots { left: usize },
    Leave,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0..2u8).prop_map(Act::VideoConfig),
        1 => (0..2u8).prop_map(Act::AacConfig),
        12 => (any::<bool>(), -300..500i32, 6..9_000usize)
            .prop_map(|(key, cts, bytes)| Act::Picture { key, cts, bytes }),
        12 => (1..700usize).prop_map(|bytes| Act::Aac { bytes }),
        2 => (0..900usize, 0..900usize).prop_map(|(from, to)| Act::Mp3 { from, to }),
        2 => (any::<bool>(), prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(video, bytes)| Act::Raw { video, bytes }),
        16 => (0..200u32).prop_map(|ms| Act::Step { ms }),
        1 => (200..30_000u32).prop_map(|ms| Act::Step { ms }),
        1 => any::<u32>().prop_map(|at| Act::Jump { at }),
        1 => (500..8_000i64).prop_map(|ms| Act::Limit { ms }),
        1 => (0..4usize).prop_map(|left| Act::Slots { left }),
        1 => Just(Act::Slots { left: usize::MAX }),
        1 => Just(Act::Leave),
    ]
}

fn play(acts: Vec<Act>, slot_bytes: usize) {
    let mut camera = Camera::with(1_000, slot_bytes, 64 << 10);
    let mut at = 0u32;
    let mp3: Vec<u8> = (0..3).flat_map(mp3_frame).collect();
    camera.configure(0);
    for act in acts {
        match act {
            Act::VideoConfig(n) => camera.video_config(at, &[0x67, 0x42, 0xc0, 0x1e + n], &PPS),
            Act::AacConfig(n) => camera.aac_config(at, [[0x11, 0x90], [0x12, 0x10]][n as usize]),
            Act::Picture { key, cts, bytes } => {
                let nal = camera.nal(if key { 0x65 } else { 0x41 }, bytes);
                camera.access_unit(at, cts, &[&nal]);
            }
            Act::Aac { bytes } => camera.aac(at, bytes),
            Act::Mp3 { from, to } => {
                let part = mp3.get(from..to).unwrap_or_default();
                camera.send(false, at, &[&[0x2f][..], part].concat());
            }
            Act::Raw { video, bytes } => camera.send(video, at, &bytes),
            Act::Step { ms } => at = at.wrapping_add(ms),
            Act::Jump { at: to } => at = to,
            Act::Limit { ms } => camera.pipeline.set_limit(Some(Ticks::from_millis(ms))),
            Act::Slots { left } => camera.tape.slots_left = left,
            Act::Leave => camera.leave(),
        }
    }
    camera.leave();
    structurally_valid(&camera);
}

/// What holds even for time that no camera has.
fn structurally_valid(camera: &Camera) {
    let mut demux = ts::Demux::default();
    let mut before: Option<rillcast::media::sink::Segment> = None;
    for (n, (segment, bytes)) in camera.tape.segments.iter().enumerate() {
        let parts = demux.segment(bytes);
        assert!(parts.faults.is_empty(), "segment {n}: {:?}", parts.faults);
        assert_eq!(parts.first_pids, [0, 0x1000]);
        assert!(!parts.pes.is_empty(), "segment {n} holds something");
        assert!(segment.duration > Ticks::ZERO, "segment {n} lasts");
        let pmt = parts.pmt.unwrap();
        for pes in &parts.pes {
            assert!(pmt.streams.iter().any(|(pid, _)| *pid == pes.pid), "segment {n}");
        }
        if let Some(before) = before {
            let end = before.start.plus(before.duration);
            assert!(segment.start >= end || segment.discontinuity, "segment {n} goes on");
            assert!(segment.start == end || segment.discontinuity, "segment {n} leaves no hole");
        }
        before = Some(*segment);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_give_valid_segments(
        acts in prop::collection::vec(act(), 1..400),
        slot_bytes in prop_oneof![Just(20_000usize), Just(100_000), Just(1 << 20)],
    ) {
        play(acts, slot_bytes);
    }
}
