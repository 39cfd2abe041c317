//! Every publisher to every player by every scheme, and what is not possible with its reason.
//!
//! A sitting is one publisher by one scheme, with all players at once. What each player recorded is
//! compared with what the publisher says it sent: every picture and every sound, byte for byte and
//! without a hole. `cargo test --test interop -- --nocapture` prints a table for each scheme.
//!
//! `schemes`, `publishers` and `players` are tables: a row more is a column or a line more in what
//! is printed. A pair that is not run has its reason in them; there is no other way to leave one
//! out. Programs these need, all in Debian: ffmpeg, gstreamer, rtmpdump, nginx with its RTMP
//! module, VLC, chromium, node; PyAV and an ffmpeg with RTMPE come from PyPI at first use.
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
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads, clocks and indexing are theirs; a panic is how they speak"
)]

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod players;
mod publishers;
mod schemes;
mod sitting;
mod table;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use players::PLAYERS;
use publishers::PUBLISHERS;
use schemes::SCHEMES;
use table::Table;

/// Sittings at once: as many as a small machine can carry in real time.
const AT_ONCE: usize = 2;

/// `INTEROP=rtmpt` or `INTEROP="rtmp ffmpeg"` runs only the rows whose names begin so.
const WANTED: &str = "INTEROP";

/// The whole matrix must fit among the daily checks.
const TIME_MAX: Duration = Duration::from_secs(600);

#[test]
fn every_publisher_reaches_every_player_by_every_scheme() {
    support::pip::folder();
    let start = Instant::now();
    let wanted = std::env::var(WANTED).unwrap_or_default();
    let all = SCHEMES.iter().flat_map(|scheme| PUBLISHERS.iter().map(move |one| (scheme, one)));
    let mut waiting: Vec<_> = all
        .filter(|(scheme, publisher)| {
            format!("{} {}", scheme.name, publisher.name).starts_with(&wanted)
        })
        .collect();
    waiting.reverse();
    let (waiting, table) = (Mutex::new(waiting), Mutex::new(Table::default()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some((scheme, publisher)) = next else { break };
                    let row = sitting::row(scheme, publisher);
                    table.lock().unwrap().put(scheme.name, publisher.name, row);
                }
            });
        }
    });
    let table = table.into_inner().unwrap();
    println!("{}", table.text());
    println!("{:.0} s", start.elapsed().as_secs_f64());
    assert_eq!(table.failures(), Vec::<String>::new());
    assert!(table.passes() >= if wanted.is_empty() { SCHEMES.len() * PLAYERS.len() } else { 1 });
    assert!(start.elapsed() < TIME_MAX, "the matrix took {:?}", start.elapsed());
}
