//! Counts the values of a JSON text before it is parsed.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

/// Most values of a document about a checkpoint. A parser takes about fifty bytes for each, and the shortest value is two bytes
/// long. The largest index of a published model names 200,000 tensors.
pub(crate) const MOST_VALUES: usize = 1_000_000;

/// An object takes as much memory as this many values, even with few fields: its fields lie in blocks of eleven.
pub(crate) const VALUES_AN_OBJECT: usize = 12;

/// How many values a text has, without the names of fields: commas and opening brackets outside of strings, plus one. An object
/// counts as [`VALUES_AN_OBJECT`]. Text that is not JSON also gets a count.
pub(crate) fn values(text: &[u8]) -> usize {
    let (mut count, mut inside, mut escaped) = (1_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b',' | b'[' if !inside => count = count.saturating_add(1),
            b'{' if !inside => count = count.saturating_add(VALUES_AN_OBJECT),
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        for (text, expected) in
            [("1", 1), ("[1,2]", 3), (r#"{"a,[":"\"[,","b":{}}"#, 2 + 2 * VALUES_AN_OBJECT)]
        {
            assert_eq!(values(text.as_bytes()), expected, "{text}");
        }
    }
}
