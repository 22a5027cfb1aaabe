//! The container: tensors in every form, files that are cut off or damaged, numbers in other files.

#[path = "../../../tests/it/support/onnx.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
pub(crate) mod write;

use super::*;
use crate::checkpoint::{Checkpoint, open};
use crate::report::WarningCode;
use crate::source::memory::MemorySource;
use proptest::prelude::*;
use write::{Attribute, Message, Net, external, floats, tensor};

fn model(file: &[u8]) -> Result<Model, CheckpointError> {
    let source = MemorySource::new("m.onnx", file);
    pollster::block_on(read(&Meter::default(), &source))
}

fn opened(files: Vec<(&str, Vec<u8>)>) -> Result<Checkpoint<MemorySource>, CheckpointError> {
    let sources = files.into_iter().map(|(path, bytes)| MemorySource::new(path, bytes)).collect();
    pollster::block_on(open(sources, |_| {}))
}

fn values(
    checkpoint: &Checkpoint<MemorySource>,
    name: &str,
) -> Result<Vec<f64>, crate::checkpoint::TensorError> {
    let index = checkpoint.tensors.iter().position(|tensor| tensor.name == name).unwrap();
    pollster::block_on(checkpoint.values(index))
}

/// A network with a norm, a map behind it, and a constant in a node.
fn small() -> Net {
    Net::default()
        .floats("norm.weight", &[8])
        .floats("norm.bias", &[8])
        .floats("w", &[8, 3])
        .wholes("shape", &[0, -1, 8])
        .constant("half", 0.5)
        .input("x", &[0, 0, 8])
        .node(
            "LayerNormalization",
            &["x", "norm.weight", "norm.bias"],
            "y",
            &[("axis", Attribute::Whole(-1))],
        )
        .node("MatMul", &["y", "w"], "z", &[])
        .output("z")
}

#[test]
fn the_catalogue_has_the_tensors_and_the_graph_the_rest() {
    let read = model(&small().file()).unwrap();
    let names: Vec<&str> = read.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["norm.weight", "norm.bias", "w"]);
    let ops: Vec<&str> = read.beside.graph.nodes.iter().map(|node| node.op.as_str()).collect();
    assert_eq!(ops, ["Identity", "LayerNormalization", "MatMul"]);
    assert_eq!(read.beside.graph.nodes[1].whole("axis"), Some(-1));
    let value = |name: &str| read.beside.graph.values.iter().find(|value| value.name == name).unwrap();
    let numbers = |name: &str| value(name).constant.as_ref().unwrap().numbers.clone();
    assert_eq!(numbers("shape"), Some(vec![0.0, -1.0, 8.0]));
    assert_eq!(numbers("half_inner"), Some(vec![0.5]));
    assert_eq!(value("x").shape, Some(vec![None, None, Some(8)]));
    assert!(value("z").is_output && !value("y").is_output);
}

#[test]
fn numbers_are_read_in_every_form_that_holds_them_byte_for_byte() {
    let list = |field, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensor("packed", &[2], 1).bytes(field, bytes)
    };
    let doubles: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let file = Net::default()
        .add(5, floats("raw", &[2], &[1.0, -2.5]))
        .add(5, list(4, &[3.0, 4.0]))
        .add(5, tensor("doubles", &[2], 11).bytes(10, doubles))
        .add(5, tensor("apart", &[2], 1).float(4, 5.0).float(4, 6.0))
        .add(5, tensor("halves", &[2], 10).bytes(5, [0x80, 0x78, 0x80, 0x78]))
        .file();
    let checkpoint = opened(vec![("m.onnx", file)]).unwrap();
    assert_eq!(values(&checkpoint, "raw"), Ok(vec![1.0, -2.5]));
    assert_eq!(values(&checkpoint, "packed"), Ok(vec![3.0, 4.0]));
    assert_eq!(values(&checkpoint, "doubles"), Ok(vec![1.5, -2.0]));
    // No range of bytes holds these.
    assert!(values(&checkpoint, "apart").is_err() && values(&checkpoint, "halves").is_err());
}

#[test]
fn matrices_are_passed_over() {
    let file = Net::default().floats("a", &[300, 300]).floats("b", &[300, 300]).floats("c", &[40]).file();
    let length = file.len() as u64;
    let checkpoint = opened(vec![("m.onnx", file)]).unwrap();
    assert_eq!(checkpoint.tensors.len(), 3);
    assert!(checkpoint.bytes_read() < length / 50, "{} of {length}", checkpoint.bytes_read());
}

#[test]
fn numbers_in_another_file_are_read_there() {
    let net = Net::default()
        .add(5, external("a", &[2], "m.onnx_data", 4))
        .add(5, external("b", &[2], "./m.onnx_data", 12))
        .add(5, external("c", &[100], "m.onnx_data", 0));
    let data: Vec<u8> = [9.0f32, 1.0, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let checkpoint = opened(vec![
        ("d/m.onnx", net.clone().file()),
        ("d/m.onnx_data", data),
        ("d/notes.txt", b"x".to_vec()),
    ])
    .unwrap();
    assert_eq!(values(&checkpoint, "a"), Ok(vec![1.0, 2.0]));
    assert_eq!(values(&checkpoint, "b"), Ok(vec![3.0, 4.0]));
    // The third reaches beyond the end of its file.
    assert_eq!(checkpoint.tensors.len(), 2);
    assert_eq!(checkpoint.warnings[0].code, WarningCode::ShardDamaged);

    let alone = opened(vec![("d/m.onnx", net.file())]).unwrap();
    assert_eq!(
        (alone.tensors.len(), alone.missing_shards.as_slice()),
        (0, &["d/m.onnx_data".to_owned()][..])
    );
    let warning = &alone.warnings[0];
    assert_eq!(warning.code, WarningCode::ShardMissing);
    assert!(warning.message.contains("3 of its tensors in `d/m.onnx_data`"), "{}", warning.message);
}

#[test]
fn damage_is_named() {
    let says = |file: Vec<u8>, expected: &str| {
        let error = model(&file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let whole = small().file();
    says(whole[..whole.len() - 1].to_vec(), "it was cut off, download it again");
    says(Message::default().number(1, 8).0, "has no graph");
    says(Net::default().add(5, tensor("t", &[3], 1).bytes(9, [0; 8])).file(), "takes 12 bytes");
    says(Net::default().add(5, tensor("t", &[1 << 40, 1 << 40], 1).bytes(9, [0; 8])).file(), "more values");
    says(Net::default().add(5, tensor("t", &[u64::MAX, 2], 1).bytes(9, [0; 8])).file(), "more values");
    says(Net(Message(vec![0x0b])).file(), "no valid part");
    let mut deep = Net::default();
    for _ in 0..40 {
        let attribute = Message::default().bytes(1, "body").bytes(6, deep.0.0);
        deep = Net::default().add(1, Message::default().bytes(4, "Loop").bytes(5, attribute.0));
    }
    says(deep.file(), "deeper than in any network");
    let pair = Message::default().bytes(1, "offset").bytes(2, "far").0;
    says(Net::default().add(5, tensor("t", &[2], 1).bytes(13, pair).number(14, 1)).file(), "is no number");
}

#[test]
fn another_file_of_that_name_is_explained() {
    let says = |bytes: &[u8]| opened(vec![("m.onnx", bytes.to_vec())]).unwrap_err().to_string();
    assert!(says(b"version https://git-lfs.github.com/spec/v1\noid").contains("git lfs pull"));
    assert!(says(b"Entry not found").contains("is text that begins with"));
    assert!(says(b"").contains("empty"));
}

#[test]
fn a_file_is_known_by_its_first_bytes() {
    let checkpoint = opened(vec![("blob", small().file())]).unwrap();
    assert_eq!(checkpoint.format, crate::checkpoint::Format::Onnx);
}

#[test]
fn branches_may_use_one_name_each() {
    let branch = |numbers: &[f32]| {
        Net::default().add(5, floats("w", &[2], numbers)).node("Add", &["x", "w"], "sum", &[]).0
    };
    let attribute = |name: &str, graph: Message| Message::default().bytes(1, name).bytes(6, graph.0).0;
    let made = Message::default()
        .bytes(1, "condition")
        .bytes(2, "y")
        .bytes(4, "If")
        .bytes(5, attribute("then_branch", branch(&[1.0, 2.0])))
        .bytes(5, attribute("else_branch", branch(&[3.0, 4.0])));
    let read = model(&Net::default().floats("x", &[2]).add(1, made).file()).unwrap();
    let names: Vec<&str> = read.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["x", "w", "w#2"]);
    let tensors: Vec<Option<&str>> = read.beside.graph.nodes[..2]
        .iter()
        .map(|node| read.beside.graph.values[node.input(1).unwrap()].constant.as_ref()?.tensor.as_deref())
        .collect();
    assert_eq!(tensors, [Some("w"), Some("w#2")]);
    // Both read the value of the graph around them.
    assert_eq!(read.beside.graph.nodes[0].input(0), read.beside.graph.nodes[1].input(0));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = model(&bytes);
        let _ = model(&Net(Message(bytes)).file());
    }

    #[test]
    fn no_change_of_a_file_makes_it_panic(at in 0usize..2000, byte in any::<u8>(), end in 0usize..2000) {
        let mut file = small().file();
        let (at, end) = (at % file.len(), end % file.len());
        file[at] = byte;
        let _ = opened(vec![("m.onnx", file.clone())]);
        file.truncate(end);
        let _ = opened(vec![("m.onnx", file)]);
    }
}
