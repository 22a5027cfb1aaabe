//! Folders of torch.distributed.checkpoint: the tensors that were saved, from chunks in one file or several.
//! `scripts/fixtures/distributed_checkpoints.py` writes the folders with PyTorch's own writer.

use crate::support::saved::{Saved, as_safetensors, saved};
use crate::support::server::{Play, Server};
use crate::support::{open, tensors};
use gammascope::checkpoint::remote::{Access, locate};
use gammascope::checkpoint::{self, Checkpoint, CheckpointError, Format};
use gammascope::inspect::inspect;
use gammascope::source::AnySource;
use gammascope::source::disk::DiskSource;
use gammascope::source::http::native::Native;
use gammascope::source::memory::MemorySource;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/distributed")
}

fn expected() -> BTreeMap<String, BTreeMap<String, Saved>> {
    saved(&folder())
}

/// The files of a fixture, in a folder of this name.
fn files(fixture: &str, top: &str) -> Vec<(String, Vec<u8>)> {
    let names = [".metadata", "__0_0.distcp", "__1_0.distcp"];
    let read =
        |name: &str| Some((format!("{top}/{name}"), std::fs::read(folder().join(fixture).join(name)).ok()?));
    names.into_iter().filter_map(read).collect()
}

fn opened(files: Vec<(String, Vec<u8>)>) -> Result<Checkpoint<MemorySource>, CheckpointError> {
    let sources = files.into_iter().map(|(path, bytes)| MemorySource::new(path, bytes)).collect();
    pollster::block_on(checkpoint::open(sources, |_| {}))
}

fn codes<S>(checkpoint: &Checkpoint<S>) -> Vec<&str> {
    checkpoint.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

#[test]
fn names_types_shapes_and_values_are_those_that_were_saved() {
    for (fixture, tensors) in expected() {
        let checkpoint = opened(files(&fixture, "run/step-1000")).unwrap();
        assert_eq!(
            (checkpoint.format, checkpoint.name.as_str()),
            (Format::PyTorch, "run/step-1000"),
            "{fixture}"
        );
        let mut found = 0;
        for at in 0..checkpoint.tensors.len() {
            let tensor = &checkpoint.tensors[at];
            let Some(Saved { dtype, shape, values }) = tensors.get(&tensor.name) else {
                // The one matrix that is cut along its second dimension.
                assert!(tensor.name.ends_with("up_proj.weight"), "{fixture}: {}", tensor.name);
                assert!(tensor.dtype.to_string().contains("another dimension"), "{}", tensor.dtype);
                assert_eq!(tensor.shape, [32, 8]);
                continue;
            };
            found += 1;
            let read = pollster::block_on(checkpoint.values(at)).unwrap();
            assert_eq!(
                (&tensor.dtype.to_string(), &tensor.shape, &read),
                (dtype, shape, values),
                "{fixture}: {}",
                tensor.name
            );
            let weights =
                pollster::block_on(checkpoint.read_weights(tensor.shard, tensor.range.clone())).unwrap();
            let weights = tensor.dtype.decode(&tensor.in_order(weights)).unwrap();
            assert_eq!(&weights, values, "{fixture}: {}", tensor.name);
        }
        assert_eq!(found, tensors.len(), "{fixture}");
        let wanted: &[&str] = if fixture == "one" { &[] } else { &["state_chosen"] };
        assert_eq!(codes(&checkpoint), wanted, "{fixture}");
    }
}

#[test]
fn all_tensors_are_read_together_as_one_by_one() {
    let checkpoint = opened(files("two", "m")).unwrap();
    let usable: Vec<usize> =
        (0..checkpoint.tensors.len()).filter(|&at| checkpoint.tensors[at].dtype.is_floating()).collect();
    let together = pollster::block_on(checkpoint.read(&usable, |_, _| {}));
    assert!(usable.len() > 3);
    for (&at, read) in usable.iter().zip(together) {
        assert_eq!(read, pollster::block_on(checkpoint.values(at)), "{}", checkpoint.tensors[at].name);
    }
}

#[test]
fn the_norms_are_those_of_the_same_tensors_in_safetensors() {
    let expected = expected();
    let twin = open(vec![("m/model.safetensors", as_safetensors(&expected["two"]))]).unwrap().report;
    let own = files("two", "m");
    let own = open(own.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect()).unwrap().report;
    let norms = |report: &gammascope::report::Report| -> Vec<String> {
        report
            .norms
            .iter()
            .map(|norm| format!("{} {:?} {:?}", norm.name, norm.kernel, norm.problem))
            .collect()
    };
    assert_eq!(norms(&own), norms(&twin));
    assert_eq!(own.norms.len(), 2);
}

#[test]
fn a_missing_file_is_named_and_what_is_whole_is_read() {
    let mut without = files("two", "m");
    without.retain(|(path, _)| !path.ends_with("__1_0.distcp"));
    let checkpoint = opened(without).unwrap();
    assert!(codes(&checkpoint).contains(&"shard_missing"), "{:?}", checkpoint.warnings);
    let whole: Vec<&str> = checkpoint
        .tensors
        .iter()
        .filter(|tensor| tensor.dtype.is_floating())
        .map(|tensor| tensor.name.as_str())
        .collect();
    // Only the scalar is in one file.
    assert_eq!(whole, ["model.scale"]);
}

#[test]
fn a_damaged_file_is_named_and_a_folder_without_its_metadata_is_refused() {
    let mut damaged = files("one", "m");
    damaged
        .iter_mut()
        .filter(|(path, _)| path.ends_with("distcp"))
        .for_each(|(_, bytes)| bytes.truncate(4000));
    let error = opened(damaged).unwrap_err().to_string();
    assert!(error.contains("`m/__0_0.distcp`") && error.contains("cut off"), "{error}");
    let mut alone = files("two", "m");
    alone.retain(|(path, _)| !path.ends_with(".metadata"));
    let error = opened(alone).unwrap_err().to_string();
    assert!(error.contains("open the whole folder, with the file `.metadata`"), "{error}");
    let mut other = files("one", "m");
    other
        .iter_mut()
        .filter(|(path, _)| path.ends_with(".metadata"))
        .for_each(|(_, bytes)| *bytes = b"\x80\x04}.".to_vec());
    let error = opened(other).unwrap_err().to_string();
    assert!(
        error.contains("`m/.metadata`") && error.contains("not what torch.distributed.checkpoint writes"),
        "{error}"
    );
}

#[test]
fn the_folder_of_an_optimizer_is_left_alone_and_a_copy_in_safetensors_comes_first() {
    let run = [files("one", "run/pytorch_model_fsdp_0"), files("two", "run/optimizer_0")].concat();
    let checkpoint = opened(run).unwrap();
    assert_eq!(checkpoint.tensors.len(), expected()["one"].len());
    let norm = ("m/model.safetensors".to_owned(), tensors(&[("norm.weight", &[4], vec![1.0; 4])]));
    let checkpoint = opened([files("one", "m"), vec![norm]].concat()).unwrap();
    assert_eq!((checkpoint.format, checkpoint.tensors.len()), (Format::Safetensors, 1));
}

#[test]
fn a_folder_on_disk_opens_by_its_path_and_by_its_metadata() {
    let of_folder = folder().join("two");
    for path in [of_folder.clone(), of_folder.join(".metadata"), of_folder.join("__1_0.distcp")] {
        let mut command = assert_cmd::Command::cargo_bin("gammascope").unwrap();
        let output = command.arg("inspect").arg("--json").arg(&path).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["norms"].as_array().map(Vec::len), Some(2), "{}", path.display());
    }
}

#[test]
fn a_folder_behind_an_address_gives_the_same_report() {
    let own = files("two", "two");
    let local =
        open(own.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect()).unwrap().report;
    let served: Vec<(String, Vec<u8>)> =
        own.into_iter().map(|(path, bytes)| (format!("/{path}"), bytes)).collect();
    let server = Server::start(
        served.iter().map(|(path, bytes)| (path.as_str(), bytes.clone(), Play::Well)).collect(),
    );
    let remote = pollster::block_on(async {
        let sources: Vec<AnySource<DiskSource, Native>> =
            locate(Native::new(), &server.url("/two/"), &Access::default(), |_, _| {}).await.unwrap();
        inspect(sources, |_| {}).await.unwrap().report
    });
    assert_eq!(remote.norms, local.norms);
    assert_eq!((remote.checkpoint.shards, remote.checkpoint.tensors), (2, local.checkpoint.tensors));
}
