//! Token ids for a run without text.

/// How many tokens to run, and of which length and vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// n, rounded up to whole sequences.
    pub tokens: usize,
    /// Further tokens of text that the loss may use, if there are enough.
    pub further: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Rows of the embedding. Each id must be below this.
    pub vocabulary: usize,
}

/// Whole sequences of token ids, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIds {
    /// Ids of all sequences, each below the vocabulary.
    pub ids: Vec<u32>,
    /// Further whole sequences of the same text, for the loss only.
    pub further: Vec<u32>,
    /// Description for the report.
    pub what: String,
    /// Whether a model can be better or worse at predicting them.
    pub is_text: bool,
}

/// Returns `count` ids below `vocabulary`: the upper 31 bits of a 64-bit linear congruential generator (Knuth's MMIX), starting at 42.
/// They are the same on every machine and in `scripts/fixtures/transformers_models.py`.
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
        // Computed in Python with whole numbers, modulo 2**64.
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
