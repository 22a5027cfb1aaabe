//! The commands and their options.

use super::examples;
use clap::{Args, CommandFactory, Parser, Subcommand};
use gammascope::checkpoint::Format;
use gammascope::checkpoint::address::{Address, PUBLIC_HUB};
use gammascope::checkpoint::formats::index_format;
use gammascope::run::device::Wanted;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Finds the dead directions of a transformer checkpoint from the scales of its norms.
#[derive(Debug, Parser)]
#[command(
    name = "gammascope",
    version,
    propagate_version = true,
    after_help = examples::ALL
)]
pub(crate) struct Arguments {
    /// Print every column and full names, and do not wrap lines, however wide the terminal is.
    #[arg(long, global = true)]
    pub(crate) wide: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say which norms a checkpoint has, which directions are dead, and which maps read them.
    #[command(after_help = examples::INSPECT)]
    Inspect(Inspect),
    /// Measure norms on activations that your own code captured.
    #[command(after_help = examples::MEASURE)]
    Measure(Measure),
    /// Run the model, and measure its norms and its residual stream.
    #[command(after_help = examples::VERIFY)]
    Verify(Verify),
    /// Compare two checkpoints norm by norm: a base and its fine-tune, two steps of a run, a model and its conversion.
    #[command(after_help = examples::COMPARE)]
    Compare(Compare),
    /// Write the kernel directions to a file, for your own code.
    #[command(after_help = examples::EXPORT)]
    Export(Export),
    /// Rewrite a checkpoint so that it computes the same with other numbers: fold scales and shifts into the maps that read them, centre
    /// what writes the residual stream, remove weights that have no effect.
    #[command(after_help = examples::FOLD)]
    Fold(Fold),
    /// Measure how much of an adapter (LoRA, LoKr, LoHa, VeRA) has no effect, because it reads dead directions of its base.
    #[command(after_help = examples::ADAPTER)]
    Adapter(Adapter),
    /// Check a checkpoint against rules, for CI: the kind of its norms, dead weights, or the norms of its base. The exit code is 5 if it breaks one.
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Share the report as a link or as one HTML file. Neither contains weights.
    #[command(after_help = examples::SHARE)]
    Share(Share),
    /// Inspect many checkpoints, one line of JSON each; run it again to continue.
    #[command(after_help = examples::SCAN)]
    Scan(Scan),
    /// Print a script that completes commands and options in a shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(Completions),
    /// Print the manual page.
    #[command(after_help = examples::MAN)]
    Man(Man),
}

/// Reads the command line. Without a command, `gammascope PATH` inspects the checkpoint at PATH.
pub(crate) fn parse(mut given: Vec<OsString>) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(&given).or_else(|error| {
        if !names_only_a_checkpoint(given.get(1..).unwrap_or_default()) {
            return Err(error);
        }
        given.insert(1, "inspect".into());
        Arguments::try_parse_from(&given)
    })
}

/// Whether no command is given, and the first argument is a checkpoint or looks like one.
fn names_only_a_checkpoint(given: &[OsString]) -> bool {
    let commands = Arguments::command();
    let is_command = |word: &OsString| word == "help" || commands.find_subcommand(word).is_some();
    let first = given.iter().find(|word| !word.to_string_lossy().starts_with('-'));
    first.is_some_and(is_a_checkpoint) && !given.iter().any(is_command)
}

fn is_a_checkpoint(word: &OsString) -> bool {
    let text = word.to_string_lossy();
    let is_a_file = Format::of_path(&text).is_some() || index_format(&text).is_some();
    is_a_file
        || text.ends_with(std::path::is_separator)
        || text.contains("://")
        || Address::is_model_name(&text)
        || Path::new(word).exists()
}

/// Which norms are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SiteChoice {
    /// The final norm.
    Final,
    /// Every norm.
    All,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The checkpoint, as for `inspect`. It needs its config.json.
    #[arg(required = true, value_name = "CHECKPOINT")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// Tokens to run, rounded up to whole sequences, of each stack. The default is four for each channel of the residual stream.
    #[arg(long, value_name = "N")]
    pub(crate) tokens: Option<usize>,
    /// Tokens per sequence. The default is 128, or for a decoder behind an encoder as many as it has positions for.
    #[arg(long, value_name = "T")]
    pub(crate) sequence: Option<usize>,
    /// Run only the first N blocks, for a model that is too large to run whole. The final norm then reads the stream after them.
    #[arg(long, value_name = "N")]
    pub(crate) blocks: Option<usize>,
    /// Print what the run would take (bytes, operations, memory, and the time that a trial on this machine predicts), without running it.
    #[arg(long, conflicts_with = "explain")]
    pub(crate) plan: bool,
    /// Run on this UTF-8 text, with the tokenizer.json beside the weights. Without --text, --ids and --uniform the run uses a sample
    /// text, or uniform ids if there is no tokenizer. If the model predicts next tokens, a run on text also judges the kind of the
    /// norms by loss.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ids", "uniform"])]
    pub(crate) text: Option<PathBuf>,
    /// Run on the token ids in this file: whole numbers, separated by spaces, commas or line ends.
    #[arg(long, value_name = "FILE", conflicts_with = "uniform")]
    pub(crate) ids: Option<PathBuf>,
    /// Run on uniform token ids, the same on every machine.
    #[arg(long)]
    pub(crate) uniform: bool,
    /// Run a model that reads images on these image files, prepared as its preprocessor_config.json says. A model of videos takes
    /// them as the frames of one video. Without images such a model runs on noise. In a checkpoint with two towers, images run the
    /// image tower, and --text, --ids and --uniform run the text tower. If a decoder follows the tower (SmolVLM), it reads them beside
    /// the images, as many sequences for each image.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) images: Vec<PathBuf>,
    /// Run a model that reads sounds on these sound files. Without them it runs on noise. If a decoder follows (Whisper), it reads
    /// --text, --ids or --uniform beside them, as many sequences for each sound.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["images", "pixels"])]
    pub(crate) sounds: Vec<PathBuf>,
    /// Like --images, with prepared values: a safetensors file whose tensor `pixel_values` is the output of the model's own processor,
    /// images × channels × rows × columns, or videos × frames × channels × rows × columns.
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    pub(crate) pixels: Option<PathBuf>,
    /// Run although this field of the configuration is not known here, because it does not change what the model computes. Give the
    /// option once for each field. The report names the fields.
    #[arg(long, value_name = "FIELD")]
    pub(crate) assume: Vec<String>,
    /// Which norms to measure.
    #[arg(long, value_enum, default_value_t = SiteChoice::All)]
    pub(crate) sites: SiteChoice,
    /// Change readers along the kernel directions of their norms and along random directions, and measure how the function changes.
    /// This takes about sixty more short passes, and twice as many if the model has an encoder and a decoder.
    #[arg(long)]
    pub(crate) preservation: bool,
    /// Also run the same architecture with γ = 1, β = 0 and random weights from this seed on the same token ids, and compare the
    /// depths. If there is only a config.json, run only that.
    #[arg(long, value_name = "SEED")]
    pub(crate) random_init: Option<u64>,
    /// Explain the verdict on this norm site (its name or the end of it), evidence by evidence, instead of a table.
    #[arg(long, value_name = "SITE", conflicts_with = "json")]
    pub(crate) explain: Option<String>,
    /// Where to run the model and compute the covariances.
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub(crate) device: Device,
    /// Memory that the run may take, such as 6GB. The default is half of what is free. If all tokens do not fit, they run in parts, and
    /// their activations lie in a temporary file.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// List every site, instead of one row for sites of like name.
    #[arg(long)]
    pub(crate) all: bool,
    /// Print the report (schema gammascope.report/1) instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 3 when there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Parses a size in bytes, such as 6GB.
fn bytes(text: &str) -> Result<u64, String> {
    let size: Result<bytesize::ByteSize, _> = text.parse();
    size.map(|size| size.as_u64()).map_err(|_| "give a size such as 6GB or 800MB".to_owned())
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The first checkpoint: a file, an index.json or a folder. Changes are counted from it.
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,
    /// The other checkpoint.
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Also compare the maps that read norms, as stored and without what they read along the dead directions of their norms, as
    /// `fold --canonical` removes it. This reads all weights. Both checkpoints must be safetensors on this machine, of a model that
    /// `verify` can run.
    #[arg(long)]
    pub(crate) modulo_dead: bool,
    /// Outputs of the norms of BEFORE, as for `measure`. Their sites are measured, and the depths compared.
    #[arg(long, value_name = "FILE")]
    pub(crate) activations_before: Option<PathBuf>,
    /// Outputs of the norms of AFTER.
    #[arg(long, value_name = "FILE")]
    pub(crate) activations_after: Option<PathBuf>,
    /// Print the comparison (schema gammascope.comparison/1) instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// List every site, instead of one row for sites of like name.
    #[arg(long)]
    pub(crate) all: bool,
    /// Exit with 3 when there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How kernels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    /// SITE.kernel and SITE.constant, F64; the metadata says what they mean.
    Safetensors,
    /// Schema gammascope.kernels/1.
    Json,
}

/// Options of `export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The checkpoint, as for `inspect`.
    #[arg(required = true, value_name = "CHECKPOINT")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The format of the file. The default is JSON for a name that ends in .json, otherwise safetensors.
    #[arg(long, value_enum)]
    pub(crate) format: Option<ExportFormat>,
    /// Only this site (its name or the end of it). Repeat it for several sites.
    #[arg(long = "site", value_name = "SITE")]
    pub(crate) sites: Vec<String>,
    /// Exit with 3 when there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What `fold --to` can make of norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ToNorm {
    /// RMSNorms.
    #[value(name = "rmsnorm")]
    RmsNorm,
}

/// Options of `fold`.
#[derive(Debug, Args)]
#[command(group(
    clap::ArgGroup::new("what").required(true).multiple(true).args(["scales", "shifts", "centre", "canonical", "untie", "to", "prune", "repair_offset"])
))]
pub(crate) struct Fold {
    /// The checkpoint on this machine: a safetensors file, an index.json or a folder, with its config.json.
    #[arg(value_name = "CHECKPOINT")]
    pub(crate) checkpoint: PathBuf,
    /// The folder to write. It must not exist yet.
    #[arg(short, long, value_name = "FOLDER", required_unless_present_any = ["dry_run", "prune"])]
    pub(crate) output: Option<PathBuf>,
    /// Multiply the scales of norms into the maps that read them: W ← W diag γ, γ ← 1.
    #[arg(long)]
    pub(crate) scales: bool,
    /// Move the shifts of norms into the biases of the maps that read them: b ← b + W β, β ← 0.
    #[arg(long)]
    pub(crate) shifts: bool,
    /// Remove the mean over the channels from what writes the residual stream, if everything reads the stream without its mean.
    #[arg(long)]
    pub(crate) centre: bool,
    /// Remove what maps read along the dead directions of their norms, so that two checkpoints of the same function have the same
    /// numbers there.
    #[arg(long)]
    pub(crate) canonical: bool,
    /// Store an unembedding that is tied to the embedding as a tensor of its own, so that it can change.
    #[arg(long)]
    pub(crate) untie: bool,
    /// Add biases to maps that have none, if the code of the family reads them, so that --shifts can use them.
    #[arg(long, requires = "shifts")]
    pub(crate) add_biases: bool,
    /// Replace LayerNorms by RMSNorms. This folds the shifts and centres the writers, and writes a configuration of a family with
    /// RMSNorms, or code for transformers beside the weights.
    #[arg(long, value_name = "NORM")]
    pub(crate) to: Option<ToNorm>,
    /// Store scales as the code of the family expects, where a conversion left out the 1 of 1 + w, added it once too often, or did so at
    /// some norms only. The versions are run on a text, and the result is written only if one predicts it clearly best.
    #[arg(long, conflicts_with_all = ["scales", "shifts", "centre", "canonical", "untie", "add_biases", "to", "prove", "prune"])]
    pub(crate) repair_offset: bool,
    /// The UTF-8 text for --repair-offset, with the tokenizer.json beside the weights. The default is a sample text.
    #[arg(long, value_name = "FILE", requires = "repair_offset", conflicts_with_all = ["ids", "scales", "shifts", "centre", "canonical", "prune"])]
    pub(crate) text: Option<PathBuf>,
    /// The token ids of a text for --repair-offset: whole numbers, separated by spaces, commas or line ends.
    #[arg(long, value_name = "FILE", requires = "repair_offset", conflicts_with_all = ["scales", "shifts", "centre", "canonical", "prune"])]
    pub(crate) ids: Option<PathBuf>,
    /// Only list which widths could be cut without changing the function, with the parameters that each cut would save: channels whose
    /// scale is zero, columns of zeros, hidden units without an effect, and channels of the residual stream that nothing writes. This
    /// changes nothing.
    #[arg(long, conflicts_with_all = ["output", "scales", "shifts", "centre", "canonical", "untie", "add_biases", "to", "prove", "dry_run"])]
    pub(crate) prune: bool,
    /// Fold although this field of the configuration is not known here, because it does not change what the model computes. Give the
    /// option once for each field. The report names the fields.
    #[arg(long, value_name = "FIELD")]
    pub(crate) assume: Vec<String>,
    /// Then run the original and the result on the same 128 token ids, and keep the result only if they differ by rounding.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) prove: bool,
    /// Print what would change, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// List every norm, instead of one row for norms of like name.
    #[arg(long)]
    pub(crate) all: bool,
    /// Print the report (schema gammascope.fold/1, with --prune gammascope.prune/1) instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `adapter`.
#[derive(Debug, Args)]
pub(crate) struct Adapter {
    /// The checkpoint that was adapted: a file, an index.json or a folder.
    #[arg(value_name = "BASE")]
    pub(crate) base: PathBuf,
    /// The adapter: a safetensors file, or the folder that PEFT wrote (adapter_config.json, adapter_model.safetensors).
    #[arg(value_name = "ADAPTER")]
    pub(crate) adapter: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Print the report (schema gammascope.adapter/1) instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// List every module, instead of one row for modules of like name.
    #[arg(long)]
    pub(crate) all: bool,
    /// Exit with 3 when there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// A kind that norms can be expected to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExpectedKind {
    /// Every norm subtracts the mean.
    Layernorm,
    /// None does.
    Rmsnorm,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The checkpoint, as for `inspect`.
    #[arg(required = true, value_name = "CHECKPOINT")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Every norm is of this kind. A norm whose kind is not known breaks the rule.
    #[arg(long, value_name = "KIND")]
    pub(crate) expect: Option<ExpectedKind>,
    /// At most this share of the weights that read norms has no effect: 0.01 is one percent.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_dead_share: Option<f64>,
    /// No channel of a scale is near dead: smaller than a thousandth of the median.
    #[arg(long)]
    pub(crate) no_near_dead: bool,
    /// The report has no warning.
    #[arg(long)]
    pub(crate) no_warnings: bool,
    /// The norms are those of this checkpoint, each of the same kind and with the same channels off. Scales may differ.
    #[arg(long, value_name = "BASE")]
    pub(crate) same_norms_as: Option<PathBuf>,
    /// Print the rules and what was found (schema gammascope.check/1).
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads a share.
fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a share is a number from 0 to 1".to_owned())
}

/// Options of `share`.
#[derive(Debug, Args)]
pub(crate) struct Share {
    /// The checkpoint, as for `inspect`.
    #[arg(required = true, value_name = "CHECKPOINT")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// The address of a copy of the page that opens the link. Without it, only the part from # on is printed.
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true, conflicts_with = "html")]
    pub(crate) page: String,
    /// Write one HTML file instead, with figures and tables. It opens with a double click.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Leave out the address and the names of files, tensors, sites and the family. Numbers replace them.
    #[arg(long)]
    pub(crate) no_names: bool,
    /// Exit with 3 when there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Options of `scan`.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// A text file with one checkpoint per line (# begins a comment), or a folder. In a folder, each folder with safetensors or PyTorch
    /// files is a checkpoint, and so is each .gguf file.
    #[arg(value_name = "LIST|FOLDER")]
    pub(crate) target: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Add the lines to this file, and skip checkpoints that already have a line in it. Without it, the lines are printed.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Then also write every line of the output as a table, with one row per norm site.
    #[arg(long, value_name = "FILE", requires = "output")]
    pub(crate) parquet: Option<PathBuf>,
    /// Checkpoints to inspect at the same time. The default is the number of cores.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    /// Exit with 3 when a checkpoint could not be read.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The command whose page is printed. Without it, the page of the program is printed.
    pub(crate) command: Option<String>,
}

/// How much is read, and from where.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// Read only headers and norm tensors, without a sample of the weights that write the residual stream (at most 64 MB per
    /// checkpoint). The weights of a remote checkpoint are never sampled, because that would take thousands of requests.
    #[arg(long)]
    pub(crate) no_weights: bool,
}

/// How addresses are read.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// The hub that org/model is looked up on.
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT", default_value = PUBLIC_HUB)]
    pub(crate) hub: String,
    /// A token for the host of the address. A list of processes can show it, so for the hub set HF_TOKEN in the environment instead.
    /// HF_TOKEN goes to the hub and to no other host.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Device {
    /// Every core of the CPU.
    Cpu,
    /// The GPU, through wgpu. If it fails, the CPU continues.
    #[cfg(feature = "gpu")]
    Gpu,
}

impl Device {
    /// The choice in the library's terms.
    pub(crate) fn wanted(self) -> Wanted {
        match self {
            Self::Cpu => Wanted::Cpu,
            #[cfg(feature = "gpu")]
            Self::Gpu => Wanted::Gpu,
        }
    }
}

/// Options of `measure`.
#[derive(Debug, Args)]
pub(crate) struct Measure {
    /// The checkpoint, as for `inspect`.
    #[arg(required = true, value_name = "CHECKPOINT")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// Outputs of its norms: .safetensors with one tensor per site, named after the site, tokens × width; or .npy of one site.
    #[arg(long, value_name = "FILE", required_unless_present = "alone")]
    pub(crate) activations: Option<PathBuf>,
    /// Send random inputs through each norm, as a LayerNorm and as an RMSNorm, instead of measuring activations. This shows what a
    /// kernel looks like for these scales. It is no evidence about the model.
    #[arg(long, conflicts_with = "activations")]
    pub(crate) alone: bool,
    /// Measure only this site (its name or the end of it). A file with one tensor then belongs to this site.
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<String>,
    /// Where to compute the covariance. The numbers are the same, bit for bit.
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub(crate) device: Device,
    /// List every site, instead of one row for sites of like name.
    #[arg(long)]
    pub(crate) all: bool,
    /// Print the report (schema gammascope.report/1; with --alone gammascope.norm_alone/1) instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 3 when there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A .safetensors, .gguf, .onnx or PyTorch file, several shards, an index.json, or a folder with them (config.json is read too). Or one address:
    /// the URL of any of these, or org/model[@revision] on a hub. From an address only a few kilobytes are read.
    #[arg(required = true, value_name = "PATH_OR_URL")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Print the report (schema gammascope.report/1) instead of a summary.
    #[arg(long)]
    pub(crate) json: bool,
    /// List every norm site, instead of one row for sites of like name over the blocks.
    #[arg(long)]
    pub(crate) all: bool,
    /// Explain the verdict on this norm site (its name or the end of it), evidence by evidence, instead of a summary.
    #[arg(long, value_name = "SITE", conflicts_with_all = ["json", "all"])]
    pub(crate) explain: Option<String>,
    /// Exit with 3 when there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
}
