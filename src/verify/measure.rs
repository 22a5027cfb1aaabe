//! What the outputs of one norm say: depth, direction, certificate, Schur ratio, and the scale-free test (MATH §4).

use super::MeasureError;
use super::activations::Activations;
use super::eigen::{Complement, Spectrum};
use super::gram::{Gram, Gridded};
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::report::{Eigenvalue, Interval, MeasuredVerdict, SiteVerification};
use faer::Mat;

/// Activations that were stored in a narrower type have a floor of their own: u²/3 for a unit roundoff u. Below a hundred
/// times that nothing tells rounding from a direction.
const ABOVE_FLOOR: f64 = 100.0;
/// A bound on the sine below this certifies that the bottom eigenvector is v.
const CERTIFIED: f64 = 1e-4;
/// Raw |cos| beyond this looks like a kernel to whoever does not divide by γ.
const FOOLED: f64 = 0.99;
/// A channel whose γ is this much smaller than its β has lost x̂ to the rounding of y = γx̂ + β in f32.
const HIDDEN: f64 = 1.0 / (1 << 20) as f64;
/// Fewer tokens than this many times the width make every number an estimate of little worth.
pub(crate) const ENOUGH: usize = 4;

/// One norm: its effective scale and its shift, d values each.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Site name.
    pub name: &'a str,
    /// γ.
    pub scale: &'a Scale,
    /// β, if there is one.
    pub shift: Option<&'a [f64]>,
}

/// Y with its mean taken off.
struct Centred {
    tokens: usize,
    width: usize,
    values: Vec<f64>,
    /// tr C/d.
    mean_variance: f64,
}

impl Centred {
    fn new(values: &[f64], tokens: usize, width: usize) -> Self {
        let mut means = vec![0.0; width];
        for row in values.chunks_exact(width) {
            means.iter_mut().zip(row).for_each(|(mean, y)| *mean += y);
        }
        means.iter_mut().for_each(|mean| *mean /= tokens as f64);
        let centre = |(at, y): (usize, &f64)| y - means[at % width];
        let values: Vec<f64> = values.iter().enumerate().map(centre).collect();
        let total: f64 = values.iter().map(|y| y * y).sum();
        Self { tokens, width, values, mean_variance: total / (tokens * width) as f64 }
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// λ_v = ‖Y_c v‖²/n, from the values themselves.
    fn variance_along(&self, v: &[f64]) -> f64 {
        self.rows().map(|row| dot(row, v).powi(2)).sum::<f64>() / self.tokens as f64
    }

    /// Cv = Y_cᵀ(Y_c v)/n.
    fn times(&self, v: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; self.width];
        for row in self.rows() {
            let along = dot(row, v);
            product.iter_mut().zip(row).for_each(|(sum, y)| *sum += along * y);
        }
        product.iter_mut().for_each(|sum| *sum /= self.tokens as f64);
        product
    }

    /// λ_v/mean of each half of the tokens (even and odd) beside that of all.
    fn depth(&self, values: &[f64], v: &[f64]) -> Interval {
        let depth = |centred: &Self| centred.variance_along(v) / centred.mean_variance;
        let half = |odd: usize| {
            let rows: Vec<f64> =
                values.chunks_exact(self.width).skip(odd).step_by(2).flatten().copied().collect();
            depth(&Self::new(&rows, rows.len() / self.width, self.width))
        };
        let (value, halves) = (depth(self), [half(0), half(1)]);
        Interval {
            value,
            low: halves[0].min(halves[1]).min(value),
            high: halves[0].max(halves[1]).max(value),
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// How a direction stands to a covariance.
struct Bottom {
    /// |⟨u₁, v⟩|; `None` where rounding leaves open which direction is the bottom one.
    cosine: Option<f64>,
    /// Upper bound of sin ∠(u₁, v) (Davis–Kahan); `None` where the spectrum has no room for one.
    sin_bound: Option<f64>,
    /// λ₂/λ₁; `None` where λ₁ is lost in rounding.
    gap: Option<f64>,
    /// 1 − 1/((vᵀC⁻¹v)(vᵀCv)); `None` where C⁻¹ is not to be had.
    schur: Option<f64>,
    spectrum: Spectrum,
}

impl Bottom {
    fn of(site: &str, centred: &Centred, covariance: &Mat<f64>, v: &[f64]) -> Result<Self, MeasureError> {
        let failed = || MeasureError::NoConvergence { site: site.to_owned() };
        let spectrum = Spectrum::of(covariance.as_ref()).ok_or_else(failed)?;
        let complement = Complement::of(covariance, v).ok_or_else(failed)?;
        let along = centred.variance_along(v);
        let image = centred.times(v);
        // Cv without its part along v, which is λ_v v up to rounding.
        let part = dot(&image, v);
        let rest: Vec<f64> = image.iter().zip(v).map(|(image, v)| image - part * v).collect();
        let (least, largest) = (complement.values[0], complement.values[complement.values.len() - 1]);
        let sin_bound = (least > along && least > Eigenvalue::RESOLVED * largest)
            .then(|| (dot(&rest, &rest).sqrt() / (least - along)).min(1.0));
        let certified = sin_bound.is_some_and(|bound| bound < CERTIFIED);
        let cosine = match sin_bound {
            Some(bound) if certified => Some((1.0 - bound * bound).sqrt()),
            _ => (spectrum.values[0] > Eigenvalue::RESOLVED * largest).then(|| spectrum.cosine(v)),
        };
        let (first, second) =
            if certified { (along, least) } else { (spectrum.values[0], spectrum.values[1]) };
        let gap = (cosine.is_some() && first > 0.0).then(|| second / first);
        let schur = (least > Eigenvalue::RESOLVED * largest && along > 0.0)
            .then(|| complement.inverse_form(&rest) / along);
        Ok(Self { cosine, sin_bound, gap, schur, spectrum })
    }
}

/// Measures one norm from its outputs `y`, and its normalised inputs `before_scale` where they were captured. `gram`
/// computes the exact Gram matrix, on the CPU (`Gridded::gram`) or on a GPU, with the same bits.
pub async fn measure(
    norm: Norm<'_>,
    y: &Activations,
    before_scale: Option<&Activations>,
    gram: impl AsyncFn(&Gridded) -> Gram,
) -> Result<SiteVerification, MeasureError> {
    check(norm, y)?;
    before_scale.map_or(Ok(()), |before| check(norm, before))?;
    let (n, d) = (y.tokens, y.width);
    let centred = Centred::new(&y.values, n, d);
    if centred.mean_variance == 0.0 {
        return Err(MeasureError::Constant { site: norm.name.to_owned(), tokens: n });
    }
    let gridded = Gridded::new(&y.values, n, d)?;
    let exact = gram(&gridded).await;
    let covariance = exact.covariance();
    let mut notes = y.notes.clone();
    if is_before_scale(norm, y) {
        notes.push(
            "every token has a mean square of 1: these are values before the scale, not the norm's output. Name them `SITE.before_scale`, and capture the output as well"
                .to_owned(),
        );
    }
    if n < ENOUGH * d {
        notes.push(format!("{n} tokens are less than {ENOUGH} times the width: the estimates are rough"));
    }

    let kernel = match Kernel::of(norm.scale, true) {
        Kernel::InverseScale(direction) => {
            Predicted::direction(norm, &centred, &covariance, &y.values, &direction.components)?
        }
        _ => Predicted::coordinates(norm, &centred, &covariance)?,
    };
    notes.extend(kernel.note.clone());

    let scale_free = ScaleFree::of(norm, y, before_scale, gram).await?;
    let precision = before_scale.unwrap_or(y);
    let subtracted = MeasuredVerdict::SUBTRACTED.max(ABOVE_FLOOR * precision.floor());
    let verdict = scale_free.verdict(subtracted, d);
    notes.extend(scale_free.note(subtracted, verdict));
    let zeros = norm.scale.zeros();
    let raw = kernel.cosine.filter(|cosine| *cosine > FOOLED);
    let fooled = raw.is_some() && verdict == MeasuredVerdict::NotMeanSubtracting && zeros.is_empty();
    if fooled {
        notes.push(format!(
            "the raw bottom direction matches γ⁻¹ (|cos| {:.4}) only because a scale is nearly off there: divided by γ, no direction is dead",
            raw.unwrap_or_default()
        ));
    }
    Ok(SiteVerification {
        name: norm.name.to_owned(),
        tokens: n as u64,
        width: d as u64,
        heavy_tokens: gridded.heavy_tokens() as u64,
        gram_crc32: format!("{:08x}", exact.crc32()),
        mean_variance: centred.mean_variance,
        depth: kernel.depth.value,
        depth_interval: kernel.depth,
        cos: kernel.cosine,
        gap: kernel.gap,
        sin_bound: kernel.sin_bound,
        depth_scale_free: scale_free.depth.map(|depth| depth.value),
        depth_scale_free_interval: scale_free.depth,
        cos_scale_free: scale_free.cosine,
        schur: kernel.schur,
        schur_null: d as f64 / n as f64,
        spectrum: kernel.spectrum.sampled(centred.mean_variance),
        principal_cosines: kernel.principal_cosines,
        zero_variance: zeros.iter().map(|&channel| covariance[(channel, channel)]).reduce(f64::max),
        raw_test_fooled: fooled,
        verdict,
        notes,
    })
}

/// Whether every token has unit mean square, as a normalised input has before it is scaled, though γ would change that.
fn is_before_scale(norm: Norm<'_>, y: &Activations) -> bool {
    let unit = |row: &[f64]| (dot(row, row) / y.width as f64 - 1.0).abs() < 1e-2;
    let changes =
        norm.shift.is_some() || norm.scale.values().iter().any(|scale| (scale.abs() - 1.0).abs() > 0.05);
    changes && y.values.chunks_exact(y.width).all(unit)
}

/// The predicted kernel, held against the covariance.
struct Predicted {
    depth: Interval,
    cosine: Option<f64>,
    sin_bound: Option<f64>,
    gap: Option<f64>,
    schur: Option<f64>,
    principal_cosines: Option<Vec<f64>>,
    note: Option<String>,
    spectrum: Spectrum,
}

impl Predicted {
    /// All γᵢ ≠ 0: v = γ⁻¹/‖γ⁻¹‖.
    fn direction(
        norm: Norm<'_>,
        centred: &Centred,
        covariance: &Mat<f64>,
        values: &[f64],
        v: &[f64],
    ) -> Result<Self, MeasureError> {
        let bottom = Bottom::of(norm.name, centred, covariance, v)?;
        let near_dead = norm.scale.near_dead();
        let principal_cosines = (!near_dead.is_empty())
            .then(|| predicted_basis(&near_dead, Some(v), v.len()))
            .and_then(|basis| bottom.spectrum.principal_cosines(basis.as_ref()));
        let note = bottom.cosine.is_none().then(|| {
            format!(
                "{} scales are so small that several directions lie below f64's rounding: which of them is the bottom one is not resolved, so no |cos| is given. The principal angles and the depth are",
                near_dead.len()
            )
        });
        Ok(Self {
            depth: centred.depth(values, v),
            cosine: bottom.cosine,
            sin_bound: bottom.sin_bound,
            gap: bottom.gap,
            schur: bottom.schur,
            principal_cosines,
            note,
            spectrum: bottom.spectrum,
        })
    }

    /// Some γᵢ = 0: the kernel is those coordinates, whatever the kind.
    fn coordinates(norm: Norm<'_>, centred: &Centred, covariance: &Mat<f64>) -> Result<Self, MeasureError> {
        let failed = || MeasureError::NoConvergence { site: norm.name.to_owned() };
        let zeros = norm.scale.zeros();
        let spectrum = Spectrum::of(covariance.as_ref()).ok_or_else(failed)?;
        let basis = predicted_basis(&zeros, None, centred.width);
        let cosines = spectrum.principal_cosines(basis.as_ref()).ok_or_else(failed)?;
        let variance = zeros.iter().map(|&channel| covariance[(channel, channel)]).fold(0.0, f64::max);
        let value = variance / centred.mean_variance;
        Ok(Self {
            depth: Interval { value, low: value, high: value },
            cosine: Some(cosines.iter().copied().fold(1.0, f64::min)),
            sin_bound: None,
            gap: None,
            schur: None,
            principal_cosines: Some(cosines),
            note: None,
            spectrum,
        })
    }
}

fn check(norm: Norm<'_>, y: &Activations) -> Result<(), MeasureError> {
    let site = || norm.name.to_owned();
    if y.width != norm.scale.width() {
        let (width, tensor, found) = (norm.scale.width() as u64, y.tensor.clone(), y.width);
        return Err(MeasureError::Width { site: site(), width, tensor, found });
    }
    if let Some(at) = y.values.iter().position(|value| !value.is_finite()) {
        let (token, channel, value) = (at / y.width, at % y.width, y.values[at]);
        return Err(MeasureError::NotFinite { site: site(), token, channel, value });
    }
    if y.tokens <= y.width {
        return Err(MeasureError::TooFewTokens { site: site(), tokens: y.tokens, width: y.width });
    }
    Ok(())
}

/// Orthonormal columns spanning the near-dead coordinates and the predicted direction.
fn predicted_basis(near_dead: &[usize], direction: Option<&[f64]>, d: usize) -> Mat<f64> {
    let rest = direction.map(|v| {
        let mut rest = v.to_vec();
        near_dead.iter().for_each(|&channel| rest[channel] = 0.0);
        let norm = dot(&rest, &rest).sqrt();
        (rest, norm)
    });
    // What is left of v outside those coordinates may be nothing.
    let rest = rest.filter(|(_, norm)| *norm > 1e-6);
    let columns = near_dead.len() + usize::from(rest.is_some());
    Mat::from_fn(d, columns, |row, column| match (near_dead.get(column), &rest) {
        (Some(&channel), _) => f64::from(u8::from(channel == row)),
        (None, Some((rest, norm))) => rest[row] / norm,
        (None, None) => 0.0,
    })
}

/// The test that no scale can fool: x̂ = (y − β)/γ has the exact kernel 1/√d under LayerNorm whatever γ is.
struct ScaleFree {
    depth: Option<Interval>,
    cosine: Option<f64>,
    /// Channels where y does not hold x̂: γ is zero, or lost beside β.
    hidden: usize,
}

impl ScaleFree {
    async fn of(
        norm: Norm<'_>,
        y: &Activations,
        before_scale: Option<&Activations>,
        gram: impl AsyncFn(&Gridded) -> Gram,
    ) -> Result<Self, MeasureError> {
        let gamma = norm.scale.values();
        let beta = |channel: usize| norm.shift.map_or(0.0, |shift| shift[channel]);
        let seen: Vec<usize> = match before_scale {
            Some(_) => (0..y.width).collect(),
            None => (0..y.width)
                .filter(|&channel| {
                    gamma[channel] != 0.0 && gamma[channel].abs() >= HIDDEN * beta(channel).abs()
                })
                .collect(),
        };
        let hidden = y.width - seen.len();
        if seen.len() < 2 {
            return Ok(Self { depth: None, cosine: None, hidden });
        }
        let mut values = Vec::with_capacity(y.tokens * seen.len());
        for row in before_scale.unwrap_or(y).values.chunks_exact(y.width) {
            values.extend(seen.iter().map(|&channel| match before_scale {
                Some(_) => row[channel],
                None => (row[channel] - beta(channel)) / gamma[channel],
            }));
        }
        let (n, d) = (values.len() / seen.len(), seen.len());
        let centred = Centred::new(&values, n, d);
        let even = vec![(1.0 / d as f64).sqrt(); d];
        let depth = centred.depth(&values, &even);
        let covariance = gram(&Gridded::new(&values, n, d)?).await.covariance();
        let bottom = Bottom::of(norm.name, &centred, &covariance, &even)?;
        Ok(Self { depth: Some(depth), cosine: bottom.cosine, hidden })
    }

    fn verdict(&self, subtracted: f64, width: usize) -> MeasuredVerdict {
        let Some(depth) = self.depth else { return MeasuredVerdict::Inconclusive };
        // k of d channels that are not seen leave a variance of about k/d in the sum of the others.
        let left = 10.0 * self.hidden as f64 / width as f64;
        if depth.high < subtracted {
            MeasuredVerdict::MeanSubtracting
        } else if depth.low > MeasuredVerdict::NOT_SUBTRACTED.max(left) {
            MeasuredVerdict::NotMeanSubtracting
        } else {
            MeasuredVerdict::Inconclusive
        }
    }

    fn note(&self, subtracted: f64, verdict: MeasuredVerdict) -> Option<String> {
        if verdict != MeasuredVerdict::Inconclusive {
            return None;
        }
        Some(match (self.depth, self.hidden) {
            (_, hidden) if hidden > 0 => format!(
                "the scale hides the normalised input in {hidden} channels; capture it before the scale is applied (`SITE.before_scale`)"
            ),
            (Some(depth), _) => format!(
                "the scale-free depth {:.1e} is neither below {subtracted:.0e}, as after a subtracted mean, nor above {}",
                depth.value,
                MeasuredVerdict::NOT_SUBTRACTED
            ),
            (None, _) => "the normalised input cannot be had from these activations".to_owned(),
        })
    }
}
