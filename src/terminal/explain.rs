//! One site's verdict, evidence by evidence.

use super::screen::Screen;
use super::summary::{self, QUIET, STRONG, printable};
use gammascope::report::{NormBehaviour, NormKind, NormReport, Report, ScaleConvention};
use std::io::{self, Write};

/// Cells of a bar on either side of the middle.
const CELLS: usize = 16;
/// Nats that fill one side of a bar.
const FULL: f64 = 8.0;

/// Indentation of the detail of a piece of evidence.
const DETAIL: &str = "    ";

/// Finds the site of this name, or the only one whose name ends with it.
pub(crate) fn find<'a>(report: &'a Report, name: &str) -> Result<&'a NormReport, String> {
    if let Some(norm) = report.norms.iter().find(|norm| norm.name == name) {
        return Ok(norm);
    }
    let ending: Vec<&NormReport> = report.norms.iter().filter(|norm| norm.name.ends_with(name)).collect();
    match ending[..] {
        [norm] => Ok(norm),
        [] => Err(format!("there is no norm site `{name}`; `gammascope inspect --all` lists them")),
        [first, second, ..] => Err(format!(
            "{} norm sites end with `{name}`, such as `{}` and `{}`; give more of the name",
            ending.len(),
            first.name,
            second.name
        )),
    }
}

/// What a module does, in words.
fn behaviour(behaviour: NormBehaviour) -> &'static str {
    match behaviour {
        NormBehaviour::LayerNorm => "LayerNorm",
        NormBehaviour::RmsNorm => "RMSNorm",
        NormBehaviour::Spanning => "a norm over groups, positions or the batch",
        NormBehaviour::Plain => "no normalisation",
    }
}

/// Writes the evidence for the kind of a site.
pub(crate) fn write(out: &mut Screen<impl Write>, report: &Report, norm: &NormReport) -> io::Result<()> {
    writeln!(out, "{STRONG}{}{STRONG:#}", printable(&norm.name))?;
    let confidence =
        if norm.confidence > 0.0 { format!(", confidence {:.3}", norm.confidence) } else { String::new() };
    let block = norm.block.map_or_else(String::new, |block| format!(" {block}"));
    writeln!(
        out,
        "{}{confidence}; role {}{block}, width {}",
        summary::kind(norm.kind),
        summary::role(norm.role),
        norm.width
    )?;
    for other in &norm.alternatives {
        writeln!(out, "{:>18.3} {}", other.probability, behaviour(other.behaviour))?;
    }
    writeln!(out, "\n{:>18} {:<CELLS$}│{:>CELLS$}", "", "← LayerNorm", "others →")?;
    for evidence in &norm.evidence {
        let filled = (CELLS as f64 * evidence.strength / FULL).round().min(CELLS as f64) as usize;
        let bar = "█".repeat(filled);
        let (left, right) = match evidence.says {
            NormKind::LayerNorm => (format!("{bar:>CELLS$}"), " ".repeat(CELLS)),
            NormKind::RmsNorm | NormKind::Other => (" ".repeat(CELLS), format!("{bar:<CELLS$}")),
            NormKind::Unknown => (" ".repeat(CELLS), " ".repeat(CELLS)),
        };
        let strength = if evidence.strength > 0.0 {
            format!("{:.1} nats for {}", evidence.strength, summary::kind(evidence.says))
        } else {
            "abstains".to_owned()
        };
        writeln!(out, "{:>18} {left}│{right} {strength}", evidence.source)?;
        out.labelled(DETAIL, &printable(&evidence.detail))?;
    }
    let convention = match norm.scale_convention {
        ScaleConvention::Weight => "γ = w",
        ScaleConvention::OnePlusWeight => "γ = 1 + w",
        ScaleConvention::None => "γ = 1, nothing is stored",
        ScaleConvention::Unknown => "γ is not known, w or 1 + w",
    };
    writeln!(out, "\n{convention}: {}", printable(&norm.convention_reason))?;
    writeln!(out, "kernel: {}", summary::kernel(norm))?;
    if let Some(factor) = norm.kernel.deepening {
        writeln!(
            out,
            "deepening: {}, the kernel's depth over that at γ = 1, as the scale predicts it: HM(γ²)/AM(γ²)",
            summary::deepening(factor)
        )?;
    }
    if let Some(settle) = &norm.settle {
        writeln!(out, "{}", printable(settle))?;
    }
    if let Some(problem) = &norm.problem {
        writeln!(out, "{}", printable(problem))?;
    }
    writeln!(out, "{QUIET}{}{QUIET:#}", printable(&report.model.sentence))
}
