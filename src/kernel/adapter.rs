//! Wasted adapter energy (MATH §4): how much of an adapter lies along a dead direction.
//!
//! LoRA adds B·A to a reader of a norm's output y, with A (r × d) reading y and B (m × r) writing. The part of A along the kernel of
//! y's covariance adds a constant for every input, so ‖A v‖² of ‖A‖²_F has no effect. Other methods have no A. For their ΔW (m × d)
//! it is ‖ΔW v‖² of ‖ΔW‖²_F. [`Update`] keeps ΔW as its factors.

use super::direction::Kernel;
use std::ops::Range;

/// How much of an adapter's A, or of its ΔW, lies along a kernel, and how much would by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waste {
    /// ‖A K‖²_F ÷ ‖A‖²_F for an orthonormal basis K (d × k) of the kernel, 0 … 1; ‖A v‖²/‖A‖²_F for one direction.
    pub share: f64,
    /// ‖A‖²_F.
    pub energy: f64,
    /// Average share of an A without a preferred direction: k/d.
    pub null: f64,
    /// Standard deviation of the share by chance. For the A of [`waste`]: independent Gaussian entries, whose share is Beta(rk/2, r(d −
    /// k)/2). For the ΔW of an [`Update`]: its own singular values and random right singular vectors.
    pub null_deviation: f64,
}

/// Computes the waste of A: `values` row by row, `width` (d) values each. `None` if A is empty, all zero or not finite, or if its rows do
/// not have the length of the kernel's directions.
pub fn waste(values: &[f64], width: usize, kernel: &Kernel) -> Option<Waste> {
    if width == 0 || !values.len().is_multiple_of(width) || !fits(kernel, width) {
        return None;
    }
    // Divides by the largest value first, so that no square leaves the range of f64.
    let largest = largest(values);
    let (mut total, mut wasted) = (0.0, 0.0);
    for row in values.chunks_exact(width) {
        let scaled = |index: usize| row[index] / largest;
        total += (0..width).map(|index| scaled(index).powi(2)).sum::<f64>();
        wasted += match kernel {
            Kernel::InverseScale(direction) => {
                let along = direction.components.iter().enumerate();
                along.map(|(index, component)| scaled(index) * component).sum::<f64>().powi(2)
            }
            Kernel::Coordinates(zeros) => zeros.iter().map(|&index| scaled(index).powi(2)).sum(),
            Kernel::None => 0.0,
        };
    }
    let share = wasted / total;
    share.is_finite().then(|| {
        let (r, k, d) = ((values.len() / width) as f64, kernel.dimension() as f64, width as f64);
        let null_deviation = (k * (d - k) / (d * d * (r * d / 2.0 + 1.0))).sqrt();
        Waste { share, energy: total * largest * largest, null: k / d, null_deviation }
    })
}

fn fits(kernel: &Kernel, width: usize) -> bool {
    match kernel {
        Kernel::InverseScale(direction) => direction.components.len() == width,
        Kernel::Coordinates(zeros) => zeros.iter().all(|&index| index < width),
        Kernel::None => true,
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}

/// A matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// Makes a matrix. `None` if there are not rows × columns values.
    pub fn new(rows: usize, columns: usize, values: Vec<f64>) -> Option<Self> {
        (rows.checked_mul(columns) == Some(values.len())).then_some(Self { rows, columns, values })
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.columns..][..self.columns]
    }

    /// Returns the transpose.
    pub fn transposed(&self) -> Self {
        let values = (0..self.columns)
            .flat_map(|column| self.values.iter().skip(column).step_by(self.columns.max(1)).copied())
            .collect();
        Self { rows: self.columns, columns: self.rows, values }
    }

    /// Returns a block, for a module that owns only a part of it.
    pub fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Option<Self> {
        if rows.end > self.rows || columns.end > self.columns {
            return None;
        }
        let values = rows.clone().flat_map(|row| self.row(row)[columns.clone()].iter().copied()).collect();
        Self::new(rows.len(), columns.len(), values)
    }

    /// Multiplies each row by its factor. `None` if the numbers of rows and factors differ.
    pub fn with_rows_times(mut self, factors: &[f64]) -> Option<Self> {
        if factors.len() != self.rows {
            return None;
        }
        for (row, factor) in self.values.chunks_exact_mut(self.columns.max(1)).zip(factors) {
            row.iter_mut().for_each(|value| *value *= factor);
        }
        Some(self)
    }

    /// Multiplies by `right`. `None` if the sizes do not fit.
    pub fn times(&self, right: &Self) -> Option<Self> {
        if self.columns != right.rows {
            return None;
        }
        let mut values = vec![0.0; self.rows * right.columns];
        for (row, out) in values.chunks_exact_mut(right.columns.max(1)).enumerate() {
            for (inner, factor) in self.row(row).iter().enumerate() {
                out.iter_mut().zip(right.row(inner)).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        Some(Self { rows: self.rows, columns: right.columns, values })
    }

    /// Returns M Mᵀ.
    fn gram_of_rows(&self) -> Self {
        let mut values = vec![0.0; self.rows * self.rows];
        for row in 0..self.rows {
            for other in 0..=row {
                let sum = dot(self.row(row), self.row(other));
                values[row * self.rows + other] = sum;
                values[other * self.rows + row] = sum;
            }
        }
        Self { rows: self.rows, columns: self.rows, values }
    }

    fn energy(&self) -> f64 {
        dot(&self.values, &self.values)
    }

    /// Divides by the largest magnitude, and returns that too. `None` if it is zero or not finite.
    fn normalised(mut self) -> Option<(Self, f64)> {
        let largest = largest(&self.values);
        if largest == 0.0 || self.values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        self.values.iter_mut().for_each(|value| *value /= largest);
        Some((self, largest))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Eight independent sums, which the CPU can compute in parallel.
    let mut sums = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    rest + sums.iter().sum::<f64>()
}

/// A matrix, either whole or as a product of two.
#[derive(Debug, Clone, PartialEq)]
enum Map {
    Whole(Matrix),
    Product(Matrix, Matrix),
}

impl Map {
    fn columns(&self) -> usize {
        match self {
            Self::Whole(matrix) | Self::Product(_, matrix) => matrix.columns,
        }
    }

    /// Multiplies by `right`.
    fn times(&self, right: &Matrix) -> Option<Matrix> {
        match self {
            Self::Whole(matrix) => matrix.times(right),
            Self::Product(left, inner) => left.times(&inner.times(right)?),
        }
    }

    /// tr G and tr G² of G = MᵀM: the sums of the singular values' squares and fourth powers.
    fn traces(&self) -> Option<(f64, f64)> {
        match self {
            Self::Whole(matrix) if matrix.rows > matrix.columns => {
                Some((matrix.energy(), matrix.transposed().gram_of_rows().energy()))
            }
            Self::Whole(matrix) => Some((matrix.energy(), matrix.gram_of_rows().energy())),
            Self::Product(left, right) => {
                // tr (L R)ᵀ(L R) = tr (LᵀL)(R Rᵀ). The trace of the square works the same way.
                let (left, right) = (left.transposed().gram_of_rows(), right.gram_of_rows());
                let product = left.times(&right)?;
                Some((dot(&left.values, &right.values), dot(&product.values, &product.transposed().values)))
            }
        }
    }

    fn normalised(self) -> Option<(Self, f64)> {
        Some(match self {
            Self::Whole(matrix) => {
                let (matrix, size) = matrix.normalised()?;
                (Self::Whole(matrix), size)
            }
            Self::Product(left, right) => {
                let ((left, size), (right, other)) = (left.normalised()?, right.normalised()?);
                (Self::Product(left, right), size * other)
            }
        })
    }
}

/// The ΔW (m × d) of one module, as its factors.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    left: Option<Map>,
    right: Map,
}

impl Update {
    /// ΔW = L R. `None` if the sizes do not fit.
    pub fn product(left: Matrix, right: Matrix) -> Option<Self> {
        (left.columns == right.rows).then_some(Self { left: None, right: Map::Product(left, right) })
    }

    /// ΔW = W₁ ⊗ W₂: block (i, j) is W₁'s entry (i, j) times W₂. W₁ and W₂ are each whole, or a product of two matrices.
    pub fn kronecker(first: [Option<Matrix>; 2], second: [Option<Matrix>; 2]) -> Option<Self> {
        let map = |factors: [Option<Matrix>; 2]| match factors {
            [Some(left), Some(right)] if left.columns == right.rows => Some(Map::Product(left, right)),
            [Some(whole), None] => Some(Map::Whole(whole)),
            _ => None,
        };
        Some(Self { left: Some(map(first)?), right: map(second)? })
    }

    /// ΔW = (A₁ B₁) ⊙ (A₂ B₂), value by value. `None` if the sizes do not fit.
    pub fn hadamard(first: [Matrix; 2], second: [Matrix; 2]) -> Option<Self> {
        let ([a1, b1], [a2, b2]) = (&first, &second);
        let fit =
            a1.columns == b1.rows && a2.columns == b2.rows && a1.rows == a2.rows && b1.columns == b2.columns;
        if !fit {
            return None;
        }
        let rank = a1.columns * a2.columns;
        let right = if rank < a1.rows.min(b1.columns) {
            // Column pq of the left factor is column p of A₁ times column q of A₂. The rows of the right factor work the same way.
            let rows = |one: &Matrix, other: &Matrix| {
                let pairs = (0..one.rows).flat_map(|p| (0..other.rows).map(move |q| (p, q)));
                let values = pairs
                    .flat_map(|(p, q)| one.row(p).iter().zip(other.row(q)).map(|(a, b)| a * b))
                    .collect();
                Matrix { rows: one.rows * other.rows, columns: one.columns, values }
            };
            Map::Product(rows(&a1.transposed(), &a2.transposed()).transposed(), rows(b1, b2))
        } else {
            let (mut whole, other) = (a1.times(b1)?, a2.times(b2)?);
            whole.values.iter_mut().zip(&other.values).for_each(|(value, factor)| *value *= factor);
            Map::Whole(whole)
        };
        Some(Self { left: None, right })
    }

    /// d, the columns of ΔW.
    pub fn columns(&self) -> usize {
        self.left.as_ref().map_or(1, Map::columns) * self.right.columns()
    }

    /// Computes the waste of ΔW. `None` if it is all zero or not finite, or if its rows do not have the length of the kernel's
    /// directions.
    pub fn waste(self, kernel: &Kernel) -> Option<Waste> {
        let width = self.columns();
        if width == 0 || !fits(kernel, width) {
            return None;
        }
        let (right, mut size) = self.right.normalised()?;
        let left = match self.left.map(Map::normalised) {
            Some(normalised) => {
                let (left, other) = normalised?;
                size *= other;
                Some(left)
            }
            None => None,
        };
        let (mut total, mut fourth) = right.traces()?;
        if let Some(left) = &left {
            let (energy, squared) = left.traces()?;
            total *= energy;
            fourth *= squared;
        }
        let along = |vector: Vec<f64>| {
            // (W₁ ⊗ W₂) v is W₁ V W₂ᵀ, where V holds the entries of v row by row.
            let inner = right.columns();
            let right = right.times(&Matrix::new(vector.len() / inner, inner, vector)?.transposed())?;
            match &left {
                Some(left) => left.times(&right.transposed()),
                None => Some(right),
            }
        };
        let wasted = match kernel {
            Kernel::InverseScale(direction) => along(direction.components.clone())?.energy(),
            Kernel::Coordinates(zeros) => {
                let mut wasted = 0.0;
                for &zero in zeros {
                    let mut vector = vec![0.0; width];
                    vector[zero] = 1.0;
                    wasted += along(vector)?.energy();
                }
                wasted
            }
            Kernel::None => 0.0,
        };
        let share = wasted / total;
        let (k, d) = (kernel.dimension() as f64, width as f64);
        // Deviation of tr(P G)/tr G for a random projection P onto k dimensions.
        let spread = (fourth / (total * total) - 1.0 / d).max(0.0);
        let variance = 2.0 * spread * k * (d - k) / d / ((d - 1.0) * (d + 2.0));
        share.is_finite().then(|| Waste {
            share,
            energy: total * size * size,
            null: k / d,
            null_deviation: if width > 1 { variance.sqrt() } else { 0.0 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::scale::Scale;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    fn kernel(scale: &[f64], subtracts_mean: bool) -> Kernel {
        Kernel::of(&Scale::new(scale.to_vec()).unwrap(), subtracts_mean)
    }

    #[test]
    fn an_adapter_along_the_kernel_is_all_waste_and_one_across_it_none() {
        let kernel = kernel(&[1.0, 0.5], true);
        // v ∝ (1, 2)
        assert!((waste(&[1.0, 2.0, -3.0, -6.0], 2, &kernel).unwrap().share - 1.0).abs() < 1e-15);
        assert_eq!(waste(&[2.0, -1.0], 2, &kernel).unwrap().share, 0.0);
    }

    #[test]
    fn columns_that_read_a_zero_scale_are_waste() {
        let waste = waste(&[1.0, 1.0, 1.0, 1.0], 4, &kernel(&[0.0, 1.0, 1.0, 1.0], false)).unwrap();
        assert_eq!((waste.share, waste.null), (0.25, 0.25));
    }

    #[test]
    fn without_a_kernel_nothing_is_wasted() {
        let waste = waste(&[1.0, 2.0], 2, &kernel(&[1.0, 1.0], false)).unwrap();
        assert_eq!((waste.share, waste.null, waste.null_deviation), (0.0, 0.0, 0.0));
    }

    #[test]
    fn what_has_no_energy_or_another_width_has_no_share() {
        let kernel = kernel(&[1.0, 0.5], true);
        for values in [&[][..], &[0.0, 0.0], &[1.0, f64::NAN], &[1.0, 2.0, 3.0]] {
            assert_eq!(waste(values, 2, &kernel), None, "{values:?}");
        }
        assert_eq!(waste(&[1.0, 2.0, 3.0], 3, &kernel), None);
        assert!(waste(&[1e200, 2e200], 2, &kernel).unwrap().share > 0.999);
    }

    fn random_matrix(rows: usize, columns: usize, random: &mut SmallRng) -> Matrix {
        let values = (0..rows * columns).map(|_| random.sample(StandardNormal)).collect();
        Matrix::new(rows, columns, values).unwrap()
    }

    /// Computes W₁ ⊗ W₂ from its definition.
    fn kron(first: &Matrix, second: &Matrix) -> Matrix {
        let (rows, columns) = (first.rows * second.rows, first.columns * second.columns);
        let value = |row: usize, column: usize| {
            first.row(row / second.rows)[column / second.columns]
                * second.row(row % second.rows)[column % second.columns]
        };
        let values = (0..rows).flat_map(|row| (0..columns).map(move |column| value(row, column))).collect();
        Matrix::new(rows, columns, values).unwrap()
    }

    /// Checks that the waste of an update is that of its matrix.
    fn is_that_of(update: Update, whole: &Matrix, scale: &[f64]) {
        assert_eq!(update.columns(), whole.columns);
        for subtracts_mean in [true, false] {
            let mut scale = scale.to_vec();
            if !subtracts_mean {
                (scale[1], scale[4]) = (0.0, 0.0);
            }
            let kernel = kernel(&scale, subtracts_mean);
            let (found, expected) = (
                update.clone().waste(&kernel).unwrap(),
                waste(&whole.values, whole.columns, &kernel).unwrap(),
            );
            assert!((found.share / expected.share - 1.0).abs() < 1e-12, "{found:?} {expected:?}");
            assert!((found.energy / expected.energy - 1.0).abs() < 1e-12, "{found:?} {expected:?}");
            assert_eq!(found.null, expected.null);
            // The spectrum from the whole matrix, not from its factors.
            let (total, fourth) = Map::Whole(whole.clone()).traces().unwrap();
            let (k, d) = (kernel.dimension() as f64, whole.columns as f64);
            let variance =
                2.0 * (fourth / total.powi(2) - 1.0 / d) * k * (d - k) / d / ((d - 1.0) * (d + 2.0));
            assert!((found.null_deviation / variance.sqrt() - 1.0).abs() < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn an_update_wastes_what_its_matrix_wastes() {
        let mut random = SmallRng::seed_from_u64(3);
        let scale: Vec<f64> = (0..12).map(|_| random.random_range(0.2..2.0)).collect();
        let mut matrix = |rows, columns| random_matrix(rows, columns, &mut random);
        let (w1, w2, [a1, b1], [a2, b2]) =
            (matrix(3, 2), matrix(5, 6), [matrix(3, 1), matrix(1, 2)], [matrix(5, 2), matrix(2, 6)]);
        let (w1_of, w2_of) = (a1.times(&b1).unwrap(), a2.times(&b2).unwrap());
        let one = |matrix: &Matrix| [Some(matrix.clone()), None];
        let two = |left: &Matrix, right: &Matrix| [Some(left.clone()), Some(right.clone())];
        for (first, second, whole) in [
            (one(&w1), one(&w2), kron(&w1, &w2)),
            (two(&a1, &b1), one(&w2), kron(&w1_of, &w2)),
            (one(&w1), two(&a2, &b2), kron(&w1, &w2_of)),
            (two(&a1, &b1), two(&a2, &b2), kron(&w1_of, &w2_of)),
        ] {
            is_that_of(Update::kronecker(first, second).unwrap(), &whole, &scale);
        }
        for (rows, ranks) in [(20, [2, 3]), (20, [4, 5]), (7, [1, 1])] {
            let first = [matrix(rows, ranks[0]), matrix(ranks[0], 12)];
            let second = [matrix(rows, ranks[1]), matrix(ranks[1], 12)];
            let (mut whole, other) =
                (first[0].times(&first[1]).unwrap(), second[0].times(&second[1]).unwrap());
            whole.values.iter_mut().zip(&other.values).for_each(|(value, factor)| *value *= factor);
            is_that_of(Update::hadamard(first, second).unwrap(), &whole, &scale);
        }
        let (left, right) = (matrix(9, 3), matrix(3, 12));
        let whole = left.times(&right).unwrap();
        is_that_of(Update::product(left, right).unwrap(), &whole, &scale);
    }

    #[test]
    fn factors_that_do_not_fit_or_say_nothing_are_no_update() {
        let matrix =
            |rows, columns, value: f64| Matrix::new(rows, columns, vec![value; rows * columns]).unwrap();
        assert_eq!(Update::product(matrix(2, 3, 1.0), matrix(2, 3, 1.0)), None);
        assert_eq!(Update::kronecker([None, Some(matrix(1, 1, 1.0))], [Some(matrix(1, 1, 1.0)), None]), None);
        let pair = || [matrix(2, 1, 1.0), matrix(1, 2, 1.0)];
        assert_eq!(Update::hadamard(pair(), [matrix(3, 1, 1.0), matrix(1, 2, 1.0)]), None);
        let kernel = kernel(&[1.0, 0.5], true);
        for value in [0.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Update::product(matrix(2, 1, 1.0), matrix(1, 2, value)).unwrap().waste(&kernel), None);
        }
        assert_eq!(Update::product(matrix(2, 1, 1.0), matrix(1, 3, 1.0)).unwrap().waste(&kernel), None);
        let huge = Update::product(matrix(2, 1, 1e200), matrix(1, 2, 1e200)).unwrap();
        assert!(huge.waste(&kernel).unwrap().share > 0.5);
    }

    #[test]
    fn an_update_turned_at_random_wastes_as_the_null_says() {
        let mut random = SmallRng::seed_from_u64(11);
        let (rows, width, rank, draws) = (6, 16, 2, 3000);
        let scale: Vec<f64> = (0..width).map(|_| random.random_range(0.2..2.0)).collect();
        let kernel = kernel(&scale, true);
        let left = random_matrix(rows, rank, &mut random);
        // Orthogonal rows of equal length. Only then does every draw have the spectrum of `left`.
        let turned = |random: &mut SmallRng| {
            let [mut first, mut second] = [0, 1].map(|_| random_matrix(1, width, random).values);
            let size = dot(&first, &first).sqrt();
            first.iter_mut().for_each(|value| *value /= size);
            let along = dot(&first, &second);
            second.iter_mut().zip(&first).for_each(|(value, other)| *value -= along * other);
            let size = dot(&second, &second).sqrt();
            second.iter_mut().for_each(|value| *value /= size);
            Matrix::new(rank, width, [first, second].concat()).unwrap()
        };
        let wastes: Vec<Waste> = (0..draws)
            .map(|_| Update::product(left.clone(), turned(&mut random)).unwrap().waste(&kernel).unwrap())
            .collect();
        let mean = wastes.iter().map(|waste| waste.share).sum::<f64>() / draws as f64;
        let variance = wastes.iter().map(|waste| (waste.share - mean).powi(2)).sum::<f64>() / draws as f64;
        assert!((mean * width as f64 - 1.0).abs() < 0.06, "{mean}");
        assert!(
            (variance.sqrt() / wastes[0].null_deviation - 1.0).abs() < 0.1,
            "{} {:?}",
            variance.sqrt(),
            wastes[0]
        );
    }

    #[test]
    fn a_random_adapter_wastes_as_the_null_says() {
        let mut random = SmallRng::seed_from_u64(7);
        let (rank, width, draws) = (4, 32, 2000);
        let scale: Vec<f64> = (0..width).map(|_| random.random_range(0.2..2.0)).collect();
        let kernel = kernel(&scale, true);
        let mut shares = Vec::new();
        let mut null = None;
        for _ in 0..draws {
            let a: Vec<f64> = (0..rank * width).map(|_| random.sample(StandardNormal)).collect();
            let waste = waste(&a, width, &kernel).unwrap();
            shares.push(waste.share);
            null = Some(waste);
        }
        let null = null.unwrap();
        let mean = shares.iter().sum::<f64>() / draws as f64;
        let deviation =
            (shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / draws as f64).sqrt();
        assert_eq!(null.null, 1.0 / width as f64);
        assert!((mean / null.null - 1.0).abs() < 0.06, "{mean}");
        assert!((deviation / null.null_deviation - 1.0).abs() < 0.1, "{deviation} {null:?}");
    }
}
