//! rillcast: RTMP in, HLS out, on one small board.
//!
//! # The house
//!
//! Folders are layers; imports go down only (`tests/layering.rs` holds the table).
//!
//! | layer | holds | may import |
//! |---|---|---|
//! | [`limits`], [`time`], [`status`] | bounds with reasons; kinds of time; counters | each other |
//! | [`storage`] | fixed memory: socket bytes, recent messages | `limits`, `time` |
//! | [`wire`] | formats: parse and emit; no state, no clock, no allocation | `limits`, `time` |
//! | [`proto`] | machines without I/O: RTMP, HTTP | `wire`, `storage` and what they may |
//! | [`media`] | the pipeline: demux, timeline, segmenter, mux, playlist, test card | as `proto` |
//! | [`config`] | the one table of settings, its text | `limits`, `time` |
//! | [`sys`] | the kernel, one safe function per call; the only `unsafe` | `limits`, `time` |
//! | [`service`] | the only async code, one file per port, and the loop that runs it | all above |
//! | [`app`] | arguments, memory, tasks | all |
//!
//! `media` does not know `proto`: segments are tested from a file without RTMP, sessions from bytes
//! without media. They meet in [`service::stream`].
//!
//! # The path of a byte
//!
//! ```text
//!  camera           one thread, one synchronous turn per socket read             players
//!   │ recv    ┌──────────┐ dechunk ┌───────────────────────┐ demux·timeline·mux
//!   ├────────►│ ByteRing ├────────►│ FrameRing             ├───────────────┐
//!   │         │ 128 KiB  │    ①    │ one per stream, MiBs  │               │ ②
//!   │         └──────────┘         │ message = contiguous  │               ▼
//!   │                              └───────────────────────┘    ┌────────────────┐ sendfile
//!   │  large chunks: recv straight into                         │ Slot: a tmpfs  ├──────► HLS
//!   │  the message's place, ① falls away                        │ file, mapped   │
//!   │                                                           │ once, recycled │
//!   │                                index.m3u8: buffer, rename └────────────────┘
//! ```
//!
//! A byte of video is copied twice in user space at most, ① and ②; once where the peer's chunks are
//! large. Nothing is allocated between `recv` and the listed segment (`tests/memory.rs`).
//!
//! # Memory
//!
//! Every large buffer is taken once, at start, sized by the settings within [`limits`]: a ring per
//! stream, slots on tmpfs, a fixed place per connection. [`app::budget`] sums them up; `rillcast
//! budget` prints the sum. A connection without a place is refused, as its protocol says it.

pub mod limits;
pub mod status;
pub mod time;

pub mod storage;
pub mod wire;

pub mod config;
pub mod media;
pub mod proto;
pub mod sys;

pub mod service;

pub mod app;
