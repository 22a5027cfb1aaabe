//! A report as a link and as an HTML file: both hold exactly the report.

use crate::support;
use gammascope::figures::figure;
use gammascope::inspect::{Inspection, inspect};
use gammascope::plot::{FigureKind, Size};
use gammascope::report::Report;
use gammascope::share::{Choice, ShareError, Shared, html};
use gammascope::source::disk::DiskSource;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use std::path::Path;

const NAMED: Choice = Choice { names: true };
const NAMELESS: Choice = Choice { names: false };
const MADE: &str = "2026-11-25T12:00:00Z";
const SIZE: Size = Size { width: 720, height: 0 };

/// Opens a checkpoint of the repository by its folder.
fn sample(name: &str) -> Inspection {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let sources = ["model.safetensors", "config.json"]
        .map(|file| DiskSource::open(&folder.join(file), format!("{name}/{file}")).unwrap())
        .into();
    pollster::block_on(inspect(sources, |_| {})).unwrap()
}

/// A GPT-2-like model with this many blocks. The name of every tensor contains `word`, and every site has different scales.
fn model(word: &str, blocks: usize, width: usize) -> Inspection {
    let mut random = SmallRng::seed_from_u64(5);
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    let mut norm = |name: String| {
        let scale = (0..width).map(|_| (0.4 * random.sample::<f32, _>(StandardNormal)).exp()).collect();
        [
            (format!("{name}.weight"), vec![width], scale),
            (format!("{name}.bias"), vec![width], vec![0.1; width]),
        ]
    };
    for block in 0..blocks {
        let at = |part: &str| format!("{word}.h.{block}.{part}");
        tensors.extend(norm(at("ln_1")));
        tensors.extend(norm(at("ln_2")));
        for (part, rows, columns) in [
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ] {
            let weight = (0..rows * columns).map(|at| 0.1 + 0.01 * (at % 7) as f32).collect();
            tensors.push((at(&format!("{part}.weight")), vec![rows, columns], weight));
            tensors.push((at(&format!("{part}.bias")), vec![columns], vec![0.0; columns]));
        }
    }
    tensors.extend(norm(format!("{word}.ln_f")));
    let listed: Vec<_> = tensors
        .iter()
        .map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone()))
        .collect();
    let path = format!("{word}.safetensors");
    let config = ("config.json", br#"{ "model_type": "gpt2" }"#.to_vec());
    support::open(vec![(&path, support::tensors(&listed)), config]).unwrap()
}

fn again(inspection: &Inspection, choice: Choice) -> Shared {
    Shared::read(&Shared::new(inspection, choice, MADE).unwrap().fragment().unwrap()).unwrap()
}

/// The report as in a link: without the field `under` of each piece of evidence.
fn as_sent(inspection: &Inspection) -> Report {
    let mut report = inspection.report.clone();
    report.norms.iter_mut().flat_map(|norm| &mut norm.evidence).for_each(|piece| piece.under.clear());
    report
}

/// All numbers of a report in order, with four digits, as the page shows them.
fn shown(report: &Report) -> Vec<String> {
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            serde_json::Value::Object(fields) => fields.values().for_each(|value| walk(value, found)),
            serde_json::Value::Number(number) if number.is_f64() => {
                found.push(format!("{:.3e}", number.as_f64().unwrap()));
            }
            other => found.push(other.to_string()),
        }
    }
    let mut found = Vec::new();
    walk(&serde_json::to_value(Report { shared: None, ..report.clone() }).unwrap(), &mut found);
    found
}

#[test]
fn a_link_keeps_every_word_and_every_number_as_shown() {
    // OLMo's norms store nothing.
    for name in ["samples/layernorm", "samples/rmsnorm", "tests/forward/olmo"] {
        let inspection = sample(name);
        let shared = again(&inspection, NAMED);
        assert_eq!(shown(&shared.report), shown(&as_sent(&inspection)));
        let about = shared.report.shared.clone().unwrap();
        assert_eq!((about.made.as_str(), about.names), (MADE, true));
    }
}

#[test]
fn figures_are_drawn_from_a_link_and_say_so() {
    let shared = again(&sample("samples/layernorm"), NAMED).inspection();
    let last = shared.report.model.final_norm.clone();
    for kind in [FigureKind::KernelDirection, FigureKind::ScaleDistribution, FigureKind::SoftSpectrum] {
        let figure = figure(&shared, kind, last.as_deref(), SIZE).unwrap();
        assert!(figure.caption.ends_with("the others lie on a curve of 16 points."), "{}", figure.caption);
        assert!(
            figure.table.columns.iter().all(|column| column.name != "channel"),
            "{kind:?}: no channel is known"
        );
        assert!(!figure.svg.contains("by channel"));
    }
    assert!(figure(&shared, FigureKind::SiteMap, None, SIZE).is_ok());
}

#[test]
fn a_scale_that_is_one_everywhere_has_its_figures_too() {
    let inspection = sample("tests/forward/olmo");
    for (inspection, whence) in [(again(&inspection, NAMED).inspection(), "link"), (inspection, "checkpoint")]
    {
        for kind in [FigureKind::KernelDirection, FigureKind::ScaleDistribution, FigureKind::SoftSpectrum] {
            let figure = figure(&inspection, kind, Some("model.norm"), SIZE).unwrap();
            assert!(!figure.svg.contains("NaN") && !figure.svg.contains("inf"), "{whence}: {kind:?}");
        }
    }
}

#[test]
fn a_hundred_sites_fit_into_16_kb() {
    let inspection = model("transformer", 50, 64);
    assert_eq!(inspection.report.norms.len(), 101);
    let fragment = Shared::new(&inspection, NAMED, MADE).unwrap().fragment().unwrap();
    assert!(fragment.len() <= 16_000, "{} bytes", fragment.len());
}

#[test]
fn without_names_no_part_of_them_is_left() {
    let inspection = model("zanzibar", 3, 16);
    for (text, named) in [(again(&inspection, NAMED), true), (again(&inspection, NAMELESS), false)] {
        let text = serde_json::to_string(&text).unwrap();
        for word in ["zanzibar", "ln_1", "mlp.c_fc"] {
            assert_eq!(text.contains(word), named, "{word}");
        }
    }
    let page = html::document(&inspection, NAMELESS, MADE).unwrap();
    assert!(!page.contains("zanzibar") && page.contains("norm 3"));
    // The parts of the report still refer to each other by the new names.
    let report = again(&inspection, NAMELESS).report;
    assert_eq!(report.model.final_norm.as_deref(), Some("norm 7"));
    assert_eq!(report.norms[6].name, "norm 7");
    assert_eq!(shown(&report).len(), shown(&as_sent(&inspection)).len());
}

#[test]
fn a_link_of_version_1_is_read_by_every_version_after_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/links/version-1.txt");
    let fragment = std::fs::read_to_string(path).unwrap();
    let shared = Shared::read(&fragment).unwrap();
    let report = &shared.report;
    assert_eq!(report.schema, "gammascope.report/1");
    assert_eq!((report.norms.len(), report.dead_parameters.readers), (9, 9));
    assert_eq!(report.shared.as_ref().unwrap().made, MADE);
    let last = report.model.final_norm.clone();
    assert!(figure(&shared.inspection(), FigureKind::KernelDirection, last.as_deref(), SIZE).is_ok());
}

#[test]
fn a_report_from_a_link_cannot_be_shared_again() {
    let shared = again(&sample("samples/rmsnorm"), NAMED).inspection();
    assert!(matches!(Shared::new(&shared, NAMED, MADE), Err(ShareError::Again)));
    assert!(matches!(html::document(&shared, NAMED, MADE), Err(ShareError::Again)));
}

#[test]
fn the_html_file_requests_nothing_and_holds_the_report() {
    let inspection = sample("samples/layernorm");
    let page = html::document(&inspection, NAMED, MADE).unwrap();
    let (_, rest) = page.split_once(r#"<script type="application/json" id="report">"#).unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    assert_eq!(serde_json::from_str::<Report>(json).unwrap(), inspection.report);
    assert_eq!(page.matches("<script").count(), 1, "data, and no program");
    assert!(!page.contains("src=") && !page.contains("href="), "nothing is loaded");
    assert!(page.contains("default-src 'none'"));
    assert!(page.matches("<svg").count() >= 4);
}

#[test]
fn a_name_with_markup_stays_text_in_the_html_file() {
    let bytes = support::layer_norm("</script><b>x", &[1.0, 2.0, 0.5]);
    let inspection = support::open(vec![("<i>.safetensors", bytes)]).unwrap();
    let page = html::document(&inspection, NAMED, MADE).unwrap();
    assert!(!page.contains("<b>x") && !page.contains("<i>"));
    assert_eq!(page.matches("</script>").count(), 1);
}
