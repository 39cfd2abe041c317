//! The bytes of one RTMP connection, however they travel.
//!
//! Whoever speaks RTMP reads and writes here without blocking and waits for news; what lies below
//! is a matter of how the link was made: the socket itself, or TLS over it. Knows nothing of
//! RTMP, and has no deadlines: the tick of its owner ends it.

use crate::service::reactor::{Bell, Reactor, Source};
use crate::service::tls::{TlsClient, TlsStream};
use crate::service::tunnel;
use crate::service::tunnel_client::{Asker, Host};
use crate::sys::net::{self, keep_alive, wake_from};
use crate::sys::poll::Interest;
use core::cell::{Cell, RefCell};
use core::net::SocketAddr;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::rc::Rc;

/// A connection to one peer.
#[derive(Debug)]
pub struct Link {
    carrier: Carrier,
    /// Bytes that make it readable.
    gather: Cell<u32>,
}

/// What the bytes travel by.
#[derive(Debug)]
enum Carrier {
    Tcp(Source<TcpStream>),
    Tls(Source<TcpStream>, RefCell<Box<TlsStream>>),
    Tunnel(tunnel::End),
    /// RTMPT over a link of another kind.
    Asker(Box<Asker>),
}

impl Link {
    /// A link over a connected socket.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(reactor: &Rc<Reactor>, socket: TcpStream) -> io::Result<Self> {
        Self::over(Carrier::Tcp, reactor, socket)
    }

    /// A link within TLS over a connected socket. Reading goes on with the handshake; nothing can
    /// be written before that is done.
    ///
    /// # Errors
    /// The kernel's.
    pub fn with_tls(reactor: &Rc<Reactor>, socket: TcpStream, tls: TlsStream) -> io::Result<Self> {
        let tls = RefCell::new(Box::new(tls));
        Self::over(|socket| Carrier::Tls(socket, tls), reactor, socket)
    }

    fn over(
        carrier: impl FnOnce(Source<TcpStream>) -> Carrier,
        reactor: &Rc<Reactor>,
        socket: TcpStream,
    ) -> io::Result<Self> {
        keep_alive(&socket);
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self { carrier: carrier(Source::new(reactor, socket)?), gather: Cell::new(1) })
    }

    /// A link over the RTMP side of a tunnel.
    pub(super) const fn tunnelled(end: tunnel::End) -> Self {
        Self { carrier: Carrier::Tunnel(end), gather: Cell::new(1) }
    }

    /// RTMPT over `link`: the session is opened at once, and bytes are sent when so many packets
    /// wait, or every 50 ms. Requests name `host`.
    #[must_use]
    pub fn tunnel(reactor: &Rc<Reactor>, link: Self, host: Host, flush_packets: u32) -> Self {
        let asker = Box::new(Asker::new(reactor, link, host, flush_packets));
        Self { carrier: Carrier::Asker(asker), gather: Cell::new(1) }
    }

    /// A link to `address`. May wait as long as the kernel does; who is less patient drops it.
    ///
    /// # Errors
    /// The kernel's: nobody listens, or no way there.
    pub async fn connect(reactor: &Rc<Reactor>, address: SocketAddr) -> io::Result<Self> {
        let link = Self::new(reactor, net::connect(address)?)?;
        link.connected().await?;
        Ok(link)
    }

    /// A link to `address` within TLS, its handshake done; the peer's certificate must be for
    /// `host`. Waits as [`Self::connect`] does.
    ///
    /// # Errors
    /// The kernel's, and `TlsError` within `InvalidData`: whom we do not believe.
    pub async fn connect_tls(
        reactor: &Rc<Reactor>,
        address: SocketAddr,
        host: &str,
        client: &TlsClient,
    ) -> io::Result<Self> {
        let tls = client.stream(host)?;
        let link = Self::with_tls(reactor, net::connect(address)?, tls)?;
        link.connected().await?;
        if let Carrier::Tls(socket, tls) = &link.carrier {
            while !tls.borrow_mut().shake(socket.get_ref())? {
                link.readable().await?;
            }
        }
        Ok(link)
    }

    async fn connected(&self) -> io::Result<()> {
        self.writable().await?;
        match &self.carrier {
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => {
                socket.get_ref().take_error()?.map_or(Ok(()), Err)
            }
            Carrier::Tunnel(_) | Carrier::Asker(_) => Ok(()),
        }
    }

    /// Whether a handshake of TLS is not done.
    #[must_use]
    pub fn is_shaking(&self) -> bool {
        matches!(&self.carrier, Carrier::Tls(_, tls) if !tls.borrow().is_open())
    }

    /// Waits until there is something to read, or the end.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.readable().await,
            Carrier::Tunnel(end) => {
                end.news(Interest::Read, None).await;
                Ok(())
            }
            Carrier::Asker(asker) => asker.news(Interest::Read, None).await.map(drop),
            // Nobody has this bell: it is about the socket alone.
            Carrier::Tls(..) => self.news(Interest::Read, &Bell::default()).await.map(drop),
        }
    }

    /// Waits until there is room to write. Within TLS that is not before the handshake is done,
    /// which only reading goes on with.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => socket.writable().await,
            Carrier::Tunnel(end) => {
                end.news(Interest::Write, None).await;
                Ok(())
            }
            Carrier::Asker(asker) => asker.news(Interest::Write, None).await.map(drop),
        }
    }

    /// Waits for `wanted` or for `bell`, and says what of `wanted` is there.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn news(&self, wanted: Interest, bell: &Bell) -> io::Result<Interest> {
        let (socket, tls) = match &self.carrier {
            Carrier::Tcp(socket) => return socket.news(wanted, bell).await,
            Carrier::Tunnel(end) => return Ok(end.news(wanted, Some(bell)).await),
            Carrier::Asker(asker) => return asker.news(wanted, Some(bell)).await,
            Carrier::Tls(socket, tls) => (socket, tls),
        };
        loop {
            let (has_news, has_unsent) = {
                let tls = tls.borrow();
                (tls.has_news(), tls.has_unsent())
            };
            if has_news && wanted != Interest::Write {
                return Ok(wanted);
            }
            if !has_unsent {
                return socket.news(wanted, bell).await;
            }
            // What was taken to be written must go, whatever else is waited for.
            let with_room = match wanted {
                Interest::None | Interest::Write => Interest::Write,
                Interest::Read | Interest::Both => Interest::Both,
            };
            let there = socket.news(with_room, bell).await?;
            tls.borrow_mut().push(socket.get_ref())?;
            if there != Interest::Write || wanted != Interest::Read {
                return Ok(there);
            }
        }
    }

    /// Asks to be told of the peer's bytes only from so many on. Within TLS not while a part of a
    /// record is here: nobody knows what is in it.
    pub fn gather(&self, bytes: u32) {
        let (socket, bytes) = match &self.carrier {
            Carrier::Tls(socket, tls) if tls.borrow().holds_part() => (socket, 1),
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => (socket, bytes),
            Carrier::Tunnel(_) | Carrier::Asker(_) => return,
        };
        if self.gather.replace(bytes) != bytes {
            wake_from(socket.get_ref().as_fd(), bytes);
        }
    }

    /// Bytes from which on the peer's are told of.
    #[must_use]
    pub const fn gathers(&self) -> u32 {
        self.gather.get()
    }

    /// Says that no more will be written. Whether the peer can still hear that.
    pub fn finish(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().shutdown(Shutdown::Write).is_ok(),
            Carrier::Tunnel(end) => end.finish(),
            Carrier::Asker(asker) => asker.finish(),
            Carrier::Tls(socket, tls) => {
                tls.borrow_mut().finish(socket.get_ref());
                socket.get_ref().shutdown(Shutdown::Write).is_ok()
            }
        }
    }

    /// Ends both directions: whoever waits here sees the end.
    pub fn end(&self) {
        match &self.carrier {
            Carrier::Tcp(socket) | Carrier::Tls(socket, _) => {
                // An error means that it is gone already.
                let _gone = socket.get_ref().shutdown(Shutdown::Both);
            }
            Carrier::Tunnel(end) => end.end(),
            Carrier::Asker(asker) => asker.end(),
        }
    }
}

impl io::Read for &Link {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().read(room),
            Carrier::Tunnel(end) => end.read(&mut [IoSliceMut::new(room)]),
            Carrier::Asker(asker) => asker.read(&mut [IoSliceMut::new(room)]),
            Carrier::Tls(..) => self.read_vectored(&mut [IoSliceMut::new(room)]),
        }
    }

    fn read_vectored(&mut self, room: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().read_vectored(room),
            Carrier::Tunnel(end) => end.read(room),
            Carrier::Asker(asker) => asker.read(room),
            Carrier::Tls(socket, tls) => {
                let read = tls.borrow_mut().read(socket.get_ref(), room);
                if read.is_err() && tls.borrow().holds_part() {
                    self.gather(1);
                }
                read
            }
        }
    }
}

impl io::Write for &Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().write(bytes),
            Carrier::Tunnel(end) => end.write(&[IoSlice::new(bytes)]),
            Carrier::Asker(asker) => asker.write(&[IoSlice::new(bytes)]),
            Carrier::Tls(..) => self.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().write_vectored(slices),
            Carrier::Tunnel(end) => end.write(slices),
            Carrier::Asker(asker) => asker.write(slices),
            Carrier::Tls(socket, tls) => tls.borrow_mut().write(socket.get_ref(), slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn link_carries_bytes_both_ways_and_says_when_nobody_listens() {
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Rc::clone(&reactor);
        let answer = reactor.run(async move {
            let near = Link::connect(&tasks, address).await.unwrap();
            let far = Link::new(&tasks, listener.accept().unwrap().0).unwrap();
            let mut room = [0; 8];
            (&near).write_all(b"ping").unwrap();
            far.readable().await.unwrap();
            let bytes = (&far).read(&mut room).unwrap();
            (&far).write_all(&room[..bytes]).unwrap();
            near.readable().await.unwrap();
            let bytes = (&near).read(&mut room).unwrap();
            assert!(far.finish());
            near.readable().await.unwrap();
            assert_eq!((&near).read(&mut [0; 8]).unwrap(), 0, "the end");
            room[..bytes].to_vec()
        });
        assert_eq!(answer.unwrap(), b"ping");
        let tasks = Rc::clone(&reactor);
        let refused = reactor.run(async move { Link::connect(&tasks, address).await.err() });
        assert_eq!(refused.unwrap().unwrap().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn link_within_tls_shakes_carries_bytes_and_says_the_end() {
        use crate::service::tls::{TlsClient, TlsServer, Trust};
        let folder = tempfile::tempdir().unwrap();
        let server = TlsServer::own(folder.path(), 1).unwrap();
        let client = TlsClient::new(Trust::Key(server.pin())).unwrap();
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Rc::clone(&reactor);
        reactor.spawn(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = Source::new(&tasks, listener).unwrap();
            listener.readable().await.unwrap();
            let (socket, _) = listener.get_ref().accept().unwrap();
            let link = Link::with_tls(&tasks, socket, server.stream().unwrap()).unwrap();
            let mut room = [0; 999];
            loop {
                match (&link).read(&mut room) {
                    Ok(0) => break,
                    Ok(bytes) => {
                        let mut rest = &room[..bytes];
                        while !rest.is_empty() {
                            match (&link).write(rest) {
                                Ok(bytes) => rest = &rest[bytes..],
                                Err(_) => link.writable().await.unwrap(),
                            }
                        }
                    }
                    Err(_) => link.readable().await.unwrap(),
                }
            }
            assert!(link.finish());
        });
        let tasks = Rc::clone(&reactor);
        let sent: Vec<u8> = (0..200_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        let expected = sent.clone();
        let got = reactor.run(async move {
            let link = Link::connect_tls(&tasks, address, "box", &client).await.unwrap();
            let (mut got, mut at, mut finished) = (Vec::new(), 0, false);
            let mut room = [0; 4000];
            loop {
                match (&link).read(&mut room) {
                    Ok(0) => return got,
                    Ok(bytes) => got.extend_from_slice(&room[..bytes]),
                    Err(_) if at < sent.len() => match (&link).write(&sent[at..]) {
                        Ok(bytes) => at += bytes,
                        Err(_) => {
                            link.news(Interest::Both, &Bell::default()).await.unwrap();
                        }
                    },
                    Err(_) => {
                        if got.len() == sent.len() && !core::mem::replace(&mut finished, true) {
                            link.finish();
                        }
                        link.readable().await.unwrap();
                    }
                }
            }
        });
        assert!(got.unwrap() == expected);
    }
}
