//! Players' places, waits and deadlines, without a kernel between.

use super::*;
use crate::limits::{
    GATHER_CROWD, GATHER_TIME, GATHER_TIME_CROWD, PLAYER_OUTBOX_BYTES, PLAYER_RX_BYTES,
    PLAYER_SCRATCH_BYTES, SILENCE_TIME_MAX,
};
use crate::service::reactor::Bell;
use core::time::Duration;

/// Players that the house has places for.
const PLAYERS: usize = 2;

impl Peer {
    fn play(&mut self, house: &House, name: &str, start: f64) -> bool {
        let start = [&[0][..], &start.to_be_bytes()].concat();
        self.say(house, 20, 1, &command("play", 0.0, &[&[5], &string(name), &start]))
    }

    /// What is sent now, by a peer that takes everything or nothing.
    fn pump(&mut self, house: &House, takes: bool) -> (Sent, Vec<u8>) {
        let mut got = Vec::new();
        let connection = self.connection.as_mut().unwrap();
        let sent = connection.pump(house.now, |slices| {
            let slices = slices.iter().filter(|_| takes);
            let before = got.len();
            slices.for_each(|slice| got.extend_from_slice(slice));
            if got.len() > before { Ok(got.len() - before) } else { Err(blocked()) }
        });
        (sent.unwrap(), got)
    }

    fn phase(&self) -> Phase {
        self.connection.as_ref().unwrap().live().phase.get()
    }
}

fn blocked() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn players_move_to_small_places_and_give_them_back() {
    let house = House::new();
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "cam"));
    let mut players: Vec<Peer> = Vec::new();
    for n in 0..=PLAYERS {
        let mut player = house.connected("live");
        player.deaf = true;
        assert!(player.play(&house, "cam", -1000.0));
        let plays = n < PLAYERS;
        let said = if plays {
            player.pump(&house, true).1
        } else {
            player.connection.as_ref().unwrap().pending().to_vec()
        };
        assert_eq!(holds(&said, "NetStream.Play.Start"), plays, "{n}");
        assert_eq!(holds(&said, "raise limits.players"), !plays, "{n}");
        players.push(player);
    }
    assert_eq!(house.ingest.places.borrow().len(), PLACES - 2, "the camera, and who was refused");
    assert!(house.ingest.players.borrow().is_empty());
    assert_eq!(house.status.get(Counter::RtmpPlays), 3);
    assert_eq!(house.status.get(Counter::RtmpPlaysRefused), 1);
    for mut player in players {
        player.leave(&house);
    }
    assert_eq!(house.ingest.players.borrow().len(), PLAYERS);
    let stream = house.streams.get(0).unwrap().borrow();
    assert_eq!(stream.listeners(), 0, "nobody is rung who is gone");
    drop(stream);
    camera.leave(&house);
    house.check_empty();
}

#[test]
fn crowd_makes_its_stream_gather_longer_and_never_where_a_segment_may_end() {
    let house = House::new();
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "cam"));
    assert_eq!(house.streams.gather_time(0), Duration::ZERO, "its first picture is awaited");
    let half_a_second = Act::Run { n: 0, count: 30, stream: 1, shift: 0 };
    camera.act(&house, &half_a_second, usize::MAX);
    assert_eq!(house.streams.gather_time(0), GATHER_TIME);
    let bells: Vec<Rc<Bell>> = (0..GATHER_CROWD).map(|_| Rc::default()).collect();
    for (n, bell) in bells.iter().enumerate() {
        assert_eq!(house.streams.gather_time(0), GATHER_TIME, "{n} players");
        house.streams.listen(0, bell);
    }
    assert_eq!(house.streams.gather_time(0), GATHER_TIME_CROWD);
    for bell in &bells {
        house.streams.hang_up(0, bell);
    }
    assert_eq!(house.streams.gather_time(0), GATHER_TIME);
    camera.leave(&house);
    house.check_empty();
}

#[test]
fn small_place_is_what_it_says() {
    let mut place = Place::for_player();
    assert_eq!(place.rx.capacity(), PLAYER_RX_BYTES);
    assert_eq!(place.scratch.capacity(), PLAYER_SCRATCH_BYTES);
    assert_eq!(place.out.room(), PLAYER_OUTBOX_BYTES);
    let mut large = Place::new();
    large.rx.window()[..=PLAYER_RX_BYTES].fill(1);
    large.rx.filled(PLAYER_RX_BYTES + 1);
    assert!(!place.take_over(&mut large), "more waits than it has room for");
    large.rx.consume(1);
    assert!(place.take_over(&mut large));
    assert_eq!(place.rx.len(), PLAYER_RX_BYTES);
}

#[test]
fn player_that_takes_nothing_is_ended_by_a_deadline_and_one_without_news_is_not() {
    let mut house = House::new();
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "cam"));
    let mut player = house.connected("live");
    assert!(player.play(&house, "cam", -1000.0));
    assert_eq!(player.pump(&house, true).0, Sent::All);
    for _ in 0..3 {
        house.tick(20_000_000);
        assert!(camera.say(&house, 8, 1, &[0xaf, 1, 7]));
        assert_eq!(player.pump(&house, true).0, Sent::All);
    }
    let live = player.connection.as_ref().unwrap().live();
    assert_eq!((player.phase(), live.ended.get()), (Phase::Playing, None));
    assert!(camera.say(&house, 8, 1, &[0xaf, 1, 7]));
    assert_eq!(player.pump(&house, false).0, Sent::Blocked);
    assert_eq!(player.phase(), Phase::Stalled);
    house.tick(u64::try_from(PLAYER_STALL_TIME_MAX.as_micros()).unwrap() - 1);
    assert_eq!(live.ended.get(), None);
    house.tick(1);
    assert_eq!(live.ended.get(), Some("player takes nothing"));
    drop(live);
    player.leave(&house);
    camera.leave(&house);
    house.check_empty();
}

#[test]
fn player_waits_for_a_stream_only_so_long_and_only_if_it_asked_to() {
    let mut house = House::new();
    let mut hasty = house.connected("live");
    hasty.deaf = true;
    assert!(hasty.play(&house, "cam", -1000.0));
    assert!(holds(&hasty.pump(&house, true).1, "StreamNotFound"));
    let mut patient = house.connected("live");
    assert!(patient.play(&house, "cam", -2000.0));
    assert_eq!(patient.phase(), Phase::Waiting);
    let wait = u64::try_from(house.ingest.deadlines.play_wait.as_micros()).unwrap();
    house.tick(wait - 1);
    assert!(!holds(&patient.pump(&house, true).1, "StreamNotFound"));
    house.tick(1);
    assert!(holds(&patient.pump(&house, true).1, "StreamNotFound"));
    assert!(patient.play(&house, "cam", -2000.0));
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "cam"));
    assert!(holds(&patient.pump(&house, true).1, "NetStream.Play.Start"));
    for mut peer in [hasty, patient, camera] {
        peer.leave(&house);
    }
    house.check_empty();
}

#[test]
fn player_that_changes_streams_listens_to_the_new_one_alone() {
    let house = House::new();
    let mut cameras = [house.connected("live"), house.connected("live")];
    for (camera, name) in cameras.iter_mut().zip(["a", "b"]) {
        assert!(camera.publish(&house, 1, name));
    }
    let listeners = || [0, 1].map(|n| house.streams.get(n).unwrap().borrow().listeners());
    let mut player = house.connected("live");
    player.deaf = true;
    assert!(player.play(&house, "a", -1000.0));
    assert_eq!(listeners(), [1, 0]);
    assert!(player.play(&house, "b", -1000.0));
    assert_eq!(listeners(), [0, 1]);
    assert!(player.play(&house, "none", -1000.0));
    assert_eq!(listeners(), [0, 0], "what it played is over");
    assert!(holds(&player.pump(&house, true).1, "StreamNotFound"));
    assert!(cameras[1].say(&house, 8, 1, &[0xaf, 1, 7]));
    assert_eq!(player.pump(&house, true).1, []);
    player.leave(&house);
    for mut camera in cameras {
        camera.leave(&house);
    }
    house.check_empty();
}

#[test]
fn player_of_a_stream_that_lost_its_place_listens_to_nobody() {
    let mut house = House::new();
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "a"));
    let mut player = house.connected("live");
    player.deaf = true;
    assert!(player.play(&house, "a", -1000.0));
    assert!(holds(&player.pump(&house, true).1, "NetStream.Play.Start"));
    camera.leave(&house);
    let epoch = house.streams.get(0).unwrap().borrow().epoch();
    let mut others = Vec::new();
    for name in ["b", "c"] {
        house.tick(3_600_000_000);
        let mut other = house.connected("live");
        assert!(other.publish(&house, 1, name));
        others.push(other);
    }
    assert_ne!(house.streams.get(0).unwrap().borrow().epoch(), epoch, "it lost its place");
    player.pump(&house, true);
    assert_eq!(house.streams.get(0).unwrap().borrow().listeners(), 0);
    player.leave(&house);
    for mut other in others {
        other.leave(&house);
    }
    house.check_empty();
}

#[test]
fn player_that_waits_is_told_in_time_whatever_else_it_is_sent() {
    let mut house = House::new();
    let mut player = house.connected("live");
    player.deaf = true;
    assert!(player.play(&house, "cam", -2000.0));
    assert!(player.say(&house, 4, 0, &[0, 6, 0, 0, 0, 1]), "a ping, which is answered");
    assert!(!player.pump(&house, true).1.is_empty());
    assert_eq!(player.phase(), Phase::Waiting);
    let wait = u64::try_from(house.ingest.deadlines.play_wait.as_micros()).unwrap();
    house.tick(wait);
    assert!(holds(&player.pump(&house, true).1, "StreamNotFound"));
    player.leave(&house);
    house.check_empty();
}

#[test]
fn who_publishes_and_plays_has_the_deadlines_of_a_publisher() {
    let mut house = House::new();
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "cam"));
    let mut both = house.connected("live");
    assert!(both.play(&house, "cam", -1000.0));
    assert_eq!(both.pump(&house, true).0, Sent::All);
    assert_eq!(both.phase(), Phase::Playing);
    assert!(both.say(&house, 20, 0, &command("createStream", 3.0, &[&[5]])));
    assert!(both.publish(&house, 2, "other"));
    for takes in [true, false] {
        assert!(camera.say(&house, 8, 1, &[0xaf, 1, 7]));
        both.pump(&house, takes);
        assert_eq!(both.phase(), Phase::Publishing);
    }
    let live = both.connection.as_ref().unwrap().live();
    house.tick(u64::try_from(SILENCE_TIME_MAX.as_micros()).unwrap());
    assert_eq!(live.ended.get(), Some("publisher is silent"));
    drop(live);
    for mut peer in [camera, both] {
        peer.leave(&house);
    }
    house.check_empty();
}

#[test]
fn who_plays_and_waits_for_a_path_is_decided_on_all_the_same() {
    let mut house = House::new();
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "cam"));
    let mut both = house.connected("live");
    assert!(both.play(&house, "none", -1000.0));
    assert_eq!(both.pump(&house, true).0, Sent::All);
    assert!(both.say(&house, 20, 0, &command("createStream", 3.0, &[&[5]])));
    assert!(both.publish(&house, 2, "cam"), "the same address: it may be the same camera");
    assert!(both.connection.as_ref().unwrap().claims());
    assert_eq!(both.pump(&house, true).0, Sent::All);
    assert_eq!(both.phase(), Phase::Claiming);
    house.tick(0);
    let live = both.connection.as_ref().unwrap().live();
    let bell = Rc::clone(&live.bell);
    let rung = async move { bell.rung().await };
    house.reactor.run(rung).unwrap();
    live.end("a test");
    let bell = Rc::clone(&live.bell);
    house.reactor.run(async move { bell.rung().await }).unwrap();
    drop(live);
    for mut peer in [camera, both] {
        peer.leave(&house);
    }
    house.check_empty();
}
