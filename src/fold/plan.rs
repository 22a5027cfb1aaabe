//! Decides what is exact, norm by norm and writer by writer, and what each tensor becomes.

use super::change::{Change, Dead, lines};
use super::extend::{Added, Biases, Extended};
use super::rms_norm::{self, Outcomes};
use super::rounded;
use super::walk::{Reader, Site, Walk};
use crate::checkpoint::Tensor;
use crate::checkpoint::config::Config;
use crate::checkpoint::dtype::TensorType;
use crate::inspect::{Inspection, Opened};
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::model::ModelError;
use crate::model::architecture::{Architecture, Linear, Norm};
use crate::model::operation::Centring;
use crate::report::fold::{
    FoldOperation, FoldOutcome, FoldReport, FoldedNorm, FoldedReader, FoldedTensor, FoldedWriter, SCHEMA,
};
use crate::report::{NormKind, ScaleConvention};
use crate::source::ByteSource;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations {
    /// Fold scales into readers.
    pub scales: bool,
    /// Fold shifts into the biases of readers.
    pub shifts: bool,
    /// Remove the mean of writers.
    pub centre: bool,
    /// Remove the dead part of readers.
    pub canonical: bool,
    /// Store the unembedding beside the embedding.
    pub untie: bool,
    /// Add biases where the family's code reads them, so that shifts can be folded.
    pub add_biases: bool,
    /// Replace LayerNorms by RMSNorms. Shifts are folded and writers centred for it.
    pub rms_norm: bool,
}

impl Operations {
    /// Those of a list. [`repair`](fn@super::repair) plans repairs, which are not among them.
    pub fn of(list: &[FoldOperation]) -> Self {
        let mut all = Self::default();
        for operation in list {
            match operation {
                FoldOperation::Scales => all.scales = true,
                FoldOperation::Shifts => all.shifts = true,
                FoldOperation::Centre => all.centre = true,
                FoldOperation::Canonical => all.canonical = true,
                FoldOperation::Untie => all.untie = true,
                FoldOperation::AddBiases => all.add_biases = true,
                FoldOperation::RmsNorm => all.rms_norm = true,
                FoldOperation::RepairOffset => {}
            }
        }
        all
    }
}

/// Why a checkpoint cannot be folded at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// An encoder and a decoder.
    #[error(
        "the model has an encoder and a decoder, or a tower and a text model, and only models with one stack are folded: extract one of them first"
    )]
    TwoStacks,
    /// LayerNorms that cannot be RMSNorms.
    #[error("the result would not be the same with RMSNorms: {0}")]
    NotRmsNorm(String),
    /// The result would be no model of its family.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What happens to each tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The plan for people and programs. Its `rounding` and `proof` are still empty.
    pub report: FoldReport,
    /// The tensors that change, in the order of the files. `report.tensors` has the same order.
    pub(super) edits: Vec<(Tensor, Edit)>,
    /// The tensors that the original does not have. They follow in `report.tensors`.
    pub(super) added: Vec<(Added, Option<Edit>)>,
    /// For each of `report.tensors` the largest norm of what it is applied to, if the parameters bound it.
    pub(super) reaches: Vec<Option<f64>>,
    /// Files beside the weights that are not those of the original, by name.
    pub files: Vec<(String, Vec<u8>)>,
}

/// How far the exact result of a tensor was rounded to its type.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rounded {
    /// ‖rounded − exact‖/‖exact‖.
    pub relative: f64,
    /// ‖rounded − exact‖ times the largest norm of what the tensor is applied to: no input changes its output by more. `None` if the
    /// parameters do not bound that.
    pub bound: Option<f64>,
}

/// What a tensor becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Edit {
    /// These values, and the formula.
    Values(Vec<f64>, &'static str),
    /// The bias of a map plus W s, with the tensor of W and s (k values).
    Bias(Linear, Tensor, Arc<[f64]>),
    /// Itself without its mean.
    CentredVector,
    /// One or several changed matrices, by the place of their first value.
    Matrices(Vec<(Linear, Change)>),
    /// Nothing: the result does not have it.
    Removed(&'static str),
}

impl Edit {
    fn identity(&self) -> String {
        match self {
            Self::Values(_, formula) | Self::Removed(formula) => (*formula).to_owned(),
            Self::Bias(..) => "b ← b + W s, s from β".to_owned(),
            Self::CentredVector => "b ← b − mean(b)".to_owned(),
            Self::Matrices(all) => all.first().map(|(_, change)| change.identity()).unwrap_or_default(),
        }
    }
}

impl Plan {
    /// Takes over what writing a shard returned.
    pub fn took(&mut self, roundings: Vec<(usize, Rounded)>) {
        for (place, Rounded { relative, bound }) in roundings {
            if let Some(tensor) = self.report.tensors.get_mut(place) {
                (tensor.rounding, tensor.bound) = (Some(relative), bound);
            }
        }
        self.report.summarise();
    }

    /// Whether no tensor changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.added.is_empty()
    }

    /// How many bytes the result has more than the original, or less if it is negative.
    pub fn growth(&self) -> i128 {
        let removed = self.edits.iter().filter(|(_, edit)| matches!(edit, Edit::Removed(_)));
        let removed: i128 = removed.map(|(tensor, _)| i128::from(tensor.bytes())).sum();
        self.added.iter().map(|(added, _)| i128::from(added.tensor.bytes())).sum::<i128>() - removed
    }

    /// The largest norm of what a tensor is applied to, by its place in `report.tensors`. `None` if the parameters do not bound it.
    pub(super) fn reach(&self, place: usize) -> Option<f64> {
        self.reaches.get(place).copied().flatten()
    }
}

/// A norm γ⊙x̂ + β after its scale, its shift or both went into its readers (d values each).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    /// γ of the result.
    pub(super) scale: Vec<f64>,
    /// β of the result.
    pub(super) shift: Vec<f64>,
    /// s of b ← b + W s.
    pub(super) moved: Vec<f64>,
    /// What the columns of a reader are multiplied with.
    factor: Vec<f64>,
    zeros: Vec<usize>,
    subtracts_mean: bool,
}

impl Parts {
    /// γ and β have equally many values, at least one, all finite. If scales are folded and shifts are not, β must be 0 where γ is.
    pub(super) fn of(gamma: &[f64], beta: &[f64], subtracts_mean: bool, scales: bool, shifts: bool) -> Self {
        let d = gamma.len();
        let zero = vec![0.0; d];
        // What stays of β is added before the columns are multiplied.
        let stays = |(beta, gamma): (&f64, &f64)| match (scales, *gamma == 0.0) {
            (true, true) => 0.0,
            (true, false) => beta / gamma,
            (false, _) => *beta,
        };
        Self {
            scale: if scales { vec![1.0; d] } else { gamma.to_vec() },
            shift: if shifts { zero.clone() } else { beta.iter().zip(gamma).map(stays).collect() },
            moved: if shifts { beta.to_vec() } else { zero },
            factor: if scales { gamma.to_vec() } else { vec![1.0; d] },
            zeros: (0..d).filter(|&at| gamma[at] == 0.0).collect(),
            subtracts_mean,
        }
    }

    /// The largest norm of the result γ⊙x̂ + β, because ‖x̂‖ ≤ √d.
    fn reach(&self) -> f64 {
        let largest = self.scale.iter().fold(0.0, |most: f64, scale| most.max(scale.abs()));
        let shift = self.shift.iter().map(|beta| beta * beta).sum::<f64>().sqrt();
        (self.scale.len() as f64).sqrt() * largest + shift
    }

    /// What a reader of the result can lose, and what s gains for it (d values).
    pub(super) fn canonical(&self) -> (Dead, Vec<f64>) {
        let mut constant = vec![0.0; self.scale.len()];
        if !self.zeros.is_empty() {
            self.zeros.iter().for_each(|&at| constant[at] = self.factor[at] * self.shift[at]);
            return (Dead::Channels(self.zeros.as_slice().into()), constant);
        }
        let kernel = Scale::new(self.scale.clone()).map(|scale| Kernel::of(&scale, self.subtracts_mean));
        let Ok(Kernel::InverseScale(direction)) = kernel else { return (Dead::Kept, constant) };
        let v = direction.components;
        let along: f64 = v.iter().zip(&self.shift).map(|(v, beta)| v * beta).sum();
        for ((constant, factor), v) in constant.iter_mut().zip(&self.factor).zip(&v) {
            *constant = factor * v * along;
        }
        (Dead::Direction(v.into()), constant)
    }
}

/// Plans what to do with a model. `architecture` is that of the opened checkpoint.
pub fn plan<S: ByteSource>(
    opened: &Opened<S>,
    architecture: &Architecture,
    mut operations: Operations,
) -> Result<Plan, PlanError> {
    if architecture.encoder.is_some() {
        return Err(PlanError::TwoStacks);
    }
    operations.shifts |= operations.rms_norm;
    operations.centre |= operations.rms_norm;
    let (checkpoint, inspection) = (opened.checkpoint(), &opened.inspection);
    let mut extended = Extended::of(checkpoint, architecture)?;
    if operations.untie {
        extended.untie(checkpoint)?;
    }
    if operations.rms_norm {
        extended.add_biases(checkpoint, Biases::All)?;
    } else if operations.add_biases {
        extended.add_biases(checkpoint, Biases::ByField)?;
    }
    let architecture = &extended.architecture;
    let walk = Walk::of(architecture);
    let mut planner = Planner {
        inspection,
        tensors: &architecture.tensors,
        walk: &walk,
        operations,
        edits: BTreeMap::new(),
        reaches: BTreeMap::new(),
    };
    let norms: Vec<FoldedNorm> = walk.sites.iter().map(|site| planner.norm(site)).collect();
    let (writers, not_centred) = planner.writers();
    let (mut edits, known_reaches) = (planner.edits, planner.reaches);
    // A vector is added as it is, and a tensor that is only copied is exact.
    let reach_of = |at: usize, edit: Option<&Edit>| match edit {
        Some(Edit::Matrices(_)) => known_reaches.get(&at).copied(),
        _ => Some(known_reaches.get(&at).copied().unwrap_or(1.0)),
    };
    let first_added = architecture.tensors.len() - extended.added.len();
    let mut edits_of_added = edits.split_off(&first_added);
    let (mut scales, mut files, mut family) = (Vec::new(), Vec::new(), None);
    if operations.rms_norm {
        let outcomes = Outcomes { norms: &norms, writers: &writers, not_centred: not_centred.as_deref() };
        let converted = rms_norm::convert(&extended, &walk, outcomes).map_err(PlanError::NotRmsNorm)?;
        edits.extend(converted.removed.into_iter().map(|at| (at, Edit::Removed("removed, because β is 0"))));
        family = converted.config.family().map(str::to_owned);
        files.push((CONFIG.to_owned(), json(&converted.config)));
        files.extend(converted.modelling);
        scales = converted.scales;
    } else if extended.is_reconfigured {
        files.push((CONFIG.to_owned(), json(&extended.config)));
    }
    let mut planned: Vec<(Tensor, Edit, Option<f64>)> = Vec::new();
    for (at, edit) in edits {
        let reach = reach_of(at, Some(&edit));
        planned.push((architecture.tensors[at].clone(), edit, reach));
    }
    let replaced = "removed, because a new tensor has its name";
    planned.extend(extended.replaced.into_iter().map(|tensor| (tensor, Edit::Removed(replaced), Some(1.0))));
    planned.sort_by_key(|(tensor, ..)| (tensor.shard, tensor.range.start));
    let mut reaches: Vec<Option<f64>> = planned.iter().map(|(.., reach)| *reach).collect();
    let edits: Vec<(Tensor, Edit)> = planned.into_iter().map(|(tensor, edit, _)| (tensor, edit)).collect();
    let mut added: Vec<(Added, Option<Edit>)> = Vec::new();
    for (at, new) in (first_added..).zip(extended.added) {
        let edit = edits_of_added.remove(&at);
        reaches.push(reach_of(at, edit.as_ref()));
        added.push((new, edit));
    }
    for scale in scales {
        reaches.push(Some(1.0));
        added.push((scale, None));
    }
    let asked = [
        (operations.scales, FoldOperation::Scales),
        (operations.shifts, FoldOperation::Shifts),
        (operations.centre, FoldOperation::Centre),
        (operations.canonical, FoldOperation::Canonical),
        (operations.untie, FoldOperation::Untie),
        (operations.add_biases, FoldOperation::AddBiases),
        (operations.rms_norm, FoldOperation::RmsNorm),
    ];
    let changed = edits.iter().map(|(tensor, edit)| tensor_report(tensor, edit.identity()));
    let new = added.iter().map(|(added, edit)| tensor_report(&added.tensor, added.identity(edit.as_ref())));
    let mut report = FoldReport {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        checkpoint: inspection.report.checkpoint.name.clone(),
        sentence: String::new(),
        assumed: Vec::new(),
        operations: asked.into_iter().filter(|(asked, _)| *asked).map(|(_, operation)| operation).collect(),
        norms,
        writers,
        not_centred,
        left: Vec::new(),
        untied: extended.untied,
        added_biases: extended.biases,
        family,
        files: files.iter().map(|(name, _)| name.clone()).collect(),
        tensors: changed.chain(new).collect(),
        bytes: inspection.report.checkpoint.bytes,
        repair: None,
        proof: None,
    };
    report.summarise();
    Ok(Plan { report, edits, added, reaches, files })
}

/// Name of the configuration beside the weights.
const CONFIG: &str = "config.json";

fn json(config: &Config) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(config.fields()).unwrap_or_default();
    text.push(b'\n');
    text
}

impl Added {
    /// Says what it is, as formulas.
    fn identity(&self, edit: Option<&Edit>) -> String {
        let begins = match self.fill {
            None => "new, a copy of the embedding".to_owned(),
            Some(value) => format!("new, {value} everywhere"),
        };
        match edit {
            None => begins,
            Some(edit) => format!("{begins}; then {}", edit.identity()),
        }
    }
}

fn tensor_report(tensor: &Tensor, identity: String) -> FoldedTensor {
    FoldedTensor {
        name: tensor.name.clone(),
        dtype: tensor.dtype.to_string(),
        values: tensor.elements(),
        identity,
        rounding: None,
        bound: None,
    }
}

/// What is known of a norm.
struct Known {
    kind: NormKind,
    gamma: Vec<f64>,
    /// Zeros if nothing is stored.
    beta: Vec<f64>,
}

struct Planner<'a> {
    inspection: &'a Inspection,
    tensors: &'a [Tensor],
    walk: &'a Walk<'a>,
    operations: Operations,
    edits: BTreeMap<usize, Edit>,
    /// The largest norm of what a changed reader or scale is applied to.
    reaches: BTreeMap<usize, f64>,
}

fn left(why: impl Into<String>) -> FoldOutcome {
    FoldOutcome::Left { why: why.into() }
}

impl Planner<'_> {
    /// The norm's kind and values, or why they are not certain.
    fn known(&self, norm: &Norm) -> Result<Known, String> {
        let not_listed = "the report has no such norm site";
        let name = norm.site.as_deref().ok_or(not_listed)?;
        let norms = &self.inspection.report.norms;
        let at = norms.iter().position(|norm| norm.name == name).ok_or(not_listed)?;
        let report = &norms[at];
        if let Some(problem) = &report.problem {
            return Err(problem.clone());
        }
        let kind = match norm.centring {
            Centring::Mean => NormKind::LayerNorm,
            Centring::None => NormKind::RmsNorm,
        };
        if report.kind != kind {
            return Err(format!(
                "its kind is not certain; `gammascope inspect --explain {name}` shows the evidence"
            ));
        }
        let convention = match (norm.scale, norm.one_plus) {
            (None, _) => ScaleConvention::None,
            (Some(_), true) => ScaleConvention::OnePlusWeight,
            (Some(_), false) => ScaleConvention::Weight,
        };
        if report.scale_convention != convention {
            return Err("it is not certain whether the checkpoint stores γ or γ − 1".to_owned());
        }
        let gamma = match norm.scale {
            None => vec![1.0; norm.width],
            Some(_) => {
                let scale = self.inspection.scales.get(at).and_then(Option::as_ref);
                scale.ok_or("its scale could not be read")?.values().to_vec()
            }
        };
        let beta = match norm.shift {
            None => vec![0.0; norm.width],
            Some(_) => {
                let shift = self.inspection.shifts.get(at).and_then(Option::as_ref);
                shift.ok_or("its shift could not be read")?.clone()
            }
        };
        if gamma.len() != norm.width || beta.len() != norm.width || norm.width == 0 {
            return Err("its scale or shift has another width than the norm".to_owned());
        }
        if beta.iter().any(|value| !value.is_finite()) {
            return Err("its shift holds a value that is not finite".to_owned());
        }
        Ok(Known { kind, gamma, beta })
    }

    /// Whether the values of a tensor can be rewritten.
    fn rewritable(&self, tensor: usize) -> Result<(), String> {
        let tensor = &self.tensors[tensor];
        match tensor.dtype {
            TensorType::Known(Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
                if tensor.strides.is_none() =>
            {
                Ok(())
            }
            _ => Err(format!(
                "`{}` is stored as {}, and only F64, F32, F16 and BF16 are rewritten",
                tensor.name, tensor.dtype
            )),
        }
    }

    /// Whether a matrix can change.
    fn changeable(&self, map: &Linear) -> Result<(), String> {
        match self.walk.shared(map) {
            Some(why) => Err(why),
            None => self.rewritable(map.weight),
        }
    }

    /// Whether a reader has a bias that can take a constant.
    fn takes_constant(&self, reader: &Reader) -> Result<(), String> {
        let name = &self.tensors[reader.map.weight].name;
        if reader.bias_is_apart {
            return Err(format!("the bias of `{name}` is stored with those of other maps"));
        }
        let bias = reader.map.bias.ok_or_else(|| format!("`{name}` has no bias that could take it"))?;
        if self.tensors[bias].elements() != reader.map.outputs as u64 {
            return Err(format!("`{}` is not one value for each output", self.tensors[bias].name));
        }
        self.rewritable(bias)
    }

    /// Whether the norm's scale or shift can change: its readers are all known, and nothing else reads it.
    fn foldable(&self, site: &Site<'_>) -> Result<(), String> {
        if let Some(why) = &site.elsewhere {
            return Err(why.clone());
        }
        if site.readers.is_empty() {
            return Err("no linear map reads it".to_owned());
        }
        let norm = site.norm;
        let stored = |norm: &Norm| [norm.scale, norm.shift];
        let own = stored(norm);
        let shares = |other: &Site<'_>| {
            other.norm != norm && stored(other.norm).iter().flatten().any(|at| own.contains(&Some(*at)))
        };
        if self.walk.sites.iter().any(shares) {
            return Err("it shares its scale or shift with another norm".to_owned());
        }
        own.iter().flatten().try_for_each(|at| self.rewritable(*at))?;
        site.readers.iter().try_for_each(|reader| self.changeable(&reader.map))
    }

    fn norm(&mut self, site: &Site<'_>) -> FoldedNorm {
        let norm = site.norm;
        let known = self.known(norm);
        let kind = known.as_ref().map_or(NormKind::Unknown, |known| known.kind);
        let channels_off = known.as_ref().map_or(Vec::new(), |known| {
            let zeros = known.gamma.iter().zip(0u32..).filter(|(gamma, _)| **gamma == 0.0);
            zeros.map(|(_, at)| at).collect()
        });
        let (scale, shift, readers) = match &known {
            Ok(known) => self.fold(site, known),
            Err(why) => {
                let if_asked = |asked: bool, stored: bool| match (asked, stored) {
                    (false, _) => FoldOutcome::NotAsked,
                    (true, false) => FoldOutcome::Nothing,
                    (true, true) => left(why),
                };
                let readers = vec![if_asked(self.operations.canonical, true); site.readers.len()];
                let scale = if_asked(self.operations.scales, norm.scale.is_some());
                (scale, if_asked(self.operations.shifts, norm.shift.is_some()), readers)
            }
        };
        let names = site.readers.iter().map(|reader| self.tensors[reader.map.weight].name.clone());
        let readers: Vec<FoldedReader> =
            names.zip(readers).map(|(name, canonical)| FoldedReader { name, canonical }).collect();
        FoldedNorm {
            name: norm.site.clone().unwrap_or_else(|| "a norm without a name".to_owned()),
            kind,
            scale,
            shift,
            canonical: self.together(&readers),
            channels_off,
            readers,
        }
    }

    /// The canonical form of a norm's readers as one outcome.
    fn together(&self, readers: &[FoldedReader]) -> FoldOutcome {
        let why = readers.iter().find_map(|reader| match &reader.canonical {
            FoldOutcome::Left { why } => Some(why),
            _ => None,
        });
        match why {
            Some(why) => left(why),
            None if !self.operations.canonical => FoldOutcome::NotAsked,
            None if readers.iter().any(|reader| reader.canonical == FoldOutcome::Done) => FoldOutcome::Done,
            None => FoldOutcome::Nothing,
        }
    }

    /// Plans one norm whose kind and values are known. Returns what becomes of its scale, its shift, and the dead part of each reader.
    fn fold(&mut self, site: &Site<'_>, known: &Known) -> (FoldOutcome, FoldOutcome, Vec<FoldOutcome>) {
        let (norm, Known { gamma, beta, .. }) = (site.norm, known);
        let foldable = self.foldable(site);
        let has_shift = beta.iter().any(|value| *value != 0.0);
        let shift = match &foldable {
            _ if !self.operations.shifts => FoldOutcome::NotAsked,
            _ if !has_shift => FoldOutcome::Nothing,
            Err(why) => left(why),
            Ok(()) => match site.readers.iter().try_for_each(|reader| self.takes_constant(reader)) {
                Ok(()) => FoldOutcome::Done,
                Err(why) => left(why),
            },
        };
        let shifts = shift == FoldOutcome::Done;
        let scale = match &foldable {
            _ if !self.operations.scales => FoldOutcome::NotAsked,
            _ if norm.scale.is_none() || gamma.iter().all(|value| *value == 1.0) => FoldOutcome::Nothing,
            Err(why) => left(why),
            Ok(()) => match self.past_shift(norm, known, shifts) {
                Ok(()) => FoldOutcome::Done,
                Err(why) => left(why),
            },
        };
        let scales = scale == FoldOutcome::Done;
        let parts = Parts::of(gamma, beta, norm.centring == Centring::Mean, scales, shifts);
        self.store(norm, &parts, scales, scales || shifts);
        let (dead, constant) = parts.canonical();
        let mut outcomes = Vec::new();
        for reader in &site.readers {
            let outcome = self.canonical(reader, &dead, &constant);
            let is_canonical = outcome == FoldOutcome::Done;
            let dead = if is_canonical { dead.clone() } else { Dead::Kept };
            if scales || is_canonical {
                let scale = scales.then(|| gamma.as_slice().into());
                self.change(&reader.map, Change::Read { scale, dead });
                let reach = self.reaches.entry(reader.map.weight).or_insert(0.0);
                *reach = reach.max(parts.reach());
            }
            let constant = constant.iter().map(|value| if is_canonical { *value } else { 0.0 });
            let s: Vec<f64> =
                parts.moved.iter().zip(constant).map(|(moved, constant)| moved + constant).collect();
            if let Some(bias) = reader.map.bias.filter(|_| s.iter().any(|value| *value != 0.0)) {
                let weight = self.tensors[reader.map.weight].clone();
                self.edits.insert(bias, Edit::Bias(reader.map, weight, s.into()));
            }
            outcomes.push(outcome);
        }
        (scale, shift, outcomes)
    }

    /// Whether a scale can be folded although the shift stays: then β becomes β/γ.
    fn past_shift(&self, norm: &Norm, known: &Known, shifts: bool) -> Result<(), String> {
        let Some(shift) = norm.shift.filter(|_| !shifts) else { return Ok(()) };
        let both = known.gamma.iter().zip(&known.beta);
        for (at, (gamma, beta)) in both.enumerate().filter(|(_, (_, beta))| **beta != 0.0) {
            if *gamma == 0.0 {
                return Err(format!(
                    "its shift stays, and channel {at} has a shift with a scale of zero; fold the shift too"
                ));
            }
            let tensor = &self.tensors[shift];
            if !rounded(&tensor.dtype, beta / gamma).is_some_and(f64::is_finite) {
                return Err(format!("β/γ of channel {at} does not fit into {}", tensor.dtype));
            }
        }
        Ok(())
    }

    /// Whether a reader can lose its dead part.
    fn canonical(&self, reader: &Reader, dead: &Dead, constant: &[f64]) -> FoldOutcome {
        if !self.operations.canonical {
            return FoldOutcome::NotAsked;
        }
        if *dead == Dead::Kept {
            return FoldOutcome::Nothing;
        }
        let moves = constant.iter().any(|value| *value != 0.0);
        let constant = if moves { self.takes_constant(reader) } else { Ok(()) };
        match self.changeable(&reader.map).and(constant) {
            Ok(()) => FoldOutcome::Done,
            Err(why) => left(why),
        }
    }

    /// Stores the new scale and shift of a norm.
    fn store(&mut self, norm: &Norm, parts: &Parts, scale: bool, shift: bool) {
        // A norm of torch stores γ itself.
        let converts = norm.one_plus && self.operations.rms_norm;
        let stored = match scale {
            true if norm.one_plus && !converts => Some((vec![0.0; norm.width], "γ ← 1, stored as 0")),
            true => Some((vec![1.0; norm.width], "γ ← 1")),
            false if converts => Some((parts.scale.clone(), "stored as γ instead of γ − 1")),
            false => None,
        };
        if let Some((at, (values, formula))) = norm.scale.zip(stored) {
            self.reaches.insert(at, (norm.width as f64).sqrt());
            self.edits.insert(at, Edit::Values(values, formula));
        }
        let is_zero = parts.shift.iter().all(|value| *value == 0.0);
        if let Some(at) = norm.shift.filter(|_| shift) {
            let formula = if is_zero { "β ← 0" } else { "β ← β/γ" };
            self.edits.insert(at, Edit::Values(parts.shift.clone(), formula));
        }
    }

    fn change(&mut self, map: &Linear, change: Change) {
        let edit = self.edits.entry(map.weight).or_insert_with(|| Edit::Matrices(Vec::new()));
        if let Edit::Matrices(all) = edit {
            all.push((*map, change));
            all.sort_by_key(|(map, _)| map.first);
        }
    }

    /// Plans the writers of the stream. If it is not read without its mean everywhere, returns why.
    fn writers(&mut self) -> (Vec<FoldedWriter>, Option<String>) {
        if !self.operations.centre {
            return (Vec::new(), None);
        }
        if let Some(why) = self.mean_is_read() {
            return (Vec::new(), Some(why));
        }
        let walk = self.walk;
        let begins = walk.begins.and_then(|norm| norm.site.clone());
        let of_norm = |name| FoldedWriter {
            name,
            centred: left("it is a norm, whose output begins the residual stream"),
        };
        let mut writers: Vec<FoldedWriter> = begins.into_iter().map(of_norm).collect();
        for writer in &walk.writers {
            let map = &writer.map;
            let [_, length] = lines(map);
            let why = match (writer.between, self.changeable(map)) {
                (Some(between), _) => Some(between.to_owned()),
                (None, Err(why)) => Some(why),
                (None, Ok(())) if length == 0 => Some("it is empty".to_owned()),
                (None, Ok(())) => map.bias.and_then(|bias| self.rewritable(bias).err()),
            };
            let name = self.tensors[map.weight].name.clone();
            let centred = match why {
                Some(why) => left(why),
                None => {
                    self.change(map, Change::Centre);
                    if let Some(bias) = map.bias {
                        self.edits.insert(bias, Edit::CentredVector);
                    }
                    FoldOutcome::Done
                }
            };
            writers.push(FoldedWriter { name, centred });
        }
        (writers, None)
    }

    /// Why the mean of the stream matters, if it does.
    fn mean_is_read(&self) -> Option<String> {
        if let Some(why) = &self.walk.reads_stream {
            return Some(why.clone());
        }
        self.walk.on_stream.iter().find_map(|norm| {
            let name = norm.site.as_deref().unwrap_or("a norm without a name");
            match self.known(norm) {
                Err(why) => Some(format!("`{name}`: {why}")),
                Ok(known) if known.kind != NormKind::LayerNorm => {
                    Some(format!("`{name}` is an RMSNorm, which does not subtract the mean"))
                }
                Ok(_) => None,
            }
        })
    }
}
