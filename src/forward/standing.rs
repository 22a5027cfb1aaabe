//! Where a pass stands between two blocks.

/// Where a pass stands: it goes on from there, on another device if need be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// Blocks that are done; those of an encoder come first.
    pub blocks: usize,
    /// The stream after them, n × d.
    pub stream: Vec<f32>,
    /// The stream after the last block of the encoder, once a block after it is done; empty before, and without an encoder.
    pub encoded: Vec<f32>,
}

impl Standing {
    /// Where it stands after the block `index`, which leaves this stream; `before` are the blocks of an encoder.
    pub fn after(&mut self, index: usize, stream: &[f32], before: usize) {
        if before > 0 && index == before {
            self.encoded = std::mem::take(&mut self.stream);
        }
        self.blocks = index + 1;
        self.stream.clear();
        self.stream.extend_from_slice(stream);
    }
}
