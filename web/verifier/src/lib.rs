//! The wasm that the page loads after the first report, and that the npm package contains. It opens all kinds of checkpoints, measures
//! and runs, compares, measures adapters, exports, folds and shares. It has no logic.

mod fold;
mod inspection;
mod measurement;
mod network;
mod run;
mod scratch;
mod share;
mod together;
mod trap;

use gammascope::writer::sample::BUDGET;
use wasm_bindgen::prelude::*;

/// Returns the default number of bytes of weights to sample.
#[wasm_bindgen(js_name = weightsBudget)]
pub fn weights_budget() -> f64 {
    BUDGET as f64
}
