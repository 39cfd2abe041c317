//! Streams fetched from upstreams: a task for each.
//!
//! Always, or only while somebody watches: from the first time that the stream is asked for, over
//! HTTP or RTMP, until nobody has for a while. Media goes into the stream's ring as a publisher's
//! does, and from there its way. What goes wrong is tried again after a pause.
//! Source: RTMP 1.0 §7.2.2.1.

use crate::limits::{
    READS_PER_TURN, SILENCE_TIME_MAX, TAKEOVER_TIME_MIN, UPSTREAM_LOOK_TIME, UPSTREAM_STEADY_TIME,
};
use crate::proto::rtmp::client::ClientEvent;
use crate::proto::rtmp::dechunk::Bin;
use crate::service::clock;
use crate::service::intake::{self, Place};
use crate::service::reactor::Reactor;
use crate::service::relay::{Relay, State};
use crate::service::store::masked;
use crate::service::stream::{PublisherId, Right, Stream, Streams};
use crate::service::upstream::pause::Pauses;
use crate::service::upstream::{Conversation, Reason, Route, Stop, Target, Watch, verdict};
use crate::status::Status;
use crate::sys::random;
use crate::time::Instant;
use core::cell::RefCell;
use core::time::Duration;
use smol::future;
use std::rc::Rc;

/// One upstream and the stream that comes from it.
pub struct Pull {
    /// What is shown of it.
    pub relay: Rc<Relay>,
    /// Whom to ask, and as what.
    pub target: Target,
    /// How long after the last viewer; none is always.
    pub idle: Option<Duration>,
    /// Its bell and deadlines.
    pub watch: Rc<Watch>,
    /// Where the stream goes.
    pub streams: Rc<Streams>,
    /// Counters.
    pub status: Rc<Status>,
    /// The loop.
    pub reactor: Rc<Reactor>,
}

/// The stream that is being filled.
#[derive(Clone, Copy)]
struct Filling<'s> {
    index: usize,
    id: PublisherId,
    cell: &'s RefCell<Stream>,
}

impl Filling<'_> {
    /// Whether it is still ours.
    fn check(&self) -> Result<(), Reason> {
        let holder = self.cell.borrow().publisher();
        if holder == Some(self.id) { Ok(()) } else { Err(Reason::Replaced) }
    }
}

impl Pull {
    /// Private memory of its place, in bytes.
    pub const PLACE_BYTES: usize = Place::BYTES;

    /// Runs for ever in `place`, which was allocated at start.
    pub async fn run(self, mut place: Box<Place>) {
        let mut pauses = Pauses::new();
        loop {
            self.relay.enter(State::Waiting, clock::now());
            while !self.is_wanted(clock::now()) {
                self.watch.bell.rung().await;
            }
            let start = clock::now();
            let Err(reason) = Box::pin(self.attempt(&mut place)).await else { continue };
            let pause = pauses.after(clock::now().since(start), random::u32());
            self.relay.fail(&reason);
            self.relay.enter(State::Pausing, clock::now());
            log::warn!(
                "pull ended name={} cause=\"{reason}\" pause_ms={}",
                self.relay.name,
                pause.as_millis()
            );
            self.reactor.sleep(pause).await;
        }
    }

    /// Whether somebody watches, or did a moment ago.
    fn is_wanted(&self, now: Instant) -> bool {
        let Some(idle) = self.idle else { return true };
        if self.streams.find(&self.relay.stream).is_some_and(|s| self.streams.is_followed(s)) {
            return true;
        }
        self.relay.asked().is_some_and(|asked| now.since(asked) < idle)
    }

    /// Fetches until nobody watches.
    async fn attempt(&self, place: &mut Place) -> Result<(), Reason> {
        let mut route = Route::new(&self.target);
        loop {
            self.relay.enter(State::Connecting, clock::now());
            let said = route.said()?;
            let codecs = said.codecs();
            let plan = said.plan(&codecs);
            let begun = Conversation::begin(&self.reactor, &said, plan, place, &self.status);
            let mut conversation = Box::pin(begun).await?;
            let start = clock::now();
            let outcome = Box::pin(self.play(&mut conversation)).await;
            if !matches!(outcome, Err(Stop::Failed(_))) {
                conversation.part(&self.watch).await;
            }
            match outcome {
                Ok(()) => {
                    log::info!("pull closed name={} cause=\"nobody watches\"", self.relay.name);
                    return Ok(());
                }
                Err(Stop::Failed(reason)) => return Err(reason),
                Err(Stop::Elsewhere(elsewhere)) => {
                    if clock::now().since(start) >= UPSTREAM_STEADY_TIME {
                        route.settle();
                    }
                    route.turn(&said, elsewhere)?;
                }
            }
        }
    }

    async fn play(&self, conversation: &mut Conversation<'_>) -> Result<(), Stop> {
        conversation.open(&self.watch).await?;
        let id = self.streams.new_publisher();
        let path = &self.relay.stream;
        let granted =
            self.streams.publish(path, (id, Right::Own), clock::now(), TAKEOVER_TIME_MIN)?;
        let (index, _replaced) = granted;
        let Some(cell) = self.streams.get(index) else { return Ok(()) };
        self.relay.enter(State::Running, clock::now());
        let (name, upstream) = (&self.relay.name, &conversation.said().shown);
        log::info!("pull opened name={name} upstream={upstream} stream={}", masked(path));
        let filling = Filling { index, id, cell };
        let outcome = self.fill(conversation, filling).await;
        conversation.abandon(Some(&mut cell.borrow_mut().ring));
        self.streams.leave(index, id, clock::now());
        self.watch.never();
        outcome
    }

    /// Takes what comes until nobody watches.
    async fn fill(
        &self,
        conversation: &mut Conversation<'_>,
        filling: Filling<'_>,
    ) -> Result<(), Stop> {
        let mut heard = clock::now();
        let mut turn = 0;
        loop {
            filling.check()?;
            let now = clock::now();
            if self.drain(conversation, filling, now)? {
                heard = now;
                self.streams.settle(filling.index);
            }
            if now.since(heard) >= SILENCE_TIME_MAX {
                return Err(Reason::Silent.into());
            }
            if !self.is_wanted(now) {
                return Ok(());
            }
            conversation.flush()?;
            let read = conversation.read(Some(&mut filling.cell.borrow_mut().ring), now)?;
            turn = (turn + 1) % READS_PER_TURN;
            if read.is_none() {
                self.watch.at(now.after(UPSTREAM_LOOK_TIME));
                conversation.link.news(conversation.wanted(), &self.watch.bell).await?;
            } else if turn == 0 {
                future::yield_now().await;
            }
        }
    }

    /// Takes everything that is whole; says whether there was media.
    fn drain(
        &self,
        conversation: &mut Conversation<'_>,
        filling: Filling<'_>,
        now: Instant,
    ) -> Result<bool, Stop> {
        let said = conversation.said();
        let Filling { index, id, cell } = filling;
        let mut media = false;
        loop {
            let next = conversation.next(Some(&mut cell.borrow_mut().ring))?;
            let Some(arrival) = next else { break };
            match arrival.bin {
                Bin::Nowhere => {}
                Bin::Media(_) => {
                    media = true;
                    let taken = intake::deliver(&self.streams, index, id, &arrival, now);
                    if !taken.map_err(Reason::from)? {
                        return Err(Reason::Replaced.into());
                    }
                }
                Bin::Scratch => match conversation.hear(&arrival)? {
                    Some(ClientEvent::Metadata { body, .. }) => self.streams.metadata(index, body),
                    Some(ClientEvent::Data { body, timestamp, .. }) => {
                        self.streams.data(index, timestamp, &[], body);
                    }
                    Some(ClientEvent::UnpublishNotify | ClientEvent::StreamEof { .. }) => {
                        return Err(Reason::Ended.into());
                    }
                    Some(event) => {
                        verdict(&event, said)?;
                    }
                    None => {}
                },
            }
        }
        conversation.acknowledge();
        Ok(media)
    }
}
