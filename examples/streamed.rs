//! The forward pass of a checkpoint of any size, streamed from a disk to a GPU.
//!
//! `cargo run --release --features gpu --example streamed -- FOLDER SEQUENCES [LENGTH]` runs the model twice on uniform token ids, in
//! sequences of 128 without LENGTH. The first run fills the cache and compiles the kernels, and the second is reported. It prints JSON:
//! the GPU's name, tokens, bytes read, operations of the matrix products, seconds, and a few of the last hidden states, which show that a
//! peer computes the same.

use gammascope::forward::kernels::Kernels;
use gammascope::forward::{Input, Pass, Unwatched};
use gammascope::gpu::forward::GpuKernels;
use gammascope::model;
use gammascope::source::disk::DiskSource;
use gammascope::text::ids::uniform;
use pollster::block_on;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// Opens the files of a checkpoint.
fn sources(folder: &Path) -> Result<Vec<DiskSource>, Box<dyn Error>> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".safetensors") || name.ends_with(".json") {
            sources.push(DiskSource::open(&folder.join(&name), name)?);
        }
    }
    Ok(sources)
}

#[allow(clippy::print_stdout, reason = "what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, sequences, rest @ ..] = &arguments[..] else {
        return Err("which checkpoint, and how many sequences? FOLDER SEQUENCES [LENGTH]".into());
    };
    let length: usize = rest.first().map_or(Ok(128), |length| length.parse())?;
    let tokens = sequences.parse::<usize>()? * length;
    let checkpoint = block_on(gammascope::checkpoint::open(sources(Path::new(folder))?, |_| {}))?;
    let architecture = model::resolve(&checkpoint)?;
    let ids = uniform(tokens, architecture.vocabulary);
    let kernels = block_on(GpuKernels::open())?;
    let pass = Pass::new(&checkpoint, &architecture, Input::token_ids(&ids, length)?)?.on(&kernels);
    let run = || {
        let began = Instant::now();
        let hidden = block_on(async { kernels.get(&pass.run(&mut Unwatched).await?).await })?;
        Ok::<_, Box<dyn Error>>((began.elapsed().as_secs_f64(), hidden))
    };
    run()?;
    let (seconds, hidden) = run()?;
    let report = serde_json::json!({
        "device": kernels.name(),
        "tokens": tokens,
        "bytes": architecture.matrices().map(|map| map.bytes(&checkpoint.tensors)).sum::<u64>(),
        "operations": 2.0 * tokens as f64 * architecture.macs(length),
        "seconds": seconds,
        "values": hidden[..4],
    });
    println!("{report}");
    Ok(())
}
