//! From an open checkpoint to its plan, or to the reason why it is not folded at all. Terminal and page say the same.

use super::plan::{Operations, Plan, PlanError, plan};
use crate::checkpoint::Format;
use crate::inspect::Opened;
use crate::model::{Accepted, Architecture, ModelError, resolve_reading};
use crate::source::ByteSource;

/// Ends of the names of files that are copied beside the weights: configurations, tokenizers, code and texts.
pub const BESIDE: [&str; 10] =
    ["json", "jinja", "md", "model", "py", "tiktoken", "txt", "vocab", "yaml", "yml"];

/// Why a checkpoint is not folded.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Another format.
    #[error(
        "`{0}` is not safetensors, and fold rewrites only that; convert it first, for example with `save_pretrained` of transformers"
    )]
    Format(String),
    /// A shard is missing.
    #[error(
        "`{0}` is missing or damaged, so the checkpoint cannot be rewritten as a whole; download it again"
    )]
    Missing(String),
    /// Not everything that reads a norm is known.
    #[error(
        "fold needs to know everything that reads a norm, so it works on the models that `gammascope verify` can run: {0}"
    )]
    Model(#[from] ModelError),
    /// The model cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The architecture of a whole checkpoint whose readers are all known. Unknown fields of the configuration are an error, unless they are
/// `accepted`.
pub fn known<S: ByteSource>(opened: &Opened<S>, accepted: Accepted<'_>) -> Result<Architecture, Refused> {
    let checkpoint = opened.checkpoint();
    if checkpoint.format != Format::Safetensors {
        return Err(Refused::Format(checkpoint.name.clone()));
    }
    if let Some(missing) = checkpoint.missing_shards.first() {
        return Err(Refused::Missing(missing.clone()));
    }
    Ok(resolve_reading(checkpoint, None, accepted)?)
}

/// Plans what to do with an open checkpoint.
pub fn plan_of<S: ByteSource>(opened: &Opened<S>, operations: Operations) -> Result<Plan, Refused> {
    Ok(plan(opened, &known(opened, Accepted::Only(&[]))?, operations)?)
}
