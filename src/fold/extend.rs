//! What the result stores beside the tensors of the original: an unembedding of its own, and biases that the family's code reads.
//!
//! The tensors and the configuration of the result are resolved like those of any checkpoint. So the plan sees the new tensors in the
//! architecture, and a model that does not fit its family is an error.

use super::walk::Walk;
use crate::checkpoint::config::Config;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::model::resolve::resolve_tensors;
use crate::model::variants::{self, TIED};
use crate::model::{Architecture, ModelError, catalogue};
use crate::report::fold::FoldOutcome;
use crate::source::ByteSource;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// A tensor that the original does not have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Added {
    /// Its name, type and shape, the shard that gets it, and the bytes that it is a copy of.
    pub(super) tensor: Tensor,
    /// Its name in the file.
    pub(super) stored_name: String,
    /// All its values, if it is no copy.
    pub(super) fill: Option<f64>,
}

impl Added {
    /// A vector with one value everywhere, of the type and in the shard of `like`. `None` for a type that has no single values.
    pub(super) fn vector(
        name: String,
        stored_name: String,
        width: u64,
        fill: f64,
        like: &Tensor,
    ) -> Option<Self> {
        let (1, size) = like.dtype.piece()? else { return None };
        let tensor = Tensor {
            name,
            dtype: like.dtype.clone(),
            shape: vec![width],
            shard: like.shard,
            range: 0..width.checked_mul(size)?,
            strides: None,
        };
        Some(Self { tensor, stored_name, fill: Some(fill) })
    }
}

/// The original with what the result has beside it.
#[derive(Debug)]
pub(super) struct Extended {
    /// Its tensors are those of the original without `replaced`, and then those of `added`.
    pub(super) architecture: Architecture,
    pub(super) added: Vec<Added>,
    /// Tensors of the original whose names go to added ones.
    pub(super) replaced: Vec<Tensor>,
    /// The configuration of the result.
    pub(super) config: Config,
    /// Whether that differs from the original's.
    pub(super) is_reconfigured: bool,
    pub(super) untied: FoldOutcome,
    pub(super) biases: FoldOutcome,
}

/// Which biases are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Biases {
    /// Those that the family's code reads if a field of the configuration says so.
    ByField,
    /// Those of all maps that read a norm with a shift. The result has code of its own.
    All,
}

impl Extended {
    /// The model as it is. `architecture` is that of the checkpoint.
    pub(super) fn of<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        architecture: &Architecture,
    ) -> Result<Self, ModelError> {
        let config = checkpoint.config_of("").or_else(|| checkpoint.configs.first());
        Ok(Self {
            architecture: architecture.clone(),
            added: Vec::new(),
            replaced: Vec::new(),
            config: config.ok_or(ModelError::NoConfig)?.clone(),
            is_reconfigured: false,
            untied: FoldOutcome::NotAsked,
            biases: FoldOutcome::NotAsked,
        })
    }

    /// Stores the unembedding beside the embedding.
    pub(super) fn untie<S>(&mut self, checkpoint: &Checkpoint<S>) -> Result<(), ModelError> {
        let left = |why: &str| FoldOutcome::Left { why: why.to_owned() };
        let table = self.architecture.embedding.tokens().map(|tokens| tokens.tokens);
        let Some(head) = &self.architecture.head else {
            self.untied = left("the checkpoint has no unembedding");
            return Ok(());
        };
        let Some(table) = table.filter(|table| *table == head.unembedding.weight) else {
            self.untied = FoldOutcome::Nothing;
            return Ok(());
        };
        let Some(module) = variants::unembedding(&self.config)? else {
            self.untied = left("the family's code ties more than the matrix of the unembedding");
            return Ok(());
        };
        let table = self.architecture.tensors[table].clone();
        let name = format!("{module}.weight");
        let wrapper =
            checkpoint.stored_name(&table.name).strip_suffix(table.name.as_str()).unwrap_or_default();
        let stored_name = format!("{wrapper}{name}");
        // A copy that the family's code does not read.
        self.replaced = checkpoint.tensors.iter().filter(|tensor| tensor.name == name).cloned().collect();
        self.added.push(Added { tensor: Tensor { name, ..table }, stored_name, fill: None });
        self.config.set(TIED, Value::Bool(false));
        self.untied = FoldOutcome::Done;
        self.resolve(checkpoint)
    }

    /// Gives biases to maps that read norms.
    pub(super) fn add_biases<S>(
        &mut self,
        checkpoint: &Checkpoint<S>,
        which: Biases,
    ) -> Result<(), ModelError> {
        let wanted = self.without_bias();
        let mut vectors: Vec<(String, u64)> = Vec::new();
        match which {
            Biases::All => vectors.extend(wanted),
            Biases::ByField => {
                self.biases = FoldOutcome::Nothing;
                let wanted: HashSet<String> = wanted.into_iter().map(|(name, _)| name).collect();
                for (field, on) in variants::bias_fields(&self.config)? {
                    let mut config = self.config.clone();
                    config.set(field, Value::Bool(on));
                    let gained = self.gained(&config)?;
                    if gained.iter().any(|(name, _)| wanted.contains(name)) {
                        self.config = config;
                        vectors.extend(gained);
                    }
                }
                let left = wanted.iter().filter(|name| !vectors.iter().any(|(own, _)| own == *name)).min();
                if let Some(left) = left {
                    let (family, module) = (&self.architecture.family, left.trim_end_matches(".bias"));
                    let why = format!("the code of a `{family}` model reads no bias of `{module}`");
                    self.biases = FoldOutcome::Left { why };
                } else if !vectors.is_empty() {
                    self.biases = FoldOutcome::Done;
                }
            }
        }
        let places: HashMap<&str, &Tensor> =
            self.architecture.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut added = Vec::new();
        for (name, width) in vectors {
            let weight = format!("{}weight", name.trim_end_matches("bias"));
            let Some(weight) = places.get(weight.as_str()) else { continue };
            let stored = self.added.iter().find(|one| one.tensor.name == weight.name);
            let stored = stored.map_or(checkpoint.stored_name(&weight.name), |one| &one.stored_name);
            let stored = format!("{}bias", stored.trim_end_matches("weight"));
            added.extend(Added::vector(name, stored, width, 0.0, weight));
        }
        if added.is_empty() {
            return Ok(());
        }
        self.added.extend(added);
        self.resolve(checkpoint)
    }

    /// Names and widths of the biases that maps have not, although they read a norm with a shift.
    fn without_bias(&self) -> Vec<(String, u64)> {
        let walk = Walk::of(&self.architecture);
        let embedding = self.architecture.embedding.tokens().map(|tokens| tokens.tokens);
        let mut names: Vec<(String, u64)> = Vec::new();
        let sites = walk.sites.iter().filter(|site| site.norm.shift.is_some() && site.elsewhere.is_none());
        for reader in sites.flat_map(|site| &site.readers) {
            let (map, tensor) = (&reader.map, &self.architecture.tensors[reader.map.weight]);
            // A bias of a tied unembedding would have the name of the embedding.
            let has_place = map.values() == (0..tensor.elements()) && embedding != Some(map.weight);
            let module = tensor.name.strip_suffix("weight");
            let module = module.filter(|_| has_place && map.bias.is_none() && !reader.bias_is_apart);
            let name = module.map(|module| (format!("{module}bias"), map.outputs as u64));
            names.extend(name.filter(|name| !names.contains(name)));
        }
        names
    }

    /// Names and widths of the biases that a model has with another configuration.
    fn gained(&self, config: &Config) -> Result<Vec<(String, u64)>, ModelError> {
        let before: HashSet<String> = catalogue(&self.config)?.into_iter().map(|shape| shape.name).collect();
        let after = catalogue(config)?.into_iter().filter(|shape| !before.contains(&shape.name));
        let own: HashSet<&str> =
            self.architecture.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let prefixes = variants::prefixes(&self.config)?;
        let spelled = |name: String| {
            let weight = format!("{}weight", name.strip_suffix("bias")?);
            if own.contains(weight.as_str()) {
                return Some(name);
            }
            let bare = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix))?;
            let others = prefixes.iter().map(|prefix| format!("{prefix}{bare}"));
            let has_weight =
                |name: &String| own.contains(format!("{}weight", name.trim_end_matches("bias")).as_str());
            others.into_iter().find(has_weight)
        };
        let mut gained: Vec<(String, u64)> =
            after.filter_map(|shape| Some((spelled(shape.name)?, shape.shape.first().copied()?))).collect();
        gained.retain(|(name, _)| !own.contains(name.as_str()));
        Ok(gained)
    }

    /// Resolves the model again.
    fn resolve<S>(&mut self, checkpoint: &Checkpoint<S>) -> Result<(), ModelError> {
        let kept = checkpoint.tensors.iter().filter(|tensor| !self.replaced.contains(tensor));
        let tensors: Vec<Tensor> =
            kept.cloned().chain(self.added.iter().map(|added| added.tensor.clone())).collect();
        self.architecture = resolve_tensors(&tensors, &self.config)?;
        self.is_reconfigured = true;
        Ok(())
    }
}
