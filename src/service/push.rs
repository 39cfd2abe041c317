//! Streams sent on to upstreams: a task for each.
//!
//! Waits until its stream is on the air, publishes it from the newest keyframe on, and ends that
//! when the camera leaves. Media goes from the stream's ring by `Feed`: an upstream that is too
//! slow is overrun and counted, and nobody waits for it. What goes wrong is tried again after a
//! pause. Copies nothing and changes nothing of the media.
//! Source: RTMP 1.0 §7.2.2.6; Enhanced RTMP v2, "Reconnect Request".

use crate::limits::{PLAYER_STALL_TIME_MAX, UPSTREAM_STEADY_TIME};
use crate::proto::rtmp::gather::Towards;
use crate::service::clock;
use crate::service::feed::{Feed, News, Sent};
use crate::service::intake::Place;
use crate::service::reactor::Reactor;
use crate::service::relay::{Relay, State};
use crate::service::stream::Streams;
use crate::service::upstream::pause::Pauses;
use crate::service::upstream::{Conversation, Reason, Route, Stop, Target, Watch};
use crate::status::Status;
use crate::sys::poll::Interest;
use crate::sys::random;
use crate::time::Instant;
use core::convert::Infallible;
use smol::future;
use std::io::Write as _;
use std::rc::Rc;

/// One upstream and its stream.
pub struct Push {
    /// What is shown of it.
    pub relay: Rc<Relay>,
    /// Whom to ask, and as what.
    pub target: Target,
    /// Its bell and deadlines.
    pub watch: Rc<Watch>,
    /// Where the stream is.
    pub streams: Rc<Streams>,
    /// Counters.
    pub status: Rc<Status>,
    /// The loop.
    pub reactor: Rc<Reactor>,
}

impl Push {
    /// Private memory of its place, in bytes.
    pub const PLACE_BYTES: usize = Place::BYTES;

    /// Runs for ever in `place`, which was allocated at start.
    pub async fn run(self, mut place: Box<Place>) {
        let mut pauses = Pauses::new();
        loop {
            self.relay.enter(State::Waiting, clock::now());
            self.on_air().await;
            let start = clock::now();
            let Err(reason) = Box::pin(self.attempt(&mut place)).await else { continue };
            let pause = pauses.after(clock::now().since(start), random::u32());
            self.relay.fail(&reason);
            self.relay.enter(State::Pausing, clock::now());
            log::warn!(
                "push ended name={} cause=\"{reason}\" pause_ms={}",
                self.relay.name,
                pause.as_millis()
            );
            self.reactor.sleep(pause).await;
        }
    }

    /// Waits for the stream.
    async fn on_air(&self) {
        let bell = &self.watch.bell;
        while self.stream().is_none() {
            self.streams.await_arrival(bell);
            bell.rung().await;
        }
        self.streams.forget_arrival(bell);
    }

    /// The stream's number while it is on the air.
    fn stream(&self) -> Option<usize> {
        let index = self.streams.find(&self.relay.stream)?;
        let is_live = self.streams.get(index)?.borrow().publisher().is_some();
        is_live.then_some(index)
    }

    /// Publishes until the camera leaves.
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
            let outcome = Box::pin(self.publish(&mut conversation)).await;
            if !matches!(outcome, Err(Stop::Failed(_))) {
                conversation.part(&self.watch).await;
            }
            conversation.abandon(None);
            match outcome {
                Ok(()) => {
                    log::info!("push closed name={} upstream={}", self.relay.name, said.shown);
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

    async fn publish(&self, conversation: &mut Conversation<'_>) -> Result<(), Stop> {
        let id = conversation.open(&self.watch).await?;
        let mut feed = Feed::new(Towards::Server);
        let Some(stream) = self.stream().filter(|&stream| feed.follow(id, stream, &self.streams))
        else {
            return Ok(());
        };
        self.relay.enter(State::Running, clock::now());
        let (name, upstream) = (&self.relay.name, &conversation.said().shown);
        log::info!("push opened name={name} upstream={upstream}");
        self.streams.listen(stream, &self.watch.bell);
        let outcome = self.pump(conversation, &mut feed).await;
        self.streams.hang_up(stream, &self.watch.bell);
        self.watch.never();
        outcome
    }

    /// Sends what there is until the camera leaves.
    async fn pump(&self, conversation: &mut Conversation<'_>, feed: &mut Feed) -> Result<(), Stop> {
        let mut stalled = None::<Instant>;
        let mut leaving = false;
        loop {
            let now = clock::now();
            let heard = conversation.attend(now);
            if heard.is_err() && feed.is_between_messages() {
                return heard;
            }
            leaving = self.has_left(feed) || leaving;
            if leaving && feed.is_between_messages() {
                return Ok(());
            }
            let Conversation { link, place, .. } = &mut *conversation;
            let mut socket = &*link;
            let before = place.out.total_sent();
            let sent = feed.pump(&self.streams, &mut place.out, &self.status, |slices| {
                socket.write_vectored(slices)
            })?;
            // What it asks for is done between two messages.
            heard?;
            let moved = place.out.total_sent() > before;
            let wanted = match sent {
                Sent::Turn => {
                    stalled = None;
                    future::yield_now().await;
                    continue;
                }
                Sent::All => Interest::Read,
                Sent::Blocked => Interest::Both,
            };
            if sent == Sent::All {
                stalled = None;
                self.watch.never();
            } else {
                let since = *stalled.get_or_insert(now);
                if moved {
                    stalled = Some(now);
                } else if now.since(since) >= PLAYER_STALL_TIME_MAX {
                    return Err(Reason::Stalled.into());
                }
                self.watch.at(stalled.unwrap_or(now).after(PLAYER_STALL_TIME_MAX));
            }
            conversation.link.news(wanted, &self.watch.bell).await?;
        }
    }

    /// Whether the stream has no publisher any more.
    fn has_left(&self, feed: &mut Feed) -> bool {
        let mut left = false;
        let watched = feed.watch(&self.streams, |_, news| {
            left = news != News::Published;
            Ok::<(), Infallible>(())
        });
        debug_assert!(watched.is_ok());
        left
    }
}
