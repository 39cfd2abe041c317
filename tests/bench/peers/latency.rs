//! How long after a segment's end was received the playlist names it.
//!
//! A segment ends with the keyframe after it. The clock starts when the last byte of that keyframe
//! was written to the socket, and stops when a player that asks over a kept connection three times
//! a millisecond first reads a playlist with the segment.

use super::Tools;
use super::flv;
use super::http::{Client, Listed};
use super::rtmp::{Paced, Publisher, pace};
use super::servers::{Bench, Kind, Server};
use super::table::{Row, Target, median};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn listed(bench: &Bench, _: &Tools) -> Vec<Row> {
    let seconds = if bench.quick { 13 } else { 28 };
    let mut row = Row::new("segment listed after its end", "ms", Target::Most(5.0));
    let mut worst = Row::new("segment listed, slowest", "ms", Target::None);
    let stream = flv::stream(&bench.media.join("a1080.flv"), 1, 4096, 1);
    // In turns: a player that asks without pause would disturb the other server.
    for kind in [Kind::Ours, Kind::Peer] {
        let server = Server::start(bench, kind);
        let publisher = Publisher::connect(server.rtmp, "s0", 4096);
        let mut paced = [Paced::new(publisher, &stream, Duration::ZERO)];
        let over = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&server, "s0", &over));
            pace(&mut paced, Duration::from_secs(seconds));
            std::thread::sleep(Duration::from_millis(200));
            over.store(true, Ordering::Relaxed);
            watcher.join().unwrap()
        });
        let [Paced { keys, .. }] = &paced;
        let lag = |(number, at): &(u64, Instant)| {
            let end = keys.get(usize::try_from(*number).unwrap() + 1)?;
            Some(at.checked_duration_since(*end).map_or(-1.0, |lag| lag.as_secs_f64() * 1e3))
        };
        let lags: Vec<f64> = seen.iter().skip(1).filter_map(lag).collect();
        row.complete &= lags.len() as u64 + 3 >= seconds / 2;
        // Named before its end: then these are not the segments that they are taken for.
        row.complete &= lags.iter().all(|lag| *lag >= 0.0);
        worst.complete &= lags.iter().all(|lag| *lag < 1000.0);
        let most = lags.iter().copied().max_by(f64::total_cmp);
        if kind == Kind::Ours { &mut worst.ours } else { &mut worst.peer }.extend(most);
        let _ = write!(
            row.note,
            "{kind:?}: {} segments, median {:.2}, max {:.2} ms. ",
            lags.len(),
            median(&lags).unwrap_or(f64::NAN),
            most.unwrap_or(f64::NAN)
        );
        if kind == Kind::Ours { row.ours = lags } else { row.peer = lags }
    }
    vec![row, worst]
}

/// Number of each segment since the stream began, and when it was first seen.
fn watch(server: &Server, name: &str, over: &AtomicBool) -> Vec<(u64, Instant)> {
    let (path, mut client) = (server.playlist(name), Client::new(server.http));
    let (mut seen, mut next) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        if let Some(text) = client.get(&path) {
            let now = Instant::now();
            let ever = Listed::parse(&text).ever();
            seen.extend((next..ever).map(|number| (number, now)));
            next = next.max(ever);
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    seen
}
