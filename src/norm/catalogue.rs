//! The catalogue, with the lookups that finding sites needs.
//!
//! A site is a vector named as a scale (`weight`, `gamma`, `g`, `scale`, fused `…layer_norm_weight`) whose module is
//! a norm: by its name, or because it holds nothing but this vector and a shift of the same shape. LayerScale, modulation,
//! weight-norm and activation parameters are vectors too; they lack the name and the shift that a norm has.

use super::behaviour::Behaviour;
use super::names::{self, Path, is_number, split_last};
use super::site::NormSite;
use crate::checkpoint::{Tensor, compare_names};
use std::collections::HashMap;

/// Last parts of a tensor's name that can be a scale, with the shift that goes with each.
const SCALE_NAMES: [(&str, &[&str]); 9] = [
    ("weight", &["bias", "offset", "shift"]),
    ("gamma", &["beta", "bias"]),
    ("g", &["b", "bias"]),
    ("scale", &["bias", "offset", "shift"]),
    ("w", &["b"]),
    // The Annotated Transformer's.
    ("a_2", &["b_2"]),
    ("layer_norm_weight", &["layer_norm_bias"]),
    ("ln_weight", &["ln_bias"]),
    ("alpha", &["bias", "beta"]),
];

/// The catalogue with its lookups.
pub(super) struct Catalogue<'a> {
    /// Every tensor, sorted by name with numbers in their numeric order.
    pub(super) tensors: &'a [Tensor],
    /// The index of each tensor by its name.
    pub(super) by_name: HashMap<&'a str, usize>,
}

impl<'a> Catalogue<'a> {
    pub(super) fn new(tensors: &'a [Tensor]) -> Self {
        let by_name =
            tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
        Self { tensors, by_name }
    }

    fn sibling(&self, module: &str, separator: &str, name: &str) -> Option<usize> {
        self.by_name.get(format!("{module}{separator}{name}").as_str()).copied()
    }

    pub(super) fn site(&self, index: usize) -> Option<NormSite> {
        let tensor = &self.tensors[index];
        // TensorFlow always separates by slashes; a bundle's folder comes before a dotted name.
        let separator =
            if tensor.name.rsplit('/').next().is_some_and(|name| name.contains('.')) { "." } else { "/" };
        let (module, last) = tensor.name.rsplit_once(separator).unwrap_or(("", &tensor.name));
        let (scale_name, shifts) = SCALE_NAMES.iter().find(|(name, _)| *name == last)?;
        let named = module.rsplit(['.', '/']).next().unwrap_or_default();
        // Most tensors are matrices, and this check is all that they cost.
        let per_head = matches!(*scale_name, "weight" | "gamma" | "g")
            && names::is_query_key(named)
            && is_rows(&tensor.shape);
        let width = match vector_width(&tensor.shape) {
            Some(width) => width,
            None if per_head => *tensor.shape.last()?,
            None => return None,
        };
        let path = Path::new(module);
        let fused = scale_name.contains('_') && *scale_name != "a_2";
        let shift = shifts.iter().find_map(|name| self.sibling(module, separator, name)).filter(|&shift| {
            let shape = &self.tensors[shift].shape;
            vector_width(shape) == Some(width) || (per_head && *shape == tensor.shape)
        });
        let batch = self.sibling(module, separator, "running_var").is_some();
        // ConvNeXt V2's global response norm is stored as a vector, or as a map of channels that is no scale.
        let response = names::compact(path.last()) == "grn" && tensor.shape.len() > 1;
        let named =
            fused || batch || (names::is_norm(path.last()) && !response) || self.is_wrapped_norm(&path);
        if !(named || self.is_norm_by_structure(index, module, separator, scale_name, shift))
            || is_no_norm(&path)
        {
            return None;
        }
        Some(NormSite {
            scale: Some(index),
            shift,
            other: match *scale_name {
                // ResMLP's Affine, under the names of its paper; a bare alpha scales an RMSNorm in Moshi.
                "alpha" if shift.is_some_and(|shift| self.tensors[shift].name.ends_with("beta")) => {
                    Some((Behaviour::Plain, "its alpha and beta only scale and shift: nothing is normalised"))
                }
                // Gemma's audio encoder has an RMSNorm there, without a shift.
                _ if shift.is_some() && module.starts_with("a.blk.") && path.last() == "conv_norm" => Some((
                    Behaviour::Spanning,
                    "llama.cpp folds the running statistics of an audio encoder's batch norms into scale and shift",
                )),
                _ => self.other(module, separator, &path),
            },
            per_head: per_head && vector_width(&tensor.shape).is_none(),
            ..NormSite::new(if module.is_empty() { tensor.name.clone() } else { module.to_owned() }, width)
        })
    }

    /// Whether a module whose name says nothing holds what only a norm holds: a scale and a shift of one shape and nothing else;
    /// or a lone `g` or `gamma`; or, among the numbered linear maps of a Sequential, a lone vector.
    fn is_norm_by_structure(
        &self,
        index: usize,
        module: &str,
        separator: &str,
        scale: &str,
        shift: Option<usize>,
    ) -> bool {
        let tensor = &self.tensors[index];
        let last = module.rsplit(['.', '/']).next().unwrap_or_default();
        // Video autoencoders scale channels by gamma (C × 1 × 1), in a module called anything.
        let channels = scale == "gamma"
            && tensor.shape.len() > 2
            && vector_width(&tensor.shape) == Some(tensor.shape[0]);
        if channels {
            return true;
        }
        if module.is_empty() || !self.holds_only(module, separator, index, shift) {
            return false;
        }
        let numbered = is_number(last) && tensor.shape.len() == 1 && tensor.shape[0] > 1;
        match (scale, shift) {
            ("gamma" | "g" | "a_2", Some(_)) => vector_width(&tensor.shape) > Some(1),
            // A column is a linear map of one number.
            ("weight", Some(_)) => tensor.shape.len() == 1 && tensor.shape[0] > 1,
            ("g" | "gamma", None) => is_number(last),
            ("weight", None) => numbered && self.among_linear_maps(module, separator),
            _ => false,
        }
    }

    /// Whether a module holds this scale, its shift and scalars, and nothing else.
    fn holds_only(&self, module: &str, separator: &str, scale: usize, shift: Option<usize>) -> bool {
        let prefix = format!("{module}{separator}");
        let start = self.tensors.partition_point(|tensor| compare_names(&tensor.name, &prefix).is_lt());
        let below = self
            .tensors
            .iter()
            .enumerate()
            .skip(start)
            .take_while(|(_, tensor)| tensor.name.starts_with(&prefix));
        below
            .take(HELD)
            .all(|(index, tensor)| index == scale || Some(index) == shift || tensor.elements() <= 1)
    }

    /// Whether the numbered modules beside this one hold matrices, and none holds a convolution: a lone vector beside
    /// convolutions may be the slopes of a PReLU.
    fn among_linear_maps(&self, module: &str, separator: &str) -> bool {
        let Some((parent, _)) = split_last(module) else { return false };
        let beside = (0..BESIDE).filter_map(|number| {
            let name = format!("{parent}{separator}{number}{separator}weight");
            self.by_name.get(name.as_str()).map(|&index| self.tensors[index].shape.len())
        });
        let ranks: Vec<usize> = beside.collect();
        ranks.contains(&2) && ranks.iter().all(|&rank| rank <= 2)
    }

    /// `norm.1.weight`, `layer_norm.ln.weight`: a wrapper's number or inner name under a norm.
    fn is_wrapped_norm(&self, path: &Path<'_>) -> bool {
        let inside = path.inside();
        let listed = is_number(path.last().trim_start_matches("stage"));
        listed && inside.len() > 1 && names::is_norm(inside[inside.len() - 2])
    }

    /// What the module does, if it stores something that only one kind of module stores.
    fn other(&self, module: &str, separator: &str, path: &Path<'_>) -> Option<(Behaviour, &'static str)> {
        let has = |name: &str| self.sibling(module, separator, name);
        let scalar = |name: &&str| has(name).is_some_and(|index| self.tensors[index].elements() == 1);
        if has("running_mean").is_some() || has("running_var").is_some() {
            Some((Behaviour::Spanning, "it keeps running statistics, as batch norms do"))
        } else if ["alpha", "pre_tanh_scale"].iter().any(scalar) {
            Some((
                Behaviour::Plain,
                "a single number beside scale and shift bends a tanh: DyT, which normalises nothing",
            ))
        } else if names::compact(path.last()) == "lnx" {
            Some((Behaviour::Spanning, "RWKV's ln_x normalises each head apart: a group norm"))
        } else if has("linear.weight").is_some() {
            Some((
                Behaviour::Plain,
                "a linear map inside it makes the scale from a condition: an adaptive norm",
            ))
        } else {
            None
        }
    }
}

/// Tensors that a norm's module may hold: scale, shift and a few scalars.
const HELD: usize = 6;
/// Numbered modules that are looked at beside one.
const BESIDE: u32 = 12;

/// Whether the vectors of a module are not scales of a norm, whatever its name says.
fn is_no_norm(path: &Path<'_>) -> bool {
    let last = names::compact(path.last());
    let whole = path.inside().iter().map(|part| names::compact(part)).collect::<Vec<_>>();
    last.starts_with("layerscale")
        || names::words(path.last()).first().is_some_and(|word| word == "ls")
        || last.contains("normfactor")
        || last.contains("adaln")
        || last.contains("modulation")
        || whole.iter().any(|part| part.contains("parametrizations"))
}

/// Two dimensions that are not 1: heads × channels.
fn is_rows(shape: &[u64]) -> bool {
    !shape.contains(&0) && shape.iter().filter(|&&size| size > 1).count() == 2 && shape.last() > Some(&1)
}

/// The width of a vector: one dimension, or several of which at most one is not 1.
pub(super) fn vector_width(shape: &[u64]) -> Option<u64> {
    match shape {
        [width] if *width > 0 => Some(*width),
        [_, _, ..] if shape.iter().filter(|&&size| size != 1).count() == 1 => {
            shape.iter().find(|&&size| size > 1).copied()
        }
        _ => None,
    }
}
