//! Which axes nodes work on, counted from the last one, which is 1. The number of dimensions of a value follows from what the file
//! states and from the nodes that make it.

use super::Flow;
use crate::checkpoint::onnx::graph::{Node, ValueId};

/// The axes over which a node reduces or normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axes {
    /// One, counted from the last.
    One(usize),
    /// Several.
    Several,
    /// The graph does not show which.
    Unknown,
}

/// An axis of a value of `rank` dimensions, counted from the last.
pub(super) fn from_last(axis: i64, rank: Option<usize>) -> Option<usize> {
    if axis < 0 {
        return usize::try_from(axis.unsigned_abs()).ok();
    }
    rank?.checked_sub(usize::try_from(axis).ok()?).filter(|&axis| axis > 0)
}

/// The axes over which a reduction goes. It must keep them, as axes of size 1.
pub(super) fn reduced(flow: &Flow<'_>, node: &Node) -> Axes {
    if node.whole("keepdims").unwrap_or(1) != 1 {
        return Axes::Unknown;
    }
    let rank = node.input(0).and_then(|value| flow.ranks[value]);
    let stated = node.wholes("axes").map(<[i64]>::to_vec);
    match (stated, node.input(1)) {
        (Some(axes), _) => one_of(&axes, rank),
        (None, Some(axes)) => flow.wholes(axes).map_or(Axes::Unknown, |axes| one_of(&axes, rank)),
        (None, None) if rank == Some(1) => Axes::One(1),
        (None, None) => Axes::Several,
    }
}

/// The axes from `axis` to the last, over which a node normalises.
pub(super) fn normalised(flow: &Flow<'_>, node: &Node) -> Axes {
    let rank = node.input(0).and_then(|value| flow.ranks[value]);
    match from_last(node.whole("axis").unwrap_or(-1), rank) {
        Some(1) => Axes::One(1),
        Some(_) => Axes::Several,
        None => Axes::Unknown,
    }
}

fn one_of(axes: &[i64], rank: Option<usize>) -> Axes {
    match axes {
        [] => Axes::Several,
        [axis] => from_last(*axis, rank).map_or(Axes::Unknown, Axes::One),
        _ => Axes::Several,
    }
}

/// A shape after `Reshape` to `sizes`, in which 0 keeps a size and −1 takes what is left.
pub(super) fn reshaped(shape: &[u64], sizes: &[i64]) -> Option<Vec<u64>> {
    let all = shape.iter().try_fold(1u64, |all, &size| all.checked_mul(size))?;
    let mut made = Vec::with_capacity(sizes.len());
    for (at, &size) in sizes.iter().enumerate() {
        made.push(match size {
            0 => *shape.get(at)?,
            -1 => 0,
            size => u64::try_from(size).ok()?,
        });
    }
    let known = made.iter().filter(|size| **size > 0).try_fold(1u64, |all, &size| all.checked_mul(size))?;
    if let Some(open) = made.iter_mut().find(|size| **size == 0) {
        *open = all.checked_div(known)?;
    }
    let whole = made.iter().try_fold(1u64, |all, &size| all.checked_mul(size))?;
    (whole == all).then_some(made)
}

/// A shape with dimensions of size 1 at `axes` of the result.
pub(super) fn unsqueezed(shape: &[u64], axes: &[i64]) -> Option<Vec<u64>> {
    let rank = shape.len().checked_add(axes.len())?;
    let mut is_new = vec![false; rank];
    for &axis in axes {
        let from_last = from_last(axis, Some(rank))?;
        *is_new.get_mut(rank.checked_sub(from_last)?)? = true;
    }
    let mut old = shape.iter();
    let made: Option<Vec<u64>> =
        is_new.into_iter().map(|new| if new { Some(1) } else { old.next().copied() }).collect();
    made.filter(|_| old.next().is_none())
}

/// The number of dimensions of every value, as far as it is known.
pub(super) fn ranks(flow: &Flow<'_>) -> Vec<Option<usize>> {
    let graph = flow.graph;
    let stated = graph.values.iter().map(|value| {
        let stored = value.constant.as_ref().map(|constant| constant.shape.len());
        stored.or_else(|| value.shape.as_ref().map(Vec::len))
    });
    let mut ranks: Vec<Option<usize>> = stated.collect();
    for node in &graph.nodes {
        let Some(output) = node.output(0).filter(|&output| ranks[output].is_none()) else { continue };
        ranks[output] = rank(flow, node, &ranks);
    }
    ranks
}

/// Operators that keep the shape of their first input.
const KEEPING: [&str; 33] = [
    "Identity",
    "Cast",
    "CastLike",
    "Dropout",
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Erf",
    "Gelu",
    "FastGelu",
    "QuickGelu",
    "Sqrt",
    "Reciprocal",
    "Exp",
    "Log",
    "Neg",
    "Abs",
    "Clip",
    "Softmax",
    "LogSoftmax",
    "LayerNormalization",
    "SimplifiedLayerNormalization",
    "RMSNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "BatchNormalization",
    "Slice",
    "Concat",
    "Softplus",
    "Swish",
];

/// Operators whose result has as many dimensions as the input with the most.
const SPREADING: [&str; 7] = ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"];

/// Reductions that keep their axes unless they say otherwise.
const REDUCING: [&str; 5] = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceSumSquare", "ReduceL2"];

fn rank(flow: &Flow<'_>, node: &Node, ranks: &[Option<usize>]) -> Option<usize> {
    let of = |place: usize| node.input(place).and_then(|value| ranks[value]);
    let op = node.op.as_str();
    if KEEPING.contains(&op) || REDUCING.contains(&op) && node.whole("keepdims").unwrap_or(1) == 1 {
        return of(0);
    }
    if SPREADING.contains(&op) {
        return (0..node.inputs.len()).map(of).try_fold(0, |most, rank| Some(rank?.max(most)));
    }
    let axes = || {
        node.wholes("axes").map(<[i64]>::len).or_else(|| flow.wholes(node.input(1)?).map(|axes| axes.len()))
    };
    match op {
        "MatMul" | "MatMulInteger" | "FusedMatMul" => {
            let (a, b) = (of(0)?, of(1)?);
            (a >= 2 && b >= 2).then(|| a.max(b))
        }
        "MatMulNBits" => of(0),
        "Gemm" | "Flatten" => Some(2),
        "Transpose" => node.wholes("perm").map(<[i64]>::len).or_else(|| of(0)),
        "Conv" | "ConvTranspose" => of(1),
        "MaxPool" | "AveragePool" | "GlobalAveragePool" | "Resize" => of(0),
        "Reshape" => length(flow, node.input(1)?),
        "Unsqueeze" => of(0)?.checked_add(axes()?),
        "Squeeze" => of(0)?.checked_sub(axes()?),
        "Gather" => of(0)?.checked_add(of(1)?)?.checked_sub(1),
        "Shape" => Some(1),
        _ => None,
    }
}

/// The length of a list that a node makes: the target of a `Reshape`.
fn length(flow: &Flow<'_>, list: ValueId) -> Option<usize> {
    let of_part = |part: ValueId| {
        let value = &flow.graph.values[flow.plain(part)];
        let stored = value.constant.as_ref().and_then(|constant| constant.shape.first().copied());
        let stated = || value.shape.as_deref().and_then(|shape| *shape.first()?);
        // A single number as a list of one.
        let single = || flow.made_by(part, &["Unsqueeze"]).map(|_| 1);
        usize::try_from(stored.or_else(stated).or_else(single)?).ok()
    };
    let of_parts = |node: &Node| {
        node.inputs.iter().flatten().try_fold(0usize, |sum, &part| sum.checked_add(of_part(part)?))
    };
    of_part(list).or_else(|| flow.made_by(list, &["Concat"]).and_then(of_parts))
}

/// The last size of a list that a node makes: the last dimension after a `Reshape`.
pub(super) fn last_size(flow: &Flow<'_>, list: ValueId) -> Option<u64> {
    let mut list = flow.plain(list);
    for _ in 0..super::MOST_STEPS {
        if let Some(sizes) = flow.wholes(list) {
            return sizes.last().and_then(|&size| u64::try_from(size).ok()).filter(|&size| size > 0);
        }
        let node = flow.made_by(list, &["Concat"])?;
        list = flow.plain(node.inputs.last().copied().flatten()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_what_nodes_do_to_them() {
        assert_eq!(reshaped(&[8], &[1, -1, 1]), Some(vec![1, 8, 1]));
        assert_eq!(reshaped(&[8, 2], &[0, 2]), Some(vec![8, 2]));
        assert_eq!(reshaped(&[8], &[3, -1]), None);
        assert_eq!(unsqueezed(&[8], &[1, 2]), Some(vec![8, 1, 1]));
        assert_eq!(unsqueezed(&[8], &[-1, 0]), Some(vec![1, 8, 1]));
        assert_eq!(unsqueezed(&[8], &[5]), None);
    }

    #[test]
    fn axes_are_counted_from_the_last() {
        assert_eq!(from_last(-1, None), Some(1));
        assert_eq!(from_last(1, Some(4)), Some(3));
        assert_eq!(from_last(1, None), None);
        assert_eq!(from_last(4, Some(4)), None);
    }
}
