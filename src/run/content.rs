//! The input of a run: token ids, pixels, features of sounds, or one of them for an encoder with token ids for its decoder.

use crate::forward::{ForwardError, Input, Inputs};
use crate::pixels::PixelValues;
use crate::report::StackName;
use crate::sounds::SoundFeatures;
use crate::text::ids::TokenIds;

/// The input of a run.
#[derive(Debug, Clone)]
pub enum Content {
    /// Token ids.
    Tokens(TokenIds),
    /// Images or videos.
    Pixels(PixelValues),
    /// Features of sounds.
    Sounds(SoundFeatures),
    /// The input of an encoder, and the token ids of its decoder: one or more sequences for each input of the encoder.
    Both(Box<Content>, TokenIds),
}

impl Content {
    /// Describes the input for the report. `stacks` are the names of two stacks.
    pub(super) fn what(&self, stacks: [StackName; 2]) -> String {
        match self {
            Self::Tokens(tokens) => tokens.what.clone(),
            Self::Pixels(pixels) => pixels.what.clone(),
            Self::Sounds(sounds) => sounds.what.clone(),
            Self::Both(encoder, decoder) => {
                let [first, last] = stacks.map(StackName::text);
                format!("{} for the {first} and {} for the {last}", encoder.what(stacks), decoder.what)
            }
        }
    }

    /// Returns the encoder's input, if the model has an encoder.
    pub(super) fn of_encoder(&self) -> Option<&Self> {
        match self {
            Self::Both(encoder, _) => Some(encoder),
            Self::Tokens(_) | Self::Pixels(_) | Self::Sounds(_) => None,
        }
    }

    /// Number of images or sounds, whose length in tokens the model decides. 1 for token ids.
    pub(super) fn sequences(&self) -> usize {
        match self {
            Self::Pixels(pixels) => pixels.shape[0],
            Self::Sounds(sounds) => sounds.shape[0],
            Self::Tokens(_) | Self::Both(..) => 1,
        }
    }

    /// Number of tokens n if a sequence has `length` of them. Of two stacks, that of the decoder.
    pub(super) fn tokens(&self, length: usize) -> usize {
        match self {
            Self::Tokens(tokens) | Self::Both(_, tokens) => tokens.ids.len(),
            Self::Pixels(pixels) => pixels.shape[0].saturating_mul(length),
            Self::Sounds(sounds) => sounds.shape[0].saturating_mul(length),
        }
    }

    /// Makes the input of a pass, with sequences of `length` token ids, and with at most `most` sequences if given.
    pub(super) fn input(&self, length: usize, most: Option<usize>) -> Result<Inputs<'_>, ForwardError> {
        Ok(Inputs {
            encoder: self.of_encoder().map(|encoder| encoder.own(length, most)).transpose()?,
            own: self.own(length, most)?,
        })
    }

    /// Makes the input of the last stack.
    fn own(&self, length: usize, most: Option<usize>) -> Result<Input<'_>, ForwardError> {
        match self {
            Self::Tokens(TokenIds { ids, .. }) | Self::Both(_, TokenIds { ids, .. }) => {
                let some = most.map_or(ids.len(), |most| ids.len().min(most.saturating_mul(length)));
                Input::token_ids(&ids[..some], length)
            }
            Self::Pixels(PixelValues { values, shape, .. }) => {
                let [count, of_each @ ..] = *shape;
                let some = most.map_or(count, |most| count.min(most));
                let [frames, channels, rows, columns] = of_each;
                let values = &values[..values.len() / count.max(1) * some];
                Input::pixels(values, [some, frames, channels, rows, columns])
            }
            Self::Sounds(SoundFeatures { values, shape: [count, channels, frames], .. }) => {
                let some = most.map_or(*count, |most| most.min(*count));
                let values = &values[..values.len() / (*count).max(1) * some];
                Input::features(values, [some, *channels, *frames])
            }
        }
    }

    /// Whether a model can be better or worse at predicting it.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Tokens(tokens) | Self::Both(_, tokens) if tokens.is_text)
    }

    /// Returns token ids of the same text that are only for the loss.
    pub(super) fn further(&self) -> &[u32] {
        match self {
            Self::Tokens(tokens) | Self::Both(_, tokens) => &tokens.further,
            Self::Pixels(_) | Self::Sounds(_) => &[],
        }
    }

    /// Returns the same input without a loss.
    pub(super) fn without_text(&self) -> Self {
        match self {
            Self::Tokens(tokens) => Self::Tokens(TokenIds { is_text: false, ..tokens.clone() }),
            Self::Both(encoder, tokens) => {
                Self::Both(encoder.clone(), TokenIds { is_text: false, ..tokens.clone() })
            }
            Self::Pixels(_) | Self::Sounds(_) => self.clone(),
        }
    }
}
