//! The part of a block that acts on each token alone.

use super::weights::Loaded;
use super::{ForwardError, Pass};
use crate::cpu::activation::Activation;
use crate::cpu::experts::route;
use crate::model::architecture::{FeedForward, Gated, GatedInputs};
use crate::source::ByteSource;

/// Tokens whose hidden values are in memory at once.
const AT_ONCE: usize = 2048;

/// Its matrices in memory.
enum Part {
    Plain { up: Loaded, down: Loaded, activation: Activation },
    Gated { gate: Loaded, up: Loaded, down: Loaded, activation: Activation },
    Concatenated { both: Loaded, down: Loaded, activation: Activation },
}

impl Part {
    /// n × d of n × d.
    fn apply(&self, x: &[f32], width: usize) -> Vec<f32> {
        x.chunks(AT_ONCE * width).flat_map(|x| self.apply_at_once(x, width)).collect()
    }

    fn apply_at_once(&self, x: &[f32], width: usize) -> Vec<f32> {
        match self {
            Self::Plain { up, down, activation } => {
                let mut hidden = up.apply(x);
                activation.apply(&mut hidden);
                down.apply(&hidden)
            }
            Self::Gated { gate, up, down, activation } => {
                let mut hidden = gate.apply(x);
                activation.gate(&mut hidden, &up.apply(x));
                down.apply(&hidden)
            }
            Self::Concatenated { both, down, activation } => {
                let both = both.apply(x);
                let half = both.len() / (x.len() / width) / 2;
                let rows = || both.chunks_exact(2 * half);
                let mut hidden: Vec<f32> = rows().flat_map(|row| &row[..half]).copied().collect();
                let up: Vec<f32> = rows().flat_map(|row| &row[half..]).copied().collect();
                activation.gate(&mut hidden, &up);
                down.apply(&hidden)
            }
        }
    }
}

impl<S: ByteSource> Pass<'_, S> {
    /// n × d of n × d.
    pub(super) async fn feed_forward(&self, part: &FeedForward, x: &[f32]) -> Result<Vec<f32>, ForwardError> {
        let d = self.architecture.width;
        Ok(match part {
            FeedForward::Plain { up, down, activation } => {
                let (up, down) = (self.weights.linear(up).await?, self.weights.linear(down).await?);
                Part::Plain { up, down, activation: *activation }.apply(x, d)
            }
            FeedForward::Gated(gated) => self.gated(gated).await?.apply(x, d),
            FeedForward::Experts { router, experts, chosen, gate, normalised } => {
                let scores = self.weights.linear(router).await?.apply(x);
                let mut of_expert: Vec<Vec<(usize, f32)>> = vec![Vec::new(); experts.len()];
                for (token, scores) in scores.chunks_exact(experts.len()).enumerate() {
                    for (expert, weight) in route(scores, *gate, *chosen, *normalised) {
                        of_expert[expert].push((token, weight));
                    }
                }
                let mut y = vec![0.0; x.len()];
                for (expert, tokens) in experts.iter().zip(of_expert).filter(|(_, tokens)| !tokens.is_empty())
                {
                    let input: Vec<f32> =
                        tokens.iter().flat_map(|(token, _)| &x[token * d..][..d]).copied().collect();
                    let output = self.gated(expert).await?.apply(&input, d);
                    for ((token, weight), row) in tokens.into_iter().zip(output.chunks_exact(d)) {
                        y[token * d..][..d].iter_mut().zip(row).for_each(|(y, value)| *y += weight * value);
                    }
                }
                y
            }
        })
    }

    async fn gated(&self, gated: &Gated) -> Result<Part, ForwardError> {
        let (down, activation) = (self.weights.linear(&gated.down).await?, gated.activation);
        Ok(match &gated.inputs {
            GatedInputs::Separate([gate, up]) => Part::Gated {
                gate: self.weights.linear(gate).await?,
                up: self.weights.linear(up).await?,
                down,
                activation,
            },
            GatedInputs::Concatenated(both) => {
                Part::Concatenated { both: self.weights.linear(both).await?, down, activation }
            }
        })
    }
}
