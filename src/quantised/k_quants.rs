//! Formats with blocks of 256 values. Groups of 16 or 32 values have scales of their own, which are small integers times a scale of the
//! block.

use super::half;

/// Codes of four bits in 128 bytes: of each 32 bytes, the low halves are 32 values and the high halves the next 32.
fn nibble(codes: &[u8], at: usize) -> u8 {
    codes[at / 64 * 32 + at % 32] >> (4 * (at / 32 % 2)) & 15
}

/// Codes of two bits in 64 bytes: of each 32 bytes, the lowest bits are 32 values, and so on.
fn pair(codes: &[u8], at: usize) -> u8 {
    codes[at / 128 * 32 + at % 32] >> (2 * (at / 32 % 4)) & 3
}

/// Scale and offset (6 bits each) of group `group` of 32 values, from 12 bytes. The upper bits of the last four lie in the first two bits
/// of the bytes of the first four.
fn scale_and_offset(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (packed[group] & 63, packed[group + 4] & 63);
    }
    let low = packed[group + 4];
    ((low & 15) | (packed[group - 4] >> 2 & 48), (low >> 4) | (packed[group] >> 2 & 48))
}

/// d · s · q − m · o. A byte for 16 values holds s and o.
pub(super) fn q2_k(block: &[u8], values: &mut [f32; 256]) {
    let (scales, codes) = (&block[..16], &block[16..80]);
    let (scale, offset) = (half(block, 80), half(block, 82));
    for (group, values) in values.chunks_exact_mut(16).enumerate() {
        let own = scale * f32::from(scales[group] & 15);
        let less = offset * f32::from(scales[group] >> 4);
        for (at, value) in values.iter_mut().enumerate() {
            *value = own * f32::from(pair(codes, 16 * group + at)) - less;
        }
    }
}

/// d · (s − 32) · q. The third bit of q lies in the mask, and means −4 if it is not set.
pub(super) fn q3_k(block: &[u8], values: &mut [f32; 256]) {
    let (mask, codes, packed, scale) = (&block[..32], &block[32..96], &block[96..108], half(block, 108));
    for (group, values) in values.chunks_exact_mut(16).enumerate() {
        let low = packed[group % 8] >> (4 * (group / 8)) & 15;
        let high = packed[8 + group % 4] >> (2 * (group / 4)) & 3;
        let own = scale * f32::from((low | high << 4) as i8 - 32);
        for (at, value) in values.iter_mut().enumerate() {
            let at = 16 * group + at;
            let less = if mask[at % 32] >> (at / 32) & 1 == 0 { 4 } else { 0 };
            *value = own * f32::from(pair(codes, at) as i8 - less);
        }
    }
}

/// d · s · q − m · o, for each 32 values.
pub(super) fn q4_k(block: &[u8], values: &mut [f32; 256]) {
    let (scale, offset, packed, codes) = (half(block, 0), half(block, 2), &block[4..16], &block[16..]);
    for (group, values) in values.chunks_exact_mut(32).enumerate() {
        let (own, less) = scale_and_offset(packed, group);
        let (own, less) = (scale * f32::from(own), offset * f32::from(less));
        for (at, value) in values.iter_mut().enumerate() {
            *value = own * f32::from(nibble(codes, 32 * group + at)) - less;
        }
    }
}

/// The same with a fifth bit of q, one byte for each eight values that are 32 apart.
pub(super) fn q5_k(block: &[u8], values: &mut [f32; 256]) {
    let (scale, offset, packed) = (half(block, 0), half(block, 2), &block[4..16]);
    let (high, codes) = (&block[16..48], &block[48..]);
    for (group, values) in values.chunks_exact_mut(32).enumerate() {
        let (own, less) = scale_and_offset(packed, group);
        let (own, less) = (scale * f32::from(own), offset * f32::from(less));
        for (at, value) in values.iter_mut().enumerate() {
            let code = nibble(codes, 32 * group + at) | (high[at] >> group & 1) << 4;
            *value = own * f32::from(code) - less;
        }
    }
}

/// d · s · (q − 32), for each 16 values. Of each 64 bytes, the low halves are 64 values and the high halves the next 64.
pub(super) fn q6_k(block: &[u8], values: &mut [f32; 256]) {
    let (low, high, scales, scale) = (&block[..128], &block[128..192], &block[192..208], half(block, 208));
    for (group, values) in values.chunks_exact_mut(16).enumerate() {
        let own = scale * f32::from(scales[group] as i8);
        for (at, value) in values.iter_mut().enumerate() {
            let at = 16 * group + at;
            let four = low[at / 128 * 64 + at % 64] >> (4 * (at / 64 % 2)) & 15;
            let code = four | pair(high, at) << 4;
            *value = own * f32::from(code as i8 - 32);
        }
    }
}
