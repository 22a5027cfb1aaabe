//! A LoRA adapter beside its base: which norm site each adapted module reads, and how much of its A lies along that site's kernel
//! (MATH §4, *wasted adapter energy*).
//!
//! Files and names are those of PEFT: `adapter_config.json`, `base_model.model.MODULE.lora_A.weight` (r × d) and its `lora_B`
//! (m × r), with `.default` or another adapter's name before `.weight` while it is being trained.

mod names;

use crate::checkpoint::{self, Checkpoint, CheckpointError, Tensor};
use crate::inspect::Opened;
use crate::kernel::adapter::waste;
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::report::adapter::{AdapterModule, AdapterReport, SCHEMA, SkippedModule};
use crate::report::{KernelForm, NormReport, ReaderReport, Warning, WarningCode};
use crate::source::{ByteSource, SourceError};
use names::{Base, LoraPart};
use serde_json::Value;
use std::collections::HashMap;

/// The configuration that lies beside an adapter.
pub const CONFIG: &str = "adapter_config.json";

/// A configuration larger than this is not one.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Why an adapter cannot be weighed against a base.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum AdapterError {
    /// Its files cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its configuration cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Another method than LoRA.
    #[error(
        "`{adapter}` is an adapter of type {kind}; only LoRA's A reads a norm's output as it is, so only LoRA is weighed"
    )]
    NotLora { adapter: String, kind: String },
    /// DoRA.
    #[error(
        "`{adapter}` is a DoRA adapter: each row of W + BA is divided by its length, in which the part along the kernel counts, so that part is not without effect and is no waste; merge the adapter and inspect the result instead"
    )]
    Dora { adapter: String },
    /// It holds no LoRA tensor under PEFT's names.
    #[error(
        "`{adapter}` has no tensor named like `base_model.model.….lora_A.weight`{}; save it with PEFT's save_pretrained",
        .example.as_ref().map(|name| format!(" (it has `{name}`)")).unwrap_or_default()
    )]
    NoLora { adapter: String, example: Option<String> },
    /// Every A is empty.
    #[error("`{adapter}` has rank 0: no A has a row, so it adapts nothing")]
    RankZero { adapter: String },
    /// No module of it is in the base.
    #[error(
        "`{adapter}` adapts `{module}`, and neither that nor any other of its {modules} modules is in the base `{base}`: it is of another base{}",
        if *.gguf { ", or the base is its conversion to GGUF, whose tensors have other names; give the original" } else { "" }
    )]
    AnotherBase { adapter: String, base: String, module: String, modules: usize, gguf: bool },
    /// A module is in both, of another size.
    #[error(
        "`{tensor}` is {rows} × {columns}, but the base's `{weight}` {verb} {expected} values: the adapter is of another base"
    )]
    AnotherSize { tensor: String, rows: u64, columns: u64, weight: String, verb: &'static str, expected: u64 },
}

/// An adapter: its tensors by module, still unread.
#[derive(Debug)]
pub struct Adapter<S> {
    checkpoint: Checkpoint<S>,
    config: Option<Value>,
    warnings: Vec<Warning>,
}

impl<S: ByteSource> Adapter<S> {
    /// Opens the files of a PEFT folder, or its safetensors file, with [`CONFIG`] among them where there is one. Of several folders
    /// only the uppermost is the adapter; below it lie its earlier steps.
    pub async fn open(sources: Vec<S>) -> Result<Self, AdapterError> {
        let depth = |path: &str| path.matches('/').count();
        let is_weights = |source: &&S| source.path().ends_with(".safetensors");
        let top = sources.iter().filter(is_weights).map(|source| depth(source.path())).min();
        let (configs, files): (Vec<S>, Vec<S>) = sources
            .into_iter()
            .filter(|source| top.is_none_or(|top| depth(source.path()) == top))
            .partition(|source| source.path().rsplit('/').next() == Some(CONFIG));
        let mut warnings = Vec::new();
        let mut config = None;
        if let Some(source) = configs.first() {
            let bytes = source.read(0..source.length().min(MAX_CONFIG_BYTES)).await?;
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(value) => config = Some(value),
                Err(reason) => {
                    let path = source.path();
                    let message =
                        format!("`{path}` is not JSON ({reason}); the adapter is taken for a plain LoRA");
                    warnings.push(Warning::new(WarningCode::AdapterConfigUnreadable, path, message));
                }
            }
        }
        let checkpoint = checkpoint::open_any(files).await?;
        warnings.extend(checkpoint.warnings.iter().cloned());
        let adapter = Self { checkpoint, config, warnings };
        adapter.refuse_other_methods()?;
        Ok(adapter)
    }

    /// Folder or file name.
    pub fn name(&self) -> &str {
        &self.checkpoint.name
    }

    fn refuse_other_methods(&self) -> Result<(), AdapterError> {
        let field = |name: &str| self.config.as_ref().and_then(|config| config.get(name));
        let adapter = self.checkpoint.name.clone();
        if let Some(kind) =
            field("peft_type").and_then(Value::as_str).filter(|kind| !kind.eq_ignore_ascii_case("lora"))
        {
            return Err(AdapterError::NotLora { adapter, kind: kind.to_owned() });
        }
        let magnitudes =
            self.checkpoint.tensors.iter().any(|tensor| tensor.name.contains("lora_magnitude_vector"));
        if magnitudes || field("use_dora").and_then(Value::as_bool) == Some(true) {
            return Err(AdapterError::Dora { adapter });
        }
        Ok(())
    }

    /// Each A (and embedding A) of the adapter, with its B, in the order of names.
    fn modules(&self) -> Vec<Lora<'_>> {
        let tensors = &self.checkpoint.tensors;
        let by_name: HashMap<&str, usize> =
            tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
        tensors
            .iter()
            .enumerate()
            .filter_map(|(index, tensor)| {
                let (module, part) = names::module(&tensor.name)?;
                let b = tensor.name.replacen(".lora_A", ".lora_B", 1);
                Some(Lora { module, part, a: index, b: by_name.get(b.as_str()).copied() })
            })
            .collect()
    }
}

/// One adapted module.
struct Lora<'a> {
    module: &'a str,
    part: LoraPart,
    a: usize,
    b: Option<usize>,
}

/// Weighs `adapter` against `base`: reads every A that reads a norm site, one after the other.
pub async fn weigh<S: ByteSource, T: ByteSource>(
    base: &Opened<S>,
    adapter: &Adapter<T>,
) -> Result<AdapterReport, AdapterError> {
    let loras = adapter.modules();
    let tensors = &adapter.checkpoint.tensors;
    let name = || adapter.checkpoint.name.clone();
    if loras.is_empty() {
        let example = tensors.first().map(|tensor| tensor.name.clone());
        return Err(AdapterError::NoLora { adapter: name(), example });
    }
    if loras.iter().all(|lora| tensors[lora.a].shape.first() == Some(&0)) {
        return Err(AdapterError::RankZero { adapter: name() });
    }
    let report = &base.inspection.report;
    let names = Base::new(base.tensors());
    let sites = readers(&report.norms);
    let mut modules = Vec::new();
    let mut skipped = Vec::new();
    let mut known = 0;
    for lora in &loras {
        let mut skip = |why: String| skipped.push(SkippedModule { module: lora.module.to_owned(), why });
        let Some(weight) = names.find(lora.module) else {
            skip("the base has no weight of this name".to_owned());
            continue;
        };
        known += 1;
        let a = &tensors[lora.a];
        if let Some(why) = unsuited(lora, a) {
            skip(why);
            continue;
        }
        let (rank, width) = (a.shape[0], a.shape[1]);
        let Some(&(site, reader)) = sites.get(weight.name.as_str()) else {
            skip("it is not known to read a norm's output (attention outputs and the second map of a feed-forward part do not)".to_owned());
            continue;
        };
        let norm = &report.norms[site];
        fits(a, lora.b.map(|b| &tensors[b]), weight, norm, reader)?;
        let scale = base.inspection.scales[site].as_ref();
        let Some(kernel) = scale.and_then(|scale| kernel_of(norm, scale)) else {
            skip(format!("whether its site `{}` has a kernel is not known", norm.name));
            continue;
        };
        let values = match adapter.checkpoint.read(&[lora.a], |_, _| {}).await.pop() {
            Some(Ok(values)) => values,
            Some(Err(error)) => {
                skip(error.to_string());
                continue;
            }
            None => continue,
        };
        let Some(waste) = waste(&values, width as usize, &kernel) else {
            skip(no_energy(&a.name, &values));
            continue;
        };
        modules.push(AdapterModule {
            module: lora.module.to_owned(),
            weight: weight.name.clone(),
            used_as: reader.used_as,
            site: norm.name.clone(),
            rank: rank as u32,
            width,
            form: norm.kernel.form,
            kernel_dimension: kernel.dimension() as u32,
            energy: values.iter().map(|value| value * value).sum(),
            wasted: waste.share,
            null: waste.null,
            null_deviation: waste.null_deviation,
        });
    }
    if known == 0 {
        return Err(AdapterError::AnotherBase {
            adapter: name(),
            base: report.checkpoint.name.clone(),
            module: loras[0].module.to_owned(),
            modules: loras.len(),
            gguf: report.checkpoint.format == "gguf",
        });
    }
    // Stable: what wastes equally stays in the order of names.
    modules.sort_by(|a, b| b.wasted.total_cmp(&a.wasted));
    let with_kernel = || modules.iter().filter(|module| module.kernel_dimension > 0);
    let energy: f64 = with_kernel().map(|module| module.energy).sum();
    let mean = |of: fn(&AdapterModule) -> f64| {
        let sum: f64 = with_kernel().map(|module| module.energy * of(module)).sum();
        Some(sum / energy).filter(|mean| mean.is_finite())
    };
    let (wasted, null) = (mean(|module| module.wasted), mean(|module| module.null));
    Ok(AdapterReport {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        base: report.checkpoint.name.clone(),
        base_sentence: report.model.sentence.clone(),
        adapter: name(),
        sentence: sentence(&modules, wasted.zip(null), loras.len()),
        wasted,
        null,
        modules,
        skipped,
        warnings: adapter.warnings.clone(),
    })
}

/// The site that each weight reads, by the weight's name. A weight that reads several goes with the first that has a kernel.
fn readers(norms: &[NormReport]) -> HashMap<&str, (usize, &ReaderReport)> {
    let mut sites: HashMap<&str, (usize, &ReaderReport)> = HashMap::new();
    let has_kernel =
        |site: usize| matches!(norms[site].kernel.form, KernelForm::InverseScale | KernelForm::Coordinates);
    for (site, norm) in norms.iter().enumerate() {
        for reader in &norm.readers {
            let known = sites.entry(reader.name.as_str()).or_insert((site, reader));
            if !has_kernel(known.0) && has_kernel(site) {
                *known = (site, reader);
            }
        }
    }
    sites
}

/// Why an A is no matrix that reads a norm's output.
fn unsuited(lora: &Lora<'_>, a: &Tensor) -> Option<String> {
    match (lora.part, &a.shape[..]) {
        (LoraPart::Embedding, _) => Some("it adapts an embedding, which reads tokens and no norm".to_owned()),
        (LoraPart::Linear, [0, _]) => Some("rank 0: its A has no row".to_owned()),
        (LoraPart::Linear, [_, _]) => None,
        (LoraPart::Linear, shape) => Some(format!(
            "its A has {} dimensions, as of a convolution; only linear maps are weighed",
            shape.len()
        )),
    }
}

/// An adapter whose matrices have other sizes than the base's is of another base.
fn fits(
    a: &Tensor,
    b: Option<&Tensor>,
    weight: &Tensor,
    norm: &NormReport,
    reader: &ReaderReport,
) -> Result<(), AdapterError> {
    let refuse = |tensor: &Tensor, verb, expected| AdapterError::AnotherSize {
        tensor: tensor.name.clone(),
        rows: tensor.shape[0],
        columns: tensor.shape[1],
        weight: weight.name.clone(),
        verb,
        expected,
    };
    if a.shape[1] != norm.width {
        return Err(refuse(a, "reads", norm.width));
    }
    match b.filter(|b| b.shape.len() == 2 && weight.shape.len() == 2) {
        Some(b) if b.shape[0] != reader.rows => Err(refuse(b, "gives", reader.rows)),
        _ => Ok(()),
    }
}

/// The kernel that a site is said to have; `None` when its kind, and so its kernel, is not known.
fn kernel_of(norm: &NormReport, scale: &Scale) -> Option<Kernel> {
    match norm.kernel.form {
        KernelForm::InverseScale => Some(Kernel::of(scale, true)),
        KernelForm::Coordinates | KernelForm::None => Some(Kernel::of(scale, false)),
        KernelForm::Unknown => None,
    }
}

fn no_energy(name: &str, values: &[f64]) -> String {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => format!("tensor `{name}`: value [{index}] is {}", values[index]),
        None => format!("tensor `{name}` is all zero, so no part of it can be wasted"),
    }
}

fn sentence(modules: &[AdapterModule], shares: Option<(f64, f64)>, all: usize) -> String {
    let with_kernel = modules.iter().filter(|module| module.kernel_dimension > 0).count();
    let without = modules.len() - with_kernel;
    let read = |count: usize| if count == 1 { "reads a norm site" } else { "read norm sites" };
    let mut parts = Vec::new();
    match shares {
        Some((wasted, null)) => parts.push(format!(
            "{with_kernel} of {all} adapted modules {} with a kernel, and {:.4} % of their energy lies along it: {:.2} of what chance would put there ({:.4} %, k/d).",
            read(with_kernel),
            100.0 * wasted,
            wasted / null,
            100.0 * null
        )),
        None if modules.is_empty() => {
            parts.push(format!("None of the {all} adapted modules is known to read a norm site."));
        }
        None => {}
    }
    if without > 0 {
        parts.push(format!(
            "{without} {} without a kernel (RMSNorm without zero scales): nothing is wasted there.",
            read(without)
        ));
    }
    parts.join(" ")
}
