//! The input of a pass, and the number of tokens that a model makes from it.

use super::ForwardError;
use crate::model::Architecture;
use crate::model::architecture::{Embedding, PatchEmbedding, Projector, SoundEmbedding, SoundPositions};
use crate::model::operation::Reads;
use std::ops::Range;

/// The input of a pass: sequences of equal length, one after the other, without padding. Images and sounds have variants of their own,
/// whose embeddings turn them into vectors.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Token ids, which the token embedding looks up.
    TokenIds {
        /// Ids of all sequences.
        ids: &'a [u32],
        /// Length t of each sequence.
        length: usize,
    },
    /// Images or videos, each a sequence. The embedding turns their patches into vectors.
    Pixels(Pixels<'a>),
    /// Features of sounds, each a sequence. The embedding runs convolutions over them.
    Features(Features<'a>),
}

/// The input of a whole model: that of its last stack, and that of its encoder if it has one. A decoder has one or more sequences for
/// each sequence of the encoder, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Input of the encoder.
    pub encoder: Option<Input<'a>>,
    /// Input of the decoder, or of a model without an encoder.
    pub own: Input<'a>,
}

impl<'a> From<Input<'a>> for Inputs<'a> {
    fn from(own: Input<'a>) -> Self {
        Self { encoder: None, own }
    }
}

/// Features of sounds of one length, as a model's feature extractor gives them.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a> {
    /// count × channels × frames values.
    pub values: &'a [f32],
    /// Number of sounds.
    pub count: usize,
    /// Channels of each frame: bins of the mel scale, or 1 for a waveform, whose frames are its samples.
    pub channels: usize,
    /// Frames of each sound.
    pub frames: usize,
}

/// Images or videos of one size, as a model's processor gives them: normalised.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    /// count × frames × channels × rows × columns values. An image has one frame.
    pub values: &'a [f32],
    /// Number of images or videos.
    pub count: usize,
    /// Channels of each frame.
    pub channels: usize,
    /// Frames, rows and columns.
    pub size: [usize; 3],
}

/// The sequences of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequences {
    /// n, the tokens of all sequences.
    pub(super) tokens: usize,
    /// t, the tokens of each sequence.
    pub(super) length: usize,
    /// Frames, rows and columns of the patches of each sequence. For token ids, only the length.
    pub(super) grid: [usize; 3],
}

impl Sequences {
    /// Number of sequences.
    pub(super) fn count(&self) -> usize {
        self.tokens / self.length.max(1)
    }
}

impl<'a> Input<'a> {
    /// Makes an input of token ids. An error if they do not fill whole sequences.
    pub fn token_ids(ids: &'a [u32], length: usize) -> Result<Self, ForwardError> {
        if length == 0 || ids.is_empty() || !ids.len().is_multiple_of(length) {
            return Err(ForwardError::Uneven { tokens: ids.len(), length });
        }
        Ok(Self::TokenIds { ids, length })
    }

    /// Makes an input of images or videos. An error if there are none, or if `values` does not have this shape: count, frames, channels,
    /// rows, columns.
    pub fn pixels(values: &'a [f32], shape: [usize; 5]) -> Result<Self, ForwardError> {
        let [count, frames, channels, rows, columns] = shape;
        if shape.contains(&0) {
            return Err(ForwardError::NoPixels { shape });
        }
        let expected = shape.iter().try_fold(1usize, |all, side| all.checked_mul(*side));
        if expected != Some(values.len()) {
            return Err(ForwardError::PixelCount { shape, found: values.len() });
        }
        Ok(Self::Pixels(Pixels { values, count, channels, size: [frames, rows, columns] }))
    }

    /// Makes an input of features of sounds. An error if there are none, or if `values` does not have this shape: count, channels,
    /// frames.
    pub fn features(values: &'a [f32], shape: [usize; 3]) -> Result<Self, ForwardError> {
        let [count, channels, frames] = shape;
        let expected = shape.iter().try_fold(1usize, |all, side| all.checked_mul(*side));
        if shape.contains(&0) || expected != Some(values.len()) {
            return Err(ForwardError::FeatureCount { shape, found: values.len() });
        }
        Ok(Self::Features(Features { values, count, channels, frames }))
    }

    /// Returns the ids that a language model predicts. `None` if the input is no text.
    pub fn ids(&self) -> Option<&'a [u32]> {
        match self {
            Self::TokenIds { ids, .. } => Some(ids),
            Self::Pixels(_) | Self::Features(_) => None,
        }
    }

    /// Returns these sequences of it, which it has.
    pub(super) fn some(&self, sequences: Range<usize>) -> Self {
        let slice = |values: &'a [f32], count: usize| {
            let of_each = values.len() / count.max(1);
            &values[sequences.start * of_each..sequences.end * of_each]
        };
        let some = sequences.len();
        match *self {
            Self::TokenIds { ids, length } => {
                Self::TokenIds { ids: &ids[sequences.start * length..sequences.end * length], length }
            }
            Self::Pixels(pixels) => {
                Self::Pixels(Pixels { values: slice(pixels.values, pixels.count), count: some, ..pixels })
            }
            Self::Features(features) => Self::Features(Features {
                values: slice(features.values, features.count),
                count: some,
                ..features
            }),
        }
    }

    /// Returns the kind of input.
    pub fn reads(&self) -> Reads {
        match self {
            Self::TokenIds { .. } => Reads::Tokens,
            Self::Pixels(_) => Reads::Pixels,
            Self::Features(_) => Reads::Sounds,
        }
    }

    /// That each sequence of token ids has an image token for each vector of an image.
    pub(super) fn has_places_for(&self, projector: &Projector) -> Result<(), ForwardError> {
        let Self::TokenIds { ids, length } = *self else { return Ok(()) };
        let (token, expected) = (projector.token, projector.features());
        for (sequence, ids) in ids.chunks(length.max(1)).enumerate() {
            let found = ids.iter().filter(|id| **id == token).count();
            if found != expected {
                return Err(ForwardError::ImageTokens { sequence, found, expected, token });
            }
        }
        Ok(())
    }

    /// Returns the sequences that a model makes from the input. An error if the model cannot take them.
    pub(super) fn sequences(&self, architecture: &Architecture) -> Result<Sequences, ForwardError> {
        match (self, &architecture.embedding) {
            (Self::TokenIds { ids, length }, Embedding::Tokens(_)) => {
                let (vocabulary, length) = (architecture.vocabulary, *length);
                if let Some((at, &id)) = ids.iter().enumerate().find(|(_, id)| **id as usize >= vocabulary) {
                    return Err(ForwardError::Id { at, id, vocabulary });
                }
                if let Some(longest) = architecture.longest.filter(|longest| length > *longest) {
                    return Err(ForwardError::TooLong { length, longest });
                }
                Ok(Sequences { tokens: ids.len(), length, grid: [1, 1, length] })
            }
            (Self::Pixels(pixels), Embedding::Patches(embedding)) => {
                pixels.check(embedding, architecture.fits_size())?;
                let length = embedding.tokens(pixels.size);
                let tokens = product(pixels.count, length)?;
                Ok(Sequences { tokens, length, grid: embedding.grid(pixels.size) })
            }
            (Self::Features(features), Embedding::Sounds(embedding)) => {
                features.check(embedding)?;
                let length = embedding.tokens(features.frames);
                Ok(Sequences { tokens: product(features.count, length)?, length, grid: [1, 1, length] })
            }
            (_, embedding) => Err(ForwardError::Reads { reads: embedding.reads(), given: self.reads() }),
        }
    }
}

/// Returns count × length, the number of tokens.
fn product(count: usize, length: usize) -> Result<usize, ForwardError> {
    let tokens = count.checked_mul(length).filter(|tokens| u32::try_from(*tokens).is_ok());
    tokens.ok_or(ForwardError::TooMany { count, length })
}

impl Features<'_> {
    /// Checks that the model can make tokens from the features.
    fn check(&self, embedding: &SoundEmbedding) -> Result<(), ForwardError> {
        let Features { channels, frames, .. } = *self;
        match embedding.positions {
            SoundPositions::Table { frames: expected, .. } => {
                let (found, expected) = ([channels, frames], [embedding.channels, expected]);
                if found == expected { Ok(()) } else { Err(ForwardError::Features { found, expected }) }
            }
            SoundPositions::Convolution(_) if channels != embedding.channels => {
                Err(ForwardError::SoundChannels { found: channels, expected: embedding.channels })
            }
            SoundPositions::Convolution(_) if embedding.tokens(frames) == 0 => {
                Err(ForwardError::ShortSound { found: frames, least: embedding.frames(1) })
            }
            SoundPositions::Convolution(_) => Ok(()),
        }
    }
}

impl Pixels<'_> {
    /// Checks that the model has a patch and a position for each part of the images.
    fn check(&self, embedding: &PatchEmbedding, any_size: bool) -> Result<(), ForwardError> {
        let (channels, found, trained) = (embedding.channels, self.size, embedding.trained);
        if self.channels != channels {
            return Err(ForwardError::Channels { found: self.channels, expected: channels });
        }
        // The size that the model was trained on is always right, even if its convolution leaves out the last rows.
        if found == trained {
            return Ok(());
        }
        if found[0] != trained[0] || !any_size {
            return Err(ForwardError::Size { found, expected: trained });
        }
        let patch = embedding.patch;
        match (1..3).all(|side| found[side].is_multiple_of(patch[side])) {
            true => Ok(()),
            false => Err(ForwardError::Patches { found, patch, trained }),
        }
    }
}
