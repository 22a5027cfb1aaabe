//! What is between a writer and the stream that it writes (MATH §9). A fixed scale of each channel (LayerScale) makes the writer
//! diag(λ)·U. A norm is not a fixed scale, so it is not known what the stream receives.

use super::{Part, Writer};
use crate::checkpoint::Tensor;
use crate::norm::{NormSite, Place};
use crate::order;

/// Leaves out the writers of stacks in which a norm comes before the stream, and gives the others the LayerScale of their part.
pub(super) fn look(tensors: &[Tensor], sites: &[NormSite], writers: Vec<Writer>) -> Vec<Writer> {
    let normed = sites.iter().filter(|site| site.place == Place::ToResidual);
    let normed = order::distinct(normed.map(|site| site.stack.clone()));
    let vectors = tensors
        .iter()
        .enumerate()
        .filter(|(_, tensor)| tensor.shape.len() == 1 && tensor.dtype.is_floating());
    let scales = order::groups(vectors.filter_map(|(index, tensor)| {
        let place = crate::norm::block_of(&tensor.name)?;
        let part = layer_scale(&place.inside)?;
        Some((format!("{}.{}", place.stack, place.block), (part, tensor.shape[0], index)))
    }));
    let scale_of = |writer: &Writer| {
        let beside = order::value_of(&scales, &format!("{}.{}", writer.stack, writer.block))?;
        let of_part = |&&(part, width, _): &&(Part, u64, usize)| part == writer.part && width == writer.rows;
        beside.iter().find(of_part).map(|&(_, _, index)| index)
    };
    let open = writers.into_iter().filter(|writer| !order::has(&normed, &writer.stack));
    open.map(|writer| Writer { scale: scale_of(&writer), ..writer }).collect()
}

/// The part whose output a parameter scales: `layer_scale1.lambda1` (DINOv2), `lambda_2` (BEiT), `ls1.gamma` (timm), `gamma_2` (CaiT).
fn layer_scale(inside: &str) -> Option<Part> {
    let (module, last) = inside.rsplit_once('.').unwrap_or(("", inside));
    let parameter = last.trim_end_matches(|end: char| end.is_ascii_digit() || end == '_');
    let module = module.rsplit('.').next().unwrap_or_default();
    let own = module.to_ascii_lowercase().replace('_', "");
    let in_module = (own.starts_with("layerscale") || own.starts_with("ls"))
        && matches!(parameter, "lambda" | "gamma" | "scale");
    // A bare gamma beside maps is a LayerScale only if it says which: ConvNeXt has one for both.
    let numbered = parameter != last && matches!(parameter, "lambda" | "gamma");
    let says = if in_module { own.as_str() } else { last };
    if !(in_module || numbered) {
        return None;
    }
    match says.chars().rev().find(char::is_ascii_digit) {
        Some('1') => Some(Part::Attention),
        Some('2') => Some(Part::FeedForward),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_scales_are_known_in_each_layout_and_norms_are_none() {
        for (name, part) in [
            ("layer_scale1.lambda1", Some(Part::Attention)),
            ("layer_scale2.lambda1", Some(Part::FeedForward)),
            ("lambda_2", Some(Part::FeedForward)),
            ("ls1.gamma", Some(Part::Attention)),
            ("ls_2.gamma", Some(Part::FeedForward)),
            ("gamma_1", Some(Part::Attention)),
            ("norm1.gamma", None),
            ("norm1.weight", None),
            ("gamma", None),
        ] {
            assert_eq!(layer_scale(name), part, "{name}");
        }
    }
}
