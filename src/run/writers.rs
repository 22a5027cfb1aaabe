//! Where the stream falls: how strongly the parts of that block write along the bottom direction.

use super::pass::Measured;
use super::result::RunResult;
use crate::checkpoint::Checkpoint;
use crate::forward::energies;
use crate::measure::residual::Stream;
use crate::model::architecture::{Architecture, Block};
use crate::model::{self, Accepted};
use crate::report::{Warning, WarningCode};
use crate::source::ByteSource;

/// How many of the deepest falls are looked at. Each reads the maps of a block once more.
const FALLS: usize = 8;

/// Completes the deepest falls of a run with the energies of the writers. If a file cannot be read any more, a warning says so, and the
/// other results stay.
pub async fn complete<S: ByteSource>(checkpoint: &Checkpoint<S>, result: &mut RunResult) {
    let Ok(architecture) = model::resolve_reading(checkpoint, Some(result.reads), Accepted::All) else {
        return;
    };
    let blocks: Vec<(&Architecture, &Block)> = architecture
        .stacks()
        .flat_map(|stack| stack.blocks.iter().map(move |block| (stack, block)))
        .collect();
    for (index, place) in deepest(&result.measured) {
        let Some((stack, block)) = blocks.get(index) else { continue };
        let Some(Measured::Block(_, Ok(stream))) = result.measured.get_mut(place) else { continue };
        let Some(direction) = stream.bottom() else { continue };
        match energies(checkpoint, stack, block, direction).await {
            Ok(found) => stream.take_energies(found),
            Err(error) => {
                let message =
                    format!("{error}. What the block writes along its bottom direction is not known");
                let code = WarningCode::ResidualNotMeasured;
                result.outcome.warnings.push(Warning::new(code, format!("block {index}"), message));
                return;
            }
        }
    }
}

/// Returns the deepest falls: the index of the block, and its place among the results.
fn deepest(measured: &[Measured]) -> Vec<(usize, usize)> {
    let stream_of = |block: usize| -> Option<(usize, &Stream)> {
        // Of duplicates, the later one counts.
        measured.iter().enumerate().rev().find_map(|(place, measured)| match measured {
            Measured::Block(index, Ok(stream)) if *index == block => Some((place, stream)),
            _ => None,
        })
    };
    let mut falls: Vec<(f64, usize, usize)> = Vec::new();
    for measured in measured {
        let Measured::Block(index, Ok(_)) = measured else { continue };
        let Some(before) = index.checked_sub(1).and_then(stream_of) else { continue };
        let Some((place, stream)) = stream_of(*index) else { continue };
        falls.push((stream.ratio(before.1), *index, place));
    }
    falls.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    falls.dedup_by_key(|(_, index, _)| *index);
    falls
        .into_iter()
        .take_while(|(ratio, ..)| *ratio < 1.0)
        .take(FALLS)
        .map(|(_, index, place)| (index, place))
        .collect()
}
