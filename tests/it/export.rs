//! Exported kernels: the contents of the files, and the Python snippets of scripts/use that read them.

use crate::support;
use gammascope::export::{ExportError, kernels, safetensors};
use gammascope::inspect::{Inspection, inspect};
use gammascope::report::KernelForm;
use gammascope::report::kernels::{CONVENTION, SCHEMA};
use gammascope::source::disk::DiskSource;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use std::process::Command;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn open(name: &str) -> Inspection {
    let sources = ["model.safetensors", "config.json"]
        .map(|file| DiskSource::open(&sample(name).join(file), file).unwrap())
        .into();
    pollster::block_on(inspect(sources, |_| {})).unwrap()
}

fn values(tensor: &::safetensors::tensor::TensorView<'_>) -> Vec<f64> {
    tensor.data().chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn each_exported_direction_kills_its_scale_and_its_constant_is_that_of_the_shift() {
    let inspection = open("layernorm");
    let export = kernels(&inspection, None).unwrap();
    assert_eq!(export.sites.len(), 9);
    let bytes = safetensors(&export).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 18);
    for (norm, (scale, shift)) in
        inspection.report.norms.iter().zip(inspection.scales.iter().zip(&inspection.shifts))
    {
        let (gamma, beta) = (scale.as_ref().unwrap().values(), shift.as_ref().unwrap());
        let tensor = file.tensor(&format!("{}.kernel", norm.name)).unwrap();
        assert_eq!((tensor.shape(), tensor.dtype()), (&[128][..], ::safetensors::Dtype::F64));
        let v = values(&tensor);
        assert!((v.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-14);
        // γ ⊙ v is constant: v annihilates every γ ⊙ x̂ with Σ x̂ = 0.
        let same = gamma[0] * v[0];
        assert!(gamma.iter().zip(&v).all(|(gamma, v)| (gamma * v - same).abs() < 1e-14));
        let constant = values(&file.tensor(&format!("{}.constant", norm.name)).unwrap());
        let along: f64 = beta.iter().zip(&v).map(|(beta, v)| beta * v).sum();
        assert_eq!(constant.len(), 1);
        assert!((constant[0] - along).abs() < 1e-14);
    }
}

#[test]
fn zero_channels_are_rows_of_a_file_and_a_list_in_json() {
    let bytes = support::layer_norm("a.norm", &[1.0, 0.0, 2.0, 0.0]);
    let inspection = support::open(vec![("m.safetensors", bytes)]).unwrap();
    let export = kernels(&inspection, Some(&["a.norm"])).unwrap();
    assert_eq!(export.sites[0].form, KernelForm::Coordinates);
    assert_eq!((&export.sites[0].coordinates[..], &export.sites[0].direction), (&[1, 3][..], &None));
    let bytes = safetensors(&export).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let rows = file.tensor("a.norm.kernel").unwrap();
    assert_eq!(rows.shape(), [2, 4]);
    assert_eq!(values(&rows), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(values(&file.tensor("a.norm.constant").unwrap()), [0.5, 0.5]);
}

#[test]
fn a_file_says_what_it_means_and_equal_exports_are_equal_files() {
    let inspection = open("layernorm");
    let bytes = safetensors(&kernels(&inspection, None).unwrap()).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let said = metadata.metadata().clone().unwrap();
    assert_eq!((said["schema"].as_str(), said["convention"].as_str()), (SCHEMA, CONVENTION));
    assert_eq!(said["tool_version"], env!("CARGO_PKG_VERSION"));
    for _ in 0..4 {
        assert_eq!(safetensors(&kernels(&inspection, None).unwrap()).unwrap(), bytes);
    }
}

#[test]
fn without_a_kernel_there_is_nothing_to_export() {
    let inspection = open("rmsnorm");
    let error = kernels(&inspection, None).unwrap_err();
    assert!(matches!(error, ExportError::NoKernel { sites: 9, .. }));
    assert!(error.to_string().contains("9 are RMSNorm without a zero scale"), "{error}");
    let error = kernels(&open("layernorm"), Some(&["no.such"])).unwrap_err();
    assert!(error.to_string().contains("there is no norm site `no.such`"), "{error}");
    let error = kernels(&open("layernorm"), Some(&[])).unwrap_err();
    assert!(error.to_string().starts_with("no norm site is chosen"), "{error}");
}

/// A Python with NumPy: that of the system, or one that a test or a benchmark has installed.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environments = [".cache/models/venv/bin/python", ".cache/bench-venv/bin/python"];
    let mut all =
        std::iter::once(PathBuf::from("python3")).chain(environments.map(|python| root.join(python)));
    let has_numpy = |python: &PathBuf| {
        let found = Command::new(python).args(["-c", "import numpy"]).output();
        found.is_ok_and(|output| output.status.success())
    };
    all.find(has_numpy).expect("a Python with NumPy")
}

#[test]
#[ignore = "needs a Python with NumPy"]
fn the_snippets_do_not_change_what_the_model_computes() {
    let inspection = open("layernorm");
    let folder = tempfile::tempdir().unwrap();
    let (report, exported) = (folder.path().join("report.json"), folder.path().join("kernels.safetensors"));
    std::fs::write(&report, serde_json::to_vec(&inspection.report).unwrap()).unwrap();
    std::fs::write(&exported, safetensors(&kernels(&inspection, None).unwrap()).unwrap()).unwrap();
    let output = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/use/check.py"))
        .arg(sample("layernorm").join("model.safetensors"))
        .args([&report, &exported])
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}
