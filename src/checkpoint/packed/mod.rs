//! Replaces packed weights by the tensors that they stand for: one tensor of the unpacked shape in place of the codes, scales and
//! zero points that a quantisation method stores. `values` decodes those of the usual methods when they are read.
//!
//! Each method is one entry of [`FORMS`]. A shape that does not follow from the stored shapes is read (bitsandbytes and
//! compressed-tensors store it), once for all tensors that are alike except for the numbers of their blocks.

mod forms;
#[cfg(test)]
mod tests;
#[cfg(feature = "verify")]
pub(super) mod values;

use super::check::first_and_more;
use super::dtype::TensorType;
use super::{Checkpoint, Format, Strides, Tensor, buffer};
use crate::order;
use crate::report::WarningCode;
use crate::source::ByteSource;
use forms::{FORMS, Form, Shape, Stored};
use safetensors::Dtype;
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;

/// One weight that replaces stored tensors.
struct Weight {
    /// The tensor with the codes.
    codes: usize,
    /// Its name, unpacked.
    name: String,
    form: &'static Form,
    /// Its unpacked shape, or `None` if it is not known.
    shape: Option<Vec<u64>>,
    /// The tensor that holds its shape, if one does.
    shape_in: Option<usize>,
    /// The tensors that belong to the codes.
    beside: Vec<usize>,
}

/// Replaces each packed weight by one tensor of the unpacked shape, and warns which methods packed them. A weight whose unpacked
/// shape is not known is left out with a warning: its stored shape would give a wrong count.
pub(super) async fn unpack<S: ByteSource>(checkpoint: &mut Checkpoint<S>) {
    if matches!(checkpoint.format, Format::Gguf | Format::Onnx) {
        return;
    }
    let mut weights = find(checkpoint);
    read_shapes(checkpoint, &mut weights).await;
    for weight in &mut weights {
        let bits = 8 * u128::from(checkpoint.tensors[weight.codes].bytes());
        weight.shape.take_if(|shape| !holds(bits, shape));
    }
    let strange = not_understood(&checkpoint.tensors, &weights);
    let unknown = weights.iter().filter(|weight| weight.shape.is_none()).map(|weight| weight.codes);
    let uncounted = order::distinct(strange.iter().copied().chain(unknown));
    let uncounted: Vec<String> = uncounted.iter().map(|&at| checkpoint.tensors[at].name.clone()).collect();
    let known = || weights.iter().filter(|weight| weight.shape.is_some());
    let methods = order::distinct(known().map(|weight| weight.form.method));
    let counted = known().count();
    let first = known().next().map(|weight| weight.name.clone());
    let undecoded = put(checkpoint, weights, strange);
    if let Some(first) = first {
        let (are, their) = if counted == 1 { ("weight is", "its") } else { ("weights are", "their") };
        let values = values_are(counted, undecoded);
        let message = format!(
            "{counted} {are} packed ({}): readers and parameters are counted by {their} unpacked shapes. {values}",
            methods.join(", ")
        );
        checkpoint.warn(WarningCode::WeightsPacked, &first, message);
    }
    if let Some(first) = uncounted.first() {
        let message = format!(
            "{} packed in a way that does not give the unpacked shape: neither readers nor parameters of these are counted. Put the model's config.json beside the weights, or open the unpacked model",
            first_and_more(first, uncounted.len(), ["is", "are"])
        );
        checkpoint.warn(WarningCode::WeightsUncounted, first, message);
    }
}

/// A sentence about the values of `counted` weights, of which `undecoded` are not decoded.
#[cfg(feature = "verify")]
fn values_are(counted: usize, undecoded: usize) -> String {
    match undecoded {
        0 => "The values are decoded as they are read".to_owned(),
        _ => format!(
            "The values of {} are not decoded, so writer energy is not measured on them and the model is not run",
            if undecoded == counted { "these weights".to_owned() } else { format!("{undecoded} of them") }
        ),
    }
}

/// The inspector decodes none, and does not know what a run decodes.
#[cfg(not(feature = "verify"))]
fn values_are(_: usize, _: usize) -> String {
    "The values are not decoded here, so writer energy is not measured on them; a run decodes the usual methods".to_owned()
}

/// The packed weights of a catalogue.
fn find<S: ByteSource>(checkpoint: &Checkpoint<S>) -> Vec<Weight> {
    let tensors = &checkpoint.tensors;
    // Most files have no tensor that a method needs beside its codes. One look at each name shows that.
    let mut ends = FORMS.iter().flat_map(|form| form.needs);
    if !ends.any(|end| tensors.iter().any(|tensor| tensor.name.ends_with(end))) {
        return Vec::new();
    }
    let by_name: HashMap<&str, usize> =
        tensors.iter().enumerate().map(|(at, tensor)| (tensor.name.as_str(), at)).collect();
    let of = |at: usize, form: &'static Form| {
        let codes = &tensors[at];
        let stem = codes.name.strip_suffix(form.codes)?;
        let stored =
            Stored { tensors, by_name: &by_name, codes, stem, config: checkpoint.config_of(&codes.name) };
        if !form.needs.iter().all(|end| stored.at(end).is_some()) {
            return None;
        }
        let (shape, shape_in) = match (form.shape)(&stored) {
            Shape::Known(shape) => (Some(shape), None),
            Shape::In(at) => (None, Some(at)),
            Shape::Unknown => (None, None),
            Shape::Other => return None,
        };
        let beside = form.needs.iter().chain(form.beside).filter_map(|end| stored.at(end)).collect();
        let name = format!("{stem}{}", form.weight);
        Some(Weight { codes: at, name, form, shape, shape_in, beside })
    };
    // No two forms explain the same tensor, and most files use one form. So the form of the last weight is tried first.
    let mut usual = &FORMS[0];
    let mut weights = Vec::new();
    for at in 0..tensors.len() {
        let found = of(at, usual).or_else(|| FORMS.iter().find_map(|form| of(at, form)));
        if let Some(found) = found {
            usual = found.form;
            weights.push(found);
        }
    }
    weights
}

/// Reads the stored shapes: one for all weights of the same number of codes whose names differ only in the numbers of blocks.
async fn read_shapes<S: ByteSource>(checkpoint: &Checkpoint<S>, weights: &mut [Weight]) {
    let stored = weights.iter().enumerate().filter_map(|(weight, found)| {
        let at = found.shape_in?;
        // `fc1` and `fc2` are not alike: they have as many codes, and other shapes.
        let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let names: Vec<&str> = found.name.split('.').filter(|part| !is_number(part)).collect();
        let alike = (names.join("."), checkpoint.tensors[found.codes].elements());
        Some((alike, (weight, at)))
    });
    let groups: Vec<Vec<(usize, usize)>> =
        order::groups(stored).into_iter().map(|(_, group)| group).collect();
    let first: Vec<usize> = groups.iter().map(|group| group[0].1).collect();
    let read = checkpoint.read(&first, |_, _| {}).await;
    for (group, values) in groups.iter().zip(read) {
        let shape = values.ok().and_then(|values| shape_of(&values));
        for (weight, _) in group {
            weights[*weight].shape.clone_from(&shape);
        }
    }
}

/// Whether this many bits of codes can hold a weight of this shape: a damaged file may claim any shape. A value takes one to
/// eight bits, and padding may double that.
fn holds(bits: u128, shape: &[u64]) -> bool {
    let values = shape.iter().try_fold(1u128, |product, size| product.checked_mul((*size).into()));
    values.is_some_and(|values| values > 0 && (values..=values.saturating_mul(16)).contains(&bits))
}

/// A shape from the tensor that holds it: its numbers, or the bytes of a JSON object with the field `shape`.
fn shape_of(values: &[f64]) -> Option<Vec<u64>> {
    let numbers: Vec<u64> = if values.len() > MOST_DIMENSIONS {
        let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
        let state: Value = serde_json::from_slice(&bytes).ok()?;
        state.get("shape")?.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?
    } else {
        values.iter().map(|value| *value as u64).collect()
    };
    let elements = numbers.iter().try_fold(1u64, |product, size| product.checked_mul(*size))?;
    (numbers.len() >= 2 && numbers.len() <= MOST_DIMENSIONS && elements > 0).then_some(numbers)
}

/// A weight has at most this many dimensions. A JSON object with a shape has more bytes.
const MOST_DIMENSIONS: usize = 8;

/// Integer matrices with scales beside them that no form explains.
fn not_understood(tensors: &[Tensor], weights: &[Weight]) -> Vec<usize> {
    let known = order::distinct(
        weights.iter().flat_map(|weight| weight.beside.iter().copied().chain([weight.codes])),
    );
    let is_integer = |tensor: &Tensor| {
        let kinds = [Dtype::I8, Dtype::U8, Dtype::I16, Dtype::I32, Dtype::U32];
        kinds.iter().any(|kind| tensor.dtype == TensorType::Known(*kind)) && tensor.shape.len() >= 2
    };
    let has_scales = |at: usize| {
        let module = tensors[at].name.rsplit_once('.').map_or("", |(module, _)| module);
        let inside =
            |other: &&Tensor| other.name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.'));
        let near =
            tensors[..at].iter().rev().take_while(inside).chain(tensors[at..].iter().take_while(inside));
        let mut ends = near.map(|other| &other.name[module.len()..]);
        ends.any(|end| {
            ["scale", "absmax", "zero_point", "zeros", "codebook"].iter().any(|mark| end.contains(mark))
        })
    };
    (0..tensors.len())
        .filter(|at| is_integer(&tensors[*at]) && known.binary_search(at).is_err())
        .filter(|&at| !buffer::is_buffer(&tensors[at].name, &tensors[at].shape) && has_scales(at))
        .collect()
}

/// Puts each weight in the place of its codes and removes the other tensors of it. Removes `strange` tensors, and all of a weight
/// whose shape is not known. Returns how many weights it put whose values are not decoded.
fn put<S: ByteSource>(checkpoint: &mut Checkpoint<S>, weights: Vec<Weight>, strange: Vec<usize>) -> usize {
    let mut gone = vec![false; checkpoint.tensors.len()];
    strange.into_iter().for_each(|at| gone[at] = true);
    let mut undecoded = 0;
    for weight in weights {
        #[cfg(feature = "verify")]
        let decoded = checkpoint.decoding(&weight);
        #[cfg(not(feature = "verify"))]
        let decoded: Decoding = None;
        let Weight { codes, name, form, shape, beside, .. } = weight;
        beside.into_iter().for_each(|at| gone[at] = true);
        let tensor = &mut checkpoint.tensors[codes];
        let Some(shape) = shape else {
            gone[codes] = true;
            continue;
        };
        (tensor.name, tensor.shape, tensor.strides) = (name, shape, None);
        match decoded {
            Some((dtype, range, strides)) => {
                (tensor.dtype, tensor.range, tensor.strides) = (dtype, range, strides);
            }
            None => {
                tensor.dtype = TensorType::Packed(form.method);
                undecoded += 1;
            }
        }
    }
    if gone.iter().any(|gone| *gone) {
        let mut gone = gone.into_iter();
        checkpoint.tensors.retain(|_| !gone.next().unwrap_or_default());
        checkpoint.sort();
    }
    undecoded
}

/// How a weight is read whose values are decoded: its type, its addresses, and its strides if it is decoded the other way round.
type Decoding = Option<(TensorType, Range<u64>, Option<Strides>)>;
