//! The media layer from messages to segments: `segments` are cut as players want them, `codecs` go
//! through to the bit and to the tick, `clocks` of senders may do what they like; `packed` audio
//! has no packets, `timed` data has some of its own.
//!
//! Messages go through the whole media layer into memory; what comes out is taken apart and judged
//! by code that shares nothing with the program (`tests/support/camera.rs`). No RTMP, no files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::bool_assert_comparison,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests: support is shared, and a panic is how they speak"
)]

#[path = "../support/camera.rs"]
mod camera;
#[path = "../support/enhanced.rs"]
mod enhanced;
#[path = "../support/ts.rs"]
mod ts;
#[path = "../support/wraps.rs"]
mod wraps;

mod clocks;
mod codecs;
mod packed;
mod segments;
mod silence;
mod timed;
