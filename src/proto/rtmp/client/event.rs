//! What a client's session tells the service, and the words for it.
//!
//! Texts are the server's own: bounded by `limits::UPSTREAM_WORDS_BYTES_MAX`, otherwise as they
//! came, so they are escaped before they are shown.
//! Source: RTMP 1.0 §7.2; Enhanced RTMP v2, "Reconnect Request".

use core::fmt;

use crate::time::Millis;
use crate::wire::amf0::{Object, Value};
use crate::wire::rtmp::command::whole;

/// Something that happened; borrows the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientEvent<'a> {
    /// The server took the connect; the stream is being created.
    Connected {
        /// fmsVer: what the server says it is; may be empty.
        agent: &'a str,
        /// What it announces as Enhanced RTMP.
        enhanced: Capabilities<'a>,
    },
    /// The server wants us elsewhere. The session is over.
    Redirect {
        /// Address of an application there.
        target: &'a str,
        /// Address of the stream itself, if the server says it.
        stream_url: Option<&'a str>,
    },
    /// The server wants proof of who we are, on a new connection. The session is over.
    NeedsAuth {
        /// Its words, which hold method, salt and challenge.
        description: &'a str,
    },
    /// Media may be sent.
    Publishing {
        /// On this message stream.
        stream: u32,
    },
    /// Media is on its way; may come again when the server starts anew.
    Playing {
        /// On this message stream.
        stream: u32,
    },
    /// A message stream works from now on.
    StreamBegin {
        /// Message stream id; 0 for the connection.
        stream: u32,
    },
    /// Playback of a message stream is over.
    StreamEof {
        /// Message stream id.
        stream: u32,
    },
    /// The stream being played describes itself.
    Metadata {
        /// Message stream id.
        stream: u32,
        /// One whole AMF0 value: an ECMA array or object, seldom AMF3 behind 0x11.
        body: &'a [u8],
    },
    /// Another data message of the stream being played.
    Data {
        /// Message stream id.
        stream: u32,
        /// Time of the message.
        timestamp: Millis,
        /// Its AMF0 values, the first a string.
        body: &'a [u8],
    },
    /// A publisher came; media follows.
    PublishNotify,
    /// The publisher left; another may come.
    UnpublishNotify,
    /// The server ended the stream: a recording is over, or our publish no longer holds.
    Ended,
    /// The server asks us to move to another at the next keyframe; until then it goes on.
    Reconnect {
        /// Where to, perhaps relative to our own address; nothing means there again.
        tc_url: Option<&'a str>,
    },
    /// The server will not. The session is over.
    Refused {
        /// What it comes down to; shows itself in plain words.
        refusal: Refusal,
        /// The server's status code; may be empty.
        code: &'a str,
        /// The server's words; may be empty.
        description: &'a str,
    },
    /// The server says goodbye; it will close. The session is over.
    Closed,
}

/// Why a server will not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not know the application.
    Application,
    /// It takes no connection from us.
    Connection,
    /// Somebody else publishes under the name, or it cannot be a name.
    Name,
    /// We may not publish.
    Denied,
    /// There is no such stream.
    NotFound,
    /// It is going down.
    Shutdown,
    /// It cannot, for reasons of its own.
    Failed,
}

impl Refusal {
    /// Sorts a status code; none if it is no refusal by itself.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Some(match code {
            "NetConnection.Connect.InvalidApp" => Self::Application,
            "NetConnection.Connect.Rejected" => Self::Connection,
            "NetConnection.Connect.AppShutdown" => Self::Shutdown,
            "NetConnection.Connect.Failed" | "NetStream.Failed" | "NetStream.Play.Failed" => {
                Self::Failed
            }
            "NetStream.Publish.BadName" => Self::Name,
            "NetStream.Publish.Denied" | "NetStream.Publish.Rejected" => Self::Denied,
            "NetStream.Play.StreamNotFound" => Self::NotFound,
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "upstream does not know the application: check the address",
            Self::Connection => "upstream rejects the connection: check address and account",
            Self::Name => "upstream refuses the stream name: it is in use, or the key is wrong",
            Self::Denied => "upstream does not let us publish: check key and account",
            Self::NotFound => "upstream has no such stream: check the name, or start its publisher",
            Self::Shutdown => "upstream is shutting down: try again later",
            Self::Failed => "upstream cannot serve the stream: ask its operator",
        })
    }
}

/// What a server announces as Enhanced RTMP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capabilities<'a> {
    /// capsEx: 1 reconnect, 2 multitrack, 4 `ModEx`, 8 nanosecond offsets; 0 if not said.
    pub caps_ex: u32,
    list: Option<Value<'a>>,
    video: Option<Object<'a>>,
    audio: Option<Object<'a>>,
}

impl<'a> Capabilities<'a> {
    /// Nothing announced.
    pub const NONE: Self = Self { caps_ex: 0, list: None, video: None, audio: None };

    /// Reads the properties that a server adds to its answer to connect.
    #[must_use]
    pub(super) fn read(properties: &Object<'a>) -> Self {
        let caps_ex = properties.get("capsEx").and_then(|value| value.number());
        let map = |name| properties.get(name).and_then(|value| value.object());
        Self {
            caps_ex: caps_ex.and_then(whole).unwrap_or(0),
            list: properties.get("fourCcList"),
            video: map("videoFourCcInfoMap"),
            audio: map("audioFourCcInfoMap"),
        }
    }

    /// Whether anything was announced; old servers say nothing and may still take it all.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.caps_ex == 0 && self.list.is_none() && self.video.is_none() && self.audio.is_none()
    }

    /// What the server does with a video codec: 1 decodes, 2 encodes, 4 forwards.
    #[must_use]
    pub fn video(&self, codec: &str) -> u32 {
        bits(self.video, codec)
    }

    /// What the server does with an audio codec, likewise.
    #[must_use]
    pub fn audio(&self, codec: &str) -> u32 {
        bits(self.audio, codec)
    }

    /// Whether the list holds a codec, or any.
    #[must_use]
    pub fn lists(&self, codec: &str) -> bool {
        let Some(Value::StrictArray(array)) = self.list else {
            return false;
        };
        array.iter().filter_map(|value| value.string()).any(|s| s == b"*" || s == codec.as_bytes())
    }
}

/// The bits of a codec, and of all codecs.
fn bits(map: Option<Object<'_>>, codec: &str) -> u32 {
    let Some(map) = map else {
        return 0;
    };
    let of = |key| map.get(key).and_then(|value| value.number()).and_then(whole).unwrap_or(0);
    of(codec) | of("*")
}
