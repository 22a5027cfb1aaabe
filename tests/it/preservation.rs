//! Function preservation (MATH §4) on the tiny random checkpoints of tests/forward and on the trained ones of samples/: moving a
//! reader along the kernel of its norm changes only rounding, and along other directions it changes the function.

use gammascope::checkpoint::{self, Checkpoint};
use gammascope::forward::kernels::Cpu;
use gammascope::forward::{Edit, ForwardError, Input, Pass, Unwatched};
use gammascope::model::architecture::{Architecture, FeedForward, Linear, Mixer, Projections};
use gammascope::model::operation::Layout;
use gammascope::model::resolve;
use gammascope::report::{
    NormKind, Preservation, PreservationDirection, PreservationMeasure, PreservationVerdict,
};
use gammascope::run::preservation::{MOST, SIZES, preservation, runs};
use gammascope::source::memory::MemorySource;
use gammascope::text::ids::uniform;
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// Tensors to store: type, shape and bytes by name.
type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

struct Model {
    checkpoint: Checkpoint<MemorySource>,
    architecture: Architecture,
}

fn stored(folder: &str) -> (Stored, Vec<u8>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    (tensors, std::fs::read(folder.join("config.json")).unwrap())
}

fn model((tensors, config): (Stored, Vec<u8>)) -> Model {
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let weights = safetensors::serialize(views, None).unwrap();
    let sources =
        vec![MemorySource::new("model.safetensors", weights), MemorySource::new("config.json", config)];
    let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
    let architecture = resolve(&checkpoint).unwrap();
    Model { checkpoint, architecture }
}

fn family(name: &str) -> Model {
    model(stored(&format!("tests/forward/{name}")))
}

/// Decodes bfloat16 or f32 to f32.
fn decoded(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::BF16 => bytes
            .chunks_exact(2)
            .map(|pair| f32::from_bits(u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16))
            .collect(),
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn of_f32(shape: Vec<usize>, values: Vec<f32>) -> (Dtype, Vec<usize>, Vec<u8>) {
    (Dtype::F32, shape, values.into_iter().flat_map(f32::to_le_bytes).collect())
}

impl Model {
    fn name(&self, tensor: usize) -> &str {
        &self.checkpoint.tensors[tensor].name
    }

    fn pass<'a>(&'a self, ids: &'a [u32]) -> Pass<'a, MemorySource> {
        Pass::new(&self.checkpoint, &self.architecture, Input::token_ids(ids, 16).unwrap()).unwrap()
    }

    /// All logits, or the last hidden states if there is no head.
    fn output(&self, pass: &Pass<'_, MemorySource>) -> Vec<f32> {
        let hidden = block_on(pass.run(&mut Unwatched)).unwrap();
        if self.architecture.head.is_none() {
            return hidden;
        }
        let mut all = Vec::new();
        block_on(pass.logits(&hidden, |_, _, slice| all.extend_from_slice(slice))).unwrap();
        all
    }

    fn preserved(&self) -> Vec<Preservation> {
        let ids = uniform(128, self.architecture.vocabulary);
        let tokens = Input::token_ids(&ids, 16).unwrap();
        let mut told = Vec::new();
        let found = block_on(preservation(
            &self.checkpoint,
            &self.architecture,
            tokens.into(),
            &Cpu,
            None,
            async |done, of| {
                told.push((done, of));
                ControlFlow::Continue(())
            },
        ))
        .unwrap();
        let total = runs(&self.architecture);
        assert_eq!(told, (1..=total).map(|done| (done, total)).collect::<Vec<_>>());
        let sites = found.iter().filter(|row| row.direction == PreservationDirection::Random).count();
        assert_eq!(found.len() * SIZES.len() + sites, total);
        found
    }
}

/// The linear maps of the first block and of the head, for the tests to edit.
fn linears(architecture: &Architecture) -> Vec<Linear> {
    let block = &architecture.blocks[0];
    let mut linears = match &block.attention {
        Mixer::Linear(rule) => vec![*rule.projections.main()],
        Mixer::Softmax(attention) => match &attention.projections {
            Projections::Separate(all) => all.to_vec(),
            Projections::Shared(both) => both.to_vec(),
            Projections::Concatenated(all) | Projections::Grouped(all) => vec![*all],
            Projections::Latent(latent) => vec![latent.compress],
            Projections::Borrowed { queries, .. } => vec![*queries],
        },
    };
    if let FeedForward::Plain { up, .. } = block.feed_forward {
        linears.push(up);
    }
    linears.extend(architecture.head.as_ref().map(|head| head.unembedding));
    linears
}

#[test]
fn an_edited_pass_computes_what_the_edited_checkpoint_computes() {
    // Both layouts, fused in two ways, with and without biases, and with a separate head.
    for name in ["gpt2", "llama", "gpt_neox", "falcon", "bert-bare", "olmo", "qwen3_5"] {
        let original = family(name);
        let ids = uniform(32, original.architecture.vocabulary);
        let unedited = original.output(&original.pass(&ids));
        for linear in linears(&original.architecture) {
            if original.architecture.embedding.tokens().is_some_and(|tokens| tokens.tokens == linear.weight) {
                continue;
            }
            let Linear { inputs, outputs, .. } = linear;
            let rows: Vec<f64> = (0..outputs).map(|row| 0.3 - 0.01 * row as f64).collect();
            let columns: Vec<f64> =
                (0..inputs).map(|column| ((column * 7) % 5) as f64 * 0.04 - 0.05).collect();
            let bias = linear.bias.map(|_| (0..outputs).map(|row| 0.02 * row as f64).collect::<Vec<_>>());
            let (mut tensors, config) = stored(&format!("tests/forward/{name}"));
            let (dtype, shape, bytes) = &tensors[original.name(linear.weight)];
            let mut values = decoded(*dtype, bytes);
            for (row, a) in rows.iter().enumerate() {
                for (column, v) in columns.iter().enumerate() {
                    let at = match linear.layout {
                        Layout::OutputInput => row * inputs + column,
                        Layout::InputOutput => column * outputs + row,
                    };
                    values[at] = (f64::from(values[at]) + a * v) as f32;
                }
            }
            let edited = of_f32(shape.clone(), values);
            tensors.insert(original.name(linear.weight).to_owned(), edited);
            if let (Some(tensor), Some(added)) = (linear.bias, &bias) {
                let (dtype, shape, bytes) = &tensors[original.name(tensor)];
                let values = decoded(*dtype, bytes);
                let values = values.iter().zip(added).map(|(b, c)| (f64::from(*b) + c) as f32).collect();
                let edited = of_f32(shape.clone(), values);
                tensors.insert(original.name(tensor).to_owned(), edited);
            }
            let rewritten = model((tensors, config));
            let edits = [Edit { weight: linear.weight, rows, columns, bias }];
            let found = original.output(&original.pass(&ids).edited(&edits));
            let of = original.name(linear.weight);
            assert_eq!(found, rewritten.output(&rewritten.pass(&ids)), "{name}, {of}");
            assert_ne!(found, unedited, "{name}, {of}");
        }
    }
}

#[test]
fn a_reader_without_a_bias_is_given_one_and_takes_the_constant_back() {
    // W + a vᵀ with v = 0 and a bias leaves only the constant.
    let llama = family("llama");
    let ids = uniform(32, llama.architecture.vocabulary);
    let unembedding = llama.architecture.head.as_ref().unwrap().unembedding;
    assert_eq!(unembedding.bias, None);
    let bias = (0..unembedding.outputs).map(|row| row as f64).collect();
    let (rows, columns) = (vec![0.0; unembedding.outputs], vec![0.0; unembedding.inputs]);
    let edits = [Edit { weight: unembedding.weight, rows, columns, bias: Some(bias) }];
    let (before, after) = (llama.output(&llama.pass(&ids)), llama.output(&llama.pass(&ids).edited(&edits)));
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        let row = at % unembedding.outputs;
        assert_eq!(*after, before + row as f32);
    }
}

#[test]
fn an_edit_of_another_size_is_refused_by_name() {
    let llama = family("llama");
    let ids = uniform(16, 80);
    let weight = llama.architecture.head.as_ref().unwrap().unembedding.weight;
    let edits = [Edit { weight, rows: vec![0.0; 80], columns: vec![0.0; 31], bias: None }];
    let pass = llama.pass(&ids).edited(&edits);
    let hidden = block_on(pass.run(&mut Unwatched)).unwrap();
    let error = block_on(pass.logits(&hidden, |_, _, _| {})).unwrap_err();
    assert!(matches!(error, ForwardError::Edit { .. }));
    assert!(error.to_string().contains("`lm_head.weight` has 80 × 31 values"), "{error}");
}

/// The rows of one direction.
fn along(rows: &[Preservation], direction: PreservationDirection) -> Vec<&Preservation> {
    let rows: Vec<_> = rows.iter().filter(|row| row.direction == direction).collect();
    assert!(!rows.is_empty(), "{direction:?}");
    rows
}

/// Asserts that the change of the function grows as tᵏ, like that of any small edit.
fn grows(row: &Preservation) {
    let expected = if row.measure == PreservationMeasure::Divergence { 2.0 } else { 1.0 };
    assert_eq!(row.verdict, PreservationVerdict::Changed, "{row:?}");
    // At t = 0.1, third-order terms are about a tenth of it.
    assert!((row.exponent.unwrap() - expected).abs() < 0.1, "{row:?}");
}

/// The most that rounding may leave. We saw 2e-14 … 6e-13 nats, and 1e-7 … 2e-7 of the last hidden states, about the effect of
/// rounding the weights to f32. The smallest changes along another direction are 4e-11 and 3e-4.
fn most_of_rounding(measure: PreservationMeasure) -> f64 {
    match measure {
        PreservationMeasure::Divergence => 1e-11,
        PreservationMeasure::RelativeChange => 3e-6,
    }
}

#[test]
fn the_kernel_of_a_layernorm_changes_nothing_at_any_t_and_random_directions_grow_as_t_squared() {
    // Pre-norm and post-norm, fused or not, parallel or not, with and without a head, without stored scales (OLMo), trained.
    let fixtures = ["gpt2", "gpt_neox", "falcon", "bert", "bert-bare", "olmo", "opt"];
    let folders = fixtures.iter().map(|name| format!("tests/forward/{name}"));
    for folder in folders.chain(["samples/layernorm".to_owned()]) {
        let model = model(stored(&folder));
        let found = model.preserved();
        for row in along(&found, PreservationDirection::Kernel) {
            assert_eq!((row.kind, row.in_kernel), (NormKind::LayerNorm, true), "{folder}: {row:?}");
            assert_eq!(row.verdict, PreservationVerdict::Preserved, "{folder}: {row:?}");
            assert_eq!(row.exponent, None);
            let most = most_of_rounding(row.measure);
            assert!(row.points.iter().all(|point| point.value < most), "{folder}: {row:?}");
        }
        along(&found, PreservationDirection::Random).into_iter().for_each(grows);
        let expected = match model.architecture.head {
            Some(_) => PreservationMeasure::Divergence,
            None => PreservationMeasure::RelativeChange,
        };
        assert!(found.iter().all(|row| row.measure == expected));
        assert!(found.len() <= 3 * MOST);
    }
}

#[test]
fn a_bias_that_is_kept_lets_the_constant_through() {
    for name in ["gpt2", "gpt_neox", "bert", "bert-bare"] {
        for row in along(&family(name).preserved(), PreservationDirection::KernelBiasKept) {
            assert!(row.in_kernel && row.constant.abs() > 0.01, "{name}: {row:?}");
            grows(row);
        }
    }
    // Without β there is no constant, so there is nothing to test.
    let olmo = family("olmo").preserved();
    assert!(
        olmo.iter().all(|row| row.direction != PreservationDirection::KernelBiasKept && row.constant == 0.0)
    );
}

#[test]
fn the_inverse_scale_of_an_rmsnorm_is_not_dead() {
    for folder in ["tests/forward/llama", "tests/forward/gemma2", "samples/rmsnorm"] {
        for row in along(&model(stored(folder)).preserved(), PreservationDirection::Kernel) {
            assert_eq!((row.kind, row.in_kernel), (NormKind::RmsNorm, false), "{folder}: {row:?}");
            grows(row);
        }
    }
}

#[test]
fn a_scale_of_zero_makes_its_coordinate_dead_in_either_kind_of_norm() {
    for (name, scale) in [("gpt2", "transformer.ln_f.weight"), ("llama", "model.norm.weight")] {
        let (mut tensors, config) = stored(&format!("tests/forward/{name}"));
        let (dtype, shape, bytes) = &tensors[scale];
        let mut values = decoded(*dtype, bytes);
        values[5] = 0.0;
        let edited = of_f32(shape.clone(), values);
        tensors.insert(scale.to_owned(), edited);
        let found = model((tensors, config)).preserved();
        let site = scale.strip_suffix(".weight").unwrap();
        let row = found.iter().find(|row| row.site == site && row.direction == PreservationDirection::Kernel);
        let row = row.unwrap();
        assert!(row.in_kernel && row.verdict == PreservationVerdict::Preserved, "{row:?}");
    }
}

#[test]
fn the_first_the_middle_and_the_last_block_and_the_head_are_tried() {
    let found = model(stored("samples/layernorm")).preserved();
    let random = along(&found, PreservationDirection::Random);
    let sites: Vec<&str> = random.iter().map(|row| row.site.as_str()).collect();
    assert_eq!(
        sites,
        ["h.0.ln_1", "h.2.ln_1", "h.2.ln_2", "h.3.ln_1", "h.3.ln_2", "ln_f"]
            .map(|site| format!("transformer.{site}"))
    );
    assert!(random[5].tied && random[5].reader == "transformer.wte.weight");
    assert_eq!(random[0].reader, "transformer.h.0.attn.c_attn.weight");
}

#[test]
fn the_watcher_can_stop_it_and_the_complete_sites_stay() {
    let gpt2 = family("gpt2");
    let ids = uniform(32, 80);
    let tokens = Input::token_ids(&ids, 16).unwrap();
    // The control and three directions at three t. The second site has begun.
    let stop = async |done, _| if done == 11 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let found = block_on(preservation(&gpt2.checkpoint, &gpt2.architecture, tokens.into(), &Cpu, None, stop))
        .unwrap();
    assert_eq!(found.len(), 3);
}
