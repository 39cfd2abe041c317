//! Dates and packed audio over real sockets: a board that boots in 1970 and learns the time, and
//! streams that have nothing but sound.
//!
//! `R` numbers are those of the rules in the reference sheet of the HLS side.

use std::process::Command;
use std::time::Duration;

use crate::support::board::{Board, unix_ms};
use crate::support::follow::Got;
use crate::support::process::{self, Scratch};
use crate::support::rillcast::{Rillcast, segment};
use crate::support::rtmp::Raw;
use crate::support::{flv, media, outside, session, ts};
use rillcast::wire::date;

fn start(board: &Board, settings: &[(&str, &str)]) -> Rillcast {
    Rillcast::start_under(settings, &[], &board.environment())
}

fn dates(segments: &[Got]) -> Vec<Option<u64>> {
    let date = |got: &Got| got.entry.date.as_ref().map(|text| date::parse(text).expect("a date").0);
    segments.iter().map(date).collect()
}

#[test]
fn r43_board_that_boots_in_1970_dates_its_streams_once_its_clock_is_right() {
    let now_s = i64::try_from(unix_ms() / 1000).unwrap();
    let board = Board::new(false, -now_s);
    let rillcast = start(&board, &[]);
    let tags = flv::read_file(&media::plain(15));
    let mut follower = rillcast.follow("cam");
    std::thread::scope(|scope| {
        let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
        let tags = &tags;
        scope.spawn(move || {
            raw.tags(tags, 1.0);
            raw.leave();
        });
        let wait = Duration::from_secs(30);
        assert!(follower.until(wait, |f| f.segments.len() >= 3));
        // A clock that says it is right before 2024 is not believed either.
        board.set(true, -now_s);
        assert!(follower.until(wait, |f| f.segments.len() >= 5));
        assert!(dates(&follower.segments).iter().all(Option::is_none), "no date in 1970");
        board.set(true, 0);
        assert!(follower.until(wait, |f| dates(&f.segments).iter().flatten().count() >= 4));
        let last = follower.segments.last().unwrap();
        let date = dates(&follower.segments).last().copied().flatten().unwrap();
        let end = date + last.entry.extinf_us / 1000;
        assert!(unix_ms().abs_diff(end) < 2_500, "{end} is not now: {}", unix_ms());
        board.set(false, 0);
        let seen = follower.segments.len();
        assert!(follower.until(wait, |f| f.segments.len() >= seen + 3));
        assert_eq!(dates(&follower.segments).last(), Some(&None), "nobody believes it now");
    });
    follower.assert_clean();
    let got = &follower.segments;
    let dates = dates(got);
    let dated: Vec<usize> = (0..got.len()).filter(|&n| dates[n].is_some()).collect();
    for pair in dated.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "one run of them");
        let step = dates[pair[1]].unwrap() - dates[pair[0]].unwrap();
        let extinf = got[pair[0]].entry.extinf_us / 1000;
        assert!(step.abs_diff(extinf) <= 1, "{step} ms for {extinf} ms of media");
    }
    outside::hls_parser(&follower.last_text).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn r43_camera_that_was_away_is_dated_when_it_is_back() {
    let board = Board::new(true, 0);
    let rillcast = start(&board, &[]);
    let tags = flv::read_file(&media::plain(4));
    let mut follower = rillcast.follow("cam");
    for visit in 1..=2 {
        let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
        raw.tags(&tags, 1.0);
        raw.leave();
        let come = follower.until(Duration::from_secs(10), |f| f.segments.len() >= visit * 4);
        assert!(come, "{} segments", follower.segments.len());
        std::thread::sleep(Duration::from_secs(2));
    }
    follower.assert_clean();
    let (got, dates) = (&follower.segments, dates(&follower.segments));
    let back = got.iter().position(|got| got.entry.discontinuity).expect("a discontinuity");
    let end = dates[back - 1].unwrap() + got[back - 1].entry.extinf_us / 1000;
    let away = dates[back].expect("a date behind the discontinuity") - end;
    assert!((1_500..6_000).contains(&away), "away for {away} ms");
}

#[test]
fn streams_are_undated_where_the_setting_says_so() {
    let board = Board::new(true, 0);
    let rillcast = start(&board, &[("hls.dates", "false")]);
    let tags = flv::read_file(&media::plain(4));
    let follower =
        session::publish_to(&rillcast, "cam", "undated", &tags, 4096, session::Expect::default());
    assert!(!follower.last_text.contains("DATE"), "{}", follower.last_text);
}

/// What ffprobe says of the sound in a playlist: codec, and times of the first and last packet.
fn probed(input: &str) -> (String, f64, f64) {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-show_entries", "stream=codec_name:packet=pts_time", "-of", "csv"]);
    let done = process::run("ffprobe", probe.arg(input), Duration::from_secs(30));
    assert!(done.status.success(), "{}", done.text);
    let values = |kind: &str| -> Vec<String> {
        let lines = done.text.lines().filter_map(|line| line.strip_prefix(kind));
        lines.map(|line| line.trim_matches(',').to_owned()).collect()
    };
    let times: Vec<f64> = values("packet").iter().filter_map(|text| text.parse().ok()).collect();
    (values("stream").concat(), times[0], *times.last().unwrap())
}

/// Samples that ffmpeg decodes, without a word of complaint. Their times are not looked at: of MP3
/// it gives the time of a tag to what its parser holds, which is a few frames back.
fn decoded_samples(input: &str) -> usize {
    let scratch = Scratch::new("decoded");
    let output = scratch.join("pcm");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-xerror", "-live_start_index", "0", "-i", input]);
    let command = command.args(["-af", "asetpts=N/SR/TB", "-ac", "1", "-f", "s16le", &output]);
    let done = process::run("ffmpeg decodes", command, Duration::from_secs(60));
    assert!(done.status.success() && done.text.trim().is_empty(), "{}", done.text);
    std::fs::metadata(&output).unwrap().len() as usize / 2
}

fn packed_stream(name: &str, path: &str, suffix: &str) {
    let rillcast = Rillcast::start(&[("hls.packed_audio", "true")]);
    let tags = flv::read_file(path);
    let sent = flv::sent(&tags);
    let mut follower = rillcast.follow("radio");
    std::thread::scope(|scope| {
        let mut raw = Raw::start(rillcast.rtmp, "radio", 4096);
        let tags = &tags;
        scope.spawn(move || {
            raw.tags(tags, 4.0);
            raw.leave();
        });
        assert!(session::whole(&mut follower, &sent, Duration::from_secs(30)), "{name}");
    });
    follower.assert_clean();
    assert_eq!(follower.units.1, sent.audio.len(), "{name}: every frame, once");
    assert!(follower.segments.iter().all(|got| got.entry.uri.ends_with(suffix)));
    for got in &follower.segments {
        let copy = std::fs::read(rillcast.folder("radio").join(&got.entry.uri)).unwrap();
        assert_eq!(copy, got.bytes, "{name}: the copy on tmpfs is another");
    }
    outside::hls_parser(&follower.last_text).unwrap_or_else(|e| panic!("{name}: {e}"));
    outside::ffmpeg_plays(&rillcast.playlist_url("radio"), 3).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn r24_audio_only_stream_is_packed_where_the_setting_asks() {
    packed_stream("aac alone", &media::audio_only(8), ".aac");
}

#[test]
fn r24_recordings_of_sound_are_packed_and_ffmpeg_reads_their_time() {
    let mp3 = media::made(
        "mp3alone",
        "-f lavfi -i sine=frequency=440:sample_rate=44100 -t 8 -c:a libmp3lame -b:a 64k",
    );
    for (path, suffix, codec) in [(media::audio_only(8), ".aac", "aac"), (mp3, ".mp3", "mp3")] {
        let scratch = Scratch::new("packed");
        let done = segment(&path, &scratch.join("out"), &["hls.packed_audio=true"]);
        assert!(done.status.success(), "{}", done.text);
        let playlist = scratch.join("out/index.m3u8");
        let text = std::fs::read_to_string(&playlist).unwrap();
        let files = text.lines().filter(|line| line.ends_with(suffix)).count();
        assert!(files >= 7, "{text}");
        outside::hls_parser(&text).unwrap_or_else(|e| panic!("{e}"));
        let sent = flv::sent(&flv::read_file(&path)).audio;
        let samples: usize = sent.iter().map(|frame| frame.samples as usize).sum();
        let decoded = decoded_samples(&playlist);
        assert!(samples.abs_diff(decoded) <= 3 * 1152, "{codec}: {decoded} of {samples} samples");
        let (name, first, last) = probed(&playlist);
        assert_eq!(name, codec);
        assert!((first - 3.2).abs() < 0.1, "the time of the first tag: {first}");
        assert!((last - first - 8.0).abs() < 0.2, "{first} to {last}");
    }
}

/// A data tag at `ms`: a name and an object of texts.
fn data(ms: u32, name: &str, texts: &[(&str, &str)]) -> flv::Tag {
    let short = |text: &str| {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    };
    let mut body = [&[2], &short(name)[..], &[3]].concat();
    for (name, text) in texts {
        body.extend([&short(name)[..], &[2], &short(text)].concat());
    }
    body.extend([0, 0, 9]);
    flv::Tag { offset: 0, kind: flv::DATA, ms, body }
}

#[test]
fn cue_points_and_texts_reach_players_of_hls() {
    let board = Board::new(true, 0);
    let rillcast = start(&board, &[("hls.id3", "true"), ("hls.start_offset_s", "6")]);
    let mut tags = flv::read_file(&media::plain(8));
    tags.push(data(3_000, "onTextData", &[("text", "Goal")]));
    tags.push(data(4_500, "onCuePoint", &[("name", "Half time"), ("type", "event")]));
    let tags = flv::sorted(tags);
    let mut follower = rillcast.follow("cam");
    std::thread::scope(|scope| {
        let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
        let tags = &tags;
        scope.spawn(move || {
            raw.tags(tags, 1.0);
            raw.leave();
        });
        assert!(follower.until(Duration::from_secs(30), |f| f.segments.len() >= 8));
    });
    follower.assert_clean();
    let text = &follower.last_text;
    let line = text.lines().find(|line| line.starts_with("#EXT-X-DATERANGE:")).expect(text);
    assert!(line.ends_with("DURATION=0.000,X-NAME=\"Half time\",X-TYPE=\"event\""), "{line}");
    let date = line.split_once("START-DATE=\"").unwrap().1;
    let date = date::parse(&date[..24]).unwrap().0;
    let first = dates(&follower.segments)[0].unwrap();
    // The first picture of ffmpeg comes a little after the first sound.
    let picture = tags.iter().find(|tag| tag.kind == flv::VIDEO && !tag.is_video_config()).unwrap();
    let wanted = u64::from(4_500 - picture.ms);
    assert!((date - first).abs_diff(wanted) <= 2, "{date} {first} {}", picture.ms);
    assert!(text.contains("#EXT-X-START:TIME-OFFSET=-6\n"), "{text}");
    outside::hls_parser(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let scratch = Scratch::new("timed");
    let all: Vec<u8> = follower.segments.iter().flat_map(|got| got.bytes.clone()).collect();
    std::fs::write(scratch.join("all.ts"), all).unwrap();
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-select_streams", "d", "-of", "csv", "-show_entries"]);
    probe.args(["stream=codec_name:packet=pts_time", &scratch.join("all.ts")]);
    let done = process::run("ffprobe", &mut probe, Duration::from_secs(30));
    assert!(done.text.contains("stream,timed_id3"), "{}", done.text);
    let times = done.text.lines().filter_map(|line| line.strip_prefix("packet,"));
    let times = times.filter_map(|line| line.split(',').next()?.parse().ok());
    let times: Vec<f64> = times.collect();
    assert_eq!(times.len(), 2, "{}", done.text);
    let first = ts::Demux::default().segment(&follower.segments[0].bytes);
    let first = first.of(0x100).next().unwrap().pts as f64 / 90_000.0;
    for (time, ms) in times.iter().zip([3_000, 4_500]) {
        let wanted = first + f64::from(ms - picture.ms) / 1000.0;
        assert!((time - wanted).abs() < 0.002, "{times:?}, wanted {wanted}");
    }
    outside::ffmpeg_decodes_segments(&follower.segments).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn r43_recording_that_says_when_it_was_made_is_dated() {
    let path = media::made(
        "dated",
        "-f lavfi -i testsrc2=size=320x240:rate=25 -t 3 -c:v libx264 -preset ultrafast \
         -pix_fmt yuv420p -g 25 -metadata creation_time=2026-01-05T10:20:30.5Z",
    );
    for (setting, dated) in [("hls.dates=true", 3), ("hls.dates=false", 0)] {
        let scratch = Scratch::new("dated");
        let done = segment(&path, &scratch.join("out"), &[setting]);
        assert!(done.status.success(), "{}", done.text);
        let text = std::fs::read_to_string(scratch.join("out/index.m3u8")).unwrap();
        let tag = "#EXT-X-PROGRAM-DATE-TIME:";
        let dates: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(tag)).collect();
        assert_eq!(dates.len(), dated, "{text}");
        let wanted = ["2026-01-05T10:20:30.500Z", "2026-01-05T10:20:31.500Z"];
        assert!(dated == 0 || dates[..2] == wanted, "{text}");
        outside::hls_parser(&text).unwrap_or_else(|e| panic!("{e}"));
    }
}
