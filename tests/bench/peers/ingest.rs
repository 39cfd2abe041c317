//! The publishers' side: what a server costs while it takes streams in, and while it does nothing.

use super::Tools;
use super::flv;
use super::http::{Client, Listed, newest_segment};
use super::offline::segments_below;
use super::process::{cpu_seconds, memory_of, settle};
use super::rtmp::{Paced, Publisher, pace};
use super::servers::{Bench, Kind, Server};
use super::table::{Row, Target};
use std::process::Command;
use std::time::Duration;

/// Loops of the 60 s clip in a burst: ten minutes of media, 300 segments.
const LOOPS: u32 = 10;
/// Seconds of one sample of a live window: five segments.
const SLICE_S: u64 = 10;
const SEGMENTS: u64 = LOOPS as u64 * 30;

pub(crate) fn burst(bench: &Bench, _: &Tools) -> Vec<Row> {
    [(4096, 1.0 / 7.0), (128, 1.0 / 8.0)]
        .map(|(chunk, most)| {
            let name = format!("burst, chunk {chunk}");
            let mut row = Row::new(name, "cpu s/GB", Target::RatioMost(most));
            let clip = bench.media.join("a1080.flv");
            let stream = flv::stream(&clip, LOOPS, chunk, 1);
            let (mut seconds, mut counted) = (Vec::new(), Vec::new());
            for _ in 0..if bench.quick { 1 } else { 3 } {
                for kind in [Kind::Ours, Kind::Peer] {
                    let server = Server::start(bench, kind);
                    let publisher = Publisher::connect(server.rtmp, "burst", chunk);
                    let before = cpu_seconds(server.pid());
                    let sending = publisher.burst(&stream);
                    settle(server.pid());
                    let cpu = cpu_seconds(server.pid()) - before;
                    let per_gb = cpu / stream.flv_bytes as f64 * 1e9;
                    let segments = segments_made(&server);
                    // The last one may be cut short by the end of the stream.
                    row.complete &= segments + 1 >= SEGMENTS;
                    counted.push(format!("{kind:?} {segments}"));
                    match kind {
                        Kind::Ours => {
                            row.ours.push(per_gb);
                            seconds.push(sending);
                        }
                        Kind::Peer => row.peer.push(per_gb),
                    }
                }
            }
            let rate =
                super::table::median(&seconds).map_or(0.0, |s| stream.flv_bytes as f64 / s / 1e6);
            row.note = format!(
                "{:.0} MB of FLV; ours took {rate:.0} MB/s; segments made, of {SEGMENTS}: {}",
                stream.flv_bytes as f64 / 1e6,
                counted.join(", ")
            );
            row
        })
        .into()
}

/// Segments that the burst became: nginx keeps the files, ours counts them in the playlist.
fn segments_made(server: &Server) -> u64 {
    match server.kind {
        // The last version of a playlist may wait for half a target duration.
        Kind::Ours => {
            let ever = || {
                let text = Client::new(server.http).get(&server.playlist("burst"));
                text.map_or(0, |text| Listed::parse(&text).ever())
            };
            for _ in 0..20 {
                if ever() >= SEGMENTS {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            ever()
        }
        Kind::Peer => segments_below(&server.folder.join("hls")),
    }
}

pub(crate) fn live(bench: &Bench, _: &Tools) -> Vec<Row> {
    let (rounds, seconds) = if bench.quick { (1, 10) } else { (2, 30) };
    let stream = flv::stream(&bench.media.join("a1080.flv"), 1, 4096, 1);
    [1, 8]
        .map(|streams| {
            let name = format!("live, {streams} publishers");
            let mut row = Row::new(name, "% of a core", Target::RatioMost(0.5));
            // One after the other: at the same time, the second to be woken would find warm caches.
            for _ in 0..rounds {
                for kind in [Kind::Ours, Kind::Peer] {
                    let server = Server::start(bench, kind);
                    let percent = live_window(&server, &stream, streams, seconds / SLICE_S);
                    if kind == Kind::Ours { &mut row.ours } else { &mut row.peer }.extend(percent);
                    for i in 0..streams {
                        let text = Client::new(server.http).get(&server.playlist(&format!("s{i}")));
                        let made = text.map_or(0, |text| Listed::parse(&text).ever());
                        row.complete &= made + 1 >= seconds / 2;
                    }
                }
            }
            row.note = format!(
                "1080p30 4 Mb/s, one write a message, to the millisecond; \
                 {rounds} windows of {seconds} s, slices of {SLICE_S} s"
            );
            row
        })
        .into()
}

/// Percent of a core in each of the slices, with streams on the air that began before.
fn live_window(server: &Server, stream: &flv::Stream, streams: u64, slices: u64) -> Vec<f64> {
    let mut paced: Vec<_> = (0..streams)
        .map(|i| {
            let publisher = Publisher::connect(server.rtmp, &format!("s{i}"), 4096);
            // Spread over a frame: cameras do not beat in step.
            Paced::new(publisher, stream, Duration::from_micros(33_333 * i / streams))
        })
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| pace(&mut paced, Duration::from_secs(slices * SLICE_S + 5)));
        std::thread::sleep(Duration::from_secs(4));
        let slice = |_| {
            let before = cpu_seconds(server.pid());
            std::thread::sleep(Duration::from_secs(SLICE_S));
            (cpu_seconds(server.pid()) - before) / SLICE_S as f64 * 100.0
        };
        (0..slices).map(slice).collect()
    })
}

pub(crate) fn memory(bench: &Bench, _: &Tools) -> Vec<Row> {
    let output = Command::new(&bench.program).arg("budget").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("private memory")).unwrap();
    let budget_kib: f64 = line.trim().parse().unwrap();

    let ours = Server::start_with(bench, Kind::Ours, &[]);
    let peer = Server::start(bench, Kind::Peer);
    std::thread::sleep(Duration::from_secs(1));
    let mib = |kib: u64| kib as f64 / 1024.0;
    let idle = [&ours, &peer].map(|server| memory_of(server.pid()));
    let stream = flv::stream(&bench.media.join("a1080.flv"), 1, 4096, 1);
    let mut paced = [&ours, &peer].map(|server| {
        let publisher = Publisher::connect(server.rtmp, "s0", 4096);
        Paced::new(publisher, &stream, Duration::ZERO)
    });
    pace(&mut paced, Duration::from_secs(if bench.quick { 6 } else { 20 }));
    let busy = [&ours, &peer].map(|server| memory_of(server.pid()));

    let mut beyond = Row::new("private memory idle, beyond budget", "MiB", Target::Most(2.0));
    beyond.ours.push((mib(idle[0].rss_anon) - budget_kib / 1024.0).max(0.0));
    beyond.note = format!(
        "default limits; RssAnon {:.2} MiB idle and {:.2} MiB with one stream, budget {:.2} MiB",
        mib(idle[0].rss_anon),
        mib(busy[0].rss_anon),
        budget_kib / 1024.0
    );
    let mut rows = vec![beyond];
    for (name, memory) in [("PSS idle", idle), ("PSS with one stream", busy)] {
        let mut row = Row::new(name, "MiB", Target::None);
        row.ours.push(mib(memory[0].pss));
        row.peer.push(mib(memory[1].pss));
        rows.push(row);
    }
    rows
}

pub(crate) fn binary(bench: &Bench, _: &Tools) -> Vec<Row> {
    let mut size = Row::new("release binary, stripped", "MiB", Target::Most(2.0));
    let bytes = std::fs::metadata(&bench.program).unwrap().len();
    size.ours.push(bytes as f64 / f64::from(1 << 20));
    size.note = format!("{bytes} bytes");
    let mut start = Row::new("start to first answer over HTTP", "ms", Target::None);
    for _ in 0..5 {
        start.ours.push(Server::start_with(bench, Kind::Ours, &[]).start_ms);
        start.peer.push(Server::start(bench, Kind::Peer).start_ms);
    }
    vec![size, start]
}

/// Keeps one stream on the air at both servers while `f` looks at it.
pub(crate) fn on_the_air<T>(
    bench: &Bench,
    seconds: u64,
    f: impl FnOnce(&[Server; 2], &str) -> T,
) -> T {
    let stream = flv::stream(&bench.media.join("a1080.flv"), 5, 4096, 1);
    let servers = [Kind::Ours, Kind::Peer].map(|kind| Server::start(bench, kind));
    let mut paced = servers.each_ref().map(|server| {
        let publisher = Publisher::connect(server.rtmp, "s0", 4096);
        Paced::new(publisher, &stream, Duration::ZERO)
    });
    std::thread::scope(|scope| {
        scope.spawn(|| pace(&mut paced, Duration::from_secs(seconds)));
        for server in &servers {
            let _ = newest_segment(server, "s0");
        }
        f(&servers, "s0")
    })
}

/// Publishes a file in real time under as many names as asked, all arguments as typed.
pub(crate) fn publish(to: &str, file: &str, streams: &str, seconds: &str) {
    let (to, count) = (to.parse().unwrap(), streams.parse::<u64>().unwrap());
    let length = seconds.parse::<u64>().unwrap();
    let loops = u32::try_from(length / 60 + 2).unwrap();
    let stream = flv::stream(std::path::Path::new(file), loops, 4096, 1);
    let paced = |i| {
        let publisher = Publisher::connect(to, &format!("s{i}"), 4096);
        Paced::new(publisher, &stream, Duration::from_micros(33_333 * i / count))
    };
    let mut paced: Vec<_> = (0..count).map(paced).collect();
    pace(&mut paced, Duration::from_secs(length));
}
