//! Waiting for many descriptors at once.
//!
//! Level-triggered: a member is reported as long as it is ready for what was asked.
//! Source: epoll(7).

use crate::limits::POLL_EVENTS;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::AsFd;

/// What a member waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing for now.
    None,
    /// Bytes, connections, or the end.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
}

/// A member that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// What of that which was asked is there; the end is both.
    pub there: Interest,
}

/// A set of descriptors.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Adds a descriptor; it leaves the set with `remove`, or when the last
    /// descriptor of its socket is closed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, fd: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.add(fd, event(token, interest))?)
    }

    /// Changes what a member waits for.
    ///
    /// # Errors
    /// The kernel's.
    pub fn change(&self, fd: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut event(token, interest))?)
    }

    /// Takes a descriptor out of the set.
    ///
    /// # Errors
    /// The kernel's; also when it is not a member.
    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until a member is ready or `wait_ms` have passed, for ever if `None`.
    ///
    /// # Errors
    /// The kernel's; a signal is no error.
    pub fn wait(&self, wait_ms: Option<u16>) -> io::Result<heapless::Vec<Ready, POLL_EVENTS>> {
        let mut events = [EpollEvent::empty(); POLL_EVENTS];
        let timeout = wait_ms.map_or(EpollTimeout::NONE, EpollTimeout::from);
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(nix::errno::Errno::EINTR) => 0,
            outcome => outcome?,
        };
        Ok(events.iter().take(count).map(ready).collect())
    }
}

fn event(token: u64, interest: Interest) -> EpollEvent {
    let flags = match interest {
        Interest::None => EpollFlags::empty(),
        Interest::Read => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP,
        Interest::Write => EpollFlags::EPOLLOUT,
        Interest::Both => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLOUT,
    };
    EpollEvent::new(flags, token)
}

fn ready(event: &EpollEvent) -> Ready {
    let flags = event.events();
    let readable = flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP);
    let there = match (readable, flags.contains(EpollFlags::EPOLLOUT)) {
        (true, false) => Interest::Read,
        (false, true) => Interest::Write,
        // An error or a hang-up alone: either operation finds out.
        (true, true) | (false, false) => Interest::Both,
    };
    Ready { token: event.data(), there }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn poller_reports_while_ready_and_only_what_was_asked() {
        let (mut a, b) = UnixStream::pair().unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&b, 7, Interest::Read).unwrap();
        assert!(poller.wait(Some(0)).unwrap().is_empty());
        a.write_all(b"x").unwrap();
        for _ in 0..2 {
            assert_eq!(
                poller.wait(Some(1000)).unwrap().as_slice(),
                [Ready { token: 7, there: Interest::Read }]
            );
        }
        poller.change(&b, 7, Interest::None).unwrap();
        assert!(poller.wait(Some(0)).unwrap().is_empty());
        poller.change(&b, 7, Interest::Write).unwrap();
        assert_eq!(poller.wait(Some(1000)).unwrap().len(), 1);
    }

    #[test]
    fn poller_reports_so_many_at_once_and_the_rest_next() {
        let poller = Poller::new().unwrap();
        let pairs: Vec<_> = (0..=POLL_EVENTS).map(|_| UnixStream::pair().unwrap()).collect();
        for (token, (_, b)) in (0..).zip(&pairs) {
            poller.add(b, token, Interest::Write).unwrap();
        }
        let first = poller.wait(Some(1000)).unwrap();
        assert_eq!(first.len(), POLL_EVENTS);
        let rest = poller.wait(Some(1000)).unwrap();
        let missed = |ready: &&Ready| !first.contains(ready);
        assert_eq!(rest.iter().filter(missed).count(), 1);
    }
}
