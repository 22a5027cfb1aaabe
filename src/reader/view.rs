//! A block as the rules see it: its modules, and what is known around it.

use super::lexicon::{self, Part};
use crate::checkpoint::config::Scope;

/// One module of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Module<'a> {
    /// Its path inside the block, with numbers as N.
    pub(super) path: &'a str,
    /// Whether it is a norm.
    pub(super) norm: bool,
    /// Dimensions of its largest tensor.
    pub(super) dimensions: usize,
}

/// The block as a rule sees it.
pub(super) struct View<'a> {
    /// Every module that stores something.
    pub(super) modules: Vec<Module<'a>>,
    /// Whether no other block of the stack has more norms.
    pub(super) has_most_norms: bool,
    /// Whether queries, keys and values have a bias.
    pub(super) biased_qkv: bool,
    pub(super) scope: Option<Scope<'a>>,
    /// Modules outside any block, with numbers as N.
    pub(super) outside: &'a [String],
}

impl View<'_> {
    pub(super) fn has(&self, path: &str) -> bool {
        self.modules.iter().any(|module| module.path == path)
    }

    /// Whether a module's last name is `last`.
    pub(super) fn has_last(&self, last: &str) -> bool {
        self.modules.iter().any(|module| last_of(module.path) == last)
    }

    pub(super) fn norms(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().filter(|module| module.norm).map(|module| module.path)
    }

    pub(super) fn maps(&self) -> impl Iterator<Item = (&str, Part)> {
        self.modules
            .iter()
            .filter(|module| !module.norm)
            .filter_map(|module| Some((module.path, lexicon::part_of(module.path)?)))
    }

    pub(super) fn has_cross_attention(&self) -> bool {
        self.maps().any(|(path, part)| part.is_attention() && lexicon::is_cross(path))
    }

    /// Whether keys and values read a norm of the output of a strided convolution.
    pub(super) fn is_reduced(&self) -> bool {
        self.maps().any(|(_, part)| part == Part::Reduction)
    }

    pub(super) fn has_feed_forward(&self) -> bool {
        self.maps().any(|(_, part)| part.is_feed_forward())
    }
}

/// The last component of a path.
pub(super) fn last_of(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}
