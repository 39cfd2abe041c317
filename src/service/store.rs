//! Stand-in for the segment store, with the interface that the responder needs; tests fill it.
//!
//! Slots are files given by the caller. Nothing is recycled here: `reuse` does what recycling
//! looks like from outside.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use crate::time::Instant;

/// A playlist as it is now.
#[derive(Clone, Copy, Debug)]
pub struct PlaylistView<'a> {
    /// The whole text.
    pub body: &'a [u8],
    /// Changes with every change of the text, also over restarts.
    pub version: u64,
    /// Target duration in milliseconds.
    pub target_ms: u32,
}

/// Where a segment is and what can be said about it.
#[derive(Clone, Copy, Debug)]
pub struct SegmentView {
    /// Slot that holds it.
    pub slot: usize,
    /// Use of the slot that it belongs to.
    pub generation: u32,
    /// Size in bytes.
    pub bytes: u64,
    /// Never the same for two segments.
    pub version: u64,
    /// When it was made, in seconds since 1970, if a clock knew.
    pub created_unix: Option<u64>,
    /// Seconds it may be kept.
    pub max_age_s: u32,
    /// Media type.
    pub content_type: &'static str,
}

/// What the page says about one stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamView<'a> {
    /// Application, may hold slashes.
    pub app: &'a str,
    /// Name.
    pub name: &'a str,
    /// Whether a publisher is connected and a playlist is there.
    pub live: bool,
    /// Picture width in pixels, 0 if unknown.
    pub width: u32,
    /// Picture height in pixels, 0 if unknown.
    pub height: u32,
    /// Mean bit rate, 0 if unknown.
    pub kbit_s: u32,
    /// When the publisher came.
    pub since: Instant,
    /// What is wrong with the stream and what to do, in plain words.
    pub problem: Option<&'a str>,
}

#[derive(Debug)]
struct Slot {
    file: File,
    generation: u32,
    holds: u32,
    local: bool,
}

/// Playlists, segments, slots and streams, as put.
#[derive(Debug, Default)]
pub struct Store {
    playlists: Vec<(String, Vec<u8>, u64)>,
    segments: Vec<(String, SegmentView)>,
    slots: Vec<Slot>,
    streams: Vec<StreamView<'static>>,
}

impl Store {
    /// Puts a playlist in place of one with the same path.
    pub fn put_playlist(&mut self, path: &str, body: &[u8], version: u64) {
        self.playlists.retain(|(name, ..)| name != path);
        self.playlists
            .push((path.to_owned(), body.to_vec(), version));
    }

    /// Puts a segment whose bytes are in `file`; its slot number is returned.
    pub fn put_segment(&mut self, path: &str, file: File, view: SegmentView) -> usize {
        let slot = self.slots.len();
        self.slots.push(Slot {
            file,
            generation: view.generation,
            holds: 0,
            local: false,
        });
        self.segments
            .push((path.to_owned(), SegmentView { slot, ..view }));
        slot
    }

    /// Puts a stream.
    pub fn put_stream(&mut self, stream: StreamView<'static>) {
        self.streams.push(stream);
    }

    /// Declares the slot's segment gone, as before its next use.
    pub fn reuse(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.generation += 1;
        }
    }

    /// Undoes `reuse`.
    pub fn restore(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.generation -= 1;
        }
    }

    /// The playlist at `path`, such as `live/cam/index.m3u8`.
    #[must_use]
    pub fn playlist(&self, path: &str) -> Option<PlaylistView<'_>> {
        let found = self.playlists.iter().find(|(name, ..)| name == path);
        found.map(|(_, body, version)| PlaylistView {
            body,
            version: *version,
            target_ms: 6000,
        })
    }

    /// The segment at `path`, such as `live/cam/5f3a-12.ts`.
    #[must_use]
    pub fn segment(&self, path: &str) -> Option<SegmentView> {
        let found = self.segments.iter().find(|(name, _)| name == path);
        found.map(|(_, view)| *view)
    }

    /// The file of a slot.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "slot numbers come from here")]
    pub fn file(&self, slot: usize) -> BorrowedFd<'_> {
        self.slots[slot].file.as_fd()
    }

    /// The present use of a slot.
    #[must_use]
    pub fn generation(&self, slot: usize) -> u32 {
        self.slots.get(slot).map_or(0, |slot| slot.generation)
    }

    /// Keeps a slot from being used again.
    pub fn hold(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.holds += 1;
        }
    }

    /// Ends one `hold`.
    pub fn release(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            debug_assert!(slot.holds > 0);
            slot.holds -= 1;
        }
    }

    /// Notes that a receiver on this machine may refer to the slot's pages for as long as it
    /// likes: they are replaced at the next use, not written again.
    pub fn mark_local(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.local = true;
        }
    }

    /// Holds on a slot.
    #[must_use]
    pub fn holds(&self, slot: usize) -> u32 {
        self.slots.get(slot).map_or(0, |slot| slot.holds)
    }

    /// Whether a slot was marked local.
    #[must_use]
    pub fn is_local(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|slot| slot.local)
    }

    /// All streams.
    pub fn streams(&self) -> impl Iterator<Item = StreamView<'_>> {
        self.streams.iter().copied()
    }
}
