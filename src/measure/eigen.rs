//! Eigenpairs of a covariance, and how far a direction is from its bottom one.
//!
//! The bottom pairs come from a factorisation and a block Krylov iteration on the inverse. That takes d³/3 operations and a few hundred
//! d², while all pairs take 9d³. The block finds multiple eigenvalues. All eigenvalues without vectors take 4d³/3.

use crate::kernel::spectrum::ranks;
use crate::report::Eigenvalue;
use faer::linalg::solvers::{Llt, SelfAdjointEigen, Solve};
use faer::{Mat, MatRef, Side};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

/// Matrices up to this size, and blocks beyond an eighth of the matrix, are solved whole, because an iteration would save nothing.
const WHOLE: usize = 128;
/// Blocks of a Krylov space before it is restarted from its best vectors.
const BLOCKS: usize = 24;
/// Vectors of a block beyond those wanted.
const SPARE: usize = 2;
/// An iterated pair is done when ‖Ax − θx‖ is below this × |θ|.
const DONE: f64 = 1e-9;
/// Most restarts. A pair that is not done by then lies in a cluster, where any vector is as good.
const RESTARTS: usize = 12;
/// Factors of the largest diagonal value. The first is added to the diagonal before a factorisation, the second if the first is not
/// enough. They are too small to move eigenvectors that can be resolved, and large enough that unresolved ones do not dominate.
const SHIFTS: [f64; 2] = [1e-15, 1e-13];

/// Some eigenpairs.
#[derive(Debug)]
pub struct Pairs {
    /// Eigenvalues.
    pub values: Vec<f64>,
    /// Eigenvectors as columns.
    pub vectors: Mat<f64>,
}

impl Pairs {
    /// Returns the pairs of the `count` smallest eigenvalues, ascending, of a positive semidefinite matrix. `None` if they do not
    /// converge. Values below [`Eigenvalue::RESOLVED`] × the largest are rounding.
    pub fn bottom(matrix: &Mat<f64>, count: usize) -> Option<Self> {
        let d = matrix.nrows();
        let count = count.min(d);
        if d <= WHOLE || 8 * (count + SPARE) > d {
            let eigen = SelfAdjointEigen::new(matrix.as_ref(), Side::Lower).ok()?;
            let values = eigen.S().column_vector().iter().take(count).copied().collect();
            return Some(Self { values, vectors: eigen.U().subcols(0, count).to_owned() });
        }
        let (factor, _) = factorised(matrix)?;
        let inverse = Self::iterated(d, count, |block| factor.solve(block))?;
        // The Rayleigh quotients do not contain the shift.
        let image = matrix * &inverse.vectors;
        let rayleigh = |k: usize| (inverse.vectors.col(k).transpose() * image.col(k)).max(0.0);
        let mut order: Vec<(f64, usize)> = (0..count).map(|k| (rayleigh(k), k)).collect();
        order.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let vectors = Mat::from_fn(d, count, |row, k| inverse.vectors[(row, order[k].1)]);
        Some(Self { values: order.into_iter().map(|(value, _)| value).collect(), vectors })
    }

    /// Returns the largest eigenvalue of a positive semidefinite matrix.
    pub fn largest(matrix: &Mat<f64>) -> Option<f64> {
        let d = matrix.nrows();
        if d <= WHOLE {
            return eigenvalues(matrix).and_then(|values| values.last().copied());
        }
        Self::iterated(d, 1, |block| matrix * block)?.values.first().copied()
    }

    /// Returns the pairs of the `count` largest eigenvalues, descending, of a symmetric operator on blocks of columns.
    fn iterated(d: usize, count: usize, apply: impl Fn(&Mat<f64>) -> Mat<f64>) -> Option<Self> {
        let size = count + SPARE;
        let mut random = SmallRng::seed_from_u64(1);
        let mut block = orthonormal(Mat::from_fn(d, size, |_, _| random.sample(StandardNormal)));
        let blocks = BLOCKS.min(d / size);
        for restart in 0..=RESTARTS {
            let mut basis = Mat::zeros(d, blocks * size);
            let mut images = Mat::zeros(d, blocks * size);
            for k in 0..blocks {
                basis.subcols_mut(k * size, size).copy_from(&block);
                let image = apply(&block);
                images.subcols_mut(k * size, size).copy_from(&image);
                if k + 1 < blocks {
                    let so_far = basis.subcols(0, (k + 1) * size);
                    // Twice: the first pass leaves parts as small as its own rounding.
                    block = orthonormal(without(orthonormal(image), so_far));
                    block = orthonormal(without(block, so_far));
                }
            }
            let projected = basis.transpose() * &images;
            let eigen = SelfAdjointEigen::new(projected.as_ref(), Side::Lower).ok()?;
            let last = blocks * size;
            // The largest come last.
            let weights = Mat::from_fn(last, size, |row, k| eigen.U()[(row, last - 1 - k)]);
            let values: Vec<f64> = (0..size).map(|k| eigen.S().column_vector()[last - 1 - k]).collect();
            let (vectors, image) = (&basis * &weights, &images * &weights);
            let residual = |k: usize| (image.col(k) - vectors.col(k) * faer::Scale(values[k])).norm_l2();
            if restart == RESTARTS || (0..count).all(|k| residual(k) <= DONE * values[k].abs()) {
                let vectors = vectors.subcols(0, count).to_owned();
                return Some(Self { values: values[..count].to_vec(), vectors });
            }
            block = orthonormal(vectors);
        }
        None
    }

    /// Returns |⟨u₁, v⟩|.
    pub fn cosine(&self, v: &[f64]) -> f64 {
        self.vectors.col(0).iter().zip(v).map(|(u, v)| u * v).sum::<f64>().abs().min(1.0)
    }

    /// Returns the cosines of the principal angles between the span of these vectors and that of the same number of orthonormal columns
    /// of `basis` (d × k), smallest angle first.
    pub fn principal_cosines(&self, basis: MatRef<'_, f64>) -> Option<Vec<f64>> {
        let overlap = self.vectors.transpose() * basis;
        let svd = overlap.thin_svd().ok()?;
        Some(svd.S().column_vector().iter().map(|cosine| cosine.min(1.0)).collect())
    }
}

/// Subtracts from columns their parts in the span of an orthonormal `basis`.
fn without(columns: Mat<f64>, basis: MatRef<'_, f64>) -> Mat<f64> {
    let parts = basis.transpose() * &columns;
    columns - basis * parts
}

fn orthonormal(columns: Mat<f64>) -> Mat<f64> {
    columns.qr().compute_thin_Q()
}

/// Returns all eigenvalues of a symmetric matrix, ascending. `None` if they do not converge.
pub fn eigenvalues(matrix: &Mat<f64>) -> Option<Vec<f64>> {
    matrix.self_adjoint_eigenvalues(Side::Lower).ok()
}

/// Returns ascending eigenvalues over `mean`, at the ranks that a figure shows.
pub fn sampled(values: &[f64], mean: f64) -> Vec<Eigenvalue> {
    let at = |rank: usize| Eigenvalue { rank: rank as u32, value: values[rank] / mean };
    ranks(values.len()).into_iter().map(at).collect()
}

/// Returns LLᵀ of a positive semidefinite matrix, and whether the smaller shift was enough. `None` if the matrix is not finite.
fn factorised(matrix: &Mat<f64>) -> Option<(Llt<f64>, bool)> {
    let d = matrix.nrows();
    let largest = (0..d).map(|i| matrix[(i, i)]).fold(f64::MIN_POSITIVE, f64::max);
    let mut shifted = matrix.clone();
    for (attempt, shift) in SHIFTS.into_iter().enumerate() {
        (0..d).for_each(|i| shifted[(i, i)] = matrix[(i, i)] + shift * largest * (d as f64).sqrt());
        if let Ok(factor) = Llt::new(shifted.as_ref(), Side::Lower) {
            return Some((factor, attempt == 0));
        }
    }
    None
}

/// C on the complement of a unit vector v: its smallest eigenvalue and its inverse.
///
/// A reflection H maps v to the last axis. HCH without that axis has the eigenvalues of C on v⊥.
pub struct Complement {
    /// κ.
    pub least: f64,
    /// An eigenvalue lies within this distance of `least`: ‖Cu − κu‖ after the iteration, or 0 if all were computed.
    pub residual: f64,
    /// `None` if it is singular to rounding.
    factor: Option<Llt<f64>>,
    /// H = 1 − w wᵀ/h.
    w: Vec<f64>,
    h: f64,
}

impl Complement {
    /// Makes it for a positive semidefinite d × d matrix, d ≥ 2. `None` if κ does not converge.
    pub fn of(matrix: &Mat<f64>, v: &[f64]) -> Option<Self> {
        let d = v.len();
        // w = v ± e_d, with the sign that does not cancel.
        let mut w = v.to_vec();
        *w.last_mut()? += if v[d - 1] < 0.0 { -1.0 } else { 1.0 };
        let h = w.iter().map(|w| w * w).sum::<f64>() / 2.0;
        let cw: Vec<f64> = (0..d).map(|i| (0..d).map(|j| matrix[(j, i)] * w[j]).sum()).collect();
        let wcw: f64 = w.iter().zip(&cw).map(|(w, cw)| w * cw).sum();
        // HCH = C − w pᵀ − p wᵀ with p = Cw/h − w (wᵀCw)/(2h²).
        let p: Vec<f64> = (0..d).map(|i| cw[i] / h - w[i] * wcw / (2.0 * h * h)).collect();
        let rest = Mat::from_fn(d - 1, d - 1, |i, j| matrix[(i, j)] - w[i] * p[j] - p[i] * w[j]);
        let (factor, regular) = factorised(&rest)?;
        let (least, residual) = if d - 1 <= WHOLE {
            (*eigenvalues(&rest)?.first()?, 0.0)
        } else {
            let vectors = Pairs::iterated(d - 1, 1, |block| factor.solve(block))?.vectors;
            let (u, image) = (vectors.col(0), rest * &vectors);
            let least = image.col(0).transpose() * u;
            (least, (image.col(0) - u * faer::Scale(least)).norm_l2())
        };
        Some(Self { least, residual, factor: regular.then_some(factor), w, h })
    }

    /// Returns rᵀ (C on v⊥)⁻¹ r for an r in v⊥. `None` if C is singular to rounding there.
    pub fn inverse_form(&self, r: &[f64]) -> Option<f64> {
        let along: f64 = self.w.iter().zip(r).map(|(w, r)| w * r).sum::<f64>() / self.h;
        let reflected = Mat::from_fn(r.len() - 1, 1, |i, _| r[i] - along * self.w[i]);
        let solved = self.factor.as_ref()?.solve(&reflected);
        Some(reflected.col(0).transpose() * solved.col(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes Q diag(values) Qᵀ with a reflection Q, and returns Q's first column too.
    fn with_values(values: &[f64]) -> (Mat<f64>, Vec<f64>) {
        let d = values.len();
        let w: Vec<f64> = (0..d).map(|i| 1.0 + (i as f64 * 0.7).sin()).collect();
        let norm: f64 = w.iter().map(|w| w * w).sum();
        let q = Mat::from_fn(d, d, |i, j| f64::from(u8::from(i == j)) - 2.0 * w[i] * w[j] / norm);
        let scaled = Mat::from_fn(d, d, |i, j| q[(i, j)] * values[j]);
        let matrix = &scaled * q.transpose();
        (matrix, (0..d).map(|i| q[(i, 0)]).collect())
    }

    /// Returns `first`, then 300 eigenvalues whose lower edge is as dense as in a covariance of noise.
    fn crowded(first: &[f64]) -> Vec<f64> {
        let rest = (0..300 - first.len()).map(|k| 0.25 + 0.01 * (k as f64).powf(2.0 / 3.0));
        first.iter().copied().chain(rest).collect()
    }

    #[test]
    fn the_bottom_pairs_are_found_whole_or_by_iteration() {
        for values in [vec![1e-9, 0.1, 0.3, 0.5, 2.0, 7.0], crowded(&[1e-9, 0.1])] {
            let (matrix, bottom) = with_values(&values);
            let pairs = Pairs::bottom(&matrix, 2).unwrap();
            assert!((pairs.values[0] - 1e-9).abs() < 1e-14, "{}", pairs.values[0]);
            assert!((pairs.values[1] - 0.1).abs() < 1e-12, "{}", pairs.values[1]);
            assert!((pairs.cosine(&bottom) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn an_iterated_edge_is_that_of_all_eigenvalues() {
        let (matrix, bottom) = with_values(&crowded(&[]));
        let (pairs, all) = (Pairs::bottom(&matrix, 3).unwrap(), eigenvalues(&matrix).unwrap());
        for (iterated, whole) in pairs.values.iter().zip(&all) {
            assert!((iterated / whole - 1.0).abs() < 1e-10, "{iterated} {whole}");
        }
        assert!(pairs.cosine(&bottom) > 1.0 - 1e-9);
        assert!((Pairs::largest(&matrix).unwrap() / all[299] - 1.0).abs() < 1e-10);
    }

    #[test]
    fn directions_far_below_rounding_do_not_drown_the_others() {
        // As at the last norm of all-MiniLM-L6-v2: 1e-75 of the mean.
        let mut matrix = with_values(&crowded(&[])).0;
        for (channel, value) in [(5, 1e-75), (70, 1e-66), (200, 1e-60)] {
            (0..300).for_each(|i| (matrix[(i, channel)], matrix[(channel, i)]) = (0.0, 0.0));
            matrix[(channel, channel)] = value;
        }
        let pairs = Pairs::bottom(&matrix, 3).unwrap();
        let axes = Mat::from_fn(300, 3, |i, k| f64::from(u8::from(i == [5, 70, 200][k])));
        let cosines = pairs.principal_cosines(axes.as_ref()).unwrap();
        assert!(cosines.iter().all(|cosine| *cosine > 1.0 - 1e-9), "{cosines:?}");
        assert!(pairs.values.iter().all(|value| *value < 1e-15), "{:?}", pairs.values);
    }

    #[test]
    fn all_zero_eigenvalues_are_found() {
        let (matrix, _) = with_values(&crowded(&[0.0; 5]));
        let pairs = Pairs::bottom(&matrix, 6).unwrap();
        assert!(pairs.values[..5].iter().all(|value| *value < 1e-13), "{:?}", pairs.values);
        // Next to the inverse of the shift, the rounding of 1/0.25 is not small.
        assert!((pairs.values[5] - 0.25).abs() < 1e-4, "{:?}", pairs.values);
    }

    #[test]
    fn the_least_eigenvalue_beside_the_bottom_vector_is_the_second() {
        for values in [vec![1e-9, 0.1, 0.3, 0.5, 2.0, 7.0], crowded(&[1e-9, 0.1])] {
            let (matrix, bottom) = with_values(&values);
            let complement = Complement::of(&matrix, &bottom).unwrap();
            assert!((complement.least - 0.1).abs() < 1e-11 && complement.residual < 1e-7);
            let mut axis = vec![0.0; values.len()];
            axis[values.len() - 1] = 1.0;
            assert!(Complement::of(&matrix, &axis).unwrap().least < 0.1, "interlacing");
        }
    }

    #[test]
    fn the_inverse_form_is_that_of_the_block() {
        // v = e₃, so the block is the upper left one: diag(2, 4), and r = (1, 2, 0) gives 1/2 + 4/4.
        let diagonal = [2.0, 4.0, 9.0];
        let matrix = Mat::from_fn(3, 3, |i, j| if i == j { diagonal[i] } else { 0.0 });
        let complement = Complement::of(&matrix, &[0.0, 0.0, 1.0]).unwrap();
        assert!((complement.inverse_form(&[1.0, 2.0, 0.0]).unwrap() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn a_subspace_is_at_no_angle_to_itself() {
        for values in [vec![1e-9, 1e-8, 0.3, 0.5, 2.0, 7.0], crowded(&[1e-9, 1e-8])] {
            let (matrix, _) = with_values(&values);
            let pairs = Pairs::bottom(&matrix, 2).unwrap();
            let cosines = pairs.principal_cosines(pairs.vectors.as_ref()).unwrap();
            assert!(cosines.iter().all(|cosine| *cosine > 1.0 - 1e-12), "{cosines:?}");
        }
    }
}
