//! The playing side of a connection: who may play what, and what its feed has to say.
//!
//! A connection that only plays moves to smaller buffers, so that there may be many. One that asks
//! for a stream that is not there waits for it, if the setting says so. Sends nothing itself but
//! through the feed.
//! Source: RTMP 1.0 §7.2.2.

use super::Phase;
use super::connection::{Connection, Entry, Fault};
use super::publisher::words;
use crate::limits::PLAYS_MAX;
use crate::proto::rtmp::event::{PlayRefusal, PlayStart, PlayWish};
use crate::proto::rtmp::gather::Towards;
use crate::service::door::StreamPath;
use crate::service::feed::{Feed, News, Sent};
use crate::service::intake::Place;
use crate::service::reactor::Bell;
use crate::service::store::masked;
use crate::service::stream::Streams;
use crate::status::Counter;
use crate::time::Instant;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// What a connection has when it plays.
#[derive(Debug)]
pub(super) struct Playing {
    feed: Feed,
    waiting: Option<Waiting>,
    /// The smaller buffers that it will move to, until it has.
    place: Option<Box<Place>>,
}

/// A stream that is not there yet.
#[derive(Debug)]
struct Waiting {
    id: u32,
    path: StreamPath,
    wish: PlayWish,
    until: Instant,
}

impl Playing {
    /// Message stream `id` follows nothing any more.
    fn leave(&mut self, id: u32, streams: &Streams, bell: &Rc<Bell>) {
        self.change(streams, bell, |feed| feed.leave(id));
    }

    /// Lets `f` change what is followed, and listens no more to what is not.
    fn change<T>(
        &mut self,
        streams: &Streams,
        bell: &Rc<Bell>,
        f: impl FnOnce(&mut Feed) -> T,
    ) -> T {
        let followed: heapless::Vec<usize, PLAYS_MAX> = self.feed.streams().collect();
        let outcome = f(&mut self.feed);
        for stream in followed {
            if !self.feed.streams().any(|still| still == stream) {
                streams.hang_up(stream, bell);
            }
        }
        outcome
    }
}

impl Connection {
    /// Whether it plays, or waits for what it may play.
    pub(super) const fn plays(&self) -> bool {
        self.playing.is_some()
    }

    /// Message stream `id` asks to play; `entry` is what the door says.
    pub(super) fn play(
        &mut self,
        id: u32,
        entry: Entry,
        wish: PlayWish,
        now: Instant,
    ) -> Result<(), Fault> {
        self.ingest.status.add(Counter::RtmpPlays, 1);
        // What it played so far is over, whatever comes of this.
        self.stop(id);
        let Entry { verdict, shown } = entry;
        let path = match verdict {
            Ok(grant) => grant.path,
            Err(denial) => {
                if self.ingest.strangers.takes(now) {
                    let peer = self.live.peer;
                    log::warn!("play refused stream={shown} peer={peer} cause=\"{denial}\"");
                }
                return self.refuse_play(id, PlayRefusal::Failed, &words(&denial));
            }
        };
        if self.playing.is_none() {
            let Some(place) = self.ingest.players.borrow_mut().pop() else {
                return self.refuse_play(
                    id,
                    PlayRefusal::Failed,
                    "every player place is taken: raise limits.players",
                );
            };
            self.playing = Some(Box::new(Playing {
                feed: Feed::new(Towards::Player),
                waiting: None,
                place: Some(place),
            }));
        }
        self.ingest.streams.relays().want(&path, now);
        if let Some(stream) = self.ingest.streams.find(&path) {
            return self.follow(id, stream, &path, wish);
        }
        let patience = self.ingest.deadlines.play_wait;
        let Some(playing) = &mut self.playing else { return Ok(()) };
        if wish.start != PlayStart::LiveOrWait || patience.is_zero() || playing.waiting.is_some() {
            return self.refuse_play(id, PlayRefusal::NotFound, "no such stream is on the air");
        }
        self.ingest.streams.await_arrival(&self.live.bell);
        playing.waiting = Some(Waiting { id, path, wish, until: now.after(patience) });
        if self.published.is_empty() {
            self.live.enter(Phase::Waiting, now);
        }
        Ok(())
    }

    /// Message stream `id` plays no more.
    pub(super) fn stop(&mut self, id: u32) {
        let Some(playing) = &mut self.playing else { return };
        playing.waiting.take_if(|waiting| waiting.id == id);
        playing.leave(id, &self.ingest.streams, &self.live.bell);
    }

    /// Changes what message stream `id` wants.
    pub(super) fn want(&mut self, id: u32, what: Want) {
        let Some(playing) = &mut self.playing else { return };
        let streams = &self.ingest.streams;
        match what {
            Want::Paused(paused) => playing.feed.pause(id, paused, streams),
            Want::Audio(wanted) => playing.feed.want_audio(id, wanted, streams),
            Want::Video(wanted) => playing.feed.want_video(id, wanted, streams),
        }
    }

    /// Sends what there is for a connection that plays.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<Sent, Fault> {
        self.arrivals(now)?;
        self.slim();
        let (Some(playing), Some(place)) = (&mut self.playing, &mut self.place) else {
            return Ok(Sent::All);
        };
        let (streams, session) = (&self.ingest.streams, &mut self.session);
        let before = place.out.total_sent();
        let mut sent = Sent::All;
        // Once more for what is told behind the last message of a publisher.
        for _ in 0..2 {
            let mut complete = heapless::Vec::<u32, PLAYS_MAX>::new();
            let mut say = |id, news| match news {
                News::Unpublished => session.notify_play(id, false, &mut place.out),
                News::Published => session.notify_play(id, true, &mut place.out),
                News::Gone => session.end_play(id, &mut place.out),
                News::Complete(length) => {
                    let _room = complete.push(id);
                    session.complete_play(id, length, &mut place.out)
                }
            };
            playing.change(streams, &self.live.bell, |feed| feed.watch(streams, &mut say))?;
            for id in complete {
                playing.leave(id, streams, &self.live.bell);
            }
            sent = playing.feed.pump(streams, &mut place.out, &self.ingest.status, &mut write)?;
            if sent != Sent::All || !playing.feed.is_due(streams) {
                break;
            }
        }
        let moved = place.out.total_sent() > before;
        let waits = playing.waiting.is_some();
        // The deadlines of who publishes as well, or is about to, are those of a publisher.
        if self.published.is_empty() && self.claim.is_none() {
            if moved || sent != Sent::Blocked {
                self.live.enter(if waits { Phase::Waiting } else { Phase::Playing }, now);
            }
            if sent == Sent::Blocked {
                self.live.enter(Phase::Stalled, now);
            }
        }
        Ok(sent)
    }

    /// Whether nothing of a message is on its way that a refusal would cut in two.
    pub(super) fn may_speak(&self) -> bool {
        self.playing.as_ref().is_none_or(|playing| playing.feed.is_between_messages())
    }

    /// Looks for the stream that is waited for.
    fn arrivals(&mut self, now: Instant) -> Result<(), Fault> {
        let Some(playing) = &mut self.playing else { return Ok(()) };
        let Some(waiting) = &playing.waiting else { return Ok(()) };
        let found = self.ingest.streams.find(&waiting.path);
        if found.is_none() && now < waiting.until {
            self.ingest.streams.await_arrival(&self.live.bell);
            return Ok(());
        }
        let Some(Waiting { id, path, wish, .. }) = playing.waiting.take() else { return Ok(()) };
        match found {
            Some(stream) => self.follow(id, stream, &path, wish),
            None => self.refuse_play(id, PlayRefusal::NotFound, "no such stream came on the air"),
        }
    }

    fn follow(&mut self, id: u32, stream: usize, path: &str, wish: PlayWish) -> Result<(), Fault> {
        let (Some(playing), Some(place)) = (&mut self.playing, &mut self.place) else {
            return Ok(());
        };
        let (streams, bell) = (&self.ingest.streams, &self.live.bell);
        self.session.accept_play(id, wish.reset, &mut place.out)?;
        let follow = |feed: &mut Feed| feed.follow(id, stream, wish.length, streams);
        let listed = playing.change(streams, bell, follow);
        debug_assert!(listed, "the session bounds plays");
        streams.listen(stream, bell);
        let now = crate::service::clock::now();
        if self.ingest.strangers.takes(now) {
            log::info!("stream played stream={} peer={}", masked(path), self.live.peer);
        }
        Ok(())
    }

    fn refuse_play(&mut self, id: u32, why: PlayRefusal, words: &str) -> Result<(), Fault> {
        self.ingest.status.add(Counter::RtmpPlaysRefused, 1);
        let Some(place) = &mut self.place else { return Ok(()) };
        Ok(self.session.reject_play(id, why, words, &mut place.out)?)
    }

    /// Moves a connection that only plays to the smaller buffers.
    fn slim(&mut self) {
        let Some(playing) = &mut self.playing else { return };
        if !self.published.is_empty() || !self.intake.dechunker.is_between_messages() {
            return;
        }
        let (Some(large), Some(mut small)) = (&mut self.place, playing.place.take()) else {
            return;
        };
        if small.take_over(large) {
            core::mem::swap(large, &mut small);
            self.ingest.places.borrow_mut().push(small);
            self.is_slim = true;
        } else {
            playing.place = Some(small);
        }
    }

    /// Gives back what playing took. The connection is over.
    pub(super) fn end_playing(&mut self) {
        let Some(mut playing) = self.playing.take() else { return };
        for stream in playing.feed.streams() {
            self.ingest.streams.hang_up(stream, &self.live.bell);
        }
        self.ingest.streams.forget_arrival(&self.live.bell);
        if let Some(place) = playing.place.take() {
            self.ingest.players.borrow_mut().push(place);
        }
    }
}

/// What a player changes while it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Paused(bool),
    Audio(bool),
    Video(bool),
}
