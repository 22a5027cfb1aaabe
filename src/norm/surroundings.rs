//! What is around a norm: the linear maps and convolutions that write or read its channels, and whether attention is beside it.
//! This, not the name of the norm, separates a LayerNorm from a GroupNorm (MATH §8). `around.rs` finds it.

use super::maps::Maps;

/// The surroundings of a norm, as far as they show what the norm does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// The maps in the nearest module around it that has any.
    pub(super) maps: Maps,
    /// Whether attention is in the same module or in the same block.
    pub(super) attention: bool,
    /// What its stack of blocks is made of.
    pub(super) stack: &'static str,
    /// Whether a map into the blocks is beside the norm, so that the norm comes before them.
    pub entry: bool,
    /// Where in its stack it is.
    pub(super) position: &'static str,
    /// How a block without shifts is built.
    pub(super) build: &'static str,
    /// Where the channels are, by the shape of the scale.
    pub(super) shape: &'static str,
    /// What the scale is called in its module.
    pub(super) parameter: &'static str,
}

impl Surroundings {
    /// Whether only convolutions write or read the norm, or convolutions are beside attention in its stack, or nothing is known to write
    /// or read it. Group norms occur there as well as LayerNorms over the channels. Two convolutions with a norm each are a residual
    /// block. No library has a LayerNorm in one, except for one that was written to mislead.
    pub fn among_convolutions(&self) -> bool {
        let Maps { linear, pointwise, dense, stem, depthwise, residual } = self.maps;
        let convolutions = dense && (!residual || self.position == "in a head")
            || !linear && (pointwise || depthwise || stem);
        convolutions
            || self.entry
            || !self.maps.any()
            || self.stack == "a stack of attention and convolutions"
    }

    /// Whether it is outside any stack of transformer blocks. Networks over graphs or over features have norms over all their
    /// nodes or in groups as well as LayerNorms, also beside attention.
    pub fn outside_transformers(&self) -> bool {
        !self.stack.contains("transformer") && !self.stack.contains("attention")
    }

    /// Whether convolutions that mix channels and positions write or read the norm.
    pub fn beside_convolutions(&self) -> bool {
        self.maps.dense
    }

    /// Whether the scale has channels before positions. Without a shift, only RMSNorms of video autoencoders are stored like this: a
    /// LayerNorm over the channels of a convolution is a vector.
    pub fn only_rms(&self) -> bool {
        self.shape == "channels first, without a batch"
    }

    /// The coarsest description: the maps and attention.
    pub fn coarse(&self) -> String {
        let attention = if self.attention { "with attention" } else { "without attention" };
        format!("{}, {attention}", self.maps.name())
    }

    /// With the stack and the shape of the scale.
    pub fn finer(&self) -> String {
        format!("{}; {}; {}{}", self.coarse(), self.stack, self.shape, self.parameter)
    }

    /// With the position in the block and how the block is built.
    pub fn finest(&self) -> String {
        format!("{}; {}; {}", self.finer(), self.position, self.build)
    }

    /// As part of a sentence.
    pub fn described(&self) -> String {
        let attention = if self.attention { " and attention" } else { "" };
        let build = match self.build {
            "" => String::new(),
            build => format!(", {build}"),
        };
        format!("{}{attention} around it; {}, {}{build}", self.maps.name(), self.stack, self.position)
    }
}
