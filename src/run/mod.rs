//! Running a model, and measuring what it shows.
//!
//! [`session`] covers everything, for terminal, page and npm: a run is [`planned`], [`execute`]d on a [`device`], and its [`result`]
//! collected. [`fit`] decides how it fits into memory, and [`cost`] what it takes on a machine, this one or one of [`machines`]. [`content`] is its input, and `decoder_ids` that of a decoder. [`pass`] measures what a forward pass shows. [`loss`]
//! decides the kind by the loss of the wrong one. [`preservation`] moves readers along a direction and measures the change of the model's
//! function. [`writers`] says how strongly a block writes along the bottom direction where the stream falls. [`random_init`] compares a trained model with its initialisation.

pub mod content;
pub mod cost;
mod cut;
mod decoder_ids;
pub mod device;
pub mod execute;
pub mod fit;
pub mod loss;
pub mod machines;
pub mod pass;
pub mod planned;
pub mod preservation;
pub mod random_init;
pub mod result;
pub mod session;
pub mod writers;
