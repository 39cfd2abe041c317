//! Data messages of a stream that is played.
//!
//! Metadata and what the stream itself carries become events; what servers add about access,
//! start and end of data is theirs and goes, but for the end of a recording.
//! Source: RTMP 1.0 §7.1.2; statuses as Flash Media Server and SRS send them.

use crate::proto::rtmp::client::event::ClientEvent;
use crate::proto::rtmp::client::info::Info;
use crate::proto::rtmp::data::Data;
use crate::time::Millis;

/// What a data message comes down to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard<'a> {
    Event(ClientEvent<'a>),
    Nothing,
    /// It does not parse.
    Broken,
}

/// Reads a data message.
pub(super) fn read(stream: u32, timestamp: Millis, body: &[u8]) -> Heard<'_> {
    match Data::parse(body) {
        None => Heard::Broken,
        Some(Data::Metadata(body)) => Heard::Event(ClientEvent::Metadata { stream, body }),
        Some(Data::Other { name: b"onPlayStatus", first, .. }) => {
            match first.map(|value| Info::new(value).code()) {
                Some("NetStream.Play.Complete") => Heard::Event(ClientEvent::Ended),
                Some(_) | None => Heard::Nothing,
            }
        }
        Some(Data::Cleared | Data::Other { name: b"|RtmpSampleAccess" | b"onStatus", .. }) => {
            Heard::Nothing
        }
        Some(Data::Other { body, .. }) => {
            Heard::Event(ClientEvent::Data { stream, timestamp, body })
        }
    }
}
