//! A pass whose activations do not fit into memory. Its sequences run in parts: every block runs on one part after another, and the stream
//! between blocks lies in a scratch. Each matrix of a block is read once, and stays on the device for all parts if there is room.
//!
//! Sequences do not see each other, so the values are those of a pass of all sequences at once, up to rounding.

use super::aside::Aside;
use super::held::Held;
use super::kernels::Kernels;
use super::observer::Observer;
use super::{ForwardError, Pass, Seen, Unwatched, Watch};
use crate::model::Architecture;
use crate::model::architecture::Block;
use crate::scratch::Scratch;
use crate::source::ByteSource;
use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

/// How a pass is cut into parts, and where its activations lie.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Sequences of a part.
    pub sequences: usize,
    /// Bytes of matrices of a block that may stay on the device.
    pub held: u64,
    /// Where the stream and the outputs of norms lie.
    pub scratch: &'a RefCell<Box<dyn Scratch>>,
    /// Where the values of the pass begin in the scratch, counted in values.
    pub base: u64,
}

/// Streams of n × d values of a pass, or of n × V·d if there are several versions: those before and after a block, in turn, and the one between the parts of a block. What blocks read
/// beside the stream follows: the vectors of each block (n × p), then the keys and the values that are lent. The outputs of norms are last.
const STREAMS: u64 = 3;
/// Which of them is the one between the parts of a block.
const BETWEEN: u64 = 2;

/// Bytes of a scratch for a pass of n tokens, if the norms of a block have `shown` outputs in all, and another pass may run beside it.
pub fn scratch_bytes(architecture: &Architecture, tokens: u64, shown: u64) -> u64 {
    let kept = kept(architecture, tokens);
    kept.saturating_add(kept.max(shown.saturating_mul(2))).saturating_mul(4)
}

/// Values that a pass of n tokens keeps in the scratch: its streams, and what blocks read beside them.
fn kept(architecture: &Architecture, tokens: u64) -> u64 {
    let streams = STREAMS.saturating_mul(architecture.state_width() as u64);
    tokens.saturating_mul(streams.saturating_add(architecture.beside_stream() as u64))
}

impl Parts<'_> {
    /// Returns the parts of another pass, which leaves in the scratch what this one (n tokens) keeps there.
    pub fn beside(self, tokens: usize, architecture: &Architecture) -> Self {
        Self { base: self.base + kept(architecture, tokens as u64), ..self }
    }

    /// Writes values at a place that is counted in values.
    fn write(&self, at: u64, values: &[f32]) -> Result<(), ForwardError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(self.scratch.borrow_mut().write(4 * at, &bytes)?)
    }

    /// Reads values from a place that is counted in values.
    fn read(&self, at: u64, count: usize) -> Result<Vec<f32>, ForwardError> {
        let mut bytes = vec![0; 4 * count];
        self.scratch.borrow_mut().read(4 * at, &mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

/// The outputs of a norm in a scratch: `values` before the scale, and as many after it.
struct Kept {
    site: String,
    width: usize,
    /// Place of the first value.
    at: u64,
    /// Values of all tokens.
    values: u64,
    /// Values written so far.
    written: u64,
}

/// Collects in a scratch what the parts of a pass show of a block, until all tokens are there.
struct Collecting<'a> {
    watch: &'a dyn Observer,
    parts: Parts<'a>,
    /// Tokens of this part, and of all parts.
    part: usize,
    tokens: usize,
    kept: Vec<Kept>,
    /// Where the next norm goes.
    next: u64,
    fault: Option<ForwardError>,
}

impl<'a> Collecting<'a> {
    /// Begins after the values that the pass keeps.
    fn new(watch: &'a dyn Observer, parts: Parts<'a>, tokens: usize, kept: u64) -> Self {
        let next = parts.base + kept;
        Self { watch, parts, part: 0, tokens, kept: Vec::new(), next, fault: None }
    }

    fn keep(&mut self, site: &str, width: usize, values: [&[f32]; 2]) -> Result<(), ForwardError> {
        let count = values[0].len() as u64;
        let at = match self.kept.iter().position(|kept| kept.site == site) {
            Some(at) => at,
            None => {
                let all = count / self.part.max(1) as u64 * self.tokens as u64;
                self.kept.push(Kept { site: site.to_owned(), width, at: self.next, values: all, written: 0 });
                self.next += 2 * all;
                self.kept.len() - 1
            }
        };
        let kept = &mut self.kept[at];
        let first = kept.at + kept.written;
        kept.written += count;
        self.parts.write(first, values[0])?;
        self.parts.write(first + kept.values, values[1])
    }
}

impl Watch for Collecting<'_> {
    fn wants(&self, site: &str) -> bool {
        self.watch.wants(site)
    }

    fn wants_stream(&self) -> bool {
        false
    }

    fn wants_after_attention(&self) -> bool {
        self.watch.wants_after_attention()
    }

    async fn see(&mut self, seen: Seen<'_>) -> ControlFlow<()> {
        let Seen::Norm { site, width, before_scale, output } = seen else {
            return ControlFlow::Continue(());
        };
        match self.keep(site, width, [before_scale, output]) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.fault = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// Shows the collected outputs of norms, each with all tokens.
async fn show(parts: Parts<'_>, kept: Vec<Kept>, watch: &mut dyn Observer) -> Result<(), ForwardError> {
    for Kept { site, width, at, values, .. } in kept {
        let read = |at| parts.read(at, values as usize);
        let (before_scale, output) = (read(at)?, read(at + values)?);
        let seen = Seen::Norm { site: &site, width, before_scale: &before_scale, output: &output };
        if watch.see(seen).await.is_break() {
            return Err(ForwardError::Stopped { blocks: 0 });
        }
    }
    Ok(())
}

impl<'a, S: ByteSource, K: Kernels> Pass<'a, S, K> {
    /// Runs a pass of one stack in parts, from the stream in the scratch after `done` of its blocks, or from the input if there are none.
    /// It shows the same as [`Pass::run`]. The last hidden states are then in the scratch, for [`Pass::losses_in_parts`].
    pub async fn run_in_parts(
        &self,
        parts: Parts<'_>,
        done: usize,
        watch: &mut impl Watch,
    ) -> Result<(), ForwardError> {
        let watch: &mut dyn Observer = watch;
        let held = Rc::new(Held::new(parts.held));
        if done == 0 {
            self.each_part(parts, &held, watch, async |pass, watch, tokens| {
                let stream = pass.embed(None, watch).await?;
                for (block, input) in pass.block_inputs(&stream, watch).await?.iter().enumerate() {
                    let at = self.place_of_input(parts, block, tokens.start);
                    parts.write(at, &self.kernels.get(input).await?)?;
                }
                let stream = pass.begin_versions(stream).await?;
                self.put_stream(parts, 0, tokens.start, &self.kernels.get(&stream).await?)
            })
            .await?;
        }
        self.weights.look_ahead(self.architecture.reads_from(done));
        let width = self.architecture.width;
        for (index, block) in self.architecture.blocks.iter().enumerate().skip(done) {
            self.each_part(parts, &held, watch, async |pass, watch, tokens| {
                let stream = self.kernels.put(self.stream_of(parts, index, tokens.clone())?);
                let mut aside = self.aside_of(parts, index, &tokens)?;
                let (stream, after_attention) = pass.block(block, stream, None, &mut aside, watch).await?;
                self.put_lent(parts, block, &aside, tokens.start).await?;
                self.is_finite(&stream, index, tokens.start).await?;
                if let Some(values) = after_attention {
                    let between = parts.base + BETWEEN * self.stream_values();
                    parts.write(between + (tokens.start * width) as u64, &values)?;
                }
                self.put_stream(parts, index + 1, tokens.start, &self.kernels.get(&stream).await?)
            })
            .await?;
            if watch.wants_stream() {
                let all = 0..self.sequences.tokens;
                let state = self.stream_of(parts, index + 1, all.clone())?;
                let stream = self.active(&state);
                let after_attention = match watch.wants_after_attention() {
                    true => Some(parts.read(parts.base + BETWEEN * self.stream_values(), stream.len())?),
                    false => None,
                };
                let seen = Seen::Block {
                    index,
                    width,
                    stream: &stream,
                    state: &state,
                    after_attention: after_attention.as_deref(),
                    lent: None,
                    next: self.architecture.norm_after(index).and_then(|norm| norm.site.as_deref()),
                };
                if watch.see(seen).await.is_break() {
                    return Err(ForwardError::Stopped { blocks: index + 1 });
                }
            }
        }
        // The stream after the last block stays where it is, so that a run can continue from there.
        let blocks = self.architecture.blocks.len();
        self.each_part(parts, &held, watch, async |pass, watch, tokens| {
            let stream = self.kernels.put(self.stream_of(parts, blocks, tokens.clone())?);
            let stream = pass.end_versions(stream).await?;
            let hidden = match &self.architecture.final_norm {
                Some(norm) => pass.norm(norm, &stream, watch).await?,
                None => stream,
            };
            let width = self.architecture.width;
            let at = self.place_of_stream(parts, blocks as u64 + 1, tokens.start, width);
            parts.write(at, &self.kernels.get(&hidden).await?)
        })
        .await
    }

    /// Returns the losses at the last hidden states that the same pass left in the scratch, as [`Pass::losses`] does.
    pub async fn losses_in_parts(&self, parts: Parts<'_>) -> Result<Vec<f64>, ForwardError> {
        let held = Rc::new(Held::new(parts.held));
        let (mut losses, hidden) = (Vec::new(), self.architecture.blocks.len() as u64 + 1);
        self.each_part(parts, &held, &mut Unwatched, async |pass, _, tokens| {
            let width = self.architecture.width;
            let at = self.place_of_stream(parts, hidden, tokens.start, width);
            let hidden = self.kernels.put(parts.read(at, tokens.len() * width)?);
            losses.extend(pass.losses(&hidden).await?);
            Ok(())
        })
        .await?;
        Ok(losses)
    }

    /// Does `work` with the pass of each part, whose tokens are given, and then shows what all parts have shown to `watch`.
    async fn each_part(
        &self,
        parts: Parts<'_>,
        held: &Rc<Held<K>>,
        watch: &mut dyn Observer,
        mut work: impl AsyncFnMut(Pass<'a, S, K>, &mut Collecting<'_>, Range<usize>) -> Result<(), ForwardError>,
    ) -> Result<(), ForwardError> {
        let tokens = self.sequences.tokens;
        let mut collecting = Collecting::new(&*watch, parts, tokens, kept(self.architecture, tokens as u64));
        let count = self.sequences.count();
        for first in (0..count).step_by(parts.sequences.max(1)) {
            let sequences = first..count.min(first + parts.sequences.max(1));
            let tokens = sequences.start * self.sequences.length..sequences.end * self.sequences.length;
            collecting.part = tokens.len();
            let pass = self.of_sequences(sequences, Rc::clone(held));
            let done = work(pass, &mut collecting, tokens).await;
            if let Some(fault) = collecting.fault.take() {
                return Err(fault);
            }
            done?;
        }
        held.clear();
        let kept = collecting.kept;
        show(parts, kept, watch).await
    }

    /// Returns the same pass of some of its sequences only.
    fn of_sequences(&self, some: Range<usize>, held: Rc<Held<K>>) -> Self {
        let mut sequences = self.sequences;
        sequences.tokens = some.len() * sequences.length;
        Self {
            architecture: self.architecture,
            weights: Rc::clone(&self.weights),
            kernels: self.kernels,
            input: self.input.some(some),
            sequences,
            encoder: None,
            assumed_kind: self.assumed_kind,
            pause: self.pause,
            held: Some(held),
        }
    }

    /// Values of a stream.
    fn stream_values(&self) -> u64 {
        self.sequences.tokens as u64 * self.architecture.state_width() as u64
    }

    /// Where values of this width are in the scratch, in the stream after this many blocks, from token `first` on.
    fn place_of_stream(&self, parts: Parts<'_>, blocks: u64, first: usize, width: usize) -> u64 {
        parts.base + blocks % 2 * self.stream_values() + (first * width) as u64
    }

    /// Where the vectors of a block are in the scratch, from token `first` on.
    fn place_of_input(&self, parts: Parts<'_>, block: usize, first: usize) -> u64 {
        let width = self.architecture.embedding.inputs().map_or(0, |inputs| inputs.width);
        let before = block * self.sequences.tokens + first;
        parts.base + STREAMS * self.stream_values() + before as u64 * width as u64
    }

    /// Where the keys, and the values, of a place are in the scratch, from token `first` on, and their width.
    fn place_of_lent(&self, parts: Parts<'_>, place: usize, first: usize) -> ([u64; 2], usize) {
        let (widths, tokens) = (self.architecture.lent_widths(), self.sequences.tokens as u64);
        let inputs = self.architecture.embedding.inputs().map_or(0, |inputs| inputs.map.outputs);
        let (before, width) = (inputs + 2 * widths[..place].iter().sum::<usize>(), widths[place]);
        let at = |before: usize| {
            let kept = tokens * before as u64 + first as u64 * width as u64;
            parts.base + STREAMS * self.stream_values() + kept
        };
        ([at(before), at(before + width)], width)
    }

    /// Reads what a block reads beside the stream of these tokens.
    fn aside_of(
        &self,
        parts: Parts<'_>,
        index: usize,
        tokens: &Range<usize>,
    ) -> Result<Aside<K::Values>, ForwardError> {
        let (architecture, block) = (self.architecture, &self.architecture.blocks[index]);
        let mut aside = Aside::with_places(architecture.lent_widths().len());
        if let Some(inputs) = architecture.embedding.inputs() {
            let at = self.place_of_input(parts, index, tokens.start);
            aside.input = Some(self.kernels.put(parts.read(at, tokens.len() * inputs.width)?));
        }
        if let Some(place) = block.borrows() {
            let ([k, v], width) = self.place_of_lent(parts, place, tokens.start);
            let read = |at| Ok::<_, ForwardError>(self.kernels.put(parts.read(at, tokens.len() * width)?));
            aside.lent[place] = Some([read(k)?, read(v)?]);
        }
        Ok(aside)
    }

    /// Writes the keys and values that a block lends, from token `first` on.
    async fn put_lent(
        &self,
        parts: Parts<'_>,
        block: &Block,
        aside: &Aside<K::Values>,
        first: usize,
    ) -> Result<(), ForwardError> {
        let Some(place) = block.lends() else { return Ok(()) };
        let (places, _) = self.place_of_lent(parts, place, first);
        for (at, values) in places.into_iter().zip(aside.lent[place].iter().flatten()) {
            parts.write(at, &self.kernels.get(values).await?)?;
        }
        Ok(())
    }

    /// Writes the stream after this many blocks, from token `first` on. The stream after the block before stays.
    fn put_stream(
        &self,
        parts: Parts<'_>,
        blocks: usize,
        first: usize,
        values: &[f32],
    ) -> Result<(), ForwardError> {
        parts
            .write(self.place_of_stream(parts, blocks as u64, first, self.architecture.state_width()), values)
    }

    /// Reads the stream of these tokens after this many blocks.
    fn stream_of(
        &self,
        parts: Parts<'_>,
        blocks: usize,
        tokens: Range<usize>,
    ) -> Result<Vec<f32>, ForwardError> {
        let width = self.architecture.state_width();
        parts.read(self.place_of_stream(parts, blocks as u64, tokens.start, width), tokens.len() * width)
    }
}
