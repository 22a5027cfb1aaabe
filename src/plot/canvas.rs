//! The sheet of a figure: layout, SVG frame, and the few shapes that figures use.
//!
//! Layout is in CSS pixels (f64). Everything that reaches plotters is in units, [`UNIT`] to the pixel.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, Cross, DashedPathElement, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, RGBAColor, ShapeStyle, TextStyle};
use plotters_backend::{BackendCoord, FontFamily, FontStyle};

use super::backend::{Backend, FONT_SIZE_FACTOR, UNIT, middle_of_pixel, text_width};
use super::palette::Ink;
use super::palette::themed;
use super::{PlotError, Size};
use crate::report::words::is_unseen;

/// A place on the sheet, in units.
pub(super) type Point = BackendCoord;

/// The part of plotters that a canvas and its panels share.
pub(super) type Sheet<'a> = DrawingArea<Backend<'a>, Shift>;

const FONT_FAMILY: &str = "system-ui, sans-serif";

/// Size of headings in pixels.
pub(super) const HEADING_FONT: f64 = 12.0;

/// Size of the line at the foot of the sheet in pixels.
const SOURCE_FONT: f64 = 10.0;

/// Empty pixels around the panels.
pub(super) const MARGIN: f64 = 8.0;

/// Pixels between panels side by side.
const GUTTER: f64 = 28.0;

/// Height of the line at the foot of the sheet.
const SOURCE_LINE: f64 = 18.0;

/// Pixels to units.
pub(super) fn units(pixels: f64) -> i32 {
    (pixels * f64::from(UNIT)).round() as i32
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Text of the sheet besides its drawing.
pub(super) struct Words<'s> {
    /// Name of the figure, for screen readers.
    pub(super) title: &'s str,
    /// What it shows, for screen readers.
    pub(super) description: &'s str,
    /// Source of the data: a small line at the foot, shortened at the start to fit.
    pub(super) source: &'s str,
}

/// Shapes of marks. They are distinct even without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyph {
    Circle,
    /// An open circle.
    Ring,
    Square,
    /// A triangle that points up.
    Up,
    /// A triangle that points down.
    Down,
    Cross,
}

/// Style of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lettering {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) ink: Ink,
}

/// A sheet being drawn on.
pub(super) struct Canvas<'a> {
    sheet: Sheet<'a>,
    size: Size,
}

/// Draws a whole SVG document of `size`.
pub(super) fn paint(
    size: Size,
    words: &Words<'_>,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut drawing = String::new();
    {
        let unit = UNIT.unsigned_abs();
        let sheet = Backend::new(&mut drawing, (size.width * unit, size.height * unit)).into_drawing_area();
        let canvas = Canvas { sheet, size };
        draw(&canvas)?;
        canvas.source_line(words.source)?;
        canvas.sheet.present()?;
    }
    Ok(framed(&drawing, size, words))
}

/// Replaces the opening of plotters' SVG by our own, which has the words and colours, and removes attributes that state the default.
fn framed(drawing: &str, size: Size, words: &Words<'_>) -> String {
    let body = drawing.split_once(">\n").map_or("", |(_, body)| body);
    let body = body
        .replace(&format!(" font-family=\"{FONT_FAMILY}\""), "")
        .replace(" opacity=\"1\"", "")
        .replace(" stroke=\"none\" stroke-width=\"1\"", "")
        .replace(" stroke=\"none\"", "");
    let Size { width, height } = size;
    let unit = UNIT.unsigned_abs();
    let (sheet_width, sheet_height) = (width * unit, height * unit);
    let (title, description) = (escaped(words.title), escaped(words.description));
    themed(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {sheet_width} {sheet_height}\" role=\"img\" font-family=\"{FONT_FAMILY}\">\n\
         <title>{title}</title>\n<desc>{description}</desc>\n{body}"
    ))
}

/// Escapes text for markup.
fn escaped(text: &str) -> String {
    readable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Removes from a name the characters that XML forbids (control characters, U+FFFE, U+FFFF) and those that reorder the text around them.
pub(super) fn readable(text: &str) -> String {
    text.replace(is_unseen, "\u{fffd}")
}

/// Returns an ellipsis and the end of `text` that fits in `width` pixels. The end of a site's name is its most informative part.
pub(super) fn shortened(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut used = text_width("…", size);
    let fits = |&(_, character): &(usize, char)| {
        used += text_width(character.encode_utf8(&mut [0; 4]), size);
        used <= width
    };
    let start = text.char_indices().rev().take_while(fits).last().map_or(text.len(), |(index, _)| index);
    format!("…{}", &text[start..])
}

/// Groups `points` (left to right) that share a column of `column` units.
pub(super) fn columns(points: &[Point], column: i32) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    while start < points.len() {
        let place = points[start].0.div_euclid(column);
        let end = start + points[start..].partition_point(|point| point.0.div_euclid(column) <= place);
        runs.push(start..end);
        start = end;
    }
    runs
}

/// Returns the indices of the `points` (left to right) to draw: the lowest and the highest of each column of pixels. Columns widen until
/// at most `most` are left. Up to `most` points are all kept.
pub(super) fn thinned(points: &[Point], most: usize) -> Vec<usize> {
    if points.len() <= most {
        return (0..points.len()).collect();
    }
    let mut column = UNIT;
    loop {
        let mut kept: Vec<usize> = Vec::new();
        for run in columns(points, column) {
            let extreme = |better: fn(i32, i32) -> bool| {
                run.clone().fold(run.start, |best, index| {
                    if better(points[index].1, points[best].1) { index } else { best }
                })
            };
            let (lowest, highest) = (extreme(|a, b| a > b), extreme(|a, b| a < b));
            kept.extend([lowest.min(highest), lowest.max(highest)]);
            kept.dedup();
        }
        if kept.len() <= most {
            return kept;
        }
        column *= 2;
    }
}

impl<'a> Canvas<'a> {
    /// The plotters surface for a panel's chart.
    pub(super) fn sheet(&self) -> &Sheet<'a> {
        &self.sheet
    }

    /// The area inside the margins and above the source line.
    pub(super) fn frame(&self) -> Frame {
        let (width, height) = (f64::from(self.size.width), f64::from(self.size.height));
        Frame { left: MARGIN, top: 4.0, width: width - 2.0 * MARGIN, height: height - 4.0 - SOURCE_LINE }
    }

    /// Returns two frames, side by side on a wide sheet and stacked on a narrow one.
    pub(super) fn pair(&self) -> [Frame; 2] {
        let whole = self.frame();
        if self.size.is_wide() {
            let width = (whole.width - GUTTER) / 2.0;
            [Frame { width, ..whole }, Frame { left: whole.left + width + GUTTER, width, ..whole }]
        } else {
            self.stack(0.5)
        }
    }

    /// Returns two stacked frames. The upper one gets this share of the height.
    pub(super) fn stack(&self, share: f64) -> [Frame; 2] {
        let whole = self.frame();
        let height = ((whole.height - MARGIN) * share).round();
        [
            Frame { height, ..whole },
            Frame { top: whole.top + height + MARGIN, height: whole.height - MARGIN - height, ..whole },
        ]
    }

    fn source_line(&self, source: &str) -> Result<(), PlotError> {
        let width = f64::from(self.size.width) - 2.0 * MARGIN;
        let text = shortened(source, width, SOURCE_FONT);
        let at = (units(MARGIN), units(f64::from(self.size.height) - 4.0));
        let lettering = Lettering { size: SOURCE_FONT, bold: false, ink: Ink::Muted };
        self.text(&text, at, HPos::Left, VPos::Bottom, lettering)
    }

    /// Draws one line of text, anchored at a place.
    pub(super) fn text(
        &self,
        text: &str,
        at: Point,
        horizontal: HPos,
        vertical: VPos,
        lettering: Lettering,
    ) -> Result<(), PlotError> {
        let style = text_style(lettering).pos(Pos::new(horizontal, vertical));
        Ok(self.sheet.draw_text(&readable(text), &style, at)?)
    }

    /// Draws a mark of this shape and half-width.
    pub(super) fn glyph(
        &self,
        glyph: Glyph,
        at: Point,
        radius: f64,
        color: RGBAColor,
    ) -> Result<(), PlotError> {
        match glyph {
            Glyph::Circle => self.dot(at, radius, color),
            Glyph::Square => self.square(at, radius * 0.9, color),
            Glyph::Up => self.triangle(at, -radius * 1.2, color),
            Glyph::Down => self.triangle(at, radius * 1.2, color),
            Glyph::Cross => self.cross(at, radius, color),
            Glyph::Ring => Ok(self.sheet.draw(&Circle::new(at, units(radius * 0.9), stroke(1.25, color)))?),
        }
    }

    /// Draws a filled circle.
    pub(super) fn dot(&self, at: Point, radius: f64, color: RGBAColor) -> Result<(), PlotError> {
        Ok(self.sheet.draw(&Circle::new(at, units(radius), filled(color)))?)
    }

    /// Draws a filled square of this half-width.
    fn square(&self, at: Point, radius: f64, color: RGBAColor) -> Result<(), PlotError> {
        let reach = units(radius);
        let corners = [(at.0 - reach, at.1 - reach), (at.0 + reach, at.1 + reach)];
        Ok(self.sheet.draw(&Rectangle::new(corners, filled(color)))?)
    }

    /// Draws a filled triangle around its centre, which points down (`reach` > 0) or up (`reach` < 0).
    fn triangle(&self, at: Point, reach: f64, color: RGBAColor) -> Result<(), PlotError> {
        let (half, tip) = (units(reach.abs()), units(reach));
        let corners =
            [(at.0 - half, at.1 - tip * 3 / 4), (at.0 + half, at.1 - tip * 3 / 4), (at.0, at.1 + tip)];
        Ok(self.sheet.draw(&Polygon::new(corners, filled(color)))?)
    }

    /// Draws two crossing strokes.
    fn cross(&self, at: Point, radius: f64, color: RGBAColor) -> Result<(), PlotError> {
        Ok(self.sheet.draw(&Cross::new(at, units(radius), stroke(1.5, color)))?)
    }

    /// Draws a line through places.
    pub(super) fn line(&self, points: Vec<Point>, width: f64, color: RGBAColor) -> Result<(), PlotError> {
        Ok(self.sheet.draw(&PathElement::new(points, stroke(width, color)))?)
    }

    /// Draws a dashed hairline between two places.
    pub(super) fn dashes(&self, from: Point, to: Point, color: RGBAColor) -> Result<(), PlotError> {
        let sharp = |(x, y): Point| {
            if from.1 == to.1 { (x, middle_of_pixel(y)) } else { (middle_of_pixel(x), y) }
        };
        let ends = [sharp(from), sharp(to)];
        Ok(self.sheet.draw(&DashedPathElement::new(ends, units(5.0), units(4.0), stroke(1.0, color)))?)
    }

    /// Draws vertical hairlines (x, top, foot) from left to right. Neighbours are joined into one element.
    pub(super) fn ranges(&self, ranges: &[(i32, i32, i32)], color: RGBAColor) -> Result<(), PlotError> {
        for run in ranges.chunk_by(|a, b| middle_of_pixel(b.0) - middle_of_pixel(a.0) <= UNIT) {
            let mut points = Vec::with_capacity(2 * run.len());
            for (index, &(x, top, foot)) in run.iter().enumerate() {
                let x = middle_of_pixel(x);
                // At least a pixel high. Alternates up and down.
                let (top, foot) = ((x, top), (x, foot.max(top + UNIT)));
                points.extend(if index % 2 == 0 { [top, foot] } else { [foot, top] });
            }
            self.line(points, 1.0, color)?;
        }
        Ok(())
    }

    /// Draws a filled rectangle between two corners, with its edges on whole pixels.
    pub(super) fn block(&self, from: Point, to: Point, color: RGBAColor) -> Result<(), PlotError> {
        let whole = |(x, y): Point| (whole_pixel(x), whole_pixel(y));
        Ok(self.sheet.draw(&Rectangle::new([whole(from), whole(to)], filled(color)))?)
    }
}

/// The nearest edge between pixels, in units.
pub(super) fn whole_pixel(coordinate: i32) -> i32 {
    (coordinate + UNIT / 2).div_euclid(UNIT) * UNIT
}

/// Makes plotters' style for a text.
pub(super) fn text_style(lettering: Lettering) -> TextStyle<'static> {
    let size = lettering.size * f64::from(UNIT) * FONT_SIZE_FACTOR;
    let style = if lettering.bold { FontStyle::Bold } else { FontStyle::Normal };
    FontDesc::new(FontFamily::Name(FONT_FAMILY), size, style).color(&lettering.ink.solid())
}

fn filled(color: RGBAColor) -> ShapeStyle {
    ShapeStyle { color, filled: true, stroke_width: 1 }
}

/// Makes plotters' style for a line of `width` pixels.
pub(super) fn stroke(width: f64, color: RGBAColor) -> ShapeStyle {
    ShapeStyle { color, filled: false, stroke_width: units(width).unsigned_abs() }
}

impl From<DrawingAreaErrorKind<std::io::Error>> for PlotError {
    fn from(error: DrawingAreaErrorKind<std::io::Error>) -> Self {
        Self::Drawing(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("encoder.layer.11.output.LayerNorm", 90.0, 10.0), "…tput.LayerNorm");
        assert_eq!(shortened("norm", 90.0, 10.0), "norm");
        assert_eq!(shortened("norm", 1.0, 10.0), "…");
    }

    #[test]
    fn thinning_keeps_the_extremes_and_the_order() {
        let mut points: Vec<Point> = (0..10_000).map(|index| (index / 10, (index * 7919) % 100)).collect();
        points[5_003].1 = -50;
        points[5_004].1 = 500;
        let kept = thinned(&points, 600);
        assert!(kept.len() <= 600 && kept.len() > 200);
        assert!(kept.contains(&5_003) && kept.contains(&5_004));
        assert!(kept.is_sorted());
        assert_eq!(thinned(&points[..600], 600).len(), 600);
    }

    #[test]
    fn names_lose_what_xml_forbids() {
        assert_eq!(readable("a\u{0}\u{1b}[31m\u{202e}b\u{ffff}é"), "a\u{fffd}\u{fffd}[31m\u{fffd}b\u{fffd}é");
        assert_eq!(escaped("<a b=\"&'\">"), "&lt;a b=&quot;&amp;'&quot;&gt;");
    }
}
