//! Depths of all sites, trained and at the initialisation: does training deepen a kernel?

use super::axis::Axis;
use super::canvas::{Canvas, Glyph, Words, paint};
use super::number::{counted, short};
use super::palette::Ink;
use super::panel::{Entry, Panel, Plan, mark};
use super::table::{Cell, Table};
use super::{Figure, FigureKind, MOST_MARKS, Mark, PlotError, Size};
use crate::report::SiteVerification;
use crate::report::random_init::{RandomInit, RandomInitSite};

/// Depths below this are drawn at the foot: rounding, or exactly zero.
const SHOWN_FROM: f64 = 1e-18;

/// Draws the depth of each site that was measured in both models: trained (`sites`) and at the initialisation.
pub fn random_init(
    sites: &[SiteVerification],
    initial: &RandomInit,
    size: Size,
) -> Result<Figure, PlotError> {
    let trained = |site: &str| sites.iter().find(|trained| trained.name == site);
    let pairs: Vec<Pair<'_>> = initial
        .sites
        .iter()
        .filter_map(|initial| Some(Pair { trained: trained(&initial.name)?, initial }))
        .collect();
    if pairs.is_empty() {
        return Err(PlotError::Empty("no site was measured both trained and at its initialisation"));
    }
    let size = size.legible(1, false);
    let title = "Depth of every site, trained and at its initialisation".to_owned();
    let caption = caption(initial);
    let source = format!("{} measured, seed {} · Gammascope", counted(pairs.len(), "site"), initial.seed);
    let mut marks = Vec::new();
    let svg = paint(size, &Words { title: &title, description: &caption, source: &source }, |canvas| {
        marks = draw(canvas, &pairs)?;
        Ok(())
    })?;
    let (kind, width, height) = (FigureKind::RandomInit, size.width, size.height);
    Ok(Figure { kind, title, caption, width, height, svg, marks, table: table(&pairs) })
}

struct Pair<'s> {
    trained: &'s SiteVerification,
    initial: &'s RandomInitSite,
}

fn caption(initial: &RandomInit) -> String {
    let told = match initial.medians() {
        None => "No site subtracts the mean, so none has an exact kernel.".to_owned(),
        Some(medians) => format!(
            "Median of {} that subtract the mean, trained over initialised: depth × {}, λ_v × {}, mean × {}. λ_v of an exact kernel is rounding.",
            counted(medians.sites, "site"),
            short(medians.depth),
            short(medians.lambda_v),
            short(medians.mean),
        ),
    };
    format!("λ_v along the predicted direction over the mean variance, on the same token ids. {told}")
}

/// One row for each site.
fn table(pairs: &[Pair<'_>]) -> Table {
    let mut table = Table::new(&[
        ("site", ""),
        ("depth trained", ""),
        ("initialised", ""),
        ("ratio", ""),
        ("ratio of λ_v", ""),
        ("ratio of means", ""),
        ("below τ trained", ""),
        ("initialised", ""),
    ]);
    table.rows = pairs
        .iter()
        .map(|Pair { trained, initial }| {
            vec![
                Cell::from(initial.name.as_str()),
                Cell::from(trained.depth),
                Cell::from(initial.depth),
                Cell::from(initial.depth_ratio),
                Cell::from(initial.lambda_v_ratio),
                Cell::from(initial.mean_ratio),
                Cell::from(trained.below_tau.map(f64::from)),
                Cell::from(initial.below_tau.map(f64::from)),
            ]
        })
        .collect();
    table
}

fn draw(canvas: &Canvas<'_>, pairs: &[Pair<'_>]) -> Result<Vec<Mark>, PlotError> {
    let depths = || pairs.iter().flat_map(|pair| [pair.trained.depth, pair.initial.depth]);
    let shown = || depths().filter(|depth| *depth >= SHOWN_FROM);
    let low = shown().fold(1e-9, f64::min);
    let high = shown().fold(1.0, f64::max);
    let off = depths().any(|depth| depth < low);
    let entry = |glyph, ink, text: &str| Entry { glyph, ink, text: text.to_owned() };
    let plan = Plan {
        frame: canvas.frame(),
        heading: "variance / mean, log scale",
        legend: vec![
            entry(Glyph::Circle, Ink::A, "trained"),
            entry(Glyph::Ring, Ink::Muted, "at its initialisation"),
        ],
        x_title: "site, in the order of the network",
        x: Axis::whole(0.5, pairs.len() as f64 + 0.5),
        y: Axis::logarithmic(low, high).with_foot(off.then(|| "≈0".to_owned())).with_head(6.0),
        left: None,
    };
    let panel = Panel::new(canvas, plan)?;
    let radius = (0.28 * panel.width() / pairs.len() as f64).clamp(1.5, 3.25);
    let mut marks = Vec::new();
    for (row, Pair { trained, initial }) in pairs.iter().enumerate() {
        let x = row as f64 + 1.0;
        canvas.glyph(Glyph::Ring, panel.place(x, initial.depth), radius, Ink::Muted.solid())?;
        let at = panel.place(x, trained.depth);
        canvas.glyph(Glyph::Circle, at, radius, Ink::A.solid())?;
        if marks.len() < MOST_MARKS {
            marks.push(mark(at, row));
        }
    }
    Ok(marks)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plot::measured::tests::sites;

    /// The same sites, with a tenfold depth at the initialisation because the mean is a tenth.
    pub(in crate::plot) fn initialised(sites: &[SiteVerification]) -> RandomInit {
        let site = |site: &SiteVerification| RandomInitSite {
            name: site.name.clone(),
            depth: 10.0 * site.depth,
            depth_scale_free: site.depth_scale_free,
            cos_scale_free: Some(1.0),
            lambda_v: site.depth,
            mean_variance: 0.1,
            below_tau: Some(1),
            depth_ratio: (site.depth > 0.0).then_some(0.1),
            lambda_v_ratio: (site.depth > 0.0).then_some(1.0),
            mean_ratio: Some(10.0),
        };
        RandomInit { seed: 7, seconds: 1.0, sites: sites.iter().map(site).collect() }
    }

    #[test]
    fn both_factors_are_in_the_caption_and_in_the_table() {
        let trained = sites(13, 3e-14);
        let figure = random_init(&trained, &initialised(&trained), Size { width: 720, height: 0 }).unwrap();
        let told = "depth × 0.1, λ_v × 1, mean × 10.";
        assert!(figure.caption.contains(told), "{}", figure.caption);
        assert_eq!((figure.marks.len(), figure.table.rows.len()), (13, 13));
        assert_eq!(figure.table.rows[1][5], Cell::from(10.0));
    }

    #[test]
    fn without_a_subtracted_mean_there_is_no_ratio() {
        let trained = sites(4, 0.9);
        let figure = random_init(&trained, &initialised(&trained), Size { width: 720, height: 0 }).unwrap();
        assert!(figure.caption.ends_with("No site subtracts the mean, so none has an exact kernel."));
    }

    #[test]
    fn sites_of_another_model_are_an_error() {
        let trained = sites(4, 0.9);
        let mut initial = initialised(&trained);
        initial.sites.iter_mut().for_each(|site| site.name.push('x'));
        assert!(random_init(&trained, &initial, Size { width: 720, height: 0 }).is_err());
    }
}
