//! Damages valid files: changes a few places of bytes, JSON trees and archives.

use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Map, Value, json};

/// Numbers that often break arithmetic.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    255,
    256,
    65_535,
    65_536,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Words for names: paths, markup, formulas, terminal commands, and letters that change the direction of text.
const WORDS: [&str; 14] = [
    "",
    ".",
    "../../etc/passwd",
    "a\u{0}b",
    "line\nline",
    "\u{1b}]0;title\u{7}",
    "\u{202e}txt.exe",
    "<script>alert(1)</script>",
    "=HYPERLINK(\"x\")",
    "@SUM(A1)",
    "weight",
    "norm",
    "\u{feff}",
    "\u{10ffff}",
];

/// A random item of a list.
pub(crate) fn pick<'a, T>(random: &mut SmallRng, list: &'a [T]) -> &'a T {
    &list[random.random_range(0..list.len())]
}

/// Changes a few bytes. Half of the changes are in the first `head` bytes.
pub(crate) fn bytes(random: &mut SmallRng, mut bytes: Vec<u8>, head: usize) -> Vec<u8> {
    for _ in 0..random.random_range(1..6) {
        if bytes.is_empty() {
            bytes.push(random.random());
        }
        let within = if random.random() { bytes.len().min(head.max(1)) } else { bytes.len() };
        let at = random.random_range(0..within);
        let length = random.random_range(1..=16.min(bytes.len() - at));
        match random.random_range(0..9) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 | 3 => {
                let number = *pick(random, &NUMBERS);
                let width = *pick(random, &[1, 2, 4, 8]);
                let mut number = number.to_le_bytes();
                if random.random_range(0..4) == 0 {
                    number[..width].reverse();
                }
                for (byte, number) in bytes[at..].iter_mut().zip(&number[..width]) {
                    *byte = *number;
                }
            }
            4 => drop(bytes.drain(at..at + length)),
            5 => bytes.truncate(at),
            6 => {
                let copied = bytes[at..at + length].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, copied);
            }
            7 => {
                let repeated = bytes[at..at + length].repeat(random.random_range(1..40));
                bytes.splice(at..at, repeated);
            }
            _ => {
                let word = pick(random, &WORDS).as_bytes();
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

fn node<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| node(item, left)),
        Value::Object(fields) => fields.values_mut().find_map(|item| node(item, left)),
        _ => None,
    }
}

fn value(random: &mut SmallRng) -> Value {
    match random.random_range(0..12) {
        0 => Value::Null,
        1 => Value::Bool(random.random()),
        2..6 => json!(*pick(random, &NUMBERS)),
        6 => json!(-(random.random_range(0..1_i64 << 62))),
        7 => json!(*pick(random, &[0.5, -0.0, 1e-320, 1e308, -1e308, 1e19])),
        8 => json!(*pick(random, &WORDS)),
        9 => json!("x".repeat(random.random_range(0..300))),
        10 => json!([]),
        _ => json!({}),
    }
}

/// Changes a few places of a tree.
pub(crate) fn tree(random: &mut SmallRng, mut tree: Value) -> Value {
    for _ in 0..random.random_range(1..5) {
        let all = nodes(&tree);
        let other = {
            let mut left = random.random_range(0..all);
            node(&mut tree, &mut left).cloned().unwrap_or_default()
        };
        let mut left = random.random_range(0..all);
        let Some(place) = node(&mut tree, &mut left) else { continue };
        match (random.random_range(0..10), &mut *place) {
            (0..3, Value::Object(fields)) if !fields.is_empty() => {
                changed_fields(random, fields);
            }
            (0..3, Value::Array(items)) if !items.is_empty() => {
                let at = random.random_range(0..items.len());
                match random.random_range(0..3) {
                    0 => drop(items.remove(at)),
                    1 => items.push(items[at].clone()),
                    _ => {
                        let copies = vec![items[at].clone(); random.random_range(1..30)];
                        items.splice(at..at, copies);
                    }
                }
            }
            // Only small parts are moved, otherwise trees would grow without end.
            (3, _) if nodes(&other) < 200 => *place = other,
            (4, _) => {
                for _ in 0..random.random_range(1..140) {
                    *place = json!([place.take()]);
                }
            }
            _ => *place = value(random),
        }
    }
    tree
}

fn changed_fields(random: &mut SmallRng, fields: &mut Map<String, Value>) {
    let at = random.random_range(0..fields.len());
    let Some(key) = fields.keys().nth(at).cloned() else { return };
    let taken = fields.remove(&key).unwrap_or_default();
    match random.random_range(0..4) {
        0 => {}
        1 => {
            fields.insert((*pick(random, &WORDS)).to_owned(), taken);
        }
        2 => {
            fields.insert(format!("{key}{}", pick(random, &WORDS)), taken.clone());
            fields.insert(key, taken);
        }
        _ => {
            fields.insert(key, value(random));
        }
    }
}

/// Changes a few places of a JSON tree and writes it as text, sometimes with a few changed bytes.
pub(crate) fn text(random: &mut SmallRng, seed: &Value) -> Vec<u8> {
    let text = tree(random, seed.clone()).to_string().into_bytes();
    if random.random_range(0..5) == 0 { bytes(random, text, 100) } else { text }
}

/// A valid archive of these entries, whatever they contain. They are stored or deflated.
pub(crate) fn archive(entries: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let header = file.len() as u32;
        let (method, packed) = match deflated {
            true => (8_u16, miniz_oxide::deflate::compress_to_vec(bytes, 1)),
            false => (0, bytes.to_vec()),
        };
        let sizes = [crc32fast::hash(bytes), packed.len() as u32, bytes.len() as u32].map(u32::to_le_bytes);
        let name_length = (name.len() as u16).to_le_bytes();
        let common =
            [&[20, 0, 0, 0], &method.to_le_bytes()[..], &[0; 4], &sizes.concat(), &name_length, &[0; 2]];
        let common = common.concat();
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend([&common[..], &[0; 10], &header.to_le_bytes(), name.as_bytes()].concat());
    }
    let (start, length) = (file.len() as u32, directory.len() as u32);
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(directory);
    file.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count].concat());
    file.extend([&length.to_le_bytes()[..], &start.to_le_bytes(), &[0, 0]].concat());
    file
}

/// The bytes of a stored entry in an archive of torch.save.
pub(crate) fn stored<'a>(archive: &'a [u8], ends: &str) -> Option<&'a [u8]> {
    let mut at = 0;
    while let Some(found) = archive[at..].windows(4).position(|bytes| bytes == b"PK\x01\x02") {
        at += found;
        let number = |from: usize, bytes: usize| {
            archive.get(at + from..at + from + bytes).map(|bytes| {
                bytes.iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte))
            })
        };
        let (size, name, header) = (number(24, 4)?, number(28, 2)?, number(42, 4)?);
        if archive.get(at + 46..at + 46 + name)?.ends_with(ends.as_bytes()) {
            let [name, extra] = [26, 28].map(|from| {
                archive[header + from..header + from + 2]
                    .iter()
                    .rev()
                    .fold(0, |n, &b| n << 8 | usize::from(b))
            });
            let start = header + 30 + name + extra;
            return archive.get(start..start + size);
        }
        at += 4;
    }
    None
}

/// Corrects the checksums of a PNG file.
pub(crate) fn with_checksums(mut png: Vec<u8>) -> Vec<u8> {
    let mut at = 8;
    while let Some(length) = png.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>()) {
        let end = (u32::from_be_bytes(*length) as usize).saturating_add(at + 8);
        if end.saturating_add(4) > png.len() {
            break;
        }
        let checksum = crc32fast::hash(&png[at + 4..end]).to_be_bytes();
        png[end..end + 4].copy_from_slice(&checksum);
        at = end + 4;
    }
    png
}
