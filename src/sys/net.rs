//! Sockets: listen, accept, receive, send, send a file, look at the send queue, wait for many.
//!
//! All descriptors are nonblocking. An operation says how much moved, that it would block, or
//! that the connection has ended; which error ended it does not matter to anyone above. Owns no
//! policy: limits and deadlines are the services'.
//! Source: tcp(7), sendfile(2), epoll(7).

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, Shutdown, SockFlag, SockType, SockaddrIn, SockaddrIn6,
    SockaddrStorage, bind, getsockname, listen, recv, send, setsockopt, shutdown, socket, sockopt,
};

use super::net_raw;

/// Addresses of this machine that are remembered.
pub const OWN_ADDRESSES: usize = 32;

/// Outcome of one attempt to move bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// So many bytes moved, at least 1.
    Moved(usize),
    /// None can move now.
    Blocked,
    /// None will ever: the peer has ended its side, or the connection is dead.
    Ended,
}

impl Transfer {
    fn of(outcome: nix::Result<usize>) -> Self {
        match outcome {
            Ok(0) => Self::Ended,
            Ok(n) => Self::Moved(n),
            Err(Errno::EAGAIN) => Self::Blocked,
            Err(_) => Self::Ended,
        }
    }
}

/// A listening TCP socket. What it accepts inherits `TCP_NODELAY`, so that no call per connection
/// is needed.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Listens on `address`; a v6 address listens for v4 too. With `defer_s` above 0 the kernel
    /// hands a connection over when its first bytes have come, or after about that many seconds.
    ///
    /// # Errors
    /// The kernel's, for instance that the address is in use.
    pub fn bind(address: SocketAddr, backlog: i32, defer_s: u32) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Stream, flags, None)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        if address.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
        }
        // An address of its own length: not every kernel takes the longer storage form.
        match address {
            SocketAddr::V4(address) => bind(socket.as_raw_fd(), &SockaddrIn::from(address))?,
            SocketAddr::V6(address) => bind(socket.as_raw_fd(), &SockaddrIn6::from(address))?,
        }
        Self::of(socket, backlog, defer_s)
    }

    /// The same with a socket that has an address already, and may be listening.
    ///
    /// # Errors
    /// The kernel's.
    pub fn of(socket: OwnedFd, backlog: i32, defer_s: u32) -> io::Result<Self> {
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
        if defer_s > 0 {
            net_raw::defer_accept(socket.as_fd(), defer_s)?;
        }
        // musl says that 128 is the most; the kernel would take more, but nix asks the library.
        listen(&socket, Backlog::new(backlog).unwrap_or(Backlog::MAXCONN))?;
        Ok(Self { socket })
    }

    /// The next waiting connection, nonblocking, with its peer; `None` when none waits.
    ///
    /// # Errors
    /// The kernel's, for instance that the process has no descriptor left. Connections that
    /// died while they waited are skipped.
    pub fn accept(&self) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
        loop {
            match net_raw::accept(self.socket.as_fd()) {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ECONNABORTED | Errno::EINTR | Errno::EPROTO) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(self.socket.as_fd())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The own address of a connected or listening socket; a v4 address in v6 clothes is undressed.
///
/// # Errors
/// The kernel's.
pub fn local_addr(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let storage: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    net_raw::socket_addr(&storage).ok_or_else(|| Errno::EAFNOSUPPORT.into())
}

/// Receives into `room`, which must not be empty.
#[must_use]
pub fn receive(socket: BorrowedFd<'_>, room: &mut [u8]) -> Transfer {
    debug_assert!(!room.is_empty());
    Transfer::of(recv(socket.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT))
}

/// Sends from `bytes`, which must not be empty; with `more` the kernel waits for what follows
/// before it fills up a packet.
#[must_use]
pub fn transmit(socket: BorrowedFd<'_>, bytes: &[u8], more: bool) -> Transfer {
    debug_assert!(!bytes.is_empty());
    let mut flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    if more {
        flags |= MsgFlags::from_bits_retain(nix::libc::MSG_MORE);
    }
    Transfer::of(send(socket.as_raw_fd(), bytes, flags))
}

/// Sends up to `count` bytes of `file` from `offset`, without a copy. The send queue refers to
/// the file's pages until the peer has acknowledged them: see `unsent`.
#[must_use]
pub fn transmit_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> Transfer {
    let Ok(mut offset) = i64::try_from(offset) else {
        return Transfer::Ended;
    };
    Transfer::of(sendfile64(socket, file, Some(&mut offset), count))
}

/// Bytes of the send queue that the peer has not acknowledged, a FIN counting as one.
#[must_use]
pub fn unsent(socket: BorrowedFd<'_>) -> u64 {
    net_raw::send_queue(socket).ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

/// Whether the connection is dead: nothing is queued any more, whatever `unsent` says.
#[must_use]
pub fn is_dead(socket: BorrowedFd<'_>) -> bool {
    const TCP_CLOSE: u8 = 7;
    net_raw::tcp_state(socket).map_or(true, |state| state == TCP_CLOSE)
}

/// Sends full packets only, until our side ends: then the rest and the end go out together.
pub fn hold_partial_packets(socket: BorrowedFd<'_>) {
    // Refused or not, the bytes arrive.
    let _ = net_raw::cork(socket);
}

/// Makes the close of `socket` a reset that throws its send queue away.
pub fn reset_when_closed(socket: BorrowedFd<'_>) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    // Only a socket that is gone already refuses this.
    let _ = setsockopt(&socket, sockopt::Linger, &linger);
}

/// Ends our side after what is queued.
pub fn finish(socket: BorrowedFd<'_>) {
    // Only a connection that is dead already refuses this.
    let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
}

/// Makes a socket readable only when `bytes` have come, or the end; at once if they are there.
/// Where the kernel will not, it stays readable earlier.
pub fn wake_from(socket: BorrowedFd<'_>, bytes: u32) {
    let asked = net_raw::low_water(socket, bytes);
    debug_assert!(asked.is_ok());
}

/// Asks the kernel to notice a peer that is gone without a word: first probe after 20 s.
pub fn keep_alive(socket: &impl AsFd) {
    let fd = socket.as_fd();
    let asked = setsockopt(&fd, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(&fd, sockopt::TcpKeepIdle, &20))
        .and_then(|()| setsockopt(&fd, sockopt::TcpKeepInterval, &5))
        .and_then(|()| setsockopt(&fd, sockopt::TcpKeepCount, &3));
    // Deadlines above TCP hold without it.
    debug_assert!(asked.is_ok());
}

/// Begins to connect, without blocking: the socket becomes writable when that is done, and holds
/// an error if it failed.
///
/// # Errors
/// The kernel's: no descriptor left, no way there.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    let begun = match address {
        SocketAddr::V4(address) => {
            nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrIn::from(address))
        }
        SocketAddr::V6(address) => {
            nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrIn6::from(address))
        }
    };
    match begun {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// The addresses of this machine's interfaces, the first `OWN_ADDRESSES` of them.
#[must_use]
pub fn own_addresses() -> heapless::Vec<IpAddr, OWN_ADDRESSES> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    all.filter_map(|interface| net_raw::socket_addr(interface.address.as_ref()?))
        .map(|address| address.ip())
        .take(OWN_ADDRESSES)
        .collect()
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes, or the peer's end.
    Read,
    /// Those, or room in the send queue.
    ReadWrite,
}

/// What happened to one member of a `WaitSet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token it was added with.
    pub token: u64,
    /// Bytes have come, or the end has.
    pub readable: bool,
    /// The peer has ended its side or the connection is dead: read until `Ended`.
    pub ended: bool,
}

/// Many sockets waited for through one descriptor, which becomes readable when any has news.
///
/// Members report changes (edge-triggered), except the listener, which reports as long as
/// connections wait.
#[derive(Debug)]
pub struct WaitSet {
    epoll: Epoll,
}

impl WaitSet {
    /// An empty set.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Another handle of the set, for a reactor to wait on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn handle(&self) -> io::Result<OwnedFd> {
        self.epoll.0.try_clone()
    }

    /// Adds a listener.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_listener(&self, listener: &Listener, token: u64) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        Ok(self.epoll.add(listener, event)?)
    }

    /// Takes a listener out.
    pub fn remove_listener(&self, listener: &Listener) {
        // It is in no other state than in or out.
        let _ = self.epoll.delete(listener);
    }

    /// Adds a connection; it leaves the set when it is closed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, socket: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.add(socket, member(token, interest))?)
    }

    /// Changes what a connection waits for, and reports what is the case already.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rearm(&self, socket: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(socket, &mut member(token, interest))?)
    }

    /// What has happened, at most `N` events, without waiting.
    #[must_use]
    pub fn take<const N: usize>(&self) -> heapless::Vec<Event, N> {
        let mut events = [EpollEvent::empty(); N];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let ended = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        let seen = events.iter().take(count).map(|event| {
            let flags = event.events();
            Event {
                token: event.data(),
                readable: flags.intersects(ended | EpollFlags::EPOLLIN),
                ended: flags.intersects(ended),
            }
        });
        seen.collect()
    }
}

fn member(token: u64, interest: Interest) -> EpollEvent {
    let mut flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    if interest == Interest::ReadWrite {
        flags |= EpollFlags::EPOLLOUT;
    }
    EpollEvent::new(flags, token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn pair() -> (TcpStream, OwnedFd) {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 8, 0).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = loop {
            if let Some(accepted) = listener.accept().unwrap() {
                break accepted;
            }
        };
        assert_eq!(peer, client.local_addr().unwrap());
        (client, server)
    }

    #[test]
    fn bytes_go_both_ways_and_the_end_is_seen() {
        let (mut client, server) = pair();
        let mut room = [0; 16];
        assert_eq!(receive(server.as_fd(), &mut room), Transfer::Blocked);
        client.write_all(b"ab").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        while receive(server.as_fd(), &mut room) == Transfer::Blocked {}
        assert_eq!(&room[..2], b"ab");
        assert_eq!(receive(server.as_fd(), &mut room), Transfer::Ended);
        assert_eq!(transmit(server.as_fd(), b"cd", false), Transfer::Moved(2));
        finish(server.as_fd());
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"cd");
    }

    #[test]
    fn file_is_sent_from_its_offset() {
        let (mut client, server) = pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let moved = transmit_file(server.as_fd(), file.as_fd(), 4, 3);
        assert_eq!(moved, Transfer::Moved(3));
        drop(server);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"456");
    }

    #[test]
    fn wait_set_reports_bytes_and_end_by_token() {
        let (mut client, server) = pair();
        let set = WaitSet::new().unwrap();
        set.add(server.as_fd(), 7, Interest::Read).unwrap();
        assert!(set.take::<4>().is_empty());
        client.write_all(b"x").unwrap();
        let event = loop {
            if let Some(event) = set.take::<4>().first() {
                break *event;
            }
        };
        assert_eq!((event.token, event.readable, event.ended), (7, true, false));
        drop(client);
        while !set.take::<4>().iter().any(|event| event.ended) {}
    }

    #[test]
    fn socket_is_readable_from_its_low_water_mark_on_and_at_the_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        wake_from(server.as_fd(), 4);
        let poller = crate::sys::poll::Poller::new().unwrap();
        poller.add(&server, 1, crate::sys::poll::Interest::Read).unwrap();
        client.write_all(b"abc").unwrap();
        assert!(poller.wait(Some(30)).unwrap().is_empty());
        client.write_all(b"d").unwrap();
        assert_eq!(poller.wait(Some(2000)).unwrap().len(), 1);
        wake_from(server.as_fd(), 100);
        assert!(poller.wait(Some(0)).unwrap().is_empty());
        wake_from(server.as_fd(), 1);
        assert_eq!(poller.wait(Some(2000)).unwrap().len(), 1);
        wake_from(server.as_fd(), 100);
        drop(client);
        assert_eq!(poller.wait(Some(2000)).unwrap().len(), 1);
    }

    #[test]
    fn own_addresses_hold_the_loopback() {
        assert!(own_addresses().iter().any(IpAddr::is_loopback));
    }

    #[test]
    fn v4_client_of_a_v6_listener_has_a_v4_address() {
        let Ok(listener) = Listener::bind("[::]:0".parse().unwrap(), 8, 0) else {
            return; // No IPv6 on this machine.
        };
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (_, peer) = loop {
            if let Some(accepted) = listener.accept().unwrap() {
                break accepted;
            }
        };
        assert!(peer.is_ipv4());
    }
}
