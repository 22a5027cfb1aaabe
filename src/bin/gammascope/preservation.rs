//! What moving readers does to the function, as a table.

use crate::measure::{align_numbers, number};
use crate::summary;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use gammascope::report::{PreservationDirection, PreservationMeasure, PreservationVerdict, Verification};
use std::io::{self, Write};

/// A row a site and direction; nothing where no reader was moved.
pub(crate) fn table(out: &mut impl Write, verification: &Verification) -> io::Result<()> {
    let rows = &verification.preservation;
    let Some(first) = rows.first() else { return Ok(()) };
    let measure = match first.measure {
        PreservationMeasure::Divergence => "KL in nats",
        PreservationMeasure::RelativeChange => "relative change of the last hidden states",
    };
    writeln!(
        out,
        "\n{}Readers changed to W + t a vᵀ: {measure} over t{:#}",
        summary::STRONG,
        summary::STRONG
    )?;
    let mut header = vec!["norm site".to_owned(), "along".to_owned(), "function".to_owned()];
    header.extend(first.points.iter().map(|point| format!("t = {}", point.t)));
    header.extend(["rounding".to_owned(), "exponent".to_owned()]);
    let columns = header.len();
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for row in rows {
        let along = match row.direction {
            PreservationDirection::Kernel if row.in_kernel => "the kernel",
            PreservationDirection::Kernel => "γ⁻¹, in no kernel",
            PreservationDirection::KernelBiasKept => "it, bias kept",
            PreservationDirection::Random => "a random direction",
        };
        let verdict = match row.verdict {
            PreservationVerdict::Preserved => "preserved",
            PreservationVerdict::Changed => "changed",
        };
        let mut cells = vec![summary::printable(&row.site), along.to_owned(), verdict.to_owned()];
        cells.extend(row.points.iter().map(|point| number(Some(point.value))));
        cells.push(number(Some(row.floor)));
        cells.push(row.exponent.map_or("–".to_owned(), |exponent| format!("{exponent:.2}")));
        table.add_row(cells);
    }
    align_numbers(&mut table, 3..=columns - 1);
    writeln!(out, "\n{}", table.trim_fmt())
}
