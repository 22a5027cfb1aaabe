//! A GGUF file as the families of transformers store their models: their names of tensors, their fields, and their rows.
//!
//! llama.cpp names the tensors of all architectures alike. So the names (`names`) and the fields (`fields`) of a file follow from the row of
//! its family, and [`ARCHITECTURES`] has only what differs. llama.cpp's conversion changes four things, which [`Described::row`] puts into the
//! row: scales include the 1 of 1 + w, matrices are outputs × inputs, queries, keys and values of one matrix lie one after the other, and
//! for some architectures the rows of queries and keys are interleaved, so that neighbours turn together.
//!
//! Nothing else here or in the run knows of GGUF: the tensors of the result lie in the file, and some are parts of the file's tensors.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

mod fields;
mod names;

use super::ModelError;
use super::families::rows;
use super::fields::Accepted;
use super::table::{AttentionRow, NormRow, PositionRow, ProjectionsRow, Row};
use crate::checkpoint::config::Config;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::model::operation::{Layout, Pairing};
use crate::source::ByteSource;
use std::sync::Arc;

/// An architecture of llama.cpp whose family runs here.
#[derive(Debug)]
pub(super) struct Known {
    /// `general.architecture`.
    architecture: &'static str,
    /// `model_type` of transformers.
    family: &'static str,
    /// The same for files with experts.
    of_experts: Option<&'static str>,
    /// Which channels of a head turn together.
    pairing: Pairing,
    /// Fields of the family that no metadata have, because llama.cpp's code fixes them.
    fixed: &'static [(&'static str, bool)],
}

/// An architecture without experts whose channels turn as in transformers, and whose code fixes nothing.
const fn known(architecture: &'static str, family: &'static str) -> Known {
    Known { architecture, family, of_experts: None, pairing: Pairing::Halves, fixed: &[] }
}

/// `llama_model_rope_type` of llama.cpp has the pairings: NORM is interleaved, NEOX is halves.
static ARCHITECTURES: [Known; 17] = [
    Known { of_experts: Some("mixtral"), pairing: Pairing::Interleaved, ..known("llama", "llama") },
    known("gemma", "gemma"),
    known("gemma2", "gemma2"),
    known("gemma3", "gemma3_text"),
    known("qwen2", "qwen2"),
    known("qwen3", "qwen3"),
    Known {
        of_experts: Some("qwen3_moe"),
        fixed: &[("norm_topk_prob", true)],
        ..known("qwen3moe", "qwen3_moe")
    },
    known("phi2", "phi"),
    known("phi3", "phi3"),
    known("gpt2", "gpt2"),
    known("gptneox", "gpt_neox"),
    known("bloom", "bloom"),
    known("starcoder2", "starcoder2"),
    known("olmo2", "olmo2"),
    known("nemotron", "nemotron"),
    Known { pairing: Pairing::Interleaved, ..known("command-r", "cohere") },
    Known { pairing: Pairing::Interleaved, ..known("granite", "granite") },
];

/// The metadata of a GGUF file, as the configuration of its family.
#[derive(Debug)]
pub(super) struct Described {
    /// The configuration.
    pub(super) config: Config,
    known: &'static Known,
    row: &'static Row,
    /// Tensors that take no part in a pass.
    apart: Vec<String>,
    /// Keys that were left out, because the user assumes that they change nothing.
    pub(super) left_out: Vec<String>,
}

/// The content of a GGUF file, as transformers would store it.
#[derive(Debug)]
pub(super) struct Converted {
    /// The metadata.
    pub(super) described: Described,
    /// The names of the tensors in the family's code. Others keep that of the file.
    pub(super) names: Vec<String>,
    /// Where they lie, under their names in the file.
    pub(super) tensors: Arc<[Tensor]>,
}

impl Described {
    /// Describes a model with these tensors, if `stated` are the metadata of a GGUF file. `lists` are lists among them. Unknown keys are an
    /// error, unless they are `accepted`.
    pub(super) fn of<'a>(
        stated: &Config,
        names: &[&str],
        lists: impl Iterator<Item = &'a (String, String)>,
        accepted: Accepted<'_>,
    ) -> Result<Option<Self>, ModelError> {
        if !stated.scope("").is_gguf() {
            return Ok(None);
        }
        let architecture = stated.family().unwrap_or("unknown");
        let known = ARCHITECTURES.iter().find(|known| known.architecture == architecture);
        let known = known.ok_or_else(|| ModelError::Family {
            path: stated.path.clone(),
            family: architecture.to_owned(),
            known: ARCHITECTURES.iter().map(|known| known.architecture).collect::<Vec<_>>().join(", "),
        })?;
        let metadata = fields::Metadata::new(stated, architecture);
        let has_experts = metadata.count("expert_count")?.is_some_and(|count| count > 0);
        let family = known.of_experts.filter(|_| has_experts).unwrap_or(known.family);
        let row = rows().find(|row| row.families.contains(&family)).ok_or(ModelError::NoConfig)?;
        let config = fields::config(&metadata, row, family, known.fixed, |name| names.contains(&name))?;
        let apart =
            names.iter().filter(|name| metadata.has_taken(name)).map(|name| (*name).to_owned()).collect();
        let left_out = metadata.all_read(lists, accepted)?;
        Ok(Some(Self { config, known, row, apart, left_out }))
    }

    /// The name in the family's code of a tensor of the file.
    pub(super) fn in_family(&self, name: &str) -> String {
        names::one_in_family(self.row, name).unwrap_or_else(|| name.to_owned())
    }

    /// The name in the file of a tensor of the family.
    pub(super) fn in_file(&self, name: &str) -> String {
        names::in_file(self.row, name).unwrap_or_else(|| name.to_owned())
    }

    /// A row of the family for what the file stores.
    pub(super) fn row(&self, row: &Row) -> Row {
        let projections = match row.attention.projections {
            ProjectionsRow::Grouped(all) => ProjectionsRow::Concatenated(all),
            other => other,
        };
        let position = match row.attention.position {
            PositionRow::Rotary { theta, usual_theta, turned, local_theta, .. } => {
                let pairing = self.known.pairing;
                PositionRow::Rotary { pairing, theta, usual_theta, turned, local_theta }
            }
            other => other,
        };
        Row {
            layout: Layout::OutputInput,
            norm: NormRow { one_plus: false, ..row.norm },
            attention: AttentionRow { projections, position, ..row.attention },
            ..*row
        }
    }
}

impl Converted {
    /// Converts the content of a checkpoint, if its configuration are the metadata of a GGUF file.
    pub(super) fn of<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        accepted: Accepted<'_>,
    ) -> Result<Option<Self>, ModelError> {
        let stated = checkpoint.config_of("").or_else(|| checkpoint.configs.first());
        let Some(stated) = stated else { return Ok(None) };
        let stored: Vec<&str> = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let lists = (0..checkpoint.shards.len()).flat_map(|shard| checkpoint.metadata_of(shard));
        let Some(described) = Described::of(stated, &stored, lists, accepted)? else { return Ok(None) };
        let parts = checkpoint.tensors.iter().filter(|tensor| !described.apart.contains(&tensor.name));
        let (names, tensors): (Vec<String>, Vec<Tensor>) =
            parts.flat_map(|tensor| names::in_family(described.row, tensor)).unzip();
        Ok(Some(Self { described, names, tensors: tensors.into() }))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of a test")]
mod tests;
