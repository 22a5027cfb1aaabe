//! Measuring recorded activations, and a norm alone.

use crate::inspection::Inspection;
use gammascope::measure::plan;
use gammascope::measure::{activations::Captured, alone, gram::Gridded, site::Norm};
use gammascope::report::measured::Outcomes;
use gammascope::report::plan::MeasurementPlan;
use gammascope::run::device::GramDevice;
use gammascope_web::{BlobSource, dropped, from_js, sentence};
use js_sys::Error;
use wasm_bindgen::prelude::*;

/// An opened file of activations, and which of its tensors are measured at which site.
#[wasm_bindgen]
pub struct Measurement {
    captured: Captured<BlobSource>,
    plan: plan::Plan,
    device: GramDevice,
    cost: MeasurementPlan,
}

#[wasm_bindgen]
impl Measurement {
    /// Returns the plan, a `MeasurementPlan` in TypeScript, as JSON.
    pub fn plan(&self) -> Result<String, Error> {
        serde_json::to_string(&self.cost).map_err(sentence)
    }
}

#[wasm_bindgen]
impl Inspection {
    /// Plans to measure the sites whose activations `entry` (`{ path, file }`) holds, or only one `site`, on the `wanted` device, a
    /// `Wanted` in TypeScript.
    pub async fn plan(
        &self,
        entry: JsValue,
        site: Option<String>,
        wanted: JsValue,
    ) -> Result<Measurement, Error> {
        let captured = Captured::open(dropped(&entry)?).await.map_err(sentence)?;
        let inspection = &self.inner.inspection;
        let sites: Vec<&str> = inspection.report.norms.iter().map(|norm| norm.name.as_str()).collect();
        let plan = plan::plan(&sites, &captured.names(), site.as_deref()).map_err(sentence)?;
        let (device, speeds, fault) = GramDevice::choose(from_js(wanted)?, clock).await;
        let mut cost = plan.cost(&captured, inspection, device.name(), speeds);
        cost.warnings.extend(fault);
        Ok(Measurement { captured, plan, device, cost })
    }

    /// Measures the site at this index of the plan. Returns an outcome for [`Inspection::verify`], as JSON.
    pub async fn measure(&self, measurement: &Measurement, at: u32) -> Result<String, Error> {
        let Measurement { captured, plan, device, .. } = measurement;
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        let mut outcome = plan.measure(at as usize, captured, &self.inner.inspection, gram).await;
        outcome.warnings.extend(device.warning().await);
        outcome.kernel_seconds = device.kernel_seconds();
        serde_json::to_string(&outcome).map_err(sentence)
    }

    /// Measures one site's norm alone, on random inputs as both kinds, on the `wanted` device. Returns a `NormAlone` in TypeScript, as
    /// JSON. The report does not change.
    pub async fn alone(&self, site: String, wanted: JsValue) -> Result<String, Error> {
        let inspection = &self.inner.inspection;
        let position = inspection.report.norms.iter().position(|norm| norm.name == site);
        let scale = position.and_then(|at| inspection.scales[at].as_ref().map(|scale| (at, scale)));
        let (at, scale) = scale.ok_or_else(|| sentence(plan::no_scale(&site)))?;
        let norm = Norm { name: &site, scale, shift: inspection.shifts[at].as_deref() };
        let (device, _, fault) = GramDevice::choose(from_js(wanted)?, clock).await;
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        let mut alone = alone::alone(norm, self.inner.epsilon(at), gram).await.map_err(sentence)?;
        alone.warnings.extend(fault);
        alone.warnings.extend(device.warning().await);
        serde_json::to_string(&alone).map_err(sentence)
    }

    /// Makes the report again with the measurements. `measured` has outcomes, device, input and seconds, as JSON.
    pub fn verify(&mut self, measured: &str) -> Result<(), Error> {
        let measured: Outcomes = serde_json::from_str(measured).map_err(sentence)?;
        let (verification, warnings) = measured.verification().map_err(sentence)?;
        self.inner.verify(verification, warnings);
        Ok(())
    }
}

/// Returns seconds, with a resolution of a millisecond.
pub(crate) fn clock() -> f64 {
    js_sys::Date::now() / 1000.0
}
