//! Wasted adapter energy (MATH §4): how much of a low-rank adapter reads what its norm never says.
//!
//! LoRA adds B·A to a reader of a norm's output y, with A (r × d) reading y and B (m × r) writing. What A does along the
//! kernel of y's covariance adds a constant, whatever the input, so ‖A v‖² of ‖A‖²_F is spent on nothing.

use super::direction::Kernel;

/// How much of an adapter's A lies along a kernel, and how much would by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waste {
    /// ‖A K‖²_F ÷ ‖A‖²_F for an orthonormal basis K (d × k) of the kernel, 0 … 1; ‖A v‖²/‖A‖²_F for one direction.
    pub share: f64,
    /// What it is on average for an A without a preferred direction: k/d.
    pub null: f64,
    /// Its standard deviation for an A of independent Gaussian entries: the share is then Beta(rk/2, r(d − k)/2).
    pub null_deviation: f64,
}

/// The waste of A, `values` row by row, `width` (d) values each; `None` for an A that is empty, all zero or not finite, or
/// whose rows are not as long as the kernel's directions.
pub fn waste(values: &[f64], width: usize, kernel: &Kernel) -> Option<Waste> {
    let fits = match kernel {
        Kernel::InverseScale(direction) => direction.components.len() == width,
        Kernel::Coordinates(zeros) => zeros.iter().all(|&index| index < width),
        Kernel::None => true,
    };
    if width == 0 || !values.len().is_multiple_of(width) || !fits {
        return None;
    }
    // Divided by the largest value first, so that no square leaves f64.
    let largest = values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
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
        Waste { share, null: k / d, null_deviation }
    })
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
