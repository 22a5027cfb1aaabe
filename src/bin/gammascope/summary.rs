//! The report for a person at a terminal.

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use gammascope::report::words::grouped;
use gammascope::report::{
    DeadDirections, KernelForm, NormKind, NormReport, NormRole, Report, Warning, WriterPart,
};
use std::collections::BTreeMap;
use std::io::{self, Write};

pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const QUIET: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default();
/// How errors are marked.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// More sites than this are shown only with `--all`.
pub(crate) const SITES: usize = 40;

/// Writes the summary of `report`; `all` lists every site.
pub(crate) fn write(out: &mut impl Write, report: &Report, all: bool) -> io::Result<()> {
    let (model, checkpoint) = (&report.model, &report.checkpoint);
    writeln!(out, "{STRONG}{}{STRONG:#}", printable(&model.sentence))?;
    if model.confidence > 0.0 {
        writeln!(out, "confidence {:.3}", model.confidence)?;
    }
    for reason in &model.reasons {
        writeln!(out, "  {QUIET}{}{QUIET:#}", printable(reason))?;
    }
    for part in &model.parts {
        let name = if part.name.is_empty() { "elsewhere" } else { &part.name };
        writeln!(out, "  {}: {}", printable(name), printable(&part.sentence))?;
    }
    crate::findings::write(out, report)?;
    writeln!(out)?;
    let shards =
        if checkpoint.shards == 1 { "1 file".to_owned() } else { format!("{} shards", checkpoint.shards) };
    writeln!(
        out,
        "{}: {shards}, {} tensors, {} parameters, {}; read {}",
        printable(&checkpoint.name),
        grouped(checkpoint.tensors.into()),
        grouped(checkpoint.parameters),
        indicatif::DecimalBytes(checkpoint.bytes),
        indicatif::DecimalBytes(checkpoint.bytes_read),
    )?;
    if let Some(remote) = &checkpoint.remote {
        let requests = if remote.requests == 1 {
            "1 request".to_owned()
        } else {
            format!("{} requests", remote.requests)
        };
        let bytes = indicatif::DecimalBytes(remote.bytes);
        writeln!(out, "from {}: {requests}, {bytes} transferred", printable(&remote.address))?;
    }
    writers(out, report)?;
    let family = model.family.as_deref().unwrap_or("unknown");
    let layers = model.layers.map_or("?".to_owned(), |layers| layers.to_string());
    let width = model.width.map_or("?".to_owned(), |width| width.to_string());
    writeln!(out, "family {}, {layers} blocks, width {width}", printable(family))?;
    if let Some(norm) = report.norms.iter().find(|norm| Some(&norm.name) == model.final_norm.as_ref()) {
        writeln!(out, "final norm {}: {}", printable(&norm.name), kernel(norm))?;
    }
    if !report.norms.is_empty() {
        sites(out, &report.norms, all)?;
        dead(out, report)?;
    }
    for warning in &report.warnings {
        self::warning(out, warning)?;
    }
    Ok(())
}

/// One warning, a line.
pub(crate) fn warning(out: &mut impl Write, warning: &Warning) -> io::Result<()> {
    writeln!(
        out,
        "{WARNING}warning:{WARNING:#} {} {QUIET}[{}]{QUIET:#}",
        printable(&warning.message),
        warning.code
    )
}

/// One line for each stack whose writers were sampled.
fn writers(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut stacks: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for writer in report.writers.iter().filter(|writer| writer.part != WriterPart::Embedding) {
        stacks.entry(&writer.stack).or_default().push(writer.energy);
    }
    let read = indicatif::DecimalBytes(report.checkpoint.weight_bytes_read);
    for (stack, energies) in stacks {
        let mean = energies.iter().sum::<f64>() / energies.len() as f64;
        let (least, most) = energies
            .iter()
            .fold((f64::INFINITY, 0f64), |(least, most), &energy| (least.min(energy), most.max(energy)));
        let name = if stack.is_empty() { "the stream".to_owned() } else { format!("`{}`", printable(stack)) };
        writeln!(
            out,
            "writer energy of {name}: {mean:.2} ({least:.2}–{most:.2} over {} writers; 1 without LayerNorm); sampled {read} of weights",
            energies.len(),
        )?;
    }
    Ok(())
}

fn sites(out: &mut impl Write, norms: &[NormReport], all: bool) -> io::Result<()> {
    let shown = if all { norms.len() } else { norms.len().min(SITES) };
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "norm site",
        "role",
        "kind",
        "conf",
        "d",
        "min|γ|",
        "median",
        "max",
        "near-dead",
        "below τ",
        "deepening",
        "kernel",
    ]);
    for norm in &norms[..shown] {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3e}"));
        table.add_row([
            printable(&norm.name),
            role(norm.role).to_owned(),
            kind(norm.kind).to_owned(),
            if norm.confidence > 0.0 { format!("{:.3}", norm.confidence) } else { "–".to_owned() },
            norm.width.to_string(),
            number(norm.kernel.scale_min_abs),
            number(norm.kernel.scale_median_abs),
            number(norm.kernel.scale_max_abs),
            norm.kernel.near_dead.len().to_string(),
            norm.kernel.predicted_below_tau.map_or("–".to_owned(), |count| count.to_string()),
            norm.kernel.deepening.map_or("–".to_owned(), deepening),
            kernel(norm),
        ]);
    }
    for column in 3..=10 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "\n{}", table.trim_fmt())?;
    if shown < norms.len() {
        writeln!(out, "{QUIET}… and {} more sites (--all lists them){QUIET:#}", norms.len() - shown)?;
    }
    Ok(())
}

/// A factor of depth, with as many digits as it has meaning.
pub(crate) fn deepening(factor: f64) -> String {
    if factor >= 0.01 { format!("× {factor:.2}") } else { format!("× {factor:.0e}") }
}

pub(crate) fn kernel(norm: &NormReport) -> String {
    let kernel = &norm.kernel;
    match kernel.form {
        KernelForm::InverseScale => {
            let near_dead = kernel.near_dead.len();
            match (kernel.near_dead_weight, kernel.participation) {
                (Some(weight), _) if weight > 0.99 => {
                    let channels = if near_dead == 1 {
                        "1 near-dead channel".to_owned()
                    } else {
                        format!("{near_dead} near-dead channels")
                    };
                    let some: Vec<String> = kernel.near_dead.iter().take(3).map(u32::to_string).collect();
                    let more = if near_dead > 3 { ", …" } else { "" };
                    format!(
                        "γ⁻¹ direction, {:.2} % of it in {channels} ({}{more})",
                        100.0 * weight,
                        some.join(", ")
                    )
                }
                (_, participation) => format!(
                    "γ⁻¹ direction, over {:.1} of {} channels",
                    participation.unwrap_or_default(),
                    norm.width
                ),
            }
        }
        KernelForm::Coordinates => {
            let some: Vec<String> = kernel.coordinates.iter().take(6).map(u32::to_string).collect();
            let more = if kernel.coordinates.len() > 6 { ", …" } else { "" };
            format!("{} zero channels: {}{more}", kernel.coordinates.len(), some.join(", "))
        }
        KernelForm::None => "none".to_owned(),
        KernelForm::Unknown => "not offered".to_owned(),
    }
}

/// Why no dead direction is counted: no norm has a kernel, or no reader of those that have one was recognised.
fn nothing_dead(report: &Report) -> String {
    let kernels = [KernelForm::InverseScale, KernelForm::Coordinates];
    let with_kernel: Vec<&NormReport> =
        report.norms.iter().filter(|norm| kernels.contains(&norm.kernel.form)).collect();
    let why = with_kernel.iter().find_map(|norm| Some((norm.name.as_str(), norm.reader_note.as_deref()?)));
    match (with_kernel.len(), why) {
        (0, _) => "No reader has a dead direction.".to_owned(),
        (sites, None) => format!("No reader of the {sites} sites with a kernel direction was recognised."),
        (sites, Some((name, note))) => format!(
            "No reader of the {sites} sites with a kernel direction was recognised, so nothing is counted. {}: {}.",
            printable(name),
            printable(note)
        ),
    }
}

/// Readers of the same name in every block are one line.
fn dead(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let total = &report.dead_parameters;
    if total.readers == 0 {
        return writeln!(out, "\n{}", nothing_dead(report));
    }
    let mut lines: BTreeMap<String, (u64, u64, DeadDirections)> = BTreeMap::new();
    for reader in report
        .norms
        .iter()
        .flat_map(|norm| &norm.readers)
        .filter(|reader| reader.dead != DeadDirections::default())
    {
        let (readers, rows, dead) = lines.entry(without_numbers(&reader.name)).or_default();
        *readers += 1;
        *rows += reader.rows;
        dead.outright += reader.dead.outright;
        dead.with_bias_shift += reader.dead.with_bias_shift;
        dead.constant_shift += reader.dead.constant_shift;
        dead.tied += reader.dead.tied;
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "dead directions of the readers",
        "readers",
        "rows",
        "outright",
        "after moving the bias",
        "constant shift",
        "tied",
    ]);
    for (name, (readers, rows, dead)) in lines {
        table.add_row([
            printable(&name),
            readers.to_string(),
            grouped(rows),
            grouped(dead.outright),
            grouped(dead.with_bias_shift),
            grouped(dead.constant_shift),
            grouped(dead.tied),
        ]);
    }
    table.add_row([
        "all".to_owned(),
        total.readers.to_string(),
        String::new(),
        grouped(total.outright),
        grouped(total.with_bias_shift),
        grouped(total.constant_shift),
        grouped(total.tied),
    ]);
    for column in 1..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "\n{}", table.trim_fmt())?;
    // Where only a tied unembedding was recognised, 0 % would say more than is known.
    if total.share > 0.0 {
        let percent = 100.0 * total.share;
        writeln!(out, "dead outright or after moving the bias: {percent:.3} % of these readers' parameters")?;
    }
    for assumption in &total.assumptions {
        writeln!(out, "  {QUIET}assumed: {}{QUIET:#}", printable(assumption))?;
    }
    writeln!(out)
}

fn without_numbers(name: &str) -> String {
    name.split('.')
        .map(|part| if part.bytes().all(|byte| byte.is_ascii_digit()) { "*" } else { part })
        .collect::<Vec<_>>()
        .join(".")
}

pub(crate) fn kind(kind: NormKind) -> &'static str {
    match kind {
        NormKind::LayerNorm => "layernorm",
        NormKind::RmsNorm => "rmsnorm",
        NormKind::Other => "other",
        NormKind::Unknown => "unknown",
    }
}

pub(crate) fn form(form: KernelForm) -> &'static str {
    match form {
        KernelForm::InverseScale => "γ⁻¹",
        KernelForm::Coordinates => "zero channels",
        KernelForm::None => "none",
        KernelForm::Unknown => "not offered",
    }
}

pub(crate) fn role(role: NormRole) -> &'static str {
    match role {
        NormRole::Final => "final",
        NormRole::Block => "block",
        NormRole::Embedding => "embedding",
        NormRole::QueryKey => "query/key",
        NormRole::Other => "other",
    }
}

/// Names come from untrusted files: control characters would let them write to the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            if character.is_control() {
                character.escape_unicode().collect::<Vec<_>>()
            } else {
                vec![character]
            }
        })
        .collect()
}
