//! One connection to an upstream, from the handshake on.
//!
//! Holds the buffers, the dechunker and the client's session together, and moves bytes between
//! them and the link. Media goes to the ring that the caller lends; what to send, what to do with
//! media and when to try again is the caller's.
//! Source: RTMP 1.0 §5.2, §5.3, §7.2.

use super::reason::Reason;
use super::watch::Watch;
use super::{Elsewhere, Said, Stop};
use crate::limits::{
    LINGER_TIME_MAX, PUBLISHES_MAX, RTMPE_BLOCK_BYTES, UPSTREAM_LOOK_TIME, UPSTREAM_STEP_TIME_MAX,
};
use crate::proto::rtmp::client::{ClientEvent, Plan, Session};
use crate::proto::rtmp::dechunk::{Arrival, Bin, Rings};
use crate::proto::rtmp::enchunk::Outbox;
use crate::proto::rtmp::handshake::{self, Hello};
use crate::proto::rtmp::seal::Seal;
use crate::service::clock;
use crate::service::intake::{Intake, Place, Received};
use crate::service::link::Link;
use crate::service::reactor::Reactor;
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, widen};
use crate::sys::poll::Interest;
use crate::sys::random;
use crate::time::{Instant, Millis};
use std::io::{self, Read as _};
use std::rc::Rc;

#[derive(Debug)]
enum Stage<'p> {
    Handshake { machine: Box<handshake::Client>, since: Instant },
    Session(Box<Session<'p>>),
}

/// The client's end of a connection.
#[derive(Debug)]
pub struct Conversation<'p> {
    /// The connection.
    pub link: Link,
    /// Its buffers.
    pub place: &'p mut Place,
    intake: Intake,
    stage: Stage<'p>,
    plan: Plan<'p>,
    said: &'p Said,
    status: &'p Status,
    /// Bytes received after the handshake.
    total: u64,
}

impl<'p> Conversation<'p> {
    /// Connects and begins the handshake.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn begin(
        reactor: &Rc<Reactor>,
        said: &'p Said,
        plan: Plan<'p>,
        place: &'p mut Place,
        status: &'p Status,
    ) -> Result<Self, Reason> {
        let link = said.dial(reactor).await?;
        place.reset();
        let is_encrypted = said.peer.scheme.is_encrypted();
        let hello = if is_encrypted { Hello::Encrypted } else { Hello::Signed };
        let machine =
            handshake::Client::start(hello, Millis(0), &mut random::fill, &mut place.out)?;
        let stage = Stage::Handshake { machine: Box::new(machine), since: clock::now() };
        Ok(Self { link, place, intake: Intake::new(), stage, plan, said, status, total: 0 })
    }

    /// Waits until the upstream lets us publish or play; gives the message stream. What came
    /// behind that is still to be had from `next`.
    ///
    /// # Errors
    /// Why it will not.
    pub async fn open(&mut self, watch: &Watch) -> Result<u32, Stop> {
        let said = self.said;
        loop {
            self.flush()?;
            let wanted = self.wanted();
            watch.at(clock::now().after(UPSTREAM_LOOK_TIME));
            self.link.news(wanted, &watch.bell).await?;
            let now = clock::now();
            self.tick(now)?;
            let Some(_) = self.read(None, now)? else { continue };
            while let Some(arrival) = self.next(None)? {
                if arrival.bin == Bin::Scratch
                    && let Some(event) = self.hear(&arrival)?
                    && let Some(stream) = verdict(&event, said)?
                {
                    watch.never();
                    self.flush()?;
                    return Ok(stream);
                }
            }
            self.acknowledge();
        }
    }

    /// What to wait for: the peer's bytes always, room when there is something to send.
    #[must_use]
    pub fn wanted(&self) -> Interest {
        if self.place.out.pending().is_empty() { Interest::Read } else { Interest::Both }
    }

    /// Reads once, if there is something; media goes to `media` where it can. None if there is
    /// nothing.
    ///
    /// # Errors
    /// The end, or a handshake that is none.
    pub fn read(
        &mut self,
        media: Option<&mut FrameRing>,
        now: Instant,
    ) -> Result<Option<Received>, Reason> {
        let stream = self.stream();
        let Place { rx, scratch, .. } = &mut *self.place;
        let mut rings = rings(scratch, stream, media);
        let received = match self.intake.receive(rx, &mut rings, &self.link) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            received => received?,
        };
        self.status.add(Counter::RtmpBytesIn, widen(received.bytes));
        self.intake.received();
        if received.bytes == 0 {
            return Err(match &self.stage {
                Stage::Handshake { .. } => Reason::HandshakeClosed,
                Stage::Session(session) => session.hung_up().into(),
            });
        }
        let Place { rx, out, .. } = &mut *self.place;
        match &mut self.stage {
            Stage::Session(_) => self.total += widen(received.bytes),
            Stage::Handshake { machine, .. } => {
                let used = machine.advance(rx.look(), &mut random::fill, out)?;
                rx.consume(used);
                if let Some(mut ciphers) = machine.take_ciphers() {
                    ciphers.decrypt(rx.look_mut());
                    let block = vec![0; RTMPE_BLOCK_BYTES].into();
                    self.link.encrypt(Seal::new(ciphers, block, out.pending().len()));
                }
                if machine.is_open() {
                    let session = Session::start(self.plan, machine, out)?;
                    self.stage = Stage::Session(Box::new(session));
                }
            }
        }
        self.tick(now)?;
        Ok(Some(received))
    }

    /// The next whole message.
    ///
    /// # Errors
    /// The upstream breaks the rules of chunks.
    pub fn next(&mut self, media: Option<&mut FrameRing>) -> Result<Option<Arrival>, Reason> {
        let Stage::Session(_) = &self.stage else { return Ok(None) };
        let stream = self.stream();
        let Place { rx, scratch, .. } = &mut *self.place;
        let arrival = self.intake.next(rx, &mut rings(scratch, stream, media), self.status)?;
        if arrival.is_some() {
            self.status.add(Counter::RtmpMessagesIn, 1);
        }
        Ok(arrival)
    }

    /// Hears all that the upstream says to one that sends.
    ///
    /// # Errors
    /// The end, or where to go on.
    pub fn attend(&mut self, now: Instant) -> Result<(), Stop> {
        let said = self.said;
        loop {
            while let Some(arrival) = self.next(None)? {
                if arrival.bin == Bin::Scratch
                    && let Some(event) = self.hear(&arrival)?
                {
                    verdict(&event, said)?;
                }
            }
            self.acknowledge();
            if self.read(None, now)?.is_none() {
                return Ok(());
            }
        }
    }

    /// Tells the session a message that lies in the connection's own ring.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn hear(&mut self, arrival: &Arrival) -> Result<Option<ClientEvent<'_>>, Reason> {
        let Stage::Session(session) = &mut self.stage else { return Ok(None) };
        let Place { scratch, out, .. } = &mut *self.place;
        let payload = scratch.bytes(arrival.place).unwrap_or_default();
        let (kind, stream, at) = (arrival.kind, arrival.stream, arrival.at);
        Ok(session.message(kind, stream, at, payload, out, self.status)?)
    }

    /// Acknowledges what was read, if that is due.
    pub fn acknowledge(&mut self) {
        if let Stage::Session(session) = &mut self.stage {
            session.bytes_received(self.total, &mut self.place.out);
        }
    }

    /// Sends what the peer takes of what is pending.
    ///
    /// # Errors
    /// The link's.
    pub fn flush(&mut self) -> Result<(), Reason> {
        Ok(self.place.flush(&self.link)?)
    }

    /// Says goodbye as the protocol does it and waits for the peer's end, so that no reset eats
    /// what it was sent; not for longer than `LINGER_TIME_MAX`.
    pub async fn part(&mut self, watch: &Watch) {
        let until = clock::now().after(LINGER_TIME_MAX);
        if let Stage::Session(session) = &mut self.stage
            && session.leave(&mut self.place.out).is_err()
        {
            return;
        }
        let mut scratch = [0; 512];
        let mut finished = false;
        while clock::now() < until {
            if self.flush().is_err() {
                return;
            }
            if !finished && self.place.out.pending().is_empty() {
                finished = true;
                if !self.link.finish() {
                    return;
                }
            }
            match (&self.link).read(&mut scratch) {
                Ok(1..) => continue,
                Err(error) if super::is_pause(&error) => {}
                Ok(0) | Err(_) => return,
            }
            watch.at(until);
            if self.link.news(self.wanted(), &watch.bell).await.is_err() {
                return;
            }
        }
    }

    /// Gives back what was begun in the rings; to be said before they are used for anything else.
    pub fn abandon(&mut self, media: Option<&mut FrameRing>) {
        let stream = self.stream();
        let mut rings = rings(&mut self.place.scratch, stream, media);
        self.intake.dechunker.abandon(None, &mut rings, self.status);
    }

    /// What waits to be sent, and what is beside it.
    pub const fn out(&mut self) -> &mut Outbox {
        &mut self.place.out
    }

    /// What is said.
    #[must_use]
    pub const fn said(&self) -> &'p Said {
        self.said
    }

    fn stream(&self) -> Option<u32> {
        match &self.stage {
            Stage::Handshake { .. } => None,
            Stage::Session(session) => session.stream(),
        }
    }

    /// Ends a step that takes too long.
    fn tick(&mut self, now: Instant) -> Result<(), Reason> {
        match &mut self.stage {
            Stage::Handshake { since, .. } if now.since(*since) < UPSTREAM_STEP_TIME_MAX => Ok(()),
            Stage::Handshake { .. } => Err(Reason::HandshakeSilent),
            Stage::Session(session) => Ok(session.tick(now)?),
        }
    }
}

/// Where messages go: media of `stream` to `ring`.
pub(super) fn rings<'r>(
    scratch: &'r mut FrameRing,
    stream: Option<u32>,
    ring: Option<&'r mut FrameRing>,
) -> Rings<'r> {
    let mut media = [const { None }; PUBLISHES_MAX];
    if let Some(first) = media.first_mut() {
        *first = stream.zip(ring);
    }
    Rings { scratch, media }
}

/// What an event comes down to: the message stream that is open, or why there is none.
///
/// # Errors
/// The end of the conversation.
pub fn verdict(event: &ClientEvent<'_>, said: &Said) -> Result<Option<u32>, Stop> {
    Err(Stop::Failed(match *event {
        ClientEvent::Publishing { stream } | ClientEvent::Playing { stream } => {
            return Ok(Some(stream));
        }
        ClientEvent::Redirect { target, stream_url } => {
            let (target, stream_url) = (target.to_owned(), stream_url.map(str::to_owned));
            return Err(Stop::Elsewhere(Elsewhere::Redirect { target, stream_url }));
        }
        ClientEvent::Reconnect { tc_url } => {
            return Err(Stop::Elsewhere(Elsewhere::Asked { tc_url: tc_url.map(str::to_owned) }));
        }
        ClientEvent::NeedsAuth { description } => {
            let words = description.to_owned();
            return Err(Stop::Elsewhere(Elsewhere::SignIn { words }));
        }
        ClientEvent::Ended => Reason::Ended,
        ClientEvent::Closed => Reason::Goodbye,
        ClientEvent::Refused { refusal, code, description } => {
            Reason::Refused { refusal, words: said.words(code, description) }
        }
        ClientEvent::Connected { .. }
        | ClientEvent::StreamBegin { .. }
        | ClientEvent::StreamEof { .. }
        | ClientEvent::Metadata { .. }
        | ClientEvent::Data { .. }
        | ClientEvent::PublishNotify
        | ClientEvent::UnpublishNotify => return Ok(None),
    }))
}
