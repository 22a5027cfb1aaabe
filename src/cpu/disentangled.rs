//! Scores of positions in disentangled attention: products of queries with keys of positions, and of keys with queries of positions.
//!
//! He et al., DeBERTa, 2021. They are computed for a step of the online softmax at a time, so that none of t × t is in memory.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Keys and queries of positions.
#[derive(Debug, Clone, Copy)]
pub struct Positions<'a> {
    /// The row of each distance key − query from −(t − 1) to t − 1. Neighbouring distances have neighbouring rows, or the same.
    pub row_of: &'a [u32],
    /// Rows of 2·heads·h values: the keys of all heads, then the queries of all heads.
    pub rows: &'a [f32],
}

/// The same for one head.
#[derive(Debug)]
pub(super) struct OfHead<'a> {
    row_of: &'a [u32],
    width: usize,
    /// Rows × h.
    keys: Vec<f32>,
    /// Rows × h.
    queries: Vec<f32>,
}

impl<'a> Positions<'a> {
    /// Returns those of a head of width `h`.
    pub(super) fn of_head(&self, head: usize, h: usize, heads: usize) -> OfHead<'a> {
        let rows = self.rows.chunks_exact(2 * heads * h);
        let of = |head: usize| rows.clone().flat_map(|row| &row[head * h..][..h]).copied().collect();
        OfHead { row_of: self.row_of, width: h, keys: of(head), queries: of(heads + head) }
    }

    /// Returns the numbers of the rows, followed by the rows.
    pub fn packed(&self) -> Vec<f32> {
        self.row_of.iter().map(|row| *row as f32).chain(self.rows.iter().copied()).collect()
    }
}

impl OfHead<'_> {
    /// Adds `scale` times the products to scores (queries × keys). q (queries × h) begins with query `first` of its sequence, and k
    /// (keys × h) with key `from`.
    pub(super) fn add(&self, scores: &mut [f32], [q, k]: [&[f32]; 2], [first, from]: [usize; 2], scale: f32) {
        let (queries, keys, length) = (q.len() / self.width, k.len() / self.width, self.row_of.len() / 2 + 1);
        // From the distance of the first key from the last query on.
        let row_of = &self.row_of[from + length - first - queries..][..queries + keys - 1];
        let [low, high] =
            row_of.iter().fold([u32::MAX, 0], |[low, high], &row| [low.min(row), high.max(row)]);
        let (low, count) = (low as usize, (high - low) as usize + 1);
        let of_queries = self.products(q, &self.keys, [low, count], scale);
        let of_keys = self.products(k, &self.queries, [low, count], scale);
        for (query, scores) in scores.chunks_exact_mut(keys).enumerate() {
            let of_query = &of_queries[query * count..][..count];
            let row_of = &row_of[queries - 1 - query..];
            for ((score, row), of_key) in scores.iter_mut().zip(row_of).zip(of_keys.chunks_exact(count)) {
                let row = *row as usize - low;
                *score += of_query[row] + of_key[row];
            }
        }
    }

    /// Returns `scale` times the products of x (n × h) with `count` of these rows from `low` on, n × count.
    fn products(&self, x: &[f32], rows: &[f32], [low, count]: [usize; 2], scale: f32) -> Vec<f32> {
        let (h, n) = (self.width, x.len() / self.width);
        let mut y = vec![0.0; n * count];
        let rows = MatRef::from_row_major_slice(&rows[low * h..][..count * h], count, h);
        let x = MatRef::from_row_major_slice(x, n, h);
        let products = MatMut::from_row_major_slice_mut(&mut y, n, count);
        matmul(products, Accum::Replace, x, rows.transpose(), scale, Par::Seq);
        y
    }
}
