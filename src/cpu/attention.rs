//! Scaled dot-product attention with an online softmax: the t × t scores of a head are never in memory.
//!
//! y = softmax(cap(q kᵀ · scale) + bias) v per head, over the keys that a query may see. Dao et al., FlashAttention, 2022. A head may have
//! a sink: a score that takes part in the softmax, and has no value (gpt-oss).

use super::disentangled::Positions;
use super::elementary::exp;
use super::lanes::{greatest, sum};
use super::rows;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Keys of one step of the online softmax, and queries that share the step.
const KEYS: usize = 64;
const QUERIES: usize = 64;

/// A term added to the score of a query and a key.
#[derive(Debug, Clone, Copy)]
pub enum Bias<'a> {
    /// Nothing.
    None,
    /// slope × (key − query), with one slope for each head (Press et al., ALiBi, 2022).
    Alibi(&'a [f32]),
    /// A value for each key: one row of s values for each head.
    Keys(&'a [f32]),
    /// A value for each distance key − query from −(t − 1) to t − 1: one row of 2t − 1 values for each head (T5). s is t.
    Relative(&'a [f32]),
    /// A value for each query and key: t rows of s values for each head.
    Pairs(&'a [f32]),
    /// Products with keys and queries of positions, by distance (DeBERTa). They are added to the products before the scale. s is t.
    Disentangled(Positions<'a>),
}

/// One attention, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads: a divisor of the query heads. Neighbouring query heads share one.
    pub key_heads: usize,
    /// Width h of a head.
    pub head_width: usize,
    /// Tokens t of every sequence: its queries.
    pub length: usize,
    /// Keys s of every sequence. This is t, unless queries attend to another stack.
    pub keys: usize,
    /// Neighbouring sequences that share the same keys. This is 1, unless queries attend to another stack.
    pub sharing: usize,
    /// Whether a query sees no later keys.
    pub causal: bool,
    /// If causal, a query sees keys at a distance below this. Otherwise it sees keys at a distance of up to half of it, rounded down.
    pub window: Option<usize>,
    /// Factor of the products.
    pub scale: f32,
    /// c of c tanh(score/c), before the bias.
    pub cap: Option<f32>,
    /// Term added to the scores.
    pub bias: Bias<'a>,
    /// The score of each head's sink.
    pub sinks: Option<&'a [f32]>,
}

impl Attention<'_> {
    /// The keys that a query sees.
    fn seen(&self, query: usize) -> std::ops::Range<usize> {
        let ahead = if self.causal { query + 1 } else { self.keys };
        match (self.window, self.causal) {
            (None, _) => 0..ahead,
            (Some(window), true) => (query + 1).saturating_sub(window)..ahead,
            (Some(window), false) => query.saturating_sub(window / 2)..ahead.min(query + window / 2 + 1),
        }
    }

    /// Makes scores of the products of a query with the keys from `from` on: applies cap and bias, and sets −∞ for keys that the query
    /// does not see.
    fn score(&self, products: &mut [f32], head: usize, query: usize, from: usize) {
        let seen = self.seen(query);
        let begin = seen.start.saturating_sub(from).min(products.len());
        let end = seen.end.saturating_sub(from).clamp(begin, products.len());
        products[..begin].fill(f32::NEG_INFINITY);
        products[end..].fill(f32::NEG_INFINITY);
        let products = &mut products[begin..end];
        if let Some(cap) = self.cap {
            products.iter_mut().for_each(|score| *score = cap * (*score / cap).tanh());
        }
        let first = from + begin;
        match self.bias {
            Bias::None | Bias::Disentangled(_) => {}
            Bias::Alibi(slopes) => {
                for (at, score) in products.iter_mut().enumerate() {
                    *score += slopes[head] * ((first + at) as f32 - query as f32);
                }
            }
            Bias::Keys(rows) => {
                let row = &rows[head * self.keys..][first..];
                products.iter_mut().zip(row).for_each(|(score, bias)| *score += bias);
            }
            Bias::Pairs(rows) => {
                let row = &rows[(head * self.length + query) * self.keys..][first..];
                products.iter_mut().zip(row).for_each(|(score, bias)| *score += bias);
            }
            Bias::Relative(rows) => {
                let row = &rows[head * (2 * self.length - 1)..][first + self.length - 1 - query..];
                products.iter_mut().zip(row).for_each(|(score, bias)| *score += bias);
            }
        }
    }

    /// Computes y (n × heads·h) from q (n × heads·h), k and v (n/t/sharing·s × key_heads·h). n is a multiple of t.
    pub fn attend(&self, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let (h, t, keys) = (self.head_width, self.length, self.keys);
        let sequences = q.len() / (t * self.heads * h);
        // Head by head, so that each thread writes a contiguous part.
        let mut by_head = vec![0.0; q.len()];
        rows::in_parallel(&mut by_head, t * h, |first, part| {
            for (index, y) in part.chunks_exact_mut(t * h).enumerate() {
                let (sequence, head) = ((first + index) / self.heads, (first + index) % self.heads);
                let key_head = head / (self.heads / self.key_heads);
                // `rows` rows of one head, beginning with row `first`.
                let of = |x: &[f32], first: usize, rows: usize, heads: usize, head: usize| -> Vec<f32> {
                    let rows = x[first * heads * h..][..rows * heads * h].chunks_exact(heads * h);
                    rows.flat_map(|row| row[head * h..][..h].iter().copied()).collect()
                };
                let of_keys = |x| of(x, sequence / self.sharing * keys, keys, self.key_heads, key_head);
                let q = of(q, sequence * t, t, self.heads, head);
                self.one_head(head, &q, &of_keys(k), &of_keys(v), y);
            }
        });
        let mut y = vec![0.0; q.len()];
        for sequence in 0..sequences {
            for head in 0..self.heads {
                for token in 0..t {
                    let from = ((sequence * self.heads + head) * t + token) * h;
                    let to = ((sequence * t + token) * self.heads + head) * h;
                    y[to..to + h].copy_from_slice(&by_head[from..from + h]);
                }
            }
        }
        y
    }

    /// Computes one head of one sequence: q and y are t × h, k and v are s × h.
    fn one_head(&self, head: usize, q: &[f32], k: &[f32], v: &[f32], y: &mut [f32]) {
        let h = self.head_width;
        let mut scores = vec![0.0; QUERIES * KEYS];
        let positions = match self.bias {
            Bias::Disentangled(positions) => Some(positions.of_head(head, h, self.heads)),
            _ => None,
        };
        for (block, y) in y.chunks_mut(QUERIES * h).enumerate() {
            let (first, queries) = (block * QUERIES, y.len() / h);
            // A sink is like a first key whose value is zero.
            let sink = self.sinks.map(|sinks| sinks[head]);
            let mut most = vec![sink.unwrap_or(f32::NEG_INFINITY); queries];
            let mut sums = vec![if sink.is_some() { 1.0 } else { 0.0 }; queries];
            let begin = self.seen(first).start / KEYS * KEYS;
            let end = self.seen(first + queries - 1).end.min(self.keys);
            for from in (begin..end).step_by(KEYS) {
                let keys = KEYS.min(end - from);
                let scores = &mut scores[..queries * keys];
                let (of_queries, of_keys) = (&q[first * h..][..queries * h], &k[from * h..][..keys * h]);
                let q = MatRef::from_row_major_slice(of_queries, queries, h);
                let k = MatRef::from_row_major_slice(of_keys, keys, h);
                let products = MatMut::from_row_major_slice_mut(&mut *scores, queries, keys);
                matmul(products, Accum::Replace, q, k.transpose(), self.scale, Par::Seq);
                if let Some(positions) = &positions {
                    positions.add(scores, [of_queries, of_keys], [first, from], self.scale);
                }
                for (index, row) in scores.chunks_exact_mut(keys).enumerate() {
                    self.score(row, head, first + index, from);
                    let highest = f32::max(most[index], greatest(row));
                    if highest == f32::NEG_INFINITY {
                        row.fill(0.0);
                        continue;
                    }
                    let shrink = exp(most[index] - highest);
                    most[index] = highest;
                    row.iter_mut().for_each(|score| *score = exp(*score - highest));
                    sums[index] = sums[index] * shrink + sum(row, |weight| weight);
                    y[index * h..][..h].iter_mut().for_each(|y| *y *= shrink);
                }
                let weights = MatRef::from_row_major_slice(&*scores, queries, keys);
                let v = MatRef::from_row_major_slice(&v[from * h..][..keys * h], keys, h);
                matmul(
                    MatMut::from_row_major_slice_mut(&mut *y, queries, h),
                    Accum::Add,
                    weights,
                    v,
                    1.0,
                    Par::Seq,
                );
            }
            for (y, sum) in y.chunks_exact_mut(h).zip(&sums) {
                y.iter_mut().for_each(|y| *y /= sum);
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

    /// Computes the same in f64, with every score in memory.
    fn plainly(attention: &Attention<'_>, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f64> {
        let Attention { heads, key_heads, head_width: h, length: t, keys, sharing, .. } = *attention;
        let mut y = vec![0.0; q.len()];
        for sequence in 0..q.len() / (t * heads * h) {
            for head in 0..heads {
                let key_head = head * key_heads / heads;
                for query in 0..t {
                    let row = |x: &[f32], token: usize, heads: usize, head: usize| -> Vec<f64> {
                        let at = (token * heads + head) * h;
                        x[at..at + h].iter().map(|&x| f64::from(x)).collect()
                    };
                    let first = sequence / sharing * keys;
                    let one = row(q, sequence * t + query, heads, head);
                    let weights: Vec<f64> = (0..keys)
                        .map(|key| {
                            let distance = key as i64 - query as i64;
                            let hidden = attention.causal && distance > 0
                                || attention.window.is_some_and(|window| match attention.causal {
                                    true => -distance >= window as i64,
                                    false => distance.abs() > window as i64 / 2,
                                });
                            let other = row(k, first + key, key_heads, key_head);
                            let product: f64 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
                            let mut score = product * f64::from(attention.scale);
                            if let Bias::Disentangled(Positions { row_of, rows }) = attention.bias {
                                let row = row_of[(distance + t as i64 - 1) as usize] as usize;
                                let of = |x: &[f64], from: usize| -> f64 {
                                    let row = &rows[row * 2 * heads * h..][from + head * h..][..h];
                                    x.iter().zip(row).map(|(x, row)| x * f64::from(*row)).sum()
                                };
                                let both = of(&one, 0) + of(&other, heads * h);
                                score += both * f64::from(attention.scale);
                            }
                            if let Some(cap) = attention.cap {
                                score = f64::from(cap) * (score / f64::from(cap)).tanh();
                            }
                            score += match attention.bias {
                                Bias::None | Bias::Disentangled(_) => 0.0,
                                Bias::Alibi(slopes) => f64::from(slopes[head]) * distance as f64,
                                Bias::Keys(rows) => f64::from(rows[head * keys + key]),
                                Bias::Pairs(rows) => f64::from(rows[(head * t + query) * keys + key]),
                                Bias::Relative(rows) => {
                                    f64::from(rows[head * (2 * t - 1) + (distance + t as i64 - 1) as usize])
                                }
                            };
                            if hidden { 0.0 } else { score.exp() }
                        })
                        .collect();
                    let sink = attention.sinks.map_or(0.0, |sinks| f64::from(sinks[head]).exp());
                    let sum = weights.iter().sum::<f64>() + sink;
                    for (key, weight) in weights.iter().enumerate() {
                        for (at, value) in row(v, first + key, key_heads, key_head).into_iter().enumerate() {
                            y[((sequence * t + query) * heads + head) * h + at] += weight / sum * value;
                        }
                    }
                }
            }
        }
        y
    }

    #[test]
    fn the_online_softmax_is_the_plain_one() {
        let mut random = SmallRng::seed_from_u64(3);
        let mut normal =
            |count: usize| -> Vec<f32> { (0..count).map(|_| random.sample(StandardNormal)).collect() };
        let slopes = [0.5, 0.25, 0.125, 0.0625];
        let relative = normal(4 * (2 * 150 - 1));
        let pairs = normal(4 * 130 * 130);
        let sinks = normal(4);
        // Seven rows for 259 distances.
        let row_of: Vec<u32> = (0..259).map(|distance| 6 - distance / 40).collect();
        let rows = normal(7 * 2 * 20);
        let positions = Positions { row_of: &row_of, rows: &rows };
        for (place, (length, [keys, sharing], causal, window, cap, bias, key_heads)) in [
            (1, [1, 1], true, None, None, Bias::None, 4),
            (63, [63, 1], true, None, Some(2.0), Bias::None, 1),
            (130, [130, 1], true, Some(65), None, Bias::Alibi(&slopes), 2),
            (130, [130, 1], true, Some(1), None, Bias::None, 2),
            (129, [129, 1], false, Some(9), None, Bias::None, 4),
            (150, [150, 1], false, None, None, Bias::Relative(&relative), 4),
            (150, [150, 1], true, Some(70), None, Bias::Keys(&relative), 2),
            (130, [130, 1], false, None, None, Bias::Pairs(&pairs), 4),
            (130, [130, 1], false, None, None, Bias::Disentangled(positions), 4),
            // Like a decoder: more keys than queries, and fewer. Each sequence has its own keys, or two share them.
            (70, [130, 1], false, None, None, Bias::None, 4),
            (130, [3, 2], false, None, None, Bias::Keys(&relative), 2),
        ]
        .into_iter()
        .enumerate()
        {
            let attention = Attention {
                heads: 4,
                key_heads,
                head_width: 5,
                length,
                keys,
                sharing,
                causal,
                window,
                scale: 0.7,
                cap,
                bias,
                sinks: (place % 2 == 1).then_some(&sinks),
            };
            let of_keys = 2 / sharing * keys * key_heads * 5;
            let (q, k, v) = (normal(2 * length * 20), normal(of_keys), normal(of_keys));
            let exact = plainly(&attention, &q, &k, &v);
            for (found, exact) in attention.attend(&q, &k, &v).into_iter().zip(exact) {
                assert!((f64::from(found) - exact).abs() < 1e-5, "{length}: {found} for {exact}");
            }
        }
    }
}
