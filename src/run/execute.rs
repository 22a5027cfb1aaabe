//! Running a model from where it stands: what it shows on the way, and what comes of it.

use super::device::PassDevice;
use super::loss::{is_a_guess, kind_by_loss};
use super::pass::Sample;
use super::planned::{Run, RunError};
use super::preservation;
use super::result::RunOutcome;
use crate::checkpoint::Checkpoint;
use crate::forward::kernels::{Cpu, Kernels};
use crate::forward::{ForwardError, Input, Pause, Seen, Standing, Watch};
use crate::inspect::{Inspection, Opened};
use crate::model::operation::Centring;
use crate::report::{KindByLoss, NormKind};
use crate::source::ByteSource;
use std::ops::ControlFlow;

/// What a run shows: something to be measured, or that a block is done.
#[derive(Debug)]
pub enum Shown {
    /// To be measured.
    Sample(Box<Sample>),
    /// So many blocks are done.
    Blocks(usize),
    /// The kind is judged by the losses of so many tokens.
    Losses(usize),
    /// So many of all moved readers have been tried.
    Moved(usize, usize),
}

/// Hands on what is to be measured, and keeps where the run stands.
struct Watching<'a, Give> {
    run: &'a Run,
    inspection: &'a Inspection,
    residual: bool,
    state: &'a mut Standing,
    give: &'a mut Give,
}

impl<Give: AsyncFnMut(Shown) -> ControlFlow<()>> Watch for Watching<'_, Give> {
    fn wants(&self, site: &str) -> bool {
        self.run.measures(self.inspection, site)
    }

    fn wants_stream(&self) -> bool {
        true
    }

    fn wants_after_attention(&self) -> bool {
        self.residual
    }

    async fn see(&mut self, seen: Seen<'_>) -> ControlFlow<()> {
        if let Some(sample) = Sample::of(seen, self.inspection, self.residual, self.run.first_of_two()) {
            (self.give)(Shown::Sample(Box::new(sample))).await?;
        }
        if let Seen::Block { index, stream, .. } = seen {
            self.state.after(index, stream, self.run.blocks_of_encoder());
            (self.give)(Shown::Blocks(index + 1)).await?;
        }
        ControlFlow::Continue(())
    }
}

impl Run {
    /// Runs it from where it stands, to the end or until `give`, which takes what is to be measured, or `pause` breaks. A GPU that
    /// fails leaves the rest to the CPU.
    pub async fn execute<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        machine: &PassDevice,
        state: &mut Standing,
        pause: Option<&Pause>,
        mut give: impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<RunOutcome, RunError> {
        #[cfg(feature = "gpu")]
        if let PassDevice::Gpu(kernels) = machine {
            use crate::report::{Warning, WarningCode};
            match self.on(opened, kernels.as_ref(), state, pause, &mut give).await {
                Err(RunError::Forward(ForwardError::Device { reason })) => {
                    let done = state.blocks;
                    let mut outcome = self.on(opened, &Cpu, state, pause, &mut give).await?;
                    outcome.warnings.push(Warning::new(
                        WarningCode::GpuFailed,
                        kernels.name().to_owned(),
                        format!("{reason}. The run went on on the CPU, from block {done} on"),
                    ));
                    return Ok(outcome);
                }
                other => return other,
            }
        }
        let _ = machine;
        self.on(opened, &Cpu, state, pause, &mut give).await
    }

    async fn on<S: ByteSource, K: Kernels>(
        &self,
        opened: &Opened<S>,
        kernels: &K,
        state: &mut Standing,
        pause: Option<&Pause>,
        give: &mut impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<RunOutcome, RunError> {
        let pass = || Ok::<_, RunError>(self.pass(opened.checkpoint())?.on(kernels).pausing(pause));
        let standing = state.clone();
        let residual = !self.stream_is_normalised();
        let inspection = &opened.inspection;
        let mut watching = Watching { run: self, inspection, residual, state: &mut *state, give };
        let hidden = match standing.blocks {
            0 => pass()?.run(&mut watching).await,
            _ => pass()?.resume(standing, &mut watching).await,
        };
        let hidden = match hidden {
            Ok(hidden) => hidden,
            Err(ForwardError::Stopped { .. }) => {
                let stopped = Some(state.blocks);
                return Ok(RunOutcome { stopped, ..RunOutcome::default() });
            }
            Err(error) => return Err(error.into()),
        };
        // Also where the device has failed without anybody asking for values since.
        kernels.get(&hidden).await?;
        let (mut loss, mut mean_loss, mut warnings) = (None, None, Vec::new());
        if self.has_loss() {
            let judged = async {
                let own = pass()?.losses(&hidden).await?;
                mean_loss = Some(own.iter().sum::<f64>() / own.len() as f64);
                self.judge_by_loss(opened.checkpoint(), kernels, own, pause, give).await
            };
            let judged = match judged.await {
                Err(RunError::Forward(ForwardError::Stopped { .. })) => None,
                judged => judged?,
            };
            loss = judged.filter(|loss| !is_a_guess(loss, self.architecture.vocabulary));
            warnings
                .extend(judged.filter(|_| loss.is_none()).map(|judged| self.no_better_than_a_guess(&judged)));
        }
        let mut preservation = Vec::new();
        if self.preserves {
            let moved = async |done, of| give(Shown::Moved(done, of)).await;
            let (architecture, input) = (&self.architecture, self.moved()?);
            preservation =
                preservation::preservation(opened.checkpoint(), architecture, input, kernels, pause, moved)
                    .await?;
        }
        Ok(RunOutcome { loss, mean_loss, preservation, stopped: None, warnings })
    }

    /// The kind by loss, on the tokens of the run, whose losses under its assumed kind are `as_told`; and while those decide
    /// nothing, on as many of the text again.
    async fn judge_by_loss<S: ByteSource, K: Kernels>(
        &self,
        checkpoint: &Checkpoint<S>,
        kernels: &K,
        mut as_told: Vec<f64>,
        pause: Option<&Pause>,
        give: &mut impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<Option<KindByLoss>, RunError> {
        let assumed_kind = self.assumed_kind();
        let other = match assumed_kind {
            NormKind::LayerNorm => Centring::None,
            _ => Centring::Mean,
        };
        let mut as_other =
            self.pass(checkpoint)?.on(kernels).pausing(pause).assumed_kind(other).run_to_losses().await?;
        if give(Shown::Losses(as_told.len())).await.is_break() {
            return Ok(None);
        }
        // In parts that take no more memory than the run itself.
        let mut parts = self.content.further().chunks(self.tokens().max(1));
        loop {
            let [layer, rms] = if assumed_kind == NormKind::LayerNorm {
                [&as_told, &as_other]
            } else {
                [&as_other, &as_told]
            };
            let judged = kind_by_loss(layer, rms, self.length - 1);
            // Each look is a chance to be wrong: with as many tokens again each time there are few of them.
            let enough = 2 * as_told.len();
            let open = |loss: KindByLoss| {
                loss.kind == NormKind::Unknown && !is_a_guess(&loss, self.architecture.vocabulary)
            };
            if !judged.is_some_and(open) || parts.len() == 0 {
                return Ok(judged);
            }
            for part in parts.by_ref() {
                let part = Input::token_ids(part, self.length)?;
                let pass = || Ok::<_, RunError>(self.pass_on(checkpoint, part)?.on(kernels).pausing(pause));
                as_told.extend(pass()?.run_to_losses().await?);
                as_other.extend(pass()?.assumed_kind(other).run_to_losses().await?);
                if give(Shown::Losses(as_told.len())).await.is_break() {
                    return Ok(judged);
                }
                if as_told.len() >= enough {
                    break;
                }
            }
        }
    }
}
