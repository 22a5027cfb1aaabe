//! Rotary codes, as in transformers (`modeling_rope_utils.py`), and those of patches, as in its DINOv3 and in timm.

use super::ModelError;
use super::architecture::{AxialRotary, Coordinates, Longer, Rotary, Stretch};
use super::fields::Fields;
use super::table::AxialRow;
use crate::model::operation::Pairing;

/// Makes the code that turns `channels` channels. `at` is where the configuration has the parameters (`rope_parameters`, or one of its
/// layer types). If `scaled`, they may also be in `rope_scaling`, as in older files.
pub(super) fn rotary(
    fields: &Fields<'_>,
    at: &str,
    theta: f64,
    channels: usize,
    scaled: bool,
    pairing: Pairing,
) -> Result<Rotary, ModelError> {
    let mut plain: Vec<f64> =
        (0..channels / 2).map(|pair| theta.powf(-2.0 * pair as f64 / channels as f64)).collect();
    let new = format!("{at}.rope_type");
    let (mut factor, mut longer) = (1.0, None);
    let (kind, at) = match fields.text(&[&new, &format!("{at}.type")])? {
        Some(kind) => (kind, at),
        None if scaled => (
            fields.text(&["rope_scaling.rope_type", "rope_scaling.type"])?.unwrap_or("default"),
            "rope_scaling",
        ),
        None => ("default", at),
    };
    // Some files repeat it under both names, so both count as read.
    fields.text(&[&format!("{at}.type")])?;
    let number = |name: &str| {
        let field = format!("{at}.{name}");
        fields.number(&[&field])?.ok_or_else(|| fields.wrong(&field, "a number"))
    };
    match kind {
        "default" => {}
        "linear" => {
            let factor = number("factor")?;
            plain.iter_mut().for_each(|frequency| *frequency /= factor);
        }
        // A share of the pairs turns, as slowly as in a head of its whole width.
        "proportional" => {
            let share = fields.number(&[&format!("{at}.partial_rotary_factor")])?.unwrap_or(1.0);
            let factor = fields.number(&[&format!("{at}.factor")])?.unwrap_or(1.0);
            let turned = (share * channels as f64 / 2.0) as usize;
            for (pair, frequency) in plain.iter_mut().enumerate() {
                *frequency = if pair < turned { *frequency / factor } else { 0.0 };
            }
        }
        "llama3" => {
            let (factor, low, high) =
                (number("factor")?, number("low_freq_factor")?, number("high_freq_factor")?);
            let length = number("original_max_position_embeddings")?;
            for frequency in &mut plain {
                let turns = length * *frequency / std::f64::consts::TAU;
                let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                *frequency *= smooth + (1.0 - smooth) / factor;
            }
        }
        "yarn" => {
            let given = |name: &str| fields.number(&[&format!("{at}.{name}")]);
            let scale = number("factor")?;
            let length = match given("original_max_position_embeddings")? {
                Some(length) => length,
                None => fields.needed(&["max_position_embeddings"])? as f64,
            };
            let (fast, slow) = (given("beta_fast")?.unwrap_or(32.0), given("beta_slow")?.unwrap_or(1.0));
            let whole = fields.truth(&format!("{at}.truncate"))?.unwrap_or(true);
            let pair_of = |turns: f64| {
                channels as f64 * (length / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
            };
            let (mut first, mut last) = (pair_of(fast), pair_of(slow));
            if whole {
                (first, last) = (first.floor(), last.ceil());
            }
            (first, last) = (first.max(0.0), last.min(channels as f64 - 1.0));
            let span = if first == last { 0.001 } else { last - first };
            for (pair, frequency) in plain.iter_mut().enumerate() {
                let stretched = ((pair as f64 - first) / span).clamp(0.0, 1.0);
                *frequency *= 1.0 - stretched + stretched / scale;
            }
            let magnitude = |by: f64| yarn_magnitude(scale, by);
            let (over, under) = (given("mscale")?, given("mscale_all_dim")?);
            let usual = match (over, under) {
                (Some(over), Some(under)) if over != 0.0 && under != 0.0 => {
                    magnitude(over) / magnitude(under)
                }
                _ => magnitude(1.0),
            };
            factor = given("attention_factor")?.unwrap_or(usual);
        }
        "dynamic" => {
            let (than, factor) = (fields.needed(&["max_position_embeddings"])?, number("factor")?);
            if channels <= 2 || factor < 1.0 {
                let field = format!("{at}.factor");
                return Err(fields.wrong(&field, "1 or more, for more than one pair of channels"));
            }
            longer = Some(Longer { than, stretch: Stretch::Dynamic { base: theta, factor } });
        }
        // `su` is its former name.
        "longrope" | "su" => {
            let field = format!("{at}.original_max_position_embeddings");
            // Files that state it twice have the same value in both places.
            let than = fields.needed(&[&field, "original_max_position_embeddings"])?;
            let divided = |name: &str| {
                let field = format!("{at}.{name}");
                let factors = fields.numbers(&field)?.unwrap_or_default();
                if factors.len() != plain.len() || factors.contains(&0.0) {
                    return Err(fields.wrong(&field, &format!("{} numbers, none of them 0", plain.len())));
                }
                Ok(plain.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect())
            };
            let (short, long): (Vec<f64>, Vec<f64>) = (divided("short_factor")?, divided("long_factor")?);
            let ratio = match fields.number(&[&format!("{at}.factor")])? {
                Some(factor) => factor,
                None => fields.needed(&["max_position_embeddings"])? as f64 / than as f64,
            };
            let usual = if ratio <= 1.0 { 1.0 } else { (1.0 + ratio.ln() / (than as f64).ln()).sqrt() };
            factor = fields.number(&[&format!("{at}.attention_factor")])?.unwrap_or(usual);
            plain = short;
            longer = Some(Longer { than, stretch: Stretch::Listed(narrowed(long)) });
        }
        _ => {
            let field = if at == "rope_scaling" { "rope_scaling.rope_type".to_owned() } else { new };
            return Err(
                fields.wrong(&field, "default, linear, dynamic, proportional, llama3, yarn or longrope")
            );
        }
    }
    Ok(Rotary { frequencies: narrowed(plain), longer, factor: factor as f32, pairing })
}

/// Returns a factor of queries and of keys. It makes their products larger in long sequences (DeepSeek's `yarn_apply_mscale`).
pub(super) fn magnitude(fields: &Fields<'_>) -> Result<f64, ModelError> {
    let number = |name: &str| {
        let fields_of = [format!("rope_parameters.{name}"), format!("rope_scaling.{name}")];
        fields.number(&[&fields_of[0], &fields_of[1]])
    };
    Ok(match (number("mscale_all_dim")?, number("factor")?) {
        (Some(by), Some(scale)) if by != 0.0 => yarn_magnitude(scale, by),
        _ => 1.0,
    })
}

/// YaRN's factor for positions stretched by `scale`.
fn yarn_magnitude(scale: f64, by: f64) -> f64 {
    if scale <= 1.0 { 1.0 } else { 0.1 * by * scale.ln() + 1.0 }
}

/// Makes the code of patches that turns heads of `channels` channels, if there is one. `heads` is the field with the number of heads.
pub(super) fn axial(
    fields: &Fields<'_>,
    row: &AxialRow,
    channels: usize,
    heads: &str,
) -> Result<Option<AxialRotary>, ModelError> {
    if !fields.switch(row.present)? {
        return Ok(None);
    }
    if !channels.is_multiple_of(4) {
        return Err(fields.wrong(heads, "heads whose width is a multiple of 4"));
    }
    let theta = fields.number(&[row.theta.0])?.unwrap_or(row.theta.1);
    let of = |pair: usize| theta.powf(-4.0 * pair as f64 / channels as f64);
    let pairing = if fields.switch(row.halves)? { Pairing::Halves } else { Pairing::Interleaved };
    let reference = row.reference.filter(|field| fields.get(field).is_some());
    let coordinates = match fields.switch(row.centres)? {
        true => Coordinates::Centres,
        false => Coordinates::Numbers(reference.map(|field| fields.sides(field)).transpose()?),
    };
    let frequencies = narrowed((0..channels / 4).map(of).collect());
    Ok(Some(AxialRotary { frequencies, coordinates, pairing }))
}

fn narrowed(frequencies: Vec<f64>) -> Vec<f32> {
    frequencies.into_iter().map(|frequency| frequency as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::config::Config;
    use crate::model::fields::Accepted;

    fn of(parameters: &str) -> Result<Rotary, ModelError> {
        let text = format!(
            r#"{{"max_position_embeddings": 40, "original_max_position_embeddings": 10, "rope_scaling": {parameters}}}"#
        );
        let config = Config::parse("", "config.json", text.as_bytes()).unwrap();
        rotary(&Fields::new(&config, "llama"), "rope_parameters", 100.0, 4, true, Pairing::Halves)
    }

    #[test]
    fn dynamic_positions_are_the_plain_ones_up_to_the_length_of_training_and_slower_beyond() {
        let dynamic = of(r#"{"type": "dynamic", "factor": 3.0}"#).unwrap();
        assert_eq!(*dynamic.frequencies_of(40), [1.0, 0.1]);
        // The base is 100 · (3 · 80/40 − 2)^(4/2).
        let longer = dynamic.frequencies_of(80);
        assert!(longer[0] == 1.0 && (longer[1] - 0.025).abs() < 1e-7, "{longer:?}");
    }

    #[test]
    fn a_kind_that_is_stated_under_both_names_counts_as_read_under_both() {
        let text = br#"{"rope_parameters": {"rope_type": "linear", "type": "linear", "factor": 2.0}}"#;
        let config = Config::parse("", "config.json", text).unwrap();
        let fields = Fields::new(&config, "ministral3");
        let found = rotary(&fields, "rope_parameters", 100.0, 4, true, Pairing::Halves).unwrap();
        assert_eq!(found.frequencies, [0.5, 0.05]);
        assert!(fields.all_read(&[], Accepted::Only(&[])).unwrap().is_empty());
    }

    #[test]
    fn of_proportional_positions_a_share_of_the_pairs_turns_and_the_others_stand() {
        let text = br#"{"rope_parameters": {"rope_type": "proportional", "partial_rotary_factor": 0.5, "factor": 2}}"#;
        let config = Config::parse("", "config.json", text).unwrap();
        let fields = Fields::new(&config, "gemma4_text");
        let found = rotary(&fields, "rope_parameters", 100.0, 8, true, Pairing::Halves).unwrap();
        let expected = [0.5, 100f32.powf(-0.25) / 2.0, 0.0, 0.0];
        assert!(found.frequencies.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{found:?}");
        assert_eq!(found.frequencies.len(), 4);
    }

    #[test]
    fn long_positions_have_two_lists_and_a_factor_by_the_ratio_of_lengths() {
        let of = |lists: &str| of(&format!(r#"{{"type": "longrope", {lists}}}"#));
        let long = of(r#""short_factor": [1, 2], "long_factor": [4, 5]"#).unwrap();
        assert_eq!(*long.frequencies_of(10), [1.0, 0.05]);
        assert_eq!(*long.frequencies_of(11), [0.25, 0.02]);
        let factor = (1.0 + 4f64.ln() / 10f64.ln()).sqrt();
        assert!((f64::from(long.factor) - factor).abs() < 1e-6);
        for lists in [
            r#""short_factor": [1], "long_factor": [4, 5]"#,
            r#""short_factor": [1, 2], "long_factor": [4, 0]"#,
            r#""short_factor": [1, 2]"#,
            r#""short_factor": "1, 2", "long_factor": [4, 5]"#,
        ] {
            let error = of(lists).unwrap_err().to_string();
            assert!(error.contains("_factor` is ") && error.contains("numbers"), "{error}");
        }
    }
}
