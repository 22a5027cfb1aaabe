//! Matrices that stay on the device while the parts of a pass go through a block.

use super::ForwardError;
use super::kernels::Kernels;
use super::weights::Loaded;
use crate::model::architecture::Linear;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Bytes of the matrix of a map as f32.
pub(super) fn f32_bytes(linear: &Linear) -> u64 {
    let values = linear.values();
    (values.end - values.start).saturating_mul(4)
}

/// Matrices by their tensor, and by their first value in it.
type Matrices<K> = HashMap<(usize, u64), Rc<Loaded<K>>>;

/// Matrices of one block, as far as there is room.
pub(super) struct Held<K: Kernels> {
    loaded: RefCell<Matrices<K>>,
    /// Bytes that may still be held.
    left: RefCell<u64>,
    room: u64,
}

impl<K: Kernels> Held<K> {
    /// Makes room for this many bytes.
    pub(super) fn new(room: u64) -> Self {
        Self { loaded: RefCell::default(), left: RefCell::new(room), room }
    }

    /// Frees all matrices, for the next block.
    pub(super) fn clear(&self) {
        self.loaded.borrow_mut().clear();
        self.left.replace(self.room);
    }

    /// Returns the matrix of a map. If it is not held, `load` loads it, and it stays if there is room.
    pub(super) async fn get(
        &self,
        linear: &Linear,
        load: impl AsyncFnOnce() -> Result<Loaded<K>, ForwardError>,
    ) -> Result<Rc<Loaded<K>>, ForwardError> {
        let key = (linear.weight, linear.first);
        if let Some(loaded) = self.loaded.borrow().get(&key) {
            return Ok(Rc::clone(loaded));
        }
        let loaded = Rc::new(load().await?);
        let bytes = f32_bytes(linear);
        let left = *self.left.borrow();
        if bytes <= left {
            self.left.replace(left - bytes);
            self.loaded.borrow_mut().insert(key, Rc::clone(&loaded));
        }
        Ok(loaded)
    }
}
