//! How much memory a pass takes in addition to its caller's.

use super::feed_forward::at_once;
use super::held::f32_bytes;
use super::{AHEAD, disentangled, local, sounds};
use crate::model::architecture::{
    Architecture, Attention, Block, DeltaRule, Embedding, Experts, FeedForward, Linear, Mixer, Position,
    TokenEmbedding,
};

/// Bytes of activations, of matrices on the device at the same time (as f32), and of weights read ahead, for this many tokens. The model
/// may have an encoder of `encoded` tokens, whose own memory is not included.
pub fn memory(architecture: &Architecture, tokens: usize, encoded: usize) -> u64 {
    let of_embedding = match &architecture.embedding {
        // The output of the map, that of its norm, and the rows of the table.
        Embedding::Tokens(TokenEmbedding { inputs: Some(inputs), .. }) => {
            inputs.map.outputs as u64 * (3 * tokens as u64 + inputs.map.inputs as u64)
        }
        Embedding::Tokens(tokens) => tokens.projector.as_ref().map_or(0, |projector| {
            let vectors = (encoded / projector.square()) as u64;
            let of = |map: &Linear| map.inputs as u64 * (map.outputs as u64 + vectors);
            projector.linear_maps().map(of).max().unwrap_or(0)
        }),
        Embedding::Patches(patches) => tokens as u64 * patches.projection.inputs as u64,
        Embedding::Sounds(sounds) => sounds::values(sounds, tokens),
    };
    let of_blocks =
        architecture.blocks.iter().map(|block| of_block(block, architecture.width, tokens, encoded));
    let stored = architecture.matrices().map(|linear| linear.bytes(&architecture.tensors)).max();
    let read = architecture.encoder.as_ref().map_or(0, |encoder| encoded as u64 * encoder.width as u64);
    let stream =
        tokens as u64 * (4 * architecture.state_width() as u64 + architecture.beside_stream() as u64) + read;
    4 * (stream + of_blocks.max().unwrap_or(0).max(of_embedding)) + stored.unwrap_or(0).max(AHEAD)
}

/// The same for a pass in parts of this many tokens, with `held` bytes of matrices that stay on the device.
pub fn memory_in_parts(architecture: &Architecture, tokens: usize, held: u64) -> u64 {
    // What goes to the scratch and comes back is in memory as bytes too.
    let bytes = 4 * tokens as u64 * architecture.state_width() as u64;
    memory(architecture, tokens, 0).saturating_add(held).saturating_add(bytes)
}

/// Bytes of the matrices of the largest block as f32.
pub fn block_bytes(architecture: &Architecture) -> u64 {
    let of_block = |block: &Block| block.linear_maps().map(|(map, _)| f32_bytes(map)).sum();
    architecture.blocks.iter().map(of_block).max().unwrap_or(0)
}

/// Most f32 values of a block, without those of the stream.
fn of_block(block: &Block, width: usize, tokens: usize, encoded: usize) -> u64 {
    let size = |linear: &Linear| (linear.inputs * linear.outputs) as u64;
    let of_attention = |attention: &Attention, keys: usize| {
        let values = 2 * (tokens * attention.heads + keys * attention.key_heads) * attention.head_width;
        let of_positions = match &attention.position {
            Position::Disentangled(positions) => disentangled::values(positions, attention, width, tokens),
            _ => 0,
        };
        let maps = attention.linear_maps().map(|(linear, _)| size(linear));
        values as u64 + of_positions + maps.max().unwrap_or(0)
    };
    let cross = block.cross.as_ref().map_or(0, |cross| of_attention(&cross.attention, encoded));
    let of_rule = |rule: &DeltaRule| {
        let of_values = rule.heads * rule.value_width;
        let values = tokens * (2 * rule.projections.main().outputs + of_values).max(3 * of_values);
        let maps = block.attention.linear_maps().map(|(linear, _)| size(linear));
        values as u64 + maps.max().unwrap_or(0)
    };
    let of_attention = match &block.attention {
        Mixer::Softmax(attention) => of_attention(attention, tokens).max(cross),
        Mixer::Linear(rule) => of_rule(rule).max(cross),
    };
    let normed = block.feed_forward.inner_norm().is_some();
    let of_maps = |maps: Vec<&Linear>| {
        let at_once = at_once(tokens, width, normed);
        let hidden = maps.iter().map(|map| map.outputs).max().unwrap_or(0);
        let sizes = maps.iter().map(|map| size(map));
        let matrices = if at_once < tokens { sizes.sum() } else { sizes.max().unwrap_or(0) };
        2 * (at_once * hidden) as u64 + matrices
    };
    let of_experts = |experts: &Experts| {
        let all = experts.all.iter().chain(experts.shared.iter().map(|shared| &shared.expert));
        all.map(|expert| of_maps(expert.linear_maps().collect())).max().unwrap_or(0)
    };
    let of_feed_forward = match &block.feed_forward {
        FeedForward::Plain { up, down, .. } => of_maps(vec![up, down]),
        FeedForward::Gated(gated) => of_maps(gated.linear_maps().collect()),
        FeedForward::Experts(experts) => of_experts(experts),
    };
    // The output of the part beside experts, and what its norm and the router's give, are there while the experts run.
    let of_experts_beside =
        block.beside.as_ref().map_or(0, |beside| of_experts(&beside.experts) + 3 * (tokens * width) as u64);
    let of_feed_forward = of_feed_forward.max(of_experts_beside);
    let of_input = block
        .input
        .as_ref()
        .map_or(0, |input| (tokens * (2 * input.gate.outputs + width)) as u64 + size(&input.gate));
    let convolved =
        block.convolution.as_ref().map_or([0; 2], |convolution| local::values(convolution, tokens));
    let [kept, beside] = convolved;
    kept + of_attention.max(of_feed_forward).max(of_input).max(beside)
}
