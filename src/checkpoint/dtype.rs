//! Element types and their exact decoding to f64.

use half::{bf16, f16};
use safetensors::Dtype;

/// The element type of a tensor: one that a format defines, or an unknown name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TensorType {
    /// A type of the safetensors format.
    Known(Dtype),
    /// A type of GGUF that stores values in blocks which share a scale.
    Block(BlockType),
    /// Codes of a quantisation method with separate scales, by the method's usual name. The shape is known, the values are not
    /// available.
    Packed(&'static str),
    /// Codes of a quantisation method with separate scales, which are decoded to f32 as they are read.
    Unpacked(Unpacked),
    /// A name the format does not define: the tensor is kept, but its values are not available.
    Unknown(String),
}

/// A type that has no decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "element type {0} is not one this tool decodes (F64, F32, F16, BF16, F8_E4M3, F8_E5M2, integers, {blocks}); convert that tensor",
    blocks = decoded_blocks()
)]
pub struct DecodeError(pub String);

/// The types of blocks that are decoded. The page's inspector decodes norms alone, and some converters store them as Q8_0.
fn decoded_blocks() -> String {
    #[cfg(feature = "verify")]
    return crate::quantised::names();
    #[cfg(not(feature = "verify"))]
    Q8_0.to_owned()
}

/// Bytes of one element, and how they become a number.
type Decoder = (usize, fn(&[u8]) -> f64);

/// A type whose values lie in blocks, along the last dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockType {
    /// What ggml calls it.
    pub name: &'static str,
    /// Values of one block.
    pub values: u64,
    /// Bytes of one block.
    pub bytes: u64,
}

/// What is stored for a weight that is decoded as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// The usual name of the quantisation method.
    pub method: &'static str,
    /// Bytes of the codes and of all that belongs to them.
    pub bytes: u64,
}

/// Types of GGUF by their number, as ggml and its gguf package give them in 2026. Left out, and so unknown: 4, 5, 31 to 33
/// and 36 to 38, which ggml has removed, and Q8_1 (9), which no file holds and whose size its two sources disagree about.
static GGUF_TYPES: [(u32, TensorType); 33] = [
    (0, TensorType::Known(Dtype::F32)),
    (1, TensorType::Known(Dtype::F16)),
    (2, block("Q4_0", 32, 18)),
    (3, block("Q4_1", 32, 20)),
    (6, block("Q5_0", 32, 22)),
    (7, block("Q5_1", 32, 24)),
    (8, block(Q8_0, 32, 34)),
    (10, block("Q2_K", 256, 84)),
    (11, block("Q3_K", 256, 110)),
    (12, block("Q4_K", 256, 144)),
    (13, block("Q5_K", 256, 176)),
    (14, block("Q6_K", 256, 210)),
    (15, block("Q8_K", 256, 292)),
    (16, block("IQ2_XXS", 256, 66)),
    (17, block("IQ2_XS", 256, 74)),
    (18, block("IQ3_XXS", 256, 98)),
    (19, block("IQ1_S", 256, 50)),
    (20, block("IQ4_NL", 32, 18)),
    (21, block("IQ3_S", 256, 110)),
    (22, block("IQ2_S", 256, 82)),
    (23, block("IQ4_XS", 256, 136)),
    (24, TensorType::Known(Dtype::I8)),
    (25, TensorType::Known(Dtype::I16)),
    (26, TensorType::Known(Dtype::I32)),
    (27, TensorType::Known(Dtype::I64)),
    (28, TensorType::Known(Dtype::F64)),
    (29, block("IQ1_M", 256, 56)),
    (30, TensorType::Known(Dtype::BF16)),
    (34, block("TQ1_0", 256, 54)),
    (35, block("TQ2_0", 256, 66)),
    (39, block("MXFP4", 32, 17)),
    (40, block("NVFP4", 64, 36)),
    (41, block("Q1_0", 128, 18)),
];

/// The one block type in which a scale may be stored: some converters store norms in it.
const Q8_0: &str = "Q8_0";

/// The types of the safetensors format, the most frequent first.
const DTYPES: [Dtype; 22] = [
    Dtype::BF16,
    Dtype::F16,
    Dtype::F32,
    Dtype::F64,
    Dtype::I64,
    Dtype::I32,
    Dtype::I16,
    Dtype::I8,
    Dtype::U64,
    Dtype::U32,
    Dtype::U16,
    Dtype::U8,
    Dtype::BOOL,
    Dtype::C64,
    Dtype::F8_E4M3,
    Dtype::F8_E5M2,
    Dtype::F8_E8M0,
    Dtype::F8_E4M3FNUZ,
    Dtype::F8_E5M2FNUZ,
    Dtype::F6_E2M3,
    Dtype::F6_E3M2,
    Dtype::F4,
];

const fn block(name: &'static str, values: u64, bytes: u64) -> TensorType {
    TensorType::Block(BlockType { name, values, bytes })
}

impl TensorType {
    /// The type of this name.
    pub fn parse(name: &str) -> Self {
        let known = DTYPES.into_iter().find(|dtype| dtype.to_string() == name);
        known.map_or_else(|| Self::Unknown(name.to_owned()), Self::Known)
    }

    /// The type with this number in GGUF files.
    pub fn of_gguf(number: u32) -> Self {
        let found = GGUF_TYPES.iter().find(|(known, _)| *known == number);
        found.map_or_else(|| Self::Unknown(format!("ggml type {number}")), |(_, kind)| kind.clone())
    }

    /// Bits of one element; `None` for an unknown type and for one of blocks.
    pub fn bits(&self) -> Option<u64> {
        match self {
            Self::Known(dtype) => Some(dtype.bitsize() as u64),
            Self::Block(_) | Self::Packed(_) | Self::Unpacked(_) | Self::Unknown(_) => None,
        }
    }

    /// Values and bytes of the smallest whole piece: a block, or one element of whole bytes.
    pub fn piece(&self) -> Option<(u64, u64)> {
        match self {
            Self::Block(block) => Some((block.values, block.bytes)),
            Self::Unpacked(_) => Some((1, 4)),
            _ => self.bits().filter(|bits| bits.is_multiple_of(8)).map(|bits| (1, bits / 8)),
        }
    }

    /// Whether a scale could be stored in this type.
    pub fn is_floating(&self) -> bool {
        use Dtype::{BF16, F8_E4M3, F8_E5M2, F16, F32, F64};
        matches!(self, Self::Known(F64 | F32 | F16 | BF16 | F8_E4M3 | F8_E5M2)) || self.is_q8_0()
    }

    /// Whether the values of a linear map could be stored in this type.
    pub(crate) fn may_be_weights(&self) -> bool {
        self.is_floating() || matches!(self, Self::Block(_) | Self::Unpacked(_))
    }

    fn is_q8_0(&self) -> bool {
        matches!(self, Self::Block(block) if block.name == Q8_0)
    }

    /// Whether [`TensorType::decode`] gives values.
    pub(crate) fn decodable(&self) -> Result<(), DecodeError> {
        if self.is_q8_0() || self.is_quantised() { Ok(()) } else { self.decoder().map(|_| ()) }
    }

    /// Whether it stores blocks that [`crate::quantised`] decodes.
    #[cfg(feature = "verify")]
    fn is_quantised(&self) -> bool {
        matches!(self, Self::Block(block) if crate::quantised::is_decoded(block.name))
    }

    /// The inspector decodes no other blocks.
    #[cfg(not(feature = "verify"))]
    fn is_quantised(&self) -> bool {
        false
    }

    /// The decoder of a type of single elements.
    fn decoder(&self) -> Result<Decoder, DecodeError> {
        let dtype = match self {
            Self::Known(dtype) => dtype,
            Self::Unpacked(_) => &Dtype::F32,
            _ => return Err(DecodeError(self.to_string())),
        };
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

    /// Decodes every element of `bytes` (little-endian, as the format stores them) exactly. The numbers of blocks are those of ggml in
    /// f32.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<f64>, DecodeError> {
        if self.is_q8_0() {
            return Ok(bytes.chunks_exact(34).flat_map(q8_0).collect());
        }
        #[cfg(feature = "verify")]
        if let Self::Block(_) = self {
            let mut values = Vec::new();
            self.decode_f32(bytes, &mut values)?;
            return Ok(values.into_iter().map(f64::from).collect());
        }
        let (size, decode) = self.decoder()?;
        Ok(bytes.chunks_exact(size).map(decode).collect())
    }

    /// Appends every element of `bytes` to `values` as f32: exact for F32, F16, BF16 and blocks, rounded for the others.
    pub fn decode_f32(&self, bytes: &[u8], values: &mut Vec<f32>) -> Result<(), DecodeError> {
        match self {
            Self::Known(Dtype::F32) | Self::Unpacked(_) => {
                values.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(array(b))))
            }
            Self::Known(Dtype::F16) => {
                values.extend(bytes.chunks_exact(2).map(|b| f16::from_le_bytes(array(b)).to_f32()));
            }
            Self::Known(Dtype::BF16) => {
                values.extend(bytes.chunks_exact(2).map(|b| bf16::from_le_bytes(array(b)).to_f32()));
            }
            #[cfg(feature = "verify")]
            Self::Block(block) => {
                crate::quantised::decode(block.name, bytes, values)
                    .map_err(|_| DecodeError(self.to_string()))?;
            }
            _ => values.extend(self.decode(bytes)?.into_iter().map(|value| value as f32)),
        }
        Ok(())
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(dtype) => write!(formatter, "{dtype}"),
            Self::Block(block) => write!(formatter, "{}", block.name),
            Self::Packed(method) | Self::Unpacked(Unpacked { method, .. }) => {
                write!(formatter, "packed weights ({method})")
            }
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

/// A block of Q8_0: a half-precision scale and 32 signed bytes. The products are exact in f64.
fn q8_0(block: &[u8]) -> impl Iterator<Item = f64> {
    let scale = f64::from(f16::from_le_bytes([block[0], block[1]]));
    block[2..].iter().map(move |&byte| scale * f64::from(byte as i8))
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
    fn every_type_of_the_safetensors_crate_is_known() {
        let refused = serde_json::from_str::<Dtype>("\"none\"").unwrap_err().to_string();
        let names: Vec<&str> = refused.split('`').skip(3).step_by(2).collect();
        assert_eq!(names.len(), DTYPES.len(), "{refused}");
        for name in names {
            assert!(
                matches!(TensorType::parse(name), TensorType::Known(dtype) if dtype.to_string() == name),
                "{name}"
            );
        }
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
    fn gguf_numbers_its_types_and_what_it_removed_is_unknown() {
        assert_eq!(TensorType::of_gguf(0), TensorType::parse("F32"));
        assert_eq!(TensorType::of_gguf(30), TensorType::parse("BF16"));
        assert_eq!(TensorType::of_gguf(12).piece(), Some((256, 144)));
        assert_eq!(TensorType::of_gguf(12).to_string(), "Q4_K");
        for number in [4, 9, 31, 38, 999, u32::MAX] {
            assert_eq!(TensorType::of_gguf(number), TensorType::Unknown(format!("ggml type {number}")));
        }
        assert!(GGUF_TYPES.windows(2).all(|two| two[0].0 < two[1].0));
    }

    #[test]
    fn a_q8_0_block_is_its_scale_times_signed_bytes() {
        let mut block = f16::from_f32(0.5).to_le_bytes().to_vec();
        block.extend([2i8, -3, 127, -128].map(|value| value as u8));
        block.resize(34, 0);
        let values = TensorType::of_gguf(8).decode(&block).unwrap();
        assert_eq!((values.len(), &values[..5]), (32, &[1.0, -1.5, 63.5, -64.0, 0.0][..]));
        let mut single = Vec::new();
        TensorType::of_gguf(8).decode_f32(&block, &mut single).unwrap();
        assert!(single.into_iter().map(f64::from).eq(values));
    }

    #[test]
    fn a_type_of_blocks_without_a_decoder_is_named_with_those_that_have_one() {
        let error = TensorType::of_gguf(19).decode(&[0; 50]).unwrap_err().to_string();
        assert!(error.contains("IQ1_S") && error.contains("Q4_0") && error.contains("Q6_K"), "{error}");
    }

    #[test]
    fn an_unknown_type_is_named() {
        let error = TensorType::parse("Q4_K").decode(&[]).unwrap_err();
        assert!(error.to_string().contains("\"Q4_K\""));
        assert!(TensorType::parse("C64").decode(&[]).is_err());
    }
}
