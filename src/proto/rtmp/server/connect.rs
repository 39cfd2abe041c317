//! The first call of a session: connect, and its answer.
//!
//! Source: RTMP 1.0 §7.2.1.1; Errata §8.1. Not here: who may connect (the service answers
//! `Event::Connect`).
//!
//! Quirks: publishers say `type` nonprivate, or that they are FMLE; players say neither.

use super::streams::Streams;
use super::{Link, Session, SessionError, State};
use crate::limits;
use crate::proto::rtmp::enchunk::Outbox;
use crate::proto::rtmp::event::{Admission, Event};
use crate::proto::rtmp::flow::control;
use crate::proto::rtmp::name;
use crate::proto::rtmp::reply::{self, sentence};
use crate::wire::rtmp::command::Command;
use crate::wire::rtmp::message::{BandwidthLimit, MessageType, SetChunkSize, SetPeerBandwidth};
use crate::wire::writer::Writer;

const REJECTED: &str = "NetConnection.Connect.Rejected";

impl Session {
    /// Lets a peer connect that asked to.
    ///
    /// # Errors
    /// `NotConnected` if it did not, or `OutboxFull`.
    pub fn accept_connect(&mut self, out: &mut Outbox) -> Result<(), SessionError> {
        let State::Asked(_, transaction) = self.state else {
            return Err(SessionError::NotConnected);
        };
        self.flow.announce(limits::ACK_WINDOW_BYTES, out)?;
        let bandwidth =
            SetPeerBandwidth { window: limits::ACK_WINDOW_BYTES, limit: BandwidthLimit::Dynamic };
        let mut payload = [0; 5];
        let emitted = bandwidth.emit(&mut Writer::new(&mut payload));
        debug_assert!(emitted.is_ok());
        control(out, MessageType::SetPeerBandwidth, &payload)?;
        if !self.encrypted {
            out.set_chunk_size(SetChunkSize { bytes: limits::CHUNK_BYTES_OUT })?;
        }
        reply::connected(transaction, out)?;
        if let State::Asked(link, _) = core::mem::replace(&mut self.state, State::Closed) {
            self.state = State::Connected(link);
        }
        Ok(())
    }

    /// Turns away a peer that asked to connect. `description` is for it to act upon, below 512
    /// bytes. Closing the connection is the service's affair.
    ///
    /// # Errors
    /// `NotConnected` if it did not ask, or `OutboxFull`.
    pub fn reject_connect(
        &mut self,
        description: &str,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        let State::Asked(_, transaction) = self.state else {
            return Err(SessionError::NotConnected);
        };
        self.state = State::Closed;
        reply::refused(transaction, REJECTED, description, out)
    }

    pub(super) fn connect<'s>(
        &'s mut self,
        command: &Command<'s>,
        out: &mut Outbox,
    ) -> Result<Event<'s>, SessionError> {
        match &self.state {
            State::Unconnected => {}
            State::Asked(..) | State::Connected(_) => return Err(SessionError::ConnectedTwice),
            State::Closed => return Err(SessionError::Closed),
        }
        if let Admission::Refused(why) = self.admission {
            self.state = State::Closed;
            reply::error(command, REJECTED, why, out)?;
            return Err(SessionError::Refused(why));
        }
        let property = |name| command.property(name).unwrap_or_default();
        let said = property("app");
        let (app, app_query) = match name::application(said, property("tcUrl")) {
            Ok(named) => named,
            Err(error) => {
                self.state = State::Closed;
                let code = "NetConnection.Connect.InvalidApp";
                reply::error(command, code, &sentence(error), out)?;
                return Err(error.into());
            }
        };
        let link = Link { app, app_query, streams: Streams::new() };
        self.state = State::Asked(link, command.transaction);
        let is_asked = self.admission == Admission::Asked;
        if !is_asked {
            self.accept_connect(out)?;
        }
        let (app, query) = match &self.state {
            State::Asked(link, _) | State::Connected(link) => {
                (link.app.as_str(), link.app_query.as_str())
            }
            State::Unconnected | State::Closed => ("", ""),
        };
        let agent = command.property("flashVer");
        let agent = agent.or_else(|| command.property("flashver")).unwrap_or_default();
        if !is_asked {
            return Ok(Event::Connected { app, query, agent });
        }
        let said = said.split(|byte| *byte == b'?').next().unwrap_or_default();
        let publishes = property("type") == b"nonprivate" || agent.starts_with(b"FMLE/");
        Ok(Event::Connect { app, said, query, agent, publishes })
    }
}
