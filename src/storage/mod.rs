//! Fixed memory: socket bytes and recent messages.

pub mod byte_ring;
pub mod frame_ring;
