//! The pipeline from messages to segments: synchronous, borrows messages, reads no clock.

pub mod annexb;
pub mod carriage;
pub mod cipher;
pub mod codecs;
pub mod container;
pub mod cue;
pub mod demux;
pub mod group;
pub mod history;
pub mod mux;
pub mod pipeline;
pub mod playlist;
pub mod protected;
mod sample_count;
pub mod segmenter;
pub mod sink;
pub mod testcard;
pub mod timeline;
