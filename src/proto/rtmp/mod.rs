//! RTMP machines: handshake, dechunk, enchunk, the server session; what a client will say.

pub mod connect_arguments;
pub mod dechunk;
pub mod enchunk;
pub mod event;
pub mod flow;
pub mod handshake;
pub mod name;
pub mod options;
pub mod plan;
pub mod server;
pub mod streams;

mod reply;
