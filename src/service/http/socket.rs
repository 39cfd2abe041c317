//! The socket of one HTTP connection: plain, or with TLS over it.
//!
//! Both say alike how much moved. Within TLS, bytes that are said to be sent may wait here for the
//! kernel: an answer is out when `push` says so. Knows no requests.

use crate::service::tls::TlsStream;
use crate::sys::net::{self, Transfer};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A connected socket that does not block.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    tls: Option<Box<TlsStream>>,
}

impl Socket {
    pub(super) const fn within_tls(tcp: TcpStream, tls: Box<TlsStream>) -> Self {
        Self { tcp, tls: Some(tls) }
    }

    /// Receives into `room`, which must not be empty.
    pub(super) fn receive(&mut self, room: &mut [u8]) -> Transfer {
        match &mut self.tls {
            None => net::receive(self.tcp.as_fd(), room),
            Some(tls) => moved(tls.read(&self.tcp, &mut [IoSliceMut::new(room)])),
        }
    }

    /// Sends from `bytes`, which must not be empty; `more` follows.
    pub(super) fn transmit(&mut self, bytes: &[u8], more: bool) -> Transfer {
        match &mut self.tls {
            None => net::transmit(self.tcp.as_fd(), bytes, more),
            Some(tls) => moved(tls.write(&self.tcp, &[IoSlice::new(bytes)])),
        }
    }

    /// Sends what waits here; `Blocked` while some of it still does.
    pub(super) fn push(&mut self) -> Transfer {
        match &mut self.tls {
            None => Transfer::Moved(0),
            Some(tls) => match tls.push(&self.tcp) {
                Ok(()) if tls.has_unsent() => Transfer::Blocked,
                Ok(()) => Transfer::Moved(0),
                Err(_) => Transfer::Ended,
            },
        }
    }

    /// Says the end within TLS, if there is room for that.
    pub(super) fn say_end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.finish(&self.tcp);
        }
    }

    pub(super) const fn is_within_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether there is something to receive that the kernel will not report.
    pub(super) fn has_news(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_news())
    }
}

impl From<OwnedFd> for Socket {
    fn from(socket: OwnedFd) -> Self {
        Self { tcp: socket.into(), tls: None }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

fn moved(outcome: io::Result<usize>) -> Transfer {
    match outcome {
        Ok(0) => Transfer::Ended,
        Ok(bytes) => Transfer::Moved(bytes),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Transfer::Blocked,
        Err(error) => {
            log::debug!("http lost cause=\"{error}\"");
            Transfer::Ended
        }
    }
}
