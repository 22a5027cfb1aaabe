//! The frame of every HTML file, and what their tables need. A file runs no script and sends no request.

use crate::report::NormKind;
use crate::report::words::{plain_json, spelled_out};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Text near the beginning of every such file, followed by the version that made it.
pub const MARK: &str = r#"<meta name="generator" content="Gammascope "#;

const STYLE: &str = include_str!("page.css");
/// Forbids loading and running anything.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Makes a file of its parts. `data` is JSON, which the file holds in the element `#report`.
pub(super) fn page(title: &str, version: &str, main: &Markup, footer: &Markup, data: &str) -> String {
    // `</script>` in a name must not end the element. JSON reads the escape as the same character.
    let data = data.replace('<', "\\u003c");
    let data = plain_json(&data);
    readable(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "Gammascope " (version) };
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (main) }
                footer { p { (footer) } }
                script type="application/json" id="report" { (PreEscaped(data)) }
            }
        }
    })
}

/// Spells out invisible characters: all of it is text that people see.
pub(super) fn readable(page: Markup) -> String {
    page.into_string().split('\n').map(spelled_out).collect::<Vec<_>>().join("\n")
}

/// Makes a sentence whose text in backticks is code.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (index, piece) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

pub(super) fn table(id: &str, headings: &[&str], rows: Markup) -> Markup {
    html! {
        div.scroll {
            table id=(id) {
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody { (rows) }
            }
        }
    }
}

pub(super) fn kind(kind: NormKind) -> &'static str {
    match kind {
        NormKind::LayerNorm => "LayerNorm",
        NormKind::RmsNorm => "RMSNorm",
        NormKind::Other => "Other norm",
        NormKind::Unknown => "Unknown",
    }
}

/// Formats a number with commas between thousands.
pub(super) fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats four significant digits as the page does, with an exponent if readers would have to count zeros.
pub(super) fn maybe(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e6 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(size as u64));
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    format!("{value:.3e}").parse::<f64>().map_or_else(|_| value.to_string(), |rounded| rounded.to_string())
}
