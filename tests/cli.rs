//! The program as a person at a shell meets it: what it prints, where, and its exit code.
//!
//! Runs the real binary. What a command does to media is tested elsewhere; here it is that every
//! command exists, that help and errors are of use, and that a signal ends it in good order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::useless_conversion,
    clippy::std_instead_of_core,
    dead_code,
    unreachable_pub,
    reason = "tests: clocks and indexing are theirs, a panic is how they speak, widths differ"
)]

use core::time::Duration;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rillcast::config::settings::{TABLE, markdown_table};

#[path = "support/http.rs"]
mod http;

/// Looks at a condition this often, and this many times before it counts as never.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS: usize = 200;

#[test]
fn help_lists_commands_and_every_setting_on_standard_output() {
    for args in [&["--help"][..], &["-h"], &["serve", "--help"], &["budget", "-h"]] {
        let output = rillcast(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        let text = stdout(&output);
        assert!(text.contains("usage: rillcast"), "{text}");
        for setting in TABLE {
            assert!(text.contains(setting.key), "{args:?} lacks {}", setting.key);
        }
        assert_eq!(stderr(&output), "");
    }
    let text = stdout(&rillcast(&["--help"]));
    for command in ["serve", "segment", "testcard", "budget"] {
        assert!(text.contains(command), "{text}");
    }
}

#[test]
fn version_is_name_and_number() {
    let output = rillcast(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    let version = format!("rillcast {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&output), version);
}

#[test]
fn wrong_use_is_one_line_on_standard_error_and_exit_code_2() {
    for (args, part) in [
        (&[][..], "no command"),
        (&["sevre"], "unknown command \"sevre\""),
        (&["serve", "--bogus"], "--bogus"),
        (&["serve", "--config"], "--config"),
        (&["serve", "--config", "/nowhere/rillcast.toml"], "/nowhere/rillcast.toml"),
        (&["serve", "--set", "hls.segmnt_ms=2000"], "did you mean hls.segment_ms?"),
        (&["budget", "--set", "hls.segment_ms=1"], "allowed is 500 to 20000 ms"),
        (&["budget", "--set", "hls.target_duration_s=9"], "hls.window_segments is 6"),
        (&["segment", "only-one.flv"], "IN.flv OUTDIR"),
        (&["testcard", "card.flv"], "--seconds"),
    ] {
        let output = rillcast(args);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {line}");
        assert!(line.starts_with("rillcast: "), "{line}");
        assert!(line.contains(part), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn settings_file_errors_name_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("box.toml");
    fs::write(&file, "[limits]\nviewers = 0\n").unwrap();
    let output = rillcast(&["budget", "--config", text(&file)]);
    assert_eq!(output.status.code(), Some(2));
    let line = stderr(&output);
    let place = format!("rillcast: {}: line 2, column 1: limits.viewers is \"0\"", text(&file));
    assert!(line.starts_with(&place), "{line}");
}

#[test]
fn budget_prints_owners_and_sums_from_file_and_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("box.toml");
    fs::write(&file, "[limits]\nstreams = 1\nslot_bytes = \"1MiB\"\n").unwrap();
    let args = ["budget", "--config", text(&file), "--set", "hls.window_segments=4"];
    let output = rillcast(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = stdout(&output);
    let sum = table.lines().find(|line| line.starts_with("tmpfs")).unwrap();
    // One stream of 2 s segments: 6 may be listed at once under a target of 3 s, 7 may still be
    // fetched, 2 are spare, 1 MiB each.
    assert!(sum.ends_with(" 15360.0"), "{table}");
    assert!(table.lines().any(|line| line.starts_with("private memory")), "{table}");
}

#[test]
fn closed_standard_output_is_no_panic() {
    let mut child = start(&["--help"]);
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut line = String::new();
    child.stderr.take().unwrap().read_to_string(&mut line).unwrap();
    assert!(!line.contains("panicked"), "{line}");
    assert!(status.code().is_some(), "ended by a signal: {status}");
}

#[test]
fn testcard_and_segment_work_on_files() {
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card.flv");
    let output = rillcast(&["testcard", text(&card), "--seconds", "8"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(fs::read(&card).unwrap().starts_with(b"FLV\x01"));

    let out = folder.path().join("out");
    let output = rillcast(&["segment", text(&card), text(&out)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let playlist = fs::read_to_string(out.join("index.m3u8")).unwrap();
    assert!(playlist.starts_with("#EXTM3U\n"), "{playlist}");
    let names: Vec<&str> = playlist.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.len() >= 3, "{playlist}");
    for name in names {
        let segment = fs::read(out.join(name)).unwrap();
        assert_eq!((segment.first(), segment.len() % 188), (Some(&0x47), 0), "{name}");
    }
}

#[test]
fn segment_says_what_is_wrong_with_its_input_and_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card.flv");
    assert!(rillcast(&["testcard", text(&card), "--seconds", "2"]).status.success());
    let card = fs::read(&card).unwrap();
    for (name, bytes, parts) in [
        ("not.flv", &b"this is no FLV file"[..], ["byte 0", "FLV"]),
        ("empty.flv", b"", ["byte 0", "give an FLV file"]),
        ("cut.flv", &card[..card.len() - 9], ["ends inside a tag", "make the file again"]),
        ("none.flv", &card[..13], ["no segment", "H.264"]),
    ] {
        let input = folder.path().join(name);
        fs::write(&input, bytes).unwrap();
        let output = rillcast(&["segment", text(&input), text(&folder.path().join("out"))]);
        let line = refusal(output.status, &stderr(&output));
        for part in [text(&input), parts[0], parts[1]] {
            assert!(line.contains(part), "{line}");
        }
    }
    for (input, out, part) in [
        ("/nowhere.flv", text(folder.path()), "/nowhere.flv"),
        (text(&folder.path().join("cut.flv")), "/proc/out", "/proc/out"),
    ] {
        let output = rillcast(&["segment", input, out]);
        let line = refusal(output.status, &stderr(&output));
        assert_eq!(line.matches(part).count(), 1, "{line}");
    }
}

#[test]
fn serve_ends_in_good_order_on_each_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let hls = folder.path().join("hls");
        let mut child = start(&serve_args(&hls, "127.0.0.1:0"));
        let is_up = look(|| hls.is_dir() || child.try_wait().unwrap().is_some());
        assert!(is_up, "serve did not make its folder");
        let asked = Instant::now();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let status = ended(&mut child);
        assert_eq!(status.code(), Some(0), "{signal}: {status}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{signal}: {:?}", asked.elapsed());
    }
}

#[test]
fn segment_shows_its_progress_on_a_terminal_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (card, out) = (folder.path().join("card.flv"), folder.path().join("out"));
    let output = rillcast(&["testcard", text(&card), "--seconds", "8"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = rillcast(&["segment", text(&card), text(&out)]);
    assert!(!stderr(&output).contains('%'), "{}", stderr(&output));
    fs::remove_dir_all(&out).unwrap();
    // `script` gives it a terminal.
    let command =
        format!("{} segment {} {}", env!("CARGO_BIN_EXE_rillcast"), text(&card), text(&out));
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = stdout(&output);
    let steps = shown.matches(" %").count();
    assert!(steps > 3 && shown.contains("\r100 %"), "{shown}");
}

/// What else there was, such as for the file of numbers, ends when it is idle.
#[test]
fn serve_has_one_thread() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let hls = folder.path().join("hls");
    let card = ["--testcard", "--set", "hls.segment_ms=1000"].map(str::to_owned);
    let mut child = start(&[serve_args(&hls, "127.0.0.1:0"), card.to_vec()].concat());
    let list = hls.join("live/testcard/index.m3u8");
    assert!(look(|| list.exists()), "the card is not on the air");
    let tasks = format!("/proc/{}/task", child.id());
    let is_alone = look(|| fs::read_dir(&tasks).unwrap().count() == 1);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(ended(&mut child).code(), Some(0));
    assert!(is_alone, "a second thread stays");
}

#[test]
fn serve_ends_presentations_on_sigusr1_and_goes_on_serving() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let hls = folder.path().join("hls");
    let card = ["--testcard", "--set", "hls.segment_ms=1000"].map(str::to_owned);
    let mut child = start(&[serve_args(&hls, "127.0.0.1:0"), card.to_vec()].concat());
    let list = hls.join("live/testcard/index.m3u8");
    let holds = |what: &str| fs::read_to_string(&list).is_ok_and(|text| text.contains(what));
    assert!(look(|| holds("#EXTINF")), "the card is not on the air");
    assert!(!holds("#EXT-X-ENDLIST"));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGUSR1).unwrap();
    assert!(look(|| holds("#EXT-X-ENDLIST")), "R38");
    assert_eq!(child.try_wait().unwrap(), None, "it goes on");
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(ended(&mut child).code(), Some(0));
}

#[test]
fn serve_names_setting_and_cure_when_its_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    for setting in ["rtmp.listen", "http.listen"] {
        let hls = folder.path().join("hls");
        let pair = format!("{setting}={address}");
        let line = refused_serve(&hls, &[&pair]);
        for part in [setting, &address, &format!("--set {setting}=ADDRESS:PORT")] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!hls.exists(), "the folder was touched before the ports were had");
    }
}

#[test]
fn serve_names_setting_and_cure_when_its_folder_cannot_be_used() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    for hls in [file.as_path(), &file.join("below"), Path::new("/proc/sys/hls")] {
        let line = refused_serve(hls, &[]);
        assert!(line.starts_with(&format!("rillcast: hls.dir: {}: ", text(hls))), "{line}");
        assert!(line.contains("choose another hls.dir"), "{line}");
    }
}

#[test]
fn serve_names_setting_and_cure_when_its_folder_has_no_room() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let room = nix::sys::statvfs::statvfs(folder.path()).unwrap();
    let free_mib = (u64::from(room.blocks_available()) * u64::from(room.fragment_size())) >> 20;
    // 32 streams, 14 + 15 + 2 slots, 64 MiB each.
    let need_mib = 32 * 31 * 64;
    assert!(free_mib < need_mib, "a tmpfs of over 62 GiB has room for every configuration");
    let large = ["limits.streams=32", "limits.slot_bytes=64MiB", "hls.window_segments=14"];
    let line = refused_serve(folder.path(), &large);
    let what = format!("rillcast: hls.dir: {}: {need_mib} MiB needed, ", text(folder.path()));
    assert!(line.starts_with(&what), "{line}");
    assert!(line.contains("enlarge the tmpfs, or lower limits.slot_bytes"), "{line}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "slots were left behind");
}

#[test]
fn second_serve_on_the_same_folder_is_refused_and_touches_nothing() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut first = Serving::start(folder.path(), &["--testcard"]);
    let playlist = folder.path().join("live/testcard/index.m3u8");
    assert!(look(|| playlist.exists()), "no playlist");
    let before = fs::read_to_string(&playlist).unwrap();
    let segment = before.lines().find(|line| line.ends_with(".ts")).unwrap().to_owned();
    let line = refused_serve(folder.path(), &[]);
    assert!(line.starts_with(&format!("rillcast: hls.dir: {}: ", text(folder.path()))), "{line}");
    assert!(line.contains("--set hls.dir=FOLDER"), "{line}");
    assert!(folder.path().join("live/testcard").join(segment).exists());
    assert!(playlist.exists() && folder.path().join(".slots/0").exists());
    assert_eq!(first.stop().code(), Some(0));
    // The claim ends with the process.
    let mut second = Serving::start(folder.path(), &[]);
    assert_eq!(second.stop().code(), Some(0));
}

#[test]
fn testcard_is_on_the_air_at_the_address_that_serve_prints() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut serving = Serving::start(folder.path(), &["--testcard"]);
    let line = serving.line("test card at ");
    let url = line.rsplit("test card at ").next().unwrap();
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    assert_eq!(path, "hls/live/testcard/index.m3u8");
    let address: SocketAddr = authority.parse().unwrap();
    let mut playlist = String::new();
    let is_listed = look(|| {
        let answer = http::get(address, &format!("/{path}")).unwrap();
        playlist = answer.text();
        answer.status == 200
    });
    assert!(is_listed, "{playlist}");
    assert!(playlist.starts_with("#EXTM3U\n"), "{playlist}");
    let name = playlist.lines().find(|line| !line.starts_with('#')).unwrap();
    let segment = http::get(address, &format!("/hls/live/testcard/{name}")).unwrap();
    assert_eq!((segment.status, segment.header("content-type")), (200, Some("video/mp2t")));
    assert!(segment.body.len() > 188 * 10 && segment.body.len().is_multiple_of(188));
    assert!(segment.body.iter().step_by(188).all(|b| *b == 0x47));
    assert_eq!(serving.stop().code(), Some(0));
}

#[test]
fn markdown_table_and_help_are_of_one_table() {
    let help = stdout(&rillcast(&["--help"]));
    for row in markdown_table().lines().skip(2) {
        let about = row.trim_end_matches(" |").rsplit("| ").next().unwrap();
        assert!(help.contains(about), "{about}");
    }
}

/// Runs the program to its end.
fn rillcast(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rillcast"));
    command.args(args).stdin(Stdio::null()).output().expect("the program starts")
}

/// Starts the program with both outputs held.
fn start<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rillcast"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// The one line of a refusal: exit code 2, and nothing else but what was logged before it.
fn refusal(status: ExitStatus, stderr: &str) -> String {
    assert_eq!(status.code(), Some(2), "{status}: {stderr}");
    let line = stderr.strip_suffix('\n').unwrap().to_owned();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("rillcast: "), "{line}");
    line
}

/// The refusal of a `serve` on free ports, with the settings `pairs`.
fn refused_serve(hls: &Path, pairs: &[&str]) -> String {
    let mut args = serve_args(hls, "127.0.0.1:0");
    args.extend(pairs.iter().flat_map(|pair| ["--set".to_owned(), (*pair).to_owned()]));
    let mut child = start(&args);
    let status = ended(&mut child);
    let mut lines = String::new();
    child.stderr.take().unwrap().read_to_string(&mut lines).unwrap();
    refusal(status, &lines)
}

/// A `serve` that came up, ended with the test.
struct Serving {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    fn start(hls: &Path, more: &[&str]) -> Self {
        let mut args = serve_args(hls, "127.0.0.1:0");
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let mut child = start(&args);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut serving = Self { child, lines };
        serving.line("watch at http://");
        serving
    }

    /// The next line of the log that holds `part`.
    fn line(&mut self, part: &str) -> String {
        let mut seen = String::new();
        for line in self.lines.by_ref().map_while(Result::ok) {
            if line.contains(part) {
                return line;
            }
            seen += &line;
        }
        panic!("no line holds {part:?}: {seen}");
    }

    fn stop(&mut self) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        ended(&mut self.child)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Only after a failed test is there anything to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small server on ports that the kernel chooses, but for the RTMP address given.
fn serve_args(hls: &Path, rtmp: &str) -> Vec<String> {
    let mut args = vec!["serve".to_owned()];
    for pair in [
        format!("rtmp.listen={rtmp}"),
        "http.listen=127.0.0.1:0".to_owned(),
        format!("hls.dir={}", text(hls)),
        format!("state.dir={}/state", text(hls)),
        "limits.streams=1".to_owned(),
        "limits.slot_bytes=256KiB".to_owned(),
    ] {
        args.extend(["--set".to_owned(), pair]);
    }
    args
}

/// The exit status, within the time of `look`; the child is ended if it does not end itself.
fn ended(child: &mut Child) -> ExitStatus {
    let is_over = look(|| child.try_wait().expect("it is our child").is_some());
    if !is_over {
        child.kill().expect("it is our child");
    }
    child.wait().expect("it is our child")
}

fn look(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..LOOKS {
        if condition() {
            return true;
        }
        sleep(PAUSE);
    }
    false
}

fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are text")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("output is text")
}
