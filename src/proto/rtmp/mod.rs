//! RTMP machines: handshake, dechunk, enchunk, gather, the server's and the client's session.

pub mod auth;
pub mod client;
pub mod connect_arguments;
pub mod data;
pub mod dechunk;
pub mod enchunk;
pub mod encryption;
pub mod event;
pub mod flow;
pub mod gather;
pub mod handshake;
pub mod name;
pub mod options;
pub mod plan;
pub mod seal;
pub mod server;
pub mod swf;
pub mod tunnel;

mod reply;
