//! The operations of a transformer in f32 on the CPU: the reference for every GPU kernel, and its fallback.
//!
//! Matrices are slices, row after row. The letters are the same throughout: n tokens, d width of the stream, m outputs and k inputs of a
//! linear map, t tokens of a sequence, h width of a head. The cores share the rows if there are threads ([`rows`]). No result depends on
//! the number of threads.

pub mod activation;
pub mod attention;
pub mod convolution;
pub mod delta_rule;
pub mod disentangled;
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
