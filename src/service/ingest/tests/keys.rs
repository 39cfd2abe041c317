//! Keys and users of connections that publish and play, without a kernel between.

use super::super::connection::Masked;
use super::*;
use crate::limits::{AUTH_ATTEMPTS_MAX, CROWD_PAUSE};
use crate::proto::rtmp::auth::Account;
use crate::proto::rtmp::auth::responder::Responder;

const KEYS: &[(&str, &str)] =
    &[("stream.live/cam.publish_key", "pub-key"), ("stream.live/cam.play_key", "play-key")];

fn play(name: &str) -> Vec<u8> {
    let start = [&[0][..], &(-1000.0_f64).to_be_bytes()].concat();
    command("play", 0.0, &[&[5], &string(name), &start])
}

fn pending(peer: &Peer) -> Vec<u8> {
    peer.connection.as_ref().unwrap().pending().to_vec()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn key_lets_publish_from_the_query_the_application_or_the_path_and_nothing_else_does() {
    let mut house = House::new();
    house.allow(KEYS);
    for (app, name) in [
        ("live", "cam?key=pub-key"),
        ("live?key=pub-key", "cam"),
        ("live", "pub-key"),
        ("live/cam", "pub-key"),
        ("", "cam?key=pub-key"),
    ] {
        let mut peer = house.connected(app);
        assert!(peer.publish(&house, 1, name), "{app} {name}");
        assert!(house.store.borrow().stream("live/cam").is_some());
        assert_eq!(house.store.borrow().stream("live/pub-key"), None);
        peer.leave(&house);
    }
    for (app, name) in [
        ("live", "cam"),
        ("live", "cam?key=play-key"),
        ("live", "cam?key=PUB-KEY"),
        ("live", "pub-key2"),
        ("live/cam", "x"),
    ] {
        let mut peer = house.connected(app);
        assert!(!peer.publish(&house, 1, name), "{app} {name}");
    }
    assert_eq!(house.status.get(Counter::KeysRefused), 5);
    let mut other = house.connected("other");
    assert!(other.publish(&house, 1, "cam"), "an application without keys is open as before");
    other.leave(&house);
    house.check_empty();
}

#[test]
fn application_that_may_be_a_key_is_hidden_in_the_log() {
    let house = House::new();
    let shown = |app| Masked { app, is_known: house.ingest.door.knows(app) }.to_string();
    assert_eq!(shown("live"), "live");
    assert_eq!(shown("secret-key"), "se…");
    assert_eq!(shown("live/secret-key"), "li…/se…");
    let mut house = House::new();
    house.allow(KEYS);
    assert_eq!(
        Masked { app: "live/cam", is_known: house.ingest.door.knows("live/cam") }.to_string(),
        "li…/ca…"
    );
}

#[test]
fn player_without_the_key_is_told_so_and_may_ask_again_with_it() {
    let mut house = House::new();
    house.allow(KEYS);
    let mut camera = house.connected("live");
    assert!(camera.publish(&house, 1, "cam?key=pub-key"));
    let mut player = house.connected("live");
    player.deaf = true;
    assert!(player.say(&house, 20, 1, &play("cam")));
    assert!(holds(&pending(&player), "NetStream.Play.Failed"));
    assert!(holds(&pending(&player), "stream asks for a key"));
    assert!(player.connection.as_ref().unwrap().playing.is_none());
    assert!(player.say(&house, 20, 1, &play("cam?key=play-key")));
    assert!(player.connection.as_ref().unwrap().playing.is_some());
    for mut peer in [player, camera] {
        peer.leave(&house);
    }
    house.check_empty();
}

#[test]
fn address_with_too_many_wrong_keys_is_not_heard_for_a_while() {
    let mut house = House::new();
    house.allow(KEYS);
    for n in 0..AUTH_ATTEMPTS_MAX {
        let mut peer = house.connected("live");
        // As a name and as a key: both count.
        let name = if n % 2 == 0 { "cam?key=guess" } else { "guess" };
        assert!(!peer.publish(&house, 1, name));
    }
    assert_eq!(house.status.get(Counter::AttemptsBarred), 0);
    let mut peer = house.connected("live");
    assert!(!peer.publish(&house, 1, "cam?key=pub-key"), "right, but too late");
    assert_eq!(house.status.get(Counter::AttemptsBarred), 1);
    let mut open = house.connected("other");
    assert!(open.publish(&house, 1, "cam"), "what asks for nothing is not barred");
    open.leave(&house);
    house.now = house.now.after(crate::limits::AUTH_FORGIVEN_TIME);
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam?key=pub-key"));
    peer.leave(&house);
    house.check_empty();
}

/// The description of the `_error` that waits to be sent, in chunks of 128 bytes.
fn description(bytes: &[u8]) -> String {
    let chunks = bytes[12..].chunks(129);
    let whole: Vec<u8> = chunks.flat_map(|chunk| &chunk[..chunk.len().min(128)]).copied().collect();
    let text = String::from_utf8_lossy(&whole).into_owned();
    let at = text.find("[ Access").unwrap();
    text[at..].split('\0').next().unwrap().to_owned()
}

#[test]
fn encoder_signs_in_over_three_connections_and_publishes_where_its_user_may() {
    let mut house = House::new();
    house.allow(&[
        ("stream.tv/news.publish_users", "bob"),
        ("stream.tv/other.publish_users", "eve"),
        ("user.bob.password", "secret"),
        ("user.eve.password", "x"),
    ]);
    let mut responder = Responder::Fresh;
    let mut app = "tv".to_owned();
    for connection in 1..=3 {
        let mut peer = house.peer();
        let mut hello = vec![0; 1 + 2 * HANDSHAKE_BYTES];
        hello[0] = 3;
        assert!(peer.feed(&house, &hello, usize::MAX));
        let fields = object(&[("app", &app), ("type", "nonprivate")]);
        let connect = peer.message(20, 0, 0, &command("connect", 1.0, &[&fields]));
        let machine = peer.connection.as_mut().unwrap();
        let mut bytes = &connect[..];
        machine.receive(&mut bytes).unwrap();
        let outcome = machine.advance(connect.len(), house.now);
        if connection < 3 {
            assert!(matches!(outcome, Err(Fault::NotYet(_))), "{outcome:?}");
            let account = Account { user: "bob", password: "secret" };
            let fill = &mut crate::sys::random::fill;
            let words = description(machine.pending());
            let query = responder.respond(&words, "tv", account, fill).unwrap();
            app = format!("tv?{query}");
            machine.report(outcome);
            peer.leave(&house);
            continue;
        }
        outcome.unwrap();
        assert!(peer.publish(&house, 1, "news"), "bob may");
        assert!(!peer.publish(&house, 2, "other"), "that is for eve");
    }
    assert_eq!(house.status.get(Counter::RtmpErrors), 1, "the steps are none");
    let mut player = house.connected("tv");
    assert!(player.say(&house, 20, 1, &play("news")), "players are not asked");
    player.leave(&house);
    house.check_empty();
}

#[test]
fn address_has_so_many_connections_and_no_more_and_this_device_as_many_as_it_likes() {
    let mut house = House::new();
    Rc::get_mut(&mut house.ingest).unwrap().connections_per_address = 2;
    let addresses = ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "2001:db8::2", "127.0.0.1"];
    let [four, mapped, six, neighbour, own] =
        addresses.map(|address| SocketAddr::new(address.parse().unwrap(), 7));
    let crowded = |peer| house.ingest.is_crowded(peer, house.now);
    let mut peers = Vec::new();
    for address in [four, six, own] {
        for _ in 0..2 {
            assert!(!crowded(address));
            peers.push(house.peer_from(address));
        }
    }
    assert!(crowded(four) && crowded(mapped) && crowded(six) && crowded(neighbour));
    assert!(!crowded(own));
    assert_eq!(house.status.get(Counter::RtmpCrowded), 4);
    let said = || house.ingest.crowd_said.get().unwrap();
    assert_eq!(said(), house.now);
    let later = house.now.after(CROWD_PAUSE);
    assert!(house.ingest.is_crowded(four, Instant(later.0 - 1)));
    assert_eq!(said(), house.now, "once a pause");
    assert!(house.ingest.is_crowded(four, later));
    assert_eq!(said(), later);
    peers.remove(0).leave(&house);
    assert!(!crowded(four));
    for peer in &mut peers {
        peer.leave(&house);
    }
    house.check_empty();
}
