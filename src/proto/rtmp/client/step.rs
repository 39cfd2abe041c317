//! Where a session stands, and why it cannot go on.

use crate::proto::rtmp::client::plan::PlanError;
use crate::proto::rtmp::enchunk::OutboxFull;
use crate::wire::reader::Short;
use crate::wire::rtmp::command::CommandError;
use crate::wire::rtmp::message::ControlError;

/// Why a session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Malformed or exhausted, and ours: the plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Malformed: a command.
    #[error("upstream: {0}")]
    Command(#[from] CommandError),
    /// Malformed: a protocol control message.
    #[error("upstream: {0}")]
    Control(#[from] ControlError),
    /// Malformed: a user control message.
    #[error("upstream: {0}")]
    UserControl(#[from] Short),
    /// Misbehaved: a created stream without an id that can be used.
    #[error("upstream answers createStream without a stream id")]
    StreamId,
    /// Misbehaved: silence.
    #[error("upstream did not answer {step} for {seconds} s: check address and network")]
    NoAnswer {
        /// What was asked.
        step: Step,
        /// How long ago.
        seconds: u64,
    },
    /// Misbehaved: the connection ended without a word.
    #[error("upstream closed the connection during {0}")]
    HungUp(Step),
    /// Exhausted: the peer does not read.
    #[error(transparent)]
    Full(#[from] OutboxFull),
}

/// What a session waits for, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The answer to connect.
    Connect,
    /// The answer to createStream.
    CreateStream,
    /// The answer to publish.
    Publish,
    /// The answer to play.
    Play,
    /// Nothing: the stream runs.
    Stream,
    /// Nothing: the session is over.
    Over,
}

impl core::fmt::Display for Step {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::CreateStream => "createStream",
            Self::Publish => "publish",
            Self::Play => "play",
            Self::Stream => "the stream",
            Self::Over => "the goodbye",
        })
    }
}
