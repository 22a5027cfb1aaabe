//! What was measured on real modules: which maps read each norm, in the blocks of each known family and outside its blocks.
//! `scripts/registry/readers.py` writes the tables; their heads give the format.

use super::block::numberless;
use super::lexicon;
use crate::checkpoint::config::Scope;
use crate::order;
use crate::tables::{self, Table};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Whether a constant added to the output of a reader is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is seen; a bias can take it back.
    Bias,
    /// It is not seen in any row.
    Free,
    /// It is not seen in the rows of the keys.
    Keys,
}

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// In the block of the norm.
    Here,
    /// In the block after it.
    Next,
    /// Outside the stack; the norm is one of its last block.
    Elsewhere,
}

/// One map that reads a norm. N is any number, # a number that is the same in norm and map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relation {
    /// The norm's module.
    pub(super) site: &'static str,
    /// The map's tensor.
    pub(super) reader: &'static str,
    pub(super) home: Home,
    pub(super) class: Class,
}

/// A measured block.
#[derive(Debug)]
struct Line {
    models: Vec<&'static str>,
    conditions: Vec<&'static str>,
    /// Every norm that was measured.
    sites: Vec<&'static str>,
    relations: Vec<Relation>,
}

/// A norm outside the blocks.
#[derive(Debug)]
struct Alone {
    models: Vec<&'static str>,
    conditions: Vec<&'static str>,
    relations: Vec<Relation>,
}

/// What the measured lines say about one norm.
#[derive(Debug, PartialEq)]
pub(super) struct Says {
    pub(super) relations: Vec<Relation>,
    /// Whether the configuration names the family.
    pub(super) by_family: bool,
    /// Whether it names the very code that was measured, so that the classes hold too.
    pub(super) exact: bool,
}

/// The numbers at the places of #, if `name` is of the form `pattern`.
pub(super) fn matches<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut numbers = Vec::new();
    let (mut wanted, mut parts) = (pattern.split('.'), name.split('.'));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return Some(numbers),
            (Some("#"), Some(part)) if is_number(part) => numbers.push(part),
            (Some("N"), Some(part)) if is_number(part) => {}
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return None,
        }
    }
}

/// Whether `name` is of the form `reader`, with the site's numbers in place of #.
pub(super) fn reads(reader: &str, name: &str, site_numbers: &[&str]) -> bool {
    matches(reader, name).is_some_and(|numbers| numbers.iter().zip(site_numbers).all(|(a, b)| a == b))
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
}

fn words(text: &'static str) -> Vec<&'static str> {
    text.split([' ', ',']).filter(|word| *word != "-" && !word.is_empty()).collect()
}

/// `READER:CLASS`, with `+` or `^` before it.
fn relation(site: &'static str, text: &'static str) -> Option<Relation> {
    let (reader, class) = text.rsplit_once(':')?;
    let class = match class {
        "bias" => Class::Bias,
        "free" => Class::Free,
        "keys" => Class::Keys,
        _ => return None,
    };
    let (home, reader) = match (reader.strip_prefix('+'), reader.strip_prefix('^')) {
        (Some(reader), _) => (Home::Next, reader),
        (_, Some(reader)) => (Home::Elsewhere, reader),
        _ => (Home::Here, reader),
    };
    Some(Relation { site, reader, home, class })
}

/// The module of a scale.
fn module(scale: &'static str) -> &'static str {
    scale.rsplit_once('.').map_or(scale, |(module, _)| module)
}

/// The blocks, by all the names in them.
fn blocks() -> &'static HashMap<&'static str, Vec<Line>> {
    static TABLE: OnceLock<HashMap<&'static str, Vec<Line>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table: HashMap<&'static str, Vec<Line>> = HashMap::new();
        for row in rows(Table::Readers.text()) {
            let [models, conditions, names, relations, ..] = row[..] else { continue };
            let pairs = || relations.split_ascii_whitespace().filter_map(|pair| pair.split_once('>'));
            table.entry(names).or_default().push(Line {
                models: words(models),
                conditions: words(conditions),
                sites: pairs().map(|(site, _)| module(site)).collect(),
                relations: pairs().filter_map(|(site, text)| relation(module(site), text)).collect(),
            });
        }
        table
    })
}

/// The rows of the table of norms outside blocks, sorted. A line of two families is in a part of each, and appears here once.
fn outside_rows() -> Vec<Vec<&'static str>> {
    order::distinct(rows(Table::ReadersOutside.text()))
}

/// The norms outside blocks by path.
fn alone() -> &'static HashMap<&'static str, Vec<Alone>> {
    static TABLE: OnceLock<HashMap<&'static str, Vec<Alone>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table: HashMap<&'static str, Vec<Alone>> = HashMap::new();
        for row in outside_rows() {
            let [models, path, relations, _, conditions] = row[..] else { continue };
            table.entry(path).or_default().push(Alone {
                models: words(models),
                conditions: words(conditions),
                relations: relations
                    .split_ascii_whitespace()
                    .filter_map(|text| relation(path, text))
                    .collect(),
            });
        }
        table
    })
}

/// Whether a configuration meets the conditions of a line. `KEY=VALUE*` also holds if it does not name KEY.
fn hold(conditions: &[&str], scope: Scope<'_>) -> bool {
    conditions.iter().all(|condition| {
        let Some((field, value)) = condition.split_once('=') else { return false };
        let (value, default) = match value.strip_suffix('*') {
            Some(value) => (value, true),
            None => (value, false),
        };
        if !scope.has(field) {
            return default;
        }
        let truth = scope.truth(field).map(|truth| truth.to_string());
        let number = scope.number(field).map(|number| number.to_string());
        let text = scope.text(field).map(str::to_owned);
        [truth, number, text].into_iter().flatten().any(|held| held == value)
    })
}

/// How close a measured family is to the one that a configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    No,
    /// Another architecture of timm with the same first word: the same code, perhaps with another position code.
    Kin,
    Same,
}

fn near(models: &[&str], scope: Scope<'_>) -> Near {
    if scope.families().flatten().next_back().is_some_and(|family| models.contains(&family)) {
        return Near::Same;
    }
    let Some(name) = scope.text("architecture").and_then(|name| name.split('.').next()) else {
        return Near::No;
    };
    // timm's ViTs with norms on the outputs of the parts have the same names as the others.
    let alike =
        |other: &str| first_word(other) == first_word(name) && other.contains("rpn") == name.contains("rpn");
    let of = |model: &&str| match model.strip_prefix("timm:") {
        Some(other) if other == name => Near::Same,
        Some(other) if alike(other) => Near::Kin,
        _ => Near::No,
    };
    models.iter().map(of).max().unwrap_or(Near::No)
}

/// The first word of an architecture of timm.
fn first_word(name: &str) -> &str {
    name.trim_start_matches("test_").split(['_', '.']).next().unwrap_or_default()
}

/// The key that cuts the tables into parts: a family, or the first word of a timm architecture, which all that are [`Near`] share.
fn kin(model: &str) -> &str {
    model.strip_prefix("timm:").map_or(model, first_word)
}

/// The part of the table in which [`block`] looks up these names.
pub(super) fn part_of_block(key: &str) -> String {
    tables::part("blocks", tables::hash(key.bytes()))
}

/// The parts of the tables in which [`pre_norm`] and [`outside`] look up the family that a configuration names.
pub(super) fn parts_of_family(scope: Scope<'_>) -> impl Iterator<Item = String> {
    let family = scope.families().flatten().next_back().map(str::to_owned);
    let architecture = scope.text("architecture").map(|name| format!("timm:{name}"));
    let models = family.into_iter().chain(architecture);
    models.map(|model| tables::part("readers", tables::hash(kin(&model).bytes())))
}

/// What the table says about the norm `site` (its module inside the block) of a block with these names: the lines of the family
/// that the configuration names, or else what all lines agree on. `None` if it was not measured.
pub(super) fn block(key: &str, site: &str, scope: Option<Scope<'_>>) -> Option<Says> {
    let lines = blocks().get(key)?;
    let nearest = |line: &Line| scope.map_or(Near::No, |scope| near(&line.models, scope));
    let best = lines.iter().map(nearest).max().unwrap_or(Near::No);
    let of_family: Vec<&Line> =
        lines.iter().filter(|line| best > Near::No && nearest(line) == best).collect();
    let settled: Vec<&Line> = of_family
        .iter()
        .copied()
        .filter(|line| scope.is_some_and(|scope| hold(&line.conditions, scope)))
        .collect();
    let by_family = !settled.is_empty();
    let asked = match (by_family, of_family.is_empty()) {
        (true, _) => settled,
        (false, false) => of_family,
        (false, true) => lines.iter().collect(),
    };
    let knows = |line: &&Line| line.sites.iter().any(|pattern| matches(pattern, site).is_some());
    if !asked.iter().all(knows) {
        return None;
    }
    let own = |line: &'static Line| {
        line.relations.iter().filter(|relation| matches(relation.site, site).is_some()).copied()
    };
    let same = |a: &Relation, b: &Relation| (a.reader, a.home) == (b.reader, b.home);
    let mut relations: Vec<Relation> = own(asked.first()?).collect();
    relations.retain(|relation| asked.iter().all(|line| own(line).any(|other| same(relation, &other))));
    for relation in &mut relations {
        let alike = asked.iter().all(|line| own(line).any(|other| other == *relation));
        relation.class = if alike { relation.class } else { Class::Bias };
    }
    Some(Says { relations, by_family, exact: by_family && best == Near::Same })
}

/// The order of norms and parts in the measured blocks of a family, if all have the same: `true` for pre-norm.
pub(super) fn pre_norm(scope: Scope<'_>) -> Option<bool> {
    let own = blocks().values().flatten().filter(|line| near(&line.models, scope) == Near::Same);
    let mut found = None;
    for relation in own.filter(|line| hold(&line.conditions, scope)).flat_map(|line| &line.relations) {
        let module = relation.reader.rsplit_once('.').map_or(relation.reader, |(module, _)| module);
        let attends = lexicon::part_of(module).is_some_and(lexicon::Part::is_attention);
        let pre = match relation.home {
            Home::Here if attends && !lexicon::is_cross(module) => true,
            Home::Next if attends => false,
            _ => continue,
        };
        if found.replace(pre).is_some_and(|before| before != pre) {
            return None;
        }
    }
    found
}

/// What reads a norm outside the blocks, and the prefix that its names have in this file.
pub(super) struct Outside<'s> {
    pub(super) prefix: &'s str,
    /// One list for each measurement of the family, or of its kin.
    pub(super) measured: Vec<&'static [Relation]>,
    /// Whether the family itself was not measured, only architectures of the same code, which may have other heads.
    pub(super) of_kin: bool,
}

/// What was measured outside the blocks of the family that the configuration names. `None` if nothing was.
pub(super) fn outside<'s>(site: &'s str, scope: Option<Scope<'_>>) -> Option<Outside<'s>> {
    let scope = scope?;
    let nested = scope.families().count() > 1;
    let starts = std::iter::once(0).chain(site.match_indices('.').map(|(at, _)| at + 1));
    // The model's own prefix is one part. A part of a bundle is deeper.
    starts.take(if nested { usize::MAX } else { 2 }).find_map(|start| {
        let (prefix, path) = site.split_at_checked(start)?;
        let rows = alone().get(path)?;
        let best = rows.iter().map(|row| near(&row.models, scope)).max().filter(|best| *best > Near::No)?;
        let own = rows
            .iter()
            .filter(|row| near(&row.models, scope) == best && hold(&row.conditions, scope))
            .map(|row| row.relations.as_slice());
        let measured: Vec<&[Relation]> = own.collect();
        (!measured.is_empty()).then_some(Outside { prefix, measured, of_kin: best == Near::Kin })
    })
}

/// Names inside a block as the table's third column has them.
pub(super) fn key<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    debug_assert!(names.iter().all(|name| numberless(name) == *name), "names are numberless: {names:?}");
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_read() {
        let lines: usize = blocks().values().map(Vec::len).sum();
        assert_eq!(lines, rows(Table::Readers.text()).count());
        for line in blocks().values().flatten() {
            assert!(!line.models.is_empty() && !line.sites.is_empty());
            assert!(line.relations.iter().all(|relation| !relation.reader.is_empty()));
        }
        assert_eq!(alone().values().map(Vec::len).sum::<usize>(), rows(Table::ReadersOutside.text()).count());
        assert!(
            rows(Table::ReadersOutside.text()).eq(outside_rows()),
            "the table is sorted, without a line twice"
        );
    }

    #[test]
    fn a_number_stands_for_the_same_in_norm_and_map() {
        assert_eq!(matches("#.net.0", "3.net.0"), Some(vec!["3"]));
        assert_eq!(matches("#.net.0", "3.net.1"), None);
        assert!(reads("#.net.1.weight", "3.net.1.weight", &["3"]));
        assert!(!reads("#.net.1.weight", "2.net.1.weight", &["3"]));
        assert!(reads("decoder.layers.N.k.weight", "decoder.layers.7.k.weight", &[]));
    }

    #[test]
    fn torchs_encoder_agrees_on_nothing_without_a_configuration() {
        let names = "linear1.bias linear1.weight linear2.bias linear2.weight norm1.bias norm1.weight norm2.bias \
                     norm2.weight self_attn.in_proj_bias self_attn.in_proj_weight self_attn.out_proj.bias \
                     self_attn.out_proj.weight";
        if let Some(says) = block(names, "norm1", None) {
            assert_eq!(says, Says { relations: Vec::new(), by_family: false, exact: false });
        }
    }
}
