//! Room outside memory for values that a run needs again soon. A run that does not fit into memory keeps its activations there.

#[cfg(not(target_arch = "wasm32"))]
pub mod disk;
pub mod memory;

use std::fmt::Debug;

/// Why the scratch failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScratchError {
    /// It could not be created.
    #[error(
        "no temporary file could be created ({reason}): make room on the disk, set TMPDIR to a folder on another one, or run fewer tokens"
    )]
    Created {
        /// The system's own words.
        reason: String,
    },
    /// A write failed.
    #[error(
        "{bytes} bytes could not be written to the temporary file ({reason}): make room on the disk, or run fewer tokens"
    )]
    Write {
        /// Bytes of the write.
        bytes: u64,
        /// The system's own words.
        reason: String,
    },
    /// A read failed.
    #[error("{bytes} bytes could not be read from the temporary file ({reason}): run the model again")]
    Read {
        /// Bytes of the read.
        bytes: u64,
        /// The system's own words.
        reason: String,
    },
}

/// Positioned writes and reads of bytes. It grows with its writes, and its content ends with it.
pub trait Scratch: Debug {
    /// Writes these bytes from byte `at` on.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), ScratchError>;

    /// Fills `bytes` from byte `at` on. It is an error if that was never written.
    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), ScratchError>;
}
