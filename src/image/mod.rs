//! Images and frames of a video as input of a vision encoder: from the bytes of files to normalised pixels, as the processors of
//! transformers and timm's transforms prepare them.
//!
//! [`Processor`] is what `preprocessor_config.json` asks for, as plain data. [`Processor::image`] and [`Processor::video`] go from
//! bytes to [`Pixels`]. docs/inputs.md has the rules and the measured differences.

mod config;
mod crop;
mod decode;
mod orientation;
mod processor;
mod resize;
mod timm;
mod video;

pub use crop::{Crop, Rounding};
pub use decode::MOST_PIXELS;
pub use processor::{Normalise, Processor, Step};
pub use resize::{Filter, Resize, Size};
pub use timm::TIMM;
pub use video::frames;

/// Channels of every image: red, green and blue.
pub const CHANNELS: usize = 3;

/// Pixels as a patch embedding reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// count × channels × height × width, the width fastest.
    pub values: Vec<f32>,
    /// Images, or frames of a video.
    pub count: usize,
    /// [`CHANNELS`].
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// What the user should know about how they were made.
    pub notes: Vec<Note>,
}

/// Something that happened between a file and its pixels. `Display` makes a sentence of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// The file is an animation.
    FirstFrame {
        /// How many frames it has.
        of: usize,
    },
    /// EXIF or XMP data say that the image is stored rotated or mirrored.
    Turned,
    /// The alpha channel is dropped.
    AlphaDropped,
    /// A grey image has 16 bits, and values above 255 become white.
    Clipped,
    /// The configuration asks for tiles beside the whole image, which are left out.
    OneTile,
    /// Only some frames of a longer video are used.
    Sampled {
        /// Number of frames used.
        frames: usize,
        /// Number of frames in the video.
        of: usize,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FirstFrame { of } => write!(f, "the first of {of} frames"),
            Self::Turned => f.write_str("turned upright, as its metadata says"),
            Self::AlphaDropped => f.write_str("the alpha channel is dropped"),
            Self::Clipped => {
                f.write_str("a grey image of 16 bits: values above 255 become white, as in Pillow")
            }
            Self::OneTile => f.write_str(
                "the whole image as one tile: the tiles that do_image_splitting asks for are left out",
            ),
            Self::Sampled { frames, of } => write!(f, "{frames} of {of} frames, evenly spaced"),
        }
    }
}

/// Why there are no pixels.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImageError {
    /// The file has no format that is read.
    #[error("`{name}` is not an image that can be read: give PNG, JPEG, GIF, WebP, BMP or TIFF")]
    UnknownFormat {
        /// The file.
        name: String,
    },
    /// The file is damaged, or uses something that the decoder lacks.
    #[error("`{name}` cannot be decoded ({reason}): save it again as PNG")]
    Damaged {
        /// The file.
        name: String,
        /// The decoder's own words.
        reason: String,
    },
    /// The image is larger than [`MOST_PIXELS`].
    #[error("`{name}` has {width} × {height} pixels and at most {MOST_PIXELS} are read: make it smaller")]
    TooManyPixels {
        /// The file.
        name: String,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The image has floating-point values of unknown range.
    #[error("`{name}` stores its pixels as floating-point numbers: save it with 8 bits a channel")]
    Float {
        /// The file.
        name: String,
    },
    /// The configuration is not a JSON object.
    #[error("`{path}` is not a JSON object ({reason}): take it from the checkpoint again")]
    NotJson {
        /// The file.
        path: String,
        /// What the parser found.
        reason: String,
    },
    /// The configuration names no processor.
    #[error(
        "`{path}` names no image processor: add the field image_processor_type, such as \"ViTImageProcessor\""
    )]
    NoProcessor {
        /// The file.
        path: String,
    },
    /// The configuration names another processor.
    #[error(
        "`{path}` asks for the processor {class}, which is not supported; the supported ones are {supported}"
    )]
    UnknownProcessor {
        /// The file.
        path: String,
        /// What the file names.
        class: String,
        /// All supported ones.
        supported: String,
    },
    /// A field that may change the pixels, and that Gammascope does not know.
    #[error(
        "`{path}` has {field} = {value}, which may change the pixels and is not supported: remove it if it does nothing"
    )]
    UnknownField {
        /// The file.
        path: String,
        /// The field.
        field: String,
        /// What it says.
        value: String,
    },
    /// A field with an impossible value.
    #[error("`{path}` has {field} = {value}, and {expected} is expected")]
    BadField {
        /// The file.
        path: String,
        /// The field.
        field: String,
        /// What it says.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// The result would be larger than [`MOST_PIXELS`].
    #[error("{what} would make {width} × {height} pixels and at most {MOST_PIXELS} are made: {advice}")]
    TooLarge {
        /// The image or configuration.
        what: String,
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
        /// What to do.
        advice: &'static str,
    },
    /// If resizing keeps the ratio of a very thin image, no row or no column is left.
    #[error("`{name}` is so thin ({width} × {height} pixels) that resizing leaves nothing: crop it first")]
    Vanishes {
        /// The file.
        name: String,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A video of no frames.
    #[error("there are no frames: give at least one image file")]
    NoFrames,
    /// Fewer frames than the model reads.
    #[error("there are {frames} frames and the model reads {wanted}: give more")]
    TooFewFrames {
        /// What was given.
        frames: usize,
        /// What the model reads.
        wanted: usize,
    },
    /// The frames have different sizes, and the processor keeps them.
    #[error("`{name}` has another size than the frames before it: give frames of one size")]
    FramesDiffer {
        /// The first frame that differs.
        name: String,
    },
}
