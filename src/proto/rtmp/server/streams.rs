//! The message streams of one connection: created, asked to publish or play, publishing, playing.
//!
//! Stream 0, the connection's own, is there without being created, and some encoders publish on
//! it. Others publish on a number they never created; that makes the stream.
//! Source: RTMP 1.0 §7.2.1.3, §7.2.2.

use crate::limits;
use crate::proto::rtmp::name::Target;

/// Places: what may be created, and stream 0.
const PLACES: usize = limits::MESSAGE_STREAMS_MAX + 1;

/// What a message stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The peer sends.
    Publish,
    /// The peer receives.
    Play,
}

impl Purpose {
    /// How many message streams of one connection may serve it.
    const fn most(self) -> usize {
        match self {
            Self::Publish => limits::PUBLISHES_MAX,
            Self::Play => limits::PLAYS_MAX,
        }
    }
}

/// What a message stream does.
#[derive(Clone, Debug)]
struct Work {
    purpose: Purpose,
    target: Target,
    /// Whether the service has agreed.
    granted: bool,
}

#[derive(Clone, Debug)]
struct Stream {
    id: u32,
    work: Option<Work>,
}

impl Stream {
    fn is_for(&self, purpose: Purpose) -> bool {
        self.work.as_ref().is_some_and(|work| work.purpose == purpose)
    }
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
    /// Exhausted: players.
    #[error("connection plays {max} streams already")]
    TooManyPlaying {
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
    #[error("message stream {id} did not ask for this")]
    NotAsked {
        /// Message stream id.
        id: u32,
    },
}

/// The table of one connection's message streams.
#[derive(Clone, Debug)]
pub(super) struct Streams {
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

    /// Notes that stream `id` asks to publish or play.
    pub(super) fn ask(
        &mut self,
        id: u32,
        purpose: Purpose,
        target: Target,
    ) -> Result<&Target, StreamError> {
        if purpose == Purpose::Publish
            && let Some(id) = self.by_name(Purpose::Publish, &target)
        {
            return Err(StreamError::SameName { id });
        }
        let serves = |stream: &&Stream| stream.is_for(purpose);
        let max = purpose.most();
        if self.table.iter().filter(serves).count() >= max {
            return Err(match purpose {
                Purpose::Publish => StreamError::TooManyPublishing { max },
                Purpose::Play => StreamError::TooManyPlaying { max },
            });
        }
        if self.find(id).is_none() {
            self.insert(id)?;
        }
        let stream = self.find_mut(id).ok_or(StreamError::NotAsked { id })?;
        if stream.work.is_some() {
            return Err(StreamError::Busy { id });
        }
        Ok(&stream.work.insert(Work { purpose, target, granted: false }).target)
    }

    /// Lets a stream do what it asked for, or not.
    pub(super) fn answer(
        &mut self,
        id: u32,
        purpose: Purpose,
        granted: bool,
    ) -> Result<(), StreamError> {
        let stream = self.find_mut(id).ok_or(StreamError::NotAsked { id })?;
        let asked = stream.work.as_mut().filter(|work| work.purpose == purpose && !work.granted);
        let work = asked.ok_or(StreamError::NotAsked { id })?;
        work.granted = granted;
        if !granted {
            stream.work = None;
        }
        Ok(())
    }

    /// Ends what stream `id` does or asked to; says what that was.
    pub(super) fn stop(&mut self, id: u32) -> Option<Purpose> {
        let work = self.find_mut(id)?.work.take()?;
        Some(work.purpose)
    }

    /// Frees the place of stream `id`.
    pub(super) fn delete(&mut self, id: u32) {
        self.table.retain(|stream| stream.id != id);
    }

    /// The stream that does, or asked to do, this.
    pub(super) fn by_name(&self, purpose: Purpose, target: &Target) -> Option<u32> {
        let same = |stream: &&Stream| {
            stream.work.as_ref().is_some_and(|w| w.purpose == purpose && w.target == *target)
        };
        self.table.iter().find(same).map(|stream| stream.id)
    }

    /// Whether stream `id` was let publish or play.
    pub(super) fn is_active(&self, id: u32, purpose: Purpose) -> bool {
        let work = self.find(id).and_then(|stream| stream.work.as_ref());
        work.is_some_and(|work| work.purpose == purpose && work.granted)
    }

    /// Whether stream `id` does, or asked to do, this.
    pub(super) fn is_for(&self, id: u32, purpose: Purpose) -> bool {
        self.find(id).is_some_and(|stream| stream.is_for(purpose))
    }

    fn insert(&mut self, id: u32) -> Result<(), StreamError> {
        let created = self.table.iter().filter(|stream| stream.id != 0).count();
        let full = StreamError::TooMany { max: limits::MESSAGE_STREAMS_MAX };
        if id != 0 && created >= limits::MESSAGE_STREAMS_MAX {
            return Err(full);
        }
        self.table.push(Stream { id, work: None }).map_err(|_| full)
    }

    fn find(&self, id: u32) -> Option<&Stream> {
        self.table.iter().find(|stream| stream.id == id)
    }

    fn find_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.table.iter_mut().find(|stream| stream.id == id)
    }
}
