//! The content of a file decides what it is, not its name: alone, in a folder and at an address.

use crate::support::gguf::{F32, Gguf, f32s};
use crate::support::server::{Play, Server};
use crate::support::{layer_norm, open, refused};
use gammascope::checkpoint::remote::{Access, locate};
use gammascope::inspect::inspect;
use gammascope::source::AnySource;
use gammascope::source::disk::DiskSource;
use gammascope::source::http::native::Native;
use std::path::Path;

/// A blob of a hub's cache has the hash of its content as its name.
const BLOB: &str = "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff";

const NAMES: [&str; 12] = [
    "tiny.sft",
    "tiny.bin",
    "tiny.pt",
    "tiny.pth",
    "tiny.ckpt",
    "tiny.gguf",
    "tiny.safetensors",
    "TINY.SAFETENSORS",
    "tiny.dat",
    "tiny",
    "tiny.h5",
    BLOB,
];

/// The same norm in each format.
fn files() -> [(&'static str, Vec<u8>); 4] {
    let fixture = |name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch").join(name)).unwrap()
    };
    let gguf = Gguf::of("llama").tensor("output_norm.weight", &[4], F32, f32s(&[1.0, 2.0, 0.5, 1.5]));
    [
        ("safetensors", layer_norm("norm", &[1.0, 2.0, 0.5, 1.5])),
        ("gguf", gguf.build()),
        ("pytorch", fixture("model.bin")),
        ("pytorch", fixture("legacy.bin")),
    ]
}

#[test]
fn a_checkpoint_opens_under_any_name() {
    for (format, bytes) in files() {
        for name in NAMES {
            let alone =
                open(vec![(name, bytes.clone())]).map_err(|error| format!("{name}: {error}")).unwrap();
            assert_eq!(alone.report.checkpoint.format, format, "{name}");
            let path = format!("folder/{name}");
            let beside = || ("folder/README.md", b"# A model".to_vec());
            let folder = open(vec![beside(), (path.as_str(), bytes.clone())]).unwrap();
            assert_eq!(folder.report.norms, alone.report.norms, "{name}");
        }
    }
}

#[test]
fn a_gguf_file_of_another_name_does_not_take_the_configuration_beside_it() {
    let gguf = Gguf::of("gemma").tensor("output_norm.weight", &[4], F32, f32s(&[1.0, 2.0, 0.5, 1.5])).build();
    let config = || ("m/config.json", br#"{"model_type":"gemma","hidden_size":4}"#.to_vec());
    let named = open(vec![("m/model.gguf", gguf.clone()), config()]).unwrap().report;
    let renamed = open(vec![("m/model.safetensors", gguf), config()]).unwrap().report;
    assert_eq!(named.norms, renamed.norms);
}

/// What a failed download leaves under the name of a checkpoint.
const ANSWERS: [(&str, &str); 9] = [
    ("Found. Redirecting to https://cdn.invalid/repos/12/34", "is text that begins with"),
    ("Entry not found", "is text that begins with"),
    ("cannot find the file", "is text that begins with"),
    ("(not found)", "is text that begins with"),
    ("{\"error\":\"Access to model acme/tiny is restricted.\"}", "is JSON that begins with"),
    ("[{\"error\":1}]", "is JSON that begins with"),
    ("<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>", "is XML that begins with"),
    ("\n<!doctype html><html><head><title>404</title></head></html>", "is a web page"),
    ("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1234567\n", "is a Git LFS pointer"),
];

#[test]
fn an_answer_saved_as_a_checkpoint_is_called_what_it_is() {
    let names = ["m.safetensors", "m.sft", "m.bin", "m.pt", "m.pth", "m.ckpt", "m.gguf", BLOB];
    for (answer, what) in ANSWERS {
        for name in names {
            let sentence = refused(name, answer.into());
            assert!(sentence.contains(what) && sentence.contains(name), "{name}: {sentence}");
            let folder = vec![("m/config.json", b"{}".to_vec()), ("m/model.safetensors", answer.into())];
            let sentence = open(folder).unwrap_err().to_string();
            assert!(sentence.contains(what), "{sentence}");
        }
    }
}

#[test]
fn the_content_decides_at_an_address_too() {
    let at = |server: &Server, path: &str| {
        pollster::block_on(async {
            let sources: Vec<AnySource<DiskSource, Native>> =
                locate(Native::new(), &server.url(path), &Access::default(), |_, _| {})
                    .await
                    .map_err(|error| error.to_string())?;
            inspect(sources, |_| {}).await.map_err(|error| error.to_string())
        })
    };
    for (format, bytes) in files() {
        for name in ["tiny.sft", "tiny.ckpt", "tiny.gguf", BLOB] {
            let path = format!("/m/{name}");
            let server = Server::start(vec![(path.as_str(), bytes.clone(), Play::Well)]);
            let report = at(&server, &path).unwrap().report;
            assert_eq!(report.checkpoint.format, format, "{name}");
        }
    }
    for (answer, what) in ANSWERS {
        let server = Server::start(vec![("/m/tiny.ckpt", answer.into(), Play::Well)]);
        let sentence = at(&server, "/m/tiny.ckpt").unwrap_err();
        assert!(sentence.contains(what), "{sentence}");
    }
}
