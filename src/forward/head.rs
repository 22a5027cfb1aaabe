//! From the last hidden states to logits and losses, a slice of the vocabulary at a time.

use super::kernels::{Kernels, Shape};
use super::{ForwardError, Pass, Unwatched};
use crate::cpu::loss::Loss;
use crate::model::architecture::{Head, Linear};
use crate::source::ByteSource;

/// Values of the unembedding, and of logits, that are in memory at once.
const AT_ONCE: usize = 1 << 22;

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Calls `each` with the first row of every slice of the vocabulary, its width, and the logits (n × that width) that the
    /// last hidden states `x` (n × d) have there.
    pub async fn logits(
        &self,
        x: &K::Values,
        mut each: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), ForwardError> {
        let tokens = self.tokens.ids.len();
        let mut first = 0;
        self.slices(x, tokens, async |logits, width| {
            each(first, width, &self.kernels.get(&logits).await?);
            first += width;
            Ok(())
        })
        .await
    }

    /// Calls `each` with the logits of every slice of the vocabulary, n × its width, and that width.
    async fn slices(
        &self,
        x: &K::Values,
        tokens: usize,
        mut each: impl AsyncFnMut(K::Values, usize) -> Result<(), ForwardError>,
    ) -> Result<(), ForwardError> {
        let head = self.architecture.head.as_ref().ok_or(ForwardError::NoHead)?;
        let transformed = self.transformed(head, x).await?;
        let x = transformed.as_ref().unwrap_or(x);
        let Linear { weight, bias, inputs, outputs: vocabulary, layout } = head.unembedding;
        let bias = self.weights.optional(bias).await?;
        let slice = (AT_ONCE / inputs.max(tokens)).max(1);
        for first in (0..vocabulary).step_by(slice) {
            let outputs = slice.min(vocabulary - first);
            let elements = (first * inputs) as u64..((first + outputs) * inputs) as u64;
            let values = self.weights.weight(self.kernels, weight, elements).await?;
            let bias = bias.as_ref().map(|bias| self.kernels.put(bias[first..first + outputs].to_vec()));
            let shape = Shape { inputs, outputs, layout };
            let mut logits = self.kernels.linear(x, &values, shape, bias.as_ref());
            if head.multiplier != 1.0 || head.cap.is_some() {
                self.kernels.logits(&mut logits, head.multiplier, head.cap);
            }
            each(logits, outputs).await?;
        }
        Ok(())
    }

    /// norm(act(dense x)).
    async fn transformed(&self, head: &Head, x: &K::Values) -> Result<Option<K::Values>, ForwardError> {
        let Some((dense, activation, norm)) = &head.transform else { return Ok(None) };
        let mut x = self.linear(dense, x).await?;
        self.kernels.activate(*activation, &mut x);
        Ok(Some(self.norm_told(norm.centring, norm, &x, &mut Unwatched).await?))
    }

    /// −ln p(next token), in nats, of every token but the last of its sequence; sequence after sequence.
    pub async fn losses(&self, x: &K::Values) -> Result<Vec<f64>, ForwardError> {
        let (length, d) = (self.tokens.length, self.architecture.width);
        let inner = |at: &usize| at % length != length - 1;
        let places: Vec<usize> = (0..self.tokens.ids.len()).filter(inner).collect();
        let targets: Vec<u32> = places.iter().map(|at| self.tokens.ids[at + 1]).collect();
        let rows: Vec<u32> = places.iter().map(|at| *at as u32).collect();
        let x = self.kernels.rows(x, d, &rows);
        let mut loss = Loss::new(&targets);
        self.slices(&x, rows.len(), async |logits, width| self.kernels.loss(&mut loss, &logits, width).await)
            .await?;
        // Every id is in the vocabulary: the pass has checked it.
        Ok(loss.per_token().unwrap_or_default())
    }

    /// The losses of a pass from the first token on.
    pub async fn run_to_losses(&self) -> Result<Vec<f64>, ForwardError> {
        let hidden = self.run(&mut Unwatched).await?;
        self.losses(&hidden).await
    }
}
