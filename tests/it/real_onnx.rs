//! Facts about real trained ONNX files, from three exporters: what their code computes, and the smallest scales in them. The files come
//! from packages and are stored in `.cache/models/onnx`, which git ignores.

use gammascope::inspect::{Inspection, inspect};
use gammascope::report::{NormKind, NormReport};
use gammascope::source::disk::DiskSource;
use std::path::Path;

fn open(name: &str) -> Inspection {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models/onnx").join(name);
    let source = DiskSource::open(&path, name).unwrap();
    pollster::block_on(inspect(vec![source], |_| {})).unwrap()
}

/// The norms of a kind.
fn of(inspection: &Inspection, kind: NormKind) -> Vec<&NormReport> {
    inspection.report.norms.iter().filter(|norm| norm.kind == kind).collect()
}

/// The smallest |γ| of each, to three digits.
fn smallest(norms: &[&NormReport]) -> Vec<String> {
    norms.iter().map(|norm| format!("{:.3}", norm.kernel.scale_min_abs.unwrap_or(f64::NAN))).collect()
}

/// The readers of a norm, with their rows, and whether each has a bias.
fn reads(norm: &NormReport) -> Vec<(&str, u64, bool)> {
    norm.readers.iter().map(|reader| (reader.name.as_str(), reader.rows, reader.bias.is_some())).collect()
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn the_real_minilm_of_pytorch_has_seven_layer_norms() {
    let inspection = open("paraphrase-MiniLM-L3-v2.onnx");
    let norms = of(&inspection, NormKind::LayerNorm);
    assert_eq!((norms.len(), inspection.report.norms.len()), (7, 7));
    assert_eq!(norms[0].name, "model.0.auto_model.embeddings.LayerNorm");
    assert_eq!(smallest(&norms)[0], "0.151");
    assert_eq!(smallest(&norms)[6], "0.164");
    // Queries, keys and values of the first block, which have lost their names.
    let rows: Vec<(u64, bool)> = reads(norms[0]).into_iter().map(|(_, rows, bias)| (rows, bias)).collect();
    assert_eq!(rows, [(384, true); 3]);
    assert!(norms[0].readers.iter().all(|reader| reader.name.starts_with("onnx::MatMul_")));
    assert!(inspection.report.checkpoint.bytes_read < 400_000, "{}", inspection.report.checkpoint.bytes_read);
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn the_real_recognition_of_paddle_has_five_split_layer_norms() {
    let inspection = open("PP-OCRv6_rec_small.onnx");
    let norms = of(&inspection, NormKind::LayerNorm);
    assert_eq!(smallest(&norms), ["0.636", "0.746", "0.375", "0.849", "0.018"]);
    assert_eq!(
        (norms[0].scale.as_deref(), norms[0].shift.as_deref()),
        (Some("helper.reshape.0"), Some("helper.reshape.1"))
    );
    assert_eq!(reads(norms[0]), [("linear_0.w_0", 360, true)]);
    assert_eq!(of(&inspection, NormKind::Other).len(), 3);
    assert!(open("PP-OCRv6_det_small.onnx").report.norms.is_empty());
    // Every weight is in a node.
    assert_eq!(of(&open("ch_ppocr_mobile_v2.0_cls_mobile.onnx"), NormKind::Other).len(), 35);
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn the_real_rxnmap_has_thirty_nodes_on_four_scales() {
    let inspection = open("rxnmap.onnx");
    let norms = of(&inspection, NormKind::LayerNorm);
    assert_eq!((norms.len(), inspection.report.norms.len()), (4, 4));
    let mut all = smallest(&norms);
    all.sort();
    assert_eq!(all, ["0.166", "0.212", "0.224", "0.233"]);
    let nodes: Vec<&str> =
        norms.iter().map(|norm| norm.evidence[0].detail.rsplit(' ').next().unwrap_or_default()).collect();
    assert_eq!(nodes.iter().map(|count| count.parse::<u32>().unwrap()).sum::<u32>(), 30);
    // The first use of this matrix reads embeddings, without a norm.
    assert!(norms.iter().flat_map(|norm| &norm.readers).all(|reader| reader.name != "onnx::MatMul_1582"));
}
