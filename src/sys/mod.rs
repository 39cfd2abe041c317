//! The kernel, one safe function per call.

pub mod clock;
pub mod net;
mod net_raw;
pub mod random;
pub mod signals;
pub mod slots;
pub mod tmpfs;
