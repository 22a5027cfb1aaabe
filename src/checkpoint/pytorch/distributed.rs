//! Folders of torch.distributed.checkpoint. The pickle `.metadata` says which tensors there are, into which chunks each is cut, and which
//! bytes of which `.distcp` file hold a chunk: an archive as torch.save writes it for one tensor.
//!
//! Format: `torch/distributed/checkpoint/metadata.py` and `filesystem.py` of PyTorch 1.13 to 2.9.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::pickle::{Id, Machine, Outcome, Value, View};
use super::state::{self, TRAINING};
use super::{
    MAX_PICKLE_BYTES, MAX_SHOWN, PyTorchError, PyTorchProblem, Stop, element, entry, read_archive, runs,
    would_run,
};
use crate::checkpoint::CheckpointError;
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::header::Entry;
use crate::order;
use crate::report::{Warning, WarningCode};
use crate::source::{ByteSource, Meter, SourceError};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

/// Most keys on the way to a tensor.
const MAX_DEPTH: usize = 32;

/// Bytes to read first at either end of a chunk. The pickle is in the first, the directory in the last.
const END_BYTES: u64 = 1024;

/// Chunks whose ends are in memory at the same time.
const CHUNKS_AT_ONCE: usize = 1024;

/// One tensor of the model.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Spread {
    pub(in crate::checkpoint) name: String,
    pub(in crate::checkpoint) dtype: TensorType,
    /// Bytes of one element.
    size: u64,
    pub(in crate::checkpoint) shape: Vec<u64>,
    /// Its chunks in the order of the first dimension, or why its values cannot be read.
    pub(in crate::checkpoint) chunks: Result<Vec<Chunk>, &'static str>,
}

/// A part of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Chunk {
    /// The file, relative to the folder.
    pub(in crate::checkpoint) file: String,
    /// Where its archive lies in the file.
    pub(in crate::checkpoint) archive: Range<u64>,
    shape: Vec<u64>,
}

/// What `.metadata` says of a folder.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Layout {
    pub(in crate::checkpoint) tensors: Vec<Spread>,
    pub(in crate::checkpoint) warnings: Vec<Warning>,
}

impl Layout {
    /// The files with chunks, in the order of their names.
    pub(in crate::checkpoint) fn files(&self) -> Vec<&str> {
        let chunks = self.tensors.iter().filter_map(|tensor| tensor.chunks.as_ref().ok()).flatten();
        order::distinct(chunks.map(|chunk| chunk.file.as_str()))
    }

    /// Parses the pickle `bytes` of the file `path`.
    pub(in crate::checkpoint) fn parse(path: &str, bytes: &[u8]) -> Result<Self, PyTorchError> {
        parse(path, bytes).map_err(|problem| PyTorchError { file: path.to_owned(), problem })
    }

    /// The problem of a file that is too long to read.
    pub(in crate::checkpoint) fn too_long(path: &str, bytes: u64) -> Option<PyTorchError> {
        let problem = PyTorchProblem::PickleTooLarge { bytes };
        (bytes > MAX_PICKLE_BYTES).then(|| PyTorchError { file: path.to_owned(), problem })
    }
}

/// A tensor as `.metadata` describes it.
struct Described {
    spread: Spread,
    path: Vec<String>,
}

fn parse(path: &str, bytes: &[u8]) -> Result<Layout, PyTorchProblem> {
    let mut machine = Machine::default();
    let root = match machine.run(bytes) {
        Ok(Outcome::Done(root, _)) => root,
        Ok(Outcome::More) => return Err(PyTorchProblem::PickleTruncated { length: bytes.len() as u64 }),
        Err((byte, problem)) => return Err(PyTorchProblem::Pickle { byte: byte as u64, problem }),
    };
    let described = described(&machine, root).ok_or(PyTorchProblem::NoLayout)?;
    let runs = runs(&machine);
    // The tensors as nested dictionaries, in which the model is found as in a file of torch.save.
    let mut tree = Tree::default();
    for (at, one) in described.iter().enumerate() {
        tree.add(&one.path, at);
    }
    let mut places = HashMap::new();
    let object =
        tree.build(&mut machine, &described, &mut places).map_err(|_| PyTorchProblem::TooManyTensors)?;
    let model = state::model(&machine, object).map_err(|problem| match problem {
        PyTorchProblem::NoTensors { what, .. } => PyTorchProblem::NoTensors { what, runs: runs.clone() },
        problem => problem,
    })?;
    let tensors = model.tensors.into_iter().filter_map(|(name, id)| {
        let spread = described.get(*places.get(&id)?)?.spread.clone();
        Some(Spread { name, ..spread })
    });
    let mut warnings = Vec::new();
    warn_of_code(path, &runs, &mut warnings);
    if let Some(chosen) = model.chosen {
        warnings.push(Warning::new(WarningCode::StateChosen, path, format!("`{path}`: {chosen}")));
    }
    Ok(Layout { tensors: tensors.collect(), warnings })
}

fn warn_of_code(path: &str, runs: &[String], warnings: &mut Vec<Warning>) {
    if !runs.is_empty() {
        let message = format!(
            "{}. Do not load this folder elsewhere unless you trust where it is from",
            would_run(runs)
        );
        warnings.push(Warning::new(WarningCode::PickleRunsCode, path, message));
    }
}

/// The tensors of the object `Metadata`. `None` if it is another.
fn described(machine: &Machine, root: Id) -> Option<Vec<Described>> {
    let fields = Fields::of(machine, root)?;
    let stored = storage(machine, fields.get("storage_data")?)?;
    let paths = fields.get("planner_data").and_then(|id| paths(machine, id)).unwrap_or_default();
    let Value::Dict(tensors) = machine.value(fields.get("state_dict_metadata")?) else { return None };
    let named = || tensors.iter().filter_map(|(name, tensor)| Some((machine.text(*name)?, *tensor)));
    // Without a plan, the state of training shows in the first part of its names. Then the model has one too.
    let is_mixed = named().any(|(name, _)| is_training(first_part(name)));
    let mut all = Vec::with_capacity(tensors.len());
    for (name, tensor) in named() {
        // Values that are not tensors are bytes.
        let Some(spread) = spread(machine, name, tensor, &stored) else { continue };
        let path = paths.get(name).cloned().unwrap_or_else(|| match name.split_once('.') {
            Some((first, rest)) if is_mixed => vec![first.to_owned(), rest.to_owned()],
            _ => vec![name.to_owned()],
        });
        all.push(Described { spread, path });
    }
    Some(all)
}

fn first_part(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

fn is_training(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    TRAINING.iter().any(|word| key.contains(word))
}

/// The attributes of an object.
struct Fields<'a> {
    machine: &'a Machine,
    pairs: &'a [(Id, Id)],
}

impl<'a> Fields<'a> {
    fn of(machine: &'a Machine, id: Id) -> Option<Self> {
        let Value::Object { state: Some(state), .. } = machine.value(id) else { return None };
        let Value::Dict(pairs) = machine.value(*state) else { return None };
        // Objects of these classes have few attributes. Many objects may share one long dictionary.
        (pairs.len() <= 64).then_some(Self { machine, pairs })
    }

    fn get(&self, name: &str) -> Option<Id> {
        self.pairs
            .iter()
            .rev()
            .find(|(key, _)| self.machine.text(*key) == Some(name))
            .map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.machine.text(self.get(name)?)
    }

    fn count(&self, name: &str) -> Option<u64> {
        u64::try_from(self.machine.int(self.get(name)?)?).ok()
    }

    fn sizes(&self, name: &str) -> Option<Vec<u64>> {
        self.machine.sizes(self.get(name)?)
    }
}

/// Where each chunk is stored, by the name of its tensor and its offsets: file, first byte, bytes. `None` for one that was changed on
/// the way, for example compressed.
type Stored<'a> = HashMap<(&'a str, Vec<u64>), Option<(&'a str, Range<u64>)>>;

fn storage(machine: &Machine, id: Id) -> Option<Stored<'_>> {
    let Value::Dict(pairs) = machine.value(id) else { return None };
    let mut stored = Stored::with_capacity(pairs.len());
    for (index, info) in pairs {
        let (Some(index), Some(info)) = (Fields::of(machine, *index), Fields::of(machine, *info)) else {
            continue;
        };
        let (Some(name), Some(file)) = (index.text("fqn"), info.text("relative_path")) else { continue };
        let (Some(offset), Some(length)) = (info.count("offset"), info.count("length")) else { continue };
        let changed = info.get("transform_descriptors").and_then(|steps| machine.members(steps));
        let range = offset.checked_add(length).map(|end| (file, offset..end));
        let plain = range.filter(|_| changed.is_none_or(<[Id]>::is_empty));
        stored.insert((name, index.sizes("offset").unwrap_or_default()), plain);
    }
    Some(stored)
}

/// The keys on the way to each value in the saved dictionary, by its flat name.
fn paths(machine: &Machine, id: Id) -> Option<HashMap<&str, Vec<String>>> {
    let Value::Dict(pairs) = machine.value(id) else { return None };
    let key = |id: &Id| match machine.value(*id) {
        Value::Text(text) => Some(text.to_string()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    };
    let path = |(name, path): &(Id, Id)| {
        let keys = machine.members(*path).filter(|keys| (1..=MAX_DEPTH).contains(&keys.len()))?;
        Some((machine.text(*name)?, keys.iter().map(key).collect::<Option<Vec<String>>>()?))
    };
    Some(pairs.iter().filter_map(path).collect())
}

/// The tensor that an object `TensorStorageMetadata` describes. `None` for another object.
fn spread(machine: &Machine, name: &str, id: Id, stored: &Stored<'_>) -> Option<Spread> {
    let fields = Fields::of(machine, id)?;
    let shape = fields.sizes("size")?;
    let chunks = machine.members(fields.get("chunks")?)?;
    let (dtype, size) = kind(machine, fields.get("properties")?)
        .map_or_else(|| (TensorType::Unknown("tensor of an unknown type".to_owned()), 1), element);
    let chunks = chunks_of(machine, name, &shape, chunks, stored);
    Some(Spread { name: name.to_owned(), dtype, size, shape, chunks })
}

/// PyTorch's name of the element type in `TensorProperties`, whose state is a tuple or, in later versions, a dictionary.
fn kind(machine: &Machine, id: Id) -> Option<&str> {
    let Value::Object { state: Some(state), .. } = machine.value(id) else { return None };
    let dtype = match machine.members(*state) {
        Some(members) => *members.first()?,
        None => Fields::of(machine, id)?.get("dtype")?,
    };
    let global = machine.named(dtype)?.1;
    (&*global.module == "torch").then_some(&*global.name)
}

/// The chunks of a tensor, if they follow each other along its first dimension and are all of it.
fn chunks_of(
    machine: &Machine,
    name: &str,
    shape: &[u64],
    chunks: &[Id],
    stored: &Stored<'_>,
) -> Result<Vec<Chunk>, &'static str> {
    const ODD: &str = "tensor cut in another dimension than the first";
    let mut found = Vec::with_capacity(chunks.len());
    for id in chunks {
        let fields = Fields::of(machine, *id);
        let sizes = |name: &str| fields.as_ref()?.sizes(name).filter(|sizes| sizes.len() == shape.len());
        let (Some(offsets), Some(sizes)) = (sizes("offsets"), sizes("sizes")) else {
            return Err("tensor whose chunks are not described");
        };
        if offsets.iter().skip(1).any(|offset| *offset != 0) || sizes.iter().skip(1).ne(shape.iter().skip(1))
        {
            return Err(ODD);
        }
        if sizes.contains(&0) && !shape.contains(&0) {
            continue;
        }
        let place = match stored.get(&(name, offsets.clone())) {
            Some(Some(place)) => place,
            Some(None) => return Err("tensor that was compressed"),
            None => return Err("tensor of which a part is stored nowhere"),
        };
        let chunk = Chunk { file: place.0.to_owned(), archive: place.1.clone(), shape: sizes };
        found.push((offsets.first().copied().unwrap_or(0), chunk));
    }
    found.sort_by_key(|(first, _)| *first);
    let mut next = 0u64;
    for (first, chunk) in &found {
        if *first != next {
            return Err("tensor whose chunks leave a gap or overlap");
        }
        next = next.saturating_add(chunk.shape.first().copied().unwrap_or(1));
    }
    let whole = shape.first().copied().unwrap_or(1);
    if next == whole { Ok(found.into_iter().map(|(_, chunk)| chunk).collect()) } else { Err(ODD) }
}

/// Names on the way to tensors.
#[derive(Default)]
struct Tree {
    /// In the order in which they came.
    children: Vec<(String, Tree)>,
    places: HashMap<String, usize>,
    tensor: Option<usize>,
}

impl Tree {
    fn add(&mut self, path: &[String], tensor: usize) {
        let Some((key, rest)) = path.split_first() else {
            self.tensor = Some(tensor);
            return;
        };
        let at = *self.places.entry(key.clone()).or_insert_with(|| {
            self.children.push((key.clone(), Self::default()));
            self.children.len().saturating_sub(1)
        });
        self.children[at].1.add(rest, tensor);
    }

    /// Adds the dictionaries and tensors to a machine. `places` gets the value of each tensor.
    fn build(
        &self,
        machine: &mut Machine,
        described: &[Described],
        places: &mut HashMap<Id, usize>,
    ) -> Result<Id, super::PickleProblem> {
        if let Some(at) = self.tensor {
            let shape = described.get(at).map(|one| one.spread.shape.clone()).unwrap_or_default();
            let view = View { storage: Err("chunk"), kind: None, offset: 0, strides: Vec::new(), shape };
            let id = machine.add(Value::Tensor(Box::new(view)))?;
            places.insert(id, at);
            return Ok(id);
        }
        let mut pairs = Vec::with_capacity(self.children.len());
        for (key, child) in &self.children {
            let child = child.build(machine, described, places)?;
            pairs.push((machine.add(Value::Text(key.as_str().into()))?, child));
        }
        machine.add(Value::Dict(pairs))
    }
}

/// Where the values of one chunk lie in its file, or why they cannot be read as a part of their tensor.
pub(in crate::checkpoint) type Placed = Result<Entry, &'static str>;

/// Finds where the values of chunks of one file lie. `wanted` has each chunk with its tensor. The names of code that the chunks would run
/// become a warning.
pub(in crate::checkpoint) async fn place<S: ByteSource>(
    meter: &Meter,
    source: &S,
    wanted: &[(&Spread, &Chunk)],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Placed>, CheckpointError> {
    let failed = |stop: Stop| -> CheckpointError {
        match stop {
            Stop::Problem(problem) => PyTorchError { file: source.path().to_owned(), problem }.into(),
            Stop::Source(error) => error.into(),
        }
    };
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_unstable_by_key(|&at| wanted[at].1.archive.start);
    let mut placed: Vec<Placed> = wanted.iter().map(|_| Err("chunk")).collect();
    let mut code = Vec::new();
    for batch in order.chunks(CHUNKS_AT_ONCE) {
        let mut windows = Vec::with_capacity(batch.len());
        for &at in batch {
            let archive = wanted[at].1.archive.clone();
            if archive.end > source.length() {
                let (length, key) = (source.length(), wanted[at].0.name.clone());
                return Err(failed(PyTorchProblem::StorageTruncated { key, length }.into()));
            }
            windows.push(Window { meter, source, range: archive, ends: RefCell::default() });
        }
        Window::begin(&windows).await.map_err(|error| failed(error.into()))?;
        for (&at, window) in batch.iter().zip(&windows) {
            placed[at] = one(window, wanted[at], &mut code).await.map_err(failed)?;
        }
    }
    order::sort_by(&mut code, |a, b| a.cmp(b));
    code.dedup();
    warn_of_code(source.path(), &code, warnings);
    Ok(placed)
}

/// Finds where the values of one chunk lie in its file.
async fn one<S: ByteSource>(
    window: &Window<'_, S>,
    (tensor, chunk): (&Spread, &Chunk),
    code: &mut Vec<String>,
) -> Result<Placed, Stop> {
    let (machine, object, places) = read_archive(&Meter::default(), window).await?;
    code.extend(runs(&machine));
    let Value::Tensor(view) = machine.value(object) else { return Ok(Err("chunk that is no tensor")) };
    let Entry { dtype, shape, begin, end, strides, .. } = entry(tensor.name.clone(), view, &places)?;
    if matches!(dtype, TensorType::Unknown(_)) {
        return Ok(Err("chunk of an unknown type"));
    }
    if shape != chunk.shape || dtype != tensor.dtype {
        return Ok(Err("chunk of another type or shape than `.metadata` says"));
    }
    let bytes = shape.iter().product::<u64>().saturating_mul(tensor.size);
    let length = window.length();
    if bytes > length.saturating_mul(MAX_SHOWN) {
        return Err(PyTorchProblem::ShownTooOften { bytes, length }.into());
    }
    let at = |byte: u64| window.range.start.saturating_add(byte);
    Ok(Ok(Entry { name: String::new(), dtype, shape, begin: at(begin), end: at(end), strides }))
}

/// A part of a file, read as if it were one.
struct Window<'a, S> {
    meter: &'a Meter,
    source: &'a S,
    range: Range<u64>,
    /// Its first and last bytes, as far as they were read, each with the place of the first.
    ends: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl<S: ByteSource> Window<'_, S> {
    /// Reads the ends of windows of one file together.
    async fn begin(windows: &[Self]) -> Result<(), SourceError> {
        let Some(first) = windows.first() else { return Ok(()) };
        let mut ranges: Vec<(Range<u64>, usize)> = Vec::new();
        for (at, Window { range, .. }) in windows.iter().enumerate() {
            if range.end.saturating_sub(range.start) <= 2 * END_BYTES {
                ranges.push((range.clone(), at));
            } else {
                ranges.push((range.start..range.start.saturating_add(END_BYTES), at));
                ranges.push((range.end.saturating_sub(END_BYTES)..range.end, at));
            }
        }
        let (places, of): (Vec<Range<u64>>, Vec<usize>) = ranges.into_iter().unzip();
        let mut failed = None;
        let take = |at: usize, bytes: Result<Vec<u8>, SourceError>| match bytes {
            Ok(bytes) => windows[of[at]].ends.borrow_mut().push((places[at].start, bytes)),
            Err(error) => failed = Some(error),
        };
        first.meter.read_many(first.source, &places, take).await;
        failed.map_or(Ok(()), Err)
    }
}

impl<S: ByteSource> ByteSource for Window<'_, S> {
    fn path(&self) -> &str {
        self.source.path()
    }

    fn length(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let at = |byte: u64| self.range.start.saturating_add(byte).min(self.range.end);
        let whole = at(range.start)..at(range.end);
        let known = self.ends.borrow().iter().find_map(|(start, bytes)| {
            let from = usize::try_from(whole.start.checked_sub(*start)?).ok()?;
            let to = usize::try_from(whole.end.checked_sub(*start)?).ok()?;
            bytes.get(from..to).map(<[u8]>::to_vec)
        });
        match known {
            Some(bytes) => Ok(bytes),
            None => self.meter.read(self.source, whole).await,
        }
    }
}
