//! Reads the next weights while a pass computes. It stays ahead by about as many bytes as the largest matrix has, or by a small minimum.

use crate::checkpoint::{Checkpoint, Tensor};
use crate::model::architecture::Read;
use crate::source::{ByteSource, SourceError};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::task::noop_waker_ref;
use std::collections::VecDeque;
use std::ops::Range;
use std::task::{Context, Poll};

type Bytes = Result<Vec<u8>, SourceError>;

/// Bytes of one read. They are in memory beside the decoded values.
pub(super) const AT_ONCE: u64 = 16 << 20;

/// Bytes of one shard, no more than [`AT_ONCE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) shard: usize,
    pub(super) range: Range<u64>,
}

impl Piece {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// The bytes of these values of a tensor. Of a strided tensor only whole slices of the outermost dimension are read alone.
fn range(tensor: &Tensor, values: Option<Range<u64>>) -> Range<u64> {
    let of = |values: Range<u64>| match tensor.strides {
        Some(_) => tensor.outermost(&values).map(|part| part.range),
        None => tensor.bytes_of(&values),
    };
    values.and_then(of).unwrap_or_else(|| tensor.range.clone())
}

/// The pieces of a range of a tensor's bytes. Each begins and ends between two blocks.
pub(super) fn pieces(tensor: &Tensor, range: Range<u64>) -> impl Iterator<Item = Piece> + use<> {
    let block = tensor.dtype.piece().map_or(1, |(_, bytes)| bytes.clamp(1, AT_ONCE));
    let (shard, end, most) = (tensor.shard, range.end, AT_ONCE - AT_ONCE % block);
    range.step_by(most as usize).map(move |from| Piece { shard, range: from..end.min(from + most) })
}

/// Reads that begin before anybody waits for them, roughly in the order of use.
#[derive(Default)]
pub(super) struct Ahead<'a> {
    begun: VecDeque<(usize, Piece, LocalBoxFuture<'a, Bytes>)>,
    to_come: VecDeque<(usize, Piece)>,
    most: u64,
}

impl<'a> Ahead<'a> {
    /// Begins these reads of `tensors`, each with its block, roughly in this order. At least `least` bytes are ahead.
    pub(super) fn of<S: ByteSource>(
        checkpoint: &'a Checkpoint<S>,
        tensors: &[Tensor],
        reads: impl Iterator<Item = (usize, Read)>,
        least: u64,
    ) -> Self {
        let (mut most, mut to_come) = (least, VecDeque::new());
        for (block, read) in reads {
            let tensor = &tensors[read.tensor];
            let range = range(tensor, read.values);
            most = (range.end - range.start).max(most);
            to_come.extend(pieces(tensor, range).map(|piece| (block, piece)));
        }
        let mut ahead = Self { begun: VecDeque::new(), to_come, most };
        ahead.begin(checkpoint);
        ahead
    }

    /// Returns the read of `piece` if it has begun. Drops reads of earlier blocks, because nobody will want them: a pass skips some
    /// experts.
    pub(super) fn take<S: ByteSource>(
        &mut self,
        checkpoint: &'a Checkpoint<S>,
        piece: &Piece,
    ) -> Option<LocalBoxFuture<'a, Bytes>> {
        let begun = self.begun.iter().position(|(_, begun, _)| begun == piece);
        let taken =
            begun.and_then(|at| self.begun.remove(at)).map(|(block, _, reading)| (block, Some(reading)));
        let (block, reading) = match taken {
            Some(taken) => taken,
            None => {
                let at = self.to_come.iter().position(|(_, to_come)| to_come == piece)?;
                (self.to_come.remove(at)?.0, None)
            }
        };
        self.begun.retain(|(of, ..)| *of >= block);
        self.to_come.retain(|(of, _)| *of >= block);
        self.begin(checkpoint);
        reading
    }

    fn begin<S: ByteSource>(&mut self, checkpoint: &'a Checkpoint<S>) {
        let mut ahead: u64 = self.begun.iter().map(|(_, piece, _)| piece.length()).sum();
        while ahead < self.most {
            let Some((block, piece)) = self.to_come.pop_front() else { return };
            ahead += piece.length();
            let mut reading = checkpoint.read_weights(piece.shard, piece.range.clone()).boxed_local();
            // Starts the read. Whoever waits for it later registers its own waker.
            if let Poll::Ready(bytes) = reading.poll_unpin(&mut Context::from_waker(noop_waker_ref())) {
                reading = std::future::ready(bytes).boxed_local();
            }
            self.begun.push_back((block, piece, reading));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::TensorType;
    use crate::checkpoint::open;
    use crate::source::memory::MemorySource;
    use pollster::block_on;
    use std::cell::Cell;

    /// Counts reads of weights as they begin.
    struct Counting {
        file: MemorySource,
        begun: Cell<usize>,
    }

    impl ByteSource for Counting {
        fn path(&self) -> &str {
            self.file.path()
        }

        fn length(&self) -> u64 {
            self.file.length()
        }

        async fn read(&self, range: Range<u64>) -> Bytes {
            self.begun.set(self.begun.get() + 1);
            self.file.read(range).await
        }
    }

    const VALUES: usize = 16;
    const COUNT: usize = 6;

    /// Six tensors of 64 bytes, each full of its number.
    fn checkpoint() -> Checkpoint<Counting> {
        let bytes: Vec<Vec<u8>> =
            (0..COUNT).map(|tensor| (tensor as f32).to_le_bytes().repeat(VALUES)).collect();
        let view = |bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![VALUES], bytes);
        let tensors = bytes.iter().enumerate().map(|(at, bytes)| (format!("t{at}"), view(bytes).unwrap()));
        let file = MemorySource::new("model.safetensors", safetensors::serialize(tensors, None).unwrap());
        block_on(open(vec![Counting { file, begun: Cell::new(0) }], |_| {})).unwrap()
    }

    fn piece(checkpoint: &Checkpoint<Counting>, name: &str) -> Piece {
        let tensor = checkpoint.tensors.iter().find(|tensor| tensor.name == name).unwrap();
        Piece { shard: tensor.shard, range: tensor.range.clone() }
    }

    fn begun(checkpoint: &Checkpoint<Counting>) -> usize {
        checkpoint.shards[0].begun.get()
    }

    #[test]
    fn one_is_read_ahead_of_the_one_that_is_wanted_and_no_more() {
        let checkpoint = checkpoint();
        let before = begun(&checkpoint);
        let mut ahead =
            Ahead::of(&checkpoint, &checkpoint.tensors, (0..COUNT).map(|at| (at, Read::all(at))), 0);
        for at in 0..COUNT {
            assert_eq!(begun(&checkpoint) - before, at + 1, "before tensor {at} is wanted");
            let piece = piece(&checkpoint, &checkpoint.tensors[at].name);
            let bytes = block_on(ahead.take(&checkpoint, &piece).unwrap()).unwrap();
            assert_eq!(bytes, block_on(checkpoint.shards[0].file.read(piece.range)).unwrap());
        }
        assert_eq!(begun(&checkpoint) - before, COUNT);
    }

    #[test]
    fn what_an_earlier_block_did_not_want_is_forgotten_and_the_order_in_a_block_is_free() {
        let checkpoint = checkpoint();
        // Two blocks of three tensors.
        let mut ahead =
            Ahead::of(&checkpoint, &checkpoint.tensors, (0..COUNT).map(|at| (at / 3, Read::all(at))), 0);
        let piece = |at: usize| piece(&checkpoint, &checkpoint.tensors[at].name);
        assert!(ahead.take(&checkpoint, &piece(0)).is_some());
        assert!(ahead.take(&checkpoint, &piece(2)).is_none(), "not begun yet: who wants it reads it");
        assert!(ahead.take(&checkpoint, &piece(1)).is_some(), "it waits for whoever comes late");
        assert!(ahead.take(&checkpoint, &piece(1)).is_none(), "each once");
        assert!(ahead.take(&checkpoint, &piece(4)).is_none());
        assert!(ahead.take(&checkpoint, &piece(3)).is_some());
        let mut ahead =
            Ahead::of(&checkpoint, &checkpoint.tensors, (0..COUNT).map(|at| (at / 3, Read::all(at))), 0);
        assert!(ahead.take(&checkpoint, &piece(4)).is_none());
        assert!(ahead.take(&checkpoint, &piece(0)).is_none(), "of an earlier block");
        assert!(ahead.take(&checkpoint, &piece(3)).is_some(), "begun when room was made for it");
    }

    #[test]
    fn of_a_tensor_that_holds_several_matrices_only_the_values_of_one_are_read() {
        let checkpoint = checkpoint();
        let before = begun(&checkpoint);
        let part = |from: u64| (0, Read { tensor: 2, values: Some(from..from + 4) });
        let mut ahead = Ahead::of(&checkpoint, &checkpoint.tensors, [part(4), part(8)].into_iter(), 0);
        assert_eq!(begun(&checkpoint) - before, 1);
        let whole = piece(&checkpoint, "t2");
        let start = whole.range.start;
        assert!(ahead.take(&checkpoint, &whole).is_none(), "never the whole");
        let one = Piece { shard: whole.shard, range: start + 16..start + 32 };
        let bytes = block_on(ahead.take(&checkpoint, &one).unwrap()).unwrap();
        assert_eq!(bytes, 2f32.to_le_bytes().repeat(4));
    }

    #[test]
    fn the_pieces_of_a_range_are_all_of_it() {
        let lengths = |dtype: &TensorType, range: Range<u64>| -> Vec<u64> {
            let (name, dtype, shape) = (String::new(), dtype.clone(), Vec::new());
            let tensor = Tensor { name, dtype, shape, shard: 3, range: range.clone(), strides: None };
            let all: Vec<Piece> = pieces(&tensor, range).collect();
            assert!(all.windows(2).all(|two| two[0].range.end == two[1].range.start));
            all.iter().map(Piece::length).collect()
        };
        let bytes = TensorType::parse("I8");
        assert_eq!(lengths(&bytes, 5..5 + 2 * AT_ONCE + 7), [AT_ONCE, AT_ONCE, 7]);
        assert_eq!(lengths(&bytes, 5..5), [0; 0]);
        let (blocks, most) = (TensorType::of_gguf(2), AT_ONCE / 18 * 18);
        assert_eq!(lengths(&blocks, 5..5 + most + 36), [most, 36], "no block is cut");
    }
}
