//! Function preservation (MATH §4) on the tiny random checkpoints of tests/forward and on the trained ones of samples/: moving a
//! reader along the kernel of its norm changes nothing but rounding, along other directions it does.
#![cfg(feature = "verify")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use gammascope::checkpoint::{self, Checkpoint};
use gammascope::cpu::linear::Layout;
use gammascope::forward::kernels::Cpu;
use gammascope::forward::{Edit, ForwardError, Pass, Tokens, Unwatched};
use gammascope::model::architecture::{Architecture, FeedForward, Linear, Projections};
use gammascope::model::resolve;
use gammascope::report::{
    NormKind, Preservation, PreservationDirection, PreservationMeasure, PreservationVerdict,
};
use gammascope::source::memory::MemorySource;
use gammascope::verify::ids::uniform;
use gammascope::verify::preservation::{MOST, SIZES, preservation, runs};
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// Tensors as they are to be stored: by name, type, shape and bytes.
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

/// bfloat16 to f32, or f32 as it is.
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
        Pass::new(&self.checkpoint, &self.architecture, Tokens::new(ids, 16).unwrap()).unwrap()
    }

    /// All logits, or the last hidden states where there is no head.
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
        let tokens = Tokens::new(&ids, 16).unwrap();
        let mut told = Vec::new();
        let found = block_on(preservation(
            &self.checkpoint,
            &self.architecture,
            tokens,
            &Cpu,
            async |done, of| {
                told.push((done, of));
                ControlFlow::Continue(())
            },
        ))
        .unwrap();
        let total = runs(&self.architecture);
        assert_eq!(told, (1..=total).map(|done| (done, total)).collect::<Vec<_>>());
        assert_eq!(found.len() * SIZES.len(), total);
        found
    }
}

/// The linear maps of the first block and of the head that tests edit.
fn linears(architecture: &Architecture) -> Vec<Linear> {
    let block = &architecture.blocks[0];
    let mut linears = match block.attention.projections {
        Projections::Separate(all) => all.to_vec(),
        Projections::Concatenated(all) | Projections::Grouped(all) => vec![all],
    };
    if let FeedForward::Plain { up, .. } = block.feed_forward {
        linears.push(up);
    }
    linears.extend(architecture.head.as_ref().map(|head| head.unembedding));
    linears
}

#[test]
fn an_edited_pass_computes_what_the_edited_checkpoint_computes() {
    // Both layouts, fused in two ways, biases or none, a head of its own.
    for name in ["gpt2", "llama", "gpt_neox", "falcon", "bert-bare", "olmo"] {
        let original = family(name);
        let ids = uniform(32, original.architecture.vocabulary);
        let unedited = original.output(&original.pass(&ids));
        for linear in linears(&original.architecture) {
            if linear.weight == original.architecture.embedding.tokens {
                continue;
            }
            let Linear { inputs, outputs, .. } = linear;
            let rows: Vec<f64> = (0..outputs).map(|row| 0.3 - 0.01 * row as f64).collect();
            let columns: Vec<f64> = (0..inputs).map(|column| ((column * 7) % 5) as f64 * 0.04 - 0.05).collect();
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
    // W + a vᵀ with v = 0 and a bias: only the constant is there.
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
    assert!(error.to_string().contains("`lm_head.weight` is of 80 × 31 values"), "{error}");
}

fn print(rows: &[Preservation]) {
    for row in rows {
        let values: Vec<String> = row.points.iter().map(|point| format!("{:.1e}", point.value)).collect();
        println!(
            "{:50} {:16} in kernel {:5} constant {:+.3}: {} floor {:.0e} exponent {:?} {:?}",
            row.site,
            format!("{:?}", row.direction),
            row.in_kernel,
            row.constant,
            values.join(" "),
            row.floor,
            row.exponent,
            row.verdict
        );
    }
}

#[test]
fn look() {
    for name in ["gpt2", "llama", "gpt_neox", "falcon", "bert", "bert-bare", "olmo", "olmo2", "mixtral", "t5", "opt", "gemma2"] {
        println!("{name}");
        print(&family(name).preserved());
    }
    for name in ["layernorm", "rmsnorm"] {
        println!("{name}");
        print(&model(stored(&format!("samples/{name}"))).preserved());
    }
    let _ = (MOST, NormKind::LayerNorm, PreservationMeasure::Divergence, PreservationVerdict::Changed, PreservationDirection::Kernel);
}
