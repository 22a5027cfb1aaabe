//! The parts of a model as the file describes them, and what a described tensor is.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::OnnxProblem;
use super::graph::Attribute;
use super::varint::packed;
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::header::Entry;
use std::ops::Range;

/// Most numbers of a constant that are kept: axes, exponents, target shapes.
pub(super) const FEW: usize = 64;

/// Where the numbers of a tensor lie: the field of `TensorProto`, and its bytes in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    pub(super) field: u64,
    pub(super) range: Range<u64>,
    /// The bytes, if they are few.
    pub(super) few: Option<Vec<u8>>,
}

/// A tensor.
#[derive(Debug, Clone, Default)]
pub(super) struct RawTensor {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) kind: u64,
    pub(super) numbers: Option<Numbers>,
    /// Numbers each with a tag of its own, which no range of bytes holds.
    pub(super) scattered: Vec<f64>,
    pub(super) is_scattered: bool,
    pub(super) pairs: Vec<(String, String)>,
    pub(super) is_external: bool,
    /// Whether it is the value of an attribute, rather than an initialiser.
    pub(super) of_attribute: bool,
}

/// Attributes that are kept of an operator: the others say nothing about norms and what reads them.
const ATTRIBUTES: [&str; 15] = [
    "axis",
    "axes",
    "keepdims",
    "perm",
    "transA",
    "transB",
    "group",
    "pads",
    "K",
    "N",
    "value",
    "value_float",
    "value_floats",
    "value_int",
    "value_ints",
];

/// An attribute of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct RawAttribute {
    pub(super) name: String,
    /// The attribute of the calling node that it stands for, in a function.
    pub(super) refers_to: Option<String>,
    pub(super) wholes: Vec<i64>,
    pub(super) real: Option<f64>,
    pub(super) reals: Option<Numbers>,
    pub(super) real_list: Vec<f64>,
    pub(super) tensor: Option<RawTensor>,
}

/// An operation, or a call of a function.
#[derive(Debug, Clone, Default)]
pub(super) struct RawNode {
    pub(super) scope: usize,
    pub(super) op: String,
    pub(super) domain: String,
    /// Which of the functions of this name is meant.
    pub(super) overload: String,
    pub(super) name: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Vec<RawAttribute>,
}

/// What a graph says of a value.
#[derive(Debug, Default)]
pub(super) struct RawInfo {
    pub(super) scope: usize,
    pub(super) is_output: bool,
    pub(super) name: String,
    pub(super) shape: Option<Vec<Option<u64>>>,
}

/// A function of the model, which nodes call by its name.
#[derive(Debug, Default)]
pub(super) struct RawFunction {
    /// The scope of its nodes.
    pub(super) scope: usize,
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) overload: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// The values of attributes that a call leaves out.
    pub(super) defaults: Vec<RawAttribute>,
}

impl RawAttribute {
    /// Whether an operator has it, and it says something about norms and what reads them.
    pub(super) fn is_known(&self) -> bool {
        ATTRIBUTES.contains(&self.name.as_str())
    }

    /// Whether it may be needed: known, or a number that a function may take under another name.
    pub(super) fn is_kept(&self) -> bool {
        self.is_known() || self.refers_to.is_some() || self.real.is_some() || !self.wholes.is_empty()
    }

    pub(super) fn kept(self) -> Option<(String, Attribute)> {
        let value = match self.real.filter(|_| self.wholes.is_empty()) {
            Some(real) => Attribute::Real(real),
            None => Attribute::Whole(self.wholes),
        };
        Some((self.name, value))
    }
}

/// The element type with this number in `TensorProto.DataType`, and bits of one element.
fn element(kind: u64) -> (TensorType, Option<u64>) {
    let name = match kind {
        1 => "F32",
        2 => "U8",
        3 => "I8",
        4 => "U16",
        5 => "I16",
        6 => "I32",
        7 => "I64",
        9 => "BOOL",
        10 => "F16",
        11 => "F64",
        12 => "U32",
        13 => "U64",
        14 => "C64",
        15 => return (TensorType::Unknown("COMPLEX128".to_owned()), Some(128)),
        16 => "BF16",
        17 => "F8_E4M3",
        18 => "F8_E4M3FNUZ",
        19 => "F8_E5M2",
        20 => "F8_E5M2FNUZ",
        21 => return (TensorType::Packed("UINT4"), Some(4)),
        22 => return (TensorType::Packed("INT4"), Some(4)),
        23 => return (TensorType::Packed("FLOAT4E2M1"), Some(4)),
        24 => "F8_E8M0",
        25 => return (TensorType::Packed("UINT2"), Some(2)),
        26 => return (TensorType::Packed("INT2"), Some(2)),
        other => return (TensorType::Unknown(format!("ONNX type {other}")), None),
    };
    let kind = TensorType::parse(name);
    let bits = kind.bits();
    (kind, bits)
}

/// Types of whole numbers in which shapes, axes and conditions are computed.
const OF_SHAPES: [u64; 5] = [6, 7, 9, 12, 13];

/// The type of texts.
const TEXT: u64 = 8;

impl RawTensor {
    pub(super) fn scatter(&mut self, value: f64) {
        self.is_scattered = true;
        if self.scattered.len() < FEW {
            self.scattered.push(value);
        }
    }

    fn elements(&self) -> Result<u64, OnnxProblem> {
        let product = self.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        product.ok_or_else(|| self.overflow(&self.name))
    }

    fn overflow(&self, name: &str) -> OnnxProblem {
        OnnxProblem::SizeOverflow { tensor: name.to_owned(), shape: self.shape.clone() }
    }

    /// Whether it is a tensor of the model: no single number, no text, and no few whole numbers of a shape.
    pub(super) fn is_of_catalogue(&self) -> Result<bool, OnnxProblem> {
        let elements = self.elements()?;
        let of_shape = OF_SHAPES.contains(&self.kind) && elements <= FEW as u64;
        Ok(elements > 1 && !of_shape && self.kind != TEXT)
    }

    /// The file that has its numbers, from the folder of this one.
    pub(super) fn location(&self) -> Option<String> {
        let location = self.pairs.iter().find(|(key, _)| key == "location");
        let location = location.map(|(_, value)| value.trim_start_matches("./").to_owned());
        self.is_external.then(|| location.unwrap_or_default())
    }

    /// Bytes that its numbers take, if its type shows it.
    fn size(&self, name: &str) -> Result<Option<u64>, OnnxProblem> {
        let (_, Some(bits)) = element(self.kind) else { return Ok(None) };
        let bits = self.elements()?.checked_mul(bits).ok_or_else(|| self.overflow(name))?;
        Ok(Some(bits.div_ceil(8)))
    }

    pub(super) fn elsewhere(&self, name: String) -> Result<Entry, OnnxProblem> {
        let place = |key: &str| {
            let Some((_, value)) = self.pairs.iter().find(|(known, _)| known == key) else { return Ok(None) };
            let wrong = |_| OnnxProblem::ExternalPlace {
                tensor: name.clone(),
                key: key.to_owned(),
                value: value.clone(),
            };
            value.trim().parse::<u64>().map(Some).map_err(wrong)
        };
        let (begin, length) = (place("offset")?.unwrap_or_default(), place("length")?);
        let (dtype, _) = element(self.kind);
        let size = self.size(&name)?;
        if let (Some(expected), Some(got)) = (size, length)
            && expected != got
        {
            let (shape, dtype) = (self.shape.clone(), dtype.to_string());
            return Err(OnnxProblem::SizeMismatch { tensor: name, shape, dtype, begin, expected, got });
        }
        let bytes = size.or(length).unwrap_or_default();
        let end = begin.checked_add(bytes).ok_or_else(|| self.overflow(&name))?;
        Ok(Entry { name, dtype, shape: self.shape.clone(), begin, end, strides: None })
    }

    pub(super) fn entry(self, name: String) -> Result<Entry, OnnxProblem> {
        let (mut dtype, bits) = element(self.kind);
        let (field, range) = match &self.numbers {
            Some(numbers) => (numbers.field, numbers.range.clone()),
            None => (0, 0..0),
        };
        // Only these fields hold the numbers byte for byte.
        let plain = match field {
            9 => true,
            4 => matches!(self.kind, 1 | 14),
            10 => matches!(self.kind, 11 | 15),
            _ => self.numbers.is_none(),
        };
        if self.is_scattered || !plain {
            dtype = TensorType::Unknown(format!("{dtype} number by number"));
        } else if bits.is_some() {
            let expected = self.size(&name)?.unwrap_or_default();
            let got = range.end.saturating_sub(range.start);
            if expected != got {
                let (shape, dtype, begin) = (self.shape, dtype.to_string(), range.start);
                return Err(OnnxProblem::SizeMismatch { tensor: name, shape, dtype, begin, expected, got });
            }
        }
        Ok(Entry { name, dtype, shape: self.shape, begin: range.start, end: range.end, strides: None })
    }

    /// Its numbers, if they are few and stored in a way that is decoded.
    pub(super) fn few(&self) -> Option<Vec<f64>> {
        let elements = self.elements().ok().filter(|&elements| elements <= FEW as u64)? as usize;
        let is_half = matches!(self.kind, 10 | 16);
        let numbers = match &self.numbers {
            None if self.is_scattered && !is_half => self.scattered.clone(),
            None => return (elements == 0).then(Vec::new),
            Some(_) if self.is_scattered => return None,
            Some(Numbers { field, few, .. }) => {
                let bytes = few.as_deref()?;
                match field {
                    9 => element(self.kind).0.decode(bytes).ok()?,
                    4 => TensorType::parse("F32").decode(bytes).ok()?,
                    10 => TensorType::parse("F64").decode(bytes).ok()?,
                    _ if is_half => {
                        let halves = packed(bytes)?;
                        let bytes: Vec<u8> =
                            halves.into_iter().flat_map(|half| (half as u16).to_le_bytes()).collect();
                        element(self.kind).0.decode(&bytes).ok()?
                    }
                    _ => packed(bytes)?.into_iter().map(|value| value as i64 as f64).collect(),
                }
            }
        };
        (numbers.len() == elements).then_some(numbers)
    }
}
