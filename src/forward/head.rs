//! From the last hidden states to logits and losses, a slice of the vocabulary at a time.

use super::kernels::{Kernels, Shape};
use super::{ForwardError, Pass, Unwatched};
use crate::cpu::divergence::Divergence;
use crate::cpu::loss::Loss;
use crate::model::architecture::{Head, Linear, Transform};
use crate::source::ByteSource;
use std::ops::Range;

/// Values of the unembedding, and of the logits, that are in memory at once.
const AT_ONCE: usize = 1 << 22;

/// The input of the unembedding, if it is not the last hidden states, and the bias of the unembedding.
struct HeadInput<K: Kernels> {
    transformed: Option<K::Values>,
    bias: Option<Vec<f32>>,
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Calls `each` for every slice of the vocabulary with its first row, its width, and the logits (n × width) of the last hidden states
    /// `x` (n × d).
    pub async fn logits(
        &self,
        x: &K::Values,
        mut each: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), ForwardError> {
        let tokens = self.sequences.tokens;
        let mut first = 0;
        self.slices(x, tokens, async |logits, width| {
            each(first, width, &self.kernels.get(&logits).await?);
            first += width;
            Ok(())
        })
        .await
    }

    /// Calls `each` for every slice of the vocabulary with its logits (n × width) and its width.
    async fn slices(
        &self,
        x: &K::Values,
        tokens: usize,
        mut each: impl AsyncFnMut(K::Values, usize) -> Result<(), ForwardError>,
    ) -> Result<(), ForwardError> {
        let input = self.head_input(x).await?;
        for rows in self.slices_of_rows(tokens)? {
            self.pause().await?;
            let (width, weight) = (rows.len(), self.unembedding(rows.clone()).await?);
            each(self.slice(&input, x, &weight, rows)?, width).await?;
        }
        Ok(())
    }

    fn head(&self) -> Result<&Head, ForwardError> {
        self.architecture.head.as_ref().ok_or(ForwardError::NoHead)
    }

    /// Returns the input of the unembedding and its bias.
    async fn head_input(&self, x: &K::Values) -> Result<HeadInput<K>, ForwardError> {
        let head = self.head()?;
        let transformed = self.transformed(head, x).await?;
        Ok(HeadInput { transformed, bias: self.weights.bias(&head.unembedding).await? })
    }

    /// Cuts the vocabulary into slices.
    fn slices_of_rows(&self, tokens: usize) -> Result<Vec<Range<usize>>, ForwardError> {
        let Linear { inputs, outputs: vocabulary, .. } = self.head()?.unembedding;
        let slice = (AT_ONCE / inputs.max(tokens)).max(1);
        Ok((0..vocabulary).step_by(slice).map(|first| first..vocabulary.min(first + slice)).collect())
    }

    /// Loads these rows of the unembedding.
    async fn unembedding(&self, rows: Range<usize>) -> Result<K::Weight, ForwardError> {
        let linear = &self.head()?.unembedding;
        let of = |row: usize| (row * linear.inputs) as u64;
        self.weights.weight(self.kernels, linear, of(rows.start)..of(rows.end)).await
    }

    /// Computes the logits of these rows, n × their number.
    fn slice(
        &self,
        input: &HeadInput<K>,
        x: &K::Values,
        weight: &K::Weight,
        rows: Range<usize>,
    ) -> Result<K::Values, ForwardError> {
        let head = self.head()?;
        let Linear { inputs, layout, .. } = head.unembedding;
        let shape = Shape { inputs, outputs: rows.len(), layout };
        let bias = input.bias.as_ref().map(|bias| self.kernels.put(bias[rows].to_vec()));
        let x = input.transformed.as_ref().unwrap_or(x);
        let mut logits = self.kernels.linear(x, weight, shape, bias.as_ref());
        if head.multiplier != 1.0 || head.cap.is_some() {
            self.kernels.logits(&mut logits, head.multiplier, head.cap);
        }
        Ok(logits)
    }

    /// Returns KL(p‖q) of every token in nats, for each of `others`. p is the next-token distribution of this pass at its last hidden
    /// states `x` (n × d). q is that of another pass at its own hidden states: the same model with other edits. Passes that do not edit
    /// the unembedding share one read of it.
    pub async fn divergences(
        &self,
        x: &K::Values,
        others: &[(Pass<'_, S, K>, K::Values)],
    ) -> Result<Vec<Vec<f64>>, ForwardError> {
        let tokens = self.sequences.tokens;
        let input = self.head_input(x).await?;
        let mut inputs = Vec::new();
        for (pass, y) in others {
            inputs.push(pass.head_input(y).await?);
        }
        let mut divergences = vec![Divergence::new(tokens); others.len()];
        for rows in self.slices_of_rows(tokens)? {
            self.pause().await?;
            let weight = self.unembedding(rows.clone()).await?;
            let logits = self.kernels.get(&self.slice(&input, x, &weight, rows.clone())?).await?;
            for (((pass, y), input), divergence) in others.iter().zip(&inputs).zip(&mut divergences) {
                let own = match pass.weights.edits(pass.head()?.unembedding.weight) {
                    true => Some(pass.unembedding(rows.clone()).await?),
                    false => None,
                };
                let other = pass.slice(input, y, own.as_ref().unwrap_or(&weight), rows.clone())?;
                divergence.take(&logits, &self.kernels.get(&other).await?, rows.len());
            }
        }
        let finite = |divergence: &Divergence| {
            let of_tokens = divergence.per_token();
            match of_tokens.iter().position(|value| !value.is_finite()) {
                Some(token) => Err(ForwardError::Logits { token }),
                None => Ok(of_tokens),
            }
        };
        divergences.iter().map(finite).collect()
    }

    /// Returns the input of the unembedding, if it is not `x`.
    async fn transformed(&self, head: &Head, x: &K::Values) -> Result<Option<K::Values>, ForwardError> {
        let Some(Transform { dense, activation, norm }) = &head.transform else { return Ok(None) };
        let mut x = self.linear(dense, x).await?;
        if let Some(activation) = activation {
            self.kernels.activate(*activation, &mut x);
        }
        Ok(Some(match norm {
            Some(norm) => self.norm_told(norm.centring, norm, &x, &mut Unwatched).await?,
            None => x,
        }))
    }

    /// Returns −ln p(next token) in nats for every token except the last of its sequence, sequence after sequence.
    pub async fn losses(&self, x: &K::Values) -> Result<Vec<f64>, ForwardError> {
        // Without ids there is no next token to predict.
        let ids = self.input.ids().unwrap_or_default();
        let (length, d) = (self.sequences.length, self.architecture.width);
        let inner = |at: &usize| at % length != length - 1;
        let places: Vec<usize> = (0..ids.len()).filter(inner).collect();
        let targets: Vec<u32> = places.iter().map(|at| ids[at + 1]).collect();
        let rows: Vec<u32> = places.iter().map(|at| *at as u32).collect();
        let x = self.kernels.rows(x, d, &rows);
        let mut loss = Loss::new(&targets);
        self.slices(&x, rows.len(), async |logits, width| self.kernels.loss(&mut loss, &logits, width).await)
            .await?;
        // The pass has already checked that every id is in the vocabulary.
        Ok(loss.per_token().unwrap_or_default())
    }

    /// Runs the pass from the first token, and returns its losses.
    pub async fn run_to_losses(&self) -> Result<Vec<f64>, ForwardError> {
        let hidden = self.run(&mut Unwatched).await?;
        self.losses(&hidden).await
    }
}
