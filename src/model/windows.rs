//! Which layers see only a window of the tokens, which have no position code, the heads of layers without a window, and whose keys and
//! values a layer uses.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::ModelError;
use super::dimensions::Dimensions;
use super::fields::Fields;
use super::table::{GlobalRow, Row, Unplaced, Windows};
use serde_json::Value;

/// Returns the window of a layer, if it has one.
pub(super) fn window(row: &Row, fields: &Fields<'_>, layer: usize) -> Result<Option<usize>, ModelError> {
    let by_type = || -> Result<Option<bool>, ModelError> {
        let Some(types) = fields.get("layer_types") else { return Ok(None) };
        let kind = types.get(layer).and_then(|kind| kind.as_str());
        match kind {
            Some("full_attention") => Ok(Some(false)),
            Some("sliding_attention") => Ok(Some(true)),
            _ => Err(fields.wrong("layer_types", "full_attention or sliding_attention for each layer")),
        }
    };
    let size = |field: &str, usual: Option<usize>| -> Result<Option<usize>, ModelError> {
        Ok(fields.count(&[field])?.or(usual.filter(|_| !fields.mentions(field))))
    };
    Ok(match row.attention.windows {
        Windows::None => None,
        Windows::All(field, usual) => match by_type()? {
            Some(false) => None,
            _ => size(field, usual)?,
        },
        Windows::After => {
            let used = fields.truth("use_sliding_window")?.unwrap_or(false);
            let after = fields.count(&["max_window_layers"])?.unwrap_or(28);
            let window = size("sliding_window", Some(4096))?;
            let slides = by_type()?.unwrap_or(layer >= after);
            window.filter(|_| used && slides)
        }
        Windows::Every { window: (field, usual), pattern, usual_pattern, first } => {
            // A list of types overrules the period, which may then be a text.
            pattern.iter().for_each(|field| _ = fields.get(field));
            let slides = match by_type()? {
                Some(slides) => slides,
                None => {
                    let period = fields.count(pattern)?.unwrap_or(usual_pattern).max(1);
                    let at = if first { layer } else { layer.saturating_add(1) };
                    !at.is_multiple_of(period)
                }
            };
            size(field, Some(usual))?.filter(|_| slides)
        }
    })
}

/// Whether a layer, which has a window or none, has a position code.
pub(super) fn is_placed(
    row: &Row,
    fields: &Fields<'_>,
    layer: usize,
    windowed: bool,
) -> Result<bool, ModelError> {
    Ok(match row.attention.unplaced {
        Unplaced::None => true,
        Unplaced::Wide(field) => {
            windowed || field.is_some_and(|field| fields.mentions(field) && fields.get(field).is_none())
        }
        Unplaced::Listed(list, (interval, usual)) => match fields.get(list) {
            // Published files of Llama 4 leave the choice to the code by an empty list.
            Some(listed) if listed.as_array().is_none_or(|listed| !listed.is_empty()) => {
                match listed.get(layer).and_then(Value::as_u64) {
                    Some(place @ 0..=1) => place == 1,
                    _ => return Err(fields.wrong(list, "0 or 1 for each layer")),
                }
            }
            _ => {
                let period = fields.count(&[interval])?.unwrap_or(usual).max(1);
                !layer.saturating_add(1).is_multiple_of(period)
            }
        },
    })
}

/// Returns the earlier layer whose keys and values a layer uses, if it has none of its own. There are `layers` in all.
pub(super) fn lender(
    row: &Row,
    fields: &Fields<'_>,
    layers: usize,
    layer: usize,
) -> Result<Option<usize>, ModelError> {
    let Some((field, usual)) = row.attention.borrowers else { return Ok(None) };
    let first = layers.saturating_sub(fields.count(&[field])?.unwrap_or(usual));
    if layer < first {
        return Ok(None);
    }
    let slides = |layer: usize| Ok::<_, ModelError>(window(row, fields, layer)?.is_some());
    let own = slides(layer)?;
    for earlier in (0..first).rev() {
        if slides(earlier)? == own {
            return Ok(Some(earlier));
        }
    }
    Err(fields.wrong(field, "a number that leaves a layer of each type its own keys and values"))
}

/// The heads of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerHeads {
    /// Query heads.
    pub(super) heads: usize,
    /// Key and value heads.
    pub(super) key_heads: usize,
    /// h.
    pub(super) head_width: usize,
    /// Whether the keys, before their norm, are the values too.
    pub(super) keys_are_values: bool,
}

impl LayerHeads {
    /// Reads the heads of a layer, which are `size`, unless the row has others for layers without a window.
    pub(super) fn of(
        row: &Row,
        fields: &Fields<'_>,
        size: &Dimensions,
        layer: usize,
    ) -> Result<Self, ModelError> {
        let Dimensions { layers, heads, key_heads, head_width, .. } = *size;
        let usual = Self { heads, key_heads, head_width, keys_are_values: false };
        let Some(global) = row.attention.global else { return Ok(usual) };
        let slides = window(row, fields, layer)?.is_some();
        // The family's code changes the type of such a layer.
        if slides && layer.saturating_add(1) == layers {
            return Err(fields.wrong("layer_types", "full_attention for the last layer"));
        }
        let GlobalRow { head_width: (field, usual_width), key_heads: of_keys, keys_are_values } = global;
        let keys_are_values = !slides && fields.truth(keys_are_values)?.unwrap_or(false);
        // Newer files state what a layer has instead.
        let own = |name: &str| fields.count(&[&format!("per_layer_config.{layer}.{name}")]);
        let (width, count) = match (fields.holds("per_layer_config"), slides) {
            (true, _) => (own("head_dim")?, own("num_key_value_heads")?),
            (false, true) => (None, None),
            (false, false) => {
                let count = fields.count(&[of_keys])?.filter(|_| keys_are_values);
                (Some(fields.count(&[field])?.unwrap_or(usual_width)), count)
            }
        };
        let (head_width, key_heads) = (width.unwrap_or(head_width), count.unwrap_or(key_heads));
        if head_width == 0 || heads.checked_mul(head_width).and_then(|all| all.checked_mul(3)).is_none() {
            return Err(fields.wrong(field, "a width above 0 that fits in a machine word for all heads"));
        }
        if key_heads == 0 || !heads.is_multiple_of(key_heads) {
            return Err(fields.wrong(of_keys, &format!("a divisor of the {heads} heads")));
        }
        Ok(Self { heads, key_heads, head_width, keys_are_values })
    }

    /// Channels of all queries.
    pub(super) fn of_queries(&self) -> usize {
        self.heads.saturating_mul(self.head_width)
    }

    /// Channels of all keys, and of all values.
    pub(super) fn of_keys(&self) -> usize {
        self.key_heads.saturating_mul(self.head_width)
    }
}
