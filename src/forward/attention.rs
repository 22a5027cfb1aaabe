//! Attention: projections, norms of queries and keys, positions, and back to the stream.

use super::{ForwardError, Pass, Seen};
use crate::cpu::attention::{Attention as Kernel, Bias};
use crate::cpu::rotary::Turns;
use crate::model::architecture::{Attention, Norm, Position, Projections};
use crate::source::ByteSource;

impl<S: ByteSource> Pass<'_, S> {
    /// n × d of n × d.
    pub(super) async fn attention(
        &self,
        attention: &Attention,
        x: &[f32],
        visit: &mut impl AsyncFnMut(Seen<'_>),
    ) -> Result<Vec<f32>, ForwardError> {
        let Attention { heads, key_heads, head_width, .. } = *attention;
        let length = self.tokens.length;
        let [mut q, mut k, mut v] = self.projections(attention, x).await?;
        if let Some(clip) = attention.clip {
            let values = q.iter_mut().chain(&mut k).chain(&mut v);
            values.for_each(|value| *value = value.clamp(-clip, clip));
        }
        q = self.head_norm(attention.query_norm.as_ref(), q, visit).await?;
        k = self.head_norm(attention.key_norm.as_ref(), k, visit).await?;
        let mut relative = Vec::new();
        let bias = match &attention.position {
            Position::None => Bias::None,
            Position::Rotary(rotary) => {
                let turns = Turns::new(&rotary.frequencies, length, rotary.factor);
                turns.apply(&mut q, heads, head_width, length, rotary.pairing);
                turns.apply(&mut k, key_heads, head_width, length, rotary.pairing);
                Bias::None
            }
            Position::Alibi(slopes) => Bias::Alibi(slopes),
            Position::Relative { table, buckets, furthest } => {
                let table = self.weights.all(*table).await?;
                let reach = length as i64 - 1;
                for head in 0..heads {
                    let of = |distance| table[bucket(distance, *buckets, *furthest) * heads + head];
                    relative.extend((-reach..=reach).map(of));
                }
                Bias::Relative(&relative)
            }
        };
        let kernel = Kernel {
            heads,
            key_heads,
            head_width,
            length,
            causal: self.architecture.causal,
            window: attention.window,
            scale: attention.scale,
            cap: attention.cap,
            bias,
        };
        let mixed = kernel.attend(&q, &k, &v);
        Ok(self.weights.linear(&attention.output).await?.apply(&mixed))
    }

    async fn head_norm(
        &self,
        norm: Option<&Norm>,
        x: Vec<f32>,
        visit: &mut impl AsyncFnMut(Seen<'_>),
    ) -> Result<Vec<f32>, ForwardError> {
        match norm {
            Some(norm) => self.norm_told(norm.centring, norm, x, visit).await,
            None => Ok(x),
        }
    }

    /// Queries, keys and values: n × heads·h, n × key_heads·h twice.
    async fn projections(&self, attention: &Attention, x: &[f32]) -> Result<[Vec<f32>; 3], ForwardError> {
        let Attention { heads, key_heads, head_width, .. } = *attention;
        Ok(match &attention.projections {
            Projections::Separate([q, k, v]) => [
                self.weights.linear(q).await?.apply(x),
                self.weights.linear(k).await?.apply(x),
                self.weights.linear(v).await?.apply(x),
            ],
            Projections::Concatenated(all) => {
                let of_keys = key_heads * head_width;
                split(&self.weights.linear(all).await?.apply(x), [heads * head_width, of_keys, of_keys])
            }
            Projections::Grouped(all) => {
                let queries = heads / key_heads * head_width;
                split(&self.weights.linear(all).await?.apply(x), [queries, head_width, head_width])
            }
        })
    }
}

/// Deals out pieces of these sizes, over and over.
fn split(x: &[f32], sizes: [usize; 3]) -> [Vec<f32>; 3] {
    let mut parts = [const { Vec::new() }; 3];
    for group in x.chunks_exact(sizes.iter().sum()) {
        let mut from = 0;
        for (part, size) in parts.iter_mut().zip(sizes) {
            part.extend_from_slice(&group[from..from + size]);
            from += size;
        }
    }
    parts
}

/// T5's bucket of a distance (key − query): half of them for later keys; near distances one each, farther ones by logarithm.
fn bucket(distance: i64, buckets: usize, furthest: usize) -> usize {
    let half = buckets / 2;
    let (later, away) = (if distance > 0 { half } else { 0 }, distance.unsigned_abs() as usize);
    let exact = half / 2;
    if away < exact {
        return later + away;
    }
    let beyond = (away as f32 / exact as f32).ln() / (furthest as f32 / exact as f32).ln();
    later + (exact + (beyond * (half - exact) as f32) as usize).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_t5() {
        // From transformers' T5Attention._relative_position_bucket, 8 buckets, 12 the furthest.
        let found: Vec<usize> = (-14..=14).map(|distance| bucket(distance, 8, 12)).collect();
        let expected =
            [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 1, 0, 5, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
        assert_eq!(found, expected);
    }
}
