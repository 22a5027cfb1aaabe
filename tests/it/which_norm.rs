//! The kind of a norm if configuration, names and weights agree, are wrong, contradict each other or say nothing.

use crate::support;
use crate::support::transformer::{Named, Transformer, Weights, file};
use gammascope::inspect::{self, Inspection};
use gammascope::report::story::Story;
use gammascope::report::{
    EvidenceReport, FindingCode, KindByLoss, ModelVerdict, NormBehaviour, NormKind, NormReport, NormRole,
    PassSummary, Report, ScaleConvention, Verification, WarningCode,
};
use gammascope::source::memory::MemorySource;
use gammascope::writer::sample::BUDGET;
use std::ops::ControlFlow;

const LLAMA: &str = r#"{"model_type":"llama","hidden_size":128,"rms_norm_eps":1e-6}"#;

/// Opens files and, with `weigh`, samples the weights.
fn read(files: Vec<(&str, Vec<u8>)>, weigh: bool) -> Inspection {
    let sources = files.into_iter().map(|(path, bytes)| MemorySource::new(path, bytes)).collect();
    pollster::block_on(async {
        let mut opened = inspect::open(sources, |_| {}).await.unwrap();
        if weigh {
            let weights = opened.weigh(BUDGET, |_| ControlFlow::Continue(())).await;
            opened.take(weights);
        }
        opened.inspection
    })
}

fn as_named(_: usize, name: &str) -> String {
    name.to_owned()
}

fn opaque(index: usize, _: &str) -> String {
    format!("t{index:06}")
}

fn model(weights: Weights, shifts: bool) -> Vec<Named> {
    Transformer { weights, shifts, trained_scales: true }.tensors()
}

/// The report on a model with sampled weights, with or without a configuration.
fn weighed(tensors: &[Named], config: Option<&str>, rename: impl Fn(usize, &str) -> String) -> Report {
    let mut files = vec![("model.safetensors", file(tensors, rename))];
    files.extend(config.map(|config| ("config.json", config.as_bytes().to_vec())));
    read(files, true).report
}

fn energy(norm: &NormReport) -> &EvidenceReport {
    norm.evidence.iter().find(|evidence| evidence.source == "writer energy").unwrap()
}

fn final_norm(report: &Report) -> &NormReport {
    report.norms.iter().find(|norm| norm.role == NormRole::Final).unwrap()
}

#[test]
fn weights_alone_decide_the_kind_under_opaque_names() {
    for (weights, shifts, kind) in [
        (Weights::Trained { energy: 0.2 }, true, NormKind::LayerNorm),
        (Weights::Trained { energy: 1.0 }, false, NormKind::RmsNorm),
    ] {
        let report = weighed(&model(weights, shifts), None, opaque);
        assert_eq!(report.norms.len(), 9, "{weights:?}");
        for norm in &report.norms {
            // Weights that ignore the mean fit a LayerNorm and a norm over few groups, which has a shift as well.
            let open: f64 = norm
                .alternatives
                .iter()
                .filter(|other| matches!(other.behaviour, NormBehaviour::LayerNorm | NormBehaviour::Spanning))
                .map(|other| other.probability)
                .sum();
            match kind {
                NormKind::LayerNorm => assert!(norm.kind != NormKind::RmsNorm && open > 0.95, "{norm:?}"),
                _ => assert_eq!(norm.kind, kind, "{weights:?}: {}", report.model.sentence),
            }
        }
    }
}

#[test]
fn untrained_weights_under_opaque_names_are_unknown() {
    for shifts in [true, false] {
        let report = weighed(&model(Weights::Random, shifts), None, opaque);
        assert_eq!(report.model.verdict, ModelVerdict::Unknown);
        let norm = &report.norms[0];
        assert!(energy(norm).detail.contains("as alike as a random draw's"), "{}", energy(norm).detail);
        assert!(norm.settle.is_some());
    }
}

#[test]
fn zero_and_constant_writers_say_nothing() {
    for weights in [Weights::Zero, Weights::Constant] {
        let report = weighed(&model(weights, false), Some(LLAMA), as_named);
        assert_eq!(energy(final_norm(&report)).strength, 0.0, "{weights:?}");
        assert_eq!(report.model.verdict, ModelVerdict::RmsNorm, "the configuration still speaks");
        assert!(report.writers.is_empty() && report.checkpoint.weight_bytes_read > 0);
    }
}

#[test]
fn blocks_that_disagree_make_the_energy_abstain() {
    let report = weighed(&model(Weights::Disagreeing, false), None, as_named);
    let said = energy(final_norm(&report));
    assert_eq!(said.strength, 0.0);
    assert!(said.detail.contains("blocks disagree"), "{}", said.detail);
}

#[test]
fn centred_writers_make_any_norm_behave_as_layer_norm() {
    let report = weighed(&model(Weights::Centred, false), Some(LLAMA), as_named);
    let norm = final_norm(&report);
    assert_eq!(norm.kind, NormKind::LayerNorm, "the function, not the name");
    assert!(energy(norm).detail.contains("behaves as LayerNorm"), "{}", energy(norm).detail);
    assert!(norm.settle.as_ref().unwrap().contains("configuration"), "and the contradiction is named");
}

/// The reports before and after a run with both kinds on 32 sequences. `difference` is the loss as LayerNorm minus that as RMSNorm, in nats.
fn run(tensors: &[Named], config: &str, difference: f64, kind: NormKind) -> [Report; 2] {
    let sources = vec![
        MemorySource::new("model.safetensors", file(tensors, as_named)),
        MemorySource::new("config.json", config.as_bytes().to_vec()),
    ];
    let mut opened = pollster::block_on(inspect::open(sources, |_| {})).unwrap();
    let before = opened.inspection.report.clone();
    let loss = KindByLoss {
        layernorm: 3.2 + difference,
        rmsnorm: 3.2,
        difference,
        standard_error: 0.004,
        tokens: 32 * 127,
        kind,
    };
    let pass = PassSummary {
        family: "llama".to_owned(),
        assumed_kind: NormKind::RmsNorm,
        sequences: 32,
        length: 128,
        loss: Some(3.2),
        left_out: 0,
        stacks: Vec::new(),
    };
    let verification = Verification {
        tokens: 32 * 128,
        width_ratio: 32.0,
        forward: "f32".to_owned(),
        device: "cpu".to_owned(),
        input: "a text".to_owned(),
        seconds: 1.0,
        kernel_seconds: None,
        sites: Vec::new(),
        residual: Vec::new(),
        falls: Vec::new(),
        loss: Some(loss),
        preservation: Vec::new(),
        claims: Vec::new(),
        story: Story::default(),
        random_init: None,
        pass: Some(pass),
    };
    opened.verify(verification, Vec::new());
    [before, opened.inspection.report]
}

fn loss(norm: &NormReport) -> &EvidenceReport {
    norm.evidence.iter().find(|evidence| evidence.source == "loss").unwrap()
}

#[test]
fn a_loss_that_agrees_is_evidence_at_every_norm_of_the_stream() {
    let [before, after] = run(&model(Weights::Random, false), LLAMA, 0.08, NormKind::RmsNorm);
    assert!(before.norms.iter().all(|norm| norm.evidence.iter().all(|piece| piece.source != "loss")));
    for (before, after) in before.norms.iter().zip(&after.norms) {
        assert_eq!((loss(after).says, loss(after).strength), (NormKind::RmsNorm, 7.6));
        assert!(
            after.kind == NormKind::RmsNorm
                && after.confidence >= before.confidence
                && after.settle.is_none()
        );
    }
    let said =
        |reason: &String| reason.starts_with("loss: ") && reason.ends_with("(towards RMSNorm, 9 sites)");
    assert!(after.model.reasons.iter().any(said), "{:?}", after.model.reasons);
    assert!(after.findings.iter().any(|finding| finding.code == FindingCode::LossAgrees));
}

#[test]
fn a_loss_that_contradicts_the_code_lowers_the_confidence_and_is_named() {
    let [before, after] = run(&model(Weights::Random, false), LLAMA, -0.08, NormKind::LayerNorm);
    assert_eq!(before.model.verdict, ModelVerdict::RmsNorm);
    assert_eq!(after.findings[0].code, FindingCode::LossContradicts);
    for (before, after) in before.norms.iter().zip(&after.norms) {
        assert_eq!(loss(after).says, NormKind::LayerNorm);
        assert!(after.confidence < before.confidence, "{} {}", before.confidence, after.confidence);
        let settle = after.settle.as_deref().unwrap_or_default();
        // The layout of its block or, outside blocks, the configuration.
        let code = ["layout", "configuration"];
        let named = |code: &str| format!("Evidence for LayerNorm: loss. Evidence for RMSNorm: {code}.");
        assert!(code.iter().any(|code| settle.starts_with(&named(code))), "{settle}");
    }
    const GPT_2: &str = r#"{"model_type":"gpt2","n_embd":128,"layer_norm_epsilon":1e-5}"#;
    let [before, after] = run(&model(Weights::Random, true), GPT_2, 0.08, NormKind::RmsNorm);
    assert_eq!(before.model.verdict, ModelVerdict::LayerNorm);
    for (before, after) in before.norms.iter().zip(&after.norms) {
        assert!(after.confidence < before.confidence, "{} {}", before.confidence, after.confidence);
        let settle = after.settle.as_deref().unwrap_or_default();
        assert!(settle.contains(". Evidence for RMSNorm: loss."), "{settle}");
    }
}

#[test]
fn a_loss_under_five_standard_errors_changes_nothing() {
    let [before, after] = run(&model(Weights::Random, false), LLAMA, -0.01, NormKind::Unknown);
    for (before, after) in before.norms.iter().zip(&after.norms) {
        assert_eq!((loss(after).says, loss(after).strength), (NormKind::Unknown, 0.0));
        assert_eq!((before.kind, before.confidence), (after.kind, after.confidence));
    }
}

#[test]
fn refusing_the_weights_leaves_them_unread_and_says_so() {
    let tensors = model(Weights::Trained { energy: 0.2 }, true);
    let report = read(vec![("model.safetensors", file(&tensors, opaque))], false).report;
    assert_eq!(report.checkpoint.weight_bytes_read, 0);
    assert_eq!(report.model.verdict, ModelVerdict::Unknown);
    assert!(report.norms[0].settle.as_ref().unwrap().contains("sample of the weights"));
}

#[test]
fn a_sample_that_is_stopped_says_nothing() {
    let tensors = model(Weights::Trained { energy: 0.2 }, true);
    let sources = vec![MemorySource::new("model.safetensors", file(&tensors, opaque))];
    let report = pollster::block_on(async {
        let mut opened = inspect::open(sources, |_| {}).await.unwrap();
        let mut calls = 0;
        let weights = opened
            .weigh(BUDGET, |_| {
                calls += 1;
                if calls > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await;
        assert!(weights.is_partial());
        opened.take(weights);
        opened.inspection.report
    });
    assert!(report.writers.is_empty());
    assert!(energy(&report.norms[0]).detail.contains("stopped"));
}

#[test]
fn a_sample_stays_within_its_budget() {
    let tensors = model(Weights::Trained { energy: 0.2 }, true);
    let sources = vec![MemorySource::new("model.safetensors", file(&tensors, as_named))];
    pollster::block_on(async {
        let opened = inspect::open(sources, |_| {}).await.unwrap();
        for budget in [0, 100_000, 400_000] {
            let mut read = 0;
            opened
                .weigh(budget, |progress| {
                    read = progress.bytes_read;
                    ControlFlow::Continue(())
                })
                .await;
            assert!(read <= budget, "{read} of {budget}");
        }
    });
}

#[test]
fn a_configuration_of_another_family_beside_the_weights_is_a_contradiction() {
    let bert = r#"{"model_type":"bert","hidden_size":128,"layer_norm_eps":1e-12}"#;
    let report = weighed(&model(Weights::Trained { energy: 1.0 }, false), Some(bert), as_named);
    let norm = final_norm(&report);
    assert_ne!(norm.kind, NormKind::LayerNorm, "Llama's weights are no BERT");
    assert!(norm.settle.as_ref().unwrap().contains("check that the configuration is this model's"));
    let says = |source| norm.evidence.iter().find(|piece| piece.source == source).unwrap().says;
    assert_eq!((says("configuration"), says("shift")), (NormKind::LayerNorm, NormKind::RmsNorm));
}

#[test]
fn a_configuration_of_another_width_is_not_used() {
    let bert = r#"{"model_type":"bert","hidden_size":777}"#;
    let report = weighed(&model(Weights::Trained { energy: 1.0 }, false), Some(bert), as_named);
    assert_eq!(report.model.verdict, ModelVerdict::RmsNorm);
    assert!(report.warnings.iter().any(|warning| warning.code == WarningCode::ConfigForeign));
}

#[test]
fn fields_that_contradict_the_weights_make_the_kind_unknown() {
    // A file that says RMSNorm over weights whose norms have shifts.
    let config = r#"{"hidden_size":128,"norm_type":"rmsnorm"}"#;
    let tensors = Transformer { weights: Weights::Random, shifts: true, trained_scales: true }.tensors();
    let report = weighed(&tensors, Some(config), as_named);
    let norm = final_norm(&report);
    assert_eq!((norm.kind, norm.confidence), (NormKind::Unknown, 0.0));
    assert!(norm.settle.as_ref().unwrap().contains(". Evidence for RMSNorm: configuration."));
    // Trained weights decide it.
    let trained =
        Transformer { weights: Weights::Trained { energy: 0.2 }, shifts: true, trained_scales: true };
    assert_eq!(final_norm(&weighed(&trained.tensors(), Some(config), as_named)).kind, NormKind::LayerNorm);
}

#[test]
fn the_name_of_an_epsilon_alone_decides_nothing_against_the_weights() {
    for (field, shifts, kind) in [
        ("layer_norm_epsilon", false, NormKind::RmsNorm),
        ("layer_norm_eps", false, NormKind::RmsNorm),
        ("rms_norm_eps", true, NormKind::LayerNorm),
    ] {
        let config = format!(r#"{{"hidden_size":128,"{field}":1e-6}}"#);
        let energy = if shifts { 0.2 } else { 1.0 };
        let report = weighed(&model(Weights::Trained { energy }, shifts), Some(&config), as_named);
        assert!([kind, NormKind::Unknown].contains(&final_norm(&report).kind), "{field}");
    }
}

#[test]
fn partly_renamed_tensors_are_decided_as_far_as_their_names_allow() {
    let half = |index: usize, name: &str| {
        if name.contains("layers.0.") || name.contains("layers.1.") {
            format!("x{index}")
        } else {
            name.to_owned()
        }
    };
    let report = weighed(&model(Weights::Trained { energy: 1.0 }, false), None, half);
    assert_eq!(report.norms.len(), 5, "those that still have a name");
    assert!(report.norms.iter().all(|norm| norm.kind == NormKind::RmsNorm));
    assert!(
        report.warnings.iter().any(|warning| warning.code == WarningCode::NamesOpaque),
        "{:?}",
        report.warnings
    );
}

#[test]
fn two_models_in_one_file_are_two_parts_with_a_verdict_each() {
    let mut both = Vec::new();
    for (prefix, weights, shifts) in [
        ("student", Weights::Trained { energy: 0.2 }, true),
        ("teacher", Weights::Trained { energy: 1.0 }, false),
    ] {
        both.extend(
            model(weights, shifts)
                .into_iter()
                .map(|(name, shape, values)| (format!("{prefix}.{name}"), shape, values)),
        );
    }
    let report = weighed(&both, None, as_named);
    assert_eq!(report.model.verdict, ModelVerdict::Mixed);
    let parts: Vec<_> =
        report.model.parts.iter().map(|part| (part.name.as_str(), part.verdict, part.sites)).collect();
    assert_eq!(
        parts,
        [
            ("student.model.layers", ModelVerdict::LayerNorm, 9),
            ("teacher.model.layers", ModelVerdict::RmsNorm, 9)
        ]
    );
    assert!(report.model.parts.iter().all(|part| part.final_norm.is_some()));
}

#[test]
fn half_of_the_shards_are_enough() {
    let tensors = model(Weights::Trained { energy: 1.0 }, false);
    let (first, _) = tensors.split_at(tensors.len() / 2);
    let report = read(vec![("model-00001-of-00002.safetensors", file(first, as_named))], true).report;
    assert_eq!(report.model.verdict, ModelVerdict::RmsNorm);
    assert_eq!(report.checkpoint.missing_shards, ["model-00002-of-00002.safetensors"]);
}

#[test]
fn scales_that_are_all_ones_have_a_kernel_too() {
    let tensors = Transformer { weights: Weights::Random, shifts: true, trained_scales: false }.tensors();
    let report = weighed(&tensors, None, as_named);
    let norm = final_norm(&report);
    assert_eq!((norm.kind, norm.scale_convention), (NormKind::LayerNorm, ScaleConvention::Weight));
    assert!((norm.kernel.participation.unwrap() - 128.0).abs() < 1e-9);
}

#[test]
fn scales_in_f8_are_read() {
    // 0x38 is 1.0 in F8_E4M3, 0x30 is 0.5.
    let json = r#"{"model.norm.bias":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},"model.norm.weight":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[4,8]}}"#;
    let bytes = support::file(json, &[0x30, 0x38, 0x30, 0x38, 0x38, 0x38, 0x30, 0x38]);
    let config = br#"{"model_type":"gpt2"}"#.to_vec();
    let report = read(vec![("model.safetensors", bytes), ("config.json", config)], true).report;
    let norm = &report.norms[0];
    assert_eq!(norm.kind, NormKind::LayerNorm);
    assert_eq!((norm.kernel.scale_min_abs, norm.kernel.scale_max_abs), (Some(0.5), Some(1.0)));
}

#[test]
fn a_fine_tune_whose_scale_crossed_zero_keeps_its_convention() {
    let mut tensors = model(Weights::Trained { energy: 1.0 }, false);
    for (name, _, values) in &mut tensors {
        if name.contains("norm") {
            values[7] = -0.02;
            values[9] = -0.6;
        }
    }
    let report = weighed(&tensors, None, as_named);
    assert!(report.norms.iter().all(|norm| norm.scale_convention == ScaleConvention::Weight));
    assert_eq!(report.model.verdict, ModelVerdict::RmsNorm);
}

#[test]
fn a_shift_of_zeros_may_be_a_converters_padding() {
    let mut tensors = model(Weights::Trained { energy: 1.0 }, true);
    tensors
        .iter_mut()
        .filter(|(name, ..)| name.ends_with("norm.bias"))
        .for_each(|(_, _, values)| values.fill(0.0));
    let report = weighed(&tensors, Some(LLAMA), as_named);
    assert_ne!(final_norm(&report).kind, NormKind::LayerNorm, "the rest says RMSNorm");
}

/// The report on a file with matrices and convolutions of small numbers, and norms with a shift.
fn network(maps: &[(String, Vec<usize>)], norms: &[(String, usize)]) -> Report {
    let mut tensors: Vec<(String, Vec<usize>, f32)> =
        maps.iter().map(|(name, shape)| (name.clone(), shape.clone(), 0.1)).collect();
    for (norm, width) in norms {
        tensors.push((format!("{norm}.weight"), vec![*width], 0.9));
        tensors.push((format!("{norm}.bias"), vec![*width], 0.1));
    }
    let listed: Vec<(&str, &[usize], Vec<f32>)> = tensors
        .iter()
        .map(|(name, shape, value)| {
            let values = (0..shape.iter().product::<usize>()).map(|at| value + 0.01 * (at % 7) as f32);
            (name.as_str(), shape.as_slice(), values.collect())
        })
        .collect();
    read(vec![("model.safetensors", support::tensors(&listed))], false).report
}

/// The U-Net of robot policies (a convolution over time and a group norm in a Sequential), and an image encoder with blocks of two convolutions.
#[test]
fn norms_among_convolutions_are_never_called_layer_norm() {
    let (mut maps, mut norms) = (Vec::new(), Vec::new());
    for block in 0..2 {
        let inputs = if block == 0 { 32 } else { 64 };
        maps.push((format!("unet.down_modules.0.{block}.blocks.0.block.0.weight"), vec![64, inputs, 5]));
        norms.push((format!("unet.down_modules.0.{block}.blocks.0.block.1"), 64));
        for number in 1..3 {
            maps.push((format!("encoder.stage.{block}.conv{number}.weight"), vec![48, 48, 3, 3]));
            norms.push((format!("encoder.stage.{block}.bn{number}"), 48));
        }
    }
    maps.push(("encoder.stem.0.weight".to_owned(), vec![48, 3, 7, 7]));
    norms.push(("encoder.stem.1".to_owned(), 48));
    let report = network(&maps, &norms);
    assert_eq!(report.norms.len(), norms.len());
    for norm in &report.norms {
        assert!(matches!(norm.kind, NormKind::Other | NormKind::Unknown), "{}: {:?}", norm.name, norm.kind);
        let all: f64 = norm.alternatives.iter().map(|other| other.probability).sum();
        assert!(norm.alternatives.len() == 4 && (all - 1.0).abs() < 1e-8, "{}", norm.name);
    }
}

/// The same norms in the blocks of a transformer, in unlisted code.
#[test]
fn norms_with_a_shift_in_a_transformers_blocks_are_layer_norms_and_the_alternative_is_shown() {
    let (mut maps, mut norms) = (Vec::new(), vec![("final_norm".to_owned(), 64)]);
    for block in 0..2 {
        for (name, shape) in [
            ("attn.w_in", [192, 64]),
            ("attn.w_out", [64, 64]),
            ("mlp.first", [256, 64]),
            ("mlp.last", [64, 256]),
        ] {
            maps.push((format!("blocks.{block}.{name}.weight"), shape.to_vec()));
        }
        norms.push((format!("blocks.{block}.attn_norm"), 64));
        norms.push((format!("blocks.{block}.mlp_norm"), 64));
    }
    let report = network(&maps, &norms);
    for norm in report.norms.iter().filter(|norm| norm.block.is_some()) {
        assert_eq!(norm.kind, NormKind::LayerNorm, "{}", norm.name);
        let spanning = norm.alternatives.iter().find(|other| other.behaviour == NormBehaviour::Spanning);
        assert!(spanning.unwrap().probability > 0.005, "a group norm stays possible");
    }
}

#[test]
fn a_model_of_batch_norms_says_so_with_its_confidence_and_reasons() {
    let scale: Vec<f32> = (0..16).map(|at| 0.5 + at as f32 / 16.0).collect();
    let names: Vec<String> = (0..3)
        .flat_map(|block| {
            ["weight", "bias", "running_mean", "running_var"].map(|leaf| format!("layers.{block}.bn1.{leaf}"))
        })
        .collect();
    let tensors: Vec<(&str, &[usize], Vec<f32>)> =
        names.iter().map(|name| (name.as_str(), &[16][..], scale.clone())).collect();
    let report = read(vec![("model.safetensors", support::tensors(&tensors))], false).report;
    assert_eq!((report.model.verdict, report.norms.len()), (ModelVerdict::Other, 3));
    assert_eq!(report.model.confidence, report.norms[0].confidence);
    assert!(report.model.confidence > 0.95);
    assert!(
        report.model.reasons.iter().any(|reason| reason.contains("running statistics")),
        "{:?}",
        report.model.reasons
    );
}
