//! What a session tells the service, and what the service may answer.

use crate::time::Millis;
use crate::wire::amf0::Value;
use crate::wire::rtmp::command::whole;

/// Something that happened on a connection; borrows the message or the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Under `Admission::Asked`, the peer asks to connect: answer with `accept_connect` or
    /// `reject_connect`.
    Connect {
        /// Application without query, safe as a path; may be empty.
        app: &'a str,
        /// The application as it was said, without query; bytes of the peer's choice.
        said: &'a [u8],
        /// What followed the application's `?`, then the tcUrl's.
        query: &'a str,
        /// What the peer says it is; bytes of its choice.
        agent: &'a [u8],
        /// Whether it says, as publishers do, that it will publish.
        publishes: bool,
    },
    /// The peer is connected to an application.
    Connected {
        /// Application without query, safe as a path; may be empty.
        app: &'a str,
        /// What followed the application's `?`, then the tcUrl's.
        query: &'a str,
        /// What the peer says it is; bytes of its choice.
        agent: &'a [u8],
    },
    /// The peer asks to publish: answer with `accept_publish` or `reject_publish`.
    Publish {
        /// Message stream id, for the answer.
        stream: u32,
        /// Application, safe as a path; empty if the URL had but one segment.
        app: &'a str,
        /// Stream name, safe as a file name, not empty.
        name: &'a str,
        /// What followed the stream name's `?`.
        query: &'a str,
        /// What followed the application's `?`, then the tcUrl's; of less weight than `query`.
        app_query: &'a str,
        /// What should become of the stream.
        kind: PublishKind,
    },
    /// The peer ends what it published, or asked to publish, on this stream.
    Unpublish {
        /// Message stream id.
        stream: u32,
    },
    /// The peer asks to play: answer with `accept_play` or `reject_play`. What it played on this
    /// message stream before is over.
    Play {
        /// Message stream id, for the answer.
        stream: u32,
        /// Application, safe as a path; empty if the URL had but one segment.
        app: &'a str,
        /// Stream name, safe as a file name, not empty.
        name: &'a str,
        /// What followed the stream name's `?`.
        query: &'a str,
        /// What followed the application's `?`; of less weight than `query`.
        app_query: &'a str,
        /// What it wants to see.
        wish: PlayWish,
    },
    /// The peer ends what it played, or asked to play, on this stream.
    Stop {
        /// Message stream id.
        stream: u32,
    },
    /// The peer wants no media for a while, or wants it again.
    Pause {
        /// Message stream id, being played.
        stream: u32,
        /// Whether it pauses.
        paused: bool,
    },
    /// The peer wants audio, or no more of it.
    ReceiveAudio {
        /// Message stream id, being played.
        stream: u32,
        /// Whether it wants audio.
        wanted: bool,
    },
    /// The peer wants video, or no more of it.
    ReceiveVideo {
        /// Message stream id, being played.
        stream: u32,
        /// Whether it wants video.
        wanted: bool,
    },
    /// The stream describes itself; replaces an earlier description.
    Metadata {
        /// Message stream id, being published.
        stream: u32,
        /// One whole AMF0 value: an ECMA array or object, seldom AMF3 behind 0x11.
        body: &'a [u8],
    },
    /// The stream's description no longer holds.
    MetadataCleared {
        /// Message stream id, being published.
        stream: u32,
    },
    /// Another data message: text, cue point, camera data.
    Data {
        /// Message stream id, being published.
        stream: u32,
        /// Time of the message.
        timestamp: Millis,
        /// Its AMF0 values, the first a string; without `@setDataFrame`.
        body: &'a [u8],
    },
}

/// What a publisher wants done with its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishKind {
    /// Only passed on; also when nothing is said.
    Live,
    /// Recorded anew.
    Record,
    /// Recorded behind what there is.
    Append,
    /// Anything else.
    Unknown,
}

impl PublishKind {
    /// Reads the second argument of publish.
    #[must_use]
    pub fn parse(said: Option<&[u8]>) -> Self {
        match said {
            None | Some(b"live" | b"") => Self::Live,
            Some(b"record") => Self::Record,
            Some(b"append") => Self::Append,
            Some(_) => Self::Unknown,
        }
    }
}

/// What a player wants to see (RTMP 1.0 §7.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayWish {
    /// From where.
    pub start: PlayStart,
    /// For how long, from the first picture on: 0 is one picture, none is to the end.
    pub length: Option<Millis>,
    /// Whether what the message stream played before is forgotten: the player wants to be told so.
    /// It is forgotten in any case, for what is live has no end to queue behind.
    pub reset: bool,
}

impl PlayWish {
    /// Reads what follows the name: start, duration and reset. Durations are seconds in the
    /// standard and milliseconds from real clients (Flash, librtmp); below 0 is to the end. The
    /// reset is a boolean, or a number.
    #[must_use]
    pub fn parse(start: Option<f64>, duration: Option<f64>, reset: Option<Value<'_>>) -> Self {
        let length = duration.and_then(|millis| whole(millis.trunc())).map(Millis);
        let reset = match reset {
            Some(Value::Boolean(reset)) => reset,
            Some(Value::Number(number)) => number != 0.0,
            Some(_) | None => true,
        };
        Self { start: PlayStart::parse(start), length, reset }
    }
}

/// From where a player wants to see a stream. Everything here is live: a recording is the live
/// stream, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayStart {
    /// The live stream, now or when it comes.
    LiveOrWait,
    /// The live stream if there is one.
    Live,
    /// A recording; there are none.
    Recorded,
}

impl PlayStart {
    /// Reads the second argument of play: -2, -1 or seconds, which real clients multiply by 1000.
    #[must_use]
    pub fn parse(said: Option<f64>) -> Self {
        match said {
            Some(0.0..) => Self::Recorded,
            Some(-1.0 | -1000.0) => Self::Live,
            Some(_) | None => Self::LiveOrWait,
        }
    }
}

/// Why a player is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayRefusal {
    /// There is no such stream.
    NotFound,
    /// The peer may not, or there is no room.
    Failed,
}

impl PlayRefusal {
    /// The status code on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "NetStream.Play.StreamNotFound",
            Self::Failed => "NetStream.Play.Failed",
        }
    }
}

/// Why a publisher is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The name is taken or cannot be a name.
    BadName,
    /// The peer may not.
    Denied,
    /// Nobody may, for now.
    Rejected,
}

impl Reason {
    /// The status code on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadName => "NetStream.Publish.BadName",
            Self::Denied => "NetStream.Publish.Denied",
            Self::Rejected => "NetStream.Publish.Rejected",
        }
    }
}

/// Whether a connection may connect at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Open,
    /// The service says so, for each `Event::Connect`.
    Asked,
    /// It is told why not, when it says connect, and then closed.
    Refused(&'static str),
}
