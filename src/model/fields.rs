//! A configuration as a list of leaves that remembers which were read.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::ModelError;
use super::read_fields::may_read;
use super::rms_normed;
use super::table::{LayerScaleRow, ProjectorRow, Row, Switch};
use crate::checkpoint::config::Config;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Fields that no forward pass of any family reads: names, ids, training, and sizes that tensors already show.
const NEUTRAL: [&str; 69] = [
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cls_token_id",
    "decoder_start_token_id",
    "do_sample",
    "dtype",
    "early_stopping",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "init_device",
    "init_std",
    "initializer_cutoff_factor",
    "initializer_factor",
    "initializer_range",
    "intermediate_size",
    "is_llama_config",
    "layerdrop",
    "length_penalty",
    "mask_token_id",
    "max_length",
    "max_position_embeddings",
    "min_length",
    "model_type",
    "n_ctx",
    "n_inner",
    "n_positions",
    "no_bias",
    "num_labels",
    "pad_token_id",
    "pretraining_tp",
    "prefix",
    "problem_type",
    "reference_compile",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sep_token_id",
    "slow_but_exact",
    "suppress_tokens",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "typical_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_bfloat16",
    "use_cache",
    "vocab_size",
    "ffn_dim",
];
/// Beginnings and middles of such fields.
const NEUTRAL_BEGINNINGS: [&str; 14] = [
    "classifier_",
    "summary_",
    "output_",
    "id2label",
    "label2id",
    "task_specific_params",
    "num_beam",
    "num_return",
    "seq_classif",
    "no_repeat",
    "encoder_no_repeat",
    "diversity",
    // How weights are packed. Opening a checkpoint unpacks them.
    "quantization",
    "compression_config",
];
const NEUTRAL_PARTS: [&str; 2] = ["dropout", "pdrop"];
/// Fields that change nothing if they have the value that every configuration has by default. Old files, and those that state every
/// field, have them.
const NEUTRAL_IF_FALSE: [&str; 4] = ["add_cross_attention", "is_decoder", "is_encoder_decoder", "xla_device"];

/// Which fields a run accepts although they may change the function and nobody here knows how.
#[derive(Debug, Clone, Copy)]
pub enum Accepted<'a> {
    /// Those that the user assumes to change nothing.
    Only(&'a [String]),
    /// All: the configuration was accepted before.
    All,
}

/// The leaves of a configuration. Objects inside it are paths with dots.
#[derive(Debug)]
pub struct Fields<'a> {
    path: &'a str,
    family: &'a str,
    leaves: Vec<(String, &'a Value)>,
    /// Indices of the leaves, sorted by path.
    places: Vec<usize>,
    usual: &'static [(&'static str, usize)],
    /// Whether the model has code of its own beside the weights.
    own_code: bool,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// Reads a configuration of this family.
    pub fn new(config: &'a Config, family: &'a str) -> Self {
        let leaves = leaves_of(config.fields());
        let places = places(&leaves);
        // The modelling file of such a family does nothing more.
        let is_ours = rms_normed::base(config.family().unwrap_or_default()).1;
        let own_code = config.fields().contains_key("auto_map") && !is_ours;
        Self { path: &config.path, family, leaves, places, usual: &[], own_code, read: RefCell::default() }
    }

    /// Reads the fields for this row, which fits. If the row names a nested configuration, these are its fields. Counts that are missing
    /// come from the row.
    pub(super) fn of_row(config: &'a Config, family: &'a str, row: &Row) -> Self {
        let read = row.given.iter().map(|(field, _)| (*field).to_owned()).collect();
        let whole = Self { usual: row.usual, read: RefCell::new(read), ..Self::new(config, family) };
        let inner = row.part.and_then(|part| config.fields().get(part)?.as_object());
        let Some(inner) = inner else { return whole };
        let mut leaves = leaves_of(inner);
        if row.around_part {
            let is_around = |name: &str| config.fields().get(name).is_some_and(|value| !value.is_object());
            // Whether the head is tied is never said inside.
            leaves.retain(|(name, _)| !is_around(name) && name != "tie_word_embeddings");
            let around = config.fields().iter().filter(|(_, value)| !value.is_object());
            leaves.extend(around.map(|(name, value)| (name.clone(), value)));
        }
        let places = places(&leaves);
        Self { leaves, places, ..whole }
    }

    /// Returns a field that exists and is not null.
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(field.to_owned());
        self.leaf(field).filter(|value| !value.is_null())
    }

    /// Finds a leaf by binary search: a configuration may have a million leaves, and each layer looks up some.
    fn leaf(&self, field: &str) -> Option<&'a Value> {
        let first = self.places.partition_point(|&at| self.leaves[at].0.as_str() < field);
        let (name, value) = self.leaves.get(*self.places.get(first)?)?;
        (name == field).then_some(*value)
    }

    /// Whether there is an object of this name with fields in it.
    pub(super) fn holds(&self, object: &str) -> bool {
        let within = format!("{object}.");
        let first = self.places.partition_point(|&at| self.leaves[at].0 < within);
        self.places.get(first).is_some_and(|&at| self.leaves[at].0.starts_with(&within))
    }

    /// Whether a field exists, null or not.
    pub fn mentions(&self, field: &str) -> bool {
        self.leaf(field).is_some()
    }

    fn typed<T>(
        &self,
        field: &str,
        as_type: impl Fn(&'a Value) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, ModelError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        as_type(value).map(Some).ok_or_else(|| self.wrong(field, expected))
    }

    /// Returns the count in the first of these fields that exists.
    pub fn count(&self, fields: &[&str]) -> Result<Option<usize>, ModelError> {
        for field in fields {
            let found = self.typed(field, size, SIZE)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns the count in the first of these fields that exists, or else the one of the row.
    pub(super) fn counted(&self, fields: &[&str]) -> Result<Option<usize>, ModelError> {
        let usual = || self.usual.iter().find(|(name, _)| fields.contains(name)).map(|(_, usual)| *usual);
        Ok(self.count(fields)?.or_else(usual))
    }

    /// Returns a count that must exist and not be zero.
    pub fn needed(&self, fields: &[&str]) -> Result<usize, ModelError> {
        let missing = || ModelError::Missing {
            path: self.path.to_owned(),
            field: fields.first().copied().unwrap_or_default().to_owned(),
            family: self.family.to_owned(),
        };
        match self.counted(fields)? {
            Some(0) => Err(self.wrong(fields[0], "a number above 0")),
            found => found.ok_or_else(missing),
        }
    }

    /// Whether the embedding has segments: `type_vocab_size` is not 0.
    pub(super) fn has_segments(&self) -> Result<bool, ModelError> {
        Ok(self.counted(&["type_vocab_size"])? != Some(0))
    }

    /// Returns two counts, of rows and of columns. A field with one number gives both.
    pub(super) fn sides(&self, field: &str) -> Result<[usize; 2], ModelError> {
        let Some(Value::Array(both)) = self.get(field) else { return Ok([self.needed(&[field])?; 2]) };
        let sides: Vec<usize> = both.iter().filter_map(size).filter(|side| *side > 0).collect();
        match (sides.as_slice(), both.len()) {
            (&[rows, columns], 2) => Ok([rows, columns]),
            _ => Err(self.wrong(field, "one number above 0, or two")),
        }
    }

    /// Returns a number.
    pub fn number(&self, fields: &[&str]) -> Result<Option<f64>, ModelError> {
        for field in fields {
            let found = self.typed(field, Value::as_f64, "a number")?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns a list of counts.
    pub(super) fn counts(&self, field: &str) -> Result<Option<Vec<usize>>, ModelError> {
        let of = |value: &Value| value.as_array()?.iter().map(size).collect();
        self.typed(field, of, "a list of whole numbers below 2147483648")
    }

    /// Returns a list of numbers.
    pub fn numbers(&self, field: &str) -> Result<Option<Vec<f64>>, ModelError> {
        let of = |value: &Value| value.as_array()?.iter().map(Value::as_f64).collect();
        self.typed(field, of, "a list of numbers")
    }

    /// Returns a truth value.
    pub fn truth(&self, field: &str) -> Result<Option<bool>, ModelError> {
        self.typed(field, Value::as_bool, "true or false")
    }

    /// Returns a truth value that the row fixes or reads from a field.
    pub fn switch(&self, switch: Switch) -> Result<bool, ModelError> {
        Ok(match switch {
            Switch::Is(value) => value,
            Switch::Field(field, usual) => self.truth(field)?.unwrap_or(usual),
            Switch::Unless(field, usual) => !self.truth(field)?.unwrap_or(usual),
        })
    }

    /// Returns the initial value of a LayerScale. `None` if there is none.
    pub(super) fn layer_scale(&self, row: &LayerScaleRow) -> Result<Option<f64>, ModelError> {
        let (field, usual) = row.initial;
        let usual = Some(usual).filter(|_| !self.mentions(field));
        Ok(self.number(&[field])?.or(usual).filter(|value| *value != 0.0))
    }

    /// Returns the rows, and columns, of patches that a projector reads at once.
    pub(super) fn side(&self, row: &ProjectorRow) -> Result<usize, ModelError> {
        let Some((field, usual)) = row.side else { return Ok(1) };
        Ok(self.count(&[field])?.unwrap_or(usual))
    }

    /// Returns a string.
    pub fn text(&self, fields: &[&str]) -> Result<Option<&'a str>, ModelError> {
        for field in fields {
            let found = self.typed(field, Value::as_str, "a string")?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Makes the error for a field with a value that is not known.
    pub fn wrong(&self, field: &str, expected: &str) -> ModelError {
        ModelError::Value {
            path: self.path.to_owned(),
            field: field.to_owned(),
            value: self.get(field).map_or_else(|| "absent".to_owned(), shown),
            family: self.family.to_owned(),
            expected: expected.to_owned(),
        }
    }

    /// Fails with the first field that was not read, might change the function and is not `accepted`. Fields in `neutral` do not change it
    /// in this family. Returns the fields that were not read because transformers' code does not read them, or because they are accepted.
    pub fn all_read(&self, neutral: &[&str], accepted: Accepted<'_>) -> Result<Vec<String>, ModelError> {
        let read = self.read.borrow();
        let harmless = |name: &str| {
            let first = name.split('.').next().unwrap_or(name);
            // It, or the object that holds it; names of fields have dots, too.
            let is_of = |field: &&str| {
                name.strip_prefix(*field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            NEUTRAL.iter().chain(neutral).any(is_of)
                || NEUTRAL_BEGINNINGS.iter().any(|beginning| first.starts_with(beginning))
                || NEUTRAL_PARTS.iter().any(|part| name.contains(part))
        };
        let is_default =
            |name: &str, value: &Value| *value == Value::Bool(false) && NEUTRAL_IF_FALSE.contains(&name);
        // A part of the configuration may be of another family than the whole.
        let part = self.leaf("model_type").and_then(Value::as_str).unwrap_or(self.family);
        let part = rms_normed::base(part).0;
        let is_unused = |name: &str| {
            let first = name.split('.').next().unwrap_or(name);
            !self.own_code && [self.family, part].iter().all(|family| may_read(family, first) == Some(false))
        };
        let is_accepted = |name: &String| match accepted {
            Accepted::Only(fields) => fields.contains(name),
            Accepted::All => true,
        };
        let mut left_out = Vec::new();
        for (name, value) in &self.leaves {
            if value.is_null() || read.contains(name) || harmless(name) || is_default(name, value) {
                continue;
            }
            if !is_unused(name) && !is_accepted(name) {
                return Err(ModelError::Unread {
                    path: self.path.to_owned(),
                    field: name.clone(),
                    value: shown(value),
                    family: self.family.to_owned(),
                });
            }
            left_out.push(name.clone());
        }
        Ok(left_out)
    }
}

/// The largest size that a configuration may state. The sum of two still fits on wasm32.
const LARGEST: u64 = i32::MAX as u64;

/// What the error message expects of a size.
const SIZE: &str = "a whole number below 2147483648";

/// Returns a size, if the value is one.
fn size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64().filter(|size| *size <= LARGEST)?).ok()
}

/// Formats JSON for a sentence, shortened.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

/// Returns the leaves of a configuration.
fn leaves_of(fields: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut leaves = Vec::new();
    flatten("", fields, &mut leaves);
    leaves
}

/// The places of leaves in the order of their paths.
fn places(leaves: &[(String, &Value)]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..leaves.len()).collect();
    places.sort_by(|&a, &b| leaves[a].0.cmp(&leaves[b].0));
    places
}

fn flatten<'a>(before: &str, fields: &'a Map<String, Value>, leaves: &mut Vec<(String, &'a Value)>) {
    for (name, value) in fields {
        let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        match value {
            Value::Object(inner) => flatten(&path, inner, leaves),
            leaf => leaves.push((path, leaf)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Config {
        Config::parse("", "config.json", text.as_bytes()).unwrap()
    }

    const NONE: Accepted<'_> = Accepted::Only(&[]);

    #[test]
    fn what_was_not_read_is_an_error_unless_it_is_neutral_or_null() {
        let config =
            fields(r#"{"rope_scaling":{"b":2},"hidden_dropout_prob":0.1,"mlp_bias":null,"head_dim":[1,2]}"#);
        let fields = Fields::new(&config, "llama");
        let unread = |neutral: &[&str]| fields.all_read(neutral, NONE).unwrap_err().to_string();
        assert!(unread(&["head_dim"]).contains("`rope_scaling.b` is 2"));
        assert_eq!(fields.count(&["none", "rope_scaling.b"]).unwrap(), Some(2));
        assert!(unread(&[]).contains("`head_dim` is [1,2]"));
        assert_eq!(fields.all_read(&["head_dim"], NONE), Ok(vec![]));
        assert!(
            fields.needed(&["hidden_size"]).unwrap_err().to_string().contains("`hidden_size` is not there")
        );
        assert!(fields.truth("head_dim").unwrap_err().to_string().contains("true or false"));
    }

    #[test]
    fn what_transformers_does_not_read_and_what_the_user_assumes_is_left_out() {
        let config = fields(r#"{"condition_on_chain":true,"trained":{"steps":3},"mlp_bias":true}"#);
        let assumed = ["mlp_bias".to_owned()];
        let llama = Fields::new(&config, "llama");
        let unread = llama.all_read(&[], NONE).unwrap_err().to_string();
        assert!(unread.contains("`mlp_bias` is true") && unread.contains("--assume mlp_bias"), "{unread}");
        let left_out = Ok(["condition_on_chain", "mlp_bias", "trained.steps"].map(str::to_owned).to_vec());
        assert_eq!(llama.all_read(&[], Accepted::Only(&assumed)), left_out);
        assert_eq!(llama.all_read(&[], Accepted::All), left_out);
        // A part of another family, a family that is not in the table, and code of the model's own may read it.
        for (text, family) in [
            (r#"{"model_type":"new","odd":1}"#, "llama"),
            (r#"{"odd":1}"#, "new"),
            (r#"{"auto_map":{"AutoConfig":"c.C"},"odd":1}"#, "llama"),
        ] {
            let config = self::fields(text);
            let unread = Fields::new(&config, family).all_read(&[], NONE).unwrap_err().to_string();
            assert!(unread.contains("`odd` is 1"), "{unread}");
        }
    }

    #[test]
    fn a_size_that_no_arithmetic_can_take_is_refused_by_name() {
        let text = br#"{"hidden_size":18446744073709551615,"conv_dim":[4294967296],"image_size":[1,2147483648],"n":2147483647}"#;
        let config = Config::parse("", "config.json", text).unwrap();
        let fields = Fields::new(&config, "llama");
        for error in [fields.needed(&["hidden_size"]), fields.sides("image_size").map(|[a, _]| a)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("_size` is ") && error.contains("config.json"), "{error}");
        }
        assert!(fields.counts("conv_dim").unwrap_err().to_string().contains("below 2147483648"));
        assert_eq!(fields.count(&["n"]).unwrap(), Some(2_147_483_647));
    }
}
