//! The memory of the segment that one stream is writing: a slot of the store.
//!
//! Source: `media::sink`, which says what each call promises.

use crate::media::cipher::SampleCipher;
use crate::media::container::Container;
use crate::media::group::Share;
use crate::media::sink::{NoRoom, Note, Segment, Sink};
use crate::service::store::{Store, seen};
use crate::time::Instant;
use crate::wire::ts::packet::PACKET_BYTES;

/// The segment of one stream that is being written.
#[derive(Debug)]
pub struct StreamSink<'a> {
    pub(super) store: &'a mut Store,
    pub(super) stream: usize,
    pub(super) now: Instant,
}

impl StreamSink<'_> {
    fn writing(&self) -> Option<(usize, usize)> {
        self.store.streams.get(self.stream)?.as_ref()?.writing
    }

    /// What was noted of the segment before does not hold for the next.
    fn turn(&mut self) {
        if let Some(Some(stream)) = self.store.streams.get_mut(self.stream) {
            stream.variant.turn();
        }
    }

    fn set_writing(&mut self, writing: Option<(usize, usize)>) {
        if let Some(Some(stream)) = self.store.streams.get_mut(self.stream) {
            stream.writing = writing;
        }
    }
}

impl Sink for StreamSink<'_> {
    fn capacity(&self) -> usize {
        let first = self.stream * self.store.rows_per_stream;
        let slot = self.store.rows.get(first).map_or(0, |row| row.slot.capacity());
        slot.saturating_sub(self.store.keyring.padding())
    }

    fn discard(&mut self) {
        if let Some((slot, _)) = self.writing() {
            self.set_writing(None);
            self.store.discard(slot);
            self.turn();
        }
    }

    fn begin_as(&mut self, container: Container) -> Result<(), NoRoom> {
        let slot = self.store.begin(self.stream, self.now).ok_or(NoRoom)?;
        if let Some(row) = self.store.rows.get_mut(slot) {
            row.container = container;
        }
        self.set_writing(Some((slot, 0)));
        let begun = seen(self.store.clock, self.now);
        if let Some(Some(stream)) = self.store.streams.get_mut(self.stream) {
            stream.begun = begun;
        }
        self.turn();
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        let Some((slot, at)) = self.writing() else { return false };
        let need = at + bytes + self.store.keyring.padding();
        self.store.reserve(self.stream, slot, need)
    }

    fn samples(&self) -> Option<SampleCipher> {
        let stream = self.store.streams.get(self.stream)?.as_ref()?;
        stream.key?.samples(stream.playlist.next_sequence())
    }

    fn share(&mut self) -> Option<Share<'_>> {
        let stream = self.store.streams.get(self.stream)?.as_ref()?;
        let discontinuities = stream.playlist.discontinuities();
        self.store.groups.share(self.stream, self.now, discontinuities)
    }

    fn scratch(&mut self) -> Option<&mut Box<[u8]>> {
        Some(&mut self.store.keyring.scratch)
    }

    fn written(&self) -> usize {
        self.writing().map_or(0, |(_, at)| at)
    }

    fn room(&mut self) -> &mut [[u8; PACKET_BYTES]] {
        let Some((slot, at)) = self.writing() else { return &mut [] };
        let Some(row) = self.store.rows.get_mut(slot) else { return &mut [] };
        row.slot.bytes_mut(at).as_chunks_mut().0
    }

    fn wrote(&mut self, packets: usize) {
        if let Some((slot, at)) = self.writing() {
            self.set_writing(Some((slot, at + packets * PACKET_BYTES)));
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let Some((slot, at)) = self.writing() else { return };
        let Some(row) = self.store.rows.get_mut(slot) else { return };
        if let Some(room) = row.slot.bytes_mut(at).get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.set_writing(Some((slot, at + bytes.len())));
        }
    }

    fn rewrite(&mut self, at: usize, packet: &[u8; PACKET_BYTES]) {
        let Some((slot, _)) = self.writing() else { return };
        let Some(row) = self.store.rows.get_mut(slot) else { return };
        let (packets, _) = row.slot.bytes_mut(0).as_chunks_mut();
        if let Some(room) = packets.get_mut(at) {
            *room = *packet;
        }
    }

    fn note(&mut self, note: Note<'_>) {
        if let Some(Some(stream)) = self.store.streams.get_mut(self.stream) {
            stream.variant.note(note, &self.store.status);
        }
    }

    fn finish(&mut self, segment: &Segment) {
        let Some((slot, at)) = self.writing() else { return };
        debug_assert!(at == segment.bytes);
        self.set_writing(None);
        self.store.finish(self.stream, slot, segment, self.now);
    }
}
