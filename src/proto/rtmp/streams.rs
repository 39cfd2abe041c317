//! The message streams of one connection: created, asked to publish, publishing.
//!
//! Stream 0, the connection's own, is there without being created, and some encoders publish on
//! it. Others publish on a number they never created; that makes the stream.
//! Source: RTMP 1.0 §7.2.1.3, §7.2.2.

use crate::limits;
use crate::proto::rtmp::name::Target;

/// Places: what may be created, and stream 0.
const PLACES: usize = limits::MESSAGE_STREAMS_MAX + 1;

/// What a message stream does.
#[derive(Clone, Debug)]
enum Phase {
    Idle,
    Asked(Target),
    Publishing(Target),
}

impl Phase {
    const fn target(&self) -> Option<&Target> {
        match self {
            Self::Idle => None,
            Self::Asked(target) | Self::Publishing(target) => Some(target),
        }
    }
}

#[derive(Clone, Debug)]
struct Stream {
    id: u32,
    phase: Phase,
}

/// Why a message stream cannot do what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Exhausted: message streams.
    #[error("connection has {max} message streams already")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// Exhausted: publishers.
    #[error("connection publishes {max} streams already")]
    TooManyPublishing {
        /// The limit.
        max: usize,
    },
    /// Misbehaved: one stream, two publishers.
    #[error("message stream {id} publishes already")]
    Busy {
        /// Message stream id.
        id: u32,
    },
    /// Misbehaved: one name, two streams.
    #[error("connection publishes this name already, on message stream {id}")]
    SameName {
        /// Message stream id that has the name.
        id: u32,
    },
    /// Misbehaved, and by the service: an answer without a question.
    #[error("message stream {id} did not ask to publish")]
    NotAsked {
        /// Message stream id.
        id: u32,
    },
}

/// The table of one connection's message streams.
#[derive(Clone, Debug)]
pub struct Streams {
    table: heapless::Vec<Stream, PLACES>,
    next: u32,
}

impl Streams {
    /// None yet; the first will be 1.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self { table: heapless::Vec::new(), next: 1 }
    }

    /// Makes a stream with a new id; ids are never used again.
    pub(super) fn create(&mut self) -> Result<u32, StreamError> {
        while self.find(self.next).is_some() {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.insert(id)?;
        self.next = id.wrapping_add(1).max(1);
        Ok(id)
    }

    /// Notes that stream `id` asks to publish.
    pub(super) fn ask(&mut self, id: u32, target: Target) -> Result<&Target, StreamError> {
        if let Some(id) = self.by_name(&target) {
            return Err(StreamError::SameName { id });
        }
        let busy = |stream: &&Stream| stream.phase.target().is_some();
        if self.table.iter().filter(busy).count() >= limits::PUBLISHES_MAX {
            return Err(StreamError::TooManyPublishing { max: limits::PUBLISHES_MAX });
        }
        if self.find(id).is_none() {
            self.insert(id)?;
        }
        let stream = self.find_mut(id).ok_or(StreamError::NotAsked { id })?;
        if stream.phase.target().is_some() {
            return Err(StreamError::Busy { id });
        }
        stream.phase = Phase::Asked(target);
        stream.phase.target().ok_or(StreamError::NotAsked { id })
    }

    /// Lets a stream that asked publish, or not.
    pub(super) fn answer(&mut self, id: u32, accepted: bool) -> Result<(), StreamError> {
        let stream = self.find_mut(id).ok_or(StreamError::NotAsked { id })?;
        stream.phase = match core::mem::replace(&mut stream.phase, Phase::Idle) {
            Phase::Asked(target) if accepted => Phase::Publishing(target),
            Phase::Asked(_) => Phase::Idle,
            phase @ (Phase::Idle | Phase::Publishing(_)) => {
                stream.phase = phase;
                return Err(StreamError::NotAsked { id });
            }
        };
        Ok(())
    }

    /// Ends what stream `id` publishes or asked to; says whether it did.
    pub(super) fn stop(&mut self, id: u32) -> bool {
        let Some(stream) = self.find_mut(id) else {
            return false;
        };
        let was = core::mem::replace(&mut stream.phase, Phase::Idle);
        was.target().is_some()
    }

    /// Frees the place of stream `id`.
    pub(super) fn delete(&mut self, id: u32) {
        self.table.retain(|stream| stream.id != id);
    }

    /// The stream that publishes, or asked to publish, this.
    pub(super) fn by_name(&self, target: &Target) -> Option<u32> {
        let same = |stream: &&Stream| stream.phase.target() == Some(target);
        self.table.iter().find(same).map(|stream| stream.id)
    }

    /// Whether stream `id` was let publish.
    pub(super) fn is_publishing(&self, id: u32) -> bool {
        let stream = self.find(id);
        stream.is_some_and(|stream| matches!(stream.phase, Phase::Publishing(_)))
    }

    fn insert(&mut self, id: u32) -> Result<(), StreamError> {
        let created = self.table.iter().filter(|stream| stream.id != 0).count();
        let full = StreamError::TooMany { max: limits::MESSAGE_STREAMS_MAX };
        if id != 0 && created >= limits::MESSAGE_STREAMS_MAX {
            return Err(full);
        }
        let phase = Phase::Idle;
        self.table.push(Stream { id, phase }).map_err(|_| full)
    }

    fn find(&self, id: u32) -> Option<&Stream> {
        self.table.iter().find(|stream| stream.id == id)
    }

    fn find_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.table.iter_mut().find(|stream| stream.id == id)
    }
}
