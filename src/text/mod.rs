//! Text as input of a forward pass: token ids of the checkpoint's own tokenizer, in whole sequences.
//!
//! [`Tokenizer`] is the `tokenizer.json` beside the weights, [`input`] goes from what was asked for to token ids. [`caught`] turns
//! panics of the tokenizer into errors.

pub mod caught;
pub mod ids;
pub mod input;
mod tokenizer;

use crate::source::SourceError;

pub use input::Choice;
pub use tokenizer::Tokenizer;

/// A text to run a model on where nobody gives one: the GNU General Public License, version 3, as Debian has it in
/// `/usr/share/common-licenses/GPL-3`, which may be copied verbatim. It is the text of the reference measurements.
pub const SAMPLE: &str = include_str!("sample.txt");

/// Why a text, or a list of token ids, cannot be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TextError {
    /// The tokenizer could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file beside the weights is no tokenizer.
    #[error(
        "`{file}` is not a usable tokenizer: {reason}; save it again with save_pretrained, or give token ids instead of text"
    )]
    NotATokenizer {
        /// The file.
        file: String,
        /// What reading it ended with.
        reason: String,
    },
    /// Text, and nothing that makes ids of it.
    #[error(
        "there is no tokenizer.json beside the weights to make token ids of {name}: add it, or give token ids instead of text"
    )]
    NoTokenizer {
        /// The text, as messages show it.
        name: String,
    },
    /// The tokenizer gave up.
    #[error(
        "`{file}` could not tokenize the text: {reason}; make the token ids with your own code and give those"
    )]
    Refused {
        /// The tokenizer.
        file: String,
        /// Its own words.
        reason: String,
    },
    /// Nothing to run on.
    #[error("{name} is empty: give a text of at least one sequence")]
    Empty {
        /// The text or list, as messages show it.
        name: String,
    },
    /// Text in another encoding, or no text.
    #[error("{name} is not text in UTF-8 (byte {at} cannot be): save it as UTF-8")]
    NotUtf8 {
        /// The text or list, as messages show it.
        name: String,
        /// The first byte that cannot be, from 0.
        at: usize,
    },
    /// Something else in a list of ids.
    #[error(
        "{name}: {word:?}, word {at}, is not a token id; give whole numbers separated by spaces, commas or line ends"
    )]
    NoId {
        /// The list, as messages show it.
        name: String,
        /// What is there.
        word: String,
        /// Which of its words, from 1.
        at: usize,
    },
    /// Less than one sequence.
    #[error(
        "{name} has {tokens} token ids, and one sequence takes {length}: give more, or ask for shorter sequences"
    )]
    TooShort {
        /// The text or list, as messages show it.
        name: String,
        /// What it has.
        tokens: usize,
        /// Of a sequence.
        length: usize,
    },
    /// Too few tokens for the measurement.
    #[error("{name} has {tokens} tokens in whole sequences and {least} are needed")]
    TooFew {
        /// The text, as messages show it.
        name: String,
        /// Of its whole sequences.
        tokens: usize,
        /// The fewest that will do.
        least: usize,
    },
    /// Nothing asked for.
    #[error("{tokens} tokens in sequences of {length} are none: ask for at least one of each")]
    Nothing {
        /// Tokens.
        tokens: usize,
        /// Of a sequence.
        length: usize,
    },
    /// An id that the model has no row for.
    #[error(
        "{name}: token {at} is {id}, and the model has embeddings for {vocabulary}: {maker} is of another model"
    )]
    Beyond {
        /// The text or list, as messages show it.
        name: String,
        /// Which token, from 0.
        at: usize,
        /// Its id.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
        /// The tokenizer that made it.
        maker: String,
    },
}
