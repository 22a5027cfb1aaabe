//! The spectrum that one site's scale predicts.

use super::axis::{Axis, decades};
use super::canvas::{Canvas, Glyph, Point, Words, paint, readable};
use super::number::{counted, grouped, short};
use super::palette::Ink;
use super::panel::{Entry, Notes, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, Mark, PlotError, Size};
use crate::kernel::spectrum::{IsotropicSpectrum, LOWEST, TAU, ranks};
use crate::report::Eigenvalue;

/// Eigenvalues below this × mean are drawn at the foot: compared with τ they are rounding.
const SHOWN_FROM: f64 = 1e-12;

/// Draws the predicted eigenvalues μₖ over their mean by rank, with the line τ below which a direction is predicted dead. Exact zeros are
/// at the foot. A site wider than 400 is sampled at the lowest 40 ranks and at ranks that then grow by a twentieth each. Eigenvalues
/// `measured` at this site are rings, with the floor of f64's own rounding.
pub fn soft_spectrum(
    site: &str,
    spectrum: &IsotropicSpectrum,
    measured: &[Eigenvalue],
    size: Size,
) -> Result<Figure, PlotError> {
    let soft = Soft::new(spectrum, measured)?;
    let size = size.legible(1, false);
    let name = readable(site);
    let word = if soft.measured.is_empty() { "Predicted" } else { "Predicted and measured" };
    let title = format!("{word} spectrum of {name}");
    let caption = soft.caption();
    let source = format!("{name} · d = {} · Gammascope", grouped(soft.width as f64));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = soft.draw(canvas)?;
        Ok(())
    })?;
    let table = soft.table();
    let (width, height) = (size.width, size.height);
    Ok(Figure { kind: FigureKind::SoftSpectrum, title, caption, width, height, svg, marks, table })
}

struct Soft {
    width: usize,
    /// (rank from 0, μ, μ/mean).
    sampled: Vec<(usize, f64, f64)>,
    below_tau: usize,
    zeros: usize,
    /// Measured (rank from 0, λ/mean). Empty if nothing was measured.
    measured: Vec<(usize, f64)>,
    /// λ/mean below which measured eigenvalues are f64's rounding.
    floor: f64,
}

impl Soft {
    fn new(spectrum: &IsotropicSpectrum, measured: &[Eigenvalue]) -> Result<Self, PlotError> {
        let width = spectrum.width();
        if width == 0 {
            return Err(PlotError::Empty("the spectrum has no eigenvalues"));
        }
        let mean = spectrum.mean();
        // If the mean is zero, the covariance is zero.
        let relative = |value: f64| if mean > 0.0 { value / mean } else { 0.0 };
        let evaluate = |rank: usize| {
            let value = spectrum.eigenvalue(rank);
            (rank, value, relative(value))
        };
        let sampled: Vec<_> = ranks(width).into_iter().map(evaluate).collect();
        // Ascending, so the zeros come first. Bisection finds their number, because not every rank is sampled.
        let (mut zeros, mut beyond) = (0, width);
        while zeros < beyond {
            let middle = zeros + (beyond - zeros) / 2;
            if spectrum.eigenvalue(middle) > 0.0 { beyond = middle } else { zeros = middle + 1 }
        }
        let largest = measured.last().map_or(0.0, |last| last.value);
        Ok(Self {
            width,
            sampled,
            below_tau: spectrum.count_below(TAU),
            zeros,
            measured: measured.iter().map(|at| (at.rank as usize, at.value)).collect(),
            floor: Eigenvalue::RESOLVED * largest,
        })
    }

    fn caption(&self) -> String {
        let zeros = match self.zeros {
            0 => "none exactly zero".to_owned(),
            some => format!("{} exactly zero", grouped(some as f64)),
        };
        let sampled = if self.sampled.len() < self.width {
            format!(
                " Sampled at {} of {} ranks, the lowest {LOWEST} among them; the counts are of all.",
                grouped(self.sampled.len() as f64),
                grouped(self.width as f64)
            )
        } else {
            String::new()
        };
        let beside = if self.measured.is_empty() {
            String::new()
        } else {
            format!(
                " Rings are as measured; below {:.0e} of the mean they are f64's rounding, and depth is what counts.",
                self.floor
            )
        };
        format!(
            "Eigenvalues of the output's covariance, predicted from γ alone for an isotropic normalised input. \
             Of {}, {} below τ = {} of the mean, {zeros}.{sampled}{beside}",
            counted(self.width, "direction"),
            grouped(self.below_tau as f64),
            short(TAU)
        )
    }

    /// One row for each sampled rank.
    fn table(&self) -> Table {
        let mut columns = vec![("rank k", ""), ("μₖ", "γ²"), ("μₖ / mean", ""), ("class", "")];
        if !self.measured.is_empty() {
            columns.push(("measured λₖ / mean", ""));
        }
        let mut table = Table::new(&columns);
        let rows = self.sampled.iter();
        table.rows = rows
            .map(|&(rank, value, relative)| {
                let class = match relative {
                    0.0 => Cell::from("exactly zero"),
                    relative if relative < TAU => Cell::from("below τ"),
                    _ => Cell::Empty,
                };
                let mut row = vec![Cell::from(rank + 1), Cell::from(value), Cell::from(relative), class];
                if !self.measured.is_empty() {
                    let same = self.measured.iter().find(|(measured, _)| *measured == rank);
                    row.push(Cell::from(same.map(|&(_, value)| value)));
                }
                row
            })
            .collect();
        table
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        let d = self.width as f64;
        let positive =
            || self.sampled.iter().map(|&(_, _, relative)| relative).filter(|&relative| relative > 0.0);
        let seen = || self.measured.iter().map(|&(_, value)| value).filter(|&value| value > self.floor);
        let high = positive().chain(seen()).fold(1.0, f64::max);
        let lowest = positive().chain(seen()).fold(high, f64::min);
        // Room below the line for its note. A foot already has that room.
        let least = if self.zeros == 0 { 0.01 * TAU } else { TAU };
        // If τ were on it, more than half of the axis would be empty.
        let off_axis = self.zeros == 0
            && self.measured.iter().all(|&(_, value)| value > self.floor)
            && 2.0 * (decades(high) - decades(lowest)) < decades(high) - decades(least);
        let low = if off_axis { lowest } else { lowest.min(least).max(SHOWN_FROM) };
        let off_scale = positive().any(|relative| relative < low);
        let sunk = self.measured.iter().any(|&(_, value)| value < low || value <= self.floor);
        let foot = match (off_scale, self.zeros) {
            (true, _) => Some("<1e-12".to_owned()),
            (false, 0) if sunk => Some("≈0".to_owned()),
            (false, 0) => None,
            (false, _) => Some("0".to_owned()),
        };
        let entry = |glyph, ink, text: &str| Entry { glyph, ink, text: text.to_owned() };
        let mut legend = Vec::new();
        if self.zeros > 0 {
            legend.push(entry(Glyph::Cross, Ink::Danger, "exactly zero"));
        }
        if off_scale {
            legend.push(entry(Glyph::Down, Ink::Danger, "below 1e-12"));
        }
        if !self.measured.is_empty() {
            legend.push(entry(Glyph::Circle, Ink::A, "predicted"));
            legend.push(entry(Glyph::Ring, Ink::B, "measured"));
        }
        let x = if self.width < 10 {
            Axis::whole(0.5, d + 0.5)
        } else {
            Axis::logarithmic(1.0, d).tight(0.85, d * 1.1)
        };
        let y = Axis::logarithmic(low, high);
        let top = y.high();
        let y = if off_scale { y.tight(low, top) } else { y };
        let y = y.with_foot(foot).with_head(4.0);
        let panel = Panel::new(
            canvas,
            Plan {
                frame: canvas.frame(),
                heading: "μₖ / mean, log scale",
                legend,
                x_title: "rank k, softest first",
                x,
                y,
                left: None,
            },
        )?;
        let (end, foot_of_panel) = panel.lower_right();
        let mut notes = Notes::new(&panel);
        let count = format!("{} of {} below τ", grouped(self.below_tau as f64), grouped(d));
        if off_axis {
            let count = format!("{count} (off the axis)");
            notes.add(&count, &[((end, foot_of_panel), Side::AboveEnding)], Ink::Danger)?;
        } else {
            let level = panel.place(f64::NAN, TAU).1;
            canvas.block((panel.upper_left().0, level), panel.lower_right(), Ink::Danger.at(0.06))?;
            panel.level(TAU, Ink::Danger.solid())?;
            notes.add(&format!("τ = {}", short(TAU)), &[((end, level), Side::AboveEnding)], Ink::Danger)?;
            notes.add(&count, &[((end, level), Side::BelowEnding)], Ink::Danger)?;
        }

        let place = |&(rank, _, relative): &(usize, f64, f64)| panel.place(rank as f64 + 1.0, relative);
        let points: Vec<Point> = self.sampled.iter().map(place).collect();
        let on_scale = self.sampled.partition_point(|&(_, _, relative)| relative < low);
        canvas.line(points[on_scale..].to_vec(), 1.0, Ink::A.at(0.6))?;
        for (&point, &(_, _, relative)) in points.iter().zip(&self.sampled) {
            if relative == 0.0 {
                canvas.glyph(Glyph::Cross, point, 3.5, Ink::Danger.solid())?;
            } else if relative < low {
                canvas.glyph(Glyph::Down, point, 3.0, Ink::Danger.solid())?;
            } else {
                let ink = if relative < TAU { Ink::Danger } else { Ink::A };
                canvas.dot(point, if self.sampled.len() <= 60 { 2.25 } else { 1.75 }, ink.solid())?;
            }
        }
        for &(rank, value) in &self.measured {
            let at = panel.place(rank as f64 + 1.0, if value > self.floor { value } else { 0.0 });
            canvas.glyph(Glyph::Ring, at, 3.0, Ink::B.solid())?;
        }
        Ok(points.iter().enumerate().map(|(row, &point)| mark(point, row)).collect())
    }
}

#[cfg(test)]
mod tests {

    use super::super::tests::{lognormal, scale, with_one_off};
    use super::*;

    const SIZE: Size = Size { width: 720, height: 0 };

    fn drawn(values: &[f64], subtracts_mean: bool) -> Figure {
        soft_spectrum("norm", &IsotropicSpectrum::new(&scale(values), subtracts_mean), &[], SIZE).unwrap()
    }

    #[test]
    fn a_wide_site_says_that_it_is_sampled() {
        let figure = drawn(&lognormal(1_000, 0.3), true);
        assert!(figure.caption.contains("Sampled at"), "{}", figure.caption);
    }

    #[test]
    fn a_layer_norm_has_one_exact_zero_and_an_rms_norm_none() {
        let values = lognormal(64, 0.3);
        assert!(
            drawn(&values, true)
                .caption
                .ends_with("Of 64 directions, 1 below τ = 1e-6 of the mean, 1 exactly zero.")
        );
        assert!(drawn(&values, false).caption.contains("0 below τ = 1e-6 of the mean, none exactly zero."));
        assert!(!drawn(&values, false).svg.contains("exactly zero\n"), "nothing to explain");
    }

    #[test]
    fn one_tiny_scale_adds_no_direction_to_the_kernel() {
        let figure = drawn(&with_one_off(), true);
        assert!(figure.svg.contains("1 of 384 below τ\n"));
        assert_eq!(figure.table.rows[0][3], Cell::from("exactly zero"));
        assert_eq!(figure.table.rows[1][3], Cell::Empty);
    }

    #[test]
    fn eigenvalues_below_the_axis_differ_from_zeros() {
        let figure = drawn(&[1e-30, 1e-29, 0.0, 1.0, 1.0, 1.0], false);
        assert!(figure.svg.contains("&lt;1e-12\n") && figure.svg.contains("exactly zero\n"));
        let classes: Vec<&Cell> = figure.table.rows.iter().map(|row| &row[3]).collect();
        assert_eq!(
            classes[..3],
            [&Cell::from("exactly zero"), &Cell::from("below τ"), &Cell::from("below τ")]
        );
    }

    #[test]
    fn measured_eigenvalues_stand_beside_the_predicted_ones_and_rounding_at_the_foot() {
        let values = lognormal(13, 0.3);
        let eigenvalue =
            |rank| Eigenvalue { rank, value: if rank == 0 { 2e-17 } else { f64::from(rank) / 6.0 } };
        let measured: Vec<_> = (0..13).map(eigenvalue).collect();
        let spectrum = IsotropicSpectrum::new(&scale(&values), true);
        let figure = soft_spectrum("norm", &spectrum, &measured, SIZE).unwrap();
        assert!(figure.title.starts_with("Predicted and measured") && figure.svg.contains("measured\n"));
        assert!(
            figure
                .caption
                .ends_with("below 2e-13 of the mean they are f64's rounding, and depth is what counts.")
        );
        assert_eq!(figure.table.rows[12][4], Cell::from(2.0));
    }

    #[test]
    fn a_covariance_of_zero_is_dead_everywhere() {
        for figure in [drawn(&[0.0; 4], true), drawn(&[0.0; 4], false), drawn(&[7.0], true)] {
            let d = figure.table.rows.len();
            assert!(figure.svg.contains(&format!("{d} of {d} below τ\n")));
        }
    }
}
