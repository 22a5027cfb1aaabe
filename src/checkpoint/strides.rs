//! Tensors that are views: their values do not lie in the order of their shape.

/// Elements from one index to the next, for each dimension of such a tensor, outermost first. The values of a transposed matrix of
/// shape (m, k) have strides (1, m).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strides(Box<[u64]>);

impl Strides {
    /// The strides of a tensor of `shape`, none of whose dimensions is 0. `None` if its values lie in order.
    pub fn of(shape: &[u64], strides: &[u64]) -> Option<Self> {
        let mut expected = 1;
        let mut in_order = true;
        for (&size, &stride) in shape.iter().zip(strides).rev() {
            // The stride of a dimension of size one is never used.
            in_order &= size == 1 || stride == expected;
            expected = size.saturating_mul(expected);
        }
        (!in_order).then(|| Self(strides.into()))
    }

    /// For each dimension, outermost first.
    pub fn steps(&self) -> &[u64] {
        &self.0
    }

    /// The elements of a tensor of `shape`, each of `size` bytes, in the order of the shape. `bytes` reach from its first element to
    /// its last.
    pub(super) fn in_order(&self, shape: &[u64], bytes: &[u8], size: usize) -> Vec<u8> {
        let (Some((&run, outer)), Some((&step, steps))) = (shape.split_last(), self.0.split_last()) else {
            return bytes.to_vec();
        };
        let elements = shape.iter().product::<u64>() as usize;
        let mut ordered = Vec::with_capacity(elements * size);
        let mut index = vec![0; outer.len()];
        while ordered.len() < elements * size {
            let first: u64 = index.iter().zip(steps).map(|(index, step)| index * step).sum();
            for at in 0..run {
                let from = (first + at * step) as usize * size;
                ordered.extend_from_slice(&bytes[from..from + size]);
            }
            for (index, size) in index.iter_mut().zip(outer).rev() {
                *index += 1;
                if *index < *size {
                    break;
                }
                *index = 0;
            }
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_order_have_no_strides() {
        assert_eq!(Strides::of(&[2, 3], &[3, 1]), None);
        assert_eq!(Strides::of(&[], &[]), None);
        // The stride of a dimension of size one may be anything.
        assert_eq!(Strides::of(&[1, 3, 1], &[7, 1, 9]), None);
        assert_eq!(Strides::of(&[2, 3], &[1, 2]).unwrap().steps(), [1, 2]);
        assert!(Strides::of(&[4], &[0]).is_some());
    }

    #[test]
    fn views_are_read_in_the_order_of_their_shapes() {
        let bytes: Vec<u8> = (0..24).collect();
        let ordered = |shape: &[u64], strides: &[u64], size| {
            Strides::of(shape, strides).unwrap().in_order(shape, &bytes, size)
        };
        assert_eq!(ordered(&[3, 2], &[1, 3], 1), [0, 3, 1, 4, 2, 5]);
        assert_eq!(ordered(&[2, 2], &[1, 2], 2), [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(ordered(&[3], &[5], 1), [0, 5, 10]);
        assert_eq!(ordered(&[2, 3], &[0, 1], 1), [0, 1, 2, 0, 1, 2]);
        assert_eq!(ordered(&[2, 2, 2], &[1, 8, 4], 1), [0, 4, 8, 12, 1, 5, 9, 13]);
    }
}
