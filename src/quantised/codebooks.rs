//! Formats whose codes of four bits are places in a list of sixteen numbers.

use super::half;
use super::of_32::nibbles;

/// The numbers of IQ4_NL and IQ4_XS.
const NON_LINEAR: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Twice the numbers of FP4 E2M1.
const TWICE_FP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// d · list\[q\].
pub(super) fn iq4_nl(block: &[u8], values: &mut [f32; 32]) {
    let scale = half(block, 0);
    for (value, code) in values.iter_mut().zip(nibbles(&block[2..])) {
        *value = scale * f32::from(NON_LINEAR[usize::from(code)]);
    }
}

/// d · (s − 32) · list\[q\], for each 32 values. Four bits of s lie together, and two in a word for all groups.
pub(super) fn iq4_xs(block: &[u8], values: &mut [f32; 256]) {
    let (scale, high) = (half(block, 0), u16::from_le_bytes([block[2], block[3]]));
    let (low, codes) = (&block[4..8], &block[8..]);
    for (group, values) in values.chunks_exact_mut(32).enumerate() {
        let four = low[group / 2] >> (4 * (group % 2)) & 15;
        let two = (high >> (2 * group)) as u8 & 3;
        let own = scale * f32::from((four | two << 4) as i8 - 32);
        for (value, code) in values.iter_mut().zip(nibbles(&codes[16 * group..][..16])) {
            *value = own * f32::from(NON_LINEAR[usize::from(code)]);
        }
    }
}

/// 2ᵉ⁻¹²⁷ · FP4\[q\]: OCP MXFP4, with the codes of the last 16 values in the high halves of the bytes.
pub(super) fn mxfp4(block: &[u8], values: &mut [f32; 32]) {
    // Half of the scale, because the list is doubled. Below 2⁻¹²⁶ it is subnormal.
    let half_scale = f32::from_bits(match block[0] {
        exponent @ 0..2 => 0x0020_0000 << exponent,
        exponent => u32::from(exponent - 1) << 23,
    });
    for (value, code) in values.iter_mut().zip(nibbles(&block[1..])) {
        *value = half_scale * f32::from(TWICE_FP4[usize::from(code)]);
    }
}
