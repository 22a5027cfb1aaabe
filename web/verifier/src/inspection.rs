//! An open checkpoint: its report, its figures, and a sample of its weights.

use crate::network::File;
use gammascope::figures;
use gammascope::inspect;
use gammascope::plot::{Figure, Size};
use gammascope_web::{ANY, from_js, report, sample, sentence, to_js};
use js_sys::{Error, Function};
use wasm_bindgen::prelude::*;

/// An inspected checkpoint, kept for its figures and for a sample of its weights.
#[wasm_bindgen]
pub struct Inspection {
    pub(crate) inner: inspect::Opened<File>,
    /// All open files, including what was already read of remote ones.
    pub(crate) sources: Vec<File>,
}

/// A sample of the weights for [`Inspection::take`].
#[wasm_bindgen]
pub struct WeightSample {
    inner: inspect::WeightSample,
}

#[wasm_bindgen]
impl Inspection {
    /// Samples at most `budget` bytes of the weights that write the residual streams, and calls `progress` while it reads. If `progress`
    /// returns true, it stops. Figures can be drawn meanwhile.
    pub async fn weigh(&self, budget: f64, progress: Function) -> WeightSample {
        WeightSample { inner: sample(&self.inner, budget, progress).await }
    }

    /// Makes the report again with the evidence of the weights.
    pub fn take(&mut self, weights: WeightSample) {
        self.inner.take(weights.inner);
    }

    /// Returns the report, a `Report` in TypeScript, as JSON.
    pub fn report(&self) -> Result<String, Error> {
        report(&self.inner.inspection)
    }

    /// Draws one figure at `width` × `height` CSS pixels.
    pub fn figure(
        &self,
        kind: JsValue,
        site: Option<String>,
        width: u32,
        height: u32,
    ) -> Result<JsValue, Error> {
        to_js(&drawn(&self.inner.inspection, kind, site, Size { width, height })?)
    }

    /// Returns every tensor of the files and their documents: `Contents` in TypeScript, as JSON.
    pub fn contents(&self) -> Result<String, Error> {
        serde_json::to_string(&self.inner.contents()).map_err(sentence)
    }

    /// Reads the values of one tensor, and draws them at `width` × `height` CSS pixels.
    #[wasm_bindgen(js_name = valuesFigure)]
    pub async fn values_figure(&self, name: String, width: u32, height: u32) -> Result<JsValue, Error> {
        to_js(&self.values(&name, Size { width, height }).await?)
    }

    /// Returns the values of one tensor as CSV.
    #[wasm_bindgen(js_name = valuesCsv)]
    pub async fn values_csv(&self, name: String) -> Result<String, Error> {
        Ok(self.values(&name, ANY).await?.table.csv())
    }

    /// Returns the table of a figure as CSV.
    pub fn csv(&self, kind: JsValue, site: Option<String>) -> Result<String, Error> {
        Ok(drawn(&self.inner.inspection, kind, site, ANY)?.table.csv())
    }
}

impl Inspection {
    async fn values(&self, name: &str, size: Size) -> Result<Figure, Error> {
        let values = self.inner.values(name).await.map_err(sentence)?;
        figures::FigureData::of_tensor(name, &values).draw(size).map_err(sentence)
    }
}

/// Draws any figure of an inspection.
pub(crate) fn drawn(
    inspection: &inspect::Inspection,
    kind: JsValue,
    site: Option<String>,
    size: Size,
) -> Result<Figure, Error> {
    figures::figure(inspection, from_js(kind)?, site.as_deref(), size).map_err(sentence)
}
