//! The measurement of one norm's outputs: depth, direction, certificate, Schur ratio, and the scale-free test (MATH §4).

use super::MeasureError;
use super::activations::Activations;
use super::altered::altered;
use super::bottom::Bottom;
use super::centred::{Centred, dot, interval};
use super::eigen::{self, Pairs};
use super::gram::{Gram, Grid, Gridded};
use super::rows::Rows;
use crate::kernel::direction::Kernel;
use crate::kernel::spectrum::TAU;
use crate::report::{Component, Eigenvalue, Interval, MeasuredVerdict, SiteVerification};
use faer::Mat;

pub use super::norm::Norm;

/// Activations that were stored in a narrower type have their own floor: u²/3 for a unit roundoff u. Below a hundred times that, rounding
/// and a direction look the same.
const ABOVE_FLOOR: f64 = 100.0;
/// A raw |cos| above this looks like a kernel to code that does not divide by γ.
const FOOLED: f64 = 0.99;
/// Components of a direction in the report.
const SHOWN: usize = 128;
/// With fewer tokens than this many times the width, every number is a poor estimate.
pub(crate) const ENOUGH: usize = 4;

/// The exact covariance of all tokens and of each half, on the same grids.
pub(super) struct Covariances {
    pub(super) all: Mat<f64>,
    /// `None` if a half has too few tokens for its own estimate.
    pub(super) halves: Option<[Mat<f64>; 2]>,
    crc32: u32,
    heavy_tokens: usize,
}

impl Covariances {
    pub(super) async fn of(
        rows: &Rows<'_>,
        gram: &impl AsyncFn(&Gridded) -> Gram,
    ) -> Result<Self, MeasureError> {
        let grid = Grid::of(rows)?;
        let mut heavy_tokens = 0;
        let mut half = async |rows: &Rows<'_>| {
            let gridded = grid.round(rows);
            heavy_tokens += gridded.heavy_tokens();
            gram(&gridded).await
        };
        let [first, second] = &rows.halves();
        let halves = [half(first).await, half(second).await];
        let all = halves[0].plus(&halves[1]);
        let estimates = first.tokens() > rows.width();
        Ok(Self {
            all: all.covariance(),
            halves: estimates.then(|| halves.map(|half| half.covariance())),
            crc32: all.crc32(),
            heavy_tokens,
        })
    }
}

/// A direction compared with the covariance of all tokens and of the halves.
struct Standing {
    depth: Interval,
    all: Bottom,
    halves: Option<[Bottom; 2]>,
}

impl Standing {
    fn of(
        site: &str,
        centred: &Centred<'_>,
        covariances: &Covariances,
        v: &[f64],
    ) -> Result<Self, MeasureError> {
        let failed = || MeasureError::NoConvergence { site: site.to_owned() };
        let all = Bottom::of(centred, &covariances.all, v).ok_or_else(failed)?;
        let [first, second] = &centred.halves();
        let halves = match &covariances.halves {
            Some([a, b]) => Some([
                Bottom::of(first, a, v).ok_or_else(failed)?,
                Bottom::of(second, b, v).ok_or_else(failed)?,
            ]),
            None => None,
        };
        let value = all.variance / centred.mean_variance;
        let depths = [first, second].map(|half| Some(half.depth(v)));
        let depth = interval(Some(value), depths).unwrap_or(Interval { value, low: value, high: value });
        Ok(Self { depth, all, halves })
    }

    /// Returns one of its numbers with its interval.
    fn interval(&self, number: impl Fn(&Bottom) -> Option<f64>) -> Option<Interval> {
        let [first, second] = self.halves.as_ref()?;
        interval(number(&self.all), [number(first), number(second)])
    }
}

/// Measures one norm from its outputs `y`, and from its normalised inputs `before_scale` if they were captured. `gram` computes the exact
/// Gram matrix, on the CPU (`Gridded::gram`) or on a GPU, with the same bits.
pub async fn measure(
    norm: Norm<'_>,
    y: &Activations,
    before_scale: Option<&Activations>,
    gram: impl AsyncFn(&Gridded) -> Gram,
) -> Result<SiteVerification, MeasureError> {
    check(norm, y)?;
    before_scale.map_or(Ok(()), |before| check(norm, before))?;
    let (n, d) = (y.tokens, y.width);
    let rows = Rows::new(y);
    let centred = Centred::new(rows.clone());
    if centred.mean_variance == 0.0 {
        return Err(MeasureError::Constant { site: norm.name.to_owned(), tokens: n });
    }
    let covariances = Covariances::of(&rows, &gram).await?;
    let mut notes = y.notes.clone();
    if n < ENOUGH * d {
        notes.push(format!("{n} tokens are less than {ENOUGH} times the width: the estimates are rough"));
    }

    let kernel = match Kernel::of(norm.scale, true) {
        Kernel::InverseScale(direction) => {
            Predicted::direction(norm, &centred, &covariances, &direction.components)?
        }
        _ => Predicted::coordinates(norm, &centred, &covariances)?,
    };
    notes.extend(kernel.note.clone());

    let scale_free = ScaleFree::of(norm, y, before_scale, &gram).await?;
    let precision = before_scale.unwrap_or(y);
    let subtracted = MeasuredVerdict::SUBTRACTED.max(ABOVE_FLOOR * precision.floor());
    let (verdict, note) = match scale_free.verdict(subtracted, d) {
        // Values that are not the norm's output show no kernel, whatever the norm does.
        MeasuredVerdict::NotMeanSubtracting if before_scale.is_none() => match altered(norm, y) {
            Some(why) => (MeasuredVerdict::Inconclusive, Some(why)),
            None => (MeasuredVerdict::NotMeanSubtracting, None),
        },
        verdict => (verdict, scale_free.note(subtracted, verdict)),
    };
    notes.extend(note);
    let zeros = norm.scale.zeros();
    let raw = kernel.cos.filter(|cosine| *cosine > FOOLED);
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
        heavy_tokens: covariances.heavy_tokens as u64,
        gram_crc32: format!("{:08x}", covariances.crc32),
        mean_variance: centred.mean_variance,
        lambda_v: Some(kernel.depth.value * centred.mean_variance),
        below_tau: (y.floor() < TAU).then_some(kernel.spectrum.below_tau),
        depth: kernel.depth.value,
        depth_interval: kernel.depth,
        cos: kernel.cos,
        cos_interval: kernel.cos_interval,
        gap: kernel.gap,
        gap_interval: kernel.gap_interval,
        sin_bound: kernel.sin_bound,
        depth_scale_free: scale_free.depth.map(|depth| depth.value),
        depth_scale_free_interval: scale_free.depth,
        cos_scale_free: scale_free.cos,
        cos_scale_free_interval: scale_free.cos_interval,
        schur: kernel.schur,
        schur_interval: kernel.schur_interval,
        schur_null: d as f64 / n as f64,
        spectrum: kernel.spectrum.shown,
        direction: kernel.direction,
        principal_cosines: kernel.principal_cosines,
        principal_cosines_interval: kernel.principal_cosines_interval,
        zero_variance: zeros.iter().map(|&channel| covariances.all[(channel, channel)]).reduce(f64::max),
        raw_test_fooled: fooled,
        verdict,
        notes,
    })
}

/// The predicted kernel compared with the covariance.
struct Predicted {
    depth: Interval,
    cos: Option<f64>,
    cos_interval: Option<Interval>,
    sin_bound: Option<f64>,
    gap: Option<f64>,
    gap_interval: Option<Interval>,
    schur: Option<f64>,
    schur_interval: Option<Interval>,
    principal_cosines: Option<Vec<f64>>,
    principal_cosines_interval: Option<Vec<Interval>>,
    direction: Vec<Component>,
    spectrum: Spectrum,
    note: Option<String>,
}

impl Predicted {
    /// For γᵢ that are all nonzero: v = γ⁻¹/‖γ⁻¹‖.
    fn direction(
        norm: Norm<'_>,
        centred: &Centred<'_>,
        covariances: &Covariances,
        v: &[f64],
    ) -> Result<Self, MeasureError> {
        let failed = || MeasureError::NoConvergence { site: norm.name.to_owned() };
        let standing = Standing::of(norm.name, centred, covariances, v)?;
        let near_dead = norm.scale.near_dead();
        let basis = predicted_basis(&near_dead, Some(v), v.len());
        let bottom = Pairs::bottom(&covariances.all, basis.ncols().max(1)).ok_or_else(failed)?;
        let principal_cosines =
            (!near_dead.is_empty()).then(|| bottom.principal_cosines(basis.as_ref())).flatten();
        let on_half = |covariance: &Mat<f64>| {
            Pairs::bottom(covariance, basis.ncols())?.principal_cosines(basis.as_ref())
        };
        let note = standing.all.cosine.is_none().then(|| match near_dead.len() {
            // This can happen with any scales: the norm's input may have less than full rank, for example behind a narrow projection.
            0 => "several directions lie below f64's rounding although no scale is near zero: the input of the norm varies along few directions. None of them can be called the bottom one, so no |cos| is given. The depth is".to_owned(),
            scales => format!(
                "{scales} scales are so small that several directions lie below f64's rounding: none of them can be called the bottom one, so no |cos| is given. The principal angles and the depth are"
            ),
        });
        Ok(Self {
            depth: standing.depth,
            cos: standing.all.cosine,
            cos_interval: standing.interval(|bottom| bottom.cosine),
            sin_bound: standing.all.sin_bound,
            gap: standing.all.gap,
            gap_interval: standing.interval(|bottom| bottom.gap),
            schur: standing.all.schur,
            schur_interval: standing.interval(|bottom| bottom.schur),
            principal_cosines_interval: on_halves(principal_cosines.as_deref(), covariances, on_half),
            principal_cosines,
            direction: match standing.all.cosine {
                Some(_) => components(v, &bottom),
                None => Vec::new(),
            },
            spectrum: Spectrum::of(centred, covariances).ok_or_else(failed)?,
            note,
        })
    }

    /// For scales with some γᵢ = 0: the kernel is those coordinates, for either kind.
    fn coordinates(
        norm: Norm<'_>,
        centred: &Centred<'_>,
        covariances: &Covariances,
    ) -> Result<Self, MeasureError> {
        let failed = || MeasureError::NoConvergence { site: norm.name.to_owned() };
        let zeros = norm.scale.zeros();
        let variance = |covariance: &Mat<f64>| {
            zeros.iter().map(|&channel| covariance[(channel, channel)]).fold(0.0, f64::max)
        };
        let basis = predicted_basis(&zeros, None, norm.scale.width());
        // Channels without variance are eigenvectors of the eigenvalue 0, and no eigenvalue is smaller.
        let cosines = |covariance: &Mat<f64>| match variance(covariance) {
            0.0 => Some(vec![1.0; zeros.len()]),
            _ => Pairs::bottom(covariance, zeros.len())?.principal_cosines(basis.as_ref()),
        };
        let principal_cosines = cosines(&covariances.all).ok_or_else(failed)?;
        let principal_cosines_interval = on_halves(Some(&principal_cosines), covariances, cosines);
        let depth = |covariance| variance(covariance) / centred.mean_variance;
        let value = depth(&covariances.all);
        let halves = covariances.halves.as_ref();
        let interval = halves.and_then(|[a, b]| interval(Some(value), [Some(depth(a)), Some(depth(b))]));
        Ok(Self {
            depth: interval.unwrap_or(Interval { value, low: value, high: value }),
            cos: Some(principal_cosines.iter().copied().fold(1.0, f64::min)),
            // The last angle is the largest.
            cos_interval: principal_cosines_interval.as_ref().and_then(|all| all.last().copied()),
            sin_bound: None,
            gap: None,
            gap_interval: None,
            schur: None,
            schur_interval: None,
            principal_cosines: Some(principal_cosines),
            principal_cosines_interval,
            direction: Vec::new(),
            spectrum: Spectrum::of(centred, covariances).ok_or_else(failed)?,
            note: None,
        })
    }
}

/// Combines each cosine with its values on both halves, computed by `on_half`.
fn on_halves(
    cosines: Option<&[f64]>,
    covariances: &Covariances,
    on_half: impl Fn(&Mat<f64>) -> Option<Vec<f64>>,
) -> Option<Vec<Interval>> {
    let (cosines, [first, second]) = (cosines?, covariances.halves.as_ref()?);
    let (first, second) = (on_half(first)?, on_half(second)?);
    let halves = first.into_iter().zip(second);
    cosines.iter().zip(halves).map(|(&value, (a, b))| interval(Some(value), [Some(a), Some(b)])).collect()
}

/// The eigenvalues of the covariance of all tokens.
struct Spectrum {
    /// Eigenvalues at the ranks that a figure shows.
    shown: Vec<Eigenvalue>,
    /// How many of all eigenvalues are below τ × mean. No eigenvalue exceeds d × mean, so f64's rounding stays far below τ.
    below_tau: u32,
}

impl Spectrum {
    /// Returns `None` if the eigenvalues do not converge.
    fn of(centred: &Centred<'_>, covariances: &Covariances) -> Option<Self> {
        let (values, mean) = (eigen::eigenvalues(&covariances.all)?, centred.mean_variance);
        let below_tau = values.iter().filter(|value| **value < TAU * mean).count() as u32;
        Some(Self { shown: eigen::sampled(&values, mean), below_tau })
    }
}

/// Returns the largest components of v and a regular sample of the others, beside those of u₁ with matching sign.
fn components(v: &[f64], bottom: &Pairs) -> Vec<Component> {
    let u: Vec<f64> = bottom.vectors.col(0).iter().copied().collect();
    let sign = dot(&u, v).signum();
    let mut channels: Vec<usize> = (0..v.len()).collect();
    channels.sort_by(|a, b| v[*b].abs().total_cmp(&v[*a].abs()));
    let (largest, others) = channels.split_at(channels.len().min(SHOWN / 2));
    let step = others.len().div_ceil(SHOWN / 2).max(1);
    let component = |&channel: &usize| Component {
        channel: channel as u32,
        predicted: v[channel] as f32,
        measured: (sign * u[channel]) as f32,
    };
    largest.iter().chain(others.iter().step_by(step)).map(component).collect()
}

fn check(norm: Norm<'_>, y: &Activations) -> Result<(), MeasureError> {
    let site = || norm.name.to_owned();
    if y.width != norm.scale.width() {
        let (width, tensor, found) = (norm.scale.width() as u64, y.tensor.clone(), y.width);
        return Err(MeasureError::Width { site: site(), width, tensor, found });
    }
    if let Some(at) = (0..y.values.len()).find(|&at| !y.values.get(at).is_finite()) {
        let (token, channel, value) = (at / y.width, at % y.width, y.values.get(at));
        return Err(MeasureError::NotFinite { site: site(), token, channel, value });
    }
    if y.tokens <= y.width {
        return Err(MeasureError::TooFewTokens { site: site(), tokens: y.tokens, width: y.width });
    }
    Ok(())
}

/// Returns orthonormal columns that span the near-dead coordinates and the predicted direction.
fn predicted_basis(near_dead: &[usize], direction: Option<&[f64]>, d: usize) -> Mat<f64> {
    let rest = direction.map(|v| {
        let mut rest = v.to_vec();
        near_dead.iter().for_each(|&channel| rest[channel] = 0.0);
        let norm = dot(&rest, &rest).sqrt();
        (rest, norm)
    });
    // v may have nothing left outside those coordinates.
    let rest = rest.filter(|(_, norm)| *norm > 1e-6);
    let columns = near_dead.len() + usize::from(rest.is_some());
    Mat::from_fn(d, columns, |row, column| match (near_dead.get(column), &rest) {
        (Some(&channel), _) => f64::from(u8::from(channel == row)),
        (None, Some((rest, norm))) => rest[row] / norm,
        (None, None) => 0.0,
    })
}

/// The test that does not depend on the scale: under LayerNorm x̂ = (y − β)/γ has the exact kernel 1/√d for any γ.
struct ScaleFree {
    depth: Option<Interval>,
    cos: Option<f64>,
    cos_interval: Option<Interval>,
    /// Channels in which y does not show x̂: γ is zero, or too small beside β.
    hidden: usize,
}

impl ScaleFree {
    async fn of(
        norm: Norm<'_>,
        y: &Activations,
        before_scale: Option<&Activations>,
        gram: &impl AsyncFn(&Gridded) -> Gram,
    ) -> Result<Self, MeasureError> {
        let rows = match before_scale {
            Some(before) => Rows::new(before),
            None => Rows::unscaled(y, (0..y.width).filter_map(|at| norm.channel(at)).collect()),
        };
        let (d, hidden) = (rows.width(), y.width - rows.width());
        if d < 2 {
            return Ok(Self { depth: None, cos: None, cos_interval: None, hidden });
        }
        let even = vec![(1.0 / d as f64).sqrt(); d];
        let covariances = Covariances::of(&rows, gram).await?;
        let standing = Standing::of(norm.name, &Centred::new(rows), &covariances, &even)?;
        Ok(Self {
            depth: Some(standing.depth),
            cos: standing.all.cosine,
            cos_interval: standing.interval(|bottom| bottom.cosine),
            hidden,
        })
    }

    fn verdict(&self, subtracted: f64, width: usize) -> MeasuredVerdict {
        let Some(depth) = self.depth else { return MeasuredVerdict::Inconclusive };
        // If k of d channels are hidden, the sum of the others has a variance of about k/d.
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
            (None, _) => "the normalised input cannot be computed from these activations".to_owned(),
        })
    }
}
