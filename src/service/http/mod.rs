//! The HTTP port: places for connections, one loop, one tick.
//!
//! All viewers wait in one kernel set that the executor sees as a single descriptor: a request
//! costs a receive and a send, a new connection an accept and a close, and none of them a task, a
//! timer or an allocation. A connection that is answered at once is never put into the set.
//! Memory is taken in `HttpContext::new`; a connection without a place gets a fixed 503.
//! Connections within TLS are brought by the port that takes them, and served RTMPT alone.
//! Source: RFC 1945, RFC 9112; nothing of compression or authentication is here.

mod answer;
mod caching;
mod connection;
mod drain;
mod guard;
mod key;
mod long;
mod socket;
mod tunnelled;

use core::cell::RefCell;
use core::net::IpAddr;
use core::time::Duration;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use smol::future;

use self::answer::Desk;
use self::connection::{Connection, Outcome};
use self::socket::Socket;
use super::clock;
use super::door::Door;
use super::reactor::{Reactor, Source};
use super::relay::Relays;
use super::store::Store;
use super::tls::TlsStream;
use super::tunnel::Tunnels;
use crate::limits::{
    HTTP_ACCEPT_BURST, HTTP_EVENTS, HTTP_FIRST_BYTE_TIME_MAX, HTTP_HEAD_TIME_MAX,
    HTTP_IDLE_TIME_MAX, HTTP_LINGER_TIME_MAX, HTTP_PER_ADDRESS, HTTP_REQUEST_BYTES,
    HTTP_REQUESTS_PER_CONNECTION, HTTP_SLOW_TIME_MAX, HTTP_STALL_TIME_MAX, HTTP_VIEWERS_MAX,
};
use crate::status::{Counter, Status};
use crate::storage::widen;
use crate::sys;
use crate::sys::net::{self, Event, Interest, Listener, Transfer, WaitSet};
use crate::sys::poll;
use crate::time::Instant;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From accept to the first byte.
    pub first_byte: Duration,
    /// From the first byte of a head to its end, however it trickles.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without anything acknowledged while something is queued.
    pub stall: Duration,
    /// Below the least rate while something is queued.
    pub slow_window: Duration,
    /// Reading on after the last answer.
    pub linger: Duration,
}

impl Deadlines {
    /// The values of the product.
    pub const STANDARD: Self = Self {
        first_byte: HTTP_FIRST_BYTE_TIME_MAX,
        head: HTTP_HEAD_TIME_MAX,
        idle: HTTP_IDLE_TIME_MAX,
        stall: HTTP_STALL_TIME_MAX,
        slow_window: HTTP_SLOW_TIME_MAX,
        linger: HTTP_LINGER_TIME_MAX,
    };
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// Places, 1 to `HTTP_VIEWERS_MAX`.
    pub viewers: usize,
    /// Connections from one address other than the loopback.
    pub per_address: usize,
    /// Requests on one connection.
    pub requests_max: u32,
    /// Port that publishers use, for the page.
    pub rtmp_port: u16,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// The wall clock: seconds since 1970, `None` while it cannot be believed.
    pub wall: fn() -> Option<u64>,
    /// Addresses that are this machine's whatever its interfaces say: the loopback. They are not
    /// counted per address, and refer to our pages for as long as they like.
    pub is_loopback: fn(IpAddr) -> bool,
}

impl HttpSettings {
    /// The values of the product for `viewers` places.
    #[must_use]
    pub const fn standard(viewers: usize, rtmp_port: u16) -> Self {
        Self {
            viewers,
            per_address: HTTP_PER_ADDRESS,
            requests_max: HTTP_REQUESTS_PER_CONNECTION,
            rtmp_port,
            deadlines: Deadlines::STANDARD,
            wall: sys::clock::synchronised,
            is_loopback: |address| address.is_loopback(),
        }
    }
}

/// The responder: all of its memory and all of its connections.
#[derive(Debug)]
pub struct HttpContext {
    inner: RefCell<Inner>,
}

impl HttpContext {
    /// Private memory that all viewers share, in bytes: the answer being made, and those that wait.
    pub const SHARED_BYTES: usize = Desk::BYTES;

    /// Private memory of one viewer's place, in bytes.
    pub const PLACE_BYTES: usize =
        HTTP_REQUEST_BYTES + size_of::<Connection>() + size_of::<usize>();

    /// Takes the memory for `settings.viewers` places.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor left.
    pub fn new(
        store: Rc<RefCell<Store>>,
        status: Rc<Status>,
        settings: HttpSettings,
    ) -> io::Result<Self> {
        let viewers = settings.viewers.clamp(1, HTTP_VIEWERS_MAX);
        let mut desk = Desk::new(store, status, settings);
        desk.set_time(clock::now());
        let inner = Inner {
            desk,
            places: (0..viewers).map(|_| Connection::vacant()).collect(),
            slab: vec![0; viewers * HTTP_REQUEST_BYTES].into_boxed_slice(),
            free: (0..viewers).rev().collect(),
            set: WaitSet::new()?,
            listener: None,
            listening: false,
            pause_said: None,
            idle: false,
            addresses_at: clock::now(),
        };
        Ok(Self { inner: RefCell::new(inner) })
    }

    /// Answers RTMPT from now on.
    pub fn carry(&self, tunnels: Rc<Tunnels>) {
        self.inner.borrow_mut().desk.tunnels = Some(tunnels);
    }

    /// Asks viewers for keys from now on.
    pub fn guard(&self, door: Rc<Door>) {
        self.inner.borrow_mut().desk.door = Some(door);
    }

    /// Shows `relays`, and tells them what is asked for.
    pub fn show(&self, relays: Rc<Relays>) {
        self.inner.borrow_mut().desk.relays = relays;
    }

    /// Connections that have a place.
    #[must_use]
    pub fn connections(&self) -> usize {
        let inner = self.inner.borrow();
        inner.places.len() - inner.free.len()
    }

    /// Takes connections of `listener` from now on. Gives the descriptor that is readable when
    /// there is something for `turn` to do.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen(&self, listener: Listener) -> io::Result<OwnedFd> {
        self.inner.borrow_mut().attach(listener)
    }

    /// Serves a connection of `peer` that a port for TLS has taken, its handshake done.
    pub fn take(&self, socket: TcpStream, tls: Box<TlsStream>, peer: IpAddr) {
        let mut inner = self.inner.borrow_mut();
        inner.desk.now = clock::now();
        inner.welcome(Socket::within_tls(socket, tls), peer);
    }

    /// Serves what has happened, without waiting.
    pub fn turn(&self) {
        self.inner.borrow_mut().turn();
    }

    /// Whether a request goes on that a tunnel has to do with.
    fn has_tunnelled(&self) -> bool {
        let inner = self.inner.borrow();
        inner.desk.tunnels.as_ref().is_some_and(|tunnels| tunnels.is_asked())
    }

    /// Goes on with the requests that wait for a tunnel.
    fn tunnel_turn(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.desk.now = clock::now();
        let Some(tunnels) = inner.desk.tunnels.clone() else { return };
        for token in tunnels.asking() {
            if let Some((index, epoch)) = place_of(token)
                && inner.places.get(index).is_some_and(|place| place.epoch == epoch)
            {
                inner.drive(index, Connection::advance);
            }
        }
    }

    /// Keeps all deadlines and lets go of slots; to be called about every 100 ms.
    pub fn tick(&self, now: Instant) {
        self.inner.borrow_mut().tick(now);
    }
}

/// Serves `listener` until the kernel refuses to go on. Connections outlive a call: a second one
/// with another listener takes over.
///
/// # Errors
/// The kernel's; a connection's errors end only that connection.
pub async fn serve(
    listener: Listener,
    ctx: Rc<HttpContext>,
    reactor: Rc<Reactor>,
) -> io::Result<()> {
    let set = Source::new(&reactor, ctx.listen(listener)?)?;
    let tunnels = ctx.inner.borrow().desk.tunnels.clone();
    let due = tunnels.map_or_else(Rc::default, |tunnels| Rc::clone(&tunnels.due));
    loop {
        if set.news(poll::Interest::Read, &due).await? != poll::Interest::None {
            ctx.turn();
        }
        if ctx.has_tunnelled() {
            // The RTMP side was woken before, and has its turn first; where a session was opened
            // just now, it is a turn until there is one.
            future::yield_now().await;
            future::yield_now().await;
            ctx.tunnel_turn();
        }
    }
}

#[derive(Debug)]
struct Inner {
    desk: Desk,
    places: Box<[Connection]>,
    /// `HTTP_REQUEST_BYTES` for each place; the kernel gives a page when it is first used.
    slab: Box<[u8]>,
    free: Vec<usize>,
    set: WaitSet,
    listener: Option<Listener>,
    /// Whether the listener is in the set.
    listening: bool,
    /// When it was last said that accepting pauses.
    pause_said: Option<Instant>,
    /// Nobody was there at the last tick, which then left date and addresses as they were.
    idle: bool,
    /// When the own addresses were listed.
    addresses_at: Instant,
}

/// Token of the listener; a place's is its index and epoch.
const LISTENER: u64 = u64::MAX;

/// How long the list of own addresses is believed.
const ADDRESSES_FOR: Duration = Duration::from_secs(5);

/// How long one line about a pause stands for those that follow: each tick may end in another.
const PAUSE_SAID_FOR: Duration = Duration::from_secs(10);

impl Inner {
    fn attach(&mut self, listener: Listener) -> io::Result<OwnedFd> {
        self.set.add_listener(&listener, LISTENER)?;
        self.listener = Some(listener);
        self.listening = true;
        self.set.handle()
    }

    /// Serves what has happened, and what happens meanwhile: to ask the set again is cheaper than
    /// a turn of the executor.
    fn turn(&mut self) {
        self.desk.now = clock::now();
        let mut served = 0;
        while served < HTTP_EVENTS {
            let events = self.set.take::<HTTP_EVENTS>();
            if events.is_empty() {
                return;
            }
            served += events.len();
            for event in events {
                match place_of(event.token) {
                    Some((index, epoch)) => self.serve_place(index, epoch, event),
                    None => self.accept(),
                }
            }
        }
    }

    fn serve_place(&mut self, index: usize, epoch: u32, event: Event) {
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        // An event of a connection that another event of this turn has ended.
        if place.epoch != epoch || place.socket.is_none() {
            return;
        }
        place.notice(event.readable, event.ended);
        self.drive(index, Connection::advance);
    }

    fn accept(&mut self) {
        for _ in 0..HTTP_ACCEPT_BURST {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok(Some((socket, peer))) => self.welcome(socket.into(), peer.ip()),
                Ok(None) => return,
                Err(error) => {
                    // Most likely no descriptor is left: the tick tries again.
                    self.desk.count(Counter::HttpAcceptsPaused);
                    self.set.remove_listener(listener);
                    self.listening = false;
                    let now = self.desk.now;
                    if self.pause_said.is_none_or(|said| now.since(said) >= PAUSE_SAID_FOR) {
                        self.pause_said = Some(now);
                        log::warn!("http accept paused cause=\"{error}\"");
                    }
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, socket: Socket, peer: IpAddr) {
        self.desk.count(Counter::HttpAccepted);
        if core::mem::take(&mut self.idle) {
            self.look_around(self.desk.now);
        }
        let crowded = !(self.desk.settings.is_loopback)(peer)
            && self.connections_of(peer) >= self.desk.settings.per_address;
        let Some(index) = self.free.pop_if(|_| !crowded) else {
            self.desk.count(Counter::HttpRefused);
            refuse(socket, &mut self.desk.out);
            return;
        };
        if let Some(place) = self.places.get_mut(index) {
            place.open(socket, peer, &self.desk);
            self.drive(index, Connection::advance);
        }
    }

    fn connections_of(&self, peer: IpAddr) -> usize {
        let same = |place: &&Connection| place.socket.is_some() && place.peer == peer;
        self.places.iter().filter(same).count()
    }

    fn tick(&mut self, now: Instant) {
        if let Some(listener) = &self.listener
            && !self.listening
        {
            self.listening = self.set.add_listener(listener, LISTENER).is_ok();
        }
        if self.free.len() == self.places.len() {
            // Nobody is there: an idle board has nothing to look at ten times a second.
            self.idle = true;
            return;
        }
        self.look_around(now);
        for index in 0..self.places.len() {
            self.drive(index, Connection::tick);
        }
    }

    /// Takes the time, and the own addresses when they have not been looked at for a while.
    fn look_around(&mut self, now: Instant) {
        self.desk.set_time(now);
        if now.since(self.addresses_at) >= ADDRESSES_FOR {
            self.desk.own = net::own_addresses();
            self.addresses_at = now;
        }
    }

    /// Lets the connection at `index` do `step` and arranges what it needs next.
    fn drive(&mut self, index: usize, step: fn(&mut Connection, &mut [u8], &mut Desk) -> Outcome) {
        let from = index * HTTP_REQUEST_BYTES;
        let room = self.slab.get_mut(from..from + HTTP_REQUEST_BYTES);
        let (Some(place), Some(room)) = (self.places.get_mut(index), room) else {
            return;
        };
        let Some(socket) = &place.socket else {
            return;
        };
        self.desk.is_within_tls = socket.is_within_tls();
        let token = token(index, place.epoch);
        (self.desk.token, self.desk.peer) = (token, place.peer);
        let outcome = step(place, room, &mut self.desk);
        let armed = match outcome {
            Outcome::Tick => Ok(()),
            Outcome::Wait(interest) => arm(&self.set, place, token, interest, false),
            Outcome::Again => arm(&self.set, place, token, Interest::ReadWrite, true),
            Outcome::Closed => {
                self.free.push(index);
                Ok(())
            }
        };
        if let Err(error) = armed {
            // Without news it would wait for its deadline; that is what happens now.
            log::warn!("http wait refused peer={} cause=\"{error}\"", place.peer);
        }
        debug_assert!(self.free.len() <= self.places.len());
    }
}

/// Puts a connection into the set, or changes what it waits for; `again` asks for a report of
/// what is the case already.
fn arm(
    set: &WaitSet,
    place: &mut Connection,
    token: u64,
    interest: Interest,
    again: bool,
) -> io::Result<()> {
    let Some(socket) = place.socket.as_ref().map(AsFd::as_fd) else {
        return Ok(());
    };
    match place.interest {
        None => set.add(socket, token, interest)?,
        Some(Interest::Read) if interest == Interest::ReadWrite => {
            set.rearm(socket, token, interest)?;
        }
        Some(before) if again => return set.rearm(socket, token, before),
        Some(_) => return Ok(()),
    }
    place.interest = Some(interest);
    Ok(())
}

/// Says 503 to a connection without a place. What it has sent is read first, or the close would
/// reset the answer away.
fn refuse(mut socket: Socket, scratch: &mut [u8]) {
    const FULL: &[u8] = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 2\r\n\
        Content-Type: text/plain\r\nContent-Length: 43\r\nCache-Control: no-store\r\n\
        Connection: close\r\n\r\n503 Service Unavailable: every place taken\n";
    if matches!(socket.receive(scratch), Transfer::Ended) {
        return;
    }
    // Who cannot take it goes without.
    let _ = socket.transmit(FULL, false);
    socket.say_end();
}

fn token(index: usize, epoch: u32) -> u64 {
    u64::from(epoch) << 32 | widen(index)
}

/// Index and epoch of a place's token; `None` for the listener's.
fn place_of(token: u64) -> Option<(usize, u32)> {
    if token == LISTENER {
        return None;
    }
    let index = usize::try_from(token & u64::from(u32::MAX)).ok()?;
    let epoch = u32::try_from(token >> 32).ok()?;
    Some((index, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;
    use crate::limits::{HTTP_TURN_BYTES, TUNNEL_REQUEST_TIME_MAX};
    use crate::media::sink::{Segment, Sink as _};
    use crate::time::Ticks;
    use crate::wire::ts::packet::PACKET_BYTES;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsRawFd as _;

    /// A port without streams, and clients that have sent `request`; the listener does not know
    /// of any of them yet.
    fn port(clients: usize, request: &[u8]) -> (Rc<Status>, HttpContext, Vec<TcpStream>) {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut draft = Draft::new();
        draft.set("hls.dir", folder.path().to_str().unwrap()).unwrap();
        draft.set("limits.streams", "1").unwrap();
        let status = Rc::new(Status::new());
        let store = Store::open(&draft.check().unwrap(), 7, Rc::clone(&status)).unwrap();
        let store = Rc::new(RefCell::new(store));
        let settings = HttpSettings::standard(clients, 1935);
        let ctx = HttpContext::new(store, Rc::clone(&status), settings).unwrap();
        let backlog = i32::try_from(clients).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), backlog, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let client = || {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(request).unwrap();
            client
        };
        let clients = (0..clients).map(|_| client()).collect();
        drop(ctx.listen(listener).unwrap());
        (status, ctx, clients)
    }

    /// Gives the port a stream with a segment.
    fn put(ctx: &HttpContext, packets: usize) {
        let store = Rc::clone(&ctx.inner.borrow().desk.store);
        let mut store = store.borrow_mut();
        let stream = store.publish("live/cam", Instant(0)).unwrap();
        let mut sink = store.sink(stream, Instant(0));
        sink.begin().unwrap();
        assert!(sink.reserve(packets * PACKET_BYTES));
        sink.wrote(packets);
        sink.finish(&Segment {
            start: Ticks(0),
            duration: Ticks::from_millis(2_000),
            bytes: packets * PACKET_BYTES,
            discontinuity: false,
            independent: true,
            forced: false,
        });
    }

    #[test]
    fn so_many_connections_are_taken_before_anything_else() {
        let (status, ctx, _clients) = port(HTTP_ACCEPT_BURST + 1, b"");
        for taken in [HTTP_ACCEPT_BURST, HTTP_ACCEPT_BURST + 1] {
            ctx.inner.borrow_mut().accept();
            assert_eq!(ctx.connections(), taken);
        }
        assert_eq!(status.get(Counter::HttpRefused), 0);
    }

    #[test]
    fn accepting_pauses_after_the_kernel_has_refused() {
        let (status, ctx, _clients) = port(0, b"");
        let mut inner = ctx.inner.borrow_mut();
        let fd = inner.listener.as_ref().unwrap().as_fd().as_raw_fd();
        nix::sys::socket::shutdown(fd, nix::sys::socket::Shutdown::Both).unwrap();
        inner.accept();
        assert_eq!((status.get(Counter::HttpAcceptsPaused), inner.listening), (1, false));
    }

    #[test]
    fn so_many_events_are_served_before_anything_else() {
        let (status, ctx, mut clients) = port(HTTP_EVENTS + 1, b"");
        while ctx.connections() < clients.len() {
            ctx.inner.borrow_mut().accept();
        }
        for client in &mut clients {
            client.write_all(b"GET /icon.svg\r\n").unwrap();
        }
        for served in [HTTP_EVENTS, HTTP_EVENTS + 1] {
            ctx.turn();
            assert_eq!(status.get(Counter::HttpRequests), u64::try_from(served).unwrap());
        }
    }

    #[test]
    fn requests_and_bytes_of_one_connection_share_its_turn() {
        let request = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
        let (status, ctx, _clients) = port(1, &request.repeat(65));
        ctx.inner.borrow_mut().accept();
        assert_eq!(status.get(Counter::HttpRequests), 64);
        ctx.turn();
        assert_eq!(status.get(Counter::HttpRequests), 65);

        // A request and its segment take about a 32nd part of a turn.
        let request = b"GET /hls/live/cam/00000007-0.ts HTTP/1.1\r\nHost: x\r\n\r\n";
        let (status, ctx, _clients) = port(1, &request.repeat(40));
        let packets = usize::try_from(HTTP_TURN_BYTES).unwrap() / 64 / PACKET_BYTES;
        let bytes = u64::try_from(packets * PACKET_BYTES).unwrap();
        put(&ctx, packets);
        ctx.inner.borrow_mut().accept();
        assert_eq!(status.get(Counter::HttpBytesOut) / bytes, 32);
        ctx.turn();
        assert_eq!(status.get(Counter::HttpBytesOut), 40 * bytes);
    }

    #[test]
    fn places_are_no_more_than_their_bound() {
        let places = |viewers| {
            let (_, ctx, _) = port(0, b"");
            let desk = &ctx.inner.borrow().desk;
            let (store, status) = (Rc::clone(&desk.store), Rc::clone(&desk.status));
            let settings = HttpSettings::standard(viewers, 1935);
            HttpContext::new(store, status, settings).unwrap().inner.borrow().places.len()
        };
        assert_eq!(places(HTTP_VIEWERS_MAX), HTTP_VIEWERS_MAX);
        assert_eq!(places(HTTP_VIEWERS_MAX + 1), HTTP_VIEWERS_MAX);
    }

    #[test]
    fn tunnelled_request_that_does_not_end_gives_its_place_back() {
        let (_, ctx, mut clients) = port(1, b"POST /open/1 HTTP/1.1\r\nHost: x\r\n");
        let tunnels = Rc::new(Tunnels::new(1));
        ctx.carry(Rc::clone(&tunnels));
        ctx.inner.borrow_mut().accept();
        clients[0].write_all(b"Content-Length: 1\r\n\r\n\0").unwrap();
        ctx.turn();
        let mut answer = vec![0; 1024];
        let bytes = clients[0].read(&mut answer).unwrap();
        let id = core::str::from_utf8(&answer[bytes - 17..bytes]).unwrap().trim_end();
        let head = format!("POST /send/{id}/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12");
        clients[0].write_all(head.as_bytes()).unwrap();
        ctx.turn();
        assert!(ctx.has_tunnelled());
        let now = clock::now();
        ctx.tick(now);
        assert_eq!(ctx.connections(), 1);
        ctx.tick(now.after(TUNNEL_REQUEST_TIME_MAX));
        assert_eq!((ctx.connections(), ctx.has_tunnelled()), (0, false));
    }

    #[test]
    fn slow_reader_within_tls_gets_every_answer_and_its_places_come_back() {
        use crate::service::tls::{TlsClient, TlsServer, Trust};
        use nix::sys::socket::{setsockopt, sockopt};
        use std::io::{IoSlice, IoSliceMut};

        const REQUESTS: usize = 60;
        let folder = tempfile::tempdir().unwrap();
        let server = TlsServer::own(folder.path(), 1).unwrap();
        let client = TlsClient::new(&Trust::Key(server.pin())).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        setsockopt(&listener, sockopt::RcvBuf, &2048).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        setsockopt(&near, sockopt::SndBuf, &4096).unwrap();
        let (far, peer) = listener.accept().unwrap();
        for socket in [&near, &far] {
            socket.set_nonblocking(true).unwrap();
        }
        let (mut theirs, mut ours) = (server.stream().unwrap(), client.stream("box").unwrap());
        while !(ours.shake(&far).unwrap() && theirs.shake(&near).unwrap()) {
            let _open = theirs.shake(&near).unwrap();
        }
        let requests = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(REQUESTS);
        assert_eq!(ours.write(&far, &[IoSlice::new(&requests)]).unwrap(), requests.len());

        let (status, ctx, _) = port(0, b"");
        ctx.take(near, Box::new(theirs), peer.ip());
        let answered = || status.get(Counter::HttpsRefused);
        assert!(answered() < widen(REQUESTS), "{} are answered unread", answered());
        let (mut came, mut room) = (Vec::new(), [0; 700]);
        let end = clock::now().after(Duration::from_secs(10));
        let answers = |came: &[u8]| came.windows(12).filter(|w| w == b"HTTP/1.1 404").count();
        while answers(&came) < REQUESTS {
            assert!(clock::now() < end, "{} answers came", answers(&came));
            ctx.turn();
            if let Ok(bytes) = ours.read(&far, &mut [IoSliceMut::new(&mut room)]) {
                assert!(bytes > 0);
                came.extend_from_slice(&room[..bytes]);
            }
        }
        assert_eq!(answered(), widen(REQUESTS));
        assert!(server.stream().is_err(), "its place is taken");
        ours.finish(&far);
        drop(far);
        while ctx.connections() > 0 {
            assert!(clock::now() < end);
            ctx.turn();
        }
        assert!(server.stream().is_ok());
    }

    #[test]
    fn token_comes_back_as_index_and_epoch() {
        assert_eq!(place_of(token(511, u32::MAX)), Some((511, u32::MAX)));
        assert_eq!(place_of(token(0, 0)), Some((0, 0)));
        assert_eq!(place_of(LISTENER), None);
    }
}
