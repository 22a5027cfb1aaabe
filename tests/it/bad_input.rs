//! For bad input, one sentence says what is wrong, where (file, tensor, byte) and what to do. The valid rest is read.

use crate::support::{file, layer_norm, open, refused, tensors};
use gammascope::inspect::{Inspection, inspect};
use gammascope::report::{KernelForm, ModelVerdict, NormKind};
use gammascope::source::disk::DiskSource;
use gammascope::source::{ByteSource, SourceError};
use std::ops::Range;

/// Asserts that a sentence contains each of `parts`.
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

fn codes(inspection: &Inspection) -> Vec<&str> {
    inspection.report.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// A family of LayerNorms. For a norm alone in its file, only the configuration decides the kind.
const GPT_2: &[u8] = br#"{"model_type":"gpt2"}"#;

#[test]
fn no_file_at_all_asks_for_one() {
    says(&open(vec![]).unwrap_err().to_string(), &["no file was given", ".safetensors"]);
}

#[test]
fn an_empty_file_is_named() {
    says(&refused("m.safetensors", vec![]), &["`m.safetensors`", "empty"]);
}

#[test]
fn a_file_shorter_than_its_length_field_is_named() {
    says(&refused("m.safetensors", vec![1, 2, 3]), &["`m.safetensors`", "3 bytes"]);
}

#[test]
fn a_truncated_header_names_the_byte_it_should_reach() {
    let mut bytes = layer_norm("norm", &[1.0; 4]);
    bytes.truncate(40);
    says(&refused("m.safetensors", bytes), &["`m.safetensors`", "only 40", "cut off"]);
}

#[test]
fn truncated_data_name_the_first_tensor_that_is_not_whole() {
    let mut bytes = layer_norm("norm", &[1.0; 4]);
    bytes.truncate(bytes.len() - 5);
    says(
        &refused("m.safetensors", bytes),
        &["`m.safetensors`", "\"norm.weight\"", "byte", "download it again"],
    );
}

#[test]
fn pickles_and_other_formats_are_recognised_by_their_first_bytes() {
    let cases: [(&str, &[u8], &str); 6] = [
        ("pytorch_model.bin", b"PK\x03\x04\x14\0\0\0\0\0", "no directory at its end"),
        ("model.pt", b"\x80\x02}q\x00X\x05\0\0\0", "pickle"),
        ("renamed.safetensors", b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", "pickle"),
        ("model.onnx", b"\x08\x09\x12\x07pytorch\x1a\x052.0.0", "ONNX"),
        ("model.h5", b"\x89HDF\r\n\x1a\n\0\0\0\0", "HDF5"),
        ("model.safetensors", b"<!DOCTYPE html><html>", "web page"),
    ];
    for (path, bytes, what) in cases {
        says(&refused(path, bytes.to_vec()), &[path, what]);
    }
}

#[test]
fn adapters_and_optimizer_states_are_answered_with_a_sentence() {
    let adapter = tensors(&[
        ("base_model.model.q_proj.lora_A.weight", &[1, 2], vec![0.0; 2]),
        ("base_model.model.q_proj.lora_B.weight", &[2, 1], vec![0.0; 2]),
    ]);
    says(&refused("adapter_model.safetensors", adapter), &["adapter", "base model"]);
    let optimizer =
        tensors(&[("state.0.exp_avg", &[2], vec![0.0; 2]), ("state.0.exp_avg_sq", &[2], vec![0.0; 2])]);
    says(&refused("optimizer.safetensors", optimizer), &["optimizer"]);
}

#[test]
fn a_header_of_a_hundred_megabytes_is_read_when_it_is_sound_and_refused_when_it_is_not() {
    let sound = r#"{"norm.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let padded = format!("{sound}{}", " ".repeat(100_000_000 - sound.len()));
    let report = open(vec![("m.safetensors", file(&padded, &[0, 0, 128, 63]))]).unwrap().report;
    assert_eq!(report.norms.len(), 1);
    let garbage = format!("{{{}", "[".repeat(99_999_999));
    says(&refused("m.safetensors", file(&garbage, &[])), &["`m.safetensors`", "not valid at byte"]);
}

#[test]
fn header_lengths_beyond_the_limit_are_refused_before_anything_is_read() {
    for announced in [1u64 << 63, 100_000_001, u64::MAX] {
        let mut bytes = announced.to_le_bytes().to_vec();
        bytes.resize(200, b' ');
        says(&refused("m.safetensors", bytes), &["`m.safetensors`", &announced.to_string(), "limit"]);
    }
}

#[test]
fn unsound_offsets_name_tensor_and_byte() {
    let two = |a: (u64, u64), b: (u64, u64)| {
        let entry = |(begin, end): (u64, u64)| {
            format!(r#"{{"dtype":"F32","shape":[1],"data_offsets":[{begin},{end}]}}"#)
        };
        file(&format!(r#"{{"a":{},"b":{}}}"#, entry(a), entry(b)), &[0; 8])
    };
    says(&refused("m.safetensors", two((0, 4), (2, 6))), &["\"b\"", "inside the tensor before it", "byte"]);
    says(&refused("m.safetensors", two((0, 4), (8, 4))), &["\"b\"", "before it begins"]);
    says(&refused("m.safetensors", two((0, 4), (6, 10))), &["\"b\"", "hole"]);
    says(&refused("m.safetensors", two((0, 4), (4, u64::MAX))), &["\"b\"", "past the largest file"]);
    let beyond = r#"{"a":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}"#;
    says(&refused("m.safetensors", file(beyond, &[0; 8])), &["\"a\"", "cut off"]);
}

#[test]
fn shape_and_dtype_must_give_the_size_without_overflow() {
    let one = |shape: &str| {
        file(&format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,8]}}}}"#), &[0; 8])
    };
    says(&refused("m.safetensors", one("[3]")), &["\"a\"", "takes 12 bytes", "hold 8"]);
    says(&refused("m.safetensors", one("[4294967296,4294967296]")), &["\"a\"", "64 bits"]);
    says(&refused("m.safetensors", one("[-1]")), &["entry \"a\"", "byte"]);
}

#[test]
fn duplicate_names_are_ambiguous() {
    let entry = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    says(
        &refused("m.safetensors", file(&format!("{{{entry},{entry}}}"), &[0; 4])),
        &["`m.safetensors`", "\"a\"", "twice"],
    );
}

#[test]
fn invalid_utf8_names_the_byte() {
    let mut bytes = 4u64.to_le_bytes().to_vec();
    bytes.extend(b"{\"\xff\"");
    says(&refused("m.safetensors", bytes), &["`m.safetensors`", "UTF-8 at byte 10"]);
}

#[test]
fn metadata_that_are_no_string_map_are_named() {
    says(
        &refused("m.safetensors", file(r#"{"__metadata__":{"step":3}}"#, &[])),
        &["__metadata__", "\"step\" is a number"],
    );
}

#[test]
fn an_index_that_points_to_missing_files_gives_the_files_that_are_there() {
    let index =
        br#"{"weight_map":{"a.norm.weight":"1.safetensors","b.norm.weight":"2.safetensors"}}"#.to_vec();
    let inspection = open(vec![
        ("model.safetensors.index.json", index.clone()),
        ("1.safetensors", layer_norm("a.norm", &[1.0; 4])),
    ])
    .unwrap();
    assert_eq!(inspection.report.checkpoint.missing_shards, ["2.safetensors"]);
    assert_eq!(inspection.report.norms.len(), 1);
    says(&inspection.report.warnings[0].message, &["2.safetensors", "missing"]);
    says(&refused("model.safetensors.index.json", index), &["1.safetensors", "none of them"]);
}

#[test]
fn a_promise_of_very_many_shards_is_one_warning() {
    let promised: Vec<String> =
        (0..100_000).map(|index| format!(r#""norm{index}.weight":"{index}.safetensors""#)).collect();
    let index = format!(r#"{{"weight_map":{{{}}}}}"#, promised.join(","));
    let by_index = open(vec![
        ("model.safetensors.index.json", index.into_bytes()),
        ("0.safetensors", layer_norm("norm0", &[1.0; 4])),
    ])
    .unwrap();
    assert_eq!(codes(&by_index), ["shard_missing"]);
    assert_eq!(by_index.report.checkpoint.missing_shards.len(), 99_999);
    says(&by_index.report.warnings[0].message, &["99999 shards are missing", "`1.safetensors`"]);
    let by_name = open(vec![("model-00001-of-99999.safetensors", layer_norm("norm", &[1.0; 4]))]).unwrap();
    assert_eq!(codes(&by_name), ["shard_missing"]);
    says(
        &by_name.report.warnings[0].message,
        &["99998 shards are missing", "`model-00002-of-99999.safetensors`"],
    );
}

#[test]
fn the_same_tensors_in_two_shards_are_one_warning() {
    let shard = || layer_norm("norm", &[1.0; 4]);
    let inspection =
        open(vec![("model-1-of-2.safetensors", shard()), ("model-2-of-2.safetensors", shard())]).unwrap();
    assert_eq!(codes(&inspection), ["tensor_repeated"]);
    says(
        &inspection.report.warnings[0].message,
        &["\"norm.bias\"", "`model-1-of-2.safetensors`", "`model-2-of-2.safetensors`", "1 more"],
    );
}

#[test]
fn an_index_that_points_to_wrong_shards_is_corrected_by_the_shards() {
    let index = br#"{"weight_map":{"a.norm.weight":"2.safetensors","b.norm.weight":"2.safetensors","a.norm.bias":"1.safetensors"}}"#;
    let inspection = open(vec![
        ("model.safetensors.index.json", index.to_vec()),
        ("1.safetensors", layer_norm("a.norm", &[1.0; 4])),
        ("2.safetensors", layer_norm("b.norm", &[1.0; 4])),
    ])
    .unwrap();
    assert_eq!(codes(&inspection), ["index_wrong_shard"]);
    assert_eq!(inspection.report.norms.len(), 2);
}

#[test]
fn an_index_that_is_no_index_leaves_the_shards() {
    let inspection = open(vec![
        ("model.safetensors.index.json", b"<html>".to_vec()),
        ("model.safetensors", layer_norm("norm", &[1.0; 4])),
    ])
    .unwrap();
    assert_eq!(codes(&inspection), ["index_unreadable"]);
}

#[test]
fn a_config_that_is_not_json_or_of_another_model_is_not_used() {
    let with = |config: &[u8]| {
        open(vec![("model.safetensors", layer_norm("norm", &[1.0; 4])), ("config.json", config.to_vec())])
            .unwrap()
    };
    assert_eq!(codes(&with(b"{oops")), ["config_unreadable"]);
    assert_eq!(codes(&with(&[0xff, 0xfe])), ["config_unreadable"]);
    let foreign = with(br#"{"model_type":"llama","hidden_size":4096}"#);
    assert_eq!(codes(&foreign), ["config_foreign"]);
    assert_ne!(foreign.report.norms[0].kind, NormKind::RmsNorm, "Llama's line must not speak for this file");
}

#[test]
fn a_scale_with_nan_or_infinity_is_reported_and_the_others_are_read() {
    for (bad, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut bytes = tensors(&[
            ("a.norm.bias", &[3], vec![1.0; 3]),
            ("a.norm.weight", &[3], vec![1.0, 2.0, bad]),
            ("b.norm.bias", &[3], vec![1.0; 3]),
            ("b.norm.weight", &[3], vec![1.0; 3]),
        ]);
        let files = vec![("m.safetensors", std::mem::take(&mut bytes)), ("config.json", GPT_2.to_vec())];
        let inspection = open(files).unwrap();
        let [a, b] = inspection.report.norms.as_slice() else { panic!("two sites") };
        says(a.problem.as_deref().unwrap(), &["`a.norm.weight`", "[2]", word]);
        assert_eq!((a.kernel.form, b.kernel.form), (KernelForm::Unknown, KernelForm::InverseScale));
        assert_eq!(codes(&inspection), ["scale_unusable"]);
    }
}

#[test]
fn a_zero_scale_has_a_coordinate_kernel_and_no_inverse_direction() {
    let report = open(vec![("m.safetensors", layer_norm("norm", &[1.0, 0.0, 2.0]))]).unwrap().report;
    assert_eq!(report.norms[0].kernel.form, KernelForm::Coordinates);
    assert_eq!(report.norms[0].kernel.coordinates, [1]);
    assert_eq!(report.norms[0].kernel.participation, None);
}

#[test]
fn a_scale_of_size_one_is_a_site_like_any_other() {
    let files = vec![("m.safetensors", layer_norm("norm", &[2.0])), ("config.json", GPT_2.to_vec())];
    let report = open(files).unwrap().report;
    assert_eq!((report.norms[0].width, report.norms[0].kernel.max_component), (1, Some(1.0)));
}

/// A file with `start` and then zeros up to `length`, too long for any memory.
struct Hole {
    start: Vec<u8>,
    length: u64,
}

impl ByteSource for Hole {
    fn path(&self) -> &str {
        "hole.safetensors"
    }

    fn length(&self) -> u64 {
        self.length
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        assert!(range.end - range.start < 1 << 20, "read {range:?}");
        Ok(range.map(|at| self.start.get(at as usize).copied().unwrap_or(0)).collect())
    }
}

#[test]
fn a_scale_longer_than_any_norm_is_not_read_and_the_others_are() {
    let values = 1u64 << 38;
    let (end, total) = (4 * values, 4 * values + 4);
    let json = format!(
        r#"{{"a.norm.weight":{{"dtype":"F32","shape":[{values}],"data_offsets":[0,{end}]}},"b.norm.weight":{{"dtype":"F32","shape":[1],"data_offsets":[{end},{total}]}}}}"#
    );
    let start = file(&json, &[]);
    let header = start.len() as u64;
    let source = Hole { start, length: header + total };
    let report = pollster::block_on(inspect(vec![source], |_| {})).unwrap().report;
    says(report.norms[0].problem.as_deref().unwrap(), &["`a.norm.weight`", "274877906944 values"]);
    assert_eq!(report.norms[1].problem, None);
    assert_eq!(report.checkpoint.bytes_read, header + 4);
}

#[test]
fn a_checkpoint_without_any_norm_says_so() {
    let inspection =
        open(vec![("m.safetensors", tensors(&[("linear.weight", &[2, 2], vec![0.0; 4])]))]).unwrap();
    assert_eq!(codes(&inspection), ["no_norms"]);
    assert_eq!(inspection.report.model.verdict, ModelVerdict::Unknown);
    let empty = open(vec![("m.safetensors", file("{}", &[]))]).unwrap();
    assert_eq!(codes(&empty), ["no_norms"]);
}

#[test]
fn an_unknown_dtype_is_reported_with_its_tensor_and_the_rest_is_read() {
    let json = r#"{"a.norm.weight":{"dtype":"Q9_Z","shape":[2],"data_offsets":[0,3]},"b.norm.weight":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}}"#;
    let inspection = open(vec![("m.safetensors", file(json, &[0, 0, 0, 0, 0, 128, 63]))]).unwrap();
    says(inspection.report.norms[0].problem.as_deref().unwrap(), &["`a.norm.weight`", "Q9_Z"]);
    assert_eq!(inspection.report.norms[1].problem, None);
    assert!(codes(&inspection).contains(&"dtype_unknown"));
}

#[test]
fn names_with_markup_or_control_characters_stay_what_they_are() {
    let name = "<img src=x onerror=alert(1)>\u{1b}[31m\u{202e}.norm";
    let report = open(vec![("m.safetensors", layer_norm(name, &[1.0; 2]))]).unwrap().report;
    assert_eq!(report.norms[0].name, name);
}

/// A file that loses its end after the header is read and before the scales are.
struct Shrinking {
    bytes: Vec<u8>,
    header: u64,
}

impl ByteSource for Shrinking {
    fn path(&self) -> &str {
        "shrinking.safetensors"
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let end = if range.start < self.header { range.end } else { (range.start + 2).min(range.end) };
        Ok(self.bytes[range.start as usize..end as usize].to_vec())
    }
}

#[test]
fn a_file_shortened_while_it_is_read_names_file_tensor_and_byte() {
    let bytes = layer_norm("norm", &[1.0; 4]);
    let header = bytes.len() as u64 - 32;
    let inspection = pollster::block_on(inspect(vec![Shrinking { bytes, header }], |_| {})).unwrap();
    let problem = inspection.report.norms[0].problem.clone().unwrap();
    says(&problem, &["`norm.weight`", "`shrinking.safetensors`", "byte", "changed while it was read"]);
}

#[test]
fn a_file_shortened_or_deleted_on_disk_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, layer_norm("norm", &[1.0; 4])).unwrap();
    let source = DiskSource::open(&path, "m.safetensors").unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(20).unwrap();
    let error = pollster::block_on(inspect(vec![source], |_| {})).unwrap_err().to_string();
    says(&error, &["`m.safetensors`", "changed while it was read"]);
    std::fs::remove_file(&path).unwrap();
    says(
        &DiskSource::open(&path, "m.safetensors").unwrap_err().to_string(),
        &["`m.safetensors`", "could not be read"],
    );
}

#[test]
fn two_hundred_thousand_tensors_are_one_catalogue() {
    let names: Vec<String> = (0..200_000)
        .map(|index| format!("model.layers.{}.mlp.experts.{index}.w1.weight", index % 100))
        .collect();
    let entries: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            format!(r#""{name}":{{"dtype":"U8","shape":[1,1],"data_offsets":[{index},{}]}}"#, index + 1)
        })
        .collect();
    let report =
        open(vec![("m.safetensors", file(&format!("{{{}}}", entries.join(",")), &vec![0; 200_000]))])
            .unwrap()
            .report;
    assert_eq!(report.checkpoint.tensors, 200_000);
}
