//! Runs of small models on the CPU, in the test itself.

use gammascope::forward::Standing;
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

/// Every norm on the CPU, on noise and uniform ids.
pub(crate) fn usual() -> Request {
    let (extent, sites, on) = (Extent::default(), Sites::All, Wanted::Cpu);
    Request { extent, sites, choice: None, pixels: None, sounds: None, preservation: false, on }
}

/// What a run would take, or why it is refused.
pub(crate) fn planned<S: ByteSource>(opened: &Opened<S>, request: &Request) -> Result<RunPlan, String> {
    let session = block_on(Session::new(opened, request)).map_err(|error| error.to_string())?;
    block_on(session.plan(opened, || 0.0)).map_err(|error| error.to_string())
}

/// The result of a run that is stopped after each of so many blocks, and goes on.
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
