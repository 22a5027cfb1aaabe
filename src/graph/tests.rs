//! Small networks: each operator, each form into which exporters split a norm, and what reads it.

use crate::checkpoint::onnx::tests::write::{
    Attribute, Message, Net, floats, function, node, split_norm, tensor,
};
use crate::inspect::{self, Inspection};
use crate::report::{DeadDirections, KernelForm, NormKind, NormReport, ReaderUse, ScaleConvention};
use crate::source::memory::MemorySource;

const LAST: &[(&str, Attribute<'_>)] = &[("axis", Attribute::Whole(-1))];

fn inspected(net: Net) -> Inspection {
    with(vec![("m.onnx", net.file())])
}

fn with(files: Vec<(&str, Vec<u8>)>) -> Inspection {
    let sources = files.into_iter().map(|(path, bytes)| MemorySource::new(path, bytes)).collect();
    pollster::block_on(inspect::inspect(sources, |_| {})).unwrap()
}

/// The only site of a network.
fn only(net: Net) -> NormReport {
    let mut norms = inspected(net).report.norms;
    assert_eq!(norms.len(), 1, "{:?}", norms.iter().map(|norm| &norm.name).collect::<Vec<_>>());
    norms.remove(0)
}

/// A scale of 8 and a shift, called so that names say nothing.
fn affine() -> Net {
    Net::default().floats("t1", &[8]).floats("t2", &[8]).input("x", &[0, 0, 8])
}

/// The steps behind the normalised value of [`split_norm`]: scale, shift, and a map of 3 rows.
fn scaled_and_read(net: Net) -> Net {
    net.node("Mul", &["normal", "t1"], "scaled", &[]).node("Add", &["scaled", "t2"], "y", &[]).map("y")
}

trait Mapped {
    fn map(self, from: &str) -> Net;
}

impl Mapped for Net {
    /// A map of 3 rows with a bias.
    fn map(self, from: &str) -> Net {
        self.floats("m1", &[8, 3])
            .floats("m2", &[3])
            .node("MatMul", &[from, "m1"], "product", &[])
            .node("Add", &["product", "m2"], "out", &[])
            .output("out")
    }
}

fn reads(norm: &NormReport) -> Vec<(&str, u64, Option<&str>)> {
    norm.readers.iter().map(|reader| (reader.name.as_str(), reader.rows, reader.bias.as_deref())).collect()
}

#[test]
fn every_operator_has_its_kind() {
    use NormKind::{LayerNorm, Other, RmsNorm};
    let cases: [(&str, &[&str], NormKind); 9] = [
        ("LayerNormalization", &["x", "t1", "t2"], LayerNorm),
        ("SimplifiedLayerNormalization", &["x", "t1"], RmsNorm),
        ("RMSNormalization", &["x", "t1"], RmsNorm),
        ("SkipLayerNormalization", &["x", "x", "t1", "t2"], LayerNorm),
        ("SkipSimplifiedLayerNormalization", &["x", "x", "t1"], RmsNorm),
        ("EmbedLayerNormalization", &["x", "", "x", "x", "", "t1", "t2"], LayerNorm),
        ("GroupNormalization", &["x", "t1", "t2"], Other),
        ("InstanceNormalization", &["x", "t1", "t2"], Other),
        ("BatchNormalization", &["x", "t1", "t2", "t1", "t2"], Other),
    ];
    for (op, inputs, kind) in cases {
        let norm = only(affine().node(op, inputs, "y", &[]).map("y"));
        assert_eq!((norm.kind, norm.scale.as_deref()), (kind, Some("t1")), "{op}");
        let evidence = &norm.evidence[0];
        assert_eq!((evidence.source.as_str(), evidence.says), ("graph", kind), "{op}");
        assert!(evidence.detail.contains("`/y/"), "{op}: {}", evidence.detail);
        if kind != Other {
            assert_eq!(reads(&norm), [("m1", 3, Some("m2"))], "{op}");
        }
    }
}

#[test]
fn a_split_layer_norm_is_one() {
    let norm = only(scaled_and_read(split_norm(affine(), "x", true, &[-1])));
    assert_eq!(
        (norm.kind, norm.scale.as_deref(), norm.shift.as_deref()),
        (NormKind::LayerNorm, Some("t1"), Some("t2"))
    );
    assert_eq!(norm.kernel.form, KernelForm::InverseScale);
    assert_eq!(reads(&norm), [("m1", 3, Some("m2"))]);
    assert_eq!(norm.readers[0].dead, DeadDirections { with_bias_shift: 3, ..DeadDirections::default() });
    assert_eq!((norm.scale_convention, norm.width), (ScaleConvention::Weight, 8));
}

#[test]
fn without_the_mean_it_is_an_rms_norm() {
    let norm = only(scaled_and_read(split_norm(affine(), "x", false, &[-1])));
    assert_eq!((norm.kind, norm.kernel.form), (NormKind::RmsNorm, KernelForm::None));
}

#[test]
fn a_mean_in_other_steps_leaves_the_kind_open() {
    let net = affine()
        .constant("eighth", 0.125)
        .node("ReduceSum", &["x"], "sum", &[("axes", Attribute::Wholes(&[-1]))])
        .node("Mul", &["sum", "eighth"], "average", &[])
        .node("Sub", &["x", "average"], "less", &[]);
    let net = scaled_and_read(split_norm(net, "less", false, &[-1]));
    assert!(inspected(net).report.norms.is_empty());
}

#[test]
fn products_casts_and_inverses_change_nothing() {
    let axes = [("keepdims", Attribute::Whole(1))];
    for subtracts in [true, false] {
        let net = affine().wholes("axes", &[-1]).constant("epsilon", 1e-5).constant("one", 1.0);
        let net = match subtracts {
            true => net
                .node("ReduceMean", &["x", "axes"], "mean", &axes)
                .node("Sub", &["x", "mean"], "numerator", &[])
                .node("Sub", &["x", "mean"], "again", &[]),
            false => net.node("Identity", &["x"], "numerator", &[]).node("Cast", &["x"], "again", &[]),
        };
        let net = net
            .node("Mul", &["again", "again"], "square", &[])
            .node("ReduceMean", &["square", "axes"], "variance", &axes)
            .node("Add", &["epsilon", "variance"], "safe", &[])
            .node("Sqrt", &["safe"], "deviation", &[]);
        let net = match subtracts {
            true => net.node("Reciprocal", &["deviation"], "inverse", &[]),
            false => net.node("Div", &["one", "deviation"], "inverse", &[]),
        };
        let net = net
            .node("Mul", &["inverse", "numerator"], "product", &[])
            .node("Cast", &["product"], "normal", &[])
            .node("Mul", &["t1", "normal"], "scaled", &[])
            .node("Add", &["t2", "scaled"], "y", &[]);
        let norm = only(net.floats("m1", &[8, 3]).node("MatMul", &["y", "m1"], "out", &[]));
        let kind = if subtracts { NormKind::LayerNorm } else { NormKind::RmsNorm };
        assert_eq!((norm.kind, norm.shift.as_deref()), (kind, Some("t2")));
        assert_eq!(reads(&norm), [("m1", 3, None)]);
    }
}

#[test]
fn a_folded_scale_is_one() {
    let norm = only(split_norm(affine(), "x", true, &[-1]).map("normal"));
    assert_eq!((norm.kind, norm.scale.as_deref(), norm.width), (NormKind::LayerNorm, None, 8));
    assert!((norm.kernel.participation.unwrap() - 8.0).abs() < 1e-9);
    assert_eq!(norm.readers[0].dead.outright, 3);
    assert_eq!(norm.name, "/normal/Div");
    // A norm that nothing reads has no width.
    assert!(inspected(split_norm(affine(), "x", true, &[-1])).report.norms.is_empty());
}

#[test]
fn one_may_be_added_to_what_is_stored() {
    let net = split_norm(affine(), "x", false, &[-1]).constant("one", 1.0);
    let net =
        net.node("Add", &["t1", "one"], "scale", &[]).node("Mul", &["normal", "scale"], "y", &[]).map("y");
    let inspection = inspected(net);
    let norm = &inspection.report.norms[0];
    assert_eq!((norm.kind, norm.scale_convention), (NormKind::RmsNorm, ScaleConvention::OnePlusWeight));
    assert_eq!(inspection.scales[0].as_ref().unwrap().values()[0], 1.5);
}

#[test]
fn a_computed_scale_is_not_taken_for_none() {
    let net = affine().add(5, tensor("codes", &[8], 3).bytes(9, [1; 8])).constant("step", 0.1);
    let net = split_norm(net, "x", true, &[-1])
        .node("DequantizeLinear", &["codes", "step"], "scale", &[])
        .node("Mul", &["normal", "scale"], "y", &[]);
    let report = inspected(net.map("y")).report;
    assert!(report.norms.is_empty());
    assert!(
        report.warnings.iter().any(|warning| warning.message.contains("`/normal/Div` is computed")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn keras_subtracts_the_mean_at_the_end() {
    let axes = [("axes", Attribute::Wholes(&[-1]))];
    let net = |last: &str| {
        affine()
            .constant("epsilon", 1e-3)
            .node("ReduceMean", &["x"], "mean", &axes)
            .node("Sub", &["x", "mean"], "centred", &[])
            .node("Mul", &["centred", "centred"], "square", &[])
            .node("ReduceMean", &["square"], "variance", &axes)
            .node("Add", &["variance", "epsilon"], "safe", &[])
            .node("Sqrt", &["safe"], "deviation", &[])
            .node("Reciprocal", &["deviation"], "inverse", &[])
            .node("Mul", &["inverse", "t1"], "factor", &[])
            .node("Mul", &["x", "factor"], "first", &[])
            .node("Mul", &[last, "factor"], "second", &[])
            .node("Sub", &["t2", "second"], "rest", &[])
            .node("Add", &["first", "rest"], "y", &[])
            .map("y")
    };
    let norm = only(net("mean"));
    assert_eq!(
        (norm.kind, norm.scale.as_deref(), norm.shift.as_deref()),
        (NormKind::LayerNorm, Some("t1"), Some("t2"))
    );
    assert_eq!(reads(&norm), [("m1", 3, Some("m2"))]);
    // Something else in place of the mean.
    assert!(inspected(net("variance")).report.norms.is_empty());
}

#[test]
fn an_axis_that_the_graph_does_not_show_leaves_the_kind_open() {
    let net = |shape: &[u64]| {
        let net = Net::default().floats("t1", &[8]).floats("t2", &[8]);
        let net = if shape.is_empty() { net } else { net.input("x", shape) };
        scaled_and_read(split_norm(net, "x", true, &[2]))
    };
    assert_eq!(only(net(&[])).kind, NormKind::Unknown);
    assert_eq!(only(net(&[0, 0, 8])).kind, NormKind::LayerNorm);
    // Over positions, with a scale of channels.
    assert_eq!(only(net(&[0, 0, 0, 8])).kind, NormKind::Other);
    let op = |axis| {
        let axis = [("axis", Attribute::Whole(axis))];
        only(affine().node("LayerNormalization", &["x", "t1", "t2"], "y", &axis).map("y")).kind
    };
    assert_eq!((op(2), op(1), op(-2)), (NormKind::LayerNorm, NormKind::Other, NormKind::Other));
}

#[test]
fn several_axes_are_another_norm() {
    assert_eq!(only(scaled_and_read(split_norm(affine(), "x", true, &[-2, -1]))).kind, NormKind::Other);
}

#[test]
fn channels_may_come_first() {
    let net = Net::default().floats("t1", &[8]).floats("t2", &[8, 1, 1]).input("x", &[1, 8, 0, 0]);
    let net = split_norm(net.wholes("axes", &[1, 2]), "x", true, &[1])
        .node("Unsqueeze", &["t1", "axes"], "scale", &[])
        .node("Mul", &["normal", "scale"], "scaled", &[])
        .node("Add", &["scaled", "t2"], "y", &[])
        .floats("k", &[3, 8, 1, 1])
        .node("Conv", &["y", "k"], "z", &[])
        .floats("wide", &[3, 8, 3, 3])
        .node("Conv", &["y", "wide"], "other", &[]);
    let norm = only(net);
    assert_eq!((norm.kind, norm.scale.as_deref()), (NormKind::LayerNorm, Some("t1")));
    assert_eq!(reads(&norm), [("k", 3, None)]);
}

#[test]
fn a_split_group_norm_is_another_norm() {
    let net = Net::default().floats("t1", &[8, 1, 1]).floats("t2", &[8, 1, 1]).floats("ones", &[2]);
    let net = net.wholes("groups", &[0, 2, -1]).wholes("back", &[0, 8, 4, 4]);
    let net = net
        .node("Reshape", &["x", "groups"], "grouped", &[])
        .node("InstanceNormalization", &["grouped", "ones", "ones"], "normal", &[])
        .node("Reshape", &["normal", "back"], "whole", &[])
        .node("Mul", &["whole", "t1"], "scaled", &[])
        .node("Add", &["scaled", "t2"], "y", &[]);
    let norm = only(net);
    assert_eq!(
        (norm.kind, norm.scale.as_deref(), norm.shift.as_deref()),
        (NormKind::Other, Some("t1"), Some("t2"))
    );
}

#[test]
fn readers_are_found_behind_what_moves_vectors_about() {
    let net = affine()
        .wholes("flat", &[-1, 8])
        .wholes("heads", &[0, 0, 2, 4])
        .node("LayerNormalization", &["x", "t1", "t2"], "y", LAST)
        .node("Cast", &["y"], "c", &[])
        .node("Reshape", &["c", "flat"], "r", &[])
        .floats("g", &[3, 8])
        .floats("b", &[3])
        .node("Gemm", &["r", "g", "b"], "z1", &[("transB", Attribute::Whole(1))])
        // There and back.
        .node("Transpose", &["y"], "t", &[("perm", Attribute::Wholes(&[0, 2, 1]))])
        .floats("turned", &[8, 8])
        .node("MatMul", &["t", "turned"], "z2", &[])
        .node("Transpose", &["t"], "u", &[("perm", Attribute::Wholes(&[0, 2, 1]))])
        .floats("stored", &[5, 8])
        .node("Transpose", &["stored"], "s", &[("perm", Attribute::Wholes(&[1, 0]))])
        .node("MatMul", &["u", "s"], "z3", &[])
        // Split into heads.
        .node("Reshape", &["y", "heads"], "h", &[])
        .floats("of_heads", &[4, 4])
        .node("MatMul", &["h", "of_heads"], "z4", &[])
        .constant("first", 0.0)
        .node("Gather", &["y", "first"], "p", &[("axis", Attribute::Whole(1))])
        .floats("pooler", &[8, 8])
        .node("MatMul", &["p", "pooler"], "z5", &[]);
    let norm = only(net);
    assert_eq!(reads(&norm), [("g", 3, Some("b")), ("pooler", 8, None), ("stored", 5, None)]);
    let dead = |name: &str| norm.readers.iter().find(|reader| reader.name == name).unwrap().dead;
    assert_eq!(dead("g"), DeadDirections { with_bias_shift: 3, ..DeadDirections::default() });
    assert_eq!(dead("stored"), DeadDirections { constant_shift: 5, ..DeadDirections::default() });
}

#[test]
fn a_dropout_that_may_be_training_is_not_followed() {
    let behind = |inputs: &[&str]| {
        let net = affine().constant("ratio", 0.1).constant("training", 1.0);
        let net = net.node("LayerNormalization", &["x", "t1", "t2"], "y", LAST);
        only(net.node("Dropout", inputs, "kept", &[]).map("kept")).readers.len()
    };
    assert_eq!([behind(&["y", "ratio"]), behind(&["y", "ratio", "training"])], [1, 0]);
}

#[test]
fn quantised_maps_are_readers_up_to_rounding() {
    let codes = |name: &str, shape: &[u64]| {
        tensor(name, shape, 3).bytes(9, vec![1; shape.iter().product::<u64>() as usize])
    };
    let net = affine()
        .node("LayerNormalization", &["x", "t1", "t2"], "y", LAST)
        .add(5, codes("q1", &[8, 4]))
        .add(5, codes("q2", &[8, 6]))
        .add(5, codes("q3", &[8, 2]))
        .floats("b", &[4])
        .constant("step", 0.1)
        .add(1, node("DynamicQuantizeLinear", &["y"], &["q", "scale", "zero"], &[]))
        .node("MatMulInteger", &["q", "q1", "zero"], "i", &[])
        .node("Cast", &["i"], "f", &[])
        .node("Mul", &["f", "scale"], "back", &[])
        .node("Add", &["back", "b"], "z1", &[])
        .node("QuantizeLinear", &["y", "step"], "l", &[])
        .node("QLinearMatMul", &["l", "step", "zero", "q2", "step", "zero", "step", "zero"], "z2", &[])
        .node("DequantizeLinear", &["q3", "step"], "w", &[])
        .node("MatMul", &["y", "w"], "z3", &[]);
    let norm = only(net);
    assert_eq!(reads(&norm), [("q1", 4, Some("b")), ("q2", 6, None), ("q3", 2, None)]);
    let assumed: Vec<bool> = norm.readers.iter().map(|reader| reader.assumed.is_some()).collect();
    assert_eq!(assumed, [true; 3]);
}

#[test]
fn a_weight_that_reads_something_else_too_is_not_counted() {
    let net = affine()
        .floats("m1", &[8, 3])
        .node("MatMul", &["x", "m1"], "before", &[])
        .node("LayerNormalization", &["x", "t1", "t2"], "y", LAST)
        .node("MatMul", &["y", "m1"], "z", &[]);
    let norm = only(net);
    assert_eq!(reads(&norm), []);
    assert!(norm.reader_note.unwrap().contains("also something else in the graph"));
    // An embedding that unembeds is tied.
    let net = affine()
        .floats("embedding", &[20, 8])
        .node("Gather", &["embedding", "ids"], "embedded", &[])
        .node("LayerNormalization", &["embedded", "t1", "t2"], "y", LAST)
        .node("Transpose", &["embedding"], "turned", &[("perm", Attribute::Wholes(&[1, 0]))])
        .node("MatMul", &["y", "turned"], "z", &[]);
    let norm = only(net);
    assert_eq!((norm.readers[0].used_as, norm.readers[0].rows), (ReaderUse::TiedUnembedding, 20));
}

#[test]
fn a_scale_of_several_nodes_is_one_site() {
    let net = affine()
        .floats("m1", &[8, 8])
        .floats("m2", &[8])
        .node("LayerNormalization", &["x", "t1", "t2"], "y1", LAST)
        .node("MatMul", &["y1", "m1"], "p1", &[])
        .node("Add", &["p1", "m2"], "z1", &[])
        .node("Identity", &["t1"], "shared", &[])
        .node("LayerNormalization", &["z1", "shared", "t2"], "y2", LAST)
        .node("MatMul", &["y2", "m1"], "p2", &[])
        .node("Add", &["p2", "m2"], "z2", &[]);
    let norm = only(net);
    assert_eq!(reads(&norm), [("m1", 8, Some("m2"))]);
    assert!(norm.evidence[0].detail.contains("the first of 2"), "{}", norm.evidence[0].detail);
    // One scale in two kinds of norms.
    let net = affine().node("LayerNormalization", &["x", "t1"], "y1", LAST).node(
        "RMSNormalization",
        &["x", "t1"],
        "y2",
        LAST,
    );
    assert_eq!(only(net).kind, NormKind::Unknown);
}

#[test]
fn what_names_call_a_norm_and_the_graph_does_not_has_no_kind() {
    let net = Net::default()
        .floats("layers.0.norm.weight", &[8])
        .floats("layers.0.norm.bias", &[8])
        .floats("layers.1.norm.weight", &[8])
        .node("Mul", &["x", "layers.0.norm.weight"], "y", &[])
        .node("Add", &["y", "layers.0.norm.bias"], "z", &[]);
    let norm = only(net);
    assert_eq!((norm.kind, norm.name.as_str()), (NormKind::Unknown, "layers.0.norm"));
    assert!(norm.readers.is_empty() && norm.reader_note.unwrap().starts_with("not counted"));
}

#[test]
fn a_norm_that_the_export_changed_is_exposed() {
    let block = "model.layers.0";
    let names: Vec<String> = ["input_layernorm", "post_attention_layernorm"]
        .iter()
        .map(|name| format!("{block}.{name}.weight"))
        .collect();
    let net = |op: &str| {
        Net::default()
            .floats(&names[0], &[8])
            .floats(&names[1], &[8])
            .floats("model.layers.0.self_attn.q_proj.weight", &[8, 8])
            .node(op, &["x", &names[0]], "y1", LAST)
            .node("MatMul", &["y1", "model.layers.0.self_attn.q_proj.weight"], "z1", &[])
            .node(op, &["z1", &names[1]], "y2", LAST)
            .file()
    };
    let config = br#"{"model_type":"llama","hidden_size":8,"rms_norm_eps":1e-5}"#.to_vec();
    let report = |op| with(vec![("m.onnx", net(op)), ("config.json", config.clone())]).report;
    let wrong = report("LayerNormalization");
    assert!(wrong.norms.iter().all(|norm| norm.kind == NormKind::LayerNorm && norm.settle.is_some()));
    let warning = wrong.warnings.iter().find(|warning| warning.code.as_str() == "graph_differs").unwrap();
    assert!(
        warning.message.contains("subtracts the mean at `model.layers.0.input_layernorm` and 1 more"),
        "{}",
        warning.message
    );
    let right = report("SimplifiedLayerNormalization");
    assert!(right.norms.iter().all(|norm| norm.kind == NormKind::RmsNorm && norm.settle.is_none()));
    assert_eq!(right.warnings, []);
    assert_eq!(right.norms[0].readers[0].used_as, ReaderUse::Query);
}

#[test]
fn norms_inside_branches_are_found() {
    let body = Net::default().node("LayerNormalization", &["x", "t1", "t2"], "y", LAST).map("y");
    let branch = Message::default().bytes(1, "then_branch").bytes(6, body.0.0).0;
    let made = Message::default().bytes(1, "condition").bytes(2, "result").bytes(4, "If").bytes(5, branch);
    let norm = only(affine().add(1, made));
    assert_eq!((norm.kind, reads(&norm)), (NormKind::LayerNorm, vec![("m1", 3, Some("m2"))]));
}

#[test]
fn the_direction_is_that_of_the_same_scale_elsewhere() {
    let values: Vec<f32> = (1..9).map(|value| value as f32).collect();
    let net = Net::default().add(5, floats("t1", &[8], &values)).node(
        "LayerNormalization",
        &["x", "t1"],
        "y",
        LAST,
    );
    let inspection = inspected(net);
    let expected: Vec<f64> = values.iter().map(|&value| value.into()).collect();
    assert_eq!(inspection.scales[0].as_ref().unwrap().values(), expected);
    assert_eq!(inspection.report.norms[0].kernel.max_index, Some(0));
}

/// A LayerNorm of the model's own: a function that leaves the normalisation to another, which gets the axes from the call.
fn layer_norm_functions() -> Vec<u8> {
    let step = |op, inputs: &[&str], output| (node(op, inputs, &[output], &[]), &[] as &[[&str; 2]]);
    let mean =
        |input, output| (node("ReduceMean", &[input], &[output], &[]), &[["axes", "dims"]] as &[[&str; 2]]);
    let small = Message::default().bytes(1, "value").bytes(5, floats("", &[], &[1e-5]).0);
    let small = Message::default().bytes(2, "small").bytes(4, "Constant").bytes(5, small.0);
    let normalise = function(
        "normalise",
        &["x"],
        "normal",
        &[
            mean("x", "mean"),
            step("Sub", &["x", "mean"], "centred"),
            step("Mul", &["centred", "centred"], "square"),
            mean("square", "variance"),
            (small, &[]),
            step("Add", &["variance", "small"], "safe"),
            step("Sqrt", &["safe"], "deviation"),
            step("Div", &["centred", "deviation"], "normal"),
        ],
    );
    let (call, _) = step("normalise", &["x"], "normal");
    let norm = function(
        "norm",
        &["x", "scale", "shift"],
        "y",
        &[
            (call.bytes(7, "own"), &[["dims", "axes"]]),
            step("Mul", &["normal", "scale"], "scaled"),
            step("Add", &["scaled", "shift"], "y"),
        ],
    );
    [normalise, norm].concat()
}

#[test]
fn nodes_of_functions_count_at_each_call() {
    let call = |inputs: &[&str], output: &str| {
        node("norm", inputs, &[output], &[("axes", Attribute::Wholes(&[-1]))]).bytes(7, "own")
    };
    let net = affine()
        .floats("t3", &[8])
        .add(1, call(&["x", "t1", "t2"], "a"))
        .add(1, call(&["a", "t3", "t2"], "b"))
        .map("b");
    let file = [net.clone().file(), layer_norm_functions()].concat();
    let norms = with(vec![("m.onnx", file)]).report.norms;
    let said: Vec<(&str, NormKind)> = norms.iter().map(|norm| (norm.name.as_str(), norm.kind)).collect();
    assert_eq!(said, [("t1", NormKind::LayerNorm), ("t3", NormKind::LayerNorm)]);
    assert_eq!(reads(&norms[1]), [("m1", 3, Some("m2"))]);
    // The functions may also come first. Without them, nothing is known of the calls.
    let file = [layer_norm_functions(), net.clone().file()].concat();
    assert_eq!(with(vec![("m.onnx", file)]).report.norms.len(), 2);
    assert!(inspected(net).report.norms.iter().all(|norm| norm.kind == NormKind::Unknown));
}

#[test]
fn functions_that_call_themselves_are_an_error() {
    let call = |inputs: &[&str], output: &str| node("again", inputs, &[output], &[]).bytes(7, "own");
    let again = function("again", &["x"], "y", &[(call(&["x"], "a"), &[]), (call(&["a"], "y"), &[])]);
    let file = [affine().add(1, call(&["x"], "z")).file(), again].concat();
    let sources = vec![MemorySource::new("m.onnx", file)];
    let error = pollster::block_on(inspect::inspect(sources, |_| {})).err().map(|error| error.to_string());
    assert!(error.unwrap().contains("more nodes, tensors or names than any network"));
}
