//! Data messages of a stream that is played.
//!
//! Metadata and what the stream itself carries become events; what servers add about access,
//! start and end of data is theirs and goes, but for the end of a recording.
//! Source: RTMP 1.0 §7.1.2; statuses as Flash Media Server and SRS send them.

use crate::proto::rtmp::client::event::ClientEvent;
use crate::proto::rtmp::client::info::Info;
use crate::time::Millis;
use crate::wire::amf0::{Value, Values};

/// What a data message comes down to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard<'a> {
    Event(ClientEvent<'a>),
    Nothing,
    /// It does not parse.
    Broken,
}

/// Reads the values of a data message.
pub(super) fn read(stream: u32, timestamp: Millis, body: &[u8]) -> Heard<'_> {
    try_read(stream, timestamp, body).unwrap_or(Heard::Broken)
}

fn try_read(stream: u32, timestamp: Millis, body: &[u8]) -> Option<Heard<'_>> {
    let mut values = Values::new(body);
    let mut rest = body;
    let mut name = values.next()?.ok()?.string()?;
    if name == b"@setDataFrame" {
        rest = values.rest();
        name = values.next()?.ok()?.string()?;
    }
    if name == b"onMetaData" {
        let from = values.rest();
        let value = values.next()?.ok()?;
        if matches!(value, Value::Null | Value::Undefined) {
            return None;
        }
        let body = from.get(..from.len() - values.rest().len())?;
        return Some(Heard::Event(ClientEvent::Metadata { stream, body }));
    }
    let first = values.next().transpose().ok()?;
    // The remaining values are checked, so that nobody after us meets a broken one.
    if values.any(|value| value.is_err()) {
        return None;
    }
    Some(match name {
        b"onPlayStatus" => match first.map(|value| Info::new(value).code()) {
            Some("NetStream.Play.Complete") => Heard::Event(ClientEvent::Ended),
            Some(_) | None => Heard::Nothing,
        },
        b"|RtmpSampleAccess" | b"onStatus" | b"@clearDataFrame" => Heard::Nothing,
        _ => Heard::Event(ClientEvent::Data { stream, timestamp, body: rest }),
    })
}
