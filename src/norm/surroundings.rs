//! What stands around a norm: the linear maps and convolutions that write or read its channels, and whether attention stands beside
//! it. That, and not what the norm is called, separates a LayerNorm from a GroupNorm (MATH §8). `around.rs` finds it.

use super::maps::Maps;

/// Where a norm stands, as far as it tells what the norm does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// In the nearest module around it that has any.
    pub(super) maps: Maps,
    /// Attention is in the same module or in the same block.
    pub(super) attention: bool,
    /// What its stack of blocks is made of.
    pub(super) stack: &'static str,
    /// A map into the blocks stands beside the norm, which so comes before them.
    pub entry: bool,
    /// Where in it.
    pub(super) position: &'static str,
    /// How a block without shifts is built.
    pub(super) build: &'static str,
    /// How the scale's shape says where the channels are.
    pub(super) shape: &'static str,
    /// What the scale is called in its module.
    pub(super) parameter: &'static str,
}

impl Surroundings {
    /// Convolutions and no linear map write or read the norm, or stand in its stack beside attention, or nothing is known to: there stand
    /// group norms as well as LayerNorms over the channels. Two convolutions with a norm each are a residual block, where no
    /// library but one written to be mistaken had a LayerNorm.
    pub fn among_convolutions(&self) -> bool {
        let Maps { linear, pointwise, dense, stem, depthwise, residual } = self.maps;
        let convolutions = dense && (!residual || self.position == "in a head")
            || !linear && (pointwise || depthwise || stem);
        convolutions
            || self.entry
            || !self.maps.any()
            || self.stack == "a stack of attention and convolutions"
    }

    /// It stands in no stack of transformer blocks: networks over graphs or over features have norms over all their nodes or
    /// in groups as well as LayerNorms, beside attention too.
    pub fn outside_transformers(&self) -> bool {
        !self.stack.contains("transformer") && !self.stack.contains("attention")
    }

    /// Convolutions that mix channels and positions write or read the norm.
    pub fn beside_convolutions(&self) -> bool {
        self.maps.dense
    }

    /// A scale of channels before positions and without a shift: RMSNorms of video autoencoders are stored so, and a LayerNorm over the
    /// channels of a convolution is a vector.
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
