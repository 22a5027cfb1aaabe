//! Finds what is around a site: see [`Surroundings`].

use super::build::Build;
use super::maps::{Maps, is_attention, is_dense};
use super::names::{self, is_number};
use super::site::{NormSite, Place};
use super::surroundings::Surroundings;
use crate::checkpoint::{Tensor, compare_names};
use crate::report::NormRole;

/// Most tensors to look at below a module.
const LOOK_BELOW: usize = 96;

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
    /// Whether a map into the blocks is beside the norm.
    entry: bool,
}

/// The maps that belong to a module. Those of numbered modules inside it do not.
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
            // conv1 and conv2 of a block. Those of a Sequential are among other modules.
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

/// How blocks whose norms have no shift are built: LayerNorms without a shift occur in other kinds of blocks than RMSNorms.
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

/// The parameter's own name, if it is not the usual one.
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
