//! A model runs with packed weights as it runs with the values that these stand for.

use crate::support::runs::{usual, verified};
use gammascope::inspect::{Opened, open};
use gammascope::source::memory::MemorySource;
use half::f16;
use pollster::block_on;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Map, Value, json};
use std::fs;

/// A tensor to write: name, type, shape, bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

struct Method {
    name: &'static str,
    config: fn() -> Value,
    pack: Pack,
}

/// Stores a map of outputs × inputs with these codes of 4 bits. Returns the tensors, and the values that they stand for.
type Pack = fn(stem: &str, outputs: usize, inputs: usize, codes: &[u32]) -> (Vec<Stored>, Vec<f32>);

/// Values that share a scale.
const GROUP: usize = 8;

const METHODS: [Method; 3] = [
    Method {
        name: "MLX",
        config: || json!({"quantization": {"group_size": GROUP, "bits": 4}}),
        pack: |stem, outputs, inputs, codes| {
            let groups = outputs * inputs / GROUP;
            let (scales, biases): (Vec<f32>, Vec<f32>) =
                (0..groups).map(|at| (scale(at), -7.5 * scale(at))).unzip();
            let values = codes.iter().enumerate();
            let values = values.map(|(at, code)| *code as f32 * scales[at / GROUP] + biases[at / GROUP]);
            let shape = [outputs, inputs / GROUP];
            let tensors = vec![
                (format!("{stem}.weight"), Dtype::U32, vec![outputs, inputs / 8], words(codes)),
                floats(format!("{stem}.scales"), &shape, &scales),
                floats(format!("{stem}.biases"), &shape, &biases),
            ];
            (tensors, values.collect())
        },
    },
    Method {
        name: "GPTQ in an order of its own",
        config: || json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": true}}),
        pack: |stem, outputs, inputs, codes| {
            let groups = inputs / GROUP;
            let group = |input: usize| (5 * input + 3) % groups;
            let scales: Vec<f16> = (0..groups * outputs).map(|at| f16::from_f32(scale(at))).collect();
            let zeros: Vec<u32> = (0..groups * outputs).map(|at| (at as u32 * 7 + 3) % 16).collect();
            // Stored down the columns of inputs × outputs.
            let down: Vec<u32> = (0..inputs / 8 * outputs * 8)
                .map(|at| {
                    let (word, bit) = (at / 8, at % 8);
                    codes[word % outputs * inputs + word / outputs * 8 + bit]
                })
                .collect();
            let value = |at: usize| {
                let place = group(at % inputs) * outputs + at / inputs;
                scales[place].to_f32() * (codes[at] as f32 - (zeros[place] + 1) as f32)
            };
            let halves = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
            let order = (0..inputs).flat_map(|input| (group(input) as i32).to_le_bytes()).collect();
            let tensors = vec![
                (format!("{stem}.qweight"), Dtype::I32, vec![inputs / 8, outputs], words(&down)),
                (format!("{stem}.qzeros"), Dtype::I32, vec![groups, outputs / 8], words(&zeros)),
                (format!("{stem}.scales"), Dtype::F16, vec![groups, outputs], halves),
                (format!("{stem}.g_idx"), Dtype::I32, vec![inputs], order),
            ];
            (tensors, (0..outputs * inputs).map(value).collect())
        },
    },
    Method {
        name: "bitsandbytes, 4 bit",
        config: || json!({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true}}),
        pack: |stem, outputs, inputs, codes| {
            let list: Vec<f32> = (0..16).map(|code| (code as f32 - 7.0) / 8.0).collect();
            let absmax: Vec<f32> = (0..(outputs * inputs).div_ceil(64)).map(|at| 16.0 * scale(at)).collect();
            let values =
                codes.iter().enumerate().map(|(at, code)| list[*code as usize] * absmax[at / 64]).collect();
            let bytes: Vec<u8> = codes.chunks(2).map(|two| (two[0] << 4 | two[1]) as u8).collect();
            let state = json!({"quant_type": "nf4", "blocksize": 64, "shape": [outputs, inputs]}).to_string();
            let tensors = vec![
                (format!("{stem}.weight"), Dtype::U8, vec![bytes.len(), 1], bytes),
                floats(format!("{stem}.weight.absmax"), &[absmax.len()], &absmax),
                floats(format!("{stem}.weight.quant_map"), &[16], &list),
                (
                    format!("{stem}.weight.quant_state.bitsandbytes__nf4"),
                    Dtype::U8,
                    vec![state.len()],
                    state.into_bytes(),
                ),
            ];
            (tensors, values)
        },
    },
];

fn scale(at: usize) -> f32 {
    (1 + at % 5) as f32 / 64.0
}

/// Codes of 4 bits, eight to a word, the first in the lowest bits.
fn words(codes: &[u32]) -> Vec<u8> {
    codes.chunks(2).map(|two| (two[0] | two[1] << 4) as u8).collect()
}

fn floats(name: String, shape: &[usize], values: &[f32]) -> Stored {
    (name, Dtype::F32, shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn opened(tensors: &[Stored], config: &Value) -> Opened<MemorySource> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let file = safetensors::serialize(views, None).unwrap();
    let files = vec![
        MemorySource::new("model.safetensors", file),
        MemorySource::new("config.json", config.to_string().into_bytes()),
    ];
    block_on(open(files, |_| {})).unwrap()
}

/// The packed model of a family, its twin, and how many maps are packed.
fn packed_and_twin(family: &str, method: &Method) -> ([Opened<MemorySource>; 2], usize) {
    let bytes = fs::read(format!("tests/forward/{family}/model.safetensors")).unwrap();
    let config = fs::read(format!("tests/forward/{family}/config.json")).unwrap();
    let config: Map<String, Value> = serde_json::from_slice(&config).unwrap();
    let (mut own, mut twin, mut packed) = (Vec::new(), Vec::new(), 0);
    for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let in_block = name.split('.').any(|part| part.parse::<u32>().is_ok());
        match (tensor.shape(), name.strip_suffix(".weight")) {
            (&[outputs, inputs], Some(stem)) if in_block && outputs % 8 == 0 && inputs % 8 == 0 => {
                let codes: Vec<u32> = (0..outputs * inputs)
                    .map(|at| (((at as u64 * 2_654_435_761) >> 9) % 16) as u32)
                    .collect();
                let (tensors, values) = (method.pack)(stem, outputs, inputs, &codes);
                own.extend(tensors);
                twin.push(floats(name.clone(), tensor.shape(), &values));
                packed += 1;
            }
            _ => {
                let plain = (name, tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec());
                own.push(plain.clone());
                twin.push(plain);
            }
        }
    }
    let mut quantised = config.clone();
    quantised.extend((method.config)().as_object().cloned().unwrap_or_default());
    ([opened(&own, &quantised.into()), opened(&twin, &config.into())], packed)
}

/// A result without its times.
fn numbers(opened: &Opened<MemorySource>) -> Value {
    let (verification, _) = verified(opened, &usual(), 0);
    let mut value = serde_json::to_value(verification).unwrap();
    without_times(&mut value);
    value
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.ends_with("seconds"));
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn a_packed_model_runs_as_its_unpacked_twin() {
    for family in ["bert", "llama", "opt"] {
        for method in &METHODS {
            let ([own, twin], packed) = packed_and_twin(family, method);
            assert!(packed > 3, "{family} as {}: {packed} maps are packed", method.name);
            let message = &own.inspection.report.warnings[0].message;
            assert!(message.ends_with("The values are decoded as they are read"), "{message}");
            assert_eq!(numbers(&own), numbers(&twin), "{family} as {}", method.name);
        }
    }
}
