//! Streams fetched from upstreams: a task for each.
//!
//! Always, or only while somebody watches: from the first time that the stream is asked for, over
//! HTTP or RTMP, until nobody has for a while. Media goes into the stream's ring as a publisher's
//! does, and from there its way. What goes wrong is tried again after a pause.
//! Source: RTMP 1.0 §7.2.2.1.

use crate::limits::{SILENCE_TIME_MAX, TAKEOVER_TIME_MIN, UPSTREAM_LOOK_TIME};
use crate::proto::rtmp::client::ClientEvent;
use crate::proto::rtmp::dechunk::Bin;
use crate::service::clock;
use crate::service::intake::{self, Place, Share};
use crate::service::relay::State;
use crate::service::store::masked;
use crate::service::stream::{PublisherId, Right, Stream};
use crate::service::upstream::{Conversation, Keeper, Reason, Stop, verdict};
use crate::time::Instant;
use core::cell::RefCell;
use core::time::Duration;
use smol::future;

/// One upstream and the stream that comes from it.
pub struct Pull {
    /// The upstream.
    pub keeper: Keeper,
    /// How long after the last viewer; none is always.
    pub idle: Option<Duration>,
}

/// The stream that is being filled.
#[derive(Clone, Copy)]
struct Filling<'s> {
    index: usize,
    id: PublisherId,
    cell: &'s RefCell<Stream>,
}

/// What came of it so far.
struct Drained {
    media: bool,
    /// Nothing that is whole is left.
    is_all: bool,
}

impl Filling<'_> {
    /// Whether it is still ours.
    fn check(&self) -> Result<(), Reason> {
        let holder = self.cell.borrow().publisher();
        if holder == Some(self.id) { Ok(()) } else { Err(Reason::Replaced) }
    }
}

impl Pull {
    /// Runs for ever in `place`, which was allocated at start.
    pub async fn run(self, place: Box<Place>) {
        let play = async |conversation: &mut Conversation<'_>| self.play(conversation).await;
        self.keeper.run(place, async || self.wanted().await, play).await;
    }

    /// Waits until somebody watches.
    async fn wanted(&self) {
        while !self.is_wanted(clock::now()) {
            self.keeper.watch.bell.rung().await;
        }
    }

    /// Whether somebody watches, or did a moment ago.
    fn is_wanted(&self, now: Instant) -> bool {
        let Some(idle) = self.idle else { return true };
        let Keeper { relay, streams, .. } = &self.keeper;
        if streams.find(&relay.stream).is_some_and(|stream| streams.is_followed(stream)) {
            return true;
        }
        relay.asked().is_some_and(|asked| now.since(asked) < idle)
    }

    /// Fetches until nobody watches.
    async fn play(&self, conversation: &mut Conversation<'_>) -> Result<(), Stop> {
        let Keeper { relay, watch, streams, .. } = &self.keeper;
        conversation.open(watch).await?;
        let id = streams.new_publisher();
        let path = &relay.stream;
        let granted = streams.publish(path, (id, Right::Own), clock::now(), TAKEOVER_TIME_MIN)?;
        let (index, _replaced) = granted;
        let Some(cell) = streams.get(index) else { return Ok(()) };
        relay.enter(State::Running, clock::now());
        let (name, upstream) = (&relay.name, &conversation.said().shown);
        log::info!("pull opened name={name} upstream={upstream} stream={}", masked(path));
        let filling = Filling { index, id, cell };
        let outcome = self.fill(conversation, filling).await;
        conversation.abandon(Some(&mut cell.borrow_mut().ring));
        streams.leave(index, id, clock::now());
        watch.never();
        if outcome.is_ok() {
            log::info!("pull closed name={name} cause=\"nobody watches\"");
        }
        outcome
    }

    /// Takes what comes until nobody watches.
    async fn fill(
        &self,
        conversation: &mut Conversation<'_>,
        filling: Filling<'_>,
    ) -> Result<(), Stop> {
        let mut heard = clock::now();
        let mut share = Share::new(clock::now());
        loop {
            filling.check()?;
            let now = clock::now();
            let Drained { media, is_all } = self.drain(conversation, filling, &share, now)?;
            if media {
                heard = now;
                self.keeper.streams.settle(filling.index);
            }
            if now.since(heard) >= SILENCE_TIME_MAX {
                return Err(Reason::Silent.into());
            }
            if !self.is_wanted(now) {
                return Ok(());
            }
            conversation.flush()?;
            if !is_all {
                future::yield_now().await;
                share = Share::new(clock::now());
                continue;
            }
            let read = conversation.read(Some(&mut filling.cell.borrow_mut().ring), now)?;
            if read.is_none() {
                self.keeper.watch.at(now.after(UPSTREAM_LOOK_TIME));
                conversation.link.news(conversation.wanted(), &self.keeper.watch.bell).await?;
                share = Share::new(clock::now());
            } else if share.is_used_up(clock::now()) {
                future::yield_now().await;
                share = Share::new(clock::now());
            }
        }
    }

    /// Takes everything that is whole, as far as `share` lasts.
    fn drain(
        &self,
        conversation: &mut Conversation<'_>,
        filling: Filling<'_>,
        share: &Share,
        now: Instant,
    ) -> Result<Drained, Stop> {
        let said = conversation.said();
        let Filling { index, id, cell } = filling;
        let mut drained = Drained { media: false, is_all: false };
        while !(drained.media && share.is_over(clock::now())) {
            let next = conversation.next(Some(&mut cell.borrow_mut().ring))?;
            let Some(arrival) = next else {
                drained.is_all = true;
                break;
            };
            match arrival.bin {
                Bin::Nowhere => {}
                Bin::Media(_) => {
                    drained.media = true;
                    let taken = intake::deliver(&self.keeper.streams, index, id, &arrival, now);
                    if !taken.map_err(Reason::from)? {
                        return Err(Reason::Replaced.into());
                    }
                }
                Bin::Scratch => match conversation.hear(&arrival)? {
                    Some(ClientEvent::Metadata { body, .. }) => {
                        self.keeper.streams.metadata(index, body);
                    }
                    Some(ClientEvent::Data { body, timestamp, .. }) => {
                        self.keeper.streams.data(index, timestamp, &[], body);
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
        Ok(drained)
    }
}
