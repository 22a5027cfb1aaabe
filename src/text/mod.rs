//! Text as the input of a forward pass: token ids from the checkpoint's own tokenizer, in whole sequences.
//!
//! [`Tokenizer`] is the `tokenizer.json` beside the weights, or one that `vocabulary` and `splits` make from what a GGUF file says. [`input`] makes token ids from the user's choice. [`caught`] turns panics of
//! the tokenizer into errors.

pub mod caught;
pub mod ids;
pub mod input;
mod splits;
mod tokenizer;
mod vocabulary;

use crate::source::SourceError;

pub use input::Choice;
pub use tokenizer::Tokenizer;

/// The default text: the GNU General Public License, version 3, as in Debian's `/usr/share/common-licenses/GPL-3`, which may be copied
/// verbatim. The reference measurements use it too.
pub const SAMPLE: &str = include_str!("sample.txt");

/// Why a text, or a list of token ids, cannot be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TextError {
    /// The tokenizer could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file beside the weights is not a tokenizer.
    #[error(
        "`{file}` is not a usable tokenizer: {reason}; save it again with save_pretrained, or give token ids instead of text"
    )]
    NotATokenizer {
        /// The file.
        file: String,
        /// Why it could not be read.
        reason: String,
    },
    /// The vocabulary in a GGUF file does not make a tokenizer.
    #[error(
        "the tokenizer in `{file}` is not usable: {reason}; put the model's tokenizer.json beside the file, or give token ids instead of text"
    )]
    Vocabulary {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// There is text, but no tokenizer.
    #[error(
        "there is no tokenizer.json beside the weights to make token ids of {name}: add it, or give token ids instead of text"
    )]
    NoTokenizer {
        /// The text, as messages show it.
        name: String,
    },
    /// The tokenizer failed.
    #[error(
        "`{file}` could not tokenize the text: {reason}; make the token ids with your own code and give those"
    )]
    Refused {
        /// The tokenizer.
        file: String,
        /// Its own message.
        reason: String,
    },
    /// The input is empty.
    #[error("{name} is empty: give a text of at least one sequence")]
    Empty {
        /// The text or list, as messages show it.
        name: String,
    },
    /// The text has another encoding, or is no text.
    #[error("{name} is not text in UTF-8 (byte {at} is invalid): save it as UTF-8")]
    NotUtf8 {
        /// The text or list, as messages show it.
        name: String,
        /// The first invalid byte, from 0.
        at: usize,
    },
    /// A word in a list of ids is not an id.
    #[error(
        "{name}: {word:?}, word {at}, is not a token id; give whole numbers separated by spaces, commas or line ends"
    )]
    NoId {
        /// The list, as messages show it.
        name: String,
        /// The word.
        word: String,
        /// Its number, from 1.
        at: usize,
    },
    /// The input has less than one sequence.
    #[error(
        "{name} has {tokens} token ids, and one sequence takes {length}: give more, or ask for shorter sequences"
    )]
    TooShort {
        /// The text or list, as messages show it.
        name: String,
        /// Number of its tokens.
        tokens: usize,
        /// Tokens of a sequence.
        length: usize,
    },
    /// There are too few tokens for the measurement.
    #[error("{name} has {tokens} tokens in whole sequences and {least} are needed")]
    TooFew {
        /// The text, as messages show it.
        name: String,
        /// Tokens in its whole sequences.
        tokens: usize,
        /// The fewest tokens that are enough.
        least: usize,
    },
    /// The run would have no tokens.
    #[error("{tokens} tokens in sequences of {length} are none: ask for at least one of each")]
    Nothing {
        /// Number of tokens.
        tokens: usize,
        /// Tokens of a sequence.
        length: usize,
    },
    /// The model has no row for an id.
    #[error(
        "{name}: token {at} is {id}, and the model has embeddings for {vocabulary}: {maker} is of another model"
    )]
    Beyond {
        /// The text or list, as messages show it.
        name: String,
        /// Index of the token, from 0.
        at: usize,
        /// Its id.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
        /// The tokenizer that made it.
        maker: String,
    },
}
