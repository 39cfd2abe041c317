//! Writes big-endian fields into a borrowed buffer and says when it is full.
//!
//! The counterpart of `reader`. Never allocates; the caller owns the buffer.

/// The buffer had no room for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("buffer is full: need {need} bytes, have {have}")]
pub struct Full {
    /// Bytes the field needs.
    pub need: usize,
    /// Bytes that were left.
    pub have: usize,
}

/// A cursor over a borrowed, writable buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the first byte of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, at: 0 }
    }

    /// Room for `n` bytes, to be filled by the caller.
    ///
    /// # Errors
    /// `Full` if fewer are left; nothing is written then.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&mut [u8], Full> {
        let have = self.buffer.len() - self.at;
        let Some(room) = self.buffer.get_mut(self.at..).and_then(|rest| rest.get_mut(..n)) else {
            return Err(Full { need: n, have });
        };
        self.at += n;
        Ok(room)
    }

    /// Copies `bytes`.
    ///
    /// # Errors
    /// `Full` if they do not fit.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.take(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Puts `bytes` before what was written from `at` on; behind all of it if that is less.
    ///
    /// # Errors
    /// `Full` if they do not fit.
    pub fn insert(&mut self, at: usize, bytes: &[u8]) -> Result<(), Full> {
        self.bytes(bytes)?;
        if let Some(tail) = self.buffer.get_mut(at..self.at) {
            tail.rotate_right(bytes.len().min(tail.len()));
        }
        Ok(())
    }

    /// One byte.
    ///
    /// # Errors
    /// `Full` at the end.
    #[inline]
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.bytes(&[value])
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// `Full` at the end.
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// The low three bytes, big-endian.
    ///
    /// # Errors
    /// `Full` at the end.
    pub fn u24(&mut self, value: u32) -> Result<(), Full> {
        debug_assert!(value < 1 << 24);
        let [_, a, b, c] = value.to_be_bytes();
        self.bytes(&[a, b, c])
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// `Full` at the end.
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// `Full` at the end.
    pub fn u32_le(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// Eight bytes, big-endian IEEE 754.
    ///
    /// # Errors
    /// `Full` at the end.
    pub fn f64(&mut self, value: f64) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.at).unwrap_or_default()
    }

    /// What was written, for the buffer's whole lifetime.
    #[must_use]
    pub fn finish(self) -> &'a mut [u8] {
        self.buffer.get_mut(..self.at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_refuses_what_does_not_fit_and_keeps_its_place() {
        let mut buffer = [0; 4];
        let mut w = Writer::new(&mut buffer);
        w.u24(0x01_02_03).unwrap();
        assert_eq!(w.u16(7), Err(Full { need: 2, have: 1 }));
        w.u8(4).unwrap();
        assert_eq!(w.finish(), &[1, 2, 3, 4]);
    }

    #[test]
    fn writer_inserts_before_what_was_written() {
        let mut buffer = [0; 5];
        let mut w = Writer::new(&mut buffer);
        w.u24(0x01_02_03).unwrap();
        w.insert(1, &[8, 9]).unwrap();
        assert_eq!(w.insert(0, &[7]), Err(Full { need: 1, have: 0 }));
        assert_eq!(w.written(), &[1, 8, 9, 2, 3]);
    }
}
