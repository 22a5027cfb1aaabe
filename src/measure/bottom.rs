//! Compares a direction v with a covariance: is v the bottom eigenvector, how far away are the others, and how certain is that?

use super::centred::{Along, Centred, dot};
use super::eigen::{Complement, Pairs};
use crate::report::Eigenvalue;
use faer::Mat;

/// If the sine bound is below this, v certainly is the bottom eigenvector.
const CERTIFIED: f64 = 1e-4;
/// If rounding hides the eigenvector itself, a bound below this still gives |cos| to within 5e-5.
const SURE: f64 = 1e-2;

/// The quantities of MATH §4 for a direction.
pub(super) struct Bottom {
    /// λ_v.
    pub(super) variance: f64,
    /// |⟨u₁, v⟩|. `None` if rounding hides which direction is the bottom one.
    pub(super) cosine: Option<f64>,
    /// Upper bound of sin ∠(u₁, v) (Davis–Kahan). `None` if the spectral gap is too small for one.
    pub(super) sin_bound: Option<f64>,
    /// λ₂/λ₁. `None` if λ₁ is lost in rounding.
    pub(super) gap: Option<f64>,
    /// 1 − 1/((vᵀC⁻¹v)(vᵀCv)). `None` if C⁻¹ cannot be computed.
    pub(super) schur: Option<f64>,
}

impl Bottom {
    /// Returns `None` if an eigenvalue does not converge.
    pub(super) fn of(centred: &Centred<'_>, covariance: &Mat<f64>, v: &[f64]) -> Option<Self> {
        let Along { variance, image } = centred.along(v);
        // Cv without its part along v. That part is λ_v v up to rounding.
        let part = dot(&image, v);
        let rest: Vec<f64> = image.iter().zip(v).map(|(image, v)| image - part * v).collect();
        let floor = Eigenvalue::RESOLVED * Pairs::largest(covariance)?;
        let complement = Complement::of(covariance, v)?;
        let least = complement.least;
        // A Rayleigh quotient is never below κ, so the certificate subtracts the residual of the iteration.
        let surely = least - complement.residual;
        let sin_bound = (surely > variance && least > floor)
            .then(|| (dot(&rest, &rest).sqrt() / (surely - variance)).min(1.0));
        let by_bound = |most: f64| {
            let bound = sin_bound.filter(|bound| *bound < most)?;
            Some((Some((1.0 - bound * bound).sqrt()), variance, least))
        };
        let (cosine, first, second) = match by_bound(CERTIFIED) {
            Some(certified) => certified,
            None => {
                let pairs = Pairs::bottom(covariance, 2)?;
                match pairs.values[0] > floor {
                    true => (Some(pairs.cosine(v)), pairs.values[0], pairs.values[1]),
                    false => by_bound(SURE).unwrap_or((None, pairs.values[0], pairs.values[1])),
                }
            }
        };
        let gap = (cosine.is_some() && first > 0.0).then(|| second / first);
        let inverse = (least > floor && variance > 0.0).then(|| complement.inverse_form(&rest)).flatten();
        Some(Self { variance, cosine, sin_bound, gap, schur: inverse.map(|form| form / variance) })
    }
}
