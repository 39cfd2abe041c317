//! The history checker against servers: recordings of such as are known to be wrong, and our own.
//!
//! `corpus/SOURCES.md` says where the recordings come from. The rules themselves are tested one by
//! one in `src/media/history/tests`. `cargo test --test hls_history -- --nocapture` prints what
//! was found. Needs nothing but the program.
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
    missing_docs,
    unreachable_pub,
    reason = "tests: threads, clocks and indexing are theirs; a panic is how they speak"
)]

#[path = "support/mod.rs"]
mod support;

use std::process::Command;
use std::time::Duration;

use rillcast::limits::{CHECK_CONNECT_TIME_MAX, CHECK_READ_TIME_MAX};
use rillcast::media::history::Allowance;
use support::hls_history::{self, Watch, replay};
use support::process;
use support::rillcast::{BINARY, Rillcast};
use support::serve::Folder;

#[test]
fn r2_r10_r36_r40_nginx_rtmp_slides_an_event_and_changes_its_target() {
    let found = replay(include_str!("corpus/hls/nginx_rtmp_event_slides.txt"));
    for rule in ["R2", "R10", "R36", "R40"] {
        assert!(found.iter().any(|one| one == rule), "{rule} is not in {found:?}");
    }
}

#[test]
fn r10_ffmpeg_changes_its_target_with_its_window() {
    let found = replay(include_str!("corpus/hls/ffmpeg_target_changes.txt"));
    assert!(found.iter().any(|rule| rule == "R10"), "{found:?}");
    assert!(!found.iter().any(|rule| rule == "R11" || rule == "R31"), "{found:?}");
}

#[test]
fn r52_srs_takes_its_key_tag_away_from_segments_that_are_listed() {
    let found = replay(include_str!("corpus/hls/srs_keyless_late_joiners.txt"));
    assert_eq!(found, ["R52"]);
}

#[test]
fn our_own_server_is_never_found_in_breach_of_a_rule() {
    let rillcast = Rillcast::start_with(&[("hls.window_segments", "4")], &["--testcard"]);
    let watch = Watch::start(&rillcast.playlist_url("testcard"), Allowance::default());
    let watched = watch.stop_after(Duration::from_secs(20));
    println!("{watched}");
    hls_history::assert_clean(&watched);
    assert!(watched.numbers.versions >= 10, "{watched}");
    assert!(watched.numbers.segments >= 10, "{watched}");
    assert!(watched.numbers.again >= 10, "removed segments were asked for: {watched}");
}

#[test]
fn watch_outlasts_a_server_that_is_started_anew() {
    let scratch = process::Scratch::new("restart");
    let (rtmp, http) = (process::free_port(), process::free_port());
    let start = || {
        let mut command = support::rillcast::serve(&scratch, rtmp, http, &[]);
        command.arg("--testcard");
        process::Running::start("rillcast", &mut command, &scratch.join("log"))
    };
    std::fs::create_dir_all(scratch.join("hls")).unwrap();
    let mut first = start();
    let allowance = Allowance { restart: true, stale: true, ..Allowance::default() };
    let url = format!("http://127.0.0.1:{http}/hls/live/testcard/index.m3u8");
    let watch = Watch::start(&url, allowance);
    std::thread::sleep(Duration::from_secs(8));
    first.signal("KILL");
    first.finish(Duration::from_secs(5));
    std::thread::sleep(Duration::from_secs(1));
    let _second = start();
    let watched = watch.stop_after(Duration::from_secs(8));
    println!("{watched}");
    // R10 to R12, R31 to R33, R36 over both lives.
    hls_history::assert_clean(&watched);
    assert!(watched.numbers.refused > 0, "{watched}");
    assert!(watched.numbers.segments >= 6, "{watched}");
}

#[test]
fn check_does_not_wait_for_a_server_that_says_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cam.m3u8", silent.local_addr().unwrap());
    let start = std::time::Instant::now();
    let (code, _, err) = check(&url, "1");
    assert_eq!(code, Some(2), "{err}");
    let most = CHECK_CONNECT_TIME_MAX + CHECK_READ_TIME_MAX;
    assert!(start.elapsed() < most + Duration::from_secs(3), "{:?}", start.elapsed());
}

/// Runs `rillcast check`; exit code, standard output, standard error.
fn check(url: &str, seconds: &str) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY).args(["check", url, "--seconds", seconds]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_prints_one_line_a_finding_and_ends_with_what_it_came_to() {
    let scratch = process::Scratch::new("check");
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION: 2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n";
    std::fs::write(scratch.join("cam.m3u8"), text).unwrap();
    let folder = Folder::start(scratch.path().to_owned());
    let (code, out, err) = check(&format!("http://{}/cam.m3u8", folder.address), "3");
    assert_eq!(code, Some(1), "{out}{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines[0].starts_with("R2 breach: line 2 has white space"), "{out}");
    assert!(lines[1].starts_with("R26 breach: a listed segment is answered with 404"), "{out}");
    assert!(lines[2].contains("1 versions") && lines[2].ends_with("2 findings"), "{out}");
}

#[test]
fn check_says_what_it_cannot_reach_and_what_it_does_not_read() {
    let nobody = format!("http://127.0.0.1:{}/cam.m3u8", process::free_port());
    let (code, out, err) = check(&nobody, "1");
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("no playlist came") && err.lines().count() == 1, "{err}");
    let (code, _, err) = check("https://127.0.0.1/cam.m3u8", "1");
    assert_eq!(code, Some(2));
    assert!(err.contains("https is not read"), "{err}");
}
