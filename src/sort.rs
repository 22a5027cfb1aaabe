//! Stable sorting that is compiled once. The standard library's is compiled anew for every type and every order, four
//! kilobytes of the page each time; no list here is long enough for its speed to be missed.

use std::cmp::Ordering;

/// Sorts `list` by `compare`; what is equal keeps its order.
pub(crate) fn by<T>(list: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let order = order(list.len(), &|a, b| compare(&list[a], &list[b]).is_lt());
    permute(order, &mut |a, b| list.swap(a, b));
}

/// Sorts `list` by a key of each; what is equal keeps its order.
pub(crate) fn by_key<T, Key: Ord>(list: &mut [T], key: impl Fn(&T) -> Key) {
    by(list, |a, b| key(a).cmp(&key(b)));
}

/// Where each place of the sorted list is filled from: a merge sort of the positions.
fn order(count: usize, before: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut merged = vec![0; count];
    let mut width = 1;
    while width < count {
        for start in (0..count).step_by(2 * width) {
            let (middle, end) = ((start + width).min(count), (start + 2 * width).min(count));
            // Most lists come nearly sorted: then there is nothing to merge.
            if middle == end || !before(order[middle], order[middle - 1]) {
                merged[start..end].copy_from_slice(&order[start..end]);
                continue;
            }
            let (mut left, mut right) = (start, middle);
            for slot in &mut merged[start..end] {
                let takes_right = left == middle || (right < end && before(order[right], order[left]));
                let from = if takes_right { &mut right } else { &mut left };
                *slot = order[*from];
                *from += 1;
            }
        }
        std::mem::swap(&mut order, &mut merged);
        width *= 2;
    }
    order
}

/// Brings each thing to its place, cycle by cycle.
fn permute(mut order: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == start {
                break;
            }
            swap(at, from);
            at = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(list in prop::collection::vec((0u8..9, any::<u16>()), 0..200)) {
            let (mut ours, mut theirs) = (list.clone(), list);
            by_key(&mut ours, |&(key, _)| key);
            theirs.sort_by_key(|&(key, _)| key);
            prop_assert_eq!(ours, theirs);
        }
    }
}
