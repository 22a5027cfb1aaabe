//! The parts of a run that does not fit into memory.

use crate::scratch::Scratch;
use std::cell::RefCell;
use std::rc::Rc;

/// How a run is cut into parts, and where its activations lie.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    /// Sequences of a part.
    pub(super) sequences: usize,
    /// Bytes of matrices of a block that stay on the device.
    pub(super) held: u64,
    /// Where the activations lie. Clones of a run share it.
    pub(super) scratch: Rc<RefCell<Box<dyn Scratch>>>,
}
