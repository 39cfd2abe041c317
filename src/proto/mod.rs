//! Machines without I/O: bytes and `now` in; bytes and events out.

pub mod http;
pub mod rtmp;
