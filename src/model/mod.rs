//! What one model is: its names, order, norms, position code and activation, resolved from its configuration and its catalogue.
//!
//! [`architecture`] is the plain data that a forward pass executes, and [`operation`] has its choices. [`table`] has a row for each
//! family: `images` and `sounds` have those that read images and sounds, `chains` those that read images and text together, and
//! [`families`] lists all. `timm` makes fields from timm's configurations. [`fields`] reads a configuration and records what was read, and `read_fields` knows what
//! transformers reads of it.
//! [`resolve`](mod@resolve) makes the architecture from these, and names the field or tensor that does not fit. `windows` says which
//! layers see a window, and what heads the others have; `disentangled` reads the fields of DeBERTa's positions. Nothing is approximated: what is not in the table is an error.
//!
//! [`rms_normed`] knows the names of models whose LayerNorms became RMSNorms, and `variants` what a family's code could store beside
//! what a checkpoint has.
//! `llama_cpp` makes a configuration of these families, and their names, from a GGUF file.
//!
//! [`catalogue`](mod@catalogue) follows the same rows without a checkpoint, and [`random`] makes a checkpoint at its initialisation.

pub mod architecture;
pub mod catalogue;
mod chains;
mod dimensions;
mod disentangled;
pub mod families;
pub mod fields;
mod images;
mod llama_cpp;
pub mod operation;
pub mod random;
mod read_fields;
pub mod resolve;
pub mod rms_normed;
pub mod rotary;
mod sounds;
pub mod table;
mod timm;
pub(crate) mod variants;
mod windows;

pub use architecture::Architecture;
pub use catalogue::catalogue;
pub use fields::Accepted;
pub use resolve::{resolve, resolve_reading};

/// Why a checkpoint cannot be run here.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// There is no configuration.
    #[error(
        "there is no config.json beside the weights, so nothing says how they are put together: add it, or measure activations of your own code"
    )]
    NoConfig,
    /// The files have a graph instead of the weights by their names.
    #[error(
        "an ONNX file is a graph, and only checkpoints with the names of the model's own code can be run: open the model that it was exported from, or measure activations of your own code"
    )]
    Graph,
    /// The family has no row.
    #[error(
        "`{path}`: the family `{family}` is not among those that can be run ({known}): measure activations of your own code instead"
    )]
    Family {
        /// The configuration.
        path: String,
        /// `model_type`.
        family: String,
        /// Families with a row.
        known: String,
    },
    /// A required field is missing.
    #[error("`{path}`: the field `{field}` is not there, and a `{family}` model needs it: add it")]
    Missing {
        /// The configuration.
        path: String,
        /// The field.
        field: String,
        /// The family.
        family: String,
    },
    /// A field has a value that the rows of the family do not cover.
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
        /// Values that the rows cover.
        expected: String,
    },
    /// A field that is not known here and might change the function.
    #[error(
        "`{path}`: `{field}` is {value}, and what that does to a `{family}` model is not known here: if it does not change what the model computes, leave it out of the run (in a terminal `--assume {field}`), or measure activations of your own code instead"
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
    /// A required tensor is missing.
    #[error(
        "tensor `{name}` is not in the checkpoint, and a `{family}` model has one: add the shard that holds it"
    )]
    NoTensor {
        /// The tensor.
        name: String,
        /// The family.
        family: String,
    },
    /// A decoder without the encoder that it reads.
    #[error(
        "the checkpoint holds the decoder of a `{family}` model without its encoder (there is no tensor `{tensor}`): the decoder reads what the encoder gives, so open the files of both"
    )]
    NoEncoder {
        /// The family.
        family: String,
        /// A tensor that every encoder of the family has.
        tensor: String,
    },
    /// A projector does not fit the widths of its two stacks.
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
        /// Number of patches that make one vector.
        square: usize,
        /// d of the tower.
        tower: usize,
    },
    /// A tensor has the wrong shape.
    #[error(
        "tensor `{name}` is {found:?} and should be {expected:?}: the configuration belongs to another model"
    )]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<u64>,
        /// The shape that the configuration requires.
        expected: Vec<u64>,
    },
    /// A tensor that has no place in the family.
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
