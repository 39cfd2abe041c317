//! How the session says things: replies to calls, statuses of message streams, events.

use core::fmt::Write as _;

use crate::limits;
use crate::proto::rtmp::enchunk::Outbox;
use crate::proto::rtmp::flow::control;
use crate::proto::rtmp::server::SessionError;
use crate::time::Millis;
use crate::wire::amf0::Emitter;
use crate::wire::rtmp::command::{Command, Level, Reply};
use crate::wire::rtmp::message::MessageType;
use crate::wire::rtmp::user_control::UserControl;
use crate::wire::writer::{Full, Writer};

/// Chunk stream of replies to calls.
const CSID_REPLY: u32 = 3;

/// Chunk stream of what is said about a message stream.
const CSID_STATUS: u32 = 5;

/// A sentence for the person at the encoder; the longest error text is 110 bytes.
type Sentence = heapless::String<256>;

/// The answer to `FCPublish`: done, and a notice that encoders of old wait for.
pub(super) fn fc_publish(command: &Command<'_>, out: &mut Outbox) -> Result<(), SessionError> {
    done(command, out)?;
    let notice = Reply::Notify {
        name: "onFCPublish",
        code: "NetStream.Publish.Start",
        description: "Started publishing stream.",
    };
    send(CSID_REPLY, 0, &notice, out)
}

/// `_result` without a value, if the caller waits.
pub(super) fn done(command: &Command<'_>, out: &mut Outbox) -> Result<(), SessionError> {
    if !command.wants_reply() {
        return Ok(());
    }
    let transaction = command.transaction;
    send(CSID_REPLY, 0, &Reply::Done { transaction }, out)
}

/// `_result` with a number.
pub(super) fn result(
    command: &Command<'_>,
    number: f64,
    out: &mut Outbox,
) -> Result<(), SessionError> {
    let reply = Reply::Number { transaction: command.transaction, number };
    send(CSID_REPLY, 0, &reply, out)
}

/// `_error` to a call that is not known, if its caller waits.
pub(super) fn unknown(command: &Command<'_>, out: &mut Outbox) -> Result<(), SessionError> {
    if !command.wants_reply() {
        return Ok(());
    }
    call_failed(command, "method is not known here", out)
}

/// `_error` to a call that cannot be done.
pub(super) fn call_failed(
    command: &Command<'_>,
    description: &str,
    out: &mut Outbox,
) -> Result<(), SessionError> {
    error(command, "NetConnection.Call.Failed", description, out)
}

/// `_error` with a code of the connection's own.
pub(super) fn error(
    command: &Command<'_>,
    code: &str,
    description: &str,
    out: &mut Outbox,
) -> Result<(), SessionError> {
    refused(command.transaction, code, description, out)
}

/// The same to a call that is known by its number alone.
pub(super) fn refused(
    transaction: f64,
    code: &str,
    description: &str,
    out: &mut Outbox,
) -> Result<(), SessionError> {
    send(CSID_REPLY, 0, &Reply::Refused { transaction, code, description }, out)
}

/// `_result` to connect.
pub(super) fn connected(transaction: f64, out: &mut Outbox) -> Result<(), SessionError> {
    send(CSID_REPLY, 0, &Reply::Connected { transaction }, out)
}

/// A status on a message stream that says that all is well.
pub(super) fn status(
    stream: u32,
    code: &str,
    description: &str,
    out: &mut Outbox,
) -> Result<(), SessionError> {
    let reply = Reply::Status { level: Level::Status, code, description };
    send(CSID_STATUS, stream, &reply, out)
}

/// A status on a message stream that something does not work, but the rest goes on.
pub(super) fn warning(
    stream: u32,
    code: &str,
    description: &str,
    out: &mut Outbox,
) -> Result<(), SessionError> {
    let reply = Reply::Status { level: Level::Warning, code, description };
    send(CSID_STATUS, stream, &reply, out)
}

/// A data message that `write` fills.
pub(super) fn data(
    stream: u32,
    out: &mut Outbox,
    write: impl FnOnce(&mut Emitter<'_, '_>) -> Result<(), Full>,
) -> Result<(), SessionError> {
    let mut buffer = [0; 128];
    let mut w = Writer::new(&mut buffer);
    write(&mut Emitter::new(&mut w)).map_err(|full| SessionError::Reply { max: full.have })?;
    Ok(out.message(CSID_STATUS, MessageType::DataAmf0, stream, Millis(0), w.written())?)
}

/// An error status on a message stream.
pub(super) fn refuse(
    stream: u32,
    code: &str,
    description: &str,
    out: &mut Outbox,
) -> Result<(), SessionError> {
    let reply = Reply::Status { level: Level::Error, code, description };
    send(CSID_STATUS, stream, &reply, out)
}

fn send(csid: u32, stream: u32, reply: &Reply<'_>, out: &mut Outbox) -> Result<(), SessionError> {
    let mut buffer = [0; limits::REPLY_BYTES_MAX];
    let mut w = Writer::new(&mut buffer);
    reply.emit(&mut w).map_err(|_| SessionError::Reply { max: limits::REPLY_BYTES_MAX })?;
    let kind = MessageType::CommandAmf0;
    Ok(out.message(csid, kind, stream, Millis(0), w.written())?)
}

/// A user control event.
pub(super) fn send_event(event: UserControl<'_>, out: &mut Outbox) -> Result<(), SessionError> {
    let mut buffer = [0; 16];
    let mut w = Writer::new(&mut buffer);
    event.emit(&mut w).map_err(|_| SessionError::Reply { max: limits::REPLY_BYTES_MAX })?;
    Ok(control(out, MessageType::UserControl, w.written())?)
}

/// An error's own words.
pub(super) fn sentence(error: impl core::fmt::Display) -> Sentence {
    let mut words = Sentence::new();
    let whole = write!(words, "{error}");
    debug_assert!(whole.is_ok());
    words
}
