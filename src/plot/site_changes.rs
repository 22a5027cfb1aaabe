//! Changes at each site between two checkpoints, in network order: the angle between the kernel directions, and the relative change of
//! the scale.

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Point, Words, paint, thinned};
use super::number::{counted, short};
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::report::NormKind;
use crate::report::comparison::SiteComparison;

/// An axis of changes begins no lower than this, because smaller values are rounding.
const SHOWN_FROM: f64 = 1e-12;

/// Draws the angle between the two kernel directions of every site that has one in both, in degrees.
pub fn kernel_angles(sites: &[SiteComparison], size: Size) -> Result<Figure, PlotError> {
    let changes = Changes::new(sites, |site| site.angle.map(f64::to_degrees));
    let greatest = changes.greatest().ok_or(PlotError::Empty("no site has a kernel direction in both"))?;
    let caption = format!(
        "How far each kernel direction γ⁻¹ turned from the first checkpoint to the second, as a line: 0° is the same direction, 90° a perpendicular one. {} turned, by {}° at most; scaling all of γ turns none.",
        changes.changed(),
        short(greatest),
    );
    changes.figure(
        FigureKind::KernelAngles,
        "Angle between the kernel directions",
        caption,
        ("angle", "°", "angle in degrees, log scale"),
        size,
    )
}

/// Draws ‖γ after − γ before‖ ÷ ‖γ before‖ of every site whose scales could be read in both.
pub fn scale_changes(sites: &[SiteComparison], size: Size) -> Result<Figure, PlotError> {
    let changes = Changes::new(sites, |site| site.relative_change);
    let greatest =
        changes.greatest().ok_or(PlotError::Empty("no site has a scale that could be read in both"))?;
    let caption = format!(
        "How far each scale moved, in units of its own length: ‖γ after − γ before‖ ÷ ‖γ before‖ of the effective scales. {} changed, by {} at most.",
        changes.changed(),
        short(greatest),
    );
    changes.figure(
        FigureKind::ScaleChanges,
        "Relative change of the scales",
        caption,
        ("relative change", "", "relative change of γ, log scale"),
        size,
    )
}

/// One number for each site, in network order.
struct Changes<'s> {
    sites: Vec<(&'s SiteComparison, Option<f64>)>,
}

impl<'s> Changes<'s> {
    fn new(sites: &'s [SiteComparison], of: impl Fn(&SiteComparison) -> Option<f64>) -> Self {
        let mut sites: Vec<_> = sites.iter().map(|site| (site, of(site))).collect();
        sites.sort_by_key(|(site, _)| site.order);
        Self { sites }
    }

    fn greatest(&self) -> Option<f64> {
        self.sites.iter().filter_map(|(_, change)| *change).max_by(f64::total_cmp)
    }

    /// "3 of 9 sites".
    fn changed(&self) -> String {
        let known = || self.sites.iter().filter_map(|(_, change)| *change);
        format!("{} of {}", known().filter(|change| *change > 0.0).count(), counted(known().count(), "site"))
    }

    fn figure(
        &self,
        kind: FigureKind,
        title: &str,
        caption: String,
        (name, unit, heading): (&str, &str, &str),
        size: Size,
    ) -> Result<Figure, PlotError> {
        let size = size.legible(1, false);
        let source = format!("{} compared · Gammascope", counted(self.sites.len(), "site"));
        let mut marks = Vec::new();
        let svg = paint(size, &Words { title, description: &caption, source: &source }, |canvas| {
            marks = self.draw(canvas, heading)?;
            Ok(())
        })?;
        let mut table = Table::new(&[("site", ""), (name, unit), ("site after", ""), ("block", "")]);
        table.rows = self
            .sites
            .iter()
            .map(|(site, change)| {
                vec![
                    Cell::from(site.name.as_str()),
                    Cell::from(*change),
                    Cell::from(site.name_after.as_str()),
                    Cell::from(site.block.map(f64::from)),
                ]
            })
            .collect();
        let (width, height) = (size.width, size.height);
        Ok(Figure { kind, title: title.to_owned(), caption, width, height, svg, marks, table })
    }

    fn draw(&self, canvas: &Canvas<'_>, heading: &str) -> Result<Vec<Mark>, PlotError> {
        let known = || self.sites.iter().filter_map(|(_, change)| *change);
        let shown = || known().filter(|change| *change >= SHOWN_FROM);
        let low = shown().fold(f64::INFINITY, f64::min);
        let (low, high) =
            if low.is_finite() { (low, shown().fold(low, f64::max)) } else { (SHOWN_FROM, 1.0) };
        let off = known().any(|change| change < low);
        let kinds: Vec<(Ink, &str)> = [NormKind::LayerNorm, NormKind::RmsNorm, NormKind::Other]
            .into_iter()
            .map(look)
            .filter(|(ink, _)| self.sites.iter().any(|(site, _)| look(site.kind_after).0 == *ink))
            .collect();
        let entry =
            |(ink, text): &(Ink, &str)| Entry { glyph: Glyph::Circle, ink: *ink, text: (*text).to_owned() };
        let plan = Plan {
            frame: canvas.frame(),
            heading,
            legend: if kinds.len() > 1 { kinds.iter().map(entry).collect() } else { Vec::new() },
            x_title: "site, in the order of the network",
            x: Axis::whole(0.5, self.sites.len() as f64 + 0.5),
            y: Axis::logarithmic(low, high).with_foot(off.then(|| "0".to_owned())).with_head(6.0),
            left: None,
        };
        let panel = Panel::new(canvas, plan)?;
        let radius = (0.28 * panel.width() / self.sites.len() as f64).clamp(1.5, 3.5);
        let drawn: Vec<(usize, f64)> =
            self.sites.iter().enumerate().filter_map(|(row, (_, change))| Some((row, (*change)?))).collect();
        let places: Vec<Point> =
            drawn.iter().map(|(row, change)| panel.place(*row as f64 + 1.0, *change)).collect();
        let mut marks = Vec::new();
        for at in thinned(&places, MOST_MARKS) {
            let row = drawn[at].0;
            canvas.glyph(Glyph::Circle, places[at], radius, look(self.sites[row].0.kind_after).0.solid())?;
            marks.push(mark(places[at], row));
        }
        Ok(marks)
    }
}

/// Colour and name of a kind.
fn look(kind: NormKind) -> (Ink, &'static str) {
    match kind {
        NormKind::LayerNorm => (Ink::A, "LayerNorm"),
        NormKind::RmsNorm => (Ink::B, "RMSNorm"),
        NormKind::Other | NormKind::Unknown => (Ink::Muted, "other or unknown"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::comparison::MatchedBy;
    use crate::report::{KernelForm, NormRole};

    const SIZE: Size = Size { width: 720, height: 0 };

    /// Sites with the greatest change first. A third did not change, and a seventh has no angle.
    pub(in crate::plot) fn sites(count: u32) -> Vec<SiteComparison> {
        let of = |order: u32| SiteComparison {
            name: format!("layers.{order}.norm"),
            name_after: format!("model.layers.{order}.norm"),
            matched_by: MatchedBy::Suffix,
            order,
            role: NormRole::Block,
            block: Some(order),
            width: 64,
            kind: NormKind::LayerNorm,
            kind_after: if order % 5 == 4 { NormKind::RmsNorm } else { NormKind::LayerNorm },
            form: KernelForm::InverseScale,
            form_after: KernelForm::InverseScale,
            angle: (order % 7 != 6)
                .then(|| if order.is_multiple_of(3) { 0.0 } else { 1e-3 * f64::from(order) }),
            relative_change: Some(if order.is_multiple_of(3) { 0.0 } else { 0.01 * f64::from(order) }),
            zeros_gained: Vec::new(),
            zeros_lost: Vec::new(),
            near_dead_gained: Vec::new(),
            near_dead_lost: Vec::new(),
            depth: None,
            depth_after: None,
            depth_scale_free: None,
            depth_scale_free_after: None,
        };
        (0..count).rev().map(of).collect()
    }

    #[test]
    fn sites_stand_in_the_order_of_the_network_and_those_without_an_angle_have_no_mark() {
        let figure = kernel_angles(&sites(14), SIZE).unwrap();
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (12, 14));
        assert_eq!(figure.table.rows[2][0], Cell::from("layers.2.norm"));
        assert_eq!(figure.table.rows[2][1], Cell::from(2e-3_f64.to_degrees()));
        assert_eq!(figure.table.rows[6][1], Cell::Empty);
        assert!(figure.marks.is_sorted_by(|a, b| a.x < b.x));
        assert!(figure.caption.contains("8 of 12 sites turned, by 0.63°"), "{}", figure.caption);
    }

    #[test]
    fn a_checkpoint_beside_itself_is_drawn_at_the_foot() {
        let mut same = sites(5);
        same.iter_mut().for_each(|site| (site.angle, site.relative_change) = (Some(0.0), Some(0.0)));
        let figure = scale_changes(&same, SIZE).unwrap();
        assert!(figure.caption.contains("0 of 5 sites changed"), "{}", figure.caption);
        assert!(figure.marks.iter().all(|mark| mark.y == figure.marks[0].y));
    }

    #[test]
    fn no_direction_in_both_is_an_error() {
        let mut rms = sites(5);
        rms.iter_mut().for_each(|site| site.angle = None);
        assert!(matches!(kernel_angles(&rms, SIZE), Err(PlotError::Empty(_))));
        assert!(matches!(scale_changes(&[], SIZE), Err(PlotError::Empty(_))));
    }
}
