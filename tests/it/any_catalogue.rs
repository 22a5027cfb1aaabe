//! For any tensors of a valid file and any configuration, inspecting it gives a report or a message, and every figure of that
//! report can be drawn.

use crate::support;
use gammascope::figures::figure;
use gammascope::plot::{FigureKind, Size};
use gammascope::report::{DeadDirections, Report};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Parts of names in real checkpoints, and a few that occur in none.
const PARTS: &[&str] = &[
    "model",
    "encoder",
    "decoder",
    "transformer",
    "layers",
    "layer",
    "h",
    "block",
    "blocks",
    "0",
    "1",
    "2",
    "10",
    "4294967296",
    "norm",
    "norm1",
    "norm2",
    "norm3",
    "ln_1",
    "ln_2",
    "ln_f",
    "LayerNorm",
    "layer_norm",
    "input_layernorm",
    "post_attention_layernorm",
    "final_layer_norm",
    "self_attn_layer_norm",
    "q_norm",
    "k_norm",
    "q_a_layernorm",
    "self_attn",
    "encoder_attn",
    "attn",
    "attention",
    "blk",
    "attn_norm",
    "attn_norm_2",
    "attn_output_norm",
    "layer_output_norm",
    "ffn_norm",
    "output_norm",
    "attn_qkv",
    "output",
    "dense",
    "q_proj",
    "k_proj",
    "v_proj",
    "kv_b_proj",
    "c_attn",
    "qkv",
    "query_key_value",
    "mlp",
    "c_fc",
    "fc1",
    "gate_proj",
    "gate_up_proj",
    "experts",
    "router",
    "gate",
    "lm_head",
    "wte",
    "wpe",
    "embed_tokens",
    "pooler",
    "classifier",
    "cls",
    "predictions",
    "1_Pooling",
    "",
    "ñ",
    "\u{0}",
];
const LASTS: &[&str] = &[
    "weight",
    "weight",
    "weight",
    "bias",
    "bias",
    "gamma",
    "beta",
    "g",
    "b",
    "scale",
    "w",
    "alpha",
    "layer_norm_weight",
    "layer_norm_bias",
    "ln_weight",
    "running_mean",
    "weight_g",
    "in_proj_weight",
    "in_proj_bias",
];
const FIELDS: &[&str] = &[
    "model_type",
    "architectures",
    "hidden_size",
    "n_embd",
    "num_attention_heads",
    "n_head",
    "num_key_value_heads",
    "num_hidden_layers",
    "rms_norm_eps",
    "layer_norm_eps",
    "norm_type",
    "rms_norm",
    "tie_word_embeddings",
    "rope_theta",
    "position_embedding_type",
    "alibi",
    "normalization",
    "apply_layernorm_1p",
    "text_config",
    "encoder",
];
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "6",
    "-1",
    "1e300",
    "18446744073709551615",
    "0.5",
    "\"\"",
    "\"llama\"",
    "\"gpt2\"",
    "\"bert\"",
    "\"gemma3_text\"",
    "\"gpt_bigcode\"",
    "\"chatglm\"",
    "\"layernorm\"",
    "\"rmsnorm1p\"",
    "[]",
    "{}",
    "[\"GPT2LMHeadModel\"]",
    "[\"LlamaForCausalLM\", 3]",
    "{\"model_type\":\"t5\",\"hidden_size\":2}",
];

/// A name, a shape and the first of its values.
fn tensor() -> impl Strategy<Value = (String, Vec<usize>, f32)> {
    let part = prop::sample::select(PARTS);
    let size = prop::sample::select(&[0usize, 1, 2, 2, 2, 4, 6]);
    let value = prop::sample::select(&[0.0f32, 1.0, -1.0, 0.3, 1e-38, f32::MAX, f32::NAN, f32::INFINITY]);
    (prop::collection::vec(part, 0..6), prop::sample::select(LASTS), prop::collection::vec(size, 0..4), value)
        .prop_map(|(parts, last, shape, value)| ([parts, vec![last]].concat().join("."), shape, value))
}

fn configuration() -> impl Strategy<Value = String> {
    let field = (prop::sample::select(FIELDS), prop::sample::select(VALUES));
    prop::collection::vec(field, 0..8).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(field, value)| format!("{field:?}:{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_catalogue_gives_a_report_or_a_sentence(
        drawn in prop::collection::vec(tensor(), 0..40), config in prop::option::of(configuration())
    ) {
        let drawn: BTreeMap<String, (Vec<usize>, f32)> =
            drawn.into_iter().map(|(name, shape, value)| (name, (shape, value))).collect();
        let tensors: Vec<(&str, &[usize], Vec<f32>)> = drawn
            .iter()
            .map(|(name, (shape, value))| {
                let mut values = vec![1.0; shape.iter().product()];
                if let Some(first) = values.first_mut() {
                    *first = *value;
                }
                (name.as_str(), shape.as_slice(), values)
            })
            .collect();
        let mut files = vec![("model.safetensors", support::tensors(&tensors))];
        files.extend(config.map(|config| ("config.json", config.into_bytes())));
        match support::open(files) {
            Err(error) => prop_assert!(!error.to_string().is_empty()),
            Ok(inspection) => {
                let report = &inspection.report;
                let json = serde_json::to_string(report).unwrap();
                // JSON has no infinities. A number that must be finite would come back as null.
                let read: Result<Report, _> = serde_json::from_str(&json);
                prop_assert!(read.is_ok(), "{json}");
                for norm in &report.norms {
                    for reader in &norm.readers {
                        let DeadDirections { outright, with_bias_shift, constant_shift, tied } = reader.dead;
                        let dead = outright + with_bias_shift + constant_shift + tied;
                        prop_assert!(dead <= reader.parameters, "{} in {}", reader.name, norm.name);
                    }
                    for kind in [FigureKind::ScaleDistribution, FigureKind::SoftSpectrum, FigureKind::KernelDirection] {
                        let _ = figure(&inspection, kind, Some(&norm.name), Size { width: 300, height: 0 });
                    }
                }
                let _ = figure(&inspection, FigureKind::SiteMap, None, Size { width: 300, height: 0 });
            }
        }
    }
}
