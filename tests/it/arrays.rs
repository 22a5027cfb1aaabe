//! Files of NumPy, MLX and Flax: the tensors that were saved, under the names of PyTorch's code. `scripts/fixtures/arrays.py` writes the
//! files with these libraries.

use crate::support::saved::{Saved, as_safetensors, saved};
use crate::support::{open, refused};
use gammascope::checkpoint::{self, Checkpoint};
use gammascope::source::memory::MemorySource;
use std::collections::BTreeMap;
use std::path::Path;

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arrays").join(name)).unwrap()
}

fn expected() -> BTreeMap<String, BTreeMap<String, Saved>> {
    saved(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arrays"))
}

fn opened(name: &str, bytes: Vec<u8>) -> Checkpoint<MemorySource> {
    pollster::block_on(checkpoint::open(vec![MemorySource::new(name, bytes)], |_| {})).unwrap()
}

#[test]
fn names_types_shapes_and_values_are_those_that_were_saved() {
    for (file, tensors) in expected() {
        let checkpoint = opened(&file, bytes(&file));
        let format = if file.ends_with(".npz") { "npz" } else { "flax" };
        assert_eq!(checkpoint.format.name(), format, "{file}");
        let mut found = Vec::new();
        for (at, tensor) in checkpoint.tensors.iter().enumerate() {
            let Some(Saved { dtype, shape, values }) = tensors.get(&tensor.name) else {
                assert!(["big", "text"].contains(&tensor.name.as_str()), "{file}: {}", tensor.name);
                assert!(!tensor.dtype.is_floating(), "{file}: {}", tensor.name);
                continue;
            };
            found.push(tensor.name.as_str());
            assert_eq!((&tensor.dtype.to_string(), &tensor.shape), (dtype, shape), "{file}: {}", tensor.name);
            let read = pollster::block_on(checkpoint.values(at)).unwrap();
            assert_eq!(&read, values, "{file}: {}", tensor.name);
        }
        assert_eq!(found.len(), tensors.len(), "{file}: {found:?}");
    }
}

#[test]
fn the_names_of_the_file_are_shown_and_training_state_is_left_out() {
    let checkpoint = opened("flax_model.msgpack", bytes("flax_model.msgpack"));
    let stored = |name: &str| checkpoint.stored_name(name).to_owned();
    assert_eq!(
        stored("bert.encoder.layer.0.output.LayerNorm.weight"),
        "bert.encoder.layer.0.output.LayerNorm.scale"
    );
    assert_eq!(
        stored("bert.encoder.layer.0.output.LayerNorm.bias"),
        "bert.encoder.layer.0.output.LayerNorm.bias"
    );
    let state = opened("state.msgpack", bytes("state.msgpack"));
    assert_eq!(state.tensors.len(), checkpoint.tensors.len());
    assert_eq!(state.warnings[0].code.as_str(), "state_chosen");
}

#[test]
fn a_flax_model_gives_the_report_of_the_same_model_in_pytorch() {
    const CONFIG: &[u8] =
        br#"{"model_type":"bert","architectures":["BertModel"],"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":32}"#;
    let all = expected();
    let config = || ("m/config.json", CONFIG.to_vec());
    let twin = open(vec![("m/model.safetensors", as_safetensors(&all["flax_model.msgpack"])), config()])
        .unwrap()
        .report;
    let own = open(vec![("m/flax_model.msgpack", bytes("flax_model.msgpack")), config()]).unwrap().report;
    assert_eq!(own.norms.len(), 3);
    for (own, twin) in own.norms.iter().zip(&twin.norms) {
        assert_eq!((&own.kind, &own.kernel), (&twin.kind, &twin.kernel), "{}", own.name);
        let dead = |norm: &gammascope::report::NormReport| -> Vec<_> {
            norm.readers.iter().map(|reader| (reader.rows, reader.parameters, reader.dead)).collect()
        };
        assert_eq!(dead(own), dead(twin), "{}", own.name);
        assert!(own.name.contains("LayerNorm"), "{}", own.name);
    }
    assert!(own.norms.iter().any(|norm| !norm.readers.is_empty()));
    assert_eq!(own.checkpoint.parameters, twin.checkpoint.parameters);
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let sentence = refused("compressed.npz", bytes("compressed.npz"));
    assert!(sentence.contains("is compressed") && sentence.contains("numpy.savez"), "{sentence}");
    let npz = bytes("weights.npz");
    let sentence = refused("weights.npz", npz[..npz.len() - 100].to_vec());
    assert!(sentence.contains("`weights.npz`") && sentence.contains("cut off"), "{sentence}");
    let flax = bytes("flax_model.msgpack");
    let sentence = refused("flax_model.msgpack", flax[..flax.len() / 2].to_vec());
    assert!(sentence.contains("`flax_model.msgpack`") && sentence.contains("cut off"), "{sentence}");
    let sentence = refused("flax_model.msgpack", [flax.as_slice(), b"\0"].concat());
    assert!(sentence.contains("1 bytes follow the end"), "{sentence}");
    assert!(refused("m.msgpack", b"\x80".to_vec()).contains("`m.msgpack`"));
    assert!(refused("m.msgpack", b"\x81\xa1x\xc1\xc0\xc0\xc0\xc0\xc0".to_vec()).contains("0xc1"));
    let sentence = refused("m.msgpack", "Entry not found".into());
    assert!(sentence.contains("is text that begins with"), "{sentence}");
}

#[test]
fn an_archive_of_arrays_opens_under_any_name() {
    for name in ["weights.npz", "weights.bin", "model.safetensors", "weights", "weights.ckpt"] {
        assert_eq!(opened(name, bytes("weights.npz")).format.name(), "npz", "{name}");
    }
}

#[test]
fn claims_of_flax_that_the_file_does_not_hold_take_no_memory_and_no_time() {
    // Maps of four billion entries, in each other; a list of as many; and an array of a shape that overflows.
    for start in [b"\xdf\xff\xff\xff\xff\xa1a".as_slice(), b"\xdf\xff\xff\xff\xff\xa1a\xdd\xff\xff\xff\xff"] {
        let sentence = refused("m.msgpack", [start, &[0; 64]].concat());
        assert!(sentence.contains("`m.msgpack`"), "{sentence}");
    }
    let deep: Vec<u8> = std::iter::repeat_n(*b"\x81\xa1a", 100).flatten().collect();
    assert!(refused("m.msgpack", deep).contains("deeper"));
    let shape = b"\x81\xa1w\xc7\x1e\x01\x93\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa7float32\xc4\x00";
    assert!(
        refused("m.msgpack", shape.to_vec()).contains("bytes of its shape"),
        "{}",
        refused("m.msgpack", shape.to_vec())
    );
}
