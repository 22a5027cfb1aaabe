//! plotters' SVG backend, with text measured by a table instead of the DOM.
//!
//! Without a font library, plotters measures text differently on each target. Natively it guesses. On wasm32 it uses `window.document`,
//! which panics in a Web Worker. [`Backend`] delegates every drawing call, but takes
//! [`estimate_text_size`](DrawingBackend::estimate_text_size) from a table of advance widths. So a figure has the same bytes on every
//! target. `SVGBackend::draw_text` itself only writes the element and needs no font.

use std::io;

use plotters::backend::SVGBackend;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

/// Drawing units in one CSS pixel. plotters rounds to whole units, so this allows quarters of a pixel.
pub(super) const UNIT: i32 = 4;

/// plotters divides a font's size by this before it writes it to the SVG.
pub(super) const FONT_SIZE_FACTOR: f64 = 1.24;

/// Advance widths of a Helvetica-like sans-serif for U+0020 … U+007E, in thousandths of the font size.
#[rustfmt::skip]
const ADVANCES: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, // space … /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 … ?
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ … O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P … _
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` … o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, // p … ~
];

/// The fonts behind `system-ui` are up to this much wider than Helvetica.
const WIDER: f64 = 1.12;

/// Width of a line of text at `size`, in the unit of `size`. It is an upper estimate for common system fonts.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let thousandths: u32 = text
        .chars()
        .map(|character| match u32::from(character) {
            code @ 0x20..=0x7e => u32::from(ADVANCES[(code - 0x20) as usize]),
            // Subscript and superscript digits and letters.
            0x1d62..=0x1d6a | 0x2070..=0x209c | 0xb2 | 0xb3 | 0xb9 => 350,
            // CJK, full-width forms, pictographs.
            0x1100..=0x115f | 0x2e80..=0xd7a3 | 0xf900..=0xfaff | 0xff00..=0xff60 | 0x1f000.. => 1000,
            _ => 600,
        })
        .sum();
    f64::from(thousandths) / 1000.0 * size * WIDER
}

/// The SVG backend, with text measured by [`text_width`].
pub(super) struct Backend<'a>(SVGBackend<'a>);

impl<'a> Backend<'a> {
    /// Draws into `buffer` on a sheet of `size` units.
    pub(super) fn new(buffer: &'a mut String, size: (u32, u32)) -> Self {
        Self(SVGBackend::with_string(buffer, size))
    }
}

type Outcome = Result<(), DrawingErrorKind<io::Error>>;

impl DrawingBackend for Backend<'_> {
    type ErrorType = io::Error;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Outcome {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Outcome {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Outcome {
        self.0.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Outcome {
        let (from, to) = crisp(from, to, style.stroke_width());
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Outcome {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Outcome {
        let mut path: Vec<BackendCoord> = path.into_iter().collect();
        if let [from, to] = path[..] {
            let (from, to) = crisp(from, to, style.stroke_width());
            path = vec![from, to];
        }
        self.0.draw_path(path, style)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Outcome {
        self.0.draw_circle(center, radius, style, fill)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vertices: I,
        style: &S,
    ) -> Outcome {
        self.0.fill_polygon(vertices, style)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, position: BackendCoord) -> Outcome {
        self.0.draw_text(text, style, position)
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<io::Error>> {
        let size = style.size() / FONT_SIZE_FACTOR;
        Ok((text_width(text, size).ceil() as u32, (1.2 * size).ceil() as u32))
    }
}

/// Moves a horizontal or vertical hairline to the middle of its pixel row or column, where it is sharp.
fn crisp(from: BackendCoord, to: BackendCoord, stroke_width: u32) -> (BackendCoord, BackendCoord) {
    if stroke_width != UNIT as u32 {
        (from, to)
    } else if from.1 == to.1 {
        let y = middle_of_pixel(from.1);
        ((from.0, y), (to.0, y))
    } else if from.0 == to.0 {
        let x = middle_of_pixel(from.0);
        ((x, from.1), (x, to.1))
    } else {
        (from, to)
    }
}

/// The middle of the pixel that holds the coordinate, in units.
pub(super) fn middle_of_pixel(coordinate: i32) -> i32 {
    coordinate.div_euclid(UNIT) * UNIT + UNIT / 2
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{Lettering, text_style};
    use super::super::palette::Ink;
    use super::*;
    use plotters::prelude::*;

    #[test]
    fn text_is_measured_without_any_font() {
        let mut buffer = String::new();
        let area = Backend::new(&mut buffer, (400, 400)).into_drawing_area();
        let lettering = Lettering { size: 12.0, bold: false, ink: Ink::Text };
        let style = text_style(lettering);
        let (width, height) = area.estimate_text_size("0.051", &style).unwrap();
        assert_eq!(width, text_width("0.051", 48.0).ceil() as u32);
        assert_eq!((width, height), (135, 58));
        assert_eq!(area.estimate_text_size("", &style).unwrap().0, 0);
    }

    #[test]
    fn a_hairline_sits_in_the_middle_of_a_pixel() {
        let hair = UNIT as u32;
        assert_eq!(crisp((0, 9), (40, 9), hair), ((0, 10), (40, 10)));
        assert_eq!(crisp((-1, 0), (-1, 40), hair), ((-2, 0), (-2, 40)));
        assert_eq!(crisp((0, 9), (40, 10), hair), ((0, 9), (40, 10)));
        assert_eq!(crisp((0, 9), (40, 9), 2 * hair), ((0, 9), (40, 9)));
    }
}
