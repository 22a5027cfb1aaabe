//! The header of a shard that loses tensors or gets new ones, and the index of such shards.

use super::plan::{Edit, Plan};
use super::write::WriteError;
use crate::checkpoint::header::LENGTH_BYTES;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::source::ByteSource;
use serde_json::{Map, Value, json};
use std::io;

/// Key of a header's texts, which name no tensor.
const TEXTS: &str = "__metadata__";

/// A header that replaces the original's.
pub(super) struct Header {
    /// Its bytes, and those before it that give its length.
    pub(super) bytes: Vec<u8>,
    /// Where the tensors begin in the original.
    pub(super) data: u64,
}

/// The tensors that are removed.
fn removed(plan: &Plan) -> impl Iterator<Item = &Tensor> {
    plan.edits.iter().filter(|(_, edit)| matches!(edit, Edit::Removed(_))).map(|(tensor, _)| tensor)
}

/// Makes the header of shard number `shard` if it has other tensors than in the original. Their order stays, and new ones come last.
pub(super) async fn header<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    plan: &Plan,
    shard: usize,
) -> Result<Option<Header>, WriteError> {
    let gone: Vec<&str> = removed(plan)
        .filter(|tensor| tensor.shard == shard)
        .map(|tensor| checkpoint.stored_name(&tensor.name))
        .collect();
    let mut new = plan.added.iter().filter(|(added, _)| added.tensor.shard == shard).peekable();
    if gone.is_empty() && new.peek().is_none() {
        return Ok(None);
    }
    let damaged = || io::Error::other("the header of the original cannot be read any more");
    let length = checkpoint.read_weights(shard, 0..LENGTH_BYTES).await?;
    let length = u64::from_le_bytes(length.try_into().map_err(|_| damaged())?);
    let data = LENGTH_BYTES.saturating_add(length);
    let header = checkpoint.read_weights(shard, LENGTH_BYTES..data).await?;
    let mut header: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| damaged())?;
    gone.iter().for_each(|name| {
        header.remove(*name);
    });
    let offsets = |entry: &Value| Some([0, 1].map(|at| entry.get("data_offsets")?.get(at)?.as_u64()));
    let bounds = |entry: &Value| match offsets(entry) {
        Some([Some(begin), Some(end)]) => Some((begin, end)),
        _ => None,
    };
    let mut order: Vec<(u64, u64, String)> = Vec::new();
    for (name, entry) in header.iter().filter(|(name, _)| *name != TEXTS) {
        let (begin, end) = bounds(entry).ok_or_else(damaged)?;
        order.push((begin, end, name.clone()));
    }
    order.sort();
    let mut at = 0u64;
    for (begin, end, name) in order {
        let bytes = end.saturating_sub(begin);
        if let Some(entry) = header.get_mut(&name) {
            entry["data_offsets"] = json!([at, at.saturating_add(bytes)]);
        }
        at = at.saturating_add(bytes);
    }
    for (added, _) in new {
        let (tensor, end) = (&added.tensor, at.saturating_add(added.tensor.bytes()));
        let entry =
            json!({"dtype": tensor.dtype.to_string(), "shape": tensor.shape, "data_offsets": [at, end]});
        header.insert(added.stored_name.clone(), entry);
        // The name was another one for a tensor of the original.
        if let Some(Value::Object(texts)) = header.get_mut(TEXTS) {
            texts.remove(&added.stored_name);
        }
        at = end;
    }
    let mut text = serde_json::to_vec(&header).map_err(io::Error::from)?;
    // Blanks make the tensors begin at a multiple of eight bytes, as in the reference implementation.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(Some(Header { bytes, data }))
}

/// Changes the `model.safetensors.index.json` of a checkpoint, if it is one: new tensors are listed in their shards, and removed ones no
/// more. Returns `None` if nothing changes, or if the document is no index.
pub fn index<S: ByteSource>(checkpoint: &Checkpoint<S>, plan: &Plan, document: &[u8]) -> Option<Vec<u8>> {
    if plan.added.is_empty() && removed(plan).next().is_none() {
        return None;
    }
    let mut document: Map<String, Value> = serde_json::from_slice(document).ok()?;
    let map = document.get_mut("weight_map")?.as_object_mut()?;
    for tensor in removed(plan) {
        map.remove(checkpoint.stored_name(&tensor.name));
    }
    for (added, _) in &plan.added {
        let path = checkpoint.shards.get(added.tensor.shard)?.path();
        let file = path.rsplit('/').next().unwrap_or(path);
        map.insert(added.stored_name.clone(), file.into());
    }
    if let Some(size) = document.get_mut("metadata").and_then(|metadata| metadata.get_mut("total_size")) {
        let total = size.as_u64().map(|size| i128::from(size) + plan.growth());
        *size = total.and_then(|total| u64::try_from(total).ok()).map_or(Value::Null, Value::from);
    }
    serde_json::to_vec_pretty(&document).ok()
}
