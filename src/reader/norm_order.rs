//! Whether the norms of a block come before or after its parts, if their names do not say.
//!
//! A final norm says nothing: PyTorch's encoder has one in either order, and it may be in a missing file. A field of the
//! configuration decides, or the names of a library that has one order only.

use super::measured;
use super::view::View;
use crate::checkpoint::config::Scope;

/// The order of norms and parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Norms before the parts.
    Pre,
    /// Norms on the stream, after the parts.
    Post,
}

/// Fields that are true for pre-norm.
const FLAGS: [&str; 9] = [
    "normalize_before",
    "do_layer_norm_before",
    "do_stable_layer_norm",
    "norm_first",
    "pre_norm",
    "pre_layer_norm",
    "prenorm",
    "encoder_normalize_before",
    "use_pre_layer_norm",
];

/// Fields that hold "pre" or "post".
const STYLES: [&str; 4] = ["layernorm_style", "layer_norm_style", "norm_style", "norm_position"];

/// Names outside the blocks of detectors. Detectors add positions to queries and keys after the norm.
const DETECTOR_MARKS: [&str; 6] =
    ["query_embed", "query_position", "query_pos", "bbox", "reference_points", "input_proj"];

/// The order of a block, or why it is not known.
pub(super) fn of(view: &View<'_>) -> Result<Order, String> {
    if let Some(mark) =
        DETECTOR_MARKS.iter().find(|mark| view.outside.iter().any(|name| name.contains(**mark)))
    {
        return Err(format!("`{mark}…` lies beside the stack: positions may be added after the norms"));
    }
    let measured = |scope| measured::pre_norm(scope).map(|pre| if pre { Order::Pre } else { Order::Post });
    view.scope.and_then(|scope| configured(scope).or_else(|| measured(scope))).or_else(|| library(view)).ok_or_else(|| {
        "neither its names nor a configuration say whether the norms of its block come before or after the parts"
            .to_owned()
    })
}

/// The order that a configuration gives.
pub(super) fn configured(scope: Scope<'_>) -> Option<Order> {
    let flag = FLAGS.iter().find_map(|flag| scope.truth(flag));
    let style = STYLES.iter().find_map(|style| match scope.text(style)? {
        "pre" | "prenorm" | "pre_norm" => Some(true),
        "post" | "postnorm" | "post_norm" => Some(false),
        _ => None,
    });
    flag.or(style).map(|pre| if pre { Order::Pre } else { Order::Post })
}

/// The order of libraries that have only one order under their names. Each is known by names that others lack.
fn library(view: &View<'_>) -> Option<Order> {
    let has = |last: &str| view.has_last(last);
    let outside = |wanted: &str| view.outside.iter().any(|name| name.split('.').any(|part| part == wanted));
    let all = |names: &[&str]| names.iter().all(|name| has(name));
    // GPT-2 and related models call the token table wte. GPT-1 has the same blocks, post-norm, and calls it tokens_embed.
    let gpt2 = all(&["ln_1", "ln_2", "c_attn", "c_fc", "c_proj"]) && outside("wte");
    let gptj = all(&["ln_1", "q_proj", "fc_in", "fc_out"]) && !has("ln_2");
    let gpt_neo = all(&["ln_1", "ln_2", "q_proj", "k_proj", "v_proj", "c_fc", "c_proj"]) && outside("wte");
    // CLIP, SigLIP and what is built on them.
    let clip = all(&["layer_norm1", "layer_norm2", "q_proj", "out_proj", "fc1", "fc2"]);
    let open_clip = all(&["ln_1", "ln_2", "in_proj_weight", "out_proj", "c_fc", "c_proj"]);
    // PVT and SegFormer.
    let pyramid = all(&["layer_norm_1", "layer_norm_2", "query", "key", "value", "dense1", "dense2"]);
    let lens = all(&["ln1", "W_Q", "W_K", "W_V", "W_O"]);
    let litgpt = all(&["norm_1", "proj"]) && (has("fc") || has("fc_1")) && (has("qkv") || has("attn"));
    (gpt2 || gptj || gpt_neo || clip || open_clip || pyramid || lens || litgpt || opt(view) || vision(view))
        .then_some(Order::Pre)
}

/// OPT: its code makes a final norm beside the embeddings only if the blocks are pre-norm. BART and related models, which have the
/// same blocks, call theirs `layer_norm`, or have `layernorm_embedding`.
fn opt(view: &View<'_>) -> bool {
    let block =
        ["self_attn_layer_norm", "final_layer_norm", "q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"];
    let stack = || view.outside.iter().filter_map(|name| name.strip_suffix(".final_layer_norm"));
    let beside =
        |stack: &str, name: &str| view.outside.iter().any(|other| *other == format!("{stack}.{name}"));
    block.iter().all(|name| view.has_last(name))
        && stack().any(|stack| {
            beside(stack, "embed_tokens")
                && beside(stack, "embed_positions")
                && !beside(stack, "layernorm_embedding")
        })
}

/// timm's ViT and models named like it. timm also has blocks with norms on the outputs of the parts, under the same names. Those
/// have no layer scale, and no bias of queries, keys and values.
fn vision(view: &View<'_>) -> bool {
    let has = |last: &str| view.has_last(last);
    let patches = view.outside.iter().any(|name| {
        name.split('.').any(|part| matches!(part, "patch_embed" | "patch_embeds" | "patch_embeddings"))
    });
    let fused = has("qkv") || ["q", "k", "v"].iter().all(|name| has(name));
    let separate = ["query", "key", "value"].iter().all(|name| has(name));
    let named_otherwise = view
        .scope
        .and_then(|scope| scope.text("architecture"))
        .is_some_and(|name| name.contains("rpn") || name.contains("swinv2"));
    let scaled = view.modules.iter().any(|module| {
        module.path.starts_with("ls1") || module.path.starts_with("layer_scale1") || module.path == "gamma_1"
    });
    let own = fused && has("proj") && (view.biased_qkv || scaled) || separate && scaled;
    ["norm1", "norm2", "fc1", "fc2"].iter().all(|name| has(name)) && patches && own && !named_otherwise
}
