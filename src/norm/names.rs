//! How module paths are read: components, words, blocks. Every rule about spelling lives here.

/// A module path such as `model.layers.3.self_attn.q_norm`, split once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path<'a> {
    parts: Vec<&'a str>,
    /// Position of the block's number among the components, and the number.
    block: Option<(usize, u32)>,
}

/// Containers of blocks, the strongest first: Swin nests `blocks` in `layers`, T5 nests `layer` in `block`.
const BLOCK_CONTAINERS: [&[&str]; 3] = [
    &["block", "blocks", "resblocks", "transformer_blocks", "single_transformer_blocks", "blk"],
    &["layers", "h", "decoder_layers", "encoder_layers", "x_layers", "r_layers", "albert_layers"],
    &["layer"],
];

/// Whether a tensor belongs to an expert other than the first. Experts are built alike, and there may be tens of thousands.
pub(super) fn is_another_expert(name: &str) -> bool {
    let mut parts = name.rsplit('.');
    let mut inside = parts.next().unwrap_or_default();
    for part in parts {
        if part.ends_with("experts") {
            return inside != "0" && inside.as_bytes().first().is_some_and(u8::is_ascii_digit);
        }
        inside = part;
    }
    false
}

/// Whether a module is in `block` and in no block inside it, without splitting its path: most neighbours in a catalogue are in
/// the same block.
pub(super) fn is_inside(module: &str, block: &str) -> bool {
    let Some(rest) = module.strip_prefix(block).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let mut before = "";
    !block.is_empty()
        && rest.split('.').all(|part| {
            let holds = |containers: &[&str]| containers.iter().any(|name| before.eq_ignore_ascii_case(name));
            let nested =
                number(part).is_some() && BLOCK_CONTAINERS.iter().any(|containers| holds(containers));
            before = part;
            // TensorFlow's layer_3.
            let numbered = part.rsplit_once('_').is_some_and(|(_, end)| number(end).is_some());
            !nested && !numbered
        })
}

/// Whether a component is a number.
pub(super) fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name's parent and last part.
pub(super) fn split_last(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(['.', '/'])
}

/// What norms on queries, keys or values are called, with "layernorm" and "rmsnorm" written "norm". Latent
/// attention's q_a and kv_a norms sit on compressed queries and keys.
const QUERY_KEY_NAMES: [&str; 21] = [
    "qnorm",
    "knorm",
    "vnorm",
    "normq",
    "normk",
    "lnq",
    "lnk",
    "qln",
    "kln",
    "qanorm",
    "kvanorm",
    "querynorm",
    "keynorm",
    "normquery",
    "normkey",
    "attnqnorm",
    "attnknorm",
    "attnqanorm",
    "attnkvanorm",
    "normaddedq",
    "normaddedk",
];

/// Whether a name is that of a norm on queries, keys or values: `q_norm`, `k_layernorm`, `query_norm`, `norm_q`, `ln_k`.
pub(super) fn is_query_key(last: &str) -> bool {
    // This runs for every matrix, and hardly any has "norm" or "ln" in its name.
    if !last
        .as_bytes()
        .windows(2)
        .any(|two| two.eq_ignore_ascii_case(b"ln") || two.eq_ignore_ascii_case(b"no"))
    {
        return false;
    }
    let compact = compact(last).replace("layernorm", "norm").replace("rmsnorm", "norm");
    QUERY_KEY_NAMES.contains(&compact.as_str())
}

/// Where the number of the innermost block of the strongest container is, and the number.
fn block_position(parts: &[&str]) -> Option<(usize, u32)> {
    let numbered = |containers: &[&str], at: usize| {
        let part = parts[at];
        let is = |name: &&str| part.eq_ignore_ascii_case(name);
        if let Some(number) = parts.get(at + 1).and_then(|next| number(next)) {
            return containers.iter().any(is).then_some((at + 1, number));
        }
        // TensorFlow and Flax write layer_3.
        let (stem, end) = part.rsplit_once('_')?;
        let number = number(end)?;
        containers.iter().any(|name| stem.eq_ignore_ascii_case(name)).then_some((at, number))
    };
    BLOCK_CONTAINERS
        .iter()
        .find_map(|containers| (0..parts.len()).rev().find_map(|at| numbered(containers, at)))
}

fn number(part: &str) -> Option<u32> {
    part.as_bytes().first().is_some_and(u8::is_ascii_digit).then(|| part.parse().ok()).flatten()
}

impl<'a> Path<'a> {
    /// Splits at dots and slashes (TensorFlow).
    pub(super) fn new(path: &'a str) -> Self {
        let parts: Vec<&str> = path.split(['.', '/']).collect();
        let block = block_position(&parts);
        Self { parts, block }
    }

    /// The last component.
    pub(super) fn last(&self) -> &'a str {
        self.parts.last().copied().unwrap_or_default()
    }

    /// The component that names the norm: the last, or the one before if the last only wraps it (`input_layernorm.norm`,
    /// `norm.1`).
    pub(super) fn naming(&self) -> &'a str {
        match self.inside() {
            [.., wrapper, "norm" | "ln"] if is_norm(wrapper) => wrapper,
            [.., wrapper, number] if is_norm(wrapper) && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                wrapper
            }
            _ => self.last(),
        }
    }

    /// Index of the block, if the path is inside one.
    pub(super) fn block(&self) -> Option<u32> {
        self.block.map(|(_, number)| number)
    }

    /// Path of the block (`model.layers.3`).
    pub(super) fn block_path(&self) -> Option<String> {
        self.block.map(|(at, _)| self.parts[..=at].join("."))
    }

    /// Path of the stack of blocks (`model.layers`), or of the parent when outside any block.
    pub(super) fn stack(&self) -> String {
        match self.block {
            Some((at, _)) => self.parts[..at].join("."),
            None => self.parts[..self.parts.len() - 1].join("."),
        }
    }

    /// Components inside the block, the block's number excluded; all of them outside a block.
    pub(super) fn inside(&self) -> &[&'a str] {
        self.block.map_or(&self.parts[..], |(at, _)| &self.parts[at + 1..])
    }

    /// The components that are not numbers, blocks included.
    pub(super) fn without_numbers(&self) -> Vec<&'a str> {
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        self.parts.iter().copied().filter(|part| !is_number(part)).collect()
    }

    /// Lower-case words of the components inside the block.
    pub(super) fn words(&self) -> Vec<String> {
        self.inside().iter().flat_map(|part| words(part)).collect()
    }
}

/// Splits a component into lower-case words: `encoder_attn_layer_norm1` → encoder attn layer norm 1,
/// `LayerNorm` → layernorm, `ln_1` → ln 1, `EncDecAttention` → encdecattention.
pub(super) fn words(part: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut digit = None;
    for character in part.chars() {
        if !is_of_a_word(character) {
            digit = None;
            continue;
        }
        let is_digit = character.is_ascii_digit();
        match words.last_mut() {
            Some(word) if digit == Some(is_digit) => word.push(character.to_ascii_lowercase()),
            _ => words.push(character.to_ascii_lowercase().into()),
        }
        digit = Some(is_digit);
    }
    words
}

/// Lower case without separators: `layer_norm1` → layernorm1.
pub(super) fn compact(part: &str) -> String {
    part.chars()
        .filter(|&character| is_of_a_word(character))
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// Whether a character is a letter or a digit. Code is written in ASCII: any other character counts as a letter, which saves
/// Unicode's tables, 6 kB of the page.
fn is_of_a_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || !character.is_ascii()
}

/// Whether a component names a norm: "norm" (or CLIP's "layrnorm") somewhere in it, or ln, bn, gn, rms as a word.
pub(super) fn is_norm(part: &str) -> bool {
    // RWKV writes ln0, others lnf. `ln` counts only as a whole word.
    compact(part).contains("norm")
        || words(part)
            .iter()
            .any(|word| matches!(word.as_str(), "ln" | "lnf" | "bn" | "gn" | "grn" | "rms" | "lns"))
}

/// Whether a component of a tensor's name names a norm.
pub(crate) fn names_a_norm(name: &str) -> bool {
    name.split(['.', '/']).any(is_norm)
}

/// Whether a component says RMS: as a word or in RMSNorm, not inside another word (norm_self).
pub(super) fn says_rms(part: &str) -> bool {
    words(part).iter().any(|word| word == "rms" || word.contains("rmsnorm"))
        || compact(part).ends_with("rmsnorm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_split_at_case_free_borders() {
        assert_eq!(words("encoder_attn_layer_norm1"), ["encoder", "attn", "layer", "norm", "1"]);
        assert_eq!(words("ln_2"), ["ln", "2"]);
        assert_eq!(words("LayerNorm"), ["layernorm"]);
    }

    #[test]
    fn blocks_are_found_in_every_layout() {
        for (path, block, block_path) in [
            ("model.layers.21.post_attention_layernorm", 21, "model.layers.21"),
            ("encoder.layer.5.attention.output.LayerNorm", 5, "encoder.layer.5"),
            ("encoder.block.3.layer.0.layer_norm", 3, "encoder.block.3"),
            ("swin.encoder.layers.1.blocks.7.norm1", 7, "swin.encoder.layers.1.blocks.7"),
            ("bert/encoder/layer_4/output/LayerNorm", 4, "bert.encoder.layer_4"),
            ("h.0.ln_1", 0, "h.0"),
        ] {
            let parsed = Path::new(path);
            assert_eq!(
                (parsed.block(), parsed.block_path().as_deref()),
                (Some(block), Some(block_path)),
                "{path}"
            );
        }
        assert_eq!(Path::new("model.norm").block(), None);
        assert_eq!(Path::new("mlp.2").block(), None);
    }

    #[test]
    fn a_block_inside_a_block_is_another_one() {
        for (module, block) in [
            ("model.layers.3.self_attn.q_proj", "model.layers.3"),
            ("layers.0.mlp.experts.17.w1", "layers.0"),
            ("layers.0.blocks.1.norm", "layers.0"),
            ("model.layers.31.norm", "model.layers.3"),
            ("a.h.2.layer_1.x", "a.h.2"),
        ] {
            let same = Path::new(module).block_path().as_deref() == Some(block);
            let nested = module.contains("layer_1"); // the weaker container inside: not worth telling apart
            assert_eq!(is_inside(module, block), same && !nested, "{module}");
        }
    }

    #[test]
    fn rms_inside_another_word_says_nothing() {
        assert!(
            ["input_rmsnorm", "RMSNorm", "final_rms", "rms_norm", "q_rms_norm"]
                .iter()
                .all(|name| says_rms(name))
        );
        assert!(["norm_self_att", "norm_scale", "terms"].iter().all(|name| !says_rms(name)));
    }

    #[test]
    fn norm_words_are_recognised_and_others_are_not() {
        for norm in
            ["input_layernorm", "ln_f", "LayerNorm", "pre_layrnorm", "q_norm", "norm_f", "bn1", "final_rms"]
        {
            assert!(is_norm(norm), "{norm}");
        }
        for other in ["gate", "ls1", "link", "act_fn", "dense", "layer_scale"] {
            assert!(!is_norm(other), "{other}");
        }
    }
}
