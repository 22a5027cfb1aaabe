//! All results of a run, and the part of the report that they make.

use super::pass::Measured;
use super::planned::Run;
use crate::measure::residual;
use crate::model::operation::Reads;
use crate::report::measured::Outcomes;
use crate::report::{KindByLoss, PassSummary, Preservation, StackName, Verification, Warning, WarningCode};
use serde::{Deserialize, Serialize};

/// The results of a run, except for the measurements.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunOutcome {
    /// The kind of the norms by loss.
    pub loss: Option<KindByLoss>,
    /// The effect of moving readers on the function.
    #[serde(default)]
    pub preservation: Vec<Preservation>,
    /// Mean loss, in nats.
    pub mean_loss: Option<f64>,
    /// Number of finished blocks, if the run was stopped.
    pub stopped: Option<usize>,
    /// What went wrong.
    pub warnings: Vec<Warning>,
}

/// All results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunResult {
    /// Measured norms and streams, in any order. Of duplicates, the later one counts.
    pub measured: Vec<Measured>,
    /// Results of the pass itself.
    pub outcome: RunOutcome,
    /// Description of the pass.
    pub pass: PassSummary,
    /// Description of the input.
    pub input: String,
    /// Devices of the pass and of the exact sums.
    pub device: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What the model, or its encoder, reads. It tells two towers apart.
    pub reads: Reads,
}

impl Run {
    /// Collects all results.
    pub fn result(
        &self,
        measured: Vec<Measured>,
        outcome: RunOutcome,
        device: String,
        seconds: f64,
    ) -> RunResult {
        let pass = PassSummary {
            family: self.architecture.family.clone(),
            assumed_kind: self.assumed_kind(),
            sequences: (self.tokens() / self.length) as u64,
            length: self.length as u64,
            loss: outcome.mean_loss,
            left_out: self.left_out as u64,
            stacks: self.summaries(),
        };
        let mut outcome = outcome;
        outcome.warnings.extend(self.warnings());
        let input = format!("{}, in a forward pass with the assumed kind of every norm", self.input());
        let reads = self.architecture.reads();
        RunResult { measured, outcome, pass, input, device, seconds, reads }
    }
}

impl RunResult {
    /// Makes this part of the report, and the warnings. If nothing was measured, returns the reason.
    pub fn verification(self) -> Result<(Verification, Vec<Warning>), String> {
        let Self { measured, outcome, pass, input, device, seconds, .. } = self;
        let (mut sites, mut blocks) = (Vec::new(), Vec::new());
        for measured in measured {
            match measured {
                Measured::Site(site, outcome) => sites.push((site, *outcome)),
                Measured::Block(block, stream) => blocks.push((block, stream)),
            }
        }
        // The sort is stable, so the later one of duplicates is kept.
        sites.sort_by_key(|(site, _)| *site);
        sites.reverse();
        sites.dedup_by_key(|(site, _)| *site);
        sites.reverse();
        blocks.sort_by_key(|(block, _)| *block);
        blocks.reverse();
        blocks.dedup_by_key(|(block, _)| *block);
        blocks.reverse();
        let mut warnings = outcome.warnings;
        // The range of blocks of each stack.
        let mut stacks = vec![(None, 0..usize::MAX)];
        if let [encoder, decoder] = pass.stacks[..] {
            let first = encoder.blocks as usize;
            stacks = vec![(Some(encoder.stack), 0..first), (Some(decoder.stack), first..usize::MAX)];
        }
        let (mut profile, mut falls) = (Vec::new(), Vec::new());
        for (stack, range) in stacks {
            let (mut streams, first) = (Vec::new(), range.start);
            for (block, stream) in blocks.iter().filter(|(block, _)| range.contains(block)) {
                match stream {
                    Ok(stream) if *block == first + streams.len() => streams.push(stream.clone()),
                    // A profile with a gap would number its blocks incorrectly.
                    Ok(_) => break,
                    Err(message) => {
                        let block = StackName::of_block(stack, (block - first) as u32);
                        let code = WarningCode::ResidualNotMeasured;
                        warnings.push(Warning::new(code, block, message.clone()));
                        break;
                    }
                }
            }
            profile.extend(residual::profile(&streams, stack));
            falls.extend(residual::falls(&streams, stack));
        }
        if let Some(blocks) = outcome.stopped {
            warnings.push(Warning::new(
                WarningCode::RunStopped,
                format!("block {blocks}"),
                format!("the run was stopped after {blocks} blocks: what comes after them was not measured"),
            ));
        }
        let outcomes = sites.into_iter().map(|(_, outcome)| outcome).collect();
        let (mut verification, warnings) =
            Outcomes { outcomes, warnings, device, input, seconds }.verification()?;
        (verification.residual, verification.falls) = (profile, falls);
        verification.loss = outcome.loss;
        verification.preservation = outcome.preservation;
        verification.pass = Some(pass);
        Ok((verification, warnings))
    }
}
