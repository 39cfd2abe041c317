//! What handing out costs: one segment or the playlist, asked for without pause.

use super::Tools;
use super::http::{Client, flood, newest_segment};
use super::ingest::on_the_air;
use super::process::cpu_seconds;
use super::servers::{Bench, Kind};
use super::table::{Row, Target};
use std::fmt::Write as _;

/// HTTP/1.0 opens a connection a request; with 1.1 both servers keep it open.
const MODES: [(&str, bool); 2] = [("HTTP/1.0", false), ("keep-alive", true)];

pub(crate) fn segments(bench: &Bench, _: &Tools) -> Vec<Row> {
    let rows = MODES.map(|(mode, kept)| {
        (Row::new(format!("segment GET, {mode}"), "cpu s/GB", Target::RatioMost(1.0)), kept)
    });
    floods(bench, rows, true)
}

pub(crate) fn playlists(bench: &Bench, _: &Tools) -> Vec<Row> {
    let rows = MODES.map(|(mode, kept)| {
        (Row::new(format!("playlist GET, {mode}"), "cpu us", Target::RatioMost(1.0)), kept)
    });
    floods(bench, rows, false)
}

fn floods(bench: &Bench, rows: [(Row, bool); 2], segment: bool) -> Vec<Row> {
    let (rounds, seconds) = if bench.quick { (1, 2) } else { (3, 3) };
    // Until the window is full, so that both playlists have their usual length.
    let fill = if segment || bench.quick { 0 } else { 28 };
    let length = 10 + fill + u64::from(4 * rounds * (seconds + 1));
    on_the_air(bench, length, |servers, name| {
        std::thread::sleep(std::time::Duration::from_secs(fill));
        rows.map(|(mut row, kept)| {
            let mut rates = [0.0; 2];
            for _ in 0..rounds {
                for server in servers {
                    let (path, bytes) = if segment {
                        newest_segment(server, name)
                    } else {
                        let path = server.playlist(name);
                        let bytes = Client::new(server.http).get(&path).unwrap().len();
                        (path, bytes)
                    };
                    let before = cpu_seconds(server.pid());
                    let done = flood(server.http, &path, kept, seconds, &server.folder);
                    let cpu = cpu_seconds(server.pid()) - before;
                    let each = if segment { bytes as f64 / 1e9 } else { 1e-6 };
                    let cost = cpu / (done.requests * each);
                    if server.kind == Kind::Ours { &mut row.ours } else { &mut row.peer }
                        .push(cost);
                    rates[usize::from(server.kind == Kind::Peer)] = done.requests / done.seconds;
                    row.complete &= done.requests > 0.0;
                    row.note = format!("{bytes} bytes");
                    if !done.errors.is_empty() {
                        row.complete &= server.kind == Kind::Peer;
                        eprintln!("   {:?}, {}: {}", server.kind, row.name, done.errors);
                    }
                }
            }
            let [ours, peer] = rates;
            let _ = write!(row.note, "; ours {ours:.0}/s, peer {peer:.0}/s, wrk -c100");
            row
        })
        .into()
    })
}
