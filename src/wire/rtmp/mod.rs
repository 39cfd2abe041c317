//! RTMP on the wire: handshake packets, chunk headers, control messages, commands.

pub mod chunk;
pub mod command;
pub mod handshake;
pub mod message;
