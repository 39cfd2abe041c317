//! Every figure of the project beside its target, and beside the peers in the same run.
//!
//! `scripts/bench.sh` builds this, makes the media and runs it in a network namespace of its own.
//! By hand only `publish ADDRESS FILE.flv STREAMS SECONDS` is of use: it keeps streams `live/s0`,
//! `live/s1` … on the air at a server that is to be looked at. Servers are compared by processor
//! time, not by the clock on the wall: other work on the machine disturbs it far less. What is
//! compared runs in turns, and medians count.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::std_instead_of_core,
    reason = "a measuring tool owns its clock, prints, and stops at the first surprise"
)]

mod crowd;
mod flv;
mod http;
mod ingest;
mod latency;
mod offline;
mod play;
mod process;
mod rtmp;
mod rtmps;
mod serve;
mod servers;
mod table;
mod updates;

use servers::Bench;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use table::Row;

/// What was built for this run, by the options that name it.
pub(crate) struct Tools {
    pub(crate) mux: PathBuf,
    pub(crate) dechunk: PathBuf,
    pub(crate) update: PathBuf,
    pub(crate) memory_test: Option<PathBuf>,
}

type Measure = fn(&Bench, &Tools) -> Vec<Row>;

/// The groups of rows, by the name they are asked for.
const GROUPS: &[(&str, Measure)] = &[
    ("mux", offline::mux),
    ("segment", offline::segment),
    ("encrypt", offline::encrypt),
    ("burst", ingest::burst),
    ("live", ingest::live),
    ("play", play::players),
    ("join", play::join),
    ("rtmps", rtmps::burst),
    ("allocations", offline::allocations),
    ("memory", ingest::memory),
    ("get", serve::segments),
    ("playlist", serve::playlists),
    ("crowd", crowd::crowd),
    ("update", updates::rows),
    ("latency", latency::listed),
    ("binary", ingest::binary),
    ("instructions", offline::instructions),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, to, file, streams, seconds] = words.as_slice()
        && verb == "publish"
    {
        ingest::publish(to, file, streams, seconds);
        return ExitCode::SUCCESS;
    }
    let (mut quick, mut asked, mut paths) = (false, Vec::new(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.strip_prefix("--") {
            Some("quick") => quick = true,
            Some("bench") => {}
            Some(name) => paths.push((name.to_owned(), args.next().unwrap_or_default())),
            None => asked.push(arg),
        }
    }
    if let Some(name) = asked.iter().find(|name| GROUPS.iter().all(|group| group.0 != **name)) {
        let known: Vec<&str> = GROUPS.iter().map(|group| group.0).collect();
        eprintln!("no row is called {name}: there are {}", known.join(" "));
        return ExitCode::from(2);
    }
    let find = |name: &str| paths.iter().find(|path| path.0 == name).map(|path| path.1.clone());
    let Some(program) = find("program") else {
        eprintln!("run scripts/bench.sh, which builds what is measured");
        return ExitCode::from(2);
    };
    let path = |name: &str| PathBuf::from(find(name).unwrap());
    let tmpfs = tempfile::tempdir_in("/dev/shm").unwrap();
    let bench = Bench {
        program: program.into(),
        tmpfs: tmpfs.path().to_owned(),
        media: path("media"),
        quick,
    };
    let memory_test = find("memory-test").filter(|path| !path.is_empty()).map(PathBuf::from);
    let (mux, dechunk, update) = (path("mux"), path("dechunk"), path("update"));
    let tools = Tools { mux, dechunk, update, memory_test };

    let mut rows = Vec::new();
    for (name, measure) in GROUPS {
        if asked.is_empty() || asked.iter().any(|row| row == name) {
            let start = Instant::now();
            rows.extend(measure(&bench, &tools));
            eprintln!("   {name}: {:.0} s", start.elapsed().as_secs_f64());
        }
    }
    println!("{}", table::render(&rows));
    table::save(&rows, &find("commit").unwrap_or_default(), &path("results"));
    if rows.iter().any(Row::is_missed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
