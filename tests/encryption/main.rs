//! Encrypted segments, from the camera to the player: AES-128, SAMPLE-AES, and who gets their keys.
//!
//! openssl decrypts what was encrypted, ffmpeg, hls.js and Chromium play it. `store` looks at every
//! position of the window, `files` at recordings, `live` at the program. `R` numbers are those of
//! the HLS rules in the reference sheet. Needs ffmpeg, openssl, chromium and node.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::pedantic,
    clippy::std_instead_of_core,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads, clocks and indexing are theirs; a panic is how they speak"
)]

#[path = "../support/house.rs"]
mod house;
#[path = "../support/mod.rs"]
mod support;

mod files;
mod live;
mod player;
mod store;
