//! From PEFT's tensor names to the base's weights.

use crate::checkpoint::Tensor;
use std::collections::HashMap;

/// What an A belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoraPart {
    /// A linear map, or a convolution.
    Linear,
    /// An embedding.
    Embedding,
}

/// What PEFT puts before the module's own path.
const WRAPPER: &str = "base_model.model.";

/// The module of an A, and what it adapts; `None` for every other tensor.
pub(super) fn module(name: &str) -> Option<(&str, LoraPart)> {
    let (module, rest, part) = match name.split_once(".lora_A") {
        Some((module, rest)) => (module, rest, LoraPart::Linear),
        None => {
            let (module, rest) = name.split_once(".lora_embedding_A")?;
            (module, rest, LoraPart::Embedding)
        }
    };
    // `.weight`, `.default.weight`; an embedding's is a parameter: nothing, or `.default`.
    let whole = rest.ends_with(".weight") || part == LoraPart::Embedding;
    whole.then(|| (module.strip_prefix(WRAPPER).unwrap_or(module), part))
}

/// The base's weights by module.
pub(super) struct Base<'a> {
    by_module: HashMap<&'a str, &'a Tensor>,
    /// The same from the end of the module's path, so that wrappers do not matter; `None` where several end so.
    by_end: HashMap<&'a str, Option<&'a Tensor>>,
}

impl<'a> Base<'a> {
    pub(super) fn new(tensors: &'a [Tensor]) -> Self {
        let modules = || {
            let matrices = tensors.iter().filter(|tensor| tensor.shape.len() >= 2);
            matrices.map(|tensor| (tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name), tensor))
        };
        let mut by_end: HashMap<&str, Option<&Tensor>> = HashMap::new();
        for (module, tensor) in modules() {
            for end in ends(module).skip(1) {
                by_end.entry(end).and_modify(|found| *found = None).or_insert(Some(tensor));
            }
        }
        Self { by_module: modules().collect(), by_end }
    }

    /// The weight of a module: of the same path, else of one that ends with it or that it ends with.
    pub(super) fn find(&self, module: &str) -> Option<&'a Tensor> {
        let exact = self.by_module.get(module).copied();
        let longer = || self.by_end.get(module).copied().flatten();
        // A last part alone (`q_proj`) is no path.
        let shorter = || {
            let ends = ends(module).skip(1).filter(|end| end.contains('.'));
            ends.filter_map(|end| self.by_module.get(end).copied()).next()
        };
        exact.or_else(longer).or_else(shorter)
    }
}

/// A path, and what is left of it as its first parts are taken away.
fn ends(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.split_once(['.', '/']).map(|(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::TensorType;

    #[test]
    fn the_module_is_what_stands_between_the_wrapper_and_the_a() {
        for (name, expected) in [
            (
                "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                Some(("model.layers.0.self_attn.q_proj", LoraPart::Linear)),
            ),
            (
                "base_model.model.h.0.attn.c_attn.lora_A.default.weight",
                Some(("h.0.attn.c_attn", LoraPart::Linear)),
            ),
            ("base_model.model.wte.lora_embedding_A", Some(("wte", LoraPart::Embedding))),
            ("base_model.model.h.0.attn.c_attn.lora_B.weight", None),
            ("base_model.model.score.weight", None),
        ] {
            assert_eq!(module(name), expected, "{name}");
        }
    }

    #[test]
    fn wrappers_on_either_side_do_not_matter_and_a_last_part_is_no_path() {
        let tensor = |name: &str| Tensor {
            name: name.to_owned(),
            dtype: TensorType::parse("F32"),
            shape: vec![2, 2],
            shard: 0,
            range: 0..16,
        };
        let tensors =
            ["bert.encoder.layer.0.q.weight", "bert.encoder.layer.1.q.weight", "q.weight"].map(tensor);
        let base = Base::new(&tensors);
        let found = |module: &str| base.find(module).map(|tensor| tensor.name.as_str());
        assert_eq!(found("bert.encoder.layer.1.q"), Some("bert.encoder.layer.1.q.weight"));
        assert_eq!(found("encoder.layer.1.q"), Some("bert.encoder.layer.1.q.weight"));
        assert_eq!(found("model.bert.encoder.layer.0.q"), Some("bert.encoder.layer.0.q.weight"));
        assert_eq!(found("other.layer.7.q"), None);
    }
}
