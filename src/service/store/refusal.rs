//! Why there is no store, or no place in it for one more stream.
//!
//! Texts for the technician; decides nothing.

use crate::sys::tmpfs::TmpfsError;
use std::io;

/// Why the store cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("hls.dir: {0}")]
    Folder(#[from] TmpfsError),
    /// A slot cannot be made.
    #[error(
        "hls.dir: slot {} of {slots}: {cause}; enlarge the tmpfs, or lower limits.slot_bytes, \
         limits.streams, hls.window_segments or hls.tmpfs_mib",
        number + 1
    )]
    Slot {
        /// Which one.
        number: usize,
        /// How many there should be.
        slots: usize,
        /// What the system says.
        cause: io::Error,
    },
    /// The folder of the slots cannot be opened.
    #[error("hls.dir: {cause}; choose another hls.dir or give this one to our user")]
    Slots {
        /// What the system says.
        cause: io::Error,
    },
}

/// Every place for a stream is taken by one that is live or was a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {max} streams are in use; raise limits.streams")]
pub struct NoStreamPlace {
    /// Value of `limits.streams`.
    pub max: usize,
}
