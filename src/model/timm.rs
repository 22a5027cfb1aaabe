//! timm's configurations name an architecture and only the options that differ from it. `timm.tsv` has the meaning of the names;
//! `scripts/timm_architectures.py` writes it by asking timm.

use super::ModelError;
use crate::checkpoint::config::Config;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// One line for each architecture: its name, the class of its model, and as JSON the options of its constructor that differ from the
/// defaults.
const ARCHITECTURES: &str = include_str!("timm.tsv");

/// Translates timm's configuration to fields that rows read, most with the names in transformers. Other configurations stay as they are.
pub(super) fn translated(config: &Config) -> Result<Cow<'_, Config>, ModelError> {
    let fields = config.fields();
    let name = fields.get("architecture").and_then(Value::as_str);
    let Some(name) = name.filter(|_| !fields.contains_key("model_type")) else {
        return Ok(Cow::Borrowed(config));
    };
    let line = ARCHITECTURES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let known = line.filter_map(|line| match line[..] {
        [own, class, options] => Some((own, class, options)),
        _ => None,
    });
    let Some((_, class, options)) = known.into_iter().find(|(own, ..)| *own == name) else {
        return Err(ModelError::Family {
            path: config.path.clone(),
            family: name.to_owned(),
            known: "vit_*, deit_*, deit3_* and beit_* of timm whose blocks are plain".to_owned(),
        });
    };
    let mut options: Map<String, Value> = serde_json::from_str(options).unwrap_or_default();
    let own = fields.get("model_args").and_then(Value::as_object);
    options.extend(own.cloned().unwrap_or_default());
    let made = Value::Object(made(class, options, fields)).to_string();
    let made = Config::parse(config.prefix.clone(), &config.path, made.as_bytes());
    // JSON that was made here always parses.
    Ok(made.map_or(Cow::Borrowed(config), Cow::Owned))
}

/// Makes the fields of a model. An unknown option stays, and is an error if nothing reads it.
fn made(class: &str, mut options: Map<String, Value>, fields: &Map<String, Value>) -> Map<String, Value> {
    // [channels, rows, columns] of the images that the weights were trained on.
    let input = fields.get("pretrained_cfg").and_then(|trained| trained.get("input_size")?.as_array());
    let side = |at: usize| input.and_then(|input| input.get(at).cloned());
    let mut take = |option: &str, usual: Value| match options.remove(option) {
        None | Some(Value::Null) => usual,
        Some(value) => value,
    };
    let truth = |value: &Value| value.as_bool().unwrap_or(true);
    let mut made = Map::new();
    let trained = side(1).zip(side(2)).map_or(json!(224), |(rows, columns)| json!([rows, columns]));
    for (field, option, usual) in [
        ("hidden_size", "embed_dim", json!(768)),
        ("num_hidden_layers", "depth", json!(12)),
        ("num_attention_heads", "num_heads", json!(12)),
        ("patch_size", "patch_size", json!(16)),
        ("image_size", "img_size", trained),
        ("num_channels", "in_chans", side(0).unwrap_or(json!(3))),
        ("qkv_bias", "qkv_bias", json!(true)),
        ("init_values", "init_values", json!(0.0)),
        ("hidden_act", "act_layer", json!("gelu")),
        ("layer_norm_eps", "norm_eps", json!(1e-6)),
        ("gated", "gated", json!(false)),
    ] {
        made.insert(field.to_owned(), take(option, usual));
    }
    if made["hidden_act"] == "gelu_tanh" {
        made.insert("hidden_act".to_owned(), json!("gelu_pytorch_tanh"));
    }
    // In a gated part, timm counts both matrices.
    let ratio = take("mlp_ratio", json!(4.0)).as_f64().unwrap_or(4.0);
    let ratio = if made["gated"] == true { ratio / 2.0 } else { ratio };
    made.insert("mlp_ratio".to_owned(), json!(ratio));
    let beit = class == "beit";
    let pool = take("global_pool", json!(if beit { "avg" } else { "token" }));
    let pooled = matches!(pool.as_str(), Some("avg" | "avgmax" | "max"));
    // If the mean over the tokens has a norm, the stream has none.
    let of_mean = if beit { pool == "avg" } else { truth(&take("fc_norm", json!(pooled))) };
    let last = truth(&take("final_norm", json!(true))) && !of_mean;
    made.insert("final_norm".to_owned(), json!(last));
    if beit {
        made.insert("class_token".to_owned(), json!(true));
        made.insert("positions".to_owned(), take("use_abs_pos_emb", json!(true)));
        made.insert("own_window".to_owned(), take("use_rel_pos_bias", json!(false)));
        made.insert("shared_window".to_owned(), take("use_shared_rel_pos_bias", json!(false)));
    } else {
        let no_embedding = take("no_embed_class", json!(false));
        made.insert("embed_class".to_owned(), json!(!truth(&no_embedding)));
        for (option, usual) in [("class_token", true), ("pre_norm", false), ("qk_norm", false)] {
            made.insert(option.to_owned(), take(option, json!(usual)));
        }
        made.insert("distilled".to_owned(), json!(class == "distilled"));
        made.insert("num_register_tokens".to_owned(), take("reg_tokens", json!(0)));
    }
    // These options only affect heads, initialisation, or the preparation of images.
    for neutral in ["num_classes", "weight_init", "pool_include_prefix", "drop_rate", "drop_path_rate"] {
        take(neutral, Value::Null);
    }
    made.extend(options);
    made.insert("model_type".to_owned(), json!(if beit { "timm_beit" } else { "timm_vit" }));
    made
}
