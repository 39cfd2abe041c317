//! The server's session: commands, data messages and control messages of one connection.
//!
//! Messages come whole from the dechunker, which itself obeys Set Chunk Size and Abort; audio,
//! video and aggregates go past the session to the service. The session answers through an
//! `Outbox` and says what happened with an `Event`. After an error the connection is closed, once
//! what is pending has been sent.
//! Source: RTMP 1.0 §5.4, §6, §7; Errata §8. Not here: who may publish or play (the service
//! answers `Event::Publish` and `Event::Play`), deadlines, media.
//!
//! Quirks: publish on message stream 0, or on one that was never created, is accepted. GStreamer's
//! deleteStream carries the stream's name. Data messages that do not parse are counted and
//! dropped, as encoders send empty ones.

mod connect;
mod method;
mod play;
mod streams;

use crate::proto::rtmp::data::Data;
use crate::proto::rtmp::enchunk::{Outbox, OutboxFull};
use crate::proto::rtmp::event::{Admission, Event, PlayRefusal, PublishKind, Reason};
use crate::proto::rtmp::flow::Flow;
use crate::proto::rtmp::name::{Name, NameError, Query, Target};
use crate::proto::rtmp::reply::{self, refuse, send_event, sentence};
use crate::status::{Counter, Status};
use crate::time::Millis;
use crate::wire::reader::Short;
use crate::wire::rtmp::command::{self, Command, CommandError};
use crate::wire::rtmp::message::{
    Acknowledgement, ControlError, MessageType, SetPeerBandwidth, WindowAckSize,
};
use crate::wire::rtmp::user_control::UserControl;
use method::Method;
use streams::{Purpose, Streams};

pub use streams::StreamError;

/// Why a connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Malformed: a command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Malformed: a protocol control message.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Malformed: a user control message.
    #[error(transparent)]
    UserControl(#[from] Short),
    /// Misbehaved: connect came twice.
    #[error("peer sent a second connect")]
    ConnectedTwice,
    /// Misbehaved: a call that needs a connect before it.
    #[error("peer called a stream method before connect")]
    NotConnected,
    /// Misbehaved: an application that is no safe path.
    #[error(transparent)]
    App(#[from] NameError),
    /// Misbehaved, and by the service: an answer to publish that nobody asked for.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Exhausted: the service admits no more connections.
    #[error("connection refused: {0}")]
    Refused(&'static str),
    /// Exhausted: the peer does not read.
    #[error(transparent)]
    Full(#[from] OutboxFull),
    /// Exhausted: an answer is longer than `limits::REPLY_BYTES_MAX`.
    #[error("reply does not fit in {max} bytes")]
    Reply {
        /// The limit.
        max: usize,
    },
    /// Misbehaved: the connection was to be closed.
    #[error("peer goes on after the connection was refused")]
    Closed,
}

/// A connection after connect.
#[derive(Clone, Debug)]
struct Link {
    app: Name,
    app_query: Query,
    streams: Streams,
}

#[derive(Clone, Debug)]
enum State {
    Unconnected,
    /// The service has not said yet whether it may; with the transaction of the call.
    Asked(Link, f64),
    Connected(Link),
    Closed,
}

/// The server's end of one connection, after the handshake. About 5 KiB.
#[derive(Clone, Debug)]
pub struct Session {
    state: State,
    flow: Flow,
    admission: Admission,
    encrypted: bool,
}

impl Session {
    /// A session that waits for connect.
    #[must_use]
    pub const fn new(admission: Admission) -> Self {
        Self { state: State::Unconnected, flow: Flow::new(), admission, encrypted: false }
    }

    /// Says, before connect, that the connection is RTMPE. No chunk size is announced then: ffmpeg,
    /// when it publishes so, encrypts the announcement in place and then believes it.
    pub const fn encrypted(&mut self) {
        self.encrypted = true;
    }

    /// Handles one message of a type other than audio, video and aggregate.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn message<'s>(
        &'s mut self,
        kind: MessageType,
        stream: u32,
        timestamp: Millis,
        payload: &'s [u8],
        out: &mut Outbox,
        status: &Status,
    ) -> Result<Option<Event<'s>>, SessionError> {
        match kind {
            MessageType::CommandAmf0 | MessageType::CommandAmf3 => {
                let command = Command::parse(kind, payload)?;
                self.command(&command, stream, out, status)
            }
            MessageType::DataAmf0 | MessageType::DataAmf3 => {
                let body = command::values_of(kind, payload);
                Ok(self.data(stream, timestamp, body, status))
            }
            MessageType::Acknowledgement => {
                let ack = Acknowledgement::parse(payload)?;
                self.flow.peer_received(ack.sequence);
                Ok(None)
            }
            MessageType::WindowAckSize => {
                self.flow.asked(WindowAckSize::parse(payload)?);
                Ok(None)
            }
            MessageType::SetPeerBandwidth => {
                let wish = SetPeerBandwidth::parse(payload)?;
                self.flow.bounded(wish, out)?;
                Ok(None)
            }
            MessageType::UserControl => {
                user_control(payload, out, status)?;
                Ok(None)
            }
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

    /// Acknowledges if it is due; `total` is all bytes received after the handshake.
    pub fn bytes_received(&mut self, total: u64, out: &mut Outbox) {
        self.flow.received(total, out);
    }

    /// Lets a stream publish that asked to.
    ///
    /// # Errors
    /// `NotAsked`, or `OutboxFull`.
    pub fn accept_publish(&mut self, stream: u32, out: &mut Outbox) -> Result<(), SessionError> {
        self.streams()?.answer(stream, Purpose::Publish, true)?;
        send_event(UserControl::StreamBegin(stream), out)?;
        reply::status(stream, "NetStream.Publish.Start", "Start publishing", out)
    }

    /// Turns away a stream that asked to publish. `description` is for the person at the encoder,
    /// below 512 bytes. Closing the connection is the service's affair.
    ///
    /// # Errors
    /// `NotAsked`, or `OutboxFull`.
    pub fn reject_publish(
        &mut self,
        stream: u32,
        reason: Reason,
        description: &str,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        self.streams()?.answer(stream, Purpose::Publish, false)?;
        refuse(stream, reason.code(), description, out)
    }

    /// Lets a stream play that asked to, with the `reset` of its wish. What follows is the
    /// service's: metadata, sequence headers, media from a keyframe.
    ///
    /// # Errors
    /// `NotAsked`, or `OutboxFull`.
    pub fn accept_play(
        &mut self,
        stream: u32,
        reset: bool,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        self.streams()?.answer(stream, Purpose::Play, true)?;
        play::started(stream, reset, out)
    }

    /// Turns away a stream that asked to play. `description` is for the person at the player, below
    /// 512 bytes.
    ///
    /// # Errors
    /// `NotAsked`, or `OutboxFull`.
    pub fn reject_play(
        &mut self,
        stream: u32,
        reason: PlayRefusal,
        description: &str,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        self.streams()?.answer(stream, Purpose::Play, false)?;
        refuse(stream, reason.code(), description, out)
    }

    /// Tells a player that its camera went, or is back.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn notify_play(
        &self,
        stream: u32,
        published: bool,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        play::notify(stream, published, out)
    }

    /// Ends a play: its stream is no more.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn end_play(&mut self, stream: u32, out: &mut Outbox) -> Result<(), SessionError> {
        let _was = self.streams()?.stop(stream);
        play::notify(stream, false, out)
    }

    /// Ends a play that was to last for `length`, and did.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn complete_play(
        &mut self,
        stream: u32,
        length: Millis,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        let _was = self.streams()?.stop(stream);
        play::completed(stream, length, out)
    }

    /// Tells the peer why its connection ends, as the protocol says it: on the stream it publishes,
    /// if it does. `description` is for the person at the encoder, below 512 bytes.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn fail(
        &mut self,
        stream: u32,
        description: &str,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        self.state = State::Closed;
        refuse(stream, "NetStream.Failed", description, out)
    }

    /// Asks the peer for a sign of life.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn ping(&self, now: Millis, out: &mut Outbox) -> Result<(), SessionError> {
        send_event(UserControl::PingRequest(now.0), out)
    }

    /// Whether media on this message stream belongs to an accepted publish.
    #[must_use]
    pub fn is_publishing(&self, stream: u32) -> bool {
        match &self.state {
            State::Connected(link) => link.streams.is_active(stream, Purpose::Publish),
            State::Unconnected | State::Asked(..) | State::Closed => false,
        }
    }

    /// Bytes sent that the peer has not acknowledged, for show; many peers never do.
    #[must_use]
    pub fn unacknowledged(&self, out: &Outbox) -> u32 {
        self.flow.unacknowledged(out.total_sent())
    }

    /// The transition: what a call does in the state we are in.
    fn command<'s>(
        &'s mut self,
        command: &Command<'s>,
        stream: u32,
        out: &mut Outbox,
        status: &Status,
    ) -> Result<Option<Event<'s>>, SessionError> {
        let method = Method::parse(command.name);
        if method == Method::Connect {
            return self.connect(command, out).map(Some);
        }
        let link = match (&mut self.state, method) {
            (State::Closed, _) => return Err(SessionError::Closed),
            (_, Method::Ignored) => return Ok(None),
            (_, Method::Unknown) => {
                status.add(Counter::RtmpUnknown, 1);
                reply::unknown(command, out)?;
                return Ok(None);
            }
            (State::Unconnected | State::Asked(..), _) => return Err(SessionError::NotConnected),
            (State::Connected(link), _) => link,
        };
        match method {
            Method::Publish => return link.publish(command, stream, out, status),
            Method::FcUnpublish => {
                reply::done(command, out)?;
                return link.end(command, stream, out);
            }
            Method::CloseStream => return link.end(command, stream, out),
            Method::DeleteStream => return link.delete(command, stream, out),
            Method::Play => return link.play(command, stream, out, status),
            Method::Pause => return link.pause(command, stream, out),
            Method::ReceiveAudio | Method::ReceiveVideo => {
                return link.receive(method == Method::ReceiveAudio, command, stream, out);
            }
            Method::Seek => link.seek(command, stream, out)?,
            Method::CreateStream => link.create(command, out, status)?,
            Method::FcPublish => reply::fc_publish(command, out)?,
            Method::StreamLength => reply::result(command, 0.0, out)?,
            Method::Courtesy | Method::Connect | Method::Ignored | Method::Unknown => {
                reply::done(command, out)?;
            }
        }
        Ok(None)
    }

    fn data<'s>(
        &self,
        stream: u32,
        timestamp: Millis,
        body: &'s [u8],
        status: &Status,
    ) -> Option<Event<'s>> {
        if !self.is_publishing(stream) {
            status.add(Counter::RtmpStrayMedia, 1);
            return None;
        }
        let event = read_data(stream, timestamp, body);
        if event.is_none() {
            status.add(Counter::RtmpDataDropped, 1);
        }
        event
    }

    fn streams(&mut self) -> Result<&mut Streams, SessionError> {
        match &mut self.state {
            State::Connected(link) => Ok(&mut link.streams),
            State::Unconnected | State::Asked(..) | State::Closed => {
                Err(SessionError::NotConnected)
            }
        }
    }
}

impl Link {
    fn create(
        &mut self,
        command: &Command<'_>,
        out: &mut Outbox,
        status: &Status,
    ) -> Result<(), SessionError> {
        match self.streams.create() {
            Ok(id) => reply::result(command, f64::from(id), out),
            Err(error) => {
                status.add(Counter::RtmpCallsRefused, 1);
                reply::call_failed(command, &sentence(error), out)
            }
        }
    }

    fn publish<'s>(
        &'s mut self,
        command: &Command<'s>,
        stream: u32,
        out: &mut Outbox,
        status: &Status,
    ) -> Result<Option<Event<'s>>, SessionError> {
        let said = command.string(0).unwrap_or_default();
        let (target, query) = match Target::parse(&self.app, said) {
            Ok(parsed) => parsed,
            Err(error) => {
                status.add(Counter::RtmpCallsRefused, 1);
                refuse(stream, Reason::BadName.code(), &sentence(error), out)?;
                return Ok(None);
            }
        };
        match self.streams.ask(stream, Purpose::Publish, target) {
            Ok(target) => Ok(Some(Event::Publish {
                stream,
                app: &target.app,
                name: &target.name,
                query,
                app_query: &self.app_query,
                kind: PublishKind::parse(command.string(1)),
            })),
            Err(error) => {
                let reason = match error {
                    StreamError::SameName { .. } | StreamError::Busy { .. } => Reason::BadName,
                    StreamError::TooMany { .. }
                    | StreamError::TooManyPublishing { .. }
                    | StreamError::TooManyPlaying { .. }
                    | StreamError::NotAsked { .. } => Reason::Denied,
                };
                status.add(Counter::RtmpCallsRefused, 1);
                refuse(stream, reason.code(), &sentence(error), out)?;
                Ok(None)
            }
        }
    }

    /// Ends a publish.
    fn end<'s>(
        &mut self,
        command: &Command<'_>,
        stream: u32,
        out: &mut Outbox,
    ) -> Result<Option<Event<'s>>, SessionError> {
        match self.addressed(command, stream) {
            Some(id) => self.stop(id, out),
            None => Ok(None),
        }
    }

    /// Ends a publish and frees the stream's place.
    fn delete<'s>(
        &mut self,
        command: &Command<'_>,
        stream: u32,
        out: &mut Outbox,
    ) -> Result<Option<Event<'s>>, SessionError> {
        let Some(id) = self.addressed(command, stream) else {
            return Ok(None);
        };
        let event = self.stop(id, out);
        self.streams.delete(id);
        event
    }

    fn stop<'s>(
        &mut self,
        stream: u32,
        out: &mut Outbox,
    ) -> Result<Option<Event<'s>>, SessionError> {
        match self.streams.stop(stream) {
            None => Ok(None),
            Some(Purpose::Publish) => {
                reply::status(stream, "NetStream.Unpublish.Success", "Stop publishing", out)?;
                Ok(Some(Event::Unpublish { stream }))
            }
            Some(Purpose::Play) => {
                reply::status(stream, "NetStream.Play.Stop", "Stop playing", out)?;
                Ok(Some(Event::Stop { stream }))
            }
        }
    }

    /// The stream meant by a call: by name, by number, or the one that the call came on.
    fn addressed(&self, command: &Command<'_>, stream: u32) -> Option<u32> {
        let Some(said) = command.string(0) else {
            return Some(command.stream(0).unwrap_or(stream));
        };
        let (target, _) = Target::parse(&self.app, said).ok()?;
        let publishes = self.streams.by_name(Purpose::Publish, &target);
        publishes.or_else(|| self.streams.by_name(Purpose::Play, &target))
    }
}

/// A data message as an event; none if it does not parse.
fn read_data(stream: u32, timestamp: Millis, body: &[u8]) -> Option<Event<'_>> {
    Some(match Data::parse(body)? {
        Data::Cleared => Event::MetadataCleared { stream },
        Data::Metadata(body) => Event::Metadata { stream, body },
        Data::Other { body, .. } => Event::Data { stream, timestamp, body },
    })
}

fn user_control(payload: &[u8], out: &mut Outbox, status: &Status) -> Result<(), SessionError> {
    match UserControl::parse(payload)? {
        UserControl::PingRequest(time) => send_event(UserControl::PingResponse(time), out)?,
        UserControl::Unknown { .. } => status.add(Counter::RtmpUnknown, 1),
        UserControl::StreamBegin(_)
        | UserControl::StreamEof(_)
        | UserControl::StreamDry(_)
        | UserControl::SetBufferLength { .. }
        | UserControl::StreamIsRecorded(_)
        | UserControl::PingResponse(_)
        | UserControl::SwfRequest(_)
        | UserControl::SwfResponse(_)
        | UserControl::BufferEmpty(_)
        | UserControl::BufferReady(_) => {}
    }
    Ok(())
}
