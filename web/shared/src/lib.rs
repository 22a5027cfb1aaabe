//! Code of both wasm modules for the browser: a dropped file as a source of bytes, values that cross to JavaScript and back, and the
//! functions that both export. It has no logic.

mod blob;
mod inspection;
mod js;
mod panic;

pub use blob::{BlobSource, dropped};
pub use inspection::{not_opened, report, sample, to_progress};
pub use js::{from_js, get, named, sentence, text, to_js};
pub use panic::take_panic;

use gammascope::plot::Size;

/// The size of a figure if only its table is needed.
pub const ANY: Size = Size { width: 720, height: 0 };
