//! The live side of each stream: its ring, its pipeline, and who publishes it.
//!
//! A stream has the same number here and in the `Store`, which keeps its segments and playlist. It
//! outlives its publishers: the next one continues the same playlist. A sound track of one may be
//! another (`tracks`). Does no I/O of its own.

mod tracks;

use crate::config::settings::Config;
use crate::config::value::Encryption;
use crate::limits::{GATHER_CROWD, GATHER_TIME, GATHER_TIME_CROWD, RING_MESSAGES};
use crate::media::cue::Cue;
use crate::media::pipeline::{Message, Pipeline};
use crate::media::sink::Sink;
use crate::proto::rtmp::data::ON_META_DATA;
use crate::proto::rtmp::event::Reason;
use crate::service::reactor::Bell;
use crate::service::relay::Relays;
use crate::service::store::{Cause, NoStreamPlace, Store, masked};
use crate::service::stream::tracks::{Branches, Reserved};
use crate::status::{Counter, Status};
use crate::storage::frame_ring::Aside;
use crate::storage::{FrameRing, Label, Place, narrow};
use crate::time::{Instant, Millis, Ticks};
use crate::wire::flv::{self, TagKind};
use core::cell::RefCell;
use core::net::IpAddr;
use core::time::Duration;
use std::rc::Rc;

/// Who publishes: a number that is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublisherId(pub u64);

/// By what right somebody publishes or plays. Two that are equal are the same sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing is asked for: the address counts.
    Address(IpAddr),
    /// The stream's key.
    Key,
    /// A user, by number.
    User(usize),
    /// It is this program.
    Own,
    /// It is this program, in place of a camera that is away: it gives way to anybody.
    StandIn,
}

/// One stream's memory and state.
#[derive(Debug)]
pub struct Stream {
    /// Recent messages.
    pub ring: FrameRing,
    pipeline: Pipeline,
    publisher: Option<Publisher>,
    /// Counts the streams that had this place.
    epoch: u32,
    /// Who waits for its messages.
    bells: Vec<Rc<Bell>>,
    /// Places of the sound tracks that are taken from it.
    branches: Branches,
    /// The stream that it is a sound track of, while that is published.
    taken_from: Option<usize>,
    /// Its pictures, if any come, are not wanted.
    is_sound_alone: bool,
}

impl Stream {
    /// Who publishes it.
    #[must_use]
    pub fn publisher(&self) -> Option<PublisherId> {
        self.publisher.map(|publisher| publisher.id)
    }

    /// Changes when the place is given to another stream.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// How many wait for its messages.
    #[must_use]
    pub const fn listeners(&self) -> usize {
        self.bells.len()
    }

    /// Presentation time of timed data that has this time on the wire; puts it into the segment
    /// being written, if segments hold such.
    pub(super) fn timed(
        &mut self,
        at: Millis,
        cue: &Cue<'_>,
        sink: &mut impl Sink,
        status: &Status,
    ) -> Option<Ticks> {
        self.pipeline.timed(at, cue, &self.ring, sink, status);
        self.pipeline.moment(at)
    }

    /// `publisher` begins, and of what it sends the tracks of these numbers are taken, of video and
    /// of audio.
    fn begin(&mut self, publisher: Publisher, (video, audio): (Option<u8>, Option<u8>)) {
        debug_assert!(self.publisher.is_none());
        self.publisher = Some(publisher);
        self.pipeline.choose(video, audio);
        (self.taken_from, self.is_sound_alone) = (None, false);
        self.ring.restart();
        self.ring_bells();
    }

    fn ring_bells(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }
}

/// Who publishes a stream.
#[derive(Clone, Copy, Debug)]
pub struct Publisher {
    /// Who.
    pub id: PublisherId,
    /// By what right.
    pub right: Right,
    /// When its last audio or video message was complete.
    pub heard: Instant,
}

/// Why a publisher is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// Misbehaved: somebody else publishes the stream.
    #[error("stream {0} is being published by another connection")]
    Busy(usize),
    /// Misbehaved: a path at which nobody publishes.
    #[error("the path is that of a group or of a sound track: choose another name")]
    Reserved,
    /// Exhausted: places for streams.
    #[error(transparent)]
    Full(#[from] NoStreamPlace),
}

impl PublishRefusal {
    /// The protocol's name for it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Busy(_) | Self::Reserved => Reason::BadName,
            Self::Full(_) => Reason::Rejected,
        }
    }
}

/// A publisher that gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced(pub PublisherId);

/// All streams, and the store of their segments.
#[derive(Debug)]
pub struct Streams {
    places: Box<[RefCell<Stream>]>,
    store: Rc<RefCell<Store>>,
    status: Rc<Status>,
    /// Who waits for a stream that is not there yet.
    arrivals: RefCell<Vec<Rc<Bell>>>,
    next_id: core::cell::Cell<u64>,
    relays: Rc<Relays>,
    reserved: Reserved,
    /// Tracks of video and audio that are taken of a publisher that sends several.
    choices: (Option<u8>, Option<u8>),
}

impl Streams {
    /// Private memory of one stream beside the bytes of its ring.
    pub const STREAM_BYTES: usize = FrameRing::footprint(0, RING_MESSAGES)
        + size_of::<RefCell<Stream>>()
        + Pipeline::PARAMETER_BYTES;

    /// Takes the memory for `limits.streams` streams.
    #[must_use]
    pub fn new(config: &Config, store: Rc<RefCell<Store>>, status: Rc<Status>) -> Self {
        let ring_bytes = narrow(config.limits_ring_bytes);
        let target = Ticks::from_millis(config.hls_segment_ms.into());
        let pipeline = || {
            let mut pipeline = Pipeline::new(target);
            pipeline.pack_audio(config.hls_packed_audio);
            pipeline.carry_metadata(config.hls_id3);
            if config.hls_encryption == Encryption::SampleAes {
                pipeline.protect();
            }
            pipeline.fill_silence(config.media_fill_silence);
            pipeline
        };
        let stream = || Stream {
            ring: FrameRing::new(ring_bytes, RING_MESSAGES),
            pipeline: pipeline(),
            publisher: None,
            epoch: 0,
            bells: Vec::new(),
            branches: Branches::new(),
            taken_from: None,
            is_sound_alone: false,
        };
        Self {
            places: (0..config.limits_streams).map(|_| RefCell::new(stream())).collect(),
            store,
            status,
            arrivals: RefCell::new(Vec::new()),
            next_id: core::cell::Cell::new(0),
            relays: Rc::default(),
            reserved: Reserved::new(config),
            choices: (config.media_video_track, config.media_audio_track),
        }
    }

    /// Upstreams that streams come from and go to.
    #[must_use]
    pub const fn relays(&self) -> &Rc<Relays> {
        &self.relays
    }

    /// Whether somebody waits for the stream's messages.
    #[must_use]
    pub fn is_followed(&self, stream: usize) -> bool {
        self.places.get(stream).is_some_and(|place| !place.borrow().bells.is_empty())
    }

    /// A name for a publisher.
    pub fn new_publisher(&self) -> PublisherId {
        self.next_id.set(self.next_id.get() + 1);
        PublisherId(self.next_id.get())
    }

    /// Lets `id` publish the stream at `path`, by that right, if nobody does, or if the one who
    /// does has been silent for `silence`. Gives the stream's number, and who had to give way.
    ///
    /// # Errors
    /// `PublishRefusal`.
    pub fn publish(
        &self,
        path: &str,
        (id, right): (PublisherId, Right),
        now: Instant,
        silence: Duration,
    ) -> Result<(usize, Option<Replaced>), PublishRefusal> {
        if self.reserved.holds(path) {
            return Err(PublishRefusal::Reserved);
        }
        let mut replaced = None;
        if let (Some(index), Some(holder)) = (self.find(path), self.holder(path)) {
            if holder.id == id || now.since(holder.heard) < silence {
                return Err(PublishRefusal::Busy(index));
            }
            self.leave(index, holder.id, now);
            replaced = Some(Replaced(holder.id));
        }
        let index = self.take_place(path, now)?;
        let publisher = Publisher { id, right, heard: now };
        if let Some(place) = self.places.get(index) {
            place.borrow_mut().begin(publisher, self.choices);
        }
        self.begin_tracks(index, path, publisher);
        for bell in self.arrivals.borrow_mut().drain(..) {
            bell.ring();
        }
        Ok((index, replaced))
    }

    /// A place for the stream at `path`: its own, or that of one which is long gone. Who stands in
    /// for a camera there ends.
    fn take_place(&self, path: &str, now: Instant) -> Result<usize, NoStreamPlace> {
        let present = self.find(path);
        let used = present.or_else(|| self.store.borrow().evictable(now));
        self.step_aside(used, now);
        let index = self.store.borrow_mut().publish(path, now)?;
        if present.is_none()
            && let Some(place) = self.places.get(index)
        {
            let mut place = place.borrow_mut();
            place.epoch = place.epoch.wrapping_add(1);
            place.pipeline.forget();
        }
        Ok(index)
    }

    /// Lets `id` stand in for the camera of `stream`, which is at `path`, until somebody else
    /// publishes it. Says whether that can be: the stream is still there, and nobody publishes it.
    pub fn stand_in(&self, stream: usize, path: &str, id: PublisherId, now: Instant) -> bool {
        let Some(place) = self.places.get(stream) else { return false };
        let mut place = place.borrow_mut();
        if place.publisher.is_some() || self.store.borrow().path(stream) != Some(path) {
            return false;
        }
        place.begin(Publisher { id, right: Right::StandIn, heard: now }, (None, None));
        place.is_sound_alone = self.reserved.is_track(path);
        true
    }

    /// Who stands in for a camera ends, since a place is needed or a camera is back.
    fn step_aside(&self, stream: Option<usize>, now: Instant) {
        let Some(index) = stream else { return };
        let publisher = self.places.get(index).and_then(|place| place.borrow().publisher);
        if let Some(Publisher { id, right: Right::StandIn, .. }) = publisher {
            self.leave(index, id, now);
        }
    }

    /// Ends the publishing of `stream` if `id` is its publisher: the last segment is written. Says
    /// whether it was. A sound track leaves with what it is taken from.
    pub fn leave(&self, stream: usize, id: PublisherId, now: Instant) -> bool {
        let Some(place) = self.places.get(stream) else { return false };
        let mut place = place.borrow_mut();
        if place.taken_from.is_some() {
            return false;
        }
        let Some(publisher) = place.publisher.take_if(|publisher| publisher.id == id) else {
            return false;
        };
        self.leave_tracks(&mut place, now);
        let Stream { ring, pipeline, .. } = &mut *place;
        let mut store = self.store.borrow_mut();
        pipeline.leave(ring, &mut store.sink(stream, now), &self.status);
        if publisher.right != Right::StandIn {
            store.leave(stream, now);
        }
        place.ring_bells();
        true
    }

    /// Ends the presentation of the stream at `path` for good: whoever publishes it gives way, its
    /// last segment is listed, and the playlist is ended. Who publishes it next begins another.
    /// Says whether there was one.
    pub fn end(&self, path: &str, now: Instant) -> bool {
        let Some(stream) = self.find(path) else { return false };
        self.step_aside(Some(stream), now);
        if let Some(holder) = self.holder(path) {
            self.leave(stream, holder.id, now);
        }
        if self.places.get(stream).is_some_and(|place| place.borrow().taken_from.is_some()) {
            return false;
        }
        for track in self.tracks_of(path) {
            self.end(track, now);
        }
        self.store.borrow_mut().end(stream, now, Cause::Command)
    }

    /// Ends the presentations of all streams for good.
    pub fn end_all(&self, now: Instant) {
        for index in 0..self.places.len() {
            let path = self.store.borrow().path(index).map(str::to_owned);
            if let Some(path) = path {
                self.end(&path, now);
            }
        }
    }

    /// Ends every stream's last segment: the program stops.
    pub fn leave_all(&self, now: Instant) {
        for (index, place) in self.places.iter().enumerate() {
            let publisher = place.borrow().publisher;
            if let Some(publisher) = publisher {
                self.leave(index, publisher.id, now);
            }
        }
    }

    /// Who publishes the stream at `path`, if somebody does; nobody who only stands in, and not
    /// who publishes the stream that it is a track of.
    #[must_use]
    pub fn holder(&self, path: &str) -> Option<Publisher> {
        let stream = self.store.borrow().stream(path)?;
        let place = self.places.get(stream)?.borrow();
        let publisher = place.publisher.filter(|_| place.taken_from.is_none());
        publisher.filter(|publisher| publisher.right != Right::StandIn)
    }

    /// How many streams there can be.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.places.len()
    }

    /// The number of the stream at `path`, if it has a place.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<usize> {
        self.store.borrow().stream(path)
    }

    /// Rings `bell` when there is news of a stream, until `hang_up`.
    pub fn listen(&self, stream: usize, bell: &Rc<Bell>) {
        let Some(place) = self.places.get(stream) else { return };
        let bells = &mut place.borrow_mut().bells;
        if !bells.iter().any(|listed| Rc::ptr_eq(listed, bell)) {
            bells.push(Rc::clone(bell));
        }
    }

    /// Rings `bell` no more for the stream.
    pub fn hang_up(&self, stream: usize, bell: &Rc<Bell>) {
        let Some(place) = self.places.get(stream) else { return };
        place.borrow_mut().bells.retain(|listed| !Rc::ptr_eq(listed, bell));
    }

    /// Rings `bell` once, when a stream begins.
    pub fn await_arrival(&self, bell: &Rc<Bell>) {
        let mut arrivals = self.arrivals.borrow_mut();
        if !arrivals.iter().any(|listed| Rc::ptr_eq(listed, bell)) {
            arrivals.push(Rc::clone(bell));
        }
    }

    /// Rings `bell` no more when a stream begins.
    pub fn forget_arrival(&self, bell: &Rc<Bell>) {
        self.arrivals.borrow_mut().retain(|listed| !Rc::ptr_eq(listed, bell));
    }

    /// A stream by its number.
    #[must_use]
    pub fn get(&self, stream: usize) -> Option<&RefCell<Stream>> {
        self.places.get(stream)
    }

    /// Takes a complete audio or video message that lies at `place` in the stream's ring. Says
    /// whether `id` is still its publisher.
    pub fn media(
        &self,
        stream: usize,
        id: PublisherId,
        kind: TagKind,
        at: Millis,
        place: Place,
        now: Instant,
    ) -> bool {
        let Some(cell) = self.places.get(stream) else { return false };
        let mut cell = cell.borrow_mut();
        let Stream { ring, pipeline, publisher, branches, is_sound_alone, .. } = &mut *cell;
        let Some(publisher) = publisher.as_mut().filter(|publisher| publisher.id == id) else {
            return false;
        };
        publisher.heard = now;
        let payload = ring.bytes(place).unwrap_or_default();
        let keyframe = flv::is_keyframe(kind, payload);
        let aside = flv::is_sequence_header(kind, payload).then_some(match kind {
            TagKind::Video => Aside::VideoHeader,
            TagKind::Audio | TagKind::Script | TagKind::ScriptAmf3 | TagKind::Unknown(_) => {
                Aside::AudioHeader
            }
        });
        if aside.is_some_and(|aside| !ring.keep_aside(aside, place)) {
            self.status.add(Counter::RtmpDataDropped, 1);
        }
        ring.push(place, Label { kind: kind.code(), at, keyframe });
        let message = Message { video: kind == TagKind::Video, at, place };
        if !(message.video && *is_sound_alone) {
            let mut store = self.store.borrow_mut();
            pipeline.message(message, ring, &mut store.sink(stream, now), &self.status);
        }
        if !message.video && !branches.is_empty() {
            self.sound_of_tracks(branches, message, ring, now);
        }
        true
    }

    /// Keeps a stream's metadata for players that join later, and passes it on to those there are.
    pub fn metadata(&self, stream: usize, body: &[u8]) {
        let Some(place) = self.places.get(stream) else { return };
        if place.borrow_mut().ring.set_aside(Aside::Metadata, body) {
            self.pass_on(stream, Millis(0), ON_META_DATA, body);
        } else {
            self.status.add(Counter::RtmpDataDropped, 1);
        }
    }

    /// Takes a data message: `body`, AMF0 values behind `name`, if that stands alone.
    pub fn data(&self, stream: usize, at: Millis, name: &[u8], body: &[u8]) {
        self.pass_on(stream, at, name, body);
        if name.is_empty() {
            self.cue(stream, at, body);
        }
    }

    /// Where segments go.
    pub(super) const fn store(&self) -> &Rc<RefCell<Store>> {
        &self.store
    }

    /// Where is counted.
    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// Passes a data message on to players.
    fn pass_on(&self, stream: usize, at: Millis, name: &[u8], body: &[u8]) {
        let Some(place) = self.places.get(stream) else { return };
        let ring = &mut place.borrow_mut().ring;
        let Ok(place) = ring.reserve(name.len() + body.len()) else {
            self.status.add(Counter::RtmpDataDropped, 1);
            return;
        };
        let (head, tail) = ring.window(place).split_at_mut(name.len());
        head.copy_from_slice(name);
        tail.copy_from_slice(body);
        ring.close(place);
        ring.push(place, Label { kind: TagKind::Script.code(), at, keyframe: false });
    }

    /// Tells store and page what the pipeline has found out; to be called once a turn.
    pub fn settle(&self, stream: usize) {
        self.settle_one(stream);
        let Some(place) = self.places.get(stream) else { return };
        for &track in &place.borrow().branches {
            self.settle_one(track);
        }
    }

    fn settle_one(&self, stream: usize) {
        let Some(place) = self.places.get(stream) else { return };
        let mut place = place.borrow_mut();
        let mut store = self.store.borrow_mut();
        place.ring_bells();
        place.pipeline.set_limit(store.cut_limit(stream));
        let problem = match place.pipeline.problem() {
            "" => store.group_problem(stream),
            problem => problem,
        };
        let size = place.pipeline.size();
        let Some(facts) = store.facts_mut(stream) else { return };
        if let Some(size) = size {
            facts.width = size.width;
            facts.height = size.height;
        }
        if facts.problem != problem {
            facts.problem.clear();
            let fits = facts.problem.push_str(problem);
            debug_assert!(fits.is_ok());
            let stream = masked(store.path(stream).unwrap_or_default());
            if problem.is_empty() {
                log::info!("stream complete again stream={stream}");
            } else {
                log::warn!("stream incomplete stream={stream} cause=\"{problem}\"");
            }
        }
    }

    /// How long bytes of the stream may gather before they are read: not at all when a segment may
    /// end or begin meanwhile, and longer when each wake-up costs a write to each of a crowd.
    #[must_use]
    pub fn gather_time(&self, stream: usize) -> Duration {
        let Some(place) = self.places.get(stream).map(RefCell::borrow) else {
            return Duration::ZERO;
        };
        let crowded = place.listeners() >= GATHER_CROWD;
        let time = if crowded { GATHER_TIME_CROWD } else { GATHER_TIME };
        let ticks = Ticks::from_millis(i64::try_from(time.as_millis()).unwrap_or(0));
        let cuts = |stream: &Stream| stream.pipeline.may_cut_within(ticks);
        let mut tracks = place.branches.iter().filter_map(|&track| self.places.get(track));
        let may_cut = cuts(&place) || tracks.any(|track| cuts(&track.borrow()));
        if may_cut { Duration::ZERO } else { time }
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If a stream or the store contradicts itself.
    pub fn check_invariants(&self) {
        for place in &self.places {
            let place = place.borrow();
            place.ring.check_invariants();
            place.pipeline.check_invariants();
        }
        self.store.borrow().check_invariants();
    }
}
