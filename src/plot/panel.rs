//! One pair of axes with its heading: a plotters chart with our own ticks, and what is placed on it.

use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::coord::CoordTranslate;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{BoldPoints, Ranged};
use plotters::style::RGBAColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Along, Axis, TICK_FONT};
use super::backend::{UNIT, text_width};
use super::canvas::{
    Canvas, Frame, Glyph, HEADING_FONT, Lettering, Point, shortened, stroke, text_style, units,
};
use super::palette::Ink;
use super::{Mark, PlotError};

/// Pixels above the axes for the heading, and for a legend that does not fit beside it.
const HEADING: f64 = 26.0;
const LEGEND: f64 = 18.0;

/// Bold letters are wider by this factor.
const BOLD: f64 = 1.1;

/// Pixels between entries of a legend, and from an entry's mark to its text.
const ENTRY_GAP: f64 = 14.0;
const ENTRY_MARK: f64 = 12.0;

/// Pixels below the axes for tick labels, and for the title under them.
const TICK_LABELS: f64 = 19.0;
const AXIS_TITLE: f64 = 15.0;

/// Pixels between a tick's label and the axis.
const LABEL_DISTANCE: f64 = 5.0;

/// Fewest pixels right of the axes.
const RIGHT: f64 = 10.0;

/// The plan of a panel.
pub(super) struct Plan<'s> {
    pub(super) frame: Frame,
    /// Quantity and unit of the vertical axis, written above it.
    pub(super) heading: &'s str,
    /// Meaning of the marks, if a heading cannot say it.
    pub(super) legend: Vec<Entry>,
    /// Quantity and unit of the horizontal axis.
    pub(super) x_title: &'s str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Pixels for the labels of the vertical axis. Panels that share a horizontal axis share this.
    pub(super) left: Option<f64>,
}

/// A legend entry: what a mark means.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) glyph: Glyph,
    pub(super) ink: Ink,
    pub(super) text: String,
}

impl Entry {
    fn width(&self) -> f64 {
        ENTRY_MARK + text_width(&self.text, TICK_FONT)
    }
}

/// Drawn axes, ready for data.
pub(super) struct Panel<'c, 'a> {
    canvas: &'c Canvas<'a>,
    coordinates: Cartesian2d<Axis, Axis>,
    /// Corners of the plotting area in units.
    upper_left: Point,
    lower_right: Point,
}

/// The position of a note relative to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Above and to the right, or to the left if there is no room.
    Above,
    /// Above and to the left.
    AboveEnding,
    /// Below and to the left.
    BelowEnding,
    /// To the right, or to the left if there is no room.
    Beside,
    /// To the left.
    BesideEnding,
}

impl Plan<'_> {
    /// Pixels that the labels of the vertical axis need.
    pub(super) fn left_needed(&self) -> f64 {
        self.y.clone().fit(self.plot_height(), Along::Y).widest_label() + LABEL_DISTANCE + 1.0
    }

    fn below(&self) -> f64 {
        TICK_LABELS + if self.x_title.is_empty() { 0.0 } else { AXIS_TITLE }
    }

    fn above(&self) -> f64 {
        HEADING + if self.legend_fits_beside() { 0.0 } else { LEGEND * self.legend_rows().len() as f64 }
    }

    fn legend_width(&self) -> f64 {
        self.legend.iter().map(|entry| entry.width() + ENTRY_GAP).sum::<f64>()
    }

    fn legend_fits_beside(&self) -> bool {
        BOLD * text_width(self.heading, HEADING_FONT) + self.legend_width() <= self.frame.width
    }

    /// The entries of a legend under the heading, in rows that fit.
    fn legend_rows(&self) -> Vec<Vec<&Entry>> {
        let mut rows: Vec<Vec<&Entry>> = Vec::new();
        let mut end = f64::INFINITY;
        for entry in &self.legend {
            if end + entry.width() > self.frame.width {
                rows.push(Vec::new());
                end = 0.0;
            }
            end += entry.width() + ENTRY_GAP;
            if let Some(row) = rows.last_mut() {
                row.push(entry);
            }
        }
        rows
    }

    fn plot_height(&self) -> f64 {
        self.frame.height - self.above() - self.below()
    }

    fn draw_heading(&self, canvas: &Canvas<'_>) -> Result<(), PlotError> {
        let Frame { left, top, width, .. } = self.frame;
        let heading = shortened(self.heading, width / BOLD, HEADING_FONT);
        let lettering = Lettering { size: HEADING_FONT, bold: true, ink: Ink::Text };
        canvas.text(&heading, (units(left), units(top + 4.0)), HPos::Left, VPos::Top, lettering)?;
        if self.legend_fits_beside() {
            let right = left + width - self.legend_width() + ENTRY_GAP;
            return draw_entries(canvas, self.legend.iter(), right, top + 10.0);
        }
        for (number, row) in self.legend_rows().into_iter().enumerate() {
            draw_entries(canvas, row.into_iter(), left, top + 10.0 + LEGEND * (number + 1) as f64)?;
        }
        Ok(())
    }
}

/// Draws a row of a legend from `x` on, with its middle at `y` (pixels).
fn draw_entries<'e>(
    canvas: &Canvas<'_>,
    entries: impl Iterator<Item = &'e Entry>,
    mut x: f64,
    y: f64,
) -> Result<(), PlotError> {
    let lettering = Lettering { size: TICK_FONT, bold: false, ink: Ink::Muted };
    for entry in entries {
        canvas.glyph(entry.glyph, (units(x + 4.0), units(y)), 3.5, entry.ink.solid())?;
        canvas.text(&entry.text, (units(x + ENTRY_MARK), units(y)), HPos::Left, VPos::Center, lettering)?;
        x += entry.width() + ENTRY_GAP;
    }
    Ok(())
}

impl<'c, 'a> Panel<'c, 'a> {
    /// Fits the axes to the frame and draws them.
    pub(super) fn new(canvas: &'c Canvas<'a>, plan: Plan<'_>) -> Result<Self, PlotError> {
        let left = plan.left.unwrap_or_else(|| plan.left_needed());
        let (frame, above, below) = (plan.frame, plan.above(), plan.below());
        let y = plan.y.clone().fit(plan.plot_height(), Along::Y);
        let mut width = frame.width - left - RIGHT;
        let mut x = plan.x.clone().fit(width, Along::X);
        let overhang = x.overhang(width);
        if overhang > RIGHT {
            width -= overhang - RIGHT;
            x = plan.x.clone().fit(width, Along::X);
        }

        let area = canvas.sheet().clone().shrink(
            (units(frame.left), units(frame.top + above)),
            (units(left + width), units(frame.height - above)),
        );
        let mut chart = ChartBuilder::on(&area)
            .set_label_area_size(LabelAreaPosition::Left, units(left))
            .set_label_area_size(LabelAreaPosition::Bottom, units(below))
            .build_cartesian_2d(x, y)?;
        let labels = Lettering { size: TICK_FONT, bold: false, ink: Ink::Muted };
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .max_light_lines(0)
            .light_line_style(Ink::Grid.at(0.0))
            .bold_line_style(stroke(1.0, Ink::Grid.solid()))
            .axis_style(Ink::Axis.at(0.0))
            .set_all_tick_mark_size(units(LABEL_DISTANCE / 2.0))
            .label_style(text_style(labels))
            .axis_desc_style(text_style(labels));
        if !plan.x_title.is_empty() {
            mesh.x_desc(plan.x_title);
        }
        mesh.draw()?;

        let (across, down) = chart.plotting_area().get_pixel_range();
        let panel = Self {
            canvas,
            coordinates: chart.as_coord_spec().clone(),
            upper_left: (across.start, down.start),
            lower_right: (across.end, down.end),
        };
        panel.draw_base_line()?;
        plan.draw_heading(canvas)?;
        Ok(panel)
    }

    /// Draws the horizontal axis and its ticks.
    fn draw_base_line(&self) -> Result<(), PlotError> {
        let foot = self.lower_right.1;
        let color = Ink::Axis.solid();
        self.canvas.line(vec![(self.upper_left.0, foot), (self.lower_right.0, foot)], 1.0, color)?;
        for tick in self.coordinates.x_spec().key_points(BoldPoints(0)) {
            let x = self.place(tick, f64::NAN).0;
            self.canvas.line(vec![(x, foot), (x, foot + units(3.0))], 1.0, color)?;
        }
        Ok(())
    }

    /// Returns the place of a datum, in units.
    pub(super) fn place(&self, x: f64, y: f64) -> Point {
        self.coordinates.translate(&(x, y))
    }

    /// The vertical axis.
    pub(super) fn y(&self) -> &Axis {
        self.coordinates.y_spec()
    }

    /// Upper left corner of the plotting area, in units.
    pub(super) fn upper_left(&self) -> Point {
        self.upper_left
    }

    /// Lower right corner of the plotting area, in units.
    pub(super) fn lower_right(&self) -> Point {
        self.lower_right
    }

    /// Width of the plotting area in pixels.
    pub(super) fn width(&self) -> f64 {
        f64::from(self.lower_right.0 - self.upper_left.0) / f64::from(UNIT)
    }

    /// Draws a dashed horizontal line.
    pub(super) fn level(&self, y: f64, color: RGBAColor) -> Result<(), PlotError> {
        let height = self.place(f64::NAN, y).1;
        self.canvas.dashes((self.upper_left.0, height), (self.lower_right.0, height), color)
    }

    /// Draws a dashed vertical line.
    pub(super) fn upright(&self, x: f64, color: RGBAColor) -> Result<(), PlotError> {
        let place = self.place(x, f64::NAN).0;
        self.canvas.dashes((place, self.upper_left.1), (place, self.lower_right.1), color)
    }

    /// Returns the rectangle of a note in units (left, top, right, bottom), and whether the note ends at its place. The rectangle is
    /// within the plotting area.
    pub(super) fn note_frame(&self, text: &str, at: Point, side: Side) -> ([i32; 4], bool) {
        const GAP: f64 = 5.0;
        let (width, height) = (units(text_width(text, TICK_FONT)), units(TICK_FONT));
        let (left, right) = (self.upper_left.0, self.lower_right.0);
        let gap = units(GAP);
        let fits_right = at.0 + gap + width <= right;
        let fits_left = at.0 - gap - width >= left;
        let ends_there = match side {
            Side::Above | Side::Beside => !fits_right,
            Side::AboveEnding | Side::BelowEnding | Side::BesideEnding => true,
        };
        let x = if !ends_there {
            at.0 + gap
        } else if side == Side::Above && !fits_left {
            // Above its place, as far right as there is room.
            right - width
        } else {
            at.0 - gap - width
        };
        let y = match side {
            Side::Above if !fits_left && !fits_right => at.1 - gap - units(3.0),
            Side::Above | Side::AboveEnding => at.1 - gap,
            Side::BelowEnding => at.1 + gap + height,
            Side::Beside | Side::BesideEnding => at.1 + height / 2,
        };
        let x = x.min(right - width).max(left);
        let y = y.max(self.upper_left.1 + height).min(self.lower_right.1);
        ([x, y - height, x + width, y], ends_there)
    }

    /// Draws a short text beside a place.
    pub(super) fn note(&self, text: &str, at: Point, side: Side, ink: Ink) -> Result<(), PlotError> {
        let ([left, _, right, bottom], ends_there) = self.note_frame(text, at, side);
        let lettering = Lettering { size: TICK_FONT, bold: false, ink };
        // Anchored at the end next to its place, so that a narrower font leaves no gap there.
        if ends_there {
            self.canvas.text(text, (right, bottom), HPos::Right, VPos::Bottom, lettering)
        } else {
            self.canvas.text(text, (left, bottom), HPos::Left, VPos::Bottom, lettering)
        }
    }

    /// Draws a note that must be legible across data, on a plate in the page's own colour.
    pub(super) fn note_on_plate(&self, text: &str, at: Point, side: Side, ink: Ink) -> Result<(), PlotError> {
        let ([left, top, right, bottom], _) = self.note_frame(text, at, side);
        let rim = units(2.0);
        self.canvas.block((left - rim, top - rim), (right + rim, bottom + rim), Ink::Surface.at(0.85))?;
        self.note(text, at, side, ink)
    }
}

/// Notes of a panel that do not overlap.
pub(super) struct Notes<'p, 'c, 'a> {
    panel: &'p Panel<'c, 'a>,
    /// Rectangles of the notes so far: left, top, right, bottom.
    taken: Vec<[i32; 4]>,
}

impl<'p, 'c, 'a> Notes<'p, 'c, 'a> {
    /// Starts without notes.
    pub(super) fn new(panel: &'p Panel<'c, 'a>) -> Self {
        Self { panel, taken: Vec::new() }
    }

    /// Adds a note at the first of these places that is free. If none is free, the note is left out, because captions also say
    /// everything.
    pub(super) fn add(&mut self, text: &str, places: &[(Point, Side)], ink: Ink) -> Result<(), PlotError> {
        for &(at, side) in places {
            let (frame, _) = self.panel.note_frame(text, at, side);
            let apart = |taken: &[i32; 4]| {
                frame[2] <= taken[0] || frame[0] >= taken[2] || frame[3] <= taken[1] || frame[1] >= taken[3]
            };
            if self.taken.iter().all(apart) {
                self.taken.push(frame);
                return self.panel.note(text, at, side, ink);
            }
        }
        Ok(())
    }
}

/// Makes the mark of a table row at a place.
pub(super) fn mark(at: Point, row: usize) -> Mark {
    let pixels = |units: i32| units as f32 / UNIT as f32;
    Mark { x: pixels(at.0), y: pixels(at.1), row: u32::try_from(row).unwrap_or(u32::MAX) }
}
