//! Running a model, and measuring what the run shows.
//!
//! [`session`] is the whole of it, from plan to report, on a [`device`]; [`pass`] measures what a forward pass shows, on [`ids`] or on
//! the user's; [`loss`] tells the kind by what the wrong one costs; [`preservation`] moves readers along a direction and measures what
//! becomes of the model's function; [`random_init`] holds a trained model beside its initialisation.

pub mod device;
pub mod ids;
pub mod loss;
pub mod pass;
pub mod preservation;
pub mod random_init;
pub mod session;
