//! From paths, or an address, to an inspected checkpoint.

use super::args::{Reading, Remote};
use super::{files, progress};
use gammascope::inspect::{self, Opened};
use gammascope::source::ByteSource;
use gammascope::writer::sample::BUDGET;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Opens the checkpoint at `paths`, and samples its weights unless the options forbid it.
pub(crate) fn at(
    paths: &[PathBuf],
    reading: &Reading,
    line: &mut progress::Line,
) -> Result<Opened<files::File>, String> {
    let sources = files::sources(paths, &reading.remote, line)?;
    pollster::block_on(read(sources, !reading.no_weights, line))
}

/// Reads headers and norm tensors, then a sample of the weights if they are `sampled`.
pub(crate) async fn read<S: ByteSource>(
    sources: Vec<S>,
    sampled: bool,
    line: &mut progress::Line,
) -> Result<Opened<S>, String> {
    // Behind an address the sample would take thousands of requests.
    let remote = sources.iter().any(|source| source.transfer().is_some());
    let mut opened =
        inspect::open(sources, |progress| line.show(progress)).await.map_err(|error| error.to_string())?;
    if sampled && !remote {
        let sampling = |progress| {
            line.show(progress);
            ControlFlow::Continue(())
        };
        let weights = opened.weigh(BUDGET, sampling).await;
        opened.take(weights);
    }
    Ok(opened)
}

/// Opens the checkpoint at `paths` for a command that measures. Such a command does not sample the weights.
pub(crate) fn without_weights(
    paths: &[PathBuf],
    remote: &Remote,
    line: &mut progress::Line,
) -> Result<Opened<files::File>, String> {
    inspected(files::sources(paths, remote, line)?, line)
}

/// Opens files from anywhere, and reads headers and norm tensors.
pub(crate) fn inspected<S: ByteSource>(
    sources: Vec<S>,
    line: &mut progress::Line,
) -> Result<Opened<S>, String> {
    let opening = inspect::open(sources, |progress| line.show(progress));
    pollster::block_on(opening).map_err(|error| error.to_string())
}
