//! Sorting and grouping, in code that is compiled once.
//!
//! The standard library's sort is fast because it is compiled again for every type and every comparison, five kilobytes each
//! time. So are its ordered maps. The page has to load every one of them, and nothing it sorts is long enough for the speed to
//! matter. So this file sorts indices with a comparison behind a pointer, and uses a sorted list of pairs as the map.

use std::borrow::Borrow;
use std::cmp::Ordering;

/// Sorts by `compare`. Equal items keep their order.
pub(crate) fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    for (a, b) in swaps(items.len(), &mut |a, b| compare(&items[a], &items[b])) {
        items.swap(a, b);
    }
}

/// Sorts by a key. Equal items keep their order.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl FnMut(&T) -> K) {
    let keys: Vec<K> = items.iter().map(key).collect();
    for (a, b) in swaps(items.len(), &mut |a, b| keys[a].cmp(&keys[b])) {
        items.swap(a, b);
    }
}

/// The distinct items, ascending.
pub(crate) fn distinct<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    sort_by(&mut items, T::cmp);
    items.dedup();
    items
}

/// Groups values by key, with ascending keys. The values of a key keep their order.
pub(crate) fn groups<K: Ord, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut pairs: Vec<(K, V)> = pairs.into_iter().collect();
    sort_by(&mut pairs, |a, b| a.0.cmp(&b.0));
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in pairs {
        match groups.last_mut().filter(|(last, _)| *last == key) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

/// The value of a key in a list that is sorted by key.
pub(crate) fn value_of<'a, K: Borrow<str>, V>(sorted: &'a [(K, V)], key: &str) -> Option<&'a V> {
    let found = sorted.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
    Some(&sorted[found].1)
}

/// The value of a key in a list that is sorted by key and stays sorted. A new key gets the default.
pub(crate) fn entry<'a, V: Default>(sorted: &'a mut Vec<(String, V)>, key: &str) -> &'a mut V {
    let place = sorted.binary_search_by(|(other, _)| other.as_str().cmp(key)).unwrap_or_else(|place| {
        sorted.insert(place, (key.to_owned(), V::default()));
        place
    });
    &mut sorted[place].1
}

/// Whether a sorted list has an item.
pub(crate) fn has<K: Borrow<str>>(sorted: &[K], item: &str) -> bool {
    sorted.binary_search_by(|other| other.borrow().cmp(item)).is_ok()
}

/// The median: the mean of the two middle values if their number is even. `None` without a value.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    sort_by(&mut values, f64::total_cmp);
    let (below, above) = (values.get((values.len().max(1) - 1) / 2)?, values.get(values.len() / 2)?);
    Some((below + above) / 2.0)
}

/// The most frequent item, and the greatest of several.
pub(crate) fn most_frequent<T: Ord + Copy>(items: impl IntoIterator<Item = T>) -> Option<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    sort_by(&mut items, T::cmp);
    items.chunk_by(T::eq).max_by_key(|same| same.len()).map(|same| same[0])
}

/// The one sort: the swaps that, one after the other, bring 0..length into order.
#[inline(never)]
fn swaps(length: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..length).collect();
    order.sort_by(|&a, &b| compare(a, b));
    let mut swaps = Vec::new();
    // Follows one cycle of the permutation after the other. Each finished place becomes a cycle of its own.
    for start in 0..length {
        let mut place = start;
        while order[place] != start {
            let from = std::mem::replace(&mut order[place], place);
            swaps.push((place, from));
            place = from;
        }
        order[place] = place;
    }
    swaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(items: Vec<(u8, u16)>) {
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.0);
            let (mut by, mut by_key) = (items.clone(), items);
            sort_by(&mut by, |a, b| a.0.cmp(&b.0));
            sort_by_key(&mut by_key, |item| item.0);
            prop_assert_eq!(&by, &expected);
            prop_assert_eq!(by_key, expected);
        }
    }

    #[test]
    fn groups_ascend_and_keep_the_order_inside() {
        let found = groups([("b", 3), ("a", 2), ("b", 1), ("a", 4)]);
        assert_eq!(found, [("a", vec![2, 4]), ("b", vec![3, 1])]);
        assert_eq!((value_of(&found, "b"), value_of(&found, "c")), (Some(&vec![3, 1]), None));
        assert_eq!(distinct([2, 1, 2]), [1, 2]);
        assert_eq!(most_frequent([2, 1, 3, 1, 2]), Some(2));
    }

    #[test]
    fn an_entry_is_put_in_its_place() {
        let mut sorted: Vec<(String, usize)> = Vec::new();
        for key in ["b", "a", "b"] {
            *entry(&mut sorted, key) += 1;
        }
        assert_eq!(sorted, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    }
}
