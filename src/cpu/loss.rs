//! Cross-entropy, slice by slice over the vocabulary: n × vocabulary logits are never in memory.

use super::elementary::exp;
use super::lanes::{greatest, sum};

/// Running ln Σ e^logit and logit of the next token, for every token.
#[derive(Debug, Clone)]
pub struct Loss<'a> {
    targets: &'a [u32],
    most: Vec<f32>,
    sums: Vec<f64>,
    of_target: Vec<Option<f32>>,
    seen: usize,
}

impl<'a> Loss<'a> {
    /// Makes empty sums for tokens whose next tokens are `targets`.
    pub fn new(targets: &'a [u32]) -> Self {
        let n = targets.len();
        Self {
            targets,
            most: vec![f32::NEG_INFINITY; n],
            sums: vec![0.0; n],
            of_target: vec![None; n],
            seen: 0,
        }
    }

    /// Takes the logits (n × `width`) of the next slice of the vocabulary.
    pub fn take(&mut self, logits: &[f32], width: usize) {
        for (token, row) in logits.chunks_exact(width).enumerate() {
            let most = greatest(row).max(self.most[token]);
            let before = f64::from(self.most[token] - most).exp();
            self.sums[token] = self.sums[token] * before + f64::from(sum(row, |logit| exp(logit - most)));
            self.most[token] = most;
            if let Some(at) = (self.targets[token] as usize).checked_sub(self.seen).filter(|at| *at < width) {
                self.of_target[token] = Some(row[at]);
            }
        }
        self.seen += width;
    }

    /// Returns the column of every token's target in the next slice of `width` columns; `u32::MAX` if it is not in that slice.
    pub fn columns(&self, width: usize) -> Vec<u32> {
        let column = |target: &u32| {
            let at = (*target as usize).checked_sub(self.seen).filter(|at| *at < width);
            at.map_or(u32::MAX, |at| at as u32)
        };
        self.targets.iter().map(column).collect()
    }

    /// Takes the next slice of the vocabulary as three sums for each token: the greatest logit, the sum of e^(logit − greatest), and the
    /// target's logit, if [`columns`](Self::columns) has it in this slice.
    pub fn fold(&mut self, sums: &[f32], width: usize) {
        let columns = self.columns(width);
        for ((token, sums), column) in sums.chunks_exact(3).enumerate().zip(columns) {
            let most = self.most[token].max(sums[0]);
            let of = |logit: f32| f64::from(logit - most).exp();
            self.sums[token] = self.sums[token] * of(self.most[token]) + f64::from(sums[1]) * of(sums[0]);
            self.most[token] = most;
            if column != u32::MAX {
                self.of_target[token] = Some(sums[2]);
            }
        }
        self.seen += width;
    }

    /// Returns −ln p(next token) of every token, in nats. `None` if a target is beyond the vocabulary.
    pub fn per_token(&self) -> Option<Vec<f64>> {
        let tokens = self.of_target.iter().zip(&self.most).zip(&self.sums);
        tokens
            .map(|((target, most), sum)| Some(f64::from(*most) + sum.ln() - f64::from((*target)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_any_width_give_the_loss_of_the_whole() {
        let logits: Vec<f32> =
            (0..2 * 7).map(|at| ((at * 37 % 11) as f32) - 60.0 * (at % 3) as f32).collect();
        let targets = [6, 2];
        let exact = |token: usize| {
            let row: Vec<f64> = logits[token * 7..][..7].iter().map(|&x| f64::from(x)).collect();
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            most + row.iter().map(|x| (x - most).exp()).sum::<f64>().ln() - row[targets[token] as usize]
        };
        for width in [1, 3, 7] {
            let mut loss = Loss::new(&targets);
            for from in (0..7).step_by(width) {
                let width = width.min(7 - from);
                let slice: Vec<f32> =
                    (0..2).flat_map(|row| logits[row * 7 + from..][..width].to_vec()).collect();
                loss.take(&slice, width);
            }
            for (token, found) in loss.per_token().unwrap().into_iter().enumerate() {
                assert!((found - exact(token)).abs() < 1e-5, "{found}, {}", exact(token));
            }
        }
        assert_eq!(Loss::new(&[9]).per_token(), None);
    }
}
