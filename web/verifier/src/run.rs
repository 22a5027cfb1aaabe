//! Running a model in the page. One worker plans and executes the run, and others measure its samples.

use crate::inspection::Inspection;
use crate::measurement::clock;
use crate::network::File;
use crate::scratch::BrowserScratch;
use crate::trap;
use gammascope::forward::Standing;
use gammascope::inspect;
use gammascope::measure::activations::Activations;
use gammascope::measure::gram::Gridded;
use gammascope::measure::residual::BlockStreams;
use gammascope::model::random::twin_of;
use gammascope::pixels::PixelChoice;
use gammascope::report::plan::{RunInput, RunOptions, RunSites};
use gammascope::run::device::{GramDevice, Wanted};
use gammascope::run::execute::Shown;
use gammascope::run::pass::{Sample, Sites, of_f32};
use gammascope::run::planned::Extent;
use gammascope::run::result::RunResult;
use gammascope::run::session::{Request, Session, collect};
use gammascope::run::writers;
use gammascope::source::ByteSource;
use gammascope::source::memory::MemorySource;
use gammascope::text::Choice;
use gammascope_web::{dropped, from_js, get, sentence, text};
use js_sys::{Array, Error, Float32Array, Function, Object, Promise, Reflect};
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::pin::Pin;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// A model run that is ready, or is partly done.
#[wasm_bindgen]
pub struct ModelRun {
    session: Session,
    plan: String,
    state: RefCell<Standing>,
}

#[wasm_bindgen]
impl ModelRun {
    /// Returns the plan, a `RunPlan` in TypeScript, as JSON.
    pub fn plan(&self) -> String {
        self.plan.clone()
    }

    /// Keeps the activations of the run, if they do not fit into memory, in `file`: a `FileSystemSyncAccessHandle` of the private storage.
    /// It replaces this run.
    #[wasm_bindgen(js_name = keptIn)]
    pub fn kept_in(self, file: JsValue) -> ModelRun {
        let Self { session, plan, state } = self;
        let scratch = BrowserScratch(file.unchecked_into());
        Self { session: session.with_scratch(Box::new(scratch)), plan, state }
    }

    /// Returns the results without the measurements, for [`Inspection::verify_run`], as JSON.
    pub async fn ran(&self, outcome: String, seconds: f64) -> Result<String, Error> {
        let outcome = serde_json::from_str(&outcome).map_err(sentence)?;
        serde_json::to_string(&self.session.result(Vec::new(), outcome, seconds).await).map_err(sentence)
    }
}

#[wasm_bindgen]
impl Inspection {
    /// Opens the same architecture with γ = 1, β = 0 and random weights drawn from `seed`.
    pub async fn twin(&self, seed: u32) -> Result<Inspection, Error> {
        let drawn = twin_of(self.inner.checkpoint(), u64::from(seed)).map_err(sentence)?;
        let sources: Vec<File> = drawn.into_iter().map(File::Generated).collect();
        let inner = inspect::open(sources.clone(), |_| {}).await.map_err(sentence)?;
        Ok(Inspection { inner, sources })
    }
}

#[wasm_bindgen]
impl ModelRun {
    /// Makes the same run of `twin`, from its beginning. It replaces this one.
    #[wasm_bindgen(js_name = ofTwin)]
    pub fn of_twin(self, twin: &Inspection) -> Result<ModelRun, Error> {
        let Self { session, plan, .. } = self;
        Ok(Self { session: session.of_twin(&twin.inner).map_err(sentence)?, plan, state: RefCell::default() })
    }
}

/// Reads the chosen files whole.
async fn read(files: &Array) -> Result<Vec<MemorySource>, Error> {
    let mut read = Vec::new();
    for entry in files.iter() {
        let file = dropped(&entry)?;
        let bytes = file.read(0..file.length()).await.map_err(sentence)?;
        read.push(MemorySource::new(file.path(), bytes));
    }
    Ok(read)
}

/// A device for the exact sums.
#[wasm_bindgen]
pub struct Measurer {
    device: GramDevice,
}

#[wasm_bindgen]
impl Measurer {
    /// Opens the device that the run found fastest, a `Wanted` in TypeScript. Without a GPU it is the CPU.
    pub async fn open(wanted: JsValue) -> Result<Measurer, Error> {
        let wanted: Wanted = from_js(wanted)?;
        Ok(Measurer { device: GramDevice::of(wanted).await.unwrap_or_else(|_| GramDevice::cpu()) })
    }
}

#[wasm_bindgen]
impl Inspection {
    /// Plans to run the model. `options` is a `RunOptions` in TypeScript, as JSON. `files` is a list of `{ path, file }` with the chosen
    /// text, ids, images, sounds or pixels. `wanted` is the device, a `Wanted` in TypeScript.
    #[wasm_bindgen(js_name = planRun)]
    pub async fn plan_run(&self, options: &str, files: Array, wanted: JsValue) -> Result<ModelRun, Error> {
        trap::set();
        let RunOptions { tokens, sequence, blocks, sites, input: chosen, preservation, assume, memory } =
            serde_json::from_str(options).map_err(sentence)?;
        let [tokens, blocks] = [tokens, blocks].map(|count| count.map(|count| count as usize));
        let sequence = sequence.map(|length| length as usize);
        let mut files = read(&files).await?;
        let (mut choice, mut pixels, mut sounds) = (None, None, None);
        match chosen {
            RunInput::Usual => {}
            RunInput::Uniform => choice = Some(Choice::Uniform),
            RunInput::Images => pixels = Some(PixelChoice::Images(files)),
            RunInput::Sounds => sounds = Some(files),
            RunInput::Text | RunInput::Ids | RunInput::Pixels => {
                let file = files.pop().ok_or_else(|| Error::new("no file was chosen to run the model on"))?;
                let (name, bytes) = (file.path().to_owned(), file.bytes().to_vec());
                match chosen {
                    RunInput::Pixels => pixels = Some(PixelChoice::Values(file)),
                    RunInput::Ids => choice = Some(Choice::Ids { name, bytes }),
                    _ => choice = Some(Choice::Text { name, bytes }),
                }
            }
        }
        let sites = match sites {
            RunSites::Final => Sites::Final,
            RunSites::All => Sites::All,
        };
        let extent = Extent { tokens, sequence, blocks };
        let on = from_js(wanted)?;
        // The page decides how many workers measure.
        let threads = 1;
        let request =
            Request { extent, sites, choice, pixels, sounds, preservation, on, assume, memory, threads };
        let session = Session::on_the_best(&self.inner, &request, clock).await.map_err(sentence)?;
        let plan = session.plan(&self.inner, clock).await.map_err(sentence)?;
        let plan = serde_json::to_string(&plan).map_err(sentence)?;
        Ok(ModelRun { session, plan, state: RefCell::default() })
    }

    /// Runs the model from where it stands. Calls `show` with samples and progress, a `Shown` in TypeScript; it resolves to true to stop.
    /// Calls `pause` before every matrix; it returns true to stop, or a promise of that. Resolves to the argument of [`ModelRun::ran`].
    pub async fn run(&self, run: &ModelRun, show: Function, pause: Function) -> Result<String, Error> {
        // No other call uses the state, because the worker runs only one of these calls at a time.
        let mut state = run.state.take();
        let (mut blocks, mut losses, mut moved) = (state.blocks, 0, 0);
        let pause = move || -> Pin<Box<dyn Future<Output = ControlFlow<()>>>> {
            let asked = pause.call0(&JsValue::NULL);
            Box::pin(async move { going_on(answer(asked).await) })
        };
        let outcome = run.session.execute_pausing(&self.inner, &mut state, &pause, async |shown| {
            let sample = match shown {
                Shown::Sample(sample) => plain(&sample),
                Shown::Blocks(done) => {
                    blocks = done;
                    JsValue::NULL
                }
                Shown::Losses(done) => {
                    losses = done;
                    JsValue::NULL
                }
                Shown::Moved(done, _) => {
                    moved = done;
                    JsValue::NULL
                }
            };
            let shown = object(&[
                ("sample", sample),
                ("blocks", JsValue::from(blocks as u32)),
                ("losses", JsValue::from(losses as u32)),
                ("moved", JsValue::from(moved as u32)),
            ]);
            going_on(answer(show.call1(&JsValue::NULL, &shown)).await)
        });
        let outcome = outcome.await;
        run.state.replace(state);
        serde_json::to_string(&outcome.map_err(sentence)?).map_err(sentence)
    }

    /// Measures a sample. Returns JSON.
    #[wasm_bindgen(js_name = measureSample)]
    pub async fn measure_sample(&self, sample: JsValue, measurer: &Measurer) -> Result<String, Error> {
        let inspection = &self.inner.inspection;
        let sample = self.sample(&sample).ok_or_else(|| Error::new("No run has shown that sample."))?;
        let gram = async |gridded: &Gridded| measurer.device.gram(gridded).await;
        let measured = sample.measure(inspection, gram).await;
        serde_json::to_string(&measured).map_err(sentence)
    }

    /// Makes the report again with all results of a run, and of the run of a twin drawn from `seed`, as JSON.
    #[wasm_bindgen(js_name = verifyRun)]
    pub async fn verify_run(&mut self, ran: String, of_twin: Option<String>, seed: u32) -> Result<(), Error> {
        let result = |json: &str| serde_json::from_str::<RunResult>(json).map_err(sentence);
        let mut own = result(&ran)?;
        writers::complete(self.inner.checkpoint(), &mut own).await;
        let of_twin =
            of_twin.map(|of_twin| Ok::<_, Error>((result(&of_twin)?, u64::from(seed)))).transpose()?;
        let (trained, warnings) = collect(own, of_twin).map_err(sentence)?;
        self.inner.verify(trained, warnings);
        Ok(())
    }
}

/// Returns the page's answer, which may be a promise.
async fn answer(asked: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    match asked?.dyn_into::<Promise>() {
        Ok(promise) => JsFuture::from(promise).await,
        Err(answer) => Ok(answer),
    }
}

/// Whether a run continues. It stops if the page says so, or fails to answer.
fn going_on(stop: Result<JsValue, JsValue>) -> ControlFlow<()> {
    match stop {
        Ok(stop) if stop.is_falsy() => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

impl Inspection {
    fn sample(&self, sample: &JsValue) -> Option<Sample> {
        let values =
            |name: &str| get(sample, name).dyn_into::<Float32Array>().ok().map(|values| values.to_vec());
        let whole = |name: &str| get(sample, name).as_f64().map(|value| value as usize);
        let (width, output, name) = (whole("width")?, values("output")?, text(sample, "name")?);
        Some(match whole("site") {
            Some(site) if site < self.inner.inspection.report.norms.len() => {
                Sample::Site(site, of_f32(&name, width, output), of_f32(&name, width, values("before")?))
            }
            _ => Sample::Block(
                whole("block")?,
                BlockStreams {
                    after: of_f32(&name, width, output),
                    after_attention: values("before").map(|values| of_f32(&name, width, values)),
                    next: whole("next"),
                },
            ),
        })
    }
}

/// Makes an object that can be sent to other workers.
fn plain(sample: &Sample) -> JsValue {
    let array = |values: &Activations| {
        values.values.f32s().map_or(JsValue::NULL, |values| Float32Array::from(values).into())
    };
    let named = |output: &Activations| {
        [
            ("name", JsValue::from(&output.tensor)),
            ("width", JsValue::from(output.width as u32)),
            ("output", array(output)),
        ]
    };
    match sample {
        Sample::Site(site, output, before) => {
            let [name, width, values] = named(output);
            object(&[("site", JsValue::from(*site as u32)), name, width, values, ("before", array(before))])
        }
        Sample::Block(block, BlockStreams { after, after_attention, next }) => {
            let [name, width, values] = named(after);
            let before = after_attention.as_ref().map_or(JsValue::NULL, array);
            let next = next.map_or(JsValue::NULL, |site| JsValue::from(site as u32));
            object(&[
                ("block", JsValue::from(*block as u32)),
                name,
                width,
                values,
                ("before", before),
                ("next", next),
            ])
        }
    }
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a property of a plain object always works.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}
