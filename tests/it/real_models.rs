//! Facts about real trained checkpoints, read as by a user. The models come from packages and are stored in `.cache/models`,
//! which git ignores. If they cannot be fetched, these tests are ignored.

use crate::support;
use gammascope::compare::compare;
use gammascope::inspect::{Inspection, inspect};
use gammascope::report::comparison::MatchedBy;
use gammascope::report::{
    KernelForm, ModelVerdict, NormReport, NormRole, ReaderReport, Report, ScaleConvention,
};
use gammascope::source::disk::DiskSource;
use gammascope::source::memory::MemorySource;
use gammascope::writer::sample::BUDGET;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A model, or a file of one, that `tests/models/fetch.py` has fetched.
fn fetched(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models").join(name)
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn the_tokenizer_of_smollm2_splits_the_sample_text_like_the_python_library() {
    use gammascope::text::{SAMPLE, Tokenizer};
    let folder = fetched("SmolLM2-135M");
    let bytes = std::fs::read(folder.join("tokenizer.json")).unwrap();
    let tokenizer = Tokenizer::read("tokenizer.json", &bytes).unwrap();
    // From tokenizers 0.23.3 from PyPI on the same file and text. Every digit is a token.
    let ids = tokenizer.ids(SAMPLE).unwrap();
    assert_eq!((tokenizer.vocabulary(), ids.len()), (49_152, 7639));
    assert_eq!(ids[..12], [42185, 28807, 35185, 49126, 35696, 45581, 41026, 16997, 13867, 216, 35, 28]);
}

fn open(folder: &Path) -> Inspection {
    let sources = ["model.safetensors", "config.json"]
        .map(|file| DiskSource::open(&folder.join(file), file).unwrap())
        .into();
    pollster::block_on(inspect(sources, |_| {})).unwrap()
}

/// The bytes of a model that may be read: its header, its configuration, and 1.2 × its norm tensors, from the raw header.
fn allowed(folder: &Path) -> f64 {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length as usize]).unwrap();
    let norms: u64 = header
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.to_lowercase().contains("norm"))
        .map(|(_, entry)| {
            let offsets = &entry["data_offsets"];
            offsets[1].as_u64().unwrap() - offsets[0].as_u64().unwrap()
        })
        .sum();
    let config = std::fs::metadata(folder.join("config.json")).unwrap().len();
    (8 + length + config) as f64 + 1.2 * norms as f64
}

/// The report on the model with all names replaced by t000000, t000001 …, without a configuration, with sampled weights.
fn under_opaque_names(folder: &Path) -> Report {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let entries: Vec<&serde_json::Value> =
        header.iter().filter(|(name, _)| *name != "__metadata__").map(|(_, entry)| entry).collect();
    let renamed: serde_json::Map<_, _> =
        entries.iter().enumerate().map(|(index, entry)| (format!("t{index:06}"), (*entry).clone())).collect();
    let file = support::file(&serde_json::to_string(&renamed).unwrap(), &bytes[8 + length..]);
    let sources = vec![MemorySource::new("model.safetensors", file)];
    pollster::block_on(async {
        let mut opened = gammascope::inspect::open(sources, |_| {}).await.unwrap();
        let weights = opened.weigh(BUDGET, |_| ControlFlow::Continue(())).await;
        opened.take(weights);
        opened.inspection.report
    })
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn the_weights_alone_tell_the_three_models_apart() {
    for (name, verdict, sites) in [
        ("all-MiniLM-L6-v2", ModelVerdict::LayerNorm, 13),
        ("SmolLM2-135M", ModelVerdict::RmsNorm, 60),
        ("gemma-3-270m", ModelVerdict::RmsNorm, 80),
    ] {
        let folder = fetched(name);
        let report = under_opaque_names(&folder);
        // Weights that ignore the mean fit a LayerNorm and a norm over few groups. With a shift, both stay possible.
        let verdicts = match verdict {
            ModelVerdict::LayerNorm => [ModelVerdict::LayerNorm, ModelVerdict::Unknown],
            other => [other, other],
        };
        assert!(verdicts.contains(&report.model.verdict), "{name}: {}", report.model.sentence);
        assert!(report.norms.len() >= sites, "{name}: {} sites", report.norms.len());
        assert!(report.checkpoint.weight_bytes_read <= BUDGET);
    }
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn all_minilm_has_a_kernel_direction_at_each_of_13_layer_norms() {
    let folder = fetched("all-MiniLM-L6-v2");
    let report = open(&folder).report;
    assert_eq!(report.model.verdict, ModelVerdict::LayerNorm);
    assert_eq!(report.norms.len(), 13);
    assert!(report.norms.iter().all(|norm| norm.kernel.form == KernelForm::InverseScale));
    assert!(report.checkpoint.bytes_read < 300_000 && report.checkpoint.bytes > 90_000_000);
    assert!(report.checkpoint.bytes_read as f64 <= allowed(&folder));

    let last = report.norms.iter().find(|norm| norm.role == NormRole::Final).unwrap();
    assert_eq!(last.name, "encoder.layer.5.output.LayerNorm");
    assert_eq!(last.kernel.scale_min_abs, Some(f64::from(-4.795_129_5e-33_f32).abs()));
    assert_eq!(last.kernel.near_dead, [127, 223, 319]);
    // Two scales are equally tiny and share the direction. Neither component reaches 1, but the near-dead ones together do.
    assert!((last.kernel.max_component.unwrap() - 0.781_825).abs() < 1e-6);
    assert!(last.kernel.near_dead_weight.unwrap() > 0.999);
    assert!(
        report
            .norms
            .iter()
            .filter(|norm| norm.role != NormRole::Final)
            .all(|norm| norm.kernel.near_dead.is_empty())
    );
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn smollm2_has_61_rms_norms_and_no_direction_is_offered() {
    let folder = fetched("SmolLM2-135M");
    let report = open(&folder).report;
    assert_eq!(report.model.verdict, ModelVerdict::RmsNorm);
    assert_eq!(report.norms.len(), 61);
    assert!(report.norms.iter().all(|norm| norm.kernel.form != KernelForm::InverseScale));
    assert!(report.norms.iter().all(|norm| norm.kernel.participation.is_none()));
    assert!(report.checkpoint.bytes_read as f64 <= allowed(&folder));
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn gemma_3_has_109_rms_norms_of_which_46_have_an_exactly_zero_scale() {
    let folder = fetched("gemma-3-270m");
    let report = open(&folder).report;
    assert_eq!(report.model.verdict, ModelVerdict::RmsNorm);
    assert_eq!(report.norms.len(), 109);
    assert!(report.norms.iter().all(|norm| norm.scale_convention == ScaleConvention::OnePlusWeight));
    let coordinates = report.norms.iter().filter(|norm| norm.kernel.form == KernelForm::Coordinates);
    assert_eq!(coordinates.count(), 46);
    let site =
        report.norms.iter().find(|norm| norm.name == "model.layers.4.post_feedforward_layernorm").unwrap();
    assert_eq!(site.kernel.near_dead.len(), 11);
    assert!(report.checkpoint.bytes_read as f64 <= allowed(&folder));
}

/// Opens a GGUF file.
fn open_gguf(path: &Path) -> Inspection {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    pollster::block_on(inspect(vec![DiskSource::open(path, name).unwrap()], |_| {})).unwrap()
}

/// The Hugging Face name of a site in llama.cpp. `feed_forward` is the name of ffn_norm.
fn original_name(site: &str, feed_forward: &str) -> String {
    let Some(rest) = site.strip_prefix("blk.") else { return "model.norm".to_owned() };
    let (block, inside) = rest.split_once('.').unwrap();
    let inside = match inside {
        "attn_norm" => "input_layernorm",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "post_attention_norm" => "post_attention_layernorm",
        "post_ffw_norm" => "post_feedforward_layernorm",
        "ffn_norm" => feed_forward,
        other => other,
    };
    format!("model.layers.{block}.{inside}")
}

/// The twins were made from the GGUF files, so they do not show the convention of a GGUF file. The numbers do.
#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn published_in_bf16_gemmas_scales_are_stored_plus_one_and_llamas_as_they_are() {
    for (original, plus_one) in
        [("SmolLM2-135M-Instruct.Q4_1.gguf", false), ("gemma-3-270m.Q4_K_M.gguf", true)]
    {
        let path = fetched(original);
        let inspection = open_gguf(&path);
        let values: Vec<f64> =
            inspection.scales.iter().flatten().flat_map(|scale| scale.values().to_vec()).collect();
        let share = |offset: f64| {
            let is_bf16 = |value: &&f64| ((**value - offset) as f32).to_bits() & 0xffff == 0;
            values.iter().filter(is_bf16).count() as f64 / values.len() as f64
        };
        let (as_stored, less_one) = (share(0.0), share(1.0));
        let (right, wrong) = if plus_one { (less_one, as_stored) } else { (as_stored, less_one) };
        assert!(values.len() > 30_000 && right == 1.0 && wrong < 0.8, "{original}: {right} {wrong}");
    }
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn gguf_files_give_the_facts_of_their_safetensors_twins() {
    for (name, original, feed_forward, sites) in [
        ("SmolLM2-135M", "SmolLM2-135M-Instruct.Q4_1.gguf", "post_attention_layernorm", 61),
        ("gemma-3-270m", "gemma-3-270m.Q4_K_M.gguf", "pre_feedforward_layernorm", 109),
    ] {
        let (folder, path) = (fetched(name), fetched(original));
        let (ours, theirs) = (open_gguf(&path), open(&folder));
        let (report, twin) = (&ours.report, &theirs.report);
        assert_eq!((report.checkpoint.format.as_str(), report.warnings.len()), ("gguf", 0));
        assert_eq!((report.norms.len(), twin.norms.len()), (sites, sites));
        assert_eq!(report.model.verdict, twin.model.verdict);
        assert_eq!(report.model.sentence, twin.model.sentence);
        assert_eq!((report.model.layers, report.model.width), (twin.model.layers, twin.model.width));
        assert_eq!(report.checkpoint.parameters, twin.checkpoint.parameters);
        for (norm, scale) in report.norms.iter().zip(&ours.scales) {
            let place =
                twin.norms.iter().position(|other| other.name == original_name(&norm.name, feed_forward));
            let (other, other_scale) = (&twin.norms[place.unwrap()], &theirs.scales[place.unwrap()]);
            assert_eq!(
                (norm.role, norm.block, norm.width, norm.kind),
                (other.role, other.block, other.width, other.kind),
                "{}",
                norm.name
            );
            assert_eq!(norm.scale_convention, ScaleConvention::Weight);
            assert_eq!(format!("{:?}", norm.kernel), format!("{:?}", other.kernel), "{}", norm.name);
            // The twin was rounded to BF16. The rounded values are the same, including every exact zero.
            let (scale, other_scale) =
                (scale.as_ref().unwrap().values(), other_scale.as_ref().unwrap().values());
            let apart = scale.iter().zip(other_scale).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-6, "{}: {apart}", norm.name);
            let zeros = |scale: &[f64]| scale.iter().filter(|&&value| value == 0.0).count();
            assert_eq!(zeros(scale), zeros(other_scale), "{}", norm.name);
            let counted = |norm: &NormReport| {
                let count = |reader: &ReaderReport| {
                    format!("{:?} {} {} {:?}", reader.used_as, reader.rows, reader.parameters, reader.dead)
                };
                let mut counts: Vec<String> = norm.readers.iter().map(count).collect();
                counts.sort();
                counts
            };
            assert_eq!(counted(norm), counted(other), "{}", norm.name);
        }
        assert_eq!(report.dead_parameters.outright, twin.dead_parameters.outright);
        assert_eq!(report.dead_parameters.readers, twin.dead_parameters.readers);
        // The numbers of the vocabulary are skipped, so less than the header is read.
        assert!(report.checkpoint.bytes_read < 6_000_000 && report.checkpoint.bytes > 90_000_000);
    }
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn a_comparison_finds_each_site_of_a_gguf_twin_and_nothing_changed() {
    for (name, original, feed_forward, sites) in [
        ("SmolLM2-135M", "SmolLM2-135M-Instruct.Q4_1.gguf", "post_attention_layernorm", 61),
        ("gemma-3-270m", "gemma-3-270m.Q4_K_M.gguf", "pre_feedforward_layernorm", 109),
    ] {
        let (folder, path) = (fetched(name), fetched(original));
        let comparison = compare(&open(&folder), &open_gguf(&path)).unwrap();
        assert_eq!(comparison.sites.len(), sites);
        assert!(comparison.only_before.is_empty() && comparison.only_after.is_empty());
        for site in &comparison.sites {
            assert_eq!(site.matched_by, MatchedBy::Place);
            assert_eq!(site.name, original_name(&site.name_after, feed_forward));
            assert!(!site.kind_changed() && !site.kernel_changed(), "{}", site.name);
            assert!(site.relative_change.unwrap() < 1e-6, "{}: {:?}", site.name, site.relative_change);
        }
    }
}
