//! Finds the norm sites of a catalogue whose names say nothing, from shapes, neighbours in the file, and values.
//!
//! A trained scale is positive nearly everywhere, or, stored as γ − 1, reaches down to −1 and hardly below. A shift is a vector
//! of the same width right beside it that is neither, on the side where linear maps have their biases, and only if nearly all
//! scales of that width have one. What training left in the writers, or a configuration, settles the kind of such a site. These
//! shapes alone never do.

use super::catalogue::vector_width;
use super::convention::Tally;
use super::site::{NormSite, Place, Step};
use crate::checkpoint::Tensor;
use crate::order;
use crate::report::NormRole;

/// Shorter vectors are not scales of norms.
const LEAST_WIDTH: u64 = 16;
/// Most bytes of vectors to read in order to tell scales from the rest.
const MOST_BYTES: u64 = 64 << 20;
/// Share of positive values in a scale: all-MiniLM and SmolLM2 have more than 0.99 in each.
const POSITIVE: f64 = 0.95;
/// Share of a width's scales that must agree on having a shift.
const AGREEMENT: f64 = 0.9;

/// Whether no name of the catalogue says what its tensor is for.
pub fn says_nothing(tensors: &[Tensor]) -> bool {
    tensors.iter().all(|tensor| is_opaque(&tensor.name))
}

/// Whether a name has none of the usual words of networks.
pub fn is_opaque(name: &str) -> bool {
    const USUAL: [&str; 22] = [
        "weight", "bias", "kernel", "gamma", "beta", "scale", "norm", "embed", "attn", "proj", "query",
        "mlp", "ln", "emb", "wte", "conv", "layer", "block", "linear", "param", "head", "state",
    ];
    let lower = name.to_ascii_lowercase();
    !USUAL.iter().any(|usual| lower.contains(usual))
}

/// The vectors (indices) to read in order to tell scales from the rest. None if they are too many to read.
pub fn vectors(tensors: &[Tensor]) -> Vec<usize> {
    let wanted: Vec<usize> = (0..tensors.len())
        .filter(|&index| {
            let tensor = &tensors[index];
            tensor.dtype.is_floating()
                && vector_width(&tensor.shape).is_some_and(|width| width >= LEAST_WIDTH)
        })
        .collect();
    let bytes: u64 = wanted.iter().map(|&index| tensors[index].bytes()).sum();
    if bytes <= MOST_BYTES { wanted } else { Vec::new() }
}

/// On which side of its matrix a bias is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Before,
    After,
}

/// How linear maps are stored, as the biases beside non-square ones show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    side: Option<Side>,
    /// Stored (in, out), as GPT-2 does.
    pub transposed: bool,
}

/// The catalogue in the order of the file.
fn file_order(tensors: &[Tensor]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order::sort_by_key(&mut order, |&index| (tensors[index].shard, tensors[index].range.start));
    order
}

/// The width that most matrices share: the residual stream's.
fn stream_width(tensors: &[Tensor]) -> Option<u64> {
    let mut sides = Vec::new();
    for tensor in tensors {
        if let [rows, columns] = tensor.shape[..] {
            sides.push(rows);
            if rows != columns {
                sides.push(columns);
            }
        }
    }
    order::most_frequent(sides)
}

/// Finds the layout from the biases of matrices with one side of the stream's width: such a bias has the length of the other
/// side.
pub fn layout(tensors: &[Tensor]) -> Layout {
    let (order, Some(stream)) = (file_order(tensors), stream_width(tensors)) else {
        return Layout::default();
    };
    let mut votes = Vec::new();
    let mut readers = 0;
    for (at, &index) in order.iter().enumerate() {
        let [rows, columns] = tensors[index].shape[..] else { continue };
        if (rows == stream) == (columns == stream) {
            continue;
        }
        readers += 1;
        let other = if rows == stream { columns } else { rows };
        let length = |at: Option<usize>| vector_width(&tensors[*order.get(at?)?].shape);
        for (side, beside) in [(Side::Before, at.checked_sub(1)), (Side::After, Some(at + 1))] {
            if length(beside) == Some(other) {
                votes.push(((side, rows == stream), ()));
            }
        }
    }
    let best = order::groups(votes)
        .into_iter()
        .map(|(vote, times)| (vote, times.len()))
        .max_by_key(|&((side, transposed), count)| (count, side == Side::After, !transposed));
    match best {
        // If maps have biases at all, one in three or four of these has such a bias: the first of a feed-forward pair.
        Some(((side, transposed), count)) if 5 * count >= readers => Layout { side: Some(side), transposed },
        _ => Layout::default(),
    }
}

/// The sites among `vectors`, given their values (`None` if they could not be read).
pub fn find(tensors: &[Tensor], vectors: &[usize], values: &[Option<&[f64]>]) -> Vec<NormSite> {
    let (order, stream, layout) = (file_order(tensors), stream_width(tensors), layout(tensors));
    let mut position = vec![0; tensors.len()];
    order.iter().enumerate().for_each(|(at, &index)| position[index] = at);
    // Whether a tensor is a scale. `None` unless it is a vector that could be read.
    let mut scales = vec![None; tensors.len()];
    for (&index, values) in vectors.iter().zip(values) {
        scales[index] = values.map(is_scale);
    }
    let width = |index: usize| vector_width(&tensors[index].shape).unwrap_or_default();
    let beside = |index: usize, side: Side| {
        let at = match side {
            Side::Before => position[index].checked_sub(1)?,
            Side::After => position[index] + 1,
        };
        let other = *order.get(at)?;
        let fits = scales[other] == Some(false) && width(other) == width(index);
        fits.then_some(other)
    };
    let is_bias = |index: usize| {
        let matrix = match layout.side {
            Some(Side::Before) => Some(position[index] + 1),
            Some(Side::After) => position[index].checked_sub(1),
            None => None,
        };
        let shape = matrix.and_then(|at| order.get(at)).map(|&other| tensors[other].shape.as_slice());
        match shape {
            Some(&[rows, columns]) => width(index) == if layout.transposed { columns } else { rows },
            _ => false,
        }
    };
    let norms = vectors.iter().copied().filter(|&index| scales[index] == Some(true));
    // A bias may be positive throughout. On the stream's width, a norm may also be beside a map.
    let norms = norms.filter(|&index| Some(width(index)) == stream || !is_bias(index));
    let mut sites = Vec::new();
    for (width, scales) in order::groups(norms.map(|index| (width(index), index))) {
        let count = |side| scales.iter().filter(|&&index| beside(index, side).is_some()).count();
        let side = layout.side.unwrap_or(if count(Side::Before) > count(Side::After) {
            Side::Before
        } else {
            Side::After
        });
        let share = count(side) as f64 / scales.len() as f64;
        if share > 1.0 - AGREEMENT && share < AGREEMENT {
            continue;
        }
        for &index in &scales {
            let shift = beside(index, side);
            // If nearly all scales of a width have a shift, one without is not a norm's (a LayerScale).
            if shift.is_some() || share <= 1.0 - AGREEMENT {
                sites.push(site(tensors, index, shift.filter(|_| share >= AGREEMENT), width, stream));
            }
        }
    }
    order::sort_by_key(&mut sites, |site| site.scale.map(|scale| position[scale]));
    sites
}

fn is_scale(values: &[f64]) -> bool {
    let positive = values.iter().filter(|&&value| value > 0.0).count();
    let mut tally = Tally::default();
    tally.add(values);
    positive as f64 >= POSITIVE * values.len() as f64 || tally.reaches_down_to_minus_one()
}

fn site(tensors: &[Tensor], scale: usize, shift: Option<usize>, width: u64, stream: Option<u64>) -> NormSite {
    let on_stream = Some(width) == stream;
    NormSite {
        name: tensors[scale].name.clone(),
        scale: Some(scale),
        shift,
        width,
        role: if on_stream { NormRole::Other } else { NormRole::QueryKey },
        place: Place::Unknown,
        step: Step::Unknown,
        block: None,
        block_path: None,
        stack: String::new(),
        other: None,
        parallel: false,
        shift_on_stream: false,
        recognised: false,
        build: super::build::Build::default(),
        per_head: false,
        stream: on_stream.then(String::new),
        surroundings: super::surroundings::Surroundings::default(),
        habits: super::habits::Habits::of_shift(shift.is_some()),
        layout: None,
        unnamed: true,
        #[cfg(feature = "onnx")]
        stated: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::TensorType;

    /// Tensors in the order of a file, with values for the vectors.
    fn catalogue(entries: &[(&[u64], f64)]) -> (Vec<Tensor>, Vec<Vec<f64>>) {
        let mut at = 0;
        let mut tensors = Vec::new();
        let mut values = Vec::new();
        for (index, (shape, mean)) in entries.iter().enumerate() {
            let elements: u64 = shape.iter().product();
            let name = format!("t{index:03}");
            let range = at..at + 4 * elements;
            at = range.end;
            tensors.push(Tensor {
                name,
                dtype: TensorType::parse("F32"),
                shape: shape.to_vec(),
                shard: 0,
                range,
                strides: None,
            });
            if shape.len() == 1 {
                values.push((0..elements).map(|i| mean + 0.1 * ((i * 7 % 11) as f64 - 5.0) / 5.0).collect());
            }
        }
        (tensors, values)
    }

    fn found(entries: &[(&[u64], f64)]) -> Vec<(usize, Option<usize>)> {
        let (tensors, values) = catalogue(entries);
        let vectors = vectors(&tensors);
        let readable: Vec<Option<&[f64]>> = values.iter().map(|values| Some(values.as_slice())).collect();
        find(&tensors, &vectors, &readable)
            .iter()
            .filter_map(|site| Some((site.scale?, site.shift)))
            .collect()
    }

    #[test]
    fn a_scale_has_its_shift_on_the_side_where_maps_have_their_biases() {
        // weight, bias, as a state dict lists them; the bias of the output map comes right before the norm.
        let after: &[(&[u64], f64)] = &[
            (&[128, 32], 0.0),
            (&[128], 0.0),
            (&[32, 128], 0.0),
            (&[32], 0.0),
            (&[32], 0.8),
            (&[32], 0.0),
            (&[96, 32], 0.0),
            (&[96], 0.0),
        ];
        assert_eq!(found(after), [(4, Some(5))]);
        // bias, weight, as safetensors sorts them.
        let before: &[(&[u64], f64)] = &[
            (&[32], 0.0),
            (&[32], 0.8),
            (&[32], 0.0),
            (&[32, 128], 0.0),
            (&[128], 0.0),
            (&[128, 32], 0.0),
            (&[96], 0.0),
            (&[96, 32], 0.0),
        ];
        assert_eq!(found(before), [(1, Some(0))]);
    }

    #[test]
    fn without_biases_vectors_are_scales_without_shifts() {
        let llama: &[(&[u64], f64)] = &[
            (&[32], 0.7),
            (&[32, 96], 0.0),
            (&[96, 32], 0.0),
            (&[96, 32], 0.0),
            (&[32], 1.1),
            (&[32, 32], 0.0),
        ];
        assert_eq!(found(llama), [(0, None), (4, None)]);
    }

    #[test]
    fn a_bias_that_is_positive_throughout_is_no_scale() {
        let biased: &[(&[u64], f64)] =
            &[(&[128, 32], 0.0), (&[128], 0.5), (&[32, 128], 0.0), (&[96, 32], 0.0), (&[96], 0.4)];
        assert_eq!(found(biased), []);
    }

    #[test]
    fn in_out_maps_are_told_by_their_biases() {
        let (tensors, _) = catalogue(&[
            (&[32, 128], 0.0),
            (&[128], 0.0),
            (&[128, 32], 0.0),
            (&[32], 0.0),
            (&[32, 96], 0.0),
            (&[96], 0.0),
        ]);
        assert!(layout(&tensors).transposed);
        assert!(!layout(&tensors[..1]).transposed);
    }

    #[test]
    fn names_with_a_word_of_networks_are_not_opaque() {
        assert!(["t000001", "x.17", "a1b2c3"].iter().all(|name| is_opaque(name)));
        assert!(["model.layers.0.mlp.w1", "ln_f.g", "h.0.attn.c_attn"].iter().all(|name| !is_opaque(name)));
    }
}
