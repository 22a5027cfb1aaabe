//! Tensors that a module stores but does not train: PyTorch's buffers.

/// Whether a tensor holds no parameter: masks, indices, tables of sines and cosines, running statistics. Judged by the names that
/// modules give such tensors; any other name counts as a parameter.
pub fn is_buffer(name: &str, shape: &[u64]) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    matches!(
        last,
        "inv_freq"
            | "masked_bias"
            | "relative_position_index"
            | "relative_coords_table"
            | "num_batches_tracked"
            | "running_mean"
            | "running_var"
            | "attn_mask"
            | "mask"
            | "causal_mask"
            | "IGNORE"
            | "rotary_sin"
            | "rotary_cos"
            | "cos_cached"
            | "sin_cached"
            | "tril"
            | "position_ids"
            | "token_type_ids"
    ) || name.split('.').any(|part| matches!(part, "rotary_emb" | "rotary_embeddings" | "rotary"))
        || (last == "bias"
            && shape.len() > 1
            && name.split('.').rev().nth(1).is_some_and(|owner| {
                // GPT-2 names its causal mask `bias`, as if it were one of the attention module.
                matches!(owner, "attn" | "attention")
            }))
        // PyTorch's tutorial keeps its sinusoids as `pe`.
        || (last == "pe" && shape.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_tables_are_buffers_and_biases_are_parameters() {
        for (name, shape) in [
            ("transformer.h.0.attn.bias", &[1, 1, 512, 512][..]),
            ("transformer.h.0.attn.masked_bias", &[][..]),
            ("embeddings.position_ids", &[1, 512][..]),
            ("encoder.pe.pe", &[1, 512, 64][..]),
        ] {
            assert!(is_buffer(name, shape), "{name}");
        }
        for (name, shape) in [("h.0.attn.c_attn.bias", &[96][..]), ("encoder.pos_embed", &[1, 50, 64][..])] {
            assert!(!is_buffer(name, shape), "{name}");
        }
    }
}
