//! A convolution over the tokens of a sequence beside a block (DeBERTa v2). It runs as a linear map of windows, some tokens at a time.

use super::kernels::Kernels;
use super::sounds::AT_ONCE;
use super::{ForwardError, Pass};
use crate::cpu::windows::windows;
use crate::model::architecture::LocalConvolution;
use crate::source::ByteSource;

/// Tokens whose windows are in memory at once.
fn at_once(convolution: &LocalConvolution) -> usize {
    (AT_ONCE / convolution.map.inputs.max(1)).max(1)
}

/// f32 values that stay while the block runs, and those that the convolution takes before it.
pub(super) fn values(convolution: &LocalConvolution, tokens: usize) -> [u64; 2] {
    let map = &convolution.map;
    let (stream, inputs) = ((tokens * map.outputs) as u64, map.inputs as u64);
    [stream, 2 * stream + inputs * map.outputs as u64 + 2 * tokens.min(at_once(convolution)) as u64 * inputs]
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Computes act(conv(x)) of the stream x before a block: n × d to n × d.
    pub(super) async fn convolved_tokens(
        &self,
        convolution: &LocalConvolution,
        x: &K::Values,
    ) -> Result<K::Values, ForwardError> {
        let LocalConvolution { map, reach, activation, .. } = convolution;
        let (width, length) = (map.outputs, self.sequences.length);
        self.pause().await?;
        let loaded = self.load(map).await?;
        let x = self.kernels.get(x).await?;
        let mut y = self.kernels.zeros(x.len());
        for (index, sequence) in x.chunks_exact(length * width).enumerate() {
            for from in (0..length).step_by(at_once(convolution)) {
                let places = from..(from + at_once(convolution)).min(length);
                let read = reach.inputs(&places, length);
                let own = &sequence[read.start * width..read.end * width];
                let rows = self.kernels.put(windows(own, width, read.start, *reach, places));
                let piece = loaded.apply(self.kernels, &rows);
                self.kernels.put_part(&mut y, (index * length + from) * width, &piece);
            }
        }
        self.kernels.activate(*activation, &mut y);
        Ok(y)
    }
}
