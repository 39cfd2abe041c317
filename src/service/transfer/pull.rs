//! `rillcast pull`: a stream of an upstream, written to an FLV file.
//!
//! Times begin at 0 with the first picture or sound. The stream's end is the file's. Media is
//! written as it came: from a server that is asked for it, or from a publisher who comes.
//! Source: RTMP 1.0 §7.2.2.1; Adobe Video File Format 10.1 §E.

use super::{Frame, Moved, TransferFault};
use crate::limits::{PULL_FILE_RING_BYTES, SILENCE_TIME_MAX};
use crate::proto::rtmp::client::ClientEvent;
use crate::proto::rtmp::data::ON_META_DATA;
use crate::proto::rtmp::dechunk::{Arrival, Bin};
use crate::proto::rtmp::event::Event;
use crate::service::clock;
use crate::service::intake::{Place, tag_kind};
use crate::service::upstream::guest::{Guest, GuestFault};
use crate::service::upstream::{Conversation, Halt, Reason, Stop, Target, verdict};
use crate::storage::{FrameRing, widen};
use crate::time::{Instant, Millis};
use crate::wire::flv::{self, FileHeader, TagHeader, TagKind};
use crate::wire::rtmp::aggregate::Walk;
use crate::wire::rtmp::message::MessageType;
use crate::wire::writer::Writer;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
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
        let outcome = pulling.play(conversation, &mut ring, &frame).await;
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
    async fn play(
        &mut self,
        conversation: &mut Conversation<'_>,
        ring: &mut FrameRing,
        frame: &Frame,
    ) -> Result<(), PullStop> {
        conversation.open(&frame.watch).await?;
        let mut heard = clock::now();
        loop {
            let before = self.moved.messages;
            self.drain(conversation, ring)?;
            let now = clock::now();
            if self.moved.messages > before {
                heard = now;
                (self.progress)(&self.moved);
            }
            if self.is_over || frame.is_stopped() {
                return Ok(());
            }
            silence(heard, now)?;
            conversation.flush()?;
            frame.watch.at(heard.after(SILENCE_TIME_MAX));
            let read = conversation.read(Some(&mut *ring), now)?;
            if read.is_none() {
                conversation.link.news(conversation.wanted(), &frame.watch.bell).await?;
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

    /// Writes what a guest sends, until it has no more.
    async fn record(
        &mut self,
        guest: &mut Guest<'_>,
        ring: &mut FrameRing,
        frame: &Frame,
    ) -> Result<(), PullStop> {
        let mut heard = clock::now();
        loop {
            let before = self.moved.messages;
            self.take(guest, ring)?;
            let now = clock::now();
            if self.moved.messages > before {
                heard = now;
                (self.progress)(&self.moved);
            }
            if self.is_over || frame.is_stopped() {
                return Ok(());
            }
            silence(heard, now)?;
            guest.flush()?;
            frame.watch.at(heard.after(SILENCE_TIME_MAX));
            if !guest.read(Some(&mut *ring))? {
                guest.link.news(guest.wanted(), &frame.watch.bell).await?;
            }
        }
    }

    /// Writes everything of a guest that is whole.
    fn take(&mut self, guest: &mut Guest<'_>, ring: &mut FrameRing) -> Result<(), PullStop> {
        while !self.is_over
            && let Some(arrival) = guest.next(Some(&mut *ring))?
        {
            match arrival.bin {
                Bin::Nowhere => {}
                Bin::Media(_) => {
                    let body = ring.bytes(arrival.place).unwrap_or_default();
                    self.media(&arrival, body)?;
                }
                Bin::Scratch => match guest.hear(&arrival)? {
                    Some(Event::Metadata { body, .. }) => {
                        self.tag(TagKind::Script, Millis(0), &[ON_META_DATA, body])?;
                    }
                    Some(Event::Data { body, timestamp, .. }) => {
                        self.tag(TagKind::Script, timestamp, &[body])?;
                    }
                    Some(Event::Unpublish { .. }) => self.is_over = self.moved.messages > 0,
                    Some(_) | None => {}
                },
            }
        }
        guest.acknowledge();
        Ok(())
    }

    /// Writes everything that is whole.
    fn drain(
        &mut self,
        conversation: &mut Conversation<'_>,
        ring: &mut FrameRing,
    ) -> Result<(), PullStop> {
        let said = conversation.said();
        while let Some(arrival) = conversation.next(Some(&mut *ring))? {
            match arrival.bin {
                Bin::Nowhere => {}
                Bin::Media(_) => {
                    let body = ring.bytes(arrival.place).unwrap_or_default();
                    self.media(&arrival, body)?;
                }
                Bin::Scratch => match conversation.hear(&arrival)? {
                    Some(ClientEvent::Metadata { body, .. }) => {
                        let parts = [ON_META_DATA, body];
                        self.tag(TagKind::Script, Millis(0), &parts)?;
                    }
                    Some(ClientEvent::Data { body, timestamp, .. }) => {
                        self.tag(TagKind::Script, timestamp, &[body])?;
                    }
                    Some(ClientEvent::UnpublishNotify | ClientEvent::StreamEof { .. })
                        if self.moved.messages > 0 =>
                    {
                        self.is_over = true;
                    }
                    Some(event) => drop(verdict(&event, said)?),
                    None => {}
                },
            }
            if self.is_over {
                break;
            }
        }
        conversation.acknowledge();
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

/// An FLV file that is being written.
struct FlvFile {
    file: BufWriter<File>,
    /// Time of the first picture or sound, and the last time written.
    base: Option<Millis>,
    audio: bool,
    video: bool,
}

impl FlvFile {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&file_header(false, false))?;
        file.write_all(&[0; 4])?;
        Ok(Self { file, base: None, audio: false, video: false })
    }

    /// The time of a message in the file, in milliseconds.
    fn place(&mut self, kind: TagKind, at: Millis, parts: &[&[u8]]) -> u64 {
        let body = parts.first().copied().unwrap_or_default();
        let is_media = matches!(kind, TagKind::Audio | TagKind::Video);
        if self.base.is_none() && is_media && !flv::is_sequence_header(kind, body) {
            self.base = Some(at);
        }
        let Some(base) = self.base else { return 0 };
        let behind = at.0.wrapping_sub(base.0);
        // What was sent before the first is not later by 49 days.
        if behind > u32::MAX / 2 { 0 } else { behind.into() }
    }

    /// Writes a tag; gives the bytes of its body.
    fn tag(&mut self, kind: TagKind, millis: u64, parts: &[&[u8]]) -> io::Result<u64> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let too_long = || io::Error::from(io::ErrorKind::FileTooLarge);
        let length = u32::try_from(bytes).map_err(|_| too_long())?;
        let timestamp = Millis(u32::try_from(millis).map_err(|_| too_long())?);
        let header = TagHeader { kind, filtered: false, length, timestamp, stream: 0 };
        let mut head = [0; 11];
        let mut w = Writer::new(&mut head);
        header.emit(&mut w).map_err(|_| too_long())?;
        self.file.write_all(w.written())?;
        for part in parts {
            self.file.write_all(part)?;
        }
        self.file.write_all(&(length + TagHeader::BYTES).to_be_bytes())?;
        self.audio |= kind == TagKind::Audio;
        self.video |= kind == TagKind::Video;
        Ok(widen(bytes))
    }

    /// Writes what is in the file into its header; what cannot be sought goes without.
    fn end(mut self) -> io::Result<()> {
        self.file.flush()?;
        if self.file.seek(SeekFrom::Start(0)).is_ok() {
            self.file.write_all(&file_header(self.audio, self.video))?;
        }
        self.file.flush()
    }
}

fn file_header(audio: bool, video: bool) -> [u8; 9] {
    let mut bytes = [0; 9];
    let header = FileHeader { audio, video, data_offset: u32::from(FileHeader::BYTES) };
    let emitted = header.emit(&mut Writer::new(&mut bytes));
    debug_assert!(emitted.is_ok());
    bytes
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

    #[test]
    fn file_begins_at_its_first_picture_or_sound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.flv");
        let mut file = FlvFile::create(&path).unwrap();
        let header: &[u8] = b"\xaf\x00\x12\x10";
        let frame: &[u8] = b"\xaf\x01\x21";
        for (at, body, want) in
            [(9000, header, 0), (9500, frame, 0), (9523, frame, 23), (9499, frame, 0)]
        {
            let millis = file.place(TagKind::Audio, Millis(at), &[body]);
            assert_eq!(millis, want, "{at}");
            file.tag(TagKind::Audio, millis, &[body]).unwrap();
        }
        file.end().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..13], *b"FLV\x01\x04\0\0\0\x09\0\0\0\0");
        assert_eq!(bytes.len(), 13 + 4 * 15 + 4 + 3 * 3);
    }
}
