//! A tunnel's client: RTMP bytes as HTTP requests over a link, and what the answers carry.
//!
//! `Link` reads and writes here as over TCP. All work is done in `turn`: write the request that is
//! under way, begin the next one, take in what has come. The link below may be of any kind that
//! carries bytes. Where its connection ends, as proxies end one after so many requests, `Redial`
//! makes another and the session goes on; what was sent without an answer is kept for that.
//! Source: `proto::rtmp::tunnel`.

use crate::limits::{
    HOST_BYTES_MAX, TUNNEL_HEAD_BYTES_MAX, TUNNEL_IN_BYTES, TUNNEL_OUT_BYTES, TUNNEL_PAUSE,
};
use crate::proto::rtmp::tunnel::TunnelError;
use crate::proto::rtmp::tunnel::client::{Ask, Client};
use crate::service::clock;
use crate::service::link::Link;
use crate::service::reactor::{Bell, Reactor};
use crate::storage::ByteRing;
use crate::sys::poll::Interest;
use crate::wire::writer::Writer;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use smol::future;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::rc::Rc;

/// Host and port, as a request names them.
pub type Host = heapless::String<{ HOST_BYTES_MAX + 8 }>;

/// A connection that is being made.
pub type Dialled = Pin<Box<dyn Future<Output = io::Result<Link>>>>;

/// How another connection to the server is made.
pub struct Redial(Box<dyn Fn() -> Dialled>);

impl Redial {
    /// By a future that `begin` gives.
    #[must_use]
    pub fn new(begin: impl Fn() -> Dialled + 'static) -> Self {
        Self(Box::new(begin))
    }
}

/// The client's end of a session.
pub(super) struct Asker {
    /// None while there is no connection.
    link: RefCell<Option<Rc<Link>>>,
    redial: Redial,
    dialled: RefCell<Option<Dialled>>,
    reactor: Rc<Reactor>,
    inner: RefCell<Inner>,
    /// Whether the session is over: nothing more will be written.
    is_over: Cell<bool>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    host: Host,
    /// The head of the request under way, and what of it is written.
    head: heapless::Vec<u8, TUNNEL_HEAD_BYTES_MAX>,
    head_sent: usize,
    /// Bytes of its body, which are the first of `waiting` until it is answered.
    body: usize,
    body_sent: usize,
    waiting: ByteRing,
    /// What has come: payload first, then what was not looked at.
    came: ByteRing,
    payload: usize,
    /// Whether the link wants room.
    is_blocked: bool,
    /// What ends the session when the payload before it is read.
    fault: Option<TunnelError>,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Asker {
    pub(super) fn new(
        reactor: &Rc<Reactor>,
        link: Link,
        host: Host,
        flush_packets: u32,
        redial: Redial,
    ) -> Self {
        let inner = Inner {
            client: Client::new(flush_packets, clock::now()),
            host,
            head: heapless::Vec::new(),
            head_sent: 0,
            body: 0,
            body_sent: 0,
            waiting: ByteRing::new(TUNNEL_OUT_BYTES),
            came: ByteRing::new(TUNNEL_IN_BYTES),
            payload: 0,
            is_blocked: false,
            fault: None,
        };
        Self {
            link: RefCell::new(Some(Rc::new(link))),
            redial,
            dialled: RefCell::new(None),
            reactor: Rc::clone(reactor),
            inner: RefCell::new(inner),
            is_over: Cell::new(false),
        }
    }

    /// Waits until some of `wanted` is there or `bell` rings; says what of `wanted` is.
    pub(super) async fn news(&self, wanted: Interest, bell: Option<&Bell>) -> io::Result<Interest> {
        let silent = Bell::default();
        let bell = bell.unwrap_or(&silent);
        loop {
            self.turn()?;
            let there = self.there(wanted);
            if there != Interest::None {
                return Ok(there);
            }
            let link = self.link.borrow().clone();
            let Some(link) = link else {
                if self.dial(bell).await? {
                    continue;
                }
                return Ok(self.there(wanted));
            };
            let below =
                if self.inner.borrow().is_blocked { Interest::Both } else { Interest::Read };
            // In a box, since a link waits in a link here.
            let news = Box::pin(link.news(below, bell));
            let due = self.inner.borrow().client.due();
            let heard = match due {
                None => news.await? == Interest::None,
                Some(due) => {
                    let wait = due.since(clock::now()).min(TUNNEL_PAUSE);
                    let paused = async {
                        self.reactor.sleep(wait).await;
                        Ok(below)
                    };
                    future::or(news, paused).await? == Interest::None
                }
            };
            if heard {
                self.turn()?;
                return Ok(self.there(wanted));
            }
        }
    }

    pub(super) fn read(&self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.turn()?;
        let mut inner = self.inner.borrow_mut();
        let mut all = 0;
        for slice in slices {
            let n = inner.payload.min(slice.len());
            if let (Some(to), Some(from)) = (slice.get_mut(..n), inner.came.look().get(..n)) {
                to.copy_from_slice(from);
            }
            inner.came.consume(n);
            inner.payload -= n;
            inner.took(n);
            all += n;
        }
        if all > 0 || self.is_over.get() {
            return Ok(all);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Takes what there is room for; each call is a packet.
    pub(super) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_over.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut all = 0;
        {
            let mut inner = self.inner.borrow_mut();
            let room = inner.waiting.window();
            for slice in slices {
                let rest = room.get_mut(all..).unwrap_or_default();
                let n = rest.len().min(slice.len());
                if let (Some(to), Some(from)) = (rest.get_mut(..n), slice.get(..n)) {
                    to.copy_from_slice(from);
                }
                all += n;
            }
            inner.waiting.filled(all);
            if all > 0 {
                inner.client.wrote();
            }
        }
        self.turn()?;
        if all == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(all)
    }

    /// Ends the session once what waits is sent; whether the server can still hear that.
    pub(super) fn finish(&self) -> bool {
        self.inner.borrow_mut().client.close();
        !self.is_over.get() && self.turn().is_ok()
    }

    /// Ends both directions.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        if let Some(link) = &*self.link.borrow() {
            link.end();
        }
    }

    /// Makes another connection, or goes on with that; false if `bell` rings before there is one.
    async fn dial(&self, bell: &Bell) -> io::Result<bool> {
        poll_fn(|cx| {
            let mut dialled = self.dialled.borrow_mut();
            let dialling = dialled.get_or_insert_with(|| (self.redial.0)());
            let Poll::Ready(made) = dialling.as_mut().poll(cx) else {
                return if bell.heard(cx) { Poll::Ready(Ok(false)) } else { Poll::Pending };
            };
            *dialled = None;
            Poll::Ready(made.map(|link| {
                self.link.replace(Some(Rc::new(link)));
                self.inner.borrow_mut().client.connected();
                true
            }))
        })
        .await
    }

    /// Goes on as far as the link below lets it.
    fn turn(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        if let Some(fault) = inner.fault.filter(|_| !self.is_over.get()) {
            return Err(io::Error::other(fault));
        }
        while !self.is_over.get() {
            if inner.client.needs_connection() {
                inner.begin_again();
                self.link.take();
            }
            let Some(link) = &*self.link.borrow() else { break };
            let wrote = inner.write_request(link)?;
            let came = inner.payload == 0 && inner.take_in(link, &self.is_over)?;
            if !wrote && !came {
                break;
            }
        }
        Ok(())
    }

    fn there(&self, wanted: Interest) -> Interest {
        let inner = self.inner.borrow();
        let over = self.is_over.get();
        let read = (over || inner.payload > 0) && wanted != Interest::Write;
        let room = inner.waiting.len() < inner.waiting.capacity();
        let write = (over || room) && wanted != Interest::Read;
        match (read, write) {
            _ if wanted == Interest::None => Interest::None,
            (true, true) => Interest::Both,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::None,
        }
    }
}

impl Inner {
    /// Writes what is due; whether that was anything.
    fn write_request(&mut self, mut link: &Link) -> io::Result<bool> {
        self.is_blocked = false;
        let rest = self.head.get(self.head_sent..).unwrap_or_default();
        if !rest.is_empty() {
            let Some(n) = self.taken(link.write(rest))? else { return Ok(false) };
            self.head_sent += n;
            return Ok(true);
        }
        let body = self.waiting.look().get(self.body_sent..self.body).unwrap_or_default();
        if !body.is_empty() {
            let Some(n) = self.taken(link.write(body))? else { return Ok(false) };
            self.body_sent += n;
            return Ok(true);
        }
        let Some(ask) = self.client.request(self.waiting.len(), clock::now()) else {
            return Ok(false);
        };
        self.body = if let Ask::Send { bytes } = ask { bytes } else { 0 };
        let mut room = [0; TUNNEL_HEAD_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        self.client.write_request(&self.host, &mut w).map_err(io::Error::other)?;
        self.head.clear();
        self.head_sent = 0;
        let kept = self.head.extend_from_slice(w.written());
        debug_assert!(kept.is_ok(), "both are as long");
        Ok(true)
    }

    /// What is under way will be written anew.
    fn begin_again(&mut self) {
        self.head.clear();
        self.head_sent = 0;
        (self.body, self.body_sent) = (0, 0);
    }

    fn taken(&mut self, written: io::Result<usize>) -> io::Result<Option<usize>> {
        match written {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_blocked = true;
                Ok(None)
            }
            Err(error) if is_end(&error) => {
                // What the server said before that is still to be read.
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes in what has come; whether that was anything.
    fn take_in(&mut self, mut link: &Link, is_over: &Cell<bool>) -> io::Result<bool> {
        let progress =
            self.client.advance(self.came.look(), clock::now()).map_err(io::Error::other)?;
        self.came.consume(progress.consumed);
        self.payload = progress.payload;
        if !self.client.is_unanswered() && self.body_sent == self.body {
            self.waiting.consume(self.body);
            (self.body, self.body_sent) = (0, 0);
        }
        if self.client.is_over() {
            is_over.set(true);
            return Ok(true);
        }
        if progress.consumed > 0 || progress.payload > 0 {
            return Ok(true);
        }
        match link.read(self.came.window()) {
            Ok(0) => self.lost(is_over),
            Ok(n) => {
                self.came.filled(n);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if is_end(&error) => self.lost(is_over),
            Err(error) => Err(error),
        }
    }

    /// The connection has ended.
    fn lost(&mut self, is_over: &Cell<bool>) -> io::Result<bool> {
        self.client.lost().map_err(io::Error::other)?;
        is_over.set(self.client.is_over());
        Ok(true)
    }

    fn took(&mut self, bytes: usize) {
        if bytes > 0 {
            self.fault = self.client.took(bytes, clock::now()).err();
        }
    }
}

/// Whether an error says that the other side has ended the connection.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;
    use crate::service::http::{self, HttpContext, HttpSettings};
    use crate::service::store::Store;
    use crate::service::tunnel::Tunnels;
    use crate::status::Status;
    use crate::sys::net::Listener;
    use core::net::SocketAddr;

    /// An HTTP port, and its tunnels if it `carries` any.
    fn port(reactor: &Rc<Reactor>, carries: bool) -> (SocketAddr, Rc<Tunnels>, tempfile::TempDir) {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut draft = Draft::new();
        draft.set("hls.dir", folder.path().to_str().unwrap()).unwrap();
        let status = Rc::new(Status::new());
        let store = Store::open(&draft.check().unwrap(), 7, Rc::clone(&status)).unwrap();
        let store = Rc::new(RefCell::new(store));
        let ctx = HttpContext::new(store, status, HttpSettings::standard(4, 1935)).unwrap();
        let tunnels = Rc::new(Tunnels::new(1));
        if carries {
            ctx.carry(Rc::clone(&tunnels));
        }
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 8, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Rc::clone(reactor);
        reactor.spawn(async move {
            let _end = http::serve(listener, Rc::new(ctx), tasks).await;
        });
        (address, tunnels, folder)
    }

    async fn open(reactor: &Rc<Reactor>, address: SocketAddr) -> Link {
        let link = Link::connect(reactor, address).await.unwrap();
        let tasks = Rc::clone(reactor);
        let redial = Redial::new(move || {
            let tasks = Rc::clone(&tasks);
            Box::pin(async move { Link::connect(&tasks, address).await })
        });
        Link::tunnel(reactor, link, "box".try_into().unwrap(), 3, redial)
    }

    /// A proxy before `port`: says after every fifth answer that it ends the connection, and drops
    /// every eighth with its connection.
    #[expect(clippy::disallowed_methods, reason = "a peer of its own")]
    fn proxy(port: SocketAddr) -> SocketAddr {
        use std::io::{BufRead as _, BufReader};
        use std::net::{TcpListener, TcpStream};
        fn message(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if line == "\r\n" {
                    break;
                }
                head += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            Some((head, body))
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut server = BufReader::new(TcpStream::connect(port).unwrap());
            let mut count = 0;
            for client in listener.incoming() {
                let mut client = BufReader::new(client.unwrap());
                while let Some((head, body)) = message(&mut client) {
                    let to = server.get_mut();
                    to.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).unwrap();
                    let (head, body) = message(&mut server).unwrap();
                    count += 1;
                    if count % 8 == 0 {
                        break;
                    }
                    let last = if count % 5 == 0 { "Connection: close\r\n" } else { "" };
                    let head = head.replace("Connection: keep-alive\r\n", "");
                    let all = [head.as_bytes(), last.as_bytes(), b"\r\n", &body].concat();
                    client.get_mut().write_all(&all).unwrap();
                    if count % 5 == 0 {
                        break;
                    }
                }
            }
        });
        address
    }

    /// Sends `bytes` back once so many have come, and waits for the end. Who wrote before he read
    /// on could wait for ever: a client gets nothing while a request of his is under way.
    async fn echo(link: Link, bytes: usize) {
        let (mut came, mut room) = (Vec::new(), vec![0; 3000]);
        while came.len() < bytes {
            match (&link).read(&mut room) {
                Ok(n) => came.extend_from_slice(&room[..n]),
                Err(_) => link.readable().await.unwrap(),
            }
        }
        let mut rest = came.as_slice();
        while !rest.is_empty() {
            match (&link).write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(_) => link.writable().await.unwrap(),
            }
        }
        while !matches!((&link).read(&mut room), Ok(0)) {
            link.readable().await.unwrap();
        }
    }

    #[test]
    fn client_and_server_carry_bytes_both_ways_through_full_queues() {
        bytes_pass(|port| port);
    }

    #[test]
    fn session_goes_on_over_another_connection_when_one_is_ended() {
        bytes_pass(proxy);
    }

    fn bytes_pass(way: impl Fn(SocketAddr) -> SocketAddr) {
        let reactor = Reactor::new().unwrap();
        let (address, tunnels, _folder) = port(&reactor, true);
        let address = way(address);
        let (tasks, places) = (Rc::clone(&reactor), Rc::clone(&tunnels));
        let bytes: Vec<u8> = (0u8..=250).cycle().take(4 * TUNNEL_OUT_BYTES + 77).collect();
        let all = bytes.len();
        reactor.spawn(async move {
            let (end, peer) = places.opened().await;
            assert!(peer.ip().is_loopback());
            echo(Link::tunnelled(end), all).await;
        });
        let sent = bytes.clone();
        let back = reactor.run(async move {
            let link = open(&tasks, address).await;
            let (mut at, mut back) = (0, Vec::new());
            let mut room = vec![0; 5000];
            let bell = Bell::default();
            while back.len() < sent.len() {
                let end = (at + 1 + at % 7000).min(sent.len());
                if at < end
                    && let Ok(n) = (&link).write(&sent[at..end])
                {
                    at += n;
                    continue;
                }
                match (&link).read(&mut room) {
                    Ok(0) => break,
                    Ok(n) => back.extend_from_slice(&room[..n]),
                    Err(_) if at < sent.len() => drop(link.news(Interest::Both, &bell).await),
                    Err(_) => link.readable().await.unwrap(),
                }
            }
            assert!(link.finish());
            while !matches!((&link).read(&mut room), Ok(0)) {
                link.readable().await.unwrap();
            }
            back
        });
        assert!(back.unwrap() == bytes);
        assert!(!tunnels.is_asked());
    }

    #[test]
    fn client_waits_the_pause_and_hears_its_bell() {
        let reactor = Reactor::new().unwrap();
        let (address, _tunnels, _folder) = port(&reactor, true);
        let tasks = Rc::clone(&reactor);
        let (asked, heard) = reactor
            .run(async move {
                let link = open(&tasks, address).await;
                let bell = Rc::new(Bell::default());
                let (ringer, sleeper) = (Rc::clone(&bell), Rc::clone(&tasks));
                tasks.spawn(async move {
                    sleeper.sleep(3 * TUNNEL_PAUSE).await;
                    ringer.ring();
                });
                let start = clock::now();
                let news = link.news(Interest::Read, &bell).await.unwrap();
                (clock::now().since(start), news)
            })
            .unwrap();
        assert!(asked >= 3 * TUNNEL_PAUSE, "{asked:?}");
        assert_eq!(heard, Interest::None);
    }

    #[test]
    fn client_ends_where_nothing_speaks_rtmpt() {
        let reactor = Reactor::new().unwrap();
        let (address, _tunnels, _folder) = port(&reactor, false);
        let tasks = Rc::clone(&reactor);
        let error = reactor.run(async move {
            let link = open(&tasks, address).await;
            link.readable().await.unwrap_err().to_string()
        });
        assert!(error.unwrap().starts_with("status 405"));
    }
}
