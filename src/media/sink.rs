//! Where segments are written: memory that the muxer lays packets into.
//!
//! Two things implement it: a recycled, mapped slot on tmpfs (`service::store`) and a growing file
//! (`service::files`). The segmenter knows neither.

use crate::media::cipher::SampleCipher;
use crate::media::codecs::Encoding;
use crate::media::container::Container;
use crate::media::group::Share;
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

/// What there is to know of a segment beside its bytes.
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// The tracks are encoded like this from here on.
    Encoding(&'a Encoding),
    /// A picture that decoding can start at was written, in packets of its own.
    KeyPicture {
        /// Its decode time.
        dts: Ticks,
        /// Offset of its first packet in the segment.
        at: usize,
        /// Bytes of its packets.
        bytes: usize,
    },
    /// What the segment holds that ends next.
    Holds {
        /// Pictures.
        pictures: u32,
        /// Whether there is audio.
        audio: bool,
    },
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

    /// The cipher of the samples of the segment that has just begun, if they are to be encrypted.
    fn samples(&self) -> Option<SampleCipher> {
        None
    }

    /// Memory in which samples are encrypted: borrowed by taking it, given back by setting it.
    /// There is none where `samples` gives no cipher.
    fn scratch(&mut self) -> Option<&mut Box<[u8]>> {
        None
    }

    /// The place of this stream among others that it is offered beside, if it is.
    fn share(&mut self) -> Option<Share<'_>> {
        None
    }

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

    /// Takes note of something; a sink need not.
    fn note(&mut self, _note: Note<'_>) {}

    /// Drops the segment: nothing of worth is in it, and it is as if it had not begun.
    fn discard(&mut self);

    /// Ends the segment; it is complete and may be listed.
    fn finish(&mut self, segment: &Segment);
}
