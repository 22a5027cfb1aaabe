//! The wasm that loads on every visit: it opens dropped files and makes the report. It has no logic.

use gammascope::figures;
use gammascope::inspect;
use gammascope::norm::Knowledge;
use gammascope::tables;
use gammascope::writer::sample::BUDGET;
use gammascope_web::{BlobSource, dropped, named, not_opened, report, sample, sentence, to_js, to_progress};
use js_sys::{Array, Error, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// An inspected checkpoint, kept for its figures and for a sample of its weights.
#[wasm_bindgen]
pub struct Inspection {
    inner: inspect::Opened<BlobSource>,
}

/// A sample of the weights for [`Inspection::take`].
#[wasm_bindgen]
pub struct WeightSample {
    inner: inspect::WeightSample,
}

#[wasm_bindgen]
impl Inspection {
    /// Inspects `entries`, a list of `{ path, file }`, and calls `progress` while it reads. After the headers, it calls `load` with the
    /// sorted names of the parts of tables that it needs. `load` resolves to these tables as one text.
    pub async fn open(entries: Array, progress: Function, load: Function) -> Result<Inspection, JsValue> {
        let sources: Result<_, Error> = entries.iter().map(|entry| dropped(&entry)).collect();
        let progress = to_progress(progress);
        let located = inspect::locate(sources?, &progress).await.map_err(|error| not_opened(&error))?;
        let loading: Promise = load.call1(&JsValue::NULL, &to_js(&located.tables())?)?.unchecked_into();
        tables::provide(&JsFuture::from(loading).await?.as_string().unwrap_or_default());
        Ok(Inspection { inner: located.judge(Knowledge::default(), progress).await })
    }

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

    /// Returns every tensor of the files and their documents: `Contents` in TypeScript, as JSON.
    pub fn contents(&self) -> Result<String, Error> {
        serde_json::to_string(&self.inner.contents()).map_err(sentence)
    }

    /// Reads the values of one tensor. Returns JSON for the module that draws.
    #[wasm_bindgen(js_name = valuesData)]
    pub async fn values_data(&self, name: String) -> Result<String, Error> {
        let values = self.inner.values(&name).await.map_err(sentence)?;
        serde_json::to_string(&figures::FigureData::of_tensor(&name, &values)).map_err(sentence)
    }

    /// Returns the data of one figure as JSON for the module that draws.
    #[wasm_bindgen(js_name = figureData)]
    pub fn figure_data(&self, kind: &str, site: Option<String>) -> Result<String, Error> {
        let data = figures::data(&self.inner.inspection, named(kind)?, site.as_deref());
        serde_json::to_string(&data.map_err(sentence)?).map_err(sentence)
    }
}

/// Returns the default number of bytes of weights to sample.
#[wasm_bindgen(js_name = weightsBudget)]
pub fn weights_budget() -> f64 {
    BUDGET as f64
}
