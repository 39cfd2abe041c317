//! Streams sent on to upstreams: a task for each.
//!
//! Waits until its stream is on the air, publishes it from the newest keyframe on, and ends that
//! when the camera leaves. Media goes from the stream's ring by `Feed`: an upstream that is too
//! slow is overrun and counted, and nobody waits for it. What goes wrong is tried again after a
//! pause. Copies nothing and changes nothing of the media.
//! Source: RTMP 1.0 §7.2.2.6; Enhanced RTMP v2, "Reconnect Request".

use crate::limits::PLAYER_STALL_TIME_MAX;
use crate::proto::rtmp::gather::Towards;
use crate::service::clock;
use crate::service::feed::{Feed, News, Sent};
use crate::service::intake::Place;
use crate::service::relay::State;
use crate::service::upstream::{Conversation, Keeper, Reason, Stop};
use crate::sys::poll::Interest;
use crate::time::Instant;
use core::convert::Infallible;
use smol::future;
use std::io::Write as _;

/// One upstream and its stream.
pub struct Push {
    /// The upstream.
    pub keeper: Keeper,
}

impl Push {
    /// Runs for ever in `place`, which was allocated at start.
    pub async fn run(self, place: Box<Place>) {
        let publish = async |conversation: &mut Conversation<'_>| self.publish(conversation).await;
        self.keeper.run(place, async || self.on_air().await, publish).await;
    }

    /// Waits for the stream.
    async fn on_air(&self) {
        let Keeper { watch, streams, .. } = &self.keeper;
        while self.stream().is_none() {
            streams.await_arrival(&watch.bell);
            watch.bell.rung().await;
        }
        streams.forget_arrival(&watch.bell);
    }

    /// The stream's number while it is on the air.
    fn stream(&self) -> Option<usize> {
        let Keeper { relay, streams, .. } = &self.keeper;
        let index = streams.find(&relay.stream)?;
        let is_live = streams.get(index)?.borrow().publisher().is_some();
        is_live.then_some(index)
    }

    /// Publishes until the camera leaves.
    async fn publish(&self, conversation: &mut Conversation<'_>) -> Result<(), Stop> {
        let Keeper { relay, watch, streams, .. } = &self.keeper;
        let id = conversation.open(watch).await?;
        let mut feed = Feed::new(Towards::Server);
        let Some(stream) = self.stream().filter(|&stream| feed.follow(id, stream, None, streams))
        else {
            return Ok(());
        };
        relay.enter(State::Running, clock::now());
        let (name, upstream) = (&relay.name, &conversation.said().shown);
        log::info!("push opened name={name} upstream={upstream}");
        streams.listen(stream, &watch.bell);
        let outcome = self.pump(conversation, &mut feed).await;
        streams.hang_up(stream, &watch.bell);
        watch.never();
        if outcome.is_ok() {
            log::info!("push closed name={name} upstream={upstream}");
        }
        outcome
    }

    /// Sends what there is until the camera leaves.
    async fn pump(&self, conversation: &mut Conversation<'_>, feed: &mut Feed) -> Result<(), Stop> {
        let Keeper { watch, streams, status, .. } = &self.keeper;
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
            let sent =
                feed.pump(streams, &mut place.out, status, |slices| socket.write_vectored(slices))?;
            // What it asks for is done between two messages.
            heard?;
            let moved = place.out.total_sent() > before;
            let wanted = match sent {
                Sent::Turn => {
                    stalled = None;
                    future::yield_now().await;
                    continue;
                }
                Sent::All if feed.is_due(streams) => continue,
                Sent::All => Interest::Read,
                Sent::Blocked => Interest::Both,
            };
            if sent == Sent::All {
                stalled = None;
                watch.never();
            } else {
                let since = *stalled.get_or_insert(now);
                if moved {
                    stalled = Some(now);
                } else if now.since(since) >= PLAYER_STALL_TIME_MAX {
                    return Err(Reason::Stalled.into());
                }
                watch.at(stalled.unwrap_or(now).after(PLAYER_STALL_TIME_MAX));
            }
            conversation.link.news(wanted, &watch.bell).await?;
        }
    }

    /// Whether the stream has no publisher any more.
    fn has_left(&self, feed: &mut Feed) -> bool {
        let mut left = false;
        let watched = feed.watch(&self.keeper.streams, |_, news| {
            left = news != News::Published;
            Ok::<(), Infallible>(())
        });
        debug_assert!(watched.is_ok());
        left
    }
}
