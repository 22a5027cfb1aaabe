//! Numbers in the sentences of a report, and safe text for names from files.

use std::borrow::Cow;

/// Whether a character is invisible or affects the text around it: controls, direction marks, line separators, zero-width spaces and tags.
/// Names from files may contain any of them.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'
                | '\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Escapes each invisible character: U+202E becomes `\u{202e}`.
pub fn spelled_out(text: &str) -> Cow<'_, str> {
    replaced(text, |character| character.escape_unicode().collect())
}

/// Escapes each invisible character in the strings of JSON. The JSON still parses to the same value.
pub fn plain_json(json: &str) -> Cow<'_, str> {
    // Outside its strings JSON has only line ends and spaces, and inside them no control below U+0020.
    replaced(json, |character| match character {
        '\n' => character.to_string(),
        other => other.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    })
}

fn replaced(text: &str, by: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match is_unseen(character) {
            true => plain.push_str(&by(character)),
            false => plain.push(character),
        }
    }
    plain.into()
}

/// Formats 1234567 as 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 norm", "13 norms".
pub(super) fn plural(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// "three channels": small counts as words.
pub(super) fn spelled(count: usize, noun: &str) -> String {
    const WORDS: [&str; 10] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    match WORDS.get(count) {
        Some(word) => format!("{word} {noun}{}", if count == 1 { "" } else { "s" }),
        None => plural(count, noun),
    }
}

/// Formats a share as percent with two significant digits: 0.0026 → "0.26 %".
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = (1.0 - percent.log10().floor()).clamp(0.0, 12.0) as usize;
    // The page rounds halves up, too.
    let unit = 10f64.powi(digits as i32);
    format!("{:.digits$} %", (percent * unit).round() / unit)
}

/// Lists numbers: 127, 223 and 319. Of more than `most`, lists the first ones.
pub(super) fn listed(channels: &[u32], most: usize) -> String {
    let shown: Vec<String> = channels.iter().take(most).map(u32::to_string).collect();
    let more = if channels.len() > most { ", …" } else { "" };
    shown.join(", ") + more
}

/// Returns the sentence with a capital letter at its beginning.
pub(super) fn capitalised(text: &str) -> String {
    // Our sentences begin in ASCII. Unicode's capitals would need a table of 14 kB, which the page would have to load.
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn half_a_digit_is_rounded_up_as_in_the_page() {
        assert_eq!([percent(0.125), percent(0.0145), percent(0.000_025)], ["13 %", "1.5 %", "0.0025 %"]);
    }

    #[test]
    fn a_share_has_two_digits_that_count() {
        let shares = [0.002_604, 0.000_123_4, 0.0174, 0.25, 1.0].map(percent);
        assert_eq!(shares, ["0.26 %", "0.012 %", "1.7 %", "25 %", "100 %"]);
    }
}
