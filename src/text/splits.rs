//! How byte-level tokenizers split a text before pairs are merged. A GGUF file has only a name for it; the expressions are those of the
//! `tokenizer.json` of the models that the names stand for.

use serde_json::{Value, json};

/// GPT-4's expression, which Llama 3 took over: numbers have up to three digits.
const THREE_DIGITS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with single digits.
const ONE_DIGIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken: words split where a lower letter precedes an upper one.
const BY_CASE: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o's.
const BY_CASE_THREE_DIGITS: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// One way to split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Splits {
    /// Whether every digit is alone, before anything else.
    digits: bool,
    /// The expression. `None` means GPT-2's.
    expression: Option<&'static str>,
    /// Whether letters are composed first (NFC).
    pub(super) composes: bool,
    /// Whether a word that is a token stays whole, whatever pairs it is made of.
    pub(super) whole_words: bool,
}

const GPT2: Splits = Splits { digits: false, expression: None, composes: false, whole_words: false };
const NEOX: Splits = Splits { composes: true, ..GPT2 };
const SINGLE_DIGITS: Splits = Splits { digits: true, ..GPT2 };
const DBRX: Splits = Splits { expression: Some(THREE_DIGITS), ..GPT2 };
const LLAMA3: Splits = Splits { whole_words: true, ..DBRX };

/// By llama.cpp's names.
const NAMED: [(&str, Splits); 14] = [
    ("gpt-2", GPT2),
    ("phi-2", GPT2),
    ("mpt", NEOX),
    ("olmo", NEOX),
    ("smollm", SINGLE_DIGITS),
    ("starcoder", SINGLE_DIGITS),
    ("command-r", Splits { composes: true, ..SINGLE_DIGITS }),
    ("qwen2", Splits { expression: Some(ONE_DIGIT), ..NEOX }),
    ("dbrx", DBRX),
    ("llama-bpe", LLAMA3),
    ("llama-v3", LLAMA3),
    ("llama3", LLAMA3),
    ("tekken", Splits { expression: Some(BY_CASE), ..LLAMA3 }),
    ("gpt-4o", Splits { expression: Some(BY_CASE_THREE_DIGITS), ..GPT2 }),
];

impl Splits {
    /// The way that llama.cpp calls `name`, or why there is none.
    pub(super) fn named(name: Option<&str>) -> Result<Self, String> {
        let Some(name) = name.filter(|name| *name != "default") else {
            return Err("it does not name how its tokenizer splits a text (`tokenizer.ggml.pre`), as files of 2023 do not".to_owned());
        };
        let found = NAMED.iter().find(|(known, _)| *known == name).map(|(_, splits)| *splits);
        found.ok_or_else(|| {
            let known: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            format!("its tokenizer splits a text as {name:?}, and these are known: {}", known.join(", "))
        })
    }

    /// The part of a `tokenizer.json`.
    pub(super) fn pre_tokenizer(&self) -> Value {
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": self.expression.is_none()});
        let digits = self.digits.then(|| json!({"type": "Digits", "individual_digits": true}));
        let split = self.expression.map(|expression| {
            json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false})
        });
        let steps: Vec<Value> = digits.into_iter().chain(split).chain([bytes]).collect();
        json!({"type": "Sequence", "pretokenizers": steps})
    }
}
