//! Norms that store nothing: they neither scale nor shift (γ = 1), and no tensor shows them. This file knows which families have
//! them, and where. Whether they subtract the mean is in the registry, as for any other family.

use super::names::{Path, split_last};
use crate::checkpoint::config::Scope;
use crate::checkpoint::{MAX_VALUES, Tensor};
use crate::order;

/// A norm module without parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameterless {
    /// Module path, as the family's code has it.
    pub name: String,
    /// Number of channels, d.
    pub width: u64,
}

/// Where a family has them.
struct Family {
    /// `model_type`, or llama.cpp's architecture.
    family: &'static str,
    gguf: bool,
    /// A matrix of every block, outputs × d. It shows the width of the stream.
    reader: &'static str,
    in_block: [&'static str; 2],
    /// Beside the stack of blocks.
    last: &'static str,
}

/// OLMo 1 alone: `F.layer_norm` of each token, without weight and bias (arXiv 2402.00838, §2.1).
const FAMILIES: [Family; 2] = [
    Family {
        family: "olmo",
        gguf: false,
        reader: "self_attn.q_proj.weight",
        in_block: ["input_layernorm", "post_attention_layernorm"],
        last: "norm",
    },
    Family {
        family: "olmo",
        gguf: true,
        reader: "attn_q.weight",
        in_block: ["attn_norm", "ffn_norm"],
        last: "output_norm",
    },
];

/// The norms of the families that `config_of` (from the name of a tensor) names, sorted by name. None is wider than a stored norm
/// may be.
pub fn find<'a>(tensors: &[Tensor], config_of: impl Fn(&str) -> Option<Scope<'a>>) -> Vec<Parameterless> {
    let mut found = Vec::new();
    for tensor in tensors {
        let Some(family) = FAMILIES.iter().find(|family| tensor.name.ends_with(family.reader)) else {
            continue;
        };
        let is_of =
            |config: Scope<'_>| config.is_gguf() == family.gguf && config.family() == Some(family.family);
        if !config_of(&tensor.name).is_some_and(is_of) {
            continue;
        }
        let (path, Some(&width)) = (Path::new(&tensor.name), tensor.shape.get(1)) else { continue };
        let Some(block) = path.block_path().filter(|_| (1..=MAX_VALUES).contains(&width)) else { continue };
        let stack = path.stack();
        let beside = split_last(&stack).map_or(String::new(), |(parent, _)| format!("{parent}."));
        found.extend(family.in_block.iter().map(|norm| (format!("{block}.{norm}"), width)));
        found.push((format!("{beside}{}", family.last), width));
    }
    order::distinct(found).into_iter().map(|(name, width)| Parameterless { name, width }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::config::Config;
    use crate::checkpoint::dtype::TensorType;

    fn names(tensors: &[&str], config: &str) -> Vec<String> {
        let found = of_width(8, tensors, config);
        assert!(found.iter().all(|norm| norm.width == 8));
        found.into_iter().map(|norm| norm.name).collect()
    }

    fn of_width(width: u64, tensors: &[&str], config: &str) -> Vec<Parameterless> {
        let tensor = |name: &&str| Tensor {
            name: (*name).to_owned(),
            dtype: TensorType::parse("F32"),
            shape: vec![12, width],
            shard: 0,
            range: 0..48 * width,
            strides: None,
        };
        let tensors: Vec<Tensor> = tensors.iter().map(tensor).collect();
        let config = Config::parse("", "config.json", config.as_bytes()).unwrap();
        find(&tensors, |name| Some(config.scope(name)))
    }

    #[test]
    fn olmo_has_two_in_every_block_and_one_after_the_last() {
        let tensors = [
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.q_proj.weight",
            "model.layers.1.self_attn.q_proj.weight",
        ];
        assert_eq!(
            names(&tensors, r#"{"model_type":"olmo"}"#),
            [
                "model.layers.0.input_layernorm",
                "model.layers.0.post_attention_layernorm",
                "model.layers.1.input_layernorm",
                "model.layers.1.post_attention_layernorm",
                "model.norm",
            ]
        );
    }

    #[test]
    fn a_width_that_no_norm_has_makes_no_site() {
        let tensors = ["model.layers.0.self_attn.q_proj.weight"];
        for width in [0, MAX_VALUES + 1, 1 << 50] {
            assert_eq!(of_width(width, &tensors, r#"{"model_type":"olmo"}"#), []);
        }
    }

    #[test]
    fn no_other_family_is_given_any() {
        let tensors = ["model.layers.0.self_attn.q_proj.weight"];
        for config in [r#"{"model_type":"olmo2"}"#, r#"{"model_type":"llama"}"#, "{}"] {
            assert_eq!(names(&tensors, config), [""; 0], "{config}");
        }
    }
}
