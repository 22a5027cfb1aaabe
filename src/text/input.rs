//! Makes token ids from the user's choice, in whole sequences.

use super::ids::{TokenIds, Wanted, uniform};
use super::{SAMPLE, TextError, Tokenizer};
use crate::inspect::Opened;
use crate::report::{Warning, WarningCode};
use crate::source::ByteSource;

/// Bytes of text read first for each wanted token. Most tokenizers need four for English.
const BYTES_A_TOKEN: usize = 8;

/// Tokens at the end of a cut text that may differ from those of the whole text, and are not used.
const MARGIN: usize = 64;

/// Most bytes of a word that a message shows.
const SHOWN: usize = 40;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Uniform token ids, the same on every machine.
    Uniform,
    /// Token ids of a text, as whole numbers with spaces, commas or line ends between them.
    Ids {
        /// Name of the file.
        name: String,
        /// Content of the file.
        bytes: Vec<u8>,
    },
    /// Text in UTF-8.
    Text {
        /// Name of the file.
        name: String,
        /// Content of the file.
        bytes: Vec<u8>,
    },
    /// The text [`SAMPLE`].
    Sample,
}

/// Returns n in whole sequences.
fn most(wanted: Wanted) -> Result<usize, TextError> {
    let Wanted { tokens, length, .. } = wanted;
    if tokens == 0 || length == 0 {
        return Err(TextError::Nothing { tokens, length });
    }
    Ok(tokens.div_ceil(length).saturating_mul(length))
}

/// Returns n and the further tokens for the loss, in whole sequences.
fn most_in_all(wanted: Wanted) -> Result<usize, TextError> {
    let further = wanted.further / wanted.length.max(1) * wanted.length;
    Ok(most(wanted)?.saturating_add(further))
}

/// Returns token ids of `input`: as many as wanted, or all whole sequences of it. Only text needs a `tokenizer`.
pub fn resolve(input: &Choice, tokenizer: Option<&Tokenizer>, wanted: Wanted) -> Result<TokenIds, TextError> {
    let most = most(wanted)?;
    match input {
        Choice::Uniform => Ok(TokenIds {
            ids: uniform(most, wanted.vocabulary),
            further: Vec::new(),
            what: "uniform token ids".to_owned(),
            is_text: false,
        }),
        Choice::Ids { name, bytes } => {
            let found = list(name, utf8(name, bytes)?, most_in_all(wanted)?)?;
            whole(quoted(name), name.clone(), found, wanted, || "the tokenizer that made them".to_owned())
        }
        Choice::Text { name, bytes } => {
            let text = utf8(name, bytes)?;
            run_through(tokenizer, quoted(name), format!("the text {name}"), text, wanted)
        }
        Choice::Sample => {
            let name = "the sample text".to_owned();
            let what = format!("{name} (GNU General Public License, version 3)");
            run_through(tokenizer, name, what, SAMPLE, wanted)
        }
    }
}

/// Returns the usual input: the sample text if there is a tokenizer that works and makes at least `least` tokens of it, otherwise uniform
/// ids. Uniform ids come with the reason, unless there is no tokenizer.
pub fn usual(
    tokenizer: Option<Result<Tokenizer, TextError>>,
    wanted: Wanted,
    least: usize,
) -> Result<(TokenIds, Option<TextError>), TextError> {
    let sample = |tokenizer: Tokenizer| {
        let found = resolve(&Choice::Sample, Some(&tokenizer), wanted)?;
        // If the user wants few tokens, few are enough.
        let tokens = found.ids.len();
        if tokens < least.min(most(wanted)?) {
            return Err(TextError::TooFew { name: "the sample text".to_owned(), tokens, least });
        }
        Ok(found)
    };
    let why = match tokenizer.map(|read| read.and_then(sample)) {
        Some(Ok(found)) => return Ok((found, None)),
        Some(Err(why)) => Some(why),
        None => None,
    };
    Ok((resolve(&Choice::Uniform, None, wanted)?, why))
}

/// Calls [`resolve`], or [`usual`] without a choice. It reads the tokenizer of the checkpoint only if it needs it.
pub async fn of_checkpoint<S: ByteSource>(
    opened: &Opened<S>,
    input: Option<&Choice>,
    wanted: Wanted,
    least: usize,
) -> Result<(TokenIds, Option<TextError>), TextError> {
    match input {
        None => usual(Tokenizer::of(opened).await, wanted, least),
        Some(input) => {
            let tokenizer = match input {
                Choice::Text { .. } | Choice::Sample => Tokenizer::of(opened).await.transpose()?,
                Choice::Uniform | Choice::Ids { .. } => None,
            };
            Ok((resolve(input, tokenizer.as_ref(), wanted)?, None))
        }
    }
}

/// Warns that uniform ids are run, and why the sample text is not.
pub fn not_run(why: &TextError) -> Warning {
    let message = format!("{why}. The run uses uniform token ids instead");
    Warning::new(WarningCode::TextNotRun, "tokenizer.json", message)
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// Returns the text without the byte order mark of some editors.
fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, TextError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| TextError::NotUtf8 { name: quoted(name), at: error.valid_up_to() })?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(TextError::Empty { name: quoted(name) });
    }
    Ok(text)
}

/// Returns the first `most` ids of a list.
fn list(name: &str, text: &str, most: usize) -> Result<Vec<u32>, TextError> {
    let between = |character: char| character == ',' || character.is_whitespace();
    let words = text.split(between).filter(|word| !word.is_empty());
    let id = |(before, word): (usize, &str)| {
        word.parse().map_err(|_| TextError::NoId {
            name: quoted(name),
            word: beginning(word, SHOWN).to_owned(),
            at: before + 1,
        })
    };
    words.enumerate().take(most).map(id).collect()
}

fn run_through(
    tokenizer: Option<&Tokenizer>,
    name: String,
    what: String,
    text: &str,
    wanted: Wanted,
) -> Result<TokenIds, TextError> {
    let Some(tokenizer) = tokenizer else { return Err(TextError::NoTokenizer { name }) };
    let found = first(tokenizer, text, most_in_all(wanted)?)?;
    whole(name, what, found, wanted, || format!("the tokenizer `{}`", tokenizer.path()))
}

/// Returns at least the first `most` ids of a text, or all of them. If the text is far longer, it tokenizes only a part.
fn first(tokenizer: &Tokenizer, text: &str, most: usize) -> Result<Vec<u32>, TextError> {
    let enough = most.saturating_add(MARGIN);
    let mut bytes = enough.saturating_mul(BYTES_A_TOKEN);
    loop {
        let part = beginning(text, bytes);
        let ids = tokenizer.ids(part)?;
        if part.len() == text.len() || ids.len() >= enough {
            return Ok(ids);
        }
        bytes = bytes.saturating_mul(2);
    }
}

/// Returns the first `bytes` bytes of a text, or fewer to end between characters.
fn beginning(text: &str, bytes: usize) -> &str {
    let ends = (0..=bytes.min(text.len())).rev();
    let end = ends.into_iter().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

/// Cuts ids to whole sequences, at most as many as wanted, and checks each id against the vocabulary. Ids after the first n are for the
/// loss.
fn whole(
    name: String,
    mut what: String,
    mut ids: Vec<u32>,
    wanted: Wanted,
    maker: impl Fn() -> String,
) -> Result<TokenIds, TextError> {
    let Wanted { length, vocabulary, .. } = wanted;
    let (most, tokens) = (most(wanted)?, ids.len());
    ids.truncate(most_in_all(wanted)?.min(tokens / length * length));
    if ids.is_empty() {
        return Err(TextError::TooShort { name, tokens, length });
    }
    if let Some((at, &id)) = ids.iter().enumerate().find(|(_, id)| **id as usize >= vocabulary) {
        return Err(TextError::Beyond { name, at, id, vocabulary, maker: maker() });
    }
    let further = ids.split_off(most.min(ids.len()));
    if ids.len() < most {
        what += &format!(" ({} tokens in whole sequences, of {most} wanted)", ids.len());
    }
    Ok(TokenIds { ids, further, what, is_text: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token is a byte of the text.
    fn bytes() -> Tokenizer {
        Tokenizer::read("m/tokenizer.json", include_bytes!("../../samples/layernorm/tokenizer.json")).unwrap()
    }

    fn text(bytes: impl Into<Vec<u8>>) -> Choice {
        Choice::Text { name: "notes.txt".to_owned(), bytes: bytes.into() }
    }

    fn list(bytes: impl Into<Vec<u8>>) -> Choice {
        Choice::Ids { name: "ids.txt".to_owned(), bytes: bytes.into() }
    }

    fn wanted(tokens: usize, length: usize) -> Wanted {
        Wanted { tokens, further: 0, length, vocabulary: 256 }
    }

    fn says(input: &Choice, wanted: Wanted, parts: &[&str]) {
        let message = resolve(input, Some(&bytes()), wanted).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }

    #[test]
    fn as_many_tokens_as_are_wanted_are_run_in_whole_sequences() {
        let found = resolve(&text("abcdefgh"), Some(&bytes()), wanted(5, 3)).unwrap();
        assert_eq!(found.ids, b"abcdef".map(u32::from));
        assert_eq!((found.what.as_str(), found.is_text), ("the text notes.txt", true));
        let found = resolve(&list("1, 2\n3 4,5,,6 7"), None, wanted(4, 2)).unwrap();
        assert_eq!((found.ids, found.what, found.is_text), (vec![1, 2, 3, 4], "ids.txt".to_owned(), true));
        let found = resolve(&Choice::Uniform, None, wanted(5, 3)).unwrap();
        assert_eq!((found.ids, found.is_text), (uniform(6, 256), false));
    }

    #[test]
    fn a_text_that_is_short_gives_its_whole_sequences_and_says_so() {
        let found = resolve(&text("abcdefgh"), Some(&bytes()), wanted(100, 3)).unwrap();
        assert_eq!(found.ids.len(), 6);
        assert_eq!(found.what, "the text notes.txt (6 tokens in whole sequences, of 102 wanted)");
    }

    #[test]
    fn more_of_the_text_is_there_for_the_loss_in_whole_sequences() {
        let wanted = Wanted { further: 7, ..wanted(4, 3) };
        let of = |found: TokenIds| (found.ids, found.further);
        let found = resolve(&text("abcdefghijklmnop"), Some(&bytes()), wanted).unwrap();
        assert_eq!(of(found), (b"abcdef".map(u32::from).into(), b"ghijkl".map(u32::from).into()));
        let found = resolve(&list("1 2 3 4 5 6 7 8 9 10 11"), None, wanted).unwrap();
        assert_eq!(of(found), (vec![1, 2, 3, 4, 5, 6], vec![7, 8, 9]));
        let found = resolve(&text("abcd"), Some(&bytes()), wanted).unwrap();
        assert_eq!(of(found), (b"abc".map(u32::from).into(), vec![]));
        let found = resolve(&Choice::Uniform, None, wanted).unwrap();
        assert_eq!((found.ids.len(), found.further.len()), (6, 0), "no model predicts these");
        says(&list("1 2 3 4 5 6 7 300 9"), wanted, &["token 7 is 300"]);
    }

    #[test]
    fn a_part_of_a_long_text_gives_the_ids_of_the_whole() {
        let (tokenizer, long) = (bytes(), "é ö — ".repeat(2000));
        let all = tokenizer.ids(&long).unwrap();
        for most in [1, 7, 1000, 19_999, all.len()] {
            assert_eq!(first(&tokenizer, &long, most).unwrap()[..most], all[..most]);
        }
        assert!(first(&tokenizer, &long, 7).unwrap().len() < 1000);
    }

    #[test]
    fn inputs_that_cannot_run_are_named() {
        let three = wanted(3, 3);
        says(&text(""), three, &["`notes.txt` is empty"]);
        says(&list(" \n"), three, &["`ids.txt` is empty"]);
        says(&text("\u{feff}ab"), three, &["`notes.txt` has 2 token ids", "one sequence takes 3"]);
        says(&text(*b"ab\xff"), three, &["`notes.txt`", "byte 2", "UTF-8"]);
        says(&list("1, 2 x3 4"), three, &["`ids.txt`", "\"x3\", word 3,"]);
        says(&list("1 -2 3"), three, &["\"-2\", word 2,"]);
        says(&list("1 2 256"), three, &["`ids.txt`", "token 2 is 256", "the tokenizer that made them"]);
        says(&text("ab"), wanted(0, 3), &["0 tokens in sequences of 3"]);
        says(&text("ab"), wanted(3, 0), &["3 tokens in sequences of 0"]);
        let error = resolve(&text("abc"), None, three).unwrap_err().to_string();
        assert!(error.contains("no tokenizer.json") && error.contains("`notes.txt`"), "{error}");
        says(&list("x".repeat(1000)), three, &[&format!("\"{}\"", "x".repeat(SHOWN))]);
    }

    #[test]
    fn the_tokenizer_of_another_model_is_an_error() {
        let small = Wanted { vocabulary: 100, ..wanted(3, 3) };
        says(
            &text("abz"),
            small,
            &["`notes.txt`: token 2 is 122", "for 100", "`m/tokenizer.json` is of another model"],
        );
    }

    #[test]
    fn the_sample_is_usual_where_a_tokenizer_reads_it() {
        let (found, why) = usual(Some(Ok(bytes())), wanted(512, 128), 129).unwrap();
        assert_eq!(found.ids, SAMPLE.bytes().take(512).map(u32::from).collect::<Vec<_>>());
        assert!(found.is_text && why.is_none());
        let uniform = |tokenizer, wanted, least| {
            let (found, why) = usual(tokenizer, wanted, least).unwrap();
            assert_eq!(found.what, "uniform token ids");
            why.map(|why| why.to_string()).unwrap_or_default()
        };
        assert_eq!(uniform(None, wanted(512, 128), 129), "");
        let why = uniform(Some(Ok(bytes())), wanted(160_000, 128), 40_001);
        assert_eq!(why, "the sample text has 35072 tokens in whole sequences and 40001 are needed");
        let why = uniform(Some(Tokenizer::read("tokenizer.json", b"{}")), wanted(512, 128), 129);
        assert!(why.contains("not a usable tokenizer"), "{why}");
        let small = Wanted { vocabulary: 100, ..wanted(512, 128) };
        assert!(uniform(Some(Ok(bytes())), small, 129).contains("of another model"));
    }
}
