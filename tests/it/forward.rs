//! Compares the forward pass with transformers, family by family: every block, the last hidden states and the head, on tiny
//! random checkpoints from `scripts/fixtures/transformers_families.py`.

use crate::support::families::{compare, expected, open, sources};
use crate::support::runs::goes_on_from_each_block;
use futures_util::future::{LocalBoxFuture, ready};
use gammascope::checkpoint;
use gammascope::forward::kernels::{Cpu, Kernels};
use gammascope::forward::{ForwardError, Input, Pass, Seen, Standing, Unwatched, Watch, energies};
use gammascope::inspect::inspect;
use gammascope::model::{ModelError, resolve};
use gammascope::report::NormRole;
use gammascope::source::memory::MemorySource;
use pollster::block_on;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward").join(family)
}

fn families() -> Vec<String> {
    let mut families: Vec<String> = std::fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    families.sort();
    families
}

/// Runs a family on this device. The error says where it first differs from transformers.
async fn departs(family: &str, kernels: &impl Kernels) -> Result<(), String> {
    let folder = folder(family);
    let checkpoint = open(&folder);
    let architecture = resolve(&checkpoint).map_err(|error| error.to_string())?;
    let expected = expected(&folder);
    for length in [7, 19] {
        let of = |name: &str| expected.get(&format!("{length}.{name}"));
        let ids: Vec<u32> = of("ids").unwrap().0.iter().map(|&id| id as u32).collect();
        let tokens = Input::token_ids(&ids, length).unwrap();
        let pass = Pass::new(&checkpoint, &architecture, tokens).unwrap().on(kernels);
        let mut results = Vec::new();
        let mut visit = async |seen: Seen<'_>| {
            if let Seen::Block { index, stream, .. } = seen {
                let expected = &of(&format!("block.{index}")).unwrap().0;
                results.push(compare(&format!("{length} tokens, block {index}"), stream, expected));
            }
        };
        let hidden = pass.run(&mut visit).await.map_err(|error| error.to_string())?;
        assert_eq!(results.len(), architecture.blocks.len());
        results.into_iter().collect::<Result<(), _>>()?;
        let values = kernels.get(&hidden).await.map_err(|error| error.to_string())?;
        compare(&format!("{length} tokens, last hidden states"), &values, &of("final").unwrap().0)?;
        match of("logits") {
            None if architecture.head.is_none() => {}
            None => return Err("a head that transformers has not".to_owned()),
            Some((expected, shape)) => {
                let (tokens, vocabulary) = (ids.len(), shape[2] as usize);
                let mut logits = vec![0.0; tokens * vocabulary];
                pass.logits(&hidden, |first, width, slice| {
                    for (token, row) in slice.chunks_exact(width).enumerate() {
                        logits[token * vocabulary + first..][..width].copy_from_slice(row);
                    }
                })
                .await
                .map_err(|error| error.to_string())?;
                compare(&format!("{length} tokens, logits"), &logits, expected)?;
            }
        }
    }
    Ok(())
}

fn every_family_on(kernels: &impl Kernels) {
    let families = families();
    assert!(families.len() > 30, "{families:?}");
    let failures: Vec<String> = families
        .iter()
        .filter_map(|family| {
            block_on(departs(family, kernels)).err().map(|error| format!("{family}: {error}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_family_computes_what_transformers_computes() {
    every_family_on(&Cpu);
}

#[cfg(feature = "gpu")]
#[test]
#[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
fn every_family_computes_on_a_gpu_what_transformers_computes() {
    every_family_on(&block_on(gammascope::gpu::forward::GpuKernels::open()).unwrap());
}

#[test]
fn the_energies_of_all_channels_are_one_on_average() {
    for family in families() {
        let checkpoint = open(&folder(&family));
        let architecture = resolve(&checkpoint).unwrap();
        let (block, width) = (&architecture.blocks[0], architecture.width);
        let mut sums = [0.0; 2];
        for channel in 0..width {
            let direction: Vec<f64> = (0..width).map(|at| f64::from(u8::from(at == channel))).collect();
            let found = block_on(energies(&checkpoint, &architecture, block, &direction)).unwrap();
            sums.iter_mut().zip(found).for_each(|(sum, energy)| *sum += energy.unwrap());
        }
        let mean = sums.map(|sum| sum / width as f64);
        assert!(mean.iter().all(|mean| (mean - 1.0).abs() < 1e-9), "{family}: {mean:?}");
    }
}

#[test]
fn the_energy_of_a_channel_is_that_of_its_row_in_the_output_map() {
    // GPT-2 stores a map the other way round, so that the channel is a column.
    for (family, name, is_column) in [
        ("llama", "model.layers.0.self_attn.o_proj.weight", false),
        ("gpt2", "transformer.h.0.attn.c_proj.weight", true),
    ] {
        let checkpoint = open(&folder(family));
        let architecture = resolve(&checkpoint).unwrap();
        let width = architecture.width;
        let at = checkpoint.tensors.iter().position(|tensor| tensor.name == name).unwrap();
        let values = block_on(checkpoint.read(&[at], |_, _| {})).remove(0).unwrap();
        let inputs = values.len() / width;
        let channel = 3;
        let of_channel = |index: &usize| match is_column {
            true => index % width == channel,
            false => index / inputs == channel,
        };
        let squares = |wanted: &dyn Fn(&usize) -> bool| -> f64 {
            (0..values.len()).filter(wanted).map(|index| values[index] * values[index]).sum()
        };
        let expected = width as f64 * squares(&of_channel) / squares(&|_| true);
        let direction: Vec<f64> = (0..width).map(|at| f64::from(u8::from(at == channel))).collect();
        let [found, _] =
            block_on(energies(&checkpoint, &architecture, &architecture.blocks[0], &direction)).unwrap();
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-6 * expected, "{family}: {found}, {expected}");
    }
}

#[test]
fn norms_are_shown_under_the_names_of_the_report() {
    for family in families() {
        let folder = folder(&family);
        let report = block_on(inspect(sources(&folder), |_| {})).unwrap().report;
        let checkpoint = open(&folder);
        let architecture = resolve(&checkpoint).unwrap();
        let ids = [5, 6, 7, 8];
        let pass = Pass::new(&checkpoint, &architecture, Input::token_ids(&ids, 4).unwrap()).unwrap();
        let mut shown = Vec::new();
        let mut visit = async |seen: Seen<'_>| {
            if let Seen::Norm { site, width, before_scale, output } = seen {
                assert_eq!(before_scale.len(), output.len());
                assert_eq!(output.len() % (ids.len() * width), 0);
                shown.push((site.to_owned(), width as u64));
            }
        };
        block_on(pass.run(&mut visit)).unwrap();
        let known = |(site, width): &(String, u64)| {
            report.norms.iter().any(|norm| norm.name == *site && norm.width == *width)
        };
        let unknown: Vec<_> = shown.iter().filter(|site| !known(site)).collect();
        assert!(unknown.is_empty(), "{family}: {unknown:?}");
        // A norm of the head comes after the last hidden states. Scales with a row for each head are not read. A norm of DeBERTa's table
        // of positions reads the same for every input.
        let of_input = |name: &str| name != "deberta.encoder.LayerNorm";
        let sites = report.norms.iter().filter(|norm| norm.problem.is_none() && of_input(&norm.name)).count();
        assert!(sites <= shown.len() + 1, "{family}: {} of {sites} norms were shown", shown.len());
    }
}

#[test]
fn a_norm_of_a_table_of_positions_ends_no_stack_and_has_no_reader() {
    let report = block_on(inspect(sources(&folder("deberta-v3")), |_| {})).unwrap().report;
    assert_eq!(report.model.final_norm.as_deref(), Some("deberta.encoder.layer.1.output.LayerNorm"));
    let norm = report.norms.iter().find(|norm| norm.name == "deberta.encoder.LayerNorm").unwrap();
    assert_eq!((norm.role, norm.readers.len()), (NormRole::Other, 0));
}

/// Collects from a pass of the Llama fixture the norm before each feed-forward part, and the stream that it reads.
#[derive(Default)]
struct Between {
    norms: Vec<Vec<f32>>,
    streams: Vec<(Vec<f32>, Option<String>)>,
}

impl Watch for Between {
    fn wants(&self, site: &str) -> bool {
        site.ends_with("post_attention_layernorm")
    }

    fn wants_stream(&self) -> bool {
        true
    }

    fn wants_after_attention(&self) -> bool {
        true
    }

    async fn see(&mut self, seen: Seen<'_>) -> ControlFlow<()> {
        match seen {
            Seen::Norm { before_scale, .. } => self.norms.push(before_scale.to_vec()),
            Seen::Block { after_attention, next, .. } => {
                self.streams.push((after_attention.unwrap().to_vec(), next.map(str::to_owned)));
            }
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn the_stream_between_the_parts_of_a_block_is_what_its_second_norm_reads() {
    let checkpoint = open(&folder("llama"));
    let architecture = resolve(&checkpoint).unwrap();
    let pass = Pass::new(&checkpoint, &architecture, Input::token_ids(&[5, 6, 7, 8], 4).unwrap()).unwrap();
    let mut seen = Between::default();
    block_on(pass.run(&mut seen)).unwrap();
    let next: Vec<Option<&str>> = seen.streams.iter().map(|(_, next)| next.as_deref()).collect();
    assert_eq!(next, [Some("model.layers.1.input_layernorm"), Some("model.norm")]);
    for (norm, (stream, _)) in seen.norms.iter().zip(&seen.streams) {
        for (x, y) in stream.chunks_exact(architecture.width).zip(norm.chunks_exact(architecture.width)) {
            // An RMSNorm changes only the length of a token.
            let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
            let ratio = length(y) / length(x);
            assert!(x.iter().zip(y).all(|(x, y)| (x * ratio - y).abs() < 1e-5), "{x:?} {y:?}");
        }
    }
}

#[test]
fn a_pass_is_stopped_before_its_next_matrix() {
    let checkpoint = open(&folder("llama"));
    let architecture = resolve(&checkpoint).unwrap();
    let asked = Rc::new(Cell::new(0));
    // The blocks seen, and how the pass ended, if `most` matrices are allowed.
    let run = |most: usize| {
        asked.set(0);
        let count = Rc::clone(&asked);
        let pause = move || -> LocalBoxFuture<'static, ControlFlow<()>> {
            count.set(count.get() + 1);
            let going_on = count.get() <= most;
            Box::pin(ready(if going_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }))
        };
        let input = Input::token_ids(&[5, 6, 7, 8], 4).unwrap();
        let pass = Pass::new(&checkpoint, &architecture, input).unwrap().pausing(Some(&pause));
        let mut blocks = 0;
        let mut count = async |seen: Seen<'_>| blocks += usize::from(matches!(seen, Seen::Block { .. }));
        let hidden = block_on(pass.run(&mut count));
        (blocks, hidden)
    };
    let (blocks, whole) = run(usize::MAX);
    assert_eq!(blocks, 2);
    assert!(whole.is_ok());
    assert_eq!(asked.get(), 14, "queries, keys, values, output, gate, up and down of two blocks");
    let (blocks, stopped) = run(9);
    assert_eq!((blocks, asked.get()), (1, 10), "in the middle of the second block");
    assert_eq!(stopped, Err(ForwardError::Stopped { blocks: 0 }));
}

/// The fixture of a family with a changed configuration.
fn changed(family: &str, from: &str, to: &str) -> Result<(), ModelError> {
    let folder = folder(family);
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    assert!(config.contains(from), "{config}");
    let config = config.replacen(from, to, 1);
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let sources = vec![
        MemorySource::new("model.safetensors", weights),
        MemorySource::new("config.json", config.into_bytes()),
    ];
    let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
    resolve(&checkpoint).map(|_| ())
}

#[test]
fn unsupported_settings_are_named_and_never_approximated() {
    for (family, from, to, said) in [
        ("llama", r#""hidden_act": "silu""#, r#""hidden_act": "mish""#, "`hidden_act` is \"mish\""),
        (
            "llama",
            r#""hidden_act""#,
            r#""attention_chunk_size": 3, "hidden_act""#,
            "`attention_chunk_size` is 3, and what that does",
        ),
        (
            "llama",
            r#""rope_type": "default""#,
            r#""rope_type": "spiral""#,
            "`rope_parameters.rope_type` is \"spiral\"",
        ),
        (
            "llama",
            r#""model_type": "llama""#,
            r#""model_type": "mamba""#,
            "`mamba` is not among those that can be run",
        ),
        ("llama", r#""num_hidden_layers": 2"#, r#""num_hidden_layers": 3"#, "tensor `model.layers.2."),
        ("llama", r#""num_hidden_layers": 2"#, r#""num_hidden_layers": 1"#, "tensor `model.layers.1."),
        ("llama", r#""num_key_value_heads": 2"#, r#""num_key_value_heads": 1"#, "should be [8, 32]"),
        ("llama", r#""num_attention_heads": 4"#, r#""other": null"#, "`num_attention_heads` is not there"),
        (
            "gpt2",
            r#""scale_attn_by_inverse_layer_idx": false"#,
            r#""scale_attn_by_inverse_layer_idx": true"#,
            "run only with false",
        ),
        ("falcon", r#""alibi": false"#, r#""alibi": true"#, "`alibi` is true"),
        // The error names what does not fit the nearest variant, not the first one.
        ("falcon-11b", r#""alibi": false"#, r#""alibi": true"#, "`alibi` is true"),
        ("falcon-rw", r#""multi_query": false"#, r#""multi_query": true"#, "`multi_query` is true"),
        (
            "qwen3_5",
            r#""hidden_act""#,
            r#""attn_output_gate": false, "hidden_act""#,
            "`attn_output_gate` is false",
        ),
        (
            "qwen3_5",
            r#""full_attention""#,
            r#""sliding_attention""#,
            "full_attention or linear_attention for",
        ),
        (
            "qwen3_5",
            r#""linear_num_key_heads": 2"#,
            r#""linear_num_key_heads": 3"#,
            "`linear_num_value_heads` is 4",
        ),
        (
            "qwen3_5-nested",
            r#""hidden_act""#,
            r#""attention_chunk_size": 3, "hidden_act""#,
            "`attention_chunk_size` is 3",
        ),
        (
            "gemma4",
            r#""num_kv_shared_layers": 0"#,
            r#""num_kv_shared_layers": 1"#,
            "`num_kv_shared_layers` is 1",
        ),
        (
            "gemma4",
            r#""enable_moe_block": false"#,
            r#""enable_moe_block": true"#,
            "`num_experts` is not there",
        ),
        // Absent, it is 256 in the family's code.
        ("gemma4", r#""hidden_size_per_layer_input": 0,"#, "", "embed_tokens_per_layer.weight"),
        ("gemma4-experts", r#""top_k_experts": 2"#, r#""top_k_experts": 5"#, "`top_k_experts` is 5"),
        ("gemma4-experts", r#""top_k_experts": 2"#, r#""other": null"#, "`top_k_experts` is absent"),
        ("gemma4-experts", r#""enable_moe_block": true"#, r#""enable_moe_block": false"#, "model.layers.0."),
        (
            "gemma4-inputs",
            r#""hidden_size_per_layer_input": 6"#,
            r#""hidden_size_per_layer_input": 5"#,
            "should be [80, 25]",
        ),
        (
            "gemma4-inputs",
            r#""num_kv_shared_layers": 2"#,
            r#""num_kv_shared_layers": 1"#,
            "model.layers.3.self_attn.k_proj.weight",
        ),
        (
            "gemma4-inputs-nested",
            r#""num_kv_shared_layers": 2"#,
            r#""num_kv_shared_layers": 4"#,
            "`num_kv_shared_layers` is 4",
        ),
        (
            "gemma4-nested",
            r#""use_bidirectional_attention": null"#,
            r#""use_bidirectional_attention": "all""#,
            "use_bidirectional_attention` is \"all\"",
        ),
        ("gemma4", r#""num_key_value_heads": 1"#, r#""num_key_value_heads": 3"#, "a divisor of the 4 heads"),
        (
            "gemma4",
            r#""full_attention"
  ]"#,
            r#""sliding_attention"
  ]"#,
            "full_attention for the last layer",
        ),
        ("qwen3_5_moe", r#""num_experts": 4"#, r#""num_experts": 5"#, "should be [5, 32, 32]"),
        ("deberta-v2", r#""position_buckets": 8"#, r#""position_buckets": 24"#, "`position_buckets` is 24"),
        ("deberta-v2", r#""position_buckets": 8"#, r#""position_buckets": 10"#, "should be [20, 32]"),
        ("deberta-v2", r#""conv_kernel_size": 3"#, r#""conv_kernel_size": 4"#, "`conv_kernel_size` is 4"),
        ("deberta-v2", r#""conv_act""#, r#""conv_groups": 2, "conv_act""#, "`conv_groups` is 2"),
        ("deberta-v3", r#""c2p""#, r#""p2p""#, "`pos_att_type` is "),
        ("deberta", r#""max_relative_positions": 12"#, r#""talking_head": true"#, "`talking_head` is true"),
    ] {
        let error = changed(family, from, to).unwrap_err().to_string();
        assert!(error.contains(said), "{from} → {to}: {error}");
    }
    let short = [r#""short_factor": ["#, r#""short_factor": [2.0, "#, "`rope_parameters.short_factor` is ["];
    let dynamic = [r#""factor": 4.0"#, r#""factor": 0.5"#, "`rope_parameters.factor` is 0.5"];
    for (family, [from, to, said]) in [("phi3-long", short), ("llama-dynamic", dynamic)] {
        let error = changed(family, from, to).unwrap_err().to_string();
        assert!(error.contains(said), "{from} → {to}: {error}");
    }
    changed("llama", r#""attention_dropout": 0.0"#, r#""attention_dropout": 0.5"#).unwrap();
}

#[test]
fn keys_of_a_layer_that_uses_those_of_another_take_no_part() {
    // Published files store them, and the family's code does not load them.
    let folder = folder("gemma4-inputs");
    let stored = std::fs::read(folder.join("model.safetensors")).unwrap();
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let with = |name: &str| {
        let mut tensors = safetensors::SafeTensors::deserialize(&stored).unwrap().tensors();
        let other = tensors[0].1.clone();
        tensors.push((name.to_owned(), other));
        let weights = safetensors::serialize(tensors, None).unwrap();
        let sources = vec![
            MemorySource::new("model.safetensors", weights),
            MemorySource::new("config.json", config.clone()),
        ];
        let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
        resolve(&checkpoint).map(|architecture| architecture.blocks.len())
    };
    for name in ["k_proj", "v_proj", "k_norm"] {
        assert_eq!(with(&format!("model.layers.3.self_attn.{name}.weight")), Ok(5), "{name}");
    }
    assert!(with("model.layers.3.self_attn.other.weight").is_err());
}

#[test]
fn a_pass_whose_blocks_use_the_keys_of_earlier_ones_goes_on_from_each_block() {
    let checkpoint = open(&folder("gemma4-inputs"));
    let architecture = resolve(&checkpoint).unwrap();
    let input = Input::token_ids(&[5, 6, 7, 8, 9, 10, 11, 12], 4).unwrap();
    let pass = Pass::new(&checkpoint, &architecture, input).unwrap();
    goes_on_from_each_block(&pass, &Cpu, [0, 5]);
    let alone = Standing { blocks: 3, stream: vec![0.0; 8 * architecture.width], ..Standing::default() };
    assert_eq!(block_on(pass.resume(alone, &mut Unwatched)), Err(ForwardError::NotLent));
}

#[test]
fn a_tower_of_images_and_layers_that_predict_later_tokens_take_no_part_in_a_text() {
    let folder = folder("qwen3_5-nested");
    let stored = std::fs::read(folder.join("model.safetensors")).unwrap();
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let with = |name: &str| {
        let mut tensors = safetensors::SafeTensors::deserialize(&stored).unwrap().tensors();
        let other = tensors[0].1.clone();
        tensors.push((name.to_owned(), other));
        let weights = safetensors::serialize(tensors, None).unwrap();
        let sources = vec![
            MemorySource::new("model.safetensors", weights),
            MemorySource::new("config.json", config.clone()),
        ];
        let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
        resolve(&checkpoint).map(|architecture| architecture.blocks.len())
    };
    for name in ["model.visual.blocks.0.norm1.weight", "mtp.layers.0.input_layernorm.weight"] {
        assert_eq!(with(name), Ok(2), "{name}");
    }
    let error = with("model.language_model.layers.0.other.weight").unwrap_err();
    assert!(matches!(error, ModelError::Extra { .. }), "{error}");
}

#[test]
fn unsupported_ids_and_lengths_are_refused() {
    let checkpoint = open(&folder("gpt2"));
    let architecture = resolve(&checkpoint).unwrap();
    let refused = |ids: &[u32], length: usize| {
        Input::token_ids(ids, length)
            .and_then(|tokens| Pass::new(&checkpoint, &architecture, tokens).map(|_| ()))
            .unwrap_err()
    };
    assert_eq!(refused(&[1, 2, 3], 2), ForwardError::Uneven { tokens: 3, length: 2 });
    assert_eq!(refused(&[1, 80], 2), ForwardError::Id { at: 1, id: 80, vocabulary: 80 });
    assert_eq!(refused(&[1; 65], 65), ForwardError::TooLong { length: 65, longest: 64 });
}
