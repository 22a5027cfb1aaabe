//! The report lists norms in the order in which the network runs them, for the names of every family.

use crate::support;
use gammascope::source::memory::MemorySource;

/// The sites of a file with these modules, in the order of the report. Norms are vectors, other modules are matrices.
fn order_of(modules: &[&str]) -> Vec<String> {
    let is_norm = |name: &str| {
        let last = name.rsplit('.').next().unwrap().to_lowercase();
        ["norm", "ln"].iter().any(|word| last.contains(word))
    };
    let names: Vec<String> = modules.iter().map(|module| format!("{module}.weight")).collect();
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = modules
        .iter()
        .zip(&names)
        .map(|(module, name)| match is_norm(module) {
            true => (name.as_str(), &[4usize][..], vec![1.0; 4]),
            false => (name.as_str(), &[4usize, 4][..], vec![0.5; 16]),
        })
        .collect();
    let file = MemorySource::new("model.safetensors".to_owned(), support::tensors(&tensors));
    let inspection = pollster::block_on(gammascope::inspect::inspect(vec![file], |_| {})).unwrap();
    inspection.report.norms.into_iter().map(|norm| norm.name).collect()
}

/// For each family: sites in the order of the network, and other modules that show their places.
const FAMILIES: &[(&str, &[&str], &[&str])] = &[
    (
        "Gemma 3",
        &[
            "model.layers.0.input_layernorm",
            "model.layers.0.self_attn.q_norm",
            "model.layers.0.self_attn.k_norm",
            "model.layers.0.post_attention_layernorm",
            "model.layers.0.pre_feedforward_layernorm",
            "model.layers.0.post_feedforward_layernorm",
            "model.layers.1.input_layernorm",
            "model.layers.1.post_feedforward_layernorm",
            "model.norm",
        ],
        &["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj", "model.embed_tokens"],
    ),
    (
        "Qwen 3",
        &[
            "model.layers.2.input_layernorm",
            "model.layers.2.self_attn.q_norm",
            "model.layers.2.self_attn.k_norm",
            "model.layers.2.post_attention_layernorm",
            "model.layers.10.input_layernorm",
            "model.norm",
        ],
        &["model.layers.2.self_attn.q_proj"],
    ),
    (
        "OLMo 2",
        &[
            "model.layers.0.self_attn.q_norm",
            "model.layers.0.self_attn.k_norm",
            "model.layers.0.post_attention_layernorm",
            "model.layers.0.post_feedforward_layernorm",
            "model.norm",
        ],
        &["model.layers.0.self_attn.q_proj"],
    ),
    (
        "GLM 4",
        &[
            "model.layers.0.input_layernorm",
            "model.layers.0.post_self_attn_layernorm",
            "model.layers.0.post_attention_layernorm",
            "model.layers.0.post_mlp_layernorm",
            "model.norm",
        ],
        &["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"],
    ),
    (
        "BERT",
        &[
            "bert.embeddings.LayerNorm",
            "bert.encoder.layer.0.attention.output.LayerNorm",
            "bert.encoder.layer.0.output.LayerNorm",
            "bert.encoder.layer.1.attention.output.LayerNorm",
            "cls.predictions.transform.LayerNorm",
        ],
        &["bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.0.output.dense"],
    ),
    ("GPT-2", &["h.0.ln_1", "h.0.ln_2", "h.1.ln_1", "ln_f"], &["h.0.attn.c_attn", "h.0.mlp.c_fc", "wte"]),
    (
        "T5",
        &[
            "encoder.block.0.layer.0.layer_norm",
            "encoder.block.0.layer.1.layer_norm",
            "encoder.final_layer_norm",
            "decoder.block.0.layer.0.layer_norm",
            "decoder.block.0.layer.1.layer_norm",
            "decoder.block.0.layer.2.layer_norm",
            "decoder.final_layer_norm",
        ],
        &[
            "encoder.block.0.layer.0.SelfAttention.q",
            "encoder.block.0.layer.1.DenseReluDense.wi",
            "decoder.block.0.layer.0.SelfAttention.q",
            "decoder.block.0.layer.1.EncDecAttention.q",
            "decoder.block.0.layer.2.DenseReluDense.wi",
        ],
    ),
    (
        "timm's ViT",
        &[
            "norm_pre",
            "blocks.0.norm1",
            "blocks.0.attn.q_norm",
            "blocks.0.attn.k_norm",
            "blocks.0.attn.norm",
            "blocks.0.norm2",
            "norm",
        ],
        &["blocks.0.attn.qkv", "blocks.0.mlp.fc1"],
    ),
    (
        "Whisper",
        &[
            "model.encoder.layers.0.self_attn_layer_norm",
            "model.encoder.layers.0.final_layer_norm",
            "model.encoder.layer_norm",
            "model.decoder.layers.0.self_attn_layer_norm",
            "model.decoder.layers.0.encoder_attn_layer_norm",
            "model.decoder.layers.0.final_layer_norm",
            "model.decoder.layer_norm",
        ],
        &["model.decoder.layers.0.encoder_attn.q_proj", "model.encoder.layers.0.fc1"],
    ),
    (
        "xLSTM",
        &[
            "backbone.blocks.0.norm_mlstm",
            "backbone.blocks.0.mlstm_layer.multihead_norm",
            "backbone.blocks.0.norm_ffn",
            "backbone.blocks.1.norm_mlstm",
            "backbone.out_norm",
        ],
        &[
            "backbone.blocks.0.mlstm_layer.q",
            "backbone.blocks.0.ffn.proj_up",
            "backbone.blocks.1.ffn.proj_up",
        ],
    ),
    (
        "RecurrentGemma",
        &[
            "model.layers.0.temporal_pre_norm",
            "model.layers.0.channel_pre_norm",
            "model.layers.1.temporal_pre_norm",
            "model.layers.1.channel_pre_norm",
            "model.final_norm",
        ],
        &[
            "model.layers.0.temporal_block.linear_x",
            "model.layers.0.mlp_block.up_proj",
            "model.layers.1.mlp_block.up_proj",
        ],
    ),
    (
        "Swin",
        &[
            "swin.embeddings.norm",
            "swin.encoder.layers.0.blocks.0.layernorm_before",
            "swin.encoder.layers.0.blocks.0.layernorm_after",
            "swin.encoder.layers.0.downsample.norm",
            "swin.encoder.layers.1.blocks.0.layernorm_before",
            "swin.encoder.layers.1.blocks.0.layernorm_after",
            "swin.layernorm",
        ],
        &["swin.encoder.layers.0.blocks.0.attention.self.query"],
    ),
    (
        "timm's Swin",
        &[
            "layers.0.blocks.0.norm1",
            "layers.0.blocks.0.norm2",
            "layers.1.downsample.norm",
            "layers.1.blocks.0.norm1",
            "norm",
        ],
        &["layers.0.blocks.0.attn.qkv"],
    ),
    (
        "LLaVA",
        &[
            "model.vision_tower.encoder.layers.0.layer_norm1",
            "model.vision_tower.encoder.layers.0.layer_norm2",
            "model.vision_tower.post_layernorm",
            "model.multi_modal_projector.norm",
            "model.language_model.layers.0.input_layernorm",
            "model.language_model.layers.0.post_attention_layernorm",
            "model.language_model.norm",
        ],
        &[
            "model.language_model.layers.0.self_attn.q_proj",
            "model.vision_tower.encoder.layers.0.self_attn.q_proj",
        ],
    ),
    (
        "diffusers",
        &[
            "transformer_blocks.0.norm1",
            "transformer_blocks.0.attn1.norm_q",
            "transformer_blocks.0.attn1.norm_k",
            "transformer_blocks.0.norm2",
            "transformer_blocks.0.attn2.norm_q",
            "transformer_blocks.0.attn2.norm_k",
            "transformer_blocks.0.norm3",
        ],
        &[
            "transformer_blocks.0.attn1.to_q",
            "transformer_blocks.0.attn2.to_q",
            "transformer_blocks.0.ff.net.0.proj",
        ],
    ),
    (
        "Conformer",
        &[
            "encoder.layers.0.ffn1_layer_norm",
            "encoder.layers.0.self_attn_layer_norm",
            "encoder.layers.0.conv_module.layer_norm",
            "encoder.layers.0.ffn2_layer_norm",
        ],
        &["encoder.layers.0.self_attn.linear_q", "encoder.layers.0.ffn1.output_dense"],
    ),
    (
        "RWKV",
        &["blocks.0.ln0", "blocks.0.ln1", "blocks.0.att.ln_x", "blocks.0.ln2", "blocks.1.ln1", "ln_out"],
        &["blocks.0.att.key", "blocks.0.ffn.key"],
    ),
    (
        "ESM",
        &[
            "esm.encoder.layer.0.attention.LayerNorm",
            "esm.encoder.layer.0.LayerNorm",
            "esm.encoder.layer.1.attention.LayerNorm",
            "esm.encoder.emb_layer_norm_after",
            "lm_head.layer_norm",
        ],
        &["esm.encoder.layer.0.attention.self.query", "esm.encoder.layer.0.intermediate.dense"],
    ),
    (
        "wav2vec 2.0",
        &[
            "wav2vec2.feature_projection.layer_norm",
            "wav2vec2.encoder.layers.0.layer_norm",
            "wav2vec2.encoder.layers.0.final_layer_norm",
            "wav2vec2.encoder.layer_norm",
        ],
        &["wav2vec2.encoder.layers.0.attention.q_proj"],
    ),
    (
        "GGUF",
        &[
            "token_embd_norm",
            "blk.0.attn_norm",
            "blk.0.attn_q_norm",
            "blk.0.attn_k_norm",
            "blk.0.post_attention_norm",
            "blk.0.ffn_norm",
            "blk.0.post_ffw_norm",
            "output_norm",
        ],
        &["blk.0.attn_q", "blk.0.ffn_up"],
    ),
];

#[test]
fn norms_are_listed_in_the_order_in_which_the_network_runs_them() {
    for (family, sites, others) in FAMILIES {
        // In reverse, so that the order in the file does not help.
        let modules: Vec<&str> = others.iter().chain(sites.iter()).rev().copied().collect();
        assert_eq!(order_of(&modules), *sites, "{family}");
    }
}
