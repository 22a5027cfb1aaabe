//! Files made to break a reader: each ends in a sentence, and none takes more than it holds.

use super::zip::MAGIC;
use super::*;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::formats::Format;
use crate::source::memory::MemorySource;
use pickle::Value;

const PROTOCOL_2: &[u8] = b"\x80\x02";

/// A pickle of protocol 2 with these operations.
fn pickle(operations: &[u8]) -> Vec<u8> {
    [PROTOCOL_2, operations, b"."].concat()
}

/// The operations that push a text of at most 255 bytes.
fn text(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8], text.as_bytes()].concat()
}

/// The operations that push a tensor of F32: `sizes` and `strides` are pushed as given.
fn tensor(key: &str, count: u8, offset: &[u8], sizes: &[u8], strides: &[u8]) -> Vec<u8> {
    let storage = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        vec![b'K', count],
        b"tQ".to_vec(),
    ];
    let head = b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    [
        head,
        storage.concat(),
        offset.to_vec(),
        sizes.to_vec(),
        strides.to_vec(),
        vec![0x89, b'}'],
        b"tR".to_vec(),
    ]
    .concat()
}

/// A pickle of a dictionary with one tensor `w`.
fn one(tensor: &[u8]) -> Vec<u8> {
    pickle(&[b"}(", text("w").as_slice(), tensor, b"u"].concat())
}

/// A vector of `count` elements.
fn vector(count: u8) -> Vec<u8> {
    tensor("0", count, b"K\0", &[b'(', b'K', count, b't'], b"(K\x01t")
}

/// What an archive says about one of its entries.
#[derive(Clone)]
struct Packed {
    name: String,
    method: u16,
    bytes: Vec<u8>,
    size: u64,
    crc: u32,
}

fn stored(name: &str, bytes: &[u8]) -> Packed {
    let crc = crc32fast::hash(bytes);
    Packed { name: name.to_owned(), method: 0, bytes: bytes.to_vec(), size: bytes.len() as u64, crc }
}

fn deflated(name: &str, bytes: &[u8]) -> Packed {
    let packed = miniz_oxide::deflate::compress_to_vec(bytes, 9);
    Packed { method: 8, bytes: packed, ..stored(name, bytes) }
}

/// An archive without padding. `move_by` shifts where the directory says that each entry begins.
fn archive(entries: &[Packed], move_by: i64) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for Packed { name, method, bytes, size, crc } in entries {
        let header = (file.len() as i64 + if file.is_empty() { 0 } else { move_by }) as u32;
        let sizes =
            [crc.to_le_bytes(), (bytes.len() as u32).to_le_bytes(), (*size as u32).to_le_bytes()].concat();
        let name_length = (name.len() as u16).to_le_bytes();
        let common =
            [&[20, 0, 0, 0], method.to_le_bytes().as_slice(), &[0; 4], &sizes, &name_length, &[0; 2]]
                .concat();
        file.extend([MAGIC.as_slice(), &common, name.as_bytes(), bytes].concat());
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend([common.as_slice(), &[0; 10], &header.to_le_bytes(), name.as_bytes()].concat());
    }
    let start = file.len() as u32;
    let (length, count) = (directory.len() as u32, (entries.len() as u16).to_le_bytes());
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count, count].concat());
    file.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

fn saved(pickle: &[u8], floats: usize) -> Vec<u8> {
    archive(&[stored("m/data.pkl", pickle), stored("m/data/0", &vec![0; 4 * floats])], 0)
}

fn open(bytes: Vec<u8>) -> Result<Checkpoint<MemorySource>, CheckpointError> {
    pollster::block_on(crate::checkpoint::open(vec![MemorySource::new("m.bin", bytes)], |_| {}))
}

fn says(bytes: Vec<u8>, parts: &[&str]) {
    let sentence = open(bytes).unwrap_err().to_string();
    for part in ["`m.bin`"].iter().chain(parts) {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

#[test]
fn an_archive_without_padding_is_read_through_its_own_headers() {
    for entry in [stored as fn(&str, &[u8]) -> Packed, deflated] {
        let values: Vec<u8> = [1f32, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let file = archive(&[entry("m/data.pkl", &one(&vector(3))), stored("m/data/0", &values)], 0);
        let checkpoint = open(file).unwrap();
        assert_eq!(checkpoint.format, Format::PyTorch);
        let read = pollster::block_on(checkpoint.read(&[0], |_, _| {}));
        assert_eq!(read, [Ok(vec![1.0, 2.0, 3.0])]);
    }
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let (pickle, data) = (stored("m/data.pkl", &one(&vector(3))), stored("m/data/0", &[0; 12]));
    let with = |entry: Packed| archive(&[pickle.clone(), data.clone(), entry], 0);
    says(with(stored("../../etc/passwd", b"x")), &["\"../../etc/passwd\"", "leads out"]);
    says(with(stored("/etc/passwd", b"x")), &["leads out"]);
    says(with(stored("m\\..\\x", b"x")), &["leads out"]);
    says(with(data.clone()), &["two entries", "\"m/data/0\""]);
    says(archive(&[pickle.clone(), data.clone()], -5), &["\"m/data.pkl\"", "reaches into"]);
    says(archive(&[pickle.clone(), data.clone()], 1 << 20), &["reaches into"]);
    says(archive(std::slice::from_ref(&data), 0), &["no `data.pkl`"]);
    says(archive(&[Packed { crc: 1, ..pickle.clone() }, data.clone()], 0), &["\"m/data.pkl\"", "damaged"]);
    says(archive(&[Packed { method: 12, ..pickle.clone() }, data.clone()], 0), &["method 12"]);
    let whole = archive(&[pickle.clone(), data.clone()], 0);
    for end in [whole.len() - 1, whole.len() - 30, 40] {
        says(whole[..end].to_vec(), &["no directory", "download it again"]);
    }
    let mut changed = whole.clone();
    let at = changed.len() - 6;
    changed[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    says(changed, &["no directory"]);
}

#[test]
fn an_archive_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked() {
    let bomb = deflated("m/data.pkl", &vec![b'N'; 50 << 20]);
    says(archive(&[bomb], 0), &["unpacks to 52428800", "fill the memory"]);
    // Unpacking stops an archive that gives a false size.
    let liar = Packed { size: 5000, ..deflated("m/data.pkl", &vec![b'N'; 1 << 20]) };
    says(archive(&[liar], 0), &["damaged"]);
}

#[test]
fn a_compressed_storage_is_named_and_the_rest_goes_on() {
    let tensors = [text("a"), vector(3), text("b"), tensor("1", 3, b"K\0", b"(K\x03t", b"(K\x01t")].concat();
    let file = archive(
        &[
            stored("m/data.pkl", &pickle(&[b"}(", tensors.as_slice(), b"u"].concat())),
            stored("m/data/0", &[0; 12]),
            deflated("m/data/1", &[0; 12]),
        ],
        0,
    );
    let checkpoint = open(file).unwrap();
    let kinds: Vec<String> = checkpoint.tensors.iter().map(|tensor| tensor.dtype.to_string()).collect();
    assert_eq!(kinds, ["F32", "\"compressed storage\""]);
}

#[test]
fn a_file_of_a_big_endian_machine_is_called_that() {
    let file = archive(
        &[stored("m/data.pkl", &one(&vector(1))), stored("m/byteorder", b"big"), stored("m/data/0", &[0; 4])],
        0,
    );
    says(file, &["big-endian"]);
}

#[test]
fn views_that_leave_their_storage_are_refused() {
    let file = |tensor: &[u8], floats| saved(&one(tensor), floats);
    says(file(&tensor("0", 4, b"K\x01", b"(K\x04t", b"(K\x01t"), 4), &["\"w\"", "needs element 4", "has 4"]);
    says(file(&tensor("0", 4, b"K\0", b"(K\x02K\x02t", b"(K\x07K\x01t"), 4), &["needs element 8"]);
    says(file(&vector(9), 4), &["should have 36 bytes and has 16"]);
    says(file(&tensor("7", 4, b"K\0", b"(K\x04t", b"(K\x01t"), 4), &["\"7\"", "not in the file"]);
    let huge = b"(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ft";
    says(file(&tensor("0", 4, b"K\0", huge, b"(K\0K\0t"), 4), &["more elements than"]);
    let shown = b"(J\xff\xff\xff\x0ft";
    says(file(&tensor("0", 4, b"K\0", shown, b"(K\0t"), 4), &["repeat the same numbers"]);
    // Values that are not numbers.
    for odd in [b"(J\xff\xff\xff\xfft".as_slice(), b"N", b"(K\x04K\x04t", b"(Nt"] {
        let opened = open(file(&tensor("0", 4, b"K\0", odd, b"(K\x01t"), 4)).unwrap();
        assert!(matches!(opened.tensors[0].dtype, TensorType::Unknown(_)), "{odd:?}");
    }
}

#[test]
fn damaged_pickles_are_refused_with_their_byte() {
    for (operations, part) in [
        (b"\xff".as_slice(), "0xff"),
        (b"0", "more values"),
        (b"t", "mark"),
        (b"}(K\x01u", "without a value"),
        (b"h\x05", "value 5 of its memo"),
        (b"NN\x93", "not text"),
        (b"Ix\n", "number"),
        (b"(0R", "more values"),
        (b"\x82\x01", "0x82"),
        (b"\x97", "0x97"),
    ] {
        says(saved(&pickle(operations), 1), &["not valid at byte", part]);
    }
    says(saved(&[PROTOCOL_2, b"X\xff\xff\xff\xffabc"].concat(), 1), &["cut off"]);
    says(saved(&[PROTOCOL_2, b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"].concat(), 1), &["cut off"]);
    says(saved(&pickle(b"N"), 1), &["no tensor"]);
}

#[test]
fn values_that_a_memo_shares_are_stored_once() {
    // Forty lists, each of which holds the one before it twice: 2⁴⁰ ways, of which the last is a dictionary with a tensor.
    let mut operations = [b"}(".to_vec(), text("w"), vector(1), b"uq\0".to_vec()].concat();
    for level in 0..40u8 {
        operations.extend([b'(', b'h', level, b'h', level, b'l', b'q', level + 1]);
    }
    let checkpoint = open(saved(&pickle(&operations), 1)).unwrap();
    assert_eq!(checkpoint.tensors.len(), 1);
    // The same with dictionaries, whose tensors have names: those are too many.
    let mut operations = [b"}(".to_vec(), text("w"), vector(1), b"uq\0".to_vec()].concat();
    for level in 0..40u8 {
        operations.extend(
            [
                b"}(".to_vec(),
                text("a"),
                vec![b'h', level],
                text("b"),
                vec![b'h', level],
                b"uq".to_vec(),
                vec![level + 1],
            ]
            .concat(),
        );
    }
    says(saved(&pickle(&operations), 1), &["more tensors or longer names"]);
}

#[test]
fn objects_that_share_a_long_dictionary_take_no_time() {
    let (entries, objects) = (20_000u32, 20_000);
    let mut operations = b"](}q\0(".to_vec();
    for entry in 0..entries {
        operations.extend([b"J".as_slice(), &(entry + 1000).to_le_bytes(), b"N"].concat());
    }
    operations.extend([text("w"), vector(1), b"u".to_vec()].concat());
    for _ in 0..objects {
        operations.extend(b"cacme\nNet\n)Rh\0b");
    }
    operations.push(b'e');
    says(saved(&pickle(&operations), 1), &["more tensors or longer names"]);
}

#[test]
fn containers_in_themselves_and_deep_ones_end() {
    // A list that holds itself and a tensor.
    let operations = [b"]q\0h\0a".to_vec(), vector(1), b"a".to_vec()].concat();
    assert_eq!(open(saved(&pickle(&operations), 1)).unwrap().tensors.len(), 1);
    let depth = 200_000;
    let operations = [vec![b']'; depth], vector(1), vec![b'a'; depth]].concat();
    says(saved(&pickle(&operations), 1), &["no tensor"]);
    let operations = [vec![b'('; depth], vec![b't'; depth]].concat();
    says(saved(&pickle(&operations), 1), &["no tensor"]);
}

#[test]
fn a_machine_can_be_fed_byte_by_byte() {
    let whole = one(&vector(3));
    let mut machine = Machine::default();
    for end in 0..whole.len() {
        assert_eq!(machine.run(&whole[..end]), Ok(Outcome::More), "{end}");
    }
    let Ok(Outcome::Done(value, end)) = machine.run(&whole) else { panic!("a value") };
    assert_eq!(end, whole.len());
    assert!(matches!(machine.value(value), Value::Dict(pairs) if pairs.len() == 1));
}

#[test]
fn dictionaries_of_other_classes_are_dictionaries() {
    let operations = [b"cacme\nConfig\n)R(".to_vec(), text("w"), vector(1), b"u".to_vec()].concat();
    assert_eq!(open(saved(&pickle(&operations), 1)).unwrap().tensors[0].name, "w");
}

#[test]
fn code_that_would_run_is_named_and_not_run() {
    let command = b"cos\nsystem\n(X\x04\0\0\0exittR";
    let operations =
        [b"}(".to_vec(), text("w"), vector(1), text("x"), command.to_vec(), b"u".to_vec()].concat();
    let checkpoint = open(saved(&pickle(&operations), 1)).unwrap();
    let [warning] = checkpoint.warnings.as_slice() else { panic!("one warning") };
    assert_eq!(warning.code, WarningCode::PickleRunsCode);
    assert!(warning.message.contains("`os.system`"), "{}", warning.message);
    // The same if nothing else is in the file: in an archive, alone, and with a pickle of protocol 0.
    says(saved(&pickle(command), 1), &["no tensor", "`os.system`", "calls nothing"]);
    says(pickle(command), &["torch.save did not write", "`os.system`"]);
    says(b"cposix\nsystem\n(S'id'\ntR.".to_vec(), &["`posix.system`"]);
}

#[test]
fn a_member_of_an_enumeration_is_no_code_and_other_uses_of_getattr_are() {
    let warnings = |value: &[u8]| {
        let operations =
            [b"}(".to_vec(), text("w"), vector(1), text("x"), value.to_vec(), b"u".to_vec()].concat();
        open(saved(&pickle(&operations), 1)).unwrap().warnings.len()
    };
    let getattr = |name: &str| {
        [b"cbuiltins\ngetattr\n(cpathlib\nPosixPath\n".to_vec(), text(name), b"t".to_vec()].concat()
    };
    assert_eq!(warnings(&[&getattr("STRIDED")[..], b"R"].concat()), 0, "as Python 3.11 writes it");
    assert_eq!(warnings(&[&getattr("write_text")[..], b"R"].concat()), 1, "a method");
    // The same function is passed to another one as well.
    let passed = [&b"cfunctools\npartial\n(cbuiltins\ngetattr\ntR0"[..], &getattr("STRIDED"), b"R"].concat();
    assert_eq!(warnings(&passed), 1);
    let twice = [&b"ctorch._tensor\n_rebuild_from_type_v2\n("[..], &getattr("STRIDED"), b"tR"].concat();
    assert_eq!(warnings(&twice), 1);
}

#[test]
fn names_lie_in_the_widest_mapping_that_is_no_state_of_training() {
    let state =
        |name: &str, count| [text(name), b"}(".to_vec(), text("w"), vector(count), b"u".to_vec()].concat();
    let file =
        |parts: &[Vec<u8>]| saved(&pickle(&[b"}(".to_vec(), parts.concat(), b"u".to_vec()].concat()), 9);
    let names = |parts: &[Vec<u8>]| {
        let checkpoint = open(file(parts)).unwrap();
        let names: Vec<String> =
            checkpoint.tensors.iter().map(|tensor| checkpoint.stored_name(&tensor.name).to_owned()).collect();
        (names.join(" "), checkpoint.tensors[0].shape[0], checkpoint.warnings.len())
    };
    let one = |name: &str| name.to_owned();
    assert_eq!(names(&[state("model", 3), state("optimizer", 9)]), (one("w"), 3, 1));
    assert_eq!(names(&[state("generator", 3), state("discriminator", 2)]), (one("w"), 3, 1));
    assert_eq!(names(&[state("model", 3), state("model_ema", 3)]), (one("w"), 3, 1));
    assert_eq!(names(&[state("state_dict", 3)]), (one("w"), 3, 0));
    // These names are parts of one model, not names of models.
    assert_eq!(names(&[state("encoder", 3), state("decoder", 2)]), (one("decoder.w encoder.w"), 2, 0));
}

/// The operations that push a number that is not whole.
fn float(value: f64) -> Vec<u8> {
    [b"G".as_slice(), &value.to_bits().to_be_bytes()].concat()
}

/// The operations that push a dictionary.
fn dictionary(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs = pairs.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    [b"}(".to_vec(), pairs.collect(), b"u".to_vec()].concat()
}

/// The operations that push an object of a class with this state.
fn object(class: &str, state: Vec<u8>) -> Vec<u8> {
    [format!("c{class}\n)R").into_bytes(), state, b"b".to_vec()].concat()
}

/// The configuration that a file has inside, and its path.
fn inside(pairs: &[(&str, Vec<u8>)]) -> Option<(String, String)> {
    let model = ("model", dictionary(&[("w", vector(3))]));
    let all: Vec<(&str, Vec<u8>)> = pairs.iter().cloned().chain([model]).collect();
    let checkpoint = open(saved(&pickle(&dictionary(&all)), 3)).unwrap();
    let [config] = checkpoint.configs.as_slice() else { return None };
    assert!(checkpoint.warnings.iter().any(|warning| warning.code == WarningCode::ConfigInside));
    Some((config.path.clone(), serde_json::to_string(config.fields()).unwrap()))
}

#[test]
fn what_a_script_saved_of_the_model_is_its_configuration() {
    let number = |value: u8| vec![b'K', value];
    let fairseq = dictionary(&[
        ("arch", text("roberta_small")),
        ("encoder_layers", number(4)),
        ("encoder_embed_dim", number(3)),
        ("encoder_attention_heads", number(8)),
        ("encoder_normalize_before", vec![0x88]),
        ("layer_norm_eps", float(0.5)),
        ("adam_eps", float(0.25)),
        ("model_type", text("gemma")),
    ]);
    let wanted = r#"{"encoder_normalize_before":true,"hidden_size":3,"norm_eps":0.5,"num_attention_heads":8,"num_hidden_layers":4}"#;
    let args = ("args", object("argparse\nNamespace", fairseq.clone()));
    assert_eq!(inside(&[args]), Some(("m.bin (args)".to_owned(), wanted.to_owned())));
    // Lightning has a dictionary, which may hold the arguments of the model; fairseq with Hydra has OmegaConf's dictionaries.
    let nested = dictionary(&[("lr", float(0.1)), ("config", fairseq)]);
    assert_eq!(inside(&[("hyper_parameters", nested)]).unwrap().1, wanted);
    let node = |value| object("omegaconf.nodes\nAnyNode", dictionary(&[("_val", value)]));
    let content = |pairs: Vec<(&str, Vec<u8>)>| {
        object("omegaconf.dictconfig\nDictConfig", dictionary(&[("_content", dictionary(&pairs))]))
    };
    let model = content(vec![
        ("n_layer", node(number(2))),
        ("n_embd", node(number(3))),
        ("use_rms_norm", node(vec![0x88])),
    ]);
    assert_eq!(
        inside(&[("args", b"N".to_vec()), ("cfg", content(vec![("model", model)]))]).unwrap(),
        (
            "m.bin (cfg)".to_owned(),
            r#"{"hidden_size":3,"num_hidden_layers":2,"use_rms_norm":true}"#.to_owned()
        )
    );
}

#[test]
fn arguments_that_do_not_describe_the_model_are_no_configuration() {
    let number = |value: u8| vec![b'K', value];
    assert_eq!(inside(&[("args", dictionary(&[("hidden_size", number(3)), ("lr", float(0.1))]))]), None);
    assert_eq!(inside(&[("epoch", number(3))]), None);
    // Two widths: it is unknown whose norms are meant.
    let two = dictionary(&[
        ("encoder_layers", number(2)),
        ("encoder_embed_dim", number(3)),
        ("decoder_embed_dim", number(4)),
    ]);
    assert_eq!(inside(&[("args", two)]).unwrap().1, r#"{"num_hidden_layers":2}"#);
    // Arguments that hold themselves end.
    let itself = b"}q\x01(X\x05\0\0\0modelh\x01u".to_vec();
    assert_eq!(inside(&[("args", itself)]), None);
}

#[test]
fn a_configuration_beside_the_file_comes_before_the_arguments_inside() {
    let args = dictionary(&[("n_layer", vec![b'K', 2]), ("n_embd", vec![b'K', 3])]);
    let file = saved(&pickle(&dictionary(&[("args", args), ("model", dictionary(&[("w", vector(3))]))])), 3);
    let sources =
        vec![MemorySource::new("m/m.bin", file), MemorySource::new("m/config.json", r#"{"hidden_size":3}"#)];
    let checkpoint = pollster::block_on(crate::checkpoint::open(sources, |_| {})).unwrap();
    assert_eq!(checkpoint.configs.len(), 1);
    assert_eq!(checkpoint.configs[0].path, "m/config.json");
}

#[test]
fn whole_numbers_of_any_length_are_no_sizes() {
    // A size in a long number of nine bytes, one of 2³¹ bytes that the file does not have, and one of 60,000 digits.
    let sized = |size: Vec<u8>| {
        saved(&one(&tensor("0", 3, b"K\0", &[vec![b'('], size, vec![b't']].concat(), b"(K\x01t")), 3)
    };
    let opened = open(sized(b"\x8a\x09\0\0\0\0\0\0\0\0\x01".to_vec())).unwrap();
    assert!(matches!(opened.tensors[0].dtype, TensorType::Unknown(_)));
    says(sized(b"\x8b\xff\xff\xff\x7f\x01".to_vec()), &["cut off"]);
    says(
        sized([b"L".as_slice(), &[b'9'; 60_000], b"L\n"].concat()),
        &["\"w\"", "more elements than a file can hold"],
    );
    says(sized([b"I".as_slice(), &[b'9'; 70_000], b"\n"].concat()), &["a line has no end"]);
    let negative = open(sized(b"\x8a\x01\xff".to_vec())).unwrap();
    assert!(matches!(negative.tensors[0].dtype, TensorType::Unknown(_)));
}

#[test]
fn a_pickle_of_protocol_0_has_no_storage() {
    // `P` is the persistent id of protocol 0: a line of text, which torch.save cannot write.
    let storage = b"P('storage', FloatStorage, '0', 'cpu', 3)\n".to_vec();
    let view =
        [b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), storage, b"I0\n(I3\nt(I1\ntI00\n}tR".to_vec()]
            .concat();
    let file = saved(&[b"(dp0\nVw\n".as_slice(), &view, b"s."].concat(), 3);
    let opened = open(file).unwrap();
    assert!(matches!(opened.tensors[0].dtype, TensorType::Unknown(_)));
    assert_eq!(opened.tensors[0].shape, [3]);
}
