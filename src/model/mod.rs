//! What one model is, resolved from its configuration and its catalogue: names, order, norms, position code, activation.
//!
//! [`architecture`] is plain data that a forward pass executes, and [`operation`] has the choices in it; [`table`] has a row for each family, those that read images are in `images`, those that read sounds in `sounds`, those that read images and text together in `chains`, and [`families`] has all; `timm` makes fields of timm's configurations;
//! [`fields`] reads a configuration and knows what was left unread; [`resolve`](mod@resolve) turns the three into one another, and
//! says which field or tensor did not fit. Nothing is approximated: what is not in the table is an error.
//!
//! [`catalogue`](mod@catalogue) walks the same rows without a checkpoint, and [`random`] makes one of it, at its initialisation.

pub mod architecture;
pub mod catalogue;
mod chains;
mod dimensions;
pub mod families;
pub mod fields;
mod images;
pub mod operation;
pub mod random;
pub mod resolve;
pub mod rotary;
mod sounds;
pub mod table;
mod timm;

pub use architecture::Architecture;
pub use catalogue::catalogue;
pub use resolve::{resolve, resolve_reading};

/// Why a checkpoint is no model that can be run here.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// No configuration.
    #[error(
        "there is no config.json beside the weights, so nothing says how they are put together: add it, or measure activations of your own code"
    )]
    NoConfig,
    /// A family without a row.
    #[error(
        "`{path}`: the family `{family}` is not among those that can be run ({known}): measure activations of your own code instead"
    )]
    Family {
        /// The configuration.
        path: String,
        /// `model_type`.
        family: String,
        /// Those with a row.
        known: String,
    },
    /// A field that is needed.
    #[error("`{path}`: the field `{field}` is not there, and a `{family}` model needs it: add it")]
    Missing {
        /// The configuration.
        path: String,
        /// The field.
        field: String,
        /// The family.
        family: String,
    },
    /// A field of another value than the rows of the family are written for.
    #[error(
        "`{path}`: `{field}` is {value}; `{family}` models are run only with {expected}: measure activations of your own code instead"
    )]
    Value {
        /// The configuration.
        path: String,
        /// The field.
        field: String,
        /// Its value, as JSON.
        value: String,
        /// The family.
        family: String,
        /// What would do.
        expected: String,
    },
    /// A field that nothing here reads, and that might change the function.
    #[error(
        "`{path}`: `{field}` is {value}, and what that does to a `{family}` model is not known here: measure activations of your own code instead"
    )]
    Unread {
        /// The configuration.
        path: String,
        /// The field.
        field: String,
        /// Its value, as JSON.
        value: String,
        /// The family.
        family: String,
    },
    /// A tensor that is needed.
    #[error(
        "tensor `{name}` is not in the checkpoint, and a `{family}` model has one: add the shard that holds it"
    )]
    NoTensor {
        /// The tensor.
        name: String,
        /// The family.
        family: String,
    },
    /// A decoder without what it reads.
    #[error(
        "the checkpoint holds the decoder of a `{family}` model without its encoder (there is no tensor `{tensor}`): the decoder reads what the encoder gives, so open the files of both"
    )]
    NoEncoder {
        /// The family.
        family: String,
        /// One that every encoder of the family has.
        tensor: String,
    },
    /// A projector between two stacks of other widths.
    #[error(
        "the projector `{name}` is {found:?}, and between this tower and this decoder it is {expected:?} ({decoder} channels of the decoder, {square} patches of {tower} channels of the tower): the files are of different models, so open those of one"
    )]
    Projector {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<u64>,
        /// The shape that fits.
        expected: [usize; 2],
        /// d of the decoder.
        decoder: usize,
        /// Patches of which one vector is made.
        square: usize,
        /// d of the tower.
        tower: usize,
    },
    /// A tensor of another shape.
    #[error("tensor `{name}` is {found:?} and should be {expected:?}: the configuration is of another model")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<u64>,
        /// The shape that the configuration asks for.
        expected: Vec<u64>,
    },
    /// A tensor that is in no place of the family.
    #[error(
        "tensor `{name}` has no place in a `{family}` model, so the model does more than is known here: measure activations of your own code instead"
    )]
    Extra {
        /// The tensor.
        name: String,
        /// The family.
        family: String,
    },
}
