//! Models at their initialisation, also compared with trained ones: there is a kernel where the mean is subtracted, and every site
//! is named.

use gammascope::forward::Standing;
use gammascope::inspect::{self, Opened};
use gammascope::measure::gram::Gridded;
use gammascope::model::random::twin_of;
use gammascope::report::{MeasuredVerdict, Verification};
use gammascope::run::content::Content;
use gammascope::run::device::PassDevice;
use gammascope::run::execute::Shown;
use gammascope::run::pass::Sites;
use gammascope::run::planned::{Extent, Model, Run};
use gammascope::run::random_init::random_init;
use gammascope::source::ByteSource;
use gammascope::source::disk::DiskSource;
use gammascope::text::ids::{TokenIds, uniform};
use pollster::block_on;
use std::ops::ControlFlow;
use std::path::Path;

fn open<S: ByteSource>(sources: Vec<S>) -> Opened<S> {
    block_on(inspect::open(sources, |_| {})).unwrap()
}

/// Opens a small checkpoint from a folder of the repository.
fn checkpoint(folder: &str) -> Opened<DiskSource> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    open(
        ["model.safetensors", "config.json"]
            .map(|file| DiskSource::open(&folder.join(file), file).unwrap())
            .into(),
    )
}

/// Measures all norms of a model on uniform ids, with eight tokens for each channel.
fn measured<S: ByteSource>(opened: &Opened<S>) -> Verification {
    let width = opened.inspection.report.model.width.unwrap() as usize;
    let extent = Extent { tokens: Some(8 * width), sequence: Some(16), blocks: None };
    let model = Model::new(opened.checkpoint(), extent).unwrap();
    let wanted = model.wanted();
    let count = wanted.tokens.next_multiple_of(wanted.length);
    let ids = uniform(count, wanted.vocabulary);
    let ids = TokenIds { ids, further: Vec::new(), what: "uniform token ids".to_owned(), is_text: false };
    let run = Run::new(opened.checkpoint(), model, Content::Tokens(ids), Sites::All, false).unwrap();
    let mut measured = Vec::new();
    let gram = async |gridded: &Gridded| gridded.gram();
    let give = async |shown: Shown| {
        if let Shown::Sample(sample) = shown {
            measured.push(sample.measure(&opened.inspection, gram).await);
        }
        ControlFlow::Continue(())
    };
    let outcome =
        block_on(run.execute(opened, &PassDevice::Cpu, &mut Standing::default(), None, give)).unwrap();
    run.result(measured, outcome, "cpu".to_owned(), 1.0).verification().unwrap().0
}

#[test]
fn the_initialisation_has_a_kernel_where_the_mean_is_subtracted_and_each_site_is_named_once() {
    for (folder, subtracts) in [
        ("tests/forward/gpt2", true),
        ("tests/forward/bert", true),
        ("tests/forward/opt", true),
        ("tests/forward/gpt_neox", true),
        // Its norms store nothing.
        ("tests/forward/olmo", true),
        ("tests/forward/llama", false),
        ("tests/forward/gemma3", false),
        ("samples/layernorm", true),
        ("samples/rmsnorm", false),
    ] {
        let opened = checkpoint(folder);
        let trained = measured(&opened);
        let random = measured(&open(twin_of(opened.checkpoint(), 1).unwrap()));
        let found = random_init(&trained, &random, 1);
        let names = |sites: &[gammascope::report::SiteVerification]| {
            sites.iter().map(|site| site.name.clone()).collect::<Vec<_>>()
        };
        let named: Vec<String> = found.sites.iter().map(|site| site.name.clone()).collect();
        assert_eq!(named, names(&trained.sites), "{folder}");
        for site in &found.sites {
            assert_eq!(site.subtracts_mean(), subtracts, "{folder}: {site:?}");
            if subtracts {
                assert!(site.cos_scale_free.unwrap() > 0.9999, "{folder}: {site:?}");
                assert!(site.depth < 1e-12 && site.below_tau == Some(1), "{folder}: {site:?}");
            } else {
                assert!(
                    site.depth_scale_free.unwrap() > MeasuredVerdict::NOT_SUBTRACTED,
                    "{folder}: {site:?}"
                );
            }
        }
        assert_eq!(found.medians().is_some(), subtracts, "{folder}");
    }
}

#[test]
fn the_ratio_of_depths_is_that_of_its_two_factors() {
    let opened = checkpoint("samples/layernorm");
    let trained = measured(&opened);
    let found = random_init(&trained, &measured(&open(twin_of(opened.checkpoint(), 1).unwrap())), 1);
    for (site, trained) in found.sites.iter().zip(&trained.sites) {
        let [depth, variance, mean] =
            [site.depth_ratio, site.lambda_v_ratio, site.mean_ratio].map(Option::unwrap);
        assert!((depth / (variance / mean) - 1.0).abs() < 1e-9, "{site:?}");
        assert!((depth * site.depth / trained.depth - 1.0).abs() < 1e-9, "{site:?}");
        // With γ = 1, the mean square is at most 1, and subtracting the mean over the tokens reduces it.
        assert!(site.mean_variance > 0.5 && site.mean_variance < 1.0, "{site:?}");
    }
}

#[test]
fn a_site_that_was_measured_in_only_one_of_them_is_left_out() {
    let opened = checkpoint("tests/forward/gpt2");
    let trained = measured(&opened);
    let mut random = trained.clone();
    let gone = random.sites.remove(0).name;
    let found = random_init(&trained, &random, 1);
    assert_eq!(found.sites.len(), trained.sites.len() - 1);
    assert!(found.sites.iter().all(|site| site.name != gone && site.depth_ratio == Some(1.0)));
}
