//! What the graph of an ONNX file says about norms and what reads them. The graph states what the network computes, so this outranks
//! names and shapes.
//!
//! Exports lose names and split norms into their steps. So nothing here depends on names: [`sites`] finds operators that normalise and
//! the steps that norms are split into (`norms.rs`), and follows what they give along the edges to linear maps (`readers.rs`). What is
//! not recognised has no kind.

mod axes;
mod norms;
mod readers;
mod sites;
#[cfg(test)]
mod tests;

pub use sites::sites;

use crate::checkpoint::Tensor;
use crate::checkpoint::onnx::graph::{Constant, Graph, Node, ValueId};
use std::collections::HashMap;

/// Most steps along edges that change nothing, and most steps of one norm. A damaged graph may go in circles.
const MOST_STEPS: usize = 32;

/// A place where a value is read: a node and which of its inputs.
type Use = (usize, usize);

/// A graph, with what makes and what reads each value.
struct Flow<'a> {
    graph: &'a Graph,
    /// The node that makes each value.
    makers: Vec<Option<usize>>,
    uses: Vec<Vec<Use>>,
    /// Number of dimensions of each value, if it is known.
    ranks: Vec<Option<usize>>,
    /// The catalogue's tensors by their names in the file.
    tensors: HashMap<&'a str, usize>,
    /// The value that each tensor is.
    values: HashMap<usize, ValueId>,
    catalogue: &'a [Tensor],
}

/// A stored vector as a node reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Vector {
    /// Its place in the catalogue.
    tensor: usize,
    width: u64,
    /// The axis along which it lies, counted from the last, which is 1.
    axis: usize,
}

impl<'a> Flow<'a> {
    /// Indexes a graph. The names of its tensors have `prefix` before them in the catalogue.
    fn new(graph: &'a Graph, catalogue: &'a [Tensor], prefix: &str) -> Self {
        let count = graph.values.len();
        let (mut makers, mut uses) = (vec![None; count], vec![Vec::new(); count]);
        for (at, node) in graph.nodes.iter().enumerate() {
            for value in node.outputs.iter().flatten() {
                makers[*value] = Some(at);
            }
            for (place, value) in node.inputs.iter().enumerate() {
                if let Some(value) = value {
                    uses[*value].push((at, place));
                }
            }
        }
        let named = catalogue.iter().enumerate();
        let tensors: HashMap<&str, usize> =
            named.filter_map(|(index, tensor)| Some((tensor.name.strip_prefix(prefix)?, index))).collect();
        let stored = graph.values.iter().enumerate().filter_map(|(value, known)| {
            Some((*tensors.get(known.constant.as_ref()?.tensor.as_deref()?)?, value))
        });
        let values = stored.collect();
        let mut flow = Self { graph, makers, uses, ranks: Vec::new(), tensors, values, catalogue };
        flow.ranks = axes::ranks(&flow);
        flow
    }

    fn node(&self, at: usize) -> &'a Node {
        &self.graph.nodes[at]
    }

    /// The node that makes a value.
    fn maker(&self, value: ValueId) -> Option<&'a Node> {
        self.makers[value].map(|at| self.node(at))
    }

    /// A value without the nodes that only pass it on.
    fn plain(&self, mut value: ValueId) -> ValueId {
        for _ in 0..MOST_STEPS {
            match self.maker(value) {
                Some(node) if passes_on(node) && node.output(0) == Some(value) => match node.input(0) {
                    Some(input) => value = input,
                    None => break,
                },
                _ => break,
            }
        }
        value
    }

    /// The node that makes a value, if it is one of these operators.
    fn made_by(&self, value: ValueId, ops: &[&str]) -> Option<&'a Node> {
        let value = self.plain(value);
        let node = self.maker(value)?;
        (ops.contains(&node.op.as_str()) && node.output(0) == Some(value)).then_some(node)
    }

    /// What reads a value, behind nodes that only pass it on.
    fn readers_of(&self, value: ValueId) -> Vec<Use> {
        let mut found = Vec::new();
        let mut seen = vec![value];
        let mut at = 0;
        while let Some(&value) = seen.get(at) {
            at += 1;
            for &(node, place) in &self.uses[value] {
                match self.node(node).output(0).filter(|_| passes_on(self.node(node)) && place == 0) {
                    Some(output) if !seen.contains(&output) && seen.len() < MOST_STEPS => seen.push(output),
                    Some(_) => {}
                    None => found.push((node, place)),
                }
            }
        }
        found
    }

    /// Whether a value, or what passes it on, is a result of the network.
    fn is_output(&self, value: ValueId) -> bool {
        let passed = |&(node, _): &Use| self.node(node).output(0).filter(|_| passes_on(self.node(node)));
        let is_output = |value: ValueId| self.graph.values[value].is_output;
        is_output(value) || self.uses[value].iter().filter_map(passed).any(is_output)
    }

    fn constant(&self, value: ValueId) -> Option<&'a Constant> {
        self.graph.values[self.plain(value)].constant.as_ref()
    }

    /// The only number of a stored value.
    fn number(&self, value: ValueId) -> Option<f64> {
        match self.constant(value)?.numbers.as_deref() {
            Some(&[number]) => Some(number),
            _ => None,
        }
    }

    /// The numbers of a short stored list.
    fn wholes(&self, value: ValueId) -> Option<Vec<i64>> {
        let numbers = self.constant(value)?.numbers.as_ref()?;
        Some(numbers.iter().map(|&number| number as i64).collect())
    }

    /// The tensor of the catalogue that a stored value is.
    fn tensor(&self, value: ValueId) -> Option<usize> {
        let name = self.constant(value)?.tensor.as_deref()?;
        self.tensors.get(name).copied()
    }

    /// The value that a tensor of the catalogue is.
    fn value_of(&self, tensor: usize) -> Option<ValueId> {
        self.values.get(&tensor).copied()
    }

    /// A stored vector, also one that nodes have given more dimensions of size 1.
    fn vector(&self, value: ValueId) -> Option<Vector> {
        let (tensor, shape) = self.stored(value, MOST_STEPS)?;
        let mut wide = shape.iter().rev().enumerate().filter(|(_, size)| **size != 1);
        let (from_last, &width) = wide.next()?;
        let alone = wide.next().is_none() && width > 1;
        alone.then_some(Vector { tensor, width, axis: from_last + 1 })
    }

    /// A tensor of the catalogue and the shape in which a node reads it.
    fn stored(&self, value: ValueId, steps: usize) -> Option<(usize, Vec<u64>)> {
        if let Some(tensor) = self.tensor(value) {
            return Some((tensor, self.constant(value)?.shape.clone()));
        }
        let node = self.made_by(value, &["Reshape", "Unsqueeze"])?;
        let (tensor, shape) = self.stored(node.input(0)?, steps.checked_sub(1)?)?;
        let sizes = node.wholes("axes").map(<[i64]>::to_vec).or_else(|| self.wholes(node.input(1)?))?;
        let shape = match node.op.as_str() {
            "Reshape" => axes::reshaped(&shape, &sizes),
            _ => axes::unsqueezed(&shape, &sizes),
        };
        Some((tensor, shape?))
    }

    /// Whether a value is computed from stored values alone.
    fn is_fixed(&self, value: ValueId, steps: usize) -> bool {
        let value = self.plain(value);
        if self.graph.values[value].constant.is_some() {
            return true;
        }
        let Some((node, steps)) = self.maker(value).zip(steps.checked_sub(1)) else { return false };
        let mut inputs = node.inputs.iter().flatten().take(MOST_INPUTS).peekable();
        inputs.peek().is_some() && inputs.all(|&input| self.is_fixed(input, steps))
    }
}

/// Inputs of a node that are looked at, and steps back from it, to see whether it is computed from stored values.
const MOST_INPUTS: usize = 6;
const FIXED_STEPS: usize = 4;

/// Whether a node passes its first input on as it is, up to its precision. A `Dropout` that may be training does not.
fn passes_on(node: &Node) -> bool {
    match node.op.as_str() {
        "Identity" | "Cast" | "CastLike" => true,
        "Dropout" => node.input(2).is_none(),
        _ => false,
    }
}
