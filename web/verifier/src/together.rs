//! Comparing a checkpoint with another one, measuring an adapter, and exporting kernel directions.

use crate::inspection::Inspection;
use crate::network::{File, Network, sources};
use gammascope::plot::{Figure, FigureKind, Size};
use gammascope::report::adapter::AdapterReport;
use gammascope::report::comparison::Comparison;
use gammascope::{adapter, compare, export, figures};
use gammascope_web::{ANY, from_js, sentence, to_js};
use js_sys::{Array, Error};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl Inspection {
    /// Returns the changes from this checkpoint to `other`: a `Comparison` in TypeScript, as JSON.
    pub fn compare(&self, other: &Inspection) -> Result<String, Error> {
        let comparison =
            compare::compare(&self.inner.inspection, &other.inner.inspection).map_err(sentence)?;
        serde_json::to_string(&comparison).map_err(sentence)
    }

    /// Measures what an adapter wastes on the kernels of this checkpoint, its base. Returns an `AdapterReport` in TypeScript, as JSON.
    pub async fn adapter(&self, adapter: &Adapter) -> Result<String, Error> {
        let report = adapter::weigh(&self.inner, &adapter.inner).await.map_err(sentence)?;
        serde_json::to_string(&report).map_err(sentence)
    }

    /// Exports the kernels of these sites, or of all without a list. Returns the bytes of a safetensors or JSON file.
    pub fn export(&self, names: Option<Vec<String>>, json: bool) -> Result<Vec<u8>, Error> {
        let names: Option<Vec<&str>> = names.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let kernels = export::kernels(&self.inner.inspection, names.as_deref()).map_err(sentence)?;
        if json { export::json(&kernels) } else { export::safetensors(&kernels) }.map_err(sentence)
    }
}

/// An open adapter.
#[wasm_bindgen]
pub struct Adapter {
    inner: adapter::Adapter<File>,
}

#[wasm_bindgen]
impl Adapter {
    /// Opens `entries`, a list of `{ path, file }`.
    pub async fn open(entries: Array, network: Network) -> Result<Adapter, Error> {
        let inner = adapter::Adapter::open(sources(&entries, network)?).await.map_err(sentence)?;
        Ok(Adapter { inner })
    }
}

/// Draws one figure of a report from [`Inspection::compare`] or [`Inspection::adapter`], at `width` × `height` CSS pixels.
#[allow(unreachable_pub, reason = "wasm_bindgen exports public functions only")]
#[wasm_bindgen(js_name = figureOf)]
pub fn figure_of(report: &str, kind: JsValue, width: u32, height: u32) -> Result<JsValue, Error> {
    to_js(&drawn(report, kind, Size { width, height })?)
}

/// Returns its table as CSV.
#[allow(unreachable_pub, reason = "wasm_bindgen exports public functions only")]
#[wasm_bindgen(js_name = csvOf)]
pub fn csv_of(report: &str, kind: JsValue) -> Result<String, Error> {
    Ok(drawn(report, kind, ANY)?.table.csv())
}

fn drawn(report: &str, kind: JsValue, size: Size) -> Result<Figure, Error> {
    let kind: FigureKind = from_js(kind)?;
    let figure = if kind == FigureKind::AdapterWaste {
        let report: AdapterReport = serde_json::from_str(report).map_err(sentence)?;
        figures::of_adapter(&report, kind, size)
    } else {
        let comparison: Comparison = serde_json::from_str(report).map_err(sentence)?;
        figures::of_comparison(&comparison, kind, size)
    };
    figure.map_err(sentence)
}
