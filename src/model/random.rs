//! A model at its initialisation: a generated checkpoint whose weights are drawn while they are read.
//!
//! Scales are γ = 1, shifts and biases are 0, and LayerScale has the value in the configuration. Matrices and tables are N(0, σ²) with
//! the σ in the configuration. Special rules of a family are left out: a smaller σ for writers of the stream, a truncated normal, a row
//! of zeros for padding, T5's σ by width. A value depends only on the seed, on the name of its tensor and on its place in the tensor.

use super::ModelError;
use super::catalogue::{Shape, catalogue};
use super::dimensions::{Canvas, Dimensions, positional_convolution};
use super::fields::{Accepted, Fields};
use super::llama_cpp::Described;
use super::resolve::{WEIGHT_NORM, row};
use super::table::{ImagePositionsRow, InitialPositions, PositionRow, Row, SoundPositionsRow, SoundsRow};
use super::timm;
use crate::checkpoint::config::{Config, ConfigError};
use crate::checkpoint::{self, Checkpoint, CheckpointError};
use crate::source::generated::{GeneratedSource, Rule, mixed};
use crate::source::{ByteSource, SourceError};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Fields that hold σ.
const DEVIATION: [&str; 2] = ["initializer_range", "init_std"];
/// σ if no field has it.
const USUAL_DEVIATION: f64 = 0.02;

/// Why a model at its initialisation cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RandomError {
    /// The configuration does not describe a model that can be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file is not a configuration.
    #[error(
        "`{path}` is not a JSON object ({reason}), so there is no model to initialise: give a config.json"
    )]
    Config {
        /// The file.
        path: String,
        /// What the parser found.
        reason: String,
    },
    /// There are weights, but they cannot be opened.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<ConfigError> for RandomError {
    fn from(error: ConfigError) -> Self {
        Self::Config { path: error.path, reason: error.reason }
    }
}

/// Makes the model of these files at its initialisation, as files that open like a checkpoint. If there are weights, it reads their
/// headers and uses their catalogue. Otherwise the catalogue comes from the configuration alone.
pub async fn twin<S: ByteSource>(sources: Vec<S>, seed: u64) -> Result<Vec<GeneratedSource>, RandomError> {
    if has_weights(&sources) {
        return Ok(twin_of(&checkpoint::open(sources, |_| {}).await?, seed)?);
    }
    let is_config = |source: &&S| source.path().rsplit('/').next() == Some("config.json");
    // A lone file may have any name.
    let alone = || sources.first().filter(|source| sources.len() == 1 && ends(*source, ".json"));
    let source = sources.iter().filter(is_config).min_by_key(|source| source.path().len());
    let source = source.or_else(alone).ok_or(ModelError::NoConfig)?;
    let bytes = source.read(0..source.length().min(MOST_BYTES)).await?;
    let config = Config::parse("", source.path(), &bytes)?;
    let (name, _) = source.path().split_once('/').unwrap_or((config.family().unwrap_or("model"), ""));
    Ok(self::sources(name, &config, &catalogue(&config)?, seed)?)
}

/// Whether these files include weights.
pub fn has_weights<S: ByteSource>(sources: &[S]) -> bool {
    sources.iter().any(|source| ends(source, ".safetensors") || ends(source, ".gguf"))
}

fn ends<S: ByteSource>(source: &S, end: &str) -> bool {
    source.path().to_ascii_lowercase().ends_with(end)
}

/// Makes an open checkpoint at its initialisation, from its catalogue and configuration and without its values.
pub fn twin_of<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    seed: u64,
) -> Result<Vec<GeneratedSource>, ModelError> {
    let config = checkpoint.config_of("").or(checkpoint.configs.first()).ok_or(ModelError::NoConfig)?;
    let shapes: Vec<Shape> = checkpoint.tensors.iter().map(Shape::from).collect();
    sources(checkpoint.name.trim_end_matches(".safetensors"), config, &shapes, seed)
}

/// A larger file is not a configuration.
const MOST_BYTES: u64 = 1 << 24;

/// Makes a model of this configuration and catalogue at its initialisation, as the files `NAME-random-SEED/config.json` and
/// `…/model.safetensors`. All values are F32, whatever the configuration says.
pub fn sources(
    name: &str,
    config: &Config,
    catalogue: &[Shape],
    seed: u64,
) -> Result<Vec<GeneratedSource>, ModelError> {
    let names: Vec<&str> = catalogue.iter().map(|shape| shape.name.as_str()).collect();
    let described = Described::of(config, &names, [].iter(), Accepted::All)?;
    let read = match &described {
        Some(described) => Cow::Borrowed(&described.config),
        None => timm::translated(config)?,
    };
    let family = read.family().unwrap_or("unknown");
    let row = row(&read, family, None)?;
    let fields = Fields::of_row(&read, family, row);
    let row = &described.as_ref().map_or(*row, |described| described.row(row));
    let deviation = fields.number(&DEVIATION)?.unwrap_or(USUAL_DEVIATION);
    let scale = if row.norm.one_plus { 0.0 } else { 1.0 };
    let special = special(row, &fields)?;
    let key = |shape: &Shape| shape.name.bytes().fold(mixed(seed), |key, byte| mixed(key ^ u64::from(byte)));
    let normal = |shape: &Shape, deviation: f64| Rule::Normal { deviation, key: key(shape) };
    let rule = |shape: &Shape| {
        let name = match &described {
            Some(described) => Cow::Owned(described.in_family(&shape.name)),
            None => Cow::Borrowed(&shape.name),
        };
        let known = special.iter().find(|(end, _)| name.ends_with(end.as_ref()));
        if let Some((_, initial)) = known {
            match initial {
                Initial::Rule(rule) => *rule,
                Initial::Random => normal(shape, deviation),
                Initial::Kaiming => {
                    let inputs = shape.shape.iter().skip(1).fold(1.0, |all, &size| all * size as f64);
                    normal(shape, (2.0 / inputs).sqrt())
                }
                Initial::Rate => Rule::LogUniform { least: 0.01, most: 16.0, key: key(shape) },
            }
        } else if shape.name.ends_with("bias") {
            Rule::Constant(0.0)
        } else if shape.shape.len() < 2 || row.is_scale(&name) {
            // In these families all vectors are biases or scales.
            Rule::Constant(scale)
        } else {
            normal(shape, deviation)
        }
    };
    let elements = |shape: &Shape| shape.shape.iter().fold(1, |all: u64, &size| all.saturating_mul(size));
    let parts = catalogue.iter().map(|shape| (elements(shape), rule(shape)));
    let folder = format!("{name}-random-{seed}");
    Ok(vec![
        GeneratedSource::new(format!("{folder}/config.json"), written(config), []),
        GeneratedSource::new(format!("{folder}/model.safetensors"), header(catalogue, elements), parts),
    ])
}

/// The initial values of a tensor.
enum Initial {
    /// Values by this rule.
    Rule(Rule),
    /// N(0, σ²) with the σ of the configuration.
    Random,
    /// N(0, 2/k), where an output has k inputs. It keeps the size of activations through the layers.
    Kaiming,
    /// The logarithm of a value between 0.01 and 16, as for the rates of linear attention.
    Rate,
}

/// Returns tensors with rules of their own, by the ends of their names.
fn special(row: &Row, fields: &Fields<'_>) -> Result<Vec<(Cow<'static, str>, Initial)>, ModelError> {
    let constant = |value: f32| Initial::Rule(Rule::Constant(value));
    let mut all: Vec<(Cow<'static, str>, Initial)> = Vec::new();
    for scale in row.layer_scale.iter().flatten() {
        if let Some(value) = fields.layer_scale(scale)? {
            all.push((scale.name.into(), constant(value as f32)));
        }
    }
    if let Some(rule) = &row.delta_rule {
        all.push((format!("{}.weight", rule.norm).into(), constant(1.0)));
        all.push((rule.biases.into(), constant(1.0)));
        all.push((rule.rates.into(), Initial::Rate));
    }
    if let PositionRow::Window { own: (own, _), shared: (shared, _) } = row.attention.position {
        all.extend([own, shared].map(|table| (table.into(), constant(0.0))));
    }
    if let Some(SoundsRow { positions: SoundPositionsRow::Convolution(_), .. }) = &row.sounds {
        // The length at each place is that of a weight with σ = 2/√(kernel · d) and d²/groups values.
        let width = Dimensions::of(row, fields)?.width;
        let (reach, groups) = positional_convolution(fields, width)?;
        let length = 2.0 * (width as f64 / (reach.kernel as f64 * groups as f64)).sqrt();
        all.extend(WEIGHT_NORM.map(|[gain, _]| (gain.into(), constant(length as f32))));
        all.push((".conv.weight".into(), Initial::Kaiming));
    }
    let Some(patches) = &row.patches else { return Ok(all) };
    let bare = patches.extra.iter().filter(|extra| extra.bare);
    all.extend(bare.map(|extra| (extra.name.into(), Initial::Random)));
    if let ImagePositionsRow::Table { name, initial: InitialPositions::Sines, .. } = patches.positions {
        let (canvas, width) = (Canvas::of(patches, fields)?, Dimensions::of(row, fields)?.width);
        let before = patches.extra.len() as u64;
        let columns = (canvas.trained[2] / canvas.patch[2]) as u64;
        let grid = Rule::Grid { before, columns, width: width as u64 };
        all.push((name.into(), Initial::Rule(grid)));
    }
    Ok(all)
}

fn written(config: &Config) -> Vec<u8> {
    Value::Object(config.fields().clone()).to_string().into_bytes()
}

/// Makes the header of a safetensors file, preceded by its length.
fn header(catalogue: &[Shape], elements: impl Fn(&Shape) -> u64) -> Vec<u8> {
    let mut end = 0u64;
    let entry = |shape: &Shape| {
        let begin = end;
        end = end.saturating_add(elements(shape).saturating_mul(4));
        let entry = json!({ "dtype": "F32", "shape": shape.shape, "data_offsets": [begin, end] });
        (shape.name.clone(), entry)
    };
    let mut json = Value::Object(catalogue.iter().map(entry).collect()).to_string();
    // Values begin at a multiple of eight bytes, as in files of the reference implementation.
    json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(8) - json.len()));
    [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat()
}
