//! Element types and their exact decoding to f64.

use half::{bf16, f16};
use safetensors::Dtype;

/// The element type of a tensor: one the format defines, or a name nobody here knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TensorType {
    /// A type of the safetensors format.
    Known(Dtype),
    /// A name the format does not define: the tensor is kept, its values are not to be had.
    Unknown(String),
}

/// A type that has no decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "element type {0} is not one this tool decodes (F64, F32, F16, BF16, F8_E4M3, F8_E5M2, integers); convert that tensor"
)]
pub struct DecodeError(pub String);

/// Bytes of one element, and how they become a number.
type Decoder = (usize, fn(&[u8]) -> f64);

impl TensorType {
    /// The type of this name.
    pub fn parse(name: &str) -> Self {
        serde_json::from_value(serde_json::Value::String(name.to_owned()))
            .map_or_else(|_| Self::Unknown(name.to_owned()), Self::Known)
    }

    /// Bits of one element; `None` for an unknown type.
    pub fn bits(&self) -> Option<u64> {
        match self {
            Self::Known(dtype) => Some(dtype.bitsize() as u64),
            Self::Unknown(_) => None,
        }
    }

    /// True for a type that holds numbers a scale could be stored in.
    pub fn is_floating(&self) -> bool {
        use Dtype::{BF16, F8_E4M3, F8_E5M2, F16, F32, F64};
        matches!(self, Self::Known(F64 | F32 | F16 | BF16 | F8_E4M3 | F8_E5M2))
    }

    /// The decoder of this type.
    pub(crate) fn decodable(&self) -> Result<Decoder, DecodeError> {
        let Self::Known(dtype) = self else { return Err(DecodeError(self.to_string())) };
        Ok(match dtype {
            Dtype::F64 => (8, |b| f64::from_le_bytes(array(b))),
            Dtype::F32 => (4, |b| f32::from_le_bytes(array(b)).into()),
            Dtype::F16 => (2, |b| f16::from_le_bytes(array(b)).into()),
            Dtype::BF16 => (2, |b| bf16::from_le_bytes(array(b)).into()),
            Dtype::F8_E4M3 => (1, |b| float8_e4m3(b[0])),
            Dtype::F8_E5M2 => (1, |b| float8_e5m2(b[0])),
            Dtype::I64 => (8, |b| i64::from_le_bytes(array(b)) as f64),
            Dtype::U64 => (8, |b| u64::from_le_bytes(array(b)) as f64),
            Dtype::I32 => (4, |b| i32::from_le_bytes(array(b)).into()),
            Dtype::U32 => (4, |b| u32::from_le_bytes(array(b)).into()),
            Dtype::I16 => (2, |b| i16::from_le_bytes(array(b)).into()),
            Dtype::U16 => (2, |b| u16::from_le_bytes(array(b)).into()),
            Dtype::I8 => (1, |b| i8::from_le_bytes(array(b)).into()),
            Dtype::U8 => (1, |b| b[0].into()),
            other => return Err(DecodeError(other.to_string())),
        })
    }

    /// Every element of `bytes` (little-endian, as the format stores them), exactly.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<f64>, DecodeError> {
        let (size, decode) = self.decodable()?;
        Ok(bytes.chunks_exact(size).map(decode).collect())
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(dtype) => write!(formatter, "{dtype}"),
            Self::Unknown(name) => write!(formatter, "{name:?}"),
        }
    }
}

/// `chunks_exact` gives slices of just this length.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// OCP FP8 E5M2 is the upper half of an IEEE half-precision number.
fn float8_e5m2(byte: u8) -> f64 {
    f16::from_bits(u16::from(byte) << 8).into()
}

/// OCP FP8 E4M3 (the "fn" variant): bias 7, no infinities, NaN at 0x7f and 0xff.
fn float8_e4m3(byte: u8) -> f64 {
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(byte >> 3 & 0xf), f64::from(byte & 7));
    sign * match exponent {
        15 if byte & 7 == 7 => f64::NAN,
        0 => fraction / 8.0 * 2f64.powi(-6),
        _ => (1.0 + fraction / 8.0) * 2f64.powi(exponent - 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(name: &str, bytes: &[u8]) -> Vec<f64> {
        TensorType::parse(name).decode(bytes).unwrap()
    }

    #[test]
    fn each_float_type_decodes_one_and_a_half() {
        assert_eq!(decode("F64", &1.5f64.to_le_bytes()), [1.5]);
        assert_eq!(decode("F32", &1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(decode("F16", &f16::from_f32(1.5).to_le_bytes()), [1.5]);
        assert_eq!(decode("BF16", &bf16::from_f32(1.5).to_le_bytes()), [1.5]);
        assert_eq!(decode("F8_E4M3", &[0x3c]), [1.5]);
        assert_eq!(decode("F8_E5M2", &[0x3e]), [1.5]);
    }

    #[test]
    fn eight_bit_floats_keep_their_extremes() {
        assert_eq!(decode("F8_E4M3", &[0x7e, 0xfe, 0x01, 0x00]), [448.0, -448.0, 2f64.powi(-9), 0.0]);
        assert!(decode("F8_E4M3", &[0x7f])[0].is_nan());
        assert_eq!(decode("F8_E5M2", &[0x7b, 0x01]), [57344.0, 2f64.powi(-16)]);
        assert_eq!(decode("F8_E5M2", &[0x7c])[0], f64::INFINITY);
    }

    #[test]
    fn integers_decode_where_a_scale_might_be_one() {
        assert_eq!(decode("I8", &[0xff, 1]), [-1.0, 1.0]);
        assert_eq!(decode("I64", &7i64.to_le_bytes()), [7.0]);
    }

    #[test]
    fn a_tiny_single_precision_scale_is_exact() {
        assert_eq!(decode("F32", &4.8e-33f32.to_le_bytes()), [f64::from(4.8e-33f32)]);
    }

    #[test]
    fn an_unknown_type_is_named() {
        let error = TensorType::parse("Q4_K").decode(&[]).unwrap_err();
        assert!(error.to_string().contains("\"Q4_K\""));
        assert!(TensorType::parse("C64").decode(&[]).is_err());
    }
}
