//! One publisher's connection: the synchronous part.
//!
//! Bytes go through handshake, dechunker and session; media messages go to their stream in the
//! ring they were assembled in. Everything happens in `advance`; nothing waits. Says in one log
//! line why a connection ended: peer, stream byte, chunk stream, what was expected and seen.

use super::pace::Pace;
use super::player::{Playing, Want};
use super::publisher::Claim;
use super::{Ingest, Live, Phase};
use crate::limits::{
    AGENT_BYTES_SHOWN, PUBLISHES_MAX, RTMPE_HANDSHAKES_PER_S, STRAY_BYTES_MAX,
    STREAM_PATH_BYTES_MAX,
};
use crate::proto::rtmp::auth::challenger::Rejection;
use crate::proto::rtmp::dechunk::{Arrival, Bin, ChunkError, Rings};
use crate::proto::rtmp::event::{Admission, Event, PlayWish};
use crate::proto::rtmp::handshake::{self, Encryption, HandshakeError};
use crate::proto::rtmp::seal::Seal;
use crate::proto::rtmp::server::{Session, SessionError};
use crate::service::clock;
use crate::service::door::{Ask, Connect, Denial, Door, Grant, NotYet, Purpose, StreamPath};
use crate::service::intake::{self, Intake, Place, Received, Share};
use crate::service::store::{masked, masked_pair};
use crate::service::stream::{PublishRefusal, Stream, Streams};
use crate::status::{Counter, Status};
use crate::storage::{FrameRing, widen};
use crate::sys::random;
use crate::time::{Instant, Millis};
use crate::wire::rtmp::aggregate::AggregateError;
use crate::wire::rtmp::handshake::ENCRYPTED_VERSION;
use crate::wire::rtmp::message::MessageType;
use core::cell::RefMut;
use core::fmt::Write as _;
use core::time::Duration;
use std::io::{self, Write as _};
use std::rc::Rc;

/// Why a connection ended before the peer closed it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    #[error("{0}")]
    Chunk(#[from] ChunkError),
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("aggregate message: {0}")]
    Aggregate(#[from] AggregateError),
    #[error("{bytes} bytes of media on streams that are not published, at most {max} are taken")]
    Stray { bytes: u64, max: u64 },
    #[error("another connection has taken the stream over")]
    Replaced,
    #[error("more rtmpe handshakes than {max} in a second: each takes long; use rtmps")]
    Agreements { max: u64 },
    #[error("more than {max} publishes on one connection")]
    Publishes { max: u32 },
    #[error("publish of {path}: {refusal}")]
    Publish { path: String, refusal: PublishRefusal },
    #[error("connect: {0}")]
    NotYet(Rejection),
    #[error("publish of {path}: {denial}")]
    Denied { path: String, denial: Denial },
    #[error("{0}")]
    Io(#[from] io::Error),
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a connection is boxed and has one of them")]
enum Stage {
    Handshake(handshake::Server),
    Chunks,
}

/// A stream that this connection publishes.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) id: u32,
    pub(super) stream: usize,
    pub(super) path: StreamPath,
    /// Wants `Streams::settle`.
    pub(super) touched: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) place: Option<Box<Place>>,
    pub(super) live: Rc<Live>,
    pub(super) ingest: Rc<Ingest>,
    stage: Stage,
    pub(super) intake: Intake,
    pub(super) session: Session,
    pub(super) published: heapless::Vec<Published, PUBLISHES_MAX>,
    /// Publishes that began.
    pub(super) publishes: u32,
    total: u64,
    stray: u64,
    pace: Pace,
    /// Who has signed in.
    user: Option<usize>,
    /// What it may publish if who does is gone.
    pub(super) claim: Option<Claim>,
    pub(super) playing: Option<Box<Playing>>,
    /// There are bytes that `advance` has not looked at: its time was over. To be gone on with
    /// before the next read.
    pub(super) is_unfinished: bool,
    /// Whether its place is a player's.
    pub(super) is_slim: bool,
}

/// What the door says, and to whom in the log: application and name with most of it hidden.
pub(super) struct Entry {
    pub(super) verdict: Result<Grant, Denial>,
    pub(super) shown: heapless::String<STREAM_PATH_BYTES_MAX>,
}

/// What a message asks the connection to do, free of borrows.
enum Act {
    Nothing,
    Connect(Result<Option<usize>, Box<NotYet>>),
    Publish { id: u32, entry: Entry },
    Unpublish { id: u32 },
    Play { id: u32, entry: Entry, wish: PlayWish },
    Stop { id: u32 },
    Want { id: u32, what: Want },
}

impl Entry {
    fn new(door: &Door, ask: &Ask<'_>, now: Instant) -> Self {
        let mut shown = heapless::String::new();
        // A path that is too long is shown as far as it fits.
        let _whole = write!(shown, "{}", masked_pair(ask.app, ask.name));
        Self { verdict: door.enter(ask, now), shown }
    }
}

impl Connection {
    pub(super) fn new(
        place: Box<Place>,
        live: Rc<Live>,
        ingest: Rc<Ingest>,
        admission: Admission,
    ) -> Box<Self> {
        let stage = Stage::Handshake(handshake::Server::new(ingest.encryption));
        Box::new(Self {
            place: Some(place),
            live,
            ingest,
            stage,
            intake: Intake::new(),
            session: Session::new(admission),
            published: heapless::Vec::new(),
            publishes: 0,
            total: 0,
            stray: 0,
            pace: Pace::new(clock::now()),
            user: None,
            claim: None,
            playing: None,
            is_unfinished: false,
            is_slim: false,
        })
    }

    pub(super) fn live(&self) -> Rc<Live> {
        Rc::clone(&self.live)
    }

    /// Reads once: what is left of a large chunk goes straight into its message's place, the rest
    /// into the byte ring, with one system call.
    pub(super) fn receive(&mut self, socket: impl io::Read) -> io::Result<Received> {
        let Some(place) = &mut self.place else { return Ok(Received { bytes: 0, filled: false }) };
        let mut guards = Guards::of(&self.published, &self.ingest.streams);
        let mut rings = guards.rings(&mut place.scratch);
        self.intake.receive(&mut place.rx, &mut rings, socket)
    }

    /// Uses the `bytes` of the last read.
    pub(super) fn advance(&mut self, bytes: usize, now: Instant) -> Result<(), Fault> {
        // What came before the end may still be read, but its streams may be somebody else's.
        if self.live.ended.get().is_some() {
            return Err(Fault::Replaced);
        }
        let more = widen(bytes);
        if bytes > 0 {
            self.live.heard.set(now);
        }
        self.ingest.status.add(Counter::RtmpBytesIn, more);
        self.intake.received();
        if let Stage::Handshake(_) = &self.stage {
            if !self.handshake(now)? {
                return Ok(());
            }
            self.stage = Stage::Chunks;
            self.live.enter(Phase::Setup, now);
        } else {
            self.total += more;
        }
        let outcome = self.messages(now);
        self.pace.count(more, now);
        if let Some(place) = &mut self.place {
            self.session.bytes_received(self.total, &mut place.out);
        }
        for published in &mut self.published {
            if core::mem::take(&mut published.touched) {
                self.ingest.streams.settle(published.stream);
            }
        }
        let time = if outcome.is_ok() { self.gather_time() } else { Duration::ZERO };
        self.live.link.gather(self.pace.gather(time));
        outcome
    }

    /// Goes on with the handshake; whether it is over.
    fn handshake(&mut self, now: Instant) -> Result<bool, Fault> {
        let Stage::Handshake(handshake) = &mut self.stage else { return Ok(true) };
        let Some(place) = &mut self.place else { return Ok(false) };
        let Ingest { encryption, agreements, blocks, status, .. } = &*self.ingest;
        let encrypts = place.rx.look().first() == Some(&ENCRYPTED_VERSION);
        if handshake.is_fresh() && encrypts {
            let is_allowed = *encryption == Encryption::Allowed;
            let is_too_much = is_allowed && !agreements.takes(now);
            if !is_allowed || is_too_much {
                status.add(Counter::RtmpeRefused, 1);
            }
            if is_too_much {
                return Err(Fault::Agreements { max: RTMPE_HANDSHAKES_PER_S });
            }
        }
        let fill = &mut random::fill;
        let used = handshake.advance(place.rx.look(), Millis(0), fill, &mut place.out)?;
        place.rx.consume(used);
        if let Some(mut ciphers) = handshake.take_ciphers() {
            let block = blocks.borrow_mut().pop();
            let block = block.ok_or(HandshakeError::Encrypted)?;
            ciphers.decrypt(place.rx.look_mut());
            self.live.link.encrypt(Seal::new(ciphers, block, place.out.pending().len()));
            self.session.encrypted();
            status.add(Counter::RtmpeOpened, 1);
        }
        Ok(handshake.is_open())
    }

    /// How long the next bytes may gather: not at all where somebody waits for them.
    fn gather_time(&self) -> Duration {
        let streams = &self.ingest.streams;
        if self.live.phase.get() != Phase::Publishing
            || !self.intake.dechunker.is_between_messages()
        {
            return Duration::ZERO;
        }
        let times = self.published.iter().map(|published| streams.gather_time(published.stream));
        times.min().unwrap_or(Duration::ZERO)
    }

    pub(super) fn pending(&self) -> &[u8] {
        self.place.as_ref().map_or(&[], |place| place.out.pending())
    }

    pub(super) fn send(&mut self, mut socket: impl io::Write) -> io::Result<()> {
        let Some(place) = &mut self.place else { return Ok(()) };
        let sent = socket.write(place.out.pending())?;
        place.out.sent(sent);
        Ok(())
    }

    /// Says why the connection ended and, if it broke a rule, tells the peer.
    pub(super) fn report(&mut self, outcome: Result<(), Fault>) {
        let peer = self.live.peer;
        let (byte, csid) = (self.intake.dechunker.position(), self.intake.dechunker.csid());
        if self.live.link.is_shaking() {
            self.ingest.status.add(Counter::TlsUnfinished, 1);
        }
        let told = self.ingest.strangers.takes(clock::now());
        let cause = match (outcome, self.live.ended.get()) {
            (_, Some(why)) => {
                if told {
                    log::warn!("ingest ended peer={peer} byte={byte} csid={csid} cause=\"{why}\"");
                }
                return;
            }
            (Ok(()), None) => {
                if told {
                    log::info!("ingest closed peer={peer} bytes={}", self.total);
                }
                return;
            }
            // What TLS refuses is told like every other refusal.
            (Err(Fault::Io(error)), None) if error.kind() != io::ErrorKind::InvalidData => {
                if told {
                    log::info!("ingest lost peer={peer} byte={byte} cause=\"{error}\"");
                }
                return;
            }
            // Every encoder that signs in comes three times.
            (Err(Fault::NotYet(why @ (Rejection::Unnamed | Rejection::Challenged))), None) => {
                log::debug!("ingest asked peer={peer} cause=\"{why}\"");
                return;
            }
            (Err(fault), None) => fault,
        };
        self.ingest.status.add(Counter::RtmpErrors, 1);
        if told {
            log::warn!("ingest refused peer={peer} byte={byte} csid={csid} cause=\"{cause}\"");
        }
        self.refuse(&cause);
    }

    /// Tells the peer why it must go, unless the session has done so.
    fn refuse(&mut self, cause: &Fault) {
        let handshaken = matches!(self.stage, Stage::Chunks);
        let said = matches!(
            cause,
            Fault::Session(_) | Fault::Publish { .. } | Fault::Denied { .. } | Fault::NotYet(_)
        );
        let may = handshaken && self.may_speak();
        let Some(place) = self.place.as_mut().filter(|_| may) else { return };
        if !said {
            let stream = self.published.first().map_or(0, |published| published.id);
            let mut words = heapless::String::<256>::new();
            // A sentence that is too long ends early.
            let _whole = write!(words, "{cause}");
            if let Err(error) = self.session.fail(stream, &words, &mut place.out) {
                log::debug!("refusal not sent peer={} cause=\"{error}\"", self.live.peer);
            }
        }
        // The socket takes it or the peer goes without.
        let mut link = &self.live.link;
        let _sent = link.write(place.out.pending());
    }

    /// Gives everything back: streams, ring places, buffers.
    pub(super) fn close(mut self: Box<Self>) {
        let now = clock::now();
        self.end_playing();
        if let Some(mut place) = self.place.take() {
            {
                let mut guards = Guards::of(&self.published, &self.ingest.streams);
                let mut rings = guards.rings(&mut place.scratch);
                self.intake.dechunker.abandon(None, &mut rings, &self.ingest.status);
            }
            place.out.reset();
            let held = place.rx.len();
            place.rx.consume(held);
            let places = if self.is_slim { &self.ingest.players } else { &self.ingest.places };
            places.borrow_mut().push(place);
        }
        self.ingest.blocks.borrow_mut().extend(self.live.link.take_block());
        while let Some(published) = self.published.pop() {
            self.leave(&published, now);
        }
        self.ingest.live.borrow_mut().retain(|live| live.id != self.live.id);
    }

    fn leave(&self, published: &Published, now: Instant) {
        let left = self.ingest.streams.leave(published.stream, self.live.id, now);
        if left && self.ingest.publishers.takes(now) {
            log::info!("stream left stream={} peer={}", masked(&published.path), self.live.peer);
        }
    }

    /// Asserts what must always hold between two messages.
    ///
    /// # Panics
    /// If a part contradicts itself, or two entries name one stream.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.intake.dechunker.check_invariants();
        if let Some(place) = &self.place {
            place.rx.check_invariants();
            place.scratch.check_invariants();
            place.out.check_invariants();
        }
        for (i, a) in self.published.iter().enumerate() {
            assert!(self.published.iter().skip(i + 1).all(|b| a.stream != b.stream));
            assert!(self.session.is_publishing(a.id));
        }
        self.ingest.streams.check_invariants();
    }

    /// Handles every message that the byte ring completes, as far as a row of reads lasts: a few
    /// bytes may be a message, and a message may end a segment.
    fn messages(&mut self, now: Instant) -> Result<(), Fault> {
        let share = Share::new(clock::now());
        self.is_unfinished = false;
        while self.claim.is_none() {
            let Some(place) = &mut self.place else { return Ok(()) };
            let arrival = {
                let mut guards = Guards::of(&self.published, &self.ingest.streams);
                let mut rings = guards.rings(&mut place.scratch);
                self.intake.next(&mut place.rx, &mut rings, &self.ingest.status)?
            };
            let Some(arrival) = arrival else { return Ok(()) };
            self.ingest.status.add(Counter::RtmpMessagesIn, 1);
            self.arrived(&arrival, now)?;
            if share.is_over(clock::now()) {
                self.is_unfinished = true;
                break;
            }
        }
        Ok(())
    }

    fn arrived(&mut self, arrival: &Arrival, now: Instant) -> Result<(), Fault> {
        match arrival.bin {
            Bin::Media(id) => self.media(id, arrival, now),
            Bin::Scratch => {
                let act = self.command(arrival, now)?;
                self.act(act, now)
            }
            Bin::Nowhere => self.unwanted(arrival),
        }
    }

    fn media(&mut self, id: u32, arrival: &Arrival, now: Instant) -> Result<(), Fault> {
        let found = self.published.iter_mut().find(|published| published.id == id);
        let Some(published) = found else { return Ok(()) };
        published.touched = true;
        let stream = published.stream;
        self.live.enter(Phase::Publishing, now);
        let streams = &self.ingest.streams;
        let taken = intake::deliver(streams, stream, self.live.id, arrival, now)?;
        if taken { Ok(()) } else { Err(Fault::Replaced) }
    }

    fn command(&mut self, arrival: &Arrival, now: Instant) -> Result<Act, Fault> {
        let Some(place) = &mut self.place else { return Ok(Act::Nothing) };
        let Place { scratch, out, .. } = &mut **place;
        let payload = scratch.bytes(arrival.place).unwrap_or_default();
        let status: &Status = &self.ingest.status;
        let (kind, stream, at) = (arrival.kind, arrival.stream, arrival.at);
        let Some(event) = self.session.message(kind, stream, at, payload, out, status)? else {
            return Ok(Act::Nothing);
        };
        Ok(match event {
            Event::Connect { app, said, query, agent, publishes } => {
                let peer = self.live.peer.ip();
                let connect = Connect { peer, app, said, query, publishes };
                let verdict = self.ingest.door.connect(&connect, now);
                if verdict.is_ok() && self.ingest.strangers.takes(now) {
                    let (agent, peer) = (shown(agent), self.live.peer);
                    let app = Masked { app, is_known: self.ingest.door.knows(app) };
                    log::info!("ingest connected peer={peer} app={app} agent=\"{agent}\"");
                }
                Act::Connect(verdict)
            }
            Event::Publish { stream: id, app, name, query, app_query, .. } => {
                let (purpose, peer) = (Purpose::Publish, self.live.peer.ip());
                let ask = Ask { purpose, peer, app, name, query, app_query, user: self.user };
                Act::Publish { id, entry: Entry::new(&self.ingest.door, &ask, now) }
            }
            Event::Play { stream: id, app, name, query, app_query, wish } => {
                let (purpose, peer) = (Purpose::Play, self.live.peer.ip());
                let ask = Ask { purpose, peer, app, name, query, app_query, user: self.user };
                Act::Play { id, entry: Entry::new(&self.ingest.door, &ask, now), wish }
            }
            Event::Stop { stream } => Act::Stop { id: stream },
            Event::Pause { stream, paused } => Act::Want { id: stream, what: Want::Paused(paused) },
            Event::ReceiveAudio { stream, wanted } => {
                Act::Want { id: stream, what: Want::Audio(wanted) }
            }
            Event::ReceiveVideo { stream, wanted } => {
                Act::Want { id: stream, what: Want::Video(wanted) }
            }
            Event::Unpublish { stream } => Act::Unpublish { id: stream },
            Event::Metadata { stream, body } => {
                let found = self.published.iter().find(|published| published.id == stream);
                if let Some(published) = found {
                    self.ingest.streams.metadata(published.stream, body);
                }
                Act::Nothing
            }
            Event::Data { stream, timestamp, body } => {
                let found = self.published.iter().find(|published| published.id == stream);
                if let Some(published) = found {
                    self.ingest.streams.data(published.stream, timestamp, &[], body);
                }
                Act::Nothing
            }
            Event::Connected { .. } | Event::MetadataCleared { .. } => Act::Nothing,
        })
    }

    fn act(&mut self, act: Act, now: Instant) -> Result<(), Fault> {
        match act {
            Act::Nothing => Ok(()),
            Act::Connect(verdict) => self.connect(verdict),
            Act::Publish { id, entry } => self.publish(id, entry, now),
            Act::Play { id, entry, wish } => self.play(id, entry, wish, now),
            Act::Stop { id } => {
                self.stop(id);
                Ok(())
            }
            Act::Want { id, what } => {
                self.want(id, what);
                Ok(())
            }
            Act::Unpublish { id } => {
                let Some(i) = self.published.iter().position(|published| published.id == id) else {
                    return Ok(());
                };
                let Some(place) = &mut self.place else { return Ok(()) };
                {
                    let mut guards = Guards::of(&self.published, &self.ingest.streams);
                    let mut rings = guards.rings(&mut place.scratch);
                    self.intake.dechunker.abandon(Some(id), &mut rings, &self.ingest.status);
                }
                let published = self.published.swap_remove(i);
                self.leave(&published, now);
                if self.published.is_empty() {
                    self.live.enter(Phase::Setup, now);
                }
                Ok(())
            }
        }
    }

    /// Answers connect as the door says.
    fn connect(&mut self, verdict: Result<Option<usize>, Box<NotYet>>) -> Result<(), Fault> {
        let Some(place) = &mut self.place else { return Ok(()) };
        match verdict {
            Ok(user) => {
                self.user = user;
                Ok(self.session.accept_connect(&mut place.out)?)
            }
            Err(not_yet) => {
                self.session.reject_connect(&not_yet.description, &mut place.out)?;
                Err(Fault::NotYet(not_yet.why))
            }
        }
    }

    /// Counts a message that nobody wants; too much of it ends the connection.
    fn unwanted(&mut self, arrival: &Arrival) -> Result<(), Fault> {
        let status = &self.ingest.status;
        let (MessageType::Audio | MessageType::Video | MessageType::Aggregate) = arrival.kind
        else {
            status.add(Counter::RtmpUnknown, 1);
            return Ok(());
        };
        status.add(Counter::RtmpStrayMedia, 1);
        self.stray += u64::from(arrival.bytes);
        if self.stray > STRAY_BYTES_MAX {
            return Err(Fault::Stray { bytes: self.stray, max: STRAY_BYTES_MAX });
        }
        Ok(())
    }
}

/// The rings that a connection's messages go to, borrowed for one call.
struct Guards<'a>([Option<(u32, RefMut<'a, Stream>)>; PUBLISHES_MAX]);

impl<'a> Guards<'a> {
    fn of(published: &[Published], streams: &'a Streams) -> Self {
        let mut guards = [const { None }; PUBLISHES_MAX];
        for (guard, published) in guards.iter_mut().zip(published) {
            // One that is borrowed already would be listed twice, which `publish` rules out.
            let stream = streams.get(published.stream).and_then(|cell| cell.try_borrow_mut().ok());
            debug_assert!(stream.is_some());
            *guard = stream.map(|stream| (published.id, stream));
        }
        Self(guards)
    }

    fn rings<'r>(&'r mut self, scratch: &'r mut FrameRing) -> Rings<'r> {
        let media = self
            .0
            .each_mut()
            .map(|guard| guard.as_mut().map(|(id, stream)| (*id, &mut stream.ring)));
        Rings { scratch, media }
    }
}

/// An application for a log: what may be a key is hidden but for two characters of each segment.
pub(super) struct Masked<'a> {
    pub(super) app: &'a str,
    pub(super) is_known: bool,
}

impl core::fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_known {
            return f.write_str(self.app);
        }
        for (n, segment) in self.app.split('/').enumerate() {
            let joint = if n == 0 { "" } else { "/" };
            write!(f, "{joint}{}…", segment.get(..2).unwrap_or(segment))?;
        }
        Ok(())
    }
}

/// What a peer says of itself, as much of it as is logged.
pub(super) fn shown(agent: &[u8]) -> impl core::fmt::Display {
    agent.get(..AGENT_BYTES_SHOWN).unwrap_or(agent).escape_ascii()
}
