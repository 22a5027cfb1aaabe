//! Files of Keras and TensorFlow: the variables that were saved, under the names of PyTorch's code. `scripts/fixtures/keras.py` writes the
//! files with h5py, in the layout of Keras 2 and of transformers 4.

use crate::support::open;
use crate::support::saved::{Saved, as_safetensors, saved};
use flate2::read::GzDecoder;
use gammascope::checkpoint::{self, Checkpoint, Tensor};
use gammascope::report::NormReport;
use gammascope::source::memory::MemorySource;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

const CONFIG: &[u8] =
    br#"{"model_type":"bert","architectures":["BertForPreTraining"],"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":32}"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keras")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn expected() -> BTreeMap<String, BTreeMap<String, Saved>> {
    saved(&folder())
}

fn opened(name: &str, bytes: Vec<u8>) -> Checkpoint<MemorySource> {
    pollster::block_on(checkpoint::open(vec![MemorySource::new(name, bytes)], |_| {})).unwrap()
}

#[test]
fn names_types_shapes_and_values_are_those_that_were_saved() {
    for (file, tensors) in expected() {
        let checkpoint = opened(&file, bytes(&file));
        assert_eq!(checkpoint.format.name(), "hdf5", "{file}");
        let names: Vec<&String> = checkpoint.tensors.iter().map(|tensor| &tensor.name).collect();
        assert_eq!(names.len(), tensors.len(), "{file}: {names:?}");
        for (at, tensor) in checkpoint.tensors.iter().enumerate() {
            let Some(Saved { dtype, shape, values }) = tensors.get(&tensor.name) else {
                panic!("{file} has no {}", tensor.name)
            };
            assert_eq!((&tensor.dtype.to_string(), &tensor.shape), (dtype, shape), "{file}: {}", tensor.name);
            let read = pollster::block_on(checkpoint.values(at)).unwrap();
            assert_eq!(&read, values, "{file}: {}", tensor.name);
        }
    }
}

#[test]
fn the_names_of_the_file_are_shown_and_the_optimizer_is_left_out() {
    let bert = opened("tf_model.h5", bytes("tf_model.h5"));
    assert_eq!(
        bert.stored_name("bert.encoder.layer.1.output.LayerNorm.weight"),
        "bert/tf_bert_for_pre_training_1/bert/encoder/layer_._1/output/LayerNorm/gamma:0"
    );
    assert!(bert.warnings.is_empty(), "{:?}", bert.warnings);
    let keras = opened("model.h5", bytes("model.h5"));
    assert_eq!(keras.warnings[0].code.as_str(), "state_chosen");
}

#[test]
fn a_tensorflow_model_gives_the_report_of_the_same_model_in_pytorch() {
    let all = expected();
    let config = || ("m/config.json", CONFIG.to_vec());
    let twin =
        open(vec![("m/model.safetensors", as_safetensors(&all["tf_model.h5"])), config()]).unwrap().report;
    let own = open(vec![("m/tf_model.h5", bytes("tf_model.h5")), config()]).unwrap().report;
    assert_eq!(own.norms.len(), 6);
    for (own, twin) in own.norms.iter().zip(&twin.norms) {
        assert_eq!((&own.kind, &own.kernel), (&twin.kind, &twin.kernel), "{}", own.name);
        let dead = |norm: &NormReport| -> Vec<_> {
            norm.readers.iter().map(|reader| (reader.rows, reader.parameters, reader.dead)).collect()
        };
        assert_eq!(dead(own), dead(twin), "{}", own.name);
        assert!(own.name.contains("LayerNorm"), "{}", own.name);
    }
    assert!(own.norms.iter().any(|norm| !norm.readers.is_empty()));
    assert_eq!(own.checkpoint.parameters, twin.checkpoint.parameters);
}

#[test]
fn opening_reads_the_headers_and_the_norms_and_no_matrix() {
    let packed = bytes("wide.h5.gz");
    let mut file = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut file).unwrap();
    assert!(file.len() > 1 << 20);
    let report = open(vec![("wide.h5", file)]).unwrap().report;
    assert_eq!(report.norms.len(), 1);
    assert!(report.checkpoint.bytes_read < 32 << 10, "{}", report.checkpoint.bytes_read);
}

#[test]
fn arrays_that_are_no_range_of_the_file_are_named_and_the_rest_is_read() {
    let checkpoint = opened("m.h5", bytes("unusable.h5"));
    let kind = |tensor: &Tensor| tensor.dtype.to_string().trim_matches('"').to_owned();
    let kinds: BTreeMap<&str, String> =
        checkpoint.tensors.iter().map(|tensor| (tensor.name.as_str(), kind(tensor))).collect();
    let expected = [
        ("big", "the most significant byte first"),
        ("chunked", "array in chunks"),
        ("complex", "type without numbers"),
        ("compressed", "array in chunks"),
        ("layer_normalization.weight", "F32"),
        ("text", "text"),
        ("unwritten", "array without values"),
    ];
    assert_eq!(kinds, expected.map(|(name, kind)| (name, kind.to_owned())).into());
}

#[test]
fn a_file_of_keras_opens_under_any_name() {
    for name in ["tf_model.h5", "weights.hdf5", "model.bin", "model.safetensors", "weights", "weights.ckpt"] {
        assert_eq!(opened(name, bytes("tf_model.h5")).format.name(), "hdf5", "{name}");
    }
}
