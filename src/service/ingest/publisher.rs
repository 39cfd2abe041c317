//! The publishing side of a connection: who may publish, and what is said to who may not.
//!
//! Media goes past here to its stream.
//! Source: RTMP 1.0 §7.2.2.6.

use super::Phase;
use super::connection::{Connection, Entry, Fault, Published};
use crate::limits::PUBLISHES_PER_CONNECTION;
use crate::proto::rtmp::event::Reason;
use crate::service::door::Grant;
use crate::service::store::masked;
use crate::status::Counter;
use crate::time::Instant;
use core::fmt::Write as _;

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
        let streams = &self.ingest.streams;
        let takeover = self.ingest.deadlines.takeover;
        let granted = streams.publish(&path, (self.live.id, right), now, takeover);
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

/// A refusal's own words, as far as an answer has room for them.
pub(super) fn words(refusal: &impl core::fmt::Display) -> heapless::String<256> {
    let mut words = heapless::String::new();
    let _whole = write!(words, "{refusal}");
    words
}
