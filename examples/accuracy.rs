//! `npm run accuracy [-- FOLDER…]`: compares Gammascope's verdicts on every architecture in the folders with what the modules really do,
//! in seven modes. Exits with 1 if a mode is below its bar.
//!
//! Each folder holds gzipped documents as described in `tests/it/support/architecture.rs`. `--faults` lists every fault, `--mode NAME`
//! runs only one mode.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers that prints a table")]

#[path = "../tests/it/support/architecture.rs"]
#[allow(dead_code, reason = "shared with the program that writes the registry")]
mod architecture;

use architecture::{Architecture, Mode, Score, provide_tables, read_folder};
use clap::Parser;
use gammascope::report::NormKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Least share of right sites in each mode, and greatest share of missed ones.
const BARS: [(Mode, f64); 7] = [
    (Mode::Config, 0.99),
    (Mode::NoConfig, 0.95),
    (Mode::Strip, 0.95),
    (Mode::Wrapped, 0.95),
    (Mode::Unlisted, 0.0),
    (Mode::UnknownLibrary, 0.0),
    (Mode::Opaque, 0.0),
];
const MISSED: f64 = 0.005;
const WORST: usize = 10;

#[derive(Parser)]
struct Arguments {
    /// Folders of documents.
    folders: Vec<PathBuf>,
    /// List every fault.
    #[arg(long)]
    faults: bool,
    /// Print how often each evidence supports which kind, by distinct site names of an architecture.
    #[arg(long)]
    evidence: bool,
    /// Only this mode: config, "no config", "prefix stripped", "wrapped names", "unlisted code", "unknown library", "opaque
    /// names".
    #[arg(long)]
    mode: Option<String>,
    /// Only documents whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// A folder like src/norm/registry, whose tables replace those compiled in.
    #[arg(long)]
    tables: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(folder) = &arguments.tables {
        provide_tables(folder);
    }
    let mut architectures = Vec::new();
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/architectures"));
    let folders = if arguments.folders.is_empty() { &vec![fixtures] } else { &arguments.folders };
    for folder in folders {
        architectures
            .extend(read_folder(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())));
    }
    if let Some(part) = &arguments.only {
        architectures.retain(|architecture| architecture.name.contains(part));
    }
    println!("{} documents", architectures.len());
    let mut failed = false;
    for (mode, bar) in BARS {
        if arguments.mode.as_ref().is_none_or(|name| name == mode.name()) {
            failed |= !run(&architectures, mode, bar, &arguments);
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Scores one mode, prints it, and says whether it is over the bar.
fn run(architectures: &[Architecture], mode: Mode, bar: f64, arguments: &Arguments) -> bool {
    let faults = arguments.faults;
    let (scores, seconds) = scores(architectures, mode);
    let mut total = Score::default();
    scores.iter().for_each(|(_, score)| total.add(score));
    let sites = f64::from(total.sites());
    let share = |count: u32| format!("{:.2} %", 100.0 * f64::from(count) / sites);
    println!("\n── {} · {} sites · {seconds:.1} s", mode.name(), total.sites());
    println!(
        "right {} ({}) · unknown {} ({}) · wrong {} · missing {} ({}) · invented {} · convention wrong {}",
        total.right,
        share(total.right),
        total.unknown,
        share(total.unknown),
        total.wrong,
        total.missing,
        share(total.missing),
        total.invented,
        total.convention
    );
    println!("  {:12} {:>10} {:>10} {:>10} {:>10}", "is \\ said", "layernorm", "rmsnorm", "other", "unknown");
    for kind in ["layer", "rms", "other", "unknown"] {
        let cell = |said| total.confusion.get(&(kind.to_owned(), said)).copied().unwrap_or_default();
        println!(
            "  {kind:12} {:>10} {:>10} {:>10} {:>10}",
            cell(NormKind::LayerNorm),
            cell(NormKind::RmsNorm),
            cell(NormKind::Other),
            cell(NormKind::Unknown)
        );
    }
    println!("  probability of the likeliest kind → right of all");
    for (hundredths, (right, all)) in &total.calibration {
        println!("    0.{hundredths:02} → {right} of {all} ({:.4})", f64::from(*right) / f64::from(*all));
    }
    if !total.unknown_why.is_empty() {
        println!("  unknown, by its evidence");
        let mut reasons: Vec<_> = total.unknown_why.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        reasons.iter().take(WORST).for_each(|(why, count)| println!("    {count:6} {why}"));
    }
    if arguments.evidence {
        println!("  what was seen, at how many of each kind");
        for ((spoken, kind), count) in &total.spoken {
            println!("    {count:6} {kind:6} {spoken}");
        }
    }
    let mut worst: Vec<&(&str, Score)> =
        scores.iter().filter(|(_, score)| !score.faults.is_empty()).collect();
    worst.sort_by_key(|(_, score)| std::cmp::Reverse((score.misleading(), score.unknown)));
    println!("  the worst of {} with faults", worst.len());
    for (name, score) in worst.iter().take(if faults { usize::MAX } else { WORST }) {
        println!(
            "    {name}: right {}, unknown {}, wrong {}, missing {}, invented {}, convention {}",
            score.right, score.unknown, score.wrong, score.missing, score.invented, score.convention
        );
        if faults {
            score.faults.iter().for_each(|fault| println!("      {fault}"));
        }
    }
    total.wrong == 0
        && total.invented == 0
        && total.convention == 0
        && f64::from(total.right) >= bar * sites
        && (mode == Mode::Opaque || f64::from(total.missing) <= MISSED * sites)
}

/// Scores every document on all cores.
fn scores(architectures: &[Architecture], mode: Mode) -> (Vec<(&str, Score)>, f64) {
    let began = Instant::now();
    let (next, scores) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let slowest = Mutex::new((Duration::ZERO, String::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(architecture) = architectures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let (report, names) = architecture
                        .inspect(mode)
                        .unwrap_or_else(|error| panic!("{}: {error}", architecture.name));
                    let took = start.elapsed();
                    let mut slowest = slowest.lock().unwrap();
                    if took > slowest.0 {
                        *slowest =
                            (took, format!("{} ({} tensors)", architecture.name, architecture.tensors()));
                    }
                    drop(slowest);
                    let score = architecture.score(&report, &names);
                    scores.lock().unwrap().push((architecture.name.as_str(), score));
                }
            });
        }
    });
    let slowest = slowest.into_inner().unwrap();
    println!("\nslowest: {} in {:.0} ms", slowest.1, slowest.0.as_secs_f64() * 1000.0);
    let mut scores = scores.into_inner().unwrap();
    scores.sort_by_key(|(name, _)| *name);
    (scores, began.elapsed().as_secs_f64())
}
