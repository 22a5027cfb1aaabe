//! From the last hidden states to logits and losses, a slice of the vocabulary at a time.

use super::{ForwardError, Pass, Seen};
use crate::cpu::linear::{Weight, add_to_rows, linear};
use crate::cpu::loss::Loss;
use crate::cpu::norm::{normalise, scale_and_shift};
use crate::model::architecture::{Head, Linear};
use crate::source::ByteSource;

/// Values of the unembedding, and of logits, that are in memory at once.
const AT_ONCE: usize = 1 << 22;

impl<S: ByteSource> Pass<'_, S> {
    /// Calls `each` with the first row of every slice of the vocabulary, its width, and the logits (n × that width) that the
    /// last hidden states `x` (n × d) have there.
    pub async fn logits(
        &self,
        x: &[f32],
        mut each: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), ForwardError> {
        let head = self.architecture.head.as_ref().ok_or(ForwardError::NoHead)?;
        let transformed = self.transformed(head, x).await?;
        let x = transformed.as_deref().unwrap_or(x);
        let Linear { weight, bias, inputs, outputs: vocabulary, layout } = head.unembedding;
        let bias = self.weights.optional(bias).await?;
        let slice = (AT_ONCE / inputs.max(x.len() / inputs)).max(1);
        for first in (0..vocabulary).step_by(slice) {
            let outputs = slice.min(vocabulary - first);
            let elements = (first * inputs) as u64..((first + outputs) * inputs) as u64;
            let values = self.weights.part(weight, elements).await?;
            let mut logits = linear(x, Weight { values: &values, outputs, inputs, layout }, None);
            if let Some(bias) = &bias {
                add_to_rows(&mut logits, &bias[first..first + outputs]);
            }
            if head.multiplier != 1.0 {
                logits.iter_mut().for_each(|logit| *logit *= head.multiplier);
            }
            if let Some(cap) = head.cap {
                logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
            }
            each(first, outputs, &logits);
        }
        Ok(())
    }

    /// norm(act(dense x)).
    async fn transformed(&self, head: &Head, x: &[f32]) -> Result<Option<Vec<f32>>, ForwardError> {
        let Some((dense, activation, norm)) = &head.transform else { return Ok(None) };
        let mut x = self.weights.linear(dense).await?.apply(x);
        activation.apply(&mut x);
        normalise(norm.centring, &mut x, norm.width, norm.epsilon);
        let scale = self.weights.optional(norm.scale).await?;
        scale_and_shift(&mut x, scale.as_deref(), self.weights.optional(norm.shift).await?.as_deref());
        Ok(Some(x))
    }

    /// −ln p(next token), in nats, of every token but the last of its sequence; sequence after sequence.
    pub async fn losses(&self, x: &[f32]) -> Result<Vec<f64>, ForwardError> {
        let (length, d) = (self.tokens.length, self.architecture.width);
        let inner = |at: &usize| at % length != length - 1;
        let places: Vec<usize> = (0..self.tokens.ids.len()).filter(inner).collect();
        let targets: Vec<u32> = places.iter().map(|at| self.tokens.ids[at + 1]).collect();
        let x: Vec<f32> = places.iter().flat_map(|at| &x[at * d..][..d]).copied().collect();
        let mut loss = Loss::new(&targets);
        self.logits(&x, |_, width, logits| loss.take(logits, width)).await?;
        // Every id is in the vocabulary: the pass has checked it.
        Ok(loss.per_token().unwrap_or_default())
    }

    /// The losses of a pass from the first token on.
    pub async fn run_to_losses(&self) -> Result<Vec<f64>, ForwardError> {
        let hidden = self.run(&mut async |_: Seen<'_>| {}).await?;
        self.losses(&hidden).await
    }
}
