//! The bytes of an RTMPE connection on their way between cipher and wire.
//!
//! What was received is decrypted where it lies. What is to be sent may be others' too, as media
//! in a ring is: it is encrypted into a block, as much at a time as there is room for. A stream
//! cipher wants each byte once, in the order of the wire, so nothing goes past the block; what was
//! left of the handshake goes through it in clear. Sends nothing itself.

use crate::proto::rtmp::encryption::Ciphers;
use std::io::IoSlice;

/// One end of the connection.
#[derive(Debug)]
pub struct Seal {
    ciphers: Ciphers,
    block: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes that are yet to go in clear.
    clear: usize,
}

impl Seal {
    /// Encrypts by way of `block` all that is sent after the next `clear` bytes.
    #[must_use]
    pub const fn new(ciphers: Ciphers, block: Box<[u8]>, clear: usize) -> Self {
        Self { ciphers, block, start: 0, end: 0, clear }
    }

    /// Decrypts what was received, in place: all of it once, in order.
    pub fn decrypt(&mut self, received: &mut [u8]) {
        self.ciphers.decrypt(received);
    }

    /// Takes what there is room for, in order; gives the number of bytes taken.
    pub fn take(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let mut all = 0;
        for slice in slices {
            let room = self.block.get_mut(self.end..).unwrap_or_default();
            let n = room.len().min(slice.len());
            if let (Some(to), Some(from)) = (room.get_mut(..n), slice.get(..n)) {
                to.copy_from_slice(from);
                let clear = self.clear.min(n);
                self.clear -= clear;
                self.ciphers.encrypt(to.get_mut(clear..).unwrap_or_default());
            }
            self.end += n;
            all += n;
        }
        self.check_invariants();
        all
    }

    /// Notes that the first `n` pending bytes were sent.
    pub fn sent(&mut self, n: usize) {
        debug_assert!(n <= self.pending().len());
        self.start += n.min(self.pending().len());
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        self.check_invariants();
    }

    /// What waits to be sent, in order.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether `take` takes anything.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.end < self.block.len()
    }

    /// The block, for another connection.
    #[must_use]
    pub fn into_block(self) -> Box<[u8]> {
        self.block
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If what waits lies outside the block.
    pub fn check_invariants(&self) {
        assert!(self.start <= self.end);
        assert!(self.end <= self.block.len());
        assert!(self.start < self.end || self.start == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{HANDSHAKE_BYTES, RTMPE_BLOCK_BYTES};
    use proptest::prelude::*;

    #[test]
    fn block_is_filled_and_takes_no_more_until_it_is_sent() {
        let [client, _] = Ciphers::pair();
        let mut seal = Seal::new(client, vec![0; RTMPE_BLOCK_BYTES].into(), 0);
        let media = vec![7; RTMPE_BLOCK_BYTES];
        assert_eq!(seal.take(&[IoSlice::new(b"a"), IoSlice::new(&media)]), RTMPE_BLOCK_BYTES);
        assert!(!seal.has_room());
        assert_eq!(seal.take(&[IoSlice::new(b"a")]), 0);
        seal.sent(RTMPE_BLOCK_BYTES - 1);
        assert!(!seal.has_room());
        seal.sent(1);
        assert!(seal.has_room());
        assert!(media.iter().all(|byte| *byte == 7), "what is sent is not changed");
    }

    #[test]
    fn rest_of_the_handshake_goes_in_clear() {
        let [client, server] = Ciphers::pair();
        let mut seal = Seal::new(client, vec![0; RTMPE_BLOCK_BYTES].into(), HANDSHAKE_BYTES);
        let sent = vec![9; HANDSHAKE_BYTES + 5];
        let (first, rest) = sent.split_at(1000);
        assert_eq!(seal.take(&[IoSlice::new(first), IoSlice::new(rest)]), sent.len());
        let mut wire = seal.pending().to_vec();
        assert!(wire[..HANDSHAKE_BYTES].iter().all(|byte| *byte == 9));
        assert_ne!(wire[HANDSHAKE_BYTES..], [9; 5]);
        let mut far = Seal::new(server, seal.into_block(), 0);
        far.decrypt(&mut wire[HANDSHAKE_BYTES..]);
        assert_eq!(wire, sent);
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in_whatever_is_taken_and_sent(
            clear in 0..200usize,
            block in 1..300usize,
            steps in proptest::collection::vec((0..200usize, 0..200usize, 0..400usize), 1..40),
        ) {
            let [client, server] = Ciphers::pair();
            let mut near = Seal::new(client, vec![0; block].into(), clear);
            let (mut given, mut wire) = (Vec::new(), Vec::new());
            for (first, second, send) in steps {
                let bytes: Vec<u8> =
                    (0..=255u8).cycle().skip(given.len()).take(first + second).collect();
                let (a, b) = bytes.split_at(first);
                let taken = near.take(&[IoSlice::new(a), IoSlice::new(b)]);
                given.extend_from_slice(&bytes[..taken]);
                let n = send.min(near.pending().len());
                wire.extend_from_slice(&near.pending()[..n]);
                near.sent(n);
            }
            wire.extend_from_slice(near.pending());
            let clear = clear.min(wire.len());
            Seal::new(server, Box::new([]), 0).decrypt(&mut wire[clear..]);
            prop_assert_eq!(wire, given);
        }
    }
}
