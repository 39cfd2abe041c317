//! I/O: the only async code; one file per port.

pub mod card;
pub mod clock;
pub mod door;
pub mod feed;
pub mod files;
pub mod http;
pub mod ingest;
pub mod intake;
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
