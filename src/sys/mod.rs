//! The kernel, one safe function per call.

pub mod clock;
pub mod descriptors;
pub mod folder;
pub mod inherited;
pub mod net;
mod net_raw;
pub mod poll;
pub mod random;
pub mod signals;
pub mod slots;
pub mod tmpfs;
