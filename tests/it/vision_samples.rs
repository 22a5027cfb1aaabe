//! The trained samples that read images, run by `gammascope verify` on the images beside them.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The report of a run on all images of a folder.
fn report(folder: &Path) -> Value {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut images: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "png")).collect();
    images.sort();
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg("verify").arg(folder).arg("--images").args(images).arg("--json");
    serde_json::from_slice(&command.assert().success().get_output().stdout).unwrap()
}

#[test]
fn every_layernorm_of_the_vision_samples_shows_its_kernel_on_their_images_and_no_rmsnorm_has_one() {
    for (name, kind, verdict, sites) in [
        ("samples/vit-layernorm", "layernorm", "mean_subtracting", 9),
        ("samples/vit-rmsnorm", "rmsnorm", "not_mean_subtracting", 10),
    ] {
        let report = report(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
        assert_eq!(report["model"]["verdict"], kind);
        let norms = report["norms"].as_array().unwrap();
        assert_eq!(norms.len(), sites);
        assert!(norms.iter().all(|norm| norm["kind"] == kind), "{norms:?}");
        let verification = &report["verification"];
        let input = verification["input"].as_str().unwrap();
        assert!(input.starts_with("8 images"), "{input}");
        let measured = verification["sites"].as_array().unwrap();
        assert_eq!(measured.len(), sites);
        for site in measured {
            assert_eq!(site["verdict"], verdict, "{name}: {site}");
            if kind == "layernorm" {
                assert!(site["cos_scale_free"].as_f64().unwrap() > 0.9999, "{name}: {site}");
            }
        }
    }
}
