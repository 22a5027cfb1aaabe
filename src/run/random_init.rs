//! A trained model against its initialisation: the depth of each norm, and the two factors that it is made of (MATH §4).

use crate::report::random_init::{RandomInit, RandomInitSite};
use crate::report::{SiteVerification, Verification, Warning};

/// Holds the sites of a trained model beside those of the same architecture at its initialisation, drawn from `seed` and run on
/// the same token ids. A site that was measured in one of them only is left out.
pub fn random_init(trained: &Verification, random: &Verification, seed: u64) -> RandomInit {
    let beside = |site: &SiteVerification| {
        let initial = random.sites.iter().find(|initial| initial.name == site.name)?;
        Some(beside(site, initial))
    };
    let sites = trained.sites.iter().filter_map(beside).collect();
    RandomInit { seed, seconds: random.seconds, sites }
}

/// What the run of the initialisation warns of that `known` does not say.
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
