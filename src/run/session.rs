//! A whole run, for terminal, page and npm. The request becomes a plan, the plan is executed, its samples are measured, and the results
//! become a part of the report. A run can stop and continue ([`Standing`]).

use super::content::Content;
use super::decoder_ids::decoder_ids;
use super::device::{GramDevice, PassDevice, Wanted};
use super::execute::Shown;
use super::machines::Machine;
use super::pass::{Measured, Sites};
use super::planned::{Extent, Model, PassSpeeds, Run, RunError};
use super::random_init;
use super::result::{RunOutcome, RunResult};
use crate::forward::kernels::{Cpu, Kernels};
use crate::forward::{ForwardError, Pause, Standing};
use crate::inspect::Opened;
use crate::measure::plan::Speeds;
use crate::model::Accepted;
use crate::model::operation::Reads;
use crate::pixels::PixelChoice;
use crate::report::plan::RunPlan;
use crate::report::{Verification, Warning};
use crate::scratch::Scratch;
use crate::source::ByteSource;
use crate::source::memory::MemorySource;
use crate::text::{Choice, input};
use std::ops::ControlFlow;

/// The request for a run.
#[derive(Debug, Clone)]
pub struct Request {
    /// How much of the model to run, on how many tokens.
    pub extent: Extent,
    /// Which norms to measure.
    pub sites: Sites,
    /// Text or token ids. Without a choice, the usual input. Of two towers they run the text tower, and behind an encoder the decoder
    /// reads them.
    pub choice: Option<Choice>,
    /// Pixels for a model that reads images. Without a choice, noise.
    pub pixels: Option<PixelChoice>,
    /// Sound files for a model that reads sounds. Without a choice, noise.
    pub sounds: Option<Vec<MemorySource>>,
    /// Whether to move readers too.
    pub preservation: bool,
    /// The wanted device.
    pub on: Wanted,
    /// Fields of the configuration that the user assumes to change nothing.
    pub assume: Vec<String>,
    /// Bytes of memory that the run may take. A run that does not fit runs in parts. `None` if that is not limited.
    pub memory: Option<u64>,
    /// Threads that measure.
    pub threads: usize,
}

/// A run that is ready, with its devices and warnings.
#[derive(Debug)]
pub struct Session {
    run: Run,
    machine: PassDevice,
    device: GramDevice,
    /// Multiplications per second and the speed of the sums, if a trial chose the devices.
    tried: Option<(f64, Speeds)>,
    memory: Option<u64>,
    threads: usize,
    /// Warnings about the input and the devices.
    warnings: Vec<Warning>,
}

impl Session {
    /// Resolves the model, its input and its devices. It is an error if the user names a GPU and there is none.
    pub async fn new<S: ByteSource>(opened: &Opened<S>, request: &Request) -> Result<Self, RunError> {
        let (run, warnings) = run(opened, request).await?;
        let (machine, device) = (PassDevice::of(request.on).await?, GramDevice::of(request.on).await?);
        let (memory, threads) = (request.memory, request.threads);
        Ok(Self { run, machine, device, tried: None, memory, threads, warnings })
    }

    /// Like `new`, but a trial chooses the devices, and the CPU replaces a missing GPU with a warning. `clock` returns
    /// seconds, perhaps only to a millisecond.
    pub async fn on_the_best<S: ByteSource>(
        opened: &Opened<S>,
        request: &Request,
        clock: impl Fn() -> f64,
    ) -> Result<Self, RunError> {
        let (run, mut warnings) = run(opened, request).await?;
        let (device, speeds, fault) = GramDevice::choose(request.on, &clock).await;
        let (machine, multiplications, other_fault) = PassDevice::choose(request.on, &clock).await;
        warnings.extend(fault.or(other_fault));
        let (tried, memory, threads) = (Some((multiplications, speeds)), request.memory, request.threads);
        Ok(Self { run, machine, device, tried, memory, threads, warnings })
    }

    /// Plans the run.
    pub async fn plan<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        clock: impl Fn() -> f64,
    ) -> Result<RunPlan, RunError> {
        let (multiplications, speeds) = match self.tried {
            Some(tried) => tried,
            None => (self.machine.speed(&clock).await, self.device.speeds(&clock).await),
        };
        let loading = self.run.loading_speed(opened, &self.machine, &clock).await?;
        let (name, gram_name) = (self.machine.name().to_owned(), self.device.name().to_owned());
        // In a browser the pass has one core, and the threads that measure have others.
        let shared = if name == Cpu.name() { cfg!(not(target_arch = "wasm32")) } else { name == gram_name };
        let pass = PassSpeeds { multiplications, loading };
        let Self { memory, threads, .. } = *self;
        let machine = Machine { name, gram_name, memory, pass, speeds, threads, shared };
        let mut plan = self.run.cost(&self.machine, &machine);
        plan.warnings.extend(self.warnings.iter().cloned());
        Ok(plan)
    }

    /// Returns the same run of a twin of the model, of norms only, on the same devices.
    pub fn of_twin<S: ByteSource>(self, twin: &Opened<S>) -> Result<Self, RunError> {
        let run = self.run.of_twin(twin.checkpoint())?.cut_like(&self.run);
        Ok(Self { run, warnings: Vec::new(), ..self })
    }

    /// Whether the run does not fit into memory, so that its activations need another place.
    pub fn needs_scratch(&self) -> bool {
        self.run.parts().is_some()
    }

    /// Returns the same run, whose activations lie in `scratch` if they do not fit into memory.
    pub fn with_scratch(self, scratch: Box<dyn Scratch>) -> Self {
        Self { run: self.run.with_scratch(scratch), ..self }
    }

    /// How many norms can be measured at once.
    pub fn measured_at_once(&self) -> usize {
        self.run.fit(self.memory).measured_at_once(self.memory, self.threads)
    }

    /// Returns the run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Runs the model from where it stands, to the end or until `give`, which takes samples, breaks.
    pub async fn execute<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        state: &mut Standing,
        give: impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<RunOutcome, RunError> {
        self.run.execute(opened, &self.machine, state, None, give).await
    }

    /// Like `execute`, but asks `pause` before every matrix whether to continue.
    pub async fn execute_pausing<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        state: &mut Standing,
        pause: &Pause,
        give: impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<RunOutcome, RunError> {
        self.run.execute(opened, &self.machine, state, Some(pause), give).await
    }

    /// Returns the device for measuring samples, in any order and on any thread.
    pub fn device(&self) -> &GramDevice {
        &self.device
    }

    /// Collects all results.
    pub async fn result(&self, measured: Vec<Measured>, mut outcome: RunOutcome, seconds: f64) -> RunResult {
        outcome.warnings.extend(self.device.warning().await);
        outcome.warnings.extend(self.warnings.iter().cloned());
        let device = match (self.machine.name(), self.device.name()) {
            (pass, sums) if pass == sums => pass.to_owned(),
            (pass, sums) => format!("{pass}, sums on {sums}"),
        };
        self.run.result(measured, outcome, device, seconds)
    }
}

/// Resolves the model and its input, with a warning if the input is not the usual one.
async fn run<S: ByteSource>(opened: &Opened<S>, request: &Request) -> Result<(Run, Vec<Warning>), RunError> {
    let Request { extent, sites, choice, pixels, sounds, preservation, memory, assume, .. } = request;
    let given = [
        pixels.as_ref().map(|_| Reads::Pixels),
        sounds.as_ref().map(|_| Reads::Sounds),
        choice.as_ref().map(|_| Reads::Tokens),
    ];
    let given: Vec<Reads> = given.into_iter().flatten().collect();
    let reads = given.first().copied();
    let model = Model::reading(opened.checkpoint(), *extent, reads, Accepted::Only(assume))?;
    model.fits(&opened.inspection.report)?;
    let (reads, decoder_reads) = (model.reads(), model.decoder_reads());
    let other = given.into_iter().find(|given| *given != reads && Some(*given) != decoder_reads);
    if let Some(given) = other {
        return Err(ForwardError::Reads { reads, given }.into());
    }
    let (mut content, mut warnings) = match reads {
        Reads::Tokens => {
            let found = input::of_checkpoint(opened, choice.as_ref(), model.wanted(), model.least());
            let (ids, why) = found.await?;
            (Content::Tokens(ids), why.iter().map(input::not_run).collect::<Vec<_>>())
        }
        Reads::Pixels => {
            let (pixels, warnings) = model.pixels(opened.checkpoint(), pixels.as_ref()).await?;
            (Content::Pixels(pixels), warnings)
        }
        Reads::Sounds => {
            let (sounds, warnings) = model.sounds(opened.checkpoint(), sounds.as_deref()).await?;
            (Content::Sounds(sounds), warnings)
        }
    };
    if decoder_reads.is_some() {
        let (ids, of_ids) = decoder_ids(opened, &model, choice.as_ref(), content.sequences()).await?;
        content = Content::Both(Box::new(content), ids);
        warnings.extend(of_ids);
    }
    let run = Run::new(opened.checkpoint(), model, content, *sites, *preservation)?;
    let fit = run.fit(*memory);
    Ok((run.in_parts(fit), warnings))
}

/// Makes this part of the report, with the results of a twin whose weights were drawn from a seed, and the warnings. If nothing was
/// measured, returns the reason.
pub fn collect(
    result: RunResult,
    of_twin: Option<(RunResult, u64)>,
) -> Result<(Verification, Vec<Warning>), String> {
    let (mut trained, mut warnings) = result.verification()?;
    if let Some((of_twin, seed)) = of_twin {
        let (random, of_random) = of_twin.verification()?;
        trained.random_init = Some(random_init::random_init(&trained, &random, seed));
        warnings.extend(random_init::warnings(&warnings, of_random));
    }
    Ok((trained, warnings))
}
