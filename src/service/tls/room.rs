//! Where the bytes of TLS go: the caller's slices, and what waits to be sent.
//!
//! Copies only what fits; knows no records.

use crate::limits::TLS_TX_BYTES;
use std::io::IoSliceMut;

/// Appends what `f` writes; it says how much that is, or how much room it needs.
pub(super) fn encode(outgoing: &mut Vec<u8>, mut f: impl FnMut(&mut [u8]) -> Result<usize, usize>) {
    let start = outgoing.len();
    let mut room = TLS_TX_BYTES.saturating_sub(start);
    for _ in 0..2 {
        outgoing.resize(start + room, 0);
        match f(outgoing.get_mut(start..).unwrap_or_default()) {
            Ok(bytes) => {
                outgoing.truncate(start + bytes);
                return;
            }
            Err(need) => room = need,
        }
    }
    outgoing.truncate(start);
}

/// The caller's slices, filled in order.
pub(super) struct Room<'a, 'b> {
    pub(super) slices: &'a mut [IoSliceMut<'b>],
    pub(super) slice: usize,
    pub(super) at: usize,
    pub(super) taken: usize,
}

impl Room<'_, '_> {
    pub(super) const fn none() -> Self {
        Self { slices: &mut [], slice: 0, at: 0, taken: 0 }
    }

    /// Takes what fits of `bytes`, and says how much.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let mut put = 0;
        while put < bytes.len() {
            let Some(slice) = self.slices.get_mut(self.slice) else { break };
            let space = slice.get_mut(self.at..).unwrap_or_default();
            let more = space.len().min(bytes.len() - put);
            if more == 0 {
                self.slice += 1;
                self.at = 0;
                continue;
            }
            let (to, from) = (space.get_mut(..more), bytes.get(put..put + more));
            let (Some(to), Some(from)) = (to, from) else { break };
            to.copy_from_slice(from);
            self.at += more;
            put += more;
        }
        self.taken += put;
        put
    }
}
