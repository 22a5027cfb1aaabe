//! The wasm that draws the inspector's figures. It loads with the first figure. It has no logic.

use gammascope::figures::FigureData;
use gammascope::plot::{Figure, Size};
use gammascope_web::{ANY, sentence, to_js};
use js_sys::Error;
use wasm_bindgen::prelude::*;

/// Draws the figure of `data`, the inspector's JSON, at `width` × `height` CSS pixels.
#[wasm_bindgen]
pub fn draw(data: &str, width: u32, height: u32) -> Result<JsValue, Error> {
    to_js(&drawn(data, Size { width, height })?)
}

/// Returns its table as CSV.
#[wasm_bindgen]
pub fn csv(data: &str) -> Result<String, Error> {
    Ok(drawn(data, ANY)?.table.csv())
}

fn drawn(data: &str, size: Size) -> Result<Figure, Error> {
    let data: FigureData = serde_json::from_str(data).map_err(sentence)?;
    data.draw(size).map_err(sentence)
}
