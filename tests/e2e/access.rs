//! Who may publish and play: keys and users with real encoders, takeover of publishers that hang.
//!
//! Not here: address ranges, which loopback cannot show.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::process::{self, Running, Scratch, wait_for};
use crate::support::rillcast::{BINARY, Rillcast};
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
    let file = media::plain(20);
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
    process::need("rtmpdump");
    for (name, plays) in [("cam?key=play-key", true), ("play-key", true), ("cam?key=x", false)] {
        let mut command = Command::new("rtmpdump");
        command.args(["-q", "-v", "-r", &rillcast.publish_url(name), "-B", "1", "-o"]);
        let file = scratch.join(if plays { name } else { "refused" });
        let log = scratch.join("rtmpdump.log");
        let mut dump = Running::start("rtmpdump", command.arg(&file), &log);
        let bytes = wait_for("rtmpdump", Duration::from_secs(10), || {
            let bytes = std::fs::metadata(&file).map_or(0, |meta| meta.len());
            (bytes > 10_000 || dump.ended().is_some()).then_some(bytes)
        });
        assert_eq!(bytes > 10_000, plays, "{name}: {bytes} bytes, {}", dump.text());
    }
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
    for (turn, (name, url)) in [
        ("adobe", to("bob:secret", "tv/news")),
        ("llnw", to("bob:secret", "old/news")),
        ("query", url),
        ("own accord", to("bob:secret", "tv?authmod=adobe&user=bob/news")),
        ("password in the query", format!("rtmp://{}/tv?user=bob&pass=secret/news", rillcast.rtmp)),
    ]
    .into_iter()
    .enumerate()
    {
        let heard = rillcast.counter("rtmp_messages_in");
        let mut publisher = ffmpeg(&file, &url, &scratch, name);
        let (path, before) = (if name == "llnw" { "old" } else { "tv" }, Instant::now());
        wait_for(name, Duration::from_secs(15), || {
            let live = rillcast.lines_with(&["stream published"]).len() > turn
                && rillcast.counter("rtmp_messages_in") > heard + 40.0;
            (live || publisher.ended().is_some()).then_some(())
        });
        plays(&rillcast, &format!("/hls/{path}/news/index.m3u8"));
        assert!(publisher.ended().is_none(), "{name}: {}", publisher.text());
        println!("{name}: after {:?}", before.elapsed());
        publisher.signal("INT");
        publisher.finish(Duration::from_secs(15));
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

/// Publishes, stops the encoder where it stands, and starts another: the playlist goes on. Gives
/// the time from its connect until it is on the air.
fn takes_over(name: &str, settings: &[(&str, &str)], url: &str) -> Duration {
    let rillcast = Rillcast::start(settings);
    let scratch = Scratch::new("takeover");
    let file = media::plain(20);
    let url = format!("rtmp://{}/{url}", rillcast.rtmp);
    let published = |times| {
        wait_for("a publisher", Duration::from_secs(10), || {
            (rillcast.lines_with(&["stream published"]).len() >= times).then(Instant::now)
        })
    };
    let mut old = ffmpeg(&file, &url, &scratch, "old");
    published(1);
    let mut follower = rillcast.follow("cam");
    assert!(follower.until(Duration::from_secs(10), |f| f.segments.len() >= 2));
    old.signal("STOP");
    let mut new = ffmpeg(&file, &url, &scratch, "new");
    let connected = wait_for("the new one", Duration::from_secs(10), || {
        (rillcast.lines_with(&["ingest connected"]).len() >= 2).then(Instant::now)
    });
    let took = published(2).duration_since(connected);
    println!("{name}: on the air after {took:?}");
    let before = follower.segments.len();
    let goes_on = follower.until(Duration::from_secs(12), |f| f.segments.len() >= before + 3);
    assert!(goes_on, "{name}: the playlist goes on: {:?}", follower.faults);
    let sequence: Vec<u64> = follower.segments.iter().map(|got| got.entry.sequence).collect();
    assert!(sequence.windows(2).all(|pair| pair[1] == pair[0] + 1), "{name}: {sequence:?}");
    assert!(new.ended().is_none(), "{}", new.text());
    assert_eq!(rillcast.counter("rtmp_takeovers"), 1.0);
    old.signal("KILL");
    took
}

/// In time in one of three tries: other tests keep the machine from its work.
fn takes_over_in_time(name: &str, settings: &[(&str, &str)], url: &str) {
    let mut tries = (0..3).map(|_| takes_over(name, settings, url));
    assert!(tries.any(|took| took < Duration::from_secs(2)), "{name}: never within 2 s");
}

#[test]
fn srs_4480_encoder_that_hangs_gives_way_to_the_next_within_two_seconds() {
    takes_over_in_time("address", &[], "live/cam");
}

#[test]
fn srs_4298_the_same_key_gives_way_to_itself() {
    let settings = [("stream.live/cam.publish_key", "pub-key")];
    takes_over_in_time("key", &settings, "live/cam?key=pub-key");
}

#[test]
fn mediamtx_911_second_encoder_does_not_throw_out_one_that_is_well() {
    let rillcast = Rillcast::start(&[]);
    let scratch = Scratch::new("takeover");
    let file = media::plain(10);
    let mut first = ffmpeg(&file, &rillcast.publish_url("cam"), &scratch, "first");
    plays(&rillcast, &Rillcast::playlist_path("cam"));
    let mut second = ffmpeg(&file, &rillcast.publish_url("cam"), &scratch, "second");
    let status = second.finish(Duration::from_secs(10));
    assert!(!status.success(), "{}", second.text());
    rillcast.wait_line(&["is being published by another connection"]);
    assert!(first.ended().is_none(), "{}", first.text());
    assert_eq!(rillcast.counter("rtmp_takeovers"), 0.0);
}

#[test]
fn push_and_pull_sign_in_at_an_upstream_that_asks() {
    let upstream = Rillcast::start(SETTINGS);
    let scratch = Scratch::new("push");
    let file = media::plain(4);
    let push = |account: &str, path: &str| {
        let url = format!("rtmp://{account}{}/{path}", upstream.rtmp);
        let mut command = Command::new(BINARY);
        command.args(["push", &file, &url, "--fast"]);
        process::run("rillcast push", &mut command, Duration::from_secs(20))
    };
    for path in ["tv/news", "old/news"] {
        let pushed = push("bob:secret@", path);
        assert!(pushed.status.success(), "{path}: {}", pushed.text);
        for (account, words) in [
            ("bob:guess@", "does not take the user and password: compare both"),
            ("", "wants a user and password: put them into the address"),
        ] {
            let refused = push(account, path);
            assert_eq!(refused.status.code(), Some(2), "{}", refused.text);
            assert!(refused.text.contains(words), "{path}: {}", refused.text);
            assert!(!refused.text.contains("guess"), "{}", refused.text);
        }
    }
    let url = format!("rtmp://bob:secret@{}/tv/news", upstream.rtmp);
    let relay = [("push.up.stream", "live/cam"), ("push.up.url", url.as_str())];
    let rillcast = Rillcast::start(&relay);
    let _publisher = ffmpeg(&media::plain(12), &rillcast.publish_url("cam"), &scratch, "camera");
    rillcast.wait_line(&["push opened name=up"]);
    wait_for("the third publisher", Duration::from_secs(10), || {
        (upstream.lines_with(&["stream published"]).len() >= 3).then_some(())
    });
    // Players are asked only if they offer to sign in.
    let output = scratch.join("out.flv");
    let url = format!("rtmp://bob:secret@{}/tv?authmod=adobe&user=bob/news", upstream.rtmp);
    let fetching = Rillcast::start(&[("pull.down.stream", "live/down"), ("pull.down.url", &url)]);
    plays(&fetching, "/hls/live/down/index.m3u8");
    assert!(!fetching.log().contains("secret"), "{}", fetching.log());
    for (url, bytes_min) in [(url.replace(":secret", ":guess"), 0), (url, 10_000)] {
        let mut command = Command::new(BINARY);
        command.args(["pull", &url, &output, "--seconds", "1"]);
        let pulled = process::run("rillcast pull", &mut command, Duration::from_secs(20));
        assert_eq!(pulled.status.success(), bytes_min > 0, "{}", pulled.text);
        let bytes = std::fs::metadata(&output).map_or(0, |meta| meta.len());
        assert!(bytes >= bytes_min, "{bytes}");
    }
    assert!(!rillcast.log().contains("secret"), "{}", rillcast.log());
}

#[test]
fn ffmpeg_that_listens_takes_what_is_pushed_with_an_account() {
    let scratch = Scratch::new("listen");
    let port = process::free_port();
    let output = scratch.join("out.flv");
    let mut command = Command::new("ffmpeg");
    let url = format!("rtmp://127.0.0.1:{port}/live/cam");
    command.args(["-v", "error", "-nostdin", "-listen", "1", "-i", &url, "-c", "copy", &output]);
    let mut ffmpeg = Running::start("ffmpeg -listen", &mut command, &scratch.join("log"));
    std::thread::sleep(Duration::from_millis(700));
    let mut command = Command::new(BINARY);
    let url = url.replace("rtmp://", "rtmp://bob:secret@");
    command.args(["push", &media::plain(4), &url, "--fast"]);
    let pushed = process::run("rillcast push", &mut command, Duration::from_secs(20));
    assert!(pushed.status.success(), "an account that nobody asks for: {}", pushed.text);
    ffmpeg.finish(Duration::from_secs(10));
}
