//! Which maps outside the blocks read a norm: heads, poolers, projections. A map after another map or after an activation reads no
//! norm.

use super::block::numberless;
use super::lexicon;
use crate::checkpoint::Tensor;

/// The relation of a map outside the blocks to the norm that ends a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// The first of a chain: a pooler, the dense map of a head. It reads the norm, and the maps after it do not.
    First,
    /// A head without a chain.
    Head,
    /// An unembedding without a chain.
    Unembedding,
    /// After a first map.
    Behind,
    /// It starts the network or does not belong to the end of a stack.
    Front,
    /// Not known: it may be between a norm and a head.
    Unknown,
}

/// Classifies a map outside the blocks by its module's path.
pub(super) fn tail(module: &str) -> Tail {
    let parts: Vec<&str> = module.split('.').collect();
    let last = parts.last().copied().unwrap_or_default();
    let parent = parts.len().checked_sub(2).map_or("", |at| parts[at]);
    match (parent, last) {
        (
            "pooler"
            | "transform"
            | "lm_head"
            | "head"
            | "classifier"
            | "predictions"
            | "generator_predictions",
            "dense",
        )
        | (_, "pooler" | "pre_classifier" | "vocab_transform") => Tail::First,
        ("lm_head" | "predictions", "decoder")
        | ("classifier", "out_proj")
        | (_, "vocab_projector")
        | ("cls", "seq_relationship") => Tail::Behind,
        (_, "lm_head" | "embed_out" | "proj_out" | "to_logits" | "output_projection" | "unembed")
        | ("unembed", "W_U")
        | ("", "output") => Tail::Unembedding,
        (
            _,
            "score" | "classifier" | "qa_outputs" | "text_projection" | "visual_projection" | "head"
            | "head_dist" | "linear_head" | "mlp_head",
        )
        | ("" | "visual", "proj")
        | ("head", "fc") => Tail::Head,
        _ if is_front(&parts) => Tail::Front,
        _ => Tail::Unknown,
    }
}

fn is_front(parts: &[&str]) -> bool {
    const MARKS: [&str; 15] = [
        "embed",
        "embd",
        "wte",
        "wpe",
        "patch",
        "position",
        "stem",
        "backbone",
        "feature_extractor",
        "feature_projection",
        "conv",
        "shared",
        "emb",
        "pos_block",
        "token",
    ];
    parts.iter().any(|part| MARKS.iter().any(|mark| part.contains(mark)))
}

/// The head that shares its module with the norm `site` and nothing else (`head.norm`, `head.fc`). The norm has the width of the
/// map's input, and the map's output has another width, so the map comes after the norm.
pub(super) fn beside(
    site: &str,
    width: u64,
    under: impl Fn(&str) -> Vec<(String, usize, Vec<u64>)>,
) -> Option<usize> {
    let (parent, last) = site.rsplit_once('.')?;
    let named = parent.rsplit('.').next().unwrap_or_default();
    if !matches!(named, "head" | "downsample" | "feature_projection" | "lm_head" | "classifier") {
        return None;
    }
    let mut map = None;
    for (inside, index, shape) in under(parent) {
        let module = lexicon::module_of(&inside).0;
        match shape[..] {
            _ if module == last || module.split('.').next() == Some(last) => {}
            [_] if inside.ends_with("bias") => {}
            [rows, columns] if columns == width && rows != width && map.is_none() => map = Some(index),
            _ => return None,
        }
    }
    map
}

/// open_clip's projections are bare parameters, stored (in, out).
pub(super) fn is_bare_projection(name: &str) -> bool {
    matches!(name, "text_projection" | "visual.proj" | "proj")
}

/// Whether two names belong to the same part of a bundle: text with text, vision with vision.
pub(super) fn same_part(a: &str, b: &str) -> bool {
    let part = |name: &str| {
        (name.contains("vision") || name.contains("visual") || name.contains("image"), name.contains("text"))
    };
    part(a) == part(b)
}

/// The unembedding after the norm of a masked language model's head.
pub(super) fn decoder_behind(site: &str) -> Option<Vec<String>> {
    let (parent, last) = site.rsplit_once('.').unwrap_or(("", site));
    match (parent.rsplit('.').next().unwrap_or_default(), last) {
        ("lm_head", "layer_norm" | "ln") => Some(vec![
            format!("{parent}.decoder.weight"),
            format!("{parent}.linear.weight"),
            format!("{parent}.weight"),
        ]),
        ("transform", "LayerNorm") => {
            let above = parent.rsplit_once('.').map_or("", |(above, _)| above);
            Some(vec![format!("{above}.decoder.weight")])
        }
        // ALBERT.
        ("predictions", "LayerNorm") => Some(vec![format!("{parent}.decoder.weight")]),
        (_, "vocab_layer_norm") => Some(vec!["vocab_projector.weight".to_owned()]),
        // ModernBERT.
        ("head", "norm") => Some(vec!["decoder.weight".to_owned(), "classifier.weight".to_owned()]),
        _ => None,
    }
}

/// Modules outside the blocks, with numbers as N.
pub(super) fn modules(tensors: &[Tensor], outside: &[usize]) -> Vec<String> {
    crate::order::distinct(
        outside.iter().map(|&index| numberless(lexicon::module_of(&tensors[index].name).0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_behind_another_map_are_told_from_those_that_read_the_norm() {
        for (module, wanted) in [
            ("bert.pooler.dense", Tail::First),
            ("pre_classifier", Tail::First),
            ("cls.predictions.transform.dense", Tail::First),
            ("cls.predictions.decoder", Tail::Behind),
            ("classifier", Tail::Head),
            ("lm_head", Tail::Unembedding),
            ("transformer.wte", Tail::Front),
            ("model.project_out", Tail::Unknown),
        ] {
            assert_eq!(tail(module), wanted, "{module}");
        }
    }
}
