//! The fields of DeBERTa's disentangled attention, and of the convolution beside its first block.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::ModelError;
use super::architecture::{LogBuckets, Reach};
use super::fields::Fields;
use super::table::LocalRow;

/// More positions than any model has.
const MOST: usize = 1 << 20;

/// More tokens than any convolution reads at once.
const MOST_TOKENS: usize = 1 << 10;

/// Whether scores have products of queries with keys of positions, and of keys with queries of positions.
pub(super) fn kinds(fields: &Fields<'_>) -> Result<[bool; 2], ModelError> {
    let field = "pos_att_type";
    let wrong = || fields.wrong(field, "c2p, p2c or both, each once");
    let names: Vec<&str> = match fields.get(field) {
        None => Vec::new(),
        Some(value) => match (value.as_str(), value.as_array()) {
            (Some(text), _) => text.split('|').map(str::trim).collect(),
            (None, Some(list)) => list.iter().map(|name| name.as_str().unwrap_or_default()).collect(),
            (None, None) => return Err(wrong()),
        },
    };
    let listed = |name: &str| names.iter().filter(|own| own.eq_ignore_ascii_case(name)).count();
    let [content, position] = ["c2p", "p2c"].map(listed);
    if content > 1 || position > 1 || content.saturating_add(position) != names.len() {
        return Err(wrong());
    }
    Ok([content > 0, position > 0])
}

/// Whether the maps of positions are those of the tokens.
pub(super) fn is_shared(fields: &Fields<'_>) -> Result<bool, ModelError> {
    Ok(fields.truth("share_att_key")?.unwrap_or(false))
}

/// Whether the rows of the table are normalised.
pub(super) fn is_normed(fields: &Fields<'_>) -> Result<bool, ModelError> {
    let kinds = fields.text(&["norm_rel_ebd"])?.unwrap_or("none");
    Ok(kinds.split('|').any(|kind| kind.trim().eq_ignore_ascii_case("layer_norm")))
}

/// Sizes of the table of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spans {
    /// Rows for either direction.
    pub(super) span: usize,
    /// How distances share rows.
    pub(super) buckets: Option<LogBuckets>,
}

impl Spans {
    /// Reads them. `None` if scores know no positions.
    pub(super) fn of(fields: &Fields<'_>) -> Result<Option<Self>, ModelError> {
        if !fields.truth("relative_attention")?.unwrap_or(false) {
            return Ok(None);
        }
        let (field, positions) = ("position_buckets", fields.count(&["max_position_embeddings"])?);
        let furthest = above_zero(fields, "max_relative_positions")?.or(positions).unwrap_or(512);
        if furthest == 0 || furthest > MOST {
            return Err(fields.wrong("max_position_embeddings", &format!("a number from 1 to {MOST}")));
        }
        let Some(span) = above_zero(fields, field)? else {
            return Ok(Some(Self { span: furthest, buckets: None }));
        };
        let (exact, furthest) = (span / 2, furthest.saturating_sub(1));
        if exact == 0 || exact >= furthest {
            let most = furthest.saturating_mul(2).saturating_sub(1);
            return Err(fields.wrong(field, &format!("a number from 2 to {most}, or −1")));
        }
        Ok(Some(Self { span, buckets: Some(LogBuckets { exact, furthest }) }))
    }
}

/// Returns a count above 0. Other whole numbers stand for none.
fn above_zero(fields: &Fields<'_>, field: &str) -> Result<Option<usize>, ModelError> {
    let Some(count) = fields.number(&[field])? else { return Ok(None) };
    if count.fract() != 0.0 || count > MOST as f64 {
        return Err(fields.wrong(field, &format!("a whole number up to {MOST}")));
    }
    Ok((count >= 1.0).then_some(count as usize))
}

/// Size of a convolution over tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    /// Tokens that it reads at once.
    pub(super) kernel: usize,
    /// Which tokens these are.
    pub(super) reach: Reach,
}

impl Local {
    /// Reads it. `None` if there is no convolution.
    pub(super) fn of(row: &LocalRow, fields: &Fields<'_>) -> Result<Option<Self>, ModelError> {
        let kernel = fields.count(&[row.kernel])?.unwrap_or(0);
        if kernel == 0 {
            return Ok(None);
        }
        if kernel > MOST_TOKENS || kernel.is_multiple_of(2) {
            return Err(fields.wrong(row.kernel, &format!("0, or an odd number up to {MOST_TOKENS}")));
        }
        if fields.count(&[row.groups])?.is_some_and(|groups| groups != 1) {
            return Err(fields.wrong(row.groups, "1"));
        }
        let padding = kernel.saturating_sub(1) / 2;
        Ok(Some(Self { kernel, reach: Reach { kernel, stride: 1, padding } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::config::Config;
    use proptest::prelude::*;

    fn with<T>(text: &str, read: impl Fn(&Fields<'_>) -> T) -> T {
        let config = Config::parse("", "config.json", text.as_bytes()).unwrap();
        read(&Fields::new(&config, "deberta-v2"))
    }

    #[test]
    fn kinds_of_scores_are_a_list_or_one_text() {
        for (text, expected) in [
            (r#"{"pos_att_type":"P2C | c2p"}"#, [true, true]),
            (r#"{"pos_att_type":["p2c"]}"#, [false, true]),
            (r#"{"pos_att_type":[]}"#, [false, false]),
            (r#"{"pos_att_type":null}"#, [false, false]),
        ] {
            assert_eq!(with(text, kinds), Ok(expected), "{text}");
        }
        for text in [
            r#"{"pos_att_type":"c2p|p2p"}"#,
            r#"{"pos_att_type":["c2p","c2p"]}"#,
            r#"{"pos_att_type":3}"#,
            r#"{"pos_att_type":[3]}"#,
        ] {
            let error = with(text, kinds).unwrap_err().to_string();
            assert!(error.contains("`pos_att_type` is ") && error.contains("c2p, p2c or both"), "{error}");
        }
    }

    #[test]
    fn spans_are_those_of_the_released_models() {
        let of = |text: &str| with(text, Spans::of);
        let buckets = Some(LogBuckets { exact: 128, furthest: 511 });
        let v3 = r#"{"relative_attention":true,"position_buckets":256,"max_relative_positions":-1,"max_position_embeddings":512}"#;
        assert_eq!(of(v3), Ok(Some(Spans { span: 256, buckets })));
        let v1 = r#"{"relative_attention":true,"max_relative_positions":-1,"max_position_embeddings":512}"#;
        assert_eq!(of(v1), Ok(Some(Spans { span: 512, buckets: None })));
        assert_eq!(of(r#"{"position_buckets":256}"#), Ok(None));
        let error = of(&v3.replace("256", "1022")).unwrap_err().to_string();
        assert!(error.contains("`position_buckets` is 1022") && error.contains("from 2 to 1021"), "{error}");
    }

    proptest! {
        #[test]
        fn any_numbers_give_spans_or_an_error(buckets in -1e7..1e7, most in any::<i64>(), positions in any::<u32>()) {
            let text = format!(
                r#"{{"relative_attention":true,"position_buckets":{buckets:?},"max_relative_positions":{most},"max_position_embeddings":{positions}}}"#
            );
            if let Ok(Some(Spans { span, buckets })) = with(&text, Spans::of) {
                prop_assert!(span > 0);
                prop_assert!(buckets.is_none_or(|buckets| (1..buckets.furthest).contains(&buckets.exact)));
            }
        }
    }
}
