//! The socket calls that nix has no safe function for. Used by `sys::net` alone.

#![expect(unsafe_code, reason = "accept4 with the peer, and four socket options")]

use core::mem::size_of;
use core::net::{IpAddr, SocketAddr};
use core::ptr::from_mut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};

/// Accepts one connection, nonblocking and closed on exec, with its peer's address.
pub(super) fn accept(listener: BorrowedFd<'_>) -> nix::Result<(OwnedFd, SocketAddr)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let mut raw = core::mem::MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>())
        .map_err(|_| Errno::EINVAL)?;
    // SAFETY: `raw` is writable for `len` bytes and both outlive the call.
    let fd = unsafe {
        libc::accept4(listener.as_raw_fd(), raw.as_mut_ptr().cast(), &raw mut len, flags)
    };
    let fd = Errno::result(fd)?;
    // SAFETY: accept4 has just given us this descriptor; nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: `raw` was zeroed and then filled by the kernel with an address of `len` bytes.
    let peer = unsafe { SockaddrStorage::from_raw(raw.as_ptr().cast(), Some(len)) };
    let peer = peer.as_ref().and_then(socket_addr);
    Ok((socket, peer.ok_or(Errno::EAFNOSUPPORT)?))
}

/// Hands connections to accept only when bytes have come, or after about `seconds`.
pub(super) fn defer_accept(listener: BorrowedFd<'_>, seconds: u32) -> nix::Result<()> {
    let seconds = libc::c_int::try_from(seconds).map_err(|_| Errno::EINVAL)?;
    set_tcp(listener, libc::TCP_DEFER_ACCEPT, seconds)
}

/// Sends full packets only, until our side ends.
pub(super) fn cork(socket: BorrowedFd<'_>) -> nix::Result<()> {
    set_tcp(socket, libc::TCP_CORK, 1)
}

/// Makes a socket readable only when `bytes` have come, or the end.
pub(super) fn low_water(socket: BorrowedFd<'_>, bytes: u32) -> nix::Result<()> {
    let bytes = libc::c_int::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    set(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes)
}

fn set_tcp(socket: BorrowedFd<'_>, option: libc::c_int, value: libc::c_int) -> nix::Result<()> {
    set(socket, libc::IPPROTO_TCP, option, value)
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> nix::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the options used are a c_int each, and `value` is one that outlives the call.
    let outcome = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len)
    };
    Errno::result(outcome).map(drop)
}

/// Bytes in the send queue that are not acknowledged (SIOCOUTQ, which is TIOCOUTQ).
pub(super) fn send_queue(socket: BorrowedFd<'_>) -> nix::Result<libc::c_int> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one c_int, which outlives the call.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, from_mut(&mut bytes)) };
    Errno::result(outcome).map(|_| bytes)
}

/// The state of a TCP connection: the first byte of `tcp_info`, which is all that is asked for.
pub(super) fn tcp_state(socket: BorrowedFd<'_>) -> nix::Result<u8> {
    let mut state = 0u8;
    let mut len: libc::socklen_t = 1;
    // SAFETY: the kernel writes at most `len` bytes of the structure, here one, into `state`.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            from_mut(&mut state).cast(),
            &raw mut len,
        )
    };
    Errno::result(outcome).map(|_| state)
}

/// The address in `storage`, if it is one of the internet's; v4 in v6 clothes is undressed.
pub(super) fn socket_addr(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = storage.as_sockaddr_in6()?;
    Some(SocketAddr::new(v6.ip().to_canonical(), v6.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HTTP_DEFER_S;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn accept_gives_the_peer_and_a_nonblocking_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = accept(listener.as_fd()).unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let mut one = [0];
        let got = nix::unistd::read(&socket, &mut one);
        assert_eq!(got, Err(Errno::EAGAIN));
    }

    #[test]
    fn defer_accept_is_taken_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(defer_accept(listener.as_fd(), HTTP_DEFER_S), Ok(()));
    }

    #[test]
    fn corked_bytes_come_with_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        cork(server.as_fd()).unwrap();
        server.write_all(b"abc").unwrap();
        drop(server);
        let mut got = String::new();
        std::io::Read::read_to_string(&mut client, &mut got).unwrap();
        assert_eq!(got, "abc");
    }

    #[test]
    fn send_queue_empties_when_acknowledged_and_state_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(tcp_state(client.as_fd()), Ok(1), "established");
        client.write_all(b"abc").unwrap();
        while send_queue(client.as_fd()) != Ok(0) {}
        let (server, _) = listener.accept().unwrap();
        super::super::net::reset_when_closed(server.as_fd());
        drop(server);
        while tcp_state(client.as_fd()) != Ok(7) {}
    }
}
