//! What a client calls, value for value as ffmpeg does.
//!
//! Knows how each call is written and on which chunk stream it travels; when it is made is the
//! session's affair.
//! Source: RTMP 1.0 §7.2; what ffmpeg 5.1 was seen to send.

use crate::limits;
use crate::proto::rtmp::client::plan::{Enhanced, Plan, PlanError, Play, PublishType, Role, Start};
use crate::proto::rtmp::client::step::ClientError;
use crate::proto::rtmp::enchunk::Outbox;
use crate::time::Millis;
use crate::wire::amf0::Emitter;
use crate::wire::rtmp::message::MessageType;
use crate::wire::writer::{Full, Writer};

/// Chunk stream of calls on the connection.
const CSID_CALL: u32 = 3;

/// Chunk stream of calls about one message stream.
const CSID_STREAM_CALL: u32 = 8;

/// A call or an answer, without its transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'a> {
    Connect(&'a Plan<'a>),
    ReleaseStream(&'a str),
    FcPublish(&'a str),
    FcUnpublish(&'a str),
    FcSubscribe(&'a str),
    CreateStream,
    /// Ends the message stream.
    DeleteStream(u32),
    Publish(u32, &'a str, PublishType),
    StreamLength(&'a str),
    Play(u32, &'a str, Start),
    CheckBandwidth,
    /// The answer to the server's own bandwidth check.
    BandwidthChecked,
    /// The answer to a ping that is a call.
    Pong,
}

impl Call<'_> {
    /// Appends the call.
    ///
    /// # Errors
    /// `Full`, or `Plan` if it does not fit in `limits::CALL_BYTES_MAX`.
    pub(super) fn send(&self, transaction: f64, out: &mut Outbox) -> Result<(), ClientError> {
        let mut buffer = [0; limits::CALL_BYTES_MAX];
        let mut w = Writer::new(&mut buffer);
        let emitted = self.emit(transaction, &mut w);
        emitted.map_err(|_| PlanError::Connect { max: limits::CALL_BYTES_MAX })?;
        let (csid, stream) = match *self {
            Self::Publish(stream, ..) | Self::Play(stream, ..) => (CSID_STREAM_CALL, stream),
            Self::StreamLength(_) => (CSID_STREAM_CALL, 0),
            Self::Connect(_)
            | Self::ReleaseStream(_)
            | Self::FcPublish(_)
            | Self::FcUnpublish(_)
            | Self::FcSubscribe(_)
            | Self::CreateStream
            | Self::DeleteStream(_)
            | Self::CheckBandwidth
            | Self::BandwidthChecked
            | Self::Pong => (CSID_CALL, 0),
        };
        let kind = MessageType::CommandAmf0;
        Ok(out.message(csid, kind, stream, Millis(0), w.written())?)
    }

    const fn method(&self) -> &'static [u8] {
        match self {
            Self::Connect(_) => b"connect",
            Self::ReleaseStream(_) => b"releaseStream",
            Self::FcPublish(_) => b"FCPublish",
            Self::FcUnpublish(_) => b"FCUnpublish",
            Self::FcSubscribe(_) => b"FCSubscribe",
            Self::CreateStream => b"createStream",
            Self::DeleteStream(_) => b"deleteStream",
            Self::Publish(..) => b"publish",
            Self::StreamLength(_) => b"getStreamLength",
            Self::Play(..) => b"play",
            Self::CheckBandwidth => b"_checkbw",
            Self::BandwidthChecked => b"_result",
            Self::Pong => b"pong",
        }
    }

    fn emit(&self, transaction: f64, w: &mut Writer<'_>) -> Result<(), Full> {
        let e = &mut Emitter::new(w);
        e.string(self.method())?;
        e.number(transaction)?;
        if let Self::Connect(plan) = self {
            properties(plan, e)?;
            return w.bytes(plan.arguments);
        }
        e.null()?;
        match *self {
            Self::ReleaseStream(name)
            | Self::FcPublish(name)
            | Self::FcUnpublish(name)
            | Self::FcSubscribe(name)
            | Self::StreamLength(name) => e.string(name.as_bytes()),
            Self::DeleteStream(stream) => e.number(f64::from(stream)),
            Self::Publish(_, name, kind) => {
                e.string(name.as_bytes())?;
                e.string(kind.text().as_bytes())
            }
            Self::Play(_, name, start) => {
                e.string(name.as_bytes())?;
                e.number(start.number())
            }
            Self::BandwidthChecked => e.number(0.0),
            Self::Connect(_) | Self::CreateStream | Self::CheckBandwidth | Self::Pong => Ok(()),
        }
    }
}

/// The command object of connect, in ffmpeg's order.
fn properties(plan: &Plan<'_>, e: &mut Emitter<'_, '_>) -> Result<(), Full> {
    e.object()?;
    text(e, "app", plan.app)?;
    announce(&plan.enhanced, e)?;
    if let Role::Publish(_) = plan.role {
        text(e, "type", "nonprivate")?;
    }
    text(e, "flashVer", plan.agent)?;
    if !plan.swf_url.is_empty() {
        text(e, "swfUrl", plan.swf_url)?;
    }
    text(e, "tcUrl", plan.tc_url)?;
    if let Role::Play(play) = plan.role {
        player(&play, e)?;
        if !plan.page_url.is_empty() {
            text(e, "pageUrl", plan.page_url)?;
        }
    }
    e.end()
}

fn player(play: &Play<'_>, e: &mut Emitter<'_, '_>) -> Result<(), Full> {
    e.key(b"fpad")?;
    e.boolean(play.fpad)?;
    number(e, "capabilities", play.capabilities)?;
    number(e, "audioCodecs", play.audio_codecs)?;
    number(e, "videoCodecs", play.video_codecs)?;
    number(e, "videoFunction", play.video_function)
}

fn announce(enhanced: &Enhanced<'_>, e: &mut Emitter<'_, '_>) -> Result<(), Full> {
    if !enhanced.codecs.is_empty() {
        e.key(b"fourCcList")?;
        e.strict_array(u32::try_from(enhanced.codecs.len()).unwrap_or(0))?;
        for codec in enhanced.codecs {
            e.string(codec.as_bytes())?;
        }
    }
    let maps = [("videoFourCcInfoMap", enhanced.video), ("audioFourCcInfoMap", enhanced.audio)];
    for (name, map) in maps {
        if map.is_empty() {
            continue;
        }
        e.key(name.as_bytes())?;
        e.object()?;
        for (codec, bits) in map {
            number(e, codec, *bits)?;
        }
        e.end()?;
    }
    if enhanced.caps_ex != 0 {
        number(e, "capsEx", enhanced.caps_ex)?;
    }
    Ok(())
}

fn text(e: &mut Emitter<'_, '_>, name: &str, value: &str) -> Result<(), Full> {
    e.key(name.as_bytes())?;
    e.string(value.as_bytes())
}

fn number(e: &mut Emitter<'_, '_>, name: &str, value: u32) -> Result<(), Full> {
    e.key(name.as_bytes())?;
    e.number(f64::from(value))
}
