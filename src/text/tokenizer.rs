//! The tokenizer of a checkpoint, as its `tokenizer.json` or the vocabulary of its GGUF file describes it.

use super::TextError;
use super::caught::caught;
use super::vocabulary;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::formats::TOKENIZER;
use crate::checkpoint::gguf::GgufError;
use crate::checkpoint::gguf::vocabulary::Vocabulary;
use crate::inspect::Opened;
use crate::source::ByteSource;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;

/// Makes token ids of text.
pub struct Tokenizer {
    file: String,
    inner: Arc<tokenizers::Tokenizer>,
}

impl std::fmt::Debug for Tokenizer {
    /// Leaves out the vocabulary.
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Tokenizer({:?}, {} ids)", self.file, self.vocabulary())
    }
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`. Messages use `path`. Truncation and padding are turned off, because sequences are cut from
    /// the whole text.
    pub fn read(path: &str, bytes: &[u8]) -> Result<Self, TextError> {
        let refuse = |reason| TextError::NotATokenizer { file: path.to_owned(), reason };
        claims(bytes).map_err(refuse)?;
        let bytes = bytes.to_vec();
        let read = caught(move || {
            let mut inner = tokenizers::Tokenizer::from_bytes(bytes)?;
            inner.with_truncation(None)?;
            inner.with_padding(None);
            Ok(inner)
        });
        let inner = read.map_err(|panic| refuse(damaged(&panic)))?;
        let inner = inner.map_err(|error: tokenizers::Error| refuse(error.to_string()))?;
        Ok(Self { file: path.to_owned(), inner: Arc::new(inner) })
    }

    /// Reads the tokenizer of an open checkpoint. `None` if it has none.
    pub async fn of<S: ByteSource>(opened: &Opened<S>) -> Option<Result<Self, TextError>> {
        let checkpoint = opened.checkpoint();
        if let Some(read) = checkpoint.for_run(TOKENIZER).await {
            return Some(read.map_err(TextError::from).and_then(|(path, bytes)| Self::read(&path, &bytes)));
        }
        Some(
            checkpoint
                .vocabulary()
                .await?
                .map_err(Self::unread)
                .and_then(|found| Self::of_vocabulary(&found)),
        )
    }

    /// Makes the tokenizer of a GGUF file.
    pub fn of_vocabulary(found: &Vocabulary) -> Result<Self, TextError> {
        let unusable = |reason| TextError::Vocabulary { file: found.path.clone(), reason };
        let made = vocabulary::tokenizer(found).map_err(unusable)?;
        Self::read(&found.path, &made).map_err(|error| match error {
            TextError::NotATokenizer { reason, .. } => unusable(reason),
            other => other,
        })
    }

    fn unread(error: CheckpointError) -> TextError {
        match error {
            CheckpointError::Source(error) => error.into(),
            CheckpointError::Gguf(GgufError { file, problem }) => {
                TextError::Vocabulary { file, reason: problem.to_string() }
            }
            other => TextError::Vocabulary { file: String::new(), reason: other.to_string() },
        }
    }

    /// Path of the file.
    pub fn path(&self) -> &str {
        &self.file
    }

    /// Returns the ids of a text, like transformers with `add_special_tokens=False`. A special token that the text spells out becomes
    /// that token. Unknown text is left out if the tokenizer has neither an id nor a token for it.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let refuse = |reason| TextError::Refused { file: self.file.clone(), reason };
        let (inner, text) = (Arc::clone(&self.inner), text.to_owned());
        // The fast call skips the positions of tokens in the text, which take longer than the ids.
        let made = caught(move || inner.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec()));
        made.map_err(|panic| refuse(damaged(&panic)))?.map_err(|error| refuse(error.to_string()))
    }

    /// Number of tokens, including added ones. An embedding may have more rows, and sometimes fewer.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// Refuses a table of characters that claims to be larger than its data. The crate would allocate the claimed size, up to 8 GB. The crate
/// finds all other errors.
fn claims(bytes: &[u8]) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Normalized {
        #[serde(default)]
        normalizer: serde_json::Value,
    }
    let Ok(Normalized { normalizer }) = serde_json::from_slice(bytes) else { return Ok(()) };
    let mut waiting = vec![&normalizer];
    while let Some(value) = waiting.pop() {
        waiting.extend(value.as_array().into_iter().flatten());
        let Some(fields) = value.as_object() else { continue };
        waiting.extend(fields.values());
        let table = fields.get("precompiled_charsmap").and_then(|table| table.as_str());
        let Some(table) = table.and_then(|table| BASE64_STANDARD.decode(table).ok()) else { continue };
        if let Some((claimed, held)) = table.split_first_chunk::<4>() {
            let claimed = u32::from_le_bytes(*claimed) as usize;
            if claimed > held.len() {
                return Err(format!(
                    "its precompiled_charsmap claims {claimed} bytes and has {}",
                    held.len()
                ));
            }
        }
    }
    Ok(())
}

/// Makes an error from a panic message of the crate.
fn damaged(panic: &str) -> String {
    format!("the file is damaged ({panic})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Byte-level BPE as in GPT-2. The space is Ġ.
    fn byte_level() -> Value {
        json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": {
                "strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
                "pad_token": "<end>"
            },
            "added_tokens": [{
                "id": 7, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true
            }],
            "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<end>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<end>": {"id": "<end>", "ids": [7], "tokens": ["<end>"]}}
            },
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "Ã": 5, "¤": 6},
                "merges": [["a", "b"], ["Ġ", "ab"]]
            }
        })
    }

    /// WordPiece as in BERT: lower case, and ## inside a word.
    fn word_piece() -> Value {
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": null,
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": {"[UNK]": 0, "dead": 1, "##ly": 2, "direction": 3, "##s": 4, ".": 5}
            }
        })
    }

    fn read(json: &Value) -> Tokenizer {
        Tokenizer::read("tokenizer.json", json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn byte_level_pairs_are_merged_and_bytes_stay_bytes() {
        let tokenizer = read(&byte_level());
        assert_eq!(tokenizer.ids("ab abba").unwrap(), [3, 4, 1, 0]);
        assert_eq!(tokenizer.ids("ä").unwrap(), [5, 6]);
        assert_eq!(tokenizer.vocabulary(), 8);
    }

    #[test]
    fn nothing_is_added_cut_or_filled_up() {
        let tokenizer = read(&byte_level());
        assert_eq!(tokenizer.ids("aaaa").unwrap(), [0; 4]);
        assert_eq!(tokenizer.ids("a<end>a").unwrap(), [0, 7, 0], "what the text itself has stays");
    }

    #[test]
    fn words_are_taken_apart_into_pieces() {
        let ids = read(&word_piece()).ids("Deadly directions. Xyz").unwrap();
        assert_eq!(ids, [1, 2, 3, 4, 5, 0]);
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_named() {
        for bytes in [b"version https://git-lfs".as_slice(), b"{}", b"", b"\xff\xfe"] {
            let message = Tokenizer::read("m/tokenizer.json", bytes).unwrap_err().to_string();
            assert!(message.starts_with("`m/tokenizer.json` is not a usable tokenizer"), "{message}");
        }
    }

    #[test]
    fn a_file_on_which_the_crate_panics_is_an_error() {
        let mut charsmap = byte_level();
        charsmap["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="});
        let mut merges = byte_level();
        merges["model"]["continuing_subword_prefix"] = json!("##");
        let mut pieces = word_piece();
        pieces["model"]["vocab"] = json!({});
        for (what, damaged) in [("charsmap", charsmap), ("merges", merges), ("pieces", pieces)] {
            let read = Tokenizer::read("m/tokenizer.json", damaged.to_string().as_bytes());
            let message = match read.and_then(|tokenizer| tokenizer.ids("ab abba")) {
                Ok(ids) => panic!("{what}: {ids:?}"),
                Err(error) => error.to_string(),
            };
            assert!(message.starts_with("`m/tokenizer.json` "), "{what}: {message}");
        }
    }

    #[test]
    fn a_table_of_characters_that_claims_too_much_is_refused() {
        let mut tokenizer = byte_level();
        let claims = json!({"type": "Precompiled", "precompiled_charsmap": "////fwAAAAA="});
        tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, claims]});
        let error = Tokenizer::read("m/tokenizer.json", tokenizer.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("claims 2147483647 bytes and has 4"), "{error}");
    }
}
