//! The players' side over RTMP: what it costs to send one stream to fifty, what each holds, and how
//! long one waits for its first picture.

use super::Tools;
use super::flv;
use super::process::{cpu_seconds, memory_of};
use super::rtmp::{Paced, Players, Publisher, first_keyframe, pace};
use super::servers::{Bench, Kind, Server};
use super::table::{Row, Target};
use std::time::{Duration, Instant};

const PLAYERS: usize = 50;

pub(crate) fn players(bench: &Bench, _: &Tools) -> Vec<Row> {
    let (rounds, seconds) = if bench.quick { (1, 6) } else { (3, 12) };
    let mut sent = Row::new("play, 1 to 50 players", "cpu s/GB", Target::RatioMost(0.4));
    let mut each = Row::new("private memory a player", "KiB", Target::Most(16.0));
    let stream = flv::stream(&bench.media.join("a1080.flv"), 1, 4096, 1);
    for _ in 0..rounds {
        for kind in [Kind::Ours, Kind::Peer] {
            let server = Server::start(bench, kind);
            let publisher = Publisher::connect(server.rtmp, "s0", 4096);
            let mut paced = [Paced::new(publisher, &stream, Duration::ZERO)];
            // Ten seconds alone, two of joining, and what fifty connects take: the peer wants 4 s.
            let publishing = Duration::from_secs(seconds + 20);
            std::thread::scope(|scope| {
                scope.spawn(|| pace(&mut paced, publishing));
                // Until the ring has been filled once: that memory is the stream's.
                std::thread::sleep(Duration::from_secs(10));
                let alone = memory_of(server.pid()).rss_anon;
                let mut players = Players::connect(server.rtmp, "s0", PLAYERS);
                let begin = Instant::now();
                let mut from = (0, 0.0);
                while begin.elapsed() < Duration::from_secs(seconds + 2) {
                    players.drain();
                    std::thread::sleep(Duration::from_millis(5));
                    // The first two seconds are the join.
                    if from.0 == 0 && begin.elapsed() > Duration::from_secs(2) {
                        from = (players.bytes, cpu_seconds(server.pid()));
                    }
                }
                let gigabytes = (players.bytes - from.0) as f64 / 1e9;
                let cost = (cpu_seconds(server.pid()) - from.1) / gigabytes;
                let grown = memory_of(server.pid()).rss_anon.saturating_sub(alone);
                let per_player = grown as f64 / PLAYERS as f64;
                match kind {
                    Kind::Ours => {
                        sent.ours.push(cost);
                        each.ours.push(per_player);
                    }
                    Kind::Peer => {
                        sent.peer.push(cost);
                        each.peer.push(per_player);
                    }
                }
                let expected = 0.5e6 * PLAYERS as f64 * seconds as f64;
                sent.complete &= gigabytes * 1e9 > 0.9 * expected;
            });
        }
    }
    sent.note = format!("{PLAYERS} players of one 4 Mb/s stream; a reader looks every 5 ms");
    each.note = "growth of RssAnon by 50 players".into();
    vec![sent, each]
}

/// How long a player waits for its first picture: from the moment it reads that it may play until
/// it has the last byte of a keyframe.
pub(crate) fn join(bench: &Bench, _: &Tools) -> Vec<Row> {
    let times = if bench.quick { 10 } else { 30 };
    let mut row = Row::new("join: play accepted to keyframe", "ms", Target::Most(20.0));
    let stream = flv::stream(&bench.media.join("a1080.flv"), 1, 4096, 1);
    let server = Server::start(bench, Kind::Ours);
    let publisher = Publisher::connect(server.rtmp, "s0", 4096);
    let mut paced = [Paced::new(publisher, &stream, Duration::ZERO)];
    let mut keyframe = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| pace(&mut paced, Duration::from_secs(4 + times / 5)));
        std::thread::sleep(Duration::from_secs(3));
        for _ in 0..times {
            let (took, bytes) = first_keyframe(server.rtmp, "s0");
            row.ours.push(took.as_secs_f64() * 1e3);
            keyframe = bytes;
            std::thread::sleep(Duration::from_millis(130));
        }
    });
    let most = row.ours.iter().copied().fold(0.0, f64::max);
    row.complete = keyframe > 10_000;
    row.note = format!(
        "{times} joins of one 4 Mb/s stream, keyframes of {keyframe} bytes every 2 s; slowest \
         {most:.2} ms"
    );
    vec![row]
}
