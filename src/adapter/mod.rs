//! An adapter beside its base: which norm site each adapted module reads, and how much of it lies along that site's kernel
//! (MATH §4, *wasted adapter energy*).
//!
//! Files are those of PEFT (with `adapter_config.json`), of LyCORIS and kohya's scripts, of diffusers and of MLX.

mod own_norms;
mod parts;
mod place;
mod update;
mod weigh;

use crate::checkpoint::adapter_names::Method;
use crate::checkpoint::{self, Checkpoint, CheckpointError};
use crate::report::{Warning, WarningCode};
use crate::source::{ByteSource, SourceError};
use parts::Parts;
use serde_json::Value;

pub use weigh::weigh;

/// The configuration beside an adapter.
pub const CONFIG: &str = "adapter_config.json";

/// Longest configuration that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// PEFT's types whose tensors alone describe them.
const READ_FROM_TENSORS: [&str; 7] = ["LORA", "ADALORA", "LOHA", "LOKR", "VERA", "LN_TUNING", "LYCORIS"];

/// Why the waste of an adapter cannot be measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum AdapterError {
    /// Its files cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its configuration cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A method whose ΔW is not available, or that makes none.
    #[error("`{adapter}` is an adapter of type {kind}: {why}")]
    NotWeighed { adapter: String, kind: String, why: &'static str },
    /// No tensor in it has a name of an adapter.
    #[error(
        "`{adapter}` has no tensor named like `base_model.model.….lora_A.weight`{}; save it with PEFT's save_pretrained",
        .example.as_ref().map(|name| format!(" (it has `{name}`)")).unwrap_or_default()
    )]
    NoLora { adapter: String, example: Option<String> },
    /// It holds norms and nothing that reads them.
    #[error(
        "`{adapter}` adapts norms only: it changes no map, so nothing can be wasted; merge it into its base and inspect the result to see the new kernels"
    )]
    OnlyNorms { adapter: String },
    /// Every A is empty.
    #[error("`{adapter}` has rank 0: no A has a row, so it adapts nothing")]
    RankZero { adapter: String },
    /// None of its modules is in the base.
    #[error(
        "`{adapter}` adapts `{module}`, but no module of the base `{base}` has such a place, nor one for any other of the {modules} adapted modules (the base has `{example}`); give the base that the adapter was trained on{}",
        if *.gguf { ", as it was before the conversion to GGUF, which changes names" } else { "" }
    )]
    NoPlace { adapter: String, base: String, module: String, modules: usize, example: String, gguf: bool },
    /// Its modules fit in several places.
    #[error(
        "`{adapter}` adapts `{module}`, which fits more than one place in the base `{base}`: {places}; rename the adapter's tensors after the one you mean"
    )]
    Ambiguous { adapter: String, base: String, module: String, places: String },
    /// A module is in both, with different sizes.
    #[error(
        "`{tensor}` is {shape}, but the base's `{weight}` {verb} {expected} values: the adapter is of another base"
    )]
    AnotherSize { tensor: String, shape: String, weight: String, verb: &'static str, expected: u64 },
}

/// Why modules of a method are left out. `None` if they are measured.
fn why_not(method: Method) -> Option<&'static str> {
    use Method::*;
    Some(match method {
        Lora | AdaLora | Loha | Lokr | Vera | Difference | Norms => return None,
        Dora => {
            "it divides each row of W + ΔW by its length. The part along the kernel changes that length, so it has an effect and is not wasted; merge the adapter and inspect the result instead"
        }
        Ia3 | Oft | Boft | Hra | Bone | Shira | Road | Glora => {
            "its ΔW depends on the base's weights, which Gammascope does not read for this; merge the adapter into its base and `gammascope compare` the two"
        }
        FourierFt | C3a | VbLora | RandLora => {
            "Gammascope does not make its ΔW yet; merge the adapter into its base and `gammascope compare` the two"
        }
        Prompt => "it puts vectors before the tokens and changes no map, so there is no ΔW",
    })
}

/// An adapter: its tensors by module, not read yet.
#[derive(Debug)]
pub struct Adapter<S> {
    checkpoint: Checkpoint<S>,
    parts: Parts,
    /// Whether every LoRA of it is DoRA.
    dora: bool,
    warnings: Vec<Warning>,
}

impl<S: ByteSource> Adapter<S> {
    /// Opens the files of a PEFT folder, or a safetensors file, with [`CONFIG`] among them if there is one. If there are several
    /// folders, only the uppermost is the adapter; those below it hold its earlier steps.
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
                    let message = format!(
                        "`{path}` is not JSON ({reason}); the adapter is identified by its tensors only"
                    );
                    warnings.push(Warning::new(WarningCode::AdapterConfigUnreadable, path, message));
                }
            }
        }
        let checkpoint = checkpoint::open_any(files).await?;
        warnings.extend(checkpoint.warnings.iter().cloned());
        let field = |name: &str| config.as_ref().and_then(|config| config.get(name));
        let text = |name: &str| field(name).and_then(Value::as_str);
        // MLX has no separate name for DoRA's magnitudes.
        let dora = field("use_dora").and_then(Value::as_bool) == Some(true)
            || text("fine_tune_type").is_some_and(|kind| kind.eq_ignore_ascii_case("dora"));
        let parts = parts::parts(&checkpoint.tensors);
        let adapter = Self { checkpoint, parts, dora, warnings };
        adapter.refuse_what_is_not_weighed(text("peft_type"))?;
        Ok(adapter)
    }

    /// Folder or file name.
    pub fn name(&self) -> &str {
        &self.checkpoint.name
    }

    /// How a module is adapted, as far as its tensors and the configuration say.
    fn method(&self, module: &parts::Module) -> Option<Method> {
        module.method().map(|method| if method == Method::Lora && self.dora { Method::Dora } else { method })
    }

    fn refuse_what_is_not_weighed(&self, declared: Option<&str>) -> Result<(), AdapterError> {
        let adapter = self.checkpoint.name.clone();
        let modules = &self.parts.modules;
        let methods = || modules.iter().filter_map(|module| self.method(module));
        let refused = methods().find_map(|method| Some((method, why_not(method)?)));
        if let Some((method, why)) = refused
            && methods().all(|method| why_not(method).is_some())
        {
            return Err(AdapterError::NotWeighed { adapter, kind: method.name().to_owned(), why });
        }
        if let Some(kind) =
            declared.filter(|kind| !READ_FROM_TENSORS.iter().any(|known| known.eq_ignore_ascii_case(kind)))
        {
            let why = "Gammascope does not know what ΔW that makes; merge the adapter into its base and `gammascope compare` the two";
            return Err(AdapterError::NotWeighed { adapter, kind: kind.to_owned(), why });
        }
        if modules.is_empty() {
            let example = self.checkpoint.tensors.first().map(|tensor| tensor.name.clone());
            let only_norms = !self.parts.norms.is_empty()
                && self.checkpoint.tensors.iter().all(|tensor| tensor.shape.len() < 2);
            return Err(if only_norms {
                AdapterError::OnlyNorms { adapter }
            } else {
                AdapterError::NoLora { adapter, example }
            });
        }
        Ok(())
    }
}
