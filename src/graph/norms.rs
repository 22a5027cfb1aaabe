//! Nodes that normalise: operators, and the steps that exporters split norms into.
//!
//! What is divided by its root mean square over an axis is an RMSNorm. If what is divided is a value minus its mean over that axis,
//! it is a LayerNorm. A scale may follow, or be part of the divisor; it may also be folded into what follows.

use super::axes::{self, Axes};
use super::{FIXED_STEPS, Flow, MOST_STEPS, Vector};
use crate::checkpoint::onnx::graph::ValueId;
use crate::norm::behaviour::Behaviour;

/// One use of a norm in the graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Norm {
    /// What it does. `None` if the graph does not show it.
    pub(super) behaviour: Option<Behaviour>,
    pub(super) scale: Scale,
    pub(super) shift: Option<Vector>,
    /// What it gives.
    pub(super) output: ValueId,
    /// The axis that it normalises, counted from the last.
    pub(super) axis: usize,
    /// The node that divides.
    pub(super) node: usize,
    /// Whether it is split into steps.
    pub(super) split: bool,
}

/// What a norm multiplies by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// γ is stored.
    Stored(Vector),
    /// γ is 1 + what is stored.
    PlusOne(Vector),
    /// Nothing: γ = 1.
    None,
    /// Something that is computed from stored values in a way that is not followed.
    Unreadable,
}

impl Scale {
    pub(super) fn vector(self) -> Option<Vector> {
        match self {
            Self::Stored(vector) | Self::PlusOne(vector) => Some(vector),
            Self::None | Self::Unreadable => None,
        }
    }
}

/// Every norm of a graph, in the order of its nodes.
pub(super) fn find(flow: &Flow<'_>) -> Vec<Norm> {
    let of = |at: usize| operator(flow, at).or_else(|| split(flow, at));
    (0..flow.graph.nodes.len()).filter_map(of).collect()
}

/// Operators that normalise, with the places of their scale and shift among their inputs.
const OPERATORS: [(&str, Behaviour, usize, Option<usize>); 13] = {
    use Behaviour::{LayerNorm, RmsNorm, Spanning};
    [
        ("LayerNormalization", LayerNorm, 1, Some(2)),
        ("SimplifiedLayerNormalization", RmsNorm, 1, None),
        ("RMSNormalization", RmsNorm, 1, None),
        ("SkipLayerNormalization", LayerNorm, 2, Some(3)),
        ("SkipSimplifiedLayerNormalization", RmsNorm, 2, None),
        ("EmbedLayerNormalization", LayerNorm, 5, Some(6)),
        ("GroupNormalization", Spanning, 1, Some(2)),
        ("GroupNorm", Spanning, 1, Some(2)),
        ("SkipGroupNorm", Spanning, 1, Some(2)),
        ("InstanceNormalization", Spanning, 1, Some(2)),
        ("BatchNormalization", Spanning, 1, Some(2)),
        ("SpatialBatchNormalization", Spanning, 1, Some(2)),
        ("MeanVarianceNormalization", Spanning, 1, None),
    ]
};

fn operator(flow: &Flow<'_>, at: usize) -> Option<Norm> {
    let node = flow.node(at);
    let (_, behaviour, scale, shift) = OPERATORS.iter().find(|(op, ..)| *op == node.op)?;
    let output = node.output(0)?;
    if *behaviour == Behaviour::Spanning {
        return spanning(flow, at, *scale, *shift, output);
    }
    let scale = match node.input(*scale) {
        Some(value) => of_scale(flow, value).unwrap_or(Scale::Unreadable),
        None => Scale::None,
    };
    let shift = shift.and_then(|place| flow.vector(node.input(place)?));
    let axes = axes::normalised(flow, node);
    let behaviour = judged(*behaviour, axes, scale);
    Some(Norm { behaviour, scale, shift, output, axis: 1, node: at, split: false })
}

/// A norm over positions, groups or the batch. In a `GroupNorm` that was split, the scale follows an `InstanceNormalization`.
fn spanning(flow: &Flow<'_>, at: usize, scale: usize, shift: Option<usize>, output: ValueId) -> Option<Norm> {
    let node = flow.node(at);
    let behaviour = Some(Behaviour::Spanning);
    let behind = flow.readers_of(output).into_iter().map(|(next, _)| flow.node(next));
    let reshaped = behind.filter(|next| next.op == "Reshape").find_map(|next| scaled(flow, next.output(0)?));
    if let Some((scale, shift, output)) = reshaped.filter(|(scale, ..)| scale.vector().is_some()) {
        return Some(Norm { behaviour, scale, shift, output, axis: 1, node: at, split: true });
    }
    let scale = Scale::Stored(flow.vector(node.input(scale)?)?);
    let shift = shift.and_then(|place| flow.vector(node.input(place)?));
    Some(Norm { behaviour, scale, shift, output, axis: 1, node: at, split: false })
}

/// What a node does that normalises `axes`: over other axes than that of its scale, it is another norm.
fn judged(does: Behaviour, axes: Axes, scale: Scale) -> Option<Behaviour> {
    match (axes, scale.vector()) {
        (Axes::One(axis), Some(vector)) if axis == vector.axis => Some(does),
        (Axes::One(1), None) => Some(does),
        (Axes::One(_) | Axes::Several, _) => Some(Behaviour::Spanning),
        (Axes::Unknown, _) => None,
    }
}

/// A norm whose division, or multiplication by an inverse, is this node.
fn split(flow: &Flow<'_>, at: usize) -> Option<Norm> {
    let node = flow.node(at);
    let (a, b) = (node.input(0)?, node.input(1)?);
    let output = node.output(0)?;
    let pairs = match node.op.as_str() {
        "Div" => vec![(a, b, false)],
        "Mul" => vec![(a, b, true), (b, a, true)],
        _ => return None,
    };
    let (divided, inner) = pairs.into_iter().find_map(|(value, by, inverse)| {
        let divided = divided(flow, value, by, inverse).map(|divided| (divided, None));
        divided.or_else(|| {
            // The scale is part of the factor: x · (γ / s).
            let factor = flow.made_by(by, &["Mul"]).filter(|_| inverse)?;
            let (c, d) = (factor.input(0)?, factor.input(1)?);
            [(c, d), (d, c)].into_iter().find_map(|(scale, by)| {
                let scale = of_scale(flow, scale)?;
                Some((self::divided(flow, value, by, true)?, Some(scale)))
            })
        })
    })?;
    let (scale, shift, output) = match inner {
        Some(scale) => {
            let (shift, output) = shifted(flow, output);
            (scale, shift, output)
        }
        None => scaled(flow, output)?,
    };
    let does = if divided.subtracts { Behaviour::LayerNorm } else { Behaviour::RmsNorm };
    let axis = match divided.axes {
        Axes::One(axis) => axis,
        Axes::Several | Axes::Unknown => 1,
    };
    // Keras' form subtracts the mean at the end: x · m + (β − mean · m).
    let (shift, output) = match divided.mean_follows {
        true => keras(flow, at, divided.axes)?,
        false => (shift, output),
    };
    let behaviour = judged(does, divided.axes, scale);
    Some(Norm { behaviour, scale, shift, output, axis, node: at, split: true })
}

/// What a division shows.
struct Divided {
    subtracts: bool,
    axes: Axes,
    /// Whether the divisor is of the value minus its mean, and the value itself is divided.
    mean_follows: bool,
}

/// Whether `value` is divided by its root mean square, or multiplied by the inverse of it.
fn divided(flow: &Flow<'_>, value: ValueId, by: ValueId, inverse: bool) -> Option<Divided> {
    let (of, axes) = root_mean_square(flow, by, inverse)?;
    match (centred(flow, value), centred(flow, of)) {
        (Some((x, over)), Some((y, same))) => (x == y && over == axes && same == axes).then_some(Divided {
            subtracts: true,
            axes,
            mean_follows: false,
        }),
        (None, Some((y, over))) => (flow.plain(value) == y && over == axes).then_some(Divided {
            subtracts: true,
            axes,
            mean_follows: true,
        }),
        (None, None) => (flow.plain(value) == flow.plain(of) && !may_be_centred(flow, value))
            .then_some(Divided { subtracts: false, axes, mean_follows: false }),
        (Some(_), None) => None,
    }
}

/// If a value is x − mean(x): x, and the axes of the mean.
fn centred(flow: &Flow<'_>, value: ValueId) -> Option<(ValueId, Axes)> {
    let node = flow.made_by(value, &["Sub"])?;
    let x = flow.plain(node.input(0)?);
    mean_of(flow, node.input(1)?, x).map(|axes| (x, axes))
}

/// Whether something that is not stored is subtracted from another value: perhaps a mean in steps that are not known.
fn may_be_centred(flow: &Flow<'_>, value: ValueId) -> bool {
    let Some(node) = flow.made_by(value, &["Sub", "Add"]) else { return false };
    let inputs = [node.input(0), node.input(1)];
    let is_below_zero = |value: &ValueId| flow.number(*value).is_some_and(|number| number < 0.0);
    let is_negative = |value: &ValueId| match flow.made_by(*value, &["Neg", "Mul"]) {
        Some(node) => node.op == "Neg" || node.inputs.iter().flatten().any(is_below_zero),
        None => false,
    };
    match node.op.as_str() {
        "Sub" => inputs[1].is_some_and(|value| flow.constant(value).is_none()),
        _ => inputs.iter().flatten().any(is_negative),
    }
}

/// The axes over which `value` is the mean of `x`.
fn mean_of(flow: &Flow<'_>, value: ValueId, x: ValueId) -> Option<Axes> {
    let mean = flow.made_by(value, &["ReduceMean"])?;
    (flow.plain(mean.input(0)?) == x).then(|| axes::reduced(flow, mean))
}

/// If `value` is a root mean square, up to an ε and stored factors, or its inverse: what it is of, and over which axes.
fn root_mean_square(flow: &Flow<'_>, value: ValueId, inverse: bool) -> Option<(ValueId, Axes)> {
    let (mut value, mut inverted, mut rooted) = (value, false, false);
    for _ in 0..MOST_STEPS {
        value = flow.plain(value);
        let node = flow.maker(value).filter(|node| node.output(0) == Some(value))?;
        let first = node.input(0)?;
        let other = node.input(1);
        match node.op.as_str() {
            "Sqrt" if !rooted => (rooted, value) = (true, first),
            "Reciprocal" => (inverted, value) = (!inverted, first),
            "Pow" => {
                match flow.number(other?)? {
                    0.5 if !rooted => rooted = true,
                    -0.5 if !rooted => (rooted, inverted) = (true, !inverted),
                    -1.0 => inverted = !inverted,
                    _ => return None,
                }
                value = first;
            }
            "Clip" => value = first,
            "Add" | "Max" | "Mul" => {
                let other = other?;
                value = match (flow.number(first), flow.number(other)) {
                    (None, Some(_)) => first,
                    (Some(_), None) => other,
                    _ => return None,
                };
            }
            "Div" => {
                let other = other?;
                match (flow.number(first), flow.number(other)) {
                    (None, Some(_)) => value = first,
                    (Some(_), None) => (inverted, value) = (!inverted, other),
                    _ => return None,
                }
            }
            "ReduceMean" | "ReduceSum" if rooted && inverted == inverse => {
                return Some((squared(flow, first)?, axes::reduced(flow, node)));
            }
            "ReduceSumSquare" if rooted && inverted == inverse => {
                return Some((flow.plain(first), axes::reduced(flow, node)));
            }
            _ => return None,
        }
    }
    None
}

/// If `value` is a square: what it is the square of.
fn squared(flow: &Flow<'_>, value: ValueId) -> Option<ValueId> {
    let node = flow.made_by(value, &["Pow", "Mul"])?;
    let (first, other) = (flow.plain(node.input(0)?), node.input(1)?);
    let is_square = match node.op.as_str() {
        "Pow" => flow.number(other) == Some(2.0),
        _ => flow.plain(other) == first,
    };
    is_square.then_some(first)
}

/// The scale that a value is, if it is a stored vector or 1 plus one.
fn of_scale(flow: &Flow<'_>, value: ValueId) -> Option<Scale> {
    if let Some(vector) = flow.vector(value) {
        return Some(Scale::Stored(vector));
    }
    let node = flow.made_by(value, &["Add"])?;
    let (a, b) = (node.input(0)?, node.input(1)?);
    [(a, b), (b, a)].into_iter().find_map(|(vector, one)| {
        let vector = flow.vector(vector).filter(|_| flow.number(one) == Some(1.0))?;
        Some(Scale::PlusOne(vector))
    })
}

/// The scale and the shift behind a normalised value, and what they give. `None` if several scales follow.
fn scaled(flow: &Flow<'_>, normalised: ValueId) -> Option<(Scale, Option<Vector>, ValueId)> {
    let readers = flow.readers_of(normalised);
    let mut scales = readers.iter().filter_map(|&(at, place)| {
        let node = flow.node(at);
        let other = node.input(1 - place.min(1)).filter(|_| node.op == "Mul" && place < 2)?;
        match of_scale(flow, other) {
            Some(scale) => Some((scale, node.output(0)?)),
            None if flow.is_fixed(other, FIXED_STEPS) => Some((Scale::Unreadable, node.output(0)?)),
            None => None,
        }
    });
    let Some((scale, output)) = scales.next() else {
        let (shift, output) = shifted(flow, normalised);
        return Some((Scale::None, shift, output));
    };
    if scales.next().is_some() {
        return None;
    }
    let (shift, output) = shifted(flow, output);
    Some((scale, shift, output))
}

/// The shift that is added to a value, if nothing else reads the value, and the result.
fn shifted(flow: &Flow<'_>, value: ValueId) -> (Option<Vector>, ValueId) {
    let added = || {
        let &[(at, place)] = &flow.readers_of(value)[..] else { return None };
        let node = flow.node(at);
        let other = node.input(1 - place.min(1)).filter(|_| node.op == "Add" && place < 2)?;
        Some((flow.vector(other)?, node.output(0)?))
    };
    match added().filter(|_| !flow.is_output(value)) {
        Some((shift, output)) => (Some(shift), output),
        None => (None, value),
    }
}

/// The shift and the result of Keras' form, x · m + (β − mean(x) · m), whose first product is node `at`.
fn keras(flow: &Flow<'_>, at: usize, axes: Axes) -> Option<(Option<Vector>, ValueId)> {
    let node = flow.node(at);
    let (a, b) = (flow.plain(node.input(0)?), flow.plain(node.input(1)?));
    let &[(sum, place)] = &flow.readers_of(node.output(0)?)[..] else { return None };
    let (sum, rest) = (flow.node(sum), flow.node(sum).input(1 - place.min(1))?);
    // mean(x) · m, with the x and the m of the first product.
    let is_mean_product = |value: ValueId| {
        let Some(product) = flow.made_by(value, &["Mul"]) else { return false };
        let (Some(c), Some(d)) = (product.input(0), product.input(1)) else { return false };
        let fits = |mean: ValueId, factor: ValueId| {
            let factor = flow.plain(factor);
            (factor == b && mean_of(flow, mean, a) == Some(axes))
                || (factor == a && mean_of(flow, mean, b) == Some(axes))
        };
        fits(c, d) || fits(d, c)
    };
    match sum.op.as_str() {
        "Add" => {
            let rest = flow.made_by(rest, &["Sub"])?;
            let shift = flow.vector(rest.input(0)?)?;
            is_mean_product(rest.input(1)?).then_some((Some(shift), sum.output(0)?))
        }
        "Sub" if place == 0 => {
            let (shift, output) = shifted(flow, sum.output(0)?);
            is_mean_product(rest).then_some((shift, output))
        }
        _ => None,
    }
}
