//! Compares our header parser with the `safetensors` crate: it accepts and rejects the same files, with the same tensors,
//! with two deliberate differences: it rejects duplicate names and keeps unknown dtypes.

use gammascope::checkpoint::header::{LENGTH_BYTES, header_length, walk};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

/// Name → (dtype, shape, first byte, length).
type Catalogue = BTreeMap<String, (String, Vec<u64>, u64, u64)>;

fn judged(file: &[u8]) -> Result<Catalogue, String> {
    let first = file.first_chunk().ok_or("too short")?;
    let length = header_length("x", *first, file.len() as u64).map_err(|error| error.to_string())?;
    let json = &file[LENGTH_BYTES as usize..(LENGTH_BYTES + length) as usize];
    let entries = walk("x", json, file.len() as u64).map_err(|error| error.to_string())?;
    let row = |entry: gammascope::checkpoint::header::Entry| {
        (entry.name, (entry.dtype.to_string(), entry.shape, entry.begin, entry.end - entry.begin))
    };
    Ok(entries.into_iter().map(row).collect())
}

fn ours(file: &[u8]) -> Option<Catalogue> {
    judged(file).ok()
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

/// Every type of the crate, with its bits.
const DTYPES: [(&str, u64); 22] = [
    ("BOOL", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("C64", 64),
    ("F64", 64),
    ("I64", 64),
    ("U64", 64),
];

/// One tensor of a header that may be wrong: its offsets follow from its shape and are then shifted.
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

const METADATA: [&str; 7] =
    ["", r#"{"a":0,"a":"c"}"#, r#"{"format":"pt"}"#, "null", r#"{"step":3}"#, "[]", r#"{"a":"b","a":"c"}"#];

/// Characters of JSON.
const ALPHABET: &[u8] = b"{}[]\",:0123456789.eE+-\\ \n\tutfalsn";

/// Whether both agree, or differ in one of the two deliberate ways.
fn agree(file: &[u8]) -> bool {
    let ours = judged(file);
    let duplicate = ours.as_ref().is_err_and(|problem| problem.contains(" occurs twice"));
    let unknown =
        ours.as_ref().is_ok_and(|tensors| tensors.values().any(|(dtype, ..)| dtype.starts_with('"')));
    duplicate || unknown || ours.ok() == theirs(file)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

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
        let (json, data) = header(&tensors, METADATA[2], true);
        let mut file = file_of(&json, data);
        let at = at.index(file.len());
        file[at] = byte;
        prop_assert!(agree(&file), "{:?}", String::from_utf8_lossy(&file));
    }

    #[test]
    fn a_header_with_characters_lost_and_put_in_is_judged_the_same(
        tensors in prop::collection::vec(drawn(), 1..3),
        metadata in 0..METADATA.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, prop::sample::select(ALPHABET)), 1..4),
    ) {
        let (json, data) = header(&tensors, METADATA[metadata], true);
        let mut json = json.into_bytes();
        for (at, lost, put) in edits {
            let at = at.index(json.len());
            let end = (at + lost).min(json.len());
            json.splice(at..end, (lost != 1).then_some(put));
        }
        let json = String::from_utf8(json).unwrap();
        prop_assert!(agree(&file_of(&json, data)), "{json}");
    }

    #[test]
    fn a_truncated_file_is_judged_the_same(tensors in prop::collection::vec(drawn(), 1..4), at in any::<prop::sample::Index>()) {
        let (json, data) = header(&tensors, METADATA[0], true);
        let mut file = file_of(&json, data);
        file.truncate(at.index(file.len()));
        prop_assert_eq!(ours(&file), theirs(&file));
    }
}

/// One entry in spellings that a JSON parser may or may not accept. The tensor is [0, 4].
#[test]
fn odd_spellings_are_judged_the_same() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let extra =
        |value: &str| format!(r#"{{"dtype":"F32","extra":{value},"shape":[1],"data_offsets":[0,4]}}"#);
    let offsets = |value: &str| format!(r#"{{"dtype":"F32","shape":[1],"data_offsets":{value}}}"#);
    let shape = |value: &str| format!(r#"{{"dtype":"F32","shape":{value},"data_offsets":[0,4]}}"#);
    let mut entries: Vec<String> = [
        r#"{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}"#,
        r#"{ "dtype" :\t"F32" ,\n"shape": [ 1 ],\r"data_offsets":[0 ,4 ] }"#,
        r#"{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}"#,
        r#"{"dtype":"F32","shape":[1]}"#,
        r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4],}"#,
        r#"{"dtype":"\u0046\u00332","shape":[1],"data_offsets":[0,4]}"#,
        r#"{"dtype":{"F32":null},"shape":[1],"data_offsets":[0,4]}"#,
        r#"{"dtype":17,"shape":[1],"data_offsets":[0,4]}"#,
        r#"{"dtype":null,"shape":[1],"data_offsets":[0,4]}"#,
        r#"["F32",[1],[0,4]]"#,
        r#"["F32",[1],[0,4],0]"#,
        r#"["F32",[1]]"#,
        "null",
        "{}",
        "17",
    ]
    .map(str::to_owned)
    .into();
    entries.extend(["null", "[]", "[0]", "[0,4,8]", "[4,0]", "\"04\"", "{\"0\":0,\"1\":4}"].map(offsets));
    entries.extend(
        ["[0.0,4]", "[0,4.0]", "[-0,4]", "[0,04]", "[0,4e0]", "[0,18446744073709551616]"].map(offsets),
    );
    entries
        .extend(["null", "1", "[1,1,1,1,1]", "[1,]", "[[1]]", "[-1]", "[true]", "[1e0]", "\"1\""].map(shape));
    entries.extend(
        [
            "null",
            "-1",
            "1.5e3",
            "\"\\ud83d\\ude00\"",
            "{\"a\":[{}]}",
            "\"\\ud800\"",
            "1e999",
            "\"\n\"",
            &deep,
        ]
        .map(extra),
    );
    for entry in entries {
        for json in [format!(r#"{{"a":{entry}}}"#), format!(r#"{{"__metadata__":{{}},"a":{entry}}} "#)] {
            let file = file_of(&json, 4);
            assert_eq!(ours(&file), theirs(&file), "{json}");
        }
    }
    let sound = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for json in [
        format!("[{sound}]"),
        format!(r#"{{"":{sound}}}"#),
        format!(r#"{{"\ud83d\ude00 \u0000":{sound}}}"#),
        format!(r#"{{"\ud800":{sound}}}"#),
        format!("\u{feff}{{\"a\":{sound}}}"),
        format!(" \n{{\"a\":{sound}}}"),
        format!("{{\"a\":{sound}}}\0"),
        format!("{{\"a\":{sound}}}{{}}"),
        format!(r#"{{"a":{sound},"__metadata__":{{"x":null}}}}"#),
        format!(r#"{{"a":{sound},"__metadata__":{sound}}}"#),
        format!(r#"{{"a":{sound},"__metadata__":{{}},"__metadata__":{{}}}}"#),
        format!(r#"{{"a":{sound},"__metadata__":null,"__metadata__":null}}"#),
        "null".to_owned(),
        String::new(),
        "{}".to_owned(),
    ] {
        let data = if json.contains("F32") { 4 } else { 0 };
        let file = file_of(&json, data);
        assert_eq!(ours(&file), theirs(&file), "{json}");
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
