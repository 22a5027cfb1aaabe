//! Sharing reports as links or HTML files, and opening reports from links.

use crate::inspection::{Inspection, drawn};
use gammascope::inspect;
use gammascope::plot::Size;
use gammascope::share::{Choice, Shared, html};
use gammascope_web::{ANY, report, sentence, to_js};
use js_sys::Error;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl Inspection {
    /// Makes the fragment of a link with the report, made at `made`, with or without names.
    pub fn link(&self, names: bool, made: &str) -> Result<String, Error> {
        let shared = Shared::new(&self.inner.inspection, Choice { names }, made);
        shared.and_then(|shared| shared.fragment()).map_err(sentence)
    }

    /// Makes one HTML file of the report.
    pub fn html(&self, names: bool, made: &str) -> Result<String, Error> {
        html::document(&self.inner.inspection, Choice { names }, made).map_err(sentence)
    }
}

/// A report from a link.
#[wasm_bindgen]
pub struct LinkedReport {
    inner: inspect::Inspection,
}

#[wasm_bindgen]
impl LinkedReport {
    /// Reads the fragment of a link.
    pub fn open(fragment: &str) -> Result<LinkedReport, Error> {
        Ok(LinkedReport { inner: Shared::read(fragment).map_err(sentence)?.inspection() })
    }

    /// Same as `Inspection.report`.
    pub fn report(&self) -> Result<String, Error> {
        report(&self.inner)
    }

    /// Same as `Inspection.figure`.
    pub fn figure(
        &self,
        kind: JsValue,
        site: Option<String>,
        width: u32,
        height: u32,
    ) -> Result<JsValue, Error> {
        to_js(&drawn(&self.inner, kind, site, Size { width, height })?)
    }

    /// Same as `Inspection.csv`.
    pub fn csv(&self, kind: JsValue, site: Option<String>) -> Result<String, Error> {
        Ok(drawn(&self.inner, kind, site, ANY)?.table.csv())
    }
}
