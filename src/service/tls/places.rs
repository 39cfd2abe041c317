//! Buffers for connections within TLS, taken at start and lent to one after the other.
//!
//! A place comes back when its stream is dropped. Knows no records.

use crate::limits::{TLS_PLAIN_BYTES, TLS_RX_BYTES, TLS_TX_BYTES};
use core::cell::RefCell;
use std::rc::Rc;

/// The buffers of one connection.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Ciphertext that came.
    pub(super) incoming: Box<[u8]>,
    /// Decrypted bytes that found no room.
    pub(super) plain: Vec<u8>,
    /// Ciphertext to be sent.
    pub(super) outgoing: Vec<u8>,
}

/// Those that are free.
#[derive(Clone, Debug)]
pub(super) struct Places(Rc<RefCell<Vec<Place>>>);

impl Places {
    /// Takes the memory of `count` places.
    pub(super) fn new(count: usize) -> Self {
        let place = || Place {
            incoming: vec![0; TLS_RX_BYTES].into(),
            plain: Vec::with_capacity(TLS_PLAIN_BYTES),
            outgoing: Vec::with_capacity(TLS_TX_BYTES),
        };
        Self(Rc::new(RefCell::new((0..count).map(|_| place()).collect())))
    }

    pub(super) fn lend(&self) -> Option<Place> {
        self.0.borrow_mut().pop()
    }

    pub(super) fn give_back(&self, mut place: Place) {
        place.plain.clear();
        place.outgoing.clear();
        // A chain of certificates that was longer than a record has let it grow.
        place.outgoing.shrink_to(TLS_TX_BYTES);
        self.0.borrow_mut().push(place);
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.borrow().len()
    }
}
