//! What the end-to-end tests stand on: processes, media, readers and judges.
//!
//! Nothing in here but `hls_history` uses the crate's own wire code: an error there must not be
//! able to hide itself.
//! `process` starts and ends programs; `rillcast` is the program under test; `media` makes inputs;
//! `flv`, `ts`, `es` and `m3u8` read what was sent and what came out; `enhanced` builds the bodies
//! that Debian's ffmpeg cannot write; `http` and `follow` fetch it; `judge_ts` and `judge_media`
//! compare and list `faults`; `rtmp` is a publisher that can misbehave; `outside` asks ffmpeg,
//! hls-parser, tshark and Chromium; `peers` are publishers and players of others; `pip` has a newer
//! ffmpeg; `hls_history` follows with the project's own checker; `secure` makes certificates and
//! runs stunnel; `board` is a clock that can be wrong. Each judge has a test that shows it
//! finding a fault.
//!
//! Does NOT decide what a test means: the files beside this folder do.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod board;
pub mod enhanced;
pub mod es;
pub mod faults;
pub mod flv;
pub mod follow;
pub mod hls_history;
pub mod http;
pub mod judge_media;
pub mod judge_ts;
pub mod m3u8;
pub mod media;
pub mod outside;
pub mod peers;
pub mod pip;
pub mod process;
pub mod readers;
pub mod rillcast;
pub mod rtmp;
pub mod secure;
pub mod serve;
pub mod session;
pub mod ts;
