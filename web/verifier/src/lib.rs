//! The wasm that the page loads beyond the first report, and that the npm package is: it opens whatever can be opened, measures and
//! runs, compares, measures adapters, exports and shares. No logic.

mod inspection;
mod measurement;
mod network;
mod run;
mod share;
mod together;
mod trap;

use gammascope::writer::sample::BUDGET;
use wasm_bindgen::prelude::*;

/// Bytes of weights that are sampled by default.
#[wasm_bindgen(js_name = weightsBudget)]
pub fn weights_budget() -> f64 {
    BUDGET as f64
}
