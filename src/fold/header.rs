//! The header of a shard that loses tensors or gets new ones, and the index of such shards.

use super::plan::{Edit, Plan};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::source::ByteSource;
use serde_json::{Map, Value, json};

/// Key of a header's texts, which name no tensor.
const TEXTS: &str = "__metadata__";

/// The tensors that are removed.
fn removed(plan: &Plan) -> impl Iterator<Item = &Tensor> {
    plan.edits.iter().filter(|(_, edit)| matches!(edit, Edit::Removed(_))).map(|(tensor, _)| tensor)
}

/// Whether shard number `shard` has other tensors than in the original.
pub(super) fn differs(plan: &Plan, shard: usize) -> bool {
    removed(plan).any(|tensor| tensor.shard == shard)
        || plan.added.iter().any(|(added, _)| added.tensor.shard == shard)
}

/// Makes the header of shard number `shard`, with its length before it, from that of the original. The order of the tensors stays, and
/// new ones come last. Returns `None` if the original is no header any more.
pub(super) fn header<S>(
    checkpoint: &Checkpoint<S>,
    plan: &Plan,
    shard: usize,
    original: &[u8],
) -> Option<Vec<u8>> {
    let mut header: Map<String, Value> = serde_json::from_slice(original).ok()?;
    for tensor in removed(plan).filter(|tensor| tensor.shard == shard) {
        header.remove(checkpoint.stored_name(&tensor.name));
    }
    let mut order: Vec<(u64, u64, String)> = Vec::new();
    for (name, entry) in header.iter().filter(|(name, _)| *name != TEXTS) {
        let at = |end: usize| entry.get("data_offsets")?.get(end)?.as_u64();
        order.push((at(0)?, at(1)?, name.clone()));
    }
    order.sort();
    let mut at = 0u64;
    for (begin, end, name) in order {
        let next = at.saturating_add(end.saturating_sub(begin));
        *header.get_mut(&name)?.get_mut("data_offsets")? = json!([at, next]);
        at = next;
    }
    for (added, _) in plan.added.iter().filter(|(added, _)| added.tensor.shard == shard) {
        let (tensor, next) = (&added.tensor, at.saturating_add(added.tensor.bytes()));
        let entry =
            json!({"dtype": tensor.dtype.to_string(), "shape": tensor.shape, "data_offsets": [at, next]});
        header.insert(added.stored_name.clone(), entry);
        // A text may say that the name was another one for a tensor of the original.
        if let Some(Value::Object(texts)) = header.get_mut(TEXTS) {
            texts.remove(&added.stored_name);
        }
        at = next;
    }
    let mut text = serde_json::to_vec(&header).ok()?;
    // Blanks make the tensors begin at a multiple of eight bytes, as in the reference implementation.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Some(bytes)
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
