//! The bits of a NAL unit's payload, with emulation prevention removed on the way.
//!
//! Source: H.264 §7.3.1 (`emulation_prevention_three_byte`), §9.1 (Exp-Golomb codes); HEVC (H.265
//! §7.3.1.1, §9.2) has the same of both, and reads through this as well. Codes are bounded to 31
//! leading zeros, so that no hostile unit overflows or spins.

/// Bits that ended or are no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RbspError {
    /// Malformed: the unit ends inside the field.
    #[error("nal unit ends in {0}")]
    Ended(&'static str),
    /// Malformed: an Exp-Golomb code of more than 31 leading zeros.
    #[error("nal unit has an oversized code in {0}")]
    Code(&'static str),
}

/// Reads bits of a raw byte sequence payload, most significant first.
#[derive(Clone, Debug)]
pub(in crate::wire) struct Rbsp<'a> {
    rest: &'a [u8],
    /// Zero bytes just read, up to two matter.
    zeros: u8,
    current: u8,
    /// Bits of `current` not yet read.
    left: u32,
}

impl<'a> Rbsp<'a> {
    /// Starts at the first byte behind a unit's header.
    pub(in crate::wire) const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, zeros: 0, current: 0, left: 0 }
    }

    #[inline]
    pub(in crate::wire) fn bit(&mut self, field: &'static str) -> Result<bool, RbspError> {
        self.load(field)?;
        self.left -= 1;
        Ok(self.current >> self.left & 1 == 1)
    }

    /// `n` bits, at most 32, as many at once as one byte has.
    #[inline]
    pub(in crate::wire) fn bits(&mut self, n: u32, field: &'static str) -> Result<u32, RbspError> {
        debug_assert!(n <= 32);
        let (mut value, mut missing) = (0, n);
        while missing > 0 {
            self.load(field)?;
            let now = missing.min(self.left);
            self.left -= now;
            missing -= now;
            value = value << now | u32::from(self.current) >> self.left & ((1 << now) - 1);
        }
        Ok(value)
    }

    /// Eight bits.
    pub(in crate::wire) fn byte(&mut self, field: &'static str) -> Result<u8, RbspError> {
        let [.., byte] = self.bits(8, field)?.to_be_bytes();
        Ok(byte)
    }

    /// An unsigned Exp-Golomb code, `ue(v)`.
    pub(in crate::wire) fn ue(&mut self, field: &'static str) -> Result<u32, RbspError> {
        let mut zeros = 0;
        while !self.bit(field)? {
            zeros += 1;
            if zeros > 31 {
                return Err(RbspError::Code(field));
            }
        }
        Ok((1u32 << zeros) - 1 + self.bits(zeros, field)?)
    }

    /// A signed Exp-Golomb code, `se(v)`.
    pub(in crate::wire) fn se(&mut self, field: &'static str) -> Result<i32, RbspError> {
        let code = self.ue(field)?;
        let half = (code / 2 + code % 2).cast_signed();
        Ok(if code % 2 == 1 { half } else { -half })
    }

    /// Makes sure that there is a bit to be read.
    #[inline]
    fn load(&mut self, field: &'static str) -> Result<(), RbspError> {
        if self.left == 0 {
            self.current = self.next_byte().ok_or(RbspError::Ended(field))?;
            self.left = 8;
        }
        Ok(())
    }

    fn next_byte(&mut self) -> Option<u8> {
        let (mut byte, mut tail) = self.rest.split_first()?;
        if self.zeros >= 2 && *byte == 3 {
            (byte, tail) = tail.split_first()?;
            self.zeros = 0;
        }
        self.rest = tail;
        self.zeros = if *byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        Some(*byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rbsp_removes_emulation_prevention_and_nothing_else() {
        let mut r = Rbsp::new(&[0, 0, 3, 0, 0, 3, 1, 3, 0, 0, 0, 3]);
        let mut bytes = Vec::new();
        while let Ok(byte) = r.byte("byte") {
            bytes.push(byte);
        }
        assert_eq!(bytes, [0, 0, 0, 0, 1, 3, 0, 0, 0]);
    }

    #[test]
    fn rbsp_codes_are_those_of_table_9_2() {
        // 1 010 011 00100 00101 | se: 1 010 011 00100 00101
        let mut r = Rbsp::new(&[0b1010_0110, 0b0100_0010, 0b1101_0011, 0b0010_0001, 0b0100_0000]);
        for want in 0..5 {
            assert_eq!(r.ue("ue"), Ok(want));
        }
        for want in [0, 1, -1, 2, -2] {
            assert_eq!(r.se("se"), Ok(want));
        }
    }

    #[test]
    fn rbsp_refuses_oversized_codes() {
        assert_eq!(Rbsp::new(&[0x80; 0]).ue("x"), Err(RbspError::Ended("x")));
        let zeros = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Rbsp::new(&zeros).ue("x"), Err(RbspError::Code("x")));
        let largest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Rbsp::new(&largest).ue("x"), Ok(u32::MAX - 1));
        assert_eq!(Rbsp::new(&largest).se("x"), Ok(-i32::MAX));
    }

    proptest! {
        #[test]
        fn rbsp_survives_any_bytes(bytes in proptest::collection::vec(0u8..5, 0..60)) {
            let mut r = Rbsp::new(&bytes);
            let mut codes = 0;
            while r.se("code").is_ok() {
                codes += 1;
            }
            prop_assert!(codes <= bytes.len() * 8);
        }
    }
}
