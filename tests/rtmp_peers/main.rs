//! RTMP machines against programs that this project did not write, over real sockets that block.
//!
//! `serving` is the least server that can be built from handshake, ciphers, dechunker and session.
//! rtmpdump and GStreamer's `rtmpsink` (both librtmp), GStreamer's `rtmp2sink` and ffmpeg come to
//! it: `rtmpe` over RTMPE, `auth` with a user and password. Not here: the service, which has tests
//! of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::std_instead_of_core,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests: processes are theirs, and a panic is how they speak"
)]

mod auth;
#[path = "../support/pip.rs"]
mod pip;
#[path = "../support/process.rs"]
mod process;
mod rtmpe;
mod serving;
