//! Eigenpairs of a covariance, and how far a direction is from its bottom one.

use crate::kernel::spectrum::ranks;
use crate::report::Eigenvalue;
use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Mat, MatRef, Side};

/// Eigenvalues in ascending order, and the eigenvectors as columns.
pub struct Spectrum {
    /// λ₁ ≤ … ≤ λ_d.
    pub values: Vec<f64>,
    /// u₁ … u_d as columns, d × d.
    pub vectors: Mat<f64>,
}

impl Spectrum {
    /// All eigenpairs of a symmetric matrix; `None` when they do not converge.
    pub fn of(matrix: MatRef<'_, f64>) -> Option<Self> {
        let eigen = SelfAdjointEigen::new(matrix, Side::Lower).ok()?;
        let values = eigen.S().column_vector().iter().copied().collect();
        Some(Self { values, vectors: eigen.U().to_owned() })
    }

    /// The eigenvalues over `mean`, as many as a figure shows.
    pub fn sampled(&self, mean: f64) -> Vec<Eigenvalue> {
        let at = |rank: usize| Eigenvalue { rank: rank as u32, value: self.values[rank] / mean };
        ranks(self.values.len()).into_iter().map(at).collect()
    }

    /// |⟨u₁, v⟩|.
    pub fn cosine(&self, v: &[f64]) -> f64 {
        self.vectors.col(0).iter().zip(v).map(|(u, v)| u * v).sum::<f64>().abs().min(1.0)
    }

    /// Cosines of the principal angles between the span of u₁ … u_k and that of the k orthonormal columns of `basis`
    /// (d × k), the smallest angle first.
    pub fn principal_cosines(&self, basis: MatRef<'_, f64>) -> Option<Vec<f64>> {
        let overlap = self.vectors.subcols(0, basis.ncols()).transpose() * basis;
        let svd = overlap.thin_svd().ok()?;
        Some(svd.S().column_vector().iter().map(|cosine| cosine.min(1.0)).collect())
    }
}

/// C on the complement of a unit vector v: its eigenpairs there.
///
/// A reflection H takes v to the last axis; HCH without that axis has the eigenvalues of C on v⊥.
pub struct Complement {
    /// Ascending; the first is κ.
    pub values: Vec<f64>,
    vectors: Mat<f64>,
    /// H = 1 − w wᵀ/h.
    w: Vec<f64>,
    h: f64,
}

impl Complement {
    /// Of a symmetric d × d matrix, d ≥ 2; `None` when the eigenvalues do not converge.
    pub fn of(matrix: &Mat<f64>, v: &[f64]) -> Option<Self> {
        let d = v.len();
        // w = v ± e_d, of the sign that does not cancel.
        let mut w = v.to_vec();
        *w.last_mut()? += if v[d - 1] < 0.0 { -1.0 } else { 1.0 };
        let h = w.iter().map(|w| w * w).sum::<f64>() / 2.0;
        let cw: Vec<f64> = (0..d).map(|i| (0..d).map(|j| matrix[(i, j)] * w[j]).sum()).collect();
        let wcw: f64 = w.iter().zip(&cw).map(|(w, cw)| w * cw).sum();
        // HCH = C − w pᵀ − p wᵀ with p = Cw/h − w (wᵀCw)/(2h²).
        let p: Vec<f64> = (0..d).map(|i| cw[i] / h - w[i] * wcw / (2.0 * h * h)).collect();
        let rest = Mat::from_fn(d - 1, d - 1, |i, j| matrix[(i, j)] - w[i] * p[j] - p[i] * w[j]);
        let spectrum = Spectrum::of(rest.as_ref())?;
        Some(Self { values: spectrum.values, vectors: spectrum.vectors, w, h })
    }

    /// rᵀ (C on v⊥)⁻¹ r for an r in v⊥.
    pub fn inverse_form(&self, r: &[f64]) -> f64 {
        let along: f64 = self.w.iter().zip(r).map(|(w, r)| w * r).sum::<f64>() / self.h;
        let reflected: Vec<f64> = r.iter().zip(&self.w).map(|(r, w)| r - along * w).collect();
        let square = |(column, value): (usize, &f64)| {
            let part: f64 = self.vectors.col(column).iter().zip(&reflected).map(|(u, r)| u * r).sum();
            part * part / value
        };
        self.values.iter().enumerate().map(square).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Q diag(values) Qᵀ with Q a reflection, and Q's first column.
    fn with_values(values: &[f64]) -> (Mat<f64>, Vec<f64>) {
        let d = values.len();
        let w: Vec<f64> = (0..d).map(|i| 1.0 + (i as f64 * 0.7).sin()).collect();
        let norm: f64 = w.iter().map(|w| w * w).sum();
        let q = Mat::from_fn(d, d, |i, j| f64::from(u8::from(i == j)) - 2.0 * w[i] * w[j] / norm);
        let scaled = Mat::from_fn(d, d, |i, j| q[(i, j)] * values[j]);
        let matrix = &scaled * q.transpose();
        (matrix, (0..d).map(|i| q[(i, 0)]).collect())
    }

    #[test]
    fn the_bottom_pair_is_found() {
        let (matrix, bottom) = with_values(&[1e-9, 0.1, 0.3, 0.5, 2.0, 7.0]);
        let spectrum = Spectrum::of(matrix.as_ref()).unwrap();
        assert!((spectrum.values[0] - 1e-9).abs() < 1e-14 && (spectrum.values[5] - 7.0).abs() < 1e-12);
        assert!((spectrum.cosine(&bottom) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_beside_the_bottom_vector_is_the_second_eigenvalue() {
        let (matrix, bottom) = with_values(&[1e-9, 0.1, 0.3, 0.5, 2.0, 7.0]);
        assert!((Complement::of(&matrix, &bottom).unwrap().values[0] - 0.1).abs() < 1e-12);
        let axis = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert!(Complement::of(&matrix, &axis).unwrap().values[0] < 0.1, "interlacing");
    }

    #[test]
    fn the_inverse_form_is_that_of_the_block() {
        // v = e₃, so the block is the upper left one: diag(2, 4), and r = (1, 2, 0) gives 1/2 + 4/4.
        let diagonal = [2.0, 4.0, 9.0];
        let matrix = Mat::from_fn(3, 3, |i, j| if i == j { diagonal[i] } else { 0.0 });
        let complement = Complement::of(&matrix, &[0.0, 0.0, 1.0]).unwrap();
        assert!((complement.inverse_form(&[1.0, 2.0, 0.0]) - 1.5).abs() < 1e-12);
    }

    #[test]
    fn a_subspace_is_at_no_angle_to_itself() {
        let (matrix, _) = with_values(&[1e-9, 1e-8, 0.3, 0.5, 2.0, 7.0]);
        let spectrum = Spectrum::of(matrix.as_ref()).unwrap();
        let basis = spectrum.vectors.subcols(0, 2).to_owned();
        assert!(
            spectrum.principal_cosines(basis.as_ref()).unwrap().iter().all(|cosine| *cosine > 1.0 - 1e-12)
        );
    }
}
