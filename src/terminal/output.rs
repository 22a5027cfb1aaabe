//! Writing files. Gammascope never overwrites a file that it did not write. A file that it writes is complete or absent. If two processes
//! write the same file, the file is from one of them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Our own files identify themselves within this many bytes.
const BEGINS: u64 = 4096;

/// Why `output` must not be written, if so: a file is there that does not begin with our `mark`. `ours` describes our files. A typo
/// should not cost the user a file.
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
    whole(output, |file| file.write_all(bytes))
        .map_err(|error| format!("`{}` cannot be written: {error}; check the folder", output.display()))
}

/// Writes a file beside `output`, and renames it to `output` once it is complete. Writes directly to a pipe and other special files.
pub(crate) fn whole<E: From<io::Error>>(
    output: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let there = fs::metadata(output).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return fill(&mut File::create(output)?);
    }
    // A link whose target does not exist yet stays a link.
    if there.is_none() && output.is_symlink() {
        return fill(&mut File::create(output)?);
    }
    let output = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    let mut part = Part::beside(&output)?;
    fill(&mut part.file)?;
    part.file.sync_all()?;
    if let Some(there) = there {
        fs::set_permissions(&part.path, there.permissions())?;
    }
    fs::rename(&part.path, &output)?;
    part.named = true;
    Ok(())
}

/// Free bytes of the disk that holds a folder, if the system says so.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let folder = fs::canonicalize(folder).ok()?;
    let disks = sysinfo::Disks::new_with_refreshed_list();
    let holds = disks.iter().filter(|disk| folder.starts_with(disk.mount_point()));
    holds.max_by_key(|disk| disk.mount_point().as_os_str().len()).map(sysinfo::Disk::available_space)
}

/// A file that is being written. It is removed if it is never complete.
struct Part {
    path: PathBuf,
    file: File,
    named: bool,
}

impl Part {
    fn beside(output: &Path) -> io::Result<Self> {
        let name = output.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let path = output.with_file_name(format!(".{name}.{}.part", std::process::id()));
        Ok(Self { file: File::create(&path)?, path, named: false })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.named {
            // If it cannot be removed, its name shows that it is a part.
            let _ = fs::remove_file(&self.path);
        }
    }
}
