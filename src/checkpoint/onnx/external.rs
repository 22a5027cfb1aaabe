//! Adds the graph of an ONNX file to a checkpoint, and the tensors whose numbers lie in other files.

use super::Beside;
use crate::checkpoint::gather::folder_of;
use crate::checkpoint::header::Entry;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::report::WarningCode;
use crate::source::ByteSource;

impl<S: ByteSource> Checkpoint<S> {
    /// Adds the graph of the ONNX file that is shard `position`. Files of `others` that have its tensors become shards too. `prefix` is
    /// put before the names of its tensors.
    pub(in crate::checkpoint) fn add_graph(
        &mut self,
        prefix: &str,
        position: usize,
        beside: Beside,
        others: &mut Vec<S>,
    ) {
        self.graphs.push((prefix.to_owned(), beside.graph));
        let Some(file) = self.shards.get(position).map(|shard| shard.path().to_owned()) else { return };
        for (location, entries) in beside.external {
            let path = match folder_of(&file) {
                "" => location,
                folder => format!("{folder}/{location}"),
            };
            match others.iter().position(|other| other.path() == path) {
                Some(found) => self.add_data(prefix, others.swap_remove(found), entries),
                None => {
                    let message = format!(
                        "`{file}` has {} of its tensors in `{path}`, which is missing: norms with a scale among them are not shown. Open both files together",
                        entries.len()
                    );
                    self.warn(WarningCode::ShardMissing, &path, message);
                    self.missing_shards.push(path);
                }
            }
        }
    }

    /// Adds a file of numbers and the tensors that lie in it.
    fn add_data(&mut self, prefix: &str, data: S, entries: Vec<Entry>) {
        let (path, length) = (data.path().to_owned(), data.length());
        let (whole, cut): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.end <= length);
        if let Some(first) = cut.first() {
            let message = format!(
                "`{path}` has only {length} bytes, but {} of its tensors go on after that, such as {:?} to byte {}: it was cut off, download it again. The other tensors are inspected",
                cut.len(),
                first.name,
                first.end
            );
            self.warn(WarningCode::ShardDamaged, &path, message);
        }
        let shard = self.shards.len();
        self.shards.push(data);
        self.metadata.push(Vec::new());
        self.tensors.extend(whole.into_iter().map(|entry| Tensor {
            name: format!("{prefix}{}", entry.name),
            dtype: entry.dtype,
            shape: entry.shape,
            shard,
            range: entry.begin..entry.end,
            strides: entry.strides,
        }));
    }
}
