//! Repairs scales that hold a 1 too many or too few for the code of their family. Their values say which norms look wrong, and the loss
//! on a text says what is right: every version is run as it would be stored, and the best must be clearly better than the others.

use super::plan::{Edit, Operations, Plan, PlanError, plan};
use super::rounded;
use super::write::{WriteError, push, read};
use crate::checkpoint::{self, Checkpoint, CheckpointError, Tensor};
use crate::forward::{ForwardError, Input, Pass};
use crate::inspect::{Inspection, Opened};
use crate::model::architecture::Architecture;
use crate::model::operation::Reads;
use crate::report::ScaleConvention;
use crate::report::fold::{FoldOperation, FoldedTensor};
use crate::report::repair::{OffsetRepair, OffsetVersion, RepairedNorm};
use crate::run::loss::{ENOUGH, is_about_a_guess, paired};
use crate::source::{ByteSource, SourceError};
use crate::text::ids::{TokenIds, Wanted};
use crate::text::{Choice, TextError, input};
use std::ops::Range;
use std::sync::Arc;

/// Tokens of a run.
const TOKENS: usize = 512;
/// Tokens of a sequence, if the model has positions for as many.
const LENGTH: usize = 32;
/// What happens to a scale. The report says what c is at each norm.
const FORMULA: &str = "w ← w + c";

/// Why no offset is repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Every scale looks right.
    #[error(
        "nothing is repaired: as far as their values show, all scales of `{0}` are stored as the code of its family expects"
    )]
    NothingWrong(String),
    /// There is no loss.
    #[error(
        "nothing is repaired: the loss of the next tokens shows which version is right, and {0}; compare the file with the checkpoint it was made from instead"
    )]
    NoLoss(&'static str),
    /// The checkpoint cannot be rewritten.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A scale is stored in a type that is not rewritten.
    #[error(
        "nothing is repaired: `{tensor}` is stored as {dtype}, and only F64, F32, F16 and BF16 are rewritten; convert the checkpoint first"
    )]
    Type {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: String,
    },
    /// There are no token ids to run.
    #[error("nothing is repaired, because the loss needs a text: {0}")]
    Text(#[from] TextError),
    /// A scale could not be read.
    #[error(transparent)]
    Read(#[from] WriteError),
    /// The files could not be opened once more.
    #[error("{0}")]
    Sources(String),
    /// The same, with the repaired values.
    #[error(transparent)]
    Opened(#[from] CheckpointError),
    /// A run failed.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// No version predicts the text.
    #[error(
        "nothing is repaired: no version predicts the text better than a guess among {vocabulary} tokens does ({guess:.2} nats): {losses}. Give a text that the model was trained on, with the tokenizer of the model"
    )]
    Guess {
        /// Size of the vocabulary.
        vocabulary: usize,
        /// Loss of a guess.
        guess: f64,
        /// The losses.
        losses: String,
    },
    /// The file is right as it is.
    #[error("nothing is repaired: the loss is least as stored: {0}")]
    AsStored(String),
    /// Two versions are about as good.
    #[error(
        "nothing is repaired: the loss does not clearly show which version is right ({0}); give more text that the model was trained on, or compare the file with the checkpoint it was made from"
    )]
    Unclear(String),
}

/// A scale that looks wrong.
struct Suspect {
    norm: String,
    /// Its place among the tensors of the architecture.
    tensor: usize,
    stored: Vec<f64>,
    /// What must be added to it, as its values look.
    step: i8,
    /// Whether its own values show that.
    shown: bool,
}

/// A version of the checkpoint: what is added to each suspect. With the loss of each token, infinite if the run overflows.
struct Version {
    added: Vec<i8>,
    what: String,
    losses: Vec<f64>,
}

impl Version {
    fn loss(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64
    }

    /// Whether it predicts the text clearly better than another version.
    fn beats(&self, other: &Self, sequence: usize) -> bool {
        if !other.loss().is_finite() {
            return self.loss().is_finite();
        }
        let paired = paired(&self.losses, &other.losses, sequence);
        paired.is_some_and(|(difference, error)| difference < 0.0 && -difference >= ENOUGH * error)
    }
}

/// Plans the repair of a checkpoint. `architecture` is that of `opened`. Runs it on `choice`, or on the sample text; `sources` opens its
/// files once more for each version. `progress` gets the number of runs that are done, and of all.
pub async fn repair<S: ByteSource>(
    opened: &Opened<S>,
    architecture: &Architecture,
    choice: Option<&Choice>,
    mut sources: impl FnMut() -> Result<Vec<S>, String>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Plan, RepairError> {
    let checkpoint = opened.checkpoint();
    let mut plan = plan(opened, architecture, Operations::default())?;
    let suspects = suspects(checkpoint, &opened.inspection, architecture).await?;
    if suspects.is_empty() {
        return Err(RepairError::NothingWrong(checkpoint.name.clone()));
    }
    has_loss(architecture)?;
    let length = architecture.longest.unwrap_or(LENGTH).clamp(1, LENGTH);
    let vocabulary = architecture.vocabulary;
    let wanted = Wanted { tokens: TOKENS, further: 0, length, vocabulary };
    let sample = Choice::Sample;
    let (text, _) = input::of_checkpoint(opened, Some(choice.unwrap_or(&sample)), wanted, 0).await?;
    let open: Vec<usize> = (0..suspects.len()).filter(|&at| !suspects[at].shown).collect();
    let runs = 3 + open.len();
    let mut run = async |added: Vec<i8>, what: String, done: usize| {
        progress(done, runs);
        let patches = patches(checkpoint, architecture, &suspects, &added);
        let files = sources().map_err(RepairError::Sources)?;
        let files = files.into_iter().map(|file| Patched { file, patches: Arc::clone(&patches) }).collect();
        let changed = checkpoint::open(files, |_| {}).await?;
        let losses = losses(&changed, architecture, &text, length).await?;
        Ok::<_, RepairError>(Version { added, what, losses })
    };
    // All suspects together: as stored, moved by one step, and by two, as when the 1 was added twice.
    let mut versions = Vec::new();
    for times in 0..=2 {
        let added: Vec<i8> = suspects.iter().map(|suspect| times * suspect.step).collect();
        let what = described(&suspects, &added);
        versions.push(run(added, what, versions.len()).await?);
    }
    let mut best = chosen(&versions, length, vocabulary)?;
    // Then those whose own values show nothing, one by one.
    for at in open {
        let mut added = versions[best].added.clone();
        added[at] = 0;
        let what = format!("the same, with `{}` as stored", suspects[at].norm);
        versions.push(run(added, what, versions.len()).await?);
        let [kept, other] = [&versions[best], &versions[versions.len() - 1]];
        if other.beats(kept, length - 1) {
            best = versions.len() - 1;
        } else if !kept.beats(other, length - 1) {
            return Err(RepairError::Unclear(said(&versions)));
        }
    }
    let report = OffsetRepair {
        text: text.what.clone(),
        tokens: text.ids.len() as u64,
        versions: versions
            .iter()
            .enumerate()
            .map(|(at, version)| OffsetVersion {
                what: version.what.clone(),
                loss: Some(version.loss()).filter(|loss| loss.is_finite()),
                chosen: at == best,
            })
            .collect(),
        norms: Vec::new(),
    };
    store(&mut plan, architecture, suspects, &versions[best].added, report);
    Ok(plan)
}

/// The scales that look wrong, in network order.
async fn suspects<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    inspection: &Inspection,
    architecture: &Architecture,
) -> Result<Vec<Suspect>, RepairError> {
    let mut suspects: Vec<Suspect> = Vec::new();
    for norm in architecture.norms() {
        let (Some(name), Some(tensor)) = (&norm.site, norm.scale) else { continue };
        let Some(at) = inspection.report.norms.iter().position(|site| site.name == *name) else { continue };
        let (offset, shown) = match inspection.report.norms[at].scale_convention {
            ScaleConvention::Weight => (0, true),
            ScaleConvention::OnePlusWeight => (1, true),
            ScaleConvention::None => continue,
            ScaleConvention::Unknown => match inspection.likely_offsets[at] {
                Some(likely) => (likely.offset, likely.shown),
                None => continue,
            },
        };
        let step = offset - i8::from(norm.one_plus);
        if step == 0 || suspects.iter().any(|other| other.tensor == tensor) {
            continue;
        }
        let stored = &architecture.tensors[tensor];
        if rounded(&stored.dtype, 1.0).is_none() || stored.strides.is_some() {
            let (tensor, dtype) = (stored.name.clone(), stored.dtype.to_string());
            return Err(RepairError::Type { tensor, dtype });
        }
        let stored = read(checkpoint, stored, 0..stored.elements()).await?;
        suspects.push(Suspect { norm: name.clone(), tensor, stored, step, shown });
    }
    Ok(suspects)
}

/// Whether the model predicts next tokens.
fn has_loss(architecture: &Architecture) -> Result<(), RepairError> {
    let missing = if architecture.reads() != Reads::Tokens {
        "the model does not read text"
    } else if architecture.head.is_none() {
        "the checkpoint has no head that predicts tokens"
    } else if !architecture.causal {
        "the tokens of this model see later ones"
    } else {
        return Ok(());
    };
    Err(RepairError::NoLoss(missing))
}

/// The loss of each token.
async fn losses<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    architecture: &Architecture,
    text: &TokenIds,
    length: usize,
) -> Result<Vec<f64>, ForwardError> {
    let pass = Pass::new(checkpoint, architecture, Input::token_ids(&text.ids, length)?)?;
    match pass.run_to_losses().await {
        // A wrong scale may overflow.
        Err(ForwardError::NotFinite { .. } | ForwardError::Logits { .. }) => {
            Ok(vec![f64::INFINITY; text.ids.len() / length * (length - 1)])
        }
        losses => losses,
    }
}

/// The version that is clearly the best, if it is not what is stored.
fn chosen(versions: &[Version], length: usize, vocabulary: usize) -> Result<usize, RepairError> {
    let least = |a: &usize, b: &usize| versions[*a].loss().total_cmp(&versions[*b].loss());
    let best = (0..versions.len()).min_by(least).unwrap_or_default();
    if is_about_a_guess(versions[best].loss(), vocabulary) {
        let guess = (vocabulary as f64).ln();
        return Err(RepairError::Guess { vocabulary, guess, losses: said(versions) });
    }
    let mut others = (0..versions.len()).filter(|&at| at != best);
    if !others.all(|at| versions[best].beats(&versions[at], length - 1)) {
        return Err(RepairError::Unclear(said(versions)));
    }
    if best == 0 { Err(RepairError::AsStored(said(versions))) } else { Ok(best) }
}

/// The loss of each version.
fn said(versions: &[Version]) -> String {
    let one = |version: &Version| match version.loss() {
        loss if loss.is_finite() => format!("{}: {loss:.2} nats", version.what),
        _ => format!("{}: the run overflows", version.what),
    };
    versions.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What is added to how many scales.
fn described(suspects: &[Suspect], added: &[i8]) -> String {
    let mut counts: Vec<(i8, usize)> = Vec::new();
    for &added in added.iter().filter(|added| **added != 0) {
        match counts.iter_mut().find(|(other, _)| *other == added) {
            Some((_, count)) => *count += 1,
            None => counts.push((added, 1)),
        }
    }
    if counts.is_empty() {
        return "as stored".to_owned();
    }
    let of = |(added, count): &(i8, usize)| {
        let sign = if *added < 0 { '−' } else { '+' };
        let scales = if suspects.len() == 1 { "the scale" } else { "scales" };
        let count = if suspects.len() == 1 { String::new() } else { format!("{count} ") };
        format!("w {sign} {} at {count}{scales}", added.unsigned_abs())
    };
    counts.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// Puts the repaired scales into the plan.
fn store(
    plan: &mut Plan,
    architecture: &Architecture,
    suspects: Vec<Suspect>,
    added: &[i8],
    mut repair: OffsetRepair,
) {
    for (suspect, &added) in suspects.into_iter().zip(added).filter(|(_, added)| **added != 0) {
        let tensor = architecture.tensors[suspect.tensor].clone();
        let name = suspect.norm;
        repair.norms.push(RepairedNorm { name, tensor: tensor.name.clone(), added });
        let values = suspect.stored.iter().map(|value| value + f64::from(added)).collect();
        plan.edits.push((tensor, Edit::Values(values, FORMULA)));
    }
    plan.edits.sort_by_key(|(tensor, _)| (tensor.shard, tensor.range.start));
    // A scale multiplies x̂, and ‖x̂‖ ≤ √d.
    plan.reaches = plan.edits.iter().map(|(tensor, _)| Some((tensor.elements() as f64).sqrt())).collect();
    let report = &mut plan.report;
    report.operations = vec![FoldOperation::RepairOffset];
    let tensor = |(tensor, _): &(Tensor, Edit)| FoldedTensor {
        name: tensor.name.clone(),
        dtype: tensor.dtype.to_string(),
        values: tensor.elements(),
        identity: FORMULA.to_owned(),
        rounding: None,
        bound: None,
    };
    report.tensors = plan.edits.iter().map(tensor).collect();
    report.norms.clear();
    report.repair = Some(repair);
    report.summarise();
}

/// Bytes that replace those of a file: its name, where they lie, and the bytes.
type Patches = Arc<[(String, Range<u64>, Vec<u8>)]>;

/// The scales as they would be stored.
fn patches<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    architecture: &Architecture,
    suspects: &[Suspect],
    added: &[i8],
) -> Patches {
    let changed = suspects.iter().zip(added).filter(|(_, added)| **added != 0);
    let patch = |(suspect, added): (&Suspect, &i8)| {
        let tensor = &architecture.tensors[suspect.tensor];
        let mut bytes = Vec::new();
        for value in &suspect.stored {
            let value = value + f64::from(*added);
            push(&tensor.dtype, rounded(&tensor.dtype, value).unwrap_or(value), &mut bytes);
        }
        (checkpoint.shards[tensor.shard].path().to_owned(), tensor.range.clone(), bytes)
    };
    changed.map(patch).collect()
}

/// A file of which some bytes are replaced.
#[derive(Debug)]
struct Patched<S> {
    file: S,
    patches: Patches,
}

impl<S: ByteSource> ByteSource for Patched<S> {
    fn path(&self) -> &str {
        self.file.path()
    }

    fn length(&self) -> u64 {
        self.file.length()
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let mut bytes = self.file.read(range.clone()).await?;
        for (_, place, patch) in self.patches.iter().filter(|(path, _, _)| path == self.file.path()) {
            let (from, to) = (range.start.max(place.start), range.end.min(place.end));
            if from < to {
                let at = |place: &Range<u64>| (from - place.start) as usize..(to - place.start) as usize;
                bytes[at(&range)].copy_from_slice(&patch[at(place)]);
            }
        }
        Ok(bytes)
    }
}
