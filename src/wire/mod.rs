//! Formats: parse and emit. No state, no clock, no allocation.
//!
//! One noun per file, each with its source clause and the quirks of real devices it tolerates.

pub mod reader;
pub mod writer;

pub mod amf0;
pub mod amf3;
pub mod rtmp;

pub mod aac;
pub mod ac3;
pub mod av1;
pub mod flac;
pub mod flv;
pub mod h264;
pub mod hevc;
pub mod id3;
pub mod mpa;
pub mod opus;
pub mod ts;
pub mod vp9;

pub mod date;
pub mod gzip;
pub mod http;
pub mod ledger;
pub mod m3u8;

pub mod der;
pub mod x509;
