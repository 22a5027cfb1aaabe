//! `gammascope verify --plan`: what a run would take, without running it.

use super::args::Verify;
use super::screen::{self, Screen};
use super::{leave, print_json, summary};
use gammascope::report::StackSummary;
use gammascope::report::plan::{MachinePlan, RunPlan};
use indicatif::{DecimalBytes, HumanDuration};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn show(plan: &RunPlan, options: &Verify) -> ExitCode {
    let written = if options.json { print_json(plan) } else { table(&mut screen::stdout(), plan) };
    leave(written, options.strict && !plan.warnings.is_empty())
}

fn table(out: &mut Screen<impl Write>, plan: &RunPlan) -> io::Result<()> {
    let threads = plan.measured_at_once.max(1);
    let measuring = plan.measuring_seconds / threads as f64;
    let of = if plan.left_out > 0 { format!(" of {}", plan.blocks + plan.left_out) } else { String::new() };
    writeln!(
        out,
        "This run sends {} of {} through {}{of} blocks of `{}` and measures {} norms.",
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
    if plan.parts > 1 {
        let scratch = DecimalBytes(plan.scratch);
        out.labelled(
            "Parts         ",
            &format!("{}, because all tokens at once do not fit; {scratch} in a temporary file", plan.parts),
        )?;
    }
    let time = format!(
        "about {}: {} of running on {}, {} of measuring on {} by {threads} thread{}",
        range(plan.seconds[0], plan.seconds[1]),
        range(plan.least_pass_seconds, plan.pass_seconds),
        summary::printable(&plan.device),
        duration(measuring),
        summary::printable(&plan.gram_device),
        if threads == 1 { "" } else { "s" },
    );
    out.labelled("Time          ", &time)?;
    if plan.least_pass_seconds < plan.pass_seconds {
        writeln!(out, "The shorter time holds if the first tokens decide the kind by loss.")?;
    }
    writeln!(out, "\nOn other machines (estimates):")?;
    for MachinePlan { name, memory, fits, parts, scratch, seconds: [least, most] } in &plan.machines {
        let memory = DecimalBytes(*memory);
        let cut = match (fits, parts) {
            (false, _) => ", which does not fit".to_owned(),
            (true, 1) => String::new(),
            (true, _) => format!(" in {parts} parts, with {} on disk", DecimalBytes(*scratch)),
        };
        writeln!(out, "  {name}: {memory}{cut}, about {}.", range(*least, *most))?;
    }
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

/// Says the least and the most seconds, as one if they read the same.
fn range(least: f64, most: f64) -> String {
    let [least, most] = [least, most].map(duration);
    if least == most { most } else { format!("{least} to {most}") }
}

fn duration(seconds: f64) -> String {
    // With a broken clock the number is not a valid time.
    Duration::try_from_secs_f64(seconds).map_or("an unknown time".to_owned(), |time| {
        if seconds < 10.0 { format!("{seconds:.1} s") } else { HumanDuration(time).to_string() }
    })
}
