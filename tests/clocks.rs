//! The wraps of senders' clocks: each must pass unseen, for each track, wherever it comes.
//!
//! A sender here has one true clock at 90 kHz and a way to write it; the timeline must give back
//! the true clock to within the millisecond that the wire rounds away, forever, without a jump.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "support is shared, and a test stops where a sender cannot be built"
)]

#[path = "support/wraps.rs"]
mod wraps;

use rillcast::limits::COMPOSITION_LEAD_MS;
use rillcast::media::timeline::Timeline;
use rillcast::time::{Millis, Ticks};
use wraps::{WRAPS, Wrap};

const LEAD: i64 = COMPOSITION_LEAD_MS * 90;

#[derive(Clone, Copy, Debug)]
struct Tracks {
    video: bool,
    audio: bool,
    /// Ticks by which audio is behind video at the same place of the stream.
    audio_behind: i64,
    b_frames: bool,
}

/// Sends 20 s around three wraps of the clock (and the rest of the way in 9 s steps).
fn passes_unseen(wrap: Wrap, tracks: Tracks) {
    let context = format!("{} {tracks:?}", wrap.name);
    let start = wrap.period - 10 * 90_000;
    let mut t = Timeline::new(Ticks(0));
    let mut origin = None;
    let mut last_video = -1;
    let mut last_audio = i64::MIN;
    let mut now = start;
    let mut frame = 0usize;
    let mut audio_at = start - tracks.audio_behind;
    while now < 3 * wrap.period + 10 * 90_000 {
        let near = (now + 10 * 90_000).rem_euclid(wrap.period) < 20 * 90_000;
        let origin = *origin.get_or_insert(if tracks.video { now } else { audio_at });
        if tracks.video {
            let cts = if tracks.b_frames { [80, 160, -40, -40][frame % 4] } else { 0 };
            let v = t.video(wrap.stamp(now), cts);
            assert!(!v.jump, "{context}");
            assert!(v.dts.0 > last_video && v.pts >= v.dts, "{context}");
            assert!((v.dts.0 - (now - origin)).abs() <= 90, "{context}: {} at {now}", v.dts.0);
            assert_eq!(v.pts.0, v.dts.0 + LEAD + i64::from(cts) * 90, "{context}");
            last_video = v.dts.0;
        }
        if tracks.audio {
            let until = now - tracks.audio_behind + 3_600;
            while audio_at < until {
                let a = t.audio(wrap.stamp(audio_at), 1024, 48_000);
                assert!(!a.jump, "{context}");
                assert!(a.pts.0 > last_audio, "{context}");
                let off = a.pts.0 - LEAD - (audio_at - origin);
                assert!(off.abs() <= 180, "{context}: audio off by {off} at {audio_at}");
                last_audio = a.pts.0;
                audio_at += 1_920;
            }
        }
        frame += 1;
        now += if near { 3_600 } else { 9 * 90_000 };
        if !near && tracks.audio {
            // Lost audio, resumed with the next step.
            audio_at = now - tracks.audio_behind;
        }
        t.check_invariants();
    }
    assert_eq!(t.counts().jumps, 0, "{context}");
    if wrap.period != (1 << 32) * 90 {
        let per_track = u64::from(tracks.video) + u64::from(tracks.audio);
        assert_eq!(t.counts().wraps, 3 * per_track, "{context}");
    }
}

#[test]
fn five_wraps_pass_unseen_in_video_alone() {
    for wrap in WRAPS {
        for b_frames in [false, true] {
            passes_unseen(wrap, Tracks { video: true, audio: false, audio_behind: 0, b_frames });
        }
    }
}

#[test]
fn five_wraps_pass_unseen_in_audio_alone() {
    for wrap in WRAPS {
        let tracks = Tracks { video: false, audio: true, audio_behind: 0, b_frames: false };
        passes_unseen(wrap, tracks);
    }
}

#[test]
fn five_wraps_pass_unseen_when_tracks_wrap_at_different_messages() {
    for wrap in WRAPS {
        for audio_behind in [-90_000, -1_000, 0, 1_000, 90_000] {
            let tracks = Tracks { video: true, audio: true, audio_behind, b_frames: true };
            passes_unseen(wrap, tracks);
        }
    }
}

#[test]
fn audio_absent_for_hours_and_over_a_wrap_comes_back_in_place() {
    for wrap in WRAPS {
        let mut t = Timeline::new(Ticks(0));
        let start = wrap.period - 3_600 * 90_000;
        t.audio(wrap.stamp(start), 1024, 48_000);
        for s in (0..7_200).step_by(5) {
            assert!(!t.video(wrap.stamp(start + s * 90_000), 0).jump);
        }
        let a = t.audio(wrap.stamp(start + 7_199 * 90_000), 1024, 48_000);
        let off = a.pts.0 - LEAD - 7_199 * 90_000;
        assert!(!a.jump && off.abs() <= 90, "{}: {off}", wrap.name);
    }
}

#[test]
fn tracks_that_begin_on_either_side_of_a_wrap_share_its_clock() {
    for wrap in WRAPS {
        for (video_ms, audio_ms) in [(-30, 20), (20, -30)] {
            let mut t = Timeline::new(Ticks(0));
            let v = t.video(wrap.stamp(wrap.period + video_ms * 90), 0);
            let a = t.audio(wrap.stamp(wrap.period + audio_ms * 90), 1024, 48_000);
            let relation = a.pts.0 - LEAD - v.dts.0 - (audio_ms - video_ms) * 90;
            assert!(relation.abs() <= 90, "{}: {relation}", wrap.name);
        }
    }
}

#[test]
fn a_frame_out_of_order_at_a_wrap_is_clamped_and_not_a_jump() {
    for wrap in WRAPS {
        let mut t = Timeline::new(Ticks(0));
        let mut send = |ms: i64| t.video(wrap.stamp(wrap.period + ms * 90), 0);
        let first = send(-40).dts.0;
        assert!(!send(10).jump);
        assert!(!send(-5).jump, "{}", wrap.name);
        assert!(!send(5).jump);
        let v = send(50);
        assert!((v.dts.0 - first - 90 * 90).abs() <= 90, "{}", wrap.name);
    }
}

#[test]
fn a_gap_across_a_wrap_is_still_a_gap() {
    for wrap in WRAPS {
        let mut t = Timeline::new(Ticks(0));
        t.video(wrap.stamp(wrap.period - 4_000 * 90), 0);
        let v = t.video(wrap.stamp(wrap.period + 5_000 * 90), 0);
        assert!(!v.jump, "{}", wrap.name);
        assert!((v.dts.0 - 9_000 * 90).abs() <= 90);
    }
}

#[test]
fn a_drop_that_is_no_wrap_is_a_jump() {
    for (from, to) in [(16_000_000u32, 1_100_000u32), (8_000_000, 0), (47_721_858, 30_000)] {
        let mut t = Timeline::new(Ticks(0));
        t.video(Millis(from), 0);
        assert!(t.video(Millis(to), 0).jump, "{from} to {to}");
    }
}

/// Two cameras stuck at segment 11871 of 4.02 s, one segment then grew without end.
#[test]
fn nginx_784_segments_go_on_after_13_h() {
    let wrap = WRAPS[1];
    let mut t = Timeline::new(Ticks(0));
    let mut segments = 0;
    let mut began = 0;
    for frame in 0..4 * 12_000i64 {
        let v = t.video(wrap.stamp(frame * 90_450), 0);
        assert!(!v.jump);
        if v.dts.0 - began >= 4 * 90_000 {
            assert!((v.dts.0 - began - 4 * 90_450).abs() <= 90, "segment {segments}");
            began = v.dts.0;
            segments += 1;
        }
    }
    assert_eq!(segments, 11_999);
}

/// "Force fragment split ±682283 s" for ever: audio and video on different bases.
#[test]
fn nginx_568_srs_4586_separate_bases_give_no_discontinuity() {
    for apart in [682_283_000u32, 0u32.wrapping_sub(682_283_000)] {
        let mut t = Timeline::new(Ticks(0));
        for ms in (0..100_000).step_by(40) {
            let v = t.video(Millis(ms), 0);
            let a = t.audio(Millis(apart.wrapping_add(ms)), 1_920, 48_000);
            assert!(!v.jump && !a.jump);
            assert_eq!(a.pts.0 - v.dts.0, LEAD);
        }
    }
}

/// The encoder's clock is set back by an hour.
#[test]
fn srs_116_clock_set_back_is_one_discontinuity() {
    let mut t = Timeline::new(Ticks(0));
    let (mut video, mut audio) = (-1, -1);
    for n in 0..1_000u32 {
        let ms = 10_000_000 + n * 40 - if n < 500 { 0 } else { 3_600_000 };
        let v = t.video(Millis(ms), 0);
        let a = t.audio(Millis(ms + 7), 1_920, 48_000);
        assert_eq!((v.jump, a.jump), (n == 500, false), "frame {n}");
        assert!(v.dts.0 > video && a.pts.0 > audio);
        assert_eq!(a.pts.0 - v.dts.0 - LEAD, 7 * 90, "frame {n}");
        (video, audio) = (v.dts.0, a.pts.0);
    }
}

/// Audio and video ran apart over days, in HLS only. Here the sound card is 30 ppm fast.
#[test]
fn srs_1503_audio_stays_with_video_for_three_days() {
    let mut t = Timeline::new(Ticks(0));
    let mut frame = 0u64;
    for ms in (0..3 * 86_400_000u32).step_by(200) {
        let v = t.video(Millis(ms), 0);
        // 1024 samples last 23.2200 ms; the wall says 23.2193.
        while frame * 232_193 / 10_000 <= u64::from(ms) {
            let wire = u32::try_from(frame * 232_193 / 10_000).unwrap();
            let a = t.audio(Millis(wire), 1_024, 44_100);
            assert!(!a.jump);
            let off = a.pts.0 - LEAD - i64::from(wire) * 90;
            assert!(off.abs() <= 53 * 90, "{} ms off at {ms}", off / 90);
            frame += 1;
        }
        assert_eq!(v.dts.0, i64::from(ms) * 90);
    }
}
