//! Where segments are written: memory that the muxer lays packets into.
//!
//! Two things implement it: a recycled, mapped slot on tmpfs (`service::store`) and a growing file
//! (`service::files`). The segmenter knows neither.

use crate::media::container::Container;
use crate::time::Ticks;
use crate::wire::ts::packet::PACKET_BYTES;

/// A finished segment, as the playlist needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Decode time of its first access unit.
    pub start: Ticks,
    /// Distance to the first access unit of the next segment; for the last one, to its own end.
    pub duration: Ticks,
    /// Bytes; of a transport stream a multiple of 188.
    pub bytes: usize,
    /// Tracks, timestamps or encoding do not continue the segment before.
    pub discontinuity: bool,
    /// It begins with an IDR picture, or has no video.
    pub independent: bool,
    /// Its first picture is none that decoding can start at.
    pub forced: bool,
}

/// No memory for a segment: every slot is in use, or tmpfs is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no slot is free for the next segment")]
pub struct NoRoom;

/// Memory of the segment being written.
pub trait Sink {
    /// Begins a transport stream; it has room for its first two packets.
    ///
    /// # Errors
    /// `NoRoom` if there is no memory for it.
    fn begin(&mut self) -> Result<(), NoRoom> {
        self.begin_as(Container::Ts)
    }

    /// Begins a segment of that kind.
    ///
    /// # Errors
    /// `NoRoom` if there is no memory for it.
    fn begin_as(&mut self, container: Container) -> Result<(), NoRoom>;

    /// Makes sure that this segment can take `bytes` more. `false`: it is full.
    fn reserve(&mut self, bytes: usize) -> bool;

    /// Bytes written to this segment.
    fn written(&self) -> usize;

    /// Memory for the next packets: at least one while fewer than were reserved are written.
    fn room(&mut self) -> &mut [[u8; PACKET_BYTES]];

    /// Bytes that a segment can take at most.
    fn capacity(&self) -> usize;

    /// Says that the first `packets` of the last `room` were written.
    fn wrote(&mut self, packets: usize);

    /// Writes `bytes`, which were reserved, behind what was written. For packed audio: packets are
    /// laid into `room`.
    fn append(&mut self, bytes: &[u8]);

    /// Writes the packet with index `at` of this segment again.
    fn rewrite(&mut self, at: usize, packet: &[u8; PACKET_BYTES]);

    /// Drops the segment: nothing of worth is in it, and it is as if it had not begun.
    fn discard(&mut self);

    /// Ends the segment; it is complete and may be listed.
    fn finish(&mut self, segment: &Segment);
}
