//! Sound tracks of a published stream as streams of their own: the renditions of a group that
//! nobody publishes apart.
//!
//! ```text
//!  live/cam ─ messages ─┬─► its own pipeline ────► live/cam
//!                       └─► pipeline of track 1 ─► live/cam.audio1
//! ```
//!
//! Such a stream has a place like any other, and comes and goes with the one that it is taken from,
//! whose ring its pipeline reads: a sample is not kept twice. Nobody publishes at its path. While
//! the camera is away a slate may stand in for it as for any stream, without pictures.

use super::{Publisher, Stream, Streams};
use crate::config::group::{GroupConfig, SoundTrack};
use crate::config::settings::Config;
use crate::limits::GROUP_TRACKS_MAX;
use crate::media::pipeline::Message;
use crate::service::store::masked;
use crate::status::Counter;
use crate::storage::FrameRing;
use crate::time::Instant;

/// Places of the tracks of one stream.
pub(super) type Branches = heapless::Vec<usize, GROUP_TRACKS_MAX>;

/// What no publisher may have.
#[derive(Debug)]
pub(super) struct Reserved {
    tracks: Box<[SoundTrack]>,
    groups: Box<[String]>,
}

impl Reserved {
    pub(super) fn new(config: &Config) -> Self {
        let mut tracks: Vec<SoundTrack> = Vec::new();
        for track in config.groups.iter().flat_map(GroupConfig::tracks) {
            if !tracks.contains(track) {
                tracks.push(track.clone());
            }
        }
        let groups = config.groups.iter().map(|group| group.path.clone()).collect();
        Self { tracks: tracks.into_boxed_slice(), groups }
    }

    /// Whether the path belongs to a group or to a track.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.groups.iter().any(|group| group == path) || self.is_track(path)
    }

    /// Whether a track is at `path`.
    pub(super) fn is_track(&self, path: &str) -> bool {
        self.tracks.iter().any(|track| track.path == path)
    }
}

impl Streams {
    /// Somebody publishes `stream`, which is at `path`: its tracks begin as well, where there is
    /// place for them.
    pub(super) fn begin_tracks(&self, stream: usize, path: &str, publisher: Publisher) {
        for track in self.reserved.tracks.iter().filter(|track| track.of == path) {
            let own = match self.take_place(&track.path, publisher.heard) {
                Ok(own) => own,
                Err(refusal) => {
                    let stream = masked(&track.path);
                    log::warn!("sound track has no place stream={stream} cause=\"{refusal}\"");
                    self.status.add(Counter::GroupTracksRefused, 1);
                    continue;
                }
            };
            let (Some(place), Some(source)) = (self.places.get(own), self.places.get(stream))
            else {
                continue;
            };
            let mut place = place.borrow_mut();
            place.begin(publisher, (None, Some(track.track)));
            (place.taken_from, place.is_sound_alone) = (Some(stream), true);
            let listed = source.borrow_mut().branches.push(own);
            debug_assert!(listed.is_ok(), "the settings were checked for that");
        }
    }

    /// Takes a message of sound to the tracks of its stream; its bytes lie in `ring`.
    pub(super) fn sound_of_tracks(
        &self,
        branches: &Branches,
        message: Message,
        ring: &FrameRing,
        now: Instant,
    ) {
        let mut store = self.store.borrow_mut();
        for &own in branches {
            if let Some(place) = self.places.get(own) {
                let pipeline = &mut place.borrow_mut().pipeline;
                pipeline.message(message, ring, &mut store.sink(own, now), &self.status);
            }
        }
    }

    /// The publisher has left: so have its tracks, whose last units are in its ring.
    pub(super) fn leave_tracks(&self, source: &mut Stream, now: Instant) {
        let mut store = self.store.borrow_mut();
        for own in core::mem::take(&mut source.branches) {
            let Some(place) = self.places.get(own) else { continue };
            let mut place = place.borrow_mut();
            (place.publisher, place.taken_from) = (None, None);
            place.pipeline.leave(&source.ring, &mut store.sink(own, now), &self.status);
            store.leave(own, now);
        }
    }

    /// Paths of the tracks that are taken from the stream at `path`.
    pub(super) fn tracks_of<'s>(&'s self, path: &str) -> impl Iterator<Item = &'s str> {
        let tracks = self.reserved.tracks.iter().filter(move |track| track.of == path);
        tracks.map(|track| track.path.as_str())
    }
}
