//! RTMP machines: handshake, dechunk, enchunk, the server session.

pub mod dechunk;
pub mod enchunk;
pub mod event;
pub mod flow;
pub mod handshake;
pub mod name;
pub mod server;

mod reply;
