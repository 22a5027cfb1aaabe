//! How strongly the parts of a block write along a direction of the stream (MATH §3, writer energy).

use super::ForwardError;
use super::weights::Weights;
use crate::checkpoint::Checkpoint;
use crate::model::architecture::{Architecture, Block, Branch, FeedForward, Linear, Mixer, Norm};
use crate::model::operation::Layout;
use crate::source::ByteSource;

/// Energy of the attention and of the feed-forward part of a block along the unit vector `direction` (d values):
/// d·‖Uᵀu‖² ÷ ‖U‖²_F over the maps U (d × k) that write to the stream. 0 if u lies in their null space, 1 for a part that writes along
/// every direction alike. The block is one of `architecture`. Norms or a LayerScale behind a map belong to it. What a block makes of its own
/// vectors ([`BlockInput`](crate::model::architecture::BlockInput)) is left out. `None` if a part writes nothing.
pub async fn energies<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    architecture: &Architecture,
    block: &Block,
    direction: &[f64],
) -> Result<[Option<f64>; 2], ForwardError> {
    let weights = Weights::new(checkpoint, &architecture.tensors);
    let mut attention = Energy::default();
    let output = match &block.attention {
        Mixer::Softmax(attention) => &attention.output,
        Mixer::Linear(rule) => &rule.output,
    };
    attention.add(&weights, output, None, &block.around_attention, direction).await?;
    if let Some(cross) = &block.cross {
        attention.add(&weights, &cross.attention.output, None, &cross.around, direction).await?;
    }
    let mut feed_forward = Energy::default();
    let around = &block.around_feed_forward;
    let own_norm = block.beside.as_ref().map(|beside| &beside.part_after);
    let own: Vec<&Linear> = match &block.feed_forward {
        FeedForward::Plain { down, .. } => vec![down],
        FeedForward::Gated(gated) => vec![&gated.down],
        FeedForward::Experts(experts) => {
            let shared = experts.shared.iter().map(|shared| &shared.expert);
            experts.all.iter().chain(shared).map(|expert| &expert.down).collect()
        }
    };
    let beside = block
        .beside
        .iter()
        .flat_map(|beside| beside.experts.all.iter().map(|expert| (&expert.down, Some(&beside.after))));
    for (down, norm) in own.into_iter().map(|down| (down, own_norm)).chain(beside) {
        feed_forward.add(&weights, down, norm, around, direction).await?;
    }
    Ok([attention, feed_forward].map(|energy| energy.value(direction.len())))
}

/// Sums over the maps of a part.
#[derive(Default)]
struct Energy {
    /// Σ ‖Uᵀu‖².
    along: f64,
    /// Σ ‖U‖²_F.
    all: f64,
}

impl Energy {
    fn value(&self, width: usize) -> Option<f64> {
        (self.all > 0.0).then(|| width as f64 * self.along / self.all)
    }

    async fn add<S: ByteSource>(
        &mut self,
        weights: &Weights<'_, S>,
        map: &Linear,
        own_norm: Option<&Norm>,
        around: &Branch,
        direction: &[f64],
    ) -> Result<(), ForwardError> {
        let mut scales = vec![1.0; direction.len()];
        for norm in own_norm.into_iter().chain(&around.inner_after) {
            let one = f64::from(u8::from(norm.one_plus));
            for (scale, w) in scales.iter_mut().zip(weights.optional(norm.scale).await?.iter().flatten()) {
                *scale *= one + f64::from(*w);
            }
        }
        for (scale, by) in scales.iter_mut().zip(weights.optional(around.layer_scale).await?.iter().flatten())
        {
            *scale *= f64::from(*by);
        }
        let mut along = vec![0.0; map.inputs];
        let mut at = 0;
        weights
            .decoded(map, |values| {
                for value in values {
                    let (outer, inner) = match map.layout {
                        Layout::OutputInput => (at / map.inputs, at % map.inputs),
                        Layout::InputOutput => (at % map.outputs, at / map.outputs),
                    };
                    let value = f64::from(*value) * scales[outer];
                    along[inner] += value * direction[outer];
                    self.all += value * value;
                    at += 1;
                }
            })
            .await?;
        self.along += along.iter().map(|sum| sum * sum).sum::<f64>();
        Ok(())
    }
}
