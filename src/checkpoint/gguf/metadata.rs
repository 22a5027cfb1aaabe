//! Turns llama.cpp's metadata into the configuration of the model. The fields keep their own names, which evidence uses. The few
//! that readers need also get their names in config.json.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use crate::checkpoint::config::Config;
use serde_json::{Map, Value};

/// Keys after the architecture's name, and what config.json calls them.
const NAMES: [(&str, &str); 9] = [
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    // If a file has both, as T5's do, llama.cpp takes the first.
    ("attention.layer_norm_rms_epsilon", "norm_eps"),
    ("attention.layer_norm_epsilon", "norm_eps"),
    ("rope.freq_base", "rope_theta"),
    ("rope.dimension_count", "rotary_dim"),
    ("final_logit_softcapping", "final_logit_softcapping"),
];

/// Architectures without a language head. Nothing serves as one.
const HEADLESS: [&str; 11] = [
    "bert",
    "clip",
    "eurobert",
    "gemma-embedding",
    "jina-bert-v2",
    "jina-bert-v3",
    "modern-bert",
    "neo-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "t5encoder",
];

/// The configuration of the tensors below `prefix`. `names` are all tensors of the model, or `None` if a file is missing: without
/// an `output.weight`, llama.cpp unembeds with the input embedding.
pub(in crate::checkpoint) fn config(
    prefix: String,
    path: &str,
    mut metadata: Map<String, Value>,
    names: Option<&[&str]>,
) -> Config {
    let architecture =
        metadata.get("general.architecture").and_then(Value::as_str).unwrap_or_default().to_owned();
    let own =
        |metadata: &Map<String, Value>, end: &str| metadata.get(&format!("{architecture}.{end}")).cloned();
    for (end, name) in NAMES {
        if let Some(value) = own(&metadata, end) {
            metadata.entry(name).or_insert(value);
        }
    }
    let slopes = own(&metadata, "attention.max_alibi_bias").and_then(|value| value.as_f64());
    if slopes.is_some_and(|slopes| slopes > 0.0) {
        metadata.insert("alibi".to_owned(), true.into());
    }
    let causal = own(&metadata, "attention.causal") != Some(Value::Bool(false));
    let ties = |names: &[&str]| names.contains(&"token_embd.weight") && !names.contains(&"output.weight");
    if causal && !HEADLESS.contains(&architecture.as_str()) && names.is_some_and(ties) {
        metadata.insert("tie_word_embeddings".to_owned(), true.into());
    }
    Config::of_gguf(prefix, path, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn configured(metadata: Value, names: Option<&[&str]>) -> Config {
        let Value::Object(metadata) = metadata else { unreachable!("an object") };
        config(String::new(), "m.gguf", metadata, names)
    }

    #[test]
    fn the_keys_of_the_architecture_are_read_under_the_names_of_config_json() {
        let config = configured(
            json!({"general.architecture": "gemma3", "gemma3.embedding_length": 640, "gemma3.attention.head_count": 4,
                "gemma3.attention.layer_norm_rms_epsilon": 0.5, "llama.block_count": 3}),
            None,
        );
        let scope = config.scope("blk.0.attn_norm");
        assert_eq!((scope.width(), scope.epsilon(), scope.family()), (Some(640), Some(0.5), Some("gemma3")));
        assert_eq!(scope.count("num_attention_heads"), Some(4));
        assert!(scope.is_gguf() && !scope.has("num_hidden_layers") && !scope.has("tie_word_embeddings"));
    }

    #[test]
    fn the_embedding_unembeds_only_in_a_whole_decoder_that_stores_no_output() {
        let decoder = json!({"general.architecture": "llama"});
        let tied = |metadata: &Value, names: Option<&[&str]>| {
            configured(metadata.clone(), names).scope("output_norm").truth("tie_word_embeddings")
        };
        let embedding: &[&str] = &["token_embd.weight"];
        assert_eq!(tied(&decoder, Some(embedding)), Some(true));
        assert_eq!(tied(&decoder, Some(&["token_embd.weight", "output.weight"])), None);
        assert_eq!(tied(&decoder, None), None);
        assert_eq!(tied(&json!({"general.architecture": "bert"}), Some(embedding)), None);
        let masked = json!({"general.architecture": "llada", "llada.attention.causal": false});
        assert_eq!(tied(&masked, Some(embedding)), None);
    }
}
