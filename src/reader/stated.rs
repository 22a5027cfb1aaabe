//! Readers by the edges of an ONNX file's graph: no name is needed, and names only say what a reader is for.

use super::lexicon::{self, Part};
use super::outside::{self, Tail};
use super::{Reader, Readers};
use crate::checkpoint::Tensor;
use crate::norm::site::{Stated, StatedReader};
use crate::report::ReaderUse;

/// What is assumed of a quantised map.
const QUANTISED: &str = "its numbers are quantised: what is dead is so up to that rounding";

/// The readers that the graph states.
pub(super) fn readers(tensors: &[Tensor], stated: &Stated) -> Readers {
    let reader = |reader: &StatedReader| Reader {
        weight: reader.weight,
        bias: reader.bias,
        used_as: used_as(&tensors[reader.weight].name, reader),
        rows: reader.rows,
        invisible_rows: 0,
        assumed: reader.is_quantised.then(|| QUANTISED.to_owned()),
    };
    Readers { found: stated.readers.iter().map(reader).collect(), note: stated.note.clone() }
}

/// What a reader is for, by the name of its weight or, if exporting lost that, by the module of its node.
fn used_as(weight: &str, reader: &StatedReader) -> ReaderUse {
    if reader.is_tied {
        return ReaderUse::TiedUnembedding;
    }
    // The second call of a module has a number behind its name.
    let first = |module: &str| match module.rsplit_once('_') {
        Some((name, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            name.to_owned()
        }
        _ => module.to_owned(),
    };
    let modules = [lexicon::module_of(weight).0.to_owned(), reader.module.clone(), first(&reader.module)];
    if let Some(part) = modules.iter().find_map(|module| lexicon::part_of(module)) {
        return Part::used_as(part);
    }
    match modules.iter().any(|module| outside::tail(module) == Tail::Unembedding) {
        true => ReaderUse::Unembedding,
        false => ReaderUse::Projection,
    }
}
