//! Merges many reads into few, without many more bytes than requested.

use crate::order;
use std::ops::Range;

/// A gap wider than this is never worth bridging: a second read costs less.
pub(super) const WIDEST_GAP: u64 = 64 * 1024;

/// Bytes bridged may be at most this fraction of the bytes asked for.
const GAP_BUDGET: f64 = 0.1;

/// Merges ranges whose gaps are small, narrowest gaps first, so that all gaps bridged together stay within a tenth
/// of the bytes asked for. Returns disjoint ranges in file order that cover every input range.
pub fn coalesce(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> =
        ranges.iter().filter(|range| range.start < range.end).cloned().collect();
    order::sort_by_key(&mut sorted, |range| range.start);
    let asked: u64 = sorted.iter().map(|range| range.end - range.start).sum();
    let widest = affordable_gap(&sorted, (asked as f64 * GAP_BUDGET) as u64);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(widest) => {
                last.end = last.end.max(range.end)
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// The widest gap up to which bridging every gap costs no more than `budget` bytes.
fn affordable_gap(sorted: &[Range<u64>], budget: u64) -> u64 {
    let mut gaps: Vec<u64> =
        sorted.windows(2).map(|pair| pair[1].start.saturating_sub(pair[0].end)).collect();
    gaps.retain(|&gap| gap > 0 && gap <= WIDEST_GAP);
    order::sort_by(&mut gaps, u64::cmp);
    let (mut spent, mut widest) = (0, 0);
    for same_width in gaps.chunk_by(|a, b| a == b) {
        spent += same_width.iter().sum::<u64>();
        if spent > budget {
            break;
        }
        widest = same_width[0];
    }
    widest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_become_one_read() {
        assert_eq!(coalesce(&[8..16, 0..8, 16..20]), vec![0..20]);
    }

    #[test]
    fn a_wide_gap_is_not_bridged() {
        assert_eq!(
            coalesce(&[0..10_000_000, 20_000_000..30_000_000]),
            vec![0..10_000_000, 20_000_000..30_000_000]
        );
    }

    #[test]
    fn offsets_past_four_gibibytes_keep_their_bits() {
        let far = 1u64 << 40;
        assert_eq!(coalesce(&[far..far + 8, far + 8..far + 16]), vec![far..far + 16]);
    }

    proptest! {
        #[test]
        fn every_range_is_covered_and_the_excess_stays_in_budget(
            starts in prop::collection::vec((0u64..5_000_000, 1u64..5_000), 0..60)
        ) {
            // Disjoint ranges, as tensors are.
            let mut ranges: Vec<Range<u64>> = Vec::new();
            let mut sorted = starts;
            sorted.sort_unstable();
            let mut end = 0;
            for (start, length) in sorted {
                let start = start.max(end);
                end = start + length;
                ranges.push(start..end);
            }
            let reads = coalesce(&ranges);
            for range in &ranges {
                prop_assert!(reads.iter().any(|read| read.start <= range.start && range.end <= read.end));
            }
            let asked: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            let read: u64 = reads.iter().map(|range| range.end - range.start).sum();
            prop_assert!(read as f64 <= asked as f64 * (1.0 + GAP_BUDGET));
        }
    }
}
