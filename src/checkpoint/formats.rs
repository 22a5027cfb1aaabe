//! The one table of file formats: what a file is called, how its first bytes show what it is, whether we read it, and what the
//! user can do if we do not. Opening, gathering, addresses, the terminal and the page (generated into `www/report.ts`) all read
//! it.

use super::gguf;

/// How many bytes of a file [`recognise`] needs.
pub const SNIFF_BYTES: u64 = 512;

/// A format that we read. `read.rs` opens each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// llama.cpp's GGUF.
    Gguf,
    /// What torch.save writes: a pickle and the numbers it refers to.
    PyTorch,
    /// An archive of NumPy arrays, as numpy.savez and MLX write it.
    Npz,
    /// The parameters of Flax in MessagePack.
    Flax,
    /// HDF5, as Keras and TensorFlow write weights.
    Hdf5,
    /// ONNX: the graph of a network and its tensors.
    Onnx,
}

/// The ends of the names of shard indexes, each with the format of the shards.
const INDEX_ENDINGS: [(&str, Format); 2] =
    [(".safetensors.index.json", Format::Safetensors), (".bin.index.json", Format::PyTorch)];

/// First words of the names of PyTorch files that libraries put beside the weights. These files hold no weights.
pub const BESIDE_WEIGHTS: [&str; 9] = [
    "training_args",
    "optimizer",
    "optim_states",
    "scheduler",
    "scaler",
    "rng_state",
    "random_states",
    "zero_pp_rank",
    "bf16_zero_pp_rank",
];

/// The configuration of a model, beside its weights.
pub const CONFIG: &str = "config.json";

/// The tokenizer of a model, beside its weights.
pub const TOKENIZER: &str = "tokenizer.json";

/// How images or sounds are prepared for a model, beside its weights.
pub const PREPROCESSOR: &str = "preprocessor_config.json";

/// Files beside the weights that only a run reads.
pub const FOR_RUNS: [&str; 2] = [TOKENIZER, PREPROCESSOR];

/// The end of the names of the files of torch.distributed.checkpoint. They hold chunks of tensors.
const CHUNKS: &str = ".distcp";

/// Says where the chunks lie in the files beside it.
pub const LAYOUT: &str = ".metadata";

/// Says that the folders below are the parts of one diffusers pipeline.
pub const PIPELINE: &str = "model_index.json";

/// Says that the folders below are the modules of one sentence-transformers model.
pub const MODULES: &str = "modules.json";

impl Format {
    /// Every format that we read.
    pub const ALL: [Self; 7] =
        [Self::Safetensors, Self::Gguf, Self::PyTorch, Self::Onnx, Self::Npz, Self::Flax, Self::Hdf5];

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
            Self::PyTorch => "pytorch",
            Self::Npz => "npz",
            Self::Flax => "flax",
            Self::Hdf5 => "hdf5",
            Self::Onnx => "onnx",
        }
    }

    /// The ends of its files' names, with the dot; the usual one first.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Safetensors => &[".safetensors", ".sft"],
            Self::Gguf => &[".gguf"],
            Self::PyTorch => &[".bin", ".pt", ".pth", ".ckpt", CHUNKS],
            Self::Onnx => &[".onnx"],
            Self::Npz => &[".npz"],
            Self::Flax => &[".msgpack"],
            Self::Hdf5 => &[".h5", ".hdf5"],
        }
    }

    /// The format that the name of a file promises.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.endings().iter().any(|ending| ends(path, ending)))
    }

    /// The format that the first bytes of a file show. `first` is at least [`SNIFF_BYTES`] of it, or all.
    pub fn of_bytes(first: &[u8]) -> Option<Self> {
        if first.starts_with(gguf::MAGIC) {
            Some(Self::Gguf)
        } else if is_pytorch_stream(first) || is_pytorch_archive(first) {
            Some(Self::PyTorch)
        } else if first_entry(first).is_some_and(|name| name.ends_with(b".npy")) {
            Some(Self::Npz)
        } else if first.starts_with(HDF5_MAGIC) {
            Some(Self::Hdf5)
        } else if first.get(8) == Some(&b'{') && first[6..8] == [0, 0] {
            // Eight bytes of a length, then JSON: no header is as long as 2⁴⁸ bytes.
            Some(Self::Safetensors)
        } else if is_onnx(first) {
            Some(Self::Onnx)
        } else {
            None
        }
    }

    /// A path without the ending of its format.
    pub fn stem(path: &str) -> &str {
        &path[..path.len() - Self::ending_of(path).len()]
    }

    /// The ending that shows the format of a path, with the dot. Empty if it shows none.
    pub fn ending_of(path: &str) -> &str {
        let endings = Self::ALL.into_iter().flat_map(Self::endings);
        let found = endings.into_iter().find(|ending| ends(path, ending));
        found.map_or("", |ending| &path[path.len() - ending.len()..])
    }
}

/// The first bytes of an HDF5 file.
pub(super) const HDF5_MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The first bytes of a zip archive.
const ZIP_MAGIC: &[u8; 4] = b"PK\x03\x04";

/// The magic number of torch.save as a pickle stores it: the code of a long number, its length, then `0x1950a86a20f9469cfc6c`.
const PYTORCH_MAGIC: &[u8; 12] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The same in protocol 1, which writes long numbers as text.
const PYTORCH_MAGIC_AS_TEXT: &[u8; 26] = b"L119547037146038801333356L";

/// Whether a file begins as torch.save wrote it before PyTorch 1.6: with a pickle of the magic number, in any protocol.
pub(super) fn is_pytorch_stream(first: &[u8]) -> bool {
    let near = &first[..first.len().min(32)];
    near.starts_with(PYTORCH_MAGIC_AS_TEXT)
        || near.first() == Some(&0x80)
            && near.windows(PYTORCH_MAGIC.len()).any(|window| window == PYTORCH_MAGIC)
}

/// The name of the first file of a zip archive.
fn first_entry(first: &[u8]) -> Option<&[u8]> {
    if !first.starts_with(ZIP_MAGIC) || first.len() < 30 {
        return None;
    }
    let length = usize::from(first[26]) | usize::from(first[27]) << 8;
    Some(&first[30..first.len().min(30 + length)])
}

/// Whether a file is an archive that begins with what torch.save or TorchScript puts first, in a folder.
fn is_pytorch_archive(first: &[u8]) -> bool {
    let Some(name) = first_entry(first) else { return false };
    let Some(slash) = name.iter().position(|byte| *byte == b'/') else { return false };
    let inside = &name[slash + 1..];
    let files: [&[u8]; 6] =
        [b"data.pkl", b"version", b"byteorder", b".format_version", b".storage_alignment", b"constants.pkl"];
    let folders: [&[u8]; 3] = [b"data/", b"code/", b"extra/"];
    files.contains(&inside) || folders.iter().any(|folder| inside.starts_with(folder))
}

/// Whether a file begins as an ONNX model does: the version of its format (field 1, below 32), then a text, a graph or a list of
/// operators.
pub(super) fn is_onnx(first: &[u8]) -> bool {
    // Fields 2 to 4 and 6 to 8 of `ModelProto`: who made it, what it is, its graph, its operators.
    matches!(first, [0x08, 1..32, 0x12 | 0x1a | 0x22 | 0x32 | 0x3a | 0x42, _, ..])
}

/// Whether a file may have numbers of the ONNX file at `path`, by its name: the usual names begin as that file's does.
pub fn is_onnx_data(path: &str, onnx: &str) -> bool {
    path.strip_prefix(onnx).is_some_and(|end| end.starts_with("_data") || end.starts_with(".data"))
}

/// The format of the shards of an index, by the name of the index.
pub fn index_format(name: &str) -> Option<Format> {
    INDEX_ENDINGS.iter().find(|(ending, _)| ends(name, ending)).map(|(_, format)| *format)
}

/// Whether a file, by its first eight bytes, may come from torch.save, or be another pickle or archive that the PyTorch reader
/// can explain.
pub(super) fn may_be_pytorch(path: &str, first: &[u8]) -> bool {
    // The length of a safetensors header may begin the same way, but it ends in zeros.
    let is_length = first.len() > 3 && first[3..].iter().all(|byte| *byte == 0);
    let is_pickle = first.len() > 1 && first[0] == 0x80 && (2..=5).contains(&first[1]) && !is_length;
    // Pickles of protocol 0 begin with a global, a mark or a container.
    let is_old_pickle = || {
        Format::of_path(path) == Some(Format::PyTorch)
            && matches!(first.first(), Some(b'c' | b'(' | b'}' | b']'))
    };
    first.starts_with(ZIP_MAGIC)
        || is_pickle
        || first.starts_with(&PYTORCH_MAGIC_AS_TEXT[..8])
        || is_old_pickle()
}

/// Whether an archive is of another kind, by its name.
pub(super) fn is_other_archive(path: &str) -> bool {
    ends(path, ".zip")
}

/// Whether a file holds chunks of torch.distributed.checkpoint, by its name.
pub fn is_chunks(path: &str) -> bool {
    ends(path, CHUNKS)
}

/// Whether a file is a shard index, by its name.
pub fn is_index(name: &str) -> bool {
    index_format(name).is_some()
}

/// Whether a file is a PyTorch file that libraries put beside the weights, by its name.
pub fn is_beside_weights(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A folder has no ending.
    Format::of_path(&name).is_none_or(|format| format == Format::PyTorch)
        && (BESIDE_WEIGHTS.iter().any(|word| name.starts_with(word)) || name.ends_with("_optim_states.pt"))
}

/// A format that we only recognise.
struct Foreign {
    /// Endings of names that promise it.
    endings: &'static [&'static str],
    /// Whether a file has this format, by its path in lower case and its first bytes.
    is: fn(&str, &[u8]) -> bool,
    /// What to call the file, after its name.
    what: &'static str,
    /// What the user can do.
    advice: &'static str,
}

const SAVE_AGAIN: &str = "save it again with safetensors.torch.save_file (or save_pretrained) and open that";

/// Formats that we only recognise, one line each; the first that fits is taken.
const FOREIGN: &[Foreign] = &[
    Foreign {
        endings: &[],
        is: |_, first| first.is_empty(),
        what: "is empty",
        advice: "it was probably not written or not downloaded",
    },
    Foreign {
        endings: &[],
        is: |_, first| [b"lmgg", b"fmgg", b"tjgg", b"algg"].iter().any(|magic| first.starts_with(*magic)),
        what: "is a GGML file from before GGUF",
        advice: "convert the original model again, or open its safetensors files",
    },
    Foreign {
        endings: &[".zip"],
        is: |_, first| first.starts_with(ZIP_MAGIC),
        what: "is a zip archive, but not one that torch.save wrote",
        advice: "unpack it, and open the checkpoint inside",
    },
    Foreign {
        endings: &[".pkl"],
        is: |_, first| first.len() > 1 && first[0] == 0x80 && (2..=5).contains(&first[1]),
        what: "is a Python pickle, but not one that torch.save wrote; loading it can run code",
        advice: SAVE_AGAIN,
    },
    Foreign {
        endings: &[".npy"],
        is: |_, first| first.starts_with(b"\x93NUMPY"),
        what: "is a NumPy array",
        advice: "open the checkpoint it belongs to",
    },
    Foreign {
        endings: &[],
        is: |_, first| first.starts_with(b"version https://git-lfs"),
        what: "is a Git LFS pointer, not the file itself",
        advice: "run `git lfs pull` and open the real file",
    },
    Foreign {
        endings: &[".gz", ".zst"],
        is: |_, first| first.starts_with(b"\x1f\x8b") || first.starts_with(b"\x28\xb5\x2f\xfd"),
        what: "is a compressed archive",
        advice: "unpack it first",
    },
    Foreign {
        endings: &[".tar"],
        is: |path, first| first.len() > 261 && &first[257..262] == b"ustar" || path.ends_with(".tar"),
        what: "is a tar archive",
        advice: "unpack it first",
    },
    Foreign {
        endings: &[".html", ".htm", ".php"],
        is: |_, first| begins_with_text(first, b"<!doctype") || begins_with_text(first, b"<html"),
        what: "is a web page, probably an error page saved in place of the file",
        advice: "download the file again",
    },
];

/// More of them, by their names: those of checkpoints in JAX, TensorFlow and NeMo. The page's inspector lacks them.
#[cfg(feature = "more-formats")]
const FOREIGN_MORE: &[Foreign] = &[
    Foreign {
        endings: &[".nemo"],
        is: |path, _| path.ends_with(".nemo"),
        what: "is a NeMo archive",
        advice: "unpack it with tar, and open the `model_weights.ckpt` inside",
    },
    Foreign {
        endings: &[".keras"],
        is: |path, first| path.ends_with(".keras") && first.starts_with(ZIP_MAGIC),
        what: "is a Keras archive",
        advice: "load it with keras, and save the values of `model.weights` by their paths with safetensors.numpy.save_file",
    },
    Foreign {
        endings: &[],
        is: |path, _| {
            ["manifest.ocdbt", "_checkpoint_metadata", "_metadata"].iter().any(|end| is_named(path, end))
        },
        what: "is a part of an Orbax checkpoint (JAX)",
        advice: "restore it with orbax.checkpoint, and save the parameters with safetensors.flax.save_file",
    },
    Foreign {
        endings: &[],
        is: |path, _| [".zarray", ".zgroup", "zarr.json"].iter().any(|end| is_named(path, end)),
        what: "is a part of a zarr store, as T5X and other JAX libraries write checkpoints",
        advice: "read its arrays with zarr, and save them with safetensors.numpy.save_file",
    },
    Foreign {
        endings: &[],
        is: |path, _| {
            path.contains(".ckpt.data-") || path.ends_with(".ckpt.index") || is_named(path, "saved_model.pb")
        },
        what: "is a part of a TensorFlow checkpoint",
        advice: "load it with transformers (from_pretrained with from_tf=True), and save it with save_pretrained",
    },
];

/// Every format that is only recognised.
#[cfg(feature = "more-formats")]
fn foreign() -> impl Iterator<Item = &'static Foreign> {
    FOREIGN_MORE.iter().chain(FOREIGN)
}

/// Every format that is only recognised.
#[cfg(not(feature = "more-formats"))]
fn foreign() -> impl Iterator<Item = &'static Foreign> {
    FOREIGN.iter()
}

/// Whether a path is of a file with this name.
#[cfg(feature = "more-formats")]
fn is_named(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// Says what a file that we do not read seems to be, and what to do. `None` if nothing is recognised. `first` is at least
/// [`SNIFF_BYTES`] of it, or all.
pub fn recognise(path: &str, first: &[u8]) -> Option<String> {
    // A length of 0x280 looks like the first bytes of a pickle, but a JSON header follows it.
    if Format::of_bytes(first).is_some() {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    match foreign().find(|foreign| (foreign.is)(&lower, first)) {
        Some(found) => Some(format!("`{path}` {}; {}", found.what, found.advice)),
        None => Some(lower).filter(|lower| promises_weights(lower)).and_then(|_| answer(path, first)),
    }
}

/// Whether a name promises weights: by its ending, or as a blob in a hub's cache, which is named by its hash.
fn promises_weights(lower: &str) -> bool {
    let name = lower.rsplit('/').next().unwrap_or(lower);
    let is_blob = name.len() >= HASH_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_blob || Format::of_path(lower).is_some()
}

/// Digits of the shorter hash of a hub's cache, that of Git.
const HASH_DIGITS: usize = 40;

/// Characters of an answer that are shown.
const SHOWN: usize = 60;

/// Says what a text in place of weights is: the answer of a server, saved under the name of the file.
fn answer(path: &str, first: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if first.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&first[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim();
    if text.is_empty() || text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let kind = match text.as_bytes()[0] {
        b'{' | b'[' => "JSON",
        b'<' => "XML",
        _ => "text",
    };
    let line: String = text.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
    Some(format!(
        "`{path}` is {kind} that begins with {line:?}, as a server answers in place of a file; download the file again"
    ))
}

/// Whether a name ends like a file's, rather than a folder's or a model's.
pub fn is_file_name(name: &str) -> bool {
    let mut foreign = foreign().flat_map(|foreign| foreign.endings);
    Format::of_path(name).is_some() || ends(name, ".json") || foreign.any(|end| ends(name, end))
}

/// Whether a path has this ending, in any case.
pub(super) fn ends(path: &str, ending: &str) -> bool {
    let (path, ending) = (path.as_bytes(), ending.as_bytes());
    path.len() >= ending.len() && path[path.len() - ending.len()..].eq_ignore_ascii_case(ending)
}

fn begins_with_text(first: &[u8], text: &[u8]) -> bool {
    let first = first.trim_ascii_start();
    first.len() >= text.len() && first[..text.len()].eq_ignore_ascii_case(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_foreign_files_apart() {
        let cases: [(&str, &[u8], &str); 7] = [
            ("a.safetensors", b"", "empty"),
            ("a.gguf", b"tjgg\x03\0\0\0", "before GGUF"),
            ("pytorch_model.bin", b"PK\x03\x04\0\0", "zip archive"),
            ("a.pt", b"\x80\x02}q", "pickle"),
            ("a.safetensors", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
            ("a.safetensors", b"<!DOCTYPE html>", "web page"),
            ("a.tar.gz", b"\x1f\x8b\x08", "compressed"),
        ];
        for (path, first, expected) in cases {
            let sentence = recognise(path, first).unwrap_or_default();
            assert!(sentence.contains(expected) && sentence.contains(path), "{path}: {sentence}");
        }
        assert_eq!(recognise("a.safetensors", b"\x80\x02\0\0\0\0\0\0{}"), None);
    }

    #[test]
    #[cfg(feature = "more-formats")]
    fn checkpoints_of_other_frameworks_are_named_with_a_way_to_convert_them() {
        for (path, first, expected) in [
            ("m/asr.nemo", b"./".as_slice(), "`model_weights.ckpt` inside"),
            ("m.keras", b"PK\x03\x04\0\0", "keras"),
            ("step_10/manifest.ocdbt", b"\x0c\xdb", "orbax.checkpoint"),
            ("step_10/_METADATA", b"{}", "orbax.checkpoint"),
            ("t5x/target.encoder.scale/.zarray", b"{}", "zarr"),
            ("bert/model.ckpt.data-00000-of-00001", b"\0", "TensorFlow"),
            ("saved/saved_model.pb", b"\x08\x01", "TensorFlow"),
        ] {
            let sentence = recognise(path, first).unwrap_or_default();
            assert!(sentence.contains(expected) && sentence.contains(path), "{path}: {sentence}");
        }
    }

    #[test]
    fn an_answer_saved_as_weights_is_called_that() {
        let cases: [(&str, &str, &str); 5] = [
            ("model.safetensors", "Entry not found", "is text that begins with \"Entry not found\""),
            ("m.gguf", "{\"error\":\"Access to model acme/tiny is restricted.\"}", "is JSON"),
            ("a.bin", "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>", "is XML"),
            ("a.safetensors", "\nFound. Redirecting to https://cdn.invalid/x", "Found. Redirecting"),
            ("a.safetensors", "Zugriff verweigert: kein Schlüssel", "Zugriff"),
        ];
        for (path, text, expected) in cases {
            let sentence = recognise(path, text.as_bytes()).unwrap_or_default();
            assert!(
                sentence.contains(expected) && sentence.contains("download the file again"),
                "{sentence}"
            );
        }
        let blob = "blobs/4f0c2e8a".to_owned() + &"0a".repeat(28);
        assert!(recognise(&blob, b"Entry not found").is_some_and(|sentence| sentence.contains("is text")));
        assert_eq!(recognise("README.md", b"# A model"), None);
        assert_eq!(recognise("a.safetensors", b"\x10\0\0\0\0\0\0\0broken"), None);
    }

    #[test]
    fn first_bytes_show_what_we_read_under_any_name() {
        assert_eq!(Format::of_bytes(b"GGUF\x03\0\0\0"), Some(Format::Gguf));
        assert_eq!(Format::of_bytes(b"\x40\0\0\0\0\0\0\0{\"a\""), Some(Format::Safetensors));
        assert_eq!(Format::of_bytes(b"\x40\0\0\0\0\0\0\0"), None);
        assert_eq!(Format::of_bytes(b"a texts {"), None);
        assert_eq!(Format::of_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80"), Some(Format::PyTorch));
        assert_eq!(Format::of_bytes(b"L119547037146038801333356L\n.M\xe9\x03."), Some(Format::PyTorch));
        assert_eq!(Format::of_bytes(b"\x89HDF\r\n\x1a\n\0"), Some(Format::Hdf5));
        assert_eq!(Format::of_bytes(b"\x80\x02}q\0."), None);
        assert_eq!(Format::of_bytes(b"\x08\x07\x12\x07pytorch"), Some(Format::Onnx));
        assert_eq!(Format::of_bytes(b"\x08\x12\0\0\0\0\0\0{"), Some(Format::Safetensors));
        let archive = |name: &str| {
            let mut bytes = b"PK\x03\x04".to_vec();
            bytes.resize(26, 0);
            bytes.extend([name.len() as u8, 0, 0, 0]);
            bytes.extend(name.as_bytes());
            Format::of_bytes(&bytes)
        };
        assert_eq!(archive("best_model/data.pkl"), Some(Format::PyTorch));
        assert_eq!(archive("net/code/__torch__.py"), Some(Format::PyTorch));
        assert_eq!(archive("weight.npy"), Some(Format::Npz));
        assert_eq!(archive("model/model.safetensors"), None);
    }

    #[test]
    fn names_end_in_any_case() {
        assert_eq!(Format::of_path("d/MODEL.GGUF"), Some(Format::Gguf));
        assert_eq!(Format::stem("d/m.Safetensors"), "d/m");
        assert_eq!(Format::of_path("flux1-dev.sft"), Some(Format::Safetensors));
        assert!(is_file_name("pytorch_model.BIN") && is_file_name("a.json") && !is_file_name("gpt2"));
        assert_eq!((Format::stem("d/m.PTH"), Format::ending_of("d/m.PTH")), ("d/m", ".PTH"));
        assert_eq!((Format::stem("d/m"), Format::ending_of("d/m")), ("d/m", ""));
        assert!(is_index("pytorch_model.bin.index.json") && !is_index("config.json"));
    }

    #[test]
    fn what_libraries_put_beside_weights_is_known_by_its_name() {
        for name in [
            "training_args.bin",
            "Optimizer.pt",
            "rng_state_0.pth",
            "zero_pp_rank_0_mp_rank_00_optim_states.pt",
        ] {
            assert!(is_beside_weights(name), "{name}");
        }
        for name in ["pytorch_model.bin", "mp_rank_00_model_states.pt", "optimizer.safetensors", "model.pt"] {
            assert!(!is_beside_weights(name), "{name}");
        }
    }
}
