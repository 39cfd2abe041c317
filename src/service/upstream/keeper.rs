//! One upstream that is kept: asked when it is needed, and again after a pause when it fails.
//!
//! What is done on a connection, and when one is needed, is the caller's.

use super::attempt::{Attempt, Halt};
use super::pause::Pauses;
use super::{Conversation, Reason, Stop, Target, Watch};
use crate::service::clock;
use crate::service::intake::Place;
use crate::service::reactor::Reactor;
use crate::service::relay::{Relay, State};
use crate::service::stream::Streams;
use crate::status::Status;
use crate::sys::random;
use core::cell::Cell;
use std::rc::Rc;

/// One upstream and its stream.
#[derive(Debug)]
pub struct Keeper {
    /// What is shown of it.
    pub relay: Rc<Relay>,
    /// Whom to ask, and as what.
    pub target: Target,
    /// Its bell and deadlines.
    pub watch: Rc<Watch>,
    /// Where the stream is, or goes.
    pub streams: Rc<Streams>,
    /// Counters.
    pub status: Rc<Status>,
    /// The loop.
    pub reactor: Rc<Reactor>,
}

impl Keeper {
    /// Does `task` whenever `wait` is over, for ever, in `place`, which was allocated at start.
    pub async fn run(
        &self,
        mut place: Box<Place>,
        wait: impl AsyncFn(),
        task: impl AsyncFn(&mut Conversation<'_>) -> Result<(), Stop>,
    ) {
        let mut pauses = Pauses::new();
        let player = Cell::new(None);
        loop {
            self.relay.enter(State::Waiting, clock::now());
            wait().await;
            let start = clock::now();
            let Self { target, watch, status, reactor, .. } = self;
            let connecting = || self.relay.enter(State::Connecting, clock::now());
            let task = async |conversation: &mut Conversation<'_>| {
                task(conversation).await.map_err(Halt::<Reason>::Upstream)
            };
            let attempt = Attempt { target, watch, player: &player, status, reactor };
            let ended = Box::pin(attempt.run(&mut place, connecting, task)).await;
            let Err(reason) = ended else { continue };
            let pause = pauses.after(clock::now().since(start), random::u32());
            self.relay.fail(&reason);
            self.relay.enter(State::Pausing, clock::now());
            let (way, name) = (self.relay.way.name(), &self.relay.name);
            let pause_ms = pause.as_millis();
            log::warn!("{way} ended name={name} cause=\"{reason}\" pause_ms={pause_ms}");
            self.reactor.sleep(pause).await;
        }
    }
}
