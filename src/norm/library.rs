//! Recognises the library that a checkpoint's names come from: it uses most of their components, and no other measured library
//! uses some of them (`registry/vocabulary.tsv`). For norms of one library, its own counts say more than those of all libraries
//! together.

use super::names;
use super::registry::Knowledge;
use crate::checkpoint::Tensor;
use crate::order;
use crate::tables::Table;
use std::sync::OnceLock;

/// Share of a checkpoint's components that the library must use.
const SHARE: f64 = 0.7;
/// Least number of components that no other library uses. When these two limits were chosen, on 710 documents, none was taken for
/// another library's when its own library was left out. With its own library, two in three were recognised.
const OWN: usize = 2;

/// The name in the table for code that uses a component and is none of its libraries.
const ELSEWHERE: &str = "elsewhere";

/// The components that a library uses, sorted, and whether no other library uses them.
struct Vocabulary {
    library: &'static str,
    words: Vec<(&'static str, bool)>,
}

fn vocabularies() -> &'static Vec<Vocabulary> {
    static VOCABULARIES: OnceLock<Vec<Vocabulary>> = OnceLock::new();
    VOCABULARIES.get_or_init(|| {
        let lines = Table::Vocabulary.text().lines().filter(|line| !line.starts_with('#'));
        let uses = lines.filter_map(|line| line.split_once('\t')).flat_map(|(libraries, words)| {
            let own = !libraries.contains(' ');
            let libraries = libraries.split(' ').filter(|&library| library != ELSEWHERE);
            libraries.flat_map(move |library| words.split(' ').map(move |word| (library, (word, own))))
        });
        let vocabulary = |(library, mut words): (&'static str, Vec<(&'static str, bool)>)| {
            order::sort_by_key(&mut words, |(word, _)| *word);
            Vocabulary { library, words }
        };
        order::groups(uses).into_iter().map(vocabulary).collect()
    })
}

/// The components of all names except numbers, with the digits in them as 0. Sorted, each once.
pub fn components<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        found.extend(name.split(['.', '/']).filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit())));
    }
    let distinct = order::distinct(found).into_iter().map(|part| {
        let mut spelled = String::new();
        for character in part.chars() {
            if !character.is_ascii_digit() {
                spelled.push(character);
            } else if !spelled.ends_with('0') {
                spelled.push('0');
            }
        }
        spelled
    });
    order::distinct(distinct)
}

/// The library that the names show.
pub(super) fn recognise(tensors: &[Tensor], knowledge: Knowledge) -> Option<&'static str> {
    if knowledge.library.is_some() {
        return knowledge.library.filter(|library| knowledge.has(library));
    }
    // All experts have the same names, so one is enough.
    let named = tensors.iter().map(|tensor| tensor.name.as_str());
    let parts = components(named.filter(|name| !names::is_another_expert(name)));
    let fits = |vocabulary: &Vocabulary| {
        let known: Vec<bool> = parts
            .iter()
            .filter_map(|part| {
                let found = vocabulary.words.binary_search_by(|(word, _)| (*word).cmp(part.as_str())).ok()?;
                Some(vocabulary.words[found].1)
            })
            .collect();
        let own = known.iter().filter(|&&own| own).count();
        let share = known.len() as f64 / parts.len().max(1) as f64;
        (share >= SHARE && own >= OWN).then_some((share, vocabulary.library))
    };
    let known = vocabularies().iter().filter(|vocabulary| knowledge.has(vocabulary.library));
    known.filter_map(fits).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, library)| library)
}
