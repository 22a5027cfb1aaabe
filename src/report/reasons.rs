//! The reasons for the kind of a model's norms: one line for each kind of evidence, however many sites it covers.

use super::words::{grouped, plural};
use super::{MeasuredVerdict, NormKind, NormReport, SiteVerification, Verification, sentence};
use crate::order;

/// Returns one line for measurements, then one for each kind of evidence and the kind of norm that it supports.
pub fn reasons(norms: &[NormReport], verification: Option<&Verification>) -> Vec<String> {
    let others = sentence::model_verdict(norms) == super::ModelVerdict::Other;
    let measured = verification.filter(|verification| verification.pass.is_none());
    let decisive = norms
        .iter()
        .filter(|norm| others || norm.kind != NormKind::Other)
        .flat_map(|norm| &norm.evidence)
        .filter(|evidence| evidence.strength >= 1.0)
        .filter(|evidence| measured.is_none() || evidence.source != "activations");
    let said = decisive.map(|evidence| {
        // Names differ from site to site, but the statements after them do not.
        let detail = match evidence.detail.split_once("` ") {
            Some((_, rest)) if evidence.source == "names" => format!("the name {rest}"),
            _ => evidence.detail.clone(),
        };
        ((evidence.source.as_str(), evidence.says), detail)
    });
    let lines = order::groups(said).into_iter().map(|((source, says), details)| {
        let towards = match says {
            NormKind::LayerNorm => "LayerNorm",
            NormKind::RmsNorm => "RMSNorm",
            NormKind::Other | NormKind::Unknown => "another norm",
        };
        format!("{source}: {} (towards {towards}, {})", together(&details), plural(details.len(), "site"))
    });
    measured.and_then(measured_line).into_iter().chain(lines).collect()
}

/// Summarises the measurements on activations of the model's own code in one sentence.
pub(super) fn measured_line(verification: &Verification) -> Option<String> {
    let sites = &verification.sites;
    let of = |verdict| sites.iter().filter(|site| site.verdict == verdict).collect::<Vec<_>>();
    let depths = |sites: &[&SiteVerification]| {
        let found = sites.iter().filter_map(|site| site.depth_scale_free);
        range(found).map_or(String::new(), |range| format!(", depth {range}"))
    };
    let all = |count: usize| {
        let noun = if count == 1 { "norm" } else { "norms" };
        let quantity = if count == sites.len() && count > 1 { "all " } else { "" };
        format!("{quantity}{} {noun}", grouped(count as u64))
    };
    let [yes, no, open] = [
        MeasuredVerdict::MeanSubtracting,
        MeasuredVerdict::NotMeanSubtracting,
        MeasuredVerdict::Inconclusive,
    ]
    .map(of);
    let verb = |count: usize, one: &'static str, more: &'static str| if count == 1 { one } else { more };
    let mut said = Vec::new();
    if !yes.is_empty() {
        let verb = verb(yes.len(), "subtracts", "subtract");
        said.push(format!("{} {verb} the mean{}", all(yes.len()), depths(&yes)));
    }
    if !no.is_empty() {
        let verb = verb(no.len(), "does", "do");
        said.push(format!("{} {verb} not subtract the mean{}", all(no.len()), depths(&no)));
    }
    if !open.is_empty() {
        let verb = verb(open.len(), "stays", "stay");
        said.push(format!("{} {verb} undecided", all(open.len())));
    }
    let tokens = verification.tokens;
    let text = format!("Measured on {} tokens: {}", grouped(tokens), said.join("; "));
    (!said.is_empty()).then_some(text)
}

/// Formats a range, 4e-14 … 1e-13, or one number if all are equal.
fn range(values: impl Iterator<Item = f64>) -> Option<String> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite()) {
        (low, high) = (low.min(value), high.max(value));
    }
    let written = |value: f64| {
        if (0.01..1000.0).contains(&value) { format!("{value:.2}") } else { format!("{value:.0e}") }
    };
    let (low, high) = (low.is_finite().then(|| written(low))?, written(high));
    Some(if low == high { low } else { format!("{low} … {high}") })
}

/// Returns the statement that most sites share, with the range of each number, and how many sites have another one.
fn together(details: &[String]) -> String {
    let groups = order::groups(details.iter().map(|detail| (skeleton(detail), detail.as_str())));
    let Some((_, largest)) = groups.into_iter().max_by_key(|(_, group)| group.len()) else {
        return String::new();
    };
    let text = merged(&largest);
    match details.len() - largest.len() {
        0 => text,
        others => format!("{text}; similar at {}", plural(others, "more site")),
    }
}

/// Splits a text into words and the numbers between them.
fn parts(text: &str) -> Vec<(bool, &str)> {
    let mut found: Vec<(bool, &str)> = Vec::new();
    let mut rest = text;
    let mut quoted = false;
    let mut word = false;
    while let Some(first) = rest.chars().next() {
        // Digits inside a name are not a number.
        let number = first.is_ascii_digit() && !quoted && !word;
        let end = if number { number_end(rest) } else { first.len_utf8() };
        quoted ^= first == '`';
        word = !number && (first.is_ascii_alphanumeric() || first == '_');
        let (piece, after) = rest.split_at(end);
        found.push((number, piece));
        rest = after;
    }
    found
}

/// Returns the end of a number at the beginning of a text: 2,097 or 0.19 or 4.1e-14.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while end < bytes.len() {
        let inside = digit(end)
            || matches!(bytes[end], b'.' | b',') && digit(end + 1)
            || bytes[end] == b'e' && (digit(end + 1) || bytes.get(end + 1) == Some(&b'-') && digit(end + 2))
            || bytes[end] == b'-' && bytes[end - 1] == b'e';
        if !inside {
            break;
        }
        end += 1;
    }
    end
}

/// Returns a statement without its numbers and without text in backticks.
fn skeleton(detail: &str) -> String {
    let outside: String = detail.split('`').step_by(2).collect::<Vec<_>>().join("``");
    parts(&outside).into_iter().map(|(number, piece)| if number { "#" } else { piece }).collect()
}

/// Returns the first text with the range of each number over all texts. Texts with different names have no common number.
fn merged(details: &[&str]) -> String {
    let all: Vec<Vec<(bool, &str)>> = details.iter().map(|detail| parts(detail)).collect();
    let Some(first) = all.first() else { return String::new() };
    if all.iter().any(|other| other.len() != first.len()) {
        return details[0].to_owned();
    }
    // Parsing as JSON costs the page nothing more. The standard library's parser would add its tables of 14 kB.
    let value = |text: &str| serde_json::from_str::<f64>(&text.replace(',', "")).unwrap_or(f64::NAN);
    let mut text = String::new();
    for (index, (number, piece)) in first.iter().enumerate() {
        if !number {
            text.push_str(piece);
            continue;
        }
        let mut values: Vec<&str> = all.iter().map(|parts| parts[index].1).collect();
        order::sort_by(&mut values, |a, b| value(a).total_cmp(&value(b)));
        let (low, high) = (values[0], values[values.len() - 1]);
        text.push_str(&if low == high { low.to_owned() } else { format!("{low} … {high}") });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_only_in_its_numbers_is_one_line_with_their_range() {
        let said = |depth: &str, tokens: u32| {
            format!("on {tokens} tokens the variance along 1/√d is {depth}: the mean is subtracted")
        };
        let details = [said("4.1e-14", 1536), said("1.3e-13", 1536), said("9.0e-14", 1536)];
        assert_eq!(
            together(&details),
            "on 1536 tokens the variance along 1/√d is 4.1e-14 … 1.3e-13: the mean is subtracted"
        );
    }

    #[test]
    fn what_is_said_of_few_sites_is_counted() {
        let details = ["the block is named as in `bert`", "the block is named as in `ernie`", "another one"]
            .map(str::to_owned);
        assert_eq!(together(&details), "the block is named as in `bert`; similar at 1 more site");
        assert_eq!(skeleton("`gpt2` has 2,097 norms"), "`` has # norms");
        assert_eq!(skeleton("gpt2 has 1.5e-3 norms"), "gpt2 has # norms");
    }
}
