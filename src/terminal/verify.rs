//! `gammascope verify`: runs the model, and measures its norms and its residual stream.

use super::args::{SiteChoice, Verify};
use super::screen::{self, Screen};
use super::{
    UNREADABLE, USAGE, complain, explain, files, leave, measure, memory, open, plan, preservation,
    print_json, progress, random_init, summary,
};
use gammascope::forward::Standing;
use gammascope::inspect::{Inspection, Opened};
use gammascope::measure::gram::Gridded;
use gammascope::model::random;
use gammascope::pixels::PixelChoice;
use gammascope::report::plan::RunPlan;
use gammascope::report::{Interval, NormKind, PassSummary, Report, ResidualFall, StackName, Verification};
use gammascope::run::device::GramDevice;
use gammascope::run::execute::Shown;
use gammascope::run::pass::{Measured, Sample, Sites};
use gammascope::run::planned::Extent;
use gammascope::run::result::RunResult;
use gammascope::run::session::{Request, Session, collect};
use gammascope::run::writers;
use gammascope::source::ByteSource;
use gammascope::source::generated::GeneratedSource;
use gammascope::source::memory::MemorySource;
use gammascope::text::Choice;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
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
    let mut out = screen::stdout();
    let written = match &options.explain {
        Some(name) => match explain::find(&report, name) {
            Ok(norm) => explain::write(&mut out, &report, norm),
            Err(message) => return complain(&message, USAGE),
        },
        None if options.json => print_json(&report),
        None => table(&mut out, &report, options.all),
    };
    leave(written, options.strict && !report.warnings.is_empty())
}

/// Plans the run. With --random-init a configuration is enough.
fn planned(options: &Verify, line: &mut progress::Line) -> Result<RunPlan, String> {
    let sources = files::sources(&options.paths, &options.remote, line)?;
    match options.random_init {
        Some(seed) if !random::has_weights(&sources) => {
            let sources = pollster::block_on(random::twin(sources, seed)).map_err(sentence)?;
            plan_of(&open::inspected(sources, line)?, options)
        }
        _ => plan_of(&open::inspected(sources, line)?, options),
    }
}

fn plan_of<S: ByteSource>(opened: &Opened<S>, options: &Verify) -> Result<RunPlan, String> {
    let began = Instant::now();
    pollster::block_on(async {
        let session = Session::new(opened, &request(options)?).await.map_err(sentence)?;
        session.plan(opened, || began.elapsed().as_secs_f64()).await.map_err(sentence)
    })
}

/// Reports on the model, on its initialisation if there are no weights, or on both side by side.
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

/// Runs the model and completes the report, with the model's initialisation beside it if there is a seed.
fn verified<S: ByteSource>(
    mut opened: Opened<S>,
    options: &Verify,
    seed: Option<u64>,
    line: &mut progress::Line,
) -> Result<Report, String> {
    let mut session = pollster::block_on(Session::new(&opened, &request(options)?)).map_err(sentence)?;
    if session.needs_scratch() {
        session = session.with_scratch(Box::new(memory::scratch().map_err(sentence)?));
    }
    // If the initialisation cannot be made, this fails before anything runs.
    let twin = seed.map(|seed| Ok::<_, String>((seed, twin(&opened, seed, line)?))).transpose()?;
    let result = ran(&session, &opened, Watched::All, line)?;
    let mut of_twin = None;
    if let Some((seed, twin)) = twin {
        let session = session.of_twin(&twin).map_err(sentence)?;
        of_twin = Some((ran(&session, &twin, Watched::Sites, line)?, seed));
    }
    let (verification, warnings) = collect(result, of_twin)?;
    opened.verify(verification, warnings);
    Ok(opened.inspection.report)
}

/// Reads the text or the token ids that the user chose.
pub(crate) fn text_or_ids(text: Option<&Path>, ids: Option<&Path>) -> Result<Option<Choice>, String> {
    match (text, ids) {
        (Some(file), _) => read(file, |name, bytes| Choice::Text { name, bytes }).map(Some),
        (None, Some(file)) => read(file, |name, bytes| Choice::Ids { name, bytes }).map(Some),
        (None, None) => Ok(None),
    }
}

/// Makes the request from the options.
fn request(options: &Verify) -> Result<Request, String> {
    let Verify { tokens, sequence, blocks, preservation, .. } = *options;
    let chosen = text_or_ids(options.text.as_deref(), options.ids.as_deref())?;
    let choice = chosen.or_else(|| options.uniform.then_some(Choice::Uniform));
    let sites = match options.sites {
        SiteChoice::Final => Sites::Final,
        SiteChoice::All => Sites::All,
    };
    let extent = Extent { tokens, sequence, blocks };
    let whole = |file: &Path| read(file, MemorySource::new);
    let all = |files: &[PathBuf]| files.iter().map(|file| whole(file)).collect::<Result<Vec<_>, _>>();
    let pixels = match (&options.pixels, &options.images) {
        (Some(file), _) => Some(PixelChoice::Values(whole(file)?)),
        (None, images) if images.is_empty() => None,
        (None, images) => Some(PixelChoice::Images(all(images)?)),
    };
    let sounds = if options.sounds.is_empty() { None } else { Some(all(&options.sounds)?) };
    let (on, memory) = (options.device.wanted(), options.memory.unwrap_or_else(memory::for_a_run));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = Some(memory);
    let assume = options.assume.clone();
    Ok(Request { extent, sites, choice, pixels, sounds, preservation, on, assume, memory, threads })
}

/// Opens the same architecture with γ = 1, β = 0 and random weights.
fn twin<S: ByteSource>(
    opened: &Opened<S>,
    seed: u64,
    line: &mut progress::Line,
) -> Result<Opened<GeneratedSource>, String> {
    open::inspected(random::twin_of(opened.checkpoint(), seed).map_err(sentence)?, line)
}

/// What a run measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// Norms and the residual stream.
    All,
    /// Norms only.
    Sites,
}

/// Runs the model. Other threads measure what it shows as it comes.
fn ran<S: ByteSource>(
    session: &Session,
    opened: &Opened<S>,
    watched: Watched,
    line: &mut progress::Line,
) -> Result<RunResult, String> {
    let began = Instant::now();
    let (inspection, device) = (&opened.inspection, session.device());
    let threads = session.measured_at_once();
    // If the pass is ahead, it waits. Where memory is short, it waits until a thread takes the sample.
    let (give, samples) = sync_channel(if session.needs_scratch() { 0 } else { threads });
    let samples = Arc::new(Mutex::new(samples));
    let measured = Mutex::new(Vec::new());
    let outcome = std::thread::scope(|scope| {
        for _ in 0..threads {
            let (samples, measured) = (Arc::clone(&samples), &measured);
            scope.spawn(move || measure_all(device, &samples, inspection, measured));
        }
        // Only the threads hold the receiver: if all of them have panicked, sending fails.
        drop(samples);
        let run = session.run();
        let mut state = Standing::default();
        let outcome = pollster::block_on(session.execute(opened, &mut state, async |shown| {
            match shown {
                Shown::Blocks(done) => line.show_blocks(done, run.blocks()),
                Shown::Moved(done, of) => line.show_moves(done, of),
                Shown::Losses(done) => line.show_losses(done, run.most_for_loss()),
                Shown::Sample(sample)
                    if watched == Watched::Sites && matches!(*sample, Sample::Block(..)) => {}
                Shown::Sample(sample) => {
                    if give.send(*sample).is_err() {
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        }));
        drop(give);
        outcome
    });
    let outcome = outcome.map_err(sentence)?;
    let measured = measured.into_inner().unwrap_or_default();
    let mut result = pollster::block_on(session.result(measured, outcome, began.elapsed().as_secs_f64()));
    if watched == Watched::All {
        pollster::block_on(writers::complete(opened.checkpoint(), &mut result));
    }
    Ok(result)
}

fn measure_all(
    device: &GramDevice,
    samples: &Mutex<Receiver<Sample>>,
    inspection: &Inspection,
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

fn read<Chosen>(file: &Path, choice: impl Fn(String, Vec<u8>) -> Chosen) -> Result<Chosen, String> {
    let bytes = std::fs::read(file)
        .map_err(|error| format!("`{}` could not be read: {error}; check the path", file.display()))?;
    Ok(choice(file.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes))
}

fn table(out: &mut Screen<impl Write>, report: &Report, all: bool) -> std::io::Result<()> {
    let Some(verification) = &report.verification else { return Ok(()) };
    let Some(pass) = &verification.pass else { return Ok(()) };
    let told = match pass.assumed_kind {
        NormKind::LayerNorm => "LayerNorm",
        NormKind::RmsNorm => "RMSNorm",
        _ => "what its configuration says",
    };
    writeln!(
        out,
        "{}A forward pass of {}, run as `{}` in f32 in {:.1} s{:#}",
        summary::STRONG,
        plan::sequences(&pass.stacks, [pass.sequences, pass.length]),
        summary::printable(&pass.family),
        verification.seconds,
        summary::STRONG,
    )?;
    writeln!(out, "Input: {}.", summary::printable(&verification.input))?;
    if pass.left_out > 0 {
        writeln!(out, "Only its first blocks ran; {} after them were left out.", pass.left_out)?;
    }
    writeln!(out, "The run treated the norms as {told}, so a kernel below is no evidence of their kind.")?;
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
    random_init::table(out, verification, &report.norms, all)?;
    writeln!(out)?;
    measure::table(out, report, all)?;
    stream(out, verification, pass)?;
    preservation::table(out, verification, all)?;
    claims(out, verification)
}

/// Writes the least singular value of the residual stream, and where it falls.
fn stream(out: &mut impl Write, verification: &Verification, pass: &PassSummary) -> std::io::Result<()> {
    if !verification.residual.is_empty() {
        writeln!(out)?;
    }
    for stack in verification.residual.chunk_by(|a, b| a.stack == b.stack) {
        let (Some(first), Some(last)) = (stack.first(), stack.last()) else { continue };
        let of = first.stack.map_or(String::new(), |name| format!(" of the {}", name.text()));
        let own = |fall: &&ResidualFall| fall.stack == first.stack;
        let own: Vec<ResidualFall> = verification.falls.iter().filter(own).copied().collect();
        writeln!(
            out,
            "Least singular value of the residual stream{of}: {:.2e} after block {}, {:.2e} after block {}; {}.",
            first.sigma_min,
            first.block,
            last.sigma_min,
            last.block,
            count_of_falls(&own),
        )?;
        falls(out, &own)?;
    }
    if pass.stacks.iter().any(|one| one.stack == StackName::Encoder) {
        writeln!(out, "In a block of the decoder, “attention” is both of its attentions together.")?;
    }
    Ok(())
}

/// Says how many falls there are, and how many of them appear on both halves of the tokens.
fn count_of_falls(falls: &[ResidualFall]) -> String {
    let sure = falls.iter().filter(|fall| fall.on_both_halves).count();
    match falls.len() {
        0 => "it never falls by more than a hundredth".to_owned(),
        1 if sure == 1 => "1 fall, on both halves of the tokens".to_owned(),
        1 => "1 fall, not on both halves of the tokens".to_owned(),
        many => format!("{many} falls, {sure} of them on both halves of the tokens"),
    }
}

/// How many falls are listed, deepest first.
const FALLS: usize = 5;

/// Writes the deepest falls of the stream's least singular value: in which part of the block, and what the bottom direction is there.
fn falls(out: &mut impl Write, falls: &[ResidualFall]) -> std::io::Result<()> {
    let mut deepest: Vec<&ResidualFall> = falls.iter().collect();
    deepest.sort_by(|a, b| a.ratio.value.total_cmp(&b.ratio.value));
    for fall in deepest.into_iter().take(FALLS) {
        let Interval { value, low, high } = fall.ratio;
        write!(out, "  Block {}: × {value:.3} ({low:.3} to {high:.3} on the halves)", fall.block)?;
        let Some(place) = fall.place else {
            writeln!(out, ".")?;
            continue;
        };
        writeln!(out, ": attention × {:.3}, feed-forward × {:.3}.", place.attention, place.feed_forward)?;
        write!(
            out,
            "    Bottom direction (λ₂/λ₁ {:.2}): |cos| {:.2} with the one before the block, {:.2} with the mean over channels",
            place.gap, place.same_direction, place.mean,
        )?;
        if let Some(cosine) = place.inverse_scale {
            write!(out, ", {cosine:.2} with 1/γ of the next norm")?;
        }
        if let Some(length) = place.near_dead {
            write!(out, "; {length:.2} of its length in near-dead channels")?;
        }
        writeln!(out, ".")?;
        if let [Some(attention), Some(feed_forward)] = [place.attention_energy, place.feed_forward_energy] {
            writeln!(
                out,
                "    Compared with the average direction, the attention writes {attention:.2} times as strongly along it, and the feed-forward part writes {feed_forward:.2} times as strongly.",
            )?;
        }
    }
    if falls.len() > FALLS {
        writeln!(out, "  --json lists all {} falls.", falls.len())?;
    }
    Ok(())
}

/// Writes the paper's claims and what was found.
fn claims(out: &mut impl Write, verification: &Verification) -> std::io::Result<()> {
    if !verification.claims.is_empty() {
        writeln!(out, "\n{}The paper’s claims{:#}", summary::STRONG, summary::STRONG)?;
    }
    for claim in &verification.claims {
        let verdict = if claim.agrees { "This model agrees" } else { "This model differs" };
        writeln!(out, "  {}.\n    {verdict}: {}.", claim.paper, claim.found)?;
        if let Some(why) = &claim.why {
            writeln!(out, "    Why: {why}.")?;
        }
    }
    Ok(())
}
