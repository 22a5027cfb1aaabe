//! Follows what a norm gives along the edges of the graph to the linear maps that read it.
//!
//! A map counts only if every use of its weight in the graph reads this norm: layers may share a weight, and its first use may read
//! something else. Edges are followed through nodes that move whole vectors of channels about, and through quantisation.

use super::axes::from_last;
use super::{Flow, MOST_STEPS, Use, passes_on};
use crate::checkpoint::onnx::graph::{Node, ValueId};
use crate::norm::site::StatedReader;
use crate::order;

/// What reads a norm.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) readers: Vec<StatedReader>,
    /// Weights that read it, but not in every use.
    pub(super) shared: Vec<usize>,
    /// Other operators that read it.
    pub(super) others: Vec<String>,
}

/// Most values that are followed from one norm.
const MOST_VALUES: usize = 4096;

/// A value that carries what a norm gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Carried {
    value: ValueId,
    /// The axis of the channels, counted from the last.
    axis: usize,
    is_quantised: bool,
}

/// A linear map that reads a carried value.
#[derive(Debug, Clone)]
struct Map {
    /// The node.
    at: usize,
    weight: usize,
    bias: Option<usize>,
    rows: u64,
    is_quantised: bool,
}

/// The linear maps that read `outputs`, each with the axis of its channels. `width` is their number, if it is known.
pub(super) fn readers(flow: &Flow<'_>, outputs: &[(ValueId, usize)], width: Option<u64>) -> Found {
    let mut found = Found::default();
    let mut maps: Vec<Map> = Vec::new();
    let mut carried: Vec<Carried> = Vec::new();
    for &(value, axis) in outputs {
        carried.push(Carried { value, axis, is_quantised: false });
    }
    let mut at = 0;
    while let Some(&from) = carried.get(at) {
        at += 1;
        for &used in &flow.uses[from.value] {
            if let Some(map) = map(flow, from, used, width) {
                maps.push(map);
            } else if let Some(next) = onward(flow, from, used, width) {
                if !carried.iter().any(|known| known.value == next.value) && carried.len() < MOST_VALUES {
                    carried.push(next);
                }
            } else {
                found.others.push(flow.node(used.0).op.clone());
            }
        }
    }
    found.others = order::distinct(std::mem::take(&mut found.others));
    for weight in order::distinct(maps.iter().map(|map| map.weight)) {
        let own: Vec<&Map> = maps.iter().filter(|map| map.weight == weight).collect();
        let nodes: Vec<usize> = own.iter().map(|map| map.at).collect();
        let uses = uses_of(flow, weight);
        let (here, elsewhere): (Vec<Use>, Vec<Use>) =
            uses.into_iter().partition(|(node, _)| nodes.contains(node));
        // An embedding that is also the unembedding is looked up by `Gather`.
        let is_tied = !elsewhere.is_empty()
            && elsewhere.iter().all(|&(node, place)| flow.node(node).op == "Gather" && place == 0);
        if here.is_empty() || !(elsewhere.is_empty() || is_tied) {
            found.shared.push(weight);
            continue;
        }
        let bias = own[0].bias.filter(|&bias| {
            own.iter().all(|map| map.bias == Some(bias)) && uses_of(flow, bias).len() == here.len()
        });
        found.readers.push(StatedReader {
            weight,
            bias,
            rows: own[0].rows,
            module: module(flow.node(own[0].at)),
            is_tied,
            is_quantised: own.iter().any(|map| map.is_quantised),
        });
    }
    found
}

/// The path of a node's module, as PyTorch's exporter names nodes: `/encoder/layer.0/query/MatMul`.
fn module(node: &Node) -> String {
    let path = node.name.trim_start_matches('/');
    path.rsplit_once('/').map_or(String::new(), |(module, _)| module.replace('/', "."))
}

/// Operators behind which a stored matrix is still the same one.
const OF_MATRIX: [&str; 6] =
    ["Identity", "Cast", "Transpose", "DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"];

/// Every use of a tensor, behind nodes that only turn it or change its type.
fn uses_of(flow: &Flow<'_>, tensor: usize) -> Vec<Use> {
    let mut seen: Vec<ValueId> = flow.value_of(tensor).into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&value) = seen.get(at) {
        at += 1;
        for &(node, place) in &flow.uses[value] {
            let through = OF_MATRIX.contains(&flow.node(node).op.as_str()) && place == 0;
            match flow.node(node).output(0).filter(|_| through) {
                Some(output) if !seen.contains(&output) && seen.len() < MOST_VALUES => seen.push(output),
                Some(_) => {}
                None => found.push((node, place)),
            }
        }
    }
    found
}

/// A stored matrix as a node reads it.
struct Matrix {
    tensor: usize,
    /// Its dimensions there.
    shape: [u64; 2],
    is_quantised: bool,
}

/// The stored matrix that a value is, behind nodes that turn or dequantise it.
fn matrix(flow: &Flow<'_>, mut value: ValueId) -> Option<Matrix> {
    let (mut turned, mut is_quantised) = (false, false);
    for _ in 0..MOST_STEPS {
        if let Some(tensor) = flow.tensor(value) {
            let &[rows, columns] = flow.constant(value)?.shape.as_slice() else { return None };
            let shape = if turned { [columns, rows] } else { [rows, columns] };
            return Some(Matrix { tensor, shape, is_quantised });
        }
        let node = flow.made_by(value, &["Transpose", "DequantizeLinear", "QuantizeLinear"])?;
        match (node.op.as_str(), node.wholes("perm")) {
            ("Transpose", Some([1, 0]) | None) => turned = !turned,
            ("Transpose", Some([0, 1])) => {}
            ("Transpose", Some(_)) => return None,
            _ => is_quantised = true,
        }
        value = node.input(0)?;
    }
    None
}

/// The linear map of a node that reads a carried value, if it is one.
fn map(flow: &Flow<'_>, from: Carried, (at, place): Use, width: Option<u64>) -> Option<Map> {
    let node = flow.node(at);
    // The places of the input, the weight and the bias; whether the weight lies turned.
    let (input, weight, bias, turned) = match node.op.as_str() {
        "MatMul" | "MatMulInteger" => (0, 1, None, false),
        "QLinearMatMul" => (0, 3, None, false),
        "MatMulIntegerToFloat" => (0, 1, Some(6), false),
        "DynamicQuantizeMatMul" => (0, 1, Some(4), false),
        "FusedMatMul" if node.whole("transA").unwrap_or(0) == 0 => {
            (0, 1, None, node.whole("transB").unwrap_or(0) != 0)
        }
        "Gemm" if node.whole("transA").unwrap_or(0) == 0 => {
            (0, 1, Some(2), node.whole("transB").unwrap_or(0) != 0)
        }
        "QGemm" if node.whole("transA").unwrap_or(0) == 0 => {
            (0, 3, None, node.whole("transB").unwrap_or(0) != 0)
        }
        // Microsoft's attention, with its queries, keys and values in one matrix. ONNX's own has no weight.
        "Attention" | "QAttention" => (0, 1, Some(2), false),
        "MatMulNBits" => (0, 1, Some(5), true),
        "Conv" => return convolution(flow, from, (at, place), width),
        _ => return None,
    };
    if place != input || from.axis != 1 {
        return None;
    }
    let Matrix { tensor: weight, shape: [first, second], is_quantised } = matrix(flow, node.input(weight)?)?;
    let (inputs, rows) = if turned { (second, first) } else { (first, second) };
    if inputs < 2 || width.is_some_and(|width| width != inputs) {
        return None;
    }
    let fits = |value: ValueId| {
        flow.vector(value)
            .filter(|vector| vector.width == rows && vector.axis == 1)
            .map(|vector| vector.tensor)
    };
    let in_floats = ["MatMul", "FusedMatMul", "Gemm", "Attention"].contains(&node.op.as_str());
    let is_quantised = is_quantised || from.is_quantised || !in_floats;
    let bias = match bias.and_then(|place| node.input(place)) {
        Some(bias) => fits(bias),
        None => added(flow, node.output(0)?, is_quantised).and_then(fits),
    };
    Some(Map { at, weight, bias, rows, is_quantised })
}

/// A convolution of one position is a linear map of its channels. At a padded position it would read zeros.
fn convolution(flow: &Flow<'_>, from: Carried, (at, place): Use, width: Option<u64>) -> Option<Map> {
    let node = flow.node(at);
    let weight = flow.tensor(node.input(1)?)?;
    let &[rows, inputs, ref kernel @ ..] = flow.constant(node.input(1)?)?.shape.as_slice() else {
        return None;
    };
    let single = !kernel.is_empty() && kernel.iter().all(|&size| size == 1);
    let padded = node.wholes("pads").is_some_and(|pads| pads.iter().any(|&pad| pad != 0));
    let whole = node.whole("group").unwrap_or(1) == 1 && width.is_none_or(|width| width == inputs);
    let fits = place == 0 && from.axis == kernel.len().checked_add(1)? && inputs > 1;
    (single && !padded && whole && fits).then_some(())?;
    let bias = node.input(2).and_then(|bias| flow.vector(bias)).map(|vector| vector.tensor);
    Some(Map { at, weight, bias, rows, is_quantised: from.is_quantised })
}

/// What is added to the output of a map, if nothing else reads the output.
fn added(flow: &Flow<'_>, mut value: ValueId, is_quantised: bool) -> Option<ValueId> {
    for _ in 0..MOST_STEPS {
        let &[(at, place)] = &flow.readers_of(value)[..] else { return None };
        let node = flow.node(at);
        match node.op.as_str() {
            "Add" if place < 2 && !flow.is_output(value) => return node.input(1 - place),
            // Quantised products are scaled back first.
            "Mul" if is_quantised => value = node.output(0)?,
            "DequantizeLinear" if is_quantised && place == 0 => value = node.output(0)?,
            _ => return None,
        }
    }
    None
}

/// The value that carries the same channels behind a node.
fn onward(flow: &Flow<'_>, from: Carried, (at, place): Use, width: Option<u64>) -> Option<Carried> {
    let node = flow.node(at);
    if place != 0 {
        return None;
    }
    let value = node.output(0)?;
    let rank = flow.ranks[from.value];
    let to = |axis| Some(Carried { value, axis, is_quantised: from.is_quantised });
    let axes = || node.wholes("axes").map(<[i64]>::to_vec).or_else(|| flow.wholes(node.input(1)?));
    match node.op.as_str() {
        _ if passes_on(node) => to(from.axis),
        "QuantizeLinear" | "DynamicQuantizeLinear" | "DequantizeLinear" => {
            Some(Carried { value, axis: from.axis, is_quantised: true })
        }
        "Reshape" => {
            let last = super::axes::last_size(flow, node.input(1)?)?;
            let keeps = from.axis == 1 && width.is_some_and(|width| width == last);
            to(1).filter(|_| keeps)
        }
        "Transpose" => {
            let perm: Vec<i64> = match node.wholes("perm") {
                Some(perm) => perm.to_vec(),
                None => (0..i64::try_from(rank?).ok()?).rev().collect(),
            };
            let own = i64::try_from(perm.len().checked_sub(from.axis)?).ok()?;
            let place = perm.iter().position(|&axis| axis == own)?;
            to(perm.len() - place)
        }
        "Unsqueeze" => {
            let (rank, axes) = (rank?, axes()?);
            let made = rank.checked_add(axes.len())?;
            let new: Option<Vec<usize>> = axes.iter().map(|&axis| from_last(axis, Some(made))).collect();
            let mut new = new?;
            order::sort_by_key(&mut new, |&axis| axis);
            // New axes behind the channels move them forward.
            to(new.into_iter().fold(from.axis, |axis, new| if new <= axis { axis + 1 } else { axis }))
        }
        "Squeeze" => {
            let gone: Option<Vec<usize>> = axes()?.iter().map(|&axis| from_last(axis, rank)).collect();
            let gone = gone?;
            let behind = gone.iter().filter(|&&axis| axis < from.axis).count();
            to(from.axis.checked_sub(behind)?).filter(|_| !gone.contains(&from.axis))
        }
        // Some positions of all.
        "Slice" => {
            let axes = flow.wholes(node.input(3)?)?;
            let cut: Option<Vec<usize>> = axes.iter().map(|&axis| from_last(axis, rank)).collect();
            to(from.axis).filter(|_| cut.is_some_and(|cut| !cut.contains(&from.axis)))
        }
        "Gather" => {
            let axis = from_last(node.whole("axis").unwrap_or(0), rank)?;
            // One axis before the channels becomes those of the indices.
            to(from.axis).filter(|_| axis > from.axis)
        }
        _ => None,
    }
}
