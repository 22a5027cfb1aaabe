//! What adapters call their tensors: the names of PEFT, of LyCORIS and kohya's scripts, of diffusers and of MLX.

/// A way of adapting a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// ΔW = B A.
    Lora,
    /// ΔW = B diag(e) A.
    AdaLora,
    /// LoRA, after which each row of the weight gets a learned length.
    Dora,
    /// ΔW = (A₁ B₁) ⊙ (A₂ B₂).
    Loha,
    /// ΔW = W₁ ⊗ W₂.
    Lokr,
    /// ΔW = diag(b) B diag(d) A, with A and B random and shared by all modules.
    Vera,
    /// ΔW itself.
    Difference,
    /// Weights and activations changed by low-rank maps of both.
    Glora,
    /// Activations multiplied by learned factors.
    Ia3,
    /// W multiplied by an orthogonal matrix.
    Oft,
    /// The same, as a product of sparse orthogonal matrices.
    Boft,
    /// W multiplied by Householder reflections.
    Hra,
    /// ΔW by a few of its Fourier coefficients.
    FourierFt,
    /// LoRA whose factors are mixed from a bank of vectors.
    VbLora,
    /// Random bases of full rank, scaled.
    RandLora,
    /// Block-wise additions that depend on W.
    Bone,
    /// A sparse ΔW.
    Shira,
    /// ΔW as a circular convolution.
    C3a,
    /// Activations rotated in pairs.
    Road,
    /// Scales and shifts of norms alone.
    Norms,
    /// Vectors before the tokens.
    Prompt,
}

impl Method {
    /// What its authors call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lora => "LoRA",
            Self::AdaLora => "AdaLoRA",
            Self::Dora => "DoRA",
            Self::Loha => "LoHa",
            Self::Lokr => "LoKr",
            Self::Vera => "VeRA",
            Self::Difference => "full-difference",
            Self::Glora => "GLoRA",
            Self::Ia3 => "IA³",
            Self::Oft => "OFT",
            Self::Boft => "BOFT",
            Self::Hra => "HRA",
            Self::FourierFt => "FourierFT",
            Self::VbLora => "VB-LoRA",
            Self::RandLora => "RandLoRA",
            Self::Bone => "Bone",
            Self::Shira => "SHiRA",
            Self::C3a => "C³A",
            Self::Road => "RoAd",
            Self::Norms => "norm-tuning",
            Self::Prompt => "prompt-tuning",
        }
    }
}

/// What one tensor is to the module that it adapts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// LoRA's A (r × d), or MLX's, which is d × r.
    A,
    /// LoRA's B (m × r), or MLX's, which is r × m.
    B,
    /// The matrix between A and B in a convolution.
    Mid,
    /// The e of AdaLoRA (r × 1).
    Diagonal,
    /// A of an embedding.
    EmbeddingA,
    /// B of an embedding.
    EmbeddingB,
    /// Lengths of the rows, of DoRA.
    Magnitude,
    /// A₁ of LoHa (m × r).
    Hada1A,
    /// B₁ of LoHa (r × d).
    Hada1B,
    /// A₂ of LoHa (m × r).
    Hada2A,
    /// B₂ of LoHa (r × d).
    Hada2B,
    /// W₁ of LoKr.
    Kron1,
    /// A of W₁ = A B.
    Kron1A,
    /// B of W₁ = A B.
    Kron1B,
    /// W₂ of LoKr.
    Kron2,
    /// A of W₂ = A B.
    Kron2A,
    /// B of W₂ = A B.
    Kron2B,
    /// The middle of a Tucker decomposition, of a convolution.
    Tucker,
    /// The b of VeRA (m).
    VeraRows,
    /// The d of VeRA (r).
    VeraRank,
    /// VeRA's A (r × the most columns), shared.
    VeraA,
    /// VeRA's B (the most rows × r), shared.
    VeraB,
    /// ΔW, or the change of a norm's scale.
    Difference,
    /// The change of a norm's scale.
    ScaleDifference,
    /// The change of a norm's shift, or of a bias.
    ShiftDifference,
    /// A scale or shift that replaces the base's.
    Replacement,
    /// A number beside the factors, such as α.
    Beside,
    /// A factor of a method that needs more than its own tensors.
    Other(Method),
}

impl Factor {
    /// The method that has this factor. `None` if several have it.
    pub fn method(self) -> Option<Method> {
        match self {
            Self::A | Self::B | Self::Mid | Self::EmbeddingA | Self::EmbeddingB => Some(Method::Lora),
            Self::Diagonal => Some(Method::AdaLora),
            Self::Magnitude => Some(Method::Dora),
            Self::Hada1A | Self::Hada1B | Self::Hada2A | Self::Hada2B => Some(Method::Loha),
            Self::Kron1 | Self::Kron1A | Self::Kron1B | Self::Kron2 | Self::Kron2A | Self::Kron2B => {
                Some(Method::Lokr)
            }
            Self::VeraRows | Self::VeraRank | Self::VeraA | Self::VeraB => Some(Method::Vera),
            Self::Difference => Some(Method::Difference),
            Self::ScaleDifference => Some(Method::Norms),
            Self::Other(method) => Some(method),
            Self::Tucker | Self::ShiftDifference | Self::Replacement | Self::Beside => None,
        }
    }
}

/// The factor that a component of a name stands for. A match, not a table, because it runs three times for every name of a
/// catalogue.
fn factor(component: &str) -> Option<Factor> {
    Some(match component {
        "lora_A" | "lora_a" | "lora_down" => Factor::A,
        "lora_B" | "lora_b" | "lora_up" => Factor::B,
        "lora_mid" => Factor::Mid,
        "lora_E" => Factor::Diagonal,
        "ranknum" | "alpha" | "scalar" | "rescale" => Factor::Beside,
        "lora_embedding_A" => Factor::EmbeddingA,
        "lora_embedding_B" => Factor::EmbeddingB,
        "lora_magnitude_vector" | "dora_scale" => Factor::Magnitude,
        "hada_w1_a" => Factor::Hada1A,
        "hada_w1_b" => Factor::Hada1B,
        "hada_w2_a" => Factor::Hada2A,
        "hada_w2_b" => Factor::Hada2B,
        "hada_t1" | "hada_t2" | "lokr_t2" => Factor::Tucker,
        "lokr_w1" => Factor::Kron1,
        "lokr_w1_a" => Factor::Kron1A,
        "lokr_w1_b" => Factor::Kron1B,
        "lokr_w2" => Factor::Kron2,
        "lokr_w2_a" => Factor::Kron2A,
        "lokr_w2_b" => Factor::Kron2B,
        "vera_lambda_b" => Factor::VeraRows,
        "vera_lambda_d" => Factor::VeraRank,
        "vera_A" => Factor::VeraA,
        "vera_B" => Factor::VeraB,
        "diff" => Factor::Difference,
        "diff_b" | "b_norm" => Factor::ShiftDifference,
        "w_norm" => Factor::ScaleDifference,
        "modules_to_save" | "ln_tuning_layers" => Factor::Replacement,
        "a1" | "a2" | "b1" | "b2" => Factor::Other(Method::Glora),
        "ia3_l" | "on_input" => Factor::Other(Method::Ia3),
        "oft_r" | "oft_R" | "oft_blocks" | "oft_diag" => Factor::Other(Method::Oft),
        "boft_R" | "boft_s" => Factor::Other(Method::Boft),
        "hra_u" => Factor::Other(Method::Hra),
        "fourierft_spectrum" => Factor::Other(Method::FourierFt),
        "vblora_logits_A" | "vblora_logits_B" | "vblora_vector_bank" => Factor::Other(Method::VbLora),
        "randlora_A" | "randlora_B" | "randlora_lambda" | "randlora_gamma" => Factor::Other(Method::RandLora),
        "bone_block" | "miss_block" => Factor::Other(Method::Bone),
        "shira_weight" => Factor::Other(Method::Shira),
        "c3a_kernel" => Factor::Other(Method::C3a),
        "road_theta" | "road_alpha" => Factor::Other(Method::Road),
        "prompt_embeddings" | "adaption_prompt" | "adaption_gate" => Factor::Other(Method::Prompt),
        _ => return None,
    })
}

/// Prefixes that kohya's scripts and LyCORIS write before a module's path. They replace its dots with underscores.
pub const FLAT_PREFIXES: [&str; 10] = [
    "lora_unet_",
    "lora_te_",
    "lora_te1_",
    "lora_te2_",
    "lora_te3_",
    "lora_transformer_",
    "lora_prior_unet_",
    "lora_prior_te_",
    "lycoris_",
    "oft_unet_",
];

/// A factor is at most this many components from the end of its tensor's name: `.lora_A.default.weight`.
const FROM_END: usize = 3;

/// The path of the module that a tensor adapts, the tensor's factor, and the rest of its name (`default.weight`). `None` for every
/// other tensor.
pub fn factor_of(name: &str) -> Option<(&str, Factor, &str)> {
    let mut end = name.len();
    for _ in 0..FROM_END {
        let start = name[..end].rfind('.').map_or(0, |dot| dot + 1);
        let (component, rest) = (&name[start..end], name[end..].trim_start_matches('.'));
        let module = &name[..start.saturating_sub(1)];
        let listed = factor(component);
        // diffusers: `to_q.lora.down.weight`, `q_proj.lora_linear_layer.up.weight`, `processor.to_q_lora.down.weight`. XLabs:
        // `processor.proj_lora1.down.weight`.
        let of_diffusers = || {
            let factor = match component {
                "down" => Factor::A,
                "up" => Factor::B,
                _ => return None,
            };
            let stem = module.strip_suffix(".lora").or_else(|| module.strip_suffix(".lora_linear_layer"));
            let last = module.rsplit('.').next().unwrap_or_default();
            stem.or(Some(module).filter(|_| last.contains("_lora"))).map(|stem| (stem, factor))
        };
        let found = listed.map(|factor| (module, factor)).or_else(of_diffusers);
        // Parts of models have these names too, but adapters write them in only one way.
        let known = match component {
            "diff" | "alpha" | "scalar" | "rescale" => rest.is_empty(),
            "a1" | "a2" | "b1" | "b2" => is_flat(name),
            _ => true,
        };
        if let Some((module, factor)) = found.filter(|_| known) {
            return Some((module, factor, rest));
        }
        end = start.checked_sub(1)?;
    }
    None
}

/// Whether a name is one that kohya's scripts or LyCORIS would give.
pub(super) fn is_flat(name: &str) -> bool {
    FLAT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_known_under_the_names_of_every_library() {
        for (name, module, factor) in [
            ("base_model.model.h.0.attn.c_attn.lora_A.weight", "base_model.model.h.0.attn.c_attn", Factor::A),
            ("m.layers.0.q.lora_B.default.weight", "m.layers.0.q", Factor::B),
            ("m.wte.lora_embedding_A", "m.wte", Factor::EmbeddingA),
            ("unet.down.0.attn1.to_q.lora.down.weight", "unet.down.0.attn1.to_q", Factor::A),
            ("text_encoder.l.0.q_proj.lora_linear_layer.up.weight", "text_encoder.l.0.q_proj", Factor::B),
            ("unet.attn1.processor.to_q_lora.down.weight", "unet.attn1.processor.to_q_lora", Factor::A),
            (
                "double_blocks.0.processor.proj_lora1.up.weight",
                "double_blocks.0.processor.proj_lora1",
                Factor::B,
            ),
            ("lora_unet_mid_block_0_to_k.lora_up.weight", "lora_unet_mid_block_0_to_k", Factor::B),
            ("lycoris_l_0_q.lokr_w2_a", "lycoris_l_0_q", Factor::Kron2A),
            ("m.l.0.q.hada_w1_b.default", "m.l.0.q", Factor::Hada1B),
            ("m.l.0.k.ia3_l", "m.l.0.k", Factor::Other(Method::Ia3)),
            ("m.l.0.q.oft_R.default.weight", "m.l.0.q", Factor::Other(Method::Oft)),
            ("base_model.vera_A", "base_model", Factor::VeraA),
            ("m.norm.modules_to_save.default.weight", "m.norm", Factor::Replacement),
            ("lora_unet_q.a1.weight", "lora_unet_q", Factor::Other(Method::Glora)),
        ] {
            let found = factor_of(name).map(|(module, factor, _)| (module, factor));
            assert_eq!(found, Some((module, factor)), "{name}");
        }
    }

    #[test]
    fn weights_of_models_are_no_factors() {
        for name in [
            "model.layers.0.self_attn.q_proj.weight",
            "model.layers.0.mlp.down.weight",
            "unet.up.0.weight",
            "h.0.attn.w_lora.lora.0.weight",
            "ffn.b1.weight",
            "attn.diff.weight",
            "lora_A",
            "",
        ] {
            let found = factor_of(name).filter(|(module, ..)| !module.is_empty());
            assert_eq!(found, None, "{name}");
        }
    }
}
