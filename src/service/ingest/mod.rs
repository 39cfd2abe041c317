//! The RTMP ports, plain and within TLS: publishers and players come in here. Who speaks HTTP
//! within TLS is handed on to the port for HTTP, whose tunnels lead back here.
//!
//! Each connection is one task around one synchronous machine (`connection`): read what is there,
//! advance, send what is pending. Its buffers are a place that was allocated at start. The shared
//! tick ends connections whose time is up, by shutting their socket down. Who may publish, and
//! what is in the media, is decided elsewhere.
//! Source: RTMP 1.0 §5–7.

mod allowance;
mod connection;
mod journal;
mod pace;
mod player;
mod publisher;
#[cfg(test)]
mod tests;

use crate::limits::{
    ACCEPT_PAUSE, ACCEPTS_PER_TURN, CROWD_PAUSE, GATHER_PAUSE_MAX, HANDSHAKE_TIME_MAX,
    LINGER_TIME_MAX, PLAYER_STALL_TIME_MAX, REFUSAL_PLACES, RTMPE_BLOCK_BYTES,
    RTMPE_HANDSHAKES_BURST, RTMPE_HANDSHAKES_PER_S, SETUP_TIME_MAX, SILENCE_TIME_MAX,
    TAKEOVER_TIME_MIN,
};
use crate::proto::rtmp::auth::attempts::network;
use crate::proto::rtmp::event::Admission;
use crate::proto::rtmp::handshake::Encryption;
use crate::service::clock;
use crate::service::door::{Access, Door};
use crate::service::feed::Sent;
use crate::service::http::HttpContext;
use crate::service::intake::{Place, Share};
use crate::service::link::Link;
use crate::service::reactor::{Bell, Reactor, Source};
use crate::service::stream::{PublisherId, Streams};
use crate::service::tls::TlsServer;
use crate::service::tunnel::Tunnels;
use crate::status::{Counter, Status};
use crate::sys::poll::Interest;
use crate::time::Instant;
use allowance::Allowance;
use connection::{Connection, Fault};
use core::cell::{Cell, RefCell};
use core::net::SocketAddr;
use core::time::Duration;
use journal::Journal;
use smol::future;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

/// How long a peer may take; the product's are `Deadlines::STANDARD`.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From accept to the end of the handshake.
    pub handshake: Duration,
    /// From there to an accepted publish.
    pub setup: Duration,
    /// Without an audio or video message while publishing.
    pub silence: Duration,
    /// Silence after which another publisher may take the name.
    pub takeover: Duration,
    /// For a refused peer to close.
    pub linger: Duration,
    /// In which a player takes something of what waits for it.
    pub stall: Duration,
    /// For which a player waits for a stream that is not there.
    pub play_wait: Duration,
}

impl Deadlines {
    /// The values of the product.
    pub const STANDARD: Self = Self {
        handshake: HANDSHAKE_TIME_MAX,
        setup: SETUP_TIME_MAX,
        silence: SILENCE_TIME_MAX,
        takeover: TAKEOVER_TIME_MIN,
        linger: LINGER_TIME_MAX,
        stall: PLAYER_STALL_TIME_MAX,
        play_wait: Duration::from_secs(10),
    };
}

/// What a connection is waiting for; decides its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Setup,
    Publishing,
    /// To publish what another publishes, who may be gone.
    Claiming,
    /// For a stream that is not there.
    Waiting,
    /// Everything there was is sent.
    Playing,
    /// The player takes nothing.
    Stalled,
    Ending,
}

/// A connection as the tick sees it.
#[derive(Debug)]
struct Live {
    id: PublisherId,
    link: Link,
    peer: SocketAddr,
    phase: Cell<Phase>,
    /// When this phase began or, while publishing, when the last media message was complete.
    since: Cell<Instant>,
    /// When the last bytes came.
    heard: Cell<Instant>,
    /// Rings when there is news for a player.
    bell: Rc<Bell>,
    /// Why it was shut down from outside.
    ended: Cell<Option<&'static str>>,
}

/// The port's memory and its connections.
#[derive(Debug)]
pub struct Ingest {
    streams: Rc<Streams>,
    status: Rc<Status>,
    deadlines: Deadlines,
    door: Rc<Door>,
    connections_per_address: usize,
    /// When it was last said that an address has too many.
    crowd_said: Cell<Option<Instant>>,
    #[expect(clippy::vec_box, reason = "a place moves to its connection and back")]
    places: RefCell<Vec<Box<Place>>>,
    #[expect(clippy::vec_box, reason = "a place moves to its connection and back")]
    players: RefCell<Vec<Box<Place>>>,
    live: RefCell<Vec<Rc<Live>>>,
    /// Lines about streams that begin and end.
    publishers: Journal,
    /// Lines about everybody who connects.
    strangers: Journal,
    /// For RTMPE, as many as there may be connections; none where it is refused.
    blocks: RefCell<Vec<Box<[u8]>>>,
    encryption: Encryption,
    agreements: Allowance,
    /// Who serves HTTP within TLS, if somebody does.
    http: Option<Rc<HttpContext>>,
}

impl Ingest {
    /// Private memory of the place of a connection that only plays, in bytes.
    pub const PLAYER_BYTES: usize = Place::SLIM_BYTES + size_of::<Connection>();

    /// Private memory of one connection's place, in bytes.
    pub const PLACE_BYTES: usize = Place::BYTES + size_of::<Connection>();

    /// Places for `publishers` connections, and a few to refuse others politely.
    #[must_use]
    pub const fn places(publishers: usize) -> usize {
        publishers + REFUSAL_PLACES
    }

    /// Takes the memory for all `places` of `publishers`.
    #[must_use]
    pub fn new(
        publishers: usize,
        players: usize,
        streams: Rc<Streams>,
        status: Rc<Status>,
        deadlines: Deadlines,
    ) -> Self {
        let all = Self::places(publishers);
        let door = Rc::new(Door::new(Access::private(), Rc::clone(&status)));
        Self {
            streams,
            status,
            deadlines,
            door,
            connections_per_address: usize::MAX,
            crowd_said: Cell::new(None),
            places: RefCell::new((0..all).map(|_| Box::new(Place::new())).collect()),
            players: RefCell::new((0..players).map(|_| Box::new(Place::for_player())).collect()),
            live: RefCell::new(Vec::with_capacity(all + players)),
            publishers: Journal::new(),
            strangers: Journal::new(),
            blocks: RefCell::default(),
            encryption: Encryption::Refused,
            agreements: Allowance::new(RTMPE_HANDSHAKES_BURST, RTMPE_HANDSHAKES_PER_S),
            http: None,
        }
    }

    /// With RTMPE for those who want it; takes its memory.
    #[must_use]
    pub fn with_encryption(self) -> Self {
        let all = self.places.borrow().len() + self.players.borrow().len();
        let block = |_| vec![0; RTMPE_BLOCK_BYTES].into_boxed_slice();
        let blocks = RefCell::new((0..all).map(block).collect());
        Self { blocks, encryption: Encryption::Allowed, ..self }
    }

    /// With another door than one for private networks.
    #[must_use]
    pub fn with_door(self, door: Rc<Door>) -> Self {
        Self { door, ..self }
    }

    /// With somebody to serve HTTP within TLS.
    #[must_use]
    pub fn with_http(self, http: Rc<HttpContext>) -> Self {
        Self { http: Some(http), ..self }
    }

    /// With so many connections from one address at most; the loopback is not counted.
    #[must_use]
    pub fn with_connections_per_address(self, connections_per_address: usize) -> Self {
        Self { connections_per_address, ..self }
    }

    /// Whether an address has as many connections as it may. Counts and says so.
    fn is_crowded(&self, peer: SocketAddr, now: Instant) -> bool {
        if peer.ip().to_canonical().is_loopback() {
            return false;
        }
        let own = network(peer.ip());
        let live = self.live.borrow();
        let has = live.iter().filter(|live| network(live.peer.ip()) == own).count();
        if has < self.connections_per_address {
            return false;
        }
        self.status.add(Counter::RtmpCrowded, 1);
        if self.crowd_said.get().is_none_or(|said| now.since(said) >= CROWD_PAUSE) {
            self.crowd_said.set(Some(now));
            log::warn!(
                "ingest refused peer={peer} cause=\"{has} connections from this address: raise \
                 limits.connections_per_address\""
            );
        }
        true
    }

    /// Ends connections whose time is up; to be called about every 100 ms.
    pub fn tick(&self, now: Instant) {
        for live in self.live.borrow().iter() {
            let (limit, why) = match live.phase.get() {
                Phase::Handshake => (self.deadlines.handshake, "no handshake in time"),
                Phase::Setup => (self.deadlines.setup, "no publish in time"),
                Phase::Publishing => (self.deadlines.silence, "publisher is silent"),
                Phase::Playing => continue,
                Phase::Claiming => {
                    live.bell.ring();
                    continue;
                }
                Phase::Waiting => {
                    if now.since(live.since.get()) >= self.deadlines.play_wait {
                        live.bell.ring();
                    }
                    continue;
                }
                Phase::Stalled => (self.deadlines.stall, "player takes nothing"),
                Phase::Ending => (self.deadlines.linger, "peer does not close"),
            };
            let quiet = now.since(live.since.get());
            if quiet >= limit {
                live.end(why);
            } else if quiet >= GATHER_PAUSE_MAX {
                live.link.gather(1);
            }
        }
    }

    /// Counts and tells that a connection cannot be taken.
    fn turn_away(&self, peer: SocketAddr, cause: &io::Error) {
        self.status.add(Counter::RtmpRefused, 1);
        if self.strangers.takes(clock::now()) {
            log::warn!("ingest refused peer={peer} cause=\"{cause}\"");
        }
    }

    /// Ends the connection of a publisher whose stream another has taken over.
    fn end(&self, id: PublisherId, why: &'static str) {
        if let Some(live) = self.live.borrow().iter().find(|live| live.id == id) {
            live.end(why);
        }
    }
}

impl Live {
    fn end(&self, why: &'static str) {
        if self.ended.get().is_none() {
            self.ended.set(Some(why));
            self.link.end();
            // It may wait for nothing else.
            self.bell.ring();
        }
    }

    fn enter(&self, phase: Phase, now: Instant) {
        if phase == Phase::Publishing || self.phase.get() != phase {
            self.since.set(now);
        }
        self.phase.set(phase);
    }
}

/// Accepts publishers and players until the kernel refuses to go on; within TLS, if it is given.
///
/// # Errors
/// The kernel's; a connection's errors end only that connection.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsServer>,
    ingest: Rc<Ingest>,
    reactor: Rc<Reactor>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = Source::new(&reactor, listener)?;
    let mut turn = 0;
    loop {
        match listener.get_ref().accept() {
            Ok((socket, peer)) => {
                match link(&reactor, socket, tls.as_ref()) {
                    Ok(link) => admit(link, peer, &ingest, &reactor),
                    Err(error) => ingest.turn_away(peer, &error),
                }
                turn = (turn + 1) % ACCEPTS_PER_TURN;
                if turn == 0 {
                    future::yield_now().await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => listener.readable().await?,
            Err(error) => {
                ingest.status.add(Counter::RtmpAcceptsPaused, 1);
                if ingest.strangers.takes(clock::now()) {
                    log::warn!("ingest accept paused cause=\"{error}\"");
                }
                // Whoever waits there still does: no news until we look again.
                listener.rest()?;
                reactor.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes what comes through tunnels.
pub async fn serve_tunnels(tunnels: Rc<Tunnels>, ingest: Rc<Ingest>, reactor: Rc<Reactor>) {
    loop {
        let (end, peer) = tunnels.opened().await;
        admit(Link::tunnelled(end), peer, &ingest, &reactor);
    }
}

fn link(reactor: &Rc<Reactor>, socket: TcpStream, tls: Option<&TlsServer>) -> io::Result<Link> {
    match tls {
        None => Link::new(reactor, socket),
        Some(tls) => Link::with_tls(reactor, socket, tls.stream()?),
    }
}

/// Gives a connection its place and its task.
fn admit(link: Link, peer: SocketAddr, ingest: &Rc<Ingest>, reactor: &Rc<Reactor>) {
    ingest.status.add(Counter::RtmpAccepted, 1);
    if ingest.is_crowded(peer, clock::now()) {
        return;
    }
    let free = ingest.places.borrow().len();
    let Some(place) = ingest.places.borrow_mut().pop() else {
        ingest.status.add(Counter::RtmpRefused, 1);
        if ingest.strangers.takes(clock::now()) {
            log::warn!("ingest refused peer={peer} cause=\"no place left\"");
        }
        return;
    };
    let is_refused = free <= REFUSAL_PLACES;
    let admission = if is_refused {
        Admission::Refused("every publisher place is taken: raise limits.publishers")
    } else {
        Admission::Asked
    };
    let live = Rc::new(Live {
        id: ingest.streams.new_publisher(),
        link,
        peer,
        phase: Cell::new(Phase::Handshake),
        since: Cell::new(clock::now()),
        heard: Cell::new(clock::now()),
        bell: Rc::default(),
        ended: Cell::new(None),
    });
    ingest.live.borrow_mut().push(Rc::clone(&live));
    let ingest = Rc::clone(ingest);
    let connection = Connection::new(place, live, ingest, admission);
    reactor.spawn(run(connection, is_refused));
}

/// One connection from its first byte to its last.
async fn run(mut connection: Box<Connection>, is_refused: bool) {
    let live = connection.live();
    let first = live.link.first_within_tls().await;
    if connection.ingest.http.is_some() && matches!(first, Ok(Some(first)) if is_text(first)) {
        return hand_on(connection, live);
    }
    if is_refused {
        connection.ingest.status.add(Counter::RtmpRefused, 1);
    }
    let outcome = match first {
        Ok(_) => converse(&mut connection).await,
        Err(error) => Err(error.into()),
    };
    connection.report(outcome);
    part(&connection.live()).await;
    connection.close();
}

/// Whether a connection that begins so speaks no RTMP: its versions are no printable characters,
/// as it says itself (RTMP 1.0 §5.2.2), and methods of HTTP begin with a letter.
const fn is_text(first: u8) -> bool {
    first.is_ascii_uppercase()
}

/// Gives everything back but the link, which is now HTTP's.
fn hand_on(connection: Box<Connection>, live: Rc<Live>) {
    let http = connection.ingest.http.clone();
    connection.close();
    // The list of connections had the other one.
    let Some((http, live)) = http.zip(Rc::into_inner(live)) else { return };
    let peer = live.peer.ip().to_canonical();
    match live.link.into_tls() {
        Ok((socket, tls)) => http.take(socket, tls, peer),
        Err(error) => log::warn!("http refused peer={peer} cause=\"{error}\""),
    }
}

/// Reads, advances and sends until either side ends.
async fn converse(connection: &mut Connection) -> Result<(), Fault> {
    let live = connection.live();
    let mut share = Share::new(clock::now());
    let mut there = Interest::Read;
    loop {
        if connection.claims() {
            // What it sends meanwhile waits with the kernel.
            live.link.rest()?;
            live.bell.rung().await;
            share = Share::new(clock::now());
            let outcome = connection.claim_again(share.since());
            if !connection.plays() {
                flush(connection, &live.link).await?;
            }
            outcome?;
            continue;
        }
        let mut more = false;
        if connection.is_unfinished {
            // Others come first.
            future::yield_now().await;
            share = Share::new(clock::now());
            let outcome = connection.advance(0, share.since());
            if !connection.plays() {
                flush(connection, &live.link).await?;
            }
            outcome?;
            more = true;
        } else if matches!(there, Interest::Read | Interest::Both) {
            match connection.receive(&live.link) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    let read = read?;
                    let outcome = connection.advance(read.bytes, clock::now());
                    if !connection.plays() {
                        flush(connection, &live.link).await?;
                    }
                    outcome?;
                    if read.bytes == 0 {
                        return Ok(());
                    }
                    more = read.filled || connection.is_unfinished;
                }
            }
        }
        let mut wanted = Interest::Read;
        if connection.plays() {
            let mut link = &live.link;
            match connection.pump(clock::now(), |slices| link.write_vectored(slices))? {
                Sent::All => {}
                Sent::Blocked => wanted = Interest::Both,
                Sent::Turn => more = true,
            }
        }
        if more && share.is_used_up(clock::now()) {
            future::yield_now().await;
            share = Share::new(clock::now());
        }
        if more || connection.claims() {
            there = Interest::Read;
            continue;
        }
        there = if connection.plays() {
            live.link.news(wanted, &live.bell).await?
        } else {
            live.link.readable().await?;
            Interest::Read
        };
        share = Share::new(clock::now());
    }
}

/// Sends what is pending.
async fn flush(connection: &mut Connection, link: &Link) -> Result<(), Fault> {
    while !connection.pending().is_empty() {
        match connection.send(link) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => link.writable().await?,
            sent => sent?,
        }
    }
    Ok(())
}

/// Ends our side and waits for the peer's end, so that no reset eats the refusal it was sent. The
/// tick ends the wait.
async fn part(live: &Live) {
    live.enter(Phase::Ending, clock::now());
    if live.ended.get().is_some() || !live.link.finish() {
        return;
    }
    let mut scratch = [0; 512];
    loop {
        match io::Read::read(&mut &live.link, &mut scratch) {
            // Others have their turn, and the tick that ends this one.
            Ok(1..) => future::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if live.link.readable().await.is_err() {
                    return;
                }
            }
            Ok(0) | Err(_) => return,
        }
    }
}
