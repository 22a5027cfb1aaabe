//! The table that compares a trained model with its initialisation.

use crate::measure::{align_numbers, cosine, number};
use crate::summary;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use gammascope::report::random_init::RandomInit;
use gammascope::report::{NormReport, Verification};
use std::io::{self, Write};

/// Both depths of each site with an exact kernel, their ratio as the scale predicts it, and the two factors of it.
pub(crate) fn table(
    out: &mut impl Write,
    verification: &Verification,
    norms: &[NormReport],
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
    if initial.medians().is_none() {
        return writeln!(out, "{}", without_kernels(initial));
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "norm site",
        "depth trained",
        "random",
        "ratio",
        "predicted",
        "λ_v trained",
        "random",
        "ratio",
        "mean trained",
        "random",
        "ratio",
        "|cos^| random",
        "below τ",
        "random",
    ]);
    for site in initial.sites.iter().filter(|site| site.subtracts_mean()) {
        let Some(trained) = verification.sites.iter().find(|trained| trained.name == site.name) else {
            continue;
        };
        let count = |count: Option<u32>| count.map_or("–".to_owned(), |count| count.to_string());
        table.add_row([
            summary::printable(&site.name),
            number(Some(trained.depth)),
            number(Some(site.depth)),
            number(site.depth_ratio),
            number(norms.iter().find(|norm| norm.name == site.name).and_then(|norm| norm.kernel.deepening)),
            number(trained.lambda_v),
            number(Some(site.lambda_v)),
            number(site.lambda_v_ratio),
            number(Some(trained.mean_variance)),
            number(Some(site.mean_variance)),
            number(site.mean_ratio),
            cosine(site.cos_scale_free),
            count(trained.below_tau),
            count(site.below_tau),
        ]);
    }
    align_numbers(&mut table, 1..=13);
    writeln!(out, "\n{}\n", table.trim_fmt())?;
    writeln!(out, "{}", sentence(initial))
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
