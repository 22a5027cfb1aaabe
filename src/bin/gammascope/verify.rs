//! `gammascope verify`: the model itself, run on the CPU, its norms measured while it runs.

use crate::args::{SiteChoice, Verify};
use crate::files::Source;
use crate::{UNREADABLE, complain, leave, measure, open, print_json, progress, summary};
use gammascope::cpu::norm::Centring;
use gammascope::device::Device;
use gammascope::forward::{Pass, Seen, Tokens};
use gammascope::inspect::{Inspection, Opened};
use gammascope::model::{self, Architecture};
use gammascope::report::measured::{Measured as Outcomes, Outcome};
use gammascope::report::{NormKind, PassSummary, Report, Verification, Warning};
use gammascope::text::{Input, TokenIds, Wanted, input};
use gammascope::verify::gram::Gridded;
use gammascope::verify::loss::kind_by_loss;
use gammascope::verify::pass::{Measured, Sample, Sites};
use gammascope::verify::residual::{self, Stream};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// Tokens for each channel of the stream where nothing else is asked for.
const USUAL_RATIO: usize = 4;

pub(crate) fn run(options: &Verify) -> ExitCode {
    let mut line = progress::Line::new();
    let mut opened = match open::without_weights(&options.paths, &options.remote, &mut line) {
        Ok(opened) => opened,
        Err(message) => return complain(&message, UNREADABLE),
    };
    match verification(&opened, options, &mut line) {
        Ok((verification, warnings)) => opened.verify(verification, warnings),
        Err(message) => return complain(&message, UNREADABLE),
    }
    line.clear();
    let report = &opened.inspection.report;
    let mut out = anstream::stdout().lock();
    let written = if options.json { print_json(&mut out, report) } else { table(&mut out, report) };
    leave(written, options.strict && !report.warnings.is_empty())
}

fn verification(
    opened: &Opened<Source>,
    options: &Verify,
    line: &mut progress::Line,
) -> Result<(Verification, Vec<Warning>), String> {
    let began = Instant::now();
    let architecture = model::resolve(opened.checkpoint()).map_err(|error| error.to_string())?;
    let length = architecture.longest.map_or(options.sequence, |longest| options.sequence.min(longest));
    let (TokenIds { ids, what: input, is_text }, warning) =
        token_ids(opened, options, &architecture, length)?;
    let tokens = Tokens::new(&ids, length).map_err(|error| error.to_string())?;
    let pass = || Pass::new(opened.checkpoint(), &architecture, tokens).map_err(|error| error.to_string());
    let normalised = architecture.blocks.iter().any(|block| block.around_feed_forward.after.is_some());
    let run = run_and_measure(&pass()?, opened, &architecture, options, !normalised, line)?;

    let mut warnings = Vec::from_iter(warning);
    if normalised {
        warnings.push(Warning {
            code: "residual_normalised".to_owned(),
            message: "every block ends in a norm, so the least singular value of the residual stream is that norm's kernel: it is not listed".to_owned(),
            r#where: "residual".to_owned(),
        });
    }
    let told = told(&architecture);
    let mut losses = None;
    if is_text && architecture.causal && architecture.head.is_some() {
        let own = pollster::block_on(pass()?.losses(&run.hidden)).map_err(|error| error.to_string())?;
        let other = match told {
            NormKind::LayerNorm => Centring::None,
            _ => Centring::Mean,
        };
        let other =
            pollster::block_on(pass()?.told(other).run_to_losses()).map_err(|error| error.to_string())?;
        losses = Some((own, other));
    }
    let outcomes = Outcomes {
        outcomes: run.outcomes,
        warnings,
        device: run.device,
        input: format!("{input}, through a forward pass that was told the kind of every norm"),
        seconds: 0.0,
    };
    let (mut verification, warnings) = outcomes.verification()?;
    verification.residual = residual::profile(&run.streams);
    verification.falls = residual::falls(&run.streams);
    verification.loss = losses.as_ref().and_then(|(own, other)| {
        let [layer, rms] = if told == NormKind::LayerNorm { [own, other] } else { [other, own] };
        kind_by_loss(layer, rms, length - 1)
    });
    verification.pass = Some(PassSummary {
        family: architecture.family.clone(),
        told,
        sequences: (ids.len() / length) as u64,
        length: length as u64,
        loss: losses.map(|(own, _)| own.iter().sum::<f64>() / own.len() as f64),
    });
    verification.seconds = began.elapsed().as_secs_f64();
    Ok((verification, warnings))
}

fn told(architecture: &Architecture) -> NormKind {
    let first = || architecture.blocks.first().and_then(|block| block.around_attention.after.as_ref());
    match architecture.final_norm.as_ref().or_else(first).map(|norm| norm.centring) {
        Some(Centring::Mean) => NormKind::LayerNorm,
        Some(Centring::None) => NormKind::RmsNorm,
        None => NormKind::Unknown,
    }
}

/// Whole sequences of what was asked for, and a warning where that is not what is usual.
fn token_ids(
    opened: &Opened<Source>,
    options: &Verify,
    architecture: &Architecture,
    length: usize,
) -> Result<(TokenIds, Option<Warning>), String> {
    let tokens = options.tokens.unwrap_or(USUAL_RATIO * architecture.width);
    let wanted = Wanted { tokens, length, vocabulary: architecture.vocabulary };
    let asked = match (&options.text, &options.ids) {
        (Some(file), _) => Some(read(file, |name, bytes| Input::Text { name, bytes })?),
        (_, Some(file)) => Some(read(file, |name, bytes| Input::Ids { name, bytes })?),
        _ => options.uniform.then_some(Input::Uniform),
    };
    // Fewer tokens than these leave a kernel whatever the norm does.
    let least = architecture.width + 1;
    let (found, why) = pollster::block_on(input::of_checkpoint(opened, asked.as_ref(), wanted, least))
        .map_err(|error| error.to_string())?;
    let warning = why.map(|why| Warning {
        code: "text_not_run".to_owned(),
        message: format!("{why}. Uniform token ids were run"),
        r#where: "tokenizer.json".to_owned(),
    });
    Ok((found, warning))
}

fn read(file: &Path, input: impl Fn(String, Vec<u8>) -> Input) -> Result<Input, String> {
    let bytes = std::fs::read(file)
        .map_err(|error| format!("`{}` could not be read: {error}; check the path", file.display()))?;
    Ok(input(file.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes))
}

/// What came of the pass.
struct Run {
    outcomes: Vec<Outcome>,
    streams: Vec<Stream>,
    hidden: Vec<f32>,
    device: String,
}

/// Runs the pass on one thread and measures what it shows on the others, as it comes.
fn run_and_measure(
    pass: &Pass<'_, Source>,
    opened: &Opened<Source>,
    architecture: &Architecture,
    options: &Verify,
    residual: bool,
    line: &mut progress::Line,
) -> Result<Run, String> {
    let inspection = &opened.inspection;
    let sites = match options.sites {
        SiteChoice::Final => Sites::Final,
        SiteChoice::All => Sites::All,
    };
    let device = measure::device(options.device)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // A pass that is ahead waits: what is shown is held no more than once a thread.
    let (give, samples) = sync_channel(threads);
    let samples = Mutex::new(samples);
    let measured = Mutex::new(Vec::new());
    let total = architecture.blocks.len();
    let hidden = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| measure_all(&samples, inspection, &device, &measured));
        }
        let mut visit = async |seen: Seen<'_>| {
            if let Seen::Block { index, .. } = seen {
                line.show_blocks(index + 1, total);
            }
            if let Some(sample) = Sample::of(seen, inspection, sites, residual) {
                // The other end lives as long as the threads.
                let _ = give.send(sample);
            }
        };
        let hidden = pollster::block_on(pass.run(&mut visit));
        drop(give);
        hidden
    })
    .map_err(|error| error.to_string())?;
    let (mut outcomes, mut streams, mut missing) = (Vec::new(), Vec::new(), None);
    for measured in measured.into_inner().unwrap_or_default() {
        match measured {
            Measured::Site(site, outcome) => outcomes.push((site, outcome)),
            Measured::Block(index, Ok(stream)) => streams.push((index, stream)),
            Measured::Block(_, Err(error)) => missing = Some(error.to_string()),
        }
    }
    outcomes.sort_by_key(|(site, _)| *site);
    streams.sort_by_key(|(index, _)| *index);
    let mut outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| *outcome).collect();
    if let (Some(message), Some(last)) = (missing, outcomes.last_mut()) {
        // A profile with a gap would number its blocks wrongly.
        streams.clear();
        let r#where = "residual".to_owned();
        last.warnings.push(Warning { code: "residual_not_measured".to_owned(), message, r#where });
    }
    if let (Some(fault), Some(last)) = (pollster::block_on(device.warning()), outcomes.last_mut()) {
        last.warnings.push(fault);
    }
    let streams = streams.into_iter().map(|(_, stream)| stream).collect();
    Ok(Run { outcomes, streams, hidden, device: device.name().to_owned() })
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

fn table(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let Some(verification) = &report.verification else { return Ok(()) };
    let Some(pass) = &verification.pass else { return Ok(()) };
    let told = match pass.told {
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
    measure::table(out, report)
}
