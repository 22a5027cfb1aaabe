use super::*;
use crate::checkpoint::Tensor;
use crate::checkpoint::config::Config;
use crate::checkpoint::dtype::TensorType;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const GEMMA: &str = r#"{"model_type":"gemma3_text"}"#;
const QWEN: &str = r#"{"model_type":"qwen3_next"}"#;
const LLAMA: &str = r#"{"model_type":"llama"}"#;
const BERT: &str = r#"{"model_type":"bert"}"#;

/// Effective scales by name: blocks of two norms and a last one.
type Scales = Vec<(String, Vec<f64>)>;

/// γ = `centre` · e^(`spread` · N(0, 1)).
struct Model {
    blocks: usize,
    width: usize,
    centre: f64,
    spread: f64,
    seed: u64,
}

impl Model {
    fn scales(&self) -> Scales {
        let mut random = SmallRng::seed_from_u64(self.seed);
        let mut scale = || -> Vec<f64> {
            // A sum of twelve is nearly normal.
            let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
            (0..self.width).map(|_| self.centre * (self.spread * normal()).exp()).collect()
        };
        let mut scales = Vec::new();
        for block in 0..self.blocks {
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                scales.push((format!("model.layers.{block}.{norm}"), scale()));
            }
        }
        scales.push(("model.norm".to_owned(), scale()));
        scales
    }
}

/// Wide, as in Gemma: γ from 0 to hundreds.
fn wide() -> Scales {
    Model { blocks: 6, width: 96, centre: 5.0, spread: 1.5, seed: 3 }.scales()
}

/// As in a model that was trained for a short time.
fn narrow() -> Scales {
    Model { blocks: 5, width: 40, centre: 1.0, spread: 0.15, seed: 4 }.scales()
}

/// As in a small Llama: most are well below 1.
fn low() -> Scales {
    Model { blocks: 8, width: 64, centre: 0.4, spread: 0.5, seed: 5 }.scales()
}

fn add(scales: &mut Scales, added: f64, at: impl Fn(&str) -> bool) {
    for (_, values) in scales.iter_mut().filter(|(name, _)| at(name)) {
        values.iter_mut().for_each(|value| *value += added);
    }
}

fn sites(scales: &Scales) -> Vec<NormSite> {
    let mut at = 0;
    let tensors: Vec<Tensor> = scales
        .iter()
        .map(|(name, values)| {
            let (begin, end) = (at, at + 4 * values.len() as u64);
            at = end;
            Tensor {
                name: format!("{name}.weight"),
                dtype: TensorType::parse("F32"),
                shape: vec![values.len() as u64],
                shard: 0,
                range: begin..end,
                strides: None,
            }
        })
        .collect();
    crate::norm::find(&tensors, Vec::new(), crate::norm::Knowledge::default())
}

/// What is decided about stored scales, by name, and the messages.
fn decided(
    scales: &Scales,
    config: Option<&str>,
    kind: NormKind,
    mlx: bool,
) -> (Vec<(String, Convention)>, Vec<String>) {
    let sites = sites(scales);
    let config = config.map(|json| {
        let name = if json.contains("general.") { "m.gguf" } else { "config.json" };
        Config::parse("", name, json.as_bytes()).unwrap()
    });
    let stored = |site: &NormSite| {
        let found = scales.iter().find(|(name, _)| *name == site.name);
        found.map(|(_, values)| values.as_slice())
    };
    let seen: Vec<Seen<'_>> = sites
        .iter()
        .map(|site| Seen {
            site,
            config: config.as_ref().map(|config| config.scope(&site.name)),
            kind,
            stored: stored(site),
            mlx,
        })
        .collect();
    assert_eq!(seen.len(), scales.len());
    let (conventions, doubts) = decide(&seen);
    let named = sites.iter().map(|site| site.name.clone()).zip(conventions).collect();
    (named, doubts.into_iter().map(|doubt| doubt.message).collect())
}

/// The one convention of all sites, with its reason.
fn all(decided: &(Vec<(String, Convention)>, Vec<String>)) -> (ScaleConvention, &str) {
    let first = &decided.0[0].1;
    assert!(decided.0.iter().all(|(_, one)| one.convention == first.convention), "{decided:?}");
    (first.convention, &first.reason)
}

fn unknown(decided: &(Vec<(String, Convention)>, Vec<String>)) -> Vec<&str> {
    let unknown = decided.0.iter().filter(|(_, one)| one.convention == ScaleConvention::Unknown);
    unknown.map(|(name, _)| name.as_str()).collect()
}

#[test]
fn what_is_stored_as_the_family_says_is_believed() {
    for (scales, what) in [(wide(), "wide"), (narrow(), "narrow"), (low(), "low")] {
        for mlx in [false, true] {
            let llama = decided(&scales, Some(LLAMA), NormKind::RmsNorm, mlx);
            assert_eq!((all(&llama).0, llama.1.len()), (ScaleConvention::Weight, 0), "{what} {llama:?}");
            let mut stored = scales.clone();
            add(&mut stored, -1.0, |_| true);
            let gemma = decided(&stored, Some(GEMMA), NormKind::RmsNorm, mlx);
            assert_eq!(
                (all(&gemma).0, gemma.1.len()),
                (ScaleConvention::OnePlusWeight, 0),
                "{what} {gemma:?}"
            );
            assert_eq!(all(&gemma).1.contains("has not added the 1"), mlx);
        }
    }
}

#[test]
fn a_family_that_adds_one_with_the_one_in_its_values_is_unknown_unless_mlx_wrote_it() {
    for (scales, config) in [(wide(), GEMMA), (narrow(), QWEN), (low(), QWEN)] {
        let doubted = decided(&scales, Some(config), NormKind::RmsNorm, false);
        let (convention, reason) = all(&doubted);
        assert_eq!((convention, doubted.1.len()), (ScaleConvention::Unknown, 1));
        assert!(reason.contains("look like γ itself"), "{reason}");
        assert!(doubted.1[0].contains(&format!("of all {} norms", scales.len())), "{}", doubted.1[0]);
        assert!(doubted.1[0].contains("No kernel is offered"), "{}", doubted.1[0]);
        let mlx = decided(&scales, Some(config), NormKind::RmsNorm, true);
        let (convention, reason) = all(&mlx);
        assert_eq!((convention, mlx.1.len()), (ScaleConvention::Weight, 0));
        assert!(reason.contains("MLX wrote it"), "{reason}");
    }
}

#[test]
fn a_family_that_adds_one_with_one_subtracted_is_unknown() {
    for scales in [wide(), narrow(), low()] {
        let mut stored = scales;
        add(&mut stored, -2.0, |_| true);
        let doubted = decided(&stored, Some(GEMMA), NormKind::RmsNorm, false);
        let (convention, reason) = all(&doubted);
        assert_eq!(convention, ScaleConvention::Unknown);
        assert!(reason.contains("look like γ − 2"), "{reason}");
    }
}

#[test]
fn a_family_without_one_plus_is_held_against_its_values_in_both_directions() {
    for (config, kind) in [(LLAMA, NormKind::RmsNorm), (BERT, NormKind::LayerNorm)] {
        for scales in [narrow(), low()] {
            for (added, looks) in [(-1.0, "γ − 1"), (1.0, "γ + 1")] {
                let mut stored = scales.clone();
                add(&mut stored, added, |_| true);
                let doubted = decided(&stored, Some(config), kind, false);
                let (convention, reason) = all(&doubted);
                assert_eq!(convention, ScaleConvention::Unknown, "{config} {added}");
                assert!(reason.contains(looks), "{reason}");
            }
        }
    }
}

#[test]
fn untrained_scales_tell_which_one_is_missing() {
    let constant = |value: f64| -> Scales {
        narrow().into_iter().map(|(name, values)| (name, vec![value; values.len()])).collect()
    };
    let of = |value, config| all(&decided(&constant(value), Some(config), NormKind::RmsNorm, false)).0;
    assert_eq!(of(0.0, GEMMA), ScaleConvention::OnePlusWeight);
    assert_eq!(of(1.0, LLAMA), ScaleConvention::Weight);
    assert_eq!(of(1.0, GEMMA), ScaleConvention::Unknown);
    assert_eq!(of(0.0, LLAMA), ScaleConvention::Unknown);
    assert_eq!(of(2.0, LLAMA), ScaleConvention::Unknown);
}

#[test]
fn norms_without_the_one_or_alone_with_it_are_named_and_the_others_are_used() {
    let is_last = |name: &str| name == "model.norm";
    let mut stored = narrow();
    add(&mut stored, -1.0, |name| !is_last(name));
    let doubted = decided(&stored, Some(QWEN), NormKind::RmsNorm, false);
    assert_eq!(unknown(&doubted), ["model.norm"]);
    assert!(doubted.1[0].contains("of 1 of 11 norms (`model.norm`)"), "{}", doubted.1[0]);
    // MLX added it to all but the last one.
    let mut stored = narrow();
    add(&mut stored, -1.0, is_last);
    let doubted = decided(&stored, Some(QWEN), NormKind::RmsNorm, true);
    assert_eq!(unknown(&doubted), ["model.norm"]);
    assert!(doubted.1[0].contains("γ − 1, unlike the others"), "{}", doubted.1[0]);
    let others = doubted.0.iter().filter(|(name, _)| !is_last(name));
    assert!({ others }.all(|(_, one)| one.convention == ScaleConvention::Weight));
}

#[test]
fn one_norm_of_many_alike_is_held_against_them() {
    let at = |name: &str| name == "model.layers.3.post_attention_layernorm";
    for (added, looks) in [(1.0, "γ + 1"), (-1.0, "γ − 1")] {
        let mut stored = narrow();
        add(&mut stored, added, at);
        let doubted = decided(&stored, Some(LLAMA), NormKind::RmsNorm, false);
        assert_eq!(unknown(&doubted), ["model.layers.3.post_attention_layernorm"]);
        assert!(doubted.1[0].contains(looks) && doubted.1.len() == 1, "{:?}", doubted.1);
    }
}

#[test]
fn numbers_on_the_grid_of_bf16_plus_one_are_told_from_finer_ones() {
    // To BF16, towards zero.
    let rounded = |value: f64| f64::from(f32::from_bits((value as f32).to_bits() & 0xffff_0000));
    let mut stored = Model { blocks: 6, width: 512, centre: 2.0, spread: 1.5, seed: 9 }.scales();
    add(&mut stored, -1.0, |_| true);
    stored.iter_mut().flat_map(|(_, values)| values).for_each(|value| *value = rounded(*value));
    let plain = decided(&stored, Some(GEMMA), NormKind::RmsNorm, false);
    assert_eq!((all(&plain).0, plain.1.len()), (ScaleConvention::OnePlusWeight, 0));
    add(&mut stored, 1.0, |name| name == "model.layers.2.input_layernorm");
    stored.iter_mut().flat_map(|(_, values)| values).for_each(|value| *value = rounded(*value));
    let doubted = decided(&stored, Some(GEMMA), NormKind::RmsNorm, false);
    assert_eq!(unknown(&doubted), ["model.layers.2.input_layernorm"]);
    assert!(doubted.1[0].contains("multiples of 2⁻⁸"), "{}", doubted.1[0]);
    // Nothing shows whether a norm without a value near 0 has the 1 too.
    for (_, values) in stored.iter_mut().filter(|(name, _)| name == "model.norm") {
        values.iter_mut().for_each(|value| *value = value.abs().max(0.5));
    }
    let doubted = decided(&stored, Some(GEMMA), NormKind::RmsNorm, false);
    assert_eq!(unknown(&doubted), ["model.layers.2.input_layernorm", "model.norm"]);
    assert!(doubted.1[1].contains("may be γ itself"), "{}", doubted.1[1]);
}

#[test]
fn a_zero_where_other_norms_have_minus_one_shows_the_added_one() {
    let mut stored = wide();
    for (_, values) in &mut stored {
        values[7] = 0.0;
        values.iter_mut().for_each(|value| *value -= 1.0);
    }
    assert_eq!(unknown(&decided(&stored, Some(GEMMA), NormKind::RmsNorm, false)).len(), 0);
    add(&mut stored, 1.0, |name| name == "model.layers.4.input_layernorm");
    let doubted = decided(&stored, Some(GEMMA), NormKind::RmsNorm, false);
    assert_eq!(unknown(&doubted), ["model.layers.4.input_layernorm"]);
    assert!(doubted.1[0].contains("the least is exactly 0"), "{}", doubted.1[0]);
}

#[test]
fn a_gguf_file_without_the_added_one_is_doubted() {
    let gemma = r#"{"general.architecture":"gemma3"}"#;
    let right = decided(&wide(), Some(gemma), NormKind::RmsNorm, false);
    assert_eq!(all(&right).0, ScaleConvention::Weight);
    assert!(all(&right).1.contains("already added"), "{}", all(&right).1);
    let mut stored = wide();
    add(&mut stored, -1.0, |_| true);
    let doubted = decided(&stored, Some(gemma), NormKind::RmsNorm, false);
    assert!(all(&doubted).1.contains("γ − 1"), "{}", all(&doubted).1);
    let llama = decided(&low(), Some(r#"{"general.architecture":"llama"}"#), NormKind::RmsNorm, false);
    assert!(all(&llama).1.contains("multiplies"));
}

#[test]
fn with_few_values_the_family_decides() {
    let scales: Scales = vec![("model.norm".to_owned(), vec![0.9, 1.1, 1.0, 0.8])];
    let gemma = decided(&scales, Some(GEMMA), NormKind::RmsNorm, false);
    assert_eq!((all(&gemma).0, gemma.1.len()), (ScaleConvention::OnePlusWeight, 0));
}

#[test]
fn without_a_configuration_the_values_decide_alone() {
    assert_eq!(all(&decided(&low(), None, NormKind::RmsNorm, false)).0, ScaleConvention::Weight);
    let mut stored = narrow();
    add(&mut stored, -1.0, |_| true);
    assert_eq!(all(&decided(&stored, None, NormKind::RmsNorm, false)).0, ScaleConvention::OnePlusWeight);
    assert_eq!(all(&decided(&stored, None, NormKind::Other, false)).0, ScaleConvention::Weight);
}

#[test]
fn minus_one_is_an_exact_zero_of_one_plus_w_and_an_unknown_convention_has_no_scale() {
    let of = |convention| Convention { convention, reason: String::new() };
    assert_eq!(of(ScaleConvention::OnePlusWeight).effective(&[-1.0, 0.5]), Some(vec![0.0, 1.5]));
    assert_eq!(of(ScaleConvention::Weight).effective(&[-1.0]), Some(vec![-1.0]));
    assert_eq!(of(ScaleConvention::Unknown).effective(&[-1.0]), None);
}
