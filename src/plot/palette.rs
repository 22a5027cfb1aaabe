//! Colours of the figures: CSS variables with a light theme as fallback, so that the page's theme applies inside the SVG.
//!
//! plotters writes colours as `#RRGGBB`. So each [`Ink`] draws with a placeholder, and [`themed`] replaces it by `var(--plot-…, #…)`.
//! Text cannot imitate a placeholder, because text must escape the raw quotes around an attribute.

use plotters::style::RGBAColor;

/// The meaning of a colour in a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text and reference lines that must be read.
    Text,
    /// Axis labels and secondary text.
    Muted,
    /// Axis lines.
    Axis,
    /// Grid lines.
    Grid,
    /// The page behind the figure, for plates under labels that cross data.
    Surface,
    /// First series; LayerNorm.
    A,
    /// Second series; RMSNorm; negative scales.
    B,
    /// Third series; other norms.
    C,
    /// Dead or nearly dead.
    Danger,
}

impl Ink {
    const ALL: [Self; 9] = [
        Self::Text,
        Self::Muted,
        Self::Axis,
        Self::Grid,
        Self::Surface,
        Self::A,
        Self::B,
        Self::C,
        Self::Danger,
    ];

    /// Name of the CSS variable, without `--plot-`.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "ink",
            Self::Muted => "muted",
            Self::Axis => "axis",
            Self::Grid => "grid",
            Self::Surface => "surface",
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
            Self::Danger => "danger",
        }
    }

    /// The colour if the page defines none. On white, text colours have a contrast of at least 4.5.
    fn fallback(self) -> &'static str {
        match self {
            Self::Text => "#1f2933",
            Self::Muted => "#5b6673",
            Self::Axis => "#9aa5b1",
            Self::Grid => "#e4e7eb",
            Self::Surface => "#ffffff",
            Self::A => "#1f6fb2",
            Self::B => "#b4530a",
            Self::C => "#00796b",
            Self::Danger => "#c02634",
        }
    }

    fn sentinel(self) -> (u8, u8, u8) {
        (0xf0, 0x0d, self as u8)
    }

    fn css(self) -> String {
        format!("var(--plot-{}, {})", self.name(), self.fallback())
    }

    /// Returns the opaque colour.
    pub(super) fn solid(self) -> RGBAColor {
        self.at(1.0)
    }

    /// Returns the colour with an opacity. The SVG has opacity as a separate attribute.
    pub(super) fn at(self, opacity: f64) -> RGBAColor {
        let (red, green, blue) = self.sentinel();
        RGBAColor(red, green, blue, opacity)
    }
}

/// Replaces every placeholder in attributes by its CSS variable.
pub(super) fn themed(svg: &str) -> String {
    Ink::ALL.iter().fold(svg.to_owned(), |svg, ink| {
        let (red, green, blue) = ink.sentinel();
        svg.replace(&format!("\"#{red:02X}{green:02X}{blue:02X}\""), &format!("\"{}\"", ink.css()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_becomes_a_variable_with_a_fallback() {
        let themed = themed(r##"<path opacity="0.5" stroke="#F00D05"/><text>#F00D05</text>"##);
        assert_eq!(themed, r##"<path opacity="0.5" stroke="var(--plot-a, #1f6fb2)"/><text>#F00D05</text>"##);
    }

    #[test]
    fn every_text_colour_has_contrast_on_white() {
        for ink in [Ink::Text, Ink::Muted, Ink::A, Ink::B, Ink::C, Ink::Danger] {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&ink.fallback()[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            let luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
            let contrast = 1.05 / (luminance + 0.05);
            assert!(contrast >= 4.5, "{ink:?} has a contrast of {contrast}");
        }
    }
}
