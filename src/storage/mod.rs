//! Fixed memory: socket bytes and recent messages.
//!
//! Both rings are allocated once and never grow. They know lengths and positions, not formats.

pub mod byte_ring;
pub mod frame_ring;

pub use byte_ring::ByteRing;
pub use frame_ring::{Cursor, FrameRing, Label, Place, Read, RingError};

/// A count of bytes or entries as a position, which does not wrap.
#[expect(clippy::as_conversions, reason = "usize is at most 64 bits wide")]
pub(crate) const fn widen(n: usize) -> u64 {
    n as u64
}

/// A setting or a length from the wire as a count of bytes or entries.
#[expect(clippy::as_conversions, reason = "usize is at least 32 bits wide on every target")]
pub(crate) const fn narrow(n: u32) -> usize {
    n as usize
}
