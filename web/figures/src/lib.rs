//! The wasm that draws what the inspector has read, loaded with the first figure. No logic.

use gammascope::figures::FigureData;
use gammascope::plot::{Figure, Size};
use gammascope_web::{ANY, sentence, to_js};
use js_sys::Error;
use wasm_bindgen::prelude::*;

/// The figure of `data`, the inspector's JSON, drawn at `width` × `height` CSS pixels.
#[wasm_bindgen]
pub fn draw(data: &str, width: u32, height: u32) -> Result<JsValue, Error> {
    to_js(&drawn(data, Size { width, height })?)
}

/// The table behind it, as CSV.
#[wasm_bindgen]
pub fn csv(data: &str) -> Result<String, Error> {
    Ok(drawn(data, ANY)?.table.csv())
}

fn drawn(data: &str, size: Size) -> Result<Figure, Error> {
    let data: FigureData = serde_json::from_str(data).map_err(sentence)?;
    data.draw(size).map_err(sentence)
}
