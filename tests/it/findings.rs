//! The findings of a report.

use gammascope::inspect::{Inspection, inspect};
use gammascope::report::{FindingCode, FindingSection, KernelForm, NormKind, Warning, WarningCode};
use gammascope::source::disk::DiskSource;
use std::path::Path;

fn sample(name: &str) -> Inspection {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
    let sources = ["model.safetensors", "config.json"]
        .map(|file| DiskSource::open(&folder.join(file), file.to_owned()).unwrap())
        .into();
    pollster::block_on(inspect(sources, |_| {})).unwrap()
}

fn codes(inspection: &Inspection) -> Vec<FindingCode> {
    inspection.report.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn the_layer_norm_sample_names_what_is_dead_and_where_to_see_it() {
    let inspection = sample("layernorm");
    assert_eq!(codes(&inspection)[..2], [FindingCode::WeightsWithoutEffect, FindingCode::DeadDirection]);
    let [weights, direction, ..] = &inspection.report.findings[..] else { panic!() };
    let dead = &inspection.report.dead_parameters;
    assert_eq!(weights.section, FindingSection::Dead);
    assert!(weights.text.contains("3,584 directions") && dead.outright + dead.with_bias_shift == 3584);
    assert!(weights.text.contains(&format!("in {} readers", dead.readers)), "{}", weights.text);
    assert_eq!(direction.site.as_deref(), Some("transformer.ln_f"));
    assert!(direction.advice.contains("center_writing_weights"));
}

#[test]
fn the_findings_of_an_rms_norm_model_advise_against_centring() {
    let inspection = sample("rmsnorm");
    assert_eq!(codes(&inspection)[0], FindingCode::NoDeadDirection);
    assert!(inspection.report.findings[0].advice.starts_with("Do not use `center_writing_weights`"));
}

#[test]
fn findings_follow_the_report() {
    let mut inspection = sample("rmsnorm");
    let report = &mut inspection.report;
    report.norms[3].kind = NormKind::Unknown;
    report.norms[4].kernel.form = KernelForm::Coordinates;
    report.norms[4].kernel.coordinates = vec![1, 2];
    report.norms[4].kernel.near_dead = vec![1, 2];
    report.norms[5].kernel.near_dead = vec![7];
    report.warnings = vec![
        Warning::new(WarningCode::ShardMissing, "a", "shard a is missing"),
        Warning::new(WarningCode::ShardMissing, "b", "shard b is missing"),
        Warning::new(WarningCode::NoGpu, "", "no GPU can be used here"),
    ];
    report.find();
    let expected = [
        FindingCode::KindUnknown,
        FindingCode::Warned,
        FindingCode::ChannelsOff,
        FindingCode::ZeroChannels,
        FindingCode::NoDeadDirection,
    ];
    assert_eq!(codes(&inspection)[..5], expected);
    let report = &inspection.report;
    assert_eq!(report.findings[0].site.as_ref(), Some(&report.norms[3].name));
    assert_eq!(report.findings[1].text, "Shard a is missing. 1 more warning like it.");
    assert!(report.findings[2].text.starts_with("One channel of `"), "{}", report.findings[2].text);
    assert!(report.findings[3].text.ends_with("has 2 channels with a scale of exactly zero."));
}
