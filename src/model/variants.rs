//! What the code of a family can store beyond what a checkpoint of it has: an unembedding beside the embedding, and biases.

use super::ModelError;
use super::fields::Fields;
use super::resolve::row;
use super::table::{Row, Switch};
use crate::checkpoint::config::Config;

/// The field that says whether the embedding is the unembedding.
pub(crate) const TIED: &str = "tie_word_embeddings";

/// The row of a model with one stack.
fn only_row(config: &Config) -> Result<&'static Row, ModelError> {
    row(config, config.family().unwrap_or("unknown"), None)
}

/// Returns the module of the unembedding if it is not tied. `None` if the family has none, or ties more than the matrix.
pub(crate) fn unembedding(config: &Config) -> Result<Option<&'static str>, ModelError> {
    let head = only_row(config)?.head;
    let only_matrix = head.bias.is_none() && head.transform.is_none() && !head.unembedding.is_empty();
    Ok(only_matrix.then_some(head.unembedding))
}

/// Returns the fields that would give more maps a bias, each with the value for that.
pub(crate) fn bias_fields(config: &Config) -> Result<Vec<(&'static str, bool)>, ModelError> {
    let row = only_row(config)?;
    let fields = Fields::of_row(config, config.family().unwrap_or("unknown"), row);
    let stored = &row.stored;
    let switches = [stored.projection_bias, stored.output_bias, stored.feed_forward_bias, stored.head_bias]
        .into_iter()
        .chain(stored.key_bias)
        .chain(stored.value_bias);
    let mut off = Vec::new();
    for switch in switches {
        let (field, on) = match switch {
            Switch::Is(_) => continue,
            Switch::Field(field, _) => (field, true),
            Switch::Unless(field, _) => (field, false),
        };
        if !fields.switch(switch)? && !off.contains(&(field, on)) {
            off.push((field, on));
        }
    }
    Ok(off)
}

/// Returns what may stand before the names of the stack's tensors.
pub(crate) fn prefixes(config: &Config) -> Result<&'static [&'static str], ModelError> {
    Ok(only_row(config)?.prefixes)
}
