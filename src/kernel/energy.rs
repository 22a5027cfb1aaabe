//! Writer energy (MATH §3): how much of a writer's output lies along the mean of the residual stream.
//!
//! A writer U (d × k) adds U·h to the stream. If every reader of the stream passes through a LayerNorm, nothing sees the mean of the
//! stream. No gradient reaches the k directions 1·cᵀ of U, and they stay behind while the others grow. e(U) = Σⱼ(Σᵢ Uᵢⱼ)² ÷ ‖U‖²_F is
//! 1 for weights without a preferred mean direction and falls below it there.

use crate::order;

/// A variance below this, relative to the fourth moment, is rounding: all entries of a column have the same size.
const ROUNDING: f64 = 1e-9;

/// Sums over some columns of one writer, value by value, in any order.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSample {
    /// Σᵢ Uᵢⱼ of each column.
    column_sums: Vec<f64>,
    /// Σᵢ Uᵢⱼ² of each column.
    column_squares: Vec<f64>,
    /// Σⱼ Uᵢⱼ² of each row.
    row_squares: Vec<f64>,
    /// Σᵢⱼ Uᵢⱼ⁴.
    fourth_powers: f64,
}

/// The energy of a sample of columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Energy {
    /// e(U) over the sampled columns.
    pub energy: f64,
    /// Standard deviation of e(U) for weights without a preferred mean direction: √(2/k). k is the effective number of columns,
    /// (Σnⱼ)²/Σnⱼ², with nⱼ the squared norm of column j.
    pub null_deviation: f64,
    /// Variance of the rows' squared norms ÷ its expected value if entries were drawn independently of their rows. This is 1 ± √(2/d) for
    /// a random draw of any distribution, and more once training has made rows differ.
    pub row_dispersion: f64,
    /// Number of sampled columns.
    pub columns: usize,
}

impl ColumnSample {
    /// Makes an empty sample of `columns` columns of `rows` values (d) each.
    pub fn new(rows: usize, columns: usize) -> Self {
        Self {
            column_sums: vec![0.0; columns],
            column_squares: vec![0.0; columns],
            row_squares: vec![0.0; rows],
            fourth_powers: 0.0,
        }
    }

    /// Adds Uᵢⱼ, the value at `row` i < d of the sample's `column` j.
    pub fn add(&mut self, row: usize, column: usize, value: f64) {
        let square = value * value;
        self.column_sums[column] += value;
        self.column_squares[column] += square;
        self.row_squares[row] += square;
        self.fourth_powers += square * square;
    }

    /// Returns the energy. `None` if the values are all zero or not finite, or if each row and column is constant.
    pub fn energy(&self) -> Option<Energy> {
        let rows = self.row_squares.len() as f64;
        let total: f64 = self.column_squares.iter().sum();
        let column_fourths: f64 = self.column_squares.iter().map(|square| square * square).sum();
        let along_mean: f64 = self.column_sums.iter().map(|sum| sum * sum).sum();
        let mean = total / rows;
        let variance =
            self.row_squares.iter().map(|square| (square - mean) * (square - mean)).sum::<f64>() / rows;
        // Var Σⱼ Uᵢⱼ² = Σⱼ (E Uᵢⱼ⁴ − (E Uᵢⱼ²)²) over i, for independent entries.
        let expected = self.fourth_powers / rows - column_fourths / (rows * rows);
        let energy = Energy {
            energy: along_mean / total,
            null_deviation: (2.0 * column_fourths).sqrt() / total,
            row_dispersion: variance / expected,
            columns: self.column_sums.len(),
        };
        let sound = total > 0.0
            && expected > ROUNDING * self.fourth_powers / rows
            && [energy.energy, energy.null_deviation, energy.row_dispersion]
                .iter()
                .all(|value| value.is_finite());
        sound.then_some(energy)
    }
}

/// The writers of one stack together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pooled {
    /// Mean energy, each writer weighted by the inverse of its null variance.
    pub mean: f64,
    /// Standard deviation of that mean under the null.
    pub null_deviation: f64,
    /// Median row dispersion.
    pub row_dispersion: f64,
    /// Share of writers whose energy is significantly below [`LOW`].
    pub low: f64,
    /// Share of writers whose energy is significantly above `LOW`.
    pub high: f64,
    /// The greatest energy.
    pub greatest: f64,
    /// Number of writers.
    pub writers: usize,
}

/// Halfway between the measured energies of trained writers of both kinds: 0.11–0.53 and 0.79–1.28.
pub const LOW: f64 = 0.65;

/// Pools the energies of one stack. `None` if there is no writer.
pub fn pool(energies: &[Energy]) -> Option<Pooled> {
    let weight = |energy: &Energy| energy.null_deviation.powi(-2);
    let weights: f64 = energies.iter().map(weight).sum();
    let share = |holds: &dyn Fn(&Energy) -> bool| {
        energies.iter().filter(|energy| holds(energy)).count() as f64 / energies.len() as f64
    };
    let mut dispersions: Vec<f64> = energies.iter().map(|energy| energy.row_dispersion).collect();
    order::sort_by(&mut dispersions, f64::total_cmp);
    let median = *dispersions.get(dispersions.len() / 2)?;
    Some(Pooled {
        mean: energies.iter().map(|energy| energy.energy * weight(energy)).sum::<f64>() / weights,
        null_deviation: weights.powf(-0.5),
        row_dispersion: median,
        low: share(&|energy| energy.energy + energy.null_deviation < LOW),
        high: share(&|energy| energy.energy - energy.null_deviation > LOW),
        greatest: energies.iter().map(|energy| energy.energy).fold(0.0, f64::max),
        writers: energies.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    const ROWS: usize = 256;
    const COLUMNS: usize = 512;

    /// A sample of normal weights after `change(row, column, value)`.
    fn sample(seed: u64, change: impl Fn(usize, usize, f64) -> f64) -> ColumnSample {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut sample = ColumnSample::new(ROWS, COLUMNS);
        for column in 0..COLUMNS {
            for row in 0..ROWS {
                let value: f64 = random.sample(StandardNormal);
                sample.add(row, column, change(row, column, value));
            }
        }
        sample
    }

    #[test]
    fn random_weights_have_energy_one_within_the_null_of_math_3() {
        let energies: Vec<Energy> =
            (0..40).map(|seed| sample(seed, |_, _, value| value).energy().unwrap()).collect();
        let pooled = pool(&energies).unwrap();
        assert!((pooled.mean - 1.0).abs() < 4.0 * pooled.null_deviation, "{pooled:?}");
        let scatter = energies.iter().map(|energy| (energy.energy - 1.0).powi(2)).sum::<f64>() / 40.0;
        let ratio = scatter.sqrt() / (2.0 / COLUMNS as f64).sqrt();
        assert!((0.7..1.4).contains(&ratio), "√(2/k) is off by {ratio}");
        assert!(
            energies
                .iter()
                .all(|energy| (energy.row_dispersion - 1.0).abs() < 5.0 * (2.0 / ROWS as f64).sqrt())
        );
    }

    #[test]
    fn a_gauge_that_was_left_behind_lowers_the_energy_by_its_square() {
        // Halves the mean of each column by subtracting half of it, known from a first pass.
        let plain = sample(7, |_, _, value| value);
        let means: Vec<f64> = plain.column_sums.iter().map(|sum| sum / ROWS as f64).collect();
        let halved = sample(7, |_, column, value| value - means[column] / 2.0).energy().unwrap();
        let ratio = halved.energy / plain.energy().unwrap().energy;
        assert!((ratio - 0.25).abs() < 0.01, "{ratio}");
        let centred = sample(7, |_, column, value| value - means[column]).energy().unwrap();
        assert!(centred.energy < 1e-25);
    }

    #[test]
    fn rows_that_training_made_differ_are_dispersed_and_heavy_columns_are_not() {
        let rows = sample(3, |row, _, value| value * (1.0 + 0.3 * (row % 2) as f64)).energy().unwrap();
        assert!(rows.row_dispersion > 5.0, "{rows:?}");
        let columns =
            sample(3, |_, column, value| value * if column < 16 { 20.0 } else { 1.0 }).energy().unwrap();
        assert!((columns.row_dispersion - 1.0).abs() < 0.5, "{columns:?}");
        // Few columns dominate the sample, and the null accounts for it.
        assert!(columns.null_deviation > 4.0 * (2.0 / COLUMNS as f64).sqrt());
    }

    #[test]
    fn zeros_and_constants_have_no_energy() {
        assert_eq!(ColumnSample::new(ROWS, COLUMNS).energy(), None);
        assert_eq!(sample(1, |_, _, _| 0.5).energy(), None);
        assert_eq!(sample(1, |_, _, _| f64::NAN).energy(), None);
        assert_eq!(pool(&[]), None);
    }
}
