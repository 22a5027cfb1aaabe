//! The blocks of a catalogue: every tensor inside each, by its name there.

use crate::checkpoint::Tensor;
use crate::checkpoint::buffer;
use crate::norm;
use crate::order;

/// A tensor's name inside its block (or its whole name, outside), with numbers as N, so that alike tensors have one name.
pub(super) fn numberless(name: &str) -> String {
    let parts = name.split(['.', '/']).map(|part| {
        let number = part == "#" || !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        // NLLB writes expert_3.
        let expert = part.strip_prefix("expert_").is_some_and(|end| end.parse::<u32>().is_ok());
        match (number, expert) {
            (true, _) => "N",
            (_, true) => "expert_N",
            _ => part,
        }
    });
    parts.collect::<Vec<_>>().join(".")
}

/// One block of a stack.
#[derive(Debug)]
pub(super) struct Block {
    /// Its path (`model.layers.3`).
    pub(super) path: String,
    /// Tensors by their [`numberless`] names, sorted. Experts share a name.
    pub(super) tensors: Vec<(String, Vec<usize>)>,
}

impl Block {
    /// The names that identify a layout: all except those of buffers.
    pub(super) fn names<'a>(&'a self, catalogue: &'a [Tensor]) -> impl Iterator<Item = &'a str> {
        let stored = |index: &usize| {
            let tensor = &catalogue[*index];
            !buffer::is_buffer(&tensor.name, &tensor.shape)
        };
        self.tensors
            .iter()
            .filter(move |(_, indices)| indices.iter().any(stored))
            .map(|(name, _)| name.as_str())
    }

    /// A module's name inside the block, as written.
    pub(super) fn inside<'a>(&self, name: &'a str) -> &'a str {
        name.get(self.path.len() + 1..).unwrap_or_default()
    }

    /// The tensors of a numberless name.
    pub(super) fn at(&self, name: &str) -> &[usize] {
        order::value_of(&self.tensors, name).map_or(&[], Vec::as_slice)
    }
}

/// The blocks, sorted by path, and the tensors outside them. One pass.
pub(super) fn blocks(tensors: &[Tensor]) -> (Vec<(String, Block)>, Vec<usize>) {
    let mut found: Vec<(String, Vec<(String, usize)>)> = Vec::new();
    let mut outside = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        // A parameter without a module of its own, such as gamma_1, is still in the block.
        let inside = match found.last() {
            Some((path, _)) if norm::is_inside(&tensor.name, path) => tensor.name.get(path.len() + 1..),
            _ => None,
        };
        let inside = match inside {
            Some(inside) => inside.to_owned(),
            None => match norm::block_path(&tensor.name) {
                Some((path, inside)) if !inside.is_empty() => {
                    found.push((path, Vec::new()));
                    inside
                }
                _ => {
                    outside.push(index);
                    continue;
                }
            },
        };
        if let Some((_, block)) = found.last_mut() {
            block.push((numberless(&inside), index));
        }
    }
    let blocks = order::groups(found).into_iter().map(|(path, pieces)| {
        let tensors = order::groups(pieces.into_iter().flatten());
        (path.clone(), Block { path, tensors })
    });
    (blocks.collect(), outside)
}
