//! What a transformer is made of, in f32 on the CPU: the reference, and the fallback of every GPU kernel.
//!
//! Matrices are slices, row after row. The letters are the same throughout: n tokens, d width of the stream, m outputs and k
//! inputs of a linear map, t tokens of a sequence, h width of a head. Rows are shared out among the cores where there are
//! threads ([`rows`]); nothing here depends on how many there are.

pub mod activation;
pub mod attention;
pub mod divergence;
mod elementary;
pub mod embedding;
pub mod experts;
mod lanes;
pub mod linear;
pub mod loss;
pub mod norm;
pub mod patches;
pub mod positions;
pub mod resize;
pub mod rotary;
pub mod rows;
pub mod weight_norm;
pub mod windows;
