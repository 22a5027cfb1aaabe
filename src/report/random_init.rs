//! A trained model beside the same architecture at its initialisation, on the same token ids (MATH §4).

use super::MeasuredVerdict;
use crate::order;
use serde::{Deserialize, Serialize};

/// The model at its initialisation (γ = 1, β = 0, random weights), measured like the trained one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RandomInit {
    /// Seed of the weights.
    #[cfg_attr(test, ts(type = "number"))]
    pub seed: u64,
    /// Wall time of its run in seconds, not part of `Verification::seconds`.
    pub seconds: f64,
    /// The sites that were measured in both, in network order.
    pub sites: Vec<RandomInitSite>,
}

/// One norm at the model's initialisation. The trained one is in `Verification::sites`, under the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RandomInitSite {
    /// Site name.
    pub name: String,
    /// λ_v over the mean variance.
    pub depth: f64,
    /// The same of the normalised input along 1/√d. Null if that is not known.
    pub depth_scale_free: Option<f64>,
    /// |cos| of the bottom eigenvector of the normalised input's covariance and 1/√d.
    pub cos_scale_free: Option<f64>,
    /// λ_v, in units of y².
    pub lambda_v: f64,
    /// tr C/d, in units of y².
    pub mean_variance: f64,
    /// Directions with an eigenvalue below τ × the mean variance (τ = 1e-6).
    pub below_tau: Option<u32>,
    /// Trained depth over depth at the initialisation: `lambda_v_ratio` over `mean_ratio`. Null if this divides by 0.
    pub depth_ratio: Option<f64>,
    /// Trained λ_v over λ_v at the initialisation. For an exact kernel, λ_v is rounding.
    pub lambda_v_ratio: Option<f64>,
    /// Trained mean variance over the one at the initialisation.
    pub mean_ratio: Option<f64>,
}

impl RandomInitSite {
    /// Whether the norm subtracts the mean, by the scale-free test at the initialisation. Otherwise there is no exact kernel.
    pub fn subtracts_mean(&self) -> bool {
        self.depth_scale_free.is_some_and(|depth| depth < MeasuredVerdict::SUBTRACTED)
    }
}

/// Medians of three ratios, trained over initialised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MedianRatios {
    /// Number of sites.
    pub sites: usize,
    /// Median for the depth.
    pub depth: f64,
    /// Median for λ_v.
    pub lambda_v: f64,
    /// Median for the mean variance.
    pub mean: f64,
}

impl RandomInit {
    /// Returns the medians over the sites with an exact kernel. `None` if there are none. A median of quotients is not the quotient of
    /// medians.
    pub fn medians(&self) -> Option<MedianRatios> {
        let ratios =
            |site: &RandomInitSite| Some([site.depth_ratio?, site.lambda_v_ratio?, site.mean_ratio?]);
        let kernels = self.sites.iter().filter(|site| site.subtracts_mean());
        let ratios: Vec<[f64; 3]> = kernels.filter_map(ratios).collect();
        let median = |which: usize| order::median(ratios.iter().map(|ratios| ratios[which]).collect());
        Some(MedianRatios { sites: ratios.len(), depth: median(0)?, lambda_v: median(1)?, mean: median(2)? })
    }
}
