//! What the code of model families does, as data: four of the six tables beside this file. [`super::habits`] and
//! [`super::library`] read the others.
//!
//! `families.tsv` and `layouts.tsv` are measured: `scripts/registry/` builds every architecture of transformers and many of timm, runs each of their
//! norms on random input and writes what it does; documents of other libraries were given. `published.tsv` and `marks.tsv` are kept by hand, from
//! knowledge of the code: families that are published with code of their own, and releases in layouts of their own.

use super::names::Path;
use crate::checkpoint::config::Scope;
use crate::order;
use crate::report::{NormKind, ScaleConvention};
use crate::tables::{self, Table};
use std::sync::OnceLock;

/// What some code does at a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// LayerNorm, RMSNorm, or another norm.
    pub kind: NormKind,
    /// How it stores its scale. `None` if that differs.
    pub convention: Option<ScaleConvention>,
}

impl Statement {
    /// Parses `layer`, `rms`, `other`, with `+1` if the scale is stored as γ − 1 and `*` if that differs; `?` is nothing.
    fn parse(text: &str) -> Option<Self> {
        let (name, convention) = if let Some(name) = text.strip_suffix("+1") {
            (name, Some(ScaleConvention::OnePlusWeight))
        } else if let Some(name) = text.strip_suffix('*') {
            (name, None)
        } else {
            (text, Some(ScaleConvention::Weight))
        };
        let kind = match name {
            "layer" => NormKind::LayerNorm,
            "rms" => NormKind::RmsNorm,
            "other" => NormKind::Other,
            _ => return None,
        };
        Some(Self { kind, convention })
    }

    /// One statement for several, as far as they agree.
    pub fn pooled(mut statements: impl Iterator<Item = Self>) -> Option<Self> {
        let first = statements.next()?;
        statements.try_fold(first, |all, next| {
            let convention = all.convention.filter(|_| all.convention == next.convention);
            (all.kind == next.kind).then_some(Self { convention, ..all })
        })
    }
}

/// One family: what its norms do, and which do something else.
#[derive(Debug, Default)]
struct Family {
    /// `None` if it has no rule for all, or if a value of the configuration decides.
    default: Option<Statement>,
    /// Part of a path without numbers → what is done there; `None` if a value of the configuration decides.
    exceptions: Vec<(Vec<&'static str>, Option<Statement>)>,
}

impl Family {
    /// The exception with the longest pattern in `path`.
    fn exception(&self, path: &[&str]) -> Option<Option<Statement>> {
        self.exceptions
            .iter()
            .filter(|(pattern, _)| path.windows(pattern.len()).any(|part| part == pattern.as_slice()))
            .max_by_key(|(pattern, _)| pattern.len())
            .map(|(_, statement)| *statement)
    }

    fn says(&self, path: &[&str]) -> Option<Statement> {
        self.exception(path).unwrap_or(self.default)
    }
}

/// What the tables say about each family, sorted.
type Families = Vec<(&'static str, Vec<Family>)>;

/// The family of a model type. Measured lines come last and replace those kept by hand.
fn known_family(model_type: &str) -> Option<&'static Family> {
    static FAMILIES: OnceLock<Families> = OnceLock::new();
    let families = FAMILIES.get_or_init(|| {
        let lines = [Table::Published.text(), Table::Families.text()];
        order::groups(lines.into_iter().flat_map(rows).map(family))
    });
    order::value_of(families, model_type)?.last()
}

/// The part of the table of families that holds a family: an eighth of it, as in `familyPart` of `scripts/lib/tables.mjs`.
fn family_part(model_type: &str) -> String {
    tables::part("families", (tables::hash(model_type.bytes()) >> 61) << 59)
}

/// The parts of the table of families in which [`configured`] looks up what a configuration names.
pub fn family_parts(config: Scope<'_>) -> Vec<String> {
    config.families().flatten().map(family_part).collect()
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn family(line: &'static str) -> (&'static str, Family) {
    let mut cells = line.split('\t');
    let model_type = cells.next().unwrap_or_default();
    let default = cells.next().and_then(Statement::parse);
    let exceptions = cells.next().unwrap_or_default().split_whitespace().filter_map(|exception| {
        let (pattern, kind) = exception.rsplit_once('=')?;
        Some((pattern.split('.').collect(), Statement::parse(kind)))
    });
    (model_type, Family { default, exceptions: exceptions.collect() })
}

/// What the families that a configuration names do at a site, and which of them says so.
///
/// A nested configuration describes its own part. But what the whole says about a module of its own (a projector, a resampler)
/// goes before the defaults of its parts. A part of an unknown family is unknown.
pub fn configured<'a>(config: Scope<'a>, site: &str) -> Option<(Statement, &'a str)> {
    let path = Path::new(site).without_numbers();
    let gguf = config.is_gguf();
    let line = |model_type: &str| {
        if gguf { known_family(&format!("gguf:{model_type}")) } else { known_family(model_type) }
    };
    for model_type in config.families().rev().flatten() {
        if let Some(exception) = line(model_type).and_then(|family| family.exception(&path)) {
            return exception.map(|statement| (statement, model_type));
        }
    }
    for model_type in config.families().rev().flatten() {
        match line(model_type) {
            Some(family) if family.default.is_some() => {
                return family.default.map(|statement| (statement, model_type));
            }
            Some(_) => {}
            None => return None,
        }
    }
    None
}

/// A release known by marks in its names.
#[derive(Debug)]
pub struct Release {
    /// What it is called.
    pub name: &'static str,
    wanted: Vec<&'static str>,
    unwanted: Vec<&'static str>,
    norms: Family,
}

fn releases() -> &'static Vec<Release> {
    static RELEASES: OnceLock<Vec<Release>> = OnceLock::new();
    RELEASES.get_or_init(|| rows(Table::Marks.text()).map(release).collect())
}

fn release(line: &'static str) -> Release {
    let (name, rest) = line.split_once('\t').unwrap_or_default();
    let (marks, norms) = family(rest);
    let (unwanted, wanted): (Vec<_>, Vec<_>) = marks.split(' ').partition(|mark| mark.starts_with('!'));
    let unwanted = unwanted.into_iter().map(|mark| &mark[1..]).collect();
    Release { name, wanted, unwanted, norms }
}

impl Release {
    /// The releases whose marks a catalogue has. `paths` are its names without numbers.
    pub fn of(paths: &[String]) -> Vec<&'static Self> {
        // Dots on both ends make a mark a run of whole components.
        let bears = |mark: &&str| {
            let mark = format!(".{mark}.");
            paths.iter().any(|path| path.contains(&mark))
        };
        let known = releases().iter();
        known
            .filter(|release| release.wanted.iter().all(bears) && !release.unwanted.iter().any(bears))
            .collect()
    }

    /// What its code does at a site.
    pub fn says(&self, site: &str) -> Option<Statement> {
        self.norms.says(&Path::new(site).without_numbers())
    }
}

/// Which knowledge may be used: everything, or everything except what came from one library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Knowledge {
    /// A library whose layouts and counts are left out, to see the verdicts on unmeasured code. Lines that were read and not
    /// measured are left out too.
    pub without: Option<&'static str>,
    /// The library that a configuration names, if it names one.
    pub library: Option<&'static str>,
}

impl Knowledge {
    /// Whether knowledge from this library may be used.
    pub(super) fn has(self, library: &str) -> bool {
        self.without != Some(library)
    }
}

/// One layout: all names inside a block, or of a smaller module around a norm.
#[derive(Debug)]
pub struct Layout {
    /// Fingerprint of its sorted names: see [`fingerprint`].
    fingerprint: &'static str,
    /// What is done at each of its norms, sorted by their names.
    sites: Vec<Option<Statement>>,
    /// Model types and classes with this layout.
    model_types: Vec<&'static str>,
    /// Libraries they are from.
    libraries: Vec<&'static str>,
}

/// All layouts, sorted by fingerprint.
fn layouts() -> &'static Vec<Layout> {
    static LAYOUTS: OnceLock<Vec<Layout>> = OnceLock::new();
    LAYOUTS.get_or_init(|| rows(Table::Layouts.text()).filter_map(layout).collect())
}

fn layout(line: &'static str) -> Option<Layout> {
    let mut cells = line.split('\t');
    let fingerprint = cells.next()?;
    let sites = cells.next()?.split(' ').map(Statement::parse).collect();
    let mut words = || Some(cells.next()?.split(' ').collect());
    Some(Layout { fingerprint, sites, model_types: words()?, libraries: words()? })
}

/// Ten hexadecimal digits of the hash of the names: all names would be most of the page's bytes. With 3,000 layouts, one in four
/// hundred million blocks of other code matches one by chance (3,000 of 2^40).
pub fn fingerprint<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let bytes = names.flat_map(|name| name.bytes().chain(std::iter::once(b'\n')));
    format!("{:010x}", tables::hash(bytes) >> 24)
}

/// The part of the table that has the layout of this fingerprint.
pub(super) fn part(fingerprint: &str) -> String {
    tables::part("layouts", u64::from_str_radix(fingerprint, 16).unwrap_or_default() << 24)
}

/// The layout that a block is built in.
#[derive(Debug, Clone, Copy)]
pub struct Match(&'static Layout);

impl Match {
    /// The layout with this fingerprint and this number of norms.
    pub fn of(fingerprint: &str, norms: usize, knowledge: Knowledge) -> Option<Self> {
        let found = layouts().binary_search_by(|layout| layout.fingerprint.cmp(fingerprint)).ok()?;
        let layout = &layouts()[found];
        let known = layout.libraries.iter().any(|library| knowledge.has(library));
        (known && layout.sites.len() == norms).then_some(Self(layout))
    }

    /// What is done at the norm with this place among the sorted ones.
    pub fn says(&self, site: usize) -> Option<Statement> {
        self.0.sites.get(site).copied().flatten()
    }

    /// What the families with this layout do at a site outside the blocks.
    pub fn says_outside(&self, site: &str) -> Option<Statement> {
        let path = Path::new(site).without_numbers();
        let known = self.0.model_types.iter().filter_map(|model_type| known_family(model_type));
        let said: Option<Vec<Statement>> = known.map(|family| family.says(&path)).collect();
        Statement::pooled(said?.into_iter())
    }

    /// How many libraries have it.
    pub fn libraries(&self) -> usize {
        self.0.libraries.len()
    }

    /// The families, in a few words.
    pub fn families(&self) -> String {
        let all = &self.0.model_types;
        let some = all.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if all.len() > 3 { format!("{some} and {} more", all.len() - 3) } else { some }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::config::Config;

    fn configured_at(config: &str, site: &str) -> Option<Statement> {
        let config = Config::parse("", "config.json", config.as_bytes()).unwrap();
        configured(config.scope(site), site).map(|(statement, _)| statement)
    }

    const LAYER: Statement =
        Statement { kind: NormKind::LayerNorm, convention: Some(ScaleConvention::Weight) };
    const RMS: Statement = Statement { kind: NormKind::RmsNorm, convention: Some(ScaleConvention::Weight) };

    #[test]
    fn every_line_of_every_table_is_understood() {
        for (table, skipped) in
            [(Table::Published.text(), 0), (Table::Families.text(), 0), (Table::Marks.text(), 1)]
        {
            for line in rows(table) {
                let cells: Vec<&str> = line.split('\t').skip(skipped).collect();
                assert!(cells.len() >= 3, "{line}");
                assert!(matches!(cells[1], "-" | "?") || Statement::parse(cells[1]).is_some(), "{line}");
                for exception in cells[2].split_whitespace() {
                    let (_, kind) = exception.rsplit_once('=').expect(line);
                    assert!(kind == "?" || Statement::parse(kind).is_some(), "{line}");
                }
            }
        }
        assert!(layouts().iter().all(|layout| !layout.sites.is_empty() && !layout.model_types.is_empty()));
    }

    #[test]
    fn a_published_family_has_one_line() {
        let names: Vec<&str> = rows(Table::Published.text()).map(|line| family(line).0).collect();
        assert_eq!(order::distinct(&names).len(), names.len());
    }

    #[test]
    fn an_exception_goes_before_the_familys_default() {
        let config = r#"{"model_type":"deepseek_v32"}"#;
        assert_eq!(configured_at(config, "model.layers.3.input_layernorm"), Some(RMS));
        assert_eq!(configured_at(config, "model.layers.3.self_attn.indexer.k_norm"), Some(LAYER));
    }

    #[test]
    fn a_nested_configuration_speaks_for_its_part_and_an_unknown_one_for_nothing() {
        let config = r#"{"model_type":"llava","text_config":{"model_type":"llama"},"vision_config":{"model_type":"clip_vision_model"}}"#;
        assert_eq!(configured_at(config, "language_model.model.layers.0.input_layernorm"), Some(RMS));
        assert_eq!(configured_at(config, "vision_tower.encoder.layers.0.layer_norm1"), Some(LAYER));
        let unknown = config.replace("clip_vision_model", "a_new_tower");
        assert_eq!(configured_at(&unknown, "vision_tower.encoder.layers.0.layer_norm1"), None);
    }

    #[test]
    fn a_llama_block_is_recognised_by_its_names_and_its_convention_left_open() {
        let norms = ["input_layernorm.weight", "post_attention_layernorm.weight"];
        let maps = [
            "mlp.down_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "self_attn.k_proj",
            "self_attn.o_proj",
            "self_attn.q_proj",
            "self_attn.v_proj",
        ];
        let names = maps.iter().map(|map| format!("{map}.weight")).chain(norms.map(str::to_owned));
        let names = order::distinct(names);
        let of = |names: &[String]| {
            Match::of(&fingerprint(names.iter().map(String::as_str)), 2, Knowledge::default())
        };
        let found = of(&names).unwrap();
        assert_eq!(found.says(0), Some(Statement { convention: None, ..RMS }));
        assert!(found.families().contains("more"));
        assert!(of(&names[1..]).is_none(), "one name fewer is another layout");
    }

    #[test]
    fn layouts_are_sorted_and_each_fingerprint_is_there_once() {
        assert!(layouts().windows(2).all(|two| two[0].fingerprint < two[1].fingerprint));
        assert_eq!(layouts().len(), rows(Table::Layouts.text()).count());
    }
}
