//! Compares the readers of two checkpoints in canonical form, without writing it: each loses what it reads along the dead directions of
//! its norm, as [`Operations::canonical`] does. What is left is apart only where the two compute something else.

use super::change::{Change, add_product, lines};
use super::plan::{Edit, Operations, Plan, PlanError, plan};
use super::rounded;
use super::walk::Walk;
use super::write::{AT_ONCE, WriteError, each_line, read};
use crate::checkpoint::buffer::is_buffer;
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::inspect::Opened;
use crate::model::architecture::{Architecture, Linear};
use crate::model::{ModelError, resolve};
use crate::report::fold::FoldOutcome;
use crate::report::modulo_dead::{ModuloDead, ModuloDeadDifference, ReaderDifference};
use crate::source::ByteSource;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why two checkpoints cannot be compared in canonical form.
#[derive(Debug, thiserror::Error)]
pub enum ModuloDeadError {
    /// One of them is no model whose readers are all known.
    #[error(
        "dead parts are only removed where everything that reads a norm is known, as in the models that `gammascope verify` can run, and `{checkpoint}` is not one: {error}"
    )]
    Model {
        /// Its name.
        checkpoint: String,
        /// Why.
        error: Box<ModelError>,
    },
    /// One of them cannot be brought into canonical form.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// They are of different models.
    #[error(
        "`{before}` and `{after}` have other norms or readers ({what}), so their readers cannot be paired; compare a model with its own fine-tune, another step or a folded copy"
    )]
    OtherModels {
        /// The first.
        before: String,
        /// The second.
        after: String,
        /// An example.
        what: String,
    },
    /// A tensor could not be read.
    #[error(transparent)]
    Read(#[from] WriteError),
}

/// Compares two checkpoints, from `before` to `after`. `progress` gets the number of readers that are done, and of all.
pub async fn modulo_dead<S: ByteSource>(
    before: &Opened<S>,
    after: &Opened<S>,
    mut progress: impl FnMut(usize, usize),
) -> Result<ModuloDead, ModuloDeadError> {
    let [first, second] = [resolved(before)?, resolved(after)?];
    let [first, second] = [Side::of(before, &first)?, Side::of(after, &second)?];
    let (pairs, mut unpaired) = pairs(&first, &second)?;
    let (mut weights, mut biases, mut readers) = (Sums::default(), Sums::default(), Vec::new());
    let mut done = BTreeSet::new();
    for (at, [before, after]) in pairs.iter().enumerate() {
        progress(at, pairs.len());
        let maps = [before.map, after.map];
        let (weight, bias) = apart(&first, &second, maps).await?;
        if done.insert((maps[0].weight, maps[0].first)) {
            weights.add(&weight);
            bias.iter().for_each(|bias| biases.add(bias));
        }
        readers.push(ReaderDifference {
            norm: before.norm.to_owned(),
            name: first.tensor(maps[0].weight).name.clone(),
            name_after: second.tensor(maps[1].weight).name.clone(),
            weight: weight.report(),
            bias: bias.map(|bias| bias.report()),
            left: before.left.or(after.left).cloned(),
        });
    }
    let has_bias = readers.iter().any(|reader| reader.bias.is_some());
    let others = others(&first, &second, &pairs, &mut unpaired).await?;
    Ok(ModuloDead {
        weights: weights.report(),
        biases: has_bias.then(|| biases.report()),
        others,
        readers,
        unpaired,
    })
}

fn resolved<S: ByteSource>(opened: &Opened<S>) -> Result<Architecture, ModuloDeadError> {
    let checkpoint = opened.checkpoint();
    resolve(checkpoint).map_err(|error| ModuloDeadError::Model {
        checkpoint: checkpoint.name.clone(),
        error: Box::new(error),
    })
}

/// One of the two checkpoints.
struct Side<'a, S> {
    checkpoint: &'a Checkpoint<S>,
    architecture: &'a Architecture,
    plan: Plan,
}

/// A reader of one of them.
struct Place<'a> {
    norm: &'a str,
    map: Linear,
    left: Option<&'a String>,
}

impl<'a, S: ByteSource> Side<'a, S> {
    fn of(opened: &'a Opened<S>, architecture: &'a Architecture) -> Result<Self, PlanError> {
        let operations = Operations { canonical: true, ..Operations::default() };
        let plan = plan(opened, architecture, operations)?;
        Ok(Self { checkpoint: opened.checkpoint(), architecture, plan })
    }

    fn tensor(&self, at: usize) -> &Tensor {
        &self.architecture.tensors[at]
    }

    /// The readers of each norm, in the order of the plan.
    fn readers(&self) -> Vec<Vec<Place<'_>>> {
        let sites = Walk::of(self.architecture).sites.into_iter().zip(&self.plan.report.norms);
        sites
            .map(|(site, norm)| {
                let readers = site.readers.into_iter().zip(&norm.readers);
                readers
                    .map(|(reader, outcome)| {
                        let left = match &outcome.canonical {
                            FoldOutcome::Left { why } => Some(why),
                            _ => None,
                        };
                        Place { norm: &norm.name, map: reader.map, left }
                    })
                    .collect()
            })
            .collect()
    }

    /// What happens to a map, and to its bias: s of b ← b + W s.
    fn edits(&self, map: &Linear) -> (Option<&Change>, Option<&Arc<[f64]>>) {
        let is_this = |other: &Linear| (other.weight, other.first) == (map.weight, map.first);
        let edit = |tensor: usize| {
            let mut edits = self.plan.edits.iter();
            edits.find(|(edited, _)| edited.name == self.tensor(tensor).name).map(|(_, edit)| edit)
        };
        let change = match edit(map.weight) {
            Some(Edit::Matrices(all)) => {
                all.iter().find(|(other, _)| is_this(other)).map(|(_, change)| change)
            }
            _ => None,
        };
        let moved = match map.bias.and_then(edit) {
            Some(Edit::Bias(other, _, s)) if is_this(other) => Some(s),
            _ => None,
        };
        (change, moved)
    }
}

/// A reader of the first, and the same of the second.
type Pairs<'s> = Vec<[Place<'s>; 2]>;

/// Pairs the readers of both, and names those that only one has.
fn pairs<'s, S: ByteSource>(
    first: &'s Side<'_, S>,
    second: &'s Side<'_, S>,
) -> Result<(Pairs<'s>, Vec<String>), ModuloDeadError> {
    let other_models = |what: String| ModuloDeadError::OtherModels {
        before: first.checkpoint.name.clone(),
        after: second.checkpoint.name.clone(),
        what,
    };
    let [ours, theirs] = [first.readers(), second.readers()];
    if ours.len() != theirs.len() {
        return Err(other_models(format!("{} norms and {}", ours.len(), theirs.len())));
    }
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
        loop {
            match (ours.next(), theirs.next()) {
                (Some(before), Some(after)) => {
                    let sizes = |map: &Linear| (lines(map), map.layout);
                    if sizes(&before.map) != sizes(&after.map) {
                        let [k, m] = [before.map.inputs, before.map.outputs];
                        return Err(other_models(format!(
                            "`{}` has {m} outputs and {k} inputs, and `{}` has {} and {}",
                            first.tensor(before.map.weight).name,
                            second.tensor(after.map.weight).name,
                            after.map.outputs,
                            after.map.inputs
                        )));
                    }
                    pairs.push([before, after]);
                }
                (Some(one), None) => alone.push(first.tensor(one.map.weight).name.clone()),
                (None, Some(one)) => alone.push(second.tensor(one.map.weight).name.clone()),
                (None, None) => break,
            }
        }
    }
    Ok((pairs, alone))
}

/// Sums of squares over the values of two tensors.
#[derive(Debug, Clone, Copy, Default)]
struct Apart {
    change: f64,
    size: f64,
}

impl Apart {
    fn take(&mut self, before: &[f64], after: &[f64]) {
        self.change += before.iter().zip(after).map(|(before, after)| (after - before).powi(2)).sum::<f64>();
        self.size += before.iter().map(|value| value * value).sum::<f64>();
    }

    fn add(&mut self, other: &Self) {
        self.change += other.change;
        self.size += other.size;
    }

    /// ‖after − before‖/‖before‖.
    fn relative(&self) -> Option<f64> {
        let relative = (self.change / self.size).sqrt();
        if self.change == 0.0 { Some(0.0) } else { Some(relative).filter(|relative| relative.is_finite()) }
    }
}

/// The same as stored, in canonical form, and of the first in canonical form before and after it is rounded.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    stored: Apart,
    canonical: Apart,
    rounding: Apart,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.stored.add(&other.stored);
        self.canonical.add(&other.canonical);
        self.rounding.add(&other.rounding);
    }

    /// Takes values in canonical form. `dtype` is the element type of the first.
    fn canonical(&mut self, dtype: &TensorType, before: &[f64], after: &[f64]) {
        self.canonical.take(before, after);
        let rounded: Vec<f64> = before.iter().map(|&value| rounded(dtype, value).unwrap_or(value)).collect();
        self.rounding.take(before, &rounded);
    }

    fn report(&self) -> ModuloDeadDifference {
        ModuloDeadDifference {
            stored: self.stored.relative(),
            modulo_dead: self.canonical.relative(),
            rounding: self.rounding.relative(),
        }
    }
}

/// A map of one checkpoint, line by line.
struct Lines<'a, S> {
    side: &'a Side<'a, S>,
    map: Linear,
    change: Option<&'a Change>,
    sums: Vec<f64>,
    moved: Option<&'a Arc<[f64]>>,
    /// W s.
    product: Vec<f64>,
}

impl<'a, S: ByteSource> Lines<'a, S> {
    async fn of(side: &'a Side<'a, S>, map: Linear) -> Result<Self, WriteError> {
        let (change, moved) = side.edits(&map);
        let [_, length] = lines(&map);
        let mut sums = vec![0.0; length];
        if let Some(change) = change.filter(|change| change.needs_sums(map.layout)) {
            each_line(side.checkpoint, side.tensor(map.weight), &map, async |at, line: &mut [f64]| {
                change.add(at, line, &mut sums);
                Ok(())
            })
            .await?;
        }
        Ok(Self { side, map, change, sums, moved, product: vec![0.0; map.outputs] })
    }

    async fn read(&self, values: std::ops::Range<u64>) -> Result<Vec<f64>, WriteError> {
        read(self.side.checkpoint, self.side.tensor(self.map.weight), values).await
    }

    /// Brings a line into canonical form.
    fn canonical(&mut self, at: usize, line: &mut [f64]) {
        if let Some(s) = self.moved {
            add_product(self.map.layout, at, line, s, &mut self.product);
        }
        if let Some(change) = self.change {
            change.apply(&self.map, at, line, &self.sums);
        }
    }

    /// The bias as stored. Zeros if there is none.
    async fn bias(&self) -> Result<Vec<f64>, WriteError> {
        match self.map.bias {
            None => Ok(vec![0.0; self.map.outputs]),
            Some(bias) => read(self.side.checkpoint, self.side.tensor(bias), self.map.bias_values()).await,
        }
    }
}

/// Compares one reader: its weight, and its bias if one of the two has one.
async fn apart<'s, S: ByteSource>(
    first: &'s Side<'s, S>,
    second: &'s Side<'s, S>,
    [before, after]: [Linear; 2],
) -> Result<(Sums, Option<Sums>), WriteError> {
    let (mut ours, mut theirs) = (Lines::of(first, before).await?, Lines::of(second, after).await?);
    let dtype = &first.tensor(before.weight).dtype;
    let mut weight = Sums::default();
    let [count, length] = lines(&before);
    let at_once = ((AT_ONCE / 8) as usize / length.max(1)).max(1);
    for from in (0..count).step_by(at_once) {
        let to = count.min(from.saturating_add(at_once));
        let values = |map: &Linear| map.first + (from * length) as u64..map.first + (to * length) as u64;
        let mut x = ours.read(values(&before)).await?;
        let mut y = theirs.read(values(&after)).await?;
        weight.stored.take(&x, &y);
        let lines = x.chunks_exact_mut(length.max(1)).zip(y.chunks_exact_mut(length.max(1)));
        for (at, (x, y)) in (from..).zip(lines) {
            ours.canonical(at, x);
            theirs.canonical(at, y);
        }
        weight.canonical(dtype, &x, &y);
    }
    let biased = before.bias.or(after.bias);
    if biased.is_none() {
        return Ok((weight, None));
    }
    let dtype = before.bias.map_or(dtype, |bias| &first.tensor(bias).dtype);
    let mut bias = Sums::default();
    let (x, y) = (ours.bias().await?, theirs.bias().await?);
    bias.stored.take(&x, &y);
    let plus = |bias: Vec<f64>, product: &[f64]| -> Vec<f64> {
        bias.iter().zip(product).map(|(bias, product)| bias + product).collect()
    };
    bias.canonical(dtype, &plus(x, &ours.product), &plus(y, &theirs.product));
    Ok((weight, Some(bias)))
}

/// Compares all tensors that are no readers, as stored. Names those that only one has.
async fn others<S: ByteSource>(
    first: &Side<'_, S>,
    second: &Side<'_, S>,
    pairs: &[[Place<'_>; 2]],
    unpaired: &mut Vec<String>,
) -> Result<Option<f64>, WriteError> {
    let rest = |side: &Side<'_, S>, at: usize| -> BTreeMap<String, Tensor> {
        let of_readers = pairs.iter().flat_map(|pair| [Some(pair[at].map.weight), pair[at].map.bias]);
        let of_readers: BTreeSet<&str> =
            of_readers.flatten().map(|tensor| side.tensor(tensor).name.as_str()).collect();
        let tensors = side.checkpoint.tensors.iter().filter(|tensor| {
            let is_weight = tensor.dtype.is_floating() && !is_buffer(&tensor.name, &tensor.shape);
            is_weight && !of_readers.contains(tensor.name.as_str())
        });
        tensors.map(|tensor| (tensor.name.clone(), tensor.clone())).collect()
    };
    let (ours, mut theirs) = (rest(first, 0), rest(second, 1));
    let mut apart = Apart::default();
    let mut any = false;
    for (name, before) in ours {
        let Some(after) = theirs.remove(&name).filter(|after| after.shape == before.shape) else {
            unpaired.push(name);
            continue;
        };
        any = true;
        let count = before.elements();
        for from in (0..count).step_by((AT_ONCE / 8) as usize) {
            let values = from..count.min(from.saturating_add(AT_ONCE / 8));
            let x = read(first.checkpoint, &before, values.clone()).await?;
            let y = read(second.checkpoint, &after, values).await?;
            apart.take(&x, &y);
        }
    }
    unpaired.extend(theirs.into_keys());
    unpaired.sort();
    unpaired.dedup();
    Ok(apart.relative().filter(|_| any))
}
