//! A scratch in a temporary file, which has no name and ends with the program.

use super::{Scratch, ScratchError};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// A scratch in a temporary file.
#[derive(Debug)]
pub struct DiskScratch {
    file: File,
}

impl DiskScratch {
    /// Takes a file that is open for writing and reading, and that nobody else uses.
    pub fn new(file: File) -> Self {
        Self { file }
    }
}

impl Scratch for DiskScratch {
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), ScratchError> {
        let written = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| ScratchError::Write { bytes: bytes.len() as u64, reason: error.to_string() })
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), ScratchError> {
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(bytes));
        read.map_err(|error| ScratchError::Read { bytes: bytes.len() as u64, reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryScratch;
    use super::*;

    #[test]
    fn both_kinds_give_back_what_was_written_in_any_order() {
        let disk = DiskScratch::new(tempfile::tempfile().unwrap());
        let kinds: [Box<dyn Scratch>; 2] = [Box::new(disk), Box::<MemoryScratch>::default()];
        for mut scratch in kinds {
            scratch.write(8, &[3, 4]).unwrap();
            scratch.write(0, &[1, 2, 9]).unwrap();
            scratch.write(2, &[5]).unwrap();
            let mut found = [0; 3];
            scratch.read(0, &mut found).unwrap();
            assert_eq!(found, [1, 2, 5]);
            scratch.read(7, &mut found).unwrap();
            assert_eq!(found, [0, 3, 4]);
            let error = scratch.read(9, &mut found).unwrap_err().to_string();
            assert!(error.starts_with("3 bytes could not be read from the temporary file"), "{error}");
        }
    }
}
