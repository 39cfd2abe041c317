//! What a client's session will say: to whom, as what, and about which stream.
//!
//! The caller fills a `Plan` from a URL and its options and keeps the texts; the session borrows
//! them. Everything is checked once, against its bound, before anything is sent.
//! Source: RTMP 1.0 §7.2.1.1; Errata §8.1; Enhanced RTMP v2, "Enhancing `NetConnection` connect".
//! Not here: reading URLs and options, which names these texts.

use core::fmt;

use crate::limits;
use crate::wire::amf0::{AmfError, Values};

/// Which text of a plan is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// `Plan::app`.
    App,
    /// `Plan::tc_url`.
    TcUrl,
    /// `Plan::agent`.
    Agent,
    /// `Plan::swf_url`.
    SwfUrl,
    /// `Plan::page_url`.
    PageUrl,
    /// `Plan::name`.
    Name,
    /// `Play::subscribe`.
    Subscribe,
    /// `Plan::arguments`.
    Arguments,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "application",
            Self::TcUrl => "tcUrl",
            Self::Agent => "flashVer",
            Self::SwfUrl => "swfUrl",
            Self::PageUrl => "pageUrl",
            Self::Name => "stream name",
            Self::Subscribe => "name to subscribe to",
            Self::Arguments => "connect arguments",
        })
    }
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Exhausted: a text.
    #[error("{text} is {len} bytes long, at most {max} are allowed: shorten the address")]
    TooLong {
        /// Which one.
        text: Text,
        /// Its bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Exhausted: codecs of one announcement.
    #[error("{count} codecs are announced, at most {max} are allowed")]
    Codecs {
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// Exhausted: all of them together.
    #[error("connect does not fit in {max} bytes: shorten the address or its options")]
    Connect {
        /// The limit.
        max: usize,
    },
    /// Malformed: the connect arguments are no AMF0.
    #[error("connect arguments: {0}")]
    Arguments(#[from] AmfError),
}

/// All that a session says. Its `Debug` form holds no name and no address: they carry keys.
#[derive(Clone, Copy)]
pub struct Plan<'p> {
    /// Application, with its query if it has one; for authentication too.
    pub app: &'p str,
    /// The address without userinfo and fragment (Errata §8.1.2), with the application's query.
    pub tc_url: &'p str,
    /// flashVer: what we say that we are.
    pub agent: &'p str,
    /// swfUrl; empty for none.
    pub swf_url: &'p str,
    /// pageUrl, said by players alone; empty for none.
    pub page_url: &'p str,
    /// AMF0 values that follow the command object of connect; mostly none.
    pub arguments: &'p [u8],
    /// What is announced as Enhanced RTMP.
    pub enhanced: Enhanced<'p>,
    /// Stream name with its query: publishers' keys stand here.
    pub name: &'p str,
    /// The player's file, for a server that asks for it.
    pub swf: Option<Swf>,
    /// Publish it or play it.
    pub role: Role<'p>,
}

/// What the session is for.
#[derive(Clone, Copy, Debug)]
pub enum Role<'p> {
    /// Send a stream to the server.
    Publish(PublishType),
    /// Fetch a stream from it.
    Play(Play<'p>),
}

/// What the server is asked to do with a published stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishType {
    /// Pass it on.
    Live,
    /// Record it anew.
    Record,
    /// Record it behind what there is.
    Append,
}

impl PublishType {
    /// As it stands on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Record => "record",
            Self::Append => "append",
        }
    }
}

/// Which stream of a name is meant, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Live, or else recorded, or else wait for a publisher.
    Any,
    /// Live alone.
    Live,
    /// Recorded alone, from its beginning.
    Recorded,
}

impl Start {
    /// The number on the wire. Seconds by the specification, but clients of the field all send
    /// thousands.
    #[must_use]
    pub const fn number(self) -> f64 {
        match self {
            Self::Any => -2000.0,
            Self::Live => -1000.0,
            Self::Recorded => 0.0,
        }
    }
}

/// What a player says besides.
#[derive(Clone, Copy, Debug)]
pub struct Play<'p> {
    /// Which stream.
    pub start: Start,
    /// How much we say that we buffer, in milliseconds.
    pub buffer_ms: u32,
    /// Name for `FCSubscribe`; a live stream is subscribed to by its own name without.
    pub subscribe: Option<&'p str>,
    /// fpad.
    pub fpad: bool,
    /// capabilities.
    pub capabilities: u32,
    /// audioCodecs: some servers withhold what is not listed (Errata §8.1.4).
    pub audio_codecs: u32,
    /// videoCodecs, likewise.
    pub video_codecs: u32,
    /// videoFunction: 1 for seeking; Enhanced RTMP adds more.
    pub video_function: u32,
}

impl Play<'_> {
    /// What ffmpeg says, and servers are tested with.
    pub const USUAL: Self = Self {
        start: Start::Any,
        buffer_ms: 3000,
        subscribe: None,
        fpad: false,
        capabilities: 15,
        audio_codecs: 4071,
        video_codecs: 252,
        video_function: 1,
    };
}

/// What is known of the player's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swf {
    /// HMAC-SHA256 of the uncompressed file with the key `Genuine Adobe Flash Player 001`.
    pub hash: [u8; 32],
    /// Bytes of the uncompressed file.
    pub bytes: u32,
}

/// Announcements of Enhanced RTMP; each is left out while empty.
#[derive(Clone, Copy, Debug)]
pub struct Enhanced<'p> {
    /// fourCcList: `hvc1` and the like, `*` for any.
    pub codecs: &'p [&'p str],
    /// videoFourCcInfoMap: 1 decodes, 2 encodes, 4 forwards.
    pub video: &'p [(&'p str, u32)],
    /// audioFourCcInfoMap, likewise.
    pub audio: &'p [(&'p str, u32)],
    /// capsEx: 1 reconnect, 2 multitrack, 4 `ModEx`, 8 nanosecond offsets.
    pub caps_ex: u32,
}

impl Enhanced<'_> {
    /// Nothing is announced.
    pub const NONE: Self = Self { codecs: &[], video: &[], audio: &[], caps_ex: 0 };
}

impl Plan<'_> {
    /// Compares each part with its bound.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        let subscribe = match self.role {
            Role::Publish(_) => "",
            Role::Play(play) => play.subscribe.unwrap_or_default(),
        };
        let texts = [
            (Text::App, self.app),
            (Text::TcUrl, self.tc_url),
            (Text::Agent, self.agent),
            (Text::SwfUrl, self.swf_url),
            (Text::PageUrl, self.page_url),
            (Text::Name, self.name),
            (Text::Subscribe, subscribe),
        ];
        for (text, value) in texts {
            fits(text, value.len(), limits::UPSTREAM_TEXT_BYTES_MAX)?;
        }
        fits(Text::Arguments, self.arguments.len(), limits::UPSTREAM_ARGUMENTS_BYTES_MAX)?;
        Values::new(self.arguments).try_for_each(|value| value.map(drop))?;
        let Enhanced { codecs, video, audio, .. } = self.enhanced;
        let count = codecs.len().max(video.len()).max(audio.len());
        if count > limits::UPSTREAM_CODECS_MAX {
            return Err(PlanError::Codecs { count, max: limits::UPSTREAM_CODECS_MAX });
        }
        Ok(())
    }
}

fn fits(text: Text, len: usize, max: usize) -> Result<(), PlanError> {
    if len > max {
        return Err(PlanError::TooLong { text, len, max });
    }
    Ok(())
}

impl fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.role {
            Role::Publish(_) => "Plan(publish)",
            Role::Play(_) => "Plan(play)",
        })
    }
}
