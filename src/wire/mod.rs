//! Formats: parse and emit. No state, no clock, no allocation.
//!
//! One noun per file, each with its source clause and the quirks of real devices it tolerates.

pub mod reader;
pub mod writer;

pub mod amf0;
pub mod amf3;
pub mod rtmp;

pub mod aac;
pub mod flv;
pub mod h264;
pub mod mpa;
pub mod ts;

pub mod http;
pub mod m3u8;
