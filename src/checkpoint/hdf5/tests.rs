use super::names::in_pytorch;
use super::*;
use crate::checkpoint::{Strides, open};
use crate::source::memory::MemorySource;
use pollster::block_on;
use proptest::prelude::*;
use safetensors::Dtype;

fn file(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keras");
    std::fs::read(folder.join(name)).unwrap()
}

fn sentence(bytes: Vec<u8>) -> String {
    block_on(open(vec![MemorySource::new("m.h5", bytes)], |_| {})).unwrap_err().to_string()
}

fn array(path: &str, shape: &[u64]) -> Entry {
    let dtype = TensorType::Known(Dtype::F32);
    Entry { name: path.to_owned(), dtype, shape: shape.to_vec(), begin: 0, end: 0, strides: None }
}

/// The names and shapes of arrays.
fn renamed(arrays: &[(&str, &[u64])]) -> Vec<(String, Vec<u64>)> {
    let arrays = arrays.iter().map(|(path, shape)| array(path, shape)).collect();
    in_pytorch(arrays).unwrap().0.into_iter().map(|entry| (entry.name, entry.shape)).collect()
}

#[test]
fn names_follow_the_rule_of_transformers() {
    let cases: [(&str, &[u64], &str, &[u64]); 9] = [
        (
            "bert/tf_bert_model/bert/encoder/layer_._11/attention/self/query/kernel:0",
            &[8, 4],
            "bert.encoder.layer.11.attention.self.query.weight",
            &[4, 8],
        ),
        ("bert/tf_bert_model/bert/pooler/dense/bias:0", &[8], "bert.pooler.dense.bias", &[8]),
        (
            "nsp___cls/tf_bert_model/nsp___cls/seq_relationship/kernel:0",
            &[8, 2],
            "cls.seq_relationship.weight",
            &[2, 8],
        ),
        (
            "lm_head/tf_bert_model/bert/embeddings/word_embeddings/weight:0",
            &[9, 8],
            "bert.embeddings.word_embeddings.weight",
            &[9, 8],
        ),
        // A shard, without the groups of layers.
        ("transformer/h_._0/ln_1/gamma:0", &[8], "transformer.h.0.ln_1.weight", &[8]),
        ("transformer/h_._0/attn/c_attn/bias:0", &[1, 24], "transformer.h.0.attn.c_attn.bias", &[24]),
        ("top_level_model_weights/tf_bert_model/final_logits_bias:0", &[1, 9], "final_logits_bias", &[1, 9]),
        ("model_weights/dense/dense/kernel:0", &[8, 4], "dense.weight", &[4, 8]),
        ("shared/shared/shared/weight:0", &[9, 8], "shared.weight", &[9, 8]),
    ];
    let given: Vec<(&str, &[u64])> = cases.iter().map(|(path, shape, _, _)| (*path, *shape)).collect();
    let expected: Vec<(String, Vec<u64>)> =
        cases.iter().map(|(_, _, name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
    assert_eq!(renamed(&given), expected);
}

#[test]
fn a_variable_that_two_layers_share_is_kept_once() {
    let (one, two) = ("a/m/a/dense/kernel:0", "b/m/a/dense/kernel:0");
    assert_eq!(renamed(&[(one, &[8, 4]), (two, &[8, 4])]), [("a.dense.weight".to_owned(), vec![4, 8])]);
    // Two variables of one name are not.
    let other = renamed(&[("a/dense/gamma:0", &[8]), ("a/dense/weight:0", &[8])]);
    assert_eq!(other, [("a.dense.weight".to_owned(), vec![8]), ("a.dense.weight:0".to_owned(), vec![8])]);
    assert!(in_pytorch(vec![array("a/b", &[8]), array("a/b", &[9]), array("a/b", &[7])]).is_err());
}

#[test]
fn a_kernel_is_a_transposed_view() {
    let (entries, stored) = in_pytorch(vec![array("dense/kernel:0", &[2, 3])]).unwrap();
    assert_eq!(entries[0].strides.as_ref().map(Strides::steps), Some([1, 3].as_slice()));
    assert_eq!(stored, [("dense.weight".to_owned(), "dense/kernel:0".to_owned())]);
}

#[test]
fn files_that_cannot_be_read_say_why() {
    assert!(sentence(file("chunked.h5")).contains("(\"dense/dense/kernel:0\": array in chunks)"));
    assert!(sentence(file("many.h5")).contains("track_order"));
    assert!(sentence(file("keras3.weights.h5")).contains("Keras 3"));
    let whole = file("tf_model.h5");
    assert!(sentence(whole[..whole.len() / 2].to_vec()).contains("cut off"));
    assert!(sentence(whole[..60].to_vec()).contains("`m.h5`"));
}

/// Where `bytes` first occur in a file.
fn place(file: &[u8], bytes: &[u8]) -> usize {
    file.windows(bytes.len()).position(|window| window == bytes).unwrap()
}

#[test]
fn groups_in_a_circle_end() {
    // The first entry of the topmost group leads to that group.
    let mut circle = file("tf_model.h5");
    let root = circle[64..72].to_vec();
    let entry = place(&circle, b"SNOD") + 8;
    circle[entry + 8..entry + 16].copy_from_slice(&root);
    assert!(sentence(circle).contains("deeper than any model"));
    // The list of a group names itself many times.
    let mut lists = file("tf_model.h5");
    let tree = place(&lists, b"TREE");
    let own = (tree as u64).to_le_bytes();
    lists[tree + 6] = 3;
    for at in 0..3 {
        lists[tree + 32 + 16 * at..][..8].copy_from_slice(&own);
    }
    assert!(sentence(lists).contains("more than it holds"));
}

#[test]
fn claims_that_the_file_does_not_hold_take_no_memory() {
    let mut counts = file("tf_model.h5");
    let tree = place(&counts, b"TREE");
    counts[tree + 6..tree + 8].copy_from_slice(&[0xff, 0xff]);
    assert!(sentence(counts).contains("is not what HDF5 writes"));
    let mut heap = file("tf_model.h5");
    let at = place(&heap, b"HEAP");
    heap[at + 8..at + 16].copy_from_slice(&[0xff; 8]);
    assert!(sentence(heap).contains("heap of names"));
}

proptest! {
    #[test]
    fn any_bytes_behind_the_first_give_arrays_or_a_sentence(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let whole = [HDF5_MAGIC, &bytes].concat();
        if let Err(error) = block_on(read(&Meter::default(), &MemorySource::new("m.h5", whole))) {
            prop_assert!(error.to_string().contains("`m.h5`"));
        }
    }

    #[test]
    fn a_damaged_header_gives_arrays_inside_the_file_or_a_sentence(
        at in 0_usize..6000, number in prop::sample::select(vec![0_u64, 1, 8, 0xff, 0xffff, 1 << 31, u64::MAX]), width in 1_usize..9,
    ) {
        let mut whole = file("newer.h5");
        let at = at % (whole.len() - 8);
        whole[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        let length = whole.len() as u64;
        match block_on(read(&Meter::default(), &MemorySource::new("m.h5", whole))) {
            Ok(header) => prop_assert!(header.entries.iter().all(|entry| entry.begin <= entry.end && entry.end <= length)),
            Err(error) => prop_assert!(error.to_string().contains("`m.h5`")),
        }
    }
}
