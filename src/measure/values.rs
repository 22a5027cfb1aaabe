//! The values of activations, and the type that they were rounded to before storage. Values computed in bfloat16 are often stored as
//! float32. They have the rounding of bfloat16, and a kernel cannot go below that floor.

use half::{bf16, f16};

/// Fewer nonzero values than this may fit a coarse type by chance.
const ENOUGH: usize = 256;

/// Whether a type holds a number exactly.
type Holds = fn(f64) -> bool;

/// Values as stored, no wider than necessary.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// From F32, F16 or BF16, exactly.
    F32(Vec<f32>),
    /// From F64.
    F64(Vec<f64>),
}

impl Values {
    /// Returns one value.
    pub fn get(&self, at: usize) -> f64 {
        match self {
            Self::F32(values) => values[at].into(),
            Self::F64(values) => values[at],
        }
    }

    /// Returns all values, if they are f32.
    pub fn f32s(&self) -> Option<&[f32]> {
        match self {
            Self::F32(values) => Some(values),
            Self::F64(_) => None,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Bytes of the values.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * if matches!(self, Self::F32(_)) { 4 } else { 8 }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the name and unit roundoff of the coarsest type that holds all values exactly, if it is coarser than `stored`.
    pub fn rounded_to(&self, stored: f64) -> Option<(&'static str, f64)> {
        let filled = (0..self.len()).filter(|&at| self.get(at) != 0.0).count();
        if filled < ENOUGH {
            return None;
        }
        let all = |holds: Holds| (0..self.len()).all(|at| holds(self.get(at)));
        let types: [(&str, f64, Holds); 3] = [
            ("bfloat16", 2f64.powi(-9), |value| bf16::from_f64(value).to_f64() == value),
            ("float16", 2f64.powi(-11), |value| f16::from_f64(value).to_f64() == value),
            ("float32", f64::from(f32::EPSILON) / 2.0, |value| f64::from(value as f32) == value),
        ];
        types
            .into_iter()
            .find(|&(_, roundoff, holds)| roundoff > stored && all(holds))
            .map(|(name, roundoff, _)| (name, roundoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(rows: usize) -> Vec<f64> {
        (0..4 * rows).map(|at| ((at * 7919 % 10_007) as f64).sin()).collect()
    }

    #[test]
    fn values_show_the_type_that_they_were_rounded_to() {
        let exact = outputs(200);
        let f32s = |round: fn(f64) -> f32| Values::F32(exact.iter().map(|&value| round(value)).collect());
        let (single, double) = (f64::from(f32::EPSILON) / 2.0, f64::EPSILON / 2.0);
        let name = |values: &Values, stored| values.rounded_to(stored).map(|(name, _)| name);
        assert_eq!(name(&f32s(|value| bf16::from_f64(value).to_f32()), single), Some("bfloat16"));
        assert_eq!(name(&f32s(|value| f16::from_f64(value).to_f32()), single), Some("float16"));
        assert_eq!(name(&f32s(|value| value as f32), single), None);
        let widened = Values::F64(exact.iter().map(|&value| f64::from(value as f32)).collect());
        assert_eq!(name(&widened, double), Some("float32"));
        assert_eq!(name(&Values::F64(exact.clone()), double), None);
        assert_eq!(name(&Values::F32(vec![0.5; 100]), single), None);
    }
}
