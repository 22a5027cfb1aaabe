//! Finds what reads a norm of a block whose every tensor is understood: see [`target`].

use super::lexicon::{self, Part};
use super::norm_order::{self, Order};
use super::view::{View, last_of};
use crate::norm;

/// Where a norm's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Self-attention's maps.
    Attention,
    /// Cross-attention's queries.
    CrossQueries,
    /// The feed-forward part's first maps.
    FeedForward,
    /// Attention and the feed-forward part beside it.
    Both,
    /// Keys and values after a spatial reduction.
    ReducedAttention,
    /// Attention of the block that follows.
    NextAttention,
    /// The residual stream: no map.
    Stream,
    /// Attention scores: no map.
    Scores,
}

/// On which side of which part of its block a norm is, as far as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Before(Kind),
    After(Kind),
    /// `norm1`, `self_attn_layer_norm`: before in a pre-norm block, after in a post-norm one.
    Either(Kind),
    /// On the output of a part, before the stream.
    OnOutput,
    /// After a spatial reduction, before keys and values.
    Reduced,
    Inside,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Attention,
    Cross,
    FeedForward,
}

/// Where the output of the norm at `site` goes, or what is not understood. Every tensor of the block must be known: an unknown
/// one may be between a norm and a map, as a convolution, a token shift or a spatial reduction is.
pub(super) fn target(view: &View<'_>, site: &str) -> Result<Target, String> {
    for module in view.modules.iter().filter(|module| !module.norm) {
        if module.path.is_empty() {
            return Err("it is numbered in a list of modules, and what reads it is not known".to_owned());
        }
        let part = lexicon::part_of(module.path).ok_or_else(|| {
            format!("`{}` in its block is not known, and may come between it and a map", module.path)
        })?;
        let packed = matches!(part, Part::Expert | Part::Aside | Part::Reduction)
            || last_of(module.path).starts_with("W_");
        if module.dimensions > 2 && !packed {
            return Err(format!("`{}` in its block is not a linear map", module.path));
        }
    }
    let maps_of_positions = view.has_last("pos_proj") || view.has_last("pos_key_proj");
    if !maps_of_positions && view.outside.iter().any(|name| last_of(name) == "rel_embeddings") {
        return Err("`rel_embeddings` lies beside the stack: queries and keys may read it too".to_owned());
    }
    for norm in view.norms() {
        stand(view, norm)?;
    }
    let stand = stand(view, site)?;
    let parallel = || {
        let others = view.norms().filter(|norm| *norm != site);
        let mut on_stream =
            others.filter(|norm| !matches!(self::stand(view, norm), Ok(Stand::Inside | Stand::Reduced)));
        on_stream.next().is_none()
    };
    let before = |kind| match kind {
        Kind::Attention if parallel() && view.has_feed_forward() => {
            // A block cut in two by a missing file looks as if one norm served both parts.
            let whole = view.has_most_norms;
            whole
                .then_some(Target::Both)
                .ok_or_else(|| "other blocks of its stack have more norms".to_owned())
        }
        Kind::Attention => Ok(Target::Attention),
        Kind::Cross => Ok(Target::CrossQueries),
        Kind::FeedForward => Ok(Target::FeedForward),
    };
    let after = |kind| match kind {
        Kind::Attention if view.has_cross_attention() => Target::CrossQueries,
        Kind::Attention | Kind::Cross => Target::FeedForward,
        Kind::FeedForward => Target::NextAttention,
    };
    match stand {
        Stand::Inside => Ok(Target::Scores),
        Stand::OnOutput => Ok(Target::Stream),
        Stand::Reduced => Ok(Target::ReducedAttention),
        Stand::Before(kind) => before(kind),
        Stand::After(kind) => Ok(after(kind)),
        Stand::Either(kind) => match norm_order::of(view)? {
            Order::Pre => before(kind),
            Order::Post => Ok(after(kind)),
        },
    }
}

/// Whether the name of a norm does not say on which side of a part it is.
pub(super) fn is_open(view: &View<'_>, site: &str) -> bool {
    !matches!(
        stand(view, site),
        Ok(Stand::Before(_) | Stand::After(_) | Stand::OnOutput | Stand::Reduced | Stand::Inside)
    )
}

fn stand(view: &View<'_>, site: &str) -> Result<Stand, String> {
    use Kind::{Attention, Cross, FeedForward};
    let last = last_of(site);
    if norm::is_query_key(last) || matches!(site, "attn.norm_v") {
        return Ok(Stand::Inside);
    }
    let has = |name: &str| view.has(name);
    Ok(match (site, last) {
        ("attention.output.LayerNorm", _) => Stand::After(Attention),
        ("crossattention.output.LayerNorm", _) => Stand::After(Cross),
        ("output.LayerNorm" | "output_query.LayerNorm", _) => Stand::After(FeedForward),
        (_, "sa_layer_norm") if has("output_layer_norm") => Stand::After(Attention),
        (_, "output_layer_norm") if has("sa_layer_norm") => Stand::After(FeedForward),
        // ALBERT; ESM and RoBERTa-PreLayerNorm use the same name for the norm before attention.
        ("attention.LayerNorm", _) if has("full_layer_layer_norm") => Stand::After(Attention),
        ("full_layer_layer_norm", _) if has("attention.LayerNorm") => Stand::After(FeedForward),
        // MPNet's comes after it.
        ("attention.LayerNorm", _) if has("output.LayerNorm") => Stand::After(Attention),
        ("attention.LayerNorm" | "attention.ln", _) => Stand::Before(Attention),
        ("LayerNorm", _) if has("attention.LayerNorm") => Stand::Before(FeedForward),
        ("ln", _) if has("attention.ln") => Stand::Before(FeedForward),
        ("intermediate.LayerNorm", _) if has("attention.LayerNorm") => Stand::Before(FeedForward),
        // GGUF: Falcon's second norm is attention's; Jina's BERT has another under that name. DBRX's second is the
        // feed-forward's, Grok's is on the output of attention.
        ("attn_output_norm" | "layer_output_norm", _) if has("attn_norm") && has("ffn_norm") => {
            Stand::OnOutput
        }
        ("attn_norm" | "attn_norm_2", _) if has("layer_output_norm") && !has("ffn_norm") => {
            return Err(format!("the position of `{site}` is not known"));
        }
        ("attn_norm", _) if has("attn_norm_2") => Stand::Before(FeedForward),
        ("attn_norm_2", _) => Stand::Before(Attention),
        ("attn_output_norm", _) if has("layer_output_norm") => Stand::After(Attention),
        ("attn_output_norm", _) if has("attn_norm") && !has("ffn_norm") => Stand::Before(FeedForward),
        ("layer_output_norm", _) if has("attn_output_norm") && !has("attn_norm") => Stand::After(FeedForward),
        (_, "post_attention_layernorm") if has("input_layernorm") && !has("pre_feedforward_layernorm") => {
            Stand::Before(FeedForward)
        }
        (
            _,
            "post_attention_layernorm"
            | "post_feedforward_layernorm"
            | "post_attention_norm"
            | "post_ffw_norm"
            | "post_mlp_layernorm",
        ) => Stand::OnOutput,
        (
            _,
            "input_layernorm"
            | "layernorm_before"
            | "attn_norm"
            | "attention_norm"
            | "ln_attn"
            | "pre_attention_layernorm",
        ) => Stand::Before(Attention),
        (
            _,
            "layernorm_after"
            | "ffn_norm"
            | "mlp_norm"
            | "ln_mlp"
            | "pre_feedforward_layernorm"
            | "pre_mlp_layernorm",
        ) => Stand::Before(FeedForward),
        (_, "self_attn_layer_norm") => Stand::Either(Attention),
        (_, "encoder_attn_layer_norm" | "cross_attention_layer_norm") => Stand::Either(Cross),
        (_, "final_layer_norm" | "ff_layer_norm") if has("self_attn_layer_norm") => {
            Stand::Either(FeedForward)
        }
        // wav2vec 2.0 and related models.
        ("layer_norm", _) if has("final_layer_norm") && has("feed_forward.intermediate_dense") => {
            Stand::Either(Attention)
        }
        ("final_layer_norm", _) if has("layer_norm") && has("feed_forward.intermediate_dense") => {
            Stand::Either(FeedForward)
        }
        // BEiT-3: before the maps that write the stream.
        ("attn.norm" | "mlp.norm", _) if has("attn.qkv") && has("mlp.fc1") && has("norm1") => Stand::Inside,
        ("attention.self.layer_norm" | "attn.norm", _) if view.is_reduced() => Stand::Reduced,
        ("norm_attn_norm.norm_1", _) => Stand::Before(Attention),
        ("norm_attn_norm.norm_2", _) => Stand::Before(FeedForward),
        // Mamba: one norm, one mixer.
        ("norm", _) if has("mixer.in_proj") && has("mixer.A_log") && has("mixer.conv1d") => {
            Stand::Before(FeedForward)
        }
        // AIMv2.
        ("rms_norm1", _) if has("rms_norm2") && has("attention.out_proj") && has("ffn.gate_proj") => {
            Stand::Before(Attention)
        }
        ("rms_norm2", _) if has("rms_norm1") && has("attention.out_proj") && has("ffn.gate_proj") => {
            Stand::Before(FeedForward)
        }
        // Phi's first code: one norm, read by both parts.
        ("ln", _) if has("mixer.Wqkv") => Stand::Before(Attention),
        _ => numbered(view, site).ok_or_else(|| format!("the position of `{site}` is not known"))?,
    })
}

/// `norm1`, `ln_2`, `layer_norm3`: attention, cross-attention if there is one, feed-forward.
fn numbered(view: &View<'_>, site: &str) -> Option<Stand> {
    let (stem, number) = site.split_at_checked(site.len().checked_sub(1)?)?;
    if !["norm", "norm_", "ln", "ln_", "layer_norm", "layer_norm_", "layernorm"].contains(&last_of(stem)) {
        return None;
    }
    let third = view.has(&format!("{stem}3"));
    match (number, view.has_cross_attention(), third) {
        ("1", cross, third) if cross == third => Some(Stand::Either(Kind::Attention)),
        ("2", false, false) => Some(Stand::Either(Kind::FeedForward)),
        ("2", true, true) => Some(Stand::Either(Kind::Cross)),
        ("3", true, true) => Some(Stand::Either(Kind::FeedForward)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::Module;
    use super::*;

    fn target_of(paths: &[&str], outside: &[&str], site: &str) -> Result<Target, String> {
        let outside: Vec<String> = outside.iter().map(|&name| name.to_owned()).collect();
        let modules = paths
            .iter()
            .map(|&path| Module {
                path,
                norm: last_of(path).contains("norm") || last_of(path).contains("ln"),
                dimensions: 2,
            })
            .collect();
        target(
            &View { modules, has_most_norms: true, biased_qkv: true, scope: None, outside: &outside },
            site,
        )
    }

    const TORCH: [&str; 6] =
        ["self_attn.in_proj_weight", "self_attn.out_proj", "linear1", "linear2", "norm1", "norm2"];

    #[test]
    fn the_norms_of_aimv2_stand_before_its_parts() {
        let block = [
            "attention.q_proj",
            "attention.k_proj",
            "attention.v_proj",
            "attention.out_proj",
            "ffn.gate_proj",
            "ffn.up_proj",
            "ffn.down_proj",
            "rms_norm1",
            "rms_norm2",
        ];
        assert_eq!(target_of(&block, &[], "rms_norm1"), Ok(Target::Attention));
        assert_eq!(target_of(&block, &[], "rms_norm2"), Ok(Target::FeedForward));
        assert!(target_of(&["attention.out_proj", "rms_norm1", "rms_norm2"], &[], "rms_norm1").is_err());
    }

    #[test]
    fn torch_names_do_not_say_where_the_norms_stand() {
        assert!(target_of(&TORCH, &["norm", "lm_head"], "norm1").is_err());
    }

    #[test]
    fn names_that_say_where_a_norm_stands_are_believed() {
        let vit = [
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
            "layernorm_before",
            "layernorm_after",
        ];
        assert_eq!(target_of(&vit, &[], "layernorm_before"), Ok(Target::Attention));
        assert_eq!(target_of(&vit, &[], "layernorm_after"), Ok(Target::FeedForward));
        let with_convolution: Vec<&str> = vit.iter().copied().chain(["dwconv"]).collect();
        assert!(target_of(&with_convolution, &[], "layernorm_before").is_err());
    }

    #[test]
    fn one_norm_is_shared_unless_other_blocks_have_two() {
        let paths = ["self_attn.q_proj", "self_attn.dense", "mlp.fc1", "mlp.fc2", "input_layernorm"];
        assert_eq!(target_of(&paths, &[], "input_layernorm"), Ok(Target::Both));
        let modules: Vec<Module<'_>> =
            paths.iter().map(|&path| Module { path, norm: path.ends_with("norm"), dimensions: 2 }).collect();
        let cut = View { modules, has_most_norms: false, biased_qkv: true, scope: None, outside: &[] };
        assert!(target(&cut, "input_layernorm").is_err());
    }
}
