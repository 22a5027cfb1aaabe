//! Y minus its mean. These numbers come from the values themselves, in f64, without a covariance.

use super::rows::Rows;
use crate::report::Interval;

/// Y_c = Y − 1ȳᵀ.
pub(super) struct Centred<'a> {
    rows: Rows<'a>,
    means: Vec<f64>,
    /// tr C/d.
    pub(super) mean_variance: f64,
}

/// The product of C and a unit vector v.
pub(super) struct Along {
    /// λ_v = ‖Y_c v‖²/n.
    pub(super) variance: f64,
    /// Cv = Y_cᵀ(Y_c v)/n, d values.
    pub(super) image: Vec<f64>,
}

impl<'a> Centred<'a> {
    pub(super) fn new(rows: Rows<'a>) -> Self {
        let n = rows.tokens() as f64;
        let mut means = vec![0.0; rows.width()];
        rows.for_each(|row| means.iter_mut().zip(row).for_each(|(mean, y)| *mean += y));
        means.iter_mut().for_each(|mean| *mean /= n);
        let mut total = 0.0;
        rows.for_each(|row| {
            total += row.iter().zip(&means).map(|(y, mean)| (y - mean).powi(2)).sum::<f64>();
        });
        let mean_variance = total / (n * rows.width() as f64);
        Self { rows, means, mean_variance }
    }

    pub(super) fn tokens(&self) -> usize {
        self.rows.tokens()
    }

    /// Computes λ_v and Cv in one pass.
    pub(super) fn along(&self, v: &[f64]) -> Along {
        let (mut variance, mut image) = (0.0, vec![0.0; v.len()]);
        let mut centred = vec![0.0; v.len()];
        self.rows.for_each(|row| {
            centred.iter_mut().zip(row).zip(&self.means).for_each(|((c, y), mean)| *c = y - mean);
            let along = dot(&centred, v);
            variance += along * along;
            image.iter_mut().zip(&centred).for_each(|(sum, c)| *sum += along * c);
        });
        let n = self.tokens() as f64;
        image.iter_mut().for_each(|sum| *sum /= n);
        Along { variance: variance / n, image }
    }

    /// Returns λ_v/mean.
    pub(super) fn depth(&self, v: &[f64]) -> f64 {
        self.along(v).variance / self.mean_variance
    }

    /// Returns each half of the tokens, centred around its own mean.
    pub(super) fn halves(&self) -> [Self; 2] {
        self.rows.halves().map(Self::new)
    }
}

/// Returns a number with its range over all tokens and both halves. `None` if it is missing for any of them.
pub(super) fn interval(value: Option<f64>, halves: [Option<f64>; 2]) -> Option<Interval> {
    let value = value?;
    let [first, second] = halves.map(|half| half.filter(|half| half.is_finite()));
    let (first, second) = (first?, second?);
    Some(Interval { value, low: first.min(second).min(value), high: first.max(second).max(value) })
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::activations::Activations;

    #[test]
    fn the_variance_along_an_axis_is_that_of_its_channel() {
        let y = Activations::of("y", 2, vec![1.0, 10.0, 3.0, 10.0, 5.0, 13.0, 7.0, 13.0]);
        let centred = Centred::new(Rows::new(&y));
        let along = centred.along(&[1.0, 0.0]);
        // Channel 0 is 1, 3, 5, 7, with variance 5. Its covariance with channel 1 (10, 10, 13, 13) is 3.
        assert_eq!((along.variance, along.image), (5.0, vec![5.0, 3.0]));
        assert_eq!(centred.mean_variance, (5.0 + 2.25) / 2.0);
        let [first, second] = centred.halves();
        assert_eq!((first.along(&[1.0, 0.0]).variance, second.tokens()), (1.0, 2));
    }
}
