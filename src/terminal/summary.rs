//! The report for a person at a terminal.

use super::grid::{Grid, number, text};
use super::like;
use super::screen::Screen;
use anstyle::{AnsiColor, Style};
use gammascope::report::words::{grouped, spelled_out};
use gammascope::report::{
    DeadDirections, KernelForm, NormKind, NormReport, NormRole, Report, Warning, WriterPart,
};
use std::collections::BTreeMap;
use std::io::{self, Write};

pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const QUIET: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default();
/// Style of errors.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// More sites than this are shown only with `--all`.
pub(crate) const SITES: usize = 40;

/// Writes the summary of `report`; `all` lists every site.
pub(crate) fn write(out: &mut Screen<impl Write>, report: &Report, all: bool) -> io::Result<()> {
    headline(out, report)?;
    writeln!(out)?;
    checkpoint(out, report)?;
    writers(out, report)?;
    model(out, report)?;
    if !report.norms.is_empty() {
        sites(out, &report.norms, all)?;
        dead(out, report)?;
    }
    report.warnings.iter().try_for_each(|warning| self::warning(out, warning))
}

/// Writes the verdict and its reason.
fn headline(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let model = &report.model;
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
    super::findings::write(out, report)
}

/// Writes what was read.
fn checkpoint(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let checkpoint = &report.checkpoint;
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
    let Some(remote) = &checkpoint.remote else { return Ok(()) };
    let requests =
        if remote.requests == 1 { "1 request".to_owned() } else { format!("{} requests", remote.requests) };
    let bytes = indicatif::DecimalBytes(remote.bytes);
    writeln!(out, "from {}: {requests}, {bytes} transferred", printable(&remote.address))
}

/// Writes the family, the size and the final norm.
fn model(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let model = &report.model;
    let family = model.family.as_deref().unwrap_or("unknown");
    let layers = model.layers.map_or("?".to_owned(), |layers| layers.to_string());
    let width = model.width.map_or("?".to_owned(), |width| width.to_string());
    writeln!(out, "family {}, {layers} blocks, width {width}", printable(family))?;
    match report.norms.iter().find(|norm| Some(&norm.name) == model.final_norm.as_ref()) {
        Some(norm) => writeln!(out, "final norm {}, kernel: {}", printable(&norm.name), kernel(norm)),
        None => Ok(()),
    }
}

/// Writes one warning on a line.
pub(crate) fn warning(out: &mut impl Write, warning: &Warning) -> io::Result<()> {
    writeln!(
        out,
        "{WARNING}warning:{WARNING:#} {} {QUIET}[{}]{QUIET:#}",
        printable(&warning.message),
        warning.code
    )
}

/// Writes one line for each stack whose writers were sampled.
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

/// Writes the norms, with those of like name over the blocks in one row.
fn sites(out: &mut Screen<impl Write>, norms: &[NormReport], all: bool) -> io::Result<()> {
    let names: Vec<String> = norms.iter().map(|norm| printable(&norm.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = like::rows(&names, |at| (norms[at].role, norms[at].kind, norms[at].width), all);
    let shown = if all { rows.len() } else { rows.len().min(SITES) };
    let mut grid = Grid::new(
        "norm site",
        &[
            text("role", 2),
            text("kind", 1),
            number("confidence", 8),
            number("width", 5),
            number("min |γ|", 4),
            number("median", 6),
            number("max", 7),
            number("near-dead", 3),
            number("below τ", 9),
            number("deepening", 10),
            text("kernel", 0),
        ],
    );
    for row in &rows[..shown] {
        let norms: Vec<&NormReport> = row.places.iter().map(|&place| &norms[place]).collect();
        let first = norms[0];
        let over = |of: fn(&NormReport) -> Option<f64>, write: fn(f64) -> String| {
            like::range(norms.iter().map(|norm| of(norm)), write)
        };
        let confidence = |norm: &NormReport| Some(norm.confidence).filter(|confidence| *confidence > 0.0);
        grid.row(
            row.name.clone(),
            vec![
                role(first.role).to_owned(),
                kind(first.kind).to_owned(),
                over(confidence, |confidence| format!("{confidence:.3}")),
                first.width.to_string(),
                over(|norm| norm.kernel.scale_min_abs, like::brief),
                over(|norm| norm.kernel.scale_median_abs, like::brief),
                over(|norm| norm.kernel.scale_max_abs, like::brief),
                like::counts(norms.iter().map(|norm| Some(norm.kernel.near_dead.len() as u64))),
                like::counts(norms.iter().map(|norm| norm.kernel.predicted_below_tau.map(u64::from))),
                over(|norm| norm.kernel.deepening, deepening),
                kernels(&norms),
            ],
        );
    }
    grid.write(out)?;
    if shown < rows.len() {
        writeln!(out, "… and {} more rows", rows.len() - shown)?;
    }
    if rows.len() < norms.len() || shown < rows.len() {
        writeln!(out, "{QUIET}--all lists all {} sites.{QUIET:#}", norms.len())?;
    }
    Ok(())
}

/// Describes the kernels of like sites in a few words.
fn kernels(norms: &[&NormReport]) -> String {
    let of_form =
        |wanted| norms.iter().filter(|norm| norm.kernel.form == wanted).copied().collect::<Vec<_>>();
    let (inverse, zeros) = (of_form(KernelForm::InverseScale), of_form(KernelForm::Coordinates));
    let at = |some: &[&NormReport]| {
        if some.len() == norms.len() {
            String::new()
        } else {
            format!(" at {} of {}", some.len(), norms.len())
        }
    };
    if let Some(first) = inverse.first() {
        let in_few = |norm: &&NormReport| norm.kernel.near_dead_weight.is_some_and(|weight| weight > 0.99);
        let dead = &first.kernel.near_dead;
        let what = if inverse.iter().all(in_few) {
            let alike = inverse.iter().all(|norm| norm.kernel.near_dead == *dead);
            let count = like::counts(inverse.iter().map(|norm| Some(norm.kernel.near_dead.len() as u64)));
            if alike { channels("in", dead) } else { format!("in {count} near-dead channels") }
        } else {
            let whole = |value: f64| format!("{value:.0}");
            format!(
                "over {} channels",
                like::range(inverse.iter().map(|norm| norm.kernel.participation), whole)
            )
        };
        return format!("γ⁻¹ {what}{}", at(&inverse));
    }
    if let Some(first) = zeros.first() {
        let zero = &first.kernel.coordinates;
        if zeros.iter().all(|norm| norm.kernel.coordinates == *zero) {
            return format!("zero {}{}", channels("at", zero), at(&zeros));
        }
        let count = like::counts(zeros.iter().map(|norm| Some(norm.kernel.coordinates.len() as u64)));
        return format!("{count} zero channels{}", at(&zeros));
    }
    form(norms[0].kernel.form).to_owned()
}

/// Lists up to three channels by number, and counts more.
fn channels(at: &str, channels: &[u32]) -> String {
    match channels {
        [one] => format!("{at} channel {one}"),
        few if few.len() <= 3 => {
            let numbers: Vec<String> = few.iter().map(u32::to_string).collect();
            format!("{at} channels {}", numbers.join(", "))
        }
        many => format!("{at} {} channels", many.len()),
    }
}

/// Formats a deepening with the digits that are meaningful.
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

/// Says why no dead direction is counted: no norm has a kernel, or no reader of such a norm was recognised.
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

/// Writes the dead directions. Readers of the same name share one line over all blocks.
fn dead(out: &mut Screen<impl Write>, report: &Report) -> io::Result<()> {
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
        let (readers, rows, dead) = lines.entry(like::without_numbers(&printable(&reader.name))).or_default();
        *readers += 1;
        *rows += reader.rows;
        dead.outright += reader.dead.outright;
        dead.with_bias_shift += reader.dead.with_bias_shift;
        dead.constant_shift += reader.dead.constant_shift;
        dead.tied += reader.dead.tied;
    }
    let mut grid = Grid::new(
        "dead directions of",
        &[
            number("readers", 3),
            number("rows", 5),
            number("outright", 0),
            number("with the bias", 1),
            number("constant shift", 2),
            number("tied", 4),
        ],
    );
    let cells = |readers: u64, rows: Option<u64>, dead: &DeadDirections| {
        let counts = [dead.outright, dead.with_bias_shift, dead.constant_shift, dead.tied].map(grouped);
        [readers.to_string(), rows.map_or(String::new(), grouped)].into_iter().chain(counts).collect()
    };
    for (name, (readers, rows, dead)) in lines {
        grid.row(name, cells(readers, Some(rows), &dead));
    }
    let all = DeadDirections {
        outright: total.outright,
        with_bias_shift: total.with_bias_shift,
        constant_shift: total.constant_shift,
        tied: total.tied,
    };
    grid.total(cells(total.readers.into(), None, &all));
    grid.write(out)?;
    // If only a tied unembedding was recognised, 0 % would claim more than is known.
    if total.share > 0.0 {
        let percent = 100.0 * total.share;
        writeln!(
            out,
            "Dead outright or after moving the bias: {percent:.3} % of these readers' parameters."
        )?;
    }
    for assumption in &total.assumptions {
        writeln!(out, "  {QUIET}assumed: {}{QUIET:#}", printable(assumption))?;
    }
    writeln!(out)
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

/// A longer text is cut in the middle.
const LONGEST: usize = 2000;

/// Escapes control characters and bidirectional marks, and shortens long names to their beginning and end. Names come from untrusted
/// files. Control characters could write to the terminal, and bidirectional marks could reorder the text beside them.
pub(crate) fn printable(text: &str) -> String {
    let text = spelled_out(text);
    let count = text.chars().count();
    if count <= LONGEST {
        return text.into_owned();
    }
    let beginning: String = text.chars().take(LONGEST / 2).collect();
    let end: String = text.chars().skip(count - LONGEST / 4).collect();
    format!("{beginning} … ({count} characters) … {end}")
}
