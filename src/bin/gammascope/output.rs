//! Files that are written. A file that Gammascope did not write is never overwritten.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Our own files say what they are within this many bytes.
const BEGINS: u64 = 4096;

/// Why `output` is not written to, if it is not: something is there that does not begin with our `mark`, so that a slip would
/// cost a file that is not `ours`.
pub(crate) fn refusal(output: &Path, mark: &str, ours: &str) -> Option<String> {
    let file = File::open(output).ok()?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return None;
    }
    let mut first = Vec::new();
    let read = file.take(BEGINS).read_to_end(&mut first);
    let is_ours = read.is_ok() && String::from_utf8_lossy(&first).contains(mark);
    (!is_ours).then(|| {
        format!(
            "`{}` exists and is not an {ours}, so it is not overwritten; choose another name, or remove it first",
            output.display()
        )
    })
}

/// Writes all of a file.
pub(crate) fn write(output: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(output, bytes)
        .map_err(|error| format!("`{}` cannot be written: {error}; check the folder", output.display()))
}
