//! An encoder and its decoder in one run: the input of each stack, the measurements of both, and unsupported inputs.

use crate::support::families::{expected, open, sources};
use crate::support::runs::{self, goes_on_from_each_block, ids, planned, usual};
use gammascope::checkpoint;
use gammascope::forward::kernels::{Cpu, Kernels};
use gammascope::forward::{ForwardError, Input, Inputs, Pass};
use gammascope::inspect::{self, Opened};
use gammascope::model::resolve;
use gammascope::report::{PreservationDirection, PreservationVerdict, StackName, Verification, Warning};
use gammascope::run::planned::Extent;
use gammascope::run::session::Request;
use gammascope::source::disk::DiskSource;
use gammascope::source::memory::MemorySource;
use gammascope::text::Choice;
use pollster::block_on;
use std::path::{Path, PathBuf};

/// Whisper: d = 24, two blocks in each stack, 24 frames and 12 tokens a sound, 9 positions and 80 ids in the decoder.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward_images/whisper")
}

fn opened() -> Opened<DiskSource> {
    block_on(inspect::open(sources(&folder()), |_| {})).unwrap()
}

/// The result of [`runs::verified`].
fn verified(request: &Request, stops: usize) -> (Verification, Vec<Warning>) {
    runs::verified(&opened(), request, stops)
}

#[test]
fn every_norm_of_both_stacks_is_measured_and_each_stack_has_a_profile_of_its_own() {
    let (found, warnings) = verified(&usual(), 0);
    assert_eq!(warnings, []);
    let report = &opened().inspection.report;
    assert_eq!(report.norms.len(), 5 + 7);
    let of = |name: &str| found.sites.iter().find(|site| site.name == name);
    for norm in &report.norms {
        let site = of(&norm.name).unwrap_or_else(|| panic!("{} was not measured", norm.name));
        // 4 × 24 tokens: 8 sounds of 12 tokens; in the decoder, 11 sequences of 9, two for each sound.
        let tokens = if norm.name.contains("encoder.") { 8 * 12 } else { 16 * 9 };
        assert_eq!(site.tokens, tokens, "{}", norm.name);
        assert!(site.depth < 1e-9, "{}: {}", norm.name, site.depth);
    }
    let places: Vec<_> = found.residual.iter().map(|block| (block.stack.unwrap(), block.block)).collect();
    let (encoder, decoder) = (StackName::Encoder, StackName::Decoder);
    assert_eq!(places, [(encoder, 0), (encoder, 1), (decoder, 0), (decoder, 1)]);
    // There is no fall at the first block of the decoder, because there is no block before it.
    assert!(found.falls.iter().all(|fall| fall.block == 1 && fall.place.is_some()), "{:?}", found.falls);
    let pass = found.pass.unwrap();
    let stacks: Vec<_> =
        pass.stacks.iter().map(|one| (one.stack, one.blocks, one.sequences, one.length)).collect();
    assert_eq!(stacks, [(encoder, 2, 8, 12), (decoder, 2, 16, 9)]);
    assert_eq!((pass.sequences, pass.length), (16, 9));
}

#[test]
fn a_run_that_is_stopped_in_either_stack_goes_on_to_the_same_result() {
    let (whole, _) = verified(&usual(), 0);
    let (in_pieces, _) = verified(&usual(), 4);
    assert_eq!(in_pieces, whole);
}

#[test]
fn readers_of_both_stacks_are_moved_and_only_dead_directions_keep_the_function() {
    let (found, _) = verified(&Request { preservation: true, ..usual() }, 0);
    let rows = found.preservation;
    let moved = |site: &str, reader: &str| {
        assert!(rows.iter().any(|row| row.site == site && row.reader == reader), "{site}: {rows:?}");
    };
    moved("model.encoder.layers.0.self_attn_layer_norm", "model.encoder.layers.0.self_attn.v_proj.weight");
    // The decoder reads the output of the encoder.
    moved("model.encoder.layer_norm", "model.decoder.layers.0.encoder_attn.v_proj.weight");
    moved(
        "model.decoder.layers.1.encoder_attn_layer_norm",
        "model.decoder.layers.1.encoder_attn.q_proj.weight",
    );
    moved("model.decoder.layer_norm", "model.decoder.embed_tokens.weight");
    for row in rows {
        let dead = row.direction == PreservationDirection::Kernel;
        let expected = if dead { PreservationVerdict::Preserved } else { PreservationVerdict::Changed };
        // A constant may be as small as rounding, and the softmax cancels one that all tokens share.
        if row.direction != PreservationDirection::KernelBiasKept {
            assert_eq!(row.verdict, expected, "{row:?}");
        }
    }
}

#[test]
fn the_plan_names_both_stacks_and_what_each_reads() {
    let opened = opened();
    let plan = planned(&opened, &usual()).unwrap();
    assert_eq!((plan.blocks, plan.left_out, plan.sites), (4, 0, 12));
    assert!(
        plan.input.contains("for the encoder and uniform token ids, each sequence behind the start 1"),
        "{}",
        plan.input
    );
    // A list is used as it is: six sequences cannot be divided evenly among four sounds.
    let extent = Extent { tokens: Some(48), sequence: Some(4), blocks: None };
    let list = "5 6 7 8 ".repeat(6);
    let plan = planned(&opened, &Request { choice: Some(ids(&list)), extent, ..usual() }).unwrap();
    assert!(plan.input.ends_with("ids.txt (24 tokens in whole sequences, of 48 wanted) (4 of 6 sequences, as many for each input of the encoder) for the decoder"), "{}", plan.input);
    assert_eq!((plan.stacks[0].sequences, plan.stacks[1].sequences, plan.stacks[1].length), (4, 4, 4));
    // 16 tokens are too few for 24 channels of the decoder, but the encoder is measured.
    let few = plan.warnings.iter().find(|warning| warning.message.contains("16 tokens of the decoder"));
    assert!(few.is_some(), "{:?}", plan.warnings);
}

#[test]
fn the_first_blocks_are_the_encoders() {
    let opened = opened();
    let with = |blocks| {
        planned(&opened, &Request { extent: Extent { blocks: Some(blocks), ..Extent::default() }, ..usual() })
    };
    let alone = with(2).unwrap();
    assert_eq!((alone.blocks, alone.left_out, alone.sites, alone.stacks.len()), (2, 2, 5, 0));
    assert!(
        alone.warnings[0].message.contains("the first 2 of 4 blocks are run, the encoder alone"),
        "{:?}",
        alone.warnings
    );
    let cut = with(3).unwrap();
    assert_eq!((cut.stacks[0].blocks, cut.stacks[1].blocks, cut.sites), (2, 1, 9));
    assert!(
        cut.warnings[0].message.contains("the final norm reads the stream after those"),
        "{:?}",
        cut.warnings
    );
    assert_eq!(with(5).unwrap_err(), "5 blocks cannot be run of a model that has 4: ask for 1 to 4");
}

#[test]
fn ids_and_inputs_that_do_not_fit_are_refused_with_a_message() {
    let opened = opened();
    let extent = Extent { tokens: Some(48), sequence: Some(4), blocks: None };
    let refused = |request: Request, says: &str| {
        let error = planned(&opened, &request).unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    let of_ids = |text: &str| Request { choice: Some(ids(text)), extent, ..usual() };
    refused(of_ids("1 2 3 80"), "token 3 is 80");
    refused(of_ids("1 2 3"), "has 3 token ids");
    refused(
        of_ids("1 2 3 4"),
        "1 sequences of token ids cannot be dealt out evenly to 4 inputs of the encoder",
    );
    let text = Choice::Text { name: "a.txt".to_owned(), bytes: b"a text".to_vec() };
    refused(Request { choice: Some(text), ..usual() }, "no tokenizer.json");
    let pixels = gammascope::pixels::PixelChoice::Images(vec![MemorySource::new("a.png", Vec::new())]);
    refused(
        Request { pixels: Some(pixels), ..usual() },
        "the model reads features of sounds, and was given images",
    );
}

#[test]
fn an_encoder_alone_runs_without_a_decoder_and_reads_no_ids() {
    let bytes = std::fs::read(folder().join("model.safetensors")).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kept = stored.iter().filter(|(name, _)| !name.contains("decoder."));
    let files = vec![
        MemorySource::new("model.safetensors", safetensors::serialize(kept, None).unwrap()),
        MemorySource::new("config.json", std::fs::read(folder().join("config.json")).unwrap()),
    ];
    let alone = block_on(checkpoint::open(files.clone(), |_| {})).unwrap();
    assert!(resolve(&alone).unwrap().encoder.is_none());
    let opened = block_on(inspect::open(files, |_| {})).unwrap();
    let plan = planned(&opened, &usual()).unwrap();
    assert_eq!((plan.blocks, plan.sites, plan.stacks.len()), (2, 5, 0));
    let error = planned(&opened, &Request { choice: Some(Choice::Uniform), ..usual() }).unwrap_err();
    assert_eq!(error, "the model reads features of sounds, and was given token ids: give it the other");
}

/// Runs the fixture on ids for its decoder, and silence for its encoder.
fn of_both(ids: &[u32], length: usize, sounds: usize) -> Result<(), ForwardError> {
    let checkpoint = open(&folder());
    let architecture = resolve(&checkpoint).unwrap();
    let features = vec![0.0; sounds * 8 * 24];
    let encoder = Some(Input::features(&features, [sounds, 8, 24])?);
    Pass::new(&checkpoint, &architecture, Inputs { encoder, own: Input::token_ids(ids, length)? }).map(|_| ())
}

#[test]
fn unsupported_ids_and_lengths_of_a_decoder_are_refused() {
    of_both(&[1; 18], 9, 1).unwrap();
    assert_eq!(of_both(&[1; 10], 10, 1), Err(ForwardError::TooLong { length: 10, longest: 9 }));
    let error = of_both(&[1, 2, 80], 3, 1).unwrap_err();
    assert_eq!(error, ForwardError::Id { at: 2, id: 80, vocabulary: 80 });
    for sequences in [1, 3] {
        let error = of_both(&vec![1; sequences * 4], 4, 2).unwrap_err();
        assert_eq!(error, ForwardError::Shared { encoder: 2, own: sequences });
    }
    let checkpoint = open(&folder());
    let architecture = resolve(&checkpoint).unwrap();
    let error = Pass::new(&checkpoint, &architecture, Input::token_ids(&[1, 2], 2).unwrap()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the model reads features of sounds in its encoder and token ids in its decoder: give it both"
    );
    let alone = architecture.encoder.unwrap();
    let ids = Input::token_ids(&[1, 2], 2).unwrap();
    let error = Pass::new(&checkpoint, &alone, Inputs { encoder: Some(ids), own: ids }).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the model has no encoder and reads features of sounds alone: give it only these"
    );
}

/// Asserts that a pass on this device has the same result when it goes on from any block.
fn from_each_block(kernels: &impl Kernels) {
    let (checkpoint, expected) = (open(&folder()), expected(&folder()));
    let architecture = resolve(&checkpoint).unwrap();
    let features: Vec<f32> = expected["sound.features"].0.iter().map(|value| *value as f32).collect();
    let ids: Vec<u32> = expected["sound.decoder.ids"].0.iter().map(|id| *id as u32).collect();
    let encoder = Some(Input::features(&features, [2, 8, 24]).unwrap());
    let inputs = Inputs { encoder, own: Input::token_ids(&ids, 7).unwrap() };
    let pass = Pass::new(&checkpoint, &architecture, inputs).unwrap().on(kernels);
    goes_on_from_each_block(&pass, kernels, [2, 4]);
}

#[test]
fn a_pass_of_two_stacks_goes_on_from_each_block() {
    from_each_block(&Cpu);
}

#[cfg(feature = "gpu")]
#[test]
#[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
fn a_pass_of_two_stacks_goes_on_from_each_block_on_a_gpu() {
    from_each_block(&block_on(gammascope::gpu::forward::GpuKernels::open()).unwrap());
}
