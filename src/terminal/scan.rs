//! `gammascope scan`: hundreds of checkpoints, one line of JSON each. The lines are in the order in which the checkpoints finish.

use super::args::Scan;
use super::{UNREADABLE, complain, files, leave, open, progress, screen, summary, table};
use gammascope::checkpoint::Format;
use gammascope::checkpoint::formats::LAYOUT;
use gammascope::checkpoint::gather::{Gathered, Gathering, checkpoints};
use gammascope::report::Report;
use gammascope::report::scan::ScanLine;
use gammascope::report::words::plain_json;
use gammascope::source::AnySource;
use gammascope::source::disk::DiskSource;
use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Folders deeper than this are not searched. It is deep enough for caches and runs, and ends a loop of links.
const DEPTH: usize = 12;

/// A list is shorter than this. A checkpoint given by mistake is longer.
const LONGEST_LIST: u64 = 64 << 20;

/// One checkpoint to inspect.
struct Target {
    /// Its name in the output line.
    path: String,
    /// Its files, if they are known. If empty, `path` is opened.
    files: Vec<PathBuf>,
}

/// Where the lines are written.
enum Output {
    File(File),
    Terminal,
}

pub(crate) fn run(options: &Scan) -> ExitCode {
    let targets = if options.target.is_dir() { found(&options.target) } else { listed(&options.target) };
    let targets = match targets {
        Ok(targets) if targets.is_empty() => {
            let message = format!(
                "`{}` has no checkpoint; give a list with one path per line, or a folder with .safetensors, .gguf, .onnx or PyTorch files",
                options.target.display()
            );
            return complain(&message, UNREADABLE);
        }
        Ok(targets) => targets,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let all = targets.len();
    let targets = without_repeats(targets);
    let unique = targets.len();
    if unique < all {
        say(&format!("Repeated lines: {}. Each checkpoint is inspected once.", all - unique));
    }
    let (output, done) = match options.output.as_deref().map(resume).transpose() {
        Ok(Some((file, done))) => (Output::File(file), done),
        Ok(None) => (Output::Terminal, HashSet::new()),
        Err(message) => return complain(&message, UNREADABLE),
    };
    let targets: Vec<Target> = targets.into_iter().filter(|target| !done.contains(&target.path)).collect();
    if targets.len() < unique {
        say(&format!(
            "{} of {unique} checkpoints already have a line and are skipped",
            unique - targets.len()
        ));
    }
    match inspect_all(&targets, options, output) {
        Ok((failed, output)) => {
            let inspected = match targets.len() {
                1 => "1 checkpoint".to_owned(),
                count => format!("{count} checkpoints"),
            };
            say(&format!("{inspected} inspected, {failed} with an error"));
            if let (Output::File(mut file), Some(lines), Some(parquet)) =
                (output, &options.output, &options.parquet)
            {
                match table::write(&mut file, lines, parquet) {
                    Ok(rows) => say(&format!("{rows} rows in {}", parquet.display())),
                    Err(message) => return complain(&message, UNREADABLE),
                }
            }
            leave(Ok(()), options.strict && failed > 0)
        }
        // A reader that closes the pipe early has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(
            &format!("a line could not be written: {error}; run the same command again to continue"),
            UNREADABLE,
        ),
    }
}

fn say(message: &str) {
    anstream::eprintln!("{}", screen::for_stderr(&summary::printable(message)));
}

/// Reads the checkpoints from a list.
fn listed(list: &Path) -> Result<Vec<Target>, String> {
    let refuse = |error: io::Error| {
        format!(
            "`{}` cannot be read: {error}; give a text file with one path per line, or a folder",
            list.display()
        )
    };
    if std::fs::metadata(list).map_err(refuse)?.len() > LONGEST_LIST {
        return Err(format!(
            "`{}` is too long for a list of paths; give a text file with one path per line, or a folder",
            list.display()
        ));
    }
    let text = std::fs::read_to_string(list).map_err(refuse)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| Target { path: line.to_owned(), files: Vec::new() }).collect())
}

/// Finds the checkpoints in and below a folder, in the order of their paths.
fn found(folder: &Path) -> Result<Vec<Target>, String> {
    let mut files = Vec::new();
    walk(folder, DEPTH, &mut files).map_err(|error| {
        format!("folder `{}` cannot be listed: {error}; check that it may be read", folder.display())
    })?;
    files.sort();
    let paths: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
    let paths: Vec<&str> = paths.iter().map(AsRef::as_ref).collect();
    let Gathering { checkpoints, left_out } = checkpoints(&paths);
    let target = |Gathered { name, files: places }: Gathered| Target {
        path: name,
        files: places.into_iter().map(|place| files[place].clone()).collect(),
    };
    let mut targets: Vec<Target> = checkpoints.into_iter().chain(left_out).map(target).collect();
    targets.sort_by(|a, b| alphanumeric_sort::compare_str(&a.path, &b.path));
    Ok(targets)
}

/// Collects all files in and below a folder, except hidden ones.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') && name != LAYOUT {
            continue;
        }
        if !path.is_dir() {
            files.push(path);
        } else if depth > 0 && walk(&path, depth - 1, files).is_err() {
            // A folder without permission is skipped, and the scan continues.
            say(&format!("folder `{}` cannot be listed and is skipped", path.display()));
        }
    }
    Ok(())
}

/// Keeps the first of several paths to the same checkpoint. Links are followed.
fn without_repeats(targets: Vec<Target>) -> Vec<Target> {
    let mut seen = HashSet::new();
    let place = |target: &Target| {
        let path = Path::new(&target.path);
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    };
    targets.into_iter().filter(|target| seen.insert(place(target))).collect()
}

/// The start of every line.
const BEGINS: &[u8] = b"{\"path\":";

/// Opens a file of lines to append to, and returns the paths that have a line. A torn last line is removed. The file stays
/// locked until it is closed, so that it has one writer.
fn resume(path: &Path) -> Result<(File, HashSet<String>), String> {
    let refuse = |error: io::Error| {
        format!("`{}` cannot be opened for writing: {error}; check the folder", path.display())
    };
    let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!(
                "another scan writes `{}`; wait until it is done, or give another file",
                path.display()
            ));
        }
        // This file system has no locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(refuse(error)),
    }
    /// The only field of a line that is needed.
    #[derive(serde::Deserialize)]
    struct Done {
        path: String,
    }
    let (mut done, mut kept, mut bytes, mut number) = (HashSet::new(), 0, Vec::new(), 0);
    let mut lines = BufReader::new(&file);
    loop {
        bytes.clear();
        number += 1;
        let length = lines.read_until(b'\n', &mut bytes).map_err(refuse)?;
        if bytes.last() != Some(&b'\n') {
            break;
        }
        match serde_json::from_slice::<Done>(&bytes) {
            Ok(line) => {
                done.insert(line.path);
            }
            Err(_) if bytes.trim_ascii().is_empty() => {}
            Err(error) => {
                return Err(format!(
                    "`{}` line {number} is not a line of a scan ({error}); give another file",
                    path.display()
                ));
            }
        }
        kept += length as u64;
    }
    // A file that is not empty but has no line of a scan belongs to somebody else.
    if kept == 0 && !bytes.is_empty() && !bytes.starts_with(BEGINS) && !BEGINS.starts_with(&bytes) {
        return Err(format!("`{}` is not the output of a scan; give another file", path.display()));
    }
    if file.metadata().map_err(refuse)?.len() > kept {
        file.set_len(kept).map_err(refuse)?;
    }
    Ok((file, done))
}

/// Inspects each target, several at a time, and writes its line as soon as it is done. Returns how many had an error, and the output.
fn inspect_all(targets: &[Target], options: &Scan, output: Output) -> io::Result<(usize, Output)> {
    let (next, done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let output = Mutex::new((output, Ok(())));
    let worker = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let line = line_of(target, options);
            failed.fetch_add(usize::from(line.error.is_some()), Ordering::Relaxed);
            let json = serde_json::to_string(&line).map_err(io::Error::from);
            let Ok(mut output) = output.lock() else { break };
            let (to, written) = &mut *output;
            *written = json.and_then(|json| write(to, &(json + "\n")));
            if written.is_err() {
                next.store(targets.len(), Ordering::Relaxed);
                break;
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = options.jobs.map_or(cores, NonZero::get).min(targets.len());
    let mut line = progress::Line::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            line.show_checkpoints(done.load(Ordering::Relaxed), targets.len());
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    });
    line.clear();
    let (output, written) = output.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    written.map(|()| (failed.load(Ordering::Relaxed), output))
}

/// Writes a whole line, or none of it.
fn write(output: &mut Output, line: &str) -> io::Result<()> {
    match output {
        Output::File(file) => {
            let before = file.metadata()?.len();
            file.write_all(line.as_bytes()).inspect_err(|_| {
                // If this fails, the next scan into the file removes the torn line.
                let _ = file.set_len(before);
            })
        }
        Output::Terminal => {
            let mut out = anstream::stdout().lock();
            out.write_all(plain_json(line).as_bytes()).and_then(|()| out.flush())
        }
    }
}

/// Makes one checkpoint's line. A crash or an error ends up in the line.
fn line_of(target: &Target, options: &Scan) -> ScanLine {
    let inspected = catch_unwind(AssertUnwindSafe(|| report(target, options)))
        .unwrap_or_else(|_| Err("the inspection crashed; please report this checkpoint".to_owned()));
    let (report, error) = match inspected {
        Ok(report) => (Some(report), None),
        Err(error) => (None, Some(error)),
    };
    ScanLine { path: target.path.clone(), report, error }
}

fn report(target: &Target, options: &Scan) -> Result<Report, String> {
    let mut line = progress::Line::silent();
    if target.files.is_empty() {
        let path = PathBuf::from(&target.path);
        return Ok(open::at(std::slice::from_ref(&path), &options.reading, &mut line)?.inspection.report);
    }
    let mut sources: Vec<files::File> = Vec::new();
    for path in &target.files {
        let source = DiskSource::open(path, called(path, &target.files));
        sources.push(AnySource::Local(source.map_err(|error| error.to_string())?));
    }
    Ok(pollster::block_on(open::read(sources, !options.reading.no_weights, &mut line))?.inspection.report)
}

/// Names a file by its path below the common folder of all `files`, with that folder first, so that a checkpoint is named after its
/// folder.
fn called(path: &Path, files: &[PathBuf]) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut top = path.parent().unwrap_or(Path::new(""));
    while let Some(above) = top.parent().filter(|_| !files.iter().all(|file| file.starts_with(top))) {
        top = above;
    }
    if Format::of_path(&file) == Some(Format::Gguf) {
        return file;
    }
    let named = top.canonicalize().ok().and_then(|top| Some(top.file_name()?.to_string_lossy().into_owned()));
    let below = path.strip_prefix(top).unwrap_or(path).to_string_lossy().into_owned();
    named.map_or(below.clone(), |named| format!("{named}/{below}"))
}
