//! RTMP on the wire: handshake packets, chunk headers, control messages, commands, URLs.

pub mod aggregate;
pub mod chunk;
pub mod command;
pub mod handshake;
pub mod message;
pub mod url;
pub mod user_control;
