//! What the blocks of a stack are made of, as far as it shows the kind of their norms.

use super::maps;
use super::names::{self, Path};
use crate::checkpoint::Tensor;
use crate::order;

/// The make of a stack of blocks, from names and shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Build {
    /// A feed-forward part with a gate: two maps of one shape and one back, or one called gate_up.
    pub gated: bool,
    /// A state-space mixer, by its decay `A_log`.
    pub state_space: bool,
    /// T5's table of relative positions.
    pub relative_positions: bool,
    /// Linear maps with biases.
    pub biased: bool,
    /// MobileBERT's bottlenecks.
    pub bottleneck: bool,
    /// Attention, by the names of its projections.
    pub attention: bool,
    /// It has matrices.
    matrices: bool,
    /// It has convolution kernels.
    kernels: bool,
    /// Some of them mix channels and positions.
    dense: bool,
}

impl Build {
    /// Whether it has matrices.
    pub fn has_matrices(self) -> bool {
        self.matrices
    }

    /// Whether it has convolutions that mix channels and positions.
    pub fn has_dense_kernels(self) -> bool {
        self.dense
    }

    /// Whether it has convolution kernels.
    pub fn has_kernels(self) -> bool {
        self.kernels
    }
}

/// Looks at every stack of the catalogue, which is sorted by name. One pass; the stacks are sorted too.
pub(super) fn stacks(tensors: &[Tensor]) -> Vec<(String, Build)> {
    let mut builds: Vec<(String, Build)> = Vec::new();
    let mut siblings = Siblings::default();
    // The block of the previous tensor, and its stack.
    let mut last: (String, String) = Default::default();
    let unlike = tensors.iter().enumerate().filter(|(_, tensor)| !names::is_another_expert(&tensor.name));
    for (index, tensor) in unlike {
        let (module, part) = tensor.name.rsplit_once(['.', '/']).unwrap_or(("", &tensor.name));
        if !names::is_inside(module, &last.0) {
            let path = Path::new(module);
            let Some(block) = path.block_path() else {
                last = Default::default();
                continue;
            };
            last = (block, path.stack());
        }
        let inside = &module[last.0.len().min(module.len())..];
        let spelled = inside.rsplit('.').next().unwrap_or_default();
        let build = order::entry(&mut builds, &last.1);
        build.state_space |= matches!(part, "A_log" | "ssm_a") || spelled == "ssm_a";
        build.relative_positions |= matches!(spelled, "relative_attention_bias" | "attn_rel_b");
        build.bottleneck |= inside.split('.').any(|part| part == "bottleneck");
        if !build.gated && tensor.shape.len() > 1 {
            build.gated = inside
                .split('.')
                .chain(std::iter::once(part))
                .any(|part| names_a_gate(&names::compact(part)));
        }
        let matrix = tensor.shape.len() == 2 && !tensor.shape.contains(&1);
        if !build.attention && (matrix || tensor.shape.len() > 2) {
            let mut parts = inside.split('.').chain(std::iter::once(part));
            build.attention = parts.any(|part| maps::is_attention(&names::compact(part)));
        }
        build.matrices |= matrix;
        build.dense |= maps::is_dense(&tensor.shape);
        build.kernels |= tensor.shape.len() >= 4 || (tensor.shape.len() == 3 && spelled.contains("conv"));
        if matrix && !build.biased {
            // In sorted order, a map's bias comes right before its weight.
            let before = index.checked_sub(1).map(|before| tensors[before].name.as_str());
            build.biased =
                before.and_then(|name| name.strip_suffix("bias")) == Some(&tensor.name[..=module.len()]);
        }
        if !build.gated {
            let parent = module.rsplit_once(['.', '/']).map_or("", |(parent, _)| parent);
            build.gated = siblings.add(parent, &tensor.shape);
        }
    }
    builds
}

/// What the gate of a feed-forward part is called; a router is called just gate.
fn names_a_gate(part: &str) -> bool {
    ["gateproj", "gateup", "upgate", "ffngate"].iter().any(|name| part.contains(name))
}

/// Maps under one parent, which are together in a sorted catalogue.
#[derive(Default)]
struct Siblings {
    parent: String,
    /// (rows, columns) of each.
    shapes: Vec<(u64, u64)>,
}

impl Siblings {
    /// Adds a tensor. Returns whether its parent now holds a gated feed-forward part: gate and up f × d, down d × f.
    fn add(&mut self, parent: &str, shape: &[u64]) -> bool {
        if parent != self.parent {
            parent.clone_into(&mut self.parent);
            self.shapes.clear();
        }
        // A leading dimension counts experts.
        let [.., rows, columns] = *shape else { return false };
        if shape.len() > 3 || rows == columns || rows == 1 || columns == 1 {
            return false;
        }
        self.shapes.push((rows, columns));
        let count = |shape| self.shapes.iter().filter(|&&other| other == shape).count();
        let (same, back) = (count((rows, columns)), count((columns, rows)));
        (same, back) == (2, 1) || (same, back) == (1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::TensorType;

    fn build(tensors: &[(&str, &[u64])]) -> Build {
        let tensors: Vec<Tensor> = tensors
            .iter()
            .map(|&(name, shape)| Tensor {
                name: name.to_owned(),
                dtype: TensorType::parse("F32"),
                shape: shape.to_vec(),
                shard: 0,
                range: 0..0,
                strides: None,
            })
            .collect();
        stacks(&tensors)[0].1
    }

    #[test]
    fn gate_up_and_down_are_a_gate_under_any_name() {
        assert!(
            build(&[
                ("layers.0.ff.down.weight", &[8, 32]),
                ("layers.0.ff.one.weight", &[32, 8]),
                ("layers.0.ff.two.weight", &[32, 8]),
            ])
            .gated
        );
        assert!(build(&[("layers.0.mlp.gate_up_proj.weight", &[64, 8])]).gated);
    }

    #[test]
    fn grouped_attention_and_a_plain_feed_forward_part_are_none() {
        let build = build(&[
            ("layers.0.attn.k.weight", &[4, 8]),
            ("layers.0.attn.o.weight", &[8, 16]),
            ("layers.0.attn.q.weight", &[16, 8]),
            ("layers.0.attn.v.weight", &[4, 8]),
            ("layers.0.ff.fc1.bias", &[32]),
            ("layers.0.ff.fc1.weight", &[32, 8]),
            ("layers.0.ff.fc2.weight", &[8, 32]),
        ]);
        assert!(!build.gated && build.biased && build.attention && !build.has_kernels());
    }
}
