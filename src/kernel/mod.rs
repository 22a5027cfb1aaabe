//! Pure mathematics on the effective scale γ (d values): no files, no names, no browser.
//!
//! Dimensions, here and everywhere: n tokens, d width, m reader rows.

pub mod adapter;
pub mod compare;
pub mod dead;
pub mod direction;
pub mod energy;
pub mod scale;
pub mod spectrum;
