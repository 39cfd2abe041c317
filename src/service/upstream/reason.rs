//! Why an upstream is not there, in words for the person on the phone.

use super::guest::GuestFault;
use super::player::PlayerFault;
use crate::limits;
use crate::proto::rtmp::auth::responder::ResponderError;
use crate::proto::rtmp::client::{ClientError, Refusal};
use crate::proto::rtmp::dechunk::ChunkError;
use crate::proto::rtmp::handshake::HandshakeError;
use crate::proto::rtmp::options::OptionError;
use crate::proto::rtmp::plan::PlanError;
use crate::service::stream::PublishRefusal;
use crate::service::tls::TlsError;
use crate::wire::rtmp::aggregate::AggregateError;
use crate::wire::rtmp::url::UrlError;
use crate::wire::writer::Full;
use core::fmt;
use std::io;

/// Why there is no connection, or no more.
#[derive(thiserror::Error)]
pub enum Reason {
    /// Malformed, and ours: the address.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Malformed, and ours: an option.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Malformed, and ours: both together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Exhausted: what follows the command object of connect.
    #[error("rtmp_conn: {0}")]
    Arguments(#[from] Full),
    /// What the upstream may ask about.
    #[error("player of rtmp_swfverify: {0}")]
    Player(#[from] PlayerFault),
    /// Whom we do not believe within TLS, or what is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Misbehaved: silence before TLS.
    #[error(
        "upstream did not answer the TLS handshake for {} s: is this its port for rtmps://?",
        limits::UPSTREAM_STEP_TIME_MAX.as_secs()
    )]
    TlsSilent,
    /// The name leads nowhere.
    #[error("name {host} is not found: {cause}; check the name and the network's DNS")]
    Lookup {
        /// The name.
        host: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The name server is silent, or the upstream is.
    #[error(
        "upstream does not answer within {} s: check address, network and firewall",
        limits::UPSTREAM_CONNECT_TIME_MAX.as_secs()
    )]
    Unreached,
    /// No way there, or nobody listens.
    #[error("upstream cannot be reached: {0}; check address and port")]
    Connect(io::Error),
    /// The connection broke.
    #[error("connection to upstream broke: {0}")]
    Io(#[from] io::Error),
    /// Misbehaved: silence before the session.
    #[error(
        "upstream did not answer the handshake for {} s: is this an RTMP server?",
        limits::UPSTREAM_STEP_TIME_MAX.as_secs()
    )]
    HandshakeSilent,
    /// Misbehaved: no handshake.
    #[error("upstream closed the connection during the handshake: is this an RTMP server?")]
    HandshakeClosed,
    /// Malformed: the handshake.
    #[error("upstream: {0}; is this an RTMP server?")]
    Handshake(#[from] HandshakeError),
    /// Malformed: the chunk stream.
    #[error("upstream: {0}")]
    Chunk(#[from] ChunkError),
    /// Malformed: a message of media.
    #[error("upstream: aggregate message: {0}")]
    Aggregate(#[from] AggregateError),
    /// What the session cannot go on with.
    #[error(transparent)]
    Session(#[from] ClientError),
    /// The upstream says no.
    #[error("{refusal}{words}")]
    Refused {
        /// What it comes down to.
        refusal: Refusal,
        /// The upstream's own words, behind a colon; may be empty.
        words: String,
    },
    /// Misbehaved or unsupported: signing in.
    #[error("upstream: {0}")]
    SignIn(#[from] ResponderError),
    /// Misbehaved: sent on and on.
    #[error("upstream sends us elsewhere more than {} times", limits::UPSTREAM_REDIRECTS_MAX)]
    Redirects,
    /// Misbehaved: sent back to where we were.
    #[error("upstream sends us in a circle")]
    Circle,
    /// Misbehaved: sent from encrypted to plain.
    #[error("upstream sends us from TLS to plain TCP, which would show the stream key")]
    Downgrade,
    /// The upstream says goodbye.
    #[error("upstream said goodbye")]
    Goodbye,
    /// The upstream ended the stream.
    #[error("upstream ended the stream")]
    Ended,
    /// Exhausted: it takes nothing.
    #[error(
        "upstream takes nothing for {} s: is the line fast enough?",
        limits::PLAYER_STALL_TIME_MAX.as_secs()
    )]
    Stalled,
    /// Misbehaved: a stream without media.
    #[error(
        "upstream sends no audio or video for {} s: is its publisher there?",
        limits::SILENCE_TIME_MAX.as_secs()
    )]
    Silent,
    /// Unsupported: listening where something is sent, or beside a server.
    #[error("listen is for `rillcast pull`; a server's publishers come to rtmp.listen")]
    Listens,
    /// A publisher who was to come to us.
    #[error(transparent)]
    Guest(#[from] GuestFault),
    /// The stream here cannot be had.
    #[error("{0}")]
    Publish(#[from] PublishRefusal),
    /// Another publisher has the stream here.
    #[error("another connection has taken the stream over")]
    Replaced,
}

/// The words: names beside them would cost each board's flash, and nobody reads them.
impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
