//! Runs a model from where it stands, and shows its caller samples and progress.

use super::device::PassDevice;
use super::loss::{is_a_guess, kind_by_loss};
use super::pass::Sample;
use super::planned::{Run, RunError};
use super::preservation;
use super::result::RunOutcome;
use crate::checkpoint::Checkpoint;
use crate::forward::kernels::{Cpu, Kernels};
use crate::forward::{ForwardError, Input, Parts, Pass, Pause, Seen, Standing, Unwatched, Watch};
use crate::inspect::{Inspection, Opened};
use crate::model::operation::Centring;
use crate::report::{KindByLoss, NormKind};
use crate::source::ByteSource;
use std::ops::ControlFlow;

/// Something that a run shows: a sample to measure, or its progress.
#[derive(Debug)]
pub enum Shown {
    /// A sample to measure.
    Sample(Box<Sample>),
    /// Number of finished blocks.
    Blocks(usize),
    /// Number of tokens whose losses are known, for the kind by loss.
    Losses(usize),
    /// Number of moved readers that have been tried, and of all.
    Moved(usize, usize),
}

/// Where the last hidden states of a pass are.
enum Hidden<'a, Values> {
    Device(Values),
    Scratch(Parts<'a>),
}

/// Hands samples to the caller, and records where the run stands.
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
        if let Seen::Block { index, state, lent, .. } = seen {
            match self.run.parts() {
                // The stream is in the scratch.
                Some(_) => self.state.blocks = index + 1,
                None => self.state.after(index, state, lent, self.run.blocks_of_encoder()),
            }
            (self.give)(Shown::Blocks(index + 1)).await?;
        }
        ControlFlow::Continue(())
    }
}

impl Run {
    /// Runs the model from where it stands, to the end or until `give`, which takes samples, or `pause` breaks. If a GPU fails, the CPU
    /// does the rest.
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
        let parts = self.parts();
        let hidden = match (parts, standing.blocks) {
            (Some(parts), done) => {
                pass()?.run_in_parts(parts, done, &mut watching).await.map(|()| Hidden::Scratch(parts))
            }
            (None, 0) => pass()?.run(&mut watching).await.map(Hidden::Device),
            (None, _) => pass()?.resume(standing, &mut watching).await.map(Hidden::Device),
        };
        let hidden = match hidden {
            Ok(hidden) => hidden,
            Err(ForwardError::Stopped { .. }) => {
                let stopped = Some(state.blocks);
                return Ok(RunOutcome { stopped, ..RunOutcome::default() });
            }
            Err(error) => return Err(error.into()),
        };
        // This also detects a device that has failed since the last values were read.
        if let Hidden::Device(hidden) = &hidden {
            kernels.get(hidden).await?;
        }
        let mut outcome = RunOutcome::default();
        // A stop from here on leaves every block measured.
        let stopped = Some(state.blocks);
        if self.has_loss() {
            let judged = async {
                let pass = pass()?;
                let own = match &hidden {
                    Hidden::Device(hidden) => pass.losses(hidden).await?,
                    Hidden::Scratch(parts) => pass.losses_in_parts(*parts).await?,
                };
                outcome.mean_loss = Some(own.iter().sum::<f64>() / own.len() as f64);
                self.judge_by_loss(opened.checkpoint(), kernels, own, pause, give).await
            };
            let judged = match judged.await {
                Err(RunError::Forward(ForwardError::Stopped { .. })) => {
                    return Ok(RunOutcome { stopped, ..outcome });
                }
                judged => judged?,
            };
            outcome.loss = judged.filter(|loss| !is_a_guess(loss, self.architecture.vocabulary));
            let guess = judged.filter(|_| outcome.loss.is_none());
            outcome.warnings.extend(guess.map(|judged| self.no_better_than_a_guess(&judged)));
        }
        if self.preserves {
            let moved = async |done, of| give(Shown::Moved(done, of)).await;
            let (architecture, input) = (&self.architecture, self.moved()?);
            let tried =
                preservation::preservation(opened.checkpoint(), architecture, input, kernels, pause, moved);
            match tried.await {
                Err(ForwardError::Stopped { .. }) => {
                    return Ok(RunOutcome { stopped, ..outcome });
                }
                tried => outcome.preservation = tried?,
            }
        }
        Ok(outcome)
    }

    /// Runs another pass from its input, and returns its losses. It leaves the streams of the run in the scratch as they are.
    async fn losses_of<S: ByteSource, K: Kernels>(&self, pass: Pass<'_, S, K>) -> Result<Vec<f64>, RunError> {
        let Some(parts) = self.parts() else { return Ok(pass.run_to_losses().await?) };
        let parts = parts.beside(self.tokens(), &self.architecture);
        pass.run_in_parts(parts, 0, &mut Unwatched).await?;
        Ok(pass.losses_in_parts(parts).await?)
    }

    /// Decides the kind by loss on the tokens of the run, whose losses under the assumed kind are `as_told`. As long as they decide
    /// nothing, it doubles the tokens with more of the text.
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
        let own = self.pass(checkpoint)?.on(kernels).pausing(pause);
        let mut as_other = self.losses_of(own.assumed_kind(other)).await?;
        if give(Shown::Losses(as_told.len())).await.is_break() {
            return Ok(None);
        }
        // Each part takes no more memory than the run itself.
        let mut parts = self.content.further().chunks(self.tokens().max(1));
        loop {
            let [layer, rms] = if assumed_kind == NormKind::LayerNorm {
                [&as_told, &as_other]
            } else {
                [&as_other, &as_told]
            };
            let judged = kind_by_loss(layer, rms, self.length - 1);
            // Each decision may be wrong. Doubling the tokens each time keeps the number of decisions small.
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
                as_told.extend(self.losses_of(pass()?).await?);
                as_other.extend(self.losses_of(pass()?.assumed_kind(other)).await?);
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
