//! `gammascope verify --plan`: what a run would take, without running it.

use crate::args::Verify;
use crate::screen::{self, Screen};
use crate::{leave, print_json, summary};
use gammascope::report::StackSummary;
use gammascope::report::plan::RunPlan;
use indicatif::{DecimalBytes, HumanDuration};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn show(plan: &RunPlan, options: &Verify) -> ExitCode {
    let written = if options.json { print_json(plan) } else { table(&mut screen::stdout(), plan) };
    leave(written, options.strict && !plan.warnings.is_empty())
}

fn table(out: &mut Screen<impl Write>, plan: &RunPlan) -> io::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let measuring = plan.measuring_seconds / threads as f64;
    let of = if plan.left_out > 0 { format!(" of {}", plan.blocks + plan.left_out) } else { String::new() };
    writeln!(
        out,
        "{} of {} through {}{of} blocks of `{}`, {} norms measured.",
        sequences(&plan.stacks, [plan.sequences, plan.length]),
        summary::printable(&plan.input),
        plan.blocks,
        summary::printable(&plan.family),
        plan.sites,
    )?;
    out.labelled("To read       ", &DecimalBytes(plan.bytes).to_string())?;
    out.labelled("Operations    ", &format!("{:.2e}", plan.operations))?;
    let (memory, of_site) = (DecimalBytes(plan.memory), DecimalBytes(plan.memory_of_site));
    let norms = if threads == 1 {
        "the norm that is".to_owned()
    } else {
        format!("each of {threads} norms that are")
    };
    out.labelled("Memory        ", &format!("{memory}, and {of_site} for {norms} measured at once"))?;
    let time = format!(
        "about {}: {} of running on {}, {} of measuring on {} by {threads} threads",
        duration(plan.pass_seconds + measuring),
        duration(plan.pass_seconds),
        summary::printable(&plan.device),
        duration(measuring),
        summary::printable(&plan.gram_device),
    );
    out.labelled("Time          ", &time)?;
    for warning in &plan.warnings {
        summary::warning(out, warning)?;
    }
    Ok(())
}

/// Says how many sequences of how many tokens run, for each stack if there are two.
pub(crate) fn sequences(stacks: &[StackSummary], own: [u64; 2]) -> String {
    let of = |[sequences, length]: [u64; 2]| {
        format!("{sequences} sequence{} of {length} tokens", if sequences == 1 { "" } else { "s" })
    };
    if stacks.is_empty() {
        return of(own);
    }
    let of_stack =
        |one: &StackSummary| format!("{} in the {}", of([one.sequences, one.length]), one.stack.text());
    stacks.iter().map(of_stack).collect::<Vec<_>>().join(" and ")
}

fn duration(seconds: f64) -> String {
    // With a broken clock the number is not a valid time.
    Duration::try_from_secs_f64(seconds).map_or("an unknown time".to_owned(), |time| {
        if seconds < 10.0 { format!("{seconds:.1} s") } else { HumanDuration(time).to_string() }
    })
}
