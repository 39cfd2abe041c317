//! RTMP on the wire: handshake packets, chunk headers, control messages, commands.

pub mod aggregate;
pub mod chunk;
pub mod command;
pub mod handshake;
pub mod message;
pub mod user_control;
