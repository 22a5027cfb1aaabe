//! What moving readers does to the function, as a table.

use super::grid::{self, Grid, text};
use super::measure::exponent;
use super::screen::Screen;
use super::{like, summary};
use gammascope::report::{
    Preservation, PreservationDirection, PreservationMeasure, PreservationVerdict, Verification,
};
use std::io::{self, Write};

/// Writes a row for each site (or sites of like name) and direction. Writes nothing if no reader was moved.
pub(crate) fn table(out: &mut Screen<impl Write>, verification: &Verification, all: bool) -> io::Result<()> {
    let moved = &verification.preservation;
    let Some(first) = moved.first() else { return Ok(()) };
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
    let columns =
        [text("along", 0), text("function", 1), grid::number("rounding", 3), grid::number("exponent", 4)];
    let mut grid = Grid::new("norm site", &columns);
    for (at, point) in first.points.iter().enumerate() {
        // The largest step shows the most.
        let order = if at + 1 == first.points.len() { 2 } else { 5 };
        grid.add_column(format!("t = {}", point.t), order);
    }
    let names: Vec<String> = moved.iter().map(|row| summary::printable(&row.site)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for row in like::rows(&names, |at| (along(&moved[at]), verdict(&moved[at])), all) {
        let alike: Vec<&Preservation> = row.places.iter().map(|&at| &moved[at]).collect();
        let mut cells = vec![
            along(alike[0]).to_owned(),
            verdict(alike[0]).to_owned(),
            like::range(alike.iter().map(|row| Some(row.floor)), exponent),
            like::range(alike.iter().map(|row| row.exponent), |exponent| format!("{exponent:.2}")),
        ];
        cells.extend((0..first.points.len()).map(|at| {
            like::range(alike.iter().map(|row| row.points.get(at).map(|point| point.value)), exponent)
        }));
        grid.row(row.name, cells);
    }
    grid.write(out)
}

fn along(row: &Preservation) -> &'static str {
    match row.direction {
        PreservationDirection::Kernel if row.in_kernel => "the kernel",
        PreservationDirection::Kernel => "γ⁻¹, in no kernel",
        PreservationDirection::KernelBiasKept => "it, bias kept",
        PreservationDirection::Random => "a random direction",
    }
}

fn verdict(row: &Preservation) -> &'static str {
    match row.verdict {
        PreservationVerdict::Preserved => "preserved",
        PreservationVerdict::Changed => "changed",
    }
}
