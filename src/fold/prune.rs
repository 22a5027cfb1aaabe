//! Finds which widths of a model could be cut without changing its function, and counts what that saves. Changes nothing.
//!
//! A coordinate kernel makes the columns of its readers superfluous. The same holds for columns that are zero already, for hidden units
//! that give zero or that nothing reads, and for channels of the residual stream that nothing writes.

use super::change::lines;
use super::plan::{Operations, PlanError, plan};
use super::walk::{Site, Walk};
use super::write::{WriteError, each_line, read};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::inspect::Opened;
use crate::model::architecture::{Architecture, Experts, FeedForward, Gated, GatedInputs, Linear, Norm};
use crate::model::operation::{Activation, Centring, Layout};
use crate::report::fold::{FoldOutcome, FoldedNorm};
use crate::report::prune::{PrunableWidth, PruneReason, PruneReport, SCHEMA, UncutNorm};
use crate::source::ByteSource;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Why the widths of a model cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The model has two stacks.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A weight could not be read.
    #[error(transparent)]
    Read(#[from] WriteError),
}

/// Lists which widths of a model could be cut. `architecture` is that of the inspected checkpoint. It reads every matrix that reads a
/// norm, writes the stream or makes hidden units. `progress` gets the number of matrices that were read, and of all.
pub async fn prune<S: ByteSource>(
    opened: &Opened<S>,
    architecture: &Architecture,
    progress: impl FnMut(usize, usize),
) -> Result<PruneReport, PruneError> {
    let checkpoint = opened.checkpoint();
    let canonical = Operations { canonical: true, ..Operations::default() };
    let plan = plan(opened, architecture, canonical)?;
    let walk = Walk::of(architecture);
    let hidden = hidden(architecture);
    let zeros = Zeros::of(checkpoint, architecture, maps(&walk, &hidden), progress).await?;
    let cutter = Cutter { walk: &walk, zeros: &zeros };
    let mut cuts = Vec::new();
    let unwritten = cutter.unwritten(architecture);
    if !unwritten.is_empty() {
        cuts.push(cutter.of_stream(architecture, &unwritten));
    }
    let mut left = Vec::new();
    for (site, norm) in walk.sites.iter().zip(&plan.report.norms) {
        let gone: &[usize] = if walk.on_stream.contains(&site.norm) { &unwritten } else { &[] };
        cuts.extend(cutter.of_kernel(site, norm, gone));
        cuts.extend(cutter.of_zero_columns(site, norm, gone));
        let why = norm.readers.iter().find_map(|reader| match &reader.canonical {
            FoldOutcome::Left { why } if !norm.channels_off.is_empty() => Some(why.clone()),
            _ => None,
        });
        left.extend(why.map(|why| UncutNorm { norm: norm.name.clone(), why }));
    }
    cuts.extend(hidden.iter().filter_map(|hidden| cutter.of_hidden(hidden)));
    let mut all = Removed::default();
    cuts.iter().for_each(|cut| all.add(&cut.removed));
    Ok(PruneReport {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        checkpoint: checkpoint.name.clone(),
        parameters: checkpoint.parameters(),
        widths: cuts.iter().map(|cut| cut.report(&architecture.tensors)).collect(),
        saved: all.parameters(),
        left,
    })
}

/// A matrix in the files: its tensor, and its first value there.
type Key = (usize, u64);

fn key(map: &Linear) -> Key {
    (map.weight, map.first)
}

/// Hidden units of a feed-forward part.
struct Hidden {
    place: String,
    /// The map through the activation, and the one whose output multiplies that.
    gate: Rows,
    up: Option<Rows>,
    down: Linear,
    activation: Activation,
    /// Whether 1 is added to the output of `up` (gpt-oss).
    plus_one: bool,
}

/// The outputs of a map that belong to hidden units: of unit j, number `first` + `step` j.
struct Rows {
    map: Linear,
    first: usize,
    step: usize,
}

impl Rows {
    fn all(map: Linear) -> Self {
        Self { map, first: 0, step: 1 }
    }

    fn of(&self, unit: usize) -> usize {
        self.first + self.step * unit
    }
}

/// The hidden units of every feed-forward part. Parts whose hidden values go through a norm are left out: a cut would change its mean.
fn hidden(architecture: &Architecture) -> Vec<Hidden> {
    let mut all = Vec::new();
    for block in &architecture.blocks {
        match &block.feed_forward {
            FeedForward::Plain { up, down, activation } => all.push(Hidden {
                place: architecture.tensors[up.weight].name.clone(),
                gate: Rows::all(*up),
                up: None,
                down: *down,
                activation: *activation,
                plus_one: false,
            }),
            FeedForward::Gated(gated) => all.extend(of_gated(architecture, gated, None)),
            FeedForward::Experts(experts) => all.extend(of_experts(architecture, experts)),
        }
        let beside = block.beside.iter().flat_map(|beside| of_experts(architecture, &beside.experts));
        all.extend(beside);
    }
    // Blocks may share their maps.
    let mut seen = BTreeSet::new();
    all.retain(|hidden| seen.insert(key(&hidden.down)));
    all
}

fn of_experts(architecture: &Architecture, experts: &Experts) -> Vec<Hidden> {
    let numbered = experts.all.iter().enumerate().map(|(at, expert)| (expert, Some(at)));
    let shared = experts.shared.iter().map(|shared| (&shared.expert, None));
    numbered.chain(shared).filter_map(|(gated, at)| of_gated(architecture, gated, at)).collect()
}

fn of_gated(architecture: &Architecture, gated: &Gated, expert: Option<usize>) -> Option<Hidden> {
    if gated.inner_norm.is_some() {
        return None;
    }
    let units = gated.down.inputs;
    let (gate, up) = match gated.inputs {
        GatedInputs::Separate([gate, up]) => (Rows::all(gate), Rows::all(up)),
        GatedInputs::Concatenated(map) => (Rows::all(map), Rows { map, first: units, step: 1 }),
        GatedInputs::Interleaved(map) => (Rows { map, first: 0, step: 2 }, Rows { map, first: 1, step: 2 }),
    };
    let name = &architecture.tensors[gate.map.weight].name;
    Some(Hidden {
        place: expert.map_or_else(|| name.clone(), |expert| format!("{name}, expert {expert}")),
        gate,
        up: Some(up),
        down: gated.down,
        activation: gated.activation,
        plus_one: gated.limit.is_some(),
    })
}

/// Every matrix whose zeros matter, once.
fn maps(walk: &Walk<'_>, hidden: &[Hidden]) -> Vec<Linear> {
    let of_readers = walk.sites.iter().flat_map(|site| site.readers.iter().map(|reader| reader.map));
    let of_writers = walk.writers.iter().map(|writer| writer.map);
    let of_hidden = hidden.iter().flat_map(|hidden| {
        let up = hidden.up.as_ref().map(|up| up.map);
        [Some(hidden.gate.map), up, Some(hidden.down)].into_iter().flatten()
    });
    let mut seen = BTreeSet::new();
    let all = of_readers.chain(of_writers).chain(of_hidden);
    all.filter(|map| seen.insert((key(map), map.bias, map.first_bias))).collect()
}

/// Where matrices and biases are zero.
#[derive(Default)]
struct Zeros {
    /// Lines that are all zero, and places in a line that are zero in every line.
    matrices: BTreeMap<Key, [Vec<bool>; 2]>,
    biases: BTreeMap<Key, Vec<bool>>,
}

impl Zeros {
    async fn of<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        architecture: &Architecture,
        maps: Vec<Linear>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Self, WriteError> {
        let mut zeros = Self::default();
        for (at, map) in maps.iter().enumerate() {
            progress(at, maps.len());
            let tensor = |at: usize| &architecture.tensors[at];
            if let Entry::Vacant(place) = zeros.matrices.entry(key(map)) {
                let [count, length] = lines(map);
                let mut found = [vec![false; count], vec![true; length]];
                each_line(checkpoint, tensor(map.weight), map, async |at, line: &mut [f64]| {
                    found[0][at] = line.iter().all(|value| *value == 0.0);
                    found[1].iter_mut().zip(line).for_each(|(zero, value)| *zero &= *value == 0.0);
                    Ok(())
                })
                .await?;
                place.insert(found);
            }
            if let Some(bias) = map.bias {
                let values = read(checkpoint, tensor(bias), map.bias_values()).await?;
                let found = values.iter().map(|value| *value == 0.0).collect();
                zeros.biases.insert((bias, map.first_bias), found);
            }
        }
        Ok(zeros)
    }

    /// Whether nothing reads an input of a map.
    fn input(&self, map: &Linear, at: usize) -> bool {
        let of_lines = map.layout == Layout::InputOutput;
        self.at(map, usize::from(!of_lines), at)
    }

    /// Whether an output of a map is zero for every input.
    fn output(&self, map: &Linear, at: usize) -> bool {
        let of_lines = map.layout == Layout::OutputInput;
        let bias = map.bias.and_then(|bias| self.biases.get(&(bias, map.first_bias)));
        let no_bias = map.bias.is_none() || bias.is_some_and(|bias| bias.get(at) == Some(&true));
        no_bias && self.at(map, usize::from(!of_lines), at)
    }

    fn at(&self, map: &Linear, side: usize, at: usize) -> bool {
        self.matrices.get(&key(map)).is_some_and(|found| found[side].get(at) == Some(&true))
    }
}

/// The weights that a cut removes.
#[derive(Debug, Clone, Default)]
struct Removed {
    matrices: BTreeMap<Key, Lost>,
    /// Values of vectors: the tensor, and the place in it.
    values: BTreeSet<(usize, u64)>,
}

/// What a matrix loses.
#[derive(Debug, Clone)]
struct Lost {
    /// Number of lines, and of the values of a line.
    size: [usize; 2],
    /// Lines, and places in every line.
    lost: [BTreeSet<usize>; 2],
}

impl Removed {
    fn inputs(&mut self, map: &Linear, channels: &[usize]) {
        self.lose(map, usize::from(map.layout == Layout::OutputInput), channels);
    }

    /// Removes outputs and their biases.
    fn outputs(&mut self, map: &Linear, channels: impl IntoIterator<Item = usize>) {
        let channels: Vec<usize> = channels.into_iter().collect();
        self.lose(map, usize::from(map.layout == Layout::InputOutput), &channels);
        if let Some(bias) = map.bias {
            self.values.extend(channels.iter().map(|at| (bias, map.first_bias + *at as u64)));
        }
    }

    fn lose(&mut self, map: &Linear, side: usize, channels: &[usize]) {
        let nothing = || Lost { size: lines(map), lost: [BTreeSet::new(), BTreeSet::new()] };
        self.matrices.entry(key(map)).or_insert_with(nothing).lost[side].extend(channels);
    }

    /// Removes values of the scale and the shift.
    fn norm(&mut self, norm: &Norm, channels: &[usize]) {
        let stored = [norm.scale, norm.shift].into_iter().flatten();
        self.values.extend(stored.flat_map(|tensor| channels.iter().map(move |at| (tensor, *at as u64))));
    }

    fn add(&mut self, other: &Self) {
        for (key, other) in &other.matrices {
            let nothing = || Lost { size: other.size, lost: [BTreeSet::new(), BTreeSet::new()] };
            let mine = self.matrices.entry(*key).or_insert_with(nothing);
            mine.lost.iter_mut().zip(&other.lost).for_each(|(mine, other)| mine.extend(other));
        }
        self.values.extend(&other.values);
    }

    fn parameters(&self) -> u64 {
        let of_matrices = self.matrices.values().map(|Lost { size: [count, length], lost }| {
            let [lines, places] = lost.each_ref().map(BTreeSet::len);
            // Where a line and a place cross, the weight counts once.
            (lines * length + (count - lines) * places) as u64
        });
        of_matrices.sum::<u64>() + self.values.len() as u64
    }

    fn tensors(&self) -> BTreeSet<usize> {
        self.matrices.keys().map(|(tensor, _)| *tensor).chain(self.values.iter().map(|(at, _)| *at)).collect()
    }
}

/// A width that could be cut.
struct Cut {
    place: String,
    reason: PruneReason,
    width: usize,
    channels: Vec<usize>,
    removed: Removed,
}

impl Cut {
    fn report(&self, tensors: &[Tensor]) -> PrunableWidth {
        let tensors = self.removed.tensors().into_iter().map(|at| tensors[at].name.clone()).collect();
        PrunableWidth {
            place: self.place.clone(),
            reason: self.reason,
            width: self.width as u64,
            channels: self.channels.iter().map(|at| *at as u32).collect(),
            parameters: self.removed.parameters(),
            tensors,
        }
    }
}

struct Cutter<'a> {
    walk: &'a Walk<'a>,
    zeros: &'a Zeros,
}

impl Cutter<'_> {
    /// Channels of the stream that nothing writes. Only where RMSNorms read it: a LayerNorm's mean would change.
    fn unwritten(&self, architecture: &Architecture) -> Vec<usize> {
        let walk = self.walk;
        let is_plain = |norm: &&Norm| norm.centring == Centring::None && norm.shift.is_none();
        let all_known = walk.reads_stream.is_none()
            && walk.begins.is_none()
            && walk.on_stream.iter().all(is_plain)
            && walk.writers.iter().all(|writer| writer.between.is_none());
        if !all_known || walk.writers.is_empty() {
            return Vec::new();
        }
        let is_unwritten = |at: &usize| walk.writers.iter().all(|writer| self.zeros.output(&writer.map, *at));
        (0..architecture.width).filter(is_unwritten).collect()
    }

    fn of_stream(&self, architecture: &Architecture, channels: &[usize]) -> Cut {
        let mut removed = Removed::default();
        let walk = self.walk;
        walk.writers.iter().for_each(|writer| removed.outputs(&writer.map, channels.iter().copied()));
        for site in walk.sites.iter().filter(|site| walk.on_stream.contains(&site.norm)) {
            removed.norm(site.norm, channels);
            site.readers.iter().for_each(|reader| removed.inputs(&reader.map, channels));
        }
        Cut {
            place: "residual stream".to_owned(),
            reason: PruneReason::UnwrittenStream,
            width: architecture.width,
            channels: channels.to_vec(),
            removed,
        }
    }

    /// Whether a norm's scale and shift have no other use.
    fn is_own(&self, site: &Site<'_>) -> bool {
        let stored = |norm: &Norm| [norm.scale, norm.shift];
        let shares = |other: &Site<'_>| {
            other.norm != site.norm
                && stored(other.norm).iter().flatten().any(|at| stored(site.norm).contains(&Some(*at)))
        };
        site.elsewhere.is_none() && !self.walk.sites.iter().any(shares)
    }

    /// The channels of a norm that are off. `gone` are those that the stream loses already.
    fn of_kernel(&self, site: &Site<'_>, norm: &FoldedNorm, gone: &[usize]) -> Option<Cut> {
        let off = norm.channels_off.iter().map(|at| *at as usize);
        let channels: Vec<usize> = off.filter(|at| !gone.contains(at)).collect();
        let can = |at: &usize| norm.readers[*at].canonical == FoldOutcome::Done;
        let readers: Vec<&Linear> =
            (0..norm.readers.len()).filter(can).map(|at| &site.readers[at].map).collect();
        if channels.is_empty() || readers.is_empty() {
            return None;
        }
        let mut removed = Removed::default();
        readers.iter().for_each(|map| removed.inputs(map, &channels));
        if readers.len() == site.readers.len() && self.is_own(site) {
            removed.norm(site.norm, &channels);
        }
        let (place, width) = (norm.name.clone(), site.norm.width);
        Some(Cut { place, reason: PruneReason::CoordinateKernel, width, channels, removed })
    }

    /// The channels of a norm that all of its readers multiply by zero.
    fn of_zero_columns(&self, site: &Site<'_>, norm: &FoldedNorm, gone: &[usize]) -> Option<Cut> {
        let maps: Vec<&Linear> = site.readers.iter().map(|reader| &reader.map).collect();
        if maps.is_empty() || maps.iter().any(|map| self.walk.shared(map).is_some()) {
            return None;
        }
        let is_off = |at: usize| norm.channels_off.contains(&(at as u32)) || gone.contains(&at);
        let is_unread = |at: &usize| maps.iter().all(|map| self.zeros.input(map, *at));
        let channels: Vec<usize> = (0..site.norm.width).filter(|at| !is_off(*at)).filter(is_unread).collect();
        if channels.is_empty() {
            return None;
        }
        let mut removed = Removed::default();
        maps.iter().for_each(|map| removed.inputs(map, &channels));
        if self.is_own(site) {
            removed.norm(site.norm, &channels);
        }
        let (place, width) = (norm.name.clone(), site.norm.width);
        Some(Cut { place, reason: PruneReason::ZeroColumns, width, channels, removed })
    }

    /// Hidden units that give zero, or that nothing reads.
    fn of_hidden(&self, hidden: &Hidden) -> Option<Cut> {
        let Hidden { gate, up, down, activation, .. } = hidden;
        let zero = |rows: &Rows, unit: usize| self.zeros.output(&rows.map, rows.of(unit));
        let gives_zero = |unit: usize| {
            (zero(gate, unit) && *activation != Activation::Sigmoid)
                || (!hidden.plus_one && up.as_ref().is_some_and(|up| zero(up, unit)))
        };
        let channels: Vec<usize> =
            (0..down.inputs).filter(|&unit| gives_zero(unit) || self.zeros.input(down, unit)).collect();
        if channels.is_empty() {
            return None;
        }
        let mut removed = Removed::default();
        for rows in [Some(gate), up.as_ref()].into_iter().flatten() {
            removed.outputs(&rows.map, channels.iter().map(|&unit| rows.of(unit)));
        }
        removed.inputs(down, &channels);
        let (place, width) = (hidden.place.clone(), down.inputs);
        Some(Cut { place, reason: PruneReason::HiddenUnits, width, channels, removed })
    }
}
