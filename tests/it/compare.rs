//! Compares two checkpoints: sites are matched across names and formats, changes are measured, and the largest come first.

use crate::support;
use crate::support::gguf::Gguf;
use crate::support::network::{Network, Random, WIDTH, Weights};
use gammascope::compare::compare;
use gammascope::inspect::Inspection;
use gammascope::report::comparison::{Comparison, MatchedBy, SCHEMA, SiteComparison};
use gammascope::report::{KernelForm, NormKind};

const GPT2: Network = Network::Gpt2 { tied: true };

/// The weights with other names. A tensor without a name is left out.
fn renamed(network: Network, weights: &Weights, name: impl Fn(&str) -> Option<String>) -> Inspection {
    let named: Vec<(String, &[usize], Vec<f32>)> = weights
        .iter()
        .filter_map(|(old, (shape, values))| {
            Some((name(old)?, shape.as_slice(), values.iter().map(|&value| value as f32).collect()))
        })
        .collect();
    let tensors: Vec<(&str, &[usize], Vec<f32>)> =
        named.iter().map(|(name, shape, values)| (name.as_str(), *shape, values.clone())).collect();
    let files = vec![
        ("model.safetensors", support::tensors(&tensors)),
        ("config.json", network.config().into_bytes()),
    ];
    support::open(files).unwrap()
}

fn inspected(network: Network, weights: &Weights) -> Inspection {
    renamed(network, weights, |name| Some(name.to_owned()))
}

fn site<'a>(comparison: &'a Comparison, name: &str) -> &'a SiteComparison {
    comparison.sites.iter().find(|site| site.name == name).unwrap()
}

fn matched(comparison: &Comparison, how: MatchedBy) -> usize {
    comparison.sites.iter().filter(|site| site.matched_by == how).count()
}

#[test]
fn a_checkpoint_does_not_differ_from_itself() {
    let weights = GPT2.weights(&mut Random(1));
    let comparison = compare(&inspected(GPT2, &weights), &inspected(GPT2, &weights)).unwrap();
    assert_eq!((comparison.schema.as_str(), comparison.sites.len()), (SCHEMA, 5));
    assert!(comparison.sites.iter().all(|site| !site.changed() && site.angle == Some(0.0)));
    assert_eq!(matched(&comparison, MatchedBy::Name), 5);
    assert!(comparison.only_before.is_empty() && comparison.only_after.is_empty());
    assert!(comparison.sentence.contains("every scale is the same"), "{}", comparison.sentence);
}

#[test]
fn the_largest_change_comes_first_with_its_angle_and_its_relative_change() {
    let before = GPT2.weights(&mut Random(1));
    let mut after = before.clone();
    // All scales doubled: γ changes, its direction does not. One scale moved: both do.
    after.get_mut("transformer.h.0.ln_2.weight").unwrap().1.iter_mut().for_each(|value| *value *= 2.0);
    let moved = &mut after.get_mut("transformer.h.1.ln_1.weight").unwrap().1;
    *moved = vec![1.0; WIDTH];
    moved[0] = 0.5;
    let mut flat = before.clone();
    flat.get_mut("transformer.h.1.ln_1.weight").unwrap().1 = vec![1.0; WIDTH];
    let comparison = compare(&inspected(GPT2, &flat), &inspected(GPT2, &after)).unwrap();
    assert_eq!(comparison.sites[0].name, "transformer.h.0.ln_2");
    assert_eq!(comparison.sites[0].relative_change, Some(1.0));
    assert_eq!(comparison.sites[0].angle, Some(0.0));
    assert_eq!(comparison.sites[1].name, "transformer.h.1.ln_1");
    // v ∝ (1, 1, 1, 1, 1, 1) against (2, 1, 1, 1, 1, 1): cos = 7/√(6·9).
    let expected = (7.0 / 54f64.sqrt()).acos();
    assert!((comparison.sites[1].angle.unwrap() - expected).abs() < 1e-12);
    assert!((comparison.sites[1].relative_change.unwrap() - 0.5 / 6f64.sqrt()).abs() < 1e-12);
    assert!(comparison.sites[2..].iter().all(|site| !site.changed()));
}

#[test]
fn zeros_are_compared_as_sets_and_near_dead_channels_are_gained_and_lost() {
    let mut before = GPT2.weights(&mut Random(1));
    let mut after = before.clone();
    let scale = |weights: &mut Weights, name: &str, index: usize, value: f64| {
        weights.get_mut(&format!("{name}.weight")).unwrap().1[index] = value;
    };
    scale(&mut before, "transformer.h.0.ln_1", 2, 0.0);
    scale(&mut after, "transformer.h.0.ln_1", 3, 0.0);
    scale(&mut after, "transformer.h.0.ln_2", 1, 1e-6);
    scale(&mut before, "transformer.ln_f", 4, 1e-6);
    scale(&mut after, "transformer.h.1.ln_1", 5, 0.0);
    let comparison = compare(&inspected(GPT2, &before), &inspected(GPT2, &after)).unwrap();
    let coordinates = site(&comparison, "transformer.h.0.ln_1");
    assert_eq!(coordinates.angle, None);
    assert_eq!((&coordinates.zeros_gained[..], &coordinates.zeros_lost[..]), (&[3][..], &[2][..]));
    assert!(coordinates.kernel_changed());
    assert_eq!(site(&comparison, "transformer.h.0.ln_2").near_dead_gained, [1]);
    assert_eq!(site(&comparison, "transformer.ln_f").near_dead_lost, [4]);
    let lost = site(&comparison, "transformer.h.1.ln_1");
    assert_eq!((lost.form, lost.form_after), (KernelForm::InverseScale, KernelForm::Coordinates));
    assert_eq!(lost.angle, None);
    // A changed kernel comes before any change of a scale.
    let first: Vec<bool> = comparison.sites.iter().map(SiteComparison::kernel_changed).collect();
    assert_eq!(first, [true, true, false, false, false]);
}

#[test]
fn a_changed_kind_comes_first() {
    let weights = GPT2.weights(&mut Random(1));
    let rms = Network::Llama.weights(&mut Random(1));
    let comparison = compare(&inspected(GPT2, &weights), &inspected(Network::Llama, &rms)).unwrap();
    assert_eq!(matched(&comparison, MatchedBy::Place), 5);
    let changed = |site: &SiteComparison| (site.kind, site.kind_after);
    assert!(
        comparison.sites.iter().all(|site| changed(site) == (NormKind::LayerNorm, NormKind::RmsNorm)),
        "{comparison:?}"
    );
    assert_eq!(site(&comparison, "transformer.ln_f").name_after, "model.norm");
    assert_eq!(
        site(&comparison, "transformer.h.1.ln_2").name_after,
        "model.layers.1.post_attention_layernorm"
    );
    assert!(comparison.sentence.contains("5 with another kind"), "{}", comparison.sentence);
}

#[test]
fn the_prefix_of_a_wrapper_does_not_matter() {
    let weights = GPT2.weights(&mut Random(1));
    let wrapped =
        renamed(GPT2, &weights, |name| Some(name.replacen("transformer.", "base_model.model.gpt.", 1)));
    let comparison = compare(&inspected(GPT2, &weights), &wrapped).unwrap();
    assert_eq!(matched(&comparison, MatchedBy::Suffix), 5);
    for site in &comparison.sites {
        let end = site.name.strip_prefix("transformer.").unwrap();
        assert_eq!(site.name_after, format!("base_model.model.gpt.{end}"));
        assert!(!site.changed());
    }
}

#[test]
fn sites_without_a_counterpart_are_listed_with_the_reason() {
    let weights = GPT2.weights(&mut Random(1));
    let shorter = renamed(GPT2, &weights, |name| (!name.contains(".h.1.")).then(|| name.to_owned()));
    let comparison = compare(&inspected(GPT2, &weights), &shorter).unwrap();
    assert_eq!(comparison.sites.len(), 3);
    let names: Vec<&str> = comparison.only_before.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["transformer.h.1.ln_1", "transformer.h.1.ln_2"]);
    assert!(comparison.only_before[0].why.contains("no site with this name"));
    assert!(comparison.sentence.ends_with("2 in the first only."), "{}", comparison.sentence);
}

#[test]
fn checkpoints_without_a_site_in_common_are_refused_in_one_sentence() {
    let ours = inspected(GPT2, &GPT2.weights(&mut Random(1)));
    let other =
        support::open(vec![("m.safetensors", support::layer_norm("encoder.final_layer_norm", &[1.0; 9]))]);
    let sentence = compare(&ours, &other.unwrap()).unwrap_err().to_string();
    for part in
        ["transformer.h.0.ln_1", "width 6", "encoder.final_layer_norm", "width 9", "no site in common"]
    {
        assert!(sentence.contains(part), "{sentence}");
    }
    let empty =
        support::open(vec![("m.safetensors", support::tensors(&[("a.weight", &[2, 2], vec![0.0; 4])]))]);
    let sentence = compare(&ours, &empty.unwrap()).unwrap_err().to_string();
    assert!(sentence.contains("`m.safetensors` has no norm site"), "{sentence}");
}

#[test]
fn a_gguf_twin_has_other_names_and_the_same_scales() {
    let weights = Network::Llama.weights(&mut Random(3));
    let values = |name: &str| -> Vec<f32> { weights[name].1.iter().map(|&value| value as f32).collect() };
    let d = WIDTH as u64;
    let mut file = Gguf::of("llama")
        .values("token_embd.weight", &[7, d], &values("model.embed_tokens.weight"))
        .values("output_norm.weight", &[d], &values("model.norm.weight"));
    for block in 0..2 {
        for (theirs, ours) in [
            ("attn_norm", "input_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ] {
            let name = format!("model.layers.{block}.{ours}.weight");
            let shape: Vec<u64> = weights[&name].0.iter().map(|&size| size as u64).collect();
            file = file.values(&format!("blk.{block}.{theirs}.weight"), &shape, &values(&name));
        }
    }
    let twin = support::open(vec![("model.gguf", file.build())]).unwrap();
    let comparison = compare(&inspected(Network::Llama, &weights), &twin).unwrap();
    assert_eq!(matched(&comparison, MatchedBy::Place), 5);
    assert!(comparison.sites.iter().all(|site| !site.changed()), "{comparison:?}");
    assert_eq!(site(&comparison, "model.layers.1.input_layernorm").name_after, "blk.1.attn_norm");
    assert_eq!(site(&comparison, "model.norm").name_after, "output_norm");
}

#[test]
fn towers_of_equal_width_are_not_confused() {
    let towers = |names: [&str; 4]| {
        let scales: Vec<Vec<f32>> = (0..4).map(|tower| vec![1.0 + tower as f32; 5]).collect();
        let mut tensors: Vec<(String, Vec<f32>)> = Vec::new();
        for (name, scale) in names.iter().zip(scales) {
            tensors.push((format!("{name}.weight"), scale));
            tensors.push((format!("{name}.bias"), vec![0.5; 5]));
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let listed: Vec<(&str, &[usize], Vec<f32>)> =
            tensors.iter().map(|(name, values)| (name.as_str(), &[5][..], values.clone())).collect();
        support::open(vec![("m.safetensors", support::tensors(&listed))]).unwrap()
    };
    let ours = towers([
        "text_model.encoder.layers.0.layer_norm1",
        "text_model.encoder.layers.0.layer_norm2",
        "vision_model.encoder.layers.0.layer_norm1",
        "vision_model.encoder.layers.0.layer_norm2",
    ]);
    // Here the vision tower comes first.
    let theirs = towers([
        "words.resblocks.0.ln_1",
        "words.resblocks.0.ln_2",
        "visual.resblocks.0.ln_1",
        "visual.resblocks.0.ln_2",
    ]);
    let comparison = compare(&ours, &theirs).unwrap();
    assert_eq!(matched(&comparison, MatchedBy::Place), 4);
    assert!(comparison.sites.iter().all(|site| site.relative_change == Some(0.0)), "{comparison:#?}");
}
