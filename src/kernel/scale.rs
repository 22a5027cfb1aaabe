//! The effective scale γ of a norm site: checked once, summarised once.

/// A scale is near-dead when |γᵢ| ≤ this × median|γ| (MATH §4).
pub const NEAR_DEAD: f64 = 1e-3;

/// A scale with a value that is not a finite number.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "scale [{index}] is {value}, so no direction can be read from it; the file is damaged or training diverged"
)]
pub struct NotFinite {
    /// Position in the scale.
    pub index: usize,
    /// NaN or an infinity.
    pub value: f64,
}

/// The effective scale γ (d values), all of them finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    values: Vec<f64>,
    magnitudes: Magnitudes,
}

/// Magnitudes of a scale. None of them is null, because a scale has at least one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Magnitudes {
    /// min|γᵢ|
    pub min: f64,
    /// median|γᵢ|: the mean of the two middle values when d is even.
    pub median: f64,
    /// max|γᵢ|
    pub max: f64,
}

impl Scale {
    /// Checks that each of γ (d ≥ 1 values) is finite. Callers must not pass an empty scale.
    pub fn new(values: Vec<f64>) -> Result<Self, NotFinite> {
        assert!(!values.is_empty(), "a scale has at least one value");
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(NotFinite { index, value: values[index] }),
            None => Ok(Self { magnitudes: Magnitudes::of(&values), values }),
        }
    }

    /// The values γ₁ … γ_d.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The width d.
    pub fn width(&self) -> usize {
        self.values.len()
    }

    /// Indices with γᵢ = 0 exactly: the coordinate kernel (MATH §2).
    pub fn zeros(&self) -> Vec<usize> {
        self.indices_where(|value| value == 0.0)
    }

    /// Indices with |γᵢ| ≤ [`NEAR_DEAD`] × median|γ|, including zeros. If the median is zero, only the zeros.
    pub fn near_dead(&self) -> Vec<usize> {
        let bound = NEAR_DEAD * self.magnitudes.median;
        self.indices_where(|value| value.abs() <= bound)
    }

    /// Smallest, middle and largest |γᵢ|.
    pub fn magnitudes(&self) -> Magnitudes {
        self.magnitudes
    }

    fn indices_where(&self, holds: impl Fn(f64) -> bool) -> Vec<usize> {
        (0..self.width()).filter(|&index| holds(self.values[index])).collect()
    }
}

impl Magnitudes {
    /// Uses selection, O(d). This runs at every site, where a sort would be most of the work.
    fn of(values: &[f64]) -> Self {
        let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
        let d = sizes.len();
        let (below, &mut upper, above) = sizes.select_nth_unstable_by(d / 2, f64::total_cmp);
        let min = below.iter().copied().fold(upper, f64::min);
        let max = above.iter().copied().fold(upper, f64::max);
        let lower = if d % 2 == 1 { upper } else { below.iter().copied().fold(min, f64::max) };
        Self { min, median: (lower + upper) / 2.0, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_with_a_nan_names_its_index() {
        let error = Scale::new(vec![1.0, f64::NAN]).unwrap_err();
        assert_eq!(error.index, 1);
        assert!(error.to_string().contains("[1] is NaN"));
    }

    #[test]
    fn the_median_of_an_even_scale_is_between_the_middle_two() {
        let scale = Scale::new(vec![-4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(scale.magnitudes(), Magnitudes { min: 1.0, median: 2.5, max: 4.0 });
    }

    #[test]
    fn near_dead_includes_zeros_and_is_relative_to_the_median() {
        let scale = Scale::new(vec![100.0, 0.0, 0.04, 0.2, 100.0, 100.0]).unwrap();
        assert_eq!(scale.near_dead(), vec![1, 2]);
        assert_eq!(scale.zeros(), vec![1]);
    }

    #[test]
    fn a_scale_of_zeros_is_near_dead_everywhere() {
        assert_eq!(Scale::new(vec![0.0; 3]).unwrap().near_dead(), vec![0, 1, 2]);
    }
}
