//! Listening sockets that were open before the program: a service manager holds them, so that
//! nobody is refused while the program is started again; who connects meanwhile is answered then.
//!
//! Takes TCP sockets that listen and nothing else. Reads the environment, changes nothing in it:
//! the program starts no other. Source: `sd_listen_fds(3)`.

#![expect(unsafe_code, reason = "a descriptor that comes as a number has no owner yet")]

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use nix::sys::socket::{SockType, getsockopt, sockopt};

use super::net::local_addr;
use crate::limits::INHERITED_SOCKETS_MAX;

/// The first descriptor that is passed on (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// What the environment says of sockets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("LISTEN_FDS is \"{text}\": allowed is 0 to {INHERITED_SOCKETS_MAX}")]
pub struct InheritedError {
    text: String,
}

/// The sockets, until somebody wants them.
#[derive(Debug)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, OwnedFd)>,
}

impl Inherited {
    /// Takes what was passed to this process; the second time there is nothing.
    ///
    /// # Errors
    /// `InheritedError` where more are passed than there may be, or what is no number.
    pub fn take() -> Result<Self, InheritedError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let variable = |name: &str| std::env::var(name).ok();
        let (pid, fds) = (variable("LISTEN_PID"), variable("LISTEN_FDS"));
        let passed = count(pid.as_deref(), fds.as_deref(), std::process::id())?;
        let passed = if TAKEN.swap(true, Ordering::Relaxed) { 0 } else { passed };
        Ok(Self { sockets: (FIRST..FIRST.saturating_add(passed)).filter_map(socket).collect() })
    }

    /// The socket that listens on `address`. One for every address, of whatever family, also does
    /// where every address of version 4 is asked for.
    pub fn listener(&mut self, address: SocketAddr) -> Option<OwnedFd> {
        let everywhere = |its: &SocketAddr| its.port() == address.port() && is_any(*its);
        let mut sockets = self.sockets.iter();
        let exact = sockets.position(|(its, _)| *its == address);
        let mut sockets = self.sockets.iter().filter(|_| is_any(address));
        let index = exact.or_else(|| sockets.position(|(its, _)| everywhere(its)))?;
        Some(self.sockets.swap_remove(index).1)
    }

    /// Where sockets listen that nobody has wanted.
    pub fn rest(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.iter().map(|(address, _)| *address)
    }
}

fn is_any(address: SocketAddr) -> bool {
    address.ip().is_unspecified()
}

/// How many descriptors are passed to the process `own`.
fn count(pid: Option<&str>, fds: Option<&str>, own: u32) -> Result<i32, InheritedError> {
    let Some(text) = fds.filter(|_| pid.and_then(|pid| pid.parse().ok()) == Some(own)) else {
        return Ok(0);
    };
    let number = text.parse().ok().filter(|number| (0..=INHERITED_SOCKETS_MAX).contains(number));
    number.ok_or_else(|| InheritedError { text: text.to_owned() })
}

/// The socket behind a number, closed on exec, if it is one that listens for TCP.
fn socket(number: RawFd) -> Option<(SocketAddr, OwnedFd)> {
    // SAFETY: the call touches no memory of ours; it fails where nothing is open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return None;
    }
    // SAFETY: it is open, as the call has shown; by the protocol it was opened for this process to
    // own, before it began, and each number is asked for once.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let listens = getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false)
        && getsockopt(&socket, sockopt::SockType).is_ok_and(|kind| kind == SockType::Stream);
    let address = local_addr(socket.as_fd()).ok().filter(|_| listens)?;
    Some((address, socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::IntoRawFd;

    #[test]
    fn sockets_are_for_the_process_that_is_named() {
        assert_eq!(count(Some("7"), Some("2"), 7), Ok(2));
        assert_eq!(count(Some("8"), Some("2"), 7), Ok(0), "the parent's");
        assert_eq!(count(None, Some("2"), 7), Ok(0));
        assert_eq!(count(Some("7"), None, 7), Ok(0));
        assert_eq!(count(Some("8"), Some("many"), 7), Ok(0), "not ours to judge");
    }

    #[test]
    fn more_sockets_than_there_may_be_are_refused() {
        let most = INHERITED_SOCKETS_MAX;
        assert_eq!(count(Some("7"), Some(&most.to_string()), 7), Ok(most));
        for text in [(most + 1).to_string().as_str(), "-1", "", "two"] {
            let error = count(Some("7"), Some(text), 7).unwrap_err().to_string();
            assert_eq!(error, format!("LISTEN_FDS is \"{text}\": allowed is 0 to 8"));
        }
    }

    #[test]
    fn only_sockets_that_listen_are_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (its, taken) = socket(listener.into_raw_fd()).unwrap();
        assert_eq!(its, address);
        assert!(TcpListener::from(taken).accept().is_ok(), "who came before is waiting");
        assert!(socket(client.into_raw_fd()).is_none(), "a connection");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(socket(udp.into_raw_fd()).is_none(), "no stream");
        assert!(socket(999_999).is_none(), "not open");
    }

    fn held(addresses: &[&str]) -> Inherited {
        let any = || TcpListener::bind("127.0.0.1:0").unwrap().into();
        let sockets = addresses.iter().map(|address| (address.parse().unwrap(), any()));
        Inherited { sockets: sockets.collect() }
    }

    #[test]
    fn socket_is_found_by_what_it_listens_on() {
        let mut held = held(&["10.0.0.1:80", "[::]:80", "0.0.0.0:1935"]);
        assert!(held.listener("0.0.0.0:1935".parse().unwrap()).is_some());
        assert!(held.listener("0.0.0.0:1935".parse().unwrap()).is_none(), "it has gone");
        assert!(held.listener("127.0.0.1:80".parse().unwrap()).is_none(), "less was asked for");
        assert!(held.listener("0.0.0.0:80".parse().unwrap()).is_some(), "the one for all");
        assert_eq!(held.rest().collect::<Vec<_>>(), ["10.0.0.1:80".parse().unwrap()]);
    }

    #[test]
    fn sockets_are_taken_once() {
        // This process was passed none; whatever it is asked, it stays so.
        assert_eq!(Inherited::take().unwrap().rest().count(), 0);
        assert_eq!(Inherited::take().unwrap().rest().count(), 0);
    }
}
