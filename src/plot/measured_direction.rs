//! The predicted direction of one site compared with the measured one, component by component.

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint, readable};
use super::number::{counted, short};
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, Mark, PlotError, Size};
use crate::report::{Component, SiteVerification};

/// With a bound below this, the two directions are the same.
const CERTAIN: f64 = 1e-4;

/// Draws |u₁ᵢ| of the measured bottom eigenvector over |vᵢ| of the prediction, on logarithmic scales, with the line where they are equal.
/// Components with opposite signs are rings.
pub fn measured_direction(site: &SiteVerification, size: Size) -> Result<Figure, PlotError> {
    if site.direction.is_empty() {
        return Err(PlotError::Empty("the bottom direction of this site is not one vector, or not resolved"));
    }
    let size = size.legible(1, false);
    let name = readable(&site.name);
    let title = format!("Predicted and measured direction of {name}");
    let caption = caption(site);
    let source = format!("{name} · {} tokens · Gammascope", site.tokens);
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = draw(canvas, &site.direction)?;
        Ok(())
    })?;
    let (kind, width, height) = (FigureKind::MeasuredDirection, size.width, size.height);
    Ok(Figure { kind, title, caption, width, height, svg, marks, table: table(&site.direction) })
}

fn caption(site: &SiteVerification) -> String {
    let cosine = site.cos.unwrap_or_default();
    let bound = match site.sin_bound {
        Some(bound) if bound < CERTAIN => {
            format!("and no more than {} off in sine: they are the same direction.", short(bound))
        }
        Some(bound) if bound < 1.0 => format!("at most {} off in sine.", short(bound)),
        _ => "without a bound, because the spectral gap is too small for one.".to_owned(),
    };
    let shown = match site.direction.len() as u64 {
        all if all == site.width => String::new(),
        some => format!(
            " The figure shows {} of {}: the largest, and a sample.",
            some,
            counted(site.width as usize, "component")
        ),
    };
    format!("On the line, the bottom eigenvector is γ⁻¹/‖γ⁻¹‖. |cos| = {}, {bound}{shown}", short(cosine))
}

fn table(components: &[Component]) -> Table {
    let mut table = Table::new(&[("channel", ""), ("predicted v", ""), ("measured u₁", "")]);
    table.rows = components
        .iter()
        .map(|component| {
            vec![
                Cell::from(component.channel as usize),
                Cell::from(f64::from(component.predicted)),
                Cell::from(f64::from(component.measured)),
            ]
        })
        .collect();
    table
}

fn draw(canvas: &Canvas<'_>, components: &[Component]) -> Result<Vec<Mark>, PlotError> {
    let predicted = |component: &Component| f64::from(component.predicted.abs());
    let measured = |component: &Component| f64::from(component.measured.abs());
    let range = |sizes: &dyn Fn(&Component) -> f64| {
        let sizes = || components.iter().map(sizes).filter(|size| *size > 0.0);
        (sizes().fold(1.0, f64::min), sizes().fold(0.0, f64::max))
    };
    let (x, y) = (range(&predicted), range(&measured));
    // Measured components far below the prediction are noise.
    let low = y.0.max(1e-3 * x.0);
    let off = components.iter().any(|component| measured(component) < low);
    let entry = |glyph, text: &str| Entry { glyph, ink: Ink::A, text: text.to_owned() };
    let differs = |component: &Component| component.predicted * component.measured < 0.0;
    let mut legend = vec![entry(Glyph::Circle, "a component")];
    if components.iter().any(differs) {
        legend.push(entry(Glyph::Ring, "with the opposite sign"));
    }
    let plan = Plan {
        frame: canvas.frame(),
        heading: "|u₁ᵢ| measured, log scale",
        legend,
        x_title: "|vᵢ| predicted, log scale",
        x: Axis::logarithmic(x.0, x.1),
        y: Axis::logarithmic(low.min(x.0), y.1.max(x.1))
            .with_foot(off.then(|| "≈0".to_owned()))
            .with_head(6.0),
        left: None,
    };
    let panel = Panel::new(canvas, plan)?;
    canvas.line(vec![panel.place(x.0, x.0), panel.place(x.1, x.1)], 1.0, Ink::Muted.solid())?;
    let mut marks = Vec::new();
    for (row, component) in components.iter().enumerate() {
        let at = panel.place(predicted(component), measured(component));
        let glyph = if differs(component) { Glyph::Ring } else { Glyph::Circle };
        canvas.glyph(glyph, at, 2.25, Ink::A.solid())?;
        marks.push(mark(at, row));
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::measured::tests::sites;

    fn site(apart: f32) -> SiteVerification {
        let [mut site] = sites(1, 1e-14).try_into().unwrap();
        let component = |channel: u32| {
            let predicted = 0.02 + 0.01 * (channel as f32 * 0.7).sin();
            Component { channel, predicted, measured: predicted + apart * (channel as f32).cos() }
        };
        site.direction = (0..128).map(component).collect();
        site.sin_bound = Some(if apart > 0.0 { 0.4 } else { 2e-7 });
        site
    }

    #[test]
    fn a_certified_direction_says_so_and_another_gives_its_bound() {
        let size = Size { width: 720, height: 0 };
        let figure = measured_direction(&site(0.0), size).unwrap();
        assert!(figure.caption.contains("they are the same direction"), "{}", figure.caption);
        assert!(figure.caption.contains("128 of 384 components"), "{}", figure.caption);
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (128, 128));
        let figure = measured_direction(&site(0.05), size).unwrap();
        assert!(figure.caption.contains("at most 0.4 off in sine"), "{}", figure.caption);
        assert!(figure.svg.contains("with the opposite sign"));
    }

    #[test]
    fn a_site_without_one_bottom_direction_has_no_such_figure() {
        let none = SiteVerification { direction: Vec::new(), ..site(0.0) };
        assert!(measured_direction(&none, Size { width: 720, height: 0 }).is_err());
    }
}
