//! Small files, valid and invalid, for the integration tests.

#[allow(dead_code, reason = "shared with the program that writes the registry")]
pub(crate) mod architecture;
pub(crate) mod families;
pub(crate) mod gguf;
pub(crate) mod network;
pub(crate) mod runs;
pub(crate) mod saved;
pub(crate) mod server;
pub(crate) mod spoiled;
pub(crate) mod transformer;

use gammascope::checkpoint::CheckpointError;
use gammascope::inspect::{self, Inspection, inspect};
use gammascope::report::Report;
use gammascope::source::memory::MemorySource;
use gammascope::writer::sample::BUDGET;
use pollster::block_on;
use std::ops::ControlFlow;

/// A file with the header `json`, followed by `data`.
pub(crate) fn file(json: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.extend(data);
    bytes
}

/// A valid file of F32 tensors: name, shape, values.
pub(crate) fn tensors(tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let mut data = Vec::new();
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, shape, values)| {
            assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
            let begin = data.len();
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let name = serde_json::to_string(name).unwrap();
            format!(r#"{name}:{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{}]}}"#, data.len())
        })
        .collect();
    file(&format!("{{{}}}", entries.join(",")), &data)
}

/// A LayerNorm called `name` with this scale and a shift.
pub(crate) fn layer_norm(name: &str, scale: &[f32]) -> Vec<u8> {
    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    tensors(&[(&bias, &[scale.len()], vec![0.5; scale.len()]), (&weight, &[scale.len()], scale.to_vec())])
}

/// Inspects files in memory.
pub(crate) fn open(files: Vec<(&str, Vec<u8>)>) -> Result<Inspection, CheckpointError> {
    let sources = files.into_iter().map(|(path, bytes)| MemorySource::new(path, bytes)).collect();
    pollster::block_on(inspect(sources, |_| {}))
}

/// The error for one file.
pub(crate) fn refused(path: &str, bytes: Vec<u8>) -> String {
    open(vec![(path, bytes)]).unwrap_err().to_string()
}

/// The report on these files with sampled weights.
pub(crate) fn sampled<Path: Into<String>>(files: Vec<(Path, Vec<u8>)>) -> Report {
    let sources = files.into_iter().map(|(path, bytes)| MemorySource::new(path, bytes)).collect();
    block_on(async {
        let mut opened = inspect::open(sources, |_| {}).await.unwrap();
        let weights = opened.weigh(BUDGET, |_| ControlFlow::Continue(())).await;
        opened.take(weights);
        opened.inspection.report
    })
}
