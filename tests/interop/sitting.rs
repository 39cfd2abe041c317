//! One publisher by one scheme, with all players that can, at once.

use std::time::Duration;

use crate::compare::{Recorded, Truth};
use crate::players::{PLAYERS, Player, Seat};
use crate::publishers::{self, Publisher};
use crate::schemes::Scheme;
use crate::support::http;
use crate::support::process::{self, Scratch};
use crate::support::rillcast::Rillcast;
use crate::table::Cell;

/// A cell for each player.
pub fn row(scheme: &'static Scheme, publisher: &'static Publisher) -> Vec<Cell> {
    if let Err(reason) = (publisher.can)(scheme) {
        return vec![Cell::Impossible(reason.to_owned()); PLAYERS.len()];
    }
    // A judge that panics is a failure of this row, not of the others.
    let sat = || {
        let sat = std::thread::spawn(move || sit(scheme, publisher)).join();
        sat.unwrap_or_else(|words| vec![panicked(&*words); PLAYERS.len()])
    };
    let cells = sat();
    if !cells.iter().any(|cell| matches!(cell, Cell::Fail(_))) {
        return cells;
    }
    // What is wrong is wrong again. What is not: a machine that was busy elsewhere, and librtmp,
    // of whose builds some pad a secret that begins with a zero (one in 256) and some do not.
    println!("{} {}: once more, after {cells:?}", scheme.name, publisher.name);
    let again = sat();
    let better = |(first, again)| if matches!(first, Cell::Fail(_)) { again } else { first };
    cells.into_iter().zip(again).map(better).collect()
}

fn panicked(words: &(dyn std::any::Any + Send)) -> Cell {
    let words = words.downcast_ref::<String>().cloned();
    Cell::Fail(words.unwrap_or_else(|| "a panic without words".to_owned()))
}

fn sit(scheme: &'static Scheme, publisher: &Publisher) -> Vec<Cell> {
    let scratch = Scratch::new("sitting");
    let (rillcast, route) = scheme.open(&scratch);
    let truth = scratch.join("truth.flv");
    let mut sender = (publisher.start)(&route, &truth, &scratch);
    let running = &mut sender.running;
    process::wait_for("the first segment", Duration::from_secs(9), || {
        assert!(running.ended().is_none(), "{} ended: {}", publisher.name, running.text());
        http::get(rillcast.http, &Rillcast::playlist_path("cam")).ok().filter(|a| a.status == 200)
    });
    let playlist = rillcast.playlist_url("cam");
    let mut follower = rillcast.follow("cam");
    let recorded: Vec<Result<Recorded, Cell>> = std::thread::scope(|scope| {
        let seats: Vec<_> = PLAYERS
            .iter()
            .enumerate()
            .map(|(n, player)| {
                let name = format!("player-{n}");
                let (route, playlist, scratch, http) = (&route, &playlist, &scratch, rillcast.http);
                let seat = Seat { route, playlist, http, scratch, name };
                scope.spawn(move || play(player, scheme, publisher, &seat))
            })
            .collect();
        follower.until(Duration::from_secs(30), |_| sender.running.ended().is_some());
        let sat = seats.into_iter().map(|seat| seat.join());
        sat.map(|sat| sat.unwrap_or_else(|words| Err(panicked(&*words)))).collect()
    });
    follower.poll();
    let tags = match publishers::truth(&truth) {
        Ok(tags) => tags,
        Err(fault) => return vec![Cell::Fail(fault); PLAYERS.len()],
    };
    let truth = Truth { tags, segments: follower.segments };
    let judged = recorded.into_iter().map(|recorded| match recorded {
        Err(cell) => cell,
        Ok(recorded) => truth.judge(&recorded).map_or_else(Cell::Fail, Cell::Pass),
    });
    judged.collect()
}

fn play(
    player: &'static Player,
    scheme: &Scheme,
    publisher: &Publisher,
    seat: &Seat<'_>,
) -> Result<Recorded, Cell> {
    if let Err(reason) = (player.can)(scheme, publisher) {
        return Err(Cell::Impossible(reason.to_owned()));
    }
    (player.play)(seat).map_err(Cell::Fail)
}
