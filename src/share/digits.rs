//! Rounds numbers to the digits that are shown.

use serde_json::{Number, Value};

/// Significant digits that are kept.
const KEPT: usize = 5;
/// If the last digit is a 5, rounding again to fewer digits could go the other way, so this many more are kept.
const MORE: usize = 4;

/// Rounds every number that is not whole.
pub(super) fn rounded(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, rounded(value))).collect(),
        Value::Number(number) => number
            .as_f64()
            .filter(|_| number.is_f64())
            .and_then(shorter)
            .map_or(Value::Number(number), Value::Number),
        other => other,
    }
}

fn shorter(value: f64) -> Option<Number> {
    let mut text = format!("{value:.*e}", KEPT - 1);
    let mantissa = text.split('e').next().unwrap_or_default().trim_end_matches('0');
    if mantissa.ends_with('5') {
        text = format!("{value:.*e}", KEPT + MORE - 1);
    }
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_again_to_what_is_shown_gives_the_same(value in proptest::num::f64::NORMAL) {
            let kept = shorter(value).unwrap().as_f64().unwrap();
            for digits in 0..KEPT {
                prop_assert_eq!(format!("{kept:.digits$e}"), format!("{value:.digits$e}"));
            }
        }
    }

    #[test]
    fn whole_numbers_and_text_stay() {
        let value = serde_json::json!({ "a": [1_234_567_890_123_u64, "0.123456789", null, true], "b": 0.123_456_789 });
        let kept =
            serde_json::json!({ "a": [1_234_567_890_123_u64, "0.123456789", null, true], "b": 0.12346 });
        assert_eq!(rounded(value), kept);
    }
}
