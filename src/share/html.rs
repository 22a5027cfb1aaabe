//! A report as one HTML file: verdict, figures as SVG, tables, and the report itself as JSON. It runs no script and sends no request, so
//! it opens with a double click, even in ten years.

use super::page::{grouped, kind, maybe, page, prose, readable, table};
use super::{Choice, ShareError, content, names};
use crate::figures::figure;
use crate::inspect::Inspection;
use crate::plot::{FigureKind, Size};
use crate::report::claims::Claim;
use crate::report::random_init::RandomInitSite;
use crate::report::{
    DeadDirections, FallPlace, KernelForm, NormReport, Report, ResidualFall, SiteVerification, Verification,
};
use maud::{Markup, PreEscaped, html};

pub use super::page::MARK;

const SIZE: Size = Size { width: 960, height: 0 };

/// Writes the file. `made` is the time, as RFC 3339.
pub fn document(inspection: &Inspection, choice: Choice, made: &str) -> Result<String, ShareError> {
    if inspection.report.shared.is_some() {
        return Err(ShareError::Again);
    }
    let mut report = inspection.report.clone();
    if !choice.names {
        report = names::without(report)?;
    }
    let (scales, shifts) = (inspection.scales.clone(), inspection.shifts.clone());
    let (own_names, undecided) = (inspection.own_names.clone(), inspection.undecided.clone());
    let likely_offsets = inspection.likely_offsets.clone();
    let inspection = Inspection { report, scales, shifts, own_names, undecided, likely_offsets };
    let report = &inspection.report;
    let data = serde_json::to_string(report).map_err(content)?;
    let title = format!("{} · Gammascope", report.checkpoint.name);
    let main = html! {
        (head(report, made))
        (final_norm(&inspection))
        (sites(&inspection))
        (writers(&inspection))
        (measured(&inspection))
        (dead(report))
        (warnings(report))
    };
    let footer = html! {
        "Made by Gammascope " (report.tool_version) " on the sender's machine. No weight of the checkpoint is in this "
        "file. The report as JSON (" code { (report.schema) } ") is in it, in the element " code { "#report" } "."
    };
    Ok(page(&title, &report.tool_version, &main, &footer, &data))
}

/// Writes the verdict and the figures as a piece of another page, such as a notebook. It has no script, and no style sheet of its own.
pub fn piece(inspection: &Inspection) -> String {
    let report = &inspection.report;
    let site = report.model.final_norm.as_deref();
    readable(html! {
        div {
            p { strong { (report.model.sentence) } }
            ul { @for reason in &report.model.reasons { li { (prose(reason)) } } }
            (warnings(report))
            @for kind in [FigureKind::KernelDirection, FigureKind::ScaleDistribution, FigureKind::SoftSpectrum] {
                (drawn(inspection, kind, site))
            }
            @for kind in [FigureKind::SiteMap, FigureKind::WriterEnergy, FigureKind::Measured, FigureKind::PrincipalAngles] {
                (drawn(inspection, kind, None))
            }
        }
    })
}

fn head(report: &Report, made: &str) -> Markup {
    let (model, checkpoint) = (&report.model, &report.checkpoint);
    let facts = [
        ("Parameters", grouped(checkpoint.parameters)),
        ("Tensors", grouped(checkpoint.tensors)),
        ("Shards", grouped(checkpoint.shards)),
        ("Norm sites", grouped(report.norms.len() as u64)),
        ("Bytes", grouped(checkpoint.bytes)),
        ("Bytes read", grouped(checkpoint.bytes_read)),
        ("Weights sampled", grouped(checkpoint.weight_bytes_read)),
        ("Made", made.to_owned()),
    ];
    html! {
        header {
            p.muted {
                (checkpoint.name)
                @if let Some(family) = &model.family { " · " (family) }
                " · " (checkpoint.format)
            }
            h1 id="sentence" { (model.sentence) }
            @if model.confidence > 0.0 { p { "Confidence " (probability(model.confidence)) ", because:" } }
            ul { @for reason in &model.reasons { li { (prose(reason)) } } }
            @if !report.findings.is_empty() {
                h2 { "What stands out" }
                ul id="findings" {
                    @for finding in &report.findings { li { (prose(&finding.text)) " " span.muted { (prose(&finding.advice)) } } }
                }
            }
            dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
        }
    }
}

fn final_norm(inspection: &Inspection) -> Markup {
    let site = inspection.report.model.final_norm.as_deref();
    html! {
        @if let Some(name) = site {
            section {
                h2 { "The final norm, " code { (name) } }
                (drawn(inspection, FigureKind::KernelDirection, site))
                (drawn(inspection, FigureKind::ScaleDistribution, site))
                (drawn(inspection, FigureKind::SoftSpectrum, site))
            }
        }
    }
}

fn sites(inspection: &Inspection) -> Markup {
    let norms = &inspection.report.norms;
    let row = |(norm, number): (&NormReport, usize)| {
        let kernel = &norm.kernel;
        html! {
            tr {
                td.number { (number) }
                th scope="row" { code { (norm.name) } }
                td { (kind(norm.kind)) }
                td.number { @if norm.confidence > 0.0 { (probability(norm.confidence)) } @else { "–" } }
                td.number { (grouped(norm.width)) }
                td { (form(norm)) }
                td.number { (maybe(kernel.participation)) }
                td.number { (maybe(kernel.max_component)) }
                td.number { (maybe(kernel.scale_min_abs)) }
                td.number { (maybe(kernel.condition)) }
                td.number { (maybe(kernel.deepening)) }
                td.number { (grouped(kernel.near_dead.len() as u64)) }
                td.number { (kernel.predicted_below_tau.map_or("–".to_owned(), grouped)) }
            }
        }
    };
    let headings = [
        "#",
        "Site",
        "Kind",
        "Conf.",
        "d",
        "Kernel",
        "Partic.",
        "max |vᵢ|",
        "min |γ|",
        "Condition",
        "Deepening",
        "Near-dead",
        "Below τ",
    ];
    html! {
        section {
            h2 { "Norm sites" }
            (drawn(inspection, FigureKind::SiteMap, None))
            (table("sites", &headings, html! { @for norm in norms.iter().zip(1..) { (row(norm)) } }))
        }
    }
}

fn writers(inspection: &Inspection) -> Markup {
    html! {
        @if !inspection.report.writers.is_empty() {
            section {
                h2 { "What training left in the weights" }
                (drawn(inspection, FigureKind::WriterEnergy, None))
            }
        }
    }
}

fn measured(inspection: &Inspection) -> Markup {
    let Some(verification) = inspection.report.measured() else { return html! {} };
    let row = |site: &SiteVerification| {
        html! {
            tr {
                th scope="row" { code { (site.name) } }
                td { (site.verdict.words()) }
                td.number { (maybe(site.depth_scale_free)) }
                td.number { (maybe(site.cos_scale_free)) }
                td.number { (maybe(Some(site.depth))) }
                td.number { (maybe(site.cos)) }
                td.number { (maybe(site.sin_bound)) }
                td.number { (maybe(site.gap)) }
                td.number { (maybe(site.schur)) }
                td.number { (maybe(Some(site.schur_null))) }
                td.number { (site.below_tau.map_or("–".to_owned(), grouped)) }
            }
        }
    };
    let headings = [
        "Site", "Measured", "depth^", "|cos^|", "depth", "|cos|", "sin ≤", "gap", "Schur", "null", "Below τ",
    ];
    html! {
        section {
            h2 { "Measured on activations" }
            p {
                (grouped(verification.tokens)) " tokens or more of " code { (verification.input) } ", " (verification.forward)
                ", n/d " (maybe(Some(verification.width_ratio))) ", on " (verification.device) "."
            }
            @if let Some(loss) = &verification.loss {
                p {
                    "Predicting " (grouped(loss.tokens)) " of these tokens costs " (maybe(Some(loss.layernorm)))
                    " nats with the norms as LayerNorms and " (maybe(Some(loss.rmsnorm))) " as RMSNorms: a difference of " (format!("{:.4} ± {:.4}", loss.difference, loss.standard_error)) "."
                }
            }
            @if verification.pass.is_some() { (initial(verification)) h3 { "2. Trained against random" } }
            @if let Some(found) = &verification.story.deepening { p { (found) } }
            (drawn(inspection, FigureKind::RandomInit, None))
            (drawn(inspection, FigureKind::Measured, None))
            (drawn(inspection, FigureKind::PrincipalAngles, None))
            (table("measured", &headings, html! { @for site in &verification.sites { (row(site)) } }))
            @if verification.pass.is_some() {
                h3 { "3. The residual stream" }
                p { (verification.story.stream.as_deref().unwrap_or("The run did not measure the stream.")) }
                (drawn(inspection, FigureKind::Residual, None))
                (falls(&verification.falls))
                h3 { "4. The function along the kernels" }
                p { (verification.story.preservation.as_deref().unwrap_or("The run moved no reader.")) }
                (drawn(inspection, FigureKind::Preservation, None))
                h3 { "5. Where this differs from the paper" }
                (claims(&verification.claims))
            }
        }
    }
}

/// The norms at the initialisation.
fn initial(verification: &Verification) -> Markup {
    let row = |site: &RandomInitSite| {
        html! {
            tr {
                th scope="row" { code { (site.name) } }
                td.number { (maybe(site.cos_scale_free)) }
                td.number { (maybe(site.depth_scale_free)) }
                td.number { (site.below_tau.map_or("–".to_owned(), grouped)) }
            }
        }
    };
    html! {
        h3 { "1. At random initialisation" }
        p { (verification.story.initial.as_deref().unwrap_or("The model was not run with random weights.")) }
        @if let Some(initial) = &verification.random_init {
            (table("initial", &["Site", "|cos^|", "depth^", "Below τ"], html! { @for site in &initial.sites { (row(site)) } }))
        }
    }
}

/// The blocks at which the least singular value of the stream falls.
fn falls(falls: &[ResidualFall]) -> Markup {
    let row = |fall: &ResidualFall| {
        let place = |of: fn(&FallPlace) -> f64| maybe(fall.place.as_ref().map(of));
        html! {
            tr {
                th scope="row" { (fall.block) @if let Some(stack) = fall.stack { " of the " (stack.text()) } }
                td.number { (maybe(Some(fall.ratio.value))) }
                td { @if fall.on_both_halves { "yes" } @else { "no" } }
                td.number { (place(|place| place.attention)) }
                td.number { (place(|place| place.feed_forward)) }
                td.number { (place(|place| place.same_direction)) }
                td.number { (place(|place| place.mean)) }
            }
        }
    };
    let headings = [
        "After block",
        "Falls to",
        "On both halves",
        "Attention",
        "Feed-forward",
        "|cos| before",
        "|cos| mean",
    ];
    html! { @if !falls.is_empty() { (table("falls", &headings, html! { @for fall in falls { (row(fall)) } })) } }
}

/// The paper's claims: first those that the model differs from, with the reason.
fn claims(claims: &[Claim]) -> Markup {
    let item = |claim: &Claim| {
        html! {
            li {
                (claim.paper) ". " strong { @if claim.agrees { "Here too" } @else { "Not here" } } ": " (claim.found) "."
                @if let Some(why) = &claim.why { " Why: " (why) "." }
            }
        }
    };
    let (agree, differ): (Vec<&Claim>, Vec<&Claim>) = claims.iter().partition(|claim| claim.agrees);
    html! {
        @if differ.is_empty() { p { "The run differs from none of the paper’s claims that it tests." } }
        ul { @for claim in differ { (item(claim)) } }
        ul { @for claim in agree { (item(claim)) } }
    }
}

fn dead(report: &Report) -> Markup {
    let dead = &report.dead_parameters;
    let classes = [
        ("outright", dead.outright),
        ("once the bias is moved", dead.with_bias_shift),
        ("constant shift only", dead.constant_shift),
        ("tied: seen at the input embedding", dead.tied),
    ];
    html! {
        section {
            h2 { "Dead parameter directions" }
            @if dead.share > 0.0 {
                p { (maybe(Some(100.0 * dead.share))) " % of the parameters of " (grouped(dead.readers)) " readers are free to move." }
            }
            dl.facts { @for (name, count) in classes { div { dt { (name) } dd { (grouped(count)) } } } }
            @if !dead.assumptions.is_empty() { ul { @for assumption in &dead.assumptions { li { (prose(assumption)) } } } }
            @if dead.readers > 0 {
                details {
                    summary { "Reader by reader" }
                    (table("readers", &["Reader", "Reads", "Rows", "Outright", "Bias moved", "Constant", "Tied"], html! {
                        @for norm in &report.norms {
                            @for reader in norm.readers.iter().filter(|reader| reader.dead != DeadDirections::default()) {
                                tr {
                                    th scope="row" { code { (reader.name) } }
                                    td { code { (norm.name) } }
                                    td.number { (grouped(reader.rows)) }
                                    td.number { (grouped(reader.dead.outright)) }
                                    td.number { (grouped(reader.dead.with_bias_shift)) }
                                    td.number { (grouped(reader.dead.constant_shift)) }
                                    td.number { (grouped(reader.dead.tied)) }
                                }
                            }
                        }
                    }))
                }
            }
        }
    }
}

fn warnings(report: &Report) -> Markup {
    html! {
        @if !report.warnings.is_empty() {
            section {
                h2 { "Warnings" }
                ul { @for warning in &report.warnings { li { (prose(&warning.message)) " (" code { (warning.r#where) } ")" } } }
            }
        }
    }
}

/// Draws a figure with its caption. Empty if the figure does not exist.
fn drawn(inspection: &Inspection, kind: FigureKind, site: Option<&str>) -> Markup {
    let Ok(drawn) = figure(inspection, kind, site, SIZE) else { return html! {} };
    html! { figure { p { strong { (drawn.title) } } (PreEscaped(drawn.svg)) figcaption { (drawn.caption) } } }
}

fn form(norm: &NormReport) -> String {
    match (norm.kernel.form, norm.kernel.coordinates.len()) {
        (KernelForm::InverseScale, _) => "γ⁻¹".to_owned(),
        (KernelForm::Coordinates, 1) => "1 coordinate".to_owned(),
        (KernelForm::Coordinates, some) => format!("{} coordinates", grouped(some as u64)),
        (KernelForm::None, _) => "none".to_owned(),
        (KernelForm::Unknown, _) => "unknown".to_owned(),
    }
}

/// Formats a probability as the page does. It only shows certainty if the value is certain.
fn probability(value: f64) -> String {
    if (0.9995..1.0).contains(&value) {
        return "> 0.999".to_owned();
    }
    format!("{}", (value * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_page() {
        let written = [0.0, 12.0, -1234.0, 0.78181, 4.8e-33, 12.3456, 1e6, 2_345_678.0, 0.001, 0.000_999_9]
            .map(|value| maybe(Some(value)));
        let expected =
            ["0", "12", "-1,234", "0.7818", "4.80e-33", "12.35", "1.00e6", "2.35e6", "0.001", "1.00e-3"];
        assert_eq!(written, expected);
        assert_eq!(maybe(None), "–");
        assert_eq!([0.9996, 1.0, 0.5].map(probability), ["> 0.999", "1", "0.5"]);
    }
}
