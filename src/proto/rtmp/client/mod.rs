//! The client's session: what a publisher or player says to an upstream, and what it hears.
//!
//! Begins when the handshake is over. Messages come whole from the dechunker, which obeys Set Chunk
//! Size and Abort; audio, video and aggregates go past the session to the service. The session
//! answers through an `Outbox` and says what happened with a `ClientEvent`. After an error, and
//! after an event that says so, it is over: it hears nothing more, and the caller closes.
//!
//! ```text
//! publish: [chunk size] connect │ releaseStream FCPublish createStream │ publish      │ media
//! play:    connect              │ window createStream [FCSubscribe]    │ [length] play│ media
//!                            answer 1                             answer           status
//! ```
//!
//! Source: RTMP 1.0 §7.2; Errata §8; ffmpeg's order of calls, as measured. Not here: URLs, the
//! media itself (`gather`), signing in, when to try again.
//!
//! Quirks: only connect, createStream, publish and play need an answer, in any order among those
//! of other calls. Answers may carry their transaction and stream id as text. A `_result` to
//! publish or play counts as its status (librtmp takes it so). Statuses count on any message
//! stream. `onBWDone` is answered once, whenever it comes.

mod call;
mod data;
pub mod event;
mod info;
pub mod plan;
mod proof;
pub mod step;

pub use event::{Capabilities, ClientEvent, Refusal};
pub use plan::{Enhanced, Plan, PlanError, Play, PublishType, Role, Start, Swf, Text};
pub use step::{ClientError, Step};

use crate::limits;
use crate::proto::rtmp::enchunk::{Outbox, OutboxFull};
use crate::proto::rtmp::flow::{Flow, control};
use crate::proto::rtmp::handshake;
use crate::status::{Counter, Status};
use crate::time::{Instant, Millis};
use crate::wire::amf0::{Value, Values};
use crate::wire::rtmp::command::{self, Command, whole};
use crate::wire::rtmp::handshake::DIGEST_BYTES;
use crate::wire::rtmp::message::{
    Acknowledgement, MessageType, SetChunkSize, SetPeerBandwidth, WindowAckSize,
};
use crate::wire::rtmp::user_control::UserControl;
use crate::wire::writer::Writer;
use call::Call;
use data::Heard;
use info::Info;
use proof::SWF_PROOF_BYTES;

/// Transaction of connect (RTMP 1.0 §7.2.1.1).
const CONNECT: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    /// createStream has this transaction.
    Creating {
        transaction: u32,
    },
    /// publish or play has this transaction.
    Asking {
        stream: u32,
        transaction: u32,
    },
    Open {
        stream: u32,
    },
    Over,
}

/// The client's end of one connection, after the handshake. Under 1 KiB; borrows its plan.
#[derive(Clone, Debug)]
pub struct Session<'p> {
    plan: Plan<'p>,
    state: State,
    flow: Flow,
    /// Transaction of the last call.
    transaction: u32,
    /// The first tick after the state changed.
    since: Option<Instant>,
    has_checked_bandwidth: bool,
    /// Key of the proof of the player's file.
    salt: [u8; DIGEST_BYTES],
}

impl<'p> Session<'p> {
    /// Says connect. A publisher announces its chunk size first.
    ///
    /// # Errors
    /// `Plan`, or `OutboxFull`.
    pub fn start(
        plan: Plan<'p>,
        opened: &handshake::Client,
        out: &mut Outbox,
    ) -> Result<Self, ClientError> {
        plan.check()?;
        if let Role::Publish(_) = plan.role {
            out.set_chunk_size(SetChunkSize { bytes: limits::CHUNK_BYTES_OUT })?;
        }
        Call::Connect(&plan).send(f64::from(CONNECT), out)?;
        Ok(Self {
            plan,
            state: State::Connecting,
            flow: Flow::new(),
            transaction: CONNECT,
            since: None,
            has_checked_bandwidth: false,
            salt: *opened.salt(),
        })
    }

    /// Handles one message of a type other than audio, video and aggregate.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn message<'a>(
        &mut self,
        kind: MessageType,
        stream: u32,
        timestamp: Millis,
        payload: &'a [u8],
        out: &mut Outbox,
        status: &Status,
    ) -> Result<Option<ClientEvent<'a>>, ClientError> {
        if self.state == State::Over {
            return Ok(None);
        }
        match kind {
            MessageType::CommandAmf0 | MessageType::CommandAmf3 => {
                let command = Command::parse(kind, payload)?;
                let transaction = transaction_of(&command, kind, payload);
                self.command(&command, transaction, out, status)
            }
            MessageType::DataAmf0 | MessageType::DataAmf3 => {
                let body = command::values_of(kind, payload);
                Ok(self.data(stream, timestamp, body, status))
            }
            MessageType::Acknowledgement => {
                self.flow.peer_received(Acknowledgement::parse(payload)?.sequence);
                Ok(None)
            }
            MessageType::WindowAckSize => {
                self.flow.asked(WindowAckSize::parse(payload)?);
                Ok(None)
            }
            MessageType::SetPeerBandwidth => {
                self.flow.bounded(SetPeerBandwidth::parse(payload)?, out)?;
                Ok(None)
            }
            MessageType::UserControl => self.user_control(payload, out, status),
            MessageType::SetChunkSize
            | MessageType::Abort
            | MessageType::Audio
            | MessageType::Video
            | MessageType::Aggregate
            | MessageType::SharedObject
            | MessageType::SharedObjectAmf3
            | MessageType::Unknown(_) => {
                status.add(Counter::RtmpUnknown, 1);
                Ok(None)
            }
        }
    }

    /// Lets time pass; the first tick of a step begins its time.
    ///
    /// # Errors
    /// `NoAnswer` when `limits::UPSTREAM_STEP_TIME_MAX` has passed; the session is over then.
    pub fn tick(&mut self, now: Instant) -> Result<(), ClientError> {
        let step = self.step();
        if matches!(step, Step::Stream | Step::Over) {
            return Ok(());
        }
        let since = *self.since.get_or_insert(now);
        if now.since(since) < limits::UPSTREAM_STEP_TIME_MAX {
            return Ok(());
        }
        self.state = State::Over;
        Err(ClientError::NoAnswer { step, seconds: limits::UPSTREAM_STEP_TIME_MAX.as_secs() })
    }

    /// Acknowledges if it is due; `total` is all bytes received after the handshake.
    pub fn bytes_received(&mut self, total: u64, out: &mut Outbox) {
        self.flow.received(total, out);
    }

    /// Ends the stream as the protocol does it. The session is over; what is pending should be
    /// sent before closing.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn leave(&mut self, out: &mut Outbox) -> Result<(), ClientError> {
        let state = core::mem::replace(&mut self.state, State::Over);
        let (State::Asking { stream, .. } | State::Open { stream }) = state else {
            return Ok(());
        };
        if let Role::Publish(_) = self.plan.role {
            self.call(Call::FcUnpublish(self.plan.name), out)?;
        }
        self.call(Call::DeleteStream(stream), out)?;
        Ok(())
    }

    /// The peer closed: what to say about it.
    #[must_use]
    pub const fn hung_up(&self) -> ClientError {
        ClientError::HungUp(self.step())
    }

    /// What the session waits for.
    #[must_use]
    pub const fn step(&self) -> Step {
        match (self.state, self.plan.role) {
            (State::Connecting, _) => Step::Connect,
            (State::Creating { .. }, _) => Step::CreateStream,
            (State::Asking { .. }, Role::Publish(_)) => Step::Publish,
            (State::Asking { .. }, Role::Play(_)) => Step::Play,
            (State::Open { .. }, _) => Step::Stream,
            (State::Over, _) => Step::Over,
        }
    }

    /// The message stream, once it is created; media of a player may come on it from then on.
    #[must_use]
    pub const fn stream(&self) -> Option<u32> {
        match self.state {
            State::Asking { stream, .. } | State::Open { stream } => Some(stream),
            State::Connecting | State::Creating { .. } | State::Over => None,
        }
    }

    /// Bytes that the server has not acknowledged, of `total` sent since the connection began.
    /// Meaningless for servers that never do.
    #[must_use]
    pub fn unacknowledged(&self, total: u64) -> u32 {
        self.flow.unacknowledged(total)
    }

    /// The transition: what an answer, status or call of the server does in the state we are in.
    fn command<'a>(
        &mut self,
        command: &Command<'a>,
        transaction: Option<u32>,
        out: &mut Outbox,
        status: &Status,
    ) -> Result<Option<ClientEvent<'a>>, ClientError> {
        match command.name {
            b"_result" => return self.result(command, transaction, out),
            b"_error" => return Ok(self.error(command, transaction)),
            b"onStatus" => return Ok(self.status(&Info::of(command))),
            b"onFCUnsubscribe" => return Ok(Some(ClientEvent::UnpublishNotify)),
            b"close" => {
                self.state = State::Over;
                return Ok(Some(ClientEvent::Closed));
            }
            b"onBWDone" if !self.has_checked_bandwidth => {
                self.has_checked_bandwidth = true;
                self.call(Call::CheckBandwidth, out)?;
            }
            b"_onbwcheck" => Call::BandwidthChecked.send(command.transaction, out)?,
            b"ping" => Call::Pong.send(command.transaction, out)?,
            b"onBWDone" | b"_onbwdone" | b"onFCPublish" | b"onFCUnpublish" | b"onFCSubscribe" => {}
            _ => status.add(Counter::RtmpUnknown, 1),
        }
        Ok(None)
    }

    fn result<'a>(
        &mut self,
        command: &Command<'a>,
        transaction: Option<u32>,
        out: &mut Outbox,
    ) -> Result<Option<ClientEvent<'a>>, ClientError> {
        match self.state {
            State::Connecting if transaction == Some(CONNECT) => {
                let info = Info::of(command);
                if info.is_error() || Refusal::of(info.code()).is_some() {
                    return Ok(Some(self.refused(&info)));
                }
                self.create(out)?;
                let properties = command.object();
                let version = properties.and_then(|p| p.get("fmsVer")?.text());
                let enhanced = properties.map_or(Capabilities::NONE, |p| Capabilities::read(&p));
                let agent = version.unwrap_or_default();
                Ok(Some(ClientEvent::Connected { agent, enhanced }))
            }
            State::Creating { transaction: own } if transaction == Some(own) => {
                let stream = command.argument(0).and_then(|value| id(&value));
                self.ask(stream.ok_or(ClientError::StreamId)?, out)?;
                Ok(None)
            }
            State::Asking { stream, transaction: own } if transaction == Some(own) => {
                Ok(Some(self.opened(stream)))
            }
            State::Connecting
            | State::Creating { .. }
            | State::Asking { .. }
            | State::Open { .. }
            | State::Over => Ok(None),
        }
    }

    /// An `_error`: those to calls that need no answer are as good as one.
    fn error<'a>(
        &mut self,
        command: &Command<'a>,
        transaction: Option<u32>,
    ) -> Option<ClientEvent<'a>> {
        let is_ours = match self.state {
            State::Connecting => matches!(transaction, None | Some(0 | CONNECT)),
            State::Creating { transaction: own } | State::Asking { transaction: own, .. } => {
                transaction == Some(own)
            }
            State::Open { .. } | State::Over => false,
        };
        is_ours.then(|| self.refused(&Info::of(command)))
    }

    fn status<'a>(&mut self, info: &Info<'a>) -> Option<ClientEvent<'a>> {
        let code = info.code();
        let is_player = matches!(self.plan.role, Role::Play(_));
        match (code, self.state) {
            ("NetStream.Publish.Start", State::Asking { stream, .. }) if !is_player => {
                Some(self.opened(stream))
            }
            (
                "NetStream.Play.Start" | "NetStream.Play.PublishNotify",
                State::Asking { stream, .. },
            )
            | ("NetStream.Play.Start", State::Open { stream })
                if is_player =>
            {
                Some(self.opened(stream))
            }
            ("NetStream.Play.PublishNotify", _) => Some(ClientEvent::PublishNotify),
            ("NetStream.Play.UnpublishNotify", _) => Some(ClientEvent::UnpublishNotify),
            (
                "NetStream.Play.Stop" | "NetStream.Play.Complete" | "NetStream.Unpublish.Success",
                State::Open { .. },
            ) => Some(ClientEvent::Ended),
            ("NetConnection.Connect.ReconnectRequest", _) => {
                Some(ClientEvent::Reconnect { tc_url: info.tc_url() })
            }
            ("NetConnection.Connect.Closed", _) => {
                self.state = State::Over;
                Some(ClientEvent::Closed)
            }
            _ if info.is_error() || Refusal::of(code).is_some() => Some(self.refused(info)),
            _ => None,
        }
    }

    /// A data message of a stream that is played; those of the server's own go.
    fn data<'a>(
        &self,
        stream: u32,
        timestamp: Millis,
        body: &'a [u8],
        status: &Status,
    ) -> Option<ClientEvent<'a>> {
        if self.stream().is_none() || matches!(self.plan.role, Role::Publish(_)) {
            status.add(Counter::RtmpStrayMedia, 1);
            return None;
        }
        match data::read(stream, timestamp, body) {
            Heard::Event(event) => Some(event),
            Heard::Nothing => None,
            Heard::Broken => {
                status.add(Counter::RtmpDataDropped, 1);
                None
            }
        }
    }

    fn user_control<'a>(
        &self,
        payload: &[u8],
        out: &mut Outbox,
        status: &Status,
    ) -> Result<Option<ClientEvent<'a>>, ClientError> {
        match UserControl::parse(payload)? {
            UserControl::StreamBegin(stream) => {
                return Ok(Some(ClientEvent::StreamBegin { stream }));
            }
            UserControl::StreamEof(stream) => return Ok(Some(ClientEvent::StreamEof { stream })),
            UserControl::PingRequest(time) => event(&UserControl::PingResponse(time), out)?,
            UserControl::SwfRequest(_) => match self.plan.swf {
                Some(swf) => event(&UserControl::SwfResponse(&swf.proof(&self.salt)), out)?,
                None => status.add(Counter::RtmpUnknown, 1),
            },
            UserControl::Unknown { .. } => status.add(Counter::RtmpUnknown, 1),
            UserControl::StreamDry(_)
            | UserControl::SetBufferLength { .. }
            | UserControl::StreamIsRecorded(_)
            | UserControl::PingResponse(_)
            | UserControl::SwfResponse(_)
            | UserControl::BufferEmpty(_)
            | UserControl::BufferReady(_) => {}
        }
        Ok(None)
    }

    /// Asks for a message stream, with what belongs around it.
    fn create(&mut self, out: &mut Outbox) -> Result<(), ClientError> {
        let name = self.plan.name;
        let transaction = match self.plan.role {
            Role::Publish(_) => {
                self.call(Call::ReleaseStream(name), out)?;
                self.call(Call::FcPublish(name), out)?;
                self.call(Call::CreateStream, out)?
            }
            Role::Play(play) => {
                self.flow.announce(limits::ACK_WINDOW_BYTES, out)?;
                let transaction = self.call(Call::CreateStream, out)?;
                let live = (play.start == Start::Live).then_some(name);
                if let Some(name) = play.subscribe.or(live) {
                    self.call(Call::FcSubscribe(name), out)?;
                }
                transaction
            }
        };
        self.enter(State::Creating { transaction });
        Ok(())
    }

    /// Asks to publish or play on the stream that was created.
    fn ask(&mut self, stream: u32, out: &mut Outbox) -> Result<(), ClientError> {
        let name = self.plan.name;
        let transaction = match self.plan.role {
            Role::Publish(kind) => self.call(Call::Publish(stream, name, kind), out)?,
            Role::Play(Play { start, buffer_ms, .. }) => {
                if start != Start::Live {
                    self.call(Call::StreamLength(name), out)?;
                }
                let transaction = self.call(Call::Play(stream, name, start), out)?;
                event(&UserControl::SetBufferLength { stream, buffer_ms }, out)?;
                transaction
            }
        };
        self.enter(State::Asking { stream, transaction });
        Ok(())
    }

    fn opened<'a>(&mut self, stream: u32) -> ClientEvent<'a> {
        self.enter(State::Open { stream });
        match self.plan.role {
            Role::Publish(_) => ClientEvent::Publishing { stream },
            Role::Play(_) => ClientEvent::Playing { stream },
        }
    }

    /// The end, with the reason that the information object gives.
    fn refused<'a>(&mut self, info: &Info<'a>) -> ClientEvent<'a> {
        let state = core::mem::replace(&mut self.state, State::Over);
        let (code, description) = (info.code(), info.description());
        if let Some((target, stream_url)) = info.redirect() {
            return ClientEvent::Redirect { target, stream_url };
        }
        // Adobe's and Limelight's methods both name themselves so.
        if state == State::Connecting && description.contains("authmod=") {
            return ClientEvent::NeedsAuth { description };
        }
        let refusal = Refusal::of(code).unwrap_or(Refusal::Failed);
        ClientEvent::Refused { refusal, code, description }
    }

    /// Makes a call; gives its transaction.
    fn call(&mut self, call: Call<'_>, out: &mut Outbox) -> Result<u32, ClientError> {
        self.transaction = self.transaction.wrapping_add(1);
        call.send(f64::from(self.transaction), out)?;
        Ok(self.transaction)
    }

    const fn enter(&mut self, state: State) {
        self.state = state;
        self.since = None;
    }
}

/// The transaction that an answer repeats: a number, or a number as text.
fn transaction_of(command: &Command<'_>, kind: MessageType, payload: &[u8]) -> Option<u32> {
    if command.wants_reply() {
        return whole(command.transaction);
    }
    let said = Values::new(command::values_of(kind, payload)).nth(1)?.ok()?;
    id(&said)
}

/// A number, or a number as text.
fn id(value: &Value<'_>) -> Option<u32> {
    match value.text() {
        Some(text) => text.parse().ok(),
        None => whole(value.number()?),
    }
}

fn event(event: &UserControl<'_>, out: &mut Outbox) -> Result<(), OutboxFull> {
    let mut buffer = [0; 2 + SWF_PROOF_BYTES];
    let mut w = Writer::new(&mut buffer);
    let emitted = event.emit(&mut w);
    debug_assert!(emitted.is_ok());
    control(out, MessageType::UserControl, w.written())
}
