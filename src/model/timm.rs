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
            known: "vit_*, deit_*, deit3_*, beit_*, eva_* and eva02_* of timm whose blocks are plain"
                .to_owned(),
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
    let (beit, eva) = (class == "beit", class == "eva");
    let pool = take("global_pool", json!(if beit || eva { "avg" } else { "token" }));
    let pooled = matches!(pool.as_str(), Some("avg" | "avgmax" | "max"));
    // If the mean over the tokens has a norm, the stream has none.
    let of_mean = match class {
        "beit" => pool == "avg",
        "eva" => truth(&take("use_fc_norm", json!(pool == "avg"))),
        _ => truth(&take("fc_norm", json!(pooled))),
    };
    let last = match eva {
        true => truth(&take("use_post_transformer_norm", json!(!of_mean))),
        false => truth(&take("final_norm", json!(true))) && !of_mean,
    };
    made.insert("final_norm".to_owned(), json!(last));
    if beit {
        made.insert("class_token".to_owned(), json!(true));
        made.insert("positions".to_owned(), take("use_abs_pos_emb", json!(true)));
        made.insert("own_window".to_owned(), take("use_rel_pos_bias", json!(false)));
        made.insert("shared_window".to_owned(), take("use_shared_rel_pos_bias", json!(false)));
    } else {
        let no_embedding = take("no_embed_class", json!(false));
        made.insert("embed_class".to_owned(), json!(!truth(&no_embedding)));
        made.insert("class_token".to_owned(), take("class_token", json!(true)));
        let (pre_norm, registers) =
            if eva { ("use_pre_transformer_norm", "num_reg_tokens") } else { ("pre_norm", "reg_tokens") };
        made.insert("pre_norm".to_owned(), take(pre_norm, json!(false)));
        made.insert("num_register_tokens".to_owned(), take(registers, json!(0)));
    }
    match class {
        "beit" => {}
        "eva" => of_eva(&mut made, ratio, &mut take),
        _ => {
            made.insert("qk_norm".to_owned(), take("qk_norm", json!(false)));
            made.insert("distilled".to_owned(), json!(class == "distilled"));
        }
    }
    // These options only affect heads, initialisation, or the preparation of images.
    for neutral in ["num_classes", "weight_init", "pool_include_prefix", "drop_rate", "drop_path_rate"] {
        take(neutral, Value::Null);
    }
    made.extend(options);
    let family = match class {
        "beit" => "timm_beit",
        "eva" => "timm_eva",
        _ => "timm_vit",
    };
    made.insert("model_type".to_owned(), json!(family));
    made
}

/// Adds the fields of EVA's blocks: which row they have, the hidden width, norms inside parts, and rotary positions. `ratio` is the hidden
/// width over the width of the stream.
fn of_eva(made: &mut Map<String, Value>, ratio: f64, take: &mut impl FnMut(&str, Value) -> Value) {
    let mut is = |option: &str, usual: bool| take(option, json!(usual)).as_bool().unwrap_or(usual);
    let (fused, post_norm, positions) =
        (is("qkv_fused", true), is("use_post_norm", false), is("use_abs_pos_emb", true));
    let (gated, hidden_norm, attention_norm) =
        (is("swiglu_mlp", false), is("scale_mlp", false), is("scale_attn_inner", false));
    let (rotary, halves) = (is("use_rot_pos_emb", false), is("rope_rotate_half", false));
    let multiple = take("swiglu_align_to", json!(0)).as_u64().unwrap_or(0);
    let mut hidden = (made["hidden_size"].as_f64().unwrap_or(0.0) * ratio) as u64;
    let separate = gated && (hidden_norm || multiple > 0);
    if separate && multiple > 0 {
        hidden = hidden.checked_next_multiple_of(multiple).unwrap_or(hidden);
    }
    let gate = match (gated, separate) {
        (false, _) => "none",
        (true, false) => "packed",
        (true, true) => "separate",
    };
    made.insert("gate".to_owned(), json!(gate));
    made.insert("intermediate_size".to_owned(), json!(hidden));
    made.insert("positions".to_owned(), json!(positions));
    if gated {
        // timm's gated part has its own activation.
        made.remove("hidden_act");
    }
    for (field, value) in [("fused", fused), ("post_norm", post_norm), ("rotary", rotary)] {
        made.insert(field.to_owned(), json!(value));
    }
    for (field, value) in [("attention_norm", attention_norm), ("hidden_norm", hidden_norm)] {
        if value {
            made.insert(field.to_owned(), json!(true));
        }
    }
    let [kind, theta, grid] =
        [("rope_type", json!("cat")), ("rope_temperature", json!(10_000.0)), ("ref_feat_shape", Value::Null)]
            .map(|(option, usual)| take(option, usual));
    if rotary {
        made.insert("rotary_halves".to_owned(), json!(halves));
        made.insert("rope_theta".to_owned(), theta);
        match kind.as_str() {
            Some("cat") => {
                made.insert("rotary_grid".to_owned(), grid);
            }
            Some("dinov3") => {
                made.insert("rotary_centres".to_owned(), json!(true));
            }
            // Nothing reads this field, so other positions are refused by name.
            _ => {
                made.insert("rope_type".to_owned(), kind);
            }
        }
    }
}
