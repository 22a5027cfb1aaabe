//! The memory that a run may take, and the file for what does not fit.

use gammascope::scratch::ScratchError;
use gammascope::scratch::disk::DiskScratch;

/// Returns half of the memory that is free on this machine, in bytes.
pub(crate) fn for_a_run() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // A container may have less than its machine.
    let free = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    system.available_memory().min(free) / 2
}

/// Opens a temporary file without a name, which ends with the program.
pub(crate) fn scratch() -> Result<DiskScratch, ScratchError> {
    let file = tempfile::tempfile().map_err(|error| ScratchError::Created { reason: error.to_string() })?;
    Ok(DiskScratch::new(file))
}
