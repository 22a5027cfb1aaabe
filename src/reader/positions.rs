//! What makes a constant invisible: position codes for keys, tying for the unembedding.

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
    has_table: bool,
    has_relative: bool,
    /// Stacks with norms on their keys, sorted.
    key_norm_stacks: Vec<String>,
}

/// Whether a constant added to every key is invisible, and why that is believed.
pub(super) struct Keys {
    pub(super) invisible: bool,
    pub(super) why: String,
}

impl Positions {
    pub(super) fn new(tensors: &[Tensor], sites: &[NormSite]) -> Self {
        // An expert's maps are many, and none is a position code.
        let named =
            || tensors.iter().map(|tensor| tensor.name.as_str()).filter(|name| !name.contains("expert"));
        let any = |marks: &[&str]| named().any(|name| marks.iter().any(|mark| name.contains(mark)));
        let key_norms = sites.iter().filter(|site| site.place == Place::InsideAttention);
        let key_norm_stacks = order::distinct(key_norms.map(|site| site.stack.clone()));
        Self { has_table: any(&POSITION_TABLES), has_relative: any(&RELATIVE_MARKS), key_norm_stacks }
    }

    /// qᵀ(k + c) = qᵀk + qᵀc: the same for every key, so softmax does not see it, unless keys are turned by their
    /// position (rotary), normalised, or compared through distances.
    pub(super) fn keys(&self, site: &NormSite, scope: Option<Scope<'_>>) -> Keys {
        let visible = |why: &str| Keys { invisible: false, why: why.to_owned() };
        let rotary = scope.is_some_and(|scope| ROTARY_FIELDS.iter().any(|field| scope.has(field)));
        let relative = scope
            .and_then(|scope| scope.text("position_embedding_type"))
            .is_some_and(|code| code != "absolute" && code != "learned_absolute");
        if order::has(&self.key_norm_stacks, &site.stack) {
            visible("keys are normalised after the projection, so a constant in them is seen")
        } else if rotary {
            visible("a rotary code turns keys by their position, so a constant in them is seen")
        } else if self.has_relative || relative {
            visible("keys meet queries through relative positions, so a constant in them is taken as seen")
        } else if scope
            .is_some_and(|scope| scope.truth("alibi") == Some(true) || scope.family() == Some("bloom"))
        {
            Keys { invisible: true, why: "ALiBi adds to the scores and does not touch the keys, so a constant in all keys adds the same to every score and softmax does not see it".to_owned() }
        } else if self.has_table {
            Keys { invisible: true, why: "positions are a learned table added to the input, so a constant in all keys adds the same to every score and softmax does not see it".to_owned() }
        } else {
            visible("the position code is not known, so a constant in keys is taken as seen")
        }
    }
}

/// The embedding that doubles as unembedding, and why that is believed.
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
    // Without the field the library's default is to tie; a model without a language head has nothing to tie.
    if explicit == Some(false) || !(generates || explicit == Some(true) && scope.is_gguf()) {
        return None;
    }
    let embedding = tensors.iter().position(|tensor| {
        let module = tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name);
        let last = module.rsplit('.').next().unwrap_or_default();
        matches!(
            last,
            "wte"
                | "embed_tokens"
                | "word_embeddings"
                | "embed_in"
                | "shared"
                | "tok_embeddings"
                | "token_embd"
        ) && tensor.shape.len() == 2
            && tensor.shape[1] == site.width
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
