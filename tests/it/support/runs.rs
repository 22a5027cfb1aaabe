//! Runs small models in a test.

use gammascope::forward::kernels::Kernels;
use gammascope::forward::{Pass, Seen, Standing};
use gammascope::inspect::Opened;
use gammascope::measure::gram::Gridded;
use gammascope::report::plan::RunPlan;
use gammascope::report::{Verification, Warning};
use gammascope::run::device::Wanted;
use gammascope::run::execute::Shown;
use gammascope::run::pass::{Measured, Sites};
use gammascope::run::planned::Extent;
use gammascope::run::session::{Request, Session, collect};
use gammascope::source::ByteSource;
use gammascope::text::Choice;
use pollster::block_on;
use std::ops::ControlFlow;

/// A request that measures every norm on the CPU, on noise and uniform ids.
pub(crate) fn usual() -> Request {
    let (extent, sites, on) = (Extent::default(), Sites::All, Wanted::Cpu);
    let (memory, threads) = (None, 1);
    Request {
        extent,
        sites,
        choice: None,
        pixels: None,
        sounds: None,
        preservation: false,
        assume: Vec::new(),
        on,
        memory,
        threads,
    }
}

/// Returns the plan of a run, or why it is refused.
pub(crate) fn planned<S: ByteSource>(opened: &Opened<S>, request: &Request) -> Result<RunPlan, String> {
    let session = block_on(Session::new(opened, request)).map_err(|error| error.to_string())?;
    block_on(session.plan(opened, || 0.0)).map_err(|error| error.to_string())
}

/// Returns the result of a run that stops after each of the first `stops` blocks and goes on.
pub(crate) fn verified<S: ByteSource>(
    opened: &Opened<S>,
    request: &Request,
    stops: usize,
) -> (Verification, Vec<Warning>) {
    let session = block_on(Session::new(opened, request)).unwrap();
    let gram = async |gridded: &Gridded| gridded.gram();
    let (mut standing, mut measured): (_, Vec<Measured>) = (Standing::default(), Vec::new());
    loop {
        let mut give = async |shown: Shown| match shown {
            Shown::Sample(sample) => {
                measured.push(sample.measure(&opened.inspection, gram).await);
                ControlFlow::Continue(())
            }
            Shown::Blocks(done) if done <= stops => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let outcome = block_on(session.execute(opened, &mut standing, &mut give)).unwrap();
        if outcome.stopped.is_none() {
            return collect(block_on(session.result(measured, outcome, 1.0)), None).unwrap();
        }
    }
}

/// A list of token ids, as a file.
pub(crate) fn ids(text: &str) -> Choice {
    Choice::Ids { name: "ids.txt".to_owned(), bytes: text.as_bytes().to_vec() }
}

/// Runs a pass, and resumes it after every block. The last hidden states must be the same. `blocks` are those of its encoder, and all.
pub(crate) fn goes_on_from_each_block<S: ByteSource, K: Kernels>(
    pass: &Pass<'_, S, K>,
    kernels: &K,
    [of_encoder, blocks]: [usize; 2],
) {
    let (mut standing, mut all) = (Standing::default(), Vec::new());
    let mut visit = async |seen: Seen<'_>| {
        if let Seen::Block { index, state, lent, .. } = seen {
            standing.after(index, state, lent, of_encoder);
            all.push(standing.clone());
        }
    };
    let hidden = block_on(async { kernels.get(&pass.run(&mut visit).await.unwrap()).await.unwrap() });
    assert!(all.iter().map(|standing| standing.blocks).eq(1..=blocks));
    for standing in all {
        let done = standing.blocks;
        let mut left = Vec::new();
        let mut visit = async |seen: Seen<'_>| {
            if let Seen::Block { index, .. } = seen {
                left.push(index);
            }
        };
        let again =
            block_on(async { kernels.get(&pass.resume(standing, &mut visit).await.unwrap()).await.unwrap() });
        assert_eq!(again, hidden, "from block {done} on");
        assert_eq!(left, (done..blocks).collect::<Vec<_>>());
    }
}
