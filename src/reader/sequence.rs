//! Finds readers by structure alone: a norm and the map after it in one `nn.Sequential`, and the modules of libraries that number
//! a norm and its reader.

use crate::checkpoint::Tensor;
use std::collections::HashMap;

/// The catalogue by name, for finding siblings.
pub(super) struct Names<'a> {
    pub(super) tensors: &'a [Tensor],
    pub(super) by_name: &'a HashMap<&'a str, usize>,
}

/// Names of modules that hold a norm and its reader in sequence.
const SEQUENCES: [&str; 9] =
    ["net", "ffn", "ff", "mlp", "layernorm_qkv", "to_patch_embedding", "mlp_head", "to_logits", "to_cls"];

impl Names<'_> {
    fn linear(&self, name: &str, width: u64) -> Option<usize> {
        let index = *self.by_name.get(name)?;
        let shape = &self.tensors[index].shape;
        (shape.len() == 2 && shape[1] == width).then_some(index)
    }

    /// Every tensor whose name starts with `prefix` and a dot, by what follows.
    pub(super) fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &Tensor)> {
        let prefix = format!("{prefix}.");
        let start = self
            .tensors
            .partition_point(|tensor| crate::checkpoint::compare_names(&tensor.name, &prefix).is_lt());
        let length = prefix.len();
        self.tensors[start..]
            .iter()
            .take_while(move |tensor| tensor.name.starts_with(&prefix))
            .map(move |tensor| (&tensor.name[length..], tensor))
    }

    /// The maps that read the norm `site`, if its surroundings are one of the known structures.
    pub(super) fn readers(&self, site: &str, width: u64) -> Option<Vec<usize>> {
        self.sequential(site, width)
            .or_else(|| self.inside_attention_module(site, width))
            .or_else(|| self.x_transformers(site, width))
    }

    /// `X.0` is a norm and `X.1` a map in `nn.Sequential`: it reads the norm.
    fn sequential(&self, site: &str, width: u64) -> Option<Vec<usize>> {
        let (parent, number) = site.rsplit_once('.')?;
        let number: u32 = number.parse().ok()?;
        let named = parent.rsplit('.').next().unwrap_or_default();
        let simple = |inside: &str| {
            inside.split_once('.').is_some_and(|(number, leaf)| {
                number.bytes().all(|byte| byte.is_ascii_digit())
                    && matches!(leaf, "weight" | "bias" | "gamma" | "beta")
            })
        };
        if !SEQUENCES.contains(&named) || !self.under(parent).all(|(inside, _)| simple(inside)) {
            return None;
        }
        Some(vec![self.linear(&format!("{parent}.{}.weight", number + 1), width)?])
    }

    /// vit-pytorch's `layers.0.0`: a norm, then one or more maps. `PreNorm` puts the maps in `fn`.
    fn inside_attention_module(&self, site: &str, width: u64) -> Option<Vec<usize>> {
        let (parent, last) = site.rsplit_once('.')?;
        let numbered = parent.rsplit('.').next().is_some_and(|part| part.parse::<u32>().is_ok());
        if last != "norm" || !numbered {
            return None;
        }
        let wrapped = self.under(&format!("{parent}.fn")).next().is_some();
        let module = if wrapped { format!("{parent}.fn") } else { parent.to_owned() };
        let known = |inside: &str| {
            let first = inside.split('.').next().unwrap_or_default();
            match first {
                "to_qkv" | "to_q" | "to_k" | "to_v" | "to_kv" => {
                    matches!(inside.split_once('.'), Some((_, "weight" | "bias")))
                }
                "to_out" | "temperature" | "q_norm" | "k_norm" | "norm_q" | "norm_k" => true,
                "norm" => !wrapped,
                "net" => wrapped,
                _ => false,
            }
        };
        if !self.under(&module).all(|(inside, _)| known(inside)) {
            return None;
        }
        // Keys and values may read the norm of another stream. If all three are one map, they read this one.
        let maps = ["to_qkv.weight", "to_q.weight", "net.0.weight"];
        let found: Vec<usize> =
            maps.iter().filter_map(|map| self.linear(&format!("{module}.{map}"), width)).collect();
        (found.len() == 1).then_some(found)
    }

    /// x-transformers' `layers.0.0.0`: the norm before the part `layers.0.1`. A norm after it is `layers.0.0.1`, one on
    /// the stream `layers.0.0.2`.
    fn x_transformers(&self, site: &str, width: u64) -> Option<Vec<usize>> {
        let layer = site.strip_suffix(".0.0")?;
        let (stack, number) = layer.rsplit_once('.')?;
        let number: u32 = number.parse().ok()?;
        if stack.rsplit('.').next() != Some("layers") {
            return None;
        }
        let part = |number: u32| format!("{stack}.{number}.1");
        let known = |inside: &str| {
            let first = inside.split('.').next().unwrap_or_default();
            let leaf = |name: &str| inside == format!("{name}.weight") || inside == format!("{name}.bias");
            match first {
                "to_q" | "to_k" | "to_v" | "to_v_gate" | "to_v_head_gate" => leaf(first),
                "to_out" | "qk_norm_q_scale" | "qk_norm_k_scale" | "mem_k" | "mem_v"
                | "head_scale_params" => true,
                "ff" => true,
                _ => false,
            }
        };
        let whole = self.under(&part(number)).all(|(inside, _)| known(inside));
        // A norm on the stream, or a gate in place of the sum, is another structure.
        let others =
            self.under(layer).any(|(inside, _)| inside.starts_with("0.2.") || inside.starts_with("2."));
        if !whole || others {
            return None;
        }
        let linear = |inside: &str| self.linear(&format!("{}.{inside}.weight", part(number)), width);
        let attends = |number: Option<u32>| {
            number.is_some_and(|number| {
                self.by_name.contains_key(format!("{}.to_q.weight", part(number)).as_str())
            })
        };
        let mut found: Vec<usize> =
            ["to_q", "to_v_gate", "to_v_head_gate"].into_iter().filter_map(linear).collect();
        // If another attention is beside this one, either may read another stream with its keys and values.
        let beside_attention = attends(number.checked_sub(1)) || attends(number.checked_add(1));
        let embeds = self.tensors.iter().any(|tensor| {
            ["token_emb", "patch_to_embedding", "project_in"]
                .iter()
                .any(|name| tensor.name.split('.').any(|part| part == *name))
        });
        if attends(Some(number)) && !beside_attention && embeds {
            found.extend(["to_k", "to_v"].into_iter().filter_map(linear));
        }
        found.extend(["ff.0.proj", "ff.0.0"].into_iter().filter_map(linear));
        (!found.is_empty()).then_some(found)
    }
}
