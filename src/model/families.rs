//! All rows of the table: families that read text, those that read images, those that read sounds, and those that read images and text.

use super::chains::CHAINS;
use super::images::IMAGES;
use super::sounds::SOUNDS;
use super::table::{Row, TEXT};

/// Returns all rows, in the order in which they are tried.
pub fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    TEXT.iter().chain(&IMAGES).chain(&SOUNDS).chain(&CHAINS)
}
