//! Compares what we read from damaged files with what NumPy and gguf-py read. If both can read a file, the contents must be equal.

use crate::kinds::Kind;
use gammascope::checkpoint;
use gammascope::measure::activations::Captured;
use gammascope::source::memory::MemorySource;
use pollster::block_on;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::path::Path;
use std::process::Command;

/// The number of damaged files of each kind. The oracle takes about a millisecond for one.
const INPUTS: u64 = 3_000;

/// A library that reads the files of a kind, and our description of the contents of a file.
pub(crate) struct Oracle {
    pub(crate) kind: &'static str,
    pub(crate) library: &'static str,
    described: fn(&[u8]) -> Option<String>,
}

pub(crate) const ORACLES: [Oracle; 2] = [
    Oracle { kind: "npy", library: "numpy", described: npy },
    Oracle { kind: "gguf", library: "gguf", described: gguf },
];

/// How many files were tried, how many both read, and how many of these they read differently.
pub(crate) struct Agreement {
    pub(crate) tried: u64,
    pub(crate) both: u64,
    pub(crate) differ: u64,
}

/// Draws files of `kind` and compares; `None` if no Python here has the library.
pub(crate) fn agreement(oracle: &Oracle, kind: &Kind) -> Option<Agreement> {
    let pythons = ["python3", ".cache/models/venv/bin/python"];
    let import = format!("import numpy, {}", oracle.library);
    let has = |python: &&str| {
        Command::new(python).args(["-c", &import]).output().is_ok_and(|run| run.status.success())
    };
    let python = pythons.into_iter().find(has)?;
    let folder =
        std::env::temp_dir().join(format!("gammascope-oracle-{}-{}", oracle.kind, std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let make = (kind.make)();
    let mut ours = Vec::new();
    for number in 0..INPUTS {
        let input = make(&mut SmallRng::seed_from_u64(number));
        std::fs::write(folder.join(number.to_string()), &input).unwrap();
        ours.push((oracle.described)(&input));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/oracle.py");
    let run = Command::new(python).arg(script).arg(oracle.kind).arg(&folder).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let theirs = String::from_utf8_lossy(&run.stdout);
    let mut agreement = Agreement { tried: INPUTS, both: 0, differ: 0 };
    for (number, (ours, theirs)) in ours.iter().zip(theirs.lines()).enumerate() {
        let Some(ours) = ours else { continue };
        if theirs == "refused" {
            continue;
        }
        agreement.both += 1;
        if ours != theirs {
            agreement.differ += 1;
            println!("{} {number}: we read `{ours}`, {} reads `{theirs}`", oracle.kind, oracle.library);
        }
    }
    assert_eq!(theirs.lines().count(), ours.len(), "a line for each file");
    Some(agreement)
}

/// Tokens, width and the CRC-32 of the values as little-endian f64. All NaNs count as the same.
fn npy(bytes: &[u8]) -> Option<String> {
    let captured = block_on(Captured::open(MemorySource::new("a.npy", bytes.to_vec()))).ok()?;
    let name = captured.names().first()?.to_string();
    let read = block_on(captured.read(&name)).ok()?;
    let values = (0..read.tokens * read.width).map(|at| read.values.get(at));
    let bytes: Vec<u8> =
        values.flat_map(|value| if value.is_nan() { f64::NAN } else { value }.to_le_bytes()).collect();
    Some(format!("{} {} {}", read.tokens, read.width, crc32fast::hash(&bytes)))
}

/// Name (its UTF-8 in hexadecimal), elements, bytes and offset of each tensor.
fn gguf(bytes: &[u8]) -> Option<String> {
    let opened =
        block_on(checkpoint::open(vec![MemorySource::new("m.gguf", bytes.to_vec())], |_| {})).ok()?;
    let tensors = opened.tensors.iter().map(|tensor| {
        let name: String =
            opened.stored_name(&tensor.name).bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}:{}:{}:{}", tensor.elements(), tensor.bytes(), tensor.range.start)
    });
    let mut tensors: Vec<String> = tensors.collect();
    tensors.sort();
    Some(tensors.join(" "))
}
