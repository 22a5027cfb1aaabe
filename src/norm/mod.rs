//! Turns the catalogue into norm sites, each with evidence about its kind and a verdict, which may be "unknown".
//!
//! [`mod@find`] reads the names and shapes of the `catalogue`, and `place` decides where a site sits. [`evidence`] has one small file per kind of
//! evidence; each gives a likelihood under every [`behaviour`]. Only [`verdict`] combines them. [`convention`] decides how γ follows from the stored
//! tensor. A wrong verdict is worse than none.

mod around;
pub mod behaviour;
pub mod build;
mod catalogue;
pub mod convention;
pub mod evidence;
pub mod execution;
pub mod find;
pub mod habits;
pub mod layout;
pub mod library;
pub mod maps;
mod names;
pub mod parameterless;
mod place;
pub mod registry;
pub mod site;
pub mod surroundings;
pub mod unnamed;
pub mod verdict;

pub use find::find;
pub(crate) use names::names_a_norm;
pub use registry::Knowledge;
pub use site::{NormSite, Place};

/// Whether a module is in `block` and in no block inside it.
pub(crate) fn is_inside(module: &str, block: &str) -> bool {
    names::is_inside(module, block)
}

/// Whether a module's last name is that of a norm on queries, keys or values.
pub(crate) fn is_query_key(last: &str) -> bool {
    names::is_query_key(last)
}

/// The block a module is in and its path inside that block (`model.layers.3`, `self_attn.q_proj`).
pub fn block_path(module: &str) -> Option<(String, String)> {
    let path = names::Path::new(module);
    Some((path.block_path()?, path.inside().join(".")))
}

/// The path of a module inside its block (`self_attn.q_proj`).
pub fn inside_block(module: &str) -> Option<String> {
    let path = names::Path::new(module);
    path.block().map(|_| path.inside().join("."))
}

/// Where a module is in a stack of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockOf {
    /// Path of the stack (`model.layers`).
    pub stack: String,
    /// Index of the block.
    pub block: u32,
    /// Path inside the block (`self_attn.q_proj`).
    pub inside: String,
}

/// The block a module is in.
pub fn block_of(module: &str) -> Option<BlockOf> {
    let path = names::Path::new(module);
    Some(BlockOf { block: path.block()?, stack: path.stack(), inside: path.inside().join(".") })
}
