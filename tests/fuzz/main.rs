//! Reads damaged files of every kind. There must be no panic, at most a second per megabyte, and no more memory than
//! docs/robustness.md states.
//!
//! Each kind runs in its own process, because allocations are counted per process. A kind and a number determine an input, so the
//! inputs of CI are the same everywhere. Failing inputs are written to `tests/fuzz/corpus/KIND/` and tried first from then on.
//! `npm run fuzz -- --minutes 10` draws other inputs for longer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a test program with its own table")]

mod dense;
#[path = "../inputs/files.rs"]
mod files;
mod kinds;
mod more_kinds;
mod mutate;
#[path = "../it/support/onnx.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod net;
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

/// The number of inputs of each kind in CI.
const USUAL: u64 = 20_000;

/// The largest number of inputs of a kind in the corpus. A fault that many inputs trigger needs only a few of them.
const MOST_KEPT: usize = 40;

/// The largest size in bytes of an input in the corpus. Larger inputs come from [`dense`].
const LARGEST_KEPT: usize = 1 << 20;

/// The folder with the failed inputs of a kind.
fn corpus(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(kind)
}

/// The options of the command line.
#[derive(Clone)]
struct Options {
    /// The number of inputs of each kind.
    inputs: u64,
    /// Run for so many minutes instead, for all kinds together.
    minutes: Option<f64>,
    /// The first number.
    from: u64,
    /// One kind.
    kind: Option<String>,
    /// In the process of one kind: the file to which each input is written before it is read.
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
            // cargo test passes these to every test program.
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

/// The results for the inputs of a kind.
#[derive(Default, Clone, Copy)]
struct Counts {
    tried: u64,
    panics: u64,
    slow: u64,
    large: u64,
    /// Most bytes that reading an input took beyond four times its size.
    beyond: usize,
}

fn main() -> ExitCode {
    // A run of ignored tests, or of tests by name, does not include these.
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
        let Counts { tried, panics, slow, large, beyond } = counts;
        println!("counts {tried} {panics} {slow} {large} {beyond}");
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
    println!(
        "\n| kind of input | inputs tried | panics | over time | over memory | memory, at most | most beyond 4 × its size |"
    );
    println!("|---|---|---|---|---|---|---|");
    let (mut passed, mut failed) = (0, 0);
    for kind in &wanted {
        let Counts { tried, panics, slow, large, beyond } = results[kind.name];
        let beyond = format!("{:.1} MB", beyond as f64 / 1e6);
        println!("| {} | {tried} | {panics} | {slow} | {large} | {} | {beyond} |", kind.name, kind.bound);
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

/// Runs a kind in a new process and returns its counts. If the process dies, that is one panic: its input is found and kept.
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
            let beyond = counts[4] as usize;
            Counts { tried: counts[0], panics: counts[1], slow: counts[2], large: counts[3], beyond }
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

/// Reads the inputs that failed before and the dense ones, then damaged inputs.
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
    counts.beyond = counts.beyond.max(used.saturating_sub(4 * input.len()));
    if let Some(panic) = panic {
        counts.panics += 1;
        return keep(kind, input, &panic);
    }
    let longest = Duration::from_secs_f64(kind.seconds as f64 + input.len() as f64 / 1e6);
    // The machine may have been busy. Try again.
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

/// Returns the message of a panic, if there was one, and the time.
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

/// The time that this thread has run, if the system says so. On a busy machine, it is less than the time on the clock.
fn work() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

/// Writes a failing input to the corpus.
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
