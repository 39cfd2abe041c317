//! The other way round: one publisher, who comes to an address of ours.
//!
//! Listens until somebody publishes what the URL names; who does something else is sent away and
//! the next one is waited for. What the guest sends is the caller's to take. Plain RTMP alone, as
//! in ffmpeg; a server for many is `ingest`.
//! Source: ffmpeg-protocols, "listen" and "timeout"; RTMP 1.0 §7.2.

use super::attempt::Attempt;
use super::conversation::rings;
use super::{Reason, Said, lookup};
use crate::limits::{HANDSHAKE_TIME_MAX, SETUP_TIME_MAX};
use crate::proto::rtmp::dechunk::{Arrival, Bin, ChunkError};
use crate::proto::rtmp::event::{self, Admission, Event, PlayRefusal};
use crate::proto::rtmp::handshake::{self, Encryption, HandshakeError};
use crate::proto::rtmp::server::{Session, SessionError};
use crate::service::clock;
use crate::service::intake::{Intake, Place};
use crate::service::link::Link;
use crate::service::reactor::Source;
use crate::status::Status;
use crate::storage::{FrameRing, widen};
use crate::sys::poll::Interest;
use crate::sys::random;
use crate::time::Millis;
use crate::wire::rtmp::url::Scheme;
use core::time::Duration;
use std::io;
use std::net::TcpListener;

/// Why there is no guest, or no more.
#[derive(Debug, thiserror::Error)]
pub enum GuestFault {
    /// Unsupported: listening in another way.
    #[error("listen takes plain RTMP alone: write it like rtmp://0.0.0.0:1935/live/key")]
    Scheme,
    /// The address is not ours, or taken.
    #[error("cannot listen there: {0}; the URL's host must be an address of this device")]
    Bind(io::Error),
    /// Nobody came.
    #[error("nobody has published within {seconds} s: raise timeout")]
    Nobody {
        /// How long was waited.
        seconds: u32,
    },
    /// Misbehaved: one who does not get as far as publishing.
    #[error("it does not publish in time")]
    Late,
    /// Misbehaved: one who publishes something else.
    #[error("it publishes another stream than the URL names")]
    Other,
    /// It has gone.
    #[error("publisher has gone before it sent audio or video")]
    Gone,
    /// Malformed: its handshake.
    #[error("publisher: {0}")]
    Handshake(#[from] HandshakeError),
    /// Malformed: its chunk stream.
    #[error("publisher: {0}")]
    Chunk(#[from] ChunkError),
    /// What its session cannot go on with.
    #[error("publisher: {0}")]
    Session(#[from] SessionError),
    /// The connection broke.
    #[error("connection to publisher broke: {0}")]
    Io(#[from] io::Error),
}

/// The publisher's connection.
#[derive(Debug)]
pub struct Guest<'a> {
    /// The connection.
    pub link: Link,
    place: Box<Place>,
    intake: Intake,
    /// Before the session.
    handshake: Option<Box<handshake::Server>>,
    session: Box<Session>,
    /// What it publishes.
    stream: Option<u32>,
    total: u64,
    status: &'a Status,
}

impl<'a> Attempt<'a> {
    /// Waits for a publisher of what the target names; none if `is_stopped` says so before.
    ///
    /// # Errors
    /// Why nobody can come, or that nobody did in time.
    pub async fn welcome(
        self,
        mut place: Box<Place>,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Option<Guest<'a>>, Reason> {
        let said = Said::new(self.target, None)?;
        let seconds = self.target.typed()?.listen_s;
        if said.peer.scheme != Scheme::Rtmp {
            return Err(GuestFault::Scheme.into());
        }
        let addresses = lookup::addresses(self.reactor, &said.peer).await?;
        let listener = TcpListener::bind(addresses.as_slice()).map_err(GuestFault::Bind)?;
        listener.set_nonblocking(true)?;
        let listener = Source::new(self.reactor, listener)?;
        let since = clock::now();
        while !is_stopped() {
            if let Some(seconds) = seconds {
                let until = since.after(Duration::from_secs(seconds.into()));
                if clock::now() >= until {
                    return Err(GuestFault::Nobody { seconds }.into());
                }
                self.watch.at(until);
            }
            match listener.get_ref().accept() {
                Ok((socket, peer)) => {
                    let link = Link::new(self.reactor, socket)?;
                    let mut guest = Guest::new(link, place, self.status);
                    match guest.open(&said, self, &is_stopped).await {
                        Ok(()) => return Ok(Some(guest)),
                        Err(fault) => log::warn!("guest refused peer={peer} cause=\"{fault}\""),
                    }
                    place = guest.into_place();
                }
                Err(error) if super::is_pause(&error) => {
                    listener.news(Interest::Read, &self.watch.bell).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

impl<'a> Guest<'a> {
    fn new(link: Link, mut place: Box<Place>, status: &'a Status) -> Self {
        place.reset();
        let handshake = Some(Box::new(handshake::Server::new(Encryption::Refused)));
        let session = Box::new(Session::new(Admission::Open));
        let intake = Intake::new();
        Self { link, place, intake, handshake, session, stream: None, total: 0, status }
    }

    /// Goes as far as publishing.
    async fn open(
        &mut self,
        said: &Said,
        attempt: Attempt<'_>,
        is_stopped: &impl Fn() -> bool,
    ) -> Result<(), GuestFault> {
        let until = clock::now().after(HANDSHAKE_TIME_MAX + SETUP_TIME_MAX);
        loop {
            self.flush()?;
            if self.stream.is_some() {
                return Ok(());
            }
            if clock::now() >= until || is_stopped() {
                return Err(GuestFault::Late);
            }
            attempt.watch.at(until);
            self.link.news(self.wanted(), &attempt.watch.bell).await?;
            self.read(None)?;
            while self.stream.is_none()
                && let Some(arrival) = self.next(None)?
            {
                if arrival.bin == Bin::Scratch {
                    self.answer(&arrival, said)?;
                }
            }
        }
    }

    /// Reads once, if there is something; says whether there was.
    ///
    /// # Errors
    /// `GuestFault`; the end is `Gone`.
    pub fn read(&mut self, media: Option<&mut FrameRing>) -> Result<bool, GuestFault> {
        let Place { rx, scratch, out, .. } = &mut *self.place;
        let mut rings = rings(scratch, self.stream, media);
        let received = match self.intake.receive(rx, &mut rings, &self.link) {
            Err(error) if super::is_pause(&error) => return Ok(false),
            received => received?,
        };
        self.intake.received();
        if received.bytes == 0 {
            return Err(GuestFault::Gone);
        }
        let Some(handshake) = &mut self.handshake else {
            self.total += widen(received.bytes);
            return Ok(true);
        };
        let used = handshake.advance(rx.look(), Millis(0), &mut random::fill, out)?;
        rx.consume(used);
        if handshake.is_open() {
            self.handshake = None;
        }
        Ok(true)
    }

    /// The next whole message.
    ///
    /// # Errors
    /// The guest breaks the rules of chunks.
    pub fn next(&mut self, media: Option<&mut FrameRing>) -> Result<Option<Arrival>, GuestFault> {
        if self.handshake.is_some() {
            return Ok(None);
        }
        let Place { rx, scratch, .. } = &mut *self.place;
        Ok(self.intake.next(rx, &mut rings(scratch, self.stream, media), self.status)?)
    }

    /// Tells the session a message that lies in the connection's own ring.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn hear(&mut self, arrival: &Arrival) -> Result<Option<Event<'_>>, GuestFault> {
        let Place { scratch, out, .. } = &mut *self.place;
        let payload = scratch.bytes(arrival.place).unwrap_or_default();
        let (kind, stream, at) = (arrival.kind, arrival.stream, arrival.at);
        Ok(self.session.message(kind, stream, at, payload, out, self.status)?)
    }

    /// Acknowledges what was read, if that is due.
    pub fn acknowledge(&mut self) {
        self.session.bytes_received(self.total, &mut self.place.out);
    }

    /// Sends what the guest takes of what is pending.
    ///
    /// # Errors
    /// The link's.
    pub fn flush(&mut self) -> Result<(), GuestFault> {
        Ok(self.place.flush(&self.link)?)
    }

    /// What to wait for.
    #[must_use]
    pub fn wanted(&self) -> Interest {
        if self.place.out.pending().is_empty() { Interest::Read } else { Interest::Both }
    }

    /// Answers one who wants to publish, or to play.
    fn answer(&mut self, arrival: &Arrival, said: &Said) -> Result<(), GuestFault> {
        let asked = match self.hear(arrival)? {
            Some(Event::Publish { stream, app, name, .. }) => {
                Some((stream, Some(said.names(app, name))))
            }
            Some(Event::Play { stream, .. }) => Some((stream, None)),
            Some(_) | None => None,
        };
        let (session, out) = (&mut self.session, &mut self.place.out);
        match asked {
            None => Ok(()),
            Some((stream, Some(true))) => {
                session.accept_publish(stream, out)?;
                self.stream = Some(stream);
                Ok(())
            }
            Some((stream, Some(false))) => {
                let words = "another stream is waited for here";
                session.reject_publish(stream, event::Reason::Denied, words, out)?;
                self.flush()?;
                Err(GuestFault::Other)
            }
            Some((stream, None)) => {
                let words = "a publisher is waited for here";
                session.reject_play(stream, PlayRefusal::NotFound, words, out)?;
                self.flush()?;
                Err(GuestFault::Other)
            }
        }
    }

    /// Its buffers, with nothing of it in them.
    fn into_place(mut self) -> Box<Place> {
        let mut rings = rings(&mut self.place.scratch, None, None);
        self.intake.dechunker.abandon(None, &mut rings, self.status);
        self.place
    }
}
