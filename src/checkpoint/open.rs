//! From a handful of files to a checkpoint: which are shards, which index and configuration go with them, what is
//! missing, and what is none of our business.

use super::config::Config;
use super::gguf::{GgufError, GgufProblem, Split};
use super::header::{self, Entry, HeaderError, HeaderProblem};
use super::index::Index;
use super::{Checkpoint, CheckpointError, Format, Tensor, compare_names, format, gguf};
use crate::order;
use crate::report::{Warning, WarningCode};
use crate::source::{ByteSource, Meter, SourceError};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Headers read at the same time: enough to hide a browser's latency, few enough to keep memory flat.
const HEADERS_AT_ONCE: usize = 16;

/// An index or configuration larger than this is not one.
pub(super) const MAX_JSON_BYTES: u64 = 256 * 1024 * 1024;

/// How far opening has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Headers read.
    pub shards_done: usize,
    /// Headers to read.
    pub shards: usize,
    /// Bytes read so far.
    pub bytes_read: u64,
}

/// Folders by their paths, sorted.
type Folders<S> = Vec<(String, Folder<S>)>;

/// The files of one folder that belong together.
struct Folder<S> {
    shards: Vec<S>,
    indexes: Vec<S>,
    config: Option<S>,
}

impl<S> Default for Folder<S> {
    fn default() -> Self {
        Self { shards: Vec::new(), indexes: Vec::new(), config: None }
    }
}

/// What the header of a shard gave.
struct Header {
    entries: Vec<Entry>,
    /// Metadata and place in its series, of a GGUF file.
    gguf: Option<(Map<String, Value>, Option<Split>)>,
}

/// The GGUF files of one model.
struct Series {
    /// Its first file.
    path: String,
    metadata: Map<String, Value>,
    /// Its tensors in the catalogue.
    tensors: std::ops::Range<usize>,
}

/// Opens the files of one checkpoint: shards, an index, a configuration, in any order and from any number of
/// folders. Paths are relative to what the user opened. Files of other kinds are ignored when a checkpoint is
/// found, and explained when none is. Where there are safetensors files, GGUF files are copies of them and left out.
pub async fn open<S: ByteSource>(
    sources: Vec<S>,
    progress: impl FnMut(Progress),
) -> Result<Checkpoint<S>, CheckpointError> {
    let checkpoint = catalogue(sources, progress).await?;
    let declared = checkpoint.configs.iter().find_map(|config| format::declared(config.scope("")));
    let names = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str());
    if let Some(what) = declared.or_else(|| format::partial(names)) {
        return Err(CheckpointError::NotACheckpoint(format!("`{}` holds {what}", checkpoint.name)));
    }
    Ok(checkpoint)
}

/// The same for files whose catalogue need not be a model's, such as an adapter's.
pub async fn open_any<S: ByteSource>(sources: Vec<S>) -> Result<Checkpoint<S>, CheckpointError> {
    catalogue(sources, |_| {}).await
}

async fn catalogue<S: ByteSource>(
    sources: Vec<S>,
    mut progress: impl FnMut(Progress),
) -> Result<Checkpoint<S>, CheckpointError> {
    if sources.is_empty() {
        return Err(CheckpointError::NoFiles);
    }
    let meter = Meter::default();
    let name = common_name(&sources);
    let (mut folders, mut others, tokenizers) = sort_into_folders(sources);
    let no_shards = |folders: &Folders<S>| folders.iter().all(|(_, folder)| folder.shards.is_empty());
    if no_shards(&folders) {
        others = adopt_unnamed(&meter, &mut folders, others).await?;
    }
    if no_shards(&folders) {
        others.extend(tokenizers);
        return Err(explain_absence(&meter, folders, others).await?);
    }
    let tokenizer = choose_tokenizer(&folders, tokenizers);
    let left_out = leave_out_copies(&mut folders);
    // A GGUF file has its configuration inside; config.json describes the scales before they were converted.
    let gguf =
        folders.iter().flat_map(|(_, folder)| &folder.shards).all(|shard| !is_safetensors(shard.path()));
    let folders = strip_common_folder(folders);

    let several = folders.iter().filter(|(_, folder)| !folder.shards.is_empty()).count() > 1;
    let mut checkpoint = Checkpoint {
        name,
        format: Format::Safetensors,
        shards: Vec::new(),
        missing_shards: Vec::new(),
        tensors: Vec::new(),
        configs: Vec::new(),
        tokenizer,
        warnings: Vec::new(),
        header_bytes: 0,
        meter,
        weights: Meter::default(),
    };
    for path in left_out {
        let message = format!(
            "`{path}` lies beside safetensors files, of which it is a copy or a part, and was left out; open it alone to see it"
        );
        checkpoint.warn(WarningCode::FileIgnored, &path, message);
    }
    let total = folders.iter().map(|(_, folder)| folder.shards.len()).sum();
    let mut damaged = None;
    for (path, mut folder) in folders {
        let prefix = if several && !path.is_empty() { format!("{path}/") } else { String::new() };
        // A configuration speaks for its own folder, and the top one for all; 1_Pooling/config.json is neither.
        let spoken_for = !gguf && (!folder.shards.is_empty() || path.is_empty());
        if let Some(config) = folder.config.take().filter(|_| spoken_for) {
            checkpoint.read_config(prefix.clone(), &config).await?;
        }
        if !folder.shards.is_empty() {
            damaged = checkpoint.read_folder(&path, &prefix, folder, total, &mut progress).await.or(damaged);
        }
    }
    if let Some(error) = damaged.filter(|_| checkpoint.shards.is_empty()) {
        return Err(error);
    }
    order::sort_by(&mut checkpoint.tensors, |a, b| compare_names(&a.name, &b.name));
    checkpoint.header_bytes = checkpoint.meter.bytes();
    Ok(checkpoint)
}

impl<S: ByteSource> Checkpoint<S> {
    async fn read_config(&mut self, prefix: String, source: &S) -> Result<(), SourceError> {
        let bytes = self.meter.read(source, 0..source.length().min(MAX_JSON_BYTES)).await?;
        match Config::parse(prefix, source.path(), &bytes) {
            Ok(config) => self.configs.push(config),
            Err(error) => self.warn(WarningCode::ConfigUnreadable, source.path(), error.to_string()),
        }
        Ok(())
    }

    /// Adds one folder's shards; gives the error of a damaged one, if there was any.
    async fn read_folder(
        &mut self,
        path: &str,
        prefix: &str,
        folder: Folder<S>,
        total: usize,
        progress: &mut impl FnMut(Progress),
    ) -> Option<CheckpointError> {
        let Folder { mut shards, indexes, .. } = folder;
        let index = self.read_index(indexes).await;
        if let Some(index) = &index {
            self.compare_with_index(path, &mut shards, index);
        } else {
            let missing = missing_by_number(&shards);
            self.report_missing(path, &missing);
        }
        let mut damaged = None;
        let mut series = Vec::new();
        for group in group_by_stem(shards) {
            let headers = self.read_headers(&group, total, progress).await;
            damaged = self.add_group(prefix, group, headers, &mut series).or(damaged);
        }
        let whole = damaged.is_none() && self.missing_shards.is_empty();
        self.describe(prefix, series, whole);
        if let Some(index) = index {
            self.compare_catalogue(prefix, &index);
        }
        damaged
    }

    /// The first index that parses: `model.safetensors.index.json` before `model.fp16.safetensors.index.json`.
    async fn read_index(&mut self, mut indexes: Vec<S>) -> Option<Index> {
        order::sort_by_key(&mut indexes, |index| (index.path().len(), index.path().to_owned()));
        let mut chosen = None;
        for source in &indexes {
            if chosen.is_some() {
                self.warn(
                    WarningCode::IndexIgnored,
                    source.path(),
                    format!("`{}` is a second index of the same folder and was left out", source.path()),
                );
                continue;
            }
            let parsed = match self.meter.read(source, 0..source.length().min(MAX_JSON_BYTES)).await {
                Ok(bytes) => Index::parse(source.path(), &bytes).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match parsed {
                Ok(index) => chosen = Some(index),
                Err(message) => self.warn(WarningCode::IndexUnreadable, source.path(), message),
            }
        }
        chosen
    }

    /// Leaves out the shards that the index does not name, and names those it does and that are not there.
    fn compare_with_index(&mut self, path: &str, shards: &mut Vec<S>, index: &Index) {
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

    /// Lists every missing shard, in one warning: one shard of a hundred may have been opened on purpose.
    fn report_missing(&mut self, path: &str, missing: &[String]) {
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

    async fn read_headers(
        &self,
        group: &[S],
        total: usize,
        progress: &mut impl FnMut(Progress),
    ) -> Vec<Result<Header, CheckpointError>> {
        let mut headers = Vec::with_capacity(group.len());
        let mut reads =
            stream::iter(group).map(|shard| read_header(&self.meter, shard)).buffered(HEADERS_AT_ONCE);
        while let Some(header) = reads.next().await {
            headers.push(header);
            progress(Progress {
                shards_done: self.shards.len() + headers.len(),
                shards: total,
                bytes_read: self.meter.bytes(),
            });
        }
        headers
    }

    /// Adds the shards of one stem to the catalogue. A second stem that repeats names (`model.fp16.safetensors`,
    /// `consolidated.safetensors`) is another copy of the model and is left out whole. A damaged shard among several
    /// is named and the rest goes on; its error is given back, for when nothing is left.
    fn add_group(
        &mut self,
        prefix: &str,
        group: Vec<S>,
        headers: Vec<Result<Header, CheckpointError>>,
        series: &mut Vec<Series>,
    ) -> Option<CheckpointError> {
        let first = self.tensors.len();
        let mut described: Vec<(String, Map<String, Value>, Option<Split>)> = Vec::new();
        let known: HashMap<String, usize> =
            self.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shard)).collect();
        // Within a shard the header walk has seen to it that no name is there twice.
        let several = group.len() > 1;
        let mut added: HashMap<String, usize> = HashMap::new();
        let mut damaged = None;
        for (shard, header) in group.into_iter().zip(headers) {
            let Header { entries, gguf } = match header {
                Ok(header) => header,
                Err(error) => {
                    self.warn(
                        WarningCode::ShardDamaged,
                        shard.path(),
                        format!("{error}. The other shards are inspected"),
                    );
                    self.missing_shards.push(shard.path().to_owned());
                    damaged = Some(error);
                    continue;
                }
            };
            let is_known =
                |entry: &&Entry| !known.is_empty() && known.contains_key(&format!("{prefix}{}", entry.name));
            if let Some(entry) = entries.iter().find(is_known) {
                let message = format!(
                    "`{}` holds {:?} again, as another copy of the model would, and was left out",
                    shard.path(),
                    entry.name
                );
                self.warn(WarningCode::FileIgnored, shard.path(), message);
                continue;
            }
            let position = self.shards.len();
            let mut repeated = Vec::new();
            for entry in entries {
                let name = if prefix.is_empty() { entry.name } else { format!("{prefix}{}", entry.name) };
                if let Some(&first) = added.get(&name) {
                    repeated.push((name, first));
                    continue;
                }
                if several {
                    added.insert(name.clone(), position);
                }
                self.tensors.push(Tensor {
                    name,
                    dtype: entry.dtype,
                    shape: entry.shape,
                    shard: position,
                    range: entry.begin..entry.end,
                });
            }
            if let Some((name, first)) = repeated.first() {
                let message = format!(
                    "tensor {name:?} is in `{}` and again in `{}`{}; the first is used",
                    self.shards[*first].path(),
                    shard.path(),
                    and_more(repeated.len())
                );
                self.warn(WarningCode::TensorRepeated, name, message);
            }
            if let Some((metadata, split)) = gguf {
                described.push((shard.path().to_owned(), metadata, split));
            }
            self.shards.push(shard);
        }
        if !described.is_empty() {
            self.format = Format::Gguf;
            self.compare_with_splits(&described, self.tensors.len() - first, damaged.is_none());
            // The first file of a series has all metadata, the others only their number.
            let fullest = described.into_iter().rev().max_by_key(|(_, metadata, _)| metadata.len());
            if let Some((path, metadata, _)) = fullest {
                series.push(Series { path, metadata, tensors: first..self.tensors.len() });
            }
        }
        damaged
    }

    /// Names the files that the metadata of a GGUF series promise, where their own names do not already.
    fn compare_with_splits(
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

    /// Adds the configurations in the metadata of a folder's GGUF files. Of several models in one folder (a language
    /// model and its vision tower) each speaks for the modules it has.
    fn describe(&mut self, prefix: &str, series: Vec<Series>, whole: bool) {
        let alone = series.len() < 2;
        for Series { path, metadata, tensors } in series {
            let names: Vec<&str> =
                self.tensors[tensors].iter().map(|tensor| &tensor.name[prefix.len()..]).collect();
            let mut roots = Vec::from_iter(alone.then_some(""));
            if !alone {
                for root in names.iter().filter_map(|name| name.split('.').next()) {
                    if roots.len() < MOST_ROOTS && !roots.contains(&root) {
                        roots.push(root);
                    }
                }
                order::sort_by(&mut roots, |a, b| a.cmp(b));
            }
            let names = Some(names.as_slice()).filter(|_| whole);
            let of_root = |root| gguf::config(format!("{prefix}{root}"), &path, metadata.clone(), names);
            self.configs.extend(roots.into_iter().map(of_root));
        }
    }

    /// Says where the index and the shards disagree: one warning for tensors in another shard, one for absent ones.
    fn compare_catalogue(&mut self, prefix: &str, index: &Index) {
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
                "the index puts {tensor:?} in `{file}`, but it is in `{real}`{}; the shards are believed",
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

    fn warn(&mut self, code: WarningCode, place: &str, message: String) {
        self.warnings.push(Warning::new(code, place, message));
    }
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(" (and {} more like it)", count - 1) } else { String::new() }
}

/// Reads 8 bytes, then the header they announce. Two small reads instead of one guess of 64 KiB: locally a read
/// costs microseconds, and what is read stays what is needed. A source behind an address has made the guess already.
///
/// The first bytes decide what a file is, not its name: they are a length in one format and `GGUF` in the other.
async fn read_header<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    let (path, length) = (shard.path(), shard.length());
    let problem = |problem| CheckpointError::from(HeaderError { file: path.to_owned(), problem });
    if is_gguf(path) {
        return read_gguf_header(meter, shard).await;
    }
    if length == 0 {
        return Err(problem(HeaderProblem::Empty));
    }
    let parsed = if length < header::LENGTH_BYTES {
        Err(problem(HeaderProblem::TooShort { length }))
    } else {
        let mut first = [0; header::LENGTH_BYTES as usize];
        first.copy_from_slice(&meter.read(shard, 0..header::LENGTH_BYTES).await?);
        if first.starts_with(gguf::MAGIC) {
            return read_gguf_header(meter, shard).await;
        }
        match header::header_length(path, first, length) {
            Ok(announced) => {
                let json = meter.read(shard, header::LENGTH_BYTES..header::LENGTH_BYTES + announced).await?;
                header::walk(path, &json, length)
                    .map(|entries| Header { entries, gguf: None })
                    .map_err(CheckpointError::from)
            }
            Err(error) => Err(error.into()),
        }
    };
    match parsed {
        // A foreign file with the wrong name deserves its own sentence rather than a complaint about its header.
        Err(CheckpointError::Header(error)) => match sniff(meter, shard).await? {
            Some(sentence) => Err(CheckpointError::NotACheckpoint(sentence)),
            None => Err(error.into()),
        },
        other => other,
    }
}

async fn read_gguf_header<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    match gguf::read(meter, shard).await {
        Err(CheckpointError::Gguf(error @ GgufError { problem: GgufProblem::WrongMagic { .. }, .. })) => {
            Err(sniff(meter, shard).await?.map_or(error.into(), CheckpointError::NotACheckpoint))
        }
        read => read.map(|read| Header { entries: read.entries, gguf: Some((read.metadata, read.split)) }),
    }
}

async fn begins_with_magic<S: ByteSource>(meter: &Meter, source: &S) -> Result<bool, SourceError> {
    let magic = gguf::MAGIC;
    let wanted = magic.len() as u64;
    Ok(source.length() >= wanted && meter.read(source, 0..wanted).await? == magic)
}

/// Where no name promises a checkpoint, a file may still be one: model stores name GGUF files by their hash. Gives back
/// what is none.
async fn adopt_unnamed<S: ByteSource>(
    meter: &Meter,
    folders: &mut Folders<S>,
    others: Vec<S>,
) -> Result<Vec<S>, SourceError> {
    let mut left = Vec::new();
    for source in others {
        if begins_with_magic(meter, &source).await? {
            order::entry(folders, folder_of(source.path())).shards.push(source);
        } else {
            left.push(source);
        }
    }
    Ok(left)
}

/// Takes the GGUF files out where there are safetensors files too, and gives their paths.
fn leave_out_copies<S: ByteSource>(folders: &mut Folders<S>) -> Vec<String> {
    if !folders.iter().flat_map(|(_, folder)| &folder.shards).any(|shard| is_safetensors(shard.path())) {
        return Vec::new();
    }
    let mut left_out = Vec::new();
    for (_, folder) in folders.iter_mut() {
        let (kept, copies): (Vec<S>, Vec<S>) =
            folder.shards.drain(..).partition(|shard| is_safetensors(shard.path()));
        folder.shards = kept;
        left_out.extend(copies.iter().map(|copy| copy.path().to_owned()));
    }
    folders.retain(|(_, folder)| {
        !folder.shards.is_empty() || !folder.indexes.is_empty() || folder.config.is_some()
    });
    left_out
}

async fn sniff<S: ByteSource>(meter: &Meter, source: &S) -> Result<Option<String>, SourceError> {
    let first = meter.read(source, 0..source.length().min(format::SNIFF_BYTES)).await?;
    Ok(format::foreign(source.path(), &first))
}

/// Why files without a single shard are no checkpoint.
async fn explain_absence<S: ByteSource>(
    meter: &Meter,
    folders: Folders<S>,
    others: Vec<S>,
) -> Result<CheckpointError, CheckpointError> {
    for source in &others {
        if let Some(sentence) = sniff(meter, source).await? {
            return Ok(CheckpointError::NotACheckpoint(sentence));
        }
    }
    let companions: Vec<&S> =
        folders.iter().flat_map(|(_, folder)| folder.indexes.iter().chain(&folder.config)).collect();
    if let Some(index) = folders.iter().flat_map(|(_, folder)| &folder.indexes).next() {
        let bytes = meter.read(index, 0..index.length().min(MAX_JSON_BYTES)).await?;
        let parsed = Index::parse(index.path(), &bytes)?;
        let shards = parsed.shards();
        let first = shards.first().copied().unwrap_or("none");
        return Ok(CheckpointError::NotACheckpoint(format!(
            "`{}` names {} shards (the first is `{first}`), but none of them was given; add them, or drop the whole folder",
            index.path(),
            shards.len(),
        )));
    }
    let given = others
        .iter()
        .chain(companions)
        .map(|source| format!("`{}`", source.path()))
        .take(3)
        .collect::<Vec<_>>()
        .join(", ");
    Ok(CheckpointError::NotACheckpoint(format!(
        "no safetensors or GGUF file among what was given ({given}); drop a .safetensors or .gguf file, several shards or the folder that holds them"
    )))
}

/// The tokenizer beside the weights; a bundle may have it in a folder of its own.
fn choose_tokenizer<S: ByteSource>(folders: &Folders<S>, tokenizers: Vec<S>) -> Option<S> {
    let beside =
        |path: &str| folders.iter().any(|(folder, files)| folder == path && !files.shards.is_empty());
    tokenizers.into_iter().min_by_key(|tokenizer| {
        let folder = folder_of(tokenizer.path());
        (!beside(folder), folder.len())
    })
}

/// Folders with what belongs to a checkpoint in each; what is none of that; and the tokenizers, which make no folder.
fn sort_into_folders<S: ByteSource>(sources: Vec<S>) -> (Folders<S>, Vec<S>, Vec<S>) {
    let mut folders = Folders::new();
    let mut others = Vec::new();
    let mut tokenizers = Vec::new();
    for source in sources {
        let lower = file_name(source.path()).to_ascii_lowercase();
        if lower == "tokenizer.json" {
            tokenizers.push(source);
            continue;
        }
        let shard = is_safetensors(&lower) || is_gguf(&lower);
        let known = shard || lower.ends_with(".safetensors.index.json") || lower == "config.json";
        if !known {
            others.push(source);
            continue;
        }
        let folder = order::entry(&mut folders, folder_of(source.path()));
        if shard {
            folder.shards.push(source);
        } else if lower == "config.json" {
            folder.config = Some(source);
        } else {
            folder.indexes.push(source);
        }
    }
    (folders, others, tokenizers)
}

fn is_safetensors(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".safetensors")
}

fn is_gguf(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".gguf")
}

/// A folder that was opened as a whole is the top: `gpt2/model.safetensors` alone needs no `gpt2/` anywhere.
fn strip_common_folder<S>(folders: Folders<S>) -> Folders<S> {
    let Some(top) = folders.first().map(|(path, _)| path.split('/').next().unwrap_or_default().to_owned())
    else {
        return folders;
    };
    if top.is_empty() || !folders.iter().all(|(path, _)| path == &top || path.starts_with(&format!("{top}/")))
    {
        return folders;
    }
    folders
        .into_iter()
        .map(|(path, folder)| (path[top.len()..].trim_start_matches('/').to_owned(), folder))
        .collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The folder all files share, or the only file, or the first shard's name.
fn common_name<S: ByteSource>(sources: &[S]) -> String {
    let top = |source: &S| source.path().split_once('/').map(|(top, _)| top.to_owned());
    let shared =
        top(&sources[0]).filter(|first| sources.iter().all(|source| top(source).as_ref() == Some(first)));
    let shard = sources.iter().find(|source| is_safetensors(source.path()));
    let shard = shard.or_else(|| sources.iter().find(|source| is_gguf(source.path()))).unwrap_or(&sources[0]);
    shared.unwrap_or_else(|| file_name(shard.path()).to_owned())
}

/// What the name of a shard says: `model-00002-of-00030.safetensors`.
struct Numbered<'a> {
    stem: &'a str,
    number: u64,
    of: u64,
    /// Digits of each number.
    digits: usize,
    /// With its dot.
    extension: &'static str,
}

fn numbered(path: &str) -> Option<Numbered<'_>> {
    let name = file_name(path);
    let (rest, extension) = [".safetensors", ".gguf"]
        .into_iter()
        .find_map(|extension| Some((name.strip_suffix(extension)?, extension)))?;
    let (rest, of) = rest.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = (number.len() + of.len()) / 2;
    Some(Numbered { stem, number: number.parse().ok()?, of: of.parse().ok()?, digits, extension })
}

/// A name may promise anything: no list longer than a real checkpoint's.
const MOST_NUMBERS: u64 = 100_000;

/// First parts of names that have a configuration each, at most: a model has fewer.
const MOST_ROOTS: usize = 64;

/// Shards that the numbers in the names of the others promise.
fn missing_by_number<S: ByteSource>(shards: &[S]) -> Vec<String> {
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

/// Shards of one series together; `model…` first, then by length of the name.
fn group_by_stem<S: ByteSource>(shards: Vec<S>) -> Vec<Vec<S>> {
    let by_stem = shards.into_iter().map(|shard| {
        let stem = numbered(shard.path()).map_or(file_name(shard.path()), |name| name.stem).to_owned();
        ((!stem.starts_with("model"), stem.len(), stem), shard)
    });
    order::groups(by_stem)
        .into_iter()
        .map(|(_, mut group)| {
            order::sort_by(&mut group, |a, b| compare_names(a.path(), b.path()));
            group
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::MemorySource;

    fn file(path: &str, tensors: &[&str]) -> MemorySource {
        let entries: Vec<String> = tensors
            .iter()
            .enumerate()
            .map(|(i, name)| {
                format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#, 4 * i, 4 * i + 4)
            })
            .collect();
        let json = format!("{{{}}}", entries.join(","));
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.extend(vec![0; 4 * tensors.len()]);
        MemorySource::new(path, bytes)
    }

    fn json(path: &str, text: &str) -> MemorySource {
        MemorySource::new(path, text)
    }

    fn open_all(sources: Vec<MemorySource>) -> Result<Checkpoint<MemorySource>, CheckpointError> {
        pollster::block_on(open(sources, |_| {}))
    }

    fn codes(checkpoint: &Checkpoint<MemorySource>) -> Vec<&str> {
        checkpoint.warnings.iter().map(|warning| warning.code.as_str()).collect()
    }

    #[test]
    fn names_come_in_numeric_order() {
        let checkpoint = open_all(vec![file("m.safetensors", &["h.10.w", "h.9.w"])]).unwrap();
        assert_eq!(checkpoint.tensors[0].name, "h.9.w");
    }

    #[test]
    fn a_shard_the_numbers_promise_is_named() {
        let checkpoint = open_all(vec![file("model-00002-of-00003.safetensors", &["a"])]).unwrap();
        assert_eq!(
            checkpoint.missing_shards,
            ["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"]
        );
    }

    #[test]
    fn a_shard_the_index_promises_is_named_and_the_rest_is_read() {
        let index = json(
            "d/model.safetensors.index.json",
            r#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#,
        );
        let checkpoint = open_all(vec![index, file("d/1.safetensors", &["a"])]).unwrap();
        assert_eq!(
            (checkpoint.name.as_str(), checkpoint.missing_shards.as_slice()),
            ("d", ["2.safetensors".to_owned()].as_slice())
        );
        assert_eq!(codes(&checkpoint), ["shard_missing"]);
    }

    #[test]
    fn an_index_that_disagrees_with_the_shards_is_corrected() {
        let index = json(
            "model.safetensors.index.json",
            r#"{"weight_map":{"a":"2.safetensors","b":"2.safetensors","c":"1.safetensors"}}"#,
        );
        let checkpoint =
            open_all(vec![index, file("1.safetensors", &["a"]), file("2.safetensors", &["b"])]).unwrap();
        assert_eq!(codes(&checkpoint), ["index_wrong_shard", "index_absent_tensor"]);
    }

    #[test]
    fn an_index_alone_says_what_it_wants() {
        let index = json("model.safetensors.index.json", r#"{"weight_map":{"a":"1.safetensors"}}"#);
        assert!(open_all(vec![index]).unwrap_err().to_string().contains("`1.safetensors`"));
    }

    #[test]
    fn a_second_copy_of_the_model_is_left_out() {
        let checkpoint =
            open_all(vec![file("consolidated.safetensors", &["a"]), file("model.safetensors", &["a", "b"])])
                .unwrap();
        assert_eq!((checkpoint.tensors.len(), checkpoint.shards.len()), (2, 1));
        assert_eq!(codes(&checkpoint), ["file_ignored"]);
    }

    #[test]
    fn folders_of_a_bundle_become_prefixes() {
        let checkpoint = open_all(vec![
            file("sd/unet/model.safetensors", &["norm.weight"]),
            file("sd/text_encoder/model.safetensors", &["norm.weight"]),
            json("sd/text_encoder/config.json", r#"{"model_type":"clip_text_model"}"#),
        ])
        .unwrap();
        assert_eq!(
            checkpoint.tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
            ["text_encoder/norm.weight", "unet/norm.weight"]
        );
        assert_eq!(
            checkpoint.config_of("text_encoder/norm.weight").and_then(Config::family),
            Some("clip_text_model")
        );
        assert!(checkpoint.config_of("unet/norm.weight").is_none());
    }

    #[test]
    fn a_config_that_is_not_json_is_a_warning() {
        let checkpoint =
            open_all(vec![file("model.safetensors", &["a"]), json("config.json", "{oops")]).unwrap();
        assert_eq!(codes(&checkpoint), ["config_unreadable"]);
    }

    #[test]
    fn a_tokenizer_beside_the_weights_is_kept_unread_and_changes_nothing_else() {
        let files = || vec![file("m/model.safetensors", &["a"]), json("m/config.json", "{}")];
        let without = open_all(files()).unwrap();
        let mut sources = files();
        sources.insert(0, json("m/tokenizer/tokenizer.json", "another"));
        sources.insert(0, json("m/Tokenizer.json", "its own"));
        let checkpoint = open_all(sources).unwrap();
        assert!(checkpoint.warnings.is_empty());
        assert_eq!((&checkpoint.name, checkpoint.bytes_read()), (&without.name, without.bytes_read()));
        let (path, bytes) = pollster::block_on(checkpoint.tokenizer_bytes()).unwrap().unwrap();
        assert_eq!((path.as_str(), bytes.as_slice()), ("m/Tokenizer.json", b"its own".as_slice()));
        assert!(pollster::block_on(without.tokenizer_bytes()).is_none());
    }

    #[test]
    fn a_tokenizer_alone_is_no_checkpoint() {
        let error = open_all(vec![json("tokenizer.json", "{}")]).unwrap_err().to_string();
        assert!(error.contains("`tokenizer.json`"), "{error}");
    }

    #[test]
    fn a_damaged_shard_among_several_is_named_and_the_rest_is_read() {
        let checkpoint = open_all(vec![
            file("model-1-of-2.safetensors", &["a"]),
            json("model-2-of-2.safetensors", "short"),
        ])
        .unwrap();
        assert_eq!(codes(&checkpoint), ["shard_damaged"]);
        assert!(open_all(vec![json("model.safetensors", "short")]).is_err());
    }

    #[test]
    fn reads_count_what_was_read() {
        let checkpoint = open_all(vec![file("m.safetensors", &["a", "b"])]).unwrap();
        let header = checkpoint.tensors[0].range.start;
        assert_eq!(checkpoint.bytes_read(), header);
        let values = pollster::block_on(checkpoint.read(&[1, 0], |_, _| {}));
        assert_eq!(values, vec![Ok(vec![0.0]), Ok(vec![0.0])]);
        assert_eq!(checkpoint.bytes_read(), header + 8);
    }
}
