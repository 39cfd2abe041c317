//! Each judge finds nothing in a good input and the right fault in each broken one.
//!
//! The good input is HLS made by ffmpeg from the same FLV (its SDT packets taken out, since the
//! project's promise is PAT and PMT first). Nothing of the program under test runs here.

use std::process::Command;
use std::time::Duration;

use crate::publish::Nginx;
use crate::support::faults::assert_found;
use crate::support::flv::{self, Sent};
use crate::support::follow::{self, Follower, Got};
use crate::support::judge_media::{self, Compared};
use crate::support::judge_ts::{self, Found};
use crate::support::outside;
use crate::support::process::{self, Scratch};
use crate::support::serve::Folder;
use crate::support::{media, rtmp};

/// ffmpeg that makes HLS of an FLV, a segment each second.
fn ffmpeg_hls(input: &[&str], output: &[&str], scratch: &Scratch) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).args(input);
    command.args(["-c", "copy", "-f", "hls", "-hls_time", "1"]).args(output);
    command.arg(scratch.join("index.m3u8"));
    command
}

/// HLS of an FLV by ffmpeg, without SDT.
fn reference(flv: &str, scratch: &Scratch) -> Vec<Got> {
    let options =
        ["-hls_list_size", "0", "-hls_segment_options", "mpegts_flags=+pat_pmt_at_frames"];
    let mut command = ffmpeg_hls(&["-i", flv], &options, scratch);
    let done = process::run("ffmpeg makes HLS", &mut command, Duration::from_secs(30));
    assert!(done.status.success(), "{}", done.text);
    let (list, mut segments) = follow::from_folder(scratch.path(), "index.m3u8").unwrap();
    for got in &mut segments {
        got.bytes = got.bytes.chunks(188).filter(|p| pid(p) != 0x11).flatten().copied().collect();
        std::fs::write(scratch.path().join(&got.entry.uri), &got.bytes).unwrap();
    }
    assert!(list.ended);
    segments
}

fn pid(packet: &[u8]) -> u16 {
    u16::from(packet[1] & 31) << 8 | u16::from(packet[2])
}

fn structure(got: &[Got]) -> Found {
    judge_ts::judge(got, judge_ts::Rules::default())
}

fn media(sent: &Sent, got: &[Got]) -> Compared {
    // ffmpeg stamps each audio PES by its message time, which is rounded to the millisecond.
    let rules = judge_media::Rules { sample_slack: 90, ..judge_media::Rules::default() };
    judge_media::compare(sent, got, rules)
}

#[test]
fn judges_find_nothing_in_what_ffmpeg_made() {
    for (name, path) in [
        ("plain", media::plain(6)),
        ("b-frames", media::b_frames(6)),
        ("aac 48000", media::aac_48000(4)),
        ("mp3 44100", media::mp3(4, 44_100)),
        ("video only", media::video_only(4)),
        ("silence", media::silence(4)),
    ] {
        let scratch = Scratch::new("reference");
        let got = reference(&path, &scratch);
        let sent = flv::sent(&flv::read_file(&path));
        assert!(got.len() >= 3, "{name}: {} segments", got.len());
        structure(&got).assert_clean(name);
        media(&sent, &got).assert_clean(name);
    }
}

/// Finds the packet that `wanted` accepts, first after `from`.
fn packet(bytes: &[u8], from: usize, wanted: impl Fn(&[u8]) -> bool) -> usize {
    let found = bytes.chunks(188).enumerate().skip(from).find(|(_, packet)| wanted(packet));
    found.expect("such a packet").0 * 188
}

fn starts(packet: &[u8], id: u16) -> bool {
    packet[1] & 0x40 != 0 && pid(packet) == id
}

/// Where the payload of the packet at `at` begins.
fn payload(bytes: &[u8], at: usize) -> usize {
    at + 4 + if bytes[at + 3] & 0x20 != 0 { 1 + usize::from(bytes[at + 4]) } else { 0 }
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("such bytes")
}

fn set_crc(bytes: &mut [u8], section: usize) {
    let length = usize::from(bytes[section + 1] & 15) << 8 | usize::from(bytes[section + 2]);
    let end = section + 3 + length - 4;
    let sum = crate::support::ts::crc(&bytes[section..end]);
    bytes[end..end + 4].copy_from_slice(&sum.to_be_bytes());
}

type Break = (&'static str, &'static str, fn(&mut Vec<Got>));

/// Name, words the fault must hold, what is done to good segments.
const STRUCTURE: &[Break] = &[
    ("a lost packet", "continuity counter", |got| {
        got[1].bytes.drain(20 * 188..21 * 188);
    }),
    ("a repeated packet", "continuity counter", |got| {
        let copy = got[1].bytes[20 * 188..21 * 188].to_vec();
        got[1].bytes.splice(21 * 188..21 * 188, copy);
    }),
    ("a lost segment", "continuity counter", |got| {
        got.remove(2);
    }),
    ("a cut-off packet", "multiple of 188", |got| {
        got[1].bytes.pop();
    }),
    ("a lost sync byte", "sync byte", |got| got[1].bytes[188 * 7] = 0x48),
    ("a wrong PMT CRC", "CRC of table 02", |got| got[1].bytes[188 + 20] ^= 1),
    ("a wrong PAT CRC", "CRC of table 00", |got| got[1].bytes[12] ^= 1),
    ("another table before PAT", "not PAT and PMT", |got| {
        let mut null = vec![0xff; 188];
        null[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
        got[1].bytes.splice(0..0, null);
    }),
    ("PMT before PAT", "no PMT", |got| {
        let (pat, pmt) = (got[1].bytes[..188].to_vec(), got[1].bytes[188..376].to_vec());
        got[1].bytes[..376].copy_from_slice(&[pmt, pat].concat());
    }),
    ("a stream without packets", "carries nothing", |got| {
        for one in got {
            // Audio's entry becomes PID 0x102, and no packet of 0x101 is left.
            let kept =
                one.bytes.chunks(188).filter(|p| pid(p) != 0x101).flatten().copied().collect();
            one.bytes = kept;
            for at in (0..one.bytes.len())
                .step_by(188)
                .filter(|at| pid(&one.bytes[*at..]) == 0x1000)
                .collect::<Vec<_>>()
            {
                let section = at + 5;
                one.bytes[section + 19] = 2;
                set_crc(&mut one.bytes, section);
            }
        }
    }),
    ("a stream that is not in the PMT", "does not list", |got| {
        for at in (0..got[1].bytes.len()).step_by(188) {
            if pid(&got[1].bytes[at..]) == 0x101 {
                got[1].bytes[at + 2] = 2;
            }
        }
    }),
    ("a PMT that changes", "PMT changes", |got| {
        for at in (0..got[2].bytes.len()).step_by(188) {
            if pid(&got[2].bytes[at..]) == 0x1000 {
                got[2].bytes[at + 5 + 5] ^= 2;
                set_crc(&mut got[2].bytes, at + 5);
            }
        }
    }),
    ("clocks too far apart", "since the last PCR", |got| {
        let bytes = &mut got[1].bytes;
        let carriers: Vec<usize> = (0..bytes.len())
            .step_by(188)
            .filter(|at| {
                bytes[at + 3] & 0x20 != 0 && bytes[at + 4] > 0 && bytes[at + 5] & 0x10 != 0
            })
            .collect();
        for at in &carriers[5..8] {
            bytes[at + 5] &= !0x10;
            bytes[at + 6..at + 12].fill(0xff);
        }
    }),
    ("a clock after the decode time", "ahead of PCR", |got| {
        let at = packet(&got[1].bytes, 2, |p| p[3] & 0x20 != 0 && p[4] > 0 && p[5] & 0x10 != 0);
        got[1].bytes[at + 8] = got[1].bytes[at + 8].wrapping_add(4); // 2^18 / 2 ticks later
        got[1].bytes[at + 7] = got[1].bytes[at + 7].wrapping_add(4);
    }),
    ("a clock that runs back", "runs back", |got| {
        let at = packet(&got[1].bytes, 12, |p| p[3] & 0x20 != 0 && p[4] > 0 && p[5] & 0x10 != 0);
        got[1].bytes[at + 8] = got[1].bytes[at + 8].wrapping_sub(0x80);
    }),
    ("decode times that run back", "DTS", |got| {
        let at = packet(&got[1].bytes, 20, |p| starts(p, 0x100));
        let stamp = payload(&got[1].bytes, at) + 9;
        got[1].bytes[stamp + 2] = got[1].bytes[stamp + 2].wrapping_sub(2);
    }),
    ("no random access mark", "random access", |got| {
        let at = packet(&got[1].bytes, 0, |p| starts(p, 0x100));
        got[1].bytes[at + 5] &= !0x40;
    }),
    ("a random access mark on no IDR", "random access", |got| {
        let at = packet(&got[1].bytes, 20, |p| starts(p, 0x100));
        got[1].bytes[at + 5] |= 0x40;
    }),
    ("a duration one tick off", "EXTINF", |got| got[1].entry.extinf_us += 12),
    ("a last duration shorter than its media", "EXTINF", |got| {
        got.last_mut().unwrap().entry.extinf_us = 500_000
    }),
    ("no delimiter", "delimiter", |got| {
        let at = find(&got[1].bytes, &[0, 0, 0, 1, 9, 0xf0]);
        got[1].bytes[at + 4] = 12;
    }),
    ("no SPS before the IDR", "no type 7", |got| {
        let at = find(&got[1].bytes, &[0, 0, 0, 1, 0x67]);
        got[1].bytes[at + 4] = 0x6c;
    }),
    ("no PPS before the IDR", "no type 8", |got| {
        let at = find(&got[1].bytes, &[0, 0, 0, 1, 0x68]);
        got[1].bytes[at + 4] = 0x6c;
    }),
    ("an audio PES with a wrong length", "says", |got| {
        let at = packet(&got[1].bytes, 0, |p| starts(p, 0x101));
        let length = payload(&got[1].bytes, at) + 5;
        got[1].bytes[length] ^= 1;
    }),
    ("a PES that begins in another segment", "of another segment", |got| {
        let at = packet(&got[1].bytes, 0, |p| starts(p, 0x101));
        got[1].bytes[at + 1] &= !0x40;
    }),
];

#[test]
fn structure_judge_finds_each_break() {
    let scratch = Scratch::new("reference");
    let good = reference(&media::plain(6), &scratch);
    for (name, words, breaks) in STRUCTURE {
        let mut got = good.clone();
        breaks(&mut got);
        let found = structure(&got);
        assert_found(name, &found.faults, words);
    }
    println!("structure judge: {} breaks found", STRUCTURE.len());
}

#[test]
fn structure_judge_accepts_a_restart_only_after_a_discontinuity() {
    let scratch = Scratch::new("reference");
    let mut got = reference(&media::plain(6), &scratch);
    let mut again = got.clone();
    again[0].entry.discontinuity = true;
    got.extend(again.clone());
    structure(&got).assert_clean("a restart after a discontinuity");
    got[6].entry.discontinuity = false;
    assert!(!structure(&got).faults.is_empty());
}

/// Name, words the fault must hold, what is done to the truth and to the good segments.
type BreakMedia = (&'static str, &'static str, fn(&mut Sent, &mut Vec<Got>));
const MEDIA: &[BreakMedia] = &[
    ("a flipped bit of a slice", "NAL units differ", |_, got| {
        let at =
            packet(&got[1].bytes, 30, |p| pid(p) == 0x100 && p[1] & 0x40 == 0 && p[3] & 0x20 == 0);
        got[1].bytes[at + 100] ^= 0x10;
    }),
    ("a flipped bit of an audio frame", "other", |_, got| {
        let at =
            packet(&got[1].bytes, 0, |p| pid(p) == 0x101 && p[1] & 0x40 == 0 && p[3] & 0x20 == 0);
        got[1].bytes[at + 60] ^= 0x10;
    }),
    ("a lost video unit", "came out", |sent, _| sent.video.push(sent.video[0].clone())),
    ("a lost audio frame", "came out", |sent, _| sent.audio.push(sent.audio[0].clone())),
    ("a lost SEI", "NAL units differ", |sent, _| sent.video[0].nals.insert(0, vec![6, 5, 1, 2])),
    ("two video units exchanged", "NAL units differ", |sent, _| sent.video.swap(7, 8)),
    ("two audio frames exchanged", "other", |sent, _| sent.audio.swap(7, 8)),
    ("a video time one millisecond off", "PTS", |sent, _| sent.video[40].ms += 1),
    ("a composition time one millisecond off", "PTS", |sent, _| sent.video[40].cts += 1),
    ("audio two milliseconds off", "off its message time", |sent, _| {
        sent.audio.iter_mut().for_each(|f| f.ms += 2)
    }),
    ("a stale parameter set", "parameter set", |sent, _| sent.video[50].sets[0].push(1)),
    ("a wrong channel count", "ADTS says", |sent, _| {
        sent.audio.iter_mut().for_each(|f| f.adts = Some((1, 4, 2)))
    }),
    ("a lost last segment", "came out", |_, got| {
        got.pop();
    }),
    ("an unexpected discontinuity", "runs", |_, got| got[3].entry.discontinuity = true),
];

#[test]
fn media_judge_finds_each_break() {
    let scratch = Scratch::new("reference");
    let path = media::plain(6);
    let good = reference(&path, &scratch);
    let truth = flv::sent(&flv::read_file(&path));
    for (name, words, breaks) in MEDIA {
        let (mut sent, mut got) = (truth.clone(), good.clone());
        breaks(&mut sent, &mut got);
        let rules =
            judge_media::Rules { runs: 1, sample_slack: 90, ..judge_media::Rules::default() };
        let found = judge_media::compare(&sent, &got, rules);
        assert_found(name, &found.faults, words);
    }
    println!("media judge: {} breaks found", MEDIA.len());
}

#[test]
fn media_judge_finds_audio_that_follows_message_times() {
    // ffmpeg's own audio times wander with the rounding of FLV's milliseconds; ours must not.
    let scratch = Scratch::new("reference");
    let path = media::plain(6);
    let got = reference(&path, &scratch);
    let found = judge_media::compare(
        &flv::sent(&flv::read_file(&path)),
        &got,
        judge_media::Rules::default(),
    );
    assert_found("audio of ffmpeg", &found.faults, "by samples");
}

#[test]
fn follower_keeps_every_segment_of_a_live_playlist_once() {
    let scratch = Scratch::new("live");
    let folder = Folder::start(scratch.path().to_owned());
    let path = media::plain(6);
    let options = ["-hls_list_size", "4", "-hls_flags", "temp_file"];
    let mut command = ffmpeg_hls(&["-readrate", "2", "-i", &path], &options, &scratch);
    let mut ffmpeg = process::Running::start("ffmpeg", &mut command, &scratch.join("log"));
    let mut follower = Follower::new(folder.address, "/index.m3u8");
    process::wait_for("the playlist", Duration::from_secs(10), || follower.poll().then_some(()));
    assert!(
        follower.until(Duration::from_secs(15), |f| f.last.as_ref().is_some_and(|list| list.ended))
    );
    ffmpeg.succeed(Duration::from_secs(5));
    follower.assert_clean();
    assert_eq!(
        follower.segments.iter().map(|got| got.entry.sequence).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(follower.units.0, 150, "video units");
    assert!(follower.versions > 3, "{} versions", follower.versions);
}

#[test]
fn follower_finds_a_missing_segment_and_a_rewritten_playlist() {
    let scratch = Scratch::new("broken");
    reference(&media::plain(6), &scratch);
    let folder = Folder::start(scratch.path().to_owned());
    let mut follower = Follower::new(folder.address, "/index.m3u8");
    let text = std::fs::read_to_string(scratch.join("index.m3u8"))
        .unwrap()
        .replace("#EXT-X-ENDLIST\n", "");
    std::fs::write(scratch.join("index.m3u8"), &text).unwrap();
    std::fs::remove_file(scratch.join("index3.ts")).unwrap();
    follower.poll();
    assert_found("follower", &follower.faults, "index3.ts: 404");
    follower.faults.clear();
    std::fs::write(scratch.join("index.m3u8"), text.replace("SEQUENCE:0", "SEQUENCE:40")).unwrap();
    follower.poll();
    assert_found("follower", &follower.faults, "left before");
    follower.faults.clear();
    std::fs::remove_file(scratch.join("index.m3u8")).unwrap();
    follower.poll();
    assert_found("follower", &follower.faults, "gone");
}

#[test]
fn hls_parser_judges_good_and_bad() {
    process::need("node");
    let scratch = Scratch::new("reference");
    reference(&media::plain(6), &scratch);
    let text = std::fs::read_to_string(scratch.join("index.m3u8")).unwrap();
    assert_eq!(outside::hls_parser(&text).unwrap(), "ok segments=6 sequence=0 target=1 ended=true");
    let broken = text.replacen("#EXTINF:1.0", "#EXTINF:2.0", 1);
    assert!(
        outside::hls_parser(&broken).unwrap_err().contains("target duration"),
        "{:?}",
        outside::hls_parser(&broken)
    );
}

#[test]
fn ffmpeg_judges_good_and_bad() {
    let scratch = Scratch::new("reference");
    let mut got = reference(&media::plain(6), &scratch);
    assert_eq!(outside::ffmpeg_decodes_segments(&got).unwrap(), (150, true));
    got[1].bytes.drain(20 * 188..24 * 188);
    assert!(outside::ffmpeg_decodes_segments(&got).is_err());
}

#[test]
fn chromium_judges_good_and_bad() {
    let scratch = Scratch::new("reference");
    reference(&media::plain(6), &scratch);
    let folder = Folder::start(scratch.path().to_owned());
    let seconds = outside::chromium_plays(&format!("http://{}/index.m3u8", folder.address), 5);
    println!("{}", outside::played(&seconds, (320, 240), 2.0).unwrap());
    assert!(outside::played(&seconds, (640, 360), 2.0).is_err(), "the size is compared");
    let seconds = outside::hls_js_plays(&format!("http://{}/index.m3u8", folder.address), 5);
    println!("hls.js in {}", outside::played(&seconds, (320, 240), 2.0).unwrap());
    let seconds = outside::hls_js_plays(&format!("http://{}/nothing.m3u8", folder.address), 2);
    assert!(outside::played(&seconds, (320, 240), 1.0).is_err(), "{seconds:?}");
    let seconds = outside::chromium_plays(&format!("http://{}/nothing.m3u8", folder.address), 2);
    assert!(outside::played(&seconds, (320, 240), 1.0).is_err(), "{seconds:?}");
}

/// nginx-rtmp that records what it is sent: a witness for our own publisher.
///
/// Not below 128: with 64-byte chunks nginx-rtmp 1.2.2 loses its place now and then, depending on
/// how the same bytes arrive ("in chunk stream too big"; seen 2026-11).
#[test]
fn raw_publisher_is_understood_by_nginx_at_every_chunk_size() {
    let tags = flv::read_file(&media::plain(4));
    for chunk in [128, 4096, 65_536] {
        let name = format!("chunk size {chunk}");
        let zero = nginx_witness(&name, &tags, chunk, |raw, tags| raw.tags(tags, 0.0));
        assert_eq!(zero, 0, "{name}");
    }
}

#[test]
fn tshark_judges_good_and_bad() {
    let scratch = Scratch::new("nginx");
    let nginx = Nginx::start(&scratch, "");
    let capture = outside::Capture::start(nginx.rtmp.port());
    rtmp::Raw::publish_whole(nginx.rtmp, "cam", 4096, &flv::read_file(&media::plain(4))[..50], 0.0);
    let seen = capture.dissect();
    assert!(seen.ours.contains("NetConnection.Connect.Success"), "{}", seen.ours);
    assert!(seen.ours.contains("NetStream.Publish.Start"), "{}", seen.ours);
    assert_eq!(seen.malformed, Vec::<String>::new());

    // A server whose _result ends inside a string.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut socket, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1537];
        socket.read_exact(&mut buffer).unwrap();
        socket.write_all(&[&buffer[..], &buffer[1..]].concat()).unwrap();
        socket.read_exact(&mut buffer[..1536]).unwrap();
        let body = [
            &rtmp::string("_result")[..],
            &rtmp::number(1.0),
            &[3, 0, 3, b'a', b'b', b'c', 2, 0x40, 0, b'x'],
        ]
        .concat();
        socket.write_all(&rtmp::chunked(&rtmp::Message::new(3, 20, 0, &body), 128)).unwrap();
        let _ = socket.read(&mut buffer);
        std::thread::sleep(Duration::from_millis(300));
    });
    let capture = outside::Capture::start(address.port());
    let mut raw = rtmp::Raw::open(address);
    raw.handshake();
    raw.message(&rtmp::Message::new(
        3,
        20,
        0,
        &rtmp::command(&[&rtmp::string("connect"), &rtmp::number(1.0), &rtmp::object(&[])]),
    ));
    raw.next(Duration::from_secs(2));
    server.join().unwrap();
    let seen = capture.dissect();
    assert!(!seen.malformed.is_empty(), "{}", seen.summary);
}

/// The file that each publisher writes beside its connection is what nginx receives.
#[test]
fn truth_of_each_publisher_is_what_nginx_records() {
    std::thread::scope(|scope| {
        for (name, publisher) in crate::publish::PUBLISHERS {
            scope.spawn(move || {
                let scratch = Scratch::new("witness");
                let nginx = Nginx::recording(&scratch);
                let truth = scratch.join("truth.flv");
                let url = format!("rtmp://{}/live/cam", nginx.rtmp);
                publisher(&media::plain(4), &url, &truth, &scratch.join("log"))
                    .succeed(Duration::from_secs(30));
                let sent = flv::sent(&flv::read_file(&truth));
                assert!(
                    sent.video.len() >= 99 && sent.audio.len() > 150,
                    "{name}: {} and {}",
                    sent.video.len(),
                    sent.audio.len()
                );
                assert_recorded(name, &scratch, &sent);
            });
        }
    });
}

/// Publishes through `write` to an nginx that records, and compares the recording with the tags:
/// by how many ms the recording's times are earlier.
fn nginx_witness(
    name: &str,
    tags: &[flv::Tag],
    chunk: usize,
    write: impl FnOnce(&mut rtmp::Raw, &[flv::Tag]),
) -> i64 {
    let scratch = Scratch::new("witness");
    let nginx = Nginx::recording(&scratch);
    let mut raw = rtmp::Raw::start(nginx.rtmp, "cam", chunk);
    write(&mut raw, tags);
    raw.leave();
    assert_recorded(name, &scratch, &flv::sent(tags))
}

/// Waits until all that was sent is recorded, and compares it: by how many ms the recording's
/// times are earlier.
fn assert_recorded(name: &str, scratch: &Scratch, sent: &Sent) -> i64 {
    let path = scratch.join("cam.flv");
    let wanted = format!("nginx to record {name}");
    let recorded = process::wait_for(&wanted, Duration::from_secs(5), || {
        let recorded = flv::sent(&flv::read(&std::fs::read(&path).ok()?).ok()?);
        (recorded.video.len() == sent.video.len() && recorded.audio.len() == sent.audio.len())
            .then_some(recorded)
    });
    let zero = sent.video[0].ms - recorded.video[0].ms;
    for (a, b) in sent.video.iter().zip(&recorded.video) {
        assert_eq!((a.ms - zero, a.cts, &a.nals), (b.ms, b.cts, &b.nals), "{name}");
    }
    for (a, b) in sent.audio.iter().zip(&recorded.audio) {
        assert_eq!((a.ms - zero, &a.bytes), (b.ms, &b.bytes), "{name}");
    }
    println!(
        "{name}: nginx recorded {} pictures and {} audio frames as they were sent",
        sent.video.len(),
        sent.audio.len()
    );
    zero
}

/// The same with ffmpeg as the server; it takes one publisher.
fn ffmpeg_witness(name: &str, tags: &[flv::Tag], write: impl FnOnce(&mut rtmp::Raw, &[flv::Tag])) {
    let scratch = Scratch::new("witness");
    let port = process::free_port();
    let path = scratch.join("cam.flv");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-nostdin",
        "-listen",
        "1",
        "-i",
        &format!("rtmp://127.0.0.1:{port}/live/cam"),
        "-c",
        "copy",
        &path,
    ]);
    let mut ffmpeg = process::Running::start("ffmpeg -listen", &mut command, &scratch.join("log"));
    // A look whether it accepts would be its one connection: the kernel's table is asked instead.
    let listening = format!("0100007F:{port:04X} 00000000:0000 0A");
    process::wait_for("ffmpeg to listen", Duration::from_secs(5), || {
        std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&listening).then_some(())
    });
    let mut raw = rtmp::Raw::start(([127, 0, 0, 1], port).into(), "cam", 128);
    write(&mut raw, tags);
    raw.leave();
    ffmpeg.finish(Duration::from_secs(10));
    let (sent, recorded) = (flv::sent(tags), flv::sent(&flv::read_file(&path)));
    assert_eq!(
        (sent.video.len(), sent.audio.len()),
        (recorded.video.len(), recorded.audio.len()),
        "{name}: {}",
        ffmpeg.text()
    );
    assert!(
        sent.video.iter().zip(&recorded.video).all(|(a, b)| a.nals == b.nals && a.ms == b.ms),
        "{name}"
    );
    assert!(sent.audio.iter().zip(&recorded.audio).all(|(a, b)| a.bytes == b.bytes), "{name}");
    println!(
        "{name}: ffmpeg recorded {} pictures and {} audio frames as they were sent",
        sent.video.len(),
        sent.audio.len()
    );
}

/// The odd but legal ways of `field` are really legal: nginx-rtmp or ffmpeg reads the same media
/// out of them.
#[test]
fn odd_writers_are_understood_by_others() {
    use crate::field;
    let plain = flv::read_file(&media::plain(4));
    nginx_witness("interleaved chunks", &plain, 128, field::interleaved);
    // nginx-rtmp 1.2.2 loses its place when the size changes inside a message; ffmpeg does not.
    ffmpeg_witness("chunk size inside a message", &plain, field::resized);
    nginx_witness("aggregate messages", &plain, 128, field::aggregated);
    // Type 2 (abort) has no witness here: neither nginx-rtmp 1.2.2 nor ffmpeg 5.1 acts on it.
    nginx_witness("shortest headers", &flv::read_file(&media::silence(6)), 128, field::shortest);
    nginx_witness(
        "extended times, repeated",
        &media::shifted(&plain, 0xff_ffff + 20_000),
        128,
        |raw, tags| field::extended(raw, tags, false),
    );
}

/// A whole live session against nginx-rtmp's own HLS: the follower and the judges work on a server
/// that this project did not write, and find in it what is known to be wrong with it.
#[test]
fn nginx_hls_is_followed_live_and_its_known_faults_are_found() {
    let scratch = Scratch::new("nginx");
    let hls = scratch.join("hls");
    std::fs::create_dir_all(&hls).unwrap();
    let nginx = Nginx::start(
        &scratch,
        &format!(
            "hls on; hls_path {hls}; hls_fragment 1s; hls_playlist_length 12s; hls_cleanup off;"
        ),
    );
    let folder = Folder::start(hls.into());
    let tags = flv::read_file(&media::plain(6));
    let sent = flv::sent(&tags);
    let mut follower = Follower::new(folder.address, "/cam.m3u8");
    let mut raw = rtmp::Raw::start(nginx.rtmp, "cam", 4096);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            raw.tags(&tags, 4.0);
            raw.leave();
        });
        follower.until(Duration::from_secs(8), |f| f.units.0 >= sent.video.len());
    });
    follower.assert_clean();
    let found = structure(&follower.segments);
    // It restarts the counters of PAT and PMT with each segment, and writes audio before the first
    // PCR.
    for words in ["PID 0x0 continuity counter 0, want 1", "a PES before any PCR"] {
        assert_found("nginx-rtmp", &found.faults, words);
    }
    // The pictures are whole; the last audio frame is lost when the publisher leaves.
    let found = media(&sent, &follower.segments);
    assert_eq!(found.video, sent.video.len());
    assert!(found.faults.iter().all(|fault| fault.contains("audio")), "{:?}", found.faults);
    println!("nginx-rtmp's HLS: {:?}", found.faults);
}
