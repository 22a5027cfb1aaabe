//! What the input projections of transformers are called. A name that is not here is not counted.

use crate::report::ReaderUse;

/// The part a projection plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Query,
    Key,
    Value,
    FusedAttention,
    FeedForward,
    Expert,
    Router,
    Unembedding,
    Head,
    EmbeddingProjection,
}

impl Part {
    pub(super) fn is_attention(self) -> bool {
        matches!(self, Self::Query | Self::Key | Self::Value | Self::FusedAttention)
    }

    pub(super) fn is_feed_forward(self) -> bool {
        matches!(self, Self::FeedForward | Self::Expert | Self::Router)
    }

    pub(super) fn used_as(self) -> ReaderUse {
        match self {
            Self::Query => ReaderUse::Query,
            Self::Key => ReaderUse::Key,
            Self::Value => ReaderUse::Value,
            Self::FusedAttention => ReaderUse::FusedAttention,
            Self::FeedForward => ReaderUse::FeedForward,
            Self::Expert => ReaderUse::Expert,
            Self::Router => ReaderUse::Router,
            Self::Unembedding => ReaderUse::Unembedding,
            Self::Head | Self::EmbeddingProjection => ReaderUse::Projection,
        }
    }
}

/// A weight's block, its path inside the block and its part, when its name is that of an input projection.
pub(super) fn projection(name: &str) -> Option<(Option<String>, String, Part)> {
    let module = module_of(name)?;
    let path = crate::norm::block_path(module);
    let part = match &path {
        Some((_, inside)) => in_block(inside)?,
        None => outside_blocks(module)?,
    };
    Some(match path {
        Some((block, inside)) => (Some(block), inside, part),
        None => (None, module.to_owned(), part),
    })
}

/// The module of a weight: `….q_proj.weight` → `….q_proj`; packed parameters have no `.weight`.
fn module_of(name: &str) -> Option<&str> {
    if let Some(module) = name.strip_suffix(".weight").or_else(|| name.strip_suffix(".kernel")) {
        return Some(module);
    }
    // nn.MultiheadAttention and packed experts store parameters of their own.
    ["in_proj_weight", "gate_up_proj", "gate_proj", "up_proj"]
        .iter()
        .any(|last| name.ends_with(last))
        .then_some(name)
}

/// Names of the bias that goes with a weight.
pub(super) fn bias_names(weight: &str) -> Vec<String> {
    let mut names = vec![format!("{weight}_bias")];
    for suffix in ["weight", "kernel"] {
        if let Some(stem) = weight.strip_suffix(suffix) {
            names.push(format!("{stem}bias"));
        }
    }
    names
}

fn in_block(inside: &str) -> Option<Part> {
    let parts: Vec<&str> = inside.split('.').collect();
    let last = *parts.last()?;
    let within = |names: &[&str]| parts[..parts.len() - 1].iter().any(|part| names.contains(part));
    let expert = within(&["experts", "shared_experts", "shared_expert"]) || inside.contains("experts");
    let part = match last {
        "q_proj" | "q" | "query" | "to_q" | "q_lin" | "wq" | "query_proj" | "attn_q" | "q_a_proj"
        | "attn_q_a" | "cross_attn_q" => Part::Query,
        "k_proj" | "k" | "key" | "to_k" | "k_lin" | "wk" | "key_proj" | "attn_k" | "cross_attn_k" => {
            Part::Key
        }
        "v_proj" | "v" | "value" | "to_v" | "v_lin" | "wv" | "value_proj" | "attn_v" | "cross_attn_v" => {
            Part::Value
        }
        "qkv" | "qkv_proj" | "query_key_value" | "Wqkv" | "c_attn" | "in_proj_weight" | "linear_qkv"
        | "attn_qkv" | "W_pack" | "wqkv" | "to_qkv" | "qkv_net" => Part::FusedAttention,
        // Latent attention compresses keys and values first.
        "kv_a_proj_with_mqa" | "kv_proj" | "to_kv" | "attn_kv_a_mqa" => Part::FusedAttention,
        "router" | "wg" | "ffn_gate_inp" | "ffn_gate_inp_shexp" => Part::Router,
        "ffn_gate_exps" | "ffn_up_exps" | "ffn_gate_up_exps" | "ffn_gate_shexp" | "ffn_up_shexp" => {
            Part::Expert
        }
        // "gate" is a router beside experts and a gate projection elsewhere (GPT-J-like names do not use it).
        "gate" if within(&["moe", "block_sparse_moe", "mlp", "feed_forward", "ffn", "mixer"]) => Part::Router,
        "classifier" | "layer" if within(&["router"]) => Part::Router,
        "shared_expert_gate" => Part::Router,
        "gate_proj" | "up_proj" | "gate_up_proj" | "w1" | "w3" | "w12" | "wi" | "wi_0" | "wi_1" | "fc1"
        | "fc_in" | "c_fc" | "lin1" | "linear1" | "linear_fc1" | "dense_h_to_4h" | "ffn_gate" | "ffn_up"
        | "gate_and_up_proj" | "Wi" | "linear_v" | "gate_up" => {
            if expert {
                Part::Expert
            } else {
                Part::FeedForward
            }
        }
        "dense" if within(&["intermediate"]) => Part::FeedForward,
        // nn.Sequential(Linear, activation, Linear): the first.
        "0" if within(&["mlp", "ffn", "ff", "net", "feed_forward"]) => Part::FeedForward,
        "proj" if inside.ends_with("net.0.proj") => Part::FeedForward,
        _ => return None,
    };
    // RWKV and others call feed-forward maps key and value.
    let feed_forward_path = within(&["ffn", "mlp", "feed_forward"]);
    (!(part.is_attention() && feed_forward_path)).then_some(part)
}

fn outside_blocks(module: &str) -> Option<Part> {
    let parts: Vec<&str> = module.split('.').collect();
    let last = *parts.last()?;
    let parent = parts.len().checked_sub(2).map_or("", |at| parts[at]);
    Some(match (parent, last) {
        ("lm_head" | "head" | "transform" | "pooler" | "predictions", "dense") => Part::Head,
        (_, "lm_head" | "embed_out" | "vocab_projector") | ("lm_head" | "predictions", "decoder") => {
            Part::Unembedding
        }
        ("", "output") => Part::Unembedding,
        (
            _,
            "score" | "classifier" | "qa_outputs" | "text_projection" | "visual_projection"
            | "vocab_transform" | "pre_classifier",
        ) => Part::Head,
        (_, "head") => Part::Head,
        (_, "embeddings_project" | "embedding_hidden_mapping_in") => Part::EmbeddingProjection,
        _ => return None,
    })
}

/// Weights that some layouts store (in, out): GPT-2's Conv1D, Flax kernels, packed experts.
pub(super) fn may_be_transposed(weight: &str) -> bool {
    let module = weight.strip_suffix(".weight").unwrap_or(weight);
    weight.ends_with(".kernel")
        || ["c_attn", "c_fc", "gate_up_proj"].iter().any(|name| module.ends_with(name))
}

/// Cross-attention, by the path inside the block.
pub(super) fn is_cross(path: &str) -> bool {
    ["encoder_attn", "crossattention", "cross_attn", "EncDecAttention", "cross_attention", "multihead_attn"]
        .iter()
        .any(|mark| path.contains(mark))
}

/// A site of an encoder.
pub(super) fn is_encoder(name: &str) -> bool {
    name.split('.').any(|part| matches!(part, "encoder" | "enc"))
}

/// Whether two names speak of the same part of a bundle: text with text, vision with vision.
pub(super) fn same_part(a: &str, b: &str) -> bool {
    let part = |name: &str| {
        (name.contains("vision") || name.contains("visual") || name.contains("image"), name.contains("text"))
    };
    part(a) == part(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_projections_are_recognised_in_each_layout() {
        for (name, part) in [
            ("model.layers.0.self_attn.q_proj.weight", Part::Query),
            ("bert.encoder.layer.3.attention.self.key.weight", Part::Key),
            ("transformer.h.1.attn.c_attn.weight", Part::FusedAttention),
            ("visual.blocks.2.attn.in_proj_weight", Part::FusedAttention),
            ("bert.encoder.layer.3.intermediate.dense.weight", Part::FeedForward),
            ("model.layers.0.block_sparse_moe.experts.7.w3.weight", Part::Expert),
            ("model.layers.0.block_sparse_moe.gate.weight", Part::Router),
            ("model.layers.0.mlp.experts.gate_up_proj", Part::Expert),
            ("lm_head.weight", Part::Unembedding),
            ("blk.0.attn_qkv.weight", Part::FusedAttention),
            ("blk.0.ffn_up.weight", Part::FeedForward),
            ("blk.0.ffn_gate_inp.weight", Part::Router),
            ("blk.0.ffn_gate_exps.weight", Part::Expert),
            ("dec.blk.0.cross_attn_q.weight", Part::Query),
            ("output.weight", Part::Unembedding),
        ] {
            assert_eq!(projection(name).map(|(_, _, part)| part), Some(part), "{name}");
        }
    }

    #[test]
    fn output_projections_are_not_readers() {
        for name in [
            "model.layers.0.self_attn.o_proj.weight",
            "h.0.mlp.c_proj.weight",
            "encoder.layer.0.output.dense.weight",
            "model.layers.0.mlp.down_proj.weight",
            "blk.0.attn_output.weight",
            "blk.0.ffn_down_exps.weight",
        ] {
            assert!(projection(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_bias_is_found_beside_a_weight_or_a_packed_parameter() {
        assert!(bias_names("a.q.weight").contains(&"a.q.bias".to_owned()));
        assert!(bias_names("a.in_proj_weight").contains(&"a.in_proj_bias".to_owned()));
        assert!(bias_names("e.gate_up_proj").contains(&"e.gate_up_proj_bias".to_owned()));
    }
}
