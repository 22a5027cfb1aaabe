//! The vocabulary of a GGUF file as a `tokenizer.json`, which the crate `tokenizers` reads: byte-level pairs as in GPT-2, or the pairs of a
//! SentencePiece model. The token ids are those of transformers for the model that the file was made from.

use super::splits::Splits;
use crate::checkpoint::gguf::vocabulary::Vocabulary;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::HashMap;

/// What llama.cpp's numbers say of a token: for what is unknown, for control, given by the user.
const SPECIAL: [f64; 2] = [2.0, 3.0];
const USER_DEFINED: f64 = 4.0;

/// A `tokenizer.json`.
#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    added_tokens: Vec<Value>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Pairs<'a>,
}

/// A model of pairs.
#[derive(Serialize)]
struct Pairs<'a> {
    r#type: &'static str,
    unk_token: Option<&'a str>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    #[serde(serialize_with = "by_token")]
    vocab: &'a HashMap<&'a str, usize>,
    merges: Vec<(&'a str, &'a str)>,
}

fn by_token<S: Serializer>(vocab: &HashMap<&str, usize>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(vocab)
}

/// The bytes of a `tokenizer.json`, or why there is none.
pub(super) fn tokenizer(vocabulary: &Vocabulary) -> Result<Vec<u8>, String> {
    // If a token occurs twice, its first id counts.
    let ids: HashMap<&str, usize> =
        vocabulary.tokens.iter().enumerate().rev().map(|(id, token)| (token.as_str(), id)).collect();
    let document = match vocabulary.model.as_str() {
        "gpt2" => byte_level(vocabulary, &ids)?,
        "llama" => sentence_piece(vocabulary, &ids)?,
        other => {
            return Err(format!(
                "its vocabulary is of the kind {other:?}, and those that are read are \"gpt2\" (byte-level pairs) and \"llama\" (SentencePiece)"
            ));
        }
    };
    serde_json::to_vec(&document).map_err(|error| error.to_string())
}

fn byte_level<'a>(
    vocabulary: &'a Vocabulary,
    ids: &'a HashMap<&'a str, usize>,
) -> Result<Document<'a>, String> {
    let splits = Splits::named(vocabulary.split.as_deref())?;
    if vocabulary.merges.is_empty() {
        return Err("it has no list of merges".to_owned());
    }
    // A space stands between the two, and no token has one.
    let pairs = vocabulary.merges.iter().filter_map(|pair| pair.split_once(' '));
    Ok(Document {
        version: "1.0",
        added_tokens: added(vocabulary, false),
        normalizer: splits.composes.then(|| json!({"type": "NFC"})),
        pre_tokenizer: Some(splits.pre_tokenizer()),
        model: Pairs {
            r#type: "BPE",
            unk_token: None,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: splits.whole_words,
            vocab: ids,
            merges: pairs.filter(|pair| is_known(ids, pair)).collect(),
        },
    })
}

/// The pairs that a SentencePiece model merges do not follow from a list: a token is made of any two others, in the order of scores.
fn sentence_piece<'a>(
    vocabulary: &'a Vocabulary,
    ids: &'a HashMap<&'a str, usize>,
) -> Result<Document<'a>, String> {
    if vocabulary.scores.len() != vocabulary.tokens.len() {
        let (scores, tokens) = (vocabulary.scores.len(), vocabulary.tokens.len());
        return Err(format!("it has {scores} scores for {tokens} tokens"));
    }
    let unknown = vocabulary.unknown.and_then(|id| vocabulary.tokens.get(usize::try_from(id).ok()?));
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let normalizer = match vocabulary.space_before.unwrap_or(true) {
        true => json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]}),
        false => space,
    };
    Ok(Document {
        version: "1.0",
        // With a space before it, a token would not be what the user gave.
        added_tokens: added(vocabulary, vocabulary.space_before == Some(false)),
        normalizer: Some(normalizer),
        pre_tokenizer: None,
        model: Pairs {
            r#type: "BPE",
            unk_token: unknown.map(String::as_str),
            fuse_unk: true,
            byte_fallback: true,
            ignore_merges: false,
            vocab: ids,
            merges: by_scores(vocabulary, ids),
        },
    })
}

/// All pairs whose merger is a token, the highest score first, as transformers' `generate_merges` orders them.
fn by_scores<'a>(vocabulary: &'a Vocabulary, ids: &HashMap<&str, usize>) -> Vec<(&'a str, &'a str)> {
    let mut merges: Vec<(f64, &str, &str)> = Vec::new();
    for (token, score) in vocabulary.tokens.iter().zip(&vocabulary.scores) {
        let pairs = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let mut pairs: Vec<(&str, &str)> =
            pairs.filter(|(a, b)| ids.contains_key(a) && ids.contains_key(b)).collect();
        pairs.sort_by_key(|(a, b)| (ids[a], ids[b]));
        merges.extend(pairs.into_iter().map(|(a, b)| (*score, a, b)));
    }
    let length = |text: &str| text.chars().count();
    merges.sort_by(|(one, a, b), (other, c, d)| {
        other.total_cmp(one).then_with(|| length(c).cmp(&length(a))).then_with(|| length(d).cmp(&length(b)))
    });
    merges.into_iter().map(|(_, a, b)| (a, b)).collect()
}

/// Whether a pair and its merger are tokens. The crate refuses any other.
fn is_known(ids: &HashMap<&str, usize>, (a, b): &(&str, &str)) -> bool {
    ids.contains_key(a) && ids.contains_key(b) && ids.contains_key(format!("{a}{b}").as_str())
}

/// The tokens that are found in a text before it is split. Those that the user gave are found in the `normalized` text, or else in the text
/// itself: a run of spaces is a token of Gemma, and so is the same run of the sign that stands for a space.
fn added(vocabulary: &Vocabulary, normalized: bool) -> Vec<Value> {
    let kinds = vocabulary.tokens.iter().zip(&vocabulary.kinds).enumerate();
    let is_added = |kind: &f64| SPECIAL.contains(kind) || *kind == USER_DEFINED;
    let added = kinds.filter(|(_, (token, kind))| is_added(kind) && !token.is_empty());
    let object = |(id, (token, kind)): (usize, (&String, &f64))| {
        json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": normalized && *kind == USER_DEFINED, "special": SPECIAL.contains(kind)})
    };
    added.map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{TextError, Tokenizer};

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn of(found: &Vocabulary) -> Tokenizer {
        Tokenizer::of_vocabulary(found).unwrap()
    }

    fn pairs() -> Vocabulary {
        Vocabulary {
            path: "m.gguf".to_owned(),
            model: "gpt2".to_owned(),
            split: Some("smollm".to_owned()),
            tokens: texts(&["<end>", "a", "b", "Ġ", "ab", "Ġab", "1", "2", "12", "Ã", "¤"]),
            kinds: vec![3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            merges: texts(&["a b", "Ġ ab", "1 2", "b c"]),
            ..Vocabulary::default()
        }
    }

    fn pieces() -> Vocabulary {
        let tokens = ["<unk>", "<s>", "▁", "a", "b", "▁a", "ab", "▁ab", "<0xC3>", "<0xA4>", "<0x0A>"];
        Vocabulary {
            path: "m.gguf".to_owned(),
            model: "llama".to_owned(),
            tokens: texts(&tokens),
            scores: vec![0.0, 0.0, -7.0, -8.0, -9.0, -1.0, -2.0, -3.0, 0.0, 0.0, 0.0],
            kinds: vec![2.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 6.0, 6.0, 6.0],
            unknown: Some(0),
            ..Vocabulary::default()
        }
    }

    #[test]
    fn byte_level_pairs_are_merged_as_the_named_way_splits() {
        let tokenizer = of(&pairs());
        assert_eq!(tokenizer.ids("ab ab12").unwrap(), [4, 5, 6, 7], "digits stay alone");
        assert_eq!(tokenizer.ids("ä<end>a").unwrap(), [9, 10, 0, 1]);
        let together = Vocabulary { split: Some("gpt-2".to_owned()), ..pairs() };
        assert_eq!(of(&together).ids("12").unwrap(), [8]);
    }

    #[test]
    fn pieces_are_merged_by_their_scores() {
        // "▁a" has the highest score, so "▁ab" is "▁a" and "b", which together are a token too.
        assert_eq!(of(&pieces()).ids("ab").unwrap(), [7]);
        assert_eq!(of(&pieces()).ids("bab").unwrap(), [2, 4, 6]);
        assert_eq!(of(&pieces()).ids("ä\n").unwrap(), [2, 8, 9, 10], "bytes");
        assert_eq!(of(&pieces()).ids("<s>a").unwrap(), [1, 5]);
        let bare = Vocabulary { space_before: Some(false), ..pieces() };
        assert_eq!(of(&bare).ids("ab a").unwrap(), [6, 5]);
    }

    #[test]
    fn a_vocabulary_that_makes_no_tokenizer_says_why() {
        let short = Vocabulary { scores: vec![0.0; 3], ..pieces() };
        let other = Vocabulary { model: "rwkv".to_owned(), ..pieces() };
        let unnamed = Vocabulary { split: None, ..pairs() };
        let unknown = Vocabulary { split: Some("new".to_owned()), ..pairs() };
        let bare = Vocabulary { merges: Vec::new(), ..pairs() };
        for (vocabulary, parts) in [
            (short, ["3 scores for 11 tokens", "tokenizer.json"]),
            (other, ["\"rwkv\"", "\"gpt2\""]),
            (unnamed, ["tokenizer.ggml.pre", "token ids"]),
            (unknown, ["\"new\"", "smollm"]),
            (bare, ["no list of merges", "`m.gguf`"]),
        ] {
            let error = Tokenizer::of_vocabulary(&vocabulary).unwrap_err();
            assert!(matches!(error, TextError::Vocabulary { .. }));
            let error = error.to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
