//! Compares the dead counts with an independent count: it moves the weights of a reader along the kernel of a small network
//! and counts numerically the directions in which the output stays the same (MATH §3).
//!
//! J is the derivative of the output by the kernel directions of one reader, J_b that by its bias. dim ker J directions are
//! dead outright. Those whose effect lies in the range of J_b are dead once the bias is moved. The rest add a constant.

use crate::support;
use crate::support::network::{Network, Random, VOCABULARY, WIDTH, Weights};
use gammascope::report::{DeadDirections, NormReport, ReaderReport, ReaderUse, Report};

/// The step of the central differences, and the limit of no movement: dead directions stay at 1e-11, others move by 1e-3.
const STEP: f64 = 1e-4;
const STILL: f64 = 1e-7;

fn report(network: Network, weights: &Weights) -> Report {
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = weights
        .iter()
        .map(|(name, (shape, values))| {
            (name.as_str(), shape.as_slice(), values.iter().map(|&value| value as f32).collect())
        })
        .collect();
    let files = vec![
        ("model.safetensors", support::tensors(&tensors)),
        ("config.json", network.config().into_bytes()),
    ];
    support::open(files).unwrap().report
}

/// The kernel by its definition: γ⁻¹/‖γ⁻¹‖, or the coordinates of the zeros; nothing for an RMSNorm without zeros.
fn kernel(scale: &[f64], subtracts_mean: bool) -> Vec<Vec<f64>> {
    let zeros: Vec<usize> = (0..scale.len()).filter(|&i| scale[i] == 0.0).collect();
    if !zeros.is_empty() {
        return zeros
            .iter()
            .map(|&zero| (0..scale.len()).map(|i| f64::from(u8::from(i == zero))).collect())
            .collect();
    }
    if !subtracts_mean {
        return Vec::new();
    }
    let inverse: Vec<f64> = scale.iter().map(|gamma| 1.0 / gamma).collect();
    let norm = inverse.iter().map(|v| v * v).sum::<f64>().sqrt();
    vec![inverse.iter().map(|v| v / norm).collect()]
}

/// ∂ output / ∂ (moving `name` by `direction`), by central differences.
fn derivative(network: Network, weights: &Weights, name: &str, direction: &[(usize, f64)]) -> Vec<f64> {
    let moved = |step: f64| {
        let mut weights = weights.clone();
        for &(index, amount) in direction {
            weights.get_mut(name).unwrap().1[index] += step * amount;
        }
        network.forward(&weights)
    };
    moved(STEP).iter().zip(moved(-STEP)).map(|(plus, minus)| (plus - minus) / (2.0 * STEP)).collect()
}

/// Rank by elimination with full pivoting; entries below [`STILL`] are zero.
fn rank(mut columns: Vec<Vec<f64>>) -> usize {
    let mut rank = 0;
    loop {
        let pivot = (rank..columns.len())
            .flat_map(|j| (0..columns[j].len()).map(move |i| (j, i)))
            .max_by(|&(j, i), &(k, l)| columns[j][i].abs().total_cmp(&columns[k][l].abs()));
        let Some((j, i)) = pivot.filter(|&(j, i)| columns[j][i].abs() > STILL) else { return rank };
        columns.swap(rank, j);
        let lead = columns[rank].clone();
        for column in &mut columns[rank + 1..] {
            let factor = column[i] / lead[i];
            column.iter_mut().zip(&lead).for_each(|(entry, lead)| *entry -= factor * lead);
        }
        rank += 1;
    }
}

/// Indices and amounts that move row `m` of a reader along `u`.
fn row_direction(shape: &[usize], transposed: bool, m: usize, u: &[f64]) -> Vec<(usize, f64)> {
    let index = |i: usize| if transposed { i * shape[1] + m } else { m * shape[1] + i };
    u.iter().enumerate().map(|(i, &amount)| (index(i), amount)).collect()
}

/// The three classes of one reader, measured.
fn measured(network: Network, weights: &Weights, norm: &NormReport, reader: &ReaderReport) -> DeadDirections {
    let basis = kernel(&weights[norm.scale.as_ref().unwrap()].1, network != Network::Llama);
    let shape = &weights[&reader.name].0;
    let transposed = reader.name.contains(".c_");
    let along: Vec<Vec<f64>> = (0..reader.rows as usize)
        .flat_map(|m| basis.iter().map(move |u| row_direction(shape, transposed, m, u)).collect::<Vec<_>>())
        .map(|direction| derivative(network, weights, &reader.name, &direction))
        .collect();
    let by_bias: Vec<Vec<f64>> = reader
        .bias
        .iter()
        .flat_map(|bias| {
            (0..reader.rows as usize)
                .map(|m| derivative(network, weights, bias, &[(m, 1.0)]))
                .collect::<Vec<_>>()
        })
        .collect();
    let total = along.len();
    let outright = total - rank(along.clone());
    let bias_rank = rank(by_bias.clone());
    let free = total - (rank([by_bias, along].concat()) - bias_rank);
    DeadDirections {
        outright: outright as u64,
        with_bias_shift: (free - outright) as u64,
        constant_shift: (total - free) as u64,
        tied: 0,
    }
}

/// The count of the report, plus the one direction that it leaves out on purpose. A constant a in the values becomes W_o a in
/// the residual stream. If that is ∝ 1, no LayerNorm sees it, so one direction of each value reader is dead outright. It depends
/// on the numbers in W_o, which are not read, so the report does not count it.
fn with_mean_of_the_stream(network: Network, reader: &ReaderReport) -> DeadDirections {
    let mut dead = reader.dead;
    let values = matches!(reader.used_as, ReaderUse::Value | ReaderUse::FusedAttention);
    if values && network != Network::Llama && dead.with_bias_shift > 0 {
        dead.outright += 1;
        dead.with_bias_shift -= 1;
    }
    dead
}

/// Compares every reader.
fn compare(network: Network, weights: &Weights) -> Report {
    let report = report(network, weights);
    for norm in &report.norms {
        for reader in norm.readers.iter().filter(|reader| reader.used_as != ReaderUse::TiedUnembedding) {
            let expected = with_mean_of_the_stream(network, reader);
            assert_eq!(measured(network, weights, norm, reader), expected, "{network:?} {}", reader.name);
        }
    }
    report
}

fn readers(report: &Report) -> usize {
    report.norms.iter().map(|norm| norm.readers.len()).sum()
}

#[test]
fn a_pre_norm_network_with_learned_positions_has_the_counted_directions() {
    let network = Network::Gpt2 { tied: false };
    let report = compare(network, &network.weights(&mut Random(1)));
    // c_attn and c_fc of two blocks, and the unembedding.
    assert_eq!(readers(&report), 5);
    assert!(report.dead_parameters.outright > 0 && report.dead_parameters.with_bias_shift > 0);
    assert!(report.dead_parameters.constant_shift > 0);
}

#[test]
fn a_post_norm_network_has_the_counted_directions() {
    let report = compare(Network::Bert, &Network::Bert.weights(&mut Random(2)));
    // q, k, v and intermediate of two blocks, and the pooler.
    assert_eq!(readers(&report), 9);
}

#[test]
fn without_a_shift_everything_is_dead_outright() {
    let network = Network::Gpt2 { tied: false };
    let mut weights = network.weights(&mut Random(3));
    for (name, (_, values)) in &mut weights {
        if name.contains("ln_") && name.ends_with("bias") {
            values.fill(0.0);
        }
    }
    let report = compare(network, &weights);
    assert_eq!((report.dead_parameters.with_bias_shift, report.dead_parameters.constant_shift), (0, 0));
}

#[test]
fn zero_scales_of_a_layer_norm_kill_their_coordinates_instead() {
    let mut weights = Network::Bert.weights(&mut Random(4));
    let scale = &mut weights.get_mut("encoder.layer.0.output.LayerNorm.weight").unwrap().1;
    (scale[1], scale[4]) = (0.0, 0.0);
    let report = compare(Network::Bert, &weights);
    let site = report.norms.iter().find(|norm| norm.name == "encoder.layer.0.output.LayerNorm").unwrap();
    // A kernel of dimension 2 and a shift: 6 of the 12 directions of the value reader add no constant.
    let value = site.readers.iter().find(|reader| reader.used_as == ReaderUse::Value).unwrap();
    assert_eq!((value.dead.outright, value.dead.with_bias_shift), (6, 6));
}

#[test]
fn an_rms_norm_has_dead_directions_only_where_a_scale_is_zero() {
    let mut weights = Network::Llama.weights(&mut Random(5));
    assert_eq!(compare(Network::Llama, &weights).dead_parameters.outright, 0);
    weights.get_mut("model.layers.1.input_layernorm.weight").unwrap().1[2] = 0.0;
    assert_eq!(compare(Network::Llama, &weights).dead_parameters.outright, 3 * WIDTH as u64);
}

#[test]
fn a_tied_unembedding_is_unread_along_the_kernel_but_the_network_moves() {
    let network = Network::Gpt2 { tied: true };
    let weights = network.weights(&mut Random(6));
    let report = compare(network, &weights);
    let norm = report.norms.last().unwrap();
    let reader = norm.readers.iter().find(|reader| reader.used_as == ReaderUse::TiedUnembedding).unwrap();
    assert_eq!((reader.dead.tied, reader.dead.outright), (VOCABULARY as u64, 0));
    let moved = measured(network, &weights, norm, reader);
    assert!(moved.outright < reader.rows, "the same matrix is the input embedding: {moved:?}");
}

#[test]
fn directions_outside_the_kernel_move_the_output() {
    let network = Network::Gpt2 { tied: false };
    let weights = network.weights(&mut Random(7));
    let mut random = Random(8);
    for reader in report(network, &weights).norms.iter().flat_map(|norm| &norm.readers) {
        let shape = &weights[&reader.name].0;
        let direction: Vec<f64> = (0..WIDTH).map(|_| random.next()).collect();
        let row = row_direction(shape, reader.name.contains(".c_"), 0, &direction);
        let moved = derivative(network, &weights, &reader.name, &row);
        assert!(moved.iter().any(|change| change.abs() > 1e3 * STILL), "{}", reader.name);
    }
}
