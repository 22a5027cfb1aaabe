//! Attention: projections, norms of queries and keys, positions, and back to the stream.

use super::aside::Aside;
use super::disentangled::PositionRows;
use super::kernels::{Columns, Heads, Kernels};
use super::observer::Observer;
use super::{ForwardError, Pass, Unwatched};
use crate::cpu::attention::{Attention as Kernel, Bias};
use crate::cpu::rotary::RotaryTable;
use crate::model::architecture::{Attention, HeadNorm, Norm, Position, Projections};
use crate::model::operation::{Activation, Pairing};
use crate::source::ByteSource;
use half::bf16;

/// The output of an encoder, as the cross-attention of a decoder reads it.
#[derive(Debug)]
pub(super) struct Encoded<'a, Values> {
    /// Its last hidden states.
    pub(super) hidden: &'a Values,
    /// Tokens of each of its sequences.
    pub(super) length: usize,
    /// Sequences of the decoder that read the same sequence of the encoder.
    pub(super) sharing: usize,
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Attention of a decoder's tokens (n × d) to those of its encoder. Returns n × d.
    pub(super) async fn cross_attention(
        &self,
        attention: &Attention,
        x: &K::Values,
        encoded: &Encoded<'_, K::Values>,
    ) -> Result<K::Values, ForwardError> {
        let Attention { heads, key_heads, head_width, window, scale, cap, .. } = *attention;
        let Encoded { hidden, length: keys, sharing } = *encoded;
        let [q, k, v] = self.projections(attention, [x, hidden], &mut Unwatched).await?;
        let length = self.sequences.length;
        let (causal, bias, sinks) = (false, Bias::None, None);
        let kernel = Kernel {
            heads,
            key_heads,
            head_width,
            length,
            keys,
            sharing,
            causal,
            window,
            scale,
            cap,
            bias,
            sinks,
        };
        let mixed = self.kernels.attend(&kernel, &q, &k, &v);
        self.linear(&attention.output, &mixed).await
    }

    /// Self-attention: n × d from n × d. Keys and values may be those of an earlier block, and may be lent to later ones.
    pub(super) async fn attention(
        &self,
        attention: &Attention,
        x: &K::Values,
        aside: &mut Aside<K::Values>,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let Attention { heads, key_heads, head_width, .. } = *attention;
        let length = self.sequences.length;
        let mut of_positions = PositionRows::default();
        let (of_keys, mut borrows) = (self.sequences.tokens * key_heads * head_width, false);
        let [mut q, mut k, mut v] = match (&attention.projections, &attention.position) {
            (Projections::Borrowed { queries, place }, _) => {
                borrows = true;
                let [k, v] = self.borrowed(aside, *place, of_keys)?;
                [self.linear(queries, x).await?, k, v]
            }
            (_, Position::Disentangled(positions)) => {
                let (projected, rows) = self.with_positions(attention, positions, x, watch).await?;
                of_positions = rows;
                projected
            }
            (_, _) => self.projections(attention, [x, x], watch).await?,
        };
        let mut gate = None;
        if attention.gated {
            let [queries, gates] = self.split(&q, [head_width; 2]);
            (q, gate) = (queries, Some(gates));
        }
        for (values, bias) in [&mut q, &mut k, &mut v].into_iter().zip(attention.biases) {
            if let Some(bias) = self.weights.optional(bias).await? {
                let width = bias.len();
                let bias = self.kernels.put(bias);
                *values = self.kernels.scale_and_shift(values, None, Some(&bias), width);
            }
        }
        if let Some(clip) = attention.clip {
            for values in [&mut q, &mut k, &mut v] {
                self.kernels.clamp(values, [-clip, clip]);
            }
        }
        q = self.head_norm(attention.query_norm.as_ref(), q, watch).await?;
        k = self.head_norm(attention.key_norm.as_ref(), k, watch).await?;
        if let Some(norm) = &attention.value_norm {
            v = self.norm_told(norm.centring, norm, &v, watch).await?;
        }
        let (mut relative, mut by_key, mut by_pair) = (Vec::new(), Vec::new(), Vec::new());
        let bias = match &attention.position {
            Position::None => Bias::None,
            Position::Rotary(rotary) => {
                let turns = RotaryTable::new(&rotary.frequencies_of(length), length, rotary.factor);
                self.turn(&mut q, heads, head_width, &turns, rotary.pairing);
                if !borrows {
                    self.turn(&mut k, key_heads, head_width, &turns, rotary.pairing);
                }
                Bias::None
            }
            Position::Axial(rotary) => {
                let [_, rows, columns] = self.sequences.grid;
                let [of_rows, of_columns] = rotary.coordinates.of([rows, columns]);
                let sides = [of_rows.as_slice(), &of_columns];
                let turns = RotaryTable::of_patches(&rotary.frequencies, length - rows * columns, sides);
                self.turn(&mut q, heads, head_width, &turns, rotary.pairing);
                self.turn(&mut k, key_heads, head_width, &turns, rotary.pairing);
                Bias::None
            }
            Position::Disentangled(_) => Bias::Disentangled(of_positions.view()),
            Position::Alibi(slopes) => Bias::Alibi(slopes),
            Position::CoarseAlibi(slopes) => {
                let coarse = |value: f32| bf16::from_f32(value).to_f32();
                for slope in slopes.iter().copied().map(coarse) {
                    let of = |key| coarse(slope * coarse(key as f32)) * attention.scale;
                    by_key.extend((0..length).map(of));
                }
                Bias::Keys(&by_key)
            }
            Position::Relative { table, buckets, furthest } => {
                let table = self.weights.all(*table).await?;
                let reach = length as i64 - 1;
                for head in 0..heads {
                    let of = |distance| table[bucket(distance, *buckets, *furthest) * heads + head];
                    relative.extend((-reach..=reach).map(of));
                }
                Bias::Relative(&relative)
            }
            Position::Window { table } => {
                let table = self.weights.all(*table).await?;
                let [_, rows, columns] = self.sequences.grid;
                for head in 0..heads {
                    let rows = window(rows, columns).into_iter().map(|row| table[row * heads + head]);
                    by_pair.extend(rows);
                }
                Bias::Pairs(&by_pair)
            }
        };
        if let Some(lent) = attention.lends.and_then(|place| aside.lent.get_mut(place)) {
            *lent = Some([&k, &v].map(|values| self.kernels.part(values, 0, of_keys)));
        }
        let sinks = self.weights.optional(attention.sinks).await?;
        let kernel = Kernel {
            heads,
            key_heads,
            head_width,
            length,
            keys: length,
            sharing: 1,
            causal: self.architecture.causal,
            window: attention.window,
            scale: attention.scale,
            cap: attention.cap,
            bias,
            sinks: sinks.as_deref(),
        };
        let mut mixed = self.kernels.attend(&kernel, &q, &k, &v);
        if let Projections::Latent(latent) = &attention.projections {
            let columns = Columns { from: 0, width: latent.value_width, of: head_width };
            mixed = self.kernels.columns(&mixed, columns);
        }
        if let Some(mut gate) = gate {
            self.kernels.gate(Activation::Sigmoid, &mut gate, &mixed);
            mixed = gate;
        }
        if let Some(norm) = &attention.inner_norm {
            mixed = self.norm_told(norm.centring, norm, &mixed, watch).await?;
        }
        self.linear(&attention.output, &mixed).await
    }

    /// Turns queries or keys of `count` heads by their positions.
    fn turn(&self, x: &mut K::Values, count: usize, width: usize, turns: &RotaryTable, pairing: Pairing) {
        self.kernels.rotary(x, turns, Heads { count, width, length: self.sequences.length }, pairing);
    }

    async fn head_norm(
        &self,
        norm: Option<&HeadNorm>,
        x: K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        match norm {
            Some(HeadNorm::One(norm)) => self.norm_told(norm.centring, norm, &x, watch).await,
            Some(HeadNorm::Each(norms)) => self.norm_each(norms, &x, watch).await,
            None => Ok(x),
        }
    }

    /// Normalises every head with its own norm. All have the same kind, width and ε.
    async fn norm_each(
        &self,
        norms: &[Norm],
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let Norm { width, centring, epsilon, .. } = norms[0];
        let before_scale = self.kernels.normalise(centring, x, width, epsilon);
        let mut all: [Option<Vec<f32>>; 2] = [None, None];
        for norm in norms {
            for (all, one) in all.iter_mut().zip(self.parameters(norm).await?) {
                if let Some(one) = one {
                    all.get_or_insert_default().extend(one);
                }
            }
        }
        let y = self.scaled_and_shifted(&before_scale, all);
        for (head, norm) in norms.iter().enumerate() {
            if norm.site.as_deref().is_some_and(|site| watch.wants(site)) {
                let columns = Columns { from: head * width, width, of: norms.len() * width };
                let [before_scale, y] = [&before_scale, &y].map(|x| self.kernels.columns(x, columns));
                self.show(norm, &before_scale, &y, watch).await?;
            }
        }
        Ok(y)
    }

    /// Computes queries from x (n × heads·h, or twice that with gates), and keys and values from the tokens attended to (rows of those × key_heads·h). A fused
    /// matrix computes all three from x.
    pub(super) async fn projections(
        &self,
        attention: &Attention,
        [x, attended]: [&K::Values; 2],
        watch: &mut dyn Observer,
    ) -> Result<[K::Values; 3], ForwardError> {
        let Attention { heads, key_heads, head_width, .. } = *attention;
        Ok(match &attention.projections {
            Projections::Separate([q, k, v]) => {
                [self.linear(q, x).await?, self.linear(k, attended).await?, self.linear(v, attended).await?]
            }
            Projections::Shared([q, k]) => {
                let k = self.linear(k, attended).await?;
                let count = self.sequences.tokens * key_heads * head_width;
                [self.linear(q, x).await?, self.kernels.part(&k, 0, count), k]
            }
            Projections::Concatenated(all) => {
                let of_keys = key_heads * head_width;
                self.split(&self.linear(all, x).await?, [heads * head_width, of_keys, of_keys])
            }
            Projections::Grouped(all) => {
                let queries = heads / key_heads * head_width;
                self.split(&self.linear(all, x).await?, [queries, head_width, head_width])
            }
            Projections::Latent(latent) => self.latent(latent, attention, x, watch).await?,
            Projections::Borrowed { .. } => return Err(ForwardError::NotLent),
        })
    }

    /// Splits every row into pieces of these sizes, over and over.
    pub(super) fn split<const PIECES: usize>(
        &self,
        x: &K::Values,
        sizes: [usize; PIECES],
    ) -> [K::Values; PIECES] {
        let of = sizes.iter().sum();
        let mut from = 0;
        sizes.map(|width| {
            let columns = Columns { from, width, of };
            from += width;
            self.kernels.columns(x, columns)
        })
    }
}

/// T5's bucket of a distance (key − query). Half of the buckets are for later keys. Near distances have a bucket each, farther ones share
/// them by logarithm.
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

/// Rows of BEiT's table for each query and key, for a class token followed by patches. The table has a row for each distance in rows and
/// columns, then one row from the class token, one to it, and one to itself.
fn window(rows: usize, columns: usize) -> Vec<usize> {
    let distances = (2 * rows - 1) * (2 * columns - 1);
    let tokens =
        || std::iter::once(None).chain((0..rows * columns).map(|at| Some([at / columns, at % columns])));
    let row = |query: Option<[usize; 2]>, key: Option<[usize; 2]>| match (query, key) {
        (Some([row, column]), Some([of_row, of_column])) => {
            (row + rows - 1 - of_row) * (2 * columns - 1) + column + columns - 1 - of_column
        }
        (None, Some(_)) => distances,
        (Some(_), None) => distances + 1,
        (None, None) => distances + 2,
    };
    tokens().flat_map(|query| tokens().map(move |key| row(query, key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_window_are_those_of_beit() {
        // The first rows of transformers' BeitRelativePositionBias.generate_relative_position_index((2, 3)).
        let found = window(2, 3);
        assert_eq!(found[..7], [17, 15, 15, 15, 15, 15, 15]);
        assert_eq!(found[7..14], [16, 7, 6, 5, 2, 1, 0]);
        assert_eq!(found[42..], [16, 14, 13, 12, 9, 8, 7]);
    }

    #[test]
    fn buckets_are_those_of_t5() {
        // From transformers' T5Attention._relative_position_bucket with 8 buckets and a maximum distance of 12.
        let found: Vec<usize> = (-14..=14).map(|distance| bucket(distance, 8, 12)).collect();
        let expected =
            [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 1, 0, 5, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
        assert_eq!(found, expected);
    }
}
