//! The 4x4 integer transform of H.264 and its quantiser, at the one quantiser step we use.
//!
//! Exactly the decoder's arithmetic on the way back, so that what the encoder believes is what a
//! decoder shows. Source: H.264 §8.5.6 to §8.5.12; the forward side is the usual inverse of it.

/// A 4x4 block, by row.
pub(crate) type Block = [[i32; 4]; 4];

/// Quantiser of luma and chroma: lettering shows no ringing at normal distance, and a card of
/// 1280x720 stays well below 1 Mbit/s. Below 30, chroma uses the same (H.264 table 8-15).
pub(crate) const QP: i32 = 22;
const _: () = assert!(QP % 6 == 4, "SCALE and QUANT are the columns for a remainder of 4");
const _: () = assert!(QP >= 12 && QP < 30, "shifts below assume it");

const SHIFT: i32 = QP / 6;

/// `normAdjust4x4` (H.264 §8.5.9) for QP % 6 = 4: even positions, odd positions, mixed.
const SCALE: Block = [[16, 20, 16, 20], [20, 25, 20, 25], [16, 20, 16, 20], [20, 25, 20, 25]];

/// 2^15 divided by `SCALE` and by the transform's own gain at that position.
const QUANT: Block = [
    [8192, 5243, 8192, 5243],
    [5243, 3355, 5243, 3355],
    [8192, 5243, 8192, 5243],
    [5243, 3355, 5243, 3355],
];

const DC_SCALE: i32 = 16;
const DC_QUANT: i32 = 8192;

/// Transforms a residual; the DC coefficient is at the top left.
pub(crate) fn forward(residual: Block) -> Block {
    transpose(rows(transpose(rows(residual, forward_row)), forward_row))
}

/// Quantises the fifteen AC coefficients; the DC place of the result is zero.
pub(crate) fn quantise_ac(coefficients: Block) -> Block {
    let mut levels = combine(coefficients, QUANT, |c, quant| quantise(c, quant, 15 + SHIFT));
    levels[0][0] = 0;
    levels
}

/// Scales AC levels back and adds a DC coefficient that is already scaled.
pub(crate) fn scale_ac(levels: Block, dc: i32) -> Block {
    let mut coefficients = combine(levels, SCALE, |level, scale| (level * scale) << SHIFT);
    coefficients[0][0] = dc;
    coefficients
}

/// From coefficients to the residual, rounded (H.264 §8.5.12.2).
pub(crate) fn inverse(coefficients: Block) -> Block {
    let mut residual = transpose(rows(transpose(rows(coefficients, inverse_row)), inverse_row));
    for value in residual.as_flattened_mut() {
        *value = (*value + 32) >> 6;
    }
    residual
}

/// Quantises the sixteen luma DC coefficients of a macroblock.
pub(crate) fn quantise_luma_dc(dc: Block) -> Block {
    hadamard(dc).map(|row| row.map(|v| quantise((v + 1) >> 1, DC_QUANT, 16 + SHIFT)))
}

/// Scales luma DC levels back (H.264 §8.5.10).
pub(crate) fn scale_luma_dc(levels: Block) -> Block {
    hadamard(levels).map(|row| row.map(|v| (v * DC_SCALE * 16 + (1 << (5 - SHIFT))) >> (6 - SHIFT)))
}

/// Quantises the four DC coefficients of a chroma plane, in raster order.
pub(crate) fn quantise_chroma_dc(dc: [i32; 4]) -> [i32; 4] {
    hadamard_2x2(dc).map(|v| quantise(v, DC_QUANT, 16 + SHIFT))
}

/// Scales chroma DC levels back (H.264 §8.5.11.2).
pub(crate) fn scale_chroma_dc(levels: [i32; 4]) -> [i32; 4] {
    hadamard_2x2(levels).map(|v| ((v * DC_SCALE * 16) << SHIFT) >> 5)
}

/// A block's sixteen values in zigzag order (H.264 §8.5.6).
#[expect(clippy::many_single_char_names, reason = "sixteen places that have no names")]
pub(crate) const fn zigzag(block: Block) -> [i32; 16] {
    let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = block;
    [a, b, e, i, f, c, d, g, j, m, n, k, h, l, o, p]
}

/// Rounds a third up, as is usual for intra blocks.
const fn quantise(value: i32, quant: i32, shift: i32) -> i32 {
    // Below 2^15 times 2^13, and a third of 2^19: cannot overflow, and checks would cost a third.
    let level = value.abs().wrapping_mul(quant).wrapping_add((1 << shift) / 3) >> shift;
    if value < 0 { -level } else { level }
}

const fn forward_row([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    let (outer, inner, outer_gap, inner_gap) = (a + d, b + c, a - d, b - c);
    [outer + inner, 2 * outer_gap + inner_gap, outer - inner, outer_gap - 2 * inner_gap]
}

const fn inverse_row([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    let (even, even_gap) = (a + c, a - c);
    let (odd, odd_gap) = (b + (d >> 1), (b >> 1) - d);
    [even + odd, even_gap + odd_gap, even_gap - odd_gap, even - odd]
}

fn hadamard(block: Block) -> Block {
    transpose(rows(transpose(rows(block, hadamard_row)), hadamard_row))
}

const fn hadamard_row([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    [a + b + c + d, a + b - c - d, a - b - c + d, a - b + c - d]
}

const fn hadamard_2x2([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    [a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d]
}

#[expect(clippy::many_single_char_names, reason = "sixteen places that have no names")]
const fn transpose(block: Block) -> Block {
    let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = block;
    [[a, e, i, m], [b, f, j, n], [c, g, k, o], [d, h, l, p]]
}

/// As `map`, which the compiler does not inline for arrays of arrays.
fn rows([a, b, c, d]: Block, each: impl Fn([i32; 4]) -> [i32; 4]) -> Block {
    [each(a), each(b), each(c), each(d)]
}

fn combine(left: Block, right: Block, with: impl Fn(i32, i32) -> i32) -> Block {
    let mut out = left;
    for (row, factors) in out.iter_mut().zip(right) {
        for (value, factor) in row.iter_mut().zip(factors) {
            *value = with(*value, factor);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zigzag_walks_the_diagonals() {
        let block = [[0, 1, 5, 6], [2, 4, 7, 12], [3, 8, 11, 13], [9, 10, 14, 15]];
        assert_eq!(zigzag(block).to_vec(), (0..16).collect::<Vec<_>>());
    }

    #[test]
    fn flat_macroblocks_come_back_exactly() {
        for step in -255..=255 {
            let dc = forward([[step; 4]; 4])[0][0];
            let levels = quantise_luma_dc([[dc; 4]; 4]);
            for row in scale_luma_dc(levels) {
                for dc in row {
                    assert_eq!(inverse(scale_ac([[0; 4]; 4], dc)), [[step; 4]; 4]);
                }
            }
        }
    }

    #[test]
    fn flat_chroma_comes_back_within_one() {
        for step in -255i32..=255 {
            let dc = forward([[step; 4]; 4])[0][0];
            for dc in scale_chroma_dc(quantise_chroma_dc([dc; 4])) {
                let back = inverse(scale_ac([[0; 4]; 4], dc))[0][0];
                assert!((back - step).abs() <= 1, "{step} came back as {back}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_residual_comes_back_within_the_quantiser_step(
            residual: [[i8; 4]; 4],
        ) {
            let residual = residual.map(|row| row.map(i32::from));
            let coefficients = forward(residual);
            // The DC goes another way; here it is kept at full precision, scaled by its gain.
            let dc = coefficients[0][0] * 4;
            let back = inverse(scale_ac(quantise_ac(coefficients), dc));
            for (want, have) in residual.as_flattened().iter().zip(back.as_flattened()) {
                prop_assert!((want - have).abs() <= 16, "{want} came back as {have}");
            }
        }
    }
}
