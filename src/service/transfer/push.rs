//! `rillcast push`: the tags of a source, published to an upstream.
//!
//! In the time of the source, or as fast as the upstream takes them. An upstream that sends us on
//! is followed: the next server gets the headers again and begins at a keyframe.
//! Source: RTMP 1.0 §7.2.2.6; Enhanced RTMP v2, "Reconnect Request".

use super::source::{Tag, TagSource, metadata};
use super::{Frame, Moved, TransferFault};
use crate::limits::{PLAYER_STALL_TIME_MAX, PUSH_FILE_GAP_MAX};
use crate::proto::rtmp::gather::{Gather, Slices, Towards};
use crate::service::clock;
use crate::service::intake::Place;
use crate::service::upstream::{Conversation, Halt, Reason, Stop, Target, is_pause};
use crate::storage::{Label, widen};
use crate::sys::poll::Interest;
use crate::time::{Instant, Millis};
use crate::wire::flv::{self, TagKind};
use core::time::Duration;
use smol::future;
use std::io::Write as _;

/// What a server must have before media.
const HEADERS: usize = 3;

/// Publishes `source` to `target`; `progress` hears what was moved so far.
///
/// # Errors
/// `TransferFault`.
pub async fn push(
    frame: Frame,
    target: Target,
    source: TagSource,
    fast: bool,
    progress: impl FnMut(&Moved),
) -> Result<Moved, TransferFault> {
    let mut place = Box::new(Place::new());
    let mut pushing = Pushing::new(source, fast, progress);
    let publish =
        async |conversation: &mut Conversation<'_>| pushing.publish(conversation, &frame).await;
    Box::pin(frame.attempt(&target).run(&mut place, || (), publish)).await?;
    Ok(pushing.moved)
}

/// Why it ends.
type PushStop = Halt<TransferFault>;

struct Pushing<P> {
    source: TagSource,
    fast: bool,
    progress: P,
    body: Vec<u8>,
    /// Metadata and sequence headers, for the next server.
    headers: [Option<(TagKind, Vec<u8>)>; HEADERS],
    clock: Option<Pace>,
    moved: Moved,
    /// Waits for a keyframe.
    starts: bool,
}

/// The clock of the source against ours.
struct Pace {
    last: Millis,
    due: Instant,
}

impl<P: FnMut(&Moved)> Pushing<P> {
    fn new(source: TagSource, fast: bool, progress: P) -> Self {
        Self {
            source,
            fast,
            progress,
            body: Vec::new(),
            headers: [const { None }; HEADERS],
            clock: None,
            moved: Moved::default(),
            starts: false,
        }
    }

    /// Publishes until the source ends or a signal comes.
    async fn publish(
        &mut self,
        conversation: &mut Conversation<'_>,
        frame: &Frame,
    ) -> Result<(), PushStop> {
        let stream = conversation.open(&frame.watch).await?;
        let at = self.clock.as_ref().map_or(Millis(0), |clock| clock.last);
        self.starts = self.headers.iter().flatten().any(|(kind, _)| *kind == TagKind::Video);
        for (kind, body) in self.headers.iter().flatten() {
            send(conversation, frame, stream, (*kind, at), body).await?;
        }
        while !frame.is_stopped() {
            let next = self.source.next(&mut self.body).map_err(|fault| Halt::Own(fault.into()))?;
            let Some(tag) = next else { return Ok(()) };
            let due = self.due(&tag);
            if !self.fast {
                wait(conversation, frame, due).await?;
            } else if self.moved.messages.is_multiple_of(64) {
                future::yield_now().await;
            }
            conversation.attend(clock::now())?;
            if !self.may_send(&tag) {
                continue;
            }
            send(conversation, frame, stream, (tag.kind, tag.at), &self.body).await?;
            self.moved.messages += 1;
            self.moved.bytes += widen(tag.bytes);
            (self.progress)(&self.moved);
        }
        Ok(())
    }

    /// When the tag is to be sent.
    fn due(&mut self, tag: &Tag) -> Instant {
        let now = clock::now();
        let clock = self.clock.get_or_insert(Pace { last: tag.at, due: now });
        let step = tag.at.0.wrapping_sub(clock.last.0);
        let gap = Duration::from_millis(step.into());
        if gap <= PUSH_FILE_GAP_MAX {
            clock.due = clock.due.after(gap);
            self.moved.millis += u64::from(step);
        }
        // A step back, or one too long, is a jump.
        clock.last = tag.at;
        clock.due
    }

    /// Keeps headers, and holds media back until a keyframe where that is needed.
    fn may_send(&mut self, tag: &Tag) -> bool {
        let header = flv::is_sequence_header(tag.kind, &self.body);
        let slot = match tag.kind {
            TagKind::Script if metadata(&self.body).is_some() => Some(0),
            TagKind::Video if header => Some(1),
            TagKind::Audio if header => Some(2),
            TagKind::Script | TagKind::Video | TagKind::Audio => None,
            TagKind::ScriptAmf3 | TagKind::Unknown(_) => return false,
        };
        if let Some(kept) = slot.and_then(|slot| self.headers.get_mut(slot)) {
            *kept = Some((tag.kind, self.body.clone()));
            return true;
        }
        if self.starts && tag.kind == TagKind::Video {
            self.starts = !flv::is_keyframe(tag.kind, &self.body);
        }
        !self.starts
    }
}

/// Waits until `due`, and hears the upstream meanwhile.
async fn wait(
    conversation: &mut Conversation<'_>,
    frame: &Frame,
    due: Instant,
) -> Result<(), PushStop> {
    loop {
        let now = clock::now();
        if now >= due || frame.is_stopped() {
            return Ok(());
        }
        conversation.flush()?;
        let wanted = conversation.wanted();
        let news = async { conversation.link.news(wanted, &frame.watch.bell).await.map(drop) };
        let time = async {
            frame.reactor.sleep(due.since(now)).await;
            Ok(())
        };
        future::or(news, time).await?;
        conversation.attend(clock::now())?;
    }
}

/// Sends one message, whole.
async fn send(
    conversation: &mut Conversation<'_>,
    frame: &Frame,
    stream: u32,
    (kind, at): (TagKind, Millis),
    body: &[u8],
) -> Result<(), Stop> {
    let value = if kind == TagKind::Script { metadata(body) } else { None };
    let payload = value.unwrap_or(body);
    let enchunker = conversation.out().enchunker();
    let label = Label { kind: kind.code(), at, keyframe: false };
    let gather = match value {
        Some(_) => Gather::metadata(enchunker, stream, Towards::Server, at, payload.len()),
        None => Gather::message(enchunker, stream, label, payload.len()),
    };
    // A source gives nothing longer than may be sent.
    let Ok(mut gather) = gather else { return Ok(()) };
    frame.watch.at(clock::now().after(PLAYER_STALL_TIME_MAX));
    let stalled = clock::now().after(PLAYER_STALL_TIME_MAX);
    while !gather.is_complete() {
        if !gather.is_begun() {
            conversation.flush()?;
        }
        let waits = !gather.is_begun() && !conversation.out().pending().is_empty();
        let written = if waits {
            Ok(0)
        } else {
            let mut slices = Slices::new();
            gather.pieces(payload).fill(&mut slices);
            (&conversation.link).write_vectored(&slices)
        };
        match written {
            Ok(bytes @ 1..) => {
                gather.sent(bytes);
                conversation.out().passed(bytes);
                continue;
            }
            Err(error) if !is_pause(&error) => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        conversation.link.news(Interest::Both, &frame.watch.bell).await?;
        conversation.attend(clock::now())?;
        if clock::now() >= stalled {
            return Err(Reason::Stalled.into());
        }
    }
    frame.watch.never();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testcard::{TestCard, TestCardConfig};
    use crate::service::transfer::source::CardTags;

    #[test]
    fn gaps_are_kept_and_jumps_are_not() {
        let card = TestCard::new(&TestCardConfig {
            width: 320,
            height: 180,
            frames_per_second: 25,
            clock_start_ms: 0,
        })
        .unwrap();
        let source = TagSource::Card(Box::new(CardTags::new(card)));
        let mut pushing = Pushing::new(source, false, |_: &Moved| {});
        let gap = u32::try_from(PUSH_FILE_GAP_MAX.as_millis()).unwrap();
        let mut due =
            |at: u32| pushing.due(&Tag { kind: TagKind::Audio, at: Millis(at), bytes: 0 });
        let first = due(1000);
        assert_eq!(due(1000 + gap).since(first), PUSH_FILE_GAP_MAX);
        assert_eq!(due(1000 + 2 * gap + 1).since(first), PUSH_FILE_GAP_MAX, "a jump");
        assert_eq!(due(0).since(first), PUSH_FILE_GAP_MAX, "a step back");
        assert_eq!(due(40).since(first), PUSH_FILE_GAP_MAX + Duration::from_millis(40));
    }
}
