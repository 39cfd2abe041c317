//! Bytes from a socket, between two reads.
//!
//! A window to fill, the bytes to look at, and what was consumed. What is looked at is always one
//! contiguous slice: the remnant, which is at most a partial header or handshake packet, moves to
//! the front when the room behind it runs low. Does not know what the bytes mean.

/// A fixed buffer of received bytes, filled at the back and consumed at the front.
#[derive(Debug)]
pub struct ByteRing {
    bytes: Box<[u8]>,
    read: usize,
    write: usize,
}

impl ByteRing {
    /// Allocates `capacity` bytes, once.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity].into_boxed_slice(), read: 0, write: 0 }
    }

    /// Room for the next read, contiguous. Empty only when the ring is full of unconsumed bytes.
    pub fn window(&mut self) -> &mut [u8] {
        if self.read == self.write {
            self.read = 0;
            self.write = 0;
        } else if self.read > 0 {
            self.bytes.copy_within(self.read..self.write, 0);
            self.write -= self.read;
            self.read = 0;
        }
        self.check_invariants();
        self.bytes.get_mut(self.write..).unwrap_or_default()
    }

    /// Says that the first `n` bytes of the last `window` were written.
    ///
    /// # Panics
    /// If `n` is longer than that window: the caller would read bytes nobody wrote.
    pub fn filled(&mut self, n: usize) {
        assert!(n <= self.bytes.len() - self.write, "more filled than the window holds");
        self.write += n;
    }

    /// Drops the first `n` bytes.
    ///
    /// # Panics
    /// If fewer are held.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "more consumed than held");
        self.read += n;
    }

    /// The bytes held, oldest first.
    #[must_use]
    pub fn look(&self) -> &[u8] {
        self.bytes.get(self.read..self.write).unwrap_or_default()
    }

    /// The same bytes, to be decrypted in place; the newest are the last of them.
    pub fn look_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.read..self.write).unwrap_or_default()
    }

    /// Bytes held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.write - self.read
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.read == self.write
    }

    /// Bytes the ring can hold.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Asserts what must always hold.
    ///
    /// # Panics
    /// If a position lies outside the buffer.
    pub fn check_invariants(&self) {
        assert!(self.read <= self.write);
        assert!(self.write <= self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn byte_ring_keeps_the_remnant_contiguous() {
        let mut ring = ByteRing::new(8);
        ring.window()[..6].copy_from_slice(b"abcdef");
        ring.filled(6);
        ring.consume(4);
        assert_eq!(ring.window().len(), 6);
        ring.window()[..2].copy_from_slice(b"gh");
        ring.filled(2);
        assert_eq!(ring.look(), b"efgh");
    }

    #[test]
    fn byte_ring_changes_what_it_holds_in_place() {
        let mut ring = ByteRing::new(8);
        ring.window()[..4].copy_from_slice(b"abcd");
        ring.filled(4);
        ring.consume(1);
        ring.look_mut().make_ascii_uppercase();
        assert_eq!(ring.look(), b"BCD");
    }

    #[test]
    fn byte_ring_window_is_empty_when_full() {
        let mut ring = ByteRing::new(4);
        ring.filled(4);
        assert!(ring.window().is_empty());
        assert_eq!(ring.len(), 4);
    }

    #[test]
    #[should_panic(expected = "more filled than the window holds")]
    fn byte_ring_refuses_to_fill_beyond_its_window() {
        ByteRing::new(4).filled(5);
    }

    proptest! {
        #[test]
        fn byte_ring_equals_a_queue(
            steps in proptest::collection::vec((any::<bool>(), 0usize..40), 1..200),
        ) {
            let mut ring = ByteRing::new(64);
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (fill, n) in steps {
                if fill {
                    let room = ring.window();
                    let n = n.min(room.len());
                    for b in &mut room[..n] {
                        *b = next;
                        model.push_back(next);
                        next = next.wrapping_add(1);
                    }
                    ring.filled(n);
                } else {
                    let n = n.min(ring.len());
                    ring.consume(n);
                    model.drain(..n);
                }
                ring.check_invariants();
                prop_assert!(ring.look().iter().eq(model.iter()));
            }
        }
    }
}
