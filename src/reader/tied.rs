//! Finds an unembedding that is stored beside an embedding with the same values: one parameter under two names, whatever the
//! configuration says. fairseq stores its checkpoints this way.

use super::lexicon;
use super::outside::{self, Tail};
use super::positions;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::source::ByteSource;

/// Both are compared at this many places.
const PLACES: u64 = 16;
/// Bytes of each place. Two tables that were trained separately differ in the first of them.
const PLACE: u64 = 1024;

/// Unembeddings (by index) whose values equal those of a table of tokens of the same type and shape, at every place that was
/// read.
pub(crate) async fn by_values<S: ByteSource>(checkpoint: &Checkpoint<S>) -> Vec<usize> {
    let tensors = &checkpoint.tensors;
    let table = |tensor: &&Tensor| tensor.shape.len() == 2 && positions::is_token_table(&tensor.name);
    let tables: Vec<&Tensor> = tensors.iter().filter(table).collect();
    let mut tied = Vec::new();
    for (index, unembedding) in tensors.iter().enumerate() {
        if !tables.iter().any(|table| table.shape == unembedding.shape) {
            continue;
        }
        if outside::tail(lexicon::module_of(&unembedding.name).0) != Tail::Unembedding {
            continue;
        }
        let alike = |other: &&&Tensor| other.shape == unembedding.shape && other.dtype == unembedding.dtype;
        for &embedding in tables.iter().filter(alike) {
            if are_equal(checkpoint, unembedding, embedding).await {
                tied.push(index);
                break;
            }
        }
    }
    tied
}

/// Whether an unembedding (by index) is a table of tokens under another name, as tied tensors are in PyTorch files.
pub(super) fn by_place(tensors: &[Tensor], unembedding: usize) -> bool {
    let own = &tensors[unembedding];
    let is_table = |tensor: &Tensor| positions::is_token_table(&tensor.name) && tensor.is_tied_to(own);
    !positions::is_token_table(&own.name) && tensors.iter().any(is_table)
}

/// Whether two tables have the same values. A table of zeros, or of any one value, equals every other and shows nothing.
async fn are_equal<S: ByteSource>(checkpoint: &Checkpoint<S>, a: &Tensor, b: &Tensor) -> bool {
    // Views are compared as stored, which shows the same if both are stored alike.
    if a.strides != b.strides || a.bytes() != b.bytes() {
        return false;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint;
    use crate::source::memory::MemorySource;

    /// A file of two tables of four columns, as F32.
    fn checkpoint(embedding: &[f32], unembedding: &[f32]) -> Checkpoint<MemorySource> {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let data = [bytes(embedding), bytes(unembedding)].concat();
        let half = data.len() / 2;
        let entry = |start: usize| serde_json::json!({ "dtype": "F32", "shape": [embedding.len() / 4, 4], "data_offsets": [start, start + half] });
        let header =
            serde_json::json!({ "model.embed_tokens.weight": entry(0), "lm_head.weight": entry(half) })
                .to_string();
        let file = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &data].concat();
        let source = MemorySource::new("model.safetensors", file);
        pollster::block_on(checkpoint::open_any(vec![source])).unwrap()
    }

    fn tied(embedding: &[f32], unembedding: &[f32]) -> bool {
        let checkpoint = checkpoint(embedding, unembedding);
        !pollster::block_on(by_values(&checkpoint)).is_empty()
    }

    #[test]
    fn equal_tables_are_one_parameter_and_others_are_two() {
        let values: Vec<f32> = (0..40_000).map(|at| (at as f32 * 0.37).sin()).collect();
        assert!(tied(&values, &values));
        let mut other = values.clone();
        other[7] = 2.0;
        assert!(!tied(&values, &other));
        assert!(tied(&values[..8], &values[..8]), "a table smaller than a place");
    }

    #[test]
    fn tables_of_one_value_show_nothing() {
        assert!(!tied(&[0.0; 400], &[0.0; 400]));
        assert!(!tied(&[0.02; 400], &[0.02; 400]));
    }
}
