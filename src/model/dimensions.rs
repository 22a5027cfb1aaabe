//! The sizes that a configuration states and that every layer shares.

use super::ModelError;
use super::fields::Fields;
use super::table::{KeyHeads, PatchesRow, Row};

/// More than any model has, and few enough that no product of three overflows.
const MOST: usize = 1 << 20;

/// More rows or columns than any image has, and few enough that no product of two overflows.
const MOST_PIXELS: usize = 1 << 14;

/// Sizes of one model; none is 0, and heads are a multiple of key heads.
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

impl Dimensions {
    /// Those that the fields of a row say.
    pub(super) fn of(row: &Row, fields: &Fields<'_>) -> Result<Self, ModelError> {
        let sizes = &row.sizes;
        let bounded = |field: &str| match fields.needed(&[field])? {
            size if size <= MOST => Ok(size),
            _ => Err(fields.wrong(field, &format!("at most {MOST}"))),
        };
        let (width, layers, heads) = (bounded(sizes.width)?, bounded(sizes.layers)?, bounded(sizes.heads)?);
        let key_heads = match sizes.key_heads {
            KeyHeads::All => heads,
            KeyHeads::One => 1,
            KeyHeads::Field(field, usual) => match fields.count(&[field])? {
                Some(0) => return Err(fields.wrong(field, "a number above 0")),
                Some(count) => count,
                None => usual.filter(|_| !fields.mentions(field)).unwrap_or(heads),
            },
        };
        if heads % key_heads != 0 {
            return Err(fields.wrong(sizes.heads, &format!("a multiple of {key_heads}")));
        }
        let stated = sizes.head_width.map(|field| fields.count(&[field])).transpose()?.flatten();
        let head_width = stated.or(sizes.usual_head_width).unwrap_or(width / heads);
        if head_width == 0 || head_width > MOST {
            return Err(fields.wrong(sizes.heads, "as many heads as there are channels, or fewer"));
        }
        Ok(Self { width, layers, heads, key_heads, head_width })
    }
}

/// What a model of images was trained on, and the patches that it makes of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canvas {
    /// Of the pixels.
    pub(super) channels: usize,
    /// Frames, rows and columns of a patch.
    pub(super) patch: [usize; 3],
    /// Frames, rows and columns of an image.
    pub(super) trained: [usize; 3],
    /// Patches of it.
    pub(super) patches: usize,
    /// Values of a patch.
    pub(super) inputs: usize,
}

impl Canvas {
    /// By the fields that models of transformers have.
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
        let grid: [usize; 3] = std::array::from_fn(|side| trained[side] / patch[side]);
        if grid.contains(&0) {
            return Err(fields.wrong("patch_size", "a patch no larger than the image"));
        }
        let product = |all: &[usize]| all.iter().try_fold(1, |all: usize, &size| all.checked_mul(size));
        let too_many = |field: &str| fields.wrong(field, "sizes whose product is a number of this machine");
        let patches = product(&grid).ok_or_else(|| too_many("image_size"))?;
        let [frames, rows, columns] = patch;
        let inputs = product(&[channels, frames, rows, columns]).ok_or_else(|| too_many("patch_size"))?;
        Ok(Self { channels, patch, trained, patches, inputs })
    }

    /// Rows of a table with one for each distance in rows and columns, and three for the class token.
    pub(super) fn distances(&self) -> usize {
        let [_, rows, columns] = std::array::from_fn(|side| self.trained[side] / self.patch[side]);
        (2 * rows - 1) * (2 * columns - 1) + 3
    }
}
