//! `gammascope fold`: the same function with other numbers, written as a new folder.

use super::args::{Fold, Remote, ToNorm};
use super::grid::{ABSENT, Grid, text};
use super::output::free_bytes;
use super::part_folder::PartFolder;
use super::screen::{self, Screen};
use super::summary::{STRONG, printable};
use super::{
    DIFFERS, UNREADABLE, USAGE, complain, files, leave, like, open, print_json, progress, prune, repair,
};
use gammascope::checkpoint::{self, Checkpoint};
use gammascope::fold::prove::Moved;
use gammascope::fold::ready::{self, BESIDE};
use gammascope::fold::{Operations, Plan, Rounded, index, plan, prove, write_shard};
use gammascope::inspect::Opened;
use gammascope::model::{Accepted, Architecture};
use gammascope::report::NormKind;
use gammascope::report::fold::{FoldDifference, FoldLeft, FoldOutcome, FoldProof, FoldReport, FoldedNorm};
use gammascope::share::fold;
use gammascope::source::ByteSource;
use pollster::block_on;
use std::fs::{self, File};
use std::hash::Hash;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// Name of the report beside the weights.
const REPORT: &str = "fold.json";
/// Name of the same as a page, if it was proved by running.
const PAGE: &str = "fold.html";

/// End of the name of an index of shards.
const INDEX: &str = ".safetensors.index.json";

/// A message and its exit code.
pub(crate) type Failure = (String, u8);

pub(crate) fn run(options: &Fold) -> ExitCode {
    if options.prune {
        return prune::run(options);
    }
    let mut line = progress::Line::new();
    let outcome = fold(options, &mut line);
    line.clear();
    match outcome {
        Ok(report) => show(&report, options),
        Err((message, code)) => complain(&message, code),
    }
}

pub(crate) fn unreadable(error: impl std::fmt::Display) -> Failure {
    (error.to_string(), UNREADABLE)
}

/// Opens a whole checkpoint on this machine whose readers are all known.
pub(crate) fn known(
    options: &Fold,
    line: &mut progress::Line,
) -> Result<(Opened<files::File>, Architecture), Failure> {
    let input = &options.checkpoint;
    if !input.exists() {
        return Err(unreadable(format!(
            "`{}` is not a path on this machine; fold rewrites local files, so download the checkpoint first",
            input.display()
        )));
    }
    let opened = open::inspected(sources(input, line)?, line).map_err(unreadable)?;
    let architecture = ready::known(&opened, Accepted::Only(&options.assume)).map_err(unreadable)?;
    Ok((opened, architecture))
}

fn fold(options: &Fold, line: &mut progress::Line) -> Result<FoldReport, Failure> {
    let input = &options.checkpoint;
    let output = options.output.as_deref().filter(|_| !options.dry_run);
    if let Some(output) = output.filter(|_| input.exists()) {
        is_free(input, output)?;
    }
    let (opened, architecture) = known(options, line)?;
    let checkpoint = opened.checkpoint();
    let Fold { scales, shifts, centre, canonical, untie, add_biases, .. } = *options;
    let rms_norm = options.to == Some(ToNorm::RmsNorm);
    let operations = Operations { scales, shifts, centre, canonical, untie, add_biases, rms_norm };
    let mut plan = match options.repair_offset {
        true => repair::planned(&opened, &architecture, options, line)?,
        false => plan(&opened, &architecture, operations).map_err(unreadable)?,
    };
    plan.report.assumed.clone_from(&options.assume);
    let Some(output) = output.filter(|_| !plan.is_empty()) else { return Ok(plan.report) };
    let part = written(checkpoint, &mut plan, input, output, line)?;
    if options.prove {
        let proof = proof(checkpoint, &part, options, centre || rms_norm, line)?;
        if !proof.same {
            return Err((differs(&proof), DIFFERS));
        }
        plan.report.proof = Some(proof);
        plan.report.summarise();
    }
    let complete = || {
        let json = serde_json::to_vec_pretty(&plan.report)?;
        whole(&part.path().join(REPORT), |file| file.write_all(&json))?;
        if options.prove {
            let made = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            let page = fold::document(&plan.report, &made).map_err(io::Error::other)?;
            whole(&part.path().join(PAGE), |file| file.write_all(page.as_bytes()))?;
        }
        part.complete(output)
    };
    complete().map_err(|error| not_written(output, &error))?;
    Ok(plan.report)
}

pub(crate) fn sources(input: &Path, line: &mut progress::Line) -> Result<Vec<files::File>, Failure> {
    let nowhere = Remote { hub: String::new(), token: None };
    files::sources(&[input.to_owned()], &nowhere, line).map_err(unreadable)
}

/// Checks that the output does not exist yet, and that its folder does.
fn is_free(input: &Path, output: &Path) -> Result<(), Failure> {
    let same = fs::canonicalize(input).ok().zip(fs::canonicalize(output).ok());
    if same.is_some_and(|(input, output)| input == output) {
        let message = "the output is the checkpoint itself, which fold never changes; choose another folder";
        return Err((message.to_owned(), USAGE));
    }
    if output.symlink_metadata().is_ok() {
        let message = format!("`{}` exists; choose another folder, or remove it first", output.display());
        return Err((message, USAGE));
    }
    if !folder_of(output).is_dir() {
        let message = format!("the folder of `{}` does not exist; make it first", output.display());
        return Err((message, USAGE));
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn not_written(output: &Path, error: &dyn std::fmt::Display) -> Failure {
    unreadable(format!("`{}` cannot be written: {error}; nothing is left of it", output.display()))
}

/// Shards of the result that are finished: the roundings of each.
type Shards = PartFolder<Vec<(usize, Rounded)>>;

/// Writes all files of the result beside `output`, and completes the report. Shards that a killed process has finished stay.
fn written<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    plan: &mut Plan,
    input: &Path,
    output: &Path,
    line: &mut progress::Line,
) -> Result<Shards, Failure> {
    let shards: Vec<PathBuf> = checkpoint.shards.iter().map(|shard| below(input, shard.path())).collect();
    let beside = beside(input, &shards);
    let total = checkpoint.bytes();
    let failed = |error: &dyn std::fmt::Display| not_written(output, error);
    let of = made_of(plan, input, &shards).map_err(|error| failed(&error))?;
    let mut part = Shards::beside(output, of)
        .map_err(|error| unreadable(format!("`{}` cannot be written: {error}", output.display())))?;
    // A finished shard that somebody removed is written again.
    let finished = shards.iter().take(part.finished().len());
    let earlier = finished.take_while(|name| part.path().join(name).is_file()).count();
    part.keep(earlier);
    let mut done: u64 = checkpoint.shards[..earlier].iter().map(ByteSource::length).sum();
    let others = beside.iter().filter_map(|(from, _)| fs::metadata(from).ok()).map(|data| data.len());
    let others: u64 = others.sum();
    let needed = i128::from(total - done) + plan.growth() + i128::from(others);
    if let Some(free) = free_bytes(folder_of(output)).filter(|free| i128::from(*free) < needed) {
        if earlier > 0 {
            part.leave();
        }
        return Err(unreadable(format!(
            "the result takes {needed} bytes and the disk of `{}` has {free}; free some, or choose another disk",
            output.display()
        )));
    }
    if earlier > 0 {
        line.note(&format!("{earlier} of {} shards are finished already, from an earlier run", shards.len()));
    }
    for finished in part.finished() {
        plan.took(finished.clone());
    }
    for (shard, name) in shards.iter().enumerate().skip(earlier) {
        let target = part.path().join(name);
        let roundings = whole(&target, |file| {
            let progress = |bytes| line.show_written(done + bytes, total);
            block_on(write_shard(checkpoint, plan, shard, file, progress))
        });
        let roundings = roundings.map_err(|error| failed(&error))?;
        plan.took(roundings.clone());
        part.finish(roundings).map_err(|error| failed(&error))?;
        done += checkpoint.shards[shard].length();
    }
    put_beside(checkpoint, plan, &beside, part.path()).map_err(|error| failed(&error))?;
    Ok(part)
}

/// What decides the contents of the result: the plan, the shards and this version.
fn made_of(plan: &Plan, input: &Path, shards: &[PathBuf]) -> io::Result<impl Hash + use<>> {
    let top = if input.is_dir() { input } else { folder_of(input) };
    let state = |shard: &PathBuf| {
        let data = fs::metadata(top.join(shard))?;
        Ok((shard.clone(), data.len(), data.modified().ok()))
    };
    let shards = shards.iter().map(state).collect::<io::Result<Vec<_>>>()?;
    Ok((env!("CARGO_PKG_VERSION"), serde_json::to_string(&plan.report)?, shards))
}

/// Copies the files beside the weights to a folder, and writes those that are others in the result.
fn put_beside<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    plan: &Plan,
    beside: &[(PathBuf, PathBuf)],
    folder: &Path,
) -> io::Result<()> {
    for (from, name) in
        beside.iter().filter(|(_, name)| !plan.files.iter().any(|(file, _)| Path::new(file) == name))
    {
        let is_index = name.to_string_lossy().ends_with(INDEX);
        let changed = if is_index { index(checkpoint, plan, &fs::read(from)?) } else { None };
        match changed {
            Some(bytes) => fs::write(folder.join(name), bytes)?,
            None => fs::copy(from, folder.join(name)).map(|_| ())?,
        }
    }
    plan.files.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// A path of the checkpoint, below what was given: `folder/model.safetensors` is `model.safetensors` in the folder.
fn below(input: &Path, path: &str) -> PathBuf {
    let inside = path.split_once('/').filter(|_| input.is_dir()).map_or(path, |(_, inside)| inside);
    PathBuf::from(inside)
}

/// The files beside the shards that belong to a checkpoint, each with its name below the output.
fn beside(input: &Path, shards: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    let top = if input.is_dir() { input } else { folder_of(input) };
    let mut folders: Vec<&Path> = shards.iter().filter_map(|shard| shard.parent()).collect();
    folders.sort_unstable();
    folders.dedup();
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(top.join(folder)).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let ending = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
            let belongs = ending.is_some_and(|end| BESIDE.contains(&end.as_str()));
            if belongs && path.is_file() && name != REPORT && !name.to_string_lossy().starts_with('.') {
                found.push((path, folder.join(name)));
            }
        }
    }
    found
}

/// Writes a file and waits until it is on the disk. It replaces what a killed process left of it.
fn whole<T, E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    fs::create_dir_all(folder_of(path))?;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let result = fill(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(result)
}

/// Runs the original and the result.
fn proof<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    part: &Shards,
    options: &Fold,
    centred: bool,
    line: &mut progress::Line,
) -> Result<FoldProof, Failure> {
    let folded = block_on(checkpoint::open(sources(part.path(), line)?, |_| {})).map_err(unreadable)?;
    let moved =
        sources(&options.checkpoint, line)?.into_iter().map(|source| Moved::of(source, checkpoint)).collect();
    let moved = block_on(checkpoint::open(moved, |_| {})).map_err(unreadable)?;
    let accepted = Accepted::Only(&options.assume);
    block_on(prove(checkpoint, &folded, &moved, centred, accepted)).map_err(unreadable)
}

fn differs(proof: &FoldProof) -> String {
    let (what, found, floor) = match proof.deciding() {
        Some((what, FoldDifference { found, floor })) => (what, found, floor),
        None => ("outputs", f64::NAN, f64::NAN),
    };
    format!(
        "the result computes something else: its {what} differ by {found:.1e}, and those of the original with weights moved by their rounding differ by {floor:.1e}; nothing is left of it"
    )
}

fn show(report: &FoldReport, options: &Fold) -> ExitCode {
    let written =
        if options.json { print_json(report) } else { write(&mut screen::stdout(), report, options) };
    if report.tensors.is_empty() && written.is_ok() {
        let message = match options.dry_run {
            true => "nothing would change: see the reasons above",
            false => "nothing could be done, so nothing was written: see the reasons above",
        };
        return complain(message, UNREADABLE);
    }
    leave(written, false)
}

fn write(out: &mut Screen<impl Write>, report: &FoldReport, options: &Fold) -> io::Result<()> {
    let name = options.output.as_deref().unwrap_or(Path::new("")).to_string_lossy();
    let changed = report.tensors.len();
    match options.dry_run || changed == 0 {
        true => writeln!(
            out,
            "{STRONG}{changed} tensors of {} would change{STRONG:#}",
            printable(&report.checkpoint)
        )?,
        false => writeln!(
            out,
            "{STRONG}{}: {} with {changed} changed tensors{STRONG:#}",
            printable(&name),
            printable(&report.checkpoint)
        )?,
    }
    if !report.assumed.is_empty() {
        writeln!(
            out,
            "It is assumed that these fields of the configuration change nothing: {}.",
            printable(&report.assumed.join(", "))
        )?;
    }
    match &report.repair {
        Some(repair) => repair::write(out, repair, options.all)?,
        None => {
            norms(out, report, options.all)?;
            reasons(out, report)?;
            writers(out, report)?;
            structure(out, report)?;
        }
    }
    if let Some((rounding, name)) = report.largest_rounding() {
        writeln!(
            out,
            "Each result is exact up to one rounding: at most {rounding:.1e} of a tensor, in {}.",
            printable(name)
        )?;
    }
    proved(out, report.proof.as_ref())
}

/// Writes a row for each norm, or norms of like name.
fn norms(out: &mut Screen<impl Write>, report: &FoldReport, all: bool) -> io::Result<()> {
    let names: Vec<String> = report.norms.iter().map(|norm| printable(&norm.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cells = |norm: &FoldedNorm| {
        let kind = match norm.kind {
            NormKind::LayerNorm => "LayerNorm",
            NormKind::RmsNorm => "RMSNorm",
            _ => "unknown",
        };
        let off = match norm.channels_off.len() {
            0 => ABSENT.to_owned(),
            count => count.to_string(),
        };
        let done = |outcome, done: &str| match outcome {
            &FoldOutcome::NotAsked => ABSENT.to_owned(),
            FoldOutcome::Nothing => "nothing to do".to_owned(),
            FoldOutcome::Done => done.to_owned(),
            FoldOutcome::Left { .. } => "left".to_owned(),
        };
        let dead = match norm.readers.iter().filter(|reader| reader.canonical == FoldOutcome::Done).count() {
            0 => done(&norm.canonical, "removed"),
            count if count == norm.readers.len() => "removed".to_owned(),
            count => format!("removed from {count} of {}", norm.readers.len()),
        };
        vec![kind.to_owned(), done(&norm.scale, "folded"), done(&norm.shift, "folded"), dead, off]
    };
    let columns = [
        text("kind", 4),
        text("scale", 0),
        text("shift", 1),
        text("dead part of readers", 2),
        text("channels off", 3),
    ];
    let mut grid = Grid::new("norm site", &columns);
    for row in like::rows(&names, |at| cells(&report.norms[at]), all) {
        let cells = row.places.first().map(|&at| cells(&report.norms[at])).unwrap_or_default();
        grid.row(row.name, cells);
    }
    grid.write(out)
}

/// Writes why something was left, each reason once with its norms and writers.
fn reasons(out: &mut Screen<impl Write>, report: &FoldReport) -> io::Result<()> {
    for FoldLeft { why, names } in &report.left {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rows = like::rows(&names, |_| (), false);
        let names: Vec<String> = rows.into_iter().map(|row| printable(&row.name)).collect();
        writeln!(out, "Left at {}: {}.", names.join(", "), printable(why))?;
    }
    Ok(())
}

fn writers(out: &mut Screen<impl Write>, report: &FoldReport) -> io::Result<()> {
    if let Some(why) = &report.not_centred {
        return writeln!(out, "No writer is centred: {}.", printable(why));
    }
    let centred = report.writers.iter().filter(|writer| writer.centred == FoldOutcome::Done).count();
    if !report.writers.is_empty() {
        writeln!(
            out,
            "{centred} of {} writers of the residual stream lose their mean.",
            report.writers.len()
        )?;
    }
    Ok(())
}

/// Writes which tensors are new, and what code the result needs.
fn structure(out: &mut Screen<impl Write>, report: &FoldReport) -> io::Result<()> {
    match &report.untied {
        FoldOutcome::NotAsked => {}
        FoldOutcome::Nothing => writeln!(out, "The unembedding is stored apart already.")?,
        FoldOutcome::Done => writeln!(out, "The unembedding becomes a tensor of its own.")?,
        FoldOutcome::Left { why } => writeln!(out, "The unembedding is not untied: {}.", printable(why))?,
    }
    match &report.added_biases {
        FoldOutcome::NotAsked => {}
        FoldOutcome::Nothing => writeln!(out, "No bias has to be added.")?,
        FoldOutcome::Done => writeln!(out, "Every map that reads a shift gets a bias.")?,
        FoldOutcome::Left { why } => writeln!(out, "Not every bias can be added: {}.", printable(why))?,
    }
    let Some(family) = &report.family else { return Ok(()) };
    match report.files.iter().find(|file| file.ends_with(".py")) {
        None => writeln!(out, "The norms become RMSNorms, and the model a `{}` model.", printable(family)),
        Some(file) => writeln!(
            out,
            "The norms become RMSNorms. transformers loads the result with `{file}` and `trust_remote_code=True`."
        ),
    }
}

fn proved(out: &mut Screen<impl Write>, proof: Option<&FoldProof>) -> io::Result<()> {
    let Some(proof) = proof else { return Ok(()) };
    let both = |one: &FoldDifference| format!("{:.1e} (floor {:.1e})", one.found, one.floor);
    writeln!(out, "Run on {} token ids, the result differs from the original by rounding:", proof.tokens)?;
    let furthest = proof.blocks.iter().enumerate().max_by(|a, b| a.1.found.total_cmp(&b.1.found));
    if let Some((block, one)) = furthest {
        writeln!(out, "  residual stream, at most, after block {block}: {}", both(one))?;
    }
    if let Some(hidden) = &proof.hidden {
        writeln!(out, "  last hidden states: {}", both(hidden))?;
    }
    if let Some(logits) = &proof.logits {
        writeln!(out, "  logits: {}", both(logits))?;
    }
    if let Some(divergence) = &proof.divergence {
        writeln!(out, "  KL in nats: {}", both(divergence))?;
    }
    Ok(())
}
