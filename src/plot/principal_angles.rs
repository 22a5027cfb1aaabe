//! Principal angles of all sites with near-dead or zero scales: are the predicted dead directions the measured ones?

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint};
use super::number::counted;
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::report::SiteVerification;

/// Degrees below this are drawn at the foot, because cosines have a rounding of about 1e-16.
const SHOWN_FROM: f64 = 1e-6;
/// A subspace within this many degrees is the predicted one.
const CONFIRMED: f64 = 1.0;

/// Draws every principal angle between the predicted and the measured bottom subspace, site by site.
pub fn principal_angles(sites: &[SiteVerification], size: Size) -> Result<Figure, PlotError> {
    let angles: Vec<Angle<'_>> = sites.iter().enumerate().flat_map(Angle::all).collect();
    if angles.is_empty() {
        return Err(PlotError::Empty("no measured site has scales that are zero or nearly so"));
    }
    let size = size.legible(1, false);
    let title = "Principal angles of the dead subspaces".to_owned();
    let caption = caption(&angles);
    let source = format!("{} measured · Gammascope", counted(sites.len(), "site"));
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = draw(canvas, &angles, sites.len())?;
        Ok(())
    })?;
    let (kind, width, height) = (FigureKind::PrincipalAngles, size.width, size.height);
    Ok(Figure { kind, title, caption, width, height, svg, marks, table: table(&angles) })
}

/// One principal angle.
struct Angle<'s> {
    /// Position of the site.
    site: usize,
    name: &'s str,
    /// From 1. The smallest angle of the site comes first.
    rank: usize,
    degrees: f64,
    /// Range over all tokens and both halves.
    halves: Option<[f64; 2]>,
    /// Whether this is the subspace of zero scales.
    zeros: bool,
}

impl<'s> Angle<'s> {
    fn all((site, measured): (usize, &'s SiteVerification)) -> impl Iterator<Item = Self> {
        let cosines = measured.principal_cosines.iter().flatten().enumerate();
        let intervals = measured.principal_cosines_interval.as_deref();
        let degrees = |cosine: f64| cosine.min(1.0).acos().to_degrees();
        cosines.map(move |(rank, &cosine)| Self {
            site,
            name: &measured.name,
            rank: rank + 1,
            degrees: degrees(cosine),
            halves: intervals.and_then(|all| all.get(rank)).map(|all| [degrees(all.high), degrees(all.low)]),
            zeros: measured.zero_variance.is_some(),
        })
    }
}

fn caption(angles: &[Angle<'_>]) -> String {
    let mut sites: Vec<usize> = angles.iter().map(|angle| angle.site).collect();
    sites.dedup();
    let off = |site: &&usize| angles.iter().any(|angle| angle.site == **site && angle.degrees > CONFIRMED);
    let apart = sites.iter().filter(off).count();
    let told = match apart {
        0 => "All of them are the predicted ones to within a degree.".to_owned(),
        some => format!(
            "At {some} of them an angle is beyond a degree: a norm that does not subtract the mean has no dead direction beside those channels."
        ),
    };
    format!(
        "Between the directions that zero and near-zero scales predict and the measured bottom subspace of as many dimensions, at {}. {told}",
        counted(sites.len(), "site")
    )
}

/// One row for each angle.
fn table(angles: &[Angle<'_>]) -> Table {
    let mut table = Table::new(&[
        ("site", ""),
        ("angle", "°"),
        ("rank", ""),
        ("scales", ""),
        ("least on a half", "°"),
        ("greatest on a half", "°"),
    ]);
    table.rows = angles
        .iter()
        .map(|angle| {
            vec![
                Cell::from(angle.name),
                Cell::from(angle.degrees),
                Cell::from(angle.rank),
                Cell::from(if angle.zeros { "zero" } else { "nearly zero" }),
                Cell::from(angle.halves.map(|[least, _]| least)),
                Cell::from(angle.halves.map(|[_, greatest]| greatest)),
            ]
        })
        .collect();
    table
}

fn draw(canvas: &Canvas<'_>, angles: &[Angle<'_>], sites: usize) -> Result<Vec<Mark>, PlotError> {
    let all = || angles.iter().flat_map(|angle| angle.halves.into_iter().flatten().chain([angle.degrees]));
    let low = all().filter(|degrees| *degrees >= SHOWN_FROM).fold(CONFIRMED / 10.0, f64::min);
    let off = all().any(|degrees| degrees < low);
    let entry = |ink, text: &str| Entry { glyph: Glyph::Circle, ink, text: text.to_owned() };
    let kinds = [(true, Ink::A, "zero scales"), (false, Ink::B, "nearly zero scales")];
    let legend = kinds.into_iter().filter(|(zeros, ..)| angles.iter().any(|angle| angle.zeros == *zeros));
    let plan = Plan {
        frame: canvas.frame(),
        heading: "principal angle in degrees and its range on both halves, log scale",
        legend: legend.map(|(_, ink, text)| entry(ink, text)).collect(),
        x_title: "site, in the order of the network",
        x: Axis::whole(0.5, sites as f64 + 0.5),
        y: Axis::logarithmic(low, 90.0).with_foot(off.then(|| "≈0".to_owned())).with_head(6.0),
        left: None,
    };
    let panel = Panel::new(canvas, plan)?;
    panel.level(CONFIRMED, Ink::Danger.solid())?;
    let radius = (0.28 * panel.width() / sites as f64).clamp(1.5, 3.25);
    let mut marks = Vec::new();
    for (row, angle) in angles.iter().enumerate() {
        let x = angle.site as f64 + 1.0;
        let at = panel.place(x, angle.degrees);
        if let Some(halves) = angle.halves {
            let ends = halves.map(|degrees| panel.place(x, degrees)).to_vec();
            canvas.line(ends, 1.0, Ink::Axis.solid())?;
        }
        canvas.glyph(Glyph::Circle, at, radius, if angle.zeros { Ink::A } else { Ink::B }.solid())?;
        if marks.len() < MOST_MARKS {
            marks.push(mark(at, row));
        }
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::measured::tests::sites;

    #[test]
    fn a_subspace_that_is_not_the_predicted_one_is_counted() {
        let mut sites = sites(9, 1e-14);
        sites[2].principal_cosines = Some(vec![1.0, 1.0]);
        sites[2].zero_variance = Some(0.0);
        let size = Size { width: 720, height: 0 };
        let figure = principal_angles(&sites, size).unwrap();
        assert!(figure.caption.contains("at 1 site. All of them"), "{}", figure.caption);
        sites[5].principal_cosines = Some(vec![1.0, 0.5]);
        let figure = principal_angles(&sites, size).unwrap();
        assert!(figure.caption.contains("At 1 of them"), "{}", figure.caption);
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (4, 4));
        assert!(figure.svg.contains("nearly zero scales"));
    }

    #[test]
    fn without_such_scales_there_is_nothing_to_draw() {
        assert!(principal_angles(&sites(3, 0.5), Size { width: 720, height: 0 }).is_err());
    }
}
