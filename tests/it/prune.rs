//! What could be cut: other values there change nothing, and a model that is really cut computes the same.

use crate::fold::{
    CANONICAL, Tensors, apart, config, file, fixture, folded, in_f32, sample, set, sources, values,
};
use assert_cmd::Command;
use gammascope::fold::prune;
use gammascope::inspect;
use gammascope::model::resolve;
use gammascope::report::prune::{PrunableWidth, PruneReason, PruneReport};
use pollster::block_on;

fn listed(weights: &[u8], config: &[u8]) -> PruneReport {
    let opened = block_on(inspect::open(sources(weights.to_vec(), config), |_| {})).unwrap();
    let architecture = resolve(opened.checkpoint()).unwrap();
    block_on(prune(&opened, &architecture, |_, _| {})).unwrap()
}

fn width<'a>(report: &'a PruneReport, reason: PruneReason, place: &str) -> &'a PrunableWidth {
    let mut found =
        report.widths.iter().filter(|width| width.reason == reason && width.place.ends_with(place));
    found.next().unwrap_or_else(|| panic!("{reason:?} at {place}: {report:?}"))
}

/// Changes values of a matrix of `columns` columns where `chosen` says so.
fn edit(tensors: &mut Tensors, name: &str, columns: usize, chosen: impl Fn(usize, usize) -> Option<f32>) {
    let mut all = values(tensors, name);
    for (at, value) in all.iter_mut().enumerate() {
        *value = chosen(at / columns, at % columns).unwrap_or(*value);
    }
    set(tensors, name, &all);
}

/// Some number that is not zero.
fn odd(row: usize, column: usize) -> f32 {
    0.3 - ((7 * row + 3 * column) % 5) as f32
}

#[test]
fn a_model_without_zeros_has_nothing_to_cut() {
    for family in ["llama", "gpt_neox", "gemma2", "gpt2"] {
        let report = listed(&file(&in_f32(&fixture(family))), &config(&fixture(family)));
        assert!(report.widths.is_empty() && report.left.is_empty(), "{report:?}");
        assert_eq!(report.saved, 0);
    }
}

#[test]
fn a_channel_that_is_off_saves_the_columns_of_its_readers() {
    let (mut tensors, config) = (in_f32(&fixture("gpt_neox")), config(&fixture("gpt_neox")));
    let norm = "gpt_neox.layers.0.input_layernorm";
    edit(&mut tensors, &format!("{norm}.weight"), 32, |_, at| [3, 8].contains(&at).then_some(0.0));
    let before = file(&tensors);
    let report = listed(&before, &config);
    let cut = width(&report, PruneReason::CoordinateKernel, "layers.0.input_layernorm");
    // 96 outputs read the norm, which has a scale and a shift.
    assert_eq!((cut.channels.as_slice(), cut.parameters, cut.width), (&[3, 8][..], 2 * (96 + 2), 32));
    assert_eq!(report.saved, cut.parameters);
    // Once the shift is in the biases, these columns can hold anything.
    let (_, canonical) = folded(&before, &config, CANONICAL);
    let open = safetensors::SafeTensors::deserialize(&canonical).unwrap();
    for (name, view) in open.tensors() {
        tensors.get_mut(&name).unwrap().2 = view.data().to_vec();
    }
    edit(&mut tensors, &format!("{norm}.bias"), 32, |_, at| [3, 8].contains(&at).then_some(0.0));
    let other = |tensors: &mut Tensors, column: usize| {
        edit(tensors, "gpt_neox.layers.0.attention.query_key_value.weight", 32, |row, at| {
            (at == column).then(|| odd(row, at))
        });
    };
    other(&mut tensors, 3);
    assert!(apart(&before, &file(&tensors), &config) < 1e-5);
    other(&mut tensors, 4);
    assert!(apart(&before, &file(&tensors), &config) > 1e-2, "another column matters");
}

#[test]
fn a_reader_that_keeps_its_columns_is_named_with_the_reason() {
    // The unembedding has no bias for what the shift gives.
    let (mut tensors, config) = (in_f32(&fixture("gpt_neox")), config(&fixture("gpt_neox")));
    edit(&mut tensors, "gpt_neox.final_layer_norm.weight", 32, |_, at| (at == 1).then_some(0.0));
    let report = listed(&file(&tensors), &config);
    assert!(report.widths.is_empty(), "{report:?}");
    assert!(report.left[0].norm.ends_with("final_layer_norm") && report.left[0].why.contains("has no bias"));
}

#[test]
fn columns_that_no_reader_uses_save_their_scale_too() {
    let (mut tensors, config) = (in_f32(&fixture("llama")), config(&fixture("llama")));
    for map in ["q_proj", "k_proj", "v_proj"] {
        let name = format!("model.layers.1.self_attn.{map}.weight");
        edit(&mut tensors, &name, 32, |_, at| [4, 5].contains(&at).then_some(0.0));
    }
    // Only one of the two readers of this norm.
    edit(&mut tensors, "model.layers.0.mlp.up_proj.weight", 32, |_, at| (at == 9).then_some(0.0));
    let before = file(&tensors);
    let report = listed(&before, &config);
    let cut = width(&report, PruneReason::ZeroColumns, "layers.1.input_layernorm");
    assert_eq!((cut.channels.as_slice(), cut.parameters), (&[4, 5][..], 2 * (32 + 16 + 16 + 1)));
    assert_eq!(report.widths.len(), 1, "{report:?}");
    edit(&mut tensors, "model.layers.1.input_layernorm.weight", 32, |_, at| (at == 4).then_some(9.0));
    assert_eq!(apart(&before, &file(&tensors), &config), 0.0);
}

#[test]
fn hidden_units_that_give_zero_or_are_not_read_could_be_cut() {
    let (mut tensors, config) = (in_f32(&fixture("llama")), config(&fixture("llama")));
    let name = |map: &str| format!("model.layers.0.mlp.{map}.weight");
    edit(&mut tensors, &name("gate_proj"), 32, |row, _| (row == 2).then_some(0.0));
    edit(&mut tensors, &name("up_proj"), 32, |row, _| (row == 7).then_some(0.0));
    edit(&mut tensors, &name("down_proj"), 40, |_, at| (at == 30).then_some(0.0));
    let before = file(&tensors);
    let report = listed(&before, &config);
    let cut = width(&report, PruneReason::HiddenUnits, "layers.0.mlp.gate_proj.weight");
    assert_eq!((cut.channels.as_slice(), cut.parameters, cut.width), (&[2, 7, 30][..], 3 * 3 * 32, 40));
    edit(&mut tensors, &name("down_proj"), 40, |row, at| [2, 7].contains(&at).then(|| odd(row, at)));
    edit(&mut tensors, &name("gate_proj"), 32, |row, at| (row == 30).then(|| odd(row, at)));
    assert_eq!(apart(&before, &file(&tensors), &config), 0.0);

    // With a bias, a row of zeros gives a constant.
    let (mut tensors, config) = (in_f32(&fixture("gpt2")), self::config(&fixture("gpt2")));
    edit(&mut tensors, "transformer.h.0.mlp.c_fc.weight", 40, |_, at| [1, 6].contains(&at).then_some(0.0));
    edit(&mut tensors, "transformer.h.0.mlp.c_fc.bias", 40, |_, at| (at == 6).then_some(0.0));
    let report = listed(&file(&tensors), &config);
    let cut = width(&report, PruneReason::HiddenUnits, "h.0.mlp.c_fc.weight");
    assert_eq!((cut.channels.as_slice(), cut.parameters), (&[6][..], 32 + 1 + 32));
}

#[test]
fn a_model_that_is_really_cut_computes_the_same() {
    let (mut tensors, config) = (in_f32(&fixture("llama")), config(&fixture("llama")));
    let (off, d) = ([6usize, 17], 32usize);
    // The place of the stream's channels in each tensor: rows or columns.
    let writes = |name: &str| name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    let names: Vec<String> = tensors.keys().cloned().collect();
    for name in &names {
        let columns = *tensors[name].1.last().unwrap();
        if writes(name) {
            edit(&mut tensors, name, columns, |row, _| off.contains(&row).then_some(0.0));
        } else if name.ends_with("embed_tokens.weight") {
            edit(&mut tensors, name, columns, |_, at| off.contains(&at).then_some(0.0));
        }
    }
    let before = file(&tensors);
    let report = listed(&before, &config);
    let cut = width(&report, PruneReason::UnwrittenStream, "residual stream");
    assert_eq!(cut.channels, [6, 17]);
    let count = |tensors: &Tensors| tensors.values().map(|(_, _, bytes)| bytes.len() as u64 / 4).sum::<u64>();
    let all = count(&tensors);
    let kept = d - off.len();
    let factor = (d as f32 / kept as f32).sqrt();
    for name in &names {
        let (_, shape, _) = &tensors[name];
        let (shape, columns) = (shape.clone(), *shape.last().unwrap());
        let is_norm = shape.len() == 1;
        let all = values(&tensors, name).into_iter().enumerate();
        let stays = |at: &usize| !off.contains(&if writes(name) { at / columns } else { at % columns });
        let values: Vec<f32> = all
            .filter(|(at, _)| stays(at))
            .map(|(_, value)| if is_norm { value * factor } else { value })
            .collect();
        let shape =
            if writes(name) { vec![kept, columns] } else { [&shape[..shape.len() - 1], &[kept]].concat() };
        tensors.get_mut(name).unwrap().1 = shape;
        set(&mut tensors, name, &values);
    }
    assert_eq!(all - count(&tensors), cut.parameters);
    assert_eq!(report.saved, cut.parameters);
    let mut other: serde_json::Value = serde_json::from_slice(&config).unwrap();
    other["hidden_size"] = kept.into();
    other["rms_norm_eps"] = (other["rms_norm_eps"].as_f64().unwrap() * d as f64 / kept as f64).into();
    let open = |weights: Vec<u8>, config: &[u8]| {
        block_on(gammascope::checkpoint::open(sources(weights, config), |_| {})).unwrap()
    };
    let expected: Vec<f64> = crate::fold::output(&open(before, &config)).into_iter().map(f64::from).collect();
    let found = crate::fold::output(&open(file(&tensors), other.to_string().as_bytes()));
    assert!(crate::support::families::furthest(&found, &expected) < 1e-5);
}

#[test]
fn a_weight_that_two_cuts_remove_counts_once() {
    let (mut tensors, config) = (in_f32(&fixture("llama")), config(&fixture("llama")));
    for map in ["gate_proj", "up_proj"] {
        edit(&mut tensors, &format!("model.layers.0.mlp.{map}.weight"), 32, |row, at| {
            (at == 4 || row == 2).then_some(0.0)
        });
    }
    let report = listed(&file(&tensors), &config);
    let columns = width(&report, PruneReason::ZeroColumns, "layers.0.post_attention_layernorm").parameters;
    let units = width(&report, PruneReason::HiddenUnits, "layers.0.mlp.gate_proj.weight").parameters;
    assert_eq!((columns, units), (2 * 40 + 1, 3 * 32));
    assert_eq!(report.saved, columns + units - 2);
}

#[test]
fn the_command_lists_cuts_and_writes_nothing() {
    let fold = || {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.arg("fold").env("COLUMNS", "200");
        command
    };
    let run = fold().arg(sample("layernorm")).arg("--prune").assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("could be cut"), "{text}");
    let work = tempfile::tempdir().unwrap();
    let mut tensors = in_f32(&fixture("llama"));
    edit(&mut tensors, "model.layers.0.input_layernorm.weight", 32, |_, at| (at == 4).then_some(0.0));
    std::fs::write(work.path().join("model.safetensors"), file(&tensors)).unwrap();
    std::fs::write(work.path().join("config.json"), config(&fixture("llama"))).unwrap();
    let run = fold().arg(work.path()).arg("--prune").assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("Cuts would save 65 of") && text.contains("coordinate kernel"), "{text}");
    let run = fold().arg(work.path()).args(["--prune", "--json"]).assert().success();
    let report: PruneReport = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!((report.saved, report.widths[0].tensors.len()), (65, 4));
    fold().arg(work.path()).args(["--prune", "-o", "x"]).assert().code(1);
    fold().arg(work.path()).args(["--prune", "--scales"]).assert().code(1);
}
