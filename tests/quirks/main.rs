//! Quirks of encoders in the field: their bytes, sent to the program, and what must come of them.
//!
//! Each test is a quirk with the number of the issue that tells of it. Its bytes are those of
//! `tests/corpus/rtmp/NAME.hex`, from behind the handshake on; what each test writes down is how
//! they are made, and a file that is not what its test makes fails it (`QUIRKS=write` makes the
//! files anew). `tests/corpus/SOURCES.md` says where each quirk is told. Other tests play the rest
//! of the field's cases: `e2e/field.rs`, `rtmp_session.rs`, `dechunk.rs`, `clocks.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::pedantic,
    clippy::std_instead_of_core,
    clippy::wildcard_enum_match_arm,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads, clocks and indexing are theirs; a panic is how they speak"
)]

#[path = "../support/mod.rs"]
mod support;

mod script;

use script::{Hello, clip, play};
use support::flv::{self, Tag};
use support::rtmp::{self, Message, NULL, Raw, Shortest, number, object, string};
use support::{enhanced, media};

/// Times behind 24 bits, so that every header has the extended field.
const EXTENDED: u32 = 0xff_ffff + 20_000;

/// FMLE and Flash begin a message with a type 3 chunk when nothing but the payload is new.
#[test]
fn fmle_type_3_begins_messages() {
    let played = play("fmle_type_3_begins_messages", Hello::Wait, |script| {
        script.open("ffmpeg");
        let mut shortest = Shortest::default();
        for tag in clip() {
            let bytes = shortest.write(&Raw::tag(&tag), 128);
            script.sent(&tag, &bytes);
        }
        assert!(shortest.begun[3] > 20, "{:?}", shortest.begun);
    });
    played.whole(1);
}

/// FMLE, ffmpeg and others repeat the extended time on type 3 chunks, librtmp and OBS do not, and
/// some do so for a part of their messages.
#[test]
fn srs_3767_extended_time_is_repeated_or_not_or_sometimes() {
    for (name, repeats) in [
        ("fmle_extended_time_is_repeated", [true, true]),
        ("librtmp_extended_time_is_not_repeated", [false, false]),
        ("srs_3767_extended_time_is_sometimes_repeated", [false, true]),
    ] {
        let played = play(name, Hello::Wait, |script| {
            script.open("ffmpeg");
            for (n, tag) in media::shifted(&clip(), EXTENDED).iter().enumerate() {
                let no_repeat = !repeats[n / 20 % 2];
                let mut writer = Shortest::default();
                writer.no_repeat = no_repeat;
                let bytes = writer.write(&Raw::tag(tag), 128);
                script.sent(tag, &bytes);
            }
        });
        played.whole(1);
    }
}

/// A delta in the extended field of a type 1 header: taken as a time, sound and picture part ways.
#[test]
fn srs_4356_extended_delta_is_a_delta() {
    let played = play("srs_4356_extended_delta_is_a_delta", Hello::Wait, |script| {
        script.open("ffmpeg");
        let mut tags = clip();
        for tag in tags.iter_mut().filter(|tag| tag.ms >= 2_000) {
            tag.ms += 20_000_000;
        }
        let mut shortest = Shortest::default();
        for tag in tags {
            let bytes = shortest.write(&Raw::tag(&tag), 128);
            script.sent(&tag, &bytes);
        }
    });
    played.whole(2);
}

/// librtmp sends its pings with a type 1 header on a chunk stream that was never used.
#[test]
fn librtmp_ping_begins_with_type_1() {
    let played = play("librtmp_ping_begins_with_type_1", Hello::Wait, |script| {
        script.bytes(&[0x42, 0, 0, 0, 0, 0, 6, 4, 0, 6, 0, 1, 0xe2, 0x40]);
        script.open("ffmpeg");
        script.bytes(&[0x42, 0, 0, 0, 0, 0, 6, 4, 0, 6, 0, 1, 0xe2, 0x41]);
        script.media(&clip());
    });
    played.whole(1);
}

/// ffmpeg copies a camera's track of time codes into data messages that hold nothing.
#[test]
fn srs_3803_empty_data_messages_are_nothing() {
    let played = play("srs_3803_empty_data_messages_are_nothing", Hello::Wait, |script| {
        script.open("ffmpeg");
        for (n, tag) in clip().iter().enumerate() {
            if n % 9 == 4 {
                script.message(&Message { ms: tag.ms, ..Message::new(5, 18, 1, &[]) });
            }
            script.media(std::slice::from_ref(tag));
        }
    });
    played.whole(1);
}

/// A Makito calls `FCPublish` when the stream is made already.
#[test]
fn haivision_fcpublish_comes_after_create_stream() {
    let played = play("haivision_fcpublish_comes_after_create_stream", Hello::Wait, |script| {
        script.connect(&[]);
        script.call(0, "createStream", 2.0, &[&NULL]);
        script.call(1, "FCPublish", 3.0, &[&NULL, &string("cam")]);
        script.call(1, "publish", 0.0, &[&NULL, &string("cam"), &string("live")]);
        script.media(&clip());
    });
    played.whole(1);
}

/// Drones begin with times below zero, which need the extended field from the first message on: a
/// server that did not read it took it for media, and saw a new codec in every message.
#[test]
fn mediamtx_2393_times_begin_below_zero() {
    let played = play("mediamtx_2393_times_begin_below_zero", Hello::Wait, |script| {
        script.open("ffmpeg");
        script.media(&media::shifted(&clip(), -265_i32 as u32));
    });
    played.whole(1);
}

/// A drone's app sets the bandwidth of its server, which some take for an attack.
#[test]
fn mediamtx_928_publisher_sets_peer_bandwidth() {
    let played = play("mediamtx_928_publisher_sets_peer_bandwidth", Hello::Wait, |script| {
        script.connect(&[]);
        script.message(&Message::new(2, 6, 0, &[0, 0x4c, 0x4b, 0x40, 2]));
        script.publish("ffmpeg");
        script.message(&Message::new(2, 6, 0, &[0, 0x4c, 0x4b, 0x40, 0]));
        script.media(&clip());
    });
    played.whole(1);
}

/// Sound of a kind that only its maker knows: pictures go on, and the page says what is wrong.
#[test]
fn mediamtx_2564_sound_of_the_makers_own_kind() {
    let played = play("mediamtx_2564_sound_of_the_makers_own_kind", Hello::Wait, |script| {
        script.open("ffmpeg");
        for tag in clip() {
            if tag.kind == flv::AUDIO {
                script.message(&Message { ms: tag.ms, ..Message::new(4, 8, 1, &[0xff, 1, 2, 3]) });
            } else {
                script.media(&[tag]);
            }
        }
    });
    played.whole(1);
    assert!(played.log().contains("cannot be carried: set the camera to AAC"), "{}", played.log());
}

/// Metadata that name no track, and then both come.
#[test]
fn mediamtx_3301_metadata_without_tracks() {
    let played = play("mediamtx_3301_metadata_without_tracks", Hello::Wait, |script| {
        script.open("ffmpeg");
        script.metadata(&[("encoder", string("forwarder")), ("duration", number(0.0))]);
        script.media(&clip());
    });
    played.whole(1);
}

/// A camera says Sorenson (2) and MP3 (2) in its metadata and sends H.264 and AAC.
#[test]
fn mediamtx_951_metadata_name_the_wrong_codecs() {
    let played = play("mediamtx_951_metadata_name_the_wrong_codecs", Hello::Wait, |script| {
        script.open("ffmpeg");
        let codecs = [("videocodecid", number(2.0)), ("audiocodecid", number(2.0))];
        script.metadata(&codecs);
        script.media(&clip());
    });
    played.whole(1);
}

/// A type 2 header where no type 0 has been: there is no length to read on with. What came before
/// is kept, and the log says where.
#[test]
fn mac_local_rtmp_28_type_2_before_any_type_0() {
    let played = play("mac_local_rtmp_28_type_2_before_any_type_0", Hello::Wait, |script| {
        script.open("ffmpeg");
        script.media(&clip());
        script.bytes(&[0x80 | 33, 0, 0, 40, 0x27, 1, 0, 0, 0]);
    });
    played.refused(&["csid=33", "type 2 chunk header on a chunk stream that has had no type 0"]);
    played.whole(1);
}

/// PTZ cameras send control messages on chunk streams 3 to 6.
#[test]
fn mediamtx_4807_controls_on_chunk_streams_3_to_6() {
    let played = play("mediamtx_4807_controls_on_chunk_streams_3_to_6", Hello::Wait, |script| {
        script.open("ffmpeg");
        for csid in 3..7 {
            script.message(&Message::new(csid, 5, 0, &2_500_000_u32.to_be_bytes()));
            script.message(&Message::new(csid, 3, 0, &[0; 4]));
            script.message(&Message::new(csid, 4, 0, &[0, 3, 0, 0, 0, 1, 0, 0, 3, 0xe8]));
            script.chunk(csid, 200 + csid as usize);
        }
        script.media(&clip());
    });
    played.whole(1);
}

/// A P2HD sends its metadata again and again, bare and wrapped, also between pictures.
#[test]
fn mediamtx_577_metadata_come_again_and_again() {
    let played = play("mediamtx_577_metadata_come_again_and_again", Hello::Wait, |script| {
        script.open("ffmpeg");
        for (n, tag) in clip().iter().enumerate() {
            if n % 10 == 3 {
                script.metadata(&[("width", number(640.0)), ("framerate", number(5.0))]);
                let bare = [string("onMetaData"), object(&[("width", number(640.0))])].concat();
                script.message(&Message { ms: tag.ms, ..Message::new(5, 18, 1, &bare) });
            }
            script.media(std::slice::from_ref(tag));
        }
    });
    played.whole(1);
}

/// Parameter sets that end before they say; the right ones come a moment later.
#[test]
fn xiu_66_parameter_sets_are_cut_off() {
    let played = play("xiu_66_parameter_sets_are_cut_off", Hello::Wait, |script| {
        script.open("ffmpeg");
        let tags = clip();
        let whole = tags.iter().find(|tag| tag.is_video_config()).unwrap().body.clone();
        for end in [5, 6, 10, 12, whole.len() - 3] {
            script.message(&Message::new(6, 9, 1, &whole[..end]));
        }
        script.message(&Message::new(6, 9, 1, &[&whole[..10], &[0xff, 0xe1, 0xff, 0xff]].concat()));
        script.media(&tags);
    });
    played.whole(1);
    assert!(played.rillcast.counter("media_malformed") >= 5.0);
}

/// nginx sends sound between the chunks of a picture.
#[test]
fn mediamtx_2383_sound_between_the_chunks_of_a_picture() {
    let name = "mediamtx_2383_sound_between_the_chunks_of_a_picture";
    let played = play(name, Hello::Wait, |script| {
        script.open("ffmpeg");
        let (mut tags, mut pairs) = (clip(), 0);
        tags.sort_by_key(|tag| tag.ms);
        let mut rest = &tags[..];
        while let Some((tag, later)) = rest.split_first() {
            rest = later;
            match later.first() {
                Some(sound) if tag.body.len() > 128 && sound.kind == flv::AUDIO => {
                    let picture = rtmp::chunked(&Raw::tag(tag), 128);
                    script.sent(tag, &picture[..12 + 128]);
                    script.media(std::slice::from_ref(sound));
                    script.bytes(&picture[12 + 128..]);
                    (rest, pairs) = (&later[1..], pairs + 1);
                }
                _ => script.media(std::slice::from_ref(tag)),
            }
        }
        assert!(pairs >= 3, "{pairs} pairs");
    });
    played.whole(1);
}

/// GStreamer's handshake has no digest, and an impatient peer sends all it has in one piece.
#[test]
fn gstreamer_handshake_has_no_digest() {
    for hello in [Hello::Wait, Hello::AtOnce] {
        let played = play("gstreamer_handshake_has_no_digest", hello, |script| {
            script
                .connect(&[("flashVer", string("LNX 10,0,32,18")), ("capabilities", number(15.0))]);
            script.publish("gstreamer");
            script.media(&clip());
        });
        played.whole(1);
    }
}

/// OBS asks for the bandwidth and releases the stream before it makes it.
#[test]
fn obs_asks_for_bandwidth_before_it_publishes() {
    let played = play("obs_asks_for_bandwidth_before_it_publishes", Hello::Wait, |script| {
        script.connect(&[("swfUrl", string("rtmp://127.0.0.1/live"))]);
        script.call(0, "releaseStream", 2.0, &[&NULL, &string("cam")]);
        script.call(0, "FCPublish", 3.0, &[&NULL, &string("cam")]);
        script.call(0, "createStream", 4.0, &[&NULL]);
        script.call(0, "_checkbw", 5.0, &[&NULL]);
        script.call(1, "publish", 6.0, &[&NULL, &string("cam"), &string("live")]);
        script.media(&clip());
    });
    played.whole(1);
}

/// OBS with several renditions: the first goes on, the others are counted.
#[test]
fn obs_sends_several_renditions() {
    let played = play("obs_sends_several_renditions", Hello::Wait, |script| {
        script.open("ffmpeg");
        for tag in clip() {
            script.media(std::slice::from_ref(&tag));
            if tag.kind != flv::VIDEO {
                continue;
            }
            let (packet, cts) = if tag.is_video_config() {
                (enhanced::START, None)
            } else {
                (enhanced::FRAMES, Some(0))
            };
            let body = enhanced::video(b"avc1", packet, true, cts, &tag.body[5..]);
            for track in 1..3 {
                let body = enhanced::tracked(&body, 6, track);
                script.message(&Message { ms: tag.ms, ..Message::new(6, 9, 1, &body) });
            }
        }
    });
    played.whole(1);
    assert_eq!(played.rillcast.counter("media_other_tracks"), 2.0 * 16.0);
}

/// A device that made a server take 60 GB: lengths are believed no further than the limit, and
/// nothing is taken for what has not come.
#[test]
fn ome_161_lengths_that_nothing_follows() {
    let played = play("ome_161_lengths_that_nothing_follows", Hello::Wait, |script| {
        script.open("ffmpeg");
        script.media(&clip());
        for csid in 10..18 {
            script.bytes(&[csid, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0]);
            script.bytes(&[0x27; 128]);
        }
    });
    played.refused(&["message of type 9 has 16777215 bytes", "at most"]);
    played.whole(1);
}

/// A camera without a microphone announces sound: nobody is shown an empty track.
#[test]
fn srs_409_sound_is_announced_and_never_comes() {
    let played = play("srs_409_sound_is_announced_and_never_comes", Hello::Wait, |script| {
        script.open("ffmpeg");
        script.metadata(&[("audiocodecid", number(10.0)), ("videocodecid", number(7.0))]);
        let pictures: Vec<Tag> = clip().into_iter().filter(|tag| tag.kind == flv::VIDEO).collect();
        script.media(&pictures);
    });
    played.whole(1);
    assert_eq!(played.tracks(), 1);
}

/// Servers that take chunks of 10 MiB at most turn away encoders that announce the largest.
#[test]
fn nginx_1162_largest_chunk_size() {
    let played = play("nginx_1162_largest_chunk_size", Hello::Wait, |script| {
        script.open("ffmpeg");
        script.chunk(2, 0x7fff_ffff);
        script.media(&clip());
    });
    played.whole(1);
}

/// Chunks of one byte: legal, and a header for each byte.
#[test]
fn red5_475_chunks_of_one_byte() {
    let played = play("red5_475_chunks_of_one_byte", Hello::Wait, |script| {
        script.open("ffmpeg");
        script.chunk(2, 1);
        script.media(&clip()[..20]);
    });
    played.whole(1);
}

/// A player that acknowledges every few bytes, which a server that only sends never reads.
#[test]
fn mediamtx_5776_acknowledgements_of_a_player_are_read() {
    let name = "mediamtx_5776_acknowledgements_of_a_player_are_read";
    let played = play(name, Hello::Wait, |script| {
        script.connect(&[]);
        script.call(0, "createStream", 2.0, &[&NULL]);
        script.call(1, "play", 3.0, &[&NULL, &string("cam"), &number(-2000.0)]);
        for bytes in 1..200_u32 {
            script.message(&Message::new(2, 3, 0, &(bytes * 100).to_be_bytes()));
        }
        script.message(&Message::new(2, 4, 0, &[0, 6, 0, 0, 0x12, 0x34]));
    });
    let pong = played.answers.iter().find(|one| one.kind == 4 && one.body.starts_with(&[0, 7]));
    assert_eq!(pong.map(|one| &one.body[2..]), Some(&[0, 0, 0x12, 0x34][..]));
}

#[test]
fn every_file_has_its_origin_and_its_test() {
    let folder = script::folder();
    let sources = std::fs::read_to_string(folder.join("../SOURCES.md")).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(sources.contains(&format!("`rtmp/{name}`")), "SOURCES.md does not name {name}");
        let stem = name.strip_suffix(".hex").unwrap();
        assert!(include_str!("main.rs").contains(&format!("\"{stem}\"")), "no test plays {name}");
        files += 1;
    }
    assert_eq!(sources.matches("| `rtmp/").count(), files, "SOURCES.md names files that are not");
}
