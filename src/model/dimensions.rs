//! The sizes that a configuration states and that every layer shares.

use super::ModelError;
use super::fields::Fields;
use super::table::{KeyHeads, Row};

/// More than any model has, and few enough that no product of three overflows.
const MOST: usize = 1 << 20;

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
