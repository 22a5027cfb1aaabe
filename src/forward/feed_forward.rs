//! The part of a block that acts on each token alone.

use super::kernels::{Columns, Kernels};
use super::weights::Loaded;
use super::{ForwardError, Pass};
use crate::cpu::activation::Activation;
use crate::cpu::experts::route;
use crate::model::architecture::{FeedForward, Gated, GatedInputs};
use crate::source::ByteSource;

/// Tokens whose hidden values are in memory at once.
const AT_ONCE: usize = 2048;

/// Its matrices on the device.
enum Part<K: Kernels> {
    Plain { up: Loaded<K>, down: Loaded<K>, activation: Activation },
    Gated { gate: Loaded<K>, up: Loaded<K>, down: Loaded<K>, activation: Activation },
    Concatenated { both: Loaded<K>, down: Loaded<K>, activation: Activation },
}

impl<K: Kernels> Part<K> {
    /// n × d of n × d.
    fn apply(&self, kernels: &K, x: &K::Values, tokens: usize, width: usize) -> K::Values {
        if tokens <= AT_ONCE {
            return self.apply_at_once(kernels, x);
        }
        let mut y = kernels.zeros(tokens * width);
        for first in (0..tokens).step_by(AT_ONCE) {
            let some = AT_ONCE.min(tokens - first);
            let part = self.apply_at_once(kernels, &kernels.part(x, first * width, some * width));
            kernels.put_part(&mut y, first * width, &part);
        }
        y
    }

    fn apply_at_once(&self, kernels: &K, x: &K::Values) -> K::Values {
        match self {
            Self::Plain { up, down, activation } => {
                let mut hidden = up.apply(kernels, x);
                kernels.activate(*activation, &mut hidden);
                down.apply(kernels, &hidden)
            }
            Self::Gated { gate, up, down, activation } => {
                let mut hidden = gate.apply(kernels, x);
                kernels.gate(*activation, &mut hidden, &up.apply(kernels, x));
                down.apply(kernels, &hidden)
            }
            Self::Concatenated { both, down, activation } => {
                let of = both.outputs();
                let both = both.apply(kernels, x);
                let half = |from| kernels.columns(&both, Columns { from, width: of / 2, of });
                let mut hidden = half(0);
                kernels.gate(*activation, &mut hidden, &half(of / 2));
                down.apply(kernels, &hidden)
            }
        }
    }
}

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// n × d of n × d.
    pub(super) async fn feed_forward(
        &self,
        part: &FeedForward,
        x: &K::Values,
    ) -> Result<K::Values, ForwardError> {
        let (d, n) = (self.architecture.width, self.tokens.ids.len());
        Ok(match part {
            FeedForward::Plain { up, down, activation } => {
                let (up, down) = (self.load(up).await?, self.load(down).await?);
                Part::Plain { up, down, activation: *activation }.apply(self.kernels, x, n, d)
            }
            FeedForward::Gated(gated) => self.gated(gated).await?.apply(self.kernels, x, n, d),
            FeedForward::Experts { router, experts, chosen, gate, normalised } => {
                let scores = self.linear(router, x).await?;
                let scores = self.kernels.get(&scores).await?;
                let mut of_expert: Vec<Vec<(u32, f32)>> = vec![Vec::new(); experts.len()];
                for (token, scores) in (0..).zip(scores.chunks_exact(experts.len())) {
                    for (expert, weight) in route(scores, *gate, *chosen, *normalised) {
                        of_expert[expert].push((token, weight));
                    }
                }
                let mut y = self.kernels.zeros(n * d);
                for (expert, tokens) in experts.iter().zip(of_expert).filter(|(_, tokens)| !tokens.is_empty())
                {
                    let rows: Vec<u32> = tokens.iter().map(|(token, _)| *token).collect();
                    let input = self.kernels.rows(x, d, &rows);
                    let output = self.gated(expert).await?.apply(self.kernels, &input, rows.len(), d);
                    self.kernels.add_rows(&mut y, d, &tokens, &output);
                }
                y
            }
        })
    }

    async fn gated(&self, gated: &Gated) -> Result<Part<K>, ForwardError> {
        let activation = gated.activation;
        Ok(match &gated.inputs {
            GatedInputs::Separate([gate, up]) => {
                let (gate, up) = (self.load(gate).await?, self.load(up).await?);
                Part::Gated { gate, up, down: self.load(&gated.down).await?, activation }
            }
            GatedInputs::Concatenated(both) => {
                let both = self.load(both).await?;
                Part::Concatenated { both, down: self.load(&gated.down).await?, activation }
            }
        })
    }
}
