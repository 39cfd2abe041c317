//! Master and I-frame playlists: read by parsers of others, played by ffmpeg and hls.js, and every
//! range of the I-frame playlist fetched and decoded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::support::http::{self, Answer};
use crate::support::peers;
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::Rillcast;
use crate::support::{media, outside, readers};

/// Publishes a file in real time, until the master playlist is there and some segments more.
fn live(rillcast: &Rillcast, scratch: &Scratch, file: &str) -> Running {
    let (url, truth) = (rillcast.publish_url("cam"), scratch.join("truth.flv"));
    let publisher = peers::ffmpeg(file, &url, &truth, &scratch.join("log"));
    let early = text(rillcast, "master.m3u8");
    assert!(early.is_none() || text(rillcast, "index.m3u8").is_some(), "before its playlist");
    let mut follower = rillcast.follow("cam");
    follower.until(Duration::from_secs(30), |f| {
        f.last.as_ref().is_some_and(|list| list.entries.len() >= 4)
    });
    publisher
}

fn get(rillcast: &Rillcast, file: &str) -> Answer {
    http::get(rillcast.http, &format!("/hls/live/cam/{file}")).expect("an answer")
}

fn text(rillcast: &Rillcast, file: &str) -> Option<String> {
    Some(get(rillcast, file)).filter(|answer| answer.status == 200).map(|answer| answer.text())
}

/// GETs a part, `FIRST-LAST`.
fn part(rillcast: &Rillcast, file: &str, range: &str) -> Answer {
    let mut socket = TcpStream::connect(rillcast.http).unwrap();
    let host = rillcast.http;
    let request = format!(
        "GET /hls/live/cam/{file} HTTP/1.0\r\nHost: {host}\r\nRange: bytes={range}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    http::parse(&bytes).expect("an answer")
}

/// Pictures that ffmpeg decodes of a file or playlist. Counters jump from range to range, so that
/// it may remark on them; a picture that is not whole would be an error.
fn pictures(input: &str, options: &[&str]) -> usize {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).args(options).args(["-i", input]);
    command.args(["-map", "0:v", "-vsync", "0", "-f", "framecrc", "-"]);
    let done = process::run("ffmpeg decodes", &mut command, Duration::from_secs(60));
    assert!(done.status.success(), "{input}: {}", done.text);
    done.text.lines().filter(|line| line.starts_with("0, ")).count()
}

/// Fields of a line of `readers::read`.
fn fields<'l>(lines: &'l [String], kind: &str) -> Vec<Vec<&'l str>> {
    let fields = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.filter(|fields| fields[0] == kind).map(|fields| fields[1..].to_vec()).collect()
}

#[test]
fn r62_r63_master_is_read_by_others_and_says_what_is_sent() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("master");
    let mut publisher = live(&rillcast, &scratch, &media::plain(12));
    let answer = get(&rillcast, "master.m3u8");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/vnd.apple.mpegurl"));
    let cache = answer.header("cache-control").expect("a word to caches");
    let age = cache.strip_prefix("public, max-age=").and_then(|age| age.parse().ok());
    assert!(age.is_some_and(|age: u32| (5..=60).contains(&age)), "{cache}");
    let master = answer.text();
    let said = outside::hls_parser(&master).unwrap_or_else(|e| panic!("{e}\n{master}"));
    assert_eq!(said, "ok variants=1 i_frames=1");
    let lines = readers::read(&master);
    let [variant] = &fields(&lines, "variant")[..] else { panic!("{lines:?}") };
    let [bandwidth, average, codecs, size, rate, "index.m3u8"] = variant[..] else {
        panic!("{variant:?}")
    };
    assert_eq!((size, rate), ("320x240", "25.000"));
    // What ffprobe says of the pictures, and what was asked of the audio encoder.
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-show_entries"]);
    command.args(["stream=profile,level", "-of", "csv=p=0", &media::plain(12)]);
    let probed = process::run("ffprobe", &mut command, Duration::from_secs(20)).text;
    let level: u8 = probed.trim().rsplit(',').next().unwrap().parse().unwrap();
    assert!(codecs.ends_with(&format!("{level:02x},mp4a.40.2")), "{codecs}: {probed}");
    let (bandwidth, average): (u64, u64) = (bandwidth.parse().unwrap(), average.parse().unwrap());
    let index = text(&rillcast, "index.m3u8").unwrap();
    outside::hls_parser(&index).unwrap();
    let listed = readers::read(&index);
    let (mut bytes, mut seconds) = (0, 0.0);
    for segment in fields(&listed, "segment") {
        let length = get(&rillcast, segment[2]).body.len() as u64;
        let lasts: f64 = segment[0].parse().unwrap();
        assert!(length as f64 * 8.0 / lasts <= bandwidth as f64, "{segment:?}: {master}");
        (bytes, seconds) = (bytes + length, seconds + lasts);
    }
    let measured = bytes as f64 * 8.0 / seconds;
    let off = average as f64 / measured;
    assert!((0.85..=1.15).contains(&off), "{average} stated, {measured} measured");
    assert!(average <= bandwidth);
    let on_disk = std::fs::read_to_string(rillcast.folder("cam").join("master.m3u8")).unwrap();
    assert!(outside::hls_parser(&on_disk).is_ok(), "{on_disk}");
    publisher.finish(Duration::from_secs(30));
}

#[test]
fn every_range_of_the_i_frame_playlist_is_one_picture() {
    for file in [media::plain(10), media::b_frames(12)] {
        let rillcast = Rillcast::start(&[("hls.segment_ms", "2000")]);
        let scratch = Scratch::new("iframes");
        let mut publisher = live(&rillcast, &scratch, &file);
        let list = text(&rillcast, "iframes.m3u8").expect("an I-frame playlist");
        outside::hls_parser(&list).unwrap_or_else(|e| panic!("{e}\n{list}"));
        let lines = readers::read(&list);
        assert_eq!(fields(&lines, "list")[0][0], "true", "{list}");
        let frames = fields(&lines, "segment");
        let segments = text(&rillcast, "index.m3u8").unwrap().matches(".ts\n").count();
        assert!(frames.len() >= segments.min(4), "{list}");
        for frame in &frames {
            let [_, range, name, "376@0"] = frame[..] else { panic!("{frame:?}") };
            let (bytes, at) = range.split_once('@').unwrap();
            let (bytes, at): (u64, u64) = (bytes.parse().unwrap(), at.parse().unwrap());
            let picture = part(&rillcast, name, &format!("{at}-{}", at + bytes - 1));
            assert_eq!((picture.status, picture.body.len() as u64), (206, bytes));
            let tables = part(&rillcast, name, "0-375");
            assert_eq!((tables.status, tables.body.len()), (206, 376));
            let one = scratch.join("one.ts");
            std::fs::write(&one, [tables.body, picture.body].concat()).unwrap();
            let strict = ["-xerror", "-err_detect", "explode"];
            assert_eq!(pictures(&one, &strict), 1, "{frame:?}");
        }
        let name = frames[0][2];
        let beyond = part(&rillcast, name, "100000000-");
        assert_eq!(beyond.status, 416);
        let range = beyond.header("content-range").expect("the length");
        assert_eq!(range, format!("bytes */{}", get(&rillcast, name).body.len()));
        // A player that takes the playlist as it is shows each picture once.
        let whole = Scratch::new("whole");
        for segment in frames.iter().map(|frame| frame[2]) {
            std::fs::write(whole.join(segment), get(&rillcast, segment).body).unwrap();
        }
        let ended = whole.join("iframes.m3u8");
        std::fs::write(&ended, list.clone() + "#EXT-X-ENDLIST\n").unwrap();
        assert_eq!(pictures(&ended, &[]), frames.len(), "{list}");
        publisher.finish(Duration::from_secs(30));
    }
}

#[test]
fn master_is_played_by_ffmpeg_and_in_a_browser() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("played");
    let mut publisher = live(&rillcast, &scratch, &media::plain(20));
    let url = rillcast.playlist_url("cam").replace("index", "master");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "program=program_id:program_tags"]);
    command.args(["-of", "compact", &url]);
    let probed = process::run("ffprobe", &mut command, Duration::from_secs(30));
    assert!(probed.status.success() && probed.text.contains("variant_bitrate="), "{}", probed.text);
    let (frames, _) = outside::ffmpeg_plays(&url, 4).unwrap_or_else(|e| panic!("{e}"));
    assert!(frames >= 95, "{frames} pictures in 4 s");
    let seconds = outside::hls_js_plays(&url, 6);
    let said = outside::played(&seconds, (320, 240), 3.0);
    println!("hls.js: {}", said.unwrap_or_else(|e| panic!("hls.js: {e}")));
    publisher.finish(Duration::from_secs(40));
}

#[test]
fn sound_alone_has_a_master_without_pictures() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("sound");
    let mut publisher = live(&rillcast, &scratch, &media::audio_only(10));
    let master = text(&rillcast, "master.m3u8").expect("a master");
    assert_eq!(outside::hls_parser(&master).unwrap(), "ok variants=1 i_frames=0");
    let lines = readers::read(&master);
    assert_eq!(fields(&lines, "variant")[0][2..5], ["mp4a.40.2", "none", "NaN"], "{master}");
    assert!(text(&rillcast, "iframes.m3u8").is_none());
    publisher.finish(Duration::from_secs(30));
}
