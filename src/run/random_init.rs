//! A trained model compared with its initialisation: the depth of each norm and its two factors (MATH §4).

use crate::report::random_init::{RandomInit, RandomInitSite};
use crate::report::{SiteVerification, Verification, Warning};

/// Compares the sites of a trained model with those of the same architecture at its initialisation, drawn from `seed` and run on the same
/// token ids. A site that was measured in only one of them is left out.
pub fn random_init(trained: &Verification, random: &Verification, seed: u64) -> RandomInit {
    let beside = |site: &SiteVerification| {
        let initial = random.sites.iter().find(|initial| initial.name == site.name)?;
        Some(beside(site, initial))
    };
    let sites = trained.sites.iter().filter_map(beside).collect();
    RandomInit { seed, seconds: random.seconds, sites }
}

/// Returns the warnings of the initialisation's run that are not in `known`.
pub fn warnings(known: &[Warning], of_random: Vec<Warning>) -> Vec<Warning> {
    let new = of_random.into_iter().filter(|new| !known.contains(new));
    new.map(|new| Warning { message: format!("at the initialisation: {}", new.message), ..new }).collect()
}

fn beside(trained: &SiteVerification, initial: &SiteVerification) -> RandomInitSite {
    let ratio = |of: fn(&SiteVerification) -> f64| {
        let (trained, initial) = (of(trained), of(initial));
        (initial > 0.0).then(|| trained / initial)
    };
    RandomInitSite {
        name: initial.name.clone(),
        depth: initial.depth,
        depth_scale_free: initial.depth_scale_free,
        cos_scale_free: initial.cos_scale_free,
        lambda_v: lambda_v(initial),
        mean_variance: initial.mean_variance,
        below_tau: initial.below_tau,
        depth_ratio: ratio(|site| site.depth),
        lambda_v_ratio: ratio(lambda_v),
        mean_ratio: ratio(|site| site.mean_variance),
    }
}

fn lambda_v(site: &SiteVerification) -> f64 {
    site.lambda_v.unwrap_or(site.depth * site.mean_variance)
}
