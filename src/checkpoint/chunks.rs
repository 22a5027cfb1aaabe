//! Adds a folder of torch.distributed.checkpoint to the catalogue: tensors that are cut into chunks, in any number of files.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::dtype::TensorType;
use super::formats::Format;
use super::gather::folder_of;
use super::joined::Piece;
use super::open::HeadersRead;
use super::pytorch::distributed::{Chunk, Layout, Placed, Spread, place};
use super::{Checkpoint, CheckpointError, Tensor};
use crate::report::WarningCode;
use crate::source::ByteSource;
use std::collections::HashMap;

/// Where the values of each chunk of a tensor lie: the shard, and the place in it.
type OfTensor = Vec<Option<(usize, Placed)>>;

impl<S: ByteSource> Checkpoint<S> {
    /// Adds the tensors that `.metadata` describes. `shards` are the `.distcp` files beside it, and `path` is their folder. Returns an
    /// error if nothing can be read, or that of a damaged file.
    pub(super) async fn read_chunks(
        &mut self,
        path: &str,
        prefix: &str,
        metadata: S,
        shards: Vec<S>,
        progress: &mut dyn FnMut(HeadersRead),
    ) -> Option<CheckpointError> {
        let Layout { tensors, warnings } = match self.layout(&metadata).await {
            Ok(layout) => layout,
            Err(error) => return Some(error),
        };
        self.warnings.extend(warnings);
        let folder = folder_of(metadata.path());
        let below = |shard: &S| shard.path()[folder.len()..].trim_start_matches('/').to_owned();
        let known: HashMap<String, usize> =
            shards.iter().enumerate().map(|(at, shard)| (below(shard), at)).collect();
        let mut of_shard: Vec<Vec<(usize, usize)>> = vec![Vec::new(); shards.len()];
        let mut missing = Vec::new();
        for (at, tensor) in tensors.iter().enumerate() {
            for (part, chunk) in tensor.chunks.iter().flatten().enumerate() {
                match known.get(&chunk.file) {
                    Some(&shard) => of_shard[shard].push((at, part)),
                    None if missing.contains(&chunk.file) => {}
                    None => missing.push(chunk.file.clone()),
                }
            }
        }
        self.report_missing(path, &missing);
        let mut placed: Vec<OfTensor> =
            tensors.iter().map(|tensor| vec![None; parts(tensor).len()]).collect();
        let (mut damaged, total) = (None, shards.len());
        for (at, (shard, wanted)) in shards.iter().zip(&of_shard).enumerate() {
            let chunks: Vec<(&Spread, &Chunk)> = wanted
                .iter()
                .map(|&(tensor, part)| (&tensors[tensor], &parts(&tensors[tensor])[part]))
                .collect();
            match place(&self.meter, shard, &chunks, &mut self.warnings).await {
                Ok(found) => {
                    for (&(tensor, part), found) in wanted.iter().zip(found) {
                        placed[tensor][part] = Some((self.shards.len().saturating_add(at), found));
                    }
                }
                Err(error) => {
                    let message = format!("{error}. The other shards are inspected");
                    self.warn(WarningCode::ShardDamaged, shard.path(), message);
                    self.missing_shards.push(shard.path().to_owned());
                    damaged = Some(error);
                }
            }
            progress(HeadersRead {
                shards_done: at.saturating_add(1),
                shards: total,
                bytes_read: self.meter.bytes(),
            });
        }
        if placed.iter().flatten().all(Option::is_none) && damaged.is_some() {
            return damaged;
        }
        for (tensor, placed) in tensors.into_iter().zip(placed) {
            self.add_spread(prefix, tensor, placed);
        }
        self.metadata.extend(shards.iter().map(|_| Vec::new()));
        self.shards.extend(shards);
        self.format = Format::PyTorch;
        damaged
    }

    async fn layout(&self, metadata: &S) -> Result<Layout, CheckpointError> {
        if let Some(error) = Layout::too_long(metadata.path(), metadata.length()) {
            return Err(error.into());
        }
        let bytes = self.meter.read(metadata, 0..metadata.length()).await?;
        Ok(Layout::parse(metadata.path(), &bytes)?)
    }

    /// Adds a tensor. Its values are readable if all of its chunks are there and lie in order.
    fn add_spread(&mut self, prefix: &str, tensor: Spread, placed: OfTensor) {
        let Spread { name, dtype, shape, chunks, .. } = tensor;
        let mut add = |dtype, shard, range, strides| {
            let name = format!("{prefix}{name}");
            self.tensors.push(Tensor { name, dtype, shape: shape.clone(), shard, range, strides });
        };
        let unusable = |what: &str| TensorType::Unknown(what.to_owned());
        if let Err(what) = chunks {
            return add(unusable(what), 0, 0..0, None);
        }
        let mut pieces = Vec::with_capacity(placed.len());
        let single = placed.len() == 1;
        for chunk in placed {
            match chunk {
                None => return add(unusable("tensor of which a part is missing"), 0, 0..0, None),
                Some((_, Err(what))) => return add(unusable(what), 0, 0..0, None),
                Some((shard, Ok(entry))) if single => {
                    return add(dtype, shard, entry.begin..entry.end, entry.strides);
                }
                Some((_, Ok(entry))) if entry.strides.is_some() => {
                    return add(unusable("tensor whose chunks do not lie in order"), 0, 0..0, None);
                }
                Some((shard, Ok(entry))) => pieces.push(Piece { shard, range: entry.begin..entry.end }),
            }
        }
        let shard = pieces.first().map_or(0, |piece| piece.shard);
        let range = self.joined.add(pieces);
        add(dtype, shard, range, None);
    }
}

fn parts(tensor: &Spread) -> &[Chunk] {
    tensor.chunks.as_deref().unwrap_or_default()
}
