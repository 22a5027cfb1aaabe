//! The graph of an ONNX file. It states whether the mean is subtracted, so it outranks everything that only suggests it: see
//! [`crate::norm::verdict`]. It abstains if its nodes do not show a norm, or not over which axis.

use super::{Evidence, EvidenceSource, Witness};
use crate::norm::behaviour::{Behaviour, Likelihood};

/// The graph is what the file computes. A judgement, 1 in 160,000, as for what a module stores.
const CERTAIN: f64 = 12.0;

/// Judges what the graph does at the site. `None` if there is no graph.
pub(super) fn weigh(witness: &Witness<'_>) -> Option<Evidence> {
    let stated = witness.site.stated()?;
    let likelihood = stated.behaviour.map_or(Likelihood::NOTHING, |behaviour| {
        Likelihood(Behaviour::ALL.map(|other| if other == behaviour { 0.0 } else { -CERTAIN }))
    });
    Some(Evidence { source: EvidenceSource::Graph, likelihood, detail: stated.how.clone() })
}
