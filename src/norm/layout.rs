//! Which code a block is from, seen in the names of its tensors: see [`super::registry`].

use super::find::NormSite;
use super::names::Path;
use super::registry::{Match, Statement};
use crate::checkpoint::Tensor;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// What the layout of its block, or of the blocks it stands beside, says of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// What is done at the site in every family built so.
    pub statement: Statement,
    /// These families, as a few words.
    pub families: String,
    /// Names in common ÷ names in either.
    pub likeness: f64,
}

/// Names inside one block, and the scales among them.
#[derive(Default)]
struct Block {
    names: BTreeSet<String>,
    scales: BTreeSet<String>,
}

/// Recognises the layout of every block with a norm. One pass, and one match for each distinct layout.
pub(super) fn recognise(tensors: &[Tensor], sites: &mut [NormSite]) {
    let mut blocks: HashMap<String, Block> = HashMap::new();
    for site in sites.iter().filter(|site| site.block.is_some()) {
        let block = blocks.entry(site.block_path.clone().unwrap_or_default()).or_default();
        block.scales.insert(inside(&tensors[site.scale].name));
    }
    // Neighbours in a sorted catalogue are mostly of one block.
    let mut last = String::new();
    for tensor in tensors {
        let Some((module, _)) = tensor.name.rsplit_once('.') else { continue };
        let same = !last.is_empty() && module.starts_with(&last) && module.as_bytes().get(last.len()) == Some(&b'.');
        if !same {
            match Path::new(module).block_path() {
                Some(path) => last = path,
                None => {
                    last.clear();
                    continue;
                }
            }
        }
        if let Some(block) = blocks.get_mut(&last) {
            block.names.insert(inside(&tensor.name));
        }
    }
    let mut known: HashMap<&BTreeSet<String>, Option<Rc<Match>>> = HashMap::new();
    let mut of_block: HashMap<&str, Rc<Match>> = HashMap::new();
    for (path, block) in &blocks {
        let scales: Vec<&str> = block.scales.iter().map(String::as_str).collect();
        let found = known.entry(&block.names).or_insert_with(|| Match::of(&block.names, &scales).map(Rc::new));
        if let Some(found) = found {
            of_block.insert(path, found.clone());
        }
    }
    let mut of_stack: HashMap<&str, Rc<Match>> = HashMap::new();
    for (path, found) in &of_block {
        let stack = path.rsplit_once('.').map_or("", |(stack, _)| stack);
        of_stack.entry(stack).or_insert_with(|| found.clone());
    }
    for site in sites {
        let found = match &site.block_path {
            Some(path) => of_block.get(path.as_str()),
            None => site.stream.as_deref().and_then(|stack| of_stack.get(stack)),
        };
        site.layout = found.and_then(|found| {
            let statement = match site.block {
                Some(_) => found.says(&inside(&tensors[site.scale].name)),
                None => found.says_outside(&site.name),
            }?;
            Some(Recognised { statement, families: found.families(), likeness: found.likeness })
        });
    }
}

/// A tensor's name inside its block, numbers as N.
fn inside(name: &str) -> String {
    let path = Path::new(name);
    let parts = path.inside().iter().map(|part| {
        if part.bytes().all(|byte| byte.is_ascii_digit()) { "N" } else { part }
    });
    parts.collect::<Vec<_>>().join(".")
}
