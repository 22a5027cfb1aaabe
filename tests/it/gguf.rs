//! GGUF files: they give the same facts as the safetensors files they were converted from, and there is one message for each
//! thing that can be wrong with them.

use crate::support::gguf::{F16, F32, Gguf, Q4_K, Q8_0, f32s, list, text};
use crate::support::transformer::{Named, Transformer, WIDTH, Weights, file};
use crate::support::{layer_norm, open, refused, sampled};
use gammascope::checkpoint::gguf::{self, Header};
use gammascope::checkpoint::{Checkpoint, CheckpointError};
use gammascope::report::{
    KernelForm, ModelVerdict, NormKind, NormReport, NormRole, ReaderReport, Report, ScaleConvention,
    WriterReport,
};
use gammascope::source::memory::MemorySource;
use gammascope::source::{ByteSource, Meter, SourceError};
use proptest::prelude::*;
use std::cell::Cell;
use std::ops::Range;

fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

fn codes(report: &Report) -> Vec<&str> {
    report.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// The header of these bytes.
fn header(bytes: Vec<u8>) -> Result<Header, CheckpointError> {
    pollster::block_on(gguf::read(&Meter::default(), &MemorySource::new("m.gguf", bytes)))
}

/// A norm of four scales.
fn small() -> Gguf {
    Gguf::of("llama").values("output_norm.weight", &[4], &[1.0, 2.0, 3.0, 4.0])
}

/// The name in llama.cpp of a tensor of [`Transformer`].
fn ggml_name(name: &str) -> String {
    let renamed = [
        ("model.embed_tokens", "token_embd"),
        ("model.layers", "blk"),
        ("model.norm", "output_norm"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    renamed.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

fn converted(tensors: &[Named], gguf: Gguf) -> Vec<u8> {
    let add = |gguf: Gguf, (name, shape, values): &Named| {
        let shape: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        gguf.values(&ggml_name(name), &shape, values)
    };
    tensors.iter().fold(gguf, add).build()
}

/// The facts of a model that do not depend on the format, with the names of llama.cpp: its sites with their kernels and readers,
/// and the energies of its writers.
fn facts(report: &Report) -> (Vec<String>, Vec<String>) {
    let site = |norm: &NormReport| {
        let reader = |reader: &ReaderReport| {
            let name = ggml_name(&reader.name);
            format!("{name} {:?} {} {:?} {:?}", reader.used_as, reader.rows, reader.dead, reader.bias)
        };
        let mut readers: Vec<String> = norm.readers.iter().map(reader).collect();
        readers.sort();
        let name = ggml_name(&norm.name);
        format!("{name} {:?} {:?} {:?} {:?} {readers:?}", norm.role, norm.block, norm.kind, norm.kernel)
    };
    let writer = |writer: &WriterReport| {
        format!("{} {:?} {} {:.9}", ggml_name(&writer.name), writer.part, writer.rows, writer.energy)
    };
    let mut writers: Vec<String> = report.writers.iter().map(writer).collect();
    writers.sort();
    let mut sites: Vec<String> = report.norms.iter().map(site).collect();
    sites.sort();
    (sites, writers)
}

#[test]
fn a_converted_model_has_the_sites_kernels_readers_and_writers_of_its_original() {
    for (shifts, energy, ours, theirs, verdict) in [
        (true, 0.2, "llama.attention.layer_norm_epsilon", "layer_norm_eps", ModelVerdict::LayerNorm),
        (false, 1.0, "llama.attention.layer_norm_rms_epsilon", "rms_norm_eps", ModelVerdict::RmsNorm),
    ] {
        let weights = Weights::Trained { energy };
        let tensors = Transformer { weights, shifts, trained_scales: true }.tensors();
        let config = format!(r#"{{"hidden_size":128,"{theirs}":1e-6,"architectures":["XForCausalLM"]}}"#);
        let original = sampled(vec![
            ("model.safetensors", file(&tensors, |_, name| name.to_owned())),
            ("config.json", config.into_bytes()),
        ]);
        let metadata = Gguf::of("llama").f32(ours, 1e-6).u32("llama.embedding_length", WIDTH as u32);
        let report = sampled(vec![("model.gguf", converted(&tensors, metadata))]);
        let formats = (report.checkpoint.format.as_str(), original.checkpoint.format.as_str());
        assert_eq!(formats, ("gguf", "safetensors"));
        assert_eq!((report.model.verdict, original.model.verdict), (verdict, verdict));
        let (facts, expected) = (facts(&report), facts(&original));
        assert_eq!(facts.0, expected.0);
        assert_eq!((facts.1.len(), facts.1), (9, expected.1));
        assert_eq!(report.dead_parameters.with_bias_shift, original.dead_parameters.with_bias_shift);
    }
}

#[test]
fn shapes_are_turned_to_outermost_first() {
    let gguf = Gguf::of("llama").tensor("a.weight", &[2, 3, 5], F32, vec![0; 120]);
    assert_eq!(header(gguf.build()).unwrap().entries[0].shape, [2, 3, 5]);
}

#[test]
fn versions_2_and_3_are_read_with_every_type_of_metadata() {
    for version in [2, 3] {
        let mut gguf = small()
            .pair("a", 0, &[200])
            .pair("b", 1, &[200])
            .pair("c", 2, &[1, 2])
            .pair("d", 3, &[0xff, 0xff])
            .pair("e", 5, &(-7i32).to_le_bytes())
            .pair("f", 6, &f32::NAN.to_le_bytes())
            .pair("g", 7, &[1])
            .pair("h", 10, &(1u64 << 63).to_le_bytes())
            .pair("i", 11, &i64::MIN.to_le_bytes())
            .pair("j", 12, &0.25f64.to_le_bytes())
            .pair("k", 9, &list(9, 2, &[list(5, 1, &[0; 4]), list(8, 1, &text("x".as_bytes()))].concat()))
            .pair("l", 8, &text(b"\xff\xfe"));
        gguf.version = version;
        let read = header(gguf.build()).unwrap();
        let expected = serde_json::json!({"general.architecture": "llama", "a": 200, "b": -56, "c": 513, "d": -1, "e": -7,
            "g": true, "h": 1u64 << 63, "i": i64::MIN, "j": 0.25});
        assert_eq!(serde_json::Value::Object(read.metadata), expected);
        assert_eq!(read.lists, [("k".to_owned(), "a list of 2".to_owned())]);
    }
}

#[test]
fn scales_of_supported_types_are_read_and_unknown_types_are_skipped() {
    let q8_0: Vec<u8> = [&[0x00, 0x38][..], &[2; 32]].concat();
    let gguf = Gguf::of("llama")
        .tensor("token_embd.weight", &[3, 256], Q4_K, vec![0; 3 * 144])
        .tensor("blk.0.attn_norm.weight", &[32], Q8_0, q8_0)
        .tensor("blk.0.ffn_norm.weight", &[2], F16, vec![0x00, 0x3c, 0x00, 0x40])
        .tensor("blk.0.ffn_up.weight", &[64, 32], 4321, vec![0; 96])
        .values("output_norm.weight", &[2], &[1.0, 0.0]);
    let inspection = open(vec![("m.gguf", gguf.build())]).unwrap();
    let scales: Vec<Vec<f64>> =
        inspection.scales.iter().map(|scale| scale.as_ref().unwrap().values().to_vec()).collect();
    assert_eq!(scales, [vec![1.0; 32], vec![1.0, 2.0], vec![1.0, 0.0]]);
    assert_eq!(inspection.report.norms[2].kernel.form, KernelForm::Coordinates);
    assert_eq!(codes(&inspection.report), ["dtype_unknown"]);
    says(
        &inspection.report.warnings[0].message,
        &["blk.0.ffn_up.weight", "ggml type 4321", "the gguf format"],
    );
    // IQ1_S.
    let norm = Gguf::of("llama").tensor("output_norm.weight", &[256], 19, vec![0; 50]);
    let report = open(vec![("m.gguf", norm.build())]).unwrap().report;
    says(&report.warnings[0].message, &["output_norm.weight", "IQ1_S", "Q4_K"]);
}

#[test]
fn scales_of_families_that_add_one_are_stored_with_it() {
    // Read as 1 + w, these would be a different kernel: none.
    let gguf = Gguf::of("gemma3").values("output_norm.weight", &[4], &[0.0, 1.5, 2.0, 0.25]);
    let config = r#"{"model_type":"gemma3_text"}"#.as_bytes().to_vec();
    let report = open(vec![("d/m.gguf", gguf.build()), ("d/config.json", config)]).unwrap().report;
    let norm = &report.norms[0];
    assert_eq!((norm.kind, norm.scale_convention), (NormKind::RmsNorm, ScaleConvention::Weight));
    assert_eq!(norm.kernel.form, KernelForm::Coordinates);
    says(&norm.convention_reason, &["`gemma3`", "already added"]);
}

#[test]
fn berts_norms_follow_what_they_norm_and_the_last_is_final() {
    let norm = |gguf: Gguf, name: &str| {
        let gguf = gguf.values(&format!("{name}.weight"), &[32], &[1.0; 32]);
        gguf.values(&format!("{name}.bias"), &[32], &[0.0; 32])
    };
    let map = |gguf: Gguf, name: &str, rows: u64| {
        gguf.tensor(&format!("{name}.weight"), &[rows, 32], F16, vec![0; rows as usize * 64])
    };
    let mut gguf = norm(Gguf::of("bert").f32("bert.attention.layer_norm_epsilon", 1e-12), "token_embd_norm");
    for block in 0..2 {
        for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            gguf = map(gguf, &format!("blk.{block}.{name}"), 32);
        }
        gguf = map(gguf, &format!("blk.{block}.ffn_up"), 128);
        gguf = norm(gguf, &format!("blk.{block}.attn_output_norm"));
        gguf = norm(gguf, &format!("blk.{block}.layer_output_norm"));
    }
    let gguf = map(map(gguf, "token_embd", 64), "position_embd", 16);
    let report = open(vec![("bert.gguf", gguf.build())]).unwrap().report;
    let roles: Vec<(NormRole, Vec<&str>)> = report
        .norms
        .iter()
        .map(|norm| (norm.role, norm.readers.iter().map(|reader| reader.name.as_str()).collect()))
        .collect();
    let attention = |block: u32| -> Vec<String> {
        ["k", "q", "v"].iter().map(|part| format!("blk.{block}.attn_{part}.weight")).collect()
    };
    assert_eq!(roles[0].0, NormRole::Embedding);
    assert_eq!(
        (roles[0].1.clone(), roles[2].1.clone()),
        (
            attention(0).iter().map(String::as_str).collect::<Vec<_>>(),
            attention(1).iter().map(String::as_str).collect::<Vec<_>>(),
        )
    );
    assert_eq!(roles[1], (NormRole::Block, vec!["blk.0.ffn_up.weight"]));
    // No language head: the embedding is not tied to one.
    assert_eq!(roles[4], (NormRole::Final, vec![]));
    assert!(report.norms.iter().all(|norm| norm.kind == NormKind::LayerNorm));
}

#[test]
fn olmos_norms_store_nothing_and_are_sites_all_the_same() {
    let map = |gguf: Gguf, name: &str, rows: u64| {
        gguf.tensor(&format!("{name}.weight"), &[rows, 32], F16, vec![0; rows as usize * 64])
    };
    let mut gguf = map(Gguf::of("olmo"), "token_embd", 64);
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"] {
        gguf = map(gguf, &format!("blk.0.{name}"), 32);
    }
    let report = open(vec![("olmo.gguf", gguf.build())]).unwrap().report;
    let sites: Vec<(&str, usize)> =
        report.norms.iter().map(|norm| (norm.name.as_str(), norm.readers.len())).collect();
    // The unembedding is tied to the embedding.
    assert_eq!(sites, [("blk.0.attn_norm", 3), ("blk.0.ffn_norm", 2), ("output_norm", 1)]);
    for norm in &report.norms {
        assert_eq!((norm.kind, norm.width, &norm.scale), (NormKind::LayerNorm, 32, &None));
        assert_eq!(norm.scale_convention, ScaleConvention::None);
        assert!((norm.kernel.participation.unwrap() - 32.0).abs() < 1e-9);
    }
}

#[test]
fn falcons_second_attention_norm_is_attentions_and_the_first_the_feed_forwards() {
    let norm = |gguf: Gguf, name: &str| {
        let gguf = gguf.values(&format!("{name}.weight"), &[32], &[1.0; 32]);
        gguf.values(&format!("{name}.bias"), &[32], &[0.0; 32])
    };
    let gguf = norm(norm(norm(Gguf::of("falcon"), "blk.0.attn_norm"), "blk.0.attn_norm_2"), "output_norm")
        .tensor("blk.0.attn_qkv.weight", &[64, 32], F16, vec![0; 4096])
        .tensor("blk.0.ffn_up.weight", &[128, 32], F16, vec![0; 8192]);
    let report = open(vec![("falcon.gguf", gguf.build())]).unwrap().report;
    let readers = |name: &str| -> Vec<String> {
        let norm = report.norms.iter().find(|norm| norm.name == name).unwrap();
        norm.readers.iter().map(|reader| reader.name.clone()).collect()
    };
    assert_eq!(readers("blk.0.attn_norm"), ["blk.0.ffn_up.weight"]);
    assert_eq!(readers("blk.0.attn_norm_2"), ["blk.0.attn_qkv.weight"]);
}

#[test]
fn the_norm_behind_attention_is_dbrxs_feed_forwards_and_groks_outputs() {
    let build = |grok: bool| {
        let mut gguf = Gguf::new()
            .values("blk.0.attn_norm.weight", &[32], &[1.0; 32])
            .values("blk.0.attn_output_norm.weight", &[32], &[1.0; 32])
            .values("output_norm.weight", &[32], &[1.0; 32])
            .tensor("blk.0.ffn_up_exps.weight", &[4, 64, 32], F16, vec![0; 16384]);
        if grok {
            gguf = gguf.values("blk.0.ffn_norm.weight", &[32], &[1.0; 32]);
            gguf = gguf.values("blk.0.layer_output_norm.weight", &[32], &[1.0; 32]);
        }
        open(vec![("m.gguf", gguf.build())]).unwrap().report
    };
    let reads = |report: &Report| -> Vec<String> {
        let reading = report.norms.iter().filter(|norm| !norm.readers.is_empty());
        reading.map(|norm| norm.name.clone()).collect()
    };
    assert_eq!(reads(&build(false)), ["blk.0.attn_output_norm"]);
    assert_eq!(reads(&build(true)), ["blk.0.ffn_norm"]);
}

#[test]
fn an_audio_encoders_folded_batch_norm_is_no_layer_norm() {
    let gguf = Gguf::of("clip").values("a.blk.0.conv_norm.weight", &[2], &[1.0, 2.0]).values(
        "a.blk.0.conv_norm.bias",
        &[2],
        &[1.0, 2.0],
    );
    let report = open(vec![("mmproj.gguf", gguf.build())]).unwrap().report;
    assert_eq!(report.norms[0].kind, NormKind::Other);
}

/// Part `number` of three, from 0, with a norm.
fn part(number: u16) -> Vec<u8> {
    let gguf = if number == 0 { Gguf::of("llama").u32("llama.block_count", 3) } else { Gguf::new() };
    gguf.u16("split.no", number)
        .u16("split.count", 3)
        .pair("split.tensors.count", 5, &3i32.to_le_bytes())
        .values(&format!("blk.{number}.attn_norm.weight"), &[2], &[1.0, 2.0])
        .build()
}

#[test]
fn files_of_a_series_are_one_model() {
    let name = |number: u16| format!("m-0000{}-of-00003.gguf", number + 1);
    let names = [name(0), name(1), name(2)];
    let all = (0..3).rev().map(|number| (names[usize::from(number)].as_str(), part(number))).collect();
    let report = open(all).unwrap().report;
    assert_eq!((report.norms.len(), report.checkpoint.shards, codes(&report).len()), (3, 3, 0));
    assert_eq!(report.model.family.as_deref(), Some("llama"));

    let two = vec![(names[0].as_str(), part(0)), (names[2].as_str(), part(2))];
    let report = open(two).unwrap().report;
    assert_eq!(report.checkpoint.missing_shards, ["m-00002-of-00003.gguf"]);
    assert_eq!(codes(&report), ["shard_missing"]);
    says(&report.warnings[0].message, &["`m-00002-of-00003.gguf`", "missing", "Add it"]);
}

#[test]
fn a_part_of_a_series_under_another_name_says_what_is_missing() {
    let report = open(vec![("blob", part(1))]).unwrap().report;
    assert_eq!(report.checkpoint.missing_shards, ["file 1 of 3", "file 3 of 3"]);
    assert_eq!(codes(&report), ["shard_missing"]);
    says(&report.warnings[0].message, &["`blob`", "one of 3 files", "2 of them are missing", "Add them"]);
}

#[test]
fn a_series_may_begin_with_metadata_alone_and_must_hold_what_it_promises() {
    let first = Gguf::of("llama").u16("split.no", 0).u16("split.count", 2).pair(
        "split.tensors.count",
        5,
        &7i32.to_le_bytes(),
    );
    let second =
        Gguf::new().u16("split.no", 1).u16("split.count", 2).values("output_norm.weight", &[1], &[1.0]);
    let files = vec![("m-00001-of-00002.gguf", first.build()), ("m-00002-of-00002.gguf", second.build())];
    let report = open(files).unwrap().report;
    assert_eq!((report.norms.len(), codes(&report)), (1, vec!["tensors_miscounted"]));
    says(&report.warnings[0].message, &["1 tensors", "promise 7"]);
}

#[test]
fn a_gguf_file_is_known_by_its_first_bytes_under_any_name() {
    for name in ["model.gguf", "MODEL.GGUF", "sha256-0123", "model.safetensors", "model.bin"] {
        let report = open(vec![(name, small().build()), ("notes.txt", b"hello".to_vec())]).unwrap().report;
        assert_eq!((report.checkpoint.format.as_str(), report.norms.len()), ("gguf", 1), "{name}");
    }
}

#[test]
fn beside_safetensors_files_gguf_files_are_copies_and_left_out() {
    let report = open(vec![
        ("d/model.safetensors", layer_norm("norm", &[1.0; 4])),
        ("d/model.Q4_0.gguf", small().build()),
        ("d/gguf/model.F16.gguf", small().build()),
    ])
    .unwrap()
    .report;
    assert_eq!((report.checkpoint.format.as_str(), report.checkpoint.shards), ("safetensors", 1));
    assert_eq!(report.norms[0].name, "norm");
    assert_eq!(codes(&report), ["file_ignored", "file_ignored"]);
    says(&report.warnings[0].message, &["model.Q4_0.gguf`", "beside `d/model.safetensors`", "open it alone"]);
}

#[test]
fn of_several_quantisations_in_a_folder_one_is_read() {
    let report =
        open(vec![("d/m-Q4_0.gguf", small().build()), ("d/m-F16.gguf", small().build())]).unwrap().report;
    assert_eq!((report.checkpoint.shards, codes(&report)), (1, vec!["file_ignored"]));
    says(&report.warnings[0].message, &["m-Q4_0.gguf`", "as a copy of the model", "open it alone"]);
}

#[test]
fn a_vision_tower_beside_its_language_model_has_a_configuration_of_its_own() {
    let text = Gguf::of("gemma3")
        .u32("gemma3.embedding_length", 2)
        .values("output_norm.weight", &[2], &[1.0, 2.0])
        .values("rope_freqs.weight", &[3], &[1.0; 3]);
    let vision = Gguf::of("clip").values("v.blk.0.ln1.weight", &[2], &[1.0, 2.0]).values(
        "v.blk.0.ln1.bias",
        &[2],
        &[1.0, 2.0],
    );
    let vision = vision.values("v.blk.0.attn_q.weight", &[2, 2], &[1.0; 4]);
    let report = open(vec![("d/mmproj.gguf", vision.build()), ("d/text.gguf", text.build())]).unwrap().report;
    let kinds: Vec<(&str, NormKind)> =
        report.norms.iter().map(|norm| (norm.name.as_str(), norm.kind)).collect();
    assert!(kinds.contains(&("output_norm", NormKind::RmsNorm)), "{kinds:?}");
    assert!(kinds.contains(&("v.blk.0.ln1", NormKind::LayerNorm)), "{kinds:?}");
    let evidence = &report.norms.iter().find(|norm| norm.name == "output_norm").unwrap().evidence;
    says(&evidence[1].detail, &["the family `gemma3`"]);
    assert!(report.warnings.is_empty());
}

#[test]
fn the_first_bytes_of_a_wrong_file_are_answered_with_a_sentence() {
    let with = |change: fn(&mut Gguf)| {
        let mut gguf = small();
        change(&mut gguf);
        refused("m.gguf", gguf.build())
    };
    says(&refused("m.gguf", vec![]), &["`m.gguf`", "empty"]);
    says(&refused("m.gguf", b"GGUF\x03\0\0\0".to_vec()), &["`m.gguf`", "8 bytes", "download it again"]);
    says(&with(|gguf| gguf.magic = *b"GGUX"), &["`m.gguf`", "\"GGUX\"", "no GGUF file"]);
    says(&with(|gguf| gguf.magic = *b"tjgg"), &["`m.gguf`", "before GGUF", "convert"]);
    says(&with(|gguf| gguf.version = 1), &["`m.gguf`", "version 1", "convert the original model again"]);
    says(&with(|gguf| gguf.version = 0x0300_0000), &["`m.gguf`", "big-endian", "gguf_convert_endian.py"]);
    says(&with(|gguf| gguf.version = 9), &["`m.gguf`", "version 9", "2 and 3"]);
    says(&with(|gguf| gguf.version = 0), &["version 0"]);
    says(&refused("m.gguf", b"version https://git-lfs.github.com/spec/v1\n".to_vec()), &["git lfs pull"]);
    says(&refused("m.gguf", b"<!DOCTYPE html><html>      ".to_vec()), &["web page"]);
}

#[test]
fn counts_beyond_the_file_are_refused_before_anything_is_allocated() {
    for count in [1 << 63, u64::MAX, 1 << 20] {
        let mut gguf = small();
        gguf.counts = (Some(count), None);
        says(&refused("m.gguf", gguf.build()), &["`m.gguf`", &count.to_string(), "tensors"]);
        gguf.counts = (None, Some(count));
        says(&refused("m.gguf", gguf.build()), &["`m.gguf`", &count.to_string(), "metadata"]);
    }
    says(&refused("m.gguf", Gguf::of("llama").build()), &["`m.gguf`", "no tensor", "weights"]);
}

/// A file with a huge claimed length and zeros after its beginning. It records the largest read.
struct Claims {
    bytes: Vec<u8>,
    length: u64,
    largest: Cell<u64>,
    total: Cell<u64>,
}

impl ByteSource for Claims {
    fn path(&self) -> &str {
        "claims.gguf"
    }

    fn length(&self) -> u64 {
        self.length
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let wanted = range.end - range.start;
        self.largest.set(self.largest.get().max(wanted));
        self.total.set(self.total.get() + wanted);
        assert!(wanted <= 1 << 20, "{wanted} bytes at once");
        let byte = |at: u64| usize::try_from(at).ok().and_then(|at| self.bytes.get(at)).copied().unwrap_or(0);
        Ok(range.map(byte).collect())
    }
}

fn claims(bytes: Vec<u8>, length: u64) -> (Result<Header, CheckpointError>, u64) {
    let source = Claims { bytes, length, largest: Cell::new(0), total: Cell::new(0) };
    let read = pollster::block_on(gguf::read(&Meter::default(), &source));
    (read, source.total.get())
}

#[test]
fn a_text_longer_than_the_file_is_refused_before_anything_is_allocated() {
    for announced in [1u64 << 63, u64::MAX, 1 << 40] {
        let gguf = Gguf::new().pair("tokenizer.chat_template", 8, &announced.to_le_bytes()).build();
        says(
            &refused("m.gguf", gguf),
            &["`m.gguf`", "metadata", "byte 59", &announced.to_string(), "download it again"],
        );
    }
    // Inside the file it is skipped without reading, up to the limit of a header.
    let long = |length: u64| Gguf::new().pair("a", 8, &length.to_le_bytes()).build();
    let (read, total) = claims(long(1 << 40), 1 << 62);
    assert!(read.unwrap_err().to_string().contains("past byte 268435456") && total < 1 << 16);
    let name = [&24u64.to_le_bytes()[..], &[0; 16]].concat();
    let mut key = Gguf::new().build();
    key[16] = 1;
    key.truncate(24);
    key.extend((1u64 << 20).to_le_bytes());
    let (read, total) = claims([key, name].concat(), 1 << 62);
    says(&read.unwrap_err().to_string(), &["1048576 bytes long", "65535", "byte 24"]);
    assert!(total < 1 << 16);
}

#[test]
fn lists_too_long_or_too_deep_are_named() {
    let listed = |value: &[u8]| refused("m.gguf", small().pair("tokenizer.tokens", 9, value).build());
    for (kind, count) in [(0, 1 << 63), (8, u64::MAX / 8), (10, u64::MAX), (9, 1000)] {
        says(
            &listed(&list(kind, count, &[])),
            &["\"tokenizer.tokens\"", &count.to_string(), "more than the file", "byte"],
        );
    }
    let mut deep = list(0, 1, &[7]);
    for _ in 0..3 {
        deep = list(9, 1, &deep);
    }
    let header = header(small().pair("a", 9, &deep).build());
    assert!(header.is_ok());
    says(&listed(&list(9, 1, &deep)), &["\"tokenizer.tokens\"", "4 deep", "byte"]);
    says(&listed(&list(77, 0, &[])), &["\"tokenizer.tokens\"", "type 77"]);
    says(&refused("m.gguf", small().pair("odd", 13, &[]).build()), &["\"odd\"", "type 13", "byte"]);
}

#[test]
fn a_list_of_lists_without_end_stops_at_the_largest_header() {
    // The zeros read as empty lists. Only the limit of the header stops the parser.
    let gguf = Gguf::new().pair("a", 9, &list(9, 1 << 40, &[])).build();
    let (read, total) = claims(gguf, 1 << 60);
    says(&read.unwrap_err().to_string(), &["past byte 268435456"]);
    assert!(total < 300_000_000);
}

#[test]
fn names_that_occur_twice_or_are_no_text_are_named() {
    says(&refused("m.gguf", small().text("a", "b").text("a", "c").build()), &["`m.gguf`", "\"a\"", "twice"]);
    // Also if both are lists, which are not kept.
    let lists = small().pair("a", 9, &list(0, 0, &[])).pair("a", 9, &list(0, 0, &[]));
    says(&refused("m.gguf", lists.build()), &["\"a\"", "twice"]);
    let twice = small().values("output_norm.weight", &[1], &[0.0]);
    says(&refused("m.gguf", twice.build()), &["`m.gguf`", "\"output_norm.weight\"", "twice"]);
    let latin = Gguf::new().values("x", &[1], &[0.0]).named(b"ab\xff");
    says(&refused("m.gguf", latin.build()), &["UTF-8 at byte 34", "list of tensors"]);
}

#[test]
fn alignments_must_be_powers_of_two() {
    for alignment in [0, 24, 33, u32::MAX] {
        let gguf = small().u32("general.alignment", alignment);
        says(
            &refused("m.gguf", gguf.build()),
            &["`m.gguf`", "general.alignment", &alignment.to_string(), "power of two"],
        );
    }
    says(&refused("m.gguf", small().text("general.alignment", "x").build()), &["\"x\"", "power of two"]);
    for alignment in [1, 64, 4096] {
        let mut gguf = small().u32("general.alignment", alignment);
        gguf.alignment = alignment.into();
        let inspection = open(vec![("m.gguf", gguf.build())]).unwrap();
        assert_eq!(inspection.scales[0].as_ref().unwrap().values(), [1.0, 2.0, 3.0, 4.0]);
    }
}

#[test]
fn tensors_outside_the_file_over_another_or_not_aligned_are_named() {
    let two = |offset: u64| {
        let gguf = Gguf::new().values("a.weight", &[16], &[0.0; 16]).values("b.weight", &[8], &[0.0; 8]);
        refused("m.gguf", gguf.at(offset).build())
    };
    says(&two(32), &["`m.gguf`", "\"b.weight\"", "inside tensor \"a.weight\"", "byte"]);
    says(&two(65), &["`m.gguf`", "\"b.weight\"", "byte 65", "multiple of the alignment 32"]);
    says(&two(1 << 40), &["`m.gguf`", "\"b.weight\"", "file has only", "cut off"]);
    says(&two(u64::MAX - 31), &["`m.gguf`", "\"b.weight\"", "past the largest file"]);
    let mut cut = small().build();
    cut.truncate(cut.len() - 20);
    says(&refused("m.gguf", cut), &["\"output_norm.weight\"", "cut off", "download it again"]);
    let gap = Gguf::new().values("a.norm.weight", &[1], &[0.0]).values("b.norm.weight", &[1], &[0.0]).at(32);
    assert!(open(vec![("m.gguf", gap.build())]).is_ok());
}

#[test]
fn shapes_that_fit_no_type_are_named() {
    let shaped = |shape: &[u64], kind: u32| {
        refused("m.gguf", Gguf::new().tensor("a.weight", shape, kind, vec![0; 64]).build())
    };
    says(&shaped(&[1; 5], F32), &["\"a.weight\"", "5 dimensions"]);
    says(&shaped(&[1 << 32, 1 << 32], F32), &["\"a.weight\"", "64 bits"]);
    says(&shaped(&[1 << 62], F32), &["\"a.weight\"", "64 bits"]);
    says(&shaped(&[4, 33], Q8_0), &["\"a.weight\"", "Q8_0", "32 values"]);
    says(&shaped(&[1 << 50], 999), &["\"a.weight\"", "ggml type 999", "64 bytes"]);
}

#[test]
fn a_header_cut_off_anywhere_names_the_byte_where_it_ends() {
    let whole = small().pair("tokens", 9, &list(8, 2, &[text(b"one"), text(b"two")].concat())).build();
    let end = whole.len() - 32;
    for length in 24..end {
        let sentence = refused("m.gguf", whole[..length].to_vec());
        assert!(
            ["cut off", "more than the file", "no tensor"].iter().any(|part| sentence.contains(part)),
            "{length}: {sentence}"
        );
    }
}

#[test]
fn an_adapter_and_an_importance_matrix_are_no_models() {
    for (kind, what) in [("adapter", "base model"), ("imatrix", "importance matrix")] {
        let gguf = Gguf::of("llama").text("general.type", kind).values("a.weight", &[1], &[0.0]);
        says(&refused("m.gguf", gguf.build()), &["`m.gguf`", what]);
    }
}

#[test]
fn a_vocabulary_is_passed_over_and_little_more_than_the_header_is_read() {
    let tokens: Vec<u8> = (0..200_000u32).flat_map(|token| text(token.to_string().as_bytes())).collect();
    let scores = vec![0; 4 * 200_000];
    let gguf = Gguf::of("llama")
        .pair("tokenizer.ggml.tokens", 9, &list(8, 200_000, &tokens))
        .pair("tokenizer.ggml.scores", 9, &list(6, 200_000, &scores))
        .tensor("token_embd.weight", &[1000, 1000], F32, vec![0; 4_000_000])
        .tensor("output_norm.weight", &[2], F32, f32s(&[1.0, 2.0]));
    let bytes = gguf.build();
    let report = open(vec![("m.gguf", bytes)]).unwrap().report;
    assert_eq!(report.norms.len(), 1);
    let header = tokens.len() as f64 + 300.0;
    let read = report.checkpoint.header_bytes as f64;
    // The numbers are skipped. The last read of a chunk may go past the header.
    assert!(read < 1.1 * header + 300_000.0, "{read} of {header}");
}

#[test]
fn endless_metadata_are_not_kept_except_the_alignment() {
    let long = "x".repeat(4000);
    let mut gguf = (0..1000).fold(Gguf::new(), |gguf, index| gguf.text(&format!("general.{index}"), &long));
    gguf.alignment = 128;
    let gguf = gguf.text("general.last", "x").u32("general.alignment", 128);
    let header = header(gguf.values("output_norm.weight", &[1], &[1.0]).build()).unwrap();
    let kept: usize = header.metadata.values().filter_map(|value| value.as_str()).map(str::len).sum();
    assert!(kept <= 1 << 20 && !header.metadata.contains_key("general.last"));
    assert_eq!(header.metadata["general.alignment"], 128);
    assert!(header.entries[0].begin.is_multiple_of(128));
}

#[test]
fn tensors_past_four_gibibytes_keep_their_place() {
    let gguf = Gguf::new()
        .tensor("token_embd.weight", &[1 << 20, 1 << 12], F16, vec![])
        .tensor("output_norm.weight", &[2], F32, vec![])
        .at(1 << 33);
    let (read, _) = claims(gguf.build(), 1 << 34);
    let entries = read.unwrap().entries;
    assert_eq!(entries[1].begin - entries[0].begin, 1 << 33);
}

/// A valid file with everything in it.
fn sound() -> Vec<u8> {
    small()
        .u32("llama.block_count", 2)
        .pair("tokens", 9, &list(8, 3, &[text(b"one"), text(b""), text("é".as_bytes())].concat()))
        .pair("nested", 9, &list(9, 2, &[list(0, 2, &[1, 2]), list(9, 1, &list(7, 1, &[1]))].concat()))
        .tensor("blk.0.ffn_up.weight", &[2, 32], Q8_0, vec![1; 68])
        .tensor("blk.0.odd", &[3], 4000, vec![1; 32])
        .build()
}

/// Asserts that opening gives a catalogue inside the file or an error, and reads at most a few times the length of the file.
fn holds(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let length = bytes.len() as u64;
    let meter = Meter::default();
    let read = pollster::block_on(gguf::read(&meter, &MemorySource::new("m.gguf", bytes.clone())));
    prop_assert!(meter.bytes() <= length.max(24));
    match read {
        Ok(header) => {
            let mut before = 0;
            for entry in &header.entries {
                prop_assert!(before <= entry.begin && entry.begin <= entry.end && entry.end <= length);
                before = entry.end;
            }
            let opened: Result<Checkpoint<MemorySource>, _> = pollster::block_on(
                gammascope::checkpoint::open(vec![MemorySource::new("m.gguf", bytes.clone())], |_| {}),
            );
            prop_assert!(opened.is_ok());
            let _ = open(vec![("m.gguf", bytes)]);
        }
        Err(error) => prop_assert!(error.to_string().contains("m.gguf")),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_behind_the_magic_end_with_a_sentence(
        version in 0u32..4, tensors in 0u64..4, pairs in 0u64..4, rest in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let mut bytes = [&b"GGUF"[..], &version.to_le_bytes(), &tensors.to_le_bytes(), &pairs.to_le_bytes()].concat();
        bytes.extend(rest);
        holds(bytes)?;
    }

    #[test]
    fn a_file_with_bytes_changed_ends_with_a_sentence_or_a_sound_catalogue(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = sound();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        holds(bytes)?;
    }

    #[test]
    fn a_file_cut_off_or_with_a_number_put_in_ends_with_a_sentence_or_a_sound_catalogue(
        at in any::<prop::sample::Index>(),
        number in prop_oneof![Just(u64::MAX), Just(1u64 << 63), Just(1u64 << 32), any::<u64>(), 0u64..300],
        end in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = sound();
        let at = at.index(bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        holds(bytes)?;
    }
}

#[test]
fn the_valid_file_opens() {
    assert_eq!(header(sound()).unwrap().entries.len(), 3);
}
