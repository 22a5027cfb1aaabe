//! The browser boundary: the only files that know wasm_bindgen. Bytes in, report out, no logic.

#[cfg(feature = "remote")]
mod network;
#[cfg(all(feature = "gpu", feature = "remote", feature = "text"))]
mod run;
#[cfg(feature = "share")]
mod share;
#[cfg(feature = "together")]
mod together;

#[cfg(feature = "gpu")]
use crate::device::Device;
use crate::figures;
use crate::inspect::{self, Progress};
use crate::plot::{Figure, Size};
#[cfg(feature = "gpu")]
use crate::report::Warning;
#[cfg(feature = "gpu")]
use crate::report::measured::{Measured, MeasurementPlan};
use crate::source::{ByteSource, SourceError};
#[cfg(feature = "gpu")]
use crate::verify::plan::{self, Speeds};
#[cfg(feature = "gpu")]
use crate::verify::{activations::Captured, alone, gram::Gridded, measure::Norm};
use crate::writer::sample::BUDGET;
#[cfg(not(feature = "remote"))]
use js_sys::Array;
use js_sys::{Error, Function, Reflect, Uint8Array};
#[cfg(feature = "remote")]
use network::Source;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::{ControlFlow, Range};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// A file the user dropped, read by slices.
#[derive(Clone)]
struct BlobSource {
    path: String,
    file: web_sys::Blob,
}

impl ByteSource for BlobSource {
    fn path(&self) -> &str {
        &self.path
    }

    fn length(&self) -> u64 {
        // JavaScript counts bytes in doubles: exact to 2⁵³.
        self.file.size() as u64
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let refuse = |error: JsValue| SourceError::Refused {
            file: self.path.clone(),
            offset: range.start,
            reason: error.dyn_ref::<Error>().map_or_else(
                || "the browser gave no reason".to_owned(),
                |error| String::from(error.message()),
            ),
        };
        let slice = self.file.slice_with_f64_and_f64(range.start as f64, range.end as f64).map_err(refuse)?;
        let buffer = JsFuture::from(slice.array_buffer()).await.map_err(refuse)?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }
}

/// A file of a checkpoint; the small wasm takes dropped ones only.
#[cfg(not(feature = "remote"))]
type Source = BlobSource;

/// An opened file of activations, and which of its tensors are measured at which site.
#[cfg(feature = "gpu")]
#[wasm_bindgen]
pub struct Measurement {
    captured: Captured<BlobSource>,
    plan: plan::Plan,
    device: Device,
    cost: MeasurementPlan,
}

#[cfg(feature = "gpu")]
#[wasm_bindgen]
impl Measurement {
    /// What it takes: a `MeasurementPlan` in TypeScript, as JSON.
    pub fn plan(&self) -> Result<String, Error> {
        serde_json::to_string(&self.cost).map_err(sentence)
    }
}

/// An inspected checkpoint, kept for its figures and for a sample of its weights.
#[wasm_bindgen]
pub struct Inspection {
    inner: inspect::Opened<Source>,
    /// All files that were opened, with what has been read of those behind an address.
    #[cfg(feature = "remote")]
    sources: Vec<Source>,
}

/// A sample of the weights, to be given to [`Inspection::take`].
#[wasm_bindgen]
pub struct Weights {
    inner: inspect::Weights,
}

#[wasm_bindgen]
impl Inspection {
    /// Inspects `entries`, a list of `{ path, file }`, calling `progress` as it reads.
    #[cfg(not(feature = "remote"))]
    pub async fn open(entries: Array, progress: Function) -> Result<Inspection, Error> {
        let sources: Result<_, Error> = entries.iter().map(|entry| dropped(&entry)).collect();
        let inner = inspect::open(sources?, reporting(progress)).await.map_err(sentence)?;
        Ok(Inspection { inner })
    }

    /// Samples at most `budget` bytes of the weights that write the residual streams, calling `progress` as it reads;
    /// a `progress` that returns true ends it. Figures can be drawn meanwhile.
    pub async fn weigh(&self, budget: f64, progress: Function) -> Weights {
        let report = |state: Progress| {
            let answer = to_js(&state).ok().and_then(|state| progress.call1(&JsValue::NULL, &state).ok());
            if answer.is_some_and(|answer| answer.is_truthy()) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        Weights { inner: self.inner.weigh(budget as u64, report).await }
    }

    /// Makes the report anew with what the weights say.
    pub fn take(&mut self, weights: Weights) {
        self.inner.take(weights.inner);
    }

    /// Plans to measure the sites whose activations `entry` (`{ path, file }`) holds, or one `site` only, on the `wanted`
    /// device: "gpu", "cpu", or "fastest".
    #[cfg(feature = "gpu")]
    pub async fn plan(
        &self,
        entry: JsValue,
        site: Option<String>,
        wanted: &str,
    ) -> Result<Measurement, Error> {
        let captured = Captured::open(dropped(&entry)?).await.map_err(sentence)?;
        let inspection = &self.inner.inspection;
        let sites: Vec<&str> = inspection.report.norms.iter().map(|norm| norm.name.as_str()).collect();
        let plan = plan::plan(&sites, &captured.names(), site.as_deref()).map_err(sentence)?;
        let (device, speeds, fault) = device(wanted).await;
        let mut cost = plan.cost(&captured, inspection, device.name(), speeds);
        cost.warnings.extend(fault);
        Ok(Measurement { captured, plan, device, cost })
    }

    /// Measures the site at this place of the plan: an outcome for [`Inspection::verify`], as JSON.
    #[cfg(feature = "gpu")]
    pub async fn measure(&self, measurement: &Measurement, at: u32) -> Result<String, Error> {
        let Measurement { captured, plan, device, .. } = measurement;
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        let mut outcome = plan.measure(at as usize, captured, &self.inner.inspection, gram).await;
        outcome.warnings.extend(device.warning().await);
        outcome.kernel_seconds = device.kernel_seconds();
        serde_json::to_string(&outcome).map_err(sentence)
    }

    /// Measures one site's norm alone, on random inputs as both kinds, on the `wanted` device: a `NormAlone` in TypeScript, as
    /// JSON. The report stays as it is.
    #[cfg(feature = "gpu")]
    pub async fn alone(&self, site: String, wanted: &str) -> Result<String, Error> {
        let inspection = &self.inner.inspection;
        let position = inspection.report.norms.iter().position(|norm| norm.name == site);
        let scale = position.and_then(|at| inspection.scales[at].as_ref().map(|scale| (at, scale)));
        let (at, scale) = scale.ok_or_else(|| sentence(plan::no_scale(&site)))?;
        let norm = Norm { name: &site, scale, shift: inspection.shifts[at].as_deref() };
        let (device, _, fault) = device(wanted).await;
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        let mut alone = alone::alone(norm, self.inner.epsilon(at), gram).await.map_err(sentence)?;
        alone.warnings.extend(fault);
        alone.warnings.extend(device.warning().await);
        serde_json::to_string(&alone).map_err(sentence)
    }

    /// Makes the report anew with what was measured: outcomes, device, input and seconds, as JSON.
    #[cfg(feature = "gpu")]
    pub fn verify(&mut self, measured: &str) -> Result<(), Error> {
        let measured: Measured = serde_json::from_str(measured).map_err(sentence)?;
        let (verification, warnings) = measured.verification().map_err(sentence)?;
        self.inner.verify(verification, warnings);
        Ok(())
    }

    /// The report, a `Report` in TypeScript, as JSON: that of 100,000 tensors reaches the page sooner as one string than
    /// as a tree of objects that is built here and copied there.
    pub fn report(&self) -> Result<String, Error> {
        serde_json::to_string(&self.inner.inspection.report).map_err(sentence)
    }

    /// One figure, drawn at `width` × `height` CSS pixels.
    pub fn figure(
        &self,
        kind: JsValue,
        site: Option<String>,
        width: u32,
        height: u32,
    ) -> Result<JsValue, Error> {
        to_js(&drawn(&self.inner.inspection, kind, site, Size { width, height })?)
    }

    /// The table behind a figure, as CSV.
    pub fn csv(&self, kind: JsValue, site: Option<String>) -> Result<String, Error> {
        drawn(&self.inner.inspection, kind, site, ANY)?.table.csv().map_err(sentence)
    }
}

/// The size of a figure that only its table is wanted of.
const ANY: Size = Size { width: 720, height: 0 };

fn drawn(
    inspection: &inspect::Inspection,
    kind: JsValue,
    site: Option<String>,
    size: Size,
) -> Result<Figure, Error> {
    figures::figure(inspection, from_js(kind)?, site.as_deref(), size).map_err(sentence)
}

/// Takes the tables of measured models up, before a checkpoint is opened.
#[cfg(not(feature = "verify"))]
#[wasm_bindgen(js_name = provideTables)]
pub fn provide_tables(tables: String) {
    crate::tables::provide(tables);
}

/// Bytes of weights that are sampled unless told otherwise.
#[wasm_bindgen(js_name = weightsBudget)]
pub fn weights_budget() -> f64 {
    BUDGET as f64
}

/// The wanted device and how fast it is; where a GPU is wanted and there is none, the CPU and why. A GPU that is only as fast as
/// the CPU, as those are that are computed in software, is not the fastest: several workers share it.
#[cfg(feature = "gpu")]
async fn device(wanted: &str) -> (Device, Speeds, Option<Warning>) {
    let clock = || js_sys::Date::now() / 1000.0;
    let speeds = async |device: &Device| {
        let speeds = Speeds::of(async |y: &Gridded| device.gram(y).await, clock).await;
        // The trial is no part of what is measured.
        device.kernel_seconds();
        speeds
    };
    let (gpu, fault) = match wanted {
        "cpu" => (None, None),
        _ => match Device::gpu().await {
            Ok(gpu) => (Some(gpu), None),
            Err(error) => (None, Some(plan::no_gpu(&error))),
        },
    };
    let gpu = match gpu {
        Some(gpu) => {
            let on_gpu = speeds(&gpu).await;
            if wanted == "gpu" {
                return (gpu, on_gpu, None);
            }
            Some((gpu, on_gpu))
        }
        None => None,
    };
    let cpu = Device::cpu();
    let on_cpu = speeds(&cpu).await;
    match gpu {
        Some((gpu, on_gpu)) if on_gpu.sums > on_cpu.sums => (gpu, on_gpu, None),
        // Whoever takes what is fastest misses nothing.
        _ => (cpu, on_cpu, fault.filter(|_| wanted == "gpu")),
    }
}

/// Hands how far it is to JavaScript.
fn reporting(progress: Function) -> impl Fn(Progress) {
    console_error_panic_hook::set_once();
    move |state| {
        if let Ok(state) = to_js(&state) {
            // A listener that throws does not stop the inspection.
            let _ = progress.call1(&JsValue::NULL, &state);
        }
    }
}

/// An entry `{ path, file }`.
fn dropped(entry: &JsValue) -> Result<BlobSource, Error> {
    let file =
        get(entry, "file").dyn_into().map_err(|_| Error::new("each entry needs a file: { path, file }"))?;
    Ok(BlobSource { path: text(entry, "path").unwrap_or_default(), file })
}

fn get(entry: &JsValue, name: &str) -> JsValue {
    Reflect::get(entry, &JsValue::from_str(name)).unwrap_or_default()
}

fn text(entry: &JsValue, name: &str) -> Option<String> {
    get(entry, name).as_string().filter(|text| !text.is_empty())
}

fn sentence(error: impl std::fmt::Display) -> Error {
    Error::new(&error.to_string())
}

fn to_js(value: &impl Serialize) -> Result<JsValue, Error> {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).map_err(sentence)
}

fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, Error> {
    serde_wasm_bindgen::from_value(value).map_err(sentence)
}
