//! Turns features of sounds into the stream. Convolutions over time run as linear maps of windows, a piece of a sound at a time. Then
//! positions are added.

use super::input::Features;
use super::kernels::Kernels;
use super::observer::Observer;
use super::weights::Loaded;
use super::{ForwardError, Pass};
use crate::cpu::weight_norm::weight_norm;
use crate::cpu::windows::{frame_by_frame, windows};
use crate::model::architecture::{
    Convolution, ConvolutionNorm, Norm, PositionalConvolution, SoundEmbedding, SoundPositions,
};
use crate::source::ByteSource;
use std::ops::Range;
use std::rc::Rc;

/// f32 values of the widest rows that are in memory at once.
pub(super) const AT_ONCE: usize = 1 << 23;

/// f32 values for each token in the widest layer of the convolutions.
fn of_a_token(embedding: &SoundEmbedding) -> usize {
    let frames = embedding.frames_a_token();
    let of = |(one, frames): (&Convolution, usize)| frames.saturating_mul(one.map.inputs + one.map.outputs);
    embedding.convolutions.iter().zip(frames).map(of).max().unwrap_or(1).max(1)
}

/// Tokens whose convolutions are computed at once.
fn at_once(embedding: &SoundEmbedding) -> usize {
    (AT_ONCE / of_a_token(embedding)).max(1)
}

/// f32 values that the embedding of this many tokens takes in addition to the stream.
pub(super) fn values(embedding: &SoundEmbedding, tokens: usize) -> u64 {
    let piece = 2 * at_once(embedding).min(tokens) as u64 * of_a_token(embedding) as u64;
    let given = embedding.convolutions.last().map_or(0, |last| last.map.outputs);
    piece + tokens as u64 * given as u64
}

/// A convolution whose parameters are on the device.
struct Layer<'a, K: Kernels> {
    convolution: &'a Convolution,
    map: Rc<Loaded<K>>,
    /// γ and β of its norm.
    parameters: [Option<Vec<f32>>; 2],
    /// Factor and shift of each channel, from statistics over all frames of the sound. They are known once the sound has passed through
    /// the layers up to this one.
    over_time: Option<[K::Values; 2]>,
}

/// A sound on its way through the layers.
struct Sound {
    /// Frame after frame.
    values: Vec<f32>,
    /// Channels of the features.
    channels: usize,
    /// Frames of the features, then frames after each layer.
    lengths: Vec<usize>,
}

/// A norm between convolutions that the observer wants to see: its normalised inputs and its outputs, one frame for each token.
struct Kept<'a, K: Kernels> {
    layer: usize,
    norm: &'a Norm,
    values: [K::Values; 2],
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Embeds sounds. Returns n × d.
    pub(super) async fn embed_sounds(
        &self,
        embedding: &SoundEmbedding,
        features: &Features<'_>,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let mut x = self.convolved(embedding, features, at_once(embedding), watch).await?;
        if let Some(norm) = &embedding.norm {
            x = self.norm(norm, &x, watch).await?;
        }
        if let Some(projection) = &embedding.projection {
            x = self.linear(projection, &x).await?;
        }
        let positions = match &embedding.positions {
            SoundPositions::Table { tensor, .. } => {
                self.kernels.put(self.weights.all(*tensor).await?.repeat(features.count))
            }
            SoundPositions::Convolution(positions) => self.over_tokens(positions, &x).await?,
        };
        self.kernels.add(&mut x, &positions, 1.0);
        match &embedding.last_norm {
            Some(norm) => self.norm(norm, &x, watch).await,
            None => Ok(x),
        }
    }

    /// Runs the convolutions, `at_once` tokens at a time. Returns tokens × channels.
    async fn convolved(
        &self,
        embedding: &SoundEmbedding,
        features: &Features<'_>,
        at_once: usize,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let Features { values, channels, frames, .. } = *features;
        let (tokens, length) = (self.sequences.tokens, self.sequences.length);
        let mut layers = Vec::with_capacity(embedding.convolutions.len());
        for convolution in &embedding.convolutions {
            let map = self.load(&convolution.map).await?;
            let parameters = match &convolution.norm {
                Some(ConvolutionNorm::Channels(norm) | ConvolutionNorm::Time(norm)) => {
                    self.parameters(norm).await?
                }
                None => [None, None],
            };
            layers.push(Layer { convolution, map, parameters, over_time: None });
        }
        let mut kept = self.to_be_kept(embedding, tokens, watch);
        let width = embedding.convolutions.last().map_or(channels, |last| last.map.outputs);
        let mut y = self.kernels.zeros(tokens * width);
        let a_token = embedding.frames_a_token();
        for (index, sound) in values.chunks_exact(channels * frames).enumerate() {
            let mut lengths = vec![frames];
            for convolution in &embedding.convolutions {
                lengths.push(convolution.reach.outputs(lengths[lengths.len() - 1]));
            }
            let sound = Sound { values: frame_by_frame(sound, channels, frames), channels, lengths };
            for layer in 0..layers.len() {
                layers[layer].over_time = match &layers[layer].convolution.norm {
                    Some(ConvolutionNorm::Time(norm)) => {
                        let at_once = at_once * a_token[layer];
                        Some(self.over_time(&layers[..=layer], norm, &sound, at_once).await?)
                    }
                    _ => None,
                };
            }
            for from in (0..length).step_by(at_once) {
                let piece = from..(from + at_once).min(length);
                let at = index * length + from;
                let mut keep = |layer: usize, first: usize, both: [&K::Values; 2]| {
                    for kept in kept.iter_mut().filter(|kept| kept.layer == layer) {
                        let rows: Vec<u32> =
                            piece.clone().map(|token| (token * a_token[layer] - first) as u32).collect();
                        let width = kept.norm.width;
                        for (all, some) in kept.values.iter_mut().zip(both) {
                            self.kernels.put_part(all, at * width, &self.kernels.rows(some, width, &rows));
                        }
                    }
                };
                let last = self.mapped(&layers, &sound, piece.clone(), &mut keep).await?;
                let given = match layers.last() {
                    Some(layer) => {
                        self.finished(layer, &last, |both| keep(layers.len() - 1, piece.start, both))
                    }
                    None => last,
                };
                self.kernels.put_part(&mut y, at * width, &given);
            }
        }
        for Kept { norm, values: [before_scale, output], .. } in &kept {
            self.show(norm, before_scale, output, watch).await?;
        }
        Ok(y)
    }

    fn to_be_kept<'e>(
        &self,
        embedding: &'e SoundEmbedding,
        tokens: usize,
        watch: &dyn Observer,
    ) -> Vec<Kept<'e, K>> {
        let all = embedding.convolutions.iter().enumerate();
        let wanted = all.filter_map(|(layer, convolution)| match &convolution.norm {
            Some(ConvolutionNorm::Channels(norm)) => {
                norm.site.as_deref().filter(|site| watch.wants(site)).map(|_| (layer, norm))
            }
            _ => None,
        });
        let kept = wanted.map(|(layer, norm)| {
            let zeros = || self.kernels.zeros(tokens * norm.width);
            Kept { layer, norm, values: [zeros(), zeros()] }
        });
        kept.collect()
    }

    /// Returns the output of the last layer's map at these places, before its norm and activation. `keep` sees the outputs of earlier
    /// norms, with the layer and its first frame.
    async fn mapped(
        &self,
        layers: &[Layer<'_, K>],
        sound: &Sound,
        places: Range<usize>,
        keep: &mut impl FnMut(usize, usize, [&K::Values; 2]),
    ) -> Result<K::Values, ForwardError> {
        // The ranges that each layer reads, from the last layer back to the features.
        let mut ranges = vec![places];
        for (layer, length) in layers.iter().zip(&sound.lengths).rev() {
            ranges.push(layer.convolution.reach.inputs(&ranges[ranges.len() - 1], *length));
        }
        ranges.reverse();
        let mut channels = sound.channels;
        let mut x = sound.values[ranges[0].start * channels..ranges[0].end * channels].to_vec();
        let mut given = None;
        for (at, layer) in layers.iter().enumerate() {
            if let Some(before) = given.take() {
                let first = ranges[at].start;
                let finished = self.finished(&layers[at - 1], &before, |both| keep(at - 1, first, both));
                x = self.kernels.get(&finished).await?;
            }
            let rows =
                windows(&x, channels, ranges[at].start, layer.convolution.reach, ranges[at + 1].clone());
            given = Some(layer.map.apply(self.kernels, &self.kernels.put(rows)));
            channels = layer.convolution.map.outputs;
        }
        Ok(given.unwrap_or_else(|| self.kernels.put(x)))
    }

    /// Applies the norm and the activation of a layer to the output of its map. `keep` sees the output of a norm over channels.
    fn finished(
        &self,
        layer: &Layer<'_, K>,
        given: &K::Values,
        mut keep: impl FnMut([&K::Values; 2]),
    ) -> K::Values {
        let width = layer.convolution.map.outputs;
        let mut y = match (&layer.convolution.norm, &layer.over_time) {
            (Some(ConvolutionNorm::Channels(norm)), _) => {
                let centring = self.assumed_kind.unwrap_or(norm.centring);
                let before_scale = self.kernels.normalise(centring, given, norm.width, norm.epsilon);
                let y = self.scaled_and_shifted(&before_scale, layer.parameters.clone());
                keep([&before_scale, &y]);
                y
            }
            (_, Some([scale, shift])) => self.kernels.scale_and_shift(given, Some(scale), Some(shift), width),
            _ => self.kernels.scale_and_shift(given, None, None, width),
        };
        self.kernels.activate(layer.convolution.activation, &mut y);
        y
    }

    /// Returns the factor and shift of each channel of the last layer's output, for a norm over the frames of this sound.
    async fn over_time(
        &self,
        layers: &[Layer<'_, K>],
        norm: &Norm,
        sound: &Sound,
        at_once: usize,
    ) -> Result<[K::Values; 2], ForwardError> {
        let (width, frames) = (norm.width, sound.lengths[layers.len()]);
        let (mut sums, mut squares) = (vec![0.0f64; width], vec![0.0f64; width]);
        for from in (0..frames).step_by(at_once) {
            let piece = from..(from + at_once).min(frames);
            let given = self.mapped(layers, sound, piece, &mut |_, _, _| {}).await?;
            for frame in self.kernels.get(&given).await?.chunks_exact(width) {
                for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(frame) {
                    *sum += f64::from(*value);
                    *square += f64::from(*value).powi(2);
                }
            }
        }
        let [scale, shift] = layers.last().map(|layer| layer.parameters.clone()).unwrap_or_default();
        let (mut by, mut add) = (scale.unwrap_or(vec![1.0; width]), shift.unwrap_or(vec![0.0; width]));
        for (channel, (by, add)) in by.iter_mut().zip(&mut add).enumerate() {
            let mean = sums[channel] / frames as f64;
            let variance = (squares[channel] / frames as f64 - mean * mean).max(0.0);
            let factor = f64::from(*by) / (variance + f64::from(norm.epsilon)).sqrt();
            (*by, *add) = (factor as f32, (f64::from(*add) - factor * mean) as f32);
        }
        Ok([by, add].map(|values| self.kernels.put(values)))
    }

    /// Runs a convolution over the tokens of each sound, group by group, some tokens at a time. n × d to n × d.
    async fn over_tokens(
        &self,
        positions: &PositionalConvolution,
        x: &K::Values,
    ) -> Result<K::Values, ForwardError> {
        let (width, length) = (self.architecture.width, self.sequences.length);
        let mut weight = self.weights.all(positions.direction).await?;
        weight_norm(&mut weight, &self.weights.all(positions.gain).await?);
        let (of_group, reach) = (width / positions.groups, positions.reach);
        let inputs = of_group * reach.kernel;
        let at_once = (AT_ONCE / inputs).max(1);
        let x = self.kernels.get(x).await?;
        let mut y = vec![0.0; x.len()];
        for (group, weight) in weight.chunks_exact(of_group * inputs).enumerate() {
            let map = self.weights.computed(self.kernels, positions.direction, weight, inputs)?;
            let columns = group * of_group..(group + 1) * of_group;
            for (sound, given) in x.chunks_exact(length * width).zip(y.chunks_exact_mut(length * width)) {
                for from in (0..length).step_by(at_once) {
                    let places = from..(from + at_once).min(length);
                    let read = reach.inputs(&places, length);
                    let rows = sound[read.start * width..read.end * width].chunks_exact(width);
                    let own: Vec<f32> = rows.flat_map(|row| &row[columns.clone()]).copied().collect();
                    let rows = windows(&own, of_group, read.start, reach, places);
                    let piece = self.kernels.get(&map.apply(self.kernels, &self.kernels.put(rows))).await?;
                    let tokens = given[from * width..].chunks_exact_mut(width);
                    for (token, values) in tokens.zip(piece.chunks_exact(of_group)) {
                        token[columns.clone()].copy_from_slice(values);
                    }
                }
            }
        }
        let bias = self.kernels.put(self.weights.all(positions.bias).await?);
        let mut y = self.kernels.scale_and_shift(&self.kernels.put(y), None, Some(&bias), width);
        self.kernels.activate(positions.activation, &mut y);
        Ok(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::open;
    use crate::forward::{Input, Seen};
    use crate::model::architecture::Embedding;
    use crate::model::resolve;
    use crate::source::memory::MemorySource;
    use pollster::block_on;

    /// Returns the outputs of a fixture's convolutions and norms, computed in pieces of this many tokens.
    fn in_pieces(family: &str, at_once: usize) -> Vec<(String, Vec<f32>)> {
        let folder = format!("{}/tests/forward_images/{family}", env!("CARGO_MANIFEST_DIR"));
        let files = ["model.safetensors", "config.json"]
            .map(|name| MemorySource::new(name, std::fs::read(format!("{folder}/{name}")).unwrap()));
        let checkpoint = block_on(open(files.into(), |_| {})).unwrap();
        let architecture = resolve(&checkpoint).unwrap();
        let Embedding::Sounds(embedding) = &architecture.embedding else { panic!("{family}") };
        let sounds: Vec<f32> = (0..2 * 411).map(|at| (at as f32 * 0.7).sin() + at as f32 / 500.0).collect();
        let input = Input::features(&sounds, [2, 1, 411]).unwrap();
        let Input::Features(features) = input else { panic!("{input:?}") };
        let pass = Pass::new(&checkpoint, &architecture, input).unwrap();
        let mut shown = Vec::new();
        let mut see = async |seen: Seen<'_>| {
            if let Seen::Norm { site, before_scale, output, .. } = seen {
                shown.push((site.to_owned(), [before_scale, output].concat()));
            }
        };
        let given = block_on(pass.convolved(embedding, &features, at_once, &mut see)).unwrap();
        shown.push(("all".to_owned(), given));
        shown
    }

    #[test]
    fn a_sound_in_pieces_gives_what_it_gives_as_a_whole() {
        for (family, shown) in [("wav2vec2", 1), ("wav2vec2-stable", 4)] {
            let whole = in_pieces(family, 1000);
            assert_eq!(whole.len(), shown);
            for (piece, whole) in in_pieces(family, 3).iter().zip(&whole) {
                assert_eq!((&piece.0, piece.1.len()), (&whole.0, whole.1.len()));
                let off = piece.1.iter().zip(&whole.1).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-5, "{family}, {}: {off}", piece.0);
            }
        }
    }
}
