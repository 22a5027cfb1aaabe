//! What a training script saved about the model beside its weights, as a configuration: the arguments of fairseq and Megatron
//! (`args`, `cfg`), Lightning's `hyper_parameters`, nanoGPT's `model_args`.
//!
//! Such a namespace describes the training too, and its names are those of one script. So only fields with one meaning are taken:
//! width, layers, heads, ε, the kind of norm and where it stands. Every other field is ignored.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::pickle::{Id, Machine, Value};
use serde_json::Map;

/// Keys beside the weights that hold the arguments, in the order in which they are tried.
const KEYS: [&str; 9] = [
    "cfg",
    "args",
    "hyper_parameters",
    "hparams",
    "model_args",
    "model_config",
    "config",
    "model_kwargs",
    "opt",
];

/// Keys inside the arguments that hold those of the model.
const INNER: [&str; 8] =
    ["model", "model_args", "model_config", "model_cfg", "config", "cfg", "args", "hparams"];

/// How deep arguments are searched inside arguments.
const DEPTH: usize = 3;

/// Most entries of a dictionary of arguments.
const MOST_ENTRIES: usize = 4096;

/// Fields of one meaning: what `config.json` calls them, and what scripts do. Encoder and decoder must agree.
const COUNTS: [(&str, &[&str]); 4] = [
    (
        "hidden_size",
        &["hidden_size", "n_embd", "n_embed", "d_model", "dim", "encoder_embed_dim", "decoder_embed_dim"],
    ),
    (
        "num_hidden_layers",
        &["num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"],
    ),
    (
        "num_attention_heads",
        &[
            "num_attention_heads",
            "n_head",
            "n_heads",
            "num_heads",
            "encoder_attention_heads",
            "decoder_attention_heads",
        ],
    ),
    ("num_key_value_heads", &["num_key_value_heads", "n_kv_heads", "n_kv_head", "num_kv_heads"]),
];

/// The ε of the norms. A bare `eps` may be that of the optimizer. All of them become `norm_eps`, which is no evidence of the kind:
/// that was counted on the names in `config.json`.
const EPSILONS: [&str; 7] = [
    "norm_eps",
    "layer_norm_eps",
    "rms_norm_eps",
    "layernorm_epsilon",
    "layer_norm_epsilon",
    "norm_epsilon",
    "layernorm_eps",
];

/// Fields whose text names the kind of norm or its place.
const TEXTS: [&str; 8] = [
    "norm_type",
    "normalization",
    "normalization_type",
    "layer_norm_type",
    "layernorm_type",
    "norm_class",
    "layernorm_style",
    "norm_position",
];

/// Fields that choose the kind of norm, its scale or its place.
const TRUTHS: [&str; 14] = [
    "rms_norm",
    "use_rms_norm",
    "rmsnorm",
    "use_rmsnorm",
    "apply_layernorm_1p",
    "zero_centered_gamma",
    "layernorm_zero_centered_gamma",
    "normalize_before",
    "encoder_normalize_before",
    "do_layer_norm_before",
    "norm_first",
    "pre_norm",
    "pre_layer_norm",
    "use_pre_layer_norm",
];

/// The key of the arguments in `object`, and what they say of the model. `None` if there are none, or if they give neither
/// layers nor heads.
pub(super) fn declared(
    machine: &Machine,
    object: Id,
) -> Option<(&'static str, Map<String, serde_json::Value>)> {
    let root = entries(machine, object)?;
    KEYS.into_iter().find_map(|key| Some((key, of_model(machine, under(machine, root, key)?, DEPTH)?)))
}

/// The arguments of the model in `id`, or in what it holds.
fn of_model(machine: &Machine, id: Id, depth: usize) -> Option<Map<String, serde_json::Value>> {
    let held = entries(machine, id)?;
    let inner = || {
        let inside = INNER.iter().filter_map(|key| under(machine, held, key));
        inside.filter(|_| depth > 0).find_map(|id| of_model(machine, id, depth.saturating_sub(1)))
    };
    fields(machine, held).or_else(inner)
}

/// What a dictionary of arguments says of the model, under the names of `config.json`.
fn fields(machine: &Machine, held: &[(Id, Id)]) -> Option<Map<String, serde_json::Value>> {
    let mut fields = Map::new();
    for (name, spellings) in COUNTS {
        let mut said = spellings.iter().filter_map(|key| count(machine, under(machine, held, key)?));
        if let Some(first) = said.next().filter(|first| said.all(|other| other == *first)) {
            fields.insert(name.to_owned(), first.into());
        }
    }
    // A width alone may be that of anything.
    if !["num_hidden_layers", "num_attention_heads"].iter().any(|name| fields.contains_key(*name)) {
        return None;
    }
    let mut epsilons =
        EPSILONS.iter().filter_map(|key| machine.float(bare(machine, under(machine, held, key)?)));
    if let Some(first) = epsilons.next().filter(|first| epsilons.all(|other| other == *first)) {
        fields.insert("norm_eps".to_owned(), first.into());
    }
    for key in TEXTS {
        let text = under(machine, held, key).and_then(|id| machine.text(bare(machine, id)));
        fields.extend(text.map(|text| (key.to_owned(), text.into())));
    }
    for key in TRUTHS {
        let truth = under(machine, held, key).and_then(|id| machine.truth(bare(machine, id)));
        fields.extend(truth.map(|truth| (key.to_owned(), truth.into())));
    }
    Some(fields)
}

fn count(machine: &Machine, id: Id) -> Option<u64> {
    u64::try_from(machine.int(bare(machine, id))?).ok().filter(|count| *count > 0)
}

/// The entries of a dictionary, of a namespace, or of OmegaConf's dictionary.
fn entries(machine: &Machine, id: Id) -> Option<&[(Id, Id)]> {
    let of = |id: Id| match machine.value(id) {
        Value::Dict(pairs) => Some(pairs.as_slice()).filter(|pairs| pairs.len() <= MOST_ENTRIES),
        _ => None,
    };
    let Value::Object { state: Some(state), .. } = machine.value(id) else { return of(id) };
    let held = of(*state)?;
    under(machine, held, "_content").map_or(Some(held), of)
}

fn under(machine: &Machine, pairs: &[(Id, Id)], wanted: &str) -> Option<Id> {
    pairs.iter().rev().find(|(key, _)| machine.text(*key) == Some(wanted)).map(|(_, value)| *value)
}

/// The value in a node of OmegaConf, or the value itself.
fn bare(machine: &Machine, id: Id) -> Id {
    let Value::Object { state: Some(state), .. } = machine.value(id) else { return id };
    let Value::Dict(pairs) = machine.value(*state) else { return id };
    if pairs.len() > MOST_ENTRIES { id } else { under(machine, pairs, "_val").unwrap_or(id) }
}
