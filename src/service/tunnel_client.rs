//! A tunnel's client: RTMP bytes as HTTP requests over a link, and what the answers carry.
//!
//! `Link` reads and writes here as over TCP. All work is done in `turn`: write the request that is
//! under way, begin the next one, take in what has come. The link below may be of any kind that
//! carries bytes. Its connection must stay: a server that ends it ends the session.
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
use smol::future;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::rc::Rc;

/// Host and port, as a request names them.
pub type Host = heapless::String<{ HOST_BYTES_MAX + 8 }>;

/// The client's end of a session.
#[derive(Debug)]
pub(super) struct Asker {
    link: Box<Link>,
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
    /// Bytes of its body that are still in `waiting`.
    body_left: usize,
    waiting: ByteRing,
    /// What has come: payload first, then what was not looked at.
    came: ByteRing,
    payload: usize,
    /// Whether the link wants room.
    is_blocked: bool,
    /// What ends the session when the payload before it is read.
    fault: Option<TunnelError>,
}

impl Asker {
    pub(super) fn new(reactor: &Rc<Reactor>, link: Link, host: Host, flush_packets: u32) -> Self {
        let inner = Inner {
            client: Client::new(flush_packets, clock::now()),
            host,
            head: heapless::Vec::new(),
            head_sent: 0,
            body_left: 0,
            waiting: ByteRing::new(TUNNEL_OUT_BYTES),
            came: ByteRing::new(TUNNEL_IN_BYTES),
            payload: 0,
            is_blocked: false,
            fault: None,
        };
        Self {
            link: Box::new(link),
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
            let below =
                if self.inner.borrow().is_blocked { Interest::Both } else { Interest::Read };
            // In a box, since a link waits in a link here.
            let news = Box::pin(self.link.news(below, bell));
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
        self.link.end();
    }

    /// Goes on as far as the link below lets it.
    fn turn(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        if let Some(fault) = inner.fault.filter(|_| !self.is_over.get()) {
            return Err(io::Error::other(fault));
        }
        while !self.is_over.get() {
            let wrote = inner.write_request(&self.link)?;
            let came = inner.payload == 0 && inner.take_in(&self.link, &self.is_over)?;
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
        let body = self.waiting.look().get(..self.body_left).unwrap_or_default();
        if !body.is_empty() {
            let Some(n) = self.taken(link.write(body))? else { return Ok(false) };
            self.waiting.consume(n);
            self.body_left -= n;
            return Ok(true);
        }
        let Some(ask) = self.client.request(self.waiting.len(), clock::now()) else {
            return Ok(false);
        };
        self.body_left = if let Ask::Send { bytes } = ask { bytes } else { 0 };
        let mut room = [0; TUNNEL_HEAD_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        self.client.write_request(&self.host, &mut w).map_err(io::Error::other)?;
        self.head.clear();
        self.head_sent = 0;
        let kept = self.head.extend_from_slice(w.written());
        debug_assert!(kept.is_ok(), "both are as long");
        Ok(true)
    }

    fn taken(&mut self, written: io::Result<usize>) -> io::Result<Option<usize>> {
        match written {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_blocked = true;
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
        if self.client.is_over() {
            is_over.set(true);
            return Ok(true);
        }
        if progress.consumed > 0 || progress.payload > 0 {
            return Ok(true);
        }
        match link.read(self.came.window()) {
            Ok(0) => {
                is_over.set(true);
                Ok(true)
            }
            Ok(n) => {
                self.came.filled(n);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn took(&mut self, bytes: usize) {
        if bytes > 0 {
            self.fault = self.client.took(bytes, clock::now()).err();
        }
    }
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
        Link::tunnel(reactor, link, "box".try_into().unwrap(), 3)
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
        let reactor = Reactor::new().unwrap();
        let (address, tunnels, _folder) = port(&reactor, true);
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
