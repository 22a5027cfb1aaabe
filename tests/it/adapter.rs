//! A LoRA adapter and its base: modules find their sites, the waste follows the definition, and wrong adapters get a message.

use crate::support;
use crate::support::network::{Network, Random, WIDTH, Weights};
use gammascope::adapter::{Adapter, weigh};
use gammascope::inspect::Opened;
use gammascope::report::adapter::{AdapterReport, SCHEMA};
use gammascope::report::{KernelForm, WarningCode};
use gammascope::source::memory::MemorySource;

const GPT2: Network = Network::Gpt2 { tied: true };
const RANK: usize = 2;

/// Name, shape and values.
type Named = (String, Vec<usize>, Vec<f32>);

fn base(network: Network, weights: &Weights) -> Opened<MemorySource> {
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = weights
        .iter()
        .map(|(name, (shape, values))| {
            (name.as_str(), shape.as_slice(), values.iter().map(|&value| value as f32).collect())
        })
        .collect();
    let sources = vec![
        MemorySource::new("base/model.safetensors", support::tensors(&tensors)),
        MemorySource::new("base/config.json", network.config().into_bytes()),
    ];
    pollster::block_on(gammascope::inspect::open(sources, |_| {})).unwrap()
}

/// A and B of a module with so many `inputs` and `outputs`.
fn lora(module: &str, inputs: usize, outputs: usize, random: &mut Random) -> [Named; 2] {
    let mut part = |name: &str, rows: usize, columns: usize| {
        let values = (0..rows * columns).map(|_| random.next() as f32).collect();
        (format!("base_model.model.{module}.{name}.weight"), vec![rows, columns], values)
    };
    [part("lora_A", RANK, inputs), part("lora_B", outputs, RANK)]
}

fn adapter(tensors: &[Named], config: &str) -> Result<Adapter<MemorySource>, String> {
    let listed: Vec<(&str, &[usize], Vec<f32>)> = tensors
        .iter()
        .map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone()))
        .collect();
    let sources = vec![
        MemorySource::new("tuned/adapter_model.safetensors", support::tensors(&listed)),
        MemorySource::new("tuned/adapter_config.json", config.as_bytes()),
    ];
    pollster::block_on(Adapter::open(sources)).map_err(|error| error.to_string())
}

const LORA: &str = r#"{"peft_type":"LORA","r":2,"lora_alpha":4,"use_dora":false}"#;

fn weighed(network: Network, weights: &Weights, tensors: &[Named]) -> Result<AdapterReport, String> {
    let adapter = adapter(tensors, LORA)?;
    pollster::block_on(weigh(&base(network, weights), &adapter)).map_err(|error| error.to_string())
}

fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

/// ‖A v‖²/‖A‖² with v = γ⁻¹/‖γ⁻¹‖, from the definition.
fn share(a: &[f32], scale: &[f64]) -> f64 {
    let inverse: Vec<f64> = scale.iter().map(|&gamma| 1.0 / f64::from(gamma as f32)).collect();
    let norm = inverse.iter().map(|v| v * v).sum::<f64>();
    let along = |row: &[f32]| row.iter().zip(&inverse).map(|(a, v)| f64::from(*a) * v).sum::<f64>().powi(2);
    let wasted: f64 = a.chunks(WIDTH).map(along).sum();
    wasted / norm / a.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>()
}

#[test]
fn modules_find_their_sites_and_the_most_wasteful_comes_first() {
    let weights = GPT2.weights(&mut Random(1));
    let mut random = Random(2);
    let mut tensors = Vec::new();
    for block in 0..2 {
        tensors.extend(lora(&format!("transformer.h.{block}.attn.c_attn"), WIDTH, 3 * WIDTH, &mut random));
        tensors.extend(lora(&format!("transformer.h.{block}.mlp.c_fc"), WIDTH, 8, &mut random));
    }
    let report = weighed(GPT2, &weights, &tensors).unwrap();
    assert_eq!(
        (report.schema.as_str(), report.base.as_str(), report.adapter.as_str()),
        (SCHEMA, "base", "tuned")
    );
    assert_eq!((report.modules.len(), report.skipped.len()), (4, 0));
    assert!(report.modules.windows(2).all(|two| two[0].wasted >= two[1].wasted));
    let (mut wasted, mut energy) = (0.0, 0.0);
    for module in &report.modules {
        let norm = if module.module.ends_with("c_attn") { "ln_1" } else { "ln_2" };
        let block = module.module.split('.').nth(2).unwrap();
        assert_eq!(module.site, format!("transformer.h.{block}.{norm}"));
        assert_eq!((module.rank, module.width, module.kernel_dimension), (2, 6, 1));
        assert_eq!(module.null, 1.0 / 6.0);
        let a =
            tensors.iter().find(|(name, ..)| name.contains(&format!("{}.lora_A", module.module))).unwrap();
        let expected = share(&a.2, &weights[&format!("{}.weight", module.site)].1);
        assert!((module.wasted - expected).abs() < 1e-12, "{} {expected}", module.wasted);
        wasted += module.wasted * module.energy;
        energy += module.energy;
    }
    assert!((report.wasted.unwrap() - wasted / energy).abs() < 1e-14);
    assert_eq!(report.null, Some(1.0 / 6.0));
    says(&report.sentence, &["4 of 4 adapted modules", "times the share by chance", "k/d"]);
}

#[test]
fn at_an_rms_norm_nothing_is_wasted_and_attention_outputs_read_no_norm() {
    let weights = Network::Llama.weights(&mut Random(1));
    let mut random = Random(2);
    let mut tensors = Vec::new();
    tensors.extend(lora("model.layers.0.self_attn.q_proj", WIDTH, WIDTH, &mut random));
    tensors.extend(lora("model.layers.1.mlp.up_proj", WIDTH, 8, &mut random));
    tensors.extend(lora("model.layers.1.self_attn.o_proj", WIDTH, WIDTH, &mut random));
    let report = weighed(Network::Llama, &weights, &tensors).unwrap();
    assert!(report.modules.iter().all(|module| module.form == KernelForm::None && module.wasted == 0.0));
    assert_eq!((report.modules.len(), report.wasted, report.null), (2, None, None));
    says(&report.sentence, &["2 read norm sites without a kernel", "nothing is wasted"]);
    assert_eq!(report.skipped.len(), 1);
    says(&report.skipped[0].why, &["not known to read a norm's output"]);
}

#[test]
fn the_part_of_an_adapter_at_a_zero_scale_is_wasted_in_any_norm() {
    let mut weights = Network::Llama.weights(&mut Random(1));
    weights.get_mut("model.layers.0.input_layernorm.weight").unwrap().1[3] = 0.0;
    let tensors = lora("model.layers.0.self_attn.q_proj", WIDTH, WIDTH, &mut Random(2));
    let report = weighed(Network::Llama, &weights, &tensors).unwrap();
    let a = &tensors[0].2;
    let energy: f64 = a.iter().map(|&a| f64::from(a).powi(2)).sum();
    let column: f64 = a.chunks(WIDTH).map(|row| f64::from(row[3]).powi(2)).sum();
    assert_eq!(report.modules[0].form, KernelForm::Coordinates);
    assert!((report.modules[0].wasted - column / energy).abs() < 1e-14);
}

#[test]
fn names_of_training_and_of_wrappers_are_understood() {
    let weights = GPT2.weights(&mut Random(1));
    let mut tensors = lora("model.transformer.h.0.attn.c_attn", WIDTH, 3 * WIDTH, &mut Random(2)).to_vec();
    for (name, ..) in &mut tensors {
        *name = name.replace(".weight", ".default.weight");
    }
    let report = weighed(GPT2, &weights, &tensors).unwrap();
    assert_eq!(report.modules[0].weight, "transformer.h.0.attn.c_attn.weight");
}

#[test]
fn convolutions_embeddings_and_empty_or_unusable_modules_are_left_out_with_a_reason() {
    let weights = GPT2.weights(&mut Random(1));
    let mut random = Random(2);
    let mut tensors = lora("transformer.h.0.attn.c_attn", WIDTH, 3 * WIDTH, &mut random).to_vec();
    let mut add = |name: &str, shape: &[usize], value: f32| {
        let values = vec![value; shape.iter().product()];
        tensors.push((format!("base_model.model.transformer.{name}"), shape.to_vec(), values));
    };
    add("wte.lora_embedding_A", &[2, 7], 1.0);
    add("wpe.lora_A.weight", &[2, 6, 1, 1], 1.0);
    add("h.0.mlp.c_fc.lora_A.weight", &[0, 6], 1.0);
    add("h.1.mlp.c_fc.lora_A.weight", &[2, 6], 0.0);
    add("h.1.attn.c_attn.lora_A.weight", &[2, 6], f32::NAN);
    add("h.9.attn.c_attn.lora_A.weight", &[2, 6], 1.0);
    let report = weighed(GPT2, &weights, &tensors).unwrap();
    assert_eq!(report.modules.len(), 1);
    let why = |end: &str| &report.skipped.iter().find(|skipped| skipped.module.ends_with(end)).unwrap().why;
    says(why("wte"), &["embedding"]);
    says(why("wpe"), &["convolution"]);
    says(why("h.0.mlp.c_fc"), &["rank 0"]);
    says(why("h.1.mlp.c_fc"), &["all zero"]);
    says(why("h.1.attn.c_attn"), &["[0] is NaN"]);
    says(why("h.9.attn.c_attn"), &["no weight of this name"]);
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let weights = GPT2.weights(&mut Random(1));
    let refused = |tensors: &[Named]| weighed(GPT2, &weights, tensors).unwrap_err();
    let mut random = Random(2);
    says(
        &refused(&lora("model.layers.0.self_attn.q_proj", 64, 64, &mut random)),
        &["`model.layers.0.self_attn.q_proj`", "no module", "base that the adapter was trained on"],
    );
    says(
        &refused(&lora("transformer.h.0.attn.c_attn", 12, 36, &mut random)),
        &["lora_A", "2 × 12", "reads 6 values", "of another base"],
    );
    says(
        &refused(&lora("transformer.h.0.attn.c_attn", 6, 36, &mut random)),
        &["lora_B", "36 × 2", "gives 18 values", "of another base"],
    );
}

#[test]
fn unsupported_adapters_are_refused() {
    let tensors = lora("transformer.h.0.attn.c_attn", WIDTH, 3 * WIDTH, &mut Random(2));
    let refused = |tensors: &[Named], config: &str| adapter(tensors, config).err().unwrap();
    says(&refused(&tensors, r#"{"peft_type":"LORA","use_dora":true}"#), &["`tuned`", "DoRA", "merge"]);
    let magnitude =
        ("base_model.model.transformer.h.0.attn.c_attn.lora_magnitude_vector".to_owned(), vec![1], vec![1.0]);
    let mut with_magnitude = tensors.to_vec();
    with_magnitude.push(magnitude);
    says(&refused(&with_magnitude, LORA), &["DoRA"]);
    says(&refused(&tensors, r#"{"peft_type":"IA3"}"#), &["IA3", "merge"]);
    let weights = GPT2.weights(&mut Random(1));
    let other = vec![("lora_unet_down.lora_down.weight".to_owned(), vec![2, 6], vec![1.0; 12])];
    says(&weighed(GPT2, &weights, &other).unwrap_err(), &["lora_unet_down", "no module"]);
    let nothing = vec![("h.0.attn.weight".to_owned(), vec![2, 6], vec![1.0; 12])];
    says(&weighed(GPT2, &weights, &nothing).unwrap_err(), &["h.0.attn.weight", "save_pretrained"]);
    let empty =
        vec![("base_model.model.transformer.h.0.attn.c_attn.lora_A.weight".to_owned(), vec![0, 6], vec![])];
    says(&weighed(GPT2, &weights, &empty).unwrap_err(), &["rank 0", "adapts nothing"]);
}

#[test]
fn a_damaged_configuration_is_a_warning_and_checkpoints_of_earlier_steps_are_left_out() {
    let weights = GPT2.weights(&mut Random(1));
    let tensors = lora("transformer.h.0.attn.c_attn", WIDTH, 3 * WIDTH, &mut Random(2));
    let listed: Vec<(&str, &[usize], Vec<f32>)> = tensors
        .iter()
        .map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone()))
        .collect();
    let file = support::tensors(&listed);
    let sources = vec![
        MemorySource::new("tuned/adapter_model.safetensors", file.clone()),
        MemorySource::new("tuned/adapter_config.json", &b"{"[..]),
        MemorySource::new("tuned/checkpoint-10/adapter_model.safetensors", file),
    ];
    let adapter = pollster::block_on(Adapter::open(sources)).unwrap();
    let report = pollster::block_on(weigh(&base(GPT2, &weights), &adapter)).unwrap();
    assert_eq!((report.modules.len(), report.warnings.len()), (1, 1));
    assert_eq!(report.warnings[0].code, WarningCode::AdapterConfigUnreadable);
}
