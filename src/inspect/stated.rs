//! The norm sites of ONNX files: those of their graphs.

use super::Located;
use crate::checkpoint::Checkpoint;
use crate::graph;
use crate::norm::NormSite;
use crate::report::{Warning, WarningCode};

/// How many norms a warning names. It only counts the others.
const NAMED: usize = 4;

/// The sites that the graphs of a checkpoint show. `named` are those that its names and shapes show.
pub(super) fn located<S>(mut checkpoint: Checkpoint<S>, named: &[NormSite]) -> Located<S> {
    let mut sites = Vec::new();
    let mut unreadable = Vec::new();
    for (prefix, graph) in &checkpoint.graphs {
        let found = graph::sites(graph, &checkpoint.tensors, prefix, named);
        sites.extend(found.sites);
        unreadable.extend(found.unreadable);
    }
    if let Some(first) = unreadable.first() {
        let some: Vec<String> = unreadable.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        let more = match unreadable.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "the scale of {}{more} is computed from stored values in the graph, such as quantised ones, or is in a missing file: these norms are not shown",
            some.join(", ")
        );
        let warning = Warning::new(WarningCode::ScaleUnusable, first, message);
        checkpoint.warnings.push(warning);
    }
    Located { checkpoint, sites }
}
