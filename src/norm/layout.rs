//! Which code a block is from, seen in the names of its tensors: a measured layout, or the marks of a release. See
//! [`super::registry`].

use super::find::NormSite;
use super::names::{self, Path};
use super::registry::{Match, Release, Statement};
use crate::checkpoint::Tensor;
use crate::order;
use std::rc::Rc;

/// What the layout of its block, or of the blocks it stands beside, says of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// What is done at the site in every family built so.
    pub statement: Statement,
    /// These families, as a few words.
    pub families: String,
    /// Names in common ÷ names in either; 1 for a release known by its marks.
    pub likeness: f64,
}

/// Names inside one block, and the scales among them, each sorted.
struct Block {
    path: String,
    names: Vec<String>,
    scales: Vec<String>,
}

/// Recognises the layout of every block with a norm. One pass, and one match for each distinct layout.
pub(super) fn recognise(tensors: &[Tensor], sites: &mut [NormSite]) {
    let scales =
        sites.iter().filter_map(|site| Some((site.block_path.clone()?, inside(&tensors[site.scale?].name))));
    let mut blocks: Vec<Block> = order::groups(scales)
        .into_iter()
        .map(|(path, scales)| Block { path, names: Vec::new(), scales: order::distinct(scales) })
        .collect();
    // Neighbours in a sorted catalogue are mostly of one block.
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
        }
    }
    for block in &mut blocks {
        block.names = order::distinct(std::mem::take(&mut block.names));
    }
    let mut of_block = Vec::new();
    for (names, alike) in order::groups(blocks.iter().map(|block| (&block.names, block))) {
        let scales: Vec<&str> = alike[0].scales.iter().map(String::as_str).collect();
        if let Some(found) = Match::of(names, &scales).map(Rc::new) {
            of_block.extend(alike.iter().map(|block| (block.path.as_str(), found.clone())));
        }
    }
    order::sort_by_key(&mut of_block, |(path, _)| *path);
    let stacks = of_block.iter().map(|(path, found)| (&path[..path.rfind('.').unwrap_or(0)], found));
    let of_stack = order::groups(stacks);
    for site in sites.iter_mut() {
        let found = match &site.block_path {
            Some(path) => order::value_of(&of_block, path),
            None => site
                .stream
                .as_deref()
                .and_then(|stack| order::value_of(&of_stack, stack))
                .map(|found| found[0]),
        };
        site.layout = found.and_then(|found| {
            let statement = match site.block {
                Some(_) => found.says(&inside(&tensors[site.scale?].name)),
                None => found.says_outside(&site.name),
            }?;
            Some(Recognised { statement, families: found.families(), likeness: found.likeness })
        });
    }
    recognise_releases(tensors, sites);
}

/// Where no layout is the same in every name, a release may be known by its marks.
fn recognise_releases(tensors: &[Tensor], sites: &mut [NormSite]) {
    let open = |site: &NormSite| site.layout.as_ref().is_none_or(|layout| layout.likeness < 1.0);
    if !sites.iter().any(open) {
        return;
    }
    let paths =
        tensors.iter().map(|tensor| format!(".{}.", Path::new(&tensor.name).without_numbers().join(".")));
    let paths = order::distinct(paths);
    let releases = Release::of(&paths);
    for site in sites.iter_mut().filter(|site| open(site)) {
        let said = releases.iter().find_map(|release| Some((release.says(&site.name)?, release.name)));
        if let Some((statement, name)) = said {
            site.layout = Some(Recognised { statement, families: name.to_owned(), likeness: 1.0 });
        }
    }
}

/// What FSDP, activation checkpointing and torch.compile wrap modules in.
const WRAPPERS: [&str; 3] = ["_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"];

/// A tensor's name inside its block, numbers as N, wrappers left out.
fn inside(name: &str) -> String {
    let path = Path::new(name);
    let own = path.inside().iter().filter(|part| !WRAPPERS.contains(part));
    let parts = own.map(|part| if part.bytes().all(|byte| byte.is_ascii_digit()) { "N" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
