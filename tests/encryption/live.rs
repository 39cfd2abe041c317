//! The program on the air: keys over HTTP, and players of others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::player::{Entry, entries, openssl};
use crate::support::process::{self, Running, Scratch, wait_for};
use crate::support::rillcast::{BINARY, Rillcast};
use crate::support::serve::Folder;
use crate::support::{http, media, outside};

/// A server with an ffmpeg that publishes to `live/cam`.
fn on_air(settings: &[(&str, &str)], seconds: u32) -> (Rillcast, Running, Scratch) {
    let rillcast = Rillcast::start(settings);
    let scratch = Scratch::new("publisher");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-re", "-i", &media::plain(seconds)]);
    command.args(["-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize"]);
    command.arg(rillcast.publish_url("cam"));
    let publisher = Running::start("ffmpeg", &mut command, &scratch.join("log"));
    (rillcast, publisher, scratch)
}

/// The playlist once it lists so many segments.
fn listed(rillcast: &Rillcast, query: &str, count: usize) -> (String, Vec<Entry>) {
    let path = format!("{}{query}", Rillcast::playlist_path("cam"));
    wait_for("segments", Duration::from_secs(20), || {
        let answer = http::get(rillcast.http, &path).ok().filter(|answer| answer.status == 200)?;
        let entries = entries(&answer.text());
        (entries.len() >= count).then(|| (answer.text(), entries))
    })
}

fn get(rillcast: &Rillcast, uri: &str) -> http::Answer {
    http::get(rillcast.http, &format!("/hls/live/cam/{uri}")).unwrap()
}

#[test]
fn late_joiner_decrypts_all_that_is_listed() {
    let settings = [("hls.encryption", "aes-128"), ("hls.key_segments", "2")];
    let (rillcast, _publisher, _scratch) = on_air(&settings, 20);
    let (text, entries) = listed(&rillcast, "", 5);
    outside::hls_parser(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    for entry in &entries {
        let (method, uri) = entry.key.clone().expect("R52");
        assert_eq!(method, "AES-128");
        let key = get(&rillcast, &uri);
        assert_eq!((key.status, key.body.len()), (200, 16));
        assert_eq!(key.header("content-type"), Some("application/octet-stream"));
        assert_eq!(key.header("cache-control"), Some("no-store"));
        assert_eq!(key.header("access-control-allow-origin"), Some("*"));
        let segment = get(&rillcast, &entry.uri);
        let plain = openssl(&key.body, entry.sequence, &segment.body);
        assert!(plain.len().is_multiple_of(188) && plain.len() > 188 * 10, "R50");
        assert!(plain.chunks(188).all(|packet| packet[0] == 0x47), "R50, R51");
    }
    assert_eq!(rillcast.counter("hls_keys_refused"), 0.0);
}

#[test]
fn ranges_of_an_encrypted_segment_are_its_ciphertext() {
    let (rillcast, _publisher, _scratch) = on_air(&[("hls.encryption", "aes-128")], 20);
    let uri = listed(&rillcast, "", 2).1.remove(0).uri;
    let whole = get(&rillcast, &uri).body;
    for (range, want) in [
        ("bytes=0-15", &whole[..16]),
        ("bytes=16-1039", &whole[16..1040]),
        ("bytes=-16", &whole[whole.len() - 16..]),
    ] {
        let mut socket = TcpStream::connect(rillcast.http).unwrap();
        let request = format!("GET /hls/live/cam/{uri} HTTP/1.0\r\nRange: {range}\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let answer = http::parse(&bytes).unwrap();
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, want, "{range}");
    }
}

#[test]
fn key_without_leave_is_403_and_counted() {
    let settings = [("hls.encryption", "aes-128"), ("hls.keys_from", "192.0.2.0/24")];
    let (rillcast, _publisher, _scratch) = on_air(&settings, 20);
    let entry = listed(&rillcast, "", 1).1.remove(0);
    let uri = entry.key.unwrap().1;
    for uri in [uri.as_str(), "00000000-0.key"] {
        let answer = get(&rillcast, uri);
        assert_eq!(answer.status, 403, "{uri}");
        assert!(answer.text().contains("hls.keys_from"), "{}", answer.text());
    }
    assert_eq!(rillcast.counter("hls_keys_refused"), 2.0);
    assert_eq!(get(&rillcast, &entry.uri).status, 200, "ciphertext is for everybody");
}

#[test]
fn key_of_a_stream_for_which_viewers_need_a_key_asks_for_that_too() {
    let settings = [("hls.encryption", "aes-128"), ("stream.live/cam.play_key", "see-cam")];
    let (rillcast, _publisher, _scratch) = on_air(&settings, 20);
    let entry = listed(&rillcast, "?key=see-cam", 1).1.remove(0);
    let uri = entry.key.unwrap().1;
    let bare = uri.strip_suffix("?key=see-cam").expect("a playlist says the key of its keys");
    assert_eq!(get(&rillcast, bare).status, 403);
    assert_eq!(get(&rillcast, &format!("{bare}?key=guess")).status, 403);
    assert_eq!(rillcast.counter("keys_refused"), 2.0);
    let key = get(&rillcast, &uri).body;
    let segment = get(&rillcast, &entry.uri).body;
    assert_eq!(openssl(&key, entry.sequence, &segment)[0], 0x47);
    assert_eq!(get(&rillcast, &bare.replace('-', "-9")).status, 403, "nor is it told what is not");
}

#[test]
fn ffmpeg_plays_through_a_rotation() {
    // It decrypts the last picture of a segment when it has the key of the next one.
    for (encryption, segments) in [("aes-128", "2"), ("sample-aes", "0")] {
        let settings = [("hls.encryption", encryption), ("hls.key_segments", segments)];
        let (rillcast, _publisher, _scratch) = on_air(&settings, 20);
        listed(&rillcast, "", 2);
        let (frames, _) = outside::ffmpeg_plays(&rillcast.playlist_url("cam"), 8)
            .unwrap_or_else(|e| panic!("{encryption}: {e}"));
        assert!(frames >= 190, "{encryption}: {frames} pictures of 8 s");
    }
}

#[test]
fn hls_js_and_chromium_play_encrypted_segments_through_a_rotation() {
    let settings = [("hls.encryption", "aes-128"), ("hls.key_segments", "2")];
    let (rillcast, _publisher, _scratch) = on_air(&settings, 40);
    listed(&rillcast, "", 4);
    let url = rillcast.playlist_url("cam");
    let seconds = outside::hls_js_plays(&url, 8);
    let said = outside::played(&seconds, (320, 240), 4.0).unwrap_or_else(|e| panic!("hls.js: {e}"));
    println!("hls.js, {said}");
    let seconds = outside::chromium_plays(&url, 8);
    let said = outside::played(&seconds, (320, 240), 4.0).unwrap_or_else(|e| panic!("native: {e}"));
    println!("native, {said}");
}

#[test]
fn hls_js_plays_sample_aes() {
    let settings = [("hls.encryption", "sample-aes"), ("hls.key_segments", "2")];
    let (rillcast, _publisher, _scratch) = on_air(&settings, 30);
    listed(&rillcast, "", 4);
    let seconds = outside::hls_js_plays(&rillcast.playlist_url("cam"), 8);
    let said = outside::played(&seconds, (320, 240), 4.0).unwrap_or_else(|e| panic!("hls.js: {e}"));
    println!("hls.js, {said}");
}

/// What the program's own judge says of a playlist: whether it passes, and why not.
fn checked(url: &str, seconds: &str) -> (bool, String) {
    let mut command = Command::new(BINARY);
    command.args(["check", url, "--seconds", seconds]);
    let done = process::run("rillcast check", &mut command, Duration::from_secs(40));
    (done.status.success(), done.text)
}

#[test]
fn r50_r51_checker_looks_into_encrypted_segments() {
    let settings = [("hls.encryption", "aes-128"), ("hls.key_segments", "2")];
    let (rillcast, _publisher, scratch) = on_air(&settings, 30);
    let (text, entries) = listed(&rillcast, "", 5);
    let (passes, said) = checked(&rillcast.playlist_url("cam"), "8");
    assert!(passes, "{said}");
    // The same from another server, first as it is, then with a key that is another.
    let folder = scratch.path().join("copy");
    std::fs::create_dir(&folder).unwrap();
    let keys = entries.iter().filter_map(|entry| Some(entry.key.clone()?.1));
    for uri in entries.iter().map(|entry| entry.uri.clone()).chain(keys) {
        std::fs::write(folder.join(&uri), get(&rillcast, &uri).body).unwrap();
    }
    std::fs::write(folder.join("index.m3u8"), text + "#EXT-X-ENDLIST\n").unwrap();
    let copy = Folder::start(folder.clone());
    let url = format!("http://{}/index.m3u8", copy.address);
    let (_, said) = checked(&url, "3");
    assert!(!said.contains("R51") && !said.contains("R50"), "{said}");
    let key = entries[0].key.clone().expect("R52").1;
    std::fs::write(folder.join(key), [7; 16]).unwrap();
    let (passes, said) = checked(&url, "3");
    assert!(!passes && said.contains("its key and vector do not decrypt it"), "{said}");
}
