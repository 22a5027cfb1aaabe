//! Ground truth: what the norm modules of real architectures do. Makes a checkpoint of each architecture and scores the report
//! on it. A document is `{ config, tensors: [[name, dtype, shape]], norms: [{ weight, bias, kind, convention }] }`, gzipped JSON.

use flate2::read::GzDecoder;
use gammascope::inspect::{Opened, open_knowing};
use gammascope::norm::Knowledge;
use gammascope::report::{NormBehaviour, NormKind, NormReport, Report, ScaleConvention};
use gammascope::source::memory::MemorySource;
use gammascope::source::{ByteSource, SourceError};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{LogNormal, Normal};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The libraries of documents, by the first part of their names or by their source.
const LIBRARIES: [&str; 16] = [
    "transformers",
    "timm",
    "manual",
    "diffusers",
    "vitpytorch",
    "litgpt",
    "torch",
    "xtransformers",
    "monai",
    "audio_sep",
    "torchvision",
    "torch_geometric",
    "torchaudio",
    "open_clip",
    "segment_anything",
    "other",
];

/// One architecture.
#[derive(Debug, Deserialize)]
pub(crate) struct Architecture {
    #[serde(skip)]
    pub(crate) name: String,
    /// The library in which it was measured: transformers, timm, or none.
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    pub(crate) model_type: Option<String>,
    pub(crate) config: Option<Value>,
    tensors: Vec<(String, String, Vec<u64>)>,
    pub(crate) norms: Vec<Module>,
}

/// One norm module of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Module {
    path: Option<String>,
    /// The name of its class.
    #[serde(default)]
    pub(crate) cls: Option<String>,
    /// layer, rms, other or unknown.
    pub(crate) kind: String,
    /// w, 1+w or none.
    pub(crate) convention: Option<String>,
    /// The name of the scale.
    pub(crate) weight: Option<String>,
    bias: Option<String>,
}

/// How much of an architecture is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Names, shapes, values and config.json.
    Config,
    /// Without config.json.
    NoConfig,
    /// Without config.json and without the prefix that all names share.
    Strip,
    /// Without config.json, and with the names of wrapped models: a prefix of PEFT, DDP and torch.compile, and FSDP's wrapper
    /// around each block.
    Wrapped,
    /// Without config.json, and each map has two additional tensors, so that no layout of the registry fits. This tests the rules on
    /// unlisted code.
    Unlisted,
    /// Without config.json, and without the layouts and counts from its library.
    UnknownLibrary,
    /// Without config.json, and with the names t000001, t000002 …
    Opaque,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::NoConfig => "no config",
            Self::Strip => "prefix stripped",
            Self::Wrapped => "wrapped names",
            Self::Unlisted => "unlisted code",
            Self::UnknownLibrary => "unknown library",
            Self::Opaque => "opaque names",
        }
    }
}

/// Replaces the tables compiled into the library by those of a folder.
pub(crate) fn provide_tables(folder: &Path) {
    let mut tables = String::new();
    for entry in folder.read_dir().expect("a folder of tables").flatten() {
        let path = entry.path();
        if let (Some("tsv"), Some(name)) = (path.extension().and_then(OsStr::to_str), path.file_stem()) {
            let text = std::fs::read_to_string(&path).expect("a table");
            tables += &format!("#### {}\n{text}", name.display());
        }
    }
    gammascope::tables::provide(&tables);
}

/// Reads all documents of a folder, sorted by name.
pub(crate) fn read_folder(folder: &Path) -> io::Result<Vec<Architecture>> {
    let mut paths: Vec<_> = folder.read_dir()?.collect::<Result<Vec<_>, _>>()?;
    paths.sort_by_key(std::fs::DirEntry::file_name);
    paths
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .map(|path| {
            let read = serde_json::from_reader(GzDecoder::new(File::open(&path)?));
            let mut architecture: Architecture = read.map_err(io::Error::other)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            architecture.name = name.trim_end_matches(".json.gz").to_owned();
            Ok(architecture)
        })
        .collect()
}

/// The kind of values of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fill {
    /// A trained scale, stored as w or as w − 1.
    Scale { around_zero: bool },
    /// A trained shift.
    Shift,
    /// Not written: zeros.
    Hole,
}

/// A tensor of a made checkpoint.
struct Made {
    range: Range<u64>,
    dtype: String,
    fill: Fill,
    seed: u64,
}

/// A checkpoint that exists only as a header and a rule for its values.
enum Source {
    Virtual { header: Vec<u8>, length: u64, tensors: Vec<Made> },
    Config(MemorySource),
}

impl ByteSource for Source {
    fn path(&self) -> &str {
        match self {
            Self::Virtual { .. } => "model.safetensors",
            Self::Config(config) => config.path(),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Virtual { length, .. } => *length,
            Self::Config(config) => config.length(),
        }
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let (header, tensors) = match self {
            Self::Config(config) => return config.read(range).await,
            Self::Virtual { header, tensors, .. } => (header, tensors),
        };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let mut copy = |at: u64, from: &[u8]| {
            let (begin, end) = (at.max(range.start), (at + from.len() as u64).min(range.end));
            if begin < end {
                let into = (begin - range.start) as usize..(end - range.start) as usize;
                bytes[into].copy_from_slice(&from[(begin - at) as usize..(end - at) as usize]);
            }
        };
        copy(0, header);
        let first = tensors.partition_point(|tensor| tensor.range.end <= range.start);
        for tensor in tensors[first..].iter().take_while(|tensor| tensor.range.start < range.end) {
            if tensor.fill != Fill::Hole {
                copy(tensor.range.start, &values(tensor));
            }
        }
        Ok(bytes)
    }
}

/// Values of a scale or shift with the distribution of trained ones: e^N(−0.2, 0.35), N(0, 0.1).
fn values(tensor: &Made) -> Vec<u8> {
    let mut random = SmallRng::seed_from_u64(tensor.seed);
    let scale = LogNormal::new(-0.2, 0.35).unwrap();
    let shift = Normal::new(0.0, 0.1).unwrap();
    let count = (tensor.range.end - tensor.range.start) / size(&tensor.dtype);
    let draw = |_| -> f64 {
        match tensor.fill {
            Fill::Scale { around_zero } => random.sample(scale) - f64::from(u8::from(around_zero)),
            Fill::Shift => random.sample(shift),
            Fill::Hole => 0.0,
        }
    };
    let drawn = (0..count).map(draw);
    match tensor.dtype.as_str() {
        "BF16" => drawn.flat_map(|value| half::bf16::from_f64(value).to_le_bytes()).collect(),
        "F16" => drawn.flat_map(|value| half::f16::from_f64(value).to_le_bytes()).collect(),
        "F64" => drawn.flat_map(f64::to_le_bytes).collect(),
        _ => drawn.flat_map(|value| (value as f32).to_le_bytes()).collect(),
    }
}

fn size(dtype: &str) -> u64 {
    match dtype {
        "F64" | "I64" => 8,
        "F32" | "I32" => 4,
        "BF16" | "F16" | "I16" => 2,
        _ => 1,
    }
}

impl Architecture {
    /// The number of tensors. The speed of finding sites is given per tensor.
    pub(crate) fn tensors(&self) -> usize {
        self.tensors.len()
    }

    /// The library of the architecture.
    pub(crate) fn library(&self) -> &'static str {
        let named =
            self.name.split_once("__").map(|(library, _)| library).filter(|name| LIBRARIES.contains(name));
        let source = self.source.as_deref().filter(|source| ["transformers", "timm"].contains(source));
        let library = source.or(named).unwrap_or("other");
        LIBRARIES.into_iter().find(|name| *name == library).unwrap_or("other")
    }

    /// Whether it was built with an option that is not the default. `scripts/registry/libraries.py` names these
    /// LIBRARY__MODEL__OPTION.
    pub(crate) fn is_option(&self) -> bool {
        self.library() != "other" && self.name.splitn(3, "__").count() == 3
    }

    /// The name without the option.
    pub(crate) fn name_without_option(&self) -> &str {
        let option = self.is_option().then(|| self.name.match_indices("__").nth(1)).flatten();
        option.map_or(&self.name, |(at, _)| &self.name[..at])
    }

    /// The names of the tensors.
    pub(crate) fn names_stored(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(name, ..)| name.as_str())
    }

    /// Opens the checkpoint of the architecture.
    pub(crate) fn open(&self, knowledge: Knowledge) -> Opened<impl ByteSource> {
        let source = self.checkpoint(&self.names(Mode::NoConfig), Mode::NoConfig);
        pollster::block_on(open_knowing(vec![source], knowledge, |_| {})).unwrap()
    }

    /// Returns the report on the architecture, and the name of each tensor in this mode.
    pub(crate) fn inspect(&self, mode: Mode) -> Result<(Report, HashMap<&str, String>), String> {
        let names = self.names(mode);
        let mut sources = vec![self.checkpoint(&names, mode)];
        if let (Mode::Config, Some(config)) = (mode, &self.config) {
            sources.push(Source::Config(MemorySource::new("config.json", config.to_string())));
        }
        let without = (mode == Mode::UnknownLibrary).then(|| self.library());
        let report =
            pollster::block_on(open_knowing(sources, Knowledge { without, ..Knowledge::default() }, |_| {}))
                .map(|opened| opened.inspection.report)
                .map_err(|error| error.to_string())?;
        Ok((report, names))
    }

    /// The name of each tensor in this mode.
    fn names(&self, mode: Mode) -> HashMap<&str, String> {
        let all = || self.tensors.iter().map(|(name, ..)| name.as_str());
        match mode {
            Mode::Config | Mode::NoConfig | Mode::Unlisted | Mode::UnknownLibrary => {
                all().map(|name| (name, name.to_owned())).collect()
            }
            Mode::Wrapped => all().map(|name| (name, wrapped(name))).collect(),
            Mode::Opaque => all().enumerate().map(|(index, name)| (name, format!("t{index:06}"))).collect(),
            Mode::Strip => {
                let heads: HashSet<&str> = all().filter_map(|name| name.split('.').next()).collect();
                let strip = |name: &'_ str| match name.split_once('.') {
                    Some((_, rest)) if heads.len() == 1 => rest.to_owned(),
                    _ => name.to_owned(),
                };
                all().map(|name| (name, strip(name))).collect()
            }
        }
    }

    fn checkpoint(&self, names: &HashMap<&str, String>, mode: Mode) -> Source {
        let mut fills: HashMap<&str, Fill> = HashMap::new();
        for norm in &self.norms {
            let around_zero = norm.convention.as_deref() == Some("1+w");
            fills.extend(norm.weight.as_deref().map(|name| (name, Fill::Scale { around_zero })));
            fills.extend(norm.bias.as_deref().map(|name| (name, Fill::Shift)));
        }
        let mut at = 0u64;
        let mut entries = serde_json::Map::new();
        let mut tensors = Vec::new();
        for (index, (name, dtype, shape)) in self.tensors.iter().enumerate() {
            let end = at + size(dtype) * shape.iter().product::<u64>();
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [at, end]});
            entries.insert(names[name.as_str()].clone(), entry);
            let fill = fills.get(name.as_str()).copied().unwrap_or(Fill::Hole);
            tensors.push(Made { range: at..end, dtype: dtype.clone(), fill, seed: index as u64 });
            at = end;
            if mode == Mode::Unlisted && shape.len() > 1 {
                for number in 0..2 {
                    let entry = json!({"dtype": "U8", "shape": [1], "data_offsets": [at, at + 1]});
                    entries.insert(format!("{name}_state{number}"), entry);
                    at += 1;
                }
            }
        }
        let mut text = serde_json::to_string(&entries).unwrap().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend(text);
        let start = header.len() as u64;
        for tensor in &mut tensors {
            tensor.range = tensor.range.start + start..tensor.range.end + start;
        }
        Source::Virtual { length: start + at, header, tensors }
    }

    /// Compares a report with what the modules do.
    pub(crate) fn score(&self, report: &Report, names: &HashMap<&str, String>) -> Score {
        let mut found: HashMap<&str, usize> = HashMap::new();
        for (index, norm) in report.norms.iter().enumerate() {
            found.extend(norm.scale.as_deref().map(|scale| (scale, index)));
        }
        let mut score = Score::default();
        let (mut seen, mut kinds) = (HashSet::new(), HashSet::new());
        for norm in &self.norms {
            // Catalogues of very large models are trimmed, and one tensor may serve several modules.
            let Some(weight) = norm.weight.as_deref().filter(|weight| names.contains_key(weight)) else {
                continue;
            };
            if !seen.insert(weight) {
                continue;
            }
            let here = found.remove(names[weight].as_str()).map(|index| &report.norms[index]);
            let expected = match norm.kind.as_str() {
                "layer" => NormKind::LayerNorm,
                "rms" => NormKind::RmsNorm,
                "other" => NormKind::Other,
                _ => continue, // the module could not be run
            };
            let Some(here) = here else {
                score.fault(&mut |score| &mut score.missing, weight, "missing");
                continue;
            };
            let like =
                weight.split('.').filter(|part| part.parse::<u32>().is_err()).collect::<Vec<_>>().join(".");
            if kinds.insert(like) {
                for evidence in &here.evidence {
                    // The text between backticks differs from site to site.
                    let detail = evidence.detail.split('`').step_by(2).collect::<Vec<_>>().join("…");
                    let spoken = format!("{}: {detail}", evidence.source);
                    *score.spoken.entry((spoken, norm.kind.clone())).or_default() += 1;
                }
            }
            let (likeliest, probability) = likeliest(here);
            let bin = score.calibration.entry((probability * 100.0) as u32).or_default();
            bin.1 += 1;
            bin.0 += u32::from(likeliest == expected);
            if here.kind == NormKind::Unknown {
                *score.unknown_why.entry(why(here)).or_default() += 1;
                score.fault(&mut |score| &mut score.unknown, weight, &format!("unknown; {}", all_of(here)));
                continue;
            }
            if here.kind == expected {
                score.right += 1;
            } else {
                let said = format!("{:?} is {expected:?}; {}", here.kind, all_of(here));
                score.fault(&mut |score| &mut score.wrong, weight, &said);
                continue;
            }
            let convention = match norm.convention.as_deref() {
                Some("w") => ScaleConvention::Weight,
                Some("1+w") => ScaleConvention::OnePlusWeight,
                _ => continue,
            };
            if expected != NormKind::Other && here.scale_convention != convention {
                score.fault(&mut |score| &mut score.convention, weight, "convention");
            }
        }
        self.score_parameterless(report, &mut score);
        score.confusion = self.confusion(report, names);
        for scale in found.into_keys() {
            score.fault(&mut |score| &mut score.invented, scale, "invented");
        }
        score
    }

    /// Scores the sites without a tensor. They may be missing, but none may be invented or wrong.
    fn score_parameterless(&self, report: &Report, score: &mut Score) {
        let storing_nothing = self.norms.iter().filter(|norm| norm.weight.is_none());
        let kinds: HashMap<&str, &str> =
            storing_nothing.filter_map(|norm| Some((norm.path.as_deref()?, norm.kind.as_str()))).collect();
        for norm in report.norms.iter().filter(|norm| norm.scale.is_none()) {
            match (kinds.get(norm.name.as_str()), norm.kind) {
                (Some(&"layer"), NormKind::LayerNorm) | (Some(&"rms"), NormKind::RmsNorm) => score.right += 1,
                (Some(_), _) => score.fault(&mut |score| &mut score.wrong, &norm.name, "wrong"),
                (None, _) => score.fault(&mut |score| &mut score.invented, &norm.name, "invented"),
            }
        }
    }

    fn confusion(&self, report: &Report, names: &HashMap<&str, String>) -> BTreeMap<(String, NormKind), u32> {
        let said: HashMap<&str, NormKind> =
            report.norms.iter().filter_map(|norm| Some((norm.scale.as_deref()?, norm.kind))).collect();
        let mut confusion = BTreeMap::new();
        let weights: BTreeMap<&str, &str> = self
            .norms
            .iter()
            .filter_map(|norm| Some((norm.weight.as_deref()?, norm.kind.as_str())))
            .collect();
        for (weight, kind) in weights {
            if let Some(&said) = names.get(weight).and_then(|name| said.get(name.as_str())) {
                *confusion.entry((kind.to_owned(), said)).or_default() += 1;
            }
        }
        confusion
    }
}

/// `model.layers.3.norm.weight` → `base_model.model.module._orig_mod.model.layers.3._fsdp_wrapped_module.norm.weight`.
fn wrapped(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    let number = parts.windows(2).position(|pair| {
        ["layers", "h", "blocks", "layer", "block"].contains(&pair[0]) && pair[1].parse::<u32>().is_ok()
    });
    if let Some(at) = number {
        parts.insert(at + 2, "_fsdp_wrapped_module");
    }
    format!("base_model.model.module._orig_mod.{}", parts.join("."))
}

/// The evidence about a site, and the probability of each behaviour.
fn all_of(norm: &gammascope::report::NormReport) -> String {
    let probabilities: Vec<String> = norm
        .alternatives
        .iter()
        .map(|other| format!("{:?} {:.3}", other.behaviour, other.probability))
        .collect();
    let spoken = norm.evidence.iter().filter(|piece| piece.strength > 0.0);
    let spoken: Vec<String> = spoken
        .map(|piece| format!("{} {:?} {:.1} ({})", piece.source, piece.says, piece.strength, piece.detail))
        .collect();
    format!("{}; {}", probabilities.join(", "), spoken.join("; "))
}

/// The evidence about an undecided site, as one line.
fn why(norm: &gammascope::report::NormReport) -> String {
    let spoken: Vec<String> = norm
        .evidence
        .iter()
        .filter(|evidence| evidence.strength > 0.0)
        .map(|evidence| format!("{} {:?} {:.1}", evidence.source, evidence.says, evidence.strength))
        .collect();
    if spoken.is_empty() { "no evidence".to_owned() } else { spoken.join(", ") }
}

/// The most probable kind, and its probability.
fn likeliest(norm: &NormReport) -> (NormKind, f64) {
    let of = |kind: NormKind, behaviours: &[NormBehaviour]| {
        let mine = norm.alternatives.iter().filter(|other| behaviours.contains(&other.behaviour));
        (kind, mine.map(|other| other.probability).sum::<f64>())
    };
    let kinds = [
        of(NormKind::LayerNorm, &[NormBehaviour::LayerNorm]),
        of(NormKind::RmsNorm, &[NormBehaviour::RmsNorm]),
        of(NormKind::Other, &[NormBehaviour::Spanning, NormBehaviour::Plain]),
    ];
    kinds.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((NormKind::Unknown, 0.0))
}

/// Counts of norm sites.
#[derive(Debug, Default)]
pub(crate) struct Score {
    pub(crate) right: u32,
    pub(crate) unknown: u32,
    pub(crate) wrong: u32,
    pub(crate) missing: u32,
    pub(crate) invented: u32,
    /// The kind is right, and the convention w or 1 + w is wrong.
    pub(crate) convention: u32,
    /// Probability of the most probable kind in whole percent, rounded down, verdict or not → (sites where it is right, all sites).
    pub(crate) calibration: BTreeMap<u32, (u32, u32)>,
    /// The evidence about undecided sites → sites.
    pub(crate) unknown_why: BTreeMap<String, u32>,
    /// (evidence and its detail, true kind) → distinct site names of this architecture.
    pub(crate) spoken: BTreeMap<(String, String), u32>,
    /// (true kind, verdict) → sites.
    pub(crate) confusion: BTreeMap<(String, NormKind), u32>,
    /// All faults, one line each.
    pub(crate) faults: Vec<String>,
}

impl Score {
    fn fault(&mut self, count: &mut dyn FnMut(&mut Self) -> &mut u32, tensor: &str, what: &str) {
        *count(self) += 1;
        self.faults.push(format!("{tensor}: {what}"));
    }

    /// Sites of the ground truth.
    pub(crate) fn sites(&self) -> u32 {
        self.right + self.unknown + self.wrong + self.missing
    }

    /// The faults that would mislead a user.
    pub(crate) fn misleading(&self) -> u32 {
        self.wrong + self.missing + self.invented + self.convention
    }

    /// Adds the counts of another document, without its lines.
    pub(crate) fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.unknown += other.unknown;
        self.wrong += other.wrong;
        self.missing += other.missing;
        self.invented += other.invented;
        self.convention += other.convention;
        for (bin, (right, all)) in &other.calibration {
            let here = self.calibration.entry(*bin).or_default();
            *here = (here.0 + right, here.1 + all);
        }
        for (why, count) in &other.unknown_why {
            *self.unknown_why.entry(why.clone()).or_default() += count;
        }
        for (cell, count) in &other.spoken {
            *self.spoken.entry(cell.clone()).or_default() += count;
        }
        for (cell, count) in &other.confusion {
            *self.confusion.entry(cell.clone()).or_default() += count;
        }
    }
}
