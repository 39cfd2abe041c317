//! End-to-end tests: real publishers, real players, hostile peers, over real sockets.
//!
//! One binary, so that streams run side by side. `judges` shows that each judge finds faults; the
//! other modules use them. `cargo test --test e2e -- --nocapture` prints what was compared.
//! Programs these need, all in Debian: ffmpeg, gstreamer (good, bad, ugly), nginx with its RTMP
//! module, chromium, node and npm, python3, systemd, tshark, vlc.
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
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads, clocks and indexing are theirs; a panic is how they speak"
)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod continuity;
mod dates;
mod doctor;
mod encrypted;
mod enhanced;
mod field;
mod files;
mod foreign;
mod groups;
mod hls_players;
mod hostile;
mod judges;
mod master;
mod play;
mod publish;
mod refusals;
mod relay;
mod rtmps;
mod rtmps_client;
mod rtmpts;
mod silence;
mod slate;
mod soak;
mod sockets;
mod streams;
mod tunnel;
