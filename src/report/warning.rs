//! What the user should know before relying on a report. Each kind of warning has its own code.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Something the user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Warning {
    /// Stable name for programs. Reports of later versions may have other codes.
    pub code: WarningCode,
    /// The sentence for people.
    pub message: String,
    /// File, tensor or site.
    pub r#where: String,
}

impl Warning {
    /// Makes a warning about `place`: a file, a tensor, a site, or a part of a run.
    pub fn new(code: WarningCode, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), r#where: place.into() }
    }
}

/// Makes [`WarningCode`] from one list, so that the enum, its names and docs/warnings.md agree. Each code has two doc lines: its meaning,
/// and what the user can do.
macro_rules! codes {
    ($(#[doc = $meaning:literal] #[doc = $remedy:literal] $code:ident = $name:literal,)+) => {
        /// The kinds of warnings. In JSON each is its name in snake case. docs/warnings.md lists them.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub enum WarningCode {
            $(
                #[doc = $meaning]
                #[doc = $remedy]
                #[cfg_attr(test, ts(rename = $name))]
                $code,
            )+
            /// A code that this version does not know, kept as it is: reports in links may come from a later version.
            #[cfg_attr(test, ts(skip))]
            Other(String),
        }

        impl WarningCode {
            /// Its name in JSON.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$code => $name,)+
                    Self::Other(name) => name,
                }
            }

            /// What the user can do about it. Empty for a code of a later version.
            pub fn remedy(&self) -> &'static str {
                match self {
                    $(Self::$code => $remedy.trim_ascii(),)+
                    Self::Other(_) => "",
                }
            }
        }

        impl From<String> for WarningCode {
            fn from(name: String) -> Self {
                match name.as_str() {
                    $($name => Self::$code,)+
                    _ => Self::Other(name),
                }
            }
        }

        /// Name, meaning and remedy of each code that this version knows.
        #[cfg(test)]
        const CODES: &[(&str, &str, &str)] = &[$(($name, $meaning, $remedy)),+];
    };
}

codes! {
    /// Gammascope leaves out a file that it could read: a copy of the model, or a file that the index does not name.
    /// If you want that file, open it alone.
    FileIgnored = "file_ignored",
    /// A `config.json` is not JSON, or not an object. Gammascope continues without it.
    /// Download the file again. Until then norms are judged without a configuration.
    ConfigUnreadable = "config_unreadable",
    /// There is no `config.json`. Gammascope takes the width, layers, heads, ε and norm from what the training script saved in the file.
    /// If these arguments are not those of the model, put its `config.json` beside the file.
    ConfigInside = "config_inside",
    /// A folder holds a second index. Gammascope uses the one with the shorter path.
    /// If the other index is the right one, open only that one with its shards.
    IndexIgnored = "index_ignored",
    /// An index is not JSON, or has no `weight_map`. Gammascope continues without it.
    /// Download the index again. Without it, only the file names tell which shards are missing.
    IndexUnreadable = "index_unreadable",
    /// The index names none of the shards, so it belongs to another checkpoint. Gammascope does not use it.
    /// Open the index that came with these shards.
    IndexForeign = "index_foreign",
    /// The index, the file names or the metadata promise shards that are not there.
    /// Add the missing shards to see the whole model.
    ShardMissing = "shard_missing",
    /// Gammascope cannot read a shard. It inspects the others.
    /// Download that shard again, or open its address again.
    ShardDamaged = "shard_damaged",
    /// Tensors have no values. DeepSpeed's ZeRO 3 leaves parameters like that where they were not gathered before saving.
    /// Save the model again with its parameters gathered, or run `zero_to_fp32.py` on the training checkpoint.
    TensorsEmpty = "tensors_empty",
    /// The file holds a model and its moving average. Gammascope inspects the average.
    /// If you want the other one, save it to a separate file.
    CopyInside = "copy_inside",
    /// The file holds an adapter beside the weights that it changes. Gammascope inspects the weights, and the trained copies of modules.
    /// Merge the adapter to inspect what the model computes.
    AdapterInside = "adapter_inside",
    /// Weights are stored packed, with scales of their own. Gammascope counts their readers and parameters by their unpacked shapes.
    /// If the message says that values are not decoded, open the unpacked model for writer energy and runs.
    WeightsPacked = "weights_packed",
    /// Weights are packed in a way that does not say their unpacked shapes. Gammascope counts neither their readers nor their parameters.
    /// Add the model's `config.json`, or open the unpacked model.
    WeightsUncounted = "weights_uncounted",
    /// The pickle of a PyTorch file names functions with which a file can run any code when `torch.load` opens it with `weights_only=False`. Gammascope reads the pickle and runs nothing.
    /// Do not load the file with other programs unless you trust where it is from. Convert it to safetensors where that is safe.
    PickleRunsCode = "pickle_runs_code",
    /// A PyTorch file holds more than one set of tensors, such as a model and its optimizer. Gammascope inspects the largest that is no state of training, or a moving average as large.
    /// If you want another one, save it to a separate file.
    StateChosen = "state_chosen",
    /// The graph of an ONNX file does another kind of norm than names, shapes or configuration suggest: the export may have changed what the model computes. The report follows the graph.
    /// Compare the outputs of the file with those of the model that it was exported from.
    GraphDiffers = "graph_differs",
    /// Two shards hold a tensor of the same name. Gammascope uses the first.
    /// Check whether the shards belong to one model.
    TensorRepeated = "tensor_repeated",
    /// The files of a GGUF series hold more or fewer tensors than their metadata promise.
    /// Check whether the files belong to one model.
    TensorsMiscounted = "tensors_miscounted",
    /// The index puts a tensor in another shard than the one that holds it. Gammascope follows the shards.
    /// Nothing is lost. Other programs that rely on the index may fail.
    IndexWrongShard = "index_wrong_shard",
    /// The index puts a tensor in a shard that does not hold it.
    /// Check that the index and the shards are of the same revision.
    IndexAbsentTensor = "index_absent_tensor",
    /// A configuration declares widths that no tensor has, so it belongs to another model. Gammascope does not use it.
    /// Open the `config.json` that came with these weights.
    ConfigForeign = "config_foreign",
    /// Gammascope finds no norm in the checkpoint, so there is no scale to read a direction from.
    /// Check that the files are those of a transformer, and that none is missing.
    NoNorms = "no_norms",
    /// Gammascope cannot use the scale or shift of a norm: it cannot be read or decoded, or has a value that is not finite.
    /// Download the shard again, or open the model in an element type that can be decoded.
    ScaleUnusable = "scale_unusable",
    /// The scales of some or all norms lie 1 above or below those of the family, of similar norms or of the model's other norms: a conversion added, left out or doubled the 1 of 1 + w. Gammascope offers no kernel there.
    /// Compare the file with the checkpoint it was made from, and convert it again if a 1 is missing or too many.
    ScaleOffByOne = "scale_off_by_one",
    /// Tensors have an element type that Gammascope does not know, or are no plain tensors, such as quantised and sparse ones of PyTorch. Gammascope does not use their values.
    /// Update Gammascope, or convert the tensors to plain ones of a known type.
    DtypeUnknown = "dtype_unknown",
    /// Tensors have names that say nothing. Norms among them are found by shapes and values, or not at all.
    /// Open a checkpoint that keeps the names of the model's code.
    NamesOpaque = "names_opaque",
    /// The `adapter_config.json` of an adapter is not JSON. Gammascope identifies the adapter from its tensors alone.
    /// Download the file again. Without it Gammascope cannot tell every DoRA from LoRA.
    AdapterConfigUnreadable = "adapter_config_unreadable",
    /// Some tensors of activations match no norm site. Gammascope does not measure them.
    /// Name each tensor after its site, or name the site when you measure.
    ActivationsUnmatched = "activations_unmatched",
    /// A site could not be measured; the message says why.
    /// Follow the message. Too few tokens, values that are not finite and a full memory are usual reasons.
    NotMeasured = "not_measured",
    /// There is no GPU that can be used. The CPU does the work.
    /// You lose only time. To use a GPU, update the driver or use a browser with WebGPU.
    NoGpu = "no_gpu",
    /// The GPU failed during the work. The CPU does the rest.
    /// If it happens again, choose the CPU or run fewer tokens.
    GpuFailed = "gpu_failed",
    /// A run needs a larger buffer than the GPU allows. The CPU continues the run.
    /// Run fewer tokens, or choose the CPU.
    GpuTooSmall = "gpu_too_small",
    /// A run takes more memory than it may, although its tokens run in parts.
    /// Run fewer tokens, or measure the final norm alone.
    MemoryTooSmall = "memory_too_small",
    /// The sample text cannot be run, usually because the tokenizer does not fit. The run uses uniform token ids instead.
    /// Put the right `tokenizer.json` beside the weights, or give token ids of your own.
    TextNotRun = "text_not_run",
    /// An image was changed before the model read it: turned upright, without its alpha channel, its first frame only.
    /// If the model's own code does the same, you need not do anything. Otherwise save the image as the model should read it.
    ImageChanged = "image_changed",
    /// A sound was changed before the model read it: resampled, cut or padded to the length that it reads, several channels made one.
    /// If the model's own code does the same, you need not do anything. Otherwise save the sound as the model should read it.
    SoundChanged = "sound_changed",
    /// A run has no more tokens than some norms have channels. Gammascope cannot measure those norms.
    /// Run more tokens. Four for each channel are usual.
    FewTokens = "few_tokens",
    /// The run leaves out fields of the configuration that transformers' code does not read, or that you assume to change nothing.
    /// If your code computes something with such a field, measure its activations instead.
    FieldsLeftOut = "fields_left_out",
    /// Only the first blocks are run, so the final norm reads an unusual stream, and there is no loss.
    /// Run all blocks if the machine has the memory and the time.
    BlocksLeftOut = "blocks_left_out",
    /// Every block ends in a norm, so the least singular value of the residual stream is that norm's kernel and is not listed.
    /// You need not do anything. This follows from the architecture.
    ResidualNormalised = "residual_normalised",
    /// The residual stream after a block could not be measured. The blocks before it are listed.
    /// Follow the message. Run more tokens if there are too few.
    ResidualNotMeasured = "residual_not_measured",
    /// The model predicts tokens no better than a guess, so the loss says nothing about the kind of its norms.
    /// Check that the weights are trained, and that the tokens come from the model's own tokenizer.
    LossOfAGuess = "loss_of_a_guess",
    /// A run was stopped. What comes after the last finished block is not measured.
    /// Continue the run, or start it again.
    RunStopped = "run_stopped",
}

impl fmt::Display for WarningCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for WarningCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for WarningCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_code_is_read_as_it_is_written() {
        for (name, ..) in CODES {
            let json = format!("\"{name}\"");
            let code: WarningCode = serde_json::from_str(&json).unwrap();
            assert!(!matches!(code, WarningCode::Other(_)), "{name}");
            assert_eq!(serde_json::to_string(&code).unwrap(), json);
        }
    }

    #[test]
    fn a_code_of_a_later_version_is_kept() {
        let json = r#"{"code":"of_tomorrow","message":"m","where":"w"}"#;
        let warning: Warning = serde_json::from_str(json).unwrap();
        assert_eq!(warning.code, WarningCode::Other("of_tomorrow".to_owned()));
        assert_eq!(serde_json::to_string(&warning).unwrap(), json);
    }

    /// `UPDATE_TYPES=1 cargo test --lib report::warning` writes the table of docs/warnings.md.
    #[test]
    fn the_document_has_one_row_for_each_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/warnings.md");
        let found = std::fs::read_to_string(&path).unwrap();
        let (introduction, _) = found.split_once("| code |").unwrap();
        let mut expected =
            format!("{introduction}| code | what it means | what you can do |\n|---|---|---|\n");
        for (name, meaning, remedy) in CODES {
            expected += &format!("| `{name}` | {} | {} |\n", meaning.trim(), remedy.trim());
        }
        if std::env::var_os("UPDATE_TYPES").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            expected,
            "run `UPDATE_TYPES=1 cargo test --lib report::warning`"
        );
    }
}
