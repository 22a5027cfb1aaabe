//! Recognises the code of a block by the names of its tensors: a measured layout, or the marks of a release. See
//! [`super::registry`].

use super::names::{self, Path, split_last};
use super::registry::{self, Knowledge, Match, Release, Statement, fingerprint};
use super::site::{NormSite, Recognised};
use crate::checkpoint::{Tensor, compare_names};
use crate::order;
use crate::report::NormKind;
use std::collections::HashMap;

/// A block or a smaller module, its names as a fingerprint, and the norms in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Fingerprint of its sorted names.
    pub fingerprint: String,
    /// How many distinct norms it has.
    pub norms: usize,
    /// Sites (by index), each with its place among the sorted names of these norms.
    pub members: Vec<(usize, usize)>,
    /// Whether it is a module, not a block.
    pub module: bool,
    /// Path of the block.
    path: String,
}

/// Every block with a norm, then the modules around norms that are in no block, or in none with a map.
pub fn groups(tensors: &[Tensor], sites: &[NormSite]) -> Vec<Group> {
    let mut groups = blocks(tensors, sites);
    let mut placed = vec![false; sites.len()];
    groups.iter().flat_map(|group| &group.members).for_each(|&(site, _)| placed[site] = true);
    let open = sites.iter().zip(placed).filter(|(site, placed)| !placed && site.scale.is_some());
    groups.extend(modules(tensors, sites, open.map(|(site, _)| site)));
    groups
}

/// Names inside one block, and the scales among them with their sites.
struct Block {
    path: String,
    names: Vec<String>,
    scales: Vec<(String, usize)>,
    /// Whether it has a map. A norm that is numbered in a list is a block without one.
    maps: bool,
}

fn blocks(tensors: &[Tensor], sites: &[NormSite]) -> Vec<Group> {
    let scales = sites.iter().enumerate().filter_map(|(index, site)| {
        Some((site.block_path.clone()?, (inside(&tensors[site.scale?].name), index)))
    });
    let mut blocks: Vec<Block> = order::groups(scales)
        .into_iter()
        .map(|(path, scales)| Block { path, names: Vec::new(), scales, maps: false })
        .collect();
    // Neighbours in a sorted catalogue mostly belong to one block.
    let mut last = String::new();
    for tensor in tensors.iter().filter(|tensor| !names::is_another_expert(&tensor.name)) {
        let Some((module, _)) = tensor.name.rsplit_once('.') else { continue };
        if !names::is_inside(module, &last) {
            match Path::new(module).block_path() {
                Some(path) => last = path,
                None => {
                    last.clear();
                    continue;
                }
            }
        }
        if let Ok(block) = blocks.binary_search_by(|block| block.path.cmp(&last)) {
            blocks[block].names.push(inside(&tensor.name));
            blocks[block].maps |= tensor.shape.len() > 1;
        }
    }
    let mut groups = Vec::with_capacity(blocks.len());
    for Block { path, names, scales, .. } in blocks.into_iter().filter(|block| block.maps) {
        let names = order::distinct(names);
        groups.push(group(&names, &scales, path, false));
    }
    groups
}

fn group(names: &[String], scales: &[(String, usize)], path: String, module: bool) -> Group {
    let norms = order::distinct(scales.iter().map(|(name, _)| name));
    let members = scales.iter().filter_map(|(name, site)| Some((*site, norms.binary_search(&name).ok()?)));
    Group {
        fingerprint: fingerprint(names.iter().map(String::as_str)),
        norms: norms.len(),
        members: members.collect(),
        module,
        path,
    }
}

/// A norm in no block may be in a known module: a ResNet block of an autoencoder, an attention pool.
fn modules<'a>(
    tensors: &[Tensor],
    sites: &'a [NormSite],
    open: impl Iterator<Item = &'a NormSite>,
) -> Vec<Group> {
    let mut scales: Vec<(&str, usize)> = sites
        .iter()
        .enumerate()
        .filter_map(|(index, site)| Some((tensors[site.scale?].name.as_str(), index)))
        .collect();
    order::sort_by(&mut scales, |a, b| compare_names(a.0, b.0));
    let mut seen: HashMap<&str, bool> = HashMap::new();
    let mut found = Vec::new();
    for site in open {
        let mut module = site.name.as_str();
        while let Some((parent, _)) = split_last(module) {
            module = parent;
            let known = seen.get(module).copied();
            if known == Some(true) {
                break;
            }
            if known.is_none() {
                let group = of_module(tensors, module, &scales);
                seen.insert(module, group.is_some());
                if let Some(group) = group {
                    found.push(group);
                    break;
                }
            }
        }
    }
    found
}

/// The parts of the table of layouts in which the blocks and modules around these sites are looked up.
pub fn parts(tensors: &[Tensor], sites: &[NormSite]) -> Vec<String> {
    order::distinct(groups(tensors, sites).iter().map(|group| registry::part(&group.fingerprint)))
}

/// Recognises the layout of every block with a norm.
pub(super) fn recognise(tensors: &[Tensor], sites: &mut [NormSite], knowledge: Knowledge) {
    let known: Vec<(Group, Match)> = groups(tensors, sites)
        .into_iter()
        .filter_map(|group| {
            let found = Match::of(&group.fingerprint, group.norms, knowledge)?;
            Some((group, found))
        })
        .collect();
    let recognised = |statement, found: &Match, module| Recognised {
        statement,
        families: found.families(),
        module,
        libraries: found.libraries(),
    };
    for (group, found) in &known {
        for &(site, place) in &group.members {
            let said = found.says(place).map(|statement| recognised(statement, found, group.module));
            sites[site].layout = sites[site].layout.take().or(said);
        }
    }
    let stacks = known.iter().filter(|(group, _)| !group.module);
    let of_stack = order::groups(
        stacks.map(|(group, found)| (&group.path[..group.path.rfind('.').unwrap_or(0)], found)),
    );
    let outside = sites.iter_mut().filter(|site| site.layout.is_none() && site.is_beside_blocks());
    for site in outside {
        let stack = site.stream.as_deref().and_then(|stack| order::value_of(&of_stack, stack));
        let said = stack.and_then(|found| Some((found[0].says_outside(&site.name)?, found[0])));
        site.layout = said.map(|(statement, found)| recognised(statement, found, false));
    }
    if knowledge.without.is_none() {
        recognise_releases(tensors, sites);
    }
}

/// Most tensors of a small module.
const MODULE: usize = 64;

/// Names below a module, with numbers as N, and with the rank of maps that are not matrices. `None` if it is too small or too
/// large to show whose code it is.
fn of_module(tensors: &[Tensor], module: &str, scales: &[(&str, usize)]) -> Option<Group> {
    let prefix = format!("{module}.");
    let start = tensors.partition_point(|tensor| compare_names(&tensor.name, &prefix).is_lt());
    let below =
        tensors[start..].iter().take_while(|tensor| tensor.name.starts_with(&prefix)).take(MODULE + 1);
    let (mut names, mut norms, mut seen, mut maps) = (Vec::new(), Vec::new(), 0, 0);
    for tensor in below {
        seen += 1;
        maps += usize::from(tensor.shape.len() > 1);
        let name = numberless(&tensor.name[prefix.len()..]);
        if let Ok(scale) = scales.binary_search_by(|(scale, _)| compare_names(scale, &tensor.name)) {
            norms.push((name.clone(), scales[scale].1));
        }
        names.push(if tensor.shape.len() > 2 { format!("{name}:{}", tensor.shape.len()) } else { name });
    }
    // What the module is called belongs to the code around it: `conv1, norm1, conv2, norm2` is a stem here and a block there.
    let called = numberless(module);
    let named = called.rsplit('.').find(|part| *part != "N").unwrap_or_default();
    names.push(format!("= {named}"));
    let names = order::distinct(names);
    (seen <= MODULE && names.len() >= FEWEST && maps >= 2)
        .then(|| group(&names, &norms, module.to_owned(), true))
}

/// With fewer names than this, its own included, a module may belong to any code.
const FEWEST: usize = 5;

/// A name's components with numbers as N.
fn numberless(name: &str) -> String {
    let parts =
        name.split('.').map(|part| if part.bytes().all(|byte| byte.is_ascii_digit()) { "N" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

/// Recognises releases by their marks, if no layout is known.
fn recognise_releases(tensors: &[Tensor], sites: &mut [NormSite]) {
    if !sites.iter().any(|site| site.layout.is_none()) {
        return;
    }
    // All experts have the same names, so one is enough.
    let named = tensors.iter().filter(|tensor| !names::is_another_expert(&tensor.name));
    let paths = named.map(|tensor| format!(".{}.", Path::new(&tensor.name).without_numbers().join(".")));
    let paths = order::distinct(paths);
    let releases = Release::of(&paths);
    for site in sites.iter_mut().filter(|site| site.layout.is_none()) {
        // No release's RMSNorms have a shift, so a norm that has one belongs to another part.
        let fits = |said: &Statement| said.kind != NormKind::RmsNorm || site.shift.is_none();
        let said =
            releases.iter().find_map(|release| Some((release.says(&site.name).filter(fits)?, release.name)));
        if let Some((statement, name)) = said {
            site.layout =
                Some(Recognised { statement, families: name.to_owned(), module: false, libraries: 1 });
        }
    }
}

/// A tensor's name inside its block, numbers as N.
fn inside(name: &str) -> String {
    let path = Path::new(name);
    let parts = path
        .inside()
        .iter()
        .map(|&part| if part.bytes().all(|byte| byte.is_ascii_digit()) { "N" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
