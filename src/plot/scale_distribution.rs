//! How the effective scales of one site are distributed.

use super::axis::{Axis, decades};
use super::backend::UNIT;
use super::canvas::{Canvas, Glyph, Words, paint, readable, units, whole_pixel};
use super::number::{counted, grouped, short};
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::kernel::scale::{NEAR_DEAD, Scale};

/// max|γ|/min|γ| up to which γ itself is drawn, with its sign; |γ| on a logarithmic axis beyond.
const LINEAR_UP_TO: f64 = 100.0;

/// max|γ|/min|γ| from which near-dead scales squeeze the others: those get a panel of their own.
const SPLIT_FROM: f64 = 1e4;

/// The least height of a bar that stands for anything, in pixels.
const LEAST_BAR: f64 = 2.0;

/// Draws a histogram of γ (d values); zeros stand apart from a logarithmic axis, near-dead scales
/// (|γᵢ| ≤ [`NEAR_DEAD`] × median|γ|) are marked. When these lie far below the rest, a second panel shows the rest.
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
                x_title: if view.logarithmic { "|γ|" } else { "γ" },
                x: view.axis(),
                // Room above the tallest bar for notes.
                y: Axis::whole(0.0, tallest as f64 * 1.3),
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

/// A scale with what is asked of it more than once.
struct Sorted<'s> {
    values: &'s [f64],
    /// Channels by rising γ.
    order: Vec<usize>,
    median: f64,
    zeros: usize,
    near_dead: usize,
    negative: usize,
}

/// What a channel is drawn as.
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
    /// Range of the bins, in the axis' values.
    low: f64,
    high: f64,
    /// Channels in each bin.
    bins: Vec<Vec<usize>>,
    /// Channels with γ = 0, where the axis is logarithmic.
    zeros: Vec<usize>,
}

impl View {
    /// Sorts channels into bins; their number follows from the data alone, so that the size changes no statistic.
    fn new(values: &[f64], channels: &[usize], logarithmic: bool, heading: String) -> Self {
        let (zeros, binned): (Vec<usize>, Vec<usize>) =
            channels.iter().partition(|&&channel| logarithmic && values[channel] == 0.0);
        let shown = |channel: usize| if logarithmic { values[channel].abs() } else { values[channel] };
        let mut low = binned.iter().map(|&channel| shown(channel)).fold(f64::INFINITY, f64::min);
        let mut high = binned.iter().map(|&channel| shown(channel)).fold(f64::NEG_INFINITY, f64::max);
        // Odd, so that a constant fills the bin in the middle.
        let count = ((3.0 * (binned.len() as f64).cbrt()).round() as usize).clamp(6, 60) | 1;
        if low >= high && logarithmic {
            (low, high) = (low / 3.0, high * 3.0);
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
        Self { heading, logarithmic, low, high, bins, zeros }
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

    /// The value where a bin starts; the end of the last for an index one beyond.
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
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
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

    /// max|γ|/min|γ| of the nonzero scales among some channels; 1 when there are none.
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
        vec![
            View::new(self.values, &self.order, true, format!("{heading}: all {}", grouped(d as f64))),
            View::new(
                self.values,
                &rest,
                rest_logarithmic,
                format!("the {} that are not near-dead", grouped(rest.len() as f64)),
            ),
        ]
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
        let near_dead = match (self.near_dead, self.zeros) {
            (0, _) => format!("None of {} is near-dead (|γ| ≤ 1e-3 median).", counted(d, "channel")),
            (near, 0) => format!("{} of {} near-dead (|γ| ≤ 1e-3 median).", are(near), counted(d, "channel")),
            (near, zeros) => format!(
                "{} of {} near-dead (|γ| ≤ 1e-3 median), {} of them exactly zero.",
                are(near),
                counted(d, "channel"),
                grouped(zeros as f64)
            ),
        };
        let negative = match self.negative {
            0 => String::new(),
            some => format!(" {} negative.", are(some)),
        };
        format!(
            "Each channel of the normalised input is multiplied by its effective scale γᵢ; median |γ| = {}. \
             {near_dead}{negative}",
            short(self.median)
        )
    }

    /// One row a channel, in the order of channels.
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
        let shows_bound = view.logarithmic && self.near_dead > self.zeros && !panel.x().is_below(bound);
        if shows_bound {
            let edge = panel.place(bound, f64::NAN).0;
            canvas.block((panel.upper_left().0, top), (edge, foot), Ink::Danger.at(0.06))?;
        }
        let mut marks = Vec::new();
        for (index, channels) in view.bins.iter().enumerate() {
            let left = panel.place(view.edge(index), f64::NAN).0;
            let right = panel.place(view.edge(index + 1), f64::NAN).0;
            // A pixel between bars where there is one to spare.
            let gap = if right - left >= 5 * UNIT { UNIT } else { 0 };
            marks.extend(self.draw_bar(canvas, panel, (left, right - gap), channels)?);
        }
        let zero = panel.place(0.0, f64::NAN).0;
        marks.extend(self.draw_bar(canvas, panel, (zero - units(4.0), zero + units(4.0)), &view.zeros)?);
        self.draw_notes(panel, view, shows_bound)?;
        Ok(fewer(marks, most_marks, |row| !matches!(self.class(row), Class::Negative | Class::Positive)))
    }

    /// A bar of channels between two horizontal places, dead ones at its foot; and a mark for each of its channels,
    /// one above the other.
    fn draw_bar(
        &self,
        canvas: &Canvas<'_>,
        panel: &Panel<'_, '_>,
        (left, right): (i32, i32),
        channels: &[usize],
    ) -> Result<Vec<Mark>, PlotError> {
        let foot = panel.lower_right().1;
        let (left, right) = (whole_pixel(left), whole_pixel(right).max(whole_pixel(left) + UNIT));
        let mut stacked: Vec<usize> = channels.to_vec();
        stacked.sort_by_key(|&channel| match self.class(channel) {
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
            canvas.block((left, ceiling), (right, height(below)), ink(self.class(run[0])).at(0.85))?;
            below = above;
        }
        let place = |position: usize| {
            let fraction = (position as f64 + 0.5) / stacked.len() as f64;
            ((left + right) / 2, foot + (fraction * f64::from(top - foot)).round() as i32)
        };
        Ok(stacked.iter().enumerate().map(|(position, &channel)| mark(place(position), channel)).collect())
    }

    /// Names the median, the near-dead scales and the zeros, each on a line of its own above the bars.
    fn draw_notes(&self, panel: &Panel<'_, '_>, view: &View, shows_bound: bool) -> Result<(), PlotError> {
        const LINE: f64 = 16.0;
        let line = |number: f64| panel.upper_left().1 + units(LINE * number + 2.0);
        let has_place = view.logarithmic || self.negative == 0;
        if has_place && self.median >= view.low && self.median <= view.high && self.zeros < self.values.len()
        {
            panel.upright(self.median, Ink::Muted.solid())?;
            let at = (panel.place(self.median, f64::NAN).0 + units(4.0), line(1.0));
            panel.note(&format!("median {}", short(self.median)), at, Side::Above, Ink::Muted)?;
        }
        let near_dead = self.near_dead - self.zeros;
        if shows_bound {
            panel.upright(NEAR_DEAD * self.median, Ink::Danger.solid())?;
            let at = (panel.place(NEAR_DEAD * self.median, f64::NAN).0 - units(4.0), line(2.0));
            panel.note(
                &format!("{} near-dead", grouped(near_dead as f64)),
                at,
                Side::AboveEnding,
                Ink::Danger,
            )?;
        }
        let zeros = if view.logarithmic { view.zeros.len() } else { self.zeros };
        if zeros > 0 {
            let at = panel.place(0.0, zeros as f64);
            let text = format!("{} exactly zero", grouped(zeros as f64));
            panel.note(
                &text,
                (at.0 - units(4.0), at.1.min(panel.lower_right().1 - units(LEAST_BAR))),
                Side::Above,
                Ink::Danger,
            )?;
        }
        Ok(())
    }
}

fn ink(class: Class) -> Ink {
    match class {
        Class::Zero | Class::NearDead => Ink::Danger,
        Class::Negative => Ink::B,
        Class::Positive => Ink::A,
    }
}

fn are(count: usize) -> String {
    format!("{} {}", grouped(count as f64), if count == 1 { "is" } else { "are" })
}

/// At most `most` marks, spread evenly, those that matter first.
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
