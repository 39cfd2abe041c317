//! HEVC, AC-3, E-AC-3 and Opus: encoded by ffmpeg, put into Enhanced RTMP bodies here (Debian's
//! ffmpeg 5.1 cannot write them), cut by `rillcast segment`, and read by ffmpeg again.
//!
//! Proof is that every decoded picture and every copied audio packet has the hash it had in
//! ffmpeg's own MP4, at the same distance in time.

use std::process::Command;
use std::time::Duration;

use crate::support::enhanced;
use crate::support::flv::{self, Tag};
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::{BINARY, Rillcast, segment};
use crate::support::rtmp::Raw;
use crate::support::ts::Demux;
use crate::support::{follow, outside};

const PICTURE: &str = "-f lavfi -i testsrc2=size=320x180:rate=25";
const TONE: &str = "-f lavfi -i aevalsrc=sin(440*t*2*PI)|sin(660*t*2*PI):s=48000";
const X265: &str = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 -x265-params \
                    keyint=28:min-keyint=28:scenecut=0:bframes=3:log-level=none";

/// One packet of ffmpeg's file.
struct Packet {
    video: bool,
    key: bool,
    pts: f64,
    dts: f64,
    data: Vec<u8>,
}

fn run(program: &str, args: &str) -> String {
    let mut command = Command::new(program);
    command.args(args.split_whitespace());
    let done = process::run(program, &mut command, Duration::from_secs(60));
    assert!(done.status.success(), "{program} {args}: {}", done.text);
    done.text
}

/// The packets of an MP4, in the order of their times.
fn packets(path: &str) -> Vec<Packet> {
    let file = std::fs::read(path).unwrap();
    let fields = "packet=codec_type,pts_time,dts_time,pos,size,flags";
    let text = run("ffprobe", &format!("-v error -show_entries {fields} -of compact=p=0 {path}"));
    let mut packets: Vec<Packet> = text
        .lines()
        .filter(|line| line.contains("codec_type="))
        .map(|line| {
            let field = |name: &str| {
                let found = line.split('|').find_map(|part| part.strip_prefix(name));
                found.unwrap_or_else(|| panic!("{name} in {line}"))
            };
            let (pos, size): (usize, usize) =
                (field("pos=").parse().unwrap(), field("size=").parse().unwrap());
            Packet {
                video: field("codec_type=") == "video",
                key: field("flags=").starts_with('K'),
                pts: field("pts_time=").parse().unwrap(),
                dts: field("dts_time=").parse().unwrap(),
                data: file[pos..pos + size].to_vec(),
            }
        })
        .collect();
    packets.sort_by(|a, b| a.dts.total_cmp(&b.dts));
    assert!(packets.len() > 50, "{path}: {} packets", packets.len());
    packets
}

/// What is inside the box with this name.
fn inside(path: &str, name: &[u8; 4]) -> Option<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    let at = file.windows(4).position(|window| window == name)?;
    let size = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
    Some(file[at + 4..at - 4 + size].to_vec())
}

/// The head that RTMP sends, from what MP4 has of it: big-endian, without magic.
fn opus_head(dops: &[u8]) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(dops[1]);
    head.extend(dops[2..4].iter().rev());
    head.extend(dops[4..8].iter().rev());
    head.extend(dops[8..10].iter().rev());
    head.extend(&dops[10..]);
    head
}

/// Enhanced tags for the packets of an MP4; the first decodes at 0.
fn tags(path: &str, audio: &[u8; 4]) -> Vec<Tag> {
    let packets = packets(path);
    let base = packets.iter().map(|packet| packet.dts).fold(f64::MAX, f64::min);
    let ms = |seconds: f64| ((seconds - base) * 1000.0).round() as i32;
    let mut tags = Vec::new();
    let mut push = |kind, ms: i32, body| tags.push(Tag { offset: 0, kind, ms: ms as u32, body });
    if let Some(record) = inside(path, b"hvcC") {
        push(flv::VIDEO, 0, enhanced::video(b"hvc1", enhanced::START, true, None, &record));
    }
    if let Some(dops) = inside(path, b"dOps") {
        push(flv::AUDIO, 0, enhanced::audio(b"Opus", enhanced::START, &opus_head(&dops)));
    }
    for packet in &packets {
        let at = ms(packet.dts);
        if packet.video {
            let cts = ms(packet.pts) - at;
            let (kind, cts) = match cts {
                0 => (enhanced::FRAMES_X, None),
                _ => (enhanced::FRAMES, Some(cts)),
            };
            push(flv::VIDEO, at, enhanced::video(b"hvc1", kind, packet.key, cts, &packet.data));
        } else {
            push(flv::AUDIO, at, enhanced::audio(audio, enhanced::FRAMES, &packet.data));
        }
    }
    tags
}

/// Time and hash of every frame: pictures decoded, audio copied.
fn frames(input: &str, audio: bool) -> Vec<(f64, String)> {
    let how = if audio { "-map 0:a -c copy" } else { "-map 0:v -fps_mode passthrough" };
    let text = run("ffmpeg", &format!("-v error -nostdin -copyts -i {input} {how} -f framemd5 -"));
    let mut base = (1.0, 1.0);
    let mut frames = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#tb 0: ") {
            let (num, den) = rest.split_once('/').unwrap();
            base = (num.parse().unwrap(), den.parse().unwrap());
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let pts: f64 = fields[2].parse().unwrap();
            frames.push((pts * base.0 / base.1, fields[5].to_owned()));
        }
    }
    frames
}

/// The same hashes, each at the same distance from the first, to `slack` seconds.
fn assert_same(name: &str, want: &[(f64, String)], got: &[(f64, String)], slack: f64) {
    assert!(!want.is_empty(), "{name}: nothing to compare");
    assert_eq!(got.len(), want.len(), "{name}: frames");
    for (n, (want_one, got_one)) in want.iter().zip(got).enumerate() {
        assert_eq!(got_one.1, want_one.1, "{name}: hash of frame {n}");
        let off = (got_one.0 - got[0].0) - (want_one.0 - want[0].0);
        assert!(off.abs() <= slack, "{name}: frame {n} is {off} s off");
    }
}

/// The segments of a folder as one file, `all.ts`: its path and how many.
fn joined(scratch: &Scratch, folder: &std::path::Path) -> (String, usize) {
    let (_, segments) = follow::from_folder(folder, "index.m3u8").unwrap();
    let all = scratch.join("all.ts");
    let bytes: Vec<u8> = segments.iter().flat_map(|got| got.bytes.clone()).collect();
    std::fs::write(&all, bytes).unwrap();
    (all, segments.len())
}

/// Encodes, wraps, segments and compares.
fn whole(name: &str, encode: &str, audio: &[u8; 4], codec: &str, stream_type: u8) {
    let scratch = Scratch::new("enhanced");
    let (source, flv_path) = (scratch.join("source.mp4"), scratch.join("in.flv"));
    let output = scratch.join("out");
    run("ffmpeg", &format!("-v error -y -nostdin {encode} -strict -2 -f mp4 {source}"));
    std::fs::write(&flv_path, flv::write(&tags(&source, audio))).unwrap();
    let done = segment(&flv_path, &output, &[]);
    assert!(done.status.success(), "{name}: {}", done.text);

    let (_, segments) = follow::from_folder(output.as_ref(), "index.m3u8").unwrap();
    assert!(segments.len() >= 3, "{name}: {} segments", segments.len());
    assert!(segments.iter().all(|got| !got.entry.discontinuity), "{name}: goes on");
    let has_video = encode.contains("libx265");
    let mut demux = Demux::default();
    for got in &segments {
        let parts = demux.segment(&got.bytes);
        assert!(parts.faults.is_empty(), "{name}: {:?}", parts.faults);
        let types: Vec<u8> = parts.pmt.unwrap().streams.iter().map(|(_, kind)| *kind).collect();
        let want = if has_video { vec![0x24, stream_type] } else { vec![stream_type] };
        assert_eq!(types, want, "{name}: tracks");
    }
    let (all, _) = joined(&scratch, output.as_ref());
    let probed =
        run("ffprobe", &format!("-v error -show_entries stream=codec_name -of csv=p=0 {all}"));
    assert!(probed.lines().any(|line| line.trim() == codec), "{name}: {probed}");
    if has_video {
        assert!(probed.lines().any(|line| line.trim() == "hevc"), "{name}: {probed}");
        assert_same(name, &frames(&source, false), &frames(&all, false), 1e-6);
    }
    // Two ticks of 90 kHz: one for rounding on either side.
    assert_same(name, &frames(&source, true), &frames(&all, true), 2.1 / 90_000.0);
    for input in [all, format!("{output}/index.m3u8")] {
        outside::ffmpeg_decodes(&input).unwrap_or_else(|e| panic!("{name}: {input}: {e}"));
    }
    println!("{name}: every hash and time of {} segments is the source's", segments.len());
}

#[test]
fn hevc_with_ac3_keeps_every_frame() {
    let encode = format!("{PICTURE} {TONE} -t 5 {X265}:open-gop=0 -c:a ac3 -b:a 192k");
    whole("hevc ac-3", &encode, b"ac-3", "ac3", 0x81);
}

#[test]
fn hevc_of_open_groups_with_eac3_keeps_every_frame() {
    // 28 is no whole number of groups of four: pictures before a CRA in time are behind it.
    let encode = format!("{PICTURE} {TONE} -t 5 {X265}:open-gop=1 -ac 6 -c:a eac3 -b:a 384k");
    whole("open hevc e-ac-3", &encode, b"ec-3", "eac3", 0x87);
}

#[test]
fn hevc_with_opus_keeps_every_frame() {
    let encode = format!("{PICTURE} {TONE} -t 5 {X265}:open-gop=0 -c:a libopus -b:a 128k");
    whole("hevc opus", &encode, b"Opus", "opus", 0x06);
}

#[test]
fn audio_alone_of_each_codec_keeps_every_packet() {
    let six = "-ac 6 -c:a libopus -b:a 256k -frame_duration 60";
    for (name, encode, audio, codec, stream_type) in [
        ("ac-3 44100", "-ar 44100 -c:a ac3 -b:a 128k", b"ac-3", "ac3", 0x81),
        ("e-ac-3 32000", "-ar 32000 -c:a eac3 -b:a 96k", b"ec-3", "eac3", 0x87),
        ("opus 5.1", six, b"Opus", "opus", 0x06),
        ("opus mono", "-ac 1 -c:a libopus -b:a 24k -frame_duration 2.5", b"Opus", "opus", 0x06),
    ] {
        whole(name, &format!("{TONE} -t 5 {encode}"), audio, codec, stream_type);
    }
}

#[test]
fn hevc_with_opus_published_live_is_on_the_box_whole() {
    let scratch = Scratch::new("enhanced-live");
    let source = scratch.join("source.mp4");
    let encode = format!("{PICTURE} {TONE} -t 5 {X265}:open-gop=0 -c:a libopus -b:a 96k");
    run("ffmpeg", &format!("-v error -y -nostdin {encode} -f mp4 {source}"));
    let rillcast = Rillcast::start(&[]);
    let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
    raw.tags(&tags(&source, b"Opus"), 4.0);
    raw.leave();
    let folder = rillcast.folder("cam");
    process::wait_for("all segments", Duration::from_secs(10), || {
        let list = std::fs::read_to_string(folder.join("index.m3u8")).ok()?;
        (list.matches("#EXTINF").count() >= 5).then_some(())
    });
    let (all, segments) = joined(&scratch, &folder);
    assert_same("live", &frames(&source, false), &frames(&all, false), 1e-6);
    assert_same("live", &frames(&source, true), &frames(&all, true), 2.1 / 90_000.0);
    outside::ffmpeg_decodes(&all).unwrap();
    println!("live: every hash and time of {segments} segments is the source's");
}

/// Two cameras in one stream: `tags` of each as a track of its own, in the order of their times.
fn two_tracks(sources: [&str; 2], audio: &[u8; 4]) -> Vec<Tag> {
    let mut all = Vec::new();
    for (id, source) in (0..).zip(sources) {
        all.extend(tags(source, audio).into_iter().map(|mut tag| {
            let wrapper = if tag.kind == flv::VIDEO { 6 } else { 5 };
            tag.body = enhanced::tracked(&tag.body, wrapper, id);
            tag
        }));
    }
    all.sort_by_key(|tag| tag.ms);
    all
}

#[test]
fn first_or_chosen_track_is_on_the_box_and_all_of_them_at_a_player() {
    let scratch = Scratch::new("tracks");
    let sources = ["a", "b"].map(|name| scratch.join(&format!("{name}.mp4")));
    for (source, (filter, hz)) in sources.iter().zip([("", 440), (",hflip", 880)]) {
        let picture = format!("-f lavfi -i testsrc2=size=320x180:rate=25{filter}");
        let tone = format!("-f lavfi -i sine=frequency={hz}:sample_rate=48000");
        let encode = format!("{picture} {tone} -t 4 {X265}:open-gop=0 -c:a ac3 -b:a 96k");
        run("ffmpeg", &format!("-v error -y -nostdin {encode} -f mp4 {source}"));
    }
    let sent = two_tracks([&sources[0], &sources[1]], b"ac-3");
    let chosen: &[(&str, &str)] = &[("media.video_track", "1"), ("media.audio_track", "1")];
    for (settings, source) in [(&[][..], &sources[0]), (chosen, &sources[1])] {
        let rillcast = Rillcast::start(settings);
        let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
        let recorded = scratch.join("recorded.flv");
        let mut pull = Command::new(BINARY);
        pull.args(["pull", &rillcast.publish_url("cam"), &recorded]);
        let mut pull = Running::start("rillcast pull", &mut pull, &scratch.join("pull.log"));
        rillcast.wait_line(&["stream played"]);
        raw.tags(&sent, 4.0);
        raw.leave();
        let folder = rillcast.folder("cam");
        process::wait_for("all segments", Duration::from_secs(10), || {
            let list = std::fs::read_to_string(folder.join("index.m3u8")).ok()?;
            (list.matches("#EXTINF").count() >= 4).then_some(())
        });
        let (all, _) = joined(&scratch, &folder);
        assert_same(source, &frames(source, false), &frames(&all, false), 1e-6);
        assert_same(source, &frames(source, true), &frames(&all, true), 2.1 / 90_000.0);
        pull.succeed(Duration::from_secs(10));
        let got = flv::read_file(&recorded);
        let media = |tags: &[Tag]| -> Vec<_> {
            let media = tags.iter().filter(|tag| tag.kind != flv::DATA);
            media.map(|tag| (tag.kind, tag.body.clone())).collect()
        };
        // A header that was kept aside when the player joined may come twice.
        let (got, sent) = (media(&got), media(&sent));
        let again = usize::from(got[0] == got[1]);
        let differs = got[again..].iter().zip(&sent).position(|(got, sent)| got != sent);
        assert_eq!((differs, got.len() - again), (None, sent.len()), "as they were sent");
    }
}

#[test]
fn comparison_finds_a_frame_that_is_lost_changed_or_late() {
    let frame = |at: f64, hash: &str| (at, hash.to_owned());
    let want = [frame(1.0, "a"), frame(1.04, "b"), frame(1.08, "c")];
    let same = [frame(3.0, "a"), frame(3.04, "b"), frame(3.08, "c")];
    assert_same("as it is", &want, &same, 1e-6);
    for (n, bad) in [
        vec![frame(3.0, "a"), frame(3.04, "b")],
        vec![frame(3.0, "a"), frame(3.04, "x"), frame(3.08, "c")],
        vec![frame(3.0, "a"), frame(3.05, "b"), frame(3.08, "c")],
    ]
    .into_iter()
    .enumerate()
    {
        let found = std::panic::catch_unwind(|| assert_same("bad", &want, &bad, 1e-6));
        assert!(found.is_err(), "fault {n}");
    }
}

#[test]
fn av1_is_told_with_what_to_change() {
    let scratch = Scratch::new("av1");
    let (input, output) = (scratch.join("in.flv"), scratch.join("out"));
    let config = [0x81, 0x08, 0x0c, 0];
    let body = |kind, data: &[u8]| enhanced::video(b"av01", kind, true, None, data);
    let mut all =
        vec![Tag { offset: 0, kind: flv::VIDEO, ms: 0, body: body(enhanced::START, &config) }];
    all.extend((0..50).map(|n| Tag {
        offset: 0,
        kind: flv::VIDEO,
        ms: n * 40,
        body: body(enhanced::FRAMES, &[0x0a, 0x01, 0]),
    }));
    std::fs::write(&input, flv::write(&all)).unwrap();
    let done = segment(&input, &output, &[]);
    assert!(!done.status.success());
    let told = "video AV1 (av01.0.08M.08) cannot be carried: set the camera to H.264 or HEVC";
    assert!(done.text.contains(told), "{}", done.text);
}
