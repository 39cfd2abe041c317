//! rillcast: RTMP in, HLS out, on one small board.
//!
//! Layers, lowest first; imports go down only (`tests/layering.rs` holds the table):
//!
//! | layer | holds | may import |
//! |---|---|---|
//! | `limits`, `time`, `status` | bounds, clocks, counters | `core` |
//! | `storage` | fixed memory: socket bytes, recent messages | `limits`, `time` |
//! | `wire` | formats: parse and emit | `limits`, `time` |
//! | `proto`, `media` | machines without I/O | `wire`, `storage` |
//! | `config`, `sys` | settings; the kernel | – |
//! | `service` | the only async code, one file per port | all above |
//! | `app` | builds the memory, starts the tasks | all |

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
