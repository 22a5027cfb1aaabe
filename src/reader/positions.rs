//! What makes a constant invisible: position codes for keys, and tying for the unembedding.

use crate::checkpoint::Tensor;
use crate::checkpoint::config::{Config, Scope};
use crate::norm::{NormSite, Place};
use crate::order;

/// Names of tables of learned absolute positions.
const POSITION_TABLES: [&str; 7] = [
    "wpe",
    "position_embeddings",
    "position_embedding",
    "embed_positions",
    "pos_embed",
    "positional_embedding",
    "position_embd",
];

/// Names that mean queries and keys meet through their distance.
const RELATIVE_MARKS: [&str; 10] = [
    "relative",
    "rel_pos",
    "rotary",
    "inv_freq",
    "rel_embeddings",
    "pos_bias",
    "linear_pos",
    "pos_key",
    "attn_rel_b",
    "rope_freqs",
];

/// Configuration fields that mean a rotary code.
const ROTARY_FIELDS: [&str; 6] =
    ["rope_theta", "rotary_dim", "rotary_pct", "rotary_emb_base", "rope_scaling", "rope_parameters"];

/// What the catalogue says about position codes.
pub(super) struct Positions {
    /// The modules that hold tables of learned positions.
    tables: Vec<String>,
    /// Names that mean a relative code.
    relative: Vec<String>,
    /// Stacks with norms on their keys, sorted.
    key_norm_stacks: Vec<String>,
}

/// Whether a constant added to every key is invisible, and why.
pub(super) struct Keys {
    pub(super) invisible: bool,
    /// Whether the configuration, or a norm on the keys, shows that it is seen.
    pub(super) known_to_be_seen: bool,
    pub(super) why: String,
}

impl Positions {
    pub(super) fn new(tensors: &[Tensor], sites: &[NormSite]) -> Self {
        // Experts have many maps, and none is a position code.
        let named =
            || tensors.iter().map(|tensor| tensor.name.as_str()).filter(|name| !name.contains("expert"));
        let holders = named().filter_map(|name| {
            let parts: Vec<&str> = name.split('.').filter(|part| *part != "weight").collect();
            let (last, parents) = parts.split_last()?;
            let holder = parents.strip_suffix(&["embeddings"]).unwrap_or(parents);
            POSITION_TABLES.contains(last).then(|| holder.join("."))
        });
        let relative = named().filter(|name| RELATIVE_MARKS.iter().any(|mark| name.contains(mark)));
        let relative = order::distinct(relative.map(|name| part_of(name).to_owned()));
        let key_norms = sites.iter().filter(|site| site.place == Place::InsideAttention);
        let key_norm_stacks = order::distinct(key_norms.map(|site| site.stack.clone()));
        Self { tables: order::distinct(holders), relative, key_norm_stacks }
    }

    /// Whether a table of positions is of the part of the model that a stack belongs to: it is in the module that holds the
    /// stack, or in the module above that.
    fn has_table(&self, stack: &str) -> bool {
        let holds = |holder: &str| {
            let inside = match holder {
                "" => Some(stack),
                _ => stack.strip_prefix(holder).and_then(|rest| rest.strip_prefix('.')),
            };
            inside.is_some_and(|inside| inside.split('.').count() <= 2)
                && super::outside::same_part(holder, stack)
        };
        self.tables.iter().any(|holder| holds(holder))
    }

    /// qᵀ(k + c) = qᵀk + qᵀc: the same for every key, so softmax does not see it, unless keys are rotated by their position
    /// (rotary), normalised, or compared through distances.
    pub(super) fn keys(&self, site: &NormSite, scope: Option<Scope<'_>>) -> Keys {
        let visible = |why: &str| Keys { invisible: false, known_to_be_seen: false, why: why.to_owned() };
        let seen = |why: &str| Keys { known_to_be_seen: true, ..visible(why) };
        let stack = site.stream.as_deref().unwrap_or(&site.stack);
        let rotary = scope.is_some_and(|scope| ROTARY_FIELDS.iter().any(|field| scope.has(field)));
        let relative = scope
            .and_then(|scope| scope.text("position_embedding_type"))
            .is_some_and(|code| code != "absolute" && code != "learned_absolute");
        // timm has ViTs with rotary or relative codes and a table, and the file does not distinguish them.
        let timm = stack.rsplit('.').next() == Some("blocks");
        if order::has(&self.key_norm_stacks, &site.stack) {
            seen("keys are normalised after the projection, so a constant in them is visible")
        } else if rotary {
            seen("a rotary code turns keys by their position, so a constant in them is visible")
        } else if relative {
            seen("keys meet queries through relative positions, so a constant in them counts as visible")
        } else if self.relative.iter().any(|part| part_of(stack) == part) {
            visible("keys meet queries through relative positions, so a constant in them counts as visible")
        } else if scope
            .is_some_and(|scope| scope.truth("alibi") == Some(true) || scope.family() == Some("bloom"))
        {
            Keys { invisible: true, known_to_be_seen: false, why: "ALiBi adds to the scores and does not touch the keys, so a constant in all keys adds the same to every score and softmax does not see it".to_owned() }
        } else if self.has_table(stack) && !timm {
            Keys { invisible: true, known_to_be_seen: false, why: "positions are a learned table added to the input, so a constant in all keys adds the same to every score and softmax does not see it".to_owned() }
        } else {
            visible("the position code is not known, so a constant in keys counts as visible")
        }
    }
}

/// The part of a bundle that a name belongs to: its first component.
fn part_of(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// Names of tables of tokens.
const TOKEN_TABLES: [&str; 8] = [
    "wte",
    "embed_tokens",
    "word_embeddings",
    "embed_in",
    "shared",
    "tok_embeddings",
    "token_embd",
    "token_embedding",
];

/// Whether a tensor is a table of tokens by its name.
pub(super) fn is_token_table(name: &str) -> bool {
    let module = name.strip_suffix(".weight").unwrap_or(name);
    TOKEN_TABLES.contains(&module.rsplit('.').next().unwrap_or_default())
}

/// The embedding that is also the unembedding, and why.
pub(super) fn tied_embedding(
    tensors: &[Tensor],
    site: &NormSite,
    config: Option<&Config>,
) -> Option<(usize, String)> {
    let scope = config?.scope(&site.name);
    let explicit = scope.truth("tie_word_embeddings");
    let generates = ["LMHeadModel", "ForCausalLM", "ForConditionalGeneration", "ForMaskedLM"]
        .iter()
        .any(|head| config.is_some_and(|config| config.has_architecture(head)));
    // Without the field, the library's default is to tie. A model without a language head has nothing to tie.
    if explicit == Some(false) || !(generates || explicit == Some(true) && scope.is_gguf()) {
        return None;
    }
    let embedding = tensors.iter().position(|tensor| {
        is_token_table(&tensor.name) && tensor.shape.len() == 2 && tensor.shape[1] == site.width
    })?;
    let why = if scope.is_gguf() {
        "no `output.weight` is stored, and llama.cpp then unembeds with the input embedding"
    } else if explicit == Some(true) {
        "the configuration ties the unembedding to the input embedding"
    } else {
        "no unembedding is stored and the library ties it to the input embedding by default"
    };
    Some((embedding, why.to_owned()))
}
