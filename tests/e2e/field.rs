//! What broke for others in the field, one named case each. The name gives the project and the
//! number of its issue; the doc comment says what went wrong there.

use std::time::Duration;

use crate::support::flv::{self, Tag};
use crate::support::media;
use crate::support::process;
use crate::support::rillcast::Rillcast;
use crate::support::rtmp::{self, Message, NULL, Raw, Shortest};
use crate::support::session::{self, Expect, publish_and_judge};
use crate::support::ts;

fn plain(seconds: u32) -> Vec<Tag> {
    flv::read_file(&media::plain(seconds))
}

/// Publishes with a writer of the case's own, then judges everything.
fn publish(name: &str, tags: &[Tag], expect: Expect, write: impl FnOnce(&mut Raw, &[Tag])) {
    let rillcast = Rillcast::start(&[]);
    let sent = flv::sent(tags);
    let mut raw = Raw::start(rillcast.rtmp, "cam", 128);
    write(&mut raw, tags);
    raw.leave();
    let mut follower = rillcast.follow("cam");
    session::whole(&mut follower, &sent, Duration::from_secs(8));
    session::judge(&rillcast, "cam", name, &follower, &sent, expect);
}

/// Audio after the first chunk of a picture, as encoders with priorities send it.
pub fn interleaved(raw: &mut Raw, tags: &[Tag]) {
    let (mut at, mut pairs) = (0, 0);
    while at < tags.len() {
        let pair = &tags[at..(at + 2).min(tags.len())];
        if pair.len() == 2
            && pair[0].kind == flv::VIDEO
            && pair[1].kind == flv::AUDIO
            && pair[0].body.len() > 400
        {
            let (video, audio) =
                (rtmp::chunked(&Raw::tag(&pair[0]), 128), rtmp::chunked(&Raw::tag(&pair[1]), 128));
            let second = 12 + 128;
            raw.send(&video[..second]);
            raw.send(&audio);
            raw.send(&video[second..]);
            at += 2;
            pairs += 1;
        } else {
            raw.message(&Raw::tag(&tags[at]));
            at += 1;
        }
    }
    assert!(pairs > 20, "only {pairs} pairs could be interleaved");
}

/// The chunk size changes after the first chunk of every seventh large message.
pub fn resized(raw: &mut Raw, tags: &[Tag]) {
    let mut changes = 0;
    for (n, tag) in tags.iter().enumerate() {
        let message = Raw::tag(tag);
        if n % 7 == 3 && message.body.len() > 300 {
            let bytes = rtmp::chunked(&message, raw.chunk);
            let done = raw.chunk.min(message.body.len());
            raw.send(&bytes[..12 + done]);
            let size = if raw.chunk == 128 { 200 } else { 128 };
            raw.set_chunk(size);
            for part in message.body[done..].chunks(size) {
                raw.send(&rtmp::basic(3, message.csid));
                raw.send(part);
            }
            changes += 1;
        } else {
            assert!(raw.message(&message), "closed at {} ms", tag.ms);
        }
    }
    assert!(changes > 5, "only {changes} changes of the chunk size");
}

/// A message of 600 bytes is begun, given up, and never seen again, before every tenth message.
pub fn aborted(raw: &mut Raw, tags: &[Tag]) {
    for (n, tag) in tags.iter().enumerate() {
        if n % 10 == 5 {
            let begun = rtmp::chunked(
                &Message { csid: 6, ms: tag.ms, kind: 9, stream: 1, body: vec![0x27; 600] },
                128,
            );
            raw.send(&begun[..12 + 128]);
            raw.message(&Message::new(2, 2, 0, &6_u32.to_be_bytes()));
        }
        assert!(raw.message(&Raw::tag(tag)), "closed at {} ms", tag.ms);
    }
}

/// Five media messages in one of type 22; configurations and metadata travel alone.
pub fn aggregated(raw: &mut Raw, tags: &[Tag]) {
    raw.set_chunk(4096);
    let (head, media): (Vec<&Tag>, Vec<&Tag>) =
        tags.iter().partition(|tag| tag.is_config() || tag.kind == flv::DATA);
    for tag in head {
        raw.message(&Raw::tag(tag));
    }
    for group in media.chunks(5) {
        let mut body = Vec::new();
        for tag in group {
            let mut one = vec![tag.kind];
            one.extend(&(tag.body.len() as u32).to_be_bytes()[1..]);
            // Sub-message times are off by 5000: only their distance to the first counts.
            let ms = tag.ms + 5000;
            one.extend(&ms.to_be_bytes()[1..]);
            one.extend([(ms >> 24) as u8, 0, 0, 0]);
            one.extend(&tag.body);
            let length = one.len() as u32;
            body.extend(one);
            body.extend(length.to_be_bytes());
        }
        let message = Message { csid: 6, ms: group[0].ms, kind: 22, stream: 1, body };
        assert!(raw.message(&message), "closed at {} ms", group[0].ms);
    }
}

/// Shortest headers, so that type 3 begins messages.
pub fn shortest(raw: &mut Raw, tags: &[Tag]) {
    let mut shortest = Shortest::default();
    for tag in tags {
        let bytes = shortest.write(&Raw::tag(tag), raw.chunk);
        assert!(raw.send(&bytes), "closed at {} ms", tag.ms);
    }
    println!("messages begun with types 0 to 3: {:?}", shortest.begun);
    assert!(shortest.begun.iter().all(|n| *n > 0), "{:?}", shortest.begun);
}

/// Type 0 for each message: every header carries the extended field when the time does.
pub fn extended(raw: &mut Raw, tags: &[Tag], no_repeat: bool) {
    for tag in tags {
        let mut writer = Shortest::default();
        writer.no_repeat = no_repeat;
        assert!(raw.send(&writer.write(&Raw::tag(tag), 128)), "closed at {} ms", tag.ms);
    }
}

/// PTZ cameras send control messages on chunk streams 3 to 6; a strict server dropped them.
#[test]
fn mediamtx_4807_control_on_other_csid() {
    publish("mediamtx_4807", &plain(4), Expect::default(), |raw, tags| {
        for csid in 3..7 {
            raw.message(&Message::new(csid, 5, 0, &2_500_000_u32.to_be_bytes()));
            raw.message(&Message::new(csid, 3, 0, &1000_u32.to_be_bytes()));
            raw.message(&Message::new(csid, 1, 0, &(1000 + csid).to_be_bytes()));
            raw.chunk = 1000 + csid as usize;
            raw.tags(&tags[(csid as usize - 3) * 20..(csid as usize - 2) * 20], 0.0);
        }
        raw.tags(&tags[80..], 0.0);
    });
}

/// A camera without audio whose metadata announce it: players showed an empty audio track.
#[test]
fn srs_409_video_only_has_no_audio_in_pmt() {
    let mut tags = flv::read_file(&media::video_only(6));
    let announce = [
        rtmp::string("onMetaData"),
        rtmp::object(&[
            ("audiocodecid", rtmp::number(10.0)),
            ("audiosamplerate", rtmp::number(44_100.0)),
            ("videocodecid", rtmp::number(7.0)),
        ]),
    ];
    tags.insert(0, Tag { offset: 0, kind: flv::DATA, ms: 0, body: announce.concat() });
    let follower = publish_and_judge("srs_409", &tags, 4096, Expect::default());
    for got in &follower.segments {
        let segment = ts::Demux::default().segment(&got.bytes);
        assert_eq!(segment.pmt.as_ref().unwrap().streams.len(), 1);
        assert_eq!(segment.audio_pid(), None);
    }
}

/// MP3 had no sound in HLS.
#[test]
fn nginx_181_mp3() {
    let follower = publish_and_judge(
        "nginx_181",
        &flv::read_file(&media::mp3(6, 44_100)),
        4096,
        Expect::default(),
    );
    assert!(follower.units.1 > 200, "{} MP3 frames", follower.units.1);
}

/// Chunk streams above 63 take two or three bytes; two known servers refuse them.
#[test]
fn mediamtx_2806_csid_above_63() {
    for (audio, video) in [(64, 65), (319, 320), (65_598, 65_599)] {
        publish(
            &format!("mediamtx_2806, csid {audio} and {video}"),
            &plain(4),
            Expect::default(),
            |raw, tags| {
                for tag in tags {
                    let mut message = Raw::tag(tag);
                    message.csid = if tag.kind == flv::AUDIO { audio } else { video };
                    assert!(raw.message(&message), "closed at {} ms", tag.ms);
                }
            },
        );
    }
}

/// FMLE and Flash begin a message with a type 3 chunk (`0xc4`) when nothing but the payload is new.
#[test]
fn fmle_c4_type_3_begins_a_message() {
    // Digital silence: frames of one size, 23 ms apart most of the time.
    publish("fmle_c4", &flv::read_file(&media::silence(6)), Expect::default(), shortest);
}

/// librtmp answers and asks pings with a type 1 header on a chunk stream that was never used.
#[test]
fn librtmp_ping_fmt_1_on_fresh_csid_2() {
    let rillcast = Rillcast::start(&[]);
    let mut raw = Raw::open(rillcast.rtmp);
    raw.handshake();
    raw.send(&[0x42, 0, 0, 0, 0, 0, 6, 4, 0, 6, 0, 1, 0xe2, 0x40]);
    raw.connect("live");
    assert_eq!(raw.publish("cam"), "NetStream.Publish.Start");
    raw.send(&[0x42, 0, 0, 0, 0, 0, 6, 4, 0, 6, 0, 1, 0xe2, 0x41]);
    let pong = process::wait_for("a ping response", Duration::from_secs(3), || {
        raw.next(Duration::from_millis(500))
            .filter(|message| message.kind == 4 && message.body.starts_with(&[0, 7]))
    });
    assert_eq!(pong.body, [0, 7, 0, 1, 0xe2, 0x41]);
}

/// Times past 24 bits: the extended field on type 3 chunks, repeated (ffmpeg, FMLE) and not (OBS).
#[test]
fn nms_25_extended_time_with_and_without_repeat() {
    for no_repeat in [false, true] {
        let tags = media::shifted(&plain(5), 0xff_ffff + 20_000);
        publish(
            &format!("nms_25, repeat left out: {no_repeat}"),
            &tags,
            Expect::default(),
            |raw, tags| extended(raw, tags, no_repeat),
        );
    }
}

/// Hardware encoders that send times modulo 2^24 without an extended field: `srs_2409`, 4 h 40 min.
#[test]
fn srs_2409_time_wraps_at_24_bits() {
    let tags = media::shifted(&plain(6), 0xff_ffff - 2999);
    let cut: Vec<Tag> =
        tags.iter().cloned().map(|tag| Tag { ms: tag.ms & 0xff_ffff, ..tag }).collect();
    let rillcast = Rillcast::start(&[]);
    Raw::publish_whole(rillcast.rtmp, "cam", 128, &cut, 0.0);
    let sent = flv::sent(&tags);
    let mut follower = rillcast.follow("cam");
    session::whole(&mut follower, &sent, Duration::from_secs(8));
    session::judge(
        &rillcast,
        "cam",
        "srs_2409",
        &follower,
        &sent,
        Expect { runs: 0, ..Expect::default() },
    );
}

/// 90 kHz in 32 bits ends after 13.26 h: segments stopped, one file grew to gigabytes.
#[test]
fn nginx_784_13h() {
    publish(
        "nginx_784",
        &media::shifted(&plain(6), 47_721_858 - 3000),
        Expect::default(),
        |raw, tags| raw.tags(tags, 0.0),
    );
}

/// Audio and video count from different beginnings: segments stopped being cut.
#[test]
fn srs_4586_separate_time_bases() {
    for (name, kind, ms) in [
        ("audio an hour ahead", flv::AUDIO, 3_600_000),
        ("video an hour ahead", flv::VIDEO, 3_600_000),
    ] {
        let plain = plain(8);
        let sent = flv::sent(&plain);
        // In the order of an encoder's clock, each with its own base.
        let tags: Vec<Tag> = plain
            .into_iter()
            .map(|tag| Tag { ms: tag.ms + if tag.kind == kind { ms } else { 0 }, ..tag })
            .collect();
        let rillcast = Rillcast::start(&[]);
        Raw::publish_whole(rillcast.rtmp, "cam", 4096, &tags, 0.0);
        let mut follower = rillcast.follow("cam");
        session::whole(&mut follower, &sent, Duration::from_secs(8));
        session::judge(
            &rillcast,
            "cam",
            name,
            &follower,
            &sent,
            Expect { runs: 0, own_audio_base: true, ..Expect::default() },
        );
        assert!(
            follower.segments.len() >= 7,
            "{name}: {} segments of 8 s",
            follower.segments.len()
        );
    }
}

/// A jump of the clock, forward or back, is a discontinuity and nothing more.
#[test]
fn nginx_327_clock_jumps() {
    for (name, second) in [("an hour forward", 3_604_000), ("back to the beginning", 0)] {
        let first = media::before(&plain(5), 4000);
        let again: Vec<Tag> = media::shifted(&first, second)
            .into_iter()
            .filter(|tag| !tag.is_config() && tag.kind != flv::DATA)
            .collect();
        let mut tags = first.clone();
        tags.extend(again);
        publish(
            &format!("nginx_327, {name}"),
            &tags,
            Expect { runs: 2, decodes: false, ..Expect::default() },
            |raw, tags| raw.tags(tags, 0.0),
        );
    }
}

/// Aggregate messages (type 22): two known servers close the connection.
#[test]
fn mediamtx_aggregate_messages_are_taken_apart() {
    publish("aggregate messages", &plain(5), Expect::default(), aggregated);
}

/// Commands as AMF3 messages (type 17), with and without the format byte.
#[test]
fn mediamtx_amf3_commands_are_understood() {
    for lead in [&[0][..], &[]] {
        let rillcast = Rillcast::start(&[]);
        let mut raw = Raw::open(rillcast.rtmp);
        raw.handshake();
        let extended = |body: Vec<u8>| Message::new(3, 17, 0, &[lead, &body[..]].concat());
        let fields = [
            ("app", rtmp::string("live")),
            ("tcUrl", rtmp::string("rtmp://127.0.0.1/live")),
            ("objectEncoding", rtmp::number(3.0)),
        ];
        raw.message(&extended(rtmp::command(&[
            &rtmp::string("connect"),
            &rtmp::number(1.0),
            &rtmp::object(&fields),
        ])));
        let answer = raw.expect("_result");
        assert!(rtmp::contains(&answer.body, b"NetConnection.Connect.Success"));
        raw.message(&extended(rtmp::command(&[
            &rtmp::string("createStream"),
            &rtmp::number(2.0),
            &NULL,
        ])));
        raw.expect("_result");
        let mut message = extended(rtmp::command(&[
            &rtmp::string("publish"),
            &rtmp::number(3.0),
            &NULL,
            &rtmp::string("cam"),
            &rtmp::string("live"),
        ]));
        message.stream = 1;
        raw.message(&message);
        assert!(rtmp::contains(&raw.expect("onStatus").body, b"NetStream.Publish.Start"));
    }
}

/// Abort in mid-message (type 2), then the next message on the same chunk stream.
#[test]
fn mediamtx_4673_abort_inside_a_message() {
    publish("mediamtx_4673", &plain(4), Expect::default(), aborted);
}

/// Audio overtakes a large picture: chunks of two messages interleave.
#[test]
fn mediamtx_2383_interleaved_chunks_keep_their_sizes() {
    publish("mediamtx_2383", &plain(4), Expect::default(), interleaved);
}

/// The chunk size changes between the chunks of one message.
#[test]
fn chunk_size_changes_inside_a_message() {
    publish("chunk size inside a message", &plain(4), Expect::default(), resized);
}

/// Panasonic P2HD and others repeat their metadata; ffmpeg sends an empty data message
/// (`srs_3803`).
#[test]
fn mediamtx_577_extra_metadata() {
    let mut tags = plain(4);
    let data = tags.iter().find(|tag| tag.kind == flv::DATA).unwrap().clone();
    for (n, at) in [30, 60, 90, 120].into_iter().enumerate() {
        let body = if n % 2 == 0 { data.body.clone() } else { Vec::new() };
        let ms = tags[at].ms;
        tags.insert(at, Tag { ms, body, ..data.clone() });
    }
    publish_and_judge("mediamtx_577", &tags, 128, Expect::default());
}

/// A camera that rebooted comes back before its old connection is known to be dead.
#[test]
fn srs_4173_rebooted_camera_may_return() {
    let rillcast = Rillcast::start(&[]);
    let tags = plain(4);
    let mut old = Raw::start(rillcast.rtmp, "cam", 4096);
    old.tags(&tags[..100], 0.0);
    let start = std::time::Instant::now();
    let mut new = process::wait_for("the key to be free again", Duration::from_secs(30), || {
        std::thread::sleep(Duration::from_secs(1));
        let mut raw = Raw::open(rillcast.rtmp);
        raw.handshake();
        raw.connect("live");
        (raw.publish("cam") == "NetStream.Publish.Start").then_some(raw)
    });
    println!("srs_4173: the camera was let in again after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    new.tags(&tags, 0.0);
    new.leave();
    drop(old);
}

/// A publisher that leaves without media makes no playlist and no fault.
#[test]
fn publisher_without_media_leaves_nothing() {
    let rillcast = Rillcast::start(&[]);
    Raw::start(rillcast.rtmp, "cam", 4096).leave();
    let answer = crate::support::http::get(rillcast.http, &Rillcast::playlist_path("cam")).unwrap();
    assert_eq!(answer.status, 404);
    session::publish_to(
        &rillcast,
        "cam",
        "after a publisher without media",
        &plain(4),
        4096,
        Expect { runs: 0, ..Expect::default() },
    );
}
