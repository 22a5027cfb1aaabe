//! Quantised values of GGUF files: blocks of codes that share scales, decoded to f32 with the arithmetic of gguf-py, bit for bit.
//! [`codes`] has the codes of methods that store scales apart.
//!
//! Mathematics only: nothing here knows a file. `of_32` has the formats with one scale for 32 values, `k_quants` those with blocks
//! of 256 values in groups that have scales of their own, and `codebooks` those whose codes are places in a list.
//!
//! No crate does this: candle-core's decoders bring a tensor library into the wasm and lack IQ4_NL, IQ4_XS and MXFP4, and the others that
//! we found bind llama.cpp's C code, which does not compile for the browser without a C toolchain.

mod codebooks;
pub mod codes;
mod k_quants;
mod of_32;

use half::f16;

/// A format, by the name that ggml gives it.
struct Format {
    name: &'static str,
    /// Bytes of a block.
    bytes: usize,
    decode: Decode,
}

/// Decodes one block of the right length into as many values as it has.
enum Decode {
    Small(fn(&[u8], &mut [f32; 32])),
    Large(fn(&[u8], &mut [f32; 256])),
}

const fn small(name: &'static str, bytes: usize, decode: fn(&[u8], &mut [f32; 32])) -> Format {
    Format { name, bytes, decode: Decode::Small(decode) }
}

const fn large(name: &'static str, bytes: usize, decode: fn(&[u8], &mut [f32; 256])) -> Format {
    Format { name, bytes, decode: Decode::Large(decode) }
}

static FORMATS: [Format; 13] = [
    small("Q4_0", 18, of_32::q4_0),
    small("Q4_1", 20, of_32::q4_1),
    small("Q5_0", 22, of_32::q5_0),
    small("Q5_1", 24, of_32::q5_1),
    small("Q8_0", 34, of_32::q8_0),
    large("Q2_K", 84, k_quants::q2_k),
    large("Q3_K", 110, k_quants::q3_k),
    large("Q4_K", 144, k_quants::q4_k),
    large("Q5_K", 176, k_quants::q5_k),
    large("Q6_K", 210, k_quants::q6_k),
    small("IQ4_NL", 18, codebooks::iq4_nl),
    large("IQ4_XS", 136, codebooks::iq4_xs),
    small("MXFP4", 17, codebooks::mxfp4),
];

/// Why bytes were not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantisedError {
    /// There is no decoder for the format.
    #[error("the format {name} is not decoded here; these are: {}", names())]
    Format {
        /// What ggml calls it.
        name: String,
    },
    /// The bytes end inside a block.
    #[error(
        "{bytes} bytes are no whole blocks of {name}, which have {block} bytes each; the data is damaged or cut off"
    )]
    PartialBlock {
        /// What ggml calls the format.
        name: &'static str,
        /// Number of bytes.
        bytes: usize,
        /// Bytes of a block.
        block: usize,
    },
}

/// The names of all formats that are decoded.
pub fn names() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

/// Whether the format that ggml calls `name` is decoded.
pub fn is_decoded(name: &str) -> bool {
    FORMATS.iter().any(|format| format.name == name)
}

/// Decodes `bytes`, whole blocks of the format that ggml calls `name`, and appends the numbers to `values`. A scale that is not finite
/// gives numbers that are not.
pub fn decode(name: &str, bytes: &[u8], values: &mut Vec<f32>) -> Result<(), QuantisedError> {
    let format = FORMATS.iter().find(|format| format.name == name);
    let format = format.ok_or_else(|| QuantisedError::Format { name: name.to_owned() })?;
    if !bytes.len().is_multiple_of(format.bytes) {
        let (name, block) = (format.name, format.bytes);
        return Err(QuantisedError::PartialBlock { name, bytes: bytes.len(), block });
    }
    match format.decode {
        Decode::Small(decode) => each_block(bytes, format.bytes, values, decode),
        Decode::Large(decode) => each_block(bytes, format.bytes, values, decode),
    }
    Ok(())
}

fn each_block<const N: usize>(
    bytes: &[u8],
    size: usize,
    values: &mut Vec<f32>,
    decode: fn(&[u8], &mut [f32; N]),
) {
    let mut block = [0.0; N];
    values.reserve(bytes.len() / size * N);
    for bytes in bytes.chunks_exact(size) {
        decode(bytes, &mut block);
        values.extend_from_slice(&block);
    }
}

/// The half-precision number at `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    /// `scripts/fixtures/quantised.py` writes it.
    const BLOCKS: &[u8] = include_bytes!("../../tests/quantised/blocks.safetensors");

    #[test]
    fn every_format_decodes_to_the_bits_of_gguf_py() {
        let saved = SafeTensors::deserialize(BLOCKS).unwrap();
        for format in &FORMATS {
            let tensor = |what| saved.tensor(&format!("{}.{what}", format.name)).unwrap().data().to_vec();
            let mut values = Vec::new();
            decode(format.name, &tensor("blocks"), &mut values).unwrap();
            let expected = tensor("values");
            let expected = expected.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            assert_eq!(values.len(), expected.len(), "{}", format.name);
            for (at, (value, expected)) in values.into_iter().zip(expected).enumerate() {
                // The sign of a NaN is the processor's choice.
                let same = value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan();
                assert!(same, "{}: value {at} is {value:e} and not {expected:e}", format.name);
            }
        }
    }

    #[test]
    fn bytes_that_end_inside_a_block_are_an_error_that_counts_them() {
        let mut values = Vec::new();
        for format in &FORMATS {
            assert_eq!(decode(format.name, &[], &mut values), Ok(()));
            for bytes in [1, format.bytes - 1, format.bytes + 1] {
                let error = decode(format.name, &vec![0xff; bytes], &mut values).unwrap_err().to_string();
                assert!(error.contains(format.name) && error.contains(&format!("{bytes} bytes")), "{error}");
            }
        }
        assert!(values.is_empty());
    }

    #[test]
    fn a_format_without_a_decoder_is_an_error_that_names_those_that_have_one() {
        let error = decode("IQ1_S", &[], &mut Vec::new()).unwrap_err().to_string();
        assert!(
            error.contains("IQ1_S") && error.contains("Q4_0, Q4_1") && error.contains("MXFP4"),
            "{error}"
        );
        assert!(is_decoded("Q4_K") && !is_decoded("IQ1_S"));
    }

    #[test]
    fn any_bits_decode_without_a_panic() {
        for format in &FORMATS {
            for bits in [0x00, 0x5a, 0x7c, 0xff] {
                let mut values = Vec::new();
                decode(format.name, &vec![bits; 2 * format.bytes], &mut values).unwrap();
                assert!(matches!(values.len(), 64 | 512), "{}", format.name);
            }
        }
    }
}
