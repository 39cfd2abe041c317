//! Vectors as tests write them down: bytes from hex, bytes from what an emitter writes.
//!
//! Does NOT judge anything; a vector that cannot be read is a failed test.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its own part; a panic is how they speak"
)]

use rillcast::wire::amf0::Emitter;
use rillcast::wire::writer::Writer;

/// The bytes of a hex vector; blanks are free.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    assert_eq!(digits.len() % 2, 0);
    let pair = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// What `emit` writes.
pub fn written(emit: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 8192];
    let mut w = Writer::new(&mut buffer);
    emit(&mut w);
    w.written().to_vec()
}

/// AMF0 values that `write` emits.
pub fn amf(write: impl FnOnce(&mut Emitter<'_, '_>)) -> Vec<u8> {
    written(|w| write(&mut Emitter::new(w)))
}
