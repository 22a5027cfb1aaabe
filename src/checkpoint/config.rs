//! `config.json`, read leniently: it is evidence about the checkpoint, not truth.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::json;
use serde_json::{Map, Value};

/// A configuration file and the part of the catalogue it applies to.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// It applies to tensors whose names begin with this. Empty for all.
    pub prefix: String,
    /// Path of the file.
    pub path: String,
    fields: Map<String, Value>,
    /// Whether it is the metadata of a GGUF file.
    gguf: bool,
}

/// A file that is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a JSON object ({reason}); the checkpoint is inspected without it")]
pub struct ConfigError {
    /// The file.
    pub path: String,
    /// What the parser found.
    pub reason: String,
}

impl ConfigError {
    /// The error for a file that is too long to read.
    pub(super) fn too_long(path: &str, length: u64) -> Self {
        Self { path: path.to_owned(), reason: format!("it has {length} bytes, more than any configuration") }
    }
}

/// Names under which configurations keep the width of the residual stream.
const WIDTH_FIELDS: [&str; 8] =
    ["hidden_size", "n_embd", "d_model", "dim", "n_embed", "embed_dim", "hidden_dim", "emb_dim"];

/// Names under which configurations keep the ε of their norms.
const EPSILON_FIELDS: [&str; 8] = [
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "layernorm_epsilon",
    "norm_eps",
    "norm_epsilon",
    "layernorm_eps",
    "eps",
];

impl Config {
    /// Parses `bytes` as the configuration of everything below `prefix`.
    pub fn parse(prefix: impl Into<String>, path: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        let error = |reason: String| ConfigError { path: path.to_owned(), reason };
        if json::values(bytes) > json::MOST_VALUES {
            return Err(error(format!("it holds more than {} values", json::MOST_VALUES)));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => {
                // GGUF's metadata, written out as JSON.
                let gguf = fields.contains_key("general.architecture");
                Ok(Self { prefix: prefix.into(), path: path.to_owned(), fields, gguf })
            }
            Ok(_) => Err(error("it holds another kind of value".to_owned())),
            Err(reason) => Err(error(reason.to_string())),
        }
    }

    /// The metadata of the GGUF file `path` as the configuration of everything below `prefix`.
    pub(super) fn of_gguf(prefix: String, path: &str, fields: Map<String, Value>) -> Self {
        Self { prefix, path: path.to_owned(), fields, gguf: true }
    }

    /// Fields that lie in the file `path` with the weights, as the configuration of everything below `prefix`.
    #[cfg(any(feature = "pytorch", feature = "verify"))]
    pub(crate) fn of_fields(prefix: String, path: &str, fields: Map<String, Value>) -> Self {
        Self { prefix, path: path.to_owned(), fields, gguf: false }
    }

    /// Adds a field.
    #[cfg(feature = "verify")]
    pub(crate) fn set(&mut self, field: &str, value: Value) {
        self.fields.insert(field.to_owned(), value);
    }

    /// Removes a field.
    #[cfg(feature = "verify")]
    pub(crate) fn remove(&mut self, field: &str) {
        self.fields.remove(field);
    }

    /// `model_type`, diffusers' `_class_name`, GGUF's `general.architecture`, or the first architecture's name.
    pub fn family(&self) -> Option<&str> {
        family(&self.fields).or_else(|| self.fields.get("architectures")?.get(0)?.as_str())
    }

    /// All its fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Whether one of `architectures` ends with `head` (`ForCausalLM`).
    pub fn has_architecture(&self, head: &str) -> bool {
        let listed = self.fields.get("architectures").and_then(Value::as_array);
        listed.is_some_and(|names| {
            names.iter().any(|name| name.as_str().is_some_and(|name| name.ends_with(head)))
        })
    }

    /// The view of one tensor or site: the nested configurations that its name points to (vision tower, audio encoder,
    /// q-former, language model), within the whole.
    pub fn scope(&self, name: &str) -> Scope<'_> {
        let lower = name.to_ascii_lowercase();
        let mut scope = Scope { chain: [None; DEPTH], whole: &self.fields, aside: false, gguf: self.gguf };
        for depth in 0..DEPTH {
            let Some((key, fields)) = nested(scope.inner(), &lower) else { break };
            scope.chain[depth] = Some(fields);
            scope.aside |= !TEXT_KEYS.contains(&key);
        }
        scope
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

/// Nested configurations of the language model. They apply if a name points to no other.
const TEXT_KEYS: [&str; 5] = ["text_config", "llm_config", "language_config", "decoder", "decoder_config"];

/// How deep configurations may be nested.
const DEPTH: usize = 3;

/// With more fields than this, nested configurations are ignored: the search runs for every tensor.
const MOST_FIELDS: usize = 4096;

/// Words of a path that point to a nested configuration, by its key without `_config`. Any other key is its own word.
fn words_for(stem: &str) -> &[&str] {
    match stem {
        "vision" | "vision_tower" => &["vision", "visual", "image", "img", "vit"],
        "audio" | "speech" => &["audio", "speech", "sound"],
        "text" => &["text", "language", "llm", "lm"],
        _ => &[],
    }
}

/// The configuration inside `fields` that applies to a path in lower case: one that a word of the path points to, otherwise the
/// language model's.
fn nested<'a>(fields: &'a Map<String, Value>, path: &str) -> Option<(&'a str, &'a Map<String, Value>)> {
    let spoken = |key: &str| {
        let stem = key.trim_end_matches("_config");
        let own = [stem];
        let words = if words_for(stem).is_empty() { &own[..] } else { words_for(stem) };
        path.split(['.', '/'])
            .any(|part| words.contains(&part) || part.split('_').any(|word| words.contains(&word)))
    };
    if fields.len() > MOST_FIELDS {
        return None;
    }
    let inner = || {
        fields.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_object()?))).filter(
            |(_, inner)| {
                inner.contains_key("model_type")
                    || WIDTH_FIELDS.iter().any(|field| inner.contains_key(*field))
            },
        )
    };
    inner()
        .filter(|(key, _)| !TEXT_KEYS.contains(key) && spoken(key))
        .max_by_key(|(key, _)| key.len())
        .or_else(|| TEXT_KEYS.iter().find_map(|text| inner().find(|(key, _)| key == text)))
}

/// The fields that apply to one part of the model.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Nested configurations, the outermost first.
    chain: [Option<&'a Map<String, Value>>; DEPTH],
    whole: &'a Map<String, Value>,
    /// Whether the part is not the language model. Then fields outside its own configuration describe another part.
    aside: bool,
    gguf: bool,
}

impl<'a> Scope<'a> {
    fn inner(&self) -> &'a Map<String, Value> {
        self.chain.iter().flatten().next_back().copied().unwrap_or(self.whole)
    }

    /// The innermost configuration first.
    fn maps(&self) -> impl Iterator<Item = &'a Map<String, Value>> {
        let whole = (!self.aside).then_some(self.whole);
        self.chain.into_iter().rev().flatten().chain(whole)
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.maps().find_map(|map| map.get(field))
    }

    /// `model_type` (or what stands for it) of each configuration, the outermost first. `None` if one has none.
    pub fn families(&self) -> impl DoubleEndedIterator<Item = Option<&'a str>> {
        std::iter::once(self.whole).chain(self.chain.into_iter().flatten()).map(family)
    }

    /// A field that holds a string.
    pub fn text(&self, field: &str) -> Option<&'a str> {
        self.get(field)?.as_str()
    }

    /// A field that holds a non-negative integer.
    pub fn count(&self, field: &str) -> Option<u64> {
        self.get(field)?.as_u64()
    }

    /// A field that holds a number.
    pub fn number(&self, field: &str) -> Option<f64> {
        self.get(field)?.as_f64()
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
        self.maps().find_map(family)
    }

    /// Whether a GGUF file's metadata has a field with this ending (`llama.attention.layer_norm_rms_epsilon`).
    pub fn has_ending(&self, end: &str) -> bool {
        self.whole.keys().any(|key| key.ends_with(end))
    }

    /// Whether these are the metadata of a GGUF file.
    pub fn is_gguf(&self) -> bool {
        self.gguf
    }

    /// ε of the part's norms.
    pub fn epsilon(&self) -> Option<f64> {
        EPSILON_FIELDS.iter().find_map(|field| self.number(field)).filter(|epsilon| *epsilon > 0.0)
    }

    /// The width of the part's residual stream.
    pub fn width(&self) -> Option<u64> {
        WIDTH_FIELDS.iter().find_map(|field| self.count(field))
    }
}

/// What a configuration calls its family.
fn family(map: &Map<String, Value>) -> Option<&str> {
    ["model_type", "_class_name", "general.architecture"].iter().find_map(|field| map.get(*field)?.as_str())
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
    fn a_configuration_of_a_million_values_is_refused_before_it_is_parsed() {
        let many = format!("{{\"a\":[{}0]}}", "0,".repeat(json::MOST_VALUES));
        let error = Config::parse("", "config.json", many.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`config.json`") && error.contains("more than 1000000 values"), "{error}");
    }

    #[test]
    fn a_configuration_that_is_no_object_is_an_error_that_names_the_file() {
        assert!(Config::parse("", "config.json", b"[1]").unwrap_err().to_string().contains("`config.json`"));
        assert!(Config::parse("", "config.json", b"{").is_err());
    }
}
