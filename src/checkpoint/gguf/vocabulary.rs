//! The vocabulary of a GGUF file: the lists of its metadata, which opening passes over and only a run on text reads.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::cursor::Cursor;
use super::{
    GgufError, GgufProblem, LEAST_BYTES, MAX_NAME_BYTES, Stop, begin_list, kind, least_bytes, pass_list,
};
use crate::checkpoint::{Checkpoint, CheckpointError, Format};
use crate::source::{ByteSource, Meter};
use serde_json::Value;

/// More tokens, or merges, than any vocabulary has.
const MAX_MEMBERS: u64 = 1 << 21;

/// The list of tokens.
const TOKENS: &str = "tokenizer.ggml.tokens";

/// What a GGUF file says of its tokenizer. Lists that it does not have are empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vocabulary {
    /// Path of the file.
    pub path: String,
    /// `tokenizer.ggml.model`: the algorithm.
    pub model: String,
    /// `tokenizer.ggml.pre`: how a text is split before it.
    pub split: Option<String>,
    /// The tokens by their ids.
    pub tokens: Vec<String>,
    /// Logarithms of the frequencies of tokens.
    pub scores: Vec<f64>,
    /// What each token is, by llama.cpp's numbers: 1 is a piece of text.
    pub kinds: Vec<f64>,
    /// Pairs of tokens that are merged, with a space between them, the first ones first.
    pub merges: Vec<String>,
    /// Id of the token for what is not in the vocabulary.
    pub unknown: Option<u64>,
    /// Whether a space is put before a text.
    pub space_before: Option<bool>,
}

impl<S: ByteSource> Checkpoint<S> {
    /// The vocabulary of a GGUF file. `None` if the checkpoint has none. The report does not count the bytes: nothing in it comes from
    /// them.
    pub async fn vocabulary(&self) -> Option<Result<Vocabulary, CheckpointError>> {
        if self.format != Format::Gguf {
            return None;
        }
        let has = |shard: &usize| self.metadata_of(*shard).iter().any(|(key, _)| key == TOKENS);
        let source = &self.shards[(0..self.shards.len()).find(has)?];
        let config = self.configs.iter().find(|config| config.path == source.path())?;
        let field = |end: &str| config.fields().get(&format!("tokenizer.ggml.{end}"));
        let text = |end: &str| field(end).and_then(Value::as_str).map(str::to_owned);
        let vocabulary = Vocabulary {
            path: source.path().to_owned(),
            model: text("model").unwrap_or_default(),
            split: text("pre"),
            unknown: field("unknown_token_id").and_then(Value::as_u64),
            space_before: field("add_space_prefix").and_then(Value::as_bool),
            ..Vocabulary::default()
        };
        Some(read(source, vocabulary).await.map_err(|stop| match stop {
            Stop::Problem(problem) => GgufError { file: source.path().to_owned(), problem }.into(),
            Stop::Source(error) => error.into(),
        }))
    }
}

/// Reads the lists. The header has been walked before, but a file may change.
async fn read<S: ByteSource>(source: &S, mut vocabulary: Vocabulary) -> Result<Vocabulary, Stop> {
    let meter = Meter::default();
    let mut cursor = Cursor::new(&meter, source);
    // The pairs of metadata are counted in the last eight bytes of the beginning.
    cursor.skip(LEAST_BYTES.saturating_sub(8))?;
    for _ in 0..cursor.u64().await? {
        let key = cursor.name().await?;
        let byte = cursor.at();
        match (key.as_str(), cursor.u32().await?) {
            (TOKENS, kind::LIST) => vocabulary.tokens = texts(&mut cursor, &key).await?,
            ("tokenizer.ggml.merges", kind::LIST) => vocabulary.merges = texts(&mut cursor, &key).await?,
            ("tokenizer.ggml.scores", kind::LIST) => vocabulary.scores = numbers(&mut cursor, &key).await?,
            ("tokenizer.ggml.token_type", kind::LIST) => {
                vocabulary.kinds = numbers(&mut cursor, &key).await?;
            }
            (_, kind::LIST) => drop(pass_list(&mut cursor, &key).await?),
            (_, kind::TEXT) => drop(cursor.text(0).await?),
            (_, kind) => {
                let bytes = least_bytes(kind).ok_or(GgufProblem::UnknownValue { key, byte, kind })?;
                cursor.skip(bytes)?;
            }
        }
    }
    Ok(vocabulary)
}

async fn begin<S: ByteSource>(cursor: &mut Cursor<'_, S>, key: &str) -> Result<(u32, u64), Stop> {
    let (kind, count) = begin_list(cursor, key).await?;
    if count > MAX_MEMBERS {
        return Err(GgufProblem::TooMany { count, what: "tokens or merges" }.into());
    }
    Ok((kind, count))
}

async fn texts<S: ByteSource>(cursor: &mut Cursor<'_, S>, key: &str) -> Result<Vec<String>, Stop> {
    let byte = cursor.at();
    let (kind, count) = begin(cursor, key).await?;
    if kind != kind::TEXT {
        return Err(GgufProblem::UnknownValue { key: key.to_owned(), byte, kind }.into());
    }
    let mut texts = Vec::new();
    for _ in 0..count {
        let byte = cursor.at();
        let text = cursor.text(MAX_NAME_BYTES).await?;
        texts.push(text.ok_or(GgufProblem::NotUtf8 { section: "the vocabulary", byte })?);
    }
    Ok(texts)
}

async fn numbers<S: ByteSource>(cursor: &mut Cursor<'_, S>, key: &str) -> Result<Vec<f64>, Stop> {
    let byte = cursor.at();
    let (kind, count) = begin(cursor, key).await?;
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(match kind {
            kind::U8 => u8::from_le_bytes(cursor.array().await?).into(),
            kind::I8 => i8::from_le_bytes(cursor.array().await?).into(),
            kind::U32 => cursor.u32().await?.into(),
            kind::I32 => i32::from_le_bytes(cursor.array().await?).into(),
            kind::F32 => f32::from_le_bytes(cursor.array().await?).into(),
            kind => return Err(GgufProblem::UnknownValue { key: key.to_owned(), byte, kind }.into()),
        });
    }
    Ok(numbers)
}
