//! A folder that is written beside its place and gets its name when it is complete. What a killed process has finished stays, and the next
//! one goes on from there.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Locked by the process that writes the folder.
const LOCK: &str = ".lock";
/// What is finished.
const FINISHED: &str = ".finished.json";

/// The files of a folder that are finished. `T` is what their writer wants to know about each.
#[derive(Serialize, Deserialize)]
struct Finished<T> {
    /// A hash of what decides their contents.
    of: u64,
    files: Vec<T>,
}

/// The folder. It is removed if it is never complete, unless the process is killed.
pub(crate) struct PartFolder<T> {
    path: PathBuf,
    /// Released by the system when the process ends.
    lock: Option<File>,
    finished: Finished<T>,
    named: bool,
}

impl<T: Serialize + DeserializeOwned> PartFolder<T> {
    /// Makes a folder beside `output`, which does not exist yet, or goes on with one that a killed process left. Its finished files count
    /// if `of` is equal. Everything else in it is removed.
    pub(crate) fn beside(output: &Path, of: impl Hash) -> io::Result<Self> {
        let name = output.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let path = output.with_file_name(format!(".{name}.part"));
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let empty = Finished { of: hasher.finish(), files: Vec::new() };
        let is_new = match fs::create_dir(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        if !is_new && !path.join(LOCK).is_file() {
            let message =
                format!("`{}` is there and was not written by gammascope; remove it first", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let lock = File::create(path.join(LOCK))?;
        // A file system without locks cannot tell.
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            let message = format!("another process is writing `{}`", path.display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        let earlier: Option<Finished<T>> =
            fs::read(path.join(FINISHED)).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let finished = match earlier {
            Some(earlier) if earlier.of == empty.of => earlier,
            _ => {
                remove_all_but(&path, LOCK)?;
                empty
            }
        };
        Ok(Self { path, lock: Some(lock), finished, named: false })
    }

    /// Where it is until it is complete.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is finished, in the order in which it was.
    pub(crate) fn finished(&self) -> &[T] {
        &self.finished.files
    }

    /// Counts only the first `count` finished files.
    pub(crate) fn keep(&mut self, count: usize) {
        self.finished.files.truncate(count);
    }

    /// Notes that another file is finished.
    pub(crate) fn finish(&mut self, file: T) -> io::Result<()> {
        self.finished.files.push(file);
        let next = self.path.join(format!("{FINISHED}.next"));
        fs::write(&next, serde_json::to_vec(&self.finished)?)?;
        fs::rename(next, self.path.join(FINISHED))
    }

    /// Leaves it for another process, although it is not complete.
    pub(crate) fn leave(mut self) {
        self.named = true;
    }

    /// Gives it its final name, unless something has that name by now.
    pub(crate) fn complete(mut self, output: &Path) -> io::Result<()> {
        if output.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Some systems do not rename a folder with an open file.
        self.lock = None;
        for own in [LOCK, FINISHED] {
            fs::remove_file(self.path.join(own))?;
        }
        fs::rename(&self.path, output)?;
        self.named = true;
        Ok(())
    }
}

impl<T> Drop for PartFolder<T> {
    fn drop(&mut self) {
        if !self.named {
            self.lock = None;
            // If it cannot be removed, its name shows that it is a part.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn remove_all_but(folder: &Path, kept: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == kept {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
