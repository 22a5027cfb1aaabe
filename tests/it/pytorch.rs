//! PyTorch files: the same tensors as `torch.load` reads, from every container and protocol, and the same report as from a safetensors
//! file of the same tensors. `scripts/fixtures/pytorch_files.py` writes the files.

use crate::support::saved::{Saved, as_safetensors, saved};
use crate::support::transformer::{self, Transformer, Weights};
use crate::support::{open, sampled, tensors};
use gammascope::checkpoint::{self, Checkpoint, Format};
use gammascope::forward::{Input, Pass, Seen};
use gammascope::model::resolve;
use gammascope::report::{NormReport, ReaderReport};
use gammascope::source::memory::MemorySource;
use gammascope::source::{ByteSource, SourceError};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn expected() -> BTreeMap<String, BTreeMap<String, Saved>> {
    saved(&folder())
}

/// The files of a fixture: one file, or those of a folder.
fn files(name: &str) -> Vec<(String, Vec<u8>)> {
    let path = folder().join(name);
    if path.is_file() {
        return vec![(name.to_owned(), bytes(name))];
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|file| format!("{name}/{}", file.to_string_lossy())).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), bytes(&name))).collect()
}

fn opened(name: &str) -> Checkpoint<MemorySource> {
    let sources = files(name).into_iter().map(|(path, bytes)| MemorySource::new(path, bytes)).collect();
    pollster::block_on(checkpoint::open(sources, |_| {})).unwrap()
}

fn codes<S>(checkpoint: &Checkpoint<S>) -> Vec<&str> {
    checkpoint.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

#[test]
fn names_types_shapes_and_values_are_those_of_torch_load() {
    for (file, tensors) in expected() {
        let checkpoint = opened(&file);
        assert_eq!(checkpoint.format, Format::PyTorch, "{file}");
        let usable: Vec<usize> = (0..checkpoint.tensors.len())
            .filter(|&at| {
                checkpoint.tensors[at]
                    .dtype
                    .bits()
                    .is_some_and(|_| checkpoint.tensors[at].dtype.to_string() != "C64")
            })
            .collect();
        let values = pollster::block_on(checkpoint.read(&usable, |_, _| {}));
        let found: BTreeMap<&str, (String, &[u64], Vec<f64>)> = usable
            .iter()
            .zip(values)
            .map(|(&at, values)| {
                let tensor = &checkpoint.tensors[at];
                let name = checkpoint.stored_name(&tensor.name);
                // A wrapper added this prefix. The expected names do not have it.
                let name = name.strip_prefix("module.").unwrap_or(name);
                (name, (tensor.dtype.to_string(), tensor.shape.as_slice(), values.unwrap()))
            })
            .collect();
        let names: Vec<&str> = found.keys().copied().collect();
        assert_eq!(names, tensors.keys().map(String::as_str).collect::<Vec<_>>(), "{file}");
        for (name, Saved { dtype, shape, values }) in &tensors {
            let (of_file, sizes, read) = &found[name.as_str()];
            assert_eq!((of_file, *sizes, read), (dtype, shape.as_slice(), values), "{file}: {name}");
        }
    }
}

#[test]
fn of_several_sets_of_tensors_the_model_is_chosen_and_the_report_says_so() {
    let checkpoint = opened("training.ckpt");
    assert_eq!(codes(&checkpoint), ["state_chosen"]);
    let message = &checkpoint.warnings[0].message;
    for part in ["`model`", "`optimizer`", "17 tensors under"] {
        assert!(message.contains(part), "{message}");
    }
    for name in ["model.bin", "whole.pt", "script.pt", "sharded", "parts-of-one.pt", "archive.bin"] {
        assert!(opened(name).warnings.is_empty(), "{name}: {:?}", opened(name).warnings);
    }
}

#[test]
fn other_tensors_than_plain_ones_are_named_and_the_rest_is_read() {
    let report = open(vec![("unusable.pt", bytes("unusable.pt"))]).unwrap().report;
    let named: Vec<&str> = report
        .warnings
        .iter()
        .filter(|warning| warning.code.as_str() == "dtype_unknown")
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named.iter().any(|message| message.contains("`sparse`") && message.contains("sparse tensor")));
    assert!(
        named.iter().any(|message| message.contains("`quantised`") && message.contains("quantised tensor"))
    );
    assert_eq!(report.norms.len(), 1);
}

#[test]
fn code_in_a_file_is_shown_and_never_run() {
    let report = open(vec![("runs-code.bin", bytes("runs-code.bin"))]).unwrap().report;
    let warning = report.warnings.iter().find(|warning| warning.code.as_str() == "pickle_runs_code").unwrap();
    assert!(warning.message.contains("`posix.system`"), "{}", warning.message);
}

#[test]
fn a_file_without_tensors_says_so_and_is_left_alone_beside_weights() {
    let alone = open(vec![("training_args.bin", bytes("training_args.bin"))]).unwrap_err().to_string();
    assert!(alone.contains("class argparse.Namespace") && alone.contains("no tensor"), "{alone}");
    let folder = vec![
        ("m/pytorch_model.bin", bytes("model.bin")),
        ("m/training_args.bin", bytes("training_args.bin")),
        ("m/optimizer.pt", b"not looked at".to_vec()),
    ];
    let report = open(folder).unwrap().report;
    let known: Vec<&str> = report.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert!(!known.contains(&"file_ignored") && !known.contains(&"shard_damaged"), "{known:?}");
    assert_eq!((report.checkpoint.shards, report.checkpoint.format.as_str()), (1, "pytorch"));
}

#[test]
fn beside_safetensors_of_the_same_model_pytorch_files_are_not_read() {
    let norm = tensors(&[("norm.weight", &[4], vec![1.0; 4])]);
    let folder = vec![
        ("m/model.safetensors", norm),
        ("m/pytorch_model.bin", b"not looked at".to_vec()),
        ("m/pytorch_model.bin.index.json", b"nor this".to_vec()),
    ];
    let report = open(folder).unwrap().report;
    assert_eq!(report.checkpoint.format, "safetensors");
    assert!(
        report.warnings.iter().all(|warning| warning.r#where.starts_with("norm")),
        "{:?}",
        report.warnings
    );
}

/// The tensors of a fixture as a safetensors file, sorted by name, with tied tensors once.
fn twin(file: &str) -> Vec<u8> {
    let expected = expected();
    let floats =
        expected[file].iter().filter(|(name, tensor)| tensor.dtype == "F32" && *name != "lm_head.weight");
    as_safetensors(floats)
}

#[test]
fn the_report_is_that_of_the_same_tensors_in_safetensors() {
    const CONFIG: &[u8] =
        br#"{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"n_embd":8,"n_head":2,"n_layer":1,"tie_word_embeddings":true}"#;
    let config = |folder: &str| (format!("{folder}/config.json"), CONFIG.to_vec());
    for name in ["model.bin", "whole.pt"] {
        let other = sampled(vec![("m/model.safetensors".to_owned(), twin(name)), config("m")]);
        let own = sampled(vec![(format!("m/{name}"), bytes(name)), config("m")]);
        assert_eq!(own.checkpoint.parameters, other.checkpoint.parameters + 3, "{name}");
        for (own, other) in own.norms.iter().zip(&other.norms) {
            assert_eq!(
                (&own.name, &own.kind, &own.scale, &own.kernel),
                (&other.name, &other.kind, &other.scale, &other.kernel),
                "{name}"
            );
            // In one, the unembedding has its own name. In the other, it has the name of the embedding.
            let counts = |norm: &NormReport| {
                let of = |reader: &ReaderReport| (reader.rows, reader.parameters, reader.dead);
                norm.readers.iter().map(of).collect::<Vec<_>>()
            };
            assert_eq!(counts(own), counts(other), "{name}: {}", own.name);
        }
        assert_eq!((own.norms.len(), own.writers.len()), (other.norms.len(), other.writers.len()), "{name}");
    }
}

/// The pickle operations that push a text.
fn pushed(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// The pickle operations that push a tuple of integers.
fn numbers(values: &[u64]) -> Vec<u8> {
    let members = values.iter().flat_map(|&value| [b"J".as_slice(), &(value as u32).to_le_bytes()].concat());
    [vec![b'('], members.collect(), vec![b't']].concat()
}

/// The tensors of a checkpoint in the format of torch.save before PyTorch 1.6. Each matrix is the transposed view of its storage.
fn transposed(checkpoint: &Checkpoint<MemorySource>) -> Vec<u8> {
    let all: Vec<usize> = (0..checkpoint.tensors.len()).collect();
    let values = pollster::block_on(checkpoint.read(&all, |_, _| {}));
    let (mut object, mut keys, mut data) = (b"\x80\x02}(".to_vec(), b"\x80\x02](".to_vec(), Vec::new());
    for (at, (tensor, values)) in checkpoint.tensors.iter().zip(values).enumerate() {
        let (values, shape) = (values.unwrap(), &tensor.shape);
        let (storage, strides) = match shape[..] {
            [rows, columns] => {
                let place = |at: usize| at % rows as usize * columns as usize + at / rows as usize;
                ((0..values.len()).map(|at| values[place(at)]).collect(), vec![1, rows])
            }
            _ => (values, (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()),
        };
        let key = at.to_string();
        object.extend(pushed(&tensor.name));
        object.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        object.extend(
            [pushed("storage"), b"ctorch\nFloatStorage\n".to_vec(), pushed(&key), pushed("cpu")].concat(),
        );
        object.extend([b"J".as_slice(), &(storage.len() as u32).to_le_bytes(), b"NtQK\0"].concat());
        object.extend([numbers(shape), numbers(&strides), b"\x89}tR".to_vec()].concat());
        keys.extend(pushed(&key));
        data.extend((storage.len() as u64).to_le_bytes());
        data.extend(storage.iter().flat_map(|&value: &f64| (value as f32).to_le_bytes()));
    }
    const HEAD: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [HEAD, &object, b"u.", &keys, b"e.", &data].concat()
}

#[test]
fn a_model_of_transposed_matrices_computes_the_same() {
    for family in ["gpt2", "llama", "bert"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward").join(family);
        let config =
            || MemorySource::new("m/config.json", std::fs::read(folder.join("config.json")).unwrap());
        let weights = MemorySource::new(
            "m/model.safetensors",
            std::fs::read(folder.join("model.safetensors")).unwrap(),
        );
        let plain = pollster::block_on(checkpoint::open(vec![weights, config()], |_| {})).unwrap();
        let views = MemorySource::new("m/pytorch_model.bin", transposed(&plain));
        let views = pollster::block_on(checkpoint::open(vec![views, config()], |_| {})).unwrap();
        assert!(views.tensors.iter().any(|tensor| tensor.strides.is_some()));
        let hidden = |checkpoint: &Checkpoint<MemorySource>| {
            let architecture = resolve(checkpoint).unwrap();
            let tokens = Input::token_ids(&[1, 2, 3, 4, 5], 5).unwrap();
            let pass = Pass::new(checkpoint, &architecture, tokens).unwrap();
            let mut values = Vec::new();
            let mut visit = async |seen: Seen<'_>| {
                if let Seen::Block { stream, .. } = seen {
                    values.extend_from_slice(stream);
                }
            };
            pollster::block_on(pass.run(&mut visit)).unwrap();
            values
        };
        assert_eq!(hidden(&views), hidden(&plain), "{family}");
    }
}

#[test]
fn writers_are_sampled_of_transposed_matrices_as_of_others() {
    let transformer =
        Transformer { weights: Weights::Trained { energy: 0.2 }, shifts: true, trained_scales: true };
    let bytes = transformer::file(&transformer.tensors(), |_, name| name.to_owned());
    let plain = MemorySource::new("m.safetensors", bytes.clone());
    let views = transposed(&pollster::block_on(checkpoint::open(vec![plain], |_| {})).unwrap());
    let [plain, views] = [("m.safetensors", bytes), ("m.pt", views)]
        .map(|(name, bytes)| sampled(vec![(name.to_owned(), bytes)]));
    assert!(!plain.writers.is_empty());
    assert_eq!(plain.writers.len(), views.writers.len());
    for (plain, views) in plain.writers.iter().zip(&views.writers) {
        assert_eq!((&plain.name, plain.columns), (&views.name, views.columns));
        assert!((plain.energy - views.energy).abs() <= 1e-12 * plain.energy.abs(), "{}", plain.name);
    }
}

/// Counts reads, and fails at large ones.
struct Counted {
    inner: MemorySource,
    bytes: Cell<u64>,
}

impl ByteSource for Counted {
    fn path(&self) -> &str {
        self.inner.path()
    }

    fn length(&self) -> u64 {
        self.inner.length()
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        self.bytes.set(self.bytes.get() + range.end - range.start);
        self.inner.read(range).await
    }
}

/// Asserts that a changed file gives an error, or a catalogue whose tensors are inside the file.
fn survives(name: &str, bytes: Vec<u8>) {
    let length = bytes.len() as u64;
    let source = Counted { inner: MemorySource::new(name, bytes), bytes: Cell::new(0) };
    if let Ok(checkpoint) = pollster::block_on(checkpoint::open(vec![source], |_| {})) {
        let all: Vec<usize> = (0..checkpoint.tensors.len()).collect();
        for tensor in &checkpoint.tensors {
            assert!(tensor.range.end <= length, "{}", tensor.name);
        }
        let read = pollster::block_on(checkpoint.read(&all, |_, _| {}));
        let values: usize = read.iter().flatten().map(Vec::len).sum();
        assert!(values as u64 <= 64 * length, "{values} values of {length} bytes");
        assert!(checkpoint.shards[0].bytes.get() <= 64 * length + 4096);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn changed_files_are_read_or_refused(
        name in prop::sample::select(vec!["archive.bin", "legacy.bin", "legacy-4.pt", "training.ckpt", "script.pt", "parts.pth"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = bytes(name);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives("m.pt", bytes);
    }

    #[test]
    fn any_operations_of_a_pickle_end(operations in prop::collection::vec(
        prop::sample::select(b"().0}]{NeauslthqRb\x81\x85\x86\x87\x88\x89\x8c\x93\x94K\x00\x01\x02cos\nQ".to_vec()), 0..400,
    )) {
        let whole = bytes("legacy.bin");
        // The three pickles before the object stay unchanged.
        let start = whole.windows(12).position(|window| window.starts_with(b"type_sizes")).unwrap();
        let start = start + whole[start..].iter().position(|byte| *byte == b'.').unwrap() + 1;
        survives("m.pt", [&whole[..start], b"\x80\x02", &operations, &whole[start..]].concat());
    }
}
