//! RTMP machines: handshake, encryption, dechunk, enchunk, who may publish, the server
//! session.

pub mod auth;
pub mod dechunk;
pub mod enchunk;
pub mod encryption;
pub mod event;
pub mod flow;
pub mod handshake;
pub mod name;
pub mod server;
pub mod streams;

mod reply;
