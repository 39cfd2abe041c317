//! I/O: the only async code. One thread runs all of it; a task for each port, push and pull.
//!
//! | what | room |
//! |---|---|
//! | the loop, and `now`; what would block it | [`reactor`], [`clock`]; [`blocking`] |
//! | RTMP comes in, and goes out to players | [`ingest`]; who may, [`door`] |
//! | pages, playlists and segments go out | [`http`], [`web`] |
//! | RTMP in HTTP requests | [`tunnel`] between those two ports; [`tunnel_client`] |
//! | other RTMP servers | [`push`] and [`pull`] over [`upstream`]; what is known, [`relay`] |
//! | one of them alone, as a command | [`transfer`] |
//! | the bytes of a connection | [`link`], [`tls`] within; read by [`intake`], sent by [`feed`] |
//! | a stream on the air, and its segments | [`stream`], [`store`]; a publisher inside, [`card`] |
//! | numbers that go on after a reboot | [`ledger`] |
//! | a file cut offline | [`files`], its keys `file_keys` |

pub mod blocking;
pub mod card;
pub mod clock;
mod cues;
pub mod door;
pub mod feed;
mod file_keys;
pub mod files;
pub mod http;
pub mod ingest;
pub mod intake;
pub mod ledger;
pub mod link;
pub mod pull;
pub mod push;
pub mod reactor;
pub mod relay;
pub mod store;
pub mod stream;
pub mod tls;
pub mod transfer;
pub mod tunnel;
pub mod tunnel_client;
pub mod upstream;
pub mod web;
