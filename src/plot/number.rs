//! Numbers formatted for people.

use crate::report::words;

/// Returns 10^exponent, with the same bits on every platform, correctly rounded up to 10^±22. Parsing text would be correct everywhere,
/// but would add the standard library's table of powers, 12 kB of the page.
pub(super) fn power_of_ten(exponent: i32) -> f64 {
    /// The largest power that f64 holds exactly.
    const EXACT: u32 = 22;
    let mut power = 1.0;
    let mut left = exponent.unsigned_abs();
    while left > 0 {
        let step = left.min(EXACT);
        let factor = (0..step).fold(1.0, |product, _| product * 10.0);
        power = if exponent < 0 { power / factor } else { power * factor };
        left -= step;
    }
    power
}

/// Formats three significant digits: 0.051, 12.3, 384, 4.8e-33.
pub(super) fn short(value: f64) -> String {
    let scientific = format!("{value:.2e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        // NaN and infinities have no exponent.
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..=2) => trimmed(&format!("{value:.*}", (2 - exponent) as usize)).to_owned(),
        Ok(3..=5) => grouped(value.round()),
        _ => format!("{}e{exponent}", trimmed(mantissa)),
    }
}

/// Formats a whole number with commas between thousands.
pub(super) fn grouped(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", words::grouped(value.abs().round() as u64))
}

/// "1 channel", "2 channels".
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count as f64), if count == 1 { "" } else { "s" })
}

fn trimmed(decimal: &str) -> &str {
    if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_have_three_digits() {
        let written =
            [0.051031, 0.8, 12.345, 384.0, 1023.7, 4.8e-33, 1.0, 0.0, -2.5, 1e-4, 0.99999, 1e6, 6.9e5];
        let expected = [
            "0.051", "0.8", "12.3", "384", "1,024", "4.8e-33", "1", "0", "-2.5", "0.0001", "1", "1e6",
            "690,000",
        ];
        assert_eq!(written.map(short), expected.map(String::from));
        assert_eq!([f64::INFINITY, f64::NAN].map(short), ["inf", "NaN"]);
    }

    #[test]
    fn powers_of_ten_are_those_that_are_read_from_text() {
        for exponent in -320..=308 {
            let (power, read) = (power_of_ten(exponent), format!("1e{exponent}").parse::<f64>().unwrap());
            let bound = if exponent.abs() <= 22 { 0.0 } else { 4e-15 * read + f64::from_bits(4) };
            assert!((power - read).abs() <= bound, "10^{exponent} is {power:e}");
        }
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [0.0, 999.0, 1000.0, -16384.0, 1e6].map(grouped),
            ["0", "999", "1,000", "-16,384", "1,000,000"]
        );
        assert_eq!(counted(1, "channel"), "1 channel");
        assert_eq!(counted(61, "site"), "61 sites");
    }
}
