//! Token ids to run a model on, where there is no text.

/// How much to run, and on what model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// n, rounded up to whole sequences.
    pub tokens: usize,
    /// Tokens of text after those, for the loss, where there are so many.
    pub further: usize,
    /// Of a sequence.
    pub length: usize,
    /// Rows of the embedding: each id is below.
    pub vocabulary: usize,
}

/// Whole sequences of token ids, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIds {
    /// Ids of all of them, each below the vocabulary.
    pub ids: Vec<u32>,
    /// Whole sequences of the same text after those, for the loss only.
    pub further: Vec<u32>,
    /// What they are, for the report.
    pub what: String,
    /// Whether a model can be better or worse at predicting them.
    pub is_text: bool,
}

/// `count` ids below `vocabulary`, the same on every machine and in `scripts/fixtures/transformers_models.py`: the upper 31 bits
/// of a 64-bit linear congruential generator (Knuth's MMIX), from 42.
pub fn uniform(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut state: u64 = 42;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary.max(1) as u64) as u32
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_are_those_of_the_reference() {
        // Python: ids of the recurrence with whole numbers, modulo 2**64.
        assert_eq!(uniform(3, 1000), expected());
        assert!(uniform(2000, 7).iter().all(|id| *id < 7));
    }

    fn expected() -> [u32; 3] {
        let mut state: u128 = 42;
        [0; 3].map(|_| {
            state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % (1 << 64);
            ((state >> 33) % 1000) as u32
        })
    }
}
