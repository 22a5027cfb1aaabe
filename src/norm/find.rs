//! Every norm site of a catalogue, found from names and shapes alone; norms that store nothing come from outside
//! ([`super::parameterless`]) and are placed among the others.
//!
//! A site is a vector named as a scale (`weight`, `gamma`, `g`, `scale`, fused `…layer_norm_weight`) whose module is
//! a norm: by its name, or because it holds nothing but this vector and a shift of the same shape. LayerScale, modulation,
//! weight-norm and activation parameters are vectors too; they lack the name and the shift that a norm has.

use super::behaviour::Behaviour;
use super::build::{self, Build};
use super::habits::{self, Habits};
use super::layout::{self, Recognised};
use super::library;
use super::names::{self, Path};
use super::parameterless::Parameterless;
use super::place;
use super::registry::Knowledge;
use super::surroundings::{self, Surroundings};
use crate::checkpoint::{Tensor, compare_names};
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
    /// What it does, and how that was seen, where its module stores what only such a norm stores.
    pub other: Option<(Behaviour, &'static str)>,
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
    /// What stands around it.
    pub surroundings: Surroundings,
    /// How often norms of each behaviour were counted in such surroundings.
    pub habits: Habits,
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
            parallel: false,
            shift_on_stream: false,
            recognised: false,
            build: Build::default(),
            per_head: false,
            stream: None,
            surroundings: Surroundings::default(),
            habits: Habits::default(),
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

    /// Whether it stands outside the blocks and may be of the same code as their norms. One among convolutions or in a
    /// Sequential is of another part, as are one before a U-Net's blocks and one that stores other parameters than they do.
    pub fn is_beside_blocks(&self) -> bool {
        let numbered = self.name.rsplit(['.', '/']).next().is_some_and(is_number);
        let other_parameters = self.shift.is_none() && self.shift_on_stream;
        let among_others = self.surroundings.beside_convolutions() || self.surroundings.entry;
        self.block.is_none() && !numbered && !other_parameters && !among_others
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

/// Finds every norm site, in the order of the network; `parameterless` are known otherwise.
pub fn find(tensors: &[Tensor], parameterless: Vec<Parameterless>, knowledge: Knowledge) -> Vec<NormSite> {
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
    for site in sites.iter_mut().filter(|site| site.scale.is_some()) {
        site.surroundings = surroundings::around(tensors, site);
        if site.surroundings.entry {
            // `norm` beside `proj_in` and the blocks begins them and ends nothing.
            (site.role, site.place) = (NormRole::Other, Place::Unknown);
        }
    }
    layout::recognise(tensors, &mut sites, knowledge);
    let mut counted = Counted { known: Vec::new(), library: library::recognise(tensors, knowledge) };
    for site in sites.iter_mut().filter(|site| site.scale.is_some()) {
        site.habits = counted.of(site, knowledge);
    }
    // The catalogue is sorted by name already, and the sort is stable.
    order::sort_by_key(&mut sites, place_in_network);
    sites
}

/// Habits by what they depend on: the blocks of a stack are alike.
struct Counted {
    known: Vec<((bool, String, &'static str), Habits)>,
    library: Option<&'static str>,
}

impl Counted {
    fn of(&mut self, site: &NormSite, knowledge: Knowledge) -> Habits {
        let name = habits::name_class(&site.name);
        let key = (site.shift.is_some(), site.surroundings.finest(), name);
        let found = self.known.iter().find(|(other, _)| *other == key).map(|(_, habits)| habits.clone());
        let mut habits = found.unwrap_or_else(|| {
            let habits = Habits::of(key.0, &site.surroundings, name, self.library, knowledge);
            self.known.push((key, habits.clone()));
            habits
        });
        if site.build.bottleneck && site.role != NormRole::Other {
            habits.allow_plain();
        }
        habits
    }
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
}

impl<'a> Catalogue<'a> {
    fn new(tensors: &'a [Tensor]) -> Self {
        let by_name =
            tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
        Self { tensors, by_name }
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
        let per_head = matches!(*scale_name, "weight" | "gamma" | "g")
            && place::is_query_key(named)
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

    /// A module whose name says nothing, but that holds what only a norm holds: a scale and a shift of one shape and nothing else;
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

    /// Whether the numbered modules beside this one hold matrices, and none a convolution: a lone vector beside convolutions
    /// may be the slopes of a PReLU.
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

    /// What the module does, where it stores what only such a norm stores.
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

/// Modules whose vectors are no norm scales, whatever else they are called.
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

pub(super) fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name's parent and last part.
pub(super) fn split_last(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(['.', '/'])
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
