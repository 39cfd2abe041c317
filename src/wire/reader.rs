//! Reads big-endian fields from a byte slice and says what was missing.
//!
//! Every wire format is read through this; nothing indexes. Borrows, never copies or allocates.

/// A field ended before its bytes did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is truncated: need {need} bytes, have {have}")]
pub struct Short {
    /// The field that was being read.
    pub field: &'static str,
    /// Bytes the field needs.
    pub need: usize,
    /// Bytes that were left.
    pub have: usize,
}

/// A cursor over borrowed bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { whole: bytes.len(), rest: bytes }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// `Short` if fewer are left; nothing is consumed then.
    pub fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], Short> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(Short { field, need: n, have: self.rest.len() });
        };
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// `Short` if fewer are left; nothing is consumed then.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Short> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(Short { field, need: N, have: self.rest.len() });
        };
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Short> {
        let [b] = self.array::<1>(field)?;
        Ok(b)
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Short> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Three bytes, big-endian.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn u24(&mut self, field: &'static str) -> Result<u32, Short> {
        let [a, b, c] = self.array(field)?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// Three bytes, big-endian, two's complement.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn i24(&mut self, field: &'static str) -> Result<i32, Short> {
        let [a, b, c] = self.array(field)?;
        Ok(i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Short> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// Four bytes, little-endian: the message stream id of a type 0 chunk header.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn u32_le(&mut self, field: &'static str) -> Result<u32, Short> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// Eight bytes, big-endian IEEE 754.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn f64(&mut self, field: &'static str) -> Result<f64, Short> {
        Ok(f64::from_be_bytes(self.array(field)?))
    }

    /// The next byte without consuming it.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// All bytes not yet read; consumes nothing.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.whole - self.rest.len()
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes were read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Reads bits, most significant first.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the top bit of the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    /// One bit.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn bit(&mut self, field: &'static str) -> Result<bool, Short> {
        let Some(byte) = self.bytes.get(self.bit / 8) else {
            return Err(Short { field, need: 1, have: 0 });
        };
        let set = byte & (0x80 >> (self.bit % 8)) != 0;
        self.bit += 1;
        Ok(set)
    }

    /// `n` bits, at most 32.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn bits(&mut self, n: u32, field: &'static str) -> Result<u32, Short> {
        debug_assert!(n <= 32);
        let mut value = 0u32;
        for _ in 0..n {
            value = value << 1 | u32::from(self.bit(field)?);
        }
        Ok(value)
    }

    /// Bits not yet read.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.bytes.len() * 8 - self.bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_names_what_was_missing() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.u16("first"), Ok(0x0102));
        assert_eq!(r.u24("second"), Err(Short { field: "second", need: 3, have: 1 }));
        assert_eq!(r.position(), 2);
        assert_eq!(r.rest(), &[3]);
    }

    #[test]
    fn reader_sign_extends_i24() {
        assert_eq!(Reader::new(&[0xff, 0xff, 0xe0]).i24("cts"), Ok(-32));
        assert_eq!(Reader::new(&[0x00, 0x00, 0x50]).i24("cts"), Ok(80));
    }

    #[test]
    fn bit_reader_reads_across_bytes() {
        let mut r = BitReader::new(&[0b1010_0101, 0b1100_0000]);
        assert_eq!(r.bits(5, "a"), Ok(0b10100));
        assert_eq!(r.bits(5, "b"), Ok(0b10111));
        assert_eq!(r.left(), 6);
        assert!(r.bits(7, "c").is_err());
    }
}
