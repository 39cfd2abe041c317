//! RTMPE at the port: who gets it, how often, and what becomes of its memory.

use super::*;
use crate::limits::{RTMPE_HANDSHAKES_BURST, RTMPE_HANDSHAKES_PER_S};
use crate::proto::rtmp::enchunk::Outbox;
use crate::proto::rtmp::handshake::{Client, Hello};
use crate::storage::widen;
use crate::sys::random;
use crate::time::Millis;

/// A house where RTMPE is on.
fn house() -> House {
    let house = House::new();
    let (streams, status) = (Rc::clone(&house.streams), Rc::clone(&house.status));
    let ingest = Ingest::new(4, 2, streams, status, Deadlines::STANDARD);
    House { ingest: Rc::new(ingest.with_encryption()), ..house }
}

impl Peer {
    /// Shakes hands and connects to `live`, with C2 and what follows in one piece. Says whether
    /// the connection goes on.
    fn encrypted(&mut self, house: &House) -> bool {
        self.deaf = true;
        let mut out = Outbox::new();
        let fill = &mut random::fill;
        let mut client = Client::start(Hello::Encrypted, Millis(0), fill, &mut out).unwrap();
        if !self.feed(house, out.pending(), usize::MAX) {
            return false;
        }
        out.sent(out.pending().len());
        let answer = self.connection.as_ref().unwrap().pending().to_vec();
        assert_eq!(client.advance(&answer, fill, &mut out).unwrap(), answer.len());
        let connect = command("connect", 1.0, &[&object(&[("app", "live")])]);
        let mut secret = self.message(20, 0, 0, &connect);
        client.take_ciphers().unwrap().encrypt(&mut secret);
        let goes_on = self.feed(house, &[out.pending(), &secret].concat(), usize::MAX);
        let pending = self.connection.as_ref().map_or(0, |c| c.pending().len());
        assert_eq!(goes_on, pending > answer.len(), "connect is answered");
        goes_on
    }
}

#[test]
fn rtmpe_is_refused_at_its_first_byte_and_counted_where_it_is_off() {
    let house = House::new();
    let mut peer = house.peer();
    assert!(!peer.feed(&house, &[6], usize::MAX));
    assert_eq!(house.status.get(Counter::RtmpeRefused), 1);
    assert_eq!(house.status.get(Counter::RtmpErrors), 1);
    house.check_empty();
}

#[test]
fn what_comes_with_the_end_of_the_handshake_is_decrypted_and_the_block_given_back() {
    let house = house();
    let blocks = || house.ingest.blocks.borrow().len();
    let all = blocks();
    assert_eq!(all, PLACES + 2, "one for each connection that there may be");
    let mut peers = [house.peer(), house.peer()];
    for peer in &mut peers {
        assert!(peer.encrypted(&house));
    }
    assert_eq!((blocks(), house.status.get(Counter::RtmpeOpened)), (all - 2, 2));
    for peer in &mut peers {
        peer.leave(&house);
    }
    assert_eq!(blocks(), all);
    house.check_empty();
}

#[test]
fn rtmpe_handshakes_are_a_burst_and_then_a_few_each_second() {
    let mut house = house();
    let count = |house: &House| {
        let opens = |_: &u64| {
            let mut peer = house.peer();
            let opened = peer.encrypted(house);
            peer.leave(house);
            opened
        };
        widen((0..RTMPE_HANDSHAKES_BURST + 2).filter(opens).count())
    };
    assert_eq!(count(&house), RTMPE_HANDSHAKES_BURST);
    assert_eq!(house.status.get(Counter::RtmpeRefused), 2);
    let mut plain = house.connected("live");
    assert!(plain.publish(&house, 1, "cam"), "others are not refused");
    plain.leave(&house);
    house.tick(1_000_000);
    assert_eq!(count(&house), RTMPE_HANDSHAKES_PER_S);
}
