//! `gammascope verify`: the model itself, run here, its norms and its residual stream measured while it runs.

use crate::args::{self, SiteChoice, Verify};
use crate::{
    UNREADABLE, USAGE, complain, explain, files, leave, measure, open, plan, preservation, print_json,
    progress, random_init, summary,
};
use gammascope::inspect::{Inspection, Opened};
use gammascope::measure::gram::Gridded;
use gammascope::measure::plan::Speeds;
use gammascope::model::random;
use gammascope::report::plan::RunPlan;
use gammascope::report::{NormKind, Report, Verification, Warning};
use gammascope::run::device::{Device, Machine};
use gammascope::run::ids::TokenIds;
use gammascope::run::pass::{Measured, Sample, Sites};
use gammascope::run::random_init::{random_init as beside, warnings as random_init_warnings};
use gammascope::run::session::{
    Extent, Model, PassSpeeds, Run, RunError, RunOutcome, RunResult, RunState, Shown,
};
use gammascope::source::ByteSource;
use gammascope::source::generated::GeneratedSource;
use gammascope::text::{Input, input};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

pub(crate) fn run(options: &Verify) -> ExitCode {
    let mut line = progress::Line::new();
    if options.plan {
        let planned = planned(options, &mut line);
        line.clear();
        return match planned {
            Ok(planned) => plan::show(&planned, options),
            Err(message) => complain(&message, UNREADABLE),
        };
    }
    let report = report(options, &mut line);
    line.clear();
    let report = match report {
        Ok(report) => report,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let mut out = anstream::stdout().lock();
    let written = match &options.explain {
        Some(name) => match explain::find(&report, name) {
            Ok(norm) => explain::write(&mut out, &report, norm),
            Err(message) => return complain(&message, USAGE),
        },
        None if options.json => print_json(&report),
        None => table(&mut out, &report),
    };
    leave(written, options.strict && !report.warnings.is_empty())
}

/// What the run would take, and beside how many threads that measure.
fn planned(options: &Verify, line: &mut progress::Line) -> Result<RunPlan, String> {
    let opened = open::inspected(files::sources(&options.paths, &options.remote, line)?, line)?;
    let model = model(&opened, options).map_err(sentence)?;
    let (ids, warning) = token_ids(&opened, options, &model)?;
    let run = new_run(&opened, model, ids, options)?;
    let (machine, device) = (machine(options.device)?, measure::device(options.device)?);
    let began = Instant::now();
    let clock = || began.elapsed().as_secs_f64();
    let mut plan = pollster::block_on(async {
        let speeds = Speeds::of(async |gridded: &Gridded| device.gram(gridded).await, clock).await;
        let multiplications = machine.speed(clock).await;
        let loading = run.loading_speed(&opened, &machine, clock).await?;
        let pass = PassSpeeds { multiplications, loading };
        Ok::<_, RunError>(run.cost(&opened, &machine, device.name(), pass, speeds))
    })
    .map_err(sentence)?;
    plan.warnings.extend(warning);
    Ok(plan)
}

/// Of the model, of its initialisation where there are no weights, or of the one beside the other.
fn report(options: &Verify, line: &mut progress::Line) -> Result<Report, String> {
    let sources = files::sources(&options.paths, &options.remote, line)?;
    match options.random_init {
        Some(seed) if !random::has_weights(&sources) => {
            let sources = pollster::block_on(random::twin(sources, seed)).map_err(sentence)?;
            verified(open::inspected(sources, line)?, options, None, line)
        }
        seed => verified(open::inspected(sources, line)?, options, seed, line),
    }
}

fn sentence(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The report with what was measured, beside the model's initialisation where a seed is given.
fn verified<S: ByteSource>(
    mut opened: Opened<S>,
    options: &Verify,
    seed: Option<u64>,
    line: &mut progress::Line,
) -> Result<Report, String> {
    let model = model(&opened, options).map_err(sentence)?;
    let (ids, warning) = token_ids(&opened, options, &model)?;
    // What cannot be made is refused before anything is run.
    let twin = seed.map(|seed| Ok::<_, String>((seed, twin(&opened, seed, line)?))).transpose()?;
    let (mut verification, mut warnings) =
        ran(&opened, model, ids.clone(), Watched::All, options, line)?.verification()?;
    warnings.extend(warning);
    if let Some((seed, twin)) = twin {
        let model = self::model(&twin, options).map_err(sentence)?;
        // Weights that nobody trained predict no token: a loss would only cost two more passes.
        let ids = TokenIds { is_text: false, ..ids };
        let (random, of_random) = ran(&twin, model, ids, Watched::Sites, options, line)?.verification()?;
        verification.random_init = Some(beside(&verification, &random, seed));
        warnings.extend(random_init_warnings(&warnings, of_random));
    }
    opened.verify(verification, warnings);
    Ok(opened.inspection.report)
}

fn model<S: ByteSource>(opened: &Opened<S>, options: &Verify) -> Result<Model, RunError> {
    let Verify { tokens, sequence, blocks, .. } = *options;
    Model::new(opened.checkpoint(), Extent { tokens, sequence, blocks })
}

/// The same architecture with γ = 1, β = 0 and random weights.
fn twin<S: ByteSource>(
    opened: &Opened<S>,
    seed: u64,
    line: &mut progress::Line,
) -> Result<Opened<GeneratedSource>, String> {
    open::inspected(random::twin_of(opened.checkpoint(), seed).map_err(sentence)?, line)
}

/// What of a run is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// Norms and the residual stream.
    All,
    /// Norms.
    Sites,
}

/// Runs the model, and measures what it shows on the other threads, as it comes.
fn ran<S: ByteSource>(
    opened: &Opened<S>,
    model: Model,
    ids: TokenIds,
    watched: Watched,
    options: &Verify,
    line: &mut progress::Line,
) -> Result<RunResult, String> {
    let began = Instant::now();
    let run = new_run(opened, model, ids, options)?;
    let (machine, device) = (machine(options.device)?, measure::device(options.device)?);
    let (measured, outcome) = execute(&run, opened, watched, &machine, &device, line)?;
    let name = match (machine.name(), device.name()) {
        (pass, sums) if pass == sums => pass.to_owned(),
        (pass, sums) => format!("{pass}, sums on {sums}"),
    };
    let mut ran = run.result(measured, outcome, name, began.elapsed().as_secs_f64());
    ran.outcome.warnings.extend(pollster::block_on(device.warning()));
    Ok(ran)
}

fn new_run<S: ByteSource>(
    opened: &Opened<S>,
    model: Model,
    ids: TokenIds,
    options: &Verify,
) -> Result<Run, String> {
    let sites = match options.sites {
        SiteChoice::Final => Sites::Final,
        SiteChoice::All => Sites::All,
    };
    Run::new(opened.checkpoint(), model, ids, sites, options.preservation).map_err(sentence)
}

fn machine(choice: args::Device) -> Result<Machine, String> {
    match choice {
        args::Device::Cpu => Ok(Machine::Cpu),
        #[cfg(feature = "gpu")]
        args::Device::Gpu => pollster::block_on(Machine::gpu()).map_err(|error| error.to_string()),
    }
}

fn execute<S: ByteSource>(
    run: &Run,
    opened: &Opened<S>,
    watched: Watched,
    machine: &Machine,
    device: &Device,
    line: &mut progress::Line,
) -> Result<(Vec<Measured>, RunOutcome), String> {
    let inspection = &opened.inspection;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // A pass that is ahead waits: what is shown is held no more than once a thread.
    let (give, samples) = sync_channel(threads);
    let samples = Mutex::new(samples);
    let measured = Mutex::new(Vec::new());
    let outcome = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| measure_all(&samples, inspection, device, &measured));
        }
        let outcome =
            pollster::block_on(run.execute(opened, machine, &mut RunState::default(), async |shown| {
                match shown {
                    Shown::Blocks(done) => line.show_blocks(done, run.blocks()),
                    Shown::Moved(done, of) => line.show_moves(done, of),
                    Shown::Losses(done) => line.show_losses(done, run.most_for_loss()),
                    Shown::Sample(sample)
                        if watched == Watched::Sites && matches!(*sample, Sample::Block(..)) => {}
                    // The other end lives as long as the threads.
                    Shown::Sample(sample) => drop(give.send(*sample)),
                }
                ControlFlow::Continue(())
            }));
        drop(give);
        outcome
    });
    let outcome = outcome.map_err(|error| error.to_string())?;
    Ok((measured.into_inner().unwrap_or_default(), outcome))
}

fn measure_all(
    samples: &Mutex<Receiver<Sample>>,
    inspection: &Inspection,
    device: &Device,
    measured: &Mutex<Vec<Measured>>,
) {
    loop {
        let next = samples.lock().map(|samples| samples.recv());
        let Ok(Ok(sample)) = next else { return };
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        let result = pollster::block_on(sample.measure(inspection, gram));
        if let Ok(mut measured) = measured.lock() {
            measured.push(result);
        }
    }
}

/// Whole sequences of what was asked for, and a warning where that is not what is usual.
fn token_ids<S: ByteSource>(
    opened: &Opened<S>,
    options: &Verify,
    model: &Model,
) -> Result<(TokenIds, Option<Warning>), String> {
    let asked = match (&options.text, &options.ids) {
        (Some(file), _) => Some(read(file, |name, bytes| Input::Text { name, bytes })?),
        (_, Some(file)) => Some(read(file, |name, bytes| Input::Ids { name, bytes })?),
        _ => options.uniform.then_some(Input::Uniform),
    };
    let found = input::of_checkpoint(opened, asked.as_ref(), model.wanted(), model.least());
    let (found, why) = pollster::block_on(found).map_err(|error| error.to_string())?;
    Ok((found, why.map(|why| input::not_run(&why))))
}

fn read(file: &Path, input: impl Fn(String, Vec<u8>) -> Input) -> Result<Input, String> {
    let bytes = std::fs::read(file)
        .map_err(|error| format!("`{}` could not be read: {error}; check the path", file.display()))?;
    Ok(input(file.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes))
}

fn table(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let Some(verification) = &report.verification else { return Ok(()) };
    let Some(pass) = &verification.pass else { return Ok(()) };
    let told = match pass.assumed_kind {
        NormKind::LayerNorm => "LayerNorm",
        NormKind::RmsNorm => "RMSNorm",
        _ => "what its configuration says",
    };
    writeln!(
        out,
        "{}A forward pass of {} sequences of {} tokens, run as `{}` in f32 in {:.1} s{:#}",
        summary::STRONG,
        pass.sequences,
        pass.length,
        summary::printable(&pass.family),
        verification.seconds,
        summary::STRONG,
    )?;
    if pass.left_out > 0 {
        writeln!(out, "Only its first blocks: {} after them were left out.", pass.left_out)?;
    }
    writeln!(
        out,
        "It was told that the norms are {told}: a kernel below shows what that does, and is no evidence of it."
    )?;
    if let Some(loss) = &verification.loss {
        let kind = match loss.kind {
            NormKind::LayerNorm => "the norms are LayerNorms",
            NormKind::RmsNorm => "the norms are RMSNorms",
            _ => "under five standard errors, so it says nothing",
        };
        writeln!(
            out,
            "Loss of {} tokens as LayerNorm {:.4}, as RMSNorm {:.4} nats: {:+.4} ± {:.4}, {kind}.",
            loss.tokens, loss.layernorm, loss.rmsnorm, loss.difference, loss.standard_error,
        )?;
    }
    if let (Some(first), Some(last)) = (verification.residual.first(), verification.residual.last()) {
        writeln!(
            out,
            "Least singular value of the residual stream: {:.2e} after block {}, {:.2e} after block {}; {} falls, {} of them on both halves of the tokens.",
            first.sigma_min,
            first.block,
            last.sigma_min,
            last.block,
            verification.falls.len(),
            verification.falls.iter().filter(|fall| fall.on_both_halves).count(),
        )?;
    }
    writeln!(out)?;
    measure::table(out, report)?;
    random_init::table(out, verification)?;
    preservation::table(out, verification)?;
    claims(out, verification)
}

/// What the paper claims, and what was found.
fn claims(out: &mut impl Write, verification: &Verification) -> std::io::Result<()> {
    if !verification.claims.is_empty() {
        writeln!(out, "\n{}Beside the paper{:#}", summary::STRONG, summary::STRONG)?;
    }
    for claim in &verification.claims {
        let sign = if claim.agrees { "as there" } else { "otherwise" };
        writeln!(out, "  {}.\n    Here, {sign}: {}.", claim.paper, claim.found)?;
    }
    Ok(())
}
