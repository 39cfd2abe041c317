//! Publishers that come back while their older connection is still there.

use super::*;
use crate::limits::{TAKEOVER_PROOF_TIME, TAKEOVER_QUIET_TIME};

const KEYS: &[(&str, &str)] = &[
    ("stream.live/cam.publish_key", "k"),
    ("stream.live/cam.publish_users", "bob, eve"),
    ("user.bob.password", "b"),
    ("user.eve.password", "e"),
];

const SOUND: &[u8] = &[0xaf, 1, 7];

impl Peer {
    /// Looks again at its claim; says whether the connection goes on.
    fn looks(&mut self, house: &House) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let outcome = connection.claim_again(house.now);
        while !connection.pending().is_empty() {
            connection.send(io::sink()).unwrap();
        }
        if let Err(fault) = outcome {
            connection.report(Err(fault));
            self.leave(house);
        }
        self.connection.is_some()
    }

    fn claims(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.claims())
    }

    fn publishes(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.published.is_empty())
    }

    fn is_replaced(&self) -> bool {
        let live = self.connection.as_ref().unwrap().live();
        live.ended.get() == Some("another connection has taken the stream over")
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

/// Older and newer connection of a sender without a credential.
fn both(house: &House) -> (Peer, Peer) {
    let mut old = house.connected("live");
    assert!(old.publish(house, 1, "cam"));
    let mut new = house.connected("live");
    assert!(new.publish(house, 1, "cam"));
    assert!(new.claims() && !new.publishes(), "it waits");
    (old, new)
}

#[test]
fn srs_4173_camera_that_comes_back_has_its_stream_after_a_second_of_quiet() {
    let mut house = House::new();
    let (old, mut new) = both(&house);
    house.tick(micros(TAKEOVER_QUIET_TIME) - 1);
    assert!(new.looks(&house) && new.claims());
    house.tick(1);
    assert!(new.looks(&house) && new.publishes());
    assert!(old.is_replaced());
    assert_eq!(house.status.get(Counter::Takeovers), 1);
    assert!(new.say(&house, 8, 1, SOUND), "and goes on");
    for mut peer in [old, new] {
        peer.leave(&house);
    }
    house.check_empty();
}

#[test]
fn srs_2472_what_was_on_its_way_does_not_show_that_a_publisher_is_well() {
    let mut house = House::new();
    let (mut old, mut new) = both(&house);
    house.tick(micros(TAKEOVER_PROOF_TIME) - 1);
    assert!(old.say(&house, 8, 1, SOUND), "the last that it sent");
    assert!(new.looks(&house) && new.claims());
    house.tick(micros(TAKEOVER_QUIET_TIME));
    assert!(new.looks(&house) && new.publishes());
    for mut peer in [old, new] {
        peer.leave(&house);
    }
    house.check_empty();
}

#[test]
fn mediamtx_911_publisher_that_is_well_is_not_thrown_out() {
    let mut house = House::new();
    let (mut old, mut new) = both(&house);
    house.tick(micros(TAKEOVER_PROOF_TIME));
    assert!(old.feed(&house, &old.message(9, 1, 0, &[0x17; 900])[..100], 100), "not yet whole");
    assert!(!new.looks(&house), "refused: there are bytes");
    assert_eq!(house.status.get(Counter::Takeovers), 0);
    assert!(old.publishes());
    old.leave(&house);
    house.check_empty();
}

#[test]
fn claim_ends_with_the_publisher_that_leaves_and_takes_what_came_meanwhile() {
    let house = House::new();
    let (mut old, mut new) = both(&house);
    assert!(new.say(&house, 8, 1, SOUND), "it did not wait for the answer");
    old.leave(&house);
    assert!(new.looks(&house) && new.publishes());
    assert_eq!(house.status.get(Counter::RtmpStrayMedia), 0, "and nothing of it is lost");
    new.leave(&house);
    house.check_empty();
}

#[test]
fn mediamtx_5242_same_credential_takes_its_stream_back_at_once_and_no_other_does() {
    let mut house = House::new();
    house.allow(KEYS);
    let with = |house: &House, query: &str| {
        let mut peer = house.connected("live");
        peer.publish(house, 1, &format!("cam?{query}"));
        peer
    };
    let (key, bob, eve) = ("key=k", "user=bob&pass=b", "user=eve&pass=e");
    for (mine, others) in [(key, [bob, eve]), (bob, [key, eve])] {
        let mut old = with(&house, mine);
        for other in others {
            assert!(with(&house, other).connection.is_none(), "{other} does not take {mine}'s");
        }
        assert!(old.say(&house, 8, 1, SOUND) && old.publishes());
        let mut new = with(&house, mine);
        assert!(new.publishes() && old.is_replaced());
        house.now = house.now.after(TAKEOVER_TIME_MIN);
        assert!(with(&house, others[0]).connection.is_none(), "silent or not");
        for peer in [&mut old, &mut new] {
            peer.leave(&house);
        }
    }
    house.check_empty();
}

#[test]
fn connection_does_not_take_its_own_stream_by_another_name() {
    let house = House::new();
    let mut peer = house.connected("");
    assert!(peer.publish(&house, 1, "cam"));
    assert!(!peer.publish(&house, 2, "live#cam"));
    house.check_empty();
}
