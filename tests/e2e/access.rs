//! Who may publish and play: keys and users with real encoders, takeover of publishers that hang.
//!
//! Not here: address ranges, which loopback cannot show.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::process::{self, Running, Scratch, wait_for};
use crate::support::rillcast::Rillcast;
use crate::support::{http, media};

/// A user, a key each for publishers and players.
const SETTINGS: &[(&str, &str)] = &[
    ("stream.live/cam.publish_key", "pub-key"),
    ("stream.live/cam.play_key", "play-key"),
    ("stream.tv/news.publish_users", "bob"),
    ("stream.old/news.publish_users", "bob"),
    ("stream.old/news.sign_in", "llnw"),
    ("user.bob.password", "secret"),
];

fn ffmpeg(input: &str, url: &str, scratch: &Scratch, name: &str) -> Running {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-re", "-i", input, "-c", "copy"]);
    command.args(["-f", "flv", "-flvflags", "no_duration_filesize", url]);
    Running::start(name, &mut command, &scratch.join(name))
}

/// GStreamer's publisher through one of its sinks.
fn gstreamer(input: &str, sink: &[&str], scratch: &Scratch) -> Running {
    process::need("gst-launch-1.0");
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-e", "filesrc", &format!("location={input}"), "!", "flvdemux", "name=d"]);
    command.args(["flvmux", "name=m", "streamable=true", "!"]).args(sink);
    command.args("d.video ! queue ! h264parse ! identity sync=true ! m.".split(' '));
    command.args("d.audio ! queue ! aacparse ! identity sync=true ! m.".split(' '));
    Running::start("gst-launch-1.0", &mut command, &scratch.join("gst"))
}

/// Waits until the stream plays at this address.
fn plays(rillcast: &Rillcast, path: &str) {
    wait_for(path, Duration::from_secs(10), || {
        http::get(rillcast.http, path).ok().filter(|answer| answer.status == 200)
    });
}

fn is_refused(mut publisher: Running, rillcast: &Rillcast, words: &str) {
    let status = publisher.finish(Duration::from_secs(10));
    assert!(!status.success(), "{}", publisher.text());
    rillcast.wait_line(&["ingest refused", words]);
    for secret in ["secret", "pub-key", "play-key"] {
        assert!(!rillcast.log().contains(secret), "{}", rillcast.log());
    }
}

#[test]
fn publisher_and_viewers_bring_their_keys_or_are_refused() {
    let rillcast = Rillcast::start(SETTINGS);
    let scratch = Scratch::new("keys");
    let file = media::plain(8);
    let wrong = ffmpeg(&file, &rillcast.publish_url("cam?key=guess"), &scratch, "wrong");
    is_refused(wrong, &rillcast, "key, or user and password, is wrong");
    let none = ffmpeg(&file, &rillcast.publish_url("cam"), &scratch, "none");
    is_refused(none, &rillcast, "stream asks for a key");
    let publisher = ffmpeg(&file, &rillcast.publish_url("pub-key"), &scratch, "by path");
    plays(&rillcast, &format!("{}?key=play-key", Rillcast::playlist_path("cam")));
    for path in ["/hls/live/cam/index.m3u8", "/hls/live/cam/", "/hls/live/cam/index.m3u8?key=x"] {
        assert_eq!(http::get(rillcast.http, path).unwrap().status, 403, "{path}");
    }
    let path = "/hls/live/cam/index.m3u8?key=play-key";
    let playlist = http::get(rillcast.http, path).unwrap().text();
    let segment = playlist.lines().find(|line| line.contains(".ts")).unwrap();
    assert!(segment.ends_with(".ts?key=play-key"), "{segment}");
    let with = format!("/hls/live/cam/{segment}");
    assert_eq!(http::get(rillcast.http, &with).unwrap().status, 200);
    let without = with.replace("?key=play-key", "");
    assert_eq!(http::get(rillcast.http, &without).unwrap().status, 403);
    let player = |url: &str| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-i", url, "-t", "1"]);
        command.args(["-c", "copy", "-f", "null", "-"]);
        let done = process::run("ffmpeg player", &mut command, Duration::from_secs(15));
        println!("{url}: {} {}", done.status, done.text);
        done.status.success()
    };
    assert!(player(&rillcast.publish_url("cam?key=play-key")));
    assert!(player(&format!("http://{}{path}", rillcast.http)));
    assert!(!player(&rillcast.publish_url("cam")));
    assert!(rillcast.counter("keys_refused") >= 7.0);
    drop(publisher);
}

#[test]
fn ffmpeg_signs_in_by_both_schemes_and_not_with_a_wrong_password() {
    let rillcast = Rillcast::start(SETTINGS);
    let scratch = Scratch::new("sign-in");
    let file = media::plain(6);
    let to = |account: &str, path: &str| format!("rtmp://{account}@{}/{path}", rillcast.rtmp);
    let url = to("bob:secret", "tv/news?authmod=adobe&user=bob");
    for (name, url) in [
        ("adobe", to("bob:secret", "tv/news")),
        ("llnw", to("bob:secret", "old/news")),
        ("query", url),
        ("own accord", to("bob:secret", "tv?authmod=llnw&user=bob/news")),
        ("password in the query", format!("rtmp://{}/tv?user=bob&pass=secret/news", rillcast.rtmp)),
    ] {
        let mut publisher = ffmpeg(&file, &url, &scratch, name);
        let (path, before) = (if name == "llnw" { "old" } else { "tv" }, Instant::now());
        wait_for(name, Duration::from_secs(8), || {
            let live = rillcast.counter("rtmp_messages_in") > 20.0;
            (live || publisher.ended().is_some()).then_some(())
        });
        plays(&rillcast, &format!("/hls/{path}/news/index.m3u8"));
        assert!(publisher.ended().is_none(), "{name}: {}", publisher.text());
        println!("{name}: after {:?}", before.elapsed());
        publisher.signal("INT");
        publisher.finish(Duration::from_secs(5));
    }
    let wrong = ffmpeg(&file, &to("bob:guess", "tv/news"), &scratch, "wrong password");
    is_refused(wrong, &rillcast, "user or password is wrong");
    let nobody = ffmpeg(&file, &to("eve:secret", "old/news"), &scratch, "nobody");
    is_refused(nobody, &rillcast, "user or password is wrong");
    let without = format!("rtmp://{}/tv/news", rillcast.rtmp);
    let mut without = ffmpeg(&file, &without, &scratch, "without");
    assert!(!without.finish(Duration::from_secs(10)).success());
    assert_eq!(rillcast.counter("rtmp_auth_refused"), 2.0);
}

#[test]
fn gstreamer_signs_in_by_adobe_and_librtmp_by_limelight() {
    let rillcast = Rillcast::start(SETTINGS);
    let scratch = Scratch::new("sign-in");
    let file = media::plain(6);
    let location = format!("location=rtmp://{}/tv/news", rillcast.rtmp);
    let sink = ["rtmp2sink", &location, "username=bob", "password=secret"];
    let publisher = gstreamer(&file, &sink, &scratch);
    plays(&rillcast, "/hls/tv/news/index.m3u8");
    drop(publisher);
    // Debian's librtmp breaks its own memory when it signs in by Adobe's.
    let account = "pubUser=bob pubPasswd=secret live=1";
    let location = format!("location=rtmp://{}/old/news {account}", rillcast.rtmp);
    let publisher = gstreamer(&file, &["rtmpsink", &location], &scratch);
    plays(&rillcast, "/hls/old/news/index.m3u8");
    drop(publisher);
    let location = format!("location=rtmp://{}/tv/news", rillcast.rtmp);
    let sink = ["rtmp2sink", &location, "username=bob", "password=guess"];
    is_refused(gstreamer(&file, &sink, &scratch), &rillcast, "user or password is wrong");
}
