//! Small transformers with weights of a chosen kind, as the bytes of a safetensors file.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

/// The width of the residual stream, the width of the feed-forward part, and the number of blocks.
pub(crate) const WIDTH: usize = 128;
pub(crate) const HIDDEN: usize = 320;
pub(crate) const BLOCKS: usize = 4;
const VOCABULARY: usize = 512;

/// The kind of weights of the writers of the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weights {
    /// Independent draws, as at initialisation.
    Random,
    /// Rows of different size, as after training. `energy` is the share of the energy along the mean that stays.
    Trained { energy: f64 },
    /// Trained, with a low energy only in every other block.
    Disagreeing,
    /// Trained, with columns that sum to exactly zero, also in the embedding.
    Centred,
    /// All zero.
    Zero,
    /// All the same number.
    Constant,
}

/// A Llama-like model (the names of its RMSNorms, a gate, no biases). With `shifts`, its norms have shifts like LayerNorms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transformer {
    pub(crate) weights: Weights,
    /// Norms have shifts.
    pub(crate) shifts: bool,
    /// Scales as trained, or all ones.
    pub(crate) trained_scales: bool,
}

pub(crate) type Named = (String, Vec<usize>, Vec<f32>);

impl Transformer {
    /// The tensors of the model: name, shape, values.
    pub(crate) fn tensors(self) -> Vec<Named> {
        let mut random = SmallRng::seed_from_u64(11);
        let mut tensors: Vec<Named> = Vec::new();
        let norm = |name: String, tensors: &mut Vec<Named>, random: &mut SmallRng| {
            if self.shifts {
                let shift = (0..WIDTH).map(|_| 0.1 * normal(random)).collect();
                tensors.push((format!("{name}.bias"), vec![WIDTH], shift));
            }
            let trained = |random: &mut SmallRng| (0.3 * normal(random) - 0.2).exp();
            let scale = (0..WIDTH).map(|_| if self.trained_scales { trained(random) } else { 1.0 }).collect();
            tensors.push((format!("{name}.weight"), vec![WIDTH], scale));
        };
        let embedding =
            transposed(&self.weights.writer(0, WIDTH, VOCABULARY, &mut random), WIDTH, VOCABULARY);
        tensors.push(("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, WIDTH], embedding));
        for block in 0..BLOCKS {
            let name = |part: &str| format!("model.layers.{block}.{part}");
            norm(name("input_layernorm"), &mut tensors, &mut random);
            norm(name("post_attention_layernorm"), &mut tensors, &mut random);
            for (part, rows, columns) in [
                ("self_attn.q_proj", WIDTH, WIDTH),
                ("self_attn.k_proj", WIDTH, WIDTH),
                ("self_attn.v_proj", WIDTH, WIDTH),
                ("mlp.gate_proj", HIDDEN, WIDTH),
                ("mlp.up_proj", HIDDEN, WIDTH),
            ] {
                let values = (0..rows * columns).map(|_| normal(&mut random)).collect();
                tensors.push((name(&format!("{part}.weight")), vec![rows, columns], values));
            }
            for (part, columns) in [("self_attn.o_proj", WIDTH), ("mlp.down_proj", HIDDEN)] {
                let values = self.weights.writer(block, WIDTH, columns, &mut random);
                tensors.push((name(&format!("{part}.weight")), vec![WIDTH, columns], values));
            }
        }
        norm("model.norm".to_owned(), &mut tensors, &mut random);
        tensors
    }
}

impl Weights {
    /// A writer of rows × columns.
    fn writer(self, block: usize, rows: usize, columns: usize, random: &mut SmallRng) -> Vec<f32> {
        let mut values: Vec<f32> = (0..rows * columns).map(|_| normal(random)).collect();
        let keep = match self {
            Self::Random => return values,
            Self::Zero => return vec![0.0; rows * columns],
            Self::Constant => return vec![0.02; rows * columns],
            Self::Trained { energy } => energy,
            Self::Disagreeing => {
                if block.is_multiple_of(2) {
                    0.1
                } else {
                    1.0
                }
            }
            Self::Centred => 0.0,
        };
        for row in 0..rows {
            let size = 0.5 + (row % 4) as f32 / 2.0;
            values[row * columns..][..columns].iter_mut().for_each(|value| *value *= size);
        }
        for column in 0..columns {
            let mean = (0..rows).map(|row| values[row * columns + column]).sum::<f32>() / rows as f32;
            (0..rows).for_each(|row| values[row * columns + column] -= mean * (1.0 - keep.sqrt()) as f32);
        }
        values
    }
}

fn normal(random: &mut SmallRng) -> f32 {
    random.sample(StandardNormal)
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// The bytes of a file of these tensors, with names from `rename`.
pub(crate) fn file(tensors: &[Named], rename: impl Fn(usize, &str) -> String) -> Vec<u8> {
    let renamed: Vec<(String, &Named)> =
        tensors.iter().enumerate().map(|(index, tensor)| (rename(index, &tensor.0), tensor)).collect();
    let listed: Vec<(&str, &[usize], Vec<f32>)> = renamed
        .iter()
        .map(|(name, (_, shape, values))| (name.as_str(), shape.as_slice(), values.clone()))
        .collect();
    super::tensors(&listed)
}
