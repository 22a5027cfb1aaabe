//! Keys and queries of positions for disentangled attention (DeBERTa).

use super::kernels::Kernels;
use super::observer::Observer;
use super::{ForwardError, Pass};
use crate::cpu::disentangled::Positions;
use crate::model::architecture::{Attention, Disentangled, Linear, LogBuckets, Projections};
use crate::source::ByteSource;
use std::ops::Range;

/// Keys and queries of positions in memory. See [`Positions`].
#[derive(Debug, Default)]
pub(super) struct PositionRows {
    row_of: Vec<u32>,
    rows: Vec<f32>,
}

impl PositionRows {
    pub(super) fn view(&self) -> Positions<'_> {
        Positions { row_of: &self.row_of, rows: &self.rows }
    }
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Computes queries, keys and values of the tokens x (n × d), and keys and queries of the positions that these see. A map that is used
    /// for both is loaded once.
    pub(super) async fn with_positions(
        &self,
        attention: &Attention,
        positions: &Disentangled,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<([K::Values; 3], PositionRows), ForwardError> {
        let (row_of, used) = positions.rows(self.sequences.length);
        let table = self.position_table(positions, &used).await?;
        let [to_keys, to_queries] = &positions.maps;
        let (projected, keys, queries) = match &attention.projections {
            Projections::Separate([q, k, v]) => {
                let (q, queries) = self.of_both(q, x, to_queries.as_ref(), &table).await?;
                let (k, keys) = self.of_both(k, x, to_keys.as_ref(), &table).await?;
                ([q, k, self.linear(v, x).await?], keys, queries)
            }
            _ => {
                let projected = self.projections(attention, [x, x], watch).await?;
                let keys = self.of_table(to_keys.as_ref(), &table).await?;
                (projected, keys, self.of_table(to_queries.as_ref(), &table).await?)
            }
        };
        let width = attention.heads * attention.head_width;
        let mut rows = vec![0.0; 2 * used.len() * width];
        for (at, values) in [keys, queries].into_iter().enumerate() {
            let Some(values) = values else { continue };
            let values = self.kernels.get(&values).await?;
            for (row, values) in rows.chunks_exact_mut(2 * width).zip(values.chunks_exact(width)) {
                row[at * width..][..width].copy_from_slice(values);
            }
        }
        Ok((projected, PositionRows { row_of, rows }))
    }

    /// These rows of the table after its norm, rows × d.
    async fn position_table(
        &self,
        positions: &Disentangled,
        rows: &Range<usize>,
    ) -> Result<K::Values, ForwardError> {
        let width = self.architecture.width;
        let [begin, end] = [rows.start, rows.end].map(|row| (row * width) as u64);
        let table = self.kernels.put(self.weights.part(positions.table, begin..end).await?);
        let Some(norm) = &positions.norm else { return Ok(table) };
        let before_scale = self.kernels.normalise(norm.centring, &table, norm.width, norm.epsilon);
        Ok(self.scaled_and_shifted(&before_scale, self.parameters(norm).await?))
    }

    /// Applies `map` to x, and `own` to the rows of the table.
    async fn of_both(
        &self,
        map: &Linear,
        x: &K::Values,
        own: Option<&Linear>,
        table: &K::Values,
    ) -> Result<(K::Values, Option<K::Values>), ForwardError> {
        if own != Some(map) {
            return Ok((self.linear(map, x).await?, self.of_table(own, table).await?));
        }
        self.pause().await?;
        let loaded = self.load(map).await?;
        Ok((loaded.apply(self.kernels, x), Some(loaded.apply(self.kernels, table))))
    }

    async fn of_table(
        &self,
        map: Option<&Linear>,
        table: &K::Values,
    ) -> Result<Option<K::Values>, ForwardError> {
        match map {
            Some(map) => Ok(Some(self.linear(map, table).await?)),
            None => Ok(None),
        }
    }
}

/// f32 values that keys and queries of positions take, in the memory of the device and in that of the host.
pub(super) fn values(positions: &Disentangled, attention: &Attention, width: usize, tokens: usize) -> u64 {
    let rows = positions.span.saturating_mul(2).min(tokens.saturating_mul(2)) as u64;
    // The table before and after its norm; keys and queries on the device, as they come back, and as they are handed over.
    rows * (3 * width + 6 * attention.heads * attention.head_width) as u64
}

impl Disentangled {
    /// Returns the row of each distance key − query from −(t − 1) to t − 1, counted from the first row that is used, and which rows are
    /// used.
    fn rows(&self, length: usize) -> (Vec<u32>, Range<usize>) {
        let reach = length as i64 - 1;
        let row = |distance: i64| {
            let bucket = self.buckets.map_or(distance, |buckets| buckets.of(distance));
            (bucket + self.span as i64).clamp(0, 2 * self.span as i64 - 1) as usize
        };
        let (first, last) = (row(-reach), row(reach));
        let row_of = (-reach..=reach).map(|distance| (row(-distance) - first) as u32).collect();
        (row_of, first..last + 1)
    }
}

impl LogBuckets {
    /// DeBERTa's bucket of a distance query − key, in f32 as there.
    fn of(&self, distance: i64) -> i64 {
        let (exact, away) = (self.exact as i64, distance.abs());
        if away <= exact {
            return distance;
        }
        let log = |distance: f64| ((distance / exact as f64) as f32).ln();
        let share = log(away as f64) / log(self.furthest as f64);
        distance.signum() * ((share * (exact - 1) as f32).ceil() as i64 + exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_deberta() {
        // transformers' make_log_bucket_position with 8 buckets and a maximum of 24 positions.
        let buckets = LogBuckets { exact: 4, furthest: 23 };
        let found: Vec<i64> = (-27..=27).map(|distance| buckets.of(distance)).collect();
        let later = [0, 1, 2, 3, 4, 5, 5, 5, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8];
        let earlier: Vec<i64> = later.iter().rev().map(|bucket| -bucket).collect();
        assert_eq!((&found[..28], &found[27..]), (&earlier[..], &later[..]));
    }

    #[test]
    fn only_rows_of_distances_that_occur_are_used() {
        let positions = Disentangled { table: 0, norm: None, maps: [None; 2], span: 4, buckets: None };
        assert_eq!(positions.rows(1), (vec![0], 4..5));
        // From key − query −1 on: the query is one token later.
        assert_eq!(positions.rows(2), (vec![2, 1, 0], 3..6));
        // Farther distances have the last row of either direction.
        assert_eq!(positions.rows(6).0, [7, 7, 7, 6, 5, 4, 3, 2, 1, 0, 0]);
    }
}
