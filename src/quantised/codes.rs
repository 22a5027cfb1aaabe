//! Codes of quantisation methods that store scales apart from the codes: whole numbers of a few bits, and places in a list.

/// The numbers of FP4 E2M1 (OCP Microscaling), by code.
pub const FP4: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// Most bits of a code.
pub const MOST_BITS: u32 = 8;

/// Sets `codes` to whole numbers of `bits` bits, at most [`MOST_BITS`], that follow each other from bit `first` of `bytes`. The lowest
/// bits of a byte come first, so words of 32 bits hold their first code in their lowest bits. Bits behind the end are 0.
pub fn whole_numbers(bytes: &[u8], bits: u32, first: u64, codes: &mut [f32]) {
    let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or_default());
    let mask = (1 << bits) - 1;
    for (at, code) in codes.iter_mut().enumerate() {
        let bit = first + at as u64 * u64::from(bits);
        let (from, shift) = ((bit / 8) as usize, bit % 8);
        let two = byte(from) | byte(from + 1) << 8;
        *code = (two >> shift & mask) as f32;
    }
}

/// Sets `codes` to row `row` of codes that lie down the columns of `words`, rows of little-endian words of 32 bits, from the row of words
/// that holds bit `bits` · `row`.
pub fn whole_numbers_down(words: &[u8], bits: u32, row: u64, codes: &mut [f32]) {
    let shift = (row * u64::from(bits) % u64::from(u32::BITS)) as u32;
    let (words, rest) = words.as_chunks::<4>().0.split_at_checked(codes.len()).unwrap_or_default();
    let mask = (1u64 << bits) - 1;
    let next = rest.iter().copied().chain(std::iter::repeat([0; 4]));
    for ((code, word), next) in codes.iter_mut().zip(words).zip(next) {
        let two = u64::from(u32::from_le_bytes(*word)) | u64::from(u32::from_le_bytes(next)) << u32::BITS;
        *code = (two >> shift & mask) as f32;
    }
}

/// Where AWQ keeps the codes of eight neighbours in a word: neighbour n is code AWQ_PLACES\[n\], counted from the lowest bits.
const AWQ_PLACES: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// Puts the codes of whole AWQ words in order.
pub fn awq_in_order(codes: &mut [f32]) {
    for word in codes.as_chunks_mut::<8>().0 {
        *word = AWQ_PLACES.map(|place| word[place]);
    }
}

/// Sets `values` to the numbers of `list` for codes of 4 bits, two a byte, from code `first` on.
pub fn of_list(bytes: &[u8], high_first: bool, first: u64, list: &[f32; 16], values: &mut [f32]) {
    for (at, value) in values.iter_mut().enumerate() {
        let code: u64 = first + at as u64;
        let byte = bytes.get((code / 2) as usize).copied().unwrap_or_default();
        let high = (code % 2 == 1) != high_first;
        *value = list[usize::from(if high { byte >> 4 } else { byte & 15 })];
    }
}

/// 2ᵉ⁻¹²⁷, the number of an E8M0 exponent. Code 255 stands for a NaN.
pub fn power_of_two(exponent: u8) -> f32 {
    f32::from_bits(match exponent {
        // The smallest is subnormal.
        0 => 0x0040_0000,
        255 => return f32::NAN,
        exponent => u32::from(exponent) << 23,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes codes one after the other, the lowest bits first.
    fn written(codes: &[u32], bits: u32) -> Vec<u8> {
        let mut bytes = vec![0; (codes.len() * bits as usize).div_ceil(32) * 4];
        for (at, code) in codes.iter().enumerate() {
            for bit in 0..bits as usize {
                let to = at * bits as usize + bit;
                bytes[to / 8] |= ((code >> bit & 1) as u8) << (to % 8);
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn whole_numbers_come_out_as_they_went_in(
            bits in 1..=MOST_BITS,
            codes in proptest::collection::vec(0u32..256, 1..200),
            first in 0usize..100,
        ) {
            let codes: Vec<u32> = codes.iter().map(|code| code & ((1 << bits) - 1)).collect();
            let first = first.min(codes.len() - 1);
            let bytes = written(&codes, bits);
            let mut read = vec![0.0; codes.len() - first];
            whole_numbers(&bytes, bits, first as u64 * u64::from(bits), &mut read);
            let expected: Vec<f32> = codes[first..].iter().map(|code| *code as f32).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn columns_of_words_are_read_a_row_at_a_time(
            bits in 1..=MOST_BITS,
            columns in proptest::collection::vec(proptest::collection::vec(0u32..256, 70), 1..5),
        ) {
            let columns: Vec<Vec<u32>> =
                columns.iter().map(|column| column.iter().map(|code| code & ((1 << bits) - 1)).collect()).collect();
            let down: Vec<Vec<u8>> = columns.iter().map(|column| written(column, bits)).collect();
            let rows = down[0].len() / 4;
            let words: Vec<u8> =
                (0..rows).flat_map(|row| down.iter().flat_map(move |column| column[4 * row..][..4].to_vec())).collect();
            for row in 0..70 {
                let from = (row * u64::from(bits) / 32) as usize * 4 * columns.len();
                let mut codes = vec![0.0; columns.len()];
                whole_numbers_down(&words[from..], bits, row, &mut codes);
                let expected: Vec<f32> = columns.iter().map(|column| column[row as usize] as f32).collect();
                prop_assert_eq!(codes, expected);
            }
        }
    }

    #[test]
    fn bytes_that_end_too_early_give_zeros() {
        let mut codes = [9.0; 4];
        whole_numbers(&[0xff], 4, 0, &mut codes);
        assert_eq!(codes, [15.0, 15.0, 0.0, 0.0]);
        whole_numbers_down(&[], 4, 0, &mut codes);
        of_list(&[], true, 0, &FP4, &mut codes);
        assert_eq!(codes, [0.0; 4]);
    }

    #[test]
    fn an_exponent_is_a_power_of_two() {
        for exponent in 0..255u8 {
            let expected = 2f64.powi(i32::from(exponent) - 127);
            assert_eq!(f64::from(power_of_two(exponent)), expected, "{exponent}");
        }
        assert!(power_of_two(255).is_nan());
    }
}
