//! Kinds of streams: each is published byte for byte as made, and every access unit is compared.

use std::time::{Duration, Instant};

use crate::support::flv;
use crate::support::http;
use crate::support::media;
use crate::support::rillcast::Rillcast;
use crate::support::rtmp::Raw;
use crate::support::session::{self, Expect, publish_and_judge};
use crate::support::{follow, ts};

fn whole_stream(name: &str, path: &str) -> follow::Follower {
    publish_and_judge(name, &flv::read_file(path), 4096, Expect::default())
}

fn stream_types(follower: &follow::Follower) -> Vec<u8> {
    let segment = ts::Demux::default().segment(&follower.segments[0].bytes);
    segment.pmt.expect("a PMT").streams.iter().map(|(_, kind)| *kind).collect()
}

#[test]
fn plain_stream_comes_out_unit_for_unit() {
    let follower = whole_stream("plain", &media::plain(10));
    assert_eq!(stream_types(&follower), [0x1b, 0x0f]);
    // A keyframe each second and a target of one second: a cut at each keyframe.
    assert_eq!(follower.segments.len(), 10);
    assert!(follower.segments[..9].iter().all(|got| got.entry.extinf_us == 1_000_000));
}

#[test]
fn b_frames_keep_their_two_times() {
    let tags = flv::read_file(&media::b_frames(10));
    assert!(
        flv::sent(&tags).video.iter().any(|unit| unit.cts > 0),
        "the input has composition times"
    );
    publish_and_judge("b-frames", &tags, 4096, Expect::default());
}

#[test]
fn negative_composition_times_keep_presentation_exact() {
    let tags = media::negative_cts(&flv::read_file(&media::b_frames(10)), 80);
    assert!(
        flv::sent(&tags).video.iter().any(|unit| unit.cts < 0),
        "the input has negative composition times"
    );
    publish_and_judge("negative composition times", &tags, 4096, Expect::default());
}

#[test]
fn aac_48000_comes_out_frame_for_frame() {
    whole_stream("aac 48000 stereo", &media::aac_48000(10));
}

#[test]
fn he_aac_is_carried_with_its_core_rate() {
    publish_and_judge(
        "he-aac as signalled (constructed)",
        &media::he_aac_signalled(8),
        4096,
        Expect {
            // A decoder looks for the SBR data that the constructed frames do not have.
            decodes: false,
            ..Expect::default()
        },
    );
}

#[test]
fn mp3_44100_is_stream_type_3() {
    assert_eq!(stream_types(&whole_stream("mp3 44100", &media::mp3(8, 44_100))), [0x1b, 0x03]);
}

#[test]
fn mp3_22050_is_stream_type_4() {
    assert_eq!(stream_types(&whole_stream("mp3 22050", &media::mp3(8, 22_050))), [0x1b, 0x04]);
}

#[test]
fn silence_comes_out_frame_for_frame() {
    whole_stream("silence", &media::silence(8));
}

#[test]
fn video_only_stream_lists_no_audio() {
    assert_eq!(stream_types(&whole_stream("video only", &media::video_only(8))), [0x1b]);
}

#[test]
fn audio_only_stream_lists_no_video() {
    assert_eq!(stream_types(&whole_stream("audio only", &media::audio_only(8))), [0x0f]);
}

#[test]
fn slow_pictures_still_carry_a_clock_every_100_ms() {
    whole_stream("five pictures a second", &media::slow_picture(8));
}

#[test]
fn long_gop_stays_within_the_target_duration() {
    let tags = flv::read_file(&media::long_gop(15));
    publish_and_judge(
        "a keyframe every 5 s",
        &tags,
        4096,
        Expect { forced_cuts: true, ..Expect::default() },
    );
}

#[test]
fn picture_size_changes_at_a_discontinuity() {
    let (small, large) = (flv::read_file(&media::plain(5)), flv::read_file(&media::larger(5)));
    let tags = media::joined(&small, &large);
    let follower = publish_and_judge(
        "320x240, then 640x360",
        &tags,
        4096,
        Expect { runs: 2, audio_slack: 90, decodes: false, ..Expect::default() },
    );
    let at =
        follower.segments.iter().position(|got| got.entry.discontinuity).expect("a discontinuity");
    let parts = [&follower.segments[..at], &follower.segments[at..]];
    for (part, frames) in parts.iter().zip([125, 125]) {
        assert_eq!(crate::support::outside::ffmpeg_decodes_segments(part).unwrap().0, frames);
    }
}

#[test]
fn picture_that_starts_two_seconds_after_sound_is_whole() {
    let tags = media::delayed(&flv::read_file(&media::plain(8)), flv::VIDEO, 2000);
    publish_and_judge(
        "video 2 s late",
        &tags,
        4096,
        Expect { runs: 0, forced_cuts: true, decodes: false, ..Expect::default() },
    );
}

#[test]
fn sound_that_starts_two_seconds_after_the_picture_is_whole() {
    let tags = media::delayed(&flv::read_file(&media::plain(8)), flv::AUDIO, 2000);
    publish_and_judge(
        "audio 2 s late",
        &tags,
        4096,
        Expect { runs: 0, decodes: false, ..Expect::default() },
    );
}

#[test]
fn repeated_aac_configuration_is_no_discontinuity() {
    let tags = media::repeated_aac_config(&flv::read_file(&media::plain(8)), 2000);
    assert!(tags.iter().filter(|tag| tag.is_audio_config()).count() >= 4);
    publish_and_judge("aac configuration every 2 s", &tags, 4096, Expect::default());
}

#[test]
fn chunk_size_does_not_change_what_comes_out() {
    let rillcast = Rillcast::start(&[("limits.streams", "8")]);
    let tags = flv::read_file(&media::plain(4));
    for chunk in [1, 2, 127, 128, 65_536, 1 << 24] {
        session::publish_to(
            &rillcast,
            &format!("chunk{chunk}"),
            &format!("chunk size {chunk}"),
            &tags,
            chunk,
            Expect::default(),
        );
    }
}

/// Times pass the 24-bit limit, the 32-bit limit, and 2^33 / 90 000 s, in mid-stream.
#[test]
fn clock_wraps_pass_unseen() {
    let rillcast = Rillcast::start(&[("limits.streams", "8")]);
    for (name, start) in [
        ("24 bits", 0xff_ffff_u32 - 3000),
        ("32 bits", u32::MAX - 3000),
        ("33 bits of 90 kHz", 95_443_717 - 3000),
        ("31 bits", (1 << 31) - 3000),
    ] {
        let tags = media::shifted(&flv::read_file(&media::plain(6)), start);
        let key = format!("wrap{start}");
        session::publish_to(
            &rillcast,
            &key,
            &format!("wrap of {name}"),
            &tags,
            128,
            Expect::default(),
        );
    }
}

#[test]
fn returning_publisher_continues_the_playlist() {
    let rillcast = Rillcast::start(&[]);
    let tags = flv::read_file(&media::plain(5));
    let mut follower = rillcast.follow("cam");
    let mut sent = flv::Sent::default();
    for round in 0..2 {
        Raw::publish_whole(rillcast.rtmp, "cam", 4096, &tags, 0.0);
        sent = sent.then(flv::sent(&tags));
        session::whole(&mut follower, &sent, Duration::from_secs(8));
        assert!(
            !follower.last.as_ref().is_some_and(|list| list.ended),
            "the stream was ended in round {round}"
        );
    }
    session::judge(
        &rillcast,
        "cam",
        "published twice",
        &follower,
        &sent,
        Expect { runs: 2, decodes: false, ..Expect::default() },
    );
    let marks: Vec<u64> = follower
        .segments
        .iter()
        .filter(|got| got.entry.discontinuity)
        .map(|got| got.entry.sequence)
        .collect();
    assert_eq!(marks, [5], "the discontinuity is on the first segment of the second round");
    assert_eq!(follower.segments.len(), 10);
}

/// The window slides over a discontinuity; what left stays fetchable for as long as the RFC says.
#[test]
fn window_slides_and_keeps_what_left_it() {
    let rillcast = Rillcast::start(&[("hls.window_segments", "4")]);
    let tags = flv::read_file(&media::plain(10));
    let mut follower = rillcast.follow("cam");
    let mut sent = flv::Sent::default();
    for speed in [0.0, 1.0] {
        let part = if speed > 0.0 { tags.clone() } else { media::before(&tags, 3000) };
        sent = sent.then(flv::sent(&part));
        let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                raw.tags(&part, speed);
                raw.leave();
            });
            session::whole(&mut follower, &sent, Duration::from_secs(20));
        });
    }
    let list = follower.last.clone().expect("a playlist");
    assert!(list.sequence > 5, "the window slid: {list:?}");
    assert_eq!(list.discontinuity_sequence, Some(1), "the discontinuity left the window");
    session::judge(
        &rillcast,
        "cam",
        "sliding window",
        &follower,
        &sent,
        Expect { runs: 2, decodes: false, ..Expect::default() },
    );
    let left: Vec<_> = follower
        .segments
        .iter()
        .filter(|got| got.entry.sequence < list.sequence)
        .rev()
        .take(3)
        .collect();
    for got in left {
        let answer = http::get(rillcast.http, &follower.resolve(&got.entry.uri)).unwrap();
        assert_eq!(answer.status, 200, "segment {} left the window too early", got.entry.sequence);
        assert!(answer.body == got.bytes, "segment {} is another one now", got.entry.sequence);
    }
}

#[test]
fn last_segment_is_listed_within_a_second_of_leaving() {
    let rillcast = Rillcast::start(&[]);
    // 2.6 s: the last piece is no whole segment.
    let tags = media::before(&flv::read_file(&media::plain(5)), 2600);
    let sent = flv::sent(&tags);
    Raw::publish_whole(rillcast.rtmp, "cam", 4096, &tags, 1.0);
    let left = Instant::now();
    let mut follower = rillcast.follow("cam");
    assert!(
        session::whole(&mut follower, &sent, Duration::from_secs(5)),
        "{} of {} pictures",
        follower.units.0,
        sent.video.len()
    );
    let took = left.elapsed();
    session::judge(&rillcast, "cam", "a short last piece", &follower, &sent, Expect::default());
    println!("the last piece was listed {took:?} after the publisher left");
    assert!(took < Duration::from_millis(1500), "listed after {took:?}");
}

/// A publisher that vanishes without a word, as a camera that loses power and its TCP reset does.
#[test]
fn last_segment_is_flushed_when_the_connection_is_reset() {
    let rillcast = Rillcast::start(&[]);
    let tags = media::before(&flv::read_file(&media::plain(5)), 2600);
    let sent = flv::sent(&tags);
    let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
    raw.tags(&tags, 2.0);
    std::thread::sleep(Duration::from_millis(300));
    drop(raw); // Unread replies make this a reset.
    let mut follower = rillcast.follow("cam");
    assert!(
        session::whole(&mut follower, &sent, Duration::from_secs(5)),
        "{} of {} pictures",
        follower.units.0,
        sent.video.len()
    );
    session::judge(&rillcast, "cam", "after a reset", &follower, &sent, Expect::default());
}

#[test]
fn sigterm_ends_within_a_second_with_the_last_segment_on_tmpfs() {
    let mut rillcast = Rillcast::start(&[]);
    let tags = media::before(&flv::read_file(&media::plain(5)), 3600);
    let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
    raw.tags(&tags, 0.0);
    let mut follower = rillcast.follow("cam");
    assert!(
        follower.until(Duration::from_secs(5), |f| f.segments.len() >= 3),
        "{:?}",
        follower.faults
    );
    let (status, took) = rillcast.stop();
    assert!(status.success(), "{status}:\n{}", rillcast.log());
    assert!(took < Duration::from_secs(1), "the end took {took:?}");
    let (_, segments) = follow::from_folder(&rillcast.folder("cam"), "index.m3u8").unwrap();
    session::judge_segments(
        "after SIGTERM, on tmpfs",
        &segments,
        &flv::sent(&tags),
        Expect::default(),
    );
    println!("SIGTERM: ended in {took:?}");
}

/// Streams do not touch each other: three at once, each compared whole.
#[test]
fn three_streams_at_once_stay_apart() {
    let rillcast = Rillcast::start(&[("limits.streams", "4"), ("limits.publishers", "4")]);
    let inputs =
        [("one", media::plain(6)), ("two", media::b_frames(6)), ("three", media::mp3(6, 44_100))];
    std::thread::scope(|scope| {
        for (key, path) in &inputs {
            let rillcast = &rillcast;
            scope.spawn(move || {
                session::publish_to(
                    rillcast,
                    key,
                    &format!("stream {key} of three"),
                    &flv::read_file(path),
                    4096,
                    Expect::default(),
                )
            });
        }
    });
    assert!(rillcast.counter("segments") >= 15.0);
}
