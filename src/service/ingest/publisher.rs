//! The publishing side of a connection: who may publish, whose stream it takes over, and what is
//! said to who may not.
//!
//! An encoder that comes back finds its older connection still there: TCP does not know yet that it
//! is gone. Who it is tells whether it may end that one. Where only its address says so, the older
//! one gets a moment to show that it is well. Media goes past here to its stream.
//! Source: RTMP 1.0 §7.2.2.6.

use super::connection::{Connection, Entry, Fault, Published};
use super::{Ingest, Phase};
use crate::limits::{PUBLISHES_PER_CONNECTION, TAKEOVER_PROOF_TIME, TAKEOVER_QUIET_TIME};
use crate::proto::rtmp::event::Reason;
use crate::service::door::{Grant, StreamPath};
use crate::service::store::masked;
use crate::service::stream::{PublisherId, Right};
use crate::status::Counter;
use crate::time::Instant;
use core::fmt::Write as _;
use core::time::Duration;

/// A publish that may have to wait.
#[derive(Debug)]
pub(super) struct Claim {
    id: u32,
    path: StreamPath,
    right: Right,
    asked: Instant,
}

/// What becomes of it.
enum Verdict {
    Take,
    Refuse,
    Wait,
}

impl Connection {
    /// Message stream `id` asks to publish; `entry` is what the door says.
    pub(super) fn publish(&mut self, id: u32, entry: Entry, now: Instant) -> Result<(), Fault> {
        let Some(place) = &mut self.place else { return Ok(()) };
        self.publishes += 1;
        if self.publishes > PUBLISHES_PER_CONNECTION {
            return Err(Fault::Publishes { max: PUBLISHES_PER_CONNECTION });
        }
        let Entry { verdict, shown } = entry;
        let Grant { path, right } = match verdict {
            Ok(grant) => grant,
            Err(denial) => {
                let words = words(&denial);
                self.session.reject_publish(id, Reason::Denied, &words, &mut place.out)?;
                return Err(Fault::Denied { path: shown.as_str().to_owned(), denial });
            }
        };
        self.claim(Claim { id, path, right, asked: now }, now)
    }

    /// Whether it waits for another publisher to go on, or not.
    pub(super) const fn claims(&self) -> bool {
        self.claim.is_some()
    }

    /// Looks again whether it may publish, and goes on with what came behind that.
    pub(super) fn claim_again(&mut self, now: Instant) -> Result<(), Fault> {
        if self.live.ended.get().is_some() {
            return Err(Fault::Replaced);
        }
        if let Some(claim) = self.claim.take() {
            self.claim(claim, now)?;
        }
        if self.claims() { Ok(()) } else { self.advance(0, now) }
    }

    fn claim(&mut self, claim: Claim, now: Instant) -> Result<(), Fault> {
        let silence = match self.ingest.verdict(self.live.id, &claim, now) {
            Verdict::Take => Duration::ZERO,
            Verdict::Refuse => Duration::MAX,
            Verdict::Wait => {
                self.claim = Some(claim);
                self.live.enter(Phase::Claiming, now);
                return Ok(());
            }
        };
        let Some(place) = &mut self.place else { return Ok(()) };
        let Claim { id, path, right, .. } = claim;
        let granted = self.ingest.streams.publish(&path, (self.live.id, right), now, silence);
        let (stream, replaced) = match granted {
            Ok(granted) => granted,
            Err(refusal) => {
                self.ingest.status.add(Counter::RtmpRefused, 1);
                let words = words(&refusal);
                self.session.reject_publish(id, refusal.reason(), &words, &mut place.out)?;
                return Err(Fault::Publish { path: masked(&path).to_string(), refusal });
            }
        };
        if let Some(replaced) = replaced {
            self.ingest.status.add(Counter::Takeovers, 1);
            self.ingest.end(replaced.0, "another connection has taken the stream over");
        }
        if self.ingest.publishers.takes(now) {
            log::info!("stream published stream={} peer={}", masked(&path), self.live.peer);
        }
        // Before anything can fail: what is not listed here is never given back.
        let listed = self.published.push(Published { id, stream, path, touched: false });
        debug_assert!(listed.is_ok(), "the session bounds publishes");
        self.session.accept_publish(id, &mut place.out)?;
        self.live.enter(Phase::Publishing, now);
        Ok(())
    }
}

impl Ingest {
    /// What becomes of a claim: a credential takes its stream from an older connection of its own
    /// at once, an address where nothing is asked for does when that is quiet, and anybody may
    /// have an open stream that has been silent for long.
    fn verdict(&self, id: PublisherId, claim: &Claim, now: Instant) -> Verdict {
        let Some(holder) = self.streams.holder(&claim.path) else { return Verdict::Take };
        if holder.id == id {
            return Verdict::Refuse;
        }
        let is_silent = now.since(holder.heard) >= self.deadlines.takeover;
        match (claim.right, holder.right) {
            (Right::Address(mine), Right::Address(its)) if mine == its && !is_silent => {
                let live = self.live.borrow();
                let live = live.iter().find(|live| live.id == holder.id);
                let heard = live.map_or(holder.heard, |live| live.heard.get());
                if now.since(heard) >= TAKEOVER_QUIET_TIME {
                    Verdict::Take
                } else if heard >= claim.asked.after(TAKEOVER_PROOF_TIME) {
                    Verdict::Refuse
                } else {
                    Verdict::Wait
                }
            }
            (Right::Key, Right::Key) => Verdict::Take,
            (Right::User(mine), Right::User(its)) if mine == its => Verdict::Take,
            (Right::Address(_), Right::Address(_)) | (_, Right::Own) if is_silent => Verdict::Take,
            _ => Verdict::Refuse,
        }
    }
}

/// A refusal's own words, as far as an answer has room for them.
pub(super) fn words(refusal: &impl core::fmt::Display) -> heapless::String<256> {
    let mut words = heapless::String::new();
    let _whole = write!(words, "{refusal}");
    words
}
