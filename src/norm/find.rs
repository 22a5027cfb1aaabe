//! Every norm site of a catalogue, found from names and shapes alone; norms that store nothing come from outside
//! ([`super::parameterless`]) and are placed among the others.
//!
//! A site is a vector named as a scale (`weight`, `gamma`, `g`, `scale`, fused `…layer_norm_weight`) whose module is
//! a norm: by its name, or because a shift of the same shape stands beside it. LayerScale, modulation, weight-norm
//! and activation parameters are vectors too and are told apart by what they lack.

use super::build::{self, Build};
use super::layout::{self, Recognised};
use super::names::{self, Path};
use super::parameterless::Parameterless;
use super::place;
use crate::checkpoint::Tensor;
use crate::order;
use crate::report::NormRole;
use std::collections::HashMap;

/// One norm module of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSite {
    /// Module path: the scale's name without its last part.
    pub name: String,
    /// Index of the scale in the catalogue; `None` for a norm that stores nothing, γ = 1.
    pub scale: Option<usize>,
    /// Index of the shift in the catalogue.
    pub shift: Option<usize>,
    /// Number of scales, d.
    pub width: u64,
    /// Where it sits.
    pub role: NormRole,
    /// What reads it: see [`Place`].
    pub place: Place,
    /// Index of its block.
    pub block: Option<u32>,
    /// Path of its block.
    pub block_path: Option<String>,
    /// Path of its stack of blocks, or of its parent.
    pub stack: String,
    /// Batch, group, instance or adaptive, and how that was seen; outside the theorem.
    pub other: Option<&'static str>,
    /// Why it may be another norm in spite of its shift; only a configuration settles it.
    pub doubt: Option<&'static str>,
    /// Its block, or a block of the stack it ends, has one norm on the residual stream, which attention and feed-forward
    /// share.
    pub parallel: bool,
    /// A norm on the residual stream of its block has a shift.
    pub shift_on_stream: bool,
    /// Its name or its neighbours put it at attention, feed-forward, queries or keys of its block.
    pub recognised: bool,
    /// What the blocks of its stack are made of, or of the stack that it begins or ends.
    pub build: Build,
    /// The scale has a row for each head, each of [`NormSite::width`].
    pub per_head: bool,
    /// The stack of blocks whose residual stream it stands on: its own, or the one that it begins or ends.
    pub stream: Option<String>,
    /// What the layout of its block says.
    pub layout: Option<Recognised>,
    /// Found by shapes and values only, as the catalogue's names say nothing: see [`super::unnamed`].
    pub unnamed: bool,
}

impl NormSite {
    /// A site of which nothing but its module path and width is known.
    fn new(name: String, width: u64) -> Self {
        let path = Path::new(&name);
        Self {
            scale: None,
            shift: None,
            width,
            role: NormRole::Other,
            place: Place::Unknown,
            block: path.block(),
            stack: path.stack(),
            block_path: path.block_path(),
            other: None,
            doubt: None,
            parallel: false,
            shift_on_stream: false,
            recognised: false,
            build: Build::default(),
            per_head: false,
            stream: None,
            layout: None,
            unnamed: false,
            name,
        }
    }

    /// The part of the model it belongs to: the path of its stream's stack, numbers left out, as Swin has a stack a stage.
    pub fn part(&self) -> Option<String> {
        let stack = self.stream.as_deref().filter(|stack| !stack.is_empty())?;
        Some(stack.split(['.', '/']).filter(|part| !is_number(part)).collect::<Vec<_>>().join("."))
    }

    /// Whether its input is the residual stream, so that what is written to the stream says something about it.
    pub fn reads_stream(&self) -> bool {
        let placed = self.unnamed || self.block.is_none() || self.recognised;
        placed && self.role != NormRole::QueryKey && self.other.is_none() && self.stream.is_some()
    }
}

/// A site's place in its block, which decides what reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Right after the embeddings.
    Embedding,
    /// Read by self-attention.
    BeforeAttention,
    /// Post-norm: follows self-attention, read by what comes next in the block.
    AfterAttention,
    /// Read by cross-attention's queries.
    BeforeCrossAttention,
    /// Post-norm: follows cross-attention.
    AfterCrossAttention,
    /// Read by the feed-forward part.
    BeforeFeedForward,
    /// Post-norm: follows the feed-forward part, read by the next block.
    AfterFeedForward,
    /// On queries, keys or values inside attention.
    InsideAttention,
    /// Its output goes straight to the residual stream (sandwich norms).
    ToResidual,
    /// After the last block.
    Final,
    /// Inside a language head, right before the unembedding.
    Head,
    /// Not known.
    Unknown,
}

/// Last parts of a tensor's name that can be a scale, with the shift that goes with each.
const SCALE_NAMES: [(&str, &[&str]); 8] = [
    ("weight", &["bias"]),
    ("gamma", &["beta"]),
    ("g", &["b"]),
    ("scale", &["bias", "offset", "shift"]),
    ("w", &["b"]),
    ("layer_norm_weight", &["layer_norm_bias"]),
    ("ln_weight", &["ln_bias"]),
    ("alpha", &["bias", "beta"]),
];

/// Finds every norm site, in the order of the network; `parameterless` are known otherwise.
pub fn find(tensors: &[Tensor], parameterless: Vec<Parameterless>) -> Vec<NormSite> {
    let catalogue = Catalogue::new(tensors);
    let mut sites: Vec<NormSite> = (0..tensors.len()).filter_map(|index| catalogue.site(index)).collect();
    let stores = |sites: &[NormSite], name: &str| sites.iter().any(|site| site.name == name);
    for Parameterless { name, width } in parameterless {
        if !stores(&sites, &name) {
            sites.push(NormSite::new(name, width));
        }
    }
    let builds = build::stacks(tensors);
    place::place(&catalogue, &mut sites, &builds);
    layout::recognise(tensors, &mut sites);
    let only_convolutions = !builds.is_empty() && builds.iter().all(|(_, build)| build.only_convolutions());
    for site in &mut sites {
        site.doubt = catalogue.doubt(site, only_convolutions);
    }
    // The catalogue is sorted by name already, and the sort is stable.
    order::sort_by_key(&mut sites, place_in_network);
    sites
}

/// The order of the network: embeddings, blocks, what stands after them; an encoder before the decoder that reads it.
fn place_in_network(site: &NormSite) -> (bool, String, u8, String, u32, Place) {
    let mut parts = site.name.split(['.', '/']);
    let root = match parts.next().unwrap_or_default() {
        // GGUF's names have no parent, and are one part all the same.
        "token_embd_norm" | "blk" | "output_norm" => String::new(),
        root => root.to_owned(),
    };
    let decoder = root == "decoder" || root == "dec" || parts.any(|part| part == "decoder");
    let phase = match (site.place, site.block) {
        (Place::Embedding, None) => 0,
        (_, Some(_)) => 1,
        (Place::Final, None) => 3,
        (Place::Head, None) => 4,
        _ => 2,
    };
    (decoder, root, phase, site.stack.clone(), site.block.unwrap_or_default(), site.place)
}

/// The catalogue with the questions that finding sites asks.
pub(super) struct Catalogue<'a> {
    /// Every tensor, sorted by name with numbers in their numeric order.
    pub(super) tensors: &'a [Tensor],
    /// The same by name.
    pub(super) by_name: HashMap<&'a str, usize>,
    /// Modules that hold two convolutions or more that mix both channels and neighbours, as a ResNet block does. A depthwise
    /// one goes with a LayerNorm (ConvNeXt), and so does the single one of a stem. Sorted.
    convolutional: Vec<&'a str>,
    /// Parts (first components of names) that hold many such modules: the autoencoders and U-Nets of bundles. Sorted.
    pub(super) autoencoders: Vec<&'a str>,
}

impl<'a> Catalogue<'a> {
    fn new(tensors: &'a [Tensor]) -> Self {
        let by_name =
            tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
        let wide = |tensor: &&Tensor| tensor.shape.len() >= 4 && tensor.shape[1] > 1 && tensor.shape[2] > 1;
        let parents = tensors.iter().filter(wide).filter_map(|tensor| {
            let (module, _) = split_last(&tensor.name)?;
            Some(split_last(module)?.0)
        });
        let convolutional = order::repeated(parents, 2);
        let roots = convolutional.iter().map(|parent| parent.split('.').next().unwrap_or_default());
        let autoencoders = order::repeated(roots, MANY);
        Self { tensors, by_name, convolutional, autoencoders }
    }

    fn sibling(&self, module: &str, separator: &str, name: &str) -> Option<usize> {
        self.by_name.get(format!("{module}{separator}{name}").as_str()).copied()
    }

    fn site(&self, index: usize) -> Option<NormSite> {
        let tensor = &self.tensors[index];
        // TensorFlow separates by slashes throughout; a bundle's folder stands before a dotted name.
        let separator =
            if tensor.name.rsplit('/').next().is_some_and(|name| name.contains('.')) { "." } else { "/" };
        let (module, last) = tensor.name.rsplit_once(separator).unwrap_or(("", &tensor.name));
        let (scale_name, shifts) = SCALE_NAMES.iter().find(|(name, _)| *name == last)?;
        let named = module.rsplit(['.', '/']).next().unwrap_or_default();
        // Most tensors are matrices, and cost no more than this.
        let per_head = tensor.shape.len() == 2 && *scale_name == "weight" && place::is_query_key(named);
        let width = match vector_width(&tensor.shape) {
            Some(width) => width,
            None if per_head && tensor.elements() > 0 => *tensor.shape.last()?,
            None => return None,
        };
        let path = Path::new(module);
        let fused = scale_name.contains('_');
        let shift = shifts.iter().find_map(|name| self.sibling(module, separator, name)).filter(|&shift| {
            let shape = &self.tensors[shift].shape;
            vector_width(shape) == Some(width) || (per_head && *shape == tensor.shape)
        });
        let batch = self.sibling(module, separator, "running_var").is_some();
        // ConvNeXt V2's global response norm is stored as a vector, or as a map of channels that is no scale.
        let response = names::compact(path.last()) == "grn" && tensor.shape.len() > 1;
        let named =
            fused || batch || (names::is_norm(path.last()) && !response) || self.is_wrapped_norm(&path);
        let structural = *scale_name == "weight" && is_number(path.last()) && shift.is_some() && width > 1;
        // Video autoencoders scale channels by gamma (C × 1 × 1); a bare vector gamma is a LayerScale.
        let channels = tensor.shape.len() > 2 && tensor.shape[0] == width;
        let old_style = *scale_name == "gamma" && (shift.is_some() || channels);
        if !(named || structural || old_style) || is_no_norm(&path) {
            return None;
        }
        Some(NormSite {
            scale: Some(index),
            shift,
            other: match *scale_name {
                // ResMLP's Affine, under the names of its paper; a bare alpha scales an RMSNorm in Moshi.
                "alpha" if shift.is_some() => {
                    Some("its alpha and beta only scale and shift: nothing is normalised")
                }
                // Gemma's audio encoder has an RMSNorm there, without a shift.
                _ if shift.is_some() && module.starts_with("a.blk.") && path.last() == "conv_norm" => Some(
                    "llama.cpp folds the running statistics of an audio encoder's batch norms into scale and shift",
                ),
                _ => self.other(module, separator, &path),
            },
            per_head: per_head && vector_width(&tensor.shape).is_none(),
            ..NormSite::new(if module.is_empty() { tensor.name.clone() } else { module.to_owned() }, width)
        })
    }

    /// `norm.1.weight`, `layer_norm.ln.weight`: a wrapper's number or inner name under a norm.
    fn is_wrapped_norm(&self, path: &Path<'_>) -> bool {
        let inside = path.inside();
        let listed = is_number(path.last().trim_start_matches("stage"));
        listed && inside.len() > 1 && names::is_norm(inside[inside.len() - 2])
    }

    /// Why the site is a batch, group, instance or adaptive norm.
    fn other(&self, module: &str, separator: &str, path: &Path<'_>) -> Option<&'static str> {
        // A numbered norm is called what its list is called: group_norms.3.
        let named = path.inside().iter().rev().find(|part| !is_number(part)).copied().unwrap_or_default();
        let last = names::compact(named);
        let words = names::words(named);
        let says = |name: &str| last.contains(name);
        if self.sibling(module, separator, "running_mean").is_some()
            || self.sibling(module, separator, "running_var").is_some()
        {
            Some("it keeps running statistics, as batch norms do")
        } else if says("batchnorm") {
            Some("its name says batch norm")
        } else if says("groupnorm") || words.iter().any(|word| word == "gn") {
            Some("its name says group norm")
        } else if says("instancenorm") {
            Some("its name says instance norm")
        } else if last == "grn" {
            Some("its name says global response norm")
        } else if last == "lnx" {
            Some("RWKV's ln_x normalises each head apart: a group norm")
        } else if self.sibling(module, separator, "linear.weight").is_some() {
            Some("a linear map inside it makes the scale from a condition: an adaptive norm")
        } else if path.inside().iter().any(|part| matches!(*part, "in_layers" | "out_layers")) {
            Some("it stands where diffusion networks have group norms")
        } else if last == "convnormout"
            || (!is_number(path.last())
                && PLAIN_NAMES.contains(&last.trim_end_matches(|end: char| end.is_ascii_digit()))
                && split_last(module).is_some_and(|(parent, _)| {
                    // Stems have either: a batch norm in ResNets, a LayerNorm in hybrids with transformers.
                    !parent.ends_with("stem") && order::has(&self.convolutional, parent)
                }))
        {
            Some("it stands beside convolutions, as group and batch norms do")
        } else {
            None
        }
    }
}

/// Convolutional modules that make a part one of convolutions.
const MANY: usize = 3;

/// What group and batch norms between convolutions are called, numbers aside.
const PLAIN_NAMES: [&str; 4] = ["norm", "normin", "normout", "normlayer"];

/// Modules whose vectors are no norm scales, whatever else they are called.
fn is_no_norm(path: &Path<'_>) -> bool {
    let last = names::compact(path.last());
    let whole = path.inside().iter().map(|part| names::compact(part)).collect::<Vec<_>>();
    last.starts_with("layerscale")
        || last.contains("normfactor")
        || last.contains("adaln")
        || last.contains("modulation")
        || whole.iter().any(|part| part.contains("parametrizations"))
}

pub(super) fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name's parent and last part.
pub(super) fn split_last(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(['.', '/'])
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
