//! One attempt: from a target, through those it sends us on to, to the end of what is to be done.
//!
//! A connection is begun for each of them, the task is done on it, and goodbye is said where
//! somebody may still listen. The player that upstreams may ask about is fetched before the first.
//! When there is another attempt is not decided here.
//! Source: Enhanced RTMP v2, "Reconnect Request".

use super::{Conversation, Reason, Route, Said, Stop, Target, Watch, player};
use crate::limits::UPSTREAM_STEADY_TIME;
use crate::proto::rtmp::client::Swf;
use crate::service::clock;
use crate::service::intake::Place;
use crate::service::reactor::Reactor;
use crate::status::Status;
use core::cell::Cell;
use std::rc::Rc;

/// Why a task on a conversation ended: a matter of the upstream, or one of its own.
#[derive(Debug)]
pub enum Halt<E> {
    /// The upstream.
    Upstream(Stop),
    /// The task's own.
    Own(E),
}

impl<S: Into<Stop>, E> From<S> for Halt<E> {
    fn from(stop: S) -> Self {
        Self::Upstream(stop.into())
    }
}

/// What an attempt needs.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Whom to ask, and as what.
    pub target: &'a Target,
    /// Bell and deadline.
    pub watch: &'a Watch,
    /// What was made of the player, for the next attempt too.
    pub player: &'a Cell<Option<Swf>>,
    /// Counters.
    pub status: &'a Status,
    /// The loop.
    pub reactor: &'a Rc<Reactor>,
}

impl Attempt<'_> {
    /// Does `task` on a connection, and on the next one when we are sent elsewhere; `begin` is
    /// called before each. A task gives back what it began in rings of its own.
    ///
    /// # Errors
    /// Why it ended before `task` was done.
    pub async fn run<E: From<Reason>>(
        self,
        place: &mut Place,
        begin: impl Fn(),
        mut task: impl AsyncFnMut(&mut Conversation<'_>) -> Result<(), Halt<E>>,
    ) -> Result<(), E> {
        let mut route = Route::new(self.target);
        loop {
            begin();
            let mut said = route.said()?;
            self.know_player(&mut said).await?;
            let codecs = said.codecs();
            let plan = said.plan(&codecs);
            let opened = Conversation::begin(self.reactor, &said, plan, place, self.status);
            let mut conversation = opened.await?;
            let start = clock::now();
            let outcome = task(&mut conversation).await;
            conversation.abandon(None);
            if !matches!(outcome, Err(Halt::Upstream(Stop::Failed(_)))) {
                conversation.part(self.watch).await;
            }
            match outcome {
                Ok(()) => return Ok(()),
                Err(Halt::Own(fault)) => return Err(fault),
                Err(Halt::Upstream(Stop::Failed(reason))) => return Err(reason.into()),
                Err(Halt::Upstream(Stop::Elsewhere(elsewhere))) => {
                    if clock::now().since(start) >= UPSTREAM_STEADY_TIME {
                        route.settle();
                    }
                    route.turn(&said, elsewhere)?;
                }
            }
        }
    }

    /// Fetches the player, if there is one and that was not done.
    async fn know_player(self, said: &mut Said) -> Result<(), Reason> {
        let Some(address) = &said.player else { return Ok(()) };
        if self.player.get().is_none() {
            let fetching = player::fetch(self.reactor, address, &said.trust);
            let swf = Box::pin(fetching).await?;
            log::info!("player fetched bytes={}", swf.bytes);
            self.player.set(Some(swf));
        }
        said.swf = self.player.get();
        Ok(())
    }
}
