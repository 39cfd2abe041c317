//! Bits of an H.264 slice: Exp-Golomb numbers and CAVLC residual blocks, written as a NAL unit.
//!
//! Only writes, and only what `macroblock` needs: levels beyond the baseline escape do not occur at
//! our quantiser. Emulation prevention happens on the way out, so a slice is written in one pass.
//! Source: H.264 §7.3.1, §7.4.1 (NAL unit), §9.1 (Exp-Golomb), §9.2 and tables 9-5 to 9-10 (CAVLC).

use crate::wire::writer::{Full, Writer};

/// Writes one NAL unit with its 4-byte length (14496-15 §5.3.4.2) and returns all bytes used.
///
/// `header` is the NAL unit's first byte. `body` writes the payload, without its trailing bits.
pub(crate) fn nal_unit(
    buffer: &mut [u8],
    header: u8,
    body: impl FnOnce(&mut BitWriter<'_>) -> Result<(), Full>,
) -> Result<usize, Full> {
    let have = buffer.len();
    let Some((length, rest)) = buffer.split_first_chunk_mut::<LENGTH_BYTES>() else {
        let need = LENGTH_BYTES;
        return Err(Full { need, have });
    };
    let mut bits = BitWriter::new(rest);
    bits.out.u8(header)?;
    body(&mut bits)?;
    let bytes = bits.trailing()?;
    *length = u32::try_from(bytes).map_err(|_| Full { need: bytes, have })?.to_be_bytes();
    Ok(LENGTH_BYTES + bytes)
}

/// Bytes of the length in front of each NAL unit.
pub(crate) const LENGTH_BYTES: usize = 4;

/// Writes bits, most significant first, with emulation prevention (H.264 §7.4.1).
#[derive(Debug)]
pub(crate) struct BitWriter<'a> {
    out: Writer<'a>,
    hold: u64,
    held: u32,
    zeros: u8,
}

impl<'a> BitWriter<'a> {
    pub(crate) const fn new(buffer: &'a mut [u8]) -> Self {
        Self { out: Writer::new(buffer), hold: 0, held: 0, zeros: 0 }
    }

    /// The low `n` bits of `value`; `n` is at most 32.
    pub(crate) fn bits(&mut self, value: u32, n: u32) -> Result<(), Full> {
        debug_assert!(n <= 32);
        debug_assert!(u64::from(value) >> n == 0);
        self.hold = self.hold << n | u64::from(value);
        self.held += n;
        while self.held >= 8 {
            self.held -= 8;
            let [byte, ..] = (self.hold >> self.held).to_le_bytes();
            self.byte(byte)?;
        }
        Ok(())
    }

    /// `ue(v)`; below 2^16 - 1, which 31 bits hold.
    pub(crate) fn ue(&mut self, value: u32) -> Result<(), Full> {
        debug_assert!(value < (1 << 16) - 1);
        let code = value + 1;
        self.bits(code, 2 * code.ilog2() + 1)
    }

    /// `se(v)`; within ±2^13.
    pub(crate) fn se(&mut self, value: i32) -> Result<(), Full> {
        let twice = value.unsigned_abs() * 2;
        self.ue(if value > 0 { twice - 1 } else { twice })
    }

    /// One residual block of 4, 15 or 16 levels in scan order; returns how many were not zero.
    #[expect(clippy::indexing_slicing, reason = "a block has at most 16 levels, the tables' size")]
    pub(crate) fn residual(&mut self, levels: &[i32], context: Context) -> Result<u8, Full> {
        debug_assert!(levels.len() <= 16);
        if levels.iter().all(|level| *level == 0) {
            self.code(context.coeff_token(0, 0))?;
            return Ok(0);
        }
        let mut coded = [(0i32, 0usize); 16];
        let mut total = 0;
        let mut run = 0;
        let mut zeros = 0;
        for &level in levels {
            if level == 0 {
                run += 1;
                continue;
            }
            coded[total] = (level, run);
            total += 1;
            zeros += run;
            run = 0;
        }
        let coded = &coded[..total];
        let ones = coded.iter().rev().take(3).take_while(|(level, _)| level.abs() == 1).count();
        self.code(context.coeff_token(total, ones))?;
        self.levels(coded, ones)?;
        if total < levels.len() {
            self.code(context.total_zeros(total, zeros))?;
        }
        self.runs(coded, zeros)?;
        Ok(u8::try_from(total).unwrap_or(16))
    }

    /// Ends the NAL unit: a one, then zeros to the byte's end (H.264 §7.3.2.11).
    fn trailing(mut self) -> Result<usize, Full> {
        self.bits(1, 1)?;
        self.bits(0, (8 - self.held) % 8)?;
        Ok(self.out.position())
    }

    /// Signs of the trailing ones, then the other levels, last first (H.264 §9.2.2).
    fn levels(&mut self, coded: &[(i32, usize)], ones: usize) -> Result<(), Full> {
        for &(level, _) in coded.iter().rev().take(ones) {
            self.bits(u32::from(level < 0), 1)?;
        }
        let mut suffix = u32::from(coded.len() > 10 && ones < 3);
        for (nth, &(level, _)) in coded.iter().rev().skip(ones).enumerate() {
            let size = level.unsigned_abs();
            // After fewer than three ones, the next level cannot be a one: the code starts above.
            let shorter = if nth == 0 && ones < 3 { 2 } else { 0 };
            self.level(2 * size - 2 + u32::from(level < 0) - shorter, suffix)?;
            suffix = suffix.max(1);
            if size > 3 << (suffix - 1) && suffix < 6 {
                suffix += 1;
            }
        }
        Ok(())
    }

    /// `level_prefix` and `level_suffix` (H.264 §9.2.2.1).
    fn level(&mut self, code: u32, suffix: u32) -> Result<(), Full> {
        let (prefix, rest, rest_bits) = match suffix {
            0 if code < 14 => (code, 0, 0),
            0 if code < 30 => (14, code - 14, 4),
            0 => (15, code - 30, 12),
            _ if code < 15 << suffix => (code >> suffix, code & ((1 << suffix) - 1), suffix),
            _ => (15, code - (15 << suffix), 12),
        };
        self.bits(1, prefix + 1)?;
        self.bits(rest, rest_bits)
    }

    /// `run_before` of each level but the first, last first (H.264 §9.2.3).
    #[expect(clippy::indexing_slicing, reason = "a run is at most the zeros left, at most 15")]
    fn runs(&mut self, coded: &[(i32, usize)], zeros: usize) -> Result<(), Full> {
        let mut left = zeros;
        for &(_, run) in coded.iter().skip(1).rev() {
            if left == 0 {
                break;
            }
            self.code(RUN_BEFORE[left.min(7) - 1][run])?;
            left -= run;
        }
        Ok(())
    }

    fn code(&mut self, (bits, length): Code) -> Result<(), Full> {
        self.bits(u32::from(bits), u32::from(length))
    }

    fn byte(&mut self, byte: u8) -> Result<(), Full> {
        if self.zeros == 2 && byte <= 3 {
            self.out.u8(3)?;
            self.zeros = 0;
        }
        self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        self.out.u8(byte)
    }
}

/// What chooses the code table of a residual block (H.264 §9.2.1).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Context {
    /// Mean of the levels coded in the neighbours to the left and above, 0 to 16.
    Neighbours(u8),
    /// The four DC levels of a chroma plane.
    ChromaDc,
}

impl Context {
    #[expect(
        clippy::indexing_slicing,
        reason = "a block has at most 16 levels, at most 3 of them ones at the end"
    )]
    fn coeff_token(self, total: usize, ones: usize) -> Code {
        match self {
            Self::Neighbours(0..2) => COEFF_TOKEN_0[ones][total],
            Self::Neighbours(2..4) => COEFF_TOKEN_2[ones][total],
            Self::Neighbours(4..8) => COEFF_TOKEN_4[ones][total],
            Self::Neighbours(_) => COEFF_TOKEN_8[ones][total],
            Self::ChromaDc => COEFF_TOKEN_CHROMA_DC[ones][total],
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "called with one level at least and with room for a zero"
    )]
    fn total_zeros(self, total: usize, zeros: usize) -> Code {
        match self {
            Self::Neighbours(_) => TOTAL_ZEROS[total - 1][zeros],
            Self::ChromaDc => TOTAL_ZEROS_CHROMA_DC[total - 1][zeros],
        }
    }
}

/// A code word and its length in bits; length 0 where the standard has none.
type Code = (u8, u8);

/// Joins the code words and lengths of a table, which print better apart.
#[expect(clippy::indexing_slicing, reason = "runs in the compiler, where a mistake is an error")]
const fn table<const N: usize, const M: usize>(
    words: [[u8; M]; N],
    lengths: [[u8; M]; N],
) -> [[Code; M]; N] {
    let mut codes = [[(0, 0); M]; N];
    let mut row = 0;
    while row < N {
        let mut column = 0;
        while column < M {
            codes[row][column] = (words[row][column], lengths[row][column]);
            column += 1;
        }
        row += 1;
    }
    codes
}

/// Table 9-5, 0 <= nC < 2: by trailing ones, then by levels.
static COEFF_TOKEN_0: [[Code; 17]; 4] = table(
    [
        [1, 5, 7, 7, 7, 7, 15, 11, 8, 15, 11, 15, 11, 15, 11, 7, 4],
        [0, 1, 4, 6, 6, 6, 6, 14, 10, 14, 10, 14, 10, 1, 14, 10, 6],
        [0, 0, 1, 5, 5, 5, 5, 5, 13, 9, 13, 9, 13, 9, 13, 9, 5],
        [0, 0, 0, 3, 3, 4, 4, 4, 4, 4, 12, 12, 8, 12, 8, 12, 8],
    ],
    [
        [1, 6, 8, 9, 10, 11, 13, 13, 13, 14, 14, 15, 15, 16, 16, 16, 16],
        [0, 2, 6, 8, 9, 10, 11, 13, 13, 14, 14, 15, 15, 15, 16, 16, 16],
        [0, 0, 3, 7, 8, 9, 10, 11, 13, 13, 14, 14, 15, 15, 16, 16, 16],
        [0, 0, 0, 5, 6, 7, 8, 9, 10, 11, 13, 14, 14, 15, 15, 16, 16],
    ],
);

/// Table 9-5, 2 <= nC < 4.
static COEFF_TOKEN_2: [[Code; 17]; 4] = table(
    [
        [3, 11, 7, 7, 7, 4, 7, 15, 11, 15, 11, 8, 15, 11, 7, 9, 7],
        [0, 2, 7, 10, 6, 6, 6, 6, 14, 10, 14, 10, 14, 10, 11, 8, 6],
        [0, 0, 3, 9, 5, 5, 5, 5, 13, 9, 13, 9, 13, 9, 6, 10, 5],
        [0, 0, 0, 5, 4, 6, 8, 4, 4, 4, 12, 8, 12, 12, 8, 1, 4],
    ],
    [
        [2, 6, 6, 7, 8, 8, 9, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14],
        [0, 2, 5, 6, 6, 7, 8, 9, 11, 11, 12, 12, 13, 13, 14, 14, 14],
        [0, 0, 3, 6, 6, 7, 8, 9, 11, 11, 12, 12, 13, 13, 13, 14, 14],
        [0, 0, 0, 4, 4, 5, 6, 6, 7, 9, 11, 11, 12, 13, 13, 13, 14],
    ],
);

/// Table 9-5, 4 <= nC < 8.
static COEFF_TOKEN_4: [[Code; 17]; 4] = table(
    [
        [15, 15, 11, 8, 15, 11, 9, 8, 15, 11, 15, 11, 8, 13, 9, 5, 1],
        [0, 14, 15, 12, 10, 8, 14, 10, 14, 14, 10, 14, 10, 7, 12, 8, 4],
        [0, 0, 13, 14, 11, 9, 13, 9, 13, 10, 13, 9, 13, 9, 11, 7, 3],
        [0, 0, 0, 12, 11, 10, 9, 8, 13, 12, 12, 12, 8, 12, 10, 6, 2],
    ],
    [
        [4, 6, 6, 6, 7, 7, 7, 7, 8, 8, 9, 9, 9, 10, 10, 10, 10],
        [0, 4, 5, 5, 5, 5, 6, 6, 7, 8, 8, 9, 9, 9, 10, 10, 10],
        [0, 0, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 10],
        [0, 0, 0, 4, 4, 4, 4, 4, 5, 6, 7, 8, 8, 9, 10, 10, 10],
    ],
);

/// Table 9-5, 8 <= nC: six bits, four for the levels less one and two for the ones.
static COEFF_TOKEN_8: [[Code; 17]; 4] = table(
    [
        [3, 0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60],
        [0, 1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 49, 53, 57, 61],
        [0, 0, 6, 10, 14, 18, 22, 26, 30, 34, 38, 42, 46, 50, 54, 58, 62],
        [0, 0, 0, 11, 15, 19, 23, 27, 31, 35, 39, 43, 47, 51, 55, 59, 63],
    ],
    [
        [6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6],
        [0, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6],
        [0, 0, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6],
        [0, 0, 0, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6],
    ],
);

/// Table 9-5, nC = -1.
static COEFF_TOKEN_CHROMA_DC: [[Code; 5]; 4] = table(
    [[1, 7, 4, 3, 2], [0, 1, 6, 3, 3], [0, 0, 1, 2, 2], [0, 0, 0, 5, 0]],
    [[2, 6, 6, 6, 6], [0, 1, 6, 7, 8], [0, 0, 3, 7, 8], [0, 0, 0, 6, 7]],
);

/// Tables 9-7 and 9-8: by levels less one, then by zeros.
static TOTAL_ZEROS: [[Code; 16]; 15] = table(
    [
        [1, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 1],
        [7, 6, 5, 4, 3, 5, 4, 3, 2, 3, 2, 3, 2, 1, 0, 0],
        [5, 7, 6, 5, 4, 3, 4, 3, 2, 3, 2, 1, 1, 0, 0, 0],
        [3, 7, 5, 4, 6, 5, 4, 3, 3, 2, 2, 1, 0, 0, 0, 0],
        [5, 4, 3, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 5, 4, 3, 3, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 3, 3, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 1, 3, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 1, 3, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 2, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
    [
        [1, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 9],
        [3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 6, 6, 6, 6, 0],
        [4, 3, 3, 3, 4, 4, 3, 3, 4, 5, 5, 6, 5, 6, 0, 0],
        [5, 3, 4, 4, 3, 3, 3, 4, 3, 4, 5, 5, 5, 0, 0, 0],
        [4, 4, 4, 3, 3, 3, 3, 3, 4, 5, 4, 5, 0, 0, 0, 0],
        [6, 5, 3, 3, 3, 3, 3, 3, 4, 3, 6, 0, 0, 0, 0, 0],
        [6, 5, 3, 3, 3, 2, 3, 4, 3, 6, 0, 0, 0, 0, 0, 0],
        [6, 4, 5, 3, 2, 2, 3, 3, 6, 0, 0, 0, 0, 0, 0, 0],
        [6, 6, 4, 2, 2, 3, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0],
        [5, 5, 3, 2, 2, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [4, 4, 3, 3, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [4, 4, 2, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [3, 3, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
);

/// Table 9-9 (a).
static TOTAL_ZEROS_CHROMA_DC: [[Code; 4]; 3] =
    table([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], [[1, 2, 3, 3], [1, 2, 2, 0], [1, 1, 0, 0]]);

/// Table 9-10: by zeros left less one (seven and more are one row), then by run.
static RUN_BEFORE: [[Code; 15]; 7] = table(
    [
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [3, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [3, 2, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [3, 0, 1, 3, 2, 5, 4, 0, 0, 0, 0, 0, 0, 0, 0],
        [7, 6, 5, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    ],
    [
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0],
        [3, 3, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits written by `body`, as text; emulation prevention does not matter in short cases.
    fn text(body: impl FnOnce(&mut BitWriter<'_>)) -> String {
        let mut buffer = [0; 256];
        let mut w = BitWriter::new(&mut buffer);
        body(&mut w);
        let bytes = w.out.position();
        let (rest, rest_bits) = (w.hold, w.held);
        let mut bits = String::new();
        for byte in &buffer[..bytes] {
            bits.extend((0..8).rev().map(|at| if byte >> at & 1 == 1 { '1' } else { '0' }));
        }
        for at in (0..rest_bits).rev() {
            bits.push(if rest >> at & 1 == 1 { '1' } else { '0' });
        }
        bits
    }

    #[test]
    fn exp_golomb_follows_table_9_2() {
        for (value, bits) in [(0, "1"), (1, "010"), (2, "011"), (3, "00100"), (7, "0001000")] {
            assert_eq!(text(|w| w.ue(value).unwrap()), bits);
        }
        for (value, bits) in [(0, "1"), (1, "010"), (-1, "011"), (2, "00100"), (-2, "00101")] {
            assert_eq!(text(|w| w.se(value).unwrap()), bits);
        }
    }

    #[test]
    fn residual_matches_a_block_worked_out_by_hand() {
        // 0,3,0,1,-1,-1,0,1,0…: five levels, three ones at the end, three zeros among them.
        let levels = [0, 3, 0, 1, -1, -1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let bits = text(|w| assert_eq!(w.residual(&levels, Context::Neighbours(0)), Ok(5)));
        assert_eq!(
            bits,
            "0000100".to_owned() + "011" + "1" + "0010" + "111" + "10" + "1" + "1" + "01"
        );
    }

    #[test]
    fn residual_of_nothing_is_one_token() {
        assert_eq!(text(|w| assert_eq!(w.residual(&[0; 16], Context::Neighbours(0)), Ok(0))), "1");
        assert_eq!(
            text(|w| assert_eq!(w.residual(&[0; 15], Context::Neighbours(9)), Ok(0))),
            "000011"
        );
        assert_eq!(text(|w| assert_eq!(w.residual(&[0; 4], Context::ChromaDc), Ok(0))), "01");
    }

    #[test]
    fn large_levels_escape() {
        // Alone and without ones: 40 codes as 2*40-2-2 = 76, prefix 15 and 76-30 in 12 bits.
        let bits = text(|w| assert_eq!(w.residual(&[40, 0, 0, 0], Context::ChromaDc), Ok(1)));
        assert_eq!(bits, "000111".to_owned() + "0000000000000001" + "000000101110" + "1");
    }

    /// No word begins another, and the words fill the code space but for `spare` of 2^16.
    fn assert_prefix_free(codes: &[Code], spare: u32) {
        let used: Vec<_> = codes.iter().filter(|(_, length)| *length > 0).collect();
        let mut filled = 0u32;
        for (at, (word, length)) in used.iter().enumerate() {
            assert!(u32::from(*word) < 1 << length);
            filled += 1 << (16 - length);
            for (other, longer) in used.iter().skip(at + 1) {
                let common = (*length).min(*longer);
                let (word, other) = (u32::from(*word), u32::from(*other));
                assert_ne!(word >> (length - common), other >> (longer - common));
            }
        }
        assert_eq!((1 << 16) - filled, spare);
    }

    #[test]
    fn code_tables_are_prefix_free_and_all_there() {
        // What is spare are words of zeros, which the standard leaves out, and two of six bits.
        assert_prefix_free(COEFF_TOKEN_0.as_flattened(), 2);
        assert_prefix_free(COEFF_TOKEN_2.as_flattened(), 8);
        assert_prefix_free(COEFF_TOKEN_4.as_flattened(), 64);
        assert_prefix_free(COEFF_TOKEN_8.as_flattened(), 2048);
        assert_prefix_free(COEFF_TOKEN_CHROMA_DC.as_flattened(), 0);
        for (nth, row) in TOTAL_ZEROS.iter().enumerate() {
            assert_prefix_free(row, if nth == 0 { 128 } else { 0 });
        }
        for row in &TOTAL_ZEROS_CHROMA_DC {
            assert_prefix_free(row, 0);
        }
        for (nth, row) in RUN_BEFORE.iter().enumerate() {
            assert_prefix_free(row, if nth == 6 { 32 } else { 0 });
        }
    }

    #[test]
    fn nal_unit_prevents_start_codes_and_counts_its_bytes() {
        let mut buffer = [0xee; 16];
        let bytes = nal_unit(&mut buffer, 0x65, |w| {
            w.bits(0, 32)?;
            w.bits(1, 8)
        });
        assert_eq!(bytes, Ok(13));
        assert_eq!(buffer[..13], [0, 0, 0, 9, 0x65, 0, 0, 3, 0, 0, 3, 1, 0x80]);
    }

    #[test]
    fn nal_unit_is_refused_when_the_buffer_is_short() {
        for size in 0..13 {
            let mut buffer = vec![0; size];
            let outcome = nal_unit(&mut buffer, 0x65, |w| {
                w.bits(0, 32)?;
                w.bits(1, 8)
            });
            assert!(outcome.is_err(), "{size} bytes");
        }
    }
}
