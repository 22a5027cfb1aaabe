//! The effect of moving a reader along a direction on the model's function, over the size of the move.

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint};
use super::number::counted;
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::report::{Preservation, PreservationDirection, PreservationMeasure, PreservationVerdict};

/// Draws a line for every site and direction of `rows`, which share one measure, and the highest rounding floor.
pub fn preservation(rows: &[Preservation], size: Size) -> Result<Figure, PlotError> {
    let Some(first) = rows.iter().find(|row| !row.points.is_empty()) else {
        return Err(PlotError::Empty("no reader was moved"));
    };
    let measure = first.measure;
    let size = size.legible(1, false);
    let one = rows.iter().all(|row| row.site == first.site);
    let title = match one {
        true => format!("Function preservation at {}", first.site),
        false => "Function preservation".to_owned(),
    };
    let caption = caption(rows, measure);
    let source = format!("{} moved · Gammascope", counted(sites(rows), "reader"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = draw(canvas, rows, measure)?;
        Ok(())
    })?;
    let (kind, width, height) = (FigureKind::Preservation, size.width, size.height);
    Ok(Figure { kind, title, caption, width, height, svg, marks, table: table(rows) })
}

/// Number of readers. Each has one random direction.
fn sites(rows: &[Preservation]) -> usize {
    rows.iter().filter(|row| row.direction == PreservationDirection::Random).count()
}

fn caption(rows: &[Preservation], measure: PreservationMeasure) -> String {
    let what = match measure {
        PreservationMeasure::Divergence => "Divergence KL(p‖p_t) of token distributions",
        PreservationMeasure::RelativeChange => "Relative change of the last hidden states",
    };
    let of_kernel = || rows.iter().filter(|row| row.direction == PreservationDirection::Kernel);
    let preserved = of_kernel().filter(|row| row.verdict == PreservationVerdict::Preserved).count();
    let all = of_kernel().count();
    let outside = of_kernel().filter(|row| !row.in_kernel).count();
    let outside = match outside {
        0 => String::new(),
        some => format!(
            " At {} the norm does not subtract the mean, so γ⁻¹ is no kernel and is not expected to be dead.",
            counted(some, "reader")
        ),
    };
    format!(
        "{what} when a reader W becomes W + t a vᵀ, with ‖a vᵀ‖ = ‖W‖. Along the predicted direction only rounding changes, at any t, at {preserved} of {}.{outside}",
        counted(all, "reader")
    )
}

/// Text of the legend.
fn words(direction: PreservationDirection) -> &'static str {
    match direction {
        PreservationDirection::Kernel => "v, bias moved",
        PreservationDirection::KernelBiasKept => "v, bias kept",
        PreservationDirection::Random => "random",
    }
}

fn ink(direction: PreservationDirection) -> (Glyph, Ink) {
    match direction {
        PreservationDirection::Kernel => (Glyph::Circle, Ink::A),
        PreservationDirection::KernelBiasKept => (Glyph::Ring, Ink::C),
        PreservationDirection::Random => (Glyph::Square, Ink::B),
    }
}

/// One row for each site, direction and t.
fn table(rows: &[Preservation]) -> Table {
    let mut table = Table::new(&[
        ("site", ""),
        ("reader", ""),
        ("direction", ""),
        ("t", ""),
        ("divergence", "nats"),
        ("relative change", ""),
        ("floor", ""),
        ("exponent", ""),
        ("verdict", ""),
    ]);
    for row in rows {
        for point in &row.points {
            let of = |measure| Cell::from((row.measure == measure).then_some(point.value));
            table.rows.push(vec![
                Cell::from(row.site.as_str()),
                Cell::from(row.reader.as_str()),
                Cell::from(words(row.direction)),
                Cell::from(point.t),
                of(PreservationMeasure::Divergence),
                of(PreservationMeasure::RelativeChange),
                Cell::from(row.floor),
                Cell::from(row.exponent),
                Cell::from(match row.verdict {
                    PreservationVerdict::Preserved => "preserved",
                    PreservationVerdict::Changed => "changed",
                }),
            ]);
        }
    }
    table
}

fn draw(
    canvas: &Canvas<'_>,
    rows: &[Preservation],
    measure: PreservationMeasure,
) -> Result<Vec<Mark>, PlotError> {
    let points = || rows.iter().flat_map(|row| &row.points);
    let floor = rows.iter().map(|row| row.floor).fold(0.0, f64::max);
    let shown = || points().map(|point| point.value).chain([floor]).filter(|value| *value > 0.0);
    let (low, high) = (shown().fold(f64::INFINITY, f64::min), shown().fold(0.0, f64::max));
    let (low, high) = if low < high { (low, high) } else { (1e-15, 1.0) };
    let off = points().any(|point| point.value < low);
    let directions =
        [PreservationDirection::Kernel, PreservationDirection::KernelBiasKept, PreservationDirection::Random];
    let drawn = directions.iter().filter(|direction| rows.iter().any(|row| row.direction == **direction));
    let legend = drawn.map(|&direction| {
        let (glyph, ink) = ink(direction);
        Entry { glyph, ink, text: words(direction).to_owned() }
    });
    let most = points().map(|point| point.t).fold(0.0, f64::max);
    let least = points().map(|point| point.t).fold(most, f64::min);
    let plan = Plan {
        frame: canvas.frame(),
        heading: match measure {
            PreservationMeasure::Divergence => "KL(p‖p_t), nats a token, log scale",
            PreservationMeasure::RelativeChange => "‖h_t − h‖/‖h‖, log scale",
        },
        legend: legend.collect(),
        x_title: "t = size of the move over ‖W‖, log scale",
        x: Axis::logarithmic(least, most),
        y: Axis::logarithmic(low, high).with_foot(off.then(|| "≈0".to_owned())).with_head(6.0),
        left: None,
    };
    let panel = Panel::new(canvas, plan)?;
    if floor > 0.0 {
        panel.level(floor, Ink::Danger.solid())?;
    }
    let mut marks = Vec::new();
    let mut number = 0;
    for row in rows {
        let (glyph, ink) = ink(row.direction);
        let places: Vec<_> = row.points.iter().map(|point| panel.place(point.t, point.value)).collect();
        canvas.line(places.clone(), 1.0, ink.at(0.6))?;
        for at in places {
            canvas.glyph(glyph, at, 3.0, ink.solid())?;
            if marks.len() < MOST_MARKS {
                marks.push(mark(at, number));
            }
            number += 1;
        }
    }
    if floor > 0.0 {
        let at = (panel.lower_right().0, panel.place(most, floor).1);
        panel.note_on_plate("rounding below", at, super::panel::Side::AboveEnding, Ink::Danger)?;
    }
    Ok(marks)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::{NormKind, PreservationPoint};

    /// Sites whose predicted direction is dead and whose other two directions are not.
    pub(in crate::plot) fn rows(sites: usize, measure: PreservationMeasure, dead: f64) -> Vec<Preservation> {
        let row = |site: usize, direction, values: [f64; 3]| Preservation {
            site: format!("transformer.h.{site}.ln_1"),
            reader: format!("transformer.h.{site}.attn.c_attn.weight"),
            tied: false,
            kind: NormKind::LayerNorm,
            direction,
            in_kernel: direction != PreservationDirection::Random,
            constant: 0.1,
            measure,
            points: [1e-2, 1e-1, 1.0]
                .into_iter()
                .zip(values)
                .map(|(t, value)| PreservationPoint { t, value })
                .collect(),
            floor: 100.0 * dead,
            exponent: None,
            verdict: if direction == PreservationDirection::Kernel {
                PreservationVerdict::Preserved
            } else {
                PreservationVerdict::Changed
            },
        };
        (0..sites)
            .flat_map(|site| {
                [
                    row(site, PreservationDirection::Kernel, [dead; 3]),
                    row(site, PreservationDirection::KernelBiasKept, [1e-7, 1e-5, 1e-3]),
                    row(site, PreservationDirection::Random, [1e-5, 1e-3, 0.1]),
                ]
            })
            .collect()
    }

    #[test]
    fn every_value_has_a_row_and_the_caption_counts_what_is_preserved() {
        let rows = rows(2, PreservationMeasure::Divergence, 5e-14);
        let figure = preservation(&rows, Size { width: 720, height: 0 }).unwrap();
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (18, 18));
        assert!(figure.caption.contains("at 2 of 2 readers."), "{}", figure.caption);
        assert!(figure.svg.contains("rounding below"));
        let one = preservation(&rows[..3], Size { width: 720, height: 0 }).unwrap();
        assert_eq!(one.title, "Function preservation at transformer.h.0.ln_1");
    }

    #[test]
    fn a_direction_in_no_kernel_is_described_as_such() {
        let mut rows = rows(1, PreservationMeasure::RelativeChange, 2e-7);
        rows[0].in_kernel = false;
        rows[0].verdict = PreservationVerdict::Changed;
        let figure = preservation(&rows, Size { width: 720, height: 0 }).unwrap();
        assert!(
            figure.caption.contains("at 0 of 1 reader. At 1 reader the norm does not subtract the mean"),
            "{}",
            figure.caption
        );
    }

    #[test]
    fn nothing_moved_is_an_error() {
        assert!(preservation(&[], Size { width: 720, height: 0 }).is_err());
    }
}
