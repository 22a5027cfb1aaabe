//! What stands around a norm: the linear maps and convolutions that write or read its channels, and whether attention stands beside
//! it. That, and not what the norm is called, separates a LayerNorm from a GroupNorm (MATH §8).

use super::build::Build;
use super::find::{NormSite, Place, is_number};
use super::names;
use crate::checkpoint::{Tensor, compare_names};
use crate::report::NormRole;

/// Tensors looked at below a module, at most.
const LOOK_BELOW: usize = 96;

/// A convolution that mixes channels and positions, and is not the first of an image or a sound.
pub(super) fn is_dense(shape: &[u64]) -> bool {
    let mut maps = Maps::default();
    maps.add(shape);
    maps.dense
}

/// Images, and some more planes.
const INPUT_CHANNELS: u64 = 4;

/// The maps whose rows or columns are the norm's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maps {
    /// Linear maps.
    linear: bool,
    /// Convolutions over one position: linear maps of channels.
    pointwise: bool,
    /// Convolutions that mix channels and positions.
    dense: bool,
    /// Such convolutions of an input with few channels: pixels, samples.
    stem: bool,
    /// Convolutions of each channel apart.
    depthwise: bool,
    /// Two dense convolutions or more with as many norms, one of them from as many channels to as many: a residual block.
    residual: bool,
}

impl Maps {
    fn add(&mut self, shape: &[u64]) {
        match *shape {
            [rows, columns] => self.linear |= rows > 1 && columns > 1,
            [rows, inputs, ref kernel @ ..] if rows > 1 || inputs > 1 => {
                let positions: u64 = kernel.iter().product();
                match (positions > 1, rows > 1 && inputs > 1) {
                    (true, true) if inputs <= INPUT_CHANNELS => self.stem = true,
                    (true, true) => self.dense = true,
                    (true, false) => self.depthwise = true,
                    (false, _) => self.pointwise = true,
                }
            }
            _ => {}
        }
    }

    fn any(self) -> bool {
        self != Self::default()
    }

    /// In a word.
    fn name(self) -> &'static str {
        match (self.linear, self.dense, self.depthwise) {
            (_, true, _) if self.residual => "convolutions with a norm each",
            (true, true, _) => "convolutions and linear maps",
            (false, true, _) => "convolutions",
            (true, false, true) => "depthwise convolutions and linear maps",
            (false, false, true) => "depthwise convolutions",
            (linear, false, false) => match (self.stem, linear, self.pointwise) {
                (true, true, _) => "an input convolution and linear maps",
                (true, false, _) => "an input convolution",
                (false, _, true) => "pointwise convolutions",
                (false, true, false) => "linear maps",
                (false, false, false) => "no map",
            },
        }
    }
}

/// Where a norm stands, as far as it tells what the norm does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// In the nearest module around it that has any.
    maps: Maps,
    /// Attention is in the same module or in the same block.
    attention: bool,
    /// What its stack of blocks is made of.
    stack: &'static str,
    /// A map into the blocks stands beside the norm, which so comes before them.
    pub entry: bool,
    /// Where in it.
    position: &'static str,
    /// How a block without shifts is built.
    build: &'static str,
    /// How the scale's shape says where the channels are.
    shape: &'static str,
    /// What the scale is called in its module.
    parameter: &'static str,
}

impl Surroundings {
    /// Convolutions and no linear map write or read the norm, or stand in its stack beside attention, or nothing is known to: there stand
    /// group norms as well as LayerNorms over the channels. Two convolutions with a norm each are a residual block, where no
    /// library but one written to be mistaken had a LayerNorm.
    pub fn among_convolutions(&self) -> bool {
        let Maps { linear, pointwise, dense, stem, depthwise, residual } = self.maps;
        let convolutions = dense && (!residual || self.position == "in a head")
            || !linear && (pointwise || depthwise || stem);
        convolutions
            || self.entry
            || !self.maps.any()
            || self.stack == "a stack of attention and convolutions"
    }

    /// It stands in no stack of transformer blocks: networks over graphs or over features have norms over all their nodes or
    /// in groups as well as LayerNorms, beside attention too.
    pub fn outside_transformers(&self) -> bool {
        !self.stack.contains("transformer") && !self.stack.contains("attention")
    }

    /// Convolutions that mix channels and positions write or read the norm.
    pub fn beside_convolutions(&self) -> bool {
        self.maps.dense
    }

    /// A scale of channels before positions and without a shift: RMSNorms of video autoencoders are stored so, and a LayerNorm over the
    /// channels of a convolution is a vector.
    pub fn only_rms(&self) -> bool {
        self.shape == "channels first, without a batch"
    }

    /// The coarsest description: the maps and attention.
    pub fn coarse(&self) -> String {
        let attention = if self.attention { "with attention" } else { "without attention" };
        format!("{}, {attention}", self.maps.name())
    }

    /// With the stack and the shape of the scale.
    pub fn finer(&self) -> String {
        format!("{}; {}; {}{}", self.coarse(), self.stack, self.shape, self.parameter)
    }

    /// With the position in the block and how the block is built.
    pub fn finest(&self) -> String {
        format!("{}; {}; {}", self.finer(), self.position, self.build)
    }

    /// As part of a sentence.
    pub fn described(&self) -> String {
        let attention = if self.attention { " and attention" } else { "" };
        let build = match self.build {
            "" => String::new(),
            build => format!(", {build}"),
        };
        format!("{}{attention} around it; {}, {}{build}", self.maps.name(), self.stack, self.position)
    }
}

/// Describes a site of a catalogue that is sorted by name.
pub(super) fn around(tensors: &[Tensor], site: &NormSite) -> Surroundings {
    let (mut maps, mut attention, mut entry) = (Maps::default(), false, false);
    let block = site.block_path.as_deref().unwrap_or_default();
    let mut module = site.name.as_str();
    while let Some(cut) = module.rfind(['.', '/']) {
        let below = below(tensors, &module[..=cut], site.width);
        module = &module[..cut];
        if !maps.any() {
            maps = below.touching;
            entry = below.entry && site.block.is_none();
        }
        let inside = site.block.is_some() && module.len() >= block.len();
        attention |= (inside || maps.any() && !attention && below.touching.any()) && below.attention;
        if maps.any() && (!inside || module.len() == block.len()) {
            break;
        }
    }
    if !maps.any() {
        // Modules at the root: `norm` beside `head`.
        maps = below(tensors, "", site.width).touching;
    }
    Surroundings {
        maps,
        attention,
        stack: stack(site.build, site.stream.is_some()),
        entry,
        position: if entry { "before the blocks" } else { position(site) },
        build: if site.shift.is_none() && site.role != NormRole::QueryKey { built(site) } else { "" },
        parameter: site.scale.map_or("", |scale| parameter(&tensors[scale].name)),
        shape: site.scale.map_or("", |scale| shape(&tensors[scale].shape, site)),
    }
}

struct Below {
    touching: Maps,
    attention: bool,
    /// A map into the blocks stands beside the norm.
    entry: bool,
}

/// The maps below a module that belong to it: those of numbered modules inside it are their own affair.
fn below(tensors: &[Tensor], prefix: &str, width: u64) -> Below {
    let start = tensors.partition_point(|tensor| compare_names(&tensor.name, prefix).is_lt());
    let mut found = Below { touching: Maps::default(), attention: false, entry: false };
    let (mut convolutions, mut vectors, mut square) = (0, 0, false);
    let near = tensors[start..].iter().take_while(|tensor| tensor.name.starts_with(prefix)).take(LOOK_BELOW);
    let module =
        names::compact(prefix.trim_end_matches(['.', '/']).rsplit(['.', '/']).next().unwrap_or_default());
    for tensor in near {
        let parts: Vec<&str> = tensor.name[prefix.len()..].split(['.', '/']).collect();
        // The weight's own module may be numbered, as in a Sequential.
        let nested = parts.len() > 2 && parts[..parts.len() - 2].iter().any(|part| is_number(part));
        if !nested && tensor.shape == [width] {
            vectors += usize::from(!tensor.name.ends_with("bias") && !tensor.name.ends_with("beta"));
        }
        if nested || tensor.shape.len() < 2 || tensor.shape.iter().filter(|&&size| size > 1).count() < 2 {
            continue;
        }
        found.entry |= matches!(parts[0], "proj_in" | "conv_in");
        if tensor.shape[..2].contains(&width) {
            found.touching.add(&tensor.shape);
            // conv1 and conv2 of a block; those of a Sequential stand among other things.
            if is_dense(&tensor.shape) && !parts.iter().any(|part| is_number(part)) {
                convolutions += 1;
                square |= tensor.shape[0] == tensor.shape[1];
            }
        }
        found.attention |=
            is_attention(&module) || parts.iter().any(|part| is_attention(&names::compact(part)));
    }
    found.touching.residual = convolutions >= 2 && vectors >= 2 && square;
    found
}

/// What attention and its projections are called.
pub(super) fn is_attention(compact: &str) -> bool {
    const PROJECTIONS: [&str; 25] = [
        "q",
        "k",
        "v",
        "qkv",
        "kv",
        "toq",
        "tok",
        "tov",
        "toqkv",
        "tokv",
        "query",
        "key",
        "value",
        "qproj",
        "kproj",
        "vproj",
        "qkvproj",
        "inprojweight",
        "wq",
        "wk",
        "wv",
        "wqkv",
        "querykeyvalue",
        "toqueries",
        "qlin",
    ];
    PROJECTIONS.contains(&compact) || compact.contains("attn") || compact.contains("attention")
}

fn stack(build: Build, known: bool) -> &'static str {
    match (known, build.attention, build.has_matrices(), build.has_kernels()) {
        (false, ..) => "outside any stack of blocks",
        (_, true, true, false) => "a transformer's stack",
        (_, true, _, true) if build.has_dense_kernels() => "a stack of attention and convolutions",
        (_, true, _, true) => "a transformer's stack with other convolutions",
        (_, false, true, false) => "a stack of linear maps",
        (_, false, false, true) => "a stack of convolutions",
        (_, false, true, true) => "a stack of convolutions and linear maps",
        (_, _, false, false) => "a stack without maps",
    }
}

fn position(site: &NormSite) -> &'static str {
    let numbered = site.name.rsplit(['.', '/']).next().is_some_and(is_number);
    match (site.role, site.place) {
        (NormRole::QueryKey, _) => "on queries or keys",
        (NormRole::Final, _) if site.block.is_none() => "after the last block",
        (NormRole::Embedding, _) => "on the embeddings",
        (_, Place::Head) => "in a head",
        _ if site.block.is_some() && site.recognised => "at attention or feed-forward of a block",
        _ if site.block.is_some() && numbered => "numbered in a block",
        _ if site.block.is_some() => "elsewhere in a block",
        _ if numbered => "numbered",
        _ => "elsewhere",
    }
}

/// How blocks whose norms have no shift are built: LayerNorms without a shift stand in blocks of other kinds than RMSNorms do.
fn built(site: &NormSite) -> &'static str {
    let build = site.build;
    if site.shift_on_stream {
        "other norms of the block have a shift"
    } else if build.state_space {
        "with a state-space mixer"
    } else if site.parallel {
        "one norm for attention and feed-forward"
    } else if build.gated {
        "with a gated feed-forward part"
    } else if build.relative_positions {
        "with a table of relative positions"
    } else if build.biased {
        "linear maps with biases"
    } else {
        ""
    }
}

/// The parameter's own name, where it is not the usual one.
fn parameter(scale: &str) -> &'static str {
    const NAMES: [(&str, &str); 6] = [
        ("gamma", " gamma"),
        ("g", " g"),
        ("scale", " scale"),
        ("w", " w"),
        ("alpha", " alpha"),
        ("a_2", " a_2"),
    ];
    let last = scale.rsplit(['.', '/']).next().unwrap_or_default();
    NAMES.into_iter().find(|(name, _)| *name == last).map_or("", |(_, shown)| shown)
}

fn shape(scale: &[u64], site: &NormSite) -> &'static str {
    match scale {
        [_] if site.width == 1 => "one scale for all channels",
        [_] => "a vector",
        [_, _] if site.per_head => "a row for each head",
        [first, rest @ ..] if rest.len() > 1 && *first > 1 && rest.iter().all(|&size| size == 1) => {
            "channels first, without a batch"
        }
        [1, channels, rest @ ..] if *channels > 1 && rest.iter().all(|&size| size == 1) => "channels second",
        _ => "an array",
    }
}
