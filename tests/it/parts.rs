//! A run that does not fit into memory runs in parts, with the same numbers.

use crate::support::families::{compare, expected, open};
use crate::support::runs::{planned, usual};
use gammascope::forward::kernels::{Cpu, Kernels};
use gammascope::forward::{Input, Parts, Pass, Seen, Standing};
use gammascope::inspect::Opened;
use gammascope::measure::gram::Gridded;
use gammascope::model::random::twin;
use gammascope::model::resolve;
use gammascope::report::{Verification, Warning, WarningCode};
use gammascope::run::execute::Shown;
use gammascope::run::pass::Measured;
use gammascope::run::planned::Extent;
use gammascope::run::session::{Request, Session, collect};
use gammascope::scratch::disk::DiskScratch;
use gammascope::scratch::memory::MemoryScratch;
use gammascope::scratch::{Scratch, ScratchError};
use gammascope::source::ByteSource;
use gammascope::source::disk::DiskSource;
use pollster::block_on;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What a pass shows: the name of a norm or of a block, and its values.
type Sights = Vec<(String, Vec<f32>)>;

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn note(sights: &mut Sights, seen: Seen<'_>) {
    match seen {
        Seen::Norm { site, before_scale, output, .. } => {
            sights.push((site.to_owned(), [before_scale, output].concat()));
        }
        Seen::Block { index, stream, next, .. } => {
            sights.push((format!("block {index} before {next:?}"), stream.to_vec()));
        }
    }
}

/// Compares a pass in parts with the whole pass: everything that it shows, and its losses.
fn same_in_parts<K: Kernels>(kernels: &K) {
    for entry in std::fs::read_dir(folder("tests/forward")).unwrap() {
        let family = entry.unwrap().path();
        let checkpoint = open(&family);
        let architecture = resolve(&checkpoint).unwrap();
        let ids: Vec<u32> = expected(&family)["7.ids"].0.iter().map(|id| *id as u32).collect();
        assert!(ids.len() > 7, "one sequence cannot run in parts");
        let input = Input::token_ids(&ids, 7).unwrap();
        let pass = Pass::new(&checkpoint, &architecture, input).unwrap().on(kernels);
        let mut whole = Sights::new();
        let hidden = block_on(pass.run(&mut async |seen: Seen<'_>| note(&mut whole, seen))).unwrap();
        // Room for no matrix, and for all of them.
        for held in [0, u64::MAX] {
            let scratch: Box<dyn Scratch> = Box::<MemoryScratch>::default();
            let parts = Parts { sequences: 1, held, scratch: &RefCell::new(scratch), base: 0 };
            let mut in_parts = Sights::new();
            block_on(pass.run_in_parts(parts, 0, &mut async |seen: Seen<'_>| note(&mut in_parts, seen)))
                .unwrap();
            assert_eq!(whole.len(), in_parts.len(), "{family:?}");
            for ((name, values), (other, found)) in whole.iter().zip(&in_parts) {
                assert_eq!((name, values.len()), (other, found.len()), "{family:?}");
                // A product of matrices may add in another order for fewer rows.
                let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
                compare(&format!("{family:?}, {name}, held {held}"), found, &values).unwrap();
            }
            if architecture.head.is_some() && architecture.causal {
                let expected = block_on(pass.losses(&hidden)).unwrap();
                let found = block_on(pass.losses_in_parts(parts)).unwrap();
                assert_eq!(expected.len(), found.len());
                let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-4 * a;
                assert!(expected.iter().zip(&found).all(close), "{family:?}: {expected:?}, {found:?}");
            }
        }
    }
}

#[test]
fn every_family_shows_in_parts_what_it_shows_whole() {
    same_in_parts(&Cpu);
}

#[cfg(feature = "gpu")]
#[test]
#[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
fn every_family_shows_in_parts_on_a_gpu_what_it_shows_whole() {
    same_in_parts(&block_on(gammascope::gpu::forward::GpuKernels::open()).unwrap());
}

fn opened(sample: &str) -> Opened<DiskSource> {
    let folder = folder(sample);
    let files = ["model.safetensors", "config.json", "tokenizer.json"];
    let there = files.into_iter().filter(|file| folder.join(file).exists());
    let sources = there.map(|file| DiskSource::open(&folder.join(file), file).unwrap()).collect();
    block_on(gammascope::inspect::open(sources, |_| {})).unwrap()
}

/// Runs a session to its end. It stops after each of the first `stops` blocks, and goes on.
fn run<S: ByteSource>(session: &Session, opened: &Opened<S>, stops: usize) -> (Verification, Vec<Warning>) {
    let gram = async |gridded: &Gridded| gridded.gram();
    let (mut standing, mut measured): (_, Vec<Measured>) = (Standing::default(), Vec::new());
    loop {
        let give = async |shown: Shown| match shown {
            Shown::Sample(sample) => {
                measured.push(sample.measure(&opened.inspection, gram).await);
                ControlFlow::Continue(())
            }
            Shown::Blocks(done) if done <= stops => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let outcome = block_on(session.execute(opened, &mut standing, give)).unwrap();
        if outcome.stopped.is_none() {
            return collect(block_on(session.result(measured, outcome, 1.0)), None).unwrap();
        }
        assert!(standing.stream.is_empty() || !session.needs_scratch(), "the stream is in memory too");
    }
}

fn disk() -> Box<dyn Scratch> {
    Box::new(DiskScratch::new(tempfile::tempfile().unwrap()))
}

#[test]
fn a_report_of_a_run_in_parts_is_that_of_the_whole_run() {
    for (sample, tokens) in
        [("samples/layernorm", 640), ("samples/rmsnorm", 640), ("samples/vit-rmsnorm", 600)]
    {
        let opened = opened(sample);
        let whole = Request { extent: Extent { tokens: Some(tokens), ..Extent::default() }, ..usual() };
        let plan = planned(&opened, &whole).unwrap();
        let memory = plan.memory_of_site + plan.memory - 1;
        let little = Request { memory: Some(memory), ..whole.clone() };
        let in_parts = planned(&opened, &little).unwrap();
        assert_eq!((plan.parts, plan.scratch), (1, 0));
        assert!(in_parts.parts > 1 && in_parts.scratch > 0, "{sample}: {in_parts:?}");
        assert!(in_parts.memory + in_parts.memory_of_site <= memory, "{sample}: {in_parts:?}");
        let session = block_on(Session::new(&opened, &whole)).unwrap();
        assert!(!session.needs_scratch());
        let expected = run(&session, &opened, 0);
        for stops in [0, 3] {
            let session = block_on(Session::new(&opened, &little)).unwrap().with_scratch(disk());
            assert!(session.needs_scratch());
            same_report(
                &run(&session, &opened, stops).0,
                &expected.0,
                &format!("{sample}, stopped {stops} times"),
            );
        }
    }
}

/// Compares what two runs found, up to rounding. A depth at the floor is rounding itself.
fn same_report(found: &Verification, expected: &Verification, what: &str) {
    let sites = |of: &Verification| -> Vec<_> {
        of.sites.iter().map(|site| (site.name.clone(), site.tokens, site.verdict)).collect()
    };
    assert_eq!(sites(found), sites(expected), "{what}");
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b.abs();
    for (a, b) in found.sites.iter().zip(&expected.sites) {
        assert!(close(a.mean_variance, b.mean_variance), "{what}, {}: {a:?}, {b:?}", a.name);
        let floor = b.depth_scale_free.unwrap_or_default() < 1e-12;
        let [one, other] = [a, b].map(|site| site.depth_scale_free.unwrap_or_default());
        assert!(close(one, other) || floor && one < 1e-12, "{what}, {}: {one}, {other}", a.name);
    }
    assert_eq!(found.residual.len(), expected.residual.len(), "{what}");
    for (a, b) in found.residual.iter().zip(&expected.residual) {
        assert!(close(a.sigma_min, b.sigma_min), "{what}, {a:?}, {b:?}");
    }
    assert_eq!(found.falls.len(), expected.falls.len(), "{what}");
    assert_eq!(found.loss.map(|loss| loss.tokens), expected.loss.map(|loss| loss.tokens), "{what}");
    for (a, b) in found.loss.iter().zip(&expected.loss) {
        assert!(close(a.layernorm, b.layernorm) && close(a.rmsnorm, b.rmsnorm), "{what}: {a:?}, {b:?}");
    }
}

#[test]
fn models_of_35_billion_parameters_fit_into_the_memory_of_a_laptop() {
    // Two bytes for each parameter.
    for (name, model, whole) in
        [("qwen3.5-35b-a3b", 69_300_000_000, true), ("gemma-4-31b", 61_400_000_000, false)]
    {
        let config = DiskSource::open(&folder("docs/paper").join(name).join("config.json"), "config.json");
        let sources = block_on(twin(vec![config.unwrap()], 1)).unwrap();
        let opened = block_on(gammascope::inspect::open(sources, |_| {})).unwrap();
        let laptop = 8_000_000_000;
        let request = Request { memory: Some(laptop), ..usual() };
        let plan = planned(&opened, &request).unwrap();
        let takes = plan.memory + plan.memory_of_site;
        assert!(takes <= laptop && takes * 10 < model * 3, "{name}: {plan:?}");
        assert_eq!([plan.parts == 1, plan.scratch == 0], [whole; 2], "{name}: {plan:?}");
        assert!(!plan.warnings.iter().any(|warning| warning.code == WarningCode::MemoryTooSmall), "{plan:?}");
        // A machine with more memory runs all tokens at once.
        let largest = plan.machines.last().unwrap();
        assert!(largest.fits && largest.parts == 1, "{name}: {largest:?}");
    }
}

/// Fails after some writes.
#[derive(Debug)]
struct Full(usize, Box<dyn Scratch>);

impl Scratch for Full {
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), ScratchError> {
        if self.0 == 0 {
            let reason = "No space left on device".to_owned();
            return Err(ScratchError::Write { bytes: bytes.len() as u64, reason });
        }
        self.0 -= 1;
        self.1.write(at, bytes)
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), ScratchError> {
        self.1.read(at, bytes)
    }
}

#[test]
fn a_full_disk_ends_a_run_with_a_sentence() {
    let opened = opened("samples/layernorm");
    let extent = Extent { tokens: Some(640), ..Extent::default() };
    let plan = planned(&opened, &Request { extent, ..usual() }).unwrap();
    let memory = Some(plan.memory_of_site + plan.memory - 1);
    for writes in [0, 1, 9] {
        let session = block_on(Session::new(&opened, &Request { extent, memory, ..usual() })).unwrap();
        let session = session.with_scratch(Box::new(Full(writes, disk())));
        let give = async |_: Shown| ControlFlow::Continue(());
        let failed =
            block_on(session.execute(&opened, &mut Standing::default(), give)).unwrap_err().to_string();
        let expected = "could not be written to the temporary file (No space left on device): make room on the disk, or run fewer tokens";
        assert!(failed.ends_with(expected), "{failed}");
    }
}

#[test]
fn a_run_that_fits_in_no_way_says_so() {
    let opened = opened("samples/layernorm");
    let extent = Extent { tokens: Some(640), ..Extent::default() };
    let plan = planned(&opened, &Request { extent, memory: Some(1_000_000), ..usual() }).unwrap();
    let warning = plan.warnings.iter().find(|warning| warning.code == WarningCode::MemoryTooSmall).unwrap();
    assert!(warning.message.contains("and may take 1 MB: run fewer tokens"), "{}", warning.message);
    assert_eq!(plan.parts, plan.sequences);
}
