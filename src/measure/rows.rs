//! The tokens of one measurement, one by one and never copied: as they were captured, or with the scale taken off.

use super::activations::{Activations, Values};
use std::ops::Range;

/// A channel of the activations, and how to read it: (y − shift)/scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    /// Its index.
    pub at: usize,
    /// β of it.
    pub shift: f64,
    /// γ of it, not zero.
    pub scale: f64,
}

/// Tokens × channels.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    values: &'a Values,
    /// Values a token has in store.
    stride: usize,
    tokens: Range<usize>,
    /// `None`: every channel as it is.
    channels: Option<Vec<Channel>>,
}

impl<'a> Rows<'a> {
    /// Every channel as it was captured.
    pub fn new(activations: &'a Activations) -> Self {
        let (values, stride) = (&activations.values, activations.width);
        Self { values, stride, tokens: 0..activations.tokens, channels: None }
    }

    /// Some channels, with their scale and shift taken off.
    pub fn unscaled(activations: &'a Activations, channels: Vec<Channel>) -> Self {
        Self { channels: Some(channels), ..Self::new(activations) }
    }

    /// The first half of the tokens, and the second.
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
