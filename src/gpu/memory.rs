//! Reuses buffers. A block needs the same sizes as the block before it, and a browser may free buffers late.

use super::Gpu;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes of unused buffers that are kept.
const KEPT: u64 = 512 << 20;
/// Sizes are rounded up to a multiple of this, so that more buffers have equal sizes.
const GRAIN: u64 = 256;

/// The device's unused buffers, by size.
#[derive(Debug, Default)]
struct Unused {
    buffers: BTreeMap<u64, Vec<wgpu::Buffer>>,
    bytes: u64,
}

/// The allocator of buffers.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    gpu: Gpu,
    unused: Rc<RefCell<Unused>>,
}

/// A buffer in use. When it is dropped, it can be used again. Work submitted before is safe, because the queue keeps its order.
#[derive(Debug)]
pub(super) struct Held {
    // `None` only during the drop.
    buffer: Option<wgpu::Buffer>,
    bytes: u64,
    unused: Rc<RefCell<Unused>>,
}

impl Memory {
    pub(super) fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), unused: Rc::default() }
    }

    /// Returns a buffer of at least this many bytes, with any content.
    pub(super) fn take(&self, bytes: u64) -> Held {
        let bytes = bytes.next_multiple_of(GRAIN).max(GRAIN);
        let mut unused = self.unused.borrow_mut();
        let kept = unused.buffers.get_mut(&bytes).and_then(Vec::pop);
        if kept.is_some() {
            unused.bytes -= bytes;
        }
        let buffer = kept.unwrap_or_else(|| {
            use wgpu::BufferUsages as Usage;
            self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("values"),
                size: bytes,
                usage: Usage::STORAGE | Usage::UNIFORM | Usage::COPY_SRC | Usage::COPY_DST,
                mapped_at_creation: false,
            })
        });
        Held { buffer: Some(buffer), bytes, unused: self.unused.clone() }
    }
}

impl Held {
    /// The buffer. `None` only during the drop.
    pub(super) fn buffer(&self) -> Option<&wgpu::Buffer> {
        self.buffer.as_ref()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (Some(buffer), mut unused) = (self.buffer.take(), self.unused.borrow_mut()) else { return };
        if unused.bytes + self.bytes > KEPT {
            return buffer.destroy();
        }
        unused.bytes += self.bytes;
        unused.buffers.entry(self.bytes).or_default().push(buffer);
    }
}
