//! Fixed memory: socket bytes and recent messages.
//!
//! Both rings are allocated once and never grow. They know lengths and positions, not formats.

pub mod byte_ring;
pub mod frame_ring;

pub use byte_ring::ByteRing;
pub use frame_ring::{Cursor, FrameRing, Label, Place, Read, RingError};
