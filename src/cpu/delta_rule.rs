//! The gated delta rule: attention that is linear in the length of a sequence. Each head has a state S (key width × value width), which
//! begins as zero. Each token lets S decay, corrects what S answers to its key, and asks S with its query:
//!
//! S ← α S,  S ← S + k (β (v − Sᵀ k))ᵀ,  y = Sᵀ q.
//!
//! Yang, Kautz and Hatamizadeh, Gated Delta Networks, 2025 (arXiv 2412.06464). In the linear attention of Qwen3.5 q and k have unit
//! length, and q is divided by the root of its width.

use super::elementary::{exp, softplus};
use super::rows;

/// One gated delta rule, resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeltaRule {
    /// Value heads. Each has a state.
    pub heads: usize,
    /// Query and key heads: a divisor of the value heads. Neighbouring value heads share one.
    pub key_heads: usize,
    /// Width of a query and of a key.
    pub key_width: usize,
    /// Width of a value.
    pub value_width: usize,
    /// Tokens t of every sequence.
    pub length: usize,
    /// Factor of the queries.
    pub query_scale: f32,
    /// Factor of the keys.
    pub key_scale: f32,
}

/// α = e^(−rate · softplus(x + bias)) of every token and head in place, on n × heads values.
pub fn decay(x: &mut [f32], rates: &[f32], biases: &[f32]) {
    for token in x.chunks_exact_mut(rates.len()) {
        for ((x, rate), bias) in token.iter_mut().zip(rates).zip(biases) {
            *x = exp(-rate * softplus(*x + bias));
        }
    }
}

impl DeltaRule {
    /// Computes y (n × heads·value width) from q and k (n × key heads·key width), v (as wide as y), and α and β (n × heads). n is a
    /// multiple of t.
    pub fn run(&self, q: &[f32], k: &[f32], v: &[f32], alpha: &[f32], beta: &[f32]) -> Vec<f32> {
        let Self { heads, value_width, length, .. } = *self;
        // Head by head, so that each thread writes a contiguous part.
        let mut by_head = vec![0.0; v.len()];
        rows::in_parallel(&mut by_head, length * value_width, |first, part| {
            for (index, y) in part.chunks_exact_mut(length * value_width).enumerate() {
                let (sequence, head) = ((first + index) / heads, (first + index) % heads);
                self.one_head(sequence, head, [q, k, v, alpha, beta], y);
            }
        });
        let mut y = vec![0.0; v.len()];
        for (index, from) in by_head.chunks_exact(length * value_width).enumerate() {
            let (sequence, head) = (index / heads, index % heads);
            for (token, from) in from.chunks_exact(value_width).enumerate() {
                let row = (sequence * length + token) * heads + head;
                y[row * value_width..][..value_width].copy_from_slice(from);
            }
        }
        y
    }

    /// Computes one head of one sequence: y is t × value width.
    fn one_head(&self, sequence: usize, head: usize, [q, k, v, alpha, beta]: [&[f32]; 5], y: &mut [f32]) {
        let Self { heads, key_heads, key_width, value_width, length, query_scale, key_scale } = *self;
        let key_head = head / (heads / key_heads);
        let mut state = vec![0.0; key_width * value_width];
        let mut delta = vec![0.0; value_width];
        for (token, y) in (sequence * length..).zip(y.chunks_exact_mut(value_width)) {
            let of_key = (token * key_heads + key_head) * key_width;
            let (q, k) = (&q[of_key..][..key_width], &k[of_key..][..key_width]);
            let v = &v[(token * heads + head) * value_width..][..value_width];
            let [alpha, beta] = [alpha, beta].map(|all| all[token * heads + head]);
            delta.fill(0.0);
            for (state, k) in state.chunks_exact_mut(value_width).zip(k) {
                let k = key_scale * k;
                for (state, delta) in state.iter_mut().zip(&mut delta) {
                    *state *= alpha;
                    *delta += *state * k;
                }
            }
            delta.iter_mut().zip(v).for_each(|(delta, v)| *delta = beta * (v - *delta));
            for ((state, k), q) in state.chunks_exact_mut(value_width).zip(k).zip(q) {
                let (k, q) = (key_scale * k, query_scale * q);
                for ((state, delta), y) in state.iter_mut().zip(&delta).zip(&mut *y) {
                    *state += k * delta;
                    *y += *state * q;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    const RULE: DeltaRule = DeltaRule {
        heads: 4,
        key_heads: 2,
        key_width: 5,
        value_width: 3,
        length: 6,
        query_scale: 0.5,
        key_scale: 0.25,
    };

    /// q, k, v, α and β of two sequences.
    fn inputs() -> [Vec<f32>; 5] {
        let mut random = SmallRng::seed_from_u64(3);
        let mut normal = |width: usize| -> Vec<f32> {
            (0..2 * RULE.length * width).map(|_| random.sample(StandardNormal)).collect()
        };
        let [q, k, v] = [2 * 5, 2 * 5, 4 * 3].map(&mut normal);
        let shares = [4, 4].map(normal).map(|all| all.iter().map(|x| 1.0 / (1.0 + x.exp())).collect());
        let [alpha, beta]: [Vec<f32>; 2] = shares;
        [q, k, v, alpha, beta]
    }

    /// Computes the same in f64, without a state: the answers of a token are sums over all corrections before it.
    fn plainly(all: &[Vec<f32>; 5]) -> Vec<f64> {
        let [q, k, v, alpha, beta] = all;
        let DeltaRule { heads, key_heads, key_width, value_width, length, query_scale, key_scale } = RULE;
        let mut y = vec![0.0; v.len()];
        for sequence in 0..2 {
            for head in 0..heads {
                let at = |token: usize| (sequence * length + token) * heads + head;
                let of_keys = |all: &[f32], token: usize, scale: f32| -> Vec<f64> {
                    let first = ((sequence * length + token) * key_heads + head / 2) * key_width;
                    all[first..first + key_width].iter().map(|x| f64::from(x * scale)).collect()
                };
                let product = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
                // How much of the correction of token `from` is left at token `to`.
                let left = |from: usize, to: usize| -> f64 {
                    (from + 1..=to).map(|token| f64::from(alpha[at(token)])).product()
                };
                for channel in 0..value_width {
                    let mut corrections: Vec<f64> = Vec::new();
                    for token in 0..length {
                        let key = of_keys(k, token, key_scale);
                        let answer = |asked: &[f64], corrections: &[f64]| -> f64 {
                            let each = corrections.iter().enumerate();
                            each.map(|(from, correction)| {
                                let key = of_keys(k, from, key_scale);
                                left(from, token) * product(&key, asked) * correction
                            })
                            .sum()
                        };
                        let known = answer(&key, &corrections);
                        let value = f64::from(v[at(token) * value_width + channel]);
                        corrections.push(f64::from(beta[at(token)]) * (value - known));
                        y[at(token) * value_width + channel] =
                            answer(&of_keys(q, token, query_scale), &corrections);
                    }
                }
            }
        }
        y
    }

    #[test]
    fn the_state_holds_the_sum_of_all_corrections() {
        let all = inputs();
        let [q, k, v, alpha, beta] = &all;
        let found = RULE.run(q, k, v, alpha, beta);
        for (found, exact) in found.iter().zip(plainly(&all)) {
            assert!((f64::from(*found) - exact).abs() < 1e-6, "{found} for {exact}");
        }
    }

    #[test]
    fn a_full_correction_makes_the_state_answer_a_unit_key_with_its_value() {
        let rule = DeltaRule { heads: 1, key_heads: 1, length: 2, query_scale: 1.0, key_scale: 1.0, ..RULE };
        // The query of each token is the key of the first one.
        let key = [0.6, 0.0, -0.8, 0.0, 0.0];
        let (q, k) = ([key, key].concat(), [key, [0.0, 1.0, 0.0, 0.0, 0.0]].concat());
        let v = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let y = rule.run(&q, &k, &v, &[0.3, 0.5], &[1.0, 1.0]);
        let expected = [1.0, 2.0, 3.0, 0.5, 1.0, 1.5];
        assert!(y.iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-6), "{y:?}");
    }

    #[test]
    fn decay_is_what_its_formula_gives_in_f64() {
        let (rates, biases) = ([0.01, 1.0, 16.0], [0.0, 1.0, -3.0]);
        for step in -40..=40 {
            let x = step as f32 / 4.0;
            let mut found = [x; 3];
            decay(&mut found, &rates, &biases);
            for ((found, rate), bias) in found.iter().zip(rates).zip(biases) {
                let exact = (-f64::from(rate) * f64::from(x + bias).exp().ln_1p()).exp();
                assert!((f64::from(*found) - exact).abs() < 1e-6, "{x}, {rate}, {bias}: {found} for {exact}");
            }
        }
    }
}
