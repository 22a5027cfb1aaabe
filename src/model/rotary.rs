//! Frequencies of rotary codes, as transformers computes them (`modeling_rope_utils.py`).

use super::ModelError;
use super::fields::Fields;

/// The frequencies of `channels` turned channels, and the factor on cosines and sines. `at` is where the configuration keeps
/// the parameters (`rope_parameters`, or one of its layer types), `rope_scaling` of older files if `scaled`.
pub(super) fn frequencies(
    fields: &Fields<'_>,
    at: &str,
    theta: f64,
    channels: usize,
    scaled: bool,
) -> Result<(Vec<f32>, f32), ModelError> {
    let mut plain: Vec<f64> =
        (0..channels / 2).map(|pair| theta.powf(-2.0 * pair as f64 / channels as f64)).collect();
    let new = format!("{at}.rope_type");
    let mut factor = 1.0;
    let (kind, at) = match fields.text(&[&new, &format!("{at}.type")])? {
        Some(kind) => (kind, at),
        None if scaled => (
            fields.text(&["rope_scaling.rope_type", "rope_scaling.type"])?.unwrap_or("default"),
            "rope_scaling",
        ),
        None => ("default", at),
    };
    if at == "rope_scaling" {
        // Older files repeat it under both names.
        fields.text(&["rope_scaling.type"])?;
    }
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
            let magnitude = |by: f64| if scale <= 1.0 { 1.0 } else { 0.1 * by * scale.ln() + 1.0 };
            let (over, under) = (given("mscale")?, given("mscale_all_dim")?);
            let usual = match (over, under) {
                (Some(over), Some(under)) if over != 0.0 && under != 0.0 => {
                    magnitude(over) / magnitude(under)
                }
                _ => magnitude(1.0),
            };
            factor = given("attention_factor")?.unwrap_or(usual);
        }
        _ => {
            let field = if at == "rope_scaling" { "rope_scaling.rope_type".to_owned() } else { new };
            return Err(fields.wrong(&field, "default, linear, llama3 or yarn"));
        }
    }
    Ok((plain.into_iter().map(|frequency| frequency as f32).collect(), factor as f32))
}
