//! A scratch in memory, for tests and for a device that has no other room.

use super::{Scratch, ScratchError};

/// A scratch in memory.
#[derive(Debug, Default)]
pub struct MemoryScratch {
    bytes: Vec<u8>,
}

impl Scratch for MemoryScratch {
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), ScratchError> {
        let full = || ScratchError::Write { bytes: bytes.len() as u64, reason: "memory is full".to_owned() };
        let end = usize::try_from(at).ok().and_then(|at| at.checked_add(bytes.len())).ok_or_else(full)?;
        if self.bytes.len() < end {
            self.bytes.try_reserve(end - self.bytes.len()).map_err(|_| full())?;
            self.bytes.resize(end, 0);
        }
        self.bytes[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), ScratchError> {
        let end = usize::try_from(at).ok().and_then(|at| at.checked_add(bytes.len()));
        let written = end.and_then(|end| self.bytes.get(end - bytes.len()..end));
        let short = || ScratchError::Read { bytes: bytes.len() as u64, reason: "never written".to_owned() };
        bytes.copy_from_slice(written.ok_or_else(short)?);
        Ok(())
    }
}
