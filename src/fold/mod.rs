//! Rewrites a checkpoint so that its numbers change and its function does not: scales and shifts go into the maps that read them
//! (`fold_ln`), writers of the residual stream lose their mean, and readers lose what they read along dead directions.
//!
//! `walk` says what reads each norm and what writes the stream, from an [`Architecture`](crate::model::Architecture): it names every
//! tensor of the model, so nothing else can read a norm. [`plan`](mod@plan) decides what is exact, and refuses the rest with a reason.
//! `extend` adds an unembedding and biases, `rms_norm` turns LayerNorms into RMSNorms, and `modelling` writes the code for those.
//! `change` is the mathematics of one matrix, [`write`](mod@write) streams a shard, with a new `header` where tensors come or go, and
//! [`prove`](mod@prove) runs both checkpoints. [`plan_of`] is the beginning for callers: it plans an open checkpoint, or refuses it.
//! [`modulo_dead`](mod@modulo_dead) compares two checkpoints in canonical form, and [`prune`](mod@prune) lists which widths could be cut.
//! [`repair`](mod@repair) is the one that changes the function: it corrects scales that hold a 1 too many or too few.

mod change;
mod extend;
mod header;
mod modelling;
pub mod modulo_dead;
pub mod plan;
pub mod prove;
pub mod prune;
pub mod ready;
pub mod repair;
mod rms_norm;
mod walk;
pub mod write;

use crate::checkpoint::dtype::TensorType;
use half::{bf16, f16};
use safetensors::Dtype;

pub use header::index;
pub use modulo_dead::modulo_dead;
pub use plan::{Operations, Plan, Rounded, plan};
pub use prove::prove;
pub use prune::prune;
pub use ready::plan_of;
pub use repair::repair;
pub use write::{Sink, write_shard};

/// Rounds a value to an element type. `None` for a type that is not rewritten.
fn rounded(dtype: &TensorType, value: f64) -> Option<f64> {
    let TensorType::Known(dtype) = dtype else { return None };
    Some(match dtype {
        Dtype::F64 => value,
        Dtype::F32 => f64::from(value as f32),
        Dtype::F16 => f16::from_f64(value).to_f64(),
        Dtype::BF16 => bf16::from_f64(value).to_f64(),
        _ => return None,
    })
}
