//! Rows in a file of activations that are not separate outputs of the norm.
//!
//! Captures of batches are padded with rows of zeros, or with repeats of the same token. A constant row is no output of a norm with a
//! scale or shift, and would add variance along every direction. A repeated row adds no information and makes the number of tokens wrong.

use super::activations::{Activations, Values};
use std::collections::HashMap;

/// The rows of a capture that are measured, and how many are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    rows: Vec<usize>,
    constant: usize,
    repeated: usize,
}

impl Kept {
    /// Keeps the outputs that are not constant, and only the first of equal rows.
    pub(super) fn of(outputs: &Activations) -> Self {
        let mut kept = Self { rows: Vec::new(), constant: 0, repeated: 0 };
        let mut of_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        for row in 0..outputs.tokens {
            if outputs.width > 1 && is_constant(outputs, row) {
                kept.constant += 1;
                continue;
            }
            let same = of_hash.entry(hash(outputs, row)).or_default();
            if same.iter().any(|&other| is_same(outputs, row, other)) {
                kept.repeated += 1;
                continue;
            }
            same.push(row);
            kept.rows.push(row);
        }
        kept
    }

    /// Whether every row is kept.
    pub(super) fn is_all(&self) -> bool {
        self.constant + self.repeated == 0
    }

    /// Describes the rows that were left out, as a clause. `None` if there are none.
    pub(super) fn left_out(&self) -> Option<String> {
        let rows = |count: usize| if count == 1 { "row" } else { "rows" };
        let constant = (self.constant > 0)
            .then(|| format!("{} constant {}, as padding leaves", self.constant, rows(self.constant)));
        let repeated = (self.repeated > 0).then(|| {
            let repeat = if self.repeated == 1 { "repeats" } else { "repeat" };
            format!("{} {} that {repeat} an earlier one", self.repeated, rows(self.repeated))
        });
        let parts: Vec<String> = constant.into_iter().chain(repeated).collect();
        (!parts.is_empty()).then(|| format!("left out: {}", parts.join(", and ")))
    }

    /// Keeps the same rows of other activations, which have as many rows as the outputs.
    pub(super) fn apply(&self, activations: Activations) -> Activations {
        if self.is_all() {
            return activations;
        }
        let width = activations.width;
        let places = || self.rows.iter().flat_map(|row| row * width..(row + 1) * width);
        let values = match &activations.values {
            Values::F32(values) => Values::F32(places().map(|at| values[at]).collect()),
            Values::F64(values) => Values::F64(places().map(|at| values[at]).collect()),
        };
        Activations { tokens: self.rows.len(), values, ..activations }
    }
}

fn row(activations: &Activations, row: usize) -> impl Iterator<Item = f64> {
    (row * activations.width..(row + 1) * activations.width).map(|at| activations.values.get(at))
}

/// Whether all values of a row are the same number.
fn is_constant(activations: &Activations, at: usize) -> bool {
    let first = activations.values.get(at * activations.width);
    first.is_finite() && row(activations, at).all(|value| value == first)
}

fn is_same(activations: &Activations, a: usize, b: usize) -> bool {
    row(activations, a).zip(row(activations, b)).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// FNV-1a over the bits of the values.
fn hash(activations: &Activations, at: usize) -> u64 {
    row(activations, at).fold(0xcbf2_9ce4_8422_2325, |hash, value| {
        (hash ^ value.to_bits()).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes rows of width 4 that differ.
    fn outputs(rows: usize) -> Vec<f64> {
        (0..4 * rows).map(|at| ((at * 7919 % 10_007) as f64).sin()).collect()
    }

    #[test]
    fn padding_and_repeats_are_left_out_of_both_tensors() {
        let mut values = outputs(3);
        values.extend([0.0; 8]);
        values.extend([0.25; 4]);
        values.extend(outputs(1));
        let y = Activations::of("y", 4, values);
        let kept = Kept::of(&y);
        assert_eq!(
            kept.left_out().as_deref(),
            Some("left out: 3 constant rows, as padding leaves, and 1 row that repeats an earlier one")
        );
        let before = Activations::of("x", 4, (0..28).map(f64::from).collect());
        assert_eq!(kept.apply(before).values, Values::F64((0..12).map(f64::from).collect()));
        assert_eq!(kept.apply(y).tokens, 3);
    }

    #[test]
    fn whole_captures_stay_as_they_are() {
        let y = Activations::of("y", 4, outputs(50));
        let kept = Kept::of(&y);
        assert!(kept.is_all() && kept.left_out().is_none());
        assert_eq!(kept.apply(y.clone()), y);
        let bad = Activations::of("y", 2, vec![f64::NAN, f64::NAN, 1.0, 2.0]);
        assert!(Kept::of(&bad).is_all());
    }
}
