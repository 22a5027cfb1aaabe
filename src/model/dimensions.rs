//! The sizes from a configuration that all layers share.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::ModelError;
use super::fields::Fields;
use super::table::{ConvolutionsRow, InputsRow, KeyHeads, PatchesRow, Row, SoundsRow, VersionsRow};
use crate::model::architecture::Reach;

/// More than any model has, and few enough that no product of three overflows.
const MOST: usize = 1 << 20;

/// More layers than any model has.
const MOST_LAYERS: usize = 1 << 14;

/// More layers than any model has that share blocks. Without tensors of their own, nothing else bounds them.
const MOST_SHARING: usize = 1 << 10;

/// More rows or columns than any image has, and few enough that no product of two overflows.
const MOST_PIXELS: usize = 1 << 14;

/// More frames than any convolution over time reads at once.
const MOST_FRAMES: usize = 1 << 14;

/// Sizes of one model. None is 0, and the number of heads is a multiple of the key heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dimensions {
    /// d.
    pub(super) width: usize,
    /// Blocks.
    pub(super) layers: usize,
    /// Query heads.
    pub(super) heads: usize,
    /// Key and value heads.
    pub(super) key_heads: usize,
    /// h.
    pub(super) head_width: usize,
}

/// Which stored block each layer uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredBlocks {
    layers: usize,
    stored: usize,
}

impl StoredBlocks {
    /// Reads how many blocks are stored. Most rows store one for each of their `layers`.
    pub(super) fn of(row: &Row, fields: &Fields<'_>, layers: usize) -> Result<Self, ModelError> {
        let Some(field) = row.stored_blocks else { return Ok(Self { layers, stored: layers }) };
        if layers > MOST_SHARING {
            return Err(fields.wrong(row.sizes.layers, &format!("at most {MOST_SHARING}")));
        }
        match fields.count(&[field])?.unwrap_or(1) {
            stored if (1..=layers).contains(&stored) => Ok(Self { layers, stored }),
            _ => Err(fields.wrong(field, &format!("a number from 1 to {layers}"))),
        }
    }

    /// The block of a layer.
    pub(super) fn of_layer(self, layer: usize) -> usize {
        let place = (layer as u64).saturating_mul(self.stored as u64).checked_div(self.layers as u64);
        place.unwrap_or_default() as usize
    }

    /// Whether no later layer uses the same block.
    pub(super) fn is_last_use(self, layer: usize) -> bool {
        let next = layer.saturating_add(1);
        next >= self.layers || self.of_layer(next) != self.of_layer(layer)
    }
}

impl Dimensions {
    /// Reads the sizes from the fields that a row names.
    pub(super) fn of(row: &Row, fields: &Fields<'_>) -> Result<Self, ModelError> {
        let sizes = &row.sizes;
        let bounded = |field: &str| match fields.needed(&[field])? {
            size if size <= MOST => Ok(size),
            _ => Err(fields.wrong(field, &format!("at most {MOST}"))),
        };
        let (width, layers, heads) = (bounded(sizes.width)?, bounded(sizes.layers)?, bounded(sizes.heads)?);
        if layers > MOST_LAYERS {
            return Err(fields.wrong(sizes.layers, &format!("at most {MOST_LAYERS}")));
        }
        let key_heads = match sizes.key_heads {
            KeyHeads::All => heads,
            KeyHeads::One => 1,
            KeyHeads::Field(field, usual) => match fields.count(&[field])? {
                Some(0) => return Err(fields.wrong(field, "a number above 0")),
                Some(count) => count,
                None => usual.filter(|_| !fields.mentions(field)).unwrap_or(heads),
            },
        };
        if !heads.is_multiple_of(key_heads) {
            return Err(fields.wrong(sizes.heads, &format!("a multiple of {key_heads}")));
        }
        let stated = sizes.head_width.map(|field| fields.count(&[field])).transpose()?.flatten();
        let head_width =
            stated.or(sizes.usual_head_width).unwrap_or(width.checked_div(heads).unwrap_or_default());
        if head_width == 0 || head_width > MOST {
            return Err(fields.wrong(sizes.heads, "as many heads as there are channels, or fewer"));
        }
        // Queries, keys and values side by side, which is the largest product anywhere.
        if heads.checked_mul(head_width).and_then(|width| width.checked_mul(3)).is_none() {
            return Err(fields.wrong(sizes.heads, "heads whose total width fits in a machine word"));
        }
        Ok(Self { width, layers, heads, key_heads, head_width })
    }

    /// Channels of all queries.
    pub(super) fn of_queries(&self) -> usize {
        self.heads.saturating_mul(self.head_width)
    }

    /// Channels of all keys, and of all values.
    pub(super) fn of_keys(&self) -> usize {
        self.key_heads.saturating_mul(self.head_width)
    }
}

/// Returns the width of the vectors that blocks read beside the stream, and of those of all `layers` together. `None` if there are none.
pub(super) fn input_widths(
    row: &InputsRow,
    fields: &Fields<'_>,
    layers: usize,
) -> Result<Option<[usize; 2]>, ModelError> {
    let (field, usual) = row.width;
    let usual = Some(usual).filter(|_| !fields.mentions(field));
    let Some(width) = fields.count(&[field])?.or(usual).filter(|width| *width > 0) else { return Ok(None) };
    match width.checked_mul(layers).filter(|all| *all <= MOST) {
        Some(all) => Ok(Some([width, all])),
        None => Err(fields.wrong(field, &format!("at most {MOST} for all layers together"))),
    }
}

/// More versions of the stream than any model has.
const MOST_VERSIONS: usize = 64;

/// Returns the number of versions of the stream.
pub(super) fn versions(row: &VersionsRow, fields: &Fields<'_>) -> Result<usize, ModelError> {
    let (field, usual) = row.count;
    match fields.count(&[field])?.unwrap_or(usual) {
        count @ 2..=MOST_VERSIONS => Ok(count),
        _ => Err(fields.wrong(field, &format!("2 to {MOST_VERSIONS}"))),
    }
}

/// Layers that have a cut if no field says so, in models with more layers, and the share of the gate that it sets to zero.
const USUALLY_CUT: (usize, f64) = (10, 0.95);

/// Returns the k of the cut of a layer's gate, the number of deviations beyond the mean. `field` has the share of values that a normal
/// distribution has below it.
pub(super) fn cut(
    field: &str,
    fields: &Fields<'_>,
    layers: usize,
    layer: usize,
) -> Result<Option<f32>, ModelError> {
    let (first, usual) = USUALLY_CUT;
    let share = match fields.numbers(field)? {
        None if layers > first && layer < first => usual,
        None => 0.0,
        Some(shares) if shares.len() == layers => shares[layer],
        Some(_) => return Err(fields.wrong(field, &format!("a list of {layers} shares, one for each layer"))),
    };
    if share >= 1.0 {
        return Err(fields.wrong(field, "shares below 1"));
    }
    Ok((share > 0.0).then(|| quantile(share) as f32))
}

/// Returns x with Φ(x) = `share`, which is above 0 and below 1: by bisection, because this is needed once for each layer.
fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-40.0f64, 40.0f64);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        let below = 0.5 * libm::erfc(-middle * std::f64::consts::FRAC_1_SQRT_2);
        (low, high) = if below < share { (middle, high) } else { (low, middle) };
    }
    low
}

/// Sizes of linear attention. None is 0, and the number of value heads is a multiple of the key heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeltaSizes {
    /// Value heads.
    pub(super) heads: usize,
    /// Query and key heads.
    pub(super) key_heads: usize,
    /// Width of a query and of a key.
    pub(super) key_width: usize,
    /// Width of a value.
    pub(super) value_width: usize,
    /// Tokens that the convolution reads at once.
    pub(super) kernel: usize,
}

/// Most heads, and most channels of a head, of linear attention. No product of two overflows.
const MOST_OF_DELTA: usize = 1 << 14;

impl DeltaSizes {
    /// Reads the sizes from their fields.
    pub(super) fn of(fields: &Fields<'_>) -> Result<Self, ModelError> {
        let bounded = |field: &str| match fields.needed(&[field])? {
            size if size <= MOST_OF_DELTA => Ok(size),
            _ => Err(fields.wrong(field, &format!("at most {MOST_OF_DELTA}"))),
        };
        let (heads, key_heads) = (bounded("linear_num_value_heads")?, bounded("linear_num_key_heads")?);
        if !heads.is_multiple_of(key_heads) {
            return Err(fields.wrong("linear_num_value_heads", &format!("a multiple of {key_heads}")));
        }
        Ok(Self {
            heads,
            key_heads,
            key_width: bounded("linear_key_head_dim")?,
            value_width: bounded("linear_value_head_dim")?,
            kernel: bounded("linear_conv_kernel_dim")?,
        })
    }

    /// Channels of all queries, and of all keys.
    pub(super) fn of_keys(&self) -> usize {
        self.key_heads.saturating_mul(self.key_width)
    }

    /// Channels of all values.
    pub(super) fn of_values(&self) -> usize {
        self.heads.saturating_mul(self.value_width)
    }

    /// Channels of queries, keys and values together.
    pub(super) fn channels(&self) -> usize {
        self.of_keys().saturating_mul(2).saturating_add(self.of_values())
    }
}

/// Whether a layer has linear attention, in a family that has it in some layers.
pub(super) fn attends_linearly(fields: &Fields<'_>, layer: usize) -> Result<bool, ModelError> {
    let Some(types) = fields.get("layer_types") else {
        let interval = fields.count(&["full_attention_interval"])?.unwrap_or(4).max(1);
        return Ok(!layer.saturating_add(1).is_multiple_of(interval));
    };
    match types.get(layer).and_then(|kind| kind.as_str()) {
        Some("linear_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(fields.wrong("layer_types", "full_attention or linear_attention for each layer")),
    }
}

/// A convolution over time, from a configuration and its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConvolutionSize {
    /// Name of its tensors.
    pub(super) name: String,
    /// Channels of its input.
    pub(super) inputs: usize,
    /// Channels of its output.
    pub(super) outputs: usize,
    /// Which frames it reads.
    pub(super) reach: Reach,
    /// Whether it has a bias.
    pub(super) biased: bool,
    /// Name of its norm, and whether the norm is over time.
    pub(super) norm: Option<(String, bool)>,
}

/// More convolutions than any model has.
const MOST_CONVOLUTIONS: usize = 64;

/// The lists of wav2vec 2.0 that apply if a configuration has none.
const USUAL_CHANNELS: [usize; 7] = [512; 7];
const USUAL_KERNELS: [usize; 7] = [10, 3, 3, 3, 3, 2, 2];
const USUAL_STRIDES: [usize; 7] = [5, 2, 2, 2, 2, 2, 2];

impl ConvolutionSize {
    /// Returns the convolutions of a model whose stream has `width` channels, in order, at least one, and the channels of the features.
    pub(super) fn all(
        row: &SoundsRow,
        fields: &Fields<'_>,
        width: usize,
    ) -> Result<(usize, Vec<Self>), ModelError> {
        let channels = row.channels.map_or(Ok(1), |field| fields.needed(&[field]))?;
        let (map, norm) = match row.convolutions {
            ConvolutionsRow::Named(convolutions) => {
                let of = |(at, (name, stride)): (usize, &(&str, usize))| Self {
                    name: (*name).to_owned(),
                    inputs: if at == 0 { channels } else { width },
                    outputs: width,
                    reach: Reach { kernel: 3, stride: *stride, padding: 1 },
                    biased: true,
                    norm: None,
                };
                return Ok((channels, convolutions.iter().enumerate().map(of).collect()));
            }
            ConvolutionsRow::Listed { map, norm } => (map, norm),
        };
        let outputs = fields.counts("conv_dim")?.unwrap_or(USUAL_CHANNELS.into());
        let kernels = fields.counts("conv_kernel")?.unwrap_or(USUAL_KERNELS.into());
        let strides = fields.counts("conv_stride")?.unwrap_or(USUAL_STRIDES.into());
        let count = outputs.len();
        if count == 0 || count > MOST_CONVOLUTIONS {
            return Err(fields.wrong("conv_dim", &format!("from 1 to {MOST_CONVOLUTIONS} numbers")));
        }
        for (field, list) in [("conv_dim", &outputs), ("conv_kernel", &kernels), ("conv_stride", &strides)] {
            let product = list.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
            let most = if field == "conv_dim" { MOST } else { MOST_FRAMES };
            if list.len() != count || list.iter().any(|size| *size == 0 || *size > most) {
                let expected = format!("{count} numbers from 1 to {most}, one for each of conv_dim");
                return Err(fields.wrong(field, &expected));
            }
            if field == "conv_stride" && product.is_none_or(|product| product > MOST) {
                return Err(fields.wrong(field, &format!("numbers whose product is at most {MOST}")));
            }
        }
        let over_time = match fields.text(&["feat_extract_norm"])?.unwrap_or("group") {
            "group" => true,
            "layer" => false,
            _ => return Err(fields.wrong("feat_extract_norm", "\"group\" or \"layer\"")),
        };
        let biased = fields.truth("conv_bias")?.unwrap_or(false);
        let named = |name: &str, at: usize| name.replace("{layer}", &at.to_string());
        let of = |at: usize| Self {
            name: named(map, at),
            inputs: at.checked_sub(1).map_or(channels, |before| outputs[before]),
            outputs: outputs[at],
            reach: Reach { kernel: kernels[at], stride: strides[at], padding: 0 },
            biased,
            norm: (!over_time || at == 0).then(|| (named(norm, at), over_time)),
        };
        Ok((channels, (0..count).map(of).collect()))
    }
}

/// Returns the reach and the groups of a convolution over the tokens of a sound, `num_conv_pos_embeddings` of them.
pub(super) fn positional_convolution(
    fields: &Fields<'_>,
    width: usize,
) -> Result<(Reach, usize), ModelError> {
    let kernel = fields.needed(&["num_conv_pos_embeddings"])?;
    let groups = fields.needed(&["num_conv_pos_embedding_groups"])?;
    if kernel > MOST_FRAMES {
        return Err(fields.wrong("num_conv_pos_embeddings", &format!("at most {MOST_FRAMES}")));
    }
    if !width.is_multiple_of(groups) {
        return Err(fields.wrong("num_conv_pos_embedding_groups", &format!("a divisor of {width}")));
    }
    Ok((Reach { kernel, stride: 1, padding: kernel / 2 }, groups))
}

/// The images that a model was trained on, and their patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canvas {
    /// Channels of the pixels.
    pub(super) channels: usize,
    /// Frames, rows and columns of a patch.
    pub(super) patch: [usize; 3],
    /// Frames, rows and columns of an image.
    pub(super) trained: [usize; 3],
    /// Patches of an image.
    pub(super) patches: usize,
    /// Values of a patch.
    pub(super) inputs: usize,
}

impl Canvas {
    /// Reads them from the fields of transformers' models.
    pub(super) fn of(row: &PatchesRow, fields: &Fields<'_>) -> Result<Self, ModelError> {
        let (image, patch) = (fields.sides("image_size")?, fields.sides("patch_size")?);
        let channels = fields.needed(&["num_channels"])?;
        let [frames, tubelet] = match row.video {
            true => [fields.needed(&["num_frames"])?, fields.needed(&["tubelet_size"])?],
            false => [1, 1],
        };
        let (trained, patch) = ([frames, image[0], image[1]], [tubelet, patch[0], patch[1]]);
        for (field, sides) in
            [("image_size", trained), ("patch_size", patch), ("num_channels", [channels; 3])]
        {
            if sides.iter().any(|side| *side > MOST_PIXELS) {
                return Err(fields.wrong(field, &format!("at most {MOST_PIXELS}")));
            }
        }
        let grid: [usize; 3] =
            std::array::from_fn(|side| trained[side].checked_div(patch[side]).unwrap_or_default());
        if grid.contains(&0) {
            return Err(fields.wrong("patch_size", "a patch no larger than the image"));
        }
        let product = |all: &[usize]| all.iter().try_fold(1, |all: usize, &size| all.checked_mul(size));
        let too_many = |field: &str| fields.wrong(field, "sizes whose product fits in a machine word");
        let patches = product(&grid).ok_or_else(|| too_many("image_size"))?;
        let [frames, rows, columns] = patch;
        let inputs = product(&[channels, frames, rows, columns]).ok_or_else(|| too_many("patch_size"))?;
        Ok(Self { channels, patch, trained, patches, inputs })
    }

    /// Returns the rows of a table with one row for each distance in rows and columns, and three for the class token.
    pub(super) fn distances(&self) -> usize {
        let [_, rows, columns] =
            std::array::from_fn(|side| self.trained[side].checked_div(self.patch[side]).unwrap_or_default());
        let distances = |side: usize| side.saturating_mul(2).saturating_sub(1);
        distances(rows).saturating_mul(distances(columns)).saturating_add(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        // From torch.distributions.Normal(0, 1).icdf.
        for (share, expected) in [(0.95, 1.644_853_6), (0.5, 0.0), (0.1, -1.281_551_6)] {
            assert!((quantile(share) - expected).abs() < 1e-6, "{share}");
        }
    }

    #[test]
    fn layers_that_share_blocks_follow_each_other() {
        let uses = |layers, stored| {
            let blocks = StoredBlocks { layers, stored };
            (0..layers).map(|layer| (blocks.of_layer(layer), blocks.is_last_use(layer))).collect::<Vec<_>>()
        };
        assert_eq!(uses(2, 2), [(0, true), (1, true)]);
        assert_eq!(uses(3, 1), [(0, false), (0, false), (0, true)]);
        assert_eq!(uses(4, 3), [(0, false), (0, true), (1, true), (2, true)]);
    }
}
