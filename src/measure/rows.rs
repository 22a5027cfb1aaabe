//! The tokens of one measurement, one by one and without copies: as captured, or with the scale removed.

use super::activations::{Activations, Values};
use std::ops::Range;

/// A channel of the activations, and how to undo its scale and shift: (y − shift)/scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    /// Its index.
    pub at: usize,
    /// Its β.
    pub shift: f64,
    /// Its γ, not zero.
    pub scale: f64,
}

/// The tokens × channels of a measurement.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    values: &'a Values,
    /// Stored values per token.
    stride: usize,
    tokens: Range<usize>,
    /// `None` means every channel as it is.
    channels: Option<Vec<Channel>>,
}

impl<'a> Rows<'a> {
    /// Reads every channel as captured.
    pub fn new(activations: &'a Activations) -> Self {
        let (values, stride) = (&activations.values, activations.width);
        Self { values, stride, tokens: 0..activations.tokens, channels: None }
    }

    /// Reads some channels, without their scale and shift.
    pub fn unscaled(activations: &'a Activations, channels: Vec<Channel>) -> Self {
        Self { channels: Some(channels), ..Self::new(activations) }
    }

    /// Returns the first and the second half of the tokens.
    pub fn halves(&self) -> [Self; 2] {
        let Range { start, end } = self.tokens;
        let middle = start + (end - start) / 2;
        [start..middle, middle..end].map(|tokens| Self { tokens, ..self.clone() })
    }

    /// n.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// d.
    pub fn width(&self) -> usize {
        self.channels.as_ref().map_or(self.stride, Vec::len)
    }

    /// Calls `each` with every token.
    pub fn for_each(&self, mut each: impl FnMut(&[f64])) {
        let mut row = vec![0.0; self.width()];
        for token in self.tokens.clone() {
            let stored = token * self.stride;
            match &self.channels {
                None => (0..self.stride).for_each(|at| row[at] = self.values.get(stored + at)),
                Some(channels) => row.iter_mut().zip(channels).for_each(|(value, channel)| {
                    *value = (self.values.get(stored + channel.at) - channel.shift) / channel.scale;
                }),
            }
            each(&row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_all_tokens_and_a_channel_loses_its_scale() {
        let y = Activations::of("y", 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = Rows::unscaled(&y, vec![Channel { at: 1, shift: 1.0, scale: 2.0 }]);
        let read = |rows: &Rows<'_>| {
            let mut all = Vec::new();
            rows.for_each(|row| all.extend_from_slice(row));
            all
        };
        assert_eq!((rows.tokens(), rows.width()), (3, 1));
        assert_eq!(read(&rows), [0.5, 1.5, 2.5]);
        let [first, second] = rows.halves();
        assert_eq!((read(&first), read(&second)), (vec![0.5], vec![1.5, 2.5]));
        assert_eq!(read(&Rows::new(&y)), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
