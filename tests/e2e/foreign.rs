//! The folder served by a foreign web server: Debian's nginx with the configuration of `board/`.
//!
//! nginx knows nothing of the program: files, their names and the moment they appear are all that
//! it has. Rules cited: R26, R30, R31, R35.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::follow::Follower;
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::Rillcast;
use crate::support::rtmp::Raw;
use crate::support::session::{self, Expect};
use crate::support::{flv, http, m3u8, media, outside};

const LIST: &str = "/live/cam/index.m3u8";

/// nginx, with the server of `board/common/nginx.conf` for this folder and a port of its own.
fn front_door(scratch: &Scratch, root: &Path) -> (SocketAddr, Running) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/board/common/nginx.conf");
    let example = std::fs::read_to_string(file).expect("the example");
    let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let mut server = example;
    for (from, to) in [
        ("listen 8081;", format!("listen {address};")),
        ("root /run/rillcast;", format!("root {};", root.display())),
    ] {
        assert!(server.contains(from), "the example has no `{from}`");
        server = server.replace(from, &to);
    }
    let folder = scratch.path().display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    let configuration = format!("http {{ access_log off;\n{paths}{server} }}\n");
    let running = process::nginx(scratch, &configuration, address);
    (address, running)
}

/// What one who asks without pause sees of the playlist.
fn watch(address: SocketAddr, over: &AtomicBool) -> (usize, Vec<String>) {
    let (mut last, mut versions, mut faults) = (None::<m3u8::Playlist>, 0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        match http::get(address, LIST) {
            Ok(answer) if answer.status == 200 => match m3u8::parse(&answer.text()) {
                Ok(list) => {
                    faults.extend(last.iter().flat_map(|old| m3u8::step_faults(old, &list)));
                    versions += usize::from(last.as_ref() != Some(&list));
                    last = Some(list);
                }
                Err(torn) => faults.push(format!("{torn}: {}", answer.text())),
            },
            Ok(answer) if last.is_some() => faults.push(format!("playlist: {}", answer.status)),
            Ok(_) => {}
            Err(error) => faults.push(error),
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    (versions, faults)
}

/// Asks for every segment until it is gone: it must be what it was, from its first second to its
/// last.
fn keep_asking(address: SocketAddr, over: &AtomicBool) -> (usize, Vec<String>) {
    let (mut known, mut asked, mut faults) = (BTreeMap::<String, Vec<u8>>::new(), 0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        let list = http::get(address, LIST).ok().filter(|answer| answer.status == 200);
        let list = list.and_then(|answer| m3u8::parse(&answer.text()).ok());
        for entry in list.iter().flat_map(|list| &list.entries) {
            known.entry(entry.uri.clone()).or_default();
        }
        for (uri, bytes) in &mut known {
            match http::get(address, &format!("/live/cam/{uri}")) {
                Ok(answer) if answer.status == 200 && bytes.is_empty() => *bytes = answer.body,
                Ok(answer) if answer.status == 200 => {
                    asked += 1;
                    if answer.body != *bytes {
                        faults.push(format!("{uri} is of another time"));
                    }
                }
                Ok(_) if !bytes.is_empty() => {}
                Ok(answer) => faults.push(format!("{uri} is listed: {}", answer.status)),
                Err(error) => faults.push(error),
            }
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    (asked, faults)
}

#[test]
fn nginx_serves_the_same_folder_over_many_windows_r26_r30_r35() {
    let rillcast = Rillcast::start(&[("hls.window_segments", "3")]);
    let scratch = Scratch::new("front-door");
    let (address, _nginx) = front_door(&scratch, &rillcast.scratch.path().join("hls"));
    let tags = flv::read_file(&media::plain(24));
    let sent = flv::sent(&tags);
    let over = AtomicBool::new(false);
    let mut follower = Follower::new(address, LIST);
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut raw = Raw::start(rillcast.rtmp, "cam", 4096);
            raw.tags(&tags, 1.0);
            // The last segment is to be seen by those who are late.
            std::thread::sleep(Duration::from_secs(1));
            raw.leave();
        });
        let watcher = scope.spawn(|| watch(address, &over));
        let asker = scope.spawn(|| keep_asking(address, &over));
        let player = scope.spawn(|| {
            let listed = || http::get(address, LIST).is_ok_and(|answer| answer.status == 200);
            process::wait_for("a playlist", Duration::from_secs(15), || listed().then_some(()));
            outside::ffmpeg_plays(&format!("http://{address}{LIST}"), 14)
        });
        let whole = session::whole(&mut follower, &sent, Duration::from_secs(60));
        assert!(whole, "{:?} of {} units", follower.units, sent.video.len());
        let (frames, _) = player.join().expect("player").expect("ffmpeg plays through nginx");
        // A picture each 40 ms.
        assert!(frames >= 340, "{frames} pictures in 14 s");
        publisher.join().expect("publisher");
        over.store(true, Ordering::Relaxed);
        let (versions, faults) = watcher.join().expect("watcher");
        assert!(faults.is_empty(), "{faults:?}");
        assert!(versions >= 18, "{versions} versions were seen");
        let (asked, faults) = asker.join().expect("asker");
        assert!(faults.is_empty(), "{faults:?}");
        assert!(asked > 200, "{asked} answers were compared");
    });
    follower.assert_clean();
    session::judge_segments("through nginx", &follower.segments, &sent, Expect::default());
}

/// Whoever the umask lets may read what is served, and nobody else may write it.
#[test]
fn folder_can_be_read_by_a_server_of_another_user() {
    let rillcast = Rillcast::start(&[]);
    Raw::publish_whole(rillcast.rtmp, "cam", 4096, &flv::read_file(&media::plain(10)), 0.0);
    let folder = rillcast.folder("cam");
    let listed = || std::fs::read_to_string(folder.join("index.m3u8")).ok();
    let text = process::wait_for("a playlist", Duration::from_secs(20), listed);
    let list = m3u8::parse(&text).expect("a playlist");
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).expect("is there").permissions().mode() & 0o777
    };
    for entry in &list.entries {
        assert_eq!(mode(&folder.join(&entry.uri)), 0o644, "{}", entry.uri);
    }
    assert_eq!(mode(&folder.join("index.m3u8")), 0o644);
    let root = rillcast.scratch.path().join("hls");
    for above in folder.ancestors().take_while(|above| above.starts_with(&root)) {
        assert_eq!(mode(above) & 0o755, 0o755, "{}", above.display());
    }
}

#[test]
fn nginx_says_of_each_file_what_caches_need() {
    let rillcast = Rillcast::start(&[("hls.window_segments", "3")]);
    let scratch = Scratch::new("front-door");
    let (address, _nginx) = front_door(&scratch, &rillcast.scratch.path().join("hls"));
    Raw::publish_whole(rillcast.rtmp, "cam", 4096, &flv::read_file(&media::plain(10)), 0.0);
    let end = Instant::now() + Duration::from_secs(20);
    let list = loop {
        let answer = http::get(address, LIST).expect("an answer");
        if answer.status == 200 && m3u8::parse(&answer.text()).is_ok_and(|l| l.entries.len() > 2) {
            break answer;
        }
        assert!(Instant::now() < end, "no playlist: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(list.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(list.header("cache-control"), Some("no-cache"));
    assert_eq!(list.header("access-control-allow-origin"), Some("*"));
    assert_eq!(list.header("etag"), None, "two versions of one second could share it");
    let uri = m3u8::parse(&list.text()).expect("a playlist").entries[0].uri.clone();
    let segment = http::get(address, &format!("/live/cam/{uri}")).expect("an answer");
    assert_eq!((segment.status, segment.header("content-type")), (200, Some("video/mp2t")));
    assert!(segment.header("cache-control").is_some_and(|kept| kept.ends_with("immutable")));
    let own = http::get(rillcast.http, &format!("/hls/live/cam/{uri}")).expect("an answer");
    assert_eq!(own.body, segment.body);
    for hidden in ["/.slots/0", "/.slots/", "/live/cam/.index.m3u8.new"] {
        assert_eq!(http::get(address, hidden).expect("an answer").status, 404, "{hidden}");
    }
}
