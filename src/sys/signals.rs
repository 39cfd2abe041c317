//! Signals as a file descriptor: no handler, no helper thread.
//!
//! `Signals::block` must run before any other thread starts (async-io's own, the blocking pool):
//! a thread inherits the mask, and a signal that any thread does not block takes its default
//! course there. `service` waits until the descriptor is readable (`smol::Async`) and calls
//! `next` until it says none. Source: signalfd(2).
//!
//! SIGPIPE: the Rust runtime sets it to be ignored before `main`, so that a write to a closed
//! socket is an error and not the end; a test here holds that. SIGHUP is blocked and reported but
//! means nothing yet, so that a closing serial terminal does not end the program.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT: end in good order.
    Stop,
    /// SIGUSR1: end every presentation, and go on serving.
    End,
    /// SIGHUP: reserved for reading the settings again.
    Reserved,
}

/// Blocked signals, read one at a time. Nonblocking.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks our signals in this thread, and in those that it starts from now on.
    ///
    /// # Errors
    /// The kernel has no descriptor left.
    pub fn block() -> Result<Self, Errno> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGHUP] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd })
    }

    /// The next signal that has come, none if there is none.
    ///
    /// # Errors
    /// The descriptor cannot be read; an interrupted read is not an error.
    pub fn next(&self) -> Result<Option<Asked>, Errno> {
        let info = match self.fd.read_signal() {
            Ok(Some(info)) => info,
            Ok(None) | Err(Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let number = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL)?;
        let signal = Signal::try_from(number)?;
        let asked = [(Signal::SIGUSR1, Asked::End), (Signal::SIGHUP, Asked::Reserved)];
        let asked = asked.into_iter().find(|(own, _)| *own == signal);
        Ok(Some(asked.map_or(Asked::Stop, |(_, asked)| asked)))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::signal::raise;

    fn is_readable(signals: &Signals) -> bool {
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    // `raise` sends to the calling thread only, so tests that run beside this one are not hit.
    #[test]
    fn signals_are_read_once_each() {
        let signals = Signals::block().unwrap();
        assert!(!is_readable(&signals));
        assert_eq!(signals.next(), Ok(None));
        for (signal, asked) in [
            (Signal::SIGTERM, Asked::Stop),
            (Signal::SIGINT, Asked::Stop),
            (Signal::SIGUSR1, Asked::End),
            (Signal::SIGHUP, Asked::Reserved),
        ] {
            raise(signal).unwrap();
            assert!(is_readable(&signals));
            assert_eq!(signals.next(), Ok(Some(asked)));
            assert_eq!(signals.next(), Ok(None));
        }
    }

    #[test]
    fn signals_are_inherited_by_threads_started_later() {
        let _signals = Signals::block().unwrap();
        let inherited = std::thread::scope(|scope| {
            scope
                .spawn(|| SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM))
                .join()
                .unwrap()
        });
        assert!(inherited);
    }

    #[test]
    fn broken_pipe_is_an_error_and_not_the_end() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        assert_eq!(nix::unistd::write(&writer, b"x"), Err(Errno::EPIPE));
    }
}
