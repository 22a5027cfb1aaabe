//! Running a model, and measuring what the run shows.
//!
//! [`session`] is the whole of it, for terminal, page and npm: a run is [`planned`], [`execute`]d on a [`device`], and its [`result`]
//! collected. [`content`] is what it is run on, `decoder_ids` what a decoder reads behind its encoder. [`pass`] measures what a forward pass shows; [`loss`] tells the kind by what the wrong one costs; [`preservation`] moves
//! readers along a direction and measures what becomes of the model's function; [`random_init`] holds a trained model beside its
//! initialisation.

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
