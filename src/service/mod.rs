//! I/O: the only async code; one file per port.

pub mod card;
pub mod clock;
pub mod feed;
pub mod files;
pub mod http;
pub mod ingest;
pub mod link;
pub mod reactor;
pub mod store;
pub mod stream;
pub mod tunnel;
pub mod tunnel_client;
pub mod web;
