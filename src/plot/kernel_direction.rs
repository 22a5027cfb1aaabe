//! The kernel direction of one site, component by component.

use super::axis::Axis;
use super::canvas::{Canvas, Point, Words, paint, readable, thinned};
use super::number::{counted, grouped, short};
use super::palette::Ink;
use super::panel::{Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::kernel::direction::Direction;

/// Components within this factor of each other are equal to the eye.
const EQUAL: f64 = 1.0 + 1e-9;

/// Draws |vᵢ| (d values) twice: sorted by size, and by channel. Both on one logarithmic scale against 1/√d, the
/// height of a direction that all channels share equally.
pub fn kernel_direction(site: &str, direction: &Direction, size: Size) -> Result<Figure, PlotError> {
    let sizes: Vec<f64> = direction.components.iter().map(|component| component.abs()).collect();
    if sizes.is_empty() {
        return Err(PlotError::Empty("the kernel direction has no components"));
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]));
    let shape = Shape { flat: 1.0 / (sizes.len() as f64).sqrt(), sizes: &sizes, order: &order };

    let size = size.legible(2, false);
    let name = readable(site);
    let title = format!("Kernel direction of {name}");
    let caption = caption(direction, &shape);
    let source = format!("{name} · d = {} · Gammascope", grouped(sizes.len() as f64));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = shape.draw(canvas)?;
        Ok(())
    })?;
    Ok(Figure {
        kind: FigureKind::KernelDirection,
        title,
        caption,
        width: size.width,
        height: size.height,
        svg,
        marks,
        table: table(direction, &order),
    })
}

fn caption(direction: &Direction, shape: &Shape<'_>) -> String {
    let d = shape.sizes.len();
    let (index, largest) = direction.largest();
    let told = if shape.is_flat() {
        format!("All {} have the same weight: the direction is flat.", counted(d, "channel"))
    } else {
        format!(
            "As concentrated as if {} of {} shared it equally; channel {index} has the most, |v| = {}.",
            short(direction.participation()),
            counted(d, "channel"),
            short(largest)
        )
    };
    format!("Along v = γ⁻¹/‖γ⁻¹‖ the output of this norm is constant, whatever the input. {told}")
}

/// One row a channel, in the order of channels.
fn table(direction: &Direction, order: &[usize]) -> Table {
    let mut ranks = vec![0_usize; order.len()];
    for (rank, &channel) in order.iter().enumerate() {
        ranks[channel] = rank + 1;
    }
    let mut table = Table::new(&[("channel", ""), ("v", ""), ("|v|", ""), ("rank by |v|", "")]);
    let rows = direction.components.iter().zip(&ranks).enumerate();
    table.rows = rows
        .map(|(channel, (&component, &rank))| {
            vec![Cell::from(channel), Cell::from(component), Cell::from(component.abs()), Cell::from(rank)]
        })
        .collect();
    table
}

/// The data of both panels.
struct Shape<'s> {
    /// |vᵢ| by channel.
    sizes: &'s [f64],
    /// Channels by falling |vᵢ|.
    order: &'s [usize],
    /// 1/√d.
    flat: f64,
}

impl Shape<'_> {
    fn largest(&self) -> f64 {
        self.sizes[self.order[0]]
    }

    fn smallest(&self) -> f64 {
        self.sizes[self.order[self.order.len() - 1]]
    }

    fn is_flat(&self) -> bool {
        self.largest() <= self.smallest() * EQUAL
    }

    fn y_axis(&self) -> Axis {
        let smallest_shown =
            self.order.iter().rev().map(|&channel| self.sizes[channel]).find(|&size| size > 0.0);
        let low = smallest_shown.unwrap_or(self.flat).min(self.flat);
        let foot = (self.smallest() == 0.0).then(|| "0".to_owned());
        Axis::logarithmic(low, self.largest().max(self.flat)).with_foot(foot)
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        let [first, second] = canvas.pair();
        let d = self.sizes.len() as f64;
        let mut marks = self.draw_sorted(
            canvas,
            &Panel::new(
                canvas,
                Plan {
                    frame: first,
                    heading: "|vᵢ| sorted by size",
                    legend: Vec::new(),
                    x_title: "rank",
                    x: Axis::whole(0.5, d + 0.5),
                    y: self.y_axis(),
                    left: None,
                },
            )?,
        )?;
        marks.extend(self.draw_by_channel(
            canvas,
            &Panel::new(
                canvas,
                Plan {
                    frame: second,
                    heading: "|vᵢ| by channel",
                    legend: Vec::new(),
                    x_title: "channel i",
                    x: Axis::whole(-0.5, d - 0.5),
                    y: self.y_axis(),
                    left: None,
                },
            )?,
        )?);
        Ok(marks)
    }

    fn draw_sorted(&self, canvas: &Canvas<'_>, panel: &Panel<'_, '_>) -> Result<Vec<Mark>, PlotError> {
        let place = |(rank, &channel): (usize, &usize)| panel.place(rank as f64 + 1.0, self.sizes[channel]);
        let points: Vec<Point> = self.order.iter().enumerate().map(place).collect();
        self.draw_flat(panel)?;
        let end = panel.lower_right().0;
        let level = panel.place(f64::NAN, self.flat).1;
        panel.note(
            &format!("flat, 1/√d = {}", short(self.flat)),
            (end, level),
            Side::AboveEnding,
            Ink::Muted,
        )?;
        let kept = thinned(&points, (2.0 * panel.width()) as usize);
        canvas.line(kept.iter().map(|&index| points[index]).collect(), 1.5, Ink::A.solid())?;
        if points.len() <= 48 {
            for &point in &points {
                canvas.dot(point, 2.25, Ink::A.solid())?;
            }
        }
        self.draw_largest(canvas, panel, points[0])?;
        let kept = thinned(&points, MOST_MARKS / 2);
        Ok(kept.into_iter().map(|rank| mark(points[rank], self.order[rank])).collect())
    }

    fn draw_by_channel(&self, canvas: &Canvas<'_>, panel: &Panel<'_, '_>) -> Result<Vec<Mark>, PlotError> {
        let points: Vec<Point> =
            self.sizes.iter().enumerate().map(|(channel, &size)| panel.place(channel as f64, size)).collect();
        self.draw_flat(panel)?;
        let kept = thinned(&points, (2.0 * panel.width()) as usize);
        if kept.len() < points.len() {
            // From the lowest to the highest of each column of pixels: what the dots left out lies between.
            for pair in kept.chunks(2) {
                if let [low, high] = *pair {
                    canvas.line(vec![points[low], points[high]], 1.0, Ink::A.at(0.25))?;
                }
            }
        }
        let radius = if kept.len() <= 200 { 2.25 } else { 1.5 };
        for &channel in &kept {
            canvas.dot(points[channel], radius, Ink::A.at(0.75))?;
        }
        self.draw_largest(canvas, panel, points[self.order[0]])?;
        let kept = thinned(&points, MOST_MARKS / 2);
        Ok(kept.into_iter().map(|channel| mark(points[channel], channel)).collect())
    }

    fn draw_flat(&self, panel: &Panel<'_, '_>) -> Result<(), PlotError> {
        panel.level(self.flat, Ink::Muted.solid())
    }

    /// Names the channel with the largest component, unless all are the same.
    fn draw_largest(&self, canvas: &Canvas<'_>, panel: &Panel<'_, '_>, at: Point) -> Result<(), PlotError> {
        if self.is_flat() {
            return Ok(());
        }
        canvas.dot(at, 3.0, Ink::B.solid())?;
        let text = format!("channel {}: {}", self.order[0], short(self.largest()));
        panel.note(&text, at, Side::Above, Ink::B)
    }
}
