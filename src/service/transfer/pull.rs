//! `rillcast pull`: a stream of an upstream, written to an FLV file.
//!
//! The stream's end is the file's. Media is written as it came: from a server that is asked for it,
//! or from a publisher who comes.
//! Source: RTMP 1.0 §7.2.2.1.

use super::flv_file::FlvFile;
use super::origin::{Origin, Word};
use super::{Frame, Moved, TransferFault};
use crate::limits::{PULL_FILE_RING_BYTES, SILENCE_TIME_MAX};
use crate::proto::rtmp::data::ON_META_DATA;
use crate::proto::rtmp::dechunk::{Arrival, Bin};
use crate::service::clock;
use crate::service::intake::{Place, tag_kind};
use crate::service::upstream::guest::GuestFault;
use crate::service::upstream::{Conversation, Halt, Reason, Stop, Target};
use crate::storage::FrameRing;
use crate::time::{Instant, Millis};
use crate::wire::flv::TagKind;
use crate::wire::rtmp::aggregate::Walk;
use crate::wire::rtmp::message::MessageType;
use std::io;
use std::path::{Path, PathBuf};

/// Writes the stream at `target` to `output`, for `seconds` if they are given; `progress` hears
/// what was moved so far.
///
/// # Errors
/// `TransferFault`; what came before it was written.
pub async fn pull(
    frame: Frame,
    target: Target,
    output: PathBuf,
    seconds: Option<u32>,
    progress: impl FnMut(&Moved),
) -> Result<Moved, TransferFault> {
    let mut place = Box::new(Place::new());
    let listens = target.typed()?.listen;
    let mut ring = FrameRing::new(PULL_FILE_RING_BYTES, 1);
    let file = FlvFile::create(&output);
    let file = file.map_err(|cause| TransferFault::Output { path: shown(&output), cause })?;
    let most = seconds.map(|seconds| u64::from(seconds) * 1000);
    let mut pulling = Pulling { file, most, progress, moved: Moved::default(), is_over: false };
    let play = async |conversation: &mut Conversation<'_>| {
        conversation.open(&frame.watch).await?;
        let outcome = pulling.record(conversation, &mut ring, &frame).await;
        conversation.abandon(Some(&mut ring));
        outcome
    };
    let outcome = if listens {
        Box::pin(pulling.host(place, &target, &mut ring, &frame)).await
    } else {
        Box::pin(frame.attempt(&target).run(&mut place, || (), play)).await
    };
    let outcome = match outcome {
        Err(Fault::Upstream(Reason::Ended)) if pulling.moved.messages > 0 => Ok(()),
        Err(Fault::Upstream(reason)) => Err(reason.into()),
        Err(Fault::Output(cause)) => Err(TransferFault::Output { path: shown(&output), cause }),
        Ok(()) => Ok(()),
    };
    let ended = pulling.file.end();
    outcome?;
    ended.map_err(|cause| TransferFault::Output { path: shown(&output), cause })?;
    Ok(pulling.moved)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Why it ends, before the file has its name in it.
#[derive(Debug)]
enum Fault {
    Upstream(Reason),
    Output(io::Error),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Upstream(reason)
    }
}

type PullStop = Halt<Fault>;

struct Pulling<P> {
    file: FlvFile,
    /// Milliseconds after which there is enough.
    most: Option<u64>,
    progress: P,
    moved: Moved,
    is_over: bool,
}

impl<P: FnMut(&Moved)> Pulling<P> {
    /// Writes what comes, until there is no more of it.
    async fn record(
        &mut self,
        origin: &mut impl Origin,
        ring: &mut FrameRing,
        frame: &Frame,
    ) -> Result<(), PullStop> {
        let mut heard = clock::now();
        loop {
            let before = self.moved.messages;
            self.take(origin, ring)?;
            let now = clock::now();
            if self.moved.messages > before {
                heard = now;
                (self.progress)(&self.moved);
            }
            if self.is_over || frame.is_stopped() {
                return Ok(());
            }
            silence(heard, now)?;
            origin.flush()?;
            frame.watch.at(heard.after(SILENCE_TIME_MAX));
            if !origin.read(ring, now)? {
                origin.link().news(origin.wanted(), &frame.watch.bell).await?;
            }
        }
    }

    /// Waits for a publisher and takes what it sends.
    async fn host(
        &mut self,
        place: Box<Place>,
        target: &Target,
        ring: &mut FrameRing,
        frame: &Frame,
    ) -> Result<(), Fault> {
        let welcome = frame.attempt(target).welcome(place, || frame.is_stopped());
        let Some(mut guest) = Box::pin(welcome).await? else { return Ok(()) };
        let ended = match self.record(&mut guest, ring, frame).await {
            Err(Halt::Upstream(Stop::Failed(Reason::Guest(GuestFault::Gone))))
                if self.moved.messages > 0 =>
            {
                Ok(())
            }
            Err(Halt::Upstream(Stop::Failed(reason))) => Err(Fault::Upstream(reason)),
            Err(Halt::Own(fault)) => Err(fault),
            Err(Halt::Upstream(Stop::Elsewhere(_))) | Ok(()) => Ok(()),
        };
        // It may be gone already.
        let _told = guest.flush();
        ended
    }

    /// Writes everything that is whole.
    fn take(&mut self, origin: &mut impl Origin, ring: &mut FrameRing) -> Result<(), PullStop> {
        while !self.is_over
            && let Some(arrival) = origin.next(ring)?
        {
            match arrival.bin {
                Bin::Nowhere => {}
                Bin::Media(_) => {
                    let body = ring.bytes(arrival.place).unwrap_or_default();
                    self.media(&arrival, body)?;
                }
                Bin::Scratch => match origin.hear(&arrival)? {
                    Some(Word::Metadata(body)) => {
                        self.tag(TagKind::Script, Millis(0), &[ON_META_DATA, body])?;
                    }
                    Some(Word::Data(body, at)) => self.tag(TagKind::Script, at, &[body])?,
                    Some(Word::Over) => self.is_over = self.moved.messages > 0,
                    None => {}
                },
            }
        }
        origin.acknowledge();
        Ok(())
    }

    fn media(&mut self, arrival: &Arrival, body: &[u8]) -> Result<(), PullStop> {
        if arrival.kind != MessageType::Aggregate {
            let Some(kind) = tag_kind(arrival.kind) else { return Ok(()) };
            return self.tag(kind, arrival.at, &[body]);
        }
        let mut walk = Walk::new(arrival.at);
        while let Some(part) = walk.next(body) {
            let part = part.map_err(Reason::from)?;
            if let Some(kind) = tag_kind(part.kind) {
                self.tag(kind, part.timestamp, &[part.payload])?;
            }
        }
        Ok(())
    }

    fn tag(&mut self, kind: TagKind, at: Millis, parts: &[&[u8]]) -> Result<(), PullStop> {
        let millis = self.file.place(kind, at, parts);
        if self.most.is_some_and(|most| millis >= most) {
            self.is_over = true;
            return Ok(());
        }
        let bytes =
            self.file.tag(kind, millis, parts).map_err(|cause| Halt::Own(Fault::Output(cause)))?;
        self.moved.messages += 1;
        self.moved.bytes += bytes;
        self.moved.millis = self.moved.millis.max(millis);
        Ok(())
    }
}

fn silence(heard: Instant, now: Instant) -> Result<(), Reason> {
    if now.since(heard) < SILENCE_TIME_MAX { Ok(()) } else { Err(Reason::Silent) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MESSAGE_BYTES_MAX;
    use crate::storage::narrow;

    #[test]
    fn ring_takes_the_longest_message() {
        let mut ring = FrameRing::new(PULL_FILE_RING_BYTES, 1);
        assert!(ring.reserve(narrow(MESSAGE_BYTES_MAX)).is_ok());
    }
}
