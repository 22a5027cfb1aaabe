//! More kinds of input: folders of torch.distributed.checkpoint, archives of NumPy, parameters of Flax, files of Keras, packed weights, and
//! vocabularies of GGUF files.

use crate::kinds::{Maker, file, gguf_file, gguf_pair, gguf_text, inspected, open, source};
use crate::mutate::{bytes, pick, text};
use gammascope::checkpoint::Checkpoint;
use gammascope::source::memory::MemorySource;
use gammascope::text::Tokenizer;
use pollster::block_on;
use rand::RngExt;
use serde_json::Value;

/// The chunks of the folder whose `.metadata` is damaged.
const CHUNKS: [&str; 2] = ["__0_0.distcp", "__1_0.distcp"];

pub(crate) fn distributed() -> Maker {
    let metadata =
        ["two", "two-2.7"].map(|name| file(&format!("tests/pytorch/distributed/{name}/.metadata")));
    Box::new(move |random| {
        let damaged = pick(random, &metadata).clone();
        let end = damaged.len();
        bytes(random, damaged, end)
    })
}

pub(crate) fn read_distributed(bytes: &[u8]) {
    let chunks = CHUNKS.map(|name| (name, file(&format!("tests/pytorch/distributed/two/{name}"))));
    let mut sources = vec![source("m/.metadata", bytes)];
    sources.extend(chunks.iter().map(|(name, bytes)| source(&format!("m/{name}"), bytes)));
    inspected(sources);
}

pub(crate) fn chunks() -> Maker {
    let whole = file(&format!("tests/pytorch/distributed/one/{}", CHUNKS[0]));
    Box::new(move |random| {
        let end = whole.len();
        bytes(random, whole.clone(), end)
    })
}

pub(crate) fn read_chunks(bytes: &[u8]) {
    let metadata = file("tests/pytorch/distributed/one/.metadata");
    inspected(vec![source("m/.metadata", &metadata), source(&format!("m/{}", CHUNKS[0]), bytes)]);
}

pub(crate) fn npz() -> Maker {
    let files =
        ["weights.npz", "mlx.npz", "compressed.npz"].map(|name| file(&format!("tests/arrays/{name}")));
    Box::new(move |random| {
        let mut archive = pick(random, &files).clone();
        // The directory is at the end, and headers of arrays are everywhere.
        if random.random() {
            archive.reverse();
            let mut damaged = bytes(random, archive, 600);
            damaged.reverse();
            return damaged;
        }
        let end = archive.len();
        bytes(random, archive, end)
    })
}

pub(crate) fn read_npz(bytes: &[u8]) {
    open("weights.npz", bytes);
}

pub(crate) fn flax() -> Maker {
    let files = ["flax_model.msgpack", "state.msgpack"].map(|name| file(&format!("tests/arrays/{name}")));
    Box::new(move |random| {
        let whole = pick(random, &files).clone();
        bytes(random, whole, 200)
    })
}

pub(crate) fn read_flax(bytes: &[u8]) {
    open("flax_model.msgpack", bytes);
}

pub(crate) fn hdf5() -> Maker {
    let files = ["tf_model.h5", "model.h5", "newer.h5", "unusable.h5"]
        .map(|name| file(&format!("tests/keras/{name}")));
    Box::new(move |random| {
        let whole = pick(random, &files).clone();
        let end = whole.len();
        bytes(random, whole, end)
    })
}

pub(crate) fn read_hdf5(bytes: &[u8]) {
    open("tf_model.h5", bytes);
}

// Packed weights.

/// Folders of `scripts/fixtures/packed.py`.
const METHODS: [&str; 8] =
    ["awq", "bitsandbytes-4", "bitsandbytes-8", "compressed-tensors", "gptq", "mlx", "mxfp4", "scaled"];

/// The configuration that a file of any method may have.
const PACKED: &str = r#"{"quantization":{"group_size":32,"bits":4},"quantization_config":{"bits":4,"weight_block_size":[16,32]}}"#;

pub(crate) fn packed() -> Maker {
    let files = METHODS.map(|name| {
        let whole = file(&format!("tests/quantised/packed/{name}/model.safetensors"));
        let length = u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
        (header, whole[8 + length..].to_vec())
    });
    Box::new(move |random| {
        let (header, data) = pick(random, &files);
        let header = match random.random_range(0..4) {
            // The data alone is damaged: states of bitsandbytes are JSON.
            0 => header.to_string().into_bytes(),
            _ => text(random, header),
        };
        let end = data.len();
        let data = bytes(random, data.clone(), end);
        [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
    })
}

/// Reads the first, some middle and the last values of each weight.
pub(crate) fn read_packed(bytes: &[u8]) {
    let files = vec![source("model.safetensors", bytes), source("config.json", PACKED.as_bytes())];
    let Some(opened) = inspected(files) else { return };
    let checkpoint: &Checkpoint<MemorySource> = opened.checkpoint();
    for tensor in checkpoint.tensors.iter().filter(|tensor| tensor.shape.len() > 1) {
        let all = tensor.elements();
        for part in [0..all.min(99), all / 2..all.min(all / 2 + 300), all.saturating_sub(70)..all] {
            let Some(range) = tensor.bytes_of(&part) else { continue };
            match block_on(checkpoint.read_weights(tensor.shard, range.clone())) {
                Ok(read) => assert_eq!(read.len() as u64, range.end - range.start, "{}", tensor.name),
                Err(error) => assert!(error.to_string().contains("g_idx"), "{}: {error}", tensor.name),
            }
        }
    }
}

// Vocabularies.

fn texts(texts: &[&str]) -> Vec<u8> {
    let members: Vec<u8> = texts.iter().flat_map(|text| gguf_text(text)).collect();
    [&8_u32.to_le_bytes()[..], &(texts.len() as u64).to_le_bytes(), &members].concat()
}

fn numbers(kind: u32, members: &[[u8; 4]]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(members.len() as u64).to_le_bytes(), &members.concat()].concat()
}

pub(crate) fn vocabulary() -> Maker {
    let tokens = ["<unk>", "a", "b", "ab", "\u{120}", "\u{2581}a", "<0x0A>", "Ġab"];
    let scores: Vec<[u8; 4]> = (0..8).map(|at| (-(at as f32)).to_le_bytes()).collect();
    let kinds: Vec<[u8; 4]> = [2_i32, 1, 1, 1, 1, 1, 6, 4].map(i32::to_le_bytes).to_vec();
    let file = |model: &str, split: &str| {
        gguf_file(&[
            gguf_pair("general.architecture", 8, &gguf_text("llama")),
            gguf_pair("llama.block_count", 4, &1_u32.to_le_bytes()),
            gguf_pair("llama.embedding_length", 4, &8_u32.to_le_bytes()),
            gguf_pair("tokenizer.ggml.model", 8, &gguf_text(model)),
            gguf_pair("tokenizer.ggml.pre", 8, &gguf_text(split)),
            gguf_pair("tokenizer.ggml.tokens", 9, &texts(&tokens)),
            gguf_pair("tokenizer.ggml.scores", 9, &numbers(6, &scores)),
            gguf_pair("tokenizer.ggml.token_type", 9, &numbers(5, &kinds)),
            gguf_pair("tokenizer.ggml.merges", 9, &texts(&["a b", "\u{120} ab"])),
            gguf_pair("tokenizer.ggml.unknown_token_id", 4, &0_u32.to_le_bytes()),
            gguf_pair("tokenizer.ggml.add_space_prefix", 7, &[1]),
        ])
    };
    let files =
        [file("gpt2", "gpt-2"), file("llama", "default"), file("gpt2", "llama-bpe"), file("gpt2", "qwen2")];
    Box::new(move |random| {
        let (whole, head) = pick(random, &files).clone();
        bytes(random, whole, head)
    })
}

pub(crate) fn read_vocabulary(bytes: &[u8]) {
    let Some(opened) = inspected(vec![source("m.gguf", bytes)]) else { return };
    let Some(found) = block_on(opened.checkpoint().vocabulary()) else { return };
    let Ok(found) = found else { return };
    let Ok(tokenizer) = Tokenizer::of_vocabulary(&found) else { return };
    let _ = tokenizer.ids("a bab\nab  ä\u{1f600}12").map_err(|error| error.to_string());
}
