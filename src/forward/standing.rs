//! Where a pass stands between two blocks.

/// The state of a pass between two blocks. The pass can continue from it, on another device if necessary.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// Number of blocks done. Those of an encoder come first.
    pub blocks: usize,
    /// The stream after them, with all its versions if there are several: n × V·d. Empty in a pass in parts, whose stream is in the scratch.
    pub stream: Vec<f32>,
    /// The stream after the last block of the encoder, once a block of the decoder is done. Empty until then, and without an encoder.
    pub encoded: Vec<f32>,
    /// Keys and values of blocks that are done, in order, where later blocks use them too. Empty in a pass in parts.
    pub lent: Vec<[Vec<f32>; 2]>,
}

impl Standing {
    /// Moves on to the state after block `index` with this stream (all its versions), and with its keys and values if later blocks use them too. `before` is
    /// the number of the encoder's blocks.
    pub fn after(&mut self, index: usize, stream: &[f32], lent: Option<[&[f32]; 2]>, before: usize) {
        if before > 0 && index == before {
            self.encoded = std::mem::take(&mut self.stream);
        }
        self.blocks = index + 1;
        self.stream.clear();
        self.stream.extend_from_slice(stream);
        self.lent.extend(lent.map(|both| both.map(<[f32]>::to_vec)));
    }
}
