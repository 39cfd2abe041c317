//! What needs no server: cutting a file, the inner loops, instructions, the test of allocations.

use super::Tools;
use super::process::run;
use super::servers::Bench;
use super::table::{Row, Target};
use std::fs;
use std::path::Path;
use std::process::Command;

pub(crate) fn mux(bench: &Bench, tools: &Tools) -> Vec<Row> {
    let mut row = Row::new("mux into slots / write(2) fresh", "GB/s", Target::RatioLeast(2.5));
    let rounds = if bench.quick { "600" } else { "2000" };
    let output = Command::new(&tools.mux).arg(rounds).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    row.ours.extend(field(&text, "recycled_GBps"));
    row.peer.extend(field(&text, "write_fresh_GBps"));
    row.note = "the peer is plain write(2) of the same payload to a fresh tmpfs file".into();
    vec![row]
}

/// Cuts a file that lies on tmpfs itself, and the same file on the disk, in the page cache.
pub(crate) fn segment(bench: &Bench, _: &Tools) -> Vec<Row> {
    let disk = bench.media.join("a1080-10x.flv");
    let input = bench.tmpfs.join("in.flv");
    fs::copy(&disk, &input).unwrap();
    let rows = vec![
        cut(bench, ("segment a file / ffmpeg -c copy", 0.4), &input, "on tmpfs", [&[], &[]]),
        cut(bench, ("the same, file on disk", 0.4), &disk, "on disk, cached", [&[], &[]]),
    ];
    fs::remove_file(&input).unwrap();
    rows
}

/// The same with AES-128, one key for all, as ffmpeg does it.
pub(crate) fn encrypt(bench: &Bench, _: &Tools) -> Vec<Row> {
    let disk = bench.media.join("a1080-10x.flv");
    let (input, key) = (bench.tmpfs.join("in.flv"), bench.tmpfs.join("peer.key"));
    let info = bench.tmpfs.join("peer.keyinfo");
    fs::copy(&disk, &input).unwrap();
    fs::write(&key, b"0123456789abcdef").unwrap();
    fs::write(&info, format!("peer.key\n{}\n", key.display())).unwrap();
    let ours = ["--set", "hls.encryption=aes-128", "--set", "hls.key_segments=0"];
    let peer = ["-hls_key_info_file", info.to_str().unwrap()];
    let rows = vec![cut(bench, ("segment, AES-128", 0.6), &input, "on tmpfs", [&ours, &peer])];
    for file in [input, key, info] {
        fs::remove_file(file).unwrap();
    }
    rows
}

fn cut(
    bench: &Bench,
    (name, most): (&str, f64),
    input: &Path,
    place: &str,
    [settings, options]: [&[&str]; 2],
) -> Row {
    let mut row = Row::new(name, "cpu s/GB", Target::RatioMost(most));
    let bytes = fs::metadata(input).unwrap().len() as f64;
    let out = bench.tmpfs.join("out");
    let (mut made, mut fastest) = ([0, 0], f64::INFINITY);
    for _ in 0..if bench.quick { 2 } else { 5 } {
        fs::create_dir(&out).unwrap();
        let mut ours = Command::new(&bench.program);
        let (cpu, wall) = run(ours.arg("segment").arg(input).arg(&out).args(settings));
        row.ours.push(cpu / bytes * 1e9);
        fastest = fastest.min(wall);
        made[0] = segments_below(&out);
        fs::remove_dir_all(&out).unwrap();

        fs::create_dir(&out).unwrap();
        let mut peer = Command::new("ffmpeg");
        peer.args(["-nostdin", "-loglevel", "error", "-i"]).arg(input);
        peer.args(["-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0"]);
        peer.args(options);
        row.peer.push(run(peer.arg(out.join("x.m3u8"))).0 / bytes * 1e9);
        made[1] = segments_below(&out);
        fs::remove_dir_all(&out).unwrap();
    }
    row.complete = made[0] >= made[1] && made[1] > 0;
    row.note = format!(
        "{:.0} MB: 60 s of 1080p ten times, {place}; segments: ours {}, peer {}; ours {:.0} MB/s",
        bytes / 1e6,
        made[0],
        made[1],
        bytes / fastest / 1e6
    );
    row
}

pub(crate) fn segments_below(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            sum += segments_below(&entry.path());
        } else if entry.path().extension().is_some_and(|end| end == "ts") {
            sum += 1;
        }
    }
    sum
}

pub(crate) fn allocations(_: &Bench, tools: &Tools) -> Vec<Row> {
    let mut row = Row::new("allocations, recv to published", "failed", Target::Most(0.0));
    let Some(program) = &tools.memory_test else {
        row.note = "tests/memory.rs is not there".into();
        return vec![row];
    };
    let output = Command::new(program).args(["--nocapture", "--test-threads=1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().find(|line| line.starts_with("test result:")).unwrap_or_default();
    let failed = said.split("; ").find_map(|part| part.trim().strip_suffix(" failed"));
    row.ours.extend(failed.and_then(|n| n.parse::<f64>().ok()));
    row.complete = output.status.success() && !said.contains(" 0 passed");
    row.note = format!("tests/memory.rs says: {said}");
    vec![row]
}

pub(crate) fn instructions(bench: &Bench, tools: &Tools) -> Vec<Row> {
    let mut rows = Vec::new();
    for chunk in ["128", "4096", "65536"] {
        let mut rate = Row::new(format!("dechunk, chunk {chunk}"), "GB/s", Target::None);
        let rounds = if bench.quick { "100" } else { "400" };
        let output = Command::new(&tools.dechunk).args([chunk, rounds]).output().unwrap();
        rate.ours.extend(field(&String::from_utf8_lossy(&output.stdout), "GBps"));
        rate.complete = !rate.ours.is_empty();
        rows.push(rate);
        rows.push(counted(format!("dechunk, chunk {chunk}"), &tools.dechunk, &[chunk]));
    }
    rows.push(counted("mux".to_owned(), &tools.mux, &["count"]));
    rows
}

/// Instructions per KiB of payload: those of twelve rounds less those of four, so that set-up does
/// not count.
fn counted(name: String, program: &Path, args: &[&str]) -> Row {
    let mut row = Row::new(name, "instr/KiB", Target::None);
    let collect = |rounds: &str| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        // Else glibc copies long pieces with `rep movsb`, of which each byte counts.
        valgrind.env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000");
        let output = valgrind.arg(program).args(args).arg(rounds).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1));
        let kib = field(&String::from_utf8_lossy(&output.stdout), "payload_KiB");
        Some((collected?.trim().parse::<f64>().ok()?, kib?))
    };
    if let (Some(few), Some(many)) = (collect("4"), collect("12")) {
        row.ours.push((many.0 - few.0) / (many.1 - few.1));
    }
    row.complete = !row.ours.is_empty();
    row
}

/// The number behind `key=` in a line of such pairs.
pub(crate) fn field(text: &str, key: &str) -> Option<f64> {
    let mut pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.find(|pair| pair.0 == key)?.1.parse().ok()
}
