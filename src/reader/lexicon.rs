//! The names of tensors inside a block, and what each is for. A name that is not here is not understood.

use crate::report::ReaderUse;

/// The part a map plays in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Query,
    Key,
    Value,
    /// Queries, keys and values in one.
    FusedAttention,
    /// Keys and values in one.
    KeyValue,
    /// Latent attention's compression of keys and values.
    Compression,
    FeedForward,
    Expert,
    Router,
    /// A strided convolution before keys and values.
    Reduction,
    /// Writes the stream, or is between other maps: it reads no norm of the stream.
    Inner,
    /// Scales channels or heads, or holds positions inside attention. It is not a map.
    Aside,
}

impl Part {
    /// Whether it reads the input of self-attention or cross-attention.
    pub(super) fn is_attention(self) -> bool {
        matches!(
            self,
            Self::Query | Self::Key | Self::Value | Self::KeyValue | Self::FusedAttention | Self::Compression
        )
    }

    /// Whether it makes keys or values, and no queries.
    pub(super) fn is_key_or_value(self) -> bool {
        matches!(self, Self::Key | Self::Value | Self::KeyValue)
    }

    /// Whether it reads the input of the feed-forward part.
    pub(super) fn is_feed_forward(self) -> bool {
        matches!(self, Self::FeedForward | Self::Expert | Self::Router)
    }

    /// Its name in a report.
    pub(super) fn used_as(self) -> ReaderUse {
        match self {
            Self::Query => ReaderUse::Query,
            Self::Key => ReaderUse::Key,
            Self::Value => ReaderUse::Value,
            Self::FusedAttention | Self::KeyValue | Self::Compression => ReaderUse::FusedAttention,
            Self::FeedForward => ReaderUse::FeedForward,
            Self::Expert => ReaderUse::Expert,
            Self::Router => ReaderUse::Router,
            Self::Reduction | Self::Inner | Self::Aside => ReaderUse::Projection,
        }
    }
}

/// The module of a tensor and whether the tensor is its map: `attn.q.bias` belongs to `attn.q`. Packed experts and
/// `nn.MultiheadAttention` store bare parameters.
pub(super) fn module_of(name: &str) -> (&str, bool) {
    let (module, last) = name.rsplit_once('.').unwrap_or(("", name));
    match last {
        "weight" | "kernel" => (module, true),
        "bias" => (module, false),
        _ => (name.strip_suffix("_bias").unwrap_or(name), !name.ends_with("_bias")),
    }
}

/// Names of the bias that goes with a weight.
pub(super) fn bias_names(weight: &str) -> Vec<String> {
    let mut names = vec![format!("{weight}_bias")];
    for suffix in ["weight", "kernel"] {
        if let Some(stem) = weight.strip_suffix(suffix) {
            names.push(format!("{stem}bias"));
        }
    }
    // TransformerLens: W_Q with b_Q.
    if let Some((parent, last)) = weight.rsplit_once('.')
        && let Some(part) = last.strip_prefix("W_")
    {
        names.push(format!("{parent}.b_{part}"));
    }
    names
}

/// Whether a tensor may be one of [`bias_names`].
pub(super) fn is_bias(name: &str) -> bool {
    name.ends_with("bias") || name.rsplit('.').next().is_some_and(|last| last.starts_with("b_"))
}

/// The part that a tensor plays in its block, by its module's path inside the block (with numbers as N).
pub(super) fn part_of(module: &str) -> Option<Part> {
    let parts: Vec<&str> = module.split('.').collect();
    let last = *parts.last()?;
    let within = |names: &[&str]| parts[..parts.len() - 1].iter().any(|part| names.contains(part));
    let feed_forward = within(&["ffn", "mlp", "feed_forward", "ff", "ffw", "moe", "mlp_channels"]);
    let expert = module.contains("experts") || module.contains("shared_expert");
    let attention = module.contains("att") || module.contains("mixer") || module.contains("Attention");
    let part = match last {
        // RWKV and others call feed-forward maps key and value. Those are not known here.
        "q_proj" | "q" | "query" | "to_q" | "q_lin" | "wq" | "query_proj" | "attn_q" | "q_a_proj"
        | "attn_q_a" | "cross_attn_q" | "W_Q" | "w_q"
            if !feed_forward =>
        {
            Part::Query
        }
        "k_proj" | "k" | "key" | "to_k" | "k_lin" | "wk" | "key_proj" | "attn_k" | "cross_attn_k" | "W_K"
        | "w_k"
            if !feed_forward =>
        {
            Part::Key
        }
        "v_proj" | "v" | "value" | "to_v" | "v_lin" | "wv" | "value_proj" | "attn_v" | "cross_attn_v"
        | "W_V" | "w_v"
            if !feed_forward =>
        {
            Part::Value
        }
        "in_proj" if within(&["mixer"]) => Part::FeedForward,
        "qkv" | "qkv_proj" | "query_key_value" | "Wqkv" | "c_attn" | "in_proj_weight" | "in_proj"
        | "linear_qkv" | "attn_qkv" | "W_pack" | "wqkv" | "to_qkv"
            if !feed_forward =>
        {
            Part::FusedAttention
        }
        "kv" if !feed_forward => Part::KeyValue,
        "sr" | "sequence_reduction" if attention => Part::Reduction,
        "attn" if within(&["attn"]) => Part::FusedAttention,
        "kv_a_proj_with_mqa" | "attn_kv_a_mqa" => Part::Compression,
        "kv_b_proj" | "q_b_proj" | "attn_q_b" | "attn_kv_b" | "attn_k_b" | "attn_v_b" => Part::Inner,
        "out_proj" | "o_proj" | "out_lin" | "W_O" | "wo" | "to_out" | "attn_output" | "cross_attn_o"
        | "Wo"
            if !feed_forward =>
        {
            Part::Inner
        }
        "dense" | "proj" | "c_proj" | "o" | "output" if attention && !feed_forward => Part::Inner,
        "dense" if within(&["output", "output_query"]) => Part::Inner,
        "dense" if within(&["intermediate", "intermediate_query"]) => Part::FeedForward,
        // A router beside experts. Elsewhere "gate" is not known.
        "gate" if within(&["moe", "block_sparse_moe", "mlp", "feed_forward", "ffn"]) => Part::Router,
        "classifier" | "layer" if within(&["router"]) => Part::Router,
        "router" | "wg" | "ffn_gate_inp" | "ffn_gate_inp_shexp" | "shared_expert_gate" => Part::Router,
        "ffn_gate_exps" | "ffn_up_exps" | "ffn_gate_up_exps" | "ffn_gate_shexp" | "ffn_up_shexp" => {
            Part::Expert
        }
        "gate_proj" | "up_proj" | "gate_up_proj" | "w1" | "v1" | "w3" | "w12" | "fc1" | "fc_in" | "c_fc"
        | "lin1" | "linear1" | "linear_fc1" | "dense_h_to_4h" | "ffn_gate" | "ffn_up" | "Wi" | "linear_v"
        | "gate_up" | "W_in" | "W_gate" | "fc" | "fc_1" | "fc_2" | "dense1" | "wi" | "wi_0" | "wi_1"
        | "intermediate_dense" | "ffn" => {
            if expert {
                Part::Expert
            } else {
                Part::FeedForward
            }
        }
        "fc2" | "w2" | "down_proj" | "fc_out" | "lin2" | "linear2" | "linear_fc2" | "dense_4h_to_h"
        | "ffn_down" | "ffn_output" | "ffn_down_exps" | "ffn_down_shexp" | "w3_out" | "W_out" | "dense2"
        | "output_dense" => Part::Inner,
        "wo" | "Wo" | "proj" | "c_proj" | "out_proj" if feed_forward => Part::Inner,
        "relative_attention_bias"
        | "relative_position_bias_table"
        | "rel_pos_h"
        | "rel_pos_w"
        | "attn_rel_b"
        | "temperature" => Part::Aside,
        // MViT pools the outputs of queries, keys and values. DeBERTa's positions have separate maps.
        "pool_q" | "pool_k" | "pool_v" => Part::Aside,
        "pos_proj" | "pos_q_proj" | "pos_key_proj" | "pos_query_proj" => Part::Aside,
        "shortcut_proj_attn" => Part::Inner,
        // Mamba: its first map, and what comes after it.
        "A_log" | "D" | "x_proj" | "dt_proj" | "conv1d" if within(&["mixer"]) || parts[0] == "mixer" => {
            Part::Aside
        }
        "b_Q" | "b_K" | "b_V" | "b_O" | "b_in" | "b_out" | "b_gate" => Part::Aside,
        _ if is_layer_scale(module) => Part::Aside,
        _ => return None,
    };
    Some(part)
}

/// Whether a vector scales the output of a part to the stream.
fn is_layer_scale(module: &str) -> bool {
    let mut parts = module.rsplit('.');
    let (last, parent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let numbered = |stem: &str, name: &str| {
        name.strip_prefix(stem)
            .is_some_and(|end| matches!(end.trim_start_matches('_'), "1" | "2" | "attn" | "mlp" | "ffn"))
    };
    let scale = |name: &str| {
        numbered("gamma", name)
            || numbered("lambda", name)
            || numbered("ls", name)
            || numbered("layer_scale", name)
    };
    scale(last) || (scale(parent) && matches!(last, "gamma" | "lambda1" | "scale"))
}

/// Weights that some layouts store (in, out): GPT-2's Conv1D, Flax kernels, packed experts, TransformerLens.
pub(super) fn may_be_transposed(weight: &str) -> bool {
    let module = weight.strip_suffix(".weight").unwrap_or(weight);
    weight.ends_with(".kernel")
        || ["c_attn", "c_fc", "gate_up_proj"].iter().any(|name| module.ends_with(name))
        || module.rsplit('.').next().is_some_and(|last| last.starts_with("W_"))
}

/// Whether a path inside the block is of cross-attention.
pub(super) fn is_cross(path: &str) -> bool {
    ["encoder_attn", "crossattention", "cross_attn", "EncDecAttention", "cross_attention", "multihead_attn"]
        .iter()
        .any(|mark| path.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_projections_are_recognised_in_each_layout() {
        for (name, part) in [
            ("self_attn.q_proj.weight", Part::Query),
            ("attention.self.key.weight", Part::Key),
            ("attn.c_attn.weight", Part::FusedAttention),
            ("attn.in_proj_weight", Part::FusedAttention),
            ("intermediate.dense.weight", Part::FeedForward),
            ("block_sparse_moe.experts.N.w3.weight", Part::Expert),
            ("block_sparse_moe.gate.weight", Part::Router),
            ("mlp.experts.gate_up_proj", Part::Expert),
            ("attn_qkv.weight", Part::FusedAttention),
            ("ffn_up.weight", Part::FeedForward),
            ("ffn_gate_inp.weight", Part::Router),
            ("ffn_gate_exps.weight", Part::Expert),
            ("cross_attn_q.weight", Part::Query),
            ("attn.W_K", Part::Key),
        ] {
            assert_eq!(part_of(module_of(name).0), Some(part), "{name}");
        }
    }

    #[test]
    fn output_projections_read_no_norm_of_the_stream() {
        for name in [
            "self_attn.o_proj.weight",
            "mlp.c_proj.weight",
            "output.dense.weight",
            "attention.output.dense.weight",
            "mlp.down_proj.weight",
            "attn_output.weight",
            "ffn_down_exps.weight",
        ] {
            assert_eq!(part_of(module_of(name).0), Some(Part::Inner), "{name}");
        }
    }

    #[test]
    fn what_may_stand_between_a_norm_and_a_map_is_not_known() {
        for name in [
            "attention.self.conv.weight",
            "attention.time_mix_key",
            "dwconv.weight",
            "feed_forward.key.weight",
        ] {
            assert_eq!(part_of(module_of(name).0), None, "{name}");
        }
    }

    #[test]
    fn a_bias_is_found_beside_a_weight_or_a_packed_parameter() {
        assert!(bias_names("a.q.weight").contains(&"a.q.bias".to_owned()));
        assert!(bias_names("a.in_proj_weight").contains(&"a.in_proj_bias".to_owned()));
        assert!(bias_names("e.gate_up_proj").contains(&"e.gate_up_proj_bias".to_owned()));
        assert!(bias_names("attn.W_Q").contains(&"attn.b_Q".to_owned()));
    }
}
