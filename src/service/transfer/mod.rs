//! One stream to or from one upstream, and nothing else: the commands `push` and `pull`.
//!
//! Runs the loop for one task, ends at a signal, and gives what was moved. Files are read and
//! written where they stand: no server runs beside it. Printing is the command's.

mod flv_file;
mod origin;
pub mod pull;
pub mod push;
pub mod source;

use crate::limits::{TICK, TICK_EARLY_MAX};
use crate::proto::rtmp::client::Swf;
use crate::service::clock;
use crate::service::reactor::{Reactor, Source};
use crate::service::upstream::{Attempt, Reason, Target, Watch, Watches};
use crate::status::Status;
use crate::sys::signals::{Asked, Signals};
use core::cell::Cell;
use source::SourceFault;
use std::io;
use std::rc::Rc;

/// Why a transfer did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum TransferFault {
    /// The upstream.
    #[error(transparent)]
    Upstream(#[from] Reason),
    /// What is to be sent.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// The file that is written.
    #[error("{path}: {cause}; choose another place for the file")]
    Output {
        /// Its name.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The system refuses something that it never refuses.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Messages of audio, video and data.
    pub messages: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Media time between the first and the last, in milliseconds.
    pub millis: u64,
}

/// What a transfer needs beside its two ends.
pub struct Frame {
    /// The loop.
    pub reactor: Rc<Reactor>,
    /// Rings for deadlines and at a signal.
    pub watch: Rc<Watch>,
    /// Counters; nobody reads them.
    pub status: Status,
    player: Cell<Option<Swf>>,
    stop: Rc<Cell<bool>>,
}

impl Frame {
    /// Whether a signal asks for the end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.get()
    }

    /// The attempt to reach `target`.
    fn attempt<'a>(&'a self, target: &'a Target) -> Attempt<'a> {
        let Self { reactor, watch, status, player, .. } = self;
        Attempt { target, watch, player, status, reactor }
    }
}

/// Runs `transfer` until it is done; SIGINT and SIGTERM ask it to end.
///
/// # Errors
/// Those of `transfer`.
pub fn run<F>(transfer: impl FnOnce(Frame) -> F) -> Result<Moved, TransferFault>
where
    F: Future<Output = Result<Moved, TransferFault>> + 'static,
{
    let signals = Signals::block().map_err(io::Error::from)?;
    let reactor = Reactor::new()?;
    let watches = Watches::default();
    let (watch, stop) = (watches.add(), Rc::new(Cell::new(false)));
    let ticks = Rc::clone(&reactor);
    reactor.spawn(async move {
        loop {
            ticks.sleep_about(TICK, TICK_EARLY_MAX).await;
            watches.tick(clock::now());
        }
    });
    let signals = Source::new(&reactor, signals)?;
    let (asked, bell) = (Rc::clone(&stop), Rc::clone(&watch.bell));
    reactor.spawn(async move {
        while signals.readable().await.is_ok() {
            if let Ok(Some(Asked::Stop)) = signals.get_ref().next() {
                asked.set(true);
                bell.ring();
            }
        }
    });
    let frame = Frame {
        reactor: Rc::clone(&reactor),
        watch,
        status: Status::new(),
        player: Cell::new(None),
        stop,
    };
    reactor.run(transfer(frame))?
}
