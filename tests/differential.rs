//! Our header walk against the `safetensors` crate: the same files are accepted and rejected, with the same tensors,
//! but for two deliberate differences: duplicate names are rejected, and unknown dtypes are kept.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use gammascope::checkpoint::header::{LENGTH_BYTES, header_length, walk};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

/// Name → (dtype, shape, first byte, length).
type Catalogue = BTreeMap<String, (String, Vec<u64>, u64, u64)>;

fn ours(file: &[u8]) -> Option<Catalogue> {
    let first = file.get(..LENGTH_BYTES as usize)?.try_into().ok()?;
    let length = header_length("x", first, file.len() as u64).ok()?;
    let json = &file[LENGTH_BYTES as usize..(LENGTH_BYTES + length) as usize];
    let entries = walk("x", json, file.len() as u64).ok()?;
    let row = |entry: gammascope::checkpoint::header::Entry| {
        (entry.name, (entry.dtype.to_string(), entry.shape, entry.begin, entry.end - entry.begin))
    };
    Some(entries.into_iter().map(row).collect())
}

fn theirs(file: &[u8]) -> Option<Catalogue> {
    let tensors = SafeTensors::deserialize(file).ok()?;
    let start = file.as_ptr() as u64;
    let row = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let shape = view.shape().iter().map(|&size| size as u64).collect();
        (
            name,
            (view.dtype().to_string(), shape, view.data().as_ptr() as u64 - start, view.data().len() as u64),
        )
    };
    Some(tensors.tensors().into_iter().map(row).collect())
}

fn file_of(json: &str, data: usize) -> Vec<u8> {
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json.as_bytes());
    file.extend(std::iter::repeat_n(7, data));
    file
}

const DTYPES: [(&str, u64); 8] = [
    ("F32", 32),
    ("BF16", 16),
    ("F16", 16),
    ("F64", 64),
    ("U8", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F8_E4M3", 8),
];

/// One tensor of a header that may be wrong: its offsets are what follows from its shape, then shifted.
#[derive(Debug, Clone)]
struct Drawn {
    dtype: usize,
    shape: Vec<u64>,
    shift: (i64, i64),
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let size = prop_oneof![8 => 0u64..5, 1 => Just(1u64 << 33), 1 => Just(u64::MAX)];
    let nudge = prop_oneof![12 => Just(0i64), 1 => -9i64..9];
    (0..DTYPES.len(), prop::collection::vec(size, 0..4), (nudge.clone(), nudge))
        .prop_map(|(dtype, shape, shift)| Drawn { dtype, shape, shift })
}

/// The header's JSON and the length of the data it describes.
fn header(tensors: &[Drawn], metadata: &str, order: bool) -> (String, usize) {
    let mut entries = Vec::new();
    let mut at = 0u64;
    for (index, tensor) in tensors.iter().enumerate() {
        let (dtype, bits) = DTYPES[tensor.dtype];
        let elements = tensor.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let bytes =
            elements.and_then(|elements| elements.checked_mul(bits)).map_or(8, |bits| bits / 8).min(1 << 12);
        let (begin, end) =
            (at.saturating_add_signed(tensor.shift.0), (at + bytes).saturating_add_signed(tensor.shift.1));
        entries.push(format!(
            r#""t{index}\u00e9":{{"dtype":"{dtype}","shape":{:?},"data_offsets":[{begin},{end}]}}"#,
            tensor.shape
        ));
        at += bytes;
    }
    if !order {
        entries.reverse();
    }
    if !metadata.is_empty() {
        entries.push(format!(r#""__metadata__":{metadata}"#));
    }
    (format!("{{{}}}", entries.join(",")), at as usize)
}

const METADATA: [&str; 6] = ["", r#"{"format":"pt"}"#, "null", r#"{"step":3}"#, "[]", r#"{"a":"b","a":"c"}"#];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_headers_are_accepted_with_the_same_tensors(
        tensors in prop::collection::vec(drawn(), 0..6),
        metadata in 0..METADATA.len(),
        order: bool,
        excess in prop_oneof![10 => Just(0i64), 1 => -3i64..4],
        padding in 0usize..4,
    ) {
        let (json, data) = header(&tensors, METADATA[metadata], order);
        let file = file_of(&(json + &" ".repeat(padding)), data.saturating_add_signed(excess as isize));
        prop_assert_eq!(ours(&file), theirs(&file));
    }

    #[test]
    fn a_flipped_byte_is_judged_the_same(
        tensors in prop::collection::vec(drawn(), 1..4), at in any::<prop::sample::Index>(), byte: u8
    ) {
        let (json, data) = header(&tensors, METADATA[1], true);
        let mut file = file_of(&json, data);
        let at = at.index(file.len());
        file[at] = byte;
        let ours = ours(&file);
        // The two deliberate differences.
        let header = String::from_utf8_lossy(&file);
        let unknown_dtype = ours.as_ref().is_some_and(|tensors| tensors.values().any(|(dtype, ..)| dtype.starts_with('"')));
        let duplicate = (0..tensors.len()).any(|index| header.matches(&format!("\"t{index}\\u00e9\"")).count() > 1);
        prop_assume!(!unknown_dtype && !duplicate);
        prop_assert_eq!(ours, theirs(&file));
    }

    #[test]
    fn a_truncated_file_is_judged_the_same(tensors in prop::collection::vec(drawn(), 1..4), at in any::<prop::sample::Index>()) {
        let (json, data) = header(&tensors, METADATA[0], true);
        let mut file = file_of(&json, data);
        file.truncate(at.index(file.len()));
        prop_assert_eq!(ours(&file), theirs(&file));
    }
}

#[test]
fn what_the_crate_writes_we_read() {
    let data: Vec<u8> = (0..48).collect();
    let view = |shape: Vec<usize>, range: std::ops::Range<usize>| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &data[range]).unwrap()
    };
    let tensors = [
        ("b.weight", view(vec![2, 3], 0..24)),
        ("a.bias", view(vec![6], 24..48)),
        ("scalar", view(vec![], 0..4)),
    ];
    let file = safetensors::serialize(tensors, None).unwrap();
    assert_eq!(ours(&file), theirs(&file));
    assert_eq!(ours(&file).unwrap().len(), 3);
}

#[test]
fn the_two_deliberate_differences_are_these() {
    let entry = |dtype: &str, begin: u64| {
        format!(r#"{{"dtype":"{dtype}","shape":[1],"data_offsets":[{begin},{}]}}"#, begin + 4)
    };
    let twice = file_of(&format!(r#"{{"a":{},"a":{}}}"#, entry("F32", 0), entry("F32", 0)), 4);
    assert!(theirs(&twice).is_some() && ours(&twice).is_none());
    let unknown = file_of(&format!(r#"{{"a":{},"q":{}}}"#, entry("F32", 0), entry("Q9", 4)), 8);
    assert!(theirs(&unknown).is_none() && ours(&unknown).is_some());
}
