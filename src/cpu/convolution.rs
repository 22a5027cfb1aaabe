//! A causal convolution over the tokens of a sequence, for each channel alone.

use super::rows;

/// Which values a causal convolution reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Causal {
    /// Channels c. Each has its own weights.
    pub channels: usize,
    /// Tokens that it reads at once: its own token is the last.
    pub kernel: usize,
    /// Tokens t of a sequence.
    pub length: usize,
}

impl Causal {
    /// Computes y (n × c) from x (n × c) and the weights (c × kernel). Tokens before the first one of a sequence count as zero.
    pub fn convolve(&self, x: &[f32], weights: &[f32]) -> Vec<f32> {
        let Self { channels, kernel, length } = *self;
        // Weights of one token after the other, so that the inner loop runs over channels.
        let by_token: Vec<f32> =
            (0..kernel).flat_map(|token| weights.iter().skip(token).step_by(kernel)).copied().collect();
        let mut y = vec![0.0; x.len()];
        rows::in_parallel(&mut y, channels, |first, part| {
            for (index, y) in part.chunks_exact_mut(channels).enumerate() {
                let token = first + index;
                for back in 0..kernel.min(token % length + 1) {
                    let x = &x[(token - back) * channels..][..channels];
                    let weights = &by_token[(kernel - 1 - back) * channels..][..channels];
                    y.iter_mut().zip(x).zip(weights).for_each(|((y, x), weight)| *y += weight * x);
                }
            }
        });
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_itself_and_those_before_it_in_its_sequence_with_the_last_weight_for_itself() {
        let causal = Causal { channels: 2, kernel: 3, length: 4 };
        let weights = [1.0, 10.0, 100.0, 0.0, 0.0, 2.0];
        // Two sequences.
        let x: Vec<f32> = (1..=8).flat_map(|token| [token as f32, -1.0]).collect();
        let y = causal.convolve(&x, &weights);
        let first: Vec<f32> = y.iter().step_by(2).copied().collect();
        assert_eq!(first, [100.0, 210.0, 321.0, 432.0, 500.0, 650.0, 765.0, 876.0]);
        assert!(y.iter().skip(1).step_by(2).all(|y| *y == -2.0));
    }

    #[test]
    fn a_kernel_longer_than_the_sequence_reads_what_is_there() {
        let causal = Causal { channels: 1, kernel: 4, length: 2 };
        assert_eq!(causal.convolve(&[1.0, 2.0, 3.0, 4.0], &[7.0, 7.0, 10.0, 1.0]), [1.0, 12.0, 3.0, 34.0]);
    }
}
