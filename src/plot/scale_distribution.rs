//! The distribution of the effective scales of one site.

use super::axis::{Axis, TICK_FONT, decades};
use super::backend::{UNIT, text_width};
use super::canvas::{Canvas, Glyph, Point, Words, paint, readable, units, whole_pixel};
use super::number::{counted, grouped, short};
use super::palette::Ink;
use super::panel::{Entry, Notes, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::kernel::scale::{NEAR_DEAD, Scale};
use crate::order;

/// Up to this max|γ|/min|γ|, γ itself is drawn with its sign. Beyond it, |γ| is drawn on a logarithmic axis.
const LINEAR_UP_TO: f64 = 100.0;

/// From this max|γ|/min|γ| on, near-dead scales squeeze the others, which then get their own panel.
const SPLIT_FROM: f64 = 1e4;

/// Least height of a nonempty bar, in pixels.
const LEAST_BAR: f64 = 3.0;

/// Height of a line of notes, and room for two of them above the tallest bar, in pixels.
const LINE: f64 = 15.0;
const HEAD: f64 = 2.0 * LINE + 2.0;

/// Draws a histogram of γ (d values). Zeros are beside a logarithmic axis, and near-dead scales (|γᵢ| ≤ [`NEAR_DEAD`] × median|γ|) are
/// marked. If these lie far below the rest, a second panel shows the rest.
pub fn scale_distribution(site: &str, scale: &Scale, size: Size) -> Result<Figure, PlotError> {
    let sorted = Sorted::new(scale);
    let views = sorted.views();
    let size = size.legible(views.len() as u32, false);
    let name = readable(site);
    let title = format!("Effective scales of {name}");
    let caption = sorted.caption();
    let source = format!("{name} · d = {} · Gammascope", grouped(scale.width() as f64));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        let frames = canvas.pair();
        for (index, view) in views.iter().enumerate() {
            let frame = if views.len() == 1 { canvas.frame() } else { frames[index] };
            let legend = if index == 0 { sorted.legend() } else { Vec::new() };
            let tallest = view.bins.iter().map(Vec::len).max().unwrap_or(0).max(view.zeros.len());
            let plan = Plan {
                frame,
                heading: &view.heading,
                legend,
                x_title: if view.logarithmic { "|γ|, log scale" } else { "γ" },
                x: view.axis(),
                y: Axis::whole(0.0, tallest as f64).with_head(HEAD),
                left: None,
            };
            let panel = Panel::new(canvas, plan)?;
            marks.extend(sorted.draw(canvas, &panel, view, MOST_MARKS / views.len())?);
        }
        Ok(())
    })?;
    let table = sorted.table();
    let (width, height) = (size.width, size.height);
    Ok(Figure { kind: FigureKind::ScaleDistribution, title, caption, width, height, svg, marks, table })
}

/// A scale with derived values that are needed more than once.
struct Sorted<'s> {
    values: &'s [f64],
    /// Channels by increasing γ.
    order: Vec<usize>,
    median: f64,
    zeros: usize,
    near_dead: usize,
    negative: usize,
}

/// The class of a channel, which sets its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Zero,
    NearDead,
    Negative,
    Positive,
}

/// One histogram.
struct View {
    heading: String,
    logarithmic: bool,
    /// Whether another view shows the scales that are not near-dead separately.
    is_squeezed: bool,
    /// Range of the bins, in values of the axis.
    low: f64,
    high: f64,
    /// Channels in each bin.
    bins: Vec<Vec<usize>>,
    /// Channels with γ = 0, if the axis is logarithmic.
    zeros: Vec<usize>,
}

impl View {
    /// Sorts channels into bins. Their number depends only on the data, so the size of the figure changes no statistic.
    fn new(values: &[f64], channels: &[usize], logarithmic: bool, heading: String) -> Self {
        let (zeros, binned): (Vec<usize>, Vec<usize>) =
            channels.iter().partition(|&&channel| logarithmic && values[channel] == 0.0);
        let shown = |channel: usize| if logarithmic { values[channel].abs() } else { values[channel] };
        let mut low = binned.iter().map(|&channel| shown(channel)).fold(f64::INFINITY, f64::min);
        let mut high = binned.iter().map(|&channel| shown(channel)).fold(f64::NEG_INFINITY, f64::max);
        // An odd number, so that a constant fills the middle bin.
        let count = ((3.0 * (binned.len() as f64).cbrt()).round() as usize).clamp(6, 60) | 1;
        if low >= high && logarithmic {
            (low, high) = ((low / 3.0).max(f64::MIN_POSITIVE), (high * 3.0).min(f64::MAX));
        } else if low >= high {
            let reach = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            (low, high) = (low - reach, high + reach);
        }
        let place = |value: f64| if logarithmic { decades(value) } else { value };
        let mut bins = vec![Vec::new(); count];
        for channel in binned {
            let fraction = (place(shown(channel)) - place(low)) / (place(high) - place(low));
            bins[((fraction * count as f64) as usize).min(count - 1)].push(channel);
        }
        Self { heading, logarithmic, is_squeezed: false, low, high, bins, zeros }
    }

    fn axis(&self) -> Axis {
        if self.logarithmic {
            let foot = (!self.zeros.is_empty()).then(|| "0".to_owned());
            Axis::logarithmic(self.low, self.high).with_foot(foot)
        } else {
            let margin = 0.03 * (self.high - self.low);
            Axis::linear(self.low - margin, self.high + margin)
        }
    }

    /// Returns the value where a bin starts. One beyond the last index gives the end of the last bin.
    fn edge(&self, index: usize) -> f64 {
        let fraction = index as f64 / self.bins.len() as f64;
        if self.logarithmic {
            10f64.powf(decades(self.low) + fraction * (decades(self.high) - decades(self.low)))
        } else {
            self.low + fraction * (self.high - self.low)
        }
    }
}

impl<'s> Sorted<'s> {
    fn new(scale: &'s Scale) -> Self {
        let values = scale.values();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order::sort_by(&mut order, |&a, &b| values[a].total_cmp(&values[b]));
        Self {
            values,
            order,
            median: scale.magnitudes().median,
            zeros: scale.zeros().len(),
            near_dead: scale.near_dead().len(),
            negative: values.iter().filter(|&&value| value < 0.0).count(),
        }
    }

    fn class(&self, channel: usize) -> Class {
        let value = self.values[channel];
        if value == 0.0 {
            Class::Zero
        } else if value.abs() <= NEAR_DEAD * self.median {
            Class::NearDead
        } else if value < 0.0 {
            Class::Negative
        } else {
            Class::Positive
        }
    }

    /// Returns max|γ|/min|γ| of the nonzero scales among some channels. 1 if there are none.
    fn condition(&self, channels: &[usize]) -> f64 {
        let sizes = channels.iter().map(|&channel| self.values[channel].abs()).filter(|&size| size > 0.0);
        let (low, high) =
            sizes.fold((f64::INFINITY, 0.0_f64), |(low, high), size| (low.min(size), high.max(size)));
        if high > 0.0 { high / low } else { 1.0 }
    }

    fn views(&self) -> Vec<View> {
        let d = self.values.len();
        let condition = self.condition(&self.order);
        let all_zero = self.zeros == d;
        let heading = "channels per bin".to_owned();
        let linear = all_zero || (self.zeros == 0 && condition <= LINEAR_UP_TO);
        let rest: Vec<usize> = self
            .order
            .iter()
            .copied()
            .filter(|&channel| matches!(self.class(channel), Class::Negative | Class::Positive))
            .collect();
        if condition < SPLIT_FROM || rest.is_empty() || rest.len() == d {
            return vec![View::new(self.values, &self.order, !linear, heading)];
        }
        let rest_logarithmic = self.condition(&rest) > LINEAR_UP_TO;
        let all = View::new(self.values, &self.order, true, format!("{heading}: all {}", grouped(d as f64)));
        let rest_heading = format!("{heading}: the {} not near-dead", grouped(rest.len() as f64));
        vec![View { is_squeezed: true, ..all }, View::new(self.values, &rest, rest_logarithmic, rest_heading)]
    }

    fn legend(&self) -> Vec<Entry> {
        if self.negative == 0 {
            return Vec::new();
        }
        let entry = |ink, text| Entry { glyph: Glyph::Square, ink, text };
        vec![entry(Ink::A, "γ > 0".to_owned()), entry(Ink::B, "γ < 0".to_owned())]
    }

    fn caption(&self) -> String {
        let d = self.values.len();
        let of = |count: usize| {
            let verb = if count == 1 { "is" } else { "are" };
            format!("{} of {} {verb}", grouped(count as f64), counted(d, "channel"))
        };
        let near_dead = match self.near_dead {
            0 => {
                format!("None of {} is near-dead (|γ| ≤ {} median).", counted(d, "channel"), short(NEAR_DEAD))
            }
            some => format!("{} near-dead (|γ| ≤ {} median).", of(some), short(NEAR_DEAD)),
        };
        let zeros = match self.zeros {
            0 => String::new(),
            some => format!(" {} exactly zero.", of(some)),
        };
        let negative = match self.negative {
            0 => String::new(),
            some => format!(" {} negative.", of(some)),
        };
        format!(
            "Each channel of the normalised input is multiplied by its effective scale γᵢ; median |γ| = {}. \
             {near_dead}{zeros}{negative}",
            short(self.median)
        )
    }

    /// One row for each channel, in channel order.
    fn table(&self) -> Table {
        let mut table = Table::new(&[("channel", ""), ("γ", ""), ("|γ| / median", ""), ("class", "")]);
        let rows = self.values.iter().enumerate();
        table.rows = rows
            .map(|(channel, &value)| {
                let class = match self.class(channel) {
                    Class::Zero => Cell::from("zero"),
                    Class::NearDead => Cell::from("near-dead"),
                    Class::Negative | Class::Positive => Cell::Empty,
                };
                let relative = (self.median > 0.0).then(|| value.abs() / self.median);
                vec![Cell::from(channel), Cell::from(value), Cell::from(relative), class]
            })
            .collect();
        table
    }

    fn draw(
        &self,
        canvas: &Canvas<'_>,
        panel: &Panel<'_, '_>,
        view: &View,
        most_marks: usize,
    ) -> Result<Vec<Mark>, PlotError> {
        let bound = NEAR_DEAD * self.median;
        let (top, foot) = (panel.upper_left().1, panel.lower_right().1);
        let shows_bound = view.logarithmic && self.near_dead > self.zeros && bound >= view.low;
        if shows_bound {
            let edge = panel.place(bound, f64::NAN).0;
            canvas.block((panel.upper_left().0, top), (edge, foot), Ink::Danger.at(0.06))?;
        }
        let mut marks = Vec::new();
        let mut bars: Vec<Bar> = Vec::new();
        let mut draw = |edges: (i32, i32), channels: &[usize]| -> Result<(), PlotError> {
            if !channels.is_empty() {
                let (bar, its_marks) = self.draw_bar(canvas, panel, edges, channels)?;
                bars.push(bar);
                marks.extend(its_marks);
            }
            Ok(())
        };
        for (index, channels) in view.bins.iter().enumerate() {
            let left = panel.place(view.edge(index), f64::NAN).0;
            let right = panel.place(view.edge(index + 1), f64::NAN).0;
            // Leaves a pixel between bars if they are wide enough.
            let gap = if right - left >= 5 * UNIT { UNIT } else { 0 };
            draw((left, right - gap), channels)?;
        }
        let zero = panel.place(0.0, f64::NAN).0;
        draw((zero - units(4.0), zero + units(4.0)), &view.zeros)?;
        self.draw_notes(panel, view, shows_bound, &bars)?;
        Ok(fewer(marks, most_marks, |row| !matches!(self.class(row), Class::Negative | Class::Positive)))
    }

    /// Draws a bar of channels between two horizontal places, with dead ones at its foot, and a mark for each channel, one above the
    /// other.
    fn draw_bar(
        &self,
        canvas: &Canvas<'_>,
        panel: &Panel<'_, '_>,
        (left, right): (i32, i32),
        channels: &[usize],
    ) -> Result<(Bar, Vec<Mark>), PlotError> {
        let foot = panel.lower_right().1;
        let (left, right) = (whole_pixel(left), whole_pixel(right).max(whole_pixel(left) + UNIT));
        let mut stacked: Vec<usize> = channels.to_vec();
        order::sort_by_key(&mut stacked, |&channel| match self.class(channel) {
            Class::Zero => 0,
            Class::NearDead => 1,
            Class::Negative => 2,
            Class::Positive => 3,
        });
        let height = |count: usize| panel.place(f64::NAN, count as f64).1;
        let top = height(stacked.len()).min(foot - units(LEAST_BAR));
        let mut below = 0;
        for run in stacked.chunk_by(|&a, &b| ink(self.class(a)) == ink(self.class(b))) {
            let above = below + run.len();
            let ceiling = if above == stacked.len() { top } else { height(above) };
            canvas.block((left, ceiling), (right, height(below)), ink(self.class(run[0])).at(0.9))?;
            below = above;
        }
        let place = |position: usize| {
            let fraction = (position as f64 + 0.5) / stacked.len() as f64;
            ((left + right) / 2, foot + (fraction * f64::from(top - foot)).round() as i32)
        };
        let marks = stacked.iter().enumerate().map(|(position, &channel)| mark(place(position), channel));
        Ok((Bar { left, right, top }, marks.collect()))
    }

    /// Labels the median and the near-dead scales on lines above the bars. Zeros, and a near-dead scale that is the only one, are
    /// labelled at their own place.
    fn draw_notes(
        &self,
        panel: &Panel<'_, '_>,
        view: &View,
        shows_bound: bool,
        bars: &[Bar],
    ) -> Result<(), PlotError> {
        let mut notes = Notes::new(panel);
        let line = panel.upper_left().1 + units(LINE + 2.0);
        // Among near-dead scales the others are a sliver, and the other panel shows their median.
        let has_place = !view.is_squeezed && (view.logarithmic || self.negative == 0);
        if has_place && self.median >= view.low && self.median <= view.high && self.zeros < self.values.len()
        {
            panel.upright(self.median, Ink::Muted.solid())?;
            let places = lines(panel.place(self.median, f64::NAN).0, line, LINE, Side::Above);
            notes.add(&format!("median {}", short(self.median)), &places, Ink::Muted)?;
        }
        let zeros = if view.logarithmic { view.zeros.len() } else { self.zeros };
        if zeros > 0 {
            let text = format!("{} exactly zero", grouped(zeros as f64));
            add_above_bars(&mut notes, panel, &text, panel.place(0.0, f64::NAN).0, bars)?;
        }
        if shows_bound {
            let near_dead = self.near_dead - self.zeros;
            let bound = panel.place(NEAR_DEAD * self.median, f64::NAN).0;
            panel.upright(NEAR_DEAD * self.median, Ink::Danger.solid())?;
            let mut only = self.order.iter().filter(|&&channel| self.class(channel) == Class::NearDead);
            if let (1, Some(&channel)) = (near_dead, only.next()) {
                let place = panel.place(self.values[channel].abs(), f64::NAN).0;
                let value = short(self.values[channel]);
                let text = format!("channel {channel}: {value}");
                let fits = units(text_width(&text, TICK_FONT)) <= bound - panel.upper_left().0.max(place);
                add_above_bars(&mut notes, panel, if fits { &text } else { &value }, place, bars)?;
            }
            let text = format!("{} near-dead", grouped(near_dead as f64));
            notes.add(&text, &lines(bound, line, LINE, Side::AboveEnding), Ink::Danger)?;
        }
        Ok(())
    }
}

/// Adds a note about the place `x`, above every bar that it crosses.
fn add_above_bars(
    notes: &mut Notes<'_, '_, '_>,
    panel: &Panel<'_, '_>,
    text: &str,
    x: i32,
    bars: &[Bar],
) -> Result<(), PlotError> {
    let foot = panel.lower_right().1;
    let start = x - units(9.0);
    let ([left, _, right, _], _) = panel.note_frame(text, (start, foot), Side::Above);
    let crossed = bars.iter().filter(|bar| bar.left < right && bar.right > left);
    let top = crossed.map(|bar| bar.top).min().unwrap_or(foot);
    notes.add(text, &lines(start, top, -LINE, Side::Above), Ink::Danger)
}

/// Places for a note: the first line, and further lines at this distance in pixels.
fn lines(x: i32, first: i32, step: f64, side: Side) -> [(Point, Side); 4] {
    [0, 1, 2, 3].map(|number| ((x, first + number * units(step)), side))
}

/// The rectangle of a drawn bar, in units.
struct Bar {
    left: i32,
    right: i32,
    top: i32,
}

fn ink(class: Class) -> Ink {
    match class {
        Class::Zero | Class::NearDead => Ink::Danger,
        Class::Negative => Ink::B,
        Class::Positive => Ink::A,
    }
}

/// Keeps at most `most` marks, evenly spread. Marks that matter come first.
fn fewer(marks: Vec<Mark>, most: usize, matters: impl Fn(usize) -> bool) -> Vec<Mark> {
    let (first, rest): (Vec<Mark>, Vec<Mark>) =
        marks.into_iter().partition(|mark| matters(mark.row as usize));
    let first = spread(&first, most);
    let room = most - first.len();
    let rest = spread(&rest, room);
    [first, rest].concat()
}

fn spread(marks: &[Mark], most: usize) -> Vec<Mark> {
    if most == 0 {
        return Vec::new();
    }
    marks.iter().step_by(marks.len().div_ceil(most).max(1)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lognormal, scale, with_one_off};
    use super::*;

    const SIZE: Size = Size { width: 720, height: 0 };

    fn drawn(values: &[f64]) -> Figure {
        scale_distribution("norm", &scale(values), SIZE).unwrap()
    }

    fn headings(figure: &Figure) -> usize {
        figure.svg.matches("channels per bin").count()
    }

    #[test]
    fn every_value_is_in_one_bin() {
        for values in [vec![0.7], vec![1.0; 9], vec![0.0; 5], lognormal(1000, 0.3), with_one_off()] {
            for view in Sorted::new(&scale(&values)).views() {
                let binned: usize = view.bins.iter().map(Vec::len).sum::<usize>() + view.zeros.len();
                assert!(binned == values.len() || view.heading.contains("not near-dead"));
            }
        }
    }

    #[test]
    fn a_narrow_range_is_drawn_with_its_sign_on_a_linear_axis() {
        let figure = drawn(&[-0.5, -0.4, 0.6, 0.7, 0.8]);
        assert!(figure.svg.contains(">\nγ\n<") && figure.svg.contains("γ &lt; 0"));
        assert!(figure.caption.ends_with("2 of 5 channels are negative."), "{}", figure.caption);
    }

    #[test]
    fn a_constant_scale_is_one_bar() {
        let bars = drawn(&[1.0; 512]).svg.matches("<rect").count();
        assert_eq!(bars, 1);
    }

    #[test]
    fn one_tiny_scale_gets_a_panel_and_leaves_one_to_the_rest() {
        let figure = drawn(&with_one_off());
        assert_eq!(headings(&figure), 2);
        assert!(figure.svg.contains("channel 223: 4.8e-33\n") && figure.svg.contains("1 near-dead\n"));
        assert!(figure.svg.contains("the 383 not near-dead"));
        assert_eq!(figure.table.rows[223][3], Cell::from("near-dead"));
        assert!(figure.marks.iter().any(|mark| mark.row == 223));
    }

    #[test]
    fn zeros_stand_apart_from_the_logarithmic_axis() {
        let mut values = lognormal(768, 0.5);
        values[3] = 0.0;
        values[500] = -0.0;
        let figure = drawn(&values);
        assert_eq!(headings(&figure), 1);
        assert!(figure.svg.contains(">\n|γ|, log scale\n<") && figure.svg.contains("2 exactly zero\n"));
        assert!(figure.caption.ends_with("2 of 768 channels are exactly zero."), "{}", figure.caption);
        assert_eq!(figure.table.rows[500][3], Cell::from("zero"));
    }

    #[test]
    fn a_scale_of_zeros_has_one_bar_and_no_median() {
        let figure = drawn(&[0.0; 64]);
        assert!(figure.svg.contains("64 exactly zero\n") && !figure.svg.contains("median 0\n"));
        assert_eq!(figure.table.rows[0][2], Cell::Empty);
    }

    #[test]
    fn only_the_panel_that_holds_near_dead_scales_marks_them() {
        let mut values = vec![1.0; 100];
        values[3] = 1e-9;
        // Just above the bound, where the other panel's axis starts.
        values[4] = 1.01e-3;
        assert_eq!(drawn(&values).svg.matches("1 near-dead\n").count(), 1);
    }

    #[test]
    fn near_dead_scales_keep_their_marks_when_others_are_thinned() {
        let mut values = lognormal(16_384, 0.2);
        values[9_999] = 1e-9;
        let figure = drawn(&values);
        assert!(figure.marks.len() <= MOST_MARKS && figure.marks.iter().any(|mark| mark.row == 9_999));
    }
}
