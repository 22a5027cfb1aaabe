//! What stands out in a report, for a person at a terminal.

use super::summary::{QUIET, STRONG, printable};
use gammascope::report::Report;
use std::io::{self, Write};

/// Findings that a summary shows. The report as JSON has all.
const SHOWN: usize = 6;

/// Writes the findings, each with what to do about it. Writes nothing if nothing stands out.
pub(crate) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{STRONG}What stands out{STRONG:#}")?;
    for finding in report.findings.iter().take(SHOWN) {
        writeln!(out, "  • {}", printable(&finding.text))?;
        writeln!(out, "    {QUIET}{}{QUIET:#}", printable(&finding.advice))?;
    }
    if report.findings.len() > SHOWN {
        writeln!(out, "  {QUIET}… and {} more (--json has them){QUIET:#}", report.findings.len() - SHOWN)?;
    }
    Ok(())
}
