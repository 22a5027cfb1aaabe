//! Measured depths of all sites: the raw one along the predicted direction, and the scale-free one, which decides.

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint};
use super::number::{counted, short};
use super::palette::Ink;
use super::panel::{Entry, Notes, Panel, Plan, Side, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, Mark, PlotError, Size};
use crate::report::{MeasuredVerdict, SiteVerification};

/// Depths below this are drawn at the foot: rounding, or exactly zero.
const SHOWN_FROM: f64 = 1e-18;

/// Draws depth and depth^ of every measured site with both decision lines.
pub fn measured(sites: &[SiteVerification], size: Size) -> Result<Figure, PlotError> {
    if sites.is_empty() {
        return Err(PlotError::Empty("no site was measured"));
    }
    let map = Map { sites };
    let size = size.legible(1, false);
    let title = "Measured depth of every site".to_owned();
    let caption = map.caption();
    let source = format!("{} measured · Gammascope", counted(sites.len(), "site"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = map.draw(canvas)?;
        Ok(())
    })?;
    let (width, height, table) = (size.width, size.height, map.table());
    Ok(Figure { kind: FigureKind::Measured, title, caption, width, height, svg, marks, table })
}

struct Map<'s> {
    sites: &'s [SiteVerification],
}

impl Map<'_> {
    fn caption(&self) -> String {
        let fooled = self.sites.iter().filter(|site| site.raw_test_fooled).count();
        let fooled = match fooled {
            0 => String::new(),
            some => format!(
                " At {} the raw direction matches γ⁻¹ only because a scale is nearly off.",
                counted(some, "site")
            ),
        };
        format!(
            "Variance over its mean: depth along the predicted direction, and depth^ of the normalised input along 1/√d, which does not depend on the scale. Below {} the mean was subtracted, above {} it was not.{fooled}",
            short(MeasuredVerdict::SUBTRACTED),
            short(MeasuredVerdict::NOT_SUBTRACTED)
        )
    }

    /// One row for each site.
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("site", ""),
            ("depth^", ""),
            ("depth", ""),
            ("|cos^|", ""),
            ("|cos|", ""),
            ("verdict", ""),
        ]);
        let rows = self.sites.iter();
        table.rows = rows
            .map(|site| {
                vec![
                    Cell::from(site.name.as_str()),
                    Cell::from(site.depth_scale_free),
                    Cell::from(site.depth),
                    Cell::from(site.cos_scale_free),
                    Cell::from(site.cos),
                    Cell::from(site.verdict.words()),
                ]
            })
            .collect();
        table
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Result<Vec<Mark>, PlotError> {
        let depths =
            || self.sites.iter().flat_map(|site| [Some(site.depth), site.depth_scale_free]).flatten();
        let shown = || depths().filter(|depth| *depth >= SHOWN_FROM);
        let low = shown().fold(1e-9, f64::min);
        let high = shown().fold(1.0, f64::max);
        let off = depths().any(|depth| depth < low);
        let entry = |glyph, ink, text: String| Entry { glyph, ink, text };
        let verdicts = [
            MeasuredVerdict::MeanSubtracting,
            MeasuredVerdict::NotMeanSubtracting,
            MeasuredVerdict::Inconclusive,
        ];
        let legend = verdicts
            .into_iter()
            .filter(|verdict| self.sites.iter().any(|site| site.verdict == *verdict))
            .map(|verdict| entry(Glyph::Circle, ink(verdict), format!("depth^, {}", verdict.words())))
            .chain([entry(Glyph::Ring, Ink::Muted, "depth".to_owned())])
            .collect();
        let plan = Plan {
            frame: canvas.frame(),
            heading: "variance / mean, log scale",
            legend,
            x_title: "site, in the order of the network",
            x: Axis::whole(0.5, self.sites.len() as f64 + 0.5),
            y: Axis::logarithmic(low, high).with_foot(off.then(|| "≈0".to_owned())).with_head(6.0),
            left: None,
        };
        let panel = Panel::new(canvas, plan)?;
        let end = panel.lower_right().0;
        let mut notes = Notes::new(&panel);
        for (line, text, side) in [
            (MeasuredVerdict::NOT_SUBTRACTED, "no mean subtracted above", Side::AboveEnding),
            (MeasuredVerdict::SUBTRACTED, "mean subtracted below", Side::BelowEnding),
        ] {
            panel.level(line, Ink::Danger.solid())?;
            notes.add(text, &[((end, panel.place(1.0, line).1), side)], Ink::Danger)?;
        }
        let radius = (0.28 * panel.width() / self.sites.len() as f64).clamp(1.5, 3.25);
        let mut marks = Vec::new();
        for (index, site) in self.sites.iter().enumerate() {
            let x = index as f64 + 1.0;
            canvas.glyph(Glyph::Ring, panel.place(x, site.depth), radius, Ink::Muted.solid())?;
            let at = panel.place(x, site.depth_scale_free.unwrap_or(site.depth));
            if site.depth_scale_free.is_some() {
                canvas.glyph(Glyph::Circle, at, radius, ink(site.verdict).solid())?;
            }
            marks.push(mark(at, index));
        }
        Ok(marks)
    }
}

fn ink(verdict: MeasuredVerdict) -> Ink {
    match verdict {
        MeasuredVerdict::MeanSubtracting => Ink::A,
        MeasuredVerdict::NotMeanSubtracting => Ink::B,
        MeasuredVerdict::Inconclusive => Ink::Muted,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::Interval;

    pub(in crate::plot) fn sites(count: u64, depth: f64) -> Vec<SiteVerification> {
        let interval = Interval { value: depth, low: depth, high: depth };
        (0..count)
            .map(|index| SiteVerification {
                name: format!("layers.{index}.norm"),
                tokens: 2048,
                width: 384,
                heavy_tokens: 0,
                gram_crc32: "0badcafe".to_owned(),
                mean_variance: 1.0,
                lambda_v: Some(depth),
                below_tau: Some(1),
                depth: if index % 7 == 0 { 0.0 } else { depth },
                depth_interval: interval,
                cos_interval: None,
                cos: Some(0.5),
                gap_interval: None,
                gap: None,
                sin_bound: None,
                depth_scale_free: (index % 5 != 4).then_some(depth),
                depth_scale_free_interval: None,
                cos_scale_free_interval: None,
                cos_scale_free: None,
                schur_interval: None,
                schur: None,
                schur_null: 0.2,
                spectrum: Vec::new(),
                direction: Vec::new(),
                principal_cosines: None,
                principal_cosines_interval: None,
                zero_variance: None,
                raw_test_fooled: index == 1,
                verdict: if depth < MeasuredVerdict::SUBTRACTED {
                    MeasuredVerdict::MeanSubtracting
                } else {
                    MeasuredVerdict::NotMeanSubtracting
                },
                notes: Vec::new(),
            })
            .collect()
    }

    #[test]
    fn both_decision_lines_are_there_and_fooled_sites_are_counted() {
        let figure = measured(&sites(13, 3e-14), Size { width: 720, height: 0 }).unwrap();
        assert!(
            figure.svg.contains("mean subtracted below\n")
                && figure.svg.contains("no mean subtracted above\n")
        );
        assert!(
            figure
                .caption
                .ends_with("At 1 site the raw direction matches γ⁻¹ only because a scale is nearly off.")
        );
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (13, 13));
    }

    #[test]
    fn no_site_is_an_error() {
        assert!(matches!(measured(&[], Size { width: 1, height: 1 }), Err(PlotError::Empty(_))));
    }
}
