//! Running a model, and measuring what it shows.
//!
//! [`session`] covers everything, for terminal, page and npm: a run is [`planned`], [`execute`]d on a [`device`], and its [`result`]
//! collected. [`content`] is its input, and `decoder_ids` that of a decoder. [`pass`] measures what a forward pass shows. [`loss`]
//! decides the kind by the loss of the wrong one. [`preservation`] moves readers along a direction and measures the change of the model's
//! function. [`random_init`] compares a trained model with its initialisation.

pub mod content;
mod decoder_ids;
pub mod device;
pub mod execute;
pub mod loss;
pub mod pass;
pub mod planned;
pub mod preservation;
pub mod random_init;
pub mod result;
pub mod session;
