//! A start that cannot succeed says so in one line: which setting, what was wrong, what to do; exit
//! 2.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::support::process::{self, Outcome, Scratch};
use crate::support::rillcast::{self, BINARY};

fn serve(scratch: &Scratch, settings: &[(&str, &str)]) -> Outcome {
    let mut command =
        rillcast::serve(scratch, process::free_port(), process::free_port(), settings);
    process::run("rillcast serve", &mut command, Duration::from_secs(10))
}

/// Exit code 2, and exactly one line of complaint that holds all the words and no debris.
fn refused(name: &str, done: &Outcome, words: &[&str]) {
    assert_eq!(done.status.code(), Some(2), "{name}: {}\n{}", done.status, done.text);
    let complaints: Vec<&str> = done
        .text
        .lines()
        .filter(|line| !line.contains("INFO") && !line.trim().is_empty())
        .collect();
    assert_eq!(complaints.len(), 1, "{name}: one line, not\n{}", done.text);
    for word in words {
        assert!(complaints[0].contains(word), "{name}: no `{word}` in `{}`", complaints[0]);
    }
    for debris in ["panicked", "Os {", "Err(", "RUST_BACKTRACE", "unwrap"] {
        assert!(!done.text.contains(debris), "{name}: {}", done.text);
    }
    println!("{name}: {}", complaints[0]);
}

fn with_folder() -> Scratch {
    let scratch = Scratch::new("refusal");
    std::fs::create_dir_all(scratch.join("hls")).unwrap();
    scratch
}

#[test]
fn port_in_use_names_the_setting_and_the_port() {
    for key in ["rtmp.listen", "http.listen"] {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let done = serve(&with_folder(), &[(key, &address)]);
        refused(&format!("{key} in use"), &done, &[key, &address]);
    }
}

#[test]
fn address_that_is_not_here_names_the_setting() {
    // TEST-NET-1: never an address of this machine.
    let done = serve(&with_folder(), &[("rtmp.listen", "192.0.2.1:1935")]);
    refused("an address of another machine", &done, &["rtmp.listen", "192.0.2.1"]);
}

#[test]
fn folder_that_cannot_be_used_names_the_setting() {
    let scratch = with_folder();
    std::fs::write(scratch.join("file"), "no folder").unwrap();
    let file = scratch.join("file");
    refused("hls.dir is a file", &serve(&scratch, &[("hls.dir", &file)]), &["hls.dir", &file]);
    let below = scratch.join("file/hls");
    refused("hls.dir is below a file", &serve(&scratch, &[("hls.dir", &below)]), &["hls.dir"]);
    refused(
        "hls.dir cannot be written",
        &serve(&scratch, &[("hls.dir", "/proc/sys/hls")]),
        &["hls.dir", "/proc/sys"],
    );
}

/// Runs `rillcast serve` in a mount namespace of its own, with a tmpfs of `size` on its folder.
fn in_small_tmpfs(options: &str, settings: &[(&str, &str)]) -> Outcome {
    process::need("unshare");
    let scratch = with_folder();
    let inner = rillcast::serve(&scratch, process::free_port(), process::free_port(), settings);
    let mut words = vec![inner.get_program().to_str().unwrap().to_owned()];
    words.extend(inner.get_args().map(|word| word.to_str().unwrap().to_owned()));
    let script =
        format!("mount -t tmpfs -o {options} tmpfs {} && exec \"$@\"", scratch.join("hls"));
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]).args(words);
    process::run("rillcast in a small tmpfs", &mut command, Duration::from_secs(10))
}

#[test]
fn full_tmpfs_is_a_clear_error_at_start() {
    let done = in_small_tmpfs("size=1m", &[]);
    refused("a tmpfs of 1 MiB", &done, &["hls.dir"]);
    // The cure: one of the settings that make the slots smaller or fewer, or a larger tmpfs.
    let cures = ["limits.slot_bytes", "limits.streams", "hls.window_segments", "tmpfs"];
    assert!(cures.iter().any(|cure| done.text.contains(cure)), "no cure in {}", done.text);
}

#[test]
fn read_only_tmpfs_is_a_clear_error_at_start() {
    refused("a tmpfs that is read-only", &in_small_tmpfs("ro,size=64m", &[]), &["hls.dir"]);
}

#[test]
fn bad_settings_name_the_setting_and_the_cure() {
    let scratch = with_folder();
    for (key, value, cure) in [
        ("hls.segment_ms", "0", "allowed"),
        ("hls.segment_ms", "two seconds", "allowed"),
        ("hls.segment_ms", "", "allowed"),
        ("hls.window_segments", "1000000", "allowed"),
        ("limits.streams", "-1", "allowed"),
        ("limits.slot_bytes", "18446744073709551616", "allowed"),
        ("rtmp.listen", "1935", "allowed"),
        ("log.level", "loud", "allowed"),
        ("hls.segmnt_ms", "1000", "hls.segment_ms"),
        ("nothing.like_it", "1", "--help"),
    ] {
        refused(&format!("{key}={value}"), &serve(&scratch, &[(key, value)]), &[key, cure]);
    }
}

#[test]
fn settings_file_errors_name_the_file_and_the_line() {
    let scratch = with_folder();
    let path = scratch.join("rillcast.toml");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.arg("serve").args(arguments);
        process::run("rillcast serve --config", &mut command, Duration::from_secs(10))
    };
    refused("no such file", &run(&["--config", &path]), &[&path]);
    std::fs::write(&path, "[hls]\nsegment_ms = 1000\nsegment_ms = 2000\n").unwrap();
    refused("a key twice", &run(&["--config", &path]), &[&path, "3"]);
    std::fs::write(&path, "[hls]\n\nsegment_ms = \"x\"\n").unwrap();
    refused("a wrong value", &run(&["--config", &path]), &[&path, "segment_ms"]);
    std::fs::write(&path, "[hls\n").unwrap();
    refused("no TOML", &run(&["--config", &path]), &[&path, "1"]);
}

#[test]
fn wrong_arguments_are_refused_in_one_line() {
    for (arguments, words) in [
        (&[][..], &["serve"][..]),
        (&["srve"], &["srve"]),
        (&["serve", "--sett", "a=b"], &["--sett"]),
        (&["serve", "--set", "hls.dir"], &["hls.dir"]),
        (&["segment", "in.flv"], &["segment"]),
        (&["testcard", "out.flv"], &["--seconds"]),
        (&["testcard", "out.flv", "--seconds", "0"], &["--seconds"]),
        (&["segment", "/nonexistent/in.flv", "/dev/shm/e2e-nothing"], &["/nonexistent/in.flv"]),
    ] {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        let done = process::run("rillcast", &mut command, Duration::from_secs(10));
        refused(&format!("rillcast {}", arguments.join(" ")), &done, words);
    }
}
