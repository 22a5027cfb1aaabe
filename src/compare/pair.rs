//! Finds which sites of two checkpoints are the same: by name, then by the end of the name, then by place. The same site has the
//! same width in both.

use crate::report::comparison::MatchedBy;
use crate::report::{NormReport, NormRole};
use std::collections::{HashMap, HashSet};

/// Indices of the same site in each list, and how it was matched, in the order of `before`.
pub(super) fn pairs(before: &[NormReport], after: &[NormReport]) -> Vec<(usize, usize, MatchedBy)> {
    let mut pairing = Pairing { before, after, ..Pairing::default() };
    pairing.by_name();
    pairing.by_suffix();
    pairing.by_place();
    pairing.found.sort_unstable_by_key(|&(index, ..)| index);
    pairing.found
}

#[derive(Default)]
struct Pairing<'a> {
    before: &'a [NormReport],
    after: &'a [NormReport],
    found: Vec<(usize, usize, MatchedBy)>,
    taken_before: HashSet<usize>,
    taken_after: HashSet<usize>,
}

impl<'a> Pairing<'a> {
    fn take(&mut self, before: usize, after: usize, how: MatchedBy) {
        self.taken_before.insert(before);
        self.taken_after.insert(after);
        self.found.push((before, after, how));
    }

    /// The sites that are left in each list, grouped by a key. Sites without a key are left out.
    fn left<Key: std::hash::Hash + Eq>(
        &self,
        key: impl Fn(&'a NormReport, Side, usize) -> Option<Key>,
    ) -> HashMap<Key, (Vec<usize>, Vec<usize>)> {
        let mut groups: HashMap<Key, (Vec<usize>, Vec<usize>)> = HashMap::new();
        for (index, norm) in self.before.iter().enumerate() {
            if let Some(key) = key(norm, Side::Before, index).filter(|_| !self.taken_before.contains(&index))
            {
                groups.entry(key).or_default().0.push(index);
            }
        }
        for (index, norm) in self.after.iter().enumerate() {
            if let Some(key) = key(norm, Side::After, index).filter(|_| !self.taken_after.contains(&index)) {
                groups.entry(key).or_default().1.push(index);
            }
        }
        groups
    }

    fn by_name(&mut self) {
        for (before, after) in self.left(|norm, _, _| Some((norm.name.as_str(), norm.width))).into_values() {
            if let ([before], [after]) = (&before[..], &after[..]) {
                self.take(*before, *after, MatchedBy::Name);
            }
        }
    }

    /// Tries the longest ends first, so that `text.layers.0.norm` finds its twin before a mere `layers.0.norm` is tried. An end
    /// must belong to only one site on each side and, in a block, contain the block's number.
    fn by_suffix(&mut self) {
        let parts = |norms: &[NormReport]| norms.iter().map(|norm| cuts(&norm.name).count()).max();
        let most = parts(self.before).min(parts(self.after)).unwrap_or_default();
        for length in (1..=most).rev() {
            let end = |norm: &'a NormReport, _, _| {
                let end = last_parts(&norm.name, length)?;
                let number = norm.block.map(|block| block.to_string());
                let whole = number.is_none_or(|number| end.split(['.', '/']).any(|part| part == number));
                // Outside the blocks, the last part alone may belong to anything: `norm`.
                let role = norm.block.is_none().then_some(norm.role as u8);
                whole.then_some((end, norm.block, norm.width, role))
            };
            for (before, after) in self.left(end).into_values() {
                if let ([before], [after]) = (&before[..], &after[..]) {
                    self.take(*before, *after, MatchedBy::Suffix);
                }
            }
        }
    }

    /// Both lists are in the order of the network, so if equally many sites are left, the first of one is the first of the other.
    /// Parts of a model may have one width, and only their names order them, so they are kept apart.
    fn by_place(&mut self) {
        let towers = [towers(self.before), towers(self.after)];
        let place = |norm: &NormReport, side: Side, index: usize| {
            let tower = towers[side as usize][index];
            // "Other" is not a place.
            (norm.role != NormRole::Other).then_some((norm.role as u8, norm.block, norm.width, tower))
        };
        for (before, after) in self.left(place).into_values() {
            if before.len() == after.len() {
                for (before, after) in before.into_iter().zip(after) {
                    self.take(before, after, MatchedBy::Place);
                }
            }
        }
    }
}

/// Which of the two lists.
#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

/// The part of a model that a site is in, by the words of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Tower {
    /// The only one, the language model, or an encoder.
    Main,
    Decoder,
    Vision,
    Audio,
}

/// The tower of each site. A checkpoint of one tower has only the main one: a language model may be called `decoder`, and a vision
/// tower on its own may have any name.
fn towers(norms: &[NormReport]) -> Vec<Tower> {
    let of = |norm: &NormReport| {
        let lower = norm.name.to_ascii_lowercase();
        let has = |marks: &[&str]| marks.iter().any(|mark| lower.contains(mark));
        if has(&["vision", "visual", "image", "vit."]) {
            Tower::Vision
        } else if has(&["audio", "speech"]) {
            Tower::Audio
        } else if lower.split(['.', '/']).any(|part| part == "decoder" || part == "dec") {
            Tower::Decoder
        } else {
            Tower::Main
        }
    };
    let towers: Vec<Tower> = norms.iter().map(of).collect();
    if towers.iter().all(|tower| *tower == towers[0]) {
        return vec![Tower::Main; norms.len()];
    }
    towers
}

/// Where the parts of a name begin, from the last to the first.
fn cuts(name: &str) -> impl Iterator<Item = usize> {
    name.rmatch_indices(['.', '/']).map(|(at, _)| at + 1).chain(std::iter::once(0))
}

/// The last `length` parts of a name. `None` if it has fewer.
fn last_parts(name: &str, length: usize) -> Option<&str> {
    cuts(name).nth(length - 1).map(|at| &name[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_parts_of_a_name_are_cut_at_dots_and_slashes() {
        assert_eq!(last_parts("unet/a.b.c", 1), Some("c"));
        assert_eq!(last_parts("unet/a.b.c", 3), Some("a.b.c"));
        assert_eq!(last_parts("unet/a.b.c", 4), Some("unet/a.b.c"));
        assert_eq!(last_parts("unet/a.b.c", 5), None);
    }
}
