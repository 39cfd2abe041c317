//! I/O: the only async code; one file per port.

pub mod clock;
pub mod files;
pub mod http;
pub mod ingest;
pub mod store;
pub mod web;
