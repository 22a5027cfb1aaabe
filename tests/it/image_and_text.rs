//! A tower of images, a projector and a decoder as one run: what each stack is run on, what is measured of both, and what is refused.

use crate::support::families::{expected, open, sources};
use crate::support::runs::{goes_on_from_each_block, ids, planned, usual, verified};
use gammascope::checkpoint::{self, Checkpoint};
use gammascope::forward::kernels::{Cpu, Kernels};
use gammascope::forward::{ForwardError, Input, Inputs, Pass};
use gammascope::inspect::{self, Opened};
use gammascope::model::operation::Reads;
use gammascope::model::random::twin;
use gammascope::model::resolve;
use gammascope::pixels::PixelChoice;
use gammascope::report::{NormKind, PreservationDirection, PreservationVerdict, StackName, WarningCode};
use gammascope::run::planned::Extent;
use gammascope::run::session::Request;
use gammascope::source::disk::DiskSource;
use gammascope::source::memory::MemorySource;
use gammascope::text::Choice;
use pollster::block_on;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// Idefics3: a tower of d = 16 and 4 × 4 patches, of which a projector makes 2 × 2 vectors, and a Llama of d = 24 and 80 ids, of which
/// 77 is the image token. Two blocks in each stack.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward_images/idefics3")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn opened() -> Opened<DiskSource> {
    block_on(inspect::open(sources(&folder()), |_| {})).unwrap()
}

const MAP: &str = "model.connector.modality_projection.proj.weight";

/// The fixture with other names, or without some tensors, and with a projector of another shape where one is given.
fn changed(
    change: impl Fn(&str) -> Option<String>,
    projector: Option<[usize; 2]>,
) -> Checkpoint<MemorySource> {
    let bytes = read("model.safetensors");
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let values = vec![0; 2 * projector.map_or(0, |[outputs, inputs]| outputs * inputs)];
    let kept = stored.iter().filter_map(|(name, tensor)| {
        let tensor = match projector.filter(|_| name == MAP) {
            Some(shape) => TensorView::new(Dtype::BF16, shape.to_vec(), &values).unwrap(),
            None => tensor,
        };
        Some((change(name)?, tensor))
    });
    let files = vec![
        MemorySource::new("model.safetensors", safetensors::serialize(kept, None).unwrap()),
        MemorySource::new("config.json", read("config.json")),
    ];
    block_on(checkpoint::open(files, |_| {})).unwrap()
}

fn as_it_is(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn every_norm_of_both_stacks_is_measured_and_each_stack_has_a_profile_of_its_own() {
    let opened = opened();
    let (found, warnings) = verified(&opened, &usual(), 0);
    assert_eq!(warnings, []);
    let report = &opened.inspection.report;
    assert_eq!(report.norms.len(), 5 + 5);
    for norm in &report.norms {
        let site = found.sites.iter().find(|site| site.name == norm.name);
        let site = site.unwrap_or_else(|| panic!("{} was not measured", norm.name));
        let of_tower = norm.name.starts_with("model.vision_model.");
        // 4 × 16 tokens: 4 images of 16 patches. In the decoder a sequence of 4 vectors and 128 ids for each of them.
        assert_eq!(site.tokens, if of_tower { 4 * 16 } else { 4 * 132 }, "{}", norm.name);
        let kind = if of_tower { NormKind::LayerNorm } else { NormKind::RmsNorm };
        assert_eq!(norm.kind, kind, "{}", norm.name);
        assert_eq!(site.depth < 1e-9, of_tower, "{}: {}", norm.name, site.depth);
    }
    let places: Vec<_> = found.residual.iter().map(|block| (block.stack.unwrap(), block.block)).collect();
    let (tower, decoder) = (StackName::Tower, StackName::Decoder);
    assert_eq!(places, [(tower, 0), (tower, 1), (decoder, 0), (decoder, 1)]);
    let pass = found.pass.unwrap();
    let stacks: Vec<_> =
        pass.stacks.iter().map(|one| (one.stack, one.blocks, one.sequences, one.length)).collect();
    assert_eq!(stacks, [(tower, 2, 4, 16), (decoder, 2, 4, 132)]);
    // The norms are of two kinds, so that no loss speaks for all of them.
    assert_eq!((pass.assumed_kind, pass.loss, found.loss), (NormKind::Unknown, None, None));
}

#[test]
fn a_block_of_the_tower_that_the_decoder_does_not_read_is_left_out() {
    // LLaVA: the decoder reads a tower of three blocks before the last one, without its class token.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward_images/llava");
    let opened = block_on(inspect::open(sources(&folder), |_| {})).unwrap();
    let (whole, _) = verified(&opened, &usual(), 0);
    for (name, expected) in [
        ("pre_layrnorm", true),
        ("encoder.layers.1.layer_norm2", true),
        ("encoder.layers.2.layer_norm1", false),
        ("post_layernorm", false),
    ] {
        let name = format!("vision_tower.vision_model.{name}");
        assert!(opened.inspection.report.norms.iter().any(|norm| norm.name == name));
        assert_eq!(whole.sites.iter().any(|site| site.name == name), expected, "{name}");
    }
    let stacks = &whole.pass.as_ref().unwrap().stacks;
    let stacks: Vec<_> =
        stacks.iter().map(|one| (one.stack, one.blocks, one.sequences, one.length)).collect();
    // A sequence has the 16 vectors of its image and 128 ids.
    assert_eq!(stacks, [(StackName::Tower, 2, 4, 17), (StackName::Decoder, 2, 4, 144)]);
    let (in_pieces, _) = verified(&opened, &usual(), 4);
    assert_eq!(in_pieces, whole);
}

#[test]
fn a_run_that_is_stopped_in_either_stack_goes_on_to_the_same_result() {
    let opened = opened();
    let (whole, _) = verified(&opened, &usual(), 0);
    let (in_pieces, _) = verified(&opened, &usual(), 4);
    assert_eq!(in_pieces, whole);
}

#[test]
fn readers_of_both_stacks_are_moved_and_only_dead_directions_keep_the_function() {
    let (found, _) = verified(&opened(), &Request { preservation: true, ..usual() }, 0);
    let rows = found.preservation;
    for site in [
        "model.vision_model.encoder.layers.0.layer_norm1",
        "model.text_model.layers.0.input_layernorm",
        "model.text_model.norm",
    ] {
        assert!(rows.iter().any(|row| row.site == site), "{site}: {rows:?}");
    }
    for row in rows {
        let dead = row.direction == PreservationDirection::Kernel && row.kind == NormKind::LayerNorm;
        let expected = if dead { PreservationVerdict::Preserved } else { PreservationVerdict::Changed };
        // A constant may be as small as rounding, and the softmax forgets one that all tokens have.
        if row.direction != PreservationDirection::KernelBiasKept {
            assert_eq!(row.verdict, expected, "{row:?}");
        }
    }
}

#[test]
fn the_plan_names_both_stacks_and_what_each_reads() {
    let opened = opened();
    let plan = planned(&opened, &usual()).unwrap();
    assert_eq!((plan.blocks, plan.left_out, plan.sites, plan.losses), (4, 0, 10, false));
    assert_eq!(
        plan.input,
        "noise with a 1/f spectrum instead of images for the tower and uniform token ids, each sequence behind the 4 tokens of its image (id 77) for the decoder"
    );
    // The projector is read too.
    let bytes = |name: &str| {
        let tensors = &opened.checkpoint().tensors;
        tensors.iter().filter(|tensor| tensor.name.ends_with(name)).map(|tensor| tensor.bytes()).sum::<u64>()
    };
    let blocks: u64 = [
        "q_proj.weight",
        "k_proj.weight",
        "v_proj.weight",
        "o_proj.weight",
        "out_proj.weight",
        "fc1.weight",
        "fc2.weight",
        "gate_proj.weight",
        "up_proj.weight",
        "down_proj.weight",
    ]
    .map(bytes)
    .iter()
    .sum();
    assert_eq!(plan.bytes, blocks + bytes(MAP));
    // A list is taken as it is, with image tokens anywhere.
    let extent = Extent { tokens: Some(48), sequence: Some(6), blocks: None };
    let list = "5 77 77 6 77 77 ".repeat(9);
    let plan = planned(&opened, &Request { choice: Some(ids(&list)), extent, ..usual() }).unwrap();
    assert!(plan.input.ends_with("for the tower and ids.txt for the decoder"), "{}", plan.input);
    assert_eq!((plan.stacks[0].sequences, plan.stacks[1].sequences, plan.stacks[1].length), (3, 9, 6));
    let list = "5 77 77 6 77 77 ".repeat(8);
    let plan = planned(&opened, &Request { choice: Some(ids(&list)), extent, ..usual() }).unwrap();
    assert!(plan.input.contains("(6 of 8 sequences, as many for each input of the tower)"), "{}", plan.input);
}

#[test]
fn smolvlm_is_the_same_model_under_another_name() {
    let with = |name: &str| {
        let config = String::from_utf8(read("config.json")).unwrap();
        let config = config.replace(r#""model_type": "idefics3""#, &format!(r#""model_type": "{name}""#));
        let files = vec![
            MemorySource::new("model.safetensors", read("model.safetensors")),
            MemorySource::new("config.json", config.into_bytes()),
        ];
        let mut architecture = resolve(&block_on(checkpoint::open(files, |_| {})).unwrap()).unwrap();
        assert_eq!(architecture.family, name);
        architecture.family.clear();
        if let Some(tower) = &mut architecture.encoder {
            tower.family.clear();
        }
        architecture
    };
    assert_eq!(with("smolvlm"), with("idefics3"));
}

/// What SmolVLM-256M-Instruct's configuration says of the function; it leaves out what is as usual.
const SMOLVLM_256M: &str = r#"{"architectures": ["Idefics3ForConditionalGeneration"], "image_token_id": 49190,
    "model_type": "idefics3", "pad_token_id": 2, "scale_factor": 4, "text_config": {"_flash_attn_2_enabled": true,
    "_name_or_path": "a", "architectures": ["VLlama3ForCausalLM"], "head_dim": 64, "hidden_size": 576, "intermediate_size": 1536,
    "is_llama_config": true, "max_position_embeddings": 8192, "model_type": "llama", "neftune_noise_alpha": 0.0,
    "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "pad_token_id": 2,
    "perceiver_config": {"hidden_act": "silu", "resampler_depth": 6}, "pixel_shuffle_factor": 4, "qk_layer_norms": false,
    "rms_norm_eps": 1e-05, "rope_interleaved": false, "rope_theta": 100000, "torch_dtype": "bfloat16",
    "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}, "use_resampler": false, "vocab_size": 49280},
    "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": false, "use_reentrant_checkpointing": false,
    "vision_config": {"hidden_size": 768, "image_size": 512, "max_image_size": {"longest_edge": 512},
    "model_type": "smolvlm_vision", "num_attention_heads": 12, "patch_size": 16, "size": {"longest_edge": 2048},
    "tie_word_embeddings": false, "use_base_siglip": false}, "vocab_size": 49280}"#;

#[test]
fn a_released_configuration_gives_its_model_and_a_plan() {
    let config = MemorySource::new("config.json", SMOLVLM_256M.as_bytes().to_vec());
    let opened =
        block_on(async { inspect::open(twin(vec![config], 1).await.unwrap(), |_| {}).await.unwrap() });
    let parameters: u64 = opened.checkpoint().tensors.iter().map(|tensor| tensor.elements()).sum();
    assert_eq!(parameters, 256_484_928);
    let architecture = resolve(opened.checkpoint()).unwrap();
    assert!(architecture.head.is_some());
    let plan = planned(&opened, &usual()).unwrap();
    // 64 vectors of an image, and 128 tokens.
    let stacks: Vec<_> = plan.stacks.iter().map(|one| (one.blocks, one.sequences, one.length)).collect();
    assert_eq!(stacks, [(12, 3, 1024), (30, 12, 192)]);
}

#[test]
fn the_first_blocks_are_the_towers() {
    let opened = opened();
    let extent = Extent { blocks: Some(2), ..Extent::default() };
    let alone = planned(&opened, &Request { extent, ..usual() }).unwrap();
    assert_eq!((alone.blocks, alone.left_out, alone.sites, alone.stacks.len()), (2, 2, 5, 0));
    let said = &alone.warnings[0].message;
    assert!(said.contains("the first 2 of 4 blocks are run, the tower alone"), "{said}");
}

#[test]
fn an_image_becomes_one_tile_and_the_plan_says_so() {
    let image = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs").join(name);
        MemorySource::new(name, std::fs::read(path).unwrap())
    };
    let with = |tiles: bool, edge: usize| {
        let processor = format!(
            r#"{{"image_processor_type": "SmolVLMImageProcessor", "do_image_splitting": {tiles}, "do_pad": true,
                "size": {{"longest_edge": 64}}, "max_image_size": {{"longest_edge": {edge}}}}}"#
        );
        let files = vec![
            MemorySource::new("model.safetensors", read("model.safetensors")),
            MemorySource::new("config.json", read("config.json")),
            MemorySource::new("preprocessor_config.json", processor.into_bytes()),
        ];
        let opened = block_on(inspect::open(files, |_| {})).unwrap();
        let pixels = Some(PixelChoice::Images(vec![image("rgb.png"), image("tall.png")]));
        planned(&opened, &Request { pixels, choice: Some(Choice::Uniform), ..usual() })
    };
    let plan = with(true, 16).unwrap();
    assert!(plan.input.starts_with("2 images for the tower and uniform token ids"), "{}", plan.input);
    assert_eq!((plan.stacks[0].sequences, plan.stacks[1].sequences), (2, 2));
    let tile = |warning: &&gammascope::report::Warning| {
        warning.code == WarningCode::ImageChanged && warning.message.contains("as one tile")
    };
    assert_eq!(plan.warnings.iter().filter(tile).count(), 2, "{:?}", plan.warnings);
    assert_eq!(with(false, 16).unwrap().warnings.iter().filter(tile).count(), 0);
    let error = with(true, 32).unwrap_err();
    assert!(error.contains("32 × 32 pixels, and the model has positions for 16 × 16 pixels only"), "{error}");
}

#[test]
fn ids_that_do_not_fit_are_refused_in_a_sentence() {
    let opened = opened();
    let with = |text: &str, sequence: usize| {
        let extent = Extent { tokens: Some(24), sequence: Some(sequence), blocks: None };
        planned(&opened, &Request { choice: Some(ids(text)), extent, ..usual() }).unwrap_err()
    };
    assert_eq!(
        with(&"77 77 77 77 5 6 77 77 77 5 6 7 ".repeat(2), 6),
        "sequence 1 has 3 image tokens (id 77), and the tower gives 4 vectors of its image: put exactly 4 of that id where the image belongs"
    );
    assert!(with(&"1 2 3 4 5 6 ".repeat(4), 6).contains("sequence 0 has 0 image tokens"));
    let extent = Extent { sequence: Some(4), ..Extent::default() };
    let error = planned(&opened, &Request { extent, ..usual() }).unwrap_err();
    assert_eq!(
        error,
        "sequences of 4 tokens leave nothing for a text behind the 4 tokens of their image: ask for 5 at least, better 132"
    );
    let sounds = Request { sounds: Some(vec![MemorySource::new("a.wav", Vec::new())]), ..usual() };
    let error = planned(&opened, &sounds).unwrap_err();
    assert!(error.contains("the model reads images, and was given features of sounds"), "{error}");
}

#[test]
fn a_projector_that_does_not_fit_between_its_stacks_is_refused_in_a_sentence() {
    for shape in [[24, 48], [32, 64]] {
        let error = resolve(&changed(as_it_is, Some(shape))).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the projector `{MAP}` is {shape:?}, and between this tower and this decoder it is [24, 64] (24 channels of the decoder, 4 patches of 16 channels of the tower): the files are of different models, so open those of one"
            )
        );
    }
}

#[test]
fn a_tower_alone_runs_without_its_decoder_and_so_does_the_base_model() {
    let alone = changed(|name| name.contains("vision_model.").then(|| name.to_owned()), None);
    let alone = resolve(&alone).unwrap();
    assert!(alone.encoder.is_none() && alone.reads() == Reads::Pixels);
    let base = |name: &str| Some(name.strip_prefix("model.")?.to_owned());
    let base = resolve(&changed(base, None)).unwrap();
    assert!(base.head.is_none() && base.encoder.is_some());
}

#[test]
fn a_pass_is_refused_without_a_place_for_each_vector_of_an_image() {
    let checkpoint = open(&folder());
    let architecture = resolve(&checkpoint).unwrap();
    let pixels = vec![0.5; 3 * 16 * 16];
    let refused = |ids: &[u32]| {
        let encoder = Some(Input::pixels(&pixels, [1, 1, 3, 16, 16]).unwrap());
        let inputs = Inputs { encoder, own: Input::token_ids(ids, ids.len()).unwrap() };
        Pass::new(&checkpoint, &architecture, inputs).err()
    };
    assert_eq!(refused(&[77, 1, 77, 77, 2, 77]), None);
    let wrong = |found| Some(ForwardError::ImageTokens { sequence: 0, found, expected: 4, token: 77 });
    assert_eq!(refused(&[77; 5]), wrong(5));
    assert_eq!(refused(&[1, 2, 3]), wrong(0));
}

/// That a pass on this device ends the same from wherever it stands after a block.
fn from_each_block(kernels: &impl Kernels) {
    let (checkpoint, expected) = (open(&folder()), expected(&folder()));
    let architecture = resolve(&checkpoint).unwrap();
    let pixels: Vec<f32> = expected["16x16.pixels"].0.iter().map(|value| *value as f32).collect();
    let ids: Vec<u32> = expected["16x16.decoder.ids"].0.iter().map(|id| *id as u32).collect();
    let encoder = Some(Input::pixels(&pixels, [2, 1, 3, 16, 16]).unwrap());
    let inputs = Inputs { encoder, own: Input::token_ids(&ids, 11).unwrap() };
    let pass = Pass::new(&checkpoint, &architecture, inputs).unwrap().on(kernels);
    goes_on_from_each_block(&pass, kernels, [2, 4]);
}

#[test]
fn a_pass_of_tower_and_decoder_goes_on_from_each_block() {
    from_each_block(&Cpu);
}

#[cfg(feature = "gpu")]
#[test]
#[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
fn a_pass_of_tower_and_decoder_goes_on_from_each_block_on_a_gpu() {
    from_each_block(&block_on(gammascope::gpu::forward::GpuKernels::open()).unwrap());
}
