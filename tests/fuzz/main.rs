//! Damaged files of every kind: no panic, no more than a second a megabyte, and no more memory than docs/robustness.md states.
//!
//! Each kind is a process of its own, because what is allocated is counted for all of a process. Inputs follow from the kind and a
//! number, so that an input of CI is the same everywhere. What fails is written to `tests/fuzz/corpus/KIND/` and tried first from then
//! on. `npm run fuzz -- --minutes 10` draws other inputs for longer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a test program with its own table")]

mod dense;
#[path = "../inputs/files.rs"]
mod files;
mod kinds;
mod mutate;
mod oracle;

use kinds::{KINDS, Kind};
use oracle::{Agreement, ORACLES, agreement};
use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Inputs of each kind in CI.
const USUAL: u64 = 20_000;

/// Inputs of a kind in the corpus: a fault that many inputs meet needs a few of them.
const MOST_KEPT: usize = 40;

/// Bytes of an input in the corpus. Larger ones are those of [`dense`].
const LARGEST_KEPT: usize = 1 << 20;

/// Where each kind keeps what has failed.
fn corpus(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(kind)
}

/// What is asked for.
#[derive(Clone)]
struct Options {
    /// Inputs of each kind.
    inputs: u64,
    /// For so long instead, for all kinds together.
    minutes: Option<f64>,
    /// The first number.
    from: u64,
    /// One kind.
    kind: Option<String>,
    /// In a process of one kind: where the number of each input is written before it is read.
    trace: Option<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { inputs: USUAL, minutes: None, from: 0, kind: None, trace: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let wrong = |error: &dyn std::fmt::Display| format!("{word}: {error}");
        match word.as_str() {
            "--inputs" => options.inputs = value()?.parse().map_err(|error| wrong(&error))?,
            "--minutes" => options.minutes = Some(value()?.parse().map_err(|error| wrong(&error))?),
            "--from" => options.from = value()?.parse().map_err(|error| wrong(&error))?,
            "--kind" => options.kind = Some(value()?),
            "--trace" => options.trace = Some(value()?.into()),
            // What cargo test gives to every test program.
            "--nocapture" | "--quiet" | "-q" => {}
            other => {
                return Err(format!(
                    "there is no option {other}; there are --minutes, --inputs, --from and --kind"
                ));
            }
        }
    }
    Ok(options)
}

/// What came of the inputs of a kind.
#[derive(Default, Clone)]
struct Counts {
    tried: u64,
    panics: u64,
    slow: u64,
    large: u64,
}

fn main() -> ExitCode {
    // A run of what is ignored, or of tests by their names, is not about these.
    let by_name = std::env::args().nth(1).is_some_and(|word| !word.starts_with('-'));
    if by_name || std::env::args().any(|word| word == "--ignored" || word == "--list") {
        println!("test result: ok. 0 passed; 0 failed; 0 ignored");
        return ExitCode::SUCCESS;
    }
    let options = match options() {
        Ok(options) => options,
        Err(message) => {
            println!("{message}");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(kind) = std::env::var("FUZZ_KIND") {
        let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
        let counts = child(kind, &options);
        println!("counts {} {} {} {}", counts.tried, counts.panics, counts.slow, counts.large);
        return ExitCode::SUCCESS;
    }
    parent(&options)
}

/// Runs each kind in a process, as many at a time as there are cores, and prints the table.
fn parent(options: &Options) -> ExitCode {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    if let Some(kind) = options.kind.as_deref().filter(|kind| !names.contains(kind)) {
        println!("there is no kind {kind}; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let wanted: Vec<&Kind> = KINDS
        .iter()
        .filter(|kind| options.kind.as_deref().is_none_or(|chosen| chosen == kind.name))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut each = options.clone();
    // All kinds share the time.
    each.minutes =
        options.minutes.map(|minutes| minutes * cores.min(wanted.len()) as f64 / wanted.len() as f64);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results = std::sync::Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(kind) = wanted.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let counts = process(kind, &each);
                    results.lock().unwrap().insert(kind.name, counts);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    println!("\n| kind of input | inputs tried | panics | over time | over memory | memory, at most |");
    println!("|---|---|---|---|---|---|");
    let (mut passed, mut failed) = (0, 0);
    for kind in &wanted {
        let Counts { tried, panics, slow, large } = results[kind.name];
        println!("| {} | {tried} | {panics} | {slow} | {large} | {} |", kind.name, kind.bound);
        if panics + slow + large == 0 && tried > 0 { passed += 1 } else { failed += 1 }
    }
    let mut ignored = 0;
    println!("\n| kind of input | library | inputs tried | both read | read differently |");
    println!("|---|---|---|---|---|");
    for oracle in &ORACLES {
        let Some(kind) = wanted.iter().find(|kind| kind.name == oracle.kind) else { continue };
        let Some(Agreement { tried, both, differ }) = agreement(oracle, kind) else {
            println!("| {} | {} is not installed | | | |", oracle.kind, oracle.library);
            ignored += 1;
            continue;
        };
        println!("| {} | {} | {tried} | {both} | {differ} |", oracle.kind, oracle.library);
        if differ == 0 && both > 0 { passed += 1 } else { failed += 1 }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The counts of a kind from a process of its own. One that dies has one panic: the input is found and kept.
fn process(kind: &Kind, options: &Options) -> Counts {
    let run = |trace: Option<&Path>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("FUZZ_KIND", kind.name).args(["--from", &options.from.to_string()]);
        command.args(["--inputs", &options.inputs.to_string()]);
        if let Some(minutes) = options.minutes {
            command.args(["--minutes", &minutes.to_string()]);
        }
        if let Some(trace) = trace {
            command.arg("--trace").arg(trace);
        }
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let counts = text.lines().find_map(|line| line.strip_prefix("counts ")).map(|counts| {
            let counts: Vec<u64> = counts.split(' ').map(|count| count.parse().unwrap()).collect();
            Counts { tried: counts[0], panics: counts[1], slow: counts[2], large: counts[3] }
        });
        text.lines().filter(|line| !line.starts_with("counts ")).for_each(|line| println!("{line}"));
        counts
    };
    run(None).unwrap_or_else(|| {
        let trace =
            std::env::temp_dir().join(format!("gammascope-fuzz-{}-{}", kind.name, std::process::id()));
        run(Some(&trace));
        let input = std::fs::read(&trace).unwrap_or_default();
        let _ = std::fs::remove_file(&trace);
        keep(kind, &input, "the process died");
        Counts { tried: 1, panics: 1, ..Counts::default() }
    })
}

/// Reads what has failed before and what holds as much as it can, then damaged inputs one after the other.
fn child(kind: &Kind, options: &Options) -> Counts {
    std::panic::set_hook(Box::new(|_| {}));
    let mut counts = Counts::default();
    let mut kept: Vec<PathBuf> = std::fs::read_dir(corpus(kind.name))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    kept.sort();
    for path in kept {
        attempt(kind, &std::fs::read(&path).unwrap(), options, &mut counts);
    }
    for input in dense::dense(kind.name) {
        attempt(kind, &input, options, &mut counts);
    }
    let make = (kind.make)();
    let began = Instant::now();
    let over = |done: u64| match options.minutes {
        Some(minutes) => began.elapsed().as_secs_f64() > 60.0 * minutes,
        None => done == options.inputs,
    };
    let mut number = 0;
    while !over(number) {
        let mut random = SmallRng::seed_from_u64(options.from.wrapping_add(number));
        attempt(kind, &make(&mut random), options, &mut counts);
        number += 1;
    }
    counts
}

fn attempt(kind: &Kind, input: &[u8], options: &Options, counts: &mut Counts) {
    if let Some(trace) = &options.trace {
        std::fs::write(trace, input).unwrap();
    }
    counts.tried += 1;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let (panic, mut took) = timed(kind, input);
    let used = MEMORY.peak_usage().saturating_sub(before);
    if let Some(panic) = panic {
        counts.panics += 1;
        return keep(kind, input, &panic);
    }
    let longest = Duration::from_secs_f64(kind.seconds as f64 + input.len() as f64 / 1e6);
    // The machine may have been busy with something else.
    for _ in 0..3 {
        if took > longest {
            took = timed(kind, input).1;
        }
    }
    if took > longest {
        counts.slow += 1;
        keep(kind, input, &format!("it takes {:.1} s", took.as_secs_f64()));
    }
    if used > (kind.memory)(input.len()) {
        counts.large += 1;
        keep(kind, input, &format!("it takes {} MB", used >> 20));
    }
}

/// The words of a panic, if there was one, and how long it took.
fn timed(kind: &Kind, input: &[u8]) -> (Option<String>, Duration) {
    let (worked, began) = (work(), Instant::now());
    let ended = catch_unwind(AssertUnwindSafe(|| (kind.read)(input)));
    let took = match (worked, work()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => began.elapsed(),
    };
    let panic = ended.err().map(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    });
    (panic, took)
}

/// How long this thread has been at work, where the system tells: on a busy machine that is less than what a clock shows.
fn work() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

/// Writes an input that fails to the corpus.
fn keep(kind: &Kind, input: &[u8], what: &str) {
    let what: String = what.chars().take(300).collect();
    if input.len() > LARGEST_KEPT {
        return println!("{}: {what} ({} bytes, which are not kept)", kind.name, input.len());
    }
    let folder = corpus(kind.name);
    if std::fs::read_dir(&folder).is_ok_and(|kept| kept.count() >= MOST_KEPT) {
        return println!("{}: {what} ({} bytes, not kept: there are {MOST_KEPT})", kind.name, input.len());
    }
    let path = folder.join(format!("{:08x}", crc32fast::hash(input)));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
    let place = written.map_or_else(|error| format!("not kept: {error}"), |()| path.display().to_string());
    println!("{}: {what} ({} bytes, {place})", kind.name, input.len());
}
