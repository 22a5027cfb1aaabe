//! Measuring a norm's outputs Y (n tokens × d): is the predicted kernel there? (MATH §4)
//!
//! [`activations`] reads Y from a file that the user's own code wrote, and [`plan`] matches it to the sites of a checkpoint. [`rows`]
//! reads its tokens, [`gram`] computes the covariance exactly, [`eigen`] its spectrum and bottom pairs, and [`site`] the result for one
//! site. [`alone`] measures a norm on random inputs if there are no activations. [`residual`] follows the least singular value of the
//! residual stream.

pub mod activations;
pub mod alone;
mod altered;
mod bottom;
mod capture;
mod centred;
pub mod eigen;
pub mod gram;
mod norm;
mod npy;
pub mod plan;
pub mod residual;
pub mod rows;
pub mod site;
mod values;

/// Why nothing could be measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MeasureError {
    /// C would have a kernel for any norm.
    #[error(
        "`{site}`: {tokens} tokens are too few for a width of {width}: any {tokens} vectors leave a kernel. Capture at least {needed} tokens, better {better}",
        needed = width + 1, better = 4 * width
    )]
    TooFewTokens {
        /// The site.
        site: String,
        /// n.
        tokens: usize,
        /// d.
        width: usize,
    },
    /// More tokens than the exact sums hold.
    #[error("{tokens} tokens are more than the exact sum allows ({most}): measure a part of them")]
    TooManyTokens {
        /// n.
        tokens: usize,
        /// The most tokens.
        most: usize,
    },
    /// A value that is not finite.
    #[error(
        "`{site}`: token {token}, channel {channel} is {value}: the covariance of such activations means nothing. Find out where it comes from, or leave that token out"
    )]
    NotFinite {
        /// The site.
        site: String,
        /// Token.
        token: usize,
        /// Channel.
        channel: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// The activations belong to another site.
    #[error(
        "`{site}` has {width} scales, and the activations of `{tensor}` have {found} channels: they belong to another site"
    )]
    Width {
        /// The site.
        site: String,
        /// Its width d.
        width: u64,
        /// The tensor of activations.
        tensor: String,
        /// Width of that tensor.
        found: usize,
    },
    /// All tokens are the same.
    #[error(
        "`{site}`: all {tokens} tokens are the same, so there is no covariance to measure. Capture activations of different inputs"
    )]
    Constant {
        /// The site.
        site: String,
        /// n.
        tokens: usize,
    },
    /// The eigenvalue solver did not converge.
    #[error(
        "`{site}`: the eigenvalues of the covariance did not converge; that is a bug, please report it with these activations"
    )]
    NoConvergence {
        /// The site.
        site: String,
    },
}
