//! The metadata of a GGUF file as the configuration of a family. Every key of the architecture must have a place.

use crate::checkpoint::config::Config;
use crate::checkpoint::gguf::FACTORS;
use crate::model::ModelError;
use crate::model::fields::Accepted;
use crate::model::operation::Centring;
use crate::model::table::{KeyHeads, Multiplier, PositionRow, Row, ScaleRow, Switch, Turned, Windows};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Keys that change no function: lengths, and sizes that tensors show.
const NEUTRAL: [&str; 7] = [
    "context_length",
    "vocab_size",
    "feed_forward_length",
    "expert_feed_forward_length",
    "pooling_type",
    "rope.scaling.finetuned",
    "tensor_data_layout",
];

/// The end of the name of a table of frequencies in files of 2023, which llama.cpp computes itself.
const FREQUENCIES: &str = ".attn_rot_embd.weight";

/// What a file says of its model. Remembers which keys were read.
pub(super) struct Metadata<'a> {
    config: &'a Config,
    architecture: &'a str,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Metadata<'a> {
    pub(super) fn new(config: &'a Config, architecture: &'a str) -> Self {
        Self { config, architecture, read: RefCell::default() }
    }

    /// The full name of a key.
    fn key(&self, end: &str) -> String {
        format!("{}.{end}", self.architecture)
    }

    fn get(&self, end: &str) -> Option<&'a Value> {
        let key = self.key(end);
        let value = self.config.fields().get(&key);
        self.read.borrow_mut().insert(key);
        value
    }

    /// A number of a key.
    fn number(&self, end: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(end) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(end, "a number"))
    }

    /// A count of a key.
    pub(super) fn count(&self, end: &str) -> Result<Option<u64>, ModelError> {
        let Some(value) = self.get(end) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| self.wrong(end, "a whole number"))
    }

    /// A count that must be there and not be 0.
    fn needed(&self, end: &str) -> Result<u64, ModelError> {
        match self.count(end)?.ok_or_else(|| self.missing(end))? {
            0 => Err(self.wrong(end, "a number above 0")),
            count => Ok(count),
        }
    }

    fn missing(&self, end: &str) -> ModelError {
        let (path, family) = (self.config.path.clone(), self.architecture.to_owned());
        ModelError::Missing { path, field: self.key(end), family }
    }

    fn wrong(&self, end: &str, expected: &str) -> ModelError {
        ModelError::Value {
            path: self.config.path.clone(),
            field: self.key(end),
            value: self.get(end).map_or_else(|| "absent".to_owned(), Value::to_string),
            family: self.architecture.to_owned(),
            expected: expected.to_owned(),
        }
    }

    fn is_own(&self, key: &str) -> bool {
        let end = key.strip_prefix(self.architecture).and_then(|rest| rest.strip_prefix('.'));
        end.is_some_and(|end| !NEUTRAL.contains(&end))
    }

    /// Fails with the first key of the architecture that nothing has read, unless it is `accepted`, and returns those that are. `lists` are
    /// the keys of lists, with a number for each layer, which no family here reads.
    pub(super) fn all_read<'b>(
        &self,
        lists: impl Iterator<Item = &'b (String, String)>,
        accepted: Accepted<'_>,
    ) -> Result<Vec<String>, ModelError> {
        let read = self.read.borrow();
        let scalars = self.config.fields().iter().map(|(key, value)| (key, value.to_string()));
        let lists = lists.map(|(key, list)| (key, list.clone()));
        let mut left_out = Vec::new();
        for (key, value) in scalars.chain(lists).filter(|(key, _)| self.is_own(key) && !read.contains(*key)) {
            let is_accepted = match accepted {
                Accepted::Only(keys) => keys.contains(key),
                Accepted::All => true,
            };
            if !is_accepted {
                let (path, family) = (self.config.path.clone(), self.architecture.to_owned());
                return Err(ModelError::Unread { path, field: key.clone(), value, family });
            }
            left_out.push(key.clone());
        }
        Ok(left_out)
    }

    /// Whether a tensor takes no part in a pass, because its numbers are in the fields, or are computed.
    pub(super) fn has_taken(&self, tensor: &str) -> bool {
        let fields = self.config.fields();
        let is_factor = |name: &str| FACTORS.contains(&name) && fields.contains_key(name);
        tensor.ends_with(FREQUENCIES) || tensor.strip_suffix(".weight").is_some_and(is_factor)
    }

    /// The numbers of one of [`FACTORS`].
    fn factors(&self, name: &str) -> Option<&'a Value> {
        self.config.fields().get(name)
    }
}

/// Makes the configuration of a `family` with this row. `fixed` are fields that llama.cpp's code fixes, and `has` says whether the file has
/// a tensor.
pub(super) fn config(
    metadata: &Metadata<'_>,
    row: &Row,
    family: &str,
    fixed: &[(&str, bool)],
    has: impl Fn(&str) -> bool,
) -> Result<Config, ModelError> {
    let mut made = Made { metadata, row, fields: Map::new() };
    made.put("model_type", family);
    fixed.iter().for_each(|(name, value)| made.put(name, *value));
    let sizes = made.sizes()?;
    made.norms()?;
    made.parts(&has)?;
    made.factors(sizes)?;
    made.windows()?;
    made.experts()?;
    made.positions(sizes)?;
    let Made { fields, .. } = made;
    Ok(Config::of_fields(String::new(), &metadata.config.path, fields))
}

/// A configuration that is being made.
struct Made<'a> {
    metadata: &'a Metadata<'a>,
    row: &'a Row,
    fields: Map<String, Value>,
}

/// Sizes that other fields depend on.
#[derive(Clone, Copy)]
struct Sizes {
    layers: u64,
    /// Width of a head, and d over heads.
    head_width: u64,
    usual_width: u64,
}

impl Made<'_> {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    fn sizes(&mut self) -> Result<Sizes, ModelError> {
        let (metadata, row) = (self.metadata, &self.row.sizes);
        let (width, layers) = (metadata.needed("embedding_length")?, metadata.needed("block_count")?);
        let heads = metadata.needed("attention.head_count")?;
        self.put(row.width, width);
        self.put(row.layers, layers);
        self.put(row.heads, heads);
        let (of_keys, key_heads) = ("attention.head_count_kv", metadata.count("attention.head_count_kv")?);
        match (row.key_heads, key_heads.unwrap_or(heads)) {
            (KeyHeads::Field(field, _), count) => self.put(field, count),
            (KeyHeads::All, count) if count == heads => {}
            (KeyHeads::One, 1) => {}
            (KeyHeads::All, _) => return Err(metadata.wrong(of_keys, &heads.to_string())),
            (KeyHeads::One, _) => return Err(metadata.wrong(of_keys, "1")),
        }
        let usual_width = width.checked_div(heads).unwrap_or_default();
        let head_width = metadata.count("attention.key_length")?.unwrap_or(usual_width);
        if metadata.count("attention.value_length")?.is_some_and(|of_values| of_values != head_width) {
            return Err(metadata.wrong("attention.value_length", &head_width.to_string()));
        }
        match row.head_width {
            Some(field) => self.put(field, head_width),
            None if head_width == usual_width => {}
            None => return Err(metadata.wrong("attention.key_length", &usual_width.to_string())),
        }
        Ok(Sizes { layers, head_width, usual_width })
    }

    fn norms(&mut self) -> Result<(), ModelError> {
        let key = match self.row.norm.centring {
            Centring::Mean => "attention.layer_norm_epsilon",
            Centring::None => "attention.layer_norm_rms_epsilon",
        };
        if !self.row.norm.epsilon.is_empty() {
            let stated = self.metadata.number(key)?.ok_or_else(|| self.metadata.missing(key))?;
            self.put(self.row.norm.epsilon, stated);
        }
        Ok(())
    }

    /// What is there: a head of its own, norms of queries and keys, parts beside each other.
    fn parts(&mut self, has: &impl Fn(&str) -> bool) -> Result<(), ModelError> {
        self.put("tie_word_embeddings", !has("output.weight"));
        if self.row.causal && self.metadata.get("attention.causal") == Some(&Value::Bool(false)) {
            return Err(self.metadata.wrong("attention.causal", "true"));
        }
        if let Some(Switch::Field(field, _)) = self.row.attention.qk_norm.map(|norms| norms.present) {
            self.put(field, has("blk.0.attn_q_norm.weight"));
        }
        if let Switch::Field(field, usual) = self.row.parallel {
            let stated = self.metadata.get("use_parallel_residual").and_then(Value::as_bool);
            self.put(field, stated.unwrap_or(usual));
        }
        Ok(())
    }

    /// Factors and bounds. llama.cpp has none where the metadata have none.
    fn factors(&mut self, sizes: Sizes) -> Result<(), ModelError> {
        let (metadata, row) = (self.metadata, self.row);
        let residual = row.residual_multiplier.map_or(Multiplier::None, Multiplier::Field);
        for (multiplier, key) in [
            (row.embedding.multiplier, "embedding_scale"),
            (row.head.multiplier, "logit_scale"),
            (residual, "residual_scale"),
        ] {
            use Multiplier::{Field, Inverse, Usually};
            if let Field(field) | Usually(field, _) | Inverse(field) = multiplier {
                self.put(field, metadata.number(key)?.unwrap_or(1.0));
            }
        }
        match row.attention.scale {
            ScaleRow::Field(field) => {
                let usual = (sizes.head_width as f64).powf(-0.5);
                self.put(field, metadata.number("attention.scale")?.unwrap_or(usual));
            }
            // The 27B models of Gemma 2 and 3, which llama.cpp knows by the number of their layers.
            ScaleRow::RootOf(field, _) if matches!(sizes.layers, 46 | 62) => {
                self.put(field, sizes.usual_width)
            }
            ScaleRow::RootOf(field, _) => self.put(field, sizes.head_width),
            ScaleRow::RootOfHead | ScaleRow::Disentangled | ScaleRow::One => {}
        }
        for (field, key) in [
            (row.attention.cap.map(|(field, _)| field), "attn_logit_softcapping"),
            (row.head.cap.map(|(field, _)| field), "final_logit_softcapping"),
            (row.attention.clip, "attention.clamp_kqv"),
        ] {
            if let Some(field) = field {
                self.put(field, metadata.number(key)?);
            }
        }
        Ok(())
    }

    /// Windows. One of 0 is none.
    fn windows(&mut self) -> Result<(), ModelError> {
        let (field, pattern) = match self.row.attention.windows {
            Windows::None | Windows::After => return Ok(()),
            Windows::All(field, _) => (field, None),
            Windows::Every { window: (field, _), pattern, .. } => (field, pattern.first()),
        };
        let window = self.metadata.count("attention.sliding_window")?.filter(|window| *window > 0);
        self.put(field, window);
        if let Some(field) = pattern
            && let Some(stated) = self.metadata.count("attention.sliding_window_pattern")?
        {
            self.put(field, stated);
        }
        Ok(())
    }

    fn experts(&mut self) -> Result<(), ModelError> {
        let [count, chosen] = ["expert_count", "expert_used_count"].map(|key| self.metadata.count(key));
        let (count, chosen) = (count?, chosen?);
        match self.row.feed_forward.experts {
            Some(experts) => {
                self.put(experts.count[0], count);
                self.put("num_experts_per_tok", chosen);
            }
            None if count.is_some_and(|count| count > 0) => {
                return Err(self.metadata.wrong("expert_count", "0"));
            }
            None => {}
        }
        Ok(())
    }

    fn positions(&mut self, Sizes { head_width, .. }: Sizes) -> Result<(), ModelError> {
        let metadata = self.metadata;
        match self.row.attention.position {
            PositionRow::Rotary { theta, turned, local_theta, .. } => {
                let base = |key: &str| metadata.number(key).map(|stated| stated.unwrap_or(USUAL_BASE));
                self.put(theta.first().copied().unwrap_or("rope_theta"), base("rope.freq_base")?);
                if let Some((field, _)) = local_theta {
                    self.put(field, base("rope.freq_base_swa")?);
                }
                let channels = metadata.count("rope.dimension_count")?.unwrap_or(head_width);
                match turned {
                    Turned::All if channels == head_width => {}
                    Turned::All => {
                        return Err(metadata.wrong("rope.dimension_count", &head_width.to_string()));
                    }
                    Turned::Share(fields, _) => {
                        let share = channels as f64 / head_width.max(1) as f64;
                        self.put(fields.first().copied().unwrap_or("partial_rotary_factor"), share);
                    }
                    Turned::Count(field, _) => self.put(field, channels),
                }
                if let Some(scaling) = scaling(metadata)? {
                    self.put("rope_scaling", scaling);
                }
            }
            PositionRow::Alibi | PositionRow::CoarseAlibi => {
                let slopes = "attention.max_alibi_bias";
                if metadata.number(slopes)?.is_some_and(|slopes| slopes != USUAL_SLOPES) {
                    return Err(metadata.wrong(slopes, &USUAL_SLOPES.to_string()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Base of the frequencies where the metadata have none.
const USUAL_BASE: f64 = 10_000.0;
/// Slopes of ALiBi go down to 2 to the minus this.
const USUAL_SLOPES: f64 = 8.0;

/// How the frequencies of a rotary code are stretched, as `rope_scaling`.
fn scaling(metadata: &Metadata<'_>) -> Result<Option<Value>, ModelError> {
    let kind = metadata.get("rope.scaling.type").map(|kind| kind.as_str().unwrap_or_default());
    let factor = match metadata.number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => metadata.number("rope.scale_linear")?,
    };
    let length = metadata.count("rope.scaling.original_context_length")?;
    let [all, short, long] = FACTORS.map(|name| metadata.factors(name));
    let listed = |short: &Value, long: &Value, factor: f64| {
        json!({"rope_type": "longrope", "short_factor": short, "long_factor": long, "attention_factor": factor,
            "original_max_position_embeddings": length.unwrap_or(i32::MAX as u64), "factor": 1.0})
    };
    Ok(match (kind, all, short.zip(long)) {
        (None | Some("none" | "longrope"), None, Some((short, long))) => {
            let stated = metadata.number("rope.scaling.attn_factor")?;
            Some(listed(short, long, stated.unwrap_or(1.0)))
        }
        // Llama 3 stores the factors that its formula gives.
        (None | Some("none"), Some(all), None) => Some(listed(all, all, 1.0)),
        (None | Some("none"), None, None) if factor.is_none_or(|factor| factor == 1.0 || factor == 0.0) => {
            None
        }
        (Some("none"), None, None) => None,
        (None | Some("linear"), None, None) => factor
            .filter(|factor| *factor != 0.0)
            .map(|factor| json!({"rope_type": "linear", "factor": factor})),
        (Some("yarn"), None, None) => {
            let mut fields =
                json!({"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": length});
            for (key, name) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                if let Some(stated) = metadata.number(&format!("rope.scaling.{key}"))? {
                    fields[name] = stated.into();
                }
            }
            Some(fields)
        }
        _ => {
            return Err(metadata.wrong(
                "rope.scaling.type",
                "none, linear, yarn or longrope, with the tensors that belong to it",
            ));
        }
    })
}
