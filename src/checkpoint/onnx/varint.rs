//! Numbers of variable length: seven bits a byte, the lowest first.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

/// Most bytes of one.
pub(super) const VARINT_BYTES: usize = 10;

/// The variable-length number at the beginning of `bytes`, and its length in bytes.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(VARINT_BYTES).enumerate() {
        let shift = (index as u32).checked_mul(7)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        if byte < 0x80 {
            return Some((value, index.checked_add(1)?));
        }
    }
    None
}

/// The numbers of a packed field. `None` if it is damaged.
pub(super) fn packed(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (value, length) = varint(bytes)?;
        values.push(value);
        bytes = bytes.get(length..)?;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_at_a_byte_without_its_top_bit() {
        assert_eq!(varint(&[0x96, 0x01, 0xff]), Some((150, 2)));
        assert_eq!(varint(&[0x80]), None);
        let mut longest = [0xff; VARINT_BYTES];
        longest[9] = 0x01;
        assert_eq!(varint(&longest), Some((u64::MAX, 10)));
        assert_eq!(varint(&[0xff; 11]), None);
        assert_eq!(packed(&[3, 0x96, 0x01]), Some(vec![3, 150]));
        assert_eq!(packed(&[3, 0x96]), None);
    }
}
