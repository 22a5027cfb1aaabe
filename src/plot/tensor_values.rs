//! The values of one small tensor, by their index.

use super::axis::Axis;
use super::canvas::{Canvas, Point, Words, paint, readable, thinned};
use super::kernel_direction::draw_points;
use super::number::{counted, grouped, short};
use super::palette::Ink;
use super::panel::{Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};

/// Room above and below the values, as a share of their range.
const MARGIN: f64 = 0.06;

/// Draws each value over its index on a linear scale. `None` is a value that is not finite, and is left out.
pub fn tensor_values(name: &str, values: &[Option<f64>], size: Size) -> Result<Figure, PlotError> {
    let range = range(values).ok_or(PlotError::Empty("no value of this tensor is a finite number"))?;
    let size = size.legible(1, false);
    let name = readable(name);
    let title = format!("Values of {name}");
    let caption = caption(values, range);
    let source = format!("{name} · {} · Gammascope", counted(values.len(), "value"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = draw(canvas, values, range)?;
        Ok(())
    })?;
    let mut table = Table::new(&[("index", ""), ("value", "")]);
    table.rows =
        values.iter().enumerate().map(|(index, &value)| vec![Cell::from(index), Cell::from(value)]).collect();
    let (kind, width, height) = (FigureKind::TensorValues, size.width, size.height);
    Ok(Figure { kind, title, caption, width, height, svg, marks, table })
}

/// Returns the least and the greatest of the finite values.
fn range(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let finite = || values.iter().flatten();
    finite().next()?;
    Some(
        finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        }),
    )
}

fn caption(values: &[Option<f64>], (low, high): (f64, f64)) -> String {
    let all = counted(values.len(), "value");
    let finite = values.iter().flatten().count();
    let mean = values.iter().flatten().map(|value| value / finite as f64).sum::<f64>();
    let zeros = values.iter().flatten().filter(|value| **value == 0.0).count();
    let mut caption = format!("{all} from {} to {}, {} on average.", short(low), short(high), short(mean));
    if zeros > 0 {
        caption.push_str(&format!(" {} exactly zero.", are(zeros)));
    }
    if finite < values.len() {
        caption.push_str(&format!(" {} not finite.", are(values.len() - finite)));
    }
    caption
}

fn are(count: usize) -> String {
    format!("{} {}", grouped(count as f64), if count == 1 { "is" } else { "are" })
}

fn draw(
    canvas: &Canvas<'_>,
    values: &[Option<f64>],
    (low, high): (f64, f64),
) -> Result<Vec<Mark>, PlotError> {
    // Halved first, because the difference of two large values may leave the range of f64.
    let margin = 2.0 * MARGIN * (high / 2.0 - low / 2.0);
    let (low, high) = ((low - margin).max(f64::MIN), (high + margin).min(f64::MAX));
    let plan = Plan {
        frame: canvas.frame(),
        heading: "value",
        legend: Vec::new(),
        x_title: "index",
        x: Axis::whole(-0.5, values.len() as f64 - 0.5),
        y: Axis::linear(low, high),
        left: None,
    };
    let panel = Panel::new(canvas, plan)?;
    if low < 0.0 && high > 0.0 {
        panel.level(0.0, Ink::Muted.solid())?;
    }
    let finite: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(index, value)| Some((index, (*value)?))).collect();
    let points: Vec<Point> = finite.iter().map(|&(index, value)| panel.place(index as f64, value)).collect();
    draw_points(canvas, &points)?;
    Ok(thinned(&points, MOST_MARKS).into_iter().map(|at| mark(points[at], finite[at].0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caption_counts_zeros_and_what_is_not_finite_and_the_csv_has_every_value() {
        let size = Size { width: 720, height: 0 };
        let figure = tensor_values("norm.weight", &[Some(1.5), Some(0.0), None, Some(-2.0)], size).unwrap();
        assert_eq!(
            figure.caption,
            "4 values from -2 to 1.5, -0.167 on average. 1 is exactly zero. 1 is not finite."
        );
        assert_eq!(figure.table.csv(), "index,value\n0,1.5\n1,0\n2,\n3,-2\n");
        assert!(tensor_values("norm.weight", &[None], size).is_err());
        assert_eq!(figure.marks.iter().map(|mark| mark.row).collect::<Vec<_>>(), [0, 1, 3]);
    }
}
