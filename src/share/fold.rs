//! The proof of a fold as one HTML file: the verdict, what each changed tensor is and why that is exact, and both checkpoints on the
//! same tokens.

use super::page::{grouped, kind, maybe, page, prose, table};
use super::{ShareError, content};
use crate::report::fold::{
    FoldDifference, FoldOperation, FoldOutcome, FoldProof, FoldReport, FoldedNorm, FoldedTensor,
};
use maud::{Markup, html};

/// Writes the file. `made` is the time, as RFC 3339.
pub fn document(report: &FoldReport, made: &str) -> Result<String, ShareError> {
    let data = serde_json::to_string(report).map_err(content)?;
    let title = format!("{}, folded · Gammascope", report.checkpoint);
    let main = html! {
        (head(report, made))
        (tensors(report))
        (run(report.proof.as_ref()))
        (norms(report))
        (left(report))
    };
    let footer = html! {
        "Made by Gammascope " (report.tool_version) ". No weight of the checkpoint is in this file. The report as JSON ("
        code { (report.schema) } ") is in it, in the element " code { "#report" } "."
    };
    Ok(page(&title, &report.tool_version, &main, &footer, &data))
}

fn head(report: &FoldReport, made: &str) -> Markup {
    let operations: Vec<&str> = report.operations.iter().map(|operation| name(*operation)).collect();
    let is_done = |outcome: &FoldOutcome| *outcome == FoldOutcome::Done;
    let folded =
        |norm: &&FoldedNorm| is_done(&norm.scale) || is_done(&norm.shift) || is_done(&norm.canonical);
    let mut facts = vec![
        ("Changed tensors", grouped(report.tensors.len() as u64)),
        ("Folded norms", grouped(report.norms.iter().filter(folded).count() as u64)),
        (
            "Centred writers",
            grouped(report.writers.iter().filter(|writer| is_done(&writer.centred)).count() as u64),
        ),
        ("Largest rounding", maybe(report.largest_rounding().map(|(rounding, _)| rounding))),
        ("Bytes", grouped(report.bytes)),
        ("Made", made.to_owned()),
    ];
    if let Some(family) = &report.family {
        facts.push(("Family of the result", family.clone()));
    }
    if !report.files.is_empty() {
        facts.push(("New files beside the weights", report.files.join(", ")));
    }
    html! {
        header {
            p.muted { (report.checkpoint) " · " (operations.join(", ")) }
            h1 id="sentence" { (report.sentence) }
            dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
        }
    }
}

/// The name of an operation as in the terminal.
fn name(operation: FoldOperation) -> &'static str {
    match operation {
        FoldOperation::Scales => "--scales",
        FoldOperation::Shifts => "--shifts",
        FoldOperation::Centre => "--centre",
        FoldOperation::Canonical => "--canonical",
        FoldOperation::Untie => "--untie",
        FoldOperation::AddBiases => "--add-biases",
        FoldOperation::RmsNorm => "--to rmsnorm",
        FoldOperation::RepairOffset => "--repair-offset",
    }
}

fn tensors(report: &FoldReport) -> Markup {
    let row = |tensor: &FoldedTensor| {
        html! {
            tr {
                th scope="row" { code { (tensor.name) } }
                td { (tensor.dtype) }
                td.number { (grouped(tensor.values)) }
                td { (tensor.identity) }
                td.number { (maybe(tensor.rounding)) }
                td.number { (maybe(tensor.bound)) }
            }
        }
    };
    let headings = ["Tensor", "Type", "Values", "Identity", "Rounding", "Bound"];
    html! {
        section {
            h2 { "From the parameters" }
            p {
                "Each identity leaves the function as it is. Each result is computed in float64 and rounded once to the type of its tensor. "
                em { "Rounding" } " is ‖rounded − exact‖/‖exact‖. " em { "Bound" } " is the largest change of what the tensor computes, for any "
                "input, because ‖x̂‖ ≤ √d behind a norm. The parameters do not bound what a writer reads, so it has none."
            }
            @if !report.assumed.is_empty() {
                p { "This assumes that these fields of the configuration change nothing: " code { (report.assumed.join(", ")) } "." }
            }
            (table("tensors", &headings, html! { @for tensor in &report.tensors { (row(tensor)) } }))
        }
    }
}

fn run(proof: Option<&FoldProof>) -> Markup {
    let row = |name: &str, one: &FoldDifference| {
        html! {
            tr {
                th scope="row" { (name) }
                td.number { (maybe(Some(one.found))) }
                td.number { (maybe(Some(one.floor))) }
                td.number { (maybe((one.floor > 0.0).then(|| one.found / one.floor))) }
            }
        }
    };
    html! {
        section {
            h2 { "By running" }
            @if let Some(proof) = proof {
                p {
                    "The original and the result ran on the same " (grouped(proof.tokens)) " token ids. The floor is the original once more, with the "
                    "last bit of half of its weights flipped: a difference of that size is rounding. "
                    @if let Some((what, _)) = proof.deciding() { "The " (what) " decide, and ten times the floor is the limit." }
                }
                (table("run", &["What", "Difference", "Floor", "Times the floor"], html! {
                    @if let Some(logits) = &proof.logits { (row("logits", logits)) }
                    @if let Some(hidden) = &proof.hidden { (row("last hidden states", hidden)) }
                    @if let Some(divergence) = &proof.divergence { (row("KL divergence, nats", divergence)) }
                    @for (block, one) in proof.blocks.iter().enumerate() { (row(&format!("stream after block {block}"), one)) }
                }))
            } @else {
                p { "The two checkpoints were not run." }
            }
        }
    }
}

fn norms(report: &FoldReport) -> Markup {
    let row = |norm: &FoldedNorm| {
        html! {
            tr {
                th scope="row" { code { (norm.name) } }
                td { (kind(norm.kind)) }
                td { (outcome(&norm.scale)) }
                td { (outcome(&norm.shift)) }
                td { (outcome(&norm.canonical)) }
                td.number { (grouped(norm.channels_off.len() as u64)) }
            }
        }
    };
    let headings = ["Norm", "Kind", "Scale", "Shift", "Dead part of its readers", "Channels off"];
    html! {
        section {
            h2 { "Norm by norm" }
            (table("norms", &headings, html! { @for norm in &report.norms { (row(norm)) } }))
        }
    }
}

fn outcome(outcome: &FoldOutcome) -> &'static str {
    match outcome {
        FoldOutcome::NotAsked => "–",
        FoldOutcome::Nothing => "nothing to do",
        FoldOutcome::Done => "done",
        FoldOutcome::Left { .. } => "left",
    }
}

fn why(outcome: &FoldOutcome) -> Option<&str> {
    match outcome {
        FoldOutcome::Left { why } => Some(why),
        _ => None,
    }
}

fn left(report: &FoldReport) -> Markup {
    let (untied, biases) = (why(&report.untied), why(&report.added_biases));
    html! {
        @if !report.left.is_empty() || report.not_centred.is_some() || untied.is_some() || biases.is_some() {
            section {
                h2 { "What stays, and why" }
                ul {
                    @if let Some(why) = &report.not_centred { li { "Writers are not centred: " (prose(why)) "." } }
                    @if let Some(why) = untied { li { "The unembedding is not untied: " (prose(why)) "." } }
                    @if let Some(why) = biases { li { "Not every bias can be added: " (prose(why)) "." } }
                    @for left in &report.left {
                        li {
                            (prose(&left.why)) ": "
                            @for (at, name) in left.names.iter().enumerate() { @if at > 0 { ", " } code { (name) } }
                        }
                    }
                }
            }
        }
    }
}
