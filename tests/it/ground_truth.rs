//! Compares the verdicts on real architectures with what their norm modules do, measured by running them. The documents in
//! `tests/architectures` are few, chosen for difficult cases. Some checkouts have more beside them, which are used too.

use crate::support::architecture::{Architecture, Mode, Score, read_folder};
use std::path::Path;

fn folder(path: &str) -> Vec<Architecture> {
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

fn score(architectures: &[Architecture], mode: Mode) -> Score {
    let mut total = Score::default();
    for architecture in architectures {
        let (report, names) =
            architecture.inspect(mode).unwrap_or_else(|error| panic!("{}: {error}", architecture.name));
        let score = architecture.score(&report, &names);
        let (misleading, missing) = (score.misleading(), score.missing);
        assert_eq!(misleading, missing, "{}, {}: {:?}", architecture.name, mode.name(), score.faults);
        total.add(&score);
    }
    total
}

/// Asserts that no verdict, site or convention is wrong, that hardly any site is missing, and that enough kinds are decided.
fn assert_held(architectures: &[Architecture], mode: Mode, least_right: f64) {
    let total = score(architectures, mode);
    let sites = f64::from(total.sites());
    assert!(
        f64::from(total.right) >= least_right * sites,
        "{}: {} of {sites} right",
        mode.name(),
        total.right
    );
    assert!(
        f64::from(total.missing) <= 0.005 * sites || mode == Mode::Opaque,
        "{}: {} missing",
        mode.name(),
        total.missing
    );
}

/// For each mode, the least share of sites whose kind must be decided and right.
const HELD_TO: [(Mode, f64); 7] = [
    (Mode::Config, 0.99),
    (Mode::NoConfig, 0.95),
    (Mode::Strip, 0.95),
    (Mode::Wrapped, 0.95),
    (Mode::Unlisted, 0.3),
    (Mode::UnknownLibrary, 0.6),
    (Mode::Opaque, 0.0),
];

#[test]
fn no_verdict_is_wrong_on_the_architectures_of_this_repository() {
    let architectures = folder("tests/architectures");
    assert!(
        architectures.len() > 50 && architectures.iter().map(Architecture::tensors).sum::<usize>() > 30_000
    );
    for (mode, least_right) in HELD_TO {
        // The 192 norms of MobileBERT, of 5,154, may be plain scales and shifts. Only its configuration decides.
        let without_config = mode != Mode::Config && least_right > 0.9;
        assert_held(&architectures, mode, if without_config { 0.94 } else { least_right });
    }
}

#[test]
fn norms_that_store_nothing_are_sites_where_the_configuration_names_their_family() {
    let olmo = folder("tests/architectures").into_iter().filter(|architecture| architecture.name == "olmo");
    let olmo: Vec<Architecture> = olmo.collect();
    let [with, without] = [Mode::Config, Mode::NoConfig].map(|mode| score(&olmo, mode));
    // Two in each of 32 blocks, and one after the last.
    assert_eq!((with.right, with.sites()), (65, 65));
    assert_eq!(without.sites(), 0);
}

/// Checks the documents of a folder beside this checkout in these modes.
fn assert_held_beside(path: &str, modes: &[(Mode, f64)]) {
    let architectures = folder(path);
    assert!(!architectures.is_empty(), "there is no ground truth in {path}");
    for &(mode, least_right) in modes {
        assert_held(&architectures, mode, least_right);
    }
}

/// Libraries other than transformers and timm: no verdict is wrong, with or without the tables from their library.
#[test]
#[ignore = "needs ../shared/architectures-elsewhere"]
fn no_verdict_is_wrong_on_the_libraries_beside_this_checkout() {
    let modes = [(Mode::Config, 0.9), (Mode::NoConfig, 0.85), (Mode::UnknownLibrary, 0.3)];
    assert_held_beside("../shared/architectures-elsewhere", &modes);
}

#[test]
#[ignore = "needs ../shared/architectures"]
fn no_verdict_is_wrong_on_the_architectures_beside_this_checkout() {
    assert_held_beside("../shared/architectures", &HELD_TO);
}
