//! Dead parameter directions of a linear reader W (m × d) of a norm's output y = Γx̂ + β (MATH §3).
//!
//! For u in the kernel of C, W ← W + a uᵀ adds the constant a·(uᵀβ) to the reader's output, for any a ∈ R^m. The functional u ↦ uᵀβ
//! vanishes on the whole kernel, or on all but one of its dimensions. This divides the m·k directions into three classes, where k is the
//! dimension of the kernel.

/// The properties of a reader that decide the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// m: output rows, over all experts of a packed tensor.
    pub rows: u64,
    /// Whether the reader has a bias, which can cancel the constant: b ← b − a·uᵀβ.
    pub has_bias: bool,
    /// Dimension of the row space (0 … m) in which no later layer can see a constant. These are all rows of keys under softmax without a
    /// position-dependent map, and 1 for logits (a ∝ 1).
    pub invisible_rows: u64,
}

/// Directions in each of the three classes. They sum to m·k.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Classes {
    /// The function does not change.
    pub outright: u64,
    /// The function does not change if the bias is moved.
    pub with_bias_shift: u64,
    /// A constant is added to the output.
    pub constant_shift: u64,
}

/// Sorts the dead directions of one reader. `kernel_dimension` is k. `shift_meets_kernel` says whether uᵀβ ≠ 0 for some u in the kernel.
pub fn classify(kernel_dimension: u64, shift_meets_kernel: bool, reader: Reader) -> Classes {
    let total = reader.rows * kernel_dimension;
    if kernel_dimension == 0 || !shift_meets_kernel {
        return Classes { outright: total, ..Classes::default() };
    }
    let constant = reader.rows - reader.invisible_rows.min(reader.rows);
    let outright = total - constant;
    if reader.has_bias {
        Classes { outright, with_bias_shift: constant, constant_shift: 0 }
    } else {
        Classes { outright, with_bias_shift: 0, constant_shift: constant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Reader = Reader { rows: 10, has_bias: false, invisible_rows: 0 };
    const BIASED: Reader = Reader { has_bias: true, ..PLAIN };

    #[test]
    fn without_a_kernel_nothing_is_dead() {
        assert_eq!(classify(0, true, PLAIN), Classes::default());
    }

    #[test]
    fn without_a_shift_every_direction_is_dead_outright() {
        assert_eq!(classify(1, false, PLAIN), Classes { outright: 10, ..Classes::default() });
    }

    #[test]
    fn a_bias_takes_the_constant_back() {
        assert_eq!(classify(1, true, BIASED), Classes { with_bias_shift: 10, ..Classes::default() });
    }

    #[test]
    fn without_a_bias_the_constant_stays() {
        assert_eq!(classify(1, true, PLAIN), Classes { constant_shift: 10, ..Classes::default() });
    }

    #[test]
    fn keys_without_positions_are_dead_outright_even_with_a_shift() {
        assert_eq!(
            classify(1, true, Reader { invisible_rows: 10, ..BIASED }),
            Classes { outright: 10, ..Classes::default() }
        );
    }

    #[test]
    fn the_shift_costs_one_dimension_of_the_kernel() {
        assert_eq!(
            classify(3, true, BIASED),
            Classes { outright: 20, with_bias_shift: 10, constant_shift: 0 }
        );
    }

    #[test]
    fn logits_may_all_move_together() {
        assert_eq!(
            classify(1, true, Reader { invisible_rows: 1, ..PLAIN }),
            Classes { outright: 1, with_bias_shift: 0, constant_shift: 9 }
        );
    }
}
