//! The player's side of a session: play, pause, seek, receiveAudio, receiveVideo.
//!
//! All streams are live: there is nothing to seek in, and a pause ends at the live point. Play on
//! a message stream that plays already replaces what it played.
//! Source: RTMP 1.0 §7.2.2; Errata §8. Not here: media, and whether the stream exists.

use super::{Link, Purpose, SessionError};
use crate::proto::rtmp::enchunk::Outbox;
use crate::proto::rtmp::event::{Event, PlayRefusal, PlayWish};
use crate::proto::rtmp::name::Target;
use crate::proto::rtmp::reply::{self, refuse, send_event, sentence};
use crate::status::{Counter, Status};
use crate::time::Millis;
use crate::wire::amf0::{Emitter, Value};
use crate::wire::rtmp::command::Command;
use crate::wire::rtmp::user_control::UserControl;

impl Link {
    pub(super) fn play<'s>(
        &'s mut self,
        command: &Command<'s>,
        stream: u32,
        out: &mut Outbox,
        status: &Status,
    ) -> Result<Option<Event<'s>>, SessionError> {
        let (said, wish) = if let Some(Value::Object(options)) = command.argument(0) {
            // NetStreamPlayOptions, of play2.
            let number = |name| options.get(name).and_then(|value| value.number());
            let name = options.get("streamName").and_then(|value| value.string());
            (name, PlayWish::parse(number("start"), number("len"), None))
        } else {
            let (start, duration) = (command.number(1), command.number(2));
            (command.string(0), PlayWish::parse(start, duration, command.argument(3)))
        };
        // `play(false)` ends playing.
        let Some(said) = said else { return self.stop(stream, out) };
        let (target, query) = match Target::parse(&self.app, said) {
            Ok(parsed) => parsed,
            Err(error) => {
                status.add(Counter::RtmpCallsRefused, 1);
                refuse(stream, PlayRefusal::NotFound.code(), &sentence(error), out)?;
                return Ok(None);
            }
        };
        if self.streams.is_for(stream, Purpose::Play) {
            let _earlier = self.streams.stop(stream);
        }
        match self.streams.ask(stream, Purpose::Play, target) {
            Ok(target) => Ok(Some(Event::Play {
                stream,
                app: &target.app,
                name: &target.name,
                query,
                app_query: &self.app_query,
                wish,
            })),
            Err(error) => {
                status.add(Counter::RtmpCallsRefused, 1);
                refuse(stream, PlayRefusal::Failed.code(), &sentence(error), out)?;
                Ok(None)
            }
        }
    }

    pub(super) fn pause<'s>(
        &self,
        command: &Command<'_>,
        stream: u32,
        out: &mut Outbox,
    ) -> Result<Option<Event<'s>>, SessionError> {
        if !self.streams.is_active(stream, Purpose::Play) {
            reply::unknown(command, out)?;
            return Ok(None);
        }
        let paused = flag(command).unwrap_or(true);
        let (code, words) = if paused {
            ("NetStream.Pause.Notify", "Paused")
        } else {
            ("NetStream.Unpause.Notify", "Going on at the live point")
        };
        reply::status(stream, code, words, out)?;
        Ok(Some(Event::Pause { stream, paused }))
    }

    /// No answer to false; true is answered as a seek (RTMP 1.0 §7.2.2.4).
    pub(super) fn receive<'s>(
        &self,
        audio: bool,
        command: &Command<'_>,
        stream: u32,
        out: &mut Outbox,
    ) -> Result<Option<Event<'s>>, SessionError> {
        if !self.streams.is_active(stream, Purpose::Play) {
            return Ok(None);
        }
        let wanted = flag(command).unwrap_or(true);
        if wanted {
            reply::status(stream, "NetStream.Seek.Notify", "Going on at the live point", out)?;
            reply::status(stream, "NetStream.Play.Start", "Start playing", out)?;
        }
        Ok(Some(if audio {
            Event::ReceiveAudio { stream, wanted }
        } else {
            Event::ReceiveVideo { stream, wanted }
        }))
    }

    /// Nobody can seek in what is live; the stream goes on. A status of level error would end some
    /// players, so that only a caller who waits is told.
    pub(super) fn seek(
        &self,
        command: &Command<'_>,
        stream: u32,
        out: &mut Outbox,
    ) -> Result<(), SessionError> {
        if command.wants_reply() {
            let words = "the stream is live: there is nothing to seek in";
            return reply::error(command, "NetStream.Seek.Failed", words, out);
        }
        if self.streams.is_active(stream, Purpose::Play) {
            reply::warning(stream, "NetStream.Seek.Failed", "The stream is live", out)?;
        }
        Ok(())
    }
}

/// What a player hears before the first byte of media.
pub(super) fn started(stream: u32, reset: bool, out: &mut Outbox) -> Result<(), SessionError> {
    // Flash wants the event before the status.
    send_event(UserControl::StreamBegin(stream), out)?;
    if reset {
        reply::status(stream, "NetStream.Play.Reset", "Playing and resetting", out)?;
    }
    reply::status(stream, "NetStream.Play.Start", "Start playing", out)?;
    reply::data(stream, out, |e: &mut Emitter<'_, '_>| {
        e.string(b"|RtmpSampleAccess")?;
        e.boolean(true)?;
        e.boolean(true)
    })
}

/// What a player hears when its camera goes or comes back.
pub(super) fn notify(stream: u32, published: bool, out: &mut Outbox) -> Result<(), SessionError> {
    if published {
        send_event(UserControl::StreamBegin(stream), out)?;
        return reply::status(stream, "NetStream.Play.PublishNotify", "Published", out);
    }
    reply::status(stream, "NetStream.Play.UnpublishNotify", "Unpublished", out)?;
    send_event(UserControl::StreamEof(stream), out)
}

/// What a player hears when it has seen as much as it wanted.
pub(super) fn completed(stream: u32, length: Millis, out: &mut Outbox) -> Result<(), SessionError> {
    reply::data(stream, out, |e: &mut Emitter<'_, '_>| {
        e.string(b"onPlayStatus")?;
        e.object()?;
        e.key(b"level")?;
        e.string(b"status")?;
        e.key(b"code")?;
        e.string(b"NetStream.Play.Complete")?;
        e.key(b"duration")?;
        e.number(f64::from(length.0) / 1000.0)?;
        e.end()
    })?;
    reply::status(stream, "NetStream.Play.Stop", "Played as long as was asked for", out)?;
    send_event(UserControl::StreamEof(stream), out)
}

fn flag(command: &Command<'_>) -> Option<bool> {
    match (command.argument(0)?, command.number(0)) {
        (Value::Boolean(flag), _) => Some(flag),
        (_, number) => number.map(|number| number > 0.0),
    }
}
