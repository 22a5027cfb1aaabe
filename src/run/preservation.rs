//! Function preservation: a reader W of a norm becomes W + t a vᵀ, and the change of the model's function is measured (MATH §3 and §4).
//!
//! Along the kernel of the norm, and with the bias taking back the constant vᵀβ, only rounding changes, for any t. Along a random
//! direction the divergence grows as t². The weights themselves are edited, and the blocks from the edited one on run again. For an
//! RMSNorm, γ⁻¹ is in no kernel. It is tried too, and changes the function.

use crate::checkpoint::Checkpoint;
use crate::forward::kernels::Kernels;
use crate::forward::{Edit, ForwardError, Inputs, Pass, Pause, Seen, Standing, Unwatched};
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::model::architecture::{Architecture, FeedForward, GatedInputs, Linear, Mixer, Norm, Projections};
use crate::model::operation::Centring;
use crate::order;
use crate::report::{
    NormKind, Preservation, PreservationDirection, PreservationMeasure, PreservationPoint,
    PreservationVerdict,
};
use crate::source::ByteSource;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use std::ops::ControlFlow;

/// t: ‖t a vᵀ‖_F over ‖W‖_F, smallest first.
pub const SIZES: [f64; 3] = [1e-2, 1e-1, 1.0];

/// Most readers of a stack that are tried.
pub const MOST: usize = 6;

/// t of the control: a random change of each weight by about its rounding in f32. Its effect on the function is rounding, including what
/// later blocks make of it.
const ROUNDING: f64 = f32::EPSILON as f64;

/// Relative changes up to this many times the control's are rounding. For divergences, the square of it.
const MARGIN: f64 = 10.0;

/// The seed: directions are the same on every machine.
const SEED: u64 = 2606_19491;

/// Part of a block, in running order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Cross-attention that reads the encoder's last norm, instead of one in its own stack.
    Encoded,
    Attention,
    Cross,
    FeedForward,
    Head,
}

/// A linear map that reads the output of a norm.
#[derive(Debug, Clone, Copy)]
struct Reader<'a> {
    /// Number of blocks before it, including those of an encoder.
    block: usize,
    part: Part,
    norm: &'a Norm,
    linear: &'a Linear,
}

impl Reader<'_> {
    fn site(&self) -> String {
        let Self { block, part, norm, .. } = self;
        norm.site.clone().unwrap_or_else(|| match part {
            Part::Encoded => "final norm of the encoder".to_owned(),
            Part::Attention => format!("norm before attention, block {block}"),
            Part::Cross => format!("norm before cross-attention, block {block}"),
            Part::FeedForward => format!("norm before feed-forward, block {block}"),
            Part::Head => "final norm".to_owned(),
        })
    }
}

/// Returns one reader for each norm of the stream that a linear map reads, in running order, for one stack with `before` blocks before
/// it. Of attention it takes the reader for values, where a constant shows downstream (for keys it need not show), or for queries if the values are those of an earlier block. Of cross-attention it
/// takes the one for queries, and the one for values, which reads the encoder's last norm.
fn readers(architecture: &Architecture, before: usize) -> Vec<Reader<'_>> {
    let mut readers = Vec::new();
    // The norm whose output is the stream, if there is one.
    let mut stream = architecture.embedding.last_norm();
    let encoded = architecture.encoder.as_ref().and_then(|encoder| encoder.final_norm.as_ref());
    for (index, block) in (before..).zip(&architecture.blocks) {
        let mut add = |part, norm: Option<_>, linear| {
            readers.extend(norm.map(|norm| Reader { block: index, part, norm, linear }));
        };
        let attention = match &block.attention {
            Mixer::Linear(rule) => rule.projections.main(),
            Mixer::Softmax(attention) => match &attention.projections {
                Projections::Separate([_, _, values]) | Projections::Shared([_, values]) => values,
                Projections::Concatenated(all) | Projections::Grouped(all) => all,
                Projections::Latent(latent) => &latent.compress,
                Projections::Borrowed { queries, .. } => queries,
            },
        };
        let read = block.around_attention.before.as_ref().or(stream);
        add(Part::Attention, read, attention);
        stream = block.around_attention.after.as_ref();
        if let Some(cross) = &block.cross
            && let Projections::Separate([queries, _, values]) = &cross.attention.projections
        {
            add(Part::Encoded, encoded, values);
            add(Part::Cross, cross.around.before.as_ref().or(stream), queries);
            stream = cross.around.after.as_ref();
        }
        let feed_forward = match &block.feed_forward {
            FeedForward::Plain { up, .. } => up,
            FeedForward::Gated(gated) => match &gated.inputs {
                GatedInputs::Separate([_, up]) => up,
                GatedInputs::Concatenated(both) | GatedInputs::Interleaved(both) => both,
            },
            FeedForward::Experts(experts) => &experts.router,
        };
        let otherwise = if block.parallel { read } else { stream };
        add(Part::FeedForward, block.around_feed_forward.before.as_ref().or(otherwise), feed_forward);
        let last = block.convolution.as_ref().map(|convolution| &convolution.norm);
        stream = last.or(block.around_feed_forward.after.as_ref());
    }
    if let Some(head) = &architecture.head {
        let linear = head.transform.as_ref().map_or(&head.unembedding, |transform| &transform.dense);
        let (block, part) = (before + architecture.blocks.len(), Part::Head);
        let norm = architecture.final_norm.as_ref().or(stream);
        readers.extend(norm.map(|norm| Reader { block, part, norm, linear }));
    }
    readers
}

/// Chooses at most [`MOST`] readers of each stack: those of the first, the middle and the last block, and the head.
fn sample(architecture: &Architecture) -> Vec<Reader<'_>> {
    let (mut chosen, mut before) = (Vec::new(), 0);
    for stack in architecture.stacks() {
        chosen.extend(sample_of(stack, before));
        before += stack.blocks.len();
    }
    order::sort_by_key(&mut chosen, |reader| (reader.block, reader.part));
    chosen
}

fn sample_of(stack: &Architecture, before: usize) -> Vec<Reader<'_>> {
    let blocks = stack.blocks.len();
    let (middle, last) = (blocks / 2, blocks.saturating_sub(1));
    // The most important ones first: the ends, the encoder's output, and the parts of a block.
    let wanted = [
        (0, Part::Attention),
        (blocks, Part::Head),
        (0, Part::Encoded),
        (middle, Part::Cross),
        (middle, Part::FeedForward),
        (last, Part::Attention),
        (middle, Part::Attention),
        (last, Part::FeedForward),
        (0, Part::FeedForward),
    ];
    let all = readers(stack, before);
    let mut chosen: Vec<Reader<'_>> = Vec::new();
    for (block, part) in wanted {
        let is = |reader: &&Reader<'_>| reader.block == before + block && reader.part == part;
        let reader =
            all.iter().find(is).filter(|_| chosen.len() < MOST && !chosen.iter().any(|own| is(&own)));
        chosen.extend(reader);
    }
    chosen
}

/// Returns the most edited models that [`preservation`] runs, for showing progress.
pub fn runs(architecture: &Architecture) -> usize {
    sample(architecture).iter().map(|reader| 1 + directions(reader.norm).len() * SIZES.len()).sum()
}

/// Returns the directions to try at a norm. Without β there is no bias to move.
fn directions(norm: &Norm) -> &'static [PreservationDirection] {
    use PreservationDirection::{Kernel, KernelBiasKept, Random};
    if norm.shift.is_some() { &[Kernel, KernelBiasKept, Random] } else { &[Kernel, Random] }
}

/// The data of one reader before it is moved, in f64.
struct Trial {
    /// ‖W‖_F a/‖a‖, m values.
    rows: Vec<f64>,
    /// v, d values, and whether it is in the kernel.
    kernel: (Vec<f64>, bool),
    /// A random direction.
    random: Vec<f64>,
    /// β. Empty if there is none.
    shift: Vec<f64>,
}

impl Trial {
    /// Returns `None` if γ is not finite, because it has no direction then.
    async fn of<S: ByteSource, K: Kernels>(
        pass: &Pass<'_, S, K>,
        reader: &Reader<'_>,
        number: u64,
    ) -> Result<Option<Self>, ForwardError> {
        let in_f64 = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let [scale, shift] = pass.parameters(reader.norm).await?.map(|values| values.map(in_f64));
        let width = reader.norm.width;
        let Ok(scale) = Scale::new(scale.unwrap_or_else(|| vec![1.0; width])) else { return Ok(None) };
        let subtracts_mean = reader.norm.centring == Centring::Mean;
        // Uses γ⁻¹ for an RMSNorm too, although it has no such kernel.
        let kernel = match Kernel::of(&scale, true) {
            Kernel::InverseScale(direction) => (direction.components, subtracts_mean),
            Kernel::Coordinates(zeros) => {
                let mut coordinate = vec![0.0; width];
                coordinate[zeros[0]] = 1.0;
                (coordinate, true)
            }
            Kernel::None => return Ok(None),
        };
        let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED ^ number);
        let mut direction = |values: usize, length: f64| {
            let normal: Vec<f64> = (0..values).map(|_| random.sample(StandardNormal)).collect();
            let norm = dot(&normal, &normal).sqrt();
            normal.into_iter().map(|value| value * length / norm).collect::<Vec<_>>()
        };
        let rows = direction(reader.linear.outputs, pass.frobenius(reader.linear).await?);
        Ok(Some(Self { rows, kernel, random: direction(width, 1.0), shift: shift.unwrap_or_default() }))
    }

    fn along(&self, direction: PreservationDirection) -> &[f64] {
        match direction {
            PreservationDirection::Random => &self.random,
            _ => &self.kernel.0,
        }
    }

    /// Returns vᵀβ.
    fn constant(&self, direction: PreservationDirection) -> f64 {
        dot(self.along(direction), &self.shift)
    }

    /// Returns the edit W + t a vᵀ, b − t a (vᵀβ).
    fn edit(&self, weight: usize, direction: PreservationDirection, t: f64) -> Edit {
        let rows: Vec<f64> = self.rows.iter().map(|value| t * value).collect();
        let moved = direction != PreservationDirection::KernelBiasKept && !self.shift.is_empty();
        let constant = self.constant(direction);
        let bias = moved.then(|| rows.iter().map(|row| -row * constant).collect());
        Edit { weight, rows, columns: self.along(direction).to_vec(), bias }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // The sum of nothing would be −0.
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// Moves readers of up to [`MOST`] sites of each stack: of the first, the middle and the last block, and of the head. Measures how the
/// function changes on `input`. Returns a row for each site and direction, in running order. A few hundred tokens are enough.
///
/// `progress` gets the number of finished edited models, and the number from [`runs`], after each model. If it or `pause` breaks, the
/// sites that are complete are returned.
pub async fn preservation<S: ByteSource, K: Kernels>(
    checkpoint: &Checkpoint<S>,
    architecture: &Architecture,
    input: Inputs<'_>,
    kernels: &K,
    pause: Option<&Pause>,
    progress: impl AsyncFnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Vec<Preservation>, ForwardError> {
    let pass = Pass::new(checkpoint, architecture, input)?.on(kernels).pausing(pause);
    let mut found = Vec::new();
    match move_readers(architecture, kernels, &pass, progress, &mut found).await {
        Ok(()) | Err(ForwardError::Stopped { .. }) => Ok(found),
        Err(error) => Err(error),
    }
}

async fn move_readers<S: ByteSource, K: Kernels>(
    architecture: &Architecture,
    kernels: &K,
    pass: &Pass<'_, S, K>,
    mut progress: impl AsyncFnMut(usize, usize) -> ControlFlow<()>,
    found: &mut Vec<Preservation>,
) -> Result<(), ForwardError> {
    let readers = sample(architecture);
    let before = architecture.encoder.as_ref().map_or(0, |encoder| encoder.blocks.len());
    let mut standing = Standing::default();
    let mut streams: Vec<Option<Standing>> = vec![None; architecture.all_blocks() + 1];
    let mut keep = async |seen: Seen<'_>| {
        if let Seen::Block { index, state, lent, .. } = seen {
            standing.after(index, state, lent, before);
            if readers.iter().any(|reader| reader.block == index + 1) {
                streams[index + 1] = Some(standing.clone());
            }
        }
    };
    let hidden = pass.run(&mut Blocks(&mut keep)).await?;
    let (mut done, total) = (0, runs(architecture));
    for (reader, number) in readers.iter().zip(0..) {
        let Some(trial) = Trial::of(pass, reader, number).await? else { continue };
        let directions = directions(reader.norm);
        let edit = |direction, t| [trial.edit(reader.linear.weight, direction, t)];
        let control = edit(PreservationDirection::Random, ROUNDING);
        let edits: Vec<[Edit; 1]> = std::iter::once(control)
            .chain(directions.iter().flat_map(|&direction| SIZES.map(|t| edit(direction, t))))
            .collect();
        let mut edited = Vec::new();
        for edit in &edits {
            let pass = pass.edited(edit);
            let hidden = match &streams[reader.block] {
                Some(standing) => pass.resume(standing.clone(), &mut Unwatched).await?,
                None => pass.run(&mut Unwatched).await?,
            };
            edited.push((pass, hidden));
            done += 1;
            if progress(done, total).await.is_break() {
                return Ok(());
            }
        }
        let (measure, values): (_, Vec<f64>) = if architecture.head.is_some() {
            let divergences = pass.divergences(&hidden, &edited).await?;
            let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
            (PreservationMeasure::Divergence, divergences.iter().map(mean).collect())
        } else {
            let before = kernels.get(&hidden).await?;
            let mut changes = Vec::new();
            for (_, hidden) in &edited {
                changes.push(relative_change(&before, &kernels.get(hidden).await?));
            }
            (PreservationMeasure::RelativeChange, changes)
        };
        let floor = values[0]
            * match measure {
                PreservationMeasure::Divergence => MARGIN.powi(2),
                PreservationMeasure::RelativeChange => MARGIN,
            };
        for (&direction, values) in directions.iter().zip(values[1..].chunks_exact(SIZES.len())) {
            found.push(Preservation {
                site: reader.site(),
                reader: architecture.tensors[reader.linear.weight].name.clone(),
                tied: architecture
                    .embedding
                    .tokens()
                    .is_some_and(|tokens| tokens.tokens == reader.linear.weight),
                kind: match reader.norm.centring {
                    Centring::Mean => NormKind::LayerNorm,
                    Centring::None => NormKind::RmsNorm,
                },
                direction,
                in_kernel: trial.kernel.1 && direction != PreservationDirection::Random,
                constant: trial.constant(direction),
                measure,
                points: SIZES.iter().zip(values).map(|(&t, &value)| PreservationPoint { t, value }).collect(),
                floor,
                exponent: exponent(values, floor),
                verdict: match values.iter().all(|value| *value <= floor) {
                    true => PreservationVerdict::Preserved,
                    false => PreservationVerdict::Changed,
                },
            });
        }
    }
    Ok(())
}

/// Observes only blocks, so that norms need not come back from a GPU.
struct Blocks<'a, See>(&'a mut See);

impl<See: AsyncFnMut(Seen<'_>)> crate::forward::Watch for Blocks<'_, See> {
    fn wants(&self, _: &str) -> bool {
        false
    }

    fn wants_stream(&self) -> bool {
        true
    }

    async fn see(&mut self, seen: Seen<'_>) -> ControlFlow<()> {
        (self.0)(seen).await;
        ControlFlow::Continue(())
    }
}

/// Returns ‖h_t − h‖_F/‖h‖_F.
fn relative_change(before: &[f32], after: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let pairs = before.iter().zip(after);
    let change = squares(&mut pairs.map(|(before, after)| f64::from(*after) - f64::from(*before)));
    (change / squares(&mut before.iter().map(|value| f64::from(*value)))).sqrt()
}

/// Returns the slope of log value over log t between the two smallest of [`SIZES`] whose values are above the floor. Larger t are no
/// longer small changes.
fn exponent(values: &[f64], floor: f64) -> Option<f64> {
    let mut above = SIZES.iter().zip(values).filter(|(_, value)| **value > floor);
    let ((t, value), (larger, other)) = (above.next()?, above.next()?);
    Some((other / value).ln() / (larger / t).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_that_of_the_least_changes_above_the_floor() {
        let near = |values: [f64; 3], floor, expected: f64| {
            assert!((exponent(&values, floor).unwrap() - expected).abs() < 1e-12);
        };
        near([1e-4, 1e-2, 0.3], 1e-9, 2.0);
        near([1e-12, 1e-3, 1e-2], 1e-9, 1.0);
        assert_eq!(exponent(&[1e-15, 1e-15, 2e-15], 1e-9), None);
        assert_eq!(exponent(&[0.0, 1e-12, 1.0], 1e-9), None);
    }

    #[test]
    fn a_relative_change_is_of_the_whole_matrix() {
        assert_eq!(relative_change(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(relative_change(&[3.0, 4.0], &[0.0, 8.0]), 1.0);
    }
}
