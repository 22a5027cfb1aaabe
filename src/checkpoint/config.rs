//! `config.json`, read leniently: it is evidence about the checkpoint, not truth.

use serde_json::{Map, Value};

/// A configuration file and the part of the catalogue it speaks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Tensors whose names begin with this are its concern; empty for all.
    pub prefix: String,
    /// Path of the file.
    pub path: String,
    fields: Map<String, Value>,
}

/// A file that is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a JSON object ({reason}); the checkpoint is inspected without it")]
pub struct ConfigError {
    /// The file.
    pub path: String,
    /// What the parser met.
    pub reason: String,
}

/// Names under which configurations keep the width of the residual stream.
const WIDTH_FIELDS: [&str; 8] =
    ["hidden_size", "n_embd", "d_model", "dim", "n_embed", "embed_dim", "hidden_dim", "emb_dim"];

impl Config {
    /// Parses `bytes` as the configuration of everything below `prefix`.
    pub fn parse(prefix: impl Into<String>, path: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        let error = |reason: String| ConfigError { path: path.to_owned(), reason };
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self { prefix: prefix.into(), path: path.to_owned(), fields }),
            Ok(_) => Err(error("it holds another kind of value".to_owned())),
            Err(reason) => Err(error(reason.to_string())),
        }
    }

    /// `model_type`, or the first architecture's name.
    pub fn family(&self) -> Option<&str> {
        text(&self.fields, "model_type").or_else(|| self.fields.get("architectures")?.get(0)?.as_str())
    }

    /// Whether one of `architectures` ends with `head` (`ForCausalLM`).
    pub fn has_architecture(&self, head: &str) -> bool {
        let listed = self.fields.get("architectures").and_then(Value::as_array);
        listed.is_some_and(|names| {
            names.iter().any(|name| name.as_str().is_some_and(|name| name.ends_with(head)))
        })
    }

    /// The view of one tensor or site: a nested configuration (vision, audio, text) where its name points to one,
    /// with the whole file behind it.
    pub fn scope(&self, name: &str) -> Scope<'_> {
        let nested = nested_keys(name).iter().find_map(|key| self.fields.get(*key)?.as_object());
        Scope { nested, whole: &self.fields }
    }

    /// Widths of the residual streams it declares, nested parts included.
    pub fn widths(&self) -> Vec<u64> {
        let nested = self.fields.values().filter_map(Value::as_object);
        std::iter::once(&self.fields)
            .chain(nested)
            .flat_map(|map| WIDTH_FIELDS.iter().filter_map(|field| map.get(*field)?.as_u64()))
            .collect()
    }
}

/// Which nested configuration speaks for a tensor of this name.
fn nested_keys(name: &str) -> &'static [&'static str] {
    let lower = name.to_ascii_lowercase();
    if lower.contains("vision") || lower.contains("visual") || lower.contains("image_encoder") {
        &["vision_config", "vision_tower_config"]
    } else if lower.contains("audio") || lower.contains("speech") {
        &["audio_config", "speech_config", "encoder_config"]
    } else if lower.contains("qformer") {
        &["qformer_config"]
    } else {
        &["text_config", "llm_config", "language_config", "decoder"]
    }
}

/// Fields as one part of the model sees them.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    nested: Option<&'a Map<String, Value>>,
    whole: &'a Map<String, Value>,
}

impl<'a> Scope<'a> {
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.nested.and_then(|nested| nested.get(field)).or_else(|| self.whole.get(field))
    }

    /// A field that holds a string.
    pub fn text(&self, field: &str) -> Option<&'a str> {
        self.get(field)?.as_str()
    }

    /// A field that holds a non-negative integer.
    pub fn count(&self, field: &str) -> Option<u64> {
        self.get(field)?.as_u64()
    }

    /// A field that holds a truth value.
    pub fn truth(&self, field: &str) -> Option<bool> {
        self.get(field)?.as_bool()
    }

    /// Whether a field is there and not null.
    pub fn has(&self, field: &str) -> bool {
        self.get(field).is_some_and(|value| !value.is_null())
    }

    /// `model_type` of the part: the nested one first.
    pub fn family(&self) -> Option<&'a str> {
        self.text("model_type")
    }

    /// The width of the part's residual stream.
    pub fn width(&self) -> Option<u64> {
        WIDTH_FIELDS.iter().find_map(|field| self.count(field))
    }
}

fn text<'a>(map: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    map.get(field)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_configuration_speaks_for_its_part() {
        let config = Config::parse(
            "",
            "config.json",
            br#"{"model_type":"vlm","hidden_size":8,"vision_config":{"model_type":"vit","hidden_size":4}}"#,
        )
        .unwrap();
        assert_eq!(config.scope("vision_tower.blocks.0.norm1").family(), Some("vit"));
        assert_eq!(config.scope("model.norm").family(), Some("vlm"));
        assert_eq!(config.widths(), [8, 4]);
    }

    #[test]
    fn what_is_no_object_is_an_error_that_names_the_file() {
        assert!(Config::parse("", "config.json", b"[1]").unwrap_err().to_string().contains("`config.json`"));
        assert!(Config::parse("", "config.json", b"{").is_err());
    }
}
