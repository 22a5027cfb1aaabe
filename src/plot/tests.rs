//! Properties of every figure, with any data and size.

use std::collections::HashMap;

use proptest::prelude::*;

use super::backend::{UNIT, text_width};
use super::{Cell, Figure, MOST_MARKS, SiteMark, Size};
use super::{
    adapter_waste, evidence, kernel_angles, kernel_direction, measured, measured_direction, preservation,
    principal_angles, random_init, residual, scale_changes, scale_distribution, site_map, soft_spectrum,
    tensor_values, writer_energy,
};
use crate::kernel::direction::{Direction, Kernel};
use crate::kernel::scale::Scale;
use crate::kernel::spectrum::IsotropicSpectrum;
use crate::report::{Component, NormKind, PreservationMeasure};

const SIZES: [Size; 4] = [
    Size { width: 320, height: 0 },
    Size { width: 640, height: 0 },
    Size { width: 1600, height: 0 },
    Size { width: 1, height: 1 },
];

/// Values like those of a trained scale: lognormal, from a fixed stream.
pub(super) fn lognormal(d: usize, spread: f64) -> Vec<f64> {
    let mut state = 7_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    let normal = |uniform: &mut dyn FnMut() -> f64| (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    (0..d).map(|_| (spread * normal(&mut uniform)).exp()).collect()
}

pub(super) fn scale(values: &[f64]) -> Scale {
    Scale::new(values.to_vec()).unwrap()
}

pub(super) fn direction(values: &[f64]) -> Direction {
    match Kernel::of(&scale(values), true) {
        Kernel::InverseScale(direction) => direction,
        other => panic!("expected a direction, got {other:?}"),
    }
}

/// A site with this scale.
pub(super) fn site(name: &str, block: Option<u32>, kind: NormKind, values: &[f64]) -> SiteMark {
    let magnitudes = scale(values).magnitudes();
    let participation = match Kernel::of(&scale(values), kind == NormKind::LayerNorm) {
        Kernel::InverseScale(direction) => Some(direction.participation()),
        _ => None,
    };
    SiteMark {
        name: name.to_owned(),
        block,
        kind,
        width: values.len() as u64,
        min: magnitudes.min,
        median: magnitudes.median,
        max: magnitudes.max,
        participation,
    }
}

/// MiniLM's last LayerNorm: one scale off, the rest near 0.8.
pub(super) fn with_one_off() -> Vec<f64> {
    let mut values: Vec<f64> = lognormal(384, 0.2).iter().map(|value| 0.8 * value).collect();
    values[223] = 4.8e-33;
    values
}

fn scales() -> Vec<Vec<f64>> {
    let with = |mut values: Vec<f64>, changes: &[(usize, f64)]| {
        changes.iter().for_each(|&(index, value)| values[index] = value);
        values
    };
    let falling: Vec<f64> = (0..600).map(|index| 10f64.powf(-f64::from(index) / 20.0)).collect();
    vec![
        vec![0.7],
        vec![-3.0],
        vec![0.0],
        vec![1.0; 512],
        vec![0.0; 64],
        vec![f64::MAX, f64::MIN_POSITIVE, 5e-324, -f64::MAX],
        vec![5e-324; 3],
        with_one_off(),
        lognormal(768, 0.35),
        lognormal(768, 2.0),
        with(lognormal(768, 0.5), &[(3, 0.0), (77, 0.0), (500, -0.0)]),
        with(lognormal(100, 0.5), &[(3, 0.0), (7, 1e-12), (8, -1e-9), (20, -0.4)]),
        lognormal(300, 0.4).iter().enumerate().map(|(i, v)| if i % 3 == 0 { -v } else { *v }).collect(),
        falling,
        lognormal(5_000, 0.8),
    ]
}

fn maps() -> Vec<Vec<SiteMark>> {
    use NormKind::{LayerNorm, Other, RmsNorm, Unknown};
    let kinds = [LayerNorm, RmsNorm, Other, Unknown];
    let long = "transformer.blocks.17.a.rather.deeply.nested.module.path.attention.output.LayerNorm";
    vec![
        vec![site("norm", None, LayerNorm, &lognormal(64, 0.3))],
        vec![site("norm", None, RmsNorm, &[0.0; 4])],
        (0..61)
            .map(|index| site("norm", Some(index / 2), RmsNorm, &lognormal(8 + index as usize, 0.4)))
            .collect(),
        vec![
            site("embeddings.norm", None, LayerNorm, &lognormal(64, 0.3)),
            site(long, Some(0), LayerNorm, &with_one_off()),
            site("zero", Some(0), LayerNorm, &[1.0, 0.0, 2.0]),
            site("final", None, Unknown, &lognormal(64, 0.3)),
        ],
        (0..3_000_u32)
            .map(|index| {
                site("x", Some(index % 7), kinds[index as usize % 4], &lognormal(4 + index as usize % 9, 1.0))
            })
            .collect(),
    ]
}

/// Every figure of every sample at one size.
fn figures(size: Size) -> Vec<Figure> {
    let mut figures = Vec::new();
    for values in scales() {
        figures.extend(figures_of("encoder.layer.5.output.LayerNorm", &values, size));
    }
    figures.extend(maps().iter().map(|sites| site_map(sites, size).unwrap()));
    figures.extend([(1, 0.2), (2, 3.0), (48, 0.98), (300, 0.0)].map(|(count, energy)| {
        writer_energy(&super::writer_energy::tests::writers(count, energy), size).unwrap()
    }));
    figures.extend(
        [(1, 3e-14), (2, 0.9), (109, 0.5), (300, 0.0)]
            .map(|(count, depth)| measured(&super::measured::tests::sites(count, depth), size).unwrap()),
    );
    for count in [1, 2, 300] {
        let (blocks, falls) = super::residual::tests::blocks(count);
        figures.push(residual(&blocks, &falls, size).unwrap());
    }
    for (count, dead) in [(1, 0.0), (2, 5e-14), (7, 1e-20)] {
        for measure in [PreservationMeasure::Divergence, PreservationMeasure::RelativeChange] {
            let rows = super::preservation::tests::rows(count, measure, dead);
            figures.push(preservation(&rows, size).unwrap());
        }
    }
    for count in [1, 109] {
        let mut sites = super::measured::tests::sites(count, 3e-14);
        let initial = super::random_init::tests::initialised(&sites);
        figures.push(random_init(&sites, &initial, size).unwrap());
        sites[0].principal_cosines = Some(vec![1.0, 0.999_999, 0.3]);
        figures.push(principal_angles(&sites, size).unwrap());
        sites[0].direction = (0..count as u32)
            .map(|channel| Component { channel, predicted: 0.1 / (channel + 1) as f32, measured: 0.05 })
            .collect();
        figures.push(measured_direction(&sites[0], size).unwrap());
    }
    for values in scales() {
        let finite: Vec<_> = values.iter().map(|value| Some(*value)).collect();
        figures.push(tensor_values("encoder.layer.5.output.LayerNorm.weight", &finite, size).unwrap());
    }
    for count in [2, 48, 3000] {
        let sites = super::site_changes::tests::sites(count);
        figures.push(kernel_angles(&sites, size).unwrap());
        figures.push(scale_changes(&sites, size).unwrap());
        figures.push(adapter_waste(&super::adapter_waste::tests::modules(count), size).unwrap());
    }
    figures
        .push(evidence("encoder.layer.5.output.LayerNorm", &super::evidence::tests::pieces(), size).unwrap());
    figures
}

fn figures_of(name: &str, values: &[f64], size: Size) -> Vec<Figure> {
    let scale = scale(values);
    let mut figures = vec![
        scale_distribution(name, &scale, size).unwrap(),
        soft_spectrum(name, &IsotropicSpectrum::new(&scale, true), &[], size).unwrap(),
        soft_spectrum(name, &IsotropicSpectrum::new(&scale, false), &[], size).unwrap(),
    ];
    if let Kernel::InverseScale(direction) = Kernel::of(&scale, true) {
        figures.extend([true, false].map(|placed| kernel_direction(name, &direction, placed, size).unwrap()));
    }
    figures
}

/// One line of text in a drawing, in units.
struct Line {
    text: String,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

fn lines(document: &roxmltree::Document<'_>) -> Vec<Line> {
    let elements = document.descendants().filter(|node| node.has_tag_name("text"));
    elements
        .map(|node| {
            let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
            let text = node.text().unwrap_or_default().trim().to_owned();
            let (size, width) = (number("font-size"), text_width(&text, number("font-size")));
            let left = match node.attribute("text-anchor").unwrap() {
                "start" => number("x"),
                "middle" => number("x") - width / 2.0,
                _ => number("x") - width,
            };
            let (above, below) = match node.attribute("dy").unwrap() {
                "0.76em" => (0.0, size),
                "0.5ex" => (size / 2.0, size / 2.0),
                _ => (size, 0.0),
            };
            let y = number("y");
            Line { text, left, right: left + width, top: y - above, bottom: y + below }
        })
        .collect()
}

/// Checks everything that must hold for any figure.
fn check(figure: &Figure) {
    let context = format!("{:?} {}×{} {}", figure.kind, figure.width, figure.height, figure.caption);
    let document =
        roxmltree::Document::parse(&figure.svg).unwrap_or_else(|error| panic!("{error} in {context}"));
    let root = document.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    assert_eq!(root.attribute("width"), Some(figure.width.to_string().as_str()));
    let unit = UNIT.unsigned_abs();
    let (width, height) = (figure.width * unit, figure.height * unit);
    assert_eq!(root.attribute("viewBox"), Some(format!("0 0 {width} {height}").as_str()));
    let first: Vec<_> = root.children().filter(|node| node.is_element()).take(2).collect();
    assert_eq!(first[0].tag_name().name(), "title");
    assert_eq!(first[0].text(), Some(figure.title.as_str()));
    assert_eq!(first[1].tag_name().name(), "desc");
    assert_eq!(first[1].text(), Some(figure.caption.as_str()));

    let mut elements = 0;
    for node in document.descendants().filter(|node| node.is_element()) {
        elements += 1;
        let name = node.tag_name().name();
        let drawn = ["svg", "title", "desc", "text", "line", "polyline", "polygon", "rect", "circle"];
        assert!(drawn.contains(&name), "<{name}> in {context}");
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(name != "style" && !name.starts_with("on") && name != "href", "{name} in {context}");
            assert!(!value.contains("NaN") && !value.contains("inf"), "{name}={value} in {context}");
            if name == "fill" || name == "stroke" {
                assert!(value == "none" || value.starts_with("var(--plot-"), "{value} in {context}");
            }
        }
        for (name, limit) in
            [("x", width), ("x1", width), ("cx", width), ("y", height), ("y1", height), ("cy", height)]
        {
            if let Some(value) = node.attribute(name) {
                let value: f64 = value.parse().unwrap();
                assert!((0.0..=f64::from(limit)).contains(&value), "{name}={value} in {context}");
            }
        }
        for name in ["width", "height", "r"] {
            if let Some(value) = node.attribute(name) {
                assert!(value.parse::<f64>().unwrap() >= 0.0, "{name}={value} in {context}");
            }
        }
    }
    assert!(elements < 6_000, "{elements} elements in {context}");

    let lines = lines(&document);
    for (index, line) in lines.iter().enumerate() {
        let inside = line.left >= -1.0 && line.right <= f64::from(width) + 1.0 && line.top >= 0.0;
        assert!(inside && line.bottom <= f64::from(height), "“{}” is clipped in {context}", line.text);
        for other in &lines[..index] {
            let apart = line.right <= other.left
                || other.right <= line.left
                || line.bottom <= other.top + 1.0
                || other.bottom <= line.top + 1.0;
            assert!(apart, "“{}” overlaps “{}” in {context}", line.text, other.text);
        }
    }

    assert!(!figure.marks.is_empty() && figure.marks.len() <= MOST_MARKS, "{} marks", figure.marks.len());
    for mark in &figure.marks {
        assert!((mark.row as usize) < figure.table.rows.len());
        assert!(
            (0.0..=figure.width as f32).contains(&mark.x) && (0.0..=figure.height as f32).contains(&mark.y)
        );
    }
    assert!(figure.table.rows.iter().all(|row| row.len() == figure.table.columns.len()));
    let finite = |cell: &Cell| !matches!(cell, Cell::Number(value) if !value.is_finite());
    assert!(figure.table.rows.iter().flatten().all(finite));
    let read_back = csv::Reader::from_reader(figure.table.csv().as_bytes()).into_records().count();
    assert_eq!(read_back, figure.table.rows.len());
    let drawn = roxmltree::Document::parse(&figure.svg).unwrap();
    let mut colors =
        drawn.descendants().flat_map(|node| [node.attribute("fill"), node.attribute("stroke")]).flatten();
    assert!(colors.all(|color| color == "none" || color.starts_with("var(--plot-")));
}

#[test]
fn every_figure_is_well_formed_and_no_text_is_clipped_or_overlaps() {
    for size in SIZES {
        figures(size).iter().for_each(check);
    }
}

#[test]
fn a_figure_is_the_same_at_every_run() {
    let size = Size { width: 720, height: 300 };
    assert_eq!(figures(size), figures(size));
}

#[test]
fn the_table_does_not_depend_on_the_size() {
    for (narrow, wide) in figures(SIZES[0]).iter().zip(figures(SIZES[2])) {
        assert_eq!(narrow.table, wide.table);
        assert_eq!(narrow.caption, wide.caption);
    }
}

#[test]
fn the_size_is_clamped_and_zero_height_is_the_figures_choice() {
    let drawn = |width, height| {
        let figure = scale_distribution("norm", &scale(&lognormal(64, 0.3)), Size { width, height }).unwrap();
        (figure.width, figure.height)
    };
    assert_eq!(drawn(0, 0), (280, 250));
    assert_eq!(drawn(720, 333), (720, 333));
    assert_eq!(drawn(u32::MAX, u32::MAX), (2400, 1600));
}

#[test]
fn a_name_with_markup_stays_text() {
    let name = "<script>&\" '\u{0}\u{1b}[31m\u{202e}--><desc>#F00D00 var(--plot-a, #1f6fb2)\u{ffff}";
    for size in SIZES {
        for figure in figures_of(name, &lognormal(64, 0.3), size) {
            check(&figure);
            assert!(!figure.svg.contains("<script"));
            assert!(figure.title.contains("<script>&\" '\u{fffd}\u{fffd}[31m\u{fffd}-->"));
        }
        let map = site_map(&[site(name, Some(0), NormKind::LayerNorm, &with_one_off())], size).unwrap();
        check(&map);
        assert_eq!(map.table.rows[0][0], Cell::from(name), "the table keeps the name as it is");
    }
}

#[test]
fn a_hundred_thousand_sites_are_drawn_by_columns() {
    let names: HashMap<usize, String> = (0..4).map(|index| (index, format!("layer.{index}.norm"))).collect();
    let values = lognormal(16, 0.4);
    let sites: Vec<_> = (0..100_000)
        .map(|index| {
            site(&names[&(index % 4)], Some(index as u32 / 4), NormKind::LayerNorm, &values[..2 + index % 13])
        })
        .collect();
    let figure = site_map(&sites, SIZES[2]).unwrap();
    check(&figure);
    assert_eq!(figure.table.rows.len(), sites.len());
    assert!(figure.svg.len() < 300_000, "{} bytes", figure.svg.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_scale_can_be_drawn_at_any_size(
        exponents in prop::collection::vec((-40.0..38.0f64, 0..10u8), 1..80),
        spread in 0.0..1.0f64,
        width in 0..2000u32,
        height in 0..700u32,
    ) {
        let value = |&(exponent, sign): &(f64, u8)| match sign {
            0 => 0.0,
            1 | 2 => -(10f64.powf(spread * exponent)),
            _ => 10f64.powf(spread * exponent),
        };
        let values: Vec<f64> = exponents.iter().map(value).collect();
        let size = Size { width, height };
        figures_of("model.layers.3.norm", &values, size).iter().for_each(check);
        let sites: Vec<_> = values
            .chunks(3)
            .zip(0..)
            .map(|(values, block)| site("model.layers.3.norm", Some(block), NormKind::LayerNorm, values))
            .collect();
        check(&site_map(&sites, size).unwrap());
    }
}
