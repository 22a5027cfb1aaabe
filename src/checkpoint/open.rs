//! Builds the catalogue of one checkpoint from its files: configuration, index, headers, and warnings about what is odd.

use super::check::{and_more, missing_by_number};
use super::config::{Config, ConfigError};
use super::copies;
use super::formats::{self, Format};
use super::gather::{self, Gathered, Gathering, file_name, folder_of, numbered};
use super::gguf::{self, Split};
use super::header::Entry;
use super::index::{Index, IndexError};
use super::read::{Header, format_of, read_header, sniff};
use super::{Checkpoint, CheckpointError, Tensor, compare_names, packed, partial, wrapped};
use crate::order;
use crate::report::{Warning, WarningCode};
use crate::source::{ByteSource, Meter, SourceError};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Headers read at the same time: enough to hide a browser's latency, few enough to keep memory flat.
const HEADERS_AT_ONCE: usize = 16;

/// Longest index or tokenizer that is read, in bytes.
pub(super) const MAX_JSON_BYTES: u64 = 128 << 20;

/// Longest configuration that is read, in bytes. The longest published ones name 22,000 labels in 2 MB.
pub(super) const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// How far opening has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadersRead {
    /// Headers read.
    pub shards_done: usize,
    /// Headers to read.
    pub shards: usize,
    /// Bytes read so far.
    pub bytes_read: u64,
}

/// More pairs of channels than any head has.
#[cfg(feature = "verify")]
const MOST_FACTORS: u64 = 4096;

/// Folders by their paths, sorted.
type Folders<S> = Vec<(String, Folder<S>)>;

/// The files of one folder that belong together.
struct Folder<S> {
    shards: Vec<S>,
    indexes: Vec<S>,
    config: Option<S>,
    /// What says where the chunks of the tensors lie, in a folder of torch.distributed.checkpoint.
    #[cfg(feature = "more-formats")]
    layout: Option<S>,
}

impl<S> Default for Folder<S> {
    fn default() -> Self {
        Self {
            shards: Vec::new(),
            indexes: Vec::new(),
            config: None,
            #[cfg(feature = "more-formats")]
            layout: None,
        }
    }
}

/// The GGUF files of one model.
struct Series {
    /// Its first file.
    path: String,
    metadata: Map<String, Value>,
    /// Its tensors in the catalogue.
    tensors: std::ops::Range<usize>,
}

/// What a file is to a checkpoint.
enum Role {
    Shard,
    Index,
    Config,
    ForRuns,
    #[cfg(feature = "more-formats")]
    Layout,
    Other,
}

/// Opens the files of one checkpoint: shards, an index, a configuration, in any order and from any number of folders. Paths are
/// relative to what the user opened. If a checkpoint is found, files of other kinds are ignored; otherwise the error explains
/// them. If the files belong to several checkpoints, the error lists them.
pub async fn open<S: ByteSource>(
    sources: Vec<S>,
    mut progress: impl FnMut(HeadersRead),
) -> Result<Checkpoint<S>, CheckpointError> {
    open_telling(sources, &mut progress).await
}

/// [`open`] with a dynamic `progress`, so that it is compiled only once.
async fn open_telling<S: ByteSource>(
    sources: Vec<S>,
    progress: &mut dyn FnMut(HeadersRead),
) -> Result<Checkpoint<S>, CheckpointError> {
    let meter = Meter::default();
    let names = promised_names(&meter, &sources).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Gathering { mut checkpoints, left_out } = gather::checkpoints(&names);
    if checkpoints.len() > 1 {
        return Err(CheckpointError::Several(checkpoints));
    }
    let only = checkpoints.pop();
    let beside: Vec<String> =
        left_out.iter().flat_map(|left| &left.files).map(|&file| sources[file].path().to_owned()).collect();
    let (sources, name) = match only {
        Some(Gathered { name, files }) => (at(sources, files), Some(name)),
        None => (sources, None),
    };
    let mut checkpoint = catalogue(sources, meter, progress).await?;
    // A model that is being adapted may have packed weights. Before they are unpacked, it looks like an adapter alone.
    packed::unpack(&mut checkpoint).await;
    let declared = checkpoint.configs.iter().find_map(|config| partial::declared(config.scope("")));
    let names = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str());
    if let Some(what) = declared.or_else(|| partial::partial(names)) {
        return Err(CheckpointError::NotACheckpoint(format!("`{}` holds {what}", checkpoint.name)));
    }
    copies::leave_out(&mut checkpoint);
    wrapped::unwrap(&mut checkpoint);
    // A step or a snapshot is named by its whole path, which says what it is a step of.
    if let Some(folder) = name.filter(|name| Format::of_path(name).is_none()) {
        checkpoint.name = folder;
    }
    for path in beside {
        let message = format!(
            "`{path}` lies beside `{}` as a copy, a part or another model, and was left out; open it alone to see it",
            checkpoint.shards[0].path()
        );
        checkpoint.warn(WarningCode::FileIgnored, &path, message);
    }
    Ok(checkpoint)
}

/// Opens files that are known to be one checkpoint but need not be a model: an adapter, for example.
pub async fn open_any<S: ByteSource>(sources: Vec<S>) -> Result<Checkpoint<S>, CheckpointError> {
    catalogue(sources, Meter::default(), &mut |_| {}).await
}

/// The sources at `places`.
fn at<S>(sources: Vec<S>, places: Vec<usize>) -> Vec<S> {
    let mut sources: Vec<Option<S>> = sources.into_iter().map(Some).collect();
    places.into_iter().filter_map(|place| sources[place].take()).collect()
}

/// The paths of the sources. If no path promises a checkpoint, each file that is one by its first bytes gets the ending of its
/// format: model stores name files by their hash, and people rename them.
async fn promised_names<S: ByteSource>(meter: &Meter, sources: &[S]) -> Result<Vec<String>, SourceError> {
    let mut names: Vec<String> = sources.iter().map(|source| source.path().to_owned()).collect();
    if names.iter().any(|name| Format::of_path(name).is_some()) {
        return Ok(names);
    }
    for (name, source) in names.iter_mut().zip(sources) {
        if matches!(role_of(name), Role::Other)
            && let Some(format) = format_of(meter, source).await?
        {
            let end = name.rfind('.').filter(|_| formats::is_file_name(name)).unwrap_or(name.len());
            name.replace_range(end.., format.endings()[0]);
        }
    }
    Ok(names)
}

async fn catalogue<S: ByteSource>(
    sources: Vec<S>,
    meter: Meter,
    progress: &mut dyn FnMut(HeadersRead),
) -> Result<Checkpoint<S>, CheckpointError> {
    if sources.is_empty() {
        return Err(CheckpointError::NoFiles);
    }
    let names = promised_names(&meter, &sources).await?;
    // A GGUF file has its configuration inside; config.json describes the scales before they were converted.
    let mut formats = names.iter().filter_map(|name| Format::of_path(name));
    let gguf = formats.all(|format| format == Format::Gguf);
    let shared = common_folder(&sources);
    let (folders, mut others, for_runs) = sort_into_folders(sources, &names);
    if folders.iter().all(|(_, folder)| folder.shards.is_empty()) {
        others.extend(for_runs);
        return Err(explain_absence(&meter, folders, others).await?);
    }
    let for_runs = beside_weights(&folders, for_runs);
    let folders = strip_common_folder(folders);

    let several = folders.iter().filter(|(_, folder)| !folder.shards.is_empty()).count() > 1;
    let mut checkpoint = Checkpoint {
        name: shared.unwrap_or_default(),
        format: Format::Safetensors,
        shards: Vec::new(),
        metadata: Vec::new(),
        missing_shards: Vec::new(),
        tensors: Vec::new(),
        stored_names: Vec::new(),
        #[cfg(feature = "onnx")]
        graphs: Vec::new(),
        configs: Vec::new(),
        for_runs,
        warnings: Vec::new(),
        header_bytes: 0,
        #[cfg(feature = "more-formats")]
        joined: super::joined::Joined::default(),
        #[cfg(feature = "verify")]
        unpacked: Box::default(),
        meter,
        weights: Meter::default(),
    };
    let total = folders.iter().map(|(_, folder)| folder.shards.len()).sum();
    let mut damaged = None;
    for (path, mut folder) in folders {
        let prefix = if several && !path.is_empty() { format!("{path}/") } else { String::new() };
        // A configuration applies to its own folder, and the top one to all. One without weights beside it, such as
        // 1_Pooling/config.json, applies to nothing.
        let spoken_for = !gguf && (!folder.shards.is_empty() || path.is_empty());
        if let Some(config) = folder.config.take().filter(|_| spoken_for) {
            checkpoint.read_config(prefix.clone(), &config).await?;
        }
        if !folder.shards.is_empty() {
            let read = checkpoint.read_folder(&path, &prefix, folder, &mut others, total, progress);
            damaged = read.await.or(damaged);
            // The build that reads this shard reads the whole checkpoint.
            if let Some(error @ CheckpointError::Elsewhere(_)) = damaged {
                return Err(error);
            }
        }
    }
    if let Some(error) = damaged.filter(|_| checkpoint.shards.is_empty()) {
        return Err(error);
    }
    // A GGUF file may have another name. Its own metadata are its configuration.
    if checkpoint.format == Format::Gguf {
        checkpoint.configs.retain(|config| config.scope("").is_gguf());
    }
    if checkpoint.name.is_empty()
        && let Some(first) = checkpoint.shards.first()
    {
        checkpoint.name = file_name(first.path()).to_owned();
    }
    checkpoint.sort();
    #[cfg(feature = "verify")]
    checkpoint.read_factors().await;
    #[cfg(feature = "more-formats")]
    order::sort_by(&mut checkpoint.stored_names, |a, b| a.0.cmp(&b.0));
    checkpoint.header_bytes = checkpoint.meter.bytes();
    Ok(checkpoint)
}

impl<S: ByteSource> Checkpoint<S> {
    async fn read_config(&mut self, prefix: String, source: &S) -> Result<(), SourceError> {
        let parsed = match source.length() {
            length if length > MAX_CONFIG_BYTES => Err(ConfigError::too_long(source.path(), length)),
            length => Config::parse(prefix, source.path(), &self.meter.read(source, 0..length).await?),
        };
        match parsed {
            Ok(config) => self.configs.push(config),
            Err(error) => self.warn(WarningCode::ConfigUnreadable, source.path(), error.to_string()),
        }
        Ok(())
    }

    /// Adds one folder's shards, and those of `others` in which ONNX files have tensors. Returns the error of a damaged shard, if
    /// there is one.
    async fn read_folder(
        &mut self,
        path: &str,
        prefix: &str,
        #[allow(unused_mut, reason = "changed with the feature more-formats")] mut folder: Folder<S>,
        others: &mut Vec<S>,
        total: usize,
        progress: &mut dyn FnMut(HeadersRead),
    ) -> Option<CheckpointError> {
        #[cfg(feature = "more-formats")]
        if let Some(layout) = folder.layout.take() {
            return self.read_chunks(path, prefix, layout, folder.shards, progress).await;
        }
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
            damaged = self.add_group(prefix, group, headers, others, &mut series).or(damaged);
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
            let length = source.length();
            let read = match length > MAX_JSON_BYTES {
                true => {
                    let message = IndexError::too_long(source.path(), length).to_string();
                    self.warn(WarningCode::IndexUnreadable, source.path(), message);
                    continue;
                }
                false => self.meter.read(source, 0..length).await,
            };
            let parsed = match read {
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

    async fn read_headers(
        &self,
        group: &[S],
        total: usize,
        progress: &mut dyn FnMut(HeadersRead),
    ) -> Vec<Result<Header, CheckpointError>> {
        let mut headers = Vec::with_capacity(group.len());
        let mut reads =
            stream::iter(group).map(|shard| read_header(&self.meter, shard)).buffered(HEADERS_AT_ONCE);
        while let Some(header) = reads.next().await {
            headers.push(header);
            progress(HeadersRead {
                shards_done: self.shards.len() + headers.len(),
                shards: total,
                bytes_read: self.meter.bytes(),
            });
        }
        headers
    }

    /// Adds the shards of one stem to the catalogue. A second stem that repeats names (`model.fp16.safetensors`,
    /// `consolidated.safetensors`) is another copy of the model and is left out whole. A damaged shard becomes a warning, and the
    /// others are still added. Its error is returned in case no shard is left.
    fn add_group(
        &mut self,
        prefix: &str,
        group: Vec<S>,
        headers: Vec<Result<Header, CheckpointError>>,
        others: &mut Vec<S>,
        series: &mut Vec<Series>,
    ) -> Option<CheckpointError> {
        let first = self.tensors.len();
        let mut described: Vec<(String, Map<String, Value>, Option<Split>)> = Vec::new();
        let known: HashMap<String, usize> =
            self.tensors.iter().enumerate().map(|(at, tensor)| (tensor.name.clone(), at)).collect();
        // The header walk has checked that no name occurs twice within a shard.
        let several = group.len() > 1;
        let mut added: HashMap<String, usize> = HashMap::new();
        let mut damaged = None;
        for (shard, header) in group.into_iter().zip(headers) {
            let header = match header {
                Ok(header) => header,
                // Other shards must not replace it.
                Err(error @ CheckpointError::Elsewhere(_)) => return Some(error),
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
            #[cfg(feature = "pytorch")]
            let declared = header.declared;
            #[cfg(feature = "more-formats")]
            for (name, stored) in header.stored {
                self.stored_names.push((format!("{prefix}{name}"), format!("{prefix}{stored}")));
            }
            #[cfg(feature = "onnx")]
            let onnx = header.onnx;
            let Header { entries, metadata, gguf, format, warnings, .. } = header;
            let known_as = |entry: &Entry| known.get(&format!("{prefix}{}", entry.name)).copied();
            let repeated = || entries.iter().filter_map(|entry| Some((entry, known_as(entry)?)));
            if let Some((entry, _)) = (!known.is_empty()).then(|| repeated().next()).flatten() {
                let same = repeated().all(|(entry, at)| entry.shape == self.tensors[at].shape);
                let what = if same {
                    "as a copy of the model or another step of its training would"
                } else {
                    "in other shapes, as another model or a packed copy would"
                };
                let message = format!(
                    "`{}` holds {:?} again, {what}, and was left out; open it alone to see it",
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
                    strides: entry.strides,
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
            #[cfg(feature = "pytorch")]
            self.take_declared(prefix, shard.path(), declared);
            self.format = format;
            self.warnings.extend(warnings);
            self.shards.push(shard);
            self.metadata.push(metadata);
            #[cfg(feature = "onnx")]
            if let Some(onnx) = onnx {
                self.add_graph(prefix, position, onnx, others);
            }
        }
        #[cfg(not(feature = "onnx"))]
        let _ = others;
        if !described.is_empty() {
            self.compare_with_splits(&described, self.tensors.len() - first, damaged.is_none());
            // The first file of a series has all metadata, the others only their number.
            let fullest = described.into_iter().rev().max_by_key(|(_, metadata, _)| metadata.len());
            if let Some((path, metadata, _)) = fullest {
                series.push(Series { path, metadata, tensors: first..self.tensors.len() });
            }
        }
        damaged
    }

    /// Takes what a PyTorch file says of its model as the configuration, unless there is one.
    #[cfg(feature = "pytorch")]
    fn take_declared(
        &mut self,
        prefix: &str,
        path: &str,
        declared: Option<(&'static str, Map<String, Value>)>,
    ) {
        let Some((key, fields)) = declared else { return };
        if self.configs.iter().any(|config| prefix.starts_with(&config.prefix)) {
            return;
        }
        let message = format!(
            "there is no `config.json` for `{path}`, so `{key}` in the file is used as the configuration: {}",
            fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        );
        self.warn(WarningCode::ConfigInside, path, message);
        self.configs.push(Config::of_fields(prefix.to_owned(), &format!("{path} ({key})"), fields));
    }

    /// Adds the configurations in the metadata of a folder's GGUF files. If the folder has several models (a language model and
    /// its vision tower), each configuration applies to the modules of its model.
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

    /// Adds the numbers of [`gguf::FACTORS`] to the configurations of GGUF files. Without them a run refuses the tensors.
    #[cfg(feature = "verify")]
    async fn read_factors(&mut self) {
        if self.format != Format::Gguf {
            return;
        }
        let named = |name: &&'static str| {
            let tensor =
                self.tensors.iter().position(|tensor| tensor.name.strip_suffix(".weight") == Some(*name));
            tensor
                .filter(|&tensor| self.tensors[tensor].elements() <= MOST_FACTORS)
                .map(move |tensor| (*name, tensor))
        };
        let found: Vec<(&'static str, usize)> = gguf::FACTORS.iter().filter_map(named).collect();
        for (name, tensor) in found {
            let Ok(values) = self.values(tensor).await else { continue };
            self.configs.iter_mut().for_each(|config| config.set(name, values.clone().into()));
        }
    }

    pub(super) fn warn(&mut self, code: WarningCode, place: &str, message: String) {
        self.warnings.push(Warning::new(code, place, message));
    }
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
        if index.length() > MAX_JSON_BYTES {
            return Err(IndexError::too_long(index.path(), index.length()).into());
        }
        let bytes = meter.read(index, 0..index.length()).await?;
        let parsed = Index::parse(index.path(), &bytes)?;
        let shards = parsed.shards();
        let first = shards.first().copied().unwrap_or("none");
        return Ok(CheckpointError::NotACheckpoint(format!(
            "`{}` names {} shards (the first is `{first}`), but none of them was given; add them, or give the whole folder",
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
        "no safetensors, GGUF, ONNX or PyTorch file among what was given ({given}); give a .safetensors, .gguf, .onnx or PyTorch file, several shards or the folder that holds them"
    )))
}

/// Sorts the files for runs, those beside the weights first: a bundle may keep its tokenizer in a separate folder.
fn beside_weights<S: ByteSource>(folders: &Folders<S>, mut for_runs: Vec<S>) -> Vec<S> {
    let beside =
        |path: &str| folders.iter().any(|(folder, files)| folder == path && !files.shards.is_empty());
    order::sort_by_key(&mut for_runs, |file| {
        let folder = folder_of(file.path());
        (!beside(folder), folder.len())
    });
    for_runs
}

/// Sorts sources into the folders of a checkpoint, other files, and files for runs. Files for runs make no folder.
fn sort_into_folders<S: ByteSource>(sources: Vec<S>, names: &[String]) -> (Folders<S>, Vec<S>, Vec<S>) {
    let mut folders = Folders::new();
    let mut others = Vec::new();
    let mut for_runs = Vec::new();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let weights = gather::weights(&paths);
    for (at, (source, name)) in sources.into_iter().zip(names).enumerate() {
        let role = match role_of(name) {
            Role::Shard if !weights.contains(&at) => Role::Other,
            // Other programs have files of this name too.
            #[cfg(feature = "more-formats")]
            Role::Layout if !is_of_chunks(&paths, &weights, folder_of(name)) => Role::Other,
            role => role,
        };
        match role {
            Role::ForRuns => for_runs.push(source),
            #[cfg(feature = "more-formats")]
            Role::Layout => {
                let folder = order::entry(&mut folders, folder_of(source.path()));
                folder.layout = Some(source);
            }
            Role::Other => others.push(source),
            Role::Shard | Role::Index | Role::Config => {
                let folder = order::entry(&mut folders, folder_of(source.path()));
                match role {
                    Role::Shard => folder.shards.push(source),
                    Role::Index => folder.indexes.push(source),
                    _ => folder.config = Some(source),
                }
            }
        }
    }
    (folders, others, for_runs)
}

/// Whether the weights of a folder are chunks of torch.distributed.checkpoint.
#[cfg(feature = "more-formats")]
fn is_of_chunks(paths: &[&str], weights: &[usize], folder: &str) -> bool {
    let mut own = weights.iter().map(|&at| paths[at]).filter(|path| folder_of(path) == folder).peekable();
    own.peek().is_some() && own.all(formats::is_chunks)
}

fn role_of(path: &str) -> Role {
    let name = file_name(path);
    #[cfg(feature = "more-formats")]
    if name == formats::LAYOUT {
        return Role::Layout;
    }
    if Format::of_path(name).is_some() {
        Role::Shard
    } else if formats::is_index(name) {
        Role::Index
    } else if name.eq_ignore_ascii_case(formats::CONFIG) {
        Role::Config
    } else if formats::FOR_RUNS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        Role::ForRuns
    } else {
        Role::Other
    }
}

/// Removes the folder that all paths share: `gpt2/model.safetensors` alone needs no `gpt2/` anywhere.
fn strip_common_folder<S>(folders: Folders<S>) -> Folders<S> {
    let Some((first, _)) = folders.first() else { return folders };
    let mut common = first.as_str();
    let is_below = |path: &str, top: &str| {
        top.is_empty() || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    while !folders.iter().all(|(path, _)| is_below(path, common)) {
        common = folder_of(common);
    }
    let length = common.len();
    folders
        .into_iter()
        .map(|(path, folder)| (path[length..].trim_start_matches('/').to_owned(), folder))
        .collect()
}

/// The first folder of all paths, if it is the same.
fn common_folder<S: ByteSource>(sources: &[S]) -> Option<String> {
    let top = |source: &S| source.path().split_once('/').map(|(top, _)| top.to_owned());
    top(&sources[0]).filter(|first| sources.iter().all(|source| top(source).as_ref() == Some(first)))
}

/// At most this many first parts of names get a configuration each. A model has fewer.
const MOST_ROOTS: usize = 64;

/// Groups shards by series: `model…` first, then by length of the name.
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
    use super::formats::{PREPROCESSOR, TOKENIZER};
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
    fn files_for_runs_are_kept_unread_and_change_nothing_else() {
        let files = || vec![file("m/model.safetensors", &["a"]), json("m/config.json", "{}")];
        let without = open_all(files()).unwrap();
        let mut sources = files();
        sources.insert(0, json("m/tokenizer/tokenizer.json", "another"));
        sources.insert(0, json("m/Tokenizer.json", "its own"));
        sources.insert(0, json("m/preprocessor_config.json", "sizes"));
        let checkpoint = open_all(sources).unwrap();
        assert!(checkpoint.warnings.is_empty());
        assert_eq!((&checkpoint.name, checkpoint.bytes_read()), (&without.name, without.bytes_read()));
        let (path, bytes) = pollster::block_on(checkpoint.for_run(TOKENIZER)).unwrap().unwrap();
        assert_eq!((path.as_str(), bytes.as_slice()), ("m/Tokenizer.json", b"its own".as_slice()));
        let (_, bytes) = pollster::block_on(checkpoint.for_run(PREPROCESSOR)).unwrap().unwrap();
        assert_eq!(bytes, b"sizes");
        assert!(pollster::block_on(without.for_run(TOKENIZER)).is_none());
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
