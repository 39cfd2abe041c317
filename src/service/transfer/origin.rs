//! Where a pull has its stream from: a server that was asked for it, or a publisher who came.
//!
//! Both are read, heard and answered in the same way; what they say comes down to `Word`. How they
//! were reached is `upstream`'s, what is done with the media `pull`'s.
//! Source: RTMP 1.0 §7.2.

use crate::proto::rtmp::client::ClientEvent;
use crate::proto::rtmp::dechunk::Arrival;
use crate::proto::rtmp::event::Event;
use crate::service::link::Link;
use crate::service::upstream::guest::Guest;
use crate::service::upstream::{Conversation, Stop, verdict};
use crate::storage::FrameRing;
use crate::sys::poll::Interest;
use crate::time::{Instant, Millis};

/// What was said beside media.
pub(super) enum Word<'a> {
    /// Metadata: the values behind the name.
    Metadata(&'a [u8]),
    /// Another data message.
    Data(&'a [u8], Millis),
    /// There is no more.
    Over,
}

/// A connection that media comes from.
pub(super) trait Origin {
    /// The connection.
    fn link(&self) -> &Link;
    /// What to wait for.
    fn wanted(&self) -> Interest;
    /// Reads once, if there is something; says whether there was.
    fn read(&mut self, media: &mut FrameRing, now: Instant) -> Result<bool, Stop>;
    /// The next whole message.
    fn next(&mut self, media: &mut FrameRing) -> Result<Option<Arrival>, Stop>;
    /// What a message says that lies in the connection's own ring.
    fn hear(&mut self, arrival: &Arrival) -> Result<Option<Word<'_>>, Stop>;
    /// Acknowledges what was read, if that is due.
    fn acknowledge(&mut self);
    /// Sends what the peer takes of what is pending.
    fn flush(&mut self) -> Result<(), Stop>;
}

impl Origin for Conversation<'_> {
    fn link(&self) -> &Link {
        &self.link
    }

    fn wanted(&self) -> Interest {
        self.wanted()
    }

    fn read(&mut self, media: &mut FrameRing, now: Instant) -> Result<bool, Stop> {
        Ok(self.read(Some(media), now)?.is_some())
    }

    fn next(&mut self, media: &mut FrameRing) -> Result<Option<Arrival>, Stop> {
        Ok(self.next(Some(media))?)
    }

    fn hear(&mut self, arrival: &Arrival) -> Result<Option<Word<'_>>, Stop> {
        let said = self.said();
        Ok(match self.hear(arrival)? {
            Some(ClientEvent::Metadata { body, .. }) => Some(Word::Metadata(body)),
            Some(ClientEvent::Data { body, timestamp, .. }) => Some(Word::Data(body, timestamp)),
            Some(ClientEvent::UnpublishNotify | ClientEvent::StreamEof { .. }) => Some(Word::Over),
            Some(event) => {
                verdict(&event, said)?;
                None
            }
            None => None,
        })
    }

    fn acknowledge(&mut self) {
        self.acknowledge();
    }

    fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.flush()?)
    }
}

impl Origin for Guest<'_> {
    fn link(&self) -> &Link {
        &self.link
    }

    fn wanted(&self) -> Interest {
        self.wanted()
    }

    fn read(&mut self, media: &mut FrameRing, _now: Instant) -> Result<bool, Stop> {
        Ok(self.read(Some(media))?)
    }

    fn next(&mut self, media: &mut FrameRing) -> Result<Option<Arrival>, Stop> {
        Ok(self.next(Some(media))?)
    }

    fn hear(&mut self, arrival: &Arrival) -> Result<Option<Word<'_>>, Stop> {
        Ok(match self.hear(arrival)? {
            Some(Event::Metadata { body, .. }) => Some(Word::Metadata(body)),
            Some(Event::Data { body, timestamp, .. }) => Some(Word::Data(body, timestamp)),
            Some(Event::Unpublish { .. }) => Some(Word::Over),
            Some(_) | None => None,
        })
    }

    fn acknowledge(&mut self) {
        self.acknowledge();
    }

    fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.flush()?)
    }
}
