//! The kinds of input: valid examples, how they are damaged, and the code that reads them.

use crate::files;
use crate::more_kinds;
use crate::mutate::{archive, bytes, pick, stored, text, tree, with_checksums};
use crate::net::{Attribute, Net, external, split_norm};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gammascope::audio::Extractor;
use gammascope::checkpoint::config::Config;
use gammascope::checkpoint::header::{LENGTH_BYTES, header_length, walk};
use gammascope::figures;
use gammascope::image::Processor;
use gammascope::inspect::{self, Opened};
use gammascope::measure::activations::Captured;
use gammascope::model::{catalogue, resolve};
use gammascope::plot::{FigureKind, Size};
use gammascope::report::Report;
use gammascope::report::scan::ScanLine;
use gammascope::share::{Choice, Shared};
use gammascope::source::memory::MemorySource;
use gammascope::text::Tokenizer;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;
use pollster::block_on;
use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const MB: usize = 1 << 20;

/// A kind of input.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How many bytes of memory reading may take, for an input of this many bytes.
    pub(crate) memory: fn(usize) -> usize,
    /// The same in words.
    pub(crate) bound: &'static str,
    /// How many seconds reading may take, plus one for each megabyte.
    pub(crate) seconds: u64,
    /// Returns a function that damages a valid file.
    pub(crate) make: fn() -> Maker,
    /// Reads an input. A panic is a failure.
    pub(crate) read: fn(&[u8]),
}

/// Draws damaged inputs.
pub(crate) type Maker = Box<dyn Fn(&mut SmallRng) -> Vec<u8>>;

/// The memory for most kinds.
fn usual(bytes: usize) -> usize {
    4 * bytes + 16 * MB
}

/// The memory for JSON: small values take more in memory than in the file.
fn of_json(bytes: usize) -> usize {
    4 * bytes + 64 * MB
}

/// The memory for a graph: its nodes and names are kept, and what reads each value.
fn kept(bytes: usize) -> usize {
    10 * bytes + 16 * MB
}

/// The memory for decoded images and sounds: their size limit, and as much again for the decoder.
fn decoded(_: usize) -> usize {
    1600 * MB
}

pub(crate) const KINDS: [Kind; 22] = [
    of_values("safetensors", safetensors, read_safetensors),
    of_values("index", index, read_index),
    of_values("config", config, read_config),
    usually("gguf", gguf, |bytes| open("m.gguf", bytes)),
    usually("vocabulary", more_kinds::vocabulary, more_kinds::read_vocabulary),
    usually("packed", more_kinds::packed, more_kinds::read_packed),
    usually("pytorch-zip", zip, |bytes| open("m.bin", bytes)),
    usually("pickle", pickle, |bytes| open("m.bin", bytes)),
    usually("legacy", legacy, |bytes| open("m.pt", bytes)),
    usually("distributed", more_kinds::distributed, more_kinds::read_distributed),
    usually("chunks", more_kinds::chunks, more_kinds::read_chunks),
    usually("npz", more_kinds::npz, more_kinds::read_npz),
    usually("flax", more_kinds::flax, more_kinds::read_flax),
    usually("hdf5", more_kinds::hdf5, more_kinds::read_hdf5),
    Kind {
        name: "onnx",
        memory: kept,
        bound: "10 × its size + 16 MB",
        seconds: 1,
        make: onnx,
        read: |bytes| open("m.onnx", bytes),
    },
    usually("npy", npy, read_npy),
    usually("tokenizer", tokenizer, read_tokenizer),
    of_values("link", link, read_link),
    usually("report", report, read_report),
    of_values("preprocessor", preprocessor, read_preprocessor),
    decoding("image", "1,600 MB: 89 million pixels", image, read_image),
    decoding("sound", "1,600 MB: ten minutes", sound, read_sound),
];

const fn usually(name: &'static str, make: fn() -> Maker, read: fn(&[u8])) -> Kind {
    Kind { name, memory: usual, bound: "4 × its size + 16 MB", seconds: 1, make, read }
}

const fn of_values(name: &'static str, make: fn() -> Maker, read: fn(&[u8])) -> Kind {
    Kind { memory: of_json, bound: "4 × its size + 64 MB", ..usually(name, make, read) }
}

/// A few bytes may decode to a large image or sound, which takes as long as a large file. The limit is for unoptimised code.
const fn decoding(name: &'static str, bound: &'static str, make: fn() -> Maker, read: fn(&[u8])) -> Kind {
    Kind { name, memory: decoded, bound, seconds: 60, make, read }
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn file(path: &str) -> Vec<u8> {
    std::fs::read(at(path)).unwrap()
}

pub(crate) fn source(path: &str, bytes: &[u8]) -> MemorySource {
    MemorySource::new(path, bytes.to_vec())
}

/// Inspects files. Returns nothing if they cannot be opened.
pub(crate) fn inspected(sources: Vec<MemorySource>) -> Option<Opened<MemorySource>> {
    match block_on(inspect::open(sources, |_| {})) {
        Ok(opened) => Some(opened),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

pub(crate) fn open(path: &str, bytes: &[u8]) {
    inspected(vec![source(path, bytes)]);
}

// Safetensors.

pub(crate) fn with_header(header: &[u8], data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.resize(file.len() + data, 63);
    file
}

fn safetensors() -> Maker {
    let header = json!({
        "__metadata__": {"format": "pt"},
        "model.layers.0.input_layernorm.weight": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]},
        "model.layers.0.self_attn.q_proj.weight": {"dtype": "BF16", "shape": [8, 8], "data_offsets": [32, 160]},
        "model.layers.0.mlp.up_proj.qweight": {"dtype": "I32", "shape": [2, 8], "data_offsets": [160, 224]},
        "model.layers.0.mlp.up_proj.scales": {"dtype": "F16", "shape": [1, 8], "data_offsets": [224, 240]},
        "model.norm.weight": {"dtype": "F16", "shape": [8], "data_offsets": [240, 256]},
    });
    Box::new(move |random| {
        let data = *pick(random, &[256, 256, 256, 255, 0, 300]);
        match random.random_range(0..4) {
            0 => bytes(random, with_header(header.to_string().as_bytes(), 256), 400),
            _ => with_header(&text(random, &header), data),
        }
    })
}

fn read_safetensors(bytes: &[u8]) {
    open("m.safetensors", bytes);
    // We accept what the crate accepts. The other direction has two exceptions: see `tests/it/differential.rs`.
    let ours = bytes.first_chunk().map(|first| {
        let length = header_length("m", *first, bytes.len() as u64)?;
        walk("m", &bytes[LENGTH_BYTES as usize..][..length as usize], bytes.len() as u64)
    });
    let Ok(theirs) = ::safetensors::SafeTensors::deserialize(bytes) else { return };
    match ours {
        Some(Ok(ours)) => assert_eq!(ours.len(), theirs.len(), "other tensors than the crate safetensors"),
        Some(Err(error)) => {
            assert!(error.to_string().contains("twice"), "the crate safetensors reads it: {error}")
        }
        None => panic!("the crate safetensors reads it"),
    }
}

fn index() -> Maker {
    let index = json!({
        "metadata": {"total_size": 288},
        "weight_map": {
            "model.norm.weight": "model-00001-of-00002.safetensors", "model.norm.bias": "model-00001-of-00002.safetensors",
            "lm_head.weight": "model-00002-of-00002.safetensors",
        }
    });
    Box::new(move |random| text(random, &index))
}

fn read_index(bytes: &[u8]) {
    let header = br#"{"model.norm.weight":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}"#;
    let shard = with_header(header, 32);
    inspected(vec![
        source("m/model-00001-of-00002.safetensors", &shard),
        source("m/model.safetensors.index.json", bytes),
    ]);
}

// Configurations.

/// The folders of small models that can run.
fn models() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = ["tests/forward", "tests/forward_images"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(at(folder)).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|folder| folder.join("config.json").exists())
        .collect();
    all.sort();
    all
}

fn config() -> Maker {
    let configs = models().into_iter().map(|folder| std::fs::read(folder.join("config.json")).unwrap());
    let configs: Vec<Value> = configs.map(|bytes| serde_json::from_slice(&bytes).unwrap()).collect();
    Box::new(move |random| {
        let config = pick(random, &configs).clone();
        text(random, &config)
    })
}

fn read_config(bytes: &[u8]) {
    if let Ok(config) = Config::parse("", "config.json", bytes) {
        let _ = catalogue(&config).map_err(|error| error.to_string());
    }
    let header = br#"{"model.norm.weight":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}"#;
    let model = source("m/model.safetensors", &with_header(header, 32));
    if let Some(opened) = inspected(vec![model, source("m/config.json", bytes)]) {
        let _ = resolve(opened.checkpoint()).map_err(|error| error.to_string());
    }
}

fn preprocessor() -> Maker {
    let images: Vec<Value> = serde_json::from_slice::<Value>(&file("tests/inputs/images.json"))
        .map(|cases| cases.as_array().cloned().unwrap_or_default())
        .unwrap();
    let mut configs: Vec<Value> =
        images.into_iter().filter_map(|mut case| Some(case.get_mut("config")?.take())).collect();
    configs.push(json!({"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}, "image_mean": [0.5, 0.5, 0.5], "resample": 2}));
    configs.push(json!({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 8}, "crop_size": 8, "do_rescale": true, "rescale_factor": 0.004}));
    configs.push(json!({"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "n_fft": 400, "chunk_length": 2}));
    configs.push(json!({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "do_normalize": true, "sampling_rate": 16000}));
    Box::new(move |random| {
        let config = pick(random, &configs).clone();
        text(random, &config)
    })
}

/// Whether all sizes of a configuration are those of a small image or a short sound. Preparing a large one takes memory for that size.
fn is_small(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number <= 400.0 || number == 16_000.0),
        Value::Array(items) => items.iter().all(is_small),
        Value::Object(fields) => {
            fields.values().all(is_small)
                && fields.get("chunk_length").and_then(Value::as_f64).is_none_or(|seconds| seconds <= 4.0)
        }
        _ => true,
    }
}

fn read_preprocessor(bytes: &[u8]) {
    let processor = Processor::parse("p.json", bytes);
    let extractor = Extractor::parse("p.json", bytes);
    // Without a size, the images of some classes are large.
    let is_small = |config: Value| is_small(&config) && !config["size"].is_null();
    if !serde_json::from_slice(bytes).is_ok_and(is_small) {
        return;
    }
    if let Ok(processor) = processor {
        let image = include_bytes!("../inputs/one.png");
        let _ = processor.image("one.png", image).map_err(|error| error.to_string());
    }
    if let Ok(extractor) = extractor {
        let sound = include_bytes!("../inputs/short.wav");
        let _ = extractor.sound("short.wav", sound).map_err(|error| error.to_string());
    }
}

// GGUF.

/// A text as GGUF stores it.
pub(crate) fn gguf_text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A pair of metadata.
pub(crate) fn gguf_pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&gguf_text(key)[..], &kind.to_le_bytes(), value].concat()
}

/// The beginning of a file with these pairs and three tensors, and its length without the data.
pub(crate) fn gguf_file(pairs: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let tensor = |name: &str, shape: &[u64], kind: u32, offset: u64| {
        let shape: Vec<u8> = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
        let dimensions = (shape.len() as u32 / 8).to_le_bytes();
        [&gguf_text(name)[..], &dimensions, &shape, &kind.to_le_bytes(), &offset.to_le_bytes()].concat()
    };
    let tensors = [
        tensor("output_norm.weight", &[8], 0, 0),
        tensor("blk.0.attn_norm.weight", &[8], 0, 32),
        tensor("blk.0.attn_q.weight", &[32, 8], 8, 64),
    ];
    let counts = [tensors.len() as u64, pairs.len() as u64].map(u64::to_le_bytes).concat();
    let mut whole = [b"GGUF\x03\0\0\0", &counts[..], &pairs.concat(), &tensors.concat()].concat();
    let head = whole.len();
    whole.resize(head.next_multiple_of(32) + 64 + 34 * 8, 63);
    (whole, head)
}

fn gguf() -> Maker {
    let list = [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &gguf_text("a"), &gguf_text("b")].concat();
    let (whole, head) = gguf_file(&[
        gguf_pair("general.architecture", 8, &gguf_text("llama")),
        gguf_pair("llama.block_count", 4, &1_u32.to_le_bytes()),
        gguf_pair("llama.embedding_length", 4, &8_u32.to_le_bytes()),
        gguf_pair("tokenizer.ggml.tokens", 9, &list),
        gguf_pair("general.alignment", 4, &32_u32.to_le_bytes()),
    ]);
    Box::new(move |random| bytes(random, whole.clone(), head))
}

// ONNX.

/// A network with split and whole norms, maps, a constant in a node, and numbers in another file.
fn onnx() -> Maker {
    let last = [("axis", Attribute::Whole(-1))];
    let net = Net::default()
        .input("x", &[0, 0, 8])
        .floats("norm.weight", &[8])
        .floats("norm.bias", &[8])
        .floats("w", &[8, 3])
        .wholes("shape", &[-1, 8]);
    let whole = split_norm(net, "x", true, &[-1])
        .node("Mul", &["normal", "norm.weight"], "scaled", &[])
        .node("Add", &["scaled", "norm.bias"], "y", &[])
        .node("Reshape", &["y", "shape"], "flat", &[])
        .node("MatMul", &["flat", "w"], "z", &[])
        .node("LayerNormalization", &["z", "norm.weight"], "u", &last)
        .add(5, external("far", &[8], "m.onnx_data", 4))
        .output("u")
        .file();
    Box::new(move |random| {
        let end = whole.len();
        bytes(random, whole.clone(), end)
    })
}

// PyTorch.

fn zip() -> Maker {
    let files = ["archive.bin", "model.bin", "protocol-4.pt", "whole.pt"]
        .map(|name| file(&format!("tests/pytorch/{name}")));
    Box::new(move |random| {
        let archive = pick(random, &files).clone();
        let end = archive.len();
        // The directory is at the end.
        let mut turned = archive;
        if random.random() {
            turned.reverse();
            let mut damaged = bytes(random, turned, end.min(600));
            damaged.reverse();
            return damaged;
        }
        bytes(random, turned, end)
    })
}

/// Opcodes of each kind: marks, numbers, texts, lists, memo, globals, calls, builds.
const OPCODES: &[u8] = b"(.0123FIJKLMNPQRSTUVXabcdeghijlopqrstu]}\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95";

fn pickle() -> Maker {
    let names = ["archive.bin", "model.bin", "protocol-4.pt", "whole.pt", "training.ckpt"];
    let pickles: Vec<Vec<u8>> = names
        .iter()
        .filter_map(|name| Some(stored(&file(&format!("tests/pytorch/{name}")), "/data.pkl")?.to_vec()))
        .collect();
    assert!(pickles.len() > 2, "the fixtures have pickles");
    Box::new(move |random| {
        let mut pickle = pick(random, &pickles).clone();
        for _ in 0..random.random_range(0..4) {
            let at = random.random_range(0..=pickle.len());
            let more: Vec<u8> = (0..random.random_range(1..6)).map(|_| *pick(random, OPCODES)).collect();
            pickle.splice(at..at, more);
        }
        let end = pickle.len();
        let pickle = bytes(random, pickle, end);
        let deflated = random.random_range(0..4) == 0;
        archive(
            &[
                ("m/data.pkl", &pickle),
                ("m/byteorder", b"little"),
                ("m/data/0", &[0; 256]),
                ("m/data/1", &[0; 256]),
            ],
            deflated,
        )
    })
}

fn legacy() -> Maker {
    let files = ["legacy.bin", "legacy-4.pt"].map(|name| file(&format!("tests/pytorch/{name}")));
    Box::new(move |random| {
        let stream = pick(random, &files).clone();
        let end = stream.len();
        bytes(random, stream, end.min(700))
    })
}

// Activations.

fn npy() -> Maker {
    let array = |header: &str, data: usize| {
        let mut file = b"\x93NUMPY\x01\0".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.resize(file.len() + data, 63);
        file
    };
    let arrays = [
        array("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8), }\n", 128),
        array("{'descr': '>f8', 'fortran_order': True, 'shape': (2, 2, 4), }\n", 128),
    ];
    Box::new(move |random| {
        let array = pick(random, &arrays).clone();
        bytes(random, array, 90)
    })
}

fn read_npy(bytes: &[u8]) {
    let source = source("a.npy", bytes);
    let read = block_on(async {
        let captured = Captured::open(source).await?;
        let names: Vec<String> = captured.names().into_iter().map(str::to_owned).collect();
        for name in names {
            captured.size(&name);
            captured.read(&name).await?;
        }
        Ok::<(), gammascope::measure::activations::ActivationsError>(())
    });
    let _ = read.map_err(|error| error.to_string());
}

// Tokenizers.

fn tokenizer() -> Maker {
    let own = |id: u32, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let whole = |normalizer: Value, pre: Value, decoder: Value, model: Value| {
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [own(7, "<end>")], "normalizer": normalizer,
            "pre_tokenizer": pre, "post_processor": null, "decoder": decoder, "model": model,
        })
    };
    let tokenizers = [
        whole(
            Value::Null,
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
            json!({
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "d": 5}, "merges": [["a", "b"], ["Ġ", "ab"]]
            }),
        ),
        whole(
            json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}),
            json!({"type": "BertPreTokenizer"}),
            json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
            json!({
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": {"[UNK]": 0, "dead": 1, "##ly": 2, "direction": 3, "##s": 4, ".": 5}
            }),
        ),
        whole(
            json!({"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": "CAAAAAAEAAAABAAAYQBiAA=="},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ]}),
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}),
            json!({"type": "Sequence", "decoders": [{"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Fuse"}]}),
            json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["▁dead", -2.5], ["a", -3.0], ["▁", -4.0]]}),
        ),
    ];
    Box::new(move |random| {
        let tokenizer = pick(random, &tokenizers).clone();
        text(random, &tokenizer)
    })
}

fn read_tokenizer(bytes: &[u8]) {
    let read = Tokenizer::read("m/tokenizer.json", bytes);
    let ids = read.and_then(|tokenizer| {
        tokenizer.vocabulary();
        tokenizer.ids("Deadly  directions ab<end> ä\u{1f600} 12")
    });
    let _ = ids.map_err(|error| error.to_string());
}

// Reports.

fn sample() -> Opened<MemorySource> {
    let files = ["config.json", "model.safetensors"];
    let sources = files.map(|name| source(&format!("m/{name}"), &file(&format!("samples/layernorm/{name}"))));
    inspected(sources.into()).unwrap()
}

fn packed(text: &[u8]) -> Vec<u8> {
    let data = compress_to_vec(text, 1);
    let checksum = crc32fast::hash(&data);
    format!("#report=1.{checksum:08x}.{}", BASE64_URL_SAFE_NO_PAD.encode(data)).into_bytes()
}

fn link() -> Maker {
    let choice = Choice { names: true };
    let links = [
        Shared::new(&sample().inspection, choice, "2026-01-01T00:00:00Z").unwrap().fragment().unwrap(),
        String::from_utf8(file("tests/links/version-1.txt")).unwrap(),
    ];
    let reports = links.map(|link| {
        let data = BASE64_URL_SAFE_NO_PAD.decode(link.trim().rsplit('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&decompress_to_vec(&data).unwrap()).unwrap()
    });
    Box::new(move |random| {
        let report = pick(random, &reports).clone();
        match random.random_range(0..8) {
            0 => bytes(random, packed(report.to_string().as_bytes()), 40),
            1 => packed(&bytes(random, report.to_string().into_bytes(), 100)),
            _ => packed(tree(random, report).to_string().as_bytes()),
        }
    })
}

fn read_link(bytes: &[u8]) {
    let Ok(fragment) = std::str::from_utf8(bytes) else { return };
    match Shared::read(fragment) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(shared) => {
            let inspection = shared.inspection();
            let size = Size { width: 400, height: 200 };
            let _ = figures::figure(&inspection, FigureKind::SiteMap, None, size);
            if let Some(norm) = inspection.report.norms.first() {
                let _ = figures::figure(&inspection, FigureKind::KernelDirection, Some(&norm.name), size);
            }
        }
    }
}

fn report() -> Maker {
    let report = serde_json::to_value(&sample().inspection.report).unwrap();
    Box::new(move |random| text(random, &report))
}

fn read_report(bytes: &[u8]) {
    let _ = serde_json::from_slice::<ScanLine>(bytes).map_err(|error| error.to_string());
    if let Ok(mut report) = serde_json::from_slice::<Report>(bytes) {
        report.find();
    }
}

// Images and sounds.

fn image() -> Maker {
    let files: Vec<_> = files::IMAGES.iter().map(|name| file(&format!("tests/inputs/{name}"))).collect();
    Box::new(move |random| {
        let image = pick(random, &files).clone();
        let damaged = bytes(random, image, 100);
        if damaged.starts_with(b"\x89PNG") && random.random() { with_checksums(damaged) } else { damaged }
    })
}

fn read_image(bytes: &[u8]) {
    let processor =
        Processor::parse("p", br#"{"image_processor_type": "ViTImageProcessor", "size": 9}"#).unwrap();
    let _ = processor.image("f", bytes).map_err(|error| error.to_string());
}

fn sound() -> Maker {
    let files: Vec<_> = files::SOUNDS.iter().map(|name| file(&format!("tests/inputs/{name}"))).collect();
    Box::new(move |random| {
        let sound = pick(random, &files).clone();
        bytes(random, sound, 100)
    })
}

fn read_sound(bytes: &[u8]) {
    let extractor =
        Extractor::parse("p", br#"{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}"#).unwrap();
    let _ = extractor.sound("f", bytes).map_err(|error| error.to_string());
}
