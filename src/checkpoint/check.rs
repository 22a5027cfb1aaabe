//! Compares what was promised with what is there: an index, the numbers in names, and the counts in GGUF metadata.

use super::Checkpoint;
use super::gather::{file_name, numbered};
use super::gguf::Split;
use super::index::Index;
use crate::order;
use crate::report::WarningCode;
use crate::source::ByteSource;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A name may promise any number of shards. At most this many are listed.
const MOST_NUMBERS: u64 = 100_000;

impl<S: ByteSource> Checkpoint<S> {
    /// Leaves out shards that the index does not name, and reports shards that it names and that are missing.
    pub(super) fn compare_with_index(&mut self, path: &str, shards: &mut Vec<S>, index: &Index) {
        let named = index.shards();
        let given = order::distinct(shards.iter().map(|shard| file_name(shard.path())));
        if !given.iter().any(|name| order::has(&named, name)) {
            let message = "the index names none of the shards given, so it is of another checkpoint; the shards are inspected without it";
            self.warn(WarningCode::IndexForeign, path, message.to_owned());
            return;
        }
        let missing: Vec<String> =
            named.iter().filter(|name| !order::has(&given, name)).map(|name| (*name).to_owned()).collect();
        self.report_missing(path, &missing);
        let (kept, left_out): (Vec<S>, Vec<S>) =
            shards.drain(..).partition(|shard| order::has(&named, file_name(shard.path())));
        *shards = kept;
        for shard in left_out {
            self.warn(
                WarningCode::FileIgnored,
                shard.path(),
                format!("`{}` is not named by the index and was left out", shard.path()),
            );
        }
    }

    /// Reports all missing shards in one warning: the user may have opened one shard of a hundred on purpose.
    pub(super) fn report_missing(&mut self, path: &str, missing: &[String]) {
        let full = |name: &String| if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let missing: Vec<String> = missing.iter().map(full).collect();
        let message = match missing.as_slice() {
            [] => return,
            [one] => {
                format!("shard `{one}` is missing; the others are inspected. Add it to see the whole model")
            }
            [first, .., last] => format!(
                "{} shards are missing, `{first}` to `{last}`; the others are inspected. Add them to see the whole model",
                missing.len()
            ),
        };
        self.warn(WarningCode::ShardMissing, &missing[0], message);
        self.missing_shards.extend(missing);
    }

    /// Reports missing files of a GGUF series by its metadata, unless the names of the files already show them.
    pub(super) fn compare_with_splits(
        &mut self,
        described: &[(String, Map<String, Value>, Option<Split>)],
        tensors: usize,
        sound: bool,
    ) {
        let splits = || described.iter().filter_map(|(path, _, split)| Some((path, (*split)?)));
        let Some((path, Split { count, tensors: promised, .. })) = splits().next() else { return };
        let present = order::distinct(splits().map(|(_, split)| split.number));
        let absent = count.saturating_sub(present.len() as u64);
        if absent > 0 && sound && described.iter().all(|(path, ..)| numbered(path).is_none()) {
            let missing: Vec<String> = (0..count.min(MOST_NUMBERS))
                .filter(|number| present.binary_search(number).is_err())
                .map(|number| format!("file {} of {count}", number + 1))
                .collect();
            let are = if absent == 1 { "is" } else { "are" };
            let message = format!(
                "`{path}` is one of {count} files, and {absent} of them {are} missing; what is there is inspected. Add them to see the whole model"
            );
            self.warn(WarningCode::ShardMissing, path, message);
            self.missing_shards.extend(missing);
        }
        if let Some(promised) = promised.filter(|&promised| promised != tensors as u64)
            && absent == 0
            && sound
        {
            let message = format!(
                "the {count} files hold {tensors} tensors together, and their metadata promise {promised}; they may be of several models"
            );
            self.warn(WarningCode::TensorsMiscounted, path, message);
        }
    }

    /// Reports where the index and the shards disagree: one warning for tensors in another shard, one for absent ones.
    pub(super) fn compare_catalogue(&mut self, prefix: &str, index: &Index) {
        let place: HashMap<&str, usize> =
            self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shard)).collect();
        let mut messages: Vec<(WarningCode, String, String)> = Vec::new();
        let missing = order::distinct(self.missing_shards.iter().map(|name| file_name(name)));
        let (mut elsewhere, mut absent) = (Vec::new(), Vec::new());
        for (tensor, file) in &index.weight_map {
            match place.get(format!("{prefix}{tensor}").as_str()) {
                Some(&shard) if file_name(self.shards[shard].path()) == file => {}
                Some(&shard) => elsewhere.push((tensor, file, self.shards[shard].path())),
                None if order::has(&missing, file) => {}
                None => absent.push((tensor, file)),
            }
        }
        if let Some((tensor, file, real)) = elsewhere.first() {
            let message = format!(
                "the index puts {tensor:?} in `{file}`, but it is in `{real}`{}; the shards count",
                and_more(elsewhere.len())
            );
            messages.push((WarningCode::IndexWrongShard, (*tensor).clone(), message));
        }
        if let Some((tensor, file)) = absent.first() {
            let message = format!(
                "the index puts {tensor:?} in `{file}`, which does not hold it{}",
                and_more(absent.len())
            );
            messages.push((WarningCode::IndexAbsentTensor, (*tensor).clone(), message));
        }
        for (code, place, message) in messages {
            self.warn(code, &place, message);
        }
    }
}

/// Missing shards that the numbers in the names of the others promise.
pub(super) fn missing_by_number<S: ByteSource>(shards: &[S]) -> Vec<String> {
    let named = shards.iter().filter_map(|shard| numbered(shard.path()));
    let series =
        order::groups(named.map(|name| ((name.stem, name.of, name.digits, name.extension), name.number)));
    let mut missing = Vec::new();
    for ((stem, of, digits, extension), numbers) in series {
        let present = order::distinct(numbers);
        for number in (1..=of.min(MOST_NUMBERS)).filter(|number| present.binary_search(number).is_err()) {
            missing.push(format!("{stem}-{number:0digits$}-of-{of:0digits$}{extension}"));
        }
    }
    missing
}

/// The subject of a sentence about `count` tensors of which `first` is one, with the verb for one or for several.
pub(super) fn first_and_more(first: &str, count: usize, [one, several]: [&str; 2]) -> String {
    match count {
        0 | 1 => format!("`{first}` {one}"),
        more => format!("`{first}` and {} more tensors {several}", more - 1),
    }
}

pub(super) fn and_more(count: usize) -> String {
    if count > 1 { format!(" (and {} more like it)", count - 1) } else { String::new() }
}
