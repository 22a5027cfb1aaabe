//! All rows of the table: families that read text, and those that read images.

use super::images::IMAGES;
use super::table::{Row, TEXT};

/// All rows, in the order in which they are tried.
pub fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    TEXT.iter().chain(&IMAGES)
}
