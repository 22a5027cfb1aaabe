//! The browser boundary: the only file that knows wasm_bindgen. Bytes in, report out, no logic.

use crate::checkpoint::CheckpointError;
use crate::checkpoint::remote::{Access, locate};
#[cfg(feature = "gpu")]
use crate::device::Device;
use crate::figures;
use crate::inspect::{self, Progress, Stage};
use crate::plot::{FigureKind, Size};
#[cfg(feature = "gpu")]
use crate::report::Warning;
#[cfg(feature = "gpu")]
use crate::report::measured::{Measured, MeasurementPlan};
use crate::source::address::{PUBLIC_HUB, Url};
use crate::source::http::{
    Body, Chunk, Head, HttpSource, Method, Pin, Place, Problem, Request, Session, Token, Transport,
};
use crate::source::memory::MemorySource;
use crate::source::{AnySource, ByteSource, SourceError, Transfer};
#[cfg(feature = "gpu")]
use crate::verify::plan::{self, Speeds};
#[cfg(feature = "gpu")]
use crate::verify::{activations::Captured, alone, gram::Gridded, measure::Norm};
use crate::writer::sample::BUDGET;
use js_sys::{Array, Error, Function, Object, Promise, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;
use std::time::Duration;
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

#[wasm_bindgen]
extern "C" {
    /// The worker's way to the network, `Network` in TypeScript: fetch, which is not called from here.
    #[derive(Clone)]
    pub type Network;

    #[wasm_bindgen(method, catch)]
    fn send(this: &Network, method: &str, url: &str, headers: Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method)]
    fn wait(this: &Network, milliseconds: f64) -> Promise;

    /// An answer whose body has not been read.
    #[derive(Debug)]
    type Answer;

    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u16;

    /// Names in lower case, and values.
    #[wasm_bindgen(method, getter)]
    fn headers(this: &Answer) -> Array;

    #[wasm_bindgen(method)]
    fn body(this: &Answer, most: f64) -> Promise;

    #[wasm_bindgen(method)]
    fn cancel(this: &Answer);
}

impl Transport for Network {
    type Body = Unread;

    async fn send(&self, request: Request<'_>) -> Result<(Head, Unread), Problem> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
        };
        let headers = Array::new();
        let add = |name: &str, value: &str| headers.push(&Array::of2(&name.into(), &value.into()).into());
        request.range.map(|range| add("Range", range));
        request.token.map(|token| add("Authorization", &format!("Bearer {token}")));
        let answer = Network::send(self, method, request.url, headers).map_err(problem)?;
        let answer: Answer = JsFuture::from(answer).await.map_err(problem)?.unchecked_into();
        let text = |value: JsValue| value.as_string().unwrap_or_default();
        let pair = |pair: JsValue| {
            let pair: Array = pair.unchecked_into();
            (text(pair.get(0)), text(pair.get(1)))
        };
        let head = Head { status: answer.status(), headers: answer.headers().iter().map(pair).collect() };
        Ok((head, Unread(answer)))
    }

    async fn wait(&self, time: Duration) {
        let _ = JsFuture::from(Network::wait(self, time.as_millis() as f64)).await;
    }
}

/// The body of an answer; dropping it ends the transfer.
#[derive(Debug)]
pub struct Unread(Answer);

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Body for Unread {
    async fn read(self, most: u64) -> Result<Vec<u8>, Problem> {
        let bytes = JsFuture::from(self.0.body(most as f64)).await.map_err(problem)?;
        Ok(Uint8Array::new(&bytes).to_vec())
    }
}

/// What the worker says of a request that failed: `{ kind, reason }`.
fn problem(error: JsValue) -> Problem {
    let field =
        |name| Reflect::get(&error, &JsValue::from_str(name)).ok().and_then(|field| field.as_string());
    let reason = field("reason").or_else(|| field("message")).unwrap_or_default();
    match field("kind").as_deref() {
        Some("offline") => Problem::Offline,
        Some("blocked") => Problem::Blocked,
        Some("insecure") => Problem::Insecure,
        Some("cut") => Problem::Cut { reason },
        _ => Problem::Unreachable { reason },
    }
}

/// A file of a checkpoint, dropped or behind an address.
type Source = AnySource<BlobSource, Network>;

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
    sources: Vec<Source>,
}

/// A sample of the weights, to be given to [`Inspection::take`].
#[wasm_bindgen]
pub struct Weights {
    inner: inspect::Weights,
}

#[wasm_bindgen]
impl Inspection {
    /// Inspects `entries`, calling `progress` as it reads: a list of `{ path, file }`, or one `{ address, hub?, token? }`, or
    /// what [`Inspection::entries`] gave. Whatever is behind an address comes through `network`.
    pub async fn open(entries: Array, network: Network, progress: Function) -> Result<Inspection, Error> {
        console_error_panic_hook::set_once();
        let report = |state: Progress| {
            if let Ok(state) = to_js(&state) {
                // A listener that throws does not stop the inspection.
                let _ = progress.call1(&JsValue::NULL, &state);
            }
        };
        let sources = match entries.iter().find_map(|entry| text(&entry, "address")) {
            Some(address) => {
                let hub = entries.iter().find_map(|entry| text(&entry, "hub"));
                let hub = hub.unwrap_or_else(|| PUBLIC_HUB.to_owned());
                let token = entries.iter().find_map(|entry| token(&entry));
                let access = Access { hub, token, hub_token: None };
                let found = |done: usize, total: usize| {
                    report(Progress {
                        stage: Stage::Headers,
                        done: done as u32,
                        total: total as u32,
                        bytes_read: 0,
                    });
                };
                let located = locate(network, &address, &access, found).await;
                located.map_err(|error| marked(&error, error.wants_token()))?
            }
            None => sources(&entries, network)?,
        };
        let opening = inspect::open(sources.clone(), report).await;
        let inner = opening.map_err(|error| {
            let wants = matches!(&error, CheckpointError::Source(error) if error.wants_token());
            marked(&error, wants)
        })?;
        Ok(Inspection { inner, sources })
    }

    /// The files that were opened, for another worker to open without asking for them again: those behind an address with
    /// what was read of them. Empty when all were dropped.
    pub fn entries(&self) -> Array {
        let remote = self.sources.iter().any(|source| matches!(source, AnySource::Remote(_)));
        let mut kept: Vec<JsValue> = Vec::new();
        if remote {
            kept.extend(self.sources.iter().filter_map(entry));
        }
        kept.into_iter().collect()
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
        let (device, ..) = device(wanted).await;
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        let alone = alone::alone(norm, self.inner.epsilon(at), gram).await.map_err(sentence)?;
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
        let kind: FigureKind = from_js(kind)?;
        to_js(
            &figures::figure(&self.inner.inspection, kind, site.as_deref(), Size { width, height })
                .map_err(sentence)?,
        )
    }

    /// The table behind a figure, as CSV.
    pub fn csv(&self, kind: JsValue, site: Option<String>) -> Result<String, Error> {
        let kind: FigureKind = from_js(kind)?;
        let figure =
            figures::figure(&self.inner.inspection, kind, site.as_deref(), Size { width: 720, height: 0 })
                .map_err(sentence)?;
        figure.table.csv().map_err(sentence)
    }
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
    let speeds = async |device: &Device| Speeds::of(async |y: &Gridded| device.gram(y).await, clock).await;
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

/// An entry `{ path, file }`.
fn dropped(entry: &JsValue) -> Result<BlobSource, Error> {
    let file =
        get(entry, "file").dyn_into().map_err(|_| Error::new("each entry needs a file: { path, file }"))?;
    Ok(BlobSource { path: text(entry, "path").unwrap_or_default(), file })
}

/// The files of `entries`, dropped or known from an earlier opening.
fn sources(entries: &Array, network: Network) -> Result<Vec<Source>, Error> {
    let first = entries.get(0);
    let session = Session::new(network, text(&first, "opened").unwrap_or_default());
    let number = |entry: &JsValue, name| get(entry, name).as_f64().unwrap_or_default();
    let (requests, bytes) = (number(&first, "requests") as u32, number(&first, "bytes") as u64);
    session.resume(&Transfer { address: String::new(), requests, bytes });
    let bytes_of = |value: &JsValue| Uint8Array::new(value).to_vec();
    let of_entry = |entry: JsValue| {
        let path = text(&entry, "path").unwrap_or_default();
        if let Some(url) = text(&entry, "url") {
            let place = Place { url: Url::parse(&url).map_err(sentence)?, token: token(&entry) };
            let pin = match (text(&entry, "etag"), text(&entry, "modified")) {
                (Some(value), _) => Some(Pin { what: "ETag", value }),
                (None, modified) => modified.map(|value| Pin { what: "Last-Modified", value }),
            };
            let chunk = |pair: JsValue| {
                let pair: Array = pair.unchecked_into();
                let start = pair.get(0).as_f64().unwrap_or_default() as u64;
                Chunk { start, bytes: Rc::new(bytes_of(&pair.get(1))) }
            };
            let chunks = Array::from(&get(&entry, "chunks")).iter().map(chunk).collect();
            let length = number(&entry, "length") as u64;
            return Ok(AnySource::Remote(HttpSource::known(
                session.clone(),
                place,
                path,
                length,
                pin,
                chunks,
            )));
        }
        let whole = get(&entry, "whole");
        if whole.is_object() {
            return Ok(AnySource::Whole(MemorySource::new(path, bytes_of(&whole))));
        }
        dropped(&entry).map(AnySource::Local)
    };
    entries.iter().map(of_entry).collect()
}

/// What [`sources`] makes the same file of; `None` for one that failed.
fn entry(source: &Source) -> Option<JsValue> {
    let entry = Object::new();
    let set = |name: &str, value: &JsValue| {
        // A plain object takes any field.
        let _ = Reflect::set(&entry, &JsValue::from_str(name), value);
    };
    set("path", &source.path().into());
    match source {
        AnySource::Local(blob) => set("file", &blob.file),
        AnySource::Whole(memory) => set("whole", &Uint8Array::from(memory.bytes()).into()),
        AnySource::Remote(remote) => {
            let Transfer { address, requests, bytes } = remote.session().transfer();
            set("opened", &address.into());
            set("requests", &requests.into());
            set("bytes", &(bytes as f64).into());
            set("url", &remote.place().url.to_request().into());
            set("length", &(remote.length() as f64).into());
            if let Some(Pin { what, value }) = remote.pin() {
                set(if *what == "ETag" { "etag" } else { "modified" }, &value.as_str().into());
            }
            if let Some(token) = &remote.place().token {
                set("token", &token.reveal().into());
            }
            let chunk = |chunk: Chunk| {
                let bytes = Uint8Array::from(chunk.bytes.as_slice());
                JsValue::from(Array::of2(&(chunk.start as f64).into(), &bytes.into()))
            };
            set("chunks", &remote.chunks().into_iter().map(chunk).collect::<Array>().into());
        }
        AnySource::Unreadable(_) => return None,
    }
    Some(entry.into())
}

fn get(entry: &JsValue, name: &str) -> JsValue {
    Reflect::get(entry, &JsValue::from_str(name)).unwrap_or_default()
}

fn text(entry: &JsValue, name: &str) -> Option<String> {
    get(entry, name).as_string().filter(|text| !text.is_empty())
}

fn token(entry: &JsValue) -> Option<Token> {
    text(entry, "token").as_deref().and_then(Token::new)
}

/// A sentence, with a name that the page knows where a token would help.
fn marked(error: &impl std::fmt::Display, wants_token: bool) -> Error {
    let error = sentence(error);
    if wants_token {
        error.set_name("TokenWanted");
    }
    error
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
