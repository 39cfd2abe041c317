//! The bytes of one RTMP connection, however they travel.
//!
//! Whoever speaks RTMP reads and writes here without blocking and waits for news; what lies below
//! is a matter of how the link was made. Knows nothing of RTMP, and has no deadlines: the tick of
//! its owner ends it.

use crate::service::reactor::{Bell, Reactor, Source};
use crate::service::tunnel;
use crate::service::tunnel_client::{Asker, Host};
use crate::sys::net::{self, keep_alive, wake_from};
use crate::sys::poll::Interest;
use core::cell::Cell;
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
        keep_alive(&socket);
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let carrier = Carrier::Tcp(Source::new(reactor, socket)?);
        Ok(Self { carrier, gather: Cell::new(1) })
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
        link.writable().await?;
        if let Carrier::Tcp(socket) = &link.carrier
            && let Some(error) = socket.get_ref().take_error()?
        {
            return Err(error);
        }
        Ok(link)
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
        }
    }

    /// Waits until there is room to write.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.writable().await,
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
        match &self.carrier {
            Carrier::Tcp(socket) => socket.news(wanted, bell).await,
            Carrier::Tunnel(end) => Ok(end.news(wanted, Some(bell)).await),
            Carrier::Asker(asker) => asker.news(wanted, Some(bell)).await,
        }
    }

    /// Asks to be told of the peer's bytes only from so many on.
    pub fn gather(&self, bytes: u32) {
        if self.gather.replace(bytes) != bytes
            && let Carrier::Tcp(socket) = &self.carrier
        {
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
        }
    }

    /// Ends both directions: whoever waits here sees the end.
    pub fn end(&self) {
        match &self.carrier {
            Carrier::Tcp(socket) => {
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
        }
    }

    fn read_vectored(&mut self, room: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().read_vectored(room),
            Carrier::Tunnel(end) => end.read(room),
            Carrier::Asker(asker) => asker.read(room),
        }
    }
}

impl io::Write for &Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().write(bytes),
            Carrier::Tunnel(end) => end.write(&[IoSlice::new(bytes)]),
            Carrier::Asker(asker) => asker.write(&[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.get_ref().write_vectored(slices),
            Carrier::Tunnel(end) => end.write(slices),
            Carrier::Asker(asker) => asker.write(slices),
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
}
