//! An unembedding that is stored beside an embedding with the same values: one parameter under two names, whatever the configuration
//! says. fairseq's checkpoints are stored so.

use super::lexicon;
use super::outside::{self, Tail};
use super::positions;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::source::ByteSource;

/// Both are compared at so many places,
const PLACES: u64 = 16;
/// each of so many bytes: two tables that were trained apart differ in the first of them.
const PLACE: u64 = 1024;

/// Unembeddings (by index) whose values are those of a table of tokens of the same type and shape, at every place that was read.
pub(crate) async fn by_values<S: ByteSource>(checkpoint: &Checkpoint<S>) -> Vec<usize> {
    let tensors = &checkpoint.tensors;
    let table = |tensor: &Tensor| tensor.shape.len() == 2 && positions::is_token_table(&tensor.name);
    let mut tied = Vec::new();
    for (index, unembedding) in tensors.iter().enumerate() {
        if outside::tail(lexicon::module_of(&unembedding.name).0) != Tail::Unembedding {
            continue;
        }
        let alike = |other: &&Tensor| {
            table(other) && other.shape == unembedding.shape && other.dtype == unembedding.dtype
        };
        for embedding in tensors.iter().filter(alike) {
            if are_equal(checkpoint, unembedding, embedding).await {
                tied.push(index);
                break;
            }
        }
    }
    tied
}

/// A table of zeros, or of any one value, equals every other and shows nothing.
async fn are_equal<S: ByteSource>(checkpoint: &Checkpoint<S>, a: &Tensor, b: &Tensor) -> bool {
    let length = a.range.end - a.range.start;
    let run = PLACE.min(length);
    let mut varied = false;
    for place in 0..PLACES {
        let start = (length - run) / (PLACES - 1) * place;
        let read = async |tensor: &Tensor| {
            let first = tensor.range.start + start;
            checkpoint.read_weights(tensor.shard, first..first + run).await
        };
        match (read(a).await, read(b).await) {
            (Ok(own), Ok(other)) if own == other => {
                varied |= own.windows(8).any(|pair| pair[..4] != pair[4..])
            }
            _ => return false,
        }
    }
    varied
}
