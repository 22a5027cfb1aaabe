use super::*;
use crate::checkpoint;
use crate::checkpoint::dtype::TensorType;
use crate::source::memory::MemorySource;
use pollster::block_on;
use serde_json::{Value, json};

fn row_of(family: &str) -> &'static Row {
    rows().find(|row| row.families.contains(&family)).unwrap_or_else(|| panic!("{family} has no row"))
}

fn tensor(name: &str, dtype: u32, shape: &[u64], bytes: u64) -> Tensor {
    let (name, dtype, shape) = (name.to_owned(), TensorType::of_gguf(dtype), shape.to_vec());
    Tensor { name, dtype, shape, shard: 0, range: 64..64 + bytes, strides: None }
}

#[test]
fn every_architecture_has_a_family_whose_names_go_both_ways() {
    for known in &ARCHITECTURES {
        for family in [Some(known.family), known.of_experts].into_iter().flatten() {
            let row = row_of(family);
            for name in [
                "token_embd.weight",
                "output.weight",
                "output_norm.weight",
                "blk.17.attn_output.weight",
                "blk.3.ffn_down.weight",
            ] {
                let in_family = names::in_family(row, &tensor(name, 0, &[1], 4)).remove(0).0;
                assert_ne!(in_family, name, "{family}");
                assert_eq!(names::in_file(row, &in_family).as_deref(), Some(name), "{family}: {in_family}");
            }
        }
    }
}

#[test]
fn a_name_that_the_family_does_not_have_stays() {
    for name in ["blk.0.attn_sinks.weight", "blk.x.attn_q.weight", "mm.0.weight", "token_embd", ""] {
        let found = names::in_family(row_of("llama"), &tensor(name, 0, &[1], 4));
        assert_eq!(found, [(name.to_owned(), tensor(name, 0, &[1], 4))]);
    }
}

#[test]
fn the_experts_of_a_layer_are_parts_of_one_tensor() {
    // Three experts of 2 × 32 values, a block of Q4_0 for each row.
    let found = names::in_family(row_of("mixtral"), &tensor("blk.4.ffn_up_exps.weight", 2, &[3, 2, 32], 108));
    let expected: Vec<(String, u64)> = (0..3)
        .map(|expert| {
            (format!("model.layers.4.block_sparse_moe.experts.{expert}.w3.weight"), 64 + 36 * expert)
        })
        .collect();
    let found: Vec<(String, u64)> = found
        .into_iter()
        .map(|(name, part)| {
            assert_eq!((part.shape, part.range.end - part.range.start), (vec![2, 32], 36));
            (name, part.range.start)
        })
        .collect();
    assert_eq!(found, expected);
    let separate = names::in_family(row_of("mixtral"), &tensor("blk.4.ffn_gate.2.weight", 0, &[2, 2], 16));
    assert_eq!(separate[0].0, "model.layers.4.block_sparse_moe.experts.2.w1.weight");
}

#[test]
fn experts_that_the_tensor_cannot_hold_stay_one_tensor() {
    for (shape, bytes) in [([u64::MAX, 2, 32], 108), ([u64::MAX, 0, 32], 0)] {
        let claimed = tensor("blk.0.ffn_up_exps.weight", 2, &shape, bytes);
        assert_eq!(names::in_family(row_of("mixtral"), &claimed).len(), 1);
    }
}

/// The configuration that the metadata of a Llama make, with these further keys.
fn config(family: &str, architecture: &str, more: Value) -> Result<Value, String> {
    let mut stated = json!({"general.architecture": architecture});
    for (key, value) in [("embedding_length", 64), ("block_count", 2), ("attention.head_count", 8)] {
        stated[format!("{architecture}.{key}")] = value.into();
    }
    for end in ["attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"] {
        stated[format!("{architecture}.{end}")] = json!(1e-5);
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        stated[key] = value.clone();
    }
    if let Some(fields) = stated.as_object_mut() {
        let other = match row_of(family).norm.centring {
            crate::model::operation::Centring::Mean => "attention.layer_norm_rms_epsilon",
            crate::model::operation::Centring::None => "attention.layer_norm_epsilon",
        };
        fields.remove(&format!("{architecture}.{other}"));
        fields.retain(|_, value| !value.is_null());
    }
    let stated = Config::parse("", "m.gguf", stated.to_string().as_bytes()).unwrap();
    let metadata = fields::Metadata::new(&stated, architecture);
    let made = fields::config(&metadata, row_of(family), family, &[], |name| name == "output.weight");
    made.map(|config| Value::Object(config.fields().clone())).map_err(|error| error.to_string())
}

#[test]
fn fields_that_the_metadata_leave_out_are_those_of_llama_cpp() {
    let llama = config("llama", "llama", json!({})).unwrap();
    assert_eq!(
        llama,
        json!({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
            "num_key_value_heads": 8, "head_dim": 8, "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "rope_theta": 10000.0})
    );
    let gemma = config(
        "gemma3_text",
        "gemma3",
        json!({"gemma3.attention.key_length": 16, "gemma3.attention.sliding_window": 0}),
    )
    .unwrap();
    for (field, value) in [
        ("query_pre_attn_scalar", json!(16)),
        ("sliding_window", Value::Null),
        ("attn_logit_softcapping", Value::Null),
        ("rope_theta", json!(10000.0)),
        ("rope_local_base_freq", json!(10000.0)),
    ] {
        assert_eq!(gemma[field], value, "{field}");
    }
    let large =
        config("gemma3_text", "gemma3", json!({"gemma3.block_count": 62, "gemma3.attention.key_length": 16}))
            .unwrap();
    assert_eq!(large["query_pre_attn_scalar"], json!(8), "d over heads");
}

#[test]
fn stretched_positions_are_those_of_the_family() {
    let of = |more: Value| config("llama", "llama", more).map(|made| made["rope_scaling"].clone());
    let linear = json!({"rope_type": "linear", "factor": 4.0});
    assert_eq!(
        of(json!({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0})),
        Ok(linear.clone())
    );
    assert_eq!(of(json!({"llama.rope.scale_linear": 4.0})), Ok(linear));
    assert_eq!(of(json!({"llama.rope.scaling.type": "none"})), Ok(Value::Null));
    let factors = of(json!({"rope_freqs": [1.0, 2.0, 3.0, 4.0]})).unwrap();
    assert_eq!((&factors["rope_type"], &factors["short_factor"][3]), (&json!("longrope"), &json!(4.0)));
    let yarn = of(
        json!({"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 2.0, "llama.rope.scaling.original_context_length": 128}),
    );
    assert_eq!(
        yarn,
        Ok(json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 128}))
    );
    let error = of(json!({"llama.rope.scaling.type": "longrope"})).unwrap_err();
    assert!(error.contains("`llama.rope.scaling.type` is \"longrope\""), "{error}");
}

#[test]
fn sizes_that_contradict_each_other_are_named() {
    for (more, parts) in [
        (json!({"llama.attention.value_length": 4}), ["`llama.attention.value_length` is 4", "only with 8"]),
        (json!({"llama.rope.dimension_count": 4}), ["`llama.rope.dimension_count` is 4", "only with 8"]),
        (
            json!({"llama.embedding_length": "wide"}),
            ["`llama.embedding_length` is \"wide\"", "a whole number"],
        ),
        (json!({"llama.block_count": 0}), ["`llama.block_count` is 0", "above 0"]),
        (
            json!({"llama.attention.head_count": null}),
            ["`llama.attention.head_count` is not there", "add it"],
        ),
        (json!({"llama.attention.causal": false}), ["`llama.attention.causal` is false", "only with true"]),
        (json!({"llama.expert_count": 4}), ["`llama.expert_count` is 4", "only with 0"]),
    ] {
        let error = config("llama", "llama", more).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn other_formats_are_not_converted() {
    let bytes = include_bytes!("../../../tests/forward/llama/model.safetensors").to_vec();
    let checkpoint =
        block_on(checkpoint::open(vec![MemorySource::new("model.safetensors", bytes)], |_| {})).unwrap();
    assert!(Converted::of(&checkpoint, Accepted::Only(&[])).unwrap().is_none());
}
