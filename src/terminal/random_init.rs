//! The table that compares a trained model with its initialisation.

use super::grid::{self, Grid};
use super::measure::{cosine, exponent, number, six_places};
use super::screen::Screen;
use super::{like, summary};
use gammascope::report::random_init::{RandomInit, RandomInitSite};
use gammascope::report::{NormReport, SiteVerification, Verification};
use std::io::{self, Write};

/// Writes both depths of each site with an exact kernel, their ratio and its prediction from the scale, and the two factors of it.
pub(crate) fn table(
    out: &mut Screen<impl Write>,
    verification: &Verification,
    norms: &[NormReport],
    all: bool,
) -> io::Result<()> {
    let Some(initial) = &verification.random_init else { return Ok(()) };
    writeln!(
        out,
        "\n{}The same architecture at its initialisation (γ = 1, β = 0, weights drawn from seed {}), on the same token ids, in {:.1} s{:#}",
        summary::STRONG,
        initial.seed,
        initial.seconds,
        summary::STRONG,
    )?;
    if let Some(found) = &verification.story.initial {
        writeln!(out, "{found}")?;
    }
    if initial.medians().is_none() {
        return writeln!(out, "{}", without_kernels(initial));
    }
    let mut grid = Grid::new(
        "norm site",
        &[
            grid::number("depth trained", 1),
            grid::number("depth random", 2),
            grid::number("depth ratio", 0),
            grid::number("predicted", 3),
            grid::number("λ_v trained", 8),
            grid::number("λ_v random", 9),
            grid::number("λ_v ratio", 4),
            grid::number("mean trained", 10),
            grid::number("mean random", 11),
            grid::number("mean ratio", 5),
            grid::number("|cos^| random", 7),
            grid::number("below τ", 6),
            grid::number("below τ random", 12),
        ],
    );
    let trained = |site: &RandomInitSite| verification.sites.iter().find(|trained| trained.name == site.name);
    let both: Vec<(&RandomInitSite, &SiteVerification)> = initial
        .sites
        .iter()
        .filter(|site| site.subtracts_mean())
        .filter_map(|site| Some((site, trained(site)?)))
        .collect();
    let names: Vec<String> = both.iter().map(|(site, _)| summary::printable(&site.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let deepening =
        |name: &str| norms.iter().find(|norm| norm.name == name).and_then(|norm| norm.kernel.deepening);
    for row in like::rows(&names, |_| (), all) {
        let over = |of: fn(&RandomInitSite, &SiteVerification) -> Option<f64>, write: fn(f64) -> String| {
            like::range(row.places.iter().map(|&at| of(both[at].0, both[at].1)), write)
        };
        let cells = vec![
            over(|_, trained| Some(trained.depth), exponent),
            over(|site, _| Some(site.depth), exponent),
            over(|site, _| site.depth_ratio, exponent),
            like::range(row.places.iter().map(|&at| deepening(&both[at].0.name)), exponent),
            over(|_, trained| trained.lambda_v, exponent),
            over(|site, _| Some(site.lambda_v), exponent),
            over(|site, _| site.lambda_v_ratio, exponent),
            over(|_, trained| Some(trained.mean_variance), exponent),
            over(|site, _| Some(site.mean_variance), exponent),
            over(|site, _| site.mean_ratio, exponent),
            over(|site, _| site.cos_scale_free, six_places),
            like::counts(row.places.iter().map(|&at| both[at].1.below_tau.map(u64::from))),
            like::counts(row.places.iter().map(|&at| both[at].0.below_tau.map(u64::from))),
        ];
        grid.row(row.name, cells);
    }
    grid.write(out)?;
    writeln!(out, "\n{}", sentence(initial))
}

fn sentence(initial: &RandomInit) -> String {
    let Some(medians) = initial.medians() else { return without_kernels(initial) };
    format!(
        "Trained over random, median of {} with an exact kernel: depth × {:.2e}, λ_v × {:.2e}, mean × {:.2e}. Column `predicted` is how much of the ratio of depths comes from the scale alone: HM(γ²)/AM(γ²).",
        if medians.sites == 1 { "1 site".to_owned() } else { format!("{} sites", medians.sites) },
        medians.depth,
        medians.lambda_v,
        medians.mean,
    )
}

fn without_kernels(initial: &RandomInit) -> String {
    let cosines = initial.sites.iter().filter_map(|site| site.cos_scale_free);
    let depths = initial.sites.iter().filter_map(|site| site.depth_scale_free);
    format!(
        "None of its {} sites has an exact kernel whose depth could be compared: |cos^| is {} at most, depth^ {} at least.",
        initial.sites.len(),
        cosine(cosines.reduce(f64::max)),
        number(depths.reduce(f64::min)),
    )
}
