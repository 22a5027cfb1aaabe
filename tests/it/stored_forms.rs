//! One network in all the forms that people store, wrapped and packed: norms, readers and parameters are the same in each.

use gammascope::adapter::{Adapter, weigh};
use gammascope::inspect::{inspect, open};
use gammascope::report::{NormKind, NormReport, Report};
use gammascope::source::memory::MemorySource;
use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::fs;

/// Models with and without biases, fused and separate projections, maps stored outputs × inputs and inputs × outputs.
const MODELS: [&str; 8] = ["bert", "gpt2", "opt", "gpt_neox", "bloom", "phi", "llama", "gemma3"];

/// A tensor to write: name, type, shape, bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

fn model(name: &str) -> (Vec<Stored>, Vec<u8>) {
    let folder = format!("tests/forward/{name}");
    let bytes = fs::read(format!("{folder}/model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file
        .tensors()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()));
    (tensors.collect(), fs::read(format!("{folder}/config.json")).unwrap())
}

fn file(tensors: &[Stored]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

fn sources(tensors: &[Stored], config: Vec<u8>) -> Vec<MemorySource> {
    vec![MemorySource::new("model.safetensors", file(tensors)), MemorySource::new("config.json", config)]
}

fn report(tensors: &[Stored], config: Vec<u8>) -> Report {
    pollster::block_on(inspect(sources(tensors, config), |_| {})).unwrap().report
}

/// The facts that do not depend on how a network is stored.
fn facts(report: &Report) -> (Vec<(NormKind, u64)>, [u64; 4], u64) {
    let dead = &report.dead_parameters;
    let mut norms: Vec<(NormKind, u64)> = report.norms.iter().map(|norm| (norm.kind, norm.width)).collect();
    norms.sort_by_key(|(kind, width)| (format!("{kind:?}"), *width));
    (
        norms,
        [dead.outright, dead.with_bias_shift, dead.constant_shift, dead.tied],
        report.checkpoint.parameters,
    )
}

fn codes(report: &Report) -> Vec<&str> {
    report.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// Whether a tensor is a linear map inside a block. People pack and adapt these.
fn is_map(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && name.ends_with(".weight") && name.split('.').any(|part| part.parse::<u32>().is_ok())
}

/// How a wrapper renames a tensor.
type Wrap = fn(&str) -> String;

#[test]
fn names_of_wrapped_models_change_nothing() {
    let wrap: [(&str, Wrap); 6] = [
        ("DDP", |name| format!("module.{name}")),
        ("a compiled module under DDP", |name| format!("_orig_mod.module.{name}")),
        ("FSDP", |name| {
            let parts: Vec<&str> = name.split('.').collect();
            let wrapped = parts.iter().map(|part| match part.parse::<u32>() {
                Ok(number) => format!("{number}._fsdp_wrapped_module"),
                Err(_) => (*part).to_owned(),
            });
            format!("_fsdp_wrapped_module.{}", wrapped.collect::<Vec<_>>().join("."))
        }),
        ("PEFT", |name| match name.rsplit_once('.') {
            Some((module, leaf)) if module.ends_with("proj") || module.ends_with("query") => {
                format!("base_model.model.{module}.base_layer.{leaf}")
            }
            _ => format!("base_model.model.{name}"),
        }),
        ("a moving average", |name| format!("ema_model.{name}")),
        ("a nested state", |name| format!("model_state_dict.module.{name}")),
    ];
    for family in MODELS {
        let (tensors, config) = model(family);
        let plain = report(&tensors, config.clone());
        for (what, wrap) in wrap {
            let wrapped: Vec<Stored> = tensors
                .iter()
                .map(|(name, dtype, shape, bytes)| (wrap(name), *dtype, shape.clone(), bytes.clone()))
                .chain([("step".to_owned(), Dtype::F32, vec![], vec![0; 4])])
                .collect();
            let found = report(&wrapped, config.clone());
            let (norms, dead, parameters) = facts(&plain);
            assert_eq!(facts(&found), (norms, dead, parameters + 1), "{family} as {what}");
            // The names are those of the file.
            for norm in &found.norms {
                let scale = norm.scale.as_deref().unwrap();
                assert!(wrapped.iter().any(|(name, ..)| name == scale), "{family} as {what}: {scale}");
                assert!(scale.starts_with(&norm.name), "{family} as {what}: {scale}, {}", norm.name);
            }
        }
    }
}

#[test]
fn an_adapter_beside_its_weights_and_trained_copies_leave_the_readers_as_they_are() {
    // Doubled, the stored values of Gemma are no longer like γ − 1.
    for family in MODELS.into_iter().filter(|family| *family != "gemma3") {
        let (tensors, config) = model(family);
        let plain = report(&tensors, config.clone());
        let mut state: Vec<Stored> = Vec::new();
        for (name, dtype, shape, bytes) in tensors {
            let (module, leaf) = name.rsplit_once('.').unwrap_or(("", &name));
            let module = format!("base_model.model.{module}");
            if is_map(&name, &shape) {
                let (rank, [outer, inner]) = (2, [shape[0], shape[1]]);
                let zeros = |count: usize| vec![0; 4 * count];
                state.push((
                    format!("{module}.lora_A.tuned.weight"),
                    Dtype::F32,
                    vec![rank, inner],
                    zeros(rank * inner),
                ));
                state.push((
                    format!("{module}.lora_B.tuned.weight"),
                    Dtype::F32,
                    vec![outer, rank],
                    zeros(rank * outer),
                ));
                state.push((format!("{module}.base_layer.{leaf}"), dtype, shape, bytes));
            } else if plain
                .norms
                .iter()
                .any(|norm| norm.scale.as_ref() == Some(&name) || norm.shift.as_ref() == Some(&name))
            {
                // The trained copy is twice the original.
                let trained = bytes.chunks_exact(2).flat_map(|value| {
                    (bf16::from_le_bytes([value[0], value[1]]) * bf16::from_f32(2.0)).to_le_bytes()
                });
                let copy = trained.collect();
                state.push((format!("{module}.original_module.{leaf}"), dtype, shape.clone(), bytes));
                state.push((format!("{module}.modules_to_save.tuned.{leaf}"), dtype, shape, copy));
            } else {
                state.push((format!("{module}.{leaf}"), dtype, shape, bytes));
            }
        }
        let found = report(&state, config);
        assert_eq!(facts(&found), facts(&plain), "{family}");
        assert_eq!(codes(&found), ["adapter_inside", "adapter_inside"], "{family}");
        for (found, plain) in found.norms.iter().zip(&plain.norms) {
            assert!(found.scale.as_ref().unwrap().contains(".modules_to_save.tuned."), "{:?}", found.scale);
            let median = |norm: &NormReport| norm.kernel.scale_median_abs.unwrap();
            assert_eq!(median(found), 2.0 * median(plain), "{family}");
        }
    }
}

/// Returns the tensors in which a method stores a map of `outputs` × `inputs` whose module is `stem`.
type Pack = fn(stem: &str, outputs: usize, inputs: usize) -> Vec<Stored>;

fn stored(name: String, dtype: Dtype, shape: &[usize]) -> Stored {
    let bytes = vec![1; shape.iter().product::<usize>() * dtype.bitsize() / 8];
    (name, dtype, shape.to_vec(), bytes)
}

#[test]
fn packed_weights_count_as_they_do_unpacked() {
    let methods: [(&str, &str, Pack); 8] = [
        ("bitsandbytes, 4 bit", "{}", |stem, outputs, inputs| {
            let state = format!(r#"{{"quant_type":"fp4","shape":[{outputs}, {inputs}],"dtype":"bfloat16"}}"#)
                .into_bytes();
            vec![
                stored(format!("{stem}.weight"), Dtype::U8, &[outputs * inputs / 2, 1]),
                stored(format!("{stem}.weight.absmax"), Dtype::U8, &[outputs * inputs / 64]),
                stored(format!("{stem}.weight.nested_absmax"), Dtype::F32, &[1]),
                (format!("{stem}.weight.quant_state.bitsandbytes__fp4"), Dtype::U8, vec![state.len()], state),
            ]
        }),
        ("bitsandbytes, 8 bit", "{}", |stem, outputs, inputs| {
            vec![
                stored(format!("{stem}.weight"), Dtype::I8, &[outputs, inputs]),
                stored(format!("{stem}.SCB"), Dtype::F32, &[outputs]),
            ]
        }),
        (
            "GPTQ, 8 bit",
            r#"{"quantization_config":{"quant_method":"gptq","bits":8}}"#,
            |stem, outputs, inputs| {
                vec![
                    stored(format!("{stem}.qweight"), Dtype::I32, &[inputs / 4, outputs]),
                    stored(format!("{stem}.qzeros"), Dtype::I32, &[1, outputs / 4]),
                    stored(format!("{stem}.scales"), Dtype::F16, &[1, outputs]),
                ]
            },
        ),
        ("AWQ", "{}", |stem, outputs, inputs| {
            vec![
                stored(format!("{stem}.qweight"), Dtype::I32, &[inputs, outputs / 8]),
                stored(format!("{stem}.qzeros"), Dtype::I32, &[1, outputs / 8]),
                stored(format!("{stem}.scales"), Dtype::F16, &[1, outputs]),
            ]
        }),
        ("MLX, 8 bit", r#"{"quantization":{"group_size":8,"bits":8}}"#, |stem, outputs, inputs| {
            vec![
                stored(format!("{stem}.weight"), Dtype::U32, &[outputs, inputs / 4]),
                stored(format!("{stem}.scales"), Dtype::BF16, &[outputs, inputs / 8]),
                stored(format!("{stem}.biases"), Dtype::BF16, &[outputs, inputs / 8]),
            ]
        }),
        ("compressed-tensors", "{}", |stem, outputs, inputs| {
            let shape = [outputs as i32, inputs as i32].iter().flat_map(|size| size.to_le_bytes()).collect();
            vec![
                stored(format!("{stem}.weight_packed"), Dtype::I32, &[outputs, inputs / 8]),
                stored(format!("{stem}.weight_scale"), Dtype::BF16, &[outputs, 1]),
                (format!("{stem}.weight_shape"), Dtype::I32, vec![2], shape),
            ]
        }),
        ("FP8 in blocks", "{}", |stem, outputs, inputs| {
            vec![
                stored(format!("{stem}.weight"), Dtype::F8_E4M3, &[outputs, inputs]),
                stored(format!("{stem}.weight_scale_inv"), Dtype::F32, &[1, 1]),
            ]
        }),
        ("NVFP4", "{}", |stem, outputs, inputs| {
            vec![
                stored(format!("{stem}.weight"), Dtype::U8, &[outputs, inputs / 2]),
                stored(format!("{stem}.weight_scale"), Dtype::F8_E4M3, &[outputs, inputs / 16]),
                stored(format!("{stem}.weight_scale_2"), Dtype::F32, &[]),
            ]
        }),
    ];
    // BLOOM's width of 24 is not a multiple of the group size of these methods.
    for family in MODELS.into_iter().filter(|family| *family != "bloom") {
        let (tensors, config) = model(family);
        let plain = report(&tensors, config.clone());
        for (method, quantised, pack) in methods {
            let mut config: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&config).unwrap();
            config.extend(serde_json::from_str::<serde_json::Map<_, _>>(quantised).unwrap());
            let config = serde_json::to_vec(&config).unwrap();
            let mut packed = Vec::new();
            let mut maps = 0;
            for (name, dtype, shape, bytes) in &tensors {
                // GPT-2 stores inputs × outputs. Packed, it is outputs × inputs.
                let [outputs, inputs] = match shape[..] {
                    [inputs, outputs] if family == "gpt2" => [outputs, inputs],
                    [outputs, inputs] => [outputs, inputs],
                    _ => [1, 1],
                };
                if is_map(name, shape) && outputs % 8 == 0 && inputs % 16 == 0 {
                    packed.extend(pack(name.trim_end_matches(".weight"), outputs, inputs));
                    maps += 1;
                } else {
                    packed.push((name.clone(), *dtype, shape.clone(), bytes.clone()));
                }
            }
            assert!(maps > 0, "{family}: nothing to pack");
            let found = report(&packed, config);
            assert_eq!(facts(&found), facts(&plain), "{family} as {method}");
            assert_eq!(codes(&found), ["weights_packed"], "{family} as {method}");
        }
    }
}

#[test]
fn a_packed_model_that_is_being_adapted_is_a_model() {
    let (tensors, config) = model("llama");
    let plain = report(&tensors, config.clone());
    let mut state = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let module = format!("base_model.model.{}", name.trim_end_matches(".weight"));
        let [outputs, inputs] = match shape[..] {
            [outputs, inputs] if is_map(&name, &shape) && outputs % 8 == 0 => [outputs, inputs],
            _ => {
                state.push((format!("base_model.model.{name}"), dtype, shape, bytes));
                continue;
            }
        };
        state.push(stored(format!("{module}.base_layer.qweight"), Dtype::I32, &[inputs, outputs / 8]));
        state.push(stored(format!("{module}.base_layer.scales"), Dtype::F16, &[1, outputs]));
        state.push(stored(format!("{module}.lora_A.default.weight"), Dtype::F32, &[4, inputs]));
        state.push(stored(format!("{module}.lora_B.default.weight"), Dtype::F32, &[outputs, 4]));
    }
    let found = report(&state, config);
    assert_eq!(facts(&found), facts(&plain));
    assert_eq!(codes(&found), ["weights_packed", "adapter_inside"]);
}

#[test]
fn weights_packed_in_an_unknown_way_are_named_and_there_is_no_share() {
    let (tensors, config) = model("opt");
    let mut packed = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        if is_map(&name, &shape) {
            packed.push(stored(format!("{name}.codes"), Dtype::U8, &[shape[0], shape[1] / 2]));
            packed.push(stored(format!("{name}.scale"), Dtype::F16, &[shape[0]]));
        } else {
            packed.push((name, dtype, shape, bytes));
        }
    }
    let found = report(&packed, config);
    assert_eq!(codes(&found), ["weights_uncounted"]);
    assert_eq!((found.dead_parameters.outright, found.dead_parameters.with_bias_shift), (0, 0));
    assert_eq!(found.dead_parameters.share, 0.0);
    let why = found.dead_parameters.assumptions.join("; ");
    assert!(why.contains("are not known and not counted"), "{why}");
}

#[test]
fn an_adapter_wastes_the_same_on_every_form_of_its_base() {
    let (tensors, config) = model("opt");
    let mut factors = Vec::new();
    for (name, _, shape, _) in &tensors {
        let module = name.trim_end_matches(".weight");
        if is_map(name, shape) && (name.contains("q_proj") || name.contains("fc1")) {
            let numbers =
                |count: usize| (0..count).flat_map(|at| ((at * 7 % 11) as f32 - 4.0).to_le_bytes()).collect();
            let lora = format!("base_model.model.{module}");
            factors.push((
                format!("{lora}.lora_A.weight"),
                Dtype::F32,
                vec![3, shape[1]],
                numbers(3 * shape[1]),
            ));
            factors.push((
                format!("{lora}.lora_B.weight"),
                Dtype::F32,
                vec![shape[0], 3],
                numbers(3 * shape[0]),
            ));
        }
    }
    let wasted = |base: &[Stored]| {
        pollster::block_on(async {
            let base = open(sources(base, config.clone()), |_| {}).await.unwrap();
            let adapter =
                Adapter::open(vec![MemorySource::new("adapter_model.safetensors", file(&factors))]).await;
            let report = weigh(&base, &adapter.unwrap()).await.unwrap();
            assert!(report.skipped.is_empty(), "{:?}", report.skipped);
            let mut shares: Vec<(String, f64)> =
                report.modules.into_iter().map(|module| (module.module, module.wasted)).collect();
            shares.sort_by(|a, b| a.0.cmp(&b.0));
            shares
        })
    };
    let plain = wasted(&tensors);
    assert_eq!(plain.len(), factors.len() / 2);
    let form =
        |change: &dyn Fn(&Stored) -> Vec<Stored>| tensors.iter().flat_map(change).collect::<Vec<Stored>>();
    let renamed = |to: &'static str| {
        move |(name, dtype, shape, bytes): &Stored| {
            vec![(format!("{to}{name}"), *dtype, shape.clone(), bytes.clone())]
        }
    };
    let packed = |tensor: &Stored| {
        let (name, _, shape, _) = tensor;
        if !is_map(name, shape) {
            return vec![tensor.clone()];
        }
        let stem = name.trim_end_matches(".weight");
        vec![
            stored(format!("{stem}.qweight"), Dtype::I32, &[shape[1] / 8, shape[0]]),
            stored(format!("{stem}.qzeros"), Dtype::I32, &[1, shape[0] / 8]),
            stored(format!("{stem}.scales"), Dtype::F16, &[1, shape[0]]),
        ]
    };
    for (what, base) in [
        ("DDP", form(&renamed("module."))),
        ("PEFT", form(&renamed("base_model.model."))),
        ("a part of another model", form(&renamed("language_model."))),
        ("GPTQ", form(&packed)),
    ] {
        assert_eq!(wasted(&base), plain, "{what}");
    }
}
