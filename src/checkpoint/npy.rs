//! The beginning of an .npy file: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use std::ops::Range;

/// The first bytes of a file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes in which [`header_range`] finds where the header is.
#[cfg(feature = "more-formats")]
pub(crate) const LONGEST_START: usize = 12;

/// Where the text of the header lies, by the first bytes of a file. The numbers follow it. An error says what is wrong.
pub(crate) fn header_range(start: &[u8]) -> Result<Range<usize>, String> {
    let rest = start.strip_prefix(MAGIC).ok_or("it does not begin with \\x93NUMPY")?;
    let ended = || "it ends inside its header".to_owned();
    let (length, begin) = match rest {
        [1, _, low, high, ..] => (u32::from(u16::from_le_bytes([*low, *high])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]), 12),
        [1..=3, ..] => return Err(ended()),
        [version, ..] => return Err(format!("its format is of version {version}, and 1 to 3 are known")),
        [] => return Err(ended()),
    };
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(begin)).ok_or_else(ended)?;
    Ok(begin..end)
}

/// What a header says.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// The type of an element: `<f4`.
    pub(crate) descr: &'a str,
    /// Whether the order is column by column.
    pub(crate) fortran: bool,
    /// Sizes of the dimensions, the outermost first.
    pub(crate) shape: Vec<u64>,
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`: each of these keys once, in any order, and no others.
pub(crate) fn fields(text: &str) -> Option<Fields<'_>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" if descr.is_none() => {
                let (found, after) = quoted(value)?;
                descr = Some(found);
                after
            }
            "fortran_order" if fortran.is_none() => {
                fortran = Some(value.starts_with("True"));
                value.strip_prefix("True").or_else(|| value.strip_prefix("False"))?
            }
            "shape" if shape.is_none() => {
                let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                shape = Some(sizes(inside)?);
                after
            }
            _ => return None,
        }
        .trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(Fields { descr: descr?, fortran: fortran?, shape: shape? })
}

/// Returns the text between two equal quotes at the beginning, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Reads `2, 3`, with or without a comma at the end.
fn sizes(inside: &str) -> Option<Vec<u64>> {
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|size| size.trim().parse().ok()).collect()
}
