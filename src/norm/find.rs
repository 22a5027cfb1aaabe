//! Every norm site of a catalogue, found from names and shapes alone.
//!
//! A site is a vector named as a scale (`weight`, `gamma`, `g`, `scale`, fused `…layer_norm_weight`) whose module is
//! a norm: by its name, or because a shift of the same shape stands beside it. LayerScale, modulation, weight-norm
//! and activation parameters are vectors too and are told apart by what they lack.

use super::names::{self, Path};
use crate::checkpoint::Tensor;
use crate::report::NormRole;
use std::collections::{BTreeMap, HashMap, HashSet};

/// One norm module of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSite {
    /// Module path: the scale's name without its last part.
    pub name: String,
    /// Index of the scale in the catalogue.
    pub scale: usize,
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
    /// It is the only norm on the residual stream in its block, which attention and feed-forward then share.
    pub alone_in_block: bool,
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

/// Finds every norm site, in the order of the network.
pub fn find(tensors: &[Tensor]) -> Vec<NormSite> {
    let catalogue = Catalogue::new(tensors);
    let mut sites: Vec<NormSite> = (0..tensors.len()).filter_map(|index| catalogue.site(index)).collect();
    place(&catalogue, &mut sites);
    sites.sort_by(|a, b| {
        let phase = |site: &NormSite| match (site.place, site.block) {
            (Place::Embedding, None) => (0, 0),
            (_, Some(block)) => (1, block),
            (Place::Final, None) => (3, 0),
            (Place::Head, None) => (4, 0),
            _ => (2, 0),
        };
        let root = |site: &NormSite| site.name.split('.').next().unwrap_or_default().to_owned();
        // An encoder comes before the decoder that reads it.
        let decoder = |site: &NormSite| site.name.split('.').any(|part| part == "decoder");
        let key = |site: &NormSite| {
            (root(site), decoder(site), phase(site).0, site.stack.clone(), phase(site).1, site.place)
        };
        key(a).cmp(&key(b)).then_with(|| alphanumeric_sort::compare_str(&a.name, &b.name))
    });
    sites
}

/// The catalogue with the questions that finding sites asks.
struct Catalogue<'a> {
    tensors: &'a [Tensor],
    by_name: HashMap<&'a str, usize>,
    /// Modules that directly hold a convolution kernel (a tensor of 3 or more dimensions named conv…).
    convolutional: HashSet<&'a str>,
}

impl<'a> Catalogue<'a> {
    fn new(tensors: &'a [Tensor]) -> Self {
        let by_name =
            tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
        let convolutional = tensors
            .iter()
            .filter(|tensor| tensor.shape.len() >= 4)
            .filter_map(|tensor| {
                let (module, _) = split_last(&tensor.name)?;
                let (parent, name) = split_last(module)?;
                // ConvNeXt's depthwise convolution goes with a LayerNorm; a ResNet's conv1, conv2 with group or batch norm.
                (name.starts_with("conv") && name != "conv_dw").then_some(parent)
            })
            .collect();
        Self { tensors, by_name, convolutional }
    }

    fn sibling(&self, module: &str, separator: &str, name: &str) -> Option<usize> {
        self.by_name.get(format!("{module}{separator}{name}").as_str()).copied()
    }

    fn site(&self, index: usize) -> Option<NormSite> {
        let tensor = &self.tensors[index];
        let width = vector_width(&tensor.shape)?;
        let separator = if tensor.name.contains('/') { "/" } else { "." };
        let (module, last) = tensor.name.rsplit_once(separator).unwrap_or(("", &tensor.name));
        let (scale_name, shifts) = SCALE_NAMES.iter().find(|(name, _)| *name == last)?;
        let fused = scale_name.contains('_');
        let shift = shifts
            .iter()
            .find_map(|name| self.sibling(module, separator, name))
            .filter(|&shift| vector_width(&self.tensors[shift].shape) == Some(width));
        let path = Path::new(module);
        let named = fused || names::is_norm(path.last()) || self.is_wrapped_norm(&path);
        let structural = *scale_name == "weight" && is_number(path.last()) && shift.is_some() && width > 1;
        let old_style = matches!(*scale_name, "gamma") && shift.is_some();
        if !(named || structural || old_style) || is_no_norm(&path) {
            return None;
        }
        let block_path = path.block_path();
        Some(NormSite {
            name: if module.is_empty() { tensor.name.clone() } else { module.to_owned() },
            scale: index,
            shift,
            width,
            role: NormRole::Other,
            place: Place::Unknown,
            block: path.block(),
            stack: path.stack(),
            block_path,
            other: self.other(module, separator, &path),
            alone_in_block: false,
        })
    }

    /// `norm.1.weight`, `layer_norm.ln.weight`: a wrapper's number or inner name under a norm.
    fn is_wrapped_norm(&self, path: &Path<'_>) -> bool {
        let inside = path.inside();
        is_number(path.last()) && inside.len() > 1 && names::is_norm(inside[inside.len() - 2])
    }

    /// Why the site is a batch, group, instance or adaptive norm.
    fn other(&self, module: &str, separator: &str, path: &Path<'_>) -> Option<&'static str> {
        let last = names::compact(path.last());
        let words = names::words(path.last());
        let says = |name: &str| last.contains(name);
        if self.sibling(module, separator, "running_mean").is_some()
            || self.sibling(module, separator, "running_var").is_some()
        {
            Some("it keeps running statistics, as batch norms do")
        } else if says("batchnorm") || words.iter().any(|word| word == "bn") {
            Some("its name says batch norm")
        } else if says("groupnorm") || words.iter().any(|word| word == "gn") {
            Some("its name says group norm")
        } else if says("instancenorm") {
            Some("its name says instance norm")
        } else if last == "lnx" {
            Some("RWKV's ln_x normalises each head apart: a group norm")
        } else if self.sibling(module, separator, "linear.weight").is_some() {
            Some("a linear map inside it makes the scale from a condition: an adaptive norm")
        } else if last == "convnormout"
            || split_last(module).is_some_and(|(parent, _)| self.convolutional.contains(parent))
        {
            Some("it stands beside convolutions, as group and batch norms do")
        } else {
            None
        }
    }
}

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

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn split_last(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(['.', '/'])
}

/// The width of a vector: one dimension, or several of which at most one is not 1.
fn vector_width(shape: &[u64]) -> Option<u64> {
    match shape {
        [width] if *width > 0 => Some(*width),
        [_, _, ..] if shape.iter().filter(|&&size| size != 1).count() == 1 => {
            shape.iter().find(|&&size| size > 1).copied()
        }
        _ => None,
    }
}

/// Decides role and place of every site, looking at the other sites of its block and its stack.
fn place(catalogue: &Catalogue<'_>, sites: &mut [NormSite]) {
    let mut blocks: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, site) in sites.iter().enumerate() {
        if let Some(block) = site.block_path.clone() {
            blocks.entry(block).or_default().push(index);
        }
    }
    let stacks: HashSet<String> =
        sites.iter().filter(|site| site.block.is_some()).map(|site| site.stack.clone()).collect();
    for site in sites.iter_mut().filter(|site| site.block.is_none()) {
        (site.role, site.place) = place_outside_blocks(site, &stacks);
    }
    keep_one_final(sites, &stacks);
    let pre_norm: HashSet<String> = stacks
        .iter()
        .filter(|stack| sites.iter().any(|site| site.place == Place::Final && belongs_to(site, stack)))
        .cloned()
        .collect();
    for indices in blocks.values() {
        let post_norm = !pre_norm.contains(&sites[indices[0]].stack);
        place_in_block(catalogue, sites, indices, post_norm);
    }
    // A post-norm stack ends with the last norm of its last block.
    for stack in stacks.iter().filter(|stack| !pre_norm.contains(*stack)) {
        let last_block = sites.iter().filter(|site| &site.stack == stack).filter_map(|site| site.block).max();
        let last = sites
            .iter_mut()
            .filter(|site| {
                &site.stack == stack && site.block == last_block && site.place == Place::AfterFeedForward
            })
            .max_by_key(|site| site.name.clone());
        if let Some(site) = last {
            site.role = NormRole::Final;
        }
    }
}

/// Whether a site outside blocks stands at the end of a stack: `model.norm` of `model.layers`, `ln_f` of `h`.
fn belongs_to(site: &NormSite, stack: &str) -> bool {
    let parent = stack.rsplit_once('.').map_or("", |(parent, _)| parent);
    let grandparent = parent.rsplit_once('.').map_or("", |(grandparent, _)| grandparent);
    site.stack == parent
        || site.stack == grandparent
        || (site.stack.is_empty() && site.name.starts_with("output_norm"))
}

fn place_outside_blocks(site: &NormSite, stacks: &HashSet<String>) -> (NormRole, Place) {
    let path = Path::new(&site.name);
    let last = names::compact(path.last());
    let words = path.words();
    let whole = words.join(" ");
    if is_query_key(path.last()) {
        return (NormRole::QueryKey, Place::InsideAttention);
    }
    let embedding =
        whole.contains("embed") || whole.contains("embd") || words.iter().any(|word| word == "emb");
    if (embedding && !last.contains("after"))
        || matches!(
            last.as_str(),
            "normpre" | "lnpre" | "prelayrnorm" | "prelayernorm" | "layernormpre" | "lnin"
        )
    {
        return (NormRole::Embedding, Place::Embedding);
    }
    let has = |marks: &[&str]| words.iter().any(|word| marks.contains(&word.as_str()));
    if has(&["head", "predictions", "vocab"]) {
        return (NormRole::Other, Place::Head);
    }
    let aside =
        has(&["transform", "classifier", "cls", "projector", "merger", "adapter", "connector", "head"]);
    if !aside && stacks.iter().any(|stack| belongs_to(site, stack)) {
        return (NormRole::Final, Place::Final);
    }
    (NormRole::Other, Place::Unknown)
}

/// Several norms may stand after one stack; the one with a final name, or at the shortest path, is the final norm.
fn keep_one_final(sites: &mut [NormSite], stacks: &HashSet<String>) {
    let rank = |site: &NormSite| {
        let last = names::compact(Path::new(&site.name).last());
        let named = matches!(
            last.as_str(),
            "norm"
                | "lnf"
                | "normf"
                | "finallayernorm"
                | "finalnorm"
                | "lnfinal"
                | "postlayernorm"
                | "lnpost"
                | "outputnorm"
                | "layernorm"
                | "lnout"
                | "encodernorm"
                | "decodernorm"
                | "normfinal"
                | "layernormpost"
        );
        (!named, site.name.len(), site.name.clone())
    };
    for stack in stacks {
        let mut at_end: Vec<usize> = (0..sites.len())
            .filter(|&index| sites[index].place == Place::Final && belongs_to(&sites[index], stack))
            .collect();
        at_end.sort_by_key(|&index| rank(&sites[index]));
        for &index in at_end.iter().skip(1) {
            // Another stack (encoder and decoder of one parent) may own it.
            let owned =
                stacks.iter().filter(|other| *other != stack).any(|other| belongs_to(&sites[index], other));
            if !owned {
                (sites[index].role, sites[index].place) = (NormRole::Other, Place::Unknown);
            }
        }
    }
}

fn place_in_block(catalogue: &Catalogue<'_>, sites: &mut [NormSite], indices: &[usize], post_norm: bool) {
    let mut parts: Vec<Part> = indices.iter().map(|&index| part_of(catalogue, &sites[index])).collect();
    let explicit_before =
        |part: Kind| parts.iter().any(|other| other.kind == part && other.side == Side::Before);
    // With a norm named for the feed-forward's input, post_attention_… is a sandwich norm; without, it is that input.
    let (attention_in, feed_forward_in) =
        (explicit_before(Kind::Attention), explicit_before(Kind::FeedForward));
    let plain_attention = parts.iter().any(|part| part.kind == Kind::Attention && part.side == Side::Plain);
    for part in &mut parts {
        if part.side == Side::After
            && part.kind == Kind::Attention
            && !feed_forward_in
            && (attention_in || plain_attention)
        {
            *part = Part { kind: Kind::FeedForward, side: Side::Before };
        }
    }
    let on_stream = parts
        .iter()
        .filter(|part| matches!(part.kind, Kind::Attention | Kind::CrossAttention | Kind::FeedForward))
        .count();
    for (&index, part) in indices.iter().zip(&parts) {
        let site = &mut sites[index];
        site.role = if part.kind == Kind::QueryKey { NormRole::QueryKey } else { NormRole::Block };
        site.alone_in_block = on_stream == 1 && matches!(part.kind, Kind::Attention | Kind::FeedForward);
        site.place = match (part.kind, part.side) {
            (Kind::QueryKey, _) => Place::InsideAttention,
            (Kind::Unknown, _) => Place::Unknown,
            (_, Side::After) => Place::ToResidual,
            (Kind::Attention, Side::Plain) if post_norm => Place::AfterAttention,
            (Kind::CrossAttention, Side::Plain) if post_norm => Place::AfterCrossAttention,
            (Kind::FeedForward, Side::Plain) if post_norm => Place::AfterFeedForward,
            (Kind::Attention, _) => Place::BeforeAttention,
            (Kind::CrossAttention, _) => Place::BeforeCrossAttention,
            (Kind::FeedForward, _) => Place::BeforeFeedForward,
        };
    }
}

/// Which part of a block a site's name points to, and on which side of it the name puts the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    kind: Kind,
    side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Attention,
    CrossAttention,
    FeedForward,
    QueryKey,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    /// The name does not say: before in a pre-norm stack, after in a post-norm one.
    Plain,
    After,
}

/// True for norms on queries, keys or values: `q_norm`, `k_layernorm`, `query_norm`, `norm_q`, `ln_k`.
fn is_query_key(last: &str) -> bool {
    let compact = names::compact(last);
    let stripped = compact.replace("layernorm", "norm").replace("rmsnorm", "norm");
    matches!(
        stripped.as_str(),
        // Latent attention's q_a and kv_a norms sit on compressed queries and keys.
        "qanorm"
            | "kvanorm"
            | "qnorm"
            | "knorm"
            | "vnorm"
            | "normq"
            | "normk"
            | "lnq"
            | "lnk"
            | "qln"
            | "kln"
            | "querynorm"
            | "keynorm"
            | "normquery"
            | "normkey"
            | "attnqnorm"
            | "attnknorm"
            | "normaddedq"
            | "normaddedk"
    )
}

fn part_of(catalogue: &Catalogue<'_>, site: &NormSite) -> Part {
    let path = Path::new(&site.name);
    if is_query_key(path.last()) {
        return Part { kind: Kind::QueryKey, side: Side::Plain };
    }
    let words = path.words();
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.iter().any(|wanted| word == wanted));
    let last = names::compact(path.last());
    let side = if has(&["pre", "before", "input", "in"]) {
        Side::Before
    } else if has(&["post"]) {
        Side::After
    } else {
        Side::Plain
    };
    let kind = if has(&["sub", "inner"]) {
        // Sub-LayerNorms stand before the output projection, where no reader is looked for.
        Kind::Unknown
    } else if has(&["cross", "encdecattention", "ca"]) || (has(&["encoder"]) && has(&["attn", "attention"])) {
        Kind::CrossAttention
    } else if has(&["ff", "ffn", "mlp", "feedforward", "ffw", "fc", "expert", "moe", "feed"])
        || last == "finallayernorm"
    {
        Kind::FeedForward
    } else if has(&["attn", "attention", "sa", "att", "selfattention", "operator", "qkv"]) {
        Kind::Attention
    } else if matches!(
        last.as_str(),
        "inputlayernorm"
            | "layernormbefore"
            | "inputnorm"
            | "inputrmsnorm"
            | "ln1"
            | "norm1"
            | "layernorm1"
            | "norm_1"
            | "ln"
    ) {
        Kind::Attention
    } else if matches!(last.as_str(), "layernormafter" | "outputlayernorm") {
        Kind::FeedForward
    } else if matches!(last.as_str(), "ln2" | "norm2" | "layernorm2") {
        // nn.TransformerDecoderLayer counts three: self-attention, cross-attention, feed-forward.
        let third = site.name.strip_suffix('2').map(|stem| format!("{stem}3.weight"));
        if third.is_some_and(|third| catalogue.by_name.contains_key(third.as_str())) {
            Kind::CrossAttention
        } else {
            Kind::FeedForward
        }
    } else if matches!(last.as_str(), "ln3" | "norm3" | "layernorm3") {
        Kind::FeedForward
    } else {
        by_neighbours(catalogue, site)
    };
    // layernorm_before and _after are ViT's two pre-norms; "input" and "output" name BERT's places.
    let side = match last.as_str() {
        "layernormafter" => Side::Before,
        "layernorm" | "outputlayernorm" => Side::Plain,
        _ => side,
    };
    Part { kind, side }
}

/// A norm called just `norm` or `LayerNorm` belongs to what stands beside it: T5's `layer.0` holds SelfAttention,
/// BERT's `output` holds the feed-forward's last map and its `attention.output` the attention's.
fn by_neighbours(catalogue: &Catalogue<'_>, site: &NormSite) -> Kind {
    let Some((parent, _)) = split_last(&site.name) else { return Kind::Unknown };
    let path = Path::new(parent);
    if path.block().is_none() {
        return Kind::Unknown;
    }
    let prefix = format!("{parent}.");
    let start = catalogue
        .tensors
        .partition_point(|tensor| alphanumeric_sort::compare_str(&tensor.name, &prefix).is_lt());
    let beside =
        catalogue.tensors[start..].iter().take_while(|tensor| tensor.name.starts_with(&prefix)).take(64);
    for tensor in beside {
        let words = names::words(tensor.name[prefix.len()..].split('.').next().unwrap_or_default());
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.iter().any(|wanted| word == wanted));
        if has(&["encdecattention"]) {
            return Kind::CrossAttention;
        }
        if has(&["selfattention", "attention", "attn"]) {
            return Kind::Attention;
        }
        if has(&["densereludense", "mlp", "ffn"]) {
            return Kind::FeedForward;
        }
    }
    if path.last() == "output" { Kind::FeedForward } else { Kind::Unknown }
}
