//! Measures what a forward pass shows: its norms, and the residual stream.
//!
//! The caller sets the kind of every norm for a pass, so a kernel in it is no evidence of the kind. The loss is ([`loss`](super::loss)).
//! A pass shows where the floor is, and which other directions lie there.

use crate::forward::Seen;
use crate::inspect::Inspection;
use crate::measure::activations::{Activations, Values};
use crate::measure::gram::{Gram, Gridded};
use crate::measure::plan::{no_scale, outcome};
use crate::measure::residual::{BlockStreams, Stream, stream};
use crate::measure::site::{Norm, measure};
use crate::report::StackName;
use crate::report::measured::Outcome;
use serde::{Deserialize, Serialize};

/// Which norms are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sites {
    /// The final norm.
    Final,
    /// All of them.
    All,
}

/// A sample from a pass. Samples can be measured independently, in any order, by any thread or worker.
#[derive(Debug)]
pub enum Sample {
    /// A norm: its index in the report, its output, and its normalised input.
    Site(usize, Activations, Activations),
    /// The residual stream of a block: the block's index, and the streams.
    Block(usize, BlockStreams),
}

/// The result of measuring a [`Sample`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// Index and outcome of a norm.
    Site(usize, Box<Outcome>),
    /// Index of a block and its stream, or why there is no result.
    Block(usize, Result<Stream, String>),
}

impl Sample {
    /// Copies what a pass shows, if it is a norm in the report, or a block and `residual` is set. `first` is the name of the first of two
    /// stacks and the number of its blocks.
    pub fn of(
        seen: Seen<'_>,
        inspection: &Inspection,
        residual: bool,
        first: Option<(StackName, usize)>,
    ) -> Option<Self> {
        match seen {
            Seen::Norm { site, width, before_scale, output } => {
                let index = inspection.own_names.iter().position(|name| name == site)?;
                Some(Self::Site(
                    index,
                    of_f32(site, width, output.to_vec()),
                    of_f32(site, width, before_scale.to_vec()),
                ))
            }
            Seen::Block { index, width, stream, after_attention, next, .. } if residual => {
                let (stack, own) = match first {
                    Some((_, blocks)) if index >= blocks => (Some(StackName::Decoder), index - blocks),
                    first => (first.map(|(name, _)| name), index),
                };
                let block = StackName::of_block(stack, own as u32);
                let named = |place: &str, values: &[f32]| {
                    of_f32(&format!("the stream after {place}{block}"), width, values.to_vec())
                };
                let of_name = |next: &str| inspection.own_names.iter().position(|name| name == next);
                Some(Self::Block(
                    index,
                    BlockStreams {
                        after: named("", stream),
                        after_attention: after_attention.map(|values| named("the attention of ", values)),
                        next: next.and_then(of_name),
                    },
                ))
            }
            Seen::Block { .. } => None,
        }
    }

    /// Measures the sample. `gram` computes the exact Gram matrix.
    pub async fn measure(&self, inspection: &Inspection, gram: impl AsyncFn(&Gridded) -> Gram) -> Measured {
        match self {
            Self::Block(index, streams) => {
                let scale = streams.next.and_then(|site| inspection.scales.get(site)?.as_ref());
                let measured = stream(streams, scale, gram).await.map_err(|error| error.to_string());
                Measured::Block(*index, measured)
            }
            Self::Site(site, outputs, before_scale) => {
                let name = inspection.report.norms[*site].name.as_str();
                let measured = async {
                    let scale = inspection.scales[*site].as_ref().ok_or_else(|| no_scale(name))?;
                    let norm = Norm { name, scale, shift: inspection.shifts[*site].as_deref() };
                    measure(norm, outputs, Some(before_scale), gram).await.map_err(|error| error.to_string())
                };
                Measured::Site(*site, Box::new(outcome(name, measured.await, outputs.unit_roundoff)))
            }
        }
    }
}

/// Makes activations of an f32 pass.
pub fn of_f32(name: &str, width: usize, values: Vec<f32>) -> Activations {
    Activations {
        tensor: name.to_owned(),
        tokens: values.len() / width,
        width,
        values: Values::F32(values),
        unit_roundoff: f64::from(f32::EPSILON) / 2.0,
        notes: Vec::new(),
    }
}
