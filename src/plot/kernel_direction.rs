//! The kernel direction of one site, component by component.

use super::axis::Axis;
use super::backend::UNIT;
use super::canvas::{Canvas, Frame, Point, Words, columns, paint, readable, thinned, units};
use super::number::{counted, grouped, short};
use super::palette::Ink;
use super::panel::{Notes, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::kernel::direction::Direction;
use crate::order;

/// Up to this many components are drawn as dots. More are drawn as ranges, one for each column of pixels.
const DOTS_UP_TO: usize = 1_500;

/// Components within this factor of each other look equal.
const EQUAL: f64 = 1.0 + 1e-9;

/// Draws |vᵢ| (d values) twice, sorted by size and by channel. Both share one logarithmic scale and show 1/√d, the height of a direction
/// that all channels share equally. If components are not `placed` at their own channels, only the sorted panel is drawn.
pub fn kernel_direction(
    site: &str,
    direction: &Direction,
    placed: bool,
    size: Size,
) -> Result<Figure, PlotError> {
    let sizes: Vec<f64> = direction.components.iter().map(|component| component.abs()).collect();
    if sizes.is_empty() {
        return Err(PlotError::Empty("the kernel direction has no components"));
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order::sort_by(&mut order, |&a, &b| sizes[b].total_cmp(&sizes[a]));
    let shape = Shape { flat: 1.0 / (sizes.len() as f64).sqrt(), sizes: &sizes, order: &order };

    let size = size.legible(if placed { 2 } else { 1 }, false);
    let name = readable(site);
    let title = format!("Kernel direction of {name}");
    let caption = caption(direction, &shape);
    let source = format!("{name} · d = {} · Gammascope", grouped(sizes.len() as f64));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = if placed { shape.draw(canvas) } else { shape.draw_alone(canvas) }?;
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
    format!("Along v = γ⁻¹/‖γ⁻¹‖ the output of this norm is constant for every input. {told}")
}

/// One row for each channel, in channel order.
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
    /// Channels by decreasing |vᵢ|.
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
        Axis::logarithmic(low, self.largest().max(self.flat)).with_foot(foot).with_head(16.0)
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        let [first, second] = canvas.pair();
        let d = self.sizes.len() as f64;
        let mut marks = self.draw_sorted(canvas, first)?;
        marks.extend(self.draw_by_channel(
            canvas,
            &Panel::new(
                canvas,
                Plan {
                    frame: second,
                    heading: "|vᵢ| by channel, log scale",
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

    fn draw_alone(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        self.draw_sorted(canvas, canvas.frame())
    }

    fn draw_sorted(&self, canvas: &Canvas<'_>, frame: Frame) -> Result<Vec<Mark>, PlotError> {
        let plan = Plan {
            frame,
            heading: "|vᵢ| sorted by size, log scale",
            legend: Vec::new(),
            x_title: "rank",
            x: Axis::whole(0.5, self.sizes.len() as f64 + 0.5),
            y: self.y_axis(),
            left: None,
        };
        let panel = &Panel::new(canvas, plan)?;
        let place = |(rank, &channel): (usize, &usize)| panel.place(rank as f64 + 1.0, self.sizes[channel]);
        let points: Vec<Point> = self.order.iter().enumerate().map(place).collect();
        self.draw_flat(panel)?;
        let kept = thinned(&points, (2.0 * panel.width()) as usize);
        canvas.line(kept.iter().map(|&index| points[index]).collect(), 1.5, Ink::A.solid())?;
        if points.len() <= 48 {
            for &point in &points {
                canvas.dot(point, 2.25, Ink::A.solid())?;
            }
        }
        let mut notes = Notes::new(panel);
        self.draw_largest(canvas, &mut notes, points[0])?;
        let end = panel.lower_right().0 + units(5.0);
        let level = panel.place(f64::NAN, self.flat).1;
        let text = format!("flat 1/√d = {}", short(self.flat));
        notes.add(
            &text,
            &[((end, level), Side::AboveEnding), ((end, level), Side::BelowEnding)],
            Ink::Text,
        )?;
        let kept = thinned(&points, MOST_MARKS / 2);
        Ok(kept.into_iter().map(|rank| mark(points[rank], self.order[rank])).collect())
    }

    fn draw_by_channel(&self, canvas: &Canvas<'_>, panel: &Panel<'_, '_>) -> Result<Vec<Mark>, PlotError> {
        let points: Vec<Point> =
            self.sizes.iter().enumerate().map(|(channel, &size)| panel.place(channel as f64, size)).collect();
        draw_points(canvas, &points)?;
        // Drawn last, to be visible among the dots.
        self.draw_flat(panel)?;
        self.draw_largest(canvas, &mut Notes::new(panel), points[self.order[0]])?;
        let kept = thinned(&points, MOST_MARKS / 2);
        Ok(kept.into_iter().map(|channel| mark(points[channel], channel)).collect())
    }

    fn draw_flat(&self, panel: &Panel<'_, '_>) -> Result<(), PlotError> {
        panel.level(self.flat, Ink::Text.solid())
    }

    /// Labels the channel with the largest component, unless all are equal.
    fn draw_largest(
        &self,
        canvas: &Canvas<'_>,
        notes: &mut Notes<'_, '_, '_>,
        at: Point,
    ) -> Result<(), PlotError> {
        if self.is_flat() {
            return Ok(());
        }
        canvas.dot(at, 3.0, Ink::B.solid())?;
        let text = format!("channel {}, |v| = {}", self.order[0], short(self.largest()));
        notes.add(&text, &[((at.0, at.1 + units(3.0)), Side::Above)], Ink::B)
    }
}

/// Draws a dot for each point, or ranges if there are very many.
pub(super) fn draw_points(canvas: &Canvas<'_>, points: &[Point]) -> Result<(), PlotError> {
    if points.len() > DOTS_UP_TO {
        return draw_ranges(canvas, points);
    }
    let radius = if points.len() <= 200 { 2.25 } else { 1.5 };
    points.iter().try_for_each(|&point| canvas.dot(point, radius, Ink::A.at(0.7)))
}

/// Draws, for each column of pixels, the range of its points, and in a darker colour the range of their middle half.
fn draw_ranges(canvas: &Canvas<'_>, points: &[Point]) -> Result<(), PlotError> {
    let (mut whole, mut half) = (Vec::new(), Vec::new());
    for run in columns(points, UNIT) {
        let x = points[run.start].0;
        let mut heights: Vec<i32> = points[run].iter().map(|point| point.1).collect();
        order::sort_by(&mut heights, i32::cmp);
        let last = heights.len() - 1;
        whole.push((x, heights[0], heights[last]));
        half.push((x, heights[last / 4], heights[last - last / 4]));
    }
    canvas.ranges(&whole, Ink::A.at(0.35))?;
    canvas.ranges(&half, Ink::A.at(0.7))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{direction, lognormal, with_one_off};
    use super::*;

    const SIZE: Size = Size { width: 720, height: 0 };

    #[test]
    fn a_single_channel_is_the_whole_direction() {
        let figure = kernel_direction("norm", &direction(&[-3.0]), true, SIZE).unwrap();
        assert_eq!(figure.table.rows, [[0.0, -1.0, 1.0, 1.0].map(Cell::from).to_vec()]);
        assert!(figure.svg.contains("flat 1/√d = 1\n"));
    }

    #[test]
    fn a_constant_scale_is_called_flat_and_names_no_channel() {
        let figure = kernel_direction("norm", &direction(&[0.3; 384]), true, SIZE).unwrap();
        assert!(figure.caption.contains("All 384 channels have the same weight"), "{}", figure.caption);
        assert!(figure.svg.contains("flat 1/√d = 0.051\n") && !figure.svg.contains("channel 0,"));
    }

    #[test]
    fn one_tiny_scale_is_named_and_the_others_are_still_on_the_axis() {
        let figure = kernel_direction("norm", &direction(&with_one_off()), true, SIZE).unwrap();
        assert!(figure.caption.contains("if 1 of 384 channels shared"), "{}", figure.caption);
        assert!(figure.svg.contains("channel 223, |v| = 1\n"));
        assert!(figure.svg.contains(">\n1e-30\n<"), "ticks reach down to the other channels");
        assert_eq!(figure.table.rows[223][3], Cell::Number(1.0));
    }

    #[test]
    fn a_component_that_left_f64_stands_at_the_foot() {
        let figure = kernel_direction("norm", &direction(&[5e-324, 1e300, 1e300]), true, SIZE).unwrap();
        assert_eq!(figure.table.rows[1][2], Cell::Number(0.0));
        assert!(figure.svg.contains(">\n0\n<"));
    }

    #[test]
    fn a_wide_direction_is_drawn_by_columns_and_tabulated_in_full() {
        let figure = kernel_direction("norm", &direction(&lognormal(16_384, 0.8)), true, SIZE).unwrap();
        assert!(figure.svg.len() < 60_000, "{} bytes", figure.svg.len());
        assert_eq!(figure.table.rows.len(), 16_384);
        let largest = direction(&lognormal(16_384, 0.8)).largest().0 as u32;
        assert!(figure.marks.iter().filter(|mark| mark.row == largest).count() == 2, "in both panels");
    }

    #[test]
    fn a_direction_without_components_is_an_error() {
        let empty = Direction { components: Vec::new(), inverse_norm: 0.0 };
        assert!(matches!(kernel_direction("norm", &empty, true, SIZE), Err(PlotError::Empty(_))));
    }
}
