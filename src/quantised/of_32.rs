//! Formats with one scale, and perhaps one offset, for 32 values. Codes of four bits lie in 16 bytes: the low halves are the first 16
//! values, the high halves the last 16.

use super::half;

/// The codes of four bits in 16 bytes, in the order of their values.
pub(super) fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

/// The codes of five bits: the fifth bit of each lies in a word of 32 bits before the others.
fn fives(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    nibbles(&bytes[4..]).enumerate().map(move |(at, low)| low | ((high >> at & 1) as u8) << 4)
}

/// d · (q − 8).
pub(super) fn q4_0(block: &[u8], values: &mut [f32; 32]) {
    let scale = half(block, 0);
    for (value, code) in values.iter_mut().zip(nibbles(&block[2..])) {
        *value = scale * f32::from(code as i8 - 8);
    }
}

/// d · q + m.
pub(super) fn q4_1(block: &[u8], values: &mut [f32; 32]) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    for (value, code) in values.iter_mut().zip(nibbles(&block[4..])) {
        *value = scale * f32::from(code) + offset;
    }
}

/// d · (q − 16).
pub(super) fn q5_0(block: &[u8], values: &mut [f32; 32]) {
    let scale = half(block, 0);
    for (value, code) in values.iter_mut().zip(fives(&block[2..])) {
        *value = scale * f32::from(code as i8 - 16);
    }
}

/// d · q + m.
pub(super) fn q5_1(block: &[u8], values: &mut [f32; 32]) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    for (value, code) in values.iter_mut().zip(fives(&block[4..])) {
        *value = scale * f32::from(code) + offset;
    }
}

/// d · q, where q is a signed byte.
pub(super) fn q8_0(block: &[u8], values: &mut [f32; 32]) {
    let scale = half(block, 0);
    for (value, code) in values.iter_mut().zip(&block[2..]) {
        *value = scale * f32::from(*code as i8);
    }
}
