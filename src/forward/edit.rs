//! Edits of linear maps. A pass applies them to the weights while it loads them.

use super::ForwardError;
use crate::checkpoint::Tensor;
use crate::model::architecture::Linear;
use crate::model::operation::Layout;

/// W ← W + a vᵀ and b ← b + c, for a linear map from k inputs to m outputs in either memory layout.
///
/// Only linear maps of the pass are edited. A tied embedding is edited where it makes logits, not where ids look up its rows. An edit of
/// any other tensor has no effect. If the tensor holds the matrices of several experts, the edit changes each of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Tensor of W.
    pub weight: usize,
    /// a: m values.
    pub rows: Vec<f64>,
    /// v: k values.
    pub columns: Vec<f64>,
    /// c: m values. A map without a bias gets this one. `None` leaves the bias as it is.
    pub bias: Option<Vec<f64>>,
}

impl Edit {
    /// Checks that its sizes are those of the map.
    pub(super) fn check(&self, linear: &Linear, tensor: &Tensor) -> Result<(), ForwardError> {
        let [outputs, inputs] = [linear.outputs, linear.inputs];
        let bias = self.bias.as_ref().map_or(outputs, Vec::len);
        if (self.rows.len(), self.columns.len(), bias) == (outputs, inputs, outputs) {
            return Ok(());
        }
        let found = [self.rows.len(), self.columns.len()];
        Err(ForwardError::Edit { tensor: tensor.name.clone(), found, expected: [outputs, inputs] })
    }

    /// Adds a vᵀ to the values of W from the `first`th on, in memory order. Each sum is rounded once.
    pub(super) fn add(&self, linear: &Linear, first: usize, values: &mut [f32]) {
        let (outer, inner) = match linear.layout {
            Layout::OutputInput => (&self.rows, &self.columns),
            Layout::InputOutput => (&self.columns, &self.rows),
        };
        let (mut at, mut rest) = (first, values);
        while !rest.is_empty() {
            let (line, from) = (at / inner.len(), at % inner.len());
            let (part, after) = rest.split_at_mut(rest.len().min(inner.len() - from));
            for (value, inner) in part.iter_mut().zip(&inner[from..]) {
                *value = (f64::from(*value) + outer[line] * inner) as f32;
            }
            at += part.len();
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_either_layout_get_the_outer_product() {
        let edit = Edit { weight: 0, rows: vec![1.0, 10.0], columns: vec![1.0, 2.0, 3.0], bias: None };
        for (layout, expected) in [
            (Layout::OutputInput, [1.0, 2.0, 3.0, 10.0, 20.0, 30.0]),
            (Layout::InputOutput, [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]),
        ] {
            let linear =
                Linear { weight: 0, first: 0, bias: None, first_bias: 0, inputs: 3, outputs: 2, layout };
            for piece in 1..=6 {
                let mut values = [0.5; 6];
                for (at, part) in values.chunks_mut(piece).enumerate() {
                    edit.add(&linear, at * piece, part);
                }
                assert_eq!(values, expected.map(|value: f32| value + 0.5), "{layout:?}, {piece} at once");
            }
        }
    }
}
