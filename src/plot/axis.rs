//! Axes whose ticks depend on the available pixels: linear or logarithmic, with room at the foot for values that a logarithm cannot show.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::backend::{UNIT, text_width};
use super::number::{grouped, power_of_ten};

/// Size of tick labels in pixels.
pub(super) const TICK_FONT: f64 = 11.0;

/// Length of the foot of an axis, in units.
const FOOT: i32 = 22 * UNIT;

/// An axis shorter than this has no foot, because too little of it would be left.
const SHORTEST_WITH_FOOT: i32 = 3 * FOOT;

/// Fewest pixels between the ticks of a vertical axis, and between the labels of a horizontal one.
const VERTICAL_GAP: f64 = 25.0;
const HORIZONTAL_GAP: f64 = 16.0;

/// More labels than this are too many at any size.
const MOST_TICKS: usize = 11;

/// A coordinate of a panel. It is made from a range, then fitted to a length in pixels, which sets its ticks.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    spacing: Spacing,
    low: f64,
    high: f64,
    /// Label of the strip before `low`, where all smaller values are drawn.
    foot: Option<String>,
    /// Units left free beyond `high`, for notes.
    head: i32,
    ticks: Vec<Tick>,
}

#[derive(Debug, Clone, PartialEq)]
enum Spacing {
    Linear,
    /// Linear with ticks on whole numbers only: ranks, channels, counts.
    Whole,
    /// Linear, with ticks only at these numbered places, or at every 2nd, 5th, 10th … of them.
    Named(Vec<(u32, f64)>),
    Logarithmic,
}

#[derive(Debug, Clone, PartialEq)]
struct Tick {
    value: f64,
    label: String,
}

/// The direction of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Along {
    /// Left to right.
    X,
    /// Bottom to top.
    Y,
}

/// log₁₀ rounded to about 1e-12, so that differences in the last bit between platforms move no tick and no pixel.
pub(super) fn decades(value: f64) -> f64 {
    const GRID: f64 = (1_u64 << 40) as f64;
    (value.log10() * GRID).round() / GRID
}

impl Axis {
    /// Makes a linear axis from `low` to `high`. An empty range is widened.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, low + 0.5) };
        Self { spacing: Spacing::Linear, low, high, foot: None, head: 0, ticks: Vec::new() }
    }

    /// Makes a linear axis with ticks on whole numbers only.
    pub(super) fn whole(low: f64, high: f64) -> Self {
        Self { spacing: Spacing::Whole, ..Self::linear(low, high) }
    }

    /// Makes a linear axis with ticks only at the given (number, place)s. The numbers are the labels.
    pub(super) fn named(low: f64, high: f64, ticks: Vec<(u32, f64)>) -> Self {
        Self { spacing: Spacing::Named(ticks), ..Self::linear(low, high) }
    }

    /// Makes a logarithmic axis from `low` to `high`, both positive, with a margin at either end.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        let (low, high) = (low.max(f64::MIN_POSITIVE), high.max(f64::MIN_POSITIVE));
        let span = decades(high) - decades(low);
        // At least a third of a decade, so that a constant does not look like noise.
        let margin = (0.06 * span).max((0.33 - span) / 2.0).max(0.02);
        // There is no room below subnormals.
        let (low, high) = ((low * 10f64.powf(-margin)).max(f64::MIN_POSITIVE), high * 10f64.powf(margin));
        let high = high.min(f64::MAX);
        Self { spacing: Spacing::Logarithmic, low, high, foot: None, head: 0, ticks: Vec::new() }
    }

    /// Removes the margins that [`logarithmic`](Self::logarithmic) adds.
    pub(super) fn tight(mut self, low: f64, high: f64) -> Self {
        (self.low, self.high) = (low, high);
        self
    }

    /// Adds a foot with this label, where everything below the axis is drawn.
    pub(super) fn with_foot(mut self, label: Option<String>) -> Self {
        self.foot = label;
        self
    }

    /// Leaves this many pixels free beyond the end of the axis.
    pub(super) fn with_head(mut self, pixels: f64) -> Self {
        self.head = (pixels * f64::from(UNIT)).round() as i32;
        self
    }

    /// Where the axis starts, without its foot.
    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// Where the axis ends.
    pub(super) fn high(&self) -> f64 {
        self.high
    }

    /// Whether a value is drawn in the foot.
    pub(super) fn is_below(&self, value: f64) -> bool {
        value < self.low
    }

    /// Chooses the ticks for `length` pixels.
    pub(super) fn fit(mut self, length: f64, along: Along) -> Self {
        let candidates = match &self.spacing {
            Spacing::Linear => self.linear_ticks(false),
            Spacing::Whole => self.linear_ticks(true),
            Spacing::Named(places) => named_ticks(places),
            Spacing::Logarithmic => self.logarithmic_ticks(),
        };
        let fitting = candidates
            .iter()
            .find(|ticks| (2..=MOST_TICKS).contains(&ticks.len()) && self.has_room_for(ticks, length, along));
        self.ticks = match fitting {
            Some(ticks) => ticks.clone(),
            // Otherwise takes the coarsest that has a label. A single tick needs no room.
            None => candidates.into_iter().rev().find(|ticks| !ticks.is_empty()).map_or_else(
                Vec::new,
                |mut ticks| {
                    ticks.truncate(1);
                    ticks
                },
            ),
        };
        if let Some(label) = &self.foot {
            // A tick at the very start would touch the label of the foot.
            let foot = Tick { value: f64::NEG_INFINITY, label: label.clone() };
            let mut ticks = std::mem::take(&mut self.ticks);
            ticks.retain(|tick| {
                let distance = self.pixels(tick.value, length) - self.pixels(foot.value, length);
                let needed = match along {
                    Along::X => {
                        (text_width(&tick.label, TICK_FONT) + text_width(label, TICK_FONT)) / 2.0 + 8.0
                    }
                    Along::Y => 16.0,
                };
                distance >= needed
            });
            self.ticks.push(foot);
            self.ticks.append(&mut ticks);
        }
        self
    }

    /// Width of the widest tick label in pixels.
    pub(super) fn widest_label(&self) -> f64 {
        self.ticks.iter().map(|tick| text_width(&tick.label, TICK_FONT)).fold(0.0, f64::max)
    }

    /// How far the last tick's label, which is centred, reaches beyond the end of `length` pixels.
    pub(super) fn overhang(&self, length: f64) -> f64 {
        let reach = |tick: &Tick| self.pixels(tick.value, length) + text_width(&tick.label, TICK_FONT) / 2.0;
        self.ticks.iter().map(|tick| reach(tick) - length).fold(0.0, f64::max)
    }

    fn pixels(&self, value: f64, length: f64) -> f64 {
        let units = (length * f64::from(UNIT)).round() as i32;
        f64::from(self.map(&value, (0, units))) / f64::from(UNIT)
    }

    fn has_room_for(&self, ticks: &[Tick], length: f64, along: Along) -> bool {
        ticks.windows(2).all(|pair| {
            let distance = self.pixels(pair[1].value, length) - self.pixels(pair[0].value, length);
            let needed = match along {
                Along::Y => VERTICAL_GAP,
                Along::X => {
                    let widths = pair.iter().map(|tick| text_width(&tick.label, TICK_FONT)).sum::<f64>();
                    widths / 2.0 + HORIZONTAL_GAP
                }
            };
            distance >= needed
        })
    }

    /// Position on the axis without its foot: 0 at `low` and 1 at `high`.
    fn fraction(&self, value: f64) -> f64 {
        match self.spacing {
            Spacing::Logarithmic => {
                let (low, high) = (decades(self.low), decades(self.high));
                (decades(value) - low) / (high - low)
            }
            _ => (value - self.low) / (self.high - self.low),
        }
    }

    /// Sets of ticks on a linear axis, finest first.
    fn linear_ticks(&self, whole: bool) -> Vec<Vec<Tick>> {
        let span = self.high - self.low;
        // Clamped, because a span may leave the range of f64.
        let finest = (decades(span).floor() as i32).clamp(-320, 305) - 1;
        let steps = (finest..finest + 4).flat_map(|exponent| [1, 2, 5].map(|mantissa| (mantissa, exponent)));
        let steps = steps.filter(|&(_, exponent)| !whole || exponent >= 0);
        steps
            .map(|(mantissa, exponent)| {
                let step = f64::from(mantissa) * power_of_ten(exponent);
                let (first, last) = ((self.low / step).ceil(), (self.high / step).floor());
                let count = (last - first + 1.0).clamp(0.0, 100.0) as usize;
                let mut values: Vec<f64> = (0..count).map(|index| (first + index as f64) * step).collect();
                // Ranks start at 1. The first whole number is a tick, and the others leave room for it.
                let start = self.low.ceil();
                if whole && start == 1.0 && step > 1.0 {
                    values.insert(0, start);
                }
                values.iter().map(|&value| Tick { value, label: linear_label(value, exponent) }).collect()
            })
            .collect()
    }

    /// Sets of ticks on a logarithmic axis, finest first.
    fn logarithmic_ticks(&self) -> Vec<Vec<Tick>> {
        let (low, high) = (decades(self.low), decades(self.high));
        let exponents = low.floor() as i32..=high.ceil() as i32;
        let within = |value: f64| value >= self.low && value <= self.high;
        let multiples = |mantissas: &[u8]| -> Vec<Tick> {
            let places = exponents.clone().flat_map(|exponent| mantissas.iter().map(move |m| (*m, exponent)));
            places
                .map(|(mantissa, exponent)| Tick {
                    value: f64::from(mantissa) * power_of_ten(exponent),
                    label: logarithmic_label(mantissa, exponent),
                })
                .filter(|tick| within(tick.value))
                .collect()
        };
        let mut sets = Vec::new();
        if high - low < 1.0 {
            sets.extend(self.linear_ticks(false));
            sets.retain(|set| (3..=7).contains(&set.len()));
        }
        sets.extend([multiples(&[1, 2, 5]), multiples(&[1, 3])]);
        for stride in [1, 2, 3, 5, 10, 20, 30, 50, 100, 200] {
            sets.push(
                exponents
                    .clone()
                    .filter(|exponent| exponent % stride == 0)
                    .map(|exponent| Tick {
                        value: power_of_ten(exponent),
                        label: logarithmic_label(1, exponent),
                    })
                    .filter(|tick| within(tick.value))
                    .collect(),
            );
        }
        sets
    }
}

/// Every tick, every 2nd, 5th, 10th … by number, finest first.
fn named_ticks(places: &[(u32, f64)]) -> Vec<Vec<Tick>> {
    let strides = (0..9).flat_map(|exponent| [1, 2, 5].map(|mantissa| mantissa * 10_u32.pow(exponent)));
    strides
        .map(|stride| {
            let chosen = places.iter().filter(|(number, _)| number % stride == 0);
            chosen.map(|&(number, value)| Tick { value, label: grouped(f64::from(number)) }).collect()
        })
        .collect()
}

/// A multiple of 10^exponent, with the digits that distinguish it from its neighbours.
fn linear_label(value: f64, exponent: i32) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if exponent < -4 || value.abs() >= 1e6 {
        let digits = (decades(value.abs()).floor() as i32 - exponent).clamp(0, 15) as usize;
        format!("{value:.digits$e}")
    } else if exponent >= 0 {
        grouped(value)
    } else {
        format!("{value:.*}", exponent.unsigned_abs() as usize)
    }
}

fn logarithmic_label(mantissa: u8, exponent: i32) -> String {
    match exponent {
        0..=4 => grouped(f64::from(mantissa) * power_of_ten(exponent)),
        -3..0 => {
            format!("{:.*}", exponent.unsigned_abs() as usize, f64::from(mantissa) * power_of_ten(exponent))
        }
        _ => format!("{mantissa}e{exponent}"),
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let length = limit.1 - limit.0;
        let roomy = length.abs() >= SHORTEST_WITH_FOOT;
        let foot = if roomy && self.foot.is_some() { FOOT * length.signum() } else { 0 };
        let head = if roomy { self.head.min(length.abs() / 3) * length.signum() } else { 0 };
        if foot != 0 && self.is_below(*value) {
            return limit.0 + foot * 2 / 5;
        }
        let fraction = self.fraction(*value);
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        limit.0 + foot + (fraction * f64::from(length - foot - head)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks
            .iter()
            .find(|tick| tick.value == *value)
            .map_or_else(String::new, |tick| tick.label.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn a_wide_range_gets_powers_of_ten_and_a_narrow_one_plain_numbers() {
        assert_eq!(
            labels(&Axis::logarithmic(4.8e-33, 1.0).fit(150.0, Along::Y)),
            ["1e-30", "1e-20", "1e-10", "1"]
        );
        assert_eq!(
            labels(&Axis::logarithmic(0.02, 0.4).fit(150.0, Along::Y)),
            ["0.02", "0.05", "0.1", "0.2"]
        );
        assert_eq!(
            labels(&Axis::logarithmic(0.04, 0.06).fit(150.0, Along::Y)),
            ["0.04", "0.05", "0.06", "0.07"]
        );
    }

    #[test]
    fn whole_axes_have_whole_ticks() {
        assert_eq!(labels(&Axis::whole(-0.5, 0.5).fit(300.0, Along::X)), ["0"]);
        assert_eq!(labels(&Axis::whole(-0.5, 3.5).fit(300.0, Along::X)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&Axis::whole(0.5, 384.5).fit(200.0, Along::X)), ["1", "100", "200", "300"]);
        assert_eq!(
            labels(&Axis::whole(-0.5, 16383.5).fit(250.0, Along::X)),
            ["0", "5,000", "10,000", "15,000"]
        );
    }

    #[test]
    fn fewer_pixels_mean_fewer_ticks_and_labels_never_touch() {
        for length in [20.0, 60.0, 130.0, 300.0, 800.0] {
            for axis in [
                Axis::logarithmic(1e-33, 1.0),
                Axis::logarithmic(0.5, 0.5),
                Axis::linear(-3.0, 3.0),
                Axis::linear(1e-33, 2e-33),
                Axis::whole(0.5, 16384.5),
                Axis::named(-0.5, 99.5, (0..25).map(|block| (block, f64::from(block) * 4.0)).collect()),
            ] {
                for along in [Along::X, Along::Y] {
                    let axis = axis.clone().fit(length, along);
                    assert!(!axis.ticks.is_empty(), "{axis:?}");
                    assert!(
                        axis.ticks.len() == 1 || axis.has_room_for(&axis.ticks, length, along),
                        "{axis:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_a_logarithm_cannot_show_is_drawn_at_the_foot() {
        let axis = Axis::logarithmic(1e-3, 1.0).with_foot(Some("0".to_owned())).fit(200.0, Along::Y);
        let place = |value: f64| axis.map(&value, (800, 0));
        assert_eq!(axis.clone().with_head(10.0).map(&axis.high(), (800, 0)), 10 * UNIT);
        assert!(place(0.0) > 800 - FOOT && place(0.0) < 800);
        assert!(place(1e-3) < 800 - FOOT);
        assert_eq!(axis.format_ext(&f64::NEG_INFINITY), "0");
        assert_eq!(place(f64::INFINITY), 0);
    }

    #[test]
    fn the_extremes_of_f64_have_an_axis() {
        for (low, high) in [(5e-324, 5e-324), (5e-324, f64::MAX), (f64::MAX, f64::MAX)] {
            let axis = Axis::logarithmic(low, high).fit(200.0, Along::Y);
            assert!(axis.low > 0.0 && axis.high.is_finite() && axis.high > axis.low, "{axis:?}");
        }
    }
}
