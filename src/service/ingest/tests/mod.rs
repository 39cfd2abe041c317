//! Connections as a hostile peer sees them: bytes in, and nothing that may break.
//!
//! The whole synchronous way of a publisher runs here, with real rings, pipelines and slots; only
//! the bytes come from a slice. Sessions are plausible and then wrong: what a parser refuses at
//! once finds nothing.

use super::*;
use crate::config::settings::Draft;
use crate::limits::{
    AGENT_BYTES_SHOWN, AGGREGATE_MESSAGES_MAX, APP_SEGMENTS_MAX, ASIDE_BYTES_MAX,
    COMMAND_BYTES_MAX, HANDSHAKE_BYTES, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, OUTBOX_BYTES,
    PUBLISHES_PER_CONNECTION, READ_TIME_MAX, READS_PER_TURN, RING_MESSAGES, RX_BYTES,
    STRAY_BYTES_MAX, STREAM_PATH_BYTES_MAX,
};
use crate::media::testcard::{CardKind, TestCard, TestCardConfig};
use crate::service::store::Store;
use crate::storage::frame_ring::{Aside, Read};
use crate::wire::rtmp::chunk::{BasicHeader, MessageHeader};
use crate::wire::writer::Writer;
use core::net::Ipv4Addr;
use proptest::prelude::*;

mod encrypted;
mod keys;
mod players;
mod takeover;

use proptest::test_runner::RngSeed;
use std::net::TcpStream;
use std::sync::OnceLock;

/// A port with two stream places and room for a few connections.
struct House {
    ingest: Rc<Ingest>,
    streams: Rc<Streams>,
    store: Rc<RefCell<Store>>,
    status: Rc<Status>,
    reactor: Rc<Reactor>,
    listener: TcpListener,
    now: Instant,
    _folder: tempfile::TempDir,
}

const PLACES: usize = 4 + REFUSAL_PLACES;

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut draft = Draft::new();
        draft.set("hls.dir", folder.path().to_str().unwrap()).unwrap();
        for pair in [
            "limits.streams=2",
            "limits.ring_bytes=262144",
            "limits.slot_bytes=262144",
            "hls.window_segments=3",
            "hls.segment_ms=1000",
        ] {
            draft.set_pair(pair).unwrap();
        }
        let config = draft.check().unwrap();
        let status = Rc::new(Status::new());
        let store = Store::open(&config, 7, Rc::clone(&status)).unwrap();
        let store = Rc::new(RefCell::new(store));
        let streams = Rc::new(Streams::new(&config, Rc::clone(&store), Rc::clone(&status)));
        let deadlines = Deadlines::STANDARD;
        let ingest = Ingest::new(4, 2, Rc::clone(&streams), Rc::clone(&status), deadlines);
        Self {
            ingest: Rc::new(ingest),
            streams,
            store,
            status,
            reactor: Reactor::new().unwrap(),
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            now: Instant(1_000_000),
            _folder: folder,
        }
    }

    /// Another door than one for private networks, while nobody is connected.
    fn allow(&mut self, settings: &[(&str, &str)]) {
        let door = crate::service::door::tests::door(settings, &self.status);
        Rc::get_mut(&mut self.ingest).unwrap().door = Rc::new(door);
    }

    fn peer(&self) -> Peer {
        self.peer_from(SocketAddr::from((Ipv4Addr::LOCALHOST, 7)))
    }

    /// A peer that is said to be at `peer`.
    fn peer_from(&self, peer: SocketAddr) -> Peer {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let place = self.ingest.places.borrow_mut().pop().unwrap();
        let live = Rc::new(Live {
            id: self.streams.new_publisher(),
            link: Link::new(&self.reactor, socket).unwrap(),
            peer,
            phase: Cell::new(Phase::Handshake),
            since: Cell::new(self.now),
            heard: Cell::new(self.now),
            bell: Rc::default(),
            ended: Cell::new(None),
        });
        self.ingest.live.borrow_mut().push(Rc::clone(&live));
        let connection = Connection::new(place, live, Rc::clone(&self.ingest), Admission::Asked);
        Peer { connection: Some(connection), deaf: false, chunk: 128, client }
    }

    /// A peer that is connected to `app` and has one message stream.
    fn connected(&self, app: &str) -> Peer {
        let mut peer = self.peer();
        let mut hello = vec![0; 1 + 2 * HANDSHAKE_BYTES];
        hello[0] = 3;
        assert!(peer.feed(self, &hello, usize::MAX));
        let connect = command("connect", 1.0, &[&object(&[("app", app)])]);
        assert!(peer.say(self, 20, 0, &connect));
        assert!(peer.say(self, 20, 0, &command("createStream", 2.0, &[&[5]])));
        peer
    }

    fn tick(&mut self, micros: u64) {
        self.now = Instant(self.now.0 + micros);
        self.ingest.tick(self.now);
        self.store.borrow_mut().tick(self.now);
    }

    /// Nobody is connected: everything has been given back.
    fn check_empty(&self) {
        assert_eq!(self.ingest.places.borrow().len(), PLACES);
        assert!(self.ingest.live.borrow().is_empty());
        for index in 0..2 {
            let stream = self.streams.get(index).unwrap().borrow();
            assert_eq!((stream.ring.reservations(), stream.listeners()), (0, 0));
        }
        assert!(self.store.borrow().streams().all(|stream| !stream.live));
        self.streams.check_invariants();
    }
}

/// The far end of a connection.
struct Peer {
    connection: Option<Box<Connection>>,
    /// Reads no answers.
    deaf: bool,
    /// Chunk size it has announced.
    chunk: usize,
    client: TcpStream,
}

impl Peer {
    /// Sends bytes in reads of `piece` at most. Says whether the connection goes on.
    fn feed(&mut self, house: &House, mut bytes: &[u8], piece: usize) -> bool {
        while let (Some(connection), false) = (&mut self.connection, bytes.is_empty()) {
            let mut now = bytes.get(..piece).unwrap_or(bytes);
            let all = now.len();
            let read = connection.receive(&mut now).unwrap();
            assert_eq!(read.bytes, all - now.len());
            assert!(read.bytes > 0, "there is always room to read");
            let mut outcome = connection.advance(read.bytes, house.now);
            connection.check_invariants();
            while outcome.is_ok() && connection.is_unfinished {
                outcome = connection.advance(0, house.now);
            }
            bytes = &bytes[read.bytes..];
            while !self.deaf && !connection.pending().is_empty() {
                connection.send(io::sink()).unwrap();
            }
            if let Err(fault) = outcome {
                connection.report(Err(fault));
                self.leave(house);
            }
        }
        self.connection.is_some()
    }

    /// Sends a whole message in type 0 and type 3 chunks.
    fn say(&mut self, house: &House, kind: u8, stream: u32, payload: &[u8]) -> bool {
        let bytes = self.message(kind, stream, 0, payload);
        self.feed(house, &bytes, usize::MAX)
    }

    fn publish(&mut self, house: &House, stream: u32, name: &str) -> bool {
        self.say(house, 20, stream, &publish(name))
    }

    fn message(&self, kind: u8, stream: u32, at: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap();
        let csid = 3 + u32::from(kind % 8);
        let header = MessageHeader::Full { timestamp: at, length, kind, stream };
        let mut bytes = head(csid, header);
        for (n, part) in payload.chunks(self.chunk).enumerate() {
            if n > 0 {
                bytes.extend(head(csid, MessageHeader::Same));
                bytes.extend(header.extended().map(u32::to_be_bytes).iter().flatten());
            }
            bytes.extend(part);
        }
        bytes
    }

    fn leave(&mut self, house: &House) {
        if let Some(connection) = self.connection.take() {
            connection.close();
            house.streams.check_invariants();
        }
    }
}

fn head(csid: u32, header: MessageHeader) -> Vec<u8> {
    let mut buffer = [0; 18];
    let mut w = Writer::new(&mut buffer);
    BasicHeader { fmt: header.fmt(), csid }.emit(&mut w).unwrap();
    header.emit(&mut w).unwrap();
    w.finish().to_vec()
}

fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[2][..], &length, text.as_bytes()].concat()
}

fn object(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![3];
    for (name, value) in fields {
        bytes.extend(&string(name)[1..]);
        bytes.extend(string(value));
    }
    bytes.extend([0, 0, 9]);
    bytes
}

fn command(name: &str, transaction: f64, rest: &[&[u8]]) -> Vec<u8> {
    let transaction = transaction.to_be_bytes();
    [&string(name)[..], &[0], &transaction, &rest.concat()].concat()
}

fn publish(name: &str) -> Vec<u8> {
    command("publish", 0.0, &[&[5], &string(name), &string("live")])
}

fn delete(stream: u32) -> Vec<u8> {
    let id = [&[0][..], &f64::from(stream).to_be_bytes()].concat();
    command("deleteStream", 0.0, &[&[5], &id])
}

/// Bodies of a small test card, headers first: two seconds.
fn card() -> &'static [(u8, u32, Vec<u8>)] {
    static CARD: OnceLock<Vec<(u8, u32, Vec<u8>)>> = OnceLock::new();
    CARD.get_or_init(|| {
        let config =
            TestCardConfig { width: 160, height: 128, frames_per_second: 10, clock_start_ms: 0 };
        let mut card = TestCard::new(&config).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let headers = card.headers(&mut buffer).unwrap();
        let mut all = vec![(9, 0, headers.video.to_vec()), (8, 0, headers.audio.to_vec())];
        while card.due_ms() < 2000 {
            let message = card.next(&mut buffer).unwrap();
            let kind = if message.kind == CardKind::Audio { 8 } else { 9 };
            all.push((kind, message.timestamp.0, buffer[..message.bytes].to_vec()));
        }
        all
    })
}

#[test]
fn card_sent_by_a_publisher_becomes_segments() {
    let mut house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    for (kind, at, body) in card() {
        let bytes = peer.message(*kind, 1, *at, body);
        assert!(peer.feed(&house, &bytes, 1000));
        house.tick(20_000);
    }
    peer.leave(&house);
    house.store.borrow_mut().list_all();
    assert!(house.status.get(Counter::Segments) >= 2);
    assert_eq!(house.status.get(Counter::MediaMalformed), 0);
    house.check_empty();
}

#[test]
fn publish_is_given_back_when_its_answer_finds_no_room() {
    let house = House::new();
    let mut peer = house.connected("live");
    peer.deaf = true;
    // Pings fill the outbox up to where the answer to publish no longer fits, but goes unread.
    let room = |peer: &Peer| OUTBOX_BYTES - peer.connection.as_ref().unwrap().pending().len();
    while room(&peer) > 60 {
        assert!(peer.say(&house, 4, 0, &[0, 6, 0, 0, 0, 1]));
    }
    assert!(!peer.publish(&house, 1, "cam"), "the connection ends");
    house.check_empty();
    let mut next = house.connected("live");
    assert!(next.publish(&house, 1, "cam"), "the name is free");
    next.leave(&house);
    house.check_empty();
}

#[test]
fn replaced_publisher_cannot_act_on_what_it_had_sent_before() {
    let mut house = House::new();
    let mut first = house.connected("");
    assert!(first.publish(&house, 1, "cam"));
    house.now = house.now.after(TAKEOVER_TIME_MIN);
    let mut second = house.connected("live");
    assert!(second.publish(&house, 1, "cam"), "a silent publisher gives way");
    assert!(second.say(&house, 20, 0, &delete(1)));
    // The same stream under another name, in bytes that came before the end did.
    assert!(!first.publish(&house, 2, "live#cam"));
    second.leave(&house);
    house.check_empty();
}

#[test]
fn connection_may_publish_many_times_but_not_for_ever() {
    let house = House::new();
    let mut peer = house.connected("live");
    let mut times = 0;
    while peer.publish(&house, 1, if times % 2 == 0 { "a" } else { "b" }) {
        times += 1;
        peer.say(&house, 20, 0, &delete(1));
    }
    assert_eq!(times, PUBLISHES_PER_CONNECTION);
    house.check_empty();
}

#[test]
fn aggregate_is_taken_apart_up_to_its_limit_and_one_message_more_ends_the_connection() {
    let house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    let part = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    let most = usize::try_from(AGGREGATE_MESSAGES_MAX).unwrap();
    assert!(peer.say(&house, 22, 1, &part.repeat(most)));
    assert!(!peer.say(&house, 22, 1, &part.repeat(most + 1)));
    house.check_empty();
}

#[test]
fn addresses_outside_may_neither_publish_nor_play_until_the_settings_say_so() {
    let mut house = House::new();
    house.allow(&[("rtmp.publish_from", "10.0.0.0/8"), ("rtmp.play_from", "127.0.0.2")]);
    let mut peer = house.connected("live");
    assert!(!peer.publish(&house, 1, "cam"), "127.0.0.1 is outside of 10.0.0.0/8");
    assert_eq!(house.status.get(Counter::RtmpAddressRefused), 1);
    peer.leave(&house);
    let mut peer = house.connected("live");
    let play = command("play", 0.0, &[&[5], &string("cam")]);
    assert!(peer.say(&house, 20, 1, &play));
    assert_eq!(house.status.get(Counter::RtmpAddressRefused), 2);
    assert!(peer.connection.as_ref().unwrap().playing.is_none());
    peer.leave(&house);
    house.check_empty();
    house.allow(&[("rtmp.publish_from", "10.0.0.0/8, any"), ("rtmp.play_from", "private")]);
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    peer.leave(&house);
}

#[test]
fn publisher_without_media_is_gone_however_much_else_it_says() {
    let mut house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    let bytes = peer.message(9, 1, 0, &vec![0x17; 100_000]);
    let ticks = usize::try_from(SILENCE_TIME_MAX.as_millis() / 100).unwrap();
    for byte in bytes.chunks(1).take(ticks - 1) {
        house.tick(100_000);
        assert!(peer.feed(&house, byte, 1), "a byte of a message that never ends");
        assert_eq!(peer.connection.as_ref().unwrap().live().ended.get(), None);
    }
    house.tick(100_000);
    let live = peer.connection.as_ref().unwrap().live();
    assert_eq!(live.ended.get(), Some("publisher is silent"));
    drop(live);
    peer.leave(&house);
    house.check_empty();
}

#[test]
fn each_phase_ends_at_its_deadline_and_not_before() {
    let mut house = House::new();
    let mut slow = house.peer();
    let mut idle = house.connected("live");
    let ended = |peer: &Peer| peer.connection.as_ref().unwrap().live().ended.get();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap();
    house.tick(micros(HANDSHAKE_TIME_MAX) - 1);
    assert_eq!((ended(&slow), ended(&idle)), (None, None));
    assert!(slow.feed(&house, &[3, 0, 0], 1), "bytes of a handshake do not prolong it");
    house.tick(1);
    assert_eq!((ended(&slow), ended(&idle)), (Some("no handshake in time"), None));
    house.tick(micros(SETUP_TIME_MAX.saturating_sub(HANDSHAKE_TIME_MAX)) - 1);
    assert!(idle.say(&house, 4, 0, &[0, 6, 0, 0, 0, 1]), "nor do pings a setup");
    assert_eq!(ended(&idle), None);
    house.tick(1);
    assert_eq!(ended(&idle), Some("no publish in time"));
    let refused = house.connected("live");
    let live = refused.connection.as_ref().unwrap().live();
    live.enter(Phase::Ending, house.now);
    house.tick(micros(LINGER_TIME_MAX) - 1);
    assert_eq!(live.ended.get(), None);
    house.tick(1);
    assert_eq!(live.ended.get(), Some("peer does not close"));
    drop(live);
    for mut peer in [slow, idle, refused] {
        peer.leave(&house);
    }
    house.check_empty();
}

#[test]
fn application_is_no_deeper_than_the_next_start_looks() {
    let house = House::new();
    let app = ["a"; APP_SEGMENTS_MAX].join("/");
    let mut peer = house.connected(&app);
    assert!(peer.publish(&house, 1, "cam"));
    assert!(peer.publish(&house, 2, "b#cam"), "refused in the session, which goes on");
    assert!(house.store.borrow().stream(&format!("{app}/cam")).is_some());
    assert_eq!(house.store.borrow().stream(&format!("{app}/b/cam")), None);
    peer.leave(&house);
    house.check_empty();
}

#[test]
fn longest_names_are_published_and_fit_a_path() {
    let house = House::new();
    let (app, name) = ("a".repeat(NAME_BYTES_MAX), "n".repeat(NAME_BYTES_MAX));
    let mut peer = house.connected(&app);
    assert!(peer.publish(&house, 1, &name));
    let path = format!("{app}/{name}");
    assert!(house.store.borrow().stream(&path).is_some());
    assert!(path.len() <= STREAM_PATH_BYTES_MAX);
    peer.leave(&house);
    house.check_empty();
}

#[test]
fn peer_describes_itself_in_so_many_bytes() {
    let most = vec![b'x'; AGENT_BYTES_SHOWN];
    assert_eq!(connection::shown(&most).to_string().as_bytes(), most);
    assert_eq!(connection::shown(&[&most[..], b"y"].concat()).to_string().as_bytes(), most);
}

#[test]
fn silent_publisher_is_heard_again_from_the_first_byte_on() {
    let mut house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    let live = peer.connection.as_ref().unwrap().live();
    live.link.gather(1000);
    house.tick(u64::try_from(GATHER_PAUSE_MAX.as_micros()).unwrap() - 1);
    assert_eq!(live.link.gathers(), 1000);
    house.tick(1);
    assert_eq!(live.link.gathers(), 1);
    drop(live);
    peer.leave(&house);
    house.check_empty();
}

#[test]
fn ring_of_a_stream_lists_so_many_messages() {
    let house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    let stream = house.streams.get(0).unwrap();
    let first = stream.borrow().ring.end();
    for _ in 0..RING_MESSAGES {
        assert!(peer.say(&house, 8, 1, &[0xaf]));
    }
    let read = |mut cursor| matches!(stream.borrow().ring.read(&mut cursor), Read::Message(..));
    assert!(read(first));
    assert!(peer.say(&house, 8, 1, &[0xaf]));
    assert!(!read(first), "one more, and the first is gone");
    peer.leave(&house);
    house.check_empty();
}

#[test]
fn header_too_long_to_be_kept_for_those_who_join_is_counted() {
    let house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    let mut header = vec![0; ASIDE_BYTES_MAX];
    header[0] = 0x17;
    let kept = || house.streams.get(0).unwrap().borrow().ring.aside(Aside::VideoHeader).is_some();
    header.push(0);
    assert!(peer.say(&house, 9, 1, &header));
    assert_eq!((kept(), house.status.get(Counter::RtmpDataDropped)), (false, 1));
    header.pop();
    assert!(peer.say(&house, 9, 1, &header));
    assert_eq!((kept(), house.status.get(Counter::RtmpDataDropped)), (true, 1));
    peer.leave(&house);
    house.check_empty();
}

#[test]
fn accepting_lets_others_have_their_turn_and_refuses_what_has_no_place() {
    let house = House::new();
    let all = ACCEPTS_PER_TURN + 1;
    let address = house.listener.local_addr().unwrap();
    let clients: Vec<_> = (0..all).map(|_| TcpStream::connect(address).unwrap()).collect();
    let (ingest, tasks) = (Rc::clone(&house.ingest), Rc::clone(&house.reactor));
    let listener = house.listener.try_clone().unwrap();
    house.reactor.spawn(async move {
        serve(listener, None, ingest, tasks).await.unwrap();
    });
    let status = Rc::clone(&house.status);
    let seen = house.reactor.run(async move {
        let mut seen = vec![status.get(Counter::RtmpAccepted)];
        while seen.last() != Some(&u64::from(all)) {
            future::yield_now().await;
            seen.push(status.get(Counter::RtmpAccepted));
        }
        seen
    });
    assert!(seen.unwrap().contains(&u64::from(ACCEPTS_PER_TURN)));
    assert_eq!(house.ingest.live.borrow().len(), PLACES);
    let open = u64::try_from(PLACES - REFUSAL_PLACES).unwrap();
    assert_eq!(house.status.get(Counter::RtmpRefused), u64::from(all) - open);
    drop(clients);
}

#[test]
fn accepting_pauses_after_the_kernel_has_refused() {
    let house = House::new();
    // It does not listen, and so refuses.
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::empty(),
        None,
    );
    let listener = TcpListener::from(socket.unwrap());
    let (ingest, tasks) = (Rc::clone(&house.ingest), Rc::clone(&house.reactor));
    house.reactor.spawn(async move {
        serve(listener, None, ingest, tasks).await.unwrap();
    });
    let (status, reactor) = (Rc::clone(&house.status), Rc::clone(&house.reactor));
    let start = clock::now();
    let waited = house.reactor.run(async move {
        while status.get(Counter::RtmpAcceptsPaused) < 3 {
            reactor.sleep(Duration::from_millis(5)).await;
        }
        clock::now().since(start)
    });
    assert!(waited.unwrap() >= 2 * ACCEPT_PAUSE);
}

#[test]
fn reading_lets_others_have_their_turn() {
    let house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.say(&house, 1, 0, &MESSAGE_BYTES_MAX.to_be_bytes()));
    // A message that nobody knows, as far as the kernel takes it.
    let (length, kind) = (MESSAGE_BYTES_MAX, 99);
    let mut bytes = head(6, MessageHeader::Full { timestamp: 0, length, kind, stream: 0 });
    bytes.resize(usize::try_from(length).unwrap(), 0);
    peer.client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(n) = io::Write::write(&mut peer.client, &bytes[sent..]) {
        sent += n;
    }
    let most = u64::from(READS_PER_TURN) * u64::try_from(RX_BYTES).unwrap();
    let (start, sent) = (house.status.get(Counter::RtmpBytesIn), u64::try_from(sent).unwrap());
    assert!(sent > most, "{sent} bytes");
    house.reactor.spawn(run(peer.connection.take().unwrap(), false));
    let status = Rc::clone(&house.status);
    let longest = house.reactor.run(async move {
        let (mut at, mut longest, mut slowest) = (start, 0, Duration::ZERO);
        while at < start + sent {
            let begun = clock::now();
            future::yield_now().await;
            let now = status.get(Counter::RtmpBytesIn);
            longest = longest.max(now - at);
            slowest = slowest.max(clock::now().since(begun));
            at = now;
        }
        (longest, slowest)
    });
    let (longest, slowest) = longest.unwrap();
    // Less only where a row of reads took too long.
    let least = if slowest < READ_TIME_MAX { most } else { 1 };
    assert!((least..=most).contains(&longest), "{longest} bytes, {slowest:?}");
}

/// Four bytes say that ten seconds have passed, and each such message ends a segment.
#[test]
fn segments_that_a_few_bytes_end_leave_others_their_turn() {
    let house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    assert!(peer.say(&house, 8, 1, &[0xaf, 0, 0x11, 0x90]));
    let (delta, length, kind) = (9_900, 3, 8);
    let header = MessageHeader::SameStream { delta, length, kind };
    let mut bytes = head(3, header);
    bytes.extend([0xaf, 1, 0]);
    for _ in 0..10_000 {
        bytes.extend(head(3, MessageHeader::Same));
        bytes.extend([0xaf, 1, 0]);
    }
    let connection = peer.connection.as_mut().unwrap();
    let read = connection.receive(&mut &bytes[..]).unwrap();
    assert_eq!(read.bytes, bytes.len(), "one read");
    let (mut turns, mut more) = (0, read.bytes);
    loop {
        let start = clock::now();
        connection.advance(core::mem::take(&mut more), house.now).unwrap();
        turns += 1;
        let took = clock::now().since(start);
        assert!(took < READ_TIME_MAX + Duration::from_millis(200), "{took:?}");
        if !connection.is_unfinished {
            break;
        }
    }
    assert!(turns > 3, "{turns} turns");
    assert!(house.status.get(Counter::Segments) > 1_000);
    peer.leave(&house);
    house.check_empty();
}

#[test]
fn stray_media_is_borne_up_to_its_limit() {
    let house = House::new();
    let mut peer = house.connected("live");
    let most = usize::try_from(STRAY_BYTES_MAX).unwrap();
    assert!(peer.say(&house, 9, 1, &vec![0; most]));
    assert!(!peer.say(&house, 8, 1, &[0]));
    assert_eq!(house.status.get(Counter::RtmpStrayMedia), 2);
    house.check_empty();
}

#[test]
fn longest_command_is_read_and_one_byte_more_ends_the_connection() {
    for (bytes, goes_on) in [(0, true), (1, false)] {
        let house = House::new();
        let mut peer = house.connected("live");
        let mut body = command("nobodyKnowsThis", 0.0, &[&[5]]);
        body.resize(usize::try_from(COMMAND_BYTES_MAX).unwrap() + bytes, 5);
        assert_eq!(peer.say(&house, 20, 0, &body), goes_on);
        peer.leave(&house);
        house.check_empty();
    }
}

#[test]
fn longest_message_may_begin_and_one_byte_more_ends_the_connection() {
    for (more, goes_on) in [(0, true), (1, false)] {
        let house = House::new();
        let mut peer = house.connected("live");
        let length = MESSAGE_BYTES_MAX + more;
        let bytes = head(6, MessageHeader::Full { timestamp: 0, length, kind: 9, stream: 1 });
        assert_eq!(peer.feed(&house, &bytes, usize::MAX), goes_on);
        peer.leave(&house);
        house.check_empty();
    }
}

#[test]
fn message_larger_than_half_the_ring_ends_only_its_connection() {
    let house = House::new();
    let mut peer = house.connected("live");
    assert!(peer.publish(&house, 1, "cam"));
    assert!(!peer.say(&house, 9, 1, &vec![0x17; 131_073]));
    house.check_empty();
}

/// What one peer does next.
#[derive(Clone, Debug)]
enum Act {
    /// A media message of the card, with bytes changed and its end cut off.
    Card {
        n: usize,
        stream: u32,
        cut: usize,
        changes: Vec<(usize, u8)>,
        shift: u32,
    },
    /// Messages of the card as they are: what comes next must find a pipeline at work.
    Run {
        n: usize,
        count: usize,
        stream: u32,
        shift: u32,
    },
    /// A message of any kind: header as it comes, payload split as announced.
    Message {
        fmt: u8,
        csid: u32,
        kind: u8,
        stream: u32,
        time: u32,
        lie: i32,
        payload: Vec<u8>,
    },
    ChunkSize(u32),
    Abort(u32),
    Publish {
        stream: u32,
        name: usize,
    },
    Delete(u32),
    Call {
        name: usize,
        rest: Vec<u8>,
    },
    Bytes(Vec<u8>),
    Deaf(bool),
    Again,
    Wait(u64),
}

const NAMES: [&str; 6] = ["cam", "a", "live#cam", "b", "../x", "c?key=1"];
const CALLS: [&str; 8] = [
    "createStream",
    "FCPublish",
    "FCUnpublish",
    "closeStream",
    "releaseStream",
    "play",
    "deleteStream",
    "@setDataFrame",
];

/// The beginnings of what pipelines look into.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let heads: Vec<&[u8]> = vec![
        &[],
        &[0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xfd, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1],
        &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xfe],
        &[0x17, 1, 0, 0, 0, 0, 0, 0, 5, 0x65],
        &[0x27, 1, 0xff, 0xff, 0xff, 0, 0, 0, 2, 0x41],
        &[0x27, 1, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xaf, 0, 0x12, 0x10],
        &[0xaf, 0, 0xf8],
        &[0xaf, 1],
        &[0xaf, 1, 0xff, 0xf1, 0x50, 0x80, 0, 0x1f, 0xfc],
        &[0x2f, 0xff, 0xfb, 0x90, 0x64],
        &[0x2e, 0xff, 0xf3],
        b"\x90avc1\x01\x42\xc0\x1e\xff\xe1",
        b"\x91avc1\0\0\0\0\0\0\x02\x65",
        b"\x93hvc1\0\0\0",
        b"\x96\x10avc1\0\0\0\x04",
        b"\x90mp4a\x12\x10",
        b"\x95\x01mp4a\0",
        b"\x97\x10\0\0\x01\x91avc1",
        &[8, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xaf, 1, 0, 0, 0, 13],
        &[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0],
        &[22, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 12],
        &[2, 0, 13, b'@', b's', b'e', b't', b'D', b'a', b't', b'a', b'F', b'r', b'a', b'm', b'e'],
        &[0, 6, 0, 0, 0, 1],
    ];
    let tail = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff)], 0..3000),
    ];
    (proptest::sample::select(heads), tail).prop_map(|(head, tail)| [head, &tail].concat())
}

fn times() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..5000u32,
        1 => any::<u32>(),
        1 => 0xff_fff0..0x100_0010u32,
        1 => u32::MAX - 50..=u32::MAX,
    ]
}

fn acts() -> impl Strategy<Value = Act> {
    let kinds = prop_oneof![
        6 => proptest::sample::select(vec![8u8, 9, 22]),
        2 => proptest::sample::select(vec![1u8, 2, 3, 4, 5, 6, 15, 17, 18, 20]),
        1 => any::<u8>(),
    ];
    let csids = prop_oneof![12 => 3..9u32, 1 => 2..65_600u32];
    let formats = prop_oneof![12 => Just(0u8), 3 => Just(1), 2 => Just(2), 3 => Just(3)];
    let lies = prop_oneof![
        24 => Just(0), 2 => -20..20i32, 1 => Just(9_000_000), 1 => Just(70_000), 1 => Just(3000),
    ];
    let change = (0..4000usize, any::<u8>());
    let changes = prop_oneof![
        2 => Just(Vec::new()),
        1 => proptest::collection::vec(change, 1..4),
    ];
    let cuts = prop_oneof![4 => Just(usize::MAX), 1 => 0..2000usize];
    let shifts = || prop_oneof![4 => Just(0), 1 => times()];
    let streams = || prop_oneof![9 => Just(1u32), 1 => 0..4u32];
    let sizes = prop_oneof![
        2 => Just(128), 1 => 1..200u32, 1 => Just(4096), 1 => 1..=0x7fff_ffffu32,
    ];
    let card = (0..60usize, streams(), cuts, changes, shifts());
    let run = (0..3usize, 1..60usize, streams(), shifts());
    let message = (formats, csids, kinds, streams(), times(), lies, bodies());
    prop_oneof![
        20 => card.prop_map(
            |(n, stream, cut, changes, shift)| Act::Card { n, stream, cut, changes, shift }),
        8 => run.prop_map(|(n, count, stream, shift)| Act::Run { n, count, stream, shift }),
        20 => message.prop_map(|(fmt, csid, kind, stream, time, lie, payload)|
            Act::Message { fmt, csid, kind, stream, time, lie, payload }),
        2 => sizes.prop_map(Act::ChunkSize),
        2 => prop_oneof![2..10u32, any::<u32>()].prop_map(Act::Abort),
        2 => (0..4u32, 0..NAMES.len()).prop_map(|(stream, name)| Act::Publish { stream, name }),
        1 => (0..4u32).prop_map(Act::Delete),
        3 => (0..CALLS.len(), bodies()).prop_map(|(name, rest)| Act::Call { name, rest }),
        1 => proptest::collection::vec(any::<u8>(), 1..300).prop_map(Act::Bytes),
        1 => any::<bool>().prop_map(Act::Deaf),
        1 => Just(Act::Again),
        3 => prop_oneof![0..200_000u64, Just(5_100_000), Just(31_000_000)].prop_map(Act::Wait),
    ]
}

impl Peer {
    fn act(&mut self, house: &House, act: &Act, piece: usize) {
        let bytes = match act {
            Act::Card { n, stream, cut, changes, shift } => {
                let (kind, at, body) = &card()[n % card().len()];
                let mut body = body.get(..*cut).unwrap_or(body).to_vec();
                for (at, value) in changes {
                    if let Some(byte) = body.get_mut(*at) {
                        *byte = *value;
                    }
                }
                self.message(*kind, *stream, at.wrapping_add(*shift), &body)
            }
            Act::Run { n, count, stream, shift } => {
                let run = card().iter().skip(*n).take(*count);
                run.flat_map(|(kind, at, body)| {
                    self.message(*kind, *stream, at.wrapping_add(*shift), body)
                })
                .collect()
            }
            Act::Message { fmt, csid, kind, stream, time, lie, payload } => {
                let length = i32::try_from(payload.len()).unwrap().saturating_add(*lie).max(0);
                let length = u32::try_from(length).unwrap();
                let (kind, stream) = (*kind, *stream);
                let header = match fmt {
                    0 => MessageHeader::Full { timestamp: *time, length, kind, stream },
                    1 => MessageHeader::SameStream { delta: *time, length, kind },
                    2 => MessageHeader::SameLength { delta: *time },
                    _ => MessageHeader::Same,
                };
                let mut bytes = Vec::new();
                for (n, part) in payload.chunks(self.chunk).enumerate() {
                    let first = n == 0;
                    bytes.extend(head(*csid, if first { header } else { MessageHeader::Same }));
                    if !first {
                        bytes.extend(header.extended().map(u32::to_be_bytes).iter().flatten());
                    }
                    bytes.extend(part);
                }
                bytes
            }
            Act::ChunkSize(size) => {
                let bytes = self.message(1, 0, 0, &size.to_be_bytes());
                if (1..1 << 31).contains(size) {
                    self.chunk = usize::try_from(*size).unwrap();
                }
                bytes
            }
            Act::Abort(csid) => self.message(2, 0, 0, &csid.to_be_bytes()),
            Act::Publish { stream, name } => self.message(20, *stream, 0, &publish(NAMES[*name])),
            Act::Delete(stream) => self.message(20, 0, 0, &delete(*stream)),
            Act::Call { name, rest } => {
                self.message(20, 1, 0, &command(CALLS[*name], 3.0, &[&[5], rest]))
            }
            Act::Bytes(bytes) => bytes.clone(),
            Act::Deaf(deaf) => {
                self.deaf = *deaf;
                return;
            }
            Act::Again | Act::Wait(_) => return,
        };
        self.feed(house, &bytes, piece);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        rng_seed: RngSeed::Fixed(0x5eed),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Two peers after their handshakes, in any order and in pieces of any size.
    #[test]
    fn sessions_that_go_wrong_break_nothing_and_leave_nothing(
        acts in proptest::collection::vec((0..2usize, acts()), 1..120),
        piece in prop_oneof![Just(usize::MAX), 1..50usize, Just(4096)],
        apps in (0..2usize, 0..2usize),
    ) {
        let mut house = House::new();
        let app = |n: usize| ["", "live"][n];
        let mut peers = [house.connected(app(apps.0)), house.connected(app(apps.1))];
        for (peer, name) in peers.iter_mut().zip(NAMES) {
            peer.publish(&house, 1, name);
        }
        for (who, act) in &acts {
            if let Act::Wait(micros) = act {
                house.tick(*micros);
            }
            let gone = peers[*who].connection.is_none();
            if gone || matches!(act, Act::Again) {
                peers[*who].leave(&house);
                peers[*who] = house.connected(app(apps.1));
                peers[*who].publish(&house, 1, ["cam", "a"][*who]);
            }
            peers[*who].act(&house, act, piece);
        }
        for peer in &mut peers {
            peer.leave(&house);
        }
        house.check_empty();
    }

    /// A good session with a few bytes changed or cut off, handshake included.
    #[test]
    fn good_session_with_changed_bytes_breaks_nothing(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        piece in prop_oneof![Just(usize::MAX), 1..50usize, Just(4096)],
        early in any::<bool>(),
    ) {
        let house = House::new();
        let mut peer = house.peer();
        let mut bytes = vec![0; 1 + 1536 + 1536];
        bytes[0] = 3;
        let start = bytes.len();
        let connect = command("connect", 1.0, &[&object(&[("app", "live")])]);
        bytes.extend(peer.message(20, 0, 0, &connect));
        bytes.extend(peer.message(20, 0, 0, &command("createStream", 2.0, &[&[5]])));
        bytes.extend(peer.message(20, 1, 0, &publish("cam")));
        let media = bytes.len();
        for (kind, at, body) in card() {
            bytes.extend(peer.message(*kind, 1, *at, body));
        }
        for (index, value) in &changes {
            let range = if early { start..media + 400 } else { 0..bytes.len() };
            let at = range.start + index.index(range.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        peer.feed(&house, &bytes, piece);
        peer.leave(&house);
        house.check_empty();
    }
}
